"""Certified bounds over a horizon, of the difference of recurrent cells and their smaller versions.

Each cell is a map by itself. Another cell's units reach it through a matrix, a(t) = W·h(t) for every gate, and
so does its smaller version through Ŵ: the bound of the cell that is read is also one of |W·h − M·Ŵ·ĥ|, with M
that copies each block's row to its units, and this is an input's error to the cell that reads, anywhere in its
bounds at every step. So it matters neither in which order the two run through a sequence nor which steps are
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from operator import add
from typing import Any

import numpy as np

from symlump.compression.recurrent.along import CellReading, Followed, follow
from symlump.compression.recurrent.as_network import bound_unrolled, can_be_unrolled
from symlump.compression.recurrent.horizon import RecurrentBound
from symlump.enclosures.arithmetics import Arithmetic
from symlump.enclosures.arithmetics import arithmetic as arithmetic_named
from symlump.enclosures.interval import Interval
from symlump.errors import MethodError
from symlump.lumping.backward import Backward
from symlump.lumping.lumping import Lumping
from symlump.lumping.map_bounds import check_steps, follow_error
from symlump.lumping.partition import Partition
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.equations import Dense, cell_map
from symlump.network.recurrent.recurrent_network import CellNode, RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class _Drive:
    """What a cell reads, over all steps of a sequence.

    Parameters
    ----------
    reach : ndarray, shape (inputs of the smaller cell, 2)
        Where it is.
    off : ndarray, shape (inputs of the original,)
        What the original reads is away from it by at most so much.
    """

    reach: FloatArray
    off: FloatArray


def bound_cells(
    original: RecurrentNetwork,
    small: RecurrentNetwork,
    labels: dict[str, IntArray],
    steps: object,
    box: Any,
    arithmetic: str,
) -> RecurrentBound:
    """Bound |h − U·ĥ| of every cell and the difference of what dense layers read, over some steps.

    Both networks are what is held: every weight the number that it is. A state of a cell with tanh or of a GRU
    stays within 1, or the size of where it starts, as h⁺ is a value of tanh, or between one and h; so does the
    h of an LSTM, and its c grows by at most 1 a step.

    Parameters
    ----------
    original, small : RecurrentNetwork
    labels : dict of ndarray of int, shape (units,)
        By cell, the block of each unit, numbered as they first occur.
    steps : int
    box : (low, high) or ndarray, shape (inputs, 2)
        Where every input from outside is at every step; of several cells that read from outside, theirs one
        after another, those of one module once.

    Raises
    ------
    MethodError
        If the box does not fit, or units that were added to fill a module up are no longer 0.
    FailureError
        If no enclosure was found.
    """
    count, m = check_steps(steps), arithmetic_named(arithmetic)
    places, outside = places_outside(original)
    ends = read_box(box, outside)
    pruned = {node.name: _without_padding(node, labels) for node in small.cells}
    off: dict[str, FloatArray] = {}
    arriving: dict[str, list[_Drive]] = {node.name: [] for node in original.cells}
    given: dict[str, list[FloatArray]] = {r.name: [] for r in original.readers if r.linear}
    for node in original.cells:
        old, new = node.cell, pruned[node.name]
        if node.reads:
            parts = arriving[node.name]
            reach = _sum_of_ranges([part.reach for part in parts])
            drive = _Drive(reach, _sum([part.off for part in parts]))
            read_as = _per_gate(labels[node.name], len(old.input_weight))
            old, new = _driven(old), _driven(new)
        else:
            reach = ends[places[node.module]]
            drive, read_as = _Drive(reach, np.zeros(old.inputs)), np.arange(old.inputs)
        reads = _reads(node.name, original, small, labels, pruned)
        most = {letter: _most(letter, old, new, count) for letter in old.compared}
        pair, own = (old, new), labels[node.name]
        if arithmetic == "float64":
            found = follow(pair, own, drive.reach, drive.off, read_as, reads, most, count)
        else:
            found = _by_steps(pair, own, drive, read_as, reads, most, count, m)
        if not node.reads and can_be_unrolled(old, new, count):
            box_here = ends[places[node.module]]
            found = _together(pair, own, reads, box_here, found)
        off[node.name] = found.off
        for read, (apart, reach) in zip(reads, found.readings, strict=True):
            far = apart.max(axis=0)
            if read.name in given:
                given[read.name].append(far)
            else:
                arriving[read.name].append(_Drive(reach, far))
    readers = {name: _sum(parts) for name, parts in given.items()}
    return RecurrentBound(count, ends, off, readers, m.name)


def _reads(
    name: str,
    original: RecurrentNetwork,
    small: RecurrentNetwork,
    labels: dict[str, IntArray],
    pruned: dict[str, Cell],
) -> list[CellReading]:
    """All that reads a cell: once for each place in which it is read, the bias with the first place of all."""
    found, blocks = list[CellReading](), pruned[name].units
    for reader, smaller in zip(original.readers, small.readers, strict=True):
        rows_as = np.arange(len(reader.weight))
        for place in _places(reader.reads, name) if reader.linear else ():
            mine, theirs = (_columns(n, reader.reads, place) for n in (original, small))
            bias, other = (None, None) if place else (reader.bias, smaller.bias)
            whole = reader.weight[:, mine], bias
            part = smaller.weight[:, theirs[:blocks]], other
            found.append(CellReading(reader.name, whole, part, rows_as))
    for node, after in zip(original.cells, small.cells, strict=True):
        rows_as = _per_gate(labels[node.name], len(node.cell.input_weight))
        for place in _places(node.reads, name):
            mine, theirs = (_columns(n, node.reads, place) for n in (original, small))
            own = after.cell.input_weight[:, : pruned[node.name].units]
            part = _rows(own[..., theirs[:blocks]]), None
            found.append(
                CellReading(
                    node.name, (_rows(node.cell.input_weight[..., mine]), None), part, rows_as
                )
            )
    return found


def _by_steps(
    cells: tuple[Cell, Cell],
    labels: IntArray,
    drive: _Drive,
    read_as: IntArray,
    reads: list[CellReading],
    most: dict[str, float],
    steps: int,
    arithmetic: Arithmetic,
) -> Followed:
    """The map of the cell, in any arithmetic: each step by itself, what variables have in common forgotten."""
    old, new = cells
    system = cell_map(old, readers=[read.whole for read in reads])
    quotient = cell_map(new, readers=[read.part for read in reads])
    blocks = [labels + s * new.units for s in range(len(old.compared))]
    first = len(old.compared) * new.units
    for read in reads:
        blocks.append(read.rows_as + first)
        first += len(read.part[0])
    partition = Partition(np.concatenate([*blocks, read_as + first]))
    lumping = Lumping(system, Backward(), partition, partition, quotient, 0.0, 0)
    base, error = np.zeros((len(quotient), 2)), np.zeros((len(system), 2))
    base[first:] = drive.reach
    error[len(system) - old.inputs :] = np.stack([-drive.off, drive.off], axis=1)
    if old.start is not None and new.start is not None:
        flat = new.start.reshape(-1, 1)
        base[: flat.size] = flat  # of a reset gate no start is known, and none is needed
        apart = (old.start - new.start[:, labels]).reshape(-1, 1)
        radius = np.where(apart == 0, 0.0, np.nextafter(np.abs(apart), np.inf))
        error[: apart.size] = np.hstack([-radius, radius])
    within, errors = (np.tile([-np.inf, np.inf], (len(s), 1)) for s in (quotient, system))
    for s, letter in enumerate(old.compared):
        for cell, ends, far in ((new, within, most[letter]), (old, errors, 2 * most[letter])):
            ends[s * cell.units : (s + 1) * cell.units] = -far, far
    during, reach = follow_error(lumping, base, error, (within, errors), steps, arithmetic)
    found = list[tuple[FloatArray, FloatArray]]()
    first, low = old.units * len(old.compared), new.units * len(new.compared)
    for read in reads:
        rows, fewer = read.rows_as.size, len(read.part[0])
        found.append((during[:, first : first + rows], reach[low : low + fewer]))
        first, low = first + rows, low + fewer
    return Followed(during[:, : old.units], found)


def _together(
    cells: tuple[Cell, Cell],
    labels: IntArray,
    reads: list[CellReading],
    box: FloatArray,
    found: Followed,
) -> Followed:
    """The smaller of two bounds after each step: of what was found, and of all steps as one network."""
    old, new = cells
    whole = _stacked([(np.eye(old.units), None), *(read.whole for read in reads)])
    parts: list[Dense] = [(np.eye(new.units)[labels], None)]
    for read in reads:
        weight, bias = read.part
        parts.append((weight[read.rows_as], None if bias is None else bias[read.rows_as]))
    unrolled = bound_unrolled(cells, (whole, _stacked(parts)), box, len(found.off))
    sizes = [old.units, *(read.rows_as.size for read in reads)]
    own, *others = np.split(unrolled, np.cumsum(sizes)[:-1], axis=1)
    pairs = zip(found.readings, others, strict=True)
    return Followed(
        np.minimum(found.off, own),
        [(np.minimum(apart, other), reach) for (apart, reach), other in pairs],
    )


def _stacked(parts: Sequence[Dense]) -> Dense:
    biases = [np.zeros(len(w)) if b is None else b for w, b in parts]
    return np.vstack([w for w, _ in parts]), np.concatenate(biases)


def _most(letter: str, old: Cell, new: Cell, steps: int) -> float:
    """What a state of either cell never exceeds: see :func:`bound_cells`."""
    if old.kind == "relu":
        return float("inf")
    place = 1 if letter == "c" else 0
    starts = [cell.start[place] for cell in (old, new) if cell.start is not None and letter != "r"]
    start = max((float(np.abs(own).max(initial=0.0)) for own in starts), default=0.0)
    return float(np.nextafter(start + steps, np.inf)) if letter == "c" else max(1.0, start)


def places_outside(network: RecurrentNetwork) -> tuple[dict[str, slice], int]:
    """Where what each module reads from outside is in a box, and how much there is."""
    places: dict[str, slice] = {}
    first = 0
    for node in network.cells:
        if not node.reads and node.module not in places:
            places[node.module] = slice(first, first + node.cell.inputs)
            first += node.cell.inputs
    return places, first


def _without_padding(node: CellNode, labels: dict[str, IntArray]) -> Cell:
    """The cell without units that fill a module up: those stay 0, so what reads them does not matter."""
    cell, units = node.cell, int(labels[node.name].max(initial=-1)) + 1
    starts = cell.start is not None and cell.start[:, units:].any()
    if starts or any(array[:, units:].any() for array in cell.arrays.values()):
        raise MethodError(
            f"units {units + 1} to {cell.units} of {node.name} stand for none of the original's, and their "
            "weights are not 0 any more; a bound is made of the model as it was returned"
        )
    return replace(
        cell,
        input_weight=cell.input_weight[:, :units],
        hidden_weight=cell.hidden_weight[:, :units, :units],
        input_bias=None if cell.input_bias is None else cell.input_bias[:, :units],
        hidden_bias=None if cell.hidden_bias is None else cell.hidden_bias[:, :units],
        start=None if cell.start is None else cell.start[:, :units],
    )


def _driven(cell: Cell) -> Cell:
    """The cell that is given what its gates read of other cells, in place of these."""
    gates, units = cell.input_weight.shape[:2]
    rows = gates * units
    return replace(cell, input_weight=np.eye(rows).reshape(gates, units, rows))


def _rows(weight: FloatArray) -> FloatArray:
    return weight.reshape(prod(weight.shape[:2]), -1)


def _per_gate(labels: IntArray, gates: int) -> IntArray:
    """The row of a smaller cell's weights for each of the original's, gate by gate."""
    units = int(labels.max(initial=-1)) + 1
    return np.concatenate([labels + gate * units for gate in range(gates)])


def _places(reads: tuple[str, ...], name: str) -> list[int]:
    return [place for place, other in enumerate(reads) if other == name]


def _columns(network: RecurrentNetwork, reads: tuple[str, ...], place: int) -> IntArray:
    """The columns with which the cell in a place is read."""
    ends = np.cumsum([0, *(network.by_name[name].cell.units for name in reads)])
    return np.arange(ends[place], ends[place + 1])


def _sum(bounds: list[FloatArray]) -> FloatArray:
    """At least the sum of bounds."""
    return reduce(add, map(Interval.point, bounds)).upper


def _sum_of_ranges(parts: list[FloatArray]) -> FloatArray:
    """Where sums of numbers are, one from each part; a row (low, high) for each.

    Examples
    --------
    >>> from fractions import Fraction
    >>> low, high = map(Fraction, _sum_of_ranges([np.full((1, 2), 0.1), np.full((1, 2), 0.2)])[0])
    >>> low < Fraction(0.1) + Fraction(0.2) < high
    True
    """
    total = reduce(add, (Interval(*ends.T) for ends in parts))
    return np.stack([total.lower, total.upper], axis=1)


def read_box(box: Any, inputs: int) -> FloatArray:
    """Ranges of inputs, one row for each.

    Raises
    ------
    MethodError
        If there is not one for each, or one is none.
    """
    rows = np.asarray(box, dtype=np.float64)
    if rows.shape == (2,):
        rows = np.tile(rows, (inputs, 1))
    if rows.shape != (inputs, 2) or not np.isfinite(rows).all() or (rows[:, 0] > rows[:, 1]).any():
        raise MethodError(
            f"box=…: a range (low, high) for all inputs, or one row for each of {inputs}; got {box!r}"
        )
    return rows
