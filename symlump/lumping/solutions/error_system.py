"""Polynomials on boxes, and the error of a quotient as a polynomial system of its own.

Write b for the *base* and e for the error:

- forward: b = x, e = y − L·x, with L the 0/1 matrix of block sums, or the rows of a linear lumping;
- backward: b = y, e = x − U·y, with U the 0/1 matrix that copies each block's value to its members.

Both obey b' = p(b), e' = F(E·b, e) + d(b), with F(z, e) = f(z + e) − f(z): forward p = q, f = g, E = L and
d(x) = g(L·x) − L·q(x); backward p = g, f = q, E = U and d(y) = q(U·y) − U·g(y). F and the defect d are
multiplied out and their terms collected in exact rationals. So every term of F has a factor e, and d is as
small as the system is nearly lumpable, whatever the box; where the lumping is exact d has no term at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.lumping.solutions.aggregate import Aggregate, aggregate_of
from symlump.lumping.solutions.boxmap import BoolArray, Bounds, BoxMap
from symlump.lumping.solutions.defect import defect, increment
from symlump.lumping.solutions.function_defect import function_defect, function_increment
from symlump.lumping.solutions.functional import box_map, nonnegative_symbols
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.solutions.aggregate import AnyLumping


@dataclass(frozen=True, eq=False)
class ErrorSystem:
    """b' = p(b) and e' = F(E·b, e) + d(b), on boxes; a state is b and the live components of e.

    Parameters
    ----------
    base, increment, defect : BoxMap
        p, F and d.
    sums : Aggregate or None
        Forward, E = L; backward None: then E·b is written into F.
    live : ndarray of int64
        The components of e that can differ from 0, given where it starts.
    nonnegative : ndarray of bool
        Components of b that provably stay ≥ 0.
    undefined : list of str
        What had no enclosure in the last step that was tried.
    """

    base: BoxMap
    increment: BoxMap
    defect: BoxMap
    sums: Aggregate | None
    live: IntArray
    nonnegative: BoolArray
    undefined: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, lumping: AnyLumping, nonnegative: BoolArray, moved: BoolArray, arithmetic: Arithmetic
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
        sums = aggregate_of(lumping, arithmetic)
        base, f = lumping.ode, lumping.quotient
        source = np.arange(len(f))
        if lumping.kind == "partition" and sums is None:
            base, f, source = f, base, lumping.partition.labels
        functions = base.generators is not None or f.generators is not None
        d = function_defect(lumping) if functions else defect(lumping)
        moved = moved.copy()
        moved[d.rows] = True
        live = _reached(f, moved)
        position = np.cumsum(np.bincount(live, minlength=len(f))) - 1
        d = replace(d, rows=position[d.rows])  # ascending still, as live is
        if isinstance(f, PolynomialODE):
            change: ODE = increment(f, source, live)
        else:
            change = function_increment(f, source, live, lumping.quotient.variables)
        return cls(
            box_map(base, len(base), len(base), arithmetic),
            box_map(change, len(change), live.size, arithmetic),
            box_map(d, len(base), live.size, arithmetic),
            sums,
            live,
            staying_nonnegative(base, nonnegative),
        )

    @property
    def arithmetic(self) -> Arithmetic:
        """The arithmetic of all three maps."""
        return self.base.arithmetic

    def spread(self, b: Enclosures) -> Enclosures:
        """E·b, for b or for its deviation."""
        return b if self.sums is None else self.sums.enclose(b)

    def rate(self, state: FloatArray) -> FloatArray:
        """The derivative of a state, in floats and without any guarantee."""
        b = state[: self.base.inputs]
        z = b if self.sums is None else self.sums.approximate(b)
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
        places = self.increment.inputs - self.live.size
        through = change[0][:, :places], change[1][:, :places]
        if self.sums is not None:
            through = self.sums.compose(through)
        size, result = nb + self.live.size, []
        for k, outward in enumerate((-np.inf, np.inf)):
            matrix = np.zeros((size, size))
            matrix[:nb, :nb] = own[k]
            total = np.nextafter(direct[k] + through[k], outward)
            matrix[nb:, :nb] = np.where(through[k] == 0, direct[k], total)
            matrix[nb:, nb:] = change[k][:, places:]
            result.append(matrix)
        return result[0], result[1]

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


def _reached(ode: ODE, moved: BoolArray) -> IntArray:
    """The variables that the marked ones act on, directly or not, and they themselves."""
    sources, targets = ode.edges
    moved = moved.copy()
    while True:
        more = targets[moved[sources] & ~moved[targets]]
        if not more.size:
            return np.flatnonzero(moved).astype(np.int64)
        moved[more] = True


def staying_nonnegative(ode: ODE, start: BoolArray) -> BoolArray:
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
        positive = np.array(nonnegative_symbols(ode, inside.tolist()), dtype=bool)
        odd = (table.powers % 2 == 1) & ~positive[table.variables]
        bad_monomial = np.zeros(len(table), dtype=bool)
        bad_monomial[table.owners[odd]] = True
        leaving = np.zeros(len(ode), dtype=bool)
        leaving[ode.rows[negative | (~own & bad_monomial[ode.columns])]] = True
        if not (inside & leaving).any():
            return inside
        inside &= ~leaving
