"""Models that use one module several times."""

import numpy as np
import torch
from torch import nn


class Repeated(nn.Module):
    """A dense layer, one module used three times, a dense layer."""

    def __init__(self, width, phi=torch.tanh, inputs=3):
        super().__init__()
        self.phi = phi
        self.first = nn.Linear(inputs, width)
        self.again = nn.Linear(width, width)
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        h = self.phi(self.first(x))
        for _ in range(3):
            h = self.phi(self.again(h))
        return self.last(h)


class RepeatedConvolutions(nn.Module):
    """A residual step taken three times: one convolution, with one normalisation or several."""

    def __init__(self, width, norms=1):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.again = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(norms))
        for norm in self.norms:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        h = torch.relu(self.first(x))
        for step in range(3):
            norm = self.norms[step % len(self.norms)]
            h = h + torch.relu(norm(self.again(h)))
        return self.last(h.mean(dim=(2, 3)))


def planted(seed, width, phi=torch.tanh):
    """(model, the same with each unit of its inner layers once or twice, in a hidden order), in float64.

    A weight that reads a unit with two copies is split between them, differently in each row.
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    own = np.repeat(np.arange(width), random.integers(1, 3, width))
    random.shuffle(own)
    small, wide = Repeated(width, phi).double(), Repeated(own.size, phi).double()

    def split(rows):
        found = rows[:, own].copy()
        for unit in range(width):
            copies = np.flatnonzero(own == unit)
            if copies.size == 2:
                share = random.choice([0.5, 0.25, 2.0, -1.0], size=len(rows))
                found[:, copies[0]] *= share
                found[:, copies[1]] *= 1 - share
        return torch.from_numpy(found)

    with torch.no_grad():
        wide.first.weight.copy_(small.first.weight[own])
        wide.first.bias.copy_(small.first.bias[own])
        wide.again.weight.copy_(split(small.again.weight.numpy()[own]))
        wide.again.bias.copy_(small.again.bias[own])
        wide.last.weight.copy_(split(small.last.weight.numpy()))
        wide.last.bias.copy_(small.last.bias)
    return small, wide
