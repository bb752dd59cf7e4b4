"""Exact coefficients in bulk: floats as the dyadic rationals they are, or numerator and denominator.

A float64 *is* a rational, m·2^e, so an array of finite floats is already exact and stays an array of
floats. Other rationals are two integer arrays: int64 where every number fits, Python integers of any
size (``dtype=object``) where one does not. Either way there is no Python object per term unless the
numbers themselves are too large for the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import FailureError, InputError
from symlump.ode import machine
from symlump.ode.distinct import FEW, distinct, extent, sort_with_order

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]

_MAX_SHARED_BITS = 1 << 14


@dataclass(frozen=True, eq=False)
class ExactArray:
    """A vector of exact rationals, stored as floats or as numerators over denominators.

    Parameters
    ----------
    numerators : ndarray
        float64 (then each entry is the dyadic rational that the float denotes), int64, or object.
    denominators : ndarray or None
        Positive integers of the same dtype, not to be written to (one that all share may be stored once); None
        exactly when ``numerators`` are floats.

    Examples
    --------
    >>> a = ExactArray.from_fractions([Fraction(1, 3), Fraction(1, 6)])
    >>> a.group_sum(np.array([0, 0]), 1)[0]
    Fraction(1, 2)
    >>> ExactArray.from_floats([0.5, 0.1])[1] == Fraction(1, 10)
    False
    """

    numerators: AnyArray
    denominators: AnyArray | None = None

    @classmethod
    def from_floats(cls, values: npt.ArrayLike) -> ExactArray:
        """Read finite floats as the dyadic rationals they are; nothing is rounded."""
        array = np.asarray(values, dtype=np.float64).ravel()
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise InputError(
                f"coefficient {bad[0]} is {array[bad[0]]}; coefficients must be finite numbers"
            )
        return cls(array)

    @classmethod
    def from_fractions(cls, values: Iterable[Fraction | int]) -> ExactArray:
        """Store rationals, in machine integers where every one fits."""
        return cls.from_ratios([value.as_integer_ratio() for value in values])

    @classmethod
    def from_ratios(cls, pairs: Sequence[tuple[int, int]]) -> ExactArray:
        """Store numerators over positive denominators, in lowest terms."""
        above, below = [p for p, _ in pairs], [q for _, q in pairs]
        dtype = machine.integer_type(above, below)
        if below and below.count(below[0]) == len(below):
            return cls(
                np.array(above, dtype=dtype), machine.repeat_one(below[0], len(below), dtype)
            )
        return cls(np.array(above, dtype=dtype), np.array(below, dtype=dtype))

    @classmethod
    def from_integers(cls, values: Sequence[int]) -> ExactArray:
        """Store Python's integers."""
        dtype = machine.integer_type(values)
        return cls(np.array(values, dtype=dtype), machine.repeat_one(1, len(values), dtype))

    @classmethod
    def from_array(cls, values: IntArray, denominator: int = 1) -> ExactArray:
        """Store an array of machine integers, which is kept, over one denominator.

        Examples
        --------
        >>> list(ExactArray.from_array(np.array([3]), 2))
        [Fraction(3, 2)]
        """
        return cls(values, machine.repeat_one(denominator, values.size))

    @classmethod
    def _from_integers(cls, numerators: AnyArray, denominators: AnyArray) -> ExactArray:
        """Pack into int64 where everything fits."""
        small = all(
            max(abs(int(a.min())), abs(int(a.max()))) < machine.INT64_SAFE if a.size else True
            for a in (numerators, denominators)
        )
        dtype: Any = np.int64 if small else object
        return cls(numerators.astype(dtype), denominators.astype(dtype))

    def __len__(self) -> int:
        return int(self.numerators.shape[0])

    def __getitem__(self, index: int) -> Fraction:
        if self.denominators is None:
            return Fraction(float(self.numerators[index]))
        return Fraction(int(self.numerators[index]), int(self.denominators[index]))

    def __iter__(self) -> Iterator[Fraction]:
        return (self[i] for i in range(len(self)))

    @property
    def is_float(self) -> bool:
        """True where the numbers are stored as floats."""
        return self.denominators is None

    def take(self, index: IntArray | npt.NDArray[np.bool_] | slice) -> ExactArray:
        """The entries at ``index`` (positions, a mask or a slice)."""
        numerators, below = self.numerators[index], self.denominators
        if below is None:
            return ExactArray(numerators)
        if machine.as_stored(below).size == 1:
            return ExactArray(
                numerators, machine.repeat_one(below[0], numerators.size, below.dtype)
            )
        return ExactArray(numerators, below[index])

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The least and the largest numerator; of none, 0."""
        return machine.ends(self.numerators)

    def nonzero(self) -> npt.NDArray[np.bool_]:
        """Mask of the entries that are not zero."""
        return np.asarray(self.numerators != 0, dtype=bool)

    def to_float(self) -> FloatArray:
        """Each entry rounded to the nearest float64."""
        if self.denominators is None:
            return self.numerators
        if self.numerators.dtype == np.int64:
            below = machine.as_stored(self.denominators)
            if max(machine.largest(self.numerators), machine.largest(below)) <= 2**53:
                # Then one IEEE division rounds correctly.
                return np.asarray(self.numerators / below, dtype=np.float64)
        try:  # Python divides integers with correct rounding
            quotient = self.numerators.astype(object) / self.denominators.astype(object)
        except OverflowError:
            return np.fromiter(map(machine.nearest_float, self), dtype=np.float64, count=len(self))
        return np.asarray(quotient, dtype=np.float64)

    def times(self, factors: IntArray) -> ExactArray:
        """Entrywise product with integers (exponents and multiplicities), exactly."""
        if np.all(factors == 1):
            return self
        if self.is_float:
            return self.as_integers().times(factors).as_floats()
        numerators, denominators = self.numerators, self.denominators
        assert denominators is not None
        if numerators.dtype == np.int64 and machine.product_fits(numerators, factors):
            return ExactArray(numerators * factors, denominators)
        return self._from_integers(numerators.astype(object) * factors.astype(object), denominators)

    def times_each(self, other: ExactArray) -> ExactArray:
        """Entrywise product, exactly, as numerators over denominators in lowest terms.

        Examples
        --------
        >>> half = ExactArray.from_fractions([Fraction(1, 2), Fraction(2, 3)])
        >>> list(half.times_each(half.inverses()))
        [Fraction(1, 1), Fraction(1, 1)]
        """
        a, b = self.in_lowest_terms(), other.in_lowest_terms()
        assert a.denominators is not None and b.denominators is not None
        fits = all(
            x.dtype == y.dtype == np.int64 and machine.product_fits(x, y)
            for x, y in ((a.numerators, b.numerators), (a.denominators, b.denominators))
        )
        if not fits:
            a, b = (
                ExactArray(x.numerators.astype(object), np.asarray(x.denominators).astype(object))
                for x in (a, b)
            )
        product = ExactArray(
            a.numerators * b.numerators, np.asarray(a.denominators) * np.asarray(b.denominators)
        ).in_lowest_terms()
        return product if fits else product._packed()

    def inverses(self) -> ExactArray:
        """Entrywise 1/x of numbers that are not 0, as numerators over denominators."""
        a = self.as_integers()
        sign = np.where(a.numerators < 0, -1, 1)
        return ExactArray(sign * np.asarray(a.denominators), sign * a.numerators)

    def as_integers(self) -> ExactArray:
        """The same numbers as numerators over denominators.

        Floats become m / 2^k with the one k that all of them share, in int64 where that fits.
        """
        if self.denominators is not None:
            return self
        mantissa, exponent = np.frexp(self.numerators)
        integer = np.ldexp(mantissa, 53).astype(np.int64)
        exponent = exponent.astype(np.int64) - 53
        trailing = np.zeros_like(integer)
        live = integer != 0
        lowest = integer[live] & -integer[live]
        trailing[live] = np.round(np.log2(lowest.astype(np.float64))).astype(np.int64)
        integer >>= trailing
        exponent = np.where(live, exponent + trailing, 0)
        scale = int(max(0, -exponent.min(initial=0)))
        shift = exponent + scale
        bits = np.frexp(integer.astype(np.float64))[1] + shift
        if scale < 62 and bits.max(initial=0) < 62:
            return ExactArray(integer << shift, machine.repeat_one(1 << scale, integer.size))
        # Too wide for one shared scale in 64 bits: each entry keeps its own power of two.
        numerators = np.array(
            [int(m) << max(0, int(e)) for m, e in zip(integer, exponent, strict=True)], dtype=object
        )
        denominators = np.array([1 << max(0, -int(e)) for e in exponent], dtype=object)
        return self._from_integers(numerators, denominators)

    def group_sum(self, groups: IntArray, count: int) -> ExactArray:
        """Exact sums by group, Σ over entries with ``groups == g`` for g = 0 … count−1.

        Cost: one pass where the numbers fit in 64 bits over a shared denominator; Python integers
        otherwise. Floats stay floats where every sum is one, and numbers over one denominator over this one;
        other sums are in lowest terms.
        """
        if not self.is_float:  # and small enough for any groups
            found = self._over_shared(machine.INT64_SAFE // max(1, len(self)))
            if found is not None:
                return self._sum_up(found, groups, count)
        sizes = np.bincount(groups, minlength=count)
        if sizes.max(initial=0) <= 1:
            return self._scatter(groups, count)._canonical()
        total = self.as_integers()._integer_sums(groups, count, int(sizes.max()))
        return total.as_floats() if self.is_float else total

    def sorted_by(self, keys: IntArray, used_up: bool = False) -> tuple[IntArray, ExactArray]:
        """Keys in ascending order, which are used up, and the numbers in their order; of equal keys in any.

        Short numbers are sorted with their keys, as one integer each, instead of being looked up afterwards.
        If these numbers are used up, too, no further array is made for that.

        Examples
        --------
        >>> keys, numbers = ExactArray.from_fractions([5, 6, 7]).sorted_by(np.array([30, 10, 20]))
        >>> keys.tolist(), numbers.numerators.tolist()
        ([10, 20, 30], [6, 7, 5])
        """
        below, low, least, width, bits = self.denominators, 0, 0, 64, 0
        many = keys.size >= FEW and self.numerators.dtype == np.int64
        if many and below is not None and machine.as_stored(below).size == 1:
            (low, width), (least, bits) = extent(keys), extent(self.numerators)
        if below is None or width + bits > 63:
            order, keys = sort_with_order(keys)
            return keys, self.take(order)
        packed = keys.astype(np.int64, copy=False)
        packed -= low
        packed <<= bits
        packed += self.numerators
        packed -= least
        packed.sort()
        mask, place = np.int64((1 << bits) - 1), self.numerators if used_up else None
        numerators = np.bitwise_and(packed, mask, out=place)
        numerators += least
        packed >>= bits
        packed += low
        return packed, ExactArray.from_array(numerators, int(below[0]))

    def sums_by(self, keys: IntArray) -> tuple[IntArray, ExactArray]:
        """The sums of the numbers of each key that are not 0, with the keys, which are given in order."""
        fresh = np.ones(keys.size, dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
        if fresh.all():
            values = self._canonical()
        else:
            values = self.group_sum(np.cumsum(fresh) - 1, int(fresh.sum()))
            keys = keys[fresh]
        live = values.nonzero()
        return (keys, values) if live.all() else (keys[live], values.take(live))

    def as_floats(self) -> ExactArray:
        """The same numbers stored as floats, if every one is a float."""
        floats = ExactArray(self.to_float())
        if np.isfinite(floats.numerators).all() and floats.same_as(self).all():
            return floats
        return self

    def _integer_sums(self, groups: IntArray, count: int, most: int) -> ExactArray:
        """Sums over one shared denominator: in 64 bits where they fit, else in Python integers."""
        found = self._over_shared(machine.INT64_SAFE // max(1, most))
        if found is not None:
            return self._sum_up(found, groups, count)
        numerators, denominators = self.numerators, self.denominators
        assert denominators is not None
        shared = lcm(*(int(d) for d in distinct(denominators)))
        if shared.bit_length() > _MAX_SHARED_BITS:  # unrelated denominators: one sum at a time
            sums = [Fraction(0)] * count
            for group, value in zip(groups.tolist(), self, strict=True):
                sums[group] += value
            return ExactArray.from_fractions(sums)
        factor = shared // denominators.astype(object)
        total = np.zeros(count, dtype=object)
        np.add.at(total, groups, numerators.astype(object) * factor)
        return (
            ExactArray(total, machine.repeat_one(shared, count, object)).in_lowest_terms()._packed()
        )

    def _sum_up(self, found: tuple[IntArray, int], groups: IntArray, count: int) -> ExactArray:
        """Sums of machine integers, which are these numbers over one denominator."""
        total = np.zeros(count, dtype=np.int64)
        np.add.at(total, groups, found[0])
        sums = ExactArray.from_array(total, found[1])
        assert self.denominators is not None
        return sums if machine.as_stored(self.denominators).size == 1 else sums.in_lowest_terms()

    def _over_shared(self, limit: int) -> tuple[IntArray, int] | None:
        """Machine integers below a limit, and the denominator that they share; None where they are larger."""
        numerators, denominators = self.numerators, self.denominators
        assert denominators is not None
        if numerators.dtype != np.int64:
            return None
        below = machine.as_stored(denominators)
        if (below == below[:1]).all():
            below = below[:1]
        shared = machine.common_multiple(below)
        if shared is None:
            return None
        factor = shared // below
        most = int(factor.max(initial=1))
        if max(map(abs, self.ends)) * most >= limit:
            return None
        return numerators if most == 1 else numerators * factor, shared

    def _scatter(self, groups: IntArray, count: int) -> ExactArray:
        numerators = np.zeros(count, dtype=self.numerators.dtype)
        numerators[groups] = self.numerators
        if self.denominators is None:
            return ExactArray(numerators)
        below = machine.as_stored(self.denominators)
        if below.size == 1:
            return ExactArray(numerators, machine.repeat_one(below[0], count, below.dtype))
        denominators = np.ones(count, dtype=self.denominators.dtype)
        denominators[groups] = self.denominators
        return ExactArray(numerators, denominators)

    def divided_by(self, divisors: AnyArray) -> ExactArray:
        """Entrywise quotient by positive integers, exactly."""
        if np.all(np.asarray(divisors, dtype=object) == 1):
            return self
        return ExactArray.from_fractions(
            value / int(d) for value, d in zip(self, divisors, strict=True)
        )

    def residues(self, prime: int) -> npt.NDArray[np.uint64]:
        """Each entry modulo ``prime`` (odd, below 2^31), which must divide no denominator.

        With ``WORDS`` for a prime, each times the common denominator of all, as a 64-bit word.

        Raises
        ------
        InputError
            If the prime divides a denominator, or the numbers are too wide for words; draw another one.

        Examples
        --------
        >>> numbers = ExactArray.from_fractions([Fraction(1, 2), Fraction(-1, 3)])
        >>> numbers.residues(7).tolist(), numbers.residues(WORDS).tolist() == [3, 2**64 - 2]
        ([4, 2], True)
        """
        if prime == WORDS:
            shared = self.as_integers()._over_shared(_MAX_WORD)
            if shared is None:
                raise InputError("the numbers are too wide for words; draw a prime")
            return shared[0].view(np.uint64)
        p = np.uint64(prime)
        if self.denominators is None:
            mantissa, exponent = np.frexp(self.numerators)
            integer = np.ldexp(mantissa, 53).astype(np.int64)
            top = np.mod(integer, np.int64(prime)).astype(np.uint64)
            lowest, highest = int(exponent.min(initial=0)) - 53, int(exponent.max(initial=0)) - 53
            powers = [pow(2, lowest, prime)]
            for _ in range(highest - lowest):
                powers.append(powers[-1] * 2 % prime)
            table = np.array(powers, dtype=np.uint64)
            return top * table[exponent.astype(np.int64) - 53 - lowest] % p
        top = np.mod(self.numerators, prime).astype(np.uint64)
        if machine.all_one(self.denominators):
            return top
        if self.is_multiple_below(prime):
            raise InputError(f"the prime {prime} divides a denominator; draw another prime")
        below = machine.as_stored(self.denominators)
        different = distinct(below)
        position = np.searchsorted(different, below)
        inverse = np.array([pow(int(d), -1, prime) for d in different], dtype=np.uint64)
        return top * inverse[position] % p

    def is_multiple_below(self, prime: int) -> bool:
        """Whether an odd prime divides a denominator.

        Examples
        --------
        >>> ExactArray.from_fractions([Fraction(1, 6)]).is_multiple_below(3)
        True
        """
        if self.denominators is None:
            return False
        return not (machine.as_stored(self.denominators) % prime).all()

    def same_as(self, other: ExactArray) -> npt.NDArray[np.bool_]:
        """Entrywise exact equality."""
        if self.denominators is None and other.denominators is None:
            return np.asarray(self.numerators == other.numerators)
        mine, theirs = self.in_lowest_terms(), other.in_lowest_terms()
        same = (mine.numerators == theirs.numerators) & (mine.denominators == theirs.denominators)
        return np.asarray(same, dtype=bool)

    def over_one(self) -> ExactArray:
        """The same numbers over one denominator, where that leaves machine integers with half of their bits."""
        shared = None if self.denominators is None else self._over_shared(_MAX_WORD)
        return self if shared is None else ExactArray.from_array(*shared)

    def _canonical(self) -> ExactArray:
        """The numbers so that equal ones are stored alike: floats, over one denominator, or in lowest terms."""
        if self.denominators is None or machine.as_stored(self.denominators).size == 1:
            return self
        return self.in_lowest_terms()

    def in_lowest_terms(self) -> ExactArray:
        """The same numbers as numerators over denominators without common factors."""
        whole = self.as_integers()
        assert whole.denominators is not None
        if machine.all_one(whole.denominators):
            return whole
        divisor = np.gcd(whole.numerators, whole.denominators)
        if (divisor == 1).all():
            return whole
        return ExactArray(whole.numerators // divisor, whole.denominators // divisor)

    def _packed(self) -> ExactArray:
        assert self.denominators is not None
        return self._from_integers(self.numerators, self.denominators)

    @staticmethod
    def concatenate(parts: Sequence[ExactArray]) -> ExactArray:
        """One vector after the other; floats stay floats only if all parts are."""
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        if all(part.is_float for part in parts):
            return ExactArray(np.concatenate([part.numerators for part in parts]))
        exact = [part.as_integers() for part in parts]
        if any(part.numerators.dtype != np.int64 for part in exact):
            return ExactArray._from_integers(
                np.concatenate([part.numerators.astype(object) for part in exact]),
                np.concatenate([np.asarray(part.denominators, dtype=object) for part in exact]),
            )
        above = [part.numerators for part in exact]
        below = [np.asarray(part.denominators) for part in exact]
        found = machine.over_one(above, below)
        if found is not None:
            return ExactArray.from_array(*found)
        return ExactArray(np.concatenate(above), np.concatenate(below))


#: The largest primes below 2^31: products of residues fit in 64 bits.
PRIMES = tuple(2**31 - below for below in (1, 19, 61, 69, 85, 99, 105, 151))


#: In place of a prime: arithmetic in 64-bit words, modulo 2^64, which no product has to be reduced for.
WORDS = 2**64
_MAX_WORD = 2**32  # a difference of two then leaves at least half of the bits of what it multiplies


def reduce_modulo(values: npt.NDArray[np.uint64], prime: int) -> npt.NDArray[np.uint64]:
    """Some numbers modulo a prime, in place; words are.

    Examples
    --------
    >>> [reduce_modulo(np.array([9], dtype=np.uint64), prime).tolist() for prime in (7, WORDS)]
    [[2], [9]]
    """
    return values if prime == WORDS else np.remainder(values, np.uint64(prime), out=values)


def difference(
    values: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64], prime: int
) -> npt.NDArray[np.uint64]:
    """Entrywise difference of residues."""
    if prime == WORDS:
        return values - others
    return reduce_modulo(values + np.uint64(prime) - others, prime)


def prime_for(*numbers: ExactArray, among: Iterable[int] = PRIMES) -> int:
    """The first of some primes that divides no denominator of some numbers.

    Raises
    ------
    FailureError
        If each of them does, which takes a system that was made for it.

    Examples
    --------
    >>> 2**31 - prime_for(ExactArray.from_fractions([Fraction(1, 2**31 - 1)]))
    19
    """
    tried = []
    for prime in among:
        if not any(array.is_multiple_below(prime) for array in numbers):
            return prime
        tried.append(prime)
    raise FailureError(f"each of the primes {tried[0]} … {tried[-1]} divides a denominator")
