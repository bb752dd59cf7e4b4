"""Smaller recurrent cells written into the ONNX graph that they were read from.

Weights of cells and of what reads them are replaced, and so are shapes that count their units; every other node
stays as it is. What nothing needs any more goes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.nodes import take_name
from symlump.network.recurrent.onnx_cells import operands
from symlump.network.recurrent.onnx_graph import drop_unneeded
from symlump.network.recurrent.onnx_source import CellSite, OnnxSource, ReaderSite, ShapeSite
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.ode.exact import FloatArray


def written_model(onnx: Any, network: RecurrentNetwork) -> Any:
    """The model with the cells of a network in place of those that it was read from.

    Raises
    ------
    NetworkError
        If the network was not read from an ONNX file.
    """
    if network.source is None:
        raise NetworkError(
            "these cells were not read from an ONNX file, so there is no graph to write them into; export the "
            "smaller module of torch: torch.onnx.export(result.model, …)"
        )
    return _Writer(onnx, network, network.source).model


def recorded_inputs(onnx: Any, source: OnnxSource, arrays: list[Any]) -> dict[str, FloatArray]:
    """What the nodes of cells read, by the first cell of each node, shape (samples, steps, inputs).

    Only nodes before the first cells are computed, by onnx's reference implementation.

    Raises
    ------
    NetworkError
        If the model does not take the arrays.
    """
    from onnx.reference import ReferenceEvaluator

    model = onnx.ModelProto.FromString(source.model)
    outer = {}
    by_output = {name: node for node in model.graph.node for name in node.output}
    for site in source.cells:
        outer[site.cells[0]] = by_output[site.output].input[0]
    values = [
        v for v in model.graph.input if v.name not in {t.name for t in model.graph.initializer}
    ]
    fed = dict(zip((v.name for v in values), arrays, strict=False))
    wanted = {cell: name for cell, name in outer.items() if not _needs_cells(by_output, name)}
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in set(wanted.values()))
    drop_unneeded(model.graph)
    evaluator = ReferenceEvaluator(model)
    try:
        found = dict(zip(evaluator.output_names, evaluator.run(None, fed), strict=True))
    except Exception as error:  # whatever the reference implementation raises
        raise NetworkError(f"the model does not take these inputs: {error}") from None
    first = {site.cells[0]: site.samples_first for site in source.cells}
    return {
        cell: np.asarray(
            found[name] if first[cell] else found[name].swapaxes(0, 1), dtype=np.float64
        )
        for cell, name in wanted.items()
    }


def _needs_cells(by_output: dict[str, Any], name: str) -> bool:
    waiting, seen = [name], set()
    while waiting:
        node = by_output.get(waiting.pop())
        if node is None or node.output[0] in seen:
            continue
        if node.op_type in ("RNN", "GRU", "LSTM"):
            return True
        seen.add(node.output[0])
        waiting += node.input
    return False


class _Writer:
    """Changes the model, place by place."""

    def __init__(self, onnx: Any, network: RecurrentNetwork, source: OnnxSource) -> None:
        self._onnx, self._network, self._source = onnx, network, source
        self.model = onnx.ModelProto.FromString(source.model)
        graph = self._graph = self.model.graph
        self._float = np.dtype(network.dtype)
        self._taken = {t.name for t in graph.initializer} | {
            name for node in graph.node for name in [*node.input, *node.output]
        }
        self._by_output = {name: node for node in graph.node for name in node.output}
        self._before: dict[
            str, list[Any]
        ] = {}  # new nodes, by the result of the node that they stand before
        for cell in source.cells:
            self._cell(cell)
        for reader in source.readers:
            self._reader(reader)
        for shape in source.shapes:
            self._shape(shape)
        self._sizes()
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            for name in node.output:
                graph.node.extend(self._before.get(name, ()))
            graph.node.append(node)
        drop_unneeded(graph)
        del graph.value_info[:]  # the shapes in between, which are not so any more

    def _cell(self, site: CellSite) -> None:
        node = self._by_output[site.output]
        cells = [self._network.by_name[name].cell for name in site.cells]
        for place, array in zip((1, 2, 3), operands(cells), strict=True):
            if array is not None:
                node.input[place] = self._constant(f"{site.cells[0]}.{'WRB'[place - 1]}", array)
        for start in site.starts:
            self._start(site, node, start.place, start.constant)
        for attribute in node.attribute:
            if attribute.name == "hidden_size":
                attribute.i = cells[0].units
                break

    def _start(self, site: CellSite, node: Any, place: int, constant: bool) -> None:
        if len(node.input) <= place or node.input[place] in self._source.given:
            return
        old = node.input[place]
        if not old or self._is_given(old):
            return
        if not constant:
            node.input[place] = ""  # which is zeros
            return
        states = [self._network.by_name[name].cell.start for name in site.cells]
        rows = np.stack([np.zeros(1) if s is None else s[place - 5] for s in states])
        axes = (0, 1) if site.samples_first else (1, 0)
        values = self._constant(f"{site.cells[0]}.start_{place - 5}", np.expand_dims(rows, axes[0]))
        lengths = self._node("Shape", [old], site.output)
        samples = self._node("Gather", [lengths, self._whole([axes[0]])], site.output, axis=0)
        sizes = [self._whole([len(rows)])]
        sizes.insert(axes[0], samples)
        sizes.append(self._whole([rows.shape[1]]))
        whole = self._node("Concat", sizes, site.output, axis=0)
        node.input[place] = self._node("Expand", [values, whole], site.output)

    def _is_given(self, name: str) -> bool:
        """Whether a state is a part of an input of the model, which comes smaller."""
        while name not in self._source.given:
            node = self._by_output.get(name)
            if node is None:
                return False
            name = next(iter(node.input), "")
        return True

    def _reader(self, site: ReaderSite) -> None:
        reader = next(r for r in self._network.readers if r.name == site.reader)
        node = self._by_output[site.product]
        weight = reader.weight if site.turned else reader.weight.T
        node.input[1] = self._constant(f"{site.reader}.weight", weight)
        if node.op_type == "Gemm":
            kept = [a for a in node.attribute if a.name not in ("alpha", "beta")]
            del node.attribute[:]
            node.attribute.extend(kept)  # both factors are in the numbers
        if reader.bias is None:
            return
        bias = self._constant(f"{site.reader}.bias", reader.bias)
        if site.sum:
            after = self._by_output[site.sum]
            del after.input[:]
            after.input.extend([site.product, bias])
        else:
            node.input[2] = bias

    def _shape(self, site: ShapeSite) -> None:
        node = self._by_output[site.output]
        width = self._whole([sum(self._network.by_name[name].cell.units for name in site.cells)])
        ends = [self._whole([k]) for k in (0, -1)]
        before = self._node("Slice", [node.input[1], *ends], site.output)
        node.input[1] = self._node("Concat", [before, width], site.output, axis=0)

    def _sizes(self) -> None:
        """The shapes of inputs and outputs with units."""
        for value in self._graph.output:
            units = self._source.shown.get(value.name)
            if units is not None:
                sizes = [self._network.by_name[name].cell.units for name in units.cells]
                width = sizes[0] if "d" in units.axes else sum(sizes)
                self._set_size(value, units.axes.index("u"), width)
        for value in self._graph.input:
            cells = self._source.given.get(value.name)
            if cells:
                self._set_size(value, -1, self._network.by_name[cells[0]].cell.units)

    def _set_size(self, value: Any, axis: int, size: int) -> None:
        if value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.dim[axis].dim_value = size

    def _constant(self, name: str, array: FloatArray) -> str:
        name = take_name(name, self._taken)
        held = np.ascontiguousarray(array, dtype=self._float)
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(held, name))
        return name

    def _whole(self, numbers: list[int]) -> str:
        name = take_name("sizes", self._taken)
        held = np.array(numbers, dtype=np.int64)
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(held, name))
        return name

    def _node(self, operator: str, inputs: list[str], before: str, **attributes: Any) -> str:
        name = take_name(f"{operator.lower()}_of_units", self._taken)
        made = self._onnx.helper.make_node(operator, inputs, [name], **attributes)
        self._before.setdefault(before, []).append(made)
        return name
