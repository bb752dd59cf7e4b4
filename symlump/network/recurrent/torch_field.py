"""Vector fields as torch modules: f(h), f(t, h) as solvers call it, or f(h, u)."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.network import Network
from symlump.network.torch_io import from_torch, to_torch

_TIMES = (0.0, 0.5671, 3.1)


class TimedField(nn.Module):
    """A field that is called as f(t, h), as solvers do, and does not look at the time."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: torch.Tensor, *state: torch.Tensor) -> torch.Tensor:
        """The derivative; t is ignored."""
        derivative: torch.Tensor = self.net(*state)
        return derivative


class _AtTime(nn.Module):
    """The field at one time."""

    def __init__(self, field: nn.Module, time: float) -> None:
        super().__init__()
        self.field, self.time = field, time

    def forward(self, *state: torch.Tensor) -> torch.Tensor:
        derivative: torch.Tensor = self.field(torch.tensor(self.time, dtype=state[0].dtype), *state)
        return derivative


def read_field(module: Any, states: int, inputs: int) -> tuple[Network, bool]:
    """The network of a vector field, and whether it is called with the time first.

    Raises
    ------
    NetworkError
        If it cannot be read, or its values depend on the time.
    """
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"a vector field is a torch.nn.Module or a Network; got a {type(module).__name__}"
        )
    timed = _takes_time(module)
    if not timed and not inputs and isinstance(module, nn.Sequential):
        return from_torch(module, torch.zeros(2, states) if states else None), False
    first = next((m for m in module.modules() if isinstance(m, nn.Linear)), None)
    if not states and first is None:
        raise NetworkError("the number of states cannot be told; say it: NeuralODE(f, states=4)")
    states = states or first.in_features - inputs  # type: ignore[union-attr]
    weight = next(module.parameters(), torch.zeros(1))
    example = [torch.zeros(2, n, dtype=weight.dtype) for n in (states, inputs) if n]
    if timed:
        _refuse_time(module, example)
        module = _AtTime(module, 0.0)
    return from_torch(module, tuple(example) if inputs else example[0]), timed


def module_of_field(network: Network, timed: bool, like: Any) -> Any:
    """A smaller field, of the kind that was given: a network, or a module that is called in the same way."""
    if not isinstance(like, nn.Module):
        return network
    module = to_torch(network)
    weight = next(like.parameters(), torch.zeros(1))
    return (TimedField(module) if timed else module).to(weight.device).train(like.training)


def _takes_time(module: nn.Module) -> bool:
    names = list(inspect.signature(module.forward).parameters)
    return len(names) > 1 and names[0] in ("t", "time")


def _refuse_time(module: nn.Module, example: list[torch.Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(e.shape, generator=generator).to(e) for e in example]
    training = module.training
    with torch.no_grad():
        module.eval()
        values = [module(torch.tensor(t, dtype=drawn[0].dtype), *drawn) for t in _TIMES]
        module.train(training)
    if not all(torch.equal(values[0], value) for value in values[1:]):
        raise NetworkError(
            "this vector field uses the time; a field of states is read, h' = f(h): make the time a state "
            "whose derivative is 1"
        )
