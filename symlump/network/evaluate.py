"""What a node computes, and how a gradient passes through it: numpy, and torch where there are windows.

Arrays have the samples first. Dense layers and activations are computed exactly as :class:`Layer` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import prod
from typing import Any

import numpy as np

from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.step_nodes import Attention, ByPlace, Operation, Reorder, Softmax, Untouched
from symlump.ode.exact import FloatArray

#: Values with more entries or channels per sample are refused: a file can claim any size.
_MAX_ENTRIES = 1 << 26
_MAX_CHANNELS = 1 << 22
#: Numbers in the windows of a convolution that are held at once.
_WINDOWS = 1 << 18


def evaluate(node: Node, *given: FloatArray) -> FloatArray:
    """The value of a node.

    Parameters
    ----------
    given : ndarray, shape (samples, …)
        The values that it reads.

    Examples
    --------
    >>> evaluate(Affine("fc", ("x",), np.array([[1.0, 2.0]])), np.array([[3.0, 4.0]])).tolist()
    [[11.0]]
    """
    x = given[0]
    match node:
        case Affine(weight=weight, bias=bias) if node.is_dense:
            z = np.asarray(_channels_last(x) @ weight.T)
            if bias is not None:
                z += bias
            return z if z.ndim == 2 else np.moveaxis(z, -1, 1)
        case Affine(weight=weight, bias=bias) if node.is_scale:
            y = x * _along(weight[:, 0], x)
            return y if bias is None else y + _along(bias, x)
        case Apply(activation=phi):
            return np.asarray(phi(x))
        case Flatten():
            return x.reshape(len(x), -1)
        case Squeeze():
            return x[:, 0]
        case Unsqueeze(axes=axes):
            return x.reshape(*x.shape, *(1,) * axes)
        case Reorder(split=split, size=size, kept=kept):
            same = x.shape[:kept]
            return x.reshape(*same, *split).transpose(node.whole_order).reshape(*same, *size)
        case ByPlace(operation=operation, constant=constant):
            return x + constant if operation == "add" else x * constant
        case Combine(operation=operation):
            value = x
            for other in given[1:]:
                value = value + other if operation == "add" else value * other
            return value
        case Concatenate():
            return np.concatenate(given, axis=1)
        case Select(index=index):
            return np.asarray(x[:, index])
        case GroupSum(groups=groups):
            sums = np.zeros((len(x), int(groups.max()) + 1, *x.shape[2:]))
            np.add.at(np.moveaxis(sums, 1, 0), groups, np.moveaxis(x, 1, 0))
            return sums
        case Softmax(logarithm=logarithm):
            shifted = x - x.max(axis=1, keepdims=True)
            total = np.exp(shifted).sum(axis=1, keepdims=True)
            return np.asarray(shifted - np.log(total) if logarithm else np.exp(shifted) / total)
    import torch

    with torch.no_grad():
        computed = _with_torch(node)
        tensors = [torch.from_numpy(np.require(a, requirements=["C", "W"])) for a in given]
        if isinstance(node, Affine):  # few samples at a time: windows are copied side by side
            windows = max(1, prod(given[0].shape[1:]) * prod(node.kernel) // prod(node.stride))
            count, few = len(given[0]), max(1, _WINDOWS // windows)
            starts = range(0, max(1, count), few)
            parts = [computed(tensors[0][start : start + few]) for start in starts]
            return np.asarray(torch.cat(parts).numpy())
        return np.asarray(computed(*tensors).numpy())


def pull_back(
    node: Node, given: Sequence[FloatArray], gradient: FloatArray
) -> list[FloatArray | None]:
    """The gradient by each value that a node reads, from that by its own.

    None where the library that computes a node cannot tell.

    Examples
    --------
    >>> fc = Affine("fc", ("x",), np.array([[1.0, 2.0]]))
    >>> [g.tolist() for g in pull_back(fc, [np.zeros((1, 2))], np.array([[3.0]]))]
    [[[3.0, 6.0]]]
    """
    x = given[0]
    match node:
        case Affine(weight=weight) if node.is_dense:
            back = _channels_last(gradient) @ weight
            return [back if back.ndim == 2 else np.moveaxis(back, -1, 1)]
        case Affine(weight=weight) if node.is_scale:
            return [gradient * _along(weight[:, 0], x)]
        case Apply(activation=phi):
            return [gradient * phi.slope(x)]
        case Flatten() | Squeeze() | Unsqueeze():
            return [gradient.reshape(x.shape)]
        case Reorder(split=split, order=order, kept=kept):
            turned = gradient.reshape(*x.shape[:kept], *(split[k] for k in order))
            return [turned.transpose(np.argsort(node.whole_order)).reshape(x.shape)]
        case ByPlace(operation=operation, constant=constant):
            return [gradient if operation == "add" else gradient * constant]
        case Combine(operation="add"):
            return [_unspread(gradient, a.shape) for a in given]
        case Combine():
            gradients: list[FloatArray | None] = []
            for number, a in enumerate(given):
                others = gradient
                for other in (*given[:number], *given[number + 1 :]):
                    others = others * other
                gradients.append(_unspread(others, a.shape))
            return gradients
        case Concatenate():
            ends = np.cumsum([a.shape[1] for a in given])[:-1]
            return list(np.split(gradient, ends, axis=1))
        case Select(index=index):
            back = np.zeros(x.shape)
            np.add.at(np.moveaxis(back, 1, 0), index, np.moveaxis(gradient, 1, 0))
            return [back]
        case GroupSum(groups=groups):
            return [gradient[:, groups]]
    return _pulled_back_by_torch(node, given, gradient)


def _channels_last(x: FloatArray) -> FloatArray:
    return x if x.ndim == 2 else np.moveaxis(x, 1, -1)


def _pulled_back_by_torch(
    node: Node, given: Sequence[FloatArray], gradient: FloatArray
) -> list[FloatArray | None]:
    import torch

    from symlump.network.gradients import gradients

    with gradients():
        tensors = [torch.from_numpy(np.array(a, order="C")).requires_grad_() for a in given]
        value = _with_torch(node)(*tensors)
        if not value.requires_grad:
            return [None] * len(given)
        upstream = torch.from_numpy(np.ascontiguousarray(gradient))
        found = torch.autograd.grad(value, tensors, upstream, allow_unused=True)
    return [None if g is None else np.asarray(g.numpy()) for g in found]


def _along(values: FloatArray, x: FloatArray) -> FloatArray:
    """One number per channel, to be combined with a value."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _unspread(gradient: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """The gradient by a value that was spread over others."""
    axes = tuple(
        a for a, (n, m) in enumerate(zip(shape, gradient.shape, strict=True)) if n == 1 and m != 1
    )
    return np.asarray(gradient.sum(axis=axes, keepdims=True)) if axes else gradient


def _with_torch(node: Node) -> Callable[..., Any]:
    """A node as a function of tensors in double precision."""
    import torch
    from torch.nn import functional

    match node:
        case Affine(weight=weight, bias=bias):
            kernel = torch.from_numpy(np.array(weight))
            offset = None if bias is None else torch.from_numpy(np.array(bias))
            convolve = getattr(functional, f"conv{len(node.kernel)}d")
            return lambda x: convolve(
                x,
                kernel,
                offset,
                node.stride,
                node.padding,
                node.dilation,
                x.shape[1] if node.depthwise else 1,
            )
        case Pool():
            from symlump.network.torch_parts import pool_module

            return pool_module(node)
        case Softmax(logarithm=logarithm):
            softmax = torch.log_softmax if logarithm else torch.softmax
            return lambda x: softmax(x, 1)
        case Operation(arrays=arrays):
            from symlump.network.operations import apply

            held = [torch.from_numpy(np.array(array)) for array in arrays]
            return lambda *x: apply(node, x, held)
        case Attention(mask=mask, times=times):
            from symlump.network.operations import attend

            more = [None if a is None else torch.from_numpy(np.array(a)) for a in (mask, times)]

            def turn(*x: Any) -> Any:
                return attend(node, *(part.transpose(1, 2) for part in x), *more).transpose(1, 2)

            return turn
        case Untouched(call=call) if isinstance(call, torch.nn.Module):
            return deepcopy(call).double()
        case Untouched(call=call):
            return call  # type: ignore[no-any-return]
    raise node.refuse(f"a {type(node).__name__} cannot be computed")


def check_size(node: Node, shape: Shape) -> None:
    """Refuse a value that is too large to work with.

    Raises
    ------
    NetworkError
        With its shape.
    """
    if prod(shape) > _MAX_ENTRIES or prod(shape[:1]) > _MAX_CHANNELS:
        raise node.refuse(f"a value of shape {shape} is larger than symlump handles")
