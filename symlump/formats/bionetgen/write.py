"""Writing BioNetGen networks, so that reading them back gives the same system."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from symlump.errors import FileFormatError
from symlump.formats import numerals
from symlump.formats.expression import NAME, NUMBER
from symlump.formats.flat import Text, evaluate, symbols
from symlump.formats.flows import equations
from symlump.formats.model import Model
from symlump.formats.trees import has_functions, right_sides
from symlump.ode.system import ODE

_NAMES = (
    "exp ln log10 log2 sqrt abs min max sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"
)
_KNOWN = {*_NAMES.split(), "+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!="}


def write_bionetgen(model: Model) -> str:
    """The text of a ``.net`` file: one reaction per term, with its rate as a parameter.

    A term that consumes is a reaction that consumes where its monomial contains the species, and
    has a negative rate otherwise. Terms with quotients or functions make one function for each variable,
    in terms of groups of one species.

    Raises
    ------
    FileFormatError
        If a name cannot stand in the format.
    """
    ode = model.ode
    fixed = {ode.index[name]: name for name in ode.parameters}
    species = [i for i in range(len(ode)) if i not in fixed]
    number = {variable: place for place, variable in enumerate(species, start=1)}
    for i in species:
        if re.search(r"[\s#$]", ode.variables[i]) or not ode.variables[i]:
            raise FileFormatError(f"the name {ode.variables[i]!r} is not allowed in a .net file")
    for name in ode.parameters:
        if not re.fullmatch(NAME, name):
            raise FileFormatError(f"the parameter {name!r} is not allowed in a .net file")
    rates: dict[str, str] = {}
    reactions: list[str] = []
    for row, terms in equations(ode):
        for value, monomial in terms:
            if has_functions(monomial, ode):
                continue
            present = [str(number[v]) for v, k in monomial if v not in fixed for _ in range(k)]
            consumes = value < 0 and str(number[row]) in present
            products = list(present)
            if consumes:
                products.remove(str(number[row]))
            else:
                products.append(str(number[row]))
            rate = numerals.decimal_text(-value if consumes else value)
            constants = [f"{fixed[v]}^{k}" for v, k in monomial if v in fixed]
            rate = (
                "*".join([rate, *constants])
                if fixed
                else rates.setdefault(rate, f"_rate{len(rates) + 1}")
            )
            sides = f"{','.join(present) or 0} {','.join(products) or 0}"
            reactions.append(f"{len(reactions) + 1} {sides} {rate}")
    values = {name: numerals.decimal_text(model.initial_values[name]) for name in ode.parameters}
    values |= {name: rate for rate, name in rates.items()}
    starts = [
        f"{place} {ode.variables[i]} {numerals.decimal_text(model.initial_values[ode.variables[i]])}"
        for i, place in number.items()
    ]
    groups = [
        f"{place} {name} "
        + ",".join(
            f"{numerals.decimal_text(value)}*{number[ode.index[variable]]}"
            for variable, value in combination.items()
        )
        for place, (name, combination) in enumerate(model.observables.items(), start=1)
        if all(re.fullmatch(NUMBER, numerals.decimal_text(v)) for v in combination.values())
        and re.fullmatch(NAME, name)
    ]
    functions, grouped = _functions(ode, number, set(model.observables) | set(values))
    for place, name, _ in functions:
        reactions.append(f"{len(reactions) + 1} 0 {place} {name}")
    groups += [f"{len(groups) + k} {group}" for k, group in enumerate(grouped, start=1)]
    parts = {
        "parameters": [f"{i} {name} {v}" for i, (name, v) in enumerate(values.items(), start=1)],
        "functions": [
            f"{k} {name}() {text}" for k, (_, name, text) in enumerate(functions, start=1)
        ],
        "species": starts,
        "reactions": reactions,
        "groups": groups,
    }
    title = re.sub(r"[^\w .-]", " ", model.name)
    lines = [f'setModelName("{title}")']
    for block, content in parts.items():
        if block == "functions" and not content:
            continue
        lines += [f"begin {block}", *(f"    {line}" for line in content), f"end {block}"]
    return "\n".join(lines) + "\n"


def _functions(
    ode: ODE, number: dict[int, int], taken: set[str]
) -> tuple[list[tuple[int, str, str]], list[str]]:
    """Number, function and formula of each species whose derivative has functions; the groups in these."""
    functions: list[tuple[int, str, str]] = []
    if ode.generators is None:
        return functions, []
    prefix = "_"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    names = {name: name for name in ode.parameters}
    for variable, place in number.items():
        names[ode.variables[variable]] = f"{prefix}g{place}"
    used: set[str] = set()
    for row, side in enumerate(right_sides(ode, only_functions=True)):
        if not side:
            continue
        used.update(symbols(side))
        functions.append((number[row], f"{prefix}f{number[row]}", evaluate(side, names, _Text())))
    groups = [
        f"{names[ode.variables[variable]]} {place}"
        for variable, place in number.items()
        if ode.variables[variable] in used
    ]
    return functions, groups


class _Text(Text):
    """Formulas as BioNetGen reads them."""

    def apply(self, operator: str, arguments: Sequence[str], place: Hashable = None) -> str:
        """The formula of an operation."""
        u = list(arguments)
        if operator == "time":
            return "time()"
        if operator == "piecewise" and len(u) % 2:
            text = u.pop()
            while u:
                condition, value = u.pop(), u.pop()
                text = f"if({condition},{value},{text})"
            return text
        if operator in ("and", "or"):
            sign = " && " if operator == "and" else " || "
            return f"({sign.join(f'({part})' for part in u)})"
        if operator == "not":
            return f"if({u[0]},0,1)"
        if operator == "sign":
            return f"if({u[0]}>0,1,if({u[0]}<0,-1,0))"
        if operator not in _KNOWN:
            raise FileFormatError(f"a .net file cannot hold the function {operator}")
        return super().apply(operator, u, place)
