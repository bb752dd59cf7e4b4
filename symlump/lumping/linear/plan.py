"""What a system lumps to linearly at any tolerance: the plan of constrained lumping."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.linear.approximate import Path, ToleranceStep, lumping_at
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.smallest import Form, Search, lump_constrained
from symlump.ode.notation import count_text
from symlump.ode.system import ODE
from symlump.plan import Plan

if TYPE_CHECKING:
    from symlump.lumping.linear.constrained import Constrained

#: Of tolerances that nobody named, at most so many, evenly spread.
_MOST_STEPS = 30


@dataclass(frozen=True, eq=False)
class ConstrainedPlan(Plan[LinearLumping]):
    """A system and what must be kept of it; the path of row spaces is walked once.

    Parameters
    ----------
    ode : ODE
    method : Constrained
        Its tolerance and size play no role.
    seed : int

    Examples
    --------
    >>> from symlump import Constrained
    >>> from symlump.datasets.systems import h_tree
    >>> plan = Constrained("v1_1").plan(h_tree(3, tolerance=0.01))
    >>> plan.size(0), plan.size(0.01), len(plan.reach(1)), f"{plan.tolerance(1):.4f}"
    (3, 2, 1, '0.7929')
    """

    counted: ClassVar[str] = "variables"

    ode: ODE
    method: Constrained
    seed: int = 0

    @property
    def whole(self) -> int:
        """All variables."""
        return len(self.ode)

    @cached_property
    def _forms(self) -> dict[str, Form]:
        return self.method.forms(self.ode)

    @cached_property
    def path(self) -> Path:
        """The row spaces from the observables to the smallest exact lumping."""
        return Path(self._search)

    @cached_property
    def _search(self) -> Search:
        return Search(self.ode, self._forms, self.seed)

    @cached_property
    def _exact(self) -> LinearLumping:
        method = self.method if self.method.is_exact else self.method.within(0.0)
        return lump_constrained(self._search, method)

    def steps(self) -> tuple[ToleranceStep, ...]:
        """Which tolerance gives which dimension, from the observables alone to the exact lumping.

        Examples
        --------
        >>> from symlump import ODE, Constrained
        >>> plan = Constrained("x").plan(ODE.from_text("x' = 3*y - x; y' = z/8 - y; z' = -z"))
        >>> [(step.eps, step.dimension) for step in plan.steps()]
        [(3.0, 1), (0.125, 2), (0.0, 3)]
        """
        steps: list[ToleranceStep] = []
        for point in self.path.points():
            if not steps or point.defect < steps[-1].eps:
                defects = point.observable_defects()
                steps.append(ToleranceStep(point.defect, point.dimension, point.defect, defects))
        return tuple(steps)

    def at(self, eps: float) -> LinearLumping:
        """The first lumping on the path whose defect is at most ε; at 0 the exact one.

        Raises
        ------
        FailureError
            If the exact lumping has more than 150 rows, and those within ε more than 10⁸ numbers; or
            functions in the quotient within ε take too long to multiply out.
        """
        return lumping_at(self.path, self.method.within(eps)) if eps else self._exact

    def size(self, eps: float) -> int:
        """Rows at a tolerance."""
        return self.path.at(eps).dimension if eps else len(self._exact)

    def tolerance(self, target: int) -> float:
        """The smallest one with at most so many rows: a defect on the path, without a search.

        Raises
        ------
        FailureError
            If the observables themselves are more.
        """
        if self.size(0.0) <= target:
            return 0.0
        within = [point.defect for point in self.path.points() if point.dimension <= target]
        if not within:
            least, kept = next(self.path.points()).dimension, self.path.walk.start_rank
            why = "those that must be kept" if least == kept else "as with fewer a denominator is 0"
            raise FailureError(
                f"the smallest reachable size is {count_text(least, 'variable')}, {why}, more than "
                f"the requested {target}; ask for a larger share"
            )
        return min(within)

    def tolerances(self) -> list[float]:
        """Those at which the dimension changes, ascending; where there are many, some of them."""
        every: list[float] = []
        for point in self.path.points():
            if not every or point.defect < every[-1]:
                every.append(point.defect)
        every.reverse()
        places = np.linspace(0, len(every) - 1, min(len(every), _MOST_STEPS)).round().astype(int)
        return [every[place] for place in places.tolist()]
