"""Statements as one types them: a derivative, a next value, a value, or where something starts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from symlump.formats.expression import NAME
from symlump.formats.source import Source, quote

_COMMENT = re.compile(r"(?:#|//)[^\n]*")
_STATEMENT = re.compile(r"[^;\n]+")
_LEFT = re.compile(
    rf"\s*+(?:d\s*(?P<slope>{NAME})\s*/\s*dt|d\s*\((?P<erode>{NAME})\)(?:\s*/\s*dt)?"
    rf"|(?P<start>{NAME})\s*\(\s*0\s*\)|(?P<name>{NAME})\s*(?P<mark>['′’]|\+(?=\s*=)|⁺)?)\s*=(?!=)"
)
_PRIMED = re.compile(rf"\s*+{NAME}(?:\[\w+\])?\s*['′’]")
_SECOND = re.compile(rf"\s*+(?P<name>{NAME})\s*(?:['′’]{{2}}|[\"″])")


class Statement(NamedTuple):
    """What is said of a name, and where: ``kind`` is one of rate, next, start, value.

    The right-hand side is the text from ``begin`` to ``end``; ``at`` is where the statement begins.
    """

    kind: str
    name: str
    at: int
    begin: int
    end: int


def looks_like_statements(line: str) -> bool:
    """True for what begins like one of these, or was meant to."""
    return _LEFT.match(line) is not None or _PRIMED.match(line) is not None


def without_comments(source: Source) -> Source:
    """The same text with blanks in the place of comments, which ``#`` and ``//`` begin."""
    return Source(source.path, _COMMENT.sub(lambda m: " " * len(m[0]), source.text))


def statements(source: Source, expected: str) -> Iterator[Statement]:
    """The statements of a text, one a line or several with semicolons between them.

    Raises
    ------
    FileFormatError
        If something else stands there than what is ``expected``.

    Examples
    --------
    >>> for found in statements(Source("-", "dx/dt = -v; v = k*x; x(0) = 1"), ""):
    ...     print(found.kind, found.name)
    rate x
    value v
    start x
    """
    for statement in _STATEMENT.finditer(source.text):
        if not statement[0].strip():
            continue
        at = statement.start() + len(statement[0]) - len(statement[0].lstrip())
        left = _LEFT.match(source.text, at, statement.end())
        if left is None:
            second = _SECOND.match(statement[0])
            more = f"; for {second['name']}'' write {second['name']}' = v; v' = …" if second else ""
            raise source.error(
                at, f"expected {expected}; found {quote(statement[0].strip())}{more}"
            )
        yield Statement(*_kind(left), at, left.end(), statement.end())


def _kind(left: re.Match[str]) -> tuple[str, str]:
    if left["start"]:
        return "start", left["start"]
    if left["name"] and not left["mark"]:
        return "value", left["name"]
    is_next = left["mark"] in ("+", "⁺")
    return "next" if is_next else "rate", left["slope"] or left["erode"] or left["name"]
