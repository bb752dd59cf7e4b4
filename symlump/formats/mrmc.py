"""Markov chains in the ``.tra`` format of MRMC: one transition a line, states numbered from 1.

The system is the one that moves probability: d(S_j) = Σ_i P[i, j]·S_i, with variables S1 … Sn.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np

from symlump.errors import FileFormatError, InputError
from symlump.formats import algebra
from symlump.formats.expression import NUMBER
from symlump.formats.model import Model
from symlump.formats.source import Source, shown
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

MAX_STATES = 2_000_000
_HEAD = re.compile(
    r"\s*STATES[ \t]+([0-9]{1,12})[ \t]*\n"
    r"\s*TRANSITIONS[ \t]+([0-9]{1,12})[ \t]*(?:\n\s*|\Z)"
)
_LINE = re.compile(
    rf"([0-9]{{1,12}})[ \t]+([0-9]{{1,12}})[ \t]+(-?{NUMBER}(?:/[0-9]+)?)[ \t]*(?:\n\s*|\Z)"
)


def read_tra(source: Source) -> Model:
    """Read a chain. Transitions between the same two states add up.

    Probabilities (or rates) are decimals or ``p/q``, and are kept exactly.

    Raises
    ------
    FileFormatError
        If a line is not a transition, a state is outside 1 … n, or the number of transitions is
        not the announced one.
    """
    text = source.text
    head = _HEAD.match(text)
    if head is None:
        raise source.error(
            0, f"expected 'STATES n' and 'TRANSITIONS m', found {shown(text.lstrip()[:30])}"
        )
    states, announced = int(head[1]), int(head[2])
    if states > MAX_STATES:
        raise source.error(head.start(1), f"more than {MAX_STATES} states")
    sources, targets, values = [], [], []
    table: dict[str, int] = {}
    numbers: list[Fraction] = []
    position = head.end()
    while position < len(text):
        line = _LINE.match(text, position)
        if line is None:
            end = text.find("\n", position)
            found = text[position : end if end >= 0 else None]
            raise source.error(position, f"expected 'from to probability', found {shown(found)}")
        i, j, value = line.groups()
        if not (0 < int(i) <= states and 0 < int(j) <= states):
            raise source.error(position, f"state outside 1 … {states} in {shown(line[0].strip())}")
        place = table.get(value)
        if place is None:
            place = table[value] = len(numbers)
            numbers.append(_number(source, line.start(3), value))
        sources.append(int(i) - 1)
        targets.append(int(j) - 1)
        values.append(place)
        position = line.end()
    if len(values) != announced:
        raise source.error(
            head.start(2), f"{announced} transitions announced, {len(values)} in the file"
        )
    monomials, where = Monomials.from_factors(
        np.arange(len(values), dtype=np.int64),
        np.array(sources, dtype=np.int64),
        np.ones(len(values), dtype=np.int64),
        len(values),
    )
    ode = PolynomialODE.from_terms(
        [f"S{k}" for k in range(1, states + 1)],
        np.array(targets, dtype=np.int64),
        where,
        ExactArray.from_fractions(numbers).take(np.array(values, dtype=np.int64)),
        monomials,
    )
    return Model(Path(source.path).stem, ode, dict.fromkeys(ode.variables, Fraction(0)))


def _number(source: Source, position: int, text: str) -> Fraction:
    sign = -1 if text.startswith("-") else 1
    top, _, bottom = text.lstrip("-").partition("/")
    try:
        value = sign * algebra.number(top)
        divisor = algebra.number(bottom) if bottom else Fraction(1)
    except InputError as problem:
        raise source.error(position, f"{problem}: {shown(text)}") from None
    if not divisor:
        raise source.error(position, f"division by zero in {shown(text)}")
    return value / divisor


def write_tra(model: Model) -> str:
    """The text of a chain, one transition a line.

    States are numbered in the order of the variables; their names are not part of the format.

    Raises
    ------
    FileFormatError
        If a derivative is not a linear combination of variables, or a parameter is symbolic.
    """
    ode = model.ode
    if ode.parameters:
        raise FileFormatError("a .tra file has no symbolic parameters; read with their values")
    sizes, degrees = ode.monomials.lengths, ode.monomials.degrees
    if np.any(sizes != 1) or np.any(degrees != 1):
        raise FileFormatError(
            "a .tra file holds linear systems without constant terms; this one has a term that is "
            "not a number times a variable"
        )
    start = ode.monomials.variables[ode.columns]
    lines = [f"STATES {len(ode)}", f"TRANSITIONS {ode.terms}"]
    for t in np.lexsort((ode.rows, start)).tolist():
        value = algebra.decimal_text(ode.coefficients[t])
        lines.append(f"{int(start[t]) + 1} {int(ode.rows[t]) + 1} {value}")
    return "\n".join(lines) + "\n"
