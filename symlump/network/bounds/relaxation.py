"""Certified ranges of everything in two networks side by side, by intervals or by linear relaxation.

What is bounded is the system of :mod:`symlump.network.bounds.pairing`: with y = (δh, ĥ) before a stage and
p = (δz, ẑ) = J·y + e in it. Two ways, and their intersection:

*Intervals* go forward: the range of p from the ranges of y, entry by entry. The activation takes
δz to δh = σ·δz + μ, where σ is one of φ's slopes between z and a·ẑ, and μ = φ(a·ẑ) − s·ψ(ẑ) − c is 0
where both activations are the same.

*Linear relaxation* goes backward. On the box each stage is y = M·y' + m ± ρ
(:mod:`symlump.network.bounds.steps`). So a row A·y, which is to be bounded, is a row A·M·y' ± |A|·ρ, and so on
down to the inputs, where it is bounded on the box. Common parts of both networks cancel on the way, which
intervals cannot do.

Rounding. Rows are whatever floats they are: the float row A' = fl(A·M) is *chosen* instead of A·M, and ρ is
made to cover the difference, as :mod:`symlump.network.bounds.steps` shows. The constants A·m are covered in the
same way, plus half a step of rounding for each sum. Where numbers overflow, nothing is known of the row.

References
----------
Zhang, Weng, Chen, Hsieh, Daniel, arXiv:1811.00866 (linear relaxation, backward); Singh, Gehr, Mirman,
Püschel, Vechev, "Fast and effective robustness certification", NeurIPS 2018 (parallel bands); Paulsen, Wang,
Wang, arXiv:2001.03662 (relaxing the difference of two networks).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from symlump.enclosures.boxes import ensure_finite
from symlump.enclosures.interval import UNIT, Interval, gamma
from symlump.network.bounds.corners import Forms, over_corners
from symlump.network.bounds.curves import difference_curve
from symlump.network.bounds.joint import SMALLEST, Joint
from symlump.network.bounds.mixed import Mixed, MixedCurve, curve_of
from symlump.network.bounds.pairing import Stage
from symlump.network.bounds.steps import (
    Activated,
    Ranges,
    RelaxedStage,
    both_straight,
    first_step,
    later_step,
    straight_differences,
)
from symlump.ode.exact import FloatArray, IntArray

#: With more inputs than this, products of two inputs are too many.
MOST_SQUARED = 16
#: With more, products of three.
MOST_CUBED = 8
#: Partners are given up where at least every so manieth unit gains: the next stage is written anew.
_FEW = 16


def ranges(stages: Sequence[Stage], box: Interval, relax: bool) -> list[Ranges]:
    """Bound every stage on boxes of inputs.

    Parameters
    ----------
    box : Interval of shape (boxes, inputs)
    relax : bool
        Also use linear relaxation, which costs a product of matrices for every pair of stages. It uses products
        of two inputs where there are at most 16 inputs: as a rule better.

    Raises
    ------
    FailureError
        If numbers overflow.
    """
    return _walk(list(stages), box, relax, False)


def adapt(stages: Sequence[Stage], box: Interval) -> tuple[list[Stage], list[Ranges]]:
    """Bound every stage on one box by linear relaxation, and give partners up where they are no use.

    Where the band of δh is the difference of two, a row of δh and ĥ pays for the second of them twice: h itself
    is relaxed instead.

    Returns
    -------
    (list of Stage, list of Ranges)
        The stages with the partners that are left, and their ranges.
    """
    found = list(stages)
    return found, _walk(found, box, True, True)


def _walk(stages: list[Stage], box: Interval, relax: bool, adapting: bool) -> list[Ranges]:
    """Stage by stage. To adapt is to change ``stages``, and to take the first one's bands bent and straight."""
    h = g = before = box
    found: list[Ranges] = []
    steps: list[RelaxedStage] = []
    firsts: list[RelaxedStage] = []  # the first of them, made in more than one way
    forms: list[Forms] = []
    squared = box.lower.shape[-1] <= MOST_SQUARED
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(len(stages)):
            stage = stages[number]
            units, last = stage.pairs.partner.size, number == len(stages) - 1
            nothing = np.zeros((*box.lower.shape[:-1], 0))
            z = stage.original.affine(h) if units else Interval.point(nothing)
            both = stage.joint(before)
            if relax:
                size = before.magnitude
                forms = _backward(stage, steps, size, box, firsts[1:])
                for k, form in enumerate(forms):
                    rows = form.range()
                    if last and steps and units:
                        way = [firsts[k], *steps[1:]]
                        rows = _with_corners(stage, way, size, form, rows)
                    rows = _where_finite(rows)
                    both = both & rows[..., : both.lower.shape[-1]]
                    z = z & rows[..., stage.joint.whole]
            ensure_finite(both, "pre-activations")
            ensure_finite(z, "pre-activations")
            now, how = _activated(stage, z, both)
            if relax and not last:
                bent = squared and not steps
                lines = None if bent and not adapting else both_straight(now, how)
                paired = None
                if lines and units and (adapting or steps):
                    paired = straight_differences(stage, now, how, lines)
                if adapting and paired and paired.given_up.sum() * _FEW > units:
                    apart = paired.given_up[0]
                    stage, taken = stage.parted(apart)
                    stages[number], stages[number + 1] = (
                        stage,
                        stages[number + 1].after(stage.pairs),
                    )
                    if not steps:
                        taken = np.concatenate([taken, stage.joint.whole])
                    forms = [form[:, taken] for form in forms]
                    both = _joined(_where(apart, now.original, now.difference), now.reduced)
                    now, how = _activated(stage, now.original, both)
                    if steps and lines:
                        paired = straight_differences(stage, now, how, lines)
                if steps and lines:
                    steps.append(later_step(stage, now, lines, paired, before.magnitude, forms[0]))
                else:
                    cubed = box.lower.shape[-1] <= MOST_CUBED
                    firsts = [first_step(stage, now, how, forms[0], None, cubed)] if bent else []
                    if lines is not None:
                        firsts.append(first_step(stage, now, how, forms[0], lines))
                    steps = firsts[:1]
            found.append(now)
            h, g = now.original_output, now.reduced_output
            before = _joined(now.output_difference, g)
    return found


def relaxation_cost(stages: Sequence[Stage]) -> float:
    """About how many additions and multiplications linear relaxation takes on one box."""
    behind, total = 0.0, 0.0
    for stage in stages:
        units, inputs = stage.joint.shape
        total += 2 * (units + stage.pairs.partner.size) * behind
        if stage is stages[0] and inputs <= MOST_SQUARED:
            inputs += inputs * (inputs + 1) // 2
        behind += units * inputs
    return max(total, 1.0)


def _where_finite(rows: Interval) -> Interval:
    """Ranges of which one end overflowed say nothing: intervals alone may be enough."""
    known = np.isfinite(rows.lower) & np.isfinite(rows.upper)
    return Interval(np.where(known, rows.lower, -np.inf), np.where(known, rows.upper, np.inf))


def _where(some: npt.NDArray[np.bool_], a: Interval, b: Interval) -> Interval:
    return Interval(np.where(some, a.lower, b.lower), np.where(some, a.upper, b.upper))


def _joined(a: Interval, b: Interval) -> Interval:
    return Interval(
        np.concatenate([a.lower, b.lower], axis=-1), np.concatenate([a.upper, b.upper], axis=-1)
    )


def _activated(stage: Stage, z: Interval, both: Interval) -> tuple[Ranges, Activated]:
    """Through the activation, by intervals."""
    pairs, units = stage.pairs, stage.pairs.partner.size
    dz, v = both[..., :units], both[..., units:]
    shifted = v[..., pairs.partner]
    if np.any(pairs.before != 1):
        shifted = shifted * Interval.point(pairs.before)
    dz = dz & (z - shifted)
    z = z & (dz + shifted)
    if units and np.all(pairs.before == 1):
        v = _seen_from(v, pairs.partner, z - dz)
        shifted = v[..., pairs.partner]
    hull = z | shifted
    if stage.is_linear:
        line = curve_of(stage.reduced.activation, 1.0)
        return Ranges(z, v, dz, z, v, dz), Activated(line, line, hull, None)
    extent = float(max(hull.magnitude.max(initial=0), v.magnitude.max(initial=0)))
    psi = curve_of(stage.reduced.activation, extent)
    if not units:
        return Ranges(z, v, dz, z, psi.values(v), dz), Activated(psi, psi, hull, None)
    phi = curve_of(stage.original.activation, extent)
    if phi is psi and not isinstance(phi, MixedCurve):
        all_of = phi.values(_joined(z, v))
        h, g = all_of[..., :units], all_of[..., units:]
    else:
        h, g = phi.values(z), psi.values(v)
    mismatch = _mismatch(stage, v, extent)
    dh = phi.slopes(hull) * dz
    if mismatch is not None:
        dh = dh + mismatch
    other = g[..., pairs.partner]
    if np.any(pairs.after != 1) or pairs.offset.any():
        other = other * Interval.point(pairs.after) + Interval.point(pairs.offset)
    dh = dh & (h - other)
    return Ranges(z, v, dz, h, g, dh), Activated(phi, psi, hull, mismatch)


def _seen_from(v: Interval, partner: IntArray, other: Interval) -> Interval:
    """ẑ with what z − δz says of it, for the last unit paired with each."""
    low, high = v.lower.copy(), v.upper.copy()
    low[..., partner] = np.maximum(low[..., partner], other.lower)
    high[..., partner] = np.minimum(high[..., partner], other.upper)
    return Interval(low, high)


def _mismatch(stage: Stage, v: Interval, extent: float) -> Interval | None:
    """μ = φ(a·ẑ_p) − s·ψ(ẑ_p) − c, or None where it is 0 for every unit."""
    pairs, phi, psi = stage.pairs, stage.original.activation, stage.reduced.activation
    zero = Interval.point(np.zeros(pairs.partner.size))
    lonely = pairs.before == 0
    at_zero = curve_of(phi, 1.0).values(zero) - Interval.point(pairs.offset)
    if isinstance(phi, Mixed) or isinstance(psi, Mixed) or phi == psi:  # partners have the same
        if not np.any(lonely & ((at_zero.lower < 0) | (at_zero.upper > 0))):
            return None
        other = zero
    else:
        other = difference_curve(phi, psi, extent).values(v)[..., pairs.partner]
    return Interval(
        np.where(lonely, at_zero.lower, other.lower), np.where(lonely, at_zero.upper, other.upper)
    )


def _backward(
    stage: Stage,
    steps: Sequence[RelaxedStage],
    before: FloatArray,
    box: Interval,
    others: Sequence[RelaxedStage] = (),
) -> list[Forms]:
    """The rows (δz, ẑ, z) of a stage in terms of the inputs; once more for each that may be the first step."""
    joint, inputs = stage.joint, box.lower.shape[-1]
    if not steps:
        centre, half = box.ball()
        error = joint.error(np.abs(centre) + half, gamma(inputs + 8))
        middle = centre @ joint.written.T + joint.bias
        return [Forms(middle, joint.written * half[:, None, :], error, 8, inputs)]
    error = joint.error(before, 0.0)  # of rows that are one and the same for every box, so far
    if len(steps) == 1:
        return [_through_first(joint, error, first, inputs) for first in (steps[0], *others)]
    carried = Forms(joint.bias[None], joint.written[None], error, 8, inputs)
    for behind in reversed(steps[1:]):
        carried = _through(carried, behind)
    return [_through(carried, first) for first in (steps[0], *others)]


def _through_first(joint: Joint, error: FloatArray, behind: RelaxedStage, inputs: int) -> Forms:
    """The rows of the second stage in terms of the inputs, block by block."""
    constant = joint.times(behind.constant.T).T + joint.bias
    error = error + joint.times(behind.whole.T, sizes=True).T
    assert isinstance(behind.matrix, np.ndarray)  # a first step's always is
    return _with_step(constant, joint.times(behind.matrix), error, behind, 8, inputs)


def _through(rows: Forms, behind: RelaxedStage) -> Forms:
    """Rows of what is behind a step in terms of what is before it."""
    constant = rows.middle + _each(rows.sides, behind.constant)
    error = rows.error + _each(np.abs(rows.sides), behind.whole)
    sides = rows.sides @ behind.matrix
    return _with_step(constant, sides, error, behind, rows.terms, rows.inputs)


def _with_step(
    constant: FloatArray,
    sides: FloatArray,
    error: FloatArray,
    behind: RelaxedStage,
    terms: int,
    inputs: int,
) -> Forms:
    error = error + 2 * UNIT * np.abs(constant) + behind.lost
    return Forms(constant, sides, error, terms + behind.matrix.shape[-2] + 4, inputs)


def _each(rows: FloatArray, values: FloatArray) -> FloatArray:
    """Rows times values, box by box; one product where the rows are the same for all boxes."""
    return values @ rows[0].T if len(rows) == 1 else (rows @ values[..., None])[..., 0]


def _with_corners(
    stage: Stage, steps: Sequence[RelaxedStage], before: FloatArray, forms: Forms, rows: Interval
) -> Interval:
    """The ranges of the rows, with those of δz improved: spreads are taken as functions of the inputs."""
    units = stage.pairs.partner.size
    row = np.broadcast_to(
        stage.joint.written[:units], (rows.lower.shape[0], units, stage.joint.shape[1])
    )
    error = stage.joint.error(before, 0.0)[:, :units]
    constant = np.broadcast_to(stage.joint.bias[:units], error.shape)
    parts = []
    for behind in reversed(steps):
        size = np.abs(row)
        error = error + (size @ behind.radius[..., None])[..., 0]
        constant = constant + (row @ behind.constant[..., None])[..., 0]
        error = error + 2 * UNIT * np.abs(constant) + behind.lost
        some = np.flatnonzero(behind.spread.any(axis=0))
        if some.size:
            weight = size[..., some] * behind.spread[:, None, some]
            parts.append(
                (weight + SMALLEST, behind.difference[:, some])
            )  # which may have underflowed
        row = row @ behind.matrix
    tight = over_corners(Forms(constant, row, error, forms.terms, forms.inputs), parts)
    low, high = rows.lower.copy(), rows.upper.copy()
    low[:, :units] = np.maximum(low[:, :units], tight.lower)
    high[:, :units] = np.minimum(high[:, :units], tight.upper)
    return Interval(low, high)
