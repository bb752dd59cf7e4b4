"""``symlump bench growth``: time and memory at n, 2n, 4n and 8n."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.cli.bench.speed.rows import choose_rows
from symlump.progress import bar

_HEADER = ("task", "size", "seconds", "time ~ n^", "MB", "memory ~ n^")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--rows", metavar="A,B,…", help="only these: forward, backward, chain, tra, reactions"
    )


def run(options: argparse.Namespace) -> Answer:
    """Measure, and print the rows."""
    from symlump.bench.speed.growth import TASKS, GrowthRow, measure
    from symlump.tables import table_text

    rows: list[GrowthRow] = []
    names = choose_rows(options.rows, TASKS)
    with bar("growing", len(names)) as step:
        for done, name in enumerate(names):
            step(done, name)
            rows += measure(name, options.quick)
    cells = [
        (
            row.task,
            str(row.size),
            f"{row.seconds:.3g}",
            "" if row.time_exponent is None else f"{row.time_exponent:.2f}",
            f"{row.megabytes:.0f}",
            "" if row.memory_exponent is None else f"{row.memory_exponent:.2f}",
        )
        for row in rows
    ]
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(_HEADER, cells))
