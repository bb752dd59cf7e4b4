"""Writing BioNetGen networks, so that reading them back gives the same system."""

from __future__ import annotations

import re

from symlump.errors import FileFormatError
from symlump.formats import algebra
from symlump.formats.expression import NAME, NUMBER
from symlump.formats.flows import equations
from symlump.formats.model import Model


def write_bionetgen(model: Model) -> str:
    """The text of a ``.net`` file: one reaction per term, with its rate as a parameter.

    A term that consumes is a reaction that consumes where its monomial contains the species, and
    has a negative rate otherwise.

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
            raise FileFormatError(f"the name {ode.variables[i]!r} cannot stand in a .net file")
    for name in ode.parameters:
        if not re.fullmatch(NAME, name):
            raise FileFormatError(f"the parameter {name!r} cannot stand in a .net file")
    rates: dict[str, str] = {}
    reactions: list[str] = []
    for row, terms in equations(ode):
        for value, monomial in terms:
            present = [str(number[v]) for v, k in monomial if v not in fixed for _ in range(k)]
            consumes = value < 0 and str(number[row]) in present
            products = list(present)
            if consumes:
                products.remove(str(number[row]))
            else:
                products.append(str(number[row]))
            rate = algebra.decimal_text(-value if consumes else value)
            constants = [f"{fixed[v]}^{k}" for v, k in monomial if v in fixed]
            rate = (
                "*".join([rate, *constants])
                if fixed
                else rates.setdefault(rate, f"_rate{len(rates) + 1}")
            )
            sides = f"{','.join(present) or 0} {','.join(products) or 0}"
            reactions.append(f"{len(reactions) + 1} {sides} {rate}")
    values = {name: algebra.decimal_text(model.initial_values[name]) for name in ode.parameters}
    values |= {name: rate for rate, name in rates.items()}
    starts = [
        f"{place} {ode.variables[i]} {algebra.decimal_text(model.initial_values[ode.variables[i]])}"
        for i, place in number.items()
    ]
    groups = [
        f"{place} {name} "
        + ",".join(
            f"{algebra.decimal_text(value)}*{number[ode.index[variable]]}"
            for variable, value in combination.items()
        )
        for place, (name, combination) in enumerate(model.observables.items(), start=1)
        if all(re.fullmatch(NUMBER, algebra.decimal_text(v)) for v in combination.values())
        and re.fullmatch(NAME, name)
    ]
    parts = {
        "parameters": [f"{i} {name} {v}" for i, (name, v) in enumerate(values.items(), start=1)],
        "species": starts,
        "reactions": reactions,
        "groups": groups,
    }
    title = re.sub(r"[^\w .-]", " ", model.name)
    lines = [f'setModelName("{title}")']
    for block, content in parts.items():
        lines += [f"begin {block}", *(f"    {line}" for line in content), f"end {block}"]
    return "\n".join(lines) + "\n"
