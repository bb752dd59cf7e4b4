"""Cells without gates over a whole sequence as one network, whose bounds do not widen from step to step.

Enclosures that go step by step forget how the states of two steps, and of the two cells, hang together. Written
out, h₁ = φ(W·u₁ + b), h₂ = φ(W·u₂ + V·h₁ + b), … are the layers of a feed-forward network of the whole
sequence, and bounds of the difference of two such networks, by linear relaxation, look through all of them.
"""

from __future__ import annotations

import numpy as np

from symlump.errors import FailureError
from symlump.network.activations.table import activation
from symlump.network.bounds.difference import bound_difference
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Input, Node
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.equations import Dense
from symlump.ode.exact import FloatArray

#: Multiplications, about; above, the relaxation is left out.
_MOST = 2e9


def can_be_unrolled(old: Cell, new: Cell, steps: int) -> bool:
    """Whether cells are read so here: without gates, and so small that it costs little.

    Examples
    --------
    >>> import torch
    >>> from symlump.network.recurrent.torch_cells import cells_of
    >>> [can_be_unrolled(*2 * cells_of(m)[0], 5) for m in (torch.nn.RNN(2, 3), torch.nn.GRU(2, 3))]
    [True, False]
    """
    without_gates = old.kind == new.kind and old.kind in ("tanh", "relu")
    return without_gates and float(steps) ** 3 * (old.units + new.units) ** 3 / 3 <= _MOST


def bound_unrolled(
    cells: tuple[Cell, Cell], reads: tuple[Dense, Dense], box: FloatArray, steps: int
) -> FloatArray:
    """Bounds of |A·h(t) + a − Â·ĥ(t) − â| for all sequences in a box, up to each step t.

    Parameters
    ----------
    cells : pair of Cell
        The original, and the smaller one.
    reads : pair of (weight, bias)
        A, a and Â, â, with as many rows.
    box : ndarray, shape (inputs, 2)

    Returns
    -------
    ndarray, shape (steps, rows)
        Infinite from where numbers overflow.
    """
    found = np.full((steps, len(reads[0][0])), np.inf)
    for t in range(1, steps + 1):
        networks = [_unrolled(cell, read, t) for cell, read in zip(cells, reads, strict=True)]
        try:
            bound = bound_difference(networks[0], networks[1], np.tile(box, (t, 1)), splits=0)
        except FailureError:
            break
        found[t - 1] = bound.values
    return np.maximum.accumulate(found, axis=0)


def _unrolled(cell: Cell, read: Dense, steps: int) -> Network:
    """What is read of the state after some steps, as a network of the sequence."""
    width = steps * cell.inputs
    (weight,), (hidden,) = cell.input_weight, cell.hidden_weight
    biases = [None if part is None else part[0] for part in (cell.input_bias, cell.hidden_bias)]
    start = np.zeros(cell.units) if cell.start is None else cell.start[0]
    nodes: list[Node] = [Input("u", (), (width,))]
    nodes.append(Affine("h0", ("u",), np.zeros((cell.units, width)), start))
    for t in range(1, steps + 1):
        rows = np.zeros((cell.units, width))
        rows[:, (t - 1) * cell.inputs : t * cell.inputs] = weight
        nodes += [
            Affine(f"read{t}", ("u",), rows, biases[0]),
            Affine(f"kept{t}", (f"h{t - 1}",), hidden, biases[1]),
            Combine(f"sum{t}", (f"read{t}", f"kept{t}"), "add"),
            Apply(f"h{t}", (f"sum{t}",), activation(cell.kind)),
        ]
    nodes.append(Affine("out", (f"h{steps}",), *read))
    return Network(tuple(nodes), ("out",))
