"""Certified bounds of |f(x) − f̂(x)| for two networks and all inputs x of a box.

Why each number is an upper bound:

1. A box of inputs is taken as centre ± radius, rounded so that it contains the box.
2. Both networks, as they were read and before scales were folded, are written as stages of affine maps and
   activations (:mod:`.unrolled`), and these as one system in the differences of paired units
   (:mod:`.pairing`). Both are identities, whose rounded coefficients carry a radius.
3. Every activation is replaced by its certified range, slopes or band on the interval that its
   argument provably stays in (:mod:`.bands`, on :mod:`.curves` made by ball or interval arithmetic).
4. Affine maps of intervals, and rows carried backward, are rounded outward with the standard error of a
   dot product (:mod:`.relaxation`).
5. Where the box is cut in two, the largest of the bounds on the parts is a bound on the whole.
6. On small parts two networks are expanded in polynomials of the inputs, where that is better (:mod:`.signed`).

The bound is about the two functions of real numbers that the weights define. Computing them adds rounding of
its own, which is bounded apart (:mod:`.evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from symlump.enclosures.boxes import ensure_finite
from symlump.enclosures.interval import Interval, grow
from symlump.enclosures.wording import at_most
from symlump.errors import MethodError
from symlump.memory import memory_errors
from symlump.network.bounds.evaluation import ASSUMED, evaluation_error
from symlump.network.bounds.inputs import box_of, samples_in
from symlump.network.bounds.pairing import Stage, alone, side_by_side
from symlump.network.bounds.relaxation import adapt, ranges, relaxation_cost
from symlump.network.bounds.signed import Signed
from symlump.network.bounds.unrolled import unroll
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.simplify import meant
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.notation import count_text

#: Cuts of the box made without being asked, where the network is small enough for them.
DEFAULT_SPLITS = 255
_FLOPS = 2e10  # a few seconds: what is spent without being asked
_SIGNED_FLOPS = 1.9e11  # the same for polynomials, which are products of large matrices
_MOST_FLOPS = 2e11  # beyond this, linear relaxation has to be asked for
_AT_ONCE = 32
_GAIN = 0.9  # polynomials that are not better by so much are not worth their time
_SPREAD_SAMPLES = 1000
_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class NetworkBound:
    """A certified bound of |f(x) − f̂(x)| for every x in a box, output by output.

    Parameters
    ----------
    box : ndarray, shape (inputs, 2)
    intervals : ndarray, shape (outputs,)
        The bound by interval arithmetic, layer by layer, on the whole box.
    relaxation : ndarray, shape (outputs,), or None
        The bound by linear relaxation of the difference, or by polynomials in the inputs; None where it was not
        computed because the network is wide (``splits=0`` asks for it).
    boxes : int
        Into how many parts the box was cut for it.
    networks : (Network, Network)
        The original and the reduced one.
    how : str
        By what ``relaxation`` is: "linear relaxation", "polynomials", or "linear relaxation and polynomials".
    """

    box: FloatArray
    intervals: FloatArray
    relaxation: FloatArray | None
    boxes: int
    networks: tuple[Network, Network]
    how: str = "linear relaxation"

    #: What ``rounding``, and it alone, assumes.
    assumed = ASSUMED
    #: What makes the numbers certain.
    arithmetic = "float64 rounded outward; activations by ball or interval arithmetic"

    @property
    def dtypes(self) -> tuple[str, str]:
        """The dtypes of the two networks."""
        one, two = self.networks
        return one.dtype, two.dtype

    @cached_property
    def rounding(self) -> FloatArray:
        """How much further two *computed* outputs can be apart, each network evaluated in its dtype.

        Infinite where that may overflow. ``assumed`` says what is assumed of the library that evaluates them.
        """
        return _rounding(self.networks, Interval(self.box[:, 0], self.box[:, 1]), self.dtypes)

    @cached_property
    def spread(self) -> FloatArray | None:
        """How far the original's outputs are apart on 1000 samples of the box; None where they are no numbers.

        A bound that is not smaller says nothing, and is called vacuous.
        """
        return _spread(self.networks[0], Interval(self.box[:, 0], self.box[:, 1]))

    @property
    def computed_weights(self) -> tuple[str, ...]:
        """Layers whose weights torch computes from other tensors, such as a weight normalisation.

        The bound speaks of the weights so computed, and not of what computing them rounds.
        """
        return tuple(
            layer.name
            for network in self.networks
            for layer in meant(network).layers
            if layer.doubt and layer.doubt.computed
        )

    @cached_property
    def values(self) -> FloatArray:
        """The bound for each output: the smaller of the two."""
        if self.relaxation is None:
            return self.intervals
        return np.minimum(self.intervals, self.relaxation)

    @property
    def largest(self) -> float:
        """The bound for all outputs."""
        return float(self.values.max())

    @property
    def vacuous(self) -> bool:
        """True if for some output the bound is not below the spread of its values."""
        return self.spread is not None and bool(
            np.any((self.values >= self.spread) & (self.values > 0))
        )

    @cached_property
    def computed(self) -> FloatArray:
        """The bound for two *computed* outputs, each network evaluated in its dtype at inputs of that dtype."""
        return np.nextafter(self.values + self.rounding, np.inf)

    @property
    def methods(self) -> tuple[str, ...]:
        """For each output, which of the two gave its bound."""
        return tuple(
            "interval" if self.relaxation is None or a <= b else self.how
            for a, b in zip(
                self.intervals,
                self.intervals if self.relaxation is None else self.relaxation,
                strict=True,
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        return {
            "bound": self.values.tolist(),
            "largest": self.largest,
            "methods": list(self.methods),
            "intervals": self.intervals.tolist(),
            "relaxation": None if self.relaxation is None else self.relaxation.tolist(),
            "boxes": self.boxes,
            "rounding": self.rounding.tolist(),
            "computed": self.computed.tolist(),
            "dtypes": list(self.dtypes),
            "vacuous": self.vacuous,
            "spread": None if self.spread is None else self.spread.tolist(),
            "computed weights": list(self.computed_weights),
            "box": self.box.tolist(),
            "arithmetic": self.arithmetic,
        }

    def __str__(self) -> str:
        if self.relaxation is None:
            how = "intervals; linear relaxation of so wide a network on request, splits=0"
        else:
            parts = count_text(self.boxes, "part")
            how = f"{self.how} in {parts}; intervals {at_most(self.intervals.max())}"
            if "interval" in self.methods:
                how = f"by output the better of intervals and {self.how} in {parts}"
        dtypes = " and ".join(dict.fromkeys(self.dtypes))
        adds = f"{dtypes} evaluation adds at most {at_most(self.rounding.max(), 2)}"
        if not np.isfinite(self.rounding).all():
            adds = f"{dtypes} evaluation may overflow"
        known = f"|f − f̂| ≤ {at_most(self.largest)} on the box, certified ({how}; {adds})"
        return "; ".join([known, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """What must be said beside the number: that it says nothing, or of which weights it speaks."""
        found: list[str] = []
        if self.computed_weights:
            found.append(
                f"for the weights that torch computes for {', '.join(self.computed_weights)}"
            )
        if self.vacuous and self.spread is not None:
            at = int(np.argmax(self.values - self.spread))
            bound, spread = float(self.values[at]), float(self.spread[at])
            found.append(
                f"vacuous: output {at + 1} has the bound {at_most(bound)}, and its values are only "
                f"{spread:.4g} apart on {_SPREAD_SAMPLES} samples"
            )
        return found

    def __repr__(self) -> str:
        return f"<NetworkBound: {self}>"


@memory_errors()
def bound_difference(
    original: Network,
    reduced: Network,
    box: Any,
    *,
    unit_maps: Sequence[IntArray] | None = None,
    splits: int | None = None,
) -> NetworkBound:
    """Bound ``|f(x) − f̂(x)|`` for all x of a box, for any two networks with equal inputs and outputs.

    Parameters
    ----------
    original, reduced : Network
    box : (low, high) or ndarray, shape (inputs, 2)
        A pair of numbers or of arrays of shape (inputs,); or one row (low, high) for each input.
    unit_maps : sequence of ndarray of int, optional
        For each hidden layer of two chains, which unit of ``reduced`` stands for each unit of ``original``;
        without it, and in other networks, partners are sought by comparing what units do. They decide how good
        the bound is, not whether it holds.
    splits : int, optional
        How often the box, or a part of it, is cut in two: always the part with the worst bound, across
        the input with the most weight. By default 255 times, less for wide networks. With any cuts at all,
        polynomials in the inputs are tried, too; where they are better, all parts are first cut alike.

    Returns
    -------
    NetworkBound
        One number for each output, in the unit of the outputs.

    Raises
    ------
    MethodError
        If the networks, the box or the number of splits do not fit.
    FailureError
        If numbers overflow on this box.

    Notes
    -----
    One part costs about Σ_k n_k·Σ_{j<k} n_j·n_{j−1} multiplications for layers of n units, interval
    arithmetic alone only Σ_k n_k·n_{k−1}.

    Examples
    --------
    >>> f = Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
    >>> g = Network.dense([[[1.05, 2.0]], [[0.75]]])
    >>> bound = bound_difference(f, g, (-1, 1))
    >>> 0.0125 < bound.largest < 0.0126, bound.methods
    (True, ('linear relaxation',))
    """
    for network in (original, reduced):
        if not isinstance(network, Network):
            raise MethodError(f"a bound needs two symlump.Network; got a {type(network).__name__}")
    if splits is not None and (
        isinstance(splits, bool) or not isinstance(splits, int) or splits < 0
    ):
        raise MethodError(f"splits={splits!r}: give how often to cut the box, such as 255, or 0")
    whole = box_of(original, box)
    first, second = unroll(meant(original)), unroll(meant(reduced))
    if original.chain is None or reduced.chain is None:
        # Where nothing merged each unit has its own; elsewhere partners are sought.
        sizes = [[link.affine.bias.size for link in some[:-1]] for some in (first, second)]
        own = [np.arange(n) if n == m else np.full(n, -1) for n, m in zip(*sizes, strict=False)]
        unit_maps = own if len(first) == len(second) else None
    stages = side_by_side(first, second, whole, unit_maps)
    one = whole[None, :]
    by_intervals = ranges(stages, one, relax=False)[-1].output_difference.magnitude[0]
    cost = relaxation_cost(stages)
    relaxed, boxes, how = None, 0, "linear relaxation"
    if splits is not None or cost < _MOST_FLOPS:
        hidden = _rounding((original, reduced), whole, ("float64",) * 2) if splits != 0 else 0.0
        relaxed, boxes, how = _branch(stages, one, splits, hidden)
    ends = np.stack([whole.lower, whole.upper], axis=1)
    found = NetworkBound(ends, by_intervals, relaxed, boxes, (original, reduced), how)
    ensure_finite(Interval.point(found.values), "outputs")
    return found


def _rounding(
    networks: tuple[Network, Network], box: Interval, dtypes: tuple[str, ...]
) -> FloatArray:
    """How far evaluating the two in these dtypes may take their outputs apart."""
    one, two = (evaluation_error(f, box, dtype) for f, dtype in zip(networks, dtypes, strict=True))
    return grow(one + two, 2)


def _spread(network: Network, box: Interval) -> FloatArray | None:
    """How far each output's values are apart on samples; None where they are no numbers."""
    with np.errstate(all="ignore"):
        y = network.flat(*samples_in(network, box, _SPREAD_SAMPLES))
    return np.asarray(y.max(axis=0) - y.min(axis=0)) if np.isfinite(y).all() else None


@memory_errors()
def reachable(network: Network, box: Any) -> tuple[FloatArray, ...]:
    """Enclose every pre-activation of each layer in an interval, for all inputs of a box.

    Parameters
    ----------
    network : Network
    box : (low, high) or ndarray, shape (inputs, 2)
        As for :func:`bound_difference`.

    Returns
    -------
    tuple of ndarray, shape (entries, 2)
        Lower and upper ends for each layer, the last one included; of a convolution entry by entry.

    Raises
    ------
    MethodError
        If the box does not fit the network.
    FailureError
        If numbers overflow on this box.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [-1.0]], [[1.0, 1.0]]], activation="relu")
    >>> [(layer.round(6) + 0).tolist() for layer in reachable(net, (-1, 3))]
    [[[-1.0, 3.0], [-3.0, 1.0]], [[0.0, 3.0]]]
    """
    if not isinstance(network, Network):
        raise MethodError(f"reachable needs a symlump.Network; got a {type(network).__name__}")
    whole = box_of(network, box)[None, :]
    source = meant(network)
    names = [layer.name for layer in network.layers]
    if source is not network:
        names = [_last_scale(source, name) for name in names]
    sizes = [prod(source.shapes[name]) for name in names]
    stages = alone(unroll(replace(source, outputs=tuple(names))))
    relax = relaxation_cost(stages) < _MOST_FLOPS
    last = adapt(stages, whole)[1][-1] if relax else ranges(stages, whole, False)[-1]
    found = last.reduced
    both = np.stack([found.lower[0], found.upper[0]], axis=1)
    return tuple(np.split(both, np.cumsum(sizes)[:-1]))


def _last_scale(network: Network, name: str) -> str:
    """Where a layer's value is, with the scales that are folded into it."""
    while network.readers[name] == 1 and name not in network.outputs:
        (reader,) = (node for node in network.nodes if name in node.inputs)
        if not isinstance(reader, Affine) or not reader.is_scale:
            break
        name = reader.name
    return name


def _branch(
    stages: Sequence[Stage], whole: Interval, splits: int | None, enough: FloatArray | float
) -> tuple[FloatArray, int, str]:
    """The bound with the box cut so often, or by default; the number of parts, and by what.

    It is by linear relaxation, or by polynomials (:mod:`.signed`) where these are better on the part in the
    middle and on hard ones. They improve so much with each cut that the box is first cut into equal parts.
    It ends early where the bound is down to what rounding hides even in float64.
    """
    cuts = min(DEFAULT_SPLITS, int(_FLOPS / relaxation_cost(stages))) if splits is None else splits
    weight = _input_weight(stages)
    widest = max(stage.joint.shape[0] + stage.pairs.partner.size for stage in stages)
    at_once = max(1, min(_AT_ONCE, _ENTRIES // widest**2))
    signed = Signed.of(stages) if splits != 0 else None
    stages, found = adapt(stages, whole)
    bound = found[-1].output_difference.magnitude

    def relaxed(parts: Interval) -> FloatArray:
        return ranges(stages, parts, True)[-1].output_difference.magnitude

    def by_lines() -> tuple[Interval, FloatArray]:
        return _cut(relaxed, whole, bound, cuts, weight, enough, at_once)

    boxes, lines = whole, None
    if signed and np.any(bound > enough):
        more = min(DEFAULT_SPLITS, int(_SIGNED_FLOPS / signed.cost)) if splits is None else splits
        parts = whole
        while 2 * len(parts.lower) <= more + 1:
            parts = _halves(parts, weight)
        middle = parts[[len(parts.lower) // 2]]
        least, other = signed(middle), relaxed(middle)
        if np.all(least < other):
            clear = bool(np.all(least < other / 2))
            if not clear:
                # the relaxation, cut where it is bad, is as a rule the better one, and the faster one
                boxes, lines = by_lines()
                hard = parts[_around(parts, boxes[lines.argmax(axis=0)])]
                if not np.any(signed(hard).max(axis=0) < _GAIN * lines.max(axis=0)):
                    return lines.max(axis=0), len(lines), "linear relaxation"
            known = np.minimum(signed(parts), bound)
            worst = [int(_scores(known).argmax())]
            if clear and not np.any(known[worst] < relaxed(parts[worst])):
                boxes, lines = by_lines()
            else:
                _, known = _cut(
                    signed, parts, known, more + 1 - len(known), weight, enough, at_once
                )
            return _both(known.max(axis=0), len(known), lines)
    boxes, lines = by_lines()
    return lines.max(axis=0), len(lines), "linear relaxation"


def _both(
    polynomials: FloatArray, parts: int, lines: FloatArray | None
) -> tuple[FloatArray, int, str]:
    """Output by output the better of two bounds; the number of parts, and by what it is."""
    if lines is None or np.all(polynomials < lines.max(axis=0)):
        return polynomials, parts, "polynomials"
    relaxed = lines.max(axis=0)
    mixed = bool(np.any(polynomials < relaxed))
    how = "linear relaxation and polynomials" if mixed else "linear relaxation"
    return np.minimum(polynomials, relaxed), max(len(lines), parts * mixed), how


def _cut(
    bounded: Callable[[Interval], FloatArray],
    boxes: Interval,
    bound: FloatArray,
    cuts: int,
    weight: FloatArray,
    enough: FloatArray | float,
    at_once: int,
) -> tuple[Interval, FloatArray]:
    """Cut the parts with the worst bound, so many times in all: the parts and their bounds."""
    low, high = boxes.lower, boxes.upper
    while cuts > 0 and np.any(bound.max(axis=0) > enough):
        count = min(at_once, cuts, (len(bound) + 1) // 2)
        chosen = np.argsort(-_scores(bound), kind="stable")[:count]
        parts = _halves(Interval(low[chosen], high[chosen]), weight)
        part = np.minimum(bounded(parts), np.tile(bound[chosen], (2, 1)))
        keep = np.ones(len(bound), dtype=bool)
        keep[chosen] = False
        low = np.concatenate([low[keep], parts.lower])
        high = np.concatenate([high[keep], parts.upper])
        bound = np.concatenate([bound[keep], part])
        cuts -= count
    return Interval(low, high), bound


def _around(parts: Interval, boxes: Interval) -> IntArray:
    """Which parts the middles of boxes are in."""
    middle = (boxes.lower / 2 + boxes.upper / 2)[:, None]
    return np.unique(np.all((parts.lower <= middle) & (middle <= parts.upper), axis=2).argmax(1))


def _scores(bound: FloatArray) -> FloatArray:
    """How bad each part is: the most that its bound of an output is of the worst one."""
    worst = bound.max(axis=0)
    return np.asarray((bound / np.where(worst > 0, worst, 1.0)).max(axis=1))


def _halves(boxes: Interval, weight: FloatArray) -> Interval:
    """Each box cut in two across the input that counts most: all first halves, then all second ones."""
    low, high = boxes.lower, boxes.upper
    half = high / 2 - low / 2  # half the width, which need not overflow
    rows, across = np.arange(len(low)), (half * weight).argmax(axis=1)
    left, right = high.copy(), low.copy()
    left[rows, across] = right[rows, across] = low[rows, across] + half[rows, across]
    return Interval(np.concatenate([low, right]), np.concatenate([left, high]))


def _input_weight(stages: Sequence[Stage]) -> FloatArray:
    """For each input the sum over all paths to outputs of the absolute weights: a guide for cutting."""
    total: FloatArray = np.zeros(1)
    with np.errstate(over="ignore", invalid="ignore"):
        for some in ([s.original for s in stages], [s.reduced for s in stages]):
            along: FloatArray = np.ones(some[-1].affine.bias.size)
            for link in reversed(some):
                along = along @ np.abs(link.affine.weight)
            along = np.nan_to_num(along)
            total = total + along / max(float(along.max()), np.finfo(float).tiny) / 2
    return total
