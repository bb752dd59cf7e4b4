"""The operators of ONNX that symlump reads: one method each, named after the operator.

A method gets the inputs of a node (a :class:`~symlump.network.exchange.views.View` for values that
depend on the network's inputs, arrays for constants, None for those left out) and its attributes, and
returns the outputs, or None where the node does not fit (then it counts as unknown).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.network.activations.activation import Activation
from symlump.network.activations.table import (
    ACTIVATIONS,
    celu,
    elu,
    hard_tanh,
    leaky_relu,
    polynomial,
    soft_shrink,
)
from symlump.network.exchange.doubts import product
from symlump.network.exchange.onnx_constants import constant, floats
from symlump.network.exchange.onnx_layer_ops import LayerOperators
from symlump.network.exchange.onnx_shape_ops import refuse_attribute
from symlump.network.exchange.views import View

Array = npt.NDArray[Any]
Inputs = list[Any]
Attributes = dict[str, Any]

_PLAIN = {row.onnx: row for row in ACTIVATIONS.values() if row.onnx and not row.onnx_attributes}


class Operators(LayerOperators):
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
        if operator == "Gelu" and a.get("approximate", b"none") != b"none":
            return ACTIVATIONS["gelu_tanh"]
        if operator == "Selu" and {"alpha", "gamma"} <= a.keys():
            for key, usual in (("alpha", 1.6732632), ("gamma", 1.050701)):
                if abs(a[key] - usual) >= 1e-4:
                    raise refuse_attribute("", a, key, f"of Selu, which has {usual}")
            return ACTIVATIONS["selu"]
        if operator in _PLAIN:
            return _PLAIN[operator] if operator != "Swish" or a.get("alpha", 1.0) == 1 else None
        if operator == "HardSigmoid":  # a sixth is no float, so any rounding of it is meant as one
            sixth = abs(a.get("alpha", 0.2) - 1 / 6) < 1e-7 and a.get("beta", 0.5) == 0.5
            return ACTIVATIONS["hard_sigmoid"] if sixth else None
        if operator == "LeakyRelu":
            return leaky_relu(a.get("alpha", float(np.float32(0.01))))
        if operator == "Elu":
            return elu(a.get("alpha", 1.0))
        if operator == "Celu":
            return celu(a.get("alpha", 1.0))
        if operator == "Shrink" and a.get("bias", 0.0) == a.get("lambd", 0.5):
            return soft_shrink(a["bias"])
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
        if operator == "HardSigmoid":
            return ("hardsigmoid", a.get("alpha", 0.2), a.get("beta", 0.5))
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
        return None

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
        return self.build.divided(name, first, floats(second))

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
        if len(x) != 2:
            return None
        first, second = x if isinstance(x[0], View) else x[::-1]
        if isinstance(second, np.ndarray):
            return self.build.limited(name, first, floats(second), how)
        return self.build.pair(name, [first, second], how)

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
        return self.build.argmax(name, x[0], a.get("axis", 0), bool(a.get("keepdims", 1)))

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
}


def _number(x: Inputs, position: int, otherwise: float | None) -> float | None:
    if len(x) > position and isinstance(x[position], np.ndarray) and x[position].size == 1:
        return float(x[position].ravel()[0])
    return otherwise
