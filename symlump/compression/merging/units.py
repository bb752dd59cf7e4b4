"""What the units of a network merge to at any tolerance: the plan of AFDE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import hypot, inf
from sys import float_info
from typing import TYPE_CHECKING

import numpy as np

from symlump.compression.inputs import advice, assumed
from symlump.compression.merging.coefficients import CoefficientMerging
from symlump.compression.merging.effect import effect_scale
from symlump.compression.merging.merge import Merging, has_equal_units, merged
from symlump.compression.merging.reference import Merged
from symlump.compression.merging.unit_lumping import UnitForward
from symlump.compression.merging.values import Values, memory_for, values_of
from symlump.compression.reduction import NetworkPlan, Reduction
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.decode import decode, unit_labels, unit_maps
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.shared_lumping import lump_together
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.step_nodes import Attention
from symlump.network.ties import Ties, grouped_alike, tied
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import smallest_tolerance

if TYPE_CHECKING:
    from symlump.compression.merging.afde import AFDE


@dataclass(frozen=True, eq=False)
class Part:
    """One merging of units: the network, the new unit of each, the distance; the equations on demand."""

    small: Network
    maps: tuple[IntArray, ...]
    defect: float
    lumping: Callable[[], Lumping]

    @classmethod
    def of(cls, lumping: Lumping) -> Part:
        """That of a lumping."""
        return cls(decode(lumping), unit_maps(lumping), lumping.defect, lambda: lumping)


class UnitPlan(NetworkPlan):
    """A network, and what its units merge to at any tolerance.

    Parameters
    ----------
    method : AFDE
        Its tolerance and size play no role.
    network : Network
    """

    def __init__(self, method: AFDE, network: Network) -> None:
        if method.on != "influence":
            network.dense_chain(f"AFDE(on={method.on!r})")
        self.method, self.network = method, network
        self._linkage = Linkage(method.linkage)
        self._inputs = assumed(network) if method.inputs is None else method.inputs
        self._latest: tuple[tuple[bytes, bool], Merged] | None = None

    @cached_property
    def ode(self) -> NetworkODE:
        """The differential equation, term by term."""
        return encode(self.network)

    @cached_property
    def merging(self) -> Merging:
        """Distances of units under the stated inputs."""
        merging = Merging.of(self.network, self._inputs, self._linkage)
        if self.method.relative_to == "parameters":
            merging = merging.priced()
        return merging.with_floor(self.method.floor or 0.0)

    @cached_property
    def coefficients(self) -> CoefficientMerging:
        """Distances of coefficients."""
        method = self.method
        return CoefficientMerging.of(
            self.network, self._linkage, method.relative, method.relative_to
        )

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        return self._at(eps, self.method.refits)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        method = self.method
        if method.on != "influence":
            return self._at(eps, method.refits and method.on == "both").retained_parameters
        if eps == 0:
            return self._exact_size
        if method.compared == "function":
            return self.merging.parameters(eps)
        return self._coefficient_size(eps)

    def tolerance(self, target: int) -> float:
        """See :class:`symlump.plan.Plan`."""
        if self.method.on != "influence":
            return super().tolerance(target)
        if self._exact_size <= target:
            return 0.0
        if self.method.compared == "function":
            eps = self.merging.tolerance(target)
        else:
            eps = smallest_tolerance(self._coefficient_size, target)
        return max(eps, float_info.min)

    def reach(self, target: int) -> Reduction:
        """The same; no layer collapses, if the size can be had without.

        Raises
        ------
        FailureError
            If no tolerance reaches the target.
        """
        method = self.method
        functions = method.on == "influence" and method.compared == "function"
        if functions and method.floor is None and self._exact_size > target:
            careful = self.merging.with_floor()
            if careful.parameters(inf) <= target:
                return self._carefully(careful).at_floor(target, self.merging)
        return super().reach(target)

    def _carefully(self, merging: Merging) -> UnitPlan:
        """The same plan with a floor, which its method then names."""
        plan = UnitPlan(replace(self.method, floor=merging.floor), self.network)
        plan.__dict__ |= {k: v for k, v in self.__dict__.items() if k not in ("method", "_latest")}
        plan.__dict__ |= {"merging": merging}
        return plan

    def at_floor(self, target: int, without: Merging) -> Reduction:
        """What reaches a size above the floor; its report says so where the floor decided."""
        eps = self.tolerance(target)
        reduction = self.at(eps)
        if np.array_equal(self.merging.groups(eps), without.groups(eps)):
            return reduction
        note = f"no layer below {self.merging.floor:g} of its units (floor={self.merging.floor:g})"
        return replace(reduction, note="; ".join(filter(None, (note, reduction.note))))

    @cached_property
    def _exact_size(self) -> int:
        if not has_equal_units(self.network):
            return self.whole  # nothing is exactly equivalent
        return self._at(0.0, False).retained_parameters

    def _coefficient_size(self, eps: float) -> int:
        labels = self.coefficients.labels(eps)
        if self.method.refits or self.network.sharing:
            return self._ties.parameters(self.network, self._tied_groups(labels))
        return self.coefficients.merged(labels).written.parameters

    def _at(self, eps: float, refit: bool) -> Reduction:
        parts: list[Part] = []
        small = self.network
        if self.method.on != "state":
            parts.append(self._by_influence(eps, refit))
            small = parts[-1].small
        if self.method.on != "influence":
            ode = encode(small, "state")
            parts.append(Part.of(lump(ode, self.method.forward(eps, self._scale(ode)))))
            small = parts[-1].small
        maps = reduce(_compose, [part.maps for part in parts])
        defect = hypot(*(part.defect for part in parts))
        return Reduction(
            small,
            maps,
            small.parameters,
            eps,
            defect,
            lambda: tuple(part.lumping() for part in parts),
            measure=self.method.measure,
            note="" if eps == 0 or self.method.inputs is not None else advice(self.network, "AFDE"),
        )

    def _scale(self, ode: NetworkODE) -> tuple[float, ...] | None:
        by_output = self.method.relative and self.method.relative_to == "output"
        return effect_scale(ode) if by_output else None

    @cached_property
    def _values(self) -> Values:
        return values_of(self.network, self._inputs)[0]

    @cached_property
    def _memory(self) -> dict[str, FloatArray] | None:
        values = self.merging.values if self.method.compared == "function" else self._values
        return memory_for(self.network, values)

    @cached_property
    def _ties(self) -> Ties:
        return tied(self.network)

    def _tied_groups(self, labels: IntArray) -> IntArray:
        """Units that one block of every layer holds that makes them: one partition for a sum, and for a fit."""
        return grouped_alike(self._ties, unit_labels(self.ode, labels))

    def _by_influence(self, eps: float, refit: bool) -> Part:
        """What merges within a tolerance by the influence form."""
        if eps == 0:
            return Part.of(lump_together(self.ode, Forward()))
        functions = self.method.compared == "function"
        groups = self.merging.groups(eps) if functions else self.coefficients.labels(eps)
        key = groups.tobytes(), refit
        if self._latest is None or self._latest[0] != key:  # near tolerances merge the same
            self._latest = key, self._merged(groups, refit)
        small = self._latest[1]
        return Part(
            small.network,
            small.unit_maps,
            small.defect,
            lambda: small.lumping(self.ode, self._forward(eps)),
        )

    def lumping(self, eps: float) -> Lumping:
        """The lumping of the influence form whose blocks the units are."""
        return self._by_influence(eps, self.method.refits).lumping()

    def _forward(self, eps: float) -> Forward:
        """The equivalence of the influence form, in the unit in which units are compared."""
        method = self.method
        if method.compared == "function":
            return UnitForward(eps, method.linkage, units=self)
        scale = self._scale(self.ode)
        relative = method.relative and scale is None
        return UnitForward(eps, method.linkage, relative, scale, units=self)

    def height(self, x: int, y: int) -> float | None:
        """The tolerance at which two variables of the equation join; None where they are no such units."""
        a, b = self._unit_of.get(x), self._unit_of.get(y)
        return None if a is None or b is None else self.merging.height(a, b)

    def groups_of(self, eps: float, x: int, y: int) -> bool:
        """Whether two variables of the equation are one unit at a tolerance."""
        groups = self.merging.groups(eps)
        return bool(groups[self._unit_of[x]] == groups[self._unit_of[y]])

    @cached_property
    def _unit_of(self) -> dict[int, int]:
        """The unit of each variable of the equation that stands for one."""
        found: dict[int, int] = {}
        for node in self.network.nodes:
            if isinstance(node, Affine | Combine | Attention):
                own, units = self.ode.where(node.name), self.merging.ties.units[node.name]
                found |= dict(zip(own.tolist(), units.tolist(), strict=False))
        return found

    def _merged(self, groups: IntArray, refit: bool) -> Merged:
        """The network with groups of units, or of variables of its equation, where these are compared."""
        memory = None if self._latest is None else self._memory  # from the second fit on
        if self.method.compared == "function":
            small = self.merging.merged(groups, refit, memory)
        elif refit or self.network.sharing:
            ties, units = self._ties, self._tied_groups(groups)
            ones, values = np.ones(ties.count), self._values if refit else None
            small = merged(self.network, ties, units, ones, values, memory)
        else:
            small = self.coefficients.merged(groups)
        if not (refit and self.method.steps):
            return small
        from symlump.compression.fitting import fitted

        samples = self.merging.samples
        return replace(
            small, written=fitted(small.written, self.network, samples, self.method.steps)[0]
        )


def _compose(before: tuple[IntArray, ...], after: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    return tuple(b[a] for a, b in zip(before, after, strict=True))
