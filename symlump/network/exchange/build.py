"""What readers of torch and of ONNX share: building a network node by node, with shapes known at every step."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from symlump.enclosures.interval import Interval, down, up
from symlump.errors import NetworkError
from symlump.network.activations.table import activation, polynomial
from symlump.network.network import Network, check_size
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Doubt,
    Flatten,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.precision import Dtype
from symlump.ode.exact import FloatArray, IntArray

#: Numbers that a reader may make itself, such as one factor per channel: a file can ask for any amount.
_MAX_MADE = 1 << 24
#: The smallest normal number.
_NORMAL = 2.0**-1022


class GraphBuilder:
    """Collects nodes; names are made different, shapes are checked as they come.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> build = GraphBuilder()
    >>> x = build.add(Input("x", (), (2, 3, 3)))
    >>> build.reshaped("flat", x, (18,)), build.shapes["flat"]
    ('flat', (18,))
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self._by_name: dict[str, Node] = {}
        self._numbers: defaultdict[str, int] = defaultdict(lambda: 1)
        self._made = 0

    def add(self, node: Node) -> str:
        """Add a node and return its name."""
        shape = node.shape(*(self.shapes[name] for name in node.inputs))
        check_size(node, shape)
        self.shapes[node.name] = shape
        self._by_name[node.name] = node
        self.nodes.append(node)
        return node.name

    def name_arrays(self, first: int, names: tuple[str, str]) -> None:
        """Name the weights and biases of the layers made from a place on, to tell which are the same."""
        for place, node in enumerate(self.nodes[first:], start=first):
            if isinstance(node, Affine) and any(names):
                weight, bias = names
                named = replace(node, weight_name=weight, bias_name=bias)
                self.nodes[place] = self._by_name[node.name] = named

    def free(self, name: str) -> str:
        """The name, with a number if it is taken."""
        result = name
        while result in self.shapes:
            self._numbers[name] += 1
            result = f"{name}_{self._numbers[name]}"
        return result

    def mark_computed(self, first: int) -> None:
        """Say of the layers from this number on that a library computed their weights."""
        for place, node in enumerate(self.nodes[first:], start=first):
            if isinstance(node, Affine):
                doubt = node.doubt or Doubt(np.zeros_like(node.weight), np.zeros(node.units))
                self.nodes[place] = replace(node, doubt=replace(doubt, computed=True))

    def network(self, outputs: list[str], dtype: Dtype) -> Network:
        """The finished network."""
        return Network(tuple(self.nodes), tuple(outputs), dtype)

    def scale(
        self,
        name: str,
        x: str,
        factor: FloatArray | float = 1.0,
        constant: FloatArray | float | None = None,
        factor_radius: FloatArray | float = 0.0,
        constant_radius: FloatArray | float = 0.0,
        size: FloatArray | float = 0.0,
    ) -> str:
        """factor·x + constant, both broadcast against a value with its sample axis.

        Parameters
        ----------
        factor_radius, constant_radius, size
            How far the two are, at most, from what the model means, and how large what makes the constant is.

        Raises
        ------
        NetworkError
            If one varies along another axis than that of the channels.
        """
        self._make(name, 2 * (self.shapes[x][0] if self.shapes[x] else 1))
        weight = self._by_channel(name, x, factor)
        bias = None if constant is None else self._by_channel(name, x, constant)
        radii = (self._by_channel(name, x, r) for r in (factor_radius, constant_radius, size))
        doubt = doubtful(*radii)
        if doubt is not None:
            doubt = replace(doubt, weight=doubt.weight[:, None])
        return self.add(
            Affine(self.free(name), (x,), weight[:, None], bias, depthwise=True, doubt=doubt)
        )

    def batch_norm(
        self,
        name: str,
        x: str,
        mean: FloatArray,
        variance: FloatArray,
        epsilon: float,
        gamma: FloatArray,
        beta: FloatArray,
    ) -> str:
        """(x − mean)·γ/√(variance + ε) + β, channel by channel: a factor and a constant, rounded."""
        with np.errstate(all="ignore"):  # what is not finite is refused by name
            factor = gamma / np.sqrt(variance + epsilon)
            constant = beta - mean * factor
            # a sum, a root and a quotient, each rounded once and monotone in the one before it
            total = Interval.point(variance) + epsilon
            least, most = down(np.sqrt(total.lower)), up(np.sqrt(total.upper))
            true = gamma * Interval(down(1 / most), up(1 / least))
            radii = radius_about(factor, true), radius_about(constant, beta - mean * true)
            sizes = np.abs(beta) + np.abs(mean * factor)
        spread = (-1, *(1,) * (len(self.shapes[x]) - 1))
        numbers = (array.reshape(spread) for array in (factor, constant, *radii, sizes))
        factor, constant, *doubt = numbers
        return self.scale(name, x, factor, constant, *doubt)

    def _by_channel(self, name: str, x: str, values: FloatArray | float) -> FloatArray:
        shape = self.shapes[x]
        array = np.asarray(values, dtype=np.float64)
        channels = shape[0] if shape else 1
        if array.size and array.ndim <= len(shape) + 1:
            array = array.reshape((1,) * (len(shape) + 1 - array.ndim) + array.shape)
            rest = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)
            if array.shape[1] in (1, channels) and np.all(rest == rest[:, :1]):
                return np.broadcast_to(rest[:, 0], channels).copy()
        raise NetworkError(
            f"{name}: a constant of shape {np.shape(values)} meets a value of shape {shape}; symlump reads "
            "constants that are one number, or one for each channel"
        )

    def reshaped(self, name: str, x: str, after: Shape) -> str | None:
        """The value in another shape, if that keeps each unit's entries together; else None."""
        before = self.shapes[x]
        name = self.free(name)
        if after == before:
            return x
        if after == (prod(before),) and len(before) > 1:
            return self.add(Flatten(name, (x,)))
        more = len(after) - len(before)
        if more > 0 and before and set(before[1:]) <= {1} and after == (*before, *(1,) * more):
            return self.add(Unsqueeze(name, (x,), more))
        if before == (1,) and after == ():
            return self.add(Squeeze(name, (x,)))
        return None

    def mean_over_grid(self, name: str, x: str, keep: bool) -> str:
        """The mean of each channel."""
        grid = len(self.shapes[x]) - 1
        pooled = self.add(Pool(self.free(name), (x,), "average", (1,) * grid, adaptive=True))
        return pooled if keep else self.add(Flatten(self.free(f"{name}.flat"), (pooled,)))

    def combine(self, name: str, operation: Literal["add", "multiply"], values: list[str]) -> str:
        """Sum or product of values; z·sigmoid(z) and z·z are activations."""
        if operation == "multiply" and len(values) == 2:
            for z, other in (values, values[::-1]):
                gate = self._by_name[other]
                if (
                    isinstance(gate, Apply)
                    and gate.inputs == (z,)
                    and gate.activation.name == "sigmoid"
                ):
                    return self.add(Apply(self.free(name), (z,), activation("silu")))
            if values[0] == values[1]:
                return self.add(Apply(self.free(name), (values[0],), polynomial([0.0, 0.0, 1.0])))
        return self.add(Combine(self.free(name), tuple(values), operation))

    def part(self, name: str, x: str, start: int, stop: int, step: int = 1) -> str:
        """A range of channels."""
        return self.select(name, x, np.arange(self.shapes[x][0])[start:stop:step])

    def select(self, name: str, x: str, index: IntArray) -> str:
        """Some of the channels, by number."""
        self._make(name, index.size)
        return self.add(Select(self.free(name), (x,), index.astype(np.int64)))

    def _make(self, name: str, count: int) -> None:
        self._made += count
        if self._made > _MAX_MADE:
            raise NetworkError(f"{name}: the network has too many channels to be read")


def doubtful(weight: FloatArray, bias: FloatArray, size: FloatArray | None = None) -> Doubt | None:
    """Radii, if one is not 0."""
    return Doubt(weight, bias, size) if weight.any() or bias.any() else None


def radius_about(values: FloatArray, true: Interval) -> FloatArray:
    """How far floats are from the ends of intervals, at most."""
    far = np.maximum(true.upper - values, values - true.lower)
    return np.where(far == 0, 0.0, up(far))


def product(a: FloatArray | float, b: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Products, and how far they are from the real ones: half a step at most, taken twice.

    By 0, and by a power of two where nothing underflows, they are exact.

    Examples
    --------
    >>> [part.tolist() for part in product(np.array([3.0, 0.5]), 0.1)]
    [[0.30000000000000004, 0.05], [5.551115123125783e-17, 0.0]]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    values = a * b
    shifted = (_is_power_of_two(a) | _is_power_of_two(b)) & (np.abs(values) >= _NORMAL)
    return values, np.where((a == 0) | (b == 0) | shifted, 0.0, np.spacing(np.abs(values)))


def inverse(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """1/a, and how far it is from the real one.

    Examples
    --------
    >>> [part.tolist() for part in inverse(np.array([2.0, 3.0]))]
    [[0.5, 0.3333333333333333], [0.0, 5.551115123125783e-17]]
    """
    values = np.asarray(1 / a)
    return values, np.where(_is_power_of_two(a), 0.0, np.spacing(np.abs(values)))


def _is_power_of_two(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(np.frexp(values)[0]) == 0.5)


def window(values: object, rank: int) -> Shape:
    """Numbers given once for all axes, or one for each.

    Examples
    --------
    >>> window(3, 2), window([1, 2], 2)
    ((3, 3), (1, 2))
    """
    numbers = [values] if isinstance(values, int) else list(values)  # type: ignore[call-overload]
    result = tuple(int(n) for n in numbers)
    return result * rank if len(result) == 1 else result
