"""What readers of torch and of ONNX share: the network under construction, its layers, sums and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import prod
from typing import Any, Literal

import numpy as np

from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation, polynomial
from symlump.network.exchange.arranging import shape_text
from symlump.network.exchange.doubts import batch_norm, doubtful, inverse
from symlump.network.exchange.tokens import TokenBuilder, swap_last
from symlump.network.exchange.views import Axis, Piece, View, all_of
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Doubt, Pool, Shape
from symlump.network.precision import Dtype
from symlump.network.step_nodes import ByPlace
from symlump.network.written.transposed import turn_round
from symlump.ode.exact import FloatArray


class GraphBuilder(TokenBuilder):
    """Collects nodes; see :class:`~symlump.network.exchange.arranging.Arranger`.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> from symlump.network.exchange.views import SAMPLES
    >>> build = GraphBuilder()
    >>> x = build.view(build.add(Input("x", (), (2, 3, 3))))
    >>> flat = build.linear("fc", x.reshaped((SAMPLES, 18)), np.ones((4, 18)), None)
    >>> [type(node).__name__ for node in build.nodes], flat.sizes
    (['Input', 'Flatten', 'Affine'], (4,))
    """

    def network(self, outputs: Sequence[View], dtype: Dtype) -> Network:
        """The finished network."""
        names = [self.plain(f"{view.name}.output", view, number=True) for view in outputs]
        return Network(tuple(self.nodes), tuple(names), dtype)

    def linear(
        self,
        name: str,
        x: View,
        weight: FloatArray,
        bias: FloatArray | None,
        doubt: Doubt | None = None,
    ) -> View:
        """A dense layer on the last axis."""
        last, others = x.axes[-1], x.axes[:-1]
        if prod(piece.size for piece in last) != weight.shape[1]:
            raise NetworkError(
                f"{name}: a weight that reads {weight.shape[1]} features meets a value of shape "
                f"{shape_text(x.shape)}"
            )
        around = [tuple(piece for piece in axis if piece.axis >= 0) for axis in others]
        held = [piece for axis in around for piece in axis]
        shape = self.shapes[x.name]
        in_channels = all(p.axis == 0 for p in last) and all(p.axis > 0 for p in held)
        if not held:
            stored, axes = self.arranged(name, x, (last,)), (*others, all_of(0, len(weight)))
        elif in_channels and shape:  # at each place of the grid
            stored = self.arranged(
                name, x, (last, *(all_of(k + 1, n) for k, n in enumerate(shape[1:])))
            )
            axes = (*others, all_of(0, len(weight)))
        else:
            runs: list[Axis] = []  # pieces beside one another, that of the samples apart
            renamed: list[Axis] = []
            for axis in others:
                parts: list[Piece] = []
                for apart, pieces in groupby(axis, key=lambda piece: piece.axis < 0):
                    run = tuple(pieces)
                    if not apart:
                        runs.append(run)
                    parts += run if apart else all_of(len(runs), _size(run))
                renamed.append(tuple(parts))
            stored = self.arranged(name, x, (last, *runs))
            axes = (*renamed, all_of(0, len(weight)))
        node = self.add(Affine(self.free(name), (stored,), weight, bias, doubt=doubt))
        return View(node, axes)

    def left_product(self, name: str, weight: FloatArray, x: View) -> View:
        """W·x in the last two axes: x·W turned round."""
        return swap_last(self.linear(name, swap_last(x), weight, None))

    def layer(self, name: str, x: View, weight: FloatArray, bias: FloatArray | None,
              **geometry: Any) -> View:  # fmt: skip
        """A convolution, on axis 1 and the grid behind it."""
        stored = self.plain(name, x)
        node = Affine(self.free(name), (stored,), weight, bias, **geometry)
        return self.view(self.add(node))

    def convolution(self, name: str, x: View, weight: FloatArray, bias: FloatArray | None, stride: Shape,
                    padding: Shape, dilation: Shape, groups: int) -> View:  # fmt: skip
        """A convolution; one with groups of several channels is one for each, side by side."""
        channels = x.shape[1]
        if groups not in (1, channels):
            return self.grouped(
                name, x, weight, bias, groups, stride=stride, padding=padding, dilation=dilation
            )
        return self.layer(
            name,
            x,
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            depthwise=groups > 1,
        )

    def transposed_convolution(
        self, name: str, x: View, weight: FloatArray, bias: FloatArray | None, stride: Shape,
        padding: Shape, dilation: Shape, groups: int, extra: Shape,
    ) -> View:  # fmt: skip
        """Its zeros, and the convolution that reads them; one with several groups is carried along as it is."""
        channels, kernel = x.shape[1], weight.shape[2:]
        inner = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
        if groups not in (1, channels) or min(inner, default=0) < 0:
            return self.convolution_step(
                name, x, weight, bias, stride=stride, padding=padding, dilation=dilation,
                groups=groups, transposed=True, extra=extra,
            )  # fmt: skip
        size = tuple(
            (n - 1) * s + 1 + e for n, s, e in zip(x.shape[2:], stride, extra, strict=True)
        )
        if size != x.shape[2:]:
            options = {"steps": stride, "size": size}
            x = self.step(f"{name}.zeros", "dilate", [self.plain(name, x)], options)
        alone = groups > 1
        kernels = turn_round(weight, 0, alone)
        ones = (1,) * len(kernel)
        return self.layer(
            name, x, kernels, None if bias is None else bias.ravel(),
            stride=ones, padding=inner, dilation=dilation, depthwise=alone,
        )  # fmt: skip

    def pool(self, name: str, x: View, operation: Literal["average", "maximum"], size: Shape,
             *geometry: Any, **options: Any) -> View:  # fmt: skip
        """Means or maxima over windows of the grid; see :class:`symlump.network.nodes.Pool`."""
        stored = self.plain(name, x)
        node = Pool(self.free(name), (stored,), operation, size, *geometry, **options)
        return self.view(self.add(node))

    def apply(self, name: str, x: View, phi: Activation) -> View:
        """An activation."""
        return x.of(self.add(Apply(self.free(name), (x.name,), phi)))

    def scale(
        self,
        name: str,
        x: View,
        factor: FloatArray | float = 1.0,
        constant: FloatArray | float | None = None,
        factor_radius: FloatArray | float = 0.0,
        constant_radius: FloatArray | float = 0.0,
        size: FloatArray | float = 0.0,
    ) -> View:
        """factor·x + constant, all broadcast against one another as the file sees them, samples included.

        Parameters
        ----------
        factor_radius, constant_radius, size
            How far the two are, at most, from what the model means, and how large what makes the constant is.

        Raises
        ------
        NetworkError
            If they do not fit together, or differ from sample to sample.
        """
        found = self._scaled(name, x, factor, constant, factor_radius, constant_radius, size)
        self.rescored(x, found, factor, constant)
        return found

    def _scaled(self, name: str, x: View, *numbers: FloatArray | float | None) -> View:
        given = [None if v is None else np.asarray(v, dtype=np.float64) for v in numbers]
        for values in given:
            x = x if values is None else self.spread_over(name, x, values.shape)
        arrays = [None if v is None else self.along_stored(name, x, v) for v in given]
        if all(array is None or _by_channel(array) for array in arrays):
            channels = (self.shapes[x.name] or (1,))[0]
            self.count(name, 2 * channels)
            rows = [
                None if a is None else np.broadcast_to(_first_of_channels(a), channels).copy()
                for a in arrays
            ]
            return x.of(self.add(self._scale(name, x.name, rows)))
        if self.is_input(x.name):
            flat, shape = self.flattened(name, x), self.shapes[x.name]
            rows = [None if a is None else np.broadcast_to(a, shape).ravel() for a in arrays]
            return flat.of(self.add(self._scale(name, flat.name, rows)))
        name_of = x.name
        for array, how, nothing in zip(arrays, ("multiply", "add"), (1.0, 0.0), strict=False):
            if array is not None and not np.all(array == nothing):
                self.count(name, array.size)
                kind: Any = how
                name_of = self.add(ByPlace(self.free(name), (name_of,), kind, array))
        return x.of(name_of)

    def sloped(self, name: str, x: View, slopes: FloatArray) -> View:
        """The value where it is above 0, and slopes·x below: relu(x) − slopes·relu(−x)."""
        above = self.apply(f"{name}.above", x, activation("relu"))
        turned = self.scale(f"{name}.turned", x, -1.0)
        below = self.apply(f"{name}.below", turned, activation("relu"))
        return self.combine(name, "add", [above, self.scale(f"{name}.slopes", below, -slopes)])

    def limited(self, name: str, x: View, held: FloatArray, how: str) -> View:
        """The larger or the smaller of a value and of a constant, place by place."""
        if held.size == 1:
            end = "least" if how == "maximum" else "most"
            return self.function(name, x, end, float(held.ravel()[0]))
        constant = self.scale(f"{name}.constant", x, 0.0, held)
        return self.pair(name, [x, constant], how)

    def divided(self, name: str, x: View, divisor: FloatArray) -> View | None:
        """A value by a constant, whose inverse is rounded; None where a divisor is 0."""
        if not divisor.all():
            return None
        factor, radius = inverse(divisor)
        return self.scale(name, x, factor, None, radius)

    def _scale(self, name: str, x: str, rows: Sequence[FloatArray | None]) -> Affine:
        """A factor and a constant for each channel, with their radii."""
        weight, bias, *radii = rows
        assert weight is not None
        doubt = doubtful(*radii)  # type: ignore[arg-type]
        if doubt is not None:
            doubt = replace(doubt, weight=doubt.weight[:, None])
        return Affine(self.free(name), (x,), weight[:, None], bias, depthwise=True, doubt=doubt)

    def batch_norm(
        self,
        name: str,
        x: View,
        mean: FloatArray,
        variance: FloatArray,
        epsilon: float,
        gamma: FloatArray,
        beta: FloatArray,
    ) -> View:
        """(x − mean)·γ/√(variance + ε) + β, channel by channel: a factor and a constant, rounded."""
        spread = (-1, *(1,) * (len(x.axes) - 2))
        numbers = batch_norm(mean, variance, epsilon, gamma, beta)
        factor, constant, *doubt = (array.reshape(spread) for array in numbers)
        return self.scale(name, x, factor, constant, *doubt)

    def combine(
        self, name: str, operation: Literal["add", "multiply"], values: Sequence[View]
    ) -> View:
        """Sum or product of values; z·sigmoid(z) and z·z are activations."""
        if operation == "multiply" and len(values) == 2 and values[0].axes == values[1].axes:
            for z, other in (values, values[::-1]):
                gate = self.by_name[other.name]
                gates = isinstance(gate, Apply) and gate.activation.name == "sigmoid"
                if gates and gate.inputs == (z.name,):
                    return self.apply(name, z, activation("silu"))
            if values[0] == values[1]:
                return self.apply(name, values[0], polynomial([0.0, 0.0, 1.0]))
        if operation == "multiply" and len(values) == 2:
            for x, other in (values, values[::-1]):
                unit = self.root_mean_square(name, x, other)
                if unit is not None:
                    return unit
        like, names = self.alike(name, values)
        return like.of(self.add(Combine(self.free(name), tuple(names), operation)))


def _by_channel(array: FloatArray) -> bool:
    return bool(np.all(array == _first_of_channels(array, array.ndim)))


def _first_of_channels(array: FloatArray, rank: int = 1) -> FloatArray:
    """For each channel its first number, with some axes."""
    return array.reshape(len(array), -1)[:, 0].reshape(-1, *(1,) * (rank - 1))


def _size(axis: Axis) -> int:
    return prod(piece.size for piece in axis)


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
