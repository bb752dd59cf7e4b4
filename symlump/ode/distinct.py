"""Sorting integers, and their distinct values; names that have to be distinct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import UnknownVariableError, VariableError
from symlump.suggest import did_you_mean

if TYPE_CHECKING:
    from symlump.ode.exact import IntArray


def extent(numbers: IntArray) -> tuple[int, int]:
    """The least of some integers, one at least, and how many bits there are above it.

    Examples
    --------
    >>> extent(np.array([-3, 5, 0]))
    (-3, 4)
    """
    least = int(numbers.min())
    return least, (int(numbers.max()) - least).bit_length()


_CHUNK = 1 << 16
FEW = 1000  # where finding out how to sort takes longer than sorting


def order_of(keys: IntArray) -> IntArray:
    """An order that sorts integers; of equal ones any may come first.

    Parameters
    ----------
    keys : ndarray of int, shape (n,)

    Examples
    --------
    >>> order_of(np.array([3, 1, 3, 2])).tolist()
    [1, 3, 0, 2]
    """
    return sort_with_order(keys.astype(np.int64))[0]


def sort_with_order(keys: IntArray) -> tuple[IntArray, IntArray]:
    """An order that sorts integers, as :func:`order_of` gives it, and the sorted ones; uses the integers up.

    Where a number and its position fit into 63 bits, they are sorted as one number each: on processors for
    which numpy has a vectorized sort that takes a quarter of the time of ``numpy.argsort``, on others as long.

    Parameters
    ----------
    keys : ndarray of int, shape (n,)

    Examples
    --------
    >>> order, ordered = sort_with_order(np.array([3, 1, 3, 2]))
    >>> order.tolist(), ordered.tolist()
    ([1, 3, 0, 2], [1, 2, 3, 3])
    """
    if keys.size < FEW:
        order = np.argsort(keys)
        return order, keys[order]
    (least, bits), width = extent(keys), keys.size.bit_length()
    if bits + width > 63:
        order = np.argsort(keys)
        return order, keys[order]
    packed = keys.astype(np.int64, copy=False)
    packed -= least
    packed <<= width
    for begin in range(0, packed.size, _CHUNK):  # positions are not all in memory
        part = packed[begin : begin + _CHUNK]
        part |= np.arange(begin, begin + part.size)
    packed.sort()
    ordered = packed >> width
    ordered += least
    packed &= (1 << width) - 1
    return packed, ordered


def distinct(values: IntArray) -> IntArray:
    """The distinct values in ascending order, as ``numpy.unique`` gives them.

    A sort and a comparison of neighbours: numpy 2.3 and later put the values into a hash table instead, which
    takes ten times as long where most of them are distinct.

    Parameters
    ----------
    values : ndarray of int, shape (n,)

    Examples
    --------
    >>> distinct(np.array([3, 1, 3, 2])).tolist()
    [1, 2, 3]
    """
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.asarray(ordered[first])


_SPARSE = 16  # a table of so many places for each number takes longer than sorting the numbers


def places_of(numbers: IntArray, width: int) -> tuple[IntArray, IntArray]:
    """The distinct ones of some numbers from 0 to ``width`` − 1, ascending, and where among them each stands.

    As ``numpy.unique`` gives both, without sorting where numbers are not much fewer than what they can be.

    Examples
    --------
    >>> [found.tolist() for found in places_of(np.array([3, 1, 3, 2]), 5)]
    [[1, 2, 3], [2, 0, 2, 1]]
    """
    if width > _SPARSE * numbers.size:
        used = distinct(numbers)
        return used, np.searchsorted(used, numbers)
    place = np.zeros(width, dtype=np.int64)
    place[numbers] = 1
    used = np.flatnonzero(place)
    place[used] = np.arange(used.size)
    return used, place[numbers]


def index_of(names: tuple[str, ...]) -> dict[str, int]:
    """Position of each name.

    Raises
    ------
    VariableError
        If a name occurs twice.
    """
    index = dict(zip(names, range(len(names)), strict=True))
    if len(index) < len(names):
        twice = next(name for i, name in enumerate(names) if index[name] != i)
        raise VariableError(f"variable {twice!r} is declared twice")
    return index


def position_of(variable: object, index: Mapping[str, int]) -> int:
    """The position of a variable that is given as a name, a symbol or a number.

    Raises
    ------
    VariableError
        If there is no such variable.
    """
    if isinstance(variable, int | np.integer):
        if 0 <= variable < len(index):
            return int(variable)
        raise VariableError(f"variable number {variable} is outside 0…{len(index) - 1}")
    name = str(variable)
    if name in index:
        return index[name]
    shown = ", ".join(list(index)[:8]) + (", …" if len(index) > 8 else "")
    meant = did_you_mean(name, index, "it has ")
    raise UnknownVariableError(f"{name!r} is not a variable of this system{meant}{shown}")
