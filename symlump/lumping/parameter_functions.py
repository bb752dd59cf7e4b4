"""Functions of parameters alone, such as K^n or sin(π), as the expressions that sympy makes of them.

What sympy knows of them is used: sin(π) is 0, and mod(k, k) too. A condition, such as k < 2, is taken as the
number 1 or 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from symlump.errors import UndefinedError
from symlump.lumping.vanishing import vanishing_of
from symlump.ode.functions.algebra import symbols_of
from symlump.ode.functions.symbols import SymbolTable

if TYPE_CHECKING:
    import sympy


def in_sympy(
    table: SymbolTable, parameter: Mapping[int, int], names: Sequence[str]
) -> dict[int, sympy.Expr]:
    """Parameters and functions of them alone as expressions.

    Raises
    ------
    UndefinedError
        If a denominator is 0, or mod(k, 0) occurs.
    """
    import sympy

    from symlump.ode.functions.sympy_io import apply_function, as_number, in_symbols

    found = {s: sympy.Symbol(names[k]) for s, k in parameter.items()}
    for k, (name, arguments) in enumerate(zip(table.functions, table.arguments, strict=True)):
        if (
            name != "time"
            and "'" not in name
            and all(s in found for u in arguments for s in symbols_of(u))
        ):
            value = apply_function(name, [in_symbols(u, found) for u in arguments])
            if name == "inverse" and value.has(sympy.zoo, sympy.nan):
                raise UndefinedError("a denominator is 0, whatever the parameters are")
            found[table.count + k] = value
    return {s: as_number(value) for s, value in found.items()}


def without_value(expressions: Iterable[sympy.Expr], meant: Mapping[str, sympy.Expr]) -> str:
    """The first letter in expressions that means no real number whatever the parameters are, or ""."""
    import sympy

    for letter in {s.name: None for e in expressions for s in e.free_symbols if s.name in meant}:
        value = meant[letter]
        if value.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I) or value.is_extended_real is False:
            return str(letter)
    return ""


def with_meaning(
    expressions: Iterable[sympy.Expr], meant: Mapping[str, sympy.Expr], names: Sequence[str]
) -> tuple[sympy.Expr, ...]:
    """Expressions with what letters stand for, which sympy may know to be a number, such as sin(π) = 0."""
    import sympy

    values = {sympy.Symbol(letter): value for letter, value in meant.items()}
    if not meant:
        return tuple(expressions)
    return vanishing_of([e.xreplace(values) for e in expressions], names)
