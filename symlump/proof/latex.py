"""Formulas and words of a proof as TeX takes them, whatever the names are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from symlump.ode.notation import SPELLED_OUT, name_latex

if TYPE_CHECKING:
    import sympy

#: Names that sympy writes as it should: letters and digits, also with primes, as derivatives have.
_PLAIN_FUNCTION = re.compile(r"[A-Za-z0-9]+'*[0-9]*\Z")


def write_latex(expression: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> str:
    """A formula; its functions may have any names.

    Examples
    --------
    >>> import sympy
    >>> x, rate = sympy.Symbol("x"), sympy.Function("rate_5%")
    >>> print(write_latex(2 * rate(x) ** 2, {x: "x_{1}"}))
    2 \\text{rate\\_5\\%}^{2}{\\left(x_{1} \\right)}
    """
    from sympy.printing.latex import LatexPrinter

    class Printer(LatexPrinter):  # type: ignore[misc]
        """Function names are text, with % doubled: what is made of them is a template."""

        def _hprint_Function(self, func: str) -> str:
            if _PLAIN_FUNCTION.match(func):
                return str(super()._hprint_Function(func))
            return name_latex(func).replace("%", "%%")

    return str(Printer({"symbol_names": dict(names)}).doprint(expression))


#: Characters of LaTeX in one line.
WIDTH = 100


def list_latex(items: Sequence[str], width: int = WIDTH) -> str:
    """Formulas one after the other, on several lines where that is long.

    Examples
    --------
    >>> print(list_latex(["x", "y"]))
    x,\\quad y
    >>> print(list_latex(["x", "y", "z"], width=9))
    \\begin{gathered}x,\\quad y, \\\\ z\\end{gathered}
    """
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) > width:
            lines.append("")
        lines[-1] += (r",\quad " if lines[-1] else "") + item
    if len(lines) == 1:
        return lines[0]
    return r"\begin{gathered}" + r", \\ ".join(lines) + r"\end{gathered}"


def break_sum(latex: str, width: int = WIDTH) -> str:
    """A sum inside ``aligned``, with a new line before a summand where it is long.

    Parameters
    ----------
    latex : str
    width : int
        Characters of LaTeX, after which a line ends.

    Examples
    --------
    >>> print(break_sum(r"x + \\left(y - z\\right) - 2", width=5))
    x + \\left(y - z\\right) \\\\ &\\quad - 2
    """
    lines, depth, start = [], 0, 0
    for found in re.finditer(r"[{}]|\\left\b|\\right\b| [+-] ", latex):
        if found[0][0] != " ":
            depth += 1 if found[0] in ("{", r"\left") else -1
        elif depth == 0 and found.start() - start >= width:
            lines.append(latex[start : found.start()])
            start = found.start() + 1
    return r" \\ &\quad ".join([*lines, latex[start:]])


def display_formula(latex: str) -> str:
    """A formula on lines of its own; a page may end between lines of it.

    Examples
    --------
    >>> print(display_formula("x = y"))
    \\[ x = y \\]
    """
    found = re.fullmatch(r"\\begin\{(align|gather)ed\}(.*)\\end\{\1ed\}", latex, re.DOTALL)
    if found is None:
        return rf"\[ {latex} \]"
    kind, lines = found.groups()
    return rf"{{\allowdisplaybreaks\begin{{{kind}*}}{lines}\end{{{kind}*}}}}"


def spell_out(text: str) -> str:
    """LaTeX in which pdfTeX knows each character, Greek letters for one; not those of other scripts.

    Examples
    --------
    >>> print(spell_out("α + é"))
    \\ensuremath{\\alpha} + é
    """
    return "".join(rf"\ensuremath{{{SPELLED_OUT[c]}}}" if c in SPELLED_OUT else c for c in text)
