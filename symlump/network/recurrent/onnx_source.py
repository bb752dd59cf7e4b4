"""The ONNX graph that a recurrent network was read from, and the places in it that change with its cells."""

from __future__ import annotations

from dataclasses import dataclass

from symlump.network.recurrent.onnx_units import Units


@dataclass(frozen=True)
class Start:
    """An input of a cell's node: the state that it starts from.

    Parameters
    ----------
    place : int
        Of the input, 5 for h and 6 for c.
    constant : bool
        Whether it holds constants other than 0.
    """

    place: int
    constant: bool


@dataclass(frozen=True)
class CellSite:
    """A node RNN, GRU or LSTM.

    Parameters
    ----------
    cells : tuple of str
        By direction.
    output : str
        One of its results, by which it is found again.
    samples_first : bool
        Its layout.
    starts : tuple of Start
    """

    cells: tuple[str, ...]
    output: str
    samples_first: bool
    starts: tuple[Start, ...]


@dataclass(frozen=True)
class ReaderSite:
    """A dense layer: Gemm, or MatMul with the sum behind it.

    Parameters
    ----------
    reader : str
    product : str
        The result of Gemm or MatMul.
    sum : str
        The result of the sum that holds the bias, or empty.
    turned : bool
        Whether the weights are held as (outputs, inputs).
    """

    reader: str
    product: str
    sum: str
    turned: bool


@dataclass(frozen=True)
class ShapeSite:
    """A Reshape whose result, by name, has units of these cells side by side along its last axis."""

    output: str
    cells: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class OnnxSource:
    """A serialized model, and where its cells are.

    Parameters
    ----------
    model : bytes
    cells, readers, shapes : tuple
        The places that change.
    shown : dict of str to Units
        Outputs of the model that hold units.
    given : dict of str to tuple of str
        Inputs of the model that cells start from.
    """

    model: bytes
    cells: tuple[CellSite, ...]
    readers: tuple[ReaderSite, ...]
    shapes: tuple[ShapeSite, ...]
    shown: dict[str, Units]
    given: dict[str, tuple[str, ...]]
