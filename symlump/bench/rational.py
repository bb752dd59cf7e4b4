"""What quotients cost: enzymatic networks against polynomial systems of the same number of terms.

Both are planted, lumped, certified and checked in one process, on its own processor time. Terms are those of
the equations and, where there are denominators, those in them.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.errors import FailureError

if TYPE_CHECKING:
    from symlump.lumping.equivalence import Equivalence
    from symlump.lumping.lumping import Lumping
    from symlump.ode.exact import IntArray
    from symlump.ode.system import ODE
    from symlump.proof.certificate import Certificate

#: What is timed, in order; "lump" is finding, comparing exactly, and the quotient, as one call.
TASKS = ("find", "compare", "lump", "certificate", "check")
#: A rational system costs at most so many times the polynomial one.
REACH = 3.0
_QUICK = 0.2  # seconds
_REPETITIONS = 3
_DIRECTIONS = ("forward", "backward", "backward, synchronous")

T = TypeVar("T")


@dataclass(frozen=True)
class RationalRow:
    """One size and direction: seconds for the rational and for the polynomial system, by task."""

    direction: str
    variables: int
    terms: int
    polynomial_terms: int
    seconds: dict[str, float]
    polynomial_seconds: dict[str, float]

    def ratio(self, task: str) -> float:
        """The rational system's time over the polynomial one's."""
        return self.seconds[task] / self.polynomial_seconds[task]

    @property
    def times_loading(self) -> float:
        """Checking against reading the same certificate as JSON: constant where the cost is linear."""
        return self.seconds["check"] / self.seconds["load"]

    @property
    def reached(self) -> bool:
        """True if neither lumping nor proving nor checking takes more than three times as long."""
        return all(self.ratio(task) <= REACH for task in ("lump", "certificate", "check"))


def sizes(quick: bool) -> list[tuple[str, int]]:
    """Direction and number of variables of each row."""
    counts = (300,) if quick else (150, 1_500, 15_000)
    return [(direction, count) for count in counts for direction in _DIRECTIONS]


def measure(direction: str, variables: int) -> RationalRow:
    """Lump, certify and check a planted enzymatic network, and a polynomial system of as many terms."""
    from symlump.datasets.kinetics import mass_action, michaelis_menten, synchronous
    from symlump.datasets.systems import planted_backward
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward

    blocks = variables // 10
    if direction in ("forward", "backward"):
        ode, labels = michaelis_menten(variables, blocks, direction)
    else:
        ode, labels = synchronous(variables, blocks)
    assert ode.generators is not None
    terms = ode.terms + ode.generators.arguments.terms
    method: Equivalence = Forward() if direction == "forward" else Backward()
    if direction == "forward":  # seven terms and three tenths of a variable for each substrate
        other = mass_action(round(terms / 7.3), round(terms / 73))
    else:
        other = planted_backward(round(terms / 7), round(terms / 70), 7)
    return RationalRow(
        direction,
        variables,
        terms,
        other[0].terms,
        _times(ode, labels, method),
        _times(other[0], other[1], method),
    )


def _times(ode: ODE, labels: IntArray, method: Equivalence) -> dict[str, float]:
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.blocks import RefinableBlocks
    from symlump.lumping.refinement.refine import PRIME, refine_component

    planted = Partition(labels)

    def reduced(system: ODE) -> Lumping:
        return lump(system, method)

    def refine(system: ODE) -> RefinableBlocks:
        generator = np.random.default_rng(0)
        blocks = RefinableBlocks(np.zeros(len(system), dtype=np.int64))
        values = method.fingerprints(system, PRIME, generator)
        refine_component(blocks, values, np.arange(len(system)), True, generator)
        return blocks

    def written(lumping: Lumping) -> tuple[Certificate, str]:
        certificate = lumping.certificate()
        return certificate, certificate.to_json()

    found: dict[str, float] = {}
    found["find"], blocks = _median(lambda: partial(refine, _fresh(ode)))
    found["compare"], agree = _median(lambda: partial(method.agrees, _fresh(ode), planted))
    found["lump"], lumping = _median(lambda: partial(reduced, _fresh(ode)))
    if not (Partition(blocks.labels) == planted == lumping.partition and agree):
        raise FailureError("the planted lumping was not found, or is not the coarsest")
    found["certificate"], (certificate, text) = _once(lambda: written(lumping))
    found["load"], _ = _few(lambda: json.loads(text))
    found["check"], verdict = _few(certificate.check)
    if not verdict.coarsest:
        raise FailureError(f"the checker does not accept: {verdict.reason}")
    return found


def _fresh(ode: ODE) -> ODE:
    """The system without what was remembered of it."""
    if ode.generators is None:
        return replace(ode)
    return replace(ode, generators=replace(ode.generators))


def _once(function: Callable[[], T]) -> tuple[float, T]:
    gc.collect()
    gc.disable()  # it would go through all that is there, again and again
    try:
        start = time.process_time()
        result = function()
        return time.process_time() - start, result
    finally:
        gc.enable()


def _few(function: Callable[[], T]) -> tuple[float, T]:
    """The median of several repetitions, where one is quick."""
    seconds, result = _once(function)
    if seconds > _QUICK:
        return seconds, result
    return _median(lambda: function)


def _median(prepare: Callable[[], Callable[[], T]]) -> tuple[float, T]:
    """Of several repetitions, each prepared for itself."""
    runs = [_once(prepare()) for _ in range(_REPETITIONS)]
    return float(np.median([seconds for seconds, _ in runs])), runs[0][1]


HEADER = ("direction", "variables", "terms", "polynomial", *TASKS, "/ json", "reached")


def cells(row: RationalRow) -> tuple[str, ...]:
    """A row of the printed table: seconds, and the ratio to the polynomial system."""
    return (
        row.direction,
        str(row.variables),
        str(row.terms),
        str(row.polynomial_terms),
        *(f"{row.seconds[task]:.2g} ({row.ratio(task):.1f} ×)" for task in TASKS),
        f"{row.times_loading:.0f}",
        "yes" if row.reached else "no",
    )


TABLE = KeptTable("rational", RationalRow, HEADER, cells, ("direction", "variables"), ("reached",))
