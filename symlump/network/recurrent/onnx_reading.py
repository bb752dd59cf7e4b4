"""Which cells an ONNX file has, and what reads them: its graph, followed operator by operator.

Weights, shapes and starting states are computed where they are constant; what comes from outside is not looked
at; units of cells are followed (:mod:`symlump.network.recurrent.onnx_units`) until dense layers or other cells
read them, and any other operator on them is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from symlump.errors import FileFormatError, NetworkError, first_line
from symlump.memory import memory_errors
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.onnx_cells import OPERATORS, cells_of_operator
from symlump.network.recurrent.onnx_graph import constant_of, inner_names, ranks_of
from symlump.network.recurrent.onnx_source import (
    CellSite,
    OnnxSource,
    ReaderSite,
    ShapeSite,
    Start,
)
from symlump.network.recurrent.onnx_starts import OUTSIDE, Given, Spread, move_starts, states_of
from symlump.network.recurrent.onnx_units import Units, step_units
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork
from symlump.network.saved.onnx_file import (
    DTYPES,
    MISFITS,
    OnnxFile,
    array_of_tensor,
    attribute_value,
    clean,
    in_order,
    naming,
    onnx_library,
    refuse_loops,
)

_HINT = (
    "Units may be read by Gemm, MatMul and other cells, also after Transpose, Squeeze, Reshape, Gather, Slice, "
    "Concat, means over time, Dropout or an activation"
)


@memory_errors()
def read_recurrent_onnx(path: str | Path | OnnxFile) -> RecurrentNetwork:
    """Read the recurrent cells of an ONNX file, and the dense layers behind them.

    Parameters
    ----------
    path : path
        A file with the operators RNN, GRU or LSTM, as torch and Keras export them.

    Returns
    -------
    RecurrentNetwork
        ``compress`` takes it, and ``write_onnx`` writes what becomes of it, with the rest of the file as it is.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or refers to other files.
    NetworkError
        If a cell has something that is not read (clip, peepholes, input_forget, sequence_lens), or its units go
        where merging them would change what is computed; the message names the node.
    MissingExtraError
        If onnx is not installed.

    Examples
    --------
    >>> import onnx, tempfile
    >>> from onnx.helper import make_graph, make_model, make_node, make_tensor_value_info
    >>> path = Path(tempfile.mkdtemp()) / "gru.onnx"
    >>> ends = [make_tensor_value_info(name, 1, [7, None, *rest]) for name, rest in (("x", [2]), ("y", [1, 3]))]
    >>> sizes = {"w": (1, 9, 2), "r": (1, 9, 3)}
    >>> weights = [onnx.numpy_helper.from_array(np.ones(n, np.float32), k) for k, n in sizes.items()]
    >>> step = make_node("GRU", ["x", "w", "r"], ["y"], name="gru", hidden_size=3)
    >>> onnx.save(make_model(make_graph([step], "g", ends[:1], ends[1:], weights)), path)
    >>> read_recurrent_onnx(path)
    <RecurrentNetwork: gru gru_reset_first 2–3, 45 parameters>
    """
    onnx = onnx_library()
    file = OnnxFile.of(path)
    with naming(file.path):
        return _Walk(onnx, file.model).network()


def holds_cells(model: Any) -> bool:
    """Whether a graph has recurrent operators."""
    return any(node.op_type in OPERATORS for node in model.graph.node)


class _Walk:
    """The graph, node by node."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self._onnx, self._model, graph = onnx, model, model.graph
        self._values: dict[str, Any] = {"": None}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._ranks = ranks_of(onnx, model)
        self._nodes: list[CellNode] = []
        self._readers: dict[str, Reader] = {}
        self._cell_sites: list[CellSite] = []
        self._reader_sites: dict[str, ReaderSite] = {}
        self._shape_sites: list[ShapeSite] = []
        self._elsewhere: dict[
            str, str
        ] = {}  # inputs that something else reads than starting states
        self._given: dict[str, list[str]] = {}  # cells that start from an input
        self._together = nx.Graph()  # cells that have one number of units
        self._from: dict[str, str] = {}
        self._others: dict[str, int] = {}  # weights of what is not looked at, by name
        self._dtypes: set[int] = set()
        self._read_by: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._read_by.setdefault(name, []).append(node)
        for value in graph.input:
            if value.name not in self._initializers:
                self._values[value.name] = Given(value.name)
        for number, node in in_order(graph.node):
            self._node(number, node)
        if not self._nodes:
            refuse_loops(graph)
            raise NetworkError("it has no node RNN, GRU or LSTM; read_onnx reads networks without")

    def network(self) -> RecurrentNetwork:
        """What was found."""
        graph = self._model.graph
        shown = {
            value.name: self._values[value.name]
            for value in graph.output
            if isinstance(self._values.get(value.name), Units)
        }
        for name, cells in self._given.items():
            if name in self._elsewhere:
                raise NetworkError(
                    f"the input {name!r} is the starting state of {', '.join(cells)}, and "
                    f"{self._elsewhere[name]} reads it too; give states an input of their own"
                )
            self._together.add_edges_from(zip(cells, cells[1:], strict=False))
        if len(self._dtypes) != 1:
            types = ", ".join(DTYPES.get(kind, str(kind)) for kind in sorted(self._dtypes))
            raise NetworkError(
                f"cells of one type, float or double, are read; these are of {types}: convert the file"
            )
        whole = sum(self._others.values())
        whole += sum(node.cell.parameters for node in self._nodes)
        whole += sum(reader.parameters for reader in self._readers.values())
        source = OnnxSource(
            self._model.SerializeToString(),
            tuple(self._cell_sites),
            tuple(self._reader_sites.values()),
            tuple(self._shape_sites),
            shown,
            {name: tuple(cells) for name, cells in self._given.items()},
        )
        return RecurrentNetwork(
            tuple(self._modules()),
            tuple(self._readers.values()),
            DTYPES[self._dtypes.pop()],
            whole,
            bool(shown),
            source,
        )

    def _modules(self) -> list[CellNode]:
        """The cells, those of one size with the name of the first as their module."""
        module: dict[str, str] = {}
        for group in nx.connected_components(self._together):
            first = next(node.name for node in self._nodes if node.name in group)
            outer = {self._from[n.name] for n in self._nodes if n.name in group and not n.reads}
            if len(outer) > 1:
                raise NetworkError(
                    f"the states of {', '.join(sorted(group))} stand in one tensor, and the cells read "
                    "different inputs; give each a tensor of its own"
                )
            module |= dict.fromkeys(group, first)
        return [replace(node, module=module[node.name]) for node in self._nodes]

    def _value(self, name: str, reader: str) -> Any:
        if name not in self._values:
            if name not in self._initializers:
                raise FileFormatError(f"{reader} reads {name!r}, which nothing before it gives")
            self._values[name] = array_of_tensor(self._onnx, self._initializers[name], name)
        return self._values[name]

    def _node(self, number: int, node: Any) -> None:
        shown = f"node {node.name or number!r} ({node.op_type})"
        x = [self._value(name, shown) for name in node.input]
        inner = [self._values[n] for n in inner_names(node) if n in self._values]
        units = [v for v in [*x, *inner] if isinstance(v, Units)]
        results: list[Any] | None
        try:
            a = {entry.name: self._attribute(entry) for entry in node.attribute}
            a["_outputs"] = len(node.output)
            if node.op_type in OPERATORS:
                results = self._cells(
                    node, f"{clean(node.name) or f'{node.op_type}_{number}'}", x, a
                )
            elif units:
                results = None if inner else self._of_units(node, number, x, a)
                if results is None:
                    names = ", ".join(dict.fromkeys(name for v in units for name in v.cells))
                    raise NetworkError(f"it is not followed on the units of {names}. {_HINT}")
            else:
                results = self._of_others(node, shown, [*x, *inner], a)
        except NetworkError as error:
            raise NetworkError(f"{shown}: {error}") from None
        except MISFITS as error:
            raise FileFormatError(f"{shown} is damaged: {first_line(error)}") from None
        for output, value in zip(node.output, results, strict=False):
            self._values[output] = value

    def _attribute(self, entry: Any) -> Any:
        if entry.HasField("g") or entry.graphs:
            return None
        return attribute_value(self._onnx, entry)

    def _of_others(self, node: Any, shown: str, x: list[Any], a: dict[str, Any]) -> list[Any]:
        """Constants, shapes, starting states; all else is from outside."""
        if node.op_type == "Shape":
            lengths = self._lengths(node.input[0], x[0])
            found = None if lengths is None else lengths[a.get("start", 0) : a.get("end")]
            return [OUTSIDE if found is None else found]
        if not any(v is OUTSIDE or isinstance(v, Given | Spread) for v in x):
            known = constant_of(node.op_type, x, a)
            if known is not None:
                return [known]
        found = move_starts(node.op_type, x, a)
        if found is None:
            for value in x:
                if isinstance(value, Given):
                    self._elsewhere.setdefault(value.name, shown)
            if node.output[0] not in (site.sum for site in self._reader_sites.values()):
                self._count(node, x)
            return [OUTSIDE] * len(node.output)
        return found

    def _count(self, node: Any, x: list[Any]) -> None:
        for name, value in zip(node.input, x, strict=False):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim:
                self._others[name] = value.size

    def _lengths(self, name: str, value: Any) -> Any:
        if isinstance(value, Units):
            return value.lengths
        if isinstance(value, np.ndarray):
            return np.array(value.shape)
        return np.full(self._ranks[name], np.nan) if name in self._ranks else None

    def _of_units(
        self, node: Any, number: int, x: list[Any], a: dict[str, Any]
    ) -> list[Any] | None:
        operator = node.op_type
        if operator == "Shape":
            return [x[0].lengths[a.get("start", 0) : a.get("end")]]
        if operator in ("Gemm", "MatMul"):
            return self._read(node, number, x, a)
        found = step_units(operator, x, a, 0)
        if found is not None and operator in ("Reshape", "Flatten"):
            self._shape_sites.append(ShapeSite(node.output[0], found[0].cells))
        if found is not None and operator == "Concat":
            for value in found:
                if "d" in value.axes:
                    self._together.add_edges_from(zip(value.cells, value.cells[1:], strict=False))
        return found

    def _read(self, node: Any, number: int, x: list[Any], a: dict[str, Any]) -> list[Any] | None:
        """A dense layer."""
        units, weight = x[0], x[1]
        if not isinstance(units, Units) or not isinstance(weight, np.ndarray) or weight.ndim != 2:
            return None
        apart = "d" in units.axes and len(set(units.cells)) > 1
        if not units.axes.endswith("u") or apart or a.get("transA", 0):
            return None
        if len(set(units.cells)) != len(units.cells):
            raise NetworkError(f"it reads units of {units.cells[0]} twice; use one of them")
        turned = node.op_type == "Gemm" and bool(a.get("transB", 0))
        weight = np.array(weight if turned else weight.T, dtype=np.float64) * a.get("alpha", 1.0)
        if weight.shape[1] != units.size:
            raise FileFormatError(f"it has {weight.shape[1]} columns for {units.size} units")
        bias, added = x[2] if len(x) > 2 else None, ""
        if bias is not None and (
            not isinstance(bias, np.ndarray) or bias.size not in (1, len(weight))
        ):
            return None
        if node.op_type == "MatMul":
            added, bias = self._added_after(node.output[0], len(weight))
        if bias is not None:
            bias = np.ravel(np.asarray(bias, dtype=np.float64)) * a.get("beta", 1.0)
            bias = np.broadcast_to(bias, (len(weight),)).copy()
        name = clean(node.name) or f"{node.op_type}_{number}"
        self._readers[name] = Reader(name, weight, bias, units.cells, units.linear)
        self._reader_sites[name] = ReaderSite(name, node.output[0], added, turned)
        return [OUTSIDE]

    def _added_after(self, product: str, outputs: int) -> tuple[str, Any]:
        """The sum that gives a product its bias, by its result, and the bias; "" and None without one."""
        after = self._read_by.get(product, [])
        shown = {value.name for value in self._model.graph.output}
        if len(after) != 1 or after[0].op_type != "Add" or product in shown:
            return "", None
        (other,) = [name for name in after[0].input if name != product] or [product]
        if other not in self._initializers and other not in self._values:
            return "", None
        bias = self._value(other, "the sum")
        if not isinstance(bias, np.ndarray) or bias.shape not in ((outputs,), (1, outputs)):
            return "", None
        return after[0].output[0], bias

    def _cells(self, node: Any, name: str, x: list[Any], a: dict[str, Any]) -> list[Any]:
        given, first = x[0], bool(a.get("layout", 0))
        reads: tuple[str, ...] = ()
        if isinstance(given, Units):
            if given.axes.count("u") != 1 or not given.axes.endswith("u") or not given.linear:
                raise NetworkError(
                    f"it reads units of {', '.join(given.cells)} turned round, or after an activation; put a "
                    "dense layer between"
                )
            if "d" in given.axes and len(given.cells) > 1:
                raise NetworkError(
                    f"it reads units of {', '.join(given.cells)} along different axes; join them along the last"
                )
            reads = given.cells
        places = [5] if node.op_type != "LSTM" else [5, 6]
        own = [x[k] if len(x) > k else None for k in places]
        starts = [states_of(value, first) for value in own]
        cells = cells_of_operator(node.op_type, a, x, starts)
        self._dtypes.add(self._kind_of(node.input[1]))
        names = tuple(f"{name}_reverse" if cell.backward else name for cell in cells)
        self._add(names, cells, reads, node)
        for value in own:
            if isinstance(value, Given):
                cells_given = self._given.setdefault(value.name, [])
                cells_given += [n for n in names if n not in cells_given]
        units = cells[0].units
        begun = tuple(Start(k, s is not None) for k, s in zip(places, starts, strict=True))
        output = next(filter(None, node.output))
        self._cell_sites.append(CellSite(names, output, first, begun))
        order = (".d.u", "d.u") if not first else ("..du", ".du")
        every, last = (Units(names, axes, units) for axes in order)
        return [every, last, replace(last, linear=False)]  # c is not what readers are fitted to

    def _add(self, names: tuple[str, ...], cells: Iterable[Cell], reads: Any, node: Any) -> None:
        for name, cell in zip(names, cells, strict=True):
            if any(known.name == name for known in self._nodes):
                raise FileFormatError(f"two nodes have the name {name!r}")
            self._nodes.append(CellNode(name, name, cell, reads))
            self._from[name] = node.input[0]
            self._together.add_node(name)
        self._together.add_edges_from(zip(names, names[1:], strict=False))

    def _kind_of(self, name: str) -> int:
        tensor = self._initializers.get(name)
        if tensor is not None:
            return int(tensor.data_type)
        return 11 if self._values[name].dtype == np.float64 else 1
