"""Certified bounds of the error that a quotient of a map makes over some steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic
from symlump.errors import MethodError
from symlump.lumping.error_bound import ErrorBound
from symlump.lumping.solutions.comparison import NORMS, norms
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.lumping.solutions.functional import autonomous
from symlump.lumping.solutions.initial import initial_sets, read_box
from symlump.lumping.solutions.iterated import iterate
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping

_MOST_STEPS = 1 << 16


def map_bound(
    lumping: Lumping,
    steps: object,
    box: Any,
    norm: str,
    spread: float,
    arithmetic: Arithmetic,
    within: tuple[FloatArray, FloatArray] | None = None,
    samples: int = 0,
    seed: int = 0,
) -> ErrorBound:
    """Bound the error over some steps, from all initial states of a box, for all inputs of it at every step.

    Parameters
    ----------
    steps : int
        The horizon.
    box : mapping or array_like, shape (variables, 2)
        Parameters included: each may have another value of its range at every step.
    within : (ndarray, ndarray), shapes (base, 2) and (errors, 2), optional
        Ranges that the variables of the base (forward the system, backward the quotient) and the components of
        the error provably never leave.

    Raises
    ------
    MethodError
        If ``steps`` is no number of steps, or the map contains the time.
    FailureError
        If no enclosure was found.
    """
    if (
        isinstance(steps, bool)
        or not isinstance(steps, int | float | np.integer | np.floating)
        or not 1 <= steps <= _MOST_STEPS
        or steps != int(steps)
    ):
        raise MethodError(
            f"horizon={steps!r}: that of a map is a number of steps, from 1 to {_MOST_STEPS}"
        )
    count = int(steps)
    followed = lumping
    if lumping.ode.generators is not None:
        followed = autonomous(lumping)
        if len(followed.ode) > len(lumping.ode):
            raise MethodError("a bound of a map whose equations contain the time is not made")
    start = read_box(lumping.ode, box)
    base, error = initial_sets(followed, start, spread)
    moved = np.asarray((error != 0).any(axis=1))
    system = ErrorSystem.of(followed, np.zeros(len(base), dtype=bool), moved, arithmetic)
    forward = lumping.method.direction == "forward"
    of_base = lumping.ode if forward else lumping.quotient
    inputs = np.isin(of_base.variables, of_base.parameters)
    size = len(lumping.quotient if forward else lumping.ode)
    during, at_end = np.zeros((count, size)), np.zeros(size)
    defect, value = 0.0, 0.0
    reach: FloatArray | None = None
    if system.live.size:
        known = np.tile([-np.inf, np.inf], (len(base) + system.live.size, 1))
        if within is not None:
            known = np.concatenate([within[0], within[1][system.live]])
        found = iterate(system, base, error[system.live], inputs, known, count)
        during[:, system.live], at_end[system.live] = found.during, found.at_end
        order = NORMS.index(norm)
        defect = float(norms(found.defect)[order])
        value = max(float(norms(row)[order]) for row in found.during)
        reach = found.reach
    return ErrorBound.of(
        lumping,
        float(count),
        start,
        spread,
        norm,
        arithmetic.name,
        samples,
        seed,
        value=value,
        times=np.arange(count + 1.0),
        during=during,
        at_end=at_end,
        defect=defect,
        reach=reach,
    )
