"""Numbers in the files of chains: decimals and ``p/q``."""

from __future__ import annotations

import re
from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.formats import numerals
from symlump.formats.expression import NUMBER

PATTERN = re.compile(rf"-?{NUMBER}(?:/[0-9]+)?")


def written_number(text: str) -> Fraction:
    """A decimal or ``p/q``, exactly."""
    if not PATTERN.fullmatch(text):
        raise FileFormatError("this is not a number")
    top, _, bottom = text.lstrip("-").partition("/")
    divisor = numerals.number(bottom) if bottom else Fraction(1)
    if not divisor:
        raise FileFormatError("division by zero")
    value = numerals.number(top) / divisor
    return -value if text.startswith("-") else value
