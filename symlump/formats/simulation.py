"""Solutions of models with events: a solver's steps, searched for changes of the triggers.

Every step of the solver comes with an interpolant. The triggers are evaluated at some points of it, and where
one has changed, the first change is narrowed down to neighbouring floats. There the step ends, what is
due is done as SBML has it, and the solver starts anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import FailureError
from symlump.formats.events import names_in
from symlump.formats.flat import Expression, Trees, evaluate, symbols
from symlump.formats.floats import FloatArithmetic, Floats, Program
from symlump.memory import memory_errors
from symlump.ode.course import MAX_STEPS, Course, solver_class, solver_warnings, too_short
from symlump.ode.simulate import Trajectory, checked_times, exact_jacobian, simulate

if TYPE_CHECKING:
    from symlump.formats.events import Event
    from symlump.formats.model import Model

_POINTS = 10  # of each step at which triggers are looked at
_FINER = 64  # parts of an interval in which there is a change
_STEPS = 100  # at least so many, so that nothing short is missed
_MANY_STEPS = 10_000  # the times that are asked for demand no more
_MAX_AT_ONCE = 10_000
_MAX_EVENTS = 100_000


@dataclass(eq=False)
class _Pending:
    """An event that was triggered and has not happened yet."""

    time: float
    event: int
    values: dict[str, float] | None


@memory_errors()
def simulate_model(
    model: Model, times: npt.ArrayLike, method: str, rtol: float, atol: float, max_steps: int | None
) -> Trajectory:
    """The solution of a model from its initial values: see :meth:`Model.simulate`."""
    max_steps = MAX_STEPS if max_steps is None else max_steps
    start = [float(model.initial_values[name]) for name in model.ode.variables]
    if not model.events:
        return simulate(model.ode, start, times, method, rtol, atol, max_steps=max_steps)
    at = checked_times(times)
    options = {"rtol": rtol, "atol": atol, **exact_jacobian(model.ode, method)}
    with np.errstate(all="ignore"), solver_warnings() as said:
        options["max_step"] = _longest_step(at)
        course = Course([model.ode], solver_class(method), options, said, max_steps)
        states = _Run(model, at, course).states(np.array(start))
    return Trajectory(at, states, model.ode.variables)


def _longest_step(times: Floats) -> float:
    """Of the solver, so that no event is stepped over."""
    span = float(times[-1] - times[0])
    shortest = float(np.diff(times).min())  # of two that are nearly one no step need be
    return min(span / _STEPS, max(shortest, span / _MANY_STEPS))


class _Constants(Trees):
    """The arithmetic that computes what depends on nothing, once."""

    def apply(
        self, operator: str, arguments: Sequence[Expression], place: Hashable = None
    ) -> Expression:
        """The operation, or its value."""
        numbers = [a for a in arguments if isinstance(a, Fraction)]
        if operator != "time" and len(numbers) == len(arguments):
            arithmetic = FloatArithmetic(np.zeros(1))
            value = float(arithmetic.apply(operator, [arithmetic.number(a) for a in numbers])[0])
            if np.isfinite(value):
                return Fraction(value)
        return super().apply(operator, arguments, place)


def _folded(expression: Expression) -> Expression:
    return evaluate(expression, {name: name for name in symbols(expression)}, _Constants())


class _Run:
    """One solution on its way.

    Attributes
    ----------
    held : list of bool
        What each trigger is.
    pending : list of _Pending
        What is still to happen, in the order in which it was triggered.
    course : Course
        The solver.
    """

    def __init__(
        self,
        model: Model,
        times: Floats,
        course: Course,
    ) -> None:
        self.ode, self.times, self.course = model.ode, times, course
        self.events = model.events
        self.programs: dict[int, Program] = {}
        self.used = [(name, self.ode.index[name]) for name in names_in(model.events)]
        self.held = [event.initial_value for event in self.events]
        self.pending: list[_Pending] = []
        self.count = 0
        self.random = random.Random(0)  # SBML leaves the order of equals to chance

    def states(self, x: Floats) -> Floats:
        """The states at all times."""
        times = self.times
        found = np.empty((len(self.ode), times.size))
        t, done = float(times[0]), 0
        x = self.settled(t, x)
        while t < times[-1]:
            bound = min([float(times[-1]), *(entry.time for entry in self.pending)])
            if too_short(t, bound):  # float by float, so that triggers keep their order
                end = float(np.nextafter(t, bound))
                upto = int(np.searchsorted(times, end))
                found[:, done:upto] = x[:, None]
                t, done, x = end, upto, self.settled(end, x)
                continue
            for solver in self.course.steps(t, x, bound):
                path = solver.dense_output()
                change = self.first_change(path, solver.t_old, solver.t)
                end, state = change or (float(solver.t), solver.y)
                upto = int(np.searchsorted(times, end))  # the state at the end may still jump
                found[:, done:upto] = path(times[done:upto])
                if upto > done:
                    self.course.reached(float(times[upto - 1]))
                t, done, x = end, max(upto, done), state
                if change is not None:
                    break
            x = self.settled(t, x)
        found[:, done:] = x[:, None]
        return found

    def first_change(
        self, path: Callable[..., Floats], start: float, end: float
    ) -> tuple[float, Floats] | None:
        """When a trigger changes first in a step, if one does, and the state at which it has changed."""
        points = np.linspace(start, end, _POINTS + 1)
        every = range(len(self.events))
        states = path(points[1:])
        changed = self.changed(points[1:], states, every)
        if not changed.any():
            return None
        looked_at: Sequence[int] = every
        while True:  # until two floats are neighbours: at the first nothing has changed yet
            first = int(np.argmax(changed.any(axis=0)))
            low, high, state = float(points[first]), float(points[first + 1]), states[:, first]
            if np.nextafter(low, high) >= high:
                # Computed again at that time alone, the state may be rounded otherwise.
                return max(high, float(np.nextafter(start, end))), state
            if points.size > _POINTS + 1:  # so near it is one of those that have changed at its end
                here = np.flatnonzero(changed[:, first])
                looked_at, changed = [looked_at[k] for k in here.tolist()], changed[here]
            points = np.linspace(low, high, _FINER + 1)
            inside = path(points[1:-1])
            changed = np.hstack(
                [self.changed(points[1:-1], inside, looked_at), changed[:, first : first + 1]]
            )
            states = np.column_stack([inside, state])

    def changed(self, times: Floats, states: Floats, which: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Which triggers are not what they were, at which times."""
        values = self.values(states)
        return np.array(
            [
                (self.program(self.events[k].trigger)(values, times) != 0) != self.held[k]
                for k in which
            ]
        )

    def values(self, states: Floats) -> dict[str, Any]:
        """What the expressions of events may name."""
        return {name: states[k] for name, k in self.used}

    def settled(self, t: float, x: Floats) -> Floats:
        """The state after all that happens at a time."""
        x = x.copy()
        for _ in range(_MAX_AT_ONCE):
            self.look(t, x)
            due = [entry for entry in self.pending if entry.time <= t]
            if not due:
                return x
            self.count += 1
            if self.count > _MAX_EVENTS:
                break
            ranks = [self.priority(entry.event, t, x) for entry in due]
            first = [entry for entry, rank in zip(due, ranks, strict=True) if rank == max(ranks)]
            chosen = first[0] if len(first) == 1 else self.random.choice(first)
            self.pending.remove(chosen)
            new = chosen.values or self.assigned(self.events[chosen.event], t, x)
            for name, value in new.items():
                x[self.ode.index[name]] = value
        raise FailureError(f"events trigger one another endlessly at time {t:g}")

    def look(self, t: float, x: Floats) -> None:
        """Trigger what has become true; forget what was to happen only while it is."""
        for k, event in enumerate(self.events):
            now = bool(self.at(event.trigger, t, x))
            if now and not self.held[k]:
                delay = 0.0 if event.delay is None else self.at(event.delay, t, x)
                if not delay >= 0:
                    raise FailureError(f"event {event.name} has the delay {delay:g} at time {t:g}")
                values = self.assigned(event, t, x) if event.values_from_trigger else None
                self.pending.append(_Pending(t + delay, k, values))
            elif not now and not event.persistent:
                self.pending = [entry for entry in self.pending if entry.event != k]
            self.held[k] = now

    def assigned(self, event: Event, t: float, x: Floats) -> dict[str, float]:
        """The new values of an event."""
        return {name: self.at(value, t, x) for name, value in event.assignments.items()}

    def priority(self, k: int, t: float, x: Floats) -> float:
        """Of an event; below all numbers without one."""
        priority = self.events[k].priority
        return -np.inf if priority is None else self.at(priority, t, x)

    def at(self, expression: Expression, t: float, x: Floats) -> float:
        """An expression at one time and state."""
        return float(self.program(expression)(self.values(x), t))

    def program(self, expression: Expression) -> Program:
        """How an expression of the events is evaluated; they live as long as the run."""
        found = self.programs.get(id(expression))
        if found is None:
            found = self.programs[id(expression)] = Program(_folded(expression))
        return found
