"""Boxes of inputs, as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.enclosures.interval import Interval
from symlump.errors import FailureError, MethodError
from symlump.ode.exact import FloatArray


def ensure_finite(x: Interval, what: str) -> None:
    """Raise if numbers left the range of float64.

    Raises
    ------
    FailureError
        Naming what overflowed.
    """
    if not (np.isfinite(x.lower).all() and np.isfinite(x.upper).all()):
        raise FailureError(
            f"{what} overflow float64 on this box, so nothing can be certified; take a smaller box"
        )


def as_box(box: Any, inputs: int) -> Interval:
    """Read a box of inputs.

    Parameters
    ----------
    box : (low, high) or ndarray, shape (inputs, 2)
        A pair of numbers or of arrays of shape (inputs,); or one row (low, high) for each input.

    Raises
    ------
    MethodError
        If it is of another shape, not finite, or empty.

    Examples
    --------
    >>> as_box((-1, 1), 2).lower.tolist(), as_box(np.array([[-1, 1], [0, 2]]), 2).lower.tolist()
    ([-1.0, -1.0], [-1.0, 0.0])
    """
    expected = f"a box is (low, high), each a number or {inputs} numbers, or an array of shape ({inputs}, 2)"
    if inputs == 2 and isinstance(box, list) and np.ndim(box) == 2:
        raise MethodError(
            "this list of two pairs can be read in two ways; give a tuple (low, high), or a numpy array "
            "with one row for each of the two inputs"
        )
    try:
        if isinstance(box, np.ndarray) and box.shape == (inputs, 2):
            low, high = np.array(box, dtype=np.float64).T
        else:
            low, high = (
                np.broadcast_to(np.asarray(end, dtype=np.float64), (inputs,)) for end in _pair(box)
            )
    except (TypeError, ValueError, OverflowError):
        raise MethodError(f"{expected}; got {box!r}") from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise MethodError(f"{expected}, with finite low ≤ high; got {box!r}")
    return Interval(np.array(low), np.array(high))


def samples_of(box: Interval, count: int, generator: np.random.Generator) -> FloatArray:
    """Uniform samples of a box, of shape (count, inputs); its width may be beyond all floats.

    Examples
    --------
    >>> box = as_box((-1e308, 1e308), 2)
    >>> bool(np.isfinite(samples_of(box, 5, np.random.default_rng(0))).all())
    True
    """
    share = generator.uniform(size=(count, box.lower.size))
    return np.asarray(np.clip((1 - share) * box.lower + share * box.upper, box.lower, box.upper))


def _pair(box: Any) -> tuple[Any, Any]:
    rows = tuple(box)
    if len(rows) == 2:
        return rows[0], rows[1]
    columns = np.asarray(box)
    if columns.ndim != 2 or columns.shape[1] != 2:
        raise ValueError
    return columns[:, 0], columns[:, 1]
