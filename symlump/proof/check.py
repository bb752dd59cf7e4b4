"""An independent checker of lumpings: standard library only, exact rationals throughout.

    python check.py CERTIFICATE.json [SYSTEM.json | SYSTEM.ode]

It shares no code with the part of symlump that finds lumpings, and trusts no number in the certificate: it
re-derives every identity from the definition. The format is specified in the documentation, "Certificates";
the section "Form" below is all of it that concerns types, and every reader of certificates goes through it.

Forward: all ∂f_B/∂x_i of a block agree, with f_B = Σ_{k∈B} q_k. Backward: all q_i of a block agree once
variables are replaced by their blocks. Linear: L·q(x) = g(L·x). The quotient is compared in each case.
Coarsest: single coefficients in which members of a block differ are replayed round by round.
With functions: the commuting square itself is multiplied out over its denominators, and the coarsest
partition is shown by values in a prime field.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from heapq import heappop, heappush
from itertools import count, islice
from math import isqrt
from typing import Any, NoReturn

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]
System = dict[str, Polynomial]
Blocks = dict[str, list[str]]
Labels = dict[str, int]
Record = tuple[str, str | None, Monomial]

VERSIONS = (1, 2, 3)
# Bounds for strangers' files; whoever writes certificates imports them from here.
MAX_CHARACTERS = 100_000_000
MAX_ITEMS = 25_000_000  # variables, terms and factors, once a file of version 2 is spelled out
MAX_DIGITS = 4_000
MAX_BITS = 14_000
MAX_DEGREE = 10_000
MAX_PRIME = 1 << 40
_DEEPEST = 8  # no list of the format stands inside so many others
PRIMES = tuple((1 << 61) - below for below in (1, 31, 45, 229))  # where functions are compared
MAX_WHOLE = (1 << 53) - 1  # what every reader of JSON reads exactly
# Each task may take so many elementary steps, and so many more for every item in the claim.
MAX_STEPS = 2_500_000
STEPS_PER_ITEM = 4
CLAIMS = "is {0}, the quotient claims {1}"
REFERENCE = "; exact for the system in the certificate, which is a reference model"
FREE = ", with functions taken as unknown"
EXIT_CODES = {"accepted": 0, "rejected": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Verdict:
    """The answer (accepted, rejected, inconclusive; true if accepted), why, whether nothing smaller will do."""

    answer: str
    reason: str
    coarsest: bool = False

    @property
    def accepted(self) -> bool:
        """True if every claim was verified."""
        return self.answer == "accepted"

    def __bool__(self) -> bool:
        return self.accepted


class Rejected(Exception):
    """A claim is false; the message names the block, the monomial and the residue."""


class Inconclusive(Exception):
    """The claims can be neither verified nor refuted here."""


class Exhausted(Inconclusive):
    """A bound is reached, on work or on the length of numbers."""


class Unlucky(Inconclusive):
    """A prime divides a denominator; another one may not."""


class Unreadable(Exception):
    """The file is not a certificate."""


class Misplaced(Unreadable):
    """Something of the wrong form stands at ``path``, such as ``system["x"][0][1]``."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(one_line(f"this is not a certificate: {path}: {what}"))
        self.what, self.path = what, path


def check(certificate: Mapping[str, Any], system: Mapping[str, Any] | None = None) -> Verdict:
    """Verify a certificate; ``system`` is its system, if the certificate only names a digest.

    Raises
    ------
    Unreadable
        If the data does not have the form of a certificate; the message names the place.

    Examples
    --------
    >>> x, y = [["1", [["x", 1]]]], [["1", [["y", 1]]]]
    >>> claim = {"format": "symlump certificate", "version": 1, "kind": "forward", "system": {"x": x, "y": y},
    ...          "blocks": {"z": ["x", "y"]}, "quotient": {"z": [["1", [["z", 1]]]]}}
    >>> check(claim).answer
    'accepted'
    >>> print(check(claim | {"quotient": {"z": [["2", [["z", 1]]]]}}).reason)
    equation of z: coefficient of z is 1, the quotient claims 2
    """
    return verdict(lambda: _check(read_claim(certificate, system)))


def verdict(examine: Callable[[], Verdict]) -> Verdict:
    """What an examination finds, a refusal or a doubt included."""
    try:
        return examine()
    except Rejected as refusal:
        return Verdict("rejected", one_line(refusal))
    except Inconclusive as doubt:
        return Verdict("inconclusive", one_line(doubt))


def one_line(text: object) -> str:
    """The text with all that could end a line or steer a terminal written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


class Budget:
    """Elementary steps left for one task on a stranger's file."""

    def __init__(self, task: str, steps: int) -> None:
        self.task, self.left = task, steps

    @classmethod
    def of(cls, task: str, items: int) -> Budget:
        """So many for any file, and more for a longer one."""
        return cls(task, MAX_STEPS + STEPS_PER_ITEM * items)

    def spend(self, steps: int) -> None:
        """Take steps, before they are done."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted(f"{self.task} takes too long")


# Form: what stands where. Nothing below this section looks at types again.


@dataclass(frozen=True)
class Closure:
    """The record that a linear lumping is the smallest; see :mod:`symlump.proof.closure`."""

    observables: list[tuple[Polynomial, Polynomial]]
    start: list[int]
    prime: int
    steps: list[tuple[int, Any]]  # a monomial, with functions the number of a point


@dataclass(frozen=True)
class Function:
    """What a symbol stands for: a function of polynomials in variables and in symbols before it."""

    name: str
    arguments: list[Polynomial]


Functions = dict[str, Function]


@dataclass(frozen=True)
class Evaluations:
    """At which points of which prime field, and how often, blocks are split by values."""

    prime: int
    seed: int
    rounds: int


@dataclass(frozen=True)
class Claim:
    """A certificate whose form is right, with its system; what does not apply to its kind is empty."""

    kind: str
    system: System
    quotient: System
    tolerance: str = "0"
    blocks: Blocks = field(default_factory=dict)
    matrix: System = field(default_factory=dict)
    initial: list[list[str]] | None = None
    maximality: list[list[Record]] | None = None
    closure: Closure | None = None
    functions: Functions = field(default_factory=dict)
    quotient_functions: Functions = field(default_factory=dict)
    evaluations: Evaluations | None = None
    time: bool = False  # whether it is discrete


def read_claim(data: Any, given: Any = None) -> Claim:
    """A certificate, and the system that was given beside it, as what is claimed.

    Raises
    ------
    Unreadable
        If something has not the form that the specification demands; the message names the place.
    Rejected
        If the given system is another, or a name is none of the system's.
    Inconclusive
        If version or kind are not known here, or the system is only named by its digest.
    """
    data = spelled_out(_object(data, "the file"))
    for key in [k for k in ("format", "version", "kind") if k not in data]:
        raise Misplaced("this key is missing", key)
    if data["format"] != "symlump certificate":
        _wrong(data["format"], '"symlump certificate"', "format")
    _natural(data["version"], "version")
    _name(data["kind"], "kind")
    if data["version"] not in VERSIONS:
        raise Inconclusive(f"version {data['version']}; known here are 1, 2 and 3")
    kind = data["kind"]
    if kind not in _KEYS:
        raise Inconclusive(f"kind {kind!r}; known here are forward, backward and linear")
    parts: dict[str, Any] = {}
    for key in [k for k in data if k not in ("format", "version", "kind")]:
        if key not in _KEYS[kind] or (key in _WITH_FUNCTIONS and data["version"] != 3):
            version = ", version 1 or 2," if key in _WITH_FUNCTIONS else ""
            raise Misplaced(f"a certificate of kind {kind}{version} has no such key", key)
    for key, (must, read) in _KEYS[kind].items():
        if key in data:
            parts[key] = read(data[key], key)
        elif must:
            raise Misplaced("this key is missing", key)
    for key in [k for k in ("maximality", "evaluations") if k in parts]:
        if "initial" not in parts:
            raise Misplaced("this needs the key initial, the partition it starts from", key)
        if (key == "maximality") == ("functions" in parts):
            which = "without" if key == "maximality" else "with"
            raise Misplaced(f"this is the record of a system {which} functions", key)
    for at, (_, what) in enumerate(parts["closure"].steps if "closure" in parts else ()):
        if (type(what) is int) != ("functions" in parts):
            due = "the number of a point" if "functions" in parts else "a monomial"
            raise Misplaced(f"{due} is due here", f"closure.steps[{at}][1]")
    for number, records in enumerate(parts.get("maximality", ())):
        for at, (_, target, _) in enumerate(records):
            if (target is None) != (kind == "backward"):
                what = "null" if kind == "backward" else "the name of a variable"
                _wrong(target, what, f"maximality[{number}][{at}][1]")
    digest, stored = parts.pop("digest", None), parts.pop("system", None)
    if stored is None and digest is None:
        raise Misplaced("a certificate holds its system, or the digest of it", "system")
    functions: Functions = parts.get("functions", {})
    if functions and stored is None:
        raise Misplaced("a certificate with functions holds its system", "system")
    beside, others = (None, functions) if given is None else _read_given(given)
    if others != functions:
        raise Rejected("the functions of the given system are not those of the certificate")
    if (system := beside if stored is None else stored) is None:
        raise Inconclusive("the certificate holds only the digest of its system; give its file")
    _has_equations(system, system.keys() | functions.keys(), "the system")
    if digest and digest != (found := system_digest(system, functions, parts.get("time", False))):
        raise Rejected(f"the system's digest is {found}, the certificate claims {digest}")
    claim = Claim(kind, system, **parts)
    if stored is not None and beside is not None and beside != stored:
        hint = "; that is a reference model, near to the given one" * (claim.tolerance != "0")
        raise Rejected("the system that was given is not the one in the certificate" + hint)
    _has_names(claim)
    return claim


def spelled_out(data: Any) -> Any:
    """A certificate of version 2 as one of version 1, in which its whole numbers are what they stand for.

    What occurs in many places is one object in memory, here as in the file.

    Raises
    ------
    Unreadable
        If a number stands for nothing, or the result would be larger than the bounds allow.
    """
    if type(data) is not dict or type(data.get("version")) is not int or data["version"] != 2:
        return data
    if "values" not in data:
        raise Misplaced("this key is missing", "values")
    values = _list(data["values"], "values")
    for at, value in enumerate(values):
        if type(value) is list:
            _monomial_at(value, f"values[{at}]")
        elif type(value) is not str and type(value) is not int:
            _wrong(value, "text, a whole number or a monomial", f"values[{at}]")
    lengths = [1 + len(value) if type(value) is list else 1 for value in values]
    left = MAX_ITEMS

    def spell(value: Any, depth: int) -> Any:
        nonlocal left
        if type(value) is int:
            if not 0 <= value < len(values):
                _wrong(value, f"the number of one of the {len(values)} values", path)
            left -= lengths[value]
            if left < 0:
                raise Unreadable(f"spelled out, it has more than {MAX_ITEMS} terms and factors")
            return values[value]
        if depth and type(value) is list:
            return [spell(entry, depth - 1) for entry in value]
        if depth and type(value) is dict:
            return {key: spell(entry, depth - 1) for key, entry in value.items()}
        return value

    result: dict[str, Any] = {"version": 1}
    for path, value in data.items():
        if path not in ("version", "values"):
            result[path] = spell(value, _DEEPEST)
    return result


def _has_names(claim: Claim) -> None:
    """Every name stands for something: variables for equations, and those of the quotient for theirs."""
    system, quotient = claim.system, claim.quotient
    _has_equations(quotient, quotient.keys() | claim.quotient_functions.keys(), "the quotient")
    _has_equations(claim.matrix, system.keys(), "the matrix")
    _in_order(claim.functions, system, "functions")
    _in_order(claim.quotient_functions, quotient, "quotient_functions")
    for number, records in enumerate(claim.maximality or ()):
        for member, target, monomial in records:
            for name in (member, target, *(v for v, _ in monomial)):
                if name is not None and name not in system:
                    raise Rejected(f"maximality, round {number}: {name} is not a variable")
    if claim.closure is not None:
        for form, carried in claim.closure.observables:
            _has_equations({"an observable": form}, system.keys(), "the observables")
            _has_equations({"an observable": carried}, claim.matrix.keys(), "the observables")
        for _, what in claim.closure.steps:
            for name, _ in what if type(what) is tuple else ():
                if name not in system:
                    raise Rejected(f"closure: {name} is not a variable of the system")


def _has_equations(polynomials: System, known: Set[str], what: str) -> None:
    for name, polynomial in polynomials.items():
        for variable in {v: None for m in polynomial for v, _ in m}:
            if variable not in known:
                raise Rejected(f"{what}: {name} uses {variable}, which has no equation")


def _in_order(functions: Functions, system: System, what: str) -> None:
    known = set(system)
    for name, function in functions.items():
        if name in known:
            raise Rejected(f"{what}: {name} is a variable, too")
        for polynomial in function.arguments:
            _has_equations({name: polynomial}, known, what)
        known.add(name)


def _read_given(given: Any) -> tuple[System, Functions]:
    """A system beside a certificate: its equations, or an object of system and functions."""
    path, keys = "the given system", _object(given, "the given system").keys()
    if keys != {"system", "functions"} or type(given["system"]) is not dict:
        return read_system(given, path), {}
    functions = read_functions(given["functions"], f"{path}: functions")
    return read_system(given["system"], f"{path}: system"), functions


def _wrong(value: object, due: str, path: str) -> NoReturn:
    raise Misplaced(f"{due} is due here, not {_shown(value)}", path)


def _shown(value: object) -> str:
    """The beginning of a value, as JSON writes it."""
    if isinstance(value, list | dict):
        what = ("a", "list") if isinstance(value, list) else ("an", "object")
        return " ".join(what) if value else f"an empty {what[1]}"
    if isinstance(value, str):
        return json.dumps(value[:40], ensure_ascii=False)
    if isinstance(value, float | bool | None) or (type(value) is int and abs(value) < 1e40):
        return json.dumps(value)
    return f"a value of type {type(value).__name__}"


def _list(value: Any, path: str, due: str = "a list") -> list[Any]:
    return value if type(value) is list else _wrong(value, due, path)


def _object(value: Any, path: str) -> dict[str, Any]:
    if type(value) is not dict:
        _wrong(value, "an object", path)
    for key in value:
        _name(key, f"{path}, a key")
    return value


def _name(value: Any, path: str, due: str = "a name") -> str:
    if type(value) is not str:
        _wrong(value, due, path)
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise Misplaced(f"{value!a} is no text: half a pair of surrogates", path)
    return value


def _natural(value: Any, path: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_WHOLE:
        _wrong(value, "a whole number from 0 to 2^53 - 1", path)
    return value


def _tolerance(value: Any, path: str) -> str:
    # "0" or the shortest text of a positive float, as Python and JavaScript write it
    if type(value) is not str or len(value) > 40 or not _TOLERANCE.fullmatch(value):
        _wrong(value, 'text such as "0" or "0.05"', path)
    return value


_TOLERANCE = re.compile(r"0|(?=[^e]*[1-9])(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?")
_RATIONAL = re.compile(r"-?[0-9]+(/[1-9][0-9]*)?")


def _digest(value: Any, path: str) -> str:
    if type(value) is not str or not re.fullmatch(r"[0-9a-f]{64}", value):
        _wrong(value, "64 digits 0-9a-f", path)
    return value


@lru_cache(4096)  # most systems have few different coefficients
def _rational(value: str) -> Fraction | None:
    """The rational with this text; None if it is not the one canonical text of a rational."""
    if len(value) > MAX_DIGITS or not _RATIONAL.fullmatch(value):
        return None
    number = Fraction(value)
    return number if str(number) == value else None


def read_polynomial(
    terms: Any, path: str = "polynomial", linear: bool = False, known: dict[Any, Any] | None = None
) -> Polynomial:
    """Turn a list of terms into a polynomial; ``linear`` demands a linear form.

    Monomials that are in ``known`` are taken from there, others added to it.

    Raises
    ------
    Unreadable
        If it is no list of terms, or a number is longer or a power higher than the bounds allow.
    """
    result: Polynomial = {}
    for at, term in enumerate(_list(terms, path, "a list of terms")):
        if type(term) is not list or len(term) != 2:
            _wrong(term, "a term, [coefficient, monomial],", f"{path}[{at}]")
        text, factors = term
        number = _rational(text) if type(text) is str else None
        if number is None:
            due = f'a rational in lowest terms, such as "-3/4", of at most {MAX_DIGITS} characters,'
            _wrong(text, due, f"{path}[{at}][0]")
        try:
            monomial = _monomial(factors)
        except Misplaced as error:  # paths are put together only where something is wrong
            raise Misplaced(error.what, f"{path}[{at}][1]{error.path}") from None
        if linear and (len(monomial) != 1 or monomial[0][1] != 1):
            _wrong(factors, "one name with power 1", f"{path}[{at}][1]")
        if known is not None:
            monomial = known.setdefault(monomial, monomial)
        add_term(result, monomial, number)
    return result


def _monomial(factors: Any) -> Monomial:
    """The factors sorted by variable; where one is misplaced, its path begins inside the monomial."""
    powers: dict[str, int] = {}
    for at, factor in enumerate(_list(factors, "", "a list of variables with their powers")):
        if type(factor) is not list or len(factor) != 2:
            _wrong(factor, "[variable, power]", f"[{at}]")
        variable, power = factor
        if type(variable) is not str or not variable.isascii():
            _name(variable, f"[{at}][0]")
        if type(power) is not int or not 0 < power <= MAX_DEGREE:
            _wrong(power, f"a power, a whole number from 1 to {MAX_DEGREE},", f"[{at}][1]")
        if variable in powers:
            said = f"{variable} occurs twice in one monomial; write its power"
            raise Misplaced(said, f"[{at}][0]")
        powers[variable] = power
    return tuple(sorted(powers.items()))


def _monomial_at(factors: Any, path: str) -> Monomial:
    try:
        return _monomial(factors)
    except Misplaced as error:
        raise Misplaced(error.what, path + error.path) from None


def read_system(value: Any, path: str = "system", linear: bool = False) -> System:
    """Turn plain data into polynomials, one for each name; see :func:`read_polynomial`."""
    known: dict[Monomial, Monomial] = {}
    return {
        name: read_polynomial(terms, f"{path}[{json.dumps(name[:40])}]", linear, known)
        for name, terms in _object(value, path).items()
    }


_linear_form = partial(read_polynomial, linear=True)
_rows = partial(read_system, linear=True)


def _partition(value: Any, path: str) -> list[list[str]]:
    blocks = enumerate(_list(value, path, "a list of blocks"))
    return [_block(block, f"{path}[{number}]") for number, block in blocks]


def _named_blocks(value: Any, path: str) -> Blocks:
    blocks = _object(value, path).items()
    return {name: _block(b, f"{path}[{json.dumps(name[:40])}]") for name, b in blocks}


def _block(value: Any, path: str) -> list[str]:
    return [_name(n, f"{path}[{at}]") for at, n in enumerate(_list(value, path, "a list of names"))]


def _rounds(value: Any, path: str) -> list[list[Record]]:
    return [
        [
            _record(record, f"{path}[{number}][{at}]")
            for at, record in enumerate(_list(records, f"{path}[{number}]", "a list of records"))
        ]
        for number, records in enumerate(_list(value, path, "a list of rounds"))
    ]


def _record(value: Any, path: str) -> Record:
    if type(value) is not list or len(value) != 3:
        _wrong(value, "a record, [member, target, monomial],", path)
    member, target, factors = value
    _name(member, f"{path}[0]")
    if target is not None:
        _name(target, f"{path}[1]", "a name or null")
    return member, target, _monomial_at(factors, f"{path}[2]")


def _closure(value: Any, path: str) -> Closure:
    _has_keys(("observables", "start", "prime", "steps"), value, path, "a closure has")
    observables = []
    for at, pair in enumerate(_list(value["observables"], f"{path}.observables")):
        where = f"{path}.observables[{at}]"
        if type(pair) is not list or len(pair) != 2:
            _wrong(pair, "a pair of linear forms", where)
        forms = [_linear_form(form, f"{where}[{side}]") for side, form in enumerate(pair)]
        observables.append((forms[0], forms[1]))
    numbers = enumerate(_list(value["start"], f"{path}.start"))
    start = [_natural(number, f"{path}.start[{at}]") for at, number in numbers]
    prime = _prime(value["prime"], f"{path}.prime")
    steps: list[tuple[int, Any]] = []
    for at, step in enumerate(_list(value["steps"], f"{path}.steps")):
        if type(step) is not list or len(step) != 2:
            _wrong(step, "a step, [parent, monomial],", f"{path}.steps[{at}]")
        parent = _natural(step[0], f"{path}.steps[{at}][0]")
        read = _natural if type(step[1]) is int else _monomial_at
        steps.append((parent, read(step[1], f"{path}.steps[{at}][1]")))
    return Closure(observables, start, prime, steps)


def _has_keys(keys: tuple[str, ...], value: Any, path: str, what: str) -> None:
    for key in [*keys, *(key for key in _object(value, path) if key not in keys)]:
        if key not in value or key not in keys:
            said = "this key is missing" if key in keys else f"{what} no such key"
            raise Misplaced(said, f"{path}.{key}")


def _prime(value: Any, path: str) -> int:
    whole = type(value) is int and 1 < value < MAX_PRIME
    if not whole or not all(value % d for d in range(2, isqrt(value) + 1)):
        _wrong(value, "a prime below 2^40", path)
    return int(value)


def read_functions(value: Any, path: str = "functions") -> Functions:
    """Turn plain data into functions, each with its arguments; see :func:`read_polynomial`."""
    result: Functions = {}
    for name, pair in _object(value, path).items():
        where = f"{path}[{json.dumps(name[:40])}]"
        if type(pair) is not list or len(pair) != 2:
            _wrong(pair, "a function, [name, arguments],", where)
        arguments = [
            read_polynomial(p, f"{where}[1][{at}]")
            for at, p in enumerate(_list(pair[1], f"{where}[1]", "a list of polynomials"))
        ]
        result[name] = Function(_name(pair[0], f"{where}[0]"), arguments)
        if pair[0] == "inverse" and len(arguments) != 1:
            raise Misplaced("inverse has one argument", f"{where}[1]")
    return result


def _evaluations(value: Any, path: str) -> Evaluations:
    keys = ("prime", "seed", "rounds")
    _has_keys(keys, value, path, "evaluations have")
    prime = _prime(value["prime"], f"{path}.prime")
    seed, rounds = (_natural(value[key], f"{path}.{key}") for key in keys[1:])
    return Evaluations(prime, seed, rounds)


Reader = tuple[bool, Callable[[Any, str], Any]]  # whether the key must be there, and how it is read

_SHARED: dict[str, Reader] = {
    "tolerance": (False, _tolerance),
    "time": (False, lambda value, at: value == "discrete" or _wrong(value, '"discrete"', at)),
    "digest": (False, _digest),
    "system": (False, read_system),
    "quotient": (True, read_system),
    "functions": (
        False,
        lambda v, at: read_functions(v, at) or _wrong(v, "an object of functions", at),
    ),
    "quotient_functions": (False, read_functions),
}
_WITH_FUNCTIONS = {"functions", "quotient_functions", "evaluations"}
_PARTITION: dict[str, Reader] = _SHARED | {
    "blocks": (True, _named_blocks),
    "initial": (False, _partition),
    "maximality": (False, _rounds),
    "evaluations": (False, _evaluations),
}
_MATRIX: dict[str, Reader] = _SHARED | {"matrix": (True, _rows), "closure": (False, _closure)}
_KEYS = {"forward": _PARTITION, "backward": _PARTITION, "linear": _MATRIX}


# Meaning: what is claimed, derived anew.


def _check(claim: Claim) -> Verdict:
    system, kind, blocks, linear = claim.system, claim.kind, claim.blocks, claim.kind == "linear"
    claimed = {} if linear else _labels(system, list(blocks.values()), "the blocks")
    if claim.quotient.keys() != (claim.matrix if linear else blocks).keys():
        per = "row" if linear else "block"
        raise Rejected(f"the quotient does not have exactly one equation per {per}")
    of = {member: block for block, members in blocks.items() for member in members}
    if claim.functions or claim.quotient_functions:
        rows = claim.matrix or {name: _sum_of(members) for name, members in blocks.items()}
        copies, sums = partial(_check_copies, claim, of), partial(_check_sums, claim, rows)
        in_some_field(copies if kind == "backward" else sums)
    elif linear:
        _check_linear(system, claim.matrix, claim.quotient)
    else:
        verify = _check_forward if kind == "forward" else _check_backward
        verify(system, blocks, of, claim.quotient)
    parts = f"in {len(blocks)} block" + "s" * (len(blocks) != 1)
    to = f"to {len(claim.matrix)}" if linear else parts
    said = f"{kind} {'lumping' if linear else 'equivalence'} of {len(system)} variable"
    said += "s" * (len(system) != 1) + f" {to}, and its quotient" + where_defined(claim)
    said += ", in discrete time" * claim.time + REFERENCE * (claim.tolerance != "0")
    if claim.initial is None:
        return Verdict("accepted", said)
    initial = _labels(system, claim.initial, "the initial partition")
    _refines(claimed, initial)
    if claim.evaluations is not None:
        reached = replay_evaluations(claim, initial, claim.evaluations)
    elif claim.maximality is not None:
        reached = replay(system, kind, initial, claim.maximality)
    else:
        return Verdict("accepted", said + ", inside the initial partition")
    together: dict[int, str] = {}
    for name, label in reached.items():
        first = together.setdefault(label, name)
        if claimed[first] != claimed[name]:
            missing = f"the record does not separate {first} and {name}"
            raise Inconclusive(f"{said}: verified. Coarsest: not shown, {missing}")
    free = FREE * bool(len(blocks) > len(claim.initial) and unknown_functions(claim.functions))
    return Verdict("accepted", f"{said}, the coarsest inside the initial partition{free}", True)


def where_defined(claim: Claim) -> str:
    """Doubt a quotient that has a value at no state that is tried; a note where that cannot be told."""
    if not unknown_functions(claim.functions, claim.quotient_functions):
        return ""
    beside = os.path.join(os.path.dirname(__file__), "defined.py")
    try:
        zero, unseen = runpy.run_path(beside)["denominators"](claim)
    except OSError:
        return ", where no denominator is 0"
    if zero:
        raise Inconclusive(f"{zero} stands below a line and is 0 at every state that was tried")
    return f", where {unseen} is not 0" * bool(unseen)


def unknown_functions(*parts: Functions) -> set[str]:
    """The functions of which only little is used, by name: all but 1/u and the time."""
    found = {(f.name, bool(f.arguments)) for functions in parts for f in functions.values()}
    return {name for name, _ in found - {("inverse", True), ("time", False)}}


def replay(system: System, kind: str, initial: Labels, rounds: Iterable[list[Record]]) -> Labels:
    """The partition that a maximality record reaches, as a block number per variable.

    A round is a list of records (member, target, monomial): the block to look at, by one of its members; for
    forward equivalence the target block, by one of its members (else None); and the monomial, over variables
    (forward) or over blocks, each named by a member (backward).

    Only variables whose coefficient is not zero are touched, and only they move to new blocks. A record in
    which one of the blocks named is small costs what that block weighs, whatever the size of the others.
    """
    look = _Derivatives(system) if kind == "forward" else _Occurrences(system)
    partition = _Partition(initial, look.weights)
    size = _size(system)
    budget = Budget.of("replaying the record", size * size.bit_length())
    for records in rounds:
        wanted: dict[Any, dict[Any, int]] = {}
        for number, (member, target, monomial) in enumerate(records):
            budget.spend(1 + len(monomial))
            at, key = look.question(partition, target, monomial)
            wanted.setdefault(at, {}).setdefault((partition.label[member], key), number)
        found: dict[str, dict[int, Fraction]] = {}
        for at, questions in wanted.items():
            budget.spend(look.cost(partition, at))
            for name, number, value in look.answers(partition, at, questions):
                values = found.setdefault(name, {})
                before = values.get(number)
                values[number] = _bounded(value if before is None else before + value)
        # Who is not among them has zero in every record of the round.
        keys = ((n, sorted((r, v) for r, v in vs.items() if v)) for n, vs in found.items())
        partition.split({name: tuple(key) for name, key in keys})
    return partition.label


class _Partition:
    """Blocks from which members move to new ones; the cost of a move is that of what moves."""

    def __init__(self, label: Labels, weights: Mapping[str, int]) -> None:
        self.label, self.weights = dict(label), weights
        self.members: dict[int, set[str]] = {}
        for name, number in label.items():
            self.members.setdefault(number, set()).add(name)
        self.weight = {b: sum(weights[v] for v in block) for b, block in self.members.items()}

    def split(self, keys: Mapping[str, tuple[Any, ...]]) -> list[int]:
        """Keep together what was together and has the same key, or none, or the empty one.

        The largest part keeps the number of its block; returned are the numbers of the others.
        """
        blocks: dict[int, dict[tuple[Any, ...], list[str]]] = {}
        for name, key in keys.items():
            if key:
                blocks.setdefault(self.label[name], {}).setdefault(key, []).append(name)
        before = len(self.members)
        for number, groups in blocks.items():
            parts = sorted(groups.values(), key=len)
            # Who has none, or the empty one.
            rest = len(self.members[number]) - sum(map(len, parts))
            if rest < len(parts[-1]):
                parts.pop()
                if rest:
                    parts.append(list(self.members[number].difference(*groups.values())))
            for part in parts:
                fresh = len(self.members)
                self.members[number].difference_update(part)
                self.members[fresh] = set(part)
                self.weight[fresh] = sum(self.weights[name] for name in part)
                self.weight[number] -= self.weight[fresh]
                self.label.update(dict.fromkeys(part, fresh))
        return list(range(before, len(self.members)))


class _Derivatives:
    """Coefficients of a monomial in ∂f_T/∂x_i, found in the equations of the block T."""

    def __init__(self, system: System) -> None:
        self.system = system
        lengths = {name: [len(m) for m in p] for name, p in system.items()}
        self.weights = {n: 1 + sum(1 + k + k**2 // 8 for k in ks) for n, ks in lengths.items()}

    def question(self, partition: _Partition, target: str | None, m: Monomial) -> tuple[int, Any]:
        return partition.label[str(target)], m

    def cost(self, partition: _Partition, target: int) -> int:
        return partition.weight[target]

    def answers(
        self, partition: _Partition, target: int, questions: Mapping[Any, int]
    ) -> Iterable[tuple[str, int, Fraction]]:
        label = partition.label
        for equation in partition.members[target]:
            for monomial, value in self.system[equation].items():
                for name, power, rest in _lowered(monomial):
                    number = questions.get((label[name], rest))
                    if number is not None:
                        yield name, number, value if power == 1 else value * power


class _Occurrences:
    """Coefficients of a monomial in blocks, found among the monomials that contain its lightest block."""

    def __init__(self, system: System) -> None:
        self.containing: dict[Monomial, list[tuple[str, Fraction]]] = {}
        for name, polynomial in system.items():
            for monomial, value in polynomial.items():
                self.containing.setdefault(monomial, []).append((name, value))
        self.occurring: dict[str, list[tuple[Monomial, int]]] = {name: [] for name in system}
        for number, monomial in enumerate(self.containing):
            for name, _ in monomial:
                self.occurring[name].append((monomial, number))
        length = {m: 1 + len(m) + len(at) for m, at in self.containing.items()}
        self.weights = {n: 1 + sum(length[m] for m, _ in at) for n, at in self.occurring.items()}

    def question(
        self, partition: _Partition, target: str | None, m: Monomial
    ) -> tuple[int | None, Any]:
        key = _over_blocks(m, partition.label)
        return min((b for b, _ in key), key=partition.weight.__getitem__, default=None), key

    def cost(self, partition: _Partition, block: int | None) -> int:
        return len(self.containing.get((), ())) if block is None else partition.weight[block]

    def answers(
        self, partition: _Partition, block: int | None, questions: Mapping[Any, int]
    ) -> Iterable[tuple[str, int, Fraction]]:
        label = partition.label
        keys = {key for _, key in questions}
        monomials: Iterable[Monomial] = [()]
        if block is not None:  # a monomial may contain several of its members
            members = partition.members[block]
            monomials = {n: m for name in members for m, n in self.occurring[name]}.values()
        for monomial in monomials:
            key = _over_blocks(monomial, label)
            if key in keys:
                for name, value in self.containing.get(monomial, ()):
                    number = questions.get((label[name], key))
                    if number is not None:
                        yield name, number, value


def _size(system: System) -> int:
    """Variables, terms and factors, all told."""
    return sum(map(_length, system.values()))


def _length(polynomial: Polynomial) -> int:
    """One, and its terms and factors."""
    return 1 + len(polynomial) + sum(map(len, polynomial))


def _over_blocks(monomial: Monomial, label: Labels) -> tuple[tuple[int, int], ...]:
    powers: dict[int, int] = {}
    for variable, power in monomial:
        powers[label[variable]] = powers.get(label[variable], 0) + power
    return tuple(sorted(powers.items()))


def _lowered(monomial: Monomial) -> Iterable[tuple[str, int, Monomial]]:
    """Each variable of the monomial, its power, and the monomial divided by the variable."""
    for at, (variable, power) in enumerate(monomial):
        lowered = ((variable, power - 1),) if power > 1 else ()
        yield variable, power, monomial[:at] + lowered + monomial[at + 1 :]


def _check_forward(system: System, blocks: Blocks, of: dict[str, str], quotient: System) -> None:
    representative = {members[0] for members in blocks.values()}
    budget = Budget.of("differentiating", _size(system))
    for block, members in blocks.items():
        total: Polynomial = {}
        for member in members:
            add_terms(total, system[member])
        gradient: dict[str, Polynomial] = {}
        for monomial, value in total.items():
            budget.spend(len(monomial) ** 2 // 8)  # a term more per factor, each almost as long
            for variable, power, rest in _lowered(monomial):
                slope = value if power == 1 else value * power
                add_term(gradient.setdefault(variable, {}), rest, slope)
        # Only blocks that the sum depends on can tell members apart.
        for other in {of[variable] for variable in gradient}:
            first, *rest_of = blocks[other]
            for variable in rest_of:
                where = f"derivative of the sum over {block} by {first} and by {variable}"
                found = gradient.get(variable, {})
                _compare(gradient.get(first, {}), found, where, "the first has {0}, the second {1}")
        reduced: Polynomial = {}
        for monomial, value in total.items():
            if all(variable in representative for variable, _ in monomial):
                add_term(reduced, _sorted((of[v], e) for v, e in monomial), value)
        _compare(reduced, quotient[block], f"equation of {block}", CLAIMS)


def _check_backward(system: System, blocks: Blocks, of: dict[str, str], quotient: System) -> None:
    for block, members in blocks.items():
        for member in members:
            restricted: Polynomial = {}
            for monomial, value in system[member].items():
                add_term(restricted, _sorted((of[v], e) for v, e in monomial), value)
            where = f"equation of {member} on the blocks"
            _compare(restricted, quotient[block], where, CLAIMS)


def _check_linear(system: System, rows: System, quotient: System) -> None:
    size = _size(system) + _size(rows) + _size(quotient)
    budget = Budget.of("adding up rows", size)
    products = Budget.of("multiplying out the quotient", 16 * size)
    cost = {name: sum(1 + _digits(v) for v in p.values()) for name, p in system.items()}
    for name, row in rows.items():
        total: Polynomial = {}
        for monomial, weight in row.items():
            (variable, _) = monomial[0]
            budget.spend(cost[variable] + _digits(weight) * len(system[variable]))
            add_terms(total, system[variable], weight)
        _compare(total, _substituted(quotient[name], rows, products), f"row {name}", CLAIMS)


def _substituted(
    polynomial: Polynomial, rows: Mapping[str, Polynomial], budget: Budget
) -> Polynomial:
    """The polynomial with each variable replaced by its row, multiplied out."""
    result: Polynomial = {}
    for monomial, value in polynomial.items():
        product: Polynomial = {(): value}
        for name in (v for v, power in monomial for _ in range(power)):
            product = _product(product, rows[name], budget)
        add_terms(result, product)
    return result


def _product(p: Polynomial, q: Polynomial, budget: Budget) -> Polynomial:
    of_p, of_q = (sum(len(m) + _digits(v) for m, v in r.items()) for r in (p, q))
    budget.spend(1 + 8 * len(p) * len(q) + len(q) * of_p + len(p) * of_q)
    result: Polynomial = {}
    for left, a in p.items():
        for right, b in q.items():
            add_term(result, _sorted((*left, *right)) if left else right, a if b == 1 else a * b)
    return result


def _digits(number: Fraction) -> int:
    """Steps that arithmetic with a long number takes beyond that with a short one."""
    return (number.numerator.bit_length() + number.denominator.bit_length()) // 128


def _compare(left: Polynomial, right: Polynomial, where: str, how: str) -> None:
    for monomial in sorted(left.keys() | right.keys()) if left != right else ():
        a, b = left.get(monomial, Fraction(0)), right.get(monomial, Fraction(0))
        if a != b:
            shown = "*".join(v if e == 1 else f"{v}^{e}" for v, e in monomial) or "1"
            raise Rejected(f"{where}: coefficient of {shown} " + how.format(a, b))


# Functions: 1/p is what it is, of any other one nothing is known but that equal arguments give equal values.

_ODD = ("sin", "tan", "sinh", "tanh", "asin", "atan", "asinh", "atanh", "sign")
_AT_ZERO = {"exp": 1, "cos": 1, "cosh": 1} | dict.fromkeys((*_ODD, "abs"), 0)
_AT_ONE = dict.fromkeys(("log", "acos", "acosh"), 0)
_PARITY = {"cos": 1, "cosh": 1, "abs": 1} | dict.fromkeys(_ODD, -1)
_WHOLE = 1_000  # u^n is a product for whole n up to this, and its inverse down to minus this
_ALONE = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh"}  # one obeys no equation


def _claim_size(claim: Claim) -> int:
    """Variables, terms and factors of system, quotient and matrix, those in functions included."""
    functions = (*claim.functions.values(), *claim.quotient_functions.values())
    systems = (claim.system, claim.quotient, claim.matrix)
    return sum(map(_size, systems)) + sum(_length(u) for f in functions for u in f.arguments)


class _Modular:
    """Values in the field of ``prime`` elements, where every symbol has that in ``at``."""

    def __init__(self, prime: int, budget: Budget) -> None:
        self.prime, self.budget = prime, budget
        self.at: dict[str, int] = {}
        self.coefficients: dict[Fraction, int] = {}

    def residue(self, number: Fraction) -> int:
        """A coefficient in the field."""
        found = self.coefficients.get(number)
        if found is None:
            if number.denominator % self.prime == 0:
                raise Unlucky(f"the prime {self.prime} divides a denominator")
            found = number.numerator * pow(number.denominator, -1, self.prime) % self.prime
            self.coefficients[number] = found
        return found

    def product(self, monomial: Monomial) -> int:
        """The value of a monomial."""
        self.budget.spend(1 + len(monomial))
        result = 1
        for symbol, power in monomial:
            factor = self.at[symbol] if power == 1 else pow(self.at[symbol], power, self.prime)
            result = result * factor % self.prime
        return result

    def value(self, polynomial: Polynomial) -> int:
        """The value of a polynomial."""
        return sum(self.residue(v) * self.product(m) for m, v in polynomial.items()) % self.prime

    def exponent(self, name: str, u: list[int]) -> int | None:
        """The n of u^n, if it is whole and small: −1 for 1/u."""
        if name != "power" or len(u) != 2:
            return -1 if name == "inverse" else None
        if self.prime <= 2 * _WHOLE:
            raise Inconclusive(f"powers are evaluated modulo primes above {2 * _WHOLE}")
        n = min(u[1], u[1] - self.prime, key=abs)
        return n if abs(n) <= _WHOLE else None


class _Field(_Modular):
    """Polynomials in variables and in symbols for functions of them, compared as functions.

    A symbol's name begins with half a surrogate pair, which no name in a certificate does. Functions are alike
    only if their arguments have the same values at one point of a prime field; those are then compared.
    """

    def __init__(self, prime: int, items: int) -> None:
        super().__init__(prime, Budget.of("multiplying out functions", 16 * items))
        self.below: System = {}  # the denominators
        self.inverses: dict[frozenset[tuple[Monomial, Fraction]], str] = {}
        self.alike: dict[Any, list[tuple[list[Polynomial], str]]] = {}
        self.free: dict[str, str] = {}  # of other functions: "time", "alone" or ""

    def symbols(self, functions: Functions, images: Mapping[str, Polynomial]) -> System:
        """What every variable and every function becomes when variables are replaced."""
        for name in {v for p in images.values() for m in p for v, _ in m}:
            self.at[name] = _residue(self.prime, name)
        result = dict(images)
        for name, function in functions.items():
            arguments = [_substituted(p, result, self.budget) for p in function.arguments]
            result[name] = self._applied(function.name, arguments)
        return result

    def _applied(self, name: str, u: list[Polynomial]) -> Polynomial:
        if name == "inverse":
            return self._inverse(u[0])
        one: Polynomial = {(): Fraction(1)}
        n = self.exponent(name, list(map(self.value, u))) if name == "power" else None
        if n is not None and all(self.equal(e, {(): Fraction(n)} if n else {}) for e in u[1:]):
            base = self._inverse(u[0]) if n < 0 else u[0]
            for _ in range(abs(n)):
                one = _product(one, base, self.budget)
            return one
        if name == "power" and u and self.equal(u[0], one):
            return one
        for argument, known in (({}, _AT_ZERO), (one, _AT_ONE)) if len(u) == 1 else ():
            if name in known and self.equal(u[0], argument):
                return one if known[name] else {}
        parity = _PARITY.get(name, 0) if len(u) == 1 else 0
        for sign in (1, -1) if parity else (1,):
            signed = [{m: v * sign for m, v in p.items()} for p in u]
            for others, symbol in self._alike(name, signed):
                if all(map(self.equal, signed, others)):
                    return {((symbol, 1),): Fraction(1 if sign == 1 else parity)}
        symbol = self._new()
        inside = {v for p in u for m in p for v, _ in m}
        plain = all(v not in self.below and self.free.get(v, "time") == "time" for v in inside)
        alone = "alone" if name in _ALONE and len(u) == 1 and inside and plain else ""
        self.free[symbol] = "time" if name == "time" and not u else alone
        self.at[symbol] = _residue(self.prime, symbol)
        self._alike(name, u).append((u, symbol))
        return {((symbol, 1),): Fraction(1)}

    def _alike(self, name: str, u: list[Polynomial]) -> list[tuple[list[Polynomial], str]]:
        """The arguments and symbols met so far of functions that could equal this one."""
        values = tuple(map(self.value, u))
        return self.alike.setdefault((name, values), [])

    def _new(self) -> str:
        return f"\udc00{len(self.below) + len(self.free)}"

    def _inverse(self, p: Polynomial) -> Polynomial:
        above, powers = self._cleared(p)
        if not above:
            raise Rejected("a denominator is 0 where variables are replaced")
        leading = above[min(above)]
        monic = {m: _bounded(v / leading) for m, v in above.items()}
        if (key := frozenset(monic.items())) not in self.inverses:
            symbol = self.inverses[key] = self._new()
            self.below[symbol], value = monic, self.value(monic)
            self.at[symbol] = pow(value, -1, self.prime) if value else 0
        result: Polynomial = {((self.inverses[key], 1),): 1 / leading}
        for symbol, power in powers.items():
            for _ in range(power):
                result = _product(result, self.below[symbol], self.budget)
        return result

    def _cleared(self, p: Polynomial) -> tuple[Polynomial, dict[str, int]]:
        """The numerator: p times the powers of denominators that it takes, and these powers."""
        powers: dict[str, int] = {}
        parts: dict[Monomial, Polynomial] = {}
        for monomial, value in p.items():
            inverse = tuple(f for f in monomial if f[0] in self.below)
            rest = tuple(f for f in monomial if f[0] not in self.below)
            parts.setdefault(inverse, {})[rest] = value
            for symbol, power in inverse:
                powers[symbol] = max(power, powers.get(symbol, 0))
        above: Polynomial = {}
        for inverse, part in parts.items():
            have = dict(inverse)
            for symbol, power in powers.items():
                for _ in range(power - have.get(symbol, 0)):
                    part = _product(part, self.below[symbol], self.budget)
            add_terms(above, part)
        return above, powers

    def equal(self, left: Polynomial, right: Polynomial) -> bool:
        """True if both are the same function, whatever the functions other than 1/p are."""
        self.budget.spend(len(left) + len(right))
        difference = dict(left)
        add_terms(difference, right, Fraction(-1))
        return not difference or not self._cleared(difference)[0]

    def compare(self, left: Polynomial, right: Polynomial, where: str) -> None:
        """Refuse what is not equal; doubt it where functions could have more properties than are used."""
        if self.equal(left, right):
            return
        said = f"{where}: it is not what the quotient claims"
        found = [self.free[s] for s in self._free_in(left) | self._free_in(right)]
        if found.count("alone") > 1 or "" in found:  # one alone, and the time, obey no equation
            raise Inconclusive(said + FREE)
        raise Rejected(said)

    def _free_in(self, p: Polynomial) -> set[str]:
        """The functions other than 1/u that occur, be it in a denominator."""
        symbols = {v for m in p for v, _ in m}
        below = (self._free_in(self.below[s]) for s in symbols if s in self.below)
        return set().union(symbols & self.free.keys(), *below)


def _sum_of(names: Iterable[str]) -> Polynomial:
    return {((name, 1),): Fraction(1) for name in names}


def in_some_field(examine: Callable[[int], Any]) -> Any:
    """What is found modulo the first of some primes that divides no denominator."""
    for prime in PRIMES[:-1]:
        with suppress(Unlucky):
            return examine(prime)
    return examine(PRIMES[-1])


def _check_sums(claim: Claim, rows: System, prime: int) -> None:
    """Σ_i L_i·q_i(x) = g(L·x) for every row of L: the commuting square, as an identity of functions."""
    field = _Field(prime, _claim_size(claim))
    large = field.symbols(claim.functions, {v: _sum_of([v]) for v in claim.system})
    small = field.symbols(claim.quotient_functions, rows)
    for name, row in rows.items():
        total: Polynomial = {}
        for monomial, weight in row.items():
            rate = _substituted(claim.system[monomial[0][0]], large, field.budget)
            add_terms(total, rate, weight)
        claimed = _substituted(claim.quotient[name], small, field.budget)
        field.compare(total, claimed, f"equation of {name}")


def _check_copies(claim: Claim, of: dict[str, str], prime: int) -> None:
    """q_i with every variable replaced by its block's = g_B, for every member i of every block B."""
    field = _Field(prime, _claim_size(claim))
    large = field.symbols(claim.functions, {v: _sum_of([of[v]]) for v in claim.system})
    small = field.symbols(claim.quotient_functions, {b: _sum_of([b]) for b in claim.quotient})
    claimed = {b: _substituted(p, small, field.budget) for b, p in claim.quotient.items()}
    for name, polynomial in claim.system.items():
        where = f"equation of {name} on the blocks"
        field.compare(_substituted(polynomial, large, field.budget), claimed[of[name]], where)


def replay_evaluations(claim: Claim, initial: Labels, record: Evaluations) -> Labels:
    """The partition that splitting by values reaches, as a block number per variable."""
    *_, last = islice(evaluation_rounds(claim, initial, record), record.rounds + 1)
    return last.label


def evaluation_rounds(claim: Claim, initial: Labels, record: Evaluations) -> Iterator[_Partition]:
    """The initial partition, and that after each round, until nothing splits; always the same object.

    Every block has a value in the field of ``prime`` elements: a hash of the round that made it and of its
    first variable. Backward: these are the values of variables, and a variable is judged by its equation there.
    Forward: they are the weights w of equations, and x_i is judged by ∂(Σ_k w_k·q_k)/∂x_i at a point. When a
    block splits, its largest part keeps the value, so little has to be computed again.
    """
    order = {name: number for number, name in enumerate(claim.system)}
    partition = _Partition(initial, dict.fromkeys(claim.system, 1))
    look = _Rates(claim, record) if claim.kind == "backward" else _Slopes(claim, record)
    fresh = list(partition.members)
    for number in count():
        yield partition
        values: dict[str, int] = {}
        for block in fresh:
            members = sorted(partition.members[block], key=order.__getitem__)
            look.budget.spend(4 * len(members))
            value = _residue(record.prime, record.seed, number, members[0])
            values |= dict.fromkeys(members, value)
        changes = look.follow(values)
        fresh = partition.split({name: (v,) if v else () for name, v in changes.items()})
        if not fresh:
            return


def _residue(prime: int, *parts: object) -> int:
    """A hash of some texts and numbers, from 1 to p − 1."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()) % (prime - 1) + 1


class _Point(_Modular):
    """A system at one point; functions other than 1/p are hashes of their arguments."""

    def __init__(self, claim: Claim, record: Evaluations) -> None:
        size = _claim_size(claim)
        budget = Budget.of("replaying the evaluations", 4 * size * size.bit_length())
        super().__init__(record.prime, budget)
        self.functions, self.names, self.seed = claim.functions, list(claim.functions), record.seed
        self.order = {name: number for number, name in enumerate(claim.functions)}
        self.at = {name: _residue(record.prime, record.seed, "x", name) for name in claim.system}
        self.inside: dict[str, list[int]] = {}  # values of the arguments
        for name, function in claim.functions.items():
            self.inside[name] = [self.value(p) for p in function.arguments]
            self.at[name] = self.function(name)

    def function(self, symbol: str) -> int:
        """The value of a function where its arguments have theirs."""
        name, u, prime = self.functions[symbol].name, self.inside[symbol], self.prime
        if name == "power" and u[:1] == [1]:
            return 1
        if (n := self.exponent(name, u)) is not None:
            if n < 0 and not u[0]:
                raise Inconclusive("a denominator is 0 where it is evaluated; take another seed")
            return pow(u[0], n, prime)
        for value, known in ((0, _AT_ZERO), (1, _AT_ONE)):
            if u == [value] and name in known:
                return known[name]
        if name in _PARITY and len(u) == 1 and u[0] > prime - u[0]:
            return _residue(prime, self.seed, name, prime - u[0]) * _PARITY[name] % prime
        return _residue(prime, self.seed, name, *u)

    def slope(self, symbol: str, argument: int) -> int:
        """The derivative of a function by an argument: that of u^n is n·u^(n−1), of others one more hash."""
        name, u, prime = self.functions[symbol].name, self.inside[symbol], self.prime
        if not argument and (n := self.exponent(name, u)) is not None:
            return n * pow(u[0], n - 1, prime) % prime if n else 0
        if name == "power" and argument and u[0] == 1:
            return 0
        if name in _PARITY and len(u) == 1:  # that of an even function is odd
            sign = 1 if 2 * u[0] < prime else -_PARITY[name]
            if not u[0] and _PARITY[name] == 1:
                return 0
            return _residue(prime, self.seed, name, "'", 0, min(u[0], prime - u[0])) * sign % prime
        return _residue(prime, self.seed, name, "'", argument, *u)


class _Rates(_Point):
    """The values of all equations, as those of variables change."""

    def __init__(self, claim: Claim, record: Evaluations) -> None:
        super().__init__(claim, record)
        self.users: dict[Monomial, list[tuple[str, int, int]]] = {}
        self.values: dict[Monomial, int] = {}
        self.containing: dict[str, list[Monomial]] = {}
        for name, function in claim.functions.items():
            for argument, polynomial in enumerate(function.arguments):
                self._note(polynomial, name, argument)
        for name, polynomial in claim.system.items():
            self._note(polynomial, name, -1)
        for monomial in self.users:
            self.values[monomial] = self.product(monomial)
            for symbol, _ in monomial:
                self.containing.setdefault(symbol, []).append(monomial)
        self.changes = {name: self.value(p) for name, p in claim.system.items()}
        self.waiting: list[int] = []  # a heap of functions with other arguments, by their order
        self.queued: set[int] = set()

    def _note(self, polynomial: Polynomial, user: str, argument: int) -> None:
        for monomial, value in polynomial.items():
            self.users.setdefault(monomial, []).append((user, argument, self.residue(value)))

    def follow(self, values: Mapping[str, int]) -> dict[str, int]:
        """Move to these values of some variables; by how much the equations change (at first: their values)."""
        for name, value in values.items():
            self._move(name, value)
        while self.waiting:  # functions in their order, so that arguments come first
            number = heappop(self.waiting)
            self.queued.remove(number)
            name = self.names[number]
            self.budget.spend(8)
            self._move(name, self.function(name))
        changes, self.changes = self.changes, {}
        return changes

    def _move(self, symbol: str, value: int) -> None:
        if value == self.at[symbol]:
            return
        self.at[symbol] = value
        for monomial in self.containing.get(symbol, ()):
            value = self.product(monomial)
            step, self.values[monomial] = value - self.values[monomial], value
            self.budget.spend(len(self.users[monomial]))
            for user, argument, coefficient in self.users[monomial]:
                if argument < 0:
                    before = self.changes.get(user, 0)
                    self.changes[user] = (before + coefficient * step) % self.prime
                    continue
                inside = self.inside[user]
                inside[argument] = (inside[argument] + coefficient * step) % self.prime
                if self.order[user] not in self.queued:
                    self.queued.add(self.order[user])
                    heappush(self.waiting, self.order[user])


class _Slopes(_Point):
    """The derivatives of a weighted sum of equations at one point, as the weights change."""

    def __init__(self, claim: Claim, record: Evaluations) -> None:
        super().__init__(claim, record)
        self.weight = dict.fromkeys(claim.system, 0)
        self.equations = {name: self._gradient(p, 1) for name, p in claim.system.items()}
        self.chain: dict[str, list[tuple[str, int]]] = {}  # of functions, by symbols before them
        for name, function in claim.functions.items():
            self.chain[name] = [
                term
                for at, p in enumerate(function.arguments)
                for term in self._gradient(p, self.slope(name, at))
            ]

    def _gradient(self, polynomial: Polynomial, factor: int) -> list[tuple[str, int]]:
        """The derivatives by the symbols in a polynomial, times a factor."""
        result, prime = [], self.prime
        for monomial, value in polynomial.items():
            self.budget.spend(1 + len(monomial))
            left = [self.residue(value) * factor % prime]
            for symbol, power in monomial:
                left.append(left[-1] * pow(self.at[symbol], power, prime) % prime)
            right = 1
            for (symbol, power), before in zip(reversed(monomial), left[-2::-1], strict=True):
                lowered = pow(self.at[symbol], power - 1, prime)
                result.append((symbol, before * right * power * lowered % prime))
                right = right * lowered * self.at[symbol] % prime
        return result

    def follow(self, weights: Mapping[str, int]) -> dict[str, int]:
        """Move to these weights of some equations; by how much the derivatives by variables change."""
        changes: dict[str, int] = {}
        waiting: list[int] = []
        for name, weight in weights.items():
            step, self.weight[name] = weight - self.weight[name], weight
            self._add(changes, waiting, self.equations[name], step)
        while waiting:  # the last function first: all that contain it have been there
            name = self.names[-heappop(waiting)]
            self._add(changes, waiting, self.chain[name], changes.pop(name))
        return changes

    def _add(
        self, changes: dict[str, int], waiting: list[int], gradient: list[tuple[str, int]], by: int
    ) -> None:
        self.budget.spend(1 + 2 * len(gradient))
        for symbol, slope in gradient:
            before = changes.get(symbol)
            if before is None and symbol in self.order:
                heappush(waiting, -self.order[symbol])
            changes[symbol] = ((before or 0) + by * slope) % self.prime


def system_digest(system: System, functions: Functions | None = None, time: bool = False) -> str:
    """SHA-256 of the system in canonical form, in hexadecimal."""
    digest, before = hashlib.sha256(b"{"), ""
    for name in sorted(system):  # equation by equation: the text of all is longer than the file
        terms = sorted((m, str(v)) for m, v in system[name].items())
        text = json.dumps({name: terms}, separators=(",", ":"), ensure_ascii=True)
        digest.update((before + text[1:-1]).encode())
        before = ","
    digest.update(b"}")
    if functions:
        arguments = {
            name: [f.name, [sorted((m, str(v)) for m, v in u.items()) for u in f.arguments]]
            for name, f in functions.items()
        }
        digest.update(json.dumps(arguments, separators=(",", ":"), ensure_ascii=True).encode())
    digest.update(b"discrete" * time)
    return digest.hexdigest()


def _sorted(factors: Iterable[tuple[str, int]]) -> Monomial:
    powers: dict[str, int] = {}
    for variable, power in factors:
        powers[variable] = powers.get(variable, 0) + power
    return tuple(sorted(powers.items()))


def add_term(polynomial: Polynomial, monomial: Monomial, value: Fraction) -> None:
    """Add a term in place; a coefficient that cancels disappears."""
    before = polynomial.get(monomial)
    total = _bounded(value if before is None else before + value)
    if total:
        polynomial[monomial] = total
    else:
        polynomial.pop(monomial, None)


def add_terms(polynomial: Polynomial, other: Polynomial, factor: Fraction = Fraction(1)) -> None:
    """Add another polynomial, times a factor, in place."""
    for monomial, value in other.items():
        add_term(polynomial, monomial, value if factor == 1 else factor * value)


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Exhausted(f"a coefficient grows beyond {MAX_BITS} bits")
    return value


def _labels(system: System, blocks: Sequence[Any], what: str) -> Labels:
    label: Labels = {}
    for number, block in enumerate(blocks):
        if not block:
            raise Rejected(f"{what}: a block is empty")
        for name in block:
            if name not in system:
                raise Rejected(f"{what}: {name} is not a variable of the system")
            if name in label:
                raise Rejected(f"{what}: {name} is in two blocks, or twice in one")
            label[name] = number
    for name in system.keys() - label.keys():
        raise Rejected(f"{what}: {name} is in no block")
    return label


def _refines(claimed: Labels, initial: Labels) -> None:
    seen: dict[int, str] = {}
    for name, label in claimed.items():
        first = seen.setdefault(label, name)
        if initial[first] != initial[name]:
            raise Rejected(f"{first} and {name} share a block, but not of the initial partition")


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        foreign = isinstance(error, UnicodeDecodeError)
        why = "it is not UTF-8 text" if foreign else getattr(error, "strerror", error)
        raise Unreadable(f"{path}: cannot be read: {why}") from None
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"{path}: it is longer than {MAX_CHARACTERS} characters")
    return text


def read_json(path: str) -> Any:
    """Read a JSON file within bounds; a repeated key is an error, and a certificate is spelled out."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("a key occurs twice in one object")
        return result

    def unknown(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number")

    try:
        data = json.loads(_read_text(path), object_pairs_hook=once, parse_constant=unknown)
    except RecursionError:
        raise Unreadable(f"{path}: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"{path}: this is not JSON, as certificates are: {error}") from None
    return spelled_out(data)


def read_ode(path: str) -> Any:
    """Read the plain form of an ERODE file, by the file ``plain_ode.py`` beside this one."""
    text, beside = _read_text(path), os.path.join(os.path.dirname(__file__), "plain_ode.py")
    try:
        return runpy.run_path(beside)["read_plain"](text, MAX_DIGITS)
    except OSError:
        raise Inconclusive("reading .ode takes plain_ode.py beside it; or give JSON") from None
    except ValueError as error:
        raise Inconclusive(f"{path}: {error}; use symlump check") from None


def main(arguments: Sequence[str]) -> int:
    """Check a file; prints one line and returns the exit code."""
    if len(arguments) not in (1, 2):
        print("usage: python check.py CERTIFICATE.json [SYSTEM.json | SYSTEM.ode]", file=sys.stderr)
        return 2
    try:
        systems = [(read_ode if p.endswith("ode") else read_json)(p) for p in arguments[1:]]
        verdict = check(read_json(arguments[0]), *systems)
    except Inconclusive as doubt:
        verdict = Verdict("inconclusive", one_line(doubt))
    except MemoryError:
        verdict = Verdict("inconclusive", "it takes more memory than there is; raise the limit")
    except (Unreadable, ValueError) as error:
        print(f"unreadable: {one_line(error)}", file=sys.stderr)
        return 2
    print(f"{verdict.answer}: {verdict.reason}")
    return EXIT_CODES[verdict.answer]


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    gc.disable()  # going through all the lists again and again, it would find none to free
    sys.exit(main(sys.argv[1:]))
