"""Solutions against time: of a system beside its quotient's, and alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.colours import Look, block_numbers
from symlump.display.drawing import new_figure
from symlump.errors import SimulationError
from symlump.lumping.lumping import Lumping
from symlump.memory import memory_errors
from symlump.ode.exact import FloatArray
from symlump.ode.notation import name_latex
from symlump.ode.simulate import simulate
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.ode.simulate import Trajectory

MAX_CURVES = 8
_POINTS = 201
_STEPS = 60  # of a map
_SETTLED, _TURNS, _DOUBLINGS = 0.02, 10, 40


def time_window(ode: ODE, initial: npt.ArrayLike) -> FloatArray:
    """Times over which there is something to see: until the states rest, or have swung a few times.

    The window starts at the fastest time scale of the initial state, 1/‖J‖, and doubles until in its last
    fifth no variable changes by more than 2 % of its own range, or one has had ten turning points. It ends
    before a pole.

    Parameters
    ----------
    ode : ODE
    initial : array_like, shape (variables,)

    Returns
    -------
    ndarray, shape (times,)
        Of a map: the steps 0, …, 60.

    Raises
    ------
    InputError, SimulationError
        As :func:`symlump.simulate`.

    Examples
    --------
    >>> import symlump as sl
    >>> float(time_window(sl.ODE.from_text("x' = -x"), [1.0])[-1])
    8.0
    >>> float(time_window(sl.ODE.from_text("x' = -x/1000"), [1.0])[-1])
    8000.0
    """
    if ode.discrete:
        return np.arange(_STEPS + 1, dtype=np.float64)
    state = np.asarray(initial, dtype=np.float64)
    end, times = _fastest(ode, state), None
    for _ in range(_DOUBLINGS):
        longer = np.linspace(0.0, end, _POINTS)
        try:
            states = simulate(ode, state, longer, rtol=1e-6, atol=1e-9).states
        except SimulationError:
            if times is None:
                raise
            break
        times = longer
        if _has_settled(states):
            break
        end *= 2
    assert times is not None
    return times


def _fastest(ode: ODE, state: FloatArray) -> float:
    """One time scale, rounded to a power of two times a power of ten's leading digit."""
    if ode.slopes is not None and not ode.slopes.smooth:
        return 1.0
    norm = abs(ode.jacobian(state)).sum(axis=1).max(initial=0.0)
    return 1.0 / float(norm) if np.isfinite(norm) and norm > 0 else 1.0


def _has_settled(states: FloatArray) -> bool:
    span = np.ptp(states, axis=1)
    moving = span > 1e-9 * (1 + np.abs(states).max(axis=1))
    if not moving.any():
        return True
    tail = np.ptp(states[moving, -(_POINTS // 5) :], axis=1)
    if (tail <= _SETTLED * span[moving]).all():
        return True
    slopes = np.sign(np.diff(states[moving], axis=1))
    return bool((np.abs(np.diff(slopes, axis=1)) == 2).sum(axis=1).max() >= _TURNS)


@memory_errors()
def draw_trajectories(
    lumping: Lumping,
    initial: npt.ArrayLike,
    times: npt.ArrayLike | None = None,
    bound: Any = None,
) -> Figure:
    """Draw the system's aggregated solution and the quotient's, from the same initial state.

    Each block has the colour that it has in every other picture of the lumping, and a line style of its own.

    Parameters
    ----------
    lumping : Lumping
    initial : array_like, shape (variables,)
        A state of the system.
    times : array_like, shape (times,), optional
        Default: until the solution rests or has swung a few times.
    bound : array_like of float, shape (blocks,), or float, optional
        Bounds of the blocks' errors, such as ``lumping.bound(…)`` gives; drawn as bands around the quotient.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError, FailureError
        As :func:`symlump.simulate`.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
    >>> figure = draw_trajectories(sl.lump(ode, sl.Forward()), [1, 0, 0])
    >>> [line.get_label() for line in figure.axes[0].lines[1::2]]
    ['$y_{1}$', '$c$']
    """
    at = time_window(lumping.ode, initial) if times is None else np.asarray(times, dtype=np.float64)
    full = lumping.aggregate(simulate(lumping.ode, initial, at).states)
    small = simulate(lumping.quotient, lumping.aggregate(initial), at).states
    figure = new_figure(7.5, 4.6)
    axes = figure.subplots()
    shown = most_moving(full)
    looks = [Look.of(number) for number in block_numbers(lumping.partition.sizes.tolist())]
    widths = None if bound is None else np.broadcast_to(np.asarray(bound, float), (len(small),))
    for block in shown:
        look = looks[block]
        label = f"${name_latex(lumping.quotient.variables[block])}$"
        axes.plot(at, full[block], color=look.ink, linewidth=4.5, alpha=0.35)
        axes.plot(at, small[block], linestyle=look.dash, color=look.ink, linewidth=1.6, label=label)
        if widths is not None:
            low, high = small[block] - widths[block], small[block] + widths[block]
            axes.fill_between(at, low, high, color=look.ink, alpha=0.15, linewidth=0)
    band = "" if bound is None else "; shaded: the bound"
    title = f"thick: the system, aggregated; thin: the quotient{band}"
    if len(shown) < len(small):
        title += f"\n(the {len(shown)} of {len(small)} blocks that change most)"
    _finish(axes, title, lumping.ode.discrete)
    return figure


def draw_trajectory(trajectory: Trajectory) -> Figure:
    """The variables that change most, against time.

    Parameters
    ----------
    trajectory : Trajectory

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(7.5, 4.6)
    axes = figure.subplots()
    shown = most_moving(trajectory.states)
    styles = ("-", "--", "-.", ":")
    for number, row in enumerate(shown):
        axes.plot(
            trajectory.times,
            trajectory.states[row],
            styles[number % len(styles)],
            color=Look.of(number).ink,
            label=f"${name_latex(trajectory.variables[row])}$",
        )
    title = ""
    if len(trajectory.variables) > len(shown):
        title = f"the {len(shown)} of {len(trajectory.variables)} variables that change most"
    _finish(axes, title, False)
    return figure


def most_moving(states: FloatArray) -> list[int]:
    """The rows whose values range most, at most eight, in their order.

    Parameters
    ----------
    states : ndarray, shape (variables, times)

    Returns
    -------
    list of int

    Examples
    --------
    >>> most_moving(np.array([[0, 1.0], [5, 5], [3, 0]]))
    [0, 1, 2]
    """
    order = np.argsort(-np.ptp(states, axis=1), kind="stable")
    return sorted(order[:MAX_CURVES].tolist())


def _finish(axes: Any, title: str, discrete: bool) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("step" if discrete else "time")
    axes.legend(frameon=False, ncols=2)
    axes.grid(True, alpha=0.25)
    if discrete:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
