"""Row spaces over a prime field, and their closure under a family of matrices.

A row space V ⊆ F_p^n is held as a sparse basis that is the identity on its pivot columns. Two facts do
the work.

- A vector v lies in V only if v·N = 0 for every N in the kernel of V. For a random N the converse fails with
  probability 1/p, so one sparse product tests any number of vectors at once.
- The numbers v·N of several vectors under several N are coordinates of their images in F_p^n / V: where rows of
  them are independent, so are the vectors, modulo V. So many vectors are added at once.

Every vector that the closure adds is r·J_k for a row r that is there already. So it lies in every
invariant space that contains the given rows. The *steps* (r, k) are kept: they prove that no smaller
space will do, and they say what to compute modulo another prime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.lumping.linear.family import ModularFamily
from symlump.lumping.linear.residues import apply, clean, multiply, signed
from symlump.ode.exact import IntArray

_MOST = 64  # vectors that are added at once


class RowSpace:
    """A row space modulo a prime that grows.

    Examples
    --------
    >>> space = RowSpace(3, 7)
    >>> _ = space.extend(sparse.csr_array(np.array([[2, 4, 0], [0, 0, 3], [1, 2, 1]])))
    >>> space.basis.toarray().tolist(), space.pivots.tolist()
    ([[1, 2, 0], [0, 0, 1]], [0, 2])
    """

    def __init__(self, width: int, prime: int) -> None:
        self.prime = prime
        self.basis = sparse.csr_array((0, width), dtype=np.int64)
        self.pivots: IntArray = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.pivots.size)

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.basis.shape[1])

    def kernel(self, count: int, generator: np.random.Generator) -> IntArray:
        """Random columns N with V·N = 0, shape (width, count)."""
        vectors = signed(generator.integers(0, self.prime, size=(self.width, count)), self.prime)
        vectors[self.pivots] = 0
        vectors[self.pivots] = -apply(self.basis, vectors, self.prime)
        return vectors

    def reduce(self, rows: sparse.csr_array) -> sparse.csr_array:
        """The rows modulo V: zero on the pivots."""
        if not len(self):
            return rows
        return clean(rows - multiply(rows[:, self.pivots], self.basis, self.prime), self.prime)

    def extend(
        self, rows: sparse.csr_array, allowed: npt.NDArray[np.bool_] | None = None
    ) -> IntArray:
        """Add rows, few at a time; returns which of them were independent of the rest.

        Each takes the first column that is not zero as its pivot, among the allowed ones.
        """
        kept = [
            start + self._extend(rows[start : start + _MOST], allowed)
            for start in range(0, rows.shape[0], _MOST)
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *kept])

    def _extend(self, rows: sparse.csr_array, allowed: npt.NDArray[np.bool_] | None) -> IntArray:
        rows, prime = self.reduce(rows), self.prime
        support = np.unique(rows.indices).astype(np.int64)
        dense = rows[:, support].toarray()
        usable = np.ones(support.size, dtype=bool) if allowed is None else allowed[support]
        kept: list[int] = []
        pivots: list[int] = []
        for i in range(dense.shape[0]):
            live = np.flatnonzero((dense[i] != 0) & usable)
            if not live.size:
                continue
            pivot = int(live[0])
            dense[i] = signed(dense[i] * pow(int(dense[i, pivot]), -1, prime), prime)
            others = np.flatnonzero(dense[:, pivot])
            others = others[others != i]
            dense[others] = signed(
                dense[others] - signed(dense[others, pivot][:, None] * dense[i], prime), prime
            )
            kept.append(i)
            pivots.append(pivot)
        if not kept:
            return np.empty(0, dtype=np.int64)
        fresh = sparse.csr_array(dense[kept])
        fresh = sparse.csr_array(
            (fresh.data, support[fresh.indices], fresh.indptr), shape=(len(kept), self.width)
        )
        chosen = support[pivots]
        if len(self):
            change = multiply(self.basis[:, chosen], fresh, prime)
            self.basis = clean(sparse.vstack([self.basis - change, fresh]), prime)
        else:
            self.basis = fresh
        self.pivots = np.concatenate([self.pivots, chosen])
        return np.array(kept, dtype=np.int64)

    def sort(self) -> None:
        """Put the basis in the order of its pivots."""
        order = np.argsort(self.pivots)
        self.basis, self.pivots = self.basis[order], self.pivots[order]
        self.basis.sort_indices()


@dataclass(frozen=True, eq=False)
class Closure:
    """The smallest invariant row space that contains given rows, modulo a prime.

    Parameters
    ----------
    space : RowSpace
        Sorted by pivots.
    kept : ndarray of int64
        Which of the given rows are independent. They are the first rows of the derivation.
    parents, generators : ndarray of int64
        Row number ``kept.size + t`` of the derivation is row ``parents[t]`` of it times
        J_k, k = ``generators[t]``. The rows of the derivation are a basis of the space.
    """

    space: RowSpace
    kept: IntArray
    parents: IntArray
    generators: IntArray


def close(
    family: ModularFamily, start: sparse.csr_array, seed: int | np.random.Generator = 0
) -> Closure:
    """Add r·J_k for rows r of the space until none is missing.

    An unlucky draw, with a probability of about one in p, can miss a vector; what is returned is then too small
    and not invariant, which an exact check finds out.
    """
    generator = np.random.default_rng(seed)
    prime = family.prime
    space = RowSpace(family.exact.size, prime)
    kept = space.extend(start)
    newest, first, count = start[kept], 0, 4
    parents, generators = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    while newest.shape[0] and len(space) < space.width:
        images, parent, k = family.images(newest)
        order = np.argsort(np.diff(images.indptr), kind="stable")  # sparse vectors first
        images, parent, k = images[order], parent[order] + first, k[order]
        first += newest.shape[0]
        added = [images[:0]]
        while images.shape[0]:
            scores = apply(images, space.kernel(count, generator), prime)
            chosen = independent_rows(scores, prime)
            if not chosen.size:
                break
            added.append(images[chosen])
            parents.append(parent[chosen])
            generators.append(k[chosen])
            space.extend(added[-1])
            rest: npt.NDArray[np.bool_] = np.asarray(scores.any(axis=1))
            rest[chosen] = False
            images, parent, k = images[rest], parent[rest], k[rest]
            if chosen.size == count:
                count = min(_MOST, 2 * count)
        newest = sparse.vstack(added).tocsr()
    space.sort()
    return Closure(space, kept, np.concatenate(parents), np.concatenate(generators))


def is_closed(family: ModularFamily, space: RowSpace, seed: int | np.random.Generator = 0) -> bool:
    """False if the space is certainly not invariant; True with the probability of error 1/p²."""
    images, _, _ = family.images(space.basis)
    kernel = space.kernel(2, np.random.default_rng(seed))
    return not apply(images, kernel, family.prime).any()


def independent_rows(matrix: IntArray, prime: int) -> IntArray:
    """The positions of the first rows of a dense matrix of residues that are independent."""
    index = np.flatnonzero(matrix.any(axis=1))
    rest, chosen = matrix[index], []
    while index.size:
        pivot = int(np.flatnonzero(rest[0])[0])
        chosen.append(int(index[0]))
        first = signed(rest[0] * pow(int(rest[0, pivot]), -1, prime), prime)
        rest = signed(rest[1:] - signed(rest[1:, pivot][:, None] * first, prime), prime)
        live = rest.any(axis=1)
        rest, index = rest[live], index[1:][live]
    return np.array(chosen, dtype=np.int64)


def replay(family: ModularFamily, start: sparse.csr_array, closure: Closure) -> RowSpace | None:
    """The space that the steps of a closure reach modulo another prime, with the same pivots.

    None where they are not independent there: that prime is of no use.
    """
    derived = start[closure.kept]
    done = 0
    while done < closure.parents.size:
        ready = closure.parents[done:] < derived.shape[0]
        end = closure.parents.size if ready.all() else done + int(np.argmin(ready))
        rows, place = np.unique(closure.parents[done:end], return_inverse=True)
        images, parent, k = family.images(derived[rows])
        wanted = place * family.exact.count + closure.generators[done:end]
        keys = parent * family.exact.count + k
        found = np.minimum(np.searchsorted(keys, wanted), max(0, keys.size - 1))
        if not keys.size or not np.array_equal(keys[found], wanted):
            return None
        derived = sparse.vstack([derived, images[found]]).tocsr()
        done = end
    space = RowSpace(family.exact.size, family.prime)
    allowed = np.zeros(space.width, dtype=bool)
    allowed[closure.space.pivots] = True
    if space.extend(derived, allowed).size < derived.shape[0]:
        return None
    space.sort()
    return space


def orthogonal(rows: sparse.csr_array, prime: int, order: IntArray | None = None) -> RowSpace:
    """All vectors that are orthogonal to every given row; the order of columns decides its pivots.

    Examples
    --------
    >>> orthogonal(sparse.csr_array(np.array([[1, 2, 3]])), 7).basis.toarray().tolist()
    [[-2, 1, 0], [-3, 0, 1]]
    """
    width = rows.shape[1]
    order = np.arange(width, dtype=np.int64) if order is None else order
    space = RowSpace(width, prime)
    space.extend(rows[np.argsort(np.diff(rows.indptr), kind="stable")][:, order])
    space.sort()
    free = np.setdiff1d(np.arange(width), space.pivots)
    rest = (-space.basis[:, free]).T.tocoo()
    values = np.concatenate([np.ones(free.size, dtype=np.int64), rest.data])
    owners = np.concatenate([np.arange(free.size), rest.coords[0]])
    columns = order[np.concatenate([free, space.pivots[rest.coords[1]]])]
    result = RowSpace(width, prime)
    result.basis = sparse.csr_array((values, (owners, columns)), shape=(free.size, width))
    result.pivots = order[free]
    result.sort()
    return result
