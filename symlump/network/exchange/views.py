"""How a file lays out a value: its axes, in terms of those of the value that is stored.

A network stores a value with its units first, ``(channels, *grid)``, whatever the file does: transposing and
reshaping move no numbers but change the view, and a node is only made where something reads the numbers in
another order. So channels-last convolutions, tokens, and heads of attention keep their units.

An axis of a file is a tuple of pieces, outermost first. A piece is a run of ``size`` steps of ``stride``
along a stored axis; axis −1 is that of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from symlump.network.nodes import Shape
from symlump.ode.exact import IntArray

#: Stands in shapes for a number of samples that is left open: a prime that no other size is a multiple of.
SAMPLES = 2147483629


@dataclass(frozen=True)
class Piece:
    """A run along a stored axis."""

    axis: int
    size: int
    stride: int = 1


Axis = tuple[Piece, ...]


@dataclass(frozen=True)
class View:
    """A stored value as a file sees it.

    Parameters
    ----------
    name : str
        Of the node.
    axes : tuple of tuple of Piece
        The axes of the file; those of length 1 have no piece.
    label : str
        The place in the file where it was last turned or reshaped, for the name of a step that does it.

    Examples
    --------
    >>> x = whole("x", (6, 2, 5), SAMPLES)
    >>> heads = x.reshaped((SAMPLES, 2, 3, 10)).transposed((0, 3, 1, 2))
    >>> heads.sizes, heads.reshaped((SAMPLES, 10, 6)).axes[2]
    ((10, 2, 3), (Piece(axis=0, size=6, stride=1),))
    """

    name: str
    axes: tuple[Axis, ...]
    label: str = field(default="", compare=False)

    @property
    def shape(self) -> Shape:
        """Shape in the file, samples included."""
        return tuple(prod(piece.size for piece in axis) for axis in self.axes)

    @property
    def sizes(self) -> Shape:
        """Shape in the file without axis 0."""
        return self.shape[1:]

    @property
    def samples_first(self) -> bool:
        """Whether axis 0 is that of the samples, and nothing else."""
        return bool(self.axes) and [piece.axis for piece in self.axes[0]] == [-1]

    def with_sample(self) -> View:
        """The view with an axis 0 for one sample, if it has none.

        Examples
        --------
        >>> View("x", (all_of(0, 4),)).with_sample().shape
        (1, 4)
        """
        if any(map(has_samples, self.axes)):
            return self
        others = self.axes[1:] if len(self.axes) > 1 and not self.axes[0] else self.axes
        return replace(self, axes=((Piece(-1, 1),), *others))

    def with_sample_in(self, place: int) -> View:
        """With the one sample there is in some axis: nothing moves, since it has length 1.

        Examples
        --------
        >>> x = View("x", (all_of(0, 4), ((Piece(-1, 1)), Piece(1, 2))))
        >>> x.with_sample_in(0).axes[0]
        (Piece(axis=-1, size=1, stride=1), Piece(axis=0, size=4, stride=1))
        """
        axes = [tuple(piece for piece in axis if piece.axis >= 0) for axis in self.axes]
        axes[place] = (Piece(-1, 1), *axes[place])
        return replace(self, axes=tuple(axes))

    def of(self, name: str) -> View:
        """Another value of the same shape, in the same view."""
        return replace(self, name=name, label="")

    def labelled(self, label: str, *given: object) -> View:
        """With the place of the step that made it, if that turned or reshaped one of the values given."""
        moved = [x for x in given if isinstance(x, View) and x.name == self.name]
        return replace(self, label=label) if moved and moved[0].axes != self.axes else self

    def transposed(self, order: Shape) -> View:
        """The axes in another order."""
        return replace(self, axes=tuple(self.axes[k] for k in order))

    def reshaped(self, target: Shape) -> View | None:
        """The entries in the same order, under another shape; None where pieces do not divide."""
        left = [piece for axis in self.axes for piece in axis]
        axes: list[Axis] = []
        for size in target:
            axis: list[Piece] = []
            if left and left[0] == Piece(-1, 1):  # one sample: it goes with what follows it
                axis.append(left.pop(0))
            while size > 1:
                if not left:
                    return None
                piece = left.pop(0)
                if size % piece.size and piece.size % size == 0 and piece.axis >= 0:
                    inner = piece.size // size
                    left.insert(0, Piece(piece.axis, inner, piece.stride))
                    piece = Piece(piece.axis, size, piece.stride * inner)
                if size % piece.size:
                    return None
                size //= piece.size
                axis.append(piece)
            axes.append(join(axis))
        if left == [Piece(-1, 1)] and axes:
            axes[-1] = (*axes[-1], left.pop())
        return replace(self, axes=tuple(axes)) if not left else None


def whole(name: str, shape: Shape, samples: int) -> View:
    """A stored value as it is: samples, channels, grid."""
    return View(name, ((Piece(-1, samples),), *(all_of(k, n) for k, n in enumerate(shape))))


def all_of(axis: int, size: int) -> Axis:
    """A whole stored axis."""
    return (Piece(axis, size),) if size > 1 else ()


def has_samples(axis: Axis) -> bool:
    """Whether an axis is that of the samples, or holds it.

    Examples
    --------
    >>> has_samples((Piece(-1, 7), Piece(0, 2))), has_samples((Piece(0, 2),))
    (True, False)
    """
    return any(piece.axis < 0 for piece in axis)


def join(pieces: list[Piece] | Axis) -> Axis:
    """Pieces with those put together that follow one another in the stored value.

    Examples
    --------
    >>> join([Piece(0, 2, 3), Piece(0, 3, 1)])
    (Piece(axis=0, size=6, stride=1),)
    """
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if last and last.axis == piece.axis >= 0 and last.stride == piece.stride * piece.size:
            result[-1] = Piece(piece.axis, last.size * piece.size, piece.stride)
        elif piece.size > 1 or piece.axis < 0:
            result.append(piece)
    return tuple(result)


def split_alike(axis: Axis, sizes: Shape) -> Axis | None:
    """The pieces of an axis, cut into pieces of some sizes; None where they do not divide so.

    Examples
    --------
    >>> split_alike((Piece(0, 6),), (2, 3))
    (Piece(axis=0, size=2, stride=3), Piece(axis=0, size=3, stride=1))
    """
    view = View("", (axis,)).reshaped(sizes)
    if view is None or any(len(part) != 1 for part in view.axes):
        return None
    return tuple(part[0] for part in view.axes)


@dataclass(frozen=True)
class Order:
    """How to bring a stored shape into another order: reshape to ``split``, transpose, reshape to ``size``."""

    split: Shape
    order: Shape
    size: Shape

    @classmethod
    def of(cls, shape: Shape, wanted: tuple[Axis, ...]) -> Order:
        """From a stored shape to axes of pieces that cover it.

        Examples
        --------
        >>> Order.of((2, 6), ((Piece(1, 2, 3),), (Piece(1, 3, 1), Piece(0, 2))))
        Order(split=(2, 2, 3), order=(1, 2, 0), size=(2, 6))
        """
        pieces = [piece for axis in wanted for piece in axis]
        stored = sorted(range(len(pieces)), key=lambda k: (pieces[k].axis, -pieces[k].stride))
        place = {k: number for number, k in enumerate(stored)}
        return cls(
            tuple(pieces[k].size for k in stored),
            tuple(place[k] for k in range(len(pieces))),
            tuple(prod(piece.size for piece in axis) for axis in wanted),
        )

    @property
    def index(self) -> IntArray:
        """For each entry of the result, in order, the place of its number in what was stored."""
        places = np.arange(prod(self.split)).reshape(self.split)
        return places.transpose(self.order).ravel()
