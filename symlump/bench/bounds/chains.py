"""Bounds of very many networks, attacked: samples, corners and gradients, and the worst point exactly.

Each model is random or trained, of one activation, and is compressed and bounded in float64, float32 and
bfloat16. Points are sought in float64; the difference of both networks at the worst one is then enclosed by
intervals of 128 bits, from the weights that the returned model holds, so a violation would be certain. What
torch computes in the dtype at the same points is held against ``bound.computed``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.enclosures.functions import interval_functions
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from symlump.compression.compression import Compression
    from symlump.network.network import Network

ACTIVATIONS = (
    "tanh", "sigmoid", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "sin", "gaussian", "relu6",
    "polynomial:0,1,0.25",
)  # fmt: skip
DTYPES = ("float64", "float32", "bfloat16")


@dataclass
class Attack:
    """What was tried.

    Parameters
    ----------
    bounds : int
        How many bounds were attacked.
    violations : list of str
        Where the exact difference of two networks is above its bound.
    computed : list of str
        Where the computed difference is above the bound of computed differences.
    ratios : list of float
        Bound by the largest difference found, where that is not 0.
    refused : Counter
        Why a model was not compressed or bounded.
    """

    bounds: int = 0
    violations: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def attack(
    models: int,
    seed: int = 0,
    samples: int = 1000,
    climb: int = 15,
    progress: Callable[[int], None] | None = None,
) -> Attack:
    """Bound so many models in every dtype, and look for inputs beyond the bound.

    Examples
    --------
    >>> found = attack(2, samples=100, climb=3)
    >>> found.bounds, found.violations, found.computed
    (6, [], [])
    """
    import torch

    from symlump.compression.compress import compress
    from symlump.errors import SymlumpError

    found = Attack()
    for number in range(models):
        name = ACTIVATIONS[number % len(ACTIVATIONS)]
        rng = np.random.default_rng([seed, number])
        plain = _model(rng, name, trained=number % 4 == 0)
        method = _methods()[int(rng.integers(len(_methods())))]
        for dtype in DTYPES:
            model = plain.to(getattr(torch, dtype))
            half = float(rng.choice([0.1, 1.0, 2.0]))
            label = f"model {number}, {name}, {dtype}, {method}, box ±{half}"
            try:
                small = compress(model, method)
                bound = small.bound((-half, half), splits=int(rng.integers(0, 4)))
            except SymlumpError as error:
                found.refused[f"{type(error).__name__}: {str(error)[:60]}"] += 1
                continue
            found.bounds += 1
            held = small.reduction.held_by(small.model)
            worst, at = _worst(rng, small.original, held, half, samples, climb)
            for output, x in enumerate(at):
                low, high = _enclosed_difference(small.original, held, x, output)
                limit = bound.values[output]
                if max(low, -high) > limit:
                    found.violations.append(f"{label}: {max(low, -high):.6g} > {limit:.6g}")
                if max(abs(low), abs(high)) > 0:
                    found.ratios.append(float(limit / max(abs(low), abs(high))))
            if (_computed(small, model, at, dtype) > bound.computed).any():
                found.computed.append(label)
        if progress is not None:
            progress(number + 1)
    return found


def _methods() -> list[Any]:
    from symlump.compression.baselines.magnitude import Magnitude
    from symlump.compression.baselines.quantize import Quantize
    from symlump.compression.baselines.svd import TruncatedSVD
    from symlump.compression.merging.afde import AFDE
    from symlump.compression.symmetries.symmetric import Symmetric

    return [
        AFDE(eps=0), AFDE(retain=0.7), AFDE(eps=0.3, refit=False), Symmetric(), Magnitude(0.6),
        Quantize(bits=6), TruncatedSVD(rank=2),
    ]  # fmt: skip


def _model(rng: np.random.Generator, name: str, trained: bool) -> nn.Module:
    """A network in which some units are copies of others, in float64."""
    import torch
    from torch import nn

    from symlump.network.activations.table import activation
    from symlump.network.activations.torch_modules import activation_module

    inputs, outputs = (int(n) for n in rng.integers(1, 4, 2))
    widths = [inputs, *(int(n) for n in rng.integers(3, 9, int(rng.integers(1, 3)))), outputs]
    modules: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for before, after in zip(widths, widths[1:], strict=False):
            modules += [nn.Linear(before, after).double(), activation_module(activation(name))]
        model = nn.Sequential(*modules[:-1])
        scale = float(rng.choice([0.5, 1.0, 3.0]))
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(
                    torch.from_numpy(rng.normal(size=tuple(p.shape)) * scale / p.shape[-1] ** 0.5)
                )
        if trained:
            x = torch.from_numpy(rng.uniform(-1, 1, (128, inputs)))
            y = torch.sin(2 * x.sum(dim=1, keepdim=True)).repeat(1, outputs)
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
            for _ in range(60):
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x), y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    weight, bias = list(model.parameters())[:2]
    with torch.no_grad():
        weight[1], bias[1] = weight[0], bias[0]
    return model


def _worst(
    rng: np.random.Generator, f: Network, g: Network, half: float, samples: int, climb: int
) -> tuple[FloatArray, FloatArray]:
    """For each output the largest \\|f − g\\| found in float64, and where."""
    import torch

    from symlump.network.torch_io import to_torch

    count = f.inputs[0].size[0]
    corners = np.array(list(product((-half, half), repeat=count)))
    x = np.concatenate([rng.uniform(-half, half, (samples, count)), corners])
    one, two = (to_torch(net).double() for net in (f, g))
    gap = np.abs(f(x) - g(x))
    worst, at = gap.max(axis=0), x[gap.argmax(axis=0)]
    for output in range(gap.shape[1]):
        points = torch.from_numpy(x[np.argsort(-gap[:, output])[:4]])
        for step in range(climb):
            points.requires_grad_(True)
            far = (one(points) - two(points))[:, output].abs()
            best = int(far.detach().argmax())
            if float(far[best].detach()) > worst[output]:
                worst[output] = float(far[best].detach())
                at[output] = points[best].detach().numpy()
            (slope,) = torch.autograd.grad(far.sum(), points)
            points = (points + slope.sign() * (2 * half / (step + 3))).clamp(-half, half).detach()
    return worst, at


def _enclosed_difference(f: Network, g: Network, x: FloatArray, output: int) -> tuple[float, float]:
    """Floats around one output of f(x) − g(x), by intervals of 128 bits."""
    m = interval_functions("mpmath")
    with m.working():
        return m.bounds(_enclosed(f, x)[output] - _enclosed(g, x)[output])


def _enclosed(network: Network, x: FloatArray) -> list[Any]:
    m = interval_functions("mpmath")

    def number(value: float) -> Any:
        return m.interval(float(value), float(value))

    chain = network.chain
    assert chain is not None
    h = [number(value) for value in x]
    for layer in chain.layers:
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        z = [
            sum((number(w) * v for w, v in zip(row, h, strict=True)), number(b))
            for row, b in zip(layer.weight, bias, strict=True)
        ]
        h = [layer.activation.formula(m, value) for value in z]
        if layer.groups is not None:
            sums = [number(0.0)] * layer.outputs
            for unit, group in enumerate(layer.groups.tolist()):
                sums[group] = sums[group] + h[unit]
            h = sums
    return h


def _computed(small: Compression, model: nn.Module, at: FloatArray, dtype: str) -> FloatArray:
    """What torch makes of the difference in the dtype, output by output, at points rounded to it."""
    import torch

    from symlump.network.precision import PRECISIONS

    x = torch.from_numpy(PRECISIONS[dtype].nearest(at, "inputs")).to(getattr(torch, dtype))
    with torch.no_grad():
        far = (model(x).double() - small.model(x).double()).abs().numpy()
    return np.asarray(far.max(axis=0))
