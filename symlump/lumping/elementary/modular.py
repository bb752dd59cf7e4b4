"""Functions in a prime field: values at a point, and gradients by reverse accumulation.

1/d is the inverse of the field; any other function is a random one, the same for equal arguments,
and so is its derivative. Equal right-hand sides therefore have equal values, and unequal values prove unequal
right-hand sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symlump.lumping.refinement.field import (
    ModularMatrix,
    Residues,
    VanishingDenominator,
    inverses,
)
from symlump.ode.exact import IntArray
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.known import FUNCTIONS, MAX_EXPONENT
from symlump.ode.functions.polynomials import Polynomials


@dataclass(frozen=True, eq=False)
class ModularPolynomials:
    """Polynomials with coefficients in a prime field."""

    polynomials: Polynomials
    matrix: ModularMatrix
    prime: int

    @classmethod
    def of(cls, p: Polynomials, prime: int) -> ModularPolynomials:
        """Reduce the coefficients (InputError if the prime divides a denominator)."""
        residues = p.coefficients.residues(prime)
        width = len(p.monomials)
        return cls(p, ModularMatrix.of(residues, p.columns, p.indptr, width, prime), prime)

    def values(self, symbols: Residues) -> Residues:
        """Their values where the symbols have theirs."""
        return self.matrix.dot(self.polynomials.monomials.residues(symbols, self.prime))


class ModularFunctions:
    """The functions of a system modulo a prime."""

    def __init__(self, generators: Generators, prime: int) -> None:
        self.generators, self.prime = generators, prime
        self._parts = [ModularPolynomials.of(part, prime) for part in generators.parts]

    def values(self, point: Residues, salt: int = 0) -> Residues:
        """Variables and functions at a point; with another salt, functions are others.

        Raises
        ------
        VanishingDenominator
            If a denominator is 0 there.
        """
        symbols = np.zeros(self.generators.first + len(self.generators), dtype=np.uint64)
        symbols[: self.generators.first] = point
        first = self.generators.first
        inside = np.zeros(self.generators.arguments.count, dtype=np.uint64)
        for (rows, batches), part in zip(self.generators.levels, self._parts, strict=True):
            inside[rows] = part.values(symbols)
            for batch in batches:
                u = [inside[own] for own in batch.arguments]
                symbols[first + batch.members] = function_values(
                    batch.function, u, batch.members.size, self.prime, salt
                )
        return symbols


def function_values(
    name: str, arguments: Sequence[Residues], count: int, prime: int, salt: int = 0
) -> Residues:
    """Values of a random function for which the facts hold that are used of the function of this name.

    Raises
    ------
    VanishingDenominator
        If 1/0 is asked for.

    Examples
    --------
    >>> p = 2**31 - 1
    >>> a, b, c = function_values("sin", [np.array([5, p - 5, 0], dtype=np.uint64)], 3, p).tolist()
    >>> (a + b) % p, c
    (0, 0)
    """
    p = np.uint64(prime)
    function = FUNCTIONS.get(name)
    if function is None or not arguments:
        return random_function(name, arguments, count, prime, salt)
    u = arguments[0]
    if name == "inverse":
        if not u.all():
            raise VanishingDenominator("a denominator is 0 at this point")
        return inverses(u, prime)
    if name == "power":
        values = random_function(name, arguments, count, prime, salt)
        at, exponents = _whole(arguments[1], prime)
        values[at] = _powers(u[at], exponents, prime)
        return np.where(u == 1, np.uint64(1), values)
    if len(arguments) > 1:
        return random_function(name, arguments, count, prime, salt)
    if function.parity:
        values = random_function(name, [np.minimum(u, p - u)], count, prime, salt)
        values = np.where((u > p - u) & (function.parity < 0), p - values, values)
    else:
        values = random_function(name, [u], count, prime, salt)
    for number, exact in function.exact.items():
        values = np.where(u == number, np.uint64(exact), values)
    return values


def function_slopes(
    name: str,
    number: int,
    arguments: Sequence[Residues],
    values: Residues,
    prime: int,
    salt: int = 0,
) -> Residues:
    """The derivative by an argument: of 1/u, or of a random function with the facts that are used.

    Parameters
    ----------
    number : int
        Of the argument, from 0.
    values : ndarray of uint64
        Of the function.

    Examples
    --------
    >>> p, u = 2**31 - 1, np.array([5, 2**31 - 6, 0], dtype=np.uint64)
    >>> a, b, c = function_slopes("cos", 0, [u], u, p).tolist()
    >>> (a + b) % p, c
    (0, 0)
    """
    p, count, slope = np.uint64(prime), values.size, f"{name}'{number + 1}"
    if name == "inverse":
        return (p - values * values % p) % p
    function = FUNCTIONS.get(name)
    if name == "power" and number == 1:  # 1 to any power is 1
        found = random_function(slope, arguments, count, prime, salt)
        return np.where(arguments[0] == 1, np.uint64(0), found)
    if name == "power":
        found = random_function(slope, arguments, count, prime, salt)
        at, exponents = _whole(arguments[1], prime)
        at, exponents = at[exponents != 0], exponents[exponents != 0]
        found[_whole(arguments[1], prime)[0]] = 0
        factors = (exponents % prime).astype(np.uint64)
        found[at] = factors * _powers(arguments[0][at], exponents - 1, prime) % p
        return found
    if function is None or not function.parity or len(arguments) > 1:
        return random_function(slope, arguments, count, prime, salt)
    u = arguments[0]  # the derivative of an even function is odd
    found = random_function(slope, [np.minimum(u, p - u)], count, prime, salt)
    if function.parity < 0:
        return found
    found = np.where(u > p - u, p - found, found)
    return np.where(u == 0, np.uint64(0), found)


def _whole(exponents: Residues, prime: int) -> tuple[IntArray, IntArray]:
    """Where exponents are whole numbers, if these are small, and which."""
    signed = exponents.astype(np.int64)
    signed = np.where(signed > prime // 2, signed - prime, signed)
    at = np.flatnonzero(abs(signed) <= MAX_EXPONENT)
    return at, signed[at]


def _powers(u: Residues, exponents: IntArray, prime: int) -> Residues:
    """u^n, where n may be negative."""
    if not u[exponents < 0].all():
        raise VanishingDenominator("a denominator is 0 at this point")
    found = [pow(*pair, prime) for pair in zip(u.tolist(), exponents.tolist(), strict=True)]
    return np.array(found, dtype=np.uint64)


def all_slopes(
    generators: Generators, inside: Residues, symbols: Residues, prime: int, salt: int = 0
) -> Residues:
    """∂f/∂u for each argument u of each function f.

    Parameters
    ----------
    inside, symbols : ndarray of uint64
        The values of all arguments, and of variables and functions.
    """
    result = np.empty_like(inside)
    for batch in generators.batches:
        u = [inside[rows] for rows in batch.arguments]
        values = symbols[generators.first + batch.members]
        for a, rows in enumerate(batch.arguments):
            result[rows] = function_slopes(batch.function, a, u, values, prime, salt)
    return result


def random_function(
    name: str, arguments: Sequence[Residues], count: int, prime: int, salt: int = 0
) -> Residues:
    """Values of a random function, from 1 to p − 1: a hash of its name and arguments, another for each salt.

    Examples
    --------
    >>> u = np.array([5, 6, 5], dtype=np.uint64)
    >>> a, b, c = random_function("exp", [u], 3, 2**31 - 1).tolist()
    >>> a == c != b
    True
    """
    seed = salt
    for byte in name.encode():
        seed = (seed * 257 + byte + 1) % 2**64
    h = mix(np.full(count, seed ^ prime, dtype=np.uint64))
    for u in arguments:
        h = mix(h ^ u)
    return h % np.uint64(prime - 1) + np.uint64(1)


def mix(h: Residues) -> Residues:
    """One step of splitmix64 (Steele, Lea, Flood, doi:10.1145/2714064.2660195)."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))
