"""Sparse matrices of signed residues modulo a prime below 2^31.

A residue is kept between −p/2 and p/2, so small integers of either sign stay small and most products need no
splitting. Where the sums of products could pass 64 bits, the right factor is cut into limbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from symlump.ode.exact import AnyArray, IntArray

#: The Mersenne prime 2^31 − 1, the first modulus.
FIRST_PRIME = 2**31 - 1


def primes() -> Iterator[int]:
    """Primes below 2^31, from the largest down."""
    from sympy import prevprime

    prime = FIRST_PRIME
    while True:
        yield prime
        prime = int(prevprime(prime))


def centre(values: IntArray, prime: int) -> IntArray:
    """Residues between −p/2 and p/2.

    Examples
    --------
    >>> centre(np.array([6, 3, -1, 4]), 7).tolist()
    [-1, 3, -1, -3]
    """
    values = np.mod(values, prime)
    values[values > prime // 2] -= prime
    return values


def inverses(values: IntArray, prime: int) -> IntArray:
    """1/x of residues that are not 0.

    Examples
    --------
    >>> inverses(np.array([1, 2, -3]), 7).tolist()
    [1, -3, 2]
    """
    different, place = np.unique(values, return_inverse=True)
    found = np.array([pow(v, -1, prime) for v in different.tolist()], dtype=np.int64)
    return centre(found, prime)[place.ravel()]


def clean(matrix: sparse.sparray, prime: int) -> sparse.csr_array:
    """The same matrix reduced modulo the prime, in compressed rows without stored zeros."""
    result = matrix.tocsr()
    result.data = centre(result.data, prime)
    result.eliminate_zeros()
    return result


def multiply(a: sparse.csr_array, b: sparse.csr_array, prime: int) -> sparse.csr_array:
    """The product of two sparse matrices of signed residues.

    Examples
    --------
    >>> a = sparse.csr_array(np.array([[3, -3], [0, 2]]))
    >>> multiply(a, a, 7).toarray().tolist()
    [[2, -1], [0, -3]]
    """

    def limb(data: IntArray) -> sparse.csr_array:
        return clean(a @ sparse.csr_array((data, b.indices, b.indptr), shape=b.shape), prime)

    return clean(_by_limbs(a, b.data, limb), prime)


def apply(a: sparse.csr_array, x: IntArray, prime: int) -> IntArray:
    """The product of a sparse matrix and a dense one, both of signed residues."""
    product: IntArray = _by_limbs(a, x, lambda limb: centre(a @ limb, prime))
    return centre(product, prime)


def _by_limbs(
    a: sparse.csr_array, b: IntArray, product: Callable[[IntArray], AnyArray]
) -> AnyArray:
    """Σ 2^shift · product(limb), with limbs so narrow that no sum inside ``product`` overflows."""
    longest = int(np.diff(a.indptr).max(initial=0))
    sums = longest * int(np.abs(a.data).max(initial=0))
    bits = min(31, 62 - sums.bit_length())
    total, shift, rest = None, 0, b
    while True:
        last = shift + bits >= 31 or int(np.abs(rest).max(initial=0)) < 1 << bits
        part = product(rest if last else rest & ((1 << bits) - 1))
        total = part if total is None else total + part * (1 << shift)
        if last:
            return total
        rest, shift = rest >> bits, shift + bits
