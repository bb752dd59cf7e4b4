"""Boxes of initial states as users write them, and what they imply for the base and the error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import InputError, MethodError, VariableError
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.lumping.solutions.aggregate import AnyLumping
    from symlump.ode.system import ODE


def read_box(ode: ODE, box: Any) -> FloatArray:
    """A box of states as an array of floats, rounded outward.

    Parameters
    ----------
    box : mapping or array_like, shape (variables, 2)
        {variable: (low, high)} or {variable: value}, for all variables and parameters; or rows (low, high).

    Raises
    ------
    VariableError
        If a name is unknown or missing.
    InputError
        If something is not a finite range with low ≤ high.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x, k = sympy.symbols("x k")
    >>> ode = PolynomialODE.from_sympy({x: -k*x}, parameters=[k])
    >>> read_box(ode, {"x": (0, 1), k: 2}).tolist()
    [[0.0, 1.0], [2.0, 2.0]]
    """
    if isinstance(box, Mapping):
        given: dict[int, Any] = {}
        for key, value in box.items():
            position = ode.position(key)
            if position in given:
                raise VariableError(f"the box gives {ode.variables[position]!r} twice")
            given[position] = value
        missing = [name for i, name in enumerate(ode.variables) if i not in given]
        if missing:
            shown = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
            raise VariableError(
                f"the box gives no range for {shown}; it needs (low, high), or a value, for every variable and "
                "parameter"
            )
        rows = [given[i] for i in range(len(ode))]
    else:
        try:
            rows = list(box)
        except TypeError:
            rows = []
        if len(rows) != len(ode) or any(np.shape(row) != (2,) for row in rows):
            raise InputError(
                f"a box of this system is {{variable: (low, high)}} or an array of shape ({len(ode)}, 2); "
                f"got {_shown(box)}"
            )
    return np.array(
        [_ends(name, row) for name, row in zip(ode.variables, rows, strict=True)], dtype=np.float64
    ).reshape(len(ode), 2)


def _ends(name: str, row: Any) -> tuple[float, float]:
    wanted = (
        f"the range of {name!r} is (low, high) with finite numbers low ≤ high; got {_shown(row)}"
    )
    pair = row if isinstance(row, tuple | list | np.ndarray) else (row, row)
    try:
        low, high = (Fraction(end) for end in pair)
    except (TypeError, ValueError, OverflowError):
        raise InputError(wanted) from None
    ends = floor(low), ceiling(high)
    if low > high or not all(map(math.isfinite, ends)):
        raise InputError(wanted)
    return ends


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "…"


def floor(value: Fraction) -> float:
    """The largest float that is not above a rational (or the next one below it)."""
    return -ceiling(-value) + 0.0  # not −0


def ceiling(value: Fraction) -> float:
    """The smallest float that is not below a rational (or the next one above it)."""
    try:
        nearest = float(value)
    except OverflowError:
        return math.inf if value > 0 else -np.finfo(np.float64).max.item()
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def initial_sets(
    lumping: AnyLumping, box: FloatArray, spread: float
) -> tuple[FloatArray, FloatArray]:
    """Boxes of the base and of the error at time 0.

    Forward, or of a linear lumping: x(0) in the box and e(0) = 0. Backward: with m_B the mean of block B at
    time 0, y(0) = m and e(0) = x(0) − U·m, for x(0) in the box with no two members of a block further apart
    than ``spread``.

    Returns
    -------
    (ndarray, ndarray), shapes (base, 2) and (errors, 2)

    Raises
    ------
    MethodError
        If ``spread`` is negative, not a number, or given for a forward or linear lumping.
    InputError
        If the box has no such state.
    """
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not spread >= 0:
        raise MethodError(f"spread={spread!r}: the spread inside blocks is a number, 0 or larger")
    if lumping.kind == "linear" or lumping.method.direction == "forward":
        if spread:
            kind = "linear" if lumping.kind == "linear" else "forward"
            raise MethodError(
                f"a {kind} lumping holds for any initial state, so spread has no effect; "
                "the box gives the initial states"
            )
        return box, np.zeros((len(lumping.quotient), 2))
    partition = lumping.partition
    base, error = np.zeros((len(partition), 2)), np.zeros((len(lumping.ode), 2))
    for number, block in enumerate(partition.blocks):
        low, high = box[block, 0], box[block, 1]
        least, most = float(low.max()), float(high.min())  # what is in all members' ranges
        if Fraction(least) - Fraction(most) > spread:
            names = lumping.blocks[number]
            raise InputError(
                f"no state of the box has members of the block {', '.join(names[:6])} within {spread:g} of "
                f"each other: one starts at {least:g} or above, another at {most:g} or below. A backward "
                "lumping is about members that start equal; say how far apart they may start: spread=… "
                "(on the command line: --spread)"
            )
        if spread == 0 or len(block) == 1:
            base[number] = least, most
            continue
        size = len(block)
        sums = [sum(map(Fraction, end.tolist()), Fraction(0)) / size for end in (low, high)]
        base[number] = floor(sums[0]), ceiling(sums[1])
        room = math.inf
        if math.isfinite(spread):
            room = ceiling(Fraction(spread) * (size - 1) / size)
            base[number, 0] = max(base[number, 0], floor(Fraction(least) - Fraction(spread)))
            base[number, 1] = min(base[number, 1], ceiling(Fraction(most) + Fraction(spread)))
        for i in block.tolist():
            below = floor(Fraction(box[i, 0]) - Fraction(base[number, 1]))
            above = ceiling(Fraction(box[i, 1]) - Fraction(base[number, 0]))
            error[i] = max(-room, below), min(room, above)
    return base, error
