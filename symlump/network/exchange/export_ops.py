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

from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation, leaky_relu, polynomial
from symlump.network.activations.torch_modules import activation_of
from symlump.network.exchange.doubts import product
from symlump.network.exchange.export_layer_ops import LayerOperations
from symlump.network.exchange.export_shape_ops import constant_of
from symlump.network.exchange.views import SAMPLES, View
from symlump.network.nodes import Shape
from symlump.network.torch_parts import array_of

Arguments = dict[str, Any]

#: Activations of torch by operation: the module that does the same.
_MODULES: dict[str, Callable[[Arguments], nn.Module]] = {
    "relu": lambda a: nn.ReLU(),
    "relu6": lambda a: nn.ReLU6(),
    "tanh": lambda a: nn.Tanh(),
    "sigmoid": lambda a: nn.Sigmoid(),
    "silu": lambda a: nn.SiLU(),
    "gelu": lambda a: nn.GELU(a["approximate"]),
    "mish": lambda a: nn.Mish(),
    "selu": lambda a: nn.SELU(),
    "celu": lambda a: nn.CELU(float(a["alpha"])),
    "softsign": lambda a: nn.Softsign(),
    "log_sigmoid": lambda a: nn.LogSigmoid(),
    "hardsigmoid": lambda a: nn.Hardsigmoid(),
    "hardswish": lambda a: nn.Hardswish(),
    "softshrink": lambda a: nn.Softshrink(float(a["lambd"])),
    "softplus": lambda a: nn.Softplus(a["beta"], a["threshold"]),
    "leaky_relu": lambda a: nn.LeakyReLU(a["negative_slope"]),
    "hardtanh": lambda a: nn.Hardtanh(a["min_val"], a["max_val"]),
}
_NAMED = {"abs": "abs", "sin": "sin", "cos": "cos", "exp": "exp"}

#: Functions of one number that are no activations of the table: their name there, and what follows it.
_FUNCTIONS: dict[str, Callable[[Arguments], tuple[Any, ...]]] = {
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


_USUAL = 20.0  # from where on torch takes a softplus for the identity


def _is_stretched(a: Arguments) -> bool:
    """Whether a softplus is that with β = 1, along other units."""
    return bool(a["beta"] != 1 and a["beta"] > 0 and a["threshold"] == _USUAL)


class Operations(LayerOperations):
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
                reshaped = self.build.reshaped(name, first, result)
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
        if operation in _MODULES and not (operation == "softplus" and _is_stretched(a)):
            return activation_of(name, _MODULES[operation](a))
        if operation in _NAMED:
            return activation(_NAMED[operation])
        if operation == "elu" and a["scale"] == 1 and a["input_scale"] == 1:
            return activation_of(name, nn.ELU(a["alpha"]))
        if operation == "prelu" and isinstance(a["weight"], torch.Tensor):
            slopes = np.unique(array_of(a["weight"]))  # one for each channel, or one for all
            return leaky_relu(float(slopes[0])) if len(slopes) == 1 else None
        low: Any = a.get("min")
        high: Any = a.get("max")
        plain = all(end is None or isinstance(end, int | float) for end in (low, high))
        if operation in ("clamp", "clip", "clamp_min") and plain and low == 0 and high is None:
            return activation("relu")
        if operation in ("clamp", "clip") and plain and None not in (low, high) and low < high:
            return activation_of(name, nn.Hardtanh(a["min"], a["max"]))
        exponent = a.get("exponent")
        if operation == "pow" and isinstance(exponent, int) and 0 < exponent <= 12:
            return polynomial([0.0] * exponent + [1.0])
        return None

    def _function(self, operation: str, a: Arguments) -> tuple[Any, ...] | None:
        if operation in _FUNCTIONS:
            return _FUNCTIONS[operation](a)
        if operation == "pow" and isinstance(a["exponent"], int | float):
            return ("power", float(a["exponent"]))
        if operation in ("clamp", "clip", "clamp_min", "clamp_max"):
            ends = [a.get(end) for end in ("min", "max")]
            if all(end is None or isinstance(end, int | float) for end in ends):
                low, high = ends
                if low is not None and high is None:
                    return ("least", float(low))
                if high is not None and low is None:
                    return ("most", float(high))
        return None

    def on_glu(self, name: str, a: Arguments) -> View:
        """The first half of an axis times the logistic function of the second."""
        x, axis = a["self"], int(a["dim"]) % len(a["self"].axes)
        value, gate = self.build.parts(name, x, axis, [x.shape[axis] // 2] * 2)
        opened = self.build.apply(f"{name}.gate", gate, activation("sigmoid"))
        return self.build.combine(name, "multiply", [value, opened])

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

    def on_full_like(self, name: str, a: Arguments) -> torch.Tensor | None:
        """A constant of a value's shape: the same for all samples, so there is one."""
        x, number = a["self"], a["fill_value"]
        if not isinstance(x, View) or isinstance(number, bool | complex):
            return None
        sizes = [1 if size == SAMPLES else size for size in x.sizes]
        return torch.full(sizes, float(number), dtype=torch.float64)

    def on_ones_like(self, name: str, a: Arguments) -> torch.Tensor | None:
        """1 everywhere."""
        return self.on_full_like(name, {**a, "fill_value": 1.0})

    def on_zeros_like(self, name: str, a: Arguments) -> torch.Tensor | None:
        """0 everywhere."""
        return self.on_full_like(name, {**a, "fill_value": 0.0})

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
        return self.build.divided(name, x, divisor)

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
        x, y = a["self"], a["other"]
        x, y = (x, y) if isinstance(x, View) else (y, x)
        if isinstance(y, View):
            return self.build.pair(name, [x, y], how)
        held = constant_of(y)
        return None if held is None else self.build.limited(name, x, held, how)

    def on_clamp(self, name: str, a: Arguments) -> View | None:
        """Between tensors of limits."""
        x = a["self"]
        for end, how in (("min", "maximum"), ("max", "minimum")):
            if a.get(end) is not None and x is not None:
                x = self._pair(name, {"self": x, "other": a[end]}, how)
        return x  # type: ignore[no-any-return]

    on_clip = on_clamp_min = on_clamp_max = on_clamp

    def on_softplus(self, name: str, a: Arguments) -> View | None:
        """log(1 + exp(βx))/β: as with β = 1, stretched."""
        beta = float(a["beta"])
        stretched = self.build.scale(f"{name}.times", a["self"], beta)
        value = self.build.apply(name, stretched, activation("softplus"))
        return self.build.divided(f"{name}.over", value, np.array(beta))

    def on_prelu(self, name: str, a: Arguments) -> View | None:
        """A slope of its own for each channel."""
        x, held = a["self"], constant_of(a["weight"])
        if not isinstance(x, View) or held is None or len(x.axes) < 2:
            return None
        return self.build.sloped(name, x, held.reshape((-1, *(1,) * (len(x.axes) - 2))))

    def on_masked_fill(self, name: str, a: Arguments) -> View | None:
        """A number in the places of a mask."""
        return self.on_where(name, {"condition": a["mask"], "self": a["value"], "other": a["self"]})

    def on_where(self, name: str, a: Arguments) -> View | None:
        """A value in some places, numbers in all others."""
        held, x, y = a["condition"], a["self"], a["other"]
        if not isinstance(held, torch.Tensor):
            return None
        keep = array_of(held)
        x, y, keep = (x, y, keep) if isinstance(x, View) else (y, x, 1.0 - keep)
        other = constant_of(y)
        if not isinstance(x, View) or other is None:
            return None
        other = np.where(keep > 0, 0.0, other)
        # Less than any number stays so when a number is added; else what was there is taken away.
        below = bool(np.isneginf(other[other != 0]).all())
        return self.build.scale(name, x, 1.0 if below else keep, other)

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
