"""A chain in continuous time whose blocks are known, made in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from symlump.ode.exact import IntArray

#: Targets of a state, and states of a block.
FAN, MEMBERS = 10, 100
_CHUNK = 100_000


@dataclass(frozen=True)
class PlantedChain:
    """A Markov chain of n states in n/100 hidden blocks; each state leaves to ten of them.

    Every state of block b goes to block 7·b + 13·k + 1 (modulo the number of blocks), for k = 0 … 9, at a
    rate of 1 … 997 that a hash of (b, k) gives, and there to a random member. So sums over blocks obey a chain
    of their own (ordinary lumpability). Multiplication by a number prime to n says where a state is among the
    numbers 0 … n−1, so that members of a block lie far apart.

    Parameters
    ----------
    states : int
        A power of ten, at least 1000.
    seed : int

    Examples
    --------
    >>> chain = PlantedChain(1000)
    >>> chain.transitions, chain.blocks
    (10000, 10)
    >>> rows, columns, rates = (np.concatenate(part) for part in zip(*chain.terms()))
    >>> rows.size, int(rates.sum())   # with the outflow of each state
    (11000, 0)
    """

    states: int
    seed: int = 0

    @property
    def transitions(self) -> int:
        """How many there are, those that give the outflow not counted."""
        return FAN * self.states

    @property
    def blocks(self) -> int:
        """How many were planted."""
        return self.states // MEMBERS

    def block_of(self, places: IntArray) -> IntArray:
        """The planted block of states."""
        return places * pow(self._factor, -1, self.states) % self.states % self.blocks

    @property
    def _factor(self) -> int:
        return int(pow(7, 2 * self.seed + 9, self.states))

    def terms(self) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
        """Rows, columns and rates of x' = R·x, with the outflow, a chunk of states at a time."""
        generator = np.random.default_rng(self.seed)
        for first in range(0, self.states, _CHUNK):
            source = np.arange(first, min(self.states, first + _CHUNK))
            block = self.block_of(source)
            fan = np.arange(FAN)
            target = (7 * block[:, None] + 13 * fan + 1) % self.blocks
            rate = 1 + (block[:, None] * 2654435761 + fan * 40503 + 12345) % 2**32 % 997
            member = generator.integers(0, MEMBERS, size=target.shape)
            state = (member * self.blocks + target) * self._factor % self.states
            start = np.repeat(source, FAN)
            yield (
                np.concatenate([state.ravel(), source]),
                np.concatenate([start, source]),
                np.concatenate([rate.ravel(), -rate.sum(axis=1)]),
            )

    def parts(self) -> Iterator[IntArray]:
        """What is apart from the beginning: the states of block 0."""
        for first in range(0, self.states, _CHUNK):
            states = np.arange(first, min(self.states, first + _CHUNK))
            yield (self.block_of(states) == 0).astype(np.int64)
