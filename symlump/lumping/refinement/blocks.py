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
import numpy.typing as npt

from symlump.lumping.refinement.field import Residues
from symlump.ode.exact import IntArray
from symlump.ode.monomials import ranges

_BITS = 24  # of a value, at least


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
        if touched.size > self.labels.size // 8:  # or this would take longer than what it saves
            few = self._unlike_one(touched, label, values)
            touched, label, values = touched[few], label[few], values[few]
            if not touched.size:
                return touched
        order, key, label = _sort_by_both(label, values)
        touched = touched[order]
        new_block = np.ones(touched.size, dtype=bool)
        np.not_equal(label[1:], label[:-1], out=new_block[1:])
        new_group = np.ones(touched.size, dtype=bool)
        np.not_equal(key[1:], key[:-1], out=new_group[1:])
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
        first_of_block = np.ones(candidates.size, dtype=bool)
        first_of_block[1:] = group_block[candidates[1:]] != group_block[candidates[:-1]]
        keeper = candidates[first_of_block]
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

    def _unlike_one(
        self, touched: IntArray, label: IntArray, values: Residues
    ) -> npt.NDArray[np.bool_]:
        """All touched elements but those that share one value of a block that is touched as a whole."""
        one = np.empty(self.count, dtype=np.uint64)
        one[label] = values
        whole = np.bincount(label, minlength=self.count) == self._size[: self.count]
        return np.asarray((values != one[label]) | ~whole[label])

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


def _sort_by_both(label: IntArray, values: Residues) -> tuple[IntArray, IntArray, IntArray]:
    """An order by label, then value; in this order what was sorted by, and the labels.

    One sort of numbers of 63 bits: the label, the high bits of the value, as many as fit, and the position.
    Where two values differ in other bits only, elements stay together that could be apart, as where values are
    equal by chance.
    """
    wide, high = int(label.max()).bit_length(), int(values.max()).bit_length()
    own = label.size.bit_length()
    kept = min(high, 63 - wide - own)
    packed = kept >= min(high, _BITS)
    if not packed:
        kept = min(high, 63 - wide)
    key = (values >> np.uint64(high - kept)).view(np.int64)
    key |= label << kept
    if packed:
        key <<= own
        key |= np.arange(label.size)
        key.sort()
        order = key & ((1 << own) - 1)
        key >>= own
    else:
        order = np.argsort(key)
        key = key[order]
    return order, key, key >> kept
