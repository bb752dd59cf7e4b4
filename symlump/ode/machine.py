"""Machine numbers: arrays of 64-bit integers within bounds, denominators stored once, the nearest floats."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm, ldexp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
AnyArray = npt.NDArray[Any]

INT64_SAFE = 2**62


def repeat_one(value: int, count: int, dtype: Any = np.int64) -> AnyArray:
    """An array of one number, which is stored once."""
    return np.broadcast_to(np.array(value, dtype=dtype), (count,))


def as_stored(denominators: AnyArray) -> AnyArray:
    """Denominators as they are stored: one, where all are the same by :func:`repeat_one`."""
    return denominators[:1] if denominators.strides == (0,) else denominators


def all_one(denominators: AnyArray) -> bool:
    """Whether all denominators are 1."""
    return bool(np.all(as_stored(denominators) == 1))


def ends(numbers: AnyArray) -> tuple[int, int]:
    """The least and the largest of some integers; of none, 0."""
    return (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)


def largest(numbers: AnyArray) -> int:
    """The largest absolute value."""
    return max(map(abs, ends(numbers)))


def common_multiple(denominators: IntArray) -> int | None:
    """The least common multiple of positive machine integers; None where it is no such number."""
    shared = 1
    while denominators.size:
        shared = lcm(shared, int(denominators.max()))
        if shared >= INT64_SAFE:
            return None
        denominators = denominators[shared % denominators != 0]
    return shared


def over_one(above: Sequence[IntArray], below: Sequence[IntArray]) -> tuple[IntArray, int] | None:
    """Some vectors as one, over the one denominator that all share; None where they share none, or do not fit.

    Examples
    --------
    >>> numerators, denominator = over_one(
    ...     [np.array([1, 2]), np.array([3])], [repeat_one(2, 2), repeat_one(5, 1)])
    >>> numerators.tolist(), denominator
    ([5, 10, 6], 10)
    """
    stored = [as_stored(part) for part in below]
    shared = None
    if all(part.size == 1 for part in stored):
        shared = common_multiple(np.concatenate(stored))
    if shared is None:
        return None
    scaled = [(part, shared // int(q[0])) for part, q in zip(above, stored, strict=True)]
    if any(k > 1 and largest(part) * k >= INT64_SAFE for part, k in scaled):
        return None
    return np.concatenate([part if k == 1 else part * k for part, k in scaled]), shared


def product_fits(numerators: AnyArray, factors: IntArray) -> bool:
    """Whether the largest product of two numbers is within the bound."""
    return largest(numerators) * largest(factors) < INT64_SAFE


def integer_type(*parts: Sequence[int]) -> Any:
    """Of arrays for some integers: int64 where everything fits."""
    small = all(min(p) > -INT64_SAFE and max(p) < INT64_SAFE for p in parts if p)
    return np.int64 if small else object


def nearest_float(value: Fraction) -> float:
    """The nearest float64, infinite where the number is beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def nearest_root(square: Fraction) -> float:
    """The square root as a float, where the square itself may be beyond all of them.

    Examples
    --------
    >>> nearest_root(Fraction(10) ** 400 * 4)
    2e+200
    """
    if not square:
        return 0.0
    half = (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    try:
        return ldexp(sqrt(square / Fraction(4) ** half), half)
    except OverflowError:
        return float("inf")
