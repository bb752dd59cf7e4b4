"""How long a compressed network takes, against one that was built small from the start.

Merged units must make a network as fast as its new shape allows: no copy, selection or sum of ours may stand in
between. Each network is compressed to half of its parameters; a module of the same class is built with the
numbers of units that are left, and the two are timed in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice, permutations
from statistics import median
from typing import Any

import torch
from torch import nn

from symlump.bench.train import one_thread
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


class RotaryNet(nn.Module):
    """Attention with rotary positions and two dense layers, each behind a normalisation, with a sum around it.

    Parameters
    ----------
    inside : list of pairs of int
        For each block, how many numbers the values of a head have, and the hidden layer.
    """

    def __init__(self, inside: list[tuple[int, int]], heads: int = 4, width: int = 64) -> None:
        super().__init__()
        self.heads, blocks = heads, range(len(inside))
        self.before = nn.ModuleList(nn.LayerNorm(width) for _ in blocks)
        self.q = nn.ModuleList(nn.Linear(width, width) for _ in blocks)
        self.k = nn.ModuleList(nn.Linear(width, width) for _ in blocks)
        self.v = nn.ModuleList(nn.Linear(width, heads * values) for values, _ in inside)
        self.o = nn.ModuleList(nn.Linear(heads * values, width) for values, _ in inside)
        self.between = nn.ModuleList(nn.LayerNorm(width) for _ in blocks)
        self.up = nn.ModuleList(nn.Linear(width, n) for _, n in inside)
        self.down = nn.ModuleList(nn.Linear(n, width) for _, n in inside)
        turns = 10_000.0 ** -torch.arange(0, 1, 2 * heads / width)
        angles = (torch.arange(32)[:, None] * turns).repeat(1, 2)
        self.cos: torch.Tensor
        self.sin: torch.Tensor
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def _turned(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, -1)
        turned: torch.Tensor = x * self.cos + torch.cat([-b, a], -1) * self.sin
        return turned

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A sequence for each sequence."""
        for k in range(len(self.q)):
            h = self.before[k](x)
            q, key, value = (
                part[k](h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for part in (self.q, self.k, self.v)
            )
            mixed = nn.functional.scaled_dot_product_attention(
                self._turned(q), self._turned(key), value
            )
            x = x + self.o[k](mixed.transpose(1, 2).flatten(2))
            x = x + self.down[k](nn.functional.gelu(self.up[k](self.between[k](x))))
        return x


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
        "rotary attention, 3 blocks of 64–256–64": _Case(
            lambda: RotaryNet([(16, 256)] * 3),
            (8, 32, 64),
            lambda small: RotaryNet(
                [
                    (
                        small.get_submodule(f"v.{k}").out_features // 4,
                        small.get_submodule(f"up.{k}").out_features,
                    )
                    for k in range(3)
                ]
            ),
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
        # The tables of rotary positions are buffers of the class, and constants of what was read.
        held = [p for name, p in result.model.named_parameters() if not name.endswith("constant")]
        if sum(p.numel() for p in same.parameters()) != sum(p.numel() for p in held):
            raise AssertionError(f"{name}: the fresh network has another shape")
        times = times_in_turns([result.model, same, model], (x,), 2 if quick else 120)
        yield ForwardTime(name, result.retained, times[0] / times[1], times[0] / times[2])


def times_in_turns(models: list[Any], x: tuple[torch.Tensor, ...], rounds: int) -> list[float]:
    """The median time of a forward pass of each, in turns, on one thread.

    What ran before leaves its numbers in the cache, and a small network after a large one takes longer than
    after another small one. So the turns go through all orders.
    """
    found: list[list[float]] = [[] for _ in models]
    orders = cycle(permutations(range(len(models))))
    with one_thread(), torch.no_grad():
        for model in models:
            model(*x)
        for order in islice(orders, rounds):
            for number in order:
                start = time.perf_counter()
                models[number](*x)
                found[number].append(time.perf_counter() - start)
    return [median(times) for times in found]
