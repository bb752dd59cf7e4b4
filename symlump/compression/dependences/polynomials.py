"""Dense polynomials in a few variables, many at a time: one row a monomial, one column a polynomial.

The coefficients are floats, or ``Fraction`` objects in an object array; the same code serves both.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import MethodError
from symlump.network.activations.activation import Activation
from symlump.ode.exact import FloatArray, IntArray

#: More monomials than this are not tabulated: all pairs of them would take too much memory.
MOST_MONOMIALS = 2500

Coefficients = npt.NDArray[Any]


def monomial_count(variables: int, degree: int) -> int:
    """How many monomials of at most this degree there are."""
    return comb(variables + degree, degree)


def polynomial_of(phi: Activation) -> tuple[Fraction, ...] | None:
    """Coefficients of φ, lowest power first, the last one not 0; None if it is no polynomial.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> polynomial_of(activation("identity")), polynomial_of(activation("relu"))
    ((Fraction(0, 1), Fraction(1, 1)), None)
    """
    coefficients = list(phi.coefficients)
    if phi.pieces is not None and not phi.pieces.kinks:
        coefficients = [Fraction(c) for c in reversed(phi.pieces.lines[0])]
    while len(coefficients) > 1 and not coefficients[-1]:
        coefficients.pop()
    return tuple(coefficients) or None


class PolynomialTable:
    """All monomials in some variables up to a degree, by degree, the constant first.

    Parameters
    ----------
    variables, degree : int

    Raises
    ------
    MethodError
        If there are more than 2500 of them.

    Examples
    --------
    >>> table = PolynomialTable(2, 2)
    >>> table.exponents.tolist()
    [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    >>> x_plus_y = np.array([[0.0], [1.0], [1.0]])
    >>> table.product(x_plus_y, x_plus_y).ravel().tolist()
    [0.0, 0.0, 0.0, 1.0, 2.0, 1.0]
    """

    def __init__(self, variables: int, degree: int) -> None:
        count = monomial_count(variables, degree)
        if count > MOST_MONOMIALS:
            raise MethodError(
                f"polynomials of degree {degree} in {variables} variables have {count} coefficients; "
                f"at most {MOST_MONOMIALS} are supported"
            )
        self.variables, self.degree = variables, degree
        self.exponents: IntArray = np.zeros((count, variables), dtype=np.int64)
        row = 0
        for power in range(degree + 1):
            for factors in combinations_with_replacement(range(variables), power):
                np.add.at(self.exponents[row], list(factors), 1)
                row += 1
        # A monomial's key is a random linear form of its exponents, so keys of products are sums.
        form = np.random.default_rng(0).integers(1, 1 << 62, size=variables, dtype=np.int64)
        self._keys = self.exponents @ form  # modulo 2^64
        self._order = np.argsort(self._keys)
        assert np.unique(self._keys).size == count

    def position(self, exponents: IntArray) -> IntArray:
        """Rows of monomials given by their exponents."""
        form = self._keys[1 : self.variables + 1]
        return self._find(exponents @ form)

    def product(self, a: Coefficients, b: Coefficients) -> Coefficients:
        """Products column by column; the degrees may not add up to more than the table's."""
        if a.shape[0] < b.shape[0]:
            a, b = b, a
        size = monomial_count(self.variables, self._degree_of(a) + self._degree_of(b))
        result = np.zeros((size, a.shape[1]), dtype=a.dtype)
        for row in range(b.shape[0]):
            at = self._find(self._keys[: a.shape[0]] + self._keys[row])
            result[at] = result[at] + a * b[row]
        return result

    def linear(
        self, weight: Coefficients, bias: Coefficients | None, h: Coefficients
    ) -> Coefficients:
        """W·h + b."""
        z = h @ weight.T
        if bias is not None:
            z[0] = z[0] + bias
        return z

    def apply(self, phi: Activation, z: Coefficients) -> Coefficients:
        """φ(z) for a polynomial φ, by Horner's rule."""
        exact = polynomial_of(phi)
        assert exact is not None
        constants = [c if z.dtype == object else float(c) for c in exact]
        result = np.zeros((1, z.shape[1]), dtype=z.dtype)
        result[0] = constants[-1]
        for c in constants[-2::-1]:
            result = self.product(result, z)
            result[0] = result[0] + c
        return result

    @cached_property
    def hermite(self) -> FloatArray:
        """The matrix from coefficients of monomials to those of orthonormal Hermite polynomials.

        Column α holds x^α, obtained from a monomial of lower degree by
        x·he_k = √(k+1)·he_{k+1} + √k·he_{k−1} in one of its variables.
        """
        count = len(self.exponents)
        matrix = np.zeros((count, count))
        matrix[0, 0] = 1.0
        lower = monomial_count(self.variables, self.degree - 1) if self.degree else 0
        for i in reversed(range(self.variables if self.degree else 0)):
            step = np.eye(self.variables, dtype=np.int64)[i]
            raised = self.position(self.exponents[:lower] + step)
            factor = np.sqrt(self.exponents[:lower, i] + 1.0)[:, None]
            # The monomials whose first variable is i are x_i times those without earlier variables.
            first = (self.exponents[:lower, :i] == 0).all(axis=1)
            for degree in range(self.degree):
                here = np.flatnonzero(first & (self.exponents[:lower].sum(axis=1) == degree))
                source = matrix[:, here]
                target = np.zeros_like(source)
                target[raised] += factor * source[:lower]
                target[:lower] += factor * source[raised]
                matrix[:, raised[here]] = target
        return matrix

    def _degree_of(self, a: Coefficients) -> int:
        degree = 0
        while monomial_count(self.variables, degree) < a.shape[0]:
            degree += 1
        return degree

    def _find(self, keys: IntArray) -> IntArray:
        return np.asarray(self._order[np.searchsorted(self._keys[self._order], keys)])
