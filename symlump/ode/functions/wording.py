"""How one says which functions are taken as unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from symlump.ode.functions.known import unknown_functions

if TYPE_CHECKING:
    from symlump.ode.system import ODE

#: What is said of the slopes of such functions, without the article.
UNKNOWN_SLOPES = "derivative such as exp', or D1(a^n) by a, is taken as one more unknown function"


def list_names(names: Sequence[str]) -> str:
    """Names as one says them; empty where there are none.

    Examples
    --------
    >>> list_names(["a", "b", "c"]), list_names(["a"])
    ('a, b and c', 'a')
    """
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def listed_functions(functions: Iterable[str]) -> str:
    """Functions by name, as one says them.

    Examples
    --------
    >>> listed_functions(["log", "lt", "neq", "power"])
    'ln, comparisons and powers'
    """
    return list_names(list(dict.fromkeys(_WORDS.get(name, name) for name in functions)))


_WORDS = {"power": "powers", "log": "ln"} | dict.fromkeys(
    ("lt", "leq", "gt", "geq", "eq", "neq"), "comparisons"
)


def taken_as_unknown(ode: ODE) -> str:
    """The functions in a system that are taken as unknown; empty where there are none.

    Examples
    --------
    >>> import symlump as sl
    >>> taken_as_unknown(sl.ODE.from_text("x' = exp(-t)*sin(x) + x^n", parameters=["n"]))
    'exp, powers and sin'
    """
    return listed_functions(unknown_functions(ode))


def with_unknown(ode: ODE) -> str:
    """What a headline says of them, behind what was found; empty where there are none.

    Examples
    --------
    >>> import symlump as sl
    >>> with_unknown(sl.ODE.from_text("x' = exp(-t)*x")), with_unknown(sl.ODE.from_text("x' = x^2"))
    (', with exp taken as unknown', '')
    """
    names = taken_as_unknown(ode)
    return f", with {names} taken as unknown" if names else ""


def unknown_note(ode: ODE, missed: str) -> str:
    """What could have been missed, as functions are taken as unknown.

    Examples
    --------
    >>> import symlump as sl
    >>> unknown_note(sl.ODE.from_text("x' = exp(-t)*x"), "a coarser lumping")
    'exp is taken as an unknown function, so a coarser lumping that uses more of it may exist'
    """
    names = taken_as_unknown(ode)
    what, whose = "is taken as an unknown function", "it"
    if " and " in names or names in ("powers", "comparisons"):
        what, whose = "are taken as unknown functions", "them"
    return f"{names} {what}, so {missed} that uses more of {whose} may exist"


def has_unknown_slopes(text: str) -> bool:
    """Whether derivatives such as exp' occur in what was written."""
    return any(sign in text for sign in ("'(", "D1(", "D2("))
