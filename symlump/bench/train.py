"""Training of the small networks that the experiments compress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from symlump.datasets.dataset import Dataset
from symlump.network.activations.table import activation
from symlump.network.activations.torch_modules import activation_module


def multilayer(
    inputs: int, hidden: Sequence[int], outputs: int, phi: str = "tanh", seed: int = 0
) -> nn.Sequential:
    """A fresh ``nn.Sequential`` of linear layers with one activation, in float32.

    Examples
    --------
    >>> multilayer(3, [4], 1)
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): Tanh()
      (2): Linear(in_features=4, out_features=1, bias=True)
    )
    """
    row = activation(phi)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        width = inputs
        for units in hidden:
            modules.append(nn.Linear(width, units))
            modules.append(activation_module(row))
            width = units
        modules.append(nn.Linear(width, outputs))
    return nn.Sequential(*modules)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: as fast for networks of this size, and the same figures however tasks are spread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train(
    model: nn.Sequential,
    data: Dataset,
    epochs: int = 150,
    batch: int = 128,
    rate: float = 3e-3,
    seed: int = 0,
    each_epoch: Callable[[int, float], None] | None = None,
) -> nn.Sequential:
    """Minimize the mean squared error with Adam and a cosine schedule; returns the same model.

    Parameters
    ----------
    each_epoch : callable, optional
        Called with the number of epochs done and the mean training loss of the last one.
    """
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    x = torch.as_tensor(data.inputs, dtype=dtype)
    y = torch.as_tensor(data.targets, dtype=dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * -(-len(data) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        order = torch.randperm(len(data), generator=generator)
        total = 0.0
        for rows in torch.split(order, batch):
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        if each_epoch is not None:
            each_epoch(epoch + 1, total / len(data))
    return model


def tune(
    model: nn.Module,
    data: Dataset,
    steps: int,
    batch: int = 128,
    rate: float = 1e-3,
    seed: int = 0,
) -> nn.Module:
    """Train a compressed model a little further with Adam; weights that are 0 stay 0.

    Returns the same model, in evaluation of which nothing has changed but its weights.
    """
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    x = torch.as_tensor(data.inputs, dtype=dtype)
    y = torch.as_tensor(data.targets, dtype=dtype)
    weights = [p for p in model.parameters() if p.dim() > 1]
    kept = [p.detach() != 0 for p in weights]
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        rows = torch.randint(len(data), (min(batch, len(data)),), generator=generator)
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for weight, mask in zip(weights, kept, strict=True):
                weight.mul_(mask)
    return model
