"""Named parameters moved as little as possible so that a partition becomes exact.

The reference model moves any coefficient. Where coefficients are made of parameters that mean something (rates,
resistances), only some of those may move: the nearest values p̂ with A·p̂ = b, where A·p = b are the conditions
under which the partition is an equivalence, p̂ = p − Aᵀ(AAᵀ)⁺(A·p − b).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from symlump.errors import FailureError, MethodError, VariableError
from symlump.lumping.conditions import conditions
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.components import groups_apart
from symlump.memory import memory_errors
from symlump.ode.machine import nearest_root
from symlump.ode.substitute import substitute
from symlump.ode.system import ODE

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class NearestParameters:
    """Parameter values at which a partition is exact, nearest to given ones.

    Parameters
    ----------
    values : dict of name to Fraction
        All parameters, moved or not.
    distance : float
        2-norm of the change.
    system : ODE
        The system at these values.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = -k*x; y' = -m*y", parameters=["k", "m"])
    >>> found = sl.nearest_parameters(ode, [["x", "y"]], sl.Forward(), {"k": 1, "m": 3})
    >>> {str(name): float(value) for name, value in found.values.items()}
    {'k': 2.0, 'm': 2.0}
    """

    values: dict[str, Fraction]
    distance: float
    system: ODE


@memory_errors()
def nearest_parameters(
    ode: ODE,
    partition: Partition | Iterable[Iterable[Any]],
    method: Equivalence,
    values: Mapping[str, Any],
    move: Iterable[str] | None = None,
) -> NearestParameters:
    """Move named parameters by the least-squares amount that makes a partition exact.

    Parameters
    ----------
    ode : ODE
        A system with symbolic parameters.
    partition : as for :func:`symlump.conditions`
    method : Forward() or Backward()
    values : mapping of name to number
        A value for every parameter.
    move : iterable of str, optional
        The parameters that may move; default: all.

    Returns
    -------
    NearestParameters

    Raises
    ------
    VariableError
        If a parameter has no value, or a name is not a parameter.
    MethodError
        If a condition is not linear in the parameters that may move.
    FailureError
        If no values of those parameters satisfy the conditions.

    Examples
    --------
    >>> from symlump import Forward, PolynomialODE
    >>> decay = PolynomialODE.from_reactions(
    ...     [({"A": 1}, {"C": 1}, "a"), ({"B": 1}, {"C": 1}, "b")], parameters=["a", "b"])
    >>> found = nearest_parameters(decay, [["A", "B"], ["C"]], Forward(), {"a": 1, "b": 2})
    >>> {name: str(value) for name, value in found.values.items()}, round(found.distance, 4)
    ({'a': '3/2', 'b': '3/2'}, 0.7071)
    """
    import sympy

    at = {str(name): Fraction(value) for name, value in values.items()}
    moving = list(ode.parameters if move is None else move)
    for name in [*ode.parameters, *moving, *at]:
        if name not in ode.parameters:
            raise VariableError(f"{name!r} is not a parameter of this system")
        if name not in at:
            raise VariableError(f"no value is given for the parameter {name!r}")
    fixed = {name: at[name] for name in ode.parameters if name not in moving}
    needed = conditions(ode, partition, method).substitute(fixed)
    symbols = {sympy.Symbol(name) for name in moving}
    for expression in needed.expressions:
        held = expression.free_symbols & symbols
        if held and sympy.Poly(expression, *held).total_degree() > 1:
            raise MethodError(
                f"the condition {expression} = 0 is not linear in {', '.join(moving)}; name fewer parameters "
                "in move, so that it becomes so"
            )
    if needed.impossible:
        raise FailureError(
            f"no values of {', '.join(moving) or 'no parameters'} make this partition exact while the others "
            "keep theirs"
        )
    moved = dict(at)
    # Conditions that share no parameter have nearest values of their own.
    for expressions in groups_apart(needed.expressions, lambda e: e.free_symbols):
        moved |= _nearest(expressions, at)
    distance = nearest_root(sum(((moved[name] - at[name]) ** 2 for name in moving), Fraction(0)))
    return NearestParameters(moved, distance, substitute(ode, moved))


def _nearest(expressions: list[sympy.Expr], at: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The values of the parameters of some conditions that are nearest to given ones.

    Raises
    ------
    FailureError
        If there are none.
    """
    import sympy

    names = sorted(
        {symbol.name for expression in expressions for symbol in expression.free_symbols}
    )
    a, b = sympy.linear_eq_to_matrix(expressions, [sympy.Symbol(name) for name in names])
    p = sympy.Matrix([sympy.Rational(at[name].numerator, at[name].denominator) for name in names])
    gap = a * p - b
    y = (a * a.T).pinv() * gap
    solution = p - a.T * y
    if any(a * solution - b):
        raise FailureError(
            "the conditions contradict each other: " + ", ".join(f"{e} = 0" for e in expressions)
        )
    return {
        name: Fraction(int(value.p), int(value.q))
        for name, value in zip(names, solution, strict=True)
    }
