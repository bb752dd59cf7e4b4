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
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.compress import compress
from symlump.compression.compression import Compression
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.hlinear import HLinear, recompress_
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.compression.relaxed.explain_reduction import explain_reduction
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.precision import PRECISIONS
from symlump.network.saved.codings import Grid, find_grid
from symlump.plan import share_of, smallest_tolerance

Reduce = Callable[[nn.Module, float, npt.ArrayLike], tuple[Compression, ...]]


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

    Weights count 32 bits each, so the model is rounded to float32 for the method. What is trained further are
    the numbers that are stored: zeros stay zero, and of rounded weights only the steps of their grids change.

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
    stages = METHODS[name](single, share, points)
    retained = 1.0
    for stage in stages:
        retained *= stage.retained
    return Compressed(retained, _trained_form(stages[-1]), _dense(stages))


def _trained_form(found: Compression) -> nn.Module:
    """The model in float64, with what is stored as parameters."""
    module: nn.Module = copy.deepcopy(found.model).to(torch.float64)
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            grid = find_grid(child.weight.detach().numpy(), PRECISIONS["float32"])
            if grid is None:
                mask = (child.weight.detach() != 0).to(child.weight.dtype)
                child.weight.register_hook(mask.mul)  # type: ignore[no-untyped-call]
            else:
                setattr(module, name, GridLinear(grid, child.bias))
    return module


class GridLinear(nn.Module):
    """y = (s·K)·x + b with fixed integers K; the steps s and the biases are trained.

    Parameters
    ----------
    grid : Grid
        Of the weight.
    bias : torch.Tensor
    """

    integers: torch.Tensor

    def __init__(self, grid: Grid, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("integers", torch.tensor(grid.codes, dtype=torch.float64))
        self.steps = nn.Parameter(torch.tensor(grid.steps, dtype=torch.float64))
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to the last axis."""
        return nn.functional.linear(x, self.steps * self.integers, self.bias)


def _most_bits(model: nn.Module, share: float) -> Compression:
    """Rounded to the most bits that fit."""
    for bits in range(16, 1, -1):
        found = compress(model, Quantize(bits))
        if found.retained <= share:
            return found
    raise MethodError(f"2 bits a weight are more than {share:.0%} of the storage")


def _dense(stages: tuple[Compression, ...]) -> Network:
    """The reduced network with weights of the original's shapes, and the same function.

    Products of factors are multiplied out. Of merged or removed units it is the network nearest to the original
    whose exact quotient the reduced one is.
    """
    first, last = stages[0], stages[-1]
    network, places = last.network, last.reduction.places
    if places is not None:
        chain = network.dense_chain("this comparison")
        layers, start = [], 0
        for place in places:
            factors = [layer.weight for layer in chain.layers[start : place + 1]]
            weight = reduce(lambda product, factor: factor @ product, factors)
            layers.append(replace(chain.layers[place], weight=weight))
            start = place + 1
        network = network.with_chain(replace(chain, layers=tuple(layers)))
    shapes = [layer.weight.shape for layer in network.layers]
    if shapes == [layer.weight.shape for layer in first.original.layers]:
        return network
    return explain_reduction(first.original, network).reference


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


def _only(make: Callable[[float, npt.ArrayLike], CompressionMethod]) -> Reduce:
    return lambda model, share, points: (compress(model, make(share, points)),)


def _then_rounded(make: Callable[[float, npt.ArrayLike], CompressionMethod]) -> Reduce:
    """Each of the two keeps the square root of the share."""

    def reduce_to(model: nn.Module, share: float, points: npt.ArrayLike) -> tuple[Compression, ...]:
        merged = compress(model, make(share**0.5, points))
        return merged, _most_bits(merged.model, share / merged.retained)

    return reduce_to


#: What compresses to a share, by name: the stages, of which the last is the result.
METHODS: dict[str, Reduce] = {
    "hierarchical": _only(lambda share, x: Hierarchical(retain=share)),
    "hierarchical, reordered": _only(lambda s, x: Hierarchical(retain=s, order="similarity")),
    "hierarchical, on the points": _only(lambda share, x: Hierarchical(retain=share, inputs=x)),
    "truncated SVD": _only(lambda share, x: TruncatedSVD(retain=share)),
    "AFDE": _only(lambda share, x: AFDE(retain=share, inputs=x)),
    "dependence": _only(lambda share, x: Dependence(retain=share, inputs=x)),
    "magnitude pruning": _only(lambda share, x: Magnitude(share)),
    "magnitude, refit": _only(lambda share, x: Magnitude(share, refit=True, inputs=x)),
    "Wanda, refit": _only(lambda share, x: Wanda(share, x, refit=True)),
    "second order": _only(lambda share, x: SecondOrder(share, x)),
    "quantized": lambda model, share, x: (_most_bits(model, share),),
    "AFDE, then quantized": _then_rounded(lambda share, x: AFDE(retain=share, inputs=x)),
    "dependence, then quantized": _then_rounded(
        lambda share, x: Dependence(retain=share, inputs=x)
    ),
    "combined": _only(lambda share, x: Combined(retain=share, inputs=x)),
    "combined, bytes": _only(lambda share, x: Combined(retain=share, inputs=x, count="bytes")),
}
