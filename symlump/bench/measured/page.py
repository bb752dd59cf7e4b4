"""The page of what was measured: its tables are those of rows in a folder, what misses its target is marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symlump.bench import networks, proofs, rational, start
from symlump.bench.bounds import crown
from symlump.bench.kept.places import fill, place, places_of
from symlump.bench.kept.table import KeptTable, Origin
from symlump.bench.speed import growth, rows
from symlump.bench.sweeping import sweeps
from symlump.errors import FileFormatError

#: What can be on the page, by name; a new one is one line here.
TABLES: dict[str, KeptTable[Any]] = {
    table.name: table
    for table in (
        rows.ENGINE,
        rows.READERS,
        growth.TABLE,
        networks.TABLE,
        crown.TABLE,
        start.TABLE,
        rational.TABLE,
        proofs.TABLE,
        sweeps.TABLE,
    )
}
#: The place of the list of all misses.
MISSES = "misses"
#: The first word of the marks.
_WORD = "measured"
_MISSED = "  ← missed"


def page(folder: Path, before: str | None = None) -> str:
    """The page with the tables of a folder.

    Parameters
    ----------
    folder : Path
        With a file ``NAME.csv`` of each table.
    before : str, optional
        The page as it is: what is between ``<!-- measured NAME -->`` and ``<!-- end -->`` is written anew, all
        else stays. By default a page of all tables and the list of misses.

    Returns
    -------
    str

    Raises
    ------
    FileFormatError
        If the folder has no rows for a place, or a page with the list of misses has no place for a table.
    """
    there = [name for name, table in TABLES.items() if table.path(folder).exists()]
    if not there:
        raise FileFormatError(
            f"{folder} has no rows: symlump bench start --output {folder} writes some"
        )
    if before is None:
        places = "".join(
            f"\n## {name.capitalize()}\n\n{place(_WORD, name, '')}\n" for name in [MISSES, *there]
        )
        before = f"# What was measured\n{places}"
    shown = places_of(_WORD, before)
    for name in shown:
        if name != MISSES and name not in TABLES:
            known = ", ".join([MISSES, *TABLES])
            raise FileFormatError(f"the page asks for {name!r}; there are {known}")
        if name != MISSES and name not in there:
            raise FileFormatError(f"symlump bench {name} --output {folder} has to be run first")
    missing = [name for name in there if name not in shown]
    if missing and MISSES in shown:
        raise FileFormatError(
            f"the page has no place for {folder / missing[0]}.csv: add two lines, "
            f"<!-- measured {missing[0]} --> and <!-- end -->"
        )
    kept = {name: TABLES[name].kept(folder) for name in there}
    return fill(_WORD, before, lambda name: _misses(kept) if name == MISSES else _shown(name, kept))


Kept = dict[str, list[tuple[Origin, Any]]]


def _shown(name: str, kept: Kept) -> str:
    """A table with its misses marked, the commands that printed it, and how busy the machine was."""
    table = TABLES[name]
    origins, found = zip(*kept[name], strict=True)
    head, *lines = table.text(found).splitlines()
    marked = [
        line + (_MISSED if _missed(table.header, table.cells(row)) else "")
        for line, row in zip(lines, found, strict=True)
    ]
    commands = ", ".join(f"`{c}`" for c in dict.fromkeys(origin.command for origin in origins))
    loads = [origin.load for origin in origins if origin.load is not None]
    busy = f"; load of the machine {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    return "\n".join(["```text", head, *marked, "```", "", f"By {commands}{busy}.", ""])


def _missed(header: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The columns in which a row says that it does not reach what it should."""
    return [name for name, cell in zip(header, cells, strict=True) if cell == "no"]


def _misses(kept: Kept) -> str:
    """A line for each row that misses its target: what was measured, and what should be."""
    lines, judged = [], 0
    for name, pairs in kept.items():
        table = TABLES[name]
        if "reached" not in table.header:
            continue
        for _, row in pairs:
            said = dict(zip(table.header, table.cells(row), strict=True))
            judged += sum(cell in ("yes", "no") for cell in said.values())
            place = " ".join(str(getattr(row, part)) for part in table.key)
            for column in _missed(table.header, table.cells(row)):
                figures = f"{column}: no"
                if column == "reached" and "target" in said:
                    measured = table.header[table.header.index("target") - 1]
                    of = "" if measured == "measured" else f"{measured} "
                    figures = f"{of}{said[measured]}, target {said['target']}"
                lines.append(f"- `{name}`, {place}: {figures}\n")
    return "".join(lines) + f"\n{len(lines)} of {judged} targets are missed.\n"
