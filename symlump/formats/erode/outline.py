"""The outline of an ERODE file: comments, strings, sections and commands, each with its place.

Everything keeps its position in the text, so that errors can name line and column: a comment is
blanked, not cut out, and a section is a pair of positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from symlump.formats.source import Source, quote

SECTIONS = {
    "parameters": "parameters",
    "init": "init",
    "inits": "init",
    "partition": "partition",
    "reactions": "reactions",
    "ODE": "ODE",
    "alg": "alg",
    "views": "views",
}
_HIDDEN = re.compile(r'"[^"\n]*"|//[^\n]*|/\*.*?\*/|/\*', re.DOTALL)
_VISIBLE = re.compile(r"[^\n]")
_KEY = re.compile(r"(?:begin|end)[ \t]+\w+")
_BOOLEAN = re.compile(r"begin\b.*\bBoolean network\b")
#: Commands that the other program with files .ode has, and neither ERODE nor equations as text.
_XPP = re.compile(
    r"^[ \t]*(?:(?:par|init|number|aux|wiener|table|markov)\w*[ \t]+\w|@[ \t]*\w|done[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_WORD = re.compile(r"[\w.]")
_COMMAND = re.compile(r"\s*([^\W\d][\w-]*)\s*\(")
_BRACKET = re.compile(r"[()]")


@dataclass(frozen=True)
class Outline:
    """The parts of an ERODE file, as positions in ``source``, whose comments are blanked."""

    source: Source
    name: str
    sections: dict[str, tuple[int, int]]


def _hint(text: str, line: str) -> str:
    """What a file without 'begin model' may be, and what to do."""
    from symlump.formats.text import looks_like_statements

    if _BOOLEAN.match(line):
        return "; a Boolean network of ERODE is not made of differential equations, and is not supported"
    if _XPP.search(text):
        return (
            "; this looks like a file of XPPAUT, which is not read: write its equations as text (.txt), "
            "with 'k = 2' in place of par, and 'x(0) = 1' in place of init"
        )
    if looks_like_statements(line):  # typed without a model around them
        return '; equations alone are format="equations" (on the command line: --format equations)'
    return ""


def outline(source: Source) -> Outline:
    """Find the sections of a file, and check that what is outside them are commands.

    Examples
    --------
    >>> text = "begin model m\\nbegin init\\nx = 1\\nend init\\nend model"
    >>> found = outline(Source("a.ode", text))
    >>> found.name, found.sections
    ('m', {'init': (24, 31)})

    Raises
    ------
    FileFormatError
        If sections are not closed, nested, unknown or given twice.
    """
    source = without_comments(source)
    text = source.text
    keys = [
        match
        for match in _keys(text)
        if not _WORD.match(text, max(0, match.start() - 1), match.start())
    ]
    if not keys or keys[0][0].split() != ["begin", "model"] or text[: keys[0].start()].strip():
        at = len(text) - len(text.lstrip())
        line = text[at:].split("\n", 1)[0]
        raise source.error(
            min(at, len(text) - 1),
            f"expected 'begin model', found {quote(line)}{_hint(text, line)}",
        )
    line_end = text.find("\n", keys[0].end())
    line_end = len(text) if line_end < 0 else line_end
    name = text[keys[0].end() : line_end].strip()
    if not name:
        raise source.error(keys[0].start(), "expected the name of the model after 'begin model'")
    sections: dict[str, tuple[int, int]] = {}
    opened: tuple[str, str, int, int] | None = None  # written name, section, start, content start
    outside, closed = line_end, False
    for key in keys[1:]:
        if key.start() < line_end:
            continue
        verb, written = key[0].split()
        if opened is not None:
            if verb == "end" and SECTIONS.get(written) == opened[1]:
                sections[opened[1]] = opened[3], key.start()
                opened, outside = None, key.end()
                continue
            raise source.error(
                key.start(), f"{quote(key[0])} inside 'begin {opened[0]}', which is not closed yet"
            )
        _skip_commands(source, outside, key.start())
        outside = key.end()
        if closed:
            raise source.error(key.start(), f"{quote(key[0])} after 'end model'")
        if verb == "end":
            if written != "model":
                raise source.error(key.start(), f"{quote(key[0])} without 'begin {written}'")
            closed = True
        elif written not in SECTIONS:
            raise source.error(
                key.start(),
                f"unknown section {quote(written)}; the sections are {', '.join(SECTIONS)}",
            )
        elif SECTIONS[written] in sections:
            raise source.error(key.start(), f"a second section {quote(written)}")
        else:
            opened = written, SECTIONS[written], key.start(), key.end()
    if opened is not None:
        raise source.error(opened[2], f"'begin {opened[0]}' is never closed")
    if not closed:
        raise source.error(keys[0].start(), "'begin model' is never closed by 'end model'")
    _skip_commands(source, outside, len(text))
    return Outline(source, name, sections)


def _keys(text: str) -> Iterator[re.Match[str]]:
    """What ``_KEY`` finds; looking for the two words takes a tenth of the time."""
    places = {"begin": -1, "end": -1}
    position = 0
    while True:
        for word, place in places.items():
            if place < position:
                found = text.find(word, position)
                places[word] = len(text) if found < 0 else found
        position = min(places.values())
        if position == len(text):
            return
        match = _KEY.match(text, position)
        position += 1
        if match is not None:
            yield match
            position = match.end()


def without_comments(source: Source) -> Source:
    """Blank comments and the insides of strings, character by character."""
    text = source.text
    if "//" not in text and "/*" not in text and '"' not in text:
        return source

    def blank(match: re.Match[str]) -> str:
        hidden = match[0]
        if hidden[0] == '"':
            return '"' + " " * (len(hidden) - 2) + '"'
        if hidden == "/*":
            raise source.error(match.start(), "a comment that starts here is never closed by '*/'")
        return _VISIBLE.sub(" ", hidden) if hidden[1] == "*" else " " * len(hidden)

    return replace(source, text=_HIDDEN.sub(blank, text))


def _skip_commands(source: Source, start: int, stop: int) -> None:
    """Go past commands such as ``simulateODE(tEnd=1)``; anything else is an error."""
    text = source.text
    while True:
        command = _COMMAND.match(text, start, stop)
        if command is None:
            rest = text[start:stop]
            if rest.strip():
                at = start + len(rest) - len(rest.lstrip())
                line = rest.lstrip().split("\n", 1)[0]
                raise source.error(at, f"expected a section or a command, found {quote(line)}")
            return
        depth, start = 1, command.end()
        while depth:
            bracket = _BRACKET.search(text, start, stop)
            if bracket is None:
                raise source.error(
                    command.start(1), f"the '(' of the command {quote(command[1])} is never closed"
                )
            depth += 1 if bracket[0] == "(" else -1
            start = bracket.end()
