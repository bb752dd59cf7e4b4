"""What fits at neighbouring tolerances have in common: the units of layers that read nothing that changed.

Such a unit stands for some units of the original, whatever else merged. So its values, and their second moments
with the original's units, are the same at every tolerance at which it occurs. A merge tree of n units has n − 1
groups, which are computed once each: all tolerances together cost what two do.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from symlump.compression.merging.values import Memory
from symlump.compression.moments import Moments
from symlump.ode.exact import FloatArray, IntArray


class KnownUnits:
    """The units of a value of which the memory knows some.

    Parameters
    ----------
    memory : Memory
    name : str
        Of the value.
    original : ndarray, shape (samples, units, …)
        The value in the original network.
    unit : ndarray of int, shape (units,)
        The new unit of each unit.

    Examples
    --------
    >>> h = np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 0.0]])
    >>> known = KnownUnits(Memory(), "h", h, np.array([0, 0, 1]))
    >>> known.values(lambda units: h[:, :1] + units).tolist()   # of unit 0 only: unit 1 is as it was
    [[1.0, 5.0], [2.0, 0.0]]
    """

    def __init__(self, memory: Memory, name: str, original: FloatArray, unit: IntArray) -> None:
        self._memory, self._name, self._original = memory, name, original
        self._first = np.unique(unit, return_index=True)[1]
        sizes = np.bincount(unit)
        self._new = np.flatnonzero(sizes == 1)  # alone, and as it was
        self._old = self._first[self._new]
        self._rest = np.flatnonzero(sizes > 1)
        #: The units that are not alone.
        self.moved = np.flatnonzero(sizes[unit] > 1)
        members = np.split(np.argsort(unit, kind="stable"), np.cumsum(sizes)[:-1])
        self._read: FloatArray | None = None
        self._keys = [(name, members[number].tobytes()) for number in self._rest]

    def values(self, evaluate: Callable[[IntArray], FloatArray]) -> FloatArray:
        """The value with its new units; ``evaluate`` gives that of some of them, by number."""
        columns = self._memory.columns
        missing = [i for i, key in enumerate(self._keys) if key not in columns]
        if missing:
            parts = np.moveaxis(evaluate(self._rest[missing]), 1, 0)
            columns |= {self._keys[i]: part.copy() for i, part in zip(missing, parts, strict=True)}
        value = np.take(self._original, self._first, axis=1)
        for number, key in zip(self._rest, self._keys, strict=True):
            value[:, number] = columns[key]
        return value

    def reading(self, weights: FloatArray) -> KnownUnits:
        """The same, of which some linear functions of the original units are wanted, one a row of weights."""
        known = copy(self)
        known._read = weights
        return known

    def products(
        self, moments: Moments, h: FloatArray, centred: bool
    ) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray] | None]:
        """Second moments of the new units, whose values are h, and theirs with what is wanted.

        Means of both, if centred. What is known takes no pass over the samples.
        """
        rest = np.take(h, self._rest, axis=1)
        own = old = None
        if centred:
            old = _kept(self._memory.means, self._name, lambda: moments.mean(self._original))
            own = moments.mean(rest)
        known = _kept(
            self._memory.grams,
            (self._name, centred),
            lambda: moments.products(
                self._original, self._original, None if old is None else (old, old)
            )[0],
        )
        across = self._memory.across
        missing = [i for i, key in enumerate(self._keys) if (*key, centred) not in across]
        if missing:
            means = None if own is None or old is None else (own[missing], old)
            rows = moments.products(rest[:, missing], self._original, means)[1]
            for i, row in zip(missing, rows, strict=True):
                across[*self._keys[i], centred] = row
        cross = known[self._first]
        for number, key in zip(self._rest, self._keys, strict=True):
            cross[number] = across[*key, centred]
        gram = np.empty((len(cross), len(cross)))
        gram[:, self._new] = cross[:, self._old]
        root = moments.root(rest, centred)
        gram[np.ix_(self._new, self._rest)] = cross[np.ix_(self._rest, self._old)].T
        gram[np.ix_(self._rest, self._rest)] = root.T @ root
        wanted = cross if self._read is None else cross @ self._read.T
        if own is None or old is None:
            return gram, wanted, None
        new = old[self._first]
        new[self._rest] = own
        return gram, wanted, (new, old if self._read is None else self._read @ old)


def _kept(memory: dict[Any, FloatArray], key: object, made: Callable[[], FloatArray]) -> FloatArray:
    if key not in memory:
        memory[key] = made()
    return memory[key]
