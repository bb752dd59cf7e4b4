"""Symmetries through a network, node by node: what merges in each layer, and what that makes of each value.

A value's channels follow from those that are kept by h_i = scale_i·ĥ_block(i) + offset_i, a :class:`Lift`. A
layer reads them as rows over what was kept before; rows that are multiples of one another, as far as the
readers of the layer's units allow, become one. Activations, pooling, flattening and joins pass lifts on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from symlump.compression.merging.effect import layer_effects
from symlump.compression.symmetries.allowed import find_allowed
from symlump.compression.symmetries.exact_rows import Rows, UnitLift, aggregate
from symlump.compression.symmetries.near_units import aggregate_floats, merge_near
from symlump.compression.symmetries.unit_merge import UnitMerge, merge_units
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import ACTIVATIONS
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Node,
    Select,
)
from symlump.network.step_nodes import passes_units
from symlump.network.ties import find_ties
from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LayerMerge:
    """What merges in one layer, sum, or layer with one kernel per channel.

    Parameters
    ----------
    node : Affine or Combine
    weight : ndarray, shape (units, columns)
        For each channel that is read, and each offset of a kernel, a column.
    bias : ndarray, shape (units,), or None
    source : Lift
        How the columns follow from those that are kept.
    merge : UnitMerge
    """

    node: Affine | Combine
    weight: FloatArray
    bias: FloatArray | None
    source: UnitLift
    merge: UnitMerge

    @property
    def linear(self) -> bool:
        """All but products, of which equal ones merge."""
        return not isinstance(self.node, Combine) or self.node.operation == "add"


class SymmetryWalk:
    """What merges in a network.

    Parameters
    ----------
    network : Network
    pieces : mapping of str to ndarray of int
        For some layers, by name, the linear piece of its activation that each unit never leaves, or −1.
    eps : float
        The tolerance; 0 compares exactly.
    effects : mapping of str to float, optional
        What distances in each layer are multiplied with; computed where they are not given.
    floor : float
        The share of its units that each layer keeps at any tolerance, as far as they are no multiples.
    counts : mapping of str to ndarray, shape (units,), optional
        For each layer what its units count in the rows of their blocks; by default the squares of the weights
        with which they are read.

    Attributes
    ----------
    steps : dict of LayerMerge
        By the names of the nodes.
    lifts : dict of Lift
        For each value that is read.
    counts : dict of int
        How many channels are kept of each value.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 1.0]]], activation="relu")
    >>> walk = SymmetryWalk(net, {}, 0.0)
    >>> walk.lifts["layers.0.activation"].block.tolist(), walk.steps["layers.1"].merge.kept.floats.tolist()
    ([0, 0], [[3.0, 0.0]])
    """

    def __init__(
        self,
        network: Network,
        pieces: Mapping[str, IntArray],
        eps: float,
        effects: Mapping[str, float] | None = None,
        floor: float = 0.0,
        counts: Mapping[str, FloatArray] | None = None,
    ) -> None:
        self._network, self._pieces, self._eps, self._floor = network, pieces, eps, floor
        self._allowed = find_allowed(network)
        self._effects = effects or (layer_effects(network) if eps else {})
        self._counts = (counts or _outgoing(network)) if eps else {}
        self._reader: dict[str, Node] = {}
        for node in network.nodes:
            self._reader |= dict.fromkeys(node.inputs, node)
        self.steps: dict[str, LayerMerge] = {}
        self.lifts: dict[str, UnitLift] = {}
        self.counts: dict[str, int] = {}
        self.facts: set[str] = set()
        for node in network.nodes:
            if node.name not in self.lifts:
                self._pass(node)

    def _keep(self, name: str, lift: UnitLift, count: int) -> None:
        self.lifts[name], self.counts[name] = lift, count

    def _pass(self, node: Node) -> None:
        given = [self.lifts[name] for name in node.inputs]
        counts = [self.counts[name] for name in node.inputs]
        shape = self._network.shapes[node.name]
        width = shape[0] if shape else 1
        match node:
            case Affine(depthwise=False):
                self._layer(node, given[0])
            case Affine() if node.units == given[0].block.size:
                self._channelwise(node, given[0])
            case Combine():
                self._combine(node, given)
            case Apply(activation=phi):
                self._keep(node.name, self._applied(phi, given[0]), counts[0])
            case Flatten():
                places = width // given[0].block.size
                self._keep(node.name, spread(given[0], places), counts[0] * places)
            case Select(index=index):
                self._keep(node.name, _taken(given[0], index), counts[0])
            case Concatenate():
                self._keep(node.name, _joined(given, counts), sum(counts))
            case _ if passes_units(node):
                self._keep(node.name, given[0], counts[0])
            case _:
                self._keep(node.name, UnitLift.identity(width), width)

    def _layer(self, node: Affine, lift: UnitLift) -> None:
        weight = node.weight.reshape(node.units, -1)
        source = spread(lift, weight.shape[1] // lift.block.size)
        rows_of = aggregate_floats if self._eps else aggregate
        rows = _over(rows_of(weight, node.bias, source), self._columns(node))
        reader = self._reader.get(node.name)
        only = self._network.readers[node.name] == 1
        phi, name = ACTIVATIONS["identity"], node.name
        if only and isinstance(reader, Apply):
            phi, name = reader.activation, reader.name
        own = self._allowed[name]
        if own.alone:
            merge = _unmerged(rows)
        elif not self._eps:
            merge = merge_units(rows, phi, self._pieces.get(node.name), own)
        else:
            pieces, effect = self._pieces.get(node.name), self._effects[node.name]
            counts = self._counts[node.name]
            merge = merge_near(rows, phi, pieces, own, self._eps, effect, counts, self._floor)
        self.facts |= merge.facts
        self.steps[node.name] = LayerMerge(node, weight, node.bias, source, merge)
        self._keep(node.name, merge.lift, len(merge.kept.floats))
        self._keep(name, merge.lift, len(merge.kept.floats))

    def _columns(self, node: Affine) -> int:
        offsets = int(np.prod(node.kernel, dtype=np.int64))
        return self.counts[node.inputs[0]] * offsets

    def _channelwise(self, node: Affine, lift: UnitLift) -> None:
        """One kernel per channel: units merge that read the same in the same way."""
        kernels = node.weight.reshape(node.units, -1)
        bias = np.zeros(node.units) if node.bias is None else node.bias
        keys = np.column_stack([lift.block, kernels, bias])
        weight = np.zeros((node.units, kernels.size))
        places = kernels.shape[1] * np.arange(node.units)[:, None] + np.arange(kernels.shape[1])
        np.put_along_axis(weight, places, kernels, axis=1)
        columns = self._columns(node)
        self._equal(node, keys, weight, node.bias, spread(lift, kernels.shape[1]), columns)

    def _combine(self, node: Combine, given: list[UnitLift]) -> None:
        """A sum or a product: units merge whose parts are the same."""
        width = (self._network.shapes[node.name] or (1,))[0]
        spread_out = [
            _taken(k, np.zeros(width, np.int64)) if k.block.size < width else k for k in given
        ]
        keys = np.column_stack([lift.block for lift in spread_out])
        counts = [self.counts[name] for name in node.inputs]
        weight = np.tile(np.eye(width), len(given))
        self._equal(node, keys, weight, None, _joined(spread_out, counts), sum(counts))

    def _equal(
        self,
        node: Affine | Combine,
        keys: FloatArray | IntArray,
        weight: FloatArray,
        bias: FloatArray | None,
        source: UnitLift,
        columns: int,
    ) -> None:
        if self._allowed[node.name].alone:
            keys = np.arange(len(keys))[:, None]
        _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        leaders = np.sort(first)
        block = np.searchsorted(leaders, first[inverse.ravel()])
        units = len(keys)
        one, nothing = (Fraction(1),) * units, (Fraction(0),) * units
        rows = _over(aggregate(weight, bias, source), columns)
        lift = UnitLift(block, one, nothing)
        merge = UnitMerge(rows, rows.take(leaders), one, nothing, lift, frozenset(), 0)
        self.steps[node.name] = LayerMerge(node, weight, bias, source, merge)
        self._keep(node.name, lift, leaders.size)

    def _applied(self, phi: Activation, lift: UnitLift) -> UnitLift:
        """An activation of multiples; only such come here as it commutes with."""
        scale, offset = list(lift.scale), list(lift.offset)
        name = phi.name.partition(":")[0]
        for i, rho in enumerate(lift.scale):
            if rho == 1 or lift.block[i] < 0:
                continue
            if abs(rho) != 1:
                assert phi.degree is not None
                scale[i] = abs(rho) ** phi.degree
                self.facts.add(f"{name}(ρ·z) = ρ^{phi.degree}·{name}(z) for ρ > 0")
            else:
                scale[i] = Fraction(1)
            if rho < 0:
                assert phi.reflection is not None
                sign, offset[i] = phi.reflection
                scale[i] *= sign
        return UnitLift(lift.block, tuple(scale), tuple(offset))

    def live(self) -> dict[str, npt.NDArray[np.bool_]]:
        """For each value which of the channels that are kept something reads, from the outputs backwards."""
        network = self._network
        live = {name: np.zeros(count, dtype=bool) for name, count in self.counts.items()}
        for name in network.outputs:
            live[name][:] = True
        for node in reversed(network.nodes):
            own = live[node.name]
            match node:
                case Affine(depthwise=False) if live[node.inputs[0]].size:
                    kept = self.steps[node.name].merge.kept
                    read = kept.take(np.flatnonzero(own)).nonzero()[:, :-1].any(axis=0)
                    live[node.inputs[0]] |= read.reshape(self.counts[node.inputs[0]], -1).any(
                        axis=1
                    )
                case Flatten() if own.size:
                    before = live[node.inputs[0]]
                    before |= own.reshape(before.size, -1).any(axis=1)
                case Concatenate():
                    ends = np.cumsum([self.counts[name] for name in node.inputs])[:-1]
                    for name, part in zip(node.inputs, np.split(own, ends), strict=True):
                        live[name] |= part
                case Apply() | Select():
                    live[node.inputs[0]] |= own
                case _ if passes_units(node):
                    live[node.inputs[0]] |= own
                case _:
                    for name in node.inputs:
                        live[name][:] = True
        return live


def spread(lift: UnitLift, places: int) -> UnitLift:
    """Each channel as so many, one after the other: its positions, or the offsets of a kernel."""
    if places == 1:
        return lift
    block = lift.block.repeat(places)
    block = np.where(block < 0, -1, block * places + np.tile(np.arange(places), lift.block.size))
    scale = tuple(s for s in lift.scale for _ in range(places))
    return UnitLift(block, scale, tuple(c for c in lift.offset for _ in range(places)))


def _taken(lift: UnitLift, index: IntArray) -> UnitLift:
    scale = tuple(lift.scale[i] for i in index.tolist())
    return UnitLift(lift.block[index], scale, tuple(lift.offset[i] for i in index.tolist()))


def _joined(lifts: list[UnitLift], counts: list[int]) -> UnitLift:
    starts = np.cumsum([0, *counts])
    blocks = [np.where(k.block < 0, -1, k.block + s) for k, s in zip(lifts, starts, strict=False)]
    scale = tuple(s for lift in lifts for s in lift.scale)
    return UnitLift(np.concatenate(blocks), scale, tuple(c for k in lifts for c in k.offset))


def _over(rows: Rows, columns: int) -> Rows:
    """Rows over as many columns as there are kept channels: the last of these may not be read at all."""
    missing = columns + 1 - rows.floats.shape[1]
    if not missing:
        return rows
    bias = rows.floats.shape[1] - 1
    floats = np.insert(rows.floats, [bias] * missing, 0.0, axis=1)
    return Rows(floats, {k + missing if k == bias else k: c for k, c in rows.columns.items()})


def _unmerged(rows: Rows) -> UnitMerge:
    units = len(rows.floats)
    one, nothing = (Fraction(1),) * units, (Fraction(0),) * units
    return UnitMerge(rows, rows, one, nothing, UnitLift.identity(units), frozenset(), 0)


def _outgoing(network: Network) -> dict[str, FloatArray]:
    """For each layer the sum of the squared weights with which each of its units is read."""
    ties = find_ties(network)
    squares = np.zeros(ties.count)
    for layer in network.layers:
        if not layer.depthwise:
            axes = (0, *range(2, layer.weight.ndim))
            np.add.at(squares, ties.units[layer.inputs[0]], np.sum(layer.weight**2, axis=axes))
    return {layer.name: squares[ties.units[layer.name]] for layer in network.layers}
