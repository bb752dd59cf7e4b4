"""How long a compressed network takes, against one that was built small from the start.

Merged units must make a network as fast as its new shape allows: no copy, selection or sum of ours may stand in
between. Each network is compressed to half of its parameters; a module of the same class is built with the
numbers of units that are left, and the two are timed in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE


@dataclass(frozen=True)
class ForwardTime:
    """One network.

    Parameters
    ----------
    network : str
    kept : float
        The share of the parameters.
    ratio : float
        The median time of a forward pass of the compressed network, over that of a fresh one of its shape.
    of_original : float
        The same over that of the network before.
    """

    network: str
    kept: float
    ratio: float
    of_original: float


class ResidualNet(nn.Module):
    """Three convolutions at a time, with a sum around them."""

    def __init__(self, width: int, inside: list[tuple[int, int]], groups: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(width, a, 3, padding=1) for a, _ in inside)
        self.mix = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, groups=groups) for a, b in inside)
        self.up = nn.ModuleList(nn.Conv2d(b, width, 3, padding=1) for _, b in inside)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten numbers for each image."""
        x = torch.relu(self.stem(x))
        for down, mix, up in zip(self.down, self.mix, self.up, strict=True):
            x = torch.relu(x + up(torch.relu(mix(torch.relu(down(x))))))
        scores: torch.Tensor = self.head(x.mean((2, 3)))
        return scores


class TokenNet(nn.Module):
    """Two dense layers at a time on tokens, behind a normalization, with a sum around them."""

    def __init__(self, inside: list[int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(64) for _ in inside)
        self.up = nn.ModuleList(nn.Linear(64, n) for n in inside)
        self.down = nn.ModuleList(nn.Linear(n, 64) for n in inside)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten numbers for each sequence."""
        for norm, up, down in zip(self.norms, self.up, self.down, strict=True):
            x = x + down(nn.functional.gelu(up(norm(x))))
        scores: torch.Tensor = self.head(x.mean(1))
        return scores


def _dense(inside: list[int]) -> nn.Module:
    widths = [64, *inside]
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 10))


def _residual(groups: int) -> Callable[[Any], nn.Module]:
    return lambda small: ResidualNet(
        small.stem.out_channels,
        [
            (
                small.get_submodule(f"mix.{k}").in_channels,
                small.get_submodule(f"mix.{k}").out_channels,
            )
            for k in range(3)
        ],
        groups,
    )


@dataclass(frozen=True)
class _Case:
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    fresh: Callable[[Any], nn.Module]


def _cases(width: int) -> dict[str, _Case]:
    """By name: the network, the shape of its input, and what builds one of the shape of a compressed one."""
    image, inside = (4, 3, 16, 16), [(width, width)] * 3
    return {
        f"dense, 2 × {8 * width}": _Case(
            lambda: _dense([8 * width] * 2),
            (256, 64),
            lambda small: _dense(
                [m.out_features for m in small.modules() if isinstance(m, nn.Linear)][:-1]
            ),
        ),
        f"tokens, 3 blocks of 64–{4 * width}–64": _Case(
            lambda: TokenNet([4 * width] * 3),
            (8, 32, 64),
            lambda small: TokenNet([small.get_submodule(f"up.{k}").out_features for k in range(3)]),
        ),
        f"residual, width {width}": _Case(lambda: ResidualNet(width, inside), image, _residual(1)),
        f"residual, width {width}, 4 groups": _Case(
            lambda: ResidualNet(width, inside, 4), image, _residual(4)
        ),
    }


def measure(quick: bool = False, seed: int = 0) -> Iterator[ForwardTime]:
    """Compress each network to half of its parameters, and time it."""
    for name, case in _cases(8 if quick else 64).items():
        torch.manual_seed(seed)
        model, x = case.build().eval(), torch.randn(case.shape)
        result = compress(model, AFDE(retain=0.5), example=x)
        same = case.fresh(result.model).eval()
        if sum(p.numel() for p in same.parameters()) != result.retained_parameters:
            raise AssertionError(f"{name}: the fresh network has another shape")
        times = _times([result.model, same, model], x, 2 if quick else 60)
        yield ForwardTime(name, result.retained, times[0] / times[1], times[0] / times[2])


def _times(models: list[Any], x: torch.Tensor, rounds: int) -> list[float]:
    """The median time of a forward pass of each, in turns, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[list[float]] = [[] for _ in models]
    try:
        with torch.no_grad():
            for _ in range(rounds + 2):
                for model, times in zip(models, found, strict=True):
                    start = time.perf_counter()
                    model(x)
                    times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return [median(times[2:]) for times in found]
