"""Bounds of small convolutional and residual networks, attacked by samples, corners and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.bounds.chains import Attack

if TYPE_CHECKING:
    from torch import nn

_SIDE = 4


def small_model(rng: np.random.Generator) -> nn.Module:
    """A random network on images of 4 × 4: two convolutions, a batch norm, a residual sum or a join, pooling.

    Some channels nearly are copies of others.

    Examples
    --------
    >>> import torch
    >>> small_model(np.random.default_rng(0))(torch.zeros(3, 1, 4, 4, dtype=torch.float64)).shape
    torch.Size([3, 2])
    """
    import torch
    from torch import nn

    from symlump.bench.bounds.images import SmallImages

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        phi = [nn.ReLU(), nn.Tanh(), nn.SiLU()][int(rng.integers(3))]
        pool = [nn.MaxPool2d(2), nn.AvgPool2d(2)][int(rng.integers(2))]
        model = SmallImages(
            int(rng.integers(3, 6)), phi, pool, ["add", "join", "none"][int(rng.integers(3))]
        )
        model = model.double().eval()
        with torch.no_grad():
            mean, variance = model.norm.running_mean, model.norm.running_var
            assert mean is not None and variance is not None
            mean.normal_().mul_(0.1)
            variance.uniform_(0.5, 2.0)
            for conv in (model.first, model.second):
                assert conv.bias is not None
                conv.weight[1] = conv.weight[0] * float(rng.choice([1.0, 1.05]))
                conv.bias[1] = conv.bias[0]
            mean[1], variance[1] = mean[0], variance[0]
    return model


def attack(
    models: int,
    seed: int = 0,
    samples: int = 100_000,
    climb: int = 20,
    progress: Callable[[int], None] | None = None,
) -> Attack:
    """Compress and bound so many, and look for inputs beyond the bound.

    What float64 itself may be off by at most is taken from the differences that are seen.
    """
    import torch

    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE
    from symlump.compression.reduction import CompressionMethod
    from symlump.compression.symmetries.symmetric import Symmetric
    from symlump.enclosures.boxes import as_box
    from symlump.errors import SymlumpError
    from symlump.network.bounds.evaluation import evaluation_error

    found = Attack()
    methods: list[CompressionMethod] = [AFDE(eps=0), AFDE(eps=0.3), AFDE(retain=0.7), Symmetric()]
    size = _SIDE * _SIDE
    for number in range(models):
        rng = np.random.default_rng([seed, number])
        dtype = ("float64", "float32")[number % 2]
        model, method = small_model(rng).to(getattr(torch, dtype)), methods[int(rng.integers(4))]
        half = float(rng.choice([0.05, 0.5, 1.0]))
        example = torch.zeros(1, 1, _SIDE, _SIDE, dtype=getattr(torch, dtype))
        try:
            small = compress(model, method, example=example)
            bound = small.bound((-half, half), splits=0)
        except SymlumpError as error:
            found.refused[f"{type(error).__name__}: {str(error)[:80]}"] += 1
            continue
        found.bounds += 1
        one, two = model.double(), small.model.double()
        box = as_box((-half, half), size)
        noise = evaluation_error(small.original, box) + evaluation_error(small.network, box)
        worst = np.zeros(bound.values.size)
        for start in range(0, samples, 20_000):
            x = rng.uniform(-half, half, (min(20_000, samples - start), size))
            if not start:
                x = np.concatenate([x, half * rng.choice([-1.0, 1.0], (1000, size))])
            points = torch.from_numpy(x.reshape(-1, 1, _SIDE, _SIDE))
            with torch.no_grad():
                gap = (one(points) - two(points)).abs()
            worst = np.maximum(worst, gap.max(dim=0).values.numpy())
            for output in range(worst.size):
                at = points[gap[:, output].argsort(descending=True)[:8]]
                for step in range(climb if not start else 0):
                    at.requires_grad_(True)
                    far = (one(at) - two(at))[:, output].abs()
                    worst[output] = max(worst[output], float(far.detach().max()))
                    (slope,) = torch.autograd.grad(far.sum(), at)
                    at = (at + slope.sign() * (2 * half / (step + 3))).clamp(-half, half).detach()
        for output, (seen, limit) in enumerate(zip(worst - noise, bound.values, strict=True)):
            if seen > limit:
                found.violations.append(
                    f"model {number}, {dtype}, {method}, box ±{half}, output {output}: {seen:.6g} > {limit:.6g}"
                )
            if seen > 0:
                found.ratios.append(float(limit / seen))
        if progress is not None:
            progress(number + 1)
    return found
