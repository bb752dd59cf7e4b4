"""Verbs on networks at growing sizes, for :mod:`symlump.bench.speed.growth`: seconds and megabytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.speed.rows import Figures, Task, watch_task

if TYPE_CHECKING:
    from symlump.compression.reduction import CompressionMethod
    from symlump.network.network import Network
    from symlump.ode.exact import FloatArray


def network_of_weights(weights: int) -> Network:
    """A random network of so many weights, about, in three layers of the same width."""
    from symlump.bench.networks import random_network

    return random_network(_width(weights))


def _width(weights: int) -> int:
    return round(sqrt(weights / 3))


def method_applied(name: str, weights: int) -> Figures:
    """A network by one of the methods, to half of its parameters."""
    from symlump.compression.compress import compress

    network = network_of_weights(weights)
    method = _method(name, np.random.default_rng(0).standard_normal((256, _width(weights))))
    return watch_task(lambda: compress(network, method), repeated=False)


def _method(name: str, inputs: FloatArray) -> CompressionMethod:
    import symlump as sl

    methods: Mapping[str, Callable[[], CompressionMethod]] = {
        "symmetric": lambda: sl.Symmetric(retain=0.5),
        "dependence": lambda: sl.Dependence(retain=0.5),
        "hierarchical": lambda: sl.Hierarchical(retain=0.5),
        "magnitude": lambda: sl.Magnitude(0.5),
        "wanda": lambda: sl.Wanda(0.5, inputs),
        "second-order": lambda: sl.SecondOrder(0.5, inputs),
        "svd": lambda: sl.TruncatedSVD(retain=0.5),
        "quantize": lambda: sl.Quantize(bits=8),
        "combined": lambda: sl.Combined(retain=0.5),
    }
    return methods[name]()


def network_decoded(weights: int) -> Figures:
    """The smaller network of a lumped encoding."""
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.network.decode import decode
    from symlump.network.encode import encode

    lumping = lump(encode(network_of_weights(weights)), Forward(eps=0.5))
    return watch_task(lambda: decode(lumping), repeated=False)


def encoding_lumped(weights: int) -> Figures:
    """Forward equivalence of an encoding within a tolerance."""
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.network.encode import encode

    ode = encode(network_of_weights(weights))
    return watch_task(lambda: lump(ode, Forward(eps=0.5)), repeated=False)


def units_bounded(weights: int) -> Figures:
    """What the units of a network can reach on a box."""
    from symlump.network.bounds.difference import reachable

    network = network_of_weights(weights)
    return watch_task(lambda: reachable(network, (-1, 1)), repeated=False)


def tolerances_swept(weights: int) -> Figures:
    """AFDE at three tolerances."""
    from symlump.compression.merging.afde import AFDE
    from symlump.tolerances.sweep import sweep

    network = network_of_weights(weights)
    return watch_task(lambda: sweep(network, [0.05, 0.1, 0.2], AFDE(eps=0.0)), repeated=False)


def network_saved(suffix: str, weights: int) -> Figures:
    """A network into a file and out of it."""
    import symlump as sl

    network = network_of_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network.{suffix}"

        def there_and_back() -> None:
            if suffix == "onnx":
                sl.write_onnx(network, path)
                sl.read_onnx(path)
            else:
                sl.write_safetensors(network, path)
                sl.read_safetensors(path)

        return watch_task(there_and_back, repeated=False)


def torch_and_back(weights: int) -> Figures:
    """A network as a module of torch, and read from it."""
    from symlump.network.torch_io import from_torch, to_torch

    network = network_of_weights(weights)
    return watch_task(lambda: from_torch(to_torch(network)), repeated=False)


#: By name; all sizes are measured in one process.
NETWORK_TASKS: Mapping[str, Task] = {
    "symmetric": (partial(method_applied, "symmetric"), 50_000, 3_000),
    "dependence": (partial(method_applied, "dependence"), 50_000, 3_000),
    "hierarchical": (partial(method_applied, "hierarchical"), 12_000, 3_000),
    "magnitude": (partial(method_applied, "magnitude"), 200_000, 3_000),
    "wanda": (partial(method_applied, "wanda"), 200_000, 3_000),
    "second-order": (partial(method_applied, "second-order"), 50_000, 3_000),
    "svd": (partial(method_applied, "svd"), 100_000, 3_000),
    "quantize": (partial(method_applied, "quantize"), 500_000, 3_000),
    "combined": (partial(method_applied, "combined"), 12_000, 3_000),
    "decode": (network_decoded, 30_000, 3_000),
    "lump-encoding": (encoding_lumped, 30_000, 3_000),
    "reachable": (units_bounded, 30_000, 3_000),
    "sweep-network": (tolerances_swept, 30_000, 3_000),
    "safetensors": (partial(network_saved, "safetensors"), 200_000, 3_000),
    "onnx": (partial(network_saved, "onnx"), 200_000, 3_000),
    "torch": (torch_and_back, 200_000, 3_000),
}
