"""Operations of torch that are layers: dense, convolutions, norms, pools, attention; see :mod:`.export_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from symlump.network.exchange.build import window
from symlump.network.exchange.export_shape_ops import Arguments, ShapeOperations
from symlump.network.exchange.views import View
from symlump.network.torch_parts import array_of


class LayerOperations(ShapeOperations):
    """Reads one at a time into a builder."""

    def on_linear(self, name: str, a: Arguments) -> View | None:
        """W·x + b."""
        return self._linear(name, a["input"], a["weight"], a["bias"])

    def on_addmm(self, name: str, a: Arguments) -> View | None:
        """A bias plus x·W."""
        if a["beta"] != 1 or a["alpha"] != 1 or not isinstance(a["mat2"], torch.Tensor):
            return None
        return self._linear(name, a["mat1"], a["mat2"].T, a["self"])

    def on_matmul(self, name: str, a: Arguments) -> View | None:
        """x·W, or a product of two values."""
        x: Any = a["self"]
        other: Any = a.get("mat2", a.get("other"))
        if isinstance(x, View) and isinstance(other, View):
            return self.build.matmul(name, x, other)
        if isinstance(other, torch.Tensor) and other.ndim == 2:
            return self._linear(name, x, other.T, None)
        turned = isinstance(x, torch.Tensor) and isinstance(other, View)
        if turned and x.ndim == 2 and len(other.axes) > 2:
            return self.build.left_product(name, array_of(x), other)
        return None

    on_mm = on_bmm = on_matmul

    def _linear(self, name: str, x: Any, weight: Any, bias: Any) -> View | None:
        held = isinstance(weight, torch.Tensor) and (bias is None or isinstance(bias, torch.Tensor))
        if not isinstance(x, View) or not held or weight.ndim != 2:
            return None
        return self.build.linear(
            name, x, array_of(weight), None if bias is None else array_of(bias).ravel()
        )

    def on_convolution(self, name: str, a: Arguments) -> View | None:
        """Any convolution."""
        x, weight, bias = a["input"], a["weight"], a["bias"]
        if not isinstance(x, View) or not isinstance(weight, torch.Tensor):
            return None
        rank, groups = weight.ndim - 2, a["groups"]
        stride, dilation = window(a["stride"], rank), window(a["dilation"], rank)
        numbers = None if bias is None else array_of(bias).ravel()
        if a.get("transposed"):
            return self._transposed(name, a)
        padding = a["padding"]
        if isinstance(padding, str):
            reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
            if padding == "same" and any(r % 2 for r in reach):
                before = [r // 2 for r in reach]
                after = [r - r // 2 for r in reach]
                x = self.build.padded(f"{name}.pad", x, [0, *before], [0, *after], 0.0)
                padding = "valid"
            padding = [0 if padding == "valid" else r // 2 for r in reach]
        return self.build.convolution(
            name, x, array_of(weight), numbers, stride, window(padding, rank), dilation, groups
        )

    on_conv1d = on_conv2d = on_conv3d = on_convolution

    def on_conv_transpose2d(self, name: str, a: Arguments) -> View | None:
        """The transpose of a convolution."""
        return self._transposed(name, a)

    on_conv_transpose1d = on_conv_transpose3d = on_conv_transpose2d

    def _transposed(self, name: str, a: Arguments) -> View | None:
        x, weight, bias = a["input"], a["weight"], a["bias"]
        if not isinstance(x, View) or not isinstance(weight, torch.Tensor):
            return None
        rank = weight.ndim - 2
        return self.build.transposed_convolution(
            name, x, array_of(weight), None if bias is None else array_of(bias),
            stride=window(a["stride"], rank), padding=window(a["padding"], rank),
            dilation=window(a["dilation"], rank), groups=a["groups"],
            extra=window(a["output_padding"], rank),
        )  # fmt: skip

    def on_batch_norm(self, name: str, a: Arguments) -> View | None:
        """γ·(x − mean)/√(variance + ε) + β with the stored mean and variance."""
        mean, variance = a["running_mean"], a["running_var"]
        held = isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor)
        if a.get("training") or not held or not isinstance(a["input"], View):
            return None
        statistics = array_of(mean), array_of(variance)
        gamma, beta = (
            np.full(len(statistics[0]), otherwise) if a[part] is None else array_of(a[part])
            for part, otherwise in (("weight", 1.0), ("bias", 0.0))
        )
        return self.build.batch_norm(name, a["input"], *statistics, float(a["eps"]), gamma, beta)

    def on__native_batch_norm_legit_no_training(self, name: str, a: Arguments) -> Any:
        """A batch norm by its stored statistics; those it also returns are of no interest here."""
        result = self.on_batch_norm(name, a)
        return None if result is None else (result, None, None)

    def on_layer_norm(self, name: str, a: Arguments) -> View | None:
        """(x − mean)/√(variance + ε)·γ + β, along the last axes."""
        return self._normalise(name, a["input"], a, centred=True)

    def on_native_layer_norm(self, name: str, a: Arguments) -> Any:
        """A layer norm; the statistics that it also returns are of no interest here."""
        result = self._normalise(name, a["input"], a, centred=True)
        return None if result is None else (result, None, None)

    def on_rms_norm(self, name: str, a: Arguments) -> View | None:
        """x/√(mean of squares + ε)·γ, along the last axes."""
        eps = a["eps"] if a["eps"] is not None else self.precision
        return self._normalise(name, a["input"], {**a, "eps": eps}, centred=False)

    def _normalise(self, name: str, x: Any, a: Arguments, centred: bool) -> View | None:
        if not isinstance(x, View):
            return None
        rank, count = len(x.axes), len(a["normalized_shape"])
        arrays = [array_of(part) for part in (a["weight"], a.get("bias")) if part is not None]
        if a["weight"] is None and a.get("bias") is not None:
            return None
        return self.build.along(
            name,
            "normalise",
            x,
            range(rank - count, rank),
            arrays=arrays,
            eps=a["eps"],
            centred=centred,
        )

    def on_group_norm(self, name: str, a: Arguments) -> View | None:
        """(x − mean)/√(variance + ε)·γ + β, along groups of channels and the grid."""
        x, groups = a["input"], a["num_groups"]
        shape = x.shape
        cut = x.reshaped((shape[0], groups, shape[1] // groups, *shape[2:]))
        if cut is None:
            return None
        axes = range(2, len(shape) + 1)
        value = self.build.along(name, "normalise", cut, axes, eps=a["eps"], centred=True)
        back = value.reshaped(shape)
        if back is None or a["weight"] is None:
            return back
        spread = (-1, *(1,) * (len(shape) - 2))
        factor, constant = (array_of(a[part]).reshape(spread) for part in ("weight", "bias"))
        return self.build.scale(f"{name}.scale", back, factor, constant)

    def on_instance_norm(self, name: str, a: Arguments) -> View | None:
        """(x − mean)/√(variance + ε)·γ + β, along the grid of each channel."""
        if not a["use_input_stats"]:
            return None
        return self.on_group_norm(name, {**a, "num_groups": a["input"].shape[1]})

    def on_avg_pool2d(self, name: str, a: Arguments) -> View | None:
        """Means over windows."""
        return None if a.get("divisor_override") else self._pool(name, a, "average")

    def on_max_pool2d(self, name: str, a: Arguments) -> View | None:
        """Maxima over windows."""
        return self._pool(name, a, "maximum")

    def on_max_pool2d_with_indices(self, name: str, a: Arguments) -> Any:
        """Maxima over windows; where they are is of no interest here."""
        return (self._pool(name, a, "maximum"), None)

    on_avg_pool1d = on_avg_pool3d = on_avg_pool2d

    on_max_pool1d = on_max_pool3d = on_max_pool2d

    def _pool(self, name: str, a: Arguments, operation: Any) -> View | None:
        x = a["self"]
        if not isinstance(x, View):
            return None
        rank = len(x.axes) - 2
        size = window(a["kernel_size"], rank)
        return self.build.pool(
            name,
            x,
            operation,
            size,
            window(a["stride"], rank) if a["stride"] else size,
            window(a["padding"], rank),
            window(a.get("dilation", 1), rank),
            ceiling=bool(a["ceil_mode"]),
            count_padding=bool(a.get("count_include_pad", True)),
        )

    def on_adaptive_avg_pool2d(self, name: str, a: Arguments) -> View | None:
        """Means over as many windows as the result has places."""
        return self._adaptive(name, a, "average")

    def on_adaptive_max_pool2d(self, name: str, a: Arguments) -> Any:
        """Maxima, with positions of no interest here."""
        return (self._adaptive(name, a, "maximum"), None)

    on_adaptive_avg_pool1d = on_adaptive_avg_pool3d = on_adaptive_avg_pool2d

    on__adaptive_avg_pool2d = on_adaptive_avg_pool2d

    on_adaptive_max_pool1d = on_adaptive_max_pool3d = on_adaptive_max_pool2d

    def _adaptive(self, name: str, a: Arguments, operation: Any) -> View | None:
        x = a["self"]
        if not isinstance(x, View):
            return None
        rank = len(x.axes) - 2
        wanted = a["output_size"]
        sizes = window(wanted if isinstance(wanted, int) else [n or 0 for n in wanted], rank)
        size = tuple(n or x.shape[2 + k] for k, n in enumerate(sizes))
        return self.build.pool(name, x, operation, size, adaptive=True)

    def on_repeat(self, name: str, a: Arguments) -> View | None:
        """A value so often along each axis."""
        x, times = a["self"], a["repeats"]
        if not isinstance(x, View) or not all(isinstance(n, int) for n in times):
            return None
        return self.build.repeat(name, x, times)

    on_tile = on_repeat

    def on_repeat_interleave(self, name: str, a: Arguments) -> View | None:
        """Heads that several queries share, each so often."""
        x, times, axis = a["self"], a.get("repeats"), a.get("dim")
        if not isinstance(x, View) or not isinstance(times, int) or axis not in (1, -3):
            return None
        return self.build.repeated_heads(name, x, times)

    def on_scaled_dot_product_attention(self, name: str, a: Arguments) -> View | None:
        """softmax(q·kᵀ/√d + mask)·v."""
        values = [a[part] for part in ("query", "key", "value")]
        mask = a["attn_mask"]
        if not all(isinstance(v, View) and len(v.axes) > 2 for v in values):
            return None
        if a["dropout_p"] or (mask is not None and not isinstance(mask, torch.Tensor)):
            return None
        arrays = []
        if mask is not None:
            held = array_of(mask)
            arrays = [np.where(held > 0, 0.0, -1e30) if mask.dtype == torch.bool else held]
        width = values[0].shape[-1]
        scale = width**-0.5 if a["scale"] is None else float(a["scale"])
        causal = bool(a["is_causal"])
        q, k, v = values
        found = self.build.attention(name, (q, k, v), scale, causal, *arrays)
        if found is not None or a.get("enable_gqa"):
            return found
        names = [
            self.build.plain(f"{name}.{part}", v) for part, v in zip("qkv", values, strict=True)
        ]
        options = {"causal": causal, "scale": scale}
        return self.build.step(name, "attend", names, options, arrays)
