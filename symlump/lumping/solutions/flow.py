"""A validated integrator: where the base b and the error e of a quotient provably are, step by step.

Write s = (b, e) and s' = P(s) (:class:`symlump.lumping.solutions.error_system.ErrorSystem`). Over one step
of length h let c be a point and w = (s − c, 1). Then w' = N(t)·w with N = [[M, P(c)], [0, 0]], where M is the
mean slope of P between c and s. If w stays in a box W during the step, N(t) stays in an interval matrix N̄ ±
R, and variation of constants gives

    w(t) = exp(t·N̄)·w(0) + r(t),   |r(t)| ≤ ∫₀ᵗ exp(σ·K)·R·|W| dσ,

with K the Metzler majorant of N̄ (its diagonal, and the absolute values beside it), because
|exp(σ·N̄)| ≤ exp(σ·K) entrywise. The set of states is a zonotope {centre + G·ξ : |ξ_i| ≤ 1}, which exp(h·N̄)
maps to a zonotope, so nothing is wrapped but r. A column of G acts on b and on e: the error remembers which
initial state made it.

That w stays in W is *proved*: a box is guessed, and the step is accepted only if the formula, evaluated with
the guess, gives a set inside its interior. A solution that left the guess would have to do so at a time up to
which the formula holds; it cannot. If no guess is confirmed the step is halved.

The exponentials are Taylor sums with a bound of the rest. Between the ends of a step, exp(t·N̄)·w(0) is
within ⅛·exp(K⁺)·|(h·N̄)²·w(0)| of the chord, K⁺ being h·K with the negative part of its diagonal removed.

References
----------
Lohner, "Enclosing the solutions of ordinary initial and boundary value problems" (1987); Nedialkov, Jackson,
Corliss, "Validated solutions of initial value problems for ordinary differential equations",
doi:10.1016/S0096-3003(98)10083-8; Girard, "Reachability of uncertain linear systems using zonotopes",
doi:10.1007/978-3-540-31954-2_19.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.enclosures.interval import Interval, sum_up
from symlump.lumping.solutions.boxmap import Bounds
from symlump.lumping.solutions.error_system import ErrorSystem
from symlump.ode.exact import FloatArray

#: A step is halved until the norm of h·N̄ is at most this.
LARGEST_NORM = 2.0
_ATTEMPTS = 12
_REST = 1e-17


@dataclass(frozen=True, eq=False)
class Zonotope:
    """The states {(centre_b, centre_e) + generators·ξ : |ξ_i| ≤ 1}.

    Parameters
    ----------
    centre : ndarray, shape (base + errors,)
    generators : ndarray, shape (base + errors, k)
    """

    centre: FloatArray
    generators: FloatArray

    def radius(self) -> FloatArray:
        """Half the widths of the smallest box around it, rounded up."""
        return sum_up(np.abs(self.generators))

    def reduced(self, limit: int) -> Zonotope:
        """At most ``limit`` generators (or one per dimension): those nearest to an axis become a box."""
        rows, count = self.generators.shape
        limit = max(limit, rows)
        live = self.generators.any(axis=0)
        generators = self.generators[:, live]
        if generators.shape[1] <= limit:
            return Zonotope(self.centre, generators)
        scale = np.abs(generators).sum(axis=1, keepdims=True)
        relative = np.abs(generators) / np.where(scale > 0, scale, 1.0)
        # A generator along an axis loses nothing when it becomes a side of a box.
        order = np.argsort(relative.sum(axis=0) - relative.max(axis=0), kind="stable")
        # The box has a generator for each row, so as many more have to go into it.
        boxed = order[: generators.shape[1] - limit + rows]
        kept = np.delete(generators, boxed, axis=1)
        box = Zonotope(self.centre, generators[:, boxed]).radius()
        return Zonotope(self.centre, np.hstack([kept, np.diag(box)]))


@dataclass(frozen=True, eq=False)
class TimeStep:
    """What is proved about one step.

    Parameters
    ----------
    base : ndarray, shape (base, 2)
        A box that holds b all the time.
    error, last_error : ndarray, shape (live,)
        Bounds of |e| all the time, and at the end.
    slopes : (ndarray, ndarray), shape (live, live)
        Bounds of M_f all the time.
    defect : ndarray, shape (live,)
        Bounds of |d(b)| all the time.
    loss : float
        How much a shorter step would have spared at the end, relative to the widths; an estimate.
    excess : float
        How much larger ``error`` is, in sum, than at either end of the step.
    """

    length: Fraction
    base: FloatArray
    error: FloatArray
    last_error: FloatArray
    slopes: Bounds
    defect: FloatArray
    loss: float
    excess: float


@np.errstate(over="ignore", invalid="ignore")
def advance(
    system: ErrorSystem, state: Zonotope, length: Fraction, limit: int
) -> tuple[TimeStep, Zonotope] | None:
    """One step, or None if it cannot be proved with this length.

    Parameters
    ----------
    limit : int
        Number of generators to keep.
    """
    m, h = system.arithmetic, float(length)
    # The slopes are taken about the middle of the way that the centre goes.
    c = state.centre + 0.5 * h * system.rate(state.centre)
    if not np.isfinite(c).all():
        return None
    about = _About(system, c, length)
    shift, off = m.ball(m.point(state.centre) - m.point(c))
    first = _widened((shift, shift), state.radius())
    # The centre starts at c + shift, and would end near c − shift: c is halfway.
    guess = about.wider(_hull(first, (first[0] - 2 * shift, first[1] - 2 * shift)))
    # w = (b, e) − c obeys w' = N·w + N's last column, with N a mean of slopes between c and c + w. It is
    # replaced by the middle A of its bounds; what that changes is the remainder, which the majorant's flow
    # bounds.
    matrix, _ = Interval(*about.matrix(guess)).ball()
    if not norm(matrix)[0] <= LARGEST_NORM:  # also where it is not a number
        return None
    majorant, growing = majorants(matrix)

    # The affine part is a further variable that is 1, so one exponential moves centre and generators.
    columns = np.column_stack([shift, state.generators])
    columns = np.vstack([columns, np.eye(1, columns.shape[1])])
    end, rounding = m.ball(exponential(m, matrix) @ m.point(columns))
    # The rounding of the Taylor sums, and that of the start (`off`), which the flow makes larger.
    local = _up(sum_up(rounding)[:-1] + action(m, growing, np.append(off, 0.0)[:, None], 0)[:-1, 0])
    last = end[:-1, 0], end[:-1, 0]
    last = _widened(last, Zonotope(c, end[:-1, 1:]).radius())
    # Between its ends the linear flow stays in their hull, except for how far it bends.
    core = _hull(first, last)
    above, below = _bends(m, matrix, growing, columns)
    core = core[0] - below, core[1] + above
    core = _widened(core, _up(local + off + 2.0**-50 * _largest(core)))

    box = _confirmed(about, core, matrix, majorant)
    if box is None:
        return None
    rest = about.remainder(box, matrix, majorant)
    # The part of it that comes from the way that the centre goes, not from the width of the set.
    radius = np.maximum(state.radius(), Zonotope(c, end[:-1, 1:]).radius())
    spared = rest - about.remainder((-radius, radius), matrix, majorant)
    # The remainder is a box: each of its sides is one generator more, until `reduced` joins some.
    rest = _up(local + rest)
    new, slack = m.ball(m.point(end[:-1, 0]) + m.point(c))
    after = Zonotope(new, np.hstack([end[:-1, 1:], np.diag(_up(rest + slack))])).reduced(limit)
    if not (np.isfinite(after.centre).all() and np.isfinite(after.generators).all()):
        return None
    return about.step(box, state, after, spared), after


def _bends(m: Arithmetic, matrix: FloatArray, growing: FloatArray, columns: FloatArray) -> Bounds:
    """How far exp(t·A)·v is above, and below, its chord from t = 0 to t = 1, for v in a zonotope.

    That is ½·t·(1 − t) times a value of the second derivative, exp(s·A)·A²·v. The latter is A²·v, up to
    ∫ exp(σ·K⁺)·|A|·|A²·v| dσ, and its sign says on which side of the chord the curve is.
    """
    second, rounding = m.ball((m.point(matrix) @ m.point(matrix)) @ m.point(columns))
    middle = second[:, 0]
    radius = _up(sum_up(np.abs(second[:, 1:])) + sum_up(rounding))
    pushed = m.upper(m.point(np.abs(matrix)) @ m.point(_up(np.abs(middle) + radius)[:, None]))
    radius = _up(radius + action(m, growing, np.maximum(pushed, 0.0), 1)[:, 0])[:-1]
    middle = middle[:-1]
    # ½·t·(1 − t) is at most 1/8. Where the second derivative is ≥ 0 the curve is below its chord.
    above, below = (
        np.maximum(0.0, side + radius) * (1 + 2.0**-50) / 8 for side in (-middle, middle)
    )
    return above, below


def _confirmed(
    about: _About, core: Bounds, matrix: FloatArray, majorant: FloatArray
) -> Bounds | None:
    """A box that holds w all the time: a guess is proved, then replaced by what it implies."""
    guess = about.wider(core)
    for _ in range(_ATTEMPTS):
        implied = _widened(core, about.remainder(about.inside(guess), matrix, majorant))
        if not (np.isfinite(implied[0]).all() and np.isfinite(implied[1]).all()):
            return None
        # As long as w is in the guess it is in the interior of it, so it can never leave: a solution is
        # continuous.
        if (implied[0] > guess[0]).all() and (implied[1] < guess[1]).all():
            return about.inside(implied)
        guess = about.wider(implied)
    return None


@dataclass(frozen=True, eq=False)
class _About:
    """The system seen from a point c, over one step; boxes are of w = (b, e) − c."""

    system: ErrorSystem
    c: FloatArray
    length: Fraction

    @cached_property
    def _constant(self) -> Enclosures:
        return self.system.values(self.system.arithmetic.point(self.c))

    def matrix(self, box: Bounds) -> Bounds:
        """Bounds of h·N while w is in the box."""
        m = self.system.arithmetic
        low, high = (np.zeros((self.c.size + 1, self.c.size + 1)) for _ in range(2))
        low[:-1, :-1], high[:-1, :-1] = self.system.slopes(m.point(self.c), box)
        low[:-1, -1], high[:-1, -1] = m.lower(self._constant), m.upper(self._constant)
        scaled = m.between(low, high) * m.number(self.length)
        return m.lower(scaled), m.upper(scaled)

    def remainder(self, box: Bounds, matrix: FloatArray, majorant: FloatArray) -> FloatArray:
        """At least ∫₀ʰ exp(σ·M)·R·|W| dσ, for w in the box."""
        low, high = self.matrix(box)
        # |N − N̄| ≤ R and |w| ≤ |W|, whose last entry is the constant 1: so |(N − N̄)·w| ≤ R·|W|.
        radius = _up(np.maximum(high - matrix, matrix - low))
        size = np.append(_largest(box), 1.0)
        m = self.system.arithmetic
        force = np.maximum(m.upper(m.point(radius) @ m.point(size[:, None])), 0.0)
        return action(m, majorant, force, 1)[:-1, 0]

    def inside(self, box: Bounds) -> Bounds:
        """The part of a box where what provably stays ≥ 0 is so."""
        stays = np.flatnonzero(self.system.nonnegative)
        low = box[0].copy()
        low[stays] = np.maximum(low[stays], -self.c[stays])
        return low, np.maximum(low, box[1])

    def wider(self, box: Bounds) -> Bounds:
        """A box with this one in its interior."""
        low, high = box
        # A side of length 0 has to grow, too: nothing lies in the interior of a box without one. What
        # stands still may be moved by the other variables, hence a share of the largest of them.
        room = 0.1 * (high - low) + 1e-14 * np.abs(self.c) + 1e-290
        nb = self.system.base.inputs
        for part in (slice(0, nb), slice(nb, None)):
            room[part] += 1e-9 * _largest((low[part], high[part])).max(initial=0.0)
        return low - room, high + room

    def step(self, box: Bounds, before: Zonotope, after: Zonotope, spared: FloatArray) -> TimeStep:
        """What is to be reported, of a box that is proved to hold w all the time."""
        m, nb = self.system.arithmetic, self.system.base.inputs
        state = m.point(self.c) + m.between(*box)
        low, high = m.lower(state), m.upper(state)
        error = np.maximum(np.abs(low), np.abs(high))[nb:]
        first, last = (_up(np.abs(z.centre) + z.radius())[nb:] for z in (before, after))
        slopes, defect = self.system.comparison((low[:nb], high[:nb]), error)
        # A point has no width, so a hundredth of the size of b is counted too.
        width = after.radius()[:nb] + 0.01 * np.maximum(np.abs(low[:nb]), np.abs(high[:nb]))
        loss = max(_share(spared[:nb].sum(), width.sum()), _share(spared[nb:].sum(), error.sum()))
        return TimeStep(
            self.length,
            np.column_stack([low[:nb], high[:nb]]),
            error,
            last,
            slopes,
            defect,
            loss,
            float(np.maximum(error - np.maximum(first, last), 0.0).sum()),
        )


def exponential(m: Arithmetic, matrix: FloatArray) -> Enclosures:
    """Enclosures of exp(A), for a matrix of floats with ∞-norm at most 1.5."""
    return _series(m, matrix, np.eye(len(matrix)), 0)


def action(m: Arithmetic, matrix: FloatArray, columns: FloatArray, shift: int) -> FloatArray:
    """At least exp(A)·V for ``shift=0``, ∫₀¹ exp(σ·A)·V dσ for ``shift=1``; A Metzler and V ≥ 0."""
    return np.maximum(m.upper(_series(m, matrix, columns, shift)), 0.0)


def _series(m: Arithmetic, matrix: FloatArray, columns: FloatArray, shift: int) -> Enclosures:
    """Σ A^k·V/(k + shift)!, a Taylor sum with a bound of its rest.

    After A^K the rest is at most x^(K+1)/(K+1)!/(1 − x/(K+2))·‖V‖, with x = ‖A‖ in the norm ∞ or 1.
    """
    x, by_rows = norm(matrix)
    a = m.point(matrix)
    term = total = m.point(columns)  # 0! and 1! are 1
    k, rest = 0, x  # x^(k+1)/(k+1)!, the first term that is left out, with ‖V‖ = 1
    while rest > _REST and k < 60:
        k += 1
        term = (a @ term) * m.number(Fraction(1, k + shift))
        total = total + term
        rest *= x / (k + 1)
    # Every further term is at most x/(k+2) times the one before: a geometric series. With shift = 1 the
    # terms are smaller still. The last factor is more than a hundred roundings of floats.
    rest = rest / (1 - x / (k + 2)) * (1 + 2.0**-30)
    size = np.abs(columns).max(axis=0, initial=0.0) if by_rows else sum_up(np.abs(columns).T)
    room = rest * size * np.ones_like(columns)
    room[~matrix.any(axis=1)] = 0.0  # a row of zeros in A is one in A^k: there is no rest
    return total + m.between(-room, room)


def norm(matrix: FloatArray) -> tuple[float, bool]:
    """At least the smaller of the matrix norms ∞ and 1, and whether it is the former."""
    rows, columns = (float(sum_up(np.abs(a)).max(initial=0.0)) for a in (matrix, matrix.T))
    return min(rows, columns), rows <= columns


def majorants(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The Metzler majorant M, and M with max(0, ·) on the diagonal: exp(s·M) ≤ exp(M⁺) for 0 ≤ s ≤ 1."""
    majorant, diagonal = np.abs(matrix), np.diag(matrix)
    # Only what is beside the diagonal is made positive: exp(s·M) may shrink, as exp(s·A) does. With no
    # negative entry left, exp(s·M⁺) grows with s, so its value at 1 is a bound for all of the step.
    growing = majorant.copy()
    np.fill_diagonal(majorant, diagonal)
    np.fill_diagonal(growing, np.maximum(diagonal, 0.0))
    return majorant, growing


def _up(values: FloatArray) -> FloatArray:
    """At least the real value, where a handful of numbers ≥ 0 were added in floats."""
    return np.asarray(values * (1 + 2.0**-49))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if part > 0 else 0.0


def _largest(box: Bounds) -> FloatArray:
    return np.maximum(np.abs(box[0]), np.abs(box[1]))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])


def _widened(box: Bounds, room: FloatArray) -> Bounds:
    low, high = box
    return (
        np.where(room > 0, np.nextafter(low - room, -np.inf), low),
        np.where(room > 0, np.nextafter(high + room, np.inf), high),
    )
