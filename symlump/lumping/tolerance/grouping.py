"""Which variables of one block stay together within a tolerance.

Each row of a matrix is the signature of one variable (the coefficients that an exact equivalence
requires to be equal). The rows are split into groups by one of the linkages.

Ties between merges are broken by the order of the rows; callers that need results independent of the order
of variables sort the rows by name first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from symlump.errors import FailureError
from symlump.lumping.tolerance.linkage import Linkage
from symlump.lumping.tolerance.near import FEW, distances, few_components, near_components, pieces
from symlump.ode.exact import FloatArray, IntArray

#: Distances are float64 sums; a pair at ε itself must not fall out by their rounding.
ROUNDING_SLACK = 1e-12
_DENSE_NUMBERS = 1 << 26
_MAX_PAIRS = 1 << 28


def group_rows(rows: sparse.csr_array, eps: float, linkage: Linkage) -> IntArray:
    """Group numbers of the rows.

    Parameters
    ----------
    rows : csr_array, shape (members, keys)
    eps : float
        Tolerance, at least 0.

    Returns
    -------
    ndarray of int64, shape (members,)

    Raises
    ------
    FailureError
        If more than 2^28 distances would be needed at once (diameter and variance only).

    Examples
    --------
    >>> rows = sparse.csr_array([[1.00, 2.00], [1.04, 1.97], [1.50, 2.00]])
    >>> [len(set(group_rows(rows, 0.495, Linkage(name)).tolist()))
    ...  for name in ("closure", "diameter", "variance")]
    [1, 2, 2]

    Notes
    -----
    Closure costs a few sorts and the distances of neighbours (see :mod:`symlump.lumping.tolerance.near`).
    Diameter works inside the groups of closure, variance between gaps of projections; both need the square of
    the largest such group.
    """
    limit = eps * (1 + ROUNDING_SLACK)
    if linkage is Linkage.CLOSURE and rows.shape[0] <= FEW:
        return few_components(_trimmed(rows).toarray(), limit)
    labels = np.zeros(rows.shape[0], dtype=np.int64)
    following = 0
    rows = _trimmed(rows)
    for piece in pieces(rows, limit, linkage.norm):
        if piece.size > 1:
            inner = _group_piece(_trimmed(rows[piece]), limit, linkage)
            labels[piece] = inner + following
            following += int(inner.max()) + 1
        else:
            labels[piece] = following
            following += 1
    return labels


def count_groups(groups: IntArray) -> int:
    """How many groups there are."""
    return int(np.unique(groups).size)


def group_at_least(
    rows: sparse.csr_array,
    eps: float,
    linkage: Linkage,
    fewest: int,
    count: Callable[[IntArray], int] = count_groups,
) -> IntArray:
    """Group numbers of the rows or, where these are too few groups, those of the largest tolerance with enough.

    Parameters
    ----------
    rows, eps, linkage
        As for :func:`group_rows`.
    fewest : int
        So many groups, unless fewer rows are different.
    count : callable
        How many groups there are, from the group of each row; not more at larger tolerances.

    Raises
    ------
    FailureError
        If more than 2^28 distances would be needed at once, as closure does, too, where groups are too few.

    Examples
    --------
    >>> rows = sparse.csr_array([[1.0], [1.25], [2.0], [2.0]])
    >>> [group_at_least(rows, 9.0, Linkage.VARIANCE, fewest).tolist() for fewest in (1, 2, 4)]
    [[0, 0, 0, 0], [1, 1, 0, 0], [1, 2, 0, 0]]
    """
    groups = group_rows(rows, eps, linkage)
    rows = _trimmed(rows)
    if count(groups) >= fewest or not rows.shape[1]:
        return groups
    tree = _tree(rows, linkage)
    heights = np.unique(np.append(0.0, tree[:, 2]))
    low, high = 0, heights.size  # at 0 what is equal stays together
    while high - low > 1:
        middle = (low + high) // 2
        enough = count(_cut(tree, heights[middle])) >= fewest
        low, high = (middle, high) if enough else (low, middle)
    return _cut(tree, heights[low])


def group_distances(matrix: FloatArray, eps: float, linkage: Linkage) -> IntArray:
    """Group numbers from a full matrix of distances, for closure and diameter.

    Examples
    --------
    >>> d = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    >>> [len(set(group_distances(d, 1.0, Linkage(name)).tolist())) for name in ("closure", "diameter")]
    [1, 2]
    """
    limit = eps * (1 + ROUNDING_SLACK)
    if linkage is Linkage.CLOSURE:
        near = sparse.csr_array(matrix <= limit)
        return np.asarray(connected_components(near, directed=False)[1], dtype=np.int64)
    tree = hierarchy.linkage(squareform(matrix, checks=False), "complete")
    return _cut(tree, limit)


def _group_piece(rows: sparse.csr_array, limit: float, linkage: Linkage) -> IntArray:
    if not rows.shape[1]:
        return np.zeros(rows.shape[0], dtype=np.int64)
    if linkage is Linkage.VARIANCE:
        return _cut(_tree(rows, linkage), limit)
    labels = near_components(rows, limit)
    if linkage is Linkage.CLOSURE:
        return labels
    following = int(labels.max()) + 1
    for component in range(following):
        inside = np.flatnonzero(labels == component)
        if inside.size > 2:  # two rows of one component are within the limit
            inner = _cut(_tree(_trimmed(rows[inside]), linkage), limit)
            labels[inside[inner > 0]] = following + inner[inner > 0] - 1
            following += int(inner.max())
    return labels


def _tree(rows: sparse.csr_array, linkage: Linkage) -> FloatArray:
    """In which order the rows merge, and at which tolerances."""
    if linkage is Linkage.VARIANCE:
        return np.asarray(hierarchy.linkage(_euclidean(rows), "ward"))
    method = "single" if linkage is Linkage.CLOSURE else "complete"
    return np.asarray(hierarchy.linkage(_cityblock(rows), method))


def _cut(tree: FloatArray, limit: float) -> IntArray:
    return np.asarray(hierarchy.fcluster(tree, limit, "distance"), dtype=np.int64) - 1


def _trimmed(rows: sparse.csr_array) -> sparse.csr_array:
    """The rows without columns that are zero in all of them."""
    used, column = np.unique(rows.indices, return_inverse=True)
    if used.size == rows.shape[1]:
        return rows
    return sparse.csr_array(
        (rows.data, column.ravel(), rows.indptr), shape=(rows.shape[0], used.size)
    )


def _check_pairs(count: int) -> None:
    if count * (count - 1) // 2 > _MAX_PAIRS:
        raise FailureError(
            f"{count} variables are candidates for one block, too many for all their distances; use a smaller "
            "ε, a finer initial partition, or linkage='closure', which does not need them"
        )


def _cityblock(rows: sparse.csr_array) -> FloatArray:
    """Condensed 1-norm distances."""
    count = int(rows.shape[0])
    _check_pairs(count)
    if count * rows.shape[1] <= _DENSE_NUMBERS:
        return np.asarray(pdist(rows.toarray(), "cityblock"))
    i, j = np.triu_indices(count, 1)
    return distances(rows, i, j)


def _euclidean(rows: sparse.csr_array) -> FloatArray:
    """Condensed 2-norm distances by matrix products, near pairs recomputed directly.

    ‖a − b‖² = ‖a‖² + ‖b‖² − 2⟨a, b⟩ cancels for near pairs, where direct differences do not. Taking the
    mean off first leaves few such pairs.
    """
    count = int(rows.shape[0])
    _check_pairs(count)
    dense = rows.toarray() if count * rows.shape[1] <= _DENSE_NUMBERS else None
    if dense is not None:
        dense -= dense.mean(axis=0)
        if dense.size < 1 << 16:
            return np.asarray(pdist(dense))
    other = rows if dense is None else dense
    squares = np.asarray(
        rows.power(2).sum(axis=1) if dense is None else np.einsum("ij,ij->i", dense, dense)
    ).ravel()
    result = np.empty(count * (count - 1) // 2)
    start = 0
    for k in range(0, count, 512):
        block = other[k : k + 512]
        gram = block @ other[k:].T
        gram = np.asarray(gram if dense is not None else gram.toarray())
        for i in range(k, min(k + 512, count) - (k + 512 >= count)):
            tail = slice(i + 1, count)
            sums = squares[i] + squares[tail]
            square = sums - 2 * gram[i - k, i + 1 - k :]
            near = i + 1 + np.flatnonzero(square < 1e-6 * sums)
            if near.size:
                gap = (
                    other[near] - other[[i]]
                    if dense is not None
                    else other[near] - other[[i] * near.size]
                )
                square[near - i - 1] = np.asarray(
                    np.einsum("ij,ij->i", gap, gap)
                    if dense is not None
                    else gap.power(2).sum(axis=1)
                ).ravel()
            result[start : start + square.size] = np.sqrt(np.maximum(square, 0.0))
            start += square.size
    return result
