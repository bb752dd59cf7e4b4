"""Quotients and functions as text and as LaTeX, bounded in size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Protocol

from symlump.ode.functions.algebra import Polynomial
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.notation import Term, free_name, join_terms, name_latex, style

if TYPE_CHECKING:
    from symlump.ode.functions.symbols import SymbolTable
    from symlump.ode.system import ODE

_MAX_TERMS = 12
_MAX_DEPTH = 12
_MAX_LENGTH = 1_000
_MAX_MULTIPLE = 9_999
#: How tightly a text binds: a sum, what can stand in a product, what can be raised to a power.
_SUM, _FACTOR, _ATOM = range(3)
_RELATIONS = {
    "lt": ("<", "<"),
    "leq": ("<=", r"\le"),
    "gt": (">", ">"),
    "geq": (">=", r"\ge"),
    "eq": ("==", "="),
    "neq": ("!=", r"\ne"),
}


#: In LaTeX, between what they join.
_CONNECTIVES = {"and": r"\wedge", "or": r"\vee"}


def written_name(function: str) -> str:
    """A function's name in text: the natural logarithm has one that no reader takes for another base.

    Examples
    --------
    >>> written_name("log"), written_name("log'"), written_name("exp")
    ('ln', "ln'", 'exp')
    """
    return "ln" + function.removeprefix("log") if function in ("log", "log'") else function


class HasFunctions(Protocol):
    """Variables with their names, and functions of them: a system, or what is needed of one."""

    @property
    def variables(self) -> Sequence[str]:
        """Their names."""
        ...

    @property
    def generators(self) -> Generators | None:
        """The functions."""
        ...

    def __len__(self) -> int: ...


class FunctionWriter:
    """Writes polynomials in the symbols of a system: 1/d below a line, other functions by their names.

    Parameters
    ----------
    ode : ODE
    latex : bool
    digits : int
    written : sequence of str, optional
        The names of variables, where they are others.
    exactly : callable, optional
        Writes numbers; then nothing is cut.
    """

    def __init__(
        self,
        ode: HasFunctions,
        latex: bool,
        digits: int,
        written: Sequence[str] | None,
        exactly: Callable[[Fraction], str] | None = None,
    ) -> None:
        assert ode.generators is not None
        self._ode, self._generators, self._latex, self._digits = ode, ode.generators, latex, digits
        self._exactly = exactly
        if written is not None:
            self._names = list(written)
        else:
            self._names = [name_latex(v) if latex else v for v in ode.variables]
        self._taken = self._names if written is not None else ode.variables
        self._done: dict[int, tuple[str, int]] = {}
        if exactly is not None:  # each function after those in its arguments, however deep they are
            for k in range(len(ode.generators)):
                self._symbol(len(ode) + k, 0)

    def sum(self, terms: Sequence[Term], total: int, depth: int = 0) -> str:
        """A sum of terms; "… more" where there are more of them than are given."""
        number, times, power, _ = style(self._latex)
        parts = []
        for monomial, value in terms:
            above: list[str] = []
            below: list[tuple[str, int]] = []
            for s, k in monomial:
                value *= self._multiple(s) ** k
                text, binds = self._symbol(s, depth)
                if k > 1:
                    text = power.format(text if binds == _ATOM else self._enclosed(text), k)
                    binds = _FACTOR
                if self._is_inverse(s):
                    below.append((text, binds))
                else:
                    above.append(text if binds >= _FACTOR else self._enclosed(text))
            size = abs(value)
            shown = self._exactly(size) if self._exactly else number(size, self._digits)
            if shown != "1" or not above:
                above.insert(0, shown)
            body = times.join(above)
            if below:
                body = self._quotient(body, below)
            parts.append((body, value < 0))
        return join_terms(parts, total, self._latex)

    def _quotient(self, above: str, below: list[tuple[str, int]]) -> str:
        """Parentheses where a factor of the denominator would fall apart without them."""
        if self._latex and len(below) == 1:
            return rf"\frac{{{above}}}{{{below[0][0]}}}"
        factors = [text if binds >= _FACTOR else self._enclosed(text) for text, binds in below]
        whole = style(self._latex)[1].join(factors)
        if self._latex:
            return rf"\frac{{{above}}}{{{whole}}}"
        return f"{above}/{whole}" if len(below) == 1 else f"{above}/({whole})"

    def _is_inverse(self, s: int) -> bool:
        k = s - len(self._ode)
        return k >= 0 and self._generators.functions[k] == "inverse"

    def _multiple(self, s: int) -> int:
        """By what a denominator is multiplied, so that it is written without fractions."""
        if not self._is_inverse(s):
            return 1
        (below,) = self._generators.arguments_of(s - len(self._ode))
        multiple = lcm(*(value.denominator for value in below.values()))
        return multiple if multiple <= _MAX_MULTIPLE else 1

    def _symbol(self, s: int, depth: int) -> tuple[str, int]:
        """What is written for a symbol (for 1/d: d), and how tightly that binds."""
        if s < len(self._ode):
            return self._names[s], _ATOM
        if s not in self._done:
            if depth > _MAX_DEPTH:
                return "…", _ATOM
            self._done[s] = self._function(s - len(self._ode), depth + 1)
        return self._done[s]

    def _function(self, k: int, depth: int) -> tuple[str, int]:
        name, latex = self._generators.functions[k], self._latex
        polynomials = self._generators.arguments_of(k)
        multiple = self._multiple(len(self._ode) + k)
        if multiple > 1:
            polynomials = [{m: value * multiple for m, value in polynomials[0].items()}]
        u = [self._argument(p, depth) for p in polynomials]
        if name == "inverse":
            single = self._single(polynomials[0])
            return u[0], _SUM if single is None else self._symbol(single, _MAX_DEPTH)[1]
        if name in ("time", "pi"):
            word = free_name("t" if name == "time" else name, self._taken)
            if not latex:
                return word, _ATOM
            plain = FUNCTIONS[name].latex
            return (plain if "(" not in word else rf"\operatorname{{{name}}}()"), _ATOM
        if name.startswith("power"):
            base, exponent = (
                text if self._is_variable(p) else self._enclosed(text)
                for text, p in zip(u, polynomials, strict=True)
            )
            power = f"{{{base}}}^{{{u[1]}}}" if latex else f"{base}^{exponent}"
            if name == "power":
                return power, _FACTOR
            # Its derivative by base or exponent.
            head = rf"\operatorname{{D}}_{name[-1]}" if latex else f"D{name[-1]}"
            return f"{head}{self._enclosed(power)}", _ATOM
        if name in _RELATIONS:
            return f"{u[0]} {_RELATIONS[name][latex]} {u[1]}", _SUM
        if name not in _RELATIONS:
            u = [self._in_call(p, text) for p, text in zip(polynomials, u, strict=True)]
        if not latex:
            return f"{written_name(name)}({', '.join(u)})", _ATOM
        if name == "piecewise":
            pairs = [
                rf"{value} & \text{{if }} {c}" for value, c in zip(u[::2], u[1::2], strict=False)
            ]
            rest = [rf"{u[-1]} & \text{{otherwise}}"] if len(u) % 2 else []
            return r"\begin{cases} " + r" \\ ".join(pairs + rest) + r" \end{cases}", _SUM
        if name in _CONNECTIVES and len(u) > 1:
            return rf" {_CONNECTIVES[name]} ".join(u), _SUM
        function = FUNCTIONS.get(name)
        head = function.latex if function is not None else ""
        if "{}" in head:
            return head.format(", ".join(u)), _ATOM if name in ("abs", "floor", "ceil") else _FACTOR
        head = head or rf"\operatorname{{{name}}}"
        return (rf"{head}\left({', '.join(u)}\right)" if u else head), _ATOM

    def _argument(self, p: Polynomial, depth: int) -> str:
        terms = list(p.items())
        if self._exactly is not None:
            return self.sum(terms, len(terms), depth)
        text = self.sum(terms[:_MAX_TERMS], len(terms), depth)
        return text if len(text) <= _MAX_LENGTH else "…"

    def _in_call(self, p: Polynomial, text: str) -> str:
        """An argument between commas: a comparison alone needs no parentheses."""
        single = self._single(p)
        k = -1 if single is None else single - len(self._ode)
        if k < 0 or self._generators.functions[k] not in (*_RELATIONS, *_CONNECTIVES):
            return text
        return self._done[len(self._ode) + k][0]

    def _is_variable(self, p: Polynomial) -> bool:
        single = self._single(p)
        return single is not None and single < len(self._ode)

    @staticmethod
    def _single(p: Polynomial) -> int | None:
        """The symbol, if the polynomial is one."""
        if len(p) != 1:
            return None
        ((monomial, value),) = p.items()
        return monomial[0][0] if value == 1 and len(monomial) == 1 and monomial[0][1] == 1 else None

    def _enclosed(self, text: str) -> str:
        return rf"\left({text}\right)" if self._latex else f"({text})"

    def symbol(self, s: int) -> str:
        """One symbol by itself."""
        written = self._symbol(s, 0)
        if not self._is_inverse(s):
            return written[0]
        return self._quotient(style(self._latex)[0](Fraction(self._multiple(s)), 6), [written])


@dataclass(frozen=True)
class _OfTable:
    variables: Sequence[str]
    generators: Generators

    def __len__(self) -> int:
        return len(self.variables)


def function_text(names: Sequence[str], table: SymbolTable, s: int) -> str:
    """A function of a table, whose variables have these names, as text.

    Examples
    --------
    >>> from symlump.ode.functions.symbols import SymbolTable
    >>> table = SymbolTable(1)
    >>> _ = table.apply("log", [table.inverse({((0, 1),): Fraction(1), (): Fraction(1)})])
    >>> [function_text(["x"], table, s) for s in (1, 2)]
    ['1/(1 + x)', 'ln(1/(1 + x))']
    """
    generators, number = Generators.of(table, [s])
    return FunctionWriter(_OfTable(names, generators), False, 6, None).symbol(number[s])


def symbol_text(ode: ODE, s: int) -> str:
    """A symbol of a system as text."""
    if ode.generators is None:
        return ode.variables[s]
    return FunctionWriter(ode, False, 6, None).symbol(s)
