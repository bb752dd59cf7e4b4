"""The coefficient matrices of a Jacobian: what the row space of a linear lumping must be invariant under.

J(x) = Σ_k J_k·x^k over the monomials x^k. For a row r, the vector r·J_k is the coefficient of x^k in the
gradient of the one polynomial r·q, so all of them together cost no more than one differentiation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.residues import multiply
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True, eq=False)
class MatrixFamily:
    """Square matrices J_0, J_1, … side by side: (J_0 | J_1 | …) without the columns that are zero.

    Parameters
    ----------
    unfolded : ExactMatrix, shape (size, kept columns)
    generators, columns : ndarray of int64, shape (kept columns,)
        Which matrix a kept column belongs to, and which of its columns it is; sorted.
    count : int
        Number of matrices, counting those that are zero.

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> family = MatrixFamily.of_jacobian(PolynomialODE.from_sympy({x: x*y + 3*y, y: -x}))
    >>> rows, parents, generators = family.images(ExactMatrix.from_rows([{0: 1}], 2))
    >>> rows.rows(), generators.tolist()    # gradient (y, x + 3): coefficients of 1, x and y
    ([{1: Fraction(3, 1)}, {1: Fraction(1, 1)}, {0: Fraction(1, 1)}], [0, 1, 2])
    """

    unfolded: ExactMatrix
    generators: IntArray
    columns: IntArray
    count: int

    @property
    def size(self) -> int:
        """Number of rows and of columns of every matrix."""
        return self.unfolded.shape[0]

    @classmethod
    def of_jacobian(cls, ode: PolynomialODE) -> MatrixFamily:
        """The coefficient matrices of the Jacobian of a system; k numbers ``ode.derivative.monomials``."""
        d = ode.derivative
        return cls.from_entries(
            d.columns, d.equations, d.variables, d.coefficients, len(ode), len(d.monomials)
        )

    @classmethod
    def from_entries(
        cls,
        generators: IntArray,
        rows: IntArray,
        columns: IntArray,
        values: ExactArray,
        size: int,
        count: int,
    ) -> MatrixFamily:
        """Build from loose entries of the matrices."""
        keys, place = np.unique(generators * size + columns, return_inverse=True)
        unfolded = ExactMatrix.from_entries(rows, place.ravel(), values, (size, keys.size))
        return cls(unfolded, keys // max(1, size), keys % max(1, size), count)

    def images(self, rows: ExactMatrix) -> tuple[ExactMatrix, IntArray, IntArray]:
        """All r·J_k that are not zero, with the positions of r and k."""
        product = rows @ self.unfolded
        start, key = self._starts(product.owners, product.columns)
        indptr = np.append(start, product.columns.size)
        images = ExactMatrix(indptr, self.columns[product.columns], product.values, self.size)
        return images, key // max(1, self.count), key % max(1, self.count)

    def _starts(self, owners: IntArray, kept: IntArray) -> tuple[IntArray, IntArray]:
        keys = owners * self.count + self.generators[kept]
        start = np.flatnonzero(np.diff(keys, prepend=-1)).astype(np.int64)
        return start, keys[start]

    def modulo(self, prime: int) -> ModularFamily:
        """The family modulo a prime.

        Raises
        ------
        InputError
            If the prime divides a denominator.
        """
        return ModularFamily(self, self.unfolded.residues(prime), prime)

    def entries(self) -> tuple[IntArray, IntArray, IntArray, ExactArray]:
        """Matrix, row, column and value of every entry."""
        kept = self.unfolded.columns
        return self.generators[kept], self.unfolded.owners, self.columns[kept], self.unfolded.values

    @property
    def only_generator(self) -> int:
        """The number of the one matrix that is not zero; −1 where there are several, or none."""
        if not self.generators.size or self.generators[0] != self.generators[-1]:
            return -1
        return int(self.generators[0])

    def transpose(self) -> MatrixFamily:
        """The transposed matrices: their invariant row spaces are the annihilators of ours."""
        generators, rows, columns, values = self.entries()
        return self.from_entries(generators, columns, rows, values, self.size, self.count)


@dataclass(frozen=True, eq=False)
class ModularFamily:
    """A family of matrices modulo a prime."""

    exact: MatrixFamily
    unfolded: sparse.csr_array
    prime: int

    def images(self, rows: sparse.csr_array) -> tuple[sparse.csr_array, IntArray, IntArray]:
        """All r·J_k that are not zero, with the positions of r and k, sorted by these."""
        family = self.exact
        product = multiply(rows, self.unfolded, self.prime)
        product.sort_indices()
        owners = np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(product.indptr))
        start, key = family._starts(owners, product.indices)
        indptr = np.append(start, product.indices.size)
        images = sparse.csr_array(
            (product.data, family.columns[product.indices], indptr), shape=(start.size, family.size)
        )
        return images, key // max(1, family.count), key % max(1, family.count)

    def single_matrix(self) -> sparse.csr_array | None:
        """The one matrix of a family that has no other; None for larger families."""
        if self.exact.only_generator < 0:
            return None
        rest = self.unfolded
        return sparse.csr_array(
            (rest.data, self.exact.columns[rest.indices], rest.indptr),
            shape=(self.exact.size, self.exact.size),
        )
