"""Operators of an ONNX file that symlump does not know, carried along as they are.

What such an operator computes is taken from the reference implementation that comes with onnx, so nothing of
the file is executed but operators of the standard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from symlump.errors import FileFormatError, NetworkError, first_line
from symlump.network.exchange.calls import each_alone
from symlump.network.exchange.onnx_constants import one_node
from symlump.network.nodes import Shape

#: The version of the operators in which a network is written, and so in which they must be held.
OPSET = 20
_SAMPLES = "samples"  # the name of axis 0 while shapes are found
_STEP = 1e-3
_ENTRIES = 4096  # of a sample; above, no derivative is taken
#: What is computed to try an operator, which a file can make any size: entries, and how far a window reaches.
_MOST, _MOST_STEPS = 1 << 26, 1 << 12
_RANK, _LONGEST = 8, 1 << 16  # numbers in a shape, and in what shapes are put together to
_INTEGERS = (6, 7)  # int32 and int64, as ONNX numbers them


class OnnxOperator(nn.Module):
    """One operator as a torch module, computed by onnx's reference implementation.

    Its derivative, which the unit of a tolerance needs, is taken by central differences; it is for
    that, and not for training.

    Parameters
    ----------
    model : bytes
        A serialized ONNX model of one node.
    given : tuple of str
        The names of the node's inputs that are values of the network, in the order of the arguments.
    constants : dict
        The other inputs.
    output : str
        The result that is wanted.
    """

    def __init__(
        self,
        model: bytes,
        given: tuple[str, ...],
        constants: dict[str, npt.NDArray[Any]],
        output: str,
    ) -> None:
        super().__init__()
        self.model, self.given, self.output = model, given, output
        self.names = {name: f"input_{name}" for name in constants}
        for name, array in constants.items():
            tensor = torch.from_numpy(np.array(array))
            if tensor.is_floating_point():
                weight = nn.Parameter(tensor, requires_grad=False)
                self.register_parameter(self.names[name], weight)
            else:
                self.register_buffer(self.names[name], tensor)

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        """The wanted result."""
        result: torch.Tensor = _Evaluation.apply(self, *values)  # type: ignore[no-untyped-call]
        return result

    def constants(self) -> dict[str, npt.NDArray[Any]]:
        """The inputs that are not values of the network, by name."""
        return {
            name: getattr(self, held).detach().cpu().numpy() for name, held in self.names.items()
        }

    def evaluate(self, values: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The wanted result, without a derivative."""
        arrays = [value.detach().cpu().numpy() for value in values]
        feeds = dict(zip(self.given, arrays, strict=True)) | self.constants()
        with np.errstate(all="ignore"):
            (result,) = _evaluator(self.model).run([self.output], feeds)
        return torch.from_numpy(np.array(result)).to(values[0])

    def extra_repr(self) -> str:
        """What it is, for printing."""
        return f"{_node(self.model).op_type}"


class _Evaluation(torch.autograd.Function):
    """An operator with a derivative by central differences, one entry of a sample at a time."""

    @staticmethod
    def forward(ctx: Any, operator: OnnxOperator, *values: torch.Tensor) -> torch.Tensor:
        ctx.operator = operator
        ctx.save_for_backward(*values)
        return operator.evaluate(values)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        values, (slope,) = list(ctx.saved_tensors), slopes
        gradients: list[torch.Tensor | None] = [None]
        for position, value in enumerate(values):
            entries = prod(value.shape[1:])
            if entries > _ENTRIES:
                raise NetworkError(
                    f"the operator {_node(ctx.operator.model).op_type}, which was left untouched, reads "
                    f"{entries} entries of a sample, too many to take its derivative; measure the tolerance "
                    "without it: AFDE(relative_to='layer')"
                )
            gradient = torch.zeros_like(value)
            for entry in range(entries):
                sides = []
                for sign in (_STEP, -_STEP):
                    moved = value.clone()
                    moved.view(len(value), -1)[:, entry] += sign
                    sides.append(
                        ctx.operator.evaluate((*values[:position], moved, *values[position + 1 :]))
                    )
                change = (sides[0] - sides[1]) / (2 * _STEP)
                gradient.view(len(value), -1)[:, entry] = (slope * change).flatten(1).sum(1)
            gradients.append(gradient)
        return tuple(gradients)


def _node(model: bytes) -> Any:
    import onnx

    return onnx.ModelProto.FromString(model).graph.node[0]


@lru_cache(maxsize=64)
def _evaluator(model: bytes) -> Any:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model)


def one_operator(onnx: Any, node: Any, inputs: list[Any], position: int) -> OnnxOperator:
    """A node of a file as a module that gives one of its results.

    Parameters
    ----------
    node : onnx.NodeProto
    inputs : list
        An array for each input that is constant, None for those left out, anything else for values.
    position : int
        Which result.
    """
    names: list[str] = []
    given: dict[str, None] = {}  # in order; a value may be read twice
    constants: dict[str, npt.NDArray[Any]] = {}
    for number, (name, value) in enumerate(zip(node.input, inputs, strict=True)):
        if value is None:
            names.append("")
        elif isinstance(value, np.ndarray):
            names.append(f"{number}")
            constants[names[-1]] = value
        else:
            names.append(f"value {name}")
            given[names[-1]] = None
    results = [f"result {k}" if name else "" for k, name in enumerate(node.output)]
    model = one_node(onnx, node, names, results, OPSET).SerializeToString()
    return OnnxOperator(model, tuple(given), constants, results[position])


def keeps_samples(operator: OnnxOperator, given: list[Shape], shape: Shape) -> bool:
    """Whether each sample's result has the shape, and is the one it has alone: it is tried with three.

    Parameters
    ----------
    given : list of tuple
        Shapes of the values, without the samples.
    shape : tuple of int
        Of the result.
    """
    weights = [p.dtype for p in operator.parameters()]
    numbers = [n for a in _node(operator.model).attribute for n in (a.i, *a.ints)]
    if prod(shape) > _MOST or max(map(abs, numbers), default=0) > _MOST_STEPS:
        return False
    dtype = (*weights, torch.float32)[0]
    return bool(each_alone(lambda *values: operator.evaluate(values), given, shape, dtype))


def written_node(operator: OnnxOperator, names: dict[str, str], free: Any) -> Any:
    """The node of a file again, its inputs and the wanted result renamed.

    Parameters
    ----------
    names : dict
        The new names of the inputs and of ``operator.output``.
    free : callable
        Makes a name for a result that is not wanted.
    """
    node = _node(operator.model)
    inputs = [names[name] if name else "" for name in node.input]
    outputs = [names.get(name) or (free("unused") if name else "") for name in node.output]
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.extend(outputs)
    node.name = names[operator.output]
    return node


def with_shapes(
    onnx: Any, model: Any, given: Mapping[str, Sequence[int]]
) -> tuple[Any, dict[str, tuple[int, Shape]]]:
    """The model in the opset that is written, and what onnx knows of each value.

    Parameters
    ----------
    given : mapping
        Sizes of inputs that the file leaves open, samples first.

    Returns
    -------
    model : onnx.ModelProto
    shapes : dict
        Element type and shape behind axis 0, of the values for which onnx can tell.

    Raises
    ------
    FileFormatError
        If the model does not pass onnx's own checks.
    NetworkError
        If onnx cannot bring it to the opset.
    """
    described = onnx.ModelProto()
    described.CopyFrom(model)
    for value in described.graph.output:  # the check wants a type, which symlump does without
        kind = value.type.tensor_type
        kind.elem_type = kind.elem_type or onnx.TensorProto.FLOAT
        kind.shape.SetInParent()
    try:
        onnx.checker.check_model(described)
    except Exception as error:  # classes of onnx and of protobuf
        raise FileFormatError(f"is not a valid ONNX model: {first_line(error)}") from None
    version = max((s.version for s in model.opset_import if s.domain in ("", "ai.onnx")), default=0)
    try:
        from onnx import shape_inference, version_converter

        if version != OPSET:
            model = version_converter.convert_version(model, OPSET)
        opened = onnx.ModelProto()
        opened.CopyFrom(model)
        held = {tensor.name for tensor in opened.graph.initializer}
        for value in opened.graph.input:
            if value.name not in held and value.type.tensor_type.shape.dim:
                dims = value.type.tensor_type.shape.dim
                for dim, size in zip(dims, given.get(value.name, ()), strict=False):
                    dim.dim_value = int(size)
                dims[0].dim_param = _SAMPLES
        del opened.graph.value_info[:]
        for value in opened.graph.output:
            value.type.tensor_type.ClearField("shape")
        found = shape_inference.infer_shapes(opened, data_prop=_is_short(opened.graph)).graph
    except Exception as error:  # the same
        raise NetworkError(
            f"onnx cannot bring it from opset {version} to {OPSET}, which leaving operators untouched needs: "
            f"{first_line(error)}"
        ) from None
    shapes: dict[str, tuple[int, Shape]] = {}
    for value in (*found.value_info, *found.output):
        kind = value.type.tensor_type
        axes = kind.shape.dim
        # A length that follows from others (-1 in a Reshape) is unknown; keeps_samples tries it.
        if len(axes) and not axes[0].dim_value and all(a.dim_value > 0 for a in axes[1:]):
            shapes[value.name] = (kind.elem_type, tuple(int(a.dim_value) for a in axes[1:]))
    return model, shapes


def _is_short(graph: Any) -> bool:
    """Whether shapes are put together to short rows only: onnx follows all of their numbers."""

    def count(tensor: Any) -> int:
        return prod(tensor.dims) if len(tensor.dims) < 2 and tensor.data_type in _INTEGERS else 0

    lengths = {tensor.name: count(tensor) for tensor in graph.initializer}
    for node in graph.node:
        parts = [lengths.get(name, _RANK) for name in node.input]
        parts += [count(attribute.t) for attribute in node.attribute]
        length = sum(parts) if node.op_type == "Concat" else max(parts, default=_RANK)
        if length > _LONGEST:
            return False
        lengths.update(dict.fromkeys(node.output, length))
    return True
