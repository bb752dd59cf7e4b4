"""Collecting a system while a file is read: flows, in flat arrays.

A flow is a coefficient times a monomial, with the number of copies of each variable that it makes
(negative: that it consumes). A reaction is one flow however many species it changes, so that its
monomial is stored once; an equation is one flow per term, into one variable.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from symlump.formats.symbolic import SymbolArithmetic, left_out
from symlump.ode.exact import ExactArray
from symlump.ode.functions.algebra import Monomial, Polynomial, add_to, multiply_monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.reactions import FlowArrays
from symlump.ode.system import ODE


class Flows:
    """Flows in the order in which they were added.

    The arrays are public: a reader's inner loop appends to them directly. For each flow ``sizes``
    has its number of factors, ``widths`` its number of changes, and ``rates`` its place in the
    table of coefficients that :meth:`coefficient` fills.

    Examples
    --------
    >>> flows = Flows()
    >>> flows.reaction([(0, 1), (1, 1)], [(2, 1)], {(): Fraction(1, 2)})   # a + b -> c
    >>> print(flows.build(["a", "b", "c"]))
    a' = -1/2*a*b
    b' = -1/2*a*b
    c' = 1/2*a*b
    """

    def __init__(self) -> None:
        self.factors = array("q")
        self.powers = array("q")
        self.sizes = array("q")
        self.changed = array("q")
        self.counts = array("q")
        self.widths = array("q")
        self.rates = array("q")
        self._table: dict[Fraction, int] = {}

    def coefficient(self, value: Fraction) -> int:
        """The place of a coefficient in the table; equal ones share it."""
        return self._table.setdefault(value, len(self._table))

    def add(self, value: Fraction, monomial: Monomial, changes: Sequence[tuple[int, int]]) -> None:
        """Add a flow; ``changes`` are pairs (variable, copies)."""
        self.rates.append(self.coefficient(value))
        self.sizes.append(len(monomial))
        for variable, power in monomial:
            self.factors.append(variable)
            self.powers.append(power)
        self.widths.append(len(changes))
        for variable, count in changes:
            self.changed.append(variable)
            self.counts.append(count)

    def equation(self, variable: int, polynomial: Polynomial) -> None:
        """Add a polynomial to the derivative of a variable."""
        for monomial, value in polynomial.items():
            self.add(value, monomial, [(variable, 1)])

    def reaction(
        self,
        reactants: Sequence[tuple[int, int]],
        products: Sequence[tuple[int, int]],
        rate: Polynomial,
        mass_action: bool = True,
    ) -> None:
        """Add a reaction; under mass action the rate is multiplied by the reactants."""
        changes = [*((v, -count) for v, count in reactants), *products]
        speed: Monomial = ()
        if mass_action:
            for reactant in reactants:
                speed = multiply_monomials(speed, (reactant,))
        for monomial, value in rate.items():
            self.add(value, multiply_monomials(monomial, speed), changes)

    def polynomials(self, count: int) -> list[Polynomial]:
        """The derivatives as polynomials, for systems whose symbols are more than their variables."""
        result: list[Polynomial] = [{} for _ in range(count)]
        values = list(self._table)
        at = change = 0
        for place, size, width in zip(self.rates, self.sizes, self.widths, strict=True):
            factors = slice(at, at + size)
            monomial: Monomial = ()
            for factor in zip(self.factors[factors], self.powers[factors], strict=True):
                monomial = multiply_monomials(monomial, (factor,))
            for k in range(change, change + width):
                add_to(result[self.changed[k]], {monomial: values[place] * self.counts[k]})
            at, change = at + size, change + width
        return [{m: value for m, value in p.items() if value} for p in result]

    def build(self, variables: Iterable[str], parameters: Iterable[str] = ()) -> PolynomialODE:
        """The system that the flows make."""
        return PolynomialODE.from_flows(self._arrays(), variables, parameters)

    def take(self) -> FlowArrays:
        """The flows so far, which are forgotten here, with the places of coefficients."""
        found = self._arrays()
        held = self.factors, self.powers, self.sizes, self.changed, self.counts, self.widths
        for numbers in (*held, self.rates):
            del numbers[:]
        self._table.clear()
        return found

    def _arrays(self) -> FlowArrays:
        flow = np.arange(len(self.rates), dtype=np.int64)
        table = ExactArray.from_fractions(self._table).over_one()
        return FlowArrays(
            table.take(np.array(self.rates)),
            np.repeat(flow, np.array(self.sizes)),
            np.array(self.factors),
            np.array(self.powers),
            np.repeat(flow, np.array(self.widths)),
            np.array(self.changed),
            np.array(self.counts),
        )

    def build_over(
        self,
        arithmetic: SymbolArithmetic,
        variables: Sequence[str],
        parameters: Iterable[str] = (),
        first: int = 0,
    ) -> ODE:
        """Build the system where monomials are made of the symbols of a table, whose variables these are.

        Functions that cancel are among the notes of the arithmetic, except for the ``first`` ones of the table.
        """
        table = arithmetic.table
        equations = [table.cancel(p) for p in self.polynomials(len(variables))]
        lost = left_out(variables, equations, table, first)
        arithmetic.notes |= {lost: None} if lost else {}
        return ODE.from_table(variables, equations, table, parameters)


def equations(ode: ODE) -> Iterator[tuple[int, list[tuple[Fraction, Monomial]]]]:
    """The system row by row: each variable with the terms of its derivative."""
    start = ode.indptr.tolist()
    columns = ode.columns.tolist()
    factors: dict[int, Monomial] = {}
    for row in range(len(ode)):
        terms = []
        for t in range(start[row], start[row + 1]):
            column = columns[t]
            if column not in factors:
                factors[column] = tuple(ode.monomials.factors(column))
            terms.append((ode.coefficients[t], factors[column]))
        yield row, terms
