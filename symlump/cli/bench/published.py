"""``symlump bench published``: ONNX files as others publish them, read, reduced, written and timed."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import working

DESCRIPTION = """\
Read every ONNX file of a folder, compress it to half of its parameters without data, and write it back. What is
shown: the share of the parameters that merging can reach; what was kept; the relative mean squared error of
the outputs on 64 standard normal inputs, seed 0; the time of the forward pass in torch over that before; the
largest difference from onnxruntime, of the network that was read and of the file that was written, relative to
the largest output. Where half cannot be reached, half of what can be reached goes.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--networks", required=True, metavar="FOLDER", help="the ONNX files")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.published.files import HEADER, measure, table
    from symlump.tables import table_text

    with working("reading and reducing"):
        rows = measure(options.networks)
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(HEADER, table(rows)))
