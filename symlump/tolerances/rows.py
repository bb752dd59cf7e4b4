"""The rows of a sweep: what a result at one tolerance costs and what it buys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from symlump.compression.compress import CompressionPlan
from symlump.compression.compression import Compression, mean_squared_error
from symlump.compression.labels import accuracy, class_numbers
from symlump.compression.merging.effect import standard_inputs
from symlump.compression.recurrent.result import RecurrentCompression
from symlump.errors import FailureError, MethodError
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.plan import ConstrainedPlan
from symlump.lumping.linear.smallest import purpose
from symlump.lumping.lumping import Lumping
from symlump.lumping.map_bounds import check_steps
from symlump.lumping.plan import EquivalencePlan
from symlump.network.network import Network
from symlump.ode.exact import FloatArray
from symlump.ode.notation import count_text

if TYPE_CHECKING:
    from symlump.compression.recurrent.plan import RecurrentPlan

_SIMULATIONS = 20
#: Inputs on which the error of a network is observed: so many at least and at most, and multiplications in all.
_SAMPLES, _WORK = (64, 2000), 1 << 24
#: Sequences on which the error of a recurrent network is observed.
_SEQUENCES = 200

#: What a row may hold beside its sizes.
MEASURED = ("defect", "bound", "observed", "loss", "accuracy")

Result: TypeAlias = Lumping | LinearLumping | Compression | RecurrentCompression


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
        The certified error, where a box was given; None also where no bound could be certified. Of a recurrent
        network, over as many steps as the horizon says.
    observed : float or None
        The largest error seen: for a network over samples of the box, for a system over simulations.
    loss : float or None
        Mean squared error, where data with values of the outputs was given.
    result : Lumping, LinearLumping, Compression or RecurrentCompression
    accuracy : float or None
        The share of samples classified correctly, where data with class numbers was given.
    """

    eps: float
    blocks: int
    parameters: int
    defect: float
    bound: float | None
    observed: float | None
    loss: float | None
    result: Result
    accuracy: float | None = None

    @property
    def misclassified(self) -> float | None:
        """The share of samples classified wrongly: like the loss, an error."""
        return None if self.accuracy is None else 1 - self.accuracy


#: A result at a tolerance as a row.
Measure: TypeAlias = Callable[[float, Any], SweepRow]


def linear_rows(
    plan: ConstrainedPlan, box: Any, horizon: float | None, data: Any, seed: int
) -> tuple[Measure, str]:
    """How to measure linear lumpings, and the title of the table.

    Raises
    ------
    MethodError
        If there is data, or a box without a horizon.
    """
    forms = plan.method.forms(plan.ode)
    measure = _of_system(box, horizon, data, seed)
    return measure, f"{count_text(len(plan.ode), 'variable')}, by ε-linear lumping {purpose(forms)}"


def system_rows(
    plan: EquivalencePlan, box: Any, horizon: float | None, data: Any, seed: int
) -> tuple[Measure, str]:
    """How to measure lumpings of a system, and the title of the table.

    Raises
    ------
    MethodError
        If there is data, or a box without a horizon.
    """
    measured = _of_system(box, horizon, data, seed)
    method = plan.method
    relative = " relative" if method.relative else ""
    kind = f"by{relative} ε-{method.direction} equivalence ({method.linkage})"
    return measured, f"{count_text(len(plan.ode), 'variable')}, {kind}"


def _of_system(box: Any, horizon: float | None, data: Any, seed: int) -> Measure:
    """How to measure lumpings of a system, of either kind."""
    if data is not None:
        raise MethodError("data belongs to networks; a system takes box and horizon")
    if (box is None) != (horizon is None):
        raise MethodError("a bound for a system needs both a box of initial states and a horizon")

    def measure(eps: float, lumping: Lumping | LinearLumping) -> SweepRow:
        bound = observed = None
        if box is not None and horizon is not None:
            bound, observed = _system_errors(lumping, horizon, box, seed)
        quotient = lumping.quotient
        return SweepRow(
            eps, len(quotient), quotient.terms, lumping.defect, bound, observed, None, lumping
        )

    return measure


def network_rows(
    plan: CompressionPlan,
    box: Any,
    horizon: float | None,
    data: tuple[Any, Any] | None,
    samples: int | None,
    seed: int,
) -> tuple[Measure, str]:
    """How to measure compressions of a network, and the title of the table.

    Raises
    ------
    MethodError
        If there is a horizon.
    """
    original = plan.network
    if horizon is not None:
        raise MethodError("horizon belongs to systems; a network takes box or data")
    x = _inputs(original, box, samples, seed)
    before = original.flat(*x)
    labelled = data is not None and class_numbers(original, data[1]) is not None

    latest: Network | None = None
    kept: dict[str, float | None] = {}

    def measured(eps: float, result: Compression) -> SweepRow:
        nonlocal latest, kept
        if latest is not result.network:  # near tolerances give the same network
            latest, kept = result.network, qualities(result)
        small = result.network.chain or result.network
        units = sum(layer.weight.shape[0] for layer in small.hidden)
        size, defect = result.retained_parameters, result.defect
        return SweepRow(eps, units, size, defect, **kept, result=result)

    def qualities(result: Compression) -> dict[str, float | None]:
        found: dict[str, float | None] = dict.fromkeys(("bound", "loss", "accuracy"))
        found["observed"] = float(np.abs(result.network.flat(*x) - before).max())
        if box is not None:
            found["bound"] = _certified(lambda: result.bound(box).largest)
        if data is not None and labelled:
            found["accuracy"] = accuracy(result.network, *data)
        elif data is not None:
            found["loss"] = mean_squared_error(result.network, *data)
        return found

    return measured, f"{repr(original).strip('<>')}, by {plan.method.within(0.0).label}"


def recurrent_rows(
    plan: RecurrentPlan,
    box: Any,
    horizon: float | None,
    data: tuple[Any, Any] | None,
    seed: int,
) -> tuple[Measure, str]:
    """How to measure compressions of a recurrent network, and the title of the table.

    Errors are those of dense layers behind cells, or, where there are none, of states; observed ones are taken
    over sequences with every input drawn from the box at every step.

    Raises
    ------
    MethodError
        If there is a box without a horizon, which is a number of steps, or a horizon without a box.
    """
    if (box is None) != (horizon is None):
        raise MethodError(
            "a bound for a recurrent network needs both a box of inputs and a horizon, the number of steps"
        )

    steps = None if horizon is None else check_steps(horizon)

    def measured(eps: float, result: RecurrentCompression) -> SweepRow:
        bound = observed = None
        if steps is not None:
            observed = result.observed(steps, box, _SEQUENCES, seed)
            bound = _certified(lambda: result.bound(steps, box).value)
        loss = None if data is None else result.mean_squared_error(*data)
        units = sum(node.cell.units for node in result.network.cells)
        kept = result.retained_parameters
        return SweepRow(eps, units, kept, result.defect, bound, observed, loss, result)

    return measured, f"{repr(plan.network).strip('<>')}, by AFDE"


def _inputs(network: Network, box: Any, samples: int | None, seed: int) -> list[FloatArray]:
    """Uniform in the box, or else standard normal."""
    if samples is None:  # where a sample is much work, less than a row's fits take
        grids = (prod(network.shapes[layer.name][1:]) for layer in network.layers)
        work = sum(
            layer.weight.size * grid for layer, grid in zip(network.layers, grids, strict=True)
        )
        samples = int(np.clip(_WORK // max(1, work), *_SAMPLES))
    if box is None:
        return standard_inputs(network, samples, seed)
    from symlump.network.bounds.inputs import box_of, samples_in

    return samples_in(network, box_of(network, box), samples, seed)


def _certified(bound: Callable[[], float]) -> float | None:
    """A bound, or None where nothing could be certified."""
    try:
        return float(bound())
    except FailureError:
        return None


def _system_errors(
    lumping: Lumping | LinearLumping, horizon: float, box: Any, seed: int
) -> tuple[float | None, float | None]:
    """The certified bound and the observed error of a quotient."""
    try:
        bound = lumping.bound(horizon, box, samples=_SIMULATIONS, seed=seed)
    except FailureError:
        return None, None
    seen = bound.observed
    return float(bound.value), None if seen is None else float(seen.largest.max())
