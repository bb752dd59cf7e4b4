"""Compression by linear dependence: units that are combinations of others give way to them.

If h_i = a_0 + Σ_j a_j·h_j over the units that are kept, unit i can go: a_j times its outgoing weights
are added to those of unit j, and a_0 times them to the next bias. Where this holds in mean square only,
for a stated distribution of the inputs, the outputs change a little. A unit is a channel: behind a convolution
the combination holds at every place of the grid alike, and every offset of the next kernel is folded with the
same a_j. Channels that sums add are one unit, so one choice holds for all branches, each read with its own a_j.

References
----------
Shah, Olivier, Raj, "Linear redundancy elimination" with annealing, arXiv:2005.14070, take dependence
over data. Here the distribution may as well be a normal one, which needs no data, and the units that
go are chosen by what their loss costs at the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from symlump.compression.collapse import BLIND, OutputWatch
from symlump.compression.dependences.elimination import Readers, eliminate
from symlump.compression.dependences.exact_dependence import reduce_exactly
from symlump.compression.dependences.kept_units import KeptWeights
from symlump.compression.dependences.metrics import OVERFLOW, by_unit, metrics
from symlump.compression.fitting import fit_outputs, output_error
from symlump.compression.inputs import Inputs, advice, assume_inputs, check_inputs
from symlump.compression.merging.effect import flat_outputs, outputs_on, spread_of
from symlump.compression.merging.values import (
    Memory,
    SampledValues,
    Values,
    ValueWalk,
    analysed_values,
    chosen_rows,
    is_wide,
    memory_for,
    values_to_fit,
)
from symlump.compression.moments import Normal
from symlump.compression.reduction import (
    CompressionMethod,
    NetworkPlan,
    Reduction,
    check_steps,
    try_each,
)
from symlump.errors import FailureError, MethodError, NetworkError
from symlump.lumping.partition import Partition
from symlump.network.chain import Chain
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Flatten, Input
from symlump.network.rewrite import rewrite, tidy
from symlump.network.ties import Ties, find_ties
from symlump.ode.exact import FloatArray, IntArray
from symlump.old_names import accept_old_names
from symlump.plan import LARGEST, Plan, check_wish

# A unit whose part that no other unit contains is smaller than this, relative to the largest unit (each
# weighed by its effect on the outputs), is a combination of the others up to the weights' rounding.
_ROUNDING = {"float64": 1e-12, "float32": 1e-6, "float16": 8e-3, "bfloat16": 6e-2}

#: Wide layers are fitted on so many samples for each unit of the widest.
_PER_UNIT = 8

#: The units of a tolerance, in words.
_UNITS = {
    "output": "as a share of their spread",
    "parameters": "as a share of their spread, for each share of the parameters that goes",
}


@accept_old_names(tol="eps")
@dataclass(frozen=True, eq=False)
class Dependence(CompressionMethod):
    """Remove units whose activation is a linear combination, with a constant, of kept units.

    Parameters
    ----------
    eps : float, optional
        What the units of each layer may change the outputs by: the root mean square of the change, to first
        order, relative to the standard deviation of the outputs, both under the stated inputs. 0 removes
        only what is redundant up to rounding.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep, in (0, 1]. The smallest tolerance found that
        keeps no more is used.
    inputs : Normal, Images, array, tensor, DataLoader, or "exact", optional
        What the inputs are like: a distribution, or samples (their targets are not looked at). Default:
        standard normal, so that no data is needed; :class:`symlump.Images` where inputs look like images.
        "exact" needs nothing: it removes units that are combinations as polynomials of the inputs, over the
        rationals, and has each such identity verified by the independent checker. It is for dense layers one
        after the other with polynomial activations, and takes no ``eps`` or ``retain``.
    relative_to : {"output", "parameters"}, optional
        The unit of tolerances. "output": every layer may change the outputs by as much. "parameters": by as
        much for each share of the parameters that its units hold, so that a size is reached where it costs
        least. By default ``eps`` is relative to the outputs, and for ``retain`` both are tried: what changes
        the outputs less under ``inputs`` is kept, and ``measure`` says which.
    seed : int
        Of the samples drawn from a distribution.
    steps : int
        After the closed form, so many steps of L-BFGS on *all* weights towards the original network's
        outputs for the stated inputs. No targets are used, so with a distribution still no data.
        Kept units then are no longer as they were; 0 leaves them.

    Raises
    ------
    MethodError
        If an option is out of range or does not go with the others, or with the network.
    FailureError
        If a requested size cannot be reached, or activations overflow on the stated inputs.

    Notes
    -----
    Let H be the values of some units where layers read them, and M = E[JᵀJ]/Var(outputs) with J the derivative
    of the outputs by what is read. Units are eliminated greedily, always the one that increases
    E[‖M^½(H − A·H_kept)‖²] least when A is refitted, added up over all places in which the units are read. So
    the choice is by effect on the outputs, and comparable between layers. With E_a(k) the loss where k units
    of an axis are left, "output" asks for the least k with E_a(k) ≤ ε², "parameters" for the k with the least
    E_a(k) + ε²·s_a·k, where s_a is the share of all parameters that one unit holds. Which units go is decided
    on the original network; then layer after layer is fitted on the already reduced ones before it, so errors
    do not pile up. A layer without a bias, or one that pads with zeros, gets no constant. Weights that layers
    share get one fit for all of these. Cost: a product of samples × units with itself for each place. Networks
    of dense layers, one of 256 units or more, are analysed on eight samples for each unit of the widest
    layer, at least 2048, and in single precision unless their weights are double.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [-1.0, 2.0], [2.0, 4.0]], [[0.5, 0.25, 1.0]]],
    ...                     activation="relu")
    >>> small = compress(net, Dependence(eps=0))
    >>> small.unit_maps[0].tolist(), small.network(np.array([[1.0, 1.0]])).round(9).tolist()
    ([-1, 0, 1], [[7.75]])
    """

    eps: float | None = None
    retain: float | None = None
    inputs: Inputs = field(default=None, repr=False)
    seed: int = 0
    steps: int = 0
    relative_to: str | None = None

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if self.relative_to not in (None, *_UNITS):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose {' or '.join(map(repr, _UNITS))}"
            )
        if isinstance(self.inputs, str):
            if self.inputs != "exact":
                raise MethodError(
                    f"inputs={self.inputs!r} is unknown; give samples, a Normal distribution or 'exact'"
                )
            if (
                self.eps not in (None, 0)
                or self.retain is not None
                or self.steps
                or self.relative_to
                or self.seed
            ):
                raise MethodError(
                    "inputs='exact' removes what is redundant exactly and takes neither eps, retain nor steps, "
                    "nor relative_to or a seed; use Dependence(retain=…) with samples or a Normal distribution"
                )
            return
        check_wish(self, eps=self.eps, retain=self.retain)
        if self.inputs is not None:
            check_inputs(self.inputs, "Dependence")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        if isinstance(self.inputs, str):
            return "linear dependence (polynomials)"
        drawn = self.inputs is None or isinstance(self.inputs, Normal)
        return f"linear dependence ({'normal' if drawn else 'samples'})"

    @property
    def measure(self) -> str:
        """What ε bounds, in words, with its unit."""
        return (
            f"ε is what a layer may change the outputs by, {_UNITS[self.relative_to or 'output']}; "
            "δ is the share of their spread by which they change in all"
        )

    def plan(self, network: Network) -> Plan[Reduction]:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan

        Examples
        --------
        >>> from symlump import Network
        >>> net = Network.dense([[[1.0], [2.0], [3.0]], [[1.0, 1.0, 1.0]]], activation="identity")
        >>> Dependence(eps=0.01).plan(net).size(0.01)
        2
        """
        if isinstance(self.inputs, str):
            _refuse_other_shapes(network)
            return _Exactly(network, network.dense_chain("Dependence(inputs='exact')"))
        return _Orders.of(network, self)

    def settle(self, plan: Plan[Reduction]) -> Reduction:
        """What a plan gives for the tolerance or share of the method; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        plan : Plan
            One that the method has made.

        Returns
        -------
        Reduction

        Raises
        ------
        FailureError
            If no tolerance reaches the share.

        Examples
        --------
        >>> from symlump import Network
        >>> net = Network.dense([[[1.0], [2.0], [3.0]], [[1.0, 1.0, 1.0]]], activation="identity")
        >>> method = Dependence(retain=0.5)
        >>> method.settle(method.plan(net)).retained_parameters
        2
        """
        return plan.at(0.0) if isinstance(self.inputs, str) else super().settle(plan)


@dataclass(frozen=True, eq=False)
class _Exactly(NetworkPlan):
    """Dependence of polynomials; there is one result."""

    network: Network
    chain: Chain

    @cached_property
    def _result(self) -> Reduction:
        reduction = reduce_exactly(self.chain)
        small = reduction.network.dense_chain("Dependence")
        return replace(reduction, network=self.network.with_chain(small))

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        if eps:
            raise MethodError(
                "inputs='exact' removes what is redundant exactly and takes no tolerance"
            )
        return self._result

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return self.at(eps).retained_parameters


@dataclass(frozen=True, eq=False)
class _Orders(NetworkPlan):
    """For the units of each axis the order in which they can be done without, and the loss by number kept."""

    network: Network
    method: Dependence
    ties: Ties
    values: Values
    samples: tuple[FloatArray, ...]
    outputs: FloatArray
    spread: float
    memory: Memory | None
    orders: tuple[tuple[IntArray, FloatArray] | None, ...]
    sizes: dict[tuple[int, ...], int] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, method: Dependence) -> _Orders:
        """Decide the orders on the original network: the one costly step.

        Raises
        ------
        FailureError
            If activations overflow.
        """
        _refuse_groups(network)
        ties = find_ties(network)
        inputs = assume_inputs(network) if method.inputs is None else method.inputs
        with np.errstate(over="ignore", invalid="ignore"):
            values, samples = analysed_values(network, inputs, method.seed, _PER_UNIT)
            memory = memory_for(network, values)
            if is_wide(network):
                values, memory = values_to_fit(network, ties, values, None, _PER_UNIT)
                samples = values.samples if isinstance(values, SampledValues) else samples
            if memory is None:
                outputs = outputs_on(network, samples)
            else:
                walk = ValueWalk(network, values, memory)
                known = {node.name: walk.until(node.name) for node in network.nodes}
                outputs = flat_outputs(known, network)
            spread = spread_of(outputs)
            orders = _orders(network, ties, values, samples, memory, spread)
        return cls(network, method, ties, values, samples, outputs, spread, memory, orders)

    def _left(self, eps: float) -> tuple[int, ...]:
        """How many units of each axis stay."""
        priced = self.method.relative_to == "parameters"
        left, square = [], min(eps, LARGEST) ** 2
        for units, found, share in zip(self.ties.axes, self.orders, self._shares, strict=True):
            if found is None:
                left.append(units.size)
                continue
            losses = found[1]
            if priced:
                best = np.argmin(losses + square * share * np.arange(losses.size))
            else:
                best = np.argmax(losses <= square)
            left.append(max(1, int(best)))
        return tuple(left)

    def _groups(self, left: tuple[int, ...]) -> IntArray:
        """Its own number for each unit that is kept, for any other that of the first one kept beside it."""
        groups = np.arange(self.ties.count)
        for units, found, count in zip(self.ties.axes, self.orders, left, strict=True):
            if found is None:
                continue
            kept = np.sort(units[found[0][:count]]) if found[0].size else units[:1]
            groups[units] = kept[0]
            groups[kept] = kept
        return groups

    @cached_property
    def _shares(self) -> list[float]:
        return self.ties.shares(self.network)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        left = self._left(eps)
        if left not in self.sizes:  # near tolerances leave the same
            self.sizes[left] = self.ties.parameters(self.network, self._groups(left))
        return self.sizes[left]

    @cached_property
    def watch(self) -> OutputWatch:
        """See :class:`symlump.compression.reduction.NetworkPlan`."""
        return OutputWatch(self.network, self.samples)

    def nearest(self, target: int) -> Reduction:
        """What has at most a target's size, in the unit of the method, or in the better of both."""
        if self.method.relative_to is not None:
            return super().nearest(target)
        plans = (self._like(relative_to=unit, steps=0) for unit in _UNITS)
        found = try_each(plans, lambda plan: plan.nearest(target))
        plan, best = min(found, key=lambda pair: pair[1].defect)
        steps = self.method.steps
        return plan._like(steps=steps).nearest(target) if steps else best

    def _like(self, **options: Any) -> _Orders:
        return replace(self, method=replace(self.method, **options))

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        network, groups = self.network, self._groups(self._left(eps))
        rounding = _ROUNDING[network.dtype]
        with np.errstate(over="ignore", invalid="ignore"):
            weights = KeptWeights(network, self.ties, groups, self.values, self.memory, rounding)
            labels = self.ties.labels(network, groups)
            small = rewrite(network, labels, weights)
            if not self.method.steps:
                on_samples = isinstance(self.values, SampledValues)
                seen = weights.outputs(small) if on_samples else outputs_on(small, self.samples)
                error = output_error(seen, self.outputs, self.spread)
        small = tidy(small)
        if self.method.steps:
            small, error = fit_outputs(small, network, self.samples, self.method.steps)
        maps = []
        for layer in network.hidden:
            where = Partition(labels[layer.name]).labels.copy()
            units = self.ties.units[layer.name]
            where[groups[units] != units] = -1
            maps.append(where)
        helps = "" if self.method.inputs is not None else advice(network, "Dependence")
        return Reduction(
            small,
            tuple(maps),
            small.parameters,
            eps,
            error,
            stored=small.held,
            note=BLIND if self.watch.is_blind else "",
            advice=helps,
            measure=self.method.measure,
        )


def _orders(
    network: Network,
    ties: Ties,
    values: Values,
    samples: tuple[FloatArray, ...],
    memory: Memory | None,
    spread: float,
) -> tuple[tuple[IntArray, FloatArray] | None, ...]:
    """For each axis the order of its units; None where it stays as it is."""
    constant: dict[str, bool] = {}
    for layer in network.layers:
        if layer.depthwise:
            continue
        name, fits = layer.inputs[0], layer.bias is not None and not any(layer.padding)
        constant[name] = constant.get(name, True) and fits
    tables: dict[tuple[str, int], IntArray] = {}
    whole = set(range(len(ties.axes)))
    for name in constant:
        for axis, units in enumerate(ties.axes):
            table = ties.table(name, axis)
            if table.size:
                tables[name, axis] = table
            elif np.isin(units, ties.units[name]).any():  # only some of them are read
                whole.discard(axis)
    counts = metrics(network, samples, tables, None if memory is None else memory.values, spread)
    walk = ValueWalk(network, values, memory)
    readings: list[list[Readers]] = [[] for _ in ties.axes]
    for node in network.nodes:
        for axis in range(len(ties.axes)):
            if (node.name, axis) in tables and axis in whole:
                table = tables[node.name, axis]
                h = by_unit(walk.until(node.name), table)
                if not np.isfinite(h).all():
                    raise FailureError(OVERFLOW)
                rows = chosen_rows(len(h), h.shape[1])
                as_they_are = np.array_equal(table[:, 0], np.arange(table.size)) and rows is None
                h = h if rows is None else h[rows]
                centred, moments = constant[node.name], values.moments
                means = (moments.mean(h), np.empty(0)) if centred else None
                gram, _ = moments.products(h, h[:, :0], means)
                root = partial(moments.root, h, centred)
                readings[axis].append(Readers(gram, counts[node.name, axis], root))
                if memory is not None and means is not None and as_they_are:
                    memory.covariances[node.name] = gram  # which fits ask for, too
                    memory.means[node.name] = means[0]
    rounding = _ROUNDING[network.dtype]
    unread = np.zeros(0, dtype=np.int64), np.zeros(1)  # of such units one is left
    return tuple(
        eliminate(found, rounding) if found else unread if axis in whole else None
        for axis, found in enumerate(readings)
    )


def _refuse_other_shapes(network: Network) -> None:
    """Say why exact dependence is for chains of dense layers, and what there is instead."""
    if network.chain is not None:
        return
    odd = next(
        (
            node
            for node in network.nodes
            if not isinstance(node, Input | Apply | Flatten)
            and not (isinstance(node, Affine) and node.is_dense and not node.weight_name)
        ),
        network.nodes[-1],
    )
    raise NetworkError(
        "Dependence(inputs='exact') works on chains of dense layers, where a unit is one polynomial of the "
        f"inputs; behind {odd.name!r} ({type(odd).__name__}) a channel is another polynomial at every place "
        "and at the padded edge, or channels that are added stay or go together, so that one identity would "
        "have to hold for many polynomials at once, which is not looked for. Exact here, with a proof: "
        "AFDE(eps=0) and Symmetric(); up to rounding: Dependence(eps=0)"
    )


def _refuse_groups(network: Network) -> None:
    if network.chain is not None and any(k.groups is not None for k in network.chain.layers):
        network.dense_chain("Dependence")
