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

from symlump.enclosures.boxes import ensure_finite
from symlump.enclosures.interval import UNIT, Interval, gamma
from symlump.network.bounds.corners import Forms, over_corners
from symlump.network.bounds.curves import difference_curve
from symlump.network.bounds.mixed import Mixed, curve_of
from symlump.network.bounds.pairing import Stage
from symlump.network.bounds.steps import (
    SMALLEST,
    Activated,
    Ranges,
    RelaxedStage,
    first_step,
    later_step,
)
from symlump.ode.exact import FloatArray, IntArray

#: With more inputs than this, products of two inputs are too many.
MOST_SQUARED = 16


def ranges(
    stages: Sequence[Stage], box: Interval, relax: bool, squared: bool = True
) -> list[Ranges]:
    """Bound every stage on boxes of inputs.

    Parameters
    ----------
    box : Interval of shape (boxes, inputs)
    relax : bool
        Also use linear relaxation, which costs a product of matrices for every pair of stages.
    squared : bool
        With it, use products of two inputs where there are at most 16 inputs: as a rule better.

    Raises
    ------
    FailureError
        If numbers overflow.
    """
    h = g = before = box
    found: list[Ranges] = []
    steps: list[RelaxedStage] = []
    squared = squared and box.lower.shape[-1] <= MOST_SQUARED
    with np.errstate(over="ignore", invalid="ignore"):
        for number, stage in enumerate(stages):
            units, last = stage.pairs.partner.size, number == len(stages) - 1
            nothing = np.zeros((*box.lower.shape[:-1], 0))
            z = stage.original.affine(h) if units else Interval.point(nothing)
            both = stage.joint(before)
            if relax:
                forms = _backward(stage, steps, before.magnitude, box)
                rows = forms.range()
                if last and steps and units:
                    rows = _with_corners(stage, steps, before.magnitude, forms, rows)
                rows = _where_finite(rows)
                both = both & rows[..., : both.lower.shape[-1]]
                z = z & rows[..., both.lower.shape[-1] :]
            ensure_finite(both, "pre-activations")
            ensure_finite(z, "pre-activations")
            now, how = _activated(stage, z, both)
            if relax and not last:
                steps.append(
                    later_step(stage, now, how, before.magnitude, forms)
                    if steps
                    else first_step(stage, now, how, forms, squared)
                )
            found.append(now)
            h, g = now.original_output, now.reduced_output
            before = _joined(now.output_difference, g)
    return found


def relaxation_cost(stages: Sequence[Stage]) -> float:
    """About how many additions and multiplications linear relaxation takes on one box."""
    behind, total = 0.0, 0.0
    for stage in stages:
        units, inputs = stage.joint.weight.shape
        total += 2 * (units + stage.pairs.partner.size) * behind
        if stage is stages[0] and inputs <= MOST_SQUARED:
            inputs += inputs * (inputs + 1) // 2
        behind += units * inputs
    return max(total, 1.0)


def _where_finite(rows: Interval) -> Interval:
    """Ranges of which one end overflowed say nothing: intervals alone may be enough."""
    known = np.isfinite(rows.lower) & np.isfinite(rows.upper)
    return Interval(np.where(known, rows.lower, -np.inf), np.where(known, rows.upper, np.inf))


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
    extent = float(max(hull.magnitude.max(initial=0), v.magnitude.max(initial=0)))
    psi = curve_of(stage.reduced.activation, extent)
    g = psi.values(v)
    if not units:
        return Ranges(z, v, dz, z, g, dz), Activated(psi, psi, hull, None)
    phi = curve_of(stage.original.activation, extent)
    h = phi.values(z)
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
    stage: Stage, steps: Sequence[RelaxedStage], before: FloatArray, box: Interval
) -> Forms:
    """The rows (δz, ẑ, z) of a stage in terms of the inputs."""
    rows = stage.rows
    boxes, inputs = box.lower.shape
    if not steps:
        centre, half = box.ball()
        error = rows.error(np.abs(centre) + half, gamma(inputs + 8))
        middle = centre @ rows.weight.T + rows.bias
        return Forms(middle, rows.weight * half[:, None, :], error, 8, inputs)
    row = np.broadcast_to(rows.weight, (boxes, *rows.weight.shape))
    constant = np.broadcast_to(rows.bias, (boxes, rows.bias.size))
    error = rows.error(before, 0.0)
    terms = 8
    for behind in reversed(steps):
        error = error + (np.abs(row) @ behind.whole[..., None])[..., 0]
        constant = constant + (row @ behind.constant[..., None])[..., 0]
        error = error + 2 * UNIT * np.abs(constant) + behind.lost
        row = row @ behind.matrix
        terms += behind.matrix.shape[-2] + 4
    return Forms(constant, row, error, terms, inputs)


def _with_corners(
    stage: Stage, steps: Sequence[RelaxedStage], before: FloatArray, forms: Forms, rows: Interval
) -> Interval:
    """The ranges of the rows, with those of δz improved: spreads are taken as functions of the inputs."""
    units = stage.pairs.partner.size
    row = np.broadcast_to(
        stage.joint.weight[:units], (rows.lower.shape[0], *stage.joint.weight[:units].shape)
    )
    error = stage.rows.error(before, 0.0)[:, :units]
    constant = np.broadcast_to(stage.joint.bias[:units], error.shape)
    parts = []
    for behind in reversed(steps):
        size = np.abs(row)
        error = error + (size @ behind.radius[..., None])[..., 0]
        constant = constant + (row @ behind.constant[..., None])[..., 0]
        error = error + 2 * UNIT * np.abs(constant) + behind.lost
        wide = behind.spread.shape[-1]
        weight = size[..., :wide] * behind.spread[:, None, :]
        parts.append((weight + SMALLEST, behind.difference))  # which may have underflowed
        row = row @ behind.matrix
    tight = over_corners(Forms(constant, row, error, forms.terms, forms.inputs), parts)
    low, high = rows.lower.copy(), rows.upper.copy()
    low[:, :units] = np.maximum(low[:, :units], tight.lower)
    high[:, :units] = np.minimum(high[:, :units], tight.upper)
    return Interval(low, high)
