"""Arrays of enclosures that are Python objects; of mpmath's intervals, products are made of integers.

An operation on one interval of mpmath takes some ten microseconds, so a product of matrices of size 20 takes a
tenth of a second, and a certified solution needs thousands. Here each row of the left and each column of the
right factor is brought to one exponent, rounded outward far beyond the last digit that counts; then middles and
radii are integers of Python, their products and sums are exact, and only the result is rounded, outward.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from symlump.ode.exact import AnyArray

#: Bits kept of the largest entry of a row or column.
_BITS = 160


class ObjectArray(np.ndarray):
    """An array of Python objects in which an empty sum is an enclosure of 0, where numpy's is the integer."""

    @staticmethod
    def zero() -> Any:
        """An enclosure of 0."""
        raise NotImplementedError

    def __matmul__(self, other: Any) -> Any:
        return self._zeros(self, other) if not self.shape[-1] else super().__matmul__(other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._zeros(other, self) if not self.shape[-2:][0] else super().__rmatmul__(other)

    def _zeros(self, left: Any, right: Any) -> Any:
        shape = np.shape(np.zeros(np.shape(left)) @ np.zeros(np.shape(right)))
        return np.full(shape, self.zero()).view(type(self)) if shape else self.zero()


class ArbArray(ObjectArray):
    """An array of flint's balls.

    Examples
    --------
    >>> empty = np.zeros((1, 0), dtype=object).view(ArbArray)
    >>> type((empty @ empty.T)[0, 0]) is not int
    True
    """

    @staticmethod
    def zero() -> Any:
        """The ball that holds 0 alone."""
        from flint import arb

        return arb(0)


class IvArray(ObjectArray):
    """An array of intervals of one context of mpmath.

    Examples
    --------
    >>> from mpmath import iv
    >>> a = np.array([[iv.mpf([1, 2]), iv.mpf(3)]], dtype=object).view(IvArray)
    >>> (a @ a.T)[0, 0]
    mpi('9.5', '13.0')
    """

    @staticmethod
    def zero() -> Any:
        """The interval that holds 0 alone."""
        return intervals().mpf(0)

    def __matmul__(self, other: Any) -> Any:
        if self.ndim == 2 and other.ndim in (1, 2):
            found = _product(self, other[:, None] if other.ndim == 1 else other)
            if found is not None:
                return found[:, 0] if other.ndim == 1 else found
        return super().__matmul__(other)


@cache
def intervals() -> Any:
    """A context of our own: the precision of mpmath's is anyone's to change."""
    from mpmath.ctx_iv import MPIntervalContext

    context = MPIntervalContext()
    context.prec = 53
    return context


def _product(a: AnyArray, b: AnyArray) -> AnyArray | None:
    """The product, or None if an end is infinite."""
    left, right = _integers(a), _integers(b.T)
    if left is None or right is None or not (a.size and b.size):
        return None
    from mpmath import libmp

    (a_sum, a_width, a_exponent), (b_sum, b_width, b_exponent) = left, right
    # Twice the middles and radii: (m ± r)·(n ± s) = m·n ± (|m|·s + r·(|n| + s)).
    middle = a_sum @ b_sum.T
    radius = np.abs(a_sum) @ b_width.T + a_width @ (np.abs(b_sum) + b_width).T
    context, precision = a.flat[0].ctx, a.flat[0].ctx.prec
    result = np.empty(middle.shape, dtype=object)
    for (i, j), m in np.ndenumerate(middle):
        exponent = a_exponent[i] + b_exponent[j] - 2
        low = libmp.from_man_exp(int(m - radius[i, j]), exponent, precision, "f")
        high = libmp.from_man_exp(int(m + radius[i, j]), exponent, precision, "c")
        result[i, j] = context.make_mpf((low, high))
    return result.view(IvArray)


def _integers(a: AnyArray) -> tuple[AnyArray, AnyArray, list[int]] | None:
    """Low + high and high − low of each entry, as integers times 2^exponent row by row; None if infinite."""
    total, width = np.empty(a.shape, dtype=object), np.empty(a.shape, dtype=object)
    exponents: list[int] = []
    for i, row in enumerate(a):
        ends = [x._mpi_ for x in row]
        # A number of mpmath is (sign, mantissa, exponent, bits); 0 has no mantissa, nor has what is infinite.
        if any(not man and exp for pair in ends for _, man, exp, _ in pair):
            return None
        top = max((exp + bits for pair in ends for _, man, exp, bits in pair if man), default=0)
        exponents.append(top - _BITS)
        for j, (low, high) in enumerate(ends):
            below, above = _shifted(low, exponents[-1]), -_shifted(high, exponents[-1], -1)
            total[i, j], width[i, j] = below + above, above - below
    return total, width, exponents


def _shifted(number: tuple[int, int, int, int], exponent: int, sign: int = 1) -> int:
    """⌊±number/2^exponent⌋."""
    negative, man, exp, _ = number
    value = sign * (-int(man) if negative else int(man))
    shift = exp - exponent
    return value << shift if shift >= 0 else value >> -shift
