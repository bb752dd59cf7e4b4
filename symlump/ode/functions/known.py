"""The functions that right-hand sides may contain: values, exact facts, derivatives.

A function applied to its arguments is a symbol of its own, free of the others: nothing is assumed of exp(x)
but its derivative. Where even that is not given (floor, piecewise, comparisons) the derivative is one more
free symbol. So what is found equal is equal; an identity such as sin² + cos² = 1 is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.ode.functions.algebra import Polynomial, constant, scale, total

if TYPE_CHECKING:
    from symlump.ode.functions.symbols import SymbolTable
    from symlump.ode.system import ODE

#: Where an exponent becomes a whole number n, u^n is a product for −MAX_EXPONENT ≤ n ≤ MAX_EXPONENT.
MAX_EXPONENT = 1_000

#: Given the table, the symbol f(u) itself and the arguments: ∂f/∂u_a for each argument, as polynomials in
#: symbols.
Slopes = Callable[["SymbolTable", Polynomial, Sequence[Polynomial]], list[Polynomial]]


@dataclass(frozen=True)
class Function:
    """One function.

    Parameters
    ----------
    name : str
        As it is written, in text and in certificates.
    values : callable
        float64 arrays in, one out.
    slopes : callable or None
        Its derivatives as polynomials in symbols; None where they are free symbols.
    exact : mapping
        Values at single rational arguments.
    parity : {-1, 0, 1}
        f(−u) = ±f(u), or nothing.
    latex : str
        With ``{}`` for the arguments; empty for a name in roman letters.
    """

    name: str
    values: Callable[..., Any]
    slopes: Slopes | None = None
    exact: Mapping[int, int] = field(default_factory=dict)
    parity: int = 0
    latex: str = ""


def _inverse(table: SymbolTable, f: Polynomial, u: Sequence[Polynomial]) -> list[Polynomial]:
    return [scale(table.multiply(f, f), Fraction(-1))]


def _power(table: SymbolTable, f: Polynomial, u: Sequence[Polynomial]) -> list[Polynomial]:
    base, exponent = u
    by_base = table.multiply(table.multiply(exponent, f), table.inverse(base))
    if not any(exponent):
        return [by_base, {}]
    return [by_base, table.multiply(f, table.apply("log", [base]))]


def _times(name: str, sign: int = 1) -> Slopes:
    return lambda table, f, u: [scale(table.apply(name, u), Fraction(sign))]


def _one_plus_square(sign: int) -> Slopes:
    return lambda table, f, u: [total([constant(1), scale(table.multiply(f, f), Fraction(sign))])]


def _arc(sign: int, inside: tuple[int, int], root: bool) -> Slopes:
    """±1/(a + b·u²), or over its root."""

    def slopes(table: SymbolTable, f: Polynomial, u: Sequence[Polynomial]) -> list[Polynomial]:
        square = table.multiply(u[0], u[0])
        below = total([constant(inside[0]), scale(square, Fraction(inside[1]))])
        if root:
            below = table.power(below, constant(Fraction(1, 2)))
        return [scale(table.inverse(below), Fraction(sign))]

    return slopes


def _piecewise(*values: Any) -> Any:
    """Value, condition, value, condition, …, and what holds otherwise (not a number where nothing does)."""
    pairs, rest = values[: len(values) // 2 * 2], values[len(values) // 2 * 2 :]
    result = rest[0] if rest else np.nan
    for value, condition in reversed(list(zip(pairs[::2], pairs[1::2], strict=True))):
        result = np.where(np.asarray(condition) != 0, value, result)
    return result


def _truth(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: np.asarray(operation(a, b), dtype=np.float64)


def _fold(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def values(first: Any, *others: Any) -> Any:
        for other in others:
            first = operation(first, other)
        return first

    return values


def _logical(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    fold = _fold(operation)
    return lambda *u: np.asarray(fold(*(np.asarray(a) != 0 for a in u)), dtype=np.float64)


FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("inverse", lambda u: 1.0 / u, _inverse),
        Function("power", np.power, _power),
        Function("time", lambda: 0.0, latex="t"),
        Function("pi", lambda: np.pi, latex=r"\pi"),
        Function("exp", np.exp, lambda t, f, u: [f], {0: 1}, latex="e^{{{}}}"),
        Function("log", np.log, lambda t, f, u: [t.inverse(u[0])], {1: 0}, latex=r"\ln"),
        Function("sin", np.sin, _times("cos"), {0: 0}, -1, r"\sin"),
        Function("cos", np.cos, _times("sin", -1), {0: 1}, 1, r"\cos"),
        Function("tan", np.tan, _one_plus_square(1), {0: 0}, -1, r"\tan"),
        Function("sinh", np.sinh, _times("cosh"), {0: 0}, -1, r"\sinh"),
        Function("cosh", np.cosh, _times("sinh"), {0: 1}, 1, r"\cosh"),
        Function("tanh", np.tanh, _one_plus_square(-1), {0: 0}, -1, r"\tanh"),
        Function("asin", np.arcsin, _arc(1, (1, -1), True), {0: 0}, -1, r"\arcsin"),
        Function("acos", np.arccos, _arc(-1, (1, -1), True), {1: 0}, 0, r"\arccos"),
        Function("atan", np.arctan, _arc(1, (1, 1), False), {0: 0}, -1, r"\arctan"),
        Function("asinh", np.arcsinh, _arc(1, (1, 1), True), {0: 0}, -1),
        Function("acosh", np.arccosh, _arc(1, (-1, 1), True), {1: 0}),
        Function("atanh", np.arctanh, _arc(1, (1, -1), False), {0: 0}, -1),
        Function("abs", np.abs, exact={0: 0}, parity=1, latex=r"\left|{}\right|"),
        Function("sign", np.sign, exact={0: 0}, parity=-1),
        Function("floor", np.floor, latex=r"\left\lfloor {} \right\rfloor"),
        Function("ceil", np.ceil, latex=r"\left\lceil {} \right\rceil"),
        Function("factorial", lambda u: _factorial(u)),
        Function("min", _fold(np.minimum), latex=r"\min"),
        Function("max", _fold(np.maximum), latex=r"\max"),
        Function("mod", np.mod),
        Function("piecewise", _piecewise),
        Function("lt", _truth(np.less)),
        Function("leq", _truth(np.less_equal)),
        Function("gt", _truth(np.greater)),
        Function("geq", _truth(np.greater_equal)),
        Function("eq", _truth(np.equal)),
        Function("neq", _truth(np.not_equal)),
        Function("and", _logical(np.logical_and)),
        Function("or", _logical(np.logical_or)),
        Function("xor", _logical(np.logical_xor)),
        Function("not", lambda u: np.asarray(np.asarray(u) == 0, dtype=np.float64)),
    )
}


def _factorial(u: Any) -> Any:
    from scipy.special import gamma

    return gamma(np.asarray(u) + 1.0)


def exact_value(name: str, argument: Fraction) -> Fraction | None:
    """The value at a number where it is used as a fact, else None.

    Only these facts, the parities, that 1 to any power is 1, and that u^n is a product for whole n (up to
    :data:`MAX_EXPONENT`, for −n its inverse) are known of functions other than 1/u: to the table of symbols,
    to values in a prime field, and to the checker alike.

    Examples
    --------
    >>> exact_value("exp", Fraction(0)), exact_value("exp", Fraction(1))
    (Fraction(1, 1), None)
    """
    if argument.denominator != 1 or name not in FUNCTIONS:
        return None
    value = FUNCTIONS[name].exact.get(int(argument))
    return None if value is None else Fraction(value)


def unknown_functions(ode: ODE) -> list[str]:
    """The functions in a system of which little is used but equal arguments, by name: all but quotients and t.

    Examples
    --------
    >>> import symlump as sl
    >>> unknown_functions(sl.ODE.from_text("x' = exp(-t)*sin(x)/(1 + x)"))
    ['exp', 'sin']
    """
    generators = ode.generators
    if generators is None:
        return []
    return sorted(set(generators.functions) - {"inverse", "time"})
