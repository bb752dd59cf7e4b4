"""Narrow bands around an activation: straight ones, and bent ones.

φ(z) − q(z), with q a polynomial of degree one to five, is bounded over an interval cut in parts: on each
part it lies below both of the lines that start at its ends with the largest and the least slope, hence
below the larger of their values at any one point between; likewise from above. How q is chosen decides
the width of a band, not whether it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from symlump.enclosures.interval import TINY, UNIT, Interval
from symlump.network.bounds.curves import Curve, evenly, under_lines
from symlump.ode.exact import FloatArray

_POINT = 1e-100  # intervals no wider are treated as one point: their square must not underflow
_PARTS = 16
_SLOPE_STEPS = 5


@dataclass(frozen=True, eq=False)
class Band:
    """φ = offset + slope·u + bend·u² + twist·u³ ± radius with u = z − centre, on the intervals in question.

    ``higher`` are the coefficients of u⁴, u⁵, … where there are any.
    """

    centre: FloatArray
    offset: FloatArray
    slope: FloatArray
    bend: FloatArray
    radius: FloatArray
    twist: FloatArray | float = 0.0
    higher: tuple[FloatArray, ...] = ()

    def __getitem__(self, some: Any) -> Band:
        twist = self.twist[some] if isinstance(self.twist, np.ndarray) else self.twist
        return Band(
            self.centre[some],
            self.offset[some],
            self.slope[some],
            self.bend[some],
            self.radius[some],
            twist,
            tuple(x[some] for x in self.higher),
        )


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
    points, at, over = phi.along(phi.spaced(z))
    extremes = Interval(over.lower.min(axis=0), over.upper.max(axis=0))
    slope = _best_slope(points, at.middle, extremes)
    zero = np.zeros_like(slope)
    return _around(points, at, over, zero, slope, zero)


def bent(phi: Curve, z: Interval, centre: FloatArray, degree: int = 2, parts: int = _PARTS) -> Band:
    """A band along a polynomial of degree two or more, about a given centre.

    Parameters
    ----------
    parts : int
        Into so many the interval is cut to bound the radius: more are tighter, and take longer.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> from symlump.network.bounds.curves import curve
    >>> phi, z, one = curve(activation("tanh"), 2.0), Interval(np.zeros(1), np.full(1, 2.0)), np.ones(1)
    >>> straight(phi, z).radius.round(3).item(), bent(phi, z, one).radius.round(3).item()
    (0.141, 0.02)
    >>> bent(phi, z, one, degree=3).radius.round(3).item()
    0.011
    >>> bent(phi, z, one, degree=5, parts=64).radius.round(4).item()
    0.0006
    """
    spaced = evenly(z, parts)
    points, at, over = phi.along(spaced)
    guess = at.middle if points is spaced else phi.values(Interval.point(spaced)).middle
    half = z.upper / 2 - z.lower / 2
    safe = np.where(half > _POINT, half, 1.0)
    found = np.tensordot(_fit(degree, parts), guess, axes=1)
    # fitted about the middle of the interval: moved to the given centre
    away = centre - (z.lower + half)
    powers = [found[k] / safe**k for k in range(1, degree + 1)]
    for first in (0, *range(degree - 1)):
        for k in range(degree - 2, first - 1, -1):
            powers[k] = powers[k] + away * powers[k + 1]
    slope, bend, *cubic = powers
    twist = cubic[0] if cubic else 0.0
    return _around(points, at, over, centre, slope, bend, twist, tuple(cubic[1:]))


def slope_line(phi: Curve, z: Interval, centre: FloatArray) -> Band:
    """A straight band around φ', not φ: slope(z) = offset + slope·(z − centre) ± radius; ``bend`` is 0."""
    points, _, over = phi.along(evenly(z, _PARTS))
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


@lru_cache(maxsize=16)
def _fit(degree: int, parts: int) -> FloatArray:
    """The polynomial through values at evenly spaced t in [−1, 1], by least squares.

    Those of higher degrees count more towards the ends, where they would be further off.
    """
    ends = np.linspace(-1.0, 1.0, parts + 1)
    powers = np.vander(ends, degree + 1, increasing=True)
    weight = (1 - 0.99 * ends**2) ** -0.25 if degree > 3 else np.ones_like(ends)
    return np.asarray(np.linalg.pinv(powers * weight[:, None]) * weight)


#: The slope of a line through the middles of parts.
_MIDDLES = (np.arange(_PARTS) + 0.5) * (2.0 / _PARTS) - 1.0
_LINE = _MIDDLES / (_MIDDLES @ _MIDDLES)


def _around(
    points: FloatArray,
    at: Interval,
    over: Interval,
    centre: FloatArray,
    slope: FloatArray,
    bend: FloatArray,
    twist: FloatArray | float = 0.0,
    higher: tuple[FloatArray, ...] = (),
) -> Band:
    """The narrowest band along offset + slope·u + bend·u² + twist·u³ + … with u = z − centre."""
    away = points - centre
    # u³·twist + u⁴·higher[0] + … is u³·cubic and has the slope u²·steeper; its third derivative is at most wavy
    cubic, steeper, wavy, tilt = twist, 3 * twist, 6 * np.abs(twist), np.zeros_like(slope)
    far = np.abs(away).max(axis=0) if higher else 0.0
    for k, power in enumerate(higher, 4):
        cubic, steeper = cubic + power * away ** (k - 3), steeper + k * power * away ** (k - 3)
        wavy = wavy + k * (k - 1) * (k - 2) * np.abs(power) * far ** (k - 3)
        tilt = tilt + (k + 8) * np.abs(power) * far ** (k - 1)
    shift = (slope + (bend + cubic * away) * away) * away
    steepness = slope + (2 * bend + steeper * away) * away
    high, low, width = at.upper - shift, at.lower - shift, points[1:] - points[:-1]
    # a slope is between two points no further beyond its ends than an eighth of its second derivative times
    # the square of their distance
    beyond = 0.125 * wavy * width**2
    steep = over.upper - np.minimum(steepness[:-1], steepness[1:]) + beyond
    flat = over.lower - np.maximum(steepness[:-1], steepness[1:]) - beyond
    above = under_lines(high[:-1], high[1:], steep, flat, width).max(axis=0)
    below = -under_lines(-low[:-1], -low[1:], -flat, -steep, width).max(axis=0)
    # at most two dozen roundings on the way, of numbers no larger than this
    reach = np.abs(points).max(axis=0) + np.abs(centre)
    tilt = tilt + np.abs(slope) + (2 * np.abs(bend) + 4 * np.abs(twist) * reach) * reach
    size = at.magnitude.max(axis=0) + tilt * reach
    size = size + over.magnitude.max(axis=0) * (points[-1] - points[0])
    slack = 64 * UNIT * size + TINY
    offset, radius = Interval(below - slack, above + slack).ball()
    return Band(centre, offset, slope, bend, radius, twist, higher)


def _best_slope(z: FloatArray, values: FloatArray, slopes: Interval) -> FloatArray:
    """About the α for which values − α·z varies least, for points along the first axis.

    The variation is convex in α, so it lies above each of its tangents: the next trial is where the last two,
    a falling one and a rising one, meet. First they are those at the least and the largest slope, which meet at
    the secant. For a convex or concave function that is the best.
    """
    flat, at = z.reshape(len(z), -1), values.reshape(len(z), -1)
    units = np.arange(flat.shape[1])
    width = flat[-1] - flat[0]
    safe = np.where(width > 0, width, 1.0)
    best = trial = np.where(width > 0, (at[-1] - at[0]) / safe, 0.0)
    # tangents: level + tilt·α
    falling, rising = (at[-1] - at[0], -safe), (at[0] - at[-1], safe)
    least = np.full(best.shape, np.inf)
    for _ in range(_SLOPE_STEPS):
        rest = at - trial * flat
        top, bottom = rest.argmax(axis=0), rest.argmin(axis=0)
        spread = rest[top, units] - rest[bottom, units]
        best, least = np.where(spread < least, trial, best), np.minimum(spread, least)
        tilt = flat[bottom, units] - flat[top, units]
        level = at[top, units] - at[bottom, units]
        falls = tilt < 0
        falling = np.where(falls, level, falling[0]), np.where(falls, tilt, falling[1])
        rising = np.where(falls, rising[0], level), np.where(falls, rising[1], tilt)
        across = rising[1] - falling[1]
        trial = np.where(
            across > 0, (falling[0] - rising[0]) / np.where(across > 0, across, 1.0), best
        )
    bounded = np.clip(best, slopes.lower.ravel(), slopes.upper.ravel())
    return np.asarray(np.where(np.isfinite(bounded), bounded, 0.0).reshape(z.shape[1:]))
