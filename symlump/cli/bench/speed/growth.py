"""``symlump bench growth``: time and memory at n, 2n, 4n and 8n."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.cli.bench.speed.rows import choose_rows
from symlump.progress import bar


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--rows",
        metavar="A,B,…",
        help="only these: forward, backward, chain, certificate, check, …",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> Answer:
    """Measure, and print the rows."""
    from symlump.bench.speed.growth import TABLE, TASKS, measure

    names = choose_rows(options.rows, TASKS)
    measured = Measured(options, TABLE)
    with bar("growing", len(names)) as step:
        for done, name in enumerate(names):
            step(done, name)
            for row in measure(name, options.quick):
                measured.add(row)
    return measured.answer()
