"""The operators of ONNX that symlump reads: one method each, named after the operator.

A method gets the inputs of a node (a :class:`~symlump.network.exchange.views.View` for values that
depend on the network's inputs, arrays for constants, None for those left out) and its attributes, and
returns the outputs, or None where the node does not fit (then it counts as unknown).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.network.activations.table import (
    ACTIVATIONS,
    Activation,
    elu,
    hard_tanh,
    leaky_relu,
    polynomial,
)
from symlump.network.exchange.doubts import doubtful, inverse, product
from symlump.network.exchange.onnx_constants import constant, floats
from symlump.network.exchange.onnx_shape_ops import ShapeOperators
from symlump.network.exchange.views import View
from symlump.network.nodes import Pool, Shape

Array = npt.NDArray[Any]
Inputs = list[Any]
Attributes = dict[str, Any]

_PLAIN = {row.onnx: row for row in ACTIVATIONS.values() if row.onnx and not row.onnx_attributes}


class Operators(ShapeOperators):
    """Reads one node at a time into a builder.

    Parameters
    ----------
    build : GraphBuilder
    opset : int
        The version of the operators in the file.
    """

    def read(self, operator: str, name: str, x: Inputs, a: Attributes) -> Any:
        """The outputs of a node (one, or a tuple); None where it is not known.

        Parameters
        ----------
        operator : str
            Such as ``"Conv"``.
        name : str
            For the node of the graph.
        x : list
            The inputs.
        a : dict
            The attributes.
        """
        if not any(isinstance(value, View) for value in x):
            return constant(operator, x, a)
        if operator in ("Identity", "Dropout"):
            return x[0] if len(x) < 3 or x[2] is None or not np.any(x[2]) else None
        phi = self._activation(operator, x, a)
        if phi is not None and isinstance(x[0], View):
            return self.build.apply(name, x[0], phi)
        function = self._function(operator, x, a)
        if function is not None and isinstance(x[0], View):
            return self.build.function(name, x[0], *function)
        method = getattr(self, f"on_{operator}", None)
        result = None if method is None else method(name, x, a)
        return result.labelled(name, *x) if isinstance(result, View) else result

    def _activation(self, operator: str, x: Inputs, a: Attributes) -> Activation | None:
        if operator in _PLAIN and (operator != "Gelu" or a.get("approximate", b"none") == b"none"):
            return _PLAIN[operator] if operator != "Swish" or a.get("alpha", 1.0) == 1 else None
        if operator == "LeakyRelu":
            return leaky_relu(a.get("alpha", float(np.float32(0.01))))
        if operator == "Elu":
            return elu(a.get("alpha", 1.0))
        if operator == "PRelu" and isinstance(x[1], np.ndarray) and x[1].size == 1:
            return leaky_relu(float(x[1].ravel()[0]))
        if operator == "Clip":
            low, high = _number(x, 1, a.get("min")), _number(x, 2, a.get("max"))
            if (low, high) == (0, 6):
                return ACTIVATIONS["relu6"]
            if low is None or (high is None and low != 0):
                return None
            return ACTIVATIONS["relu"] if high is None else hard_tanh(low, high)
        if operator == "Pow" and isinstance(x[1], np.ndarray) and x[1].size == 1:
            exponent = float(x[1].ravel()[0])
            if exponent in range(1, 13):
                return polynomial([0.0] * int(exponent) + [1.0])
        return None

    def _function(self, operator: str, x: Inputs, a: Attributes) -> tuple[Any, ...] | None:
        """A function of one number that is none of the activations, by name and with its numbers."""
        if operator in _FUNCTIONS:
            return (_FUNCTIONS[operator],)
        if operator == "Gelu":
            return ("tanh gelu",)
        if operator == "HardSigmoid":
            return ("hardsigmoid", a.get("alpha", 0.2), a.get("beta", 0.5))
        if operator == "Celu":
            return ("celu", a.get("alpha", 1.0))
        if operator == "Clip":
            low, high = _number(x, 1, a.get("min")), _number(x, 2, a.get("max"))
            return (
                ("least", low) if low is not None else ("most", high) if high is not None else None
            )
        if operator in ("Max", "Min", "Equal") and len(x) == 2 and not isinstance(x[0], View):
            x[:] = x[::-1]
        number = _number(x, 1, None)
        if operator == "Pow" and number is not None:
            return ("power", number)
        if operator == "Equal" and number is not None:
            return ("equals", number)
        if operator in ("Max", "Min") and len(x) == 2 and number is not None:
            return ("least" if operator == "Max" else "most", number)
        if operator == "Selu" and {"alpha", "gamma"} <= a.keys():
            usual = abs(a["alpha"] - 1.6732632) < 1e-4 and abs(a["gamma"] - 1.050701) < 1e-4
            return ("selu",) if usual else None
        return ("selu",) if operator == "Selu" else None

    def on_Gemm(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """alpha·x·W + beta·b."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not _are_arrays(weight, bias) or weight.ndim != 2 or a.get("transA", 0):
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
            rank = len(second.axes)  # W·x is x·W turned round
            swap = (*range(rank - 2), rank - 1, rank - 2)
            return self.build.linear(name, second.transposed(swap), floats(first), None).transposed(
                swap
            )
        return None

    def on_Conv(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Any convolution; zeros that are more on one side are padded before it."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not _are_arrays(weight, bias) or weight.ndim < 3 or not isinstance(x[0], View):
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
        """The transpose of a convolution, left as it is."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not _are_arrays(weight, bias) or not isinstance(x[0], View) or a.get("output_shape"):
            return None
        rank = weight.ndim - 2
        pads = list(a.get("pads", [0] * 2 * rank))
        if pads[:rank] != pads[rank:] or a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        return self.build.opaque_convolution(
            name, x[0], floats(weight), None if bias is None else floats(bias),
            stride=tuple(a.get("strides", [1] * rank)), padding=tuple(pads[:rank]),
            dilation=tuple(a.get("dilations", [1] * rank)), groups=a.get("group", 1),
            transposed=True, extra=tuple(a.get("output_padding", [0] * rank)),
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
        if a.get("training_mode", 0) or not _are_arrays(*x[1:5]):
            return None
        gamma, beta, mean, variance = (floats(part) for part in x[1:5])
        epsilon = float(a.get("epsilon", 1e-5))
        return self.build.batch_norm(name, x[0], mean, variance, epsilon, gamma, beta)

    def on_LayerNormalization(self, name: str, x: Inputs, a: Attributes) -> Any:
        """(x − mean)/√(variance + ε)·γ + β, along the last axes."""
        if not _are_arrays(*x[1:]):
            return None
        axes = range(a.get("axis", -1) % len(x[0].axes), len(x[0].axes))
        arrays = [floats(part) for part in x[1:] if part is not None]
        eps = a.get("epsilon", 1e-5)
        value = self.build.along(
            name, "normalise", x[0], axes, arrays=arrays, eps=eps, centred=True
        )
        return (value, None, None)

    def on_RMSNormalization(self, name: str, x: Inputs, a: Attributes) -> Any:
        """x/√(mean of squares + ε)·γ, along the last axes."""
        if not _are_arrays(*x[1:]):
            return None
        axes = range(a.get("axis", -1) % len(x[0].axes), len(x[0].axes))
        eps, arrays = a.get("epsilon", 1e-5), [floats(part) for part in x[1:]]
        return self.build.along(
            name, "normalise", x[0], axes, arrays=arrays, eps=eps, centred=False
        )

    def on_InstanceNormalization(self, name: str, x: Inputs, a: Attributes) -> Any:
        """(x − mean)/√(variance + ε)·γ + β, along the grid of each channel."""
        if not _are_arrays(*x[1:]):
            return None
        rank, eps = len(x[0].axes), a.get("epsilon", 1e-5)
        value = self.build.along(name, "normalise", x[0], range(2, rank), eps=eps, centred=True)
        spread = (-1, *(1,) * (rank - 2))
        factor, offset = (floats(part).reshape(spread) for part in x[1:3])
        return self.build.scale(f"{name}.scale", value, factor, offset)

    def on_Add(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Values, or a value and a constant."""
        return self._sum(name, x, 1.0)

    def on_Sub(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The second subtracted."""
        return self._sum(name, x, -1.0)

    def on_Sum(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Any number of values."""
        if not all(isinstance(value, View) for value in x):
            return None
        return self.build.combine(name, "add", x)

    def _sum(self, name: str, x: Inputs, sign: float) -> View:
        first, second = x
        if not isinstance(first, View):
            return self.build.scale(name, second, sign, floats(first))
        if not isinstance(second, View):
            return self.build.scale(name, first, 1.0, sign * floats(second))
        other = second if sign == 1 else self.build.scale(f"{name}.term", second, sign)
        return self.build.combine(name, "add", [first, other])

    def on_Mul(self, name: str, x: Inputs, a: Attributes) -> View:
        """Values, or a value and a constant."""
        first, second = x if isinstance(x[0], View) else x[::-1]
        if isinstance(second, View):
            return self.build.combine(name, "multiply", [first, second])
        return self.build.scale(name, first, floats(second))

    def on_Div(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """By a constant, or by a value."""
        first, second = x
        if isinstance(second, View):
            one = self.build.function(f"{name}.reciprocal", second, "reciprocal")
            return self.on_Mul(name, [first, one], a)
        if not second.all():
            return None
        factor, radius = inverse(floats(second))
        return self.build.scale(name, first, factor, None, radius)

    def on_Neg(self, name: str, x: Inputs, a: Attributes) -> View:
        """The opposite."""
        return self.build.scale(name, x[0], -1.0)

    def on_Max(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The larger of two values."""
        return self._pair(name, x, "maximum")

    def on_Min(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """The smaller of two values."""
        return self._pair(name, x, "minimum")

    def _pair(self, name: str, x: Inputs, how: str) -> View | None:
        if len(x) != 2 or not all(isinstance(value, View) for value in x):
            return None
        like, names = self.build.alike(name, x)
        return self.build.like(like, self.build.step(name, "pair", names, {"how": how}))

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
        node = Pool(
            self.build.free(name), (self.build.plain(name, x),), operation, size, stride,
            pads[: len(size)], dilation, ceiling=ceiling, count_padding=counted,
        )  # fmt: skip
        return self.build.view(self.build.add(node))

    def on_GlobalAveragePool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The mean of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "mean", keep=True)

    def on_GlobalMaxPool(self, name: str, x: Inputs, a: Attributes) -> View:
        """The maximum of each channel."""
        return self.build.reduce(name, x[0], range(2, len(x[0].axes)), "maximum", keep=True)

    def on_Softmax(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Along an axis."""
        return self._softmax(name, x[0], a, False)

    def on_LogSoftmax(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Its logarithm."""
        return self._softmax(name, x[0], a, True)

    def _softmax(self, name: str, x: View, a: Attributes, logarithm: bool) -> View | None:
        older = self.opset < 13  # then it ran over all axes from the given one on
        axis = a.get("axis", 1 if older else -1) % len(x.axes)
        if older and any(x.axes[axis + 1 :]):
            return None
        return self.build.softmax(name, x, axis, logarithm)

    def on_ArgMax(self, name: str, x: Inputs, a: Attributes) -> View:
        """The place of the largest number along an axis, as a number."""
        axis = a.get("axis", 0) % len(x[0].axes)
        found = self.build.along(name, "argmax", x[0], [axis], one=True)
        return found if a.get("keepdims", 1) else self.build.without(found, [axis])

    def on_Scaler(self, name: str, x: Inputs, a: Attributes) -> View:
        """(x − offset)·scale, of the domain ai.onnx.ml."""
        offset, scale = (
            np.asarray(a.get(key, other)) for key, other in (("offset", 0.0), ("scale", 1.0))
        )
        constant, radius = product(-offset, scale)
        return self.build.scale(name, x[0], scale, constant, 0.0, radius)

    def on_ArrayFeatureExtractor(self, name: str, x: Inputs, a: Attributes) -> View | None:
        """Constants by number, of the domain ai.onnx.ml."""
        table, index = x
        if not isinstance(table, np.ndarray) or table.ndim != 1 or not isinstance(index, View):
            return None
        plain = self.build.plain(name, index)
        found = self.build.step(name, "embed", [plain], {}, [floats(table)[:, None]])
        return found.reshaped((1, index.shape[0])) if index.shape[1:] == (1,) else None


_FUNCTIONS = {
    "Sqrt": "sqrt",
    "Reciprocal": "reciprocal",
    "Log": "log",
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Not": "not",
    "Erf": "erf",
    "Softsign": "softsign",
    "Mish": "mish",
    "HardSwish": "hardswish",
}


def _are_arrays(*values: Any) -> bool:
    return all(value is None or isinstance(value, np.ndarray) for value in values) and isinstance(
        values[0], np.ndarray
    )


def _number(x: Inputs, position: int, otherwise: float | None) -> float | None:
    if len(x) > position and isinstance(x[position], np.ndarray) and x[position].size == 1:
        return float(x[position].ravel()[0])
    return otherwise
