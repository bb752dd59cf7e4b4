"""Recurrent networks saved as state dicts: cells are known by the names that torch gives their tensors.

``PREFIX.weight_ih_l0``, ``PREFIX.weight_hh_l0_reverse``, …: the rows of the hidden weights say how many gates
there are, and so whether it is an RNN (1), a GRU (3) or an LSTM (4). Modules read one another in the natural
order of their prefixes, the first what comes from outside. The dense layer behind is the one with a bias that
has a column for each unit of the last module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.errors import NetworkError
from symlump.network.recurrent.cells import Cell, Kind
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork
from symlump.network.recurrent.torch_cells import PARTS, cell_of, rows_of
from symlump.network.saved.architecture import KEY
from symlump.network.saved.load import UNSAID
from symlump.network.saved.tensors import (
    TensorFile,
    natural_order,
    quote,
)
from symlump.network.saved.writing import save_state
from symlump.network.torch_module import DTYPES
from symlump.network.torch_parts import array_of
from symlump.ode.exact import FloatArray

_CELL = re.compile(r"(?:(.*)\.)?weight_hh(?:_l(\d+))?(_reverse)?\Z")
_KINDS: dict[int, Kind] = {1: "tanh", 3: "gru", 4: "lstm"}
_MOST_LAYERS = 1000


@dataclass(frozen=True, eq=False)
class SavedRecurrent:
    """A recurrent network, and the tensors of its file.

    Parameters
    ----------
    network : RecurrentNetwork
    endings : dict
        By cell, what follows the names of its tensors' parts, and what is before them.
    tensors : dict of str to Tensor
    """

    network: RecurrentNetwork
    endings: dict[str, tuple[str, str]]
    tensors: dict[str, torch.Tensor]


def is_saved_recurrent(tensors: dict[str, torch.Tensor]) -> bool:
    """Whether a state dict holds recurrent cells.

    Examples
    --------
    >>> [is_saved_recurrent(m(1, 1).state_dict()) for m in (torch.nn.GRU, torch.nn.Linear)]
    [True, False]
    """
    return any(map(_CELL.match, tensors))


def read_saved(
    path: str | Path | TensorFile,
    activation: str | None = None,
    readers: Sequence[str] | None = None,
) -> SavedRecurrent:
    """Read a saved state dict with recurrent cells.

    Parameters
    ----------
    activation : {"tanh", "relu"}, optional
        Of an RNN, which a state dict does not hold; tanh by default. A GRU or an LSTM has its own.
    readers : sequence of str, optional
        The dense layers that read the last module's units, where sizes do not tell.

    Raises
    ------
    FileFormatError, NetworkError
        If the file cannot be read, or its tensors do not form recurrent modules.
    """
    return saved_recurrent(TensorFile.of(path).tensors, activation, readers)


def saved_recurrent(
    tensors: dict[str, torch.Tensor],
    activation: str | None = None,
    readers: Sequence[str] | None = None,
) -> SavedRecurrent:
    """A recurrent network from saved tensors by name.

    Examples
    --------
    >>> saved_recurrent(torch.nn.GRU(3, 4, num_layers=2).state_dict()).network
    <RecurrentNetwork: l0 gru 3–4, l1 gru 4–4, 228 parameters>
    """
    if activation not in (None, "tanh", "relu"):
        raise NetworkError(f"activation {activation!r}: that of an RNN is tanh or relu")
    found: dict[str, list[tuple[int, str, str]]] = {}
    for name in tensors:
        match = _CELL.match(name)
        if match:
            prefix, layer, reverse = match[1] or "", match[2], match[3] or ""
            number = 0 if layer is None else int(layer) if len(layer) < 19 else _MOST_LAYERS
            if number >= _MOST_LAYERS:
                raise NetworkError(f"{quote(name)}: more than {_MOST_LAYERS} layers")
            end = ("" if layer is None else f"_l{layer}") + reverse
            found.setdefault(prefix, []).append((number, reverse, end))
    nodes: list[CellNode] = []
    endings: dict[str, tuple[str, str]] = {}
    reads: tuple[str, ...] = ()
    for prefix in sorted(found, key=natural_order):
        layer = -1
        own: list[str] = []
        for number, reverse, end in sorted(found[prefix]):
            if number != layer:
                reads, own, layer = tuple(own) or reads, [], number
            cell = _cell(tensors, prefix, end, bool(reverse), activation)
            name = (f"{prefix}." if prefix else "") + (end.lstrip("_") or "l0")
            width = sum(n.cell.units for n in nodes if n.name in reads)
            if reads and cell.inputs != width:
                raise NetworkError(
                    f"{name} reads {cell.inputs} values, and what comes before it, {', '.join(reads)}, gives "
                    f"{width}; compress the module in torch, where its forward pass says what reads what"
                )
            nodes.append(CellNode(name, prefix, cell, reads))
            endings[name] = (f"{prefix}." if prefix else "", end)
            own.append(name)
        reads = tuple(own)
    dense = _dense(tensors, reads, nodes, readers)
    dtype = DTYPES[next(iter(tensors[f"{b}weight_hh{e}"] for b, e in endings.values())).dtype]
    parameters = sum(t.numel() for t in tensors.values() if t.is_floating_point())
    network = RecurrentNetwork(tuple(nodes), tuple(dense), dtype, parameters, not dense)
    return SavedRecurrent(network, endings, tensors)


def write_saved(path: str | Path, network: RecurrentNetwork, like: SavedRecurrent) -> str:
    """Write a smaller network under the names of the tensors that it was read from, with its architecture.

    Safetensors say the architecture, samples first: modules read one another's outputs at all steps, and so do
    the dense layers behind.

    Returns
    -------
    str
        Why they do not; empty if they do.

    Raises
    ------
    FileFormatError
        If the suffix is unknown.
    OutputError
        If the file cannot be written.
    """
    state = dict(like.tensors)
    dtype = getattr(torch, network.dtype)

    def put(name: str, array: FloatArray) -> None:
        state[name] = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

    for node in network.cells:
        before, end = like.endings[node.name]
        for part, array in rows_of(node.cell).items():
            put(f"{before}{part}{end}", array)
    for reader in network.readers:
        put(f"{reader.name}.weight", reader.weight)
        if reader.bias is not None:
            put(f"{reader.name}.bias", reader.bias)
    plan, why = _architecture(network, {name: tensor.shape for name, tensor in state.items()})
    save_state(path, state, {UNSAID: why} if why else {KEY: json.dumps(plan)})
    return why


_CLASSES = {"tanh": "RNN", "relu": "RNN", "gru": "GRU", "lstm": "LSTM"}


def _architecture(
    network: RecurrentNetwork, shapes: dict[str, torch.Size]
) -> tuple[dict[str, Any], str]:
    """The architecture as :mod:`symlump.network.saved.architecture` says it, or why there is none."""
    modules: dict[str, list[Any]] = {}
    steps: list[Any] = []
    value, left = "x", dict(shapes)

    def add(prefix: str, kind: str, options: dict[str, Any]) -> bool:
        """Whether the file has the tensors of such a module."""
        modules[prefix] = [kind, options]
        steps.append([f"step{len(steps)}", "module", prefix, [{"value": value}], {}])
        with torch.device("meta"):
            own = getattr(nn, kind)(**options).state_dict()
        before = f"{prefix}." if prefix else ""
        return all(left.pop(before + name, None) == tensor.shape for name, tensor in own.items())

    for prefix, nodes in network.modules.items():
        cell, layers = nodes[0].cell, {node.name.removesuffix("_reverse") for node in nodes}
        options: dict[str, Any] = {
            "input_size": cell.inputs, "hidden_size": cell.units, "num_layers": len(layers),
            "batch_first": True, "bidirectional": len(nodes) > len(layers),
            "bias": cell.input_bias is not None,
        }  # fmt: skip
        kind = _CLASSES[cell.kind]
        if kind == "RNN":
            options["nonlinearity"] = cell.kind
        if not add(prefix, kind, options):
            return {}, (
                f"{prefix or 'its tensors'}: no torch.nn.{kind} has these, which takes the steps of a sequence "
                "by itself; what calls the cells is missing"
            )
        steps.append(
            [f"step{len(steps)}", "function", "__getitem__", [{"value": steps[-1][0]}, 0], {}]
        )
        value = steps[-1][0]
    found = {}
    for reader in network.readers:
        units, inputs = reader.weight.shape
        bias = reader.bias is not None
        add(reader.name, "Linear", {"in_features": inputs, "out_features": units, "bias": bias})
        found[reader.name] = {"value": steps[-1][0]}
    if left:
        return {}, (
            f"{quote(min(left))} is in the file, and no name says which step reads it; the module that this "
            "state dict is of is missing"
        )
    output = {"dict": found} if len(found) > 1 else next(iter(found.values()), {"value": value})
    return {"inputs": ["x"], "modules": modules, "steps": steps, "output": output}, ""


def _cell(
    tensors: dict[str, torch.Tensor], prefix: str, end: str, backward: bool, phi: str | None
) -> Cell:
    before = f"{prefix}." if prefix else ""
    parts: dict[str, Any] = {part: tensors.get(f"{before}{part}{end}") for part in PARTS}
    place = f"{before}weight_hh{end}"
    if f"{before}weight_hr{end}" in tensors:
        raise NetworkError(
            f"{before}weight_hr{end}: an LSTM with projections mixes its units at every step; one without is "
            "reduced"
        )
    kept, read = parts["weight_hh"], parts["weight_ih"]
    if read is None or kept.ndim != 2 or read.ndim != 2 or not kept.shape[1]:
        raise NetworkError(
            f"{place}: a cell has two weights of 2 dimensions, weight_ih and weight_hh"
        )
    for part, tensor in parts.items():
        if tensor is not None and tensor.dtype not in DTYPES:
            raise NetworkError(
                f"{before}{part}{end} has dtype {tensor.dtype}; convert the model first"
            )
    units = int(kept.shape[1])
    gates, rest = divmod(int(kept.shape[0]), units)
    if rest or gates not in _KINDS:
        raise NetworkError(
            f"{place} has shape {tuple(kept.shape)}: an RNN, a GRU or an LSTM of {units} units has {units}, "
            f"{3 * units} or {4 * units} rows"
        )
    for part, tensor in parts.items():
        if tensor is not None and tensor.shape[:1] != kept.shape[:1]:
            raise NetworkError(
                f"{before}{part}{end} has shape {tuple(tensor.shape)}; it has as many rows as {place}, "
                f"{kept.shape[0]}"
            )
    kind = _KINDS[gates]
    if phi == "relu":
        if kind != "tanh":
            raise NetworkError(f"activation 'relu' is for an RNN, and {place} belongs to a {kind}")
        kind = "relu"
    return cell_of(kind, parts, backward)


def _demand_no_convolution(
    tensors: dict[str, torch.Tensor], reads: tuple[str, ...], width: int
) -> None:
    """Refuse a convolution that may read the units: it would keep a channel for each of those that merge."""
    for name, tensor in tensors.items():
        if name.endswith("weight") and tensor.ndim > 2 and tensor.shape[1] == width:
            raise NetworkError(
                f"{name} has shape {tuple(tensor.shape)}, and may read the {width} units of "
                f"{', '.join(reads)}, which a state dict does not say; compress the module in torch, "
                "symlump.compress(model, …), where its forward pass says what reads what"
            )


def _dense(
    tensors: dict[str, torch.Tensor],
    reads: tuple[str, ...],
    nodes: list[CellNode],
    readers: Sequence[str] | None,
) -> list[Reader]:
    """The dense layers behind the last module."""
    width = sum(node.cell.units for node in nodes if node.name in reads)
    fitting = [
        name.removesuffix(".weight")
        for name, tensor in tensors.items()
        if name.endswith(".weight") and tensor.ndim == 2 and tensor.shape[1] == width
    ]
    if readers is None:  # an embedding has no bias, and must not be taken for a reader
        plain = [name for name in fitting if f"{name}.bias" not in tensors]
        fitting = [name for name in fitting if name not in plain]
        if not fitting and len(plain) > (width == nodes[0].cell.inputs):
            raise NetworkError(
                f"{', '.join(plain)} could read the {width} units of {', '.join(reads)}, without a bias, or be "
                f"embeddings; say which do read them: --layers {plain[-1]}"
            )
    if readers is None and len(fitting) > 1:
        raise NetworkError(
            f"{', '.join(fitting)} could each read the {width} units of {', '.join(reads)}; say which do: "
            f"--layers {fitting[0]}"
        )
    if readers is None and not fitting:
        _demand_no_convolution(tensors, reads, width)
    missing = [name for name in readers or () if name not in fitting]
    if missing:
        raise NetworkError(
            f"{missing[0]} is not a dense layer with {width} columns, one for each unit; there are: "
            f"{', '.join(fitting) or 'none'}"
        )
    found = []
    for name in fitting if readers is None else readers:
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        held = None if bias is None else array_of(bias)
        found.append(Reader(name, array_of(weight), held, reads))
    return found
