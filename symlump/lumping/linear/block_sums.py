r"""A system in sums of variables that its observables do not tell apart: where linear lumpings are sought.

Let S be the rows of a forward equivalence, the sums over its blocks, and let the observables have equal
coefficients in each block, so that they are combinations of the sums. From S·q(x) = g(S·x) follows
S·J(x) = Dg(S·x)·S, so the row space of S is invariant: the smallest lumping is one of the sums, and is found in
their system y' = g(y), which has fewer variables.

*It is the same search.* With G_κ the coefficient of y^κ in Dg, S·J_k is a positive number times G_κ·S for every
monomial x^k that becomes y^κ; the number is 1 where k has a single variable of each block. So the steps that
derive rows from the observables in sums derive them in the variables, with the first variable of a block in the
place of its sum; and what is independent in sums is so in variables, as the rows of S have disjoint supports.

The coarsest such equivalence is found in O(terms · log variables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import factorial

import numpy as np
from scipy import sparse

from symlump.lumping.forward import Forward
from symlump.lumping.linear.spaces.coefficients import jacobian_coefficients
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.refine import coarsest
from symlump.lumping.tolerance.reference import exact_quotient
from symlump.ode.exact import ExactArray, FloatArray
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE


@dataclass(frozen=True, eq=False)
class SummedSystem:
    """A system, and the one that sums over blocks of its variables obey.

    Parameters
    ----------
    ode : ODE
    partition : Partition
        A forward equivalence.
    system : ODE
        What the sums obey, each by the name of the first variable in it; where there is a sum for each variable
        the system itself.
    """

    ode: ODE
    partition: Partition
    system: ODE

    @classmethod
    def single(cls, ode: ODE) -> SummedSystem:
        """Each variable for itself."""
        return cls(ode, Partition.discrete(len(ode)), ode)

    @classmethod
    def of(
        cls, ode: ODE, forms: Mapping[str, Mapping[str, Fraction]], seed: int = 0
    ) -> SummedSystem:
        """The coarsest blocks in which forms have equal coefficients; single ones where there are functions.

        Examples
        --------
        >>> ode = ODE.from_text("a' = b + c; b' = 2*a + b; c' = 3*a + c; d' = a")
        >>> sums = SummedSystem.of(ode, {"a": {"a": Fraction(1)}})
        >>> print(sums.partition.labels.tolist(), sums.system, sep="; ")
        [0, 1, 1, 2]; a' = b
        b' = 5*a + b
        d' = a
        """
        if not isinstance(ode, PolynomialODE):
            return cls.single(ode)
        partition, _ = coarsest(ode, Forward(), _equal_coefficients(ode, forms), seed=seed)
        if len(partition) == len(ode):
            return cls.single(ode)
        terms = exact_quotient(ode, Forward(), partition)
        alone = {ode.variables[i] for i in partition.representatives[partition.sizes == 1].tolist()}
        system = PolynomialODE.from_terms(
            [ode.variables[first] for first in partition.representatives.tolist()],
            terms.rows,
            terms.columns,
            terms.coefficients,
            terms.monomials,
            [name for name in ode.parameters if name in alone],
        )
        return cls(ode, partition, system)

    def __len__(self) -> int:
        return len(self.partition)

    @property
    def merged(self) -> bool:
        """Whether there are fewer sums than variables."""
        return len(self) < len(self.ode)

    def spread(self, rows: ExactMatrix) -> ExactMatrix:
        """Rows in the sums as rows in the variables."""
        if not self.merged:
            return rows
        every, size = np.arange(len(self.ode)), (len(self), len(self.ode))
        sums = sparse.csc_array((np.ones_like(every), (self.partition.labels, every)), size)
        numbers = np.arange(1, rows.columns.size + 1)
        found = sparse.csr_array((numbers, rows.columns, rows.indptr), rows.shape) @ sums.tocsr()
        found.sort_indices()
        indptr, columns = found.indptr.astype(np.int64), found.indices.astype(np.int64)
        return ExactMatrix(indptr, columns, rows.values.take(found.data - 1), len(self.ode))

    def narrow(self, rows: ExactMatrix) -> ExactMatrix:
        """Rows in the variables that are combinations of the sums, in these."""
        return rows.take_columns(self.partition.representatives) if self.merged else rows

    @cached_property
    def lengths(self) -> FloatArray:
        """The 2-norm of each sum, as a row in the variables; divided by it the sums are orthonormal rows."""
        return np.sqrt(self.partition.sizes)

    @cached_property
    def jacobian(self) -> MatrixFamily:
        """The coefficient matrices of the Jacobian of the system of the sums."""
        if isinstance(self.system, PolynomialODE):
            return MatrixFamily.of_jacobian(self.system)
        return jacobian_coefficients(self.system)

    def family(self) -> MatrixFamily:
        """The same, in orthonormal sums.

        As there is one matrix for all monomials x^k that become y^κ, it is multiplied by the 2-norm of their
        numbers. So Σ_k |b·J_k|² is the same for each row b.

        Examples
        --------
        >>> ode = ODE.from_text("a' = (b + c)^2; b' = 0; c' = 0")
        >>> family = SummedSystem.of(ode, {"a": {"a": Fraction(1)}}).family()
        >>> (family.unfolded.to_float().toarray() ** 2).round(9).tolist()    # those of a' are (0, 2, 2), twice
        [[16.0], [0.0]]
        """
        family = self.jacobian
        if not self.merged:
            return family
        weights = self._norms_of_monomials()[family.generators] * self.lengths[family.columns]
        unfolded = family.unfolded
        values = unfolded.to_float().data * weights[unfolded.columns]
        values /= self.lengths[unfolded.owners]
        return replace(family, unfolded=replace(unfolded, values=ExactArray.from_floats(values)))

    def _norms_of_monomials(self) -> FloatArray:
        """For each y^κ of the Jacobian the 2-norm of its coefficients, multiplied out in the variables."""
        table, sizes = self.system.derivative.monomials, self.partition.sizes
        squares = np.ones(len(table))
        pairs, place = np.unique(
            np.stack([table.powers, sizes[table.variables]]), axis=1, return_inverse=True
        )
        factors = np.array([_square_of_power(*pair) for pair in pairs.T.tolist()])
        np.multiply.at(squares, table.owners, factors[place.ravel()])
        return np.sqrt(squares)


def _square_of_power(power: int, size: int) -> float:
    """The sum of the squares of the coefficients of a power of a sum of so many variables.

    Its quotient by power!² is the coefficient of t^power in the power ``size`` of Σ t^k/k!².

    Examples
    --------
    >>> _square_of_power(2, 2), _square_of_power(3, 1)      # x² + 2xy + y²
    (6.0, 1.0)
    """
    found = [1.0]
    for k in range(1, power + 1):
        terms = [(i * (size + 1) - k) / factorial(i) ** 2 * found[k - i] for i in range(1, k + 1)]
        found.append(sum(terms) / k)
    return found[power] * factorial(power) ** 2


def _equal_coefficients(ode: ODE, forms: Mapping[str, Mapping[str, Fraction]]) -> Partition:
    """Variables are together if each form has equal coefficients in them."""
    zero = Fraction(0)
    numbers = {(zero,) * len(forms): 0}
    labels = np.zeros(len(ode), dtype=np.int64)
    for name in {name: None for form in forms.values() for name in form}:
        key = tuple([form.get(name, zero) for form in forms.values()])
        labels[ode.index[name]] = numbers.setdefault(key, len(numbers))
    return Partition(labels)
