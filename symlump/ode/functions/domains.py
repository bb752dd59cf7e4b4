"""Where a function of a system has no value, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.distinct import distinct
from symlump.ode.exact import FloatArray
from symlump.ode.functions.algebra import constant_of
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.printing import symbol_text

if TYPE_CHECKING:
    from symlump.ode.functions.generators import Generators
    from symlump.ode.system import ODE

_MAX_LENGTH = 80
_STEEP = 1e6  # so much larger than the state: what a function is just before a pole
#: Functions that have a value at every number; where they have none as a float, it is too large.
ENTIRE = {"exp", "sinh", "cosh"}


def outside(ode: ODE, x: FloatArray, time: float = 0.0) -> str:
    """Which function has no finite value at a state, and what its argument is there; empty if all have.

    Parameters
    ----------
    ode : ODE
    x : ndarray, shape (variables,)
    time : float

    Examples
    --------
    >>> import numpy as np, symlump as sl
    >>> ode = sl.ODE.from_text("x' = -ln(x); y' = 1/(x - y); z' = x^0.5*exp(y)")
    >>> for state in ([0, 1, 0], [2, 2, 0], [-4, 1, 0], [1, 800, 0], [1, 0, 0]):
    ...     print(outside(ode, np.array(state, dtype=float)))
    ln(x) is infinite where its argument is 0
    1/(x - y) is infinite where its denominator is 0
    ln(x) has no real value where its argument is -4
    exp(y) is beyond what floats hold where its argument is 800
    <BLANKLINE>
    """
    generators = ode.generators
    if generators is None:
        return ""
    symbols = generators.values(x, time)
    bad = ~np.isfinite(symbols[generators.first :])
    for batch in generators.batches:  # arguments come first: those of the first one have values
        for k in batch.members[bad[batch.members]].tolist():
            return _said(ode, generators, k, symbols)
    return ""


def undefined_number(ode: ODE) -> str:
    """A function of numbers alone that has no value, such as asin(2); empty if there is none.

    Examples
    --------
    >>> import symlump as sl
    >>> from fractions import Fraction
    >>> from symlump.ode.substitute import substitute
    >>> ode = sl.ODE.from_text("x' = ln(y) + asin(y)*exp(x); y' = 0")
    >>> [undefined_number(substitute(ode, {"y": Fraction(value)})) for value in (1, 2)]
    ['', 'asin(2)']
    """
    generators = ode.generators
    if generators is None:
        return ""
    moving = generators.owners[distinct(generators.arguments.occurrences()[0])]
    arguments = np.diff(generators.starts)
    arguments[moving] = 0
    for k in np.flatnonzero(arguments).tolist():
        name, u = generators.functions[k], map(constant_of, generators.arguments_of(k))
        numbers = [float(value) for value in u if value is not None]
        if name not in FUNCTIONS:
            continue
        with np.errstate(all="ignore"):
            value = float(FUNCTIONS[name].values(*map(np.float64, numbers)))
        if np.isnan(value) or (np.isinf(value) and name not in (*ENTIRE, "power", "factorial")):
            return _written(ode, len(ode) + k)
    return ""


def steepest(ode: ODE, x: FloatArray, time: float = 0.0) -> str:
    """Which function is very large at a state that is not, as just before a pole; empty if none is.

    Examples
    --------
    >>> import numpy as np, symlump as sl
    >>> steepest(sl.ODE.from_text("x' = -1/x"), np.array([1e-9]))
    '1/x is 1e+09 there'
    """
    generators = ode.generators
    if generators is None or not len(generators) or not np.isfinite(x).all():
        return ""
    values = np.abs(generators.values(x, time)[generators.first :])
    k = int(np.argmax(np.where(np.isfinite(values), values, 0)))
    if not values[k] > _STEEP * max(1.0, float(np.abs(x).max(initial=0.0))):
        return ""
    return f"{_written(ode, generators.first + k)} is {values[k]:.3g} there"


def _said(ode: ODE, generators: Generators, k: int, symbols: FloatArray) -> str:
    name, value = generators.functions[k], symbols[generators.first + k]
    rows = slice(int(generators.starts[k]), int(generators.starts[k + 1]))
    u = (generators.arguments.matrix @ generators.arguments.monomials.evaluate(symbols))[rows]
    if name == "inverse":
        where = f"its denominator is {_digits(u[0])}"
    elif name == "power":
        where = f"its base is {_digits(u[0])}"
        if u[0] >= 0:
            where += f" and its exponent {_digits(u[1])}"
    elif u.size:
        where = f"its argument is {', '.join(f'{_digits(a)}' for a in u)}"
    else:
        where = "it stands"
    if not np.isnan(value):
        large = name in ENTIRE or (name == "power" and u[0]) or (name == "inverse" and u[0])
        what = "is beyond what floats hold" if large else "is infinite"
    else:
        what = "has no real value"
    return f"{_written(ode, generators.first + k)} {what} where {where}"


def _digits(value: float) -> str:
    """Few digits, unless they say another number that may be in the domain."""
    text = f"{value:.6g}"
    return text if float(text) == value or not float(text).is_integer() else repr(float(value))


def _written(ode: ODE, symbol: int) -> str:
    text = symbol_text(ode, symbol)
    return text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
