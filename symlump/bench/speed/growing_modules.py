"""Verbs on torch modules, cells and convolutions at growing sizes, for :mod:`symlump.bench.speed.growth`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.bench.speed.growing_networks import network_of_weights
from symlump.bench.speed.rows import Figures, Task, watch_task

if TYPE_CHECKING:
    from torch import nn


def _cell(weights: int) -> nn.Module:
    """A recurrent cell of so many weights, about."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.GRU(4, round(sqrt(weights / 3)), batch_first=True)


def _half(subject: Any) -> Any:
    """What AFDE leaves at half of the parameters."""
    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE

    return compress(subject, AFDE(retain=0.5))


def cell_compressed(weights: int) -> Figures:
    """A cell by AFDE to half of its parameters."""
    _half(_cell(300))
    cell = _cell(weights)
    return watch_task(lambda: _half(cell), repeated=False)


def cell_explained(weights: int) -> Figures:
    """What that did, read off the two cells."""
    from symlump.compression.relaxed.explain_reduction import explain_reduction

    explain_reduction(_cell(300), _half(_cell(300)).model)
    cell = _cell(weights)
    small = _half(cell).model
    return watch_task(lambda: explain_reduction(cell, small), repeated=False)


def _convolutions(weights: int) -> Any:
    """Three convolutions of so many weights, about, on pictures of 8 × 8, and a dense layer."""
    from symlump.network.activations.table import activation
    from symlump.network.network import Network
    from symlump.network.nodes import Affine, Apply, Flatten, Input, Node

    width = round(sqrt(weights / 18))
    rng = np.random.default_rng(0)
    nodes: list[Node] = [Input("x", (), (1, 8, 8))]
    for number, given in enumerate((1, width, width)):
        weight = rng.standard_normal((width, given, 3, 3)) / np.sqrt(9 * given)
        layer = Affine(f"c{number}", (nodes[-1].name,), weight, None, (1, 1), (1, 1), (1, 1))
        nodes += [layer, Apply(f"h{number}", (layer.name,), activation("relu"))]
    head = rng.standard_normal((10, 64 * width)) / np.sqrt(64 * width)
    nodes += [Flatten("flat", (nodes[-1].name,)), Affine("head", ("flat",), head, None)]
    return Network(tuple(nodes), ("head",))


def convolutions_compressed(weights: int) -> Figures:
    """Convolutions by AFDE to half of their parameters."""
    network = _convolutions(weights)
    return watch_task(lambda: _half(network), repeated=False)


def convolutions_explained(weights: int) -> Figures:
    """What that did, read off the two networks."""
    from symlump.compression.relaxed.explain_reduction import explain_reduction

    network = _convolutions(weights)
    small = _half(network).network
    return watch_task(lambda: explain_reduction(network, small), repeated=False)


def program_written(weights: int) -> Figures:
    """A network as a program of ``torch.export``."""
    from symlump.network.saved.program import write_program

    with tempfile.TemporaryDirectory() as folder:
        write_program(network_of_weights(300), Path(folder) / "small.pt2")
        network, path = network_of_weights(weights), Path(folder) / "network.pt2"
        return watch_task(lambda: write_program(network, path), repeated=False)


def module_read(weights: int) -> Figures:
    """A module from a safetensors file with its architecture."""
    import symlump as sl

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.safetensors"
        sl.write_safetensors(_cell(weights), path)
        return watch_task(lambda: sl.read_module(path), repeated=False)


def cell_in_onnx(weights: int) -> Figures:
    """An ONNX file with a cell, read and written."""
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_tensor_value_info

    import symlump as sl

    width = round(sqrt(weights / 3))
    rng = np.random.default_rng(0)
    sizes = {"w": (1, 3 * width, 4), "r": (1, 3 * width, width)}
    numbers = {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    held = [onnx.numpy_helper.from_array(array, name) for name, array in numbers.items()]
    x, y = (make_tensor_value_info(n, 1, [7, None, *r]) for n, r in (("x", [4]), ("y", [1, width])))
    step = make_node("GRU", ["x", *numbers], ["y"], name="gru", hidden_size=width)
    model = make_model(make_graph([step], "g", [x], [y], held))
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "cell.onnx", Path(folder) / "copy.onnx"
        onnx.save(model, path)
        return watch_task(lambda: sl.write_onnx(sl.read_recurrent_onnx(path), copy), repeated=False)


def activations_replaced(weights: int) -> Figures:
    """A network with polynomials for its activations, and the certified bound of what that changes."""
    from symlump.network.surrogate import with_surrogates

    network = network_of_weights(weights)
    return watch_task(lambda: with_surrogates(network, (-1, 1), 4, smooth=True), repeated=False)


def network_annealed(weights: int) -> Figures:
    """A module that is trained for an epoch on 256 samples, merged, and trained again."""
    import torch

    from symlump.compression.annealing.anneal import anneal
    from symlump.network.torch_io import to_torch

    torch.manual_seed(0)
    model = to_torch(network_of_weights(weights))
    x = torch.randn(256, next(model.parameters()).shape[1])
    return watch_task(lambda: anneal(model, (x, x), [0.1], epochs=1, before=1), repeated=False)


#: By name; all sizes are measured in one process.
MODULE_TASKS: Mapping[str, Task] = {
    "cell": (cell_compressed, 10_000, 300),
    "cell-explain": (cell_explained, 10_000, 300),
    "cell-onnx": (cell_in_onnx, 10_000, 1_000),
    "convolutions": (convolutions_compressed, 10_000, 100),
    "convolutions-explain": (convolutions_explained, 10_000, 100),
    "write-program": (program_written, 100_000, 3_000),
    "read-module": (module_read, 100_000, 3_000),
    "surrogates": (activations_replaced, 3_000, 300),
    "anneal": (network_annealed, 50_000, 3_000),
}
