"""In which order units can be done without, when what is read of them is fitted by the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import sqrt

import numpy as np
from scipy.linalg import lapack, qr, solve_triangular

from symlump.ode.exact import FloatArray, IntArray

# Units go one by one where there are fewer than twice this many, else in this many steps.
_STEPS = 64
#: So many units go before the matrices are computed again without them.
_PENDING = 64
#: What is squared is trusted as long as it holds no number that is this much larger than what it leaves.
_DIGITS = 1e6
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Readers:
    """Values of units in one place, and what errors of them cost there.

    Parameters
    ----------
    gram : ndarray, shape (units, units)
        HᵀH, with a column of H for each unit.
    metric : ndarray, shape (units, units)
        M, symmetric and positive semidefinite: errors Δ of the columns of H cost the trace of Δ·M·Δᵀ.
    root : callable
        Gives H, shape (rows, units), which is asked for where columns are nearly dependent.
    """

    gram: FloatArray
    metric: FloatArray
    root: Callable[[], FloatArray]

    @classmethod
    def of(cls, h: FloatArray, metric: FloatArray) -> Readers:
        """From the values themselves."""
        return cls(np.asarray(h.T @ h), metric, lambda: h)


def eliminate(readings: Sequence[Readers], rounding: float = 1e-12) -> tuple[IntArray, FloatArray]:
    """In which order units can be done without, when all that is read is fitted by the others.

    Let P = (HᵀH)⁻¹ of the units that are left, and D = C·M·Cᵀ where H·C is the best fit of all units by these:
    P = (HᵀH)⁻¹ and D = M before any has gone. Without unit i the cost grows by D_ii/P_ii. With L·Lᵀ = P_bb of
    some units b that go one after the other, W = L⁻¹·P_b and E = L⁻¹·D_b, it grows by the diagonal of
    F = L⁻¹·D_bb·L⁻ᵀ, and

        P ← P − Wᵀ·W,        D ← D − Wᵀ·U − Uᵀ·W,        U = E − F·W/2.

    Where columns are nearly dependent P is made of a QR factorisation, and again as soon as digits are lost.
    Where units are read in several places, each has its own fit, and what a unit costs is added up.

    Parameters
    ----------
    readings : sequence of Readers
        Of the same units.
    rounding : float
        What counts as 0 in a rank, relative to the largest column; each times what its unit counts.

    Returns
    -------
    order : ndarray of int
        The units that the ranks have room for, best first. Others are combinations of them.
    losses : ndarray, shape (1 + len(order),)
        Cost of the best fit by the first k units in this order, minus that by all.

    Examples
    --------
    >>> h = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> order, losses = eliminate([Readers.of(h, np.diag([0.01, 4.0, 0.0]))])
    >>> order.tolist(), losses.round(6).tolist()
    ([1, 0], [4.01, 0.01, 0.0])
    """
    fits: list[_Fit] = []
    taken = np.zeros(len(readings[0].gram), dtype=bool)
    for reading in readings:
        fits.append(_Fit(reading, taken, rounding))
        taken[fits[-1].columns] = True
    everything = np.concatenate([fit.columns for fit in fits])
    left = everything[np.sort(np.unique(everything, return_index=True)[1])]
    gone: list[IntArray] = []
    growth = [np.zeros(1)]
    stays = np.ones(left.size, dtype=bool)
    while left.size:
        costs = reduce(np.add, (fit.costs(left) for fit in fits))
        number = left.size // _STEPS
        batch = np.array([costs.argmin()])
        if number > 1:
            batch = np.argsort(costs, kind="stable")[:number]
            batch = batch[: min(fit.together(left[batch]) for fit in fits)]
        going = left[batch]
        growth.append(reduce(np.add, [fit.remove(going) for fit in fits]))
        gone.append(going)
        stays[batch] = False
        left = left[stays[: left.size]]
        stays[batch] = True
    order = np.concatenate([np.empty(0, dtype=np.int64), *gone])[::-1]
    return order, np.concatenate(growth).cumsum()[::-1]


class _Fit:
    """The fit of one reading by the units that are left and that its rank has room for.

    What has gone since the matrices were last computed is subtracted where it is asked for.
    """

    def __init__(
        self, reading: Readers, taken: np.ndarray[tuple[int], np.dtype[np.bool_]], rounding: float
    ) -> None:
        self._importance = np.sqrt(np.maximum(np.diag(reading.metric), 0.0))
        share = np.where(self._importance > 0, self._importance, 1.0)
        cost = reading.metric / share / share[:, None]
        gram = reading.gram * self._importance
        gram *= self._importance[:, None]
        least = rounding * float(np.sqrt(np.diag(gram).max(initial=0.0)))
        self._root, everything = reading.root, np.arange(taken.size)
        inverse = _inverse(gram)
        self._nearly = inverse is None or 1 / np.diag(inverse).max(initial=0.0) <= least**2
        if inverse is not None and not self._nearly:
            self._begin(everything, inverse, cost)
            return
        # What another reading has a place for comes first, so that the same of several equal units stay.
        h = self._scaled(everything)
        columns = _independent(h, np.flatnonzero(taken), least)
        if columns.size < taken.size:
            q = np.linalg.qr(h[:, columns])[0]
            others = np.flatnonzero(~taken)
            rest = h[:, others]
            found = _independent(rest - q @ (q.T @ rest), np.arange(others.size), least)
            columns = np.concatenate([columns, others[found]])
        q, r = np.linalg.qr(h[:, columns])
        all_by_these = solve_triangular(r, q.T @ h)
        self._begin(columns, _inverse_of_root(r), all_by_these @ cost @ all_by_these.T)

    @cached_property
    def _h(self) -> FloatArray:
        """H, or what has as few rows and the same products."""
        h = self._root()
        return _triangular(h) if len(h) > h.shape[1] else h

    def _scaled(self, columns: IntArray) -> FloatArray:
        return np.asarray(self._h[:, columns] * self._importance[columns])

    def _begin(self, columns: IntArray, inverse: FloatArray, cost: FloatArray) -> None:
        """From P and D of some units."""
        self.columns, self._inverse, self._cost = columns, inverse, cost
        self._place = np.full(self._importance.size, -1)
        self._place[columns] = np.arange(columns.size)
        self._sizes, self._worth = np.diag(inverse).copy(), np.diag(cost).copy()
        self._known = self._sizes.copy()
        room = _PENDING + columns.size // _STEPS
        self._w, self._u = np.empty((2, room, columns.size))
        self._pending = 0

    def costs(self, units: IntArray) -> FloatArray:
        """By how much the cost grows without each of some units."""
        at = self._place[units]
        if not self._nearly:
            return np.asarray(np.maximum(self._worth[at], 0.0) / self._sizes[at])
        here = at >= 0
        costs = np.zeros(units.size)
        costs[here] = np.maximum(self._worth[at[here]], 0.0) / self._sizes[at[here]]
        return costs

    def together(self, units: IntArray) -> int:
        """How many of some units can go at once: not those that are nearly dependent on one before."""
        at = self._place[units]
        at = at[at >= 0]
        if not self._nearly or at.size < 2:
            return units.size
        w = self._w[: self._pending, at]
        block = self._inverse[np.ix_(at, at)] - w.T @ w
        factor, failed = lapack.dpotrf(block, lower=1)
        good = np.diag(factor) ** 2 * _DIGITS > np.diag(block)
        if failed:
            good[failed - 1 :] = False
        bad = 1 + np.flatnonzero(~good[1:])
        return int(np.flatnonzero(self._place[units] >= 0)[bad[0]]) if bad.size else units.size

    def remove(self, units: IntArray) -> FloatArray:
        """Go on without some units, one after the other; by how much the cost grows with each."""
        at = self._place[units]
        if self._nearly:
            growth = np.zeros(units.size)
            here = at >= 0
            if here.any():
                growth[here] = self._remove(at[here])
            return growth
        return self._remove(at)

    def _remove(self, at: IntArray) -> FloatArray:
        one = at.size == 1
        which = at[0] if one else at  # of one unit they are vectors
        old_w, old_u = self._w[: self._pending], self._u[: self._pending]
        by_w, by_u = old_w[:, which].T, old_u[:, which].T
        inverse = self._inverse[which] - by_w @ old_w
        cost = self._cost[which] - by_w @ old_u
        cost -= by_u @ old_w
        start, self._pending = self._pending, self._pending + at.size
        if one:
            lower = 1 / sqrt(inverse[which])
            w = np.multiply(inverse, lower, out=self._w[start])
            e = np.multiply(cost, lower, out=self._u[start])
            f = e[which] * lower
            e -= f / 2 * w  # now u
            self._sizes -= w * w
            w = w * e
        else:
            factor = lapack.dpotrf(inverse[:, at], lower=1)[0]
            inverted = lapack.dtrtri(factor, lower=1)[0]
            w = np.matmul(inverted, inverse, out=self._w[start : self._pending])
            e = np.matmul(inverted, cost, out=self._u[start : self._pending])
            f = e[:, at] @ inverted.T
            e -= f / 2 @ w  # now u
            self._sizes -= np.add.reduce(w * w)
            w = np.add.reduce(w * e)
        self._worth -= 2 * w
        self._sizes[at] = np.inf
        if self._nearly:
            self._place[self.columns[at]] = -1
        lost = self._nearly and bool((self._sizes * _DIGITS < self._known).any())
        if lost or self._pending >= _PENDING:
            self._renew(lost)
        return np.maximum([f] if one else f.diagonal(), _TINY)

    def _renew(self, lost: bool) -> None:
        """Compute the matrices without the units that have gone, P anew where digits are lost."""
        left = np.flatnonzero(np.isfinite(self._sizes))
        columns, among = self.columns[left], np.ix_(left, left)
        w, u = self._w[: self._pending, left], self._u[: self._pending, left]
        cross = w.T @ u
        cost = self._cost[among] - cross - cross.T
        if lost:
            inverse = _inverse_of_root(_triangular(self._scaled(columns)))
        else:
            inverse = self._inverse[among] - w.T @ w
        known = self._known[left]
        self._begin(columns, inverse, cost)
        if not lost:
            self._known = known


def _triangular(h: FloatArray) -> FloatArray:
    """R of H = Q·R."""
    return np.asarray(np.linalg.qr(h, mode="r"))


def _inverse(gram: FloatArray) -> FloatArray | None:
    """The inverse of a Gram matrix; None where it would lose more digits than are trusted."""
    factor, failed = lapack.dpotrf(gram)
    if failed:
        return None
    inverse = _inverse_of_root(factor)
    return inverse if (np.diag(inverse) * np.diag(gram)).max(initial=0.0) < _DIGITS else None


def _inverse_of_root(r: FloatArray) -> FloatArray:
    """The inverse of RᵀR."""
    if not len(r):
        return np.zeros((0, 0))
    inverse = lapack.dpotri(r)[0]  # on and above the diagonal; there are zeros below
    inverse = inverse + inverse.T
    inverse[np.diag_indices_from(inverse)] /= 2
    return np.asarray(inverse)


def _independent(h: FloatArray, columns: IntArray, least: float) -> IntArray:
    """Some of the columns that the others are combinations of, the one with most that is its own first."""
    if not columns.size:
        return columns
    r, pivots = qr(h[:, columns], mode="r", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return np.asarray(columns[pivots[: np.count_nonzero(diagonal > least)]])
