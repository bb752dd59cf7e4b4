"""Building a network node by node, and bringing values into the order in which they are read.

A value is given as a :class:`~symlump.network.exchange.views.View`; a node that reads the numbers in
another order than they are stored in gets a step before it that brings them into that order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.evaluate import check_size
from symlump.network.exchange.views import (
    SAMPLES,
    Axis,
    Order,
    Piece,
    View,
    all_of,
    has_samples,
    join,
    split_alike,
    whole,
)
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Doubt,
    Flatten,
    Input,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.step_nodes import Attention, ByPlace, Rearrange, Regrid, Reorder
from symlump.ode.exact import FloatArray, IntArray

#: Numbers that a reader may make itself, such as one factor per channel: a file can ask for any amount.
_MAX_MADE = 1 << 24

#: What to do instead of mixing samples.
EACH_SAMPLE = (
    "what is read computes each sample on its own, so keep axis 0 for the samples (in torch "
    "batch_first=True, and at export dynamic_axes={input: {0: 'batch'}})"
)


class Arranger:
    """Collects nodes; names are made different, shapes are checked as they come.

    Parameters
    ----------
    samples : int
        The number of samples in the file, :data:`~symlump.network.exchange.views.SAMPLES` where it is open.

    Examples
    --------
    >>> build = Arranger()
    >>> x = build.view(build.add(Input("x", (), (2, 3, 3))))
    >>> build.plain("flat", x.reshaped((SAMPLES, 18))), build.plain("last", x.transposed((0, 2, 3, 1)))
    ('flat.flat', 'last.order')
    """

    def __init__(self, samples: int = SAMPLES) -> None:
        self.samples = samples
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.by_name: dict[str, Node] = {}
        self._numbers: defaultdict[str, int] = defaultdict(lambda: 1)
        self._arranged: dict[tuple[str, tuple[Axis, ...]], str] = {}
        self._named: dict[str, FloatArray] = {}
        self._made = 0
        self._layered: set[str] = set()
        self.of_groups: dict[str, str] = {}  # which part of an array is the weight of a layer

    def add(self, node: Node) -> str:
        """Add a node and return its name."""
        shape = node.shape(*(self.shapes[name] for name in node.inputs))
        check_size(node, shape)
        self.shapes[node.name] = shape
        self.by_name[node.name] = node
        self.nodes.append(node)
        if self._passes_layers(node):
            self._layered.add(node.name)
        return node.name

    def name_arrays(self, first: int, names: tuple[str, str]) -> None:
        """Name the weights and biases of the layers made from a place on, to tell which are the same.

        What one array of a file becomes depends on the shape it meets; where it became something else before,
        it is not the same.
        """
        for place, node in enumerate(self.nodes[first:], start=first):
            if isinstance(node, Affine) and any(names):
                part = self.of_groups.get(node.name, "")
                own = [name and f"{name}{part}" for name in names]
                weight = self._name(f"weight {own[0]}", own[0], node.weight)
                bias = "" if node.bias is None else self._name(f"bias {own[1]}", own[1], node.bias)
                named = replace(node, weight_name=weight, bias_name=bias)
                self.nodes[place] = self.by_name[node.name] = named

    def mark_computed(self, first: int) -> None:
        """Say of the layers from this number on that a library computed their weights."""
        for place, node in enumerate(self.nodes[first:], start=first):
            if isinstance(node, Affine):
                doubt = node.doubt or Doubt(np.zeros_like(node.weight), np.zeros(node.units))
                self.nodes[place] = replace(node, doubt=replace(doubt, computed=True))

    def _name(self, key: str, name: str, array: FloatArray) -> str:
        return name if np.array_equal(self._named.setdefault(key, array), array) else ""

    def free(self, name: str) -> str:
        """The name, with a number if it is taken."""
        result = name
        while result in self.shapes:
            self._numbers[name] += 1
            result = f"{name}_{self._numbers[name]}"
        return result

    def view(self, name: str) -> View:
        """A node's value, as it is stored."""
        return whole(name, self.shapes[name], self.samples)

    def given(self, name: str, sizes: Shape, whole_numbers: bool, **known: Any) -> View:
        """An input of a shape, without the samples; a number for each sample is stored as one feature."""
        stored = self.add(Input(self.free(name), (), sizes, int(whole_numbers), **known))
        if sizes:
            return self.view(stored)
        feature = self.add(Unsqueeze(self.free(f"{name}.feature"), (stored,), 1))
        return replace(self.view(feature), axes=self.view(feature).axes[:1])

    def arranged(self, name: str, x: View, wanted: tuple[Axis, ...]) -> str:
        """The stored value with other axes; units stay together where channels do.

        Parameters
        ----------
        name : str
            For what is added.
        wanted : tuple of tuple of Piece
            The axes behind the samples, which cover the value.
        """
        known = self._arranged.get((x.name, wanted))
        if known is None:
            known = self._arrange(name, x.name, wanted, x.label)
            self._arranged[x.name, wanted] = known
        return known

    def _arrange(self, name: str, x: str, wanted: tuple[Axis, ...], label: str) -> str:
        shape = self.shapes[x]
        sizes = tuple(prod(piece.size for piece in axis) for axis in wanted)
        if prod(sizes) != prod(shape):
            raise NetworkError(
                f"{name}: this operation mixes the samples with other axes; {EACH_SAMPLE}"
            )
        if wanted == tuple(all_of(k, n) for k, n in enumerate(shape)):
            return x
        own = wanted[0] if wanted else ()
        channels = [piece for axis in wanted for piece in axis if piece.axis == 0]
        if not wanted:
            return (
                x if shape == (1,) else self.add(Flatten(self.free(label or f"{name}.flat"), (x,)))
            )
        if shape and tuple(channels) == own:  # channels stay channels, perhaps in another order
            x = self.select(f"{name}.order", x, Order.of(shape[:1], (own,)).index)
            return self._regrid(name, x, wanted[1:], sizes[1:], label)
        if len(wanted) == 1:
            flat = self.add(Flatten(self.free(label or f"{name}.flat"), (x,)))
            return self.select(f"{name}.order", flat, Order.of(shape, wanted).index)
        order = Order.of(shape, wanted)
        step = Rearrange(
            self.free(label or f"{name}.order"), (x,), order.split, order.order, order.size
        )
        return self.add(step)

    def _regrid(self, name: str, x: str, wanted: tuple[Axis, ...], sizes: Shape, label: str) -> str:
        grid = self.shapes[x][1:]
        if sizes == grid and wanted == tuple(all_of(k + 1, n) for k, n in enumerate(grid)):
            return x
        if set(grid) <= {1} and len(sizes) > len(grid):
            return self.add(
                Unsqueeze(self.free(label or f"{name}.axes"), (x,), len(sizes) - len(grid))
            )
        if set(grid) <= {1} and not sizes:
            return self.add(Flatten(self.free(label or f"{name}.flat"), (x,)))
        down = [tuple(replace(piece, axis=piece.axis - 1) for piece in axis) for axis in wanted]
        order = Order.of(grid, tuple(down))
        step = Regrid(
            self.free(label or f"{name}.grid"), (x,), order.split, order.order, order.size
        )
        return self.add(step)

    def select(self, name: str, x: str, index: IntArray) -> str:
        """Some channels of a stored value, by number."""
        if np.array_equal(index, np.arange(self.shapes[x][0])):
            return x
        self.count(name, index.size)
        return self.add(Select(self.free(name), (x,), index.astype(np.int64)))

    def plain(self, name: str, x: View, number: bool = False) -> str:
        """The value stored as the file sees it: axis 1 is that of the channels.

        Parameters
        ----------
        number : bool
            A value without axes behind the samples is stored without any, too; else with one of length 1.

        Raises
        ------
        NetworkError
            If axis 0 is not that of the samples.
        """
        x = self.one_sample_first(x)
        if not x.samples_first:
            raise NetworkError(
                f"{name}: axis 0 of a value of shape {shape_text(x.shape)} is not that of the samples alone; "
                f"{EACH_SAMPLE}"
            )
        stored = self.arranged(name, x, x.axes[1:])
        if number and len(x.axes) == 1:
            return self.add(Squeeze(self.free(f"{name}.number"), (stored,)))
        return stored

    def one_sample_first(self, x: View) -> View:
        """Where there is one sample, and axis 0 has length 1, that axis is the sample's."""
        free = len(x.axes) > 1 and all(piece.axis < 0 for piece in x.axes[0])
        return x.with_sample_in(0) if self.samples == 1 and free else x

    def reshaped(self, name: str, x: View, target: Shape) -> View | None:
        """The entries in the same order under another shape; stored as one axis where pieces do not divide."""
        found = x.reshaped(target)
        flat = x.reshaped((x.shape[0], prod(x.sizes))) if x.samples_first else None
        if found is None and flat is not None:
            found = self.view(self.plain(name, flat)).reshaped(target)
        return found

    def turned(
        self, name: str, x: View, cut: Shape, order: Sequence[int], target: Shape
    ) -> View | None:
        """The entries under a shape, its axes in another order, under another shape."""
        parts = self.reshaped(name, x, cut)
        return (
            None if parts is None else self.reshaped(name, parts.transposed(tuple(order)), target)
        )

    def as_stored(self, x: View, axes: Sequence[int]) -> tuple[int, ...] | None:
        """The stored axes (samples counted) that some axes of the file are; None if they are none."""
        shape, found = self.shapes[x.name], []
        for axis in axes:
            places = [k for k, n in enumerate(shape) if n > 1 and x.axes[axis] == all_of(k, n)]
            if not places:
                return None
            found.append(places[0] + 1)
        return tuple(found)

    def alike(self, name: str, values: Sequence[View]) -> tuple[View, list[str]]:
        """Values of one shape, or spread to one, stored in one order; and the view of what comes of them.

        Raises
        ------
        NetworkError
            If their shapes do not fit.
        """
        rank = max(len(view.axes) for view in values)
        padded = [replace(v, axes=((),) * (rank - len(v.axes)) + v.axes) for v in values]
        result = tuple(max(sizes) for sizes in zip(*(v.shape for v in padded), strict=True))
        fits = all(n in (1, m) for v in padded for n, m in zip(v.shape, result, strict=True))
        places = {_samples_at(view) for view in padded}
        if self.samples == 1 and len(places) > 1:
            place = min(place for place in places if place >= 0)
            padded = [view.with_sample_in(place) for view in padded]
            places = {place}
        if not fits or len(places) != 1:
            raise NetworkError(
                f"{name}: values of shapes {', '.join(shape_text(v.shape) for v in values)} do not fit together"
            )
        for main in sorted(padded, key=lambda v: self._cost(v, padded)):
            if main.shape != result:
                continue
            wanted = [self._conforming(view, main) for view in padded]
            if all(axes is not None for axes in wanted):
                names = [
                    self.arranged(name, view, axes)
                    for view, axes in zip(padded, wanted, strict=True)
                    if axes is not None
                ]
                return main, names
        names = [self.plain(name, view) for view in padded]
        return whole("", tuple(result[1:]), self.samples), names

    def _cost(self, main: View, values: Sequence[View]) -> int:
        """How many others would lose their units if this one's order were taken."""
        lost = 0
        for view in values:
            axes = self._conforming(view, main)
            lost += axes is not None and not _keeps_channels(axes) and view.name in self._layered
        return lost

    def _passes_layers(self, node: Node) -> bool:
        """Whether the channels of a value may be units that merge: a layer has made them."""
        kinds = Combine | Apply | Pool | Regrid | ByPlace | Select | Concatenate
        if isinstance(node, kinds) or (isinstance(node, Affine) and node.is_scale):
            return not self._layered.isdisjoint(node.inputs)
        return isinstance(node, Affine | Attention)

    def _conforming(self, view: View, main: View) -> tuple[Axis, ...] | None:
        """The axes of a value that stand where those of another are stored."""
        found: dict[Piece, Axis] = {}
        for own, axis in zip(view.axes, main.axes, strict=True):
            if [p for p in own if p.axis < 0] != [p for p in axis if p.axis < 0]:
                return None
            pieces = tuple(p for p in axis if p.axis >= 0)
            mine = tuple(p for p in own if p.axis >= 0)
            if not mine:
                found.update((piece, ()) for piece in pieces)
                continue
            cut = split_alike(mine, tuple(p.size for p in pieces))
            if cut is None:
                return None
            found.update((piece, (part,)) for piece, part in zip(pieces, cut, strict=True))
        axes: list[Axis] = []
        for k in range(len(self.shapes[main.name])):
            pieces = tuple(sorted((p for p in found if p.axis == k), key=lambda p: -p.stride))
            parts = [found[piece] for piece in pieces]
            if any(parts) and not all(parts):
                return None  # spread along a part of a stored axis
            axes.append(join([piece for part in parts for piece in part]))
        return tuple(axes)

    def flattened(self, name: str, x: View) -> View:
        """The same view on the value stored as one axis."""
        shape = self.shapes[x.name]
        if len(shape) == 1:
            return x
        flat = self.add(Flatten(self.free(x.label or f"{name}.flat"), (x.name,)))
        behind = [prod(shape[k + 1 :]) for k in range(len(shape))]
        axes = tuple(
            join([p if p.axis < 0 else Piece(0, p.size, p.stride * behind[p.axis]) for p in axis])
            for axis in x.axes
        )
        return View(flat, axes)

    def is_input(self, name: str) -> bool:
        """Whether the units of a value are those of an input."""
        node = self.by_name[name]
        while isinstance(node, Flatten | Reorder | Select) or (
            isinstance(node, Affine) and node.is_scale
        ):
            node = self.by_name[node.inputs[0]]
        return isinstance(node, Input)

    def count(self, name: str, numbers: int) -> None:
        """Count numbers that the reader makes itself.

        Raises
        ------
        NetworkError
            If there are too many.
        """
        self._made += numbers
        if self._made > _MAX_MADE:
            raise NetworkError(f"{name}: the network has too many channels to be read")


def shape_text(shape: Shape) -> str:
    """A shape as text, with a word for the samples.

    Examples
    --------
    >>> shape_text((SAMPLES, 3, 4))
    '(samples, 3, 4)'
    """
    words = ["samples" if n == SAMPLES else f"samples·{n // SAMPLES}" if n % SAMPLES == 0 else str(n)
             for n in shape]  # fmt: skip
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def _samples_at(view: View) -> int:
    return next((k for k, axis in enumerate(view.axes) if has_samples(axis)), -1)


def _keeps_channels(axes: tuple[Axis, ...]) -> bool:
    return all(piece.axis == 0 for piece in axes[0]) if axes else True
