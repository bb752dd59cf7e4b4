"""Units merged within a tolerance by the coefficients of the equation, layer by layer, on arrays of weights.

The blocks are those of ε-forward equivalence of the influence form, found as :func:`symlump.lump` finds them:
what a layer reads is final when its turn comes, so each layer needs one grouping of its rows. Here the rows are
the arrays that the network holds, and nothing else is built until a tolerance is settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import sparse

from symlump.compression.merging.effect import layer_effects
from symlump.compression.merging.reference import Merged
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.grouping import group_at_least
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.decode import unit_labels
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.weights import OfMeans, summed_rows
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.rewrite import rewrite
from symlump.network.step_nodes import Attention
from symlump.ode.exact import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class CoefficientMerging:
    """The influence form of a network, and what its units merge to at any tolerance.

    The units of sums, of products, and of layers with one factor or kernel per unit merge only where they are
    exactly equal: the mean of two different ones would be no such unit.

    Parameters
    ----------
    ode : NetworkODE
    linkage : Linkage
    units : dict
        For each layer, by name, what distances are divided by; if that is not given, the mean norm of the
        layer's signatures when its turn comes.
    floor : float
        The share of its units that a layer keeps at any tolerance, as far as they are not equal.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> net = Network((
    ...     Input("x", (), (1,)), Affine("a", ("x",), np.array([[1.0], [1.2]])),
    ...     Affine("b", ("a",), np.array([[2.0, 3.0]]))), ("b",))
    >>> merging = CoefficientMerging(encode(net), Linkage.VARIANCE, {"a": 1.0, "b": 1.0})
    >>> small = merging.merge(merging.labels(0.3)).network
    >>> [layer.weight.round(3).tolist() for layer in small.layers]
    [[[1.1]], [[5.0]]]
    """

    ode: NetworkODE
    linkage: Linkage
    units: dict[str, float]
    floor: float = 0.0

    @classmethod
    def of(
        cls, network: Network, linkage: Linkage, relative: bool, relative_to: str
    ) -> CoefficientMerging:
        """With the unit of distances that AFDE's options name."""
        return cls(encode(network), linkage, layer_units(network, relative, relative_to))

    def labels(self, eps: float) -> IntArray:
        """The block of each variable at a tolerance."""
        labels = np.arange(len(self.ode))
        for node in self.ode.network.nodes:
            if not isinstance(node, Affine | Combine | Attention):
                continue
            own = self.ode.where(node.name)
            if self.ode.kinds[own[0]] != "unit" or own.size == 1:
                continue
            labels[own] = own[Partition(self._groups(node, labels, eps)).first_of_each]
        return labels

    def _groups(self, node: Affine | Combine | Attention, labels: IntArray, eps: float) -> IntArray:
        if isinstance(node, Affine) and not node.depthwise:
            rows, _ = summed_rows(self.ode, labels, node)
            if node.bias is not None:
                rows = np.hstack([rows, node.bias[:, None]])
            unit = self.units.get(node.name) or _mean_norm(rows, self.linkage.norm)
            fewest = ceil(self.floor * node.units)
            return group_at_least(sparse.csr_array(rows / unit), eps, self.linkage, fewest)
        return equal_units(self.ode, labels, node)

    def merge(self, labels: IntArray) -> Merged:
        """The merged network: rows are means, what is read is summed."""
        own, places = unit_labels(self.ode, labels), _Places(self.ode, labels)
        return Merged(self.ode.network, rewrite(self.ode.network, own, places), own, places.places)


def equal_units(ode: NetworkODE, labels: IntArray, node: Affine | Combine | Attention) -> IntArray:
    """Group numbers of the units of a sum, a product, an attention or a depthwise layer: equal ones together.

    Parameters
    ----------
    labels : ndarray of int
        The block of each variable, final for those that the node reads.
    """
    keys: FloatArray | IntArray
    if isinstance(node, Affine):
        (reading,) = ode.readings[node.name]
        channel = np.arange(node.units) // (node.units // reading.source.size)
        weight = node.weight.reshape(node.units, -1)
        bias = np.zeros(node.units) if node.bias is None else node.bias
        read = np.where(weight.any(axis=1), labels[reading.source[channel]], -1)
        keys = np.hstack([read[:, None], reading.symbols[channel], weight, bias[:, None]])
    else:
        width = len(ode) + 1
        branches = [
            labels[reading.source] * width + reading.symbols[:, 0]
            for reading in ode.readings[node.name]
        ]
        keys = np.sort(np.stack(branches, axis=1), axis=1)  # a sum knows no order
    _, groups = np.unique(keys, axis=0, return_inverse=True)
    return groups.ravel()


class _Places(OfMeans):
    """Means of rows, remembering what became of the channels that each layer reads."""

    def __init__(self, ode: NetworkODE, labels: IntArray) -> None:
        super().__init__(ode, labels)
        self.places: dict[str, IntArray] = {}

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        self.places[node.name] = places
        return super().rows(node, members, channels, places)


def layer_units(network: Network, relative: bool, relative_to: str) -> dict[str, float]:
    """What to divide the distances of each layer's units by, where that is known beforehand.

    Examples
    --------
    >>> net = Network.dense([[[3.0, 4.0], [0.0, 5.0]]])
    >>> layer_units(net, False, "layer"), layer_units(net, True, "layer")
    ({'layers.0': 1.0}, {})
    """
    if not relative:
        return dict.fromkeys((layer.name for layer in network.layers), 1.0)
    if relative_to == "layer":
        return {}
    return {name: 1 / effect for name, effect in layer_effects(network).items()}


def _mean_norm(rows: FloatArray, norm: int) -> float:
    return float(np.linalg.norm(rows, norm, axis=1).mean()) or 1.0
