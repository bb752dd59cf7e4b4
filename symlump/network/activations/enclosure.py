"""Certified ranges of an activation and of its slope over intervals.

Between two consecutive points where its slope changes sign a function is monotone, so its range over an
interval is spanned by its values at the ends and at such points inside; likewise its slope, with the
points where the second derivative changes sign, and both one-sided slopes at a kink. Values come from
balls or intervals (:mod:`symlump.enclosures.functions`) and are rounded outward. Piecewise linear
activations need neither: exact steps of floats suffice.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.enclosures.functions import Formula, IntervalFunctions, interval_functions
from symlump.errors import MethodError
from symlump.network.activations.activation import Activation
from symlump.network.activations.rules import Pieces
from symlump.network.activations.special_points import Points
from symlump.ode.exact import FloatArray

Bounds = tuple[FloatArray, FloatArray]


def enclose(
    activation: Activation, lower: npt.ArrayLike, upper: npt.ArrayLike, *, using: str = ""
) -> Bounds:
    """Certified bounds of φ(z) for z in [lower, upper], entrywise.

    Parameters
    ----------
    activation : Activation
    lower, upper : array_like of float
        Ends of the intervals; ±inf is allowed.
    using : {"", "flint", "mpmath"}
        The interval arithmetic; by default flint where it is installed.

    Returns
    -------
    (ndarray, ndarray)
        Floats below and above every value.

    Raises
    ------
    MethodError
        If an end is not a number, or lower > upper.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> low, high = enclose(activation("silu"), [-3.0, 0.0], [0.0, 1.0])
    >>> low, high.round(3)
    (array([-0.27846454,  0.        ]), array([0.   , 0.731]))
    """
    low, high = _ends(lower, upper)
    if activation.pieces is not None:
        return _within(_piecewise_values(activation.pieces, low, high), activation.range)
    extra = [z for z, _, _ in activation.kinks]
    return _smooth(
        activation.formula, activation.turning, extra, activation.range, low, high, using
    )


def enclose_slope(
    activation: Activation, lower: npt.ArrayLike, upper: npt.ArrayLike, *, using: str = ""
) -> Bounds:
    """Certified bounds of φ'(z) for z in [lower, upper]; at a kink, of all slopes between the two sides.

    Parameters, Returns and Raises are those of :func:`enclose`.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> low, high = enclose_slope(activation("relu"), [-2.0, -1.0, 1.0], [-1.0, 0.0, 2.0])
    >>> low.tolist(), high.tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """
    low, high = _ends(lower, upper)
    if activation.pieces is not None:
        return _piecewise_slopes(activation.pieces, low, high)
    below, above = _smooth(
        activation.slope_formula, activation.inflection, [], activation.slopes, low, high, using
    )
    for z, left, right in activation.kinks:
        touched = (low <= z) & (z <= high)
        below = np.where(touched, np.minimum(below, min(left, right)), below)
        above = np.where(touched, np.maximum(above, max(left, right)), above)
    return below, above


def _ends(lower: npt.ArrayLike, upper: npt.ArrayLike) -> Bounds:
    low, high = np.broadcast_arrays(
        np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    )
    wrong = np.flatnonzero(~(low <= high).ravel())
    if wrong.size:
        at = int(wrong[0])
        raise MethodError(
            f"interval {at} is [{low.ravel()[at]}, {high.ravel()[at]}]; an interval has ends that are "
            "numbers, the lower one first"
        )
    return low, high


def _within(bounds: Bounds, everywhere: tuple[float, float]) -> Bounds:
    """Bounds cut to what holds for all z: rounding outward must not leave that."""
    return np.clip(bounds[0], *everywhere), np.clip(bounds[1], *everywhere)


def _smooth(
    formula: Formula,
    points: Points,
    extra: list[float],
    everywhere: tuple[float, float],
    low: FloatArray,
    high: FloatArray,
    using: str,
) -> Bounds:
    m = interval_functions(using)
    below, above = np.empty(low.size), np.empty(low.size)
    with m.working():
        for i, (a, b) in enumerate(zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)):
            if a == -inf or b == inf:
                below[i], above[i] = everywhere
                continue
            pairs = [(a, a)] if a == b else [(a, a), (b, b), *points(a, b)]
            values = [_value(m, formula, pair) for pair in pairs]
            values += [_value(m, formula, (z, z)) for z in extra if a < z < b]
            below[i] = min(value[0] for value in values)
            above[i] = max(value[1] for value in values)
    shape = low.shape
    return _within((below.reshape(shape), above.reshape(shape)), everywhere)


def _value(
    m: IntervalFunctions, formula: Formula, pair: tuple[float, float]
) -> tuple[float, float]:
    value: Any = formula(m, m.interval(*pair))
    return (value, value) if isinstance(value, float) else m.bounds(value)


def _piecewise_values(pieces: Pieces, low: FloatArray, high: FloatArray) -> Bounds:
    below, above = np.full(low.shape, inf), np.full(low.shape, -inf)
    ends = (-inf, *pieces.kinks, inf)
    for (slope, intercept), start, stop in zip(pieces.lines, ends, ends[1:], strict=False):
        touched = (low <= stop) & (start <= high)
        for z in (np.maximum(low, start), np.minimum(high, stop)):
            z = z[touched]
            down = up = np.full(z.shape, intercept)
            if slope:  # a product by ±1 and a sum with 0 are exact; anything else is rounded once
                down = up = product = slope * z
                if abs(slope) != 1:
                    down, up = np.nextafter(product, -inf), np.nextafter(product, inf)
                if intercept:
                    down = np.nextafter(down + intercept, -inf)
                    up = np.nextafter(up + intercept, inf)
            below[touched] = np.minimum(below[touched], down)
            above[touched] = np.maximum(above[touched], up)
    return below, above


def _piecewise_slopes(pieces: Pieces, low: FloatArray, high: FloatArray) -> Bounds:
    below, above = np.full(low.shape, inf), np.full(low.shape, -inf)
    ends = (-inf, *pieces.kinks, inf)
    for (slope, _), start, stop in zip(pieces.lines, ends, ends[1:], strict=False):
        touched = (low <= stop) & (start <= high)
        below[touched] = np.minimum(below[touched], slope)
        above[touched] = np.maximum(above[touched], slope)
    return below, above
