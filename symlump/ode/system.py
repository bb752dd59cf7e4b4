"""Systems x' = q(x) of differential equations, or x⁺ = q(x) in discrete time, with functions on the right.

A right-hand side is a polynomial in symbols: the variables, and functions of them such as 1/(K + x) or
exp(-x), each with a symbol of its own (:mod:`symlump.ode.functions.symbols`). So a sum of quotients stays
one, over the denominators that it was written with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import VariableError
from symlump.ode import maps, printing
from symlump.ode.distinct import index_of, position_of
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.functions import images
from symlump.ode.functions.algebra import Polynomial
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import Monomials, starts_of
from symlump.ode.notation import count_text

if TYPE_CHECKING:
    import networkx
    import sympy
    from scipy import sparse

    from symlump.ode.derivative import PartialDerivatives
    from symlump.ode.functions.polynomials import Polynomials
    from symlump.ode.functions.slopes import Slopes


@dataclass(frozen=True, eq=False, repr=False)
class ODE:
    """A system x' = q(x), each q_i a polynomial in variables and in functions of them.

    Term t says: equation ``rows[t]`` contains ``coefficients[t]`` times monomial ``columns[t]``.
    Terms are sorted by row, then column; no pair occurs twice and no coefficient is zero. Use the
    ``from_…`` constructors, which establish this.

    Parameters
    ----------
    variables : tuple of str
        Names, all different; equation i is the derivative of ``variables[i]``.
    monomials : Monomials
        The distinct monomials that occur, in the symbols: variables, then generators.
    rows, columns : ndarray of int64, shape (terms,)
        Equation and monomial of each term.
    coefficients : ExactArray
        Exact rationals, one per term.
    parameters : tuple of str
        Variables that stand for symbolic constants: derivative 0, always alone in their block.
    generators : Generators, optional
        The functions that are symbols; None for a polynomial system, a :class:`PolynomialODE`.
    discrete : bool
        Whether equation i is the next value of ``variables[i]`` instead: a map, see :meth:`as_map`.

    Examples
    --------
    >>> print(ODE.from_text("x' = -x/(1 + x + y); y' = -y/(1 + x + y)"))
    x' = -x/(1 + x + y)
    y' = -y/(1 + x + y)
    """

    variables: tuple[str, ...]
    monomials: Monomials
    rows: IntArray
    columns: IntArray
    coefficients: ExactArray
    parameters: tuple[str, ...] = ()
    generators: Generators | None = None
    discrete: bool = False

    @classmethod
    def from_sympy(
        cls, equations: Mapping[Any, Any], parameters: Iterable[Any] = (), time: Any = None
    ) -> ODE:
        """Read ``{x: dx/dt}`` with sympy symbols and expressions of elementary functions.

        Rationals are kept as they are; a float is read as the dyadic rational that it denotes. What is
        polynomial becomes a :class:`PolynomialODE`.

        Parameters
        ----------
        equations : mapping of Symbol to Expr
            One entry per variable.
        parameters : iterable of Symbol
            Symbolic constants that occur on the right and have no equation.
        time : Symbol, optional
            The symbol of time.

        Returns
        -------
        ODE

        Raises
        ------
        NotPolynomialError
            If an expression contains a function that is not known.
        VariableError
            If a symbol on the right is neither a variable nor a parameter.

        Examples
        --------
        >>> import sympy
        >>> x = sympy.Symbol("x")
        >>> print(ODE.from_sympy({x: -x/(1 + x)}))
        x' = -x/(1 + x)
        """
        from symlump.ode.functions.sympy_io import read_functions

        return ODE.from_table(*read_functions(equations, parameters, time))

    @staticmethod
    def from_text(text: str, parameters: Iterable[str] = ()) -> ODE:
        """Read equations as one types them, ``"x' = -k*x; y' = …"``, or of a map ``"x+ = …"``.

        The language is that of :func:`symlump.formats.equations.read_equations`.

        Parameters
        ----------
        text : str
            One equation a line, or separated by semicolons.
        parameters : iterable of str
            Symbolic constants that occur on the right and have no equation.

        Returns
        -------
        ODE

        Raises
        ------
        FileFormatError
            If the text cannot be read; the message says where.
        VariableError
            If a name on the right is neither a variable nor a parameter.

        Examples
        --------
        >>> print(ODE.from_text("x' = -k*x", parameters=["k"]))
        x' = -x*k
        k' = 0
        """
        from symlump.formats.equations import read_equations

        read = read_equations(text, parameters)
        ode = ODE.from_table(read.variables, read.right, read.table, read.parameters)
        return maps.in_time(ode, read.discrete)

    @staticmethod
    def from_table(
        variables: Iterable[str],
        equations: Sequence[Polynomial],
        table: SymbolTable,
        parameters: Iterable[str] = (),
        floats: bool = False,
    ) -> ODE:
        """Build a system from polynomials in the symbols of a table, one per variable.

        Only what the equations need is taken over; without functions it is a :class:`PolynomialODE`.

        Parameters
        ----------
        variables : iterable of str
        equations : sequence of Polynomial
            One for each variable, in the symbols of the table.
        table : SymbolTable
        parameters : iterable of str
            Variables without an equation.
        floats : bool
            Whether coefficients are stored as floats where all of them are.

        Returns
        -------
        ODE

        Raises
        ------
        VariableError
            If a name occurs twice, or a parameter is not a variable or has an equation.

        Examples
        --------
        >>> ode = ODE.from_text("x' = exp(x)")
        >>> print(ODE.from_table(["y"], [ode.equation(0)], ode.table))
        y' = exp(y)
        """
        return _of_kind(images.numbered_table(variables, equations, table, parameters, floats))

    @staticmethod
    def from_arrays(
        names: Iterable[str],
        equations: Polynomials,
        functions: Generators,
        parameters: Iterable[str],
    ) -> ODE:
        """Build a system from arrays, for equations in the symbols of some functions.

        Parameters
        ----------
        names : iterable of str
            Of the variables.
        equations : Polynomials
            One for each variable.
        functions : Generators
            The functions that are symbols.
        parameters : iterable of str

        Returns
        -------
        ODE

        Examples
        --------
        >>> from symlump.ode.functions.polynomials import Polynomials
        >>> ode = ODE.from_text("x' = exp(x)")
        >>> rows = Polynomials(1, ode.monomials, ode.rows, ode.columns, ode.coefficients)
        >>> ODE.from_arrays(ode.variables, rows, ode.generators, []) == ode
        True
        """
        return _of_kind(images.numbered_arrays(names, equations, functions, parameters))

    def into(
        self, table: SymbolTable, of: Sequence[Polynomial] | None = None
    ) -> tuple[list[Polynomial], list[Polynomial]]:
        """The equations in the symbols of a table, each variable replaced by a polynomial there.

        Parameters
        ----------
        table : SymbolTable
            Of the new symbols; functions that are missing there are added.
        of : sequence of Polynomial, optional
            What replaces each variable; default: the variable itself.

        Returns
        -------
        equations : list of Polynomial
        symbols : list of Polynomial
            The image of every symbol that the system contains.

        Raises
        ------
        InputError
            If a denominator becomes 0, or multiplying out takes too many steps.

        Examples
        --------
        >>> ODE.from_text("x' = y^2; y' = x").into(SymbolTable(2))[0]
        [{((1, 2),): Fraction(1, 1)}, {((0, 1),): Fraction(1, 1)}]
        """
        return images.images_of(self, table, of)

    def to_sympy(self) -> dict[sympy.Symbol, sympy.Expr]:
        """The system as ``{Symbol: Expr}``; floats become the exact rationals they denote.

        Symbols are ``sympy.Symbol(name)``; time is ``Symbol("t")``, or ``Symbol("time()")`` if t is a variable.

        Returns
        -------
        dict of Symbol to Expr

        Examples
        --------
        >>> ODE.from_text("x' = -x/3").to_sympy()
        {x: -x/3}
        """
        if self.generators is not None:
            from symlump.ode.functions.sympy_io import write_functions

            return write_functions(self)
        from symlump.ode import sympy_io

        return sympy_io.write_equations(self)

    def __len__(self) -> int:
        return len(self.variables)

    @property
    def symbols(self) -> int:
        """Number of symbols that monomials are made of: variables and functions of them."""
        return len(self) + (0 if self.generators is None else len(self.generators))

    @property
    def terms(self) -> int:
        """Number of terms, over all equations."""
        return int(self.rows.shape[0])

    def __eq__(self, other: object) -> bool:
        """Same variables in the same order and the same polynomials, exactly."""
        if not isinstance(other, ODE):
            return NotImplemented
        return images.equal(self, other)

    def __hash__(self) -> int:
        return hash((self.variables, self.terms))

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each variable name."""
        return index_of(self.variables)

    @property
    def canonical_order(self) -> IntArray | None:
        """The variables sorted by name; None if they already are."""
        order = np.array(sorted(range(len(self)), key=self.variables.__getitem__), dtype=np.int64)
        return None if np.array_equal(order, np.arange(len(self))) else order

    def reordered(self, order: IntArray) -> ODE:
        """The same system with its variables in another order.

        Parameters
        ----------
        order : ndarray of int64, shape (variables,)
            The old position of each new variable.

        Returns
        -------
        ODE

        Examples
        --------
        >>> print(ODE.from_text("x' = -y; y' = x*y").reordered(np.array([1, 0])))
        y' = y*x
        x' = -y
        """
        names = [self.variables[i] for i in order.tolist()]
        moved = ODE.from_table(*images.move_variables(self, np.argsort(order), names))
        return maps.in_time(moved, self.discrete)

    def as_map(self) -> ODE:
        """The map x⁺ = q(x) with these right-hand sides; parameters keep their values.

        Returns
        -------
        ODE

        Examples
        --------
        >>> print(ODE.from_text("x' = x/2 + y; y' = x*y").as_map())
        x⁺ = 1/2*x + y
        y⁺ = x*y
        """
        return maps.in_time(self, discrete=True)

    def position(self, variable: Any) -> int:
        """Position of a variable given as a name, a symbol or an index.

        Parameters
        ----------
        variable : str, Symbol or int

        Returns
        -------
        int

        Raises
        ------
        VariableError
            If there is no such variable.

        Examples
        --------
        >>> ODE.from_text("x' = y; y' = x").position("y")
        1
        """
        return position_of(variable, self.index)

    @cached_property
    def indptr(self) -> IntArray:
        """Where the terms of each equation begin, and the end."""
        return starts_of(self.rows, len(self))

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The coefficient matrix C in float64, shape (variables, monomials)."""
        from scipy import sparse

        entries = self.coefficients.to_float(), self.columns, self.indptr
        return sparse.csr_array(entries, shape=(len(self), len(self.monomials)))

    @cached_property
    def table(self) -> SymbolTable:
        """The symbols of the system, with the numbers that monomials use."""
        functions = self.generators
        return SymbolTable(len(self)) if functions is None else SymbolTable.of(functions)

    def equation(self, i: int) -> Polynomial:
        """One right-hand side, as a polynomial in symbols.

        Parameters
        ----------
        i : int

        Returns
        -------
        dict of tuple to Fraction
            The coefficient of each monomial; a monomial is a tuple of (symbol, power).

        Examples
        --------
        >>> ODE.from_text("x' = 3*x*y^2; y' = 0").equation(0)
        {((0, 1), (1, 2)): Fraction(3, 1)}
        """
        terms = range(*np.searchsorted(self.rows, [i, i + 1]).tolist())
        table, column = self.monomials, self.columns
        return {tuple(table.factors(int(column[t]))): self.coefficients[t] for t in terms}

    def rhs(self, x: npt.ArrayLike, time: float = 0.0) -> FloatArray:
        """The right-hand side q(x) in float64; of a map the next state, parameters kept.

        Parameters
        ----------
        x : array_like, shape (variables,) or (variables, k)
            One state, or k states as columns.
        time : float
            For a system whose equations contain it.

        Returns
        -------
        ndarray of the same shape.

        Raises
        ------
        VariableError
            If the state has another shape.

        Examples
        --------
        >>> ODE.from_text("x' = -x; y' = x*y").rhs([2.0, 3.0]).tolist()
        [-2.0, 6.0]
        """
        state = np.asarray(x, dtype=np.float64)
        if state.ndim not in (1, 2) or state.shape[0] != len(self):
            raise VariableError(
                f"a state of this system has {len(self)} entries; got an array of shape {state.shape}"
            )
        if self.generators is not None:
            state = self.generators.values(state, time)
        result = np.asarray(self.matrix @ self.monomials.evaluate(state))
        return maps.with_parameters_kept(self, result, state) if self.discrete else result

    def jacobian(self, x: npt.ArrayLike, time: float = 0.0) -> sparse.csr_array:
        """The Jacobian matrix ∂q_k/∂x_v at a state, shape (variables, variables), in float64.

        Where a function has no derivative that could be evaluated, its entries are not numbers.

        Parameters
        ----------
        x : array_like, shape (variables,)
        time : float
            For a system whose equations contain it.

        Returns
        -------
        scipy.sparse.csr_array, shape (variables, variables)

        Examples
        --------
        >>> ODE.from_text("x' = -x; y' = x*y").jacobian([2.0, 3.0]).toarray().tolist()
        [[-1.0, 0.0], [3.0, 2.0]]
        """
        from scipy import sparse

        d, symbols = self.derivative, np.asarray(x, dtype=np.float64)
        if self.slopes is not None:
            symbols = self.slopes.functions.values(symbols, time)
        values = d.coefficients.to_float() * d.monomials.evaluate(symbols)[d.columns]
        shape = (len(self), self.symbols)
        whole = sparse.coo_array((values, (d.equations, d.variables)), shape=shape).tocsr()
        return whole if self.slopes is None else self.slopes.chain(whole, symbols)

    @cached_property
    def slopes(self) -> Slopes | None:
        """The derivatives of its functions by their arguments; None where there are none."""
        from symlump.ode.functions.slopes import Slopes

        return None if self.generators is None else Slopes.of(self.generators)

    @cached_property
    def derivative(self) -> PartialDerivatives:
        """All partial derivatives ∂q_k/∂s by every symbol s, the other symbols held, as sparse exact terms."""
        from symlump.ode.derivative import PartialDerivatives

        return PartialDerivatives.of(self)

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray]:
        """Distinct pairs (x, y), by position, such that x occurs in the equation of y."""
        from symlump.ode.graph import dependency_edges

        return dependency_edges(self)

    def dependency_graph(self) -> networkx.DiGraph:
        """The dependency graph: an arrow x → y wherever x occurs in the equation of y.

        Returns
        -------
        networkx.DiGraph

        Examples
        --------
        >>> sorted(ODE.from_text("x' = -x; y' = x*y").dependency_graph().edges)
        [('x', 'x'), ('x', 'y'), ('y', 'y')]
        """
        from symlump.ode.graph import dependency_graph

        return dependency_graph(self)

    def initial_labels(self, direction: str) -> IntArray:
        """Block numbers of the coarsest partition that may be considered: parameters alone, the rest together.

        Parameters
        ----------
        direction : {"forward", "backward"}

        Returns
        -------
        ndarray of int, shape (variables,)

        Examples
        --------
        >>> ODE.from_text("x' = -k*x; y' = x", parameters=["k"]).initial_labels("forward").tolist()
        [0, 0, 1]
        """
        labels = np.zeros(len(self), dtype=np.int64)
        for number, name in enumerate(self.parameters, start=1):
            labels[self.index[name]] = number
        return labels

    def to_text(self, max_equations: int = 20, max_terms: int = 12, digits: int = 6) -> str:
        """Plain text, one equation a line; "…" marks where systems, sums and numbers are cut.

        Parameters
        ----------
        max_equations, max_terms, digits : int
            Equations, terms of each and digits of a number that are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> print(ODE.from_text("x' = 1 + x + x^2 + x^3").to_text(max_terms=2))
        x' = 1 + x + … (2 more)
        """
        return printing.system_text(self, max_equations, max_terms, digits)

    def to_latex(
        self,
        max_equations: int = 20,
        max_terms: int = 12,
        digits: int = 6,
        written: Sequence[str] | None = None,
    ) -> str:
        """An aligned LaTeX block, with the same limits as :meth:`to_text`.

        Parameters
        ----------
        max_equations, max_terms, digits : int
            As for :meth:`to_text`.
        written : sequence of str, optional
            LaTeX for each variable, in place of its name.

        Returns
        -------
        str

        Examples
        --------
        >>> print(ODE.from_text("x1' = -x1/3").to_latex())
        \\begin{aligned}
        \\dot{x}_{1} &= -\\frac{1}{3}\\,x_{1}
        \\end{aligned}
        """
        return printing.system_latex(self, max_equations, max_terms, digits, written)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        time = ", discrete time" if self.discrete else ""
        sizes = f"{count_text(len(self), 'variable')}, {count_text(self.terms, 'term')}"
        return f"<{type(self).__name__}: {sizes}{time}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"


def _of_kind(fields: images.Numbered) -> ODE:
    """Without functions a system is a ``PolynomialODE``."""
    from symlump.ode.polynomial import PolynomialODE

    return (PolynomialODE if fields.generators is None else ODE)(*fields)
