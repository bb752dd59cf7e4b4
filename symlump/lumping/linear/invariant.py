"""The smallest invariant row space that contains given rows, exactly, over the rationals.

It is found modulo a prime and lifted: the basis that is the identity on the pivots is unique, so its
entries modulo several primes combine by the Chinese remainder theorem and are read as fractions. The
result is then verified over Q, so primes and draws cost time only. *Why it is smallest:* the rows derived
from the given ones modulo p are independent there, hence over Q; all of them lie in any invariant space
that contains the given rows; and there are as many as the dimension of the result, which was verified to
be such a space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import isqrt

import numpy as np
from scipy import sparse

from symlump.errors import FailureError, InputError
from symlump.lumping.linear.exact_matrix import ExactMatrix
from symlump.lumping.linear.family import MatrixFamily
from symlump.lumping.linear.residues import primes
from symlump.lumping.linear.rowspace import Closure, RowSpace, close, is_closed, orthogonal, replay
from symlump.ode.exact import ExactArray, IntArray

_MOST_PRIMES = 2000


@dataclass(frozen=True, eq=False)
class InvariantSpace:
    """An invariant row space over Q, with the derivation that shows it to be the smallest.

    Parameters
    ----------
    basis : ExactMatrix
        The identity on the pivot columns, in their order.
    pivots : ndarray of int64
    closure : Closure
        The derivation modulo ``closure.space.prime``.
    """

    basis: ExactMatrix
    pivots: IntArray
    closure: Closure


def smallest_invariant(family: MatrixFamily, rows: ExactMatrix, seed: int = 0) -> InvariantSpace:
    """The smallest row space that contains the rows and is invariant under the family.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: (x2 + 2*x3)**2, x2: 4*x3 - 2*x1, x3: x1 + x2})
    >>> found = smallest_invariant(MatrixFamily.of_jacobian(ode), ExactMatrix.from_rows([{0: 1}], 3))
    >>> found.basis.rows()
    [{0: Fraction(1, 1)}, {1: Fraction(1, 1), 2: Fraction(2, 1)}]
    """
    generator = np.random.default_rng(seed)
    closure: Closure | None = None
    spaces: list[RowSpace] = []
    tried = 0
    for prime in islice(primes(), _MOST_PRIMES):
        try:
            modular, start = family.modulo(prime), rows.residues(prime)
        except InputError:  # the prime divides a denominator
            continue
        if closure is None:
            closure = close(modular, start, generator)
            spaces = [closure.space]
        else:
            again = replay(modular, start, closure)
            if again is None:
                continue
            if again.reduce(start).nnz or not is_closed(modular, again, generator):
                # The closure missed a vector, as its prime divides a number it should not.
                closure, tried = None, 0
                continue
            spaces.append(again)
        if len(spaces) < tried:
            continue
        tried = 2 * len(spaces) if len(spaces) > 3 else len(spaces) + 1
        basis = lifted(spaces)
        if basis is None or not contains(basis, closure.space.pivots, rows):
            continue
        if not np.array_equal(basis.columns[basis.indptr[:-1]], closure.space.pivots):
            # A valid basis, but not the echelon form over Q: with it the result would depend on the prime.
            closure, tried = None, 0
            continue
        if contains(basis, closure.space.pivots, family.images(basis)[0]):
            return InvariantSpace(basis, closure.space.pivots, closure)
        if len(spaces) > 1 and not is_closed(modular, spaces[-1], generator):
            closure, tried = None, 0
    raise FailureError(
        f"the smallest linear lumping was not found modulo {_MOST_PRIMES} primes: its coefficients have "
        f"more than {15 * _MOST_PRIMES} bits"
    )


def left_kernel(matrix: ExactMatrix) -> ExactMatrix:
    """A basis of all rows L with L·matrix = 0, the identity on some columns.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes.
    """
    columns = matrix.transpose()

    def modulo(prime: int) -> sparse.csr_array | None:
        try:
            return columns.residues(prime)
        except InputError:  # the prime divides a denominator
            return None

    found = lifted_kernel(modulo, lambda basis: not len((basis @ matrix).values))
    if found is None:
        raise FailureError(f"the kernel of a matrix was not found modulo {_MOST_PRIMES} primes")
    return found[0]


def lifted_kernel(
    rows_modulo: Callable[[int], sparse.csr_array | None],
    verified: Callable[[ExactMatrix], bool],
    most_primes: int = _MOST_PRIMES,
) -> tuple[ExactMatrix, IntArray] | None:
    """All vectors that are orthogonal to rows that are known modulo primes, and their pivots.

    Which columns these are decides how sparse the basis is: they are sought from the first on and from the
    last on, and the sparser basis is taken. A kernel modulo a prime is never smaller than that over Q, so a
    verified lift of all of it is complete. None where that many primes do not do.
    """
    spaces: list[RowSpace] = []
    order = np.empty(0, dtype=np.int64)
    for prime in islice(primes(), most_primes):
        rows = rows_modulo(prime)
        if rows is None:
            continue
        if spaces:
            space = orthogonal(rows, prime, order)
            if np.array_equal(space.pivots, spaces[0].pivots):
                spaces.append(space)
            elif len(space) < len(spaces[0]):  # those before were too large
                spaces = []
            else:
                continue
        if not spaces:
            columns = np.arange(rows.shape[1], dtype=np.int64)
            both = [orthogonal(rows, prime, c) for c in (columns, columns[::-1].copy())]
            spaces = [min(both, key=lambda space: space.basis.nnz)]
            pivots = spaces[0].pivots
            order = np.concatenate([np.setdiff1d(columns, pivots), pivots])
        basis = lifted(spaces)
        if basis is not None and verified(basis):
            return basis, spaces[0].pivots
    return None


def contains(basis: ExactMatrix, pivots: IntArray, rows: ExactMatrix) -> bool:
    """True if all rows are combinations of a basis that is the identity on its pivots, exactly."""
    return not len((rows - rows.take_columns(pivots) @ basis).values)


def lifted(spaces: list[RowSpace]) -> ExactMatrix | None:
    """The basis over Q with the given residues, or None where these are not those of small fractions."""
    width, height = spaces[0].width, len(spaces[0])
    keys = [
        np.repeat(np.arange(height), np.diff(s.basis.indptr)) * width + s.basis.indices
        for s in spaces
    ]
    pattern = np.unique(np.concatenate(keys))
    residues = np.zeros((len(spaces), pattern.size), dtype=np.int64)
    for number, (space, key) in enumerate(zip(spaces, keys, strict=True)):
        residues[number, np.searchsorted(pattern, key)] = space.basis.data
    distinct, place = np.unique(residues, axis=1, return_inverse=True)
    fractions = read_fractions(distinct.T.tolist(), [space.prime for space in spaces])
    if fractions is None:
        return None
    values = ExactArray.from_fractions(fractions).take(place.ravel())
    return ExactMatrix.from_entries(pattern // width, pattern % width, values, (height, width))


def read_fractions(residues: Iterable[list[int]], moduli: list[int]) -> list[Fraction] | None:
    """The fractions with the given residues whose numerators and denominators are below √(Π moduli / 2).

    Examples
    --------
    >>> read_fractions([[pow(3, -1, 101) * 2 % 101, pow(3, -1, 103) * 2 % 103]], [101, 103])
    [Fraction(2, 3)]
    """
    modulus, weights = 1, []
    for prime in moduli:
        modulus *= prime
    for prime in moduli:
        other = modulus // prime
        weights.append(other * pow(other, -1, prime))
    bound = isqrt(modulus // 2)
    result = []
    for row in residues:
        value = sum(r * w for r, w in zip(row, weights, strict=True)) % modulus
        a, b, s, t = modulus, value, 0, 1
        while b > bound:
            q = a // b
            a, b, s, t = b, a - q * b, t, s - q * t
        if not t or abs(t) > bound:
            return None
        result.append(Fraction(b, t))
    return result
