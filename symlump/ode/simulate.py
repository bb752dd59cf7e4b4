"""Trajectories: by scipy's initial value solvers, of maps step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import InputError, MethodError, SimulationError
from symlump.memory import memory_errors
from symlump.ode.course import (
    MAX_STEPS,
    Course,
    solver_class,
    solver_error,
    solver_warnings,
    too_short,
)
from symlump.ode.exact import FloatArray
from symlump.ode.maps import checked_steps
from symlump.ode.notation import count_text

if TYPE_CHECKING:
    from scipy import sparse

    from symlump.ode.system import ODE


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory:
    """States of a system at some times.

    Parameters
    ----------
    times : ndarray, shape (times,)
    states : ndarray, shape (variables, times)
        In the layout that ``Lumping.aggregate`` and ``Lumping.lift`` take.
    variables : tuple of str

    Examples
    --------
    >>> import symlump as sl
    >>> path = sl.simulate(sl.ODE.from_text("x' = -x"), [1.0], [0, 1, 2])
    >>> path
    <Trajectory: 1 variable at 3 times, 0 … 2>
    >>> path["x"].round(3).tolist()
    [1.0, 0.368, 0.135]
    """

    times: FloatArray
    states: FloatArray
    variables: tuple[str, ...]

    def __getitem__(self, variable: object) -> FloatArray:
        """The values of one variable, by name or symbol."""
        name = str(variable)
        if name not in self.variables:
            raise InputError(f"{name!r} is not a variable of this trajectory")
        return np.asarray(self.states[self.variables.index(name)])

    def __repr__(self) -> str:
        span = f", {self.times[0]:g} … {self.times[-1]:g}" if self.times.size else ""
        many = count_text(len(self.variables), "variable")
        return f"<Trajectory: {many} at {count_text(self.times.size, 'time')}{span}>"


def jacobian(ode: ODE, x: FloatArray) -> sparse.csr_array:
    """The Jacobian matrix ∂q_k/∂x_v at a state, shape (variables, variables), in float64."""
    return ode.jacobian(x)


def exact_jacobian(ode: ODE, method: str) -> dict[str, Any]:
    """The Jacobian for a solver, where it asks for one and every function in the system has a derivative."""
    if ode.slopes is not None and not ode.slopes.smooth:
        return {}  # the solver's own differences
    if method in ("BDF", "Radau"):
        return {"jac": lambda t, x: ode.jacobian(x, t)}
    if method == "LSODA" and len(ode) <= 2000:
        return {"jac": lambda t, x: ode.jacobian(x, t).toarray()}
    return {}


def checked_times(times: npt.ArrayLike) -> FloatArray:
    """Ascending times, at least two.

    Raises
    ------
    InputError
        If they are something else.
    """
    at = np.asarray(times, dtype=np.float64)
    if at.ndim != 1 or at.size < 2 or not np.isfinite(at).all() or (np.diff(at) <= 0).any():
        raise InputError(
            "times are at least two ascending numbers, the first that of the initial state"
        )
    return at


def checked_state(ode: ODE, initial: npt.ArrayLike) -> FloatArray:
    """An initial state.

    Raises
    ------
    InputError
        If it does not fit the system, or is not finite.
    """
    state = np.asarray(initial, dtype=np.float64)
    if state.shape != (len(ode),) or not np.isfinite(state).all():
        raise InputError(
            f"the initial state of this system has {len(ode)} finite entries; got shape {state.shape}"
        )
    return state


def iterate(
    ode: ODE,
    initial: npt.ArrayLike,
    times: npt.ArrayLike,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
) -> Trajectory:
    """States of a map at some steps; see :func:`simulate`.

    Raises
    ------
    InputError
        If steps, state or inputs do not fit.
    SimulationError
        If the states leave the range of float64, or the domain of a function.
    """
    steps = checked_steps(times)
    state = checked_state(ode, initial).copy()
    first, last = steps[0], steps[-1]
    given: dict[int, FloatArray] = {}
    for name, values in (inputs or {}).items():
        if str(name) not in ode.parameters:
            raise InputError(f"{name} is not a parameter of this map, so it cannot be an input")
        given[ode.position(name)] = sequence = np.asarray(values, dtype=np.float64)
        if sequence.ndim != 1 or sequence.size < last - first or not np.isfinite(sequence).all():
            raise InputError(
                f"the input {name} has a finite value for each of {last - first} steps; got shape "
                f"{sequence.shape}"
            )
    wanted, states = set(steps), []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(first, last + 1):
            for i, sequence in given.items():
                if step - first < sequence.size:
                    state[i] = sequence[step - first]
            if step in wanted:
                states.append(state)
            if step < last:
                before, state = state, ode.rhs(state, float(step))
                if not np.isfinite(state).all():
                    raise left(ode, before, step)
    return Trajectory(np.array(steps, dtype=np.float64), np.array(states).T, ode.variables)


def left(ode: ODE, state: FloatArray, step: int) -> SimulationError:
    """The error of a map that has no next state: the function that has no value, or a state too large."""
    from symlump.ode.functions.domains import outside

    why = outside(ode, state, float(step)) or "the map leaves every bound"
    return SimulationError(f"{why}, at step {step + 1}", step + 1)


@memory_errors()
def simulate(
    ode: ODE,
    initial: npt.ArrayLike,
    times: npt.ArrayLike,
    method: str = "LSODA",
    rtol: float = 1e-10,
    atol: float = 1e-12,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    max_steps: int = MAX_STEPS,
) -> Trajectory:
    """Integrate a system from an initial state, or apply a map step by step.

    Parameters
    ----------
    ode : ODE
    initial : array_like, shape (variables,)
    times : array_like, shape (times,)
        Ascending; the first is the time of the initial state. Of a map: whole numbers of steps.
    method : str
        A method of ``scipy.integrate.solve_ivp``. The implicit ones (LSODA, BDF, Radau) are given the exact
        Jacobian where every function in the system has a derivative.
    rtol, atol : float
        Relative and absolute tolerance of the solver.
    inputs : mapping, optional
        For a map: parameters that change, each with its value at every step, from the first time on. Others
        keep the value that they have in ``initial``.
    max_steps : int
        Steps that the solver may take between two of the times: a solution that jumps to and fro across a
        kink would take them for ever.

    Returns
    -------
    Trajectory

    Raises
    ------
    InputError
        If the times do not ascend, the state does not fit the system, or there is no such method.
    MethodError
        If inputs are given for a differential equation.
    SimulationError
        If the solver gives up, as it must where a solution leaves every bound in finite time, or a function its
        domain; or a map does. The message says which function, and ``time`` when.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x = sympy.Symbol("x")
    >>> decay = simulate(PolynomialODE.from_sympy({x: -x}), [1.0], [0, 1])
    >>> decay["x"].round(6).tolist()
    [1.0, 0.367879]
    >>> from symlump import ODE
    >>> sums = ODE.from_text("s+ = s + u", ["u"])
    >>> simulate(sums, [0.0, 0.0], range(4), inputs={"u": [1, 2, 3]})["s"].tolist()
    [0.0, 1.0, 3.0, 6.0]
    """
    if ode.discrete:
        return iterate(ode, initial, times, inputs)
    if inputs is not None:
        raise MethodError(
            "inputs=… are for maps; in a differential equation write an input as a function of the time, t"
        )
    at, solver, state = checked_times(times), solver_class(method), checked_state(ode, initial)
    if too_short(at[0], at[-1]):
        return Trajectory(at, np.repeat(state[:, None], at.size, axis=1), ode.variables)
    options = {"rtol": rtol, "atol": atol, **exact_jacobian(ode, method)}
    with solver_warnings() as said:
        course = Course([ode], solver, options, said, max_steps)
        states = integrate_rates(course, state, at)
    return Trajectory(at, states, ode.variables)


def integrate_rates(course: Course, start: FloatArray, times: FloatArray) -> FloatArray:
    """The solution from a state at ascending times, the first that of the start; shape (entries, times).

    Raises
    ------
    SimulationError
        If the solver gives up, with the time that it has reached.
    """
    if not np.isfinite(start).all():
        raise solver_error(float(times[0]), "the initial state is beyond what floats hold")
    states, done = np.empty((start.size, times.size)), 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for path in course.steps(float(times[0]), start, float(times[-1])):
            upto = int(np.searchsorted(times, path.t, side="right"))
            if upto > done:
                states[:, done:upto] = path.dense_output()(times[done:upto])
                done = upto
                course.reached(float(times[upto - 1]))
    return states
