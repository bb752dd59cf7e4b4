"""Writing SBML (level 3, version 1): one rate rule per variable, with exact numbers only."""

from __future__ import annotations

import re
from fractions import Fraction
from xml.sax.saxutils import quoteattr

from symlump.errors import FileFormatError
from symlump.formats.algebra import Monomial, fraction_text, shortest_decimal
from symlump.formats.flows import equations
from symlump.formats.model import Model
from symlump.formats.source import shown

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\ufffe\uffff\ud800-\udfff]")
_MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'
_INTEGER = 2**31  # what readers of integers and rationals in MathML hold


def write_sbml(model: Model) -> str:
    """The text of an SBML file, with each variable as a concentration in a compartment of size 1.

    A name that SBML does not allow is replaced by s1, s2, … and kept as the attribute ``name``.

    Raises
    ------
    FileFormatError
        If a number is neither a short decimal nor a rational in 32 bits: SBML cannot hold it.
    """
    ode = model.ode
    fixed = set(ode.parameters)
    ids = _identifiers(ode.variables)
    species, parameters, assignments, rules = [], [], [], []
    for name, identifier in zip(ode.variables, ids, strict=True):
        title = "" if name == identifier else f" name={quoteattr(_CONTROL.sub(' ', name))}"
        value = model.initial_values[name]
        given = _double(value)
        if given is None:
            math = _MATH.format(_number(value))
            assignments.append(
                f'<initialAssignment symbol="{identifier}">{math}</initialAssignment>'
            )
        if name in fixed:
            start = "" if given is None else f' value="{given}"'
            parameters.append(f'<parameter id="{identifier}"{title}{start} constant="true"/>')
        else:
            start = "" if given is None else f' initialConcentration="{given}"'
            species.append(
                f'<species id="{identifier}"{title} compartment="space"{start} '
                'hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>'
            )
    for row, terms in equations(ode):
        if terms:
            rules.append(f'<rateRule variable="{ids[row]}">{_math(terms, ids)}</rateRule>')
    title = quoteattr(_CONTROL.sub(" ", model.name))
    parts = {
        "Compartments": [
            '<compartment id="space" spatialDimensions="3" size="1" constant="true"/>'
        ],
        "Species": species,
        "Parameters": parameters,
        "InitialAssignments": assignments,
        "Rules": rules,
    }
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">',
        f"<model name={title}>",
    ]
    for part, content in parts.items():
        if content:
            lines += [f"<listOf{part}>", *content, f"</listOf{part}>"]
    return "\n".join([*lines, "</model>", "</sbml>", ""])


def _identifiers(names: tuple[str, ...]) -> list[str]:
    taken = {name for name in names if _IDENTIFIER.fullmatch(name)} | {"space"}
    result, number = [], 0
    for name in names:
        if _IDENTIFIER.fullmatch(name) and name != "space":
            result.append(name)
            continue
        number += 1
        while f"s{number}" in taken:
            number += 1
        result.append(f"s{number}")
    return result


def _double(value: Fraction) -> str | None:
    """The decimal that a reader of doubles turns back into this number, if there is one."""
    text = shortest_decimal(value)
    return None if text is None else text.removesuffix(".0")


def _number(value: Fraction) -> str:
    text = _double(value)
    if text is not None:
        mantissa, _, exponent = text.partition("e")
        if exponent:
            return f'<cn type="e-notation">{mantissa}<sep/>{int(exponent)}</cn>'
        return f"<cn>{text}</cn>"
    if abs(value.numerator) < _INTEGER and value.denominator < _INTEGER:
        return f'<cn type="rational">{value.numerator}<sep/>{value.denominator}</cn>'
    raise FileFormatError(
        f"SBML cannot hold the number {shown(fraction_text(value), 40)} exactly; "
        "write another format"
    )


def _math(terms: list[tuple[Fraction, Monomial]], ids: list[str]) -> str:
    written = []
    for value, monomial in terms:
        factors = [_number(value)] if value != 1 or not monomial else []
        for variable, power in monomial:
            factor = f"<ci>{ids[variable]}</ci>"
            factors.append(
                factor if power == 1 else f"<apply><power/>{factor}<cn>{power}</cn></apply>"
            )
        many = len(factors) > 1
        written.append(f"<apply><times/>{''.join(factors)}</apply>" if many else factors[0])
    total = "".join(written)
    return _MATH.format(f"<apply><plus/>{total}</apply>" if len(written) > 1 else total)
