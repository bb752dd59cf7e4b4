"""The operators of ONNX that symlump reads: one method each, named after the operator.

A method gets the inputs of a node (:class:`Ref` for values that depend on the network's inputs, arrays for
constants, None for those left out) and its attributes, and returns the outputs, or None where the node does not
fit (then it counts as unknown).
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
from symlump.network.exchange.build import GraphBuilder, doubtful, inverse, product
from symlump.network.exchange.export_ops import Ref
from symlump.network.exchange.onnx_constants import axes_of, constant
from symlump.network.nodes import Affine, Apply, Concatenate, Pool, Shape, Softmax

Array = npt.NDArray[Any]
Inputs = list[Any]
Attributes = dict[str, Any]

_PLAIN = {row.onnx: row for row in ACTIVATIONS.values() if row.onnx and not row.onnx_attributes}


class Operators:
    """Reads one node at a time into a builder."""

    def __init__(self, build: GraphBuilder, opset: int) -> None:
        self.build, self._opset = build, opset

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
        if not any(isinstance(value, Ref) for value in x):
            return constant(operator, x, a)
        if operator in ("Identity", "Dropout"):
            return x[0] if len(x) < 3 or x[2] is None or not np.any(x[2]) else None
        phi = self._activation(operator, x, a)
        if phi is not None and isinstance(x[0], Ref):
            return Ref(self.build.add(Apply(self.build.free(name), (x[0].name,), phi)))
        method = getattr(self, f"on_{operator}", None)
        return None if method is None else method(name, x, a)

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

    def on_Shape(self, name: str, x: Inputs, a: Attributes) -> Array | None:
        """The shape, with −1 for the number of samples."""
        if a.get("start") or a.get("end") is not None:
            return None
        return np.array([-1, *self.build.shapes[x[0].name]], dtype=np.int64)

    def on_Pad(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Nothing, where nothing is added."""
        pads = x[1] if len(x) > 1 else a.get("pads")
        nothing = pads is not None and not isinstance(pads, Ref) and not np.any(pads)
        return x[0] if nothing and isinstance(x[0], Ref) else None

    def on_Gemm(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """alpha·x·W + beta·b."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not _are_arrays(weight, bias) or weight.ndim != 2 or a.get("transA", 0):
            return None
        weight, radius = product(_floats(weight), a.get("alpha", 1.0))
        if not a.get("transB", 0):
            weight, radius = weight.T, radius.T
        return self._affine(name, x[0], weight, bias, a.get("beta", 1.0), radius)

    def on_MatMul(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """x·W."""
        fits = isinstance(x[1], np.ndarray) and x[1].ndim == 2
        return self._affine(name, x[0], _floats(x[1]).T, None) if fits else None

    def _affine(
        self,
        name: str,
        x: Any,
        weight: Array,
        bias: Array | None,
        beta: float = 1.0,
        radius: Array | None = None,
        **geometry: Any,
    ) -> Ref | None:
        if not isinstance(x, Ref):
            return None
        offset, doubt = None, None
        if bias is not None:
            if bias.size not in (1, weight.shape[0]):
                return None
            offset, doubt = (
                np.broadcast_to(part.ravel(), weight.shape[:1]).copy()
                for part in product(_floats(bias), beta)
            )
        rounded = doubtful(
            np.zeros_like(weight) if radius is None else radius,
            np.zeros(len(weight)) if doubt is None else doubt,
        )
        node = Affine(self.build.free(name), (x.name,), weight, offset, doubt=rounded, **geometry)
        return Ref(self.build.add(node))

    def on_Conv(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Any convolution padded alike on both sides; grouped ones only with one channel a group."""
        weight, bias = x[1], x[2] if len(x) > 2 else None
        if not _are_arrays(weight, bias) or weight.ndim < 3 or not isinstance(x[0], Ref):
            return None
        shape, group = self.build.shapes[x[0].name], a.get("group", 1)
        window = self._window(shape, weight.shape[2:], a)
        if window is None or group not in (1, shape[0]):
            return None
        stride, padding, dilation = window
        return self._affine(
            name,
            x[0],
            _floats(weight),
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            depthwise=group > 1,
        )

    def _window(
        self, shape: Shape, kernel: Shape, a: Attributes
    ) -> tuple[Shape, Shape, Shape] | None:
        """Stride, padding and dilation; None if one side is padded more than the other."""
        rank = len(kernel)
        stride = tuple(a.get("strides", [1] * rank))
        dilation = tuple(a.get("dilations", [1] * rank))
        pads = list(a.get("pads", [0] * 2 * rank))
        how = a.get("auto_pad", b"NOTSET")
        if how in (b"SAME_UPPER", b"SAME_LOWER") and len(shape) == rank + 1:
            grid = zip(shape[1:], kernel, stride, dilation, strict=True)
            total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in grid]
            pads = [t // 2 for t in total] + [-(-t // 2) for t in total]
        elif how not in (b"NOTSET", b"VALID", b""):
            return None
        if pads[:rank] != pads[rank:]:
            return None
        return stride, tuple(pads[:rank]), dilation

    def on_BatchNormalization(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """γ·(x − mean)/√(variance + ε) + β."""
        if a.get("training_mode", 0) or not _are_arrays(*x[1:5]):
            return None
        gamma, beta, mean, variance = (_floats(part) for part in x[1:5])
        epsilon = float(a.get("epsilon", 1e-5))
        return Ref(self.build.batch_norm(name, x[0].name, mean, variance, epsilon, gamma, beta))

    def on_Add(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Values, or a value and a constant."""
        return self._sum(name, x, 1.0)

    def on_Sub(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """The second subtracted."""
        return self._sum(name, x, -1.0)

    def on_Sum(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Any number of values."""
        if not all(isinstance(value, Ref) for value in x):
            return None
        return Ref(self.build.combine(name, "add", [value.name for value in x]))

    def _sum(self, name: str, x: Inputs, sign: float) -> Ref:
        first, second = x
        if not isinstance(first, Ref):
            return Ref(self.build.scale(name, second.name, sign, _floats(first)))
        if not isinstance(second, Ref):
            return Ref(self.build.scale(name, first.name, 1.0, sign * _floats(second)))
        other = second.name if sign == 1 else self.build.scale(f"{name}.term", second.name, sign)
        return Ref(self.build.combine(name, "add", [first.name, other]))

    def on_Mul(self, name: str, x: Inputs, a: Attributes) -> Ref:
        """Values, or a value and a constant."""
        first, second = x if isinstance(x[0], Ref) else x[::-1]
        if isinstance(second, Ref):
            return Ref(self.build.combine(name, "multiply", [first.name, second.name]))
        return Ref(self.build.scale(name, first.name, _floats(second)))

    def on_Div(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """By a constant."""
        if not isinstance(x[1], np.ndarray) or not x[1].all():
            return None
        factor, radius = inverse(_floats(x[1]))
        return Ref(self.build.scale(name, x[0].name, factor, None, radius))

    def on_Neg(self, name: str, x: Inputs, a: Attributes) -> Ref:
        """The opposite."""
        return Ref(self.build.scale(name, x[0].name, -1.0))

    def on_Flatten(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Everything behind the axis of the samples."""
        return self._reshape(name, x[0], [-1, -1]) if a.get("axis", 1) == 1 else None

    def on_Reshape(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """To a constant shape."""
        target = x[1]
        fits = isinstance(target, np.ndarray) and target.ndim == 1 and target.size <= 8
        return self._reshape(name, x[0], [int(n) for n in target]) if fits else None

    def _reshape(self, name: str, x: Ref, target: list[int]) -> Ref | None:
        shape = self.build.shapes[x.name]
        sizes = list(target[1:])
        for k, n in enumerate(sizes):
            if n == 0 and k < len(shape):
                sizes[k] = shape[k]
        total = int(np.prod(shape, dtype=np.int64))
        if sizes.count(-1) == 1:
            rest = int(np.prod([n for n in sizes if n != -1], dtype=object))
            sizes[sizes.index(-1)] = total // rest if rest > 0 else 0
        known = target and (target[0] in (-1, 0) or -1 in target[1:])
        if not known or int(np.prod(sizes, dtype=object)) != total:
            return None
        reshaped = self.build.reshaped(name, x.name, tuple(sizes))
        return None if reshaped is None else Ref(reshaped)

    def on_Squeeze(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Axes of length 1 removed."""
        shape = self.build.shapes[x[0].name]
        axes = {axis % (len(shape) + 1) for axis in axes_of(x, a)}
        after = [n for k, n in enumerate(shape, start=1) if k not in axes]
        return self._reshape(name, x[0], [-1, *after]) if axes and 0 not in axes else None

    def on_Unsqueeze(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Axes of length 1 added at the end."""
        shape, axes = self.build.shapes[x[0].name], axes_of(x, a)
        rank = len(shape) + 1 + len(axes)
        behind = sorted(axis % rank for axis in axes) == list(range(len(shape) + 1, rank))
        return self._reshape(name, x[0], [-1, *shape, *(1,) * len(axes)]) if behind else None

    def on_AveragePool(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Means over windows."""
        return self._pool(name, x[0], a, "average")

    def on_MaxPool(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Maxima over windows."""
        return self._pool(name, x[0], a, "maximum")

    def _pool(self, name: str, x: Ref, a: Attributes, operation: Any) -> Ref | None:
        size = tuple(a["kernel_shape"])
        window = self._window(self.build.shapes[x.name], size, a)
        if window is None:
            return None
        counted = bool(a.get("count_include_pad", 0))
        ceiling = bool(a.get("ceil_mode", 0))
        return Ref(
            self.build.add(
                Pool(
                    self.build.free(name),
                    (x.name,),
                    operation,
                    size,
                    *window,
                    ceiling=ceiling,
                    count_padding=counted,
                )
            )
        )

    def on_GlobalAveragePool(self, name: str, x: Inputs, a: Attributes) -> Ref:
        """The mean of each channel."""
        return Ref(self.build.mean_over_grid(name, x[0].name, keep=True))

    def on_GlobalMaxPool(self, name: str, x: Inputs, a: Attributes) -> Ref:
        """The maximum of each channel."""
        grid = (1,) * (len(self.build.shapes[x[0].name]) - 1)
        pool = Pool(self.build.free(name), (x[0].name,), "maximum", grid, adaptive=True)
        return Ref(self.build.add(pool))

    def on_ReduceMean(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """The mean over the whole grid."""
        rank = len(self.build.shapes[x[0].name]) + 1
        if sorted(axis % rank for axis in axes_of(x, a)) != list(range(2, rank)) or rank < 3:
            return None
        return Ref(self.build.mean_over_grid(name, x[0].name, bool(a.get("keepdims", 1))))

    def on_Concat(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Values joined by channels."""
        if not all(isinstance(value, Ref) for value in x) or not self._by_channels(x[0], a["axis"]):
            return None
        names = tuple(value.name for value in x)
        return Ref(self.build.add(Concatenate(self.build.free(name), names)))

    def on_Gather(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Channels by number."""
        index = x[1]
        if not isinstance(index, np.ndarray) or index.ndim != 1 or index.dtype.kind != "i":
            return None
        if not self._by_channels(x[0], a.get("axis", 0)):
            return None
        index = index + np.where(index < 0, self.build.shapes[x[0].name][0], 0)
        return Ref(self.build.select(name, x[0].name, index))

    def on_Split(self, name: str, x: Inputs, a: Attributes) -> Any:
        """Consecutive ranges of channels, of stated sizes."""
        sizes = x[1] if len(x) > 1 else a.get("split")
        if sizes is None or not self._by_channels(x[0], a.get("axis", 0)):
            return None
        ends = np.cumsum([0, *(int(n) for n in sizes)]).tolist()
        pairs = zip(ends, ends[1:], strict=False)
        return tuple(Ref(self.build.part(name, x[0].name, b, e)) for b, e in pairs)

    def on_Slice(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """A range of channels."""
        if not _are_arrays(*x[1:]) or len(x) < 4 or x[1].size != 1 or x[2].size != 1:
            return None
        if x[3] is None or x[3].size != 1 or not self._by_channels(x[0], int(x[3][0])):
            return None
        step = int(x[4][0]) if len(x) > 4 and x[4] is not None else 1
        part = self.build.part(name, x[0].name, int(x[1][0]), int(x[2][0]), step)
        return Ref(part)

    def on_Softmax(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Over the channels."""
        return self._softmax(name, x[0], a, False)

    def on_LogSoftmax(self, name: str, x: Inputs, a: Attributes) -> Ref | None:
        """Its logarithm."""
        return self._softmax(name, x[0], a, True)

    def _softmax(self, name: str, x: Ref, a: Attributes, logarithm: bool) -> Ref | None:
        older = self._opset < 13  # then it ran over all axes from the given one on
        axis = a.get("axis", 1 if older else -1)
        if not self._by_channels(x, axis) or (older and len(self.build.shapes[x.name]) > 1):
            return None
        return Ref(self.build.add(Softmax(self.build.free(name), (x.name,), logarithm)))

    def _by_channels(self, x: Ref, axis: int) -> bool:
        return int(axis) % (len(self.build.shapes[x.name]) + 1) == 1


def _floats(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64)


def _are_arrays(*values: Any) -> bool:
    return all(value is None or isinstance(value, np.ndarray) for value in values) and isinstance(
        values[0], np.ndarray
    )


def _number(x: Inputs, position: int, otherwise: float | None) -> float | None:
    if len(x) > position and isinstance(x[position], np.ndarray) and x[position].size == 1:
        return float(x[position].ravel()[0])
    return otherwise
