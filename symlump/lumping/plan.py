"""What a system lumps to at any tolerance: the plan of forward and backward equivalence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from symlump.errors import PartitionError
from symlump.lumping.elementary import backward as elementary_backward
from symlump.lumping.elementary import forward as elementary_forward
from symlump.lumping.equivalence import Equivalence, check_system, polynomial_only
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.refine import coarsest
from symlump.lumping.tolerance.reference import exact_quotient, nearest_quotient
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE
from symlump.plan import Plan

if TYPE_CHECKING:
    from symlump.lumping.tolerance.functional import FunctionalRefinement, WithinTolerance
    from symlump.lumping.tolerance.tolerant import TolerantRefinement

#: What must never be merged, as :func:`symlump.lump` takes it.
Initial = Partition | Iterable[Iterable[Any]] | None


@dataclass(frozen=True, eq=False)
class EquivalencePlan(Plan[Lumping]):
    """A system, its initial partition, and the partitions that tolerances have given.

    Parameters
    ----------
    ode : ODE
    method : Forward or Backward
        Its tolerance and size play no role.
    initial : Partition
    seed : int
        Of the random evaluation points of the exact refinement.

    Examples
    --------
    >>> from symlump import Backward
    >>> from symlump.datasets.systems import h_tree
    >>> plan = Backward().plan(h_tree(4, tolerance=0.01))
    >>> plan.size(0), plan.size(1e-3), len(plan.reach(4).partition)
    (15, 4, 4)
    """

    counted: ClassVar[str] = "variables"

    ode: ODE
    method: Equivalence
    initial: Partition
    seed: int = 0
    _found: dict[float, _Found] = field(default_factory=dict, repr=False)
    _quotients: dict[tuple[bool, Partition], tuple[ODE, float]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(cls, ode: ODE, method: Equivalence, initial: Initial, seed: int) -> EquivalencePlan:
        """With an initial partition in any form.

        Raises
        ------
        PartitionError, VariableError
            If it does not fit the system.
        """
        check_system(ode, "lump")
        return cls(ode, method, initial_partition(ode, method, initial), seed)

    @property
    def whole(self) -> int:
        """All variables."""
        return len(self.ode)

    def size(self, eps: float) -> int:
        """Blocks at a tolerance; the quotient is not computed."""
        return len(self._at(eps).partition)

    def at(self, eps: float) -> Lumping:
        """The lumping at a tolerance.

        Raises
        ------
        FailureError
            If there are functions, and no system near this one that the partition lumps.
        """
        method = self.method.within(eps)
        found = self._at(eps)
        key = method.is_exact, found.partition
        if key not in self._quotients:
            self._quotients[key] = self._quotient(method, found)
            if method.direction == "backward":
                elementary_backward.check_values(self.ode, found.partition.labels)
        quotient, defect = self._quotients[key]
        return Lumping(
            self.ode, method, self.initial, found.partition, quotient, defect, found.rounds
        )

    def _at(self, eps: float) -> _Found:
        if eps not in self._found:
            self._found[eps] = self._refined(eps)
        return self._found[eps]

    def _refined(self, eps: float) -> _Found:
        if not eps:
            return _Found(*coarsest(self.ode, self.method, self.initial, seed=self.seed))
        if self.ode.generators is None:
            return self._within(eps)
        near = self._functional.at(eps)
        return _Found(near.partition, near.rounds, near)

    def _within(self, eps: float) -> _Found:
        """By what is known of larger and smaller tolerances, where partitions only grow with them."""
        refinement = self._tolerant
        if not refinement.monotone:
            return _Found(*refinement.at(eps))
        above = min((known for known in self._found if known > eps), default=None)
        below = max((known for known in self._found if 0 < known < eps), default=None)
        if above is None:
            return _Found(*refinement.at(eps))
        coarser = self._found[above]
        if below is not None and len(self._found[below].partition) == len(coarser.partition):
            return coarser
        return _Found(*refinement.at(eps, coarser.partition))

    @cached_property
    def _tolerant(self) -> TolerantRefinement:
        from symlump.lumping.tolerance.tolerant import TolerantRefinement

        return TolerantRefinement(self.ode, self.method, self.initial)

    @cached_property
    def _functional(self) -> FunctionalRefinement:
        from symlump.lumping.tolerance.functional import FunctionalRefinement

        return FunctionalRefinement(self.ode, self.method, self.initial, self.seed)

    def _quotient(self, method: Equivalence, found: _Found) -> tuple[ODE, float]:
        """The quotient by a partition, and the distance of the system that it is exact for."""
        ode, partition = self.ode, found.partition
        names = block_names(ode, partition)
        single = set(partition.labels[[ode.index[name] for name in ode.parameters]].tolist())
        constants = tuple(names[b] for b in sorted(single))
        if found.near is not None:
            return found.near.quotient(names, constants), found.near.defect
        if ode.generators is not None:
            spread = elementary_forward if method.direction == "forward" else elementary_backward
            return spread.quotient(ode, partition, names, constants), 0.0
        quotient_of = exact_quotient if method.is_exact else nearest_quotient
        terms = quotient_of(polynomial_only(ode, "lump"), method, partition)
        quotient = PolynomialODE.from_terms(
            names, terms.rows, terms.columns, terms.coefficients, terms.monomials, constants
        )
        return quotient, terms.delta


@dataclass(frozen=True, eq=False)
class _Found:
    """A partition, the rounds it took, and where there are functions what is near it."""

    partition: Partition
    rounds: int
    near: WithinTolerance | None = None


def initial_partition(ode: ODE, method: Equivalence, initial: Initial) -> Partition:
    """What may merge: the blocks that were asked for, inside those the system allows."""
    coarsest_allowed = Partition(ode.initial_labels(method.direction))
    if initial is None:
        return coarsest_allowed
    if not isinstance(initial, Partition):
        initial = Partition.from_names(ode, initial)
    if initial.labels.size != len(ode):
        raise PartitionError(
            f"the initial partition has {initial.labels.size} elements, the system {len(ode)} variables"
        )
    return initial.meet(coarsest_allowed)


def block_names(ode: ODE, partition: Partition) -> tuple[str, ...]:
    """A name for each block: its variable's for a block of one, else y1, y2, … (or Y1, …)."""
    large = [b for b, size in enumerate(partition.sizes) if size > 1]
    prefix = "y"
    while True:
        numbered = [f"{prefix}{k}" for k in range(1, len(large) + 1)]
        if set(numbered).isdisjoint(ode.variables):
            break
        prefix = "Y" if prefix == "y" else prefix + "_"
    names = [ode.variables[first] for first in partition.representatives.tolist()]
    for block, name in zip(large, numbered, strict=True):
        names[block] = name
    return tuple(names)
