"""Functions of the variables as symbols of their own, so that any right-hand side is a polynomial in symbols.

A table gives a symbol to every different function that occurs, ``1/(K + x)``, ``exp(-x)``, ``x^n``.
Denominators are put into a normal form, without common factors of their terms, without fractions of their
own, the largest monomial with coefficient 1; so two symbols of kind "inverse" are equal only if they are the
same. Arguments of other functions are compared as the rational functions they are. What is left between
symbols is that a denominator times its inverse is 1: :meth:`SymbolTable.is_zero` decides by it whether a
polynomial in symbols is the function 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from symlump.errors import UndefinedError
from symlump.ode.functions.algebra import (
    Budget,
    Monomial,
    Polynomial,
    add_to,
    constant,
    constant_of,
    multiply,
    power,
    scale,
    symbol,
    symbols_of,
)
from symlump.ode.functions.known import FUNCTIONS, MAX_EXPONENT, exact_value

if TYPE_CHECKING:
    from symlump.ode.functions.generators import Generators

#: Where residues are compared before anything is multiplied out.
_PRIME = 2**61 - 1


class SymbolTable:
    """Symbols 0 … count−1 are variables, those after them functions of symbols before them.

    Examples
    --------
    >>> table = SymbolTable(2)
    >>> x, y = symbol(0), symbol(1)
    >>> g = table.inverse({((0, 1),): Fraction(2), ((1, 1),): Fraction(2)})   # 1/(2x + 2y)
    >>> g
    {((2, 1),): Fraction(1, 2)}
    >>> total = add_to(table.multiply(x, g), table.multiply(y, g))
    >>> table.is_zero(add_to(total, constant(Fraction(-1, 2))))
    True
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.functions: list[str] = []
        self.arguments: list[tuple[Polynomial, ...]] = []
        self._known: dict[object, int] = {}
        self._by_residue: dict[object, list[int]] = {}
        self._inverse_of: dict[int, int] = {}  # of single symbols, to cancel x·(1/x)
        self._residues: list[int | None] = []
        self._held: dict[int, str] = {}  # powers that were not multiplied out, and why

    @classmethod
    def of(cls, generators: Generators) -> SymbolTable:
        """The symbols of a system, with the numbers that they have there."""
        table = cls(generators.first)
        for k, name in enumerate(generators.functions):
            u = tuple(generators.arguments_of(k))
            s = table._symbol(name, u)
            if name == "inverse":
                ((monomial, _), *more) = u[0].items()
                if not more and len(monomial) == 1:
                    table._inverse_of[monomial[0][0]] = s
            else:
                table._by_residue.setdefault(table._residues_of(name, u), []).append(s)
        return table

    def is_inverse(self, s: int) -> bool:
        """True for 1/d."""
        return s >= self.count and self.functions[s - self.count] == "inverse"

    def denominator(self, s: int) -> Polynomial:
        """The d of 1/d."""
        return self.arguments[s - self.count][0]

    def multiply(self, p: Polynomial, q: Polynomial, budget: Budget | None = None) -> Polynomial:
        """p·q, multiplied out; a symbol times its inverse cancels."""
        return self.cancel(multiply(p, q, budget or Budget()))

    def cancel(self, p: Polynomial) -> Polynomial:
        """P with every x·(1/x) of a single symbol x left out."""
        inverse_of = self._inverse_of
        if not inverse_of:
            return p
        result: Polynomial = {}
        for monomial, value in p.items():
            powers = dict(monomial)
            for s in [s for s in powers if s in inverse_of and inverse_of[s] in powers]:
                inverse = inverse_of[s]
                common = min(powers[s], powers[inverse])
                powers[s] -= common
                powers[inverse] -= common
            if len(powers) > 1:
                monomial = tuple(sorted((s, k) for s, k in powers.items() if k))
            add_to(result, {monomial: value})
        return result

    def inverse(self, p: Polynomial, budget: Budget | None = None) -> Polynomial:
        """1/p, as a monomial in symbols (times the denominators inside p, multiplied out).

        Raises
        ------
        InputError
            If p is 0.
        """
        budget = budget or Budget()
        number = constant_of(p)
        if number is not None:
            if not number:
                raise UndefinedError("division by zero")
            return constant(1 / number)
        below, powers = self.clear_denominators(p, budget)
        if not below:
            raise UndefinedError("division by zero")
        scale, content, rest = _normal(below)
        result = constant(1 / scale)
        for s, k in content:
            result = self.multiply(result, {((self._inverse_symbol(s), k),): Fraction(1)}, budget)
        if len(rest) > 1:
            result = self.multiply(result, symbol(self._symbol("inverse", (rest,))), budget)
        for s, k in powers.items():
            above = power(self.denominator(s), k, budget)
            result = self.multiply(result, above, budget)
        return result

    def _inverse_symbol(self, s: int) -> int:
        if s not in self._inverse_of:
            self._inverse_of[s] = self._symbol("inverse", (symbol(s),))
        return self._inverse_of[s]

    def power(
        self, base: Polynomial, exponent: Polynomial, budget: Budget | None = None
    ) -> Polynomial:
        """base^exponent; whole exponents are multiplied out, others give a symbol.

        Raises
        ------
        InputError
            If 0 is raised to a power that is not positive, or the result would be too large.
        """
        budget = budget or Budget()
        e = constant_of(exponent)
        number = self._number(base)
        if e is not None and e.denominator == 1:
            if e < 0:
                return self.power(self.inverse(base, budget), constant(-e), budget)
            raised = power(base, int(e), budget)
            return self.cancel(raised)
        if number == 1:
            return constant(1)
        if number == 0 and e is not None and e < 0:
            raise UndefinedError("division by zero")
        return symbol(self._equal_or_new("power", (dict(base), dict(exponent))))

    def held_power(self, base: Polynomial, exponent: int, problem: str) -> Polynomial:
        """base^exponent as one symbol, for as long as an expression is read; no system may contain it."""
        s = self._symbol("power", (dict(base), constant(exponent)))
        self._held[s] = problem
        return symbol(s)

    def is_held(self, s: int) -> bool:
        """True for a power that stands for a product that was not multiplied out."""
        return s in self._held

    def held_in(self, p: Polynomial) -> str:
        """Why a power in a polynomial was not multiplied out; empty if there is none."""
        if not self._held:
            return ""
        seen: set[int] = set()
        pending = symbols_of(p)
        while pending:
            s = pending.pop()
            if s in self._held:
                return self._held[s]
            seen.add(s)
            if s >= self.count:
                pending |= {t for u in self.arguments[s - self.count] for t in symbols_of(u)} - seen
        return ""

    def apply(self, name: str, arguments: Sequence[Polynomial]) -> Polynomial:
        """The function of some arguments: a number where that is a known fact, else a symbol (or minus one).

        Raises
        ------
        InputError
            If 1/0 is asked for, or another value that does not exist.
        """
        u = [dict(a) for a in arguments]
        if name == "inverse":
            return self.inverse(u[0])
        if name == "power":
            exponent = self._number(u[1])
            if exponent is None or exponent.denominator > 1:
                return self.power(u[0], u[1])
            if abs(exponent) <= MAX_EXPONENT or self._number(u[0]) == 1:
                return self.power(u[0], constant(exponent))
            return symbol(self._equal_or_new("power", (u[0], constant(exponent))))
        sign = Fraction(1)
        function = FUNCTIONS.get(name)
        if function is not None:
            if function.parity and u[0] and u[0][max(u[0], key=_order)] < 0:
                u[0] = scale(u[0], Fraction(-1))
                sign = Fraction(function.parity)
            number = self._number(u[0]) if len(u) == 1 else None
            if number is not None:
                value = exact_value(name, number)
                if value is not None:
                    return constant(sign * value)
                if name == "log" and number <= 0:
                    raise UndefinedError("the logarithm of a number that is not positive")
            if function.parity and any(map(self.is_inverse, symbols_of(u[0]))):
                # Which sign is in front depends on how a quotient is written: −x/(1 + x) is 1/(1 + x) − 1.
                opposite = self._found(name, (scale(u[0], Fraction(-1)),))
                if opposite is not None:
                    return scale(symbol(opposite), sign * function.parity)
        return scale(symbol(self._equal_or_new(name, tuple(u))), sign)

    def _number(self, p: Polynomial) -> Fraction | None:
        """The number that p is as a function; of quotients, such as x/(x + y) + y/(x + y), if it is small."""
        number = constant_of(p)
        if number is not None or not any(map(self.is_inverse, symbols_of(p))):
            return number
        value = self._residue_of(p)
        if value is None:
            return None
        small = Fraction(min(value, value - _PRIME, key=abs))
        if abs(small) > MAX_EXPONENT or not self.is_zero(add_to(constant(-small), p)):
            return None
        return small

    def derivatives(self, s: int) -> list[Polynomial]:
        """∂f/∂u_a of the function behind a symbol by each of its arguments; new symbols may be needed."""
        name, u = self.functions[s - self.count], self.arguments[s - self.count]
        function = FUNCTIONS.get(name)
        if function is not None and function.slopes is not None:
            return function.slopes(self, symbol(s), u)
        return [self._free_slope(name, u, a) for a in range(len(u))]

    def free_slope(self, s: int, a: int) -> Polynomial:
        """∂f/∂u_a where only 1/u is differentiated, and any other function has a derivative free of it."""
        name, u = self.functions[s - self.count], self.arguments[s - self.count]
        if name == "inverse":
            return {((s, 2),): Fraction(-1)}
        return self._free_slope(name, u, a)

    def _free_slope(self, name: str, u: tuple[Polynomial, ...], a: int) -> Polynomial:
        slope = f"{name}'" if len(u) == 1 else f"{name}'{a + 1}"
        return symbol(self._equal_or_new(slope, u))

    def _equal_or_new(self, name: str, u: tuple[Polynomial, ...]) -> int:
        """The symbol of this function; arguments with denominators are compared as functions."""
        found = self._found(name, u)
        if found is None:
            found = self._symbol(name, u)
            self._by_residue.setdefault(self._residues_of(name, u), []).append(found)
        return found

    def _found(self, name: str, u: tuple[Polynomial, ...]) -> int | None:
        key = (name, tuple(frozenset(a.items()) for a in u))
        known = self._known.get(key)
        if known is not None:
            return known
        for other in self._by_residue.get(self._residues_of(name, u), ()):
            theirs = self.arguments[other - self.count]
            if all(
                self.is_zero(add_to(dict(a), b, Fraction(-1)))
                for a, b in zip(u, theirs, strict=True)
            ):
                self._known[key] = other
                return other
        return None

    def _residues_of(self, name: str, u: tuple[Polynomial, ...]) -> object:
        return name, tuple(map(self._residue_of, u))

    def _symbol(self, name: str, u: tuple[Polynomial, ...]) -> int:
        key = (name, tuple(frozenset(a.items()) for a in u))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.count + len(self.functions)
            self.functions.append(name)
            self.arguments.append(u)
        return found

    def clear_denominators(
        self, p: Polynomial, budget: Budget
    ) -> tuple[Polynomial, dict[int, int]]:
        """The numerator of p over the product of denominators d_s^k, and those powers {s: k}."""
        powers: dict[int, int] = {}
        parts: dict[Monomial, Polynomial] = {}
        for monomial, value in p.items():
            below = tuple((s, k) for s, k in monomial if self.is_inverse(s))
            rest = tuple(f for f in monomial if f not in below) if below else monomial
            parts.setdefault(below, {})[rest] = value
            for s, k in below:
                powers[s] = max(k, powers.get(s, 0))
        if not powers:
            return dict(p), {}
        above: Polynomial = {}
        for below, part in parts.items():
            have = dict(below)
            for s, k in powers.items():
                if k > have.get(s, 0):
                    factor = power(self.denominator(s), k - have.get(s, 0), budget)
                    part = multiply(part, factor, budget)
            add_to(above, part)
        return above, powers

    def is_zero(self, p: Polynomial, budget: Budget | None = None) -> bool:
        """True if p is 0 as a function of variables and of free symbols.

        Random residues refute what is not; the rest is multiplied out over the denominators that occur.

        Raises
        ------
        InputError
            If that takes more steps than the budget has.
        """
        if not p:
            return True
        if not any(self.is_inverse(s) for s in symbols_of(p)):
            return False
        value = self._residue_of(p)
        if value:
            return False
        return not self.clear_denominators(p, budget or Budget())[0]

    def _residue_of(self, p: Polynomial) -> int | None:
        result = 0
        for monomial, value in p.items():
            if value.denominator % _PRIME == 0:
                return None
            term = value.numerator % _PRIME * pow(value.denominator, -1, _PRIME)
            for s, k in monomial:
                known = self._residue(s)
                if known is None:
                    return None
                term = term * pow(known, k, _PRIME) % _PRIME
            result = (result + term) % _PRIME
        return result

    def _residue(self, s: int) -> int | None:
        while len(self._residues) <= s:
            t = len(self._residues)
            value: int | None
            if self.is_inverse(t):
                below = self._residue_of(self.denominator(t))
                value = pow(below, -1, _PRIME) if below else None
            else:
                value = int.from_bytes(hashlib.sha256(str(t).encode()).digest()[:7]) + 1
            self._residues.append(value)
        return self._residues[s]


def _order(monomial: Monomial) -> tuple[int, list[tuple[int, int]]]:
    return sum(k for _, k in monomial), [(-s, k) for s, k in monomial]


def _normal(p: Polynomial) -> tuple[Fraction, Monomial, Polynomial]:
    """P = scale · content · rest: content divides every monomial, rest has leading coefficient 1."""
    content = dict(next(iter(p)))
    for monomial in p:
        have = dict(monomial)
        content = {s: min(k, have[s]) for s, k in content.items() if s in have}
        if not content:
            break
    scale = p[max(p, key=_order)]
    rest = {
        tuple((s, k - content.get(s, 0)) for s, k in monomial if k > content.get(s, 0)): value
        / scale
        for monomial, value in p.items()
    }
    return scale, tuple(sorted(content.items())), rest
