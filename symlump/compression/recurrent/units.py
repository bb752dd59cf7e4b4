"""Units of recurrent cells that are equal, by backward equivalence of their maps, and the cells left over."""

from __future__ import annotations

from dataclasses import replace
from math import fsum
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.lumping.backward import Backward
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.equations import cell_map
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray


def equal_units(network: RecurrentNetwork) -> tuple[dict[str, IntArray], dict[str, Lumping]]:
    """The block of each unit of each cell, and the lumpings of the cells' maps.

    Each map reads the merged units of the cells before it.

    Returns
    -------
    labels, lumpings : dict by cell
    """
    labels: dict[str, IntArray] = {}
    lumpings: dict[str, Lumping] = {}
    for node in network.cells:
        reads = network.labels(node.reads, labels, node.cell.inputs)
        labels[node.name], lumpings[node.name] = lumped_units(node.cell, reads)
    return labels, lumpings


def lumped_units(cell: Cell, reads: IntArray | None = None) -> tuple[IntArray, Lumping]:
    """The blocks of a cell's units, numbered as they first occur, and the lumping that has them.

    A unit of an LSTM is the pair of its h and its c: where more c are equal than h, the pairs that are not both
    are kept apart, and what then still is equal is found. So it is with h and the reset gate of a GRU that
    resets first. Units that start from different states are kept apart from the beginning.

    Examples
    --------
    >>> w = np.array([[[1.0], [1.0], [2.0]]])
    >>> v = np.array([[[0.5, 0.25, 1.0], [0.0, 0.75, 1.0], [0.0, 0.0, 0.0]]])
    >>> labels, lumping = lumped_units(Cell("tanh", w, v))
    >>> labels.tolist(), lumping.exact
    ([0, 0, 1], True)
    """
    system, units = cell_map(cell, reads), cell.units
    initial = None
    if cell.start is not None:
        initial = _blocks(cell, number_columns(cell.start))
    while True:
        lumping = lump(system, Backward(), initial)
        parts = lumping.partition.labels[: units * len(cell.compared)].reshape(-1, units)
        labels = number_columns(parts)
        if len(parts) == 1 or all((number_columns(part[None]) == labels).all() for part in parts):
            return labels, lumping
        initial = _blocks(cell, labels)


def _blocks(cell: Cell, labels: IntArray) -> list[list[str]]:
    """The variables of a cell's map, apart where their units have different labels."""
    return [
        [f"{letter}{i + 1}" for i in np.flatnonzero(labels == b).tolist()]
        for letter in cell.compared
        for b in range(int(labels.max()) + 1)
    ]


def number_columns(parts: npt.NDArray[Any]) -> IntArray:
    """Columns that are equal get one number, in the order in which they first occur.

    Examples
    --------
    >>> [number_columns(np.array(parts)).tolist() for parts in ([[7, 7, 2], [1, 3, 1]], [[7, 2, 7]])]
    [[0, 1, 2], [0, 1, 0]]
    """
    known: dict[tuple[int, ...], int] = {}
    columns = zip(*parts.tolist(), strict=True)
    return np.array([known.setdefault(key, len(known)) for key in columns], dtype=np.int64)


def merged_cell(cell: Cell, labels: IntArray, reads: IntArray) -> Cell:
    """The quotient of a cell by an exact lumping: one row for each block, columns of a block added up.

    Sums are rounded once, to the nearest float64.
    """
    first = firsts(labels)
    return replace(
        cell,
        input_weight=sum_blocks(cell.input_weight[:, first], reads),
        hidden_weight=sum_blocks(cell.hidden_weight[:, first], labels),
        input_bias=None if cell.input_bias is None else cell.input_bias[:, first],
        hidden_bias=None if cell.hidden_bias is None else cell.hidden_bias[:, first],
        start=None if cell.start is None else cell.start[:, first],
    )


def firsts(labels: IntArray) -> IntArray:
    """The first member of each block."""
    return np.asarray(np.unique(labels, return_index=True)[1])


def sum_blocks(weight: FloatArray, labels: IntArray) -> FloatArray:
    """Columns added up by blocks, correctly rounded.

    Examples
    --------
    >>> sum_blocks(np.array([[1.0, 1e100, 5.0, -1e100]]), np.array([0, 0, 1, 0])).tolist()
    [[1.0, 5.0]]
    """
    blocks = int(labels.max(initial=-1)) + 1
    if blocks == labels.size:
        return weight[..., np.argsort(labels)]
    found = np.empty((*weight.shape[:-1], blocks))
    for b in range(blocks):
        members = weight[..., labels == b]
        if members.shape[-1] == 1:
            found[..., b] = members[..., 0]
        else:
            rows = members.reshape(-1, members.shape[-1])
            found[..., b] = np.array([fsum(row) for row in rows.tolist()]).reshape(found.shape[:-1])
    return found


def pad_cell(cell: Cell, units: int, inputs: IntArray) -> Cell:
    """The cell with more units, all of whose weights are 0: they stay 0, and nothing changes by them.

    Parameters
    ----------
    units : int
    inputs : ndarray of int
        Where each input of the cell is among those that it gets; others are not read.
    """
    more = units - cell.units

    def rows(array: FloatArray | None) -> FloatArray | None:
        return None if array is None else np.pad(array, ((0, 0), (0, more)))

    spread = np.zeros((len(cell.input_weight), units, inputs.size))
    spread[:, : cell.units, inputs >= 0] = cell.input_weight[:, :, inputs[inputs >= 0]]
    return replace(
        cell,
        input_weight=spread,
        hidden_weight=np.pad(cell.hidden_weight, ((0, 0), (0, more), (0, more))),
        input_bias=rows(cell.input_bias),
        hidden_bias=rows(cell.hidden_bias),
        start=rows(cell.start),
    )
