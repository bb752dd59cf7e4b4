"""Gradients and evaluation where symlump needs them, whatever mode torch and its modules are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import nn


@contextmanager
def gradients() -> Iterator[None]:
    """Record gradients within the block (or the decorated function), and leave the modes as they were.

    A caller inside ``torch.no_grad()`` or ``torch.inference_mode()`` asks for no gradients of *their* work. A
    method that measures a sensitivity or fits weights still needs its own, and modules that are made inside
    ``inference_mode`` could never be trained.

    Examples
    --------
    >>> with torch.inference_mode(), gradients():
    ...     x = torch.ones((), requires_grad=True)
    ...     slope, = torch.autograd.grad(3 * x, x)
    >>> float(slope)
    3.0
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """With a module as in evaluation."""
    modes = [(module, module.training) for module in model.modules()]
    with suppress(NotImplementedError):  # what torch.export made has no modes
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
