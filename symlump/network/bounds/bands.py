"""Narrow bands around an activation: straight ones, and bent ones.

φ(z) − q(z), with q a polynomial of degree one or two, is bounded over an interval cut in parts: on each
part it lies below both of the lines that start at its ends with the largest and the least slope, hence
below the larger of their values at any one point between; likewise from above. How q is chosen decides
the width of a band, not whether it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlump.enclosures.interval import TINY, UNIT, Interval
from symlump.network.bounds.curves import Curve, under_lines
from symlump.ode.exact import FloatArray

_POINT = 1e-100  # intervals no wider are treated as one point: their square must not underflow
_PARTS = 16
_SLOPE_STEPS = 5


@dataclass(frozen=True, eq=False)
class Band:
    """φ(z) = offset + slope·(z − centre) + bend·(z − centre)² ± radius, for z in the intervals in question."""

    centre: FloatArray
    offset: FloatArray
    slope: FloatArray
    bend: FloatArray
    radius: FloatArray


def straight(phi: Curve, z: Interval) -> Band:
    """A band with ``centre`` and ``bend`` 0.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> from symlump.network.bounds.curves import curve
    >>> band = straight(curve(activation("relu"), 1.0), Interval(np.array([-1.0]), np.array([1.0])))
    >>> band.slope.item(), round(band.offset.item(), 9), round(band.radius.item(), 9)
    (0.5, 0.25, 0.25)
    """
    points, at, over = phi.along(_spaced(z, phi.parts))
    extremes = Interval(over.lower.min(axis=0), over.upper.max(axis=0))
    slope = _best_slope(points, at.middle, extremes)
    zero = np.zeros_like(slope)
    return _around(points, at, over, zero, slope, zero)


def bent(phi: Curve, z: Interval, centre: FloatArray) -> Band:
    """A band along a parabola, about a given centre.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> from symlump.network.bounds.curves import curve
    >>> phi, z = curve(activation("tanh"), 2.0), Interval(np.array([0.0]), np.array([2.0]))
    >>> straight(phi, z).radius.round(3).item(), bent(phi, z, np.array([1.0])).radius.round(3).item()
    (0.144, 0.02)
    """
    spaced = _spaced(z, _PARTS)
    points, at, over = phi.along(spaced)
    guess = at.middle if points is spaced else phi.values(Interval.point(spaced)).middle
    half = z.upper / 2 - z.lower / 2
    safe = np.where(half > _POINT, half, 1.0)
    slope, bend = np.tensordot(_PARABOLA, guess, axes=1)[1:] / np.stack([safe, safe**2])
    # fitted about the middle of the interval: moved to the given centre
    slope = slope + 2 * bend * (centre - (z.lower + half))
    return _around(points, at, over, centre, slope, bend)


def slope_line(phi: Curve, z: Interval, centre: FloatArray) -> Band:
    """A straight band around φ', not φ: slope(z) = offset + slope·(z − centre) ± radius; ``bend`` is 0."""
    points, _, over = phi.along(_spaced(z, _PARTS))
    whole = Interval(over.lower.min(axis=0), over.upper.max(axis=0))
    level, flat = whole.ball()
    half = z.upper / 2 - z.lower / 2
    safe = np.where(half > _POINT, half, 1.0)
    zero = np.zeros_like(level)
    if points.shape[0] != _PARTS + 1:  # kinks between the parts: no line is better than a constant
        return Band(centre, level, zero, zero, flat)
    tilt = np.tensordot(_LINE, over.middle, axes=1) / safe
    line = tilt * (points - centre)
    size = over.magnitude.max(axis=0) + np.abs(line).max(axis=0)
    most = (over.upper - np.minimum(line[:-1], line[1:])).max(axis=0)
    least = (over.lower - np.maximum(line[:-1], line[1:])).min(axis=0)
    # (where all is subnormal, ball() adds more than TINY must: it stays, being simpler than the reason)
    slack = 8 * UNIT * size + TINY
    offset, radius = Interval(least - slack, most + slack).ball()
    better = radius < flat
    return Band(
        centre,
        np.where(better, offset, level),
        np.where(better, tilt, zero),
        zero,
        np.where(better, radius, flat),
    )


def _least_squares() -> tuple[FloatArray, FloatArray]:
    """The parabola through values at evenly spaced t in [−1, 1], and the slope of a line through middles."""
    ends = np.linspace(-1.0, 1.0, _PARTS + 1)
    middles = (ends[:-1] + ends[1:]) / 2
    parabola = np.linalg.pinv(np.vander(ends, 3, increasing=True))
    return np.asarray(parabola, dtype=np.float64), middles / (middles @ middles)


_PARABOLA, _LINE = _least_squares()


def _spaced(z: Interval, parts: int) -> FloatArray:
    shares = np.linspace(0.0, 1.0, parts + 1).reshape(-1, *(1,) * z.lower.ndim)
    # (no difference of the two ends, which could overflow)
    points = np.clip((1 - shares) * z.lower + shares * z.upper, z.lower, z.upper)
    points[-1] = z.upper
    return np.asarray(points)


def _around(
    points: FloatArray,
    at: Interval,
    over: Interval,
    centre: FloatArray,
    slope: FloatArray,
    bend: FloatArray,
) -> Band:
    """The narrowest band along offset + slope·(z − centre) + bend·(z − centre)²."""
    away = points - centre
    shift, steepness = (slope + bend * away) * away, slope + 2 * bend * away
    high, low, width = at.upper - shift, at.lower - shift, points[1:] - points[:-1]
    steep = over.upper - np.minimum(steepness[:-1], steepness[1:])
    flat = over.lower - np.maximum(steepness[:-1], steepness[1:])
    above = under_lines(high[:-1], high[1:], steep, flat, width).max(axis=0)
    below = -under_lines(-low[:-1], -low[1:], -flat, -steep, width).max(axis=0)
    # at most a dozen roundings on the way, of numbers no larger than this
    reach = np.abs(points).max(axis=0) + np.abs(centre)
    size = at.magnitude.max(axis=0) + (np.abs(slope) + 2 * np.abs(bend) * reach) * reach
    size = size + over.magnitude.max(axis=0) * (points[-1] - points[0])
    slack = 64 * UNIT * size + TINY
    offset, radius = Interval(below - slack, above + slack).ball()
    return Band(centre, offset, slope, bend, radius)


def _best_slope(z: FloatArray, values: FloatArray, slopes: Interval) -> FloatArray:
    """About the α for which values − α·z varies least, for points along the first axis.

    The variation is convex in α, and falls with α as long as it is largest at a greater z than it is
    least. For a convex or concave function the secant is the best.
    """
    width = z[-1] - z[0]
    safe = np.where(width > 0, width, 1.0)
    best = low = high = np.where(width > 0, (values[-1] - values[0]) / safe, 0.0)
    least = np.full(best.shape, np.inf)
    trial = best
    for step in range(_SLOPE_STEPS):
        rest = values - trial * z
        top, bottom = rest.argmax(axis=0)[None], rest.argmin(axis=0)[None]
        spread = (np.take_along_axis(rest, top, 0) - np.take_along_axis(rest, bottom, 0))[0]
        best, least = np.where(spread < least, trial, best), np.minimum(spread, least)
        rises = (np.take_along_axis(z, top, 0) > np.take_along_axis(z, bottom, 0))[0]
        if not step:
            low, high = np.where(rises, low, slopes.lower), np.where(rises, slopes.upper, high)
        else:
            low, high = np.where(rises, trial, low), np.where(rises, high, trial)
        trial = 0.5 * low + 0.5 * high
    return best
