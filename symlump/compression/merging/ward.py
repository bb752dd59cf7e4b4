"""Merge trees of rows that count differently: Ward's linkage with weights, and the others beside it.

The distance of rows i and j with weights w is √(2·w_i·w_j/(w_i + w_j))·‖x_i − x_j‖₂, which is √w times the
distance where both count the same. For groups, with W the sum of weights and m the weighted mean,

    height = √(2·W_A·W_B/(W_A + W_B))·‖m_A − m_B‖₂,

so that half the square of a height is the growth of Σ_i w_i·‖x_i − m(i)‖² when A and B merge.

References
----------
Ward, doi:10.1080/01621459.1963.10500845; Müllner, arXiv:1109.2378 (nearest-neighbour chains).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage
from symlump.ode.exact import FloatArray, IntArray

#: What has gone of so many rows, or more, is let go as soon as it is half of them.
_LARGE = 128


def merge_tree(rows: FloatArray, weights: FloatArray, linkage: Linkage) -> FloatArray:
    """The merges of rows in the order of their heights, as ``scipy.cluster.hierarchy`` writes them.

    Parameters
    ----------
    rows : ndarray, shape (members, any)
        Overwritten where there are many.
    weights : ndarray, shape (members,)
        At least 0; a row of weight 0 merges with any other at height 0.
    linkage : Linkage
        Closure chains, diameter bounds the largest distance in a group, variance is Ward's.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [5.0]])
    >>> merge_tree(rows, np.array([1.0, 1.0, 0.5]), Linkage.VARIANCE)[:, 2].round(4).tolist()
    [1.0, 4.0249]
    >>> merge_tree(rows, np.ones(3), Linkage.CLOSURE)[:, 2].tolist()
    [1.0, 4.0]

    Notes
    -----
    Cost: all pairs, O(n²) time and memory after the distances.
    """
    return merge_trees(rows, [weights], linkage)[0]


def merge_trees(
    rows: FloatArray, weightings: Sequence[FloatArray], linkage: Linkage
) -> list[FloatArray]:
    """The trees of the same rows with several weights, from one matrix of distances.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [5.0]])
    >>> trees = merge_trees(rows, [np.ones(3), np.full(3, 4.0)], Linkage.VARIANCE)
    >>> [tree[0, 2].tolist() for tree in trees]
    [1.0, 2.0]
    """
    return trees_from(_square_distances(rows), weightings, linkage)


def trees_from(
    squares: FloatArray, weightings: Sequence[FloatArray], linkage: Linkage
) -> list[FloatArray]:
    """The trees with several weights from all ‖x_i − x_j‖², which are overwritten."""
    if len(squares) < 2:
        return [np.empty((0, 4))] * len(weightings)
    last = len(weightings) - 1
    return [
        _tree(squares if number == last else squares.copy(), weights, linkage)
        for number, weights in enumerate(weightings)
    ]


def _tree(squares: FloatArray, weights: FloatArray, linkage: Linkage) -> FloatArray:
    """The tree of rows from their distances, which are overwritten."""
    pairs = 2 * weights[:, None] * weights
    squares *= pairs
    np.add(weights[:, None], weights, out=pairs)
    squares /= np.maximum(pairs, np.finfo(np.float64).tiny, out=pairs)  # 0 where both are 0
    del pairs
    name = {Linkage.CLOSURE: "single", Linkage.DIAMETER: "complete"}.get(linkage, "ward")
    if name == "ward" and (weights != weights[0]).any():
        return _ward(squares, weights.astype(np.float64))
    return np.asarray(hierarchy.linkage(squareform(np.sqrt(squares), checks=False), name))


def cut(tree: FloatArray, eps: float) -> IntArray:
    """Group numbers, by first appearance, after all merges of height at most ``eps``.

    Examples
    --------
    >>> cut(merge_tree(np.array([[5.0], [0.0], [1.0]]), np.ones(3), Linkage.VARIANCE), 2.0).tolist()
    [0, 1, 1]
    """
    return _after(tree, int(np.searchsorted(tree[:, 2], eps, side="right")))


def cut_to(tree: FloatArray, count: int) -> IntArray:
    """Group numbers, by first appearance, after as many merges as leave so many groups.

    Examples
    --------
    >>> int(cut_to(merge_tree(np.zeros((3, 1)), np.ones(3), Linkage.VARIANCE), 2).max())
    1
    """
    return _after(tree, len(tree) + 1 - count)


def _after(tree: FloatArray, merges: int) -> IntArray:
    """Group numbers, by first appearance, after so many merges."""
    leaves = len(tree) + 1
    top = np.arange(leaves + merges)
    top[tree[:merges, :2].astype(np.int64)] = np.arange(leaves, top.size)[:, None]
    while not np.array_equal(higher := top[top], top):  # doubles the steps up to the root
        top = higher
    return Partition(top[:leaves]).labels


def _square_distances(rows: FloatArray) -> FloatArray:
    """All ‖x_i − x_j‖² by one matrix product; near pairs, where it cancels, directly. Overwrites rows."""
    if rows.size < 1 << 16:
        return np.asarray(squareform(pdist(rows, "sqeuclidean")))
    centred = rows
    centred -= rows.mean(axis=0)
    return squares_from(
        centred @ centred.T, np.zeros(len(rows)), lambda i, j: centred[i] - centred[j], 1
    )


def squares_from(
    products: FloatArray,
    means: FloatArray,
    gaps: Callable[[IntArray, IntArray], FloatArray],
    count: int,
    near: float = 1e-6,
) -> FloatArray:
    """All mean squares of the entries of x_i − x_j, so many each; of near pairs from these entries.

    Parameters
    ----------
    products : ndarray, shape (members, members)
        The means of the products of their entries, about the means of these.
    means : ndarray, shape (members,)
    gaps : callable
        The differences of some pairs, a row each.
    count : int
    near : float
        Up to which share of the squares of both a pair is near.
    """
    norms = np.diag(products)
    squares = products * -2.0
    both = np.add.outer(norms, norms)
    squares += both
    np.maximum(squares, 0.0, out=squares)
    both *= near
    i, j = np.nonzero(squares < both)
    i, j = i[i < j], j[i < j]
    np.subtract.outer(means, means, out=both)
    both *= both
    squares += both
    for start in range(0, i.size, 1024):
        a, b = i[start : start + 1024], j[start : start + 1024]
        gap = gaps(a, b)
        squares[a, b] = squares[b, a] = np.einsum("ij,ij->i", gap, gap, dtype=np.float64) / count
    np.fill_diagonal(squares, 0.0)
    return np.asarray(squares)


def _ward(squares: FloatArray, weights: FloatArray) -> FloatArray:
    """Chains of nearest neighbours, each merge updated by the formula of Lance and Williams.

    ``squares`` holds squared heights and is overwritten. The linkage is reducible, so merging any two mutual
    nearest neighbours gives the tree that merging the nearest pair first would give.
    """
    count = len(weights)
    np.fill_diagonal(squares, np.inf)  # what has gone, and a row itself, stays infinitely far
    weights = np.maximum(weights, np.finfo(np.float64).tiny)  # 0 over 0 is 0
    merges = np.empty((count - 1, 3))
    alive = np.ones(count, dtype=bool)
    place = np.arange(count)
    chain: list[int] = []
    merged, part = np.empty((2, count))
    for step in range(count - 1):
        if _LARGE < len(alive) > 2 * (count - step):  # most have gone
            kept = np.flatnonzero(alive)
            chain = np.searchsorted(kept, chain).tolist()
            squares, weights, place = squares[np.ix_(kept, kept)], weights[kept], place[kept]
            alive, (merged, part) = alive[kept], np.empty((2, kept.size))
        if not chain:
            chain.append(int(alive.argmax()))
        while True:
            row = squares[chain[-1]]
            near = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] <= row[near]:
                break  # a tie goes back, else the chain would not end
            chain.append(near)
        b, a = chain.pop(), chain.pop()
        height, total = squares[a, b], weights[a] + weights[b]
        merges[step] = place[a], place[b], sqrt(height)
        np.multiply(np.add(weights, weights[a], out=merged), squares[a], out=merged)
        np.multiply(np.add(weights, weights[b], out=part), squares[b], out=part)
        merged += part
        merged -= np.multiply(weights, height, out=part)
        merged /= np.add(weights, total, out=part)
        alive[a] = False
        squares[b] = squares[:, b] = np.maximum(merged, height, out=merged)
        squares[:, a] = np.inf
        weights[b] = total
    return _as_tree(merges[np.argsort(merges[:, 2], kind="stable")])


def _as_tree(merges: FloatArray) -> FloatArray:
    """Number the groups as scipy does: the k-th merge makes group n + k.

    Of each merge the group of the first place goes to the second, where the merged group stays.
    """
    count = len(merges) + 1
    group, size = list(range(count)), [1] * (2 * count - 1)
    tree: list[tuple[int, int, int]] = []
    places = merges[:, :2].astype(np.int64).tolist()
    for new, (a, b) in enumerate(places, start=count):
        first, second = group[a], group[b]
        if second < first:
            first, second = second, first
        group[b] = new
        size[new] = members = size[first] + size[second]
        tree.append((first, second, members))
    return np.insert(np.array(tree, dtype=np.float64).reshape(-1, 3), 2, merges[:, 2], axis=1)
