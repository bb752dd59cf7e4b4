"""Expressions as MathML, with exact numbers only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.formats.flat import Expression, evaluate
from symlump.formats.numerals import fraction_text, shortest_decimal
from symlump.formats.sbml.math import OPERATORS
from symlump.formats.source import quote

#: Operators that only version 2 of level 3 has.
LATER = frozenset({"max", "min", "quotient", "rem", "implies"})
MAX_LENGTH = 2**28

_MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'
_TIME = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol>'
_TAGS = {operator: tag for tag, operator in OPERATORS.items()}
_INTEGER = 2**31  # what readers of integers and rationals in MathML hold
_DIGITS = 15  # so many come back from a double as they are


def elements(identifiers: Mapping[str, str]) -> dict[str, str]:
    """The elements ``ci`` of names, by their identifiers.

    Examples
    --------
    >>> elements({"x": "s1"})
    {'x': '<ci>s1</ci>'}
    """
    return {name: f"<ci>{identifier}</ci>" for name, identifier in identifiers.items()}


def mathml(expression: Expression, names: Mapping[str, str]) -> tuple[str, set[str]]:
    """The element ``math`` of an expression, from the elements of names, and the operators in it.

    Raises
    ------
    FileFormatError
        If a number or an operator cannot be written, or the result is longer than 256 MiB.

    Examples
    --------
    >>> text, operators = mathml("x", elements({"x": "s1"}))
    >>> text.removeprefix('<math xmlns="http://www.w3.org/1998/Math/MathML">')
    '<ci>s1</ci></math>'
    """
    writer = _Writer()
    return _MATH.format(evaluate(expression, names, writer)), writer.operators


def double(value: Fraction) -> str | None:
    """The decimal that a reader of doubles turns back into this number, if there is one."""
    text = shortest_decimal(value)
    return None if text is None else text.removesuffix(".0")


def number(value: Fraction) -> str:
    """A number as MathML: a double, a rational of machine integers, or a sum or quotient of such, exactly.

    Examples
    --------
    >>> number(Fraction(1, 2)), number(Fraction(-1, 3))
    ('<cn>0.5</cn>', '<cn type="rational">-1<sep/>3</cn>')
    >>> number(Fraction(10**18 + 1))
    '<apply><plus/><cn>1</cn><cn type="e-notation">1<sep/>18</cn></apply>'
    """
    text = double(value)
    if text is not None:
        mantissa, _, exponent = text.partition("e")
        if exponent:
            return f'<cn type="e-notation">{mantissa}<sep/>{int(exponent)}</cn>'
        return f"<cn>{text}</cn>"
    top, bottom = value.as_integer_ratio()
    if abs(top) < _INTEGER and bottom < _INTEGER:
        return f'<cn type="rational">{top}<sep/>{bottom}</cn>'
    if value < 0:
        return f"<apply><minus/>{number(-value)}</apply>"
    if max(top.bit_length(), bottom.bit_length()) > 1000:  # beyond what a double reaches
        raise FileFormatError(
            f"SBML cannot hold the number {quote(fraction_text(value), 40)} exactly; "
            "write another format"
        )
    if bottom == 1:
        high, low = divmod(top, 10**_DIGITS)
        pieces = [number(Fraction(low))] if low else []
        power = _DIGITS
        while high:
            high, low = divmod(high, 10**_DIGITS)
            if low:
                pieces.append(number(Fraction(low * 10**power)))
            power += _DIGITS
        return f"<apply><plus/>{''.join(pieces)}</apply>"
    return f"<apply><divide/>{number(Fraction(top))}{number(Fraction(bottom))}</apply>"


class _Writer:
    """The arithmetic that writes MathML, and remembers which operators it wrote."""

    def __init__(self) -> None:
        self.operators: set[str] = set()
        self.length = 0

    def begin(self) -> None:
        """Nothing is counted."""

    def number(self, value: Fraction) -> str:
        """A number."""
        return number(value)

    def copy(self, value: str) -> str:
        """A text is not changed by anyone."""
        return value

    def truth(self, value: str) -> bool | None:
        """Nothing is decided."""
        return None

    def apply(self, operator: str, arguments: Sequence[str], place: Hashable = None) -> str:
        """The element of an operation."""
        self.operators.add(operator)
        result = self._element(operator, list(arguments))
        self.length += len(result)
        if self.length > MAX_LENGTH:
            raise FileFormatError(
                "the equations are too long once functions are put in where they occur"
            )
        return result

    def _element(self, operator: str, u: list[str]) -> str:
        if operator == "time":
            return _TIME
        if operator == "pi":
            return "<pi/>"
        if operator in ("true", "false"):
            return f"<{operator}/>"
        if operator == "piecewise":
            pieces = [f"<piece>{a}{b}</piece>" for a, b in zip(u[::2], u[1::2], strict=False)]
            rest = [f"<otherwise>{u[-1]}</otherwise>"] if len(u) % 2 else []
            return f"<piecewise>{''.join(pieces + rest)}</piecewise>"
        if operator in ("sqrt", "root"):
            degree = f"<degree>{u[0]}</degree>" if operator == "root" else ""
            return f"<apply><root/>{degree}{u[-1]}</apply>"
        if operator in _LOGARITHMS:
            base = u[0] if operator == "log" else _LOGARITHMS[operator]
            return f"<apply><log/><logbase>{base}</logbase>{u[-1]}</apply>"
        if operator == "sqr":
            return f"<apply><power/>{u[0]}<cn>2</cn></apply>"
        if operator == "sign":
            zero = "<cn>0</cn>"
            conditions = [f"<apply><{tag}/>{u[0]}{zero}</apply>" for tag in ("gt", "lt")]
            signs = ["<cn>1</cn>", conditions[0], "<cn>-1</cn>", conditions[1], zero]
            return self._element("piecewise", signs)
        if operator == "mod":
            quotient = f"<apply><floor/><apply><divide/>{u[0]}{u[1]}</apply></apply>"
            return f"<apply><minus/>{u[0]}<apply><times/>{u[1]}{quotient}</apply></apply>"
        if operator not in _TAGS:
            raise FileFormatError(f"an SBML file cannot hold the function {operator}")
        return f"<apply><{_TAGS[operator]}/>{''.join(u)}</apply>"


_LOGARITHMS = {"log": "", "log2": "<cn>2</cn>", "log10": "<cn>10</cn>"}
