"""Arrays of intervals [lower, upper] in float64, rounded outward.

Every result contains every real number that the operation can give on members of its operands. Two facts of
IEEE 754 arithmetic carry all of it, with rounding to nearest, unit roundoff u = 2⁻⁵³, and gradual underflow:

- the next float outward bounds the real result of one operation; a sum that is 0 is exact, and so is a
  product with 0;
- a dot product of n terms, summed in any order, with or without fused multiply-add, differs from the
  real one by at most n·u·Σ|a_i||b_i| + n·2⁻¹⁰⁷⁴ (Jeannerod and Rump).

The second is what lets matrix products go through the usual fast libraries (which must sum products, as BLAS
does; Strassen's scheme would need another bound). Such bounds are computed in floats as well, so they are
taken twice.

References
----------
Jeannerod, Rump, "Improved error bounds for inner products in floating-point arithmetic",
doi:10.1137/120894488; Rump, "Fast and parallel interval arithmetic", doi:10.1023/A:1022374804152.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.ode.exact import FloatArray

#: Unit roundoff of float64.
UNIT = 2.0**-53
#: More than all underflow that can happen in one operation on arrays of any size that fits a machine.
TINY = 2.0**-1000
#: Products of numbers not below this, times a unit roundoff, are normal numbers.
_NORMAL = 2.0**-900


def gamma(terms: int) -> float:
    """At least n·u, the relative error of a dot product of n terms.

    Examples
    --------
    >>> gamma(100) >= 100 * UNIT
    True
    """
    return float(terms * UNIT)  # exact: a power of two times n < 2⁵³


def grow(values: FloatArray, terms: int) -> FloatArray:
    """At least the real value of sums of ``terms`` non-negative products that were computed in floats."""
    return np.asarray(values * (1 + 2 * gamma(terms + 4)) + TINY)


def sum_up(values: FloatArray) -> FloatArray:
    """At least the real sums of the rows, of numbers ≥ 0."""
    return np.asarray(values.sum(axis=1) * (1 + 2 * gamma(values.shape[1] + 4)))


def up(values: FloatArray) -> FloatArray:
    """The next float above."""
    return np.asarray(np.nextafter(values, np.inf))


def down(values: FloatArray) -> FloatArray:
    """The next float below."""
    return np.asarray(np.nextafter(values, -np.inf))


def _outward(
    lower: FloatArray, upper: FloatArray, exact: npt.NDArray[np.bool_] | None = None
) -> Interval:
    """Ends that were rounded once, moved outward; those of 0 that are exact stay."""
    if exact is None:
        return Interval(
            np.where(lower == 0, lower, down(lower)), np.where(upper == 0, upper, up(upper))
        )
    return Interval(np.where(exact, 0.0, down(lower)), np.where(exact, 0.0, up(upper)))


@dataclass(frozen=True, eq=False)
class Interval:
    """An array of closed intervals [lower, upper]; the operators round outward.

    Examples
    --------
    >>> third = Interval(np.array([1.0]), np.array([1.0])) * 0.1
    >>> bool(third.lower[0] < 0.1 < third.upper[0])
    True
    >>> product = np.array([[1e-200, 1e-200]]) @ Interval.point(np.array([[1e-200], [1e-200]]))
    >>> bool(product.lower.item() < 0 < product.upper.item())
    True
    """

    lower: FloatArray
    upper: FloatArray

    __array_ufunc__ = None  # so that ndarray + Interval comes here

    @classmethod
    def point(cls, values: FloatArray) -> Interval:
        """Intervals that hold one number each."""
        return cls(values, values)

    @classmethod
    def of(cls, value: Interval | FloatArray | float) -> Interval:
        """Floats as the points that they are."""
        return (
            value if isinstance(value, Interval) else cls.point(np.asarray(value, dtype=np.float64))
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.lower.shape

    @property
    def T(self) -> Interval:
        """The transpose."""
        return self._both(self.lower.T, lambda: self.upper.T)

    @property
    def magnitude(self) -> FloatArray:
        """The largest absolute value in each interval, exactly."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @property
    def middle(self) -> FloatArray:
        """A float inside each interval, near its middle."""
        return self._ball[0]

    def ball(self) -> tuple[FloatArray, FloatArray]:
        """Centres and radii of balls that contain the intervals; the radius of a point is 0."""
        return self._ball

    @cached_property
    def _ball(self) -> tuple[FloatArray, FloatArray]:
        if self.lower is self.upper:
            return self.lower, np.zeros_like(self.lower)
        centre = np.maximum(0.5 * self.lower + 0.5 * self.upper, self.lower)
        centre = np.minimum(centre, self.upper)
        far = np.maximum(self.upper - centre, centre - self.lower)
        return centre, np.where(far > 0, up(far), 0.0)

    def _both(self, lower: FloatArray, upper: Any) -> Interval:
        """A point stays one: its ends are the same array."""
        return Interval.point(lower) if self.lower is self.upper else Interval(lower, upper())

    def __getitem__(self, index: Any) -> Interval:
        return self._both(self.lower[index], lambda: self.upper[index])

    def __and__(self, other: Interval) -> Interval:
        """Intersection, for two enclosures of the same numbers."""
        return Interval(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    def __or__(self, other: Interval) -> Interval:
        """Hull."""
        return Interval(np.minimum(self.lower, other.lower), np.maximum(self.upper, other.upper))

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __add__(self, other: Interval | FloatArray | float) -> Interval:
        other = Interval.of(other)
        return _outward(self.lower + other.lower, self.upper + other.upper)

    __radd__ = __add__

    def __sub__(self, other: Interval | FloatArray | float) -> Interval:
        return self + -Interval.of(other)

    def __rsub__(self, other: FloatArray | float) -> Interval:
        return -self + other

    def __mul__(self, other: Interval | FloatArray | float) -> Interval:
        other = Interval.of(other)
        a, b = (self, other) if other.lower is other.upper else (other, self)
        corners = [a.lower * b.lower, a.upper * b.lower]
        if b.lower is not b.upper:
            corners += [a.lower * b.upper, a.upper * b.upper]
        exact = _is_zero(a) | _is_zero(b)
        return _outward(np.minimum.reduce(corners), np.maximum.reduce(corners), exact)

    __rmul__ = __mul__

    def __matmul__(self, other: Interval | FloatArray) -> Interval:
        middle, radius = ball_product(*self.ball(), *Interval.of(other).ball())
        return around(middle, radius)

    def __rmatmul__(self, other: FloatArray) -> Interval:
        return Interval.of(other) @ self


def _is_zero(a: Interval) -> npt.NDArray[np.bool_]:
    return np.asarray((a.lower == 0) & (a.upper == 0))


def around(middle: FloatArray, radius: FloatArray) -> Interval:
    """Intervals that contain balls.

    Examples
    --------
    >>> around(np.array([1.0, 0.0]), np.array([1e-20, 0.0])).upper.tolist()
    [1.0000000000000002, 0.0]
    """
    lower, upper = middle - radius, middle + radius
    still = radius == 0
    return Interval(np.where(still, middle, down(lower)), np.where(still, middle, up(upper)))


@dataclass(frozen=True, eq=False)
class Sizes:
    """What a product asks of one of its balls, to be asked once.

    Parameters
    ----------
    size : ndarray
        |b|.
    least : float
        The smallest of all middles and radii that are not 0, in size; at most 1.
    certain : bool
        Whether all radii are 0.
    """

    size: FloatArray
    least: float
    certain: bool

    @classmethod
    def of(cls, middle: FloatArray, radius: FloatArray) -> Sizes:
        """Of a ball that stands on the right of products."""
        size, certain = np.abs(middle), not radius.any()
        least = _least(size) if certain else min(_least(size), _least(radius))
        return cls(size, least, certain)


def ball_product(
    a: FloatArray,
    a_radius: FloatArray,
    b: FloatArray,
    b_radius: FloatArray,
    sizes: Sizes | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Middle and radius of all products of matrices in two balls, through BLAS.

    |A·B − fl(a·b)| ≤ n·u·|a|·|b| + |a|·r_b + r_a·(|b| + r_b), and what underflow adds. It is summed in
    floats, with 2·(n + 2) for n: that pays for the rounding of the two ends, too. ``sizes`` are those of b, if
    they are known.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> [part.item() for part in ball_product(one, 0.5 * one, one, 0 * one)]
    [1.0, 0.5000000000000017]
    """
    sizes = sizes or Sizes.of(b, b_radius)
    size, terms, spread = np.abs(a), a.shape[-1], a_radius.any()
    error = 2 * gamma(terms + 2) * (size @ sizes.size)
    if not sizes.certain:
        error = error + size @ b_radius
    # where small numbers meet each product may lose digits, or everything
    lost = 0.0 if min(_least(size), _least(a_radius)) * sizes.least >= _NORMAL else TINY
    if spread:
        error = error + a_radius @ (sizes.size if sizes.certain else sizes.size + b_radius)
    return a @ b, np.asarray(error * (1 + 2 * gamma(terms + 8)) + lost)


def _least(sizes: FloatArray) -> float:
    """The smallest of numbers ≥ 0 that is not 0; at most 1."""
    return float(sizes.min(initial=1.0, where=sizes > 0))
