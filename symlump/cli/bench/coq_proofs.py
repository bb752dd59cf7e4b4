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
    *("verified,s", "check.py,s", "proved"),
)


def run(options: argparse.Namespace) -> Answer:
    """Measure and print."""
    from symlump.bench.coq_proofs import measure, systems
    from symlump.tables import table_text

    chosen, rows = systems(options.quick), []
    with bar("proofs", len(chosen)) as step:
        for done, (family, size, method) in enumerate(chosen, start=1):
            rows.append(measure(family, size, method))
            step(done, f"{family} {size} {method}")
    return Answer(
        lambda: [asdict(row) for row in rows],
        lambda: table_text(_HEADER, [_cells(row) for row in rows]),
    )


def _cells(row: CoqRow) -> tuple[str, ...]:
    return (
        *(row.system, row.method, str(row.variables), str(row.terms), str(row.blocks)),
        *(f"{row.megabytes:.2f}", f"{row.seconds_coqc:.2f}", f"{row.microseconds_per_term:.0f}"),
        *(f"{row.seconds_verified:.2f}", f"{row.seconds_check:.2f}"),
        "yes" if row.proved else "no",
    )
