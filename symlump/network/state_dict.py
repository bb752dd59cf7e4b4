"""Networks saved as a plain state dict: safetensors, or torch files read with ``weights_only``.

The layers are taken from the names and shapes of the tensors: ``PREFIX.weight`` (2-D) and
``PREFIX.bias`` (1-D) make one layer, prefixes are put in natural order (``fc2`` before ``fc10``), and
shapes must chain. ``PREFIX.groups`` and ``PREFIX.coefficients``, the buffers of
:class:`symlump.BlockSum` and :class:`symlump.Polynomial`, belong to
the layer before them.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from symlump.errors import ActivationMissingError, FileFormatError, NetworkError
from symlump.files import is_stream, replacing
from symlump.network.activations.table import Activation, activation, polynomial
from symlump.network.chain import Layer
from symlump.network.exchange.calls import identity_of
from symlump.network.network import Network
from symlump.network.precision import Dtype
from symlump.network.shared import only_shared
from symlump.network.torch_io import to_torch
from symlump.network.torch_module import DTYPES

#: Suffixes of the files that are read and written here.
SUFFIXES = (".safetensors", ".pt", ".pth")
_ACTIVATION_KEY = "symlump.activation"
_OUTPUT_KEY = "symlump.output_activation"
_NESTED = ("state_dict", "model_state_dict", "model")  # where checkpoints hold theirs
_MAX_SHARING = 64  # how many times its size the tensors of a file may take
_MAX_NAME = 1000  # polynomials are named by their coefficients, and have at most 13


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """A network with the names its tensors had in the file.

    Parameters
    ----------
    network : Network
    prefixes : tuple of str
        The name of each layer.
    extras : dict of str to Tensor
        Tensors that are not weights, kept as they are.
    """

    network: Network
    prefixes: tuple[str, ...]
    extras: dict[str, torch.Tensor]


def read_network(
    path: str | Path,
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
    tensors, metadata = read_tensors(Path(path))
    phi = phi or metadata.get(_ACTIVATION_KEY)
    output = activation(output_phi or metadata.get(_OUTPUT_KEY) or "identity")
    layers: list[Layer] = []
    prefixes: list[str] = []
    extras: dict[str, torch.Tensor] = {}
    dtype: Dtype = "float32"
    for prefix, parts in _grouped(tensors, order):
        if "weight" in parts:
            weight = parts["weight"]
            bias = parts.get("bias")
            for part, tensor in (("weight", weight), ("bias", bias)):
                if tensor is not None and tensor.dtype not in DTYPES:
                    raise NetworkError(
                        f"{_shown(prefix)}.{part} has dtype {tensor.dtype}; convert the model to float32 first"
                    )
                if tensor is not None and tensor.dim() > 2:
                    raise NetworkError(
                        f"{_shown(prefix)}.{part} has shape {_shown(str(tuple(tensor.shape)))}; a dense layer "
                        "has a weight of 2 dimensions and a bias of 1, and convolutions are not supported here"
                    )
            dtype = DTYPES[weight.dtype]
            layers.append(Layer(_array(weight), None if bias is None else _array(bias)))
            prefixes.append(prefix)
        elif layers and set(parts) == {"groups"} and parts["groups"].dtype == torch.int64:
            groups, units = parts["groups"], int(np.atleast_1d(layers[-1].weight).shape[0])
            if groups.shape != (units,) or bool(((groups < 0) | (groups >= units)).any()):
                raise NetworkError(
                    f"{_shown(prefix)}.groups gives each of the {units} units before it a number below {units}"
                )
            layers[-1] = replace(layers[-1], groups=groups.numpy().astype(np.int64))
        elif layers and set(parts) == {"coefficients"}:
            row = parts["coefficients"]
            if row.dtype not in DTYPES or row.dim() != 1 or row.numel() > 13:
                raise NetworkError(
                    f"{_shown(prefix)}.coefficients are no row of at most 13 real numbers"
                )
            values = polynomial(parts["coefficients"].tolist())
            layers[-1] = replace(layers[-1], activation=values)
            extras[f"{prefix}.coefficients"] = parts["coefficients"]
        else:
            raise NetworkError(
                f"tensor {_shown(f'{prefix}.{min(parts)}')} belongs to no dense layer; symlump reads "
                "NAME.weight (2-D) with NAME.bias (1-D), so convolutions, normalisation and "
                "embeddings are not supported here"
            )
    if not layers:
        raise NetworkError(f"{path} holds no tensor named NAME.weight, so no layer was found")
    layers = [
        layer if i in _with_own(layers) else replace(layer, activation=_hidden(phi, i, len(layers)))
        for i, layer in enumerate(layers[:-1])
    ] + [replace(layers[-1], activation=output)]
    try:
        network = _shared(Network.from_layers(layers, dtype), tensors, prefixes)
    except NetworkError as error:
        listed = _listed([f"{i} = {_shown(prefix)}" for i, prefix in enumerate(prefixes)])
        raise NetworkError(
            f"{error} (layers in {path}: {listed}; state another order with --layers)"
        ) from None
    return SavedNetwork(network, tuple(prefixes), extras)


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
    return network.with_layers(only_shared(named))


def write_network(path: str | Path, network: Network, like: SavedNetwork | None = None) -> None:
    """Write a network as a state dict, whole or not at all.

    The names are those of ``like`` where given, else (and where units are summed in groups, or the number of
    layers differs) those of :func:`symlump.to_torch`. ``.safetensors`` files also name the activations.

    Raises
    ------
    NetworkError
        If the network is no chain of dense layers.
    FileFormatError
        If the suffix is neither .safetensors nor .pt / .pth.
    OutputError
        If the file cannot be written.
    """
    chain = network.chain
    if chain is None:
        raise NetworkError(
            f"a state dict holds chains of dense layers, and {network!r} is none; write it as ONNX "
            "(write_onnx), or save to_torch(network)"
        )
    state = to_torch(network).state_dict()
    plain = all(layer.groups is None for layer in chain.layers)
    if like is not None and plain and len(like.prefixes) == len(chain.layers):
        weights = [t for name, t in state.items() if name.endswith((".weight", ".bias"))]
        names: list[str] = []
        for prefix, layer in zip(like.prefixes, chain.layers, strict=True):
            names += [f"{prefix}.weight"] + ([] if layer.bias is None else [f"{prefix}.bias"])
        state = dict(zip(names, weights, strict=True)) | like.extras
    hidden = [layer.activation.name for layer in chain.hidden]
    metadata = {_OUTPUT_KEY: chain.layers[-1].activation.name}
    if hidden:  # one name for all, or one for each
        metadata[_ACTIVATION_KEY] = hidden[0] if len(set(hidden)) == 1 else ";".join(hidden)
    suffix = Path(path).suffix.lower() or (SUFFIXES[0] if is_stream(path) else "")
    if suffix not in SUFFIXES:
        raise FileFormatError(
            f"{path}: the suffix {suffix!r} is unknown; write .safetensors, .pt or .pth (.onnx: write_onnx)"
        )
    if suffix == ".safetensors":
        write_safetensors(path, state, metadata)
        return
    with replacing(path) as temporary, temporary.open("wb") as content:
        try:
            torch.save(state, content)
        except RuntimeError as error:  # its writer does not let the error of the file through
            raise OSError(str(error.__context__ or error).split("\n")[0]) from None


def write_safetensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]
) -> None:
    """Write named tensors, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    arrays: dict[str, torch.Tensor] = {}
    kept: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        array = tensor.detach().cpu().contiguous()
        place = kept.setdefault((array.data_ptr(), *array.shape), name)
        if place == name or not array.numel():
            arrays[name] = array
        else:
            metadata = {**metadata, name: place}
    with replacing(path) as temporary:
        try:
            save_file(arrays, str(temporary), metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors of a file by name, and its metadata; nothing in the file is executed.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, damaged, or holds more than tensors.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileFormatError(f"{path} {what}; give a saved state dict")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    _check_stored(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise FileFormatError(
            f"{path} is refused: it is no plain file of tensors, and may hold Python objects, which "
            "can run code. Save the weights alone, with safetensors or "
            "torch.save(model.state_dict(), …)"
        ) from None
    except Exception as error:  # a damaged file can break the reader anywhere
        reason = (str(error).split("\n")[0] or type(error).__name__)[:200]
        raise FileFormatError(f"{path} cannot be read as a torch file: {reason}") from None
    for _ in _NESTED:  # as training scripts save it, beside other things, and perhaps twice
        inside = [content.get(k) for k in _NESTED] if isinstance(content, dict) else []
        content = next((part for part in inside if isinstance(part, dict)), content)
    if not isinstance(content, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()
    ):
        raise FileFormatError(
            f"{path} holds a {type(content).__name__}, not a plain state dict of named tensors; save "
            "model.state_dict()"
        )
    _check_plain(path, content)
    return {name: tensor.detach() for name, tensor in content.items()}, {}


def _check_stored(path: Path) -> None:
    """Refuse a compressed archive, which torch does not write: it can be any size when unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except Exception:  # no archive, or a damaged one: torch.load says so
        return
    if packed:
        raise FileFormatError(
            f"{path} holds compressed parts, which torch.save does not write; save model.state_dict() again"
        )


def _check_plain(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Refuse tensors that are no arrays, or that claim more numbers than the file can hold."""
    size, claimed = path.stat().st_size, 0
    for name, tensor in tensors.items():
        kind = (
            f"on the device {tensor.device}"
            if tensor.device.type != "cpu"
            else f"stored as {tensor.layout}"
            if tensor.layout is not torch.strided
            else "quantized"
            if tensor.is_quantized
            else None
        )
        if kind is not None:
            raise FileFormatError(
                f"{path}: the tensor {_shown(name)} is {kind}; save plain arrays of numbers"
            )
        claimed += tensor.numel() * tensor.element_size()
        # Tied weights are in a file once, so a sum above its size can be meant.
        if claimed > _MAX_SHARING * size:
            raise FileFormatError(
                f"{path}: the tensor {_shown(name)} of shape {_shown(str(tuple(tensor.shape)))} repeats "
                f"numbers; the tensors would take more than {_MAX_SHARING} times the {size} bytes of the file"
            )


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError, AttributeError) as error:
        reason = (str(error).split("\n")[0])[:200]
        raise FileFormatError(f"{path} is not a valid safetensors file: {reason}") from None
    for name, place in metadata.items():  # as safetensors.torch.save_model writes shared tensors
        if place in tensors and name.endswith((".weight", ".bias")):
            tensors.setdefault(name, tensors[place])
    _check_plain(path, tensors)
    return tensors, metadata


def _grouped(
    tensors: dict[str, torch.Tensor], order: Sequence[str] | None
) -> list[tuple[str, dict[str, torch.Tensor]]]:
    """Tensors by prefix, in natural order or the order that was given."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, part = name.rpartition(".")
        groups.setdefault(prefix, {})[part] = tensor
    if order is None:
        return sorted(groups.items(), key=lambda item: _natural(item[0]))
    missing = [prefix for prefix in order if prefix not in groups]
    if missing or len(set(order)) < len(groups):
        raise NetworkError(
            f"--layers must name each of {_listed([_shown(p) for p in sorted(groups, key=_natural)])} once; "
            f"got {_listed([_shown(p) for p in order])}"
        )
    return [(prefix, groups[prefix]) for prefix in order]


def _shown(name: str) -> str:
    """A name from a file as it stands in a message: on one line, cut when long."""
    short = name if len(name) <= 60 else name[:60] + "…"
    return short if short.isprintable() else repr(short)


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


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
    longest = max(map(len, names))
    if longest > _MAX_NAME:
        raise NetworkError(f"an activation has a name of {longest} characters, {_shown(phi)}")
    if len(names) not in (1, layers - 1):
        raise NetworkError(
            f"the activations {_shown(phi)} are {len(names)}; give one for all hidden layers, or {layers - 1}, "
            "one for each, separated by semicolons"
        )
    return activation(names[number] if len(names) > 1 else names[0])


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().to(torch.float64).numpy().copy()
