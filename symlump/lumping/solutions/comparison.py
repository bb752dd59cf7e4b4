"""Bounds of |e| from logarithmic norms and from a comparison system, one step at a time.

Where e' = M·e + d with M in an interval matrix and |d| ≤ D during a step,

- ‖e‖' ≤ μ(M)·‖e‖ + ‖d‖ for the logarithmic norm μ of each of the norms 1, 2 and ∞, so with Λ ≥ μ(M)
  ‖e(h)‖ ≤ exp(Λ·h)·‖e(0)‖ + ‖D‖·(exp(Λ·h) − 1)/Λ;
- |e|' ≤ K·|e| + D entrywise, with K the Metzler majorant of M: upper ends on the diagonal, largest absolute
  values beside it. This is at least as good as every weighted 1-norm or ∞-norm.

They are run side by side, and after each step each is given what the others know.

References
----------
Dahlquist, "Stability and error bounds in the numerical integration of ordinary differential equations"
(1958); Söderlind, "The logarithmic norm. History and modern theory", doi:10.1007/s10543-006-0069-9.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic
from symlump.enclosures.interval import Interval, sum_up
from symlump.lumping.solutions.boxmap import Bounds
from symlump.lumping.solutions.flow import TimeStep, action, majorants, norm
from symlump.ode.exact import FloatArray

NORMS = ("1", "2", "max")
#: The Taylor sums of the comparison are used up to this norm; beyond it the comparison is left out.
_LARGEST = 20.0


class Comparison:
    """Bounds of |e|, as time goes on.

    Parameters
    ----------
    initial : ndarray, shape (live,)
        Bounds of |e(0)|.
    """

    def __init__(self, arithmetic: Arithmetic, initial: FloatArray) -> None:
        self.m = arithmetic
        self._now = np.concatenate([initial, norms(initial)])
        #: The largest ‖D‖ and Λ of all steps, in the order of NORMS.
        self.largest_defect = np.zeros(3)
        self.largest_growth = np.full(3, -np.inf)

    @property
    def components(self) -> FloatArray:
        """Bounds of the components of |e| now."""
        return self._now[:-3]

    @np.errstate(over="ignore", invalid="ignore")
    def after(self, step: TimeStep) -> tuple[FloatArray, FloatArray]:
        """Go one step on.

        Returns
        -------
        (ndarray, ndarray)
            Bounds of the components of |e| during the step, and of its norms, in the order of NORMS: the
            best that the step's own enclosure, the norms and the comparison system together give.
        """
        m, size = self.m, step.error.size
        growth = logarithmic_norms(m, step.slopes)
        force = np.concatenate([step.defect, norms(step.defect)])
        self.largest_defect = np.maximum(self.largest_defect, force[size:])
        self.largest_growth = np.maximum(self.largest_growth, growth)
        # One matrix for all: components, the three norms, and a constant that carries the force.
        constant = float(force.max(initial=0.0)) or 1.0
        rate = np.zeros((size + 4, size + 4))
        rate[:size, :size] = comparison_matrix(step.slopes)
        rate[size:-1, size:-1] = np.diag(growth)
        rate[:-1, -1] = force / constant * (1 + 2.0**-51)
        scaled = m.upper(m.point(rate) * m.number(step.length))
        during = end = np.full(size + 3, np.inf)
        if norm(scaled)[0] <= _LARGEST:
            decaying, growing = majorants(scaled)
            now = np.append(self._now, constant)[:, None]
            end = action(m, decaying, now, 0)[:-1, 0]
            during = action(m, growing, now, 0)[:-1, 0]
            # The bound of a norm solves one scalar linear equation, so it goes up or down all the time.
            during[size:] = np.maximum(self._now[size:], end[size:])
        self._now = _together(end, step.last_error)
        best = _together(during, step.error)
        return best[:size], best[size:]


def _together(bounds: FloatArray, known: FloatArray) -> FloatArray:
    """Components and norms, each improved by the others; ``known`` are more bounds of the components."""
    size = known.size
    bounds = np.where(np.isnan(bounds), np.inf, bounds)
    components = np.minimum(np.minimum(bounds[:size], known), bounds[size:].min())
    return np.concatenate([components, np.minimum(bounds[size:], norms(components))])


def norms(bounds: FloatArray) -> FloatArray:
    """At least the norms 1, 2 and ∞ of all vectors with |v| ≤ ``bounds``.

    Examples
    --------
    >>> norms(np.array([3.0, 4.0])).round(6).tolist()
    [7.0, 5.0, 4.0]
    """
    largest = float(bounds.max(initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return np.full(3, largest)
    # The scale, a power of two, keeps squares from overflow and underflow.
    scale = 2.0 ** np.floor(np.log2(largest))
    squares = float(sum_up(((bounds / scale) ** 2)[None, :])[0])
    return np.array(
        [sum_up(bounds[None, :])[0], scale * np.sqrt(squares) * (1 + 2.0**-49), largest]
    )


def comparison_matrix(slopes: Bounds) -> FloatArray:
    """The Metzler majorant of an interval matrix.

    Examples
    --------
    >>> comparison_matrix((np.array([[-3.0, -2.0], [0.0, 1.0]]), np.array([[-2.0, 1.0], [1.0, 1.0]]))).tolist()
    [[-2.0, 2.0], [1.0, 1.0]]
    """
    low, high = slopes
    result = np.maximum(np.abs(low), np.abs(high))
    np.fill_diagonal(result, np.diag(high))
    return result


def logarithmic_norms(m: Arithmetic, slopes: Bounds) -> FloatArray:
    """Upper bounds of the logarithmic norms 1, 2 and ∞ of all matrices in an interval matrix.

    μ_∞ = max_i (m_ii + Σ_j |m_ij|), μ_1 the same of the transpose, μ_2 the largest eigenvalue of the
    symmetric part. That is enclosed by Gershgorin's discs of QᵀSQ, with Q the eigenvectors found in floats;
    what Q lacks of being orthogonal is accounted for.

    Examples
    --------
    >>> from symlump.enclosures.arithmetics import arithmetic
    >>> a = np.array([[-1.0, 2.0], [0.0, -1.0]])
    >>> logarithmic_norms(arithmetic("float64"), (a, a)).round(6).tolist()
    [1.0, 0.0, 1.0]
    """
    majorant = comparison_matrix(slopes)
    by_rows, by_columns = _discs(m, majorant), _discs(m, majorant.T.copy())
    matrix = m.between(*slopes)
    symmetric = (matrix + matrix.T) * m.number(Fraction(1, 2))
    middle, radius = Interval(m.lower(symmetric), m.upper(symmetric)).ball()
    if not np.isfinite(middle).all():
        return np.full(3, np.inf)
    _, q = np.linalg.eigh(middle)
    turned = m.point(q.T.copy())
    rotated = turned @ m.point(middle) @ m.point(q)
    off = m.magnitude(turned @ m.point(q) - m.point(np.eye(len(q))))
    skew = float(sum_up(off).max(initial=0.0))
    by_eigenvalues = max(by_rows, by_columns)
    if skew < 0.5:
        # For x = Q·y: xᵀSx ≤ largest·|y|², and |x|² is between (1 − skew)·|y|² and (1 + skew)·|y|².
        largest = _discs(m, comparison_matrix((m.lower(rotated), m.upper(rotated))))
        largest += abs(largest) * (2 * skew + 2.0**-49) + float(sum_up(radius).max(initial=0.0))
        by_eigenvalues = min(by_eigenvalues, largest + abs(largest) * 2.0**-49)
    return np.array([by_columns, by_eigenvalues, by_rows])


def _discs(m: Arithmetic, majorant: FloatArray) -> float:
    """The largest row sum of a Metzler matrix, rounded up."""
    ones = m.point(np.ones((len(majorant), 1)))
    return float(m.upper(m.point(majorant) @ ones).max(initial=-np.inf))
