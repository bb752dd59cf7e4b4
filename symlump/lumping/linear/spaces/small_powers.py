"""The closure of rows under one small matrix, modulo some primes at once.

Up to some dozen variables a step of an elimination costs what it takes to call numpy, whatever the numbers are.
So all r·A^i are computed first, as many as there can be, and eliminated at once, modulo each prime: entries
have 26 bits, their products 52, and fit into floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symlump.lumping.linear.spaces.small_terms import Row
from symlump.ode.exact import FloatArray

#: The largest primes below 2^26.
PRIMES = (67_108_859, 67_108_837, 67_108_819, 67_108_777)
#: Powers of a matrix that are made, at most, to multiply by them all in one go.
_MOST_POWERS = 4
_BITS, _WHOLE = 25, 2**53


@dataclass(frozen=True, eq=False)
class SmallPowers:
    """All r·A^i, modulo some primes.

    Parameters
    ----------
    primes : tuple of int
    found : list of (place, pivot)
        The independent ones among the given rows, the rows times A, times A², … in this order, and a column for
        each in which no other has an entry.
    rows : ndarray of float64, shape (primes, found, variables)
        Multiples of the reduced echelon form modulo each prime.
    chains : int
        How many rows were given.
    """

    primes: tuple[int, ...]
    found: list[tuple[int, int]]
    rows: FloatArray
    chains: int

    @classmethod
    def of(
        cls,
        matrix: Sequence[Sequence[tuple[int, int]]],
        start: Sequence[Row],
        primes: Sequence[int],
    ) -> SmallPowers | None:
        """All of them; None where numbers are too long, or some prime is of no use.

        Parameters
        ----------
        matrix : list of list of (variable, value)
        start : sequence of dict
        primes : sequence of int
            Below 2^26.

        Examples
        --------
        >>> SmallPowers.of([[(1, 2)], [(0, 1)], []], [{0: 1}], PRIMES[:1]).found
        [(0, 0), (1, 1)]
        """
        size, chains, count = len(matrix), len(start), len(primes)
        moduli = np.array(primes, dtype=np.float64)[:, None, None]
        inverses = 1.0 / moduli
        both = np.zeros((size + chains, size))
        lines = [*matrix, *[row.items() for row in start]]
        places = [size * i + c for i, line in enumerate(lines) for c, _ in line]
        values = [value for line in lines for _, value in line]
        if max(map(abs, values)) >= _WHOLE:
            return None
        both.ravel()[places] = values
        step, rows = both[:size], both[size:]
        if not _fits(step):
            return None
        powers = [step]
        while len(powers) < min(_MOST_POWERS, size - 1):
            longer = powers[-1] @ step
            if not _fits(longer):
                break
            powers.append(longer)
        wide, width = np.hstack(powers), len(powers)
        rounds = -(-(size - 1) // width)
        block: FloatArray = np.empty((count, 1 + rounds * width, chains, size))
        newest: FloatArray = _fold(np.repeat(rows[None], count, axis=0), moduli, inverses)
        block[:, 0] = newest
        for k in range(1, 1 + rounds * width, width):
            images = _fold(newest @ wide, moduli, inverses).reshape(count, chains, width, size)
            block[:, k : k + width] = images.transpose(0, 2, 1, 3)
            newest = images[:, :, -1]
        block = block[:, :size].reshape(count, -1, size)
        found = _eliminate(block, moduli, inverses)
        if found is None:
            return None
        return cls(tuple(primes), found, block[:, [i for i, _ in found]], chains)

    @property
    def pivots(self) -> list[int]:
        """A column of each row in which no other has an entry."""
        return [pivot for _, pivot in self.found]

    def reduced(self) -> list[dict[int, Row]]:
        """The reduced echelon form modulo each prime, by pivots."""
        pivots = self.pivots
        free = sorted(set(range(self.rows.shape[2])).difference(pivots))
        result: list[dict[int, Row]] = []
        for prime, rows in zip(self.primes, self.rows, strict=True):
            leads = rows[range(len(pivots)), pivots].tolist()
            others = rows[:, free]
            space = {pivot: {pivot: 1} for pivot in pivots}
            for i in np.flatnonzero(others.any(axis=1)).tolist():
                factor, row = pow(int(leads[i]), -1, prime), space[pivots[i]]
                for c, value in zip(free, others[i].tolist(), strict=True):
                    if value:
                        row[c] = int(value) * factor % prime
            result.append(space)
        return result

    def derivation(self) -> tuple[list[int], list[int]]:
        """Which of the given rows are independent, and what each other row is the image of."""
        number = {place: k for k, (place, _) in enumerate(self.found)}
        chains = self.chains
        kept = [place for place in number if place < chains]
        return kept, [number[place - chains] for place in number if place >= chains]


def _fits(matrix: FloatArray) -> bool:
    """Whether residues times this, and the sums, have 53 bits at most."""
    return bool(np.abs(matrix).sum(axis=0).max() < 2 ** (53 - _BITS))


def _fold(
    values: FloatArray, primes: FloatArray, inverses: FloatArray, out: FloatArray | None = None
) -> FloatArray:
    """As :func:`symlump.lumping.linear.spaces.echelon.fold`, modulo a prime for each layer."""
    quotient = np.multiply(values, inverses, out=out)
    np.rint(quotient, out=quotient)
    quotient *= primes
    values -= quotient
    return values


def _eliminate(
    block: FloatArray, primes: FloatArray, inverses: FloatArray
) -> list[tuple[int, int]] | None:
    """Reduce rows by one another, in place and without divisions, the same ones modulo each prime."""
    count, height, size = block.shape
    change = np.empty_like(block)
    found: list[tuple[int, int]] = []
    for i in range(height):
        row = block[:, i]
        live = row[0].nonzero()[0]
        leads = row[:, live[0], None, None].copy() if live.size else row[:, :1]
        if count > 1 and (not leads.all() if live.size else row.any()):
            return None
        if not live.size:
            continue
        # lead·(other row) − (its entry)·row, and the row itself as it was.
        pivot = int(live[0])
        column = block[:, :, pivot, None].copy()
        column[:, i] = leads[:, 0] - 1
        np.multiply(column, row[:, None, :], out=change)
        block *= leads
        block -= change
        _fold(block, primes, inverses, change)
        found.append((i, pivot))
        if len(found) == size:
            break
    return found
