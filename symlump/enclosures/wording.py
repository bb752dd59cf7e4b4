"""Bounds for display: few digits, never rounded down."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal


def at_most(value: float, digits: int = 4) -> str:
    """A number in few digits, rounded up.

    Examples
    --------
    >>> at_most(0.00123401), at_most(2.0), at_most(-1.23456, 3), at_most(math.inf)
    ('0.001235', '2', '-1.23', 'inf')
    """
    if not math.isfinite(value):
        return f"{value:g}"
    rounded = Context(prec=digits, rounding=ROUND_CEILING).create_decimal(Decimal(value))
    return f"{float(rounded):.{digits}g}"
