"""The closure of rows under one small matrix, modulo a prime, in long integers.

Up to some dozen variables a step of an elimination costs what it takes to call numpy, whatever the numbers
are, and in dictionaries each entry costs as much. Here a row is one whole number with 64 bits for each entry: a
multiple of one row is added to another in one multiplication and one addition. Residues have 28 bits, their
products 56, and as many of them as there can be add up without running into the next entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from struct import Struct

from symlump.lumping.linear.spaces.small_terms import Row

#: The largest primes below 2^28.
PRIMES = (268_435_399, 268_435_367, 268_435_361, 268_435_337)
#: Images of rows are sums of at most so many products, and as many are added to them.
MOST_VARIABLES = 127
_BITS = 64
_LOWEST = (1 << _BITS) - 1


@dataclass(frozen=True, eq=False)
class SmallPowers:
    """All r·A^i, modulo a prime, in echelon form.

    Parameters
    ----------
    prime : int
    pivots : list of int
        A column of each row, in which those after it are 0.
    rows : list of list of int
    inverses : list of int
        Those of the entries on the pivots.
    kept, parents : list of int
        Which of the given rows are independent, and of which row before it each other one is the image.
    """

    prime: int
    pivots: list[int]
    rows: list[list[int]]
    inverses: list[int]
    kept: list[int]
    parents: list[int]

    @classmethod
    def of(
        cls, matrix: Sequence[Sequence[tuple[int, int]]], start: Sequence[Row], prime: int
    ) -> SmallPowers:
        """Add images until there are no new ones.

        Parameters
        ----------
        matrix : list of list of (variable, value)
            At most 127 of them.
        start : sequence of dict
        prime : int
            Below 2^28.

        Examples
        --------
        >>> powers = SmallPowers.of([[(1, 2)], [(0, 1)], []], [{0: 1}], PRIMES[0])
        >>> powers.pivots, powers.kept, powers.parents
        ([0, 1], [0], [0])
        """
        size = len(matrix)
        length, number = size * _BITS // 8, int.from_bytes
        words = _words(size)
        pack, unpack = words.pack, words.unpack

        def packed(entries: Sequence[tuple[int, int]]) -> int:
            values = [0] * size
            for c, value in entries:
                values[c] = value % prime
            return number(pack(*values), "little")

        step = [packed(line) for line in matrix]
        found = cls(prime, [], [], [], [], [])
        rows, pivots, inverses = found.rows, found.pivots, found.inverses
        eliminated: list[tuple[int, int, int]] = []

        def add(vector: int) -> bool:
            for shift, factor, row in eliminated:
                weight = (vector >> shift & _LOWEST) * factor % prime
                if weight:
                    vector += weight * row
            residues = [value % prime for value in unpack(vector.to_bytes(length, "little"))]
            lead = next(filter(None, residues), 0)
            if not lead:
                return False
            pivot, inverse = residues.index(lead), pow(lead, -1, prime)
            eliminated.append((_BITS * pivot, prime - inverse, number(pack(*residues), "little")))
            rows.append(residues)
            pivots.append(pivot)
            inverses.append(inverse)
            return True

        for i, given in enumerate(start):
            if add(packed([*given.items()])):
                found.kept.append(i)
        done = 0
        while done < len(rows) < size:
            if add(sum(map(mul, rows[done], step))):
                found.parents.append(done)
            done += 1
        return found

    def reduced(self) -> dict[int, Row]:
        """The reduced echelon form, by pivots: 1 on each, and 0 on those of all others."""
        prime, number = self.prime, int.from_bytes
        free = sorted(set(range(len(self.rows[0]))).difference(self.pivots))
        length = len(free) * _BITS // 8
        words = _words(len(free))
        pack, unpack = words.pack, words.unpack
        result: dict[int, Row] = {}
        below: list[tuple[int, int]] = []
        given = zip(self.pivots[::-1], self.rows[::-1], self.inverses[::-1], strict=True)
        for pivot, row, inverse in given:
            rest = number(pack(*[row[c] for c in free]), "little")
            rest += sum([(prime - value) * other for c, other in below if (value := row[c])])
            entries = [v * inverse % prime for v in unpack(rest.to_bytes(length, "little"))]
            below.append((pivot, number(pack(*entries), "little")))
            result[pivot] = {pivot: 1}
            result[pivot].update([(c, v) for c, v in zip(free, entries, strict=True) if v])
        return result


@lru_cache(MOST_VARIABLES + 1)
def _words(count: int) -> Struct:
    return Struct(f"<{count}Q")
