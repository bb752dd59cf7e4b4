"""States that cells of an ONNX graph start from: constants, zeros of open length, inputs of the model.

Exports make the zeros from the number of samples, which is open, and cut one tensor into the states of several
layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.exchange.onnx_constants import axes_of
from symlump.network.recurrent.onnx_units import Units, cuts
from symlump.ode.exact import FloatArray

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Spread:
    """A constant whose axes of length 1 stand for any length."""

    array: Array


@dataclass(frozen=True)
class Given:
    """An input of the model, or parts of it, whose last axis is whole."""

    name: str


class _Outside:
    """What comes from outside; it holds no units, and nothing more is known of it."""


OUTSIDE = _Outside()
_MOST = 1 << 22  # entries of what a constant is spread to


def move_starts(operator: str, x: Sequence[Any], a: dict[str, Any]) -> list[Any] | None:
    """What an operator makes of starting states; None where these are not followed.

    Examples
    --------
    >>> (zeros,) = move_starts("ConstantOfShape", [np.array([4, np.nan, 8])], {})
    >>> zeros.array.shape
    (4, 1, 8)
    >>> (first,) = move_starts("Slice", [zeros, np.array([0]), np.array([2]), np.array([0])], {})
    >>> first.array.shape
    (2, 1, 8)
    """
    if operator == "ConstantOfShape" and isinstance(x[0], np.ndarray):
        value = np.ravel(a.get("value", np.zeros(1, dtype=np.float32)))[0]
        sizes = _sizes(x[0])
        return None if sizes is None else [Spread(np.full(sizes, value))]
    values, constants = list(x[:1]), x[1:]
    if operator == "Concat":
        values, constants = list(x), []
    if not values or any(c is not None and not isinstance(c, np.ndarray) for c in constants):
        return None
    if operator == "Expand":
        return _expanded(values[0], constants[0])
    if isinstance(values[0], Given):
        whole = operator != "Concat" and _keeps_last(operator, x, a)
        return [values[0]] * a["_outputs"] if whole else None
    arrays = [v.array if isinstance(v, Spread) else v for v in values]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    found = _moved_array(operator, arrays, x, a)
    if found is None:
        return None
    spread = any(isinstance(v, Spread) for v in values)
    return [Spread(array) if spread else array for array in found]


def states_of(value: Any, samples_first: bool) -> FloatArray | None:
    """What the units of each direction start from, shape (directions, units); None for 0.

    Parameters
    ----------
    value
        The input of the operator, or None.
    samples_first : bool
        Its layout: (samples, directions, units), or samples second.

    Raises
    ------
    NetworkError
        If it is computed by the model, or differs between samples.
    """
    if value is None or isinstance(value, Given):
        return None
    if isinstance(value, Units):
        raise NetworkError(
            f"its starting state holds units of {', '.join(value.cells)}; cells that start at 0, at constants "
            "or from an input of the model are read"
        )
    array = value.array if isinstance(value, Spread) else value
    if not isinstance(array, np.ndarray) or array.ndim != 3:
        raise NetworkError(
            "its starting state is computed by the model; cells that start at 0, at constants or from an "
            "input of the model are read"
        )
    array = np.asarray(array.swapaxes(0, 1) if samples_first else array, dtype=np.float64)
    if (array != array[:, :1]).any():
        raise NetworkError(
            "its starting state differs between samples; one that all share is read, or an input of the model"
        )
    return array[:, 0] if array.any() else None


def _sizes(wanted: Array) -> tuple[int, ...] | None:
    """Lengths, 1 for what is not known."""
    sizes = tuple(1 if np.isnan(n) else int(n) for n in wanted.ravel().tolist())
    return sizes if all(n > 0 for n in sizes) and np.prod(sizes, dtype=float) <= _MOST else None


def _expanded(value: Any, wanted: Any) -> list[Any] | None:
    array = value.array if isinstance(value, Spread) else value
    sizes = _sizes(wanted)
    if not isinstance(array, np.ndarray) or sizes is None:
        return None
    shape = np.broadcast_shapes(array.shape, sizes)
    if np.prod(shape, dtype=float) > _MOST:
        return None
    return [Spread(np.array(np.broadcast_to(array, shape)))]


def _keeps_last(operator: str, x: Sequence[Any], a: dict[str, Any]) -> bool:
    """Whether a step on a tensor of three axes, or fewer, leaves its last one whole."""
    if operator in ("Identity", "Cast", "Dropout"):
        return True
    if operator == "Gather":
        return bool(a.get("axis", 0) == 0)
    if operator == "Split":
        return bool(a.get("axis", 0) == 0)
    if operator == "Slice":
        cut = cuts(x, a, 1 << 10)  # an axis counted from the end is then far from 0
        return cut is not None and set(cut) <= {0}
    if operator in ("Squeeze", "Unsqueeze"):
        return axes_of(list(x), a) == [0]
    return operator == "Transpose" and list(a.get("perm", ())) == [1, 0, 2]


def _moved_array(
    operator: str, arrays: list[Array], x: Sequence[Any], a: dict[str, Any]
) -> list[Array] | None:
    array, axis = arrays[0], a.get("axis", 0)
    match operator:
        case "Identity" | "Dropout" | "Cast":
            return [array]
        case "Concat":
            others = {tuple(np.delete(other.shape, axis).tolist()) for other in arrays}
            return [np.concatenate(arrays, axis)] if len(others) == 1 else None
        case "Slice":
            cut = cuts(x, a, array.ndim)
            if cut is None:
                return None
            found = array[tuple(cut.get(k, slice(None)) for k in range(array.ndim))]
            return [found] if found.size else None
        case "Gather":
            return [np.take(array, x[1].astype(int), axis)]
        case "Squeeze":
            given = axes_of(list(x), a)
            return [np.squeeze(array, tuple(given))] if given else None
        case "Unsqueeze":
            return [np.expand_dims(array, tuple(axes_of(list(x), a)))]
        case "Transpose":
            return [np.transpose(array, a.get("perm"))]
        case "Split":
            sizes = x[1] if len(x) > 1 and x[1] is not None else a.get("split")
            where = np.cumsum(sizes)[:-1].astype(int) if sizes is not None else a["_outputs"]
            return np.split(array, where, axis)
    return None
