"""Certified bounds of the error that a quotient of a map makes over some steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic
from symlump.errors import MethodError, SubjectError
from symlump.lumping.error_bound import ErrorBound
from symlump.lumping.solutions.comparison import NORMS, norms
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.lumping.solutions.functional import autonomous
from symlump.lumping.solutions.initial import initial_sets, read_box
from symlump.lumping.solutions.iterated import Iteration, iterate
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping
    from symlump.lumping.solutions.aggregate import AnyLumping

_MOST_STEPS = 1 << 16
_ANYWHERE = -np.inf, np.inf


def map_bound(
    lumping: Lumping,
    steps: object,
    box: Any,
    norm: str,
    spread: float,
    arithmetic: Arithmetic,
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

    Raises
    ------
    MethodError
        If ``steps`` is no number of steps, or the map contains the time.
    FailureError
        If no enclosure was found.
    """
    count = check_steps(steps)
    start = read_box(lumping.ode, box)
    base, error = initial_sets(lumping, start, spread)
    system = _error_system(lumping, base, error, arithmetic)
    forward = lumping.method.direction == "forward"
    size = len(lumping.quotient if forward else lumping.ode)
    during, at_end = np.zeros((count, size)), np.zeros(size)
    defect, value = 0.0, 0.0
    reach: FloatArray | None = None
    if system.live.size:  # else no error ever is other than 0
        anywhere = np.full_like(base, _ANYWHERE), np.full_like(error, _ANYWHERE)
        found = _iterated(lumping, system, base, error, anywhere, count)
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


def follow_error(
    lumping: Lumping,
    base: FloatArray,
    error: FloatArray,
    within: tuple[FloatArray, FloatArray],
    steps: int,
    arithmetic: Arithmetic,
) -> tuple[FloatArray, FloatArray]:
    """Bounds of \\|x_i − (U·y)_i\\| at every step of a map whose parameters may be off as well, and where y is.

    Parameters
    ----------
    lumping : Lumping
        Backward, of a map.
    base, error : ndarray, shapes (blocks, 2) and (variables, 2)
        Where y and x − U·y begin; those of parameters are anywhere in their ranges at every step.
    within : (ndarray, ndarray), shapes (blocks, 2) and (variables, 2)
        Ranges that y and x − U·y provably never leave; infinite where nothing is known.
    steps : int

    Returns
    -------
    ndarray, shape (steps, variables), and ndarray, shape (blocks, 2)

    Raises
    ------
    FailureError
        If no enclosure was found.
    """
    system = _error_system(lumping, base, error, arithmetic)
    found = _iterated(lumping, system, base, error, within, steps)
    off = np.zeros((steps, len(lumping.ode)))
    off[:, system.live] = found.during
    return off, found.reach


def check_steps(steps: object) -> int:
    """A number of steps that is one.

    Raises
    ------
    MethodError
        If it is not.
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
    return int(steps)


def _error_system(
    lumping: Lumping, base: FloatArray, error: FloatArray, arithmetic: Arithmetic
) -> ErrorSystem:
    """What the base and the error of a map obey, from where they begin."""
    followed: AnyLumping = lumping
    if lumping.ode.generators is not None:
        followed = autonomous(lumping)
        if len(followed.ode) > len(lumping.ode):
            raise SubjectError("maps whose equations contain the time have no certified bound yet")
    moved = np.asarray((error != 0).any(axis=1))
    return ErrorSystem.of(followed, np.zeros(len(base), dtype=bool), moved, arithmetic)


def _iterated(
    lumping: Lumping,
    system: ErrorSystem,
    base: FloatArray,
    error: FloatArray,
    within: tuple[FloatArray, FloatArray],
    steps: int,
) -> Iteration:
    """Some steps of it, inside what is known of the base and of every component of the error."""
    forward = lumping.method.direction == "forward"
    pair = lumping.ode, lumping.quotient
    of_base, of_error = pair if forward else pair[::-1]
    inputs = np.concatenate(
        [
            np.isin(of_base.variables, of_base.parameters),
            np.isin(of_error.variables, of_error.parameters)[system.live],
        ]
    )
    known = np.concatenate([within[0], within[1][system.live]])
    return iterate(system, base, error[system.live], inputs, known, steps)
