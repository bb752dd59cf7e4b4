"""``symlump bench measured``: the page of what was measured; and the option that keeps the rows it shows."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from symlump.cli.answer import Answer
from symlump.cli.arguments import refuse

if TYPE_CHECKING:
    from symlump.bench.kept.table import KeptTable

Row = TypeVar("Row")

DESCRIPTION = """\
Write the tables of a page anew from the rows that experiments left in a folder: what is between
<!-- measured NAME --> and <!-- end --> is the table of NAME.csv, with misses marked and the commands below;
between <!-- measured misses --> and <!-- end --> is the list of all misses. What is outside stays. Where there
is no page, one with all tables is written.

examples:
  symlump bench start --output docs/look-up/measured
  symlump bench engine --rows chain --output docs/look-up/measured   (only this row is written anew)
  symlump bench measured docs/look-up/measured.md
"""


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the option of an experiment."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="keep the rows in this folder, those measured before too (for bench measured)",
    )
    parser.set_defaults(typed=())  # main fills it in


class Measured(Generic[Row]):
    """The rows of an experiment as they come; each is kept at once where a folder is named.

    Parameters
    ----------
    options : Namespace
    table : KeptTable

    Raises
    ------
    MethodError
        If rows of small sizes are to be kept.
    FileFormatError
        If the folder has a file of this name with other rows.
    """

    def __init__(self, options: argparse.Namespace, table: KeptTable[Row]) -> None:
        from symlump.files import make_folder

        self.rows: list[Row] = []
        self._table = table
        self._folder: Path | None = None
        if options.output is not None:
            refuse(options, {"quick": False}, "is a first impression, which --output does not keep")
            self._folder = make_folder(options.output)
            table.kept(self._folder)
            self._command = _command(options)

    def add(self, row: Row) -> None:
        """Take one more row."""
        from symlump.bench.kept.table import Origin

        self.rows.append(row)
        if self._folder is not None:
            load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
            self._table.keep(self._folder, row, Origin(self._command, load))

    def answer(self) -> Answer:
        """All rows; where no target is meant for some, that is said below them."""
        small = any(not getattr(row, "judged", True) for row in self.rows)
        note = "\n–: no target is meant for that size" if small else ""
        return Answer(
            lambda: self._table.data(self.rows), lambda: self._table.text(self.rows) + note
        )


def _command(options: argparse.Namespace) -> str:
    """The command that makes the same rows, as one types it: without what says where they go."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-o", "--output")
    parser.add_argument("--json", action="store_true")
    return shlex.join(["symlump", *parser.parse_known_args(options.typed)[1]])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the page."""
    parser.add_argument("page", metavar="PAGE.md", help="page of Markdown")
    parser.add_argument(
        "--from",
        dest="folder",
        metavar="DIR",
        help="folder of the rows (default: PAGE, beside PAGE.md)",
    )
    parser.add_argument("--json", action="store_true", help="print the path as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Write the page."""
    from symlump.bench.measured.page import page
    from symlump.datasets.fetch import read_text
    from symlump.files import write_text

    path = Path(options.page)
    folder = path.with_suffix("") if options.folder is None else Path(options.folder)
    text = page(folder, read_text(path) if path.exists() else None)
    write_text(path, text)
    return Answer(lambda: {"page": str(path)}, lambda: f"{path} has the tables of {folder}")
