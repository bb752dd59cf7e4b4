"""The values of a network's units under stated inputs: over samples, or without sampling error.

A value is an array whose columns are units, once :meth:`Values.columns` has laid them out: one row for each
sample and position, or for each coefficient in Hermite polynomials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Protocol

import numpy as np
import numpy.typing as npt

from symlump.compression.inputs import sample_count, samples_of
from symlump.compression.merging.known_units import SeenGroups
from symlump.compression.moments import (
    Hermite,
    Moments,
    Normal,
    Sampled,
    hidden_degree,
    is_turned,
    moments_of,
)
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Flatten, Input, Node
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray, IntArray

#: Rows that fits and distances are made of, where a value has more: so many, and a few for each column.
_ROWS = 1 << 14
_ROWS_PER_COLUMN = 12
#: Fits of dense layers take samples with so many numbers in all, and at least so many for each unit.
_FITTED = 1 << 19
_ROWS_PER_UNIT = 4
#: Of samples with orthogonal directions, of at least half as many inputs as the widest layer has units, fewer
#: do: so many for each unit, and twice as many as there are inputs if no more than so many are needed for that.
_TURNED_PER_UNIT, _TURNED = 3, 1024
#: Networks of dense layers whose widest has so many units are analysed in their own precision.
_WIDE = 256
#: Where values are on grids, with so many numbers in the largest value, at least so many, and so many rows.
_ON_GRIDS, _FEWEST, _ROWS_PER_CHANNEL = 1 << 20, 128, 16
#: Values of a network are kept from one tolerance to the next if they take at most so many bytes.
_REMEMBERED = 1 << 28
#: From half of that on, those of wide networks only if they take at most this share of the weights.
_REMEMBERED_SHARE = 0.5


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
    """Values on samples of the inputs, in the precision of these."""

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
        if isinstance(node, Affine) and given[0].dtype == np.float32:
            node = single_layer(node)
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
    network: Network,
    inputs: object,
    seed: int = 0,
    count: int | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> tuple[Values, tuple[FloatArray, ...]]:
    """Values under stated inputs, and samples of these inputs.

    Free of sampling error where the inputs are normal and the units small polynomials of them; else over
    samples, of which so many are drawn from a distribution, in this precision where it is a normal one.

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
    count = count if isinstance(inputs, Normal) else None
    samples = samples_of(inputs, network, count, seed, dtype=dtype)
    return SampledValues(samples), samples


def analysed_values(
    network: Network, inputs: object, seed: int = 0, per_unit: int | None = None
) -> tuple[Values, tuple[FloatArray, ...]]:
    """Values and samples as from :func:`values_of`, in the precision in which the network is analysed.

    For wide networks no more are drawn than :func:`values_to_fit` keeps, and in single precision.

    Raises
    ------
    MethodError
        If the inputs do not fit the network.
    """
    if not is_wide(network):
        return values_of(network, inputs, seed)
    widest = _widest(network)
    count = min(sample_count(network), _fitted_count(widest, per_unit or _ROWS_PER_UNIT))
    sizes = [prod(node.size) for node in network.inputs]
    few = max(_TURNED_PER_UNIT * widest, min(_TURNED, 2 * max(sizes)))
    if per_unit is None and all(is_turned(few, size) and 2 * size >= widest for size in sizes):
        count = min(count, few)
    values, samples = values_of(network, inputs, seed, count, np.float32)
    if isinstance(values, SampledValues):
        dtype = np.float32 if in_single(network) else np.float64
        samples = tuple(x.astype(dtype, copy=False) for x in values.samples)
        values = SampledValues(samples)
    return values, samples


@dataclass(eq=False)
class Memory:
    """What fits of one network share, from one tolerance to the next.

    Parameters
    ----------
    values : dict
        Of the original nodes, by name.
    groups : dict
        Of values whose layers read nothing that changed, by their names, the merged units that occurred.
    covariances : dict
        Of the original units of values, by their names.
    means : dict
        Theirs.
    fits : int
        How many there were.
    """

    values: dict[str, FloatArray] = field(default_factory=dict)
    groups: dict[str, SeenGroups] = field(default_factory=dict)
    covariances: dict[str, FloatArray] = field(default_factory=dict)
    means: dict[str, FloatArray] = field(default_factory=dict)
    fits: int = 0


def memory_for(network: Network, values: Values) -> Memory | None:
    """Room for the values of all nodes; None where they are too many, or far more than the weights."""
    if not isinstance(values, SampledValues):
        return None
    numbers = len(values.samples[0]) * sum(prod(shape) for shape in network.shapes.values())
    most = _REMEMBERED
    if is_wide(network):
        weights = sum(layer.weight.nbytes for layer in network.layers)
        most = min(most, max(_REMEMBERED >> 1, int(_REMEMBERED_SHARE * weights)))
    return Memory() if numbers * values.samples[0].itemsize <= most else None


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


def rows_of(value: FloatArray, rows: IntArray) -> FloatArray:
    """Some rows of the columns of a value, without the others.

    Examples
    --------
    >>> rows_of(np.arange(8.0).reshape(1, 2, 2, 2), np.array([1, 3])).tolist()
    [[1.0, 5.0], [3.0, 7.0]]
    """
    flat = value.reshape(*value.shape[:2], -1)
    sample, place = np.divmod(rows, flat.shape[2])
    return np.asarray(flat[sample, :, place])


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


def fitted_rows(rows: int, width: int, per_unit: int = _ROWS_PER_UNIT) -> IntArray | None:
    """Which samples fits use in wide networks of dense layers; None for all of them.

    Every tolerance has values of its own in deeper layers, so they are what takes time.

    Examples
    --------
    >>> [rows if (rows := fitted_rows(4096, width)) is None else rows.size for width in (64, 256, 512, 1024)]
    [None, 2048, 2048, None]
    """
    return even_rows(rows, _fitted_count(width, per_unit))


def _fitted_count(width: int, per_unit: int) -> int:
    return max(per_unit * width, _FITTED // max(1, width))


def _widest(network: Network) -> int:
    return max((layer.units for layer in network.layers), default=1)


def even_rows(rows: int, most: int) -> IntArray | None:
    """So many rows, evenly spaced; None for all of them.

    Examples
    --------
    >>> even_rows(6, 3).tolist(), even_rows(3, 3) is None
    ([0, 2, 4], True)
    """
    return None if rows <= most else np.arange(most) * rows // most


def values_to_fit(
    network: Network,
    ties: Ties,
    values: Values,
    memory: Memory | None,
    per_unit: int = _ROWS_PER_UNIT,
) -> tuple[Values, Memory | None]:
    """The values that fits use, of all or fewer of the samples, and what is known of them."""
    if not isinstance(values, SampledValues):
        return values, memory
    count = len(values.samples[0])
    if any(len(shape) > 1 for shape in network.shapes.values()):
        rows = even_rows(count, samples_on_grids(network, ties))
    else:
        rows = fitted_rows(count, _widest(network), per_unit)
    if rows is None:
        return values, memory or memory_for(network, values)
    few = SampledValues(tuple(x[rows] for x in values.samples))
    if memory is None:  # of all samples there was no room
        return few, memory_for(network, few)
    return few, Memory({name: h[rows] for name, h in memory.values.items()})


def in_single(network: Network) -> bool:
    """Whether values are computed in single precision, as the network itself does: where that is faster."""
    return network.dtype != "float64" and is_wide(network)


def to_single(network: Network) -> Network:
    """The network with all weights in single precision, in which it gives values if its inputs are."""
    held = [a for node in network.layers for a in (node.weight, node.bias) if a is not None]
    if all(array.dtype == np.float32 for array in held):
        return network
    return network.with_layers(single_layer(node) for node in network.layers)


def single_with(network: Network, samples: Sequence[FloatArray]) -> Network:
    """The network in single precision if its samples are."""
    return to_single(network) if samples[0].dtype == np.float32 else network


def single_layer(node: Affine) -> Affine:
    """A layer with weights in single precision."""
    bias = None if node.bias is None else _in_single(node.bias)
    return replace(node, weight=_in_single(node.weight), bias=bias)


def _in_single(array: FloatArray) -> FloatArray:
    return array.astype(np.float32, copy=False)


def is_wide(network: Network) -> bool:
    """Whether values are those of many units, and of nothing but dense layers and activations.

    Then distances are taken on the samples that fits use and, unless the network's weights are float64, in
    single precision, in which the network itself computes.

    Examples
    --------
    >>> [is_wide(Network.dense([np.ones((width, 2)), np.ones((1, width))])) for width in (255, 256)]
    [False, True]
    """
    dense = all(
        isinstance(node, Input | Apply | Flatten)
        or (isinstance(node, Affine) and node.is_dense and not node.weight_name)
        for node in network.nodes
    )
    inputs = {node.name for node in network.inputs}
    flat = all(len(shape) == 1 or name in inputs for name, shape in network.shapes.items())
    return dense and flat and _widest(network) >= _WIDE


def samples_on_grids(network: Network, ties: Ties) -> int:
    """How many samples fits use where values are on grids: each position of a sample is a row of a fit.

    Every tolerance convolves all of them again, so they are as few as keep 16 rows for each unit, unless values
    are small.

    Examples
    --------
    >>> from symlump.network.nodes import Flatten
    >>> from symlump.network.ties import find_ties
    >>> grid = Affine("a", ("x",), np.ones((16, 1, 3, 3)), None, (1, 1), (1, 1), (1, 1))
    >>> nodes = [Input("x", (), (1, 32, 32)), grid, Flatten("f", ("a",))]
    >>> for units in (10, 100):
    ...     dense = [Affine("b", ("f",), np.ones((units, 16384))), Affine("c", ("b",), np.ones((2, units)))]
    ...     net = Network((*nodes, *dense), ("c",))
    ...     print(samples_on_grids(net, find_ties(net)))
    160
    1600
    """
    needed = _FEWEST
    for name in {layer.inputs[0] for layer in network.layers}:
        channels, *grid = network.shapes[name] or (1,)
        inside = int(ties.positions[name].max(initial=0)) + 1
        needed = max(needed, _ROWS_PER_CHANNEL * channels // (inside * inside * prod(grid)))
    return max(needed, _ON_GRIDS // max(prod(shape) for shape in network.shapes.values()))


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
    everything = np.array_equal(at.ravel(), np.arange(h.shape[1]))
    by_unit = h if everything else np.take(h, at.ravel(), axis=1)
    if at.shape[1] > 1:
        by_unit = by_unit.reshape(len(h), *at.shape)
    if by_unit.ndim == 2:
        return by_unit
    rows = chosen_rows(by_unit.size // len(at), 0)
    return columns(by_unit) if rows is None else rows_of(by_unit, rows)
