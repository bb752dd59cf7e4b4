"""Units that are nearly multiples of one another: merging by symmetry within a tolerance.

Each unit is a point that does not change under the symmetries of its activation: its row of incoming
weights and bias, brought to one length where positive factors do not matter, and taken with both signs
where the sign does not. Points within ε by Ward's linkage become one unit. Its row is the one that the
members are closest to multiples of: the weighted mean of their rows, or, where factors are free, the
first singular vector, each member counting by the square of its outgoing weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from scipy import sparse

from symlump.compression.symmetries.allowed import Allowed
from symlump.compression.symmetries.exact_rows import Rows, UnitLift
from symlump.compression.symmetries.unit_merge import UnitMerge, constants
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.grouping import group_at_least
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.activations.activation import Activation
from symlump.ode.exact import FloatArray, IntArray


def aggregate_floats(weight: FloatArray, bias: FloatArray | None, before: UnitLift) -> Rows:
    """The rows of a layer in terms of the kept units before it, in float64.

    Examples
    --------
    >>> lift = UnitLift(np.array([0, 0]), (Fraction(1), Fraction(-1)), (Fraction(0), Fraction(1)))
    >>> aggregate_floats(np.array([[5.0, 2.0]]), None, lift).floats.tolist()
    [[3.0, 2.0]]
    """
    spread = np.zeros((weight.shape[1], int(before.block.max(initial=-1)) + 1))
    kept = np.flatnonzero(before.block >= 0)
    spread[kept, before.block[kept]] = np.array(list(map(float, before.scale)))[kept]
    constant = weight @ np.array(list(map(float, before.offset)))
    return Rows(
        np.column_stack([weight @ spread, constant if bias is None else constant + bias]), {}
    )


def merge_near(
    rows: Rows,
    phi: Activation,
    pieces: IntArray | None,
    allowed: Allowed,
    eps: float,
    effect: float,
    counts: FloatArray,
    floor: float = 0.0,
) -> UnitMerge:
    """Group the units of a layer within a tolerance.

    Parameters
    ----------
    rows : Rows
        In float64.
    phi : Activation
    pieces : ndarray of int, or None
        For each unit the linear piece of φ that it never leaves, or −1; flat pieces make it constant.
    allowed : Allowed
        What the readers of the units can take up.
    eps : float
    effect : float
        What distances of this layer are multiplied with.
    counts : ndarray, shape (units,)
        What each unit counts in the row of its block.
    floor : float
        The share of them that stay apart at any tolerance, as far as they are no multiples.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> rows = Rows(np.array([[1.0, 2.0], [-1.0, -2.2], [3.0, 0.0]]), {})
    >>> merge = merge_near(rows, activation("tanh"), None, Allowed(), 0.5, 1.0, np.ones(3))
    >>> merge.lift.block.tolist(), merge.kept.floats.tolist(), merge.lift.scale[1]
    ([0, 0, 1], [[1.0, 2.1], [3.0, 0.0]], Fraction(-1, 1))
    """
    start = constants(rows, phi, pieces, allowed)
    linear = len(start.lines) == 1 and allowed == Allowed()
    live = np.flatnonzero(~start.constant)
    part = rows.floats[live, :-1] if linear else rows.floats[live]
    degree, reflection = phi.degree or 0, phi.reflection
    scale_free, sign_free = allowed.factors(phi)
    # A row of zeros has no direction; such rows are equal, and one block.
    some = part.any(axis=1)
    free = degree > 0 and scale_free
    near = near_rows(part[some], counts[live[some]], eps, effect, free, sign_free, floor)
    count = len(near.kept) + (not some.all())
    factor, shift = np.ones(start.count), np.zeros(start.count)
    block = np.full(start.count, -1)
    block[live] = count - 1
    block[live[some]], factor[live[some]] = near.labels, near.factors
    kept = np.zeros((count, rows.floats.shape[1]))
    kept[: len(near.kept), : part.shape[1]] = near.kept
    if linear:  # a block's constant is 0, and each member keeps its own; one alone stays as it is
        alone = np.bincount(block[live], minlength=len(kept))[block[live]] == 1
        kept[block[live[alone]], -1] = rows.floats[live[alone], -1]
        shift[live[~alone]] = rows.floats[live[~alone], -1]
    scale, offset = start.scale, start.offset
    for i in live.tolist():
        if linear:
            scale[i], offset[i] = Fraction(factor[i]), Fraction(shift[i])
        else:
            scale[i] = Fraction(abs(factor[i]) ** degree)
            if reflection is not None and factor[i] < 0:
                scale[i], offset[i] = reflection[0] * scale[i], reflection[1]
    return UnitMerge(
        rows,
        Rows(kept, {}),
        tuple(map(Fraction, factor.tolist())),
        tuple(map(Fraction, shift.tolist())),
        UnitLift(block, tuple(scale), tuple(offset)),
        frozenset(start.facts),
        start.rounded,
        near.square,
    )


@dataclass(frozen=True, eq=False)
class NearRows:
    """Rows that are nearly multiples of one another.

    Parameters
    ----------
    labels : ndarray of int
        The block of each row, by first appearance.
    factors : ndarray
        Each row is nearly so many times that of its block.
    kept : ndarray
        The row of each block.
    square : float
        The sum of the squared differences.
    """

    labels: IntArray
    factors: FloatArray
    kept: FloatArray
    square: float


def near_rows(
    rows: FloatArray,
    counts: FloatArray,
    eps: float,
    effect: float,
    scale: bool,
    reflect: bool,
    floor: float = 0.0,
) -> NearRows:
    """Group rows, none of them 0, within a tolerance.

    Parameters
    ----------
    counts : ndarray, shape (rows,)
        What each row counts in that of its block.
    effect : float
        What distances are multiplied with.
    scale, reflect : bool
        Whether positive factors, and the factor −1, do not matter.
    floor : float
        The share of rows that stay apart at any tolerance, as far as they are no multiples.

    Examples
    --------
    >>> found = near_rows(np.array([[2.0, 0.0], [-4.0, 0.0]]), np.ones(2), 0.1, 1.0, True, True)
    >>> found.labels.tolist(), found.kept.round(9).tolist(), found.factors.round(3).tolist()
    ([0, 0], [[3.0, 0.0]], [0.667, -1.333])
    """
    labels, signs = _grouped(rows, eps, effect, scale, reflect, floor)
    kept = np.zeros((int(labels.max(initial=-1)) + 1, rows.shape[1]))
    factors, square = np.ones(len(rows)), 0.0
    for number in range(len(kept)):
        members = np.flatnonzero(labels == number)
        if members.size == 1:
            kept[number] = rows[members[0]]
            continue
        own = signs[members, None] * rows[members]
        kept[number], ratios = _representative(own, counts[members], scale)
        factors[members] = signs[members] * ratios
        square += float(np.sum((own - ratios[:, None] * kept[number]) ** 2))
    return NearRows(labels, factors, kept, square)


def _grouped(
    rows: FloatArray, eps: float, effect: float, scale: bool, reflect: bool, floor: float
) -> tuple[IntArray, FloatArray]:
    """Block numbers by first appearance, and the sign with which each row enters its block."""
    count = len(rows)
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    points = effect * rows
    if scale:
        lengths = np.linalg.norm(points, axis=1)
        points = points / lengths[:, None] * np.sqrt(np.mean(lengths**2))
    if reflect:  # each point and its mirror image: their groups are mirror images as well
        points = np.vstack([points, -points])

    def left(groups: IntArray) -> int:
        return np.unique(np.minimum(groups[:count], groups[-count:])).size

    fewest = ceil(floor * count)
    groups = group_at_least(sparse.csr_array(points), eps, Linkage.VARIANCE, fewest, left)
    images = groups[-count:]
    groups = groups[:count]
    signs = np.where(groups <= images, 1.0, -1.0)
    return Partition(np.minimum(groups, images)).labels.copy(), signs


def _representative(
    rows: FloatArray, counts: FloatArray, scale: bool
) -> tuple[FloatArray, FloatArray]:
    """The row r̂ and factors ρ ≥ 0 that minimise Σ count_i·‖row_i − ρ_i·r̂‖² (ρ = 1 unless ``scale``)."""
    weights = counts if counts.any() else np.ones(len(rows))
    weights = weights / weights.sum()
    if not scale:
        return weights @ rows, np.ones(len(rows))
    _, _, right = np.linalg.svd(np.sqrt(weights)[:, None] * rows, full_matrices=False)
    direction = right[0] if weights @ (rows @ right[0]) >= 0 else -right[0]
    ratios = np.maximum(rows @ direction, 0.0)
    length = float(weights @ ratios)
    return direction * length, ratios / length
