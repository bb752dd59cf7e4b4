"""Systems as MathML, which browsers draw without any library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from symlump.ode.printing import equation_terms, number_text

if TYPE_CHECKING:
    from symlump.ode.system import ODE


def name_mathml(name: str, style: str = "") -> str:
    """A variable; digits and what follows an underscore become subscripts.

    Examples
    --------
    >>> name_mathml("x12")
    '<msub><mi>x</mi><mn>12</mn></msub>'
    """
    attribute = f' style="{escape(style)}"' if style else ""
    plain = re.fullmatch(r"([A-Za-z]+)(\d[\d_]*|_\w+)", name)
    if plain is None:
        return f"<mi{attribute}>{escape(name)}</mi>"
    stem, rest = plain[1], plain[2].strip("_").replace("_", ",")
    kind = "mn" if rest.replace(",", "").isdigit() else "mi"
    return f"<msub{attribute}><mi>{escape(stem)}</mi><{kind}>{escape(rest)}</{kind}></msub>"


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
    rows = []
    for i in range(min(len(ode), max_equations)):
        terms, total = equation_terms(ode, i, max_terms)
        parts: list[str] = []
        for factors, value in terms:
            sign = "<mo>−</mo>" if value < 0 else ("<mo>+</mo>" if parts else "")
            number = number_text(abs(value))
            body = [] if number == "1" and factors else [_number(number)]
            body += [
                written[v] if e == 1 else f"<msup><mrow>{written[v]}</mrow><mn>{e}</mn></msup>"
                for v, e in factors
            ]
            parts.append(sign + "".join(body))
        if total > len(terms):
            parts.append(f"<mo>+</mo><mtext>… ({total - len(terms)} more)</mtext>")
        right = "".join(parts) or "<mn>0</mn>"
        left = f"<mover><mrow>{written[i]}</mrow><mo>˙</mo></mover>"
        rows.append(
            f'<mtr><mtd style="text-align:right">{left}</mtd><mtd><mo>=</mo></mtd>'
            f'<mtd style="text-align:left">{right}</mtd></mtr>'
        )
    table = f'<math display="block"><mtable>{"".join(rows)}</mtable></math>'
    hidden = len(ode) - max_equations
    return table + (f"<p>… {hidden} more equations</p>" if hidden > 0 else "")


def _number(text: str) -> str:
    numerator, slash, denominator = text.partition("/")
    if slash:
        return f"<mfrac><mn>{numerator}</mn><mn>{denominator}</mn></mfrac>"
    return f"<mn>{escape(text)}</mn>"
