"""Terms of a system collected block by block, a layer at a time, without a search where they come in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

_ROWS = 28  # what is in flight then fits in the cache

Block = tuple[IntArray, IntArray, FloatArray]


class TermBlocks:
    """Collects terms whose monomials are known beforehand.

    Each block is three arrays that are broadcast against each other: equation, monomial, coefficient. A
    system's terms are sorted by equation, then monomial; blocks that arrive so cost one pass over each of the
    three arrays that they fill, others a sort.

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
        self._blocks: list[Block] = []

    def add(self, rows: IntArray, columns: IntArray, values: FloatArray) -> None:
        """Add ``values · monomial`` to the equations ``rows``, entry by entry; zeros are dropped."""
        if not values.all():
            shape = np.broadcast_shapes(rows.shape, columns.shape, values.shape)
            dense = _filled([values], [shape], np.float64)
            live = (dense != 0).reshape(shape)
            rows, columns = (np.broadcast_to(a, shape)[live] for a in (rows, columns))
            values = dense[live.ravel()]
        if rows.size and columns.size:
            self._blocks.append((rows, columns, values))

    def system(self, variables: Iterable[str], parameters: Iterable[str] = ()) -> PolynomialODE:
        """The system of all terms."""
        shapes = [np.broadcast_shapes(*(a.shape for a in block)) for block in self._blocks]
        present = np.zeros(len(self._monomials), dtype=bool)
        for _, columns, _ in self._blocks:
            present[columns] = True
        monomials, place = self._monomials, None
        if not present.all():
            monomials, place = monomials.select(np.flatnonzero(present)), np.cumsum(present) - 1
        equations, places = [], []
        for own, columns, _ in self._blocks:
            equations.append(own)
            places.append(columns if place is None else place[columns])
        rows = _filled(equations, shapes, np.int64)
        columns = _filled(places, shapes, np.int64)
        coefficients = ExactArray.from_floats(
            _filled([values for *_, values in self._blocks], shapes, np.float64)
        )
        if not _ascend(equations, places, shapes):
            keys = rows * max(1, len(monomials)) + columns
            order = np.argsort(keys, kind="stable")  # quick, as most of it is in order
            return PolynomialODE.from_sorted_terms(
                variables, keys[order], coefficients.take(order), monomials, parameters
            )
        return PolynomialODE(
            tuple(variables), monomials, rows, columns, coefficients, tuple(parameters)
        )


def _filled(
    parts: Sequence[npt.NDArray[Any]], shapes: Sequence[tuple[int, ...]], kind: type
) -> npt.NDArray[Any]:
    """The numbers of all blocks, one after the other, each array broadcast to the shape of its block.

    A large matrix turned round is read as it lies in memory first, a few rows at a time, and turned round in
    the cache: four times as fast as element by element where rows are a power of two apart.
    """
    result: npt.NDArray[Any] = np.empty(sum(map(prod, shapes)), dtype=kind)
    end = 0
    for part, shape in zip(parts, shapes, strict=True):
        start, end = end, end + prod(shape)
        target, source = result[start:end].reshape(shape), np.broadcast_to(part, shape)
        if 0 in source.strides:
            target[...] = source
            continue
        for row in range(0, len(source), _ROWS):
            target[row : row + _ROWS] = source[row : row + _ROWS].copy(order="K")
    return result


def _ascend(
    rows: Sequence[IntArray], columns: Sequence[IntArray], shapes: Sequence[tuple[int, ...]]
) -> bool:
    """True if the pairs (row, column) ascend strictly, in each block and from one to the next."""
    before = (-1, -1)
    for own, column, shape in zip(rows, columns, shapes, strict=True):
        i, j = np.broadcast_to(own, shape), np.broadcast_to(column, shape)
        first, last = (0,) * len(shape), (-1,) * len(shape)
        if (i[first], j[first]) <= before or not _ascends(own, column, shape):
            return False
        before = i[last], j[last]
    return True


def _ascends(rows: IntArray, columns: IntArray, shape: tuple[int, ...]) -> bool:
    """The same of one block; where each line is an equation, lines that are alike are looked at once."""
    inner = (1,) * (len(shape) - 1)
    if rows.shape == (shape[0], *inner) and (rows[1:] > rows[:-1]).all():
        lines = columns.reshape((1,) * (len(shape) - columns.ndim) + columns.shape)
        flat = np.broadcast_to(lines, (len(lines), *shape[1:])).reshape(len(lines), -1)
        return bool((flat[:, 1:] > flat[:, :-1]).all())
    i, j = (np.broadcast_to(a, shape).ravel() for a in (rows, columns))
    return bool(((i[1:] > i[:-1]) | ((i[1:] == i[:-1]) & (j[1:] > j[:-1]))).all())
