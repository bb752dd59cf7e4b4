"""Observables with irrational coefficients are refused by the field that these lie in.

A lumping has rational coefficients. With a form over a field such as Q(√2) it keeps the forms with conjugate
coefficients, too, hence its parts with rational coefficients: x and y, where it keeps √2·x + y.
"""

from __future__ import annotations

import re
from typing import Any

from symlump.errors import MethodError

#: Roots of whole numbers in text: sqrt(2), 2^(1/3), 2**(1/3).
_ROOT = re.compile(
    r"sqrt\(\s*(?P<under>\d+)\s*\)|(?P<base>\d+)\s*(?:\^|\*\*)\s*\(\s*1\s*/\s*(?P<degree>\d+)\s*\)"
)


def field_of(number: Any) -> str | None:
    """The field that the radicals of a sympy expression generate; None where it has none.

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> field_of(sympy.sqrt(8)*x + sympy.I*y), field_of(x/2 + 2*y)
    ('Q(i, √2)', None)
    """
    found = _radicals(number)
    return f"Q({', '.join(sorted(found))})" if found else None


def refusal(observable: Any, imaginary: bool = False) -> MethodError | None:
    """The error for an observable with radicals among its coefficients, a text or of sympy; None for others.

    Of a text, ``imaginary`` says that I in it is no variable.

    Examples
    --------
    >>> print(refusal("sqrt(2)*x + y"))  # doctest: +ELLIPSIS
    the observable sqrt(2)*x + y has coefficients in Q(√2), and lumpings have rational ones. ...
    """
    whole = observable
    if isinstance(observable, str):
        import sympy

        whole = sympy.Add(
            *(
                sympy.root(int(root["under"] or root["base"]), int(root["degree"] or 2))
                * sympy.Dummy()
                for root in _ROOT.finditer(observable)
            ),
            sympy.I * int(imaginary) * sympy.Dummy(),
        )
    field = field_of(whole)
    if field is None:
        return None
    return MethodError(
        f"the observable {observable} has coefficients in {field}, and lumpings have rational ones. One that "
        "keeps it keeps its parts with rational coefficients: name these instead, as x and y for sqrt(2)*x + y"
    )


def _radicals(expression: Any) -> set[str]:
    """Generators of its field: i, and roots of what is no further root."""
    import sympy

    if expression is sympy.I:
        return {"i"}
    root = isinstance(expression, sympy.Pow) and expression.exp.is_Rational
    if root and expression.exp.q > 1 and expression.is_algebraic and not expression.is_rational:
        base, degree = expression.base, expression.exp.q
        under = str(base) if base.is_Integer and base > 0 else f"({base})"
        return {f"√{under}" if degree == 2 else f"{under}^(1/{degree})"}
    found: set[str] = set()
    return found.union(*map(_radicals, getattr(expression, "args", ())))
