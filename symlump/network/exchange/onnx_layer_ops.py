"""The operators of ONNX that are layers: dense, convolutions, norms, pooling; see :mod:`.onnx_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.network.exchange.doubts import doubtful, product
from symlump.network.exchange.onnx_constants import are_arrays, floats
from symlump.network.exchange.onnx_shape_ops import (
    Attributes,
    Inputs,
    ShapeOperators,
    refuse_attribute,
)
from symlump.network.exchange.views import View
from symlump.network.nodes import Shape

_PADDED, _SAME = (b"NOTSET", b"VALID", b""), (b"SAME_UPPER", b"SAME_LOWER")


def _halved(total: list[int], how: bytes) -> list[int]:
    """Padding in all, as all befores and all afters; of odd numbers SAME_UPPER has more after."""
    less, more = [t // 2 for t in total], [-(-t // 2) for t in total]
    return less + more if how == b"SAME_UPPER" else more + less


class LayerOperators(ShapeOperators):
    """Reads one at a time into a builder."""

    def on_Gemm(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """alpha·x·W + beta·b."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not are_arrays(weight, bias) or weight.ndim != 2 or a.get("transA", 0):
            return None
        weight, radius = product(floats(weight), a.get("alpha", 1.0))
        if not a.get("transB", 0):
            weight, radius = weight.T, radius.T
        offset, far = None, np.zeros(len(weight))
        if bias is not None and a.get("beta", 1.0):
            if bias.size not in (1, len(weight)):
                return None
            offset, far = (
                np.broadcast_to(part.ravel(), len(weight)).copy()
                for part in product(floats(bias), a.get("beta", 1.0))
            )
        return self.build.linear(name, x[0], weight, offset, doubtful(radius, far))

    def on_MatMul(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """x·W, or a product of two values."""
        first, second = x
        if isinstance(first, View) and isinstance(second, View):
            return self.build.matmul(name, first, second)
        if isinstance(first, View) and second.ndim == 2:
            return self.build.linear(name, first, floats(second).T, None)
        if isinstance(second, View) and first.ndim == 2 and len(second.axes) > 2:
            return self.build.left_product(name, floats(first), second)
        return None

    def on_Conv(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Any convolution; zeros that are more on one side are padded before it."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not are_arrays(weight, bias) or weight.ndim < 3 or not isinstance(x[0], View):
            return None
        shape, group = x[0].sizes, a.get("group", 1)
        stride, pads, dilation = self._window(name, shape, weight.shape[2:], a)
        value = x[0]
        rank = len(stride)
        if pads[:rank] != pads[rank:]:
            value = self.build.padded(
                f"{name}.pad", value, [0, *pads[:rank]], [0, *pads[rank:]], 0.0
            )
            pads = (0,) * 2 * rank
        return self.build.convolution(
            name, value, floats(weight), None if bias is None else floats(bias).ravel(),
            stride, pads[:rank], dilation, group,
        )  # fmt: skip

    def on_ConvTranspose(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The transpose of a convolution."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not are_arrays(weight, bias) or not isinstance(x[0], View) or a.get("output_shape"):
            return None
        rank = weight.ndim - 2
        stride, dilation, extra = (
            tuple(a.get(key, [usual] * rank))
            for key, usual in (("strides", 1), ("dilations", 1), ("output_padding", 0))
        )
        pads = list(a.get("pads", [0] * 2 * rank))
        how = a.get("auto_pad", b"NOTSET")
        if how in _SAME:  # so that the grid is as often larger as the stride
            reach = zip(weight.shape[2:], stride, dilation, extra, strict=True)
            total = [d * (k - 1) + 1 - s + e for k, s, d, e in reach]
            if min(total) < 0:
                raise refuse_attribute(name, a, "auto_pad", "for windows smaller than the stride")
            pads = _halved(total, how)
        elif how not in _PADDED:
            raise refuse_attribute(name, a, "auto_pad")
        both = tuple(min(pair) for pair in zip(pads[:rank], pads[rank:], strict=True))
        value = self.build.transposed_convolution(
            name, x[0], floats(weight), None if bias is None else floats(bias),
            stride=stride, padding=both, dilation=dilation, groups=a.get("group", 1), extra=extra,
        )  # fmt: skip
        for axis, (before, after, least) in enumerate(
            zip(pads[:rank], pads[rank:], both, strict=True), start=2
        ):
            last = value.shape[axis] - (after - least)
            value = self.build.part(f"{name}.part", value, axis, before - least, last)
        return value

    def _window(
        self, name: str, shape: Shape, kernel: Shape, a: Attributes
    ) -> tuple[Shape, Shape, Shape]:
        """Stride, padding (all befores, all afters) and dilation."""
        rank = len(kernel)
        stride = tuple(a.get("strides", [1] * rank))
        dilation = tuple(a.get("dilations", [1] * rank))
        pads = list(a.get("pads", [0] * 2 * rank))
        how = a.get("auto_pad", b"NOTSET")
        if how in _SAME and len(shape) == rank + 1:
            grid = zip(shape[1:], kernel, stride, dilation, strict=True)
            total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in grid]
            pads = _halved(total, how)
        elif how not in _PADDED:
            raise refuse_attribute(name, a, "auto_pad")
        return stride, tuple(pads), dilation

    def on_BatchNormalization(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """γ·(x − mean)/√(variance + ε) + β."""
        if a.get("training_mode", 0) or not are_arrays(*x[1:5]):
            return None
        gamma, beta, mean, variance = (floats(part) for part in x[1:5])
        epsilon = float(a.get("epsilon", 1e-5))
        return self.build.batch_norm(name, x[0], mean, variance, epsilon, gamma, beta)

    def on_LayerNormalization(self, name: str, x: Inputs, a: Attributes) -> Any:
        """(x − mean)/√(variance + ε)·γ + β, along the last axes."""
        value = self._normalise(name, x, a, centred=True)
        return None if value is None else (value, None, None)

    def on_RMSNormalization(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """x/√(mean of squares + ε)·γ, along the last axes."""
        return self._normalise(name, x, a, centred=False)

    def _normalise(self, name: str, x: Inputs, a: Attributes, centred: bool) -> View | None:
        if not are_arrays(*x[1:]):
            return None
        axes = range(a.get("axis", -1) % len(x[0].axes), len(x[0].axes))
        arrays = [floats(part) for part in x[1:] if part is not None]
        eps = a.get("epsilon", 1e-5)
        return self.build.along(
            name, "normalise", x[0], axes, arrays=arrays, eps=eps, centred=centred
        )

    def on_InstanceNormalization(self, name: str, x: Inputs, a: Attributes) -> Any:
        """(x − mean)/√(variance + ε)·γ + β, along the grid of each channel."""
        if not are_arrays(*x[1:]):
            return None
        rank, eps = len(x[0].axes), a.get("epsilon", 1e-5)
        value = self.build.along(name, "normalise", x[0], range(2, rank), eps=eps, centred=True)
        spread = (-1, *(1,) * (rank - 2))
        factor, offset = (floats(part).reshape(spread) for part in x[1:3])
        return self.build.scale(f"{name}.scale", value, factor, offset)

    def on_GroupNormalization(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """(x − mean)/√(variance + ε)·γ + β, along groups of channels and the grid."""
        if not are_arrays(*x[1:]):
            return None
        shape, groups = x[0].shape, a["num_groups"]
        if groups < 1 or shape[1] % groups:
            raise refuse_attribute(name, a, "num_groups", f"for {shape[1]} channels")
        cut = self.build.reshaped(name, x[0], (shape[0], groups, shape[1] // groups, *shape[2:]))
        if cut is None:
            return None
        axes, eps = range(2, len(shape) + 1), a.get("epsilon", 1e-5)
        value = self.build.along(name, "normalise", cut, axes, eps=eps, centred=True)
        back = self.build.reshaped(name, value, shape)
        if back is None:
            return None
        # Before opset 21 one number is held for each group.
        each = shape[1] // groups if self.opset < 21 else 1
        spread = (-1, *(1,) * (len(shape) - 2))
        factor, offset = (np.repeat(floats(part), each).reshape(spread) for part in x[1:3])
        return self.build.scale(f"{name}.scale", back, factor, offset)

    def on_PRelu(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """A slope of their own for numbers below 0, one for each channel."""
        return self.build.sloped(name, x[0], floats(x[1])) if are_arrays(x[1]) else None

    def on_AveragePool(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Means over windows."""
        return self._pool(name, x[0], a, "average")

    def on_MaxPool(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Maxima over windows."""
        return self._pool(name, x[0], a, "maximum")

    def _pool(self, name: str, x: View, a: Attributes, operation: Any) -> View | None:
        size = tuple(a["kernel_shape"])
        rank = len(size)
        stride, pads, dilation = self._window(name, x.sizes, size, a)
        counted, ceiling = bool(a.get("count_include_pad", 0)), bool(a.get("ceil_mode", 0))
        before, after = list(pads[:rank]), list(pads[rank:])
        kept: list[tuple[int, int]] = []  # the first of the windows wanted, and how many
        if before != after:
            if ceiling:
                raise refuse_attribute(name, a, "pads", "with ceil_mode=1")
            if counted and operation == "average":
                x = self.build.padded(f"{name}.pad", x, [0, *before], [0, *after], 0.0)
                before = [0] * rank
            else:
                reach = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
                before, kept, ceiling = self._evened(name, a, x.shape[2:], reach, stride, pads)
        value = self.build.pool(
            name, x, operation, size, stride, tuple(before), dilation,
            ceiling=ceiling, count_padding=counted,
        )  # fmt: skip
        for axis, (first, count) in enumerate(kept, start=2):
            value = self.build.part(f"{name}.part", value, axis, first, first + count)
        return value

    def _evened(
        self, name: str, a: Attributes, grid: Shape, reach: Shape, stride: Shape, pads: Shape
    ) -> tuple[list[int], list[tuple[int, int]], bool]:
        """Padding that is the same on both sides, the windows wanted then, and whether some reach over the end.

        What is padded counts for nothing in a maximum, or in a mean of what there is. So where the step is one
        place there may be more windows on a side; and else windows may reach over the end, if then there are
        as many as wanted.
        """
        rank, kept = len(stride), []
        even, found = [], []
        for n, k, step, left, right in zip(
            grid, reach, stride, pads[:rank], pads[rank:], strict=True
        ):
            even.append(max(left, right) if step == 1 else left)
            kept.append((even[-1] - left, (n + left + right - k) // step + 1))
            rest = n + 2 * even[-1] - k
            whole, over = rest // step + 1, -(-rest // step) + 1
            over -= (over - 1) * step >= n + even[-1]  # which torch leaves out
            found.append((whole, over))
        fits = [
            all(
                of[over] == count or step == 1
                for of, (_, count), step in zip(found, kept, stride, strict=True)
            )
            for over in (0, 1)
        ]
        if not any(fits) or any(2 * n > k for n, k in zip(even, reach, strict=True)):
            attribute = "pads" if "pads" in a else "auto_pad"
            raise refuse_attribute(name, a, attribute, "with these windows and strides")
        return even, kept, not fits[0]

    def on_GlobalAveragePool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The mean of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "mean", keep=True)

    def on_GlobalMaxPool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The maximum of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "maximum", keep=True)
