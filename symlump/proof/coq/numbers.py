"""A claim in numbers: variables, blocks and rows are 1, 2, … in the order of the certificate.

That is what the verified checker reads, in Coq and as a program. Names are all that is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from symlump.proof.check import Claim, Inconclusive, Polynomial, Rejected, System

Factors = tuple[tuple[int, int], ...]
Terms = list[tuple[Fraction, Factors]]
Row = list[tuple[Fraction, int]]


@dataclass(frozen=True)
class Derivation:
    """Why a linear lumping is the smallest: see :mod:`symlump.proof.closure`."""

    observables: list[Row]
    carried: list[Row]
    start: list[int]
    steps: list[tuple[int, list[Factors]]]
    modulus: int


@dataclass(frozen=True)
class NumberedClaim:
    """What is claimed, without names.

    Parameters
    ----------
    kind : str
        "forward", "backward" or "linear".
    names, quotient_names : sequence of str
        What the numbers stand for.
    system, quotient : list of polynomials
        The right-hand sides, in order.
    blocks, initial : list of int
        For each variable the number of its block.
    rounds : list or None
        The maximality record: member, target (0 for backward) and monomial.
    matrix : list of rows
        For a linear lumping: pairs of a weight and a variable.
    derivation : Derivation or None
        For a linear lumping that claims to be the smallest.
    """

    kind: str
    names: Sequence[str]
    quotient_names: Sequence[str]
    system: list[Terms]
    quotient: list[Terms]
    blocks: list[int]
    initial: list[int] | None
    rounds: list[list[tuple[int, int, Factors]]] | None
    matrix: list[Row]
    derivation: Derivation | None

    @property
    def terms(self) -> int:
        """Terms of system and quotient."""
        return sum(map(len, self.system)) + sum(map(len, self.quotient))


def numbered(claim: Claim) -> NumberedClaim:
    """The claim in numbers.

    Raises
    ------
    Inconclusive
        If the system contains functions.
    Rejected
        If the blocks are no partition of the variables, or there is not one equation for each block or row.
    """
    if claim.functions or claim.quotient_functions:
        raise Inconclusive("the checker proved in Coq knows polynomials, and no functions")
    names, parts = list(claim.system), claim.matrix if claim.kind == "linear" else claim.blocks
    if claim.quotient.keys() != parts.keys():
        raise Rejected("the quotient does not have exactly one equation per block or row")
    at = {name: number for number, name in enumerate(names, 1)}
    part = {name: number for number, name in enumerate(parts, 1)}
    linear = claim.kind == "linear"
    return NumberedClaim(
        claim.kind,
        names,
        list(parts),
        _system(claim.system, names, at),
        _system(claim.quotient, parts, part),
        [] if linear else _labels(names, claim.blocks.values(), "the blocks"),
        None if claim.initial is None else _labels(names, claim.initial, "the initial partition"),
        None
        if claim.maximality is None
        else [
            [(at[m], 0 if t is None else at[t], _factors(k, at)) for m, t, k in records]
            for records in claim.maximality
        ],
        [_row(row, at) for row in claim.matrix.values()],
        _derivation(claim, at, part),
    )


def _derivation(
    claim: Claim, at: Mapping[str, int], row_at: Mapping[str, int]
) -> Derivation | None:
    closure = claim.closure
    if closure is None:
        return None
    steps: list[tuple[int, list[Factors]]] = []
    for parent, monomial in closure.steps:
        if not steps or steps[-1][0] != parent + 1:
            steps.append((parent + 1, []))
        steps[-1][1].append(_factors(monomial, at))
    for number in closure.start:
        if not 0 <= number < len(closure.observables):
            raise Rejected(f"the derivation starts with observable {number}, which is not there")
    return Derivation(
        [_row(form, at) for form, _ in closure.observables],
        [_row(carried, row_at) for _, carried in closure.observables],
        [number + 1 for number in closure.start],
        steps,
        closure.prime,
    )


def _system(system: System, order: Iterable[str], at: Mapping[str, int]) -> list[Terms]:
    return [[(c, _factors(m, at)) for m, c in system[name].items()] for name in order]


def _factors(monomial: Iterable[tuple[str, int]], at: Mapping[str, int]) -> Factors:
    return tuple(sorted((at[name], power) for name, power in monomial))


def _row(form: Polynomial, at: Mapping[str, int]) -> Row:
    return [(weight, at[name]) for ((name, _),), weight in form.items()]


def _labels(names: Sequence[str], blocks: Iterable[Sequence[str]], what: str) -> list[int]:
    label: dict[str, int] = {}
    for number, block in enumerate(blocks, 1):
        if not block:
            raise Rejected(f"{what}: a block is empty")
        for name in block:
            if name in label:
                raise Rejected(f"{what}: {name} is in two blocks, or twice in one")
            label[name] = number
    if label.keys() != set(names):
        raise Rejected(f"{what}: not every variable is in a block, or a member is no variable")
    return [label[name] for name in names]
