"""Merging units of a network by how differently they act, and fitting what follows.

The distance of two units of one layer is the root mean square, over a stated distribution of the inputs, of
the difference of their outputs h, each unit counting by its effect on the network's outputs

    w_i = E[Σ_k (∂y_k/∂h_i)²] / Var(y),

so a distance is roughly what merging the two moves the outputs by, relative to their size, whatever the
layer. No data is needed: the distribution is standard normal unless told otherwise. Exactly equivalent units
have distance 0, and units that no stated input sets apart.

A merged unit gets the weighted mean of its members' incoming weights. Its outgoing weights are their sum,
as in the quotient; or, refitted: with H the outputs of the original units of a layer and Ĥ those of the
merged ones, the matrix A and constants a that minimise E‖H − A·Ĥ − a‖² replace "every member is its
block", and W·A, b + W·a the sums. Both are closed forms, layer after layer, so a layer is fitted on what
those before it have become.

References
----------
Fitting the layer after a reduction by least squares: He, Zhang, Sun, arXiv:1707.06168 (on data, for channels
of convolutions); Shah, Olivier, Raj, arXiv:2005.14070.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from scipy.linalg import solve
from scipy.sparse import csr_array

from symlump.compression.merging.effect import output_effects
from symlump.compression.merging.ward import cut, merge_tree
from symlump.compression.moments import (
    SAMPLES,
    Moments,
    Normal,
    Sampled,
    hidden_degree,
    moments_of,
)
from symlump.errors import FailureError, MethodError
from symlump.lumping.forward import Forward
from symlump.lumping.lump import block_names
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.chain import Chain, Layer
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

#: Ridge of the refit, relative to the mean square of the merged units' outputs.
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Merging:
    """The merge trees of all hidden layers of a network.

    Parameters
    ----------
    network : Chain
    moments : Moments
        Of the units, under the stated inputs.
    samples : ndarray, shape (samples, inputs)
        Of these inputs.
    effects : tuple of ndarray
        For each hidden layer the weights w of its units.
    trees : tuple of ndarray
        For each hidden layer the merges and their heights; see :mod:`symlump.compression.merging.ward`.

    Examples
    --------
    >>> net = Chain.dense([[[1.0, 2.0], [1.1, 2.0], [-1.0, 0.0]], [[0.5, 0.25, 1.0]]])
    >>> merging = Merging.of(net, Normal(), Linkage.VARIANCE)
    >>> [labels.tolist() for labels in merging.labels(0.1)]
    [[0, 0, 1]]
    >>> merging.widths(0.1), merging.tolerance(7) == float(merging.trees[0][0, 2])
    ((2, 2, 1), True)
    """

    network: Chain
    moments: Moments
    samples: FloatArray
    effects: tuple[FloatArray, ...]
    trees: tuple[FloatArray, ...]

    @classmethod
    def of(cls, network: Chain, inputs: Normal, linkage: Linkage) -> Merging:
        """Compute the trees: the one costly step, the same for every tolerance.

        Raises
        ------
        MethodError
            If units overflow under the stated inputs, as high powers can.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            moments, samples = _moments(network, inputs)
            effects = output_effects(network, samples)
            trees, h = [], moments.start()
            if isinstance(moments, Sampled):
                h = h[:SAMPLES]  # distances need fewer samples than fits
            for layer, weights in zip(network.hidden, effects, strict=True):
                h = moments.after(layer, h)
                if not (np.isfinite(h).all() and np.isfinite(weights).all()):
                    raise MethodError(
                        f"units of this network overflow on inputs as in {inputs!r}; state how large inputs "
                        "are, as in AFDE(inputs=Normal(mean, covariance)), or use relative_to='layer' with "
                        "refit=False"
                    )
                trees.append(merge_tree(moments.root(h, centred=False).T, weights, linkage))
        return cls(network, moments, samples, effects, tuple(trees))

    def labels(self, eps: float) -> tuple[IntArray, ...]:
        """For each hidden layer the new unit of each unit, at a tolerance."""
        return tuple(cut(tree, eps) for tree in self.trees)

    def widths(self, eps: float) -> tuple[int, ...]:
        """Inputs, units of each hidden layer, outputs, at a tolerance."""
        hidden = (1 + int(np.count_nonzero(tree[:, 2] > eps)) for tree in self.trees)
        return (self.network.inputs, *hidden, self.network.outputs)

    def parameters(self, eps: float) -> int:
        """Number of weights and biases at a tolerance."""
        widths = self.widths(eps)
        return sum(
            units * (before + (layer.bias is not None))
            for layer, before, units in zip(
                self.network.layers, widths[:-1], widths[1:], strict=True
            )
        )

    def tolerance(self, target: int) -> float:
        """The smallest tolerance that leaves at most ``target`` parameters.

        Raises
        ------
        FailureError
            If even one unit per layer has more.
        """
        heights = np.unique(np.concatenate([[0.0], *(tree[:, 2] for tree in self.trees)]))
        low, high = 0, heights.size - 1
        if (least := self.parameters(float(heights[high]))) > target:
            raise FailureError(
                f"the smallest reachable size is {least} parameters, more than the requested {target}; ask "
                "for a larger share, or another method"
            )
        while low < high:
            middle = (low + high) // 2
            if self.parameters(float(heights[middle])) <= target:
                high = middle
            else:
                low = middle + 1
        return float(heights[high])

    def merged(self, labels: Sequence[IntArray], refit: bool) -> Chain:
        """The network whose units are the given groups."""
        return merged(self.network, labels, self.effects, self.moments if refit else None)


def _moments(network: Chain, inputs: Normal) -> tuple[Moments, FloatArray]:
    """Free of sampling error for small polynomials; else over two samples for each unit of the widest layer."""
    if hidden_degree(network) is not None:
        return moments_of(network, inputs)
    widest = max(layer.units for layer in network.layers)
    x = inputs.sample(max(SAMPLES, 2 * widest), network.inputs)
    return Sampled(x), x


def merged(
    network: Chain,
    labels: Sequence[IntArray],
    weights: Sequence[FloatArray],
    moments: Moments | None,
) -> Chain:
    """The network in which groups of units are one unit each.

    Parameters
    ----------
    labels : sequence of ndarray of int
        For each hidden layer the new unit of each unit.
    weights : sequence of ndarray
        For each hidden layer what its units count in means of incoming weights.
    moments : Moments, optional
        Of the inputs, to refit outgoing weights under; without, they are sums.

    Examples
    --------
    >>> net = Chain.dense([[[1.0], [2.0]], [[0.5, 0.25]]], activation="relu")
    >>> small = merged(net, [np.array([0, 0])], [np.ones(2)], None)
    >>> [layer.weight.tolist() for layer in small.layers]
    [[[1.5]], [[0.75]]]
    >>> from symlump.compression.moments import Sampled
    >>> fitted = merged(net, [np.array([0, 0])], [np.ones(2)], Sampled(np.array([[1.0], [2.0]])))
    >>> bool(np.allclose(net([[1.0], [2.0]]), fitted([[1.0], [2.0]]), rtol=1e-5))
    True
    """
    layers: list[Layer] = []
    layer, changed = network.layers[0], False
    h = wanted = None if moments is None else moments.start()
    for number, (group, weight) in enumerate(zip(labels, weights, strict=True)):
        count = int(group.max()) + 1
        changed |= count < group.size
        mean = _mean_matrix(group, weight, count)
        small = replace(
            layer,
            weight=mean @ layer.weight,
            bias=None if layer.bias is None else mean @ layer.bias,
        )
        layers.append(small if count < group.size else layer)
        sums: Any = _members(group)
        following = network.layers[number + 1]
        constant = np.zeros(group.size)
        if moments is not None and h is not None and wanted is not None:
            h = moments.after(layers[-1], h)
            wanted = moments.after(network.layers[number], wanted)
            if changed:
                sums, constant = _fitted(moments, h, wanted, sums, following.bias is not None)
        layer = replace(
            following,
            weight=following.weight @ sums,
            bias=None if following.bias is None else following.bias + following.weight @ constant,
        )
    return Chain((*layers, layer), network.dtype)


def has_equal_units(network: Chain) -> bool:
    """Whether some units of a layer have equal weights and biases; if not, nothing is exactly equivalent.

    For units of the first layer are forward equivalent only if their rows are equal; if none are, the same
    holds for the second layer, and so on.

    Examples
    --------
    >>> has_equal_units(Chain.dense([[[1.0], [2.0]], [[1.0, 1.0]]]))
    False
    >>> has_equal_units(Chain.dense([[[1.0], [1.0]], [[1.0, 1.0]]]))
    True
    """
    for layer in network.hidden:
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        # + 0.0 makes −0 and 0 the same bytes
        rows = {(row + 0.0).tobytes() for row in np.column_stack([layer.weight, bias])}
        if layer.groups is not None or len(rows) < layer.units:
            return True
    return False


def _mean_matrix(group: IntArray, weight: FloatArray, count: int) -> csr_array:
    """The weighted means of groups as a matrix; a group without weight gets its plain mean."""
    total = np.bincount(group, weights=weight, minlength=count)
    share = np.where(total[group] > 0, weight, 1.0)
    mean = share / np.bincount(group, weights=share)[group]
    return csr_array((mean, (group, np.arange(group.size))), shape=(count, group.size))


def _fitted(
    moments: Moments, h: FloatArray, wanted: FloatArray, sums: csr_array, constant: bool
) -> tuple[FloatArray, FloatArray]:
    """The matrix A and constants a that give ``wanted`` from h best; ``sums`` where h does not decide."""
    gram, right = np.zeros((h.shape[1], h.shape[1])), np.zeros((h.shape[1], wanted.shape[1]))
    for root, gap in moments.roots(h, wanted, centred=constant):
        gap -= root @ sums.T
        gram += root.T @ root
        right += root.T @ gap
    gram[np.diag_indices_from(gram)] += _RIDGE * (float(np.trace(gram)) / len(gram) or 1.0)
    correction = solve(gram, right, assume_a="pos", overwrite_a=True, overwrite_b=True)
    matrix = correction.T
    matrix[sums.nonzero()] += sums.data
    if not constant:
        return matrix, np.zeros(len(matrix))
    return matrix, moments.mean(wanted) - matrix @ moments.mean(h)


def lumping_of(
    ode: NetworkODE, small: Chain, labels: Sequence[IntArray], method: Forward
) -> Lumping:
    """The lumping of a network's influence form whose quotient is the merged network's.

    The quotient is exact for a reference system, which :attr:`Lumping.reference` spells out; ``defect`` is
    that system's distance from the original.

    Examples
    --------
    >>> from symlump import Network, decode
    >>> net = Network.dense([[[1.0], [3.0]], [[0.5, 0.25]]])
    >>> small = merged(net.chain, [np.array([0, 0])], [np.ones(2)], None)
    >>> lumping = lumping_of(encode(net), small, [np.array([0, 0])], Forward(1.0))
    >>> decode(lumping).layers[0].weight.tolist(), round(lumping.defect, 4)
    ([[2.0]], 1.4142)
    """
    initial = ode.initial_labels("forward")
    blocks = np.arange(len(ode)) + int(initial.max(initial=0)) + 1
    for layer, group in zip(ode.network.hidden, labels, strict=True):
        units = ode.where(layer.name)
        blocks[units] = units[0] + group
    partition = Partition(blocks)
    # Both count inputs, units layer by layer, outputs, the constant; blocks in the order of their first member.
    terms = encode(ode.network.with_chain(small))
    quotient = PolynomialODE(
        block_names(ode, partition), terms.monomials, terms.rows, terms.columns, terms.coefficients
    )
    defect = reference_distance(ode.network.dense_chain("AFDE"), small, labels)
    return Lumping(ode, method, Partition(initial), partition, quotient, defect, 1)


def reference_distance(network: Chain, small: Chain, labels: Sequence[IntArray]) -> float:
    """‖reference − original‖₂: a gap in the sum over a block is spread evenly over its members."""
    total = 0.0
    before = np.arange(network.inputs)
    for layer, other, group in zip(
        network.layers, small.layers, [*labels, np.arange(network.outputs)], strict=True
    ):
        gap = layer.weight @ _members(before) - other.weight[group]
        total += float(np.sum(gap**2 / np.bincount(before)))
        if layer.bias is not None and other.bias is not None:
            total += float(np.sum((layer.bias - other.bias[group]) ** 2))
        before = group
    return sqrt(total)


def _members(group: IntArray) -> csr_array:
    """The matrix with a 1 where a unit (row) is a member of a group (column)."""
    units = np.arange(group.size)
    return csr_array(
        (np.ones(group.size), (units, group)), shape=(group.size, int(group.max()) + 1)
    )
