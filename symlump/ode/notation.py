"""How numbers, names and sums are written, as text and as LaTeX."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import floor, log10

#: The factors of a monomial, (variable, power), and its coefficient.
Term = tuple[tuple[tuple[int, int], ...], Fraction]

_LEAST = 2.3e-308  # below it floats lose digits
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*\Z")

_GREEK = {
    chr(first + number): name
    for first, names in (
        (
            0x3B1,
            "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi o pi rho "
            "varsigma sigma tau upsilon varphi chi psi omega",
        ),
        (
            0x391,
            "A B Gamma Delta E Z H Theta I K Lambda M N Xi O Pi P - Sigma T Upsilon Phi X Psi Omega",
        ),
    )
    for number, name in enumerate(names.split())
    if name != "-"
} | {"ϕ": "phi", "ϵ": "epsilon", "ϑ": "vartheta"}
#: What pdfTeX does not know by itself; it stands in words and in formulas.
SPELLED_OUT = {c: name if len(name) == 1 else "\\" + name for c, name in _GREEK.items()} | {
    "∂": r"\partial",
    "→": r"\to",
    "≠": r"\neq",
    "⁺": "^{+}",
    "′": "'",
    "−": "-",
    "≤": r"\le",
    "·": r"\cdot",
}


_WORDS = (
    {c: f"$\\{c}$" for c in "&%#_{}"} | {c: f"${f}$" for c, f in SPELLED_OUT.items()} | {"–": "--"}
)

_COLOURED = re.compile(r"(\{\\color\{[^{}]*\}\{)(.*)\}\}")
_STEM = re.compile(r"([A-Za-z]|\\mathrm\{[A-Za-z]+\})(_\{[^{}]*\})")

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
    >>> number_text(Fraction(10)**400), number_text(-2 / Fraction(10)**400), number_text(Fraction(2)**2000)
    ('1e+400', '-2e-400', '1.14813e+602…')
    """
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value.numerator)
    if value.denominator <= 9999 and abs(value.numerator) < 10**9:
        return f"{value.numerator}/{value.denominator}"
    try:
        nearest = float(value)
        if value and abs(nearest) < _LEAST:
            raise OverflowError
    except OverflowError:
        return _beyond_floats(value, digits)
    short = f"{nearest:.{digits}g}"
    if Fraction(short) == value or (Fraction(nearest) == value and float(short) == nearest):
        return short
    return f"{nearest:#.{digits}g}…"


def _beyond_floats(value: Fraction, digits: int) -> str:
    """A rational that no float is near; not by str(), which refuses integers of thousands of digits."""
    size = abs(value)
    # Perhaps one too much or too little.
    power = floor(log10(size.numerator) - log10(size.denominator))
    power += (size >= Fraction(10) ** (power + 1)) - (size < Fraction(10) ** power)
    scaled = size / Fraction(10) ** (power - digits + 1)
    leading = round(scaled)
    if leading == 10**digits:
        leading, power = leading // 10, power + 1
    sign, text, mark = "-" if value < 0 else "", str(leading), "…"
    if scaled.denominator == 1:
        text, mark = text.rstrip("0"), ""
    point = "." if text[1:] else ""
    return f"{sign}{text[0]}{point}{text[1:]}e{power:+}{mark}"


def count_text(number: int, what: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> count_text(1, "block"), count_text(3, "block")
    ('1 block', '3 blocks')
    """
    return f"{number} {what}" + ("" if number == 1 else "s")


def cut_text(text: str, most: int = 60) -> str:
    """A text as far as it fits, up to the end of a word; "…" where it is cut.

    Examples
    --------
    >>> cut_text("x + y"), cut_text("alpha + beta + gamma", most=10)
    ('x + y', 'alpha …')
    """
    if len(text) <= most:
        return text
    return (text[: most + 1].rpartition(" ")[0] or text[:most]).rstrip(" +-*") + " …"


def cut_texts(texts: Iterable[str]) -> list[str]:
    """Texts as far as they fit in a line, whole where two would look the same.

    Examples
    --------
    >>> long = " + ".join(f"x{i}" for i in range(20))
    >>> cut_texts([long, "x1"])
    ['x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11 …', 'x1']
    >>> cut_texts([long, long + "0"]) == [long, long + "0"]
    True
    """
    whole = list(texts)
    cut = [cut_text(text) for text in whole]
    often = Counter(cut)
    return [text if often[short] > 1 else short for text, short in zip(whole, cut, strict=True)]


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


def free_name(name: str, taken: Iterable[str]) -> str:
    """A constant or the time as text: its name, or where a variable has that name, ``name()``.

    Examples
    --------
    >>> free_name("t", ["x"]), free_name("pi", ["x", "pi"])
    ('t', 'pi()')
    """
    return name if name not in taken else "time()" if name == "t" else f"{name}()"


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
    return rf"\text{{{escape_words(name)}}}"


def escape_words(text: str) -> str:
    """Words outside formulas, as TeX takes them.

    Examples
    --------
    >>> print(escape_words("100% of x_1"))
    100\\% of x\\_1
    """
    return "".join(_ESCAPES.get(c, c) for c in text)


def words_latex(words: str) -> str:
    r"""Words between formulas, or in a ``\text``, as TeX and browsers both take them.

    Examples
    --------
    >>> print(words_latex("7 → 3 variables, ε = 0.1 (50 %)"))
    7 $\to$ 3 variables, $\varepsilon$ = 0.1 (50 $\%$)
    """
    return "".join(_WORDS.get(c, c) for c in words)


def left_text(name: str, discrete: bool = False) -> str:
    """What stands on the left of an equation: the derivative, or in discrete time the next value.

    Examples
    --------
    >>> left_text("x"), left_text("x", discrete=True)
    ("x'", 'x⁺')
    """
    return name + ("⁺" if discrete else "'")


def left_latex(latex: str, discrete: bool = False) -> str:
    r"""The left side in LaTeX, of a name coloured or not; the dot is over the letter, not over its index.

    Examples
    --------
    >>> print(left_latex("h_{1,1}"), left_latex("h_{1,1}", discrete=True))
    \dot{h}_{1,1} {h_{1,1}}^{+}
    >>> print(left_latex(r"{\color{teal}{x_{1}}}"))
    {\color{teal}{\dot{x}_{1}}}
    """
    if discrete:
        return f"{{{latex}}}^{{+}}"
    coloured = _COLOURED.fullmatch(latex)
    if coloured:
        return f"{coloured[1]}{left_latex(coloured[2])}}}}}"
    stem = _STEM.fullmatch(latex)
    return rf"\dot{{{stem[1]}}}{stem[2]}" if stem else rf"\dot{{{latex}}}"


def signed_sum(
    terms: Sequence[Term],
    total: int,
    variables: Sequence[str],
    latex: bool = False,
    digits: int = 6,
    written: Sequence[str] | None = None,
    exactly: Callable[[Fraction], str] | None = None,
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
        shown = exactly(abs(value)) if exactly else number(abs(value), digits)
        body = times.join(factors if shown == "1" and factors else [shown, *factors])
        parts.append((body, value < 0))
    return join_terms(parts, total, latex)


def style(latex: bool) -> tuple[Callable[[Fraction, int], str], str, str, str]:
    """How numbers, products, powers and "n more" are written."""
    if latex:
        return number_latex, r"\,", "{}^{{{}}}", r"\ldots\;(\text{{{} more}})"
    return number_text, "*", "{}^{}", "… ({} more)"


def join_terms(parts: Sequence[tuple[str, bool]], total: int, latex: bool) -> str:
    """A sum of (text, is negative), and how many terms are left out."""
    words: list[str] = []
    for body, negative in parts:
        sign = "-" if negative else "+"
        words.append(f"{sign} {body}" if words else (f"-{body}" if negative else body))
    if total > len(parts):
        words.append("+ " + style(latex)[3].format(total - len(parts)))
    return " ".join(words) or "0"
