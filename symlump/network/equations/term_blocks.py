"""Terms of a system collected block by block, a layer at a time, without a search where they come in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

_CHUNK = 1 << 16  # what is in flight then fits in the cache
_ROWS = 28


class TermBlocks:
    """Collects terms whose monomials are known beforehand.

    Each block is three arrays that are broadcast against each other: equation, monomial, coefficient. A
    system's terms are sorted by equation, then monomial; blocks that arrive so cost a few passes over the
    weights, others a sort.

    Parameters
    ----------
    monomials : Monomials
        All that may occur; those that do not are dropped in the end.

    Examples
    --------
    >>> blocks = TermBlocks(Monomials(np.array([0, 1]), np.array([1]), np.array([1])))
    >>> blocks.add(np.array([0]), np.array([0]), np.array([0.5]))
    >>> print(blocks.system(["x", "y"]))
    x' = 1/2*y
    y' = 0
    """

    def __init__(self, monomials: Monomials) -> None:
        self._monomials = monomials
        self._blocks: list[tuple[npt.NDArray[np.float64 | np.int64], ...]] = []

    def add(self, rows: IntArray, columns: IntArray, values: FloatArray) -> None:
        """Add ``values · monomial`` to the equations ``rows``, entry by entry."""
        self._blocks.append(np.broadcast_arrays(rows, columns, values))

    def system(self, variables: Iterable[str], parameters: Iterable[str] = ()) -> PolynomialODE:
        """The system of all terms."""
        size = sum(block[0].size for block in self._blocks)
        rows, columns = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        values = np.empty(size)
        at = 0
        for block in self._blocks:
            end = at + block[0].size
            for target, source in zip((rows, columns, values), block, strict=True):
                _copy(target[at:end].reshape(source.shape), source)
            at = end
        if not values.all():
            live = values != 0
            rows, columns, values = rows[live], columns[live], values[live]
        coefficients = ExactArray.from_floats(values)
        if not _ascending(rows, columns):
            keys = rows * max(1, len(self._monomials)) + columns
            order = np.argsort(keys, kind="stable")  # quick, as most of it is in order
            return PolynomialODE.from_sorted_terms(
                variables, keys[order], coefficients.take(order), self._monomials, parameters
            )
        present = np.zeros(len(self._monomials), dtype=bool)
        present[columns] = True
        monomials = self._monomials
        if not present.all():
            monomials = monomials.select(np.flatnonzero(present))
            columns = (np.cumsum(present) - 1)[columns]
        return PolynomialODE(
            tuple(variables), monomials, rows, columns, coefficients, tuple(parameters)
        )


def _copy(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """The source's numbers in the order of the target, a few rows at a time.

    A large matrix turned round is read as it lies in memory first, and turned round in the cache: four times as
    fast as element by element where rows are a power of two apart.
    """
    for start in range(0, len(source), _ROWS):
        part = source[start : start + _ROWS]
        target[start : start + _ROWS] = part if 0 in part.strides else part.copy(order="K")


def _ascending(rows: IntArray, columns: IntArray) -> bool:
    """True if the pairs ascend strictly."""
    for start in range(0, rows.size - 1, _CHUNK):
        part = slice(start, start + _CHUNK + 1)
        step = np.diff(rows[part])
        if not np.all((step > 0) | ((step == 0) & (np.diff(columns[part]) > 0))):
            return False
    return True
