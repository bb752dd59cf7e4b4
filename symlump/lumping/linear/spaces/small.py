"""Small systems in plain integers: the closure of some rows.

Below some hundred variables the arrays of :mod:`symlump.lumping.linear.spaces.closure` cost more to set up than
there is to compute. Here a row is a dictionary. Work is bounded: where it, or the numbers, would grow, the
answer is None, and the arrays take over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import gcd, isqrt, lcm, prod

import numpy as np

from symlump.lumping.linear.spaces.closure import powers
from symlump.lumping.linear.spaces.echelon import Echelon, fold
from symlump.lumping.linear.spaces.echelon import primes as small_primes
from symlump.lumping.linear.spaces.small_powers import PRIMES as PRIMES_OF_FEW
from symlump.lumping.linear.spaces.small_powers import SmallPowers
from symlump.lumping.linear.spaces.small_terms import Factors, Row, Terms
from symlump.ode.exact import PRIMES

#: Systems of more terms are not tried; more products of numbers than this are not made.
MOST_TERMS, MOST_WORK = 3000, 60_000
#: What is done with a new row takes as long as so many products with each of its entries.
_PASSES = 4
_MOST_PRIMES = 4
#: Linear systems of more variables are closed in arrays.
_MANY = 48
#: First modulo two primes, then modulo more.
_MODULI = (PRIMES[:2], PRIMES[:_MOST_PRIMES])
#: A number so many bits shorter than it could be is not so by chance.
_TELLING_BITS = 40


class ModularRows:
    """Rows modulo a number in echelon form: 1 on the pivot of each, 0 on those of the rows before it.

    Examples
    --------
    >>> space = ModularRows(7)
    >>> space.add({0: 2, 1: 4}), space.add({0: 1, 1: 2}), space.add({0: 1, 1: 1, 2: 3})
    ({0: 1, 1: 2}, None, {1: 1, 2: 4})
    >>> space.reduced()
    {1: {1: 1, 2: 4}, 0: {0: 1, 2: 6}}
    """

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.rows: dict[int, Row] = {}
        self.work = 0
        # Columns of rows with one entry: they are left out of all that is added. The other rows.
        self.units: set[int] = set()
        self._others: dict[int, Row] = {}

    def add(self, vector: Row) -> Row | None:
        """A multiple of the vector modulo the space, if it is not zero: that is a row from now on.

        Raises
        ------
        ValueError
            If the modulus is no prime, and what would be the pivot has no inverse.
        """
        modulus, units = self.modulus, self.units
        if vector.keys() <= units:
            return None
        if len(vector) == 1 and not self._others:
            ((c, value),) = vector.items()
            if gcd(value, modulus) != 1:
                if value % modulus == 0:
                    return None
                raise ValueError(f"{value} has no inverse modulo {modulus}")
            self.work += _PASSES
            units.add(c)
            self.rows[c] = {c: 1}
            return self.rows[c]
        rest = {c: value for c, value in vector.items() if c not in units}
        get = rest.get
        for pivot, row in self._others.items():
            if pivot in rest and (factor := rest[pivot] % modulus):
                self.work += len(row)
                for c, value in row.items():
                    rest[c] = get(c, 0) - factor * value
        rest = {c: r for c, value in rest.items() if c not in units and (r := value % modulus)}
        if not rest:
            return None
        self.work += _PASSES * len(rest)
        first = min(rest)
        if rest[first] != 1:
            factor = pow(rest[first], -1, modulus)
            rest = {c: value * factor % modulus for c, value in rest.items()}
        self.rows[first] = rest
        if len(rest) == 1:
            units.add(first)
        else:
            self._others[first] = rest
        return rest

    def reduced(self) -> dict[int, Row]:
        """The reduced echelon form: 0 on the pivots of all others."""
        modulus = self.modulus
        found: dict[int, Row] = {}
        for pivot in reversed(self.rows):  # those after it are done, and 0 on each other's pivots
            row = self.rows[pivot]
            taken = [c for c in row if c in found]
            if taken:
                rest = dict(row)
                get = rest.get
                for c in taken:
                    factor = row[c]
                    self.work += len(found[c])
                    for k, value in found[c].items():
                        rest[k] = get(k, 0) - factor * value
                row = {c: r for c, value in rest.items() if (r := value % modulus)}
            found[pivot] = row
        return found


def lift_rows(spaces: Sequence[Mapping[int, Row]], moduli: Sequence[int]) -> list[Row] | None:
    """The rows over Q, each times the least number that makes it integers, in the order of the pivots.

    Modulo the product of the moduli they are the reduced echelon forms that are given. Beside denominators
    that a row has already, numbers are below the root of half of it; None where there are none. That this is
    the row over Q is for a proof to say.
    """
    modulus = prod(moduli)
    most = isqrt(modulus // 2)
    steps, done = [], moduli[0]
    for other in moduli[1:]:
        steps.append((done, other, pow(done, -1, other)))
        done *= other
    known: dict[int, tuple[int, int]] = {}
    result = []
    for pivot in sorted(spaces[0]):
        row = spaces[0][pivot]
        if any(space.get(pivot, {}).keys() != row.keys() for space in spaces[1:]):
            return None  # one of the moduli divides a number that it should not
        if len(row) == 1:
            result.append({pivot: 1})
            continue
        for (done, other, inverse), space in zip(steps, spaces[1:], strict=True):
            # The number with the residues so far, and that of one more modulus.
            more = space[pivot]
            row = {
                c: value + done * ((more[c] - value) * inverse % other) for c, value in row.items()
            }
        shared, lifted = 1, {}
        for c, value in row.items():
            if shared != 1:
                value = value * shared % modulus
            if value <= most:
                lifted[c] = value
            elif value >= modulus - most:
                lifted[c] = value - modulus
            else:
                fraction = known.get(value)
                if fraction is None:
                    fraction = read_fraction(value, modulus, most)
                    if fraction is None:
                        return None
                    known[value] = fraction
                top, below = fraction
                shared *= below
                lifted = {k: v * below for k, v in lifted.items()}
                lifted[c] = top
        result.append(lifted)
    return result


def read_fraction(residue: int, modulus: int, most: int) -> tuple[int, int] | None:
    """Numerator and denominator of the fraction with a residue, neither above ``most``, if there is one.

    Examples
    --------
    >>> read_fraction(2 * pow(3, -1, 101) % 101, 101, 7)
    (2, 3)
    """
    # A fraction so much shorter than the modulus is no accident: the rest of the division is not needed.
    short = modulus >> _TELLING_BITS
    a, b, s, t = modulus, residue, 0, 1
    while b > most and b * abs(t) > short:
        q = a // b
        a, b, s, t = b, a - q * b, t, s - q * t
    if not t or abs(t) > most:
        return None
    return (b, t) if t > 0 else (-b, -t)


def spans(rows: Iterable[Row], vectors: Iterable[Row]) -> bool:
    """True if all vectors are combinations of the rows, exactly; each row has a column to itself, its first."""
    first = {min(row): row for row in rows}
    for vector in vectors:
        rest = vector
        for pivot in [c for c in vector if c in first]:
            row, value = first[pivot], rest[pivot]
            lead = row[pivot]
            rest = {c: lead * v for c, v in rest.items()} if lead != 1 else dict(rest)
            for c, v in row.items():
                rest[c] = rest.get(c, 0) - value * v
        if rest is vector or any(rest.values()):
            return False
    return True


@dataclass(frozen=True)
class SmallClosure:
    """The smallest invariant row space, and how it came about.

    Parameters
    ----------
    rows : list of dict
        Reduced echelon form over Q, each row times a number, in the order of the pivots.
    kept : list of int
        Which of the given rows are independent.
    steps : list of (parent, factors)
        As in :class:`symlump.lumping.linear.linear_lumping.Derivation`, with positions for names.
    prime : int
        Modulo which they are.
    """

    rows: list[Row]
    kept: list[int]
    steps: list[tuple[int, Factors]]
    prime: int


def close_small(terms: Terms, start: Sequence[Row], most: int) -> SmallClosure | None:
    """Add the coefficients of the gradient of r·q, for rows r of the space, until none is missing.

    A row is taken as it was when it was added, less what was there before. *Why the same steps
    derive independent vectors from the given rows themselves:* the row is the derived vector plus derived
    vectors before it, and all their coefficients are in the space already when its own come.

    What is found modulo primes is lifted to Q, and proved there; None where they do not do.

    Parameters
    ----------
    terms : Terms
    start : sequence of dict
    most : int
        Of how many variables all rows are combinations; so many rows are these variables.
    """
    if terms.matrix is not None:
        return _close_linear(terms, start, most)
    for primes in _MODULI:
        if not all(terms.scale % prime for prime in primes):
            break
        try:
            space, closure = _close_rows(terms, start, primes, most)
        except ValueError:  # no inverse
            break
        # Too much work, or the primes divide all that is to be kept.
        if closure is None or not closure.rows:
            break
        if len(closure.rows) == most:
            return closure
        rows = lift_rows([space.reduced()], [space.modulus])
        if rows is not None and _is_closed(terms, start, rows, space.modulus):
            return replace(closure, rows=rows)
    return None


def _close_linear(terms: Terms, start: Sequence[Row], most: int) -> SmallClosure | None:
    """All r·A^i, modulo one prime after the other until they do."""
    matrix = terms.matrix
    assert matrix is not None
    few = len(matrix) <= _MANY
    spaces: list[dict[int, Row]] = []
    moduli: list[int] = []
    closure: SmallClosure | None = None
    for prime in islice(PRIMES_OF_FEW if few else small_primes(), _MOST_PRIMES):
        if not terms.scale % prime:
            return None
        powers = (SmallPowers if few else _LargePowers).of(matrix, start, prime)
        if not powers.pivots:
            return None  # the prime divides all that is to be kept
        if closure is None:
            rows = [{c: 1} for c in sorted(powers.pivots)]
            steps: list[tuple[int, Factors]] = [(parent, ()) for parent in powers.parents]
            closure = SmallClosure(rows, powers.kept, steps, prime)
            if len(rows) == most:
                return closure
        space = powers.reduced()
        if spaces and space.keys() != spaces[0].keys():
            return None  # one of the primes divides a number that it should not
        spaces.append(space)
        moduli.append(prime)
        lifted = lift_rows(spaces, moduli)
        if lifted is not None and _is_closed(terms, start, lifted, prod(moduli)):
            return replace(closure, rows=lifted)
    return None


def _is_closed(terms: Terms, start: Sequence[Row], rows: list[Row], modulus: int) -> bool:
    """True if the rows span some others and all their gradients, exactly, as they do modulo some number.

    Let l be the least common multiple of the entries d on the pivots of the rows R. For a vector v of integers,
    l·v − Σ (l/d)·v_pivot·R is 0 modulo that number. Where the vector is shorter, it is 0, and v a combination.
    Where it is longer, it is computed.
    """
    longest = max([sum(map(abs, row.values())) for row in rows])
    largest = max([max(map(abs, row.values())) for row in rows])
    coefficient = max([abs(v) for equation in terms.equations for _, v in equation], default=0)
    power = max([power for factors in terms.monomials for _, power in factors], default=0)
    entry = max(longest * coefficient * power, *[max(map(abs, row.values())) for row in start])
    shared = lcm(*[row[min(row)] for row in rows])
    left_over = shared * entry * (1 + len(rows) * largest)
    if left_over < modulus // 2:
        return True
    if terms.matrix is not None:
        return _is_invariant(terms.matrix, start, rows, shared, left_over.bit_length() + 1)
    if not spans(rows, start):
        return False
    return all(spans(rows, (v for _, v in terms.gradient(row))) for row in rows)


def _is_invariant(
    matrix: Sequence[Sequence[tuple[int, int]]],
    start: Sequence[Row],
    rows: Sequence[Row],
    shared: int,
    bits: int,
) -> bool:
    """True if nothing is left over by the start and the images of the rows.

    It is what they are times the kernel of the rows, which has a column for each variable that is no pivot. All
    these columns are one of whole numbers, with as many bits for each entry as it takes, and one for its sign.
    """
    pivots = {min(row) for row in rows}
    free = [c for c in range(len(matrix)) if c not in pivots]
    kernel = {c: shared << bits * place for place, c in enumerate(free)}
    for row in rows:
        pivot = min(row)
        entries = [value * kernel[c] for c, value in row.items() if c != pivot]
        kernel[pivot] = -sum(entries) // row[pivot]
    images = [sum([value * kernel[c] for c, value in equation]) for equation in matrix]
    return not (
        any(sum([value * kernel[c] for c, value in row.items()]) for row in start)
        or any(sum([value * images[c] for c, value in row.items()]) for row in rows)
    )


@dataclass(frozen=True, eq=False)
class _LargePowers:
    """As :class:`SmallPowers`, for more variables, in arrays."""

    found: Echelon
    kept: list[int]
    parents: list[int]

    @classmethod
    def of(
        cls, terms: Sequence[Sequence[tuple[int, int]]], start: Sequence[Row], prime: int
    ) -> _LargePowers:
        size = len(terms)
        matrix, rows = np.zeros((size, size)), np.zeros((len(start), size))
        for i, equation in enumerate(terms):
            for variable, value in equation:
                matrix[i, variable] = value % prime
        for i, row in enumerate(start):
            for c, value in row.items():
                rows[i, c] = value % prime
        found, kept, parents = powers(fold(matrix, prime), fold(rows, prime), prime)
        return cls(found, kept.tolist(), parents.tolist())

    @property
    def pivots(self) -> list[int]:
        return [*np.flatnonzero(self.found.unit).tolist(), *self.found.pivots.tolist()]

    def reduced(self) -> dict[int, Row]:
        space = {c: {c: 1} for c in np.flatnonzero(self.found.unit).tolist()}
        others = np.mod(self.found.rows, self.found.prime).astype(np.int64).tolist()
        for pivot, line in zip(self.found.pivots.tolist(), others, strict=True):
            space[pivot] = {c: value for c, value in enumerate(line) if value}
        return space


def _close_rows(
    terms: Terms, start: Iterable[Row], primes: Sequence[int], most: int
) -> tuple[ModularRows, SmallClosure | None]:
    """In dictionaries, modulo the product of some primes; no closure where that is too much work.

    Where each pivot has an inverse, elimination does the same modulo each of them.
    """
    space = ModularRows(prod(primes))
    found: list[Row] = []
    kept: list[int] = []
    for i, row in enumerate(start):
        fresh = space.add(row)
        if fresh is not None:
            found.append(fresh)
            kept.append(i)
    steps: list[tuple[int, Factors]] = []
    done = 0
    while done < len(found) < most:
        for monomial, vector in terms.gradient(found[done], space.units):
            fresh = space.add(vector)
            if fresh is not None:
                found.append(fresh)
                steps.append((done, monomial))
        if space.work > MOST_WORK:
            return space, None
        done += 1
    # Where there are as many rows as variables, so they are.
    return space, SmallClosure([{c: 1} for c in sorted(space.rows)], kept, steps, primes[0])
