"""The smallest invariant row space that contains given rows, exactly, over the rationals.

It is found modulo a prime and lifted: the basis that is the identity on the pivots is unique, so its
entries modulo several primes combine by the Chinese remainder theorem and are read as fractions. The
result is then verified over Q, so primes and draws cost time only. *Why it is smallest:* the rows derived
from the given ones modulo p are independent there, hence over Q; all of them lie in any invariant space
that contains the given rows; and there are as many as the dimension of the result, which was verified to
be such a space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import isqrt, lcm
from operator import mul

import numpy as np
from scipy import sparse

from symlump.errors import FailureError, InputError
from symlump.lumping.linear.spaces.closure import Closure, close, is_closed, replay
from symlump.lumping.linear.spaces.echelon import fold, primes, product
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.harmonic import equal_rows
from symlump.lumping.linear.spaces.orthogonal import orthogonal, sparsest
from symlump.lumping.linear.spaces.residues import centre
from symlump.lumping.linear.spaces.residues import primes as large_primes
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.ode.exact import AnyArray, ExactArray, IntArray

#: Entries that do not fit so many primes are given up.
MOST_PRIMES = 2000
_AT_ONCE = 1024

#: A prime, and a basis modulo it.
Residues = tuple[int, sparse.csr_array]


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


class Lift:
    """A basis over Q from its residues modulo one prime after the other.

    It is read with each of the first primes, then whenever their number has doubled.
    """

    def __init__(self) -> None:
        self._found: list[Residues] = []
        self._wanted = 1

    def __len__(self) -> int:
        return len(self._found)

    def add(self, prime: int, matrix: sparse.csr_array) -> ExactMatrix | None:
        """The basis, if it is read with this prime and the residues are those of small fractions."""
        self._found.append((prime, matrix))
        if len(self) < self._wanted:
            return None
        self._wanted = 2 * len(self) if len(self) > 3 else len(self) + 1
        return lift(self._found)


def smallest_invariant(
    family: MatrixFamily, rows: ExactMatrix, seed: int = 0, also: Sequence[ExactArray] = ()
) -> InvariantSpace:
    """The smallest row space that contains the rows and is invariant under the family.

    Parameters
    ----------
    family : MatrixFamily
    rows : ExactMatrix
    seed : int
    also : sequence of ExactArray
        Further numbers of which the primes divide no denominator.

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
    pivots = np.empty(0, dtype=np.int64)
    lift = Lift()
    for prime in islice(primes(), MOST_PRIMES):
        try:
            modular, start = family.modulo(prime), rows.residues(prime)
            for numbers in also:
                numbers.residues(prime)
        except InputError:  # the prime divides a denominator
            continue
        if closure is None:
            closure = close(modular, start, generator)
            if len(closure.space) == family.size:  # everything, whatever the prime
                return InvariantSpace(identity(family.size), closure.space.columns(), closure)
            pivots, space, lift = closure.space.columns(), closure.space, Lift()
        else:
            again = replay(modular, start, closure, pivots)
            if again is None:
                continue
            space = again
            if not is_closed(modular, start, space, generator):
                # The closure missed a vector, as its prime divides a number it should not.
                closure = None
                continue
        basis = lift.add(prime, space.matrix())
        if basis is None or not contains(basis, pivots, rows):
            continue
        if not np.array_equal(basis.columns[basis.indptr[:-1]], pivots):
            # A valid basis, but not the echelon form over Q: with it the result would depend on the prime.
            closure = None
            continue
        if is_invariant(family, basis, pivots):
            return InvariantSpace(basis, pivots, closure)
        if len(lift) > 1 and not is_closed(modular, start, space, generator):
            closure = None
    raise FailureError(
        f"the smallest linear lumping was not found modulo {MOST_PRIMES} primes: its coefficients have "
        f"more than {11 * MOST_PRIMES} bits"
    )


def left_kernel(matrix: ExactMatrix) -> ExactMatrix:
    """A basis of all rows L with L·matrix = 0, the identity on some columns.

    Unknowns that must be equal are one; the pivot of several is the last of them, or the first.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes.
    """
    labels, size = equal_rows(matrix), matrix.shape[0]
    count = int(labels.max(initial=-1)) + 1
    merged = matrix
    if count < size:
        merged = ExactMatrix.from_entries(
            labels[matrix.owners], matrix.columns, matrix.values, (count, matrix.width)
        )
    columns, first, last = merged.transpose(), np.full(count, size), np.zeros(count, dtype=np.int64)
    np.minimum.at(first, labels, np.arange(size))
    np.maximum.at(last, labels, np.arange(size))

    def modulo(prime: int) -> sparse.csr_array | None:
        try:
            return columns.residues(prime)
        except InputError:  # the prime divides a denominator
            return None

    found = lifted_kernel(
        modulo,
        lambda basis: not len((basis @ merged).values),
        orders=(np.argsort(last), np.argsort(-first)),
        sizes=np.bincount(labels, minlength=count),
    )
    if found is None:
        raise FailureError(f"the kernel of a matrix was not found modulo {MOST_PRIMES} primes")
    basis, pivots = found
    if count == size:
        return basis
    members = ExactMatrix.from_entries(
        labels, np.arange(size), ExactArray.from_array(np.ones(size, dtype=np.int64)), (count, size)
    )
    return basis.take_rows(np.argsort(last[pivots])) @ members


def lifted_kernel(
    rows_modulo: Callable[[int], sparse.csr_array | None],
    verified: Callable[[ExactMatrix], bool],
    most_primes: int = MOST_PRIMES,
    orders: tuple[IntArray, IntArray] | None = None,
    sizes: IntArray | None = None,
) -> tuple[ExactMatrix, IntArray] | None:
    """All vectors that are orthogonal to rows that are known modulo primes, and their pivots.

    Which columns these are decides how sparse the basis is: they are sought from the first on and from the
    last on, and the sparser basis is taken. A kernel modulo a prime is never smaller than that over Q, so a
    verified lift of all of it is complete. None where that many primes do not do.

    Parameters
    ----------
    orders : pair of arrays, optional
        Of the columns, in place of these two.
    sizes : array, optional
        How many entries one in each column stands for.
    """
    spaces: list[RowSpace] = []
    order = np.empty(0, dtype=np.int64)
    for prime in islice(large_primes(), most_primes):
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
            many = np.ones_like(columns) if sizes is None else sizes
            spaces = [sparsest(rows, prime, orders or (columns, columns[::-1].copy()), many)]
            pivots = spaces[0].pivots
            order = np.concatenate([np.setdiff1d(columns, pivots), pivots])
        basis = lift([(space.prime, space.basis) for space in spaces])
        if basis is not None and verified(basis):
            return basis, spaces[0].pivots
    return None


def contains(basis: ExactMatrix, pivots: IntArray, rows: ExactMatrix) -> bool:
    """True if all rows are combinations of a basis that is the identity on its pivots, exactly."""
    return not len((rows - rows.take_columns(pivots) @ basis).values)


def is_invariant(family: MatrixFamily, basis: ExactMatrix, pivots: IntArray) -> bool:
    """True if the rows of a basis that is the identity on its pivots span an invariant space, exactly.

    Short numbers are multiplied out. For long ones: with B the basis, P its columns at the pivots, D its least
    common denominator and a that of the J_k, the matrices D²·a·(B·J_k − (B·J_k)_P·B) are integer. They are
    zero if they are modulo primes whose product exceeds twice the largest entry that they can have.
    """
    exact = basis.values.as_integers()
    assert exact.denominators is not None
    if exact.numerators.dtype == np.int64 and exact.denominators.dtype == np.int64:
        return contains(basis, pivots, family.images(basis)[0])
    whole, shared = _integers(basis.values)
    coefficients, own = _integers(family.unfolded.values)
    largest = max(map(abs, whole.tolist()))
    image = largest * max(map(abs, coefficients.tolist()), default=0) * family.size
    bound = 2 * image * (shared + basis.shape[0] * largest)
    done = 1
    for prime in primes():
        if own % prime == 0 or shared % prime == 0:
            continue
        residues = np.mod(whole, prime).astype(np.int64) * pow(shared, -1, prime) % prime
        rows = sparse.csr_array(
            (centre(residues, prime), basis.columns, basis.indptr), shape=basis.shape
        )
        images, _, _ = family.modulo(prime).images(rows)
        dense = rows.toarray().astype(np.float64)
        for start in range(0, images.shape[0], _AT_ONCE):
            part = images[start : start + _AT_ONCE].toarray().astype(np.float64)
            if fold(part - product(part[:, pivots], dense, prime), prime).any():
                return False
        done *= prime
        if done > bound:
            return True
    raise FailureError(
        "there are not enough primes to verify an invariant space of such long numbers"
    )


def _integers(values: ExactArray) -> tuple[AnyArray, int]:
    """The numbers times their least common denominator, and this."""
    exact = values.as_integers()
    assert exact.denominators is not None
    below = exact.denominators.tolist()
    shared = lcm(*set(below))
    tops = zip(exact.numerators.tolist(), below, strict=True)
    return np.array([top * (shared // d) for top, d in tops], dtype=object), shared


def identity(size: int) -> ExactMatrix:
    """All unit vectors."""
    place = np.arange(size + 1, dtype=np.int64)
    ones = np.ones(size, dtype=np.int64)
    return ExactMatrix(place, place[:-1], ExactArray(ones, ones), size)


def lift(found: list[Residues]) -> ExactMatrix | None:
    """The basis over Q with the given residues, or None where these are not those of small fractions."""
    height, width = found[0][1].shape
    keys = [
        np.repeat(np.arange(height), np.diff(matrix.indptr)) * width + matrix.indices
        for _, matrix in found
    ]
    pattern = np.unique(np.concatenate(keys))
    residues = np.zeros((len(found), pattern.size), dtype=np.int64)
    for number, ((_, matrix), key) in enumerate(zip(found, keys, strict=True)):
        residues[number, np.searchsorted(pattern, key)] = matrix.data
    # Equal entries are read once. Numbers that differ modulo a prime rarely have the same weighted sum.
    weights = np.random.default_rng(0).integers(1, 2**62, len(found)) | 1
    _, first, place = np.unique(weights @ residues, return_index=True, return_inverse=True)
    chosen = residues[:, first]
    if not np.array_equal(chosen[:, place.ravel()], residues):
        chosen, place = np.unique(residues, axis=1, return_inverse=True)
    fractions = read_fractions(chosen.T.tolist(), [prime for prime, _ in found])
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
    bound, half = isqrt(modulus // 2), modulus // 2
    shared, most = 1, half >> 10
    result = []
    for row in residues:
        value = sum(map(mul, row, weights)) % modulus
        # Denominators come again: times the one of the entries before, the number is an integer, most often.
        top = value * shared % modulus
        if top > half:
            top -= modulus
        if abs(top) * shared <= most:
            result.append(Fraction(top, shared))
            continue
        a, b, s, t = modulus, value, 0, 1
        while b > bound:
            q = a // b
            a, b, s, t = b, a - q * b, t, s - q * t
        if not t or abs(t) > bound:
            return None
        fraction = Fraction(b, t)
        result.append(fraction)
        shared = lcm(shared, fraction.denominator)
        if shared > bound:
            shared = fraction.denominator
    return result
