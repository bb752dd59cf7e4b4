"""The weights of a merged network: means of rows, and sums or least-squares fits of what reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import blas, cho_factor, cho_solve, lapack
from scipy.sparse import csr_array

from symlump.compression.merging.effect import flat_outputs
from symlump.compression.merging.known_units import KnownUnits, SeenGroups
from symlump.compression.merging.means import add_ridge, mean_matrix
from symlump.compression.merging.values import (
    Memory,
    Values,
    ValueWalk,
    chosen_rows,
    columns,
    in_single,
    rows_of,
)
from symlump.compression.moments import Moments
from symlump.lumping.partition import Partition
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Node
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray, IntArray

#: From one tolerance to the next, units are remembered after so many fits.
_FEW_FITS = 2
#: From so many rows on, and for as many columns, a matrix is inverted: products take less than solving does.
_INVERTED = 64
#: So many columns are solved for at once.
_TOGETHER = 512


#: Means of what a fit reads, and of what is wanted.
Means: TypeAlias = tuple[FloatArray, FloatArray]


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
        if memory is not None:
            memory.fits += 1
        self._old = None if values is None else ValueWalk(network, values, memory)
        self._new: dict[str, FloatArray] = {}
        self._changed: dict[str, bool] = {}
        self._gaps: dict[str, tuple[IntArray, FloatArray, FloatArray, FloatArray]] = {}
        self._found: dict[str, KnownUnits | None] = {}
        self._joined: dict[str, Partition] = {}
        self._means: dict[str, csr_array] = {}
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
        blocks = self._blocks(node.name).labels
        count = members.size
        if count < blocks.size:
            mean = self._mean(node.name)
            weight = (mean @ weight.reshape(len(weight), -1)).reshape(count, *weight.shape[1:])
            bias = None if bias is None else mean @ bias
        if not node.depthwise:
            weight, bias = self._read(node, weight, bias, places)
        self._bias = bias
        return weight

    def _blocks(self, name: str) -> Partition:
        """Which of a layer's units are one."""
        if name not in self._joined:
            self._joined[name] = Partition(self._ties.channels(name, self._groups))
        return self._joined[name]

    def _mean(self, name: str) -> csr_array:
        """What stands for each block of a layer's units."""
        if name not in self._means:
            blocks = self._blocks(name).labels
            self._means[name] = self._standing_for(blocks, self._ties.units[name])
        return self._means[name]

    def _standing_for(self, blocks: IntArray, units: IntArray) -> csr_array:
        """What stands for each block, as a matrix: the mean of its units."""
        return mean_matrix(blocks, self._effects[units], int(blocks.max()) + 1)

    def _spread(self, unit: IntArray, units: IntArray) -> csr_array:
        """What each unit is taken for before a fit: its block."""
        return _members(unit)

    def _fit(
        self,
        h: FloatArray,
        wanted: FloatArray,
        spread: csr_array | FloatArray,
        constant: bool,
    ) -> tuple[FloatArray, FloatArray]:
        assert self._values is not None
        return fit_members(self._values.moments, h, wanted, spread, constant)

    def _fit_known(
        self, gram: FloatArray, right: FloatArray, means: Means | None, sums: csr_array | FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """The fit from second moments, which are overwritten; None where it needs the values themselves."""
        return solve_members(gram, right, means, sums)

    def _known(self, name: str) -> KnownUnits | None:
        """What is known of a value's units from other tolerances.

        Only where the layer that makes them reads nothing that changed: then they are the means of the original
        units that they stand for. To know that of all units takes more than a few fits do.
        """
        if name not in self._found:
            maker = self._maker(name)
            known = None
            many = self._memory is not None and self._memory.fits > _FEW_FITS
            if many and maker is not None and self._old is not None:
                assert self._memory is not None
                unit = self._blocks(maker.name).labels
                if name not in self._memory.groups:
                    covariance = self._memory.covariances.get(name)
                    self._memory.groups[name] = SeenGroups(self._old.until(name), covariance)
                seen = self._memory.groups[name]
                known = KnownUnits(seen, unit, partial(self._some, name))
            self._found[name] = known
        return self._found[name]

    def _maker(self, name: str) -> Affine | None:
        """The layer that makes the units of a value, if it reads nothing that changed."""
        node = self._network.named.get(name)  # none of a selection that the new network has alone
        while isinstance(node, Apply):
            node = self._network.named[node.inputs[0]]
        if not isinstance(node, Affine) or node.depthwise or self._changed[node.inputs[0]]:
            return None
        return node

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

    def outputs(self, small: Network) -> FloatArray:
        """All outputs of the new network side by side, after it was written."""
        assert self._old is not None
        names = (*small.outputs,)
        values = {n: self._value(n) if self._changed[n] else self._old.until(n) for n in names}
        return flat_outputs(values, small)

    def _value(self, name: str) -> FloatArray:
        """A value of the new network that changed, computed when it is asked for."""
        assert self._values is not None
        if name not in self._new and (known := self._known(name)) is not None:
            self._new[name] = known.values()
        elif name not in self._new:
            node = self._written.pop(name)
            given = [self._value(n) for n in node.inputs]
            close = self._from_original(name, given[0]) if name in self._gaps else None
            self._new[name] = self._values.after(node, given) if close is None else close
            for n in node.inputs:
                self._left[n] -= 1
                if self._left[n] <= 0:
                    del self._new[n]
        return self._new[name]

    def _from_original(self, name: str, h: FloatArray) -> FloatArray | None:
        """A dense layer's value from its original one, where few of the units that it reads moved; else None.

        With R what members of blocks differ by from their fit, the original's rows, and R·Wᵀ, are averaged.
        """
        moved, matrix, constant, weight = self._gaps[name]
        assert self._old is not None
        blocks = self._blocks(name)
        count, sizes = len(blocks), np.bincount(blocks.labels)
        joined = np.flatnonzero(sizes[blocks.labels] > 1)
        if moved.size * (h.shape[1] + count) + joined.size * count > h.shape[1] * count / 2:
            return None
        mean = self._mean(name)
        before = self._old.until(self._network.named[name].inputs[0])
        gap = h @ matrix.T + constant - np.take(before, moved, axis=1)
        old = self._old.until(name)
        value = np.take(old, blocks.representatives, axis=1)
        rest = np.flatnonzero(sizes > 1)
        value[:, rest] = np.take(old, joined, axis=1) @ mean[rest][:, joined].toarray().T
        value += gap @ weight.T
        return value

    def _some(self, name: str, units: IntArray) -> FloatArray:
        """Some units of a value whose layer reads nothing that changed, by number."""
        assert self._values is not None
        node = self._written[name]
        if isinstance(node, Apply):
            return self._values.after(node, [self._some(node.inputs[0], units)])
        assert isinstance(node, Affine)
        bias = None if node.bias is None else node.bias[units]
        part = replace(node, weight=node.weight[units], bias=bias)
        return self._values.after(part, [self._new[node.inputs[0]]])

    def _read(
        self, node: Affine, weight: FloatArray, bias: FloatArray | None, places: IntArray
    ) -> tuple[FloatArray, FloatArray | None]:
        """Weights and biases, of merged units the means, for what is left of the channels that are read."""
        name = node.inputs[0]
        shared = bool(node.weight_name)
        if shared and np.array_equal(places, np.arange(places.size)):
            return weight, bias  # in all its places
        if not shared and not self._changed[name]:
            return weight, bias
        unit, inside = self._by_units(name, places)
        width = weight.shape[1]
        units = width // inside
        count = int(unit.max(initial=-1)) + 1
        own = self._ties.units[name].reshape(-1, inside)[:, 0]
        spread: Any = self._spread(unit, own)
        constant = np.zeros(units)
        with_constant = bias is not None and not any(node.padding)
        if shared:
            if self._values is not None:
                spread, constant = self._together(node.weight_name, spread, unit, inside)
        elif self._old is not None and self._values is not None:
            on_grid = inside > 1 or len(self._network.shapes[name]) > 1
            known = None if on_grid else self._known(name)
            # Few rows may read many units: what they read is fitted, which is the same for less.
            few = weight.shape[2] * inside == 1 and node.units < units
            read = weight[:, :, 0] if few else None
            sums, found = spread if read is None else read @ spread, None
            if known is not None:
                chosen = known if read is None else known.reading(read)
                gram, right, means = chosen.products(self._values.moments, with_constant)
                right -= _combined(sums, gram).T
                found = self._fit_known(gram, right, means, sums)
            if found is None:
                value, before = self._value(name), self._old.until(name)
                rows = chosen_rows(value.size // count, count) if on_grid else None
                h = _by_position(value, count, inside, rows)
                wanted = _by_position(before, units, inside, rows)
                wanted = wanted if read is None else wanted @ read.T
                if on_grid or read is not None or self._maker(name) is None:
                    found = self._fit(h, wanted, sums, with_constant)
                else:  # units that are alone are as they were
                    moved = np.flatnonzero(np.bincount(unit)[unit] > 1)
                    wanted = np.take(wanted, moved, axis=1)
                    matrix, shift = self._fit(h, wanted, sums[moved], with_constant)
                    found = as_dense(sums).astype(matrix.dtype), np.zeros(units)
                    found[0][moved], found[1][moved] = matrix, shift
            fit, constant = found
            if read is not None:
                return np.ascontiguousarray(fit[:, :, None]), (
                    None if bias is None else bias + constant
                )
            spread = fit
            if known is not None and known.moved.size:
                moved = known.moved
                self._gaps[node.name] = moved, spread[moved], constant[moved], weight[:, moved, 0]
        offsets = weight.shape[2] * inside
        if offsets == 1:
            if in_single(self._network):  # in which weights are kept
                spread = as_dense(spread).astype(np.float32, copy=False)
                result = (weight[:, :, 0].astype(np.float32) @ spread)[:, :, None]
                result = result.astype(np.float64)
            else:
                result = (weight[:, :, 0] @ spread)[:, :, None]
            total = weight[:, :, 0]
        else:
            kernels = weight.reshape(len(weight), units, offsets)
            result = np.moveaxis(np.moveaxis(kernels, 2, 1) @ as_dense(spread), 1, 2)
            total = kernels.sum(axis=2)
            result = result.reshape(len(weight), count * inside, weight.shape[2])
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
            walk, pairs = ValueWalk(self._network, self._values), []
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


def fit_members(
    moments: Moments,
    h: FloatArray,
    wanted: FloatArray,
    sums: csr_array | FloatArray,
    constant: bool,
) -> tuple[FloatArray, FloatArray]:
    """The matrix A and constants a that give ``wanted`` from h best; ``sums`` where h does not decide.

    Parameters
    ----------
    h, wanted : ndarray, shape (rows, columns)
    sums : array, shape (columns of wanted, columns of h)
        Sparse where each column of wanted is a member of one block.
    constant : bool
        Whether there may be constants.
    """
    gap = h @ sums.T if isinstance(sums, np.ndarray) else np.take(h, sums.indices, axis=1)
    gap = np.subtract(wanted, gap, out=gap if gap.dtype == wanted.dtype else None)
    means = (moments.mean(h), moments.mean(wanted)) if constant else None
    about = None if means is None else (means[0], means[1] - sums @ means[0])
    products = moments.products(h, gap, about)
    del gap
    return solve_members(*products, means, sums)


def solve_members(
    gram: FloatArray,
    right: FloatArray,
    means: Means | None,
    sums: csr_array | FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The fit from second moments of h, those with what sums leave of what is wanted, and means of both.

    Overwrites the moments. What remains of single precision is solved for in it.
    """
    add_ridge(gram)
    factor = cho_factor(gram.T, overwrite_a=True)  # symmetric, and in the order that is not copied
    if right.dtype == np.float32:
        lower = np.asfortranarray(factor[0], np.float32)
        matrix = right.T
        for transposed in (factor[1], not factor[1]):
            matrix = blas.strsm(
                1.0, lower, matrix, side=1, lower=factor[1], trans_a=transposed, overwrite_b=True
            )
        return _with_sums(matrix, means, sums)
    left = np.flatnonzero(right.any(axis=0))  # nothing of units that are as they were
    matrix = np.zeros((right.shape[1], len(gram)))
    if _INVERTED <= len(gram) <= left.size:
        inverse, _ = lapack.dpotri(factor[0], lower=factor[1], overwrite_c=True)
        inverse = np.tril(inverse) if factor[1] else np.triu(inverse).T
        inverse += np.tril(inverse, -1).T
        matrix[left] = right[:, left].T @ inverse
        left = left[:0]
    for some in np.split(left, range(_TOGETHER, left.size, _TOGETHER)):
        columns = np.asfortranarray(right[:, some])
        matrix[some] = cho_solve(factor, columns, overwrite_b=True, check_finite=False).T
    return _with_sums(matrix, means, sums)


def _with_sums(
    matrix: FloatArray, means: Means | None, sums: csr_array | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The fit from what it adds to sums, which is overwritten."""
    if isinstance(sums, np.ndarray):
        matrix += sums
    else:
        matrix[np.repeat(np.arange(len(matrix)), np.diff(sums.indptr)), sums.indices] += sums.data
    if means is None:
        return matrix, np.zeros(len(matrix))
    return matrix, means[1] - matrix @ means[0]


def _combined(sums: csr_array | FloatArray, rows: FloatArray) -> FloatArray:
    """Combinations of rows; where they are sparse, one row or nothing for each."""
    if isinstance(sums, np.ndarray):
        return np.asarray(sums @ rows)
    if sums.indices.size == sums.shape[0]:
        return np.asarray(np.take(rows, sums.indices, axis=0))
    found = np.zeros((sums.shape[0], rows.shape[1]))
    found[np.flatnonzero(np.diff(sums.indptr))] = rows[sums.indices]
    return found


def _by_position(
    value: FloatArray, units: int, inside: int, rows: IntArray | None = None
) -> FloatArray:
    """A value with its units as columns, and all rows or some."""
    by_unit = value if inside == 1 else value.reshape(len(value), units, inside)
    return columns(by_unit) if rows is None else rows_of(by_unit, rows)


def as_dense(matrix: Any) -> FloatArray:
    """A matrix that may be sparse, with all its zeros."""
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def _members(group: IntArray) -> csr_array:
    """The matrix with a 1 where a unit (row) is a member of a group (column)."""
    rows = np.arange(group.size + 1)
    return csr_array((np.ones(group.size), group, rows), shape=(group.size, int(group.max()) + 1))
