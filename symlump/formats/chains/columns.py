"""Lines of two integers and a number, a million at a time.

A chain of a million states is some tens of megabytes in which every line looks the same. Instead of a loop over
lines, the positions of all tokens are found in the bytes at once, and digit k of every token is added in one
step. Text that looks different in any way is left to a reader that can say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlump.ode.exact import ExactArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_PAD = b"\n" * 24  # so that a few letters around each token can be looked at
_CHUNK = 1 << 18  # characters at a time: their positions stay in the cache
_MAX_DIGITS = 18  # a number of so many digits, and a power of ten, fit a machine integer
_POWERS = np.array([10**k for k in range(_MAX_DIGITS + 1)], dtype=np.int64)


def read_columns(
    text: str, start: int, number: Callable[[str], Fraction]
) -> tuple[Ints, Ints, ExactArray] | None:
    """Read ``integer integer number`` on every line from ``start`` on, or None if a line looks different.

    Parameters
    ----------
    text : str
    start : int
        Where the first line begins.
    number : callable
        The value of a number that is not a plain decimal of up to 18 digits.

    Examples
    --------
    >>> first, second, values = read_columns("head\\n1 20 0.5\\n3 4 1/3\\n", 5, Fraction)
    >>> first.tolist(), second.tolist(), list(values)
    ([1, 3], [20, 4], [Fraction(1, 2), Fraction(1, 3)])
    >>> read_columns("1 2\\n3 4 5 6\\n", 0, Fraction) is None
    True
    """
    firsts, seconds, tops, bottoms = [], [], [], []
    special: dict[str, Fraction] = {}
    odd: list[str] = []
    odd_places: list[Ints] = []
    done = 0
    for begin, end in _chunks(text, start):
        try:
            data = np.frombuffer(_PAD + text[begin:end].encode("ascii") + _PAD, dtype=np.uint8)
        except UnicodeEncodeError:
            return None
        tokens = _tokens(data[len(_PAD) :], end - begin)
        if tokens is None:
            return None
        at, length = tokens
        begin -= len(_PAD)
        at += len(_PAD)
        columns = [_integers(data, at[k::3], length[k::3]) for k in (0, 1)]
        if columns[0] is None or columns[1] is None:
            return None
        top, decimals, plain = _decimals(data, at[2::3], length[2::3])
        places = np.flatnonzero(~plain)
        begins = (at[2::3][places] + begin).tolist()
        ends = (at[2::3][places] + length[2::3][places] + begin).tolist()
        written = [text[i:j] for i, j in zip(begins, ends, strict=True)]
        for one in dict.fromkeys(written):
            if one not in special:
                special[one] = number(one)
        odd_places.append(places + done)
        odd += written
        firsts.append(columns[0])
        seconds.append(columns[1])
        tops.append(top)
        bottoms.append(decimals)
        done += top.size
    if not firsts:
        return None
    numerators: NDArray[Any] = np.concatenate(tops)
    if not odd and not any(decimals.any() for decimals in bottoms):
        return np.concatenate(firsts), np.concatenate(seconds), ExactArray.from_array(numerators)
    denominators: NDArray[Any] = _POWERS[np.concatenate(bottoms)]
    if odd:
        pairs = {one: value.as_integer_ratio() for one, value in special.items()}
        if any(max(abs(p), q) >= 2**62 for p, q in pairs.values()):
            numerators, denominators = numerators.astype(object), denominators.astype(object)
        where = np.concatenate(odd_places)
        numerators[where] = [pairs[one][0] for one in odd]
        denominators[where] = [pairs[one][1] for one in odd]
    return np.concatenate(firsts), np.concatenate(seconds), ExactArray(numerators, denominators)


def _chunks(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Parts of the text that end with a line."""
    stop = len(text)
    while text[stop - 1 : stop].isspace():
        stop -= 1
    while start < stop:
        end = text.find("\n", min(start + _CHUNK, stop), stop)
        end = stop if end < 0 else end
        yield start, end
        start = end + 1


def _tokens(data: Bytes, size: int) -> tuple[Ints, Ints] | None:
    """Where tokens begin and how long they are, if three stand on each line with one blank between them."""
    blank = data[: size + 1] <= 32
    gaps = np.flatnonzero(blank)
    if gaps.size % 3 or blank[0]:
        return None
    between = data[gaps]
    if (between[2::3] != 10).any() or not (_blanks(between[0::3]) and _blanks(between[1::3])):
        return None
    at = np.empty_like(gaps)
    at[0] = 0
    at[1:] = gaps[:-1] + 1
    length = gaps - at
    return (at, length) if length.min() > 0 else None


def _blanks(found: Bytes) -> bool:
    return bool(((found == 32) | (found == 9)).all())


def _integers(data: Bytes, at: Ints, length: Ints) -> Ints | None:
    """The integers at some places, or None if one is something else."""
    value, good = _digits(data, at + length, length)
    return value if good.all() else None


def _decimals(data: Bytes, at: Ints, length: Ints) -> tuple[Ints, Ints, Flags]:
    """Digits and number of decimals of plain decimals, and which of the numbers are such."""
    point = length.copy()  # where it stands; behind the last digit if there is none
    left = int(np.count_nonzero(data == 46))
    for k in range(min(int(length.max()), _MAX_DIGITS)):
        if not left:
            break
        found = (data[at + k] == 46) & (point > k)  # only the first one, and inside
        point[found] = k
        left -= int(np.count_nonzero(found))
    whole, plain = _digits(data, at + point, point)
    decimals = np.maximum(length - point - 1, 0)
    plain &= (point <= _MAX_DIGITS) & (point + decimals > 0)  # a point alone is no number
    if decimals.any():
        part, good = _digits(data, at + length, decimals)
        plain &= good & (point + decimals <= _MAX_DIGITS)
        whole = whole * _POWERS[np.where(plain, decimals, 0)] + part
    if not plain.all():
        whole, decimals = np.where(plain, whole, 0), np.where(plain, decimals, 0)
    return whole, decimals, plain


def _digits(data: Bytes, end: Ints, count: Ints) -> tuple[Ints, Flags]:
    """The integers of some digits that stand before some places; which are up to 16 digits, or none."""
    wide = count.max() > 8
    value, good = _eight_digits(data, end, np.minimum(count, 8) if wide else count)
    if wide:
        high, also_good = _eight_digits(data, end - 8, np.clip(count - 8, 0, 8))
        value, good = high * 10**8 + value, good & also_good & (count <= 16)
    return value, good


def _eight_digits(data: Bytes, end: Ints, count: Ints) -> tuple[Ints, Flags]:
    """Up to eight digits at once, and which of them are digits.

    Eight letters are one 64-bit word, whose last letter is its highest byte. With "0" taken away from the
    bytes that count, and nothing left in the others, pairs of digits are joined to numbers below 100, those to
    numbers below 10⁴, and those to the result, each for all of the word by one multiplication.
    """
    words = np.ndarray(data.size - 7, dtype="<u8", buffer=data, strides=(1,))[end - 8]
    mask = _MASKS[count]
    words = (words & mask) ^ (_ZEROS & mask)  # digits become 0 … 9, any other letter more
    good = ((words | (words + _SIX)) & _HIGH) == 0
    words = words * np.uint64(10) + (words >> np.uint64(8))
    even = (words & _PAIRS) * np.uint64(100 + (1000000 << 32))
    odd = ((words >> np.uint64(16)) & _PAIRS) * np.uint64(1 + (10000 << 32))
    return ((even + odd) >> np.uint64(32)).astype(np.int64), good


#: Bytes of a word that hold its last 0 … 8 letters.
_MASKS = np.array([((1 << 64) - 1) & ~((1 << 8 * (8 - k)) - 1) for k in range(9)], dtype=np.uint64)
_ZEROS = np.uint64(0x3030303030303030)
_SIX = np.uint64(0x0606060606060606)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIRS = np.uint64(0x000000FF000000FF)
