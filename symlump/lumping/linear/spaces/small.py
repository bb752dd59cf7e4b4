"""Small systems in plain integers: the closure of some rows.

Below some hundred variables the arrays of :mod:`symlump.lumping.linear.spaces.closure` cost more to set up than
there is to compute. Here a row is a dictionary. Work is bounded: where it, or the numbers, would grow, the
answer is None, and the arrays take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import gcd, isqrt, lcm, prod

import numpy as np

from symlump.lumping.linear.spaces.closure import powers
from symlump.lumping.linear.spaces.echelon import fold
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
#: Linear systems of so many variables are closed in arrays, and smaller ones with more terms per equation.
_FEW, _DOZEN, _SPARSE = 20, 11, 5
#: All powers at once up to so many variables.
_MANY = 48
#: First modulo two primes, then modulo more.
_MODULI = (PRIMES[:2], PRIMES[:_MOST_PRIMES])
#: A number so many bits shorter than it could be is not so by chance.
_TELLING_BITS = 40
#: Bits of machine integers, in which sums and products are those modulo a power of two.
_WORD = 64


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
    known: dict[int, tuple[int, int]] = {}
    result = []
    for pivot in sorted(spaces[0]):
        row = spaces[0][pivot]
        if any(space.get(pivot, {}).keys() != row.keys() for space in spaces[1:]):
            return None  # one of the moduli divides a number that it should not
        if len(row) == 1:
            result.append({pivot: 1})
            continue
        done = moduli[0]
        for space, other in zip(spaces[1:], moduli[1:], strict=True):
            # The number with the residues so far, and that of one more modulus.
            inverse, more = pow(done, -1, other), space[pivot]
            row = {
                c: value + done * ((more[c] - value) * inverse % other) for c, value in row.items()
            }
            done *= other
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

    Linear systems of twenty variables are closed in arrays, and so are denser ones from eleven on.

    Parameters
    ----------
    terms : Terms
    start : sequence of dict
    most : int
        Of how many variables all rows are combinations; so many rows are these variables.
    """
    if terms.matrix is not None and _in_arrays(terms.matrix):
        return _close_linear(terms, start, most)
    for primes in _MODULI:
        if not all(terms.scale % prime for prime in primes):
            break
        try:
            space, closure = _close_rows(terms, start, primes, most)
        except ValueError:  # no inverse
            break
        if closure is None:
            break
        if len(closure.rows) == most:
            return closure
        rows = lift_rows([space.reduced()], [space.modulus])
        if rows is not None and _is_closed(terms, start, rows, space.modulus):
            return replace(closure, rows=rows)
    return None if terms.matrix is None else _close_linear(terms, start, most)


def _in_arrays(matrix: Sequence[Sequence[tuple[int, int]]]) -> bool:
    size = len(matrix)
    return size >= _FEW or (size >= _DOZEN and sum(map(len, matrix)) > _SPARSE * size)


def _close_linear(terms: Terms, start: Sequence[Row], most: int) -> SmallClosure | None:
    for spaces, moduli, closure in _powers(terms, start):
        if len(closure.rows) == most:
            return closure
        rows = lift_rows(spaces(), moduli)
        if rows is not None and _is_closed(terms, start, rows, prod(moduli)):
            return replace(closure, rows=rows)
    return None


def _is_closed(terms: Terms, start: Sequence[Row], rows: list[Row], modulus: int) -> bool:
    """True if the rows span some others and all their gradients, exactly, as they do modulo some number.

    Let l be the least common multiple of the entries d on the pivots of the rows R. For a vector v of integers,
    l·v − Σ (l/d)·v_pivot·R is 0 modulo that number. Where the vector is shorter, it is 0, and v a combination.
    Where it is longer, it is looked at modulo 2^64, too.
    """
    longest = max(sum(map(abs, row.values())) for row in rows)
    largest = max(max(map(abs, row.values())) for row in rows)
    coefficient = max((abs(v) for equation in terms.equations for _, v in equation), default=0)
    power = max((power for factors in terms.monomials for _, power in factors), default=0)
    entry = max(longest * coefficient * power, max(max(map(abs, row.values())) for row in start))
    shared = lcm(*(row[min(row)] for row in rows))
    left_over = shared * entry * (1 + len(rows) * largest)
    if left_over < modulus // 2:
        return True
    if terms.matrix is not None and left_over < modulus << (_WORD - 2):
        return _is_closed_in_words(terms.matrix, start, rows, shared)
    if not spans(rows, start):
        return False
    return all(spans(rows, (v for _, v in terms.gradient(row))) for row in rows)


def _is_closed_in_words(
    matrix: Sequence[Sequence[tuple[int, int]]],
    start: Sequence[Row],
    rows: Sequence[Row],
    shared: int,
) -> bool:
    """True if what is left over by the start and the images of the rows is 0 modulo 2^64."""
    size, mask = len(matrix), (1 << _WORD) - 1
    height = max(size, len(rows) + len(start))
    places = [i * size + c for i, equation in enumerate(matrix) for c, _ in equation]
    values = [value & mask for equation in matrix for _, value in equation]
    for at, row in enumerate([*rows, *start], height):
        places += [at * size + c for c in row]
        values += [value & mask for value in row.values()]
    table = np.zeros((2, height, size), dtype=np.uint64)
    table.ravel()[places] = np.array(values, dtype=np.uint64)
    basis, given = table[1, : len(rows)], table[1, len(rows) : len(rows) + len(start)]
    pivots = [min(row) for row in rows]
    vectors = np.concatenate([given, basis @ table[0, :size]])
    leads = np.array(
        [shared // row[c] & mask for row, c in zip(rows, pivots, strict=True)], np.uint64
    )
    taken = (vectors[:, pivots] * leads) @ basis
    return not np.any(np.uint64(shared & mask) * vectors - taken)


def _powers(
    terms: Terms, start: Sequence[Row]
) -> Iterator[tuple[Callable[[], list[dict[int, Row]]], list[int], SmallClosure]]:
    """For linear systems: all r·A^i in arrays, modulo some primes and then some more."""
    matrix, size = terms.matrix, len(terms.equations)
    assert matrix is not None
    if size <= _MANY:
        for count in (1, 2, 4):
            primes = PRIMES_OF_FEW[:count]
            few = SmallPowers.of(matrix, start, primes)
            if few is None or not all(terms.scale % prime for prime in primes):
                return
            yield few.reduced, list(primes), _closure(few.pivots, *few.derivation(), primes[0])
    else:
        yield from _powers_in_large(matrix, start, terms.scale)


def _powers_in_large(
    terms: Sequence[Sequence[tuple[int, int]]], start: Sequence[Row], scale: int
) -> Iterator[tuple[Callable[[], list[dict[int, Row]]], list[int], SmallClosure]]:
    """One prime after the other."""
    size = len(terms)
    spaces: list[dict[int, Row]] = []
    moduli: list[int] = []
    first: SmallClosure | None = None
    for prime in islice(small_primes(), _MOST_PRIMES):
        if not scale % prime:
            return
        matrix, rows = np.zeros((size, size)), np.zeros((len(start), size))
        for i, equation in enumerate(terms):
            for variable, value in equation:
                matrix[i, variable] = value % prime
        for i, row in enumerate(start):
            for c, value in row.items():
                rows[i, c] = value % prime
        found, kept, parents = powers(fold(matrix, prime), fold(rows, prime), prime)
        space = {c: {c: 1} for c in np.flatnonzero(found.unit).tolist()}
        others = np.mod(found.rows, prime).astype(np.int64).tolist()
        for pivot, line in zip(found.pivots.tolist(), others, strict=True):
            space[pivot] = {c: value for c, value in enumerate(line) if value}
        if spaces and space.keys() != spaces[0].keys():
            return  # one of the primes divides a number that it should not
        spaces.append(space)
        moduli.append(prime)
        if first is None:
            first = _closure(space, kept.tolist(), parents.tolist(), prime)
        yield lambda: spaces, moduli, first


def _closure(
    pivots: Iterable[int], kept: list[int], parents: Sequence[int], prime: int
) -> SmallClosure:
    """That of a linear system, if its rows are variables."""
    rows = [{c: 1} for c in sorted(pivots)]
    return SmallClosure(rows, kept, [(parent, ()) for parent in parents], prime)


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
