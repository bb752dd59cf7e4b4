"""A small network on images: convolutions, a batch norm, a residual sum or a join, pooling, a dense layer."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn


class SmallImages(nn.Module):
    """Of one channel to two outputs; ``how`` says what becomes of the first convolution's result later."""

    def __init__(self, channels: int, phi: nn.Module, pool: nn.Module, how: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.phi, self.pool, self.how = phi, pool, how
        self.last = nn.Linear(4 * channels * (2 if how == "join" else 1), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to outputs."""
        h = self.phi(self.norm(self.first(x)))
        g = self.phi(self.second(h))
        if self.how == "add":
            g = g + h
        elif self.how == "join":
            g = torch.cat([g, h], dim=1)
        return cast(torch.Tensor, self.last(self.pool(g).flatten(1)))
