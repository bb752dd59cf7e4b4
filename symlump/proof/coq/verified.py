"""The verified checker as a program: extracted from Coq to OCaml, compiled once, asked about claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from symlump.errors import FailureError
from symlump.ode.notation import count_text
from symlump.proof.check import (
    FREE,
    Claim,
    Exhausted,
    Inconclusive,
    Rejected,
    Verdict,
    _check,
    read_claim,
    replay_evaluations,
    verdict,
    where_defined,
)
from symlump.proof.closure import examine_closure
from symlump.proof.coq import development
from symlump.proof.coq.development import THEORY, compile_development, make_cached, program
from symlump.proof.coq.numbers import (
    LEAST_MODULUS,
    Factors,
    NumberedClaim,
    NumberedGradients,
    NumberedHint,
    NumberedSymbols,
    Row,
    Terms,
    number_claim,
)
from symlump.proof.coq.script import KNOWN_FUNCTIONS, script


def check_verified(
    certificate: Mapping[str, Any], system: Mapping[str, Any] | None = None, coqc: bool = False
) -> Verdict:
    """Verify a certificate with the checker that was proved correct in Coq.

    Reading the file, and turning names into numbers, is not part of what was proved.

    Parameters
    ----------
    certificate : mapping
    system : mapping, optional
        The system, if the certificate only names a digest.
    coqc : bool
        Ask Coq itself, not the program.

    Raises
    ------
    Unreadable
        If the data does not have the form of a certificate.
    MissingProgramError
        If there is no coqc, or no ocamlopt.
    """

    def examine() -> Verdict:
        claim = read_claim(certificate, system)
        known = _answer_in_python(claim)
        numbered = number_claim(claim)  # no claim but about a partition
        where_defined(claim)
        found = _judged(numbered, claim.tolerance != "0", _proved if coqc else ask)
        if found.accepted and known != "accepted" and (fault := _fault_of_record(claim)):
            raise Inconclusive(f"{found.reason}; not by the record in the file, {fault}")
        if (
            found.answer == "rejected"
            and (claim.functions or claim.quotient_functions)
            and known != "rejected"
        ):
            raise Inconclusive(found.reason)  # with functions, what is not proved need not be false
        if found.answer == "inconclusive" and known == "rejected":
            raise Rejected(found.reason)  # an observable that the rows do not give, for one
        return found

    return verdict(examine)


def _answer_in_python(claim: Claim) -> str:
    """What the checkers in Python answer; what exhausts them is not for Coq, which has no bounds."""
    try:
        _check(claim)
        if claim.closure is not None:
            examine_closure(claim)
    except Exhausted:
        raise
    except Rejected:
        return "rejected"
    except Inconclusive:
        return "inconclusive"  # Coq will see
    return "accepted"


def _fault_of_record(claim: Claim) -> str:
    """Why the points in the file, if any, do not show what Coq shows with its own, of which it takes more."""
    if claim.evaluations is None:
        small = claim.functions and claim.closure and claim.closure.prime < LEAST_MODULUS
        return "whose prime is too small" if small else ""
    assert claim.initial is not None
    initial = {name: number for number, block in enumerate(claim.initial) for name in block}
    of = {member: block for block, members in claim.blocks.items() for member in members}
    first: dict[int, str] = {}
    reached = replay_evaluations(claim, initial, claim.evaluations)
    same = all(of[first.setdefault(label, name)] == of[name] for name, label in reached.items())
    return "" if same else "which is too short"


#: Said where it could be the reason.
_UNUSED = (
    "; of a power with exponent -1, -2, … of a base that no quotient divides by, nothing was used "
    "but that equal arguments give equal values"
)


def _judged(
    claim: NumberedClaim, reference: bool, answers_of: Callable[[NumberedClaim], dict[str, bool]]
) -> Verdict:
    found = claim.derivation
    if found is not None:
        for terms in claim.system:
            if any(value.denominator % found.modulus == 0 for value, _ in terms):
                raise Inconclusive(f"{found.modulus} divides a denominator")
    answers = answers_of(claim)
    part = "row" if claim.kind == "linear" else "block"
    size = (
        f"{count_text(len(claim.names), 'variable')}, {count_text(len(claim.quotient_names), part)}"
    )
    what = f"{claim.kind} lumping{' of a map' * claim.time} ({size})"
    what += " of a reference model" * reference
    free = FREE if claim.symbols is not None and claim.symbols.unknown else ""
    symbols = claim.symbols
    if not answers["lumping"]:
        unused = _UNUSED if symbols is not None and symbols.unused else ""
        return Verdict("rejected", f"not proved: {what}{free}{unused}")
    if answers.get("inside") is False:
        return Verdict("rejected", f"{what} proved; not inside the initial partition")
    coarsest = claim.rounds if symbols is None else symbols.rounds
    smallest = found if symbols is None else symbols.gradients
    for best, among, claimed in (
        ("coarsest", "inside the initial partition", coarsest),
        ("smallest", "that keeps the observables", smallest),
    ):
        if claimed is not None:
            said = f"the {best} {among}"
            if not answers[best]:
                return Verdict("inconclusive", f"{what} proved; not that it is {said}")
            return Verdict("accepted", f"{what}, {said}{free}: proved", coarsest=True)
    inside = " inside the initial partition" if "inside" in answers else ""
    return Verdict("accepted", f"{what}{inside}: proved")


def _proved(claim: NumberedClaim) -> dict[str, bool]:
    """What coqc says: all of a claim, or, if it refuses that, the most that it accepts."""
    refused: list[NumberedClaim] = []
    for best, inside in ((True, True), (False, True), (False, False)):
        part = claim if best else claim.without_best()
        part = part if inside else replace(part, initial=None)
        if part in refused:
            continue
        accepted, said = development.coqc(script(part))
        if accepted:
            if "Closed under the global context" not in said:
                raise FailureError(f"coqc names axioms: {said.strip()[:400]}")
            within = {} if claim.initial is None else {"inside": inside}
            return {"lumping": True, "coarsest": best, "smallest": best} | within
        if "Unable to unify" not in said:
            raise FailureError(f"coqc failed: {said.strip()[:400]}")
        refused.append(part)
    return {"lumping": False}


def ask(claim: NumberedClaim) -> dict[str, bool]:
    """What the program says of each part of a claim.

    Raises
    ------
    FailureError
        If the program fails, for want of memory for one.
    """
    done = development.run_deep([str(program_path())], _input(claim))
    if done.returncode:
        raise FailureError(f"the verified checker failed: {done.stderr.strip()[:400]}")
    return {what: holds == "true" for what, holds in map(str.split, done.stdout.splitlines())}


def program_path() -> Path:
    """The path of the program; compiled where it is not yet.

    Raises
    ------
    MissingProgramError
        If there is no coqc, or no ocamlopt.
    """
    for name in ("coqc", "ocamlopt"):  # asked for before Coq has worked for a minute
        program(name)
    extract = ["coqc", "-Q", str(compile_development()), "Symlump", "Extract.v"]
    compile_it = [
        "ocamlopt",
        "-O3",
        "-w",
        "-a",
        "verified.mli",
        "verified.ml",
        "main.ml",
        "-o",
        "verified",
    ]
    return (
        make_cached("checker", ["Extract.v", "main.ml"], [extract, compile_it], THEORY) / "verified"
    )


def _input(claim: NumberedClaim) -> str:
    """The claim as main.ml reads it: hexadecimal numbers, lists that begin with their length."""
    words = [claim.kind, *_list(map(_terms, claim.system)), *_list(map(_terms, claim.quotient))]
    symbols = claim.symbols
    if symbols is not None:
        words[0] += "_of"
        words += _symbols(symbols)
        if claim.kind == "linear":
            words += _list(map(_row, claim.matrix))
            return " ".join(words + _gradients(symbols.gradients))
    if claim.kind == "linear":
        words += _list(map(_row, claim.matrix))
        found = claim.derivation
        if found is None:
            return " ".join([*words, "none"])
        words.append("some")
        words += _list(map(_row, found.observables)) + _list(map(_row, found.carried))
        words += _list([f"{number:x}"] for number in found.start)
        words += _list([f"{parent:x}", *_list(map(_factors, ms))] for parent, ms in found.steps)
        return " ".join([*words, f"{found.modulus:x}"])
    words += _list([f"{block:x}"] for block in claim.blocks)
    if claim.initial is None:
        return " ".join([*words, "none"])
    words += ["some", *_list([f"{block:x}"] for block in claim.initial)]
    if symbols is not None and symbols.rounds is not None:
        return " ".join([*words, "some", *_list([f"{point:x}"] for point in symbols.rounds)])
    if claim.rounds is None:
        return " ".join([*words, "none"])
    records = (
        _list([f"{m:x}", *([f"{t:x}"] if t else []), *_factors(k)] for m, t, k in of_round)
        for of_round in claim.rounds
    )
    return " ".join([*words, "some", *_list(records)])


def _symbols(symbols: NumberedSymbols) -> list[str]:
    numbers: dict[str, str] = {}

    def called(function: str) -> list[str]:
        if function in KNOWN_FUNCTIONS:
            return [function]
        return ["named", numbers.setdefault(function, f"{len(numbers) + 1:x}")]

    words: list[str] = []
    for functions in (symbols.system, symbols.quotient):
        words += _list([*called(f), *_list(map(_terms, arguments))] for f, arguments in functions)
    for hints in (symbols.hints, symbols.quotient_hints):
        words += _list(map(_hint, hints))
    words.append(f"{symbols.modulus:x}")
    return words + _list([f"{point:x}"] for point in symbols.points)


def _gradients(found: NumberedGradients | None) -> list[str]:
    if found is None:
        return ["none"]
    words = ["some", *_list(map(_row, found.observables)), *_list(map(_row, found.carried))]
    words += _list([f"{number:x}"] for number in found.start)
    return words + _list([f"{parent:x}", f"{point:x}"] for parent, point in found.steps)


def _hint(hint: NumberedHint) -> list[str]:
    kind, exponent, what = hint
    words = [kind] if exponent is None else [kind, f"{exponent:x}"]
    if isinstance(what, list):
        return words + _terms(what)
    return words if what is None else [*words, f"{what:x}"]


def _list(items: Iterable[Iterable[str]]) -> list[str]:
    words, count = ["0"], 0
    for item in items:
        words += item
        count += 1
    words[0] = f"{count:x}"
    return words


def _rational(value: Fraction) -> list[str]:
    return [f"{value.numerator:x}", f"{value.denominator:x}"]


def _factors(factors: Factors) -> list[str]:
    return _list([f"{variable:x}", f"{power:x}"] for variable, power in factors)


def _terms(terms: Terms) -> list[str]:
    return _list([*_rational(value), *_factors(factors)] for value, factors in terms)


def _row(row: Row) -> list[str]:
    return _list([*_rational(weight), f"{variable:x}"] for weight, variable in row)
