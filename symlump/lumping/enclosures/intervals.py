"""Arrays of intervals [lower, upper] in float64, rounded outward.

Only operations that IEEE 754 rounds correctly are used (+, −, ·, to nearest), so the next float outward
contains the exact result, and x ± |x|·2⁻⁵² is at least as far out. Sums of many terms, and the matrix
products that numpy hands to BLAS, are bounded as a whole: for any order of summation, with or without
fused multiply-add,

    |fl(Σ a_i·b_i) − Σ a_i·b_i| ≤ n·u·Σ |a_i·b_i|,   u = 2⁻⁵³,

if nothing underflows; what underflow can add is counted too. Twice that is subtracted and added, because the
bound is itself computed in floats. (BLAS must sum products, as OpenBLAS and MKL do; Strassen's scheme would
need another bound.)

References
----------
Jeannerod, Rump, "Improved error bounds for inner products in floating-point arithmetic",
doi:10.1137/120894488; Rump, "Fast and parallel interval arithmetic", doi:10.1023/A:1022374804152.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from symlump.ode.exact import AnyArray, FloatArray

#: The unit roundoff of float64.
UNIT = 2.0**-53
_UNDERFLOW = 2.0**-900


class Intervals:
    """An array of intervals [lower, upper] in float64; every operation rounds outward.

    Examples
    --------
    >>> a = Intervals(np.array([1.0, -1.0]), np.array([2.0, 1.0]))
    >>> product = a * a
    >>> bool(product.lower[0] < 1 and 4 < product.upper[0] < 4.000001)
    True
    """

    __array_ufunc__ = None  # so that ndarray + Intervals comes here

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        self.lower, self.upper = lower, upper

    @staticmethod
    def of(value: Intervals | FloatArray | float) -> Intervals:
        """Floats as the points that they are."""
        if isinstance(value, Intervals):
            return value
        array = np.asarray(value, dtype=np.float64)
        return Intervals(array, array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.lower.shape

    @property
    def T(self) -> Intervals:
        """The transpose."""
        return Intervals(self.lower.T, self.upper.T)

    @cached_property
    def smallest(self) -> float:
        """The smallest of all middles and radii that are not 0, in size; at most 1."""
        parts = middle_and_radius(self.lower, self.upper)
        sizes = [np.abs(part) for part in parts]
        return min(float(np.where(part > 0, part, 1.0).min(initial=1.0)) for part in sizes)

    def __getitem__(self, index: Any) -> Intervals:
        return Intervals(self.lower[index], self.upper[index])

    def __setitem__(self, index: Any, value: Intervals) -> None:
        self.lower[index], self.upper[index] = value.lower, value.upper
        self.__dict__.pop("smallest", None)

    def __neg__(self) -> Intervals:
        return Intervals(-self.upper, -self.lower)

    def __add__(self, other: Intervals | FloatArray | float) -> Intervals:
        other = Intervals.of(other)
        # Sums do not underflow: one that is 0 or subnormal is exact.
        return Intervals(below(self.lower + other.lower), above(self.upper + other.upper))

    __radd__ = __add__

    def __sub__(self, other: Intervals | FloatArray | float) -> Intervals:
        return self + -Intervals.of(other)

    def __rsub__(self, other: FloatArray | float) -> Intervals:
        return -self + other

    def __mul__(self, other: Intervals | FloatArray | float) -> Intervals:
        other = Intervals.of(other)
        a, b = (self, other) if other.lower is other.upper else (other, self)
        first, second = a.lower * b.lower, a.upper * b.lower
        lower, upper = np.minimum(first, second), np.maximum(first, second)
        if b.lower is not b.upper:
            third, fourth = a.lower * b.upper, a.upper * b.upper
            lower = np.minimum(lower, np.minimum(third, fourth))
            upper = np.maximum(upper, np.maximum(third, fourth))
        low, high = below(lower), above(upper)
        # Below 2⁻⁹⁰⁰ a product may have lost digits, or everything; unless a factor is 0.
        small = (np.abs(lower) < _UNDERFLOW) | (np.abs(upper) < _UNDERFLOW)
        if small.any():
            lost = small & ~(_is_zero(self) | _is_zero(other))
            if lost.any():
                low, high = (
                    np.where(lost, low - _UNDERFLOW, low),
                    np.where(lost, high + _UNDERFLOW, high),
                )
        return Intervals(low, high)

    __rmul__ = __mul__

    def __matmul__(self, other: Intervals | FloatArray) -> Intervals:
        return _product(self, Intervals.of(other))

    def __rmatmul__(self, other: FloatArray) -> Intervals:
        return _product(Intervals.of(other), self)


def _is_zero(a: Intervals) -> AnyArray:
    if a.lower is a.upper:
        return np.asarray(a.lower == 0)
    return np.asarray((a.lower == 0) & (a.upper == 0))


def below(values: FloatArray) -> FloatArray:
    """At most the next float below, for values that are not subnormal; 0 stays 0.

    |x|·2⁻⁵² is at least the distance to the next float, and rounding is monotone.
    """
    return np.asarray(values - np.abs(values) * 2.0**-52)


def above(values: FloatArray) -> FloatArray:
    """At least the next float above, for values that are not subnormal; 0 stays 0."""
    return np.asarray(values + np.abs(values) * 2.0**-52)


def middle_and_radius(lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Floats m and r with [lower, upper] inside m ± r; r is 0 where lower = upper."""
    if lower is upper:
        return lower, np.zeros_like(lower)
    middle = 0.5 * (lower + upper)
    return middle, above(np.maximum(upper - middle, middle - lower))


def sum_up(values: FloatArray) -> FloatArray:
    """At least the real sums of the rows, of numbers ≥ 0."""
    return np.asarray(values.sum(axis=1) * (1 + 2.0**-50 * (2 + values.shape[1])))


def _product(a: Intervals, b: Intervals) -> Intervals:
    """A matrix product through BLAS, in midpoint and radius, with the bound of the module's docstring."""
    a_middle, a_radius = middle_and_radius(a.lower, a.upper)
    b_middle, b_radius = middle_and_radius(b.lower, b.upper)
    a_size, b_size = np.abs(a_middle), np.abs(b_middle)
    terms = a.shape[-1]
    middle = a_middle @ b_middle
    error = a_size @ (2 * (terms + 2) * UNIT * b_size + b_radius)
    if a.lower is not a.upper:
        error = error + a_radius @ (b_size + b_radius)
    # A product underflows only where small numbers meet; then each of the terms may lose this much.
    if a.smallest * b.smallest < _UNDERFLOW:
        error = error + terms * _UNDERFLOW
    # The last part is for the roundings of the error itself, and of the two sums that are returned.
    error = error * (1 + 4 * (terms + 8) * UNIT) + np.abs(middle) * 2.0**-51
    return Intervals(middle - error, middle + error)
