"""The trajectories of the report: the system's blocks beside the quotient's, at every step of the slider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symlump.colours import block_numbers
from symlump.display.trajectory_picture import most_moving, time_window
from symlump.errors import SimulationError
from symlump.lumping.lumping import Lumping
from symlump.ode.exact import FloatArray
from symlump.ode.simulate import simulate
from symlump.ode.system import ODE

_POINTS = 61
#: Above, each step would take seconds.
_MAX_VARIABLES = 400


class Paths:
    """Solutions from one initial state, of a system and of any quotient of it.

    Parameters
    ----------
    ode : ODE
    initial : mapping of str to number, or None
        Of every variable; without it there are no trajectories.
    """

    def __init__(self, ode: ODE, initial: Mapping[str, Any] | None) -> None:
        self.times: list[float] | None = None
        if initial is None or len(ode) > _MAX_VARIABLES:
            return
        self._start = np.array([float(initial[name]) for name in ode.variables])
        try:
            window = time_window(ode, self._start)
            if not ode.discrete:
                window = np.linspace(0.0, window[-1], _POINTS)
            self._states = simulate(ode, self._start, window, rtol=1e-7, atol=1e-10).states
        except SimulationError:
            return
        if np.ptp(self._states, axis=1).max(initial=0.0) > 0:
            self._window = window
            self.times = _short(window)

    def of(self, lumping: Any) -> dict[str, Any] | None:
        """The curves of one result: name, number of the block's look, the system's values, the quotient's.

        Parameters
        ----------
        lumping : Lumping

        Returns
        -------
        dict or None
            None where there is no initial state, or the quotient has no solution so long.
        """
        if self.times is None or not isinstance(lumping, Lumping):
            return None
        full = lumping.aggregate(self._states)
        start = lumping.aggregate(self._start)
        try:
            small = simulate(lumping.quotient, start, self._window, rtol=1e-7, atol=1e-10).states
        except SimulationError:
            return None
        numbers = block_numbers(lumping.partition.sizes.tolist())
        curves = [
            [lumping.quotient.variables[b], numbers[b], _short(full[b]), _short(small[b])]
            for b in most_moving(full)
        ]
        return {"curves": curves, "of": len(small)}


def _short(values: FloatArray) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
