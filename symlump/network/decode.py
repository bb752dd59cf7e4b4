"""Back from a lumping of a network's differential equation to weights.

Incoming weights and bias of a block are read off the quotient's coefficients; the outgoing weight of a
block is, in the same quotient, the sum over its members. Only the last step rounds: each coefficient
to the nearest float64.
"""

from __future__ import annotations

import numpy as np

from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.encode import NetworkODE
from symlump.network.network import Layer, Network
from symlump.ode.exact import FloatArray, IntArray


def decode(lumping: Lumping) -> Network:
    """The network of a quotient; that of a graph is made by ``decode_graph``.

    Parameters
    ----------
    lumping : Lumping
        Of ``encode(network, form="influence")`` by forward equivalence, or of
        ``encode(network, form="state")`` by either.

    Raises
    ------
    MethodError
        If the lumping is of something else, or merged what a network cannot express.

    Examples
    --------
    >>> from symlump import Forward, Network, encode, lump
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]], activation="tanh")
    >>> small = decode(lump(encode(net), Forward()))
    >>> small, small.layers[1].weight.tolist()
    (<Network: 2–1–1, tanh, 3 parameters>, [[0.75]])
    """
    ode = lumping.ode
    if not isinstance(ode, NetworkODE):
        raise MethodError(
            "decode takes a lumping of encode(network) for a chain of layers; for a NetworkGraph use "
            "decode_graph, and a plain system has no network"
        )
    if ode.form == "influence":
        if lumping.method.direction != "forward":
            raise MethodError(
                "the influence form is reduced by Forward(); for Backward() encode with form='state'"
            )
        return _decode(lumping, ode, "unit", "unit", transpose=True)
    return _decode(lumping, ode, "z", "h", transpose=False)


def unit_maps(lumping: Lumping) -> tuple[IntArray, ...]:
    """For each hidden layer, the new unit of each old unit, as ``decode`` numbers them."""
    ode = lumping.ode
    assert isinstance(ode, NetworkODE)
    kind = "unit" if ode.form == "influence" else "z"
    return tuple(
        _renumbered(lumping.partition.labels[ode.where(kind, number)])[0]
        for number in range(1, len(ode.network.layers))
    )


def _renumbered(labels: IntArray) -> tuple[IntArray, IntArray]:
    """Labels as 0, 1, … in order of first appearance, and the old label of each new one."""
    distinct, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return rank[inverse.ravel()], distinct[order]


def _decode(
    lumping: Lumping, ode: NetworkODE, row_kind: str, column_kind: str, transpose: bool
) -> Network:
    labels, network = lumping.partition.labels, ode.network
    last = len(network.layers)
    layers: list[Layer] = []
    _, columns = _renumbered(labels[ode.where("input", 0)])
    one = labels[ode.where("one", 0)]
    for number, layer in enumerate(network.layers, start=1):
        kind = row_kind if number < last else "output"
        _, rows = _renumbered(labels[ode.where(kind, number)])
        weight = _coefficients(lumping, rows, columns, transpose)
        bias = None
        if layer.bias is not None:
            if transpose:
                bias = _coefficients(lumping, rows, one, transpose)[:, 0]
            else:
                bias = _constants(lumping, rows)
        groups = None
        if number < last:
            z, h = labels[ode.where(row_kind, number)], labels[ode.where(column_kind, number)]
            groups, columns = _groups(lumping, z, h)
        layers.append(Layer(weight, bias, layer.activation, groups))
    return Network(tuple(layers), network.dtype)


def _groups(lumping: Lumping, z: IntArray, h: IntArray) -> tuple[IntArray | None, IntArray]:
    """How the blocks of outputs h sum the blocks of units z; None if they are the same blocks."""
    pairs = np.unique(np.stack([z, h], axis=1), axis=0)
    units, _ = _renumbered(z)
    groups_of_members, columns = _renumbered(h)
    if pairs.shape[0] != np.unique(z).size or (
        lumping.method.direction == "backward" and pairs.shape[0] != columns.size
    ):
        raise MethodError(
            "this lumping merged pre-activations and outputs of units differently, which no network "
            "expresses; use the influence form for a tolerance"
        )
    if pairs.shape[0] == columns.size:
        return None, columns
    groups = np.empty(pairs.shape[0], dtype=np.int64)
    groups[units] = groups_of_members
    return groups, columns


def _coefficients(
    lumping: Lumping, rows: IntArray, columns: IntArray, transpose: bool
) -> FloatArray:
    """Dense matrix of the linear coefficients between two sets of blocks, units × inputs.

    In the influence form the equation belongs to the input and the variable to the unit; in the state
    form it is the other way round.
    """
    quotient = lumping.quotient
    table = quotient.monomials
    linear = (table.degrees == 1)[quotient.columns]
    equation = quotient.rows[linear]
    variable = table.variables[table.indptr[:-1][quotient.columns[linear]]]
    unit, source = (variable, equation) if transpose else (equation, variable)
    values = quotient.coefficients.take(linear).to_float()
    at_row = np.full(len(quotient), -1, dtype=np.int64)
    at_column = np.full(len(quotient), -1, dtype=np.int64)
    at_row[rows], at_column[columns] = np.arange(rows.size), np.arange(columns.size)
    keep = (at_row[unit] >= 0) & (at_column[source] >= 0)
    result = np.zeros((rows.size, columns.size))
    result[at_row[unit[keep]], at_column[source[keep]]] = values[keep]
    return result


def _constants(lumping: Lumping, rows: IntArray) -> FloatArray:
    """The constant terms of the given equations."""
    quotient = lumping.quotient
    constant = (quotient.monomials.degrees == 0)[quotient.columns]
    values = np.zeros(len(quotient))
    values[quotient.rows[constant]] = quotient.coefficients.take(constant).to_float()
    return values[rows]
