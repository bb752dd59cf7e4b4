"""Polynomials as dictionaries: a few terms at a time, exact, with a bounded cost.

The arrays of a system are for millions of terms; expressions are read, substituted and multiplied out term by
term. Whoever wrote an expression may ask for any amount of work, ``(a+b+c+d)^900``, so a product is refused
before it costs more than its budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TypeAlias

from symlump.errors import InputError, UndefinedError

Monomial: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs (symbol, power), sorted by symbol, powers at least 1; () is the constant monomial."""

Polynomial: TypeAlias = dict[Monomial, Fraction]
"""Coefficient of each monomial; no coefficient is zero."""

MAX_DEGREE = 1000
MAX_STEPS = 2_000_000
MAX_BITS = 2**16
_ONE = Fraction(1)


class Budget:
    """Work left for multiplying out, in steps of one factor of one term."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take ``steps``, or refuse what asks for them."""
        self.left -= steps
        if self.left < 0:
            raise InputError(
                f"multiplying this out takes more than {MAX_STEPS} steps; write it with fewer "
                "parentheses or smaller powers"
            )


def constant(value: Fraction | int) -> Polynomial:
    """The polynomial that is a number."""
    return {(): value if isinstance(value, Fraction) else Fraction(value)} if value else {}


def symbol(position: int) -> Polynomial:
    """The polynomial that is one symbol."""
    return {((position, 1),): _ONE}


def constant_of(p: Polynomial) -> Fraction | None:
    """The number that ``p`` is, or None where a symbol occurs."""
    if not p:
        return Fraction(0)
    return p.get(()) if len(p) == 1 else None


def symbols_of(p: Polynomial) -> set[int]:
    """The symbols that occur."""
    return {s for monomial in p for s, _ in monomial}


def check_number(value: Fraction) -> Fraction:
    """The number, refused where it is too long to be of use."""
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise InputError(f"a coefficient has more than {MAX_BITS} bits")
    return value


def add_to(p: Polynomial, q: Polynomial, factor: Fraction = _ONE) -> Polynomial:
    """Add factor·q to p in place."""
    for monomial, value in q.items():
        if factor is not _ONE:
            value = value * factor
        before = p.get(monomial)
        if before is None:
            p[monomial] = value
            continue
        total = check_number(before + value)
        if total:
            p[monomial] = total
        else:
            del p[monomial]
    return p


def add(p: Polynomial, q: Polynomial) -> Polynomial:
    """The sum p + q; uses up both, so that a long sum costs no more than its terms."""
    return add_to(q, p) if len(p) < len(q) else add_to(p, q)


def total(polynomials: Iterable[Polynomial]) -> Polynomial:
    """The sum of polynomials."""
    result: Polynomial = {}
    for p in polynomials:
        add_to(result, p)
    return result


def scale(p: Polynomial, factor: Fraction) -> Polynomial:
    """factor·p."""
    if factor == 1:
        return dict(p)
    return {m: check_number(value * factor) for m, value in p.items()} if factor else {}


def multiply_monomials(a: Monomial, b: Monomial) -> Monomial:
    """a·b, refused above the bound on the degree."""
    if not a:
        return b
    if not b:
        return a
    powers = dict(a)
    for position, power in b:
        powers[position] = powers.get(position, 0) + power
    if sum(powers.values()) > MAX_DEGREE:
        raise InputError(f"a monomial has a degree above {MAX_DEGREE}")
    return tuple(sorted(powers.items()))


def multiply(p: Polynomial, q: Polynomial, budget: Budget) -> Polynomial:
    """p·q, multiplied out.

    Examples
    --------
    >>> x, y = symbol(0), symbol(1)
    >>> multiply(total([x, y]), total([x, scale(y, Fraction(-1))]), Budget())
    {((0, 2),): Fraction(1, 1), ((1, 2),): Fraction(-1, 1)}
    """
    if len(p) == 1 == len(q):  # nearly always: a product of names and numbers
        ((a, x),), ((b, y),) = p.items(), q.items()
        budget.spend(1 + len(a) + len(b))
        return {
            multiply_monomials(a, b): y if x is _ONE else x if y is _ONE else check_number(x * y)
        }
    width = sum(map(len, p)) * len(q) + sum(map(len, q)) * len(p)
    budget.spend(len(p) * len(q) + width)
    result: Polynomial = {}
    for a, x in p.items():
        for b, y in q.items():
            monomial = multiply_monomials(a, b)
            value = y if x is _ONE else x if y is _ONE else x * y
            before = result.get(monomial)
            result[monomial] = check_number(value if before is None else before + value)
    return {monomial: value for monomial, value in result.items() if value}


def power(p: Polynomial, exponent: int, budget: Budget) -> Polynomial:
    """p^exponent for an exponent of 0 or more, multiplied out."""
    if exponent > MAX_DEGREE and any(p):
        raise InputError(f"an exponent above {MAX_DEGREE}; none that large is multiplied out")
    if len(p) == 1:
        ((monomial, value),) = p.items()
        raised = tuple((s, k * exponent) for s, k in monomial) if exponent else ()
        if sum(k for _, k in raised) > MAX_DEGREE:
            raise InputError(f"a monomial has a degree above {MAX_DEGREE}")
        return {raised: power_of_number(value, exponent)}
    if not p:
        return {} if exponent else constant(1)
    # p^k has k + 1 terms then, and takes 5k − 2 steps or more.
    if len(p) == 2 and 5 * exponent**2 > 2 * budget.left:
        budget.spend(budget.left + 1)
    result = constant(1)
    for _ in range(exponent):
        result = multiply(result, p, budget)
    return result


def power_of_number(base: Fraction, exponent: int) -> Fraction:
    """base**exponent, refused where the result would be too long."""
    if not base and exponent < 0:
        raise UndefinedError("division by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base not in (0, 1, -1) and (bits - 1) * abs(exponent) > MAX_BITS:
        raise InputError(f"a power has more than {MAX_BITS} bits")
    if abs(exponent) > 2**62:
        raise InputError("an exponent above 2^62")
    return check_number(Fraction(base**exponent))


def derivative(p: Polynomial, by: int) -> Polynomial:
    """∂p/∂s for one symbol s, all others held."""
    result: Polynomial = {}
    for monomial, value in p.items():
        for at, (s, power) in enumerate(monomial):
            if s == by:
                lowered = ((s, power - 1),) if power > 1 else ()
                rest = monomial[:at] + lowered + monomial[at + 1 :]
                result[rest] = result.get(rest, Fraction(0)) + value * power
    return result
