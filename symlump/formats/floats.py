"""Expressions as functions of numbers: evaluated in float64, at many times at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlump.errors import NotPolynomialError
from symlump.formats.constant_functions import KNOWN, at_numbers
from symlump.formats.flat import Call, Expression
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
        with np.errstate(all="ignore"):
            return np.broadcast_to(apply(operator, arguments, self.times), self.times.shape)


class Program:
    """An expression in the order of a stack machine, for those who evaluate it often.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> program = Program(Call("+", ("x", Call("*", (Fraction(2), Call("time"))))))
    >>> program({"x": np.array([1.0, 1.0])}, np.array([0.0, 3.0])).tolist(), float(program({"x": 1.0}, 2.0))
    ([1.0, 7.0], 5.0)
    """

    def __init__(self, expression: Expression) -> None:
        steps: list[tuple[str, float | str, int]] = []
        tasks: list[Expression] = [expression]
        # Each node, then its arguments, last ones first: backwards, that is their order.
        while tasks:
            node = tasks.pop()
            if isinstance(node, Call):
                steps.append(("apply", node.operator, len(node.arguments)))
                tasks += node.arguments
            elif isinstance(node, str):
                steps.append(("name", node, 0))
            else:
                steps.append(("number", float(node), 0))
        self._steps = steps[::-1]

    def __call__(self, values: Mapping[str, Any], times: Floats | float) -> Any:
        """Its value at one time or several: a number, or an array like ``times``."""
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for kind, what, count in self._steps:
                if kind == "number":
                    stack.append(what)
                elif kind == "name":
                    stack.append(values[str(what)])
                else:
                    first = len(stack) - count
                    arguments = stack[first:]
                    del stack[first:]
                    stack.append(apply(str(what), arguments, times))
        shape = np.shape(times)
        return stack[0] if np.shape(stack[0]) == shape else np.broadcast_to(stack[0], shape)


def apply(operator: str, arguments: Sequence[Any], times: Any) -> Any:
    """An operation on numbers and arrays; NaN where it has no value."""
    if operator == "time":
        return times
    if operator == "+":
        return sum(arguments[1:], arguments[0]) if arguments else 0.0
    if operator == "-":
        return -arguments[0] if len(arguments) == 1 else arguments[0] - arguments[1]
    if operator == "*":
        return reduce(mul, arguments) if arguments else 1.0
    if operator == "/":
        return np.divide(*arguments)
    if operator == "^":
        return np.power(*(np.asarray(a, dtype=np.float64) for a in arguments))
    name = SAME.get(operator, operator)
    if name in CHAINS:  # a < b < c
        pairs = zip(arguments, arguments[1:], strict=False)
        return reduce(mul, [FUNCTIONS[name].values(a, b) for a, b in pairs], 1.0)
    if name in FUNCTIONS and arguments and operator not in _OTHERWISE:
        return np.asarray(FUNCTIONS[name].values(*arguments), dtype=np.float64)
    if not arguments:
        return float(at_numbers(operator, [])[0])
    rows = np.broadcast_arrays(*arguments)
    results = [_at(operator, row) for row in zip(*(row.ravel() for row in rows), strict=True)]
    return np.array(results).reshape(rows[0].shape)


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
