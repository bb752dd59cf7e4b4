"""The transformer of :mod:`symlump.bench.transformers.counting`, in plain torch."""

from __future__ import annotations

import torch
from torch import nn


class TransformerBlock(nn.Module):
    """Attention and a dense part, each after a normalization and beside a way around it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """On (samples, tokens, channels)."""
        h = self.before_attention(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.dense(self.before_dense(x))  # type: ignore[no-any-return]


class Counter(nn.Module):
    """From letters to classes, read from the last letter."""

    def __init__(
        self, letters: int, length: int, classes: int, width: int, heads: int, blocks: int
    ) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, width)
        self.places = nn.Parameter(0.1 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """On whole numbers (samples, tokens)."""
        h = self.blocks(self.letters(x) + self.places)
        return self.head(self.norm(h[:, -1]))  # type: ignore[no-any-return]
