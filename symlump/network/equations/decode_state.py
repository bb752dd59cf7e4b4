"""Back from a lumping of the state form to a chain of dense layers, which may sum its units in groups."""

from __future__ import annotations

import numpy as np

from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.network.chain import Chain, Layer
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.precision import refuse_overflow
from symlump.ode.exact import FloatArray, IntArray


def decoded_state(lumping: Lumping, ode: NetworkODE) -> Chain:
    """The chain of a quotient of the state form.

    Raises
    ------
    MethodError
        If pre-activations and outputs of units merged differently, which no network expresses.

    Examples
    --------
    >>> from symlump import Backward, Network, encode, lump
    >>> ode = encode(Network.dense([[[1.0], [1.0]], [[2.0, 3.0]]]), "state")
    >>> decoded_state(lump(ode, Backward()), ode)
    <Chain: 1–1–1, tanh, 2 parameters>
    """
    labels, network = lumping.partition.labels, ode.network
    chain = network.dense_chain("the state form")
    last = len(chain.layers)
    layers: list[Layer] = []
    columns = _distinct(labels[ode.where(network.inputs[0].name)])
    for number, (layer, node) in enumerate(zip(chain.layers, network.layers, strict=True), start=1):
        rows = _distinct(labels[ode.where(node.name, "z" if number < last else "output")])
        weight = _coefficients(lumping, rows, columns)
        bias = None if layer.bias is None else _constants(lumping, rows)
        refuse_overflow(node.name, weight, bias)
        groups = None
        if number < last:
            z, h = labels[ode.where(node.name, "z")], labels[ode.where(node.name, "h")]
            groups, columns = _groups(lumping, z, h)
        layers.append(Layer(weight, bias, layer.activation, groups))
    return Chain(tuple(layers), chain.dtype)


def _distinct(labels: IntArray) -> IntArray:
    """The labels that occur, in order of first appearance."""
    return labels[Partition(labels).representatives]


def _groups(lumping: Lumping, z: IntArray, h: IntArray) -> tuple[IntArray | None, IntArray]:
    """How the blocks of outputs h sum the blocks of units z; None if they are the same blocks."""
    pairs = np.unique(np.stack([z, h], axis=1), axis=0)
    units, groups_of_members, columns = Partition(z).labels, Partition(h).labels, _distinct(h)
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


def _coefficients(lumping: Lumping, rows: IntArray, columns: IntArray) -> FloatArray:
    """Dense matrix of the linear coefficients between two sets of blocks, units × inputs."""
    quotient = lumping.quotient
    table = quotient.monomials
    linear = (table.degrees == 1)[quotient.columns]
    equation = quotient.rows[linear]
    variable = table.variables[table.indptr[:-1][quotient.columns[linear]]]
    values = quotient.coefficients.take(linear).to_float()
    at_row = np.full(len(quotient), -1, dtype=np.int64)
    at_column = np.full(len(quotient), -1, dtype=np.int64)
    at_row[rows], at_column[columns] = np.arange(rows.size), np.arange(columns.size)
    keep = (at_row[equation] >= 0) & (at_column[variable] >= 0)
    result = np.zeros((rows.size, columns.size))
    result[at_row[equation[keep]], at_column[variable[keep]]] = values[keep]
    return result


def _constants(lumping: Lumping, rows: IntArray) -> FloatArray:
    """The constant terms of the given equations."""
    quotient = lumping.quotient
    constant = (quotient.monomials.degrees == 0)[quotient.columns]
    values = np.zeros(len(quotient))
    values[quotient.rows[constant]] = quotient.coefficients.take(constant).to_float()
    return values[rows]
