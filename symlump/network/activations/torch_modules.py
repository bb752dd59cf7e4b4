"""Torch modules of activations, and activations of torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from symlump.enclosures.functions import torch_functions
from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import (
    ACTIVATIONS,
    celu,
    elu,
    hard_tanh,
    leaky_relu,
    polynomial,
    soft_shrink,
)

_BY_CLASS = {row.torch_class: row for row in ACTIVATIONS.values() if row.torch_class}
#: Options that change no value in evaluation.
_WITHOUT_EFFECT = ("training", "inplace", "dropout", "sparse", "scale_grad_by_freq")
#: By the class of torch of an activation, the names of the arguments that symlump knows.
ACTIVATION_ARGUMENTS = {
    kind: tuple(
        {
            name: None
            for row in ACTIVATIONS.values()
            if row.torch_class == kind
            for name, _ in row.torch_options
        }
    )
    for kind in _BY_CLASS
}


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


class Polynomial(nn.Module):
    """The activation φ(z) = Σ c_k z^k, lowest power first.

    Parameters
    ----------
    coefficients : sequence of float
        c_0, c_1, …

    Examples
    --------
    >>> Polynomial([0.0, 1.0, 0.5])(torch.tensor([2.0])).tolist()
    [4.0]
    """

    coefficients: torch.Tensor

    def __init__(self, coefficients: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer(
            "coefficients", torch.tensor([float(c) for c in coefficients], dtype=torch.float64)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Evaluate by Horner's rule, in the precision of ``z``.

        Parameters
        ----------
        z : Tensor

        Returns
        -------
        Tensor
            Of the same shape.

        Examples
        --------
        >>> Polynomial([1.0, 0.0, 2.0])(torch.tensor([3.0])).tolist()
        [19.0]
        """
        result = torch.zeros_like(z)
        for c in self.coefficients.tolist()[::-1]:
            result = result * z + c
        return result


def activation_module(phi: Activation) -> nn.Module:
    """The module of an activation."""
    if phi.torch_class:
        module: nn.Module = getattr(nn, phi.torch_class)(**dict(phi.torch_options))
        return module
    return Polynomial([float(c) for c in phi.coefficients]) if phi.coefficients else module_of(phi)


def activation_of(place: str, module: nn.Module) -> Activation:
    """The activation of a module.

    Raises
    ------
    NetworkError
        If it is none that symlump knows; the message names its place.
    """
    phi = known_activation(module)
    if phi is None:
        raise NetworkError(
            f"{place}: {module} is not known, or not with these options; symlump knows "
            f"{', '.join(_BY_CLASS)}, and symlump.Polynomial"
        )
    return phi


def known_activation(module: nn.Module) -> Activation | None:
    """The activation of a module, or None."""
    if isinstance(module, Polynomial):
        return polynomial(module.coefficients.tolist())
    if type(module) is nn.LeakyReLU:
        return leaky_relu(float(module.negative_slope))
    if type(module) is nn.ELU:
        return elu(float(module.alpha))
    if type(module) is nn.Hardtanh:
        return hard_tanh(float(module.min_val), float(module.max_val))
    if type(module) is nn.CELU:
        return celu(float(module.alpha))
    if type(module) is nn.Softshrink:
        return soft_shrink(float(module.lambd))
    for row in ACTIVATIONS.values():
        like = activation_module(row) if row.torch_class else None
        if type(module) is type(like) and options_of(module) == options_of(like):
            return row
    carried = getattr(module, "activation", None)
    return carried if isinstance(carried, Activation) else None


def options_of(module: nn.Module | None) -> dict[str, Any]:
    """What a module of torch was made with, as far as it changes values in evaluation.

    Examples
    --------
    >>> options_of(nn.Hardtanh(0.0, 2.0))
    {'min_val': 0.0, 'max_val': 2.0}
    """
    return {
        name: value
        for name, value in vars(module).items()
        if name not in _WITHOUT_EFFECT and not name.startswith("_")
    }
