"""What a reader does after reading: fold what folds, drop what does nothing, find the chain.

Batch normalisation, and multiplication by or addition of constants, arrive as a scale (a factor and a
constant per unit). A scale is folded into the layer before it, or else into the one after it, where that
layer does not pad with zeros:

    s∘(W·h + b) + t = (diag(s)·W)·h + (s∘b + t),        W·(s∘h + t) + b = (W·diag(s))·h + (W·t + b).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from symlump.network.graphs.graph import NetworkGraph
from symlump.network.graphs.nodes import Affine, Apply, Flatten, Node, Select, Squeeze
from symlump.network.network import Layer, Network
from symlump.ode.exact import FloatArray


def simplified(graph: NetworkGraph, fold: bool = True) -> NetworkGraph:
    """The same function with scales folded, and without nodes that do nothing or that nobody reads.

    Parameters
    ----------
    graph : NetworkGraph
    fold : bool
        False leaves all layers as they are.

    Examples
    --------
    >>> from symlump.network.graphs.nodes import Input
    >>> scale = Affine("norm", ("fc",), np.array([[2.0]]), np.array([1.0]), depthwise=True)
    >>> graph = NetworkGraph(
    ...     (Input("x", (), (1,)), Affine("fc", ("x",), np.array([[3.0]])), scale), ("norm",))
    >>> [(layer.name, layer.weight.tolist(), layer.bias.tolist()) for layer in simplified(graph).layers]
    [('fc', [[6.0]], [1.0])]
    """
    nodes: dict[str, Node] = {}
    instead: dict[str, str] = {}
    needed = _needed(graph)
    readers = Counter(name for node in graph.nodes if node.name in needed for name in node.inputs)
    readers.update(graph.outputs)
    for node in graph.nodes:
        if node.name not in needed:
            continue
        node = replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        before = nodes[node.inputs[0]] if node.inputs else node
        sole = readers[before.name] == 1
        kept: Node = node
        if _is_idle(node, graph):
            instead[node.name] = before.name
            readers[before.name] += readers[node.name] - 1
            continue
        if fold and isinstance(node, Affine) and isinstance(before, Affine) and sole:
            if node.is_scale:
                nodes[before.name] = _scaled_after(before, node)
                instead[node.name] = before.name
                readers[before.name] = readers[node.name]
                continue
            padded = before.bias is not None and any(node.padding)
            if before.is_scale and not node.depthwise and not padded:
                kept = _scaled_before(before, node)
                del nodes[before.name]
        elif isinstance(node, Select) and isinstance(before, Select):
            kept = replace(node, inputs=before.inputs, index=before.index[node.index])
        nodes[kept.name] = kept
    outputs = tuple(instead.get(name, name) for name in graph.outputs)
    small = NetworkGraph(tuple(nodes.values()), outputs, graph.dtype)
    needed = _needed(small)
    if len(needed) == len(nodes):
        return small
    return replace(small, nodes=tuple(node for node in small.nodes if node.name in needed))


def _needed(graph: NetworkGraph) -> set[str]:
    """The inputs, and what the outputs depend on."""
    needed = {*graph.outputs, *(node.name for node in graph.inputs)}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    return needed


def _is_idle(node: Node, graph: NetworkGraph) -> bool:
    match node:
        case Apply(activation=phi):
            return phi.name == "identity"
        case Flatten():
            return graph.shapes[node.name] == graph.shapes[node.inputs[0]]
        case Select(index=index):
            return np.array_equal(index, np.arange(graph.shapes[node.inputs[0]][0]))
    return False


def _scaled_after(layer: Affine, scale: Affine) -> Affine:
    factor = scale.weight[:, 0]
    weight = layer.weight * factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = None if layer.bias is None else layer.bias * factor
    return replace(layer, weight=weight, bias=_sum(bias, scale.bias))


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


def as_chain(graph: NetworkGraph) -> tuple[Network, bool, bool] | None:
    """The graph as a chain of dense layers, if it is one.

    Returns
    -------
    (network, flatten_before, flatten_after) or None
        Whether the input must be flattened first, and whether the one output loses its axis.

    Examples
    --------
    >>> from symlump.network.graphs.nodes import Input
    >>> graph = NetworkGraph(
    ...     (Input("x", (), (2, 1)), Flatten("flat", ("x",)), Affine("fc", ("flat",), np.ones((1, 2)))),
    ...     ("fc",))
    >>> as_chain(graph)
    (<Network: 2–1, linear, 2 parameters>, True, False)
    """
    rest = list(graph.nodes)
    in_line = all(b.inputs == (a.name,) for a, b in zip(rest, rest[1:], strict=False))
    if not in_line or len(graph.inputs) != 1 or graph.outputs != (rest[-1].name,):
        return None
    rest.pop(0)
    before = bool(rest) and isinstance(rest[0], Flatten)
    after = bool(rest) and isinstance(rest[-1], Squeeze)
    rest = rest[before : len(rest) - after]
    layers: list[Layer] = []
    may_bend = False
    for node in rest:
        if isinstance(node, Affine) and node.is_dense:
            layers.append(Layer(node.weight, node.bias))
            may_bend = True
        elif isinstance(node, Apply) and may_bend:
            layers[-1] = replace(layers[-1], activation=node.activation)
            may_bend = False
        else:
            return None
    if not layers:
        return None
    return Network(tuple(layers), graph.dtype), before, after
