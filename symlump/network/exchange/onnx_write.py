"""Networks as ONNX files. Writing needs the extra ``onnx``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.files import write_bytes
from symlump.memory import memory_errors
from symlump.network.activations.activation import Activation
from symlump.network.exchange.onnx_operations import INSTEAD, OperationWriter
from symlump.network.exchange.onnx_untouched import OPSET, OnnxOperator, written_node
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Input,
    Node,
    Pool,
    Select,
    Squeeze,
    Unsqueeze,
    take_name,
)
from symlump.network.rewrite import rename_nodes
from symlump.network.saved.onnx_file import onnx_library
from symlump.network.step_nodes import Attention, ByPlace, Operation, Reorder, Softmax, Untouched
from symlump.network.written.grouped import Grouped, as_written
from symlump.network.written.quantized import (
    PACKED_IR_VERSION,
    PACKED_OPSET,
    QuantizedWeights,
)
from symlump.network.written.transposed import geometry, spread_grids, turn_round
from symlump.network.written.whole_numbers import Real, with_real_values
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.network.recurrent.recurrent_network import RecurrentNetwork

_IR_VERSION = 9  # of opset 20


@memory_errors()
def write_onnx(
    network: Network | RecurrentNetwork, path: str | Path, *, packed: bool = False
) -> None:
    """Write a network as an ONNX file (opset 20, or 21 if packed so), whole or not at all.

    The number of samples stays open. Weights are float or double, as the network's dtype says; inputs and
    outputs that are whole numbers stay so, and all keep the names of the file that they came from. Recurrent
    cells that were read from an ONNX file are written into its graph, the rest of which stays as it is.

    Parameters
    ----------
    network : Network or RecurrentNetwork
    path : path
        With the suffix .onnx.
    packed : bool
        Store weights that are whole numbers times steps, as :class:`symlump.Quantize` makes them, as such, in
        4, 8 or 16 bits each (4 and 16 in opset 21; beside operators left untouched, 8 only), with a
        DequantizeLinear that gives them back exactly. Others stay as they are, for runtimes take no sparse
        weights.

    Raises
    ------
    NetworkError
        If the network holds what ONNX cannot say: something of torch left untouched, pooling to a size that
        does not divide, or weights of float64 that are to be packed.
    OutputError
        If the file cannot be written.
    MissingExtraError
        If onnx is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "net.onnx"
    >>> write_onnx(Network.dense([[[1.0, 2.0]]]), path)
    >>> path.stat().st_size > 0
    True
    """
    from symlump.network.recurrent.onnx_writing import written_model
    from symlump.network.recurrent.recurrent_network import RecurrentNetwork

    onnx = onnx_library()
    if isinstance(network, Network):
        model = _Writer(onnx, with_real_values(as_written(network)), packed).model
    elif isinstance(network, RecurrentNetwork):
        if packed:
            raise NetworkError(
                f"packed=True is for networks without recurrent cells; got a {type(network).__name__}"
            )
        model = written_model(onnx, network)
    else:
        raise NetworkError(
            f"write_onnx takes a Network or a RecurrentNetwork; got {type(network).__name__}"
        )
    write_bytes(path, model.SerializeToString())


class _Writer:
    """Adds the nodes of ONNX for each node of the graph."""

    def __init__(self, onnx: Any, graph: Network, packed: bool) -> None:
        self._helper, self._numpy = onnx.helper, onnx.numpy_helper
        self._packed = QuantizedWeights(onnx, graph) if packed else None
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._taken: set[str] = set()
        given = {node.name: self._free(node.called or node.name) for node in graph.inputs}
        rows = {
            node.name: self._free(f"{given[node.name]}.row") for node in graph.inputs if node.vector
        }
        self._vectors = {rows[name]: given[name] for name in rows}
        given |= rows
        names = graph.output_names or ("output",) * len(graph.outputs)
        outputs = [self._free(name) for name in names]
        graph = self._graph = rename_nodes(graph, given, {*self._taken})
        self._taken.update(graph.shapes)
        self._written: dict[tuple[str, tuple[int, ...]], str] = {}  # weights that layers share
        if graph.dtype == "bfloat16":
            raise NetworkError(
                "ONNX files are written in float32, float64 or float16; this network is of bfloat16: "
                "read it from model.float(), or write it as a program of torch (write_program)"
            )
        self._float = np.dtype(graph.dtype)
        self._operations = OperationWriter(self._add, self._constant, self._free, self._float)
        self._zeros = spread_grids(graph)
        within = {zeros.name for zeros in self._zeros.values()}
        for node in graph.nodes:
            if node.name not in within:
                self._write(node)
        types = graph.output_types or ("",) * len(outputs)
        vectors = graph.output_vectors or (False,) * len(outputs)
        flat = {output for output, vector in zip(outputs, vectors, strict=True) if vector}
        for output, name, whole in zip(outputs, graph.outputs, types, strict=True):
            if output in flat:
                row = self._integers(f"{output}.axes", [0])
                name = self._add("Squeeze", [name, row], self._free(f"{output}.vector"))
            if whole:
                to = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(whole))
                self._add("Cast", [name], output, to=to)
            else:
                self._add("Identity", [name], output)  # two may be the same value, or an input

        def described(name: str, of: str, type_: Any) -> Any:
            kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(type_))
            alone = name in flat or name in self._vectors.values()
            shape = [*([] if alone else ["samples"]), *graph.shapes[of]]
            return self._helper.make_tensor_value_info(name, kind, shape)

        inputs = [
            described(
                self._vectors.get(node.name, node.name),
                node.name,
                node.whole if node.values else self._float,
            )
            for node in graph.inputs
        ]
        results = [
            described(name, of, whole or self._float)
            for name, of, whole in zip(outputs, graph.outputs, types, strict=True)
        ]
        plain = self._packed is None or not self._packed.newer
        self.model = self._helper.make_model(
            self._helper.make_graph(self._nodes, "network", inputs, results, self._weights),
            opset_imports=[self._helper.make_opsetid("", OPSET if plain else PACKED_OPSET)],
            ir_version=_IR_VERSION if plain else PACKED_IR_VERSION,
            producer_name="symlump",
        )
        if sum(len(tensor.raw_data) for tensor in self._weights) >= 1 << 31:
            raise NetworkError(
                "the network is larger than the 2 GB that one ONNX file holds; write it as a program of torch "
                "(write_program)"
            )

    def _free(self, name: str) -> str:
        return take_name(name, self._taken)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(
            self._helper.make_node(operator, inputs, [output], name=output, **attributes)
        )
        return output

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        name = self._free(name)
        self._weights.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name

    def _held(self, name: str, shared: str, array: FloatArray) -> str:
        """Weights or biases; those that layers share are written once."""
        key = (f"{name.rpartition('.')[2]} {shared}", array.shape)
        if not shared or key not in self._written:
            self._written[key] = self._stored(name, array)
        return self._written[key]

    def _stored(self, name: str, array: FloatArray) -> str:
        stored = None if self._packed is None else self._packed.find(array)
        if stored is None:
            return self._constant(name, array.astype(self._float))
        codes = self._free(f"{name}.codes")
        self._weights.append(stored.tensor(codes))
        steps = self._constant(f"{name}.steps", stored.steps.astype(self._float))
        return self._add("DequantizeLinear", [codes, steps], self._free(name), **stored.attributes)

    def _number(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, dtype=self._float))

    def _integers(self, name: str, values: Any) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _write(self, node: Node) -> None:
        name, inputs = node.name, list(node.inputs)
        match node:
            case Input(vector=True):
                rows = self._integers(f"{name}.axes", [0])
                self._add("Unsqueeze", [self._vectors[name], rows], name)
            case Input():
                pass
            case Real():
                to = self._helper.np_dtype_to_tensor_dtype(self._float)
                self._add("Cast", inputs, name, to=to)
            case Affine():
                self._affine(node)
            case Apply():
                self._activation(name, inputs[0], node.activation)
            case Flatten():
                self._add("Flatten", inputs, name, axis=1)
            case Squeeze():
                self._add("Squeeze", [*inputs, self._integers(f"{name}.axes", [1])], name)
            case Unsqueeze(axes=axes):
                rank = len(self._graph.shapes[inputs[0]]) + 1
                places = self._integers(f"{name}.axes", range(rank, rank + axes))
                self._add("Unsqueeze", [*inputs, places], name)
            case Pool():
                self._pool(node)
            case Combine(operation=operation):
                operator = "Add" if operation == "add" else "Mul"
                for number, other in enumerate(inputs[1:-1], start=1):
                    part = self._add(
                        operator, [inputs[0], other], self._free(f"{name}.part{number}")
                    )
                    inputs[0] = part
                self._add(operator, [inputs[0], inputs[-1]], name)
            case Reorder():
                self._reorder(node)
            case ByPlace(operation=operation, constant=constant):
                held = self._constant(f"{name}.constant", constant[None].astype(self._float))
                self._add("Add" if operation == "add" else "Mul", [*inputs, held], name)
            case Attention():
                self._operations.attention(node, [self._graph.shapes[x] for x in inputs])
            case Operation():
                self._operations.write(node, [self._graph.shapes[x] for x in inputs])
            case Concatenate():
                self._add("Concat", inputs, name, axis=1)
            case Select(index=index):
                self._add("Gather", [*inputs, self._integers(f"{name}.index", index)], name, axis=1)
            case GroupSum(groups=groups):
                sums = np.zeros((int(groups.max()) + 1, groups.size))
                sums[groups, np.arange(groups.size)] = 1.0
                self._affine(Affine(name, node.inputs, sums))
            case Softmax(logarithm=logarithm):
                self._add("LogSoftmax" if logarithm else "Softmax", inputs, name, axis=1)
            case Untouched(call=OnnxOperator() as operator):
                self._untouched(node, operator)
            case Untouched(what=what):
                raise node.refuse(
                    f"the operation {what} was left untouched, and only torch knows it; {INSTEAD}"
                )
            case _:
                raise node.refuse(f"a {type(node).__name__} cannot be written as ONNX; {INSTEAD}")

    def _reorder(self, node: Reorder) -> None:
        x, name = node.inputs[0], node.name
        steps = node.steps(self._graph.shapes[x]) or [("reshape", node.size)]
        for number, (step, numbers) in enumerate(steps, start=1):
            last = name if number == len(steps) else self._free(f"{name}.step{number}")
            if step == "reshape":
                sizes = [*(0,) * node.kept, *numbers]  # 0 keeps a size
                x = self._add("Reshape", [x, self._integers(f"{name}.shape{number}", sizes)], last)
            else:
                x = self._add("Transpose", [x], last, perm=numbers)

    def _tokens(self, node: Affine) -> None:
        """A dense layer at each place: the channels go last, and back."""
        name, rank = node.name, len(self._graph.shapes[node.name]) + 1
        there, back = [0, *range(2, rank), 1], [0, rank - 1, *range(1, rank - 1)]
        x = self._add("Transpose", [node.inputs[0]], self._free(f"{name}.last"), perm=there)
        shared = f"{node.weight_name} turned" if node.weight_name else ""
        weight = self._held(f"{name}.weight", shared, node.weight.T)
        x = self._add("MatMul", [x, weight], self._free(f"{name}.product"))
        if node.bias is not None:
            bias = self._held(f"{name}.bias", node.bias_name, node.bias)
            x = self._add("Add", [x, bias], self._free(f"{name}.sum"))
        self._add("Transpose", [x], name, perm=back)

    def _affine(self, node: Affine) -> None:
        name, inputs = node.name, list(node.inputs)
        if node.is_scale:
            self._scale(node)
            return
        if node.is_dense and len(self._graph.shapes[name]) > 1:
            self._tokens(node)
            return
        if name in self._zeros:
            self._transposed(node, self._zeros[name])
            return
        inputs.append(self._held(f"{name}.weight", node.weight_name, node.weight))
        if node.bias is not None:
            inputs.append(self._held(f"{name}.bias", node.bias_name, node.bias))
        if node.is_dense:
            self._add("Gemm", inputs, name, transB=1)
            return
        groups = node.groups if isinstance(node, Grouped) else 1
        self._add(
            "Conv",
            inputs,
            name,
            kernel_shape=node.kernel,
            strides=node.stride,
            pads=(*node.padding, *node.padding),
            dilations=node.dilation,
            group=self._graph.shapes[node.inputs[0]][0] if node.depthwise else groups,
        )

    def _transposed(self, node: Affine, zeros: Operation) -> None:
        """A transposed convolution, with the zeros that it alone reads."""
        numbers = geometry(node, zeros, self._graph.shapes)
        channels = self._graph.shapes[node.inputs[0]][0]
        weight = turn_round(node.weight, channels, node.depthwise)
        shared = f"{node.weight_name} turned round" if node.weight_name else ""
        inputs = [zeros.inputs[0], self._held(f"{node.name}.weight", shared, weight)]
        if node.bias is not None:
            inputs.append(self._held(f"{node.name}.bias", node.bias_name, node.bias))
        self._add(
            "ConvTranspose",
            inputs,
            node.name,
            strides=numbers["stride"],
            pads=(*numbers["padding"], *numbers["padding"]),
            output_padding=numbers["output_padding"],
            dilations=node.dilation,
            group=numbers["groups"],
        )

    def _untouched(self, node: Node, operator: OnnxOperator) -> None:
        names = dict(zip(operator.given, node.inputs, strict=True)) | {operator.output: node.name}
        for name, array in operator.constants().items():
            array = array.astype(self._float) if array.dtype.kind == "f" else array
            names[name] = self._constant(f"{node.name}.input_{name}", array)
        self._nodes.append(written_node(operator, names, self._free))

    def _scale(self, node: Affine) -> None:
        spread = (-1, *(1,) * (len(self._graph.shapes[node.inputs[0]]) - 1))
        factor = node.weight[:, 0].reshape(spread)
        weight = self._held(f"{node.name}.weight", node.weight_name, factor)
        if node.bias is None:
            self._add("Mul", [node.inputs[0], weight], node.name)
            return
        bias = self._held(f"{node.name}.bias", node.bias_name, node.bias.reshape(spread))
        product = self._add("Mul", [node.inputs[0], weight], self._free(f"{node.name}.product"))
        self._add("Add", [product, bias], node.name)

    def _activation(self, name: str, x: str, phi: Activation) -> None:
        """One operator where this version of ONNX has one, else the formula."""
        if phi.name == "silu":  # Swish came with opset 24
            gate = self._add("Sigmoid", [x], self._free(f"{name}.gate"))
            self._add("Mul", [x, gate], name)
        elif phi.name == "gaussian":  # exp(−z²/2)
            square = self._add("Mul", [x, x], self._free(f"{name}.square"))
            half = self._number(f"{name}.half", -0.5)
            self._add("Exp", [self._add("Mul", [square, half], self._free(f"{name}.half"))], name)
        elif phi.name == "log_sigmoid":  # −softplus(−z)
            opposite = self._add("Neg", [x], self._free(f"{name}.opposite"))
            self._add(
                "Neg", [self._add("Softplus", [opposite], self._free(f"{name}.softplus"))], name
            )
        elif phi.onnx == "Clip":
            ends = dict(phi.onnx_attributes)
            limits = [self._number(f"{name}.{end}", ends[end]) for end in ("min", "max")]
            self._add("Clip", [x, *limits], name)
        elif phi.onnx:
            self._add(phi.onnx, [x], name, **dict(phi.onnx_attributes))
        elif phi.coefficients:
            self._polynomial(name, x, [float(c) for c in phi.coefficients])
        else:
            raise NetworkError(
                f"{name}: the activation {phi.name} cannot be written as ONNX; {INSTEAD}"
            )

    def _polynomial(self, name: str, x: str, coefficients: list[float]) -> None:
        """Horner's rule."""
        value = self._add(
            "Mul", [x, self._number(f"{name}.zero", 0.0)], self._free(f"{name}.zeros")
        )
        for power, c in reversed(list(enumerate(coefficients))):
            last = self._number(f"{name}.c{power}", c)
            value = self._add(
                "Add", [value, last], name if not power else self._free(f"{name}.sum")
            )
            if power:
                value = self._add("Mul", [value, x], self._free(f"{name}.product"))

    def _pool(self, node: Pool) -> None:
        name, inputs = node.name, list(node.inputs)
        grid = self._graph.shapes[node.inputs[0]][1:]
        average = node.operation == "average"
        if node.adaptive and set(node.size) == {1}:
            self._add("GlobalAveragePool" if average else "GlobalMaxPool", inputs, name)
            return
        geometry: dict[str, Any]
        if node.adaptive:
            if any(n % k for n, k in zip(grid, node.size, strict=True)):
                raise node.refuse(
                    f"pooling a grid of {grid} to {node.size} has windows of different sizes, for which "
                    f"ONNX has no operator; {INSTEAD}"
                )
            window = tuple(n // k for n, k in zip(grid, node.size, strict=True))
            geometry = {"kernel_shape": window, "strides": window}
        else:
            geometry = {
                "kernel_shape": node.size,
                "strides": node.stride,
                "pads": (*node.padding, *node.padding),
                "ceil_mode": int(node.ceiling),
            }
            if not average:
                geometry["dilations"] = node.dilation
            elif any(node.padding):
                geometry["count_include_pad"] = int(node.count_padding)
        self._add("AveragePool" if average else "MaxPool", inputs, name, **geometry)
