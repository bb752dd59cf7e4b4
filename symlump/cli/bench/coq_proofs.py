"""``symlump bench proofs --coq``: certificates proved by coqc."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from symlump.cli.answer import Answer
from symlump.progress import bar

if TYPE_CHECKING:
    from symlump.bench.coq_proofs import CoqRow

_HEADER = (
    *("system", "method", "variables", "terms", "blocks", "MB", "coqc,s", "µs/term"),
    *("verified,s", "check.py,s", "proved", "false one"),
)
#: Of fewer terms, seconds say nothing.
_FEW = 100


def run(options: argparse.Namespace) -> Answer:
    """Measure and print."""
    from symlump.bench.coq_proofs import (
        MEASURED,
        cases,
        growth,
        measure,
        model_cases,
        seconds_to_load,
    )
    from symlump.tables import table_text

    chosen = cases(options.quick) if options.models is None else model_cases(options.models)
    loading, rows = seconds_to_load(), []
    with bar("proofs", len(chosen)) as step:
        for done, case in enumerate(chosen, start=1):
            rows.append(measure(case, loading))
            step(done, f"{case.system} {case.method}")
    exponents = growth(rows)

    def text() -> str:
        proved = sum(row.proved for row in rows)
        lines = [
            table_text(_HEADER, [_cells(row) for row in rows]),
            f"{proved} of {len(rows)} proved",
        ]
        known = [row for row in rows if row.known is not None]
        if known:
            same = sum(row.known == row.blocks for row in known)
            lines.append(f"{same} of {len(known)} with the known number of blocks or rows")
        if exponents:
            lines += [
                "",
                "growth: p in seconds ~ terms^p, from the smallest to the largest of each",
            ]
            lines.append(
                table_text(("", *MEASURED), [_powers(*item) for item in exponents.items()])
            )
        return "\n".join(lines)

    return Answer(
        lambda: {"rows": [asdict(row) for row in rows], "growth": exponents},
        text,
    )


def _cells(row: CoqRow) -> tuple[str, ...]:
    return (
        *(row.system, row.method, str(row.variables), str(row.terms), str(row.blocks)),
        *(f"{row.megabytes:.2f}", f"{row.seconds_coqc:.2f}"),
        "-" if row.terms < _FEW else f"{row.microseconds_per_term:.0f}",
        *(f"{row.seconds_verified:.2f}", f"{row.seconds_check:.3f}"),
        "yes" if row.proved else "no",
        "refused" if row.false_refused else "ACCEPTED",
    )


def _powers(name: str, found: dict[str, float]) -> tuple[str, ...]:
    from symlump.bench.coq_proofs import MEASURED

    return (name, *(f"{found[what]:.2f}" if what in found else "-" for what in MEASURED))
