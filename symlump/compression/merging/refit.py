"""The weights of a merged network: means of rows, and sums or least-squares fits of what reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import solve
from scipy.sparse import csr_array

from symlump.compression.merging.values import (
    Memory,
    Values,
    Walk,
    chosen_rows,
    columns,
)
from symlump.compression.moments import Moments
from symlump.lumping.partition import Partition
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Node
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray, IntArray

#: Ridge of the refit, relative to the mean square of the merged units' outputs.
_RIDGE = 1e-6


class MergedWeights:
    """See :class:`symlump.network.rewrite.Weights`.

    Parameters
    ----------
    network : Network
    ties : Ties
    groups : ndarray of int, shape (units,)
        The group of each unit.
    effects : ndarray, shape (units,)
        What units count in means.
    values : Values, or None
        Under which to fit what reads merged units; None adds their weights up.
    memory : Memory, optional
        What is kept from one fit to the next.
    """

    def __init__(
        self,
        network: Network,
        ties: Ties,
        groups: IntArray,
        effects: FloatArray,
        values: Values | None,
        memory: Memory | None = None,
    ) -> None:
        self._network, self._ties, self._groups, self._effects = network, ties, groups, effects
        self._values, self._memory = values, memory
        self._old = None if values is None else Walk(network, values, memory)
        self._new: dict[str, FloatArray] = {}
        self._changed: dict[str, bool] = {}
        self._bias: FloatArray | None = None
        self._shared: dict[str, tuple[FloatArray, FloatArray]] = {}
        #: For each layer the new channel of each channel that it reads.
        self.places: dict[str, IntArray] = {}
        self._written: dict[str, Node] = {}
        self._left = Counter(network.readers)

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        self.places[node.name] = places
        weight = node.weight.reshape(*node.weight.shape[:2], -1)
        bias = node.bias
        blocks = Partition(self._ties.channels(node.name, self._groups)).labels
        count = members.size
        if not node.depthwise:
            weight, bias = self._read(node, weight, places)
        if count < blocks.size:
            mean = self._standing_for(blocks, self._ties.units[node.name])
            weight = (mean @ weight.reshape(len(weight), -1)).reshape(count, *weight.shape[1:])
            bias = None if bias is None else mean @ bias
        self._bias = bias
        return weight

    def _standing_for(self, blocks: IntArray, units: IntArray) -> csr_array:
        """What stands for each block, as a matrix: the mean of its units."""
        return _mean_matrix(blocks, self._effects[units], int(blocks.max()) + 1)

    def _spread(self, unit: IntArray, units: IntArray) -> csr_array:
        """What each unit is taken for before a fit: its block."""
        return _members(unit)

    def _fit(
        self,
        h: FloatArray,
        wanted: FloatArray,
        spread: csr_array,
        constant: bool,
        known: _Known | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        assert self._values is not None
        return fit_members(self._values.moments, h, wanted, spread, constant, known)

    def _known(
        self, name: str, unit: IntArray, wanted: FloatArray, constant: bool
    ) -> _Known | None:
        """What was computed for earlier tolerances: moments of units that are alone, and as they were.

        They are as they were where the layer that makes them reads nothing that changed.
        """
        node = self._network.named[name]
        while isinstance(node, Apply):
            node = self._network.named[node.inputs[0]]
        if self._memory is None or not isinstance(node, Affine) or self._changed[node.inputs[0]]:
            return None
        assert self._values is not None
        grams, key = self._memory.grams, (name, constant)
        if key not in grams:
            grams[key] = self._values.moments.products(wanted, wanted, constant)[0]
        alone = np.flatnonzero(np.bincount(unit)[unit] == 1)
        return _Known(grams[key], alone, unit[alone])

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        assert self._bias is not None
        return self._bias

    def follow(self, node: Node) -> None:
        """See :class:`symlump.network.rewrite.Weights`."""
        old = self._network.named.get(node.name)
        unlike = isinstance(node, Affine) and (
            not isinstance(old, Affine)
            or (node.weight.shape, node.inputs) != (old.weight.shape, old.inputs)
        )
        before = [self._changed[name] for name in node.inputs]
        self._changed[node.name] = unlike or any(before)
        if self._old is not None and self._changed[node.name]:
            self._written[node.name] = node
            for name, changed in zip(node.inputs, before, strict=True):
                if not changed:  # held while the walk through the old network has it
                    self._new[name] = self._old.until(name)

    def _value(self, name: str) -> FloatArray:
        """A value of the new network that changed, computed when it is asked for."""
        assert self._values is not None
        if name not in self._new:
            node = self._written.pop(name)
            given = [self._value(n) for n in node.inputs]
            self._new[name] = self._values.after(node, given)
            for n in node.inputs:
                self._left[n] -= 1
                if self._left[n] <= 0:
                    del self._new[n]
        return self._new[name]

    def _read(
        self, node: Affine, weight: FloatArray, places: IntArray
    ) -> tuple[FloatArray, FloatArray | None]:
        """The weights for what is left of the channels that a layer reads."""
        name = node.inputs[0]
        shared = bool(node.weight_name)
        if shared and np.array_equal(places, np.arange(places.size)):
            return weight, node.bias  # in all its places
        if not shared and not self._changed[name]:
            return weight, node.bias
        unit, inside = self._by_units(name, places)
        width = weight.shape[1]
        units = width // inside
        count = int(unit.max(initial=-1)) + 1
        own = self._ties.units[name].reshape(-1, inside)[:, 0]
        spread: Any = self._spread(unit, own)
        constant = np.zeros(units)
        with_constant = node.bias is not None and not any(node.padding)
        if shared:
            if self._values is not None:
                spread, constant = self._together(node.weight_name, spread, unit, inside)
        elif self._old is not None and self._values is not None:
            h = _by_position(self._value(name), count, inside)
            wanted = _by_position(self._old.until(name), units, inside)
            on_grid = inside > 1 or len(self._network.shapes[name]) > 1
            rows = chosen_rows(len(h), h.shape[1]) if on_grid else None
            if rows is not None:
                h, wanted = h[rows], wanted[rows]
            if weight.shape[2] * inside == 1 and len(weight) < units:
                # Few rows read many units: what they read is fitted, which is the same for less.
                read = weight[:, :, 0]
                sums = csr_array(read @ spread)
                small, constant = self._fit(h, wanted @ read.T, sums, with_constant)
                return small[:, :, None], None if node.bias is None else node.bias + constant
            known = None if on_grid else self._known(name, unit, wanted, with_constant)
            spread, constant = self._fit(h, wanted, spread, with_constant, known)
        offsets = weight.shape[2] * inside
        if offsets == 1:
            result = (weight[:, :, 0] @ spread)[:, :, None]
            total = weight[:, :, 0]
        else:
            kernels = weight.reshape(len(weight), units, offsets)
            result = np.moveaxis(np.moveaxis(kernels, 2, 1) @ _dense(spread), 1, 2)
            total = kernels.sum(axis=2)
            result = result.reshape(len(weight), count * inside, weight.shape[2])
        bias = node.bias
        return np.ascontiguousarray(result), None if bias is None else bias + total @ constant

    def _together(
        self, shared: str, sums: csr_array, unit: IntArray, inside: int
    ) -> tuple[FloatArray, FloatArray]:
        """One fit for all places in which shared weights are used, on means of the original units.

        What merged units will be in the later places is not known in the first, so the means stand for them.
        """
        if shared not in self._shared:
            users = self._network.sharing[shared]
            assert self._values is not None
            walk, pairs = Walk(self._network, self._values), []
            for user in users:
                name = user.inputs[0]
                units = self._ties.units[name].reshape(-1, inside)[:, 0]
                wanted = _by_position(walk.until(name), units.size, inside)
                rows = chosen_rows(len(wanted), wanted.shape[1])
                wanted = wanted if rows is None else wanted[rows]
                mean = self._standing_for(unit, units)
                pairs.append((wanted @ mean.T, wanted))
            h, wanted = (np.concatenate(part) for part in zip(*pairs, strict=True))
            constant = all(user.bias is not None and not any(user.padding) for user in users)
            self._shared[shared] = self._fit(h, wanted, sums, constant)
        return self._shared[shared]

    def _by_units(self, name: str, places: IntArray) -> tuple[IntArray, int]:
        """Channels as units with some positions each: the new unit of each unit, and how many positions."""
        inside = int(self._ties.positions[name].max(initial=0)) + 1
        if inside > 1 and places.size % inside == 0:
            table, new = self._ties.units[name].reshape(-1, inside), places.reshape(-1, inside)
            regular = (table == table[:, :1]).all() and (
                new == new[:, :1] + np.arange(inside)
            ).all()
            if regular and not (new[:, 0] % inside).any():
                return new[:, 0] // inside, inside
        return places, 1


@dataclass(frozen=True, eq=False)
class _Known:
    """Second moments of the original units, and which units are as they were: their old and new numbers."""

    gram: FloatArray
    old: IntArray
    new: IntArray

    def products(
        self, moments: Moments, h: FloatArray, wanted: FloatArray, centred: bool
    ) -> tuple[FloatArray, FloatArray]:
        """As of :meth:`Moments.products`, where only units that changed take a pass over samples."""
        rest = np.setdiff1d(np.arange(h.shape[1]), self.new)
        own, across = moments.products(h[:, rest], wanted, centred)
        cross = np.empty((h.shape[1], wanted.shape[1]))
        cross[self.new], cross[rest] = self.gram[self.old], across
        gram = np.empty((h.shape[1], h.shape[1]))
        gram[:, self.new] = cross[:, self.old]
        gram[np.ix_(self.new, rest)], gram[np.ix_(rest, rest)] = across[:, self.old].T, own
        return gram, cross


def fit_members(
    moments: Moments,
    h: FloatArray,
    wanted: FloatArray,
    sums: csr_array,
    constant: bool,
    known: _Known | None = None,
) -> tuple[FloatArray, FloatArray]:
    """The matrix A and constants a that give ``wanted`` from h best; ``sums`` where h does not decide.

    Parameters
    ----------
    h, wanted : ndarray, shape (rows, columns)
    sums : sparse array, shape (columns of wanted, columns of h)
    constant : bool
        Whether there may be constants.
    known : optional
        Moments that need not be computed.
    """
    source = moments.products if known is None else partial(known.products, moments)
    gram, right = source(h, wanted, constant)
    right -= (sums @ gram).T  # a member is its block so far: what is left of it
    gram[np.diag_indices_from(gram)] += _RIDGE * (float(np.trace(gram)) / len(gram) or 1.0)
    correction = solve(gram, right, assume_a="pos", overwrite_a=True, overwrite_b=True)
    matrix = np.require(correction.T, requirements="W")
    matrix[sums.nonzero()] += sums.data
    if not constant:
        return matrix, np.zeros(len(matrix))
    return matrix, moments.mean(wanted) - matrix @ moments.mean(h)


def _by_position(value: FloatArray, units: int, inside: int) -> FloatArray:
    """A value with its units as columns."""
    if inside == 1:
        return columns(value)
    return np.moveaxis(value.reshape(len(value), units, inside), 1, -1).reshape(-1, units)


def _dense(matrix: Any) -> FloatArray:
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def _mean_matrix(group: IntArray, weight: FloatArray, count: int) -> csr_array:
    """The weighted means of groups as a matrix; a group without weight gets its plain mean."""
    total = np.bincount(group, weights=weight, minlength=count)
    share = np.where(total[group] > 0, weight, 1.0)
    mean = share / np.bincount(group, weights=share)[group]
    return csr_array((mean, (group, np.arange(group.size))), shape=(count, group.size))


def _members(group: IntArray) -> csr_array:
    """The matrix with a 1 where a unit (row) is a member of a group (column)."""
    units = np.arange(group.size)
    return csr_array(
        (np.ones(group.size), (units, group)), shape=(group.size, int(group.max()) + 1)
    )
