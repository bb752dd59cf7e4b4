"""The tables at equal parameters, bytes and time, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from symlump.bench.compared.runs import Row, groups_of, reached_in
from symlump.bench.compared.tables import KINDS
from symlump.bench.equal.trial import DIGITS


def parts_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows that are compared with each other: of digits, and of data sets, for each table and activation.

    Rows as :func:`symlump.bench.equal.measure.measure` gives them, or as they are read again.
    """
    digits = [row for row in rows if row["dataset"] == DIGITS]
    others = [row for row in rows if row["dataset"] != DIGITS]
    kept = ("table", "activation", "dataset", "seed", "share", "method", "mse", "mse_base")
    return [
        (f"Equal {title}{what}", group)
        for what, part in ((", digits", digits), (", data sets", others))
        for title, group in groups_of([{key: row[key] for key in kept} for row in part])
    ]


def markdown(rows: Sequence[Row]) -> str:
    """Of digits per cent right, of data sets errors over those of the networks before; with ranks."""
    parts = []
    for title, group in parts_of(rows):
        kind = "right" if group[0]["dataset"] == DIGITS else "ratios"
        if methods := reached_in(group):
            parts.append(f"{title}:\n\n{KINDS[kind].make(group, methods, {})}\n")
    return "\n".join(parts)
