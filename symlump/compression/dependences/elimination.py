"""In which order units can be done without, when what is read of them is fitted by the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, qr

from symlump.ode.exact import FloatArray, IntArray

# Units go one by one where there are fewer than twice this many, else in this many steps.
_STEPS = 64


@dataclass(frozen=True, eq=False)
class Readers:
    """Values of units in one place, and what is read of them there.

    Parameters
    ----------
    h : ndarray, shape (rows, units)
    targets : ndarray, shape (rows, any)
    importance : ndarray, shape (units,)
        Sizes that the columns of h are multiplied with before their rank is decided.
    """

    h: FloatArray
    targets: FloatArray
    importance: FloatArray


def eliminate(readings: Sequence[Readers], rounding: float = 1e-12) -> tuple[IntArray, FloatArray]:
    """In which order units can be done without, when targets are fitted by the others.

    With h = Q·R, S = R⁻¹ and Y = Qᵀ·targets, the coefficients of a least-squares fit are S·Y, and the
    direction v = s_i/‖s_i‖ (s_i the i-th row of S) is what unit i has that no other unit has: without
    it the squared error grows by ‖vᵀY‖². Going on without unit i means to project v out of S and Y.
    Nothing is squared, so nearly dependent columns do no harm. Where units are read in several places, each has
    its own fit, and what a unit costs is added up.

    Parameters
    ----------
    readings : sequence of Reading
        Of the same units.
    rounding : float
        What counts as 0 in a rank, relative to the largest column.

    Returns
    -------
    order : ndarray of int
        The units that the ranks have room for, best first. Others are combinations of them.
    losses : ndarray, shape (1 + len(order),)
        Squared error of the best fit by the first k units in this order, minus that by all.

    Examples
    --------
    >>> h = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> reading = Readers(h, h @ np.array([[0.1], [2.0], [0.0]]), np.array([0.1, 2.0, 0.0]))
    >>> order, losses = eliminate([reading])
    >>> order.tolist(), losses.round(6).tolist()
    ([1, 0], [4.01, 0.01, 0.0])
    """
    fits: list[_Fit] = []
    taken = np.zeros(readings[0].h.shape[1], dtype=bool)
    for reading in readings:
        fits.append(_Fit(reading, taken, rounding))
        taken[fits[-1].columns] = True
    everything = np.concatenate([fit.columns for fit in fits])
    left = everything[np.sort(np.unique(everything, return_index=True)[1])]
    gone: list[IntArray] = []
    losses = [np.zeros(1)]
    while left.size:
        costs = np.zeros(taken.size)
        for fit in fits:
            costs[fit.columns] += fit.costs()
        order = np.argsort(costs[left], kind="stable")
        batch = order[: max(1, left.size // _STEPS)]
        growth = np.zeros(taken.size)
        for fit in fits:
            fit.remove(left[batch], growth)
        gone.append(left[batch])
        losses.append(losses[-1][-1] + np.cumsum(growth[left[batch]]))
        left = np.delete(left, batch)
    order = np.concatenate([np.empty(0, dtype=np.int64), *gone])[::-1]
    return order, np.concatenate(losses)[::-1]


class _Fit:
    """The fit of one reading by the units that are left and that its rank has room for."""

    def __init__(
        self, reading: Readers, taken: np.ndarray[tuple[int], np.dtype[np.bool_]], rounding: float
    ) -> None:
        h, targets = _fewer_rows(reading.h, reading.targets)
        h = h * reading.importance
        least = rounding * float(np.linalg.norm(h, axis=0).max(initial=0.0))
        # What another reading has a place for comes first, so that the same of several equal units stay.
        self.columns = _independent(h, np.flatnonzero(taken), least)
        if self.columns.size < len(taken):
            q = np.linalg.qr(h[:, self.columns])[0]
            others = np.flatnonzero(~taken)
            rest = h[:, others]
            found = _independent(rest - q @ (q.T @ rest), np.arange(others.size), least)
            self.columns = np.concatenate([self.columns, others[found]])
        q, r = np.linalg.qr(h[:, self.columns])
        self._y = q.T @ targets
        self._s = lapack.dtrtri(r)[0] if self.columns.size else np.zeros((0, 0))
        self._coefficients = self._s @ self._y

    def costs(self) -> FloatArray:
        """By how much the squared error grows without each unit."""
        sizes = np.einsum("ij,ij->i", self._s, self._s)
        return np.asarray(np.einsum("ij,ij->i", self._coefficients, self._coefficients) / sizes)

    def remove(self, units: IntArray, growth: FloatArray) -> None:
        """Go on without some units, one after the other; adds to each unit's growth of the error."""
        place = np.full(growth.size, -1)
        place[self.columns] = np.arange(self.columns.size)
        batch = place[units]
        batch = batch[batch >= 0]
        if not batch.size:
            return
        v, _ = np.linalg.qr(self._s[batch].T)
        shares = v.T @ self._y
        growth[self.columns[batch]] += np.einsum("ij,ij->i", shares, shares)
        rest = np.delete(np.arange(self.columns.size), batch)
        self.columns, self._s = self.columns[rest], self._s[rest]
        along = self._s @ v
        self._s -= along @ v.T
        self._coefficients = self._coefficients[rest]
        self._coefficients -= along @ shares
        self._y -= v @ shares


def _independent(h: FloatArray, columns: IntArray, least: float) -> IntArray:
    """Some of the columns that the others are combinations of, the one with most that is its own first."""
    if not columns.size:
        return columns
    r, pivots = qr(h[:, columns], mode="r", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return np.asarray(columns[pivots[: np.count_nonzero(diagonal > least)]])


def _fewer_rows(h: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matrices of at most as many rows as columns with the same inner products: the R of a QR."""
    if len(h) > h.shape[1] + targets.shape[1]:
        r: FloatArray = np.asarray(np.linalg.qr(np.hstack([h, targets]), mode="r"))
        h, targets = r[:, : h.shape[1]], r[:, h.shape[1] :]
    return h, targets
