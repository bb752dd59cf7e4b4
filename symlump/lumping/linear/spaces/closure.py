"""The closure of a row space under a family of matrices, modulo a prime.

Every vector that the closure adds is r·J_k for a row r that is there already. So it lies in every
invariant space that contains the given rows. The *steps* (r, k) are kept: they prove that no smaller
space will do, and they say what to compute modulo another prime.

Rows are added in batches. The images of a batch are sparse; what is left of them modulo the space, by
its unit vectors above all, is soon short. In its place stands the row less what was there before
its batch. *Why the same steps derive independent vectors from the given rows themselves:* the difference
is a combination of rows of earlier batches, whose images are in the space already when those of the batch come.

Whether vectors are new is decided for many at once: v lies in V only if v·N = 0 for all N in the kernel of
V, and for a random N the converse fails with probability 1/p. Where rows of v·N are independent, so are the
v, modulo V.

A single matrix needs none of this: the powers r·A, r·A², … are computed one after the other, and eliminated a
block at a time. The first that depends on those before it ends its chain.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from symlump.lumping.linear.spaces.echelon import BLOCK, Echelon, Mask, fold, product
from symlump.lumping.linear.spaces.family import ModularFamily
from symlump.ode.exact import FloatArray, IntArray

#: Fewer candidates than this are reduced as they are; among more the independent ones are sought first.
_FEW = 96


@dataclass(frozen=True, eq=False)
class Closure:
    """The smallest invariant row space that contains given rows, modulo a prime.

    Parameters
    ----------
    space : Echelon
    kept : ndarray of int64
        Which of the given rows are independent. They are the first rows of the derivation.
    parents, generators : ndarray of int64
        Row number ``kept.size + t`` of the derivation is row ``parents[t]`` of it times
        J_k, k = ``generators[t]``. The rows of the derivation are a basis of the space.
    batches : tuple of int
        In groups of how many rows, the given ones first, the derivation went on.
    """

    space: Echelon
    kept: IntArray
    parents: IntArray
    generators: IntArray
    batches: tuple[int, ...]


class _Growth:
    """A closure on its way."""

    def __init__(self, family: ModularFamily, allowed: Mask | None) -> None:
        self.family, self.prime = family, family.prime
        self.space = Echelon(family.exact.size, family.prime, allowed)
        self.size = 0
        self.parents: list[IntArray] = []
        self.generators: list[IntArray] = []
        self.batches: list[int] = []
        self.waiting: deque[tuple[int, sparse.csr_array]] = deque()

    def begin(self, start: FloatArray) -> IntArray:
        """Add the given rows; returns which are independent."""
        kept = self.space.extend(start.copy())
        self._record(sparse.csr_array(start[kept].astype(np.int64)))
        return np.array(kept, dtype=np.int64)

    def _record(self, rows: sparse.csr_array) -> None:
        if rows.shape[0]:
            self.waiting.append((self.size, rows))
            self.batches.append(rows.shape[0])
            self.size += rows.shape[0]

    def add(self, rows: sparse.csr_array, parents: IntArray, generators: IntArray) -> bool:
        """Add a batch of sparse rows; says whether all were independent."""
        rest = self.space.reduce(rows.toarray().astype(np.float64))
        sparse_rest = sparse.csr_array(rest.astype(np.int64))
        kept = self.space.extend(rest)
        whole = len(kept) == len(rest)
        self.parents.append(parents if whole else parents[kept])
        self.generators.append(generators if whole else generators[kept])
        self._record(sparse_rest if whole else sparse_rest[kept])
        return whole

    def add_units(self, columns: IntArray, parents: IntArray, generators: IntArray) -> None:
        """Add a batch of unit vectors, none of which is in the space."""
        ones = np.ones(columns.size, dtype=np.int64)
        shape = columns.size, self.space.width
        rows = sparse.csr_array((ones, columns, np.arange(columns.size + 1)), shape=shape)
        if self.space.add_units(columns):
            self.parents.append(parents)
            self.generators.append(generators)
            self._record(rows)
        else:
            for start in range(0, columns.size, BLOCK):
                part = slice(start, start + BLOCK)
                self.add(rows[part], parents[part], generators[part])

    def finish(self, kept: IntArray) -> Closure:
        empty = np.empty(0, dtype=np.int64)
        self.space.settle()
        return Closure(
            self.space,
            kept,
            np.concatenate([empty, *self.parents]),
            np.concatenate([empty, *self.generators]),
            tuple(self.batches),
        )


def close(
    family: ModularFamily, start: sparse.csr_array, seed: int | np.random.Generator = 0
) -> Closure:
    """Add r·J_k for rows r of the space until none is missing.

    An unlucky draw, with a probability of about one in p, can miss a vector; what is returned is then too small
    and not invariant, which an exact check finds out.
    """
    rows = start.toarray().astype(np.float64)
    single = family.single_matrix()
    if single is not None:
        space, kept, steps = powers(single, rows, family.prime)
        generators = np.full(steps.size, family.exact.only_generator)
        return Closure(space, kept, steps, generators, ())
    generator = np.random.default_rng(seed)
    growth = _Growth(family, None)
    kept = growth.begin(rows)
    space = growth.space
    while growth.waiting and len(space) < space.width:
        first, batch = growth.waiting.popleft()
        images, parent, k = family.images(batch)
        parent = parent + first
        candidates = images
        while candidates.shape[0] and len(space) < space.width:
            space.settle()
            candidates, parent, k = _without_units(candidates, parent, k, space.unit)
            lengths = np.diff(candidates.indptr)
            alone = np.flatnonzero(lengths == 1)
            if alone.size:
                columns, chosen = np.unique(
                    candidates.indices[candidates.indptr[alone]], return_index=True
                )
                chosen = alone[chosen]
                growth.add_units(columns.astype(np.int64), parent[chosen], k[chosen])
                continue
            if candidates.shape[0] <= _FEW:
                if candidates.shape[0]:
                    growth.add(candidates, parent, k)
                break
            candidates, parent, k = _add_some(growth, candidates, parent, k, generator)
    return growth.finish(kept)


def _without_units(
    rows: sparse.csr_array, parent: IntArray, k: IntArray, unit: Mask
) -> tuple[sparse.csr_array, IntArray, IntArray]:
    """The rows without their entries in unit columns; those that are empty then are left out."""
    live = ~unit[rows.indices]
    if live.all():
        return rows, parent, k
    counts = np.concatenate([[0], np.cumsum(live)])[rows.indptr]
    full = np.flatnonzero(np.diff(counts))
    indptr = np.append(counts[full], counts[-1])
    rest = sparse.csr_array(
        (rows.data[live], rows.indices[live], indptr), shape=(full.size, rows.shape[1])
    )
    return rest, parent[full], k[full]


def _add_some(
    growth: _Growth,
    rows: sparse.csr_array,
    parent: IntArray,
    k: IntArray,
    generator: np.random.Generator,
) -> tuple[sparse.csr_array, IntArray, IntArray]:
    """Add up to a block of independent rows, the sparsest first; returns those that may still be new."""
    order = np.argsort(np.diff(rows.indptr), kind="stable")
    rows, parent, k = rows[order], parent[order], k[order]
    kernel = growth.space.kernel(BLOCK, generator)
    scores = fold((rows @ kernel.astype(np.int64)).astype(np.float64), growth.prime)
    chosen = independent_rows(scores, growth.prime)
    rest: Mask = np.asarray(scores.any(axis=1))
    rest[chosen] = False
    if chosen.size:
        growth.add(rows[chosen], parent[chosen], k[chosen])
    if chosen.size < BLOCK:  # nothing else is independent
        rest[:] = False
    return rows[rest], parent[rest], k[rest]


def independent_rows(matrix: FloatArray, prime: int) -> IntArray:
    """The positions of the first rows of a dense matrix of residues that are independent.

    Examples
    --------
    >>> independent_rows(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [0.0, 1.0]]), 7).tolist()
    [1, 3]
    """
    space = Echelon(matrix.shape[1], prime)
    chosen: list[int] = []
    # A few rows first: they take most of the rest away.
    for start in range(0, len(matrix), 2 * BLOCK):
        if len(chosen) == matrix.shape[1]:
            break
        part = matrix[start : start + 2 * BLOCK].copy()
        chosen += [start + i for i in space.extend(part)]
    return np.array(chosen, dtype=np.int64)


def powers(
    matrix: FloatArray | sparse.csr_array, start: FloatArray, prime: int
) -> tuple[Echelon, IntArray, IntArray]:
    """The closure under one matrix: r·A, r·A², … for all given rows r, a block at a time.

    Returns
    -------
    space : Echelon
    kept, parents : ndarray of int64
        As in :class:`Closure`.
    """
    step = _Multiplier(matrix, prime)
    space = Echelon(start.shape[1], prime)
    kept = np.array(space.extend(start.copy()), dtype=np.int64)
    newest = start[kept]
    # Where in the derivation the last vector of each chain that goes on is.
    last, size = np.arange(kept.size, dtype=np.int64), int(kept.size)
    parents: list[int] = []
    while newest.shape[0] and len(space) < space.width:
        room = space.width - len(space)
        chains = newest.shape[0]
        count = max(1, min(BLOCK, 8 + len(space), room + 1) // chains)
        images = np.empty((count, chains, space.width))
        for i in range(count):
            images[i] = newest = step(newest)
        found = space.extend(images.reshape(-1, space.width))
        alive = np.zeros(chains, dtype=bool)
        for position in found:
            chain = position % chains
            parents.append(int(last[chain]))
            last[chain] = size
            size += 1
            alive[chain] = position // chains == count - 1
        newest, last = newest[alive], last[alive]
    space.settle()
    return space, kept, np.array(parents, dtype=np.int64)


class _Multiplier:
    """Rows times one matrix of residues, without rounding."""

    def __init__(self, matrix: FloatArray | sparse.csr_array, prime: int) -> None:
        self.prime = prime
        self.sparse: sparse.csr_array | None = None
        if not isinstance(matrix, np.ndarray):
            size = matrix.shape[0]
            if size > 400 and matrix.nnz < size**2 // 3:
                step = matrix.T.tocsr()
                # No sum of a product may pass 53 bits; then floats are exact.
                if int(abs(step).sum(axis=1).max()) * prime < 2**53:
                    step = step.astype(np.float64)
                self.sparse = step
            else:
                matrix = matrix.toarray().astype(np.float64)
        self.dense = matrix

    def __call__(self, rows: FloatArray) -> FloatArray:
        if self.sparse is None:
            return product(rows, self.dense, self.prime)
        if self.sparse.dtype == np.float64:
            return fold((self.sparse @ rows.T).T, self.prime)
        whole = (self.sparse @ rows.T.astype(np.int64)).T
        return fold(np.mod(whole, self.prime).astype(np.float64), self.prime)


def is_closed(
    family: ModularFamily,
    start: sparse.csr_array,
    space: Echelon,
    seed: int | np.random.Generator = 0,
) -> bool:
    """False if the space is certainly not invariant, or lacks a row of the start.

    True with the probability of error 1/p².
    """
    images, _, _ = family.images(space.matrix())
    kernel = space.kernel(2, np.random.default_rng(seed)).astype(np.int64)
    return not any(np.mod(rows @ kernel, family.prime).any() for rows in (start, images))


def replay(
    family: ModularFamily, start: sparse.csr_array, closure: Closure, pivots: IntArray
) -> Echelon | None:
    """The space that the steps of a closure reach modulo another prime, with the given pivots.

    None where they are not independent there: that prime is of no use.
    """
    allowed = np.zeros(family.exact.size, dtype=bool)
    allowed[pivots] = True
    rows = start.toarray().astype(np.float64)[closure.kept]
    single = family.single_matrix()
    if single is not None:
        space = Echelon(family.exact.size, family.prime, allowed)
        return space if _replay_powers(family, single, rows, closure, space) else None
    growth = _Growth(family, allowed)
    if growth.begin(rows).size < len(rows):
        return None
    done, sizes = 0, deque(closure.batches[1:])
    while growth.waiting and sizes:
        first, batch = growth.waiting.popleft()
        end = int(np.searchsorted(closure.parents, first + batch.shape[0]))
        if end == done:
            continue
        images, parent, k = family.images(batch)
        keys = (parent + first) * family.exact.count + k
        wanted = closure.parents[done:end] * family.exact.count + closure.generators[done:end]
        found = np.minimum(np.searchsorted(keys, wanted), max(0, keys.size - 1))
        if not keys.size or not np.array_equal(keys[found], wanted):
            return None
        place = 0
        while place < found.size:
            part = slice(place, place + sizes.popleft())
            chosen = found[part]
            if not growth.add(images[chosen], wanted[part], wanted[part]):
                return None
            place = part.stop
        done = end
    growth.space.settle()
    return growth.space if len(growth.space) == growth.size == pivots.size else None


def _replay_powers(
    family: ModularFamily,
    matrix: sparse.csr_array,
    rows: FloatArray,
    closure: Closure,
    space: Echelon,
) -> bool:
    step = _Multiplier(matrix, family.prime)
    if len(space.extend(rows.copy())) < len(rows):
        return False
    derived: list[FloatArray] = list(rows)
    fresh: list[FloatArray] = []
    for parent in closure.parents.tolist():
        derived.append(step(derived[parent][None, :])[0])
        fresh.append(derived[-1])
        if len(fresh) == BLOCK:
            if len(space.extend(np.array(fresh))) < BLOCK:
                return False
            fresh = []
    return len(space.extend(np.array(fresh).reshape(-1, space.width))) == len(fresh)
