"""The coarsest partition within a tolerance: every strongly connected component in turn, until nothing splits.

The order in which variables are written down changes nothing. The system is first put into the order of
its names, so even ties and the rounding of sums come out the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from symlump.errors import MethodError
from symlump.lumping.equivalence import Equivalence, check_magnitudes
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.refine import work_order
from symlump.lumping.tolerance.grouping import group_distances, group_rows
from symlump.lumping.tolerance.linkage import Linkage
from symlump.ode.distinct import distinct
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.system import ODE


class TolerantRefinement:
    """A system in the order of its names, to be refined within any tolerance.

    A distance is taken under the current partition, and coarser partitions only shrink it. For
    ``linkage="closure"`` the result is therefore the unique largest fixpoint, and a larger ε never gives a
    finer one.

    Parameters
    ----------
    method : Equivalence
        Its ε plays no role.

    Raises
    ------
    MethodError
        If ``method.scale`` does not fit the system, or coefficients are too large or small for floats.

    Notes
    -----
    Each round costs the collection of the signatures (a sort of the terms) and the linkage.
    """

    def __init__(self, ode: ODE, method: Equivalence, initial: Partition) -> None:
        if method.scale is not None and len(method.scale) != len(ode):
            raise MethodError(f"scale has {len(method.scale)} numbers for {len(ode)} variables")
        check_magnitudes(ode)
        self._order = order = ode.canonical_order
        if order is not None:
            ode = ode.reordered(order)
            initial = Partition(initial.labels[order])
            if method.scale is not None:
                method = replace(method, scale=tuple(method.scale[i] for i in order.tolist()))
        self._ode, self._method, self._initial = ode, method, initial
        self._work = work_order(ode, method, initial)

    @property
    def monotone(self) -> bool:
        """True where a larger ε never gives a finer partition: closures, in units that do not depend on ε."""
        return self._method.linkage == Linkage.CLOSURE and not self._method.relative

    def at(self, eps: float, coarser: Partition | None = None) -> tuple[Partition, int]:
        """The partition within a tolerance, and the rounds it took.

        Parameters
        ----------
        coarser : Partition, optional
            What a larger tolerance gave, where results are monotone. The largest fixpoint lies inside it, so
            refinement may begin there.
        """
        split = _TolerantSplit(self._ode, self._method.within(eps), self._initial)
        labels, rounds = self._initial.labels.copy(), 0
        if coarser is not None:
            labels = coarser.labels if self._order is None else coarser.labels[self._order]
            labels = labels.copy()
        for members, feedback in self._work:
            while True:
                rounds += 1
                before = labels[members]
                pair = np.stack([before, split(labels, members)], axis=1)
                _, inverse = np.unique(pair, axis=0, return_inverse=True)
                labels[members] = labels.max() + 1 + inverse.ravel()
                if not feedback or distinct(before).size == inverse.max() + 1:
                    break
        if self._order is not None:
            labels = labels[np.argsort(self._order)]
        return Partition(labels), rounds


class _TolerantSplit:
    """Splits members by the linkage of their signatures, in units of their initial block."""

    def __init__(self, ode: ODE, method: Equivalence, initial: Partition) -> None:
        self._ode, self._method, self._initial = ode, method, initial
        # 0 stands for "not known yet": a relative scale is fixed when its component's turn comes.
        self._scale = np.zeros(len(ode)) if method.relative else np.ones(len(ode))
        if method.scale is not None:
            self._scale = np.array(method.scale, dtype=np.float64)

    def __call__(self, labels: IntArray, members: IntArray) -> IntArray:
        linkage = Linkage(self._method.linkage)
        rows = self._method.signature(self._ode, labels, members).to_rows(members)
        if not self._scale[members].all():
            self._scale[members] = self._mean_norms(rows, members, linkage)
        rows.data /= np.repeat(self._scale[members], np.diff(rows.indptr))
        groups = np.zeros(members.size, dtype=np.int64)
        own = labels[members]
        order = np.argsort(own, kind="stable")
        for inside in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
            if inside.size < 2:
                continue
            pairs = self._method.pair_distances(self._ode, labels, members[inside])
            if pairs is None:
                groups[inside] = group_rows(rows[inside], self._method.eps, linkage)
            else:
                unit = float(self._scale[members[inside[0]]])
                groups[inside] = group_distances(pairs / unit, self._method.eps, linkage)
        return groups

    def _mean_norms(
        self, rows: sparse.csr_array, members: IntArray, linkage: Linkage
    ) -> FloatArray:
        sums = np.asarray((abs(rows) if linkage.norm == 1 else rows.power(2)).sum(axis=1)).ravel()
        norms = sums if linkage.norm == 1 else np.sqrt(sums)
        _, block = np.unique(self._initial.labels[members], return_inverse=True)
        means = np.bincount(block.ravel(), weights=norms) / np.bincount(block.ravel())
        return np.asarray(np.where(means > 0, means, 1.0)[block.ravel()])
