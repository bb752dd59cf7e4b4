"""The nodes of a network: what each computes, and the shape of its value.

Shapes leave out the samples: ``(features,)`` after a dense layer, ``(channels, height, width)`` on a
grid. The *units* of a value are its channels, or its features.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.ode.exact import FloatArray, IntArray

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One step of a computation.

    Parameters
    ----------
    name : str
        Its place in the model, such as ``"layer1.0.conv1"``; different for every node.
    inputs : tuple of str
        The names of the nodes whose values it reads.
    """

    name: str
    inputs: tuple[str, ...]

    def shape(self, *given: Shape) -> Shape:
        """Shape of the value, from those of the inputs.

        Raises
        ------
        NetworkError
            If the inputs do not fit.
        """
        raise NotImplementedError

    def refuse(self, why: str) -> NetworkError:
        """An error that names this node."""
        return NetworkError(f"{self.name}: {why}")


@dataclass(frozen=True, eq=False)
class Input(Node):
    """An input of the network, of a given shape.

    Parameters
    ----------
    size : tuple of int
    values : int
        Where it holds whole numbers: how many there are, from 0 on (1 where that is not known); 0 for real
        numbers.
    called : str
        Its name where the network came from, and will be where it goes; empty where that is its own.
    whole : str
        The type of whole numbers there, as numpy names it.
    vector : bool
        There it has no axis of samples.
    """

    size: Shape
    values: int = 0
    called: str = ""
    whole: str = "int64"
    vector: bool = False

    def drawn(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Samples: standard normal, or whole numbers of equal chances."""
        if self.values:
            return generator.integers(self.values, size=(count, *self.size)).astype(np.float64)
        return generator.standard_normal((count, *self.size))

    def shape(self, *given: Shape) -> Shape:
        """The declared shape."""
        if min(self.size, default=1) < 1:
            raise self.refuse(
                f"an input has a shape such as (features,) or (channels, height, width); got {self.size}"
            )
        return self.size


@dataclass(frozen=True, eq=False)
class Doubt:
    """How far the weight and bias of a layer are, at most, from what a model means, where reading rounded them.

    Parameters
    ----------
    size : ndarray, or None
        What the bias is a sum of, in absolute values: evaluating it rounds as much as that.
    computed : bool
        A library made the weight of other tensors, as a weight normalisation does; that is not in the radii.
    """

    weight: FloatArray
    bias: FloatArray
    size: FloatArray | None = None
    computed: bool = False


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """z = W·h + b: a dense layer, a convolution, or (depthwise) one factor or kernel per unit.

    Parameters
    ----------
    weight : ndarray, shape (units, inputs, *kernel); (units, 1, *kernel) where depthwise
        Without kernel axes the layer is dense, at each place of a grid (each token) on its own; depthwise it
        then is a scale per unit on any shape.
    bias : ndarray, shape (units,), or None
    stride, padding, dilation : tuple of int
        One number per kernel axis; padding is with zeros, on both sides.
    depthwise : bool
        Unit i reads only input channel i // (units // inputs).
    weight_name, bias_name : str
        Layers in which one of them is the same, and not empty, share their weights or biases: these are equal
        and stay so, and count once.
    doubt : Doubt, or None
        Only in what a network was read from (:attr:`Network.source`).
    """

    weight: FloatArray
    bias: FloatArray | None = None
    stride: Shape = ()
    padding: Shape = ()
    dilation: Shape = ()
    depthwise: bool = False
    weight_name: str = ""
    bias_name: str = ""
    doubt: Doubt | None = None

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Number of channels passed on: the units."""
        return self.units

    @property
    def kernel(self) -> Shape:
        """Size of the kernel; empty for a dense layer and for a scale per unit."""
        return tuple(map(int, self.weight.shape[2:]))

    @property
    def is_scale(self) -> bool:
        """True for one factor (and one constant) per unit."""
        return self.depthwise and not self.kernel

    @property
    def is_dense(self) -> bool:
        """True for a dense layer."""
        return not self.depthwise and not self.kernel

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return int(self.weight.size) + (0 if self.bias is None else int(self.bias.size))

    def shape(self, *given: Shape) -> Shape:
        """Units, and the size of the grid."""
        self._check_arrays()
        (before,) = given
        channels, grid = before[0], before[1:]
        reads = self.weight.shape[1]
        if self.is_scale:
            if channels != self.units:
                raise self.refuse(f"{self.units} factors for {channels} channels")
            return before
        if not self.is_dense and len(grid) != len(self.kernel):
            raise self.refuse(f"a kernel of size {self.kernel} meets a value of shape {before}")
        fits = (self.units % channels == 0 and reads == 1) if self.depthwise else reads == channels
        if not fits:
            raise self.refuse(
                f"a weight of shape {self.weight.shape} reads {reads} channels, but the value before "
                f"it has shape {before}"
            )
        if self.is_dense:
            return (self.units, *grid)
        sizes = zip(grid, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        after = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        if after and min(after) < 1:
            raise self.refuse(
                f"the kernel {self.kernel} is larger than the value of shape {before}"
            )
        return (self.units, *after)

    def _check_arrays(self) -> None:
        if self.weight.ndim < 2 or 0 in self.weight.shape:
            raise self.refuse(f"a weight of shape {self.weight.shape} cannot be used")
        for what, array in (("weight", self.weight), ("bias", self.bias)):
            if array is not None and not np.isfinite(array).all():
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                raise self.refuse(
                    f"{what}{list(at)} is {array[at]}; weights must be finite, so check how the model "
                    "was trained or saved"
                )
        if self.bias is not None and self.bias.shape != (self.units,):
            raise self.refuse(f"a bias of shape {self.bias.shape} for {self.units} units")
        numbers = (self.stride, self.padding, self.dilation)
        if (
            any(len(n) != len(self.kernel) for n in numbers)
            or min((*self.stride, *self.dilation), default=1) < 1
            or min(self.padding, default=0) < 0
        ):
            raise self.refuse(
                f"stride {self.stride}, padding {self.padding} and dilation {self.dilation} do not fit a "
                f"kernel of size {self.kernel}"
            )


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """An activation, entry by entry."""

    activation: Activation

    def shape(self, *given: Shape) -> Shape:
        """That of the input."""
        return given[0]


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """(channels, height, width) to (channels·height·width,): each unit keeps its positions together."""

    def shape(self, *given: Shape) -> Shape:
        """One axis."""
        return (prod(given[0]),)


@dataclass(frozen=True, eq=False)
class Unsqueeze(Node):
    """(features,) to (features, 1, …, 1): one value per channel, to be combined with a grid.

    A number for each sample, of shape (), becomes one feature.
    """

    axes: int

    def shape(self, *given: Shape) -> Shape:
        """As many more axes of length 1."""
        if not set(given[0][1:]) <= {1}:
            raise self.refuse(f"expects one value per channel; got a value of shape {given[0]}")
        return (*given[0], *(1,) * self.axes)


@dataclass(frozen=True, eq=False)
class Squeeze(Node):
    """(1,) to (): a network of one output whose result has no feature axis."""

    def shape(self, *given: Shape) -> Shape:
        """No axis."""
        if given[0] != (1,):
            raise self.refuse(f"expects one feature; got a value of shape {given[0]}")
        return ()


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """Averages or maxima over windows of the grid, channel by channel.

    Parameters
    ----------
    operation : {"average", "maximum"}
    size : tuple of int
        Of the window; where adaptive, of the result.
    adaptive : bool
        The windows are chosen so that the result has the given size.
    ceiling : bool
        The last window may hang over the edge.
    count_padding : bool
        Averages count padded zeros.
    """

    operation: Literal["average", "maximum"]
    size: Shape
    stride: Shape = ()
    padding: Shape = ()
    dilation: Shape = ()
    adaptive: bool = False
    ceiling: bool = False
    count_padding: bool = True

    def shape(self, *given: Shape) -> Shape:
        """Channels, and the size of the grid."""
        (before,) = given
        if len(before) - 1 != len(self.size) or min(self.size, default=0) < 1:
            raise self.refuse(f"a window of size {self.size} meets a value of shape {before}")
        if self.adaptive:
            return (before[0], *self.size)
        if (
            any(len(n) != len(self.size) for n in (self.stride, self.padding, self.dilation))
            or min(self.stride) < 1
            or min(self.dilation) < 1
            or any(not 0 <= p <= k // 2 for p, k in zip(self.padding, self.size, strict=True))
        ):
            raise self.refuse(
                f"stride {self.stride}, padding {self.padding} and dilation {self.dilation} do not fit a "
                f"window of size {self.size}"
            )
        sizes = zip(before[1:], self.size, self.stride, self.padding, self.dilation, strict=True)
        after = tuple(self._count(*numbers) for numbers in sizes)
        if min(after) < 1:
            raise self.refuse(f"the window {self.size} is larger than the value of shape {before}")
        return (before[0], *after)

    def _count(self, n: int, k: int, s: int, p: int, d: int) -> int:
        room = n + 2 * p - d * (k - 1) - 1
        if not self.ceiling or room < 0:
            return room // s + 1
        count = -(-room // s) + 1
        return count - ((count - 1) * s >= n + p)  # the last window must begin inside


@dataclass(frozen=True, eq=False)
class Combine(Node):
    """The sum, or the product, of values, unit by unit (a residual connection, a gate).

    A value with one channel, or with a grid of ones, is spread over the others.
    """

    operation: Literal["add", "multiply"]

    def shape(self, *given: Shape) -> Shape:
        """The largest along each axis."""
        if len({len(shape) for shape in given}) == 1:
            result = tuple(max(sizes) for sizes in zip(*given, strict=True))
            if all(n in (1, m) for shape in given for n, m in zip(shape, result, strict=True)):
                return result
        what = "added" if self.operation == "add" else "multiplied"
        raise self.refuse(f"values of shapes {', '.join(map(str, given))} cannot be {what}")


@dataclass(frozen=True, eq=False)
class Concatenate(Node):
    """Values one after the other, by channels."""

    def shape(self, *given: Shape) -> Shape:
        """The channels add up."""
        if len({shape[1:] for shape in given}) != 1:
            raise self.refuse(
                f"values of shapes {', '.join(map(str, given))} cannot be joined by channels"
            )
        return (sum(shape[0] for shape in given), *given[0][1:])


@dataclass(frozen=True, eq=False)
class Select(Node):
    """Channel i of the value is channel ``index[i]`` of the input."""

    index: IntArray

    def shape(self, *given: Shape) -> Shape:
        """As many channels as the index has entries."""
        (before,) = given
        if not self.index.size or self.index.min() < 0 or self.index.max() >= before[0]:
            raise self.refuse(f"the index of channels does not fit a value of shape {before}")
        return (int(self.index.size), *before[1:])


@dataclass(frozen=True, eq=False)
class GroupSum(Node):
    """Channel g of the value is the sum of the channels i of the input with ``groups[i] == g``."""

    groups: IntArray

    def shape(self, *given: Shape) -> Shape:
        """As many channels as there are groups."""
        (before,) = given
        count = int(self.groups.max(initial=-1)) + 1
        if self.groups.shape != before[:1] or not np.array_equal(
            np.unique(self.groups), np.arange(count)
        ):
            raise self.refuse(
                f"groups must number each of the {before[0]} channels with 0, 1, … without gaps"
            )
        return (count, *before[1:])


def take_name(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; it then counts as taken.

    Examples
    --------
    >>> taken = {"sum"}
    >>> take_name("sum", taken), take_name("sum", taken), take_name("gate", taken)
    ('sum_2', 'sum_3', 'gate')
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free
