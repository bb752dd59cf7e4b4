"""What each symbol for a function is equal to, as hints to the checker in Coq, which verifies them.

Symbols are followed in their order, those of the quotient before those of the system, with variables of one
side replaced by polynomials in those of the other. A symbol is *fresh*, or it *is* a polynomial in others, or
*like* (or *opposite* to) one before it, or a *whole* power, which is a product, or a *fact* such as exp(0) = 1
says what it is. What to try is found by values modulo a prime and by numerators; that it is true is for
``theory/Symbols.v`` to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from symlump.proof.check import (
    _AT_ONE,
    _AT_ZERO,
    _PARITY,
    Budget,
    Claim,
    Functions,
    Monomial,
    Polynomial,
    Rejected,
    System,
    _claim_size,
    _Modular,
    _product,
    _residue,
    _substituted,
    _sum_of,
    add_term,
    in_some_field,
)

#: How names of the system and of the quotient begin, where both are meant.
SYSTEM, QUOTIENT = "s", "q"
_ONE: Polynomial = {(): Fraction(1)}

Monic = frozenset[tuple[Monomial, Fraction]]
Denominators = dict[str, int]  # inverses, with their powers


@dataclass(frozen=True)
class Hint:
    """What is said of one symbol; the kinds are those of ``theory/Symbols.v``, such as Fresh, Is or Like."""

    kind: str
    polynomial: Polynomial | None = None
    symbol: str = ""
    exponent: int = 0


class Hints(NamedTuple):
    """Hints for the functions of the system, and for those of the quotient.

    ``unused`` says that there is a power with a negative whole exponent that is not used as a product,
    as no quotient before it divides by its base.
    """

    system: list[Hint]
    quotient: list[Hint]
    unused: bool


def hints(claim: Claim, of: Mapping[str, str]) -> Hints:
    """What each function of the system and of the quotient is equal to.

    Parameters
    ----------
    claim : Claim
    of : mapping
        For each variable its block; not used for linear lumpings.

    Raises
    ------
    Rejected
        If a denominator is 0 where variables are replaced.
    Inconclusive
        If finding them takes too long.

    Examples
    --------
    >>> from symlump.proof.check import read_claim
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = -x/(1 + x + y); y' = -y/(1 + x + y)")
    >>> claim = read_claim(sl.lump(ode, sl.Forward()).certificate().data)
    >>> found = hints(claim, {"x": "y1", "y": "y1"})
    >>> [hint.kind for hint in found.system], [hint.kind for hint in found.quotient]
    (['Is'], ['Fresh'])
    """
    found: Hints = in_some_field(partial(_hints_in_field, claim, of))
    return found


def _hints_in_field(claim: Claim, of: Mapping[str, str], prime: int) -> Hints:
    found = _Followed(claim, prime)
    rows = {
        "forward": {b: _sum_of(members) for b, members in claim.blocks.items()},
        "linear": claim.matrix,
    }
    if claim.kind == "backward":
        found.name(QUOTIENT, claim.quotient)
        for name in claim.system:
            found.images[SYSTEM + name] = _sum_of([QUOTIENT + of[name]])
    else:
        found.name(SYSTEM, claim.system)
        for name, row in rows[claim.kind].items():
            found.images[QUOTIENT + name] = tag_names(row, SYSTEM)
    of_quotient = found.follow(QUOTIENT, claim.quotient_functions)
    return Hints(found.follow(SYSTEM, claim.functions), of_quotient, found.unused)


def tag_names(p: Polynomial, tag: str) -> Polynomial:
    """The polynomial in names that say on which side they stand."""
    return {tuple((tag + v, e) for v, e in m): c for m, c in p.items()}


class _Followed:
    """Symbols met so far: their images, and what is known of those that have no other."""

    def __init__(self, claim: Claim, prime: int) -> None:
        self.budget = Budget.of("following functions", 16 * _claim_size(claim))
        self.field = _Modular(prime, self.budget)
        self.images: System = {}
        self.below: dict[str, Polynomial] = {}  # arguments of fresh inverses, in order
        self.rank: dict[str, int] = {}
        self.unused = False
        # By numerators without a common factor in numbers: an inverse, that factor, and denominators.
        self.inverses: dict[Monic, tuple[str, Fraction, Denominators]] = {}
        self.alike: dict[tuple[str, tuple[int, ...]], str] = {}

    def name(self, tag: str, system: System) -> None:
        """Variables that stand for themselves."""
        for name in system:
            self.images[tag + name] = _sum_of([tag + name])
            self.field.at[tag + name] = _residue(self.field.prime, tag + name)

    def follow(self, tag: str, functions: Functions) -> list[Hint]:
        """Hints for all functions on one side."""
        result = []
        for name, function in functions.items():
            arguments = [
                _substituted(tag_names(p, tag), self.images, self.budget)
                for p in function.arguments
            ]
            symbol = tag + name
            one = self._inverse if function.name == "inverse" else self._function
            hint, image = one(symbol, function.name, arguments)
            self.images[symbol] = image
            result.append(hint)
        return result

    def _function(self, symbol: str, name: str, u: list[Polynomial]) -> tuple[Hint, Polynomial]:
        if name == "power" and u and self._equal(u[0], _ONE):
            return Hint("Fact"), _ONE
        for argument, known in ((_ONE, _AT_ONE), ({}, _AT_ZERO)) if len(u) == 1 else ():
            if name in known and self._equal(u[0], argument):
                return Hint("Fact"), _ONE if known[name] else {}
        values = tuple(map(self.field.value, u))
        if (name, values) not in self.alike and (whole := self._whole_power(name, u, values)):
            return whole
        parity = _PARITY.get(name, 0) if len(u) == 1 else 0
        opposite = tuple(-v % self.field.prime for v in values)
        if (name, values) in self.alike:
            other = self.alike[name, values]
            return Hint("Like", symbol=other), _sum_of([other])
        if parity and (name, opposite) in self.alike:
            other = self.alike[name, opposite]
            return Hint("Opposite", symbol=other), {((other, 1),): Fraction(parity)}
        self.alike[name, values] = symbol
        return self._fresh(symbol, _residue(self.field.prime, symbol))

    def _whole_power(
        self, name: str, u: list[Polynomial], values: tuple[int, ...]
    ) -> tuple[Hint, Polynomial] | None:
        """A product, or a product of inverses if the inverse of the base is known."""
        n = self.field.exponent(name, list(values)) if name == "power" else None
        if n is None or not self._equal(u[1], {(): Fraction(n)} if n else {}):
            return None
        base = self._inverse_of(u[0])[0] if n < 0 else u[0]
        if base is None:
            self.unused = True
            return None
        image = _ONE
        for _ in range(abs(n)):
            image = _product(image, base, self.budget)
        return Hint("Whole", polynomial=image, exponent=n), image

    def _fresh(self, symbol: str, value: int) -> tuple[Hint, Polynomial]:
        self.field.at[symbol] = value
        return Hint("Fresh"), _sum_of([symbol])

    def _inverse(self, symbol: str, name: str, u: list[Polynomial]) -> tuple[Hint, Polynomial]:
        image, monic, leading, powers = self._inverse_of(u[0])
        if image is not None:
            return Hint("Is", polynomial=image), image
        self.inverses[monic] = symbol, leading, powers
        self.rank[symbol] = len(self.below)
        self.below[symbol] = u[0]
        value = self.field.value(u[0])
        return self._fresh(symbol, pow(value, -1, self.field.prime) if value else 0)

    def _inverse_of(self, u: Polynomial) -> tuple[Polynomial | None, Monic, Fraction, Denominators]:
        """The inverse of a numerator over denominators, if one before it has the same numerator; and these."""
        above, powers = self._cleared(u)
        if not above:
            raise Rejected("a denominator is 0 where variables are replaced")
        leading = above[min(above)]
        monic = frozenset((m, v / leading) for m, v in above.items())
        if len(above) == 1 and () in above:  # 1/u = Π d^e / leading
            image = self._with_denominators({(): 1 / leading}, powers)
        elif monic in self.inverses:
            other, factor, under = self.inverses[monic]
            exponents = dict(powers)
            for inverse, power in under.items():
                exponents[inverse] = exponents.get(inverse, 0) - power
            image = self._with_denominators({((other, 1),): factor / leading}, exponents)
        else:
            image = None
        return image, monic, leading, powers

    def _with_denominators(self, p: Polynomial, powers: Mapping[str, int]) -> Polynomial:
        """A product with powers of denominators; where they are negative, of their inverses."""
        for inverse, power in powers.items():
            factor = self.below[inverse] if power > 0 else _sum_of([inverse])
            for _ in range(abs(power)):
                p = _product(p, factor, self.budget)
        return p

    def _cleared(self, p: Polynomial) -> tuple[Polynomial, dict[str, int]]:
        """The numerator: p times powers of denominators, the last first, until no inverse is left."""
        powers: dict[str, int] = {}
        while inverses := {v for m in p for v, _ in m if v in self.below}:
            last = max(inverses, key=self.rank.__getitem__)
            parts: dict[int, Polynomial] = {}
            for monomial, value in p.items():
                rest = tuple(f for f in monomial if f[0] != last)
                parts.setdefault(dict(monomial).get(last, 0), {})[rest] = value
            powers[last] = max(parts)
            p = {}
            for power, part in parts.items():
                missing = {last: powers[last] - power}
                for monomial, value in self._with_denominators(part, missing).items():
                    add_term(p, monomial, value)
        return p, powers

    def _equal(self, left: Polynomial, right: Polynomial) -> bool:
        difference = dict(left)
        for monomial, value in right.items():
            add_term(difference, monomial, -value)
        return not difference or not self._cleared(difference)[0]
