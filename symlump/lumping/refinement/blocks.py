"""Blocks that can be split in time proportional to what is split off.

The elements of each block stand next to each other in one array. Splitting moves the touched elements of a
block to its end, groups them by value, and gives every part but the largest a new number, so an element is
renumbered at most log₂ n times. All blocks of a call are split at once, in whole-array operations.

References
----------
Paige, Tarjan, "Three partition refinement algorithms", doi:10.1137/0216062 (the bound); the layout is that
of Valmari, Franceschinis, "Simple O(m log n) time Markov chain lumping", doi:10.1007/978-3-642-12002-2_4.
"""

from __future__ import annotations

import numpy as np

from symlump.lumping.refinement.field import Residues
from symlump.ode.exact import IntArray
from symlump.ode.monomials import pair_order, ranges


class RefinableBlocks:
    """A partition of 0 … n−1 under refinement; ``labels`` is always up to date.

    Examples
    --------
    >>> blocks = RefinableBlocks(np.array([0, 0, 0, 1]))
    >>> blocks.split(np.array([1, 3]), np.array([5, 5], dtype=np.uint64)).tolist()
    [1]
    >>> blocks.labels.tolist(), blocks.count
    ([0, 2, 0, 1], 3)
    """

    def __init__(self, labels: IntArray) -> None:
        n = labels.size
        self.labels = labels.copy()
        self.count = int(labels.max(initial=-1)) + 1
        self._size = np.zeros(n, dtype=np.int64)
        self._size[: self.count] = np.bincount(labels, minlength=self.count)
        self._start = np.cumsum(self._size) - self._size
        self._elements = np.argsort(labels, kind="stable")
        self._position = np.empty(n, dtype=np.int64)
        self._position[self._elements] = np.arange(n)
        self._touched = np.zeros(n, dtype=bool)

    def split(self, touched: IntArray, values: Residues) -> IntArray:
        """Split blocks by the values of the touched elements.

        Untouched elements of a block are taken to share one value that differs from those of the touched
        ones.

        Parameters
        ----------
        touched : ndarray of int64
            Different elements.
        values : ndarray of uint64
            One value each.

        Returns
        -------
        ndarray of int64
            The elements with a new number. In each block that was split the largest part keeps its own.
        """
        if not touched.size:
            return touched
        label = self.labels[touched]
        order = pair_order(label, values.view(np.int64))
        touched, label, values = touched[order], label[order], values[order]
        new_block = np.concatenate([[True], label[1:] != label[:-1]])
        new_group = new_block.copy()
        new_group[1:] |= values[1:] != values[:-1]
        first = np.flatnonzero(new_block)
        block = label[first]
        inside = np.diff(np.append(first, touched.size))
        groups = np.add.reduceat(new_group, first, dtype=np.int64)
        divided = (groups > 1) | (inside < self._size[block])
        if not divided.any():
            return touched[:0]
        keep = np.repeat(divided, inside)
        touched, new_group = touched[keep], new_group[keep]
        block, inside, groups = block[divided], inside[divided], groups[divided]
        self._move_to_end(touched, block, inside)

        group_first = np.flatnonzero(new_group)
        group_size = np.diff(np.append(group_first, touched.size))
        group_start = self._position[touched[group_first]]
        group_block = np.repeat(np.arange(block.size), groups)
        rest_start, rest_size = self._start[block], self._size[block] - inside
        # The largest part of a block keeps the number: the untouched rest, or its first largest group.
        block_first = np.cumsum(groups) - groups
        largest = np.maximum.reduceat(group_size, block_first)
        by_rest = rest_size >= largest
        candidates = np.flatnonzero((group_size == largest[group_block]) & ~by_rest[group_block])
        _, at = np.unique(group_block[candidates], return_index=True)
        keeper = candidates[at]
        self._start[block[~by_rest]] = group_start[keeper]
        self._size[block[~by_rest]] = group_size[keeper]
        self._size[block[by_rest]] = rest_size[by_rest]
        moved = np.ones(group_size.size, dtype=bool)
        moved[keeper] = False
        rest = ~by_rest & (rest_size > 0)
        start = np.concatenate([group_start[moved], rest_start[rest]])
        size = np.concatenate([group_size[moved], rest_size[rest]])
        numbers = np.arange(self.count, self.count + size.size)
        self.count += size.size
        self._start[numbers], self._size[numbers] = start, size
        renumbered = self._elements[ranges(start, size)]
        self.labels[renumbered] = np.repeat(numbers, size)
        return renumbered

    def _move_to_end(self, touched: IntArray, block: IntArray, inside: IntArray) -> None:
        """Put the touched elements of each block, in their order, at the end of its segment."""
        tail_start = self._start[block] + self._size[block] - inside
        tail = ranges(tail_start, inside)
        position = self._position[touched]
        self._touched[touched] = True
        there = self._elements[tail]
        displaced = there[~self._touched[there]]
        self._touched[touched] = False
        holes = position[position < np.repeat(tail_start, inside)]
        # Both lists run block by block and are equally long in each.
        self._elements[holes] = displaced
        self._position[displaced] = holes
        self._elements[tail] = touched
        self._position[touched] = tail
