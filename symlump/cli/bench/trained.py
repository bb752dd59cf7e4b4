"""``symlump bench trained``: networks that others published, by every method, with and without data."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, shares
from symlump.progress import working

DESCRIPTION = """\
Compress the ONNX networks of a folder by every method, to a few sizes. Of networks for 28 × 28 digits the
accuracy is measured on the second half of a file of digits, whose first half calibrates; of others the relative
mean squared error of the outputs on 20 000 standard normal inputs, seed 0 (100 where inputs are large).

Results are kept in OUTPUT as they arrive, so an interrupted run resumes: give the same command
again. They are not told from those of another version of symlump, which needs a folder of its own. Writes
OUTPUT/trained.csv.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--networks", required=True, metavar="FOLDER", help="the ONNX files")
    parser.add_argument(
        "--digits",
        required=True,
        metavar="FILE.npz",
        help="images (n, 28, 28) of bytes, and labels",
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="a network (repeatable)")
    parser.add_argument("--method", action="append", metavar="NAME", help="a method (repeatable)")
    parser.add_argument("--shares", metavar="A,B,…", help="to keep (default: 0.5,0.3)")
    parser.add_argument(
        "--calibration",
        type=int,
        metavar="N",
        help="images that methods may see (default: half of the file)",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="folder for results as they arrive (default: none are kept)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, reads=("digits",))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.kept.rows import csv_of
    from symlump.bench.published.trained import SHARES, TrainedRow, measure, table
    from symlump.files import make_folder, write_text
    from symlump.tables import table_text

    cache = None if options.output is None else make_folder(options.output)
    sizes = SHARES if options.shares is None else shares(options.shares)
    with working("compressing"):
        rows = measure(
            options.networks, options.digits, options.only, options.method, cache, sizes,
            options.calibration,
        )  # fmt: skip
    if cache is not None:
        write_text(cache / "trained.csv", csv_of(TrainedRow, rows))
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(*table(rows)))
