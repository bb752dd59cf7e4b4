"""Compression by hierarchical matrices: every weight matrix low rank block by block.

References
----------
Mango, Katende, arXiv:2409.07028.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import hypot
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.compression.hierarchical.block_fit import Fit, decade
from symlump.compression.hierarchical.hmatrix import HMatrix
from symlump.compression.hierarchical.matrix_checks import check_leaf_size, check_order
from symlump.compression.hierarchical.weighted_fit import WeightedFit
from symlump.compression.reduction import CompressionMethod, Reduction
from symlump.errors import MethodError
from symlump.network.chain import Chain
from symlump.network.network import Network
from symlump.ode.exact import FloatArray
from symlump.plan import Plan, check_wish, renamed

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class HierarchicalReduction(Reduction):
    """A network whose weight matrices are stored as hierarchical matrices.

    Parameters
    ----------
    network : Chain
        The same network with dense weights, the matrices multiplied out.
    matrices : tuple of HMatrix
        One a layer.
    """

    matrices: tuple[HMatrix, ...] = ()

    def finish(self, model: nn.Module) -> nn.Module:
        """Replace the dense layers of a torch model by trainable hierarchical ones."""
        from symlump.compression.hierarchical.hlinear import replace_linear

        return replace_linear(model, self.matrices)

    def held_by(self, model: Network | nn.Module) -> Network:
        """Two layers for each hierarchical one: its product is exact only as two factors."""
        if isinstance(model, Network):
            return model
        from symlump.compression.hierarchical.hlinear import factored_model

        return replace(super().held_by(factored_model(model)), dtype=self.network.dtype)


@renamed(tol="eps")
@dataclass(frozen=True, eq=False)
class Hierarchical(CompressionMethod):
    """Store each weight matrix block by block, dense or of low rank, within a relative error.

    ‖W − Ŵ‖_F ≤ ε·‖W‖_F for every layer, guaranteed (see :class:`symlump.HMatrix`). With ``inputs`` the
    error is the root mean square change of the layer's pre-activations over these inputs, relative to
    that of the pre-activations about their mean; the biases then take up the mean change (a layer without
    bias has no mean taken off). Biases are kept and counted. With a torch model, the result's layers are
    :class:`symlump.HLinear` modules, which go on training in this form.

    Parameters
    ----------
    eps : float, optional
        The relative error of every layer.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep, in (0, 1]. The smallest tolerance found that
        keeps no more is used.
    leaf_size : int
        Blocks are split down to this many rows and columns.
    order : {"given", "similarity"}
        Split rows and columns as they stand, or in an order that puts similar ones side by side (the
        permutations are counted).
    inputs : array_like, shape (samples, inputs), optional
        Typical inputs of the network, without targets; for a physics-informed network its own points.

    Raises
    ------
    MethodError
        If an option is out of range, or not exactly one of ``eps`` and ``retain`` is given.

    Examples
    --------
    >>> import numpy as np
    >>> from symlump import Network, compress
    >>> x = np.linspace(0, 1, 64)
    >>> net = Network.dense([np.exp(-np.abs(x[:, None] - x) / 0.3), np.ones((1, 64))])
    >>> compress(net, Hierarchical(eps=1e-3)).retained_parameters, net.parameters
    (960, 4160)
    >>> compress(net, Hierarchical(retain=0.2)).retained <= 0.2
    True
    """

    eps: float | None = None
    retain: float | None = None
    leaf_size: int = 8
    order: str = "given"
    inputs: npt.ArrayLike | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_wish(self, eps=self.eps, retain=self.retain)
        check_leaf_size(self.leaf_size)
        check_order(self.order)

    @property
    def label(self) -> str:
        """Name for tables."""
        return "hierarchical" if self.inputs is None else "hierarchical, on inputs"

    def plan(self, network: Network) -> _Matrices:
        """See :class:`symlump.plan.Method`."""
        chain = network.dense_chain(self.label)
        return _Matrices(network, chain, self.leaf_size, self.order, *self._arriving(chain))

    def _arriving(self, network: Chain) -> tuple[list[FloatArray | None], list[FloatArray | None]]:
        """Mean and second moments of what arrives at each layer, about the mean if there is a bias."""
        if self.inputs is None:
            nothing: list[FloatArray | None] = [None] * len(network.layers)
            return nothing, nothing
        x = np.asarray(self.inputs, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != network.inputs or not x.shape[0]:
            raise MethodError(
                f"Hierarchical needs inputs of shape (samples, {network.inputs}); got {x.shape}"
            )
        means: list[FloatArray | None] = []
        moments: list[FloatArray | None] = []
        for layer, arriving in zip(network.layers, network.activations(x)[:-1], strict=True):
            mean = np.zeros(layer.inputs) if layer.bias is None else arriving.mean(axis=0)
            about = arriving - mean
            means.append(mean)
            moments.append(about.T @ about / len(x))
        return means, moments


@dataclass(frozen=True, eq=False)
class _Matrices(Plan[HierarchicalReduction]):
    """The weight matrices of a network, decomposed block by block."""

    network: Network
    chain: Chain
    leaf_size: int
    order: str
    means: list[FloatArray | None]
    moments: list[FloatArray | None]
    #: By layer and power of ten: what is computed for a tolerance serves those near it.
    fits: dict[tuple[int, float], Fit] = field(default_factory=dict)

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    def _fit(self, number: int, eps: float) -> Fit:
        key = number, decade(eps)
        if key not in self.fits:
            weight, spread = self.chain.layers[number].weight, self.moments[number]
            self.fits[key] = (
                Fit.of(weight, eps, self.leaf_size, self.order)
                if spread is None
                else WeightedFit.weighted(weight, spread, eps, self.leaf_size, self.order)
            )
        return self.fits[key]

    def _matrices(self, eps: float) -> tuple[HMatrix, ...]:
        numbers = range(len(self.chain.layers))
        return tuple(HMatrix.from_fit(self._fit(number, eps), eps) for number in numbers)

    @property
    def _biases(self) -> list[int]:
        return [0 if layer.bias is None else int(layer.bias.size) for layer in self.chain.layers]

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return sum(self._biases) + sum(matrix.storage for matrix in self._matrices(eps))

    def at(self, eps: float) -> HierarchicalReduction:
        """See :class:`symlump.plan.Plan`."""
        matrices = self._matrices(eps)
        layers = []
        for layer, matrix, mean in zip(self.chain.layers, matrices, self.means, strict=True):
            weight, bias = matrix.to_dense(), layer.bias
            if bias is not None and mean is not None:
                bias = bias + (layer.weight - weight) @ mean
            layers.append(replace(layer, weight=weight, bias=bias))
        stored = tuple(m.storage + bias for m, bias in zip(matrices, self._biases, strict=True))
        return HierarchicalReduction(
            self.network.with_chain(replace(self.chain, layers=tuple(layers))),
            tuple(np.arange(layer.units) for layer in self.chain.hidden),
            sum(stored),
            eps,
            hypot(*(matrix.error for matrix in matrices)),
            stored=stored,
            matrices=matrices,
        )
