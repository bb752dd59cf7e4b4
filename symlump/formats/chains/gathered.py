"""Transitions that come in pieces, in arrays with room for all of them.

Memory that a process has not had before costs more than what is done with it here. So pieces are not kept until
they can be joined, and what follows is done in place.
"""

from __future__ import annotations

from math import lcm

import numpy as np
from numpy.typing import NDArray

from symlump.ode import machine
from symlump.ode.exact import ExactArray

Ints = NDArray[np.int64]

_LEAST = 1 << 10
_CHUNK = 1 << 15  # so many are moved at a time, by way of the cache


class Gathered:
    """Where transitions start and stop, and their numbers.

    Parameters
    ----------
    expected : int
        So many have room; more are taken, too.

    Examples
    --------
    >>> found = Gathered(5)
    >>> found.append(np.array([0, 1]), np.array([1, 1]), ExactArray.from_array(np.array([5, 7])))
    >>> found.append(np.array([1]), np.array([0]), ExactArray.from_array(np.array([3]), 2))
    >>> found.pop_loops().tolist()
    [1]
    >>> keys, values = found.pop_terms(2)
    >>> keys.tolist(), list(values)
    ([1, 2], [Fraction(3, 2), Fraction(5, 1)])
    """

    def __init__(self, expected: int) -> None:
        self._size, self._shared = 0, 1
        self._columns = [np.empty(max(expected, _LEAST), dtype=np.int64) for _ in range(3)]
        #: The numbers, where they are no machine integers over one denominator.
        self._parts: list[ExactArray] = []

    def append(self, start: Ints, stop: Ints, values: ExactArray) -> None:
        """Add some transitions."""
        if not start.size:
            return
        begin, end = self._size, self._size + start.size
        if end > self._columns[0].size:
            for k, column in enumerate(self._columns):
                self._columns[k] = np.empty(max(end, 2 * column.size), dtype=np.int64)
                self._columns[k][:begin] = column[:begin]
        self._columns[0][begin:end] = start
        self._columns[1][begin:end] = stop
        if self._parts:
            self._parts.append(values)
        elif not self._written(values, begin, end):
            self._parts = [self.values, values]
        self._size = end

    def _written(self, values: ExactArray, begin: int, end: int) -> bool:
        """Write numerators over the denominator that all share, if machine integers hold them."""
        below = values.denominators
        if below is None or values.numerators.dtype != np.int64:
            return False
        if machine.as_stored(below).size > 1:
            return False
        shared = lcm(self._shared, int(below[0]))
        factor, factor_before = shared // int(below[0]), shared // self._shared
        column = self._columns[2]
        if factor > 1 or factor_before > 1:
            most = machine.largest(values.numerators) * factor
            if (
                factor_before > 1
            ):  # not for every piece, but as often as 64 bits hold a longer denominator
                most = max(most, machine.largest(column[:begin]) * factor_before)
            if max(shared, most) >= machine.INT64_SAFE:
                return False
            if factor_before > 1:
                column[:begin] *= factor_before
        np.multiply(values.numerators, factor, out=column[begin:end])
        self._shared = shared
        return True

    @property
    def start(self) -> Ints:
        """Where the transitions start."""
        return self._columns[0][: self._size]

    @property
    def stop(self) -> Ints:
        """Where they stop."""
        return self._columns[1][: self._size]

    @property
    def values(self) -> ExactArray:
        """Their numbers."""
        if not self._parts:
            return ExactArray.from_array(self._columns[2][: self._size], self._shared)
        if len(self._parts) > 1:
            self._parts = [ExactArray.concatenate(self._parts)]
        return self._parts[0]

    def copy(self) -> tuple[Ints, Ints, ExactArray]:
        """Start, stop and number of the transitions as they are now, which nothing else changes."""
        values = self.values
        kept = ExactArray(values.numerators.copy(), values.denominators)
        return self.start.copy(), self.stop.copy(), kept

    def pop_loops(self) -> Ints:
        """Take out the transitions that stop where they start; returns where that is."""
        moves = self.start != self.stop
        loops: Ints = self.start[~moves]
        if loops.size:
            self._parts = [values.take(moves) for values in [self.values] if self._parts]
            for column in self._columns:
                _squeeze(column, moves)
            self._size -= loops.size
        return loops

    def pop_terms(self, count: int) -> tuple[Ints, ExactArray]:
        """Keys stop · count + start in ascending order, and the numbers in their order; takes out all."""
        keys, values = self.stop, self.values
        keys *= count
        keys += self.start
        self._columns, self._parts, self._size = [], [], 0
        return values.sorted_by(keys, used_up=True)


def _squeeze(column: Ints, kept: NDArray[np.bool_]) -> None:
    """Move the kept ones to the front."""
    place = 0
    for begin in range(0, kept.size, _CHUNK):
        part = column[begin : min(begin + _CHUNK, kept.size)][kept[begin : begin + _CHUNK]]
        column[place : place + part.size] = part
        place += part.size
