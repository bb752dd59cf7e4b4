"""Merging of channels against structured pruning, on networks with convolutions, without retraining."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from symlump.bench.train import one_thread
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.combined import Combined
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.errors import MethodError
from symlump.jobs import Job, run_jobs

#: Images of the training data that methods with data may see.
CALIBRATION = 512
SHARES = (0.5, 0.3)
#: What tells runs apart, besides seed and share.
KEYS = ("dataset",)


def measure(
    cache: Path,
    names: Sequence[str] = tuple(MODELS),
    seeds: int = 1,
    shares: Sequence[float] = SHARES,
    epochs: int = 15,
    methods: Sequence[str] | None = None,
    step: Callable[[int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Train each network and reduce it by every method; what is in ``cache`` is not computed again.

    A pruner that is not installed is left out: it is nothing that symlump needs.

    Parameters
    ----------
    cache : Path
    names : sequence of str
        Of :data:`symlump.bench.convolutions.models.MODELS`.
    seeds : int
        0, …, seeds − 1, each of the weights and of what is tested on.
    shares : sequence of float
        Of the parameters.
    epochs : int
        Of the training.
    methods : sequence of str, optional
        Only these; by default all that can be measured here.
    step : callable, optional
        Called with how many networks are done, and a remark.

    Returns
    -------
    list of dict
        With ``dataset`` (the network), ``seed``, ``share``, ``method``, ``retained``; ``mse`` and ``mse_base``,
        per cent of the test images that are wrong. Methods with "images" in their name see 512 images of the
        training, those with "classes" their classes, too.

    Raises
    ------
    MethodError
        If a method is not known here.
    """
    known = tuple(_methods(_NONE))
    for name in methods or ():
        if name not in known:
            raise MethodError(f"there is no method {name!r} here; choose from {', '.join(known)}")
    jobs = [
        Job(
            _network_rows,
            {
                "network": name,
                "seed": seed,
                "shares": list(shares),
                "epochs": epochs,
                "methods": list(known if methods is None else methods),
            },
        )
        for seed in range(seeds)
        for name in names
    ]
    return [row for rows in run_jobs(jobs, cache, step=step) for row in rows]


#: From a model and a share to a smaller model, and the share that is left of its parameters.
_Reduce = Callable[[nn.Module, float], tuple[nn.Module, float]]
_NONE = torch.empty(0), torch.empty(0)


@one_thread()
def _network_rows(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one network and seed."""
    name, seed = description["network"], description["seed"]
    training, test = map(images_of, digits(seed))
    model = train(name, training, seed, description["epochs"])
    before = accuracy(model, test)
    rows = []
    for share in description["shares"]:
        for method, reduce in _methods(training).items():
            if method not in description["methods"]:
                continue
            small, kept = reduce(copy.deepcopy(model), share)
            rows.append(
                {
                    "dataset": name,
                    "seed": seed,
                    "share": share,
                    "method": method,
                    "retained": kept,
                    "mse": 100 * (1 - accuracy(small, test)),
                    "mse_base": 100 * (1 - before),
                }
            )
    return rows


def _methods(training: Images) -> Mapping[str, _Reduce]:
    x, y = (part[:CALIBRATION] for part in training)
    found: dict[str, _Reduce] = {
        "AFDE": _method(lambda share: AFDE(retain=share), x),
        "AFDE, images": _method(lambda share: AFDE(retain=share, inputs=x), x),
        "magnitude, refit, images": _method(lambda s: Magnitude(s, refit=True, inputs=x), x),
        "combined, images": _method(lambda share: Combined(retain=share, inputs=x), x),
    }
    if is_installed():
        for criterion in CRITERIA:
            classes = ", images and classes" if criterion == "Taylor" else ""
            name = f"Torch-Pruning, {criterion}"
            found[name + classes] = _pruner(criterion, x, y, data=False)
            found[f"{name}{classes or ', images'}, re-estimated"] = _pruner(
                criterion, x, y, data=True
            )
    return found


def _method(make: Callable[[float], CompressionMethod], x: torch.Tensor) -> _Reduce:
    def reduce(model: nn.Module, share: float) -> tuple[nn.Module, float]:
        result = compress(model, make(share), example=x[:2])
        return result.model, result.retained

    return reduce


def _pruner(criterion: str, x: torch.Tensor, y: torch.Tensor, data: bool) -> _Reduce:
    def reduce(model: nn.Module, share: float) -> tuple[nn.Module, float]:
        def pruned(ratio: float) -> nn.Module:
            return prune(model, ratio, x, criterion, y)

        whole = parameters(model)
        small = pruned(smallest_ratio(pruned, share * whole))
        return reestimate(small, x) if data else small, parameters(small) / whole

    return reduce
