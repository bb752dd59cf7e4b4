"""The distinct values of an array, by one sort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
