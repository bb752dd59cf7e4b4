"""Partial derivatives of a polynomial system, as sparse exact terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.distinct import order_of
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.machine import repeat_one
from symlump.ode.monomials import Monomials, ranges

if TYPE_CHECKING:
    from symlump.ode.functions.polynomials import Polynomials
    from symlump.ode.system import ODE


@dataclass(frozen=True, eq=False)
class PartialDerivatives:
    """All terms of all ∂q_k/∂x_v, sorted by the variable v.

    Term t says: ∂q_k/∂x_v contains ``coefficients[t]`` times monomial ``columns[t]``, for
    v = ``variables[t]`` and k = ``equations[t]``. The number of terms is the sum over monomials of
    (distinct variables in it) × (equations that contain it).
    """

    variables: IntArray
    equations: IntArray
    columns: IntArray
    coefficients: ExactArray
    monomials: Monomials

    @classmethod
    def of(cls, ode: ODE | Polynomials) -> PartialDerivatives:
        """Differentiate every term by every variable in it; sort by the variable.

        Examples
        --------
        >>> import sympy
        >>> from symlump import PolynomialODE
        >>> x, y = sympy.symbols("x y")
        >>> d = PolynomialODE.from_sympy({x: x**2*y, y: 3*x}).derivative
        >>> d.variables.tolist(), [int(c) for c in d.coefficients]
        ([0, 0, 1], [2, 3, 1])
        """
        loose = cls.loose(ode)
        order = order_of(loose.variables)
        return cls(
            variables=loose.variables[order],
            equations=loose.equations[order],
            columns=loose.columns[order],
            coefficients=loose.coefficients.take(order),
            monomials=loose.monomials,
        )

    @classmethod
    def loose(cls, ode: ODE | Polynomials) -> PartialDerivatives:
        """Differentiate every term by every variable in it; the order is that of the terms."""
        table = ode.monomials
        if table.linear and ode.terms:
            constant = Monomials(np.zeros(2, dtype=np.int64), *[np.zeros(0, dtype=np.int64)] * 2)
            owners = ode.columns if table.identity else table.variables[ode.columns]
            columns = repeat_one(0, ode.terms)
            return cls(owners, ode.rows, columns, ode.coefficients, constant)
        reduced, reduced_of_factor = table.drop_one(np.arange(table.variables.size))
        if table.univariate:  # then nothing is gathered
            term: IntArray | slice = slice(None)
            factor = ode.columns
        else:
            lengths = table.lengths[ode.columns]
            term = np.repeat(np.arange(ode.terms, dtype=np.int64), lengths)
            factor = ranges(table.indptr[:-1][ode.columns], lengths)
        coefficients = ode.coefficients.take(term)
        if (table.powers != 1).any():
            coefficients = coefficients.times(table.powers[factor])
        return cls(
            variables=table.variables[factor],
            equations=ode.rows[term],
            columns=reduced_of_factor[factor],
            coefficients=coefficients,
            monomials=reduced,
        )
