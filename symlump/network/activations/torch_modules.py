"""Torch modules for the activations that torch itself has no class for."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from symlump.enclosures.functions import torch_functions
from symlump.network.activations.table import Activation


class Entrywise(nn.Module):
    """An activation of the table as a module, by its formula.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> Entrywise(activation("abs"))(torch.tensor([-2.0, 1.0])).tolist()
    [2.0, 1.0]
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Evaluate in the precision of ``z``."""
        return cast(torch.Tensor, self.activation.formula(torch_functions(), z))

    def extra_repr(self) -> str:
        """The name, for printing."""
        return self.activation.name


def module_of(phi: Activation) -> nn.Module:
    """A new module that applies ``phi``; training and ``state_dict`` work as with any other.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> module_of(activation("sin"))
    Entrywise(sin)
    """
    return Entrywise(phi)
