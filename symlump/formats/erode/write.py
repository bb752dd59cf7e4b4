"""Writing ERODE files, so that reading them back gives the same system."""

from __future__ import annotations

import re
from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.formats.expression import FUNCTIONS, NAME, allowed_names
from symlump.formats.flows import equations
from symlump.formats.model import Model, combination_text
from symlump.formats.numerals import fraction_text
from symlump.ode.functions.algebra import Monomial
from symlump.ode.system import ODE

_NAME = re.compile(rf"(?<![\w.]){NAME}")
_RESERVED = {"begin", "end", "arbitrary"}
_SHARED = (
    "exp sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh abs sign floor ceil min max"
)
#: Functions as an ERODE file has them.
_WRITTEN = {name: name for name in _SHARED.split()} | {"log": "ln"}
_UNSAFE = re.compile(r'["\x00-\x1f]|//|/\*|\b(?:begin|end)\b')


def write_erode(model: Model) -> str:
    """The text of an ``.ode`` file: a system of equations with exact coefficients.

    A name that ERODE does not allow, such as ``A(b!1)``, is replaced by s1, s2, …, and stands in
    quotation marks behind it. Views that are not linear combinations are left out if they use
    a name that is not there any more: a renamed one, a parameter, a dropped constant.
    """
    ode = model.ode
    names = allowed_names(ode.variables, "s", NAME, _RESERVED)
    renamed = any(old != new for old, new in names.items())
    title = " ".join(_UNSAFE.sub(" ", model.name).split()) or "model"
    lines = [f"begin model {title}"]
    fixed = set(ode.parameters)
    if fixed:
        lines.append(" begin parameters")
        for name in ode.parameters:
            lines.append(f"  {_definition(name, names[name], model.initial_values[name])}")
        lines.append(" end parameters")
    lines.append(" begin init")
    for name in ode.variables:
        if name not in fixed:
            lines.append(f"  {_definition(name, names[name], model.initial_values[name])}")
    lines.append(" end init")
    blocks = [block for block in model.partition or () if fixed.isdisjoint(block)]
    if blocks:
        text = ",\n".join(f"  {{{','.join(names[name] for name in block)}}}" for block in blocks)
        lines += [" begin partition", text, " end partition"]
    lines.append(" begin ODE")
    written = [*names.values(), *_functions(ode, list(names.values()))]
    for row, terms in equations(ode):
        if ode.variables[row] not in fixed:
            lines.append(f"  d({written[row]}) = {_sum_text(terms, written)}")
    lines.append(" end ODE")
    views = {
        name: combination_text({names[variable]: value for variable, value in view.items()})
        for name, view in model.observables.items()
    }
    if not renamed:
        known = {*ode.variables, *FUNCTIONS}
        views |= {
            name: text
            for name, text in model.other_views.items()
            if known.issuperset(_NAME.findall(text))
        }
    if views:
        titles = allowed_names(views, "view", NAME, _RESERVED)
        lines.append(" begin views")
        lines += [f"  {titles[name]} = {text}" for name, text in views.items()]
        lines.append(" end views")
    lines.append("end model")
    return "\n".join(lines) + "\n"


def _functions(ode: ODE, names: list[str]) -> list[str]:
    """The functions in a system as text, each from those before it, exactly."""
    generators = ode.generators
    if generators is None:
        return []
    written = list(names)
    for k in range(len(generators)):
        u = [
            _sum_text([(value, m) for m, value in p.items()], written)
            for p in generators.arguments_of(k)
        ]
        name = generators.functions[k]
        if name in ("inverse", "power"):
            text = f"1/({u[0]})" if name == "inverse" else f"({u[0]})^({u[1]})"
            written.append(f"({text})")
        elif name in _WRITTEN:
            written.append(f"{_WRITTEN[name]}({', '.join(u)})")
        else:
            raise FileFormatError(
                f"an ERODE file cannot hold the function {name}; equations (.txt) and SBML (.xml) can"
            )
    return written[len(names) :]


def _definition(name: str, written: str, value: Fraction) -> str:
    text = f"{written} = {fraction_text(value)}"
    return text if name == written else f'{text} ( "{_UNSAFE.sub(" ", name)}" )'


def _sum_text(terms: list[tuple[Fraction, Monomial]], names: list[str]) -> str:
    parts: list[str] = []
    for value, monomial in terms:
        factors = [names[v] if power == 1 else f"{names[v]}^{power}" for v, power in monomial]
        size = abs(value)
        if size != 1 or not factors:
            factors.insert(0, fraction_text(size))
        elif value < 0 and not parts and monomial[0][1] > 1:
            factors.insert(0, "1")  # "-x^2" would be the square of -x
        sign = ("- " if value < 0 else "+ ") if parts else ("-" if value < 0 else "")
        parts.append(sign + "*".join(factors))
    return " ".join(parts) or "0"
