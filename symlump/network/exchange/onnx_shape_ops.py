"""The operators of ONNX that move numbers: shapes, axes, parts, joins, padding; see :mod:`.onnx_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.exchange.arranging import EACH_SAMPLE
from symlump.network.exchange.build import GraphBuilder
from symlump.network.exchange.onnx_constants import axes_of, floats
from symlump.network.exchange.views import View, has_samples

Array = npt.NDArray[Any]
Inputs = list[Any]
Attributes = dict[str, Any]

#: ONNX's numbers for real types, in which a network computes.
_REAL = (1, 10, 11, 16)
_ALL = 10**6  # as the end of a range of samples: all of them


def refuse_attribute(name: str, a: Attributes, attribute: str, where: str = "") -> NetworkError:
    """An error that names an attribute and its value.

    Examples
    --------
    >>> print(refuse_attribute("pool", {"auto_pad": b"SAME_ODD"}, "auto_pad"))
    pool: auto_pad=SAME_ODD is not read
    """
    value = a.get(attribute)
    told = value.decode(errors="replace") if isinstance(value, bytes) else value
    return NetworkError(f"{name}: {attribute}={told} is not read{where and f' {where}'}")


class ShapeOperators:
    """Reads one node at a time into a builder."""

    def __init__(self, build: GraphBuilder, opset: int) -> None:
        self.build, self.opset = build, opset

    def on_Shape(self, name: str, x: Inputs, a: Attributes) -> Array:
        """The shape, with a stand-in for the number of samples."""
        return np.array(x[0].shape, dtype=np.int64)[a.get("start", 0) : a.get("end")]

    def on_Cast(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Numbers stay what they are: a network computes in one type, and whole numbers fit into it."""
        return x[0] if a.get("to") in _REAL or self.build.is_whole(x[0].name) else None

    def on_Flatten(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The axes before a place to one, and those behind it."""
        shape = x[0].shape
        axis = a.get("axis", 1)
        axis = axis % len(shape) if axis < 0 else axis
        sizes = [int(np.prod(part, dtype=object)) for part in (shape[:axis], shape[axis:])]
        return self.build.reshaped(name, x[0], tuple(sizes))

    def on_Reshape(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """To a constant shape."""
        target = x[1]
        if not isinstance(target, np.ndarray) or target.ndim != 1 or target.size > 16:
            return None
        shape, sizes = x[0].shape, [int(n) for n in target]
        if not a.get("allowzero", 0):
            sizes = [shape[k] if n == 0 and k < len(shape) else n for k, n in enumerate(sizes)]
        total = int(np.prod(shape, dtype=object))
        if sizes.count(-1) == 1:
            rest = int(np.prod([n for n in sizes if n != -1], dtype=object))
            sizes[sizes.index(-1)] = total // rest if rest > 0 else 0
        if int(np.prod(sizes, dtype=object)) != total and sizes[:1] == [1]:
            sizes[0] = shape[0]  # written for one sample, which the file leaves open
        if int(np.prod(sizes, dtype=object)) != total or min(sizes, default=1) < 1:
            return None
        return self.build.reshaped(name, x[0], tuple(sizes))

    def on_Squeeze(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Axes of length 1 removed."""
        shape = x[0].shape
        axes = {axis % len(shape) for axis in axes_of(x, a)} or {
            k for k, n in enumerate(shape) if n == 1
        }
        if any(shape[k] != 1 for k in axes):
            return None
        left = tuple(n for k, n in enumerate(shape) if k not in axes)
        return self.build.reshaped(name, x[0], left)

    def on_Unsqueeze(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Axes of length 1 added."""
        rank = len(x[0].axes) + len(axes_of(x, a))
        places = {axis % rank for axis in axes_of(x, a)}
        left = iter(x[0].axes)
        axes = tuple(() if k in places else next(left) for k in range(rank))
        return View(x[0].name, axes)

    def on_Transpose(self, name: str, x: Inputs, a: Attributes) -> View:
        """The axes in another order."""
        value: View = x[0]
        return value.transposed(tuple(a.get("perm", range(len(value.axes) - 1, -1, -1))))

    def on_DepthToSpace(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Channels as points of a finer grid."""
        r, by_column = a["blocksize"], a.get("mode", b"DCR") == b"CRD"
        if len(x[0].axes) != 4 or r < 1 or x[0].shape[1] % r**2:
            return None
        n, c, h, w = x[0].shape
        inner = (c // r**2, r, r) if by_column else (r, r, c // r**2)
        order = (0, 1, 4, 2, 5, 3) if by_column else (0, 3, 4, 1, 5, 2)
        return self.build.turned(name, x[0], (n, *inner, h, w), order, (n, c // r**2, h * r, w * r))

    def on_SpaceToDepth(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Points of a grid as channels of a coarser one."""
        r = a["blocksize"]
        if len(x[0].axes) != 4 or r < 1 or x[0].shape[2] % r or x[0].shape[3] % r:
            return None
        n, c, h, w = x[0].shape
        cut, order = (n, c, h // r, r, w // r, r), (0, 3, 5, 1, 2, 4)
        return self.build.turned(name, x[0], cut, order, (n, c * r**2, h // r, w // r))

    def on_Expand(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Spread to a shape; nothing where it has that shape."""
        if not isinstance(x[1], np.ndarray):
            return None
        return self.build.spread(name, x[0], tuple(int(n) for n in x[1].ravel()))

    def on_Tile(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """A value so often along each axis."""
        if not isinstance(x[0], View) or not isinstance(x[1], np.ndarray):
            return None
        return self.build.repeat(name, x[0], [int(n) for n in x[1].ravel()])

    def on_Pad(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Constants around the grid; nothing, where nothing is added."""
        pads = x[1] if len(x) > 1 else np.array(a.get("pads", a.get("paddings", ())))
        if not isinstance(pads, np.ndarray) or not isinstance(x[0], View):
            return None
        axes = [int(k) for k in x[3]] if len(x) > 3 and x[3] is not None else range(pads.size // 2)
        half, rank = pads.size // 2, len(x[0].axes)
        before, after = [0] * rank, [0] * rank
        for place, axis in enumerate(axes):
            before[axis], after[axis] = int(pads[place]), int(pads[half + place])
        if not any(before) and not any(after):
            return x[0]
        value = x[2] if len(x) > 2 and x[2] is not None else a.get("value", 0.0)
        if a.get("mode", b"constant") != b"constant":
            raise refuse_attribute(name, a, "mode")
        if before[0] or after[0]:
            raise NetworkError(f"{name}: adds samples, or takes some away; {EACH_SAMPLE}")
        if np.size(value) != 1:
            return None
        return self.build.padded(name, x[0], before[1:], after[1:], float(np.ravel(value)[0]))

    def on_Resize(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The grid with more or fewer points: nearest neighbours, or linear in between."""
        if not isinstance(x[0], View):
            return None
        shape = x[0].shape
        scales = x[2] if len(x) > 2 else x[1] if len(x) > 1 else None
        sizes = x[3] if len(x) > 3 else None
        if sizes is not None and isinstance(sizes, np.ndarray) and sizes.size == len(shape):
            target = [int(n) for n in sizes]
        elif isinstance(scales, np.ndarray) and scales.size == len(shape):
            target = [int(np.floor(n * s)) for n, s in zip(shape, scales.tolist(), strict=True)]
            target[0] = shape[0] if scales[0] == 1 else 0
        else:
            return None
        if target[:2] != list(shape[:2]) and target[1] != shape[1]:
            return None
        mode = a.get("mode", b"nearest").decode()
        how = a.get("coordinate_transformation_mode", b"half_pixel").decode()
        whole = all(t % n == 0 for n, t in zip(shape[2:], target[2:], strict=True))
        floor = a.get("nearest_mode", b"round_prefer_floor") in (b"floor", b"round_prefer_floor")
        half = how in ("half_pixel", "pytorch_half_pixel")
        if mode == "nearest" and ((how == "asymmetric" and a.get("nearest_mode") == b"floor")
                                  or (whole and floor and half)):  # fmt: skip
            return self.build.resized(name, x[0], target[2:], "nearest", None)
        if mode == "nearest":
            odd = "nearest_mode" if not floor else "coordinate_transformation_mode"
            usual = {"nearest_mode": b"round_prefer_floor"}
            usual["coordinate_transformation_mode"] = b"half_pixel"
            raise refuse_attribute(name, usual | a, odd, f"with the sizes {tuple(target[2:])}")
        rank = len(shape) - 2
        if mode == "linear" and rank in (1, 2) and (half or how == "align_corners"):
            kind = "bilinear" if rank == 2 else "linear"
            return self.build.resized(name, x[0], target[2:], kind, how == "align_corners")
        return None

    def on_Upsample(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """An older name of Resize."""
        scales = x[1] if len(x) > 1 else np.array(a.get("scales", ()))
        old = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
        return self.on_Resize(
            name, [x[0], None, scales], {"mode": a.get("mode", b"nearest"), **old}
        )

    def on_Concat(self, name: str, x: Inputs, a: Attributes) -> View:
        """Values, and constants, joined along an axis."""
        parts = [part if isinstance(part, View) else floats(part) for part in x]
        return self.build.join(name, parts, a["axis"])

    def on_Gather(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Places of an axis by number; or rows of a constant by the numbers that a value holds."""
        table, index = x
        if isinstance(table, np.ndarray):
            if a.get("axis", 0) or table.ndim != 2 or not isinstance(index, View):
                return None
            return self.build.embedded(name, index, floats(table))
        if not isinstance(index, np.ndarray) or index.ndim > 1 or index.dtype.kind != "i":
            return None
        axis = a.get("axis", 0) % len(table.axes)
        numbers = np.atleast_1d(index)
        numbers = numbers + np.where(numbers < 0, table.shape[axis], 0)
        found = self.build.taken(name, table, axis, numbers)
        return found if index.ndim else self.build.without(found, [axis])

    def on_Split(self, name: str, x: Inputs, a: Attributes) -> Any:
        """Consecutive ranges of an axis."""
        sizes = x[1] if len(x) > 1 else a.get("split")
        axis = a.get("axis", 0) % len(x[0].axes)
        length, count = x[0].shape[axis], int(a.get("num_outputs") or a["_outputs"])
        if sizes is None:
            each = -(-length // count)
            sizes = [min(each, length - k * each) for k in range(count)]
        return self.build.parts(name, x[0], axis, [int(n) for n in sizes])

    def on_Slice(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Ranges of axes."""
        if len(x) == 1:
            starts, ends = list(a["starts"]), list(a["ends"])
            axes, steps = list(a.get("axes", range(len(starts)))), [1] * len(starts)
        else:
            arrays = [*x[1:], *[None] * (5 - len(x))]
            if not all(part is None or isinstance(part, np.ndarray) for part in arrays):
                return None
            starts, ends = ([int(n) for n in part] for part in arrays[:2])
            axes = list(range(len(starts))) if arrays[2] is None else [int(n) for n in arrays[2]]
            steps = [1] * len(starts) if arrays[3] is None else [int(n) for n in arrays[3]]
        value: View = x[0]
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            axis %= len(value.axes)
            samples = has_samples(value.axes[axis])
            if samples and start == 0 and step == 1 and end >= min(value.shape[axis], _ALL):
                continue
            value = self.build.part(name, value, axis, start, end, step)
        return value

    def on_ReduceMean(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The mean along axes."""
        return self._reduce(name, x, a, "mean")

    def on_ReduceSum(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The sum along axes."""
        return self._reduce(name, x, a, "sum")

    def on_ReduceMax(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The largest along axes."""
        return self._reduce(name, x, a, "maximum")

    def on_ReduceMin(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The smallest along axes."""
        return self._reduce(name, x, a, "minimum")

    def _reduce(self, name: str, x: Inputs, a: Attributes, how: str) -> View | None:
        axes = axes_of(x, a)
        if not isinstance(x[0], View):
            return None
        if not axes and len(x) < 2 and not a.get("noop_with_empty_axes"):
            axes = list(range(len(x[0].axes)))  # all
        if not axes:
            return None
        return self.build.reduce(name, x[0], axes, how, bool(a.get("keepdims", 1)))

    def on_Equal(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """1 where a value is that of a constant, 0 elsewhere."""
        value, held = x if isinstance(x[0], View) else x[::-1]
        if not isinstance(held, np.ndarray):
            return None
        return self.build.equal(name, value, floats(held))
