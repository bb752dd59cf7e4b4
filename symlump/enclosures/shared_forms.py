"""Values that depend on the same unknowns, enclosed together: an affine form for each, rounded outward.

They hold x = middle + sides·t + r for some numbers −1 ≤ t_j ≤ 1 that all rows share, and numbers
r_i of which only their sizes are known, at most error_i. Sums and affine maps keep what rows have in common; a
product and a function keep its linear part.

Rounding. Middles and sides are *chosen* to be the floats that come out; ``error`` pays for what the real ones
would be. An operation of n terms is off by at most n·u times the sum of the sizes of its terms, and by what
underflows, which is less than TINY.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symlump.enclosures.interval import TINY, Interval, around, gamma, grow
from symlump.ode.exact import FloatArray, IntArray

#: Roundings of one entry in any operation here that is not a sum over entries.
_FEW = 8


@dataclass(frozen=True, eq=False)
class SharedForms:
    """Rows middle + sides·t ± error.

    Parameters
    ----------
    middle : ndarray, shape (rows,)
    sides : ndarray, shape (rows, unknowns)
    error : ndarray, shape (rows,)

    Examples
    --------
    >>> x = Unknowns().fresh(Interval(np.array([0.0, 2.0]), np.array([1.0, 4.0])))
    >>> bool((x - x).radius.max() < 1e-12)
    True
    >>> both = x.through(np.array([[1.0, 1.0], [1.0, -1.0]]))
    >>> both.range.upper.round(9)
    array([ 5., -1.])
    """

    middle: FloatArray
    sides: FloatArray
    error: FloatArray

    @cached_property
    def radius(self) -> FloatArray:
        """At least \\|x − middle\\|."""
        return grow(np.abs(self.sides).sum(axis=1) + self.error, self.sides.shape[1] + 1)

    @property
    def range(self) -> Interval:
        """Where each row is."""
        return around(self.middle, self.radius)

    @cached_property
    def size(self) -> FloatArray:
        """At least \\|middle\\| + \\|sides\\| + error, which is at least \\|x\\|."""
        return grow(np.abs(self.middle) + self.radius, 2)

    def __getitem__(self, rows: IntArray) -> SharedForms:
        return SharedForms(self.middle[rows], self.sides[rows], self.error[rows])

    def __add__(self, other: SharedForms) -> SharedForms:
        one, two = alike(self, other)
        error = one.error + two.error + gamma(_FEW) * (self.size + other.size)
        return SharedForms(one.middle + two.middle, one.sides + two.sides, grow(error, _FEW))

    def __sub__(self, other: SharedForms) -> SharedForms:
        return self + SharedForms(-other.middle, -other.sides, other.error)

    def __mul__(self, other: SharedForms) -> SharedForms:
        """Row by row, x·y = m_x·y + m_y·x − m_x·m_y ± rad x · rad y."""
        one, two = alike(self, other)
        a, b = np.abs(one.middle), np.abs(two.middle)
        error = a * two.error + b * one.error + self.radius * other.radius
        error = error + gamma(_FEW) * (self.size * other.size) + TINY
        sides = one.middle[:, None] * two.sides + two.middle[:, None] * one.sides
        return SharedForms(one.middle * two.middle, sides, grow(error, _FEW))

    def line(self, slope: FloatArray, offset: FloatArray, radius: FloatArray) -> SharedForms:
        """slope·x + offset ± radius, row by row."""
        error = np.abs(slope) * self.error + radius
        error = error + gamma(_FEW) * (np.abs(slope) * self.size + np.abs(offset)) + TINY
        middle = slope * self.middle + offset
        return SharedForms(middle, slope[:, None] * self.sides, grow(error, _FEW))

    def through(self, weight: FloatArray, *biases: FloatArray) -> SharedForms:
        """W·x + b + …, where each weight and bias may be a real number rounded once."""
        size, terms = np.abs(weight), weight.shape[1] + len(biases) + _FEW
        error = size @ self.error + gamma(terms) * (size @ self.size) + TINY
        middle = weight @ self.middle
        for bias in biases:
            middle, error = middle + bias, error + gamma(terms) * np.abs(bias)
        return SharedForms(middle, weight @ self.sides, grow(error, terms))

    def within(self, most: float) -> SharedForms:
        """The same, where \\|x\\| ≤ ``most`` is known: rows that say less are this range."""
        wide = ~(self.radius < most)
        return SharedForms(
            np.where(wide, 0.0, self.middle),
            np.where(wide[:, None], 0.0, self.sides),
            np.where(wide, most, self.error),
        )


class Unknowns:
    """Hands out the unknowns t_j, each for one thing only.

    Examples
    --------
    >>> unknowns = Unknowns()
    >>> x = unknowns.fresh(Interval(np.zeros(1), np.ones(1)))
    >>> square = unknowns.settle(x * x)  # by the product, 0.25 ± 0.75
    >>> unknowns.count, square.range.upper.round(9).item()
    (2, 1.0)
    """

    def __init__(self) -> None:
        self.count = 0

    def fresh(self, values: Interval) -> SharedForms:
        """Each value with an unknown of its own."""
        middle, radius = values.ball()
        return self.settle(SharedForms(middle, np.zeros((middle.size, 0)), radius))

    def settle(self, x: SharedForms) -> SharedForms:
        """The same, with the error of each row as an unknown of its own, so that rows made of it share it."""
        rows = x.error.size
        sides = np.zeros((rows, self.count + rows))
        sides[:, : x.sides.shape[1]] = x.sides
        sides[:, self.count :] = np.diag(x.error)
        self.count += rows
        return SharedForms(x.middle, sides, np.zeros(rows))

    def forget(self, parts: list[SharedForms], most: int) -> list[SharedForms]:
        """All that is left, with at most so many of the last unknowns: what others add goes into errors."""
        drop = self.count - most
        if drop <= 0:
            return parts
        self.count = most
        return [self.settle(_without(part, drop)) for part in parts]


def _without(x: SharedForms, first: int) -> SharedForms:
    lost = x.error + np.abs(x.sides[:, :first]).sum(axis=1)
    return SharedForms(x.middle, x.sides[:, first:], grow(lost, first + 2))


def alike(one: SharedForms, two: SharedForms) -> tuple[SharedForms, SharedForms]:
    """With as many unknowns: those that only one has stand behind those that both have."""
    most = max(one.sides.shape[1], two.sides.shape[1])
    return _widened(one, most), _widened(two, most)


def _widened(x: SharedForms, unknowns: int) -> SharedForms:
    more = unknowns - x.sides.shape[1]
    return x if not more else SharedForms(x.middle, np.pad(x.sides, ((0, 0), (0, more))), x.error)


def stack_forms(*parts: SharedForms) -> SharedForms:
    """The rows of all, one part after another."""
    most = max(part.sides.shape[1] for part in parts)
    return SharedForms(
        np.concatenate([part.middle for part in parts]),
        np.concatenate([_widened(part, most).sides for part in parts]),
        np.concatenate([part.error for part in parts]),
    )


def narrower(one: SharedForms, two: SharedForms) -> SharedForms:
    """Of two enclosures of the same numbers, row by row the one with the smaller radius."""
    a, b = alike(one, two)
    first = one.radius <= two.radius
    return SharedForms(
        np.where(first, a.middle, b.middle),
        np.where(first[:, None], a.sides, b.sides),
        np.where(first, a.error, b.error),
    )
