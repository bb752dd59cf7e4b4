"""Markov chains in ``.tra`` files of MRMC, PRISM and Storm: one transition a line.

MRMC's files begin with ``STATES n`` and ``TRANSITIONS m``, and number states from 1. PRISM's begin with n and m
on one line, since version 4.9 below a title, ``# Transitions (CTMC)``; Storm's with ``dtmc`` or ``ctmc`` or
with the first transition. Both number states from 0.

The numbers of a chain in discrete time are probabilities, and the system is the map S_j⁺ = Σ_i P[i, j]·S_i,
with variables S1 … Sn. In continuous time they are rates, and what arrives has left somewhere:
S_j' = Σ_i R[i, j]·S_i − (Σ_k R[j, k])·S_j. The format does not say which of the two it holds; the sums of
its rows do, nearly always.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from symlump.errors import FileFormatError, InputError
from symlump.formats import numerals
from symlump.formats.chains.columns import read_columns
from symlump.formats.chains.gathered import Gathered
from symlump.formats.chains.kind import Chain, Ints, kind_of
from symlump.formats.chains.numbers import PATTERN, written_number
from symlump.formats.chains.same_value import SameValue
from symlump.formats.chains.states import with_labels, with_rewards, with_states
from symlump.formats.model import Model
from symlump.formats.source import Source, quote, quote_names
from symlump.memory import available_memory, size_text
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray
from symlump.ode.maps import in_time
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

#: Bytes of a file that are read at once: what is made of them stays in the processor's cache.
PIECE = 1 << 18

#: Bytes, more than any array takes that belongs to one piece.
_BLOCK = 1 << 22

#: Letters of a transition, with the end of its line.
_SHORTEST = 6

#: Bytes of memory that a state takes, with its name and its initial value.
_A_STATE = 1000

_MRMC = re.compile(
    r"\s*STATES[ \t]+([0-9]{1,12})[ \t]*\n"
    r"\s*TRANSITIONS[ \t]+([0-9]{1,12})[ \t]*(?:\n\s*|\Z)"
)
_PRISM = re.compile(r"\s*([0-9]{1,12})[ \t]+([0-9]{1,12})[ \t]*(?:\n\s*|\Z)")
_STORM = re.compile(
    r"\s*(?:(dtmc|ctmc)[ \t]*\n\s*)?(?=[0-9]+[ \t]+[0-9]+[ \t]+\S+[ \t]*(?:\n|\Z))", re.IGNORECASE
)
#: Processes with choices: PRISM has three numbers in the first line, and a choice on each of the others.
_CHOICES = re.compile(
    r"\s*(?:(mdp|ctmdp|ma|pomdp|smg)\b|([0-9]+[ \t]+){2}[0-9]+[ \t]*\n\s*(?:[0-9]+[ \t]+){3}\S)",
    re.IGNORECASE,
)
#: The first lines of PRISM's files, since version 4.9.
_TITLE = re.compile(r"\s*(?:#[^\n]*(?:\n\s*|\Z))*")
_TITLED = re.compile(r"#[ \t]*Transitions[ \t]*\(([A-Za-z]+)\)", re.IGNORECASE)
#: Other ways in which PRISM writes transitions: for Matlab, and all of a state on one line.
_OPTION = re.compile(
    r"\w+[ \t]*=[ \t]*sparse\(|[0-9]+(?:[ \t]+[0-9]+){1,2}[ \t]*\n\s*[0-9]+[ \t]+[^\s:]+:[0-9]"
)
#: A fourth number is no name: "state choice state probability" would be read as another chain.
_ACTION = re.compile(r"^([ \t]*\S+[ \t]+\S+[ \t]+\S+)[ \t]+[^\s0-9.+-]\S*[ \t]*$", re.MULTILINE)
_LINE = re.compile(
    rf"([0-9]{{1,12}})[ \t]+([0-9]{{1,12}})[ \t]+({PATTERN.pattern})[ \t]*(?:\n\s*|\Z)"
)


@dataclass(frozen=True)
class Head:
    """How a file numbers its states, and how many it announces.

    Parameters
    ----------
    first : int
        The number of the first state.
    states, transitions : int or None
        As announced.
    chain : {"dtmc", "ctmc"} or None
        As announced.
    at, end : int
        Where the number of transitions stands, and where they begin.
    """

    first: int
    states: int | None
    transitions: int | None
    chain: Chain | None
    at: int
    end: int


class Transitions:
    """The transitions of a file that is read in pieces.

    Parameters
    ----------
    pieces : iterable of Source
        The file, in whole lines.
    most : int
        How many states there may be where the file does not say it.

    Attributes
    ----------
    first : Source
        The first piece.
    head : Head
    note : str
        What is in the file and not read.

    Examples
    --------
    >>> read = Transitions([Source("c.tra", "2 2\\n0 1 3\\n"), Source("c.tra", "1 0 1/2\\n", 3)], 9)
    >>> [(int(i[0]), int(j[0]), str(value[0])) for i, j, value in read]
    [(0, 1, '3'), (1, 0, '1/2')]

    Raises
    ------
    FileFormatError
        If the file is no chain; while iterating, if a line is no transition, or a state is outside.
    """

    def __init__(self, pieces: Iterable[Source], most: int) -> None:
        self._others, self._most, self.note = iter(pieces), most, ""
        self.first = next(self._others)
        self.head = read_head(self.first)

    def __iter__(self) -> Iterator[tuple[Ints, Ints, ExactArray]]:
        # After one of this size glibc keeps freed blocks, with their pages, for the next piece of the file.
        np.empty(_BLOCK, dtype=np.uint8)
        yield self._read(self.first, self.head)
        for piece in self._others:
            blank = len(piece.text) - len(piece.text.lstrip())
            yield self._read(piece, replace(self.head, end=blank))

    def _read(self, piece: Source, head: Head) -> tuple[Ints, Ints, ExactArray]:
        """The transitions of a piece without names of actions behind them, which PRISM may write."""
        found = read_plain(piece, head, self._most)
        if found is None and head.first == 0 and head.states is not None:
            text, named = _ACTION.subn(r"\1", piece.text[head.end :])
            if named:
                self.note = "names of actions are not read: a chain has no choices"
                piece = replace(piece, text=piece.text[: head.end] + text)
                found = read_plain(piece, head, self._most)
        return read_transitions(piece, head, self._most) if found is None else found

    def demand(self, count: int) -> None:
        """Raise an error if the file announced another number of transitions."""
        head = self.head
        if head.transitions not in (None, count):
            raise self.first.error(
                head.at, f"{head.transitions} transitions announced, {count} in the file"
            )


def read_tra(
    source: Source | Iterable[Source],
    *,
    chain: Chain | None = None,
    labels: Source | None = None,
    states: Source | None = None,
    rewards: Iterable[Source] = (),
    size: int = 0,
) -> Model:
    """Read a chain, with what other files say of its states. Transitions between the same two states add up.

    Numbers are decimals or ``p/q``, and are kept exactly.

    Parameters
    ----------
    source : Source, or iterable of Source
        The text, or its pieces in whole lines.
    chain : {"dtmc", "ctmc"}, optional
        Whether the numbers are probabilities (the matrix as it stands) or rates, from which the
        outflow is made. If it is not given, they are rates unless the rows of all states sum to 1 (one
        without transitions sums to 0), or the diagonal is negative, as in a generator that has its
        outflow already; the model's notes say what was assumed.
    labels : Source, optional
        Labels of states. States with different labels stay apart (the model's partition), and each
        label is a view, the probability that it holds. "init" is where the chain starts, and keeps nothing
        apart.
    states : Source, optional
        PRISM's values of variables: each variable is a view, its expected value.
    rewards : iterable of Source
        Rewards of states or transitions: views, what is expected to be earned a step, or a unit of time.
    size : int
        How many bytes all pieces have, if that is known: room for what they hold is made beforehand.

    Examples
    --------
    >>> text = "STATES 2\\nTRANSITIONS 2\\n1 2 3\\n2 1 1/2\\n"
    >>> model = read_tra(Source("c.tra", text))
    >>> print(model.ode)
    S1' = -3*S1 + 1/2*S2
    S2' = 3*S1 - 1/2*S2
    >>> print(read_tra(Source("c.tra", text), chain="dtmc").ode)
    S1⁺ = 1/2*S2
    S2⁺ = 3*S1

    Raises
    ------
    FileFormatError
        If a line is not a transition, a state is outside 1 … n, the number of transitions is not
        the announced one, or a number is negative and the matrix is no generator.
    """
    most = available_memory() // _A_STATE
    if isinstance(source, Source):
        size = len(source.text)
    read = Transitions([source] if isinstance(source, Source) else source, most)
    first, head, rewards = read.first, read.head, list(rewards)
    if head.states is not None and head.states > most:
        raise first.error(first.text.index(str(head.states)), _too_many(head.states, most))
    found = Gathered(size // _SHORTEST)
    for piece in read:
        found.append(*piece)
    start, stop = found.start, found.stop
    read.demand(len(start))
    count = head.states
    if count is None:
        count = 1 + int(max(start.max(initial=0), stop.max(initial=0)))
    names = _names(head.first, count)
    try:
        kind, note = kind_of(names, start, stop, found.values, chain or head.chain)
    except FileFormatError as problem:
        raise FileFormatError(f"{first.path}: {problem}") from None
    rows = found.copy() if rewards else None
    loops = start[:0]
    if kind == "ctmc":
        # What leaves a state is the sum of its rates to others; a rate to itself changes nothing.
        loops = found.pop_loops()
        every = np.arange(count)
        outflow = found.values.group_sum(found.start, count).times(np.full(count, -1))
        found.append(every, every, outflow)
    del start, stop
    keys, values = found.pop_terms(count)
    repeated = _repeated(names, keys, loops)
    table = np.arange(count + 1, dtype=np.int64)
    monomials = Monomials(table, table[:-1], np.ones(count, dtype=np.int64))
    zeros = SameValue(names, Fraction(0))
    ode = PolynomialODE.from_sorted_terms(zeros, keys, values, monomials)
    notes = tuple(text for text in (read.note, repeated, note) if text)
    in_steps = in_time(ode, kind == "dtmc")
    model = Model(Path(first.path).stem, in_steps, zeros, notes=notes)
    if labels is not None:
        model = with_labels(model, labels, head.first)
    if states is not None:
        model = with_states(model, states, head.first)
    return model if rows is None else with_rewards(model, rewards, head.first, rows)


def _names(first: int, count: int) -> list[str]:
    """The names of states, S0 or S1 and so on, a hundred in one piece of text.

    Examples
    --------
    >>> _names(0, 3), _names(1, 101)[98:]
    (['S0', 'S1', 'S2'], ['S99', 'S100', 'S101'])
    """
    ends = [f"{k:02d}" for k in range(100)]
    hundreds = [f"\nS{k}" for k in range(1, (first + count) // 100 + 1)]
    text = "S" + "\nS".join(map(str, range(100))) + "".join(k + k.join(ends) for k in hundreds)
    return text.split("\n", first + count)[first : first + count]


def _too_many(states: int, most: int) -> str:
    return (
        f"{states} states take about {size_text(states * _A_STATE)} of memory, and "
        f"{size_text(most * _A_STATE)} are free; symlump convert writes a chain of any size to a folder, "
        "which symlump lump takes"
    )


def read_head(source: Source) -> Head:
    """How a file begins.

    Raises
    ------
    FileFormatError
        If it is no chain.
    """
    text = source.text
    title = _TITLE.match(text)
    begin = title.end() if title else 0
    kinds = sorted({found.upper() for found in _TITLED.findall(text, 0, begin)})
    if len(kinds) > 1:
        raise source.error(0, f"the titles say both {' and '.join(kinds)}")
    kind = kinds[0] if kinds else ""
    choices = _CHOICES.match(text, begin)
    if kind in ("", "DTMC", "CTMC") and choices is not None:
        kind = (choices[1] or "mdp").upper()
    if kind == "IDTMC":
        raise source.error(
            0,
            "a chain with intervals for probabilities (IDTMC) is no Markov chain, and is not supported",
        )
    if kind not in ("", "DTMC", "CTMC"):
        raise source.error(
            0,
            f"this is a process with choices ({kind}), which is not a Markov chain, and is not supported",
        )
    if _OPTION.match(text, begin):
        raise source.error(
            begin,
            "PRISM wrote this with its option 'rows' or 'matlab'; let it export plain transitions, "
            "one a line (-exporttrans FILE.tra)",
        )
    chain: Chain | None = "dtmc" if kind == "DTMC" else "ctmc" if kind == "CTMC" else None
    for first, pattern in ((1, _MRMC), (0, _PRISM)):
        head = pattern.match(text, begin)
        if head is not None:
            return Head(first, int(head[1]), int(head[2]), chain, head.start(2), head.end())
    head = _STORM.match(text, begin)
    if head is not None:
        if head[1]:
            if kind not in ("", head[1].upper()):
                raise source.error(begin, f"the title says {kind}, this line {quote(head[1])}")
            chain = "dtmc" if head[1].lower() == "dtmc" else "ctmc"
        return Head(0, None, None, chain, 0, head.end())
    raise source.error(
        begin,
        "expected 'STATES n' and 'TRANSITIONS m' (MRMC), 'n m' (PRISM), 'dtmc', 'ctmc' or a transition "
        f"(Storm), found {quote(text[begin:].lstrip()[:30])}",
    )


def read_plain(source: Source, head: Head, most: int) -> tuple[Ints, Ints, ExactArray] | None:
    """What :func:`read_transitions` returns, or None if a line is no plain transition between states."""
    first = head.first
    last = _last(head, most)
    with suppress(InputError):  # a wrong number
        columns = read_columns(source.text, head.end, written_number)
        if columns is not None:
            start, stop, values = columns
            if min(start.min(), stop.min()) >= first and max(start.max(), stop.max()) <= last:
                return (start - first, stop - first, values) if first else columns
    return None


def _last(head: Head, most: int) -> int:
    """The number of the last state that may occur."""
    return head.first + (most if head.states is None else head.states) - 1


def read_transitions(source: Source, head: Head, most: int) -> tuple[Ints, Ints, ExactArray]:
    """Where transitions start and stop, counted from 0, and their numbers, line by line.

    Parameters
    ----------
    source : Source
    head : Head
    most : int
        How many states there may be where the head does not say it.

    Raises
    ------
    FileFormatError
        If a line is none, or a state is outside.
    """
    position, first, last = head.end, head.first, _last(head, most)
    sources, targets, places = [], [], []
    table: dict[str, int] = {}
    numbers: list[Fraction] = []
    text = source.text
    while position < len(text):
        line = _LINE.match(text, position)
        if line is None:
            end = text.find("\n", position)
            found = text[position : end if end >= 0 else None]
            raise source.error(position, f"expected 'from to probability', found {quote(found)}")
        i, j, value = line.groups()
        if not (first <= int(i) <= last and first <= int(j) <= last):
            raise source.error(
                position, f"state outside {first} … {last} in {quote(line[0].strip())}"
            )
        place = table.get(value)
        if place is None:
            place = table[value] = len(numbers)
            try:
                numbers.append(written_number(value))
            except InputError as problem:
                raise source.error(line.start(3), f"{problem}: {quote(value)}") from None
        sources.append(int(i) - first)
        targets.append(int(j) - first)
        places.append(place)
        position = line.end()
    return (
        np.array(sources, dtype=np.int64),
        np.array(targets, dtype=np.int64),
        ExactArray.from_fractions(numbers).take(np.array(places, dtype=np.int64)),
    )


def _repeated(names: Sequence[str], keys: Ints, loops: Ints) -> str:
    """The note on transitions that a file gives more than once.

    Parameters
    ----------
    names : sequence of str
    keys : ndarray of int
        stop · states + start, ascending.
    loops : ndarray of int
        The states of transitions to themselves that have no keys.
    """
    count, loops = len(names), np.sort(loops)
    again, again_loops = (array[1:][array[1:] == array[:-1]] for array in (keys, loops))
    if not (again.size or again_loops.size):
        return ""
    start = np.concatenate([again % count, again_loops])
    stop = np.concatenate([again // count, again_loops])
    twice = distinct(start * count + stop).tolist()
    pairs = (f"{names[key // count]} → {names[key % count]}" for key in twice)
    return f"transitions given more than once were added: {quote_names(pairs)}"


def write_tra(model: Model) -> str:
    """The text of a chain, one transition a line: the matrix with its outflow, as it stands.

    States are numbered in the order of the variables; their names are not part of the format.

    Raises
    ------
    FileFormatError
        If an equation is not a linear combination of variables, or a parameter is symbolic; or if a reader
        would refuse the numbers, take them for rates and add an outflow, or read the other kind of time.
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
    start, instead = (
        ode.monomials.variables[ode.columns],
        f"write {'.txt' if ode.discrete else '.ode'}",
    )
    try:
        # Negative numbers would be read as a generator, in continuous time.
        negative = ode.discrete and bool((ode.coefficients.numerators < 0).any())
        asked: Chain | None = "dtmc" if negative else None
        kind, _ = kind_of(ode.variables, start, ode.rows, ode.coefficients, asked)
    except FileFormatError as problem:
        raise FileFormatError(f"a .tra file holds Markov chains: {problem}; {instead}") from None
    if kind == "dtmc" and not ode.discrete:
        raise FileFormatError(
            "in a .tra file this system would be read as a chain in discrete time, since its rows sum to 1; "
            "write .ode, or the map system.as_map() if it is one"
        )
    if kind == "ctmc" or (kind != "dtmc" and ode.discrete):
        raise FileFormatError(
            "in a .tra file this system would be read as a chain in continuous time, since its rows do "
            f"not sum to 1; {instead}"
        )
    lines = [f"STATES {len(ode)}", f"TRANSITIONS {ode.terms}"]
    for t in np.lexsort((ode.rows, start)).tolist():
        value = numerals.decimal_text(ode.coefficients[t])
        lines.append(f"{int(start[t]) + 1} {int(ode.rows[t]) + 1} {value}")
    return "\n".join(lines) + "\n"
