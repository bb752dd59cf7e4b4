"""The error of a quotient of a map, in certain enclosures, step by step.

With b the base and e the error of :mod:`symlump.lumping.solutions.error_system`, whose p, F and d are made of
the right-hand sides only, a map satisfies b⁺ = p(b), e⁺ = F(E·b, e) + d(b). One step encloses the image of a
box twice, by the terms as they stand and by the mean value form about its middle, and takes what is in both. A
parameter may have another value of its range at every step: it is an input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlump.enclosures.arithmetics import Enclosures
from symlump.errors import FailureError
from symlump.lumping.solutions.boxmap import BoolArray, Undefined
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.ode.exact import FloatArray


@dataclass(frozen=True, eq=False)
class Iteration:
    """Enclosures of some steps of a map and of its quotient's error.

    Parameters
    ----------
    during : ndarray, shape (steps, live errors)
        Bounds of |e_i| at the beginning and at the end of each step.
    at_end : ndarray, shape (live errors,)
    reach : ndarray, shape (base, 2)
        A box that holds the base at all steps.
    defect : ndarray, shape (live errors,)
        Bounds of |d_i| over that box.
    """

    during: FloatArray
    at_end: FloatArray
    reach: FloatArray
    defect: FloatArray


def iterate(
    system: ErrorSystem,
    base: FloatArray,
    error: FloatArray,
    inputs: BoolArray,
    within: FloatArray,
    steps: int,
) -> Iteration:
    """Enclose some steps.

    Parameters
    ----------
    system : ErrorSystem
        Of the right-hand sides.
    base, error : ndarray, shape (base, 2), (live errors, 2)
        Where b and e begin.
    inputs : ndarray of bool, shape (base + live errors,)
        Which of b and e are parameters.
    within : ndarray, shape (base + live errors, 2)
        What is known of b and e at all steps; infinite where nothing is.
    steps : int

    Raises
    ------
    FailureError
        If no enclosure is found, as where a denominator may be 0, or numbers overflow.
    """
    m = system.arithmetic
    box = start = np.concatenate([base, error])
    reach, during = base.copy(), np.zeros((steps, len(error)))
    for step in range(steps):
        before = np.abs(box[len(base) :]).max(axis=1)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                box = _image(system, m.between(box[:, 0], box[:, 1]))
        except Undefined as problem:
            raise FailureError(f"no enclosure of step {step + 1}: {problem}") from None
        box[inputs] = start[inputs]
        box = np.clip(box, within[:, :1], within[:, 1:])
        if not np.isfinite(box).all():
            raise FailureError(
                f"the enclosures leave every bound at step {step + 1}; a smaller box may do"
            )
        reach = np.stack(
            [
                np.minimum(reach[:, 0], box[: len(base), 0]),
                np.maximum(reach[:, 1], box[: len(base), 1]),
            ],
            axis=1,
        )
        during[step] = np.maximum(before, np.abs(box[len(base) :]).max(axis=1))
    try:
        defect = m.magnitude(system.defect.values(m.between(reach[:, 0], reach[:, 1])))
    except Undefined as problem:
        raise FailureError(f"no enclosure of the defect over {steps} steps: {problem}") from None
    return Iteration(during, np.abs(box[len(base) :]).max(axis=1), reach, np.asarray(defect))


def _image(system: ErrorSystem, box: Enclosures) -> FloatArray:
    """A box that holds all values on a box, shape (states, 2)."""
    m = system.arithmetic
    plain = system.values(box)
    middle, radius = m.ball(box)
    centre = m.point(middle)
    try:
        low, high = system.slopes(centre, (-radius, radius))
    except Undefined:
        # Slopes have no derivative, as of |x| about 0: the terms as they stand are left.
        return np.stack([m.lower(plain), m.upper(plain)], axis=1)
    size = low.shape[0]
    moves = m.between(low.ravel(), high.ravel()) * m.between(
        np.tile(-radius, size), np.tile(radius, size)
    )
    mean = system.values(centre) + m.sums(moves, np.repeat(np.arange(size), size), size)
    ends = [np.stack([m.lower(a), m.upper(a)], axis=1) for a in (plain, mean)]
    ends = [np.where(np.isnan(e).any(axis=1, keepdims=True), [[-np.inf, np.inf]], e) for e in ends]
    return np.stack(
        [np.maximum(ends[0][:, 0], ends[1][:, 0]), np.minimum(ends[0][:, 1], ends[1][:, 1])], axis=1
    )
