"""The whole horizon, step by step; and the initial box in pieces, where one box is too wide.

A step of length h loses what is quadratic in the width of the set of states. Halving the box therefore
quarters that loss, and a bound for each piece is a bound for all of them. The piece with the worst bound is
divided next, across the variable in which the slopes vary most.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symlump.enclosures.interval import Interval
from symlump.errors import FailureError
from symlump.lumping.solutions.boxmap import Undefined
from symlump.lumping.solutions.comparison import Comparison
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.lumping.solutions.flow import TimeStep, Zonotope, advance
from symlump.ode.exact import FloatArray

#: How often a step may be halved.
HALVINGS = 12
#: Generators of the zonotope: this many for each dimension, and at least so many.
_GENERATORS = (4, 300)
#: Steps are halved, this often at most, until what that spares is this part of the widths (whole horizon).
_LOSS, _REFINED = 0.2, 3
#: The same until between its ends the error seems no larger than this part of the largest error so far.
_EXCESS = 0.05

Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class PieceRun:
    """Bounds for all solutions that start in one box.

    Parameters
    ----------
    box : ndarray, shape (base, 2)
    during : ndarray, shape (intervals, live)
        Bounds of the components of |e| during each of the equal parts of the horizon; infinite from where
        nothing could be proved.
    of_norms : ndarray, shape (intervals, 3)
        The same of the norms 1, 2 and ∞.
    at_end : ndarray, shape (live,)
    reach : ndarray, shape (base, 2)
        Where b stays.
    defect, growth : ndarray, shape (3,)
        Bounds of ‖d‖ and of the logarithmic norm, over all steps.
    reached : Fraction
        The time up to which everything is proved.
    """

    box: FloatArray
    during: FloatArray
    of_norms: FloatArray
    at_end: FloatArray
    reach: FloatArray
    defect: FloatArray
    growth: FloatArray
    reached: Fraction

    def within(self, parent: PieceRun) -> PieceRun:
        """The run, improved by what is known of a box that contains this one."""
        return PieceRun(
            self.box,
            np.minimum(self.during, parent.during),
            np.minimum(self.of_norms, parent.of_norms),
            np.minimum(self.at_end, parent.at_end),
            np.column_stack(
                [
                    np.maximum(self.reach[:, 0], parent.reach[:, 0]),
                    np.minimum(self.reach[:, 1], parent.reach[:, 1]),
                ]
            ),
            np.minimum(self.defect, parent.defect),
            np.minimum(self.growth, parent.growth),
            max(self.reached, parent.reached),
        )


def search(
    system: ErrorSystem,
    base: FloatArray,
    error: FloatArray,
    horizon: Fraction,
    level: int,
    pieces: int,
    norm: int,
    progress: Progress | None = None,
) -> list[PieceRun]:
    """Bounds for all solutions from a box, in up to so many pieces of it.

    Parameters
    ----------
    base : ndarray, shape (base, 2)
    error : ndarray, shape (live, 2)
    level : int
        The steps are horizon/2^level long, or halves, quarters, … of that.
    norm : int
        The piece to divide is the worst in this norm, a position in NORMS.

    Raises
    ------
    FailureError
        If for a piece nothing could be proved up to the horizon.
    """
    count = 1
    whole = integrate(system, base, error, horizon, level, progress)
    queue = [(-whole.of_norms[:, norm].max(), count, whole)]
    while len(queue) < pieces:
        _, _, worst = queue[0]
        halves = _halves(system, worst.box, error)
        if halves is None:
            break
        heapq.heappop(queue)
        for half in halves:
            done = count << level
            run = integrate(system, half, error, horizon, level, progress, done).within(worst)
            count += 1
            heapq.heappush(queue, (-run.of_norms[:, norm].max(), count, run))
    runs = [run for _, _, run in queue]
    reached = min(run.reached for run in runs)
    if reached < horizon:
        why = "a solution may leave every bound there"
        if system.undefined:
            why = f"{system.undefined[0]} may have no value there"
        raise FailureError(
            f"nothing could be proved beyond time {float(reached):.4g} of {float(horizon):g}: {why}, or the "
            "set of all solutions from this box is too wide to follow. Take a "
            f"shorter horizon, a smaller box, more pieces of it (pieces={4 * pieces}), or more steps "
            f"(steps={4 << level})"
        )
    return runs


def _halves(
    system: ErrorSystem, base: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """The box cut across the variable that contributes most to the variation of slopes; None if none does."""
    box = np.concatenate([base, error])
    centre, radius = Interval(box[:, 0].copy(), box[:, 1].copy()).ball()
    try:
        slopes = system.slopes(system.arithmetic.point(centre), (-radius, radius))
    except Undefined:  # then across the widest
        return _cut(base, centre, int(radius[: len(base)].argmax())) if radius.any() else None
    part = (slopes[1] - slopes[0]) * radius
    total = part.sum(axis=1, keepdims=True)
    # What rounding alone gives to a linear system is no reason to cut.
    curved = total > 1e-12 * (np.maximum(*map(np.abs, slopes)) * radius).sum(axis=1, keepdims=True)
    share = np.divide(part, total, out=np.zeros_like(part), where=curved).sum(axis=0)[: len(base)]
    if not share.any():
        return None
    return _cut(base, centre, int(share.argmax()))


def _cut(base: FloatArray, centre: FloatArray, variable: int) -> tuple[FloatArray, FloatArray]:
    lower, upper = base.copy(), base.copy()
    lower[variable, 1] = upper[variable, 0] = centre[variable]
    return lower, upper


def _attempt(
    system: ErrorSystem, state: Zonotope, length: Fraction, limit: int
) -> tuple[TimeStep, Zonotope] | None:
    """One step, or None if it cannot be proved with this length; what is not defined is noted."""
    system.undefined.clear()
    try:
        return advance(system, state, length, limit)
    except Undefined as problem:
        system.undefined.append(str(problem))
        return None


def integrate(
    system: ErrorSystem,
    base: FloatArray,
    error: FloatArray,
    horizon: Fraction,
    level: int,
    progress: Progress | None = None,
    done: int = 0,
) -> PieceRun:
    """Follow all solutions that start in one box; the parameters are those of :func:`search`."""
    intervals, live = 2**level, system.live.size
    during, of_norms = np.zeros((intervals, live)), np.zeros((intervals, 3))
    reach = base.copy()
    box = np.concatenate([base, error])
    centre, radius = Interval(box[:, 0].copy(), box[:, 1].copy()).ball()
    state = Zonotope(centre, np.diag(radius))
    limit = max(_GENERATORS[1], _GENERATORS[0] * centre.size)
    comparison = Comparison(system.arithmetic, np.abs(error).max(axis=1))
    unit, finest = horizon / (intervals << HALVINGS), 1 << HALVINGS
    largest = 0.0
    position, depth = 0, 0  # the time, in the shortest steps; how often the step is halved
    tried, patience = 0, max(system.arithmetic.patience, 4 * intervals)
    while position < intervals * finest:
        tried += 1
        if tried > patience:
            raise FailureError(
                f"{patience} steps were tried, and only time {float(unit * position):.4g} of "
                f"{float(horizon):g} is reached: the system is stiff, and so many steps take too long with "
                f'{system.arithmetic.name}; take arithmetic="float64", a shorter horizon, or ask for all of '
                f"them (steps={patience})"
            )
        length = finest >> depth
        step = _attempt(system, state, unit * length, limit)
        if step is None and depth == HALVINGS:
            break
        allowed = _LOSS / (intervals << depth)
        if step is None or (
            depth < _REFINED
            and (
                step[0].loss > allowed
                or step[0].excess > _EXCESS * max(largest, step[0].error.sum())
            )
        ):
            depth += 1
            continue
        report, state = step
        largest = max(largest, float(report.error.sum()))
        components, sizes = comparison.after(report)
        interval = position // finest
        during[interval] = np.maximum(during[interval], components)
        of_norms[interval] = np.maximum(of_norms[interval], sizes)
        reach[:, 0] = np.minimum(reach[:, 0], report.base[:, 0])
        reach[:, 1] = np.maximum(reach[:, 1], report.base[:, 1])
        position += length
        if depth and position % (2 * length) == 0 and report.loss < allowed / 8:
            depth -= 1  # a longer step fits again
        if progress is not None:
            progress(done + position // finest, f"t = {float(unit * position):.4g}")
    complete = position == intervals * finest
    if not complete:
        during[position // finest :], of_norms[position // finest :] = np.inf, np.inf
        reach[:] = -np.inf, np.inf
    return PieceRun(
        base,
        during,
        of_norms,
        comparison.components if complete else np.full(live, np.inf),
        reach,
        comparison.largest_defect if complete else np.full(3, np.inf),
        comparison.largest_growth if complete else np.full(3, np.inf),
        unit * position,
    )
