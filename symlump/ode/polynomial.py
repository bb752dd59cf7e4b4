"""Polynomial ordinary differential equations, x' = C·m(x), the object of study.

``m`` is the table of distinct monomials, ``C`` a sparse matrix of exact rationals. Everything inside
is arrays; sympy appears only at the border (:meth:`PolynomialODE.from_sympy`,
:meth:`PolynomialODE.to_sympy`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symlump.errors import NotPolynomialError, VariableError
from symlump.ode.distinct import index_of
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.maps import in_time
from symlump.ode.monomials import Monomials
from symlump.ode.reactions import FlowArrays, Reaction, read_reactions
from symlump.ode.system import ODE

_CHUNK = 1 << 15


@dataclass(frozen=True, eq=False, repr=False)
class PolynomialODE(ODE):
    """A system x' = q(x) with q_i in Q[x]: variables, a monomial table and a coefficient matrix.

    Term t says: equation ``rows[t]`` contains ``coefficients[t]`` times monomial ``columns[t]``.
    Terms are sorted by row, then column; no pair occurs twice and no coefficient is zero. Use the
    ``from_…`` constructors, which establish this.

    Parameters
    ----------
    variables : tuple of str
        Names, all different; equation i is the derivative of ``variables[i]``.
    monomials : Monomials
        The distinct monomials that occur.
    rows, columns : ndarray of int64, shape (terms,)
        Equation and monomial of each term.
    coefficients : ExactArray
        Exact rationals, one per term.
    parameters : tuple of str
        Variables that stand for symbolic constants: derivative 0, always alone in their block.
    generators : None
        There are no functions; see :class:`symlump.ODE`.
    discrete : bool
        Whether it is a map x⁺ = q(x).

    References
    ----------
    Cardelli, Tribastone, Tschaikowski, Vandin, "Maximal aggregation of polynomial dynamical
    systems", PNAS 2017, doi:10.1073/pnas.1702697114.

    Examples
    --------
    >>> import sympy
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
    >>> print(ode)
    x1' = -3*x1 + x3
    x2' = -3*x2 + x3
    x3' = x1 + x2 - 2*x3
    >>> ode.rhs([1.0, 2.0, 3.0])
    array([ 0., -3., -3.])
    """

    @classmethod
    def from_terms(
        cls,
        variables: Iterable[str],
        rows: IntArray,
        columns: IntArray,
        coefficients: ExactArray,
        monomials: Monomials,
        parameters: Iterable[str] = (),
    ) -> PolynomialODE:
        """Build a system from loose terms; equal terms are added exactly and zeros dropped.

        Parameters
        ----------
        variables : iterable of str
        rows, columns : ndarray of int, shape (terms,)
            Equation and monomial of each term.
        coefficients : ExactArray, shape (terms,)
        monomials : Monomials
        parameters : iterable of str
            Variables without an equation.

        Returns
        -------
        PolynomialODE

        Raises
        ------
        VariableError
            If a name occurs twice, or a parameter is not a variable or has an equation.

        Examples
        --------
        >>> source = PolynomialODE.from_text("x' = 2*x; y' = x*y")
        >>> built = PolynomialODE.from_terms(
        ...     ["x", "y"], source.rows, source.columns, source.coefficients, source.monomials)
        >>> built == source
        True
        """
        keys = rows.astype(np.int64)
        keys *= max(1, len(monomials))
        keys += columns
        keys, coefficients = coefficients.sorted_by(keys)
        return cls.from_sorted_terms(variables, keys, coefficients, monomials, parameters)

    @classmethod
    def from_sorted_terms(
        cls,
        variables: Iterable[str],
        keys: IntArray,
        coefficients: ExactArray,
        monomials: Monomials,
        parameters: Iterable[str] = (),
    ) -> PolynomialODE:
        """Build a system from terms sorted by their key, row · max(1, number of monomials) + column.

        Parameters
        ----------
        variables : iterable of str
        keys : ndarray of int, shape (terms,)
            Ascending; they are used up.
        coefficients : ExactArray, shape (terms,)
        monomials : Monomials
        parameters : iterable of str

        Returns
        -------
        PolynomialODE

        Raises
        ------
        VariableError
            If a name occurs twice, or a parameter is not a variable or has an equation.

        Examples
        --------
        >>> source = PolynomialODE.from_text("x' = 2*x; y' = x*y")
        >>> keys = source.rows * len(source.monomials) + source.columns
        >>> PolynomialODE.from_sorted_terms(["x", "y"], keys, source.coefficients, source.monomials) == source
        True
        """
        names, parameters = tuple(variables), tuple(parameters)
        # The keys of a mapping are distinct.
        index = {} if isinstance(variables, Mapping) and not parameters else index_of(names)
        width = max(1, len(monomials))
        keys, values = coefficients.sums_by(keys)
        rows, columns = keys // width, keys
        for begin in range(0, keys.size, _CHUNK):  # no further array of that size
            part = slice(begin, begin + _CHUNK)
            columns[part] -= rows[part] * width
        present = np.zeros(len(monomials), dtype=bool)
        present[columns] = True
        if not present.all():
            monomials = monomials.select(np.flatnonzero(present))
            columns = (np.cumsum(present) - 1)[columns]
        for name in parameters:
            if name not in index:
                raise VariableError(f"parameter {name!r} is not a variable of the system")
            if np.any(rows == index[name]):
                raise VariableError(f"parameter {name!r} has an equation; a parameter is constant")
        return cls(names, monomials, rows, columns, values, parameters)

    @classmethod
    def from_sympy(
        cls, equations: Mapping[Any, Any], parameters: Iterable[Any] = (), time: Any = None
    ) -> PolynomialODE:
        """Read ``{x: dx/dt}`` with sympy symbols and polynomial expressions (others: :meth:`ODE.from_sympy`).

        Rationals are kept as they are; a float is read as the dyadic rational that it denotes.

        Parameters
        ----------
        equations : mapping of Symbol to Expr
            One entry per variable.
        parameters : iterable of Symbol
            Symbolic constants that occur on the right and have no equation.
        time : None
            A polynomial system does not contain time.

        Returns
        -------
        PolynomialODE

        Raises
        ------
        NotPolynomialError
            If a right-hand side is not a polynomial with rational coefficients.
        VariableError
            If a symbol on the right is neither a variable nor a parameter.

        Examples
        --------
        >>> import sympy
        >>> x, y = sympy.symbols("x y")
        >>> print(PolynomialODE.from_sympy({x: -x*y, y: x*y}))
        x' = -x*y
        y' = x*y
        """
        from symlump.ode import sympy_io

        if time is not None:
            raise NotPolynomialError(
                "a polynomial system does not contain time; read it with ODE.from_sympy"
            )
        terms = sympy_io.read_equations(equations, parameters)
        monomials, position = Monomials.from_factors(
            terms.owners, terms.factor_variables, terms.factor_powers, len(terms.rows)
        )
        return cls.from_terms(
            terms.variables,
            np.array(terms.rows, dtype=np.int64),
            position,
            terms.coefficients,
            monomials,
            terms.parameters,
        )

    @classmethod
    def from_reactions(
        cls,
        reactions: Iterable[Reaction],
        variables: Iterable[str] | None = None,
        parameters: Iterable[str] = (),
    ) -> PolynomialODE:
        """Read a reaction network under the law of mass action.

        A reaction consumes its reactants and makes its products at rate · Π reactant^count. It costs one
        monomial, however many species it changes.

        Parameters
        ----------
        reactions : iterable of (reactants, products, rate)
            Reactants and products as ``{name: count}``; the rate a number, or the name of a parameter.
        variables : iterable of str, optional
            The species in order; default: in the order in which they appear.
        parameters : iterable of str
            Symbolic rate constants.

        Returns
        -------
        PolynomialODE

        Raises
        ------
        InputError
            If a name, a count or a rate cannot be used.

        Examples
        --------
        >>> print(PolynomialODE.from_reactions([({"A": 1, "B": 1}, {"C": 1}, 2), ({"C": 1}, {"A": 2}, 1)]))
        A' = 2*C - 2*A*B
        B' = -2*A*B
        C' = -C + 2*A*B
        """
        return cls.from_flows(*read_reactions(reactions, variables, parameters))

    @classmethod
    def from_flows(
        cls, flows: FlowArrays, variables: Iterable[str], parameters: Iterable[str] = ()
    ) -> PolynomialODE:
        """Build the system of some flows; equal terms are added exactly.

        Parameters
        ----------
        flows : FlowArrays
        variables : iterable of str
        parameters : iterable of str

        Returns
        -------
        PolynomialODE

        Examples
        --------
        >>> flows, names, fixed = read_reactions([({"A": 1}, {"B": 1}, 3)], None, ())
        >>> print(PolynomialODE.from_flows(flows, names, fixed))
        A' = -3*A
        B' = 3*A
        """
        return cls.from_sorted_terms(variables, *flows.terms(), parameters)

    def __eq__(self, other: object) -> bool:
        """Same variables in the same order and the same polynomials, exactly."""
        if not isinstance(other, PolynomialODE):
            return super().__eq__(other)
        mine, theirs = self.monomials, other.monomials
        return (
            self.variables == other.variables
            and self.discrete == other.discrete
            and set(self.parameters) == set(other.parameters)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
            and np.array_equal(mine.indptr, theirs.indptr)
            and np.array_equal(mine.variables, theirs.variables)
            and np.array_equal(mine.powers, theirs.powers)
            and bool(self.coefficients.same_as(other.coefficients).all())
        )

    __hash__ = ODE.__hash__

    def reordered(self, order: IntArray) -> ODE:
        """The same system with its variables in another order; see :meth:`symlump.ode.system.ODE.reordered`.

        Parameters
        ----------
        order : ndarray of int64, shape (variables,)
            The old position of each new variable.

        Returns
        -------
        PolynomialODE

        Examples
        --------
        >>> print(PolynomialODE.from_text("x' = 2*x; y' = x*y").reordered(np.array([1, 0])))
        y' = y*x
        x' = 2*x
        """
        place = np.argsort(order)
        monomials, position = self.monomials.relabel(place)
        moved = PolynomialODE.from_terms(
            [self.variables[i] for i in order.tolist()],
            place[self.rows],
            position[self.columns],
            self.coefficients,
            monomials,
            self.parameters,
        )
        return in_time(moved, self.discrete)
