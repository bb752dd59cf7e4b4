"""``symlump bench files``: what is read of a folder of model files."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.progress import working

DESCRIPTION = """\
Read every model file of a folder, and count what is read and why the others are refused. Messages are
counted without their places and without names of the files.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("folder", metavar="FOLDER", help="model files")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.model_files import measure_folder
    from symlump.tables import table_text

    with working(f"reading {options.folder}"):
        result = measure_folder(options.folder)
    read, refused = dict(result.read.most_common()), dict(result.refused.most_common())
    rows = [
        *((f"read: {kind}", str(count)) for kind, count in read.items()),
        *((f"refused: {why}", str(count)) for why, count in refused.items()),
    ]
    return Answer(
        lambda: {"read": read, "refused": refused}, lambda: table_text(("files", "count"), rows)
    )
