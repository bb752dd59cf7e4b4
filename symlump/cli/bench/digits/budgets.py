"""``symlump bench budgets``: equal parameters, equal bytes, equal time."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, refuse
from symlump.errors import MethodError
from symlump.progress import working

DESCRIPTION = """\
Train dense networks (196–64–32–10, ReLU, images of 14 × 14) on images of digits, compress them by every method,
and compare the accuracy at 50, 25 and 10 % of the parameters, of the bytes of the file that is written (packed,
with its header), and of the time of a forward pass in torch on one thread (2 000 images, medians of 60 in
turns; sizes are chosen on the first network). The first half of the images trains, 1 000 of them calibrate,
the second half is tested on.

Writes OUTPUT/budgets.csv and budgets.md; --table prints the tables of such a file again.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument(
        "--digits", metavar="FILE.npz", help="images (n, 28, 28) of bytes, and labels"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="networks (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one network, four methods")
    parser.add_argument("--table", metavar="FILE.csv", help="only print the tables of these rows")
    parser.add_argument("--output", metavar="DIR", help="folder for the rows and the tables")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, reads=("digits", "table"))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment.

    Raises
    ------
    MethodError
        If there are no images, or no networks.
    """
    from symlump.bench.budgets import METHODS, QUICK, csv_of, markdown, measure, rows_of
    from symlump.datasets.fetch import read_text
    from symlump.files import make_folder, write_text

    if (options.digits is None) == (options.table is None):
        raise MethodError("give either --digits FILE.npz or --table FILE.csv")
    if options.table is not None:
        why = "is for networks that are trained, not for --table"
        refuse(options, {"quick": False, "seeds": None}, why)
        rows = rows_of(read_text(Path(options.table)))
    else:
        seeds = options.seeds if options.seeds is not None else 1 if options.quick else 5
        if seeds < 1:
            raise MethodError(f"--seeds {seeds}: give 1 or more")
        with working("compressing"):
            rows = list(
                measure(options.digits, seeds, methods=QUICK if options.quick else tuple(METHODS))
            )
    if options.output is not None:
        folder = Path(make_folder(options.output))
        write_text(folder / "budgets.csv", csv_of(rows))
        write_text(folder / "budgets.md", markdown(rows))
    return Answer(lambda: [asdict(row) for row in rows], lambda: markdown(rows).rstrip())
