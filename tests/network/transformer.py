"""A small vision transformer, and copies planted in it."""

import torch
from torch import nn
from torch.nn import functional


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        samples, tokens, width = x.shape
        parts = self.qkv(x).reshape(samples, tokens, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(samples, tokens, width))


class Gate(nn.Module):
    """SwiGLU, or GEGLU."""

    def __init__(self, width, inner, phi):
        super().__init__()
        self.up, self.gate, self.down = (
            nn.Linear(width, inner),
            nn.Linear(width, inner),
            nn.Linear(inner, width),
        )
        self.phi = phi

    def forward(self, x):
        return self.down(self.phi(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, width, heads, mlp):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = SelfAttention(width, heads), mlp

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Patches of 4 × 4, a class token, two blocks."""

    def __init__(self, width=16, heads=4, mlp=None):
        super().__init__()
        self.patch = nn.Conv2d(1, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width))
        mlp = mlp or (lambda: nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width)))
        self.blocks = nn.Sequential(*(Block(width, heads, mlp()) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.places
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def vit(seed=0, **options):
    torch.manual_seed(seed)
    return ViT(**options).double().eval()


def copied(layer, source, target):
    """Make some units of a layer copies of others."""
    with torch.no_grad():
        layer.weight[target] = layer.weight[source].clone()
        layer.bias[target] = layer.bias[source].clone()
