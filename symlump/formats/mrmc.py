"""Markov chains in the ``.tra`` format of MRMC: one transition a line, states numbered from 1.

The numbers of a chain in discrete time are probabilities, and the system is d(S_j) = Σ_i P[i, j]·S_i, with
variables S1 … Sn. In continuous time they are rates, and what arrives has left somewhere:
d(S_j) = Σ_i R[i, j]·S_i − (Σ_k R[j, k])·S_j. The format does not say which of the two it holds; the sums of
its rows do, nearly always.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from symlump.errors import FileFormatError, InputError
from symlump.formats import algebra
from symlump.formats.expression import NUMBER
from symlump.formats.model import Model
from symlump.formats.source import Source, shown
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

MAX_STATES = 2_000_000
#: How far from 1 a sum of probabilities in print may be.
_ROUNDED = 1e-4

Chain = Literal["dtmc", "ctmc"]
_HEAD = re.compile(
    r"\s*STATES[ \t]+([0-9]{1,12})[ \t]*\n"
    r"\s*TRANSITIONS[ \t]+([0-9]{1,12})[ \t]*(?:\n\s*|\Z)"
)
_LINE = re.compile(
    rf"([0-9]{{1,12}})[ \t]+([0-9]{{1,12}})[ \t]+(-?{NUMBER}(?:/[0-9]+)?)[ \t]*(?:\n\s*|\Z)"
)


def read_tra(source: Source, *, chain: Chain | None = None) -> Model:
    """Read a chain. Transitions between the same two states add up.

    Numbers are decimals or ``p/q``, and are kept exactly.

    Parameters
    ----------
    source : Source
    chain : {"dtmc", "ctmc"}, optional
        Whether the numbers are probabilities (the matrix as it stands) or rates, from which the
        outflow is made. If it is not given, they are rates unless all rows sum to 1, or some are
        negative, as in a generator that has its outflow already; the model's notes say what was
        assumed.

    Examples
    --------
    >>> text = "STATES 2\\nTRANSITIONS 2\\n1 2 3\\n2 1 1/2\\n"
    >>> model = read_tra(Source("c.tra", text))
    >>> print(model.ode)
    S1' = -3*S1 + 1/2*S2
    S2' = 3*S1 - 1/2*S2
    >>> print(read_tra(Source("c.tra", text), chain="dtmc").ode)
    S1' = 1/2*S2
    S2' = 3*S1

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
    start, stop, which = (np.array(part, dtype=np.int64) for part in (sources, targets, values))
    chain, note = _kind(states, start, numbers, which, chain)
    if chain == "ctmc":
        # Each rate from i to another state takes as much away from i.
        start, stop, which, numbers = _with_outflow(start, stop, which, numbers)
    monomials, where = Monomials.from_factors(
        np.arange(len(start), dtype=np.int64),
        start,
        np.ones(len(start), dtype=np.int64),
        len(start),
    )
    ode = PolynomialODE.from_terms(
        [f"S{k}" for k in range(1, states + 1)],
        stop,
        where,
        ExactArray.from_fractions(numbers).take(which),
        monomials,
    )
    zeros = dict.fromkeys(ode.variables, Fraction(0))
    return Model(Path(source.path).stem, ode, zeros, notes=(note,) if note else ())


def _kind(
    states: int,
    start: NDArray[np.int64],
    numbers: list[Fraction],
    place: NDArray[np.int64],
    chain: Chain | None,
) -> tuple[Chain, str]:
    """What the numbers are, and the note that says it where nobody was asked."""
    if chain is not None or not len(start):
        return chain or "dtmc", ""
    value = np.array([_as_float(number) for number in numbers])[place]
    ask = "if they are not, say --chain"
    if (value < 0).any():
        return "dtmc", f"some are negative: taken as the whole matrix, with the outflow; {ask} ctmc"
    sums = np.bincount(start, value, states)[distinct(start)]
    if (np.abs(sums - 1) <= _ROUNDED).all():
        return (
            "dtmc",
            f"all rows sum to 1: taken as probabilities, a chain in discrete time; {ask} ctmc",
        )
    return "ctmc", (
        f"rows sum to {sums.min():.6g} … {sums.max():.6g}: taken as rates, a chain in continuous time; "
        f"{ask} dtmc"
    )


def _as_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _with_outflow(
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    place: NDArray[np.int64],
    numbers: list[Fraction],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[Fraction]]:
    moves = start != stop  # a rate from a state to itself changes nothing
    start, stop, place = start[moves], stop[moves], place[moves]
    return (
        np.concatenate((start, start)),
        np.concatenate((stop, start)),
        np.concatenate((place, place + len(numbers))),
        numbers + [-number for number in numbers],
    )


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
    """The text of a chain, one transition a line: the matrix with its outflow, as it stands.

    States are numbered in the order of the variables; their names are not part of the format.

    Raises
    ------
    FileFormatError
        If a derivative is not a linear combination of variables, or a parameter is symbolic; or if
        a reader would take the numbers for rates and add an outflow.
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
    numbers = list(ode.coefficients)
    if _kind(len(ode), start, numbers, np.arange(len(numbers)), None)[0] == "ctmc":
        raise FileFormatError(
            "in a .tra file this system would be read as a chain in continuous time, since its rows do "
            "not sum to 1; write .ode"
        )
    lines = [f"STATES {len(ode)}", f"TRANSITIONS {ode.terms}"]
    for t in np.lexsort((ode.rows, start)).tolist():
        value = algebra.decimal_text(ode.coefficients[t])
        lines.append(f"{int(start[t]) + 1} {int(ode.rows[t]) + 1} {value}")
    return "\n".join(lines) + "\n"
