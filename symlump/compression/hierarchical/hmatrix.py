"""Hierarchical matrices: low rank block by block, with a guaranteed total error.

References
----------
Hackbusch, "A sparse matrix arithmetic based on H-matrices", doi:10.1007/s006070050015; Mango, Katende,
arXiv:2409.07028 (for the weights of physics-informed networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from symlump.compression.hierarchical.block_fit import (
    Block,
    Fit,
    above,
    frobenius,
    product_rounding,
    round_blocks,
    total_error,
)
from symlump.compression.hierarchical.cluster_tree import ClusterTree
from symlump.compression.hierarchical.matrix_checks import (
    as_matrix,
    check_leaf_size,
    check_order,
    check_tol,
)
from symlump.errors import MethodError
from symlump.network.precision import Precision
from symlump.network.saved.codings import BlockWeight
from symlump.ode.exact import FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, repr=False)
class HMatrix:
    """A matrix whose blocks are dense or of low rank, with a bound on its distance to the original.

    ‖W − Ŵ‖_F ≤ tol·‖W‖_F holds for every W: each block's error is measured after its factors are
    rounded, a bound on the rounding of that measurement is added, and the squares are summed. It holds for
    the exact product of the stored factors and for the floats that :meth:`to_dense` gives. The stored
    numbers never exceed those of W.

    Made by :meth:`from_dense`.

    Parameters
    ----------
    tree : ClusterTree
    blocks : tuple of Block
        They tile the (reordered) matrix.
    norm : float
        ‖W‖_F.
    error : float
        The proven bound of ‖W − Ŵ‖_F.
    row_order, column_order : ndarray of int, or None
        Row a of the tiling is row ``row_order[a]`` of the matrix; None leaves them as given.

    Examples
    --------
    >>> x = np.linspace(0, 1, 128)
    >>> w = 1 / (np.abs(x[:, None] - x) + 0.01)
    >>> h = HMatrix.from_dense(w, tol=1e-3)
    >>> bool(np.linalg.norm(w - h.to_dense()) <= 1e-3 * np.linalg.norm(w))
    True
    >>> h
    <HMatrix 128 × 128: 22 blocks (8 dense), ranks 3 … 4, 4608 of 16384 numbers, error ≤ 0.000931>
    """

    tree: ClusterTree
    blocks: tuple[Block, ...]
    norm: float
    error: float
    row_order: IntArray | None = None
    column_order: IntArray | None = None

    __array_ufunc__: ClassVar[None] = None  # lets ``array @ hmatrix`` come here

    @classmethod
    def from_dense(
        cls, matrix: npt.ArrayLike, tol: float, leaf_size: int = 16, order: str = "given"
    ) -> HMatrix:
        """Compress a matrix within a relative error.

        Parameters
        ----------
        matrix : array_like, shape (m, n)
        tol : float
            Bound of ‖W − Ŵ‖_F / ‖W‖_F, ≥ 0. At 0, and below about 1e-14, blocks are dense or zero.
        leaf_size : int
            Clusters of more rows or columns are halved.
        order : {"given", "similarity"}
            Cut rows and columns as they stand, or in an order in which similar ones are neighbours; the
            two permutations are then stored, and counted.

        Returns
        -------
        HMatrix

        Raises
        ------
        MethodError
            If the matrix is empty or not finite, or an option is out of range.

        Examples
        --------
        >>> HMatrix.from_dense(np.ones((64, 64)), 1e-6).storage
        128
        """
        check_tol(tol)
        check_leaf_size(leaf_size)
        check_order(order)
        return cls.from_fit(Fit.of(as_matrix(matrix), tol, leaf_size, order), tol)

    @classmethod
    def from_fit(cls, fit: Fit, tol: float) -> HMatrix:
        """Cut a decomposed matrix at a tolerance; where permutations cost too much, it stays dense.

        Parameters
        ----------
        fit : Fit
            The singular values of every block that may be cut.
        tol : float
            The relative error, 0 or larger.

        Returns
        -------
        HMatrix

        Examples
        --------
        >>> HMatrix.from_fit(Fit.of(np.ones((64, 64)), 1e-6, 16, "given"), 1e-6).storage
        128
        """
        blocks = fit.blocks(tol)
        orders = fit.row_order, fit.column_order
        found = cls(fit.tree, blocks, fit.norm, fit.error(blocks), *orders)
        m, n = found.shape
        if found.storage <= m * n:
            return found
        dense = np.empty((m, n))
        dense[np.ix_(*found._orders())] = fit.matrix
        whole = Block((0, 0, 0), slice(0, m), slice(0, n), (dense,), 0.0)
        return cls(fit.tree, (whole,), fit.norm, 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return int(self.tree.rows[0][-1]), int(self.tree.columns[0][-1])

    @cached_property
    def storage(self) -> int:
        """Stored numbers: the entries of all blocks, and of the permutations where there are some."""
        orders = sum(o.size for o in (self.row_order, self.column_order) if o is not None)
        return sum([part.size for block in self.blocks for part in block.parts]) + int(orders)

    @property
    def ranks(self) -> tuple[int | None, ...]:
        """The rank of each block; None for the dense ones."""
        return tuple(block.rank for block in self.blocks)

    @property
    def relative_error(self) -> float:
        """The proven bound of ‖W − Ŵ‖_F / ‖W‖_F."""
        return self.error / self.norm if self.norm > 0 else 0.0

    @property
    def T(self) -> HMatrix:
        """The transposed matrix; shares the stored numbers."""
        turned = tuple(
            Block(
                (block.place[0], block.place[2], block.place[1]),
                block.columns,
                block.rows,
                tuple(part.T for part in block.parts[::-1]),
                block.error,
            )
            for block in self.blocks
        )
        return replace(
            self,
            tree=self.tree.transposed,
            blocks=turned,
            row_order=self.column_order,
            column_order=self.row_order,
        )

    def to_dense(self) -> FloatArray:
        """The whole matrix in float64, with its low-rank blocks multiplied out.

        Returns
        -------
        ndarray, shape (m, n)

        Examples
        --------
        >>> w = np.add.outer(np.arange(4.0), np.arange(4.0))
        >>> bool(np.allclose(HMatrix.from_dense(w, 1e-12).to_dense(), w))
        True
        """
        return self.as_blocks().dense()

    def as_blocks(self) -> BlockWeight:
        """The blocks that are not 0 and the orders, as files hold them.

        Returns
        -------
        BlockWeight

        Examples
        --------
        >>> len(HMatrix.from_dense(np.ones((64, 64)), 1e-6).as_blocks().blocks)
        1
        """
        held = tuple(
            ((b.rows.start, b.rows.stop, b.columns.start, b.columns.stop), b.parts)
            for b in self.blocks
            if b.rank != 0
        )
        return BlockWeight(self.shape, held, self.row_order, self.column_order)

    def in_precision(self, precision: Precision) -> HMatrix:
        """The same with each stored number rounded to a format.

        Parameters
        ----------
        precision : Precision

        Returns
        -------
        HMatrix
            Its bound is larger by one of what that moved.

        Raises
        ------
        NetworkError
            If a number is beyond what the format holds.

        Examples
        --------
        >>> from symlump.network.precision import PRECISIONS
        >>> w = HMatrix.from_dense(np.full((1, 1), 0.1), 0.0).in_precision(PRECISIONS["bfloat16"])
        >>> w.to_dense().tolist()
        [[0.10009765625]]
        """
        if precision.name == "float64":
            return self
        pairs = round_blocks(self.blocks, precision)
        blocks, moved = tuple(b for b, _ in pairs), total_error([gap for _, gap in pairs])
        return replace(self, blocks=blocks, error=above(self.error + moved))

    def __matmul__(self, other: npt.ArrayLike) -> FloatArray:
        """Ŵ·x for a vector or the columns of a matrix."""
        x = np.asarray(other, dtype=np.float64)
        if x.ndim not in (1, 2) or x.shape[0] != self.shape[1]:
            raise MethodError(
                f"a matrix of shape {self.shape} times an array of shape {x.shape}: the first axis must "
                f"have {self.shape[1]} entries"
            )
        if self.column_order is not None:
            x = x[self.column_order]
        y = self._times_vector(x) if x.ndim == 1 else self._times_matrix(x)
        if self.row_order is None:
            return y
        result = np.empty_like(y)
        result[self.row_order] = y
        return result

    def __rmatmul__(self, other: npt.ArrayLike) -> FloatArray:
        """x·Ŵ."""
        x = np.asarray(other, dtype=np.float64)
        return (self.T @ x.T).T

    def refine(self, tol: float, matrix: npt.ArrayLike) -> HMatrix:
        """Fit a matrix within a tolerance, rebuilding only the blocks whose local error is too large.

        The matrix may be the original (to tighten the tolerance) or one that has since drifted from it
        (weights in training).

        Parameters
        ----------
        tol : float
        matrix : array_like, shape (m, n)

        Returns
        -------
        HMatrix
            Within ``tol`` of ``matrix``, by the same guarantee as :meth:`from_dense`.

        Raises
        ------
        MethodError
            If the matrix has another shape or is not finite, or the tolerance is none.

        Examples
        --------
        >>> w = np.add.outer(np.arange(64.0), np.arange(64.0)) ** 0.5
        >>> HMatrix.from_dense(w, 1e-1).refine(1e-6, w).relative_error <= 1e-6
        True
        """
        check_tol(tol)
        dense = as_matrix(matrix)
        if dense.shape != self.shape:
            raise MethodError(
                f"the matrix has shape {dense.shape}, the compressed one {self.shape}"
            )
        return self._following(dense[np.ix_(*self._orders())], self.blocks, tol)

    def recompress(self, tol: float) -> HMatrix:
        """Reduce further, within a tolerance relative to this matrix; no original is needed.

        ``result.error`` bounds the distance to the original: the two errors add up.

        Parameters
        ----------
        tol : float
            The relative error, 0 or larger.

        Returns
        -------
        HMatrix

        Raises
        ------
        MethodError
            If the tolerance is negative or not a number.

        Examples
        --------
        >>> w = np.add.outer(np.arange(64.0), np.arange(64.0)) ** 0.5
        >>> fine = HMatrix.from_dense(w, 1e-9)
        >>> fine.recompress(1e-2).storage < fine.storage
        True
        """
        check_tol(tol)
        found = self._following(self._tiled(), self.blocks, tol)
        return replace(found, error=above(found.error + self.error))

    def update(
        self, delta: npt.ArrayLike | tuple[npt.ArrayLike, npt.ArrayLike], tol: float
    ) -> HMatrix:
        """Add a matrix, and recompress the sum within a tolerance relative to it.

        Blocks that can follow at their rank do; the others are opened again, down to the finest level.
        Factors of the addition are joined to those of the blocks. ``result.error`` bounds the distance
        to (original + delta), with the rounding of that sum.

        Parameters
        ----------
        delta : array_like of shape (m, n), or a pair of shapes (m, k) and (k, n)
            The addition, or its factors.
        tol : float

        Returns
        -------
        HMatrix

        Raises
        ------
        MethodError
            If shapes do not fit, an entry is not finite, or the tolerance is none.

        Examples
        --------
        >>> h = HMatrix.from_dense(np.eye(64), 0.0)
        >>> h.storage, h.update((np.ones((64, 1)), np.ones((1, 64))), 1e-9).storage
        (1024, 1280)
        """
        check_tol(tol)
        rows, columns = self._orders()
        blocks = self.blocks
        if isinstance(delta, tuple):
            left, right = (as_matrix(part) for part in delta)
            if left.shape[1] != right.shape[0]:
                raise MethodError(
                    f"factors of shapes {left.shape} and {right.shape} do not multiply"
                )
            addition = left @ right
        else:
            addition = as_matrix(delta)
        if addition.shape != self.shape:
            raise MethodError(f"the addition has shape {addition.shape}, the matrix {self.shape}")
        total = self._tiled() + addition[np.ix_(rows, columns)]
        # Each entry of the sum is rounded by half a unit in its last place.
        rounding = above(_EPS * frobenius(total))
        if isinstance(delta, tuple):
            blocks = tuple(_joined(block, left[rows], right[:, columns]) for block in blocks)
            rounding += product_rounding(left, right)
        found = self._following(total, blocks, tol)
        return replace(found, error=above(above(found.error + self.error) + rounding))

    def __repr__(self) -> str:
        m, n = self.shape
        ranks = [rank for rank in self.ranks if rank is not None]
        span = f"ranks {min(ranks)} … {max(ranks)}, " if ranks else ""
        blocks = "1 block" if len(self.blocks) == 1 else f"{len(self.blocks)} blocks"
        return (
            f"<HMatrix {m} × {n}: {blocks} ({len(self.blocks) - len(ranks)} dense), "
            f"{span}{self.storage} of {m * n} numbers, error ≤ {self.relative_error:.3g}>"
        )

    def _following(self, tiled: FloatArray, blocks: Sequence[Block], tol: float) -> HMatrix:
        """Fit a matrix in the order of the tree, starting from blocks that are near it."""
        fit = Fit.from_tree(self.tree, as_matrix(tiled), tol, blocks)
        ordered = replace(fit, row_order=self.row_order, column_order=self.column_order)
        return HMatrix.from_fit(ordered, tol)

    def _orders(self) -> tuple[IntArray, IntArray]:
        m, n = self.shape
        return (
            np.arange(m) if self.row_order is None else self.row_order,
            np.arange(n) if self.column_order is None else self.column_order,
        )

    def _tiled(self) -> FloatArray:
        tiled = np.empty(self.shape)
        for block in self.blocks:
            tiled[block.rows, block.columns] = block.to_dense()
        return tiled

    @cached_property
    def _sparse(self) -> tuple[Any, Any, Any]:
        """D, U and V with Ŵ = D + U·V, as sparse matrices: one pass over the stored numbers."""
        m, n = self.shape
        dense = [block for block in self.blocks if block.rank is None]
        low = [block for block in self.blocks if block.rank]
        ends = np.cumsum([0, *(block.rank or 0 for block in low)])
        at = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        return (
            _tiles([(b.rows, b.columns, b.parts[0]) for b in dense], (m, n)),
            _tiles([(b.rows, r, b.parts[0]) for b, r in zip(low, at, strict=True)], (m, ends[-1])),
            _tiles(
                [(r, b.columns, b.parts[1]) for b, r in zip(low, at, strict=True)], (ends[-1], n)
            ),
        )

    def _times_vector(self, x: FloatArray) -> FloatArray:
        dense, left, right = self._sparse
        return np.asarray(dense @ x + left @ (right @ x))

    def _times_matrix(self, x: FloatArray) -> FloatArray:
        y = np.zeros((self.shape[0], x.shape[1]))
        for block in self.blocks:
            part = x[block.columns]
            for factor in block.parts[::-1]:
                part = factor @ part
            y[block.rows] += part
        return y


def _joined(block: Block, left: FloatArray, right: FloatArray) -> Block:
    """The block with the factors of an addition beside its own."""
    if block.rank is None:
        return block
    own_left, own_right = block.parts
    parts = (
        np.hstack([own_left, left[block.rows]]),
        np.vstack([own_right, right[:, block.columns]]),
    )
    return replace(block, parts=parts)


def _tiles(tiles: Sequence[tuple[slice, slice, FloatArray]], shape: tuple[int, int]) -> Any:
    """A sparse matrix from dense tiles that do not overlap."""
    from scipy.sparse import csr_array

    rows = [np.repeat(np.arange(r.start, r.stop), c.stop - c.start) for r, c, _ in tiles]
    columns = [np.tile(np.arange(c.start, c.stop), r.stop - r.start) for r, c, _ in tiles]
    values = [np.zeros(0), *(entries.ravel() for _, _, entries in tiles)]
    index = [np.concatenate([np.zeros(0, dtype=np.int32), *part]) for part in (rows, columns)]
    return csr_array((np.concatenate(values), (index[0], index[1])), shape=shape)
