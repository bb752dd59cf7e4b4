"""The operators of ONNX that are layers: dense, convolutions, norms, pooling; see :mod:`.onnx_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.network.exchange.doubts import doubtful, product
from symlump.network.exchange.onnx_constants import are_arrays, floats
from symlump.network.exchange.onnx_shape_ops import Attributes, Inputs, ShapeOperators
from symlump.network.exchange.views import View
from symlump.network.nodes import Shape


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
        window = self._window(shape, weight.shape[2:], a)
        if window is None:
            return None
        stride, pads, dilation = window
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
        pads = list(a.get("pads", [0] * 2 * rank))
        if pads[:rank] != pads[rank:] or a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        return self.build.transposed_convolution(
            name, x[0], floats(weight), None if bias is None else floats(bias),
            stride=tuple(a.get("strides", [1] * rank)), padding=tuple(pads[:rank]),
            dilation=tuple(a.get("dilations", [1] * rank)), groups=a.get("group", 1),
            extra=tuple(a.get("output_padding", [0] * rank)),
        )  # fmt: skip

    def _window(
        self, shape: Shape, kernel: Shape, a: Attributes
    ) -> tuple[Shape, Shape, Shape] | None:
        """Stride, padding (all befores, all afters) and dilation."""
        rank = len(kernel)
        stride = tuple(a.get("strides", [1] * rank))
        dilation = tuple(a.get("dilations", [1] * rank))
        pads = list(a.get("pads", [0] * 2 * rank))
        how = a.get("auto_pad", b"NOTSET")
        if how in (b"SAME_UPPER", b"SAME_LOWER") and len(shape) == rank + 1:
            grid = zip(shape[1:], kernel, stride, dilation, strict=True)
            total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in grid]
            pads = [t // 2 for t in total] + [-(-t // 2) for t in total]
            if how == b"SAME_LOWER":
                pads = pads[rank:] + pads[:rank]
        elif how not in (b"NOTSET", b"VALID", b""):
            return None
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

    def on_AveragePool(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Means over windows."""
        return self._pool(name, x[0], a, "average")

    def on_MaxPool(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Maxima over windows."""
        return self._pool(name, x[0], a, "maximum")

    def _pool(self, name: str, x: View, a: Attributes, operation: Any) -> View | None:
        size = tuple(a["kernel_shape"])
        window = self._window(x.sizes, size, a)
        if window is None or window[1][: len(size)] != window[1][len(size) :]:
            return None
        stride, pads, dilation = window
        counted, ceiling = bool(a.get("count_include_pad", 0)), bool(a.get("ceil_mode", 0))
        return self.build.pool(
            name, x, operation, size, stride, pads[: len(size)], dilation,
            ceiling=ceiling, count_padding=counted,
        )  # fmt: skip

    def on_GlobalAveragePool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The mean of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "mean", keep=True)

    def on_GlobalMaxPool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The maximum of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "maximum", keep=True)
