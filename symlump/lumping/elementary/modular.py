"""Functions in a prime field: values at a point, and gradients by reverse accumulation.

1/d is the inverse of the field; any other function is a random one, the same for equal arguments,
and so is its derivative. Equal right-hand sides therefore have equal values, and unequal values prove unequal
right-hand sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symlump.lumping.refinement.field import (
    ModularMatrix,
    Residues,
    VanishingDenominator,
    inverses,
)
from symlump.ode.exact import IntArray
from symlump.ode.functions.generators import Batch, Generators
from symlump.ode.functions.known import FUNCTIONS
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

    def gradient(self, symbols: Residues, inverse: Residues) -> Gradient:
        """Their derivatives by each symbol at a point without zeros; ``inverse`` holds 1/s."""
        p = np.uint64(self.prime)
        table = self.polynomials.monomials
        slopes = table.residues(symbols, self.prime)[table.owners]
        slopes = slopes * inverse[table.variables] % p
        slopes = slopes * (table.powers % self.prime).astype(np.uint64) % p
        by_factor = ModularMatrix.of(
            slopes, table.variables, table.indptr, symbols.size, self.prime
        )
        return Gradient(by_factor.transpose(), self.matrix.transpose())


@dataclass(frozen=True, eq=False)
class Gradient:
    """Weights of polynomials in, the derivative of the weighted sum by every symbol out."""

    by_symbol: ModularMatrix
    by_monomial: ModularMatrix

    def dot(self, weights: Residues) -> Residues:
        """One vector–Jacobian product."""
        return self.by_symbol.dot(self.by_monomial.dot(weights))


class ModularFunctions:
    """The functions of a system modulo a prime."""

    def __init__(self, generators: Generators, prime: int) -> None:
        self.generators, self.prime = generators, prime
        self._parts = [
            [
                ModularPolynomials.of(generators.arguments.select(rows), prime)
                for rows in b.arguments
            ]
            for b in generators.batches
        ]

    def values(self, point: Residues) -> Residues:
        """Variables and functions at a point.

        Raises
        ------
        VanishingDenominator
            If a denominator is 0 there.
        """
        symbols = np.zeros(self.generators.first + len(self.generators), dtype=np.uint64)
        symbols[: self.generators.first] = point
        for _ in self._evaluated(symbols):
            pass
        return symbols

    def chain(self, point: Residues) -> tuple[Residues, Chain]:
        """Values at a point, and how derivatives by functions become derivatives by variables.

        The derivative of 1/d is −1/d²; that of any other function is a random function again.
        """
        p = np.uint64(self.prime)
        symbols = np.zeros(self.generators.first + len(self.generators), dtype=np.uint64)
        symbols[: self.generators.first] = point
        slopes: list[tuple[IntArray, Residues]] = []
        for batch, u in self._evaluated(symbols):
            members = self.generators.first + batch.members
            if batch.function == "inverse":
                slopes.append((members, (p - symbols[members] * symbols[members] % p) % p))
                continue
            for a in range(len(u)):
                name = f"{batch.function}'{a + 1}"
                slopes.append((members, random_function(name, u, members.size, self.prime)))
        if not symbols.all():  # by chance: monomials are divided by their factors
            raise VanishingDenominator("a symbol is 0 at this point")
        inverse = inverses(symbols, self.prime)
        parts = (part for parts in self._parts for part in parts)
        steps = [
            (members, slope, part.gradient(symbols, inverse))
            for (members, slope), part in zip(slopes, parts, strict=True)
        ]
        return symbols, Chain(steps, self.generators.first, self.prime)

    def _evaluated(self, symbols: Residues) -> Iterator[tuple[Batch, list[Residues]]]:
        """Fill in the values of the functions, batch by batch, with their arguments."""
        first = self.generators.first
        for batch, parts in zip(self.generators.batches, self._parts, strict=True):
            u = [part.values(symbols) for part in parts]
            if batch.function == "inverse":
                if not u[0].all():
                    raise VanishingDenominator("a denominator is 0 at this point")
                value = inverses(u[0], self.prime)
            else:
                value = function_values(batch.function, u, batch.members.size, self.prime)
            symbols[first + batch.members] = value
            yield batch, u


@dataclass(frozen=True, eq=False)
class Chain:
    """The chain rule at a point: functions, ∂f/∂u, and ∂u/∂s, in the order of evaluation."""

    steps: list[tuple[IntArray, Residues, Gradient]]
    first: int
    prime: int

    def pulled_back(self, by_symbol: Residues) -> Residues:
        """Derivatives by variables and functions in, total derivatives by variables out."""
        p = np.uint64(self.prime)
        result = by_symbol.copy()
        for members, slope, gradient in reversed(self.steps):
            result = (result + gradient.dot(result[members] * slope % p)) % p
        return result[: self.first]


def function_values(name: str, arguments: Sequence[Residues], count: int, prime: int) -> Residues:
    """Values of a random function for which the facts hold that are used of the function of this name.

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
        return random_function(name, arguments, count, prime)
    u = arguments[0]
    if name == "power":
        return np.where(u == 1, np.uint64(1), random_function(name, arguments, count, prime))
    if len(arguments) > 1:
        return random_function(name, arguments, count, prime)
    if function.parity:
        values = random_function(name, [np.minimum(u, p - u)], count, prime)
        values = np.where((u > p - u) & (function.parity < 0), p - values, values)
    else:
        values = random_function(name, [u], count, prime)
    for at, exact in function.exact.items():
        values = np.where(u == at, np.uint64(exact), values)
    return values


def random_function(name: str, arguments: Sequence[Residues], count: int, prime: int) -> Residues:
    """Values of a random function, from 1 to p − 1: a hash of its name and arguments.

    Examples
    --------
    >>> u = np.array([5, 6, 5], dtype=np.uint64)
    >>> a, b, c = random_function("exp", [u], 3, 2**31 - 1).tolist()
    >>> a == c != b
    True
    """
    seed = 0
    for byte in name.encode():
        seed = (seed * 257 + byte + 1) % 2**64
    h = mixed(np.full(count, seed ^ prime, dtype=np.uint64))
    for u in arguments:
        h = mixed(h ^ u)
    return h % np.uint64(prime - 1) + np.uint64(1)


def mixed(h: Residues) -> Residues:
    """One step of splitmix64 (Steele, Lea, Flood, doi:10.1145/2714064.2660195)."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))
