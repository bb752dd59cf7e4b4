"""The sums y = L·x that a quotient is about, of enclosures: of blocks of variables, or with any weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.solutions.boxmap import Bounds
from symlump.ode.exact import FloatArray, IntArray

if TYPE_CHECKING:
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.lumping import Lumping

    AnyLumping: TypeAlias = Lumping | LinearLumping


class Aggregate(ABC):
    """L, in one arithmetic."""

    @abstractmethod
    def enclose(self, x: Enclosures) -> Enclosures:
        """L·x."""

    @abstractmethod
    def approximate(self, x: FloatArray) -> FloatArray:
        """L·x in floats, without any guarantee."""

    @abstractmethod
    def compose(self, outer: Bounds) -> Bounds:
        """Bounds of all M·L, for M between two matrices."""


@dataclass(frozen=True, eq=False)
class BlockSums(Aggregate):
    """The sum of each block of variables.

    Parameters
    ----------
    labels : ndarray of int64
        The block of each variable.
    count : int
        How many blocks there are.
    arithmetic : Arithmetic

    Examples
    --------
    >>> from symlump.enclosures.arithmetics import arithmetic
    >>> sums = BlockSums(np.array([0, 1, 0]), 2, arithmetic("float64"))
    >>> sums.approximate(np.array([1.0, 2.0, 4.0])).tolist()
    [5.0, 2.0]
    """

    labels: IntArray
    count: int
    arithmetic: Arithmetic

    def enclose(self, x: Enclosures) -> Enclosures:
        """L·x."""
        return self.arithmetic.sums(x, self.labels, self.count)

    def approximate(self, x: FloatArray) -> FloatArray:
        """L·x in floats, without any guarantee."""
        return np.asarray(np.bincount(self.labels, x, minlength=self.count), dtype=np.float64)

    def compose(self, outer: Bounds) -> Bounds:
        """Bounds of all M·L: columns of M, which nothing is added to."""
        return outer[0][:, self.labels], outer[1][:, self.labels]


@dataclass(frozen=True, eq=False)
class WeightedSums(Aggregate):
    """Sums with rational weights.

    Parameters
    ----------
    rows : ExactMatrix
        L.
    arithmetic : Arithmetic

    Examples
    --------
    >>> from symlump.enclosures.arithmetics import arithmetic
    >>> m = arithmetic("float64")
    >>> from fractions import Fraction
    >>> sums = WeightedSums(ExactMatrix.from_rows([{0: 1, 2: Fraction(1, 3)}], 3), m)
    >>> third = sums.enclose(m.point(np.array([0.0, 0.0, 1.0])))
    >>> bool(Fraction(third.lower[0]) < Fraction(1, 3) < Fraction(third.upper[0]))
    True
    """

    rows: ExactMatrix
    arithmetic: Arithmetic

    @cached_property
    def _weights(self) -> Enclosures:
        return self.arithmetic.exact(self.rows.values)

    @cached_property
    def _matrix(self) -> Enclosures:
        m = self.arithmetic
        ends = []
        for values in (m.lower(self._weights), m.upper(self._weights)):
            matrix = np.zeros(self.rows.shape)
            matrix[self.rows.owners, self.rows.columns] = values
            ends.append(matrix)
        return m.between(*ends)

    def enclose(self, x: Enclosures) -> Enclosures:
        """L·x."""
        parts = self._weights * x[self.rows.columns]
        return self.arithmetic.sums(parts, self.rows.owners, self.rows.shape[0])

    def approximate(self, x: FloatArray) -> FloatArray:
        """L·x in floats, without any guarantee."""
        return np.asarray(self.rows.to_float() @ x)

    def compose(self, outer: Bounds) -> Bounds:
        """Bounds of all M·L."""
        product = self.arithmetic.between(*outer) @ self._matrix
        return self.arithmetic.lower(product), self.arithmetic.upper(product)


def aggregate_of(lumping: AnyLumping, arithmetic: Arithmetic) -> Aggregate | None:
    """L of a forward or linear lumping; a backward one has none, as its quotient is about single values."""
    if lumping.kind == "linear":
        return WeightedSums(lumping.rows, arithmetic)
    if lumping.method.direction == "backward":
        return None
    return BlockSums(lumping.partition.labels, len(lumping.partition), arithmetic)
