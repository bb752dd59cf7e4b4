"""Whole numbers in ONNX files: inputs keep their type, and become real where a step computes with them.

A network holds all its values as real numbers. Half precision holds whole ones up to 2048 only, fewer than a
vocabulary has tokens, so what only moves numbers, and a table that is read by them, take them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from symlump.network.network import Network
from symlump.network.nodes import Flatten, Input, Node, Select, Shape, Squeeze, Unsqueeze, take_name
from symlump.network.step_nodes import Operation, Reorder

_MOVES = (Flatten, Squeeze, Unsqueeze, Select, Reorder)


@dataclass(frozen=True, eq=False)
class Real(Node):
    """Whole numbers as real ones, only where a network is written."""

    def shape(self, *given: Shape) -> Shape:
        """The shape that was given."""
        return given[0]


def with_real_values(network: Network) -> Network:
    """The network with a step wherever whole numbers become real.

    Examples
    --------
    >>> import numpy as np
    >>> from symlump.network.nodes import Combine
    >>> x, table = Input("x", (), (3,), 5), np.ones((5, 2))
    >>> rows = Operation("rows", ("x",), "embed", {}, (table,))
    >>> net = Network((x, rows, Combine("twice", ("x", "x"), "add")), ("rows", "twice"))
    >>> [(type(node).__name__, node.inputs) for node in with_real_values(net).nodes]
    [('Input', ()), ('Operation', ('x',)), ('Real', ('x',)), ('Combine', ('x.real', 'x.real'))]
    """
    whole: set[str] = set()
    real: dict[str, str] = {}
    taken = {*network.shapes}
    nodes: list[Node] = []

    def as_real(name: str) -> str:
        if name in whole and name not in real:
            real[name] = take_name(f"{name}.real", taken)
            nodes.append(Real(real[name], (name,)))
        return real.get(name, name)

    for node in network.nodes:
        looks_up = isinstance(node, Operation) and node.kind == "embed"
        moves = isinstance(node, _MOVES) and whole.issuperset(node.inputs)
        if moves or isinstance(node, Input) and node.values:
            whole.add(node.name)
        elif not looks_up:
            node = replace(node, inputs=tuple(map(as_real, node.inputs)))
        nodes.append(node)
    outputs = tuple(map(as_real, network.outputs))
    return replace(network, nodes=tuple(nodes), outputs=outputs) if whole else network
