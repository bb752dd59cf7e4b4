"""What reading and writing of recurrent ONNX graphs share: constants, ranks, and what a graph needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.network.exchange.onnx_constants import constant


def constant_of(operator: str, x: list[Any], a: dict[str, Any]) -> Any:
    """As :func:`constant`, where a size that is not known is nan."""
    unknown = [isinstance(v, np.ndarray) and v.dtype.kind == "f" and np.isnan(v).any() for v in x]
    if not any(unknown):
        return constant(operator, x, a)
    if operator == "Cast":
        return x[0]
    first = operator in ("Slice", "Gather", "Reshape", "Squeeze", "Unsqueeze")
    if operator in ("ConstantOfShape", "Expand") or (first and any(unknown[1:])):
        return None
    return constant(operator, x, a)


def inner_names(node: Any) -> list[str]:
    """What the graphs inside a node read."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        for a in waiting.pop().attribute:
            for graph in [a.g] if a.HasField("g") else a.graphs:
                found += [name for inner in graph.node for name in inner.input]
                found += [value.name for value in graph.output]
                waiting += graph.node
    return found


def ranks_of(onnx: Any, model: Any) -> dict[str, int]:
    """How many axes values have, where onnx finds it out."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # of the library, on what is not well formed; then no rank is known
        graph = model.graph
    values = [*graph.input, *graph.value_info, *graph.output]
    typed = [v for v in values if v.type.tensor_type.HasField("shape")]
    return {v.name: len(v.type.tensor_type.shape.dim) for v in typed}


def drop_unneeded(graph: Any) -> None:
    """Nodes and constants that no output depends on go."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(inner_names(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    held = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(held)
