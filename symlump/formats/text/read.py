"""A model typed as text: equations, values, definitions; what ``symlump lump -`` reads from standard input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from symlump.errors import FileFormatError
from symlump.formats.expression import NAMES_OF_NONE, TYPED, ExpressionReader, Tokens
from symlump.formats.flat import Call, Expression, FlatModel, Trees, asks_for, symbols
from symlump.formats.functional_model import functional_model
from symlump.formats.model import Model
from symlump.formats.polynomial_model import polynomial_model
from symlump.formats.source import Source, quote, quote_names
from symlump.formats.text.statements import statements, without_comments
from symlump.ode.maps import in_time

_EXPECTED = "an equation such as x' = -k*x/(1 + x), a value such as k = 2, or x(0) = 1"


def read_statements(
    source: Source, *, parameters: str = "values", constants: str = "keep", functions: bool = False
) -> Model:
    """Read equations ``x' = …`` with values ``k = 2``, ``x(0) = 1`` and definitions ``v = k*x``.

    One statement a line, or several with semicolons between them; ``#`` and ``//`` begin comments.
    ``dx/dt = …`` and ``d(x) = …`` mean the same as ``x' = …``, and ``x+ = …`` says the next value in a map. A
    name without equation or value is a symbolic parameter, with a note. What a definition names is put in where
    it occurs. What has no initial value starts at 0.

    Raises
    ------
    FileFormatError
        If a statement is none of these; with line and column.
    NotPolynomialError
        If there are functions, and ``functions`` is not said; or one of them is not known.

    Examples
    --------
    >>> model = read_statements(Source("-", "x' = -v; y' = v; v = k*x; k = 2; x(0) = 1"))
    >>> print(model.ode)
    x' = -2*x
    y' = 2*x
    >>> model.notes
    ("constants replaced by their values: 'k'", "put in where they occur, as rules define them: 'v'")
    """
    source = without_comments(source)
    found: dict[str, dict[str, tuple[int, int]]] = {
        "rate": {},
        "next": {},
        "start": {},
        "value": {},
    }
    for kind, name, at, begin, end in statements(source, _EXPECTED):
        if name in found[kind]:
            raise source.error(at, f"{quote(name)} has two {_KINDS[kind]}")
        found[kind][name] = begin, end
    rates = found["rate"] or found["next"]
    for name in found["value"]:
        if name in rates:
            at = found["value"][name][0]
            raise source.error(
                at, f"{quote(name)} has an equation; write {name}(0) = … for where it starts"
            )
    if found["rate"] and found["next"]:
        raise FileFormatError(
            f"{source.path}: x' = … (a derivative) and x+ = … (the next value) in one system"
        )
    if not rates:
        raise FileFormatError(f"{source.path}: there is no equation, such as x' = -k*x/(1 + x)")
    spans = [span for kind in found.values() for span in kind.values()]
    used = dict.fromkeys(name for span in spans for name in _names(source, span))
    known = {*rates, *found["value"]}
    free = [name for name in used if name not in known and name not in BUILT_IN]
    absent = {name: NAMES_OF_NONE[name] for name in free if name in NAMES_OF_NONE}
    meaning: dict[str, Expression] = {n: n for n in (*known, *free) if n not in absent}
    meaning |= {name: value for name, value in BUILT_IN.items() if name not in known}
    reader = ExpressionReader(meaning, TYPED, Trees(), absent)

    def read(kind: str) -> dict[str, Expression]:
        return {name: _expression(source, reader, span) for name, span in found[kind].items()}

    values = read("value")
    moving = _moving(rates, values)
    ruled = {name: value for name, value in values.items() if name in moving}
    pending = {name: value for name, value in values.items() if name not in moving}
    start = read("start")
    for name in start:
        if name not in rates:
            raise source.error(
                found["start"][name][0], f"{quote(name)} has no equation, but an initial value"
            )
    symbolic = parameters == "symbolic"
    note = f"names without equation or value, taken as parameters: {quote_names(free)}"
    if not {"e", "E"}.isdisjoint(free):
        note += " (Euler's number is exp(1))"
    notes = (note,) if free else ()
    flat = FlatModel(
        Path(source.path).stem.strip("-") or "equations",
        source.path,
        tuple(rates),
        (*free, *(pending if symbolic else ())),
        () if symbolic else tuple(pending),
        {
            **dict.fromkeys(rates, Fraction(0)),
            **pending,
            **start,
        },
        ruled,
        read("rate") | read("next"),
        tuple(ruled),
        notes=notes,
        exact=True,
    )
    if functions:
        model = functional_model(flat, symbolic=True)
    else:
        model = polynomial_model(flat, symbolic=True, folded=constants == "values")
    return replace(model, ode=in_time(model.ode, bool(found["next"])))


_KINDS = {"rate": "equations", "next": "equations", "start": "initial values", "value": "values"}
BUILT_IN: dict[str, Expression] = {"t": Call("time"), "time": Call("time"), "pi": Call("pi")}


def _names(source: Source, span: tuple[int, int]) -> list[str]:
    """The names on a right-hand side that are not called."""
    tokens, found = Tokens(source, *span), []
    while tokens.kind != "end":
        kind, name = tokens.kind, tokens.text
        tokens.advance()
        if kind == "name" and tokens.text != "(":
            found.append(name)
    return found


def _moving(rates: Iterable[str], values: Mapping[str, Expression]) -> set[str]:
    """What has an equation, and each definition that names the time or something that moves."""
    named_by: dict[str, list[str]] = {}
    for name, value in values.items():
        for other in symbols(value):
            named_by.setdefault(other, []).append(name)
    moving: set[str] = set()
    pending = [*rates, *(name for name, value in values.items() if asks_for(value, "time"))]
    while pending:
        name = pending.pop()
        if name not in moving:
            moving.add(name)
            pending += named_by.get(name, ())
    return moving


def _expression(
    source: Source, reader: ExpressionReader[Expression], span: tuple[int, int]
) -> Expression:
    tokens = Tokens(source, *span)
    found = reader.read(tokens)
    if tokens.kind != "end":
        raise tokens.error("an operator such as *, or the end of the equation")
    return found
