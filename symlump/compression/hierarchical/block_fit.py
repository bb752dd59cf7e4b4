"""From a matrix and a tolerance to blocks whose total error is proven to keep within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import ceil, floor, hypot, inf, ldexp, log10, nextafter, prod, sqrt

import numpy as np

from symlump.compression.hierarchical.block_choice import (
    Factors,
    Leaf,
    Level,
    analyse,
    choose,
    in_stacks,
    svd,
)
from symlump.compression.hierarchical.cluster_tree import ClusterTree, Place, similarity_order
from symlump.network.precision import Precision
from symlump.network.saved.codings import multiply_out
from symlump.ode.exact import FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)
_TINY = -1074  # 2 to this power is the smallest float
_FAR = 2.0**200  # factors of what is near a matrix with entries below 1 are smaller
_LARGEST_TOL = 2.0  # beyond 1 nothing is asked; keeps the arithmetic from overflowing
_FLOOR = 1e-2  # decompositions are cut off at this share of the squared error a block may have


@dataclass(frozen=True, eq=False)
class Block:
    """One leaf of a hierarchical matrix.

    Parameters
    ----------
    place : tuple of int
        Level, row cluster and column cluster in the tree.
    rows, columns : slice
        Where it is.
    parts : tuple of ndarray
        One array: the dense block, shape (m, n). Two: its factors, shapes (m, r) and (r, n).
    error : float
        An upper bound of the Frobenius norm of what the block lacks.
    """

    place: Place
    rows: slice
    columns: slice
    parts: tuple[FloatArray, ...]
    error: float

    @property
    def rank(self) -> int | None:
        """Number of columns of the left factor, or None for a dense block."""
        return None if len(self.parts) == 1 else int(self.parts[1].shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return int(self.parts[0].shape[0]), int(self.parts[-1].shape[1])

    @property
    def storage(self) -> int:
        """Stored numbers."""
        return sum([part.size for part in self.parts])

    def to_dense(self) -> FloatArray:
        """The block, multiplied out."""
        return multiply_out(self.parts)


def round_blocks(blocks: Sequence[Block], precision: Precision) -> list[tuple[Block, float]]:
    """Blocks with their numbers rounded to a format, and for each a bound of what that moved it by."""
    parts = [[part.ravel() for part in block.parts] for block in blocks]
    held = np.concatenate([np.zeros(0), *chain.from_iterable(parts)])
    nearest = precision.nearest(held, "block")
    ends = np.cumsum([0, *(sum(map(len, own)) for own in parts)])
    moved = np.append(0, np.cumsum(nearest != held))[ends]
    found = [(block, 0.0) for block in blocks]
    changed: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for number in np.flatnonzero(moved[1:] != moved[:-1]).tolist():
        changed.setdefault(tuple(part.shape for part in blocks[number].parts), []).append(number)
    for shapes, some in changed.items():  # those of equal shape at once
        cuts = np.cumsum([prod(shape) for shape in shapes])[:-1]
        flat = [nearest[ends[number] : ends[number + 1]] for number in some]
        new = [
            part.reshape(-1, *shape)
            for part, shape in zip(np.split(np.stack(flat), cuts, axis=1), shapes, strict=True)
        ]
        old = [
            np.stack(part) for part in zip(*(blocks[number].parts for number in some), strict=True)
        ]
        if len(shapes) == 2:
            gaps = product_errors(multiply_out((old[0], old[1])), new[0], new[1])
        else:  # an exact difference, of which the norm is taken
            (m, n), count = shapes[0], len(some)
            none = np.zeros((count, m, 0)), np.zeros((count, 0, n))
            gaps = product_errors(old[0] - new[0], *none)
        for at, (number, gap) in enumerate(zip(some, gaps.tolist(), strict=True)):
            error = above(blocks[number].error + gap)
            parts_of = tuple(part[at] for part in new)
            found[number] = replace(blocks[number], parts=parts_of, error=error), gap
    return found


@dataclass(frozen=True, eq=False)
class Fit:
    """A matrix, decomposed block by block, ready to be cut at any tolerance of one decade.

    The work is done on the matrix times a power of two that brings its largest entry near 1, so that
    squares neither overflow nor underflow.

    Parameters
    ----------
    tree : ClusterTree
    matrix : ndarray, shape (m, n)
        In the order of the tree.
    exponent : int
        An even number; the largest absolute entry is in [2^(exponent − 2), 2^exponent).
    levels : tuple of Level
    row_order, column_order : ndarray of int, or None
        Row a of ``matrix`` is row ``row_order[a]`` of what was given; None leaves them as given.
    """

    tree: ClusterTree
    matrix: FloatArray
    exponent: int
    levels: tuple[Level, ...]
    row_order: IntArray | None = None
    column_order: IntArray | None = None

    @classmethod
    def of(cls, matrix: FloatArray, tol: float, leaf_size: int, order: str) -> Fit:
        """Decompose a matrix for tolerances of the decade of ``tol``, and larger ones."""
        tree = ClusterTree.bisect((matrix.shape[0], matrix.shape[1]), leaf_size)
        if order == "given":
            return cls.from_tree(tree, matrix, tol)
        rows, columns = similarity_order(matrix, leaf_size)
        fit = cls.from_tree(tree, matrix[np.ix_(rows, columns)], tol)
        return replace(fit, row_order=rows, column_order=columns)

    @classmethod
    def from_tree(
        cls, tree: ClusterTree, matrix: FloatArray, tol: float, blocks: Sequence[Block] = ()
    ) -> Fit:
        """Decompose a matrix that is in the order of a tree.

        Parameters
        ----------
        tree : ClusterTree
        matrix : ndarray, shape (m, n)
        tol : float
        blocks : sequence of Block
            Blocks that were near the matrix. Those of low rank that are still near enough, or can be at
            their rank, are kept as they are; everything else starts from the finest level.
        """
        tol = min(tol, _LARGEST_TOL)
        exponent = even_exponent(matrix)
        scaled = np.ldexp(matrix, -exponent)
        mean = float(np.mean(scaled**2))
        given: dict[Place, Factors] = {}
        error: dict[Place, float] = {}
        for block in blocks:
            with np.errstate(over="ignore"):  # blocks of a matrix very much larger
                factors = _scaled(block.parts, -exponent)
            entries = scaled[block.rows, block.columns]
            near = _near(entries, factors, tol**2 * mean * entries.size / 4)
            if near is not None:
                given[block.place], error[block.place] = near
        share = decade(tol) ** 2 * mean
        floor = share * _FLOOR / tree.depth
        levels = analyse(tree, given, partial(tree.stacked, scaled), share, floor, error)
        return cls(tree, matrix, exponent, levels)

    @property
    def norm(self) -> float:
        """The Frobenius norm of the matrix."""
        return frobenius(self.matrix)

    def blocks(self, tol: float) -> tuple[Block, ...]:
        """The blocks that store least within ``tol``."""
        tol, norm = min(tol, _LARGEST_TOL), self._norm(self.matrix)
        # Both norms are sums of m·n rounded squares; this much less is safe for any order of summation.
        allowed = tol * norm * (1 - 4 * (self.matrix.size + 10) * _EPS)
        aim = allowed**2
        for _ in range(12):
            if aim <= 0:
                break
            leaves = choose(self.tree, self.levels, aim, norm**2)
            self._decompose(leaves)
            blocks = self._cut(leaves)
            total = self._total(blocks)
            if total <= allowed:
                return tuple(blocks)
            aim *= min(0.99, (allowed / total) ** 2)
        # The tolerance is at the level of rounding: only exact blocks will do, dense or zero.
        return tuple(self._exact(leaf) for leaf in choose(self.tree, self.levels, 0.0, 1.0))

    def error(self, blocks: Sequence[Block]) -> float:
        """The proven bound of ‖W − Ŵ‖_F for some blocks."""
        return total_error([block.error for block in blocks])

    def _norm(self, matrix: FloatArray) -> float:
        """The norm in which the tolerance is meant, of a matrix over 2^exponent."""
        return float(_lengths(np.ldexp(matrix, -self.exponent)[None])[0])

    def _total(self, blocks: Sequence[Block]) -> float:
        """A bound of the error in that norm."""
        return float(np.ldexp(self.error(blocks), -self.exponent))

    def _dense(self, places: IntArray) -> FloatArray:
        """What is decomposed of blocks of one level and shape, in a stack."""
        return np.ldexp(self.tree.stacked(self.matrix, places), -self.exponent)

    def _decompose(self, leaves: Sequence[Leaf]) -> None:
        """Find the factors of low-rank blocks that have none yet, those of one level and shape in stacks."""
        wanted: list[list[Place]] = [[] for _ in self.levels]
        for leaf in leaves:
            level, i, j = leaf.place
            if leaf.rank is not None and (i, j) not in self.levels[level].factors:
                wanted[level].append(leaf.place)
        for level, places in enumerate(wanted):
            sizes = np.diff(self.tree.rows[level]), np.diff(self.tree.columns[level])
            rows = np.array(places, dtype=np.int64).reshape(-1, 3)
            for some, dense in in_stacks(rows, *sizes, self._dense):
                u, s, v = svd(dense)
                for number, (_, i, j) in enumerate(some.tolist()):
                    self.levels[level].factors[i, j] = u[number], s[number], v[number]

    def _factors(self, place: Place, rank: int) -> tuple[FloatArray, FloatArray]:
        """Balanced factors of a block over 2^exponent."""
        level, i, j = place
        u, s, v = self.levels[level].factors[i, j]
        root = np.sqrt(s[:rank])
        return u[:, :rank] * root, root[:, None] * v[:rank]

    def _cut(self, leaves: Sequence[Leaf]) -> list[Block]:
        """The blocks that leaves stand for; those of low rank, of one shape and rank, at once."""
        found: dict[int, Block] = {}
        alike: dict[tuple[int, int, int], list[int]] = {}
        for number, leaf in enumerate(leaves):
            rows, columns = self.tree.window(leaf.place)
            if leaf.rank is None:
                entries = self.matrix[rows, columns].copy()
                found[number] = Block(leaf.place, rows, columns, (entries,), 0.0)
            else:
                shape = rows.stop - rows.start, columns.stop - columns.start
                alike.setdefault((*shape, leaf.rank), []).append(number)
        for (_, _, rank), some in alike.items():
            places = [leaves[number].place for number in some]
            found |= zip(some, self._of_rank(places, rank), strict=True)
        return [found[number] for number in range(len(leaves))]

    def _of_rank(self, places: Sequence[Place], rank: int) -> list[Block]:
        """Some blocks of one shape as products of two factors."""
        windows = [self.tree.window(place) for place in places]
        entries = np.stack([self.matrix[window] for window in windows])
        pairs = zip(*(self._factors(place, rank) for place in places), strict=True)
        factors = [np.stack(part) for part in pairs]
        errors = product_errors(np.ldexp(entries, -self.exponent), *factors)
        left, right = _scaled(factors, self.exponent)
        hidden = self._vanished(left, right)
        found = []
        for at, (place, window) in enumerate(zip(places, windows, strict=True)):
            error = above(float(np.ldexp(errors[at], self.exponent)))
            if rank or entries[at].any():
                error = above(error + hidden[at])
            found.append(Block(place, *window, (left[at], right[at]), error))
        return found

    def _vanished(self, left: FloatArray, right: FloatArray) -> list[float]:
        """What floats below the smallest can hide from the errors of blocks, in the Frobenius norm.

        Scaling rounds an entry of the block by half of 2^(−1074), times 2^exponent once it is scaled back;
        an entry of a factor by half of 2^(−1074), which the other factor multiplies; and so much is
        lost at most in each of the products that an entry of :meth:`Block.to_dense` is summed from.
        """
        (m, rank), n = left.shape[1:], right.shape[2]
        spreads = sqrt(m) * _frobenius(right) + sqrt(n) * _frobenius(left)
        scaled = ceil(sqrt(m * n) + 1)
        beside = ldexp(above(float(scaled)), _TINY + max(self.exponent, 0))
        lost = [
            ceil(sqrt(rank) * (spread + 1) + sqrt(m * n) * (rank + 1))
            for spread in spreads.tolist()
        ]
        # Upwards to floats: whole numbers may be longer than the library's.
        return [ldexp(above(float(one)), _TINY) + beside for one in lost]

    def _exact(self, leaf: Leaf) -> Block:
        rows, columns = self.tree.window(leaf.place)
        entries = self.matrix[rows, columns]
        if leaf.rank is not None and not entries.any():
            parts = (np.zeros((entries.shape[0], 0)), np.zeros((0, entries.shape[1])))
            return Block(leaf.place, rows, columns, parts, 0.0)
        return Block(leaf.place, rows, columns, (entries.copy(),), 0.0)


def even_exponent(matrix: FloatArray) -> int:
    """The least even e with all entries below 2^e in absolute value; halves of it are exact powers too."""
    exponent = int(np.frexp(np.abs(matrix).max())[1])
    return exponent + exponent % 2


def above(bound: float) -> float:
    """A little more than a sum that was rounded; 0 stays 0."""
    return nextafter(nextafter(bound, inf), inf) if bound > 0 else 0.0


def total_error(errors: Sequence[float]) -> float:
    """A bound of the Frobenius norm of blocks side by side, from bounds of theirs."""
    return above(hypot(*errors) * (1 + (len(errors) + 4) * _EPS))


def frobenius(matrix: FloatArray) -> float:
    """The Frobenius norm, where no square overflows or vanishes."""
    return float(_frobenius(matrix[None])[0])


def _frobenius(stack: FloatArray) -> FloatArray:
    """The Frobenius norms of some matrices, where no square overflows or vanishes."""
    with np.errstate(over="ignore", under="ignore"):
        found = _lengths(stack)
    for at in np.flatnonzero(~((found > 1e-100) & (found < 1e100))).tolist():  # near where they do
        exponent = even_exponent(stack[at]) if stack[at].size else 0
        (length,) = _lengths(np.ldexp(stack[at], -exponent)[None])
        found[at] = np.ldexp(length, exponent)
    return found


def _lengths(stack: FloatArray) -> FloatArray:
    """The Frobenius norms of some matrices, from their squares."""
    flat = stack.reshape(len(stack), -1)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", flat, flat)))


def decade(tol: float) -> float:
    """The power of ten at or below a tolerance, so that a search for one decomposes once a decade.

    At most 0.1: coarser decompositions would store more at 1 than just below it.
    """
    return 0.0 if tol < 1e-15 else 10.0 ** floor(log10(min(tol, 0.1)))


def product_error(entries: FloatArray, left: FloatArray, right: FloatArray) -> float:
    """An upper bound of ‖A − L·R‖_F, for the exact product and for the computed one.

    With unit roundoff u, r the rank and γ = (r + 2)·u/(1 − (r + 2)·u), each computed entry of A − L·R is
    within γ·(|A| + |L|·|R|) of the exact one, in whatever order the products are summed, and
    ‖|L|·|R|‖_F ≤ ‖L‖_F·‖R‖_F. The factor below is four times that, for both products and for the rounding
    of the bound itself. Squares below the smallest float vanish; what that can hide is added too.

    References
    ----------
    Higham, "Accuracy and stability of numerical algorithms", doi:10.1137/1.9780898718027, §3.5.

    Examples
    --------
    >>> third = np.array([[1 / 3]])
    >>> product_error(third, third, np.array([[1.0]])) < 1e-14
    True
    """
    return float(product_errors(entries[None], left[None], right[None])[0])


def product_errors(entries: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """The bounds of :func:`product_error` of some matrices of one shape, and products of one rank."""
    rank, size = left.shape[2], entries[0].size
    vanished = sqrt(size) * 2.0**-537
    lengths = _lengths(entries)
    if rank == 0:
        bounds = lengths * (1 + (size + 4) * _EPS) + vanished
        return np.where(entries.any(axis=(1, 2)), bounds, 0.0)
    found = _lengths(entries - left @ right) * (1 + (size + 4) * _EPS)
    sizes = lengths + _lengths(left) * _lengths(right)
    return np.asarray(found + 2 * (rank + 2) * _EPS * sizes + vanished)


def product_rounding(left: FloatArray, right: FloatArray) -> float:
    """An upper bound of ‖fl(L·R) − L·R‖_F, see :func:`product_error`; with what underflow can hide.

    Examples
    --------
    >>> product_rounding(np.ones((1, 2)), np.ones((2, 1))) < 1e-14
    True
    """
    rank, size = left.shape[1], left.shape[0] * right.shape[1]
    found = 2 * (rank + 2) * _EPS * frobenius(left) * frobenius(right)
    return above(found + float(np.ldexp(float(ceil(rank * sqrt(size) + 1)), _TINY)))


def _scaled(parts: Sequence[FloatArray], exponent: int) -> tuple[FloatArray, ...]:
    """A dense block, or the product of two factors, times a power of two."""
    if len(parts) == 1:
        return (np.ldexp(parts[0], exponent),)
    half = exponent // 2
    return np.ldexp(parts[0], half), np.ldexp(parts[1], exponent - half)


def _near(
    entries: FloatArray, parts: Sequence[FloatArray], allowed: float
) -> tuple[Factors, float] | None:
    """Factors of the same rank within a squared error, and that error; None if there are none."""
    if len(parts) == 1:
        return None
    left, right = parts
    if max(np.abs(part).max(initial=0.0) for part in parts) > _FAR:
        return None
    error = product_error(entries, left, right) ** 2
    if error > allowed and right.shape[0] > 0:
        # One step of subspace iteration follows a small change of the block.
        left = np.linalg.qr(entries @ right.T)[0]
        right = left.T @ entries
        error = product_error(entries, left, right) ** 2
    if error > allowed:
        return None
    ql, rl = np.linalg.qr(left)
    qr, rr = np.linalg.qr(right.T)
    u, s, v = svd(rl @ rr.T)
    return (ql @ u, s, v @ qr.T), error
