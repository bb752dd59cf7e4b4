"""Merging units of a network by how differently they act, and fitting what follows.

The distance of two units that may merge is the root mean square, over a stated distribution of the inputs, of
the difference of what the next layers read of them, each unit counting by its effect on the network's outputs

    w_i = E[Σ_k (∂y_k/∂h_i)²] / Var(y),

so a distance is roughly what merging the two moves the outputs by, relative to their size, whatever the layer.
In the other unit, that of the layer, all units of a layer count the same, and its mean square is 1.
On a grid the differences are averaged over it and the squares in w_i added up; where several values are read
(before and after a residual block), each counts by its part of the effect. No data is needed: the distribution
is standard normal unless told otherwise. Exactly equivalent units have distance 0, and units that no stated
input sets apart.

A merged unit gets the weighted mean of its members' incoming weights, in every layer that makes it. The weights
with which it is read are the sum of its members', as in the quotient; or, refitted: with H the values of the
original units and Ĥ those of the merged ones, the matrix A and constants a that minimise E‖H − A·Ĥ − a‖²
replace "every member is its block", and W·A, b + W·a the sums, offset by offset of a kernel. (A layer that pads
with zeros gets no constants: they would not hold at the edge.) Both are closed forms, layer after layer, so a
layer is fitted on what those before it have become.

References
----------
Fitting the layer after a reduction by least squares: He, Zhang, Sun, arXiv:1707.06168 (on data, for channels
of convolutions); Shah, Olivier, Raj, arXiv:2005.14070.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from symlump.compression.merging.effect import read_effects
from symlump.compression.merging.reference import Merged
from symlump.compression.merging.refit import MergedWeights
from symlump.compression.merging.values import (
    Memory,
    SampledValues,
    Values,
    ValueWalk,
    features,
    memory_for,
    values_of,
)
from symlump.compression.merging.ward import cut, cut_to, merge_tree, merge_trees
from symlump.compression.moments import SAMPLES
from symlump.errors import FailureError, MethodError
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.network import Network
from symlump.network.rewrite import rewrite
from symlump.network.ties import Ties, find_ties, regroup
from symlump.ode.exact import FloatArray, IntArray

#: Where a size is asked for, no axis is left with a smaller share of its units.
FLOOR = 1 / 8


@dataclass(frozen=True, eq=False)
class Merging:
    """The merge trees of all units of a network that may merge.

    Parameters
    ----------
    network : Network
    ties : Ties
        Which units may merge.
    values : Values
        Of the units, under the stated inputs.
    samples : tuple of ndarray
        Of these inputs.
    effects : ndarray, shape (units,)
        The weights w.
    trees : tuple of ndarray
        For each axis of ``ties`` the merges and their heights; see :mod:`symlump.compression.merging.ward`.
    floor : float
        The share of its units that an axis keeps at any tolerance, so that no layer collapses.
    memory : Memory, optional
        What fits share from one tolerance to the next.

    Examples
    --------
    >>> from symlump.compression.moments import Normal
    >>> net = Network.dense([[[1.0, 2.0], [1.1, 2.0], [-1.0, 0.0]], [[0.5, 0.25, 1.0]]])
    >>> (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    >>> merging.groups(0.1)[merging.ties.units["layers.0"]].tolist()
    [2, 2, 4]
    >>> merging.parameters(0.1), merging.tolerance(7) == float(merging.trees[0][0, 2])
    (6, True)
    """

    network: Network
    ties: Ties
    values: Values
    samples: tuple[FloatArray, ...]
    effects: FloatArray
    trees: tuple[FloatArray, ...]
    floor: float = 0.0
    memory: Memory | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        network: Network,
        inputs: object,
        linkage: Linkage,
        relative_to: Sequence[str] = ("output",),
    ) -> tuple[Merging, ...]:
        """Compute the trees: the one costly step, the same for every tolerance.

        Parameters
        ----------
        relative_to : sequence of {"output", "parameters", "layer"}
            The units of distances, one merging for each; values and distances are computed once for all.

        Raises
        ------
        MethodError
            If units overflow under the stated inputs, as high powers can, or the inputs do not fit.
        """
        ties = find_ties(network)
        with np.errstate(over="ignore", invalid="ignore"):
            values, samples = values_of(network, inputs)
            memory = memory_for(network, values)
            read = read_effects(network, samples)
            units = ["layer" if unit == "layer" else "output" for unit in relative_to]
            effects, trees = _trees(
                network,
                ties,
                values,
                read,
                linkage,
                list(dict.fromkeys(units)),
                repr(inputs),
                memory,
            )
        found = {
            unit: cls(network, ties, values, samples, effects, own, memory=memory)
            for unit, own in trees.items()
        }
        return tuple(
            found[own].price() if unit == "parameters" else found[own]
            for unit, own in zip(relative_to, units, strict=True)
        )

    def groups(self, eps: float) -> IntArray:
        """The group of each unit, at a tolerance."""
        return regroup(
            self.ties, self._even({i: self._cut(t, eps) for i, t in enumerate(self.trees)})
        )

    def _even(self, cuts: dict[int, IntArray]) -> dict[int, IntArray]:
        """The heads of an attention keep as many units as the one that keeps most."""
        most: dict[int, int] = {}
        for i, level in enumerate(self.ties.level):
            most[level] = max(most.get(level, 0), int(cuts[i].max()) + 1)
        return {
            i: own
            if int(own.max()) + 1 == (keep := most[self.ties.level[i]])
            else cut_to(self.trees[i], keep)
            for i, own in cuts.items()
        }

    def _cut(self, tree: FloatArray, eps: float) -> IntArray:
        """The groups of one axis: its last merges are left out if too few would remain."""
        last = len(tree) - ceil(self.floor * (len(tree) + 1)) + 1  # so many merges leave the floor
        if last <= 0:
            return np.arange(len(tree) + 1)
        return cut(tree, min(eps, float(tree[last - 1, 2]))) if last < len(tree) else cut(tree, eps)

    def with_floor(self, floor: float = FLOOR) -> Merging:
        """The same, where every axis keeps a share of its units."""
        return replace(self, floor=floor)

    def price(self) -> Merging:
        """The same, with heights for each share of the parameters that merging two units of an axis saves.

        Half the square of a height is what the error grows by. Where units of an axis hold the share s of all
        parameters each, heights divided by √s are in the order of growth per share saved: with u_a units of
        axis a left, one tolerance for all axes minimises

            Σ_a growth_a(u_a) + ε²/2 · Σ_a s_a·u_a,

        so no other choice of the numbers of units that is as small, counted so, costs less.

        Examples
        --------
        >>> from symlump.compression.moments import Normal
        >>> net = Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
        >>> (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
        >>> priced = merging.price()  # either unit holds 3 of 6 parameters
        >>> round(float(priced.trees[0][0, 2] / merging.trees[0][0, 2]) ** 2, 9)
        2.0
        """
        trees = []
        for tree, share in zip(self.trees, self.ties.shares(self.network), strict=True):
            priced = tree.copy()
            priced[:, 2] /= np.sqrt(share)
            trees.append(priced)
        return replace(self, trees=tuple(trees))

    def parameters(self, eps: float) -> int:
        """Number of weights and biases at a tolerance."""
        return self.ties.parameters(self.network, self.groups(eps))

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

    def merge(self, groups: IntArray, refit: bool) -> Merged:
        """The network whose units are the given groups."""
        values, memory = (self.values, self.memory) if refit else (None, None)
        return merge_units(self.network, self.ties, groups, self.effects, values, memory)

    def height(self, x: int, y: int) -> float | None:
        """The tolerance at which the groups of two units join; None where they never may."""
        for units, tree in zip(self.ties.axes, self.trees, strict=True):
            place = {unit: leaf for leaf, unit in enumerate(units.tolist())}
            if x not in place or y not in place:
                continue
            group = {place[x], place[y]}
            if len(group) == 1:
                return 0.0
            for number, (a, b, height, _) in enumerate(tree.tolist(), start=units.size):
                if a in group or b in group:
                    group = (group - {int(a), int(b)}) | {number}
                    if len(group) == 1:
                        return float(height)
        return None


def merge_units(
    network: Network,
    ties: Ties,
    groups: IntArray,
    effects: FloatArray,
    values: Values | None,
    memory: Memory | None = None,
) -> Merged:
    """The network in which groups of units are one unit each.

    Parameters
    ----------
    groups : ndarray of int, shape (units,)
        The group of each unit.
    effects : ndarray, shape (units,)
        What units count in means of incoming weights.
    values : Values, optional
        Of the inputs, to refit outgoing weights under; without, they are sums.
    memory : Memory, optional
        What is kept from one fit to the next.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [2.0]], [[0.5, 0.25]]], activation="relu")
    >>> ties = find_ties(net)
    >>> groups = regroup(ties, {0: np.array([0, 0])})
    >>> small = merge_units(net, ties, groups, np.ones(ties.count), None)
    >>> [layer.weight.tolist() for layer in small.network.layers]
    [[[1.5]], [[0.75]]]
    >>> values = SampledValues((np.array([[1.0], [2.0]]),))
    >>> fitted = merge_units(net, ties, groups, np.ones(ties.count), values)
    >>> bool(np.allclose(net([[1.0], [2.0]]), fitted.network([[1.0], [2.0]]), rtol=1e-5))
    True
    """
    labels = ties.labels(network, groups)
    weights = MergedWeights(network, ties, groups, effects, values, memory)
    return Merged(network, rewrite(network, labels, weights), labels, weights.places)


def has_equal_units(network: Network) -> bool:
    """Whether some units of a layer have equal weights and biases; if not, nothing is exactly equivalent.

    For units of the first layer are forward equivalent only if their rows are equal; if none are, the same
    holds for the second layer, and so on. Layers that make units of sums may be merged though their rows differ
    where sums of weights agree, so only chains of dense layers are told.

    Examples
    --------
    >>> has_equal_units(Network.dense([[[1.0], [2.0]], [[1.0, 1.0]]]))
    False
    >>> has_equal_units(Network.dense([[[1.0], [1.0]], [[1.0, 1.0]]]))
    True
    """
    if network.chain is None:
        return True
    for layer in network.chain.hidden:
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        # + 0.0 makes −0 and 0 the same bytes
        rows = {(row + 0.0).tobytes() for row in np.column_stack([layer.weight, bias])}
        if layer.groups is not None or len(rows) < layer.units:
            return True
    return False


def _trees(
    network: Network,
    ties: Ties,
    values: Values,
    read: dict[str, FloatArray],
    linkage: Linkage,
    relative_to: Sequence[str],
    inputs: str,
    memory: Memory | None,
) -> tuple[FloatArray, dict[str, tuple[FloatArray, ...]]]:
    """The weights of all units, and in each unit of distances the tree of each axis."""
    places = {  # for each axis where its units are read: the channels of each unit
        name: [(a, at) for a in range(len(ties.axes)) if (at := ties.table(name, a)).size]
        for name in read
    }
    wanted = [
        sum(a == b for found in places.values() for b, _ in found) for a in range(len(ties.axes))
    ]
    effects = np.zeros(ties.count)
    parts: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in ties.axes]
    trees = [[np.empty((0, 4))] * len(relative_to)] * len(ties.axes)
    if isinstance(values, SampledValues) and len(values.samples[0]) > SAMPLES:
        values, memory = SampledValues(tuple(x[:SAMPLES] for x in values.samples)), None
    walk = ValueWalk(network, values, memory)  # distances need fewer samples than fits
    for node in network.nodes:
        if node.name not in places:
            continue
        h = walk.until(node.name)
        for axis, at in places[node.name]:
            weights = read[node.name][at].sum(axis=1)
            columns = features(h, at)
            if not (np.isfinite(columns).all() and np.isfinite(weights).all()):
                raise MethodError(
                    f"units of this network overflow on inputs as in {inputs}; state how large inputs are, "
                    "as in AFDE(inputs=Normal(mean, covariance)), or use relative_to='layer' with refit=False"
                )
            root = values.moments.root(columns, centred=False)
            del columns
            effects[ties.axes[axis]] += weights
            parts[axis].append((root, weights))
            del root
            if len(parts[axis]) == wanted[axis]:
                trees[axis] = _trees_of(parts[axis], linkage, relative_to)
                parts[axis] = []
    for axis, count in enumerate(wanted):
        if not count:  # nothing reads these units, so they are one
            units = ties.axes[axis].size
            alike = [np.zeros(units)] * len(relative_to)
            trees[axis] = merge_trees(np.zeros((units, 1)), alike, linkage)
    return effects, {
        unit: tuple(axis[number] for axis in trees) for number, unit in enumerate(relative_to)
    }


def _trees_of(
    parts: list[tuple[FloatArray, FloatArray]], linkage: Linkage, relative_to: Sequence[str]
) -> list[FloatArray]:
    """In each unit one tree of all that is read of some units.

    Each value counts by its part of the effect; in the unit of the layer each counts the same.
    """
    sizes = [float(np.mean(np.einsum("ij,ij->j", root, root))) or 1.0 for root, _ in parts]
    if len(parts) == 1:
        weights = parts[0][1]
        counting = {"output": weights, "layer": np.full(weights.size, 1 / sizes[0])}
        weightings = [counting[unit] for unit in relative_to]
        return merge_trees(parts.pop()[0].T, weightings, linkage)  # nothing else holds the rows
    total = sum(float(weights.mean()) for _, weights in parts) or 1.0
    factors = {
        "output": [float(weights.mean()) / total for _, weights in parts],
        "layer": [1 / (size * len(parts)) for size in sizes],
    }
    weights = np.sum([weights for _, weights in parts], axis=0)
    counting = {"output": weights, "layer": np.ones(weights.size)}
    trees = []
    for unit in relative_to:
        by_part = zip(parts, factors[unit], strict=True)
        rows = np.hstack([root.T * np.sqrt(factor) for (root, _), factor in by_part])
        trees.append(merge_tree(rows, counting[unit], linkage))
    return trees
