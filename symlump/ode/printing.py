"""Systems as text and as LaTeX, bounded in size whatever the system."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.notation import Term, count_text, left_latex, left_text, name_latex, signed_sum

if TYPE_CHECKING:
    from symlump.ode.system import ODE

_CUT_NUMBER = re.compile(r"\d…")


def system_text(ode: ODE, max_equations: int, max_terms: int, digits: int) -> str:
    """One equation a line, and where a number is not shown to its end, a line that says so."""
    width = max((len(ode.variables[i]) for i in _shown(len(ode), max_equations)), default=0)
    lines = [
        f"{left_text(ode.variables[i], ode.discrete):<{width + 1}} = "
        + equation_text(ode, i, max_terms, digits)
        for i in _shown(len(ode), max_equations)
    ]
    lines = _with_gap(lines, len(ode), max_equations, "… {}")
    if any(map(_CUT_NUMBER.search, lines)):
        lines.append(f"(numbers with … are rounded to {digits} digits here, not in the system)")
    return "\n".join(lines)


def equation_text(ode: ODE, i: int, max_terms: int = 12, digits: int = 6) -> str:
    """The right-hand side of one equation."""
    return sum_text(ode, *equation_terms(ode, i, max_terms), digits=digits)


def whole_equations(
    ode: ODE, names: Sequence[str], exactly: Callable[[Fraction], str]
) -> list[str]:
    """All right-hand sides, with all their terms and digits.

    Parameters
    ----------
    ode : ODE
    names : sequence of str
        How each variable is written.
    exactly : callable
        Writes a number.

    Examples
    --------
    >>> import symlump as sl
    >>> whole_equations(sl.ODE.from_text("x' = -x/3 + y; y' = 1/(1 + x)"), ["u", "v"], str)
    ['-1/3*u + v', '1/(1 + u)']
    """
    sums = [equation_terms(ode, i, ode.terms) for i in range(len(ode))]
    if ode.generators is None:
        return [signed_sum(*each, names, written=names, exactly=exactly) for each in sums]
    from symlump.ode.functions.printing import FunctionWriter

    writer = FunctionWriter(ode, False, 0, names, exactly)
    return [writer.sum(*each) for each in sums]


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
    gap = r"&\;\;\vdots \quad (\text{{{}}})"
    lines = _with_gap(lines, len(ode), max_equations, gap)
    # Fractions of neighbouring equations would touch one another.
    end = " \\\\\n" if ode.generators is None else " \\\\[4pt]\n"
    return "\\begin{aligned}\n" + end.join(lines) + "\n\\end{aligned}"


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
    return [
        *lines[: limit - tail],
        gap.format(count_text(count - limit, "more equation")),
        *lines[limit - tail :],
    ]


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
