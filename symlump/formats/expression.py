"""Arithmetic expressions in text files, read without recursion.

What they become is a question of the :class:`~symlump.formats.flat.ExpressionAlgebra` that the reader is given:
polynomials, or the expressions themselves.

The two dialects differ in what ``-x^2`` means. In ERODE a minus sign belongs to what follows it,
(−x)², and ``^`` groups from the left; in BioNetGen, as in muParser, it is −(x²) and ``^`` groups
from the right. ``**``, which ERODE does not know but which files made by other tools have, always
follows the ordinary rule.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from typing import Generic, TypeVar

from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats import numerals
from symlump.formats.constant_functions import KNOWN
from symlump.formats.flat import ExpressionAlgebra
from symlump.formats.source import Source, quote

NUMBER = r"(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+"
NAME = r"[^\W\d]\w*"
_TOKEN = re.compile(
    rf"\s*+(?:(?P<number>{NUMBER})|(?P<name>{NAME})"
    r"|(?P<sign>\*\*|->|[<>=!]=|&&|\|\||[-+*/^(),=\[\]{}:;<>])"
    r'|(?P<string>"[^"\n]*")|(?P<end>\Z))'
)
_SPACE = re.compile(r"\s*")
_ALIAS = re.compile(r'\(\s*"')

#: Names of functions that cannot be computed at numbers alone, or not without a word; no symbol has them.
_OTHER = "log round rint if time Hill hill Sat MM var covar mratio tfun sum avg delay ceiling pow"
FUNCTIONS = {*(name for name in KNOWN if name.isidentifier()), *_OTHER.split()}
_SAME = {"ceiling": "ceil", "pow": "^"}
_COMPUTED = (KNOWN - {"log", "piecewise", "root"}) | _SAME.keys()

Value = TypeVar("Value")


@dataclass(frozen=True)
class Dialect:
    """How tightly a unary minus binds, how ``^`` groups, names of functions that mean others, conditions.

    With ``conditions`` there are comparisons, ``&&``, ``||``, ``if(condition, value, otherwise)``, ``time()``.
    Where equations are ``typed`` there are ``piecewise(value, condition, …, otherwise)`` and ``pi()``, too, and
    what is called is a function also if a variable has its name.
    """

    minus: int
    caret_from_left: bool
    functions: Mapping[str, str] = field(default_factory=dict)
    conditions: bool = False
    typed: bool = False


ERODE = Dialect(minus=5, caret_from_left=True)
ORDINARY = Dialect(minus=3, caret_from_left=False)
TYPED = Dialect(minus=3, caret_from_left=False, conditions=True, typed=True)
BIONETGEN = Dialect(minus=3, caret_from_left=False, conditions=True)
SBML1 = Dialect(minus=5, caret_from_left=True, functions={"log": "ln"})

#: Names that are nothing where equations are typed, unless they are given a meaning there: why.
NAMES_OF_NONE = dict.fromkeys(("inf", "Inf", "infinity", "nan", "NaN"), "is no number")

_BINARY = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4, "**": 6}
_CONDITIONS = {"||": -2, "&&": -1} | dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 0)
_WORDS = {"||": "or", "&&": "and", "**": "^"}
_OPEN = -3


class Tokens:
    """A cursor over the tokens of a part of a text; ``kind`` and ``text`` are the present one.

    ``kind`` is one of number, name, sign, string, end.
    """

    __slots__ = ("source", "stop", "kind", "text", "start", "position")

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self.source, self.stop, self.position = source, stop, start
        self.kind, self.text, self.start = "", "", start
        self.advance()

    def advance(self) -> None:
        """Go to the next token."""
        match = _TOKEN.match(self.source.text, self.position, self.stop)
        if match is None:
            gap = _SPACE.match(self.source.text, self.position, self.stop)
            at = gap.end() if gap else self.position
            raise self.source.error(at, f"unexpected character {quote(self.source.text[at])}")
        kind = match.lastgroup or "end"
        self.kind, self.text = kind, match[kind]
        self.start, self.position = match.start(kind), match.end()

    def error(self, expected: str) -> InputError:
        """Say what should stand here instead of the present token."""
        found = "the end of the section" if self.kind == "end" else quote(self.text)
        return self.source.error(self.start, f"expected {expected}, found {found}")

    def take(self, sign: str) -> None:
        """Go past a sign that must stand here."""
        if self.kind != "sign" or self.text != sign:
            raise self.error(repr(sign))
        self.advance()

    def take_name(self, what: str) -> tuple[str, int]:
        """Go past a name that must stand here; return it with its position."""
        if self.kind != "name":
            raise self.error(what)
        name, start = self.text, self.start
        self.advance()
        return name, start


class ExpressionReader(Generic[Value]):
    """Reads expressions over known names.

    Parameters
    ----------
    names : mapping of str to value
        What each name stands for; it may grow between two readings.
    dialect : Dialect
    arithmetic : ExpressionAlgebra
        Makes the values.
    absent : mapping of str to str
        Why a name that could be expected is not known; may grow, too.

    Examples
    --------
    >>> from symlump.formats.polynomials import PolynomialArithmetic
    >>> source = Source("line", "-x^2 / 4")
    >>> reader = ExpressionReader({"x": {((0, 1),): Fraction(1)}}, ERODE, PolynomialArithmetic())
    >>> reader.read(Tokens(source, 0, 8))
    {((0, 2),): Fraction(1, 4)}
    """

    def __init__(
        self,
        names: Mapping[str, Value],
        dialect: Dialect,
        arithmetic: ExpressionAlgebra[Value],
        absent: Mapping[str, str] | None = None,
    ) -> None:
        self.names, self.dialect, self.arithmetic = names, dialect, arithmetic
        self.absent = {} if absent is None else absent
        self._numbers: dict[str, Fraction] = {}
        self._binary = _BINARY | ({} if dialect.caret_from_left else {"**": 4})
        if dialect.conditions:
            self._binary |= _CONDITIONS

    def number(self, text: str) -> Fraction:
        """The value of a literal; each distinct one is converted once."""
        value = self._numbers.get(text)
        if value is None:
            value = self._numbers[text] = numerals.number(text)
        return value

    def read(self, tokens: Tokens) -> Value:
        """Read the longest expression that starts at the cursor, which stops behind it."""
        self.arithmetic.begin()
        values: list[Value] = []
        pending: list[tuple[int, str, int]] = []  # precedence, operator, position
        opened: list[int] = []  # for each open parenthesis the number of arguments before it
        while True:
            self._operand(tokens, values, pending, opened)
            while tokens.kind == "sign" and tokens.text == ")" and opened:
                self._close(tokens, values, pending, opened)
            symbol = tokens.text
            if tokens.kind == "sign" and symbol == "," and opened:
                self._down_to_parenthesis(tokens, values, pending)
                if pending[-1][1]:  # the parenthesis of a function: another argument
                    tokens.advance()
                    continue
            level = self._binary.get(symbol) if tokens.kind == "sign" else None
            if level is None:
                break
            from_right = symbol == "**" or (symbol == "^" and not self.dialect.caret_from_left)
            while pending and pending[-1][0] >= level + from_right:
                self._apply(tokens.source, values, pending.pop())
            pending.append((level, symbol, tokens.start))
            tokens.advance()
        if opened:
            opening = next(at for level, _, at in reversed(pending) if level == _OPEN)
            if tokens.kind == "end":
                raise tokens.source.error(opening, "'(' is never closed")
            raise tokens.error(f"an operator or the ')' of {tokens.source.where(opening)}")
        while pending:
            self._apply(tokens.source, values, pending.pop())
        return values[0]

    def _operand(
        self,
        tokens: Tokens,
        values: list[Value],
        pending: list[tuple[int, str, int]],
        opened: list[int],
    ) -> None:
        """Read signs and opening parentheses up to one operand."""
        while True:
            kind, text, start = tokens.kind, tokens.text, tokens.start
            if kind == "name":
                function = self._named(tokens, values)
                if not function:
                    return
                tokens.take("(")
                pending.append((_OPEN, function, start))
                opened.append(len(values))
                continue
            if kind == "number":
                try:
                    values.append(self.arithmetic.number(self.number(text)))
                except InputError as problem:
                    raise tokens.source.error(start, f"{problem}: {quote(text)}") from None
                tokens.advance()
                return
            if kind != "sign" or text not in "(-+":
                raise tokens.error("a number, a name or '('")
            if text == "(":
                pending.append((_OPEN, "", start))
                opened.append(len(values))
            elif text == "-":
                pending.append((self.dialect.minus, "negate", start))
            tokens.advance()

    def _down_to_parenthesis(
        self, tokens: Tokens, values: list[Value], pending: list[tuple[int, str, int]]
    ) -> None:
        while pending[-1][0] != _OPEN:
            self._apply(tokens.source, values, pending.pop())

    def _close(
        self,
        tokens: Tokens,
        values: list[Value],
        pending: list[tuple[int, str, int]],
        opened: list[int],
    ) -> None:
        """Go past a closing parenthesis, and call the function that stands before it."""
        self._down_to_parenthesis(tokens, values, pending)
        _, function, position = pending.pop()
        before = opened.pop()
        tokens.advance()
        if function:
            arguments = values[before:]
            del values[before:]
            values.append(self._result(tokens.source, function, arguments, position))

    def _named(self, tokens: Tokens, values: list[Value]) -> str:
        """Read a name; return that of a function whose arguments are to be read, or nothing."""
        name, start = tokens.take_name("a name")
        source = tokens.source
        called = tokens.text == "(" and not _ALIAS.match(source.text, tokens.start)
        typed, conditions = self.dialect.typed, self.dialect.conditions
        if called and (name not in self.names or (typed and (name in FUNCTIONS or name == "pi"))):
            name = self.dialect.functions.get(name, name)
            if (name == "time" and conditions) or (name == "pi" and typed):
                tokens.advance()
                tokens.take(")")
                values.append(self._result(source, name, [], start))
                return ""
            if (
                name in _COMPUTED
                or (name == "if" and conditions)
                or (name == "piecewise" and typed)
            ):
                return _SAME.get(name, name)
            if name in FUNCTIONS:
                more = "; write ln or log10" if name == "log" else ""
                raise source.error(
                    start, f"the function {name!r} is not read{more}", NotPolynomialError
                )
            raise source.error(start, f"unknown function {quote(name)}")
        if called:  # BioNetGen writes a function or an observable as f()
            tokens.advance()
            tokens.take(")")
        if name not in self.names:
            problem = self.absent.get(name, "is not defined")
            raise source.error(start, f"the name {quote(name)} {problem}")
        values.append(self.arithmetic.copy(self.names[name]))
        return ""

    def _apply(self, source: Source, values: list[Value], operator: tuple[int, str, int]) -> None:
        """Replace the operands on the stack by the result."""
        _, symbol, position = operator
        right = values.pop()
        if symbol == "negate":
            values.append(self._result(source, "-", [right], position))
        else:
            left = values.pop()
            values.append(self._result(source, _WORDS.get(symbol, symbol), [left, right], position))

    def _result(
        self, source: Source, operator: str, arguments: list[Value], position: int
    ) -> Value:
        try:
            if operator == "if":
                if len(arguments) != 3:
                    raise InputError(f"if with {len(arguments)} arguments")
                condition, value, otherwise = arguments
                operator, arguments = "piecewise", [value, condition, otherwise]
            return self.arithmetic.apply(operator, arguments, position)
        except InputError as problem:
            line_end = source.text.find("\n", position)
            near = source.text[position : line_end if line_end >= 0 else None][:60]
            message = f"{problem}, at {quote(near.strip(), 40)}"
            kind = FileFormatError if type(problem) is InputError else type(problem)
            raise source.error(position, message, kind) from None


def allowed_names(
    names: Iterable[str], stem: str, pattern: str = NAME, taken: Collection[str] = ()
) -> dict[str, str]:
    """For each name what a file calls it: the same, or a free one where it is not allowed or is taken.

    Examples
    --------
    >>> allowed_names(["x", "A(b)", "exp"], "s"), allowed_names(["x", "t"], "view", taken=["x", "t"])
    ({'x': 'x', 'A(b)': 's1', 'exp': 'exp'}, {'x': 'view1', 't': 'view2'})
    """
    listed = list(names)
    good = {name for name in listed if re.fullmatch(pattern, name) and name not in taken}
    used = good.union(taken)
    free = (name for name in map(f"{stem}{{}}".format, count(1)) if name not in used)
    return {name: name if name in good else next(free) for name in listed}
