"""What stands beside a chain in files of its own: labels, values of variables, rewards.

Labels are written in one of two ways: MRMC and Storm declare them (``#DECLARATION``) and give a state and its
labels on a line; PRISM numbers them in the first line, ``0="init" 1="done"``, and gives ``state: 0 1``. PRISM's
states (``.sta``) are ``0:(1,true)`` below the names of the variables, ``(x,done)``. State rewards are lines of
a state and a number, transition rewards of two states and a number, below a head in PRISM and with none in
Storm and MRMC. Since version 4.9 all of PRISM's files begin with titles (``# Labels``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from symlump.errors import InputError
from symlump.formats.chains.numbers import PATTERN, written_number
from symlump.formats.source import Source, quote

States = dict[int, Fraction]

_TITLE = re.compile(r"#(?!DECLARATION)")
_DECLARED = re.compile(r'([0-9]{1,12})[ \t]*=[ \t]*"([^"\n]+)"')
_PRISM = re.compile(r"([0-9]{1,12})[ \t]*:[ \t]*([0-9]{1,12}(?:[ \t]+[0-9]{1,12})*)")
_STATE = re.compile(r"([0-9]{1,12})[ \t]+(\S.*)")
_VALUES = re.compile(r"([0-9]{1,12})[ \t]*:[ \t]*\((.*)\)")
_HEAD = re.compile(r"\((.*)\)")
_STRUCTURE = re.compile(r"#.*?[Rr]eward structure")
#: Titles below which PRISM says how much follows.
_COUNTED = re.compile(r"#[ \t]*(State|Transition) rewards", re.IGNORECASE)
_NAMED = re.compile(r'#.*?[Rr]eward structure:?[ \t]*"?([^"\n]*[^"\s])')


@dataclass
class Rewards:
    """A reward structure: rewards of states, and of transitions (from, to)."""

    name: str
    states: States = field(default_factory=dict)
    transitions: dict[tuple[int, int], Fraction] = field(default_factory=dict)


def read_labels(source: Source) -> dict[str, list[int]]:
    """The states of each label, numbered as in the file.

    Raises
    ------
    FileFormatError
        If a line is something else, or a label is not declared.

    Examples
    --------
    >>> read_labels(Source("c.lab", '0="init" 1="done"\\n0: 0\\n2: 1\\n3: 1\\n'))
    {'init': [0], 'done': [2, 3]}
    >>> read_labels(Source("c.lab", "#DECLARATION\\nbusy done\\n#END\\n1 busy\\n2 busy done\\n"))
    {'busy': [1, 2], 'done': [2]}
    """
    lines = _lines(source)
    at, first = lines[0]
    if first == "#DECLARATION":
        end = next((k for k, (_, line) in enumerate(lines) if line == "#END"), None)
        if end is None:
            raise source.error(at, "'#DECLARATION' has no '#END'")
        declared = {name: name for _, line in lines[1:end] for name in line.split()}
        pattern, body = _STATE, lines[end + 1 :]
    else:
        numbered = _DECLARED.findall(first)
        declared = dict(numbered)
        if not declared or _DECLARED.sub("", first).strip():
            raise source.error(
                at, f"expected '#DECLARATION' or labels as 0=\"init\", found {quote(first)}"
            )
        for word in (word for pair in zip(*numbered, strict=True) for word in _repeated(pair)):
            raise source.error(at, f"the label {quote(word)} is declared twice")
        pattern, body = _PRISM, lines[1:]
    labels: dict[str, list[int]] = {name: [] for name in declared.values()}
    for at, line in body:
        found = pattern.fullmatch(line)
        if found is None:
            raise source.error(at, f"expected a state and its labels, found {quote(line)}")
        for word in found[2].split():
            if word not in declared:
                raise source.error(at, f"the label {quote(word)} is not declared")
            labels[declared[word]].append(int(found[1]))
    return labels


def read_states(source: Source) -> dict[str, States]:
    """The values of each variable, by state; true is 1 and false is 0.

    Raises
    ------
    FileFormatError
        If a line is something else, or a state is given twice.

    Examples
    --------
    >>> read_states(Source("c.sta", "(x,done)\\n0:(2,false)\\n1:(3,true)\\n"))["x"]
    {0: Fraction(2, 1), 1: Fraction(3, 1)}
    """
    (at, first), *body = _lines(source)
    head = _HEAD.fullmatch(first)
    if head is None:
        raise source.error(at, f"expected the names of variables, '(x,y)', found {quote(first)}")
    names = [name.strip() for name in head[1].split(",")]
    for name in _repeated(names):
        raise source.error(at, f"the variable {quote(name)} is named twice")
    values: dict[str, States] = {name: {} for name in names}
    for at, line in body:
        found = _VALUES.fullmatch(line)
        written = found[2].split(",") if found else []
        if found is None or len(written) != len(names):
            raise source.error(at, f"expected a state and {len(names)} values, found {quote(line)}")
        if int(found[1]) in values[names[0]]:
            raise source.error(at, f"the values of state {int(found[1])} are given twice")
        for name, text in zip(names, written, strict=True):
            values[name][int(found[1])] = _value(source, at, text.strip())
    return values


def read_rewards(source: Source, count: int) -> Rewards:
    """A reward structure of a chain of ``count`` states, called as the file says, or as the file.

    Raises
    ------
    FileFormatError
        If a line is something else, a state or transition is given twice, rewards of states and of
        transitions, or two structures, are in one file, or PRISM's head is missing below its title.

    Examples
    --------
    >>> read_rewards(Source("cost.srew", "3 2\\n0 1/2\\n2 4\\n"), 3).states
    {0: Fraction(1, 2), 2: Fraction(4, 1)}
    >>> read_rewards(Source("a/cost.trew", "3 1\\n0 2 7\\n"), 3).transitions
    {(0, 2): Fraction(7, 1)}
    """
    if len(_STRUCTURE.findall(source.text)) > 1:
        raise source.error(0, "more than one reward structure in one file")
    named = _NAMED.search(source.text)
    rewards = Rewards(named[1] if named else Path(source.path).stem)
    lines = [(at, line) for at, line in _lines(source) if not line.startswith("#")]
    if lines and _announces(lines[0][1].split(), count, len(lines) - 1):
        del lines[0]
    elif _COUNTED.search(source.text):
        at, found = lines[0] if lines else (0, source.text.strip())
        raise source.error(
            at,
            "expected how many states the chain has and how many rewards follow, "
            f"{quote(f'{count} {max(0, len(lines) - 1)}')}, found {quote(found)}",
        )
    for at, line in lines:
        words = line.split()
        if len(words) not in (2, 3) or not all(w.isdigit() and len(w) <= 12 for w in words[:-1]):
            raise source.error(
                at, f"expected 'state reward' or 'from to reward', found {quote(line)}"
            )
        value = _value(source, at, words[-1])
        if len(words) == 2:
            state = int(words[0])
            if state in rewards.states:
                raise source.error(at, f"the reward of state {state} is given twice")
            rewards.states[state] = value
        else:
            pair = int(words[0]), int(words[1])
            if pair in rewards.transitions:
                raise source.error(
                    at, f"the reward of the transition from {pair[0]} to {pair[1]} is given twice"
                )
            rewards.transitions[pair] = value
    if rewards.states and rewards.transitions:
        raise source.error(0, "rewards of states and of transitions are in one file")
    return rewards


def _announces(words: list[str], count: int, following: int) -> bool:
    """Whether a line only says how much follows: MRMC's word, or PRISM's number of states, itself no state."""
    return words[0] in ("STATES", "TRANSITIONS") or words == [str(count), str(following)]


def _repeated(words: Iterable[str]) -> list[str]:
    return [word for word, often in Counter(words).items() if often > 1]


def _value(source: Source, at: int, text: str) -> Fraction:
    if text in ("true", "false"):
        return Fraction(text == "true")
    if not PATTERN.fullmatch(text):
        raise source.error(at, f"{quote(text)} is not a number")
    try:
        return written_number(text)
    except InputError as problem:
        raise source.error(at, f"{problem}: {quote(text)}") from None


def _lines(source: Source) -> list[tuple[int, str]]:
    """The lines below PRISM's titles, such as ``# Labels``, and where each begins."""
    lines = [(start, source.text[start:stop]) for start, stop in source.lines()]
    titles = 0
    while titles < len(lines) - 1 and _TITLE.match(lines[titles][1]):
        titles += 1
    return lines[titles:]
