"""The values of a network's units under stated inputs: over samples, or without sampling error.

A value is an array whose columns are units, once :meth:`Values.columns` has laid them out: one row for each
sample and position, or for each coefficient in Hermite polynomials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Protocol

import numpy as np

from symlump.compression.inputs import samples_of
from symlump.compression.moments import Hermite, Moments, Normal, Sampled, hidden_degree, moments_of
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Input, Node
from symlump.ode.exact import FloatArray, IntArray

#: Rows that fits and distances are made of, where a value has more: so many, and a few for each column.
_ROWS = 1 << 14
_ROWS_PER_COLUMN = 12
#: Values of a network are kept from one tolerance to the next if they are at most so many numbers.
_REMEMBERED = 1 << 23


class Values(Protocol):
    """How the values of nodes are represented."""

    @property
    def moments(self) -> Moments:
        """Means and second moments of columns."""

    def inputs(self) -> list[FloatArray]:
        """The values of the inputs, in order."""

    def after(self, node: Node, given: Sequence[FloatArray]) -> FloatArray:
        """The value of a node."""


@dataclass(frozen=True, eq=False)
class SampledValues:
    """Values on samples of the inputs."""

    samples: tuple[FloatArray, ...]

    @property
    def moments(self) -> Moments:
        """Means over rows."""
        return Sampled(self.samples[0])

    def inputs(self) -> list[FloatArray]:
        """The samples."""
        return list(self.samples)

    def after(self, node: Node, given: Sequence[FloatArray]) -> FloatArray:
        """The value of a node on them."""
        return evaluate(node, *given)


@dataclass(frozen=True, eq=False)
class HermiteValues:
    """Coefficients of polynomial units of normal inputs."""

    moments: Hermite = field(repr=False)

    def inputs(self) -> list[FloatArray]:
        """The inputs as polynomials of themselves."""
        return [self.moments.start()]

    def after(self, node: Node, given: Sequence[FloatArray]) -> FloatArray:
        """Products and sums of polynomials."""
        (h,) = given
        match node:
            case Affine(weight=weight, bias=bias):
                return self.moments.table.linear(weight, bias, h)
            case Apply(activation=phi):
                return self.moments.table.apply(phi, h)
        return h  # only steps that keep features as they are are left in a chain


def values_of(
    network: Network, inputs: object, seed: int = 0
) -> tuple[Values, tuple[FloatArray, ...]]:
    """Values under stated inputs, and samples of these inputs.

    Free of sampling error where the inputs are normal and the units small polynomials of them; else over
    samples.

    Raises
    ------
    MethodError
        If the inputs do not fit the network.
    """
    chain = network.chain
    polynomial = chain is not None and not network.sharing and hidden_degree(chain) is not None
    if isinstance(inputs, Normal) and chain is not None and polynomial:
        moments, drawn = moments_of(chain, inputs, seed)
        if isinstance(moments, Hermite):
            return HermiteValues(moments), (drawn.reshape(-1, *network.inputs[0].size),)
        return SampledValues(tuple(network.arranged(drawn))), (drawn,)
    samples = samples_of(inputs, network, seed=seed)
    return SampledValues(samples), samples


@dataclass(frozen=True, eq=False)
class Memory:
    """What fits of one network share, from one tolerance to the next.

    Parameters
    ----------
    values : dict
        Of the original nodes, by name.
    means : dict
        Of all units of a value, by its name.
    grams : dict
        Second moments of all units of a value, by its name, and whether about their means.
    columns : dict
        Of merged units the values, by the name of the value and their members; see
        :class:`symlump.compression.merging.known_units.KnownUnits`.
    across : dict
        Their second moments with all units of the original value.
    """

    values: dict[str, FloatArray] = field(default_factory=dict)
    means: dict[str, FloatArray] = field(default_factory=dict)
    grams: dict[tuple[str, bool], FloatArray] = field(default_factory=dict)
    columns: dict[tuple[str, bytes], FloatArray] = field(default_factory=dict)
    across: dict[tuple[str, bytes, bool], FloatArray] = field(default_factory=dict)


def memory_for(network: Network, values: Values) -> Memory | None:
    """Room for the values of all nodes; None where they are too many."""
    if not isinstance(values, SampledValues):
        return None
    per_sample = sum(prod(shape) for shape in network.shapes.values())
    return Memory() if per_sample * len(values.samples[0]) <= _REMEMBERED else None


class ValueWalk:
    """The values of a network's nodes in order, each let go when nothing reads it any more.

    Parameters
    ----------
    network : Network
    values : Values
    memory : Memory, optional
        With values from walks through the same network, which then are not computed again and stay.
    """

    def __init__(self, network: Network, values: Values, memory: Memory | None = None) -> None:
        self._values, self._left = values, Counter(network.readers)
        self._nodes = iter(network.nodes)
        self._stays = memory is not None
        self.held: dict[str, FloatArray] = {} if memory is None else memory.values
        inputs = (node.name for node in network.inputs)
        self.held.update(zip(inputs, values.inputs(), strict=True))

    def until(self, name: str) -> FloatArray:
        """The value of a node; asked for in order."""
        while name not in self.held:
            node = next(self._nodes)
            if isinstance(node, Input) or node.name in self.held:
                continue
            given = [self.held[n] for n in node.inputs]
            self.held[node.name] = self._values.after(node, given)
            for n in node.inputs:
                self._left[n] -= 1
                if not self._left[n] and not self._stays:
                    del self.held[n]
        return self.held[name]


def columns(value: FloatArray, units: IntArray | None = None) -> FloatArray:
    """A value with its channels as columns: one row for each sample and position of the grid.

    Parameters
    ----------
    value : ndarray, shape (samples, channels, …)
    units : ndarray of int, optional
        Some of the channels only.

    Examples
    --------
    >>> columns(np.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[0.0, 4.0], [1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]
    """
    if units is not None:
        value = np.take(value, units, axis=1)
    if value.ndim == 1:
        return value[:, None]
    return value if value.ndim == 2 else np.moveaxis(value, 1, -1).reshape(-1, value.shape[1])


def chosen_rows(rows: int, width: int) -> IntArray | None:
    """Which rows to use where there are very many; None for all of them.

    Examples
    --------
    >>> chosen_rows(100, 3) is None, chosen_rows(10**6, 3).size
    (True, 16384)
    """
    most = max(_ROWS, _ROWS_PER_COLUMN * width)
    if rows <= most:
        return None
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def features(h: FloatArray, at: IntArray) -> FloatArray:
    """The values of some units as columns, all their positions below one another, not too many rows.

    Parameters
    ----------
    h : ndarray, shape (samples, channels, …)
    at : ndarray of int, shape (units, positions)
        The channels of each unit.

    Examples
    --------
    >>> features(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[0, 1], [2, 3]])).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    if at.shape[1] == 1:
        part = (
            h if np.array_equal(at[:, 0], np.arange(h.shape[1])) else np.take(h, at[:, 0], axis=1)
        )
        if part.ndim == 2:
            return part
        part = np.moveaxis(part, 1, -1)
    else:
        part = np.moveaxis(np.take(h, at.ravel(), axis=1).reshape(len(h), *at.shape), 1, -1)
    columns = part.reshape(-1, len(at))
    rows = chosen_rows(len(columns), 0)
    return columns if rows is None else columns[rows]
