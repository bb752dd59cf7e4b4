"""ONNX files as networks. Reading needs the extra ``onnx``.

A file from a stranger is data: nothing in it is executed, no other file is opened, and what it can make
symlump hold is bounded by its own size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from symlump.errors import FileFormatError, NetworkError, first_line
from symlump.memory import memory_errors
from symlump.network.exchange.arranging import EACH_SAMPLE, shape_text
from symlump.network.exchange.build import GraphBuilder
from symlump.network.exchange.onnx_constants import fold_constants
from symlump.network.exchange.onnx_ops import Operators
from symlump.network.exchange.onnx_untouched import keeps_samples, one_operator, with_shapes
from symlump.network.exchange.views import SAMPLES, View
from symlump.network.network import Network
from symlump.network.nodes import Shape
from symlump.network.saved.onnx_file import (
    DTYPES,
    MISFITS,
    OnnxFile,
    array_of_tensor,
    attribute_value,
    clean,
    clean_input,
    in_order,
    instead_of,
    instead_of_domain,
    naming,
    onnx_library,
    refuse_loops,
)
from symlump.network.shared import Origins
from symlump.network.simplify import as_read
from symlump.network.step_nodes import Untouched

_WHOLE = (2, 3, 4, 5, 6, 7, 12, 13)  # whole numbers
_BOOL = 9
_DEEPEST = 16
_DOMAINS = ("", "ai.onnx")
#: Operators whose weights may be of another type than what else they read.
_OTHER_TYPES = ("Cast", "CastLike", "Pow", "Resize", "Upsample")
#: What is read of the domain that exports of scikit-learn use.
_LEARNED = ("Scaler", "ArrayFeatureExtractor", "ZipMap")
_UNKNOWN = "this operator is not known, or not in this form"


@memory_errors()
def read_onnx(
    path: str | Path | OnnxFile,
    leave_untouched: bool = False,
    shape: Mapping[str, Sequence[int]] | None = None,
) -> Network:
    """Read an ONNX file as a network.

    Weights must be in the file itself, and sizes constant, except for the number of samples (axis 0).

    Parameters
    ----------
    path : path
    shape : mapping of str to sequence of int, optional
        Sizes of inputs, by name, that the file leaves open, as in ``{"x": (1, 3, 48, 192)}``; samples first.
    leave_untouched : bool
        Carry operators that are not known along as they are, instead of refusing the file. The units they
        read stay alone; onnx's reference implementation computes them, and ``write_onnx`` writes them back.

    Returns
    -------
    Network

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or refers to other files.
    NetworkError
        If it holds an operator that is not known; the message names the node.
    MissingExtraError
        If onnx is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from symlump.network.exchange.onnx_write import write_onnx
    >>> net = Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.25]]], activation="tanh")
    >>> path = Path(tempfile.mkdtemp()) / "net.onnx"
    >>> write_onnx(net, path)
    >>> read_onnx(path)
    <Network: 2–2–1, tanh, 6 parameters>
    """
    onnx, file = onnx_library(), OnnxFile.of(path)
    with naming(file.path):
        return _Reader(onnx, file.model, leave_untouched, shape or {}).network


class _Reader:
    """Turns the graph of a file into a network graph."""

    def __init__(
        self,
        onnx: Any,
        model: Any,
        leave_untouched: bool,
        shape: Mapping[str, Sequence[int]],
        tried: bool = True,
    ) -> None:
        self._onnx, self._leave, self._given = onnx, leave_untouched, dict(shape)
        self._stated, self._model = shape, model
        # Whether what is left untouched is computed once, as large as it may be.
        self._tried = tried
        self._shapes: dict[str, tuple[int, Shape]] = {}
        self._told = ""  # why nothing can be left untouched
        if leave_untouched:
            try:
                model, self._shapes = with_shapes(onnx, model, self._given)
            except NetworkError as error:
                self._told = str(error)
        read = [name for node in model.graph.node for name in node.input]
        self._used = {*read, *(value.name for value in model.graph.output)}
        self._build, self._origins = GraphBuilder(), Origins()
        self._values: dict[str, Any] = {"": None}
        #: Of arrays of the file, and of what is computed of them alone.
        self._names: dict[int, str] = {}
        self._dtype: int | None = None
        self._depth = 0  # of branches
        self._vector = False  # whether an input has no axis of samples
        graph = model.graph
        cell = next((node for node in graph.node if node.op_type in ("RNN", "GRU", "LSTM")), None)
        if cell is not None and not leave_untouched:
            where = f"node {cell.name!r} ({cell.op_type})"
            raise NetworkError(f"{where}: recurrent cells are read by read_recurrent_onnx(path)")
        refuse_loops(graph)
        opset = max((s.version for s in model.opset_import if s.domain in _DOMAINS), default=0)
        self._operators = Operators(self._build, opset)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise NetworkError(
                f"tensor {name!r} is sparse, which is not read; save it as a dense one"
            )
        for value in graph.input:
            if value.name not in self._initializers:
                self._input(value)
        if not self._build.nodes:
            raise NetworkError("the graph has no input; export the model with one, not its values")
        if self._given:
            raise NetworkError(
                f"shape=… names {next(iter(self._given))!r}, which is not an input; the inputs are "
                f"{', '.join(repr(v.name) for v in graph.input if v.name not in self._initializers)}"
            )
        held = {t.data_type for t in graph.initializer} & DTYPES.keys()
        self._dtype = self._dtype or min(held, default=1)
        for number, node in in_order(graph.node):
            self._node(number, node)
        outputs = [self._value(value.name, "the result") for value in graph.output]
        outputs = [self._build.one_sample_first(v) if isinstance(v, View) else v for v in outputs]
        plain = [v.with_sample() if self._vector and isinstance(v, View) else v for v in outputs]
        pairs = zip(plain, outputs, strict=True)
        vectors = tuple(isinstance(p, View) and len(p.axes) > len(v.axes) for p, v in pairs)
        outputs = plain
        for given, value in zip(graph.output, outputs, strict=True):
            if not isinstance(value, View):
                raise NetworkError(
                    f"output {given.name!r} does not depend on the input; leave it out of the outputs"
                )
            if not value.samples_first:
                raise NetworkError(
                    f"output {given.name!r} has the shape {shape_text(value.shape)}, whose axis 0 is not that "
                    f"of the samples alone; {EACH_SAMPLE}"
                )
        if not outputs:
            raise NetworkError("the graph has no output; export the model with its outputs")
        names = tuple(value.name for value in graph.output)
        kinds = [value.type.tensor_type.elem_type for value in graph.output]
        types = tuple(self._numpy_name(kind) if kind in _WHOLE else "" for kind in kinds)
        built = self._build.network(outputs, DTYPES[self._dtype])
        built = replace(built, output_names=names, output_types=types, output_vectors=vectors)
        self.network: Network = self._origins.marked(as_read(built), built.layers)

    def _input(self, value: Any) -> None:
        kind = value.type.tensor_type.elem_type
        whole_numbers = kind in _WHOLE
        if not whole_numbers and (kind not in DTYPES or self._dtype not in (None, kind)):
            found = self._onnx.TensorProto.DataType.Name(kind).lower()
            raise NetworkError(
                f"input {value.name!r} is of type {found}; symlump reads float, double or float16, one of them "
                "throughout, and whole numbers beside them: convert the file to float"
                + (", and give the mask as 0 and 1" if kind == _BOOL else "")
            )
        self._dtype = self._dtype if whole_numbers else kind
        sizes, samples = self._sizes(value)
        if len(self._build.nodes) and samples != self._build.samples:
            raise NetworkError(
                f"input {value.name!r} has {_counted(samples)} samples (axis 0), where another input has "
                f"{_counted(self._build.samples)}; leave that axis open, or state it with shape=…"
            )
        self._build.samples = samples
        vector = len(value.type.tensor_type.shape.dim) == 1 and bool(sizes)
        view = self._build.given(
            clean_input(value.name),
            sizes,
            whole_numbers,
            called=value.name,
            whole=self._numpy_name(kind),
            vector=vector,
        )
        self._values[value.name] = replace(view, axes=view.axes[1:]) if vector else view

    def _numpy_name(self, kind: int) -> str:
        return str(self._onnx.helper.tensor_dtype_to_np_dtype(kind).name)

    def _sizes(self, value: Any) -> tuple[Shape, int]:
        """The shape of an input without the samples, and their number."""
        dims = value.type.tensor_type.shape.dim
        sizes = [int(d.dim_value) if d.dim_value > 0 else 0 for d in dims]
        unknown = not value.type.tensor_type.HasField("shape")
        if value.name in self._given:
            told = [int(n) for n in self._given.pop(value.name)]
            sizes = [0] * len(told) if unknown else sizes
            fits = len(told) == len(sizes) and all(
                n > 0 and m in (0, n) for n, m in zip(told[1:], sizes[1:], strict=True)
            )
            if not fits:
                raise NetworkError(
                    f"shape=… gives {tuple(told)} for the input {value.name!r}, whose shape in the file is "
                    f"({', '.join(str(n or '?') for n in sizes)})"
                )
            sizes[1:] = told[1:]
        if sizes and sizes[0] > 1 and 0 in sizes[1:] and value.name not in self._stated:
            raise NetworkError(
                f"input {value.name!r} has {sizes[0]} samples (axis 0), and leaves axis {sizes.index(0)} open, "
                f"as if that were theirs; {EACH_SAMPLE}; a size that is open is stated by shape=…"
            )
        if not sizes or 0 in sizes[1:]:
            example = ", ".join(["1", *(str(n or 64) for n in sizes[1:] or [0])])
            raise NetworkError(
                f"input {value.name!r} has no constant shape behind the samples (axis 0); state it: "
                f"read_onnx(path, shape={{{value.name!r}: ({example})}}), or --shape "
                f"{value.name}={example.replace(', ', ',')}"
            )
        if len(sizes) == 1 and sizes[0]:  # a vector, without an axis of samples
            self._vector = True
            return (sizes[0],), 1
        return tuple(sizes[1:]), sizes[0] or SAMPLES

    def _value(self, name: str, reader: str) -> Any:
        if name not in self._values:
            if name not in self._initializers:
                raise FileFormatError(f"{reader} reads {name!r}, which nothing before it gives")
            self._values[name] = array_of_tensor(self._onnx, self._initializers[name], name)
            self._names[id(self._values[name])] = name
            self._origins.stored(name, self._values[name])
        return self._values[name]

    def _same_type(self, node: Any) -> None:
        """Refuse a weight of another type than the network's, but where an operator wants that."""
        for name in node.input:
            kind = self._initializers[name].data_type if name in self._initializers else None
            if kind in DTYPES and kind != self._dtype and node.op_type not in _OTHER_TYPES:
                raise NetworkError(
                    f"tensor {name!r} is of {DTYPES[kind]}, and the network of {DTYPES[self._dtype or 1]}; "
                    "convert the model to one of them"
                )

    def _node(self, number: int, node: Any) -> None:
        shown = f"node {node.name or number!r} ({node.op_type})"
        if node.domain not in _DOMAINS and node.op_type not in _LEARNED:
            raise NetworkError(
                f"{shown} is of the domain {node.domain!r}; "
                f"{instead_of(node.op_type) or instead_of_domain(node.domain)}"
            )
        inputs = [self._value(name, shown) for name in node.input]
        self._same_type(node)
        name, why = self._place(node, number), ""
        if node.op_type == "If" and isinstance(inputs[0], np.ndarray) and inputs[0].size == 1:
            self._branch(number, node, bool(inputs[0].ravel()[0]))
            return
        if node.op_type == "ZipMap":  # a table of names beside numbers, which are what is read
            self._values[node.output[0]] = inputs[0]
            return
        made = len(self._build.nodes)
        try:
            attributes = {a.name: attribute_value(self._onnx, a) for a in node.attribute}
            attributes["_outputs"] = len(node.output)
            result = self._operators.read(node.op_type, name, inputs, attributes)
            if result is None and not any(isinstance(value, View) for value in inputs):
                found = fold_constants(self._onnx, node, inputs, self._operators.opset)
                result = None if found is None else tuple(found)
        except NetworkError as error:
            result, why = None, str(error)
        except MISFITS as error:
            raise FileFormatError(f"{shown} is damaged: {first_line(error)}") from None
        if result is None:
            may_stay = self._leave and not instead_of(node.op_type)
            result = self._untouched(node, name, inputs) if may_stay else None
        if result is None:
            known = instead_of(node.op_type)
            if known:
                raise NetworkError(f"{shown}: {known}")
            said = f"{shown}: {why.removeprefix(f'{name}: ').removeprefix(': ') or _UNKNOWN}; "
            raise NetworkError(said + self._instead(said, node, inputs))
        weight, bias = self._held_in(node, inputs)
        self._build.name_arrays(made, (weight, bias))
        results = result if isinstance(result, tuple) else (result,)
        self._origins.made(inputs, results, self._build.nodes[made:])
        for output, value in zip(node.output, results, strict=False):
            self._values[output] = value
            if weight and isinstance(value, np.ndarray):
                self._names.setdefault(
                    id(value), f"{weight}.{output}" if len(results) > 1 else weight
                )

    def _branch(self, number: int, node: Any, holds: bool) -> None:
        """Read the branch that a constant chooses in place of a node."""
        chosen = "then_branch" if holds else "else_branch"
        graph = next(a.g for a in node.attribute if a.name == chosen)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NetworkError(f"branches are nested more than {_DEEPEST} deep")
        self._initializers |= {tensor.name: tensor for tensor in graph.initializer}
        self._used |= {name for inner in graph.node for name in inner.input}
        self._used |= {value.name for value in graph.output}
        for k, inner in in_order(graph.node):
            self._node(number + k, inner)
        for output, value in zip(node.output, graph.output, strict=True):
            self._values[output] = self._value(value.name, f"node {node.name!r} (If)")
        self._depth -= 1

    def _held_in(self, node: Any, inputs: list[Any]) -> tuple[str, str]:
        """Names for the weights and the biases that a node makes of arrays of the file, or ""."""
        arrays = [value for value in inputs if isinstance(value, np.ndarray)]
        names = [self._names.get(id(value), "") for value in arrays]
        how = sorted(str(self._onnx.helper.printable_attribute(a)) for a in node.attribute)
        if not names or not all(names):
            return "", ""
        if node.op_type == "Conv":
            return names[0], names[1] if len(names) > 1 else ""
        if node.op_type == "Gemm" and len(names) > 1:
            return f"{names[0]} ({', '.join(how)})", f"{names[1]} ({', '.join(how)})"
        whole = f"{node.op_type}({', '.join([*names, *how])})"
        return whole, whole

    def _untouched(self, node: Any, name: str, inputs: list[Any]) -> tuple[Any, ...] | None:
        """The results of a node that is not known; None if it cannot be carried along."""
        values = {
            given: self._build.plain(f"{name}.{position}", value)
            for position, (given, value) in enumerate(zip(node.input, inputs, strict=True))
            if isinstance(value, View)
        }
        counted = [v for v in inputs if isinstance(v, np.ndarray) and np.isin(v, SAMPLES).any()]
        inner = any(a.HasField("g") or a.graphs for a in node.attribute)
        wanted = [self._shapes.get(name) for name in node.output if name in self._used]
        if not values or inner or counted or any(w is None or w[0] != self._dtype for w in wanted):
            return None
        results: list[View | None] = []
        for position, output in enumerate(node.output):
            if output not in self._used:
                results.append(None)
                continue
            call = one_operator(self._onnx, node, inputs, position)
            what, shape = node.op_type, self._shapes[output][1]
            given = [self._build.shapes[v] for v in values.values()]
            if self._tried and not keeps_samples(call, given, shape):
                return None
            numbers = sum(p.numel() for p in call.parameters())
            place = self._build.free(name)
            step = Untouched(place, tuple(values.values()), what, shape, numbers, call)
            results.append(self._build.view(self._build.add(step)))
        return tuple(results)

    def _instead(self, said: str, node: Any, inputs: list[Any]) -> str:
        """The nearest thing to a file with a node that would work."""
        if not self._leave:
            try:
                _Reader(self._onnx, self._model, True, self._stated, tried=False)
            except NetworkError as error:
                also = str(error)
                return also.removeprefix(said) if also.startswith(said) else f"then, {also}"
            except FileFormatError as error:
                return f"it cannot be left untouched either, for the file {error}"
            return (
                "to carry it along as it is (the units it reads then stay alone): "
                "read_onnx(path, leave_untouched=True), or --leave-untouched"
            )
        told = self._told or (
            "onnx does not know it as one step from values of the network to values of the same type and of "
            "constant shape, each sample (axis 0) by itself"
        )
        return f"it cannot be left untouched either, for {told}{self._rest(node, inputs)}"

    def _rest(self, node: Any, inputs: list[Any]) -> str:
        """How to make a file of what stands before a node, or else behind it, if anything does."""
        values = [n for n, v in zip(node.input, inputs, strict=True) if isinstance(v, View)]
        given = [v.name for v in self._model.graph.input if v.name not in self._initializers]
        results = [v.name for v in self._model.graph.output]
        where, ends = "before", (given, values)
        if set(values) <= set(given):
            where, ends = "behind", ([name for name in node.output if name], results)
        if where == "behind" and set(ends[0]) & set(results):
            return ""
        return (
            f". What stands {where} it can be read alone: "
            f"onnx.utils.extract_model(path, 'part.onnx', {ends[0]}, {ends[1]})"
        )

    def _place(self, node: Any, number: int) -> str:
        """The name of the weight without its ending, or the node's own."""
        for name in node.input[1:]:
            if name in self._initializers and name.endswith(".weight"):
                return clean(name.removesuffix(".weight")) or node.op_type
        return clean(node.name) or f"{node.op_type}_{number}"


def _counted(samples: int) -> str:
    return "an open number of" if samples == SAMPLES else str(samples)
