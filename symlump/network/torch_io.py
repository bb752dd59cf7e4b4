"""torch in, torch out.

An ``nn.Sequential`` of dense layers and activations is read directly; any other module is traced by
:mod:`symlump.network.exchange.export_io`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.activations.table import (
    ACTIVATIONS,
    Activation,
    elu,
    hard_tanh,
    leaky_relu,
    polynomial,
)
from symlump.network.activations.torch_modules import module_of
from symlump.network.graphs.graph import NetworkGraph
from symlump.network.network import Layer, Network
from symlump.network.precision import PRECISIONS, Dtype
from symlump.ode.exact import IntArray

if TYPE_CHECKING:
    from torch import fx

#: The names of torch's formats.
DTYPES: dict[torch.dtype, Dtype] = {getattr(torch, p.name): p.name for p in PRECISIONS.values()}
_BY_CLASS = {row.torch_class: row for row in ACTIVATIONS.values() if row.torch_class}
_DROPPED = (nn.Identity, nn.Dropout, nn.AlphaDropout)


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


@dataclass(frozen=True, eq=False)
class TorchReading:
    """A module as it was read, with what is needed to write another network in its place.

    Parameters
    ----------
    network : Network or NetworkGraph
    flatten_before : bool
        The module flattens its input first; ``network`` takes it flattened.
    flatten_after : bool
        The module drops the axis of its one output; ``network`` keeps it.
    """

    network: Network | NetworkGraph
    flatten_before: bool = False
    flatten_after: bool = False

    def around(self, module: nn.Module) -> nn.Module:
        """The module of a reduced network, made to take and give what the one that was read does."""
        if not (self.flatten_before or self.flatten_after):
            return module
        before = [nn.Flatten()] if self.flatten_before else []
        after = [nn.Flatten(0)] if self.flatten_after else []
        return nn.Sequential(*before, *module.children(), *after)


def from_torch(
    model: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    leave_untouched: bool = False,
) -> Network | NetworkGraph:
    """Read a module: as a chain of dense layers where it is one, else as a graph.

    A chain takes its input flattened and keeps the axis of a single output, even where the module flattens
    first or drops that axis; :func:`symlump.compress` puts both back.

    Parameters
    ----------
    model : torch.nn.Module
        It is read as in evaluation: dropout does nothing, batch normalisation uses its stored statistics.
    example : Tensor of shape (samples, …), or a tuple of them, optional
        An input of any values; needed where the shape of the input is not that of the first dense layer.
    leave_untouched : bool
        Carry operations that symlump does not know along as they are; the units they read stay alone.

    Raises
    ------
    NetworkError
        If the model holds something that is not known; the message names its place.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> from_torch(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))
    <Network: 3–5–1, tanh, 26 parameters>
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> from_torch(net, example=torch.zeros(1, 1, 4, 4))
    <NetworkGraph: (1, 4, 4) → (2), 2 layers, 74 parameters>
    """
    return read_torch(model, example, leave_untouched).network


def read_torch(
    model: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    leave_untouched: bool = False,
) -> TorchReading:
    """The same, with what is needed to write another network in its place.

    Raises
    ------
    NetworkError
        As :func:`from_torch`.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(
            f"a torch.nn.Module is read here; got a {type(model).__name__}. Saved tensors are loaded into a "
            "model first: model.load_state_dict(…)"
        )
    reading = _sequential(model)
    if reading is not None:
        return reading
    from symlump.network.exchange.export_io import read_exported
    from symlump.network.graphs.simplify import as_chain

    guessed = example is None
    if example is None:
        example = _guessed_example(model)
    try:
        graph = read_exported(model, example, leave_untouched)
    except NetworkError as error:
        if guessed and "traced" in str(error):
            raise NetworkError(f"{error}. Give an input: example=torch.zeros(…)") from None
        raise
    chain = as_chain(graph)
    return TorchReading(graph) if chain is None else TorchReading(*chain)


def _guessed_example(model: nn.Module) -> torch.Tensor:
    """Zeros for the first layer, if that is a dense one."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            return torch.zeros(2, module.in_features, dtype=module.weight.dtype)
        if next(module.parameters(recurse=False), None) is not None and not isinstance(
            module, nn.BatchNorm1d
        ):
            break
    raise NetworkError(
        f"the shape of the input of a {type(model).__name__} cannot be told from its layers; give an input, "
        "as in compress(model, method, example=torch.zeros(1, 3, 32, 32))"
    )


def _sequential(model: nn.Module) -> TorchReading | None:
    """A plain chain in an ``nn.Sequential``, without tracing; None if there is more to it."""
    if not isinstance(model, nn.Sequential):
        return None
    modules = _flat(model)
    before = bool(modules) and _flattens(modules[0][1])
    modules = modules[before:]
    layers: list[Layer] = []
    dtypes: set[torch.dtype] = set()
    open_for_activation = False
    for name, module in modules:
        if isinstance(module, nn.Linear):
            dtype = module.weight.dtype
            if dtype not in DTYPES:
                raise NetworkError(
                    f"module {name!r} is of {dtype}; convert the model to float32 or float64, as with .float()"
                )
            dtypes.add(dtype)
            weight, bias = _array(module.weight), module.bias
            layers.append(Layer(weight, None if bias is None else _array(bias)))
            open_for_activation = True
        elif isinstance(module, BlockSum):
            if not layers or layers[-1].groups is not None:
                raise NetworkError(f"module {name!r}: BlockSum must follow a layer's activation")
            layers[-1] = replace(layers[-1], groups=module.groups.cpu().numpy().astype(np.int64))
            open_for_activation = False
        elif not isinstance(module, _DROPPED):
            phi = _known_activation(module)
            if phi is None or not open_for_activation:
                return None
            layers[-1] = replace(layers[-1], activation=phi)
            open_for_activation = False
    if len(dtypes) > 1:
        raise NetworkError(
            f"the layers mix {', '.join(sorted(map(str, dtypes)))}; convert the model"
        )
    network = Network(tuple(layers), DTYPES[dtypes.pop()] if dtypes else "float64")
    return TorchReading(network, before)


def _flattens(module: nn.Module) -> bool:
    return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)


@overload
def to_torch(network: Network) -> nn.Sequential: ...


@overload
def to_torch(network: NetworkGraph) -> fx.GraphModule: ...


def to_torch(network: Network | NetworkGraph) -> nn.Module:
    """A plain module in the network's dtype, ready for training or ``state_dict``.

    A chain becomes an ``nn.Sequential``, a graph a ``torch.fx.GraphModule``, whose ``code`` is its forward pass
    and whose modules keep their names.
    """
    if isinstance(network, NetworkGraph):
        from symlump.network.graphs.torch_module import graph_to_torch

        return graph_to_torch(network)
    dtype: torch.dtype = getattr(torch, network.dtype)
    modules: list[nn.Module] = []
    for layer in network.layers:
        with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
            linear = nn.Linear(layer.inputs, layer.units, layer.bias is not None, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
            if layer.bias is not None:
                linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
        modules.append(linear)
        if layer.activation.name != "identity":
            modules.append(activation_module(layer.activation))
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
    phi = _known_activation(module)
    if phi is None:
        raise NetworkError(
            f"{place}: {module} is not known, or not with these options; symlump knows "
            f"{', '.join(_BY_CLASS)}, and symlump.Polynomial"
        )
    return phi


def _known_activation(module: nn.Module) -> Activation | None:
    if isinstance(module, Polynomial):
        return polynomial(module.coefficients.tolist())
    if type(module) is nn.LeakyReLU:
        return leaky_relu(float(module.negative_slope))
    if type(module) is nn.ELU:
        return elu(float(module.alpha))
    if type(module) is nn.Hardtanh:
        return hard_tanh(float(module.min_val), float(module.max_val))
    for row in ACTIVATIONS.values():
        like = activation_module(row) if row.torch_class else None
        if type(module) is type(like) and _options(module) == _options(like):
            return row
    carried = getattr(module, "activation", None)
    return carried if isinstance(carried, Activation) else None


def _options(module: nn.Module | None) -> dict[str, Any]:
    """What a module of torch was made with, as far as it changes values."""
    return {
        name: value
        for name, value in vars(module).items()
        if name not in ("training", "inplace") and not name.startswith("_")
    }


def _array(parameter: torch.Tensor) -> Any:
    return parameter.detach().cpu().to(torch.float64).numpy().copy()
