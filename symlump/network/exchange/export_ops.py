"""The torch operations that symlump reads: one method each, named after the operation.

A method gets the arguments of a call by name and returns what the call gives, as a value of the network
(:class:`~symlump.network.exchange.views.View`), or None where it does not fit (then the operation counts as
unknown).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.network.activations.table import Activation, activation, leaky_relu, polynomial
from symlump.network.activations.torch_modules import activation_of
from symlump.network.exchange.build import window
from symlump.network.exchange.doubts import inverse, product
from symlump.network.exchange.export_shape_ops import ShapeOperations, array_of, constant_of
from symlump.network.exchange.views import View
from symlump.network.nodes import Pool, Shape

Arguments = dict[str, Any]

#: Activations of torch by operation: the module that does the same.
_MODULES: dict[str, Callable[[Arguments], nn.Module]] = {
    "relu": lambda a: nn.ReLU(),
    "relu6": lambda a: nn.ReLU6(),
    "tanh": lambda a: nn.Tanh(),
    "sigmoid": lambda a: nn.Sigmoid(),
    "silu": lambda a: nn.SiLU(),
    "gelu": lambda a: nn.GELU(a["approximate"]),
    "softplus": lambda a: nn.Softplus(a["beta"], a["threshold"]),
    "leaky_relu": lambda a: nn.LeakyReLU(a["negative_slope"]),
    "hardtanh": lambda a: nn.Hardtanh(a["min_val"], a["max_val"]),
}
_NAMED = {"abs": "abs", "sin": "sin", "cos": "cos", "exp": "exp"}

#: Functions of one number that are no activations of the table: their name there, and what follows it.
_FUNCTIONS: dict[str, Callable[[Arguments], tuple[Any, ...]]] = {
    "hardswish": lambda a: ("hardswish",),
    "hardsigmoid": lambda a: ("hardsigmoid", 1 / 6, 0.5),
    "mish": lambda a: ("mish",),
    "selu": lambda a: ("selu",),
    "celu": lambda a: ("celu", float(a["alpha"])),
    "softsign": lambda a: ("softsign",),
    "log_sigmoid": lambda a: ("logsigmoid",),
    "erf": lambda a: ("erf",),
    "sqrt": lambda a: ("sqrt",),
    "rsqrt": lambda a: ("power", -0.5),
    "reciprocal": lambda a: ("reciprocal",),
    "log": lambda a: ("log",),
    "sign": lambda a: ("sign",),
    "floor": lambda a: ("floor",),
    "ceil": lambda a: ("ceil",),
    "round": lambda a: ("round",),
}
_SAME = (
    "alias",
    "clone",
    "contiguous",
    "detach",
    "lift_fresh",
    "lift_fresh_copy",
    "to",
    "type_as",
    "_to_copy",
)
_DROPOUTS = ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")


class Operations(ShapeOperations):
    """Reads one call at a time into a builder."""

    def read(self, operation: str, name: str, a: Arguments, result: Shape | None) -> Any:
        """What a call gives; None where it is not known.

        Parameters
        ----------
        operation : str
            Such as ``"conv2d"``.
        name : str
            For the node.
        a : dict
            The arguments by name, defaults filled in.
        result : tuple of int or None
            The shape of the result, samples included, where it has one.
        """
        first = next(iter(a.values()), None)
        if isinstance(first, View):
            if operation in _DROPOUTS:
                return first if not a["train"] else None
            if operation in _SAME:
                return first
            if operation in self.RESHAPES and result is not None:
                reshaped = first.reshaped(result)
                return None if reshaped is None else reshaped.labelled(name, first)
            phi = self._activation(operation, name, a)
            if phi is not None:
                return self.build.apply(name, first, phi)
            function = self._function(operation, a)
            if function is not None:
                return self.build.function(name, first, *function)
        self.result = result
        method = getattr(self, f"on_{operation}", None)
        found = None if method is None else method(name, a)
        return found.labelled(name, first) if isinstance(found, View) else found

    def _activation(self, operation: str, name: str, a: Arguments) -> Activation | None:
        if operation == "gelu" and a["approximate"] != "none":
            return None
        if operation in _MODULES:
            return activation_of(name, _MODULES[operation](a))
        if operation in _NAMED:
            return activation(_NAMED[operation])
        if operation == "elu" and a["scale"] == 1 and a["input_scale"] == 1:
            return activation_of(name, nn.ELU(a["alpha"]))
        if operation == "prelu" and isinstance(a["weight"], torch.Tensor):
            slopes = np.unique(array_of(a["weight"]))  # one for each channel, or one for all
            return leaky_relu(float(slopes[0])) if len(slopes) == 1 else None
        if operation in ("clamp", "clamp_min") and a["min"] == 0 and a.get("max") is None:
            return activation("relu")
        if operation == "clamp" and None not in (a["min"], a["max"]):
            return activation_of(name, nn.Hardtanh(a["min"], a["max"]))
        exponent = a.get("exponent")
        if operation == "pow" and isinstance(exponent, int) and 0 < exponent <= 12:
            return polynomial([0.0] * exponent + [1.0])
        return None

    def _function(self, operation: str, a: Arguments) -> tuple[Any, ...] | None:
        if operation in _FUNCTIONS:
            return _FUNCTIONS[operation](a)
        if operation == "gelu":
            return ("tanh gelu",)
        if operation == "pow" and isinstance(a["exponent"], int | float):
            return ("power", float(a["exponent"]))
        if operation in ("clamp", "clamp_min", "clamp_max"):
            ends = [a.get(end) for end in ("min", "max")]
            if all(end is None or isinstance(end, int | float) for end in ends):
                low, high = ends
                if low is not None and high is None:
                    return ("least", float(low))
                if high is not None and low is None:
                    return ("most", float(high))
        return None

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
            rank = len(other.axes)  # W·x is x·W turned round
            swap = (*range(rank - 2), rank - 1, rank - 2)
            product = self._linear(name, other.transposed(swap), x, None)
            return None if product is None else product.transposed(swap)
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
        """The transpose of a convolution, left as it is."""
        return self._transposed(name, a)

    on_conv_transpose1d = on_conv_transpose3d = on_conv_transpose2d

    def _transposed(self, name: str, a: Arguments) -> View | None:
        x, weight, bias = a["input"], a["weight"], a["bias"]
        if not isinstance(x, View) or not isinstance(weight, torch.Tensor):
            return None
        rank = weight.ndim - 2
        return self.build.opaque_convolution(
            name, x, array_of(weight), None if bias is None else array_of(bias),
            stride=window(a["stride"], rank), padding=window(a["padding"], rank),
            dilation=window(a["dilation"], rank), groups=a["groups"], transposed=True,
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
        """The same, with statistics of no interest here."""
        result = self.on_batch_norm(name, a)
        return None if result is None else (result, None, None)

    def on_layer_norm(self, name: str, a: Arguments) -> View | None:
        """(x − mean)/√(variance + ε)·γ + β, along the last axes."""
        return self._normalise(name, a["input"], a, centred=True)

    def on_native_layer_norm(self, name: str, a: Arguments) -> Any:
        """The same, with statistics of no interest here."""
        result = self._normalise(name, a["input"], a, centred=True)
        return None if result is None else (result, None, None)

    def on_rms_norm(self, name: str, a: Arguments) -> View | None:
        """x/√(mean of squares + ε)·γ, along the last axes."""
        eps = a["eps"] if a["eps"] is not None else float(np.finfo(np.float32).eps)
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

    def on_add(self, name: str, a: Arguments) -> View | None:
        """Values, or a value and a constant; the second times alpha."""
        return self._sum(name, a["self"], a["other"], 1.0, float(a.get("alpha") or 1))

    def on_sub(self, name: str, a: Arguments) -> View | None:
        """The second, times alpha, subtracted."""
        return self._sum(name, a["self"], a["other"], 1.0, -float(a.get("alpha") or 1))

    def on_rsub(self, name: str, a: Arguments) -> View | None:
        """The other way round."""
        return self._sum(name, a["self"], a["other"], -float(a.get("alpha") or 1), 1.0)

    def _sum(self, name: str, x: Any, y: Any, a: float, b: float) -> View | None:
        if not isinstance(x, View):
            x, y, a, b = y, x, b, a
        if not isinstance(x, View):
            return None
        if isinstance(y, View):
            terms = [
                term if c == 1 else self.build.scale(f"{name}.term", term, c)
                for term, c in ((x, a), (y, b))
            ]
            return self.build.combine(name, "add", terms)
        constant = constant_of(y)
        if constant is None:
            return None
        moved, radius = product(b, constant)
        return self.build.scale(name, x, a, moved, 0.0, radius)

    def on_mul(self, name: str, a: Arguments) -> View | None:
        """Values, or a value and a constant."""
        x, y = a["self"], a["other"]
        x, y = (x, y) if isinstance(x, View) else (y, x)
        if not isinstance(x, View):
            return None
        if isinstance(y, View):
            return self.build.combine(name, "multiply", [x, y])
        factor = constant_of(y)
        return None if factor is None else self.build.scale(name, x, factor)

    def on_square(self, name: str, a: Arguments) -> View | None:
        """A value times itself."""
        return self.on_mul(name, {"self": a["self"], "other": a["self"]})

    def on_div(self, name: str, a: Arguments) -> View | None:
        """By a constant, or by a value."""
        x, y = a["self"], a["other"]
        if a.get("rounding_mode"):
            return None
        if isinstance(y, View):
            one = self.build.function(f"{name}.reciprocal", y, "reciprocal")
            return self.on_mul(name, {"self": x, "other": one})
        divisor = constant_of(y)
        if not isinstance(x, View) or divisor is None:
            return None
        if not divisor.all():
            return None
        factor, radius = inverse(divisor)
        return self.build.scale(name, x, factor, None, radius)

    def on_neg(self, name: str, a: Arguments) -> View | None:
        """The opposite."""
        x = a["self"]
        return self.build.scale(name, x, -1.0) if isinstance(x, View) else None

    def on_maximum(self, name: str, a: Arguments) -> View | None:
        """The larger of two values."""
        return self._pair(name, a, "maximum")

    def on_minimum(self, name: str, a: Arguments) -> View | None:
        """The smaller of two values."""
        return self._pair(name, a, "minimum")

    def _pair(self, name: str, a: Arguments, how: str) -> View | None:
        values = [a["self"], a["other"]]
        if not all(isinstance(value, View) for value in values):
            return None
        like, names = self.build.alike(name, values)
        return self.build.like(like, self.build.step(name, "pair", names, {"how": how}))

    def on_avg_pool2d(self, name: str, a: Arguments) -> View | None:
        """Means over windows."""
        return None if a.get("divisor_override") else self._pool(name, a, "average")

    def on_max_pool2d(self, name: str, a: Arguments) -> View | None:
        """Maxima over windows."""
        return self._pool(name, a, "maximum")

    def on_max_pool2d_with_indices(self, name: str, a: Arguments) -> Any:
        """The same, with positions of no interest here."""
        return (self._pool(name, a, "maximum"), None)

    on_avg_pool1d = on_avg_pool3d = on_avg_pool2d
    on_max_pool1d = on_max_pool3d = on_max_pool2d

    def _pool(self, name: str, a: Arguments, operation: Any) -> View | None:
        x = a["self"]
        if not isinstance(x, View):
            return None
        rank = len(x.axes) - 2
        size = window(a["kernel_size"], rank)
        node = Pool(
            self.build.free(name),
            (self.build.plain(name, x),),
            operation,
            size,
            window(a["stride"], rank) if a["stride"] else size,
            window(a["padding"], rank),
            window(a.get("dilation", 1), rank),
            ceiling=bool(a["ceil_mode"]),
            count_padding=bool(a.get("count_include_pad", True)),
        )
        return self.build.view(self.build.add(node))

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
        plain = self.build.plain(name, x)
        node = Pool(self.build.free(name), (plain,), operation, size, adaptive=True)
        return self.build.view(self.build.add(node))

    def on_softmax(self, name: str, a: Arguments) -> View | None:
        """Along an axis."""
        return self._softmax(name, a, False)

    def on_log_softmax(self, name: str, a: Arguments) -> View | None:
        """Its logarithm."""
        return self._softmax(name, a, True)

    on__softmax, on__log_softmax = on_softmax, on_log_softmax

    def _softmax(self, name: str, a: Arguments, logarithm: bool) -> View | None:
        x = a["self"]
        if not isinstance(x, View) or a.get("dtype") is not None:
            return None
        return self.build.softmax(name, x, int(a["dim"]), logarithm)

    def on_scaled_dot_product_attention(self, name: str, a: Arguments) -> View | None:
        """softmax(q·kᵀ/√d + mask)·v."""
        values = [a[part] for part in ("query", "key", "value")]
        mask = a["attn_mask"]
        if not all(isinstance(v, View) and len(v.axes) > 2 for v in values) or a.get("enable_gqa"):
            return None
        if a["dropout_p"] or (mask is not None and not isinstance(mask, torch.Tensor)):
            return None
        arrays = []
        if mask is not None:
            held = array_of(mask)
            arrays = [np.where(held > 0, 0.0, -1e30) if mask.dtype == torch.bool else held]
        names = [
            self.build.plain(f"{name}.{part}", v) for part, v in zip("qkv", values, strict=True)
        ]
        options = {"causal": bool(a["is_causal"]), "scale": a["scale"]}
        return self.build.step(name, "attend", names, options, arrays)
