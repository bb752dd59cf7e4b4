"""Is there an invariant row space between 0 and everything? One of them, or a proof that there is none.

Norton's criterion. Let a be in the algebra that the matrices generate, f an irreducible factor of its
characteristic polynomial, and suppose that the kernel of f(a) has the smallest dimension it can have, deg
f. Then there is no proper invariant space iff one vector of that kernel (acted on from the right)
generates everything and one vector of the kernel of the transpose generates everything under the
transposed matrices.

It is applied modulo a prime first, with linear f: what is irreducible there is irreducible over Q, even
over the complex numbers, as a proper invariant space would reduce to one. Then over Q. Where no kernel is
that small, the commuting matrices decide (:mod:`symlump.lumping.linear.splitting.commuting`).

References
----------
Holt and Rees, "Testing modules for irreducibility", doi:10.1017/S1446788700036016. For lumpings: Demin,
Demitraki, Pogudin, "Exact hierarchical reductions of dynamical models via linear transformations",
arXiv:2301.11653.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import gcd

import numpy as np
from scipy import sparse

from symlump.lumping.linear.spaces.closure import close
from symlump.lumping.linear.spaces.echelon import FIRST_PRIME
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily, ModularFamily
from symlump.lumping.linear.spaces.invariant import (
    InvariantSpace,
    contains,
    lift,
    lifted_kernel,
    smallest_invariant,
)
from symlump.lumping.linear.spaces.orthogonal import orthogonal
from symlump.lumping.linear.spaces.residues import apply, centre
from symlump.lumping.linear.splitting.charpoly import (
    charpoly,
    charpoly_modulo,
    factors,
    roots_modulo,
)
from symlump.lumping.linear.splitting.submodules import annihilator
from symlump.ode.exact import AnyArray, IntArray

_MODULAR_TRIES, _RATIONAL_TRIES = 4, 12
#: Proofs of irreducibility after which a smaller degree is not looked for any more.
_PROOFS = 3
#: Above this size, characteristic polynomials over Q are not factored.
_MOST_RATIONAL = 80
_MOST_PRIMES = 400

Subspace = tuple[ExactMatrix, IntArray]
"""A basis and the columns on which it is the identity."""


@dataclass(frozen=True)
class Irreducible:
    """There is no proper invariant space over Q.

    Parameters
    ----------
    degree : int
        What the dimension of the field of commuting matrices divides; 1 says that none but multiples of
        the identity commute, and that no proper space is invariant over the complex numbers, either.
    characteristic : tuple of int
        Of a single matrix, its characteristic polynomial.
    """

    degree: int
    characteristic: tuple[int, ...] = ()


def find_invariant(family: MatrixFamily, seed: int = 0) -> Subspace | Irreducible | None:
    """A proper invariant row space, the knowledge that there is none, or None where neither was found."""
    if family.size == 1:
        return Irreducible(1)
    if family.count == 1 and family.size <= _MOST_RATIONAL:
        return _of_one_matrix(family)
    generator = np.random.default_rng(seed)
    for attempt in (_norton_modulo_prime, _from_coordinates, _norton):
        found = attempt(family, generator)
        if found is not None:
            return found
    return None


def _of_one_matrix(family: MatrixFamily) -> Subspace | Irreducible | None:
    """The same for the powers of one matrix a, by the factors of its characteristic polynomial.

    A space that is invariant under a has a characteristic polynomial that divides it, so there is none if it is
    irreducible. Else let f be a factor: the kernel of f(a), or what one of its vectors generates, is proper.
    """
    element = combination(family, np.ones(1, dtype=np.int64))
    whole = charpoly(element)
    first, _ = factors(whole)[0]
    if len(first) - 1 == family.size:
        return Irreducible(family.size, tuple(whole))
    kernel = left_kernel_of(first, element)
    if kernel is None or kernel[0].shape[0] < family.size:
        return kernel
    space = smallest_invariant(family, kernel[0].take_rows(np.array([0])))
    return space.basis, space.pivots


def _norton_modulo_prime(
    family: MatrixFamily, generator: np.random.Generator
) -> Subspace | Irreducible | None:
    prime, size = FIRST_PRIME, family.size
    rows = family.modulo(prime)
    columns = family.transpose().modulo(prime)
    for _ in range(_MODULAR_TRIES):
        element = _random_residues(rows, generator)
        roots = roots_modulo(charpoly_modulo(element, prime), prime)
        # Linear factors λ − root of the characteristic polynomial; of a random element they are frequent.
        for root in roots[:3]:
            shifted = centre(element - root * np.eye(size, dtype=np.int64), prime)
            left = orthogonal(sparse.csr_array(shifted.T.copy()), prime)
            # The criterion asks for a kernel of dimension deg f = 1; a larger one decides nothing.
            if len(left) != 1:
                continue
            # Let W be a proper invariant space. Where the shifted element is singular on W, the line of its
            # kernel lies in W, and generates a proper space. Else it is singular on the quotient by W, so
            # the line of the transpose's kernel lies in what vanishes on W, and generates a proper space
            # there. If neither line generates a proper space there is no W.
            space = close(rows, left.basis).space
            matrix, pivots = space.matrix(), space.columns()
            if len(space) == size:
                right = orthogonal(sparse.csr_array(shifted), prime)
                dual = close(columns, right.basis).space
                if len(dual) == size:
                    return Irreducible(1)
                annihilating = orthogonal(dual.matrix(), prime)
                matrix, pivots = annihilating.basis, annihilating.pivots
            # What is invariant modulo a prime is a guess over Q, which `contains` verifies exactly.
            basis = lift([(prime, matrix)])
            if basis is not None and contains(basis, pivots, family.images(basis)[0]):
                return basis, pivots
    return None


def _random_residues(rows: ModularFamily, generator: np.random.Generator) -> IntArray:
    """A random element a + b·c of the algebra, with random combinations a, b, c of the matrices."""
    # With a product, as combinations of the matrices alone may all be special, such as nilpotent, and then have
    # no eigenvalue with a small kernel.
    prime, family = rows.prime, rows.exact
    entries = rows.unfolded.tocoo()
    parts = []
    for _ in range(3):
        weights = centre(generator.integers(0, prime, size=family.count), prime)
        dense = np.zeros((family.size, family.size), dtype=np.int64)
        values = centre(weights[family.generators[entries.coords[1]]] * entries.data, prime)
        # Entries of different matrices meet in one place, so they are added, not assigned.
        np.add.at(dense, (entries.coords[0], family.columns[entries.coords[1]]), values)
        parts.append(centre(dense, prime))
    return centre(parts[0] + apply(sparse.csr_array(parts[1]), parts[2], prime), prime)


def _from_coordinates(
    family: MatrixFamily, generator: np.random.Generator
) -> Subspace | Irreducible | None:
    """What single coordinates generate, or all rows that vanish on what they generate from the other side."""
    turned = family.transpose()
    for acting in (family, turned):
        modular = acting.modulo(FIRST_PRIME)
        # The closure modulo a prime is never larger than over Q, so only what is smaller there is computed
        # exactly.
        for i in range(family.size):
            unit = ExactMatrix.from_rows([{i: 1}], family.size)
            if len(close(modular, unit.residues(FIRST_PRIME)).space) < family.size:
                space = smallest_invariant(acting, unit)
                if space.pivots.size < family.size:
                    return _as_rows(space, acting is turned)
    return None


def _as_rows(space: InvariantSpace, turned: bool) -> Subspace:
    if turned:
        return annihilator(space.basis, space.pivots)
    return space.basis, space.pivots


def _norton(family: MatrixFamily, generator: np.random.Generator) -> Subspace | Irreducible | None:
    """Norton's criterion over Q."""
    if family.size > _MOST_RATIONAL:
        return None
    turned = family.transpose()
    # The greatest common divisor of the degrees of factors with a smallest kernel, and their number.
    common, proofs = 0, 0
    for attempt in range(_RATIONAL_TRIES):
        element = small_element(family, generator, attempt)
        for coefficients, _ in factors(charpoly(element)):
            degree = len(coefficients) - 1
            found = left_kernel_of(coefficients, element)
            if found is None:
                continue
            kernel = found[0]
            # A kernel larger than deg f proves nothing, but its vectors are likely to lie in a proper space.
            if kernel.shape[0] > degree:
                vectors = (kernel.take_rows(np.array([i])) for i in range(min(3, kernel.shape[0])))
                sides = [(family, vector) for vector in vectors]
            else:
                dual = left_kernel_of(coefficients, element.T)
                if dual is None:
                    continue
                # As f is irreducible, a maps no proper part of so small a kernel to itself: an invariant space
                # that holds one vector of it holds all, so any vector will do.
                first = np.array([0])
                sides = [(family, kernel.take_rows(first)), (turned, dual[0].take_rows(first))]
            for acting, vector in sides:
                space = smallest_invariant(acting, vector)
                if space.pivots.size < family.size:
                    return _as_rows(space, acting is turned)
            # Both vectors generated everything, so it is irreducible. The commuting matrices form a field
            # that acts on every such kernel, so its degree divides the dimension of each of them.
            if kernel.shape[0] == degree:
                common, proofs = gcd(common, degree), proofs + 1
                if common == 1 or proofs == _PROOFS:
                    return Irreducible(common)
    return Irreducible(common) if common else None


def small_element(family: MatrixFamily, generator: np.random.Generator, attempt: int) -> AnyArray:
    """An element a or a + b·c of the algebra, with small integer combinations a, b, c of the matrices."""
    # Small weights, as the characteristic polynomial is factored over Q: the size of its coefficients is what
    # costs. Every third attempt is without a product, whose entries are larger.
    parts = [combination(family, generator.integers(-2, 3, size=family.count)) for _ in range(3)]
    return parts[0] + parts[1].dot(parts[2]) if attempt % 3 else parts[0]


def combination(family: MatrixFamily, weights: IntArray) -> AnyArray:
    """A combination of the matrices, in Python integers; the family has integer entries."""
    generators, rows, columns, values = family.entries()
    dense = np.zeros((family.size, family.size), dtype=object)
    numbers = values.as_integers().numerators.astype(object) * weights[generators].astype(object)
    np.add.at(dense, (rows, columns), numbers)
    return dense


def left_kernel_of(coefficients: list[int], element: AnyArray) -> Subspace | None:
    """All rows v with v·f(a) = 0, exactly; None where their entries are too large.

    Their dimension is the nullity modulo a prime, which is at least the nullity over Q; every row is verified.
    """

    def modulo(prime: int) -> sparse.csr_array:
        residues = centre(np.mod(element, prime).astype(np.int64), prime)
        return sparse.csr_array(evaluate(coefficients, residues, prime).T.copy())

    # A rank can only fall modulo a prime, so the nullity there is an upper bound. As many independent rows that
    # are in the kernel over Q, which `_vanishes` verifies, are therefore all of it.
    return lifted_kernel(modulo, partial(_vanishes, coefficients, element), _MOST_PRIMES)


def evaluate(coefficients: list[int], matrix: IntArray, prime: int) -> IntArray:
    """f(a) modulo a prime, by Horner's rule."""
    factor = sparse.csr_array(matrix)
    identity = np.eye(len(matrix), dtype=np.int64)
    value = np.zeros_like(matrix)
    for c in coefficients:
        value = centre(apply(factor, value, prime) + (c % prime) * identity, prime)
    return value


def _vanishes(coefficients: list[int], element: AnyArray, basis: ExactMatrix) -> bool:
    """True if every row of the basis is taken to 0 by f(a), exactly."""
    # Multiples of the rows with integer entries: they vanish iff the rows do.
    whole = basis.primitive()
    rows = np.zeros(whole.shape, dtype=object)
    for i, row in enumerate(whole.rows()):
        for column, value in row.items():
            rows[i, column] = int(value)
    # Horner's rule on the rows alone: n² operations for each row and power, where f(a) itself takes n³.
    total = np.zeros_like(rows)
    for c in coefficients:
        total = total.dot(element) + c * rows
    return not np.any(total)
