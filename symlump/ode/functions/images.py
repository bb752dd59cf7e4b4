"""Systems under substitution: every variable replaced by a polynomial, every function followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from symlump.errors import InputError, VariableError
from symlump.ode.distinct import index_of
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import (
    Budget,
    Monomial,
    Polynomial,
    add_to,
    check_number,
    constant,
    power_of_number,
    symbol,
    symbols_of,
)
from symlump.ode.functions.generators import Generators, renumber
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import Monomials

if TYPE_CHECKING:
    from symlump.ode.system import ODE


def functions_of(ode: ODE) -> Iterator[tuple[str, list[Polynomial]]]:
    """The name and the arguments of each function in a system, in the order of their symbols."""
    generators = ode.generators
    if generators is not None:
        for k, name in enumerate(generators.functions):
            yield name, generators.arguments_of(k)


def images_of(
    ode: ODE, table: SymbolTable, images: Sequence[Polynomial] | None
) -> tuple[list[Polynomial], list[Polynomial]]:
    """See :meth:`symlump.ode.system.ODE.into`."""
    of: list[Polynomial] = list(map(symbol, range(len(ode))) if images is None else images)
    for k, (name, arguments) in enumerate(functions_of(ode)):
        u = [image(p, of, table) for p in arguments]
        try:
            of.append(table.apply(name, u))
        except InputError as problem:
            raise type(problem)(f"{problem}: {_shown(ode, k)}") from None
    monomials = [
        image({tuple(ode.monomials.factors(m)): Fraction(1)}, of, table)
        for m in range(len(ode.monomials))
    ]
    equations: list[Polynomial] = [{} for _ in range(len(ode))]
    for row, column, value in zip(
        ode.rows.tolist(), ode.columns.tolist(), ode.coefficients, strict=True
    ):
        add_to(equations[row], monomials[column], value)
    return equations, of


def equal(a: ODE, b: ODE) -> bool:
    """True if two systems have the same time, variables and equations; their symbols may have other numbers."""
    if a.variables != b.variables or a.discrete != b.discrete:
        return False
    if set(a.parameters) != set(b.parameters):
        return False
    table = SymbolTable(len(a))
    return images_of(a, table, None)[0] == images_of(b, table, None)[0]


def move_variables(
    ode: ODE, place: IntArray, names: Sequence[str]
) -> tuple[Sequence[str], list[Polynomial], SymbolTable, list[str], bool]:
    """What ``ODE.from_table`` makes the system of that has variable i at ``place[i]``, under its new name."""
    table = SymbolTable(len(ode))
    equations, _ = images_of(ode, table, [symbol(i) for i in place.tolist()])
    reordered: list[Polynomial] = [{} for _ in equations]
    for i, equation in zip(place.tolist(), equations, strict=True):
        reordered[i] = equation
    new = {old: names[i] for old, i in zip(ode.variables, place.tolist(), strict=True)}
    parameters = [new[name] for name in ode.parameters]
    return names, reordered, table, parameters, ode.coefficients.is_float


class Numbered(NamedTuple):
    """The fields of a system."""

    variables: tuple[str, ...]
    monomials: Monomials
    rows: IntArray
    columns: IntArray
    coefficients: ExactArray
    parameters: tuple[str, ...]
    generators: Generators | None


def numbered_table(
    variables: Iterable[str],
    equations: Sequence[Polynomial],
    table: SymbolTable,
    parameters: Iterable[str],
    floats: bool,
) -> Numbered:
    """See :meth:`symlump.ode.system.ODE.from_table`."""
    names, constants = tuple(variables), tuple(parameters)
    _check_parameters(names, constants, [bool(p) for p in equations])
    used = dict.fromkeys(s for p in equations for s in sorted(symbols_of(p)) if s >= table.count)
    generators = None
    if used:
        for name, p in zip(names, equations, strict=True):
            problem = table.held_in(p)
            if problem:
                raise InputError(f"the equation of {name!r}: {problem}")
        generators, number = Generators.of(table, list(used), floats)
        equations = [renumber(p, number) for p in equations]
    terms = Polynomials.of(equations, floats)
    return _numbered(names, terms, constants, generators)


def numbered_arrays(
    variables: Iterable[str],
    equations: Polynomials,
    generators: Generators,
    parameters: Iterable[str],
) -> Numbered:
    """See :meth:`symlump.ode.system.ODE.from_arrays`."""
    names, constants = tuple(variables), tuple(parameters)
    _check_parameters(names, constants, np.diff(equations.indptr).astype(bool).tolist())
    _, symbol = equations.occurrences()  # by equation
    first: dict[int, None] = dict.fromkeys(symbol[symbol >= len(names)].tolist())
    chosen, number = generators.chosen([s - len(names) for s in first])
    equations = equations.select(np.arange(len(names))).renumbered(number)
    return _numbered(names, equations, constants, chosen if len(chosen) else None)


def _numbered(
    names: tuple[str, ...],
    terms: Polynomials,
    parameters: tuple[str, ...],
    generators: Generators | None,
) -> Numbered:
    return Numbered(
        names,
        terms.monomials,
        terms.rows,
        terms.columns,
        terms.coefficients,
        parameters,
        generators,
    )


def _check_parameters(
    names: tuple[str, ...], parameters: tuple[str, ...], has_equation: Sequence[bool]
) -> None:
    index = index_of(names)
    for name in parameters:
        if name not in index:
            raise VariableError(f"parameter {name!r} is not a variable of the system")
        if has_equation[index[name]]:
            raise VariableError(f"parameter {name!r} has an equation; a parameter is constant")


def image(
    p: Polynomial, of: Sequence[Polynomial], table: SymbolTable, budget: Budget | None = None
) -> Polynomial:
    """The polynomial with ``of[s]`` in place of each symbol s."""
    budget = budget or Budget()
    result: Polynomial = {}
    for monomial, value in p.items():
        simple = _simple(monomial, value, of, table)
        if simple is None:
            product = constant(value)
            for s, k in monomial:
                raised = table.power(of[s], constant(k), budget)
                product = table.multiply(product, raised, budget)
            add_to(result, product)
        else:
            add_to(result, simple)
    return result


def _simple(
    monomial: Monomial, value: Fraction, of: Sequence[Polynomial], table: SymbolTable
) -> Polynomial | None:
    """The image of a monomial where that of every symbol is one symbol, a monomial or a number."""
    powers: dict[int, int] = {}
    for s, k in monomial:
        into = of[s]
        if len(into) != 1:
            return None if into else {}
        ((inner, factor),) = into.items()
        if factor != 1:
            value = check_number(value * power_of_number(factor, k))
        for t, e in inner:
            powers[t] = powers.get(t, 0) + e * k
    return table.cancel({tuple(sorted(powers.items())): value})


def _shown(ode: ODE, k: int) -> str:
    from symlump.ode.functions.printing import symbol_text

    return symbol_text(ode, len(ode) + k)
