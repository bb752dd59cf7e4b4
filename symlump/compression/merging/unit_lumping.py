"""The lumping behind merged units, whose ε is in the unit in which units were compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from symlump.errors import MethodError
from symlump.lumping.forward import Forward
from symlump.lumping.lumping import Lumping
from symlump.lumping.plan import Initial
from symlump.ode.system import ODE
from symlump.plan import Plan

if TYPE_CHECKING:
    from symlump.compression.merging.units import UnitPlan


@dataclass(frozen=True)
class UnitForward(Forward):
    """Forward equivalence of a network's equation, its blocks the units that a method of compression merges.

    Parameters
    ----------
    units : UnitPlan
        What the units merge to at any tolerance; ``lump(lumping.ode, lumping.method)`` asks it again.
    """

    units: UnitPlan | None = field(default=None, repr=False, compare=False)

    @property
    def unit(self) -> str:
        """See :class:`symlump.lumping.equivalence.Equivalence`."""
        return "" if self.units is None else self.units.method.unit

    def plan(self, subject: ODE, initial: Initial = None, *, seed: int = 0) -> Plan[Lumping]:
        """Analyse a system, once for all tolerances; see :class:`symlump.lumping.equivalence.LumpingMethod`.

        Raises
        ------
        MethodError
            If it is another system than the network's, or there is an initial partition.
        """
        if self.units is None or subject is not self.units.ode or initial is not None:
            raise MethodError(
                "this tolerance is of the units of the network that was compressed, and of its own equation; "
                "for another system or an initial partition take Forward(eps=…), which compares coefficients"
            )
        return UnitLumpings(self.units)

    def distance_text(self, x: int, y: int) -> str | None:
        """See :class:`symlump.lumping.equivalence.Equivalence`."""
        if self.units is None or self.units.method.compared == "coefficients":
            return None
        height = self.units.height(x, y)
        if height is None:
            return "they are no units that may merge"
        kept = "" if height > self.eps or self.units.groups_of(self.eps, x, y) else _KEPT
        return f"their groups join at a distance of {height:.6g}, {self.unit}{kept}"


_KEPT = " (kept apart: the layer keeps a share of its units, or the size allows it)"


@dataclass(frozen=True, eq=False)
class UnitLumpings(Plan[Lumping]):
    """The lumpings of a network's equation at any tolerance of its units."""

    counted: ClassVar[str] = "variables"

    units: UnitPlan

    @property
    def whole(self) -> int:
        """All variables."""
        return len(self.units.ode)

    def at(self, eps: float) -> Lumping:
        """See :class:`symlump.plan.Plan`."""
        return self.units.lumping(eps)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return len(self.at(eps).partition)
