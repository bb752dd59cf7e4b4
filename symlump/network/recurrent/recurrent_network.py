"""A module with recurrent cells inside: its cells, what each of them reads, and what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.onnx_source import OnnxSource
from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class CellNode:
    """A cell in its place.

    Parameters
    ----------
    name : str
        ``gru.l0``, ``gru.l0_reverse``: the module, the layer, the direction.
    module : str
        The name of the module that holds it; empty where that is the whole model.
    cell : Cell
    reads : tuple of str
        The cells whose units are its inputs, side by side; empty where it reads what comes from outside.
    """

    name: str
    module: str
    cell: Cell
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reader:
    """A dense layer that reads units of cells.

    Parameters
    ----------
    name : str
    weight : ndarray, shape (outputs, inputs)
    bias : ndarray, shape (outputs,), or None
    reads : tuple of str
        The cells, side by side.
    linear : bool
        Whether it reads them as they are; False after an activation, or a maximum over time.
    """

    name: str
    weight: FloatArray
    bias: FloatArray | None
    reads: tuple[str, ...]
    linear: bool = True

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return int(self.weight.size + (0 if self.bias is None else self.bias.size))


@dataclass(frozen=True, eq=False, repr=False)
class RecurrentNetwork:
    """The recurrent part of a model, in the order in which values are computed.

    Parameters
    ----------
    cells : tuple of CellNode
    readers : tuple of Reader
    dtype : str
        The format of the weights.
    parameters : int
        Weights and biases of the whole model, what is not recurrent included.
    shown : bool
        Whether states leave the model as they are: then they come smaller.
    source : OnnxSource, optional
        The ONNX graph that it was read from.

    Examples
    --------
    >>> from symlump.network.recurrent.reading import read_recurrent
    >>> from torch import nn
    >>> read_recurrent(nn.LSTM(3, 5, num_layers=2))
    <RecurrentNetwork: l0 lstm 3–5, l1 lstm 5–5, 440 parameters>
    """

    cells: tuple[CellNode, ...]
    readers: tuple[Reader, ...]
    dtype: str
    parameters: int
    shown: bool
    source: OnnxSource | None = None

    @cached_property
    def by_name(self) -> dict[str, CellNode]:
        """The recurrent cells, each under its name."""
        return {node.name: node for node in self.cells}

    @property
    def modules(self) -> dict[str, list[CellNode]]:
        """The cells that make up each recurrent module, under its name."""
        found: dict[str, list[CellNode]] = {}
        for node in self.cells:
            found.setdefault(node.module, []).append(node)
        return found

    @property
    def reducible(self) -> int:
        """The number of weights and biases in cells and in the layers that read them."""
        return sum(node.cell.parameters for node in self.cells) + sum(
            reader.parameters for reader in self.readers
        )

    def labels(self, reads: Sequence[str], of: dict[str, IntArray], inputs: int) -> IntArray:
        """The number of the value in each place of an input, units of one block being one value.

        Parameters
        ----------
        reads : sequence of str
            The cells whose units are the inputs, side by side; empty for what comes from outside.
        of : dict
            By cell: an array of int with the block of each unit.
        inputs : int
            The number of inputs from outside.

        Returns
        -------
        ndarray of int, shape (inputs,)

        Examples
        --------
        >>> from symlump.network.recurrent.reading import read_recurrent
        >>> from torch import nn
        >>> network = read_recurrent(nn.GRU(3, 2))
        >>> network.labels(["l0"], {"l0": np.array([0, 0])}, 3).tolist(), network.labels([], {}, 3).tolist()
        ([0, 0], [0, 1, 2])
        """
        if not reads:
            return np.arange(inputs)
        parts, first = [], 0
        for name in reads:
            parts.append(of[name] + first)
            first += int(of[name].max(initial=-1)) + 1
        return np.concatenate(parts)

    def run(self, sequences: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """The states of every cell, for sequences of what each module reads from outside.

        Parameters
        ----------
        sequences : dict
            By module: arrays of shape (samples, steps, inputs).

        Returns
        -------
        dict
            By cell: arrays of shape (states, samples, steps, units).

        Examples
        --------
        >>> from symlump.network.recurrent.reading import read_recurrent
        >>> from torch import nn
        >>> states = read_recurrent(nn.LSTM(3, 5)).run({"": np.zeros((2, 4, 3))})
        >>> {name: array.shape for name, array in states.items()}
        {'l0': (2, 2, 4, 5)}
        """
        found: dict[str, FloatArray] = {}
        for node in self.cells:
            if node.reads:
                x = np.concatenate([found[name][0] for name in node.reads], axis=-1)
            else:
                x = sequences[node.module]
            found[node.name] = node.cell.run(x)
        return found

    def read(self, states: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """The values of the dense layers that read units directly, at each step, from :meth:`run`.

        Parameters
        ----------
        states : dict
            By cell: arrays of shape (states, samples, steps, units).

        Returns
        -------
        dict
            By layer: arrays of shape (samples, steps, outputs).

        Examples
        --------
        >>> from symlump.network.recurrent.reading import read_recurrent
        >>> from torch import nn
        >>> network = read_recurrent(nn.GRU(3, 5))
        >>> network.read(network.run({"": np.zeros((2, 4, 3))}))
        {}
        """
        found = {}
        for reader in self.readers:
            if reader.linear:
                h = np.concatenate([states[name][0] for name in reader.reads], axis=-1)
                found[reader.name] = h @ reader.weight.T + (
                    0 if reader.bias is None else reader.bias
                )
        return found

    def __repr__(self) -> str:
        said = ", ".join(
            f"{node.name} {node.cell.kind} {node.cell.inputs}–{node.cell.units}"
            for node in self.cells
        )
        return f"<RecurrentNetwork: {said}, {self.parameters} parameters>"
