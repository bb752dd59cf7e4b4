"""torch in, torch out, for ``nn.Sequential``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.activations import ACTIVATIONS, Activation, polynomial
from symlump.network.network import Layer, Network
from symlump.ode.exact import IntArray

_BY_CLASS = {row.torch_class: row for row in ACTIVATIONS.values() if row.torch_class}


class Polynomial(nn.Module):
    """The activation φ(z) = Σ c_k z^k, lowest power first.

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
        """Evaluate by Horner's rule, in the precision of ``z``."""
        result = torch.zeros_like(z)
        for c in self.coefficients.tolist()[::-1]:
            result = result * z + c
        return result


class BlockSum(nn.Module):
    """Sums over groups of units: output g is Σ of the inputs i with ``groups[i] == g``.

    Examples
    --------
    >>> BlockSum([0, 1, 0])(torch.tensor([[1.0, 2.0, 4.0]])).tolist()
    [[5.0, 2.0]]
    """

    groups: torch.Tensor

    def __init__(self, groups: Sequence[int] | IntArray) -> None:
        super().__init__()
        self.register_buffer("groups", torch.as_tensor(np.asarray(groups), dtype=torch.int64))
        self.count = int(self.groups.max()) + 1

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Sum along the last axis."""
        sums = h.new_zeros((*h.shape[:-1], self.count))
        return sums.index_add(-1, self.groups, h)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.groups.numel()} → {self.count}"


def from_torch(model: nn.Module) -> Network:
    """Read an ``nn.Sequential`` of ``Linear`` layers and activations (Sequentials may be nested).

    Raises
    ------
    NetworkError
        If the model holds a module that is not in the table; the message names its place.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> from_torch(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))
    <Network: 3–5–1, tanh, 26 parameters>
    """
    if not isinstance(model, nn.Sequential):
        raise NetworkError(
            f"a {type(model).__name__} cannot be read; give an nn.Sequential of Linear layers and "
            "activations"
        )
    layers: list[Layer] = []
    dtypes: set[torch.dtype] = set()
    open_for_activation = False
    for name, module in _flat(model):
        if isinstance(module, nn.Linear):
            dtypes.add(module.weight.dtype)
            weight, bias = _array(module.weight), module.bias
            layers.append(Layer(weight, None if bias is None else _array(bias)))
            open_for_activation = True
        elif isinstance(module, BlockSum):
            if not layers or layers[-1].groups is not None:
                raise NetworkError(f"module {name!r}: BlockSum must follow a layer's activation")
            layers[-1] = replace(layers[-1], groups=module.groups.cpu().numpy().astype(np.int64))
            open_for_activation = False
        elif not isinstance(module, nn.Identity):
            phi = _activation(name, module)
            if not open_for_activation:
                raise NetworkError(
                    f"module {name!r} is a {type(module).__name__} that does not follow a Linear layer"
                )
            layers[-1] = replace(layers[-1], activation=phi)
            open_for_activation = False
    if len(dtypes) > 1:
        raise NetworkError(
            f"the layers mix {', '.join(sorted(map(str, dtypes)))}; convert the model"
        )
    return Network(tuple(layers), "float32" if dtypes == {torch.float32} else "float64")


def to_torch(network: Network) -> nn.Sequential:
    """A plain ``nn.Sequential`` in the network's dtype, ready for training or ``state_dict``."""
    dtype = torch.float32 if network.dtype == "float32" else torch.float64
    modules: list[nn.Module] = []
    for layer in network.layers:
        with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
            linear = nn.Linear(layer.inputs, layer.units, layer.bias is not None, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
            if layer.bias is not None:
                linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
        modules.append(linear)
        phi = layer.activation
        if phi.torch_class and phi.name != "identity":
            modules.append(getattr(nn, phi.torch_class)())
        elif phi.name != "identity":
            modules.append(Polynomial([float(c) for c in phi.coefficients]))
        if layer.groups is not None:
            modules.append(BlockSum(layer.groups))
    return nn.Sequential(*modules)


def _flat(model: nn.Sequential, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """All modules in order, with their places; the nesting is as deep as the user's own model."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model.named_children():
        if isinstance(module, nn.Sequential):
            found += _flat(module, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", module))
    return found


def _activation(name: str, module: nn.Module) -> Activation:
    if isinstance(module, Polynomial):
        return polynomial(module.coefficients.tolist())
    row = _BY_CLASS.get(type(module).__name__)
    if row is not None and type(module) is getattr(nn, row.torch_class):
        return row
    raise NetworkError(
        f"module {name!r} is a {type(module).__name__}, which symlump does not know; it reads Linear, "
        f"Sequential, {', '.join(_BY_CLASS)}, and symlump.Polynomial"
    )


def _array(parameter: torch.Tensor) -> Any:
    return parameter.detach().cpu().to(torch.float64).numpy().copy()
