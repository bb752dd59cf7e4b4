"""Recurrent modules in which copies of units are hidden."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

#: Weights are multiples of this, so that split and added up they are exact in float32.
GRID = 2.0**-9
PREFIXES = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}


def on_grid(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Random weights on the grid."""
    with torch.no_grad():
        for p in module.parameters():
            drawn = torch.randint(-300, 301, p.shape, generator=generator)
            p.copy_(drawn * GRID)
    return module


def orders(sizes: list[int], units: int, generator: torch.Generator) -> torch.Tensor:
    """The unit that each of the larger module's units is a copy of, shuffled."""
    of = torch.repeat_interleave(torch.arange(units), torch.tensor(sizes))
    return of[torch.randperm(len(of), generator=generator)]


def split_columns(
    weight: torch.Tensor, of: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Columns handed out to copies so that they add up to the old ones."""
    drawn = torch.randint(-100, 101, (len(weight), len(of)), generator=generator) * GRID
    result = drawn.to(weight.dtype)
    for b in range(weight.shape[1]):
        members = torch.nonzero(of == b).ravel()
        rest = result[:, members[1:]].sum(dim=1)
        result[:, members[0]] = weight[:, b] - rest
    return result


def with_copies(
    small: Any, sizes: list[int], seed: int = 0
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A larger module of the same class that computes the same, and of each cell whose copies its units are."""
    generator = torch.Generator().manual_seed(seed)
    units, total = small.hidden_size, sum(sizes)
    options: dict[str, Any] = (
        {"bias": small.bias, "dtype": small.weight_ih.dtype}
        if hasattr(small, "weight_ih")
        else {
            "bias": small.bias,
            "num_layers": small.num_layers,
            "bidirectional": small.bidirectional,
            "batch_first": small.batch_first,
            "dtype": small.weight_ih_l0.dtype,
        }
    )
    if hasattr(small, "nonlinearity"):
        options["nonlinearity"] = small.nonlinearity
    large: Any = type(small)(small.input_size, total, **options)
    ends = [
        name.removeprefix("weight_ih")
        for name in dict(small.named_parameters())
        if "weight_ih" in name
    ]
    of = {end: orders(sizes, units, generator) for end in ends}
    with torch.no_grad():
        for end in ends:
            layer = int(end[2:].split("_")[0]) if end else 0
            for prefix in PREFIXES:
                old = getattr(small, f"{prefix}{end}", None)
                if old is None:
                    continue
                rows = old.reshape(-1, units, *old.shape[1:])[:, of[end]]
                rows = rows.reshape(-1, *old.shape[1:])
                if prefix == "weight_hh":
                    rows = split_columns(rows, of[end], generator)
                elif prefix == "weight_ih" and layer:
                    before = [e for e in ends if e.startswith(f"_l{layer - 1}")]
                    parts = rows.split(units, dim=1)
                    rows = torch.cat(
                        [
                            split_columns(part, of[e], generator)
                            for part, e in zip(parts, before, strict=True)
                        ],
                        dim=1,
                    )
                getattr(large, f"{prefix}{end}").copy_(rows)
    return large, of


class Tagger(nn.Module):
    """A recurrent module and a dense layer that reads its last output."""

    def __init__(self, rnn: Any, head: nn.Linear) -> None:
        super().__init__()
        self.rnn, self.drop, self.head = rnn, nn.Dropout(0.5), head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.rnn(x)
        scores: torch.Tensor = self.head(self.drop(out[:, -1]))
        return scores


def tagger_with_copies(small: Tagger, sizes: list[int], seed: int = 0) -> Tagger:
    """The same for a module with a dense layer behind."""
    rnn, of = with_copies(small.rnn, sizes, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    last = f"_l{small.rnn.num_layers - 1}"
    ends = [last, f"{last}_reverse"] if small.rnn.bidirectional else [last]
    parts = small.head.weight.detach().split(small.rnn.hidden_size, dim=1)
    columns = torch.cat(
        [split_columns(part, of[e], generator) for part, e in zip(parts, ends, strict=True)], dim=1
    )
    head = nn.Linear(columns.shape[1], len(columns), dtype=columns.dtype)
    with torch.no_grad():
        head.weight.copy_(columns)
        head.bias.copy_(small.head.bias)
    return Tagger(rnn, deepcopy(head))
