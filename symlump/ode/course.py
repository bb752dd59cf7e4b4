"""A solver on its way: steps that are counted, and why it stopped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from scipy import integrate

from symlump.errors import InputError, SimulationError
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.ode.system import ODE

#: Steps between two times that are asked for.
MAX_STEPS = 50_000
_STILL = 1000  # steps that do not move the time; a few of them are how a stiff start begins


def solver_class(method: str) -> Callable[..., Any]:
    """A solver of scipy by its name.

    Raises
    ------
    InputError
        If there is none of the name.
    """
    if method not in ("LSODA", "BDF", "Radau", "RK45", "RK23", "DOP853"):
        raise InputError(f"{method!r} is not a method of scipy.integrate.solve_ivp")
    return _Moving if method == "LSODA" else getattr(integrate, method)


class _Moving(integrate.LSODA):  # type: ignore[misc]
    """LSODA that gives up where it takes steps shorter than a float for ever, as before a pole."""

    still = 0

    def _step_impl(self) -> tuple[bool, str | None]:
        before = self.t
        done, message = super()._step_impl()
        self.still = self.still + 1 if self.t == before else 0
        if self.still > _STILL:
            return (
                False,
                "its steps no longer move the time, as where a solution grows without bound",
            )
        return done, message


def too_short(start: float, end: float) -> bool:
    """Whether times are so close that no solver tells them apart: LSODA wants two epsilons between them.

    Over so little the state changes no more than by the rounding of the time.

    Examples
    --------
    >>> too_short(0.3, 0.1 + 0.2), too_short(0, 1e-300)
    (True, False)
    """
    return bool(end - start <= 4 * np.spacing(max(abs(start), abs(end))))


@contextmanager
def solver_warnings() -> Iterator[list[str]]:
    """Collect the warnings in which LSODA says why it stops; all others go where they went."""
    said: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if str(message).startswith("lsoda: "):
                said.append(str(message).removeprefix("lsoda: "))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.filterwarnings("always", "lsoda: ", UserWarning)
        warnings.showwarning = keep
        yield said


class Course:
    """The rates of a system as a solver asks for them, and the solver's steps.

    Parameters
    ----------
    systems : sequence of ODE
        Whose states follow each other in the solver's, each with ``samples`` entries for a variable.
    solver : callable
        One of :func:`solver_class`.
    options : dict
        Of the solver.
    said : list of str
        Where the solver's warnings arrive: see :func:`solver_warnings`.
    max_steps : int
        So many until :meth:`reached` is called.
    """

    def __init__(
        self,
        systems: Sequence[ODE],
        solver: Callable[..., Any],
        options: dict[str, Any],
        said: Sequence[str],
        max_steps: int = MAX_STEPS,
        samples: int = 0,
    ) -> None:
        if not max_steps >= 1:
            raise InputError(f"max_steps={max_steps!r}: at least one step is needed")
        self.systems, self.solver, self.options, self.said = systems, solver, options, said
        self.max_steps, self.samples = max_steps, samples
        self._left: float = max_steps
        self._since: float | None = None
        self._lost: tuple[float, FloatArray] | None = None

    def rates(self, time: float, x: FloatArray) -> FloatArray:
        """What the solver asks for; where they are no numbers is remembered until a step succeeds."""
        found = [ode.rhs(part, time) for ode, part in self._parts(x)]
        rates = found[0] if len(found) == 1 else np.concatenate(found)
        rates = rates.ravel()
        if self._lost is None and not np.isfinite(rates).all() and np.isfinite(x).all():
            self._lost = time, x.copy()
        return rates

    def steps(self, start: float, x: FloatArray, end: float) -> Iterator[Any]:
        """The solver after each of its steps.

        Raises
        ------
        SimulationError
            If it gives up, its state is no number, or there are too many steps.
        """
        path = self.solver(self.rates, start, x, end, **self.options)
        if self._since is None:
            self._since = start
        while path.status == "running":
            good, time = path.y, path.t
            if self._left <= 0:
                length = (
                    "" if path.t_old is None else f" the last of length {time - path.t_old:.2g},"
                )
                raise self._stopped(
                    time,
                    good,
                    f"{self.max_steps} steps since time {self._since:.6g},{length} "
                    f"as where a right-hand side jumps or has a kink, "
                    "or a solution grows without bound; a larger max_steps allows more",
                )
            try:
                message = path.step()
            except (ValueError, RuntimeError):  # linear algebra that was given NaN or infinity
                path.status, message = "failed", None
            if path.status == "failed" or not np.isfinite(path.y).all():
                text = self.said[-1] if self.said else (message or "").rstrip(".")
                raise self._stopped(
                    time, good, text or "a rate or the state leaves what floats hold"
                )
            self._left -= 1
            self._lost = None
            yield path

    def reached(self, time: float) -> None:
        """Count anew, from a time that was asked for."""
        self._left, self._since = self.max_steps, time

    def _parts(self, x: FloatArray) -> Iterator[tuple[ODE, FloatArray]]:
        if len(self.systems) == 1 and not self.samples:
            yield self.systems[0], x
            return
        first, columns = 0, max(self.samples, 1)
        for ode in self.systems:
            size = len(ode) * columns
            yield ode, x[first : first + size].reshape(len(ode), columns)
            first += size

    def _stopped(self, time: float, x: FloatArray, text: str) -> SimulationError:
        """The error, with the function that has lost its value, if one has."""
        from symlump.ode.functions.domains import outside, steepest

        looks = [(steepest, time, x)] if self._lost is None else [(outside, *self._lost)]
        for look, at, state in looks:
            for ode, part in self._parts(state):
                for column in np.atleast_2d(part.T):
                    why = look(ode, column, at)
                    if why and look is outside:
                        text = why if at == time else f"{why}, at time {at:.6g}"
                        return solver_error(time, text)
                    if why:
                        return solver_error(time, f"{text}; {why}")
        return solver_error(time, text)


def solver_error(time: float, text: str) -> SimulationError:
    """The error of a simulation that ends too early."""
    return SimulationError(f"the solver stopped at time {time:g}: {text}", time)
