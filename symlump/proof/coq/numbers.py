"""A claim in numbers: variables, blocks and rows are 1, 2, … in the order of the certificate.

That is what the verified checker reads, in Coq and as a program. Names are all that is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import NamedTuple

from symlump.proof.check import (
    _WHOLE,
    PRIMES,
    Claim,
    Closure,
    Functions,
    Inconclusive,
    Polynomial,
    Rejected,
    System,
    unknown_functions,
)
from symlump.proof.coq.hints import QUOTIENT, SYSTEM, Hint, hints

Factors = tuple[tuple[int, int], ...]
Terms = list[tuple[Fraction, Factors]]
Row = list[tuple[Fraction, int]]


@dataclass(frozen=True)
class NumberedDerivation:
    """Why a linear lumping is the smallest: see :mod:`symlump.proof.closure`."""

    observables: list[Row]
    carried: list[Row]
    start: list[int]
    steps: list[tuple[int, list[Factors]]]
    modulus: int


@dataclass(frozen=True)
class NumberedGradients:
    """Why a linear lumping of a system with functions is the smallest: see ``theory/Gradients.v``.

    Parameters
    ----------
    observables, carried, start : lists
        As in a derivation.
    steps : list of pairs
        The number of a vector, and that of a point where its derivative has its gradient taken.
    """

    observables: list[Row]
    carried: list[Row]
    start: list[int]
    steps: list[tuple[int, int]]


class NumberedHint(NamedTuple):
    """A hint: its kind, the exponent of a whole power, and the polynomial or symbol that it names.

    In the last two, number k of the system is 2·k, number k of the quotient 2·k + 1.
    """

    kind: str
    exponent: int | None
    what: Terms | int | None


@dataclass(frozen=True)
class NumberedSymbols:
    """Quotients and functions of a system and its quotient, and what helps to verify them.

    Parameters
    ----------
    system, quotient : list of pairs
        For each symbol its function, by name, and the arguments.
    hints, quotient_hints : list of NumberedHint
        For each symbol one.
    modulus : int
        What residues are modulo.
    points : list of int
        Where the systems may be defined: numbers from which values are computed.
    rounds : list of int or None
        A point for each round that splits the initial partition by values.
    unknown : bool
        Whether there are functions of which only little is used.
    unused : bool
        Whether a power with a negative whole exponent is not used as a product.
    gradients : Gradients or None
        For a linear lumping that claims to be the smallest.
    """

    system: list[tuple[str, list[Terms]]]
    quotient: list[tuple[str, list[Terms]]]
    hints: list[NumberedHint]
    quotient_hints: list[NumberedHint]
    modulus: int
    points: list[int]
    rounds: list[int] | None
    unknown: bool
    unused: bool
    gradients: NumberedGradients | None = None


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
    symbols : Symbols or None
        Quotients and functions; their numbers follow those of the variables.
    time : bool
        Whether it is discrete.
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
    derivation: NumberedDerivation | None
    symbols: NumberedSymbols | None = None
    time: bool = False

    @property
    def terms(self) -> int:
        """Terms of system and quotient."""
        return sum(map(len, self.system)) + sum(map(len, self.quotient))

    def without_best(self) -> NumberedClaim:
        """The claim with nothing said of the coarsest or the smallest."""
        symbols = self.symbols and replace(self.symbols, rounds=None, gradients=None)
        return replace(self, rounds=None, derivation=None, symbols=symbols)


def number_claim(claim: Claim) -> NumberedClaim:
    """The claim in numbers.

    Raises
    ------
    Rejected
        If the blocks are no partition of the variables, there is not one equation for each block or row, or a
        denominator is 0 where variables are replaced.
    Inconclusive
        If following the functions takes too long, or a record by monomials, of a system without functions,
        stands beside a quotient with some.
    """
    names, parts = list(claim.system), claim.matrix if claim.kind == "linear" else claim.blocks
    if claim.quotient.keys() != parts.keys():
        raise Rejected("the quotient does not have exactly one equation per block or row")
    at = {name: number for number, name in enumerate([*names, *claim.functions], 1)}
    part = {name: number for number, name in enumerate([*parts, *claim.quotient_functions], 1)}
    linear = claim.kind == "linear"
    with_functions = bool(claim.functions or claim.quotient_functions)
    by_monomials = claim.maximality is not None or (claim.closure and not claim.functions)
    if with_functions and by_monomials:
        # With functions a record names points; one by monomials is neither dropped nor taken for such.
        raise Inconclusive("a record by monomials is not read where the quotient has functions")
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
        None if with_functions else _derivation(claim, at, part),
        _symbols(claim, at, part) if with_functions else None,
        claim.time,
    )


#: Of all points at which residues are taken; short numbers are fast in Coq, and 2^31 - 1 is easily divided by.
MODULUS = (1 << 31) - 1
#: Modulo less, two of the exponents of whole powers could be one: ``least`` in ``theory/Chance.v``.
LEAST_MODULUS = 2 * _WHOLE + 1
#: Points at which the system may be defined, and rounds beyond those of a certificate: one may be unlucky.
_POINTS, _MORE_ROUNDS = 4, 3


def _symbols(claim: Claim, at: Mapping[str, int], part: Mapping[str, int]) -> NumberedSymbols:
    of = {member: block for block, members in claim.blocks.items() for member in members}
    found = hints(claim, of)
    both = {SYSTEM + name: 2 * number for name, number in at.items()}
    both |= {QUOTIENT + name: 2 * number + 1 for name, number in part.items()}

    def numbers(hint: Hint) -> NumberedHint:
        what: Terms | int | None = both[hint.symbol] if hint.symbol else None
        if hint.polynomial is not None:
            what = [(c, _factors(m, both)) for m, c in hint.polynomial.items()]
        return NumberedHint(hint.kind, hint.exponent if hint.kind == "Whole" else None, what)

    rounds = None
    if claim.evaluations is not None:
        count = min(claim.evaluations.rounds, len(claim.system)) + _MORE_ROUNDS
        rounds = list(range(2, 2 + count))
    return NumberedSymbols(
        _applied(claim.functions, at),
        _applied(claim.quotient_functions, part),
        list(map(numbers, found.system)),
        list(map(numbers, found.quotient)),
        _modulus(claim),
        list(range(2, 2 + _POINTS)),
        rounds,
        bool(unknown_functions(claim.functions, claim.quotient_functions)),
        found.unused,
        _gradients(claim, at, part),
    )


def _gradients(
    claim: Claim, at: Mapping[str, int], row_at: Mapping[str, int]
) -> NumberedGradients | None:
    closure = claim.closure
    if closure is None:
        return None
    return NumberedGradients(
        [_row(form, at) for form, _ in closure.observables],
        [_row(carried, row_at) for _, carried in closure.observables],
        _start(closure),
        [(parent + 1, point + 2) for parent, point in closure.steps],
    )


def _modulus(claim: Claim) -> int:
    """The prime of a derivation, if whole exponents differ modulo it; else one that divides no denominator."""
    if claim.closure is not None and claim.closure.prime >= LEAST_MODULUS:
        return claim.closure.prime
    used = [*claim.functions.values(), *claim.quotient_functions.values()]
    polynomials = chain(
        claim.system.values(), claim.matrix.values(), *(function.arguments for function in used)
    )
    denominators = {c.denominator for p in polynomials for c in p.values()}
    for prime in (MODULUS, *PRIMES):
        if all(denominator % prime for denominator in denominators):
            return prime
    raise Inconclusive("every prime that is tried divides a denominator")


def _start(closure: Closure) -> list[int]:
    for number in closure.start:
        if not 0 <= number < len(closure.observables):
            raise Rejected(f"the derivation starts with observable {number}, which is not there")
    return [number + 1 for number in closure.start]


def _applied(functions: Functions, at: Mapping[str, int]) -> list[tuple[str, list[Terms]]]:
    return [
        (f.name, [[(c, _factors(m, at)) for m, c in u.items()] for u in f.arguments])
        for f in functions.values()
    ]


def _derivation(
    claim: Claim, at: Mapping[str, int], row_at: Mapping[str, int]
) -> NumberedDerivation | None:
    closure = claim.closure
    if closure is None:
        return None
    steps: list[tuple[int, list[Factors]]] = []
    for parent, monomial in closure.steps:
        if not steps or steps[-1][0] != parent + 1:
            steps.append((parent + 1, []))
        steps[-1][1].append(_factors(monomial, at))
    return NumberedDerivation(
        [_row(form, at) for form, _ in closure.observables],
        [_row(carried, row_at) for _, carried in closure.observables],
        _start(closure),
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
        raise Rejected(f"{what}: not every variable is in a block, or a member is not a variable")
    return [label[name] for name in names]
