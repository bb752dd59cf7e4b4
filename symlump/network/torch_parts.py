"""What written modules are made of beside torch's own: sums over groups, scales, calls carried along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.network.nodes import Pool
from symlump.ode.exact import FloatArray, IntArray


def array_of(tensor: torch.Tensor) -> FloatArray:
    """A tensor's numbers in float64: a copy, which does not change with the tensor.

    Examples
    --------
    >>> held = torch.ones(2, dtype=torch.float64)
    >>> array = array_of(held)
    >>> held.add_(1).tolist(), array.tolist()
    ([2.0, 2.0], [1.0, 1.0])
    """
    return np.array(tensor.detach().cpu().to(torch.float64).numpy())


def identity_of(tensor: torch.Tensor) -> tuple[object, ...]:
    """What two tensors that hold the same memory in the same way have in common."""
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def computes_as_its_class(module: nn.Module) -> bool:
    """Whether a module has neither hooks around its forward pass nor one that was set on it alone.

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.register_forward_hook(lambda module, given, result: 3 * result)
    >>> computes_as_its_class(nn.Linear(2, 2)), computes_as_its_class(layer)
    (True, False)
    """
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    return not any(hooks) and "forward" not in vars(module)


def agree(found: torch.Tensor, wanted: torch.Tensor, dtype: str) -> bool:
    """Whether two results are one but for rounding in a network's dtype, relative to the largest number.

    Whole numbers and truth values are compared as real ones.

    Examples
    --------
    >>> agree(torch.tensor([1.0, 100.0]), torch.tensor([1.05, 100.0]), "float32")
    True
    >>> [agree(torch.ones(1), wanted, "float32") for wanted in (torch.tensor([1.05]), torch.ones(2))]
    [False, False]
    """
    slack = {"float64": 1e-8, "float32": 1e-3}.get(dtype, 0.05)
    a, b = (
        c.cpu() if c.is_floating_point() or c.is_complex() else c.cpu().to(getattr(torch, dtype))
        for c in (found, wanted)
    )
    size = float(b.abs().nan_to_num().max()) if b.numel() else 0.0
    return a.shape == b.shape and torch.allclose(a, b, slack, slack * size, equal_nan=True)


@dataclass(frozen=True)
class Slot:
    """Stands in a :class:`TorchCall` for the value of an input (its number), or for its count of samples."""

    number: int
    samples: bool = False


@dataclass(frozen=True)
class Held:
    """Stands in a :class:`TorchCall` for a tensor that the model holds, by name."""

    name: str


@dataclass(frozen=True, eq=False)
class TorchCall:
    """A call of a torch function, carried along in an untouched node.

    ``arguments`` and ``keywords`` hold plain values, :class:`Slot` and :class:`Held`.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    held: dict[str, torch.Tensor]

    def __call__(self, *given: torch.Tensor) -> Any:
        """The value, in double precision."""

        def chosen(slot: Slot) -> Any:
            value = given[slot.number]
            return value.shape[0] if slot.samples else value

        def held(name: str) -> torch.Tensor:
            tensor = self.held[name]
            return tensor.double() if tensor.is_floating_point() else tensor

        arguments, keywords = self.filled(chosen, held)
        return self.function(*arguments, **keywords)

    def filled(
        self, chosen: Callable[[Slot], Any], held: Callable[[str], Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments and keywords, with what stands for each :class:`Slot` and :class:`Held`."""

        def of(value: Any) -> Any:
            if isinstance(value, Slot):
                return chosen(value)
            if isinstance(value, Held):
                return held(value.name)
            if isinstance(value, list | tuple):
                return type(value)(of(part) for part in value)
            return value

        return of(self.arguments), {name: of(value) for name, value in self.keywords.items()}


class BlockSum(nn.Module):
    """Sums over groups of units: output g is Σ of the inputs i with ``groups[i] == g``.

    Parameters
    ----------
    groups : sequence or ndarray of int, shape (units,)
        The output that each unit is added to, counted from 0.
    axis : int
        The axis of the units.

    Examples
    --------
    >>> BlockSum([0, 1, 0])(torch.tensor([[1.0, 2.0, 4.0]])).tolist()
    [[5.0, 2.0]]
    """

    groups: torch.Tensor

    def __init__(self, groups: Sequence[int] | IntArray, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("groups", torch.as_tensor(np.asarray(groups), dtype=torch.int64))
        self.count = int(self.groups.max()) + 1

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Sum along the axis, by default the last.

        Parameters
        ----------
        h : Tensor
            With the units along the axis.

        Returns
        -------
        Tensor
            The same shape, with the groups along the axis.

        Examples
        --------
        >>> BlockSum([0, 0], axis=1)(torch.ones(2, 2, 3)).tolist()
        [[[2.0, 2.0, 2.0]], [[2.0, 2.0, 2.0]]]
        """
        shape = list(h.shape)
        shape[self.axis] = self.count
        return h.new_zeros(shape).index_add(self.axis, self.groups, h)

    def extra_repr(self) -> str:
        """Sizes of the module, which torch prints with it.

        Returns
        -------
        str

        Examples
        --------
        >>> BlockSum([0, 1, 0])
        BlockSum(3 → 2)
        """
        return f"{self.groups.numel()} → {self.count}"


class Scale(nn.Module):
    """One factor and one constant per channel, on a value with so many axes behind that of the channels.

    Examples
    --------
    >>> Scale(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]))(torch.ones(1, 2)).tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, behind: int = 0) -> None:
        super().__init__()
        self.spread = (-1, *(1,) * behind)
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Along the axis of the channels."""
        y = x * self.weight.reshape(self.spread)
        return y if self.bias is None else y + self.bias.reshape(self.spread)

    def extra_repr(self) -> str:
        """Sizes of the module, which torch prints with it."""
        return f"{self.weight.numel()}"


def pool_module(node: Pool) -> nn.Module:
    """The module of torch for means or maxima over windows."""
    rank = len(node.size)
    if node.adaptive:
        kind = "AdaptiveAvgPool" if node.operation == "average" else "AdaptiveMaxPool"
        module: nn.Module = getattr(nn, f"{kind}{rank}d")(node.size)
        return module
    if node.operation == "maximum":
        maximum: nn.Module = getattr(nn, f"MaxPool{rank}d")(
            node.size, node.stride, node.padding, node.dilation, ceil_mode=node.ceiling
        )
        return maximum
    average: nn.Module = getattr(nn, f"AvgPool{rank}d")(
        node.size, node.stride, node.padding, node.ceiling, node.count_padding
    )
    return average
