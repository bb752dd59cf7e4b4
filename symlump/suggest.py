"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_LOOKED_AT = 20_000  # names; of more, the ones that differ by a letter are found among the first


def close_to(given: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to a given one, if one is close.

    Examples
    --------
    >>> close_to("foward", ["backward", "forward"]), close_to("X1", ["x1", "x2"]), close_to("u", ["x"])
    ('forward', 'x1', None)
    """
    names = [
        name
        for name in islice(known, _LOOKED_AT)
        if abs(len(name) - len(given)) <= len(given) // 2 + 1
    ]
    folded = given.casefold()
    for name in names:
        if name.casefold() == folded:
            return name
    found = get_close_matches(given, names, n=1, cutoff=0.7)
    return found[0] if found else None


def did_you_mean(given: str, known: Iterable[str], then: str = "") -> str:
    """The end of a message about an unknown name, and how it goes on; no question if nothing is close.

    Examples
    --------
    >>> did_you_mean("foward", ["backward", "forward"])
    "; did you mean 'forward'?"
    >>> did_you_mean("foward", ["forward"], "choose one"), did_you_mean("x", ["forward"], "choose one")
    ("; did you mean 'forward'? Choose one", '; choose one')
    """
    found = close_to(given, known)
    if found is None:
        return f"; {then}" if then else ""
    question = f"; did you mean {found!r}?"
    return f"{question} {then[0].upper()}{then[1:]}" if then else question
