"""Taylor polynomials with certain coefficients: one more arithmetic for the formulas of activations.

A :class:`Jet` is Σ c_k·s^k up to some order, with c_k in an interval arithmetic of
:mod:`symlump.enclosures.functions`. A formula evaluated on the jet z + s gives φ(z + s), coefficient
by coefficient. With z an interval, the coefficient of s^k holds φ⁽ᵏ⁾(ζ)/k! for all ζ in it, which is the
remainder of Taylor's theorem.

Functions are expanded from their differential equations: f(z(s))' = g·z' gives k·f_k = Σ j·z_j·g_{k−j}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symlump.enclosures.functions import Formula, Functions, IntervalFunctions


@dataclass(frozen=True, eq=False)
class Jet:
    """Σ c_k·s^k; the product of two is cut at their order.

    Parameters
    ----------
    c : list
        The coefficients, lowest first.
    side : float or None
        Of z itself a number inside its interval: on which side of a number z lies, where a formula asks.
        The caller sees to it that no formula branches inside the interval. What is made of z has none.
    """

    c: list[Any]
    side: float | None = None

    def _with(self, c: list[Any]) -> Jet:
        return Jet(c)

    def _other(self, x: Any) -> list[Any]:
        return x.c if isinstance(x, Jet) else [x, *(0 * c for c in self.c[1:])]

    def __add__(self, x: Any) -> Jet:
        return self._with([a + b for a, b in zip(self.c, self._other(x), strict=True)])

    def __sub__(self, x: Any) -> Jet:
        return self._with([a - b for a, b in zip(self.c, self._other(x), strict=True)])

    def __rsub__(self, x: Any) -> Jet:
        return self._with([b - a for a, b in zip(self.c, self._other(x), strict=True)])

    def __neg__(self) -> Jet:
        return self._with([-a for a in self.c])

    def __mul__(self, x: Any) -> Jet:
        if not isinstance(x, Jet):
            return self._with([a * x for a in self.c])
        return self._with([_convolved(self.c, x.c, k) for k in range(len(self.c))])

    def __truediv__(self, x: Any) -> Jet:
        if not isinstance(x, Jet):
            return self._with([a / x for a in self.c])
        quotient: list[Any] = []
        for k, a in enumerate(self.c):
            for j in range(k):
                a = a - quotient[j] * x.c[k - j]
            quotient.append(a / x.c[0])
        return self._with(quotient)

    def __rtruediv__(self, x: Any) -> Jet:
        return self._with(self._other(x)) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __gt__(self, x: float) -> bool:
        if self.side is None:
            raise ValueError("a formula may ask of z alone on which side of a number it lies")
        return self.side > x


def expand(formula: Formula, m: IntervalFunctions, low: float, high: float, order: int) -> Jet:
    """A formula about each point of [low, high], in which it must not branch: coefficients up to an order.

    Examples
    --------
    >>> from symlump.enclosures.functions import interval_functions
    >>> m = interval_functions("mpmath")
    >>> [m.bounds(c) for c in expand(lambda m, z: z * z, m, 0.0, 1.0, 2).c]
    [(0.0, 1.0), (0.0, 2.0), (1.0, 1.0)]
    """
    side = low + (high - low) / 2
    zero, one = m.interval(0.0, 0.0), m.interval(1.0, 1.0)
    z = Jet([m.interval(low, high), one, *[zero] * order][: order + 1], side)
    found = formula(jet_functions(m), z)
    return found if isinstance(found, Jet) else found + 0 * z


def _convolved(a: list[Any], b: list[Any], k: int) -> Any:
    total = a[0] * b[k]
    for j in range(1, k + 1):
        total = total + a[j] * b[k - j]
    return total


def _solved(z: Jet, start: list[Any], rules: list[Callable[[list[Jet]], Jet]]) -> list[Jet]:
    """Functions f_i of z with value ``start`` and derivative rules_i(f), order by order."""
    found = [[value] for value in start]
    for k in range(1, len(z.c)):
        known = [Jet(list(c)) for c in found]
        short = Jet(z.c[:k])
        for c, rule in zip(found, rules, strict=True):
            slope = rule([*known, short]).c
            total = z.c[1] * slope[k - 1]
            for j in range(2, k + 1):
                total = total + j * z.c[j] * slope[k - j]
            c.append(total / k)
    return [Jet(c) for c in found]


def jet_functions(m: IntervalFunctions) -> Functions:
    """The functions of formulas, on jets over an interval arithmetic."""

    def exp(z: Jet) -> Jet:
        return _solved(z, [m.exp(z.c[0])], [lambda f: f[0]])[0]

    def expm1(z: Jet) -> Jet:
        return Jet([m.expm1(z.c[0]), *exp(z).c[1:]])

    def density(z: Jet) -> Jet:
        return _solved(z, [m.density(z.c[0])], [lambda f: -(f[0] * f[1])])[0]

    def normal(z: Jet) -> Jet:
        start = [m.normal(z.c[0]), m.density(z.c[0])]
        return _solved(z, start, [lambda f: f[1], lambda f: -(f[1] * f[2])])[0]

    def circular(z: Jet) -> list[Jet]:
        return _solved(z, [m.sin(z.c[0]), m.cos(z.c[0])], [lambda f: f[1], lambda f: -f[0]])

    def chosen(condition: Any, yes: Any, no: Any) -> Any:
        return yes if condition else no

    return Functions(
        exp=exp,
        expm1=expm1,
        log1p=lambda z: _solved(z, [m.log1p(z.c[0])], [lambda f: 1 / (1 + f[1])])[0],
        tanh=lambda z: _solved(z, [m.tanh(z.c[0])], [lambda f: 1 - f[0] * f[0]])[0],
        sigmoid=lambda z: _solved(z, [m.sigmoid(z.c[0])], [lambda f: f[0] - f[0] * f[0]])[0],
        normal=normal,
        density=density,
        sin=lambda z: circular(z)[0],
        cos=lambda z: circular(z)[1],
        absolute=lambda z: z if z > 0 else -z,
        maximum=lambda z, c: z if z > c else c + 0 * z,
        minimum=lambda z, c: c + 0 * z if z > c else z,
        where=chosen,
    )
