"""Merging of channels against structured pruning, on networks with convolutions, without retraining."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from symlump.bench.anneal import digits
from symlump.bench.convolutions.models import (
    MODELS,
    Images,
    accuracy,
    images_of,
    reestimate,
    train,
)
from symlump.bench.structured import CRITERIA, is_installed, parameters, prune, smallest_ratio
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE

#: Images of the training data that methods with data may see.
CALIBRATION = 512


@dataclass(frozen=True)
class ChannelRow:
    """One method at one size of one network.

    Parameters
    ----------
    network : str
    seed : int
    retain : float
        The share of parameters that was asked for.
    method : str
    data : str
        What the method sees: "none", "images" (without classes), or "images and classes".
    retained : float
        The share of parameters that remains, counted in the torch module.
    accuracy, original : float
        On the test images, of the reduced network and of the original.
    """

    network: str
    seed: int
    retain: float
    method: str
    data: str
    retained: float
    accuracy: float
    original: float


def measure(
    names: Sequence[str] = tuple(MODELS),
    seeds: Sequence[int] = (0,),
    retain: Sequence[float] = (0.5, 0.3),
    epochs: int = 15,
) -> Iterator[ChannelRow]:
    """Train each network and reduce it by every method; rows as they are ready.

    A pruner that is not installed is left out: it is nothing that symlump needs.
    """
    for seed in seeds:
        training, test = map(images_of, digits(seed))
        for name in names:
            model = train(name, training, seed, epochs)
            before = accuracy(model, test)
            for share in retain:
                for method, data, reduce in _methods(training):
                    small = reduce(copy.deepcopy(model), share)
                    kept = parameters(small) / parameters(model)
                    yield ChannelRow(
                        name, seed, share, method, data, kept, accuracy(small, test), before
                    )


_Reduce = Callable[[nn.Module, float], nn.Module]


def _methods(training: Images) -> Iterator[tuple[str, str, _Reduce]]:
    x = training[0][:CALIBRATION]
    for seen, inputs in (("none", None), ("images", x)):
        yield "AFDE", seen, _merger(inputs, x[:2])
    if not is_installed():
        return
    y = training[1][:CALIBRATION]
    for criterion in CRITERIA:
        for data in (False, True):
            seen = "images and classes" if criterion == "Taylor" else "images" if data else "none"
            yield (
                f"Torch-Pruning, {criterion}" + (", statistics re-estimated" if data else ""),
                seen,
                _pruner(criterion, x, y, data),
            )


def _merger(inputs: torch.Tensor | None, example: torch.Tensor) -> _Reduce:
    return lambda model, share: (
        compress(model, AFDE(retain=share, inputs=inputs), example=example).model
    )


def _pruner(criterion: str, x: torch.Tensor, y: torch.Tensor, data: bool) -> _Reduce:
    def reduce(model: nn.Module, share: float) -> nn.Module:
        def pruned(ratio: float) -> nn.Module:
            return prune(model, ratio, x, criterion, y)

        small = pruned(smallest_ratio(pruned, share * parameters(model)))
        return reestimate(small, x) if data else small

    return reduce
