"""Polynomials in a few variables on [−1, 1]ⁿ, added up with their signs before any absolute value is taken.

A monomial Π t_j^e_j is numbered Σ e_j·7ʲ: the number of a product is the sum of two, as long as no exponent is
above 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from symlump.enclosures.interval import gamma, grow
from symlump.ode.exact import FloatArray, IntArray

_MOST = 6  # degree
_BASE = _MOST + 1
_LOST = 2.0**-600  # more than underflows in quadratic forms of numbers below 2³⁰⁰


@lru_cache(maxsize=32)
def monomials(variables: int, degree: int) -> IntArray:
    """The numbers of all monomials of just this degree.

    Examples
    --------
    >>> monomials(2, 2).tolist()  # t_0², t_0·t_1, t_1²
    [2, 8, 14]
    """
    found = np.zeros(1, dtype=np.int64)
    for _ in range(degree):
        found = np.unique(found[:, None] + _BASE ** np.arange(variables))
    return found


@lru_cache(maxsize=32)
def _steps(variables: int, degree: int) -> tuple[IntArray, IntArray, FloatArray]:
    """For each monomial one of a degree less, the variable that it lacks, and k!/Π e_j! in (Σ t_j)ᵏ."""
    some = monomials(variables, degree)
    rows = some[:, None] // _BASE ** np.arange(variables) % _BASE
    lacking = rows.argmax(axis=1)
    shorter = monomials(variables, degree - 1)
    factorials = np.cumprod(np.concatenate([[1.0], np.arange(1.0, _BASE)]))
    count = factorials[degree] / factorials[rows].prod(axis=1)
    return np.searchsorted(shorter, some - _BASE**lacking), lacking, count


def powers(sides: FloatArray, most: int) -> list[FloatArray]:
    """(Σ sides_j·t_j)ᵏ for k = 0, …, most: for each row of sides the coefficients of :func:`monomials`.

    Examples
    --------
    >>> [found.tolist() for found in powers(np.array([[1.0, 3.0]]), 2)]
    [[[1.0]], [[1.0, 3.0]], [[1.0, 6.0, 9.0]]]
    """
    variables = sides.shape[1]
    plain, found = np.ones((len(sides), 1)), [np.ones((len(sides), 1))]
    for degree in range(1, most + 1):
        shorter, lacking, count = _steps(variables, degree)
        plain = plain[:, shorter] * sides[:, lacking]
        found.append(plain * count)
    return found


@dataclass(frozen=True, eq=False)
class CubicTerms:
    """The functions of n inputs that cubics are written in, in the order of :mod:`.corners`.

    Parameters
    ----------
    multilinear : ndarray of bool
        Which of them are affine in each input.
    signs : ndarray, shape (corners, functions)
        The values of those at the corners.
    leading, others : ndarray of int
        Of those after the linear ones: T_2 = 2·t² − 1 and T_3 = 4·t³ − 3·t make each the sum of two monomials,
    factors, more : ndarray
        with these coefficients.
    """

    multilinear: npt.NDArray[np.bool_]
    signs: FloatArray
    leading: IntArray
    factors: FloatArray
    others: IntArray
    more: FloatArray

    @staticmethod
    @lru_cache(maxsize=8)
    def of(n: int) -> CubicTerms:
        """For so many inputs.

        Examples
        --------
        >>> some = CubicTerms.of(2)  # t_0, t_1; T_2, T_2, t_0·t_1; T_3, T_3, T_2·t_1, T_2·t_0
        >>> some.multilinear.astype(int).tolist(), some.factors.tolist()
        ([1, 1, 0, 0, 1, 0, 0, 0, 0], [2.0, 2.0, 1.0, 4.0, 4.0, 2.0, 2.0])
        """
        every: list[tuple[int, ...]] = [(j,) for j in range(n)]
        every += [(j, j) for j in range(n)] + list(combinations(range(n), 2))
        every += [(j, j, j) for j in range(n)]
        every += [(j, j, k) for j in range(n) for k in range(n) if j != k]
        every += combinations(range(n), 3)
        plain = [len(set(some)) == len(some) for some in every]
        corners = 1.0 - 2 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1)
        signs = [
            corners[:, list(some)].prod(axis=1) for some, p in zip(every, plain, strict=True) if p
        ]
        repeats = np.array([len(some) - len(set(some)) for some in every[n:]])
        return CubicTerms(
            np.array(plain),
            np.stack(signs, axis=1),
            np.array([sum(_BASE**j for j in some) for some in every[n:]]),
            2.0**repeats,
            np.array([sum(_BASE**j for j in some[2:]) for some in every[n:]]) * (repeats > 0),
            np.array([0.0, -1.0, -3.0])[repeats],
        )

    def largest(self, sides: FloatArray) -> FloatArray:
        """At least \\|Σ sides·functions\\| for each row; those affine in each input are largest at a corner."""
        width = np.abs(sides).sum(axis=1)
        found = np.abs(self.signs @ sides[:, self.multilinear].T).max(axis=0)
        found = found + np.abs(sides[:, ~self.multilinear]).sum(axis=1)
        terms = 2 * sides.shape[1]
        return grow(np.minimum(found + gamma(terms) * width, width), terms)

    def squares(self, weights: FloatArray, rest: FloatArray) -> FloatArray:
        """At least Σ_i c_i·n_i(t)² for each row c ≥ 0 of weights, where n_i has the coefficients ``rest``.

        It is χᵀGχ of functions χ, the linear ones apart. Those that are not affine in each input are taken as
        any numbers in [−1, 1]; then it is at most a function convex in each input, so largest at a corner.
        """
        n = self.multilinear.size - rest.shape[1]
        plain, signs = self.multilinear[n:], self.signs[:, n:]
        found = []
        for c in weights:
            part = rest * np.sqrt(c)[:, None]
            gram = part.T @ part
            crossed = signs @ gram[plain]
            at = (crossed[:, plain] * signs).sum(axis=1) + 2 * np.abs(crossed[:, ~plain]).sum(
                axis=1
            )
            found.append(at.max() + np.abs(gram[~plain][:, ~plain]).sum())
        wide = np.abs(rest).sum(axis=1) ** 2
        rounding = gamma(4 * sum(rest.shape) + 64) * (weights @ wide)
        return np.asarray(np.array(found) + rounding + _LOST)


class Expansion:
    """A polynomial for each output, which is added to term by term.

    ``terms`` says of each kind of term what may be added, output by output: coefficients of monomials up to
    degree 3; of squares of linear functions times squares, and times cubes; of monomials up to degree 3 times
    functions, the linear ones apart; and of products of two of these.

    Examples
    --------
    >>> p = Expansion(1, 2)
    >>> p.terms["plain"][0, :3] += [3.0, 0.0, 1.0]  # 3 + t_1
    >>> p.terms["squares"][0, 0, 0] += 0.5  # T_2(t_0)²/2 = (T_4(t_0) + 1)/4
    >>> middle, rest = p.bound()
    >>> middle.tolist(), rest.tolist()
    ([3.25], [1.25])
    """

    def __init__(self, outputs: int, variables: int) -> None:
        self.variables = variables
        self.terms = {
            kind: np.zeros((outputs, *places[0][0].shape))
            for kind, places in _places(variables).items()
        }

    def bound(self) -> tuple[FloatArray, FloatArray]:
        """The constant in products of Chebyshev's polynomials T_e(t_j), and the sum of the others' sizes."""
        every = _every(self.variables)
        found = []
        for output in range(len(self.terms["plain"])):
            row: FloatArray = np.zeros(every.size)
            for kind, places in _places(self.variables).items():
                for place, factor in places:
                    some = self.terms[kind][output] * factor
                    row += np.bincount(place.ravel(), some.ravel(), every.size)
            for place, target, share in _to_chebyshev(self.variables):
                row = np.asarray(
                    np.bincount(target, row[place] * share, every.size), dtype=np.float64
                )
            found.append(row)
        coefficients = np.stack(found)
        return coefficients[:, 0], np.abs(coefficients[:, 1:]).sum(axis=1)


@lru_cache(maxsize=8)
def _every(variables: int) -> IntArray:
    return np.sort(np.concatenate([monomials(variables, k) for k in range(_MOST + 1)]))


@lru_cache(maxsize=8)
def _places(variables: int) -> dict[str, list[tuple[IntArray, FloatArray]]]:
    """Which coefficients of :func:`_every` each kind of term adds to, times which factors."""
    every, two = _every(variables), monomials(variables, 2)
    plain = np.concatenate([monomials(variables, k) for k in range(4)])
    some = CubicTerms.of(variables)
    parts = ((some.leading, some.factors), (some.others, some.more))
    one = np.ones(1)

    def among(numbers: IntArray) -> IntArray:
        return np.searchsorted(every, numbers)

    return {
        "plain": [(among(plain), one)],
        "fourth": [(among(two[:, None] + two), one)],
        "fifth": [(among(two[:, None] + monomials(variables, 3)), one)],
        "crossed": [(among(plain[:, None] + a), f) for a, f in parts],
        "squares": [(among(a[:, None] + b), f[:, None] * g) for a, f in parts for b, g in parts],
    }


@lru_cache(maxsize=8)
def _to_chebyshev(variables: int) -> list[tuple[IntArray, IntArray, FloatArray]]:
    """Variable by variable, which monomial becomes which, with which share: t^e = Σ share·T_{e−2k}."""
    every = _every(variables)
    # exact: dyadic numbers
    shares = [np.polynomial.chebyshev.poly2cheb(np.eye(_BASE)[e]) for e in range(_BASE)]
    found = []
    for j in range(variables):
        exponent = every // _BASE**j % _BASE
        place, target, share = [], [], []
        for e in range(_BASE):
            mine = np.flatnonzero(exponent == e)
            for q in range(e, -1, -2):
                place.append(mine)
                target.append(np.searchsorted(every, every[mine] - (e - q) * _BASE**j))
                share.append(np.full(mine.size, shares[e][q]))
        found.append((np.concatenate(place), np.concatenate(target), np.concatenate(share)))
    return found
