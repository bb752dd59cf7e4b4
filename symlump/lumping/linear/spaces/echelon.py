"""A growing reduced echelon form modulo a prime, in one array of floats.

Residues are integers of at most 22 bits with sign, held in float64. Then a product of two has 44 bits, and
512 of them can be added before anything is rounded: matrices are multiplied by the machine's own (BLAS)
routines, 512 terms at a time, and reduced once. No integer division is made anywhere.

Unit vectors are not stored. Many a lumping consists of little else, and to reduce by them is to drop columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.ode.exact import FloatArray, IntArray

Mask = npt.NDArray[np.bool_]

#: The largest prime below 2^23.
FIRST_PRIME = 8_388_593
#: So many products of residues add up without rounding.
_EXACT_SUM = 512
#: Rows that are eliminated at once, before what they change elsewhere; of these, so many one by one.
BLOCK, _STEP = 64, 16


def primes() -> Iterator[int]:
    """Primes below 2^23, from the largest down."""
    prime = FIRST_PRIME
    while prime > 2:
        yield prime
        prime = _before(prime)


@lru_cache(maxsize=4096)
def _before(prime: int) -> int:
    from sympy import prevprime

    return int(prevprime(prime))


def fold(values: FloatArray, prime: int) -> FloatArray:
    """Integers below 2^53 modulo the prime, between about −p/2 and p/2; in place.

    Examples
    --------
    >>> fold(np.array([6.0, 3.0, -1.0, 14.0]), 7).tolist()
    [-1.0, 3.0, -1.0, 0.0]
    """
    # The quotient may be off by one where it lies half-way, which moves a residue to the other end of
    # its range; a multiple of the prime is always recognized.
    quotient = values * (1.0 / prime)
    np.rint(quotient, out=quotient)
    quotient *= prime
    values -= quotient
    return values


def product(a: FloatArray, b: FloatArray, prime: int) -> FloatArray:
    """The product of two matrices of residues.

    Examples
    --------
    >>> product(np.array([[3.0, -3.0]]), np.array([[2.0], [1.0]]), 7).tolist()
    [[3.0]]
    """
    total = fold(a[:, :_EXACT_SUM] @ b[:_EXACT_SUM], prime)
    for start in range(_EXACT_SUM, a.shape[1], _EXACT_SUM):
        part = slice(start, start + _EXACT_SUM)
        total += fold(a[:, part] @ b[part], prime)
    return fold(total, prime) if a.shape[1] > _EXACT_SUM else total


def inverse(value: float, prime: int) -> float:
    """The inverse of a residue, signed."""
    found = pow(int(value), -1, prime)
    return float(found - prime if found > prime // 2 else found)


def eliminate(block: FloatArray, prime: int, allowed: Mask | None = None) -> list[tuple[int, int]]:
    """Reduce rows by one another, in place; returns which are independent of those before, and their pivots.

    The others are zero afterwards (on the allowed columns, where pivots are confined to these).
    """
    found: list[tuple[int, int]] = []
    for start in range(0, len(block), _STEP):
        part = block[start : start + _STEP]
        done, pivots = [i for i, _ in found], [pivot for _, pivot in found]
        if found:
            part -= product(part[:, pivots], block[done], prime)
            fold(part, prime)
        fresh = _one_by_one(part, prime, allowed)
        if found and fresh:
            rows, chosen = [i for i, _ in fresh], [pivot for _, pivot in fresh]
            rest = block[done]
            rest -= product(rest[:, chosen], part[rows], prime)
            block[done] = fold(rest, prime)
        found += [(start + i, pivot) for i, pivot in fresh]
    return found


def _one_by_one(block: FloatArray, prime: int, allowed: Mask | None) -> list[tuple[int, int]]:
    """As :func:`eliminate`, for few rows."""
    found: list[tuple[int, int]] = []
    for i in range(len(block)):
        row = block[i]
        live = row != 0 if allowed is None else (row != 0) & allowed
        pivot = int(live.argmax())
        if not live[pivot]:
            continue
        first = pivot if allowed is None else 0  # there is nothing before
        row = row[first:]
        if block[i, pivot] != 1:
            row *= inverse(block[i, pivot], prime)
            fold(row, prime)
        others = np.flatnonzero(block[:, pivot])
        if others.size > 1:
            others = others[others != i]
            rest = block[others, first:]
            rest -= block[others, pivot, None] * row
            block[others, first:] = fold(rest, prime)
        found.append((i, pivot))
    return found


class Echelon:
    """A row space modulo a prime that grows.

    Parameters
    ----------
    width : int
    prime : int
        Below 2^23.
    allowed : ndarray of bool, shape (width,), optional
        The columns that may be pivots; default: all, and then the form is the reduced echelon form.

    Attributes
    ----------
    unit : ndarray of bool, shape (width,)
        Columns c for which the unit vector e_c is in the space.
    rows : ndarray of float64, shape (others, width)
        The other rows: 1 on a pivot of their own, 0 on the pivots of others and on unit columns.
    pivots : ndarray of int64, shape (others,)

    Examples
    --------
    >>> space = Echelon(3, 7)
    >>> space.extend(np.array([[2.0, 4.0, 0.0], [0.0, 0.0, 3.0], [1.0, 2.0, 1.0]]))
    [0, 1]
    >>> len(space), space.matrix().toarray().tolist()
    (2, [[1, 2, 0], [0, 0, 1]])
    """

    def __init__(self, width: int, prime: int, allowed: Mask | None = None) -> None:
        self.width, self.prime, self.allowed = width, prime, allowed
        self.unit: Mask = np.zeros(width, dtype=bool)
        self._store = np.zeros((0, width))
        self.pivots: IntArray = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.pivots.size) + int(np.count_nonzero(self.unit))

    @property
    def rows(self) -> FloatArray:
        """The rows that are no unit vectors; a view."""
        return self._store[: self.pivots.size]

    def reduce(self, block: FloatArray) -> FloatArray:
        """The rows modulo the space; in place."""
        block[:, self.unit] = 0
        if self.pivots.size:
            weights = block[:, self.pivots]
            used = np.flatnonzero(weights.any(axis=0))
            if used.size:
                taken = self.rows if used.size == self.pivots.size else self.rows[used]
                block -= product(weights[:, used], taken, self.prime)
                fold(block, self.prime)
        return block

    def extend(self, block: FloatArray) -> list[int]:
        """Add rows (they are overwritten); returns which were independent of those before."""
        kept: list[int] = []
        for start in range(0, len(block), BLOCK):
            part = self.reduce(block[start : start + BLOCK])
            found = eliminate(part, self.prime, self.allowed)
            if found:
                kept += [start + i for i, _ in found]
                self._append(part[[i for i, _ in found]], [pivot for _, pivot in found])
        return kept

    def _append(self, fresh: FloatArray, pivots: list[int]) -> None:
        old = self.pivots.size
        if old:
            weights = self.rows[:, pivots]
            changed = np.flatnonzero(weights.any(axis=1))
            if changed.size:
                first = min(pivots) if self.allowed is None else 0  # there is nothing before
                rest = self.rows[changed, first:]
                rest -= product(weights[changed], fresh[:, first:], self.prime)
                self.rows[changed, first:] = fold(rest, self.prime)
        size = old + len(fresh)
        if size > len(self._store):
            larger = np.zeros((min(self.width, max(2 * old, size, 16)), self.width))
            larger[:old] = self.rows
            self._store = larger
        self._store[old:size] = fresh
        self.pivots = np.append(self.pivots, np.array(pivots, dtype=np.int64))

    def add_units(self, columns: IntArray) -> bool:
        """Add unit vectors of columns that are not unit columns yet, if they are independent of the space.

        Call ``settle`` before: then no single one of them is in the space.
        """
        # A row that loses its pivot is a new one: what is left of it needs another.
        homeless = np.flatnonzero(np.isin(self.pivots, columns))
        if homeless.size:
            rest = self.rows[homeless]
            rest[:, columns] = 0
            found = eliminate(rest, self.prime, self.allowed)
            if len(found) < homeless.size:  # the space holds a combination of the unit vectors
                return False
            keep = np.setdiff1d(np.arange(self.pivots.size), homeless)
            self._store[: keep.size] = self.rows[keep]
            self.pivots = self.pivots[keep]
            self.rows[:, columns] = 0
            self._append(rest, [pivot for _, pivot in found])
        else:
            self.rows[:, columns] = 0
        self.unit[columns] = True
        return True

    def settle(self) -> None:
        """Take rows with a single entry for the unit vectors that they are."""
        single = np.flatnonzero(np.count_nonzero(self.rows, axis=1) == 1)
        if single.size:
            self.unit[self.pivots[single]] = True
            keep = np.setdiff1d(np.arange(self.pivots.size), single)
            self._store[: keep.size] = self.rows[keep]
            self.pivots = self.pivots[keep]

    def kernel(self, count: int, generator: np.random.Generator) -> FloatArray:
        """Random columns N with v·N = 0 for all v of the space, shape (width, count)."""
        vectors = generator.integers(0, self.prime, size=(self.width, count)).astype(np.float64)
        fold(vectors, self.prime)
        vectors[self.unit] = 0
        if self.pivots.size:
            vectors[self.pivots] = 0
            vectors[self.pivots] = -product(self.rows, vectors, self.prime)
        return vectors

    def columns(self) -> IntArray:
        """The pivots of all rows, ascending."""
        return np.sort(np.concatenate([self.pivots, np.flatnonzero(self.unit)]))

    def matrix(self) -> sparse.csr_array:
        """All rows in the order of their pivots, as integers."""
        unit = np.flatnonzero(self.unit)
        order = np.argsort(np.concatenate([self.pivots, unit]), kind="stable")
        others = sparse.csr_array(self.rows.astype(np.int64))
        if not unit.size:
            return others[order]
        ones = np.ones(unit.size, dtype=np.int64)
        units = sparse.csr_array(
            (ones, unit, np.arange(unit.size + 1)), shape=(unit.size, self.width)
        )
        return sparse.csr_array(sparse.vstack([others, units]).tocsr()[order])
