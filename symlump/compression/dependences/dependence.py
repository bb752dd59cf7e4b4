"""Compression by linear dependence: units that are combinations of others give way to them.

If h_i = a_0 + Σ_j a_j·h_j over the units that are kept, unit i can go: a_j times its outgoing weights
are added to those of unit j, and a_0 times them to the next bias. Where this holds in mean square only,
for a stated distribution of the inputs, the outputs change a little.

References
----------
Shah, Olivier, Raj, "Linear redundancy elimination" with annealing, arXiv:2005.14070, take dependence
over data. Here the distribution may as well be a normal one, which needs no data, and the units that
go are chosen by what their loss costs at the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.compression.dependences.elimination import (
    OVERFLOW,
    eliminate,
    fewer_rows,
    output_metrics,
)
from symlump.compression.dependences.exact_dependence import reduce_exactly
from symlump.compression.fitting import fitted
from symlump.compression.moments import Moments, Normal, moments_of
from symlump.compression.reduction import CompressionMethod, Reduction, check_steps
from symlump.errors import FailureError, MethodError
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import Plan, check_wish, renamed

# A unit whose part that no other unit contains is smaller than this, relative to the largest unit (each
# weighed by its effect on the outputs), is a combination of the others up to the weights' rounding.
_ROUNDING = {"float64": 1e-12, "float32": 1e-6, "float16": 8e-3, "bfloat16": 6e-2}


@renamed(tol="eps")
@dataclass(frozen=True, eq=False)
class Dependence(CompressionMethod):
    """Remove units whose activation is a linear combination, with a constant, of kept units.

    Parameters
    ----------
    eps : float, optional
        What each layer may change the outputs by: the root mean square of the change, to first order,
        relative to the standard deviation of the outputs, both under the stated inputs. 0 removes
        only what is redundant up to rounding.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep, in (0, 1]. The smallest tolerance found that
        keeps no more is used.
    inputs : Normal, array_like of shape (samples, inputs), or "exact"
        What the inputs are like: a normal distribution (standard normal by default, so that no data is
        needed), samples, or nothing at all: "exact" removes units that are combinations as
        polynomials of the inputs, over the rationals, and has each such identity verified by the
        independent checker. It is for polynomial activations and takes no ``eps`` or ``retain``.
    seed : int
        Of the samples drawn from a normal distribution.
    steps : int
        After the closed form, so many steps of L-BFGS on *all* weights towards the original network's
        outputs for the stated inputs. No targets are used, so with a normal distribution still no data.
        Kept units then are no longer as they were; 0 leaves them.

    Raises
    ------
    MethodError
        If an option is out of range or does not go with the others, or with the network.
    FailureError
        If a requested size cannot be reached, or activations overflow on the stated inputs.

    Notes
    -----
    Let H be the activations of a layer, T the pre-activations that follow it in the original network,
    and M = E[JᵀJ]/Var(outputs) with J the derivative of the outputs by those pre-activations. Units are
    eliminated greedily, always the one that increases E[‖M^½(T − A·H)‖²] least when the weights A of the
    kept ones are refitted. So the choice is by effect on the outputs, and comparable between layers.
    How many units each layer keeps is decided on the original network; then layer after layer is
    fitted on the already reduced ones before it, so errors do not pile up. A layer without a bias does
    not get one. Cost: two QR factorisations per layer, of samples × units.

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
    inputs: npt.ArrayLike | Normal | str = field(default_factory=Normal, repr=False)
    seed: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if isinstance(self.inputs, str):
            if self.inputs != "exact":
                raise MethodError(
                    f"inputs={self.inputs!r} is unknown; give samples, a Normal distribution or 'exact'"
                )
            if self.eps not in (None, 0) or self.retain is not None or self.steps:
                raise MethodError(
                    "inputs='exact' removes what is redundant exactly and takes neither eps, retain nor steps; "
                    "use Dependence(retain=…) with samples or a Normal distribution"
                )
            return
        check_wish(self, eps=self.eps, retain=self.retain)

    @property
    def label(self) -> str:
        """Name for tables."""
        if isinstance(self.inputs, str):
            return "linear dependence (polynomials)"
        return f"linear dependence ({'normal' if isinstance(self.inputs, Normal) else 'samples'})"

    def plan(self, network: Network) -> Plan[Reduction]:
        """See :class:`symlump.plan.Method`."""
        chain = network.dense_chain("Dependence")
        if isinstance(self.inputs, str):
            return _Exactly(network, chain)
        moments, samples = moments_of(chain, self.inputs, self.seed)
        with np.errstate(over="ignore", invalid="ignore"):
            losses = _losses(chain, moments, metrics := output_metrics(chain, samples))
        return _Orders(network, chain, moments, samples, metrics, losses, self.steps)

    def settle(self, plan: Plan[Reduction]) -> Reduction:
        """See :class:`symlump.plan.Method`."""
        return plan.at(0.0) if isinstance(self.inputs, str) else super().settle(plan)


@dataclass(frozen=True, eq=False)
class _Exactly(Plan[Reduction]):
    """Dependence of polynomials; there is one result."""

    network: Network
    chain: Chain

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    @cached_property
    def _result(self) -> Reduction:
        return _in(self.network, reduce_exactly(self.chain))

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
class _Orders(Plan[Reduction]):
    """For each hidden layer the loss by number of kept units."""

    network: Network
    chain: Chain
    moments: Moments
    samples: FloatArray
    metrics: list[FloatArray]
    losses: list[FloatArray]
    steps: int

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    def _units(self, eps: float) -> tuple[int, ...]:
        return tuple(max(1, int(np.argmax(loss <= eps**2))) for loss in self.losses)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        reduction = _refitted(self.chain, self.moments, self.metrics, self._units(eps), eps)
        if self.steps:
            original = Network.from_chain(self.chain)
            small, error = fitted(reduction.network, original, [self.samples], self.steps)
            reduction = replace(reduction, network=small, defect=error)
        return _in(self.network, reduction)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return _parameters(self.chain, self._units(eps))


def _in(network: Network, reduction: Reduction) -> Reduction:
    """The result in the place of the network's chain."""
    small = reduction.network.dense_chain("Dependence")
    return replace(reduction, network=network.with_chain(small))


def _order(
    following: Layer,
    metric: FloatArray,
    moments: Moments,
    h: FloatArray,
    wanted: FloatArray,
    rounding: float,
) -> tuple[IntArray, FloatArray]:
    """In which order units can be done without, and the loss by number of kept ones.

    Raises
    ------
    FailureError
        If activations overflow.
    """
    if not (np.isfinite(h).all() and np.isfinite(wanted).all()):
        raise FailureError(OVERFLOW)
    centred = following.bias is not None
    targets = moments.root(wanted, centred) @ metric
    importance = np.linalg.norm(following.weight.T @ metric, axis=1)
    return eliminate(moments.root(h, centred), targets, importance, rounding)


def _losses(network: Chain, moments: Moments, metrics: list[FloatArray]) -> list[FloatArray]:
    """For each hidden layer the loss by number of kept units, the others being as they are."""
    h, rounding = moments.start(), _ROUNDING[network.dtype]
    result: list[FloatArray] = []
    for number, layer in enumerate(network.hidden, start=1):
        following = network.layers[number]
        h = moments.after(layer, h)
        wanted = moments.pre_activation(following, h)
        result.append(_order(following, metrics[number], moments, h, wanted, rounding)[1])
    return result


def _refitted(
    network: Chain,
    moments: Moments,
    metrics: list[FloatArray],
    units: tuple[int, ...],
    eps: float,
) -> Reduction:
    """Keep so many units of each layer, and fit what follows to the original network."""
    original = h = moments.start()
    layer, layers, rounding = network.layers[0], list[Layer](), _ROUNDING[network.dtype]
    maps: list[IntArray] = []
    changed, loss = False, 0.0
    for number, count in enumerate(units, start=1):
        original = moments.after(network.layers[number - 1], original)
        following = network.layers[number]
        h = moments.after(layer, h)
        if count == layer.units and not changed:
            layers.append(layer)
            maps.append(np.arange(count))
            layer = following
            continue
        changed = True
        wanted = moments.pre_activation(following, original)
        order, _ = _order(following, metrics[number], moments, h, wanted, rounding)
        kept = np.sort(order[:count]) if order.size else np.zeros(1, dtype=np.int64)
        weight, bias = _fit(moments, h[:, kept], wanted, following.bias is not None, rounding)
        layers.append(_rows(layer, kept))
        where = np.full(layer.units, -1, dtype=np.int64)
        where[kept] = np.arange(kept.size)
        maps.append(where)
        h = h[:, kept]
        layer = replace(following, weight=weight, bias=bias)
        error = moments.pre_activation(layer, h) - wanted
        loss = float(np.sum((moments.root(error, centred=False) @ metrics[number]) ** 2))
    small = Network.from_chain(Chain((*layers, layer), network.dtype))
    stored = tuple(layer.parameters for layer in small.layers)
    return Reduction(small, tuple(maps), small.parameters, eps, float(np.sqrt(loss)), stored=stored)


def _fit(
    moments: Moments, h: FloatArray, wanted: FloatArray, constant: bool, rounding: float
) -> tuple[FloatArray, FloatArray | None]:
    """Weights and bias of the layer that gives the wanted pre-activations best, in mean square."""
    root = moments.root(h, constant)
    size = np.linalg.norm(root, axis=0)
    size[size == 0] = 1.0
    problem = fewer_rows(root / size, moments.root(wanted, constant))
    solution = np.linalg.lstsq(*problem, rcond=rounding)[0]
    weight = (solution / size[:, None]).T
    return weight, moments.mean(wanted) - weight @ moments.mean(h) if constant else None


def _rows(layer: Layer, kept: IntArray) -> Layer:
    bias: Any = None if layer.bias is None else layer.bias[kept]
    return replace(layer, weight=layer.weight[kept], bias=bias)


def _parameters(network: Chain, units: tuple[int, ...]) -> int:
    """How many parameters the network has with so many units in its hidden layers."""
    widths = (network.inputs, *units, network.outputs)
    return sum(
        (before + (layer.bias is not None)) * after
        for layer, before, after in zip(network.layers, widths, widths[1:], strict=False)
    )
