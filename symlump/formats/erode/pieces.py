"""A section of an ERODE file in pieces that end where a statement ends."""

from __future__ import annotations

from collections.abc import Iterator

from symlump.formats.erode.outline import without_comments
from symlump.formats.erode.plain import OPERATORS
from symlump.formats.source import LongSection, Source


class Joined:
    """The pieces of a section, each behind what was left over of the one before.

    Parameters
    ----------
    section : LongSection

    Attributes
    ----------
    end : int
        Up to where the present piece was read; whoever iterates sets it.
    """

    def __init__(self, section: LongSection) -> None:
        self._section = section
        self.end = 0

    def __iter__(self) -> Iterator[tuple[Source, int, bool]]:
        """Each text, up to where it may be read now, and whether more follows."""
        rest, line = "", 0
        pieces = iter(self._section)
        piece = next(pieces, None)
        while piece is not None:
            following = next(pieces, None)
            text = rest + without_comments(piece).text
            line = line if rest else piece.first_line
            stop = len(text) if following is None else _end_of_statements(text)
            yield Source(piece.path, text, line), stop, following is not None
            rest, line = text[self.end :], line + text.count("\n", 0, self.end)
            piece = following


def _end_of_statements(text: str) -> int:
    """Where the last line ends behind which no operator goes on with what it says; 0 if there is none."""
    end = len(text)
    while (end := text.rfind("\n", 0, end)) >= 0:
        following = text[end:].lstrip()[:1]
        if following and following not in OPERATORS:
            return end
    return 0
