"""State dicts with normalisations between dense layers: read as the module that they are of.

A batch normalisation is known by its ``running_mean`` and ``running_var``, a layer normalisation by a weight
and a bias of one dimension, an RMS normalisation by such a weight alone. Each belongs to the dense layer before
it, and stands before the activation; its ε is the default of the library whose names the file has, as a state
dict says neither.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.activations.torch_modules import activation_module
from symlump.network.saved.tensors import quote

Parts = Mapping[str, torch.Tensor]
#: The default of torch, which most models have, of Keras, and of Flax for layer normalisations.
EPSILONS = {"weight": 1e-5, "gamma": 1e-3, "scale": 1e-6}
_STATISTICS = ("running_mean", "running_var")
_WHOLE = "num_batches_tracked"  # counts, which nothing reads


def is_norm(parts: Parts) -> bool:
    """Whether tensors are those of a normalisation.

    Examples
    --------
    >>> is_norm(nn.BatchNorm1d(3).state_dict()), is_norm(nn.LayerNorm(3).state_dict())
    (True, True)
    >>> is_norm(nn.Linear(3, 3).state_dict())
    False
    """
    if all(name in parts for name in _STATISTICS):
        return set(parts) <= {*_STATISTICS, _WHOLE, "weight", "bias"}
    weight = parts.get("weight")
    return weight is not None and weight.dim() == 1 and set(parts) <= {"weight", "bias"}


def pair_norms(groups: Sequence[tuple[str, Parts]], ordered: bool) -> dict[str, str]:
    """For each normalisation the dense layer that it belongs to.

    Parameters
    ----------
    groups : sequence of (prefix, tensors)
        Dense layers and normalisations.
    ordered : bool
        Whether their order was stated.

    Raises
    ------
    NetworkError
        If neither the order nor the sizes tell.

    Examples
    --------
    >>> linear, norm = nn.Linear(2, 3).state_dict(), nn.BatchNorm1d(3).state_dict()
    >>> pair_norms([("bn1", norm), ("fc1", linear), ("fc2", nn.Linear(3, 1).state_dict())], False)
    {'bn1': 'fc1'}
    """
    found: dict[str, str] = {}
    before: tuple[str, int] | None = None
    for prefix, parts in groups:
        if not is_norm(parts):
            before = prefix, len(parts["weight"])
        elif before is None or before[1] != _size(parts):
            break
        else:
            found[prefix], before = before[0], None
    norms = [(prefix, _size(parts)) for prefix, parts in groups if is_norm(parts)]
    if len(found) == len(norms):
        return found
    dense = [(prefix, len(parts["weight"])) for prefix, parts in groups if not is_norm(parts)]
    own = [[name for name, size in dense if size == width] for _, width in norms]
    if len(norms) == len(dense) - 1 and [n for _, n in norms] == [n for _, n in dense[:-1]]:
        own = [[name] for name, _ in dense[:-1]]  # one behind each hidden layer
    if ordered or any(len(names) != 1 for names in own) or len({n[0] for n in own}) < len(own):
        listed = ", ".join(quote(prefix) for prefix, _ in norms)
        example = f"{quote(dense[0][0])},{quote(norms[0][0])},…"
        raise NetworkError(
            f"behind which dense layers {listed} stand, neither order nor sizes tell; name all layers in "
            f"order, each normalisation behind its dense layer: --layers {example}"
        )
    return {prefix: names[0] for (prefix, _), names in zip(norms, own, strict=True)}


def model_with_norms(
    dense: Sequence[tuple[str, Parts]],
    norms: Mapping[str, tuple[str, Parts]],
    activations: Sequence[Activation],
    epsilons: Mapping[str, float],
) -> tuple[nn.Sequential, dict[str, str]]:
    """The module that a state dict is of, and by its places the prefixes in the file.

    Parameters
    ----------
    dense : sequence of (prefix, tensors)
    norms : mapping
        By the prefix of a dense layer, the prefix and tensors of the normalisation behind it.
    activations : sequence of Activation
        One behind each dense layer.
    epsilons : mapping of str to float
        By the prefix of a normalisation.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    places: dict[str, str] = {}

    def add(prefix: str, module: nn.Module, parts: Parts) -> None:
        place = prefix.replace(".", "_") or "layer"
        while place in modules:
            place += "_"
        held = {name: tensor for name, tensor in parts.items() if name != _WHOLE}
        module.load_state_dict(held, strict=False)
        modules[place], places[place] = module, prefix

    for number, ((prefix, parts), phi) in enumerate(zip(dense, activations, strict=True)):
        units, inputs = parts["weight"].shape
        dtype = parts["weight"].dtype
        add(prefix, nn.Linear(inputs, units, "bias" in parts, dtype=dtype), parts)
        if prefix in norms:
            name, held = norms[prefix]
            add(name, _norm(held, units, dtype, epsilons[name]), held)
        if phi.name != "identity":
            modules[f"activation{number}"] = activation_module(phi)
    return nn.Sequential(modules).eval(), places


def _size(parts: Parts) -> int:
    return len(parts["running_mean"] if "running_mean" in parts else parts["weight"])


def epsilon_of(prefix: str, parts: Parts, names: Mapping[str, str]) -> float:
    """What is added to the variance, by default, in the library whose names a normalisation has.

    Examples
    --------
    >>> epsilon_of("bn", nn.LayerNorm(2).state_dict(), {"bn.weight": "bn/gamma:0"})
    0.001
    """
    named = [names.get(f"{prefix}.{part}", part) for part in ("weight", "bias")]
    last = {re.split(r"[./]", name.removesuffix(":0"))[-1] for name in named}
    if last & {"gamma", "beta"} or any("/vars/" in name for name in named):
        return EPSILONS["gamma"]
    is_flax = "scale" in last and "running_mean" not in parts
    return EPSILONS["scale" if is_flax else "weight"]


def _norm(parts: Parts, units: int, dtype: torch.dtype, epsilon: float) -> nn.Module:
    wrong = [n for n, t in parts.items() if n != _WHOLE and tuple(t.shape) != (units,)]
    if wrong:
        raise NetworkError(
            f"{wrong[0]} of a normalisation of {units} units has shape {tuple(parts[wrong[0]].shape)}"
        )
    options: dict[str, Any] = {"eps": epsilon, "dtype": dtype}
    if "running_mean" in parts:
        return nn.BatchNorm1d(units, affine="weight" in parts, **options)
    if "bias" in parts:
        return nn.LayerNorm(units, **options)
    return nn.RMSNorm(units, **options)
