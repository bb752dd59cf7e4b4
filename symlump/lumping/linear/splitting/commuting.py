"""The matrices that commute with a family: what they say about invariant row spaces, over Q and beyond.

The matrices that commute with an irreducible family form a division algebra E over Q (Schur). If its
centre has dimension k and E has dimension s²·k, the space falls into s·k invariant spaces of equal
dimension over the algebraic numbers. So E says what the irrational numbers would bring, without computing
with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from scipy import sparse

from symlump.errors import FailureError
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import left_kernel
from symlump.lumping.linear.spaces.residues import FIRST_PRIME, multiply
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.lumping.linear.splitting.charpoly import charpoly, factors
from symlump.lumping.linear.splitting.meataxe import Irreducible, Subspace, left_kernel_of
from symlump.ode.exact import AnyArray, ExactArray

#: Above this size the commuting matrices, size² unknowns, are not computed.
_MOST_SIZE = 32
_TRIES = 12


@dataclass(frozen=True)
class Splitting:
    """What becomes of an irreducible space over the algebraic numbers.

    Parameters
    ----------
    pieces : int
        How many spaces of equal dimension it falls into.
    field : tuple of int
        Coefficients of a polynomial, from the highest power down, whose roots are needed; empty for one piece.
    """

    pieces: int
    field: tuple[int, ...] = ()


def splitting(family: MatrixFamily, found: Irreducible) -> Splitting | None:
    """The splitting of a space that was proved irreducible by Norton's criterion; None above the bound on size.

    Then the commuting matrices form a field whose degree divides ``found.degree``.
    """
    if found.degree == 1:
        return Splitting(1)
    if found.characteristic:  # powers of one matrix: they are their own commuting matrices
        return Splitting(family.size, _field(list(found.characteristic)))
    basis = commuting(family)
    if basis is None:
        return None
    count = len(basis)
    if count == 1:
        return Splitting(1)
    generator = np.random.default_rng(0)
    for element in _elements(basis, generator):
        (coefficients, _), *_ = factors(charpoly(element))
        if len(coefficients) - 1 == count:  # it generates the field
            return Splitting(count, _field(coefficients))
    return Splitting(count)


def _field(coefficients: list[int]) -> tuple[int, ...]:
    """A simpler polynomial whose roots generate the same field, where that is easy."""
    if len(coefficients) == 3:  # t² + bt + c: the roots need √(b² − 4c)
        _, b, c = coefficients
        return (1, 0, -_squarefree(b * b - 4 * c))
    return tuple(coefficients)


def decide(family: MatrixFamily, seed: int = 0) -> Subspace | Splitting | None:
    """A proper invariant space from a commuting matrix that is not invertible, or a proof that there is none.

    None where the commuting matrices do not decide, or are too many.
    """
    basis = commuting(family)
    if basis is None or len(basis) == 1:
        return None
    generator = np.random.default_rng(seed)
    for element in _elements(basis, generator):
        coefficients = factors(charpoly(element))[0][0]
        kernel = left_kernel_of(coefficients, element)
        if kernel is not None and kernel[0].shape[0] < family.size:
            return kernel
    if len(basis) == 4:
        return _quaternions(family, basis)
    return None


def commuting(family: MatrixFamily) -> list[AnyArray] | None:
    """A basis of all X with X·J_k = J_k·X for every k, as matrices of integers; None above the bound on size.

    Examples
    --------
    >>> turn = MatrixFamily.from_entries(np.array([0, 0]), np.array([0, 1]), np.array([1, 0]),
    ...                                  ExactArray.from_fractions([1, -1]), 2, 1)
    >>> [x.tolist() for x in commuting(turn)]
    [[[0, 1], [-1, 0]], [[1, 0], [0, 1]]]
    """
    size = family.size
    if size > _MOST_SIZE:
        return None
    generators, rows, columns, values = family.entries()
    every = np.arange(size, dtype=np.int64)
    # X·J at (i, j): Σ_l X_il J_lj;  J·X at (i, j): Σ_l J_il X_lj.
    count = values.numerators.size
    i, entry = np.repeat(every, count), np.tile(np.arange(count), size)
    left = i * size + rows[entry], (generators[entry] * size + i) * size + columns[entry]
    right = columns[entry] * size + i, (generators[entry] * size + rows[entry]) * size + i
    minus = values.times(np.full(count, -1, dtype=np.int64))
    system = ExactMatrix.from_entries(
        np.concatenate([left[0], right[0]]),
        np.concatenate([left[1], right[1]]),
        ExactArray.concatenate([values.take(entry), minus.take(entry)]),
        (size * size, family.count * size * size),
    )
    found = left_kernel(system).primitive()
    matrices = []
    for row in found.rows():
        matrix = np.zeros(size * size, dtype=object)
        for position, value in row.items():
            matrix[position] = int(value)
        matrices.append(matrix.reshape(size, size))
    return matrices


def _elements(basis: list[AnyArray], generator: np.random.Generator) -> list[AnyArray]:
    """The basis, then some small combinations of it; no multiples of the identity."""
    size = len(basis[0])
    found = list(basis)
    for _ in range(_TRIES):
        weights = generator.integers(-3, 4, size=len(basis)).tolist()
        found.append(sum((w * x for w, x in zip(weights, basis, strict=True)), 0 * basis[0]))
    identity = np.eye(size, dtype=int).astype(object)
    return [x for x in found if np.any(x - x[0, 0] * identity)]


def _quaternions(family: MatrixFamily, basis: list[AnyArray]) -> Subspace | Splitting | None:
    """Decide where the commuting matrices are a quaternion algebra over Q.

    It has elements i, j with i² = a, j² = b, ij = −ji, and is a division algebra iff a·x² + b·y² = z² has
    no rational solution but 0 (Legendre). Where it is one, the space is irreducible iff the family
    generates the algebra of all matrices that commute with it, whose dimension is size²/4: a dimension
    modulo a prime that reaches this is a proof.
    """
    size = family.size
    identity = np.eye(size, dtype=int).astype(object)
    first = next(x for x in basis if np.any(x - x[0, 0] * identity))
    i = size * first - int(np.trace(first)) * identity  # trace 0
    a = _scalar(i.dot(i))
    if a is None:
        return None
    other = next((x for x in basis if np.any(i.dot(x) - x.dot(i))), None)
    if other is None:
        return None
    j = i.dot(other) - other.dot(i)
    b = _scalar(j.dot(j))
    if b is None:
        return None
    solution = _isotropic(a, b)
    if solution is not None:
        x, y, z = solution
        divisor = x * i + y * j - z * identity
        return left_kernel_of([1, 0], divisor)
    if 4 * _algebra_dimension(family) == size * size:
        return Splitting(2, (1, 0, -_squarefree(a)))
    return None


def _scalar(matrix: AnyArray) -> int | None:
    value = int(matrix[0, 0])
    off = matrix - value * np.eye(len(matrix), dtype=int).astype(object)
    return None if np.any(off) else value


#: Longer numbers take minutes to factorize.
_MAX_FACTORED_BITS, _SMALL_PRIMES = 160, 2**15


def _squarefree(value: int) -> int:
    """The value without square factors; of a long one, without those of small primes."""
    from sympy import factorint

    result = 1 if value > 0 else -1
    long = value.bit_length() > _MAX_FACTORED_BITS
    how = (
        {"limit": _SMALL_PRIMES, "use_rho": False, "use_pm1": False, "use_ecm": False}
        if long
        else {}
    )
    for prime, power in factorint(abs(value), **how).items():
        result *= int(prime) ** (power % 2)
    return result


def _isotropic(a: int, b: int) -> tuple[int, int, int] | None:
    """Integers, not all 0, with a·x² + b·y² = z², if there are any."""
    from sympy import symbols
    from sympy.solvers.diophantine.diophantine import diop_ternary_quadratic_normal

    if a == 0 or b == 0:
        return (1, 0, 0) if a == 0 else (0, 1, 0)
    for value, solution in ((a, (1, 0)), (b, (0, 1))):
        if value > 0 and isqrt(value) ** 2 == value:
            return (*solution, isqrt(value))
    x, y, z = symbols("x y z", integer=True)
    free_a, free_b = _squarefree(a), _squarefree(b)
    found = diop_ternary_quadratic_normal(free_a * x**2 + free_b * y**2 - z**2)
    if found[0] is None:
        return None
    # a = free_a·s², so x over s solves the original equation; the common denominator is multiplied out.
    s, t = isqrt(a // free_a), isqrt(b // free_b)
    u, v, w = (int(value) for value in found)
    solution_of = (u * t, v * s, w * s * t)
    if a * solution_of[0] ** 2 + b * solution_of[1] ** 2 != solution_of[2] ** 2:
        raise FailureError(f"sympy's solution of {a}x² + {b}y² = z² is wrong")
    return solution_of


def _algebra_dimension(family: MatrixFamily) -> int:
    """The dimension modulo a prime of the algebra that the family generates, with the identity."""
    size, prime = family.size, FIRST_PRIME
    unfolded = family.modulo(prime).unfolded.tocoo()
    space = RowSpace(size * size, prime)
    newest = sparse.csr_array(np.eye(size, dtype=np.int64).reshape(1, -1))
    space.extend(newest)
    matrices = [
        sparse.csr_array(
            sparse.coo_array(
                (
                    unfolded.data[own],
                    (unfolded.coords[0][own], family.columns[unfolded.coords[1][own]]),
                ),
                shape=(size, size),
            )
        )
        for own in (family.generators[unfolded.coords[1]] == k for k in range(family.count))
    ]
    while newest.shape[0]:
        stacked = newest.reshape((newest.shape[0] * size, size)).tocsr()
        images = sparse.vstack(
            [multiply(stacked, m, prime).reshape(newest.shape).tocsr() for m in matrices]
        ).tocsr()
        newest = images[space.extend(images)]
    return len(space)
