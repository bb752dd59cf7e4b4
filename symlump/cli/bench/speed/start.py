"""``symlump bench start``: how soon the command line and the library answer."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.progress import bar


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    add_output(parser)


def run(options: argparse.Namespace) -> Answer:
    """Measure, and print the rows."""
    from symlump.bench.start import TABLE, measure

    measured = Measured(options, TABLE)
    with bar("starting", 4) as step:
        for row in measure(options.quick, step):
            measured.add(row)
    return measured.answer()
