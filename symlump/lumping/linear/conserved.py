"""Linear first integrals: combinations L·x that do not change, L·q = 0 (of a map: L·q = L·x)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.lumping.equivalence import check_system
from symlump.lumping.linear.evaluated import vanishing_combinations
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.smallest import exact_lumping
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.invariant import left_kernel
from symlump.memory import memory_errors
from symlump.ode.functions.algebra import add_to, symbol
from symlump.ode.functions.wording import with_unknown
from symlump.ode.monomials import starts_of
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE


@memory_errors()
def conserved(ode: ODE) -> LinearLumping:
    """Find all linear first integrals of a system, as a linear lumping whose quotient is y' = 0.

    q = C·m(x) with distinct monomials, so L·q = 0 iff L·C = 0: the left kernel of the coefficient matrix,
    over Q. It is found modulo a prime, lifted and verified; since the kernel modulo a prime is never
    smaller, a verified lift of all of it is the whole kernel. The rows are integers, without minus signs
    where that is possible. Symbolic parameters are constant by definition and are left out. With quotients and
    functions the kernel is that of values of q at random points of prime fields; the checker proves L·q = 0. It
    is complete with functions other than quotients taken as unknown.

    Of a map x⁺ = q(x) it is the same kernel for the increments q(x) − x, and the quotient is y⁺ = y.

    Parameters
    ----------
    ode : ODE

    Returns
    -------
    LinearLumping

    Raises
    ------
    MethodError
        If `ode` is not an ODE.
    FailureError
        If the coefficients of the first integrals do not fit two thousand primes.

    Examples
    --------
    >>> ode = PolynomialODE.from_reactions([
    ...     ({"S": 1, "E": 1}, {"C": 1}, 2), ({"C": 1}, {"S": 1, "E": 1}, 1), ({"C": 1}, {"E": 1, "P": 1}, 3)])
    >>> print(conserved(ode))
    4 → 2 variables by linear lumping to all linear first integrals, exact, proof checked
    y1 = S + C + P
    y2 = E + C
    y1' = 0
    y2' = 0
    >>> print(conserved(ODE.from_text("a+ = a/2 + b/3; b+ = a/2 + 2*b/3")).quotient)
    y1⁺ = y1
    """
    check_system(ode, "conserved")
    purpose = "to all linear first integrals" + with_unknown(ode)
    variable = np.ones(len(ode), dtype=bool)
    variable[[ode.index[name] for name in ode.parameters]] = False
    own = np.flatnonzero(variable)
    change = increments(ode) if ode.discrete else ode
    if not isinstance(change, PolynomialODE):
        return exact_lumping(ode, vanishing_combinations(change, own), purpose)
    indptr = starts_of(change.rows, len(ode))
    equations = ExactMatrix(indptr, change.columns, change.coefficients, len(change.monomials))
    basis = left_kernel(equations.take_rows(own))
    return exact_lumping(ode, basis.spread(own, len(ode)), purpose)


def increments(ode: ODE) -> ODE:
    """By how much a map changes each variable, q(x) − x, as a system in continuous time.

    Examples
    --------
    >>> from symlump import ODE
    >>> print(increments(ODE.from_text("x+ = 2*x + y; y+ = y")))
    x' = x + y
    y' = 0
    """
    fixed = set(ode.parameters)
    changes = [
        {} if name in fixed else add_to(dict(ode.equation(i)), symbol(i), Fraction(-1))
        for i, name in enumerate(ode.variables)
    ]
    return ODE.from_table(
        ode.variables, changes, ode.table, ode.parameters, ode.coefficients.is_float
    )
