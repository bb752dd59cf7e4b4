"""Polynomial arithmetic for the readers: a few terms at a time, exact, with a bounded cost.

What a file says in one line may ask for any amount of work, ``(a+b+c+d)^900``. Every operation here
is refused, with the reason, before it costs more than the stated bounds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

from symlump.errors import FileFormatError, NotPolynomialError

Monomial: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs (variable, power), sorted by variable; () is the constant monomial."""

Polynomial: TypeAlias = dict[Monomial, Fraction]
"""Coefficient of each monomial; no coefficient is zero."""

RATIONAL = "rational rate: not polynomial; it divides by an expression that is not constant"
MAX_DEGREE = 1000
MAX_STEPS = 2_000_000
MAX_BITS = 2**16
MAX_EXPONENT_OF_TEN = 10_000
_ONE = Fraction(1)
_CHUNK = 4000  # digits that int() and str() convert at once, below Python's own limit


class Budget:
    """Work left for the expansion of one expression, in steps of one factor of one term."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take ``steps``, or refuse the operation that asks for them."""
        self.left -= steps
        if self.left < 0:
            raise FileFormatError(
                f"expanding this expression takes more than {MAX_STEPS} steps; "
                "write it with fewer parentheses or smaller powers"
            )


def constant(value: Fraction) -> Polynomial:
    """The polynomial that is a number."""
    return {(): value} if value else {}


def variable(position: int) -> Polynomial:
    """The polynomial that is one variable."""
    return {((position, 1),): _ONE}


def constant_of(p: Polynomial) -> Fraction | None:
    """The number that ``p`` is, or None where a variable occurs."""
    if not p:
        return Fraction(0)
    return p.get(()) if len(p) == 1 else None


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise FileFormatError(f"a coefficient has more than {MAX_BITS} bits")
    return value


def add(p: Polynomial, q: Polynomial) -> Polynomial:
    """The sum p + q; uses up both, so that a long sum costs no more than its terms."""
    if len(p) < len(q):
        p, q = q, p
    for monomial, value in q.items():
        if monomial in p:
            total = _checked(p[monomial] + value)
            if total:
                p[monomial] = total
            else:
                del p[monomial]
        else:
            p[monomial] = value
    return p


def negate(p: Polynomial) -> Polynomial:
    """−p."""
    return {monomial: -value for monomial, value in p.items()}


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
        raise FileFormatError(f"a monomial has a degree above {MAX_DEGREE}")
    return tuple(sorted(powers.items()))


def multiply(p: Polynomial, q: Polynomial, budget: Budget) -> Polynomial:
    """p·q."""
    if len(p) == 1 == len(q):  # nearly always: a product of names and numbers
        ((a, x),), ((b, y),) = p.items(), q.items()
        budget.spend(1 + len(a) + len(b))
        value = y if x is _ONE else x if y is _ONE else _checked(x * y)
        return {multiply_monomials(a, b): value}
    width = sum(map(len, p)) * len(q) + sum(map(len, q)) * len(p)
    budget.spend(len(p) * len(q) + width)
    result: Polynomial = {}
    for a, x in p.items():
        for b, y in q.items():
            monomial = multiply_monomials(a, b)
            result[monomial] = _checked(result.get(monomial, 0) + x * y)
    return {monomial: value for monomial, value in result.items() if value}


def divide(p: Polynomial, q: Polynomial) -> Polynomial:
    """p/q for a constant q other than zero.

    Raises
    ------
    NotPolynomialError
        If q is zero or not constant.
    """
    divisor = constant_of(q)
    if divisor is None:
        raise NotPolynomialError(RATIONAL)
    if not divisor:
        raise NotPolynomialError("division by zero")
    return {monomial: _checked(value / divisor) for monomial, value in p.items()}


def power(p: Polynomial, q: Polynomial, budget: Budget) -> Polynomial:
    """The power p^q, for a q that is a nonnegative integer (any integer if p is constant).

    Raises
    ------
    NotPolynomialError
        If the exponent is symbolic, fractional or negative.
    FileFormatError
        If it is above the bound.
    """
    exponent = constant_of(q)
    if exponent is None:
        raise NotPolynomialError("symbolic exponent: not polynomial; an exponent must be a number")
    if exponent.denominator != 1:
        raise NotPolynomialError("fractional exponent: not polynomial")
    base = constant_of(p)
    if base is not None:
        return constant(power_of_number(base, exponent.numerator))
    if exponent < 0:
        raise NotPolynomialError("negative exponent: a rational rate, not polynomial")
    if exponent > MAX_DEGREE:
        raise FileFormatError(f"an exponent above {MAX_DEGREE}; symlump expands none that large")
    times = int(exponent)
    if len(p) == 1:
        ((monomial, value),) = p.items()
        raised = tuple((position, k * times) for position, k in monomial) if times else ()
        if sum(k for _, k in raised) > MAX_DEGREE:
            raise FileFormatError(f"a monomial has a degree above {MAX_DEGREE}")
        return {raised: power_of_number(value, times)}
    result: Polynomial = {(): Fraction(1)}
    for _ in range(times):
        result = multiply(result, p, budget)
    return result


def power_of_number(base: Fraction, exponent: int) -> Fraction:
    """base**exponent, refused where the result would be too long."""
    if not base and exponent < 0:
        raise NotPolynomialError("division by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base not in (0, 1, -1) and (bits - 1) * abs(exponent) > MAX_BITS:
        raise FileFormatError(f"a power has more than {MAX_BITS} bits")
    if abs(exponent) > 2**62:
        raise FileFormatError("an exponent above 2^62")
    return _checked(Fraction(base**exponent))


def number(text: str) -> Fraction:
    """The exact value of a decimal literal: digits, at most one point, an optional exponent.

    Examples
    --------
    >>> number("0.1"), number("2.50e-3")
    (Fraction(1, 10), Fraction(1, 400))
    """
    digits, _, exponent = text.lower().partition("e")
    whole, _, decimals = digits.partition(".")
    if len(exponent) > 8 or (exponent and abs(int(exponent)) > MAX_EXPONENT_OF_TEN):
        raise FileFormatError(f"the exponent of a number is beyond ±{MAX_EXPONENT_OF_TEN}")
    if len(digits) > MAX_BITS // 3:
        raise FileFormatError(f"a number of {len(digits)} digits; at most {MAX_BITS // 3} are read")
    shift = int(exponent or 0) - len(decimals)
    value = Fraction(_integer(whole + decimals))
    return _checked(value * 10**shift if shift >= 0 else value / 10**-shift)


def _integer(digits: str) -> int:
    if len(digits) <= _CHUNK:
        return int(digits)
    value = 0
    for start in range(0, len(digits), _CHUNK):
        chunk = digits[start : start + _CHUNK]
        value = value * 10 ** len(chunk) + int(chunk)
    return value


def integer_text(value: int) -> str:
    """The decimal digits of an integer, however long."""
    if value.bit_length() < 3 * _CHUNK:
        return str(value)
    chunks, rest, base = [], abs(value), 10**_CHUNK
    while rest:
        rest, chunk = divmod(rest, base)
        chunks.append(str(chunk).zfill(_CHUNK))
    return ("-" if value < 0 else "") + "".join(reversed(chunks)).lstrip("0")


def fraction_text(value: Fraction) -> str:
    """A rational as ``p`` or ``p/q``; every format here reads it back exactly."""
    text = integer_text(value.numerator)
    return text if value.denominator == 1 else f"{text}/{integer_text(value.denominator)}"


def decimal_text(value: Fraction) -> str:
    """A decimal where a short one is exact, as other tools expect; else ``p/q``.

    Examples
    --------
    >>> decimal_text(Fraction(1, 8)), decimal_text(Fraction(1, 3))
    ('0.125', '1/3')
    """
    if value.denominator == 1:
        return integer_text(value.numerator)
    return shortest_decimal(value) or fraction_text(value)


def shortest_decimal(value: Fraction) -> str | None:
    """The shortest decimal of a float64 number, if it is exactly this one.

    Examples
    --------
    >>> shortest_decimal(Fraction("162234.6413817237")), shortest_decimal(Fraction(1, 3))
    ('162234.6413817237', None)
    """
    # Beyond this a number has more digits than any float64, which the conversion need not find out.
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 1200:
        return None
    try:
        short = repr(float(value))
    except OverflowError:
        return None
    return short if number(short.lstrip("-")) == abs(value) else None
