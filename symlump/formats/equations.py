"""Equations as text: ``x' = -k*x/(1 + x); y' = k*x/(1 + x)``, or of a map, ``x+ = x/2 + y; y+ = x*y``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from symlump.errors import VariableError
from symlump.formats.expression import NAME, NAMES_OF_NONE, TYPED, ExpressionReader, Tokens
from symlump.formats.source import Source, quote
from symlump.formats.symbolic import SymbolArithmetic
from symlump.ode.functions.algebra import Polynomial, symbol
from symlump.ode.functions.symbols import SymbolTable

_STATEMENT = re.compile(r"[^;\n]+")
_LEFT = re.compile(rf"\s*({NAME})\s*('|\+|⁺)\s*=")


class Equations(NamedTuple):
    """Right-hand sides in the symbols of a table, and whether they are the values after one step."""

    variables: list[str]
    right: list[Polynomial]
    table: SymbolTable
    parameters: list[str]
    discrete: bool


def read_equations(text: str, parameters: Iterable[str] = ()) -> Equations:
    """Read equations ``x' = …``, one a line or separated by semicolons; ``#`` begins a comment.

    All of them ``x+ = …`` (or ``x⁺ = …``) make a map: equations for the values after one step.

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
    source = Source("equations", re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), text))
    right: dict[str, tuple[int, int]] = {}
    discrete: bool | None = None
    for statement in _STATEMENT.finditer(source.text):
        if not statement[0].strip():
            continue
        left = _LEFT.match(source.text, statement.start(), statement.end())
        if left is None:
            at = statement.start() + len(statement[0]) - len(statement[0].lstrip())
            raise source.error(
                at, f"expected an equation such as x' = -x, found {quote(statement[0].strip())}"
            )
        if left[1] in right:
            raise source.error(left.start(1), f"{quote(left[1])} has two equations")
        if discrete is not None and discrete != (left[2] != "'"):
            raise source.error(
                left.start(2),
                "x' = … (a derivative) and x+ = … (the next value) are not mixed in one system",
            )
        discrete = left[2] != "'"
        right[left[1]] = left.end(), statement.end()
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
                raise VariableError(f"{quote(name)} is a parameter, so it does not move")
            equations[name] = {}
    rows = [equations.get(name, {}) for name in names]
    return Equations(names, rows, arithmetic.table, constants, bool(discrete))
