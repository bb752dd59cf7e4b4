"""``symlump bench linear``: linear lumping, from a model to its quotient."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.cli.progress import working

DESCRIPTION = """\
Measure the smallest linear lumping that keeps given observables, in seconds. One model is generated; the
other is a file, fceri_ji.ode, measured where --models names the folder that it is in.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="a small size")
    parser.add_argument("--models", metavar="FOLDER", help="the folder that holds fceri_ji.ode")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.linear import measure
    from symlump.display.tables import table_text

    with working("measuring"):
        rows = measure(options.quick, options.models)
    cells = [
        (
            row.what,
            f"{row.seconds:.2f}",
            f"≤ {row.reach:g}",
            "yes" if row.reached else "no",
            str(row.peak_mb),
        )
        for row in rows
    ]
    return Answer(
        lambda: [asdict(row) | {"reached": row.reached} for row in rows],
        lambda: table_text(("what", "seconds", "target", "reached", "peak MB"), cells),
    )
