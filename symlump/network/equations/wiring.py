"""Who reads whose units, and how: the variables of a network's influence form, without its terms.

One variable per unit of every node that makes new values (inputs, layers, sums and products), one for the
constant 1, and one symbol for each way in which a node reads the same units, where there is more than one:
each offset of a kernel, each position of a value that was flattened, each route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.equations.rearranged import parts_of
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
)
from symlump.network.step_nodes import Attention, ByPlace, Softmax, passes_units
from symlump.ode.exact import IntArray

#: Nodes beside :func:`passes_units` whose values have the units of others.
_PASSING = (Concatenate, Flatten, GroupSum, Select, ByPlace, Softmax)
#: Nodes beside it, and what is made of parts, that do not mix the units they read.
_UNIT_WISE = (Input, Affine, Combine, Attention, Concatenate, Flatten, GroupSum, Select)


@dataclass(frozen=True, eq=False)
class Reading:
    """How a node reads one of its inputs.

    Parameters
    ----------
    source : ndarray of int64, shape (channels,)
        The variable behind each channel of the input.
    symbols : ndarray of int64, shape (channels, offsets)
        The symbol under which each offset of each channel is read; −1 where none is needed.
    """

    source: IntArray
    symbols: IntArray


@dataclass(frozen=True, eq=False)
class Wires:
    """What is behind each channel of a value: a variable, the route to it, and the position in it."""

    source: IntArray
    route: IntArray
    position: IntArray

    def take(self, index: IntArray) -> Wires:
        """Some of the channels."""
        return Wires(self.source[index], self.route[index], self.position[index])


class Wiring:
    """The variables, and how each node reads its inputs.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    names : list of str
    kinds, nodes, units : ndarray
        Of each variable; see :class:`symlump.network.equations.network_ode.NetworkODE`.
    own : dict
        The variables of each node's units, by its name; with ``.pairs`` and ``.heads`` after the name of an
        attention, those of the products of queries and keys, and of the heads that they add up to.
    wires : dict
        What is behind each channel of each value.
    readings : dict
        For each layer, sum, product and attention how it reads each of its inputs.
    symbols : dict
        The symbols of each of these.
    one : ndarray of int64, shape (1,)
        The variable of the constant.

    Examples
    --------
    >>> wiring = Wiring(Network.dense([[[1.0], [2.0]], [[3.0, 4.0]]]))
    >>> wiring.names, wiring.own["layers.0"].tolist()
    (['u1', 'h1_1', 'h1_2', 'y1', 'one'], [1, 2])
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.names: list[str] = []
        self._pieces: list[tuple[str, int, int]] = []
        self.own: dict[str, IntArray] = {}
        self._routes: dict[tuple[int, str], int] = {}
        self.wires: dict[str, Wires] = {}
        for number, node in enumerate(network.nodes):
            self.wires[node.name] = self._pass(number, node)
        described = len(self._pieces)
        self.kinds, self.nodes, self.units = _describe(self._pieces)
        self._fix()
        self._name()
        self.one = self._variables("one", -1, ["one"])
        self.first_symbol = len(self.names)
        self.symbols: dict[str, IntArray] = {}
        self.readings: dict[str, tuple[Reading, ...]] = {}
        for number, node in enumerate(network.nodes):
            if isinstance(node, Affine):
                offsets = int(np.prod(node.kernel, dtype=np.int64))
                self._read(number, node.name, [self.wires[node.inputs[0]]], offsets)
            elif isinstance(node, Combine):
                self._read(number, node.name, self._spread(node), 1, node.operation == "multiply")
            elif (parts := parts_of(self.network, node)) is not None:
                wires = self.wires[node.inputs[0]].take(parts.ravel())
                at = np.tile(np.arange(parts.shape[1]), len(parts))
                placed = replace(wires, position=wires.position * parts.shape[1] + at)
                self._read(number, node.name, [placed], 1)
            elif isinstance(node, Attention):
                q, k, v = (self.wires[name] for name in node.inputs)
                nothing = np.zeros(node.heads.size, dtype=np.int64)
                mixing = Wires(self.own[f"{node.name}.heads"][node.heads], nothing, nothing)
                self._read(number, f"{node.name}.pairs", [q, k], 1, apart=True)
                self.symbols[f"{node.name}.heads"] = np.empty(0, dtype=np.int64)
                self._read(number, node.name, [mixing, v], 1, apart=True)
        rest = _describe(self._pieces[described:])
        self.kinds = np.concatenate([self.kinds, rest[0]])
        self.nodes = np.concatenate([self.nodes, rest[1]])
        self.units = np.concatenate([self.units, rest[2]])

    def _variables(self, kind: str, number: int, names: list[str]) -> IntArray:
        first = len(self.names)
        self.names += names
        self._pieces.append((kind, number, len(names)))
        return np.arange(first, len(self.names))

    def _pass(self, number: int, node: Node) -> Wires:
        """The wires of a node's value."""
        shape = self.network.shapes[node.name]
        parts = parts_of(self.network, node)
        if not passes_units(node) and not isinstance(node, _PASSING):
            own_units = isinstance(node, Affine | Combine | Attention) or parts is not None
            kind = "unit" if own_units else "input" if isinstance(node, Input) else "output"
            width = shape[0] if shape else 1
            own = self._variables(kind, number, [""] * width)
            self.own[node.name] = own
            nothing = np.zeros(width, dtype=np.int64)
            if isinstance(node, Attention):
                # Products of queries and keys, and the heads that they add up to. A mask tells heads apart.
                alike = node.mask is None or len(node.mask) == 1
                for part, inner, count in (
                    ("pairs", "pair", node.pairs.size),
                    ("heads", "head" if alike else "output", node.count),
                ):
                    names = [""] * count
                    self.own[f"{node.name}.{part}"] = self._variables(inner, number, names)
            return Wires(own, nothing, nothing)
        given = [self.wires[name] for name in node.inputs]
        first = given[0]
        match node:
            case Concatenate():
                arrays = [(w.source, w.route, w.position) for w in given]
                return Wires(*(np.concatenate(own) for own in zip(*arrays, strict=True)))
            case Select(index=index):
                return first.take(index)
            case Flatten():
                before = self.network.shapes[node.inputs[0]]
                places = shape[0] // before[0]
                if places == 1:
                    return first
                position = first.position.repeat(places) * places
                position += np.tile(np.arange(places), before[0])
                return Wires(first.source.repeat(places), first.route.repeat(places), position)
            case GroupSum():
                raise NetworkError(
                    f"{node.name} sums units in groups; a network reduced on='state' is not encoded again"
                )
        # All else treats units alike, and is a step of the route to them.
        earlier, at = _distinct_lines(first.route[:, None])
        steps = [
            self._routes.setdefault((route, node.name), len(self._routes) + 1)
            for route in earlier[:, 0].tolist()
        ]
        return Wires(first.source, np.array(steps, dtype=np.int64)[at], first.position)

    def _fix(self) -> None:
        """Units of outputs, and those read by what mixes units, stay alone."""
        fixed = [*self.network.outputs]
        for node in self.network.nodes:
            known = isinstance(node, _UNIT_WISE) or parts_of(self.network, node) is not None
            if not known and not passes_units(node):
                fixed += node.inputs
        for name in fixed:
            source = self.wires[name].source
            self.kinds[source[self.kinds[source] == "unit"]] = "output"

    def _name(self) -> None:
        """Inputs u, units h with the number of their node, y for the units of a single output."""
        inputs = [node.name for node in self.network.inputs]
        read = np.zeros(len(self.names), dtype=bool)  # by an output
        for name in self.network.outputs:
            read[self.wires[name].source] = True
        ends = {
            name
            for name, own in self.own.items()
            if read[own].all() and self.kinds[own[0]] != "input"
        }
        number = 0
        for name, own in self.own.items():
            if name in inputs:
                stem = "u" if len(inputs) == 1 else f"u{inputs.index(name) + 1}_"
            elif name in ends and len(ends) == 1:
                stem = "y"
            else:
                number += 1
                stem = f"h{number}_"
            self.names[own[0] : own[-1] + 1] = [f"{stem}{i + 1}" for i in range(own.size)]

    def _spread(self, node: Combine) -> list[Wires]:
        """The wires of the branches, single channels repeated."""
        width = self.own[node.name].size
        inputs = [self.wires[name] for name in node.inputs]
        return [
            w.take(np.zeros(width, dtype=np.int64)) if w.source.size == 1 else w for w in inputs
        ]

    def _read(
        self, number: int, name: str, inputs: list[Wires], offsets: int, apart: bool = False
    ) -> None:
        """Symbols for every way in which a node reads: route, position, offset (and input, if apart)."""
        keys: list[IntArray] = []
        for branch, wires in enumerate(inputs):
            key = np.empty((wires.source.size, offsets, 4), dtype=np.int64)
            key[..., 0] = branch if apart else 0
            key[..., 1] = wires.route[:, None]
            key[..., 2] = wires.position[:, None]
            key[..., 3] = np.arange(offsets)
            keys.append(key.reshape(-1, 4))
        everything = np.concatenate(keys)
        source = np.concatenate([wires.source.repeat(offsets) for wires in inputs])
        everything[:, 1] = self._rank_of_route(source, everything[:, 1])
        ways, which = _distinct_lines(everything)
        own = np.empty(0, dtype=np.int64)
        symbols = np.full(1, -1, dtype=np.int64)
        if len(ways) > 1:
            inner = "p" if name not in self.network.named else ""  # of the pairs of an attention
            names = [f"s{number}{inner}_{k + 1}" for k in range(len(ways))]
            own = symbols = self._variables("symbol", number, names)
        self.symbols[name] = own
        ends = np.cumsum([0, *(len(key) for key in keys)])
        self.readings[name] = tuple(
            Reading(wires.source, symbols[which[a:b]].reshape(-1, offsets))
            for wires, a, b in zip(inputs, ends[:-1], ends[1:], strict=True)
        )

    def _rank_of_route(self, source: IntArray, route: IntArray) -> IntArray:
        """Number the routes to the units of one node 0, 1, …: a single route needs no symbol of its own."""
        pairs, which = _distinct_lines(np.stack([self.nodes[source], route], axis=1))
        first = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        rank = np.arange(len(pairs)) - np.repeat(first, np.diff([*first, len(pairs)]))
        return np.asarray(rank[which], dtype=np.int64)


def _describe(
    pieces: Sequence[tuple[str, int, int]],
) -> tuple[npt.NDArray[np.str_], IntArray, IntArray]:
    """Kind, node and number of each variable; pieces are a kind, a node and how many."""
    kinds, nodes, counts = (np.array(part) for part in zip(*pieces, strict=True))
    units = np.arange(counts.sum()) - (np.cumsum(counts) - counts).repeat(counts)
    return kinds.astype("<U6").repeat(counts), nodes.repeat(counts), units


def _distinct_lines(lines: IntArray) -> tuple[IntArray, IntArray]:
    """The different lines in ascending order, and which of them each is.

    Columns that do not vary are not compared: numpy sorts lines of several numbers much slower than numbers.
    """
    varying = (lines != lines[0]).any(axis=0)
    if not varying.any():
        return lines[:1], np.zeros(len(lines), dtype=np.int64)
    if varying.sum() == 1:
        _, first, which = np.unique(lines[:, varying], return_index=True, return_inverse=True)
    else:
        _, first, which = np.unique(
            lines[:, varying], axis=0, return_index=True, return_inverse=True
        )
    return lines[first], which.ravel()
