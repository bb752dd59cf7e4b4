"""Forward differential equivalence: block sums obey a system of their own.

i ~ j iff ∂f_B/∂x_i = ∂f_B/∂x_j for every block B, where f_B = Σ_{k∈B} q_k. Then y_B = Σ_{i∈B} x_i
satisfies y_B' = f_B with one member of each block set to y and the others to 0, from any initial
state.

References
----------
Cardelli, Tribastone, Tschaikowski, Vandin, doi:10.1073/pnas.1702697114 (exact) and
arXiv:1807.06888 (approximate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from symlump.errors import MethodError
from symlump.lumping.elementary import forward as elementary
from symlump.lumping.elementary.slopes import GradientFingerprints
from symlump.lumping.equivalence import (
    Equivalence,
    Fingerprints,
    SignatureTerms,
    polynomial_only,
    slices,
)
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.plan import EquivalencePlan, Initial
from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.graph import block_edges
from symlump.ode.monomials import starts_of
from symlump.ode.system import ODE
from symlump.plan import Plan


@dataclass(frozen=True)
class Forward(Equivalence):
    """Forward differential equivalence, exact (``eps=0``) or within a tolerance.

    The distance is d(i, j) = Σ_B ‖∂f_B/∂x_i − ∂f_B/∂x_j‖₁.

    Parameters
    ----------
    eps, linkage, relative, scale, retain
        See :class:`symlump.lumping.equivalence.Equivalence`.
    erode : bool
        Measure by the published substitution norm instead, for comparison with that tool; see
        :mod:`symlump.lumping.tolerance.substitution`. Linkage "closure" or "diameter".

    Raises
    ------
    MethodError
        If an option is out of range.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE, lump
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: -x1*x3, x2: -x2*x3, x3: -(x1 + x2)*x3})
    >>> print(lump(ode, Forward()))
    3 → 2 variables by forward equivalence, exact, proof checked
    y1 = x1 + x2
    y1' = -y1*x3
    x3' = -y1*x3
    """

    erode: bool = False

    direction: ClassVar[str] = "forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.erode and (self.linkage == "variance" or self.relative):
            raise MethodError(
                "erode=True is the published distance: it has no means, so it goes with linkage='closure' or "
                "'diameter', and no unit, so relative=True is not defined for it"
            )

    def pair_distances(self, ode: ODE, labels: IntArray, members: IntArray) -> FloatArray | None:
        """Distances by the substitution norm, for ``erode=True``.

        Parameters
        ----------
        ode : ODE
        labels : ndarray of int, shape (variables,)
            The block of each variable.
        members : ndarray of int
            The variables that are asked for.

        Returns
        -------
        ndarray, shape (members, members), or None

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a; b' = -1.5*b")
        >>> distances = Forward(eps=1, erode=True).pair_distances(ode, np.array([0, 0]), np.array([0, 1]))
        >>> distances.tolist(), Forward().pair_distances(ode, np.array([0, 0]), np.array([0, 1]))
        ([[0.0, 1.5], [1.5, 0.0]], None)
        """
        if not self.erode:
            return None
        instead = "Forward(eps) without it measures derivatives"
        from symlump.lumping.tolerance.substitution import substitution_distances

        return substitution_distances(polynomial_only(ode, "erode=True", instead), labels, members)

    def plan(self, subject: ODE, initial: Initial = None, *, seed: int = 0) -> Plan[Lumping]:
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
        >>> plan = Forward().plan(ode)
        >>> [len(plan.at(eps).partition) for eps in (0, 0.2)]
        [2, 1]
        """
        return EquivalencePlan.of(subject, self, initial, seed)

    def signature(self, ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
        """Key (B, monomial): the coefficient of the monomial in ∂f_B/∂x_i.

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
        >>> ode = ODE.from_text("a' = -a*c; b' = -2*b*c; c' = 0")
        >>> terms = Forward().signature(ode, np.array([0, 0, 1]), None)
        >>> terms.agree(Partition([0, 0, 1])), terms.agree(Partition([0, 1, 2]))
        (False, True)
        """
        if ode.generators is not None:
            everything = np.arange(len(ode))
            return elementary.signature(ode, labels, everything if members is None else members)
        d = PartialDerivatives.loose(ode) if members is None else ode.derivative
        width = max(1, len(d.monomials))

        def describe(key: int) -> tuple[int | None, tuple[tuple[int, int], ...]]:
            return key // width, tuple(d.monomials.factors(key % width))

        if members is None:
            if width == 1:
                return SignatureTerms(
                    d.variables, d.equations, d.coefficients, describe, labels=labels
                )
            keys = labels[d.equations]
            keys *= width
            keys += d.columns
            return SignatureTerms(d.variables, keys, d.coefficients, describe)
        at = slices(starts_of(d.variables, len(ode)), members)
        keys = labels[d.equations[at]] * width + d.columns[at]
        return SignatureTerms(d.variables[at], keys, d.coefficients.take(at), describe)

    def fingerprints(self, ode: ODE, prime: int, generator: np.random.Generator) -> Fingerprints:
        """Gradient of Σ_k r_{B(k)}·q_k at a random point: one vector–Jacobian product.

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
        >>> values = Forward().fingerprints(ode, 101, np.random.default_rng(0))
        >>> values.evaluate(np.ones(3, dtype=np.uint64), np.arange(3)).tolist()
        [100, 100, 99]
        """
        return GradientFingerprints(ode, prime, generator)

    def agrees(self, ode: ODE, partition: Partition) -> bool:
        """True if a partition is an exact equivalence.

        Parameters
        ----------
        ode : ODE
        partition : Partition

        Returns
        -------
        bool

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a*c; b' = -b*c; c' = 0")
        >>> Forward().agrees(ode, Partition([0, 0, 1]))
        True
        """
        if ode.generators is not None:
            return elementary.agrees(ode, partition)
        return super().agrees(ode, partition)

    def needs(self, ode: ODE, labels: IntArray) -> tuple[IntArray, IntArray]:
        """x_i must know the blocks of the equations it occurs in.

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
        >>> [ends.tolist() for ends in Forward().needs(ode, np.array([0, 1]))]
        [[0, 0], [0, 1]]
        """
        return block_edges(ode, labels)

    def quotient_terms(
        self, ode: ODE, partition: Partition
    ) -> tuple[IntArray, IntArray, ExactArray]:
        """f_B restricted to the monomials in representatives only (the other members are 0).

        Parameters
        ----------
        ode : ODE
        partition : Partition

        Returns
        -------
        rows, columns, coefficients

        Examples
        --------
        >>> ode = ODE.from_text("a' = -a*c; b' = -b*c; c' = 0")
        >>> rows, columns, coefficients = Forward().quotient_terms(ode, Partition([0, 0, 1]))
        >>> rows.tolist(), [ode.monomials.factors(int(c)) for c in columns], coefficients.to_float().tolist()
        ([0], [[(0, 1), (2, 1)]], [-1.0])
        """
        table = ode.monomials
        other = np.ones(len(ode), dtype=bool)
        other[partition.representatives] = False
        foreign = np.bincount(table.owners, weights=other[table.variables], minlength=len(table))
        keep = foreign[ode.columns] == 0
        return partition.labels[ode.rows[keep]], ode.columns[keep], ode.coefficients.take(keep)
