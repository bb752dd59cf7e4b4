"""Sequences that recurrent modules read: given to the model and recorded, or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.compression.images import Images
from symlump.compression.inputs import Inputs
from symlump.compression.moments import Normal
from symlump.errors import MethodError, NetworkError
from symlump.network.gradients import evaluating
from symlump.network.recurrent.onnx_source import OnnxSource
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.network.recurrent.torch_cells import SEQUENCES
from symlump.ode.exact import FloatArray

#: How many sequences are drawn, and how long they are.
DRAWN, STEPS = 64, 50
_MOST = 512


def sequences_of(
    inputs: Inputs, network: RecurrentNetwork, model: nn.Module | None, seed: int = 0
) -> dict[str, FloatArray]:
    """What each module reads from outside, shape (samples, steps, inputs) each.

    Parameters
    ----------
    inputs : Normal, array, tensor or loader, or None for standard normal numbers
        Arrays are inputs of the model, laid out as it takes them.

    Raises
    ------
    MethodError
        If the model does not take them.
    """
    outer = {node.module: node.cell.inputs for node in network.cells if not node.reads}
    if inputs is None or isinstance(inputs, Normal):
        normal = Normal() if inputs is None else inputs
        return {
            module: normal.sample(DRAWN * STEPS, size, seed + number).reshape(DRAWN, STEPS, size)
            for number, (module, size) in enumerate(outer.items())
        }
    if isinstance(inputs, Images):
        raise MethodError(
            "inputs=Images() are for networks of images; a recurrent one reads sequences"
        )
    given = _tensors(inputs)
    if model is None and network.source is not None:
        return _recorded(network, network.source, given, set(outer))
    if model is None:
        raise MethodError(
            "inputs=… are read by a model in torch, or by the graph of an ONNX file; of a state dict the "
            "weights only are known"
        )
    weight = next(model.parameters())
    recorded: dict[str, list[torch.Tensor]] = {module: [] for module in outer}

    def recorder(name: str) -> Any:
        def note(_: nn.Module, arguments: Any, named: Any) -> None:
            x = arguments[0] if arguments else named["input"]
            if not isinstance(x, torch.Tensor):
                raise MethodError(
                    f"inputs=…: {name} reads packed sequences; give some of one length"
                )
            recorded[name].append(x.detach())

        return note

    hooks = [
        model.get_submodule(name).register_forward_pre_hook(recorder(name), with_kwargs=True)
        for name in outer
    ]
    try:
        with torch.no_grad(), evaluating(model):
            model(*(g.to(weight) if g.is_floating_point() else g.to(weight.device) for g in given))
    except MethodError:
        raise
    except Exception as error:  # whatever the model's own code raises
        raise MethodError(f"inputs=…: the model does not take them: {error}") from None
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _arranged(model.get_submodule(name), parts) for name, parts in recorded.items()}


def _recorded(
    network: RecurrentNetwork, source: OnnxSource, given: list[torch.Tensor], outer: set[str]
) -> dict[str, FloatArray]:
    from symlump.network.recurrent.onnx_writing import recorded_inputs
    from symlump.network.saved.onnx_file import onnx_library

    kind = getattr(torch, network.dtype)
    arrays = [(g.to(kind) if g.is_floating_point() else g).cpu().numpy() for g in given]
    try:
        found = recorded_inputs(onnx_library(), source, arrays)
    except NetworkError as error:
        raise MethodError(f"inputs=…: {error}") from None
    module = {node.name: node.module for node in network.cells}
    return {module[cell]: array for cell, array in found.items() if module[cell] in outer}


def _arranged(module: nn.Module, parts: list[torch.Tensor]) -> FloatArray:
    """Samples first, then steps."""
    if isinstance(module, SEQUENCES):
        x = parts[0]
        x = x[:, None] if x.ndim == 2 and not module.batch_first else x
        x = x[None] if x.ndim == 2 else x
        x = x if module.batch_first else x.transpose(0, 1)
    else:
        x = torch.stack([part if part.ndim == 2 else part[None] for part in parts], dim=1)
    return np.asarray(x.cpu().double().numpy())


def _tensors(inputs: Any) -> list[torch.Tensor]:
    if isinstance(inputs, tuple):
        return [part for entry in inputs for part in _tensors(entry)]
    if isinstance(inputs, torch.Tensor):
        return [inputs]
    if hasattr(inputs, "__array__") or isinstance(inputs, list):
        try:
            array = np.asarray(inputs)
        except ValueError:
            raise MethodError(
                "inputs=… is a list of parts that differ; give one array, or a loader of batches"
            ) from None
        if array.dtype.kind not in "iuf":
            raise MethodError("inputs=… holds something that is not numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise MethodError("inputs=… holds numbers that are not finite")
        return [torch.from_numpy(np.ascontiguousarray(array))]
    batches: list[torch.Tensor] = []
    for batch in inputs:  # a loader; targets are not looked at
        batches.append(batch[0] if isinstance(batch, list | tuple) else batch)
        if sum(map(len, batches)) >= _MOST:
            break
    if not batches:
        raise MethodError("inputs=… has no samples")
    return [torch.cat(batches)]
