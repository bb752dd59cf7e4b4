"""Markov chains in the ``.tra`` format of MRMC: one transition a line, states numbered from 1.

The numbers of a chain in discrete time are probabilities, and the system is d(S_j) = Σ_i P[i, j]·S_i, with
variables S1 … Sn. In continuous time they are rates, and what arrives has left somewhere:
d(S_j) = Σ_i R[i, j]·S_i − (Σ_k R[j, k])·S_j. The format does not say which of the two it holds; the sums of
its rows do, nearly always.
"""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from symlump.errors import FileFormatError, InputError
from symlump.formats import algebra
from symlump.formats.chains.columns import read_columns
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
Ints = NDArray[np.int64]
_HEAD = re.compile(
    r"\s*STATES[ \t]+([0-9]{1,12})[ \t]*\n"
    r"\s*TRANSITIONS[ \t]+([0-9]{1,12})[ \t]*(?:\n\s*|\Z)"
)
_NUMBER = re.compile(rf"-?{NUMBER}(?:/[0-9]+)?")
_LINE = re.compile(
    rf"([0-9]{{1,12}})[ \t]+([0-9]{{1,12}})[ \t]+({_NUMBER.pattern})[ \t]*(?:\n\s*|\Z)"
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
    start, stop, values = _transitions(source, head.end(), states)
    if len(start) != announced:
        raise source.error(
            head.start(2), f"{announced} transitions announced, {len(start)} in the file"
        )
    chain, note = _kind(states, start, values, chain)
    if chain == "ctmc":
        # What leaves a state is the sum of its rates to others; a rate to itself changes nothing.
        moves = start != stop
        if not moves.all():
            start, stop, values = start[moves], stop[moves], values.take(moves)
        outflow = values.times(np.full(len(values), -1)).group_sum(start, states)
        every = np.arange(states, dtype=np.int64)
        start, stop = np.concatenate((start, every)), np.concatenate((stop, every))
        values = ExactArray.concatenate([values, outflow])
    table = np.arange(states + 1, dtype=np.int64)
    ode = PolynomialODE.from_terms(
        [f"S{k}" for k in range(1, states + 1)],
        stop,
        start,
        values,
        Monomials(table, table[:-1], np.ones(states, dtype=np.int64)),
    )
    zeros = dict.fromkeys(ode.variables, Fraction(0))
    return Model(Path(source.path).stem, ode, zeros, notes=(note,) if note else ())


def _transitions(source: Source, position: int, states: int) -> tuple[Ints, Ints, ExactArray]:
    """Where transitions start and stop, counted from 0, and their numbers."""
    columns = None
    with suppress(InputError):  # then a line is wrong, and is found below
        columns = read_columns(source.text, position, _written_number)
    if columns is not None:
        start, stop, values = columns
        if min(start.min(), stop.min()) > 0 and max(start.max(), stop.max()) <= states:
            return start - 1, stop - 1, values
    sources, targets, places = [], [], []
    table: dict[str, int] = {}
    numbers: list[Fraction] = []
    text = source.text
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
            try:
                numbers.append(_written_number(value))
            except InputError as problem:
                raise source.error(line.start(3), f"{problem}: {shown(value)}") from None
        sources.append(int(i) - 1)
        targets.append(int(j) - 1)
        places.append(place)
        position = line.end()
    return (
        np.array(sources, dtype=np.int64),
        np.array(targets, dtype=np.int64),
        ExactArray.from_fractions(numbers).take(np.array(places, dtype=np.int64)),
    )


def _written_number(text: str) -> Fraction:
    if not _NUMBER.fullmatch(text):
        raise FileFormatError("this is not a number")
    top, _, bottom = text.lstrip("-").partition("/")
    divisor = algebra.number(bottom) if bottom else Fraction(1)
    if not divisor:
        raise FileFormatError("division by zero")
    value = algebra.number(top) / divisor
    return -value if text.startswith("-") else value


def _kind(states: int, start: Ints, values: ExactArray, chain: Chain | None) -> tuple[Chain, str]:
    """What the numbers are, and the note that says it where nobody was asked."""
    if chain is not None or not len(start):
        return chain or "dtmc", ""
    value = values.to_float()
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
    if _kind(len(ode), start, ode.coefficients, None)[0] == "ctmc":
        raise FileFormatError(
            "in a .tra file this system would be read as a chain in continuous time, since its rows do "
            "not sum to 1; write .ode"
        )
    lines = [f"STATES {len(ode)}", f"TRANSITIONS {ode.terms}"]
    for t in np.lexsort((ode.rows, start)).tolist():
        value = algebra.decimal_text(ode.coefficients[t])
        lines.append(f"{int(start[t]) + 1} {int(ode.rows[t]) + 1} {value}")
    return "\n".join(lines) + "\n"
