"""The operators RNN, GRU and LSTM of ONNX as cells, and cells as their weights.

References
----------
The operators, their gates and the layout of their weights: the ONNX operator specification, RNN-22, GRU-22,
LSTM-22.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.recurrent.cells import GATES, Cell, Kind
from symlump.ode.exact import FloatArray

OPERATORS = ("RNN", "GRU", "LSTM")
#: Where each gate of a cell is among those of the operator: i, o, f, c of an LSTM, and z, r, h of a GRU.
_PLACES: dict[Kind, tuple[int, ...]] = {
    "tanh": (0,),
    "relu": (0,),
    "gru": (1, 0, 2),
    "gru_reset_first": (1, 0, 2),
    "lstm": (0, 2, 3, 1),
}
_USUAL = {"GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_LENGTHS, _PEEPHOLES = 4, 7  # places of inputs that change what a cell is


def cells_of_operator(
    operator: str, a: Mapping[str, Any], x: Sequence[Any], starts: Sequence[FloatArray | None]
) -> tuple[Cell, ...]:
    """The cells of a node, one for each direction.

    Parameters
    ----------
    operator : {"RNN", "GRU", "LSTM"}
    a : mapping
        The attributes.
    x : sequence
        The inputs; those that are constants as arrays.
    starts : sequence of (ndarray, shape (directions, units)) or None
        What h, and of an LSTM c, start from; None for 0.

    Raises
    ------
    NetworkError
        If the node has something that no cell here has; the message names it.

    Examples
    --------
    >>> w, v = np.ones((1, 6, 2)), np.ones((1, 6, 2))
    >>> (cell,) = cells_of_operator("GRU", {"linear_before_reset": 1}, [None, w, v], [None])
    >>> cell.kind, cell.units, cell.inputs
    ('gru', 2, 2)
    """
    kind, directions = _kind(operator, a), _directions(a)
    _refuse(a, x)
    weights = [_weight(x, k, what) for k, what in ((1, "W"), (2, "R"))]
    gates, units = len(GATES[kind]), int(weights[1].shape[2])
    d = len(directions)
    if any(w.shape[:2] != (d, gates * units) for w in weights):
        raise NetworkError(
            f"W and R have shapes {weights[0].shape} and {weights[1].shape}; of {units} units in {d} "
            f"direction(s) both begin with {d}, {gates * units}"
        )
    biases = _biases(x, (d, 2, gates, units))
    own = [np.zeros((d, units)) if start is None else start for start in starts]
    starting = any(start is not None for start in starts)
    read, kept = (w.reshape(d, gates, units, -1)[:, list(_PLACES[kind])] for w in weights)
    if biases is not None:
        biases = biases[:, :, list(_PLACES[kind])]
    return tuple(
        Cell(
            kind,
            np.array(read[k], dtype=np.float64),
            np.array(kept[k], dtype=np.float64),
            None if biases is None else biases[k, 0],
            None if biases is None else biases[k, 1],
            backward,
            np.stack([start[k] for start in own]) if starting else None,
        )
        for k, backward in enumerate(directions)
    )


def operands(cells: Sequence[Cell]) -> list[FloatArray | None]:
    """The inputs W, R and B of the node that has these cells, one for each direction.

    Examples
    --------
    >>> cell = Cell("lstm", np.arange(4.0).reshape(4, 1, 1), np.zeros((4, 1, 1)))
    >>> w, r, b = operands([cell])
    >>> w.ravel().tolist(), r.shape, b
    ([0.0, 3.0, 1.0, 2.0], (1, 4, 1), None)
    """
    order = np.argsort(_PLACES[cells[0].kind])  # the gate of the cell that is in each place

    def rows(array: FloatArray) -> FloatArray:
        return array[order].reshape(-1, *array.shape[2:])

    w, r = (
        np.stack([rows(getattr(cell, name)) for cell in cells])
        for name in ("input_weight", "hidden_weight")
    )
    pairs = [(cell.input_bias, cell.hidden_bias) for cell in cells]
    held = [[rows(b) for b in pair if b is not None] for pair in pairs]
    biases = np.stack([np.concatenate(pair) for pair in held]) if all(held) else None
    return [w, r, biases]


def _kind(operator: str, a: Mapping[str, Any]) -> Kind:
    named = [_text(name).lower() for name in a.get("activations", ())]
    count = len(_directions(a))
    usual = _USUAL.get(operator, ("tanh",))
    each = tuple(named[: len(usual)]) or usual
    if operator == "RNN" and each == ("relu",):
        usual = each
    if each != usual or named != list(usual) * (count if named else 0):
        raise NetworkError(
            f"activations={', '.join(map(_text, a['activations']))} are not read; a cell here has "
            f"{' or '.join({'RNN': ['Tanh', 'Relu']}.get(operator, [', '.join(usual).title()]))} in each "
            "direction"
        )
    if operator == "RNN":
        return "relu" if usual == ("relu",) else "tanh"
    if operator == "LSTM":
        return "lstm"
    return "gru" if a.get("linear_before_reset", 0) else "gru_reset_first"


def _refuse(a: Mapping[str, Any], x: Sequence[Any]) -> None:
    """What makes an operator another dynamical system."""
    if "clip" in a:
        raise NetworkError(
            f"clip={a['clip']:g} bounds what goes into the gates; a cell without clip is read"
        )
    if a.get("input_forget", 0):
        raise NetworkError(
            "input_forget=1 couples the input and the forget gate; an LSTM with gates of its own is read"
        )
    if len(x) > _LENGTHS and x[_LENGTHS] is not None:
        raise NetworkError(
            "sequence_lens gives each sequence a length of its own; sequences of one length are read: export "
            "the model without packed or masked sequences"
        )
    peepholes = x[_PEEPHOLES] if len(x) > _PEEPHOLES else None
    if peepholes is not None and (not isinstance(peepholes, np.ndarray) or np.any(peepholes)):
        raise NetworkError("peepholes (the input P) let gates read c; an LSTM without them is read")


def _directions(a: Mapping[str, Any]) -> tuple[bool, ...]:
    named = _text(a.get("direction", "forward"))
    if named not in _DIRECTIONS:
        raise NetworkError(f"direction={named}: there are {', '.join(_DIRECTIONS)}")
    return _DIRECTIONS[named]


def _weight(x: Sequence[Any], place: int, what: str) -> FloatArray:
    found = x[place] if len(x) > place else None
    if not isinstance(found, np.ndarray) or found.ndim != 3 or not found.size:
        raise NetworkError(
            f"{what} is a constant with 3 axes: directions, gates and units, columns"
        )
    return np.asarray(found, dtype=np.float64)


def _biases(x: Sequence[Any], shape: tuple[int, ...]) -> FloatArray | None:
    found = x[3] if len(x) > 3 else None
    if found is None:
        return None
    if not isinstance(found, np.ndarray) or found.size != np.prod(shape):
        raise NetworkError(f"B is a constant of {np.prod(shape)} numbers, two biases for each gate")
    return np.asarray(found, dtype=np.float64).reshape(shape)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
