"""Building a network: the steps of the table of operations, along axes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.exchange.arranging import EACH_SAMPLE, Arranger, shape_text
from symlump.network.exchange.views import Piece, View, all_of, has_samples, join
from symlump.network.nodes import Affine, Concatenate, Input, Pool, Select, Shape
from symlump.network.step_nodes import Operation
from symlump.ode.exact import FloatArray, IntArray


class StepBuilder(Arranger):
    """Adds steps that are no layers."""

    def taken(self, name: str, x: View, axis: int, index: IntArray) -> View:
        """Some places of an axis of the file, by number; those of channels are a selection of units."""
        pieces = x.axes[axis]
        if has_samples(pieces):
            raise NetworkError(f"{name}: takes some of the samples; {EACH_SAMPLE}")
        others = [p for k, a in enumerate(x.axes) if k != axis for p in a if p.axis >= 0]
        if any(p.axis for p in pieces) and not others:  # places of a value that was flattened
            x = self.flattened(name, x)
            pieces = x.axes[axis]
        if pieces and all(p.axis == 0 for p in pieces):
            return self._taken_channels(name, x, axis, index)
        steps = np.unique(np.diff(index))
        step = int(steps[0]) if len(steps) == 1 else 1
        if not index.size or len(steps) > 1 or step < 1:
            raise NetworkError(
                f"{name}: takes places of the grid in an order that symlump does not read"
            )
        start, stop = int(index[0]), int(index[-1]) + 1
        options = {"start": start, "stop": stop, "step": step}
        stored = self.as_stored(x, [axis])
        if stored is None:
            plain = self.plain(name, x)
            return self.step(name, "take", [plain], {"axis": axis, **options})
        taken = self.step(name, "take", [x.name], {"axis": stored[0], **options})
        axes = list(x.axes)
        axes[axis] = all_of(stored[0] - 1, index.size)
        return View(taken.name, tuple(axes))

    def _taken_channels(self, name: str, x: View, axis: int, index: IntArray) -> View:
        shape = self.shapes[x.name]
        places = np.zeros(1, dtype=np.int64)
        for piece in x.axes[axis]:
            places = (places[:, None] + piece.stride * np.arange(piece.size)).ravel()
        rest = sorted(
            (p for k, a in enumerate(x.axes) if k != axis for p in a if p.axis == 0),
            key=lambda p: -p.stride,
        )
        inside, strides = np.zeros(1, dtype=np.int64), {}
        for number, piece in enumerate(rest):
            inside = (inside[:, None] + piece.stride * np.arange(piece.size)).ravel()
            strides[piece] = prod(p.size for p in rest[number + 1 :])
        channels = (places[index][:, None] + inside).ravel()
        axes = [
            join([replace(p, stride=strides.get(p, 1)) if p.axis == 0 else p for p in a])
            for a in x.axes
        ]
        axes[axis] = join([Piece(0, index.size, inside.size)])
        selected = self.select(name, x.name, channels)
        assert self.shapes[selected][1:] == shape[1:]
        return View(selected, tuple(axes))

    def step(
        self,
        name: str,
        kind: str,
        values: Sequence[str],
        options: dict[str, Any],
        arrays: Sequence[FloatArray] = (),
    ) -> View:
        """A step of the table of operations, on stored values."""
        node = Operation(self.free(name), tuple(values), kind, options, tuple(arrays))
        return self.view(self.add(node))

    def along(self, name: str, kind: str, x: View, axes: Sequence[int], one: bool = False,
              arrays: Sequence[FloatArray] = (), **options: Any) -> View:  # fmt: skip
        """A step along axes of the file that leaves the shape, or (reductions) makes them 1.

        Parameters
        ----------
        one : bool
            The option takes one axis, and not several.
        arrays : sequence of ndarray
            Constants, of shapes that can be broadcast against the value as the file sees it.
        """
        axes = [axis % len(x.axes) for axis in axes]
        stored, base = self.as_stored(x, axes), x
        if stored is None:
            base = self.view(self.plain(name, x))
            stored = tuple(axes)
            if 0 in axes:
                raise NetworkError(f"{name}: runs over the samples; {EACH_SAMPLE}")
        held = [
            self.along_stored(name, base, np.asarray(a, dtype=np.float64))[None] for a in arrays
        ]
        chosen: Any = stored[0] if one else stored
        key = "axis" if one else "axes"
        result = self.step(name, kind, [base.name], {key: chosen, **options}, held)
        after = self.shapes[result.name]
        changed = [k for k, n in enumerate(self.shapes[base.name]) if after[k] != n]
        kept = tuple(tuple(p for p in axis if p.axis not in changed) for axis in base.axes)
        return View(result.name, kept)

    def reduce(self, name: str, x: View, axes: Sequence[int], how: str, keep: bool) -> View:
        """Mean, sum, maximum or minimum along axes."""
        places = sorted({axis % len(x.axes) for axis in axes})
        if any(has_samples(x.axes[k]) for k in places):
            raise NetworkError(f"{name}: runs over the samples; {EACH_SAMPLE}")
        stored = self.as_stored(x, [k for k in places if x.axes[k]])
        shape = self.shapes[x.name]
        grid = tuple(k + 2 for k, n in enumerate(shape[1:]) if n > 1)
        if (
            how in ("mean", "maximum")
            and stored is not None
            and grid
            and sorted(stored) == list(grid)
        ):
            kind: Any = "average" if how == "mean" else "maximum"
            pool = Pool(self.free(name), (x.name,), kind, (1,) * (len(shape) - 1), adaptive=True)
            axes_now = tuple(() if k in places else axis for k, axis in enumerate(x.axes))
            result = View(self.add(pool), axes_now)
        else:
            result = self.along(name, "reduce", x, places, how=how)
        if keep:
            return result
        return replace(result, axes=tuple(a for k, a in enumerate(result.axes) if k not in places))

    def part(self, name: str, x: View, axis: int, start: int, stop: int, step: int = 1) -> View:
        """A range of places along an axis."""
        axis %= len(x.axes)
        length = x.shape[axis]
        if has_samples(x.axes[axis]):
            raise NetworkError(f"{name}: takes some of the samples; {EACH_SAMPLE}")
        index = np.arange(*slice(start, stop, step).indices(length))
        return x if index.size == length and step == 1 else self.taken(name, x, axis, index)

    def parts(self, name: str, x: View, axis: int, sizes: Sequence[int]) -> tuple[View, ...]:
        """Consecutive ranges of places along an axis."""
        ends = np.cumsum([0, *sizes]).tolist()
        pairs = zip(ends, ends[1:], strict=False)
        return tuple(self.part(name, x, axis, begin, end) for begin, end in pairs)

    def pair(self, name: str, values: Sequence[View], how: str) -> View:
        """The larger or the smaller of two values: ``how`` is "maximum" or "minimum"."""
        like, names = self.alike(name, values)
        return like.of(self.step(name, "pair", names, {"how": how}).name)

    def argmax(self, name: str, x: View, axis: int, keep: bool) -> View:
        """The place of the largest number along an axis, as a number."""
        axis %= len(x.axes)
        found = self.along(name, "argmax", x, [axis], one=True)
        return found if keep else self.without(found, [axis])

    def along_stored(self, name: str, x: View, values: FloatArray) -> FloatArray:
        """A constant as the value is stored: (channels or 1, grid or ones)."""
        shape = self.shapes[x.name]
        if values.size == 1:
            return values.reshape((1,) * len(shape))
        sizes = x.shape
        while values.ndim > len(sizes) and values.shape[0] == 1:
            values = values[0]
        values = values.reshape((1,) * (len(sizes) - values.ndim) + values.shape)
        fits = values.ndim == len(sizes) and all(
            n in (1, m) for n, m in zip(values.shape, sizes, strict=True)
        )
        parts: list[Shape] = []
        for axis, n in zip(x.axes, values.shape, strict=False):
            parts.append(tuple(1 if n == 1 else piece.size for piece in axis))
            fits = fits and (n == 1 or all(piece.axis >= 0 for piece in axis))
        if not fits:
            raise NetworkError(
                f"{name}: a constant of shape {values.shape} meets a value of shape {shape_text(sizes)}; "
                "symlump reads constants that are not larger than the value, and the same for all samples"
            )
        values = values.reshape([n for part in parts for n in part])
        pieces = [piece for axis in x.axes for piece in axis]
        order = sorted(range(len(pieces)), key=lambda k: (pieces[k].axis, -pieces[k].stride))
        values = values.transpose(order)
        sizes_now: list[int] = []
        for k in range(len(shape)):  # an axis of which one piece varies is written out
            places = [i for i, at in enumerate(order) if pieces[at].axis == k]
            if any(values.shape[i] > 1 for i in places):
                full = list(values.shape)
                for i in places:
                    full[i] = pieces[order[i]].size
                self.count(name, prod(full))
                values = np.broadcast_to(values, full)
                sizes_now.append(shape[k])
            else:
                sizes_now.append(1)
        return values.reshape(sizes_now)

    def without(self, x: View, axes: Sequence[int]) -> View:
        """A view without some axes of length 1."""
        return replace(x, axes=tuple(axis for k, axis in enumerate(x.axes) if k not in axes))

    def function(self, name: str, x: View, function: str, *numbers: float) -> View:
        """A function of one number that is none of the activations."""
        options = {"name": function, "numbers": numbers}
        return x.of(self.step(name, "function", [x.name], options).name)

    def spread(self, name: str, x: View, target: Shape) -> View:
        """A value spread to a shape: nothing where it has that shape."""
        rank = max(len(x.axes), len(target))
        view = replace(x, axes=((),) * (rank - len(x.axes)) + x.axes)
        target = (1,) * (rank - len(target)) + target
        if target and 1 < target[0] != view.shape[0]:
            raise NetworkError(f"{name}: is spread along axis 0; {EACH_SAMPLE}")
        sizes = tuple(max(n, m) for n, m in zip(target, view.shape, strict=True))
        if sizes == view.shape:
            return view
        copied = self._copied_heads(name, view, sizes)
        if copied is not None:
            return copied
        plain = self.plain(name, view)
        return self.step(name, "spread", [plain], {"size": sizes[1:]})

    def _copied_heads(self, name: str, x: View, sizes: Shape) -> View | None:
        """Heads with copies of theirs beside them, as keys have that several queries share; else None.

        The copies are further channels, so that what is the same stays seen to be the same.
        """
        grown = [k for k, (n, m) in enumerate(zip(sizes, x.shape, strict=True)) if n != m]
        if len(grown) != 1 or len(sizes) != 5 or grown[0] not in (1, 2) or not x.samples_first:
            return None
        k, count = grown[0], self.shapes[x.name][0]
        heads, width = x.axes[3 - k], x.axes[-1]
        if not all(axis and all(p.axis == 0 for p in axis) for axis in (heads, width)):
            return None
        index = np.tile(np.arange(count), sizes[k])
        node = self.add(Select(self.free(name), (x.name,), index))
        axes = list(x.axes)
        axes[k] = (Piece(0, sizes[k], count),)
        return View(node, tuple(axes))

    def repeat(self, name: str, x: View, times: Sequence[int]) -> View | None:
        """A value so often along each axis, one after the other; None where that is several axes."""
        rank = len(times)
        view = replace(x, axes=((),) * (rank - len(x.axes)) + x.axes)
        grown = [k for k, n in enumerate(times) if n != 1]
        if not grown:
            return view
        if len(grown) > 1:
            return None
        if grown == [0]:
            raise NetworkError(f"{name}: repeats the samples; {EACH_SAMPLE}")
        k, shape = grown[0], view.shape
        if shape[k] == 1:
            return self.spread(name, view, (*shape[:k], times[k], *shape[k + 1 :]))
        opened = view.reshaped((*shape[:k], 1, *shape[k:]))
        assert opened is not None
        found = self.spread(name, opened, (*shape[:k], times[k], *shape[k:]))
        return found.reshaped((*shape[:k], times[k] * shape[k], *shape[k + 1 :]))

    def spread_over(self, name: str, x: View, shape: Shape) -> View:
        """A value spread over a constant that is larger along axes where the value has length 1."""
        own = x.shape[-len(shape) :] if shape else ()
        larger = len(own) == len(shape) and any(n > m for n, m in zip(shape, own, strict=True))
        fits = larger and all(n in (1, m) or m == 1 for n, m in zip(shape, own, strict=True))
        return self.spread(name, x, shape) if fits else x

    def equal(self, name: str, x: View, held: FloatArray) -> View:
        """1 where a value is that of a constant, spread over one another; else 0."""
        plain = self.plain(name, x)
        rank = len(x.axes)
        held = held.reshape((1,) * (rank - held.ndim) + held.shape)
        if held.size:
            self.values(x.name, int(held.max()) + 1)
        return self.step(name, "equal", [plain], {}, [held])

    def embedded(self, name: str, x: View, table: FloatArray) -> View:
        """The rows of a table by the whole numbers that a value holds."""
        self.values(x.name, len(table))
        found = self.step(name, "embed", [self.plain(name, x)], {}, [table])
        return (
            found if len(x.axes) > 1 else self.without(found, [1])
        )  # stored with an axis of length 1

    def values(self, name: str, count: int) -> None:
        """Note that an input holds whole numbers from 0 to one below the count."""
        node = self.by_name[name]
        while not isinstance(node, Input) and node.inputs:
            node = self.by_name[node.inputs[0]]
        if isinstance(node, Input) and node.values:
            place = next(k for k, other in enumerate(self.nodes) if other.name == node.name)
            known = replace(node, values=count if node.values == 1 else min(count, node.values))
            self.nodes[place] = self.by_name[node.name] = known

    def is_whole(self, name: str) -> bool:
        """Whether a value holds whole numbers."""
        node = self.by_name[name]
        if isinstance(node, Operation):
            if node.kind == "embed":
                return bool(np.all(node.arrays[0] == np.rint(node.arrays[0])))
            if node.kind in ("take", "join", "reduce", "spread", "pad") and not node.arrays:
                return all(self.is_whole(x) for x in node.inputs)
            rounded = node.options.get("name") in (
                "equals",
                "floor",
                "ceil",
                "round",
                "not",
                "sign",
            )
            return node.kind in ("argmax", "equal") or rounded
        if isinstance(node, Input):
            return node.values > 0
        return not hasattr(node, "weight") and bool(node.inputs) and self.is_whole(node.inputs[0])

    def padded(
        self, name: str, x: View, before: Sequence[int], after: Sequence[int], value: float
    ) -> View:
        """Constants around a value, on both sides of each axis behind the samples."""
        sizes = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
        while sizes and not any(sizes[-2:]):  # axes that get none
            sizes = sizes[:-2]
        if min(sizes) < 0:
            raise NetworkError(
                f"{name}: cuts numbers off with a negative padding, which is not read"
            )
        plain = self.plain(name, x)
        options = {"sizes": tuple(sizes), "value": value}
        return self.step(name, "pad", [plain], options)

    def resized(
        self, name: str, x: View, size: Sequence[int], mode: str, corners: bool | None
    ) -> View:
        """A grid of another size."""
        options = {"size": tuple(size), "mode": mode, "corners": corners}
        return self.step(name, "resize", [self.plain(name, x)], options)

    def grouped(
        self,
        name: str,
        x: View,
        weight: FloatArray,
        bias: FloatArray | None,
        groups: int,
        **geometry: Any,
    ) -> View:
        """A convolution for each group, on its part of the channels, and their units side by side."""
        stored = self.plain(name, x)
        read, units = self.shapes[stored][0], len(weight)
        if groups < 1 or read % groups or units % groups:
            raise NetworkError(
                f"{name}: {groups} groups do not divide the {read} channels that it reads and its {units} units"
            )
        channels = np.split(np.arange(read), groups)
        biases = [None] * groups if bias is None else np.split(bias.ravel(), groups)
        parts = []
        for k, (own, rows, constants) in enumerate(
            zip(channels, np.split(weight, groups), biases, strict=True)
        ):
            part = self.select(f"{name}.group{k}.reads", stored, own)
            node = Affine(self.free(f"{name}.group{k}"), (part,), rows, constants, **geometry)
            self.of_groups[node.name] = f", group {k}"
            parts.append(self.add(node))
        return self.view(self.add(Concatenate(self.free(name), tuple(parts))))

    def convolution_step(
        self, name: str, x: View, weight: FloatArray, bias: FloatArray | None, **options: Any
    ) -> View:
        """A convolution as a step of the table: computed and written, its units alone."""
        arrays = [weight] if bias is None else [weight, bias.ravel()]
        return self.step(name, "convolve", [self.plain(name, x)], options, arrays)
