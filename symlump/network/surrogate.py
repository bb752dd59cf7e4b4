"""Polynomial surrogates of activations, with certified uniform errors.

A piecewise linear activation is no polynomial, and tanh is one only with a further variable. On a bounded
interval both are close to one: the Chebyshev interpolant, whose error is near the least possible.

The error is certified as follows. The interval is cut at 0 and at kinks, so that the activation is
analytic on each closed part. On a cell c ± r the difference e = φ − p is

    e(c + s) = Σ_{k<4} e_k·s^k + e⁽⁴⁾(ζ)/24·s⁴,

with e_k enclosed at the point c and the last coefficient over the whole cell, both by Taylor arithmetic on
balls or intervals (:mod:`symlump.enclosures.jets`), so |e| ≤ Σ |e_k|·r^k there. The cell with the
largest bound is halved until that bound is close to a value of |e| that is certainly taken.

References
----------
Trefethen, Approximation Theory and Approximation Practice, chapters 4 and 8,
doi:10.1137/1.9781611975949.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from heapq import heappop, heappush
from math import isfinite
from typing import Any

import numpy as np

from symlump.enclosures.boxes import as_box
from symlump.enclosures.functions import IntervalFunctions, interval_functions
from symlump.enclosures.interval import Interval
from symlump.enclosures.jets import expand
from symlump.errors import FailureError, MethodError
from symlump.memory import memory_errors
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation as look_up
from symlump.network.activations.table import polynomial
from symlump.network.bounds.difference import NetworkBound, bound_difference
from symlump.network.bounds.pairing import Link, side_by_side
from symlump.network.bounds.relaxation import ranges
from symlump.network.bounds.unrolled import unroll
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network

_ORDER = 4
_MOST_CELLS = 4096
_MOST_DEGREE = 12


@dataclass(frozen=True)
class Surrogate:
    """A polynomial in place of an activation: |φ(z) − p(z)| ≤ error for lower ≤ z ≤ upper, certified.

    Parameters
    ----------
    original, activation : Activation
        φ and p.
    lower, upper : float
    error : float
    """

    original: Activation
    activation: Activation
    lower: float
    upper: float
    error: float

    @property
    def degree(self) -> int:
        """Degree of the polynomial."""
        return len(self.activation.coefficients) - 1

    def __str__(self) -> str:
        return (
            f"{self.original.name} ≈ polynomial of degree {self.degree} on "
            f"[{self.lower:.6g}, {self.upper:.6g}], error at most {_rounded_up(self.error)}, certified"
        )


@dataclass(frozen=True, eq=False)
class Surrogates:
    """A network with polynomials in place of activations.

    Parameters
    ----------
    network : Network
    surrogates : tuple of Surrogate or None
        For each layer; None where the activation was kept.
    bound : NetworkBound
        Of the difference between the outputs of both networks on the box.
    """

    network: Network
    surrogates: tuple[Surrogate | None, ...]
    bound: NetworkBound

    def __str__(self) -> str:
        lines = [
            f"layer {number}: {found}"
            for number, found in enumerate(self.surrogates, start=1)
            if found is not None
        ]
        return "\n".join([*lines, str(self.bound)])


@memory_errors()
def surrogate(
    activation: Activation | str, lower: float, upper: float, degree: int = 8
) -> Surrogate:
    """The Chebyshev interpolant of an activation on an interval, with a certified error.

    Parameters
    ----------
    activation : Activation or str
    lower, upper : float
        The interval, for example from :func:`symlump.reachable`.
    degree : int
        0 to 12.

    Returns
    -------
    Surrogate
        The polynomial, with a certified bound of its error on the interval.

    Raises
    ------
    MethodError
        If the interval is empty or infinite, or the degree is out of range.
    FailureError
        If the activation overflows on the interval.

    Examples
    --------
    >>> print(surrogate("relu", -2, 3, degree=4))
    relu ≈ polynomial of degree 4 on [-2, 3], error at most 0.212, certified
    >>> found = surrogate("tanh", -1, 1, degree=7)
    >>> z = np.linspace(-1, 1, 1001)
    >>> seen = abs(np.tanh(z) - found.activation(z)).max()
    >>> bool(seen <= found.error < 1.2 * seen)
    True
    """
    phi = look_up(activation) if isinstance(activation, str) else activation
    if not isinstance(phi, Activation):
        raise MethodError(f"surrogate takes an activation; got {type(phi).__name__}")
    lower, upper = float(lower), float(upper)
    if not (isfinite(lower) and isfinite(upper) and lower < upper):
        raise MethodError(
            f"a surrogate needs an interval with lower < upper; got [{lower}, {upper}]"
        )
    if isinstance(degree, bool) or not isinstance(degree, int) or not 0 <= degree <= _MOST_DEGREE:
        raise MethodError(f"degree={degree!r}: give a whole number from 0 to {_MOST_DEGREE}")
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = np.polynomial.Chebyshev.interpolate(phi, degree, domain=[lower, upper])
        coefficients = fitted.convert(kind=np.polynomial.Polynomial).coef
    if not np.isfinite(coefficients).all():
        raise FailureError(f"{phi.name} overflows on [{lower}, {upper}]; take a smaller interval")
    coefficients = np.pad(coefficients, (0, degree + 1 - coefficients.size))
    p = polynomial(coefficients.tolist())
    return Surrogate(phi, p, lower, upper, uniform_error(phi, p, lower, upper))


def uniform_error(one: Activation, two: Activation, lower: float, upper: float) -> float:
    """A certified upper bound of |one(z) − two(z)| for lower ≤ z ≤ upper, as a rule within 5 %.

    Raises
    ------
    FailureError
        If the difference overflows.

    Examples
    --------
    >>> relu, leaky = look_up("relu"), look_up("leaky_relu:0.25")
    >>> 0.5 <= uniform_error(relu, leaky, -2.0, 1.0) < 0.5001
    True
    """
    if one == two:
        return 0.0
    m = interval_functions()
    with m.working():
        difference = _difference(m, one, two)
        cells: list[tuple[float, float, float]] = []
        certain, cuts = 0.0, _cuts(one, two, lower, upper)
        for a, b in zip(cuts, cuts[1:], strict=False):
            bound, taken = difference(a, b)
            certain = max(certain, taken)
            heappush(cells, (-bound, a, b))
        size = max(float(np.abs(phi(np.array(cuts))).max()) for phi in (one, two))
        while len(cells) < _MOST_CELLS:
            bound, a, b = -cells[0][0], cells[0][1], cells[0][2]
            middle = a + (b - a) / 2
            if bound <= max(1.05 * certain, 2.0**-52 * size) or not a < middle < b:
                break
            heappop(cells)
            for left, right in ((a, middle), (middle, b)):
                bound, taken = difference(left, right)
                certain = max(certain, taken)
                heappush(cells, (-bound, left, right))
    if not isfinite(cells[0][0]):
        raise FailureError(
            f"{one.name} − {two.name} overflows on [{lower}, {upper}]; take a smaller interval"
        )
    return -cells[0][0]


@memory_errors()
def with_surrogates(
    network: Network, box: Any, degree: int = 8, *, smooth: bool = False, splits: int | None = None
) -> Surrogates:
    """Replace activations by polynomials on the intervals that the box can reach.

    Parameters
    ----------
    network : Network
    box : (low, high) or ndarray, shape (inputs, 2)
        As for :func:`symlump.bound_difference`.
    degree : int
        0 to 12.
    smooth : bool
        Also replace activations without kinks, which are exact in the state form as they stand.
    splits : int, optional
        As for :func:`symlump.bound_difference`.

    Returns
    -------
    Surrogates
        The network, the polynomials, and a certified bound of the change of the outputs.

    Raises
    ------
    MethodError
        If the box or the degree does not fit.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [-1.0]], [[1.0, 1.0]]], activation="relu")
    >>> found = with_surrogates(net, (-1, 1), degree=4)
    >>> print(found.surrogates[0])
    relu ≈ polynomial of degree 4 on [-1, 1], error at most 0.0633, certified
    >>> x = np.linspace(-1, 1, 101)[:, None]
    >>> bool(abs(net(x) - found.network(x)).max() <= found.bound.largest)
    True
    """
    if not isinstance(network, Network):
        raise MethodError(f"with_surrogates takes a Network; got {type(network).__name__}")
    chain = network.dense_chain("with_surrogates")
    whole = as_box(box, chain.inputs)[None, :]
    layers: list[Layer] = list(chain.layers)
    found: list[Surrogate | None] = []
    for number, layer in enumerate(chain.layers):
        phi = layer.activation
        kinked = phi.kinks or (phi.pieces is not None and phi.pieces.kinks)
        if not (kinked or (smooth and not phi.coefficients and phi.pieces is None)):
            found.append(None)
            continue
        reach = _reached(chain, layers, number, whole)
        low, high = float(reach.lower.min()), float(reach.upper.max())
        margin = 1e-6 * max(high - low, 1e-3)
        found.append(surrogate(phi, low - margin, high + margin, degree))
        layers[number] = replace(layer, activation=found[-1].activation)  # type: ignore[union-attr]
    small = network.with_chain(Chain(tuple(layers), network.dtype))
    same = [np.arange(layer.units) for layer in chain.hidden]
    bound = bound_difference(network, small, box, unit_maps=same, splits=splits)
    return Surrogates(small, tuple(found), bound)


def _rounded_up(value: float) -> str:
    return f"{Decimal(value).normalize(Context(prec=3, rounding=ROUND_CEILING)):.3g}"


def _reached(network: Chain, layers: list[Layer], number: int, box: Interval) -> Interval:
    """Pre-activations of a layer, in the given network and in the one with other layers before it."""
    identity = look_up("identity")

    def until(some: list[Layer]) -> list[Link]:
        last = replace(some[number], activation=identity, groups=None)
        return unroll(Network.from_layers((*some[:number], last)))

    old, new = until(list(network.layers)), until(layers)
    same = [np.arange(link.affine.bias.size) for link in old[:-1]]
    last = ranges(side_by_side(old, new, box[0], same), box, relax=True)[-1]
    return last.original | (last.reduced & (last.original - last.difference))


def _cuts(one: Activation, two: Activation, lower: float, upper: float) -> list[float]:
    """The ends, and every point inside where a formula may branch: 0 and kinks."""
    inside = {0.0}
    for phi in (one, two):
        inside.update(z for z, _, _ in phi.kinks)
        inside.update(() if phi.pieces is None else phi.pieces.kinks)
    return [lower, *sorted(z for z in inside if lower < z < upper), upper]


def _difference(
    m: IntervalFunctions, one: Activation, two: Activation
) -> Callable[[float, float], tuple[float, float]]:
    """For a cell: a bound of |one − two|, and a value that it certainly takes."""

    def taylor(low: float, high: float, order: int) -> list[tuple[float, float]]:
        gap = expand(one.formula, m, low, high, order) - expand(two.formula, m, low, high, order)
        return [m.bounds(c) for c in gap.c]

    def bounds(a: float, b: float) -> tuple[float, float]:
        c = a + (b - a) / 2
        r = max(np.nextafter(b - c, np.inf), np.nextafter(c - a, np.inf))
        at = taylor(c, c, _ORDER - 1)
        last = taylor(a, b, _ORDER)[_ORDER]
        sizes = [max(abs(low), abs(high)) for low, high in (*at, last)]
        total = sum(size * r**k for k, size in enumerate(sizes))
        # rounding of these few sums and products of non-negative numbers
        bound = float(total * (1 + 2.0**-40) + 2.0**-1000)
        low, high = at[0]
        return (bound if isfinite(bound) else float("inf")), max(low, -high, 0.0)

    return bounds
