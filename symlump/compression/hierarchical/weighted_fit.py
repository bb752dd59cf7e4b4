"""Hierarchical matrices whose error is measured on the vectors that they will multiply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symlump.compression.hierarchical.block_choice import analyse
from symlump.compression.hierarchical.block_fit import Block, Fit, decade, even_exponent
from symlump.compression.hierarchical.cluster_tree import ClusterTree, Place, similarity_order
from symlump.errors import MethodError
from symlump.ode.exact import FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)
_RIDGE = (
    1e-6  # of the mean variance, added to each: bounds the factors, and what rounding does to them
)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedFit(Fit):
    """A matrix, decomposed for the error E‖(W − Ŵ)·x‖² over vectors x with given second moments.

    With M = E[x·xᵀ] = L·Lᵀ that is ‖(W − Ŵ)·L‖_F². A block with columns J is decomposed in the norm
    ‖E·L_J‖_F, M_JJ = L_J·L_Jᵀ. Errors of blocks beside each other may be correlated; as ‖a + b‖² ≤ 2‖a‖² +
    2‖b‖², the squares add up to a bound if each counts twice for every time that its columns were
    halved. So a block must save more than a factor of two to be worth a split. The total is measured
    besides.

    Parameters
    ----------
    root : ndarray, shape (n, n)
        L, of M with a small ridge, which can only make the measured error larger.
    roots, inverse_roots : mapping
        √q·L_J by level and column cluster, of q at that level, and its inverse.

    References
    ----------
    Chen, Si, Yu, Dhillon, Hsieh, "DRONE: data-aware low-rank compression for large NLP models", NeurIPS 2021
    (the norm, for one global low-rank factor).
    """

    root: FloatArray
    roots: dict[tuple[int, int], FloatArray]
    inverse_roots: dict[tuple[int, int], FloatArray]

    @classmethod
    def weighted(
        cls, matrix: FloatArray, moments: FloatArray, tol: float, leaf_size: int, order: str
    ) -> WeightedFit:
        """Decompose a matrix for tolerances of the decade of ``tol``, and larger ones.

        Raises
        ------
        MethodError
            If the moments are not a symmetric matrix of the right size, or have a negative eigenvalue.
        """
        size = matrix.shape[1]
        if moments.shape != (size, size) or not np.allclose(moments, moments.T):
            raise MethodError(f"second moments are a symmetric {size} × {size} matrix")
        rows, columns = np.arange(matrix.shape[0]), np.arange(size)
        if order != "given":
            rows, columns = similarity_order(matrix, leaf_size)
        tree = ClusterTree.bisect((matrix.shape[0], size), leaf_size)
        tiled = matrix[np.ix_(rows, columns)]
        exponent = even_exponent(matrix)
        scaled = np.ldexp(tiled, -exponent)
        ridge = _RIDGE * max(float(np.trace(moments)) / size, np.finfo(np.float64).tiny)
        spread = moments[np.ix_(columns, columns)] + ridge * np.eye(size)
        roots: dict[tuple[int, int], FloatArray] = {}
        for level in range(tree.depth):
            edges = tree.columns[level]
            for j, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
                times = np.sqrt(edges.size - 1)
                roots[level, j] = times * _cholesky(spread[start:stop, start:stop])
        root = roots[0, 0]
        share = decade(tol) ** 2 * float(np.linalg.norm(scaled @ root)) ** 2 / matrix.size
        levels = analyse(
            tree,
            {},
            lambda places: tree.stacked(scaled, places) @ _of_columns(roots, places),
            share,
            share * 1e-2,
            join=False,
        )
        return cls(
            tree,
            tiled,
            exponent,
            levels,
            None if order == "given" else rows,
            None if order == "given" else columns,
            root=root,
            roots=roots,
            inverse_roots={at: np.asarray(np.linalg.inv(one)) for at, one in roots.items()},
        )

    def _dense(self, places: IntArray) -> FloatArray:
        return super()._dense(places) @ _of_columns(self.roots, places)

    def _norm(self, matrix: FloatArray) -> float:
        return float(np.linalg.norm(np.ldexp(matrix, -self.exponent) @ self.root))

    def _total(self, blocks: Sequence[Block]) -> float:
        found = np.zeros(self.matrix.shape)
        sizes = float(np.linalg.norm(np.ldexp(self.matrix, -self.exponent)))
        for block in blocks:
            found[block.rows, block.columns] = block.to_dense()
            if block.rank:
                norms = [float(np.linalg.norm(part)) for part in block.parts]
                sizes += float(np.ldexp(norms[0] * norms[1], -self.exponent))
        # As for one block: rounding in the products of at most n terms, and in their difference.
        slack = 4 * (self.matrix.shape[1] + 4) * _EPS * sizes * float(np.linalg.norm(self.root))
        return float(self._norm(self.matrix - found) + slack)

    def _factors(self, place: Place, rank: int) -> tuple[FloatArray, FloatArray]:
        left, right = super()._factors(place, rank)
        right = right @ self.inverse_roots[place[0], place[2]]
        # Balance the factors again: both are to be trained at one rate.
        balance = np.sqrt(np.linalg.norm(right, axis=1) / np.linalg.norm(left, axis=0))
        return left * balance, right / balance[:, None]


def _of_columns(roots: Mapping[tuple[int, int], FloatArray], places: IntArray) -> FloatArray:
    """A stack of the roots for the columns of some blocks."""
    return np.stack([roots[level, j] for level, _, j in places.tolist()])


def _cholesky(spread: FloatArray) -> FloatArray:
    try:
        return np.asarray(np.linalg.cholesky(spread))
    except np.linalg.LinAlgError:
        raise MethodError(
            "the second moments have a negative eigenvalue, which no inputs give; compute them as "
            "inputs.T @ inputs / len(inputs)"
        ) from None
