"""Compression by hierarchical matrices: every weight matrix low rank block by block.

References
----------
Mango, Katende, arXiv:2409.07028.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import hypot
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from symlump.compression.hierarchical.block_fit import Fit, decade
from symlump.compression.hierarchical.hmatrix import HMatrix
from symlump.compression.hierarchical.matrix_checks import check_leaf_size, check_order
from symlump.compression.hierarchical.weighted_fit import WeightedFit
from symlump.compression.inputs import Inputs, check_inputs, refuse_overflow, samples_of
from symlump.compression.merging.effect import forward
from symlump.compression.merging.values import columns
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction, own_units
from symlump.errors import NetworkError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.precision import PRECISIONS
from symlump.network.saved.codings import BlockWeight
from symlump.network.shared import holders
from symlump.ode.exact import FloatArray
from symlump.old_names import accept_old_names
from symlump.plan import check_wish

if TYPE_CHECKING:
    from torch import nn

#: Something for layers, by name.
Arriving: TypeAlias = dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class HierarchicalReduction(Reduction):
    """A network whose dense layers are stored as hierarchical matrices.

    Parameters
    ----------
    network : Network
        The same network with dense weights, the matrices multiplied out.
    matrices : tuple of HMatrix
        One for each dense layer; those that share their weights have the same.
    """

    matrices: tuple[HMatrix, ...] = ()

    @property
    def blocks(self) -> tuple[BlockWeight, ...]:
        """See :class:`symlump.compression.reduction.Reduction`."""
        return tuple(matrix.as_blocks() for matrix in dict.fromkeys(self.matrices))

    def finish(self, model: nn.Module) -> nn.Module:
        """Replace the dense layers of a torch model by trainable hierarchical ones."""
        from symlump.compression.hierarchical.hlinear import replace_linear
        from symlump.network.torch_io import layer_places

        dense = [layer.name for layer in dense_layers(self.network)]
        places = layer_places(self.network, model)
        return replace_linear(model, self.matrices, [places[name] for name in dense])

    def held_by(self, model: Network | nn.Module) -> Network:
        """Two layers for each hierarchical one: its product is exact only as two factors."""
        if isinstance(model, Network):
            return model
        from symlump.compression.hierarchical.hlinear import factored_network

        return factored_network(self.network, model)


def dense_layers(network: Network) -> list[Affine]:
    """The layers that are matrices."""
    return [layer for layer in network.layers if layer.is_dense]


@accept_old_names(tol="eps")
@dataclass(frozen=True, eq=False)
class Hierarchical(CompressionMethod):
    """Store each dense layer's weights block by block, dense or of low rank, within a relative error.

    ‖W − Ŵ‖_F ≤ ε·‖W‖_F for every layer, guaranteed (see :class:`symlump.HMatrix`) before what is stored is
    rounded to the network's own precision; the bounds of ``matrices`` count that in. With ``inputs`` the
    error is the root mean square change of the layer's pre-activations over these inputs, relative to
    that of the pre-activations about their mean; the biases then take up the mean change (a layer without
    bias has no mean taken off). Biases are kept and counted, and so are convolutions, as they are: the report
    names them. With a torch model, the result's dense layers are :class:`symlump.HLinear` modules, which go on
    training in this form.

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
    inputs : array, tensor, DataLoader or Normal, optional
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
    inputs: Inputs = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.inputs is not None:
            check_inputs(self.inputs, "Hierarchical")
        check_wish(self, eps=self.eps, retain=self.retain)
        check_leaf_size(self.leaf_size)
        check_order(self.order)

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "hierarchical" if self.inputs is None else "hierarchical, on inputs"

    def plan(self, network: Network) -> _Matrices:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan
            The matrices, decomposed block by block.

        Raises
        ------
        NetworkError
            If no layer is a matrix, or some share only a part of what they hold.

        Examples
        --------
        >>> net = Network.dense([np.ones((64, 64)), np.ones((1, 64))])
        >>> Hierarchical(eps=1e-6).plan(net).size(1e-6) < net.parameters
        True
        """
        if not dense_layers(network):
            raise NetworkError(
                f"Hierarchical stores dense layers block by block, and {network!r} has none; AFDE, Symmetric, "
                "Dependence and the baselines take it"
            )
        for users in network.sharing.values():
            if any(user.is_dense and user.bias_name != users[0].bias_name for user in users):
                names = ", ".join(user.name for user in users)
                raise NetworkError(
                    f"{names} share their weights but not their biases; Hierarchical keeps whole layers shared"
                )
        return _Matrices(network, self.leaf_size, self.order, *self._arriving(network))

    def _arriving(self, network: Network) -> tuple[Arriving, Arriving]:
        """Mean and second moments of what arrives at dense layers, about the mean if there is a bias.

        By the name of the first layer with these weights; what arrives at all that share them counts together.
        """
        if self.inputs is None:
            return {}, {}
        samples = samples_of(self.inputs, network, all_given=True)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            values = forward(network, samples)
        arriving: dict[str, list[FloatArray]] = {}
        biased: dict[str, bool] = {}
        for layer, number in zip(network.layers, holders(network.layers), strict=True):
            if layer.is_dense:
                first = network.layers[number].name
                arriving.setdefault(first, []).append(columns(values[layer.inputs[0]]))
                biased[first] = biased.get(first, True) and layer.bias is not None
        means: Arriving = {}
        moments: Arriving = {}
        for name, parts in arriving.items():
            h = parts[0] if len(parts) == 1 else np.concatenate(parts)
            refuse_overflow(name, "its error cannot be weighed", h)
            means[name] = h.mean(axis=0) if biased[name] else np.zeros(h.shape[1])
            with np.errstate(over="ignore", invalid="ignore"):
                about = h - means[name]
                moments[name] = about.T @ about / len(h)
            refuse_overflow(name, "its error cannot be weighed", moments[name])
        return means, moments


@dataclass(frozen=True, eq=False)
class _Matrices(NetworkPlan):
    """The weight matrices of a network, decomposed block by block."""

    network: Network
    leaf_size: int
    order: str
    means: Arriving
    moments: Arriving
    #: By layer and power of ten: what is computed for a tolerance serves those near it.
    fits: dict[tuple[str, float], Fit] = field(default_factory=dict)

    def _fit(self, layer: Affine, eps: float) -> Fit:
        key = layer.name, decade(eps)
        if key not in self.fits:
            spread = self.moments.get(layer.name)
            self.fits[key] = (
                Fit.of(layer.weight, eps, self.leaf_size, self.order)
                if spread is None
                else WeightedFit.weighted(layer.weight, spread, eps, self.leaf_size, self.order)
            )
        return self.fits[key]

    def _matrices(self, eps: float) -> dict[int, HMatrix]:
        """By the number of the first layer with these weights."""
        layers = self.network.layers
        first = sorted({n for n in holders(layers) if layers[n].is_dense})
        return {n: HMatrix.from_fit(self._fit(layers[n], eps), eps) for n in first}

    def _stored(self, matrices: dict[int, HMatrix]) -> tuple[int, ...]:
        """Numbers stored for each layer."""
        pairs = enumerate(zip(self.network.layers, self.network.held, strict=True))
        return tuple(
            held - int(layer.weight.size) + matrices[n].storage if n in matrices else held
            for n, (layer, held) in pairs
        )

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return self.network.other_parameters + sum(self._stored(self._matrices(eps)))

    def at(self, eps: float) -> HierarchicalReduction:
        """See :class:`symlump.plan.Plan`."""
        network, precision = self.network, PRECISIONS[self.network.dtype]
        # In the network's own precision, so that blocks are what a file, and a module, holds.
        matrices = {n: matrix.in_precision(precision) for n, matrix in self._matrices(eps).items()}
        layers = []
        for layer, n in zip(network.layers, holders(network.layers), strict=True):
            if n in matrices:
                weight, bias = matrices[n].to_dense(), layer.bias
                mean = self.means.get(network.layers[n].name)
                if bias is not None and mean is not None:
                    bias = bias + (layer.weight - weight) @ mean
                layers.append(replace(layer, weight=weight, bias=bias))
        stored = self._stored(matrices)
        left = [layer.name for layer in network.layers if not layer.is_dense]
        compared = "what it gives over the stated inputs" if self.moments else "its Frobenius norm"
        return HierarchicalReduction(
            network.with_layers(layers),
            own_units(network),
            sum(stored) + network.other_parameters,
            eps,
            hypot(*(matrix.error for matrix in matrices.values())),
            stored=stored,
            matrices=tuple(
                matrices[n]
                for layer, n in zip(network.layers, holders(network.layers), strict=True)
                if layer.is_dense
            ),
            note=f"left as they are: {', '.join(left)}" if left else "",
            measure=f"ε is the error of each matrix, relative to {compared}",
        )
