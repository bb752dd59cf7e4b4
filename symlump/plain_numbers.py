"""Which values are numbers, and options that become Python's own."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any


def with_plain_numbers(check: Callable[[Any], None] | None) -> Callable[[Any], None]:
    """What checks the options of a method, after numbers of numpy and fractions became Python's own.

    Examples
    --------
    >>> import numpy as np
    >>> from fractions import Fraction
    >>> from symlump import AFDE
    >>> AFDE(retain=Fraction(1, 2), steps=np.int64(3)).retain, AFDE(eps=np.float32(0.25)).eps
    (0.5, 0.25)
    """

    def checked(self: Any) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Real) and not isinstance(value, int | float):
                plain = int(value) if isinstance(value, Integral) else float(value)
                object.__setattr__(self, name, plain)
        if check is not None:
            check(self)

    return checked


def is_number(value: object) -> bool:
    """Whether it is a real number; True and False are none, though Python calculates with them.

    Examples
    --------
    >>> is_number(0.5), is_number(2), is_number(True), is_number("2")
    (True, True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object, least: int) -> bool:
    """Whether it is a whole number, written as one, and at least so large.

    Examples
    --------
    >>> is_whole(2, 1), is_whole(0, 1), is_whole(2.0, 1), is_whole(True, 1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
