"""The verb that reduces a system."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

from symlump.errors import MethodError
from symlump.lumping.equivalence import Equivalence, LumpingMethod, check_system
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.memory import memory_errors
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
    method : Forward, Backward or Constrained
        Which equivalence, with its tolerance, or the share of the variables to keep.
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
    FailureError
        If no tolerance keeps as little as was asked for.

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
    if not isinstance(method, LumpingMethod):
        raise MethodError(
            f"lump(ode, method) takes a method such as Forward() or Backward(eps=0.1); got {method!r}"
        )
    found: Lumping | LinearLumping = method.settle(method.plan(ode, initial, seed=seed))
    return found
