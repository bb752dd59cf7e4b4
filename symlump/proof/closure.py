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
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

from symlump.proof.check import (
    Inconclusive,
    Monomial,
    Polynomial,
    Rejected,
    Unreadable,
    Verdict,
    add_term,
    one_line,
    read_polynomial,
    read_system,
    system_digest,
)

Vector = dict[str, int]
ModularSystem = dict[str, dict[Monomial, int]]

# Strangers' files: past this many additions the replay does not go on.
MAX_STEPS = 50_000_000


def check_closure(
    certificate: Mapping[str, Any], system: Mapping[str, Any] | None = None
) -> Verdict:
    """Verify the record ``closure`` of a certificate; ``accepted`` says that no smaller lumping will do.

    ``system`` is the system, if the certificate only names a digest. The lumping itself is another matter:
    :func:`symlump.proof.check.check`.

    Raises
    ------
    Unreadable
        If the data does not have the form of such a certificate.

    Examples
    --------
    >>> one = lambda name: [["1", [[name, 1]]]]
    >>> claim = {"system": {"x": one("y"), "y": one("x")}, "matrix": {"x": one("x"), "y": one("y")},
    ...          "closure": {"observables": [[one("x"), one("x")]], "start": [0], "prime": 101,
    ...                      "steps": [[0, []]]}}
    >>> print(check_closure(claim).reason)
    no linear lumping with fewer than 2 rows keeps the observables
    """
    try:
        return _check(certificate, system)
    except Rejected as refusal:
        return Verdict("rejected", one_line(refusal))
    except Inconclusive as doubt:
        return Verdict("inconclusive", one_line(doubt))
    except (
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        ZeroDivisionError,
    ) as error:
        what = f"this is not a record of a closure: {type(error).__name__}: {error}"
        raise Unreadable(one_line(what)) from None


def _check(certificate: Mapping[str, Any], given: Mapping[str, Any] | None) -> Verdict:
    stored = certificate.get("system", given)
    if stored is None:
        raise Inconclusive(
            "the certificate holds no system, only its digest; give the system's file"
        )
    system = read_system(stored)
    if certificate.get("digest", "") not in ("", system_digest(system)):
        raise Rejected("the system that was given is not the one that the digest names")
    record = certificate["closure"]
    budget = [MAX_STEPS]
    matrix = {name: _form(row) for name, row in certificate["matrix"].items()}
    observables: list[Polynomial] = []
    for plain, carried in record["observables"]:
        form = _form(plain)
        total: Polynomial = {}
        for ((row, _),), weight in _form(carried).items():
            _spend(budget, len(matrix[row]))
            for monomial, value in matrix[row].items():
                add_term(total, monomial, weight * value)
        if total != form:
            raise Rejected(f"observable {len(observables)} is not the given combination of rows")
        observables.append(form)
    prime = record["prime"]
    if type(prime) is not int or prime >= 1 << 40 or not _is_prime(prime):
        raise ValueError(f"{prime!r} is not a prime below 2^40")
    vectors = []
    for i in record["start"]:
        _spend(budget, len(observables[i]))
        vectors.append(_residues(observables[i], prime))
    modular: ModularSystem = {}
    for name, polynomial in system.items():
        modular[name] = {monomial: _residue(value, prime) for monomial, value in polynomial.items()}
    for parent, wanted in _by_parent(record["steps"]):
        # A vector may only come from one before it.
        if not 0 <= parent < len(vectors):
            raise Rejected(f"a step refers to vector {parent}; there are {len(vectors)}")
        vectors += _gradient(modular, vectors[parent], wanted, prime, budget)
    _independent(vectors, prime, budget)
    if len(vectors) != len(matrix):
        raise Inconclusive(
            f"the derivation has {len(vectors)} vectors, the lumping {len(matrix)} rows"
        )
    return Verdict(
        "accepted",
        f"no linear lumping with fewer than {len(vectors)} rows keeps the observables",
        coarsest=True,
    )


def _form(terms: Sequence[Any]) -> Polynomial:
    """A linear form, ``[[coefficient, [[name, 1]]], …]``."""
    form = read_polynomial(terms)
    if not all(len(monomial) == 1 and monomial[0][1] == 1 for monomial in form):
        raise ValueError(f"{str(terms)[:60]} is not a linear form")
    return form


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % d for d in range(2, isqrt(number) + 1))


def _residue(value: Fraction, prime: int) -> int:
    if value.denominator % prime == 0:
        raise Inconclusive(f"{prime} divides a denominator")
    return value.numerator * pow(value.denominator, -1, prime) % prime


def _residues(form: Polynomial, prime: int) -> Vector:
    return {name: r for ((name, _),), value in form.items() if (r := _residue(value, prime))}


def _by_parent(steps: Sequence[Any]) -> list[tuple[int, list[Monomial]]]:
    """Consecutive steps from one parent, so that it is differentiated once."""
    groups: list[tuple[int, list[Monomial]]] = []
    for parent, factors in steps:
        if type(parent) is not int:
            raise ValueError(f"{parent!r} is not the number of a vector")
        monomial = tuple(sorted((name, power) for name, power in factors))
        if groups and groups[-1][0] == parent:
            groups[-1][1].append(monomial)
        else:
            groups.append((parent, [monomial]))
    return groups


def _spend(budget: list[int], steps: int) -> None:
    budget[0] -= steps
    if budget[0] < 0:
        raise Inconclusive("replaying the derivation takes too long")


def _gradient(
    system: ModularSystem, vector: Vector, wanted: list[Monomial], prime: int, budget: list[int]
) -> list[Vector]:
    """The coefficients of some monomials in the gradient of vector·q."""
    combined: dict[Monomial, int] = {}
    for name, weight in vector.items():
        if name not in system:
            raise Rejected(f"{name} is not a variable of the system")
        _spend(budget, len(system[name]))
        for monomial, value in system[name].items():
            combined[monomial] = combined.get(monomial, 0) + weight * value
    found: dict[Monomial, Vector] = {monomial: {} for monomial in wanted}
    for monomial, weight in combined.items():
        _spend(budget, len(monomial) ** 2 // 8)
        for at, (name, power) in enumerate(monomial):
            lowered = ((name, power - 1),) if power > 1 else ()
            rest = monomial[:at] + lowered + monomial[at + 1 :]
            if rest in found:  # this monomial and this variable come from no other term
                found[rest][name] = power * weight % prime
    return [{name: r for name, r in found[monomial].items() if r} for monomial in wanted]


def _independent(vectors: Sequence[Vector], prime: int, budget: list[int]) -> None:
    """Refuse vectors that are dependent modulo the prime, by elimination."""
    reduced: dict[str, Vector] = {}  # pivot -> vector that is 1 there and 0 at the pivots before it
    for number, vector in enumerate(vectors):
        rest = dict(vector)
        _spend(budget, len(reduced))
        for pivot, row in reduced.items():
            factor = rest.get(pivot, 0)
            if factor:
                _spend(budget, len(row))
                for name, value in row.items():
                    rest[name] = (rest.get(name, 0) - factor * value) % prime
        rest = {name: value for name, value in rest.items() if value}
        if not rest:
            raise Inconclusive(f"vector {number} of the derivation depends on those before it")
        pivot = min(rest)
        inverse = pow(rest[pivot], -1, prime)
        reduced[pivot] = {name: value * inverse % prime for name, value in rest.items()}
