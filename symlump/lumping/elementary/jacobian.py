"""Jacobians of systems with quotients and functions at random points of a prime field.

1/d has the derivative −1/d²; the values of other functions, the time included, and their derivatives are random
numbers: the same for equal arguments, and others at every point. So an identity that holds whatever the
functions are holds at every such point.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.elementary.modular import ModularFunctions, ModularPolynomials, all_slopes
from symlump.lumping.refinement.field import Residues, VanishingDenominator
from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import IntArray
from symlump.ode.functions.generators import place_rows
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from scipy import sparse

#: So many points in a row on which a denominator is 0 mean that it always is.
_DRAWS = 100
#: Sums of up to 2^17 products of residues below this bound fit 63 bits, so that scipy's products are exact.
_BOUND = 2**23


class PrimeField:
    """A system modulo a prime, evaluated at random points.

    Parameters
    ----------
    ode : ODE
    prime : int
        Below 2^31; for Jacobians below 2^23.

    Raises
    ------
    InputError
        If the prime divides a denominator of a coefficient.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = x/(x + y); y' = y/(x + y)")
    >>> field = PrimeField(ode, 8388593)
    >>> j = field.jacobian(np.random.default_rng(0)).toarray()
    >>> ((j[0] + j[1]) % field.prime).tolist()    # the sum of the equations is 1
    [0, 0]
    """

    def __init__(self, ode: ODE, prime: int) -> None:
        self.ode, self.prime = ode, prime
        generators = ode.generators
        self._functions = None if generators is None else ModularFunctions(generators, prime)
        self._equations = ModularPolynomials.of(Polynomials.of_system(ode), prime)

    def _point(self, generator: np.random.Generator) -> tuple[Residues, int]:
        """Values of variables and of functions that are drawn anew, and by which salt."""
        for _ in range(_DRAWS):
            point = generator.integers(1, self.prime, size=len(self.ode), dtype=np.uint64)
            salt = int(generator.integers(2**62))
            if self._functions is None:
                return point, salt
            try:
                return self._functions.values(point, salt), salt
            except VanishingDenominator:
                continue
        raise FailureError("a denominator of this system is 0 at every point that was tried")

    def values(self, generator: np.random.Generator) -> IntArray:
        """The right-hand side at a random point."""
        return self._equations.values(self._point(generator)[0]).astype(np.int64)

    def jacobian(self, generator: np.random.Generator) -> sparse.csr_array:
        """∂q_k/∂x_v at a random point, as residues from 0 on; shape (variables, variables)."""
        from scipy import sparse

        if self.prime >= _BOUND:
            raise ValueError("Jacobians take a prime below 2^23")
        ode, n = self.ode, len(self.ode)
        symbols, salt = self._point(generator)
        outer = self._partial(ode.derivative, symbols, n)
        if self._functions is None:
            return outer
        generators = self._functions.generators
        count = len(generators)
        inside = self._partial(generators.derivative, symbols, generators.arguments.count)
        slopes = self._slopes(symbols, salt)
        inner = sparse.csr_array((count, n), dtype=np.int64)
        for batch in generators.batches:
            for rows in batch.arguments:
                part = inside[rows]
                whole = self._folded(part[:, :n] + self._folded(part[:, n:] @ inner))
                whole = self._folded(sparse.diags_array(slopes[rows], dtype=np.int64) @ whole)
                inner = inner + place_rows(batch.members, count) @ whole
            inner = self._folded(inner)
        return self._folded(outer[:, :n] + outer[:, n:] @ inner)

    def _partial(self, d: PartialDerivatives, symbols: Residues, count: int) -> sparse.csr_array:
        """Derivatives by every symbol, the others held."""
        from scipy import sparse

        monomials = d.monomials.residues(symbols, self.prime)
        values = d.coefficients.residues(self.prime) * monomials[d.columns] % np.uint64(self.prime)
        entries = values.astype(np.int64), (d.equations, d.variables)
        return self._folded(sparse.coo_array(entries, shape=(count, symbols.size)).tocsr())

    def _slopes(self, symbols: Residues, salt: int) -> IntArray:
        """∂f/∂u for each argument u of each function f."""
        assert self._functions is not None
        generators, inside = self._functions.generators, self._arguments.values(symbols)
        return all_slopes(generators, inside, symbols, self.prime, salt).astype(np.int64)

    @cached_property
    def _arguments(self) -> ModularPolynomials:
        assert self._functions is not None
        return ModularPolynomials.of(self._functions.generators.arguments, self.prime)

    def _folded(self, matrix: sparse.csr_array) -> sparse.csr_array:
        matrix.data %= self.prime
        return matrix
