"""The torch operations that symlump reads: one method each, named after the operation.

A method gets the arguments of a call by name and returns what the call gives, as a graph value
(:class:`Ref`), or None where it does not fit (then the operation counts as unknown).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.network.activations.table import Activation, activation, leaky_relu, polynomial
from symlump.network.activations.torch_modules import activation_of
from symlump.network.exchange.build import GraphBuilder, inverse, product, window
from symlump.network.nodes import Affine, Apply, Concatenate, Pool, Shape, Softmax
from symlump.ode.exact import FloatArray


@dataclass(frozen=True)
class Ref:
    """A value of the graph, by the name of its node."""

    name: str


@dataclass(frozen=True)
class Samples:
    """The number of samples, which the graph leaves open."""


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
_SAME = (
    "alias",
    "clone",
    "contiguous",
    "detach",
    "lift_fresh",
    "lift_fresh_copy",
    "to",
    "_to_copy",
)
_RESHAPES = (
    "view",
    "reshape",
    "_unsafe_view",
    "flatten",
    "squeeze",
    "unsqueeze",
    "expand",
    "expand_as",
)
_DROPOUTS = ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")


def array_of(tensor: torch.Tensor) -> FloatArray:
    """A tensor's numbers in float64."""
    return np.array(tensor.detach().cpu().to(torch.float64).numpy())


class Operations:
    """Reads one call at a time into a builder."""

    def __init__(self, build: GraphBuilder) -> None:
        self.build = build

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
            The shape of the result without the samples, where it has one.
        """
        first = next(iter(a.values()), None)
        if operation in _DROPOUTS and isinstance(first, Ref):
            return first if not a["train"] else None
        if operation in _SAME and isinstance(first, Ref):
            return first
        if operation in _RESHAPES and isinstance(first, Ref) and result is not None:
            return self._reshape(operation, name, first, result)
        phi = self._activation(operation, name, a)
        if phi is not None and isinstance(first, Ref):
            return Ref(self.build.add(Apply(self.build.free(name), (first.name,), phi)))
        method = getattr(self, f"on_{operation}", None)
        return None if method is None else method(name, a)

    def _activation(self, operation: str, name: str, a: Arguments) -> Activation | None:
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
        if operation == "pow" and isinstance(a["exponent"], int) and 0 < a["exponent"] <= 12:
            return polynomial([0.0] * a["exponent"] + [1.0])
        return None

    def _reshape(self, operation: str, name: str, x: Ref, result: Shape) -> Ref | None:
        before = self.build.shapes[x.name]
        if operation.startswith("expand") and before[:1] == result[:1] and set(before[1:]) <= {1}:
            return x  # sums and products spread it by themselves
        reshaped = self.build.reshaped(name, x.name, result)
        return None if reshaped is None else Ref(reshaped)

    def on_linear(self, name: str, a: Arguments) -> Ref | None:
        """W·x + b."""
        return self._affine(name, a["input"], a["weight"], a["bias"])

    def on_addmm(self, name: str, a: Arguments) -> Ref | None:
        """A bias plus x·W."""
        if a["beta"] != 1 or a["alpha"] != 1 or not isinstance(a["mat2"], torch.Tensor):
            return None
        return self._affine(name, a["mat1"], a["mat2"].T, a["self"])

    def on_mm(self, name: str, a: Arguments) -> Ref | None:
        """x·W."""
        other = a.get("mat2", a.get("other"))
        if not isinstance(other, torch.Tensor) or other.ndim != 2:
            return None
        return self._affine(name, a["self"], other.T, None)

    on_matmul = on_mm

    def on_convolution(self, name: str, a: Arguments) -> Ref | None:
        """Any convolution; grouped ones only where each group has one channel."""
        x, weight = a["input"], a["weight"]
        if a.get("transposed") or not isinstance(x, Ref) or not isinstance(weight, torch.Tensor):
            return None
        rank, groups = weight.ndim - 2, a["groups"]
        channels = self.build.shapes[x.name][0]
        if groups not in (1, channels):
            return None
        stride, dilation = window(a["stride"], rank), window(a["dilation"], rank)
        padding = a["padding"]
        if isinstance(padding, str):
            reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
            if padding == "same" and any(r % 2 for r in reach):
                return None  # pads more on one side
            padding = [0 if padding == "valid" else r // 2 for r in reach]
        geometry = (stride, window(padding, rank), dilation)
        return self._affine(name, x, weight, a["bias"], geometry, groups > 1)

    on_conv1d = on_conv2d = on_conv3d = on_convolution

    def _affine(
        self,
        name: str,
        x: Any,
        weight: Any,
        bias: Any,
        geometry: tuple[Shape, Shape, Shape] = ((), (), ()),
        depthwise: bool = False,
    ) -> Ref | None:
        if not isinstance(x, Ref) or not isinstance(weight, torch.Tensor):
            return None
        if bias is not None and not isinstance(bias, torch.Tensor):
            return None
        numbers = None if bias is None else array_of(bias).ravel()
        node = Affine(
            self.build.free(name), (x.name,), array_of(weight), numbers, *geometry, depthwise
        )
        return Ref(self.build.add(node))

    def on_batch_norm(self, name: str, a: Arguments) -> Ref | None:
        """γ·(x − mean)/√(variance + ε) + β with the stored mean and variance."""
        mean, variance = a["running_mean"], a["running_var"]
        held = isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor)
        if a.get("training") or not held or not isinstance(a["input"], Ref):
            return None
        statistics = array_of(mean), array_of(variance)
        gamma, beta = (
            np.full(len(statistics[0]), otherwise) if a[part] is None else array_of(a[part])
            for part, otherwise in (("weight", 1.0), ("bias", 0.0))
        )
        x = a["input"].name
        return Ref(self.build.batch_norm(name, x, *statistics, float(a["eps"]), gamma, beta))

    def on__native_batch_norm_legit_no_training(self, name: str, a: Arguments) -> Any:
        """The same, with statistics of no interest here."""
        result = self.on_batch_norm(name, a)
        return None if result is None else (result, None, None)

    def on_add(self, name: str, a: Arguments) -> Ref | None:
        """Values, or a value and a constant; the second times alpha."""
        return self._sum(name, a["self"], a["other"], 1.0, float(a.get("alpha") or 1))

    def on_sub(self, name: str, a: Arguments) -> Ref | None:
        """The second, times alpha, subtracted."""
        return self._sum(name, a["self"], a["other"], 1.0, -float(a.get("alpha") or 1))

    def on_rsub(self, name: str, a: Arguments) -> Ref | None:
        """The other way round."""
        return self._sum(name, a["self"], a["other"], -float(a.get("alpha") or 1), 1.0)

    def _sum(self, name: str, x: Any, y: Any, a: float, b: float) -> Ref | None:
        if not isinstance(x, Ref):
            x, y, a, b = y, x, b, a
        if not isinstance(x, Ref):
            return None
        if isinstance(y, Ref):
            terms = [
                term.name if c == 1 else self.build.scale(f"{name}.term", term.name, c)
                for term, c in ((x, a), (y, b))
            ]
            return Ref(self.build.combine(name, "add", terms))
        constant = _constant(y)
        if constant is None:
            return None
        moved, radius = product(b, constant)
        return Ref(self.build.scale(name, x.name, a, moved, 0.0, radius))

    def on_mul(self, name: str, a: Arguments) -> Ref | None:
        """Values, or a value and a constant."""
        x, y = a["self"], a["other"]
        x, y = (x, y) if isinstance(x, Ref) else (y, x)
        if not isinstance(x, Ref):
            return None
        if isinstance(y, Ref):
            return Ref(self.build.combine(name, "multiply", [x.name, y.name]))
        factor = _constant(y)
        return None if factor is None else Ref(self.build.scale(name, x.name, factor))

    def on_square(self, name: str, a: Arguments) -> Ref | None:
        """A value times itself."""
        return self.on_mul(name, {"self": a["self"], "other": a["self"]})

    def on_div(self, name: str, a: Arguments) -> Ref | None:
        """By a constant."""
        divisor = _constant(a["other"])
        if not isinstance(a["self"], Ref) or divisor is None or a.get("rounding_mode"):
            return None
        if not divisor.all():
            return None
        factor, radius = inverse(divisor)
        return Ref(self.build.scale(name, a["self"].name, factor, None, radius))

    def on_neg(self, name: str, a: Arguments) -> Ref | None:
        """The opposite."""
        x = a["self"]
        return Ref(self.build.scale(name, x.name, -1.0)) if isinstance(x, Ref) else None

    def on_mean(self, name: str, a: Arguments) -> Ref | None:
        """The mean over the whole grid."""
        x, axes = a["self"], a.get("dim")
        if not isinstance(x, Ref) or axes is None or a.get("dtype") is not None:
            return None
        rank = len(self.build.shapes[x.name]) + 1
        if rank < 3 or sorted(d % rank for d in axes) != list(range(2, rank)):
            return None
        return Ref(self.build.mean_over_grid(name, x.name, bool(a["keepdim"])))

    def on_avg_pool2d(self, name: str, a: Arguments) -> Ref | None:
        """Means over windows."""
        return None if a.get("divisor_override") else self._pool(name, a, "average")

    def on_max_pool2d(self, name: str, a: Arguments) -> Ref | None:
        """Maxima over windows."""
        return self._pool(name, a, "maximum")

    def on_max_pool2d_with_indices(self, name: str, a: Arguments) -> Any:
        """The same, with positions of no interest here."""
        return (self._pool(name, a, "maximum"), None)

    on_avg_pool1d = on_avg_pool3d = on_avg_pool2d
    on_max_pool1d = on_max_pool3d = on_max_pool2d

    def _pool(self, name: str, a: Arguments, operation: Any) -> Ref | None:
        x = a["self"]
        if not isinstance(x, Ref):
            return None
        rank = len(self.build.shapes[x.name]) - 1
        size = window(a["kernel_size"], rank)
        node = Pool(
            self.build.free(name),
            (x.name,),
            operation,
            size,
            window(a["stride"], rank) if a["stride"] else size,
            window(a["padding"], rank),
            window(a.get("dilation", 1), rank),
            ceiling=bool(a["ceil_mode"]),
            count_padding=bool(a.get("count_include_pad", True)),
        )
        return Ref(self.build.add(node))

    def on_adaptive_avg_pool2d(self, name: str, a: Arguments) -> Ref | None:
        """Means over as many windows as the result has places."""
        return self._adaptive(name, a, "average")

    def on_adaptive_max_pool2d(self, name: str, a: Arguments) -> Any:
        """Maxima, with positions of no interest here."""
        return (self._adaptive(name, a, "maximum"), None)

    on_adaptive_avg_pool1d = on_adaptive_avg_pool3d = on_adaptive_avg_pool2d
    on__adaptive_avg_pool2d = on_adaptive_avg_pool2d
    on_adaptive_max_pool1d = on_adaptive_max_pool3d = on_adaptive_max_pool2d

    def _adaptive(self, name: str, a: Arguments, operation: Any) -> Ref | None:
        x = a["self"]
        if not isinstance(x, Ref):
            return None
        size = window(a["output_size"], len(self.build.shapes[x.name]) - 1)
        node = Pool(self.build.free(name), (x.name,), operation, size, adaptive=True)
        return Ref(self.build.add(node))

    def on_cat(self, name: str, a: Arguments) -> Ref | None:
        """Values joined by channels."""
        parts = a["tensors"]
        if not all(isinstance(part, Ref) for part in parts) or not self._by_channels(parts[0], a):
            return None
        names = tuple(part.name for part in parts)
        return Ref(self.build.add(Concatenate(self.build.free(name), names)))

    def on_split(self, name: str, a: Arguments) -> Any:
        """Consecutive ranges of channels."""
        x = a["self"]
        if not isinstance(x, Ref) or not self._by_channels(x, a):
            return None
        width = self.build.shapes[x.name][0]
        if "chunks" in a:
            sizes: Any = -(-width // a["chunks"])
        else:
            sizes = a["split_sizes"] if "split_sizes" in a else a["split_size"]
        steps = [sizes] * -(-width // sizes) if isinstance(sizes, int) else sizes
        ends = np.minimum(np.cumsum([0, *steps]), width).tolist()
        pairs = zip(ends, ends[1:], strict=False)
        return tuple(Ref(self.build.part(name, x.name, b, e)) for b, e in pairs)

    on_chunk = on_split_with_sizes = on_split

    def on_slice(self, name: str, a: Arguments) -> Ref | None:
        """A range of channels, or everything."""
        x, start, stop = a["self"], a["start"], a["end"]
        if not isinstance(x, Ref) or isinstance(start, Samples) or isinstance(stop, Samples):
            return None
        whole = start in (None, 0) and (stop is None or stop >= 2**31) and a["step"] == 1
        if whole:
            return x
        if not self._by_channels(x, a):
            return None
        return Ref(self.build.part(name, x.name, start or 0, stop, a["step"]))

    def on_softmax(self, name: str, a: Arguments) -> Ref | None:
        """Over the channels."""
        return self._softmax(name, a, False)

    def on_log_softmax(self, name: str, a: Arguments) -> Ref | None:
        """Its logarithm."""
        return self._softmax(name, a, True)

    on__softmax, on__log_softmax = on_softmax, on_log_softmax

    def _softmax(self, name: str, a: Arguments, logarithm: bool) -> Ref | None:
        x = a["self"]
        if not isinstance(x, Ref) or not self._by_channels(x, a) or a.get("dtype") is not None:
            return None
        return Ref(self.build.add(Softmax(self.build.free(name), (x.name,), logarithm)))

    def _by_channels(self, x: Ref, a: Arguments) -> bool:
        return int(a["dim"]) % (len(self.build.shapes[x.name]) + 1) == 1


def _constant(value: Any) -> FloatArray | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.array(float(value))
    return array_of(value) if isinstance(value, torch.Tensor) else None
