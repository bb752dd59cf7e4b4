"""Certificates of a merge by symmetries: what is linear algebra in it, verified independently.

The influence form of a network gives each unit one variable. Here the two ends of a unit have one each: h
stands for what reads its output, z for its pre-activation,

    h_j' = Σ_i w_ij·z_i,        one' = Σ_i b_i·z_i,        z_i' = 0,

with the inputs among the h and the outputs among the z. If z_i = factor_i·ẑ + shift_i and
h_i = scale_i·ĥ + offset_i for every unit i, then y = L·x with

    ŷ_h = Σ scale_i·h_i,   ŷ_z = Σ factor_i·z_i,   ŷ_one = one + Σ offset_i·h_i

obeys the same equations with the weights of the smaller network, and conversely: that is the first
certificate. The pre-activations of constant units, and Σ shift_i·z_i, keep a variable each. Nothing reads
these, nor units whose outgoing weights are all zero; the second certificate says so: read forward,
z_i' = Σ_j w_ij·h_j + b_i·one, what remains never refers to what is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from symlump.compression.symmetries.exact_rows import Column, Rows
from symlump.compression.symmetries.unit_merge import UnitMerge
from symlump.compression.symmetries.walk import LayerMerge, SymmetryWalk
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.proof.certificate import Certificate, linear_claim


@dataclass(frozen=True, eq=False)
class ProofWiring:
    """One layer: the z that it computes, the h that it reads, and the rows (weights and bias)."""

    targets: list[str]
    sources: list[str]
    rows: Rows


def certificates(
    walk: SymmetryWalk, live: Mapping[str, npt.NDArray[np.bool_]]
) -> tuple[Certificate, ...]:
    """The certificates of a merge.

    Parameters
    ----------
    walk : SymmetryWalk
    live : mapping of str to ndarray of bool
        For each value the kept channels that something reads.
    """
    steps = [step for step in walk.steps.values() if step.linear]
    merged = _merged(steps)
    claims = [
        linear_claim(
            equations(_original(steps), forward=False),
            _aggregation(steps),
            equations(merged, forward=False),
        )
    ]
    small = [_restricted(w, step, live) for w, step in zip(merged, steps, strict=True)]
    before, after = equations(merged, forward=True), equations(small, forward=True)
    if len(after) < len(before):
        rows = {name: {name: Fraction(1)} for name in after.variables}
        claims.append(linear_claim(before, rows, after))
    return tuple(Certificate(claim) for claim in claims)


def equations(layers: Sequence[ProofWiring], forward: bool) -> PolynomialODE:
    """The linear system of a wiring, each z reading its h (forward) or each h reading its z.

    Examples
    --------
    >>> print(equations([ProofWiring(["y1"], ["u1"], Rows(np.array([[2.0, 3.0]]), {}))], forward=False))
    u1'  = 2*y1
    y1'  = 0
    one' = 3*y1
    """
    names = list(layers[0].sources)
    for number, layer in enumerate(layers):
        names += layer.targets + (layers[number + 1].sources if number + 1 < len(layers) else [])
    names.append("one")
    index = {name: i for i, name in enumerate(names)}
    targets: list[IntArray] = []
    sources: list[IntArray] = []
    values: list[ExactArray] = []
    for layer in layers:
        i, j = np.nonzero(layer.rows.nonzero())
        values.append(layer.rows.exact(i, j))
        targets.append(np.array([index[name] for name in layer.targets], dtype=np.int64)[i])
        read = [index[name] for name in layer.sources] + [index["one"]]
        sources.append(np.array(read, dtype=np.int64)[j])
    everything = np.arange(len(names))
    monomials, position = Monomials.from_factors(
        everything, everything, np.ones(len(names), dtype=np.int64), len(names)
    )
    row, column = np.concatenate(targets), np.concatenate(sources)
    if not forward:
        row, column = column, row
    return PolynomialODE.from_terms(
        names, row, position[column], ExactArray.concatenate(values), monomials
    )


def _names(stem: str, count: int) -> list[str]:
    return [f"{stem}{i + 1}" for i in range(count)]


def _z(number: int, layers: int, count: int) -> list[str]:
    return _names("y" if number == layers else f"z{number}_", count)


def _h(number: int, count: int) -> list[str]:
    return _names(f"h{number}_" if number else "u", count)


def _original(steps: Sequence[LayerMerge]) -> list[ProofWiring]:
    wirings = []
    for number, step in enumerate(steps, start=1):
        units, columns = step.weight.shape
        bias = np.zeros(units) if step.bias is None else step.bias
        rows = Rows(np.column_stack([step.weight, bias]), {})
        wirings.append(ProofWiring(_z(number, len(steps), units), _h(number - 1, columns), rows))
    return wirings


def _constants(merge: UnitMerge) -> IntArray:
    return np.flatnonzero(merge.lift.block < 0)


def _merged(steps: Sequence[LayerMerge]) -> list[ProofWiring]:
    """Blocks, then the constant units, then one z with the value 1 where there are shifts."""
    wirings: list[ProofWiring] = []
    depth = len(steps)
    for number, step in enumerate(steps, start=1):
        merge = step.merge
        count, constant = merge.kept.floats.shape[0], _constants(merge)
        names = _z(number, depth, count) + [f"c{number}_{i + 1}" for i in constant]
        rows = _stacked(merge.kept, merge.rows.take(constant)) if constant.size else merge.kept
        if any(merge.shift):
            names.append(f"t{number}")
            unit = np.eye(1, rows.floats.shape[1], rows.floats.shape[1] - 1)
            rows = _stacked(rows, Rows(unit, {}))
        wirings.append(ProofWiring(names, _h(number - 1, rows.floats.shape[1] - 1), rows))
    return wirings


def _stacked(above: Rows, below: Rows) -> Rows:
    """The rows of one after those of the other, over the same sources."""
    columns: dict[int, Column] = {}
    for number in above.columns.keys() | below.columns.keys():
        halves = [_column(rows, number) for rows in (above, below)]
        divisor = lcm(*(half.divisor for half in halves))
        exact = [half.entry(u) * divisor for half in halves for u in range(half.parts.shape[1])]
        columns[number] = Column.of(exact, divisor)
    return Rows(np.vstack([above.floats, below.floats]), columns)


def _column(rows: Rows, number: int) -> Column:
    return rows.columns.get(number, Column(rows.floats[None, :, number], 1))


def _restricted(
    layer: ProofWiring, step: LayerMerge, live: Mapping[str, npt.NDArray[np.bool_]]
) -> ProofWiring:
    """Only what something reads, with the numbers kept as names."""
    parts = [live[name] for name in step.node.inputs]
    offsets = len(layer.sources) // max(1, sum(map(len, parts)))
    columns = np.flatnonzero(np.concatenate(parts).repeat(max(1, offsets)))
    targets = np.flatnonzero(live[step.node.name])
    rows = layer.rows.take(targets).take_columns(np.append(columns, len(layer.sources)))
    return ProofWiring(
        [layer.targets[i] for i in targets], [layer.sources[j] for j in columns], rows
    )


def _aggregation(steps: Sequence[LayerMerge]) -> dict[str, dict[str, Fraction]]:
    """L, row by row."""
    depth = len(steps)
    matrix: dict[str, dict[str, Fraction]] = {}
    one = {"one": Fraction(1)}
    for number, step in enumerate(steps, start=1):
        merge, source = step.merge, step.source
        units, columns = step.weight.shape
        h, z = _h(number - 1, columns), _z(number, depth, units)
        for j in range(columns):
            block = int(source.block[j])
            if block >= 0:
                name = _h(number - 1, block + 1)[-1]
                matrix.setdefault(name, {})[h[j]] = source.scale[j]
            if source.offset[j]:
                one[h[j]] = source.offset[j]
        for i in range(units):
            block = int(merge.lift.block[i])
            if block < 0:
                matrix[f"c{number}_{i + 1}"] = {z[i]: Fraction(1)}
                continue
            matrix.setdefault(_z(number, depth, block + 1)[-1], {})[z[i]] = merge.factor[i]
            if merge.shift[i]:
                matrix.setdefault(f"t{number}", {})[z[i]] = merge.shift[i]
    matrix["one"] = one
    return matrix
