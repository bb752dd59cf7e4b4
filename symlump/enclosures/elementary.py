"""Elementary functions and their first two derivatives on intervals, with certainty.

The ends are floats; in between, :mod:`symlump.enclosures.functions` computes with twice as many bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symlump.enclosures.functions import IntervalFunctions, interval_functions
from symlump.ode.exact import FloatArray

#: f, f' and f'' of an interval, in an arithmetic; None where one of them is not defined on all of it.
_Rule = Callable[[IntervalFunctions, Any], Sequence[Any] | None]


def _exp(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    e = m.exp(x)
    return e, e, e


def _log(m: IntervalFunctions, x: Any) -> Sequence[Any] | None:
    if not m.bounds(x)[0] > 0:
        return None
    return m.log1p(x - 1), 1 / x, -1 / (x * x)


def _sin(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    s, c = m.sin(x), m.cos(x)
    return s, c, -s


def _cos(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    s, c = m.sin(x), m.cos(x)
    return c, -s, -c


def _tan(m: IntervalFunctions, x: Any) -> Sequence[Any] | None:
    c = m.cos(x)
    low, high = m.bounds(c)
    if low <= 0 <= high:
        return None
    t = m.sin(x) / c
    return t, 1 + t * t, 2 * t * (1 + t * t)


def _sinh(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    s, c = (m.exp(x) - m.exp(-x)) / 2, (m.exp(x) + m.exp(-x)) / 2
    return s, c, s


def _cosh(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    s, c = (m.exp(x) - m.exp(-x)) / 2, (m.exp(x) + m.exp(-x)) / 2
    return c, s, c


def _tanh(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    t = m.tanh(x)
    return t, 1 - t * t, -2 * t * (1 - t * t)


def _abs(m: IntervalFunctions, x: Any) -> Sequence[Any]:
    """|x|. About 0 the slopes between two points lie in [−1, 1], and have no derivative."""
    low, high = m.bounds(x)
    zero, one = m.interval(0.0, 0.0), m.interval(1.0, 1.0)
    if low >= 0:
        return x, one, zero
    if high <= 0:
        return -x, -one, zero
    return m.interval(0.0, max(-low, high)), m.interval(-1.0, 1.0), m.interval(-math.inf, math.inf)


_RULES: dict[str, _Rule] = {
    "abs": _abs,
    "exp": _exp,
    "log": _log,
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
}
#: Functions that have two derivatives wherever they are defined.
ENCLOSED = frozenset(_RULES) - {"abs"}


def enclose_derivative(
    name: str, order: int, low: FloatArray, high: FloatArray, arithmetic: str = ""
) -> tuple[FloatArray, FloatArray]:
    """Ends of f^(order) on the intervals [low, high]; infinite where it is not defined on all of one.

    Parameters
    ----------
    name : str
        One of ``ENCLOSED``, or ``abs``, which has no second derivative about 0.
    order : {0, 1, 2}
    arithmetic : str
        As for :func:`symlump.enclosures.functions.interval_functions`.

    Examples
    --------
    >>> low, high = enclose_derivative("log", 0, np.array([1.0, -1.0]), np.array([1.0, 1.0]))
    >>> bool(low[0] <= 0 <= high[0]), float(low[1]), bool(high[0] < 1e-15)
    (True, -inf, True)
    """
    m = interval_functions(arithmetic)
    below, above = np.full(low.shape, -np.inf), np.full(low.shape, np.inf)
    with m.working():
        for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            if not (math.isfinite(a) and math.isfinite(b)):
                continue
            found = _RULES[name](m, m.interval(a, b))
            if found is not None:
                ends = m.bounds(found[order])
                if not any(map(math.isnan, ends)):
                    below[i], above[i] = ends
    if name == "tanh" and np.any(low < high):
        least, most = _tanh_by_ends(order, low, high, arithmetic)
        return np.maximum(below, least), np.minimum(above, most)
    return below, above


def _tanh_by_ends(
    order: int, low: FloatArray, high: FloatArray, arithmetic: str
) -> tuple[FloatArray, FloatArray]:
    """Value and derivative of tanh from its values at the ends: it grows, and tanh' = 1 − tanh².

    Series and balls are much wider than that on wide intervals, and overflow in the end.

    Examples
    --------
    >>> ends = np.array([-0.5]), np.array([205.0])
    >>> [_tanh_by_ends(order, *ends, "mpmath")[1].item() for order in (0, 1, 2)]
    [1.0, 1.0, 0.77]
    """
    if order == 2:  # |tanh''| = 2·|t|·(1 − t²) is at most 4/(3·√3) = 0.7698…
        return np.full(low.shape, -0.77), np.full(low.shape, 0.77)
    below = enclose_derivative("tanh", 0, low, low, arithmetic)[0]
    above = enclose_derivative("tanh", 0, high, high, arithmetic)[1]
    if order == 0:
        return below, above
    sizes = np.abs(below), np.abs(above)
    far = np.nextafter(np.maximum(*sizes) ** 2, np.inf)
    near = np.where((below <= 0) & (above >= 0), 0.0, np.minimum(*sizes))
    near = np.maximum(np.nextafter(near**2, -np.inf), 0.0)
    return (
        np.maximum(np.nextafter(1 - far, -np.inf), 0.0),
        np.minimum(np.nextafter(1 - near, np.inf), 1.0),
    )


def reciprocals(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends of 1/x on the intervals [low, high]; infinite where one contains 0.

    A quotient of floats is within the float before and the one after its rounded value.

    Examples
    --------
    >>> low, high = reciprocals(np.array([3.0, -1.0]), np.array([4.0, 1.0]))
    >>> bool(low[0] < 0.25 and 1 / 3 < high[0]), float(high[1])
    (True, inf)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below, above = np.nextafter(1 / high, -np.inf), np.nextafter(1 / low, np.inf)
    apart = (low > 0) | (high < 0)
    return np.where(apart, below, -np.inf), np.where(apart, above, np.inf)
