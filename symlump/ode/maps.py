"""Systems in discrete time, x⁺ = q(x): maps, whose equations say the next state instead of the derivative.

Forward equivalence, backward equivalence and L·q(x) = g(L·x) are conditions on q alone, so a partition or a
matrix lumps the map exactly if it lumps x' = q(x); what follows for trajectories is proved step by step. A
parameter keeps its value, and as the conditions hold whatever that is, it may as well be an input that changes
from step to step.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import InputError
from symlump.ode.exact import FloatArray, IntArray

if TYPE_CHECKING:
    from symlump.ode.system import ODE


def in_time(ode: ODE, discrete: bool) -> ODE:
    """The system with the same right-hand sides in continuous or discrete time."""
    if ode.discrete == discrete:
        return ode
    found = copy(ode)
    object.__setattr__(found, "discrete", discrete)
    return found


def with_parameters_kept(ode: ODE, result: FloatArray, state: FloatArray) -> FloatArray:
    """The next state: where a variable is a parameter, its value."""
    for name in ode.parameters:
        result[ode.index[name]] = state[ode.index[name]]
    return result


def checked_steps(times: object) -> list[int]:
    """Ascending whole numbers, the steps at which a map's states are wanted.

    Raises
    ------
    InputError
        If they are something else.
    """
    at = np.asarray(times)
    if at.ndim == 1 and at.size and np.issubdtype(at.dtype, np.number):
        steps: IntArray = at.astype(np.int64)
        if (steps == at).all() and (np.diff(steps) > 0).all():
            return [int(step) for step in steps]
    raise InputError("a map has states at steps: ascending whole numbers, such as range(51)")
