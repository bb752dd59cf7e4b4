"""Characteristic polynomials: modulo a prime, over the integers, and their roots modulo a prime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import log2

import numpy as np

from symlump.lumping.linear.spaces.residues import centre, primes
from symlump.ode.exact import AnyArray, IntArray
from symlump.ode.notation import signed_sum

#: Polynomials of higher degree are not written down.
MOST_SHOWN = 6


def charpoly_modulo(matrix: IntArray, prime: int) -> list[int]:
    """The coefficients of det(x − A) modulo a prime below 2^31, from the highest power down.

    The matrix is brought to Hessenberg form; O(n³) operations on rows.

    Examples
    --------
    >>> charpoly_modulo(np.array([[1, 2], [3, 4]]), 101)
    [1, 96, 99]
    """
    # Centred residues are at most 2^30 in size, so a product of two, and a sum of many residues, fit into
    # 64 bits; every product is therefore reduced before it is added to others.
    h = _hessenberg(centre(matrix.copy(), prime), prime)
    size = len(h)
    # Row k: the characteristic polynomial of the leading k × k block, lowest power first.
    table = np.zeros((size + 1, size + 1), dtype=np.int64)
    table[0, 0] = 1
    below = np.ones(0, dtype=np.int64)  # products of subdiagonal entries, from row r to the last
    # Expansion of det(x − H_k) along the last column: p_k = (x − h_kk)·p_(k−1) − Σ_r h_rk·(Π below r)·p_(r−1).
    for k in range(1, size + 1):
        table[k, 1:] = table[k - 1, :-1]  # times x: all powers move up by one
        table[k] = centre(table[k] - centre(h[k - 1, k - 1] * table[k - 1], prime), prime)
        if k > 1:
            # Every product grows by the new entry, and a product of that entry alone begins.
            below = centre(np.append(below, 1) * h[k - 1, k - 2], prime)
            weights = centre(h[: k - 1, k - 1] * below, prime)
            rest = centre(weights[:, None] * table[: k - 1], prime).sum(axis=0)
            table[k] = centre(table[k] - rest, prime)
    return [int(value) % prime for value in table[size, ::-1]]


def _hessenberg(h: IntArray, prime: int) -> IntArray:
    """A matrix similar to the given one, zero below the subdiagonal."""
    for k in range(1, len(h) - 1):
        live = np.flatnonzero(h[k:, k - 1])
        if not live.size:
            continue  # the column is zero there already
        pivot = k + int(live[0])
        # A permutation of rows, and of columns likewise: a similar matrix.
        h[[k, pivot]] = h[[pivot, k]]
        h[:, [k, pivot]] = h[:, [pivot, k]]
        factors = centre(h[k + 1 :, k - 1] * pow(int(h[k, k - 1]), -1, prime), prime)
        # Rows are eliminated, and the inverse operation is done to the columns, so the matrix stays similar.
        h[k + 1 :] = centre(h[k + 1 :] - centre(factors[:, None] * h[k], prime), prime)
        h[:, k] = centre(h[:, k] + centre(h[:, k + 1 :] * factors, prime).sum(axis=1), prime)
    return h


def charpoly(matrix: AnyArray) -> list[int]:
    """The coefficients of det(x − A) for a matrix of Python integers, from the highest power down.

    Examples
    --------
    >>> charpoly(np.array([[10**20, 1], [1, 0]], dtype=object)) == [1, -10**20, -1]
    True
    """
    # Every coefficient is a sum of minors, and by expansion their absolute values add up to at most
    # Π (1 + row sums). Twice that, for the sign, is what the product of the primes must exceed.
    bits = 2 + sum(log2(1 + int(sum(abs(v) for v in row))) for row in matrix)
    modulus, values = 1, [0] * (len(matrix) + 1)
    for prime in primes():
        residues = charpoly_modulo(np.mod(matrix, prime).astype(np.int64), prime)
        # Chinese remaindering, one prime at a time: v keeps its residue modulo the primes before, as a multiple
        # of their product is added, and the multiple is the one that makes it r modulo this prime.
        inverse = pow(modulus, -1, prime)
        values = [
            v + modulus * ((r - v) * inverse % prime) for v, r in zip(values, residues, strict=True)
        ]
        modulus *= prime
        if modulus.bit_length() > bits:
            break
    # Of the numbers with these residues only one is in (−modulus/2, modulus/2].
    return [v - modulus if 2 * v > modulus else v for v in values]


def factors(coefficients: list[int]) -> list[tuple[list[int], int]]:
    """The irreducible factors over Q, with multiplicities, those of low degree first.

    Examples
    --------
    >>> factors([1, 0, 0, -1])
    [([1, -1], 1), ([1, 1, 1], 1)]
    """
    import sympy

    polynomial = sympy.Poly(coefficients, sympy.Symbol("t"), domain=sympy.ZZ)
    found = [([int(c) for c in f.all_coeffs()], e) for f, e in polynomial.factor_list()[1]]
    return sorted(found, key=lambda pair: (len(pair[0]), pair))


def polynomial_text(
    coefficients: Sequence[int], variable: str, exactly: Callable[[Fraction], str] | None = None
) -> str:
    """A polynomial as it is shown; of high degree only this.

    Examples
    --------
    >>> polynomial_text([1, 0, -2], "t"), polynomial_text([1, 0, 0, 0, 0, 0, 0, -2], "t")
    ('t^2 - 2', 'a polynomial of degree 7')
    """
    top = len(coefficients) - 1
    if top > MOST_SHOWN:
        return f"a polynomial of degree {top}"
    terms = [
        (((0, top - i),) if i < top else (), Fraction(c)) for i, c in enumerate(coefficients) if c
    ]
    return signed_sum(terms, len(terms), [variable], exactly=exactly)


def roots_modulo(coefficients: list[int], prime: int) -> list[int]:
    """The roots of a monic polynomial modulo an odd prime, ascending.

    Examples
    --------
    >>> roots_modulo([1, 0, -2], 7), roots_modulo([1, 0, 1], 7)
    ([3, 4], [])
    """
    from sympy import ZZ
    from sympy.polys.galoistools import gf_edf_zassenhaus, gf_gcd, gf_pow_mod, gf_sub

    f = [ZZ(c % prime) for c in coefficients]
    if len(f) == 2:
        return [-int(f[1]) % prime]
    x = [ZZ(1), ZZ(0)]
    # By Fermat, x^p − x is the product of x − c for all residues c. Its gcd with f has the roots of f, each
    # once, and the power is taken modulo f, in log p squarings. What is left is a product of linear factors.
    power = gf_pow_mod(x, prime, f, prime, ZZ)
    split = gf_gcd(f, gf_sub(power, x, prime, ZZ), prime, ZZ)
    if len(split) < 2:
        return []
    return sorted(-int(g[1]) % prime for g in gf_edf_zassenhaus(split, 1, prime, ZZ))
