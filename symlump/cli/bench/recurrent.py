"""``symlump bench recurrent``: recurrent cells trained here, made smaller."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import bar

DESCRIPTION = """\
Train an RNN, a GRU and an LSTM of 32 units on a sequence task, merge units until 70, 50 and 30 % of the
parameters are left, and compare the test errors: with what reads merged units refitted, with all weights of the
smaller cell fitted further in 300 steps, without targets, with sums of columns, and of magnitude pruning to as
many weights.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="hardly any training: seconds")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and sequences")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.recurrent.cells import CELLS, SHARES, measure
    from symlump.tables import table_text

    rows = []
    with bar("training and merging", len(CELLS) * len(SHARES)) as step:
        for row in measure(options.quick, options.seed):
            rows.append(row)
            step(len(rows), row.cell)
    cells = [
        (
            row.cell,
            f"{100 * row.share:.0f} %",
            str(row.units),
            *(
                f"{error:.3g}"
                for error in (row.before, row.refit, row.steps, row.sums, row.magnitude)
            ),
        )
        for row in rows
    ]
    header = ("cell", "kept", "units", "as trained", "refit", "300 steps", "added up", "magnitude")
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(header, cells))
