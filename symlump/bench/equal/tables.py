"""The tables at equal parameters, bytes and time, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from symlump.bench.compared.runs import Row, groups_of, reached_in
from symlump.bench.compared.tables import KINDS
from symlump.bench.equal.measure import KEYS
from symlump.bench.equal.trial import DIGITS


def markdown(rows: Sequence[Row]) -> str:
    """Of digits per cent right, of data sets errors over those of the networks before; with ranks.

    Rows as :func:`symlump.bench.equal.measure.measure` gives them, or as they are read again.
    """
    kept = (*KEYS, "seed", "share", "method", "mse", "mse_base")
    parts = []
    for title, group in groups_of([{key: row[key] for key in kept} for row in rows]):
        kind = "right" if group[0]["dataset"] == DIGITS else "ratios"
        if methods := reached_in(group):
            parts.append(f"Equal {title}:\n\n{KINDS[kind].make(group, methods, {})}\n")
    return "\n".join(parts)
