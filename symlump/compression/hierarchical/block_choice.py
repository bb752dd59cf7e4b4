"""Which blocks of a matrix become low rank, which stay dense, which are split.

For every block of a :class:`ClusterTree` the singular values are known, up to a floor far below the
tolerance; vectors are computed for what is chosen, and where they make the values of larger blocks quick.
Storing numbers costs 1 each, squared error costs 1/t. The cheapest choice for a block is then the cheapest
of three, from the leaves up:

    low rank:  min_r  r·(m + n) + Σ_{k>r} σ_k² / t   (keep σ_k² > t·(m + n))
    dense:     m·n
    split:     the sum over its children

and the largest t whose total error fits the budget is found by bisection. So an error that one block
does not need is spent where it saves most, over the whole matrix.

References
----------
Chou, Lookabaugh, Gray, "Optimal pruning with applications to tree-structured source coding and
modeling", doi:10.1109/18.32124 (the choice); Grasedyck, Hackbusch, "Construction and arithmetics of
H-matrices", doi:10.1007/s00607-003-0019-1, and Grasedyck, "Adaptive recompression of H-matrices for BEM",
doi:10.1007/s00607-004-0103-1 (joining the factors of children).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from symlump.compression.hierarchical.cluster_tree import ClusterTree, Place
from symlump.ode.exact import FloatArray, IntArray

#: U, σ, V with U·diag(σ)·V near the block, orthonormal columns of U and rows of V.
Factors: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_STACK = 2**22  # numbers in one stack of blocks: 32 MB
_SMALL = 64  # of the blocks up to this side, those of low rank are decomposed with vectors
#: How often the interval of prices is halved at once: 18 times in all.
_HALVINGS = (3,) * 6
_SHARE_OF_LIMIT = 1e-2  # of what is cut off: what squaring may round


@dataclass(frozen=True, eq=False)
class Level:
    """What is known of the blocks of one level, as arrays over its grid.

    Parameters
    ----------
    sides : ndarray of int, shape (I, J)
        m + n, what one rank costs.
    areas : ndarray of int, shape (I, J)
        m·n, what the dense block costs.
    exists : ndarray of bool, shape (I, J)
        False below the leaves that were given.
    sigma2 : ndarray, shape (I, J, K)
        Squared singular values, 0 beyond the rank.
    tails : ndarray, shape (I, J, K + 1)
        Squared error at each rank; infinite where no decomposition was worth its time.
    factors : dict
        Decompositions by (i, j), of some blocks of low rank.
    """

    sides: IntArray
    areas: IntArray
    exists: BoolArray
    sigma2: FloatArray
    tails: FloatArray
    factors: dict[tuple[int, int], Factors]

    @cached_property
    def by_number(self) -> FloatArray:
        """The squared singular values, those of one number side by side."""
        return np.ascontiguousarray(np.moveaxis(self.sigma2, -1, 0))

    @cached_property
    def begins(self) -> IntArray:
        """Where the errors of each block begin among those of all."""
        found = np.arange(self.areas.size) * self.tails.shape[2]
        return np.asarray(found.reshape(self.areas.shape))


@dataclass(frozen=True)
class Leaf:
    """One chosen block: its place, and its rank, or None if it stays dense."""

    place: Place
    rank: int | None


def analyse(
    tree: ClusterTree,
    given: Mapping[Place, Factors],
    dense: Callable[[IntArray], FloatArray],
    share: float,
    floor: float,
    error: Mapping[Place, float] | None = None,
    join: bool = True,
) -> tuple[Level, ...]:
    """Find the singular values of the blocks of a matrix from the leaves up.

    Those of a block follow from the factors of its children, at O((m + n)·r²), where these have low
    rank; else from its entries, without vectors. It is left out where already its largest child needs a
    rank that costs more than the split block does: a submatrix has no larger rank than the whole, so the
    block cannot be better.

    Parameters
    ----------
    tree : ClusterTree
    given : mapping
        Blocks whose factors are known; none inside another. The rest of the matrix starts at the finest level.
    dense : callable
        The entries of some blocks of one level and of equal shape, as a stack, from their places, a row each.
    share : float
        Squared error a block may have per entry, if all had the same.
    floor : float
        Squared error per entry at which decompositions are cut off; far less than ``share``.
    error : mapping, optional
        Squared error that the given factors have already.
    join : bool
        False decomposes every block anew, where ``dense`` gives blocks that are not parts of one matrix.
    """
    at: list[list[Place]] = [[] for _ in range(tree.depth)]
    starts = np.ones((tree.rows[-1].size - 1, tree.columns[-1].size - 1), dtype=bool)
    for place in given:
        at[place[0]].append(place)
        starts[tree.finest(place)] = False
    levels: list[Level] = []
    cost: FloatArray = np.zeros((0, 0))  # of the level below, if every entry has the same share
    need: IntArray = np.zeros((0, 0), dtype=np.int64)  # a lower bound of the rank at that share
    for level in reversed(range(tree.depth)):
        heights, widths = np.diff(tree.rows[level]), np.diff(tree.columns[level])
        areas, sides = np.outer(heights, widths), np.add.outer(heights, widths)
        exists = np.zeros(areas.shape, dtype=bool)
        rest = np.full(areas.shape, np.inf)  # squared error of the factors, as far as it is known
        needed = np.zeros(areas.shape, dtype=np.int64)
        split = np.full(areas.shape, np.inf)
        factors: dict[tuple[int, int], Factors] = {}
        raw = np.zeros_like(exists) if levels else starts  # which are decomposed
        exists |= raw
        for place in at[level]:
            exists[place[1:]] = True
            factors[place[1:]] = given[place]
            rest[place[1:]] = 0.0 if error is None else error[place]
        if levels:
            cut = tree.split(level)
            below = levels[-1]
            split = _over_children(np.add, cost, cut)
            needed = _over_children(np.maximum, need, cut)
            exists |= _over_children(np.logical_and, below.exists, cut)
            worth = exists & ((needed * sides <= split) | (not join)) & np.isfinite(split)
            unseen = _over_children(np.add, below.tails[..., -1], cut)
            known = np.zeros(below.areas.shape, dtype=bool)
            for i, j in below.factors:
                known[i, j] = True
            known = _over_children(np.logical_and, known, cut) & join
            for i, j in np.argwhere(worth & known).tolist():
                parts = [
                    [below.factors[cut[0] * i + a, cut[1] * j + b] for b in range(cut[1])]
                    for a in range(cut[0])
                ]
                joined = _join(parts, int(areas[i, j]))
                if joined is None:
                    known[i, j] = False
                else:
                    factors[i, j], rest[i, j] = joined, unseen[i, j]
            raw = worth & ~known
        rest[raw] = 0.0
        for (i, j), factor in factors.items():
            factors[i, j], dropped = _cut_off(factor, floor * areas[i, j])
            rest[i, j] += dropped
        most = max([s.size for _, s, _ in factors.values()], default=0)
        sigma2 = np.zeros(
            (*areas.shape, max(most, min(heights.max(), widths.max()) if raw.any() else 0))
        )
        for (i, j), (_, s, _) in factors.items():
            sigma2[i, j, : s.size] = s * s
        down, across = np.nonzero(raw)
        wanted = np.stack([np.full(down.size, level), down, across], axis=1)
        for alike, blocks in in_stacks(wanted, heights, widths, dense):
            _, i, j = alike.T
            squares, rest[i, j], more = _values(blocks, floor * areas[i, j], join)
            sigma2[i, j, : squares.shape[1]] = squares
            factors |= {(int(i[k]), int(j[k])): factor for k, factor in more.items()}
        sigma2 = sigma2[..., : int(np.count_nonzero(sigma2.any(axis=(0, 1))))]
        tails = _tails(sigma2)
        tails += rest[..., None]
        levels.append(Level(sides, areas, exists, sigma2, tails, factors))
        rank = (tails > share * areas[..., None]).sum(axis=2)
        known = rank < tails.shape[2]
        need = np.where(known, rank, needed)
        low = np.where(known, rank * sides, areas)
        cost = np.where(exists, np.minimum(np.minimum(low, areas), split), np.inf)
    return tuple(reversed(levels))


def choose(tree: ClusterTree, levels: Sequence[Level], budget: float, norm2: float) -> list[Leaf]:
    """The leaves that store least within a squared error, see the module's text.

    Never more than the dense matrix: its price at any t is m·n.

    Parameters
    ----------
    tree : ClusterTree
    levels : sequence of Level
        From :func:`analyse`.
    budget : float
        Squared error of the whole matrix that may be spent.
    norm2 : float
        Squared norm of the matrix, for the scale of t.
    """
    best, at = None, 0
    # At low nothing is dearer than dense, so no error is above the budget: that of each entry is at most t.
    high = float(np.log(norm2)) + 1.0
    low = max(float(np.log(max(budget, 1e-300) / levels[0].areas.sum())) - 1e-9, high - 81.0)
    for halvings in _HALVINGS:  # to about 1e-4 of t; the rest is spent on single values below
        # All middles that halving so often may ask for, at once; those of the lower and the upper half of the
        # k-th are the (2k + 1)-th and the (2k + 2)-th.
        ends = [(low, high)]
        for low, high in ends:
            if len(ends) + 2 > 2 ** (halvings + 1):
                break
            middle = (low + high) / 2
            ends += [(low, middle), (middle, high)]
        middles = [(low + high) / 2 for low, high in ends[: 2**halvings - 1]]
        priced = _Priced.of(tree, levels, np.exp(middles))
        place = 0
        while place < len(middles):
            accepted = priced.error[place] <= budget
            if accepted:
                best, at = priced, place
            place = 2 * place + (2 if accepted else 1)
        low, high = ends[place]
    if best is None:
        best = _Priced.of(tree, levels, np.zeros(1))
    return _spend(levels, best.leaves(at), budget - float(best.error[at]))


@dataclass(frozen=True, eq=False)
class _Priced:
    """The cheapest choices at some prices: per level, what is split, and its rank (−1: dense)."""

    tree: ClusterTree
    split: tuple[BoolArray, ...]
    rank: tuple[IntArray, ...]
    error: FloatArray

    def leaves(self, at: int) -> list[Leaf]:
        """One choice as a list."""
        found: list[Leaf] = []
        active: BoolArray = np.ones((1, 1), dtype=bool)
        for number, (splits, ranks) in enumerate(zip(self.split, self.rank, strict=True)):
            split, rank = splits[at], ranks[at]
            i, j = np.nonzero(active & ~split)
            places = zip(i.tolist(), j.tolist(), rank[i, j].tolist(), strict=True)
            found += [Leaf((number, a, b), None if r < 0 else r) for a, b, r in places]
            if number + 1 < len(self.split):
                down, across = self.tree.split(number)
                active = np.repeat(np.repeat(active & split, down, axis=0), across, axis=1)
        return found

    @classmethod
    def of(cls, tree: ClusterTree, levels: Sequence[Level], prices: FloatArray) -> _Priced:
        """The leaves of least storage + error/price; at price 0 no error at all."""
        splits: list[BoolArray] = []
        ranks: list[IntArray] = []
        cost: FloatArray = np.empty(0)
        spent: FloatArray = np.empty(0)  # the error of the cheapest choice for each block
        price = prices[:, None, None]
        free = prices.min() <= 0
        for number, level in reversed(list(enumerate(levels))):
            kept = level.by_number[:, None] > price * level.sides
            counts = np.uint16 if len(kept) < 1 << 16 else np.int64  # a narrow sum takes less
            rank = np.add.reduce(kept.view(np.uint8), axis=0, dtype=counts).astype(np.int64)
            error = np.take(level.tails, level.begins + rank)
            with np.errstate(divide="ignore", over="ignore"):
                where = error > 0 if free else True
                charge = np.divide(error, price, out=np.zeros_like(error), where=where)
            charge += rank * level.sides
            dense = charge > level.areas
            ranks.append(np.where(dense, -1, rank))
            error[dense] = 0.0
            own = np.minimum(charge, level.areas, out=charge)
            if not level.exists.all():
                own[:, ~level.exists] = np.inf
            if splits:
                cut = tree.split(number)
                cost, spent = (_over_children(np.add, below, cut) for below in (cost, spent))
                splits.append(cost < own)
                cost = np.minimum(own, cost)
                spent = np.where(splits[-1], spent, error)
            else:
                splits.append(np.zeros(own.shape, dtype=bool))
                cost, spent = own, error
        return cls(tree, tuple(splits[::-1]), tuple(ranks[::-1]), spent[:, 0, 0])


def _spend(levels: Sequence[Level], leaves: list[Leaf], left: float) -> list[Leaf]:
    """Spend what is left of the budget on singular values of least σ² per number saved."""
    owner, value, kept = [], [], []
    for number, leaf in enumerate(leaves):
        if leaf.rank:
            level, i, j = leaf.place
            sigma2 = levels[level].sigma2[i, j, : leaf.rank][::-1]
            owner.append(np.full(sigma2.size, number))
            value.append(sigma2)
            kept.append(sigma2 / levels[level].sides[i, j])
    if not owner or left <= 0:
        return leaves
    owners, values = np.concatenate(owner), np.concatenate(value)
    order = np.argsort(np.concatenate(kept), kind="stable")
    fits = int(np.searchsorted(np.cumsum(values[order]), left, side="right"))
    dropped = np.bincount(owners[order[:fits]], minlength=len(leaves))
    return [
        leaf if not drop or leaf.rank is None else Leaf(leaf.place, leaf.rank - int(drop))
        for leaf, drop in zip(leaves, dropped, strict=True)
    ]


def _over_children(operation: np.ufunc, values: npt.NDArray[Any], cut: tuple[int, int]) -> Any:
    """Reduce an array over the children of each parent, of which there are one or two along each axis."""
    if cut[0] == 2:
        values = operation(values[..., ::2, :], values[..., 1::2, :])
    return operation(values[..., ::2], values[..., 1::2]) if cut[1] == 2 else values


def _join(parts: Sequence[Sequence[Factors]], area: int) -> Factors | None:
    """Factors of a block from those of its children, or None if they are too many to be quick."""
    if sum(s.size for row in parts for _, s, _ in row) ** 2 > 4 * area:
        return None
    rows = [reduce(_beside, row) for row in parts]
    flipped = [(v.T, s, u.T) for u, s, v in rows]
    u, s, v = reduce(_beside, flipped)
    return v.T, s, u.T


def _beside(a: Factors, b: Factors) -> Factors:
    """[A B] from the factors of A and B."""
    (u1, s1, v1), (u2, s2, v2) = a, b
    q, r = np.linalg.qr(np.hstack([u1 * s1, u2 * s2]))
    u, s, v = svd(r)
    left, right = v[:, : s1.size] @ v1, v[:, s1.size :] @ v2
    return q @ u, s, np.hstack([left, right])


def in_stacks(
    places: IntArray,
    heights: IntArray,
    widths: IntArray,
    dense: Callable[[IntArray], FloatArray],
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Dense blocks of one level, whose places are rows, in stacks of equal shape."""
    tall, broad = heights[places[:, 1]], widths[places[:, 2]]
    shape = tall * (int(widths.max()) + 1) + broad
    for one in np.unique(shape).tolist():
        alike = places[shape == one]
        high, wide = int(heights[alike[0, 1]]), int(widths[alike[0, 2]])
        step = max(1, _STACK // (high * wide))
        for start in range(0, len(alike), step):
            batch = alike[start : start + step]
            yield batch, dense(batch)


def _values(
    blocks: FloatArray, limit: FloatArray, vectors: bool
) -> tuple[FloatArray, FloatArray, dict[int, Factors]]:
    """Of a stack the squared singular values, 0 where they are cut off; what that drops; factors of some.

    With ``vectors`` these are the small blocks of low rank.
    """
    squares = _squares(blocks, limit)
    tails = _tails(squares)
    keep = tails[:, :-1] > limit[:, None]
    rank = keep.sum(axis=1)
    found: dict[int, Factors] = {}
    low = np.flatnonzero(2 * rank <= squares.shape[1])
    if vectors and low.size and squares.shape[1] <= _SMALL:
        u, s, v = svd(blocks[low])
        for at, (number, r) in enumerate(zip(low.tolist(), rank[low].tolist(), strict=True)):
            found[number] = u[at, :, :r].copy(), s[at, :r].copy(), v[at, :r].copy()
    return np.where(keep, squares, 0.0), tails[np.arange(rank.size), rank], found


def _squares(blocks: FloatArray, limit: FloatArray) -> FloatArray:
    """Squared singular values of a stack, largest first.

    They are the eigenvalues of B·Bᵀ, computed up to a rounding of its norm, which must be far below the
    limit of what is cut off; else they are found without squaring.
    """
    flat = blocks if blocks.shape[1] <= blocks.shape[2] else blocks.swapaxes(1, 2)
    rows = torch.from_numpy(flat)
    gram = torch.bmm(rows, rows.mT)
    rounding = 4 * max(blocks.shape[1:]) * np.finfo(np.float64).eps
    sizes = np.einsum("kij,kij->k", flat, flat)
    exact = rounding * sizes > _SHARE_OF_LIMIT * limit
    squares = np.empty(flat.shape[:2])
    if not exact.all():
        some = gram[torch.from_numpy(~exact)] if exact.any() else gram
        found = torch.linalg.eigvalsh(some).numpy()[:, ::-1]  # in less time than numpy takes
        squares[~exact] = np.maximum(found, 0.0)
    if exact.any():
        squares[exact] = svd(blocks[exact])[1] ** 2
    return squares


def _tails(squares: FloatArray) -> FloatArray:
    """Along the last axis, what is left of the sum from each rank on; 0 at the end."""
    tails = np.zeros((*squares.shape[:-1], squares.shape[-1] + 1))
    tails[..., :-1] = np.cumsum(squares[..., ::-1], axis=-1)[..., ::-1]
    return tails


def svd(matrix: FloatArray) -> Factors:
    """Thin singular value decomposition, of one matrix or of a stack."""
    try:
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        # The divide-and-conquer routine very rarely does not converge; the older one does.
        from scipy.linalg import svd as slow

        if matrix.ndim == 2:
            u, s, v = slow(matrix, full_matrices=False, lapack_driver="gesvd")
        else:
            parts = [svd(one) for one in matrix]
            u, s, v = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return u, s, v


def _cut_off(factor: Factors, floor: float) -> tuple[Factors, float]:
    """Drop the singular values whose squares sum to at most the floor."""
    u, s, v = factor
    tails = _tails(s * s)
    rank = int((tails > floor).sum())
    if rank == s.size:
        return factor, 0.0
    return (u[:, :rank].copy(), s[:rank].copy(), v[:rank].copy()), float(tails[rank])
