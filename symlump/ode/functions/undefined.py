"""Functions that have no value anywhere where variables are equal, such as 1/(max(x, y) − x) at x = y.

What is a value is found by trying states; that a function has none is not proved so, and not said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.ode.distinct import distinct
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.functions.domains import ENTIRE
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.printing import symbol_text

if TYPE_CHECKING:
    from symlump.ode.functions.generators import Batch, Generators
    from symlump.ode.system import ODE

#: How many states are tried, of sizes from one to the other end of this range of powers of 10.
STATES, _SIZES = 64, (-6.0, 6.0)
#: A sum that is so near a whole number, against the size of its terms, is taken as that number.
_ROUNDING = 1e-11
#: Of exp and its like at larger numbers nothing is said, as floats hold no products of such values.
_LARGEST = 200.0


def without_value(ode: ODE, labels: IntArray, seed: int = 0) -> str:
    """A function that has values at some states, and at none of those tried with equal variables in blocks.

    Parameters
    ----------
    ode : ODE
    labels : ndarray of int64, shape (variables,)
        The block of each variable.
    seed : int
        Of the states that are tried.

    Returns
    -------
    str
        The first such function of an equation; empty if there is none.

    Examples
    --------
    >>> import symlump as sl
    >>> together = np.zeros(2, dtype=np.int64)
    >>> for text in ("1/(max(x, y) - x)", "mod(x, x - y)", "1/(exp(x)*exp(-y) - 1)", "1/(exp(x - y) + 1)"):
    ...     print(without_value(sl.ODE.from_text(f"x' = {text}; y' = {text}"), together) or "has values")
    1/(x - max(x, y))
    mod(x, x - y)
    1/(-1 + exp(x)*exp(-y))
    has values
    """
    generators = ode.generators
    if generators is None:
        return ""
    symbols = distinct(Polynomials.of_system(ode).occurrences()[1])
    doubtful = symbols[symbols >= len(ode)] - len(ode)
    draw = np.random.default_rng(seed)
    count = int(labels.max(initial=-1)) + 1
    lost = np.zeros(doubtful.size, dtype=bool)
    for number in range(STATES):
        if not doubtful.size:
            return ""
        x, time = _state(draw, count, number)
        value = _values(generators, x[labels], time)[len(ode) + doubtful]
        left = ~np.isfinite(value)
        doubtful, lost = doubtful[left], (lost | np.isnan(value))[left]
    doubtful = doubtful[lost]
    for number in range(STATES):
        value = _values(generators, *_state(draw, len(ode), number))[len(ode) + doubtful]
        if np.isfinite(value).any():
            return symbol_text(ode, len(ode) + int(doubtful[np.isfinite(value)][0]))
    return ""


def _state(draw: np.random.Generator, count: int, number: int) -> tuple[FloatArray, float]:
    """A state and a time: positive numbers or any, of one size or of many, the first ones of about 1."""
    low, high = (end * number / STATES for end in _SIZES)
    x = draw.uniform(0.25, 2.0, count) * 10 ** draw.uniform(
        low, high, count if number % 4 > 1 else 1
    )
    if number % 2:
        x *= draw.choice([-1.0, 1.0], count)
    return x, float(draw.uniform(0, 2.0))


def _values(generators: Generators, x: FloatArray, time: float) -> FloatArray:
    """Variables and functions at a state: not a number where there is none, inf where floats do not tell."""
    symbols = np.zeros(generators.first + len(generators))
    symbols[: generators.first] = x
    inside = np.zeros(generators.arguments.count)
    with np.errstate(all="ignore"):
        for (rows, batches), part in zip(generators.levels, generators.parts, strict=True):
            inside[rows] = _sums(part, symbols)
            for batch in batches:
                u = [inside[own] for own in batch.arguments]
                symbols[generators.first + batch.members] = _applied(batch, u, time)
    return symbols


def _sums(part: Polynomials, symbols: FloatArray) -> FloatArray:
    terms = part.coefficients.to_float() * part.monomials.evaluate(symbols)[part.columns]
    value, size = (np.bincount(part.rows, w, part.count) for w in (terms, abs(terms)))
    whole = np.rint(value)
    value = np.where(abs(value - whole) <= _ROUNDING * size, whole, value)
    return np.asarray(np.where(np.isinf(size), np.inf, value))


def _applied(batch: Batch, u: list[FloatArray], time: float) -> Any:
    """A function of its arguments; what a piecewise function does not choose needs no value."""
    name = batch.function
    if name == "time":
        return time
    if name not in FUNCTIONS:
        return np.inf
    value = np.asarray(FUNCTIONS[name].values(*u), dtype=np.float64)
    needed = u
    if name == "piecewise":
        needed = u[1::2]
    elif name in ENTIRE:
        value = np.where(abs(u[0]) > _LARGEST, np.inf, value)
    else:
        value = np.where(np.isinf(value), np.nan, value)
    for test, mark in ((np.isinf, np.inf), (np.isnan, np.nan)):
        for argument in needed:
            value = np.where(test(argument), mark, value)
    return value
