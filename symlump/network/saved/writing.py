"""Networks written as named tensors: a state dict, or safetensors that say their architecture, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from symlump.errors import FileFormatError, NetworkError
from symlump.files import is_stream
from symlump.memory import memory_errors
from symlump.network.network import Network
from symlump.network.saved.architecture import KEY, architecture, graph_architecture
from symlump.network.saved.tensors import Packing, as_in_file, save_tensors, write_torch
from symlump.network.torch_io import to_torch

#: Suffixes of the files that are read and written.
SUFFIXES = (".safetensors", ".pt", ".pth")
ACTIVATION_KEY = "symlump.activation"
OUTPUT_KEY = "symlump.output_activation"


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
    names : dict of str to str
        What the file calls a tensor, where that is not as torch would.
    places : dict of str to str
        Where there are normalisations: the prefix of each module of the network's.
    norms : dict of str to str
        For each normalisation the dense layer that it was taken to stand behind.
    epsilons : dict of str to float
        For each normalisation the ε that it was taken to have.
    """

    network: Network
    prefixes: tuple[str, ...]
    extras: dict[str, torch.Tensor]
    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    norms: dict[str, str] = field(default_factory=dict)
    epsilons: dict[str, float] = field(default_factory=dict)


@memory_errors()
def write_safetensors(
    model: Network | nn.Module, path: str | Path, *, packed: bool = False
) -> None:
    """Write a network as safetensors with its architecture as JSON, whole or not at all.

    Where it is loaded torch and safetensors are needed, and nothing of what was written runs:
    :mod:`symlump.network.saved.architecture` says what stands there.

    Parameters
    ----------
    model : Network or torch.nn.Module
        A module is taken as in evaluation: one with cells of torch inside, as ``compress`` gives them back, or
        any other that consists of modules and functions of torch.
    path : path
        With the suffix .safetensors.
    packed : bool
        Store each weight in the fewest bytes that give it back exactly: rounded ones as whole numbers and
        steps, zeros by their places; see :mod:`symlump.network.saved.packed`.

    Raises
    ------
    NetworkError
        If a step has no name in torch.
    FileFormatError
        If the suffix is another one.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import json, tempfile
    >>> from safetensors import safe_open
    >>> path = Path(tempfile.mkdtemp()) / "net.safetensors"
    >>> write_safetensors(Network.dense([[[1.0, 2.0]], [[3.0]]]), path)
    >>> with safe_open(path, "pt") as file:
    ...     [kind for kind, _, _ in json.loads(file.metadata()["architecture"])]
    ['Linear', 'Tanh', 'Linear']
    """
    if Path(path).suffix.lower() != SUFFIXES[0]:
        raise FileFormatError(f"{path}: safetensors have the suffix {SUFFIXES[0]}")
    if isinstance(model, nn.Module):
        alone = type(model).__module__.startswith("torch.nn.modules.")
        if alone and not isinstance(model, nn.Sequential):
            model = nn.Sequential(model)  # a module of torch is one step, not many
        packing = Packing() if packed else None
        save_tensors(path, model.state_dict(), {KEY: graph_architecture(model)}, packing)
        return
    if not isinstance(model, Network):
        raise NetworkError(
            f"write_safetensors takes a Network or a module; got {type(model).__name__}"
        )
    write_network(path, model, packing=Packing() if packed else None)


def write_file(
    network: Network,
    path: str | Path,
    suffix: str = "",
    like: SavedNetwork | None = None,
    packing: Packing | None = None,
) -> None:
    """Write a network as the suffix says: ONNX, a program of torch, or tensors.

    Parameters
    ----------
    network : Network
    path : path
    suffix : str
        Of what is to be written; by default that of the path.
    like : SavedNetwork, optional
        Whose names tensors get.
    packing : Packing, optional
        Store weights in fewer bytes where that loses nothing.

    Raises
    ------
    NetworkError
        If the file cannot say what the network does.
    FileFormatError
        If the suffix is unknown, or weights cannot be packed there.
    OutputError
        If the file cannot be written.
    """
    suffix = suffix or Path(path).suffix.lower()
    if suffix == ".onnx":
        from symlump.network.exchange.onnx_write import write_onnx

        write_onnx(network, path, packed=packing is not None)
    elif suffix == ".pt2":
        from symlump.network.saved.program import write_program

        if packing is not None:
            raise _not_packed(path)
        write_program(network, path)
    else:
        write_network(path, network, like, packing)


def _not_packed(path: str | Path) -> FileFormatError:
    return FileFormatError(f"{path}: packed weights are written as .safetensors or .onnx")


def write_network(
    path: str | Path,
    network: Network,
    like: SavedNetwork | None = None,
    packing: Packing | None = None,
) -> None:
    """Write a network as a state dict, whole or not at all.

    The names are those of ``like`` where given, else (and where units are summed in groups, or the number of
    layers differs) those of :func:`symlump.to_torch`. ``.safetensors`` files also name the activations, and
    hold the architecture as JSON (:mod:`symlump.network.saved.architecture`) where all of it is torch's own.

    Raises
    ------
    NetworkError
        If the network is no chain of dense layers, and the file no ``.safetensors``, or a step has no name
        there.
    FileFormatError
        If the suffix is neither .safetensors nor .pt / .pth.
    OutputError
        If the file cannot be written.
    """
    chain = network.chain
    if chain is None and like is not None and like.places:
        _write_normed(path, network, like, packing)
        return
    if chain is None or network.as_dict:
        _write_graph(path, network, packing)
        return
    model = to_torch(network)
    state, prefixes = model.state_dict(), None
    plain = all(layer.groups is None for layer in chain.layers)
    if like is not None and plain and len(like.prefixes) == len(chain.layers):
        weights = [t for name, t in state.items() if name.endswith((".weight", ".bias"))]
        names: list[str] = []
        prefixes = like.prefixes
        for prefix, layer in zip(like.prefixes, chain.layers, strict=True):
            names += [f"{prefix}.weight"] + ([] if layer.bias is None else [f"{prefix}.bias"])
        state = dict(zip(names, weights, strict=True)) | like.extras
        state = {
            like.names.get(name, name): as_in_file(tensor, like.names.get(name, name))
            for name, tensor in state.items()
        }
    hidden = [layer.activation.name for layer in chain.hidden]
    metadata = {OUTPUT_KEY: chain.layers[-1].activation.name}
    if hidden:  # one name for all, or one for each
        metadata[ACTIVATION_KEY] = hidden[0] if len(set(hidden)) == 1 else ";".join(hidden)
    built = None if like is not None and like.names else architecture(model, prefixes)
    if built is not None:
        metadata[KEY] = built
    save_state(path, state, metadata, packing)


def save_state(
    path: str | Path,
    state: Mapping[str, torch.Tensor],
    metadata: dict[str, str] | None = None,
    packing: Packing | None = None,
) -> None:
    """Write named tensors as the suffix says, on standard output as safetensors; only these hold metadata.

    Raises
    ------
    FileFormatError
        If the suffix is neither .safetensors nor .pt / .pth.
    OutputError
        If the file cannot be written.
    """
    suffix = Path(path).suffix.lower() or (SUFFIXES[0] if is_stream(path) else "")
    if suffix not in SUFFIXES:
        raise FileFormatError(
            f"{path}: the suffix {suffix!r} is unknown; write .safetensors, .pt or .pth (.onnx: write_onnx)"
        )
    if suffix == SUFFIXES[0]:
        save_tensors(path, state, metadata or {}, packing)
    elif packing is not None:
        raise _not_packed(path)
    else:
        write_torch(path, state)


def _write_graph(path: str | Path, network: Network, packing: Packing | None) -> None:
    """The tensors of any network with its architecture, which only safetensors hold."""
    if not is_stream(path) and Path(path).suffix.lower() != SUFFIXES[0]:
        raise NetworkError(
            f"{path}: {network!r} is not a chain of dense layers, and a plain state dict does not say what is "
            "between its layers; write it as .safetensors with its architecture, as ONNX (write_onnx), or as a "
            "torch program (write_program)"
        )
    model = to_torch(network)
    given = [
        (node.called or node.name, node.whole if node.values else network.dtype, node.size)
        for node in network.inputs
    ]
    save_tensors(path, model.state_dict(), {KEY: graph_architecture(model, given)}, packing)


def _write_normed(
    path: str | Path, network: Network, like: SavedNetwork, packing: Packing | None
) -> None:
    """The tensors of a network with normalisations, under their names in the file that it is from."""
    state, order = {}, list(like.places)
    held = sorted(
        to_torch(network).state_dict().items(),
        key=lambda item: order.index(p) if (p := item[0].partition(".")[0]) in order else -1,
    )
    for name, tensor in held:
        place, _, part = name.partition(".")
        if place not in like.places:
            raise NetworkError(
                f"{name} has no name in the file that the network is from; write it as ONNX (write_onnx) or as "
                "a program of torch (write_program)"
            )
        plain = f"{like.places[place]}.{part}"
        tensor = tensor.ravel() if like.places[place] in like.norms else tensor
        state[like.names.get(plain, plain)] = as_in_file(tensor, like.names.get(plain, plain))
    save_state(path, state, packing=packing)
