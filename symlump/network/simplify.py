"""What a reader does after reading: fold what folds, drop what does nothing.

Batch normalisation, and multiplication by or addition of constants, arrive as a scale (a factor and a
constant per unit). A scale is folded into the layer before it, or else into the one after it, where that
layer does not pad with zeros; an order of channels goes into the weights of the layer that reads them:

    s∘(W·h + b) + t = (diag(s)·W)·h + (s∘b + t),        W·(s∘h + t) + b = (W·diag(s))·h + (W·t + b).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Concatenate, Flatten, Node, Select, take_name
from symlump.network.shared import keep_shared
from symlump.network.step_nodes import ByPlace
from symlump.ode.exact import FloatArray, IntArray


def as_read(network: Network) -> Network:
    """The network of a reader, simplified; where folding or the reader rounded, with its source.

    The source is the same network before folding, and its layers say how far they are from the model's
    (:class:`symlump.network.nodes.Doubt`). It does not go with other nodes.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> scale = Affine("norm", ("fc",), np.array([[0.1]]), None, depthwise=True)
    >>> found = as_read(Network(
    ...     (Input("x", (), (1,)), Affine("fc", ("x",), np.array([[3.0]])), scale), ("norm",)))
    >>> [layer.weight.item() for layer in found.layers]
    [0.30000000000000004]
    >>> [layer.weight.item() for layer in found.source.layers]
    [3.0, 0.1]
    """
    source = simplify(_Gathering(network).network, fold=False)
    found = simplify(source)
    if any(layer.is_scale or layer.doubt for layer in source.layers):
        object.__setattr__(found, "source", source)  # no argument, so that replace() drops it
    return found


class _Gathering:
    """Parts of one value that are joined again, as halves by rotary positions: one selection of it.

    What follows changes places with the selection P, its order, signs s and a constant c for each place, and ±1
    times a number is exact: c∘(s∘(P·x)) = (s∘c)∘(P·x), and P·(c∘x) = (P·c)∘(P·x).
    """

    def __init__(self, network: Network) -> None:
        self._readers, self._taken = network.readers, {*network.named}
        self._made: dict[str, Node] = {}
        self._gathered: set[str] = set()
        for node in network.nodes:
            self._made |= {made.name: made for made in self._written(node)}
        self.network = replace(network, nodes=tuple(self._made.values()))

    def _written(self, node: Node) -> list[Node]:
        match node:
            case Concatenate():
                parts = [part for name in node.inputs if (part := self._part(name)) is not None]
                if len(parts) == len(node.inputs) and len({source for source, _, _ in parts}) == 1:
                    index = np.concatenate([part for _, part, _ in parts])
                    signs = np.concatenate([part for _, _, part in parts])
                    return self._joined(node.name, parts[0][0], index, signs)
            case Select() if self._is_gathered(node.inputs[0]):
                return self._ordered(node.name, node.inputs[0], node.index)
            case ByPlace(operation="multiply", constant=c) if self._is_gathered(node.inputs[0]):
                before = self._made[node.inputs[0]]
                if _is_signs(before):
                    signs = before.weight.reshape(-1, *(1,) * (c.ndim - 1))
                    return [replace(node, inputs=before.inputs, constant=c * signs)]
        return [node]

    def _part(self, name: str) -> tuple[str, IntArray, FloatArray] | None:
        """Of which value this is a part, which channels of it, and with which signs."""
        node = self._made[name]
        signs = node.weight[:, 0] if _is_signs(node) else None
        node = node if signs is None else self._made[node.inputs[0]]
        if not isinstance(node, Select):
            return None
        return node.inputs[0], node.index, np.ones(node.index.size) if signs is None else signs

    def _joined(self, name: str, source: str, index: IntArray, signs: FloatArray) -> list[Node]:
        self._gathered.add(name)
        if (signs == 1).all():
            return [Select(name, (source,), index)]
        parts = take_name(f"{name}.parts", self._taken)
        return [
            Select(parts, (source,), index),
            Affine(name, (parts,), signs[:, None], None, depthwise=True),
        ]

    def _is_gathered(self, name: str) -> bool:
        """Whether a value that is read once was joined so, perhaps with a constant for each place."""
        node = self._made[name]
        if self._readers[name] != 1:
            return False
        return name in self._gathered or (
            isinstance(node, ByPlace)
            and (node.inputs[0] not in self._readers or self._is_gathered(node.inputs[0]))
        )

    def _ordered(self, name: str, value: str, index: IntArray) -> list[Node]:
        """Such a value in another order."""
        node = self._made[value]
        if isinstance(node, Select):
            return [replace(node, name=name, index=node.index[index])]
        inner = take_name(f"{value}.order", self._taken)
        before = self._ordered(inner, node.inputs[0], index)
        if isinstance(node, Affine):
            return [*before, replace(node, name=name, inputs=(inner,), weight=node.weight[index])]
        assert isinstance(node, ByPlace)
        constant = node.constant if node.is_alike else node.constant[index]
        return [*before, replace(node, name=name, inputs=(inner,), constant=constant)]


def _is_signs(node: Node) -> TypeGuard[Affine]:
    """Whether a step multiplies each unit with 1 or −1, and says so of nothing else."""
    if not isinstance(node, Affine) or not node.is_scale or node.bias is not None:
        return False
    return not node.weight_name and bool((np.abs(node.weight) == 1).all())


def meant(network: Network) -> Network:
    """What certified bounds speak of: the network as it was read, where that was rounded."""
    return network.source or network


def simplify(network: Network, fold: bool = True) -> Network:
    """The same function with scales folded, and without nodes that do nothing or that nobody reads.

    Parameters
    ----------
    network : Network
    fold : bool
        False leaves all layers as they are; True also takes their numbers for what they are, without doubt.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> scale = Affine("norm", ("fc",), np.array([[2.0]]), np.array([1.0]), depthwise=True)
    >>> network = Network(
    ...     (Input("x", (), (1,)), Affine("fc", ("x",), np.array([[3.0]])), scale), ("norm",))
    >>> [(layer.name, layer.weight.tolist(), layer.bias.tolist()) for layer in simplify(network).layers]
    [('fc', [[6.0]], [1.0])]
    """
    if fold:
        network = _scales_before_joins(_told_apart(network))
    nodes: dict[str, Node] = {}
    instead: dict[str, str] = {}
    needed = _needed(network)
    readers = Counter(name for node in network.nodes if node.name in needed for name in node.inputs)
    readers.update(network.outputs)
    alike = _scaled_alike(network, readers, needed) if fold else set()
    for node in network.nodes:
        if node.name not in needed:
            continue
        node = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        before = nodes[node.inputs[0]] if node.inputs else node
        sole = readers[before.name] == 1
        if fold and isinstance(node, Affine) and node.doubt is not None:
            node = replace(node, doubt=None)
        kept: Node = node
        if _is_idle(node, network):
            instead[node.name] = before.name
            readers[before.name] += readers[node.name] - 1
            continue
        if fold and isinstance(node, Affine) and isinstance(before, Affine) and sole:
            if node.is_scale and (before.name in alike or _only_adds(node, before)):
                nodes[before.name] = _scaled_after(before, node, before.name in alike)
                instead[node.name] = before.name
                readers[before.name] = readers[node.name]
                continue
            padded = before.bias is not None and any(node.padding)
            apart = not (node.weight_name or node.bias_name)
            if before.is_scale and not node.depthwise and not padded and apart:
                kept = _scaled_before(before, node)
                del nodes[before.name]
        elif fold and isinstance(node, Affine) and isinstance(before, Select) and sole:
            apart = not node.weight_name
            if apart and not node.depthwise and _is_order(before, network):
                kept = _in_order(before, node)
                del nodes[before.name]
        elif isinstance(node, Select) and isinstance(before, Select):
            kept = replace(node, inputs=before.inputs, index=before.index[node.index])
        nodes[kept.name] = kept
    outputs = tuple(instead.get(name, name) for name in network.outputs)
    small = replace(network, nodes=tuple(nodes.values()), outputs=outputs)
    needed = _needed(small)
    if len(needed) < len(nodes):
        small = replace(small, nodes=tuple(node for node in small.nodes if node.name in needed))
    return _told_apart(small) if fold else small


def _scales_before_joins(network: Network) -> Network:
    """A scale of joined layers is one of each: those of the groups of a convolution, which then take it in."""
    joins = {
        node.inputs[0]: node
        for node in network.nodes
        if isinstance(node, Affine) and node.is_scale and _joins_layers(network, node.inputs[0])
    }
    if not joins:
        return network
    instead = {scale.name: name for name, scale in joins.items()}
    nodes: list[Node] = []
    for node in network.nodes:
        if node.name in instead:
            continue
        node = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        if node.name in joins:
            scales = _split(joins[node.name], node.inputs, network)
            nodes += scales
            node = replace(node, inputs=tuple(scale.name for scale in scales))
        nodes.append(node)
    outputs = tuple(instead.get(name, name) for name in network.outputs)
    return replace(network, nodes=tuple(nodes), outputs=outputs)


def _split(scale: Affine, parts: tuple[str, ...], network: Network) -> list[Affine]:
    """A scale for each of the values that are joined before it."""
    ends = np.cumsum([network.shapes[name][0] for name in parts])[:-1]
    weights = np.split(scale.weight, ends)
    biases = [None] * len(parts) if scale.bias is None else np.split(scale.bias, ends)
    return [
        Affine(f"{scale.name}.{k}", (name,), weight, bias, depthwise=True)
        for k, (name, weight, bias) in enumerate(zip(parts, weights, biases, strict=True))
    ]


def _joins_layers(network: Network, name: str) -> bool:
    """Whether a value joins layers, each read by it alone, and a single node reads it."""
    node = network.named[name]
    if not isinstance(node, Concatenate) or network.readers[name] != 1 or name in network.outputs:
        return False
    return all(
        isinstance(network.named[x], Affine)
        and network.readers[x] == 1
        and x not in network.outputs
        for x in node.inputs
    )


def _told_apart(network: Network) -> Network:
    """The names of shared weights, where there are some, only as far as they say something."""
    if not any(layer.weight_name or layer.bias_name for layer in network.layers):
        return network
    return network.with_layers(keep_shared(network.layers))


def _scaled_alike(network: Network, readers: Counter[str], needed: set[str]) -> set[str]:
    """The layers into which a scale may be folded: their weights are their own, or all that share them have an
    equal one.
    """
    after: dict[str, bytes] = {}
    for node in network.nodes:
        scale = isinstance(node, Affine) and node.is_scale and node.name in needed
        if scale and isinstance(node, Affine) and readers[node.inputs[0]] == 1:
            bias = np.zeros(node.units) if node.bias is None else node.bias
            after[node.inputs[0]] = node.weight.tobytes() + bias.tobytes()
    users: dict[str, set[bytes | None]] = {}
    for layer in network.layers:
        users.setdefault(layer.weight_name, set()).add(after.get(layer.name))
    return {
        layer.name
        for layer in network.layers
        if not layer.weight_name or (len(users[layer.weight_name]) == 1 and layer.name in after)
    }


def _only_adds(scale: Affine, layer: Affine) -> bool:
    """Whether a scale gives a layer without biases some."""
    return layer.bias is None and bool((scale.weight == 1).all())


def _needed(network: Network) -> set[str]:
    """The inputs, and what the outputs depend on."""
    needed = {*network.outputs, *(node.name for node in network.inputs)}
    for node in reversed(network.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return needed


def _is_idle(node: Node, network: Network) -> bool:
    match node:
        case Affine(doubt=None) if node.is_scale:
            return bool((node.weight == 1).all() and (node.bias is None or not node.bias.any()))
        case Apply(activation=phi):
            return phi.name == "identity"
        case Flatten():
            return network.shapes[node.name] == network.shapes[node.inputs[0]]
        case Select(index=index):
            return np.array_equal(index, np.arange(network.shapes[node.inputs[0]][0]))
    return False


def _is_order(node: Select, network: Network) -> bool:
    """Whether it takes each channel once."""
    count = network.shapes[node.inputs[0]][0]
    return np.array_equal(np.sort(node.index), np.arange(count))


def _in_order(select: Select, layer: Affine) -> Affine:
    """A layer with the weights in the order of the channels before a selection."""
    weight = np.empty_like(layer.weight)
    weight[:, select.index] = layer.weight
    return replace(layer, inputs=select.inputs, weight=weight)


def _scaled_after(layer: Affine, scale: Affine, alike: bool) -> Affine:
    factor = scale.weight[:, 0]
    weight = layer.weight * factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = None if layer.bias is None else layer.bias * factor
    name = ""
    if layer.weight_name and layer.bias is None:
        name = f"{layer.weight_name}, offset" if alike else scale.bias_name
    elif layer.weight_name and layer.bias_name:  # of those with these weights only
        name = f"{layer.weight_name}, {layer.bias_name}"
    return replace(layer, weight=weight, bias=_sum(bias, scale.bias), bias_name=name)


def _scaled_before(scale: Affine, layer: Affine) -> Affine:
    spread = (1, -1, *(1,) * len(layer.kernel))
    constant = None
    if scale.bias is not None:
        products = layer.weight * scale.bias.reshape(spread)
        constant = products.reshape(layer.units, -1).sum(axis=1)
    return replace(
        layer,
        inputs=scale.inputs,
        weight=layer.weight * scale.weight[:, 0].reshape(spread),
        bias=_sum(layer.bias, constant),
    )


def _sum(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
    return b if a is None else a if b is None else a + b
