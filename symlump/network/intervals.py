"""Interval arithmetic on arrays of float64, rounded outward.

Every result contains every real number that the operation can give on members of its operands. Two
facts carry all of it, both for IEEE 754 arithmetic with rounding to nearest, unit roundoff u = 2⁻⁵³:

- a float result differs from the real one by at most half a step, so the next float up (or down) bounds
  it;
- a dot product of n terms, summed in any order, with or without fused multiply-add, differs from the
  real one by at most γ_n·Σ|a_i||b_i| + n·2⁻¹⁰⁷⁴, with γ_n = n·u/(1 − n·u).

The second is what lets matrix products go through the usual fast libraries (which must sum products,
as BLAS does; Strassen's scheme would need another γ).

References
----------
Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1,
doi:10.1137/1.9780898718027; Rump, "Fast and parallel interval arithmetic",
doi:10.1023/A:1022374804152.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symlump.errors import FailureError, MethodError
from symlump.ode.exact import FloatArray

#: Unit roundoff of float64.
UNIT = 2.0**-53
#: More than all underflow that can happen in one operation on arrays of any size that fits a machine.
TINY = 2.0**-1000


def gamma(terms: int) -> float:
    """At least γ_n = n·u/(1 − n·u), the relative error of a dot product of n terms.

    Examples
    --------
    >>> gamma(100) > 100 * UNIT
    True
    """
    return float(terms * UNIT * (1 + 2.0**-20))  # n < 2³², which every array here satisfies


def grow(values: FloatArray, terms: int) -> FloatArray:
    """At least the real value of sums of ``terms`` non-negative products that were computed in floats."""
    return np.asarray(values * (1 + 2 * gamma(terms + 4)) + TINY)


def up(values: FloatArray) -> FloatArray:
    """The next float above."""
    return np.asarray(np.nextafter(values, np.inf))


def down(values: FloatArray) -> FloatArray:
    """The next float below."""
    return np.asarray(np.nextafter(values, -np.inf))


@dataclass(frozen=True, eq=False)
class Interval:
    """An array of closed intervals [lower, upper]; the operators round outward.

    Examples
    --------
    >>> third = Interval(np.array([1.0]), np.array([1.0])) * Interval(np.array([0.1]), np.array([0.1]))
    >>> bool(third.lower[0] < 0.1 < third.upper[0])
    True
    """

    lower: FloatArray
    upper: FloatArray

    @classmethod
    def point(cls, values: FloatArray) -> Interval:
        """Intervals that hold one number each."""
        return cls(values, values)

    @property
    def magnitude(self) -> FloatArray:
        """The largest absolute value in each interval, exactly."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @property
    def middle(self) -> FloatArray:
        """A float inside each interval, near its middle."""
        return np.clip(0.5 * self.lower + 0.5 * self.upper, self.lower, self.upper)

    def ball(self) -> tuple[FloatArray, FloatArray]:
        """Centre and radius of balls that contain the intervals."""
        centre = self.middle
        return centre, np.maximum(_gap(self.upper, centre), _gap(centre, self.lower))

    def __and__(self, other: Interval) -> Interval:
        """Intersection, for two enclosures of the same numbers."""
        return Interval(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    def __or__(self, other: Interval) -> Interval:
        """Hull."""
        return Interval(np.minimum(self.lower, other.lower), np.maximum(self.upper, other.upper))

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __add__(self, other: Interval) -> Interval:
        return Interval(down(self.lower + other.lower), up(self.upper + other.upper))

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        corners = np.stack(
            [
                self.lower * other.lower,
                self.lower * other.upper,
                self.upper * other.lower,
                self.upper * other.upper,
            ]
        )
        return Interval(down(corners.min(axis=0)), up(corners.max(axis=0)))

    def __getitem__(self, index: Any) -> Interval:
        return Interval(self.lower[index], self.upper[index])


def _gap(high: FloatArray, low: FloatArray) -> FloatArray:
    """At least high − low, and exactly 0 where they are equal."""
    return np.where(high > low, up(high - low), 0.0)


@dataclass(frozen=True, eq=False)
class Affine:
    """The map x ↦ W·x + b with W and b known up to radii: |W − weight| ≤ weight_radius, entrywise.

    Parameters
    ----------
    weight, weight_radius : ndarray, shape (units, inputs)
    bias, bias_radius : ndarray, shape (units,)
    """

    weight: FloatArray
    bias: FloatArray
    weight_radius: FloatArray
    bias_radius: FloatArray

    @classmethod
    def exactly(cls, weight: FloatArray, bias: FloatArray | None) -> Affine:
        """The map of these floats themselves."""
        constant = np.zeros(weight.shape[0]) if bias is None else bias
        return cls(weight, constant, np.zeros_like(weight), np.zeros_like(constant))

    def error(self, magnitude: FloatArray, relative: float) -> FloatArray:
        """At least relative·(|W|·|x| + |b|) plus what the radii add, for |x| ≤ ``magnitude``.

        Parameters
        ----------
        magnitude : ndarray, shape (…, inputs)
        """
        total = magnitude @ (relative * np.abs(self.weight) + self.weight_radius).T
        return grow(
            total + (relative * np.abs(self.bias) + self.bias_radius), self.weight.shape[1] + 4
        )

    def __call__(self, x: Interval) -> Interval:
        """All W·x + b for x in the intervals, of shape (…, inputs)."""
        centre, radius = x.ball()
        terms = self.weight.shape[1]
        middle = centre @ self.weight.T + self.bias
        spread = grow(radius @ np.abs(self.weight).T, terms)
        error = self.error(np.maximum(np.abs(x.lower), np.abs(x.upper)), gamma(terms + 2))
        around = grow(spread + error, 2)
        return Interval(down(middle - around), up(middle + around))

    def after(self, before: Affine) -> Affine:
        """The composition self ∘ before, as one map."""
        terms = before.weight.shape[0]
        weight = self.weight @ before.weight
        bias = self.weight @ before.bias + self.bias
        size, relative = np.abs(self.weight), gamma(terms + 2)
        largest = np.abs(before.weight) + before.weight_radius
        constant = np.abs(before.bias) + before.bias_radius
        radius = relative * (size @ np.abs(before.weight))
        radius += size @ before.weight_radius + self.weight_radius @ largest
        shift = relative * (size @ np.abs(before.bias) + np.abs(self.bias))
        shift += size @ before.bias_radius + self.weight_radius @ constant + self.bias_radius
        return Affine(weight, bias, grow(radius, terms + 8), grow(shift, terms + 8))


def ensure_finite(x: Interval, what: str) -> None:
    """Refuse numbers that left the range of float64.

    Raises
    ------
    FailureError
        Naming what overflowed.
    """
    if not (np.isfinite(x.lower).all() and np.isfinite(x.upper).all()):
        raise FailureError(
            f"{what} overflow float64 on this box, so nothing can be certified; take a smaller box"
        )


def as_box(box: Any, inputs: int) -> Interval:
    """Read a box of inputs.

    Parameters
    ----------
    box : (low, high) or ndarray, shape (inputs, 2)
        A pair of numbers or of arrays of shape (inputs,); or one row (low, high) for each input.

    Raises
    ------
    MethodError
        If it is of another shape, not finite, or empty.

    Examples
    --------
    >>> as_box((-1, 1), 2).lower.tolist(), as_box(np.array([[-1, 1], [0, 2]]), 2).lower.tolist()
    ([-1.0, -1.0], [-1.0, 0.0])
    """
    expected = f"a box is (low, high), each a number or {inputs} numbers, or an array of shape ({inputs}, 2)"
    if inputs == 2 and isinstance(box, list) and np.ndim(box) == 2:
        raise MethodError(
            "this list of two pairs can be read in two ways; give a tuple (low, high), or a numpy array "
            "with one row for each of the two inputs"
        )
    try:
        if isinstance(box, np.ndarray) and box.shape == (inputs, 2):
            low, high = np.array(box, dtype=np.float64).T
        else:
            low, high = (
                np.broadcast_to(np.asarray(end, dtype=np.float64), (inputs,)) for end in _pair(box)
            )
    except (TypeError, ValueError):
        raise MethodError(f"{expected}; got {box!r}") from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise MethodError(f"{expected}, with finite low ≤ high; got {box!r}")
    return Interval(np.array(low), np.array(high))


def samples_of(box: Interval, count: int, generator: np.random.Generator) -> FloatArray:
    """Uniform samples of a box, of shape (count, inputs); its width may be beyond all floats.

    Examples
    --------
    >>> box = as_box((-1e308, 1e308), 2)
    >>> bool(np.isfinite(samples_of(box, 5, np.random.default_rng(0))).all())
    True
    """
    share = generator.uniform(size=(count, box.lower.size))
    return np.asarray(np.clip((1 - share) * box.lower + share * box.upper, box.lower, box.upper))


def _pair(box: Any) -> tuple[Any, Any]:
    rows = tuple(box)
    if len(rows) == 2:
        return rows[0], rows[1]
    columns = np.asarray(box, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != 2:
        raise ValueError
    return columns[:, 0], columns[:, 1]
