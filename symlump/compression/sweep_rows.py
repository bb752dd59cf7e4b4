"""The rows of a sweep: one tolerance of a system, of its linear lumpings, or of a network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from symlump.compression.compression import Compression, compress, mean_squared_error
from symlump.compression.merging.afde import AFDE
from symlump.compression.merging.effect import observed_difference
from symlump.errors import FailureError, MethodError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.linear.approximate import Path, lumping_at
from symlump.lumping.linear.constrained import Constrained, purpose
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.network.network import Network
from symlump.ode.system import ODE

#: Tolerances of a sweep that names none, as shares of the one that merges everything that may merge.
_GRID = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

_SIMULATIONS = 20

#: A tolerance that merges all that may merge.
_ALL = 1e12

#: Of a linear sweep that names no tolerances: at most so many lines of its table, evenly spread.
_MOST_STEPS = 30


Result: TypeAlias = Lumping | LinearLumping | Compression


@dataclass(frozen=True, eq=False)
class SweepRow:
    """One tolerance.

    Parameters
    ----------
    eps : float
    blocks : int
        Variables of the quotient, for a linear lumping its rows; for a network the units of its hidden layers.
    parameters : int
        Weights and biases that remain; for a system the terms of the quotient.
    defect : float
        δ, the distance of the reference model.
    bound : float or None
        The certified error, where a box was given; None also where no bound could be certified.
    observed : float or None
        The largest error seen: for a network over samples of the box, for a system over simulations.
    loss : float or None
        Mean squared error, where data was given.
    result : Lumping, LinearLumping or Compression
    """

    eps: float
    blocks: int
    parameters: int
    defect: float
    bound: float | None
    observed: float | None
    loss: float | None
    result: Result


#: A tolerance, and whether errors are measured.
Run = Callable[[float, bool], SweepRow]


def default_tolerances(run: Run) -> list[float]:
    """Shares of the smallest tolerance that merges all that may merge; 0 alone where 0 merges it already."""
    fewest, low, high = run(_ALL, False).blocks, 0.0, 1e-6
    if run(0.0, False).blocks == fewest:
        return [0.0]
    while high < _ALL and run(high, False).blocks > fewest:
        low, high = high, high * 4
    while not low and high > 1 / _ALL**2:
        low, high = (0.0, high / 4) if run(high / 4, False).blocks == fewest else (high / 4, high)
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (low, middle) if run(middle, False).blocks == fewest else (middle, high)
    return [float(f"{share * high:.3g}") for share in _GRID]


def dimension_changes(path: Path) -> list[float]:
    """The tolerances at which the dimension changes, ascending; where there are many, some of them."""
    every: list[float] = []
    for point in path.points():
        if not every or point.defect < every[-1]:
            every.append(point.defect)
    every.reverse()
    places = np.linspace(0, len(every) - 1, min(len(every), _MOST_STEPS)).round().astype(int)
    return [every[place] for place in places.tolist()]


def linear_run(path: Path, method: Constrained) -> tuple[Run, str]:
    """How to make a row of linear lumpings, and the title of the table."""

    def run(eps: float, measured: bool) -> SweepRow:
        asked = Constrained(method.observables, eps=eps)
        lumping = lumping_at(path, asked) if eps else lump(path.ode, asked)
        terms = lumping.quotient.terms
        return SweepRow(eps, len(lumping), terms, lumping.defect, None, None, None, lumping)

    return run, f"{len(path.ode)} variables, by ε-linear lumping {purpose(path.forms)}"


def check_network(subject: Any) -> None:
    """Refuse what is neither a system nor a network, without loading torch for it."""
    torch = sys.modules.get("torch")
    if isinstance(subject, Network) or (torch is not None and isinstance(subject, torch.nn.Module)):
        return
    of_model = "; give its .ode" if isinstance(getattr(subject, "ode", None), ODE) else ""
    raise MethodError(
        f"sweep takes an ODE, a torch module or a Network; got a {type(subject).__name__}{of_model}"
    )


def system_run(
    ode: ODE,
    method: Any,
    initial: Any,
    box: Any,
    horizon: float | None,
    data: Any,
    samples: int,
    seed: int,
) -> tuple[Run, str]:
    """How to make a row of a system, and the title of the table."""
    from symlump.lumping.forward import Forward

    method = Forward() if method is None else method
    if not isinstance(method, Equivalence):
        raise MethodError(
            f"a system is swept with Forward(), Backward() or Constrained([…]); got {method!r}"
        )
    if data is not None:
        raise MethodError("data belongs to networks; a system takes box and horizon")
    if (box is None) != (horizon is None):
        raise MethodError("a bound for a system needs both a box of initial states and a horizon")

    def run(eps: float, measured: bool) -> SweepRow:
        lumping = lump(ode, replace(method, eps=eps), initial)
        bound = observed = None
        if measured and box is not None and horizon is not None:
            bound, observed = _system_errors(lumping, horizon, box, seed)
        quotient = lumping.quotient
        return SweepRow(
            eps, len(quotient), quotient.terms, lumping.defect, bound, observed, None, lumping
        )

    relative = " relative" if method.relative else ""
    kind = f"by{relative} ε-{method.direction} equivalence ({method.linkage})"
    return run, f"{len(ode)} variables, {kind}"


def network_run(
    model: Any,
    method: Any,
    box: Any,
    horizon: float | None,
    data: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    example: Any,
    samples: int,
    seed: int,
) -> tuple[Run, str]:
    """How to make a row of a network, and the title of the table."""
    method = AFDE(eps=0.0) if method is None else method
    if not isinstance(method, AFDE):
        raise MethodError(f"a network is swept with AFDE(…); got {method!r}")
    if horizon is not None:
        raise MethodError("horizon belongs to systems; a network takes box or data")

    def run(eps: float, measured: bool) -> SweepRow:
        result = compress(model, replace(method, eps=eps, retain=None), example=example)
        bound = observed = loss = None
        if measured:
            observed = _observed(result, box, samples, seed)
            bound = None if box is None else _network_bound(result, box)
            loss = None if data is None else mean_squared_error(result.network, *data)
        units = _hidden_units(result)
        kept = result.retained_parameters
        return SweepRow(eps, units, kept, result.defect, bound, observed, loss, result)

    original = compress(model, replace(method, eps=0.0, retain=None), example=example).original
    if original.chain is None and box is not None:
        raise MethodError("box is for chains of dense layers, and this network is none")
    return run, f"{repr(original).strip('<>')}, by {method.label}"


def _hidden_units(result: Compression) -> int:
    chain = result.network.chain
    return sum(layer.outputs for layer in (chain or result.network).hidden)


def _observed(result: Compression, box: Any, samples: int, seed: int) -> float:
    """The largest difference of outputs over samples, uniform in the box or else standard normal."""
    if box is None:
        return observed_difference(result.original, result.network, samples, seed).largest
    from symlump.enclosures.boxes import as_box, samples_of

    chain = result.original.dense_chain("box")
    x = samples_of(as_box(box, chain.inputs), samples, np.random.default_rng(seed))
    return float(np.abs(result.original(x) - result.network(x)).max())


def _network_bound(result: Compression, box: Any) -> float | None:
    """The certified bound on the difference of outputs, or None where nothing could be certified."""
    try:
        return float(result.bound(box).largest)
    except FailureError:
        return None


def _system_errors(
    lumping: Lumping, horizon: float, box: Any, seed: int
) -> tuple[float | None, float | None]:
    """The certified bound and the observed error of a quotient."""
    try:
        bound = lumping.bound(horizon, box, samples=_SIMULATIONS, seed=seed)
    except FailureError:
        return None, None
    assert bound.observed is not None
    return float(bound.value), float(bound.observed.largest.max())
