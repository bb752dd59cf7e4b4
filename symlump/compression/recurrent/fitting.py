"""Cells whose merged units differ: rows averaged, and what reads them fitted to the original's states.

With H the states of a cell over sample sequences and Ĥ those of the cell with merged units, running on its
own, the matrix A and constants a that minimise ‖H − A·Ĥ − a‖² replace "every member is its block": hidden
weights V become M·V·A, with M the means over blocks, and d + V·a their bias; a reader's weights W become W·A.
Since Ĥ depends on the fit, it is repeated, and the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from symlump.errors import FailureError
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.recurrent_network import CellNode, RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray

_ROUNDS = 4
_RIDGE = 1e-9
#: So much is added at least; 1 over it is still a float.
_LEAST = 1e-290
#: Rows that a fit looks at.
_ROWS = 20_000


@dataclass(frozen=True)
class Readout:
    """How original units are read from merged ones: A·ĥ + a."""

    matrix: FloatArray
    constant: FloatArray

    @property
    def is_identity(self) -> bool:
        """Whether every unit is read as it is."""
        return np.array_equal(self.matrix, np.eye(len(self.matrix))) and not self.constant.any()

    @classmethod
    def copies(cls, labels: IntArray) -> Readout:
        """Every unit is its block."""
        blocks = int(labels.max(initial=-1)) + 1
        return cls((labels[:, None] == np.arange(blocks)).astype(float), np.zeros(labels.size))

    @classmethod
    def beside(cls, parts: list[Readout]) -> Readout:
        """Several cells side by side."""
        from scipy.linalg import block_diag

        return cls(
            np.asarray(block_diag(*(part.matrix for part in parts))),
            np.concatenate([part.constant for part in parts]),
        )

    @classmethod
    def fit(cls, wanted: FloatArray, given: FloatArray, constants: bool) -> Readout:
        """Least squares over samples, rows (samples, units), with a little of ridge.

        Examples
        --------
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> Readout.fit(x, 0 * x, True).matrix.tolist()
        [[0.0]]
        >>> fit = Readout.fit(np.hstack([2 * x + 1, x]), x, True)
        >>> fit.matrix.round(6).tolist(), fit.constant.round(6).tolist()
        ([[2.0], [1.0]], [1.0, 0.0])
        """
        step = max(1, len(given) // _ROWS)
        wanted, given = wanted[::step], given[::step]
        centre, middle = np.zeros(wanted.shape[1]), np.zeros(given.shape[1])
        if constants:
            centre, middle = wanted.mean(axis=0), given.mean(axis=0)
        x, y = given - middle, wanted - centre
        gram = x.T @ x
        size = float(np.trace(gram)) / max(1, len(gram))
        gram[np.diag_indices_from(gram)] += max(_RIDGE * size, _LEAST)  # units may all be dead
        matrix = np.asarray(np.linalg.solve(gram, x.T @ y).T, dtype=np.float64)
        return cls(matrix, centre - matrix @ middle)


@dataclass(frozen=True)
class FittedCell:
    """A cell with merged units, how its original units are read, and how far that is off."""

    cell: Cell
    readout: Readout
    states: FloatArray
    error: float


def near_cells(
    network: RecurrentNetwork,
    labels: dict[str, IntArray],
    sequences: dict[str, FloatArray],
    states: dict[str, FloatArray],
    refit: bool,
    further: Callable[[CellNode, FittedCell, FloatArray], FittedCell] | None = None,
) -> dict[str, FittedCell]:
    """Each cell with its units merged, in the order in which they read one another.

    Parameters
    ----------
    labels, states : dict by cell
        The block of each unit; the original's states over the sequences.
    sequences : dict by module
    refit : bool
        Whether what reads merged units is fitted, or added up.
    further : callable, optional
        What fits a cell further, on the sequences that it reads.
    """
    found: dict[str, FittedCell] = {}
    for node in network.cells:
        if node.reads:
            reads = Readout.beside([found[name].readout for name in node.reads])
            x = np.concatenate([found[name].states for name in node.reads], axis=-1)
        else:
            inputs = node.cell.inputs
            reads, x = Readout(np.eye(inputs), np.zeros(inputs)), sequences[node.module]
        wanted, constants = states[node.name][0], take_constants(network, node.name)
        near = _near(node.name, node.cell, labels[node.name], reads, x, wanted, refit, constants)
        found[node.name] = near if further is None else further(node, near, x)
    return found


def take_constants(network: RecurrentNetwork, name: str) -> bool:
    """Whether whatever reads a cell has a bias that constants can go into."""
    return all(n.cell.input_bias is not None for n in network.cells if name in n.reads) and all(
        reader.bias is not None for reader in network.readers if name in reader.reads
    )


def _near(
    name: str,
    cell: Cell,
    labels: IntArray,
    reads: Readout,
    x: FloatArray,
    wanted: FloatArray,
    refit: bool,
    constants: bool,
) -> FittedCell:
    if labels.max(initial=-1) + 1 == cell.units and reads.is_identity:  # nothing merged up to here
        return FittedCell(cell, Readout.copies(labels), wanted, 0.0)
    means = Readout.copies(labels).matrix.T
    means = means / means.sum(axis=1, keepdims=True)
    biased = cell.input_bias is not None
    rows = wanted.reshape(-1, cell.units)
    best: FittedCell | None = None
    own = Readout.copies(labels)
    for _ in range(_ROUNDS if refit else 1):
        small = _with(cell, means, reads, own)
        with np.errstate(over="ignore", invalid="ignore"):
            states = small.run(x)[0]
            if not np.isfinite(states).all():
                break
            flat = states.reshape(-1, small.units)
            fitted = Readout.fit(rows, flat, constants) if refit else own
            error = float(np.sqrt(np.mean((rows - flat @ fitted.matrix.T - fitted.constant) ** 2)))
        if not np.isfinite(error):  # states so large that their squares are not
            break
        if best is None or error < best.error:
            best = FittedCell(small, fitted, states, error)
        own = Readout.fit(rows, flat, biased) if refit else own
    if best is None:
        instead = "" if refit else ", or refit=True"
        raise FailureError(
            f"{name}: with these units merged the states leave every bound; ask for less{instead}"
        )
    return best


def _with(cell: Cell, means: FloatArray, reads: Readout, own: Readout) -> Cell:
    """The cell whose rows are means, and whose columns read what they read through its merged form."""
    w, v = _means(means, cell.input_weight), _means(means, cell.hidden_weight)
    small = replace(
        cell,
        input_weight=w @ reads.matrix,
        hidden_weight=v @ own.matrix,
        input_bias=None,
        hidden_bias=None,
        start=None if cell.start is None else cell.start @ means.T,
    )
    if cell.input_bias is None or cell.hidden_bias is None:
        return small
    return replace(
        small,
        input_bias=_means(means, cell.input_bias) + w @ reads.constant,
        hidden_bias=_means(means, cell.hidden_bias) + v @ own.constant,
    )


def _means(means: FloatArray, array: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("bu,gu...->gb...", means, array))
