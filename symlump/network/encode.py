"""A network as a polynomial differential equation, in two forms.

Influence form (the adjoint view, linear). One variable m per unit of every node that makes new values (inputs,
layers, sums and products), and one for the constant 1. Activations, pooling and flattening pass units through,
for they treat all units alike. A unit's row says what it reads:

    m_j' = Σ_i Σ_k w_ijk·s_k·m_i,        m_one' = Σ_i b_i·m_i,        outputs' = 0.

It says how an output's functional spreads back over the units. The s_k are symbols for *how* unit i reads unit
j: one for each offset of a convolution's kernel, for each position of a value that was flattened, and for each
route, where a node reads the same units twice (once through an activation, once without). They are parameters,
so coefficients are compared symbol by symbol, and units that forward equivalence merges compute the same
function of the input, for any activation. A sum has a row of ones: its units merge exactly where those of all
its branches do. In a chain of dense layers there are no symbols.

State form, of chains of dense layers: :mod:`symlump.network.equations.encode_state`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from symlump.errors import MethodError, NetworkError
from symlump.memory import memory_errors
from symlump.network.equations.encode_state import state_form
from symlump.network.equations.network_ode import Form, NetworkODE
from symlump.network.equations.term_blocks import TermBlocks
from symlump.network.equations.wiring import Wiring
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.step_nodes import Attention
from symlump.ode.exact import IntArray
from symlump.ode.monomials import Monomials

if TYPE_CHECKING:
    from torch import nn

    from symlump.network.recurrent.cells import Cell
    from symlump.network.recurrent.neural_ode import NeuralODE
    from symlump.ode.system import ODE


@overload
def encode(network: Network, form: Form = "influence") -> NetworkODE: ...
@overload
def encode(network: nn.Module | Cell | NeuralODE) -> ODE: ...
@memory_errors()
def encode(network: Any, form: Form = "influence") -> ODE:
    """Write a network as a polynomial differential equation, or a recurrent cell as a map.

    Cost: linear in the number of weights; arrays only.

    Parameters
    ----------
    network : Network
        Or a recurrent module of torch with one layer and direction, or a cell (see
        :mod:`symlump.network.recurrent.equations`), or a :class:`symlump.NeuralODE`.
    form : {"influence", "state"}
        The state form is for chains of dense layers.

    Returns
    -------
    ODE
        A :class:`symlump.PolynomialODE` that knows which variable is which unit; of a recurrent cell a map,
        of a neural ODE its own system.

    Raises
    ------
    MethodError
        If the form is unknown.
    NetworkError
        If the state form is asked for and the network is no chain of dense layers, or if a layer already sums
        its units in groups: the result of a state reduction is not encoded again (reduce on influence first,
        then on state: ``on="both"``).

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> print(encode(net))
    u1'   = h1_1 + h1_2
    u2'   = 2*h1_1 + 2*h1_2
    h1_1' = 1/2*y1
    h1_2' = 1/4*y1
    y1'   = 0
    one'  = 0
    >>> from symlump.network.nodes import Input
    >>> net = Network(
    ...     (Input("x", (), (2,)), Affine("fc", ("x",), np.array([[1.0, 2.0], [3.0, 0.0]])),
    ...      Combine("sum", ("fc", "x"), "add")), ("sum",))
    >>> print(encode(net))
    u1'   = h1_1 + 3*h1_2 + y1
    u2'   = 2*h1_1 + y2
    h1_1' = y1
    h1_2' = y2
    y1'   = 0
    y2'   = 0
    one'  = 0
    """
    if not isinstance(network, Network):
        from symlump.network.recurrent.neural_ode import NeuralODE

        if isinstance(network, NeuralODE):
            return network.ode()
        cell = only_cell(network)
        if cell is not None:
            from symlump.network.recurrent.equations import cell_map

            return cell_map(cell)
        raise MethodError(
            f"encode takes a Network, such as from_torch(model); got {type(network).__name__}. A system needs "
            "no encoding: lump(ode, Forward())"
        )
    if form == "influence":
        return _Influence(network, Wiring(network)).ode
    if form == "state":
        return state_form(network)
    raise MethodError(f"form {form!r} is unknown; choose 'influence' or 'state'")


def only_cell(module: Any) -> Cell | None:
    """The cell of a recurrent module with one; None of anything else.

    Raises
    ------
    NetworkError
        If there are several.
    """
    from symlump.network.recurrent.cells import Cell

    torch = sys.modules.get("torch")
    if isinstance(module, Cell) or torch is None or not isinstance(module, torch.nn.Module):
        return module if isinstance(module, Cell) else None
    from symlump.network.recurrent.torch_cells import RECURRENT, cells_of

    if not isinstance(module, RECURRENT):
        return None
    cells = [cell for layer in cells_of(module) for cell in layer]
    if len(cells) > 1:
        raise NetworkError(
            f"this {type(module).__name__} has {len(cells)} cells (layers, directions), each a map of its own: "
            "cells_of(module) in symlump.network.recurrent.torch_cells gives them"
        )
    return cells[0]


class _Influence:
    """The terms of each reader, over the variables of the wiring."""

    def __init__(self, network: Network, wiring: Wiring) -> None:
        self._network, self._wiring = network, wiring
        self._terms = TermBlocks(self._table())
        for node in network.nodes:
            if isinstance(node, Affine):
                self._affine(node)
            elif isinstance(node, Combine):
                self._combine(node.name)
            elif isinstance(node, Attention):
                self._attention(node)
            elif node.name in wiring.readings:
                self._rearranged(node.name)
        for layer in network.layers:
            if layer.bias is not None:
                own = self._alone[wiring.own[layer.name]]
                self._terms.add(wiring.one, own, layer.bias)
        self.ode = self._build()

    def _table(self) -> Monomials:
        """All monomials that can occur: each unit alone, then each unit with each symbol of its node.

        So a monomial's place is known without a search; those that do not occur are dropped in the end.
        """
        nodes = [
            (self._wiring.own[name], symbols) for name, symbols in self._wiring.symbols.items()
        ]
        empty = np.empty(0, dtype=np.int64)
        linear = np.concatenate([empty, *(own for own, _ in nodes)])
        unit = np.concatenate([empty, *(own.repeat(symbols.size) for own, symbols in nodes)])
        symbol = np.concatenate([empty, *(np.tile(symbols, own.size) for own, symbols in nodes)])
        self._alone = np.zeros(len(self._wiring.names), dtype=np.int64)
        self._alone[linear] = np.arange(linear.size)
        self._paired = np.zeros(len(self._wiring.names), dtype=np.int64)
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
        first, own = self._wiring.own[name][0], self._wiring.symbols[name]
        if not own.size:
            return self._alone[first].reshape(1, 1), 1
        return self._paired[first] + symbols - own[0], own.size

    def _affine(self, node: Affine) -> None:
        (reading,) = self._wiring.readings[node.name]
        column, step = self._columns(node.name, reading.symbols)
        unit = step * np.arange(node.units)
        weight = node.weight.reshape(*node.weight.shape[:2], -1)
        if node.depthwise:
            read = np.arange(node.units) // (node.units // reading.source.size)
            columns = column[read % len(column)] + unit[:, None]
            self._terms.add(reading.source[read][:, None], columns, weight[:, 0])
        elif weight.shape[2] == 1 and len(column) == 1:  # a dense layer: matrices are faster
            self._terms.add(reading.source[:, None], column[0] + unit, weight[:, :, 0].T)
        else:  # by equation first: that is the order of a system's terms
            columns = column[:, None, :] + unit[:, None]
            self._terms.add(reading.source[:, None, None], columns, weight.transpose(1, 0, 2))

    def _attention(self, node: Attention) -> None:
        """Pairs are products, heads sums of pairs, and outputs products of a head and a value."""
        pairs, heads = f"{node.name}.pairs", f"{node.name}.heads"
        own = self._wiring.own
        self._combine(pairs)
        times = np.ones(1) if node.times is None else node.times.astype(np.float64)
        self._terms.add(own[pairs], self._alone[own[heads][node.pairs]], times)
        self._combine(node.name)

    def _rearranged(self, name: str) -> None:
        """A channel reads each of its parts, under the symbol of its place."""
        (reading,) = self._wiring.readings[name]
        column, step = self._columns(name, reading.symbols)
        width = self._wiring.own[name].size
        units = step * np.arange(width).repeat(reading.source.size // width)
        self._terms.add(reading.source, column[:, 0] + units, np.ones(1))

    def _combine(self, name: str) -> None:
        for reading in self._wiring.readings[name]:
            column, step = self._columns(name, reading.symbols)
            columns = column[:, 0] + step * np.arange(reading.source.size)
            self._terms.add(reading.source, columns, np.ones(1))

    def _build(self) -> NetworkODE:
        plain = self._terms.system(
            self._wiring.names, self._wiring.names[self._wiring.first_symbol :]
        )
        return NetworkODE(
            plain.variables,
            plain.monomials,
            plain.rows,
            plain.columns,
            plain.coefficients,
            plain.parameters,
            network=self._network,
            form="influence",
            kinds=self._wiring.kinds,
            nodes=self._wiring.nodes,
            units=self._wiring.units,
            readings=self._wiring.readings,
        )
