"""Certified bounds of the error that a quotient makes over a time horizon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.enclosures.arithmetics import arithmetic as arithmetic_named
from symlump.enclosures.wording import at_most
from symlump.errors import MethodError
from symlump.lumping.equivalence import check_system
from symlump.lumping.observed import ObservedError, observed_error
from symlump.lumping.solutions.comparison import NORMS, norms
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.lumping.solutions.functional import autonomous
from symlump.lumping.solutions.initial import initial_sets, read_box
from symlump.lumping.solutions.pieces import Progress, Run, search
from symlump.memory import memory_errors
from symlump.ode.exact import FloatArray, IntArray

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping


@dataclass(frozen=True, eq=False, repr=False)
class ErrorBound:
    """A bound of \\|e(t)\\| for 0 ≤ t ≤ horizon and every initial state of a box.

    e = y − L·x for a forward lumping (one component for each block), e = x − U·y for a backward one (one for
    each variable), where x solves the system, y the quotient, and y(0) = ``lumping.aggregate(x(0))``.
    Certified: every number comes from interval or ball arithmetic, rounded outward.

    Parameters
    ----------
    direction : {"forward", "backward"}
    horizon : float
    variables : tuple of str
    box : ndarray, shape (variables, 2)
        The initial states, x(0).
    spread : float
        Backward: the largest difference, at the beginning, between two members of a block.
    norm : {"max", "1", "2"}
    value : float
        The bound of ‖e(t)‖.
    components : tuple of str
        Names of the components of e.
    blocks : tuple of str
        Names of the blocks.
    block_of : ndarray of int64
        The block of each component.
    times : ndarray, shape (steps + 1,)
    during : ndarray, shape (steps, components)
        Bounds of \\|e_i(t)\\| for t between two of the times.
    at_end : ndarray, shape (components,)
        Bounds of \\|e_i(horizon)\\|.
    defect : float
        D, a bound of ‖d‖, the part of e' that does not come from e.
    logarithmic_norm : float or None
        Λ, a bound of the logarithmic norm of the Jacobian that acts on e; None where it was not needed.
    formula : float
        exp(Λ·t)·‖e(0)‖ + D·(exp(Λ·t) − 1)/Λ at t = horizon (at 0 if Λ is negative there), with these two: for
        comparison. ``value`` is never larger.
    reach : ndarray, shape (variables or blocks, 2), or None
        A box that provably holds x(t) (forward) or y(t) (backward).
    arithmetic : str
    pieces : int
        How many boxes the initial box was divided into.
    observed : ObservedError or None
        What simulation shows. Not certified.
    discrete : bool
        Whether it is about a map: then times are steps, and ``formula`` is infinite.
    """

    direction: str
    horizon: float
    variables: tuple[str, ...]
    box: FloatArray
    spread: float
    norm: str
    value: float
    components: tuple[str, ...]
    blocks: tuple[str, ...]
    block_of: IntArray
    times: FloatArray
    during: FloatArray
    at_end: FloatArray
    defect: float
    logarithmic_norm: float | None
    formula: float
    reach: FloatArray | None
    arithmetic: str
    pieces: int
    observed: ObservedError | None
    discrete: bool = False

    @cached_property
    def by_component(self) -> dict[str, float]:
        """Bounds of \\|e_i(t)\\| at all times, by name."""
        return dict(zip(self.components, self.during.max(axis=0).tolist(), strict=True))

    @cached_property
    def by_block(self) -> dict[str, float]:
        """Bounds at all times by block: backward, the largest of its members."""
        return self._by_block(self.during.max(axis=0))

    @cached_property
    def observed_by_block(self) -> dict[str, float]:
        """The largest error seen in simulations, by block; empty if there were none."""
        return {} if self.observed is None else self._by_block(self.observed.largest)

    @cached_property
    def ratios(self) -> dict[str, float]:
        """Bound over observed error, by block: at least 1, up to the solver's tolerance; needs samples.

        Not a number where the bound is 0: what simulation shows there is its own rounding.
        """
        return {
            name: _ratio(self.by_block[name], seen) for name, seen in self.observed_by_block.items()
        }

    @property
    def ratio(self) -> float | None:
        """``value`` over the norm of the observed error; None without samples."""
        if self.observed is None:
            return None
        return _ratio(self.value, float(self.observed.of_norms[:, NORMS.index(self.norm)].max()))

    def _by_block(self, of_component: FloatArray) -> dict[str, float]:
        largest = np.zeros(len(self.blocks))
        np.maximum.at(largest, self.block_of, of_component)
        return dict(zip(self.blocks, largest.tolist(), strict=True))

    def __getitem__(self, name: object) -> float:
        """The bound of one block, or of one component, by name or symbol."""
        for table in (self.by_block, self.by_component):
            if str(name) in table:
                return table[str(name)]
        raise MethodError(f"{str(name)!r} is neither a block nor a component of this error")

    def headline(self) -> str:
        """One line: what is bounded, by how much, until when."""
        error = "y − L·x" if self.direction == "forward" else "x − U·y"
        unfollowed = not self.discrete and self.logarithmic_norm is None  # nothing to enclose
        return (
            f"certified: |{error}| ≤ {at_most(self.value)} in the {_NORM_NAMES[self.norm]} for "
            f"0 ≤ t ≤ {self.horizon:g}, from every initial state of the box"
            + (", for as long as the solutions exist" if unfollowed else "")
        )

    def to_text(self, max_blocks: int = 12) -> str:
        """Headline, a table of the blocks, and what the bound is made of."""
        lines = [self.headline()]
        width = max([5, *map(len, self.blocks[:max_blocks])])
        seen = self.observed_by_block
        lines.append(f"{'block':<{width}}  {'bound':>10}" + ("    observed  ratio" if seen else ""))
        for name in self.blocks[:max_blocks]:
            line = f"{name:<{width}}  {at_most(self.by_block[name]):>10}"
            if seen:
                ratio = "" if math.isnan(self.ratios[name]) else f"{self.ratios[name]:>5.3g}"
                line += f"  {seen[name]:>10.4g}  {ratio}".rstrip()
            lines.append(line)
        if len(self.blocks) > max_blocks:
            lines.append(f"… {len(self.blocks) - max_blocks} more blocks")
        if self.discrete:
            lines.append(f"D = {at_most(self.defect)}; each step enclosed")
        elif self.logarithmic_norm is None:
            lines.append("the defect has no term, so e = 0 and the solutions were not enclosed")
        else:
            lines.append(
                f"D = {at_most(self.defect)}, Λ = {at_most(self.logarithmic_norm)}; "
                f"the formula D·(exp(Λ·t) − 1)/Λ would give {at_most(self.formula)}"
            )
        pieces = "1 piece" if self.pieces == 1 else f"{self.pieces} pieces"
        lines.append(f"{self.arithmetic}; {len(self.times) - 1} steps, {pieces}")
        if self.observed is not None:
            lines.append(
                f"observed, not certified: {self.observed.samples} simulated initial states, "
                f"seed {self.observed.seed}"
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"

    def __repr__(self) -> str:
        return f"<ErrorBound: {self.headline()}>"


_NORM_NAMES = {"max": "max norm", "1": "1-norm", "2": "2-norm"}


@memory_errors()
def error_bound(
    lumping: Lumping,
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
    lumping : Lumping
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
    if lumping.ode.discrete:
        from symlump.lumping.map_bounds import map_bound

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
    forward = lumping.method.direction == "forward"
    components = lumping.quotient.variables if forward else lumping.ode.variables
    intervals, order = 1 << level, NORMS.index(norm)
    during, at_end = np.zeros((intervals, len(components))), np.zeros(len(components))
    value = formula = largest = 0.0
    growth: float | None = None
    reach: FloatArray | None = None
    runs: list[Run] = []
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
    seen = None
    if samples:
        seen = observed_error(lumping, horizon, start, spread=spread, samples=samples, seed=seed)
    return ErrorBound(
        lumping.method.direction,
        horizon,
        lumping.ode.variables,
        start,
        float(spread),
        norm,
        value,
        components,
        lumping.quotient.variables,
        np.arange(len(components)) if forward else lumping.partition.labels,
        np.linspace(0.0, horizon, intervals + 1),
        during,
        at_end,
        largest,
        growth,
        formula,
        reach,
        m.name,
        max(1, len(runs)),
        seen,
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


def _ratio(bound: float, seen: float) -> float:
    if bound == 0:
        return math.nan
    return bound / seen if seen else math.inf
