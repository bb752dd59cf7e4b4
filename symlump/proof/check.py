"""An independent checker of lumpings: standard library only, exact rationals throughout.

    python check.py CERTIFICATE.json [SYSTEM.json | SYSTEM.ode]

It shares no code with the part of symlump that finds lumpings, and trusts no number in the certificate: it
re-derives every identity from the definition. The format is specified in the documentation, "Certificates".

Forward: all ∂f_B/∂x_i of a block agree, with f_B = Σ_{k∈B} q_k. Backward: all q_i of a block agree once
variables are replaced by their blocks. Linear: L·q(x) = g(L·x). The quotient is compared in each case.
Coarsest: single coefficients in which members of a block differ are replayed round by round.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import runpy
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]
System = dict[str, Polynomial]
Blocks = dict[str, list[str]]
Labels = dict[str, int]

VERSION = 1
# Past these bounds, for strangers' files, it stops: within seconds. 30 bytes a term, 200 000 terms.
MAX_BYTES = 6_500_000
MAX_DIGITS = 4_000
MAX_BITS = 14_000
MAX_DEGREE = 10_000
MAX_STEPS = 2_500_000
CLAIMS = "is {0}, the quotient claims {1}"
EXIT_CODES = {"accepted": 0, "rejected": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Verdict:
    """What the checker says: ``answer`` is accepted, rejected or inconclusive; ``reason`` says why.

    ``coarsest`` is True if the record also proves that no coarser partition will do.
    """

    answer: str
    reason: str
    coarsest: bool = False

    @property
    def accepted(self) -> bool:
        """True if every claim was verified."""
        return self.answer == "accepted"


class Rejected(Exception):
    """A claim is false; the message names the block, the monomial and the residue."""


class Inconclusive(Exception):
    """The claims can be neither verified nor refuted here."""


class Unreadable(Exception):
    """The file is not a certificate."""


def check(certificate: Mapping[str, Any], system: Mapping[str, Any] | None = None) -> Verdict:
    """Verify a certificate; ``system`` is its system, if the certificate only names a digest.

    Raises
    ------
    Unreadable
        If the data does not have the form of a certificate.

    Examples
    --------
    >>> x, y = [["1", [["x", 1]]]], [["1", [["y", 1]]]]
    >>> claim = {"format": "symlump certificate", "version": 1, "kind": "forward",
    ...          "system": {"x": x, "y": y}, "blocks": {"z": ["x", "y"]},
    ...          "quotient": {"z": [["1", [["z", 1]]]]}}
    >>> check(claim).answer
    'accepted'
    >>> print(check(claim | {"quotient": {"z": [["2", [["z", 1]]]]}}).reason)
    equation of z: coefficient of z is 1, the quotient claims 2
    """
    try:
        return _check(certificate, system)
    except Rejected as refusal:
        return Verdict("rejected", one_line(refusal))
    except Inconclusive as doubt:
        return Verdict("inconclusive", one_line(doubt))
    except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError) as error:
        what = f"this is not a certificate: {type(error).__name__}: {error}"
        raise Unreadable(one_line(what)) from None


def one_line(text: object) -> str:
    """The text with all that could end a line or steer a terminal written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


class _Budget:
    """Elementary steps left for one task on a stranger's file."""

    def __init__(self, task: str) -> None:
        self.task, self.left = task, MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Inconclusive(f"{self.task} takes too long")


def _check(certificate: Mapping[str, Any], given: Mapping[str, Any] | None) -> Verdict:
    if certificate.get("format") != "symlump certificate":
        raise Unreadable('the file does not say "format": "symlump certificate"')
    if certificate["version"] != VERSION:
        raise Inconclusive(f"version {certificate['version']!r}; known here is version {VERSION}")
    kind = certificate["kind"]
    if kind not in ("forward", "backward", "linear"):
        raise Inconclusive(f"kind {kind!r}; known here are forward, backward and linear")
    stored = certificate.get("system")
    if stored is None and given is None:
        raise Inconclusive("the certificate holds only the digest of its system; give its file")
    system = read_system(given if stored is None else stored)
    claimed_digest, digest = certificate.get("digest"), system_digest(system)
    if claimed_digest not in (None, digest):
        raise Rejected(f"the system's digest is {digest}, the certificate claims {claimed_digest}")
    if stored is not None and given is not None and read_system(given) != system:
        reference = certificate.get("tolerance", "0") != "0"
        hint = "; that is a reference model, near to the given one" if reference else ""
        raise Rejected("the system that was given is not the one in the certificate" + hint)
    if kind == "linear":
        rows = {name: read_polynomial(row) for name, row in certificate["matrix"].items()}
        _check_linear(system, rows, read_system(certificate["quotient"]))
        said = f"linear lumping of {len(system)} variables to {len(rows)}, and its quotient"
        return Verdict("accepted", said)
    blocks: Blocks = certificate["blocks"]
    claimed = _labels(system, list(blocks.values()), "the blocks")
    names = list(blocks)
    quotient = read_system(certificate["quotient"])
    if quotient.keys() != blocks.keys():
        raise Rejected("the quotient does not have exactly one equation per block")
    verify = _check_forward if kind == "forward" else _check_backward
    verify(system, blocks, {name: names[number] for name, number in claimed.items()}, quotient)
    said = (
        f"{kind} equivalence of {len(system)} variables in {len(blocks)} blocks, and its quotient"
    )
    if certificate.get("tolerance", "0") != "0":
        said += "; exact for the system in the certificate, which is a reference model"
    if certificate.get("initial") is None:
        return Verdict("accepted", said)
    initial = _labels(system, certificate["initial"], "the initial partition")
    _refines(claimed, initial)
    if certificate.get("maximality") is None:
        return Verdict("accepted", said + ", inside the initial partition")
    reached = replay(system, kind, initial, certificate["maximality"])
    together: dict[int, str] = {}
    for name, label in reached.items():
        first = together.setdefault(label, name)
        if claimed[first] != claimed[name]:
            missing = f"the record does not separate {first} and {name}"
            raise Inconclusive(f"{said}: verified. Coarsest: not shown, {missing}")
    return Verdict("accepted", said + ", the coarsest inside the initial partition", coarsest=True)


def replay(system: System, kind: str, initial: Labels, rounds: Iterable[Any]) -> Labels:
    """The partition that a maximality record reaches, as a block number per variable.

    A round is a list of ``[member, target, monomial]``: the block to look at, by one of its members; for
    forward equivalence the target block, by one of its members (else null); and the monomial, over variables
    (forward) or over blocks, each named by a member (backward).
    """
    label = dict(initial)
    containing: dict[Monomial, list[tuple[str, Fraction]]] = {}
    if kind == "forward":
        for name, polynomial in system.items():
            for monomial, value in polynomial.items():
                containing.setdefault(monomial, []).append((name, value))
    sizes = {v: 1 + sum(len(m) + 1 for m in polynomial) for v, polynomial in system.items()}
    zero, budget = Fraction(0), _Budget("replaying the record")
    for records in rounds:
        budget.spend(len(label))
        members: dict[int, list[str]] = {}
        for name, number in label.items():
            members.setdefault(number, []).append(name)
        values: dict[str, list[Fraction]] = {}
        for member, target, factors in records:
            monomial = _monomial(factors)
            block = members[label[member]]
            if kind == "forward":
                at = label[target]
                budget.spend(len(block) * (len(monomial) + 1))
                for name in block:
                    raised = _sorted([*monomial, (name, 1)])
                    found = containing.get(raised, [])
                    budget.spend(len(found))
                    sums = (v * dict(raised)[name] for k, v in found if label[k] == at)
                    values.setdefault(name, []).append(_sum(sums) if found else zero)
            else:
                wanted = _over_blocks(monomial, label)
                budget.spend(len(monomial) + sum(map(sizes.__getitem__, block)))
                for name in block:
                    alike = (v for m, v in system[name].items() if _over_blocks(m, label) == wanted)
                    values.setdefault(name, []).append(_sum(alike))
        numbers: dict[Any, int] = {}
        label = {
            name: numbers.setdefault((number, tuple(values.get(name, ()))), len(numbers))
            for name, number in label.items()
        }
    return label


def _over_blocks(monomial: Monomial, label: Labels) -> dict[int, int]:
    powers: dict[int, int] = {}
    for variable, power in monomial:
        powers[label[variable]] = powers.get(label[variable], 0) + power
    return powers


def _check_forward(system: System, blocks: Blocks, of: dict[str, str], quotient: System) -> None:
    representative = {members[0] for members in blocks.values()}
    budget = _Budget("differentiating")
    for block, members in blocks.items():
        total: Polynomial = {}
        for member in members:
            for monomial, value in system[member].items():
                add_term(total, monomial, value)
        gradient: dict[str, Polynomial] = {}
        for monomial, value in total.items():
            budget.spend(len(monomial) ** 2 // 8)  # a term more per factor, each almost as long
            for at, (variable, power) in enumerate(monomial):
                lowered = ((variable, power - 1),) if power > 1 else ()
                rest = monomial[:at] + lowered + monomial[at + 1 :]
                add_term(gradient.setdefault(variable, {}), rest, value * power)
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
    if rows.keys() != quotient.keys():
        raise Rejected("the quotient does not have exactly one equation per row")
    budget = _Budget("adding up rows")
    for name, row in rows.items():
        total: Polynomial = {}
        for monomial, weight in row.items():
            if len(monomial) != 1 or monomial[0][1] != 1 or monomial[0][0] not in system:
                raise Rejected(f"row {name} is not a linear combination of variables")
            budget.spend(len(system[monomial[0][0]]))
            for other, value in system[monomial[0][0]].items():
                add_term(total, other, weight * value)
        _compare(total, _substituted(quotient[name], rows), f"row {name}", CLAIMS)


def _substituted(polynomial: Polynomial, rows: System) -> Polynomial:
    """The polynomial with each variable replaced by its row, multiplied out."""
    result: Polynomial = {}
    budget = _Budget("multiplying out the quotient")
    for monomial, value in polynomial.items():
        product: Polynomial = {(): value}
        for name in (v for v, power in monomial for _ in range(power)):
            budget.spend(len(product) * len(rows[name]) * (len(monomial) + 8))
            longer: Polynomial = {}
            for left, a in product.items():
                for right, b in rows[name].items():
                    add_term(longer, _sorted([*left, *right]), a * b)
            product = longer
        for other, value in product.items():
            add_term(result, other, value)
    return result


def _compare(left: Polynomial, right: Polynomial, where: str, how: str) -> None:
    for monomial in sorted(left.keys() | right.keys()) if left != right else ():
        a, b = left.get(monomial, Fraction(0)), right.get(monomial, Fraction(0))
        if a != b:
            shown = "*".join(v if e == 1 else f"{v}^{e}" for v, e in monomial) or "1"
            raise Rejected(f"{where}: coefficient of {shown} " + how.format(a, b))


def system_digest(system: System) -> str:
    """SHA-256 of the system in canonical form, in hexadecimal."""
    data = {name: sorted((m, str(v)) for m, v in p.items()) for name, p in system.items()}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_system(data: Any) -> System:
    """Turn plain data into polynomials; every variable that occurs must have an equation."""
    system = {name: read_polynomial(terms) for name, terms in data.items()}
    for name, polynomial in system.items():
        for monomial in polynomial:
            for variable, _ in monomial:
                if variable not in system:
                    raise Rejected(f"the equation of {name} uses {variable}, which has none")
    return system


def read_polynomial(terms: Sequence[Any]) -> Polynomial:
    """Turn a list of terms into a polynomial, within bounds."""
    result: Polynomial = {}
    for value, factors in terms:
        add_term(result, _monomial(factors), _rational(value))
    return result


@lru_cache  # most systems have few different coefficients
def _rational(value: str) -> Fraction:
    if not isinstance(value, str) or len(value) > MAX_DIGITS or "e" in value.lower():
        raise ValueError(f'a coefficient is text such as "-3/4", not {str(value)[:40]!r}')
    return Fraction(value)


def _monomial(factors: Sequence[Any]) -> Monomial:
    for variable, power in factors:
        if not isinstance(variable, str) or type(power) is not int or not 0 < power <= MAX_DEGREE:
            raise ValueError(f"{str(factors)[:80]} is not a list of variables and their powers")
    return _sorted(factors)


def _sorted(factors: Iterable[tuple[str, int]]) -> Monomial:
    powers: dict[str, int] = {}
    for variable, power in factors:
        powers[variable] = powers.get(variable, 0) + power
    return tuple(sorted(powers.items()))


def add_term(polynomial: Polynomial, monomial: Monomial, value: Fraction) -> None:
    """Add a term in place; a coefficient that cancels disappears."""
    before = polynomial.get(monomial)
    total = _sum((value,) if before is None else (before, value))
    if total:
        polynomial[monomial] = total
    else:
        polynomial.pop(monomial, None)


def _sum(values: Iterable[Fraction]) -> Fraction:
    total = Fraction(0)
    for value in values:
        total = total + value if total else value
        if max(total.numerator.bit_length(), total.denominator.bit_length()) > MAX_BITS:
            raise Inconclusive(f"a coefficient grows beyond {MAX_BITS} bits")
    return total


def _labels(system: System, blocks: Sequence[Any], what: str) -> Labels:
    label: Labels = {}
    for number, block in enumerate(blocks):
        if not isinstance(block, list) or not all(isinstance(name, str) for name in block):
            raise ValueError(f"{what}: a block is a list of names, not {str(block)[:40]}")
        if not block:
            raise Rejected(f"{what}: a block is empty")
        for name in block:
            if name not in system:
                raise Rejected(f"{what}: {name} is not a variable of the system")
            if name in label:
                raise Rejected(f"{what}: {name} is in two blocks, or twice in one")
            label[name] = number
    for name in system:
        if name not in label:
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
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise Unreadable(f"{path}: cannot be read: {why}") from None
    if len(text) > MAX_BYTES:
        raise Unreadable(f"{path}: it is longer than {MAX_BYTES} characters")
    return text


def read_json(path: str) -> Any:
    """Read a JSON file within bounds; a repeated key is an error."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            raise ValueError("a key occurs twice in one object")
        return result

    text = _read_text(path)
    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise Unreadable(f"{path}: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"{path}: this is not JSON, as certificates are: {error}") from None


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
        verdict = Verdict("inconclusive", str(doubt))
    except (Unreadable, ValueError) as error:
        print(f"unreadable: {error}", file=sys.stderr)
        return 2
    print(f"{verdict.answer}: {verdict.reason}")
    return EXIT_CODES[verdict.answer]


if __name__ == "__main__":
    gc.disable()  # going through all the lists again and again, it would find none to free
    sys.exit(main(sys.argv[1:]))
