"""Pages whose tables are those of files of rows beside them: each is written between two marks.

``<!-- table FILE.csv KIND option=value … -->`` and ``<!-- end -->`` are the marks; kinds are those of
:mod:`symlump.bench.compared.tables`. Options of all kinds are ``group``, the title of a group of rows where a
file has several, and ``methods``, separated by semicolons.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from symlump.bench.compared.runs import errors_of, groups_of, reached_in
from symlump.bench.compared.tables import KINDS
from symlump.bench.kept.places import fill, places_of
from symlump.errors import FileFormatError
from symlump.suggest import did_you_mean

#: The first word of the marks.
_WORD = "table"
_COMMON = ("group", "methods")


def write_tables(page: str, folder: Path) -> str:
    """A page with the tables of the files in a folder; all that is not between marks stays.

    Parameters
    ----------
    page : str
        Markdown.
    folder : Path
        Where the files are that the marks name.

    Raises
    ------
    FileFormatError
        If a mark asks for what there is not, or a file has no rows.
    """
    return fill(_WORD, page, lambda mark: f"{_table(mark, folder)}\n")


def files_of(page: str) -> list[str]:
    """The files that the marks of a page name.

    Examples
    --------
    >>> files_of("<!-- table a.csv ranks -->\\n<!-- end -->\\n")
    ['a.csv']
    """
    return list(dict.fromkeys(mark.split()[0] for mark in places_of(_WORD, page)))


def _table(mark: str, folder: Path) -> str:
    """The table that a mark asks for."""
    from symlump.datasets.fetch import read_text

    try:
        file, kind, *words = shlex.split(mark)
        options = dict(word.split("=", 1) for word in words)
    except ValueError:
        raise FileFormatError(
            f"<!-- table {mark} -->: write a file, a kind, and options such as share=0.5"
        ) from None
    if kind not in KINDS:
        known = did_you_mean(kind, KINDS, "choose from ") + ", ".join(KINDS)
        raise FileFormatError(f"<!-- table {mark} -->: there is no kind {kind!r}{known}")
    for name in options:
        if name not in (*_COMMON, *KINDS[kind].options):
            raise FileFormatError(f"<!-- table {mark} -->: {kind} has no option {name!r}")
    rows, methods = errors_of(read_text(folder / file))
    groups = dict(groups_of(rows))
    title = options.get("group", next(iter(groups)))
    if title not in groups or ("group" not in options and len(groups) > 1):
        raise FileFormatError(f"<!-- table {mark} -->: say group=…, one of {', '.join(groups)}")
    if "methods" not in options:
        methods = reached_in(groups[title])
    else:
        chosen = [name.strip() for name in options["methods"].split(";")]
        for name in chosen:
            if name not in methods:
                raise FileFormatError(
                    f"<!-- table {mark} -->: {file} has no {name!r}; there are {', '.join(methods)}"
                )
        methods = chosen
    try:
        return KINDS[kind].make(groups[title], methods, options)
    except FileFormatError as error:
        raise FileFormatError(f"<!-- table {mark} -->: {error}") from None
