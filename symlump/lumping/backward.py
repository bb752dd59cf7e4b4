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
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from symlump.lumping.equivalence import (
    Equivalence,
    Fingerprints,
    SignatureTerms,
    segment_residues,
    slices,
)
from symlump.lumping.partition import Partition
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.graph import dependency_edges
from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True)
class Backward(Equivalence):
    """Backward differential equivalence, exact (``eps=0``) or within a tolerance.

    The distance is d(i, j) = ‖q_i|_H − q_j|_H‖₁, where |_H replaces each variable by its block's.

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

    def signature(
        self, ode: PolynomialODE, labels: IntArray, members: IntArray | None
    ) -> SignatureTerms:
        """Key: the monomial with blocks in place of variables."""
        if members is None:
            _, position = ode.monomials.relabel(labels)
            return SignatureTerms(ode.rows, position[ode.columns], ode.coefficients)
        at = slices(np.searchsorted(ode.rows, np.arange(len(ode) + 1)), members)
        used, column = np.unique(ode.columns[at], return_inverse=True)
        _, position = ode.monomials.select(used).relabel(labels)
        return SignatureTerms(ode.rows[at], position[column.ravel()], ode.coefficients.take(at))

    def fingerprints(
        self, ode: PolynomialODE, prime: int, generator: np.random.Generator
    ) -> Fingerprints:
        """The right-hand side at a random point that is constant on blocks."""
        return _ValueFingerprints(ode, prime, generator)

    def needs(self, ode: PolynomialODE) -> tuple[IntArray, IntArray]:
        """x_i must know the blocks of the variables in its equation."""
        sources, targets = dependency_edges(ode)
        return targets, sources

    def quotient_terms(
        self, ode: PolynomialODE, partition: Partition
    ) -> tuple[IntArray, IntArray, ExactArray]:
        """The equation of each block's representative."""
        chosen = np.zeros(len(ode), dtype=bool)
        chosen[partition.representatives] = True
        keep = chosen[ode.rows]
        return partition.labels[ode.rows[keep]], ode.columns[keep], ode.coefficients.take(keep)


class _ValueFingerprints(Fingerprints):
    def __init__(self, ode: PolynomialODE, prime: int, generator: np.random.Generator) -> None:
        self._ode = ode
        self._coefficients = ode.coefficients.residues(prime)
        self._indptr = np.searchsorted(ode.rows, np.arange(len(ode) + 1))
        self._prime, self._generator = prime, generator

    def __call__(self, labels: IntArray, members: IntArray) -> npt.NDArray[np.uint64]:
        p = np.uint64(self._prime)
        blocks = int(labels.max(initial=-1)) + 1
        random = self._generator.integers(0, self._prime, size=blocks, dtype=np.uint64)
        at = slices(self._indptr, members)
        used, column = np.unique(self._ode.columns[at], return_inverse=True)
        values = self._ode.monomials.select(used).residues(random[labels], self._prime)
        parts = self._coefficients[at] * values[column.ravel()] % p
        return segment_residues(
            parts, self._indptr[members + 1] - self._indptr[members], self._prime
        )
