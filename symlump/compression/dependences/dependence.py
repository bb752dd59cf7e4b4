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
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, qr

from symlump.compression.dependences.exact_dependence import reduce_exactly
from symlump.compression.fitting import fitted
from symlump.compression.moments import Moments, Normal, moments_of
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share, check_steps, share_of, smallest_tolerance
from symlump.errors import FailureError, MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray

# A unit whose part that no other unit contains is smaller than this, relative to the largest unit (each
# weighed by its effect on the outputs), is a combination of the others up to the weights' rounding.
_ROUNDING = {"float64": 1e-12, "float32": 1e-6, "float16": 8e-3, "bfloat16": 6e-2}

_OVERFLOW = (
    "activations of the network overflow on the stated inputs; give samples or a Normal distribution of "
    "the inputs that it is made for"
)

# Units go one by one in layers of fewer than twice this many, in larger ones this many steps per layer.
_STEPS = 256

# Up to this many outputs their gradients are computed one by one, beyond for as many random signs.
_PROBES = 16


@dataclass(frozen=True, eq=False)
class Dependence:
    """Remove units whose activation is a linear combination, with a constant, of kept units.

    Parameters
    ----------
    tol : float, optional
        What each layer may change the outputs by: the root mean square of the change, to first order,
        relative to the standard deviation of the outputs, both under the stated inputs. 0 removes
        only what is redundant up to rounding.
    retain : float, optional
        Instead of ``tol``: the share of parameters to keep, in (0, 1]. The smallest tolerance found that
        keeps no more is used.
    inputs : Normal, array_like of shape (samples, inputs), or "exact"
        What the inputs are like: a normal distribution (standard normal by default, so that no data is
        needed), samples, or nothing at all: "exact" removes units that are combinations as
        polynomials of the inputs, over the rationals, and has each such identity verified by the
        independent checker. It is for polynomial activations and takes no ``tol`` or ``retain``.
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
    >>> small = compress(net, Dependence(tol=0))
    >>> small.unit_maps[0].tolist(), small.network(np.array([[1.0, 1.0]])).round(9).tolist()
    ([-1, 0, 1], [[7.75]])
    """

    tol: float | None = None
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
            if self.tol not in (None, 0) or self.retain is not None or self.steps:
                raise MethodError(
                    "inputs='exact' removes what is redundant exactly and takes neither tol, retain nor steps; "
                    "use Dependence(retain=…) with samples or a Normal distribution"
                )
            return
        if (self.tol is None) == (self.retain is None):
            raise MethodError(
                "Dependence takes exactly one of tol (a tolerance, as in Dependence(tol=0.1)) and retain "
                "(a share of the parameters, as in Dependence(retain=0.4)), or inputs='exact'"
            )
        if self.tol is not None:
            check_tolerance(self.tol, "tol")
        if self.retain is not None:
            check_share(self.retain, "retain")

    @property
    def label(self) -> str:
        """Name for tables."""
        if isinstance(self.inputs, str):
            return "linear dependence (polynomials)"
        return f"linear dependence ({'normal' if isinstance(self.inputs, Normal) else 'samples'})"

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network; see :func:`symlump.compress`."""
        chain = network.dense_chain("Dependence")
        exactly = isinstance(self.inputs, str)
        reduction = reduce_exactly(chain) if exactly else self._reduced(chain)
        small = reduction.network.dense_chain("Dependence")
        return replace(reduction, network=network.with_chain(small))

    def _reduced(self, network: Chain) -> Reduction:
        moments, samples = moments_of(network, self.inputs, self.seed)
        with np.errstate(over="ignore", invalid="ignore"):
            losses = _losses(network, moments, metrics := output_metrics(network, samples))

        def units(tol: float) -> tuple[int, ...]:
            return tuple(max(1, int(np.argmax(loss <= tol**2))) for loss in losses)

        tol = self.tol
        if tol is None:
            assert self.retain is not None
            target = share_of(network.parameters, self.retain)
            tol = smallest_tolerance(lambda t: _parameters(network, units(t)), target)
        reduction = _refitted(network, moments, metrics, units(tol), tol)
        if not self.steps:
            return reduction
        original = Network.from_chain(network)
        small, error = fitted(reduction.network, original, [samples], self.steps)
        return replace(reduction, network=small, defect=error)


def output_metrics(network: Chain, x: FloatArray) -> list[FloatArray]:
    """For each layer a root of M = E[JᵀJ]/Var(outputs), J the derivative by its pre-activations.

    Returns
    -------
    list of ndarray, shape (units, rank)
        A factor R with M = R·Rᵀ, from which directions without any effect are dropped.

    Raises
    ------
    FailureError
        If activations overflow.

    Examples
    --------
    >>> net = Chain.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> x = np.array([[1.0], [-1.0]])
    >>> [abs(root).round(6).tolist() for root in output_metrics(net, x)]
    [[[0.5]], [[0.166667]]]
    """
    values = network.activations(x)
    outputs = values[-1]
    variance = float(outputs.var(axis=0).sum()) or 1.0
    probes = np.eye(network.outputs)
    few = network.outputs <= _PROBES
    generator = np.random.default_rng(0)
    slopes = [
        layer.activation.slope(layer.pre_activation(h))
        for layer, h in zip(network.layers, values[:-1], strict=True)
    ]
    sums = [np.zeros((layer.units, layer.units)) for layer in network.layers]
    for probe in range(min(network.outputs, _PROBES)):
        if few:
            gradient = np.broadcast_to(probes[probe], outputs.shape)
        else:
            gradient = generator.choice([-1.0, 1.0], size=outputs.shape) / np.sqrt(_PROBES)
        for number in reversed(range(len(network.layers))):
            gradient = gradient * slopes[number]
            sums[number] += gradient.T @ gradient
            gradient = gradient @ network.layers[number].weight
    roots: list[FloatArray] = []
    for total in sums:
        mean = total / (len(x) * variance)
        if not (np.isfinite(total).all() and np.isfinite(mean).all()):
            raise FailureError(_OVERFLOW)
        size, vectors = np.linalg.eigh(mean)
        kept = size > 1e-14 * max(size[-1], 0.0)
        roots.append(vectors[:, kept] * np.sqrt(size[kept]))
    return roots


def eliminate(
    h: FloatArray, targets: FloatArray, importance: FloatArray, rounding: float = 1e-12
) -> tuple[IntArray, FloatArray]:
    """In which order columns of h can be done without, when targets are fitted by the others.

    With h = Q·R, S = R⁻¹ and Y = Qᵀ·targets, the coefficients of a least-squares fit are S·Y, and the
    direction v = s_i/‖s_i‖ (s_i the i-th row of S) is what column i has that no other column has: without
    it the squared error grows by ‖vᵀY‖². Going on without column i means to project v out of S and Y.
    Nothing is squared, so nearly dependent columns do no harm.

    Parameters
    ----------
    h : ndarray, shape (rows, columns)
    targets : ndarray, shape (rows, any)
    importance : ndarray, shape (columns,)
        Sizes that the columns are multiplied with before their rank is decided.
    rounding : float
        What counts as 0 there, relative to the largest column.

    Returns
    -------
    order : ndarray of int
        The columns that the rank has room for, best first. Others are combinations of them.
    losses : ndarray, shape (1 + len(order),)
        Squared error of the best fit by the first k columns in this order, minus that by all.

    Examples
    --------
    >>> h = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> order, losses = eliminate(h, h @ np.array([[0.1], [2.0], [0.0]]), np.array([0.1, 2.0, 0.0]))
    >>> order.tolist(), losses.round(6).tolist()
    ([1, 0], [4.01, 0.01, 0.0])
    """
    h, targets = _fewer_rows(h * importance, targets)
    q, r, pivots = qr(h, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    rank = int(np.count_nonzero(diagonal > rounding * max(diagonal[:1], default=0.0)))
    columns = pivots[:rank]
    if not rank:
        return columns, np.zeros(1)
    y = q[:, :rank].T @ targets
    s = lapack.dtrtri(r[:rank, :rank])[0]
    coefficients = s @ y
    left = np.arange(rank)
    gone: list[IntArray] = []
    losses = [np.zeros(1)]
    while left.size:
        sizes = np.einsum("ij,ij->i", s, s)
        costs = np.einsum("ij,ij->i", coefficients, coefficients) / sizes
        batch = np.argsort(costs, kind="stable")[: max(1, left.size // _STEPS)]
        v, _ = np.linalg.qr(s[batch].T)
        shares = v.T @ y
        remaining = np.delete(np.arange(left.size), batch)
        gone.append(left[batch])
        losses.append(losses[-1][-1] + np.cumsum(np.einsum("ij,ij->i", shares, shares)))
        left, along = left[remaining], s[remaining] @ v
        s = s[remaining] - along @ v.T
        coefficients = coefficients[remaining] - along @ shares
        y = y - v @ shares
    return columns[np.concatenate(gone)[::-1]], np.concatenate(losses)[::-1]


def _fewer_rows(h: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matrices of at most as many rows as columns with the same inner products: the R of a QR."""
    if len(h) > h.shape[1] + targets.shape[1]:
        r: FloatArray = np.asarray(np.linalg.qr(np.hstack([h, targets]), mode="r"))
        h, targets = r[:, : h.shape[1]], r[:, h.shape[1] :]
    return h, targets


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
        raise FailureError(_OVERFLOW)
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
    tol: float,
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
    return Reduction(small, tuple(maps), small.parameters, tol, float(np.sqrt(loss)), stored=stored)


def _fit(
    moments: Moments, h: FloatArray, wanted: FloatArray, constant: bool, rounding: float
) -> tuple[FloatArray, FloatArray | None]:
    """Weights and bias of the layer that gives the wanted pre-activations best, in mean square."""
    root = moments.root(h, constant)
    size = np.linalg.norm(root, axis=0)
    size[size == 0] = 1.0
    problem = _fewer_rows(root / size, moments.root(wanted, constant))
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
