"""Weights of a smaller network (see :mod:`symlump.network.rewrite`): of a quotient, or means over blocks."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from symlump.lumping.lumping import Lumping
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.nodes import Affine, Node
from symlump.ode.exact import FloatArray, IntArray


def first_of_each_way(
    ode: NetworkODE, labels: IntArray, node: Affine, channels: IntArray
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


_CHUNK = 1 << 20


class OfQuotient:
    """Read off the coefficients of a quotient; nothing is computed but the nearest floats."""

    def __init__(self, lumping: Lumping, ode: NetworkODE) -> None:
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

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        (reading,) = self._ode.readings[node.name]
        own = self._ode.where(node.name)[members]
        source, symbols = reading.source[channels], reading.symbols[channels]
        if node.depthwise:
            return self._at(source[:, None], own[:, None], symbols)[:, None]
        first = first_of_each_way(self._ode, self._labels, node, channels)
        values = np.empty((own.size, *first.shape))
        step = max(1, _CHUNK // first.size)
        for start in range(0, own.size, step):  # few units at a time, for the sake of memory
            part = own[start : start + step, None, None]
            found = self._at(source[None, :, None], part, symbols[None])
            values[start : start + step] = found * first
        return values

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        own = self._ode.where(node.name)[members]
        return self._at(self._one, own, np.full(1, -1))

    def follow(self, node: Node) -> None:
        """See :class:`symlump.network.rewrite.Weights`."""

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

    def __init__(self, ode: NetworkODE, labels: IntArray) -> None:
        self._ode, self._labels = ode, labels

    def rows(
        self, node: Affine, members: IntArray, channels: IntArray, places: IntArray
    ) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        units, _ = self._blocks(node, members)
        if node.depthwise:
            means = self._means(node.weight.reshape(node.units, -1), units)
            return means.reshape(members.size, 1, -1)
        (reading,) = self._ode.readings[node.name]
        rows, column = summed_rows(self._ode, self._labels, node)
        values = self._means(rows, units)[:, column.reshape(reading.symbols.shape)[channels]]
        return values * first_of_each_way(self._ode, self._labels, node, channels)

    def biases(self, node: Affine, members: IntArray) -> FloatArray:
        """See :class:`symlump.network.rewrite.Weights`."""
        assert node.bias is not None
        units, _ = self._blocks(node, members)
        return self._means(node.bias[:, None], units)[:, 0]

    def follow(self, node: Node) -> None:
        """See :class:`symlump.network.rewrite.Weights`."""

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


def summed_rows(ode: NetworkODE, labels: IntArray, node: Affine) -> tuple[FloatArray, IntArray]:
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
