"""The forms in which a compressed network is stored, evaluated, and trained further."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

import numpy.typing as npt
import torch
from torch import nn

from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.compress import compress
from symlump.compression.compression import Compression
from symlump.compression.hierarchical.hlinear import HLinear, recompress_
from symlump.compression.hierarchical.method import Hierarchical
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.plan import share_of, smallest_tolerance

Reduce = Callable[[nn.Sequential, float, npt.ArrayLike], Compression]


@dataclass(frozen=True, eq=False)
class Compressed:
    """A compressed network and the form of it that is trained.

    Parameters
    ----------
    retained : float
        Stored numbers by those of the original; for quantized weights in words of 32 bits.
    model : torch.nn.Module
        In float64, with the stored numbers as parameters.
    dense : Network
        The same function with dense weights of the original's shapes.
    """

    retained: float
    model: nn.Module
    dense: Network


def compress_form(
    model: nn.Sequential, name: str, share: float, points: npt.ArrayLike
) -> Compressed:
    """Compress a float64 model by a method of :data:`METHODS` to a share of its storage.

    Weights count 32 bits each, so the model is rounded to float32 for the method.

    Parameters
    ----------
    model : torch.nn.Sequential
    name : str
    share : float
    points : array_like, shape (points, coordinates)
        Inputs, for methods that use some.

    Raises
    ------
    MethodError
        If there is no such method, or it does not reach the share.
    """
    if name not in METHODS:
        raise MethodError(f"there is no method {name!r}; choose from {', '.join(METHODS)}")
    single = copy.deepcopy(model).to(torch.float32)
    reduce_to, trained_form = METHODS[name]
    found = reduce_to(single, share, points)
    return Compressed(found.retained, trained_form(found), _dense(found))


def _plain(found: Compression) -> nn.Module:
    module: nn.Module = copy.deepcopy(found.model).to(torch.float64)
    return module


def _masked(found: Compression) -> nn.Module:
    """Zero weights stay zero: their gradients are erased."""
    module = _plain(found)
    for parameter in module.parameters():
        if parameter.ndim == 2:
            mask = (parameter.detach() != 0).to(parameter.dtype)
            parameter.register_hook(mask.mul)  # type: ignore[no-untyped-call]
    return module


class GridLinear(nn.Module):
    """y = (s·K)·x + b with fixed integers K; the steps s, one a row, and the biases are trained.

    Parameters
    ----------
    linear : torch.nn.Linear
        With weights on a grid of ``bits`` bits a row, as :class:`symlump.Quantize` leaves them.
    bits : int
    """

    integers: torch.Tensor

    def __init__(self, linear: nn.Linear, bits: int) -> None:
        super().__init__()
        weight = linear.weight.detach()
        largest = weight.abs().amax(dim=1, keepdim=True)
        steps = torch.where(largest > 0, largest, torch.ones_like(largest)) / (2 ** (bits - 1) - 1)
        self.register_buffer("integers", torch.round(weight / steps))
        self.steps = nn.Parameter(steps)
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to the last axis."""
        return nn.functional.linear(x, self.steps * self.integers, self.bias)


def _on_grid(found: Compression) -> nn.Module:
    module = _plain(found)
    bits = found.method.bits if isinstance(found.method, Quantize) else None
    assert bits is not None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, GridLinear(child, bits))
    return module


def _quantize(model: nn.Sequential, share: float, points: npt.ArrayLike) -> Compression:
    """The most bits that fit."""
    for bits in range(16, 1, -1):
        found = compress(model, Quantize(bits))
        if found.retained <= share:
            return found
    raise MethodError(f"2 bits a weight are more than {share:.0%} of the storage")


def _dense(found: Compression) -> Network:
    """The reduced network with one layer for each of the original's."""
    network, places = found.network, found.reduction.places
    chain = network.dense_chain("this comparison")
    if places is None:
        return network
    layers, start = [], 0
    for place in places:
        factors = [layer.weight for layer in chain.layers[start : place + 1]]
        weight = reduce(lambda product, factor: factor @ product, factors)
        layers.append(replace(chain.layers[place], weight=weight))
        start = place + 1
    return network.with_chain(replace(chain, layers=tuple(layers)))


def recompress_to(model: nn.Module, parameters: int, share: float) -> None:
    """Recompress the hierarchical layers, all within the least tolerance that reaches a share.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place; its parameters are new ones.
    parameters : int
        Of the original.
    share : float
    """
    layers = [module for module in model.modules() if isinstance(module, HLinear)]
    matrices = [layer.to_hmatrix() for layer in layers]
    others = sum(p.numel() for p in model.parameters()) - sum(layer.storage for layer in layers)

    def size(tol: float) -> int:
        return others + sum(
            min(matrix.storage, matrix.recompress(tol).storage) for matrix in matrices
        )

    recompress_(model, smallest_tolerance(size, share_of(parameters, share)))


#: For each method what compresses to a share, and what makes the form that is trained.
METHODS: dict[str, tuple[Reduce, Callable[[Compression], nn.Module]]] = {
    "hierarchical": (lambda m, share, x: compress(m, Hierarchical(retain=share)), _plain),
    "hierarchical, reordered": (
        lambda m, share, x: compress(m, Hierarchical(retain=share, order="similarity")),
        _plain,
    ),
    "hierarchical, on the points": (
        lambda m, share, x: compress(m, Hierarchical(retain=share, inputs=x)),
        _plain,
    ),
    "truncated SVD": (lambda m, share, x: compress(m, TruncatedSVD(retain=share)), _plain),
    "magnitude pruning": (lambda m, share, x: compress(m, Magnitude(share)), _masked),
    "quantized": (_quantize, _on_grid),
}
