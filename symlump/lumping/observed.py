"""The error of a quotient as simulation shows it: from below, where bounds come from above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import DOP853

from symlump.ode.course import Course
from symlump.ode.exact import FloatArray
from symlump.ode.simulate import integrate_rates, left

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping
    from symlump.lumping.solutions.aggregate import AnyLumping

_TIMES = 65
#: States are integrated side by side, so many numbers at a time.
_TOGETHER = 200_000


@dataclass(frozen=True, eq=False)
class ObservedError:
    """The largest |e| seen in simulations. Observed, not certified: float64, with a solver's tolerances.

    Parameters
    ----------
    times : ndarray, shape (times,)
    errors : ndarray, shape (times, components)
        The largest |e_i| at each time, over all samples.
    of_norms : ndarray, shape (times, 3)
        The largest norms of e at each time: 1, 2 and ∞.
    samples, seed : int
    """

    times: FloatArray
    errors: FloatArray
    of_norms: FloatArray
    samples: int
    seed: int

    @property
    def largest(self) -> FloatArray:
        """The largest |e_i| over samples and times."""
        return np.asarray(self.errors.max(axis=0))


def observed_error(
    lumping: AnyLumping,
    horizon: float,
    box: FloatArray,
    *,
    spread: float = 0.0,
    samples: int = 100,
    seed: int = 0,
    rtol: float = 1e-9,
    atol: float = 1e-12,
) -> ObservedError:
    """Simulate system and quotient side by side from random initial states of a box, and compare them.

    Half of the states are uniform in the box, the other half random corners of it.

    Parameters
    ----------
    lumping : Lumping or LinearLumping
    horizon : float
    box : ndarray, shape (variables, 2)
    spread : float
        Backward: how far apart members of a block start, at most.
    samples, seed : int
    rtol, atol : float
        Tolerances of the solver (DOP853 of scipy).

    Raises
    ------
    SimulationError
        If the solver gives up, as it must where a solution leaves every bound in finite time.

    Examples
    --------
    >>> import sympy
    >>> from symlump import Forward, PolynomialODE, lump
    >>> a, b = sympy.symbols("a b")
    >>> lumping = lump(PolynomialODE.from_sympy({a: -0.9*a, b: -1.1*b}), Forward(eps=0.5))
    >>> observed_error(lumping, 1.0, np.array([[1, 1], [1, 1]])).largest.round(4)
    array([0.0037])
    """
    generator = np.random.default_rng(seed)
    start = _initial_states(lumping, box, spread, samples, generator)
    discrete = lumping.ode.discrete
    times = np.arange(horizon + 1.0) if discrete else np.linspace(0.0, horizon, _TIMES)
    forward = lumping.kind == "linear" or lumping.method.direction == "forward"
    sizes = len(lumping.ode), len(lumping.quotient)
    largest = np.zeros((times.size, sizes[1] if forward else sizes[0]))
    of_norms = np.zeros((times.size, 3))
    step = max(1, _TOGETHER // sum(sizes))
    for k in range(0, samples, step):
        some = start[:, k : k + step]
        errors = (
            _of_steps(lumping, some, box, times.size, generator)
            if lumping.kind == "partition" and discrete
            else _errors(lumping, some, times, rtol, atol)
        )
        largest = np.maximum(largest, np.abs(errors).max(axis=1).T)
        lengths = [np.linalg.norm(errors, order, axis=0) for order in (1, 2, np.inf)]
        of_norms = np.maximum(of_norms, np.max(lengths, axis=1).T)
    return ObservedError(times, largest, of_norms, samples, seed)


def _initial_states(
    lumping: AnyLumping,
    box: FloatArray,
    spread: float,
    samples: int,
    generator: np.random.Generator,
) -> FloatArray:
    """States of the system as columns, shape (variables, samples)."""
    corner = np.arange(samples) % 2 == 1

    def between(low: FloatArray, high: FloatArray) -> FloatArray:
        share = generator.random((low.size, samples))
        share[:, corner] = np.round(share[:, corner])
        return np.asarray(low[:, None] + share * (high - low)[:, None])

    if lumping.kind == "linear" or lumping.method.direction == "forward":
        return between(box[:, 0], box[:, 1])
    # Block values first; members keep within half the spread of them, hence within the spread of each other.
    labels, blocks = lumping.partition.labels, len(lumping.partition)
    half = min(spread, float(box[:, 1].max() - box[:, 0].min())) / 2
    low, high = np.full(blocks, -np.inf), np.full(blocks, np.inf)
    np.maximum.at(low, labels, box[:, 0] - half)
    np.minimum.at(high, labels, box[:, 1] + half)
    value = between(low, high)[labels]
    away = between(np.full(labels.size, -half), np.full(labels.size, half))
    return np.clip(value + away, box[:, :1], box[:, 1:])


def _errors(
    lumping: AnyLumping, start: FloatArray, times: FloatArray, rtol: float, atol: float
) -> FloatArray:
    """Forward y − L·x, backward x − U·y, shape (components, samples, times)."""
    q, g = lumping.ode, lumping.quotient
    n, samples = start.shape

    with np.errstate(over="ignore"):
        both = np.concatenate([start, lumping.aggregate(start)])
    course = Course([q, g], DOP853, {"rtol": rtol, "atol": atol}, (), samples=samples)
    path = integrate_rates(course, both.ravel(), times).reshape(both.shape[0], -1)
    difference = _difference(lumping, path[:n], path[n:])
    return np.asarray(difference.reshape(difference.shape[0], samples, times.size))


def _of_steps(
    lumping: Lumping, start: FloatArray, box: FloatArray, count: int, generator: np.random.Generator
) -> FloatArray:
    """Forward y − L·x, backward x − U·y, of a map; parameters are drawn anew at every step."""
    q, g = lumping.ode, lumping.quotient
    inputs = [q.index[name] for name in q.parameters]
    of = lumping.partition.labels[inputs]
    whole, small = start.copy(), lumping.aggregate(start)
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(count):
            found.append(_difference(lumping, whole, small))
            share = generator.random((len(inputs), start.shape[1]))
            low, high = box[inputs].T
            whole[inputs] = small[of] = low[:, None] + share * (high - low)[:, None]
            before, whole, small = whole, q.rhs(whole), g.rhs(small)
            lost = ~(np.isfinite(whole).all(axis=0) & np.isfinite(small).all(axis=0))
            if lost.any():
                raise left(q, before[:, int(np.argmax(lost))], step)
    return np.stack(found, axis=-1)


def _difference(lumping: AnyLumping, whole: FloatArray, small: FloatArray) -> FloatArray:
    """Forward y − L·x, backward x − U·y, of states as columns."""
    if lumping.kind == "linear" or lumping.method.direction == "forward":
        return np.asarray(small - lumping.aggregate(whole))
    return np.asarray(whole - small[lumping.partition.labels])
