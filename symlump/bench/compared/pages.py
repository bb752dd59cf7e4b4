"""Pages whose tables and pictures are those of files of rows beside them: each stands between two marks.

``<!-- table FILE.csv KIND option=value … -->`` and ``<!-- end -->`` are the marks of a table; kinds are those
of :mod:`symlump.bench.compared.tables`. Options of all that show paired runs are ``group``, the title of a
group of rows where a file has several, and ``methods``, or all ``but`` these, separated by semicolons. A
picture stands between ``<!-- picture FILE.csv option=value … -->`` and the same end; its ``after`` says what
followed compression, where something did. A text in the file says of which rows it was drawn, and how.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from symlump.bench.compared.runs import Row, errors_of, groups_of, reached_in
from symlump.bench.compared.tables import KINDS, OTHERS
from symlump.bench.kept.places import contents, fill, places_of
from symlump.errors import FileFormatError
from symlump.suggest import did_you_mean

#: The first words of the marks.
TABLE, PICTURE = "table", "picture"
_COMMON = ("group", "methods", "but")


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
    return fill(TABLE, page, lambda text: f"{_Mark.of(TABLE, text).table(folder)}\n")


def files_of(page: str) -> list[str]:
    """The files that the marks of a page name.

    Examples
    --------
    >>> files_of("<!-- table a.csv ranks -->\\n<!-- end -->\\n")
    ['a.csv']
    """
    marks = [*places_of(TABLE, page), *places_of(PICTURE, page)]
    return list(dict.fromkeys(mark.split()[0] for mark in marks))


def old_pictures(page: str, folder: Path) -> list[tuple[str, Path]]:
    """The marks of pictures that were not drawn of the rows that are there now, and the pictures.

    Parameters
    ----------
    page : str
        Markdown.
    folder : Path
        Of the page; pictures are named relative to it.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed, and Pillow with it.
    """
    from symlump.display.drawing import picture_source

    old = []
    for text, lines in contents(PICTURE, page):
        found = re.search(r"!\[[^\]]*\]\(([^)]+)\)", lines)
        if found is None:
            raise FileFormatError(f"<!-- picture {text} -->: there is no ![…](FILE.png) below it")
        path = folder / found[1]
        if picture_source(path) != _Mark.of(PICTURE, text).source(folder):
            old.append((text, path))
    return old


def draw(mark: str, path: Path, folder: Path) -> None:
    """Draw the picture of a mark.

    Parameters
    ----------
    mark : str
        As :func:`old_pictures` gives it.
    path : Path
        Of the picture.
    folder : Path
        Of the rows.
    """
    from symlump.bench.tables import Summary, picture
    from symlump.display.drawing import save_picture

    asked = _Mark.of(PICTURE, mark)
    rows, methods = asked.chosen(folder)
    summary = Summary(rows)
    after = asked.options.get("after", "no retraining")
    title = f"{asked.options.get('group', asked.file)}, {summary.seeds_text}, {after}"
    save_picture(picture(summary, title, methods), path, asked.source(folder))


@dataclass(frozen=True)
class _Mark:
    """What a mark says.

    Parameters
    ----------
    text : str
        All of it, for errors.
    file, kind : str
    options : dict
    """

    text: str
    file: str
    kind: str
    options: dict[str, str]

    @classmethod
    def of(cls, word: str, text: str) -> _Mark:
        whole = f"<!-- {word} {text} -->"
        try:
            file, *words = shlex.split(text)
            kind = words.pop(0) if word == TABLE else PICTURE
            options = dict(option.split("=", 1) for option in words)
        except (ValueError, IndexError):
            raise FileFormatError(
                f"{whole}: write a file, the kind of a table, and options such as share=0.5"
            ) from None
        kinds = {**KINDS, **OTHERS}
        if word == TABLE and kind not in kinds:
            known = did_you_mean(kind, kinds, "choose from ") + ", ".join(kinds)
            raise FileFormatError(f"{whole}: there is no kind {kind!r}{known}")
        allowed = OTHERS[kind].options if kind in OTHERS else _COMMON
        if kind in KINDS:
            allowed += KINDS[kind].options
        elif kind == PICTURE:
            allowed += ("after",)
        for name in options:
            if name not in allowed:
                raise FileFormatError(f"{whole}: {kind} has no option {name!r}")
        return cls(whole, file, kind, options)

    def read(self, folder: Path) -> str:
        """The text of the rows."""
        from symlump.datasets.fetch import read_text

        return read_text(folder / self.file)

    def source(self, folder: Path) -> str:
        """What a picture is drawn from: the mark, and a digest of the rows."""
        rows = hashlib.sha256(self.read(folder).encode()).hexdigest()
        return f"{self.text} of rows with SHA-256 {rows}"

    def table(self, folder: Path) -> str:
        """The table."""
        try:
            if self.kind in OTHERS:
                return OTHERS[self.kind].make(self.read(folder), self.options)
            rows, methods = self.chosen(folder)
            return KINDS[self.kind].make(rows, methods, self.options)
        except FileFormatError as error:
            said = str(error)
            raise FileFormatError(
                said if said.startswith(self.text) else f"{self.text}: {said}"
            ) from None

    def chosen(self, folder: Path) -> tuple[list[Row], list[str]]:
        """The rows of the group that is asked for, and the methods."""
        rows, methods = errors_of(self.read(folder))
        groups = dict(groups_of(rows))
        title = self.options.get("group", next(iter(groups)))
        if title not in groups or ("group" not in self.options and len(groups) > 1):
            raise FileFormatError(f"say group=…, one of {', '.join(map(repr, groups))}")
        chosen, out = (
            [name.strip() for name in self.options.get(option, "").split(";") if name]
            for option in ("methods", "but")
        )
        for name in (*chosen, *out):
            if name not in methods:
                raise FileFormatError(
                    f"{self.file} has no {name!r}; there are {', '.join(methods)}"
                )
        kept = chosen or reached_in(groups[title])
        return groups[title], [name for name in kept if name not in out]
