"""The proof that a linear lumping is the smallest: none with fewer rows keeps the observables.

Standard library only. A certificate of kind ``linear`` may hold a record ``closure``:

- ``observables``: a list of pairs, a linear form in the variables and the same as a linear form in the
  rows. They are compared: the rows determine the observables.
- ``start``: which of them begin the derivation, by position.
- ``prime``, and ``steps``: pairs ``[parent, monomial]``. Each step adds one vector to the derivation, the
  coefficient of the monomial in the gradient of r·q, where r is vector number ``parent`` and q the system.

A linear lumping that keeps the observables contains the vectors it starts with. If it contains r, then
r·q is a polynomial in its rows, so its gradient is a combination of them and so is each coefficient of
it. Hence it contains all vectors of the derivation. The derivation is replayed modulo the prime; vectors
that are independent there are independent over Q. So no lumping that keeps the observables has fewer rows
than there are vectors.

With functions steps are pairs ``[parent, point]``. The vector that is added is the gradient of r·q at a point
of the prime field: the one that evaluations with this seed take, with their values and derivatives of
functions. Since r·q is a function of the rows whatever the functions other than 1/u are, its gradient at each
such point is a combination of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from symlump.proof.check import (
    FREE,
    Budget,
    Claim,
    Closure,
    Evaluations,
    Inconclusive,
    Misplaced,
    Monomial,
    Polynomial,
    Rejected,
    Verdict,
    _lowered,
    _Slopes,
    add_term,
    read_claim,
    unknown_functions,
    verdict,
)

Vector = dict[str, int]
ModularSystem = dict[str, dict[Monomial, int]]

# Strangers' files: past this many additions the replay does not go on.
MAX_STEPS = 50_000_000
MAX_KEPT = 1_000_000  # terms and factors at points that are remembered


def check_closure(
    certificate: Mapping[str, Any], system: Mapping[str, Any] | None = None
) -> Verdict:
    """Verify the record ``closure`` of a certificate; ``accepted`` says that no smaller lumping will do.

    ``system`` is the system, if the certificate only names a digest. The lumping itself is another matter:
    :func:`symlump.proof.check.check`.

    Raises
    ------
    Unreadable
        If the data does not have the form of such a certificate; the message names the place.

    Examples
    --------
    >>> one = lambda name: [["1", [[name, 1]]]]
    >>> system = {"x": one("y"), "y": one("x")}
    >>> claim = {"format": "symlump certificate", "version": 1, "kind": "linear", "system": system,
    ...          "matrix": {"x": one("x"), "y": one("y")}, "quotient": system,
    ...          "closure": {"observables": [[one("x"), one("x")]], "start": [0], "prime": 101,
    ...                      "steps": [[0, []]]}}
    >>> print(check_closure(claim).reason)
    no linear lumping with fewer than 2 rows keeps the observables
    """
    return verdict(lambda: examine_closure(read_claim(certificate, system)))


def closure_verdict(claim: Claim) -> Verdict:
    """The verdict on a claim that has been read."""
    return verdict(lambda: examine_closure(claim))


def examine_closure(claim: Claim) -> Verdict:
    """Raise where a claim is not accepted."""
    record, matrix = claim.closure, claim.matrix
    if record is None:
        raise Misplaced("this key is missing", "closure")
    budget = Budget("replaying the derivation", MAX_STEPS)
    for number, (form, carried) in enumerate(record.observables):
        total: Polynomial = {}
        for ((row, _),), weight in carried.items():
            budget.spend(len(matrix[row]))
            for monomial, value in matrix[row].items():
                add_term(total, monomial, weight * value)
        if total != form:
            raise Rejected(f"observable {number} is not the given combination of rows")
    prime = record.prime
    vectors = []
    for i in record.start:
        if i >= len(record.observables):
            raise Rejected(f"the start is observable {i}; there are {len(record.observables)}")
        form, _ = record.observables[i]
        budget.spend(len(form))
        vectors.append(_residues(form, prime))
    add = _at_points if claim.functions else _by_coefficients
    add(claim, record, vectors, budget)
    _independent(_narrowed(vectors, matrix, prime), prime, budget)
    if len(vectors) != len(matrix):
        raise Inconclusive(
            f"the derivation has {len(vectors)} vectors, the lumping {len(matrix)} rows"
        )
    unknown = bool(unknown_functions(claim.functions))
    return Verdict(
        "accepted",
        f"no linear lumping with fewer than {len(vectors)} rows keeps the observables"
        + (FREE if record.steps and unknown else ""),
        coarsest=True,
    )


def _by_coefficients(claim: Claim, record: Closure, vectors: list[Vector], budget: Budget) -> None:
    """Add the vectors of the derivation of a polynomial system."""
    prime, modular = record.prime, ModularSystem()
    for name, polynomial in claim.system.items():
        modular[name] = {monomial: _residue(value, prime) for monomial, value in polynomial.items()}
    for parent, wanted in _by_parent(record.steps):
        vectors += _gradient(modular, _parent(parent, vectors), wanted, prime, budget)


def _at_points(claim: Claim, record: Closure, vectors: list[Vector], budget: Budget) -> None:
    """Add the vectors of the derivation of a system with functions."""
    points: dict[int, _Slopes] = {}
    size = sum(len(m) + 1 for p in _polynomials(claim) for m in p)
    for parent, seed in record.steps:
        vector = _parent(parent, vectors)
        if seed not in points:
            budget.spend(2 * size)
            if len(points) * size > MAX_KEPT:
                del points[next(iter(points))]
            points[seed] = _Slopes(claim, Evaluations(record.prime, seed, 0))
            points[seed].budget = budget
        # By how much the gradient changes as the weights change from 0.
        gradient = points[seed].follow(vector)
        points[seed].follow(dict.fromkeys(vector, 0))
        vectors.append({name: r for name, r in gradient.items() if r})


def _polynomials(claim: Claim) -> list[Polynomial]:
    """The equations of the system, and the arguments of its functions."""
    return [*claim.system.values(), *(u for f in claim.functions.values() for u in f.arguments)]


def _parent(number: int, vectors: list[Vector]) -> Vector:
    """A vector may only come from one before it."""
    if number >= len(vectors):
        raise Rejected(f"a step refers to vector {number}; there are {len(vectors)}")
    return vectors[number]


def _residue(value: Fraction, prime: int) -> int:
    if value.denominator % prime == 0:
        raise Inconclusive(f"{prime} divides a denominator")
    return value.numerator * pow(value.denominator, -1, prime) % prime


def _residues(form: Polynomial, prime: int) -> Vector:
    return {name: r for ((name, _),), value in form.items() if (r := _residue(value, prime))}


def _by_parent(steps: Sequence[tuple[int, Monomial]]) -> list[tuple[int, list[Monomial]]]:
    """Consecutive steps from one parent, so that it is differentiated once."""
    groups: list[tuple[int, list[Monomial]]] = []
    for parent, monomial in steps:
        if groups and groups[-1][0] == parent:
            groups[-1][1].append(monomial)
        else:
            groups.append((parent, [monomial]))
    return groups


def _gradient(
    system: ModularSystem, vector: Vector, wanted: list[Monomial], prime: int, budget: Budget
) -> list[Vector]:
    """The coefficients of some monomials in the gradient of vector·q."""
    combined: dict[Monomial, int] = {}
    for name, weight in vector.items():
        budget.spend(len(system[name]))
        for monomial, value in system[name].items():
            combined[monomial] = combined.get(monomial, 0) + weight * value
    found: dict[Monomial, Vector] = {monomial: {} for monomial in wanted}
    for monomial, weight in combined.items():
        budget.spend(len(monomial) ** 2 // 8)
        for name, power, rest in _lowered(monomial):
            if rest in found:  # this monomial and this variable come from no other term
                found[rest][name] = power * weight % prime
    return [{name: r for name, r in found[monomial].items() if r} for monomial in wanted]


def _narrowed(vectors: list[Vector], matrix: Mapping[str, Polynomial], prime: int) -> list[Vector]:
    """The vectors in one variable of each row that no other row has, if all rows have one; else as they are.

    Vectors that are independent in some variables are independent. Combinations of the rows that depend on each
    other in these do so in all.
    """
    owner: dict[str, str | None] = {}
    for row, form in matrix.items():
        for ((name, _),), value in form.items():
            owner[name] = None if name in owner or value.numerator % prime == 0 else row
    own = {row: name for name, row in owner.items() if row is not None}
    if len(own) < len(matrix):
        return vectors
    chosen = set(own.values())
    return [{name: v for name, v in vector.items() if name in chosen} for vector in vectors]


def _independent(vectors: Sequence[Vector], prime: int, budget: Budget) -> None:
    """Refuse vectors that are dependent modulo the prime, by elimination."""
    reduced: dict[str, Vector] = {}  # pivot -> vector that is 1 there and 0 at the pivots before it
    for number, vector in enumerate(vectors):
        rest = dict(vector)
        budget.spend(len(reduced))
        for pivot, row in reduced.items():
            factor = rest.get(pivot, 0)
            if factor:
                budget.spend(len(row))
                for name, value in row.items():
                    rest[name] = (rest.get(name, 0) - factor * value) % prime
        rest = {name: value for name, value in rest.items() if value}
        if not rest:
            raise Inconclusive(f"vector {number} of the derivation depends on those before it")
        pivot = min(rest)
        inverse = pow(rest[pivot], -1, prime)
        reduced[pivot] = {name: value * inverse % prime for name, value in rest.items()}
