"""Partial derivatives of a polynomial system, as sparse exact terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials, pair_order, ranges

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
        """Differentiate every term by every variable in it.

        Examples
        --------
        >>> import sympy
        >>> from symlump import PolynomialODE
        >>> x, y = sympy.symbols("x y")
        >>> d = PolynomialODE.from_sympy({x: x**2*y, y: 3*x}).derivative
        >>> d.variables.tolist(), [int(c) for c in d.coefficients]
        ([0, 0, 1], [2, 3, 1])
        """
        table = ode.monomials
        reduced, reduced_of_factor = table.drop_one(np.arange(table.variables.size))
        lengths = table.lengths[ode.columns]
        term = np.repeat(np.arange(ode.terms, dtype=np.int64), lengths)
        factor = ranges(table.indptr[:-1][ode.columns], lengths)
        order = pair_order(table.variables[factor], np.arange(factor.size))
        term, factor = term[order], factor[order]
        return cls(
            variables=table.variables[factor],
            equations=ode.rows[term],
            columns=reduced_of_factor[factor],
            coefficients=ode.coefficients.take(term).times(table.powers[factor]),
            monomials=reduced,
        )
