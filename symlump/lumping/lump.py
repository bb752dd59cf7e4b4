"""The verb that reduces a system."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from symlump.errors import MethodError, PartitionError
from symlump.lumping.elementary import backward as elementary_backward
from symlump.lumping.elementary import forward as elementary_forward
from symlump.lumping.equivalence import Equivalence, check_system, polynomial_only
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.refine import coarsest
from symlump.lumping.tolerance.reference import exact_quotient, nearest_quotient
from symlump.memory import memory_errors
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.linear.linear_lumping import LinearLumping


@overload
def lump(ode: ODE, method: Constrained, *, seed: int = 0) -> LinearLumping: ...
@overload
def lump(
    ode: ODE,
    method: Equivalence,
    initial: Partition | Iterable[Iterable[Any]] | None = None,
    *,
    seed: int = 0,
) -> Lumping: ...
@memory_errors()
def lump(
    ode: ODE,
    method: Equivalence | Constrained,
    initial: Partition | Iterable[Iterable[Any]] | None = None,
    *,
    seed: int = 0,
) -> Lumping | LinearLumping:
    """Reduce a system by the coarsest equivalence inside an initial partition.

    Parameters
    ----------
    ode : ODE
    method : Forward or Backward
        Which equivalence, with its tolerance.
    initial : Partition or blocks of names, optional
        What must never be merged: variables of different blocks stay apart, and variables that no
        block mentions form one more. Default: one block, symbolic parameters alone.
    seed : int
        Seed of the random evaluation points. It changes the work, never the result.

    Returns
    -------
    Lumping

    Raises
    ------
    PartitionError, VariableError
        If ``initial`` does not fit the system.
    MethodError
        If ``method`` is not a method object.

    Examples
    --------
    >>> import sympy
    >>> from symlump import Forward, PolynomialODE
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
    >>> print(lump(ode, Forward()))
    3 → 2 variables by forward equivalence, exact, proof checked
    y1 = x1 + x2
    y1' = -3*y1 + 2*x3
    x3' = y1 - 2*x3
    """
    check_system(ode, "lump")
    if not isinstance(method, Equivalence):
        from symlump.lumping.linear.constrained import Constrained, lump_constrained

        if isinstance(method, Constrained):
            if initial is not None:
                raise MethodError(
                    "Constrained takes no initial partition: it keeps its observables"
                )
            return lump_constrained(ode, method, seed)
        raise MethodError(
            f"lump(ode, method) takes a method such as Forward() or Backward(eps=0.1); got {method!r}"
        )
    start = initial_partition(ode, method, initial)
    if not method.is_exact and ode.generators is not None:
        return _lump_functions(ode, method, start, seed)
    if method.is_exact:
        partition, rounds = coarsest(ode, method, start, seed=seed)
    else:
        from symlump.lumping.tolerance.tolerant import coarsest_within_tolerance

        partition, rounds = coarsest_within_tolerance(ode, method, start)
    names, constants = _names(ode, partition)
    if ode.generators is not None:
        spread = elementary_forward if method.direction == "forward" else elementary_backward
        quotient = spread.quotient(ode, partition, names, constants)
        return Lumping(ode, method, start, partition, quotient, 0.0, rounds)
    quotient_of = exact_quotient if method.is_exact else nearest_quotient
    terms = quotient_of(polynomial_only(ode, "lump"), method, partition)
    quotient = PolynomialODE.from_terms(
        names, terms.rows, terms.columns, terms.coefficients, terms.monomials, constants
    )
    return Lumping(ode, method, start, partition, quotient, terms.delta, rounds)


def _lump_functions(ode: ODE, method: Equivalence, start: Partition, seed: int) -> Lumping:
    """Within a tolerance, where there are quotients and functions."""
    from symlump.lumping.tolerance.functional import within_tolerance

    found = within_tolerance(ode, method, start, seed)
    names, constants = _names(ode, found.partition)
    quotient = found.quotient(names, constants)
    return Lumping(ode, method, start, found.partition, quotient, found.defect, found.rounds)


def _names(ode: ODE, partition: Partition) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of blocks, and which are symbolic parameters."""
    names = block_names(ode, partition)
    single = set(partition.labels[[ode.index[name] for name in ode.parameters]].tolist())
    return names, tuple(names[b] for b in sorted(single))


def initial_partition(
    ode: ODE, method: Equivalence, initial: Partition | Iterable[Iterable[Any]] | None
) -> Partition:
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
    while any(f"{prefix}{k}" in ode.index for k in range(1, len(large) + 1)):
        prefix = "Y" if prefix == "y" else prefix + "_"
    number = {block: k for k, block in enumerate(large, start=1)}
    return tuple(
        f"{prefix}{number[b]}" if b in number else ode.variables[first]
        for b, first in enumerate(partition.representatives.tolist())
    )
