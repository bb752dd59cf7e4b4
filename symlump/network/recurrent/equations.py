"""A recurrent cell as a map, exactly: h⁺ = q(h, u), with its weights as the rationals they are.

With T = tanh and σ(z) = (1 + T(z/2))/2 every kind of cell is polynomial in its state and in symbols T(…) whose
arguments are linear, or polynomial in other such symbols:

    rnn    h⁺ = T(a), or max(a, 0)
    gru    h⁺ = n + (1 + T(a_z/2))/2·(h − n),   n = T(a_n + (1 + T(a_r/2))/2·v_n)
           (where the reset gate comes first: n = T(a_n + Σ_j V_nj·(1 + T(a_rj/2))/2·h_j))
    lstm   c⁺ = (1 + T(a_f/2))/2·c + (1 + T(a_i/2))/2·T(a_g),   h⁺ = (1 + T(a_o/2))/2·T(c⁺)

where a = W·u + b + V·h + d, and for the GRU's n, a_n = W_n·u + b_n and v_n = V_n·h + d_n. Inputs are
parameters: the same identities hold whatever they are at each step. So backward equivalence of the map finds
the units that stay equal once they are, for any input sequence, and its certificate proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.symbolic import combination, logistic
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.functions.algebra import Polynomial, scale, symbol, total
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.maps import in_time
from symlump.ode.system import ODE

#: A weight and a bias.
Dense = tuple[FloatArray, FloatArray | None]


def cell_map(cell: Cell, reads: IntArray | None = None, readers: Sequence[Dense] = ()) -> ODE:
    """The map of a cell; its variables are h1, h2, …, its parameters u1, u2, ….

    Of an LSTM c1, c2, … follow, and of a GRU that resets first r1, r2, …, its gates: no equation reads these,
    but units with equal h and unequal r are not one.

    What dense layers read of h⁺ are more variables, y1, y2, ….

    Parameters
    ----------
    cell : Cell
    reads : ndarray of int, shape (inputs,), optional
        The number of the value that each input has, where some are known to be equal: from 0, without gaps.
    readers : sequence of (weight, bias)
        Dense layers, of shapes (outputs, units) and (outputs,); a bias may be None.

    Examples
    --------
    >>> w = np.array([[[1.0], [1.0]]])
    >>> print(cell_map(Cell("tanh", w, np.array([[[0.5, 0.25], [0.0, 0.75]]]))))
    h1⁺ = tanh(1/2*h1 + 1/4*h2 + u1)
    h2⁺ = tanh(3/4*h2 + u1)
    u1⁺ = u1
    """
    reads = np.arange(cell.inputs) if reads is None else np.asarray(reads)
    values = int(reads.max(initial=-1)) + 1
    units, parts = cell.units, len(cell.compared)
    names = [f"{letter}{i + 1}" for letter in cell.compared for i in range(units)]
    read = sum(len(weight) for weight, _ in readers)
    names += [f"y{k + 1}" for k in range(read)]
    inputs = [f"u{i + 1}" for i in range(values)]
    table = SymbolTable(len(names) + values)
    writer = _Writer(cell, table, reads + len(names))
    equations: list[Polynomial] = [{} for _ in range(len(names) + values)]
    for i in range(units):
        for k, equation in enumerate(writer.next(i)):
            equations[k * units + i] = equation
    row = parts * units
    for weight, bias in readers:
        for k, weights in enumerate(weight):
            offset = 0.0 if bias is None else float(bias[k])
            equations[row] = combination(weights, equations[:units], offset)
            row += 1
    return in_time(ODE.from_table([*names, *inputs], equations, table, inputs), discrete=True)


class _Writer:
    """The equations of single units."""

    def __init__(self, cell: Cell, table: SymbolTable, inputs: IntArray) -> None:
        self._cell, self._table = cell, table
        self._inputs = list(map(symbol, inputs.tolist()))
        self._own = list(map(symbol, range(cell.units)))
        self._resets: list[Polynomial] = []  # of every unit, where other units look through them
        if cell.kind == "gru_reset_first":
            self._resets = [self._logistic(self._both(0, i)) for i in range(cell.units)]
            pairs = zip(self._resets, self._own, strict=True)
            self._seen = [table.multiply(reset, h) for reset, h in pairs]

    def next(self, i: int) -> tuple[Polynomial, ...]:
        """The next values of a unit: h⁺, and what else there is of it."""
        match self._cell.kind:
            case "gru":
                return (self._gru(i),)
            case "gru_reset_first":
                return self._reset_first(i), self._resets[i]
            case "lstm":
                return self._lstm(i)
            case "relu":
                return (self._table.apply("max", [self._both(0, i), {}]),)
            case _:
                return (self._tanh(self._both(0, i)),)

    def _gru(self, i: int) -> Polynomial:
        reset, update = (self._logistic(self._both(gate, i)) for gate in (0, 1))
        new = self._tanh(
            total([self._of_input(2, i), self._table.multiply(reset, self._of_state(2, i))])
        )
        return self._between(new, update, i)

    def _reset_first(self, i: int) -> Polynomial:
        cell = self._cell
        bias = 0.0 if cell.hidden_bias is None else cell.hidden_bias[2, i]
        read = combination(cell.hidden_weight[2, i], self._seen, bias)
        new = self._tanh(total([self._of_input(2, i), read]))
        return self._between(new, self._logistic(self._both(1, i)), i)

    def _between(self, new: Polynomial, update: Polynomial, i: int) -> Polynomial:
        """(1 − z)·n + z·h."""
        kept = total([symbol(i), scale(new, Fraction(-1))])
        return total([new, self._table.multiply(update, kept)])

    def _lstm(self, i: int) -> tuple[Polynomial, Polynomial]:
        let_in, forget, out = (self._logistic(self._both(gate, i)) for gate in (0, 1, 3))
        new = self._table.multiply(let_in, self._tanh(self._both(2, i)))
        c = total([self._table.multiply(forget, symbol(self._cell.units + i)), new])
        return self._table.multiply(out, self._tanh(c)), c

    def _both(self, gate: int, i: int) -> Polynomial:
        return total([self._of_input(gate, i), self._of_state(gate, i)])

    def _of_input(self, gate: int, i: int) -> Polynomial:
        cell = self._cell
        bias = 0.0 if cell.input_bias is None else cell.input_bias[gate, i]
        return combination(cell.input_weight[gate, i], self._inputs, bias)

    def _of_state(self, gate: int, i: int) -> Polynomial:
        cell = self._cell
        bias = 0.0 if cell.hidden_bias is None else cell.hidden_bias[gate, i]
        return combination(cell.hidden_weight[gate, i], self._own, bias)

    def _tanh(self, z: Polynomial) -> Polynomial:
        return self._table.apply("tanh", [z])

    def _logistic(self, z: Polynomial) -> Polynomial:
        return logistic(z, self._table)
