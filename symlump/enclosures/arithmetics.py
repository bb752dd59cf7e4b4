"""Three ways to compute with enclosures, behind one interface: float64, the balls of flint, mpmath.

What is computed with them is written once, with the operators + − * @ and the functions of
:class:`Arithmetic`. *float64* is :mod:`symlump.enclosures.interval`: whole arrays at a time. *flint*
and *mpmath* are arrays of Python objects that round outward by themselves. They are slower by one to three
orders of magnitude, share no code with the first, and so confirm it.

References
----------
Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", arXiv:1611.02831.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from symlump.enclosures.ends import flint_ends, mpmath_ends
from symlump.enclosures.interval import Interval, down, gamma, up
from symlump.enclosures.iv_array import ArbArray, IvArray, ObjectArray, intervals
from symlump.errors import MethodError, MissingExtraError
from symlump.ode.exact import AnyArray, ExactArray, FloatArray, IntArray

#: An array of enclosures: :class:`Interval`, or an array of flint's or mpmath's objects.
Enclosures = Any


class Arithmetic(ABC):
    """What is needed besides operators: enclosures from exact numbers and floats, and back to floats."""

    name: str
    #: Which of :func:`symlump.enclosures.functions.interval_functions` encloses functions; "" for the default.
    functions = ""
    #: How many steps of a solution are tried before that is given up as too slow.
    patience = 1 << 20

    @abstractmethod
    def exact(self, values: ExactArray) -> Enclosures:
        """Rationals, each enclosed as narrowly as the arithmetic can."""

    @abstractmethod
    def between(self, lower: FloatArray, upper: FloatArray) -> Enclosures:
        """All numbers between two floats."""

    @abstractmethod
    def lower(self, a: Enclosures) -> FloatArray:
        """Floats that are not above any number enclosed."""

    @abstractmethod
    def upper(self, a: Enclosures) -> FloatArray:
        """Floats that are not below any number enclosed."""

    @abstractmethod
    def powers(self, a: Enclosures, exponents: IntArray) -> Enclosures:
        """Entrywise powers; exponents are at least 1."""

    @abstractmethod
    def sums(self, a: Enclosures, groups: IntArray, count: int) -> Enclosures:
        """Sums by group, Σ over entries with ``groups == g`` for g = 0 … count−1."""

    @abstractmethod
    def concatenate(self, parts: Sequence[Enclosures]) -> Enclosures:
        """One vector after the other."""

    def point(self, values: FloatArray) -> Enclosures:
        """Floats as the points that they are."""
        return self.between(values, values)

    @cache  # noqa: B019 - there are three arithmetics, and few numbers
    def number(self, value: Fraction) -> Enclosures:
        """One rational, as an array of shape (1,)."""
        return self.exact(ExactArray.from_fractions([value]))

    def magnitude(self, a: Enclosures) -> FloatArray:
        """Floats that are not below the absolute value of any number enclosed."""
        return np.maximum(np.abs(self.lower(a)), np.abs(self.upper(a)))

    def ball(self, a: Enclosures) -> tuple[FloatArray, FloatArray]:
        """Floats m and r with every enclosure inside m ± r."""
        return Interval(self.lower(a), self.upper(a)).ball()


class _OutwardFloats(Arithmetic):
    """Intervals of float64, rounded outward; whole arrays at a time."""

    name = "float64 intervals, rounded outward"

    def exact(self, values: ExactArray) -> Interval:
        nearest = values.to_float()
        if values.is_float:
            return Interval.point(nearest)
        same = np.fromiter(
            (
                np.isfinite(float(f)) and Fraction(float(f)) == value
                for f, value in zip(nearest, values, strict=True)
            ),
            dtype=bool,
            count=len(values),
        )
        return Interval(
            np.where(same, nearest, down(nearest)), np.where(same, nearest, up(nearest))
        )

    def between(self, lower: FloatArray, upper: FloatArray) -> Interval:
        return Interval(lower, upper)

    def concatenate(self, parts: Sequence[Interval]) -> Interval:
        return Interval(
            np.concatenate([part.lower for part in parts]),
            np.concatenate([part.upper for part in parts]),
        )

    def lower(self, a: Interval) -> FloatArray:
        return a.lower

    def upper(self, a: Interval) -> FloatArray:
        return a.upper

    def powers(self, a: Interval, exponents: IntArray) -> Interval:
        ends = []
        for end in (a.lower, a.upper):
            power = Interval.point(end)
            for k in range(2, int(exponents.max(initial=1)) + 1):
                with np.errstate(over="ignore"):  # of powers that are not asked for
                    next_power, more = power * end, exponents >= k
                power = Interval(
                    np.where(more, next_power.lower, power.lower),
                    np.where(more, next_power.upper, power.upper),
                )
            ends.append(power)
        first, last = ends  # an odd power ascends; an even one does on each side of 0
        lower = np.minimum(first.lower, last.lower)
        across = (exponents % 2 == 0) & (a.lower <= 0) & (a.upper >= 0)
        return Interval(np.where(across, 0.0, lower), np.maximum(first.upper, last.upper))

    def sums(self, a: Interval, groups: IntArray, count: int) -> Interval:
        size = np.bincount(groups, minlength=count)
        room = 2 * gamma(1) * np.maximum(size - 1, 0)  # a sum of one number is exact
        ends = []
        for part, outward, sign in ((a.lower, down, -1.0), (a.upper, up, 1.0)):
            total = np.bincount(groups, weights=part, minlength=count)
            reach = room * np.bincount(groups, weights=np.abs(part), minlength=count)
            ends.append(np.where(reach > 0, outward(total + sign * reach), total))
        return Interval(*ends)


class _ObjectArithmetic(Arithmetic):
    """Arrays of Python objects that round outward by themselves."""

    @staticmethod
    @abstractmethod
    def _array() -> type[ObjectArray]:
        """Their class."""

    def concatenate(self, parts: Sequence[AnyArray]) -> AnyArray:
        return np.concatenate(parts).view(self._array())  # which numpy forgets

    def sums(self, a: AnyArray, groups: IntArray, count: int) -> AnyArray:
        total = self._zeros(count)
        for group, value in zip(groups.tolist(), a, strict=True):
            total[group] = total[group] + value
        return total

    def _zeros(self, count: int) -> AnyArray:
        return cast(AnyArray, self.point(np.zeros(count)).copy())

    def _objects(self, values: list[Any], shape: tuple[int, ...]) -> AnyArray:
        result = np.empty(len(values), dtype=object)
        result[:] = values
        return result.reshape(shape).view(self._array())


class _FlintArithmetic(_ObjectArithmetic):
    """Balls of flint (the extra ``fast``), 53 bits and a radius."""

    name = "flint arb"
    functions = "flint"
    patience = 1 << 12

    @staticmethod
    def _array() -> type[ObjectArray]:
        return ArbArray

    def exact(self, values: ExactArray) -> AnyArray:
        from flint import arb, fmpq

        return self._objects(
            [arb(fmpq(v.numerator, v.denominator)) for v in values], (len(values),)
        )

    def between(self, lower: FloatArray, upper: FloatArray) -> AnyArray:
        from flint import arb

        pairs = zip(np.ravel(lower).tolist(), np.ravel(upper).tolist(), strict=True)
        return self._objects(
            [arb(a) if a == b else arb(a).union(arb(b)) for a, b in pairs], np.shape(lower)
        )

    def powers(self, a: AnyArray, exponents: IntArray) -> AnyArray:
        values = [_power(x, k) for x, k in zip(a, exponents.tolist(), strict=True)]
        return self._objects(values, a.shape)

    def lower(self, a: AnyArray) -> FloatArray:
        return _ends(flint_ends, a, 0)

    def upper(self, a: AnyArray) -> FloatArray:
        return _ends(flint_ends, a, 1)


def _ends(of: Callable[[Any], tuple[float, float]], a: AnyArray, which: int) -> FloatArray:
    return np.array([of(x)[which] for x in np.ravel(a)]).reshape(np.shape(a))


def _power(x: Any, exponent: int) -> Any:
    """A power of a ball, from its ends: products of wide balls with themselves are too wide."""
    if exponent == 1 or not x.is_finite():
        return x
    first, last = x.lower(), x.upper()
    low, high = first, last
    for _ in range(exponent - 1):  # ** itself goes through logarithms
        low, high = low * first, high * last
    hull = low.union(high)
    return hull.union(0 * first) if exponent % 2 == 0 and first <= 0 <= last else hull


class _MpmathArithmetic(_ObjectArithmetic):
    """Intervals of mpmath, 53 bits; matrix products by integers."""

    name = "mpmath iv"
    functions = "mpmath"
    patience = 1 << 9

    @staticmethod
    def _array() -> type[ObjectArray]:
        return IvArray

    def exact(self, values: ExactArray) -> AnyArray:
        iv = intervals()
        return self._objects(
            [iv.mpf(v.numerator) / iv.mpf(v.denominator) for v in values], (len(values),)
        )

    def between(self, lower: FloatArray, upper: FloatArray) -> AnyArray:
        from mpmath import libmp

        make = intervals().make_mpf
        pairs = zip(np.ravel(lower).tolist(), np.ravel(upper).tolist(), strict=True)
        ends = [(libmp.from_float(a), libmp.from_float(b)) for a, b in pairs]
        return self._objects([make(pair) for pair in ends], np.shape(lower))

    def powers(self, a: AnyArray, exponents: IntArray) -> AnyArray:
        values = [x**k for x, k in zip(a, exponents.tolist(), strict=True)]
        return self._objects(values, a.shape)

    def lower(self, a: AnyArray) -> FloatArray:
        return _ends(mpmath_ends, a, 0)

    def upper(self, a: AnyArray) -> FloatArray:
        return _ends(mpmath_ends, a, 1)


def arithmetic(name: str) -> Arithmetic:
    """The arithmetic of a name: "float64", "flint", "mpmath", or "multiprecision" for flint or else mpmath.

    Raises
    ------
    MissingExtraError
        If flint is asked for and not installed.
    MethodError
        If there is none of that name.
    """
    if name == "multiprecision":
        name = "mpmath" if find_spec("flint") is None else "flint"
    if name == "flint" and find_spec("flint") is None:
        raise MissingExtraError(
            'balls need python-flint; install symlump with the extra "fast", or use arithmetic="mpmath"'
        )
    if name not in _KINDS:
        raise MethodError(
            f"arithmetic {name!r} is unknown; choose 'float64', 'flint', 'mpmath' or 'multiprecision'"
        )
    return _KINDS[name]


_KINDS: dict[str, Arithmetic] = {
    "float64": _OutwardFloats(),
    "flint": _FlintArithmetic(),
    "mpmath": _MpmathArithmetic(),
}
