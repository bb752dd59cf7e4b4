"""Further nodes: grids in another order, constants that differ from place to place, steps of a table."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from symlump.network.nodes import Node, Shape
from symlump.ode.exact import FloatArray


@dataclass(frozen=True, eq=False)
class Regrid(Node):
    """The grid in another shape or order: reshaped to ``split``, transposed, reshaped to ``size``.

    Channels stay as they are.
    """

    split: Shape
    order: Shape
    size: Shape

    def shape(self, *given: Shape) -> Shape:
        """Channels, and the new grid."""
        _check_order(self, given[0][1:], self.split, self.order, self.size)
        return (*given[0][:1], *self.size)


@dataclass(frozen=True, eq=False)
class Rearrange(Node):
    """The same of all axes: entries get other channels, so the units before stay alone."""

    split: Shape
    order: Shape
    size: Shape

    def shape(self, *given: Shape) -> Shape:
        """The new shape."""
        _check_order(self, given[0], self.split, self.order, self.size)
        return self.size


def _check_order(node: Node, before: Shape, split: Shape, order: Shape, size: Shape) -> None:
    fits = sorted(order) == list(range(len(split))) and prod(split) == prod(size) == prod(before)
    if not fits:
        raise node.refuse(
            f"{split} in the order {order} as {size} does not fit a value of {before}"
        )


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
        return along_grid or self.kind in ("function", "pad", "resize")

    def shape(self, *given: Shape) -> Shape:
        """As torch says."""
        from symlump.network.operations import result_shape

        return result_shape(self, given)


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
