"""A network graph as a polynomial differential equation: its influence form.

One variable m per unit of every node that makes new values (inputs, layers, sums and products), and
one for the constant 1. Activations, pooling and flattening pass units through, for they treat all units
alike. A unit's row says what it reads:

    m_j' = Σ_i Σ_k w_ijk·s_k·m_i,        m_one' = Σ_i b_i·m_i,        outputs' = 0.

The s_k are symbols for *how* unit i reads unit j: one for each offset of a convolution's kernel, for
each position of a value that was flattened, and for each route, where a node reads the same units twice
(once through an activation, once without). They are parameters, so coefficients are compared symbol by
symbol, and units that forward equivalence merges compute the same function of the input. A sum has a
row of ones: its units merge exactly where those of all its branches do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError
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
from symlump.network.term_blocks import TermBlocks
from symlump.ode.exact import IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE


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


@dataclass(frozen=True, eq=False, repr=False)
class GraphODE(PolynomialODE):
    """The differential equation of a network graph; knows which variable is which.

    ``kinds[v]`` is "input", "unit", "fixed" (a unit that must stay alone: of an output, or read by something
    that mixes units), "one" or "symbol"; ``nodes[v]`` is the position in ``graph.nodes`` of the node it belongs
    to (of the reader, for symbols), ``units[v]`` its number there.
    """

    graph: NetworkGraph = field(kw_only=True)
    kinds: npt.NDArray[np.str_] = field(kw_only=True)
    nodes: IntArray = field(kw_only=True)
    units: IntArray = field(kw_only=True)
    readings: dict[str, tuple[Reading, ...]] = field(kw_only=True)

    @property
    def canonical_order(self) -> IntArray | None:
        """None: the order of a network's variables is its own, and their names follow it."""
        return None

    def initial_labels(self, direction: str) -> IntArray:
        """Units by node; inputs, fixed units, symbols and the constant alone."""
        alone = np.arange(len(self)) + len(self.graph.nodes)
        return np.where(self.kinds == "unit", self.nodes, alone)

    def where(self, name: str) -> IntArray:
        """Positions of the variables of a node's units."""
        start, stop = self._places[name]
        return np.arange(start, stop)

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """Where the units of each node begin and end; they stand in the order of the nodes."""
        units = self.nodes[: np.flatnonzero(self.kinds == "one")[0]]
        ends = np.searchsorted(units, np.arange(len(self.graph.nodes) + 1)).tolist()
        return {n.name: (ends[i], ends[i + 1]) for i, n in enumerate(self.graph.nodes)}


def encode_graph(graph: NetworkGraph, form: str = "influence") -> GraphODE:
    """Write a network graph as a polynomial differential equation.

    Cost: linear in the number of weights; arrays only.

    Parameters
    ----------
    graph : NetworkGraph
    form : "influence"

    Raises
    ------
    MethodError
        If another form is asked for.

    Examples
    --------
    >>> graph = NetworkGraph(
    ...     (Input("x", (), (2,)), Affine("fc", ("x",), np.array([[1.0, 2.0], [3.0, 0.0]])),
    ...      Combine("sum", ("fc", "x"), "add")), ("sum",))
    >>> print(encode_graph(graph))
    u1'   = h1_1 + 3*h1_2 + y1
    u2'   = 2*h1_1 + y2
    h1_1' = y1
    h1_2' = y2
    y1'   = 0
    y2'   = 0
    one'  = 0
    """
    if form != "influence":
        raise MethodError(
            f"a network graph has the form 'influence' only; {form!r} is for chains of dense layers"
        )
    return _Encoder(graph).ode


class _Encoder:
    """Variables first, then the terms of each reader."""

    def __init__(self, graph: NetworkGraph) -> None:
        self._graph = graph
        self._names: list[str] = []
        self._kinds: list[str] = []
        self._nodes: list[int] = []
        self._units: list[int] = []
        self._own: dict[str, IntArray] = {}
        self._routes: dict[tuple[int, str], int] = {}
        self._wires: dict[str, Wires] = {}
        for number, node in enumerate(graph.nodes):
            self._wires[node.name] = self._pass(number, node)
        self._fix()
        self._name()
        self._one = self._variables("one", -1, ["one"])
        self._first_symbol = len(self._names)
        self._symbols_of: dict[str, IntArray] = {}
        self._readings: dict[str, tuple[Reading, ...]] = {}
        for number, node in enumerate(graph.nodes):
            if isinstance(node, Affine):
                offsets = int(np.prod(node.kernel, dtype=np.int64))
                self._read(number, node, [self._wires[node.inputs[0]]], offsets)
            elif isinstance(node, Combine):
                self._read(number, node, self._spread(node), 1, node.operation == "multiply")
        self._terms = TermBlocks(self._table())
        for node in graph.nodes:
            if isinstance(node, Affine):
                self._affine(node)
            elif isinstance(node, Combine):
                self._combine(node)
        for layer in graph.layers:
            if layer.bias is not None:
                self._terms.add(self._one, self._alone[self._own[layer.name]], layer.bias)
        self.ode = self._build()

    def _variables(self, kind: str, number: int, names: list[str]) -> IntArray:
        first = len(self._names)
        self._names += names
        self._kinds += [kind] * len(names)
        self._nodes += [number] * len(names)
        self._units += range(len(names))
        return np.arange(first, len(self._names))

    def _pass(self, number: int, node: Node) -> Wires:
        """The wires of a node's value."""
        shape = self._graph.shapes[node.name]
        if isinstance(node, Input | Affine | Combine | Untouched):
            kind = {Input: "input", Untouched: "fixed"}.get(type(node), "unit")
            width = shape[0] if shape else 1
            own = self._variables(kind, number, [""] * width)
            self._own[node.name] = own
            nothing = np.zeros(width, dtype=np.int64)
            return Wires(own, nothing, nothing)
        given = [self._wires[name] for name in node.inputs]
        first = given[0]
        match node:
            case Concatenate():
                parts = [(w.source, w.route, w.position) for w in given]
                return Wires(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
            case Select(index=index):
                return first.take(index)
            case Flatten():
                before = self._graph.shapes[node.inputs[0]]
                places = shape[0] // before[0]
                if places == 1:
                    return first
                position = first.position.repeat(places) * places
                position += np.tile(np.arange(places), before[0])
                return Wires(first.source.repeat(places), first.route.repeat(places), position)
        # All else treats units alike, and is a step of the route to them.
        _, at = np.unique(first.route, return_inverse=True)
        steps = [
            self._routes.setdefault((int(route), node.name), len(self._routes) + 1)
            for route in np.unique(first.route)
        ]
        return Wires(first.source, np.array(steps, dtype=np.int64)[at.ravel()], first.position)

    def _fix(self) -> None:
        """Units of outputs, and those read by what mixes units, stay alone."""
        kinds = np.array(self._kinds, dtype="<U6")
        fixed = [*self._graph.outputs]
        for node in self._graph.nodes:
            if isinstance(node, Softmax | Untouched):
                fixed += node.inputs
        for name in fixed:
            source = self._wires[name].source
            kinds[source[kinds[source] == "unit"]] = "fixed"
        self._kinds = kinds.tolist()

    def _name(self) -> None:
        """Inputs u, units h with the number of their node, y for the units of a single output."""
        inputs = [node.name for node in self._graph.inputs]
        ends = {name for name, own in self._own.items() if self._is_output(own)}
        number = 0
        for name, own in self._own.items():
            if name in inputs:
                stem = "u" if len(inputs) == 1 else f"u{inputs.index(name) + 1}_"
            elif name in ends and len(ends) == 1:
                stem = "y"
            else:
                number += 1
                stem = f"h{number}_"
            for i, variable in enumerate(own.tolist()):
                self._names[variable] = f"{stem}{i + 1}"

    def _is_output(self, own: IntArray) -> bool:
        wires = [self._wires[name].source for name in self._graph.outputs]
        return bool(np.isin(own, np.concatenate(wires)).all()) and self._kinds[own[0]] != "input"

    def _spread(self, node: Combine) -> list[Wires]:
        """The wires of the branches, single channels repeated."""
        width = self._own[node.name].size
        inputs = [self._wires[name] for name in node.inputs]
        return [
            w.take(np.zeros(width, dtype=np.int64)) if w.source.size == 1 else w for w in inputs
        ]

    def _read(
        self, number: int, node: Node, inputs: list[Wires], offsets: int, apart: bool = False
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
        ways, which = np.unique(everything, axis=0, return_inverse=True)
        own = np.empty(0, dtype=np.int64)
        symbols = np.full(1, -1, dtype=np.int64)
        if len(ways) > 1:
            names = [f"s{number}_{k + 1}" for k in range(len(ways))]
            own = symbols = self._variables("symbol", number, names)
        self._symbols_of[node.name] = own
        ends = np.cumsum([0, *(len(key) for key in keys)])
        self._readings[node.name] = tuple(
            Reading(wires.source, symbols[which.ravel()[a:b]].reshape(-1, offsets))
            for wires, a, b in zip(inputs, ends[:-1], ends[1:], strict=True)
        )

    def _rank_of_route(self, source: IntArray, route: IntArray) -> IntArray:
        """Number the routes to the units of one node 0, 1, …: a single route needs no symbol of its own."""
        node = np.array(self._nodes, dtype=np.int64)[source]
        pairs, which = np.unique(np.stack([node, route], axis=1), axis=0, return_inverse=True)
        first = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        rank = np.arange(len(pairs)) - np.repeat(first, np.diff([*first, len(pairs)]))
        return np.asarray(rank[which.ravel()], dtype=np.int64)

    def _table(self) -> Monomials:
        """All monomials that can occur: each unit alone, then each unit with each symbol of its node.

        So a monomial's place is known without a search; those that do not occur are dropped in the end.
        """
        nodes = [(self._own[name], symbols) for name, symbols in self._symbols_of.items()]
        empty = np.empty(0, dtype=np.int64)
        linear = np.concatenate([empty, *(own for own, _ in nodes)])
        unit = np.concatenate([empty, *(own.repeat(symbols.size) for own, symbols in nodes)])
        symbol = np.concatenate([empty, *(np.tile(symbols, own.size) for own, symbols in nodes)])
        self._alone = np.zeros(len(self._names), dtype=np.int64)
        self._alone[linear] = np.arange(linear.size)
        self._paired = np.zeros(len(self._names), dtype=np.int64)
        first = linear.size
        for own, symbols in nodes:
            self._paired[own] = first + symbols.size * np.arange(own.size)
            first += symbols.size * own.size
        lengths = np.repeat([0, 1, 2], [1, linear.size, unit.size])
        variables = np.concatenate([linear, np.stack([unit, symbol], axis=1).ravel()])
        return Monomials(np.cumsum(lengths), variables, np.ones_like(variables))

    def _columns(self, name: str, symbols: IntArray) -> tuple[IntArray, int]:
        """For the first unit of a node, the monomial under each symbol (one, if there are none); and the step
        to the next unit.
        """
        first, own = self._own[name][0], self._symbols_of[name]
        if not own.size:
            return self._alone[first].reshape(1, 1), 1
        return self._paired[first] + symbols - own[0], own.size

    def _affine(self, node: Affine) -> None:
        (reading,) = self._readings[node.name]
        column, step = self._columns(node.name, reading.symbols)
        unit = step * np.arange(node.units)
        weight = node.weight.reshape(*node.weight.shape[:2], -1)
        if node.depthwise:
            read = np.arange(node.units) // (node.units // reading.source.size)
            columns = column[read % len(column)] + unit[:, None]
            self._terms.add(reading.source[read][:, None], columns, weight[:, 0])
        else:  # by equation first: that is the order of a system's terms
            columns = column[:, None, :] + unit[:, None]
            self._terms.add(reading.source[:, None, None], columns, weight.transpose(1, 0, 2))

    def _combine(self, node: Combine) -> None:
        for reading in self._readings[node.name]:
            column, step = self._columns(node.name, reading.symbols)
            columns = column[:, 0] + step * np.arange(reading.source.size)
            self._terms.add(reading.source, columns, np.ones(1))

    def _build(self) -> GraphODE:
        plain = self._terms.system(self._names, self._names[self._first_symbol :])
        return GraphODE(
            plain.variables,
            plain.monomials,
            plain.rows,
            plain.columns,
            plain.coefficients,
            plain.parameters,
            graph=self._graph,
            kinds=np.array(self._kinds),
            nodes=np.array(self._nodes, dtype=np.int64),
            units=np.array(self._units, dtype=np.int64),
            readings=self._readings,
        )
