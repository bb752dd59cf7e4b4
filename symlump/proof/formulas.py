"""Quotients and functions of a claim as formulas of sympy, and whether two of them are the same.

A function other than 1/u is one that sympy knows nothing of, so that no identity slips in which the checkers do
not use: equal arguments give equal values, and there are the few facts that the specification lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count, islice
from math import prod
from typing import TYPE_CHECKING

from symlump.errors import MethodError
from symlump.proof.check import (
    _AT_ONE,
    _AT_ZERO,
    _PARITY,
    _WHOLE,
    Claim,
    Functions,
    Polynomial,
    one_line,
)

if TYPE_CHECKING:
    import sympy


def check_shown(claim: Claim) -> None:
    """Raise if a claim cannot be written in formulas: for its names, its blocks or its equations.

    Raises
    ------
    MethodError
        If a name is empty or could end a line or steer a terminal, the blocks are no partition of the
        variables, or there is not one equation for each block or row.
    """
    called = chain(claim.functions.values(), claim.quotient_functions.values())
    for name in chain(claim.system, claim.quotient, (f.name for f in called)):
        if not name or not name.isprintable():
            raise MethodError(
                f"the name '{one_line(name)}' cannot be written in a formula: it is empty or holds characters "
                "that are not printed; rename it in the model"
            )
    linear = claim.kind == "linear"
    partitions = [] if linear else [list(claim.blocks.values())]
    partitions += [] if claim.initial is None else [claim.initial]
    for partition in partitions:
        members = [m for block in partition for m in block]
        if sorted(members) != sorted(claim.system) or not all(partition):
            raise MethodError(
                "the blocks are not a partition of the variables, so there is nothing to explain"
            )
    if (claim.matrix if linear else claim.blocks).keys() != claim.quotient.keys():
        raise MethodError("the quotient must have exactly one equation for each block or row")


#: A function in more parts than this gets a name, so that what is nested and repeated is written once.
SHORT = 24
#: No formula has more parts than the first, or more terms when multiplied out than the second.
MAX_PARTS, MAX_EXPANDED = 5_000, 20_000


class TooLongError(MethodError):
    """A formula is longer than one can read."""

    def __init__(self) -> None:
        super().__init__(
            "a formula of this proof is longer than one can read; `check` verifies it, and "
            "explain(blocks=[…]) shows single blocks"
        )


class Formulas:
    """What symbols stand for.

    Parameters
    ----------
    taken : iterable of str
        Names of variables, which no value gets.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        import sympy

        self.sympy = sympy
        #: Functions of long arguments by their names, in the order in which they were met.
        self.values: dict[sympy.Symbol, sympy.Expr] = {}
        self._name: dict[sympy.Expr, sympy.Symbol] = {}
        numbered = {name.rstrip("0123456789") for name in taken}
        stems = chain("uvw", ("u" + "_" * more for more in count(1)))
        self._stem = next(stem for stem in stems if stem not in numbered)

    def polynomial(self, polynomial: Polynomial, values: Mapping[str, sympy.Expr]) -> sympy.Expr:
        """A polynomial with these values of its symbols.

        Raises
        ------
        TooLongError
            If it is longer than one can read.
        """
        s = self.sympy
        return self.readable(
            s.Add(
                *(
                    s.Rational(c.numerator, c.denominator) * s.Mul(*(values[v] ** e for v, e in m))
                    for m, c in polynomial.items()
                )
            )
        )

    def readable(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression itself, if one can read it; else an error."""
        if self._is_longer(expression, MAX_PARTS):
            raise TooLongError
        return expression

    def _is_longer(self, expression: sympy.Expr, parts: int) -> bool:
        every = self.sympy.preorder_traversal(expression)
        return sum(1 for _ in islice(every, parts + 1)) > parts

    def expanded(self, expression: sympy.Expr, deep: bool = True) -> sympy.Expr:
        """The expression multiplied out, if that is not too long.

        Raises
        ------
        TooLongError
            If it is.
        """
        if self._terms(expression) > MAX_EXPANDED:
            raise TooLongError
        return self.sympy.expand(expression, deep=deep)

    def _terms(self, e: sympy.Expr) -> int:
        """At least as many terms as there are when it is multiplied out."""
        if e.is_Add:
            return sum(map(self._terms, e.args))
        if e.is_Mul:
            return prod(map(self._terms, e.args))
        if e.is_Pow and e.exp.is_Integer:
            one, power = self._terms(e.base), abs(int(e.exp))
            return one if one == 1 else one ** min(power, 64)
        return 1

    def images(
        self, functions: Functions, values: Mapping[str, sympy.Expr]
    ) -> dict[str, sympy.Expr]:
        """What every symbol stands for, with these values of the variables.

        Raises
        ------
        MethodError
            If a denominator is 0.
        """
        result = dict(values)
        for name, function in functions.items():
            arguments = [self.polynomial(p, result) for p in function.arguments]
            if function.name != "inverse":
                parity = _PARITY.get(function.name, 0)
                result[name] = self._applied(function.name, arguments, parity)
            elif self.is_zero(arguments[0]):
                said = "a denominator is 0 where variables are replaced: nothing to explain"
                raise MethodError(said)
            else:
                result[name] = 1 / arguments[0]
        return result

    def _applied(self, name: str, arguments: Sequence[sympy.Expr], parity: int) -> sympy.Expr:
        """A function of arguments in normal form, with the facts that are known of it."""
        s = self.sympy
        u = [self._normal(argument) for argument in arguments]
        if name == "power" and u[:1] == [1]:
            return s.Integer(1)
        n = _whole_exponent(name, u)
        if n is not None:
            if n < 0 and not u[0]:
                said = "a denominator is 0 where variables are replaced: nothing to explain"
                raise MethodError(said)
            return u[0] ** n
        for value, known in ((0, _AT_ZERO), (1, _AT_ONE)):
            if u == [value] and name in known:
                return s.Integer(known[name])
        sign = 1
        if len(u) == 1 and parity and u[0].could_extract_minus_sign():
            u, sign = [s.cancel(-u[0])], parity
        return sign * self._named(s.Function(name)(*u))

    def _normal(self, argument: sympy.Expr) -> sympy.Expr:
        s = self.sympy
        above, below = s.fraction(s.together(argument))
        return s.cancel(self.expanded(above) / self.expanded(below))

    def _named(self, value: sympy.Expr) -> sympy.Expr:
        """A name instead of a long value; equal values have one name."""
        if not self._is_longer(value, SHORT):
            return value
        if value not in self._name:
            name = self.sympy.Symbol(f"{self._stem}{len(self.values) + 1}")
            self._name[value], self.values[name] = name, value
        return self._name[value]

    def slope(self, name: str, number: int, arguments: Sequence[sympy.Expr]) -> sympy.Expr:
        """The derivative of a function by an argument: of 1/u it is −1/u², else one more unknown function."""
        s = self.sympy
        if name == "inverse":
            return -1 / arguments[0] ** 2
        u = [self._normal(argument) for argument in arguments]
        parity = -_PARITY.get(name, 0) if len(u) == 1 else 0
        at_zero = parity == -1 and u == [0]  # that of an even function is odd
        if at_zero or (name == "power" and number and u[0] == 1):
            return s.Integer(0)
        n = None if number else _whole_exponent(name, u)
        if n is not None:
            return n * u[0] ** (n - 1) if n else s.Integer(0)
        return self._applied(name + "'" + (str(number + 1) if len(u) > 1 else ""), u, parity)

    def is_zero(self, expression: sympy.Expr) -> bool:
        """True if the numerator vanishes."""
        s = self.sympy
        return bool(self.expanded(s.fraction(s.together(expression))[0]) == 0)

    def shown(self, expression: sympy.Expr) -> sympy.Expr:
        """Powers, the time and π as one writes them."""
        s = self.sympy

        def is_written(e: sympy.Expr) -> bool:
            if not isinstance(e, s.core.function.AppliedUndef):
                return False
            name, count = e.func.__name__, len(e.args)
            return (count == 2 and name in _POWERS) or (not count and name in _CONSTANTS)

        def written(e: sympy.Expr) -> sympy.Expr:
            name, u = e.func.__name__, e.args
            if not u:
                return s.Symbol(_CONSTANTS[name])
            power = s.Pow(*u, evaluate=False)
            return power if name == "power" else s.Function(f"D{name[-1]}")(power)

        with s.evaluate(False):
            # Or sympy would take sqrt(x)*sqrt(x) for x, which the checkers do not.
            return expression.replace(is_written, written)


def _whole_exponent(name: str, u: Sequence[sympy.Expr]) -> int | None:
    """The n of u^n, where n is a whole number and the power a product."""
    if name != "power" or len(u) != 2 or not u[1].is_Integer or abs(u[1]) > _WHOLE:
        return None
    return int(u[1])


#: A power, and its derivatives by base and exponent.
_POWERS = ("power", "power'1", "power'2")
_CONSTANTS = {"time": "t", "pi": "pi"}


def facts(name: str) -> list[str]:
    """What is used of a function besides equal arguments, in formulas.

    Examples
    --------
    >>> facts("sin"), facts("power"), facts("floor")
    (['sin(0) = 0', 'sin(-u) = -sin(u)'], ['1^u = 1', 'u^0 = 1', 'u^n = u*u^(n-1) for whole n'], [])
    """
    found = [f"{name}(0) = {_AT_ZERO[name]}"] if name in _AT_ZERO else []
    found += [f"{name}(1) = {_AT_ONE[name]}"] if name in _AT_ONE else []
    if name in _PARITY:
        found.append(f"{name}(-u) = {'-' if _PARITY[name] < 0 else ''}{name}(u)")
    return [*found, *(_OF_POWERS if name == "power" else [])]


_OF_POWERS = ["1^u = 1", "u^0 = 1", "u^n = u*u^(n-1) for whole n"]
