"""Where an activation turns or bends most: functions that list such points of an interval.

Points are irrational as a rule, so each is given as a pair of floats that it lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from math import floor, inf, nextafter, pi, ulp

#: For an interval [a, b] of floats: pairs (low, high), each around one point in or next to it.
Points = Callable[[float, float], list[tuple[float, float]]]


def at(*points: float) -> Points:
    """These points: an integer as it stands, any other float as the rounding of an irrational point.

    Examples
    --------
    >>> at(-1.0, 2**0.5)(0.0, 2.0)
    [(1.414213562373095, 1.4142135623730954)]
    """
    pairs = [
        (p, p) if p == int(p) else (nextafter(p, -inf), nextafter(p, inf))
        for p in map(float, points)
    ]
    return lambda a, b: [pair for pair in pairs if pair[0] <= b and a <= pair[1]]


def multiples_of_pi(offset: float) -> Points:
    """The points (k + offset)·π, for a function that takes its extrema on any two consecutive ones.

    Examples
    --------
    >>> [round(low / pi, 3) for low, _ in multiples_of_pi(0.5)(0.0, 5.0)]
    [0.5, 1.5]
    """

    def points(a: float, b: float) -> list[tuple[float, float]]:
        if not max(abs(a), abs(b)) < 1e9:
            return [(a, b)]  # floats are no longer dense between the points: the interval itself
        first = floor(a / pi - offset) - 1
        found = []
        for k in range(first, first + 6):  # at least two full half-periods beyond a
            p = (k + offset) * pi  # three roundings, so within two steps of the point
            pair = (p - 4 * ulp(p), p + 4 * ulp(p))
            if pair[0] <= b and a <= pair[1]:
                found.append(pair)
        return found

    return points


def roots(coefficients: Sequence[Fraction]) -> Points:
    """The real roots of Σ c_k·z^k, isolated exactly.

    Examples
    --------
    >>> [round(low, 6) for low, _ in roots([Fraction(-2), Fraction(0), Fraction(1)])(-5.0, 5.0)]
    [-1.414214, 1.414214]
    """
    exact = tuple(coefficients)
    return lambda a, b: [pair for pair in _isolated(exact) if pair[0] <= b and a <= pair[1]]


@cache
def _isolated(coefficients: tuple[Fraction, ...]) -> tuple[tuple[float, float], ...]:
    import sympy

    z = sympy.Symbol("z")
    terms = [sympy.Rational(c.numerator, c.denominator) for c in reversed(coefficients)]
    polynomial = sympy.Poly(terms, z)
    if polynomial.degree() < 1:
        return ()
    pairs = []
    for (low, high), _ in polynomial.intervals(eps=sympy.Rational(1, 2**60)):
        pairs.append((_down(Fraction(low.p, low.q)), -_down(Fraction(-high.p, high.q))))
    return tuple(pairs)


def _down(value: Fraction) -> float:
    """The largest float found that is at most ``value``."""
    low = float(value)
    return low if Fraction(low) <= value else nextafter(low, -inf)
