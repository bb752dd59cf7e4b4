"""``symlump bench forward``: the speed of compressed networks, against fresh ones of their shape."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import bar

_NETWORKS = 5
DESCRIPTION = """\
Compress networks of random weights to half of their parameters, and time a forward pass in torch on one thread:
over that of a module of the same class, built with as many units from the start, and over that before. The
three are timed in turns, in all orders, and the median of 120 is taken.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument(
        "--quick", action="store_true", help="small networks, two passes each: seconds"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.forward_time import measure
    from symlump.tables import table_text

    rows = []
    with bar("compressing and timing", _NETWORKS) as step:
        for row in measure(options.quick, options.seed):
            rows.append(row)
            step(len(rows), row.network)
    cells = [
        (row.network, f"{100 * row.kept:.1f} %", f"{row.ratio:.2f}", f"{row.of_original:.2f}")
        for row in rows
    ]
    header = ("network", "kept", "time / fresh", "time / before")
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(header, cells))
