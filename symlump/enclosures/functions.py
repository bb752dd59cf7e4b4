"""One formula, several arithmetics: arrays of floats, torch tensors, and intervals that are certain.

A formula φ(m, z) of :mod:`symlump.network.activations.table` calls only the functions listed in
:class:`Functions`, so it can be evaluated on numpy arrays, on torch tensors, and on intervals: balls of
python-flint where it is installed (extra ``fast``), else intervals of mpmath. Interval results contain
the true value; nothing about them rests on the accuracy of a float function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import pi, sqrt
from typing import Any

import numpy as np
from scipy import special

from symlump.enclosures.ends import flint_ends, mpmath_ends
from symlump.errors import MethodError, MissingExtraError

#: Bits of the interval arithmetics: twice a float's, so that what is lost is the last rounding only.
PRECISION = 128


@dataclass(frozen=True, eq=False)
class Functions:
    """The functions that a formula may call, beside + − · /.

    ``sigmoid`` is 1/(1+e⁻ᶻ), ``density`` e^(−z²/2)/√(2π) and ``normal`` its integral from −∞ to z.
    """

    exp: Callable[[Any], Any]
    expm1: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    normal: Callable[[Any], Any]
    density: Callable[[Any], Any]
    sin: Callable[[Any], Any]
    cos: Callable[[Any], Any]
    absolute: Callable[[Any], Any]
    maximum: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]
    where: Callable[[Any, Any, Any], Any]


#: φ(m, z), in any arithmetic m.
Formula = Callable[[Functions, Any], Any]


@dataclass(frozen=True, eq=False)
class IntervalFunctions(Functions):
    """An arithmetic whose results are certain to contain the true value.

    ``interval(a, b)`` makes the interval of two floats, ``bounds`` gives back floats below and above
    it, and ``working()`` is the context in which to do so.
    """

    name: str
    interval: Callable[[float, float], Any]
    bounds: Callable[[Any], tuple[float, float]]
    working: Callable[[], Any]


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


FLOATS = Functions(
    exp=np.exp,
    expm1=np.expm1,
    log1p=np.log1p,
    tanh=np.tanh,
    sigmoid=special.expit,
    normal=special.ndtr,
    density=lambda z: np.exp(-z * z / 2) / sqrt(2 * pi),
    sin=np.sin,
    cos=np.cos,
    absolute=np.abs,
    maximum=np.maximum,
    minimum=np.minimum,
    where=np.where,
)


@cache
def torch_functions() -> Functions:
    """The functions of torch."""
    import torch

    return Functions(
        exp=torch.exp,
        expm1=torch.expm1,
        log1p=torch.log1p,
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
        normal=torch.special.ndtr,
        density=lambda z: torch.exp(-z * z / 2) / (2 * torch.pi) ** 0.5,
        sin=torch.sin,
        cos=torch.cos,
        absolute=torch.abs,
        maximum=lambda z, c: torch.clamp(z, min=c),
        minimum=lambda z, c: torch.clamp(z, max=c),
        where=torch.where,
    )


def interval_functions(name: str = "") -> IntervalFunctions:
    """The certified arithmetic of that name, ``"flint"`` or ``"mpmath"``; by default the faster one here.

    Raises
    ------
    MissingExtraError
        If flint is asked for and not installed.
    MethodError
        If there is none of that name.

    Examples
    --------
    >>> m = interval_functions("mpmath")
    >>> m.bounds(m.tanh(m.interval(0.5, 0.5)))
    (0.46211715726000974, 0.4621171572600098)
    """
    if not name:
        name = "mpmath" if find_spec("flint") is None else "flint"
    if name == "flint":
        if find_spec("flint") is None:
            raise MissingExtraError(
                'ball arithmetic needs python-flint; install symlump with the extra "fast", or use mpmath'
            )
        return _flint()
    if name == "mpmath":
        return _mpmath()
    raise MethodError(f"interval arithmetic {name!r} is unknown; choose 'flint' or 'mpmath'")


@cache
def _flint() -> IntervalFunctions:
    from flint import arb, ctx

    def sigmoid(x: Any) -> Any:
        found = 1 / (1 + (-x).exp())
        if found.is_finite():
            return found
        # The exponential of numbers far above 10^40 is given up, that of −10^300 is not.
        small = x.exp()
        return small / (1 + small)

    return IntervalFunctions(
        exp=lambda x: x.exp(),
        expm1=lambda x: x.expm1(),
        log1p=lambda x: x.log1p(),
        tanh=lambda x: x.tanh(),
        sigmoid=sigmoid,
        normal=lambda x: (-x / arb(2).sqrt()).erfc() / 2,
        density=lambda x: (-x * x / 2).exp() / (2 * arb.pi()).sqrt(),
        sin=lambda x: x.sin(),
        cos=lambda x: x.cos(),
        absolute=abs,
        maximum=lambda x, c: x.max(arb(c)),
        minimum=lambda x, c: x.min(arb(c)),
        where=_chosen,
        name="flint",
        interval=lambda a, b: arb(a) if a == b else arb(a).union(arb(b)),
        bounds=flint_ends,
        working=lambda: ctx.workprec(PRECISION),
    )


@cache
def _mpmath() -> IntervalFunctions:
    from contextlib import nullcontext

    from mpmath import libmp
    from mpmath.ctx_iv import MPIntervalContext

    m = MPIntervalContext()
    m.prec = PRECISION

    def hull(low: Any, high: Any) -> Any:
        return m.make_mpf((low._mpi_[0], high._mpi_[1]))

    def density(x: Any) -> Any:
        return m.exp(-x * x / 2) / m.sqrt(2 * m.pi)

    def normal_at(end: Any) -> Any:
        """1/2 ± density(z)·Σ z^(2n+1)/(2n+1)!!; beyond 9 less than the density is missing to 0 or 1."""
        size = abs(end)
        if size < 9:
            below, above = _odd_series(libmp.to_fixed(size._mpi_[0], PRECISION))
            series = m.make_mpf(tuple(libmp.from_man_exp(s, -PRECISION) for s in (below, above)))
            tail = m.mpf(0.5) - density(size) * series
        else:
            tail = hull(m.mpf(0), density(size))
        return 1 - tail if end > 0 else tail

    def normal(x: Any) -> Any:
        return hull(normal_at(x.a), normal_at(x.b))

    return IntervalFunctions(
        exp=m.exp,
        expm1=lambda x: m.exp(x) - 1,
        log1p=lambda x: m.log(1 + x),
        tanh=lambda x: 1 - 2 / (m.exp(2 * x) + 1),
        sigmoid=lambda x: 1 / (1 + m.exp(-x)),
        normal=normal,
        density=density,
        sin=m.sin,
        cos=m.cos,
        absolute=abs,
        maximum=lambda x, c: hull(max(x.a, m.mpf(c)), max(x.b, m.mpf(c))),
        minimum=lambda x, c: hull(min(x.a, m.mpf(c)), min(x.b, m.mpf(c))),
        where=_chosen,
        name="mpmath",
        interval=lambda a, b: m.mpf([a, b]),
        bounds=mpmath_ends,
        working=nullcontext,
    )


def _odd_series(z: int) -> tuple[int, int]:
    """Integers below and above 2^p·Σ x^(2n+1)/(2n+1)!! for x between z/2^p and (z+1)/2^p, p = PRECISION.

    All terms are positive, so rounding each one down, respectively up, bounds the sum.
    """
    low, high = z, z + 1
    low_square, high_square = z * z >> PRECISION, -(-high * high >> PRECISION)
    low_sum, high_sum, odd = low, high, 1
    while high > 2 or 2 * high_square > (odd + 2) << PRECISION:
        odd += 2
        low = (low * low_square >> PRECISION) // odd
        high = -((-high * high_square >> PRECISION) // odd)  # −(−x >> p) is x/2^p, rounded up
        low_sum += low
        high_sum += high
    return (
        low_sum,
        high_sum + high,
    )  # the ratio is now below 1/2, so the rest is below the last term
