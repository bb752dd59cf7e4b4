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
from math import inf, sqrt
from typing import Any

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage
from symlump.ode.exact import FloatArray, IntArray

#: What has gone of so many rows, or more, is let go as soon as it is half of them.
_LARGE = 128
#: The merges of fewer rows are found at once.
_PARTLY = 128
#: Rows of squares are so many numbers apart, so that a column is not in one set of the cache.
_APART = 8
#: Merges are found together while they are at least one in so many rows.
_MANY = 40
#: Merges are found up to so many times the height at which half of the groups have a neighbour.
_AHEAD = 1.15
#: And by this share further, so that rounding leaves out none.
_ROUNDING = 1e-9


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
    return [tree.whole for tree in trees_from(_square_distances(rows), weightings, linkage)]


class Tree:
    """The merges of rows in the order of their heights, found as far as they are asked for.

    Parameters
    ----------
    merges : ndarray, or Chains
        All merges, or what finds them.
    unit : float
        What their heights are divided by.

    Examples
    --------
    >>> tree = Tree(merge_tree(np.array([[5.0], [0.0], [1.0]]), np.ones(3), Linkage.VARIANCE))
    >>> [tree.left(eps) for eps in (0.0, 1.0, np.inf)], tree.cut(2).tolist(), tree.last(2)
    ([3, 2, 1], [0, 1, 1], 1.0)
    """

    def __init__(self, merges: FloatArray | Chains, unit: float = 1.0) -> None:
        self._merges, self._unit = merges, unit
        self.leaves = merges.leaves if isinstance(merges, Chains) else len(merges) + 1
        self._known, self._count = np.empty((0, 4)), -1
        self._cuts: dict[int, IntArray] = {}  # the last one, which is asked for again

    def divided(self, unit: float) -> Tree:
        """The same merges with heights in another unit."""
        return Tree(self._merges, self._unit * unit)

    @property
    def whole(self) -> FloatArray:
        """All merges, as ``scipy.cluster.hierarchy`` writes them."""
        merges = self._until(inf)
        return _as_tree(merges, self.leaves) if isinstance(self._merges, Chains) else merges

    def heights(self, most: float) -> FloatArray:
        """Those of at most so much."""
        heights = self._until(most)[:, 2]
        return heights[: int(np.searchsorted(heights, most, side="right"))]

    def left(self, eps: float) -> int:
        """How many groups are left after all merges of at most such a height."""
        return 1 if eps == inf else self.leaves - self.heights(eps).size

    def last(self, left: int) -> float:
        """The height of the merge that leaves so many groups."""
        return float(self._to(left)[self.leaves - left - 1, 2])

    def cut(self, left: int) -> IntArray:
        """Group numbers, by first appearance, where so many groups are left."""
        if left not in self._cuts:
            self._cuts = {left: _after(self._to(left), self.leaves, self.leaves - left)}
        return self._cuts[left]

    def further(self, than: float) -> float:
        """A height above another up to which little is left to be found."""
        if not isinstance(self._merges, Chains):
            return inf
        known = self._merges.known / self._unit
        return known if known > than * (1 + 2 * _ROUNDING) else self._merges.ahead() / self._unit

    def _to(self, left: int) -> FloatArray:
        known = self._until(0.0)
        return known if len(known) >= self.leaves - left else self._until(inf)

    def _until(self, height: float) -> FloatArray:
        """All merges of at most a height, or more, in their order: two groups, and the height."""
        chains = self._merges
        if not isinstance(chains, Chains):
            if self._count < 0:
                self._known, self._count = self._divided(chains), len(chains)
            return self._known
        if height * self._unit > chains.known:
            chains.find(height * self._unit * (1 + _ROUNDING))
        if self._count != chains.count:
            self._known, self._count = self._divided(chains.tree()), chains.count
        return self._known

    def _divided(self, merges: FloatArray) -> FloatArray:
        if self._unit == 1.0:
            return merges
        merges = merges.copy()
        merges[:, 2] /= self._unit
        return merges


def trees_from(
    squares: FloatArray, weightings: Sequence[FloatArray], linkage: Linkage
) -> list[Tree]:
    """The trees with several weights from all ‖x_i − x_j‖²."""
    if len(squares) < 2:
        return [Tree(np.empty((0, 4)))] * len(weightings)
    return [_tree(squares, weights, linkage) for weights in weightings]


def _tree(squares: FloatArray, weights: FloatArray, linkage: Linkage) -> Tree:
    """The tree of rows from their distances."""
    name = {Linkage.CLOSURE: "single", Linkage.DIAMETER: "complete"}.get(linkage, "ward")
    if (weights == weights[0]).all():
        heights = squareform(squares, checks=False) * weights[0]
    else:
        halves = 0.5 / np.maximum(weights, np.finfo(np.float64).tiny)  # 0 over 0 is 0
        pairs = np.empty((len(halves), len(halves) + _APART))[:, : len(halves)]
        squares = np.divide(squares, _sums(halves, halves), out=pairs)
        if name == "ward":
            return Tree(Chains(squares, weights.astype(np.float64)))
        heights = squareform(squares, checks=False)
    return Tree(np.asarray(hierarchy.linkage(np.sqrt(heights, out=heights), name)))


def cut(tree: FloatArray, eps: float) -> IntArray:
    """Group numbers, by first appearance, after all merges of height at most ``eps``.

    Examples
    --------
    >>> cut(merge_tree(np.array([[5.0], [0.0], [1.0]]), np.ones(3), Linkage.VARIANCE), 2.0).tolist()
    [0, 1, 1]
    """
    merges = int(np.searchsorted(tree[:, 2], eps, side="right"))
    return _after(tree, len(tree) + 1, merges)


def cut_to(tree: FloatArray, count: int) -> IntArray:
    """Group numbers, by first appearance, after as many merges as leave so many groups.

    Examples
    --------
    >>> int(cut_to(merge_tree(np.zeros((3, 1)), np.ones(3), Linkage.VARIANCE), 2).max())
    1
    """
    return Tree(tree).cut(count)


def _after(tree: FloatArray, leaves: int, merges: int) -> IntArray:
    """Group numbers, by first appearance, after so many merges."""
    pairs = tree[:merges, :2].astype(np.int64)
    if tree.shape[1] == 3:  # by place
        top = np.arange(leaves)
        top[pairs[:, 0]] = pairs[:, 1]
    else:
        top = np.arange(leaves + merges)
        top[pairs] = np.arange(leaves, top.size)[:, None]
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
    squares, norms = products * -2.0, np.diag(products)
    both = _sums(norms, norms)
    squares += both
    np.maximum(squares, 0.0, out=squares)
    both *= near
    i, j = np.divmod(np.flatnonzero(squares < both), len(products))
    i, j = i[i < j], j[i < j]
    _sums(means, -means, out=both)
    both *= both
    squares += both
    for start in range(0, i.size, 1024):
        a, b = i[start : start + 1024], j[start : start + 1024]
        gap = gaps(a, b)
        squares[a, b] = squares[b, a] = np.einsum("ij,ij->i", gap, gap, dtype=np.float64) / count
    np.fill_diagonal(squares, 0.0)
    return np.asarray(squares)


def _sums(first: FloatArray, second: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """The sums of all pairs, as a product of matrices: that takes a fraction of the time."""
    one = np.ones(len(first))
    return np.matmul(np.column_stack([first, one]), np.stack([one, second]), out=out)


def _least(rows: FloatArray) -> tuple[IntArray, FloatArray]:
    """Where the least of each row is, and what: so it is found in a fraction of the time."""
    at = rows.argmin(axis=1)
    return at, rows[np.arange(len(rows)), at]


class Chains:
    """Chains of nearest neighbours, each merge updated by the formula of Lance and Williams.

    The linkage is reducible: merging any two mutual nearest neighbours gives the tree that merging the nearest
    pair first would give, and a group without a neighbour within some height never gets one.

    Parameters
    ----------
    squares : ndarray, shape (leaves, leaves)
        Squared heights; overwritten.
    weights : ndarray, shape (leaves,)
    """

    def __init__(self, squares: FloatArray, weights: FloatArray) -> None:
        self.leaves, self.count = len(weights), 0
        #: Up to which height all merges are found.
        self.known = -1.0
        np.fill_diagonal(squares, np.inf)  # what has gone, and a row itself, stays infinitely far
        self._squares = squares
        self._weights = np.maximum(weights, np.finfo(np.float64).tiny)  # 0 over 0 is 0
        self._place, self._alive = np.arange(self.leaves), np.ones(self.leaves, dtype=bool)
        self._merges = np.empty((self.leaves - 1, 3))

    def ahead(self) -> float:
        """A height within which at least half of the groups have a neighbour."""
        if self.count == self.leaves - 1:
            return inf
        near = _least(self._squares)[1][self._alive]
        return _AHEAD * sqrt(float(np.partition(near, near.size // 2)[near.size // 2]))

    def tree(self) -> FloatArray:
        """The merges so far, in the order of their heights; those that are found later are higher.

        Of each the group of the first place goes to the second, where the merged group stays.
        """
        merges = self._merges[: self.count]
        return merges[np.argsort(merges[:, 2], kind="stable")]

    def find(self, height: float) -> None:
        """Find all merges of at most a height."""
        most = height * height if self.leaves >= _PARTLY else inf
        squares, weights, place, alive = self._squares, self._weights, self._place, self._alive
        waits = alive & (self._find_at_once(most) <= most)  # may merge
        chain: list[int] = []
        while self.count < self.leaves - 1:
            if _LARGE < len(alive) > 2 * (self.leaves - self.count):  # most have gone
                kept = np.flatnonzero(alive)
                chain = np.searchsorted(kept, chain).tolist()
                squares, weights, place = squares[np.ix_(kept, kept)], weights[kept], place[kept]
                alive, waits = alive[kept], waits[kept]
            if not chain:
                first = int(waits.argmax())
                if not waits[first]:
                    break
                chain.append(first)
            while True:
                row = squares[chain[-1]]
                near = int(row.argmin())
                nearest = row[near]
                if nearest > most or (len(chain) > 1 and row[chain[-2]] <= nearest):
                    break  # a tie goes back, else the chain would not end
                chain.append(near)
            if nearest > most:  # and so are those of all before
                waits[chain] = False
                chain.clear()
                continue
            b, a = chain.pop(), chain.pop()
            height, total = squares[a, b], weights[a] + weights[b]
            self._merges[self.count] = place[a], place[b], sqrt(height)
            self.count += 1
            alive[a] = waits[a] = False
            waits[b] = True
            merged = _joined(squares[a], squares[b], weights[a], weights[b], height, weights)
            squares[b] = squares[:, b] = merged
            squares[:, a] = np.inf
            weights[b] = total
        self._squares, self._weights, self._place, self._alive = squares, weights, place, alive
        self.known = sqrt(most)

    def _find_at_once(self, most: float) -> FloatArray:
        """Merge mutual nearest neighbours together, as long as these are many; each row's least square."""
        squares, weights, own = self._squares, self._weights, np.arange(len(self._weights))
        near, least = _least(squares)
        while True:
            a = np.flatnonzero((near[near] == own) & (own < near) & (least <= most))
            if _MANY * a.size < own.size:
                return least
            b, heights = near[a], least[a, None]
            first, second = weights[a, None], weights[b, None]
            merged = _joined(squares[a], squares[b], first, second, heights, weights)
            weights[b] += weights[a]
            both = _joined(merged.T[a], merged.T[b], first, second, heights, weights[b])
            merged[:, b] = np.minimum(both, both.T)  # of equal numbers up to rounding
            squares[b], squares[:, b] = merged, merged.T
            squares[a] = squares[:, a] = np.inf
            self._alive[a] = False
            new = self._merges[self.count : self.count + a.size]
            new[:, 0], new[:, 1], new[:, 2] = self._place[a], self._place[b], np.sqrt(least[a])
            self.count += a.size
            other = np.zeros(own.size, dtype=bool)
            other[a] = other[b] = True
            lost = np.flatnonzero(other[near])
            near[lost], least[lost] = _least(squares[lost])


def _joined(
    first: FloatArray,
    second: FloatArray,
    weight: Any,
    other: Any,
    height: Any,
    weights: FloatArray,
) -> FloatArray:
    """The squares of merged groups with others of some weights: Lance, Williams, doi:10.1093/comjnl/9.4.373."""
    merged = (weights + weight) * first
    part = weights + other
    part *= second
    merged += part
    merged -= np.multiply(weights, height, out=part)
    merged /= np.add(weights, weight + other, out=part)
    # No nearer than the nearer one: what rounding takes off would put a merge before those of its groups.
    return np.asarray(np.maximum(merged, np.minimum(first, second, out=part), out=merged))


def _as_tree(merges: FloatArray, count: int) -> FloatArray:
    """Number the groups as scipy does: of n rows the k-th merge makes group n + k."""
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
