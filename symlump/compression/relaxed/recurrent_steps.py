"""Recurrent cells in the terms of feed-forward networks: two steps, in which every weight is used twice.

The state before a step and the state after it have the same units, since the same hidden weights read both; so
a map of units that is the same in all layers which share weights is the same at every step. What holds of two
steps for such a map then holds of any number of them, by induction: the second step is the general one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from symlump.errors import SubjectError
from symlump.network.activations.table import ACTIVATIONS
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Concatenate, Input, Node
from symlump.network.precision import Dtype
from symlump.network.recurrent.cells import GATES
from symlump.network.recurrent.recurrent_network import CellNode, RecurrentNetwork


def refuse_other_cells(original: RecurrentNetwork, reduced: RecurrentNetwork) -> None:
    """Raise unless both have the same cells and readers, up to their widths.

    Raises
    ------
    MethodError
        With what either has.
    """
    one, two = (
        [(n.name, n.cell.kind, n.reads) for n in f.cells] + [(r.name, r.reads) for r in f.readers]
        for f in (original, reduced)
    )
    if one != two:
        raise SubjectError(
            "the two networks have other cells, or others read them, so no unit of one stands for a unit of "
            f"the other: {original!r} and {reduced!r}"
        )


def two_steps(network: RecurrentNetwork) -> Network:
    """The network of two steps, its start included.

    Examples
    --------
    >>> from symlump.network.recurrent.reading import read_recurrent
    >>> from torch import nn
    >>> steps = two_steps(read_recurrent(nn.RNN(3, 5)))
    >>> {name: [user.name for user in users] for name, users in steps.sharing.items()}
    {'l0.x.h': ['l0.x.h.1', 'l0.x.h.2'], 'l0.h.h': ['l0.h.h.1', 'l0.h.h.2']}
    """
    nodes: list[Node] = []
    made: set[str] = set()
    for step in (1, 2):
        for node in network.cells:
            source = _source(nodes, made, [f"{name}.h{step}" for name in node.reads])
            if not node.reads:
                source = f"{node.module}.u{step}"
                if source not in made:
                    nodes.append(Input(source, (), (node.cell.inputs,)))
                    made.add(source)
            if step == 1:
                nodes += _starts(node, source)
            nodes += _step(node, source, step)
    outputs = []
    for reader in network.readers:
        source = _source(nodes, made, [f"{name}.h2" for name in reader.reads])
        nodes.append(Affine(reader.name, (source,), reader.weight, reader.bias))
        outputs.append(reader.name)
    for node in network.cells:  # states that leave the model, or that nothing reads
        nodes.append(
            Affine(f"{node.name}.end", (f"{node.name}.h2",), np.zeros((1, node.cell.units)))
        )
        outputs.append(f"{node.name}.end")
    return Network(tuple(nodes), tuple(outputs), cast(Dtype, network.dtype))


def _source(nodes: list[Node], made: set[str], names: Sequence[str]) -> str:
    """The units of some cells, side by side."""
    if len(names) < 2:
        return names[0] if names else ""
    name = " ".join(names)
    if name not in made:
        nodes.append(Concatenate(name, tuple(names)))
        made.add(name)
    return name


def _starts(node: CellNode, source: str) -> Iterator[Node]:
    cell = node.cell
    for k, letter in enumerate(cell.states):
        start = None if cell.start is None else cell.start[k]
        yield Affine(
            f"{node.name}.{letter}0", (source,), np.zeros((cell.units, cell.inputs)), start
        )


def _step(node: CellNode, source: str, step: int) -> Iterator[Node]:
    cell, name = node.cell, node.name
    before, after = f"{name}.h{step - 1}", f"{name}.h{step}"

    def read(gate: str, what: str, value: str) -> Affine:
        number = GATES[cell.kind].index(gate)
        weight = cell.input_weight if what == "x" else cell.hidden_weight
        biases = cell.input_bias if what == "x" else cell.hidden_bias
        shared = f"{name}.{what}.{gate}"
        bias = None if biases is None else biases[number]
        return Affine(
            f"{shared}.{step}", (value,), weight[number], bias,
            weight_name=shared, bias_name="" if bias is None else shared,
        )  # fmt: skip

    def combined(what: str, operation: str, *values: str) -> Combine:
        return Combine(f"{name}.{what}.{step}", values, "add" if operation == "+" else "multiply")

    def applied(what: str, phi: str, value: str, called: str = "") -> Apply:
        return Apply(called or f"{name}.{what}.{step}", (value,), ACTIVATIONS[phi])

    def here(what: str) -> str:
        return f"{name}.{what}.{step}"

    if cell.kind == "tanh" or cell.kind == "relu":
        yield from (read("h", "x", source), read("h", "h", before))
        yield combined("sum", "+", here("x.h"), here("h.h"))
        yield applied("", cell.kind, here("sum"), after)
        return
    plain = [gate for gate in GATES[cell.kind] if gate != "n"]
    for gate in plain:
        yield from (read(gate, "x", source), read(gate, "h", before))
        yield combined(f"{gate}.sum", "+", here(f"x.{gate}"), here(f"h.{gate}"))
        yield applied(gate, "tanh" if gate == "g" else "sigmoid", here(f"{gate}.sum"))
    if cell.kind == "lstm":
        yield combined("kept", "*", here("f"), f"{name}.c{step - 1}")
        yield combined("let in", "*", here("i"), here("g"))
        yield Combine(f"{name}.c{step}", (here("kept"), here("let in")), "add")
        yield applied("shown", "tanh", f"{name}.c{step}")
        yield Combine(after, (here("o"), here("shown")), "multiply")
        return
    yield read("n", "x", source)
    if cell.kind == "gru":
        yield read("n", "h", before)
        yield combined("seen", "*", here("r"), here("h.n"))
    else:
        yield combined("seen", "*", here("r"), before)
        yield read("n", "h", here("seen"))
    yield combined("n.sum", "+", here("x.n"), here("seen" if cell.kind == "gru" else "h.n"))
    yield applied("n", "tanh", here("n.sum"))
    ones = np.ones((cell.units, 1))
    yield Affine(here("1 - z"), (here("z"),), -ones, ones[:, 0], depthwise=True)
    yield combined("new", "*", here("1 - z"), here("n"))
    yield combined("kept", "*", here("z"), before)
    yield Combine(after, (here("new"), here("kept")), "add")
