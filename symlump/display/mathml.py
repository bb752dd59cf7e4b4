"""Systems as MathML, which browsers draw without any library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from symlump.ode.notation import Term, count_text, number_text
from symlump.ode.printing import equation_terms

if TYPE_CHECKING:
    from symlump.ode.system import ODE

#: Functions inside functions are shown so deep, and so many terms of their arguments.
_MAX_DEPTH, _MAX_TERMS = 6, 8


def name_mathml(name: str, style: str = "", dotted: bool = False) -> str:
    """A variable; digits and what follows an underscore become subscripts.

    Parameters
    ----------
    name : str
    style : str
        CSS, such as "color:#007055".
    dotted : bool
        Whether its derivative is meant: a dot over the letter.

    Returns
    -------
    str

    Examples
    --------
    >>> name_mathml("x12")
    '<msub><mi>x</mi><mn>12</mn></msub>'
    >>> name_mathml("x12", dotted=True)
    '<msub><mover accent="true"><mi>x</mi><mo>˙</mo></mover><mn>12</mn></msub>'
    """
    attribute = f' style="{escape(style)}"' if style else ""
    plain = re.fullmatch(r"([A-Za-z]+)(\d[\d_]*|_\w+)", name)
    stem = f"<mi>{escape(plain[1] if plain else name)}</mi>"
    if dotted:
        stem = f'<mover accent="true">{stem}<mo>˙</mo></mover>'
    if plain is None:
        return f"<mrow{attribute}>{stem}</mrow>" if attribute else stem
    rest = plain[2].strip("_").replace("_", ",")
    kind = "mn" if rest.replace(",", "").isdigit() else "mi"
    return f"<msub{attribute}>{stem}<{kind}>{escape(rest)}</{kind}></msub>"


def system_mathml(
    ode: ODE,
    max_equations: int = 20,
    max_terms: int = 10,
    styles: Sequence[str] | None = None,
) -> str:
    """The first equations as a table of MathML.

    Parameters
    ----------
    ode : ODE
    max_equations, max_terms : int
        What is beyond is counted, not shown.
    styles : sequence of str, optional
        CSS for each variable, such as "color:#0072B2".
    """
    written = [
        name_mathml(name, "" if styles is None else styles[i])
        for i, name in enumerate(ode.variables)
    ]
    symbols = _Symbols(ode, written)
    rows = []
    for i in range(min(len(ode), max_equations)):
        right = symbols.sum(*equation_terms(ode, i, max_terms))
        style = "" if styles is None else styles[i]
        if ode.discrete:
            left = f"<msup><mrow>{written[i]}</mrow><mo>+</mo></msup>"
        else:
            left = name_mathml(ode.variables[i], style, dotted=True)
        rows.append(
            f'<mtr><mtd style="text-align:right">{left}</mtd><mtd><mo>=</mo></mtd>'
            f'<mtd style="text-align:left">{right}</mtd></mtr>'
        )
    table = f'<math display="block"><mtable>{"".join(rows)}</mtable></math>'
    hidden = len(ode) - max_equations
    more = f"<p>… {count_text(hidden, 'more equation')}</p>"
    return table + (more if hidden > 0 else "")


class _Symbols:
    """Variables and functions of them: 1/d below a line, powers above it, others by their names."""

    def __init__(self, ode: ODE, written: Sequence[str]) -> None:
        self._written, self._generators, self._first = written, ode.generators, len(ode)

    def sum(self, terms: Sequence[Term], total: int, depth: int = 0) -> str:
        """A sum, of which some terms are given."""
        parts: list[str] = []
        for factors, value in terms:
            sign = "<mo>−</mo>" if value < 0 else ("<mo>+</mo>" if parts else "")
            above = [self._power(s, e, depth) for s, e in factors if not self._is_inverse(s)]
            below = [self._power(s, e, depth) for s, e in factors if self._is_inverse(s)]
            number = number_text(abs(value))
            if number != "1" or not above:
                above.insert(0, _number(number))
            whole = "".join(above)
            if below:
                whole = f"<mfrac><mrow>{whole}</mrow><mrow>{''.join(below)}</mrow></mfrac>"
            parts.append(sign + whole)
        if total > len(terms):
            parts.append(f"<mo>+</mo><mtext>… ({total - len(terms)} more)</mtext>")
        return "".join(parts) or "<mn>0</mn>"

    def _is_inverse(self, s: int) -> bool:
        generators, k = self._generators, s - self._first
        return generators is not None and k >= 0 and generators.functions[k] == "inverse"

    def _power(self, s: int, exponent: int, depth: int) -> str:
        """A power of a symbol; of 1/d that of d."""
        body = self._symbol(s, depth)
        return body if exponent == 1 else f"<msup><mrow>{body}</mrow><mn>{exponent}</mn></msup>"

    def _symbol(self, s: int, depth: int) -> str:
        if s < self._first:
            return self._written[s]
        if depth > _MAX_DEPTH:
            return "<mo>…</mo>"
        assert self._generators is not None
        k = s - self._first
        name, u = self._generators.functions[k], self._generators.arguments_of(k)
        inside = [self.sum(list(p.items())[:_MAX_TERMS], len(p), depth + 1) for p in u]
        if name == "time":
            return "<mi>t</mi>"
        if name == "inverse":
            return f"<mrow><mo>(</mo>{inside[0]}<mo>)</mo></mrow>"
        if name == "power":
            base = f"<mrow><mo>(</mo>{inside[0]}<mo>)</mo></mrow>"
            return f"<msup>{base}<mrow>{inside[1]}</mrow></msup>"
        arguments = "<mo>,</mo>".join(inside)
        return f"<mi>{escape(name)}</mi>" + (f"<mo>(</mo>{arguments}<mo>)</mo>" if u else "")


def _number(text: str) -> str:
    numerator, slash, denominator = text.partition("/")
    if slash:
        return f"<mfrac><mn>{numerator}</mn><mn>{denominator}</mn></mfrac>"
    return f"<mn>{escape(text)}</mn>"
