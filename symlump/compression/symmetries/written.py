"""The network in which units that are multiples of one another are one."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.compression.symmetries.walk import SymmetryWalk
from symlump.lumping.partition import Partition
from symlump.network.network import Network
from symlump.network.nodes import Affine, Node
from symlump.network.rewrite import rewrite, tidy
from symlump.ode.exact import FloatArray, IntArray


class Written:
    """Writes the smaller network; see :class:`symlump.network.rewrite.Weights`.

    A unit that is constant, or that nothing reads, is nowhere: it is put with a kept one, and not read.

    Parameters
    ----------
    network : Network
    walk : SymmetryWalk
    """

    def __init__(self, network: Network, walk: SymmetryWalk) -> None:
        self._original, self._walk = network, walk
        self.live = walk.live()
        self.labels = {name: self._structure(name) for name in walk.steps}

    def _here(self, name: str) -> npt.NDArray[np.bool_]:
        """Which channels of a value are, or stand for, one that something reads."""
        block = self._walk.lifts[name].block
        return np.asarray((block >= 0) & np.append(self.live[name], False)[block])

    def _structure(self, name: str) -> IntArray:
        """The block of each unit, where those that are nowhere share the first."""
        block, here = self._walk.lifts[name].block, self._here(name)
        first = block[here].min(initial=len(self.live[name]))
        return np.where(here, block, first)

    @cached_property
    def network(self) -> Network:
        """The smaller network."""
        original = self._original
        with_biases = original.with_layers(
            replace(layer, bias=np.zeros(layer.units))
            for layer in original.layers
            if layer.bias is None and not layer.depthwise
        )
        small = tidy(rewrite(with_biases, self.labels, self))
        without = {layer.name for layer in original.layers if layer.bias is None}
        return small.with_layers(
            replace(layer, bias=None)
            for layer in small.layers
            if layer.name in without and layer.bias is not None and not layer.bias.any()
        )

    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer the new unit of each old one; −1 if it is constant or nothing reads it."""
        return tuple(
            np.where(self._here(layer.name), Partition(self.labels[layer.name]).labels, -1)
            for layer in self._original.hidden
        )

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        if node.depthwise:
            return node.weight.reshape(node.units, 1, -1)[members]
        name = node.inputs[0]
        block, here = self._walk.lifts[name].block, self._here(name)
        kept = np.full(int(places.max(initial=-1)) + 1, -1)
        kept[places[here]] = block[here]
        floats = self._floats(node, members)
        offsets = (floats.shape[1] - 1) // max(1, self._walk.counts[name])
        weight = np.zeros((members.size, channels.size, max(1, node.weight[0, 0].size)))
        found = np.flatnonzero(kept >= 0)
        read = floats[:, :-1].reshape(members.size, -1, max(1, offsets))
        if found.size:
            weight[:, found] = read[:, kept[found]]
        return weight

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        if node.depthwise:
            assert node.bias is not None
            return node.bias[members]
        return np.asarray(self._floats(node, members)[:, -1])

    def follow(self, node: Node) -> None:
        """See :class:`symlump.network.rewrite.Weights`."""

    def _floats(self, node: Affine, members: IntArray) -> FloatArray:
        """The rows of the blocks that units stand for, rounded to floats; of none, zeros."""
        kept = self._walk.steps[node.name].merge.kept
        block = self.labels[node.name][members]
        floats = np.zeros((members.size, kept.floats.shape[1]))
        some = block < len(self.live[node.name])
        floats[some] = kept.take(block[some]).nearest()
        return floats
