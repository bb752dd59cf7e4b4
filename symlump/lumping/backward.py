"""Backward differential equivalence: members that start equal stay equal.

i ~ j iff q_i = q_j after every variable is replaced by its block's. The quotient keeps one copy per
block.

References
----------
Cardelli, Tribastone, Tschaikowski, Vandin, doi:10.1073/pnas.1702697114 (exact) and
arXiv:1807.06888 (approximate).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from symlump.lumping.elementary import backward as elementary
from symlump.lumping.equivalence import (
    Equivalence,
    Fingerprints,
    SignatureTerms,
    slices,
)
from symlump.lumping.partition import Partition
from symlump.lumping.plan import EquivalencePlan, Initial
from symlump.lumping.refinement.field import ModularMatrix, Residues, sums_by_key
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import ranges
from symlump.ode.system import ODE


@dataclass(frozen=True)
class Backward(Equivalence):
    """Backward differential equivalence, exact (``eps=0``) or within a tolerance.

    The distance is ``d(i, j) = ‖q_i|_H − q_j|_H‖₁``, where ``|_H`` replaces each variable by its block's.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE, lump
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: x3 - x1**2, x2: x3 - x2**2, x3: 1 - 2*x1 - x2})
    >>> print(lump(ode, Backward()))
    3 → 2 variables by backward equivalence, exact, proof checked
    y1 = x1 = x2
    y1' = -y1^2 + x3
    x3' = 1 - 3*y1
    """

    direction: ClassVar[str] = "backward"

    def plan(self, subject: ODE, initial: Initial = None, *, seed: int = 0) -> EquivalencePlan:
        """See :class:`symlump.lumping.equivalence.LumpingMethod`."""
        return EquivalencePlan.of(subject, self, initial, seed)

    def signature(self, ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
        """Key: the monomial with blocks in place of variables."""
        if ode.generators is not None:
            return elementary.signature(ode, labels, members)
        if members is None:
            table, position = ode.monomials.relabel(labels)
            owners, keys, values = ode.rows, position[ode.columns], ode.coefficients
        else:
            at = slices(np.searchsorted(ode.rows, np.arange(len(ode) + 1)), members)
            used, column = np.unique(ode.columns[at], return_inverse=True)
            table, position = ode.monomials.select(used).relabel(labels)
            owners, keys = ode.rows[at], position[column.ravel()]
            values = ode.coefficients.take(at)

        def describe(key: int) -> tuple[int | None, tuple[tuple[int, int], ...]]:
            factors = table.factors(key)
            return None, tuple((int(np.flatnonzero(labels == b)[0]), power) for b, power in factors)

        return SignatureTerms(owners, keys, values, describe)

    def fingerprints(self, ode: ODE, prime: int, generator: np.random.Generator) -> Fingerprints:
        """The right-hand side at a random point that is constant on blocks."""
        if ode.generators is not None:
            return elementary.fingerprints(ode, prime)
        return _ValueFingerprints(ode, prime, generator)

    def check_defined(self, ode: ODE, labels: IntArray) -> None:
        """Refuse a partition on whose blocks a denominator is always 0."""
        if ode.generators is not None:
            elementary.check_defined(ode, labels)

    def needs(self, ode: ODE) -> tuple[IntArray, IntArray]:
        """x_i must know the blocks of the variables in its equation."""
        sources, targets = ode.edges
        return targets, sources

    def quotient_terms(
        self, ode: ODE, partition: Partition
    ) -> tuple[IntArray, IntArray, ExactArray]:
        """The equation of each block's representative."""
        chosen = np.zeros(len(ode), dtype=bool)
        chosen[partition.representatives] = True
        keep = chosen[ode.rows]
        return partition.labels[ode.rows[keep]], ode.columns[keep], ode.coefficients.take(keep)


class _ValueFingerprints(Fingerprints):
    """q = C·m(weights): the weights are the point; monomial values are kept for updates."""

    def __init__(self, ode: ODE, prime: int, generator: np.random.Generator) -> None:
        self._ode, self.prime = ode, prime
        self._indptr = np.searchsorted(ode.rows, np.arange(len(ode) + 1))
        self._matrix = ModularMatrix.of(
            ode.coefficients.residues(prime), ode.columns, self._indptr, len(ode.monomials), prime
        )
        self._values = np.zeros(len(ode.monomials), dtype=np.uint64)

    @cached_property
    def _by_monomial(self) -> ModularMatrix:
        return self._matrix.transpose()

    @cached_property
    def _occurrences(self) -> tuple[IntArray, IntArray]:
        """The monomials that contain each variable, in compressed rows."""
        table = self._ode.monomials
        order = np.argsort(table.variables, kind="stable")
        indptr = np.searchsorted(table.variables[order], np.arange(len(self._ode) + 1))
        return indptr, table.owners[order]

    def evaluate(self, weights: Residues, members: IntArray) -> Residues:
        if members.size == len(self._ode):
            self._values = self._ode.monomials.residues(weights, self.prime)
            return self._matrix.dot(self._values)[members]
        matrix = self._matrix.rows(members)
        used = distinct(matrix.matrix.indices)
        self._values[used] = self._ode.monomials.select(used).residues(weights, self.prime)
        return matrix.dot(self._values)

    def update(
        self, weights: Residues, changed: IntArray, before: Residues
    ) -> tuple[IntArray, Residues]:
        p = np.uint64(self.prime)
        indptr, owners = self._occurrences
        monomial = distinct(owners[slices(indptr, changed)])
        value = self._ode.monomials.select(monomial).residues(weights, self.prime)
        step = (value + p - self._values[monomial]) % p
        self._values[monomial] = value
        by_monomial = self._by_monomial.matrix
        # Slices first: converting whole arrays would make each small update cost O(terms).
        starts = by_monomial.indptr[monomial].astype(np.int64)
        lengths = by_monomial.indptr[monomial + 1].astype(np.int64) - starts
        at = ranges(starts, lengths)
        parts = by_monomial.data[at].astype(np.uint64) * np.repeat(step, lengths) % p
        return sums_by_key(by_monomial.indices[at].astype(np.int64), parts, self.prime)

    def update_cost(self, changed: IntArray) -> float:
        if changed.size > len(self._ode) // 4:
            return 1.0  # without looking at each: the table of occurrences may never be needed
        indptr, _ = self._occurrences
        return float((indptr[changed + 1] - indptr[changed]).sum()) / max(1, int(indptr[-1]))
