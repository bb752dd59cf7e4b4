"""Systems as text and as LaTeX, bounded in size whatever the system."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor, log10
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from symlump.ode.system import ODE

#: The factors of a monomial, (variable, power), and its coefficient.
Term = tuple[tuple[tuple[int, int], ...], Fraction]

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*\Z")
_CUT_NUMBER = re.compile(r"\d…")
_ESCAPES = {c: "\\" + c for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def number_text(value: Fraction, digits: int = 6) -> str:
    """A rational for reading: p/q where that is short, else a decimal, "…" where it is cut.

    Examples
    --------
    >>> number_text(Fraction(-3)), number_text(Fraction(2, 3)), number_text(Fraction(0.1))
    ('-3', '2/3', '0.1')
    >>> number_text(Fraction(1234567890123, 1234567))
    '1.00000e+06…'
    """
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value.numerator)
    if value.denominator <= 9999 and abs(value.numerator) < 10**9:
        return f"{value.numerator}/{value.denominator}"
    try:
        nearest = float(value)
    except OverflowError:
        # not by str(), which refuses integers of thousands of digits
        power = floor(log10(abs(value.numerator)) - log10(value.denominator))
        return ("-" if value < 0 else "") + f"≈10^{power}"
    short = f"{nearest:.{digits}g}"
    if Fraction(nearest) == value and float(short) == nearest:
        return short
    return f"{nearest:#.{digits}g}…"


def number_latex(value: Fraction, digits: int = 6) -> str:
    """The same number in LaTeX."""
    text = number_text(value, digits)
    if "/" in text:
        sign = "-" if value < 0 else ""
        return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    cut = text.endswith("…")
    text = text.rstrip("…")
    if "e" in text:
        mantissa, exponent = text.split("e")
        text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return text + (r"\ldots" if cut else "")


def name_latex(name: str) -> str:
    """A variable name in LaTeX; digits and underscores become subscripts."""
    if _PLAIN_NAME.match(name):
        head, *rest = name.split("_")
        split = re.match(r"([A-Za-z]+)(\d*)\Z", head)
        if split:
            stem, digits = split.groups()
            stem = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
            subscript = ",".join(([digits] if digits else []) + rest)
            return f"{stem}_{{{subscript}}}" if subscript else stem
    return r"\text{" + "".join(_ESCAPES.get(c, c) for c in name) + "}"


def left_text(name: str, discrete: bool = False) -> str:
    """What stands on the left of an equation: the derivative, or in discrete time the next value.

    Examples
    --------
    >>> left_text("x"), left_text("x", discrete=True)
    ("x'", 'x⁺')
    """
    return name + ("⁺" if discrete else "'")


def left_latex(latex: str, discrete: bool = False) -> str:
    """The same in LaTeX, of a name in LaTeX."""
    return f"{{{latex}}}^{{+}}" if discrete else rf"\dot{{{latex}}}"


def system_text(ode: ODE, max_equations: int, max_terms: int, digits: int) -> str:
    """One equation a line, and where a number is not shown to its end, a line that says so."""
    width = max((len(ode.variables[i]) for i in _shown(len(ode), max_equations)), default=0)
    lines = [
        f"{left_text(ode.variables[i], ode.discrete):<{width + 1}} = "
        + equation_text(ode, i, max_terms, digits)
        for i in _shown(len(ode), max_equations)
    ]
    lines = _with_gap(lines, len(ode), max_equations, "… {} more equations")
    if any(map(_CUT_NUMBER.search, lines)):
        lines.append(f"(numbers with … are rounded to {digits} digits here, not in the system)")
    return "\n".join(lines)


def equation_text(ode: ODE, i: int, max_terms: int = 12, digits: int = 6) -> str:
    """The right-hand side of one equation."""
    return sum_text(ode, *equation_terms(ode, i, max_terms), digits=digits)


def equation_latex(
    ode: ODE,
    i: int,
    max_terms: int = 12,
    digits: int = 6,
    written: Sequence[str] | None = None,
) -> str:
    """The right-hand side of one equation in LaTeX."""
    return sum_text(ode, *equation_terms(ode, i, max_terms), True, digits, written)


def sum_text(
    ode: ODE,
    terms: Sequence[Term],
    total: int,
    latex: bool = False,
    digits: int = 6,
    written: Sequence[str] | None = None,
) -> str:
    """A sum of terms in the symbols of a system, functions written out."""
    if ode.generators is None:
        return signed_sum(terms, total, ode.variables, latex, digits, written)
    from symlump.ode.functions.printing import FunctionWriter

    return FunctionWriter(ode, latex, digits, written).sum(terms, total)


def system_latex(
    ode: ODE,
    max_equations: int,
    max_terms: int,
    digits: int,
    written: Sequence[str] | None = None,
) -> str:
    """An ``aligned`` block; ``written`` says how each variable is written, if not by its name."""
    lines = [
        left_latex(written[i] if written else name_latex(ode.variables[i]), ode.discrete)
        + " &= "
        + equation_latex(ode, i, max_terms, digits, written)
        for i in _shown(len(ode), max_equations)
    ]
    gap = r"&\;\;\vdots \quad (\text{{{} more equations}})"
    lines = _with_gap(lines, len(ode), max_equations, gap)
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _shown(count: int, limit: int) -> list[int]:
    """The first and last positions that fit in the limit."""
    if count <= limit:
        return list(range(count))
    tail = limit // 4
    return list(range(limit - tail)) + list(range(count - tail, count))


def _with_gap(lines: list[str], count: int, limit: int, gap: str) -> list[str]:
    if count <= limit:
        return lines
    tail = limit // 4
    return [*lines[: limit - tail], gap.format(count - limit), *lines[limit - tail :]]


def equation_terms(ode: ODE, row: int, limit: int) -> tuple[list[Term], int]:
    """The first terms of an equation, and how many it has."""
    if ode.discrete and ode.variables[row] in ode.parameters:
        return [(((row, 1),), Fraction(1))], 1
    first, last = (int(t) for t in np.searchsorted(ode.rows, [row, row + 1]))
    shown = range(first, min(last, first + limit))
    terms = [
        (tuple(ode.monomials.factors(int(ode.columns[t]))), ode.coefficients[t]) for t in shown
    ]
    return terms, last - first


def signed_sum(
    terms: Sequence[Term],
    total: int,
    variables: Sequence[str],
    latex: bool = False,
    digits: int = 6,
    written: Sequence[str] | None = None,
) -> str:
    """A sum of terms, "… more" where there are more of them than are given.

    Examples
    --------
    >>> signed_sum([(((0, 1),), Fraction(-1)), (((0, 2), (1, 1)), Fraction(3))], 5, ["x", "y"])
    '-x + 3*x^2*y + … (3 more)'
    """
    name = name_latex if latex else str
    number, times, power, _ = style(latex)
    parts = []
    for monomial, value in terms:
        names = [(written[v] if written else name(variables[v]), e) for v, e in monomial]
        factors = [text if e == 1 else power.format(text, e) for text, e in names]
        shown = number(abs(value), digits)
        body = times.join(factors if shown == "1" and factors else [shown, *factors])
        parts.append((body, value < 0))
    return joined(parts, total, latex)


def style(latex: bool) -> tuple[Callable[[Fraction, int], str], str, str, str]:
    """How numbers, products, powers and "n more" are written."""
    if latex:
        return number_latex, r"\,", "{}^{{{}}}", r"\ldots\;(\text{{{} more}})"
    return number_text, "*", "{}^{}", "… ({} more)"


def joined(parts: Sequence[tuple[str, bool]], total: int, latex: bool) -> str:
    """A sum of (text, is negative), and how many terms are left out."""
    words: list[str] = []
    for body, negative in parts:
        sign = "-" if negative else "+"
        words.append(f"{sign} {body}" if words else (f"-{body}" if negative else body))
    if total > len(parts):
        words.append("+ " + style(latex)[3].format(total - len(parts)))
    return " ".join(words) or "0"
