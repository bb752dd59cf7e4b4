"""From a flat list of symbols to a polynomial system."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction

from symlump.errors import InputError, NotPolynomialError
from symlump.formats.events import claim, settled_events
from symlump.formats.flat import (
    Expression,
    ExpressionAlgebra,
    FlatModel,
    NoValueError,
    evaluate,
    symbols,
    text,
)
from symlump.formats.flows import Flows
from symlump.formats.model import Model, linear_combination
from symlump.formats.polynomials import NewConstant, PolynomialArithmetic, settle
from symlump.formats.source import NO_VALUE, put_in_notes, quote, quote_names
from symlump.ode.functions import algebra
from symlump.ode.functions.algebra import Polynomial


class _AtStart(PolynomialArithmetic):
    """Numbers at time 0."""

    def apply(
        self, operator: str, arguments: Sequence[Polynomial], place: Hashable = None
    ) -> Polynomial:
        """The value of an operation, where the time is 0."""
        if operator == "time" and not arguments:
            return {}
        return super().apply(operator, arguments, place)


def values_at_start(flat: FlatModel, notes: dict[str, None] | None = None) -> dict[str, Fraction]:
    """The value of every symbol at time 0 that has one, except for rules that nothing at that time needs.

    Raises
    ------
    FileFormatError
        If a value needs a symbol without a value, or itself.
    NotPolynomialError
        If it cannot be computed.

    Examples
    --------
    >>> from symlump.formats.flat import Call
    >>> flat = FlatModel("m", "m.xml", ("x",), ("k",), (), {"x": "v", "k": Fraction(7)},
    ...     {"v": Call("+", ("k", Fraction(1)))})
    >>> values_at_start(flat)
    {'k': Fraction(7, 1), 'v': Fraction(8, 1), 'x': Fraction(8, 1)}
    """

    def definition(name: str) -> Expression | None:
        return flat.ruled.get(name, flat.initial.get(name))

    arithmetic, values = _AtStart(), dict[str, Polynomial]()
    for name in flat.in_order((*flat.states, *flat.parameters, *flat.fixed), definition):
        expression = definition(name)
        if expression is not None:
            values[name] = value_of(flat, name, expression, values, arithmetic)
    if notes is not None:
        notes |= arithmetic.notes
    known = ((name, algebra.constant_of(value)) for name, value in values.items())
    return {name: value for name, value in known if value is not None}


def polynomial_model(flat: FlatModel, *, symbolic: bool, folded: bool) -> Model:
    """The polynomial system of a flat model, with its initial values and observables.

    Parameters
    ----------
    flat : FlatModel
    symbolic : bool
        Keep the parameters as letters.
    folded : bool
        Rates may divide by states that do not move, since these are replaced by their values.

    Raises
    ------
    FileFormatError
        If a symbol is needed that has no value, or two definitions need each other.
    NotPolynomialError
        If a derivative is not a polynomial.
    """
    notes = dict.fromkeys(flat.notes)
    start = values_at_start(flat, notes)
    letters = flat.parameters if symbolic else ()
    names = [*flat.states, *letters]
    initial = initial_values(flat, letters, start, notes)
    arithmetic = PolynomialArithmetic(names, exact=flat.exact)
    values = {name: algebra.symbol(i) for i, name in enumerate(names)}
    arithmetic.constants.update(
        (i, initial[name])
        for i, name in enumerate(names)
        if i >= len(flat.states)
        or (folded and name not in flat.rates and name not in flat.assigned)
    )
    for name in (*flat.parameters, *flat.fixed):
        if name not in values and name in start:
            values[name] = algebra.constant(start[name])
    needed = flat.in_order(flat.rates.values(), flat.ruled.get)
    for name in needed:
        if name in flat.ruled:
            values[name] = value_of(flat, name, flat.ruled[name], values, arithmetic)
    flows = Flows()
    for i, name in enumerate(flat.states):
        if name in flat.rates:
            flows.equation(i, value_of(flat, name, flat.rates[name], values, arithmetic))
    ode, more = settle(arithmetic, flows, letters, _refuse)
    observables, others = views_of(flat, values, tuple(names))
    notes |= put_in(flat, names, start) | arithmetic.notes
    events = settled_events(flat, names, start)
    if events:
        notes[claim(events)] = None
    return Model(
        flat.name,
        ode,
        initial | more,
        None,
        observables,
        others,
        notes=tuple(notes),
        events=events,
    )


def initial_values(
    flat: FlatModel,
    letters: Sequence[str],
    start: Mapping[str, Fraction],
    notes: dict[str, None],
) -> dict[str, Fraction]:
    """The initial value of each state and letter: 0 where there is none, with a note."""
    for names, note in (
        (letters, NO_VALUE),
        (flat.states, "variables without an initial value start at 0: "),
    ):
        absent = [name for name in names if name not in start]
        if absent:
            notes[f"{note}{quote_names(absent)}"] = None
    return {name: start.get(name, Fraction(0)) for name in (*flat.states, *letters)}


def put_in(
    flat: FlatModel, variables: Sequence[str], start: Mapping[str, Fraction]
) -> dict[str, None]:
    """Notes of what stands in the equations in place of a name: values of constants, right sides of rules."""
    constants = [n for n in flat.parameters if n in start and n not in variables]
    constants += [n for n in flat.fixed if start.get(n, 1) != 1]  # a size of 1 changes nothing
    followed = [name for name in flat.observed if name in flat.ruled]
    return dict.fromkeys(put_in_notes(constants, followed, "rules"))


def _refuse(new: NewConstant) -> InputError:
    return NotPolynomialError(f"{new.place}: {new.problem}")


def value_of(
    flat: FlatModel,
    name: str,
    expression: Expression,
    values: Mapping[str, Polynomial],
    arithmetic: ExpressionAlgebra[Polynomial],
) -> Polynomial:
    """The value of an expression; an error says where it stands."""
    arithmetic.begin()
    place = flat.places.get(name, flat.path)
    try:
        return evaluate(expression, values, arithmetic, place)
    except InputError as problem:
        hint = ""
        absent = set(symbols(expression)).difference(values)
        later = isinstance(problem, NoValueError) and not isinstance(arithmetic, _AtStart)
        if later and not absent.isdisjoint(flat.parameters):
            hint = (
                "; give it a value, or keep parameters as symbols "
                '(parameters="symbolic", on the command line: --parameters symbolic)'
            )
        raise type(problem)(f"{place}: {problem}, in {quote(text(expression), 80)}{hint}") from None


def views_of(
    flat: FlatModel, values: dict[str, Polynomial], names: tuple[str, ...]
) -> tuple[dict[str, dict[str, Fraction]], dict[str, str]]:
    """What rules define, as combinations of states where it is one, as text otherwise."""
    linear: dict[str, dict[str, Fraction]] = {}
    others: dict[str, str] = {}
    plain = PolynomialArithmetic()
    for name in flat.in_order(flat.observed, flat.ruled.get):
        if name not in flat.ruled:
            continue
        lost = any(
            other in flat.ruled and other not in values for other in symbols(flat.ruled[name])
        )
        if name not in values and not lost:
            # The system does not need it, so it may be anything.
            with suppress(NotPolynomialError):
                values[name] = value_of(flat, name, flat.ruled[name], values, plain)
        if name not in flat.observed:
            continue
        polynomial = values.get(name)
        combination = None
        if polynomial:
            inside = all(v < len(flat.states) for monomial in polynomial for v, _ in monomial)
            combination = linear_combination(polynomial, names) if inside else None
        if combination is None:
            others[name] = text(flat.ruled[name])
        else:
            linear[name] = combination
    return linear, others
