"""Numbers as formats write them: exact, however long they are, within a bound."""

from __future__ import annotations

from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.ode.functions.algebra import MAX_BITS, check_number

MAX_EXPONENT_OF_TEN = 10_000
_CHUNK = 4000  # digits that int() and str() convert at once, below Python's own limit


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
    return check_number(value * 10**shift if shift >= 0 else value / 10**-shift)


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
