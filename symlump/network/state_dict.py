"""Networks saved as a plain state dict: safetensors, or torch files read with ``weights_only``.

The layers are taken from the names and shapes of the tensors: ``PREFIX.weight`` (2-D) and
``PREFIX.bias`` (1-D) make one layer, and shapes must chain. The order is that of a torch file, or natural
(``fc2`` before ``fc10``), or the only one in which shapes chain. ``PREFIX.groups`` and
``PREFIX.coefficients``, the buffers of :class:`symlump.BlockSum` and :class:`symlump.Polynomial`, belong to the
layer before them; names then are in natural order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from symlump.errors import ActivationMissingError, NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation, polynomial
from symlump.network.chain import Layer
from symlump.network.gradients import gradients
from symlump.network.network import Network
from symlump.network.precision import Dtype
from symlump.network.saved.normed import epsilon_of, is_norm, model_with_norms, pair_norms
from symlump.network.saved.rebuilt import has_steps, read_steps
from symlump.network.saved.tensors import TensorFile, as_in_torch, natural_order, quote
from symlump.network.saved.writing import ACTIVATION_KEY, OUTPUT_KEY, SavedNetwork
from symlump.network.shared import keep_shared
from symlump.network.torch_io import from_torch
from symlump.network.torch_module import DTYPES
from symlump.network.torch_parts import array_of, identity_of
from symlump.ode.exact import FloatArray

_WHOLE = (
    "What stands between the layers a state dict does not say: convolutions and embeddings are "
    "read from the module itself, symlump.compress(model, …), or from its export as ONNX"
)
_MAX_ORDERED, _MAX_STEPS = 64, 10_000  # of layers whose order shapes tell
_MAX_TIES = 64  # how many times what they hold tied layers with normalisations may take
_MAX_NAME = 1000  # polynomials are named by their coefficients, and have at most 13


def read_network(
    path: str | Path | TensorFile,
    phi: str | None = None,
    output_phi: str | None = None,
    order: Sequence[str] | None = None,
) -> SavedNetwork:
    """Read a saved state dict as a network.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file, or a file of ``torch.save(model.state_dict())``.
    phi, output_phi : str, optional
        Activation of the hidden layers and of the last. Files that symlump wrote name theirs.
    order : sequence of str, optional
        The layers' prefixes in order, where names do not tell.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, or holds more than tensors.
    NetworkError
        If the tensors do not form a chain of dense layers, or the activation is not known.
    """
    file = TensorFile.of(path)
    path, metadata = file.path, file.metadata
    if has_steps(file):
        told = next(
            (n for n, v in (("--layers", order), ("--activation", phi or output_phi)) if v), None
        )
        if told is not None:
            raise NetworkError(
                f"{path} says its architecture, with its activations and what reads what; leave out {told}"
            )
        return SavedNetwork(read_steps(file), (), {})
    tensors, file_names = as_in_torch(file.tensors)
    in_order = path.suffix.lower() != ".safetensors"  # those are sorted by name
    phi = phi or metadata.get(ACTIVATION_KEY)
    output = activation(output_phi or metadata.get(OUTPUT_KEY) or "identity")
    layers: list[Layer] = []
    prefixes: list[str] = []
    extras: dict[str, torch.Tensor] = {}
    dtype: Dtype = "float32"
    arrays: dict[tuple[object, ...], FloatArray] = {}  # of tied layers one array
    groups = _grouped(tensors, order, in_order)
    if any(is_norm(parts) for _, parts in groups):
        return _normed(groups, order is not None, phi, output, file_names)
    for prefix, parts in groups:
        if "weight" in parts:
            weight = parts["weight"]
            bias = parts.get("bias")
            for part, tensor in (("weight", weight), ("bias", bias)):
                if tensor is not None and tensor.dtype not in DTYPES:
                    raise NetworkError(
                        f"{quote(prefix)}.{part} has dtype {tensor.dtype}; convert the model to float32 first"
                    )
                one = part == "weight" and tensor is not None and tensor.dim() == 1
                if tensor is not None and (tensor.dim() > 2 or one):
                    raise NetworkError(
                        f"{quote(prefix)}.{part} has shape {quote(str(tuple(tensor.shape)))}; a dense layer "
                        f"has a weight of 2 dimensions and a bias of 1. {_WHOLE}"
                    )
            dtype = DTYPES[weight.dtype]
            for held in (weight, bias):
                if held is not None and identity_of(held) not in arrays:
                    arrays[identity_of(held)] = array_of(held)
            own = None if bias is None else arrays[identity_of(bias)]
            layers.append(Layer(arrays[identity_of(weight)], own))
            prefixes.append(prefix)
        elif layers and set(parts) == {"groups"} and parts["groups"].dtype == torch.int64:
            summed, units = parts["groups"], int(np.atleast_1d(layers[-1].weight).shape[0])
            if summed.shape != (units,) or bool(((summed < 0) | (summed >= units)).any()):
                raise NetworkError(
                    f"{quote(prefix)}.groups gives each of the {units} units before it a number below {units}"
                )
            layers[-1] = replace(layers[-1], groups=summed.numpy().astype(np.int64))
        elif layers and set(parts) == {"coefficients"}:
            row = parts["coefficients"]
            if row.dtype not in DTYPES or row.dim() != 1 or row.numel() > 13:
                raise NetworkError(
                    f"{quote(prefix)}.coefficients are not a row of at most 13 real numbers"
                )
            values = polynomial(parts["coefficients"].tolist())
            layers[-1] = replace(layers[-1], activation=values)
            extras[f"{prefix}.coefficients"] = parts["coefficients"]
        elif "weight_mask" in parts:
            raise NetworkError(
                f"{quote(prefix)} has a mask of torch.nn.utils.prune, which is not multiplied with its weights "
                "yet; do that before saving: torch.nn.utils.prune.remove(layer, 'weight'), and 'bias' if masked"
            )
        else:
            raise NetworkError(
                f"tensor {quote(f'{prefix}.{min(parts)}')} does not belong to a dense layer; symlump reads "
                f"NAME.weight (2-D) with NAME.bias (1-D). {_WHOLE}"
            )
    if not layers:
        raise NetworkError(f"{path} has no tensor named NAME.weight, so no layer was found")
    layers = [
        layer if i in _with_own(layers) else replace(layer, activation=_hidden(phi, i, len(layers)))
        for i, layer in enumerate(layers[:-1])
    ] + [replace(layers[-1], activation=output)]
    try:
        network = _shared(Network.from_layers(layers, dtype), tensors, prefixes)
    except NetworkError as error:
        listed = _listed([f"{i} = {quote(prefix)}" for i, prefix in enumerate(prefixes)])
        raise NetworkError(
            f"{error} (layers in {path}: {listed}; state another order with --layers)"
        ) from None
    return SavedNetwork(network, tuple(prefixes), extras, file_names)


def read_safetensors(
    path: str | Path, example: torch.Tensor | Sequence[torch.Tensor] | None = None
) -> Network:
    """Read a network that :func:`symlump.write_safetensors` wrote, packed or not.

    Parameters
    ----------
    path : path
        A file that says its architecture, or of a chain of dense layers its activations.
    example : Tensor of shape (samples, …), or a tuple of them, optional
        An input of any values, where the file was written from a module, and so does not say its shape.

    Returns
    -------
    Network

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, or what it says of its tensors does not fit them.
    NetworkError
        If it holds recurrent cells, which :func:`symlump.read_module` reads, or the activation, or the shape
        of an input, is not said.

    Examples
    --------
    >>> import tempfile
    >>> from symlump import write_safetensors
    >>> path = Path(tempfile.mkdtemp()) / "net.safetensors"
    >>> write_safetensors(Network.dense([[[1.0, 2.0]], [[3.0]]]), path, packed=True)
    >>> read_safetensors(path)
    <Network: 2–1–1, tanh, 3 parameters>
    """
    file = TensorFile.of(path)
    if has_steps(file):
        return read_steps(file, example)
    if example is not None:
        raise NetworkError(
            f"{file.path} is of a chain of dense layers, whose shapes are known; leave out example"
        )
    return read_network(file).network


def _normed(
    groups: _Groups, ordered: bool, phi: str | None, output: Activation, names: dict[str, str]
) -> SavedNetwork:
    """The network of a file with normalisations."""
    other = next((p for p, parts in groups if not is_norm(parts) and "weight" not in parts), None)
    dense = [(prefix, parts) for prefix, parts in groups if not is_norm(parts)]
    wrong = [
        f"{prefix}.{part}"
        for prefix, parts in groups
        for part, tensor in parts.items()
        if part != "num_batches_tracked" and tensor.dtype not in DTYPES
    ]
    if other is not None or wrong or not dense or any(p["weight"].dim() != 2 for _, p in dense):
        raise NetworkError(
            f"beside normalisations there are dense layers only, in floating point; {quote(other or '')}"
            f"{quote(', '.join(wrong))} is none. {_WHOLE}"
        )
    _refuse_ties(groups)
    found = pair_norms(groups, ordered)
    tensors = dict(groups)
    norms = {layer: (norm, tensors[norm]) for norm, layer in found.items()}
    last = len(dense) - 1
    activations = [_hidden(phi, i, len(dense)) for i in range(last)] + [output]
    epsilons = {norm: epsilon_of(norm, tensors[norm], names) for norm in found}
    model, places = model_with_norms(dense, norms, activations, epsilons)
    with gradients():
        network = from_torch(
            model, torch.zeros(2, dense[0][1]["weight"].shape[1]).to(dense[0][1]["weight"])
        )
    prefixes = tuple(prefix for prefix, _ in dense)
    return SavedNetwork(network, prefixes, {}, names, places, found, epsilons)


def _refuse_ties(groups: _Groups) -> None:
    """Each module with a normalisation holds its own copy, so a file must not tie many of them."""
    sizes: dict[tuple[object, ...], list[int]] = {}
    for _, parts in groups:
        for tensor in parts.values():
            sizes.setdefault(identity_of(tensor), []).append(tensor.numel())
    held = sum(own[0] for own in sizes.values())
    if sum(map(sum, sizes.values())) > _MAX_TIES * held:
        raise NetworkError(
            f"with normalisations between them, layers that are tied would take more than {_MAX_TIES} times "
            "the memory of their weights; compress the module itself, symlump.compress(model, …)"
        )


def _shared(
    network: Network, tensors: Mapping[str, torch.Tensor], prefixes: Sequence[str]
) -> Network:
    """The network that knows which of its layers share what the file holds once."""
    first: dict[tuple[object, ...], str] = {}

    def name(place: str) -> str:
        tensor = tensors.get(place)
        return "" if tensor is None else first.setdefault(identity_of(tensor), place)

    named = [
        replace(layer, weight_name=name(f"{prefix}.weight"), bias_name=name(f"{prefix}.bias"))
        for layer, prefix in zip(network.layers, prefixes, strict=True)
    ]
    return network.with_layers(keep_shared(named))


_Groups = list[tuple[str, dict[str, torch.Tensor]]]


def _grouped(
    tensors: dict[str, torch.Tensor], order: Sequence[str] | None, in_order: bool
) -> _Groups:
    """Tensors by prefix, in the order that was given, or the first of some in which shapes chain."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, part = name.rpartition(".")
        groups.setdefault(prefix, {})[part] = tensor
    if order is None:
        natural = sorted(groups.items(), key=lambda item: natural_order(item[0]))
        plain = in_order and all("weight" in parts or is_norm(parts) for parts in groups.values())
        orders = ([list(groups.items())] if plain else []) + [natural]
        return next((o for o in orders if _chains(o)), None) or _by_shapes(natural) or natural
    missing = [prefix for prefix in order if prefix not in groups]
    if missing or len(set(order)) < len(groups):
        known = [quote(p) for p in sorted(groups, key=natural_order)]
        raise NetworkError(
            f"--layers must name each of {_listed(known)} once; "
            f"got {_listed([quote(p) for p in order])}"
        )
    return [(prefix, groups[prefix]) for prefix in order]


def _sizes(groups: _Groups) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer."""
    weights = [parts["weight"] for _, parts in groups if "weight" in parts]
    return [(int(w.shape[1]), int(w.shape[0])) for w in weights if w.dim() == 2]


def _chains(groups: _Groups) -> bool:
    """Whether each layer reads as many numbers as the one before it gives; sums over groups are not told."""
    sizes = _sizes(groups)
    summed = any("groups" in parts for _, parts in groups)
    return summed or all(a[1] == b[0] for a, b in zip(sizes, sizes[1:], strict=False))


def _by_shapes(groups: _Groups) -> _Groups | None:
    """The one order in which layers chain; None where there are several, or none, or more than layers."""
    sizes = _sizes(groups)
    if not 1 < len(groups) == len(sizes) <= _MAX_ORDERED:
        return None
    found: list[list[int]] = []
    open_orders: list[list[int]] = [[k] for k in range(len(sizes))]
    for _ in range(_MAX_STEPS):
        if not open_orders or len(found) > 1:
            return [groups[k] for k in found[0]] if len(found) == 1 else None
        order = open_orders.pop()
        if len(order) == len(sizes):
            found.append(order)
        last = sizes[order[-1]][1]
        left = set(range(len(sizes))).difference(order)
        open_orders += [[*order, k] for k in sorted(left) if sizes[k][0] == last]
    return None


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _with_own(layers: list[Layer]) -> set[int]:
    return {i for i, layer in enumerate(layers) if layer.activation.name.startswith("polynomial:")}


def _hidden(phi: str | None, number: int, layers: int) -> Activation:
    """The activation of a hidden layer, from one name for all or names for each."""
    if phi is None:
        raise ActivationMissingError(
            "the file does not say which activation its hidden layers have; add --activation tanh (or "
            "sigmoid, relu, identity, polynomial:c0,c1,…)"
        )
    names = [part.strip() for part in phi.split(";")]
    if "," in phi and ":" not in phi:
        raise NetworkError(
            f"activations of several layers are separated by semicolons: {quote(phi.replace(',', ';'))}"
        )
    longest = max(map(len, names))
    if longest > _MAX_NAME:
        raise NetworkError(f"an activation has a name of {longest} characters, {quote(phi)}")
    if len(names) not in (1, layers - 1):
        raise NetworkError(
            f"the activations {quote(phi)} are {len(names)}; give one for all hidden layers, or {layers - 1}, "
            "one for each, separated by semicolons"
        )
    return activation(names[number] if len(names) > 1 else names[0])
