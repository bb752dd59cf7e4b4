"""Large linear systems of which nearly everything is needed: told by a bound, without any elimination.

Let r be an observable and v a column, both modulo a prime. The numbers r·Aⁱ·v obey a linear recurrence whose
order is at most the dimension of the span of r, r·A, r·A², …, and every lumping that keeps r contains that
span. So the order of the shortest recurrence bounds the rows of any lumping from below; for a random v it is
the dimension of the span itself, except for a probability of about variables/p. It takes two products of A with
a vector per row, and no memory to speak of.

Where that bound says that little is left to gain over a forward equivalence, this is the answer.

References
----------
Massey, "Shift-register synthesis and BCH decoding", doi:10.1109/TIT.1969.1054260; Wiedemann, "Solving sparse
linear equations over finite fields", doi:10.1109/TIT.1986.1057137.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice

import numpy as np

from symlump.errors import InputError
from symlump.lumping.forward import Forward
from symlump.lumping.linear.spaces.echelon import fold, primes
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.lumping import Lumping
from symlump.ode.exact import FloatArray
from symlump.ode.polynomial import PolynomialODE

#: Smaller systems are lumped in full.
LARGE = 3000
#: A forward equivalence with at most this many times the least number of rows is near enough.
_NEAR = 1.1
#: So many terms that a recurrence predicts mean that it is the right one.
_PREDICTED = 64
#: So many products of residues add up without rounding.
_EXACT_SUM = 512


def nearly_everything(
    ode: PolynomialODE, forms: Mapping[str, Mapping[str, Fraction]], seed: int
) -> tuple[Lumping, int] | None:
    """A forward equivalence that keeps the observables, and the least number of rows, if these are near.

    None for systems that are small, reduced to small ones or not linear, and where fewer rows might do.
    """
    if len(ode) <= LARGE or MatrixFamily.of_jacobian(ode).only_generator < 0:
        return None
    from symlump.lumping.lump import lump

    # Variables with equal coefficients in all observables may merge.
    patterns: dict[tuple[Fraction, ...], list[str]] = {}
    for name in {name for form in forms.values() for name in form}:
        key = tuple(form.get(name, Fraction(0)) for form in forms.values())
        patterns.setdefault(key, []).append(name)
    blocks = sorted(sorted(block) for block in patterns.values())
    lumping = lump(ode, Forward(), blocks, seed=seed)
    small = lumping.quotient
    assert isinstance(small, PolynomialODE)
    if len(small) <= LARGE:
        return None
    labels = lumping.partition.labels
    start = {
        int(labels[ode.index[name]]): value
        for form in forms.values()
        for name, value in form.items()
    }
    family = MatrixFamily.of_jacobian(small)
    least = order_of_recurrence(family, ExactMatrix.from_rows([start], len(small)), seed)
    return (lumping, least) if len(small) <= _NEAR * least else None


def order_of_recurrence(family: MatrixFamily, row: ExactMatrix, seed: int = 0) -> int:
    """The order of the shortest recurrence of r·Aⁱ·v, for the one matrix A of a family and a random v.

    Examples
    --------
    >>> import sympy
    >>> x, y, z = sympy.symbols("x y z")
    >>> ode = PolynomialODE.from_sympy({x: y, y: x, z: z})
    >>> order_of_recurrence(MatrixFamily.of_jacobian(ode), ExactMatrix.from_rows([{0: 1}], 3))
    2
    """
    for prime in islice(primes(), 100):
        try:
            modular, start = family.modulo(prime), row.residues(prime)
        except InputError:  # the prime divides a denominator
            continue
        break
    matrix = modular.single_matrix()
    if matrix is None:
        return 1
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

    return _shortest(sequence(), length, prime)


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
