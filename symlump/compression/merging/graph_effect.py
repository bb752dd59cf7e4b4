"""The unit of AFDE's tolerance for networks that are no chains.

As for chains (:mod:`symlump.compression.merging.effect`), a change ΔW of a unit's weights is measured by what
it does to the outputs, in root mean square over standard normal inputs:

    effect = ‖ΔW‖ · rms(inputs of the layer) · √(Σ over the grid of mean(∂outputs/∂z)²) / rms(outputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx

from symlump.errors import NetworkError
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.gradients import gradients
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.torch_module import graph_module

_SAMPLES = 512
_NUMBERS = 1 << 23  # that are held at a time


def layer_units(
    graph: Network, linkage: Linkage, relative: bool, relative_to: str
) -> dict[str, float]:
    """What to divide the distances of each layer's units by.

    Raises
    ------
    NetworkError
        If the network has no layer with weights.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> graph = Network(
    ...     (Input("x", (), (2,)), Affine("fc", ("x",), np.array([[3.0, 4.0], [0.0, 5.0]]))), ("fc",))
    >>> layer_units(graph, Linkage.VARIANCE, True, "layer")
    {'fc': 5.0}
    """
    if not graph.layers:
        raise NetworkError("this network has no layer with weights, so there is nothing to reduce")
    if not relative:
        return dict.fromkeys((layer.name for layer in graph.layers), 1.0)
    if relative_to == "layer":
        return {layer.name: _mean_norm(layer, linkage.norm) for layer in graph.layers}
    return {name: 1 / effect for name, effect in layer_effects(graph).items()}


def _mean_norm(layer: Affine, norm: int) -> float:
    rows = layer.weight.reshape(layer.units, -1)
    if layer.bias is not None:
        rows = np.hstack([rows, layer.bias[:, None]])
    return float(np.linalg.norm(rows, norm, axis=1).mean()) or 1.0


class _Recorder(fx.Interpreter):
    """Runs a module and keeps the value of each node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if "symlump" in n.meta:
            self.values[n.meta["symlump"]] = result
        return result


@gradients()
def layer_effects(graph: Network) -> dict[str, float]:
    """For each layer, the factor of ‖ΔW‖ in the effect; see the module's text.

    The gradient is of a random combination of outputs, on 512 standard normal inputs (fewer for large
    networks: 2^23 numbers in all), drawn with a fixed seed.
    """
    per_sample = sum(int(np.prod(shape, dtype=np.int64)) for shape in graph.shapes.values())
    samples = int(np.clip(_NUMBERS // per_sample, 4, _SAMPLES))
    generator = np.random.default_rng(0)
    x = [
        torch.from_numpy(generator.standard_normal((samples, *node.size))) for node in graph.inputs
    ]
    recorder = _Recorder(graph_module(graph).double().eval())
    recorder.run(*x)
    outputs = torch.cat([recorder.values[name].reshape(samples, -1) for name in graph.outputs], 1)
    signs = torch.from_numpy(generator.choice([-1.0, 1.0], size=tuple(outputs.shape)))
    spread = float(((outputs - outputs.mean(0)) ** 2).sum(1).mean().sqrt().detach()) or 1.0
    z = [recorder.values[layer.name] for layer in graph.layers]
    slopes = torch.autograd.grad((outputs * signs).sum(), z, allow_unused=True)
    effects: dict[str, float] = {}
    for layer, gradient in zip(graph.layers, slopes, strict=True):
        size = 0.0
        if gradient is not None:
            inputs = recorder.values[layer.inputs[0]]
            slope = (gradient**2).flatten(2).sum(2) if gradient.ndim > 2 else gradient**2
            size = float((slope.mean().sqrt() * (inputs**2).mean().sqrt()).detach())
        effects[layer.name] = size / spread if 0 < size < float("inf") else 1.0
    return effects
