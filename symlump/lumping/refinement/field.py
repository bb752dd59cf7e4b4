"""Linear algebra over a prime field below 2^31, or in words, with the inner loops in scipy's sparse products.

A residue has 31 bits, so a product of two has 62 and a sum of more than two products overflows. Splitting
the vector into two limbs of 16 bits makes the products 47 bits wide: 2^16 of them can be added in a signed
64-bit integer before one reduction; with three limbs of 11 bits, 2^21. Two or three sparse products with
integers are then exact, and an order of magnitude faster than reducing every product.

Integers modulo 2^64 (``WORDS`` in place of a prime) need neither limbs nor reductions: one product. They are no
field, but a difference of integers that is not 0 times a random word is still 0 by chance only, unless the
difference is a multiple of a large power of two, and odd words have inverses.

Small matrices need no scipy, whose import takes longer than most lumpings: numpy alone adds their products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.errors import InputError
from symlump.ode.distinct import sort_with_order
from symlump.ode.exact import WORDS, IntArray, reduce_modulo
from symlump.ode.monomials import ranges, starts_of

if TYPE_CHECKING:
    from scipy import sparse

Residues = npt.NDArray[np.uint64]


class VanishingDenominator(InputError):
    """A denominator is 0 at a point; another point is to be drawn."""


#: Longest row, bits of a limb: the fewest limbs that suffice are taken.
_LIMBS = ((1 << 15, 16), (1 << 20, 11))
#: Up to this many entries numpy is used.
_SMALL = 20_000


@dataclass(frozen=True, eq=False)
class SmallRows:
    """Compressed sparse rows of integers, with what scipy's have and is needed here.

    Examples
    --------
    >>> data, ten, ones = (np.array(v, dtype=np.uint64) for v in ([1, 2, 3], [10, 1], [1, 1, 1]))
    >>> a = SmallRows(data, np.array([0, 1, 1]), np.array([0, 2, 2, 3]), (3, 2))
    >>> (a @ ten).tolist(), (a.transposed() @ ones).tolist()
    ([12, 0, 3], [1, 5])
    >>> (a[np.array([2, 0])] @ ten).tolist()
    [3, 12]
    """

    data: Residues
    indices: IntArray
    indptr: IntArray
    shape: tuple[int, int]

    def __getitem__(self, index: IntArray) -> SmallRows:
        lengths = self.indptr[index + 1] - self.indptr[index]
        at = ranges(self.indptr[index], lengths)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return SmallRows(self.data[at], self.indices[at], indptr, (index.size, self.shape[1]))

    def transposed(self) -> SmallRows:
        """The transposed matrix, again in compressed rows."""
        order = np.argsort(self.indices, kind="stable")
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        indptr = starts_of(self.indices, self.shape[1])
        return SmallRows(self.data[order], rows[order], indptr, self.shape[::-1])

    def __matmul__(self, x: Residues) -> Residues:
        sums = np.zeros(self.data.size + 1, dtype=np.uint64)
        np.cumsum(self.data * x[self.indices], out=sums[1:])
        return np.asarray(np.diff(sums[self.indptr]))  # differences are right even if a sum wraps


@dataclass(frozen=True, eq=False)
class ModularMatrix:
    """A sparse matrix of residues, in compressed sparse rows or columns.

    Examples
    --------
    >>> p = 2**31 - 1
    >>> a = ModularMatrix.of(np.array([p - 1, 2], dtype=np.uint64), np.array([0, 1]),
    ...                      np.array([0, 2]), 2, p)
    >>> a.dot(np.array([5, 7], dtype=np.uint64)).tolist()   # −5 + 14
    [9]
    """

    matrix: sparse.csr_array | sparse.csc_array | SmallRows
    prime: int

    @classmethod
    def of(
        cls, data: Residues, columns: IntArray, indptr: IntArray, width: int, prime: int
    ) -> ModularMatrix:
        """Build from compressed sparse rows (repeated entries are added by every product)."""
        shape = (indptr.size - 1, width)
        if data.size <= _SMALL:
            return cls(SmallRows(data, columns, indptr, shape), prime)
        from scipy import sparse

        return cls(sparse.csr_array((data, columns, indptr), shape=shape), prime)

    @classmethod
    def of_columns(
        cls, data: Residues, rows: IntArray, indptr: IntArray, height: int, prime: int
    ) -> ModularMatrix:
        """Build from compressed sparse columns, in which a large one stays until rows are asked for.

        Examples
        --------
        >>> a = ModularMatrix.of_columns(np.array([3, 2], dtype=np.uint64), np.array([0, 1]),
        ...                              np.array([0, 2]), 2, 7)
        >>> a.dot(np.array([4], dtype=np.uint64)).tolist()
        [5, 1]
        """
        if data.size <= _SMALL:
            small = SmallRows(data, rows, indptr, (indptr.size - 1, height))
            return cls(small.transposed(), prime)
        from scipy import sparse

        shape = (height, indptr.size - 1)
        return cls(sparse.csc_array((data, rows, indptr), shape=shape), prime)

    @cached_property
    def by_rows(self) -> ModularMatrix:
        """The same in compressed rows."""
        if isinstance(self.matrix, SmallRows) or self.matrix.format == "csr":
            return self
        return ModularMatrix(self.matrix.tocsr(), self.prime)

    def rows(self, index: IntArray) -> ModularMatrix:
        """The given rows."""
        return ModularMatrix(self.by_rows.matrix[index], self.prime)

    def transpose(self) -> ModularMatrix:
        """The transposed matrix, in compressed rows."""
        if isinstance(self.matrix, SmallRows):
            return ModularMatrix(self.matrix.transposed(), self.prime)
        return ModularMatrix(self.matrix.T.tocsr(), self.prime)

    def dot(self, x: Residues) -> Residues:
        """The product with a vector of residues."""
        found = self._product(x)
        if found is None:  # rows too long for any limb: reduce every product
            held = self.by_rows.matrix
            parts = reduce_modulo(held.data * x[held.indices], self.prime)
            return segment_sums(parts, self._lengths, self.prime)
        return found

    @cached_property
    def _lengths(self) -> IntArray:
        if self.by_rows is self:
            return np.diff(self.matrix.indptr)
        return np.bincount(self.matrix.indices, minlength=self.matrix.shape[0])

    def _product(self, x: Residues) -> Residues | None:
        """The product; None if no limb is narrow enough."""
        if self.prime == WORDS:
            return np.asarray(self.matrix @ x)
        longest = int(self._lengths.max(initial=0))
        bits = next((bits for limit, bits in _LIMBS if longest <= limit), None)
        if bits is None:
            return None
        mask, base = np.uint64((1 << bits) - 1), np.uint64(1 << bits)
        result: Residues | None = None
        for shift in reversed(range(0, 31, bits)):
            limb = x >> np.uint64(shift)
            np.bitwise_and(limb, mask, out=limb)
            part = self.matrix @ limb
            if result is not None:
                np.multiply(result, base, out=result)
                part += result
            result = reduce_modulo(part, self.prime)
        return result


def draw(generator: np.random.Generator, prime: int, count: int) -> Residues:
    """Random residues that are not 0; random words that are odd.

    Examples
    --------
    >>> int((draw(np.random.default_rng(0), WORDS, 100) % 2).sum())
    100
    """
    if prime == WORDS:
        return generator.integers(0, 2**64, size=count, dtype=np.uint64) | np.uint64(1)
    return generator.integers(1, prime, size=count, dtype=np.uint64)


def segment_sums(values: Residues, lengths: IntArray, prime: int) -> Residues:
    """Sums of consecutive segments of residues (an empty segment gives 0)."""
    result = np.zeros(lengths.size, dtype=np.uint64)
    filled = np.flatnonzero(lengths)
    if filled.size:
        starts = (np.cumsum(lengths) - lengths)[filled]
        result[filled] = reduce_modulo(np.add.reduceat(values, starts), prime)
    return result


def sums_by_key(keys: IntArray, values: Residues, prime: int) -> tuple[IntArray, Residues]:
    """The distinct keys, ascending, and for each the sum of its residues."""
    order, keys = sort_with_order(keys.copy())
    start = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    if not start.size:
        return keys, values[:0]
    return keys[start], reduce_modulo(np.add.reduceat(values[order], start), prime)


def inverses(values: Residues, prime: int) -> Residues:
    """Entrywise inverses of residues that are not 0, or of words that are odd.

    Pairs are multiplied, and their products, up to one product of all; its inverse times what is beside it on
    the way down is what is sought. That takes three multiplications an entry; a power p − 2 takes sixty.

    Examples
    --------
    >>> inverses(np.array([1, 2, 3], dtype=np.uint64), 7).tolist()
    [1, 4, 5]
    """
    if prime == WORDS:
        found = values.copy()  # right to three bits, and each step doubles them
        for _ in range(5):
            found *= np.uint64(2) - values * found
        return found
    p = np.uint64(prime)
    levels = [values]
    while levels[-1].size > 1:
        pairs = levels[-1]
        product = pairs[0 : pairs.size // 2 * 2 : 2] * pairs[1::2] % p
        levels.append(np.concatenate([product, pairs[2 * product.size :]]))
    if not values.size:
        return values
    result = np.array([pow(int(levels.pop()[0]), -1, prime)], dtype=np.uint64)
    while levels:
        pairs = levels.pop()
        half = pairs.size // 2
        inner = np.empty_like(pairs)
        inner[0 : 2 * half : 2] = result[:half] * pairs[1::2] % p
        inner[1::2] = result[:half] * pairs[0 : 2 * half : 2] % p
        inner[2 * half :] = result[half:]
        result = inner
    return result
