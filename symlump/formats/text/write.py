"""Writing equations as one types them, so that reading them back gives the same system."""

from __future__ import annotations

import re

from symlump.formats.expression import NAME, NAMES_OF_NONE, allowed_names
from symlump.formats.model import Model, combination_text
from symlump.formats.numerals import fraction_text
from symlump.formats.text.read import BUILT_IN
from symlump.ode.notation import left_text
from symlump.ode.printing import whole_equations

_SPACE = re.compile(r"\s+")


def write_statements(model: Model) -> str:
    """The text of a model: equations ``x' = …``, values ``k = 2`` and ``x(0) = 1``, views ``v = x + y``.

    A name that cannot be typed, such as ``A(b!1)``, is replaced by s1, s2, …, with a comment. So is what the
    format does not hold: the partition, and views that are no linear combinations.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from symlump.ode.system import ODE
    >>> ode = ODE.from_text("x' = -k*x/(1 + x) + t; y' = k*y", ["k"])
    >>> start = {"x": Fraction(1), "y": Fraction(0), "k": Fraction(1, 3)}
    >>> print(write_statements(Model("m", ode, start, observables={"both": start | {"k": Fraction(0)}})))
    # m
    x' = t - x*k/(1 + x)
    y' = y*k
    x(0) = 1
    k = 1/3
    both = x
    <BLANKLINE>
    """
    ode = model.ode
    reserved = {*BUILT_IN, *NAMES_OF_NONE}
    # A letter that is 0 is left without a value, so that it stays a letter whoever reads it.
    free = {name for name in ode.parameters if not model.initial_values[name]}
    names = allowed_names(ode.variables, "s", NAME, free & reserved)
    lines = [f"# {_SPACE.sub(' ', model.name).strip() or 'model'}"]
    lines += [f"# {new} is {_comment(old)}" for old, new in names.items() if new != old]
    equations = whole_equations(ode, list(names.values()), fraction_text)
    fixed = set(ode.parameters)
    occurring = {ode.variables[i] for i in ode.edges[0].tolist()}
    for name, equation in zip(ode.variables, equations, strict=True):
        if name not in fixed:
            lines.append(f"{left_text(names[name], ode.discrete).replace('⁺', '+')} = {equation}")
    for name, value in model.initial_values.items():
        if name in fixed and (value or name not in occurring):
            lines.append(f"{names[name]} = {fraction_text(value)}")
        elif value:
            lines.append(f"{names[name]}(0) = {fraction_text(value)}")
    views = allowed_names(model.observables, "view", NAME, {*names.values(), *reserved})
    for name, combination in model.observables.items():
        present = {names[variable]: value for variable, value in combination.items() if value}
        if views[name] != name:
            lines.append(f"# {views[name]} is the view {_comment(name)}")
        lines.append(f"{views[name]} = {combination_text(present)}")
    for block in model.partition or ():
        lines.append(f"# block of the partition: {', '.join(names[name] for name in block)}")
    lines += [f"# view left out: {_comment(name)}" for name in model.other_views]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return _SPACE.sub(" ", text)
