"""Which unit of distances gives the best network of a size, told without making the networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symlump.compression.merging.units import UnitPlan


def best_foreseen(plans: Sequence[UnitPlan], target: int) -> UnitPlan | None:
    """The plan of which the least error is expected at a size; None where that is not told well enough.

    See :meth:`symlump.compression.merging.merge.Merging.foreseen`. What merges alike is looked at once.

    Parameters
    ----------
    plans : sequence of UnitPlan
        Of one network, each in a unit of its own.
    target : int
        Number of parameters.

    Raises
    ------
    FailureError
        If no tolerance reaches the target.

    Examples
    --------
    >>> from symlump import AFDE, Network
    >>> net = Network.dense([[[1.0, 2.0], [1.1, 2.0], [-1.0, 0.0]], [[0.5, 0.25, 1.0]]])
    >>> plans = [AFDE(eps=0, relative_to=unit).plan(net) for unit in ("output", "layer")]
    >>> best_foreseen(plans, 6) is None  # few units, few outputs
    True
    """
    errors: dict[bytes, float] = {}
    for plan in plans:
        method = plan.method
        refitted = method.on == "influence" and method.compared == "function" and method.refits
        if not refitted or method.lively or not plan.merging.is_foreseen:
            return None

    def error(plan: UnitPlan) -> float:
        settled, _ = plan.settled(target)
        eps = settled.method.eps or 0.0
        key = settled.merging.groups(eps).tobytes()
        if key not in errors:
            errors[key] = settled.merging.foreseen(eps)
        return errors[key]

    return min(plans, key=error)
