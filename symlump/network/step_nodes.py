"""Further nodes: grids in another order, constants that differ from place to place, steps of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np

from symlump.network.nodes import Apply, Node, Pool, Shape, Squeeze, Unsqueeze
from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Reorder(Node):
    """Axes in another shape or order: reshaped to ``split``, transposed, reshaped to ``size``."""

    split: Shape
    order: Shape
    size: Shape

    #: How many axes before them stay as they are, that of the samples included.
    kept: ClassVar[int]

    @property
    def whole_order(self) -> Shape:
        """The order of all axes after the split."""
        return (*range(self.kept), *(self.kept + k for k in self.order))

    def steps(self, before: Shape) -> list[tuple[Literal["reshape", "transpose"], Shape]]:
        """Those of the three that do something: shapes without the axes that stay, or the order of all.

        Examples
        --------
        >>> Regrid("turned", ("x",), (2, 3), (1, 0), (3, 2)).steps((5, 2, 3))
        [('transpose', (0, 1, 3, 2))]
        """
        found: list[tuple[Literal["reshape", "transpose"], Shape]] = []
        if self.split != before[self.kept - 1 :]:
            found.append(("reshape", self.split))
        if self.order != tuple(range(len(self.order))):
            found.append(("transpose", self.whole_order))
        if self.size != tuple(self.split[k] for k in self.order):
            found.append(("reshape", self.size))
        return found

    def shape(self, *given: Shape) -> Shape:
        """The axes that stay, and the new ones."""
        same, before = given[0][: self.kept - 1], given[0][self.kept - 1 :]
        fits = sorted(self.order) == list(range(len(self.split)))
        if not fits or not prod(self.split) == prod(self.size) == prod(before):
            raise self.refuse(
                f"{self.split} in the order {self.order} as {self.size} does not fit a value of {before}"
            )
        return (*same, *self.size)


@dataclass(frozen=True, eq=False)
class Regrid(Reorder):
    """The grid in another shape or order; channels stay as they are."""

    kept = 2


@dataclass(frozen=True, eq=False)
class Rearrange(Reorder):
    """All axes in another shape or order: entries get other channels.

    Where a channel of the result is made of whole channels, all in the same way, it is a unit that owns these,
    such as features that become a picture. Else the units before stay alone.
    """

    kept = 1

    def parts(self, channels: int) -> IntArray | None:
        """For each channel of the result the channels that it is made of; None where that is no such step.

        Parameters
        ----------
        channels : int
            Of the value that is read.

        Examples
        --------
        >>> Rearrange("picture", ("x",), (2, 3), (0, 1), (2, 3)).parts(6).tolist()
        [[0, 1, 2], [3, 4, 5]]
        >>> Rearrange("turned", ("x",), (2, 3), (1, 0), (3, 2)).parts(2) is None
        True
        """
        sizes = np.cumprod([1, *self.split]).tolist()
        pieces = sizes.index(channels) if channels in sizes else 0
        first = self.order[0] if self.order else 0
        if not self.size or first >= pieces or self.split[first] != self.size[0]:
            return None
        places = np.arange(channels).reshape(self.split[:pieces])
        return np.moveaxis(places, first, 0).reshape(self.size[0], -1)

    def narrowed(self, count: int) -> Rearrange:
        """The step for fewer channels of the result, of the parts of these."""
        split = tuple(count if k == self.order[0] else n for k, n in enumerate(self.split))
        return replace(self, split=split, size=(count, *self.size[1:]))


@dataclass(frozen=True, eq=False)
class ByPlace(Node):
    """A constant added to a value, or multiplied with it, that is not the same everywhere on the grid.

    Units that it tells apart stay alone.

    Parameters
    ----------
    operation : {"add", "multiply"}
    constant : ndarray, shape (channels or 1, *grid)
    """

    operation: Literal["add", "multiply"]
    constant: FloatArray

    @property
    def parameters(self) -> int:
        """Numbers it holds."""
        return int(self.constant.size)

    @property
    def is_alike(self) -> bool:
        """Whether it treats all channels alike."""
        return bool(self.constant.shape[0] == 1)

    def shape(self, *given: Shape) -> Shape:
        """That of the input."""
        (before,) = given
        fits = len(before) == self.constant.ndim and all(
            n in (1, m) for n, m in zip(self.constant.shape, before, strict=True)
        )
        if not fits:
            raise self.refuse(
                f"a constant of shape {self.constant.shape} meets a value of shape {before}"
            )
        return before


@dataclass(frozen=True, eq=False)
class Operation(Node):
    """A step from the table in :mod:`symlump.network.operations`.

    Units stay alone before a step that mixes them; one that acts on each channel in the same way passes
    them on.

    Parameters
    ----------
    kind : str
        Its name in the table.
    options : dict
        Its numbers and words; axes count the samples, which are axis 0.
    arrays : tuple of ndarray
        Its constants.
    """

    kind: str
    options: dict[str, Any]
    arrays: tuple[FloatArray, ...] = ()

    @property
    def parameters(self) -> int:
        """Numbers it holds."""
        return sum(int(array.size) for array in self.arrays)

    @property
    def held(self) -> tuple[tuple[str, FloatArray], ...]:
        """Its constants with a name for each: weight, bias, constant3, …"""
        names = ("weight", "bias", *(f"constant{k}" for k in range(3, len(self.arrays) + 1)))
        return tuple(zip(names, self.arrays, strict=False))

    @property
    def keeps_units(self) -> bool:
        """Whether it does the same to each channel, and reads no other."""
        if len(self.inputs) > 1 or any(a.shape[1:2] != (1,) for a in self.arrays):
            return False
        axes = self.options.get("axes", (self.options.get("axis", 0),))
        along_grid = self.kind in ("softmax", "reduce", "take", "normalise") and min(axes) > 1
        return along_grid or self.kind in ("function", "pad", "resize", "dilate")

    def shape(self, *given: Shape) -> Shape:
        """As torch says."""
        from symlump.network.operations import result_shape

        return result_shape(self, given)


@dataclass(frozen=True, eq=False)
class Attention(Node):
    """softmax(scale·qᵀk + mask)·v, head by head; reads queries, keys and values, each (channels, tokens).

    A channel of the values is passed on, mixed over the tokens as its head says; channel c of the queries and
    channel c of the keys are one pair, and a head is a sum over its pairs. Heads are numbered 0, 1, …, the
    channels of each stand together.

    Parameters
    ----------
    pairs : ndarray of int, shape (channels of the queries,)
        The head of each pair.
    heads : ndarray of int, shape (channels of the values,)
        The head of each channel of the values.
    scale : float
    causal : bool
        A token reads itself and those before it.
    mask : ndarray, shape (heads or 1, tokens, tokens), or None
        Added before the softmax.
    times : ndarray of int, shape (channels of the queries,), or None
        How often each pair counts; once where this is None.
    """

    pairs: IntArray
    heads: IntArray
    scale: float
    causal: bool = False
    mask: FloatArray | None = None
    times: IntArray | None = None

    @property
    def count(self) -> int:
        """Number of heads."""
        return int(self.pairs.max(initial=-1)) + 1

    @property
    def parameters(self) -> int:
        """Numbers it holds."""
        return sum(int(array.size) for array in (self.mask, self.times) if array is not None)

    @property
    def is_even(self) -> bool:
        """Whether all heads are of one size, the channels of each one after the other."""
        return all(
            own.size % self.count == 0
            and np.array_equal(own, np.arange(self.count).repeat(own.size // self.count))
            for own in (self.pairs, self.heads)
        )

    def shape(self, *given: Shape) -> Shape:
        """The channels of the values, and the tokens of the queries."""
        q, k, v = given
        fits = len(q) == len(k) == len(v) == 2 and k[1] == v[1]
        sizes = (q[0], k[0], v[0]) == (self.pairs.size, self.pairs.size, self.heads.size)
        numbered = all(
            np.array_equal(np.unique(own), np.arange(self.count))
            and bool((np.diff(own) >= 0).all())
            for own in (self.pairs, self.heads)
        )
        if not fits or not sizes or not numbered:
            raise self.refuse(
                f"queries, keys and values of shapes {q}, {k} and {v} do not fit {self.count} heads of "
                f"{self.pairs.size} pairs and {self.heads.size} channels; each is (channels, tokens)"
            )
        if self.times is not None and self.times.shape != self.pairs.shape:
            raise self.refuse(f"{self.times.size} numbers of times for {self.pairs.size} pairs")
        if self.mask is not None and self.mask.shape not in (
            (1, q[1], k[1]),
            (self.count, q[1], k[1]),
        ):
            raise self.refuse(
                f"a mask of shape {self.mask.shape} for {self.count} heads, {q[1]} and {k[1]} tokens"
            )
        return (v[0], q[1])


@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """Softmax over the channels, or its logarithm; mixes units, so those before it stay alone."""

    logarithm: bool = False

    def shape(self, *given: Shape) -> Shape:
        """That of the input."""
        return given[0]


@dataclass(frozen=True, eq=False)
class Untouched(Node):
    """A step that symlump does not know, carried along as it is; the units before it stay alone.

    Parameters
    ----------
    what : str
        What it is, for people.
    result : tuple of int
        Shape of its value.
    parameters : int
        Numbers it holds.
    call : callable
        How to compute it, on tensors of torch; only the library it came from knows more.
    """

    what: str
    result: Shape
    parameters: int
    call: Any

    def shape(self, *given: Shape) -> Shape:
        """As it was seen."""
        return self.result


def passes_units(node: Node) -> bool:
    """Whether a node does the same to each unit of its one input, and reads no other: a step like pooling.

    Of no other kind of node is that taken for granted: units stay alone before one that is not known.

    Examples
    --------
    >>> passes_units(Squeeze("y", ("x",))), passes_units(Softmax("y", ("x",)))
    (True, False)
    """
    match node:
        case Operation():
            return node.keeps_units
        case ByPlace():
            return node.is_alike
    return isinstance(node, Apply | Pool | Regrid | Squeeze | Unsqueeze)
