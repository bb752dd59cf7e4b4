"""Two networks node for node: the same computation with other widths, and the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from symlump.compression.relaxed.meeting import alike_but_heads, place_meetings
from symlump.compression.relaxed.selected import Placed, select_alike, trace
from symlump.errors import SubjectError
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network
from symlump.network.nodes import Affine, Concatenate, Node, Select
from symlump.network.step_nodes import Attention, Operation
from symlump.network.written.grouped import families

#: What two networks may differ in: weights, names, and types of numbers in files.
_OWN = {"name", "inputs", "weight", "bias", "weight_name", "bias_name", "doubt", "called", "whole"}


def align(original: Network, reduced: Network) -> tuple[Network, Network, Placed]:
    """Both networks with the same nodes under the names of the original.

    Sums over groups of units are taken into the layer that reads them, and where one network has more layers
    than the other, linear layers into the next one: so a factorisation W ≈ U·V is one layer again. Weights that
    layers share stay shared if the same layers share theirs in both networks; else each layer has its own. A
    selection that one of them has is in both, and with what they say of units is the third that is returned.

    Raises
    ------
    MethodError
        If they are not the same computation; the message names the first node that differs.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]], [[3.0]]])
    >>> split = Network.from_layers((Layer(np.eye(2), None), *net.chain.layers))
    >>> [layer.weight.tolist() for layer in align(net, split)[1].layers]
    [[[1.0, 2.0]], [[3.0]]]
    """
    one, two = _with_sums(original), _with_sums(reduced)
    two = _with_groups(one, two)
    found = select_alike(one, two)
    if found is None and list(map(type, one.nodes)) != list(map(type, two.nodes)):
        one, two = _composed(one), _composed(two)
        found = select_alike(one, two)
    one, two, given = found or (one, two, Placed())
    two = _with_scales(one, two)
    given = place_meetings(one, two, given) if found else given
    two = _renamed(one, two, given)
    if _shared(one) != _shared(two):
        return _untied(one), _untied(two), given
    return one, two, given


def _shared(network: Network) -> set[frozenset[str]]:
    """The sets of layers that share weights, or biases."""
    return {frozenset(k.name for k in users) for users in network.sharing.values()}


def _untied(network: Network) -> Network:
    """The network with weights of its own in each layer, since the other one shares them differently."""
    if not network.sharing:
        return network
    return network.with_layers(replace(k, weight_name="", bias_name="") for k in network.layers)


def _with_sums(network: Network) -> Network:
    """Layers that read sums of units read the units: W·(Σ h) has one column for each of them."""
    chain = network.chain
    if chain is None or all(layer.groups is None for layer in chain.layers):
        return network
    layers: list[Layer] = []
    for layer in chain.layers:
        before = layers[-1].groups if layers else None
        weight = layer.weight if before is None else layer.weight[:, before]
        layers.append(replace(layer, weight=weight))
    if layers[-1].groups is not None:
        raise SubjectError(
            "the last layer sums its units in groups; explain_reduction compares networks whose outputs are "
            "units"
        )
    return network.with_chain(
        Chain(tuple(replace(layer, groups=None) for layer in layers), chain.dtype)
    )


def _with_groups(original: Network, reduced: Network) -> Network:
    """The reduced network, where groups of one channel each are read as one layer, as the original has them."""
    nodes: list[Node] = []
    found = families(original)
    for node in reduced.nodes:
        family = found.get(node.name)
        if family is None or not isinstance(node, Affine) or not node.depthwise:
            nodes.append(node)
            continue
        count, source = len(family.parts), node.inputs[0]
        if reduced.shapes[source][0] != count:
            return reduced
        rows = np.arange(node.units).reshape(count, -1)
        for inner in original.nodes:
            if inner.name in family.selections:
                group = family.selections.index(inner.name)
                nodes.append(Select(inner.name, (source,), np.array([group])))
            elif inner.name in family.parts:
                group = family.parts.index(inner.name)
                bias = None if node.bias is None else node.bias[rows[group]]
                nodes.append(
                    replace(
                        node, name=inner.name, inputs=(family.selections[group],), depthwise=False,
                        weight=node.weight[rows[group]], bias=bias,
                    )
                )  # fmt: skip
        nodes.append(Concatenate(node.name, family.parts))
    return replace(reduced, nodes=tuple(nodes))


def _composed(network: Network) -> Network:
    """Without linear layers before others that read them place by place: U·(V·h + b) + c is one layer."""
    nodes: list[Node] = []
    named: dict[str, Node] = {}
    for node in network.nodes:
        first = named.get(node.inputs[0]) if node.inputs else None
        if (
            isinstance(node, Affine)
            and isinstance(first, Affine)
            and network.readers[first.name] == 1
            and not first.depthwise
            and _is_place_by_place(node)
        ):
            node = _product(node, first)
            nodes.remove(first)
        nodes.append(node)
        named[node.name] = node
    return replace(network, nodes=tuple(nodes))


def _with_scales(original: Network, reduced: Network) -> Network:
    """The reduced network, where factors of its attentions are those of the original: s·qᵀk = t·(s/t·q)ᵀk."""
    for one, two in zip(original.nodes, reduced.nodes, strict=False):
        if (
            not (isinstance(one, Attention) and isinstance(two, Attention))
            or one.scale == two.scale
        ):
            continue
        path, channels = trace(reduced, two.inputs[0])
        layer = reduced.named[path[-1]]
        # Nothing else may read these channels, and the layer holds weights of its own.
        others = [
            node.index if isinstance(node, Select) else np.arange(reduced.shapes[layer.name][0])
            for node in reduced.nodes
            if layer.name in node.inputs and node.name not in (*path, two.name)
        ]
        alone = (
            all(reduced.readers[name] == 1 for name in path[:-1]) and two.inputs.count(path[0]) == 1
        )
        taken = any(np.isin(index, channels).any() for index in others)
        if (
            not isinstance(layer, Affine)
            or layer.weight_name
            or layer.bias_name
            or taken
            or not alone
        ):
            continue
        factor = np.ones(layer.units)
        factor[channels] = two.scale / one.scale
        bias = None if layer.bias is None else layer.bias * factor
        weight = layer.weight * factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
        moved, scaled = replace(layer, weight=weight, bias=bias), replace(two, scale=one.scale)
        made: dict[str, Node] = {layer.name: moved, two.name: scaled}
        reduced = replace(reduced, nodes=tuple(made.get(n.name, n) for n in reduced.nodes))
    return reduced


def _is_place_by_place(node: Affine) -> bool:
    return (
        not node.depthwise
        and set(node.kernel) | set(node.stride) <= {1}
        and set(node.padding) <= {0}
    )


def _product(second: Affine, first: Affine) -> Affine:
    left = second.weight.reshape(second.units, -1)
    bias = second.bias
    if first.bias is not None:
        bias = left @ first.bias + (0.0 if bias is None else bias)
    weight = np.tensordot(left, first.weight, axes=1)
    return replace(first, name=second.name, weight=weight, bias=bias, weight_name="", bias_name="")


def _renamed(original: Network, reduced: Network, given: Placed) -> Network:
    """The reduced network under the names of the original's nodes."""
    if len(original.nodes) != len(reduced.nodes) or len(original.outputs) != len(reduced.outputs):
        raise _differ(
            f"they have {len(original.nodes)} and {len(reduced.nodes)} steps, "
            f"{len(original.outputs)} and {len(reduced.outputs)} outputs"
        )
    names = {b.name: a.name for a, b in zip(original.nodes, reduced.nodes, strict=True)}
    nodes: list[Node] = []
    for one, two in zip(original.nodes, reduced.nodes, strict=True):
        node = replace(two, name=one.name, inputs=tuple(names[name] for name in two.inputs))
        # What is selected, and heads, may be narrower; Quotient looks whether these are the same units.
        alike = isinstance(one, Select) or _alike(one, alike_but_heads(one, node, given))
        if type(one) is not type(two) or node.inputs != one.inputs or not alike:
            _refuse_other_means(original, reduced)
            raise _differ(
                f"step {one.name!r} of the original ({_described(one)}) meets {two.name!r} "
                f"({_described(two)})"
            )
        nodes.append(node)
    outputs = tuple(names[name] for name in reduced.outputs)
    if outputs != original.outputs:
        raise _differ("their outputs are other steps")
    network = replace(reduced, nodes=tuple(nodes), outputs=outputs)
    for name in outputs:
        if network.shapes[name] != original.shapes[name]:
            raise _differ(
                f"an output has shape {original.shapes[name]} in one, {network.shapes[name]} in the other"
            )
    return network


def _refuse_other_means(original: Network, reduced: Network) -> None:
    """Raise where a step normalises other numbers of channels."""
    for one, two in zip(original.nodes, reduced.nodes, strict=True):
        if not (isinstance(one, Operation) and isinstance(two, Operation) and one.inputs):
            continue
        widths = [net.shapes[node.inputs[0]][0] for net, node in ((original, one), (reduced, two))]
        together = one.kind == two.kind == "normalise" and 1 in one.options["axes"]
        if together and widths[0] != widths[1]:
            raise SubjectError(
                f"{one.name} normalises {widths[0]} channels together in the original, {widths[1]} in the "
                "reduced network: mean and variance are other functions of those that are left, so this is no "
                "lumping of the original. What can be explained is what was cut between such steps: hidden "
                "units of dense parts, pairs and values inside heads"
            )


def _alike(one: Node, two: Node) -> bool:
    """Whether two nodes compute the same, up to their weights."""
    return all(
        _equal(getattr(one, field.name), getattr(two, field.name))
        for field in fields(one)
        if field.name not in _OWN
    )


def _equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _described(node: Node) -> str:
    if isinstance(node, Affine):
        return f"a layer with weights of shape {_times(node.weight.shape)}"
    named = [
        (field.name, getattr(node, field.name)) for field in fields(node) if field.name not in _OWN
    ]
    shown = [f"{name} {value}" for name, value in named if _is_plain(value) and value]
    arrays = [
        array
        for _, value in named
        for array in (value if isinstance(value, tuple) else (value,))
        if isinstance(array, np.ndarray)
    ]
    sizes = ["of " + " and ".join(_times(array.shape) for array in arrays)] if arrays else []
    return " ".join([type(node).__name__, *shown, *sizes])


def _is_plain(value: object) -> bool:
    """Whether a value is short when it is printed: numbers and words, but no arrays."""
    if isinstance(value, dict):
        value = tuple(value.values())
    return (
        all(map(_is_plain, value))
        if isinstance(value, tuple)
        else not isinstance(value, np.ndarray)
    )


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _differ(how: str) -> SubjectError:
    return SubjectError(
        "the two networks are not one computation with other widths, so no unit of one stands for a unit of "
        f"the other: {how}"
    )
