"""What a stage does to everything before it, on a box: an affine or quadratic map with an error.

Each unit is put into bands (:mod:`symlump.network.bounds.bands`); that of δh is the narrowest of three:

1. δh = σ·δz + μ with σ = mid ± rad, the slopes of φ between z and a·ẑ: good where the networks are close;
2. the band of h less that of s·ĥ + c: good where they are not;
3. the range of δh.

In the first stage, z and ẑ are affine in the inputs, so bands can be parabolas and the slopes σ lines, at
the price of products of two inputs; these become coefficients of their own, and cancel between the
networks as the affine part does. In later stages bands are straight.

Rounding: a step is used as a row A of floats times its matrix M, which is a rounded T·J (that of a later stage
is not written out: A is multiplied by T, then by J). The error of fl(A·M) and of M are at most |A| times
γ_n·|T|·|J|·|y'|, so they are added to the radius here, once.

Underflow: a product loses at most 2⁻¹⁰⁷⁴. In an entry of M or of fl(A·M) that is multiplied by y', which can be
large, and where three numbers are multiplied by the third of them: so much is counted, that of fl(A·M) as
``lost``. What is multiplied by nothing further is in TINY, 2⁷⁴ times as much, which :func:`grow` adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.enclosures.interval import UNIT, Interval, gamma, grow
from symlump.network.bounds.bands import Band, bent, slope_line, straight
from symlump.network.bounds.corners import Forms, cube, product
from symlump.network.bounds.curves import Curve
from symlump.network.bounds.joint import SMALLEST, Scaled
from symlump.network.bounds.mixed import MixedCurve
from symlump.network.bounds.pairing import Stage
from symlump.ode.exact import FloatArray

#: How far |δz| is below its largest value where the worst happens, about; decides which band is used.
_TYPICAL = 0.75


@dataclass(frozen=True, eq=False)
class Ranges:
    """Certified ranges in one stage, each of shape (boxes, units).

    Parameters
    ----------
    original, reduced, difference : Interval
        z, ẑ and δz.
    original_output, reduced_output, output_difference : Interval
        h, ĥ and δh.
    """

    original: Interval
    reduced: Interval
    difference: Interval
    original_output: Interval
    reduced_output: Interval
    output_difference: Interval


@dataclass(frozen=True, eq=False)
class Activated:
    """A stage's activation: φ and ψ, all z and a·ẑ together, μ = φ(a·ẑ) − s·ψ(ẑ) − c (None: 0)."""

    original: Curve
    reduced: Curve
    hull: Interval
    mismatch: Interval | None


@dataclass(frozen=True, eq=False)
class RelaxedStage:
    """y = matrix·y' + constant ± (radius + spread·|δz|) box by box, y' being what is before the stage.

    In the first stage y' are the inputs as in :mod:`symlump.network.bounds.corners`. ``spread`` is for δh
    only; ``whole`` is a radius that includes it, and ``difference`` is δz in terms of the inputs. ``lost`` is
    what underflows in a row times the matrix, of shape (boxes, 1).
    """

    matrix: FloatArray | Scaled
    constant: FloatArray
    radius: FloatArray
    whole: FloatArray
    spread: FloatArray
    difference: Forms
    lost: FloatArray


def first_step(
    stage: Stage,
    now: Ranges,
    how: Activated,
    forms: Forms,
    lines: Lines | None,
    cubed: bool = False,
) -> RelaxedStage:
    """Make the step of the first stage.

    Parameters
    ----------
    forms : Forms
        The rows (δz, ẑ, z) in terms of the inputs, affine here.
    lines : Lines, optional
        Straight bands, to use these; without them bands are bent, along products of two inputs.
    cubed : bool
        Use those of three, too.
    """
    made = _first(stage, now, how, forms, lines, 0 if lines else 1 + cubed)
    return _step(stage, now, made, forms, np.full((1, 1), SMALLEST * made[0].shape[-1]))


def later_step(
    stage: Stage,
    now: Ranges,
    lines: Lines,
    differences: Differences | None,
    before: FloatArray,
    forms: Forms,
) -> RelaxedStage:
    """Make the step of a later stage.

    Parameters
    ----------
    differences : Differences
        From :func:`straight_differences`; None where no unit is paired.
    before : ndarray
        How large y' can be.
    forms : Forms
        The rows (δz, ẑ, z) in terms of the inputs.
    """
    made, lost = _later(stage, lines, differences, before)
    return _step(stage, now, made, forms, lost)


def both_straight(now: Ranges, how: Activated) -> Lines:
    """Straight bands of h and of ĥ, made together where the activation is the same.

    They hold on smaller ranges, too.
    """
    units = now.original.lower.shape[-1]
    if not units:
        two = straight(how.reduced, now.reduced)
        return two[..., :0], two
    if how.original is not how.reduced or isinstance(how.original, MixedCurve):
        return straight(how.original, now.original), straight(how.reduced, now.reduced)
    ends = (
        np.concatenate(x, axis=-1)
        for x in ((now.original.lower, now.reduced.lower), (now.original.upper, now.reduced.upper))
    )
    both = straight(how.original, Interval(*ends))
    return both[..., :units], both[..., units:]


#: Straight bands of h and of ĥ.
Lines = tuple[Band, Band]


@dataclass(frozen=True, eq=False)
class Differences:
    """Straight bands of δh.

    Parameters
    ----------
    bands : tuple of ndarray
        d, t, c, ρ, rad with δh = d·δz + t·ẑ_p + c ± (ρ + rad·|δz|).
    given_up : ndarray of bool
        For which units that is the difference of two bands, narrower than what is made of δz.
    """

    bands: tuple[FloatArray, ...]
    given_up: npt.NDArray[np.bool_]


_First = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
_Later = tuple[Scaled, FloatArray, FloatArray, FloatArray]


def _step(
    stage: Stage, now: Ranges, made: _First | _Later, forms: Forms, lost: FloatArray
) -> RelaxedStage:
    units = stage.pairs.partner.size
    matrix, constant, radius, spread = made
    # An entry of the matrix is off by what its products lose where they underflow, and is multiplied by y'.
    radius = grow(radius + 2 * lost, 64)
    whole = radius.copy()
    whole[..., :units] = grow(whole[..., :units] + spread * now.difference.magnitude, 4)
    return RelaxedStage(
        matrix, constant, radius, whole, spread, forms[:, :units], matrix.shape[-2] * lost
    )


def _later(
    stage: Stage, lines: Lines, differences: Differences | None, before: FloatArray
) -> tuple[_Later, FloatArray]:
    """Straight bands, put together with (δz, ẑ) = J·y' + e; and what underflows where one entry is used."""
    joint, pairs = stage.joint, stage.pairs
    units, partner = pairs.partner.size, pairs.partner
    relative = gamma(sum(joint.shape) + 16)
    # J is known up to its own radius, and sums of products with it round: both times the size of y'.
    error = joint.error(before, relative)[..., : joint.shape[0]]
    # An entry of a row times d, t or a slope may underflow, and t itself: that is multiplied by J·y'.
    lost = SMALLEST * before.sum(axis=-1, keepdims=True)
    lost = lost + (SMALLEST / relative) * error.sum(axis=-1, keepdims=True)
    # ĥ = slope·ẑ + offset ± radius, with ẑ put in by its rows of J: a band of the inputs of the stage. What J
    # and e round is multiplied by the slope, too.
    two = lines[1]
    bias = joint.bias[: joint.shape[0]]
    constant = two.slope * bias[units:] + two.offset
    radius = two.radius + np.abs(two.slope) * error[..., units:] + relative * np.abs(two.offset)
    if differences is None:
        none = np.zeros((two.slope.shape[0], 0))
        return (Scaled(joint, none, none, two.slope), constant, radius, none), lost
    # The same of δh = d·δz + t·ẑ_p + c: d weighs the rows of δz, t those of the partners' ẑ.
    d, t, c, rho, spread = differences.bands
    level = d * bias[:units] + c
    rho = rho + np.abs(d) * error[..., :units] + relative * np.abs(c)
    if t.any():
        level = level + t * bias[units:][partner]
        rho = rho + np.abs(t) * error[..., units:][..., partner]
    made = (
        Scaled(joint, d, t, two.slope),
        np.concatenate([level, constant], axis=-1),
        np.concatenate([rho, radius], axis=-1),
        spread,
    )
    return made, lost


def straight_differences(stage: Stage, now: Ranges, how: Activated, lines: Lines) -> Differences:
    """The best straight bands of δh, unit by unit."""
    pairs, (one, two) = stage.pairs, lines
    partner, a, s = pairs.partner, pairs.before, pairs.after
    # φ(z) − φ(a·ẑ_p) is δz times the mean slope between the two, and φ(a·ẑ_p) − s·ĥ_p − c is μ.
    direct, spread = how.original.slopes(how.hull).ball()
    zero = np.zeros_like(direct)
    constant, radius = (zero, zero) if how.mismatch is None else how.mismatch.ball()
    slope, offset = two.slope[..., partner], two.offset[..., partner]
    # What the first term of each of the two differences below rounds is at most this and a share of the result,
    # for which the caller pays, as for what underflows.
    size = now.reduced.magnitude[..., partner]
    rounding = np.abs(s * slope) * size + np.abs(s * offset) + np.abs(pairs.offset)
    separate = one.radius + np.abs(s) * two.radius[..., partner]
    separate = separate + 4 * UNIT * rounding
    # h − s·ĥ_p − c with z = δz + a·ẑ_p: the slope of h weighs both, so ẑ_p has what is left of the two slopes.
    *bands, apart = _narrowest(
        now,
        (direct, zero, constant, radius, spread),
        (
            one.slope,
            one.slope * a - s * slope,
            one.offset - s * offset - pairs.offset,
            separate,
            zero,
        ),
    )
    return Differences(tuple(bands), apart)


def _narrowest(
    now: Ranges, close: tuple[FloatArray, ...], apart: tuple[FloatArray, ...]
) -> tuple[Any, ...]:
    """Unit by unit the best of two bands and of the range, and where it is the second one.

    The last three entries of each are c, ρ, rad.
    """
    level, half = now.output_difference.ball()
    # Each of the three is right, so any may be chosen unit by unit; the guess of |δz| decides only how good.
    width = close[-2] + _TYPICAL * close[-1] * now.difference.magnitude
    first = apart[-2] < width
    last = half < np.minimum(apart[-2], width)
    alone = (*(np.zeros_like(x) for x in close[:-3]), level, half, np.zeros_like(half))

    def pick(x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        shape = (*first.shape, *(1,) * (x.ndim - first.ndim))
        return np.where(last.reshape(shape), z, np.where(first.reshape(shape), y, x))

    best = (pick(*entries) for entries in zip(close, apart, alone, strict=True))
    return *best, first & ~last


def _first(
    stage: Stage, now: Ranges, how: Activated, forms: Forms, lines: Lines | None, powers: int
) -> _First:
    """Bands of functions that are affine in the inputs: straight, along parabolas (1) or cubics (2)."""
    pairs, n = stage.pairs, forms.inputs
    units, partner = pairs.partner.size, pairs.partner
    last = units + now.reduced.lower.shape[-1]
    relative = gamma(2 * n * n + forms.middle.shape[-1] + 16)
    error = grow(forms.error, forms.terms + 16)
    reduced = AffineForms(
        forms.middle[:, units:last], forms.sides[:, units:last], error[:, units:last]
    )
    one, two = lines or (None, None)
    own = compose(how.reduced, now.reduced, reduced, two, powers, relative)
    if not units:
        return (*own, np.zeros((own[2].shape[0], 0)))
    whole = AffineForms(forms.middle[:, last:], forms.sides[:, last:], error[:, last:])
    difference = AffineForms(forms.middle[:, :units], forms.sides[:, :units], error[:, :units])
    matrix, constant, radius = compose(how.original, now.original, whole, one, powers, relative)
    # Both are functions of the same inputs here, so the coefficients of h and s·ĥ_p cancel before any
    # absolute value is taken.
    s = pairs.after
    apart = (
        matrix - s[:, None] * own[0][:, partner],
        constant - s * own[1][:, partner] - pairs.offset,
        # the last term is the rounding of these two differences
        radius + np.abs(s) * own[2][:, partner] + relative * np.abs(pairs.offset),
        np.zeros_like(constant),
    )
    close = _close(stage, how, difference, whole, reduced, powers > 0, relative)
    more = np.zeros((*matrix.shape[:-1], matrix.shape[-1] - close[0].shape[-1]))
    close = np.concatenate([close[0], more], axis=-1), *close[1:]
    matrix, constant, radius, spread, _ = _narrowest(now, close, apart)
    return (
        np.concatenate([matrix, own[0]], axis=-2),
        np.concatenate([constant, own[1]], axis=-1),
        np.concatenate([radius, own[2]], axis=-1),
        spread,
    )


@dataclass(frozen=True, eq=False)
class AffineForms:
    """middle + Σ sides·t ± error."""

    middle: FloatArray
    sides: FloatArray
    error: FloatArray

    @property
    def reach(self) -> FloatArray:
        """At least |Σ sides·t|, before rounding."""
        return np.asarray(np.abs(self.sides).sum(axis=-1))


def compose(
    phi: Curve, z: Interval, inner: AffineForms, band: Band | None, powers: int, relative: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """φ of an affine function: matrix, constant and radius, by a given straight band or a bent one."""
    reach, error = inner.reach, inner.error
    if band is not None:
        offset = band.offset + band.slope * inner.middle
        size = np.abs(band.offset) + np.abs(band.slope) * (np.abs(inner.middle) + reach)
        radius = band.radius + np.abs(band.slope) * error + relative * size
        return band.slope[..., None] * inner.sides, offset, radius
    band = bent(phi, z, inner.middle, *(3,) * (powers > 1))
    slope, bend = np.abs(band.slope), np.abs(band.bend)
    # With u = sides·t and z = middle + u ± error: slope·u + bend·u², the square written in products of two
    # inputs. An error e of u changes that by at most (|slope| + |bend|·(2·|u| + e))·e.
    constant, rest = product(inner.sides, inner.sides)
    matrix = np.concatenate(
        [band.slope[..., None] * inner.sides, band.bend[..., None] * rest], axis=-1
    )
    radius = band.radius + (slope + bend * (2 * reach + error)) * error
    radius = radius + relative * (np.abs(band.offset) + (slope + bend * reach) * reach)
    if powers > 1:
        # twist·u³ likewise; an error e of u changes u³ by at most (3·u² + 3·|u|·e + e²)·e
        twist = np.asarray(band.twist)
        size = np.abs(twist)
        first, cubes = cube(inner.sides)
        matrix[..., : first.shape[-1]] += twist[..., None] * first
        matrix = np.concatenate([matrix, twist[..., None] * cubes], axis=-1)
        radius = radius + size * (3 * reach * (reach + error) + error**2) * error
        radius = radius + relative * size * reach**3
        radius = radius + 16 * matrix.shape[-1] * SMALLEST * size * (reach + 1)
    radius = radius + matrix.shape[-1] * SMALLEST * (bend + reach + error)
    return matrix, band.offset + band.bend * constant, radius


def _close(
    stage: Stage,
    how: Activated,
    difference: AffineForms,
    whole: AffineForms,
    reduced: AffineForms,
    squared: bool,
    relative: float,
) -> tuple[FloatArray, ...]:
    """δz·(slope of φ between z and a·ẑ) + μ, the mean of a line over a segment being its value halfway.

    With slope(ζ) = β0 + β1·(ζ − centre) ± rad and m = (z + a·ẑ)/2, this is
    δz·(β0 + β1·(m − centre)) ± rad·|δz|.
    """
    pairs = stage.pairs
    shape = difference.middle
    if squared:
        a, partner = pairs.before, pairs.partner
        # The line is evaluated at m, so it is taken about the middle of the values of m.
        half = 0.5 * whole.middle + 0.5 * a * reduced.middle[:, partner]
        line = slope_line(how.original, how.hull, half)
        sides = 0.5 * whole.sides + 0.5 * a[:, None] * reduced.sides[:, partner]
        size = np.abs(whole.middle) + np.abs(a * reduced.middle[:, partner])
        off = 0.5 * whole.error + 0.5 * np.abs(a) * reduced.error[:, partner]
        reach = np.abs(sides).sum(axis=-1)
        off = off + relative * (size + whole.reach + np.abs(a) * reduced.reach[:, partner])
        # The error of δz is multiplied by the slope there, which is at most |β0| + |β1|·(reach + off); that of
        # m tilts the slope by |β1|·off, times δz.
        tilt = np.abs(line.slope)
        # (β0 + β1·(m − centre))·δz with both factors affine in the inputs: terms of one input, and products
        # of two, which stand for themselves.
        constant, rest = product(sides, difference.sides)
        first = line.offset[..., None] * difference.sides
        first = first + (line.slope * difference.middle)[..., None] * sides
        matrix = np.concatenate([first, line.slope[..., None] * rest], axis=-1)
        level = line.offset * difference.middle + line.slope * constant
        far = np.abs(difference.middle) + difference.reach
        radius = (np.abs(line.offset) + tilt * (reach + off)) * difference.error + tilt * off * far
        # (of what tilt·reach rounds twice as much is in off)
        radius = radius + relative * np.abs(line.offset) * far
        large = tilt + reach + off + far + difference.error
        radius = radius + matrix.shape[-1] * SMALLEST * large
        spread = line.radius
    else:
        slope, spread = how.original.slopes(how.hull).ball()
        matrix = slope[..., None] * difference.sides
        level = slope * difference.middle
        far = np.abs(difference.middle) + difference.reach
        radius = np.abs(slope) * (difference.error + relative * far)
    if how.mismatch is not None:
        centre, more = how.mismatch.ball()
        level, radius = level + centre, radius + more + relative * np.abs(centre)
    return matrix, level, radius, np.broadcast_to(spread, shape.shape)
