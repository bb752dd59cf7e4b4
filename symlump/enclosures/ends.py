"""From balls of flint and intervals of mpmath back to floats: one not above, and one not below."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any


def flint_ends(x: Any) -> tuple[float, float]:
    """Floats around a ball of flint; infinite ones where it is no finite ball.

    Examples
    --------
    >>> import pytest
    >>> flint = pytest.importorskip("flint")
    >>> low, high = flint_ends(flint.arb(1) / 3)
    >>> low < high, low.as_integer_ratio()[0] * 3 < low.as_integer_ratio()[1]
    (True, True)
    """
    from flint import arb

    if not x.is_finite():
        return -inf, inf
    below, above = x.lower(), x.upper()
    low, high = float(below), float(above)
    if not arb(low) <= below:  # a comparison of exact balls is decided
        low = nextafter(low, -inf)
    if not arb(high) >= above:
        high = nextafter(high, inf)
    return low, high


def mpmath_ends(x: Any) -> tuple[float, float]:
    """Floats around an interval of mpmath.

    Examples
    --------
    >>> from mpmath import iv
    >>> low, high = mpmath_ends(iv.mpf(1) / 3)
    >>> low < high, low.as_integer_ratio()[0] * 3 < low.as_integer_ratio()[1]
    (True, True)
    """
    from mpmath import libmp

    below, above = x._mpi_
    low, high = libmp.to_float(below), libmp.to_float(above)
    if not _is_float(below) and not libmp.mpf_le(libmp.from_float(low), below):
        low = nextafter(low, -inf)
    if not _is_float(above) and not libmp.mpf_ge(libmp.from_float(high), above):
        high = nextafter(high, inf)
    return low, high


def _is_float(number: tuple[int, int, int, int]) -> bool:
    """True if a number of mpmath surely is a normal float (a quick test, for what has few digits)."""
    _, _, exponent, bits = number
    return 0 < bits <= 53 and -1000 < exponent < 900
