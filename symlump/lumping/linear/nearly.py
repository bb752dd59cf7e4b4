"""Linear systems of which everything is needed, or nearly: told by a bound, without any elimination.

Let r be an observable and v a column, both modulo a prime. The numbers r·Aⁱ·v obey a linear recurrence whose
order is at most the dimension of the span of r, r·A, r·A², …, and every lumping that keeps r contains that
span. So the order of the shortest recurrence bounds the rows of any lumping from below; for a random v it is
the dimension of the span itself, except for a probability of about variables/p. It takes two products of A with
a vector per row, and no memory to speak of.

Where the order is the number of variables, r, r·A, r·A², … are the derivation that shows that all are needed.
Where in a large system it says that little is left to gain over a forward equivalence, this is the answer.

References
----------
Massey, "Shift-register synthesis and BCH decoding", doi:10.1109/TIT.1969.1054260; Wiedemann, "Solving sparse
linear equations over finite fields", doi:10.1109/TIT.1986.1057137.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from symlump.lumping.linear.spaces.closure import Closure
from symlump.lumping.linear.spaces.echelon import Echelon, fold, primes
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import MOST_PRIMES, InvariantSpace, identity
from symlump.ode.exact import ExactArray, FloatArray, prime_for

#: Systems with fewer variables are eliminated faster than a recurrence is found; so are those in whose matrix
#: one of so many entries is not zero.
SOME, DENSE = 300, 16
#: Those with no more are lumped in full.
LARGE = 3000
#: A forward equivalence with at most this many times the least number of rows is near enough.
NEAR = 1.1
#: So many terms that a recurrence predicts mean that it is the right one.
_PREDICTED = 64
#: So many products of residues add up without rounding.
_EXACT_SUM = 512


def everything(family: MatrixFamily, prime: int) -> InvariantSpace:
    """All of the space, where r·Aⁱ, for a row r and the one matrix of a family, span it modulo a prime."""
    size = family.size
    space = Echelon(size, prime)
    space.unit[:] = True
    steps = np.arange(size - 1, dtype=np.int64)
    generators = np.full(size - 1, family.only_generator, dtype=np.int64)
    closure = Closure(space, np.zeros(1, dtype=np.int64), steps, generators, ())
    return InvariantSpace(identity(size), space.columns(), closure)


def order_of_recurrence(
    family: MatrixFamily, rows: ExactMatrix, seed: int = 0, also: Iterable[ExactArray] = ()
) -> tuple[int, int]:
    """The order of the shortest recurrence of r·Aⁱ·v, and the prime modulo which it is that.

    A is the one matrix of a family, v a random vector and r a row; of several rows a combination, at random.

    Parameters
    ----------
    family : MatrixFamily
    rows : ExactMatrix
    seed : int
    also : iterable of ExactArray
        Further numbers of which the prime divides no denominator.

    Examples
    --------
    >>> import sympy
    >>> x, y, z = sympy.symbols("x y z")
    >>> from symlump import PolynomialODE
    >>> ode = PolynomialODE.from_sympy({x: y, y: x, z: z})
    >>> order_of_recurrence(MatrixFamily.of_jacobian(ode), ExactMatrix.from_rows([{0: 1}], 3))
    (2, 8388593)
    """
    mixed = rows
    if rows.shape[0] > 1:
        weights = np.random.default_rng(seed).integers(1, 1000, rows.shape[0]).tolist()
        mixed = ExactMatrix.from_rows([dict(enumerate(weights))], rows.shape[0]) @ rows
    numbers = (family.unfolded.values, rows.values, *also)
    prime = prime_for(*numbers, among=islice(primes(), MOST_PRIMES))
    modular, start = family.modulo(prime), mixed.residues(prime)
    matrix = modular.single_matrix()
    if matrix is None:
        return 1, prime
    step = matrix.T.tocsr()
    # Rows of one length after the other: a processor that can foresee where they end multiplies twice as fast.
    by_length = np.argsort(np.diff(step.indptr), kind="stable")
    step = step[by_length][:, by_length]
    # No sum of a product may pass 53 bits; then floats are exact.
    exact = int(abs(step).sum(axis=1).max()) * prime < 2**53
    step = step.astype(np.float64) if exact else step
    random = np.random.default_rng(seed).integers(0, prime, family.size).astype(np.float64)
    column = np.zeros(_padded(family.size))
    column[: family.size] = fold(random, prime)
    length = 2 * family.size + _PREDICTED

    def sequence() -> Iterator[int]:
        vector = np.zeros(column.size)
        vector[: family.size] = start.toarray()[0][by_length]
        for _ in range(length):
            yield _dot(vector, column, prime)
            if exact:
                vector[: family.size] = fold(step @ vector[: family.size], prime)
            else:
                whole = step @ vector[: family.size].astype(np.int64)
                vector[: family.size] = fold((whole % prime).astype(np.float64), prime)

    return _shortest(sequence(), length, prime), prime


def _padded(size: int) -> int:
    """The next multiple of the number of products that add up exactly."""
    return -(-size // _EXACT_SUM) * _EXACT_SUM


def _dot(a: FloatArray, b: FloatArray, prime: int) -> int:
    """Σ a·b of residues, in a multiple of 512 products."""
    sums = np.einsum("ij,ij->i", a.reshape(-1, _EXACT_SUM), b.reshape(-1, _EXACT_SUM))
    return int(fold(sums, prime).sum()) % prime


def _shortest(numbers: Iterator[int], most: int, prime: int) -> int:
    """The order of the shortest linear recurrence, by the algorithm of Berlekamp and Massey."""
    half = prime // 2
    # The last numbers, newest first, are ``past[place:]``.
    past = np.zeros(most + _padded(most + 2))
    place = most
    now = np.zeros(_padded(most + 2))
    before = now.copy()
    now[0] = before[0] = 1
    order, shift, scale, length = 0, 1, 1, 1
    for count, number in enumerate(numbers):
        place -= 1
        past[place] = number - prime if number > half else number
        width = _padded(order + 1)
        wrong = _dot(now[:width], past[place : place + width], prime)
        if wrong:
            factor = wrong * pow(scale, -1, prime) % prime
            longer = 2 * order <= count
            old = now.copy() if longer else now
            part = now[shift : shift + length]
            part -= (factor - prime if factor > half else factor) * before[:length]
            fold(part, prime)
            if longer:
                before, length, scale, shift = old, order + 1, wrong, 0
                order = count + 1 - order
        shift += 1
        if count > 2 * order + _PREDICTED:
            break
    return order
