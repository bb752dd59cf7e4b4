"""What the units of a network merge to at any tolerance: the plan of AFDE."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property, reduce
from math import hypot, inf, isfinite
from sys import float_info
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.compression.collapse import BLIND, OutputWatch
from symlump.compression.images import Images
from symlump.compression.inputs import advice, assume_inputs, samples_of
from symlump.compression.merging.coefficients import CoefficientMerging, layer_units
from symlump.compression.merging.effect import outputs_on
from symlump.compression.merging.foreseen import best_foreseen
from symlump.compression.merging.lively import merge_lively
from symlump.compression.merging.merge import Merging, has_equal_units, merge_units
from symlump.compression.merging.reference import Merged, Part, compose
from symlump.compression.merging.states import StateMerging, distance_scale, smaller_tolerance
from symlump.compression.merging.unit_lumping import UnitForward
from symlump.compression.merging.values import (
    Memory,
    Values,
    analysed_values,
    in_single,
    is_wide,
    memory_for,
    values_to_fit,
)
from symlump.compression.moments import Normal
from symlump.compression.reduction import NetworkPlan, Reduction, own_units, try_each
from symlump.errors import FailureError
from symlump.lumping.forward import Forward
from symlump.lumping.lumping import Lumping
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.decode import unit_labels
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.equations.shared_lumping import lump_together
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine
from symlump.network.step_nodes import Attention
from symlump.network.ties import Ties, find_ties, group_alike
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import share_of, smallest_tolerance

if TYPE_CHECKING:
    from symlump.compression.merging.afde import AFDE


#: What distances may be relative to: of functions, and of anything.
_FUNCTION_UNITS = ("output", "parameters", "layer")
_UNITS = ("output", "layer")
#: On so many samples, or a few more, the results of a wide network are compared; drawn ones have this seed.
_SEEN, _SEED = 500, 1 << 16


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
        self._inputs = assume_inputs(network) if method.inputs is None else method.inputs
        self._latest: dict[tuple[object, ...], Merged] = {}  # one, and the same for plans like this
        self._states = StateMerging(method)
        self._sizes: dict[int, tuple[UnitPlan, str]] = {}

    @cached_property
    def ode(self) -> NetworkODE:
        """The differential equation, term by term."""
        return encode(self.network)

    @cached_property
    def merging(self) -> Merging:
        """Distances of units under the stated inputs."""
        unit = self.method.relative_to or "output"
        (merging,) = Merging.of(self.network, self._inputs, self._linkage, (unit,))
        return merging.with_floor(self.method.floor or 0.0).with_budget(self._budget)

    @property
    def _budget(self) -> int:
        """How many parameters the method lets remain though its tolerance would merge further."""
        return share_of(self.whole, self.method.up_to or 0.0)

    @cached_property
    def coefficients(self) -> CoefficientMerging:
        """Distances of coefficients."""
        method = self.method
        unit = method.relative_to or "output"
        merging = CoefficientMerging.of(self.network, self._linkage, method.relative, unit)
        return replace(merging, floor=method.floor or 0.0)

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
        method = self.method
        if method.on == "state":
            return super().tolerance(target)
        if self._exact_size <= target:
            return 0.0
        try:
            if method.compared == "function":
                eps = self.merging.with_budget(0).tolerance(target, self._exact_size)
            else:
                least = self._exact_size
                eps = smallest_tolerance(self._coefficient_size, target, also=least)
        except FailureError:
            if method.on == "influence":
                raise
            return super().tolerance(target)  # what is read alike may merge further
        if method.on == "both":
            eps = smaller_tolerance(self.size, target, eps)
        return max(eps, float_info.min)

    @cached_property
    def watch(self) -> OutputWatch:
        """See :class:`symlump.compression.reduction.NetworkPlan`."""
        functions = self.method.on != "state" and self.method.compared == "function"
        if self.method.inputs is not None or (functions and is_wide(self.network)):
            known = self.merging.outputs if functions else None
            return OutputWatch(self.network, self._stated[1], known)
        return OutputWatch.of(self.network, self._inputs)

    def guarded(self, floor: float, lively: bool) -> UnitPlan | None:
        """See :class:`symlump.compression.reduction.NetworkPlan`."""
        if self.method.on == "state" or self._undecided:
            return None  # sums are no means; and where several units are tried, each is guarded
        floor = max(floor, self.method.floor or 0.0)
        lively = lively or self.method.lively
        plan = self._like(self.method.with_options(floor=floor, lively=lively))
        if self.method.compared == "function":
            plan.merging = replace(self.merging, floor=floor)
        else:
            plan.coefficients = replace(self.coefficients, floor=floor)
        return plan

    @property
    def _undecided(self) -> bool:
        """Whether a size is tried in all units of distances.

        Where nothing is stated of images, what is drawn for them is too rough a guess to choose by.
        """
        method = self.method
        images = isinstance(self._inputs, Images) or any(
            max(layer.kernel, default=1) > 1 for layer in self.network.layers
        )
        guessed = method.inputs is None and images
        return method.relative_to is None and method.relative and not guessed

    def nearest(self, target: int) -> Reduction:
        """What has at most a target's size.

        Where the method names no unit of distances, all are tried; what gives the outputs best under the
        stated inputs is returned, or is expected to where that is told well enough.

        Raises
        ------
        FailureError
            If no tolerance reaches the target.
        """
        if not self._undecided or self._exact_size <= target:
            return self._nearest(target)
        plans = self._in_all_units()
        if not self.method.steps and (best := best_foreseen(plans, target)) is not None:
            return best.reach(target)
        found = try_each(plans, lambda plan: plan.reach(target))
        networks = {id(result.network): result.network for _, result in found}
        errors = {key: self._error(network) for key, network in networks.items()}  # of each once
        plan, chosen = min(found, key=lambda pair: errors[id(pair[1].network)])
        if not self.method.steps:
            return chosen
        return plan._like(plan.method.with_options(steps=self.method.steps)).reach(target)

    def _nearest(self, target: int) -> Reduction:
        """The largest result of at most a target's size, in the one unit of the method."""
        method = self.method
        functions = method.on == "influence" and method.compared == "function"
        if not functions or self._exact_size <= target:
            return super().nearest(target)
        _ = self.watch  # shared by the plan of what is found
        plan, note = self.settled(target)
        assert plan.method.eps is not None
        reduction = plan.at(plan.method.eps)
        return replace(reduction, note="; ".join(filter(None, (note, reduction.note))))

    def settled(self, target: int) -> tuple[UnitPlan, str]:
        """The plan with all that is decided for a size, its tolerance too, and what is to be said of it."""
        if target not in self._sizes:
            self._sizes[target] = self._decided(target)
        return self._sizes[target]

    def _decided(self, target: int) -> tuple[UnitPlan, str]:
        method = self.method
        merging, floor, note = self.merging.with_budget(0), method.floor, ""
        careful = merging.with_floor()
        if method.floor is None and careful.parameters(inf) <= target:
            eps = max(careful.tolerance(target), float_info.min)
            if careful.counts(eps) != merging.counts(eps):
                note = f"no layer below {careful.floor:g} of its units (floor={careful.floor:g})"
            merging, floor = careful, careful.floor
        else:
            eps = self.tolerance(target)
        found = merging.with_budget(target if method.up_to is None else self._budget)
        share = method.up_to
        if share is None and found.undone(eps):
            share = method.retain or target / self.whole
        named = replace(method, eps=eps, retain=None, floor=floor, up_to=share)
        return self._like(named, merging=found), note

    def _in_all_units(self) -> list[UnitPlan]:
        """The plans in which distances are relative to one thing each, before any steps."""
        method, compared, refit = self.method, self.method.compared, self.method.refits
        units: tuple[str, ...] = _UNITS
        found = [dict[str, object]() for _ in _UNITS]
        if method.on != "state" and compared == "function":
            mergings = Merging.of(self.network, self._inputs, self._linkage, _UNITS)
            if method.on == "influence" and not mergings[0].has_equal_shares:
                units = _FUNCTION_UNITS  # else "parameters" says what "output" says
                mergings = (mergings[0], mergings[0].price(), mergings[1])
            floor = method.floor or 0.0
            found = [{"merging": merging.with_floor(floor)} for merging in mergings]
            vars(self).update(found[0], _ties=mergings[0].ties)
        elif method.on != "state":
            by_layer = replace(self.coefficients, units=layer_units(self.network, True, "layer"))
            found = [{"coefficients": self.coefficients}, {"coefficients": by_layer}]
        _ = self._memory, self._ties, self.watch  # shared by all
        decided: dict[str, Any] = (
            {} if method.on == "state" else {"distance": compared, "refit": refit}
        )
        return [
            self._like(method.with_options(relative_to=unit, steps=0, **decided), **own)
            for unit, own in zip(units, found, strict=True)
        ]

    def _like(self, method: AFDE, **found: object) -> UnitPlan:
        """A plan of the same network that shares what was found out, except for what is given."""
        plan = copy(self)
        plan.method, plan._states, plan._sizes = method, StateMerging(method), {}
        vars(plan).update(found)
        return plan

    def _error(self, small: Network) -> float:
        """The mean square of what the outputs move by; infinite if they overflow, or stand still."""
        if not self.watch.moves(small):
            return inf
        with np.errstate(over="ignore", invalid="ignore"):
            error = float(np.mean((outputs_on(small, self._seen) - self._outputs) ** 2))
        return error if isfinite(error) else inf

    @cached_property
    def _outputs(self) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            return outputs_on(self.network, self._seen)

    @cached_property
    def _seen(self) -> tuple[FloatArray, ...]:
        """Samples on which units of distances are told apart: in wide networks few are enough.

        Where they are drawn, they are not those of the fits, which are too good there if many units are left.
        """
        samples = self._stated[1]
        if is_wide(self.network):
            if isinstance(self._inputs, Normal):
                samples = samples_of(self._inputs, self.network, _SEEN, _SEED, dtype=np.float32)
            samples = tuple(x[:: max(1, len(x) // _SEEN)] for x in samples)
        dtype = np.float32 if in_single(self.network) else np.float64
        return tuple(x.astype(dtype, copy=False) for x in samples)

    @cached_property
    def _exact_size(self) -> int:
        if not has_equal_units(self.network):
            return self.whole  # nothing is exactly equivalent
        return self._at(0.0, False).retained_parameters

    def _coefficient_size(self, eps: float) -> int:
        labels = self.coefficients.labels(eps)
        if self.method.refits or self.network.sharing or self.method.lively:
            return self._ties.parameters(self.network, self._tied_groups(labels))
        return self.coefficients.merge(labels).written.parameters

    def _at(self, eps: float, refit: bool) -> Reduction:
        parts: list[Part] = []
        small = self.network
        if self.method.on != "state":
            parts.append(self._by_influence(eps, refit))
            small = parts[-1].small
        if self.method.on != "influence":
            parts.append(self._states.part(small, eps))
            small = parts[-1].small
        maps = reduce(compose, [part.maps for part in parts])
        return Reduction(
            small,
            maps,
            small.parameters,
            eps,
            lambda: hypot(*(part.defect() for part in parts)),
            lambda: tuple(part.lumping() for part in parts),
            measure=self.method.measure,
            method=self.method.within(eps),
            note=self._note(eps),
            advice=self._advice(eps),
        )

    def _note(self, eps: float) -> str:
        """What was left out."""
        method = self.method
        left = 0
        if eps and method.up_to and method.on == "influence" and method.compared == "function":
            left = self.merging.undone(eps)
        merges = "1 merge" if left == 1 else f"{left} merges"
        said = f"{merges} within ε left out, as the size allows (up_to={method.up_to or 0:g})"
        blind = BLIND if eps and method.uses_inputs and self.watch.is_blind else ""
        return "; ".join(filter(None, (said * bool(left), blind)))

    def _advice(self, eps: float) -> str:
        """What would help."""
        method = self.method
        idle = eps == 0 or method.inputs is not None or not method.uses_inputs
        return "" if idle else advice(self.network, "AFDE")

    @cached_property
    def _stated(self) -> tuple[Values, tuple[FloatArray, ...]]:
        """Values under the stated inputs, as fits use them, and samples of these inputs."""
        if self.method.on != "state" and self.method.compared == "function":
            return self.merging.values, self.merging.samples
        values, samples = analysed_values(self.network, self._inputs)
        return values_to_fit(self.network, self._ties, values, None)[0], samples

    @cached_property
    def _memory(self) -> Memory | None:
        return memory_for(self.network, self._stated[0])

    @cached_property
    def _ties(self) -> Ties:
        return find_ties(self.network)

    def _tied_groups(self, labels: IntArray) -> IntArray:
        """Units that one block of every layer holds that makes them: one partition for a sum, and for a fit."""
        return group_alike(self._ties, unit_labels(self.ode, labels))

    def _by_influence(self, eps: float, refit: bool) -> Part:
        """What merges within a tolerance by the influence form."""
        if eps == 0 and not has_equal_units(self.network):
            network = self.network
            return Part(network, own_units(network), lambda: 0.0, lambda: self._exact_lumping)
        if eps == 0:
            return Part.of(self._exact_lumping)
        functions = self.method.compared == "function"
        groups = self.merging.groups(eps) if functions else self.coefficients.labels(eps)
        method = self.method
        key = groups.tobytes(), refit, method.compared, method.lively, method.steps
        if key not in self._latest:  # near tolerances merge the same, and so may units of distances
            self._latest.clear()  # before, for the sake of memory
            self._latest[key] = self._merge(groups, refit)
        small = self._latest[key]
        return Part(
            small.network,
            small.unit_maps,
            lambda: small.defect,
            lambda: small.lumping(self.ode, self._forward(eps)),
        )

    @cached_property
    def _exact_lumping(self) -> Lumping:
        return lump_together(self.ode, Forward())

    def lumping(self, eps: float) -> Lumping:
        """The lumping of the influence form whose blocks the units are."""
        return self._by_influence(eps, self.method.refits).lumping()

    def _forward(self, eps: float) -> Forward:
        """The equivalence of the influence form, in the unit in which units are compared."""
        method = self.method
        if method.compared == "function":
            return UnitForward(eps, method.linkage, units=self)
        scale = distance_scale(method, self.ode)
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

    def _merge(self, groups: IntArray, refit: bool) -> Merged:
        """The network with groups of units, or of variables of its equation, where these are compared."""
        functions = self.method.compared == "function"
        values = self._stated[0] if refit else None
        if self.method.lively:
            units = groups if functions else self._tied_groups(groups)
            small = merge_lively(self.network, self._ties, units, self.watch, values)
        elif functions:
            small = self.merging.merge(groups, refit)
        elif refit or self.network.sharing:
            units, same = self._tied_groups(groups), np.ones(self._ties.count)
            memory = self._memory if refit else None
            small = merge_units(self.network, self._ties, units, same, values, memory)
        else:
            small = self.coefficients.merge(groups)
        if not (refit and self.method.steps):
            return small
        from symlump.compression.fitting import fit_outputs

        samples = self._stated[1]
        return replace(
            small, written=fit_outputs(small.written, self.network, samples, self.method.steps)[0]
        )
