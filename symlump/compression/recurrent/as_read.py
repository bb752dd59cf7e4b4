"""Whether a model with recurrent modules computes what was read of it: both are run on the same input."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from symlump.errors import NetworkError, first_line
from symlump.network.gradients import evaluating
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.network.torch_parts import agree

_SAMPLES, _STEPS, _SEED = 2, 3, 0


def copy_module(model: nn.Module) -> Any:
    """A copy of a module.

    Raises
    ------
    NetworkError
        If torch cannot copy it.

    Examples
    --------
    >>> type(copy_module(nn.GRU(2, 3))).__name__
    'GRU'
    """
    try:
        return deepcopy(model)
    except Exception as error:  # whatever the model holds
        odd = [name for name, part in model.named_modules() if part._forward_pre_hooks]
        where = f"; a hook of {odd[0]!r} may hold what it computed" if odd else ""
        raise NetworkError(
            f"this {type(model).__name__} cannot be copied{where}, and a smaller model is a copy with other "
            "weights. Of old weight norms take the hook off, with torch.nn.utils.remove_weight_norm or "
            f"remove_spectral_norm ({first_line(error, 120)})"
        ) from None


def check_as_read(model: nn.Module, again: Any, network: RecurrentNetwork) -> None:
    """Compare a model with what is written of its reading, before anything is merged.

    The input is drawn as the first cell reads it: (samples, steps, inputs), whole numbers where the model takes
    those. A model that takes neither is not run.

    Raises
    ------
    NetworkError
        If they differ by more than rounding.

    Examples
    --------
    >>> from symlump.network.recurrent.reading import read_recurrent
    >>> gru = nn.GRU(2, 3)
    >>> check_as_read(gru, gru, read_recurrent(gru))
    >>> check_as_read(gru, nn.GRU(2, 3), read_recurrent(gru))
    Traceback (most recent call last):
        ...
    symlump.errors.NetworkError: the network read from this GRU does not compute what the module does on \
random input; a module that keeps a state or is changed from outside cannot be read
    """
    for x in _inputs(model, network):
        found = []
        for module in (model, again):
            try:
                found.append(_run(copy_module(module), x))
            except NetworkError:
                raise
            except Exception:  # the model's own code: it takes another input
                break
        if len(found) == 2:
            _compare(model, found[0], found[1], network.dtype)
            return


def _inputs(model: nn.Module, network: RecurrentNetwork) -> list[torch.Tensor]:
    weight = next(model.parameters())
    size = next(node.cell.inputs for node in network.cells if not node.reads)
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randn(_SAMPLES, _STEPS, size, generator=generator).to(weight)
    whole = torch.zeros(_SAMPLES, _STEPS, dtype=torch.int64, device=weight.device)
    return [drawn, drawn[:, 0], whole]


def _run(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad(), evaluating(model), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        parts = tree_leaves(model(x))
    return [part for part in parts if isinstance(part, torch.Tensor)]


def _compare(
    model: nn.Module, wanted: list[torch.Tensor], found: list[torch.Tensor], dtype: str
) -> None:
    pairs = zip(found, wanted, strict=False)
    if len(found) != len(wanted) or not all(agree(a, b, dtype) for a, b in pairs):
        raise NetworkError(
            f"the network read from this {type(model).__name__} does not compute what the module does on "
            "random input; a module that keeps a state or is changed from outside cannot be read"
        )
