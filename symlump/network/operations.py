"""Steps that mix units, or treat all of them alike along the grid: one table, what each computes in torch.

A function gets the values (samples first), the constants, and the options of an
:class:`~symlump.network.step_nodes.Operation`. It is written in plain torch, so that it can be run,
differentiated, and recorded into a module (:mod:`symlump.network.torch_module`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from symlump.errors import NetworkError, first_line
from symlump.network.nodes import Shape

if TYPE_CHECKING:
    from symlump.network.step_nodes import Attention, Operation

Tensors = Sequence[Any]


def _softmax(x: Tensors, arrays: Tensors, axis: int, logarithm: bool) -> Any:
    return torch.log_softmax(x[0], axis) if logarithm else torch.softmax(x[0], axis)


def _matmul(x: Tensors, arrays: Tensors) -> Any:
    return torch.matmul(x[0], x[1])


def _normalise(x: Tensors, arrays: Tensors, axes: Shape, eps: float, centred: bool) -> Any:
    """(x − mean)/√(mean of squares + ε), times the first constant, plus the second."""
    if axes == (-1,) and centred:
        weight, bias = (*arrays, None, None)[:2]
        return functional.layer_norm(x[0], x[0].shape[-1:], weight, bias, eps)
    value = x[0] - x[0].mean(axes, keepdim=True) if centred else x[0]
    value = value * torch.rsqrt((value * value).mean(axes, keepdim=True) + eps)
    if arrays:
        value = value * arrays[0]
    return value + arrays[1] if len(arrays) > 1 else value


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "maximum": torch.amax,
    "minimum": torch.amin,
}


def _reduce(x: Tensors, arrays: Tensors, axes: Shape, how: str) -> Any:
    return _REDUCTIONS[how](x[0], axes, keepdim=True)


def _take(x: Tensors, arrays: Tensors, axis: int, start: int, stop: int, step: int) -> Any:
    where: list[Any] = [slice(None)] * axis + [slice(start, stop, step)]
    return x[0][tuple(where)]


def _join(x: Tensors, arrays: Tensors, axis: int, order: Sequence[int], rank: int) -> Any:
    """Values (0, 1, …) and constants (−1, −2, …) one after the other."""
    parts = []
    for place in order:
        part = x[place] if place >= 0 else arrays[-1 - place]
        if place < 0:  # a constant has one sample
            part = part.expand(x[0].size(0), *(-1,) * rank)
        parts.append(part)
    return torch.cat(parts, axis)


_PAIRS: dict[str, Callable[..., Any]] = {"maximum": torch.maximum, "minimum": torch.minimum}


def _pair(x: Tensors, arrays: Tensors, how: str) -> Any:
    return _PAIRS[how](*x)


#: Functions of one number that the table of activations does not have, by name; further numbers follow.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": torch.sqrt,
    "reciprocal": torch.reciprocal,
    "log": torch.log,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "not": lambda z: 1 - z,
    "power": torch.pow,
    "least": lambda z, low: torch.clamp(z, min=low),
    "most": lambda z, high: torch.clamp(z, max=high),
    "equals": lambda z, number: torch.eq(z, number).to(z.dtype),
    "erf": torch.erf,
    "hardsigmoid": lambda z, slope, offset: torch.clamp(z * slope + offset, 0.0, 1.0),
}


def _function(x: Tensors, arrays: Tensors, name: str, numbers: Sequence[float]) -> Any:
    return FUNCTIONS[name](x[0], *numbers)


def _spread(x: Tensors, arrays: Tensors, size: Shape) -> Any:
    return x[0].expand(-1, *size)


def _equal(x: Tensors, arrays: Tensors) -> Any:
    return torch.eq(*x, *arrays).to(x[0].dtype)


def _argmax(x: Tensors, arrays: Tensors, axis: int) -> Any:
    return torch.argmax(x[0], axis, keepdim=True).to(x[0].dtype)


def _embed(x: Tensors, arrays: Tensors) -> Any:
    return functional.embedding(x[0].to(torch.int64), arrays[0])


def _attend(x: Tensors, arrays: Tensors, causal: bool, scale: float) -> Any:
    q, k, v = x
    mask = arrays[0] if arrays else None
    return functional.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale)


def _pad(x: Tensors, arrays: Tensors, sizes: Shape, value: float) -> Any:
    return functional.pad(x[0], list(sizes), "constant", value)


def _resize(x: Tensors, arrays: Tensors, size: Shape, mode: str, corners: bool | None) -> Any:
    return functional.interpolate(x[0], size=list(size), mode=mode, align_corners=corners)


def _dilate(x: Tensors, arrays: Tensors, steps: Shape, size: Shape) -> Any:
    """Zeros between the points of a grid, one step after another, and behind the last up to a size."""
    value = x[0]
    for axis, (step, length) in enumerate(zip(steps, size, strict=True), start=2):
        behind = 2 * (len(size) + 1 - axis)  # torch counts the axes to pad from the last
        value = functional.pad(value.unsqueeze(axis + 1), [0] * behind + [0, step - 1])
        value = value.flatten(axis, axis + 1).narrow(axis, 0, length)
    return value


def _convolve(x: Tensors, arrays: Tensors, stride: Shape, padding: Shape, dilation: Shape,
              groups: int, transposed: bool, extra: Shape) -> Any:  # fmt: skip
    rank = len(stride)
    bias = arrays[1] if len(arrays) > 1 else None
    if transposed:
        function = getattr(functional, f"conv_transpose{rank}d")
        return function(x[0], arrays[0], bias, stride, padding, extra, groups, dilation)
    return getattr(functional, f"conv{rank}d")(
        x[0], arrays[0], bias, stride, padding, dilation, groups
    )


TABLE: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "matmul": _matmul,
    "normalise": _normalise,
    "reduce": _reduce,
    "take": _take,
    "join": _join,
    "pair": _pair,
    "function": _function,
    "spread": _spread,
    "equal": _equal,
    "argmax": _argmax,
    "embed": _embed,
    "attend": _attend,
    "pad": _pad,
    "resize": _resize,
    "dilate": _dilate,
    "convolve": _convolve,
}


def apply(node: Operation, values: Tensors, arrays: Tensors) -> Any:
    """What a step computes.

    Parameters
    ----------
    values : sequence of Tensor, each of shape (samples, …)
        Or of proxies that record what is done to them.
    arrays : sequence of Tensor
        The constants.

    Examples
    --------
    >>> from symlump.network.step_nodes import Operation
    >>> step = Operation("top", ("x",), "reduce", {"axes": (1,), "how": "maximum"})
    >>> apply(step, [torch.tensor([[1.0, 3.0]])], []).tolist()
    [[3.0]]
    """
    return TABLE[node.kind](values, arrays, **node.options)


def attend(node: Attention, q: Any, k: Any, v: Any, mask: Any, times: Any) -> Any:
    """What attention computes of values with the channels last: (samples, tokens, channels).

    Heads of one size are one call of torch, others one each.

    Parameters
    ----------
    q, k, v, mask, times : Tensor
        Or proxies that record what is done to them; the last two may be None.

    Examples
    --------
    >>> one = np.zeros(1, dtype=int)
    >>> x = torch.tensor([[[0.0], [4.0]]])
    >>> from symlump.network.step_nodes import Attention
    >>> attend(Attention("a", ("x", "x", "x"), one, one, 1.0), x, x, x, None, None)[0, 0].tolist()
    [2.0]
    """
    q = q if times is None else q * times
    attend: Callable[..., Any] = functional.scaled_dot_product_attention
    options: dict[str, Any] = {"is_causal": node.causal, "scale": node.scale}
    if node.is_even:
        if node.count == 1:
            return attend(q, k, v, mask, **options)
        parts = [part.unflatten(-1, (node.count, -1)).transpose(1, 2) for part in (q, k, v)]
        return attend(*parts, mask, **options).transpose(1, 2).flatten(2)
    found = []
    ends, edges = (
        np.searchsorted(own, range(node.count + 1)).tolist() for own in (node.pairs, node.heads)
    )
    for head in range(node.count):
        first, begin = ends[head], edges[head]
        given = [part.narrow(-1, first, ends[head + 1] - first) for part in (q, k)]
        values = v.narrow(-1, begin, edges[head + 1] - begin)
        own = mask if node.mask is None or len(node.mask) == 1 else mask.narrow(0, head, 1)
        found.append(attend(*given, values, own, **options))
    return torch.cat(found, -1)


def result_shape(node: Operation, given: Sequence[Shape]) -> Shape:
    """The shape of its value, without the samples: torch works it out, without numbers.

    Raises
    ------
    NetworkError
        If the inputs do not fit.
    """
    values = [torch.empty((2, *shape), device="meta") for shape in given]
    arrays = [torch.empty(array.shape, device="meta") for array in node.arrays]
    try:
        result = apply(node, values, arrays)
    except Exception as error:  # torch's own classes
        reason = first_line(error)
        raise node.refuse(
            f"the step {node.kind!r} does not take values of shapes {', '.join(map(str, given))}: {reason}"
        ) from None
    if result.shape[:1] != (2,):
        raise NetworkError(f"{node.name}: the step {node.kind!r} does not keep the samples apart")
    return tuple(result.shape[1:])
