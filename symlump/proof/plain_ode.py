"""Reading the plain form of ERODE files for the checker: sums of products, standard library only."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any


def read_plain(text: str, max_digits: int) -> dict[str, list[Any]]:
    """The terms of each equation, as in a certificate.

    Raises
    ------
    ValueError
        If it is anything but a plain list of equations.

    Examples
    --------
    >>> read_plain("begin ODE\\n d(x) = -2*x + x*y^2\\n d(y) = 1/3\\nend ODE", 20)
    {'x': [['-2', [['x', 1]]], ['1', [['x', 1], ['y', 2]]]], 'y': [['1/3', []]]}
    """
    text = re.sub(r"//[^\n]*", "", text)
    section, end, _ = text.partition("begin ODE")[2].partition("end ODE")
    if re.search(r"begin\s+(parameters|reactions|alg)", text) or not end or not section.strip():
        raise ValueError("this is more than a plain list of equations")
    system: dict[str, list[Any]] = {}
    for line in filter(None, map(str.strip, section.splitlines())):
        name, _, right = line.partition("=")
        variable = re.fullmatch(r"d\(([^()]+)\)", name.strip())
        right = "".join(right.split())
        pieces = re.findall(r"([+-]?)([^+-]+)", right)
        terms = [_term(sign, product, max_digits) for sign, product in pieces]
        # ERODE reads -x^2 as (-x)^2; and what was left out here is not understood.
        if (
            not variable
            or variable[1].strip() in system
            or not right
            or "".join(map("".join, pieces)) != right
            or re.match(r"-[^*]*\^", right)
            or not all(terms)
        ):
            raise ValueError(f"{line[:60]!r} is not a plain sum")
        system[variable[1].strip()] = terms
    for name, terms in system.items():
        for base in (base for _, factors in terms for base, _ in factors if base not in system):
            raise ValueError(f"{base[:60]!r} in d({name}) is not a variable")
    return system


def _term(sign: str, product: str, max_digits: int) -> list[Any]:
    """A product of numbers and of powers of names, as a term; empty if it is anything else."""
    value, powers = Fraction(-1 if sign == "-" else 1), dict[str, int]()
    for factor in product.split("*"):
        if len(factor) <= max_digits and re.fullmatch(
            r"[0-9]+(\.[0-9]*)?(/0*[1-9][0-9]*)?", factor
        ):
            value *= Fraction(*map(Fraction, factor.split("/")))
            if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * max_digits:
                return []
        elif named := re.fullmatch(r"([^^]+?)(?:\^([1-9][0-9]{0,5}))?", factor):
            powers[named[1]] = powers.get(named[1], 0) + int(named[2] or 1)
        else:
            return []
    text = str(value)
    return (
        [text, [[name, power] for name, power in powers.items()]] if len(text) <= max_digits else []
    )
