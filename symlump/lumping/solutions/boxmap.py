"""Polynomial maps and their derivatives on boxes, in enclosures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.system import ODE

#: Lower and upper ends.
Bounds = tuple[FloatArray, FloatArray]
BoolArray = npt.NDArray[np.bool_]

#: A rule ∫₀¹ φ(s) ds ≈ Σ weight·φ(node) with positive weights: (node, weight) pairs.
_Rule = tuple[tuple[Fraction, Fraction], ...]
_MIDPOINT: _Rule = ((Fraction(1, 2), Fraction(1)),)
_SIMPSON: _Rule = tuple((Fraction(k, 2), Fraction(w, 6)) for k, w in enumerate((1, 4, 1)))


@dataclass(frozen=True, eq=False)
class BoxMap:
    """A polynomial map and its derivative, enclosed on boxes.

    Parameters
    ----------
    terms : ODE
        Its right-hand side is the map; only the first ``inputs`` variables occur, and only the first
        ``outputs`` equations count.
    arithmetic : Arithmetic
    """

    terms: ODE
    inputs: int
    outputs: int
    arithmetic: Arithmetic

    @cached_property
    def degree(self) -> int:
        """The total degree."""
        return int(self.terms.monomials.degrees.max(initial=0))

    @cached_property
    def _coefficients(self) -> Enclosures:
        return self.arithmetic.exact(self.terms.coefficients)

    @cached_property
    def _partials(self) -> PartialsOnBoxes:
        shape = self.outputs, self.inputs
        return PartialsOnBoxes(self.terms.derivative, shape, self.arithmetic)

    def values(self, box: Enclosures) -> Enclosures:
        """The map on a box of shape (inputs,); result of shape (outputs,)."""
        of_monomial = monomials_on(self.terms.monomials, box, self.arithmetic)
        parts = self._coefficients * of_monomial[self.terms.columns]
        return self.arithmetic.sums(parts, self.terms.rows, self.outputs)

    def approximate(self, x: FloatArray) -> FloatArray:
        """The map at a point, in floats and without any guarantee."""
        padded = np.zeros(len(self.terms))
        padded[: self.inputs] = x
        return self.terms.rhs(padded)[: self.outputs]

    def slopes(self, start: Enclosures, box: Bounds) -> Bounds:
        """Bounds of all M with map(a + v) − map(a) = M·v, for a in ``start`` and v in the box.

        M = ∫₀¹ J(a + s·v) ds. That is J at s = ½ where J is of degree 1, and Simpson's rule where it is of
        degree 2 or 3; else all of J between s = 0 and s = 1 is taken.

        Returns
        -------
        (ndarray, ndarray), shape (outputs, inputs)
        """
        m, d, (lower, upper) = self.arithmetic, self.terms.derivative, box
        if self.degree <= 4:
            average = None
            for node, weight in _MIDPOINT if self.degree <= 2 else _SIMPSON:
                at = start + m.number(node) * m.between(lower, upper)
                part = m.number(weight) * monomials_on(d.monomials, at, m)
                average = part if average is None else average + part
        else:
            at = start + m.between(np.minimum(lower, 0.0), np.maximum(upper, 0.0))
            average = monomials_on(d.monomials, at, m)
        assert average is not None
        return self._partials.combined(average)


@dataclass(frozen=True, eq=False)
class PartialsOnBoxes:
    """Partial derivatives of polynomials, enclosed on boxes.

    Parameters
    ----------
    derivative : PartialDerivatives
    shape : (int, int)
        How many polynomials and variables there are.
    arithmetic : Arithmetic
    """

    derivative: PartialDerivatives
    shape: tuple[int, int]
    arithmetic: Arithmetic

    @cached_property
    def _coefficients(self) -> Enclosures:
        return self.arithmetic.exact(self.derivative.coefficients)

    @cached_property
    def _groups(self) -> tuple[IntArray, IntArray]:
        """The entries that are not 0, as row · width + column, and each term's entry."""
        d = self.derivative
        entries, group = np.unique(d.equations * self.shape[1] + d.variables, return_inverse=True)
        return entries, group.ravel()

    def at(self, box: Enclosures) -> Bounds:
        """Their ends on a box."""
        return self.combined(monomials_on(self.derivative.monomials, box, self.arithmetic))

    def combined(self, of_monomial: Enclosures) -> Bounds:
        """Their ends where the monomials of the derivatives have theirs."""
        m, (entries, group) = self.arithmetic, self._groups
        parts = self._coefficients * of_monomial[self.derivative.columns]
        total = m.sums(parts, group, entries.size)
        bounds = []
        for end in (m.lower(total), m.upper(total)):
            matrix = np.zeros(self.shape[0] * self.shape[1])
            matrix[entries] = end
            bounds.append(matrix.reshape(self.shape))
        return bounds[0], bounds[1]


def monomials_on(table: Monomials, box: Enclosures, arithmetic: Arithmetic) -> Enclosures:
    """Values of all monomials on a box."""
    factors = arithmetic.powers(box[table.variables], table.powers)
    order = np.argsort(
        -table.lengths, kind="stable"
    )  # the longest first, so that each round is a prefix
    first = table.indptr[:-1][order]
    values = arithmetic.point(np.ones(len(table)))
    for k in range(int(table.lengths.max(initial=0))):
        count = int(np.count_nonzero(table.lengths > k))
        at = factors[first[:count] + k]
        values = arithmetic.concatenate([values[:count] * at if k else at, values[count:]])
    return values[np.argsort(order, kind="stable")]


class Undefined(Exception):
    """A function has no value, as far as enclosures tell, somewhere on a box; the message shows which."""
