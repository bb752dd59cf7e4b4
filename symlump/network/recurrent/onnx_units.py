"""Values of an ONNX graph that hold units of cells, and what operators make of them.

Only the places of units matter: an axis ``d`` has the directions, or the last states of several layers, one
cell for each entry, an axis ``u`` has units, one that was put in is ``1``, and all others are ``.`` Operators
that treat all units alike move these letters; any other is not known, as merged units would change what it
computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.network.activations.table import ACTIVATIONS
from symlump.network.exchange.onnx_constants import axes_of

Array = npt.NDArray[Any]
Attributes = dict[str, Any]

#: Functions of one number: the same for units that are equal.
_FUNCTIONS = {phi.onnx for phi in ACTIVATIONS.values() if phi.onnx} | {"Erf"}
_UNCHANGED = {"Identity", "Dropout", "Cast"}
_OTHERS = (".", "1")
_REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}


@dataclass(frozen=True)
class Units:
    """A value with units.

    Parameters
    ----------
    cells : tuple of str
        One for each entry of the axis ``d``, or without such an axis side by side along ``u``.
    axes : str
        A letter for each axis.
    size : int
        The length of the axis ``u``.
    linear : bool
        Whether the units are h as they are, or means or multiples of it.
    """

    cells: tuple[str, ...]
    axes: str
    size: int
    linear: bool = True

    @property
    def lengths(self) -> Array:
        """The length of each axis, nan where it is not known here."""
        known = {"d": float(len(self.cells)), "u": float(self.size), "1": 1.0, ".": np.nan}
        return np.array([known[letter] for letter in self.axes])


def step_units(operator: str, x: Sequence[Any], a: Attributes, opset: int) -> list[Units] | None:
    """What an operator makes of units, its first input or, of a join, all of them; None where it is not known.

    Examples
    --------
    >>> y = Units(("a", "b"), ".d.u", 4)
    >>> (turned,) = step_units("Transpose", [y], {"perm": [0, 2, 1, 3]}, 20)
    >>> step_units("Reshape", [turned, np.array([0, 0, -1])], {}, 20)
    [Units(cells=('a', 'b'), axes='..u', size=8, linear=True)]
    >>> step_units("Softmax", [y], {}, 20) is None
    True
    """
    if operator == "Concat":
        found = _joined(x, a)
        return None if found is None else [found]
    value = x[0]
    if not isinstance(value, Units) or any(isinstance(other, Units) for other in x[1:]):
        swapped = operator == "Mul" and len(x) == 2 and isinstance(x[1], Units)
        return (
            step_units(operator, x[::-1], a, opset)
            if swapped and not isinstance(x[0], Units)
            else None
        )
    if operator in _UNCHANGED:
        return [value]
    if operator in _FUNCTIONS:
        return [replace(value, linear=False)]
    if operator in ("Mul", "Div"):
        return (
            [value] if isinstance(x[1], np.ndarray) and x[1].size == 1 and not x[1].ndim else None
        )
    if operator == "Split":
        return _split(value, x, a)
    one = _STEPS.get(operator)
    if one is None and operator in _REDUCTIONS:
        one = _reduced
    moved = None if one is None else one(operator, value, list(x), a)
    return None if moved is None else [moved]


def _transposed(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    order = a.get("perm", tuple(reversed(range(len(value.axes)))))
    return replace(value, axes="".join(value.axes[k] for k in order))


def _squeezed(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    given = axes_of(x, a)
    gone = {axis % len(value.axes) for axis in given}
    letters = {value.axes[axis] for axis in gone}
    if not given or "u" in letters or ("d" in letters and len(value.cells) != 1):
        return None
    return replace(value, axes="".join(c for k, c in enumerate(value.axes) if k not in gone))


def _unsqueezed(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    given = axes_of(x, a)
    rank = len(value.axes) + len(given)
    new = {axis % rank for axis in given}
    old = iter(value.axes)
    return replace(value, axes="".join("1" if k in new else next(old) for k in range(rank)))


def _gathered(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    axis, index = a.get("axis", 0) % len(value.axes), x[1]
    letter = value.axes[axis]
    if letter in _OTHERS:
        rank = index.ndim if isinstance(index, np.ndarray) else None
        if rank is None:
            return None
        return replace(value, axes=value.axes[:axis] + "." * rank + value.axes[axis + 1 :])
    if letter == "u" or not isinstance(index, np.ndarray) or index.ndim > 1:
        return None
    chosen = tuple(value.cells[int(k)] for k in index.ravel())
    axes = value.axes if index.ndim else value.axes[:axis] + value.axes[axis + 1 :]
    return replace(value, cells=chosen, axes=axes)


def _sliced(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    cut = cuts(x, a, len(value.axes))
    if cut is None:
        return None
    for axis, part in cut.items():
        if value.axes[axis] == "d":
            value = replace(value, cells=value.cells[part])
        elif value.axes[axis] == "u" and len(range(value.size)[part]) != value.size:
            return None
    return value


def cuts(x: Sequence[Any], a: Attributes, rank: int) -> dict[int, slice] | None:
    """What a Slice takes along each axis; None where that is not constant.

    Examples
    --------
    >>> cuts([None, np.array([0]), np.array([2]), np.array([-1])], {}, 3)
    {2: slice(0, 2, 1)}
    """
    given = [a.get(key) for key in ("starts", "ends", "axes")] + [None]
    given = list(x[1:5]) + given[len(x) - 1 :] if len(x) > 1 else given
    given += [None] * (4 - len(given))
    if any(v is not None and not isinstance(v, np.ndarray | list | tuple) for v in given):
        return None
    starts, ends, axes, steps = (
        None if v is None else np.ravel(np.asarray(v, dtype=np.float64)) for v in given
    )
    if starts is None or ends is None or len(starts) != len(ends):
        return None
    axes = np.arange(len(starts), dtype=np.float64) if axes is None else axes
    steps = np.ones(len(starts)) if steps is None else steps
    if not np.isfinite(np.concatenate([starts, ends, axes, steps])).all() or (steps < 1).any():
        return None
    rows = zip(
        axes.astype(int), starts.astype(int), ends.astype(int), steps.astype(int), strict=True
    )
    return {int(axis) % rank: slice(int(b), int(e), int(s)) for axis, b, e, s in rows}


def _split(value: Units, x: Sequence[Any], a: Attributes) -> list[Units] | None:
    axis = a.get("axis", 0) % len(value.axes)
    sizes = x[1] if len(x) > 1 and x[1] is not None else a.get("split")
    count = a["_outputs"]
    if value.axes[axis] in _OTHERS:
        return [value] * count
    if value.axes[axis] == "u":
        return None
    if sizes is None:
        whole, rest = divmod(len(value.cells), count)
        sizes = [whole] * count if not rest else [0]
    ends = np.cumsum(np.asarray(sizes, dtype=int))
    if len(ends) != count or ends[-1] != len(value.cells):
        return None
    first = [0, *ends[:-1].tolist()]
    return [
        replace(value, cells=value.cells[b:e]) for b, e in zip(first, ends.tolist(), strict=True)
    ]


def _reshaped(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    """All axes before the last are merged or split; the last has the units, of all cells side by side."""
    target = x[1]
    if not isinstance(target, np.ndarray) or target.ndim != 1 or not len(target):
        return None
    axes, cells = value.axes, len(value.cells) if "d" in value.axes else 1
    copied = [len(axes) - 2] if axes.endswith("du") else []
    if cells == 1:
        copied.append(len(axes) - 1)
    if not copied or not axes.endswith("u"):
        return None
    *before, last = target.tolist()
    # −1 in the last place stands for what is left, which is the units where the others are copied
    left = last == -1 and not a.get("allowzero", 0) and before in [[0] * n for n in copied]
    if last != value.size * cells and not left:
        return None
    return replace(value, axes="." * len(before) + "u", size=value.size * cells)


def _flattened(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    behind, cells = value.axes[a.get("axis", 1) % len(value.axes) :], len(value.cells)
    if behind == "du":
        return replace(value, axes=".u", size=value.size * cells)
    return (
        replace(value, axes=".u")
        if behind == "u" and ("d" not in value.axes or cells == 1)
        else None
    )


def _reduced(operator: str, value: Units, x: list[Any], a: Attributes) -> Units | None:
    gone = {axis % len(value.axes) for axis in axes_of(x, a)}
    if not gone or any(value.axes[axis] not in _OTHERS for axis in gone):
        return None
    kept = bool(a.get("keepdims", 1))
    axes = "".join(c for k, c in enumerate(value.axes) if kept or k not in gone)
    return replace(value, axes=axes, linear=value.linear and operator == "ReduceMean")


def _joined(x: Sequence[Any], a: Attributes) -> Units | None:
    parts = [part for part in x if isinstance(part, Units)]
    if len(parts) != len(x) or len({part.axes for part in parts}) != 1:
        return None
    first = parts[0]
    axis = a.get("axis", 0) % len(first.axes)
    letter, linear = first.axes[axis], all(part.linear for part in parts)
    cells = tuple(name for part in parts for name in part.cells)
    if letter in _OTHERS and len({part.cells for part in parts}) == 1:
        axes = first.axes[:axis] + "." + first.axes[axis + 1 :]
        return replace(first, axes=axes, linear=linear)
    if letter in _OTHERS:
        return _stacked(parts, axis, linear) if letter == "1" else None
    if letter == "d":
        same = len({part.size for part in parts}) == 1
        return replace(first, cells=cells, linear=linear) if same else None
    if "d" in first.axes:
        return None
    return replace(first, cells=cells, size=sum(part.size for part in parts), linear=linear)


def _stacked(parts: list[Units], axis: int, linear: bool) -> Units | None:
    """States of several cells one below the other, each with an axis of length 1 for it."""
    first = parts[0]
    if (
        "d" in first.axes
        or len({p.size for p in parts}) != 1
        or any(len(p.cells) > 1 for p in parts)
    ):
        return None
    axes = first.axes[:axis] + "d" + first.axes[axis + 1 :]
    return Units(tuple(part.cells[0] for part in parts), axes, first.size, linear)


_STEPS: dict[str, Any] = {
    "Transpose": _transposed,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Gather": _gathered,
    "Slice": _sliced,
    "Reshape": _reshaped,
    "Flatten": _flattened,
}
