"""Vector fields as torch modules: f(h), f(t, h) as solvers call it, or f(h, u), f(t, h, u)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.gradients import evaluating
from symlump.network.network import Network
from symlump.network.torch_io import from_torch, to_torch

_TIMES = (0.0, 0.5671, 3.1)


class TimedField(nn.Module):
    """A field that is called as f(t, h), as solvers do, whether it looks at the time or not.

    Parameters
    ----------
    net : torch.nn.Module
        Called as net(h, …), or as net(h, t, …) with the time as a column.
    uses_time : bool
    """

    def __init__(self, net: nn.Module, uses_time: bool = False) -> None:
        super().__init__()
        self.net, self.uses_time = net, uses_time

    def forward(self, t: torch.Tensor, h: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        """The derivative of h, of shape (samples, states) or (states,)."""
        given = [h, *inputs]
        if self.uses_time:
            time = torch.as_tensor(t, dtype=h.dtype, device=h.device)
            given.insert(1, time.reshape(1).expand(*h.shape[:-1], 1))
        one = h.ndim == 1
        derivative: torch.Tensor = self.net(*(x[None] for x in given) if one else given)
        return derivative[0] if one else derivative


class _AtTime(nn.Module):
    """The field at one time."""

    def __init__(self, field: nn.Module, time: float) -> None:
        super().__init__()
        self.field, self.time = field, time

    def forward(self, *state: torch.Tensor) -> torch.Tensor:
        derivative: torch.Tensor = self.field(torch.tensor(self.time, dtype=state[0].dtype), *state)
        return derivative


class _WithTime(nn.Module):
    """The field of the state and of the time, a column with one number for each sample."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, h: torch.Tensor, t: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        derivative: torch.Tensor = self.field(t, h, *inputs)
        return derivative


def read_field(module: Any, states: int, inputs: int) -> tuple[Network, bool, bool]:
    """The network of a vector field, whether it is called with the time first, and whether it looks at it.

    Where it does, the network's second input is the time.

    Raises
    ------
    NetworkError
        If it cannot be read.
    """
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"a vector field is a torch.nn.Module or a Network; got a {type(module).__name__}"
        )
    timed = _takes_time(module)
    if not timed and not inputs and isinstance(module, nn.Sequential):
        return from_torch(module, torch.zeros(2, states) if states else None), False, False
    first = next((m for m in module.modules() if isinstance(m, nn.Linear)), None)
    if not states and first is None:
        raise NetworkError("the number of states cannot be told; say it: NeuralODE(f, states=4)")
    weight = next(module.parameters(), torch.zeros(1))
    if not states:
        assert first is not None
        states = first.in_features - inputs
        if timed and not _fits(module, _example(states, inputs, weight)):
            states -= 1  # the first layer may read the time beside the states
    example = _example(states, inputs, weight)
    if timed and not _fits(module, example):
        raise NetworkError(
            f"this vector field does not give {states} derivatives for {states} states and the time; say how "
            "many states there are: NeuralODE(f, states=4)"
        )
    if timed:
        drawn, wanted = _at_times(module, example)
        if not all(torch.equal(wanted[0], value) for value in wanted[1:]):
            return _read_with_time(module, example, drawn, wanted), True, True
        module = _AtTime(module, 0.0)
    return from_torch(module, tuple(example) if inputs else example[0]), timed, False


def module_of_field(
    network: Network,
    timed: bool,
    uses_time: bool,
    like: Any,
    finish: Callable[[nn.Module], nn.Module],
) -> Any:
    """A smaller field, of the kind that was given: a network, or a module that is called in the same way.

    ``finish`` gives a module the layers that the method stores.
    """
    if not isinstance(like, nn.Module):
        return network
    module = finish(to_torch(network))
    weight = next(like.parameters(), torch.zeros(1))
    made = TimedField(module, uses_time) if timed else module
    return made.to(weight.device).train(like.training)


def _example(states: int, inputs: int, weight: torch.Tensor) -> list[torch.Tensor]:
    return [torch.zeros(2, n, dtype=weight.dtype) for n in (states, inputs) if n]


def _fits(module: nn.Module, example: list[torch.Tensor]) -> bool:
    """Whether a field takes so many states beside the time, and gives a derivative for each."""
    try:
        with evaluating(module), torch.no_grad():
            found = module(torch.zeros((), dtype=example[0].dtype), *example)
    except (RuntimeError, TypeError, ValueError, IndexError):  # what torch raises on sizes
        return False
    return isinstance(found, torch.Tensor) and found.shape == example[0].shape


def _read_with_time(
    module: nn.Module,
    example: list[torch.Tensor],
    drawn: list[torch.Tensor],
    wanted: list[torch.Tensor],
) -> Network:
    """The field with the time as one more input, as it is at some times: see :func:`_at_times`."""
    time = torch.zeros(len(example[0]), 1, dtype=example[0].dtype)
    advice = (
        "; a field that uses the time is read where this can be a column beside the states, as in "
        "torch.cat([h, t * torch.ones_like(h[:, :1])], dim=-1), or t * h; else make it a state whose "
        "derivative is 1"
    )
    try:
        network = from_torch(_WithTime(module), (example[0], time, *example[1:]))
    except NetworkError as error:
        raise NetworkError(f"{error}{advice}") from None
    for t, value in zip(_TIMES, wanted, strict=True):
        column = np.full((len(drawn[0]), 1), t)
        found = network(drawn[0].double().numpy(), column, *(x.double().numpy() for x in drawn[1:]))
        if not np.allclose(found, value.double().numpy(), rtol=1e-3, atol=1e-5):
            raise NetworkError(
                f"this vector field treats the time of several samples as one{advice}"
            )
    return network


def _takes_time(module: nn.Module) -> bool:
    names = list(inspect.signature(module.forward).parameters)
    return len(names) > 1 and names[0] in ("t", "time")


def _at_times(
    module: nn.Module, example: list[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Some states and inputs, and the field there at some times, called as solvers do."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(e.shape, generator=generator).to(e) for e in example]
    with evaluating(module), torch.no_grad():
        values = [module(torch.tensor(t, dtype=drawn[0].dtype), *drawn) for t in _TIMES]
    return drawn, values
