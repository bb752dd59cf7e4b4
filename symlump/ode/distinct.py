"""The distinct values of an array, by one sort; names that have to be distinct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import VariableError

if TYPE_CHECKING:
    from symlump.ode.exact import IntArray


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


def index_of(names: tuple[str, ...]) -> dict[str, int]:
    """Position of each name.

    Raises
    ------
    VariableError
        If a name occurs twice.
    """
    index = {name: i for i, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for i, name in enumerate(names) if index[name] != i)
        raise VariableError(f"variable {twice!r} is declared twice")
    return index
