"""Rows that are near each other, found without comparing all pairs.

A projection never lengthens a distance: |⟨s, a − b⟩| ≤ ‖a − b‖₁ for signs s, and |⟨u, a − b⟩| ≤ ‖a − b‖₂
for unit vectors u. Rows whose projections are further apart than ε are therefore no pair, and a gap wider
than ε between consecutive sorted projections is crossed by no chain of pairs. Both tests only ever leave
pairs out; what remains is decided by the distance itself.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist, squareform

from symlump.lumping.partition import Partition
from symlump.ode.exact import FloatArray, IntArray

_PROJECTIONS = 8
#: So many rows are compared pair by pair at once, whatever their projections.
FEW = 64
#: Projections are float64 sums, so their gaps get more room than any rounding needs.
_ROOM = 1 + 1e-9
_SMALL = 256
_DENSE_NUMBERS = 1 << 24
_CHUNK_NUMBERS = 1 << 22


def pieces(rows: sparse.csr_array, limit: float, norm: int) -> list[IntArray]:
    """Cut rows where a projection leaves a gap wider than ``limit``, again until nothing is cut.

    Means lie between what they are means of, so not even linkages of means reach over such a gap.

    Parameters
    ----------
    rows : csr_array, shape (members, keys)
    norm : {1, 2}
        The norm in which ``limit`` is a distance.

    Examples
    --------
    >>> [piece.tolist() for piece in pieces(sparse.csr_array([[0.0], [5.0], [0.5]]), 1.0, 1)]
    [[0, 2], [1]]
    """
    everything = np.arange(rows.shape[0])
    if rows.shape[0] < 2 or not rows.shape[1]:
        return [everything]
    projected = _projections(rows, norm)
    waiting, done = [everything], []
    while waiting:
        piece = waiting.pop()
        for projection in projected.T:
            order = piece[np.argsort(projection[piece], kind="stable")]
            gaps = np.flatnonzero(np.diff(projection[order]) > limit * _ROOM)
            if gaps.size:
                waiting.extend(np.split(order, gaps + 1))
                break
        else:
            done.append(np.sort(piece))
    return sorted(done, key=lambda piece: int(piece[0]))


def few_components(rows: FloatArray, limit: float) -> IntArray:
    """Connected components of "1-norm distance at most ``limit``", of a few dense rows: of all pairs.

    Examples
    --------
    >>> few_components(np.array([[0.0], [2.0], [1.0], [9.0]]), 1.0).tolist()
    [0, 0, 0, 1]
    """
    near = squareform(pdist(rows, "cityblock") <= limit, checks=False)
    np.fill_diagonal(near, True)
    label = np.arange(len(rows))
    while True:  # the least member that is known to be connected
        least = np.where(near, label, len(rows)).min(axis=1)
        if np.array_equal(least, label):
            return np.asarray(np.unique(label, return_inverse=True)[1].ravel(), dtype=np.int64)
        label = least


def near_components(rows: sparse.csr_array, limit: float) -> IntArray:
    """Connected components of "1-norm distance at most ``limit``".

    Cost: a sort per projection, and the distances of those pairs whose eight projections are all within the
    limit and which are not yet known to be connected.

    Examples
    --------
    >>> near_components(sparse.csr_array([[0.0], [2.0], [1.0], [9.0]]), 1.0).tolist()
    [0, 0, 0, 1]
    """
    count = int(rows.shape[0])
    if count * rows.shape[1] <= _DENSE_NUMBERS and count <= _SMALL:
        i, j = np.triu_indices(count, 1)
        near = pdist(rows.toarray(), "cityblock") <= limit
        return _components(count, i[near], j[near])
    projected = _projections(rows, 1)
    left, right = [], []
    for projection in projected.T:  # neighbours on a line connect most of what is connected
        order = np.argsort(projection, kind="stable")
        near = distances(rows, order[:-1], order[1:]) <= limit
        left.append(order[:-1][near])
        right.append(order[1:][near])
    label = _components(count, np.concatenate(left), np.concatenate(right))
    tree = cKDTree(projected)
    largest = np.bincount(label).argmax()
    outside = np.flatnonzero(label != largest)  # every missing pair has an end out there
    for start in range(0, outside.size, _SMALL):
        part = outside[start : start + _SMALL]
        found = tree.query_ball_point(projected[part], limit * _ROOM, p=np.inf)
        i = np.repeat(part, [len(f) for f in found])
        j = np.concatenate([np.asarray(f, dtype=np.int64) for f in found])
        open_pair = label[i] != label[j]
        i, j = i[open_pair], j[open_pair]
        near = distances(rows, i, j) <= limit
        label = _components(count, i[near], j[near], label)
    return label


def distances(rows: sparse.csr_array, i: IntArray, j: IntArray) -> FloatArray:
    """1-norm distances of the pairs (i, j) of rows."""
    result = np.empty(i.size)
    width = 2 * max(1, rows.nnz // max(1, rows.shape[0]))
    step = max(1, _CHUNK_NUMBERS // width)
    for start in range(0, i.size, step):
        part = slice(start, start + step)
        result[part] = np.asarray(abs(rows[i[part]] - rows[j[part]]).sum(axis=1)).ravel()
    return result


def _components(count: int, i: IntArray, j: IntArray, merged: IntArray | None = None) -> IntArray:
    """Components of the pairs (i, j), in order of first appearance; and of equal ``merged`` numbers."""
    if merged is not None:
        first = np.unique(merged, return_index=True)[1]
        i = np.concatenate([i, np.arange(count)])
        j = np.concatenate([j, first[np.unique(merged, return_inverse=True)[1].ravel()]])
    graph = sparse.coo_array((np.ones(i.size, dtype=np.int8), (i, j)), shape=(count, count))
    label = connected_components(graph, directed=False)[1]
    return Partition(label).labels.copy()


def _projections(rows: sparse.csr_array, norm: int) -> FloatArray:
    """Each row on a few random lines, shape (members, projections)."""
    generator = np.random.default_rng(0)
    lines = generator.standard_normal((rows.shape[1], _PROJECTIONS))
    lines = np.sign(lines) if norm == 1 else lines / np.linalg.norm(lines, axis=0)
    return np.asarray(rows @ lines)
