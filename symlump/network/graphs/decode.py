"""Back from a lumping of a network graph's differential equation to a smaller graph.

Each layer's weights are read off the quotient's coefficients. A value whose units merged has fewer
channels, and what reads it reads those. Where the branches of a sum merged in different ways, the sum
picks its channels from each branch by an index, which is left out where it would change nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.graphs.coefficients import Coefficients, OfQuotient
from symlump.network.graphs.encode import GraphODE
from symlump.network.graphs.graph import NetworkGraph
from symlump.network.graphs.nodes import (
    Affine,
    Combine,
    Concatenate,
    Flatten,
    Input,
    Node,
    Select,
    Softmax,
    Untouched,
)
from symlump.network.graphs.simplify import simplified
from symlump.ode.exact import IntArray


def decode_graph(lumping: Lumping) -> NetworkGraph:
    """The network of a quotient.

    Parameters
    ----------
    lumping : Lumping
        Of ``encode(graph)`` by forward equivalence.

    Raises
    ------
    MethodError
        If the lumping is of something else, or merged what a network cannot express.

    Examples
    --------
    >>> from symlump import Forward, lump
    >>> from symlump.network.graphs.encode import encode_graph
    >>> graph = NetworkGraph((
    ...     Input("x", (), (1,)), Affine("a", ("x",), np.array([[1.0], [1.0]])),
    ...     Affine("b", ("a",), np.array([[2.0, 3.0]]))), ("b",))
    >>> [layer.weight.tolist() for layer in decode_graph(lump(encode_graph(graph), Forward())).layers]
    [[[1.0]], [[5.0]]]
    """
    if not isinstance(lumping.ode, GraphODE):
        raise MethodError("this lumping is not of an encoded network graph")
    if lumping.method.direction != "forward":
        raise MethodError("the influence form is reduced by Forward()")
    coefficients = OfQuotient(lumping, lumping.ode)
    return simplified(
        GraphDecoder(lumping.ode, lumping.partition.labels, coefficients).graph, fold=False
    )


def graph_unit_maps(ode: GraphODE, labels: IntArray) -> dict[str, IntArray]:
    """For each layer, by name, the new unit of each old unit, as it is decoded.

    Parameters
    ----------
    labels : ndarray of int
        The block of each variable.
    """
    return {node.name: _renumbered(ode, labels, node.name)[0] for node in ode.graph.layers}


def _renumbered(ode: GraphODE, labels: IntArray, name: str) -> tuple[IntArray, IntArray]:
    """New number of each unit of a node, in order of first appearance; and a member of each block."""
    _, first, inverse = np.unique(labels[ode.where(name)], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return rank[inverse.ravel()], first[order]


class GraphDecoder:
    """Node by node: the new node, and the new channel of each old channel of its value.

    Parameters
    ----------
    ode : GraphODE
    labels : ndarray of int
        The block of each variable.
    coefficients : Coefficients
        The weights of the new layers.
    """

    def __init__(self, ode: GraphODE, labels: IntArray, coefficients: Coefficients) -> None:
        self._ode, self._labels, self._coefficients = ode, labels, coefficients
        self._shapes = ode.graph.shapes
        self._nodes: list[Node] = []
        self._channels: dict[str, IntArray] = {}
        self._taken = set(ode.graph.named)
        for node in ode.graph.nodes:
            self._channels[node.name] = self._write(node)
        self._outputs = [self._restored(name, f"{name}.all") for name in ode.graph.outputs]

    @property
    def parameters(self) -> int:
        """Number of weights and biases of the new graph."""
        return sum(node.parameters for node in self._nodes if isinstance(node, Affine | Untouched))

    @cached_property
    def graph(self) -> NetworkGraph:
        """The new graph."""
        return NetworkGraph(tuple(self._nodes), tuple(self._outputs), self._ode.graph.dtype)

    def _write(self, node: Node) -> IntArray:
        """Add the new node; returns the new channel of each old one."""
        given = [self._channels[name] for name in node.inputs]
        same = np.arange(self._shapes[node.name][0] if self._shapes[node.name] else 1)
        match node:
            case Affine():
                return self._affine(node, given[0])
            case Combine():
                return self._combine(node, given)
            case Softmax() | Untouched():
                inputs = tuple(self._restored(n, f"{node.name}.{n}.all") for n in node.inputs)
                self._nodes.append(replace(node, inputs=inputs))
                return same
            case Select(index=index):
                kept, channels = _in_order(given[0][index])
                self._nodes.append(replace(node, index=kept))
                return channels
        self._nodes.append(node)
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

    def _restored(self, name: str, place: str) -> str:
        """The value with all its old channels."""
        channels = self._channels[name]
        if np.array_equal(channels, np.arange(channels.size)):
            return name
        return self._select(place, name, channels)

    def _select(self, place: str, name: str, channels: IntArray) -> str:
        """Add a selection, under a free name."""
        number, free = 1, place
        while free in self._taken:
            number += 1
            free = f"{place}_{number}"
        self._taken.add(free)
        self._nodes.append(Select(free, (name,), channels))
        return free

    def _affine(self, node: Affine, channels: IntArray) -> IntArray:
        units, members = _renumbered(self._ode, self._labels, node.name)
        bias = None if node.bias is None else self._coefficients.biases(node, members)
        name = node.inputs[0]
        if node.depthwise:
            read = members // (node.units // channels.size)  # the old channel of each new unit
            weight = self._coefficients.weights(node, members, read)
            after, count = channels[read], members.size
            copies = count // _width(channels)
            if count % _width(channels) or not np.array_equal(after, np.arange(count) // copies):
                name = self._select(f"{node.name}.read", name, after)
        else:
            _, old = np.unique(channels, return_index=True)  # an old channel for each new one
            weight = self._coefficients.weights(node, members, old)
        weight = weight.reshape(*weight.shape[:2], *node.kernel)
        self._nodes.append(replace(node, inputs=(name,), weight=weight, bias=bias))
        return units

    def _combine(self, node: Combine, given: list[IntArray]) -> IntArray:
        units, members = _renumbered(self._ode, self._labels, node.name)
        inputs: list[str] = []
        for number, (name, channels) in enumerate(zip(node.inputs, given, strict=True)):
            spread = channels.size == 1 and members.size >= 1 and units.size > 1
            index = channels[np.zeros(1, dtype=np.int64) if spread else members]
            if not np.array_equal(index, np.arange(_width(channels))):
                name = self._select(f"{node.name}.branch{number + 1}", name, index)
            inputs.append(name)
        self._nodes.append(replace(node, inputs=tuple(inputs)))
        return units


def _width(channels: IntArray) -> int:
    return int(channels.max(initial=-1)) + 1


def _in_order(channels: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct entries in order of first appearance, and the place of each entry among them."""
    distinct, first, inverse = np.unique(channels, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return distinct[order], rank[inverse.ravel()]
