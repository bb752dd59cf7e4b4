"""Derivatives of the functions in a system by their arguments, with the functions that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from symlump.ode.exact import FloatArray
from symlump.ode.functions.generators import Generators, place_rows
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, eq=False)
class Slopes:
    """The derivative of every function of a system by each of its arguments, as polynomials in symbols.

    Parameters
    ----------
    live : int
        How many functions the system contains.
    functions : Generators
        Those, and after them the functions that only derivatives need.
    polynomials : Polynomials
        One for each argument of a function that the system contains.
    """

    live: int
    functions: Generators
    polynomials: Polynomials

    @classmethod
    def of(cls, generators: Generators) -> Slopes:
        """Differentiate each function."""
        table, count, live = SymbolTable.of(generators), generators.first, len(generators)
        floats = generators.arguments.coefficients.is_float
        slopes = [p for s in range(count, count + live) for p in table.derivatives(s)]
        whole, _ = Generators.of(table, range(count, count + len(table.functions)), floats)
        return cls(live, whole, Polynomials.of(slopes, floats))

    @property
    def smooth(self) -> bool:
        """True where every function, and every derivative, can be evaluated."""
        return all(name in FUNCTIONS for name in self.functions.functions)

    def chain(self, by_symbol: sparse.csr_array, symbols: FloatArray) -> sparse.csr_array:
        """Derivatives by variables from those by variables and functions, at given values of all symbols."""
        n, live = self.functions.first, self.live
        inner = self._total_derivatives(symbols)
        return by_symbol[:, :n] + by_symbol[:, n : n + live] @ inner

    def _total_derivatives(self, symbols: FloatArray) -> sparse.csr_array:
        """dg/dx of the functions in the system, shape (live, variables)."""
        from scipy import sparse

        whole, n, live = self.functions, self.functions.first, self.live
        slope = self.polynomials.matrix @ self.polynomials.monomials.evaluate(symbols)
        d = whole.derivative
        entries = d.coefficients.to_float() * d.monomials.evaluate(symbols)[d.columns]
        shape = whole.arguments.count, n + len(whole)
        inside = sparse.coo_array((entries, (d.equations, d.variables)), shape=shape).tocsr()
        result = sparse.csr_array((live, n))
        for batch in whole.batches:
            own = batch.members[batch.members < live]
            if not own.size:
                continue
            for rows in batch.arguments:
                mine = rows[: own.size]
                part = inside[mine]
                total = part[:, :n] + part[:, n : n + live] @ result
                result = result + place_rows(own, live) @ sparse.diags_array(slope[mine]) @ total
        return sparse.csr_array(result)
