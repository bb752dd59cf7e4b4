"""Units that stand on units of the reduced network, moved, and exchanged in pairs, where δ² becomes smaller.

With all other maps fixed a map adds to δ² what each unit's coefficients lack to those of the unit it stands on,
D[i, j], and for each unit j of the reduced network ‖w_j‖²/n_j: what the layers that read it there read more
than the units that stand on it here, shared out among these. So what a move changes is known from two sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlump.compression.relaxed.selected import STAYS, UnitMap
from symlump.ode.exact import FloatArray, IntArray

_LEAST = (
    1e-12  # of all coefficients: what a move must bring at least, so that none is made for rounding
)


@dataclass(frozen=True, eq=False)
class Standing:
    """What the units of one axis stand on, and what that adds to δ²; all arrays are changed in place.

    Parameters
    ----------
    found : UnitMap
    distances : ndarray, shape (units, reduced units)
        D, by which the rows of two units differ.
    before, after, offset : ndarray, shape (units, reduced units)
        a, s and q, if one stands on the other.
    read : ndarray, shape (units, coefficients)
        The weights of each unit in all layers that read it.
    missing : ndarray, shape (reduced units, coefficients)
        w, the same of each unit of the reduced network, less those of the units that stand on it.
    shares : ndarray, shape (reduced units,)
        The squares of the factors s of the units that stand on each, added up.
    kinds : ndarray of int, shape (units,)
        Only units of one kind change places; the last of its kind stays.

    Examples
    --------
    >>> one, own = np.ones((2, 2)), UnitMap.own(2)
    >>> far = np.array([[4.0, 0.0], [0.0, 4.0]])
    >>> nothing = np.zeros((2, 1))
    >>> alike = np.zeros(2, dtype=int)
    >>> standing = Standing(own, far, one, one, 0 * one, nothing, nothing.copy(), np.ones(2), alike)
    >>> standing.exchange().tolist(), own.partner.tolist()
    ([0, 1], [1, 0])
    """

    found: UnitMap
    distances: FloatArray
    before: FloatArray
    after: FloatArray
    offset: FloatArray
    read: FloatArray
    missing: FloatArray
    shares: FloatArray
    kinds: IntArray

    def lift(self, i: int) -> None:
        """Take a unit off what it stands on."""
        j, s = self.found.partner[i], self.found.after[i]
        self.missing[j] += s * self.read[i]
        self.shares[j] -= s**2

    def put(self, i: int, j: int) -> None:
        """Put a unit, which stands on none, on another."""
        found, s = self.found, self.after[i, j]
        found.partner[i], found.kind[i] = j, STAYS
        found.before[i], found.after[i], found.offset[i] = self.before[i, j], s, self.offset[i, j]
        self.missing[j] -= s * self.read[i]
        self.shares[j] += s**2

    def exchange(self) -> IntArray:
        """Move each unit once where δ² gains most: to another place, if it has company, or with another unit.

        Returns
        -------
        ndarray of int
            The units that moved.
        """
        partner, moved = self.found.partner, np.zeros(self.found.partner.size, dtype=bool)
        products, inside = self.read @ self.missing.T, (self.missing**2).sum(axis=1)
        both = self.read @ self.read.T
        least = _LEAST * float(self.distances.min(axis=1).sum() + both.trace())
        for i in np.flatnonzero(partner >= 0).tolist():
            same = self.kinds == self.kinds[i]
            company = np.count_nonzero(same & (partner == partner[i])) > 1
            others = np.flatnonzero(same & (partner >= 0) & (partner != partner[i]))
            if not others.size:
                continue
            pairs = self._pairs(i, others, both, products, inside)
            best, k, j = float(pairs.min()), int(others[pairs.argmin()]), -1
            if company:
                moves = self._moves(i, both[i, i], products, inside)
                if moves.min() < best:
                    best, j = float(moves.min()), int(moves.argmin())
            if best >= -least:
                continue
            for unit, place in [(i, j)] if j >= 0 else [(i, partner[k]), (k, partner[i])]:
                changed = np.array([partner[unit], place])
                self.lift(unit)
                self.put(unit, place)
                moved[unit] = True
                products[:, changed] = self.read @ self.missing[changed].T
                inside[changed] = (self.missing[changed] ** 2).sum(axis=1)
        return np.flatnonzero(moved)

    def _moves(self, i: int, own: float, products: FloatArray, inside: FloatArray) -> FloatArray:
        """By how much δ² grows where unit i goes to another place, for each place."""
        j = self.found.partner[i]
        s, t = self.found.after[i], self.after[i]
        left = inside[j] + 2 * s * products[i, j] + s**2 * own
        there = inside - 2 * t * products[i] + t**2 * own
        cost = self.distances[i] - self.distances[i, j] - inside[j] / self.shares[j]
        cost = cost + left / (self.shares[j] - s**2)
        cost = cost + there / (self.shares + t**2) - inside / self.shares
        cost[j] = np.inf
        return np.asarray(np.where(t == 0, np.inf, cost))

    def _pairs(
        self,
        i: int,
        others: IntArray,
        both: FloatArray,
        products: FloatArray,
        inside: FloatArray,
    ) -> FloatArray:
        """By how much δ² grows where unit i and another one change places, for each other one."""
        partner, after = self.found.partner, self.found.after
        j, places, far = partner[i], partner[others], self.distances
        sizes, own = both[others, others], both[i, i]
        here, there = self.after[others, j], self.after[i, places]
        cannot = (here == 0) | (there == 0)
        here, there = np.where(cannot, 1.0, here), np.where(cannot, 1.0, there)
        cost = far[i, places] + far[others, j] - far[i, j] - far[others, places]
        for out, into, at, products_out, products_in, size_out, size_in in (
            (after[i], here, np.full(others.size, j), products[i, j], products[others, j], own, sizes),
            (after[others], there, places, products[others, places], products[i, places], sizes, own),
        ):  # fmt: skip
            grown = out**2 * size_out + into**2 * size_in - 2 * out * into * both[i, others]
            grown = inside[at] + grown + 2 * out * products_out - 2 * into * products_in
            cost += grown / (self.shares[at] - out**2 + into**2) - inside[at] / self.shares[at]
        return np.asarray(np.where(cannot, np.inf, cost))
