"""What hierarchical matrices refuse."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError
from symlump.ode.exact import FloatArray
from symlump.plain_numbers import is_number, is_whole

_LARGEST = 2.0**1000  # far enough from the largest float, 2^1024, for products and sums


def as_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """A finite, non-empty matrix of floats whose norm is below 2^1000, about 1e301.

    Raises
    ------
    MethodError
        With what was given.
    """
    dense = np.asarray(matrix, dtype=np.float64)
    if dense.ndim != 2 or 0 in dense.shape:
        raise MethodError(f"a matrix has two axes, neither empty; got shape {dense.shape}")
    if not np.isfinite(dense).all():
        raise MethodError(
            f"{int((~np.isfinite(dense)).sum())} entries of the matrix are not finite"
        )
    largest = float(np.abs(dense).max())
    if largest * sqrt(dense.size) >= _LARGEST:
        raise MethodError(
            f"an entry of the matrix is as large as {largest:.3g}, so norms would overflow; compress the "
            "matrix divided by a power of two"
        )
    return dense


def check_tol(tol: float) -> None:
    """Refuse a tolerance that is not a finite number ≥ 0.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_number(tol) or not 0 <= tol < inf:
        raise MethodError(f"tol={tol!r}: a relative error is a number ≥ 0, such as 1e-3")


def check_leaf_size(leaf_size: int) -> None:
    """Refuse a leaf size that is not a positive integer.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_whole(leaf_size, 1):
        raise MethodError(f"leaf_size={leaf_size!r}: a number of rows ≥ 1, such as 16")


def check_order(order: str) -> None:
    """Refuse an unknown order.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if order not in ("given", "similarity"):
        raise MethodError(f"order={order!r} is unknown; choose 'given' or 'similarity'")
