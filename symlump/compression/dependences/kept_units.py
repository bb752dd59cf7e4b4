"""The weights of a network of which some units are left, and what reads them is fitted to all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from symlump.compression.merging.refit import MergedWeights, as_dense
from symlump.compression.merging.values import Values
from symlump.network.network import Network
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray, IntArray

#: Of a triangular factor whose diagonal varies by more than this the rank is decided by singular values.
_CONDITION = 1e-9


class KeptWeights(MergedWeights):
    """See :class:`symlump.network.rewrite.Weights`: rows of kept units, least-squares fits of what reads them.

    Parameters
    ----------
    network : Network
    ties : Ties
    groups : ndarray of int, shape (units,)
        Its own number for a unit that is kept, for any other that of a kept one, which takes its place.
    values : Values
        Under which to fit.
    rounding : float
        What counts as 0 in the rank of a fit.
    """

    def __init__(
        self, network: Network, ties: Ties, groups: IntArray, values: Values, rounding: float
    ) -> None:
        super().__init__(network, ties, groups, np.ones(ties.count), values)
        self._kept: npt.NDArray[np.bool_] = groups == np.arange(groups.size)
        self._rounding = rounding

    def _standing_for(self, blocks: IntArray, units: IntArray) -> csr_array:
        """The kept unit of each block."""
        kept = np.flatnonzero(self._kept[units])
        shape = (int(blocks.max()) + 1, blocks.size)
        return csr_array((np.ones(kept.size), (blocks[kept], kept)), shape=shape)

    def _spread(self, unit: IntArray, units: IntArray) -> csr_array:
        """A kept unit is taken for itself, any other for nothing."""
        return self._standing_for(unit, units).T.tocsr()

    def _fit(
        self,
        h: FloatArray,
        wanted: FloatArray,
        spread: csr_array | FloatArray,
        constant: bool,
    ) -> tuple[FloatArray, FloatArray]:
        assert self._values is not None
        moments = self._values.moments
        root = moments.root(h, constant)
        gap = moments.root(wanted, constant) - root @ spread.T
        size = np.linalg.norm(root, axis=0)
        size[size == 0] = 1.0
        matrix = as_dense(spread) + (self._solved(root / size, gap) / size[:, None]).T
        if not constant:
            return matrix, np.zeros(len(matrix))
        return matrix, moments.mean(wanted) - matrix @ moments.mean(h)

    def _solved(self, root: FloatArray, gap: FloatArray) -> FloatArray:
        if len(root) >= root.shape[1]:
            q, r = np.linalg.qr(root)
            diagonal = np.abs(np.diag(r))
            if diagonal.min(initial=1.0) > _CONDITION * diagonal.max(initial=1.0):
                return np.asarray(solve_triangular(r, q.T @ gap))
            root, gap = r, q.T @ gap
        return np.asarray(np.linalg.lstsq(root, gap, rcond=self._rounding)[0])
