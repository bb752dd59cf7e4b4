"""Where the weights of a reduced graph come from: a quotient, the means over blocks, or nowhere yet.

Each kind answers the same two questions about a layer: the coefficients with which some of its units read some
channels of its input, and the biases of some of its units. A unit stands for its block.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import sparse

from symlump.lumping.lumping import Lumping
from symlump.network.graphs.encode import GraphODE
from symlump.network.graphs.nodes import Affine
from symlump.ode.exact import FloatArray, IntArray


class Coefficients(Protocol):
    """Weights of a reduced layer."""

    def weights(self, node: Affine, members: IntArray, channels: IntArray) -> FloatArray:
        """How the blocks of some units read some old channels, each standing for its new one.

        Parameters
        ----------
        members : ndarray of int
            A unit of each block.
        channels : ndarray of int
            Of a depthwise layer the channel that each of the units reads.

        Returns
        -------
        ndarray, shape (units, channels, offsets); (units, 1, offsets) where depthwise
            Where two channels are the same unit read in the same way, the first has the sum.
        """

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """The biases of the blocks of some units."""


def first_of_each_way(
    ode: GraphODE, labels: IntArray, node: Affine, channels: IntArray
) -> FloatArray:
    """1 where a channel and offset is the first that reads its block in its way, else 0."""
    (reading,) = ode.readings[node.name]
    symbols = reading.symbols[channels]
    block = np.broadcast_to(labels[reading.source[channels]][:, None], symbols.shape)
    _, first = np.unique(
        np.stack([block, symbols], axis=-1).reshape(-1, 2), axis=0, return_index=True
    )
    sole = np.zeros(symbols.size)
    sole[first] = 1.0
    return sole.reshape(symbols.shape)


class OfQuotient:
    """Read off the coefficients of a quotient; nothing is computed but the nearest floats."""

    def __init__(self, lumping: Lumping, ode: GraphODE) -> None:
        quotient, self._labels, self._ode = lumping.quotient, lumping.partition.labels, ode
        table = quotient.monomials
        symbol = np.zeros(len(quotient), dtype=bool)
        symbol[self._labels[[ode.index[name] for name in ode.parameters]]] = True
        factors = symbol[table.variables]
        unit = np.zeros(len(table), dtype=np.int64)
        way = np.full(len(table), -1, dtype=np.int64)
        unit[table.owners[~factors]] = table.variables[~factors]
        way[table.owners[factors]] = table.variables[factors]
        self._width = len(quotient) + 1
        pairs = unit * self._width + way + 1
        self._order = np.argsort(pairs)
        self._pairs = pairs[self._order]
        self._monomials = max(1, len(table))
        self._keys = quotient.rows * self._monomials + quotient.columns
        self._values = quotient.coefficients.to_float()
        self._one = np.flatnonzero(ode.kinds == "one")

    def weights(self, node: Affine, members: IntArray, channels: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        (reading,) = self._ode.readings[node.name]
        own = self._ode.where(node.name)[members]
        source, symbols = reading.source[channels], reading.symbols[channels]
        if node.depthwise:
            return self._at(source[:, None], own[:, None], symbols)[:, None]
        values = self._at(source[None, :, None], own[:, None, None], symbols[None])
        return values * first_of_each_way(self._ode, self._labels, node, channels)

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        own = self._ode.where(node.name)[members]
        return self._at(self._one, own, np.full(1, -1))

    def _at(self, source: IntArray, own: IntArray, symbols: IntArray) -> FloatArray:
        """Coefficient of own·symbol in the equation of source, entrywise (−1: no symbol)."""
        source, own, symbols = np.broadcast_arrays(source, own, symbols)
        pair = self._labels[own] * self._width + np.where(symbols < 0, 0, self._labels[symbols] + 1)
        if not self._pairs.size or not self._keys.size:
            return np.zeros(pair.shape)
        place = np.minimum(np.searchsorted(self._pairs, pair), self._pairs.size - 1)
        key = self._labels[source] * self._monomials + self._order[place]
        term = np.minimum(np.searchsorted(self._keys, key), self._keys.size - 1)
        found = (self._pairs[place] == pair) & (self._keys[term] == key)
        return np.where(found, self._values[term], 0.0)


class OfMeans:
    """Rows of summed weights, averaged over the members of a block: the nearest exactly lumpable network."""

    def __init__(self, ode: GraphODE, labels: IntArray) -> None:
        self._ode, self._labels = ode, labels

    def weights(self, node: Affine, members: IntArray, channels: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        units, _ = self._blocks(node, members)
        if node.depthwise:
            rows = node.weight.reshape(node.units, 1, -1)
            return self._means(rows.reshape(node.units, -1), units).reshape(members.size, 1, -1)
        (reading,) = self._ode.readings[node.name]
        rows, column = summed_rows(self._ode, self._labels, node)
        values = self._means(rows, units)[:, column.reshape(reading.symbols.shape)[channels]]
        return values * first_of_each_way(self._ode, self._labels, node, channels)

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        assert node.bias is not None
        units, _ = self._blocks(node, members)
        return self._means(node.bias[:, None], units)[:, 0]

    def _blocks(self, node: Affine, members: IntArray) -> tuple[IntArray, IntArray]:
        """For each unit the position of its block among those of the members."""
        own = self._labels[self._ode.where(node.name)]
        order = np.argsort(own[members])
        return order[np.searchsorted(own[members][order], own)], own

    def _means(self, rows: FloatArray, units: IntArray) -> FloatArray:
        sizes = np.bincount(units)
        shares = sparse.csr_array(
            (1 / sizes[units], (units, np.arange(units.size))), shape=(sizes.size, units.size)
        )
        return np.asarray(shares @ rows)


class Unknown:
    """Zeros of the right shapes, where only sizes matter."""

    def weights(self, node: Affine, members: IntArray, channels: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        offsets = int(np.prod(node.kernel, dtype=np.int64))
        width = 1 if node.depthwise else channels.size
        return np.broadcast_to(0.0, (members.size, width, offsets))

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`Coefficients`."""
        return np.broadcast_to(0.0, members.shape)


def summed_rows(ode: GraphODE, labels: IntArray, node: Affine) -> tuple[FloatArray, IntArray]:
    """The signatures of a layer's units: its weights summed over blocks that are read in the same way.

    Returns
    -------
    rows : ndarray, shape (units, columns)
    column : ndarray of int, shape (channels · offsets,)
        Where each channel and offset went.
    """
    (reading,) = ode.readings[node.name]
    block = np.broadcast_to(labels[reading.source][:, None], reading.symbols.shape)
    ways = np.stack([block.ravel(), reading.symbols.ravel()], axis=-1)
    distinct, column = np.unique(ways, axis=0, return_inverse=True)
    column = column.ravel()
    weight = node.weight.reshape(node.units, -1)
    if len(distinct) == column.size:
        rows = np.empty_like(weight)
        rows[:, column] = weight
        return rows, column
    sums = sparse.csr_array(
        (np.ones(column.size), (column, np.arange(column.size))), shape=(len(distinct), column.size)
    )
    return np.ascontiguousarray((sums @ weight.T).T), column
