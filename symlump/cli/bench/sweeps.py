"""``symlump bench sweeps``: sweeps in units of one compression."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.progress import bar

DESCRIPTION = """\
Sweep a network and a system over twenty tolerances, evenly and logarithmically spaced up to the one that merges
everything, and divide the time by that of one compression (or lumping) to half of the size.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    add_output(parser)


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.sweeping.sweeps import TABLE, measure

    measured = Measured(options, TABLE)
    with bar("sweeping", 22) as step:
        for done, row in enumerate(measure(options.quick), start=1):
            measured.add(row)
            step(done, row.method)
    return measured.answer()
