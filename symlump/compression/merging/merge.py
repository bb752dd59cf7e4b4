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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, prod, sqrt

import numpy as np

from symlump.compression.images import Images
from symlump.compression.merging.effect import read_effects
from symlump.compression.merging.means import loss_with_means, mean_matrix
from symlump.compression.merging.reference import Merged
from symlump.compression.merging.refit import MergedWeights
from symlump.compression.merging.unit_trees import unit_trees
from symlump.compression.merging.values import (
    Memory,
    SampledValues,
    Values,
    ValueWalk,
    analysed_values,
    in_single,
    is_wide,
    memory_for,
    to_single,
    values_to_fit,
)
from symlump.compression.merging.ward import Tree
from symlump.compression.moments import Normal
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.network import Network
from symlump.network.rewrite import rewrite
from symlump.network.ties import Ties, find_ties, regroup
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import unreachable

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
        Of the units, under the stated inputs, as fits use them.
    samples : tuple of ndarray
        Of these inputs.
    effects : ndarray, shape (units,)
        The weights w.
    grown : tuple of Tree
        For each axis of ``ties`` the merges and their heights; see :mod:`symlump.compression.merging.ward`.
    floor : float
        The share of its units that an axis keeps at any tolerance, so that no layer collapses.
    budget : int
        So many parameters may remain: of the merges within a tolerance the dearest are left out one by one
        while no more do.
    memory : Memory, optional
        What fits share from one tolerance to the next.
    spreads : mapping
        Of axes, by number, what is known of its units: their covariance, and the means of the products of what
        the outputs move by with each, as shares of the outputs' variance.
    outputs : ndarray, optional
        Those on the first samples, where values are computed in single precision.

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
    grown: tuple[Tree, ...]
    floor: float = 0.0
    budget: int = 0
    memory: Memory | None = field(default=None, repr=False)
    spreads: Mapping[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict, repr=False)
    outputs: FloatArray | None = field(default=None, repr=False)
    _found: dict[float, list[int]] = field(default_factory=dict, init=False, repr=False)

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
        ties, together = find_ties(network), dict[str, FloatArray]()
        with np.errstate(over="ignore", invalid="ignore"):
            values, samples = analysed_values(network, inputs)
            if wide := is_wide(network):
                values, memory = values_to_fit(network, ties, values, None)
            else:
                memory = memory_for(network, values)
            outputs: list[FloatArray] = []
            if memory is not None and wide:
                seen = to_single(network) if in_single(network) else network
                walk = ValueWalk(seen, values, memory)
                for layer in network.layers:
                    walk.until(layer.inputs[0])
                assert isinstance(values, SampledValues)
                read = read_effects(seen, values.samples, memory.values, together, outputs)
            else:
                read = read_effects(network, samples)
            units = ["layer" if unit == "layer" else "output" for unit in relative_to]
            effects, trees, covariances = unit_trees(
                network,
                ties,
                values,
                read,
                linkage,
                list(dict.fromkeys(units)),
                repr(inputs) if isinstance(inputs, Normal | Images) else "these samples",
                memory,
            )
            if not wide:
                values, memory = values_to_fit(network, ties, values, memory)
        spreads = {
            axis: (covariance, together[name])
            for axis, (name, covariance) in covariances.items()
            if name in together
        }
        found = {
            unit: cls(
                network,
                ties,
                values,
                samples,
                effects,
                own,
                memory=memory,
                spreads=spreads,
                outputs=outputs[0] if outputs and in_single(network) else None,
            )
            for unit, own in trees.items()
        }
        return tuple(
            found[own].price() if unit == "parameters" else found[own]
            for unit, own in zip(relative_to, units, strict=True)
        )

    @property
    def trees(self) -> tuple[FloatArray, ...]:
        """All merges of each axis, as :func:`symlump.compression.merging.ward.merge_tree` gives them."""
        return tuple(tree.whole for tree in self.grown)

    def groups(self, eps: float) -> IntArray:
        """The group of each unit, at a tolerance."""
        return self._grouped(self._left(eps))

    def undone(self, eps: float) -> int:
        """How many merges within a tolerance are left out, as the budget allows."""
        return sum(self._left(eps)) - sum(self._within(eps))

    def counts(self, eps: float) -> list[int]:
        """How many groups each axis has at a tolerance."""
        return self._level(self._left(eps))

    def _grouped(self, left: list[int]) -> IntArray:
        """The group of each unit, where each axis has so many."""
        return regroup(
            self.ties,
            {i: self.grown[i].cut(count) for i, count in enumerate(self._level(left))},
        )

    def _level(self, left: list[int]) -> list[int]:
        """How many groups each axis has where heads of an attention keep as many as the one that keeps most."""
        most: dict[int, int] = {}
        for level, count in zip(self.ties.level, left, strict=True):
            most[level] = max(most.get(level, 0), count)
        return [most[level] for level in self.ties.level]

    def _within(self, eps: float) -> list[int]:
        """How many groups of each axis a tolerance leaves; no fewer than the floor."""
        return [max(tree.left(eps), ceil(self.floor * tree.leaves)) for tree in self.grown]

    def _left(self, eps: float) -> list[int]:
        """How many groups of each axis are left where the dearest merges are left out while the budget allows.

        What remains of the merges of an axis are its cheapest, so every group still is within the tolerance.
        """
        if eps not in self._found:
            self._found.clear()  # one is asked for a few times
            self._found[eps] = self._left_at(eps)
        return self._found[eps]

    def _left_at(self, eps: float) -> list[int]:
        left = self._within(eps)
        if not self.budget or self._size(left) > self.budget:
            return left
        trees = dict(enumerate(self.grown))
        while trees:
            last = {i: tree.last(left[i]) for i, tree in trees.items() if left[i] < tree.leaves}
            axis = max(last, key=lambda i: last[i], default=-1)
            if axis < 0 or last[axis] == 0:  # what is left are equal units
                break
            more = [count + (i == axis) for i, count in enumerate(left)]
            if self._size(more) <= self.budget:
                left = more
            else:
                del trees[axis]
        return left

    def _size(self, left: list[int]) -> int:
        size = self.ties.parameters_left(self.network, self._level(left))
        return self.ties.parameters(self.network, self._grouped(left)) if size is None else size

    def with_floor(self, floor: float = FLOOR) -> Merging:
        """The merges, where every axis keeps a share of its units."""
        return replace(self, floor=floor)

    def with_budget(self, budget: int) -> Merging:
        """The merges, without some within a tolerance while at most so many parameters remain."""
        return replace(self, budget=budget)

    def price(self) -> Merging:
        """The merges, with heights for each share of the parameters that merging two units of an axis saves.

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
        shares = self.ties.shares(self.network)
        grown = zip(self.grown, shares, strict=True)
        return replace(self, grown=tuple(tree.divided(sqrt(share)) for tree, share in grown))

    @property
    def has_equal_shares(self) -> bool:
        """Whether units of all axes hold the same share of the parameters, so that the price is one number."""
        return len({*self.ties.shares(self.network)}) == 1

    def parameters(self, eps: float) -> int:
        """Number of weights and biases at a tolerance."""
        return self._size(self._left(eps))

    def tolerance(self, target: int, also: float = inf) -> float:
        """The smallest tolerance that leaves at most ``target`` parameters.

        Parameters
        ----------
        target : int
        also : float
            A size that is reached otherwise, which counts for what is said where no tolerance does.

        Raises
        ------
        FailureError
            If even one unit per layer has more.
        """
        if (least := self.parameters(inf)) > target:
            raise unreachable(min(least, also), target, "parameters")
        most = self._further(0.0)
        while most < inf and self.parameters(most) > target:
            most = self._further(most)
        heights = np.unique(np.concatenate([[0.0], *(tree.heights(most) for tree in self.grown)]))
        low, high = 0, heights.size - 1
        while low < high:
            middle = (low + high) // 2
            if self.parameters(float(heights[middle])) <= target:
                high = middle
            else:
                low = middle + 1
        return float(heights[high])

    @property
    def is_foreseen(self) -> bool:
        """Whether the error of a tolerance is told well enough without the network, see :meth:`foreseen`.

        Of few outputs it is not: what units of a layer lose adds up or cancels there. Nor where a layer is so
        narrow that its covariance is not at hand.
        """
        widest = max(layer.units for layer in self.network.layers)
        outputs = sum(prod(self.network.shapes[name]) for name in self.network.outputs)
        return len(self.spreads) == len(self.grown) and 2 * outputs >= widest

    def foreseen(self, eps: float) -> float:
        """The share of the outputs' variance that a tolerance is expected to lose.

        Of a layer that is what the outputs move by where its units become the linear functions of the means of
        their groups that are nearest; of what one layer leaves, the next loses its share.
        """
        left = 1.0
        for axis, count in enumerate(self.counts(eps)):
            (covariance, moved), weights = self.spreads[axis], self.effects[self.ties.axes[axis]]
            mean = mean_matrix(self.grown[axis].cut(count), weights, count)
            left *= max(0.0, 1.0 - loss_with_means(covariance, mean, moved))
        return 1.0 - left

    def _further(self, than: float) -> float:
        return min((tree.further(than) for tree in self.grown), default=inf)

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
    >>> from symlump.compression.merging.values import SampledValues
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
        if layer.groups is None and np.unique(layer.weight[:, 0]).size == layer.units:
            continue
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        # + 0.0 makes −0 and 0 the same bytes
        rows = {(row + 0.0).tobytes() for row in np.column_stack([layer.weight, bias])}
        if layer.groups is not None or len(rows) < layer.units:
            return True
    return False
