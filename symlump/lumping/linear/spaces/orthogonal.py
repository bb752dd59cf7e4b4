"""All vectors that are orthogonal to sparse rows modulo a prime: sparse elimination, then dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from symlump.lumping.linear.spaces.residues import centre, clean, inverses, multiply
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.ode.exact import IntArray

#: Fewer columns, and rows with more entries in the mean, are eliminated as they come.
_FEW, _LONG = 200, 40


@dataclass(frozen=True, eq=False)
class Eliminated:
    """Unknowns in terms of those that are left: x[own] = −rest·x[others]."""

    own: IntArray
    others: IntArray
    rest: sparse.csr_array


def orthogonal(rows: sparse.csr_array, prime: int, order: IntArray | None = None) -> RowSpace:
    """All vectors that are orthogonal to every given row; the order of columns decides its pivots.

    Examples
    --------
    >>> orthogonal(sparse.csr_array(np.array([[1, 2, 3]])), 7).basis.toarray().tolist()
    [[-2, 1, 0], [-3, 0, 1]]
    """
    order = np.arange(rows.shape[1], dtype=np.int64) if order is None else order
    basis = _sparse_kernel(rows, prime)
    found = None if basis is None else _in_order(basis, prime, order)
    return _plain(rows, prime, order) if found is None else found


def sparsest(
    rows: sparse.csr_array, prime: int, orders: Sequence[IntArray], sizes: IntArray
) -> RowSpace:
    """That of :func:`orthogonal` for some orders which has the fewest entries, each column counted so often.

    One that gets many more entries than another, also on the way, is not computed.
    """
    basis = _sparse_kernel(rows, prime)
    if basis is None:
        found = [_plain(rows, prime, order) for order in orders]
    else:
        found, limit = [], 4 * basis.nnz
        while not found:
            tried = [_in_order(basis, prime, order, limit) for order in orders]
            found, limit = [space for space in tried if space is not None], 4 * limit
    return min(found, key=lambda space: int(sizes[space.basis.indices].sum()))


def _sparse_kernel(rows: sparse.csr_array, prime: int) -> sparse.csr_array | None:
    """A basis of all vectors that are orthogonal to the rows; None where these are few or dense."""
    if rows.shape[1] <= _FEW:
        return None
    rows, columns, steps = _thinned(rows, prime)
    if not steps:
        return None
    basis = _plain(rows, prime, np.arange(columns.size)).basis
    for step in reversed(steps):
        found = multiply(basis, (-step.rest).T.tocsr(), prime)
        back = np.argsort(np.concatenate([step.others, step.own]))
        basis = sparse.csr_array(sparse.hstack([basis, found], format="csr")[:, back])
    return basis


def _in_order(
    basis: sparse.csr_array, prime: int, order: IntArray, limit: int | None = None
) -> RowSpace | None:
    """The space of a basis with the pivots of an order; None if it gets more entries than asked for."""
    # The echelon form from the last column on is the one in which a pivot is in terms of those before it.
    turned, result = order[::-1], RowSpace(basis.shape[1], prime)
    found = _echelon(basis[:, turned], prime, limit)
    if found is None:
        return None
    reduced, pivots = found
    result.pivots = turned[pivots]
    result.basis = sparse.csr_array(reduced[:, np.argsort(turned)])
    result.sort()
    return result


def _plain(rows: sparse.csr_array, prime: int, order: IntArray) -> RowSpace:
    width = rows.shape[1]
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


def _echelon(
    rows: sparse.csr_array, prime: int, limit: int | None
) -> tuple[sparse.csr_array, IntArray] | None:
    """The echelon form of independent sparse rows, all of them at once, and its pivots."""
    while True:
        if limit is not None and rows.nnz > limit:
            return None
        rows.sort_indices()
        lengths = np.diff(rows.indptr)
        lead, head = rows.indices[rows.indptr[:-1]], rows.data[rows.indptr[:-1]]
        rows.data = centre(rows.data * np.repeat(inverses(head, prime), lengths), prime)
        order = np.lexsort((lengths, lead))
        fresh = np.diff(lead[order], prepend=-1) > 0  # the shortest row of each pivot
        if fresh.all():
            break
        owner = np.cumsum(fresh) - 1
        chosen, others = rows[order[fresh]], order[~fresh]
        place = sparse.csr_array(
            (np.ones(others.size, np.int64), owner[~fresh], np.arange(others.size + 1)),
            shape=(others.size, chosen.shape[0]),
        )
        rows = sparse.vstack([chosen, clean(rows[others] - place @ chosen, prime)], format="csr")
    rows, pivots = rows[order], lead[order].astype(np.int64)
    unit = sparse.csr_array(sparse.eye_array(pivots.size, dtype=np.int64, format="csr"))
    while True:
        # (1 − N)·(1 + N) = 1 − N²: what stands above the pivots, N, is gone when its power is.
        above = clean(rows[:, pivots] - unit, prime)
        if not above.nnz:
            return rows, pivots
        if limit is not None and rows.nnz > limit:
            return None
        rows = clean(rows - multiply(above, rows, prime), prime)


def _thinned(
    rows: sparse.csr_array, prime: int
) -> tuple[sparse.csr_array, IntArray, list[Eliminated]]:
    """Rows from which unknowns are eliminated many at a time while they stay short, and which are left."""
    columns = np.arange(rows.shape[1], dtype=np.int64)
    steps: list[Eliminated] = []
    while True:
        rows = rows[np.diff(rows.indptr) > 0]
        height, width = rows.shape
        if not height or width <= _FEW or rows.nnz > _LONG * height:
            return rows, columns, steps
        chosen, pivots = _independent(rows)
        if 50 * chosen.size < height:
            return rows, columns, steps
        kept = np.ones(width, dtype=bool)
        kept[pivots] = False
        others = np.flatnonzero(kept)
        left = np.ones(height, dtype=bool)
        left[chosen] = False
        own = rows[chosen]
        heads = own.data[own.indices == np.repeat(pivots, np.diff(own.indptr))]
        rest = own[:, others]
        scale = np.repeat(inverses(heads, prime), np.diff(rest.indptr))
        rest.data = centre(rest.data * scale, prime)
        below = rows[left]
        rows = clean(below[:, others] - multiply(below[:, pivots], rest, prime), prime)
        steps.append(Eliminated(pivots, others, rest))
        columns = columns[others]


def _independent(rows: sparse.csr_array) -> tuple[IntArray, IntArray]:
    """Rows and a column of each in which no other of them has an entry, where elimination adds little.

    The cost is Markowitz's: entries of the row, and of the column, without the pivot.
    """
    height, width = rows.shape
    lengths = np.diff(rows.indptr).astype(np.int64)
    owners = np.repeat(np.arange(height), lengths)
    count = np.bincount(rows.indices, minlength=width)
    start = rows.indptr[:-1]
    # The column of each row with the fewest entries, of these the first.
    least = np.minimum.reduceat(count[rows.indices], start)
    best = np.where(count[rows.indices] == least[owners], rows.indices, width)
    pivot = np.minimum.reduceat(best, start).astype(np.int64)
    cost = (lengths - 1) * (least - 1)
    rank = np.empty(height, dtype=np.int64)
    rank[np.lexsort((pivot, cost))] = np.arange(height)
    able = cost <= max(4, int(np.quantile(cost, 0.25)))
    rank[~able] = height
    # A row is taken if it comes before all others that have an entry in its column, or whose column it has.
    first = np.full(width, height, dtype=np.int64)
    np.minimum.at(first, rows.indices, rank[owners])
    owner = np.full(width, height, dtype=np.int64)
    np.minimum.at(owner, pivot[able], rank[able])
    before = np.minimum.reduceat(owner[rows.indices], start)
    taken = able & (first[pivot] == rank) & (before == rank)
    return np.flatnonzero(taken), pivot[taken]
