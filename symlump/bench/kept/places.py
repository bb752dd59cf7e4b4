"""Places of a page, between two marks, that are written anew."""

from __future__ import annotations

import re
from collections.abc import Callable


def places_of(word: str, page: str) -> list[str]:
    """What the places of a page ask for.

    Examples
    --------
    >>> places_of("measured", "<!-- measured engine -->\\n<!-- end -->\\n")
    ['engine']
    """
    return [what for what, _ in contents(word, page)]


def fill(word: str, page: str, make: Callable[[str], str]) -> str:
    """The page with what ``make`` gives for each place; what is outside stays.

    Parameters
    ----------
    word : str
        Of the marks: a place begins with a line ``<!-- WORD what it asks for -->``, and ends with a line
        ``<!-- end -->``.
    page : str
        Markdown.
    make : callable
        From what a place asks for to its lines.

    Examples
    --------
    >>> page = "a\\n<!-- measured x -->\\nold\\n<!-- end -->\\nb"
    >>> print(fill("measured", page, lambda name: f"new {name}\\n"))
    a
    <!-- measured x -->
    new x
    <!-- end -->
    b
    """
    return _places(word).sub(lambda found: place(word, found[1], make(found[1])), page)


def contents(word: str, page: str) -> list[tuple[str, str]]:
    """What the places of a page ask for, and their lines.

    Examples
    --------
    >>> contents("picture", "<!-- picture x -->\\n![y](y.png)\\n<!-- end -->\\n")
    [('x', '![y](y.png)\\n')]
    """
    return [(found[1], found[2]) for found in _places(word).finditer(page)]


def place(word: str, what: str, text: str) -> str:
    """A place with its lines."""
    return f"<!-- {word} {what} -->\n{text}<!-- end -->"


def _places(word: str) -> re.Pattern[str]:
    return re.compile(rf"^<!-- {word} (.+?) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
