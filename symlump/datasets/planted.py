"""Blocks drawn at random, that systems whose lumping is known are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlump.ode.exact import IntArray


@dataclass(frozen=True)
class PlantedBlocks:
    """A random partition, none of whose blocks is empty.

    Parameters
    ----------
    labels : ndarray of int64, shape (variables,)
        The number of each variable's block.
    order : ndarray of int64, shape (variables,)
        The variables, block by block.
    sizes : ndarray of int64, shape (blocks,)
    """

    labels: IntArray
    order: IntArray
    sizes: IntArray

    @classmethod
    def drawn(cls, generator: np.random.Generator, variables: int, blocks: int) -> PlantedBlocks:
        """So many blocks of so many variables.

        Examples
        --------
        >>> planted = PlantedBlocks.drawn(np.random.default_rng(0), 5, 2)
        >>> planted.labels.tolist(), planted.members
        ([1, 1, 1, 1, 0], [[4], [0, 1, 2, 3]])
        """
        spread = generator.integers(0, blocks, size=variables - blocks)
        labels = np.concatenate([np.arange(blocks), spread])
        generator.shuffle(labels)
        return cls(labels, np.argsort(labels, kind="stable"), np.bincount(labels))

    @property
    def members(self) -> list[list[int]]:
        """The variables of each block."""
        return [part.tolist() for part in np.split(self.order, np.cumsum(self.sizes)[:-1])]

    def members_of(self, blocks: IntArray, generator: np.random.Generator) -> IntArray:
        """For each entry of an array of blocks a member of it, at random."""
        starts, sizes = np.cumsum(self.sizes) - self.sizes, self.sizes[blocks]
        place = (generator.random(blocks.shape) * sizes).astype(np.int64)
        return np.asarray(self.order[starts[blocks] + place])
