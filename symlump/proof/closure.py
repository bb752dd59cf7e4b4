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

Let A be the coefficient matrix of the monomial 1, and G that of the quotient. Where all steps take A, each row
has a variable of its own, and L·A = G·L modulo the prime, vectors are replayed by their weights w in the rows:
(w·L)·A = (w·G)·L.

That vectors are independent is shown by elimination. Where each is the one before it times the same matrix, it
can be shown without the vectors: if w, w·G, …, w·G^(m−1) are dependent, the numbers w·Gⁱ·v obey a linear
recurrence of an order below m, whatever the column v is. The shortest recurrence of the first 2m numbers is
found by the algorithm of Berlekamp and Massey; if its order is m, the vectors are independent.

With functions steps are pairs ``[parent, point]``. The vector that is added is the gradient of r·q at a point
of the prime field: the one that evaluations with this seed take, with their values and derivatives of
functions. Since r·q is a function of the rows whatever the functions other than 1/u are, its gradient at each
such point is a combination of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from operator import mul, sub
from random import Random
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
    System,
    Unlucky,
    Verdict,
    _lowered,
    _Slopes,
    add_term,
    read_claim,
    unknown_functions,
    verdict,
)

Vector = dict[str, int]
Matrix = dict[str, list[tuple[str, int]]]  # by rows: the columns and their entries

# Strangers' files: past this many additions the replay does not go on.
MAX_STEPS = 120_000_000
MAX_KEPT = 1_000_000  # terms and factors at points that are remembered
_AT_ONCE = 16  # slots of a long number are added in the time of one step
_IN_LISTS = 2  # numbers in lists are multiplied and added in that time
_COLUMNS = 3  # are tried before vectors are taken for dependent


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
    for i in record.start:
        if i >= len(record.observables):
            raise Rejected(f"the start is observable {i}; there are {len(record.observables)}")
    count = _count_vectors(claim, record, budget)
    if count != len(matrix):
        raise Inconclusive(f"the derivation has {count} vectors, the lumping {len(matrix)} rows")
    unknown = bool(unknown_functions(claim.functions))
    return Verdict(
        "accepted",
        f"no linear lumping with fewer than {count} rows keeps the observables"
        + (FREE if record.steps and unknown else ""),
        coarsest=True,
    )


def _count_vectors(claim: Claim, record: Closure, budget: Budget) -> int:
    """How many vectors the derivation has; refuse dependent ones."""
    prime, matrix = record.prime, claim.matrix
    vectors: list[Vector] = []
    chained = not claim.functions and len({m for _, m in record.steps}) == 1
    within = _in_rows(claim, record, budget) if chained and not record.steps[0][1] else None
    if within is not None:
        vectors, step = within
    else:
        for form in (record.observables[i][0] for i in record.start):
            budget.spend(len(form))
            vectors.append(_residues(form, prime))
        if chained:
            monomial = record.steps[0][1]
            step = _jacobian(claim.system, {monomial}, prime, budget)[monomial]
    count = len(vectors) + len(record.steps)
    if (
        chained
        and len(vectors) == 1
        and all(parent == i for i, (parent, _) in enumerate(record.steps))
        and _in_order(vectors[0], step, count, prime, budget)
    ):
        return count
    if chained:
        for parent, _ in record.steps:
            vectors.append(_product(_parent(parent, vectors), step, prime, budget))
    else:
        add = _at_points if claim.functions else _by_coefficients
        add(claim, record, vectors, budget)
    _independent(vectors if within else _narrowed(vectors, matrix, prime), prime, budget)
    return count


def _in_rows(claim: Claim, record: Closure, budget: Budget) -> tuple[list[Vector], Matrix] | None:
    """What the derivation begins with by its weights in the rows, and the matrix of its steps there; else None.

    The weights tell where each row has a variable of its own and the quotient says what the one matrix of all
    steps makes of the rows. That is found out where it takes less than it saves.
    """
    prime, matrix = record.prime, claim.matrix
    own = _own_variables(matrix, prime)
    if len(own) < len(matrix):
        return None
    try:
        whole, small = (
            _jacobian(system, {()}, prime, budget)[()] for system in (claim.system, claim.quotient)
        )
        rows = {name: _residues(form, prime) for name, form in matrix.items()}
        first = []
        for _, carried in (record.observables[i] for i in record.start):
            budget.spend(len(carried))
            first.append(_residues(carried, prime))
    except Unlucky:
        return None
    saved = sum(map(len, whole.values())) - sum(map(len, small.values()))
    work = sum(len(whole.get(name, ())) for row in rows.values() for name in row)
    work += sum(len(rows[other]) for entries in small.values() for other, _ in entries)
    if work > len(record.steps) * saved:
        return None
    entries = {name: list(row.items()) for name, row in rows.items()}
    for name, row in rows.items():
        image = _product(dict(small.get(name, ())), entries, prime, budget)
        if _product(row, whole, prime, budget) != image:
            return None
    return first, small


def _by_coefficients(claim: Claim, record: Closure, vectors: list[Vector], budget: Budget) -> None:
    """Add the vectors of the derivation of a polynomial system."""
    matrices = _jacobian(
        claim.system, {monomial for _, monomial in record.steps}, record.prime, budget
    )
    for parent, monomial in record.steps:
        vectors.append(_product(_parent(parent, vectors), matrices[monomial], record.prime, budget))


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
        raise Unlucky(f"{prime} divides a denominator")
    return value.numerator * pow(value.denominator, -1, prime) % prime


def _residues(form: Polynomial, prime: int) -> Vector:
    return {name: r for ((name, _),), value in form.items() if (r := _residue(value, prime))}


def _jacobian(
    system: System, wanted: set[Monomial], prime: int, budget: Budget
) -> dict[Monomial, Matrix]:
    """The coefficient matrices of some monomials in the Jacobian."""
    found: dict[Monomial, Matrix] = {monomial: {} for monomial in wanted}
    for row, polynomial in system.items():
        for monomial, value in polynomial.items():
            budget.spend(1 + len(monomial) ** 2 // 8)
            for variable, power, rest in _lowered(monomial):
                if rest in found:  # this row, monomial and variable come from no other term
                    slope = power * _residue(value, prime) % prime
                    found[rest].setdefault(row, []).append((variable, slope))
    return found


def _product(vector: Vector, matrix: Matrix, prime: int, budget: Budget) -> Vector:
    """vector·matrix, the coefficient of a monomial in the gradient of vector·q."""
    total: Vector = {}
    budget.spend(min(len(vector), len(matrix)))
    for row in vector if len(vector) < len(matrix) else matrix:
        if row in vector and row in matrix:
            weight, entries = vector[row], matrix[row]
            budget.spend(len(entries))
            for variable, slope in entries:
                total[variable] = total.get(variable, 0) + weight * slope
    return {name: r for name, value in total.items() if (r := value % prime)}


def _narrowed(vectors: list[Vector], matrix: Mapping[str, Polynomial], prime: int) -> list[Vector]:
    """The vectors in one variable of each row that no other row has, if all rows have one; else as they are.

    Vectors that are independent in some variables are independent. Combinations of the rows that depend on each
    other in these do so in all.
    """
    own = _own_variables(matrix, prime)
    if len(own) < len(matrix):
        return vectors
    chosen = set(own.values())
    return [{name: v for name, v in vector.items() if name in chosen} for vector in vectors]


def _own_variables(matrix: Mapping[str, Polynomial], prime: int) -> dict[str, str]:
    """For rows that have one a variable that no other row has, with a weight that is not 0 modulo the prime."""
    owner: dict[str, str | None] = {}
    for row, form in matrix.items():
        for ((name, _),), value in form.items():
            owner[name] = None if name in owner or value.numerator % prime == 0 else row
    return {row: name for name, row in owner.items() if row is not None}


def _in_order(first: Vector, matrix: Matrix, count: int, prime: int, budget: Budget) -> bool:
    """Whether so many vectors, each the one before it times a matrix, are seen to be independent.

    It is not asked where elimination takes less.
    """
    entries = sum(map(len, matrix.values()))
    if 2 * count * (entries + count) // _IN_LISTS > count * entries + count**3 // (6 * _AT_ONCE):
        return False
    for attempt in range(_COLUMNS):
        numbers = _numbers(first, matrix, 2 * count, Random(attempt), prime, budget)
        if _order_of_recurrence(numbers, prime, budget) == count:
            return True
    return False


def _numbers(
    vector: Vector, matrix: Matrix, count: int, random: Random, prime: int, budget: Budget
) -> Iterator[int]:
    """The numbers r·Aⁱ·v for a random column v: products of residues in lists, column after column."""
    names = sorted({*vector, *matrix, *(name for row in matrix.values() for name, _ in row)})
    at = {name: i for i, name in enumerate(names)}
    entries = sorted((at[c], at[r], value) for r, row in matrix.items() for c, value in row)
    ends = [0] * len(names)
    for place, _, _ in entries:
        ends[place] += 1
    ends = list(accumulate(ends))
    rows, values = [row for _, row, _ in entries], [value for _, _, value in entries]
    now = [vector.get(name, 0) for name in names]
    column = [random.randrange(prime) for _ in names]
    for _ in range(count):
        budget.spend((len(values) + 2 * len(names)) // _IN_LISTS + 1)
        yield sum(map(mul, now, column)) % prime
        sums = list(accumulate(map(mul, [now[row] for row in rows], values), initial=0))
        upto = [sums[end] for end in ends]
        now = [value % prime for value in map(sub, upto, [0, *upto])]


def _order_of_recurrence(numbers: Iterator[int], prime: int, budget: Budget) -> int:
    """The order of the shortest linear recurrence modulo a prime, by the algorithm of Berlekamp and Massey.

    Examples
    --------
    >>> _order_of_recurrence(iter([1, 1, 2, 3, 5, 8]), 101, Budget("an example", 1000))
    2
    """
    past: list[int] = []  # newest first from its end
    now, before = [1], [1]  # Σ now[k]·s[i − k] = 0, and the last one of lower order
    order, shift, scale = 0, 1, 1
    for count, number in enumerate(numbers):
        past.append(number)
        budget.spend(2 * len(now) // _IN_LISTS + 1)
        wrong = sum(map(mul, now, reversed(past))) % prime
        if wrong:
            factor = wrong * pow(scale, -1, prime) % prime
            longer = now + [0] * (shift + len(before) - len(now))
            end = shift + len(before)
            part = zip(longer[shift:end], before, strict=True)
            longer[shift:end] = [(a - factor * b) % prime for a, b in part]
            if 2 * order <= count:
                before, scale, shift, order = now, wrong, 0, count + 1 - order
            now = longer
        shift += 1
    return order


def _independent(vectors: Sequence[Vector], prime: int, budget: Budget) -> None:
    """Refuse vectors that are dependent modulo the prime, by elimination.

    A vector is one whole number, with a slot of bits for each variable, the first ones lowest. A slot has room
    for all that can be added to it: one addition of numbers adds vectors, and nothing is reduced before it is
    lowest.
    """
    slots = {name: at for at, name in enumerate(sorted({n for v in vectors for n in v}))}
    size = (2 * prime.bit_length() + len(slots).bit_length() + 7) // 8  # bytes of a slot
    bits, lowest = 8 * size, (1 << 8 * size) - 1
    pivots: dict[int, int] = {}  # slot -> what is above it in a vector that is 1 there and 0 below
    for number, vector in enumerate(vectors):
        budget.spend(len(vector) + len(slots) // _AT_ONCE)
        rest, at = _packed({slots[name]: value for name, value in vector.items()}, size), 0
        while rest:
            budget.spend(1 + (len(slots) - at) // _AT_ONCE)
            if not rest & lowest:  # on to the next slot that is in use
                unused = ((rest & -rest).bit_length() - 1) // bits
                rest, at = rest >> unused * bits, at + unused
            value = (rest & lowest) % prime
            rest >>= bits
            if value and at not in pivots:
                inverse = pow(value, -1, prime)
                data = rest.to_bytes((rest.bit_length() + 7) // 8, "little")
                budget.spend(len(data) // size)
                above = (data[i : i + size] for i in range(0, len(data), size))
                residues = (int.from_bytes(slot, "little") * inverse % prime for slot in above)
                pivots[at] = _packed(dict(enumerate(residues)), size)
                break
            if value:
                rest += (prime - value) * pivots[at]
            at += 1
        else:
            raise Inconclusive(f"vector {number} of the derivation depends on those before it")


def _packed(values: Mapping[int, int], size: int) -> int:
    """One whole number with each value in the slot of its number, so many bytes wide."""
    data = bytearray(size * (max(values, default=-1) + 1))
    for slot, value in values.items():
        data[slot * size : (slot + 1) * size] = value.to_bytes(size, "little")
    return int.from_bytes(data, "little")
