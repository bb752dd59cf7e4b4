"""The arithmetic of expressions with quotients and functions: polynomials in symbols.

A quotient keeps the denominators that it was written with: ``1/((K + x)*(L + y)^2)`` has two of them, because a
product remembers its factors until something is added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction

import numpy as np

from symlump.errors import InputError, NotPolynomialError
from symlump.formats.constant_functions import KNOWN, at_numbers, not_read
from symlump.formats.constant_functions import power as power_at_numbers
from symlump.ode.functions.algebra import (
    Budget,
    Polynomial,
    add_to,
    constant,
    constant_of,
    scale,
    symbols_of,
    total,
)
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.printing import function_text
from symlump.ode.functions.symbols import SymbolTable

_MINUS = Fraction(-1)
_HALF = constant(Fraction(1, 2))
#: Operators of expressions that are functions here, under the names they have here.
SAME = {
    "ln": "log",
    "<": "lt",
    "<=": "leq",
    ">": "gt",
    ">=": "geq",
    "==": "eq",
    "!=": "neq",
}
#: Functions that have no value somewhere.
_PARTIAL = frozenset(
    ("inverse", "power", "log", "tan", "asin", "acos", "acosh", "atanh", "mod", "factorial")
)
_SHOWN = 5
CHAINS = {"lt", "leq", "gt", "geq", "eq"}


class Factored(dict[tuple[tuple[int, int], ...], Fraction]):
    """A polynomial that remembers of which powers of polynomials it is the product."""

    def __init__(self, p: Polynomial, factors: list[tuple[Polynomial, int]]) -> None:
        super().__init__(p)
        self.factors = factors


def _is_plain(p: Polynomial) -> bool:
    """True for one term, of which there are no other factors to remember."""
    return len(p) < 2 and not isinstance(p, Factored)


def _factors(p: Polynomial) -> list[tuple[Polynomial, int]]:
    return p.factors if isinstance(p, Factored) else [(p, 1)]


class SymbolArithmetic:
    """Polynomials in the symbols of a table.

    Attributes
    ----------
    table : SymbolTable
    exact : bool
        Keep functions of numbers whose value is not rational, such as π and exp(1), as symbols; else their
        float64 values are taken, with a note.
    notes : dict of str
        What was done that a user should know (the values mean nothing).

    Examples
    --------
    >>> from symlump.ode.functions.algebra import symbol
    >>> arithmetic = SymbolArithmetic(SymbolTable(2))
    >>> x, k = symbol(0), symbol(1)
    >>> arithmetic.apply("/", [x, arithmetic.apply("+", [x.copy(), k])])
    {((0, 1), (2, 1)): Fraction(1, 1)}
    """

    def __init__(self, table: SymbolTable, exact: bool = False) -> None:
        self.table, self.exact = table, exact
        self.notes: dict[str, None] = {}
        self._budget = Budget()

    def begin(self) -> None:
        """Start an expression: the bound on its cost is counted anew."""
        self._budget = Budget()

    def number(self, value: Fraction) -> Polynomial:
        """The constant polynomial."""
        return constant(value)

    def copy(self, value: Polynomial) -> Polynomial:
        """A polynomial that an operation may use up."""
        return Factored(value, value.factors) if isinstance(value, Factored) else dict(value)

    def truth(self, value: Polynomial) -> bool | None:
        """Whether a condition holds, if it is a number."""
        number = constant_of(value)
        return None if number is None else bool(number)

    def apply(
        self, operator: str, arguments: Sequence[Polynomial], place: Hashable = None
    ) -> Polynomial:
        """The result of an operation.

        Raises
        ------
        NotPolynomialError
            If it is a function that is not known.
        InputError
            If it has no value, or costs more than is allowed.
        """
        u = list(arguments)
        if operator == "+":
            return total(u)
        if operator == "-":
            if len(u) > 1:
                return add_to(dict(u[0]), u[1], _MINUS)
            minus = constant(_MINUS)
            return self._product(minus, *u) if isinstance(u[0], Factored) else scale(u[0], _MINUS)
        if operator == "*":
            result: Polynomial = constant(1)
            for factor in u:
                result = self._product(result, factor)
            return result
        if operator == "/":
            return self._product(u[0], self._power(u[1], constant(-1)))
        if operator == "^":
            return self._power(*u)
        return self._function(operator, u)

    def _product(self, p: Polynomial, q: Polynomial) -> Polynomial:
        if _is_plain(p) and _is_plain(q):
            return self.table.multiply(p, q, self._budget)
        factors = [*_factors(p), *_factors(q)]
        return Factored(self._held(factors, lambda work: self.table.multiply(p, q, work)), factors)

    def _power(self, base: Polynomial, exponent: Polynomial) -> Polynomial:
        low, high = constant_of(base), constant_of(exponent)
        if high is None or high.denominator != 1:
            if low is not None and high is not None:
                value, exact = power_at_numbers(low, high)
                if exact or not self.exact:
                    self._say(value, exact, f"({low})^({high})")
                    return constant(value)
            return self.table.power(base, exponent, self._budget)
        times = int(high)
        if times >= 0:
            if _is_plain(base):
                return self.table.power(base, exponent, self._budget)
            factors = [(p, k * times) for p, k in _factors(base)]
            return Factored(
                self._held(factors, lambda work: self.table.power(base, exponent, work)), factors
            )
        result: Polynomial = constant(1)
        for p, k in _factors(base):
            inverse = self.table.inverse(p, self._budget)
            raised = self.table.power(inverse, constant(-times * k), self._budget)
            result = self.table.multiply(result, raised, self._budget)
        return result

    def _held(
        self, factors: list[tuple[Polynomial, int]], multiplied: Callable[[Budget], Polynomial]
    ) -> Polynomial:
        """A product multiplied out; where that is too much, symbols for its factors.

        They may only stand below a line: there a factor is a power of one symbol 1/p, and nothing has to be
        multiplied out.
        """
        work = Budget(self._budget.left)
        try:
            product = multiplied(work)
        except InputError as problem:
            self._budget.left //= 2
            product = constant(1)
            for p, k in factors:
                if len(p) > 1:
                    raised = self.table.held_power(p, k, str(problem))
                else:
                    raised = self.table.power(p, constant(k), self._budget)
                product = self.table.multiply(product, raised, self._budget)
            return product
        self._budget.left = work.left
        return product

    def _say(self, value: Fraction, exact: bool, text: str) -> None:
        if not exact and len(self.notes) < 1000:
            self.notes[f"{text} taken as {float(value)!r}, its float64 value"] = None

    def _function(self, name: str, u: list[Polynomial]) -> Polynomial:
        if name == "piecewise":
            u = self._pieces(u)
            if len(u) == 1:
                return u[0]
        numbers = [n for n in map(constant_of, u) if n is not None]
        if len(numbers) == len(u) and name in KNOWN:
            value, exact = at_numbers(name, numbers)
            if exact or not self.exact:
                text = f"{name}({', '.join(map(str, numbers))})" if numbers else name
                self._say(value, exact, text)
                return constant(value)
        if name in _MADE:
            try:
                return _MADE[name](self, *u)
            except TypeError:
                raise InputError(f"{name} with {len(u)} arguments") from None
        name = SAME.get(name, name)
        if name in CHAINS and len(u) > 2:
            pairs = [self._function(name, [a, b]) for a, b in zip(u, u[1:], strict=False)]
            return self._function("and", pairs)
        if name not in FUNCTIONS:
            raise NotPolynomialError(not_read(name))
        return self.table.apply(name, u)

    def _pieces(self, u: list[Polynomial]) -> list[Polynomial]:
        """Values and conditions without those of which it is known whether they hold."""
        left: list[Polynomial] = []
        for value, condition in zip(u[::2], u[1::2], strict=False):
            holds = self.truth(condition)
            if holds:
                return [*left, value]
            if holds is None:
                left += [value, condition]
        if len(u) % 2:
            left.append(u[-1])
        if not left:
            raise NotPolynomialError("piecewise has no value here")
        return left

    def _truncated(self, x: Polynomial, y: Polynomial) -> Polynomial:
        """x/y rounded toward 0: sign(x/y)·⌊|x/y|⌋."""
        whole = self._product(x, self._power(y, constant(-1)))
        return self._product(
            self._function("sign", [whole]),
            self._function("floor", [self._function("abs", [whole])]),
        )

    def _over(self, top: Polynomial, name: str, u: Sequence[Polynomial]) -> Polynomial:
        below = self._function(name, list(u))
        return self.table.multiply(top, self.table.inverse(below), self._budget)


def left_out(
    names: Sequence[str], equations: Iterable[Polynomial], table: SymbolTable, first: int = 0
) -> str:
    """What is said of functions that were met and cancel, where they have not a value everywhere; else empty.

    Parameters
    ----------
    names : sequence of str
        The variables of the table.
    equations : iterable of polynomials
        In its symbols.
    first : int
        So many functions of the table are not looked at.

    Examples
    --------
    >>> from symlump.ode.functions.algebra import symbol
    >>> arithmetic = SymbolArithmetic(SymbolTable(2))
    >>> x, y = symbol(0), symbol(1)
    >>> logarithm = arithmetic.apply("ln", [arithmetic.apply("-", [x, y])])
    >>> nothing = arithmetic.apply("*", [arithmetic.number(Fraction(0)), logarithm])
    >>> print(left_out(["x", "y"], [nothing, x], arithmetic.table))
    left out, as it cancels: ln(x - y). The equations are taken to hold also where that has no value
    """
    used = _needed(table, {s for p in equations for s in symbols_of(p)})
    rest = range(table.count + first, table.count + len(table.functions))
    lost = [s for s in rest if s not in used and _is_partial(table, s)]
    inside = {t for s in lost for u in table.arguments[s - table.count] for t in symbols_of(u)}
    inner = _needed(table, inside)
    lost = [s for s in lost if s not in inner]
    if not lost:
        return ""
    shown = ", ".join(function_text(names, table, s) for s in lost[:_SHOWN])
    they, that = ("it cancels", "that has") if len(lost) == 1 else ("they cancel", "these have")
    return (
        f"left out, as {they}: {shown}{', …' if len(lost) > _SHOWN else ''}. The equations are taken to hold "
        f"also where {that} no value"
    )


def _needed(table: SymbolTable, symbols: Iterable[int]) -> set[int]:
    """Symbols and those in their arguments."""
    found, pending = set[int](), list(symbols)
    while pending:
        s = pending.pop()
        if s not in found:
            found.add(s)
            if s >= table.count:
                pending += [t for u in table.arguments[s - table.count] for t in symbols_of(u)]
    return found


def _is_partial(table: SymbolTable, s: int) -> bool:
    """True if there may be states at which a function has no value."""
    name, u = table.functions[s - table.count], table.arguments[s - table.count]
    if name not in _PARTIAL or table.is_held(s):
        return False
    numbers = [float(n) for n in map(constant_of, u) if n is not None]
    if len(numbers) < len(u):
        return not (name == "power" and (constant_of(u[0]) or 0) > 0)
    with np.errstate(all="ignore"):
        return not np.isfinite(FUNCTIONS[name].values(*map(np.float64, numbers)))


def _reciprocal(name: str) -> Callable[..., Polynomial]:
    """1/f(u)."""
    return lambda a, u: a._over(constant(1), name, [u])


def _of_reciprocal(name: str) -> Callable[..., Polynomial]:
    """f(1/u)."""
    return lambda a, u: a._function(name, [a.table.inverse(u)])


def _logarithm(base: int) -> Callable[..., Polynomial]:
    return lambda a, u: a._product(
        a._function("ln", [u]), a.table.inverse(a.table.apply("log", [constant(base)]))
    )


_MADE: dict[str, Callable[..., Polynomial]] = {
    "sqrt": lambda a, u: a._power(u, _HALF),
    "root": lambda a, degree, u: a._power(u, a.table.inverse(degree)),
    "sqr": lambda a, u: a._power(u, constant(2)),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "log": lambda a, *u: (
        a._product(a._function("ln", [u[1]]), a.table.inverse(a._function("ln", [u[0]])))
        if len(u) == 2
        else a.table.apply("log", list(u))
    ),
    "sec": _reciprocal("cos"),
    "csc": _reciprocal("sin"),
    "cot": _reciprocal("tan"),
    "sech": _reciprocal("cosh"),
    "csch": _reciprocal("sinh"),
    "coth": _reciprocal("tanh"),
    "asec": _of_reciprocal("acos"),
    "acsc": _of_reciprocal("asin"),
    "acot": _of_reciprocal("atan"),
    "asech": _of_reciprocal("acosh"),
    "acsch": _of_reciprocal("asinh"),
    "acoth": _of_reciprocal("atanh"),
    "quotient": lambda a, x, y: a._truncated(x, y),
    "rem": lambda a, x, y: add_to(dict(x), a._product(y, a._truncated(x, y)), _MINUS),
    "implies": lambda a, p, q: a._function("or", [a._function("not", [p]), q]),
}
