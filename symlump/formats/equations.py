"""Equations as text: ``x' = -k*x/(1 + x); y' = k*x/(1 + x)``, or of a map, ``x+ = x/2 + y; y+ = x*y``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple

from symlump.errors import VariableError
from symlump.formats.expression import NAMES_OF_NONE, TYPED, ExpressionReader, Tokens
from symlump.formats.source import Source, quote
from symlump.formats.symbolic import SymbolArithmetic, left_out
from symlump.formats.text.statements import statements, without_comments
from symlump.ode.functions.algebra import Polynomial, symbol
from symlump.ode.functions.symbols import SymbolTable

_EXPECTED = "an equation such as x' = -k*x/(1 + x), or x+ = x/2 of a map"
_NONE_HERE = {
    "value": "{0} = … is not an equation: substitute {0} by its value, or name it in parameters=; ",
    "start": "{0}(0) = … is not an equation: initial states are given to simulate; ",
}
_MODEL = "a model with values and initial values is a .txt file, read by sl.read"


class Equations(NamedTuple):
    """Right-hand sides in the symbols of a table, and whether they are the values after one step."""

    variables: list[str]
    right: list[Polynomial]
    table: SymbolTable
    parameters: list[str]
    discrete: bool


def read_equations(text: str, parameters: Iterable[str] = ()) -> Equations:
    """Read equations ``x' = …``, one a line or separated by semicolons; ``#`` and ``//`` begin comments.

    ``dx/dt = …`` and ``d(x) = …`` mean the same. All of them ``x+ = …`` (or ``x⁺ = …``) make a map: equations
    for the values after one step.

    The grammar is that of model files: numbers, names, ``+ - * / ^``, functions; nothing is evaluated as
    Python. What ``print(ode)`` shows is read back, unless numbers or sums are cut ("…").

    ``t`` and ``time`` are the time and ``pi`` is π, unless a variable has that name; ``time()`` and ``pi()``
    always are. ``ln`` is the natural logarithm; ``exp(1)``, ``ln(2)``, ``2^(1/2)`` stay what they are. ``e``
    is a name like others, ``inf`` is no number.

    Parameters
    ----------
    text : str
    parameters : iterable of str
        Symbolic constants that occur on the right; without an equation, or with ``k' = 0`` (in a map,
        ``k+ = k``).

    Raises
    ------
    InputError
        If a line is no equation, a name has two equations or none, a function is not known, or ``'`` and ``+``
        are mixed; with line and column.
    VariableError
        If a parameter moves.

    Warns
    -----
    UserWarning
        If a function cancels that has not a value everywhere, as in 0*ln(x) and x/x.

    Examples
    --------
    >>> from symlump import ODE
    >>> print(ODE.from_text("x' = -k*x/(1 + x); y' = k*x/(1 + x) - exp(-t)*y", ["k"]))
    x' = -x*k/(1 + x)
    y' = -y*exp(-t) + x*k/(1 + x)
    k' = 0
    >>> print(ODE.from_text("x+ = a*x + y; y+ = x*y", ["a"]))
    x⁺ = y + x*a
    y⁺ = x*y
    a⁺ = a
    """
    source = without_comments(Source("equations", text))
    right: dict[str, tuple[int, int]] = {}
    discrete: bool | None = None
    for kind, name, at, begin, end in statements(source, _EXPECTED):
        if kind in _NONE_HERE:
            raise source.error(at, _NONE_HERE[kind].format(name) + _MODEL)
        if name in right:
            raise source.error(at, f"{quote(name)} has two equations")
        if discrete is not None and discrete != (kind == "next"):
            raise source.error(
                at, "x' = … (a derivative) and x+ = … (the next value) are not mixed in one system"
            )
        discrete = kind == "next"
        right[name] = begin, end
    constants = list(dict.fromkeys(parameters))
    names = [*right, *(name for name in constants if name not in right)]
    arithmetic = SymbolArithmetic(SymbolTable(len(names)), exact=True)
    known: dict[str, Polynomial] = {name: symbol(i) for i, name in enumerate(names)}
    for name, function in (("t", "time"), ("time", "time"), ("pi", "pi")):
        known.setdefault(name, arithmetic.table.apply(function, []))
    absent = NAMES_OF_NONE | dict.fromkeys(("e", "E"), "is not defined; Euler's number is exp(1)")
    reader = ExpressionReader(known, TYPED, arithmetic, absent)
    equations: dict[str, Polynomial] = {}
    for name, (start, stop) in right.items():
        tokens = Tokens(source, start, stop)
        found = equations[name] = dict(reader.read(tokens))
        if tokens.kind != "end":
            raise tokens.error("the end of the equation")
        if name in constants:
            if found != (known[name] if discrete else {}):
                raise VariableError(f"{quote(name)} is a parameter, so it cannot have an equation")
            equations[name] = {}
    rows = [equations.get(name, {}) for name in names]
    lost = left_out(names, rows, arithmetic.table)
    if lost:
        warnings.warn(lost, stacklevel=3)  # at the caller of ODE.from_text
    return Equations(names, rows, arithmetic.table, constants, bool(discrete))
