"""Files of named tensors: safetensors, and torch files read with ``weights_only``; nothing is executed.

Layers that Keras and Flax wrote hold a ``kernel``, inputs × units, where torch has a ``weight``, units ×
inputs; a name's parts stand between slashes, perhaps with ``:0`` at its end. Normalisations hold ``gamma``,
``beta``, ``moving_mean`` and ``moving_variance`` in Keras, and ``scale`` in Flax, which keeps the ``mean`` and
``var`` of a batch normalisation apart, under ``batch_stats``. Keras 3 numbers them instead, ``dense/vars/0``.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from symlump.errors import FileFormatError, first_line
from symlump.files import replacing
from symlump.network.saved.codings import BlockWeight
from symlump.network.saved.packed import KEY, MAX_GROWTH, pack_tensors, unpack_tensors
from symlump.network.torch_parts import identity_of

# Where checkpoints hold theirs; averages over the training, where there is nothing else.
_NESTED = (
    *("state_dict", "model_state_dict", "model", "params"),
    *("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema"),
)
_COUNT = "n_averaged"  # of torch.optim.swa_utils.AveragedModel, beside the module that it averages
#: How many times its size the tensors of a file may take, where they are views of one another.
_MAX_SHARING = 64


@dataclass(frozen=True)
class Packing:
    """That weights are stored in the fewest bytes; see :mod:`symlump.network.saved.packed`.

    Parameters
    ----------
    blocks : tuple of BlockWeight
        What some of them are the products of.
    """

    blocks: tuple[BlockWeight, ...] = ()


def save_tensors(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: dict[str, str],
    packing: Packing | None = None,
) -> None:
    """Write named tensors, whole or not at all; packed, if asked.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    metadata, arrays = dict(metadata), dict[str, torch.Tensor]()
    kept: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        array = tensor.detach().cpu().contiguous()
        place = kept.setdefault((array.data_ptr(), *array.shape), name)
        if place == name or not array.numel():
            arrays[name] = array
        else:
            metadata[name] = place
    if packing is not None:
        arrays, metadata[KEY] = pack_tensors(arrays, packing.blocks)
    with replacing(path) as temporary:
        try:
            save_file(arrays, str(temporary), metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def write_torch(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write named tensors as torch does, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as content:
        try:
            torch.save(dict(tensors), content)
        except RuntimeError as error:  # its writer does not let the error of the file through
            raise OSError(str(error.__context__ or error).split("\n")[0]) from None


@dataclass(frozen=True, eq=False)
class TensorFile:
    """A file of tensors that was opened, once for all who look into it.

    Parameters
    ----------
    path : Path
    tensors : dict of str to Tensor
    metadata : dict of str to str
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]

    @classmethod
    def of(cls, path: str | Path | TensorFile) -> TensorFile:
        """The file at a path, read; one that was read already is returned."""
        if isinstance(path, cls):
            return path
        return cls(Path(str(path)), *read_tensors(Path(str(path))))


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
            f"{path} is refused: it is not a plain file of tensors. It may hold Python objects, which "
            "can run code. Save the weights alone, with safetensors or "
            "torch.save(model.state_dict(), …)"
        ) from None
    except Exception as error:  # a damaged file can break the reader anywhere
        reason = first_line(error)
        raise FileFormatError(f"{path} cannot be read as a torch file: {reason}") from None
    for _ in _NESTED:  # as training scripts save it, beside other things, and perhaps twice
        inside = [content.get(k) for k in _NESTED] if isinstance(content, dict) else []
        content = next((part for part in inside if isinstance(part, dict)), content)
    held = content.items() if isinstance(content, dict) else ()
    other = next(
        (k for k, v in held if not (isinstance(k, str) and isinstance(v, torch.Tensor))), None
    )
    if not isinstance(content, dict) or other is not None:
        what = f"a {type(content).__name__}"
        what += (
            ""
            if other is None
            else f" in which {quote(str(other))} is a {type(content[other]).__name__}"
        )
        packed = (
            "; of a quantized model, that of the model before" if "packed" in str(other) else ""
        )
        raise FileFormatError(
            f"{path} holds {what}, not a plain state dict of named tensors; save model.state_dict(){packed}"
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


def _check_plain(path: Path, tensors: dict[str, torch.Tensor], most: int = _MAX_SHARING) -> None:
    """Refuse tensors that are no arrays, or that claim more numbers than the file can hold.

    What is the same array under several names, as tied weights are, counts once.
    """
    size, claimed = path.stat().st_size, 0
    seen: set[tuple[object, ...]] = set()
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
                f"{path}: the tensor {quote(name)} is {kind}; save plain arrays of numbers"
            )
        if identity_of(tensor) not in seen:
            seen.add(identity_of(tensor))
            claimed += tensor.numel() * tensor.element_size()
        if claimed > most * size:
            raise FileFormatError(
                f"{path}: the tensor {quote(name)} of shape {quote(str(tuple(tensor.shape)))} repeats "
                f"numbers; the tensors would take more than {most} times the {size} bytes of the file"
            )


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError, AttributeError) as error:
        reason = first_line(error)
        raise FileFormatError(f"{path} is not a valid safetensors file: {reason}") from None
    _check_plain(path, tensors)
    header = metadata.pop(KEY, None)
    if header is not None:
        tensors = unpack_tensors(path, tensors, header)
    for name, place in metadata.items():  # as safetensors.torch.save_model writes shared tensors
        if place in tensors and name.endswith((".weight", ".bias")):
            tensors.setdefault(name, tensors[place])
    _check_plain(path, tensors, _MAX_SHARING if header is None else MAX_GROWTH)
    return tensors, metadata


def quote(name: str) -> str:
    """A name from a file as it stands in a message: on one line, cut when long."""
    short = name if len(name) <= 60 else name[:60] + "…"
    return short if short.isprintable() else repr(short)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """What to sort names by, so that numbers in them count as such.

    Examples
    --------
    >>> sorted(["fc10", "fc2"], key=natural_order)
    ['fc2', 'fc10']
    """
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


_IN_TORCH = {
    "kernel": "weight", "gamma": "weight", "scale": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
    "mean": "running_mean", "var": "running_var",
}  # fmt: skip
_OF_FLAX = ("mean", "var")  # under batch_stats, beside params
_NUMBERED = ("gamma", "beta", "moving_mean", "moving_variance")


def as_in_torch(
    tensors: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors as torch names and turns them, and their names in the file where these are others.

    Examples
    --------
    >>> found, names = as_in_torch({"dense/kernel:0": torch.ones(3, 2), "out.bias": torch.ones(1)})
    >>> {name: tuple(tensor.shape) for name, tensor in found.items()}, names
    ({'dense.weight': (2, 3), 'out.bias': (1,)}, {'dense.weight': 'dense/kernel:0'})
    """
    found: dict[str, torch.Tensor] = {}
    names: dict[str, str] = {}
    for name, tensor in tensors.items():
        if name == _COUNT:
            continue
        plain = _as_named(name, tensors).replace("/", ".")
        prefix, dot, part = re.sub(r":0$", "", plain).rpartition(".")
        if part == "kernel":
            tensor = as_in_file(tensor, "kernel")
        apart = re.sub(r"^batch_stats\.", "params.", prefix)
        if part not in _OF_FLAX or apart != prefix:
            prefix, part = apart, _IN_TORCH.get(part, part)
        plain = f"{prefix}{dot}{part}"
        if plain in found:
            raise FileFormatError(
                f"the tensors {quote(names.get(plain, plain))} and {quote(name)} are one name"
            )
        found[plain] = tensor
        if plain != name:
            names[plain] = name
    return found, names


def _as_named(name: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """The name that Keras 2 had for what Keras 3 numbers."""
    layer, vars_, number = name.rpartition("/vars/")
    if not vars_:
        return name
    first, count = tensors.get(f"{layer}/vars/0"), 0
    while f"{layer}/vars/{count}" in tensors:
        count += 1
    parts = _NUMBERED if first is not None and first.dim() < 2 else ("kernel", "bias")
    if not number.isdecimal() or int(number) >= min(count, len(parts)) or count == 3:
        raise FileFormatError(
            f"what {quote(name)} is, its number does not tell: a layer of Keras has a kernel and a bias, a "
            "normalisation 2 or 4 numbered arrays (gamma, beta, mean, variance); name them so"
        )
    return f"{layer}/{parts[int(number)]}"


def as_in_file(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """A weight as a file holds it under a name: a kernel of a dense layer has the inputs first.

    Examples
    --------
    >>> as_in_file(torch.ones(2, 3), "dense/kernel:0").shape
    torch.Size([3, 2])
    """
    is_kernel = re.search(r"(^|[./])kernel(:0)?$|/vars/0$", name) is not None
    return tensor.T.contiguous() if is_kernel and tensor.dim() == 2 else tensor
