"""Symmetries of activations in network graphs: channels that are multiples of one another become one.

A channel whose kernel is ρ times another's computes ρ times its image, if the activations and pools on the
way to the layers that read it commute with ρ: ReLU, leaky ReLU, |z| and pooling with a positive factor, odd
functions and means with the factor −1. What reads it then takes up the factor. In the graph's influence
form this is a weighted lumping: if unit i is s_i times the unit that stands for its block B, then

    y_B = Σ_{i∈B} s_i·m_i

obeys the equation of the smaller network, and that is what the certificate says. Constants and 1 − h are
not folded here: behind zero padding they are not constant. Units of sums, of products and of depthwise
layers, and units that these or an output read, merge only where they are equal.
"""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np

from symlump.compression.merging.coefficients import equal_units
from symlump.compression.merging.effect import layer_effects
from symlump.compression.reduction import Reduction
from symlump.compression.symmetries.exact_rows import Lift, Rows, aggregated, proportional
from symlump.compression.symmetries.near_units import aggregated_floats, near_rows
from symlump.lumping.partition import Partition
from symlump.lumping.plan import block_names
from symlump.network.decode import unit_labels
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.weights import first_of_each_way
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Node,
    Pool,
    Select,
    Squeeze,
    Unsqueeze,
)
from symlump.network.rewrite import rewritten, tidied
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE
from symlump.proof.certificate import Certificate, linear_claim


def symmetric_reduction(ode: NetworkODE, proof: bool, eps: float = 0.0) -> Reduction:
    """Merge the units of a graph that are multiples of one another, exactly or nearly.

    Parameters
    ----------
    ode : NetworkODE
        The graph's, in the influence form.
    proof : bool
        Make the certificate (about a second per 10 000 parameters) if it is exactly.
    eps : float
        The tolerance; see :mod:`symlump.compression.symmetries.near_units`.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> from symlump.network.encode import encode
    >>> from symlump.network.nodes import Input
    >>> kernels = np.array([[[1.0, 2.0]], [[3.0, 6.0]]])
    >>> graph = Network((
    ...     Input("x", (), (1, 4)),
    ...     Affine("conv", ("x",), kernels, None, (1,), (0,), (1,)),
    ...     Apply("relu", ("conv",), activation("relu")),
    ...     Affine("out", ("relu",), np.array([[[1.0], [0.5]]]), None, (1,), (0,), (1,))), ("out",))
    >>> small = symmetric_reduction(encode(graph), True)
    >>> [layer.weight.tolist() for layer in small.network.layers], small.certificates[0].check().accepted
    ([[[[1.0, 2.0]]], [[[2.5]]]], True)
    """
    graph = ode.network
    merge = _Merge(ode, eps)
    small = tidied(rewritten(graph, unit_labels(ode, merge.labels), merge))
    maps = tuple(Partition(merge.labels[ode.where(layer.name)]).labels for layer in graph.hidden)
    note = "uses: " + "; ".join(sorted(merge.facts)) if merge.facts and not eps else ""
    if not proof and not eps:
        note = "; ".join(part for part in ("proof not made", note) if part)
    certificates = (merge.certificate(),) if proof and not eps else ()
    return Reduction(
        small,
        maps,
        small.parameters,
        eps,
        sqrt(merge.square),
        stored=small.held,
        certificates=certificates,
        note=note,
    )


class _Merge:
    """Blocks and factors, layer by layer; gives the weights of the merged graph."""

    def __init__(self, ode: NetworkODE, eps: float) -> None:
        self._ode, self._eps = ode, eps
        self._effects = layer_effects(ode.network) if eps else {}
        self._counts = _outgoing(ode)
        self.square = 0.0
        self.labels = np.arange(len(ode))
        self.factors = [Fraction(1)] * len(ode)
        self.facts: set[str] = set()
        self._rows: dict[str, tuple[Rows, IntArray]] = {}
        allowed = _commuting(ode.network)
        for node in ode.network.nodes:
            if isinstance(node, Affine) and not node.depthwise:
                self._rows[node.name] = self._aggregated(node)
                self._proportional(node, *allowed[node.name])
            elif isinstance(node, Affine | Combine):
                self._merge(node.name, equal_units(ode, self.labels, node))

    def _aggregated(self, node: Affine) -> tuple[Rows, IntArray]:
        """The rows of a layer over blocks and ways of reading, exactly; and where each weight went."""
        (reading,) = self._ode.readings[node.name]
        offsets = reading.symbols.shape[1]
        block = np.broadcast_to(self.labels[reading.source][:, None], reading.symbols.shape)
        ways = np.stack([block.ravel(), reading.symbols.ravel()], axis=-1)
        _, column = np.unique(ways, axis=0, return_inverse=True)
        column = column.ravel()
        scale = tuple(self.factors[v] for v in reading.source.repeat(offsets).tolist())
        lift = Lift(column, scale, (Fraction(0),) * column.size)
        rows_of = aggregated_floats if self._eps else aggregated
        return rows_of(node.weight.reshape(node.units, -1), node.bias, lift), column

    def _proportional(self, node: Affine, positive: set[str] | None, sign: set[str] | None) -> None:
        own = self._ode.where(node.name)
        if self._ode.kinds[own[0]] != "unit":
            return
        rows, _ = self._rows[node.name]
        live = np.flatnonzero(rows.nonzero().any(axis=1))
        groups = np.full(own.size, -1, dtype=np.int64)  # rows of zeros are equal
        if live.size and self._eps:
            groups[live] = live[self._near(node, live, positive is not None, sign is not None)]
        elif live.size:
            leader, factors = proportional(rows, live, positive is not None, sign is not None)
            groups[live] = live[leader]
            for unit, factor in zip(live.tolist(), factors, strict=True):
                self.factors[own[unit]] = factor
                self.facts |= (sign or set()) if factor < 0 else set()
                self.facts |= (positive or set()) if abs(factor) != 1 else set()
        self._merge(node.name, groups)

    def _near(self, node: Affine, live: IntArray, scale: bool, reflect: bool) -> IntArray:
        """For each unit the first of its block; the rows become those of the blocks."""
        own, (rows, column) = self._ode.where(node.name), self._rows[node.name]
        counts, effect = self._counts[own[live]], self._effects[node.name]
        near = near_rows(rows.floats[live], counts, self._eps, effect, scale, reflect)
        floats = rows.floats.copy()
        floats[live] = near.kept[near.labels]
        self._rows[node.name] = Rows(floats, {}), column
        self.square += near.square
        for unit, factor in zip(live.tolist(), near.factors.tolist(), strict=True):
            self.factors[own[unit]] = Fraction(factor)
        return np.asarray(np.unique(near.labels, return_index=True)[1][near.labels])

    def _merge(self, name: str, groups: IntArray) -> None:
        own = self._ode.where(name)
        if self._ode.kinds[own[0]] == "unit":
            _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
            self.labels[own] = own[first[inverse.ravel()]]

    def follow(self, node: Node) -> None:
        """See :class:`symlump.network.rewrite.Weights`."""

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        if node.depthwise:
            return node.weight.reshape(node.units, 1, -1)[members]
        (reading,) = self._ode.readings[node.name]
        rows, column = self._rows[node.name]
        values = rows.take(members).nearest()
        read = column.reshape(reading.symbols.shape)[channels]
        return values[:, read] * first_of_each_way(self._ode, self.labels, node, channels)

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        assert node.bias is not None
        if node.depthwise:
            return node.bias[members]
        return np.asarray(self._rows[node.name][0].floats[members, -1])

    def certificate(self) -> Certificate:
        """The weighted sums of a block obey the equation of the smaller network."""
        ode, partition = self._ode, Partition(self.labels)
        names = block_names(ode, partition)
        matrix: dict[str, dict[str, Fraction]] = {name: {} for name in names}
        for variable, block in enumerate(partition.labels.tolist()):
            matrix[names[block]][ode.variables[variable]] = self.factors[variable]
        return Certificate(linear_claim(ode, matrix, self._quotient(partition, names)))

    def _quotient(self, partition: Partition, names: tuple[str, ...]) -> PolynomialODE:
        """Σ s_j·q_j over a block, as far as it speaks of units that stand for their blocks."""
        ode = self._ode
        other = np.ones(len(ode), dtype=bool)
        other[partition.representatives] = False
        table = ode.monomials
        foreign = np.bincount(table.owners, weights=other[table.variables], minlength=len(table))
        keep = np.flatnonzero(foreign[ode.columns] == 0)
        rows = ode.rows[keep]
        values = ExactArray.from_fractions(
            value * self.factors[row]
            for value, row in zip(ode.coefficients.take(keep), rows.tolist(), strict=True)
        )
        monomials, position = table.relabel(partition.labels)
        single = partition.labels[[ode.index[name] for name in ode.parameters]]
        return PolynomialODE.from_terms(
            names,
            partition.labels[rows],
            position[ode.columns[keep]],
            values,
            monomials,
            [names[block] for block in single],
        )


def _outgoing(ode: NetworkODE) -> FloatArray:
    """For each variable the sum of the squared weights with which layers read it."""
    squares = np.zeros(len(ode))
    for layer in ode.network.layers:
        if not layer.depthwise:
            (reading,) = ode.readings[layer.name]
            weight = np.moveaxis(layer.weight, 1, 0).reshape(layer.weight.shape[1], -1)
            np.add.at(squares, reading.source, np.einsum("ij,ij->i", weight, weight))
    return squares


Facts = set[str] | None


def _commuting(graph: Network) -> dict[str, tuple[Facts, Facts]]:
    """For each node, whether what reads its units can take up a positive factor, and the factor −1.

    None where it cannot; else the facts about activations that this rests on.
    """
    everything: tuple[Facts, Facts] = (set(), set())
    nothing: tuple[Facts, Facts] = (None, None)
    result: dict[str, tuple[Facts, Facts]] = {node.name: everything for node in graph.nodes}
    for name in graph.outputs:
        result[name] = nothing
    for node in reversed(graph.nodes):
        own = result[node.name]
        for name in node.inputs:
            match node:
                case Affine(depthwise=False):
                    through = everything
                case Apply(activation=phi):
                    degree_one = {f"{phi.name}(ρ·z) = ρ·{phi.name}(z) for ρ > 0"}
                    odd = {f"{phi.name}(−z) = −{phi.name}(z)"}
                    through = (
                        _both(own[0], degree_one if phi.degree == 1 else None),
                        _both(own[1], odd if phi.reflection == (-1, Fraction(0)) else None),
                    )
                case Pool(operation="maximum"):
                    through = (own[0], None)
                case Pool() | Flatten() | Squeeze() | Unsqueeze() | Select() | Concatenate():
                    through = own
                case _:
                    through = nothing
            before = result[name]
            result[name] = (_both(before[0], through[0]), _both(before[1], through[1]))
    return result


def _both(a: Facts, b: Facts) -> Facts:
    return None if a is None or b is None else a | b
