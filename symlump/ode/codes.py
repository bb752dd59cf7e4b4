"""Exact numbers by small integers, which are compared and sorted in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symlump.ode import machine
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray, IntArray


@dataclass(frozen=True, eq=False)
class _Places:
    """Integers close to each other for some integers: these themselves, or the place among the distinct ones.

    Examples
    --------
    >>> _Places.of(np.array([7, 5])).numbers, _Places.of(np.array([10**9, 5])).numbers
    (array([7, 5]), array([1, 0]))
    """

    numbers: IntArray
    least: int
    most: int
    table: IntArray | None = None

    @classmethod
    def of(cls, integers: IntArray, known: tuple[int, int] | None = None) -> _Places:
        """Places for integers, whose ends may be known."""
        least, most = known or machine.ends(integers)
        if most - least <= max(integers.size, 256):
            return cls(integers, least, most)
        table = distinct(integers)
        return cls(np.searchsorted(table, integers), 0, table.size - 1, table)

    def meant(self, places: IntArray) -> IntArray:
        """The integers that have such places."""
        return places if self.table is None else np.asarray(self.table[places])


@dataclass(frozen=True, eq=False)
class Codes:
    """Small integers for numbers, equal for those stored alike only.

    Parameters
    ----------
    numbers : ndarray of int
    ends : pair of int
        No code is below or above.
    meaning : callable
        The numbers that have such codes.

    Examples
    --------
    >>> from fractions import Fraction
    >>> numbers = ExactArray.from_fractions([Fraction(1, 2), Fraction(-3), Fraction(1, 2)])
    >>> codes = Codes.of(numbers)
    >>> first, second, third = codes.numbers
    >>> bool(first == third), bool(first == second), list(codes.meaning(codes.numbers[:2]))
    (True, False, [Fraction(1, 2), Fraction(-3, 1)])
    """

    numbers: IntArray
    ends: tuple[int, int]
    meaning: Callable[[IntArray], ExactArray]

    @classmethod
    def of(cls, values: ExactArray) -> Codes | None:
        """Codes of numbers; None where Python's integers are stored."""
        if values.denominators is None:
            bits = _Places.of(values.numerators.view(np.int64))
            return cls(
                bits.numbers,
                (bits.least, bits.most),
                lambda some: ExactArray(bits.meant(some).view(np.float64)),
            )
        if values.numerators.dtype != np.int64:
            return None
        above, stored = (
            _Places.of(values.numerators, values.ends),
            machine.as_stored(values.denominators),
        )
        if stored.size == 1 or machine.all_one(stored):
            one = int(stored[0]) if stored.size else 1
            return cls(
                above.numbers,
                (above.least, above.most),
                lambda some: ExactArray.from_array(above.meant(some), one),
            )
        below = _Places.of(stored)
        width = below.most - below.least + 1
        return cls(
            (above.numbers - above.least) * width + (below.numbers - below.least),
            (0, (above.most - above.least + 1) * width - 1),
            lambda some: ExactArray(
                above.meant(some // width + above.least), below.meant(some % width + below.least)
            ),
        )
