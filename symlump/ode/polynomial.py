"""Polynomial ordinary differential equations, x' = C·m(x), the object of study.

``m`` is the table of distinct monomials, ``C`` a sparse matrix of exact rationals. Everything inside
is arrays; sympy appears only at the border (:meth:`PolynomialODE.from_sympy`,
:meth:`PolynomialODE.to_sympy`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import VariableError
from symlump.ode import printing
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.reactions import Reaction, read_reactions
from symlump.suggest import did_you_mean

if TYPE_CHECKING:
    import networkx
    import sympy
    from scipy import sparse

    from symlump.ode.derivative import PartialDerivatives


@dataclass(frozen=True, eq=False, repr=False)
class PolynomialODE:
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

    References
    ----------
    Cardelli, Tribastone, Tschaikowski, Vandin, "Maximal aggregation of polynomial dynamical
    systems", PNAS 2017, doi:10.1073/pnas.1702697114.
    """

    variables: tuple[str, ...]
    monomials: Monomials
    rows: IntArray
    columns: IntArray
    coefficients: ExactArray
    parameters: tuple[str, ...] = ()

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

        Raises
        ------
        VariableError
            If a name occurs twice, or a parameter is not a variable or has an equation.
        """
        keys = rows.astype(np.int64) * max(1, len(monomials)) + columns
        order = np.argsort(keys)
        return cls.from_sorted_terms(
            variables, keys[order], coefficients.take(order), monomials, parameters
        )

    @classmethod
    def from_sorted_terms(
        cls,
        variables: Iterable[str],
        keys: IntArray,
        coefficients: ExactArray,
        monomials: Monomials,
        parameters: Iterable[str] = (),
    ) -> PolynomialODE:
        """The same for terms sorted by their key, row · max(1, number of monomials) + column."""
        names, parameters = tuple(variables), tuple(parameters)
        index = _index_of(names)
        width = max(1, len(monomials))
        fresh = np.ones(keys.size, dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
        values = coefficients.group_sum(np.cumsum(fresh) - 1, int(fresh.sum()))
        live = values.nonzero()
        keys, values = keys[fresh][live], values.take(live)
        rows, columns = keys // width, keys % width
        present = np.zeros(len(monomials), dtype=bool)
        present[columns] = True
        used = np.flatnonzero(present)
        columns = (np.cumsum(present) - 1)[columns]
        for name in parameters:
            if name not in index:
                raise VariableError(f"parameter {name!r} is not a variable of the system")
            if np.any(rows == index[name]):
                raise VariableError(f"parameter {name!r} has an equation; a parameter is constant")
        return cls(names, monomials.select(used), rows, columns, values, parameters)

    @classmethod
    def from_sympy(
        cls, equations: Mapping[Any, Any], parameters: Iterable[Any] = ()
    ) -> PolynomialODE:
        """Read ``{x: dx/dt}`` with sympy symbols and polynomial expressions.

        Rationals are kept as they are; a float is read as the dyadic rational that it denotes.

        Parameters
        ----------
        equations : mapping of Symbol to Expr
            One entry per variable.
        parameters : iterable of Symbol
            Symbolic constants that occur on the right and have no equation.

        Raises
        ------
        NotPolynomialError
            If a right-hand side is not a polynomial with rational coefficients.
        VariableError
            If a symbol on the right is neither a variable nor a parameter.
        """
        from symlump.ode import sympy_io

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
        return read_reactions(reactions, variables, parameters)

    def to_sympy(self) -> dict[sympy.Symbol, sympy.Expr]:
        """The system as ``{Symbol: Expr}``; floats become the exact rationals they denote.

        Symbols are plain, ``sympy.Symbol(name)``.
        """
        from symlump.ode import sympy_io

        return sympy_io.write_equations(self)

    def __len__(self) -> int:
        return len(self.variables)

    @property
    def terms(self) -> int:
        """Number of terms, over all equations."""
        return int(self.rows.shape[0])

    def __eq__(self, other: object) -> bool:
        """Same variables in the same order and the same polynomials, exactly."""
        if not isinstance(other, PolynomialODE):
            return NotImplemented
        mine, theirs = self.monomials, other.monomials
        return (
            self.variables == other.variables
            and set(self.parameters) == set(other.parameters)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
            and np.array_equal(mine.indptr, theirs.indptr)
            and np.array_equal(mine.variables, theirs.variables)
            and np.array_equal(mine.powers, theirs.powers)
            and bool(self.coefficients.same_as(other.coefficients).all())
        )

    def __hash__(self) -> int:
        return hash((self.variables, self.terms))

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each variable name."""
        return _index_of(self.variables)

    @property
    def canonical_order(self) -> IntArray | None:
        """The variables sorted by name; None if they already are."""
        order = np.array(sorted(range(len(self)), key=self.variables.__getitem__), dtype=np.int64)
        return None if np.array_equal(order, np.arange(len(self))) else order

    def reordered(self, order: IntArray) -> PolynomialODE:
        """The same system with its variables in another order.

        Parameters
        ----------
        order : ndarray of int64, shape (variables,)
            The old position of each new variable.

        Examples
        --------
        >>> import sympy
        >>> x, y = sympy.symbols("x y")
        >>> print(PolynomialODE.from_sympy({x: -y, y: x*y}).reordered(np.array([1, 0])))
        y' = y*x
        x' = -y
        """
        place = np.argsort(order)
        monomials, position = self.monomials.relabel(place)
        return PolynomialODE.from_terms(
            [self.variables[i] for i in order.tolist()],
            place[self.rows],
            position[self.columns],
            self.coefficients,
            monomials,
            self.parameters,
        )

    def position(self, variable: Any) -> int:
        """Position of a variable given as a name, a symbol or an index.

        Raises
        ------
        VariableError
            If there is no such variable.
        """
        if isinstance(variable, int | np.integer):
            if 0 <= variable < len(self):
                return int(variable)
            raise VariableError(f"variable number {variable} is outside 0…{len(self) - 1}")
        name = str(variable)
        if name in self.index:
            return self.index[name]
        shown = ", ".join(self.variables[:8]) + (", …" if len(self) > 8 else "")
        meant = did_you_mean(name, self.variables)
        raise VariableError(f"{name!r} is not a variable of this system{meant}; it has {shown}")

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The coefficient matrix C in float64, shape (variables, monomials)."""
        indptr = np.searchsorted(self.rows, np.arange(len(self) + 1))
        from scipy import sparse

        return sparse.csr_array(
            (self.coefficients.to_float(), self.columns, indptr),
            shape=(len(self), len(self.monomials)),
        )

    def rhs(self, x: npt.ArrayLike) -> FloatArray:
        """The right-hand side q(x) in float64.

        Parameters
        ----------
        x : array_like, shape (variables,) or (variables, k)
            One state, or k states as columns.

        Returns
        -------
        ndarray of the same shape.
        """
        state = np.asarray(x, dtype=np.float64)
        if state.ndim not in (1, 2) or state.shape[0] != len(self):
            raise VariableError(
                f"a state of this system has {len(self)} entries; got an array of shape "
                f"{state.shape}"
            )
        return np.asarray(self.matrix @ self.monomials.evaluate(state))

    def jacobian(self, x: npt.ArrayLike) -> sparse.csr_array:
        """The Jacobian matrix ∂q_k/∂x_v at a state, shape (variables, variables), in float64."""
        from scipy import sparse

        d = self.derivative
        at = d.monomials.evaluate(np.asarray(x, dtype=np.float64))
        values = d.coefficients.to_float() * at[d.columns]
        shape = (len(self), len(self))
        return sparse.coo_array((values, (d.equations, d.variables)), shape=shape).tocsr()

    @cached_property
    def derivative(self) -> PartialDerivatives:
        """All partial derivatives ∂q_k/∂x_v as sparse exact terms."""
        from symlump.ode.derivative import PartialDerivatives

        return PartialDerivatives.of(self)

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray]:
        """Distinct pairs (x, y), by position, such that x occurs in the equation of y."""
        from symlump.ode.graph import dependency_edges

        return dependency_edges(self)

    def dependency_graph(self) -> networkx.DiGraph:
        """Who acts on whom: an arrow x → y wherever x occurs in the equation of y."""
        from symlump.ode.graph import dependency_graph

        return dependency_graph(self)

    def initial_labels(self, direction: str) -> IntArray:
        """Block numbers of the coarsest partition that may be considered.

        Here: each parameter alone, all other variables together.
        """
        labels = np.zeros(len(self), dtype=np.int64)
        for number, name in enumerate(self.parameters, start=1):
            labels[self.index[name]] = number
        return labels

    def to_text(self, max_equations: int = 20, max_terms: int = 12, digits: int = 6) -> str:
        """Plain text, one equation a line; long systems and long sums end in "… n more"."""
        return printing.system_text(self, max_equations, max_terms, digits)

    def to_latex(
        self,
        max_equations: int = 20,
        max_terms: int = 12,
        digits: int = 6,
        written: Sequence[str] | None = None,
    ) -> str:
        """An aligned LaTeX block, with the same limits as :meth:`to_text`.

        ``written`` gives LaTeX for each variable, in place of its name.
        """
        return printing.system_latex(self, max_equations, max_terms, digits, written)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} variables, {self.terms} terms>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"


def _index_of(names: tuple[str, ...]) -> dict[str, int]:
    index = {name: i for i, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for i, name in enumerate(names) if index[name] != i)
        raise VariableError(f"variable {twice!r} is declared twice")
    return index
