"""Expressions as functions of numbers: evaluated in float64, at many times at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from symlump.errors import NotPolynomialError
from symlump.formats.constant_functions import KNOWN, at_numbers
from symlump.formats.symbolic import CHAINS, SAME
from symlump.ode.functions.known import FUNCTIONS

Floats = NDArray[np.float64]


class FloatArithmetic:
    """Expressions at many times at once, in float64.

    Examples
    --------
    >>> from symlump.formats.flat import Call, evaluate
    >>> times = np.array([0.0, 1.0])
    >>> late = Call(">=", (Call("time"), Fraction(1)))
    >>> evaluate(late, {}, FloatArithmetic(times)).tolist()
    [0.0, 1.0]
    """

    def __init__(self, times: Floats) -> None:
        self.times = times

    def begin(self) -> None:
        """Nothing is counted."""

    def number(self, value: Fraction) -> Floats:
        """A number, at every time."""
        return np.full(self.times.shape, float(value))

    def copy(self, value: Floats) -> Floats:
        """Arrays are not changed by anyone."""
        return value

    def truth(self, value: Floats) -> bool | None:
        """Conditions hold at some times."""
        return None

    def apply(self, operator: str, arguments: Sequence[Floats], place: Hashable = None) -> Floats:
        """An operation, time by time; NaN where it has no value."""
        if operator == "time":
            return self.times
        with np.errstate(all="ignore"):
            if operator == "+":
                return np.asarray(np.add.reduce([self.number(Fraction(0)), *arguments]))
            if operator == "-":
                return -arguments[0] if len(arguments) == 1 else arguments[0] - arguments[1]
            if operator == "*":
                return np.asarray(np.multiply.reduce([self.number(Fraction(1)), *arguments]))
            if operator == "/":
                return np.divide(*arguments)
            if operator == "^":
                return np.asarray(np.power(*arguments))
            name = SAME.get(operator, operator)
            if name in CHAINS:  # a < b < c
                pairs = zip(arguments, arguments[1:], strict=False)
                holds = [FUNCTIONS[name].values(a, b) for a, b in pairs]
                return np.asarray(np.multiply.reduce([self.number(Fraction(1)), *holds]))
            if name in FUNCTIONS and arguments and operator not in _OTHERWISE:
                return np.asarray(FUNCTIONS[name].values(*arguments), dtype=np.float64)
        if not arguments:
            return self.number(at_numbers(operator, [])[0])
        return np.array([_at(operator, row) for row in zip(*arguments, strict=True)])


#: Operators of one name here and in right-hand sides that mean something else, or have other arguments.
_OTHERWISE = {"log", "power", "inverse"}


def _at(operator: str, arguments: Sequence[float]) -> float:
    try:
        return float(at_numbers(operator, [Fraction(value) for value in arguments])[0])
    except NotPolynomialError:
        if operator not in KNOWN:
            raise
        return float("nan")  # there is no value here
    except (ValueError, OverflowError):
        return float("nan")
