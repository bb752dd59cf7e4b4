"""Sparse matrices of rationals: what linear lumpings are made of, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import gcd, lcm
from typing import Any

import numpy as np
from scipy import sparse

from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import ranges, starts_of

_SAFE = 2**62


@dataclass(frozen=True, eq=False)
class ExactMatrix:
    """A matrix of rationals in compressed rows: columns ascend in a row, no entry is zero.

    Parameters
    ----------
    indptr : ndarray of int64, shape (rows + 1,)
    columns : ndarray of int64
    values : ExactArray
    width : int
        Number of columns.

    Examples
    --------
    >>> a = ExactMatrix.from_rows([{0: Fraction(1, 2), 2: 1}, {1: 3}], 3)
    >>> b = ExactMatrix.from_rows([{0: 4}, {}, {0: 1, 1: 1}], 2)
    >>> (a @ b).row(0)
    {0: Fraction(3, 1), 1: Fraction(1, 1)}
    """

    indptr: IntArray
    columns: IntArray
    values: ExactArray
    width: int

    @classmethod
    def from_entries(
        cls, rows: IntArray, columns: IntArray, values: ExactArray, shape: tuple[int, int]
    ) -> ExactMatrix:
        """Build from loose entries; equal positions are added exactly and zeros dropped."""
        width = max(1, shape[1])
        keys = rows * width + columns
        keys, values = values.sorted_by(keys)
        keys, sums = values.sums_by(keys)
        return cls(starts_of(keys // width, shape[0]), keys % width, sums, shape[1])

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[int, Fraction | int]], width: int) -> ExactMatrix:
        """Build from ``{column: value}`` for each row."""
        listed = [sorted((c, Fraction(v)) for c, v in row.items() if v) for row in rows]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in listed])]).astype(np.int64)
        return cls(
            indptr,
            np.array([c for row in listed for c, _ in row], dtype=np.int64),
            ExactArray.from_fractions(v for row in listed for _, v in row),
            width,
        )

    @classmethod
    def from_integers(cls, rows: Sequence[Mapping[int, int]], width: int) -> ExactMatrix:
        """Build from integers that are not 0, for each row ``{column: value}`` by ascending columns.

        The arrays are made when they are first read.
        """
        return _Listed(rows, width)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.indptr.size - 1, self.width

    @cached_property
    def owners(self) -> IntArray:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int64), np.diff(self.indptr))

    def row(self, index: int) -> dict[int, Fraction]:
        """One row as ``{column: value}``."""
        part = range(int(self.indptr[index]), int(self.indptr[index + 1]))
        return {int(self.columns[t]): self.values[t] for t in part}

    def rows(self) -> list[dict[int, Fraction]]:
        """All rows."""
        return [self.row(i) for i in range(self.shape[0])]

    def take_rows(self, index: IntArray) -> ExactMatrix:
        """The given rows, in the given order."""
        lengths = np.diff(self.indptr)[index]
        gather = ranges(self.indptr[:-1][index], lengths)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return ExactMatrix(indptr, self.columns[gather], self.values.take(gather), self.width)

    def take_columns(self, index: IntArray) -> ExactMatrix:
        """The given columns, in the given order."""
        place = np.full(self.width, -1, dtype=np.int64)
        place[index] = np.arange(index.size)
        kept = place[self.columns] >= 0
        return ExactMatrix.from_entries(
            self.owners[kept],
            place[self.columns[kept]],
            self.values.take(kept),
            (self.shape[0], index.size),
        )

    def spread(self, index: IntArray, width: int) -> ExactMatrix:
        """A wider matrix, with column c of this one at position ``index[c]`` (ascending)."""
        return ExactMatrix(self.indptr, index[self.columns], self.values, width)

    def transpose(self) -> ExactMatrix:
        """The transposed matrix."""
        return ExactMatrix.from_entries(
            self.columns, self.owners, self.values, (self.width, self.shape[0])
        )

    def __matmul__(self, other: ExactMatrix) -> ExactMatrix:
        """The product, exactly; work and memory grow with the number of products of entries."""
        lengths = np.diff(other.indptr)[self.columns]
        left = np.repeat(np.arange(self.columns.size, dtype=np.int64), lengths)
        right = ranges(other.indptr[:-1][self.columns], lengths)
        return ExactMatrix.from_entries(
            self.owners[left],
            other.columns[right],
            products(self.values.take(left), other.values.take(right)),
            (self.shape[0], other.width),
        )

    def __sub__(self, other: ExactMatrix) -> ExactMatrix:
        minus = other.values.times(np.full(len(other.values), -1, dtype=np.int64))
        return ExactMatrix.from_entries(
            np.concatenate([self.owners, other.owners]),
            np.concatenate([self.columns, other.columns]),
            ExactArray.concatenate([self.values, minus]),
            self.shape,
        )

    @staticmethod
    def stack(parts: list[ExactMatrix]) -> ExactMatrix:
        """The rows of one matrix after the other."""
        lengths = np.concatenate([np.diff(part.indptr) for part in parts])
        return ExactMatrix(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([part.columns for part in parts]),
            ExactArray.concatenate([part.values for part in parts]),
            parts[0].width,
        )

    def to_float(self) -> sparse.csr_array:
        """Every entry rounded to float64."""
        return sparse.csr_array(
            (self.values.to_float(), self.columns, self.indptr), shape=self.shape
        )

    def residues(self, prime: int) -> sparse.csr_array:
        """Every entry modulo a prime below 2^31, as an integer between −p/2 and p/2.

        Raises
        ------
        InputError
            If the prime divides a denominator.
        """
        values = self.values.residues(prime).astype(np.int64)
        values[values > prime // 2] -= prime
        # Copied, as dropping zeros works in place.
        pattern = self.columns.copy(), self.indptr.copy()
        matrix = sparse.csr_array((values, *pattern), shape=self.shape)
        matrix.eliminate_zeros()
        return matrix

    def primitive(self) -> ExactMatrix:
        """Each row times the number that makes it coprime integers, most of them positive."""
        scaled: list[int] = []
        exact = self.values.as_integers()
        assert exact.denominators is not None
        tops, bottoms = exact.numerators.tolist(), exact.denominators.tolist()
        for start, end in zip(self.indptr.tolist(), self.indptr[1:].tolist(), strict=False):
            shared = lcm(*bottoms[start:end])
            row = [
                top * (shared // bottom)
                for top, bottom in zip(tops[start:end], bottoms[start:end], strict=True)
            ]
            divisor = gcd(*row) or 1
            positive = sum(value > 0 for value in row)
            if 2 * positive < len(row) or (2 * positive == len(row) and row and row[0] < 0):
                divisor = -divisor
            scaled += [value // divisor for value in row]
        return ExactMatrix(self.indptr, self.columns, ExactArray.from_integers(scaled), self.width)


class _Listed(ExactMatrix):
    """Rows of integers, until their arrays are read; from then on a matrix like any other."""

    def __init__(self, rows: Sequence[Mapping[int, int]], width: int) -> None:
        self.__dict__.update(listed=rows, width=width)

    def __getattr__(self, name: str) -> Any:
        if name not in ("indptr", "columns", "values"):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        listed = self.__dict__.pop("listed")
        self.__dict__.update(
            indptr=np.array([0, *accumulate(map(len, listed))], dtype=np.int64),
            columns=np.array([c for row in listed for c in row], dtype=np.int64),
            values=ExactArray.from_integers([value for row in listed for value in row.values()]),
        )
        object.__setattr__(self, "__class__", ExactMatrix)
        return self.__dict__[name]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.listed), self.width


def products(a: ExactArray, b: ExactArray) -> ExactArray:
    """Entrywise products, exactly."""
    a, b = a.as_integers(), b.as_integers()
    assert a.denominators is not None and b.denominators is not None
    factors = (a.numerators, b.numerators, a.denominators, b.denominators)
    if all(part.dtype == np.int64 for part in factors):
        top, other, bottom, below = (int(np.abs(part).max(initial=0)) for part in factors)
        if top * other < _SAFE and bottom * below < _SAFE:
            return ExactArray(a.numerators * b.numerators, a.denominators * b.denominators)
    top_a, top_b, bottom_a, bottom_b = (part.astype(object) for part in factors)
    return ExactArray(top_a * top_b, bottom_a * bottom_b)
