"""Certified bounds over a horizon, of the difference of a recurrent cell and its smaller version."""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.enclosures.arithmetics import arithmetic as arithmetic_named
from symlump.errors import MethodError
from symlump.lumping.backward import Backward
from symlump.lumping.error_bound import ErrorBound
from symlump.lumping.lumping import Lumping
from symlump.lumping.map_bounds import map_bound
from symlump.lumping.partition import Partition
from symlump.network.recurrent.equations import cell_map
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray


def bound_cell(
    original: RecurrentNetwork,
    small: RecurrentNetwork,
    labels: IntArray,
    steps: int,
    box: Any,
    arithmetic: str,
) -> ErrorBound:
    """Bound |h − U·ĥ| and the difference of what dense layers read, over some steps from the state 0.

    Both cells are what is held: every weight the number that it is. A state of a cell with tanh or of a GRU
    stays within 1, as h⁺ is a value of tanh, or between one and h; so does the h of an LSTM.

    Parameters
    ----------
    original, small : RecurrentNetwork
        With one cell each.
    labels : ndarray of int, shape (units,)
    steps : int
    box : (low, high) or ndarray, shape (inputs, 2)
        Where every input is at every step.

    Raises
    ------
    MethodError
        If there are several cells, or the box does not fit.
    """
    if len(original.cells) != 1:
        names = ", ".join(node.name for node in original.cells)
        raise MethodError(f"a bound is made of one cell; here there are {names}")
    ((old,), (new,)) = original.cells, small.cells
    if old.cell.kind == "relu":
        raise MethodError("a bound encloses tanh; of a cell with ReLU none is made")
    if old.cell.start is not None:
        raise MethodError(
            f"a bound follows a cell from the state 0; {old.name} starts from another"
        )
    readers = [reader for reader in original.readers if reader.linear]
    smaller = [reader for reader in small.readers if reader.linear]
    whole = cell_map(old.cell, readers=[(r.weight, r.bias) for r in readers])
    part = cell_map(new.cell, readers=[(r.weight, r.bias) for r in smaller])
    k, parts = new.cell.units, len(old.cell.compared)
    rest = len(whole) - parts * labels.size
    of = np.concatenate([*(labels + s * k for s in range(parts)), parts * k + np.arange(rest)])
    partition = Partition(of)
    lumping = Lumping(whole, Backward(), partition, partition, part, 0.0, 0)
    start = np.zeros((len(whole), 2))
    start[len(whole) - old.cell.inputs :] = _box(box, old.cell.inputs)
    within, errors = (np.tile([-np.inf, np.inf], (len(system), 1)) for system in (part, whole))
    within[:k], errors[: labels.size] = (-1.0, 1.0), (-2.0, 2.0)
    return map_bound(
        lumping, steps, start, "max", 0.0, arithmetic_named(arithmetic), (within, errors)
    )


def _box(box: Any, inputs: int) -> FloatArray:
    rows = np.asarray(box, dtype=np.float64)
    if rows.shape == (2,):
        rows = np.tile(rows, (inputs, 1))
    if rows.shape != (inputs, 2) or not np.isfinite(rows).all() or (rows[:, 0] > rows[:, 1]).any():
        raise MethodError(
            f"box=…: a range (low, high) for all inputs, or one row for each of {inputs}; got {box!r}"
        )
    return rows
