"""Rounding of weights to few bits, a baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symlump.compression.reduction import Reduction
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.ode.exact import FloatArray


@dataclass(frozen=True)
class Quantize:
    """Round weights symmetrically to multiples k·s with ``|k| < 2^(bits − 1)``; biases stay.

    The step s of a row, or of a whole matrix, is its largest absolute weight / (2^(bits − 1) − 1).

    Storage is counted in parameters of the network's own precision, w bits each (32 for float32, 64 for
    float64): a weight counts bits/w, a step and a bias 1, rounded up to a whole number in each layer.
    ``retained_parameters`` therefore compares storage with methods that remove parameters.

    Parameters
    ----------
    bits : int
        2 to 16.
    steps : {"row", "matrix"}
        What shares a step.

    Raises
    ------
    MethodError
        If an option is out of range.

    References
    ----------
    Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", arXiv:1712.05877 (its symmetric scheme, without training).

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 0.34], [-6.0, 1.9]]], dtype="float32")
    >>> small = compress(net, Quantize(bits=3))
    >>> small.network.layers[0].weight.round(6).tolist(), small.retained_parameters
    ([[1.0, 0.333333], [-6.0, 2.0]], 3)
    """

    bits: int
    steps: str = "row"

    def __post_init__(self) -> None:
        if (
            isinstance(self.bits, bool)
            or not isinstance(self.bits, int)
            or not 2 <= self.bits <= 16
        ):
            raise MethodError(f"bits={self.bits!r}: weights are rounded to 2 to 16 bits")
        if self.steps not in ("row", "matrix"):
            raise MethodError(f"steps={self.steps!r} is unknown; choose 'row' or 'matrix'")

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"quantised ({self.bits} bits, a step per {self.steps})"

    def reduce(self, network: Network) -> Reduction:
        """Round the weights; see :func:`symlump.compress`."""
        layers = tuple(
            replace(layer, weight=self._rounded(layer.weight)) for layer in network.layers
        )
        word = {"float64": 64, "float32": 32}.get(network.dtype, 16)
        stored = tuple(self._stored(layer, word) for layer in network.layers)
        change = np.concatenate(
            [(a.weight - b.weight).ravel() for a, b in zip(layers, network.layers, strict=True)]
        )
        return Reduction(
            network.with_layers(layers),
            tuple(np.arange(layer.units) for layer in network.hidden),
            sum(stored) + sum(node.parameters for node in network.untouched),
            None,
            float(np.linalg.norm(change)),
            stored=stored,
        )

    def _rounded(self, weight: FloatArray) -> FloatArray:
        axes = tuple(range(1, weight.ndim)) if self.steps == "row" else None
        largest = np.abs(weight).max(axis=axes, keepdims=True)
        step = np.where(largest > 0, largest, 1.0) / (2 ** (self.bits - 1) - 1)
        step = np.maximum(step, np.finfo(np.float64).tiny)
        return np.asarray(np.rint(weight / step) * step)

    def _stored(self, layer: Affine, word: int) -> int:
        steps = layer.units if self.steps == "row" else 1
        biases = layer.parameters - layer.weight.size
        return -(-layer.weight.size * self.bits // word) + steps + biases
