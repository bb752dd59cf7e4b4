"""A network again, with fewer units: node by node, whatever merged and wherever the weights come from.

A value whose units merged has fewer channels, and what reads it reads those. Where the branches of a sum merged
in different ways, the sum picks its channels from each branch by an index, which is left out where it would
change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from symlump.lumping.partition import Partition
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Input,
    Node,
    Select,
    take_name,
)
from symlump.network.precision import refuse_overflow
from symlump.network.simplify import simplify
from symlump.network.step_nodes import Attention, Rearrange, passes_units
from symlump.network.ties import find_ties
from symlump.ode.exact import FloatArray, IntArray


class Weights(Protocol):
    """Where the weights of the smaller network come from. A unit stands for its block."""

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """How the blocks of some units read some old channels, each standing for its new one.

        Parameters
        ----------
        members : ndarray of int
            A unit of each block.
        channels : ndarray of int
            An old channel for each new one; of a depthwise layer the old channel that each of the units reads.
        places : ndarray of int
            The new channel of each old one.

        Returns
        -------
        ndarray, shape (units, channels, offsets); (units, 1, offsets) where depthwise
            Where two channels are the same unit read in the same way, the first has the sum.
        """

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """The biases of the blocks of some units; asked for after their rows."""

    def follow(self, node: Node) -> None:
        """Told of each node of the smaller network, in order."""


def rewrite(network: Network, labels: Mapping[str, IntArray], weights: Weights) -> Network:
    """The smaller network.

    Parameters
    ----------
    network : Network
    labels : mapping of str to ndarray of int
        For each layer, sum and product, by name, the block of each unit. Blocks of sums and of depthwise layers
        refine those of what they read. For what is rearranged and has parts, those of its channels, or none if
        each is alone. For attention those of its channels and, with ``.pairs`` and ``.heads``
        after the name, of what is inside; each alone where they are not given.
    weights : Weights

    Raises
    ------
    NetworkError
        If a node sums units in groups.
    FailureError
        If a weight of the smaller network is beyond what floats hold.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [1.0]], [[2.0, 3.0]]])
    >>> class Summed:
    ...     def rows(self, node, members, channels, places):
    ...         sums = np.zeros((node.units, 1 + places.max()))
    ...         np.add.at(sums.T, places, node.weight.T)
    ...         return sums[members][:, :, None]
    ...     def follow(self, node):
    ...         pass
    >>> small = rewrite(net, {"layers.0": np.array([0, 0]), "layers.1": np.array([0])}, Summed())
    >>> [layer.weight.tolist() for layer in small.layers]
    [[[1.0]], [[5.0]]]
    """
    rewriter = _Rewriter(network, labels, weights)
    outputs = [rewriter.restore(name, f"{name}.all") for name in network.outputs]
    return replace(network, nodes=tuple(rewriter.nodes), outputs=tuple(outputs))


def tidy(network: Network) -> Network:
    """Without the indices that select nothing, or from a selection; layers stay as they are."""
    return simplify(network, fold=False) if _selects(network) else network


def _selects(network: Network) -> bool:
    return any(isinstance(node, Select) for node in network.nodes)


class _Rewriter:
    """Node by node: the new node, and the new channel of each old channel of its value."""

    def __init__(self, network: Network, labels: Mapping[str, IntArray], weights: Weights) -> None:
        self._labels, self._weights, self._shapes = labels, weights, network.shapes
        self.nodes: list[Node] = []
        self._channels: dict[str, IntArray] = {}
        self._taken = set(network.named)
        for node in network.nodes:
            self._channels[node.name] = self._write(node)

    def _add(self, node: Node) -> None:
        self.nodes.append(node)
        self._weights.follow(node)

    def _write(self, node: Node) -> IntArray:
        """Add the new node; returns the new channel of each old one."""
        given = [self._channels[name] for name in node.inputs]
        same = np.arange(self._shapes[node.name][0] if self._shapes[node.name] else 1)
        match node:
            case Affine():
                return self._affine(node, given[0])
            case Combine():
                return self._combine(node, given)
            case Attention():
                return self._attention(node, given)
            case Rearrange() if node.name in self._labels:
                return self._rearrange(node, given[0])
            case Input() | Flatten() | Concatenate():
                pass
            case _ if passes_units(node):
                pass
            case _ if not isinstance(node, Select | GroupSum):
                inputs = tuple(self.restore(n, f"{node.name}.{n}.all") for n in node.inputs)
                self._add(replace(node, inputs=inputs))
                return same
            case Select(index=index):
                kept = Partition(given[0][index])
                self._add(replace(node, index=given[0][index][kept.representatives]))
                return kept.labels
            case GroupSum():
                raise node.refuse(
                    "units that are summed in groups are not merged again; reduce on influence first, as with "
                    "AFDE(on='both')"
                )
        self._add(node)
        match node:
            case Input():
                return same
            case Flatten():
                before = self._shapes[node.inputs[0]]
                places = same.size // before[0]
                return given[0].repeat(places) * places + np.tile(np.arange(places), before[0])
            case Concatenate():
                ends = np.cumsum([0, *(_width(channels) for channels in given)])
                return np.concatenate([c + e for c, e in zip(given, ends[:-1], strict=True)])
        return given[0] if self._shapes[node.name] else same

    def restore(self, name: str, place: str) -> str:
        """The value with all its old channels."""
        return self._picked(place, name, self._channels[name])

    def _picked(self, place: str, name: str, index: IntArray) -> str:
        """Some channels of a new value, by number; the value itself where that is all of them in order."""
        if np.array_equal(index, np.arange(_width(self._channels[name]))):
            return name
        return self._select(place, name, index)

    def _select(self, place: str, name: str, channels: IntArray) -> str:
        """Add a selection."""
        select = Select(take_name(place, self._taken), (name,), channels)
        self._add(select)
        return select.name

    def _affine(self, node: Affine, channels: IntArray) -> IntArray:
        blocks = Partition(self._labels[node.name])
        members, name = blocks.representatives, node.inputs[0]
        if node.depthwise:
            read = members // (node.units // channels.size)  # the old channel of each new unit
            weight = self._weights.rows(node, members, read, channels)
            after, count = channels[read], members.size
            copies = count // _width(channels)
            if count % _width(channels) or not np.array_equal(after, np.arange(count) // copies):
                name = self._select(f"{node.name}.read", name, after)
        else:
            _, old = np.unique(channels, return_index=True)  # an old channel for each new one
            weight = self._weights.rows(node, members, old, channels)
        bias = None if node.bias is None else self._weights.biases(node, members)
        refuse_overflow(node.name, weight, bias)
        weight = weight.reshape(*weight.shape[:2], *node.kernel)
        self._add(replace(node, inputs=(name,), weight=weight, bias=bias))
        return blocks.labels

    def _combine(self, node: Combine, given: list[IntArray]) -> IntArray:
        blocks = Partition(self._labels[node.name])
        members, units = blocks.representatives, blocks.labels
        inputs: list[str] = []
        for number, (name, channels) in enumerate(zip(node.inputs, given, strict=True)):
            spread = channels.size == 1 and members.size >= 1 and units.size > 1
            index = channels[np.zeros(1, dtype=np.int64) if spread else members]
            inputs.append(self._picked(f"{node.name}.branch{number + 1}", name, index))
        self._add(replace(node, inputs=tuple(inputs)))
        return units

    def _rearrange(self, node: Rearrange, channels: IntArray) -> IntArray:
        """Fewer channels, each of its parts."""
        blocks, parts = Partition(self._labels[node.name]), node.parts(channels.size)
        assert parts is not None
        members = blocks.representatives
        index = channels[np.sort(parts[members].ravel())]
        name = self._picked(f"{node.name}.parts", node.inputs[0], index)
        self._add(replace(node.narrowed(members.size), inputs=(name,)))
        return blocks.labels

    def _attention(self, node: Attention, given: list[IntArray]) -> IntArray:
        """Blocks of heads that something still reads; in each, blocks of pairs once, times their number."""
        sizes = {"": node.heads.size, ".pairs": node.pairs.size, ".heads": node.count}
        blocks, pairs, rows = (
            Partition(self._labels.get(f"{node.name}{part}", np.arange(count)))
            for part, count in sizes.items()
        )
        members, pair, head = blocks.representatives, pairs.labels, rows.labels
        kept, heads = np.unique(head[node.heads[members]], return_inverse=True)
        order = np.argsort(heads, kind="stable")  # the channels of a head stand together
        places = np.empty_like(order)
        places[order] = np.arange(order.size)
        times = np.ones_like(node.pairs) if node.times is None else node.times
        sums: list[IntArray] = []
        for number, block in enumerate(kept.tolist()):
            first = int(np.flatnonzero(head == block)[0])  # a head that stands for its block
            own = np.flatnonzero(node.pairs == first)
            _, at, which = np.unique(pair[own], return_index=True, return_inverse=True)
            counts = np.bincount(which.ravel(), times[own]).astype(np.int64)
            by = np.argsort(at)
            sums.append(np.stack([own[at[by]], counts[by], np.full(at.size, number)]))
        chosen, counts, owners = np.hstack(sums)
        indices = (given[0][chosen], given[1][chosen], given[2][members[order]])
        inputs = tuple(
            self._picked(f"{node.name}.{part}", name, index)
            for part, name, index in zip("qkv", node.inputs, indices, strict=True)
        )
        mask = node.mask
        if mask is not None and len(mask) > 1:
            mask = mask[np.unique(head, return_index=True)[1][kept]]
        self._add(
            replace(
                node,
                inputs=inputs,
                pairs=owners,
                heads=heads.ravel()[order],
                mask=mask,
                times=None if (counts == 1).all() else counts,
            )
        )
        return places[blocks.labels]


def _width(channels: IntArray) -> int:
    return int(channels.max(initial=-1)) + 1


def reducible(network: Network) -> int:
    """How many parameters merging can reach: of layers that make, or read, units that may merge.

    Examples
    --------
    >>> reducible(Network.dense([np.ones((3, 2)), np.ones((1, 3))]))
    9
    """
    ties = find_ties(network)
    free = np.zeros(ties.count, dtype=bool)
    for units in ties.axes:
        free[units] = True
    return sum(
        held
        for layer, held in zip(network.layers, network.held, strict=True)
        if free[ties.units[layer.name]].any() or free[ties.units[layer.inputs[0]]].any()
    )


def rename_nodes(graph: Network, names: dict[str, str], used: set[str]) -> Network:
    """The same network with other names for some steps, and none of the others with one that is used."""
    taken = {*graph.shapes, *used}
    names = {n: take_name(n, taken) for n in graph.shapes if n in used and n not in names} | names
    nodes = tuple(
        replace(
            node,
            name=names.get(node.name, node.name),
            inputs=tuple(names.get(name, name) for name in node.inputs),
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes, outputs=tuple(names.get(n, n) for n in graph.outputs))
