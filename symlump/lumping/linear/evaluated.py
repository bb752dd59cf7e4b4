"""The smallest invariant row space where there are quotients and functions, from Jacobians at random points.

A linear lumping with rows L satisfies L·q(x) = g(L·x), so its row space contains r·J(x) for each of its rows
r, at every x. In a prime field J is evaluated at random points, twice as many whenever the space is not closed
at further ones, and the space is closed under these matrices. Its echelon basis modulo several primes is read
as fractions. That the result is a lumping is proved afterwards, by its quotient; that none is smaller by the
derivation, which any other points of any other prime field repeat.

References
----------
Jiménez-Pastor, Jacob, Pogudin, "Exact linear reduction for rational dynamical systems", arXiv:2201.13373,
evaluate the Jacobian at random points, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from scipy import sparse

from symlump.errors import FailureError, InputError
from symlump.lumping.elementary.jacobian import PrimeField
from symlump.lumping.linear.spaces.closure import Closure, close, is_closed, replay
from symlump.lumping.linear.spaces.echelon import Echelon, fold, primes, product
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily, ModularFamily
from symlump.lumping.linear.spaces.invariant import (
    MOST_PRIMES,
    InvariantSpace,
    Lift,
    contains,
    identity,
    lifted_kernel,
)
from symlump.lumping.linear.spaces.residues import centre
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.system import ODE

#: A space that is not invariant is closed at random points of so many prime fields with probability 10⁻¹⁸.
_CERTAIN = 3


def smallest_evaluated(ode: ODE, rows: ExactMatrix, seed: int = 0) -> InvariantSpace:
    """The smallest row space that contains the rows and r·J(x) for each of its rows r and all x.

    Generator k of the closure is the Jacobian at random point number k.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes, or a denominator is 0 everywhere.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = y/(1 + y + 2*z); y' = -y; z' = -z")
    >>> smallest_evaluated(ode, ExactMatrix.from_rows([{0: 1}], 3)).basis.rows()
    [{0: Fraction(1, 1)}, {1: Fraction(1, 1)}, {2: Fraction(1, 1)}]
    >>> ode = sl.ODE.from_text("x' = 1/(1 + y + 2*z); y' = -y; z' = -z")
    >>> smallest_evaluated(ode, ExactMatrix.from_rows([{0: 1}], 3)).basis.rows()
    [{0: Fraction(1, 1)}, {1: Fraction(1, 1), 2: Fraction(2, 1)}]
    """
    generator = np.random.default_rng(seed)
    closure: Closure | None = None
    points, lift = 2, Lift()
    fields = _fields(ode)
    for field in islice(fields, MOST_PRIMES):
        try:
            start = rows.residues(field.prime)
        except InputError:
            continue
        if closure is None:
            closure, points = _closed(field, start, points, generator)
            space, lift = closure.space, Lift()
            if len(space) == len(ode):
                return InvariantSpace(identity(len(ode)), space.columns(), closure)
        else:
            family = family_at(field, points, generator)
            again = replay(family, start, closure, closure.space.columns())
            if again is None:
                continue
            space = again
            if not is_closed(family, start, space, generator):
                closure = None  # its prime divides a number it should not
                continue
        basis, pivots = lift.add(field.prime, space.matrix()), closure.space.columns()
        if basis is None or not contains(basis, pivots, rows):
            continue
        if not np.array_equal(basis.columns[basis.indptr[:-1]], pivots):
            closure = None  # not the echelon form over Q: the prime was an unlucky one
            continue
        if all(_stays(basis, other, generator) for other in islice(fields, _CERTAIN)):
            return InvariantSpace(basis, pivots, closure)
    raise FailureError(
        f"the smallest linear lumping was not found modulo {MOST_PRIMES} primes: its coefficients have "
        f"more than {11 * MOST_PRIMES} bits"
    )


def vanishing_combinations(ode: ODE, own: IntArray, seed: int = 0) -> ExactMatrix:
    """A basis of all rows L on some variables with L·q = 0, the identity on some columns.

    It is orthogonal to q at random points.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes, or a denominator is 0 everywhere.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = 2/(1 + y); y' = -1/(1 + y)")
    >>> vanishing_combinations(ode, np.arange(2)).rows()
    [{0: Fraction(1, 2), 1: Fraction(1, 1)}]
    """
    generator = np.random.default_rng(seed)

    def modulo(prime: int) -> sparse.csr_array | None:
        try:
            field = PrimeField(ode, prime)
        except InputError:
            return None
        values = [centre(field.values(generator)[own], prime) for _ in range(own.size + 2)]
        return sparse.csr_array(np.array(values))

    def verify(basis: ExactMatrix) -> bool:
        others = islice(_fields(ode), _CERTAIN)
        return not any(
            (basis.residues(f.prime) @ f.values(generator)[own] % f.prime).any() for f in others
        )

    found = lifted_kernel(modulo, verify)
    if found is None:
        raise FailureError("the first integrals were not found modulo two thousand primes")
    return found[0].spread(own, len(ode))


def jacobian_span(ode: ODE, seed: int = 0) -> MatrixFamily:
    """Matrices over Q that span all values of the Jacobian: what coefficient matrices are to a polynomial one.

    The span is found modulo primes and lifted; Jacobians at random points of three more prime fields lie in it,
    which those outside would do with a probability of 10⁻¹⁸.

    Raises
    ------
    FailureError
        If its entries do not fit two thousand primes, or a denominator is 0 everywhere.

    Examples
    --------
    >>> import symlump as sl
    >>> family = jacobian_span(sl.ODE.from_text("x' = -x/(1 + x + 2*y); y' = -y/(1 + x + 2*y)"))
    >>> len(family.entries()[0]), family.count
    (6, 3)
    """
    generator, size = np.random.default_rng(seed), len(ode)
    lift = Lift()
    used, pivots = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    fields = _fields(ode)
    for field in islice(fields, MOST_PRIMES):
        if not len(lift):
            # A number is 0 at a random point only if it always is.
            entries = field.jacobian(generator).tocoo()
            used = np.unique(entries.coords[0].astype(np.int64) * size + entries.coords[1])
            if not used.size:
                return MatrixFamily.from_entries(used, used, used, ExactArray(used, used), size, 0)
        space = Echelon(used.size, field.prime)
        fresh = space.extend(_flat(field, used, 8, generator))
        while fresh:
            fresh = space.extend(_flat(field, used, max(8, len(space)), generator))
        space.settle()
        if not np.array_equal(space.columns(), pivots):
            lift, pivots = Lift(), space.columns()
        basis = lift.add(field.prime, space.matrix())
        if basis is None:
            continue
        sure = []
        for other in islice(fields, _CERTAIN):
            point = _flat(other, used, 1, generator)
            try:
                rows = basis.residues(other.prime).toarray().astype(np.float64)
            except InputError:
                continue
            rest = point - product(fold(point[:, pivots], other.prime), rows, other.prime)
            sure.append(not fold(rest, other.prime).any())
        if sure and all(sure):
            keys = used[basis.columns]
            return MatrixFamily.from_entries(
                basis.owners, keys // size, keys % size, basis.values, size, basis.shape[0]
            )
    raise FailureError(f"the span of the Jacobian was not found modulo {MOST_PRIMES} primes")


def _flat(
    field: PrimeField, used: IntArray, points: int, generator: np.random.Generator
) -> FloatArray:
    """The Jacobian at random points, a row each, its entries at some places."""
    rows, columns = np.divmod(used, max(1, len(field.ode)))
    values = [field.jacobian(generator).toarray()[rows, columns] for _ in range(points)]
    return fold(np.array(values, dtype=np.float64).reshape(points, used.size), field.prime)


def family_at(field: PrimeField, points: int, generator: np.random.Generator) -> ModularFamily:
    """The Jacobians at random points, as a family of matrices modulo the prime."""
    size = len(field.ode)
    parts = [field.jacobian(generator).tocoo() for _ in range(points)]
    numbers = np.repeat(np.arange(points, dtype=np.int64), [part.nnz for part in parts])
    rows, columns = (np.concatenate([part.coords[i] for part in parts]) for i in (0, 1))
    values = np.concatenate([part.data for part in parts])
    exact = ExactArray(values, np.ones_like(values))
    family = MatrixFamily.from_entries(
        numbers, rows.astype(np.int64), columns.astype(np.int64), exact, size, points
    )
    return family.modulo(field.prime)


def _fields(ode: ODE) -> Iterator[PrimeField]:
    for prime in primes():
        try:
            yield PrimeField(ode, prime)
        except InputError:  # the prime divides a denominator
            continue


def _closed(
    field: PrimeField, start: sparse.csr_array, points: int, generator: np.random.Generator
) -> tuple[Closure, int]:
    """The closure under the Jacobians at so many points that further ones add nothing, and their number."""
    while True:
        closure = close(family_at(field, points, generator), start, generator)
        if len(closure.space) == len(field.ode) or is_closed(
            family_at(field, 2, generator), start, closure.space, generator
        ):
            return closure, points
        points *= 2


def _stays(basis: ExactMatrix, field: PrimeField, generator: np.random.Generator) -> bool:
    """False if a row space is certainly not invariant; True where a random point shows nothing new."""
    try:
        rows = basis.residues(field.prime)
    except InputError:
        return True
    images = (rows @ field.jacobian(generator)).toarray() % field.prime
    pivots = basis.columns[basis.indptr[:-1]]
    inside = sparse.csr_array(images[:, pivots]) @ rows
    return not np.any((images - inside.toarray()) % field.prime)
