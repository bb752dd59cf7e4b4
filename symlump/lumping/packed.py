"""Terms of signatures as one integer each, sorted, so that equal signatures are compared without adding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.ode.codes import Codes
from symlump.ode.distinct import extent
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import ranges

_CHUNK = 1 << 13  # terms at a time


@dataclass(frozen=True, eq=False)
class PackedTerms:
    """Owner, key and code of the value of each term, one above the other in the bits of one sorted integer.

    Examples
    --------
    >>> values = ExactArray.from_fractions([5, 7, 5, 7, 7])
    >>> packed = PackedTerms.of(np.array([0, 1, 1, 0, 2]), np.array([3, 4, 3, 4, 3]), values, 3)
    >>> packed.apart(np.array([0, 0, 0])).tolist()
    [False, False, True]
    >>> owners, keys, values = packed.terms(np.array([0, 2]))
    >>> owners.tolist(), keys.tolist(), list(map(int, values))
    ([0, 0, 2], [3, 4, 3], [5, 7, 7])
    """

    numbers: npt.NDArray[np.signedinteger[Any]]
    lengths: IntArray
    _keys: tuple[int, int]
    _codes: tuple[int, int]
    _meaning: Callable[[IntArray], ExactArray]

    @classmethod
    def of(
        cls,
        owners: IntArray,
        targets: IntArray,
        values: ExactArray,
        count: int,
        labels: IntArray | None = None,
    ) -> PackedTerms | None:
        """Pack terms of so many owners; None where 63 bits are too few, or there are no terms.

        Keys are the targets, or their labels if there are labels.
        """
        coded = Codes.of(values)
        if coded is None or not owners.size:
            return None
        codes, (code_low, code_most) = coded.numbers, coded.ends
        key_low, key_width = extent(targets if labels is None else labels)
        code_width = (code_most - code_low).bit_length()
        bits = key_width + code_width + (count - 1).bit_length()
        if bits > 63:
            return None
        # Half as wide, numbers are sorted in half of the time.
        numbers: npt.NDArray[np.signedinteger[Any]] = np.empty(
            owners.size, dtype=np.int64 if bits > 31 else np.int32
        )
        # In pieces that stay in the cache, always at the same place: fresh memory takes longer than the work.
        own_place, key_place = np.empty((2, min(_CHUNK, owners.size)), dtype=np.int64)
        for at in range(0, owners.size, _CHUNK):
            span = slice(at, at + _CHUNK)
            own, key = own_place[: owners.size - at], targets[span]
            if labels is not None:
                key = labels.take(key, out=key_place[: key.size], mode="clip")
            np.left_shift(owners[span], key_width, out=own)
            own += key
            if key_low:
                own -= key_low
            own <<= code_width
            own += codes[span]
            own -= code_low
            numbers[span] = own
        del codes
        numbers.sort()
        lengths = np.bincount(owners, minlength=count)
        return cls(numbers, lengths, (key_low, key_width), (code_low, code_width), coded.meaning)

    def apart(self, first: IntArray) -> npt.NDArray[np.bool_]:
        """Which owners do not have the very terms of the one that is first for them."""
        numbers, low = self.numbers, self._keys[1] + self._codes[1]
        apart = self.lengths != self.lengths[first]
        start = self._starts
        away = start[first]
        away -= start
        away[apart] = 0
        width = min(_CHUNK, numbers.size)
        entry, places = np.arange(width), np.empty((2, width), dtype=np.int64)
        others = np.empty_like(numbers[:width])
        for at in range(0, numbers.size, _CHUNK):
            here = numbers[at : at + _CHUNK]
            owner, there, other = (
                places[0, : here.size],
                places[1, : here.size],
                others[: here.size],
            )
            np.right_shift(here, low, out=owner)
            away.take(owner, out=there, mode="clip")  # no place is outside, and "raise" copies
            there += entry[: here.size]
            entry += _CHUNK
            numbers.take(there, out=other, mode="clip")
            other ^= here
            other &= (1 << low) - 1
            if other.any():
                apart[owner[other != 0]] = True
        return np.asarray(apart)

    @cached_property
    def _starts(self) -> IntArray:
        start = self.lengths.cumsum()
        start -= self.lengths
        return np.asarray(start)

    def terms(self, owners: IntArray) -> tuple[IntArray, IntArray, ExactArray]:
        """Owner, key and value of the terms of some owners, sorted by owner and key."""
        (key_low, key_width), (code_low, code_width) = self._keys, self._codes
        some = self.numbers[ranges(self._starts[owners], self.lengths[owners])].astype(np.int64)
        values = self._meaning((some & ((1 << code_width) - 1)) + code_low)
        some >>= code_width
        return some >> key_width, (some & ((1 << key_width) - 1)) + key_low, values
