"""``symlump bench sweeps``: sweeps in units of one compression."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import bar

DESCRIPTION = """\
Sweep a network and a system over twenty tolerances, evenly and logarithmically spaced up to the one that merges
everything, and divide the time by that of one compression (or lumping) to half of the size.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.sweeping.sweeps import measure
    from symlump.tables import table_text

    rows = []
    with bar("sweeping", 22) as step:
        for row in measure(options.quick):
            rows.append(row)
            step(len(rows), row.method)
    cells = [
        (row.subject, row.method, row.spacing, f"{row.one:.3g}", f"{row.ratio:.2f}") for row in rows
    ]
    header = ("subject", "method", "20 tolerances", "one, s", "sweep / one")
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(header, cells))
