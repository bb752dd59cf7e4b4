"""The torch operations that move numbers: shapes, axes, parts, joins, padding; see :mod:`.export_ops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symlump.network.exchange.build import GraphBuilder
from symlump.network.exchange.views import View
from symlump.network.nodes import Shape
from symlump.network.torch_parts import array_of
from symlump.ode.exact import FloatArray

Arguments = dict[str, Any]


@dataclass(frozen=True)
class SampleCount:
    """The number of samples, which the graph leaves open; or, not itself, a number made of it."""

    itself: bool = True


def constant_of(value: Any) -> FloatArray | None:
    """A number or a tensor as an array; None where it is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.array(float(value))
    return array_of(value) if isinstance(value, torch.Tensor) else None


class ShapeOperations:
    """Reads one call at a time into a builder."""

    #: Those that leave the order of the numbers.
    RESHAPES = ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")

    def __init__(self, build: GraphBuilder) -> None:
        self.build = build
        self.result: Shape | None = None  # the shape of what the call gives
        self.precision = 0.0  # of the numbers of the model

    def on_expand(self, name: str, a: Arguments) -> View | None:
        """Spread to a shape; sums and products spread values by themselves."""
        x = a["self"]
        if not isinstance(x, View) or self.result is None:
            return None
        return self.build.spread(name, x, self.result)

    on_expand_as = on_broadcast_to = on_expand

    def on_permute(self, name: str, a: Arguments) -> View | None:
        """The axes in another order."""
        rank = len(a["self"].axes)
        return a["self"].transposed(tuple(int(d) % rank for d in a["dims"]))  # type: ignore[no-any-return]

    def on_transpose(self, name: str, a: Arguments) -> View | None:
        """Two axes exchanged."""
        order = list(range(len(a["self"].axes)))
        first, second = int(a["dim0"]) % len(order), int(a["dim1"]) % len(order)
        order[first], order[second] = second, first
        return a["self"].transposed(tuple(order))  # type: ignore[no-any-return]

    def on_t(self, name: str, a: Arguments) -> View | None:
        """A matrix transposed."""
        return a["self"].transposed((1, 0))  # type: ignore[no-any-return]

    def on_movedim(self, name: str, a: Arguments) -> View | None:
        """Some axes to other places."""
        rank = len(a["self"].axes)
        source, target = (np.atleast_1d(a[key]).astype(int) for key in ("source", "destination"))
        order = np.moveaxis(np.zeros((1,) * rank), source.tolist(), target.tolist())
        assert order.ndim == rank
        left = [k for k in range(rank) if k not in {int(n) % rank for n in source}]
        for place, axis in sorted(
            zip((target % rank).tolist(), (source % rank).tolist(), strict=True)
        ):
            left.insert(place, axis)
        return a["self"].transposed(tuple(left))  # type: ignore[no-any-return]

    def on_cat(self, name: str, a: Arguments) -> View | None:
        """Values, and constants, joined along an axis."""
        parts = [p if isinstance(p, View) else constant_of(p) for p in a["tensors"]]
        if not any(isinstance(p, View) for p in parts) or any(p is None for p in parts):
            return None
        return self.build.join(name, parts, int(a["dim"]))  # type: ignore[arg-type]

    on_concat = on_concatenate = on_cat

    def on_stack(self, name: str, a: Arguments) -> View | None:
        """Values joined along a new axis."""
        parts = a["tensors"]
        if not all(isinstance(p, View) for p in parts):
            return None
        axis = int(a["dim"]) % (len(parts[0].axes) + 1)
        opened = [View(p.name, (*p.axes[:axis], (), *p.axes[axis:])) for p in parts]
        return self.build.join(name, opened, axis)

    def on_split(self, name: str, a: Arguments) -> Any:
        """Consecutive ranges of an axis."""
        x = a["self"]
        if not isinstance(x, View):
            return None
        axis = int(a["dim"]) % len(x.axes)
        width = x.shape[axis]
        if "chunks" in a:
            sizes: Any = -(-width // a["chunks"])
        else:
            sizes = a["split_sizes"] if "split_sizes" in a else a["split_size"]
        steps = [sizes] * -(-width // sizes) if isinstance(sizes, int) else sizes
        return self.build.parts(name, x, axis, steps)

    on_chunk = on_split_with_sizes = on_split

    def on_unbind(self, name: str, a: Arguments) -> Any:
        """Each place of an axis on its own."""
        x = a["self"]
        if not isinstance(x, View):
            return None
        axis = int(a["dim"]) % len(x.axes)
        return tuple(self._place(name, x, axis, k) for k in range(x.shape[axis]))

    def on_select(self, name: str, a: Arguments) -> View | None:
        """One place of an axis."""
        x = a["self"]
        if not isinstance(x, View):
            return None
        axis = int(a["dim"]) % len(x.axes)
        return self._place(name, x, axis, int(a["index"]) % x.shape[axis])

    def _place(self, name: str, x: View, axis: int, place: int) -> View:
        taken = x if x.shape[axis] == 1 else self.build.taken(name, x, axis, np.array([place]))
        return self.build.without(taken, [axis])

    def on_index_select(self, name: str, a: Arguments) -> View | None:
        """Places of an axis by number."""
        x, index = a["self"], a["index"]
        if not isinstance(x, View) or not isinstance(index, torch.Tensor):
            return None
        numbers = index.cpu().numpy().astype(np.int64)
        return self.build.taken(name, x, int(a["dim"]) % len(x.axes), numbers)

    def on_slice(self, name: str, a: Arguments) -> View | None:
        """A range of an axis, or everything."""
        x, start, stop = a["self"], a["start"], a["end"]
        if (
            not isinstance(x, View)
            or isinstance(start, SampleCount)
            or isinstance(stop, SampleCount)
        ):
            return None
        if start in (None, 0) and (stop is None or stop >= 2**31) and a["step"] == 1:
            return x
        return self.build.part(name, x, int(a["dim"]), start or 0, stop, a["step"])

    def on_narrow(self, name: str, a: Arguments) -> View | None:
        """A range of an axis by its length."""
        start, length = a["start"], a["length"]
        if not isinstance(start, int) or not isinstance(length, int):
            return None
        stop = start + length
        return self.on_slice(name, {**a, "end": None if start < 0 == stop else stop, "step": 1})

    def on_roll(self, name: str, a: Arguments) -> View | None:
        """Places moved along axes, those at the end to the front."""
        x = a["self"]
        if not isinstance(x, View) or not a["dims"]:
            return None
        for shift, axis in zip(a["shifts"], a["dims"], strict=True):
            length = x.shape[axis]
            first = -shift % length
            if first and all(p.axis == 0 for p in x.axes[axis]):
                order = np.roll(np.arange(length), shift)
                x = self.build.taken(name, x, axis % len(x.axes), order)
            elif first:
                parts = self.build.parts(name, x, axis, (first, length - first))
                x = self.build.join(name, parts[::-1], axis)
        return x

    def on_constant_pad_nd(self, name: str, a: Arguments) -> View | None:
        """Constants around the last axes."""
        x, sizes = a["self"], list(a["pad"])
        if not isinstance(x, View) or len(sizes) >= 2 * len(x.axes):
            return None
        sizes += [0] * (2 * len(x.axes) - 2 - len(sizes))
        before, after = sizes[0::2][::-1], sizes[1::2][::-1]
        if not any(sizes):
            return x
        return self.build.padded(name, x, before, after, float(a.get("value") or 0))

    def on_pad(self, name: str, a: Arguments) -> View | None:
        """Constants around the last axes; other ways to pad are not read."""
        return self.on_constant_pad_nd(name, a) if a["mode"] == "constant" else None

    def on_pixel_shuffle(self, name: str, a: Arguments) -> View | None:
        """Channels as points of a finer grid."""
        x, r = a["self"], int(a["upscale_factor"])
        if not isinstance(x, View) or len(x.axes) != 4:
            return None
        n, c, h, w = x.shape
        cut, order = (n, c // r**2, r, r, h, w), (0, 1, 4, 2, 5, 3)
        return self.build.turned(name, x, cut, order, (n, c // r**2, h * r, w * r))

    def on_pixel_unshuffle(self, name: str, a: Arguments) -> View | None:
        """Points of a grid as channels of a coarser one."""
        x, r = a["self"], int(a["downscale_factor"])
        if not isinstance(x, View) or len(x.axes) != 4:
            return None
        n, c, h, w = x.shape
        cut, order = (n, c, h // r, r, w // r, r), (0, 1, 3, 5, 2, 4)
        return self.build.turned(name, x, cut, order, (n, c * r**2, h // r, w // r))

    def on_mean(self, name: str, a: Arguments) -> View | None:
        """The mean along axes."""
        return self._reduce(name, a, "mean")

    def on_sum(self, name: str, a: Arguments) -> View | None:
        """The sum along axes."""
        return self._reduce(name, a, "sum")

    def on_amax(self, name: str, a: Arguments) -> View | None:
        """The largest along axes."""
        return self._reduce(name, a, "maximum")

    def on_amin(self, name: str, a: Arguments) -> View | None:
        """The smallest along axes."""
        return self._reduce(name, a, "minimum")

    def on_max(self, name: str, a: Arguments) -> Any:
        """The largest along axes, whose places are of no interest here; or the larger of two values."""
        if "other" in a:
            return self.on_maximum(name, a)  # type: ignore[attr-defined]
        return (self._reduce(name, a, "maximum"), None) if "dim" in a else None

    def on_min(self, name: str, a: Arguments) -> Any:
        """The smallest along an axis; or the smaller of two values."""
        if "other" in a:
            return self.on_minimum(name, a)  # type: ignore[attr-defined]
        return (self._reduce(name, a, "minimum"), None) if "dim" in a else None

    def _reduce(self, name: str, a: Arguments, how: str) -> View | None:
        x, axes = a["self"], a.get("dim")
        if not isinstance(x, View) or axes is None or a.get("dtype") is not None:
            return None
        axes = [int(axis) % len(x.axes) for axis in ([axes] if isinstance(axes, int) else axes)]
        if not axes:
            return None
        return self.build.reduce(name, x, axes, how, bool(a["keepdim"]))

    def on_argmax(self, name: str, a: Arguments) -> View | None:
        """The place of the largest number along an axis, as a number."""
        x = a["self"]
        if not isinstance(x, View) or a["dim"] is None:
            return None
        return self.build.argmax(name, x, int(a["dim"]), bool(a["keepdim"]))

    def on_embedding(self, name: str, a: Arguments) -> View | None:
        """The rows of a table by the numbers that a value holds."""
        if not isinstance(a["weight"], torch.Tensor) or not isinstance(a["indices"], View):
            return None
        return self.build.embedded(name, a["indices"], array_of(a["weight"]))

    def on_upsample_nearest2d(self, name: str, a: Arguments) -> View | None:
        """A grid with more points, by the nearest neighbours."""
        return self._resize(name, a, "nearest", None)

    def on_upsample_bilinear2d(self, name: str, a: Arguments) -> View | None:
        """A grid with more points, linear in between."""
        return self._resize(name, a, "bilinear", bool(a["align_corners"]))

    on_upsample_nearest1d = on_upsample_nearest2d

    def _resize(self, name: str, a: Arguments, mode: str, corners: bool | None) -> View | None:
        x = next(iter(a.values()))
        if not isinstance(x, View) or self.result is None:
            return None
        return self.build.resized(name, x, self.result[2:], mode, corners)
