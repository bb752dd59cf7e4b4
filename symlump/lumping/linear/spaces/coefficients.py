"""The coefficient matrices of a Jacobian with quotients and functions, and where there are values at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.lumping.elementary.gradients import gradient_of
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.functions.algebra import Monomial
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.system import ODE

#: A sum this small beside its terms is a sum of 0; an entry of a unit vector is.
_NO_SUM, _NO_ENTRY = 1e-9, 1e-12


def jacobian_coefficients(ode: ODE) -> MatrixFamily:
    """The J_k of J = Σ_k J_k·m_k, over monomials m_k in variables, functions and derivatives of functions.

    1/d has the derivative −1/d²; that of any other function is a symbol of its own. Which J_k there are depends
    on the denominators that terms are written over, what they span does not.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = 3*y/(1 + y); y' = 2*exp(x)")    # 3/(1 + y), −3*y/(1 + y)², 2*exp'(x)
    >>> family = jacobian_coefficients(ode)
    >>> family.count, [str(value) for value in family.entries()[3]]
    (3, ['3', '-3', '2'])
    """
    rows: list[int] = []
    columns: list[int] = []
    generators: list[int] = []
    values: list[Fraction] = []
    known: dict[Monomial, int] = {}
    size = len(ode)
    for variable, gradient in gradient_of(ode, np.arange(size), range(size)).items():
        for equation, p in gradient.items():
            for monomial, value in p.items():
                rows.append(equation)
                columns.append(variable)
                generators.append(known.setdefault(monomial, len(known)))
                values.append(value)
    at = np.array([generators, rows, columns], dtype=np.int64)
    exact = ExactArray.from_fractions(values)
    return MatrixFamily.from_entries(at[0], at[1], at[2], exact, size, len(known))


def with_equations(ode: ODE, kept: IntArray) -> ODE:
    """The system with derivatives of 0 for all other variables, and only the functions that are then left."""
    if ode.generators is None:
        return ode
    at = np.flatnonzero(np.isin(ode.rows, kept))
    part = Polynomials.collected(
        len(ode), ode.monomials, ode.rows[at], ode.columns[at], ode.coefficients.take(at)
    )
    return ODE.from_arrays(ode.variables, part, ode.generators, ode.parameters)


def has_values(ode: ODE, basis: FloatArray) -> bool:
    """False if a denominator (or what a logarithm is of) is 0 in a whole space whose equations need it.

    Parameters
    ----------
    basis : ndarray, shape (dimension, variables)

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = 1/(x - y); y' = 1/y; z' = x")
    >>> has_values(ode, np.array([[1.0, 1, 0]])), has_values(ode, np.array([[1.0, 0, 0]]))
    (False, True)
    """
    kept = np.flatnonzero((np.abs(basis) > _NO_ENTRY).any(axis=0))
    generators = with_equations(ode, kept).generators
    if generators is None:
        return True
    u = generators.arguments
    partial = np.array([name in ("inverse", "log") for name in generators.functions])
    rows = partial[generators.owners]
    state = np.random.default_rng(0).uniform(0.5, 1.5, len(basis)) @ basis
    terms = u.monomials.evaluate(generators.values(state))
    with np.errstate(invalid="ignore"):
        sums, sizes = u.matrix @ terms, abs(u.matrix) @ np.abs(terms)
        return not np.any(np.abs(sums[rows]) <= _NO_SUM * sizes[rows])
