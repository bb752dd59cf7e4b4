"""Events: what is done to the variables of a model at once, when a condition becomes true.

Between events a model is its system of equations. An event reads and sets variables that stay alone in
every lumping of the model (:meth:`Model.initial_partition`), so it says the same of the quotient: sums and
common values of other variables do not jump, and those that jump are there by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.formats.flat import (
    Expression,
    FlatModel,
    Trees,
    asks_for,
    evaluate,
    nodes,
    symbols,
    text,
)
from symlump.formats.source import quote, quote_names

#: How many parts an expression of an event may have once rules are put in.
MAX_PARTS = 250_000


@dataclass(frozen=True)
class Event:
    """An event, as SBML has it.

    Parameters
    ----------
    name : str
    trigger : Expression
        The condition; the event is triggered when it becomes true.
    assignments : dict of str to Expression
        The new values of variables, all computed before any is set.
    delay : Expression, optional
        How long after the trigger they are set.
    priority : Expression, optional
        Of events at the same time the one with the largest goes first; those without one come last.
    values_from_trigger : bool
        Whether the values are computed when the event is triggered, or when they are set.
    initial_value : bool
        What the trigger is taken to have been before time 0.
    persistent : bool
        Whether the event still happens if its trigger becomes false again before it does.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> event = Event("dose", Call(">", ("x", Fraction(2))), {"y": Call("+", ("y", "k"))})
    >>> print(event)
    dose: when x > 2, y = y + k
    >>> event.variables
    ('x', 'y', 'k')
    """

    name: str
    trigger: Expression
    assignments: dict[str, Expression] = field(default_factory=dict)
    delay: Expression | None = None
    priority: Expression | None = None
    values_from_trigger: bool = True
    initial_value: bool = True
    persistent: bool = True

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that is computed."""
        more = (e for e in (self.delay, self.priority) if e is not None)
        return (self.trigger, *more, *self.assignments.values())

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that are read or set, each once."""
        read = (name for expression in self.expressions for name in symbols(expression))
        return tuple(dict.fromkeys((*read, *self.assignments)))

    def mapped(self, change: Callable[[Expression], Expression]) -> Event:
        """The event with every expression changed; what is set stays."""
        return replace(
            self,
            trigger=change(self.trigger),
            assignments={name: change(value) for name, value in self.assignments.items()},
            delay=None if self.delay is None else change(self.delay),
            priority=None if self.priority is None else change(self.priority),
        )

    def __str__(self) -> str:
        after = "" if self.delay is None else f" (after {text(self.delay)})"
        first = "" if self.priority is None else f" (priority {text(self.priority)})"
        done = "; ".join(f"{name} = {text(value)}" for name, value in self.assignments.items())
        return f"{self.name}: when {text(self.trigger)}{after}{first}, {done or 'nothing'}"


def names_in(events: Iterable[Event]) -> tuple[str, ...]:
    """The names that some events read or set, each once."""
    return tuple(dict.fromkeys(name for event in events for name in event.variables))


def replace_names(
    expression: Expression, values: Mapping[str, Expression], sizes: Mapping[str, int]
) -> Expression:
    """An expression with expressions put in for its names; ``sizes`` says how large these are.

    Raises
    ------
    FileFormatError
        If the result has more than :data:`MAX_PARTS` parts, or a name has no value.
    """
    if parts(expression, sizes) > MAX_PARTS:
        raise FileFormatError(f"an expression has more than {MAX_PARTS} parts")
    return evaluate(expression, values, Trees())


def parts(expression: Expression, sizes: Mapping[str, int]) -> int:
    """How many parts an expression has, with ``sizes`` for names that stand for others.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> parts(Call("+", ("x", "v")), {"v": 5})
    7
    """
    return sum(sizes.get(node, 1) if isinstance(node, str) else 1 for node in nodes(expression))


def settled_events(
    flat: FlatModel, variables: Iterable[str], start: Mapping[str, Fraction]
) -> tuple[Event, ...]:
    """The events of a flat model in terms of variables and numbers: rules and constants are put in.

    Raises
    ------
    FileFormatError
        If an event needs what has no value, or the value of something at another time.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> event = Event("e", Call(">", ("v", "k")), {"x": Fraction(0)})
    >>> flat = FlatModel("m", "m.xml", ("x",), ("k",), (), {}, {"v": Call("*", ("x", "x"))}, events=(event,))
    >>> [str(event) for event in settled_events(flat, ["x"], {"k": Fraction(2)})]
    ['e: when x*x > 2, x = 0']
    """
    values: dict[str, Expression] = dict(start)
    values |= {name: name for name in variables}
    sizes: dict[str, int] = {}
    result = []
    for event in flat.events:
        place = flat.places.get(event.name, flat.path)
        try:
            for name in flat.in_order(event.expressions, flat.ruled.get):
                if name in flat.ruled and name not in sizes:
                    values[name] = replace_names(flat.ruled[name], values, sizes)
                    sizes[name] = parts(flat.ruled[name], sizes)
            settled = event.mapped(lambda e: replace_names(e, values, sizes))
        except FileFormatError as problem:
            if str(problem).startswith(f"{flat.path}:"):
                raise
            raise FileFormatError(f"{place}: {problem}, in event {quote(event.name)}") from None
        if any(asks_for(expression, "delay") for expression in settled.expressions):
            raise FileFormatError(
                f"{place}: delayed values are not supported: event {quote(event.name)} needs one"
            )
        result.append(settled)
    return tuple(result)


def claim(events: tuple[Event, ...]) -> str:
    """What is said of a model with events, in a sentence.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> print(claim((Event("e", Call(">", ("x", Fraction(2))), {"x": Fraction(0)}),)))
    1 event is kept; lumpings by blocks, and those that keep observables, do not merge 'x', which it reads or \
sets, and hold across events where they are exact; whatever else is said of the equations holds between events
    """
    names = names_in(events)
    one = len(events) == 1
    kept = "1 event is kept" if one else f"{len(events)} events are kept"
    if not names:
        return kept
    who = "it reads or sets" if one else "they read or set"
    return (
        f"{kept}; lumpings by blocks, and those that keep observables, do not merge {quote_names(names)}, "
        f"which {who}, and hold across events where they are exact; whatever else is said of the equations "
        "holds between events"
    )
