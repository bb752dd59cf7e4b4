"""Grouped convolutions: a convolution for each group, on some of the channels; one layer where written.

A convolution with g groups is g convolutions side by side, each of as many channels as the others. Its units
merge within a group, and those that it reads within the channels of one group, as many in each, so that the
smaller convolution again has g groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from symlump.network.network import Network
from symlump.network.nodes import Affine, Concatenate, Node, Select, Shape
from symlump.ode.exact import IntArray


@dataclass(frozen=True, eq=False)
class Family:
    """The groups of one convolution.

    Parameters
    ----------
    name : str
        Of what joins their units.
    parts, selections : tuple of str
        By group the convolution, and the channels that it reads.
    source : str
        What all of them read.
    index : ndarray of int, shape (channels,)
        The channels that they read, one group after the other.
    """

    name: str
    parts: tuple[str, ...]
    selections: tuple[str, ...]
    source: str
    index: IntArray


@dataclass(frozen=True, eq=False)
class Grouped(Affine):
    """A convolution with groups of channels, only where a network is written.

    Its weight has the shape (units, inputs/groups, *kernel).
    """

    groups: int = 1

    def shape(self, *given: Shape) -> Shape:
        """Units, and the size of the grid."""
        (before,) = given
        inside = Affine.shape(self, (before[0] // self.groups, *before[1:]))
        return inside


def families(network: Network) -> dict[str, Family]:
    """The grouped convolutions of a network, by what joins their units.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> x, w = Input("x", (), (4, 5)), np.ones((3, 2, 1))
    >>> halves = [Select(f"s{k}", ("x",), np.arange(2 * k, 2 * k + 2)) for k in (0, 1)]
    >>> convs = [Affine(f"c{k}", (f"s{k}",), w, None, (1,), (0,), (1,)) for k in (0, 1)]
    >>> net = Network((x, *halves, *convs, Concatenate("c", ("c0", "c1"))), ("c",))
    >>> families(net)["c"].parts
    ('c0', 'c1')
    >>> [(type(node).__name__, node.name) for node in as_written(net).nodes]
    [('Input', 'x'), ('Grouped', 'c')]
    """
    found = {}
    for node in network.nodes:
        if isinstance(node, Concatenate):
            family = _family(network, node)
            if family is not None:
                found[node.name] = family
    return found


def groups_of(network: Network) -> dict[str, tuple[str, int]]:
    """For each part of a grouped convolution, and what it reads, the convolution and the group."""
    return {
        name: (family.name, number)
        for family in families(network).values()
        for names in (family.parts, family.selections)
        for number, name in enumerate(names)
    }


def _family(network: Network, node: Concatenate) -> Family | None:
    parts = [network.named[name] for name in node.inputs]
    if len(parts) < 2 or len(set(node.inputs)) < len(parts):
        return None
    first = parts[0]
    if not isinstance(first, Affine) or not first.kernel:
        return None
    selections: list[Select] = []
    for part in parts:
        before = network.named[part.inputs[0]]
        if not isinstance(before, Select) or not isinstance(part, Affine) or part.depthwise:
            return None
        alone = network.readers[part.name] == 1 == network.readers[before.name]
        if not alone or part.name in network.outputs or part.weight_name or part.bias_name:
            return None
        same = (part.weight.shape, part.stride, part.padding, part.dilation, part.bias is None)
        if same != (
            first.weight.shape,
            first.stride,
            first.padding,
            first.dilation,
            first.bias is None,
        ):
            return None
        selections.append(before)
    if len({before.inputs for before in selections}) != 1:
        return None
    index = np.concatenate([before.index for before in selections])
    if np.unique(index).size < index.size:
        return None
    names = tuple(part.name for part in parts), tuple(before.name for before in selections)
    return Family(node.name, *names, selections[0].inputs[0], index)


def as_written(network: Network) -> Network:
    """The network with each grouped convolution as one layer."""
    found = families(network)
    if not found:
        return network
    inside = {name for f in found.values() for name in (*f.parts, *f.selections)}
    nodes: list[Node] = []
    for node in network.nodes:
        if node.name in found:
            nodes += _written(network, found[node.name])
        elif node.name not in inside:
            nodes.append(node)
    return replace(network, nodes=tuple(nodes))


def _written(network: Network, family: Family) -> list[Node]:
    parts: list[Any] = [network.named[name] for name in family.parts]
    first, source, before = parts[0], family.source, []
    if not np.array_equal(family.index, np.arange(network.shapes[source][0])):
        order = f"{family.name}_order"
        while order in network.shapes:
            order += "_"
        before, source = [Select(order, (source,), family.index)], order
    weight = np.concatenate([part.weight for part in parts])
    bias = None if first.bias is None else np.concatenate([part.bias for part in parts])
    geometry = first.stride, first.padding, first.dilation
    layer = Grouped(family.name, (source,), weight, bias, *geometry, groups=len(parts))
    return [*before, layer]


def held_by_parts(network: Network, modules: dict[str, Any]) -> dict[str, Any]:
    """With the arrays of each group, by the name of its part, where a module holds those of all."""
    found = dict(modules)
    for family in families(network).values():
        whole, count = modules.get(family.name), len(family.parts)
        if whole is None:
            continue
        weights = whole.weight.chunk(count)
        biases = [None] * count if whole.bias is None else whole.bias.chunk(count)
        for name, weight, bias in zip(family.parts, weights, biases, strict=True):
            found[name] = SimpleNamespace(weight=weight, bias=bias)
    return found
