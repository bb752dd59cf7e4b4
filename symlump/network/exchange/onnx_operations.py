"""The steps of :mod:`symlump.network.operations` as operators of ONNX: one method each, named after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.network.nodes import Node, Shape
from symlump.network.step_nodes import Attention, Operation

Array = npt.NDArray[Any]

_REDUCTIONS = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "maximum": "ReduceMax",
    "minimum": "ReduceMin",
}
_PAIRS = {"maximum": "Max", "minimum": "Min"}
_FUNCTIONS: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "sqrt": ("Sqrt", dict),
    "reciprocal": ("Reciprocal", dict),
    "log": ("Log", dict),
    "sign": ("Sign", dict),
    "floor": ("Floor", dict),
    "ceil": ("Ceil", dict),
    "round": ("Round", dict),
    "erf": ("Erf", dict),
    "hardsigmoid": ("HardSigmoid", lambda slope, offset: {"alpha": slope, "beta": offset}),
}
#: What writes what ONNX cannot say.
INSTEAD = "write_program writes it, as a program of torch"
_MODES = {"nearest": "nearest", "bilinear": "linear", "linear": "linear", "bicubic": "cubic"}


class OperationWriter:
    """Writes one step at a time.

    Parameters
    ----------
    add : callable
        Adds an operator: its name, inputs, output, attributes; returns the output.
    constant : callable
        Adds a constant under a name, and returns the name it got.
    free : callable
        Makes a name that is not taken.
    kind : dtype
        Of the network's numbers.
    """

    def __init__(
        self,
        add: Callable[..., str],
        constant: Callable[[str, Array], str],
        free: Callable[[str], str],
        kind: Any,
    ) -> None:
        self._add, self._constant, self._free, self._float = add, constant, free, kind

    def write(self, node: Operation, shapes: Sequence[Shape]) -> None:
        """Write a step.

        Parameters
        ----------
        shapes : sequence of tuple
            Of the values it reads, without the samples.

        Raises
        ------
        NetworkError
            If ONNX cannot say it.
        """
        centred = node.kind == "normalise" and node.options["centred"]
        if centred and node.arrays and node.options["axes"] == (1,):
            self._layer_norm(node, len(shapes[0]) + 1, node.options["eps"])
            return
        held = [
            self._constant(f"{node.name}.{word}", array.astype(self._float))
            for word, array in node.held
        ]
        method = getattr(self, f"_{node.kind.replace(' ', '_')}", None)
        if method is None:
            raise node.refuse(f"the step {node.kind!r} cannot be written as ONNX; {INSTEAD}")
        method(node, held, shapes, **node.options)

    def _integers(self, name: str, values: Any) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _number(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, dtype=self._float))

    def _step(self, node: Node, operator: str, inputs: list[str], word: str, **a: Any) -> str:
        return self._add(operator, inputs, self._free(f"{node.name}.{word}"), **a)

    def _softmax(
        self, node: Operation, held: list[str], shapes: Any, axis: int, logarithm: bool
    ) -> None:
        operator = "LogSoftmax" if logarithm else "Softmax"
        self._add(operator, list(node.inputs), node.name, axis=axis)

    def _matmul(self, node: Operation, held: list[str], shapes: Any) -> None:
        self._add("MatMul", list(node.inputs), node.name)

    def _normalise(
        self, node: Operation, held: list[str], shapes: Any, axes: Shape, eps: float, centred: bool
    ) -> None:
        x = node.inputs[0]
        places = self._integers(f"{node.name}.axes", axes)
        if centred:
            mean = self._step(node, "ReduceMean", [x, places], "mean")
            x = self._step(node, "Sub", [x, mean], "centred")
        square = self._step(node, "Mul", [x, x], "square")
        variance = self._step(node, "ReduceMean", [square, places], "variance")
        more = self._step(node, "Add", [variance, self._number(f"{node.name}.eps", eps)], "more")
        root = self._step(node, "Sqrt", [more], "root")
        last = not held
        x = self._add("Div", [x, root], node.name if last else self._free(f"{node.name}.unit"))
        if held:
            last = len(held) == 1
            x = self._add(
                "Mul", [x, held[0]], node.name if last else self._free(f"{node.name}.times")
            )
        if len(held) > 1:
            self._add("Add", [x, held[1]], node.name)

    def _layer_norm(self, node: Operation, rank: int, eps: float) -> None:
        """A normalisation along channels as one operator, which takes them last."""
        x, name = node.inputs[0], node.name
        held = [
            self._constant(f"{name}.{word}", array.ravel().astype(self._float))
            for word, array in node.held
        ]
        if rank == 2:
            self._add("LayerNormalization", [x, *held], name, axis=-1, epsilon=eps)
            return
        there, back = [0, *range(2, rank), 1], [0, rank - 1, *range(1, rank - 1)]
        x = self._step(node, "Transpose", [x], "last", perm=there)
        x = self._step(node, "LayerNormalization", [x, *held], "unit", axis=-1, epsilon=eps)
        self._add("Transpose", [x], name, perm=back)

    def _reduce(self, node: Operation, held: list[str], shapes: Any, axes: Shape, how: str) -> None:
        places = self._integers(f"{node.name}.axes", axes)
        self._add(_REDUCTIONS[how], [node.inputs[0], places], node.name)

    def _take(
        self,
        node: Operation,
        held: list[str],
        shapes: Any,
        axis: int,
        start: int,
        stop: int,
        step: int,
    ) -> None:
        numbers = [
            self._integers(f"{node.name}.{word}", [n])
            for word, n in (("start", start), ("stop", stop), ("axis", axis), ("step", step))
        ]
        self._add("Slice", [node.inputs[0], *numbers], node.name)

    def _join(
        self,
        node: Operation,
        held: list[str],
        shapes: Any,
        axis: int,
        order: Sequence[int],
        rank: int,
    ) -> None:
        parts = []
        for place in order:
            if place >= 0:
                parts.append(node.inputs[place])
                continue
            # A constant has one sample: it is spread by adding it to zeros of as many samples.
            shape = self._step(node, "Shape", [node.inputs[0]], "shape")
            first = self._step(
                node, "Gather", [shape, self._integers(f"{node.name}.first", [0])], "samples"
            )
            ones = self._integers(f"{node.name}.ones", [1] * rank)
            target = self._step(node, "Concat", [first, ones], "target", axis=0)
            parts.append(self._step(node, "Expand", [held[-1 - place], target], "spread"))
        self._add("Concat", parts, node.name, axis=axis)

    def _pair(self, node: Operation, held: list[str], shapes: Any, how: str) -> None:
        self._add(_PAIRS[how], list(node.inputs), node.name)

    def _function(
        self, node: Operation, held: list[str], shapes: Any, name: str, numbers: Sequence[float]
    ) -> None:
        z, own = node.inputs[0], node.name
        if name in _FUNCTIONS:
            operator, attributes = _FUNCTIONS[name]
            self._add(operator, [z], own, **attributes(*numbers))
            return
        given = [self._number(f"{own}.number", n) for n in numbers]
        if name in ("power", "least", "most"):
            operator = {"power": "Pow", "least": "Max", "most": "Min"}[name]
            self._add(operator, [z, *given], own)
        elif name == "equals":
            self._cast(node, self._step(node, "Equal", [z, *given], "equal"), own)
        elif name == "not":
            self._add("Sub", [self._number(f"{own}.one", 1.0), z], own)
        else:
            raise node.refuse(f"the function {name!r} cannot be written as ONNX; {INSTEAD}")

    def _spread(self, node: Operation, held: list[str], shapes: Any, size: Shape) -> None:
        target = self._integers(f"{node.name}.size", [1, *size])
        self._add("Expand", [node.inputs[0], target], node.name)

    def _equal(self, node: Operation, held: list[str], shapes: Any) -> None:
        found = self._step(node, "Equal", [*node.inputs, *held], "equal")
        self._cast(node, found, node.name)

    def _argmax(self, node: Operation, held: list[str], shapes: Any, axis: int) -> None:
        found = self._step(node, "ArgMax", [node.inputs[0]], "place", axis=axis)
        self._cast(node, found, node.name)

    def _cast(self, node: Operation, x: str, output: str) -> None:
        from onnx import helper

        self._add("Cast", [x], output, to=helper.np_dtype_to_tensor_dtype(self._float))

    def _embed(self, node: Operation, held: list[str], shapes: Any) -> None:
        index = self._step(node, "Cast", [node.inputs[0]], "index", to=7)
        self._add("Gather", [held[0], index], node.name, axis=0)

    def _pad(
        self, node: Operation, held: list[str], shapes: Any, sizes: Shape, value: float
    ) -> None:
        rank = len(shapes[0]) + 1
        before, after = [0] * rank, [0] * rank
        for k in range(len(sizes) // 2):  # torch counts axes from the last
            before[rank - 1 - k], after[rank - 1 - k] = sizes[2 * k], sizes[2 * k + 1]
        pads = self._integers(f"{node.name}.pads", [*before, *after])
        self._add(
            "Pad", [node.inputs[0], pads, self._number(f"{node.name}.value", value)], node.name
        )

    def _resize(
        self,
        node: Operation,
        held: list[str],
        shapes: Any,
        size: Shape,
        mode: str,
        corners: bool | None,
    ) -> None:
        whole = [0, 0, *size]
        shape = self._step(node, "Shape", [node.inputs[0]], "shape")
        first = self._step(
            node, "Slice", [shape, *(self._integers(f"{node.name}.{w}", [n]) for w, n in
                                    (("from", 0), ("to", 2)))], "first"
        )  # fmt: skip
        target = self._step(
            node,
            "Concat",
            [first, self._integers(f"{node.name}.size", whole[2:])],
            "target",
            axis=0,
        )
        attributes: dict[str, Any] = {
            "mode": _MODES[mode],
            "coordinate_transformation_mode": "asymmetric"
            if mode == "nearest"
            else "align_corners"
            if corners
            else "pytorch_half_pixel",
        }
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        if mode == "bicubic":
            attributes["cubic_coeff_a"] = -0.75
        self._add("Resize", [node.inputs[0], "", "", target], node.name, **attributes)

    def _dilate(
        self, node: Operation, held: list[str], shapes: Any, steps: Shape, size: Shape
    ) -> None:
        """Zeros between points, as a transposed convolution of each channel with one 1."""
        channels, grid = shapes[0][0], shapes[0][1:]
        ones = np.ones((channels, 1, *(1,) * len(steps)), dtype=self._float)
        extra = [n - (m - 1) * s - 1 for n, m, s in zip(size, grid, steps, strict=True)]
        self._add(
            "ConvTranspose", [node.inputs[0], self._constant(f"{node.name}.ones", ones)], node.name,
            strides=steps, output_padding=extra, group=channels,
        )  # fmt: skip

    def _convolve(self, node: Operation, held: list[str], shapes: Any, stride: Shape, padding: Shape,
                  dilation: Shape, groups: int, transposed: bool, extra: Shape) -> None:  # fmt: skip
        attributes: dict[str, Any] = {
            "strides": stride,
            "pads": (*padding, *padding),
            "dilations": dilation,
            "group": groups,
        }
        if transposed:
            attributes["output_padding"] = extra
        operator = "ConvTranspose" if transposed else "Conv"
        self._add(operator, [*node.inputs, *held], node.name, **attributes)

    def _attend(
        self, node: Operation, held: list[str], shapes: Any, causal: bool, scale: float
    ) -> None:
        q, k, v = node.inputs
        turned = self._turned(node, k, len(shapes[0]) + 1, "turned")
        masks = list(held)
        if causal:
            masks.append(self._mask(node, _later(shapes[0][-2], shapes[1][-2])))
        shares = self._shares(node, q, turned, scale, masks)
        self._add("MatMul", [shares, v], node.name)

    def attention(self, node: Attention, shapes: Sequence[Shape]) -> None:
        """Write attention: heads of one size in one product, others one after the other."""
        tokens, name = (shapes[0][1], shapes[1][1]), node.name
        q, k, v = node.inputs
        if node.times is not None:
            times = node.times.astype(self._float)[:, None]
            q = self._add(
                "Mul", [q, self._constant(f"{name}.times", times)], self._free(f"{name}.q")
            )
        masks = [] if node.mask is None else [node.mask]
        if node.causal:
            masks.append(_later(*tokens)[None])
        if node.is_even:
            sizes = ((-1, tokens[0]), (-1, tokens[1]), (-1, tokens[1]))
            parts = [
                self._shaped(name, x, [0, node.count, *size])
                for x, size in zip((q, k, v), sizes, strict=True)
            ]
            product = self._mixed(node, parts, [mask[None] for mask in masks])
            self._shaped(name, product, [0, node.heads.size, tokens[0]], name)
            return
        found: list[str] = []
        for head in range(node.count):
            at = [np.flatnonzero(own == head) for own in (node.pairs, node.pairs, node.heads)]
            parts = [
                self._add("Gather", [x, self._integers(f"{name}.head", index)],
                          self._free(f"{name}.part"), axis=1)
                for x, index in zip((q, k, v), at, strict=True)
            ]  # fmt: skip
            own = [mask[head : head + 1] if len(mask) > 1 else mask for mask in masks]
            found.append(self._mixed(node, parts, own))
        self._add("Concat", found, name, axis=1)

    def _shaped(self, name: str, x: str, sizes: Sequence[int], output: str = "") -> str:
        shape = self._integers(f"{name}.shape", sizes)
        return self._add("Reshape", [x, shape], output or self._free(f"{name}.heads"))

    def _mixed(self, node: Attention, given: Sequence[str], masks: Sequence[Array]) -> str:
        """v·softmax(scale·qᵀk + mask)ᵀ in the last two axes, which are channels and tokens."""
        q, k, v = given
        rank = 4 if node.is_even else 3
        turned = self._turned(node, q, rank, "turned")
        held = [self._mask(node, mask) for mask in masks]
        shares = self._shares(node, turned, k, node.scale, held)
        back = self._turned(node, shares, rank, "back")
        return self._step(node, "MatMul", [v, back], "mixed")

    def _shares(self, node: Node, q: str, k: str, scale: float, masks: Sequence[str]) -> str:
        """softmax(scale·q·k + masks) along the last axis."""
        scores = self._step(node, "MatMul", [q, k], "scores")
        factor = self._number(f"{node.name}.scale", scale)
        scores = self._step(node, "Mul", [scores, factor], "scaled")
        for mask in masks:
            scores = self._step(node, "Add", [scores, mask], "masked")
        return self._step(node, "Softmax", [scores], "shares", axis=-1)

    def _mask(self, node: Node, mask: Array) -> str:
        return self._constant(f"{node.name}.mask", mask.astype(self._float))

    def _turned(self, node: Node, x: str, rank: int, word: str) -> str:
        """A value with its last two axes exchanged."""
        swap = [*range(rank - 2), rank - 1, rank - 2]
        return self._step(node, "Transpose", [x], word, perm=swap)


def _later(queries: int, keys: int) -> Array:
    """What a causal mask adds: −∞ where a token would read one after it."""
    return np.triu(np.full((queries, keys), -np.inf), 1)
