"""Units of a network graph merged within a tolerance, layer by layer, on arrays of weights.

The blocks are those of ε-forward equivalence of the graph's influence form, found as
:func:`symlump.lump` finds them: what a layer reads is final when its turn comes, so each layer needs one
grouping of its rows. Here the rows are the arrays that the network holds, and nothing else is built until a
tolerance is settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import sparse

from symlump.compression.merging.graph_effect import layer_units
from symlump.errors import FailureError
from symlump.lumping.forward import Forward
from symlump.lumping.lump import block_names
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage, group_rows
from symlump.network.decode import unit_labels
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.weights import OfMeans, summed_rows
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine, Node
from symlump.network.rewrite import rewritten, tidied
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True, eq=False)
class GraphMerging:
    """The influence form of a graph, and what its units merge to at any tolerance.

    The units of sums, of products, and of layers with one factor or kernel per unit merge only where they are
    exactly equal: the mean of two different ones would be no such unit.

    Parameters
    ----------
    ode : NetworkODE
    linkage : Linkage
    units : dict
        For each layer, by name, what distances are divided by.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> graph = Network((
    ...     Input("x", (), (1,)), Affine("a", ("x",), np.array([[1.0], [1.2]])),
    ...     Affine("b", ("a",), np.array([[2.0, 3.0]]))), ("b",))
    >>> merging = GraphMerging(encode(graph), Linkage.VARIANCE, {"a": 1.0, "b": 1.0})
    >>> [layer.weight.round(3).tolist() for layer in merging.graph(merging.labels(0.3)).layers]
    [[[1.1]], [[5.0]]]
    """

    ode: NetworkODE
    linkage: Linkage
    units: dict[str, float]

    @classmethod
    def of(cls, graph: Network, linkage: Linkage, relative: bool, relative_to: str) -> GraphMerging:
        """With the unit of distances that AFDE's options name."""
        return cls(encode(graph), linkage, layer_units(graph, linkage, relative, relative_to))

    def labels(self, eps: float) -> IntArray:
        """The block of each variable at a tolerance."""
        labels = np.arange(len(self.ode))
        for node in self.ode.network.nodes:
            if not isinstance(node, Affine | Combine):
                continue
            own = self.ode.where(node.name)
            if self.ode.kinds[own[0]] != "unit" or own.size == 1:
                continue
            groups = self._groups(node, labels, eps)
            _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
            labels[own] = own[first[inverse.ravel()]]
        return labels

    def _groups(self, node: Affine | Combine, labels: IntArray, eps: float) -> IntArray:
        if isinstance(node, Affine) and not node.depthwise:
            rows, _ = summed_rows(self.ode, labels, node)
            if node.bias is not None:
                rows = np.hstack([rows, node.bias[:, None]])
            return group_rows(sparse.csr_array(rows / self.units[node.name]), eps, self.linkage)
        return equal_units(self.ode, labels, node)

    def parameters(self, labels: IntArray) -> int:
        """Number of weights and biases of the merged graph."""
        return rewritten(self.ode.network, unit_labels(self.ode, labels), _Nothing()).parameters

    def graph(self, labels: IntArray) -> Network:
        """The merged graph: rows are means, what is read is summed."""
        return tidied(self._decoded(labels))

    def _decoded(self, labels: IntArray) -> Network:
        return rewritten(self.ode.network, unit_labels(self.ode, labels), OfMeans(self.ode, labels))

    def lumping(self, labels: IntArray, method: Forward) -> Lumping:
        """The lumping whose quotient is the equation of the merged graph.

        It is exact for a reference system, which :attr:`Lumping.reference` spells out; ``defect`` is that
        system's distance from the original.

        Raises
        ------
        FailureError
            If blocks and equation do not match, which has no likely explanation.
        """
        partition = Partition(labels)
        small = encode(self._decoded(labels))
        if len(small) != len(partition):
            raise FailureError(
                "the merged graph has other units than blocks; please report the network"
            )
        names = block_names(self.ode, partition)
        quotient = PolynomialODE(
            names,
            small.monomials,
            small.rows,
            small.columns,
            small.coefficients,
            tuple(names[small.index[name]] for name in small.parameters),
        )
        initial = Partition(self.ode.initial_labels("forward"))
        return Lumping(self.ode, method, initial, partition, quotient, self._defect(labels), 1)

    def _defect(self, labels: IntArray) -> float:
        """‖reference − original‖₂: a gap in the sum over a block is spread evenly over its members."""
        total = 0.0
        sizes = np.bincount(labels)
        for node in self.ode.network.layers:
            own = labels[self.ode.where(node.name)]
            if np.unique(own).size == own.size or node.depthwise:
                continue  # nothing merged, or equal things only
            _, units = np.unique(own, return_inverse=True)
            rows, column = summed_rows(self.ode, labels, node)
            members = np.empty(rows.shape[1])
            (reading,) = self.ode.readings[node.name]
            members[column] = sizes[labels[reading.source]].repeat(reading.symbols.shape[1])
            total += float((_gaps(rows, units.ravel()) ** 2 / members).sum())
            if node.bias is not None:
                total += float((_gaps(node.bias[:, None], units.ravel()) ** 2).sum())
        return sqrt(total)


def equal_units(ode: NetworkODE, labels: IntArray, node: Affine | Combine) -> IntArray:
    """Group numbers of the units of a sum, a product or a depthwise layer: equal ones together.

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


def _gaps(rows: FloatArray, units: IntArray) -> FloatArray:
    """Rows minus the mean of their group."""
    sizes = np.bincount(units)
    member = sparse.csr_array(
        (np.ones(units.size), (units, np.arange(units.size))), shape=(sizes.size, units.size)
    )
    means = (member @ rows) / sizes[:, None]
    return np.asarray(rows - means[units])


class _Nothing:
    """Zeros of the right shapes, where only sizes matter."""

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        offsets = int(np.prod(node.kernel, dtype=np.int64))
        width = 1 if node.depthwise else channels.size
        return np.broadcast_to(0.0, (members.size, width, offsets))

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        return np.broadcast_to(0.0, members.shape)

    def follow(self, node: Node) -> None:
        pass
