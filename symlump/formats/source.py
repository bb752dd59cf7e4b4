"""A text file that has been read and checked, and errors that say where in it they happened."""

from __future__ import annotations

import os
import re
import stat
import sys
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from symlump.errors import FileFormatError, InputError
from symlump.files import STANDARD

MAX_BYTES = 2**30
MAX_LINE = 64 * 2**20
_LINE_FEED = 10
#: Bytes that are read at once of a file that is read in pieces.
PIECE = 1 << 22


@dataclass(frozen=True, eq=False)
class Source:
    """The text of a file, with the path that errors name.

    Parameters
    ----------
    path : str
        Shown at the head of every error.
    text : str
        Line ends are ``\\n``, whatever the file has.
    first_line : int
        The number of its first line, of a part of a file.
    left_out : (int, int)
        At which position lines of the file are missing, and how many.

    Examples
    --------
    >>> str(Source("a.ode", "begin\\nmodle").error(6, "expected 'model'"))
    "a.ode:2:1: expected 'model'"
    """

    path: str
    text: str
    first_line: int = 1
    left_out: tuple[int, int] = (0, 0)

    @classmethod
    def read(cls, path: str | Path) -> Source:
        """Read a text file; ``-`` is standard input.

        Raises
        ------
        FileFormatError
            If it is missing, not a regular file, above 1 GiB, empty, not UTF-8 text, or has a line
            above 64 MiB.
        """
        name = os.fspath(path)
        if name == STANDARD:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise FileFormatError(f"{name}: symlump reads at most {MAX_BYTES} bytes (1 GiB)")
            return cls.of_bytes(name, data)
        with _opened(name) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > MAX_BYTES:
                raise FileFormatError(
                    f"{name}: the file has {size} bytes; symlump reads at most {MAX_BYTES} (1 GiB)"
                )
            return cls.of_bytes(name, handle.read())

    @classmethod
    def of_bytes(cls, path: str, data: bytes, first_line: int = 1) -> Source:
        """Decode and check what a file contains, or a part of it."""
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            before = data[: problem.start].decode("utf-8", "replace")
            raise cls(path, before, first_line).error(
                len(before), f"byte {data[problem.start]:#04x} is not UTF-8 text"
            ) from None
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        source = cls(path, text, first_line)
        if "\0" in text:
            raise source.error(text.index("\0"), "a zero byte: this is not a text file")
        if not text or text.isspace():
            raise source.error(0, "the file is empty")
        if len(text) > MAX_LINE:
            source._check_lines()
        return source

    def _check_lines(self) -> None:
        start = 0
        while len(self.text) - start > MAX_LINE:
            end = self.text.rfind("\n", start, start + MAX_LINE + 1)
            if end < 0:
                raise self.error(start, f"the line is longer than {MAX_LINE} characters (64 MiB)")
            start = end + 1

    @cached_property
    def _line_starts(self) -> list[int]:
        starts, position = [0], self.text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = self.text.find("\n", position + 1)
        return starts

    def where(self, position: int) -> str:
        """``PATH:LINE:COLUMN`` of a position in the text."""
        line = bisect_right(self._line_starts, position)
        at, missing = self.left_out
        number = line + self.first_line - 1 + (missing if position >= at else 0)
        return f"{self.path}:{number}:{position - self._line_starts[line - 1] + 1}"

    def lines(self, blank: str | None = None) -> Iterator[tuple[int, int]]:
        """Where each line begins and ends without blanks (by default white space), except for the empty ones.

        Examples
        --------
        >>> list(Source("a.net", "begin\\n\\n  x 1 \\n").lines())
        [(0, 5), (9, 12)]
        """
        position = 0
        for line in self.text.split("\n"):
            content = line.strip(blank)
            if content:
                start = position + line.index(content[0])
                yield start, start + len(content)
            position += len(line) + 1

    def error(
        self, position: int, message: str, kind: type[InputError] = FileFormatError
    ) -> InputError:
        """An exception that says where it happened; the caller raises it."""
        return kind(f"{self.where(position)}: {message}")


@contextmanager
def _opened(path: str | Path, regular: bool = True) -> Iterator[BinaryIO]:
    """A file to read; what goes wrong meanwhile names it."""
    try:
        with open(path, "rb") as file:
            if regular and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileFormatError(f"{path}: this is not a regular file")
            yield file
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the path
        if isinstance(problem, FileFormatError):
            raise
        reason = getattr(problem, "strerror", None) or str(problem)
        raise FileFormatError(f"{path}: cannot be read: {reason}") from None


def file_size(path: str | Path) -> int:
    """Bytes of a file; 0 of one that cannot be read, which reading will say."""
    with suppress(OSError, ValueError):
        return os.stat(path).st_size
    return 0


def read_pieces(
    path: str | Path,
    begin: int = 0,
    end: int | None = None,
    first_line: int = 1,
    most: int | None = None,
) -> Iterator[Source]:
    """A file, or its bytes ``begin`` … ``end``, in whole lines, ``most`` bytes (some megabytes) at a time.

    From the beginning a pipe is read, too.

    Raises
    ------
    FileFormatError
        If it cannot be read, is not UTF-8 text, or has a line above 64 MiB.
    """
    line, rest, first, most = first_line, b"", begin == 0, most or PIECE
    with _opened(path, regular=False) as file:
        if begin:
            file.seek(begin)
        while True:
            size = most if end is None else min(most, end - file.tell())
            data = file.read(size)
            ended = len(data) < max(size, 1)  # then the last line needs no line feed
            stop = len(data) if ended else data.rfind(b"\n") + 1
            if not (stop or ended):  # the middle of a line
                rest += data
                if len(rest) > MAX_LINE:
                    raise FileFormatError(f"{path}: a line is longer than {MAX_LINE} bytes")
                continue
            whole, rest = b"".join((rest, memoryview(data)[:stop])), data[stop:]
            if (whole and not whole.isspace()) or (first and ended):  # an empty file is refused
                yield Source.of_bytes(os.fspath(path), whole, line)
                first = False
            # By numpy: bytes.count looks for one after the other.
            line += int(np.count_nonzero(np.frombuffer(whole, dtype=np.uint8) == _LINE_FEED))
            if ended:
                return


@dataclass(frozen=True, eq=False)
class LongSection:
    """A section of a file that is read in pieces, as often as one asks for them.

    Parameters
    ----------
    around : Source
        The file without the lines of the section.
    name : str
    begin, end : int
        Where the section is, in bytes.
    first_line : int
        The number of its first line.
    """

    around: Source
    name: str
    begin: int
    end: int
    first_line: int

    def __iter__(self) -> Iterator[Source]:
        return read_pieces(self.around.path, self.begin, self.end, self.first_line)

    @classmethod
    def find(
        cls, path: str | Path, names: Iterable[str], comment: str, without: str
    ) -> LongSection | None:
        """The first section ``begin NAME`` … ``end NAME``, each on a line of its own; None if there is none.

        ``comment`` begins a comment up to the end of the line. A section with the text ``without`` is none.

        Raises
        ------
        FileFormatError
            As :meth:`Source.read`.
        """
        named = "|".join(map(re.escape, names))
        tail = rf"[ \t]*(?:{re.escape(comment)}.*)?\s*"
        opening = re.compile(rf"\s*begin[ \t]+({named}){tail}".encode(), re.DOTALL)
        before, after = bytearray(), bytearray()
        name, first_line, begin, end, place, lines = b"", 0, 0, -1, 0, 0
        closing, forbidden = opening, without.encode()
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                inside = bool(name) and end < 0
                if inside and b"end" in line and closing.fullmatch(line):
                    inside, end = False, place
                if inside and forbidden and forbidden in line:
                    return None
                if inside:
                    lines += 1
                elif name:
                    after += line
                else:
                    before += line
                if len(before) + len(after) > MAX_BYTES:
                    return None
                place += len(line)
                if not name and b"begin" in line and (found := opening.fullmatch(line)):
                    name, begin, first_line = found[1], place, number + 1
                    closing = re.compile(
                        rb"\s*end[ \t]+" + re.escape(name) + tail.encode(), re.DOTALL
                    )
        if end < 0:
            return None
        head = Source.of_bytes(os.fspath(path), bytes(before))
        rest = Source.of_bytes(os.fspath(path), bytes(after), first_line + lines)
        around = Source(head.path, head.text + rest.text, left_out=(len(head.text), lines))
        return cls(around, name.decode(), begin, end, first_line)


def quote(text: str, limit: int = 60) -> str:
    """Text from a file as it stands in an error message: quoted, on one line, cut when long.

    Examples
    --------
    >>> quote("a\\nb"), quote("x" * 9, limit=4)
    ("'a\\\\nb'", "'xxxx…'")
    """
    return repr(text if len(text) <= limit else text[:limit] + "…")


#: A note of a model begins with it; names follow.
NO_VALUE = "parameters without a value, for which 0 is put: "


def quote_names(names: Iterable[str], limit: int = 8) -> str:
    """Names from a file as they stand in a message: quoted, and cut where they are many.

    Examples
    --------
    >>> quote_names("abc"), quote_names("abc", 2)
    ("'a', 'b', 'c'", "'a', 'b' and 1 more")
    """
    every = list(names)
    text = ", ".join(quote(name) for name in every[:limit])
    return text + (f" and {len(every) - limit} more" if len(every) > limit else "")


def put_in_notes(
    constants: Sequence[str], followed: Sequence[str], by: str, absent: Collection[str] = ()
) -> list[str]:
    """Notes of what stands for a name: values of constants, definitions, 0 for what has no value.

    Examples
    --------
    >>> put_in_notes(["k"], [], "rules")
    ["constants replaced by their values: 'k'"]
    """
    notes = []
    if constants:
        notes.append(f"constants replaced by their values: {quote_names(constants)}")
    if followed:
        notes.append(f"put in where they occur, as {by} define them: {quote_names(followed)}")
    if absent:
        notes.append(f"{NO_VALUE}{quote_names(absent)}")
    return notes
