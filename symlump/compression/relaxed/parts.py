"""What a map of units must obey where values hold part of them, as where a shuffle of channels is cut in two.

A unit that such a value holds stands on one that the reduced value holds, else it could not be made of that.
Each unit that this one holds must be stood on by one that is there. So for each unit of the reduced network one
unit is looked for of every kind that has to stand on it; units that the same values hold are of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symlump.compression.relaxed.readings import Marks
from symlump.network.ties import Ties
from symlump.ode.exact import IntArray


@dataclass(frozen=True, eq=False)
class Parts:
    """Which units of an axis may stand on which of the reduced network, and which have to.

    Parameters
    ----------
    pinned : ndarray of int, shape (units,)
        What steps say that a unit stands on; −1 where they say nothing.
    allowed : ndarray of bool, shape (units, reduced units)
    kinds : ndarray of int, shape (units,)
        The same number for units that the same values hold.
    slots : ndarray of int
        The units of the reduced network, each as often as kinds of units must stand on it.
    serves : ndarray of bool, shape (units, slots)
        Which units are of the kind.
    """

    pinned: IntArray
    allowed: Marks
    kinds: IntArray
    slots: IntArray
    serves: Marks

    @property
    def free(self) -> bool:
        """Whether each unit may stand on each."""
        return bool(self.allowed.all()) and self.slots.size == self.allowed.shape[1]


def holds(ties: Ties, names: Sequence[str], units: IntArray) -> Marks:
    """Which values, a row each, hold which of some units."""
    found = [np.isin(units, ties.units[name]) for name in names]
    return np.array(found, dtype=bool).reshape(len(names), units.size)


def made_by(ties: Ties, makers: Sequence[Sequence[str]], axis: int, units: IntArray) -> Marks:
    """Which units are made by the layers that make an axis, and by none that make others alone."""
    names = {name for some in makers for name in some}
    same = [np.isin(units, ties.units[name]) == (name in makers[axis]) for name in names]
    found: Marks = np.all(same, axis=0)
    return found


def find_parts(here: Marks, there: Marks, pinned: IntArray) -> Parts | None:
    """The parts of an axis; None where no map obeys.

    Parameters
    ----------
    here, there : ndarray of bool, shape (values, units), (values, reduced units)
        Which units values hold that do not hold all.
    pinned : ndarray of int, shape (units,)

    Examples
    --------
    >>> here, there = np.array([[True, True, False]]), np.array([[True, False]])
    >>> parts = find_parts(here, there, np.full(3, -1))
    >>> parts.allowed.tolist(), parts.slots.tolist(), parts.serves.astype(int).tolist()
    ([[True, False], [True, False], [True, True]], [0, 1], [[1, 0], [1, 0], [0, 1]])
    """
    if np.any(here.sum(axis=1) < there.sum(axis=1)):
        return None
    lacking = here.T.astype(int) @ (~there).astype(int)
    allowed: Marks = lacking == 0
    told = np.flatnonzero(pinned >= 0)
    only: Marks = np.arange(there.shape[1]) == pinned[told, None]
    if np.any(only & ~allowed[told]):
        return None
    allowed[told] = only
    if not len(here):
        here, there = np.ones((1, here.shape[1]), bool), np.ones((1, there.shape[1]), bool)
    sets, kinds = np.unique(here, axis=1, return_inverse=True)
    largest = np.argsort(-sets.sum(axis=0), kind="stable")
    slots: list[int] = []
    wanted: list[int] = []
    for unit in range(there.shape[1]):
        left, first = there[:, unit].copy(), True
        for kind in largest.tolist():
            inside = not np.any(sets[:, kind] & ~there[:, unit])
            if inside and (first or np.any(sets[:, kind] & left)):
                slots.append(unit)
                wanted.append(kind)
                left &= ~sets[:, kind]
                first = False
        if left.any() or first:
            return None
    kinds = np.asarray(kinds).ravel()
    serves: Marks = kinds[:, None] == np.array(wanted, dtype=np.int64)
    return Parts(pinned, allowed, kinds, np.array(slots, dtype=np.int64), serves)
