"""Certified bounds of the error that a quotient makes over a time horizon."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.enclosures.arithmetics import arithmetic as arithmetic_named
from symlump.errors import FailureError, MethodError, SubjectError
from symlump.lumping.equivalence import check_system
from symlump.lumping.error_bound import ErrorBound
from symlump.lumping.linear.factored import FactoredODE
from symlump.lumping.map_bounds import map_bound
from symlump.lumping.solutions.comparison import NORMS, norms
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.lumping.solutions.functional import autonomous
from symlump.lumping.solutions.initial import initial_sets, read_box
from symlump.lumping.solutions.pieces import PieceRun, Progress, search
from symlump.memory import memory_errors
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.solutions.aggregate import AnyLumping


@memory_errors()
def error_bound(
    lumping: AnyLumping,
    horizon: float,
    box: Any,
    *,
    norm: str = "max",
    steps: int = 64,
    pieces: int = 1,
    spread: float = 0.0,
    arithmetic: str = "float64",
    samples: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> ErrorBound:
    """Bound the error of a quotient, with certainty, for all initial states of a box and until a horizon.

    Of a map the horizon is a number of steps, and a parameter may have another value of its range at each.

    e' = F(E·b, e) + d(b) is followed together with its base b in validated steps
    (:mod:`symlump.lumping.solutions.flow`); what logarithmic norms and a comparison system say
    (:mod:`symlump.lumping.solutions.comparison`) is used where it is better.

    Parameters
    ----------
    lumping : Lumping or LinearLumping
    horizon : float
        The last time.
    box : mapping or array_like, shape (variables, 2)
        The initial states of the *system*: {variable: (low, high)} or {variable: value}, parameters included.
        Backward: of these, the ones in which members of a block are equal (see ``spread``).
    norm : {"max", "1", "2"}
    steps : int
        At least so many steps; rounded up to a power of two. Steps are halved further where that is needed.
    pieces : int
        Divide the box into up to so many, where one is too wide.
    spread : float
        Backward: how far apart members of a block may start.
    arithmetic : {"float64", "flint", "mpmath", "multiprecision"}
        What makes the enclosures. The last is flint where it is installed (extra ``fast``), else mpmath.
        float64 is the fastest by far.
    samples : int
        Simulate so many initial states and report the error that they show.
    seed : int
        Seed of the samples.
    progress : callable, optional
        Called with the number of steps done, of (2·pieces − 1)·steps, and a remark.

    Returns
    -------
    ErrorBound

    Raises
    ------
    MethodError, VariableError, InputError
        If an argument is out of range, or the box does not fit the system.
    FailureError
        If no enclosure could be proved up to the horizon, as must be where a solution goes to infinity.

    Notes
    -----
    With N = variables + blocks, one step costs about 20 products of N × N matrices and one with an N × 4N
    matrix, beside the terms of the system, their derivatives and those of the defect. Steps are so short that
    the norm of step · Jacobian stays below 2, so stiff systems need many.

    Examples
    --------
    >>> import sympy
    >>> from symlump import Forward, PolynomialODE, lump
    >>> a, b = sympy.symbols("a b")
    >>> ode = PolynomialODE.from_sympy({a: -0.9*a, b: -1.1*b})
    >>> bound = error_bound(lump(ode, Forward(eps=0.5)), 1.0, {a: (0.9, 1.1), b: (0.9, 1.1)}, steps=16)
    >>> print(bound.headline())
    certified: |y − L·x| ≤ 0.01107 in the max norm for 0 ≤ t ≤ 1, from every initial state of the box
    """
    m = arithmetic_named(arithmetic)
    norm = _norm(norm)
    if lumping.kind == "linear":
        _check_linear(lumping)
    elif lumping.ode.discrete:
        samples = _count(samples, "samples", 10**7, least=0)
        return map_bound(lumping, horizon, box, norm, spread, m, samples=samples, seed=seed)
    level = max(0, (_count(steps, "steps", 1 << 20) - 1).bit_length())
    pieces = _count(pieces, "pieces", 1 << 20)
    samples = _count(samples, "samples", 10**7, least=0)
    real = isinstance(horizon, int | float | np.integer | np.floating)
    if not real or isinstance(horizon, bool) or not 0 < horizon < math.inf:
        raise MethodError(f"horizon={horizon!r}: the horizon is a time, finite and larger than 0")
    horizon = float(horizon)
    check_system(lumping.ode, "a bound")
    start = read_box(lumping.ode, box)
    followed, known = lumping, start
    if lumping.ode.generators is not None:
        followed = autonomous(lumping)
        clock = len(followed.ode) - len(lumping.ode)  # one more variable where the time occurs
        known = np.concatenate([start, np.zeros((clock, 2))])
    base, error = initial_sets(followed, known, spread)
    system = ErrorSystem.of(followed, base[:, 0] >= 0, np.asarray((error != 0).any(axis=1)), m)
    forward = system.sums is not None
    count = len(lumping.quotient if forward else lumping.ode)
    intervals, order = 1 << level, NORMS.index(norm)
    during, at_end = np.zeros((intervals, count)), np.zeros(count)
    value = formula = largest = 0.0
    growth: float | None = None
    reach: FloatArray | None = None
    runs: list[PieceRun] = []
    if system.live.size:
        exact_horizon = Fraction(horizon)
        initial_error = error[system.live]
        runs = search(system, base, initial_error, exact_horizon, level, pieces, order, progress)
        during[:, system.live] = np.max([run.during for run in runs], axis=0)
        at_end[system.live] = np.max([run.at_end for run in runs], axis=0)
        largest = max(float(run.defect[order]) for run in runs)
        growth = max(float(run.growth[order]) for run in runs)
        reach = np.column_stack(
            [
                np.min([run.reach[:, 0] for run in runs], axis=0),
                np.max([run.reach[:, 1] for run in runs], axis=0),
            ]
        )[: len(lumping.ode) if forward else len(lumping.quotient)]
        begin = float(norms(np.abs(initial_error).max(axis=1))[order])
        formula = _formula(begin, largest, growth, horizon)
        value = min(formula, max(float(run.of_norms[:, order].max()) for run in runs))
    return ErrorBound.of(
        lumping,
        horizon,
        start,
        spread,
        norm,
        m.name,
        samples,
        seed,
        value=value,
        times=np.linspace(0.0, horizon, intervals + 1),
        during=during,
        at_end=at_end,
        defect=largest,
        reach=reach,
        logarithmic_norm=growth,
        formula=formula,
        pieces=max(1, len(runs)),
    )


def _check_linear(lumping: LinearLumping) -> None:
    """Refuse what linear lumpings have no bound for."""
    if lumping.ode.discrete:
        raise SubjectError(
            "the bound of a linear lumping is about differential equations, and this system is a map; "
            "Forward(eps=…) finds block sums of it, which have a bound"
        )
    if isinstance(lumping.quotient, FactoredODE):
        raise FailureError(
            f"a bound needs the terms of the quotient, and this one of {len(lumping)} variables is kept in "
            "its three factors L·q(U·y), as there would be too many; a larger eps gives one with terms"
        )


def _norm(norm: object) -> str:
    name = {"inf": "max", "∞": "max"}.get(str(norm), str(norm))
    if name not in NORMS:
        raise MethodError(f"norm {norm!r} is unknown; choose 'max', '1' or '2'")
    return name


def _count(value: object, name: str, most: int, least: int = 1) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not least <= value <= most
    ):
        raise MethodError(f"{name}={value!r}: give a whole number from {least} to {most}")
    return int(value)


def _formula(begin: float, largest: float, growth: float, horizon: float) -> float:
    """At least max(begin, exp(Λ·t)·begin + D·(exp(Λ·t) − 1)/Λ), by intervals of mpmath; may be infinite."""
    from mpmath import libmp
    from mpmath.ctx_iv import MPIntervalContext

    iv = MPIntervalContext()
    iv.prec = 200
    if not math.isfinite(growth) or growth * horizon > 1e6:
        return math.inf
    rate, time = iv.mpf(growth), iv.mpf(horizon)
    grown = iv.exp(rate * time)
    integral = time if growth == 0 else (grown - 1) / rate
    above = (grown * iv.mpf(begin) + integral * iv.mpf(largest))._mpi_[1]
    return max(
        begin, math.nextafter(float(libmp.to_float(above)), math.inf) if largest or begin else 0.0
    )
