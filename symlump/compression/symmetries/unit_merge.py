"""Which units of one layer are multiples of another, by the symmetries of its activation: exactly.

With z a pre-activation and h = φ(z), a unit i follows from a kept unit ("leader") of its block by

    z_i = factor_i·ẑ + shift_i,        h_i = scale_i·ĥ + offset_i.

The first is linear algebra, and is what a certificate verifies. The second follows from the first by a
symmetry of the activation: φ(ρz) = ρ^k·φ(z) for ρ > 0, or φ(−z) = ±φ(z) + c, or because both units stay on
one linear piece of φ on the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from symlump.compression.symmetries.allowed import Allowed
from symlump.compression.symmetries.exact_rows import Rows, UnitLift, proportional
from symlump.enclosures.affine import AffineMap
from symlump.enclosures.boxes import ensure_finite
from symlump.enclosures.interval import Interval
from symlump.network.activations.activation import Activation
from symlump.network.activations.enclosure import enclose
from symlump.network.chain import Chain
from symlump.ode.exact import IntArray

_ON_BOX = "units stay on one linear piece of their activation on the box, by interval arithmetic"


@dataclass(frozen=True, eq=False)
class UnitMerge:
    """What becomes of the units of one layer.

    Parameters
    ----------
    rows : Rows
        The rows of all units, in terms of what was kept of the layer before.
    kept : Rows
        The row of each block.
    factor, shift : tuple of Fraction
        z_i = factor_i·ẑ + shift_i, for units that are not constant.
    lift : Lift
        h_i = scale_i·ĥ + offset_i.
    facts : frozenset of str
        The symmetries that were used.
    rounded : int
        Constants φ(b) that are not rational, and were rounded to a float.
    square : float
        Σ_i ‖row_i − factor_i·row_block(i)‖², 0 if exact.
    """

    rows: Rows
    kept: Rows
    factor: tuple[Fraction, ...]
    shift: tuple[Fraction, ...]
    lift: UnitLift
    facts: frozenset[str]
    rounded: int
    square: float = 0.0


def pieces_on_box(network: Chain, box: Interval) -> list[IntArray]:
    """For each hidden layer and unit the linear piece of the activation that it never leaves on a box, or −1.

    Pre-activations are bounded by interval arithmetic, so every answer but −1 is certain.

    Raises
    ------
    FailureError
        If the bounds overflow.

    Examples
    --------
    >>> net = Chain.dense([[[1.0], [-1.0], [1.0]], [[1.0, 1.0, 1.0]]], [[3, -3, 0], [0]], "relu")
    >>> pieces_on_box(net, Interval(np.array([-2.0]), np.array([2.0])))[0].tolist()
    [1, 0, -1]
    """
    found = []
    for number, layer in enumerate(network.hidden, start=1):
        z = AffineMap.exactly(layer.weight, layer.bias)(box)
        ensure_finite(z, f"the pre-activations of layer {number}")
        pieces = np.full(layer.units, -1)
        if layer.activation.pieces is not None:
            kinks = np.array(layer.activation.pieces.kinks)
            first = np.searchsorted(kinks, z.lower, side="right")
            final = np.searchsorted(
                kinks, z.upper, side="left"
            )  # a kink belongs to both its pieces
            pieces = np.where(final <= first, first, -1)
        found.append(pieces)
        box = Interval(*enclose(layer.activation, z.lower, z.upper))
    return found


@dataclass(frozen=True, eq=False)
class Constants:
    """The units of a layer before any two are compared: which are constant, which stay on a linear piece."""

    name: str
    count: int
    lines: list[tuple[Fraction, Fraction]]
    pieces: IntArray
    constant: npt.NDArray[np.bool_]
    scale: list[Fraction]
    offset: list[Fraction]
    facts: set[str]
    rounded: int


def constants(rows: Rows, phi: Activation, pieces: IntArray | None, allowed: Allowed) -> Constants:
    """Find units without incoming weights, and units that stay on a flat piece of φ.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> rows = Rows(np.array([[0.0, 0.5], [1.0, 0.0]]), {})
    >>> found = constants(rows, activation("relu"), None, Allowed())
    >>> found.constant.tolist(), found.offset[0]
    ([True, False], Fraction(1, 2))
    """
    count = rows.floats.shape[0]
    lines: list[tuple[Fraction, Fraction]] = []
    if phi.pieces is not None:
        lines = [(Fraction(slope), Fraction(intercept)) for slope, intercept in phi.pieces.lines]
    linear = allowed.positive and allowed.sign and allowed.constant
    if len(lines) == 1 and linear:  # one line everywhere
        pieces = np.zeros(count, dtype=np.int64)
    elif pieces is None:
        pieces = np.full(count, -1)
    flat = np.array([piece >= 0 and not lines[piece][0] for piece in pieces.tolist()], dtype=bool)
    empty = np.asarray(~rows.nonzero()[:, :-1].any(axis=1))
    if not allowed.constant:
        flat, empty = np.zeros_like(flat), np.zeros_like(empty)
    scale, offset = [Fraction(1)] * count, [Fraction(0)] * count
    rounded = 0
    for i in np.flatnonzero(empty | flat).tolist():
        value = phi.exact_value(rows.bias(i)) if empty[i] else lines[pieces[i]][1]
        if value is None:
            value = Fraction(float(phi(np.array(float(rows.bias(i))))))
            rounded += 1
        scale[i], offset[i] = Fraction(0), value
    facts = {_ON_BOX} if (flat & ~empty).any() else set()
    name = phi.name.partition(":")[0]
    return Constants(name, count, lines, pieces, empty | flat, scale, offset, facts, rounded)


def merge_units(
    rows: Rows, phi: Activation, pieces: IntArray | None, allowed: Allowed
) -> UnitMerge:
    """Group the units of a layer exactly.

    Parameters
    ----------
    rows : Rows
    phi : Activation
    pieces : ndarray of int, or None
        For each unit the linear piece of φ that it never leaves, or −1.
    allowed : Allowed
        What the readers of the units can take up.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> rows = Rows(np.array([[1.0, 2.0], [-1.0, -2.0]]), {})
    >>> merge = merge_units(rows, activation("sigmoid"), None, Allowed())
    >>> merge.lift.scale[1], merge.lift.offset[1], set(merge.facts)
    (Fraction(-1, 1), Fraction(1, 1), {'sigmoid(−z) = 1 − sigmoid(z)'})
    """
    start = constants(rows, phi, pieces, allowed)
    name, lines = start.name, start.lines
    factor, shift = [Fraction(1)] * start.count, [Fraction(0)] * start.count
    leader = np.where(start.constant, -1, np.arange(start.count))
    scale, offset, facts = start.scale, start.offset, start.facts
    linear = np.flatnonzero(~start.constant & (start.pieces >= 0))
    if len(lines) > 1 and linear.size:
        facts.add(_ON_BOX)
    weights = rows.take_columns(np.arange(rows.floats.shape[1] - 1))
    found, ratios = proportional(weights, linear, scale=True, reflect=True)
    for i, first, rho in zip(linear.tolist(), linear[found].tolist(), ratios, strict=True):
        (a, c), (a_first, c_first) = lines[start.pieces[i]], lines[start.pieces[first]]
        leader[i], factor[i] = first, rho
        shift[i] = rows.bias(i) - rho * rows.bias(first)
        scale[i] = a * rho / a_first
        offset[i] = c + a * shift[i] - scale[i] * c_first
    bent = np.flatnonzero(~start.constant & (start.pieces < 0))
    degree, reflection = phi.degree, phi.reflection
    nothing = bent[~rows.take(bent).nonzero().any(axis=1)]  # rows of zeros, which are equal
    leader[nothing] = nothing[:1].repeat(nothing.size)
    bent = np.setdiff1d(bent, nothing)
    found, ratios = proportional(rows, bent, *allowed.factors(phi))
    for i, first, rho in zip(bent.tolist(), bent[found].tolist(), ratios, strict=True):
        leader[i], factor[i] = first, rho
        if degree is not None and abs(rho) != 1:
            scale[i] = abs(rho) ** degree
            facts.add(f"{name}(ρ·z) = {_power(degree)}{name}(z) for ρ > 0")
        if reflection is not None and rho < 0:
            sign, constant = reflection
            scale[i], offset[i] = sign * scale[i], constant
            facts.add(f"{name}(−z) = {_reflected(sign, constant)}{name}(z)")
    leaders = np.unique(leader[leader >= 0])
    block = np.where(leader >= 0, np.searchsorted(leaders, leader), -1)
    return UnitMerge(
        rows,
        rows.take(leaders),
        tuple(factor),
        tuple(shift),
        UnitLift(block, tuple(scale), tuple(offset)),
        frozenset(facts),
        start.rounded,
    )


def _power(degree: int) -> str:
    return "" if degree == 0 else "ρ·" if degree == 1 else f"ρ^{degree}·"


def _reflected(sign: int, constant: Fraction) -> str:
    shown = f"{constant} " if constant else ""
    if sign > 0:
        return shown + "+ " if constant else ""
    return shown + ("− " if constant else "−")
