"""The verb that looks for a tolerance: by size, by certified error, or by loss on data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from symlump.compression.compression import Compression, compress
from symlump.compression.merging.afde import AFDE
from symlump.errors import FailureError, MethodError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.ode.polynomial import PolynomialODE
from symlump.plan import check_share, smallest_tolerance

_FIRST = 1e-3
_HIGHEST = 1e12
_CUTTING = 20.0  # cutting the box does not make a bound so many times smaller


def search(
    subject: Any,
    method: Any,
    *,
    retain: float | None = None,
    max_bound: float | None = None,
    max_loss: float | None = None,
    box: Any = None,
    horizon: float | None = None,
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    initial: Any = None,
) -> Lumping | Compression:
    """Reduce a system or a network at the tolerance that a wish leads to.

    Parameters
    ----------
    subject : PolynomialODE, torch module or Network
    method : Forward(…), Backward(…) or AFDE(…)
        Its own ε plays no role.
    retain : float, optional
        The smallest ε found that keeps at most this share of the variables, or of the parameters.
    max_bound : float, optional
        The largest ε found whose certified error on ``box`` (for a system also up to ``horizon``) is at most
        this.
    max_loss : float, optional
        The largest ε found whose mean squared error on ``data``, (inputs, targets), is at most this. For
        networks.
    initial : optional
        For a system: what must never merge, as for :func:`symlump.lump`.

    Raises
    ------
    MethodError
        If not exactly one wish is given, or what it needs is missing.
    FailureError
        If no tolerance fulfils it.

    Examples
    --------
    >>> import symlump as sl
    >>> from symlump.datasets.systems import h_tree
    >>> print(search(h_tree(4, tolerance=0.01), sl.Backward(), retain=0.3).headline())
    15 → 4 variables by ε-backward equivalence, ε = 0.000115238 (closure), defect δ = 9.138e-05
    """
    wishes = {"retain": retain, "max_bound": max_bound, "max_loss": max_loss}
    if sum(value is not None for value in wishes.values()) != 1:
        raise MethodError(f"search takes exactly one of {', '.join(wishes)}")
    if (max_bound is None) != (box is None) or (max_loss is None) != (data is None):
        raise MethodError("max_bound goes with box, and max_loss with data; give both or neither")
    system = isinstance(subject, PolynomialODE)
    if not isinstance(method, Equivalence if system else AFDE):
        raise MethodError(
            f"search takes Forward(…) or Backward(…) for a system and AFDE(…) for a network; got {method!r}"
        )
    kind: Any = method
    if system:
        if max_loss is not None or (max_bound is None) != (horizon is None):
            raise MethodError("a system has a bound on a box up to a horizon, and no loss")

        def reduced(eps: float) -> Any:
            return lump(subject, replace(kind, eps=eps), initial)
    else:
        if horizon is not None or initial is not None:
            raise MethodError("horizon and initial belong to systems; a network takes box or data")

        def reduced(eps: float) -> Any:
            return compress(subject, replace(kind, eps=eps, retain=None))

    if retain is not None:
        check_share(retain, "retain")

        def size(eps: float) -> int:
            result = reduced(eps)
            return len(result.partition) if system else int(result.retained_parameters)

        whole = len(subject) if system else reduced(0.0).parameters
        return reduced(smallest_tolerance(size, int(retain * whole * (1 + 1e-12))))  # type: ignore[no-any-return]

    def merges(result: Any) -> Any:
        return result.partition if system else tuple(m.tobytes() for m in result.unit_maps)

    known: dict[Any, bool] = {}  # what merges decides the result; many ε merge the same

    def accepts(eps: float) -> bool:
        result = reduced(eps)
        merged = merges(result)
        if merged not in known:
            known[merged] = good(result)
        return known[merged]

    def good(result: Any) -> bool:
        if max_loss is not None:
            assert data is not None
            return bool(result.mean_squared_error(*data) <= max_loss)
        try:
            if system:
                return bool(result.bound(horizon, box, samples=0).value <= max_bound)
            assert max_bound is not None
            quick = result.bound(box, splits=0).largest
            if quick <= max_bound or quick > _CUTTING * max_bound:
                return bool(quick <= max_bound)
            return bool(result.bound(box).largest <= max_bound)
        except FailureError:
            return False

    wish = (
        f"a loss of at most {max_loss:g}"
        if max_loss is not None
        else f"an error below {max_bound:g}"
    )
    eps = largest_tolerance(accepts, wish)
    result = reduced(eps)
    if eps <= _HIGHEST / 4:
        return result  # type: ignore[no-any-return]
    # All that may merge does: the least ε that does it says more than an arbitrary large one.
    everything = merges(result)
    return reduced(smallest_tolerance(lambda eps: int(merges(reduced(eps)) != everything), 0))  # type: ignore[no-any-return]


def largest_tolerance(accepts: Callable[[float], bool], wish: str, steps: int = 24) -> float:
    """A tolerance that ``accepts``, with none accepted found above it, by doubling and bisection.

    ``accepts`` should turn from True to False once. Where it does so more than once, what is returned is still
    accepted.

    Parameters
    ----------
    accepts : callable
        Whether the result at a tolerance is good enough.
    wish : str
        What is asked for, for the error's text.

    Raises
    ------
    FailureError
        If not even ε = 0 is accepted.

    Examples
    --------
    >>> round(largest_tolerance(lambda eps: eps <= 0.3, "an error of at most 0.3"), 3)
    0.3
    """
    if not accepts(0.0):
        raise FailureError(f"not even ε = 0 gives {wish}; ask for less")
    low, high = 0.0, _FIRST
    while accepts(high):
        low, high = high, high * 4
        if high > _HIGHEST:
            return low
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if accepts(middle) else (low, middle)
        if high - low <= 1e-4 * high:
            break
    return low
