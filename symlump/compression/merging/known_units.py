"""What fits at neighbouring tolerances have in common: the units of layers that read nothing that changed.

Such a unit stands for some units of the original, whatever else merged. So its values, and its second moments
with the original's units and with others of its kind, are the same at every tolerance at which it occurs. A
merge tree of n units has n − 1 groups, which are computed once each: all tolerances together cost what two do.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property

import numpy as np

from symlump.compression.moments import Moments
from symlump.ode.exact import FloatArray, IntArray


class SeenGroups:
    """The groups of a value's units that occurred so far, in the order in which they did.

    Parameters
    ----------
    original : ndarray, shape (samples, units, …)
        The value in the original network.
    covariance : ndarray, shape (units, units), optional
        Of the units.
    """

    def __init__(self, original: FloatArray, covariance: FloatArray | None = None) -> None:
        self.original, self._covariance = original, covariance
        self.places: dict[bytes, int] = {}
        self._values: list[FloatArray] = []
        self._moments: dict[bool, GroupMoments] = {}

    def values(self, members: list[bytes], evaluate: Callable[[IntArray], FloatArray]) -> IntArray:
        """Where groups are found, after ``evaluate`` gave the values of those that are new, by number."""
        new = [number for number, key in enumerate(members) if key not in self.places]
        if new:
            for number, part in zip(new, _by_unit(evaluate(np.array(new))), strict=True):
                self.places[members[number]] = len(self._values)
                self._values.append(part)
        return np.array([self.places[key] for key in members], dtype=np.intp)

    @cached_property
    def by_unit(self) -> FloatArray:
        """The original's value with units first: some of them are copied from it in a third of the time."""
        return _by_unit(self.original)

    def of(self, group: int) -> FloatArray:
        """The values of one group."""
        return self._values[group]

    def moments(self, moments: Moments, centred: bool) -> GroupMoments:
        """Second moments of all groups so far, about their means if centred."""
        if centred not in self._moments:
            known = self._covariance if centred else None
            self._moments[centred] = GroupMoments(moments, self.original, centred, known)
        self._moments[centred].include(self._values)
        return self._moments[centred]


class GroupMoments:
    """Second moments of groups, with one another and with all units; each is computed once.

    Parameters
    ----------
    moments : Moments
    original : ndarray, shape (samples, units)
        The units.
    centred : bool
        Whether about means.
    known : ndarray, shape (units, units), optional
        Those of the units.
    """

    def __init__(
        self,
        moments: Moments,
        original: FloatArray,
        centred: bool,
        known: FloatArray | None = None,
    ) -> None:
        self._moments, self._centred = moments, centred
        self._root = moments.root(original, centred)
        units = original.shape[1]
        self.means = moments.mean(original)
        self.units = self._root.T @ self._root if known is None else known
        self.group_means = np.empty(0)
        self._across = np.empty((0, units))
        self._within = np.empty((0, 0))
        self._roots = np.empty((0, len(self._root)))

    @property
    def across(self) -> FloatArray:
        """Of the groups with all units."""
        return self._across[: len(self.group_means)]

    @property
    def within(self) -> FloatArray:
        """Of the groups with one another."""
        known = len(self.group_means)
        return self._within[:known, :known]

    def include(self, values: list[FloatArray]) -> None:
        """Add the groups that are new."""
        known, count = len(self.group_means), len(values)
        if known == count:
            return
        if count > len(self._roots):
            room = max(count, 2 * len(self._roots))
            self._across = _grown(self._across, room, self._across.shape[1])
            self._roots = _grown(self._roots, room, self._roots.shape[1])
            self._within = _grown(self._within, room, room)
        new = np.stack(values[known:]).T
        self.group_means = np.append(self.group_means, self._moments.mean(new))
        root = self._moments.root(new, self._centred)
        self._across[known:count] = root.T @ self._root
        self._roots[known:count] = root.T
        rows = root.T @ self._roots[:count].T
        self._within[known:count, :count] = rows
        self._within[:known, known:count] = rows[:, :known].T


def _by_unit(value: FloatArray) -> FloatArray:
    """A value with units first, the numbers of each side by side."""
    return np.ascontiguousarray(np.moveaxis(value, 1, 0))


def _grown(array: FloatArray, rows: int, columns: int) -> FloatArray:
    """An array with room for more rows and columns."""
    larger = np.empty((rows, columns))
    larger[: array.shape[0], : array.shape[1]] = array
    return larger


class KnownUnits:
    """The units of a value, of which some are groups that were seen before.

    Parameters
    ----------
    seen : SeenGroups
    unit : ndarray of int, shape (units,)
        The new unit of each unit.
    evaluate : callable
        The values of some of the new units, by number.

    Examples
    --------
    >>> h = np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 0.0]])
    >>> known = KnownUnits(SeenGroups(h), np.array([0, 0, 1]), lambda units: h[:, :1] + units)
    >>> known.values().tolist()   # of unit 0 only: unit 1 is as it was
    [[1.0, 5.0], [2.0, 0.0]]
    """

    def __init__(
        self, seen: SeenGroups, unit: IntArray, evaluate: Callable[[IntArray], FloatArray]
    ) -> None:
        self._seen = seen
        self._first = np.unique(unit, return_index=True)[1]
        sizes = np.bincount(unit)
        self._new = np.flatnonzero(sizes == 1)  # alone, and as it was
        self._old = self._first[self._new]
        self._rest = np.flatnonzero(sizes > 1)
        #: The units that are not alone.
        self.moved = np.flatnonzero(sizes[unit] > 1)
        members, ends = np.argsort(unit, kind="stable"), np.cumsum(sizes)
        begins = ends - sizes
        keys = [members[begins[i] : ends[i]].tobytes() for i in self._rest.tolist()]
        self._groups = seen.values(keys, lambda new: evaluate(self._rest[new]))
        self._read: FloatArray | None = None

    def values(self) -> FloatArray:
        """The value with its new units."""
        value = np.take(self._seen.by_unit, self._first, axis=0)
        for place, group in zip(self._rest.tolist(), self._groups.tolist(), strict=True):
            value[place] = self._seen.of(group)
        return np.moveaxis(value, 0, 1)

    def reading(self, weights: FloatArray) -> KnownUnits:
        """The value where some linear functions of the original units are wanted, one a row of weights."""
        known = copy(self)
        known._read = weights
        return known

    def products(
        self, moments: Moments, centred: bool
    ) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray] | None]:
        """Second moments of the new units, and theirs with what is wanted; means of both, if centred.

        What is known takes no pass over the samples.
        """
        known = self._seen.moments(moments, centred)
        cross = known.units[self._first]
        cross[self._rest] = known.across[self._groups]
        gram = np.empty((len(cross), len(cross)))
        gram[:, self._new] = cross[:, self._old]
        gram[np.ix_(self._new, self._rest)] = cross[np.ix_(self._rest, self._old)].T
        gram[np.ix_(self._rest, self._rest)] = known.within[np.ix_(self._groups, self._groups)]
        wanted = cross if self._read is None else cross @ self._read.T
        if not centred:
            return gram, wanted, None
        own = known.means[self._first]
        own[self._rest] = known.group_means[self._groups]
        old = known.means
        return gram, wanted, (own, old if self._read is None else self._read @ old)
