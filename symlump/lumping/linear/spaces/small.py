"""Small systems in plain integers: the closure of some rows.

Below some hundred variables the arrays of :mod:`symlump.lumping.linear.spaces.closure` cost more to set up than
there is to compute. Here a row is a dictionary. Work is bounded: where it, or the numbers, would grow, the
answer is None, and the arrays take over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isqrt, lcm, prod

import numpy as np

from symlump.lumping.linear.spaces.closure import powers
from symlump.lumping.linear.spaces.echelon import fold
from symlump.lumping.linear.spaces.echelon import primes as small_primes
from symlump.lumping.linear.spaces.residues import primes
from symlump.lumping.linear.spaces.small_terms import Factors, Partial, Row, Terms, differentiate

#: Systems of more terms are not tried; more products of numbers than this are not made.
MOST_TERMS, MOST_WORK = 3000, 60_000
_MOST_PRIMES = 4
#: Linear systems of more variables are closed in arrays: their rows fill up.
_FEW_VARIABLES = 14


class ModularRows:
    """Rows modulo a prime in reduced echelon form: 1 on the pivot of each, 0 on those of the others.

    Examples
    --------
    >>> space = ModularRows(7)
    >>> space.add({0: 2, 1: 4}), space.add({0: 1, 1: 2}), space.add({0: 1, 2: 3})
    ({0: 1, 1: 2}, None, {2: 2, 1: 1})
    >>> space.rows
    {0: {0: 1, 2: 3}, 1: {2: 2, 1: 1}}
    """

    def __init__(self, prime: int) -> None:
        self.prime = prime
        self.rows: dict[int, Row] = {}
        self.work = 0

    def add(self, vector: Row) -> Row | None:
        """A multiple of the vector modulo the space, if it is not zero: that is a row from now on."""
        rows, prime = self.rows, self.prime
        rest = {c: r for c, value in vector.items() if (r := value % prime)}
        for pivot in [c for c in rest if c in rows]:
            self._subtract(rest, rest[pivot], rows[pivot])
        if not rest:
            return None
        first = min(rest)
        if rest[first] != 1:
            factor = pow(rest[first], -1, prime)
            rest = {c: value * factor % prime for c, value in rest.items()}
        for row in rows.values():
            if first in row:
                self._subtract(row, row[first], rest)
        self.work += len(rows)
        rows[first] = rest
        return dict(rest)

    def _subtract(self, target: Row, factor: int, row: Row) -> None:
        prime = self.prime
        self.work += len(row)
        for c, value in row.items():
            total = (target.get(c, 0) - factor * value) % prime
            if total:
                target[c] = total
            else:
                target.pop(c, None)


def lift_rows(spaces: Sequence[ModularRows]) -> list[Row] | None:
    """The rows over Q, each times the least number that makes it integers, in the order of the pivots.

    None where an entry is not that of a fraction with numerator and denominator below √(Π p / 2), over the
    primes p of the spaces.
    """
    modulus = prod(space.prime for space in spaces)
    most = isqrt(modulus // 2)
    known: dict[int, tuple[int, int]] = {}
    result = []
    for pivot in sorted(spaces[0].rows):
        row = spaces[0].rows[pivot]
        if any(space.rows.get(pivot, {}).keys() != row.keys() for space in spaces[1:]):
            return None  # one of the primes divides a number that it should not
        done = spaces[0].prime
        for space in spaces[1:]:
            # The number with the residues so far, and that of one more prime.
            inverse = pow(done, -1, space.prime)
            row = {
                c: value + done * ((space.rows[pivot][c] - value) * inverse % space.prime)
                for c, value in row.items()
            }
            done *= space.prime
        if all(value <= most for value in row.values()):
            result.append(row)
            continue
        fractions = {}
        for c, value in row.items():
            fraction = known.get(value)
            if fraction is None:
                fraction = read_fraction(value, modulus, most)
                if fraction is None:
                    return None
                known[value] = fraction
            fractions[c] = fraction
        shared = lcm(*(below for _, below in fractions.values()))
        result.append({c: top * (shared // below) for c, (top, below) in fractions.items()})
    return result


def read_fraction(residue: int, modulus: int, most: int) -> tuple[int, int] | None:
    """Numerator and denominator of the fraction with a residue, neither above ``most``, if there is one.

    Examples
    --------
    >>> read_fraction(2 * pow(3, -1, 101) % 101, 101, 7)
    (2, 3)
    """
    a, b, s, t = modulus, residue, 0, 1
    while b > most:
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


def close_small(terms: Terms, start: Sequence[Row]) -> SmallClosure | None:
    """Add the coefficients of the gradient of r·q, for rows r of the space, until none is missing.

    A row is taken as it was when it was added, less what was there before. *Why the same steps
    derive independent vectors from the given rows themselves:* the row is the derived vector plus derived
    vectors before it, and all their coefficients are in the space already when its own come.

    What is found modulo a few primes is lifted, and verified over Q; None where they do not do.
    """
    linear = all(not f or (len(f) == 1 and f[0][1] == 1) for f in terms.monomials)
    arrays = linear and len(terms.equations) > _FEW_VARIABLES
    partial = [differentiate(factors) for factors in terms.monomials]
    spaces: list[ModularRows] = []
    first: SmallClosure | None = None
    for prime in islice(small_primes() if arrays else primes(), _MOST_PRIMES):
        if not terms.scale % prime:
            return None
        space, closure = (
            _powers_modulo(terms, start, prime)
            if arrays
            else _close_modulo(terms, partial, start, prime)
        )
        if closure is None:
            return None
        if first is None:
            first = closure
        if len(closure.rows) == len(terms.equations):
            return closure
        spaces.append(space)
        rows = lift_rows(spaces)
        if rows is None or not spans(rows, start):
            continue
        if all(spans(rows, (v for _, v in terms.gradient(row, partial))) for row in rows):
            return SmallClosure(rows, first.kept, first.steps, first.prime)
    return None


def _powers_modulo(
    terms: Terms, start: Sequence[Row], prime: int
) -> tuple[ModularRows, SmallClosure]:
    """For linear systems: all r·A^i, in arrays."""
    size = len(terms.equations)
    matrix, rows = np.zeros((size, size)), np.zeros((len(start), size))
    for i, equation in enumerate(terms.equations):
        for m, value in equation:
            for variable, _ in terms.monomials[m]:
                matrix[i, variable] = value % prime
    for i, row in enumerate(start):
        for c, value in row.items():
            rows[i, c] = value % prime
    found, kept, parents = powers(fold(matrix, prime), fold(rows, prime), prime)
    space = ModularRows(prime)
    space.rows = {c: {c: 1} for c in np.flatnonzero(found.unit).tolist()}
    others = np.mod(found.rows, prime).astype(np.int64).tolist()
    for pivot, line in zip(found.pivots.tolist(), others, strict=True):
        space.rows[pivot] = {c: value for c, value in enumerate(line) if value}
    steps: list[tuple[int, Factors]] = [(parent, ()) for parent in parents.tolist()]
    whole = [{c: 1} for c in sorted(space.rows)]
    return space, SmallClosure(whole, kept.tolist(), steps, prime)


def _close_modulo(
    terms: Terms, partial: Sequence[Sequence[Partial]], start: Iterable[Row], prime: int
) -> tuple[ModularRows, SmallClosure | None]:
    space = ModularRows(prime)
    found: list[Row] = []
    kept: list[int] = []
    for i, row in enumerate(start):
        fresh = space.add(row)
        if fresh is not None:
            found.append(fresh)
            kept.append(i)
    steps: list[tuple[int, Factors]] = []
    done, size = 0, len(terms.equations)
    while done < len(found) < size:
        for monomial, vector in terms.gradient(found[done], partial):
            fresh = space.add(vector)
            if fresh is not None:
                found.append(fresh)
                steps.append((done, monomial))
        if space.work > MOST_WORK:
            return space, None
        done += 1
    # Where there are as many rows as columns, so they are.
    return space, SmallClosure([{c: 1} for c in sorted(space.rows)], kept, steps, prime)
