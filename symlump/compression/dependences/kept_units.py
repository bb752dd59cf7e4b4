"""The weights of a network of which some units are left, and what reads them is fitted to all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular
from scipy.sparse import csr_array

from symlump.compression.merging.known_units import KnownUnits
from symlump.compression.merging.refit import Means, MergedWeights, as_dense
from symlump.compression.merging.values import Memory, Values
from symlump.compression.moments import Moments
from symlump.network.network import Network
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray, IntArray

#: Of a triangular factor whose diagonal varies by more than this the rank is decided by singular values.
_CONDITION = 1e-9
#: Second moments are factorised where no unit has less of its variance for itself, given those before.
_SQUARED = 1e-4


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
    memory : Memory, optional
        What is kept from one fit to the next.
    rounding : float
        What counts as 0 in the rank of a fit.
    """

    def __init__(
        self,
        network: Network,
        ties: Ties,
        groups: IntArray,
        values: Values,
        memory: Memory | None,
        rounding: float,
    ) -> None:
        super().__init__(network, ties, groups, np.ones(ties.count), values, memory)
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

    def _known(self, name: str) -> _OriginalUnits | None:
        """The units of a value whose layer reads nothing that changed, where all their moments are known."""
        maker = self._maker(name)
        if maker is None or self._memory is None or name not in self._memory.covariances:
            return None
        kept = np.flatnonzero(self._kept[self._ties.units[maker.name]])
        order = kept[np.argsort(self._blocks(maker.name).labels[kept])]
        memory = self._memory
        return _OriginalUnits(
            memory.values[name], memory.covariances[name], memory.means[name], order
        )

    def _fit_known(
        self, gram: FloatArray, right: FloatArray, means: Means | None, sums: csr_array | FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        moved = np.flatnonzero(right.any(axis=0))
        found = _from_products(gram, np.take(right, moved, axis=1).astype(np.float64, copy=False))
        if found is None:
            return None
        matrix = as_dense(sums)
        matrix[moved] += found.T
        return matrix, np.zeros(len(matrix)) if means is None else means[1] - matrix @ means[0]

    def _fit(
        self,
        h: FloatArray,
        wanted: FloatArray,
        spread: csr_array | FloatArray,
        constant: bool,
    ) -> tuple[FloatArray, FloatArray]:
        assert self._values is not None
        moments = self._values.moments
        means = (moments.mean(h), moments.mean(wanted)) if constant else None
        about = None if means is None else (means[0], means[1] - spread @ means[0])
        gap = _less(wanted, h, spread)
        fit = self._fit_known(*moments.products(h, gap, about), means, spread)
        if fit is not None:
            return fit
        root = moments.root(h, constant)
        size = np.linalg.norm(root, axis=0)
        size[size == 0] = 1.0
        matrix = as_dense(spread)
        matrix += (self._solved(root / size, moments.root(gap, constant)) / size[:, None]).T
        return matrix, np.zeros(len(matrix)) if means is None else means[1] - matrix @ means[0]

    def _solved(self, root: FloatArray, gap: FloatArray) -> FloatArray:
        if len(root) >= root.shape[1]:
            q, r = np.linalg.qr(root)
            diagonal = np.abs(np.diag(r))
            if diagonal.min(initial=1.0) > _CONDITION * diagonal.max(initial=1.0):
                return np.asarray(solve_triangular(r, q.T @ gap))
            root, gap = r, q.T @ gap
        return np.asarray(np.linalg.lstsq(root, gap, rcond=self._rounding)[0])


class _OriginalUnits(KnownUnits):
    """Some units of a value as they are in the original network.

    Parameters
    ----------
    original : ndarray, shape (samples, units)
        The value.
    covariance : ndarray, shape (units, units)
    means : ndarray, shape (units,)
    kept : ndarray of int
        Which of them, in their new order.
    """

    def __init__(
        self, original: FloatArray, covariance: FloatArray, means: FloatArray, kept: IntArray
    ) -> None:
        self._original, self._covariance, self._kept = original, covariance, kept
        self._means = means
        self._read = None
        self.moved = np.setdiff1d(np.arange(len(covariance)), kept)

    def values(self) -> FloatArray:
        """The value with its new units."""
        return np.take(self._original, self._kept, axis=1)

    def products(
        self, moments: Moments, centred: bool
    ) -> tuple[FloatArray, FloatArray, Means | None]:
        """Of what is known about means; there is a constant wherever it is."""
        assert centred
        cross, means = self._covariance[self._kept], self._means
        if self._read is None:
            return cross[:, self._kept], cross, (means[self._kept], means)
        return (
            cross[:, self._kept],
            cross @ self._read.T,
            (means[self._kept], self._read @ means),
        )


def _less(wanted: FloatArray, h: FloatArray, spread: csr_array | FloatArray) -> FloatArray:
    """What is wanted without what is taken for it: combinations of the columns of h, or some of them."""
    if isinstance(spread, np.ndarray):
        return np.asarray(wanted - h @ spread.T)
    at = np.full(spread.shape[0], h.shape[1])  # for most a column, for others one of zeros
    at[np.flatnonzero(np.diff(spread.indptr))] = spread.indices
    gap = np.take(np.hstack([h, np.zeros((len(h), 1), h.dtype)]), at, axis=1)
    return np.asarray(np.subtract(wanted, gap, out=gap if gap.dtype == wanted.dtype else None))


def _from_products(gram: FloatArray, right: FloatArray) -> FloatArray | None:
    """The fit from second moments; None where that would lose too many digits."""
    if not len(gram):
        return right
    factor, failed = lapack.dpotrf(gram)
    if failed or (np.diag(factor) ** 2 <= _SQUARED * np.diag(gram)).any():
        return None
    return np.asarray(lapack.dpotrs(factor, right)[0])
