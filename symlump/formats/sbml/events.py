"""The events of an SBML document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from symlump.formats.events import Event, parts, replace_names
from symlump.formats.flat import Call, Expression, FlatModel
from symlump.formats.sbml.definitions import Definitions
from symlump.formats.sbml.document import Element
from symlump.formats.source import quote


def events_of(definitions: Definitions) -> tuple[Event, ...]:
    """The events of a document, in terms of its symbols.

    What has no mathematics is as if it were not there; an event without a trigger never happens.

    Raises
    ------
    FileFormatError
        If an event sets what it cannot set, or does not say what it must.
    """
    names: dict[str, None] = {}
    result = []
    for element in definitions.model.listed("listOfEvents"):
        name = element.get("id") or definitions.fresh(f"event{len(names) + 1}")
        if name in names or name in definitions.kinds:
            raise definitions.document.error(element, f"two symbols are called {quote(name)}")
        names[name] = None
        definitions.places[name] = definitions.document.place(element)
        trigger = element.child("trigger")
        condition = _mathematics(definitions, trigger)
        if trigger is None or condition is None:
            definitions.notes[f"event {quote(name)} has no trigger: it never happens"] = None
            continue
        # What a trigger and an event must say of themselves in level 3 was so for all before.
        must = None if definitions.level > 2 else True
        event = Event(
            name,
            condition,
            _assignments(definitions, element),
            _mathematics(definitions, element.child("delay")),
            _mathematics(definitions, element.child("priority")),
            definitions.flag(element, "useValuesFromTriggerTime", must),
            definitions.flag(trigger, "initialValue", must),
            definitions.flag(trigger, "persistent", must),
        )
        result.append(event)
    return tuple(result)


def _mathematics(definitions: Definitions, element: Element | None) -> Expression | None:
    """What stands in an element, if anything does."""
    return None if element is None else definitions.mathematics_if_any(element)


def _assignments(definitions: Definitions, element: Element) -> dict[str, Expression]:
    assignments: dict[str, Expression] = {}
    for assignment in element.listed("listOfEventAssignments"):
        name = assignment.get("variable") or ""
        problem = ""
        if definitions.kinds.get(name) in (None, "reaction"):
            problem = "is not defined"
        elif name in assignments:
            problem = "it sets twice"
        elif name in definitions.ruled:
            problem = "has a rule"
        elif definitions.flag(definitions.elements[name], "constant", False):
            problem = "is constant"
        if problem:
            raise definitions.document.error(
                assignment, f"an event sets {quote(name)}, which {problem}"
            )
        value = _mathematics(definitions, assignment)
        if value is None:
            definitions.notes[f"an event sets {quote(name)} to nothing: it stays"] = None
        else:
            assignments[name] = value
    return assignments


def with_sizes(
    flat: FlatModel, amounts: Mapping[str, str], concentrations: Mapping[str, str]
) -> FlatModel:
    """Let events do to amounts what they do to concentrations and sizes.

    A concentration is set while its compartment has the size from before the event, which gives an amount; that
    stays when the size changes. So where a concentration is the quotient of an amount and a size, the new
    amount is its new value times the size before; where it is a variable itself, it becomes its new value
    times the size before over the size after.

    Parameters
    ----------
    flat : FlatModel
    amounts : mapping of str to str
        For each species that is such a quotient its amount.
    concentrations : mapping of str to str
        For each species with a concentration of its own its compartment.

    Raises
    ------
    FileFormatError
        If the size may change between the time at which a value is computed and that at which it is set.
    """
    result = []
    for event in flat.events:
        later = {n for other in flat.events if other is not event for n in other.assignments}
        if event.delay is not None:
            later |= {*flat.states, *flat.ruled}
        assignments: dict[str, Expression] = {}
        for name, value in event.assignments.items():
            if name in amounts:
                quotient = flat.ruled[name]
                assert isinstance(quotient, Call)
                size = quotient.arguments[1]
                _at_one_time(flat, event, name, flat.in_order([size], flat.ruled.get), later)
                assignments[amounts[name]] = Call("*", (value, size))
            else:
                assignments[name] = value
        for name, compartment in concentrations.items():
            after, needed = _size_after(flat, compartment, event)
            if not needed.isdisjoint(event.assignments):
                _at_one_time(flat, event, name, [name, *needed], later)
                moved = Call("*", (event.assignments.get(name, name), compartment))
                assignments[name] = Call("/", (moved, after))
        result.append(replace(event, assignments=assignments))
    return replace(flat, events=tuple(result))


def _at_one_time(
    flat: FlatModel, event: Event, name: str, needed: Iterable[str], later: set[str]
) -> None:
    """Raise if an event needs values at two times."""
    if event.values_from_trigger and not later.isdisjoint(needed):
        raise flat.error(
            event.name,
            f"event {quote(event.name)} sets the concentration {quote(name)} from values at two times, in a "
            "compartment whose size changes: that is not supported",
        )


def _size_after(flat: FlatModel, size: Expression, event: Event) -> tuple[Expression, set[str]]:
    """A size after an event, from values before it, and what it depends on."""
    set_now = event.assignments

    def definition(symbol: str) -> Expression | None:
        return None if symbol in set_now else flat.ruled.get(symbol)

    values: dict[str, Expression] = {}
    sizes: dict[str, int] = {}
    order = flat.in_order([size], definition)
    for symbol in order:
        if symbol in set_now:  # in terms of what was before
            values[symbol] = set_now[symbol]
        else:
            values[symbol] = replace_names(
                flat.ruled.get(symbol, symbol), {symbol: symbol} | values, sizes
            )
        sizes[symbol] = parts(values[symbol], {})
    return replace_names(size, values, sizes), set(order)
