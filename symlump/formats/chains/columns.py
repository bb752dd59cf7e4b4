"""Lines of two integers and a number, a hundred thousand letters at a time.

A chain of a million states is some tens of megabytes in which every line looks the same. Instead of a loop over
lines, the positions of all tokens are found in the bytes at once, and eight letters of every token are one
64-bit word. Text that looks different in any way is left to a reader that can say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from symlump.ode.exact import ExactArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

_CHUNK = 1 << 18  # letters at a time, at most: what is known of them stays in the cache
_MAX_STATE = 12  # digits
_MAX_DIGITS = 18  # a number of so many digits, and a power of ten, fit a machine integer
_POWERS = np.array([10**k for k in range(_MAX_DIGITS + 1)], dtype=np.int64)


def read_columns(
    text: str, start: int, number: Callable[[str], Fraction]
) -> tuple[Ints, Ints, ExactArray] | None:
    """Read ``integer integer number`` on every line from ``start`` on, or None if a line looks different.

    Decimals are over one power of ten, where machine integers hold all of them so.

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
    firsts, seconds, values = [], [], []
    special: dict[str, Fraction] = {}
    for begin, end in _chunks(text, start):
        try:
            letters = text[begin:end].encode("ascii")
        except UnicodeEncodeError:
            return None
        tokens = _tokens(letters)
        if tokens is None:
            return None
        words, at, length = tokens
        word, digits, decimals = words[at], length, None
        if b"." in letters:
            digits = length.copy()
            decimals = _without_points(word[2], digits[2])
        whole, good = _integers(word, digits, words, at)
        if not good[:2].all() or length[:2].max() > _MAX_STATE:
            return None
        part, plain = ExactArray.from_array(whole[2]), good[2]
        if decimals is not None:
            part = _decimals(whole[2], digits[2], decimals, plain, words, at[2])
        if not plain.all():
            odd = np.flatnonzero(~plain)
            places = zip((at[2, odd] + begin).tolist(), length[2, odd].tolist(), strict=True)
            written = [text[k : k + size] for k, size in places]
            special |= {one: number(one) for one in dict.fromkeys(written) if one not in special}
            others = ExactArray.from_fractions([special[one] for one in written])
            place = np.arange(len(part))
            place[odd] = len(part) + np.arange(odd.size)
            part = ExactArray.concatenate([part, others]).take(place)
        firsts.append(whole[0])
        seconds.append(whole[1])
        values.append(part)
    if not firsts:
        return None
    return join_arrays(firsts), join_arrays(seconds), ExactArray.concatenate(values)


def join_arrays(parts: Sequence[Ints]) -> Ints:
    """Some arrays as one, without a copy of a single one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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


def _tokens(letters: bytes) -> tuple[Words, Ints, Ints] | None:
    """Tokens, if three stand on each line with one blank between them.

    Returned are the words that begin with each letter, none of them copied, and where the first, the second
    and the third tokens of the lines begin, and how long they are.
    """
    padded = letters + b"\n" * 10
    data = np.frombuffer(padded, dtype=np.uint8)
    gaps = np.flatnonzero(data[: len(letters) + 1] <= 32)
    if gaps.size % 3:
        return None
    gaps = np.ascontiguousarray(gaps.reshape(-1, 3).T)
    between = data[gaps]
    if (between[2] != 10).any() or not ((between[:2] == 32) | (between[:2] == 9)).all():
        return None
    at = np.empty_like(gaps)
    at[0, 0] = 0
    np.add(gaps[2, :-1], 1, out=at[0, 1:])
    np.add(gaps[:2], 1, out=at[1:])
    gaps -= at
    if not gaps.min():
        return None
    words = np.ndarray(len(padded) - 7, dtype="<u8", buffer=data, strides=(1,))
    return words, at, gaps


def _before_point(word: Words) -> Words:
    """All bits of the letters before the first point of each word; of all letters if there is none."""
    word = word ^ _POINTS
    zero = (word - _ONES) & ~word & _HIGHEST  # the lowest bit is that of the first point
    return ((zero & (~zero + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)


def _letters(bits: Words) -> Ints:
    """How many letters such bits are."""
    return (((bits & _ONES) * _ONES) >> np.uint64(56)).astype(np.int64)


def _without_points(word: Words, length: Ints) -> Ints:
    """Take the points out of tokens of up to eight letters; returns how many letters stood behind them.

    The words and the lengths are changed in place.
    """
    before = _before_point(word)
    digits = _letters(before)
    after = length - digits
    has = (after > 0) & (length <= 8)
    after -= 1
    after *= has
    length -= has
    behind = word >> np.uint64(8)
    behind &= ~before
    word &= before
    word |= behind
    return after


def _decimals(
    whole: Ints, digits: Ints, decimals: Ints, plain: Flags, words: Words, at: Ints
) -> ExactArray:
    """Numbers with so many decimals among their digits, 0 for those that are not plain.

    Those of more than eight letters, and what is known of them, are put in here.
    """
    plain &= digits > 0  # a point alone
    long = np.flatnonzero(digits > 8)
    long = long[~plain[long]]
    if long.size:
        at, length = at[long], digits[long]
        before = _letters(_before_point(words[at]))
        before = np.where(before < 8, before, length)  # no point among the first eight
        after = np.maximum(length - before - 1, 0)
        high, good = _integers(words[at], before, words, at)
        at = at + before + 1
        low, good_low = _integers(words[at], after, words, at)
        good &= good_low & (before + after <= _MAX_DIGITS)
        after *= good
        whole[long] = high * _POWERS[after] + low
        digits[long], decimals[long], plain[long] = before + after, after, good
    if not plain.all():
        for numbers in (whole, digits, decimals):
            numbers *= plain
    most = int(decimals.max())
    if int((digits - decimals).max()) + most > _MAX_DIGITS:
        return ExactArray(whole, _POWERS[decimals])
    if int(decimals.min()) < most:
        whole *= _POWERS[most - decimals]
    return ExactArray.from_array(whole, 10**most)


def _integers(word: Words, length: Ints, words: Words, at: Ints) -> tuple[Ints, Flags]:
    """The integers of some digits, and which of them are at most 18 digits, or none.

    The words with which they begin are used up. Eight letters are one word, whose first letter is its lowest
    byte. Shifted, its last digit is the highest byte, with zeros below the first one. Pairs of digits are
    joined to numbers below 100, those to numbers below 10⁴, and those to the result, each for all of the word
    by one multiplication.
    """
    word ^= _ZEROS  # digits become 0 … 9, any other letter more
    shift = 8 - length
    shift <<= 3
    word <<= shift.view(np.uint64)  # nothing is left of tokens with no letter, or more than eight
    odd = word + _SIX
    odd |= word
    plain = np.ones(word.shape, dtype=bool)
    if np.bitwise_or.reduce(odd, axis=None) & _HIGH:
        plain = odd & _HIGH == 0
    for factor, bits, mask in _JOINS:
        word *= factor
        word >>= bits
        word &= mask
    value = word.view(np.int64)
    if length.max(initial=0) > 8:
        long = np.nonzero(length > 8)
        plain[long] = False
        few = np.flatnonzero(length[long] <= _MAX_DIGITS)
        long = tuple(axis[few] for axis in long)
        at, rest = at[long], length[long] - 8
        high, plain_high = _integers(words[at], rest, words, at)
        low, plain_low = _integers(words[at + rest], np.full(rest.size, 8), words, at + rest)
        value[long] = high * 10**8 + low
        plain[long] = plain_high & plain_low
    return value, plain


_ONE = 0x0101010101010101  # in each byte
_ONES, _POINTS, _ZEROS, _SIX, _HIGH, _HIGHEST = (
    np.uint64(byte * _ONE) for byte in (1, ord("."), ord("0"), 6, 0xF0, 0x80)
)
#: Two digits to a number, two of those to one, and again: factor, shift and what then counts.
_JOINS = tuple(
    (np.uint64(10**digits * 2**bits + 1), np.uint64(bits), np.uint64(mask))
    for digits, bits, mask in (
        (1, 8, 0x00FF00FF00FF00FF),
        (2, 16, 0x0000FFFF0000FFFF),
        (4, 32, 0x00000000FFFFFFFF),
    )
)
