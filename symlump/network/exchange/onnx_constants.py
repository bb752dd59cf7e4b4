"""What nodes of an ONNX file compute from constants alone: weights turned round, and shapes put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Arithmetic is done for shapes, which are short; a file could ask for any amount of it.
_SHORT = 4096
_INTEGERS = (6, 7)  # ONNX's numbers for int32 and int64


def constant(operator: str, x: list[Any], a: dict[str, Any]) -> Array | None:
    """The value of a node without inputs from the network; None if the operator is not known here.

    Parameters
    ----------
    operator : str
    x : list of ndarray or None
        The inputs.
    a : dict
        The attributes.

    Examples
    --------
    >>> constant("Concat", [np.array([-1]), np.array([400])], {"axis": 0}).tolist()
    [-1, 400]
    """
    if operator == "Constant":
        return _given(a)
    if operator not in _FUNCTIONS or not x or any(value is None for value in x):
        return None
    if operator not in ("Identity", "Transpose", "Reshape") and sum(v.size for v in x) > _SHORT:
        return None
    return _FUNCTIONS[operator](x, a)


def _given(a: dict[str, Any]) -> Array | None:
    for key in ("value_float", "value_floats", "value_int", "value_ints"):
        if key in a:
            return np.asarray(a[key])
    value = a.get("value")
    return value if isinstance(value, np.ndarray) else None


def _cast(x: list[Any], a: dict[str, Any]) -> Array | None:
    return x[0] if x[0].dtype.kind == "i" and a.get("to") in _INTEGERS else None


def _slice(x: list[Any], a: dict[str, Any]) -> Array | None:
    if x[0].ndim != 1 or len(x) < 3:
        return None
    step = int(x[4][0]) if len(x) > 4 else 1
    return np.asarray(x[0][int(x[1][0]) : int(x[2][0]) : step])


_FUNCTIONS: dict[str, Callable[[list[Any], dict[str, Any]], Array | None]] = {
    "Identity": lambda x, a: np.asarray(x[0]),
    "Transpose": lambda x, a: np.transpose(x[0], a.get("perm")),
    "Reshape": lambda x, a: np.reshape(x[0], [int(n) for n in x[1]]),
    "Cast": _cast,
    "Concat": lambda x, a: np.concatenate(x, a["axis"]),
    "Unsqueeze": lambda x, a: np.expand_dims(x[0], tuple(axes_of(x, a))),
    "Squeeze": lambda x, a: np.squeeze(x[0], tuple(axes_of(x, a))),
    "Gather": lambda x, a: np.take(x[0], x[1], a.get("axis", 0)),
    "Slice": _slice,
}


def axes_of(x: list[Any], a: dict[str, Any]) -> list[int]:
    """Axes, which newer versions give as an input and older ones as an attribute."""
    if len(x) > 1 and isinstance(x[1], np.ndarray):
        return [int(axis) for axis in x[1].ravel()]
    return [int(axis) for axis in a.get("axes", ())]
