"""From a flat list of symbols to a system whose equations may contain quotients and functions."""

from __future__ import annotations

from symlump.errors import FileFormatError, InputError
from symlump.formats.events import claim, settled_events
from symlump.formats.flat import FlatModel
from symlump.formats.model import Model
from symlump.formats.polynomial_model import (
    initial_values,
    put_in,
    value_of,
    values_at_start,
    views_of,
)
from symlump.formats.symbolic import SymbolArithmetic, left_out
from symlump.ode.functions.algebra import Polynomial, constant, symbol
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE


def functional_model(flat: FlatModel, *, symbolic: bool) -> Model:
    """The system of a flat model, with its initial values and observables.

    Parameters
    ----------
    flat : FlatModel
    symbolic : bool
        Keep the parameters as letters.

    Raises
    ------
    FileFormatError
        If a symbol is needed that has no value, or two definitions need each other.
    NotPolynomialError
        If a function is not known.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from symlump.formats.flat import Call
    >>> decay = Call("/", (Call("-", ("x",)), Call("+", ("k", "x"))))
    >>> flat = FlatModel("m", "m.xml", ("x",), ("k",), (), {"x": Fraction(1), "k": Fraction(2)},
    ...     rates={"x": decay})
    >>> print(functional_model(flat, symbolic=False).ode)
    x' = -x/(2 + x)
    """
    notes = dict.fromkeys(flat.notes)
    start = values_at_start(flat, notes)
    letters = flat.parameters if symbolic else ()
    names = [*flat.states, *letters]
    arithmetic = SymbolArithmetic(SymbolTable(len(names)), flat.exact)
    values: dict[str, Polynomial] = {name: symbol(i) for i, name in enumerate(names)}
    for name in (*flat.parameters, *flat.fixed):
        if name not in values and name in start:
            values[name] = constant(start[name])
    for name in flat.in_order(flat.rates.values(), flat.ruled.get):
        if name in flat.ruled:
            values[name] = value_of(flat, name, flat.ruled[name], values, arithmetic)
    equations = [
        dict(value_of(flat, name, flat.rates[name], values, arithmetic))
        if name in flat.rates
        else {}
        for name in flat.states
    ]
    try:
        ode = ODE.from_table(names, [*equations, *({} for _ in letters)], arithmetic.table, letters)
    except InputError as problem:
        raise FileFormatError(f"{flat.path}: {problem}") from None
    lost = left_out(names, equations, arithmetic.table)
    notes |= {lost: None} if lost else {}
    observables, others = views_of(flat, values, tuple(names))
    notes |= put_in(flat, names, start) | arithmetic.notes
    initial = initial_values(flat, letters, start, notes)
    events = settled_events(flat, names, start)
    if events:
        notes[claim(events)] = None
    return Model(
        flat.name, ode, initial, None, observables, others, notes=tuple(notes), events=events
    )
