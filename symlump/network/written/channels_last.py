"""Steps on values with the channels last, (samples, *grid, channels): torch has layers of tokens in this form.

A network stores channels first. A dense layer at each place of a grid, a normalisation along channels and
attention are written on the turned value; what follows stays turned as long as it can, so that a block of a
transformer turns nothing at all.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx

from symlump.network.nodes import Affine, Apply, Combine, Concatenate, Flatten, Node, Pool, Select
from symlump.network.step_nodes import Attention, ByPlace, Operation, Rearrange, Regrid, Softmax

if TYPE_CHECKING:
    from symlump.network.torch_module import Writer

#: Steps of the table along axes of the grid, which stand one place earlier in a turned value.
_ALONG = ("softmax", "reduce", "take")


class ChannelsLast:
    """Writes nodes on turned values, where that is their form.

    Parameters
    ----------
    writer : Writer
        Makes modules and calls, and has the values with the channels first.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer, self._calls, self._shapes = writer, writer.calls, writer.graph.shapes
        self.values: dict[str, fx.Node] = {}

    def turned(self, name: str) -> fx.Node:
        """A value with the channels last."""
        if name not in self.values:
            value = self._writer.values[name]
            places = range(2, len(self._shapes[name]) + 1)
            self.values[name] = self._calls.call_method("permute", (value, 0, *places, 1))
        return self.values[name]

    def turned_back(self, name: str) -> fx.Node:
        """Such a value with the channels first again."""
        last = len(self._shapes[name])
        return self._calls.call_method("permute", (self.values[name], 0, last, *range(1, last)))

    def write(self, node: Node) -> bool:
        """Write a node, if it is one to be written so; what it gives is then in ``values``.

        Layers of tokens always are, all else where what it reads is there in this form only.
        """
        if isinstance(node, Rearrange):
            return self._turns(node)
        given = [name for name in node.inputs if len(self._shapes[name]) > 1]
        if not given or len(given) < len(node.inputs):
            return False
        only = [name in self.values and name not in self._writer.values for name in given]
        tokens = len(self._shapes[node.name]) == 2
        match node:
            case Affine() if node.is_dense:
                pass
            case Attention():
                pass
            case Operation(kind="normalise", options=options) if options["axes"] == (1,):
                pass
            case Operation(kind="join") if tokens:
                pass
            case Combine() if any(only) and len({self._shapes[name] for name in given}) == 1:
                pass
            case _ if not all(only):
                return False
        if isinstance(node, Flatten):
            return self._flatten(node)
        value = self._written(node, lambda: [self.turned(name) for name in node.inputs])
        if value is None:
            return False
        value.meta["symlump"] = node.name
        self.values[node.name] = value
        return True

    def _turns(self, node: Rearrange) -> bool:
        """What makes channels of the last axis, or the last axis of channels, is there without a step."""
        x, rank = node.inputs[0], len(node.split)
        steps = node.steps(self._shapes[x])
        if steps == [("transpose", (0, rank, *range(1, rank)))] and x in self._writer.values:
            self.values[node.name] = self._writer.values[x]
        elif steps == [("transpose", (0, *range(2, rank + 1), 1))] and x in self.values:
            self._writer.values[node.name] = self.values[x]
        else:
            return False
        return True

    def _flatten(self, node: Flatten) -> bool:
        """One place: its channels are what is flattened."""
        if set(self._shapes[node.inputs[0]][1:]) != {1}:
            return False
        value = self._calls.call_function(torch.flatten, (self.turned(node.inputs[0]), 1))
        value.meta["symlump"] = node.name
        self._writer.values[node.name] = value
        return True

    def _written(self, node: Node, turned: Any) -> fx.Node | None:
        calls, writer = self._calls, self._writer
        match node:
            case Affine() if node.is_dense:
                return writer.call(node.name, writer.affine(node), turned())
            case Affine(weight_name="") if node.is_scale:
                return writer.call(node.name, writer.scale(node, 0), turned())
            case Apply():
                return writer.apply(node, turned()[0])
            case Combine():
                return writer.combined(node, turned())
            case ByPlace(operation=operation, constant=constant):
                what = operator.add if operation == "add" else operator.mul
                held = writer.parameter(f"{node.name}.constant", np.moveaxis(constant, 0, -1))
                return calls.call_function(what, (turned()[0], held))
            case Select():
                return writer.selected(node, turned()[0], -1)
            case Concatenate():
                return calls.call_function(torch.cat, (turned(), -1))
            case Softmax(logarithm=logarithm):
                what = torch.log_softmax if logarithm else torch.softmax
                return calls.call_function(what, (turned()[0], -1))
            case Attention():
                return writer.attention(node, turned())
            case Regrid():
                return self._regridded(node, turned()[0])
            case Pool(adaptive=True, operation="average", size=size) if set(size) == {1}:
                axes = tuple(range(1, len(size) + 1))
                return calls.call_method("mean", (turned()[0], axes), {"keepdim": True})
            case Operation(kind="normalise", options=options) if options["axes"] == (1,):
                norm = writer.norm(node, self._shapes[node.name][0])
                return writer.call(node.name, norm, turned())
            case Operation():
                moved = self._moved(node)
                return None if moved is None else writer.operation(moved, turned())
        return None

    def _regridded(self, node: Regrid, x: fx.Node) -> fx.Node:
        """The grid in another shape or order, behind it the channels."""
        channels = self._shapes[node.name][0]
        for step, numbers in node.steps(self._shapes[node.inputs[0]]):
            if step == "reshape":
                samples = self._calls.call_method("size", (x, 0))
                x = self._calls.call_method("reshape", (x, samples, *numbers, channels))
            else:
                order = [k - 1 for k in numbers[2:]]
                x = self._calls.call_method("permute", (x, 0, *order, len(order) + 1))
        return x

    def _moved(self, node: Operation) -> Operation | None:
        """A step of the table, its axes and constants as in a turned value; None where it has no such form."""
        last = len(self._shapes[node.inputs[0]])
        options, arrays = node.options, node.arrays
        at = {axis: last if axis == 1 else axis - 1 for axis in range(1, last + 1)}
        match node.kind:
            case "function":
                return node
            case "join":
                arrays = tuple(np.moveaxis(array, 1, -1) for array in arrays)
                return replace(
                    node, options={**options, "axis": at[options["axis"]]}, arrays=arrays
                )
            case kind if kind in _ALONG and "axis" in options:
                return replace(node, options={**options, "axis": at[options["axis"]]})
            case kind if kind in _ALONG:
                axes = tuple(at[axis] for axis in options["axes"])
                return replace(node, options={**options, "axes": axes})
        return None
