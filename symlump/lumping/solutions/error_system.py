"""Polynomials on boxes, and the error of a quotient as a polynomial system of its own.

Write b for the *base* and e for the error:

- forward: b = x, e = y − L·x, with L the 0/1 matrix of block sums;
- backward: b = y, e = x − U·y, with U the 0/1 matrix that copies each block's value to its members.

Both obey b' = p(b), e' = F(E·b, e) + d(b), with F(z, e) = f(z + e) − f(z): forward p = q, f = g, E = L and
d(x) = g(L·x) − L·q(x); backward p = g, f = q, E = U and d(y) = q(U·y) − U·g(y). F and the defect d are
multiplied out and their terms collected in exact rationals. So every term of F has a factor e, and d is as
small as the system is nearly lumpable, whatever the box; where the lumping is exact d has no term at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.lumping.equivalence import polynomial_only
from symlump.lumping.solutions.defect import defect, increment
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping

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
    terms : PolynomialODE
        Its right-hand side is the map; only the first ``inputs`` variables occur, and only the first
        ``outputs`` equations count.
    arithmetic : Arithmetic
    """

    terms: PolynomialODE
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
    def _slope_coefficients(self) -> Enclosures:
        return self.arithmetic.exact(self.terms.derivative.coefficients)

    @cached_property
    def _slope_groups(self) -> tuple[IntArray, IntArray]:
        """The entries of the Jacobian that are not 0, as row · inputs + column, and each term's entry."""
        d = self.terms.derivative
        entries, group = np.unique(d.equations * self.inputs + d.variables, return_inverse=True)
        return entries, group.ravel()

    def values(self, box: Enclosures) -> Enclosures:
        """The map on a box of shape (inputs,); result of shape (outputs,)."""
        of_monomial = _monomials(self.terms.monomials, box, self.arithmetic)
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
                part = m.number(weight) * _monomials(d.monomials, at, m)
                average = part if average is None else average + part
        else:
            at = start + m.between(np.minimum(lower, 0.0), np.maximum(upper, 0.0))
            average = _monomials(d.monomials, at, m)
        assert average is not None
        entries, group = self._slope_groups
        total = m.sums(self._slope_coefficients * average[d.columns], group, entries.size)
        bounds = []
        for end in (m.lower(total), m.upper(total)):
            matrix = np.zeros(self.outputs * self.inputs)
            matrix[entries] = end
            bounds.append(matrix.reshape(self.outputs, self.inputs))
        return bounds[0], bounds[1]


def _monomials(table: Monomials, box: Enclosures, arithmetic: Arithmetic) -> Enclosures:
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


@dataclass(frozen=True, eq=False)
class ErrorSystem:
    """b' = p(b) and e' = F(E·b, e) + d(b), on boxes; a state is b and the live components of e.

    Parameters
    ----------
    base, increment, defect : BoxMap
        p, F and d.
    labels : ndarray of int64 or None
        Forward, the block of each variable; backward None: then E·b is written into F.
    live : ndarray of int64
        The components of e that can differ from 0, given where it starts.
    nonnegative : ndarray of bool
        Components of b that provably stay ≥ 0.
    """

    base: BoxMap
    increment: BoxMap
    defect: BoxMap
    labels: IntArray | None
    live: IntArray
    nonnegative: BoolArray

    @classmethod
    def of(
        cls, lumping: Lumping, nonnegative: BoolArray, moved: BoolArray, arithmetic: Arithmetic
    ) -> ErrorSystem:
        """The error system of a lumping.

        Parameters
        ----------
        nonnegative : ndarray of bool, shape (base,)
            Where b(0) ≥ 0.
        moved : ndarray of bool, shape (errors,)
            Where e(0) may differ from 0.

        Raises
        ------
        FailureError
            If the defect would have more than 2 000 000 terms.
        """
        labels = lumping.partition.labels
        forward = lumping.method.direction == "forward"
        base, f = (polynomial_only(s, "a bound") for s in (lumping.ode, lumping.quotient))
        if not forward:
            base, f = f, base
        d = defect(lumping)
        moved = moved.copy()
        moved[d.rows] = True
        live = _reached(f, moved)
        position = np.cumsum(np.bincount(live, minlength=len(f))) - 1
        d = replace(d, rows=position[d.rows])  # ascending still, as live is
        source = np.arange(len(f)) if forward else labels
        change = increment(f, source, live)
        return cls(
            BoxMap(base, len(base), len(base), arithmetic),
            BoxMap(change, len(change), live.size, arithmetic),
            BoxMap(d, len(base), live.size, arithmetic),
            labels if forward else None,
            live,
            staying_nonnegative(base, nonnegative),
        )

    @property
    def arithmetic(self) -> Arithmetic:
        """The arithmetic of all three maps."""
        return self.base.arithmetic

    def spread(self, b: Enclosures) -> Enclosures:
        """E·b, for b or for its deviation."""
        if self.labels is None:
            return b
        return self.arithmetic.sums(b, self.labels, self.increment.inputs - self.live.size)

    def rate(self, state: FloatArray) -> FloatArray:
        """The derivative of a state, in floats and without any guarantee."""
        b = state[: self.base.inputs]
        places = self.increment.inputs - self.live.size
        z = b if self.labels is None else np.bincount(self.labels, b, minlength=places)
        error = np.concatenate([z, state[b.size :]])
        return np.concatenate(
            [
                self.base.approximate(b),
                self.increment.approximate(error) + self.defect.approximate(b),
            ]
        )

    def values(self, box: Enclosures) -> Enclosures:
        """The derivative of all states in a box."""
        m, b, e = self.arithmetic, box[: self.base.inputs], box[self.base.inputs :]
        change = self.increment.values(m.concatenate([self.spread(b), e]))
        return m.concatenate([self.base.values(b), change + self.defect.values(b)])

    def slopes(self, start: Enclosures, box: Bounds) -> Bounds:
        """Bounds of all M with P(a + v) − P(a) = M·v, for P the derivative, a in ``start`` and v in the box."""
        m, nb = self.arithmetic, self.base.inputs
        shift = self.spread(m.between(box[0][:nb], box[1][:nb]))
        moved = m.concatenate([shift, m.between(box[0][nb:], box[1][nb:])])
        at = m.concatenate([self.spread(start[:nb]), start[nb:]])
        change = self.increment.slopes(at, (m.lower(moved), m.upper(moved)))
        direct = self.defect.slopes(start[:nb], (box[0][:nb], box[1][:nb]))
        own = self.base.slopes(start[:nb], (box[0][:nb], box[1][:nb]))
        return (
            self._assembled(own[0], direct[0], change[0], -np.inf),
            self._assembled(own[1], direct[1], change[1], np.inf),
        )

    def _assembled(
        self, own: FloatArray, direct: FloatArray, change: FloatArray, outward: float
    ) -> FloatArray:
        nb, places = self.base.inputs, self.increment.inputs - self.live.size
        result = np.zeros((nb + self.live.size, nb + self.live.size))
        result[:nb, :nb] = own
        through = change[:, :places] if self.labels is None else change[:, self.labels]
        total = direct + through
        result[nb:, :nb] = np.where(through == 0, direct, np.nextafter(total, outward))
        result[nb:, nb:] = change[:, places:]
        return result

    def comparison(self, where: Bounds, error: FloatArray) -> tuple[Bounds, FloatArray]:
        """Bounds of all M with F(E·b, e) = M·e, and of |d(b)|, for b in a box and |e| ≤ ``error``."""
        m = self.arithmetic
        b = m.between(*where)
        still = np.zeros(self.increment.inputs - self.live.size)
        moved = np.concatenate([still, -error]), np.concatenate([still, error])
        start = m.concatenate([self.spread(b), m.point(np.zeros(self.live.size))])
        low, high = self.increment.slopes(start, moved)
        # The range of d on the box, and its mean value form about the middle: either can be the narrower.
        middle, radius = m.ball(b)
        steepest = np.maximum(*map(np.abs, self.defect.slopes(m.point(middle), (-radius, radius))))
        away = m.point(steepest) @ m.point(radius)
        mean = m.upper(m.point(m.magnitude(self.defect.values(m.point(middle)))) + away)
        size = np.minimum(m.magnitude(self.defect.values(b)), mean)
        return (low[:, still.size :], high[:, still.size :]), size


def _reached(ode: PolynomialODE, moved: BoolArray) -> IntArray:
    """The variables that the marked ones act on, directly or not, and they themselves."""
    sources, targets = ode.edges
    moved = moved.copy()
    while True:
        more = targets[moved[sources] & ~moved[targets]]
        if not more.size:
            return np.flatnonzero(moved).astype(np.int64)
        moved[more] = True


def staying_nonnegative(ode: PolynomialODE, start: BoolArray) -> BoolArray:
    """Variables that stay ≥ 0 from where those of ``start`` are, as the signs of terms prove.

    The largest set P ⊆ start such that in the equation of each i in P every term without x_i is ≥ 0 once all
    of P is: its coefficient is positive and no variable outside P has an odd power in it. Then q_i ≥ 0 on the
    face x_i = 0, and no solution leaves P's orthant (Nagumo; q is Lipschitz).

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x, y = sympy.symbols("x y")
    >>> ode = PolynomialODE.from_sympy({x: y - x*y, y: x - 1})
    >>> staying_nonnegative(ode, np.array([True, True])).tolist()
    [False, False]
    """
    table = ode.monomials
    inside = np.asarray(start, dtype=bool).copy()
    width = max(1, len(ode))
    # Which terms contain their own variable.
    own = np.isin(ode.columns * width + ode.rows, table.owners * width + table.variables)
    negative = ~own & np.asarray(ode.coefficients.numerators < 0)
    while True:
        odd = (table.powers % 2 == 1) & ~inside[table.variables]
        bad_monomial = np.zeros(len(table), dtype=bool)
        bad_monomial[table.owners[odd]] = True
        leaving = np.zeros(len(ode), dtype=bool)
        leaving[ode.rows[negative | (~own & bad_monomial[ode.columns])]] = True
        if not (inside & leaving).any():
            return inside
        inside &= ~leaving
