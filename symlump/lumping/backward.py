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

from symlump.lumping.elementary import backward as elementary
from symlump.lumping.elementary.values import ValueFingerprints
from symlump.lumping.equivalence import (
    Equivalence,
    Fingerprints,
    SignatureTerms,
    slices,
)
from symlump.lumping.partition import Partition
from symlump.lumping.plan import EquivalencePlan, Initial
from symlump.ode.distinct import places_of
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.graph import block_edges
from symlump.ode.system import ODE


@dataclass(frozen=True)
class Backward(Equivalence):
    """Backward differential equivalence, exact (``eps=0``) or within a tolerance.

    The distance is ``d(i, j) = ‖q_i|_H − q_j|_H‖₁``, where ``|_H`` replaces each variable by its block's.

    Parameters
    ----------
    eps, linkage, relative, scale, retain
        See :class:`symlump.lumping.equivalence.Equivalence`.

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
        """Analyse a system, once for all tolerances; see :class:`symlump.lumping.equivalence.LumpingMethod`.

        Parameters
        ----------
        subject : ODE
        initial : Partition or blocks of names, optional
            What may merge; default: everything.
        seed : int
            Of the random points.

        Returns
        -------
        Plan

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -a; b' = -1.1*b")
        >>> plan = Backward().plan(ode)
        >>> [len(plan.at(eps).partition) for eps in (0, 0.2)]
        [2, 1]
        """
        return EquivalencePlan.of(subject, self, initial, seed)

    def signature(self, ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
        """Key: the monomial with blocks in place of variables.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.
        members : ndarray of int, or None
            The variables that are asked for; None: all.

        Returns
        -------
        SignatureTerms

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a*c; b' = -b*c; c' = a - b")
        >>> terms = Backward().signature(ode, np.array([0, 0, 1]), None)
        >>> terms.agree(Partition([0, 0, 1]))
        True
        """
        if ode.generators is not None:
            return elementary.signature(ode, labels, members)
        if members is None:
            table, position = ode.monomials.relabel(labels)
            owners, keys, values = ode.rows, position[ode.columns], ode.coefficients
        else:
            at = slices(ode.indptr, members)
            used, column = places_of(ode.columns[at], len(ode.monomials))
            table, position = ode.monomials.select(used).relabel(labels)
            owners, keys = ode.rows[at], position[column]
            values = ode.coefficients.take(at)

        def describe(key: int) -> tuple[int | None, tuple[tuple[int, int], ...]]:
            factors = table.factors(key)
            return None, tuple((int(np.flatnonzero(labels == b)[0]), power) for b, power in factors)

        return SignatureTerms(owners, keys, values, describe)

    def fingerprints(self, ode: ODE, prime: int, generator: np.random.Generator) -> Fingerprints:
        """The right-hand side at a random point that is constant on blocks.

        Parameters
        ----------
        ode : ODE
        prime : int
            The field's characteristic.
        generator : numpy.random.Generator

        Returns
        -------
        Fingerprints

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a; b' = -b; c' = -2*c")
        >>> values = Backward().fingerprints(ode, 101, np.random.default_rng(0))
        >>> values.evaluate(np.full(3, 3, dtype=np.uint64), np.arange(3)).tolist()
        [98, 98, 95]
        """
        return ValueFingerprints(ode, prime)

    def check_defined(self, ode: ODE, labels: IntArray) -> None:
        """Raise if a denominator is always 0 on the blocks of a partition.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.

        Raises
        ------
        PartitionError
            Then backward equivalence has no meaning there.

        Examples
        --------
        >>> Backward().check_defined(ODE.from_text("a' = 1/(a + b); b' = 1"), np.array([0, 0]))
        >>> Backward().check_defined(  # doctest: +ELLIPSIS
        ...     ODE.from_text("a' = 1/(a - b); b' = 1"), np.array([0, 0]))
        Traceback (most recent call last):
        ...
        symlump.errors.PartitionError: division by zero: 1/(a - b) where the variables of a block are equal, ...
        """
        if ode.generators is not None:
            elementary.check_defined(ode, labels)

    def needs(self, ode: ODE, labels: IntArray) -> tuple[IntArray, IntArray]:
        """x_i must know the blocks of the variables in its equation.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.

        Returns
        -------
        pair of ndarray of int, shape (links,)

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a; b' = a")
        >>> [ends.tolist() for ends in Backward().needs(ode, np.array([0, 1]))]
        [[0, 1], [0, 0]]
        """
        sources, targets = block_edges(ode, labels)
        return targets, sources

    def quotient_terms(
        self, ode: ODE, partition: Partition
    ) -> tuple[IntArray, IntArray, ExactArray]:
        """The equations of the quotient: those of each block's representative, with blocks for variables.

        Parameters
        ----------
        ode : ODE
        partition : Partition

        Returns
        -------
        rows, columns, coefficients

        Examples
        --------
        >>> ode = ODE.from_text("a' = -b; b' = -a")
        >>> rows, columns, coefficients = Backward().quotient_terms(ode, Partition([0, 0]))
        >>> rows.tolist(), [ode.monomials.factors(int(c)) for c in columns], coefficients.to_float().tolist()
        ([0], [[(1, 1)]], [-1.0])
        """
        chosen = np.zeros(len(ode), dtype=bool)
        chosen[partition.representatives] = True
        keep = chosen[ode.rows]
        return partition.labels[ode.rows[keep]], ode.columns[keep], ode.coefficients.take(keep)
