"""What nodes of an ONNX file compute from constants alone: weights turned round, and shapes put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.network.exchange.views import SAMPLES

Array = npt.NDArray[Any]

#: Arithmetic is done for shapes, which are short; a file could ask for any amount of it.
_SHORT = 4096
_LONG = 1 << 22  # entries of what one constant is spread to
#: ONNX's numbers of types.
_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float64}


def constant(operator: str, x: list[Any], a: dict[str, Any]) -> Array | None:
    """The value of a node without inputs from the network; None if the operator is not known here.

    Parameters
    ----------
    operator : str
    x : list of ndarray or None
        The inputs.
    a : dict
        The attributes.

    Examples
    --------
    >>> constant("Concat", [np.array([-1]), np.array([400])], {"axis": 0}).tolist()
    [-1, 400]
    """
    if operator == "Constant":
        return _given(a)
    if operator not in _FUNCTIONS or not x or any(value is None for value in x):
        return None
    if operator not in _FREE and sum(v.size for v in x) > (
        _LONG if operator in _ENTRYWISE else _SHORT
    ):
        return None
    if operator in _ENTRYWISE and prod(np.broadcast_shapes(*(v.shape for v in x))) > _LONG:
        return None
    return _FUNCTIONS[operator](x, a)


def _given(a: dict[str, Any]) -> Array | None:
    for key in ("value_float", "value_floats", "value_int", "value_ints"):
        if key in a:
            return np.asarray(a[key])
    value = a.get("value")
    return value if isinstance(value, np.ndarray) else None


def _cast(x: list[Any], a: dict[str, Any]) -> Array | None:
    kind = _TYPES.get(a.get("to", 0))
    return None if kind is None else x[0].astype(kind)


def _expand(x: list[Any], a: dict[str, Any]) -> Array | None:
    """Spread to a shape; along the samples a constant is left as it is."""
    rank = max(x[0].ndim, x[1].size)
    shape = (1,) * (rank - x[0].ndim) + x[0].shape
    wanted = [1] * (rank - x[1].size) + [1 if n == SAMPLES else int(n) for n in x[1]]
    sizes = np.broadcast_shapes(shape, tuple(wanted))
    return np.broadcast_to(x[0], sizes) if prod(sizes) <= _LONG else None


def _filled(x: list[Any], a: dict[str, Any]) -> Array | None:
    value = np.ravel(a.get("value", np.zeros(1, dtype=np.float32)))[0]
    sizes = [1 if n == SAMPLES else int(n) for n in x[0]]
    return np.full(sizes, value) if prod(sizes) <= _LONG and min(sizes, default=1) > 0 else None


def _divided(x: list[Any], a: dict[str, Any]) -> Array | None:
    if x[0].dtype.kind == "f":
        return np.asarray(x[0] / x[1])
    if not x[1].all():
        return None
    signs = np.sign(x[0]) * np.sign(x[1])  # whole numbers are rounded towards zero
    return np.asarray(signs * (np.abs(x[0]) // np.abs(x[1])))


def _dequantized(x: list[Any], a: dict[str, Any]) -> Array | None:
    """(q − zero)·scale, of one scale or one for each place of an axis."""
    scale, zero = x[1], x[2] if len(x) > 2 else np.zeros((), dtype=x[0].dtype)
    if scale.ndim > 1 or a.get("block_size"):
        return None
    if scale.ndim:
        shape = [1] * x[0].ndim
        shape[a.get("axis", 1)] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.ndim else zero
    whole = x[0].astype(np.int64) - zero.astype(np.int64)  # of 32 bits or fewer
    return np.asarray(whole.astype(scale.dtype) * scale)


def _slice(x: list[Any], a: dict[str, Any]) -> Array | None:
    """Ranges of axes, also backwards; older versions give them as attributes."""
    if len(x) < 3:
        x = [x[0], *(np.asarray(a.get(key, ())) for key in ("starts", "ends"))]
        x += [np.asarray(a["axes"])] if "axes" in a else []
    starts, ends = ([int(n) for n in part] for part in x[1:3])
    axes = [int(n) for n in x[3]] if len(x) > 3 else list(range(len(starts)))
    steps = [int(n) for n in x[4]] if len(x) > 4 else [1] * len(starts)
    ranges = [slice(None)] * x[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not step or (step < 0 and start < -x[0].shape[axis]):
            return None  # where Python and ONNX differ
        ranges[axis] = slice(start, end, step)
    return np.asarray(x[0][tuple(ranges)])


def _triangle(x: list[Any], a: dict[str, Any]) -> Array | None:
    """The upper or the lower part of matrices."""
    k = int(np.ravel(x[1])[0]) if len(x) > 1 else 0
    k = max(-_LONG, min(k, _LONG))
    return np.asarray(np.triu(x[0], k) if a.get("upper", 1) else np.tril(x[0], k))


def fold_constants(onnx: Any, node: Any, x: list[Any], opset: int) -> list[Array] | None:
    """What a node gives of constants alone, by onnx's reference implementation.

    Only operators are computed whose results are no larger than what they read, spread over one another,
    and only of numbers that do not stand for that of the samples.

    Parameters
    ----------
    node : onnx.NodeProto
    x : list of ndarray or None
        The inputs.
    opset : int
        The version of the operators in the file.

    Returns
    -------
    list of ndarray or None
        None where the node is not computed.

    Examples
    --------
    >>> import onnx
    >>> node = onnx.helper.make_node("Less", ["a", "b"], ["c"])
    >>> fold_constants(onnx, node, [np.arange(3), np.array(1)], 17)[0].tolist()
    [True, False, False]
    """
    held = [value for value in x if value is not None]
    if node.op_type not in _BOUNDED or not held or any(v.size > _LONG for v in held):
        return None
    whole = [v for v in held if v.dtype.kind in "iu"]
    if any(np.any((v % SAMPLES == 0) & (v != 0)) for v in whole):
        return None
    if node.op_type in _BROADCAST and prod(np.broadcast_shapes(*(v.shape for v in held))) > _LONG:
        return None
    from onnx.reference import ReferenceEvaluator

    names = [f"{k}" if value is not None else "" for k, value in enumerate(x)]
    model = one_node(onnx, node, names, node.output, opset)
    feeds = {name: value for name, value in zip(names, x, strict=True) if name}
    with np.errstate(all="ignore"):
        found = iter(ReferenceEvaluator(model).run(None, feeds))
    return [np.asarray(next(found)) if name else np.zeros(0) for name in node.output]


def one_node(
    onnx: Any, node: Any, inputs: Sequence[str], outputs: Sequence[str], opset: int
) -> Any:
    """A model of one node alone, under other names; "" stands for what is left out.

    Examples
    --------
    >>> import onnx
    >>> node = onnx.helper.make_node("Less", ["a", "b"], ["c"])
    >>> one_node(onnx, node, ["0", "1"], ["less"], 17).graph.node[0].input
    ['0', '1']
    """
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    del alone.input[:], alone.output[:]
    alone.input.extend(inputs)
    alone.output.extend(outputs)
    ends = (
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name]
        for names in (inputs, outputs)
    )
    graph = onnx.helper.make_graph([alone], "operator", *ends)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


#: Operators whose results are no larger than one of their inputs, or than these spread over one another.
_BROADCAST = frozenset({
    "And", "Or", "Xor", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Max", "Min", "Sum", "Mean",
})  # fmt: skip
_BOUNDED = _BROADCAST | {
    "Not", "Abs", "Exp", "Log", "Sign", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Round", "IsNaN", "IsInf",
    "Clip", "Relu", "Softmax", "CumSum", "Flatten", "Split", "ReduceSum", "ReduceMean", "ReduceMax",
    "ReduceMin",
    "ReduceL2", "ReduceL1", "ReduceSumSquare", "ReduceProd", "ArgMax", "ArgMin", "GatherElements", "ScatterND",
    "ScatterElements", "CastLike",
}  # fmt: skip


_FREE = ("Identity", "Transpose", "Reshape", "Shape", "Unsqueeze", "Squeeze", "Slice", "Trilu",
         "DequantizeLinear")  # fmt: skip
_ENTRYWISE = (
    *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Sqrt", "Reciprocal", "Pow", "Equal", "Where"),
    *("Floor", "Ceil", "Cast"),
)
_FUNCTIONS: dict[str, Callable[[list[Any], dict[str, Any]], Array | None]] = {
    "Identity": lambda x, a: np.asarray(x[0]),
    "Transpose": lambda x, a: np.transpose(x[0], a.get("perm")),
    "Reshape": lambda x, a: np.reshape(x[0], [int(n) for n in x[1]]),
    "Cast": _cast,
    "Concat": lambda x, a: np.concatenate(x, a["axis"]),
    "Unsqueeze": lambda x, a: np.expand_dims(x[0], tuple(axes_of(x, a))),
    "Squeeze": lambda x, a: np.squeeze(x[0], tuple(axes_of(x, a))),
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "Shape": lambda x, a: np.array(x[0].shape, dtype=np.int64)[a.get("start", 0) : a.get("end")],
    "Add": lambda x, a: x[0] + x[1],
    "Sub": lambda x, a: x[0] - x[1],
    "Mul": lambda x, a: x[0] * x[1],
    "Div": _divided,
    "Mod": lambda x, a: np.asarray(np.fmod(*x) if a.get("fmod") else np.mod(*x)),
    "Neg": lambda x, a: -x[0],
    "Sqrt": lambda x, a: np.sqrt(x[0]),
    "Reciprocal": lambda x, a: 1 / x[0],
    "Pow": lambda x, a: np.power(x[0], x[1]),
    "Equal": lambda x, a: np.asarray(x[0] == x[1]),
    "Where": lambda x, a: np.where(x[0], x[1], x[2]),
    "Floor": lambda x, a: np.floor(x[0]),
    "Ceil": lambda x, a: np.ceil(x[0]),
    "ReduceProd": lambda x, a: np.asarray(np.prod(x[0])) if not axes_of(x, a) else None,
    "Gather": lambda x, a: np.take(x[0], x[1], a.get("axis", 0)),
    "Slice": _slice,
    "Trilu": _triangle,
    "DequantizeLinear": _dequantized,
}


def axes_of(x: list[Any], a: dict[str, Any]) -> list[int]:
    """Axes, which newer versions give as an input and older ones as an attribute."""
    if len(x) > 1 and isinstance(x[1], np.ndarray):
        return [int(axis) for axis in x[1].ravel()]
    return [int(axis) for axis in a.get("axes", ())]


def floats(array: Array) -> Array:
    """In double precision."""
    return np.asarray(array, dtype=np.float64)


def are_arrays(*values: Any) -> bool:
    """Whether values are constants, or left out; the first is not left out.

    Examples
    --------
    >>> are_arrays(np.zeros(2), None), are_arrays(None)
    (True, False)
    """
    return all(value is None or isinstance(value, np.ndarray) for value in values) and isinstance(
        values[0], np.ndarray
    )
