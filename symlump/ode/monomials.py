"""The table of distinct monomials: sparse exponents, in arrays.

Row m of the table holds the factors of one monomial, ``Π x_v^e``, as (variable, power) pairs sorted
by variable, in compressed sparse rows. Memory and time grow with the number of factors, never with
the number of variables times the number of terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.ode.distinct import FEW, distinct, extent, order_of
from symlump.ode.exact import FloatArray, IntArray, reduce_modulo

_CHUNK = 1 << 15  # what is in flight then fits in the cache


@dataclass(frozen=True, eq=False)
class Monomials:
    """Distinct monomials in compressed sparse rows.

    Parameters
    ----------
    indptr : ndarray of int64, shape (count + 1,)
        Where the factors of each monomial begin and end.
    variables, powers : ndarray of int64, shape (factors,)
        The factors; variables ascend inside a monomial and powers are at least 1.

    Examples
    --------
    >>> table, position = Monomials.from_factors(
    ...     np.array([0, 0, 1, 1]), np.array([2, 1, 1, 2]), np.array([1, 1, 1, 1]), 3)
    >>> len(table), position.tolist()   # x1·x2 twice, and the constant 1
    (2, [1, 1, 0])
    """

    indptr: IntArray
    variables: IntArray
    powers: IntArray

    def __len__(self) -> int:
        return int(self.indptr.shape[0]) - 1

    @cached_property
    def lengths(self) -> IntArray:
        """Number of distinct variables in each monomial."""
        return self.indptr[1:] - self.indptr[:-1]

    @cached_property
    def univariate(self) -> bool:
        """True if every monomial is a power of one variable: monomial m has factor m."""
        return self.variables.size == len(self) and bool((self.lengths == 1).all())

    @cached_property
    def linear(self) -> bool:
        """True if every monomial is one variable.

        Examples
        --------
        >>> one, two = np.array([1, 1]), np.array([1, 2])
        >>> [Monomials(np.arange(3), np.array([0, 1]), powers).linear for powers in (one, two)]
        [True, False]
        """
        return self.univariate and bool((self.powers == 1).all())

    @cached_property
    def identity(self) -> bool:
        """True if monomial m is variable m."""
        return self.linear and bool((self.variables == np.arange(len(self))).all())

    @cached_property
    def owners(self) -> IntArray:
        """The monomial that each factor belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @cached_property
    def degrees(self) -> IntArray:
        """Total degree of each monomial."""
        return np.bincount(self.owners, weights=self.powers, minlength=len(self)).astype(np.int64)

    def factors(self, index: int) -> list[tuple[int, int]]:
        """The (variable, power) pairs of one monomial."""
        part = slice(int(self.indptr[index]), int(self.indptr[index + 1]))
        return list(zip(self.variables[part].tolist(), self.powers[part].tolist(), strict=True))

    @classmethod
    def from_factors(
        cls, owners: IntArray, variables: IntArray, powers: IntArray, count: int
    ) -> tuple[Monomials, IntArray]:
        """Build the table from loose factors, merging repeated variables and equal monomials.

        Returns
        -------
        table : Monomials
        position : ndarray, shape (count,)
            Where each given monomial stands in the table.
        """
        owners, variables, powers = (
            a.astype(np.int64, copy=False) for a in (owners, variables, powers)
        )
        keep = powers > 0
        if not keep.all():
            owners, variables, powers = owners[keep], variables[keep], powers[keep]
        if not _ascend(owners, variables):
            order = pair_order(owners, variables)
            owners, variables, powers = owners[order], variables[order], powers[order]
            fresh = np.ones(owners.size, dtype=bool)
            fresh[1:] = (owners[1:] != owners[:-1]) | (variables[1:] != variables[:-1])
            start = np.flatnonzero(fresh)
            powers = np.add.reduceat(powers, start)
            owners, variables = owners[start], variables[start]
        indptr = starts_of(owners, count)
        position, chosen = _merge_equal(indptr, np.diff(indptr), variables, powers)
        return cls(indptr, variables, powers).select(chosen), position

    def select(self, index: IntArray) -> Monomials:
        """The table restricted to the given rows, in the given order."""
        lengths = self.lengths[index]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        gather = ranges(self.indptr[:-1][index], lengths)
        return Monomials(indptr, self.variables[gather], self.powers[gather])

    def relabel(self, labels: IntArray) -> tuple[Monomials, IntArray]:
        """Replace variable v by ``labels[v]`` everywhere; equal results become one row."""
        return Monomials.from_factors(self.owners, labels[self.variables], self.powers, len(self))

    def drop_one(self, factor: IntArray) -> tuple[Monomials, IntArray]:
        """The monomials m/x_v for the given factors (positions in the factor arrays)."""
        source = self.owners[factor]
        lengths = self.lengths[source]
        gather = ranges(self.indptr[:-1][source], lengths)
        owners = np.repeat(np.arange(factor.size, dtype=np.int64), lengths)
        powers = self.powers[gather] - (gather == np.repeat(factor, lengths))
        return Monomials.from_factors(owners, self.variables[gather], powers, int(factor.size))

    def evaluate(self, x: FloatArray) -> FloatArray:
        """Values of all monomials at ``x`` of shape (variables, …); result (count, …)."""
        values = np.ones((len(self), *x.shape[1:]))
        filled = np.flatnonzero(self.lengths)
        if filled.size:
            exponents = self.powers.reshape(-1, *(1,) * (x.ndim - 1))
            parts = (
                x[self.variables] if np.all(self.powers == 1) else (x[self.variables] ** exponents)
            )
            values[filled] = np.multiply.reduceat(parts, self.indptr[:-1][filled], axis=0)
        return values

    def residues(self, point: npt.NDArray[np.uint64], prime: int) -> npt.NDArray[np.uint64]:
        """Values of all monomials at ``point`` modulo a prime below 2^31, or in words."""
        values = np.ones(len(self), dtype=np.uint64)
        for first, last, length in self._runs:  # monomials of one length: a matrix of factors
            if not length:
                continue
            for begin in range(first, last, _CHUNK):
                end = min(last, begin + _CHUNK)
                part = slice(int(self.indptr[begin]), int(self.indptr[end]))
                factors = point[self.variables[part]]
                powers = self.powers[part]
                high = np.flatnonzero(powers > 1)
                factors[high] = modular_power(factors[high], powers[high], prime)
                matrix = factors.reshape(-1, length)
                own = values[begin:end]
                own[:] = matrix[:, 0]
                for k in range(1, length):
                    np.multiply(own, matrix[:, k], out=own)
                    reduce_modulo(own, prime)
        return values

    @cached_property
    def _runs(self) -> list[tuple[int, int, int]]:
        """Runs (first, last, length) of monomials of equal length; few, because lengths ascend."""
        cuts = np.flatnonzero(np.diff(self.lengths)) + 1
        bounds = [0, *cuts.tolist(), len(self)]
        return [
            (first, last, int(self.lengths[first]))
            for first, last in zip(bounds, bounds[1:], strict=False)
            if first < last
        ]


def modular_power(
    base: npt.NDArray[np.uint64], exponent: IntArray, prime: int
) -> npt.NDArray[np.uint64]:
    """``base ** exponent`` modulo a prime below 2^31 (or in words), entrywise, by repeated squaring."""
    highest = int(exponent.max(initial=0))
    if highest <= 1:
        return np.where(exponent == 1, base, np.uint64(1))
    result = np.ones_like(base)
    square = base.copy()
    for bit in range(highest.bit_length()):
        odd = (exponent >> bit) & 1 == 1
        result[odd] = reduce_modulo(result[odd] * square[odd], prime)
        square = reduce_modulo(square * square, prime)
    return result


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """``concatenate([arange(s, s + l) for s, l in zip(starts, lengths)])`` without the loop."""
    total = int(lengths.sum())
    before = lengths.cumsum() - lengths
    return np.asarray(np.arange(total, dtype=np.int64) + (starts - before).repeat(lengths))


def starts_of(owners: IntArray, count: int) -> IntArray:
    """Where the entries of owners 0 … count − 1 begin once they are sorted by owner, and the end.

    Examples
    --------
    >>> starts_of(np.array([2, 0, 0]), 3).tolist()
    [0, 2, 2, 3]
    """
    starts = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(owners, minlength=count), out=starts[1:])
    return starts


def pair_order(first: IntArray, second: IntArray) -> IntArray:
    """An order that sorts pairs of numbers from 0 on; of equal pairs any may come first.

    Examples
    --------
    >>> pair_order(np.array([1, 0, 1]), np.array([2, 5, 0])).tolist()
    [1, 2, 0]
    """
    return _order((first, second))


def _order(columns: Sequence[IntArray]) -> IntArray:
    """An order that sorts tuples of any length, given by column.

    One sort where a tuple fits into 63 bits, which is several times as fast as one for each column.
    """
    if columns[0].size < FEW:
        return np.lexsort(columns[::-1])
    least, bits = zip(*map(extent, columns), strict=True)
    if sum(bits) > 63:
        return np.lexsort(columns[::-1])
    key = np.zeros(columns[0].size, dtype=np.int64)
    for column, low, width in zip(columns, least, bits, strict=True):
        if width:
            key <<= width
            key |= column - low
    return order_of(key)


def _ascend(owners: IntArray, variables: IntArray) -> bool:
    """True where factors are sorted by monomial and variable, and no variable occurs twice in one."""
    step = owners[1:] - owners[:-1]
    return bool((step >= 0).all() and ((variables[1:] > variables[:-1]) | (step > 0)).all())


def _merge_equal(
    indptr: IntArray, lengths: IntArray, variables: IntArray, powers: IntArray
) -> tuple[IntArray, IntArray]:
    """Position of each row among the distinct rows, and one representative per distinct row.

    Rows of equal length are compared as rows of a matrix. Distinct rows are ordered by length, then
    lexicographically, so the table does not depend on the order in which monomials arrive.
    """
    position = np.empty(lengths.size, dtype=np.int64)
    chosen: list[IntArray] = []
    offset = 0
    parts = [variables] if (powers == 1).all() else [variables, powers]
    for length in distinct(lengths):
        rows = np.flatnonzero(lengths == length)
        gather = indptr[:-1][rows] + np.arange(length)[:, None]
        if length == 0:
            first, inverse = np.zeros(1, dtype=np.int64), np.zeros(rows.size, dtype=np.int64)
        else:
            columns = [column for part in parts for column in part[gather]]
            order = _order(columns)
            fresh = np.zeros(rows.size, dtype=bool)
            fresh[0] = True
            for column in columns:
                ordered = column[order]
                fresh[1:] |= ordered[1:] != ordered[:-1]
            inverse = np.empty(rows.size, dtype=np.int64)
            inverse[order] = np.cumsum(fresh) - 1
            first = order[fresh]
        position[rows] = inverse + offset
        chosen.append(rows[first])
        offset += first.size
    return position, np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)
