"""A model as a flat list of symbols, each with the expression that defines it.

Between the semantics of a file format and the algebra of a system stands this one type. What a reader
has to know about species, compartments and reactions is done when a :class:`FlatModel` is made; what
becomes of its expressions, polynomials or something else, is a question of the arithmetic that
:func:`evaluate` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats.numerals import fraction_text
from symlump.formats.source import quote

if TYPE_CHECKING:
    from symlump.formats.events import Event

Value = TypeVar("Value")
_EVALUATE, _APPLY = -1, -2


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on expressions: ``+ - * / ^``, a function by its name, ``time``."""

    operator: str
    arguments: tuple[Expression, ...] = ()


Expression: TypeAlias = Fraction | str | Call
"""A number, the name of a symbol, or an operation."""


class ExpressionAlgebra(Protocol[Value]):
    """What expressions are turned into, one operation at a time."""

    def begin(self) -> None:
        """An expression starts."""
        ...

    def number(self, value: Fraction) -> Value:
        """The value of a number."""
        ...

    def copy(self, value: Value) -> Value:
        """A value that an operation may use up."""
        ...

    def apply(self, operator: str, arguments: Sequence[Value], place: Hashable) -> Value:
        """The result of an operation, which may use up its arguments.

        ``place`` says where in the file the operation stands, for what can only be judged later.
        """
        ...

    def truth(self, value: Value) -> bool | None:
        """Whether a condition holds, if that is known: then only the chosen piece is evaluated."""
        ...


class Trees:
    """The arithmetic that only writes down what is to be done."""

    def begin(self) -> None:
        """Nothing is counted."""

    def number(self, value: Fraction) -> Expression:
        """The number itself."""
        return value

    def copy(self, value: Expression) -> Expression:
        """Expressions are not changed by anyone."""
        return value

    def apply(
        self, operator: str, arguments: Sequence[Expression], place: Hashable = None
    ) -> Expression:
        """The operation as an expression."""
        return Call(operator, tuple(arguments))

    def truth(self, value: Expression) -> bool | None:
        """Nothing is decided."""
        return None


@dataclass(frozen=True)
class FlatModel:
    """Symbols and their expressions.

    A symbol has its value from ``ruled`` at all times, or from ``initial`` at time 0 and then from
    ``rates`` (0 where there is none).

    Parameters
    ----------
    name, path : str
        Of the model, and of its file for error messages.
    states : tuple of str
        The variables of the system: what may move, and species that do not.
    parameters : tuple of str
        Constants that may be kept as letters.
    fixed : tuple of str
        Constants that are always replaced by their values: sizes, stoichiometries.
    initial, ruled, rates : dict of str to Expression
        As above; a symbol without initial value may not be used where its value matters.
    observed : tuple of str
        The ruled symbols that the file shows to its user.
    places : dict of str to str
        ``PATH:LINE:COLUMN`` of the definition of a symbol.
    notes : tuple of str
        What was done while reading.
    events : tuple of Event
        What else changes states.
    exact : bool
        Whether numbers such as π and exp(1) in rates and rules stay what they are. Else, and in initial values,
        which are rational, their float64 values are taken, with a note.

    Examples
    --------
    >>> flat = FlatModel("m", "m.xml", ("x",), ("k",), (), {"x": Fraction(1), "k": Fraction(2)},
    ...     {"v": Call("*", ("k", "x"))}, {"x": Call("-", ("v",))})
    >>> [text(flat.rates["x"]), text(flat.ruled["v"])]
    ['-v', 'k*x']
    """

    name: str
    path: str
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    fixed: tuple[str, ...]
    initial: dict[str, Expression]
    ruled: dict[str, Expression] = field(default_factory=dict)
    rates: dict[str, Expression] = field(default_factory=dict)
    observed: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    exact: bool = False

    @property
    def assigned(self) -> set[str]:
        """The symbols that events set."""
        return {name for event in self.events for name in event.assignments}

    def error(
        self, name: str, message: str, kind: type[InputError] = FileFormatError
    ) -> InputError:
        """An exception at the definition of a symbol; the caller raises it."""
        return kind(f"{self.places.get(name, self.path)}: {message}")

    def in_order(
        self, roots: Iterable[Expression], definition: Callable[[str], Expression | None]
    ) -> list[str]:
        """The symbols in some expressions and what they need, each after what defines it.

        Raises
        ------
        FileFormatError
            If a symbol is defined by itself, directly or not.
        """
        order: list[str] = []
        state: dict[str, bool] = {}  # False: its needs are being followed; True: it is in order
        for root in (name for expression in roots for name in symbols(expression)):
            path = [(root, False)]
            while path:
                name, done = path.pop()
                if done:
                    state[name] = True
                    order.append(name)
                elif name not in state:
                    state[name] = False
                    path.append((name, True))
                    expression = definition(name)
                    if expression is not None:
                        path += [(other, False) for other in symbols(expression)]
                elif not state[name]:
                    raise self.error(name, f"the definition of {quote(name)} needs itself")
        return order


def evaluate(
    expression: Expression,
    values: Mapping[str, Value],
    arithmetic: ExpressionAlgebra[Value],
    place: Hashable = None,
) -> Value:
    """The value of an expression, without recursion.

    Raises
    ------
    FileFormatError
        If a symbol has no value.
    InputError
        Whatever the arithmetic refuses.

    Examples
    --------
    >>> evaluate(Call("+", ("x", Fraction(1, 2))), {"x": "y"}, Text())
    'y + 1/2'
    """
    if isinstance(expression, Call):
        results: list[Value] = []
        # What to do with a node: evaluate it, apply it to the last results, or look at the last result,
        # which is the condition behind its piece k.
        tasks: list[tuple[Expression, int]] = [(expression, _EVALUATE)]
        while tasks:
            node, what = tasks.pop()
            if not isinstance(node, Call):
                results.append(_leaf(node, values, arithmetic))
                continue
            arguments = node.arguments
            if what == _EVALUATE and node.operator == "piecewise" and len(arguments) > 1:
                tasks += [(node, 0), (arguments[1], _EVALUATE)]
            elif what == _EVALUATE and Call not in map(type, arguments):  # as most are
                given = [_leaf(leaf, values, arithmetic) for leaf in arguments]
                results.append(arithmetic.apply(node.operator, given, place))
            elif what == _EVALUATE:
                tasks.append((node, _APPLY))
                tasks += [(argument, _EVALUATE) for argument in reversed(arguments)]
            elif what == _APPLY:
                count = len(arguments)
                given = results[len(results) - count :]
                del results[len(results) - count :]
                results.append(arithmetic.apply(node.operator, given, place))
            else:
                holds = arithmetic.truth(results.pop())
                following = what + 2
                if holds is None:  # nothing can be left out
                    tasks.append((node, _APPLY))
                    tasks += [(argument, _EVALUATE) for argument in reversed(arguments)]
                elif holds or following == len(arguments) - 1:
                    tasks.append((arguments[what if holds else following], _EVALUATE))
                elif following + 1 < len(arguments):
                    tasks += [(node, following), (arguments[following + 1], _EVALUATE)]
                else:
                    raise NotPolynomialError("piecewise has no value here")
        return results[0]
    return _leaf(expression, values, arithmetic)


class NoValueError(FileFormatError):
    """A name in an expression stands for nothing."""


def _leaf(
    expression: Expression, values: Mapping[str, Value], arithmetic: ExpressionAlgebra[Value]
) -> Value:
    """The value of a name or a number."""
    assert not isinstance(expression, Call)
    if isinstance(expression, str):
        if expression not in values:
            raise NoValueError(f"the name {quote(expression)} is not defined or has no value")
        return arithmetic.copy(values[expression])
    return arithmetic.number(expression)


def symbols(expression: Expression) -> list[str]:
    """The names in an expression, each once, in order.

    Examples
    --------
    >>> symbols(Call("*", ("k", Call("+", ("x", "k")))))
    ['k', 'x']
    """
    found: dict[str, None] = {}
    tasks = [expression]
    while tasks:
        node = tasks.pop()
        if isinstance(node, str):
            found[node] = None
        elif isinstance(node, Call):
            tasks += reversed(node.arguments)
    return list(found)


def asks_for(expression: Expression, *operators: str) -> bool:
    """Whether one of some operators occurs in an expression.

    Examples
    --------
    >>> asks_for(Call("+", ("x", Call("time"))), "time", "delay"), asks_for("time", "time")
    (True, False)
    """
    return any(isinstance(node, Call) and node.operator in operators for node in nodes(expression))


def nodes(expression: Expression) -> Iterator[Expression]:
    """An expression and all that stands in it, each before what stands in itself, in order."""
    tasks = [expression]
    while tasks:
        node = tasks.pop()
        yield node
        if isinstance(node, Call):
            tasks += reversed(node.arguments)


_RELATIONS = ("<", "<=", ">", ">=", "==", "!=")
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "negate": 3, "^": 4} | dict.fromkeys(_RELATIONS, 0)
_SPACED = ("+", "-", *_RELATIONS)


class Text:
    """The arithmetic that writes a formula; its values are (text, how tightly it holds together)."""

    def begin(self) -> None:
        """Nothing is counted."""

    def number(self, value: Fraction) -> str:
        """A number as ``p`` or ``p/q``."""
        return _Formula(fraction_text(value), 2 if value.denominator > 1 or value < 0 else 9)

    def copy(self, value: str) -> str:
        """A text is not changed by anyone."""
        return value

    def apply(self, operator: str, arguments: Sequence[str], place: Hashable = None) -> str:
        """The formula with the operator between its arguments, or as a call."""
        if operator == "-" and len(arguments) == 1:
            operator, sign = "negate", "-"
        elif operator in _LEVEL and len(arguments) > 1:
            sign = f" {operator} " if operator in _SPACED else operator
        else:
            return _Formula(f"{operator}({', '.join(arguments)})", 9)
        level = _LEVEL[operator]
        parts = []
        for k, argument in enumerate(arguments):
            holds = argument.level if isinstance(argument, _Formula) else 9
            # What stands behind - and / is held together by its own; so is both sides of a power.
            strict = operator == "^" or not level or (k > 0 and operator in ("-", "/"))
            parts.append(f"({argument})" if holds < level + strict else str(argument))
        return _Formula(sign + parts[0] if operator == "negate" else sign.join(parts), level)

    def truth(self, value: str) -> bool | None:
        """Nothing is decided."""
        return None


class _Formula(str):
    level: int

    def __new__(cls, written: str, level: int) -> _Formula:
        formula = super().__new__(cls, written)
        formula.level = level
        return formula


class _Itself(dict[str, str]):
    """Every name stands for itself."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return name


def text(expression: Expression) -> str:
    """An expression as a formula.

    Examples
    --------
    >>> text(Call("/", ("x", Call("*", (Call("+", ("K", "x")), Fraction(2))))))
    'x/((K + x)*2)'
    """
    return str(evaluate(expression, _Itself(), Text()))
