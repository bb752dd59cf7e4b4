"""An exact lumping as a Coq file: definitions, one lemma per identity, one theorem.

The theorem is a commuting square and mentions no derivative, so that nothing of how a lumping is found
or checked here has to be trusted. With x' = q(x) and y' = g(y):

* forward: ``total (q x) b == g (total x) b`` for all x, where ``total`` adds up each block;
* backward: ``q (spread y) v == spread (g y) v`` for all y, where ``spread`` copies each block's value.

A state is a function from the variables, an enumerated type, to Q; the text is linear in the size
of the claim however many variables there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import comb, prod
from typing import Any

from symlump.errors import MethodError

#: A claim with more terms than this, multiplied out, is not written: coqc takes some 5 ms for each.
MAX_TERMS = 20_000
#: Nor is one with a longer single identity, for which coqc takes quadratic time (about 20 s at this).
MAX_IDENTITY = 2_000
#: Nor is one with more variables (quadratic time for enumerated types, too) or higher powers.
MAX_VARIABLES, MAX_POWER = 5_000, 1_000

_SUMMANDS_PER_LINE = 4
_RING_TERMS = 100
_STEM_LENGTH = 40


def to_coq(claim: Mapping[str, Any]) -> str:
    """Write a claim as a complete Coq file, which ``coqc`` accepts iff the claim is true.

    Needs Coq 8.16 or later and nothing beyond its standard library. The identities are proved by
    ``ring``, those of more than 100 terms by ``lra``, which is much faster on long sums.

    Parameters
    ----------
    claim : mapping
        Keys ``kind`` ("forward", "backward" or "linear"), ``system``, ``blocks`` (or ``matrix``) and
        ``quotient``, in the format of :mod:`symlump.proof.check`.

    Returns
    -------
    str
        The text of the file. Equal claims give equal texts.

    Raises
    ------
    MethodError
        If ``kind`` is another, there is no system, the blocks are not a partition of the variables
        with one equation each, or the claim is too large for coqc (20 000 terms after multiplying out,
        2000 in one identity, 5000 variables, powers up to 1000).

    Examples
    --------
    >>> x, y = [["-1", [["x", 1]]]], [["-1", [["y", 1]]]]
    >>> text = to_coq({"kind": "forward", "system": {"x": x, "y": y}, "blocks": {"z": ["x", "y"]},
    ...                "quotient": {"z": [["-1", [["z", 1]]]]}})
    >>> print(text[text.index("Lemma"):text.index("Proof")].strip())
    Lemma lumps_z : forall x : variable -> Q,
      q_x x + q_y x
      == g_z (total x).
    """
    kind = claim["kind"]
    if kind not in ("forward", "backward", "linear"):
        raise MethodError(f"kind {kind!r} is neither forward, backward nor linear")
    if "system" not in claim:
        raise MethodError("a Coq file needs the system itself; this claim holds only its digest")
    system, quotient = claim["system"], claim["quotient"]
    rows = _rows(claim)
    blocks = {name: [member for member, _ in row] for name, row in rows.items()}
    _check_shape(kind, system, blocks, quotient)
    _check_size(kind, system, blocks, quotient)
    variables, names = _stems(system), _stems(blocks)
    parts = [
        _HEAD.format(
            kind=kind,
            variables=len(system),
            blocks=len(blocks),
            reference="" if claim.get("tolerance", "0") == "0" else _REFERENCE,
        ),
        "(* The variables of the system. *)\n" + _enumeration("variable", "v", variables),
        "(* The blocks: the variables of the quotient. *)\n" + _enumeration("block", "b", names),
        "(* The system, v' = q_v(x). *)",
        *_field("q", "x", "v", "variable", system, variables),
        "(* The quotient, b' = g_b(y). *)",
        *_field("g", "y", "b", "block", quotient, names),
    ]
    terms = {name: len(polynomial) for name, polynomial in system.items()}
    if kind == "backward":
        parts += _backward(blocks, variables, names, terms)
    else:
        parts += _sums(kind, rows, variables, names, terms)
    return "\n\n".join(parts) + "\n"


_HEAD = """\
(* A {kind} equivalence of a polynomial system x' = q(x); variables: {variables}, blocks: {blocks}.
   Written by symlump. To check it: coqc FILE.v

   All is over the rationals. An identity of polynomials that holds for all rational values holds for
   all real ones. Nothing is said of coarser partitions.{reference} *)

From Coq Require Import QArith Qring Lqa.

Open Scope Q_scope.
Unset Elimination Schemes."""

_REFERENCE = """ The system is a reference model: the
   nearest to a given one that these blocks lump exactly."""


def _rows(claim: Mapping[str, Any]) -> dict[str, list[tuple[str, Fraction]]]:
    """What each variable of the quotient adds up: members of a block, or weighted variables."""
    if claim["kind"] != "linear":
        return {name: [(m, Fraction(1)) for m in block] for name, block in claim["blocks"].items()}
    try:
        return {
            name: [(variable, Fraction(value)) for value, ((variable, _),) in row]
            for name, row in claim["matrix"].items()
        }
    except ValueError:
        raise MethodError("a row of the claim is not a linear combination of variables") from None


def _sums(
    kind: str,
    rows: Mapping[str, Sequence[tuple[str, Fraction]]],
    variables: Mapping[str, str],
    names: Mapping[str, str],
    terms: Mapping[str, int],
) -> Iterable[str]:
    what = "the sum of its members" if kind == "forward" else "this combination"
    yield f"(* Each block's variable is {what}. *)\n" + _choice(
        "total (x : variable -> Q) (b : block)",
        "b",
        {
            f"b_{names[name]}": _sum([_scaled(w, f"x v_{variables[m]}") for m, w in row]) or "0"
            for name, row in rows.items()
        },
    )
    for name, row in rows.items():
        stem = names[name]
        tactic = _tactic(sum(terms[m] for m, _ in row))
        unfold = " ".join(f"q_{variables[m]}" for m, _ in row)
        yield (
            f"Lemma lumps_{stem} : forall x : variable -> Q,\n"
            f"  {_sum([_scaled(w, f'q_{variables[m]} x') for m, w in row]) or '0'}\n"
            f"  == g_{stem} (total x).\n"
            f"Proof. intro x. cbv beta iota delta [{unfold} g_{stem} total]. {tactic}. Qed."
        )
    yield (
        "(* The sums of the members' derivatives are the quotient's equations at the sums, in every\n"
        "   state. So if x' = q(x), then y := total x satisfies y' = g(y). *)\n"
        + _theorem(
            kind,
            "forall (x : variable -> Q) (b : block), total (q x) b == g (total x) b",
            "fun x b => match b as b return total (q x) b == g (total x) b with",
            [f"| b_{stem} => lumps_{stem} x" for stem in names.values()],
        )
    )


def _backward(
    blocks: Mapping[str, Sequence[str]],
    variables: Mapping[str, str],
    names: Mapping[str, str],
    terms: Mapping[str, int],
) -> Iterable[str]:
    block_of = {m: names[name] for name, members in blocks.items() for m in members}
    yield "(* Each member has its block's value. *)\n" + _choice(
        "spread (y : block -> Q) (v : variable)",
        "v",
        {f"v_{stem}": f"y b_{block_of[name]}" for name, stem in variables.items()},
    )
    for name, stem in variables.items():
        block, tactic = block_of[name], _tactic(terms[name])
        yield (
            f"Lemma lumps_{stem} : forall y : block -> Q, q_{stem} (spread y) == g_{block} y.\n"
            f"Proof. intro y. cbv beta iota delta [q_{stem} g_{block} spread]. {tactic}. Qed."
        )
    yield (
        "(* Where the members of each block are equal, so are their derivatives, and these are the\n"
        "   quotient's equations. So if y' = g(y), then x := spread y satisfies x' = q(x). *)\n"
        + _theorem(
            "backward",
            "forall (y : block -> Q) (v : variable), q (spread y) v == spread (g y) v",
            "fun y v => match v as v return q (spread y) v == spread (g y) v with",
            [f"| v_{stem} => lumps_{stem} y" for stem in variables.values()],
        )
    )


def _tactic(terms: int) -> str:
    """``ring`` for identities of ordinary size; ``lra`` multiplies out the same way, and faster."""
    return "ring" if terms <= _RING_TERMS else "lra"


def _theorem(kind: str, statement: str, match: str, branches: Iterable[str]) -> str:
    proof = "\n  ".join([match, *branches, "end"])
    return (
        f"Theorem {kind}_equivalence :\n  {statement}.\nProof.\n  exact ({proof}).\nQed.\n\n"
        f"Print Assumptions {kind}_equivalence."
    )


def _field(
    f: str, state: str, v: str, kind: str, equations: Mapping[str, Any], stems: Mapping[str, str]
) -> Iterable[str]:
    """One definition for each right-hand side, and the function that chooses among them."""
    for name, stem in stems.items():
        body = _polynomial(equations[name], f"{state} {v}", stems)
        yield f"Definition {f}_{stem} ({state} : {kind} -> Q) : Q :=\n  {body}."
    yield _choice(
        f"{f} ({state} : {kind} -> Q) ({v} : {kind})",
        v,
        {f"{v}_{stem}": f"{f}_{stem} {state}" for stem in stems.values()},
    )


def _enumeration(name: str, prefix: str, stems: Mapping[str, str]) -> str:
    rows = [
        f"| {prefix}_{stem}" + ("" if stem == original else f"  (* {_comment(original)} *)")
        for original, stem in stems.items()
    ]
    return "\n".join([f"Inductive {name} : Set :=", *rows]) + "."


def _choice(head: str, on: str, branches: Mapping[str, str]) -> str:
    rows = [f"  | {case} => {body}" for case, body in branches.items()]
    return "\n".join([f"Definition {head} : Q :=", f"  match {on} with", *rows, "  end."])


def _scaled(weight: Fraction, text: str) -> str:
    return text if weight == 1 else f"({weight.numerator} # {weight.denominator}) * {text}"


def _polynomial(terms: Sequence[Any], atom: str, stems: Mapping[str, str]) -> str:
    summands = []
    for value, factors in terms:
        coefficient = Fraction(value)
        powers = [
            f"{atom}_{stems[name]}" + (f" ^ {power}" if power > 1 else "")
            for name, power in factors
        ]
        if coefficient != 1 or not powers:
            powers.insert(0, f"({coefficient.numerator} # {coefficient.denominator})")
        summands.append(" * ".join(powers))
    return _sum(summands) or "0"


def _sum(summands: Sequence[str]) -> str:
    lines = [
        " + ".join(summands[at : at + _SUMMANDS_PER_LINE])
        for at in range(0, len(summands), _SUMMANDS_PER_LINE)
    ]
    return "\n    + ".join(lines)


def _stems(names: Iterable[str]) -> dict[str, str]:
    """A different stem of letters, digits and underscores for each name.

    Every identifier is a prefix and a stem, so no stem can be a keyword or hide a name of the library.
    """
    stems: dict[str, str] = {}
    used: set[str] = set()
    repeats: dict[str, int] = {}
    for name in names:
        plain = stem = re.sub(r"[^A-Za-z0-9_]", "_", name)[:_STEM_LENGTH]
        while stem in used:
            repeats[plain] = repeats.get(plain, 1) + 1
            stem = f"{plain}_{repeats[plain]}"
        used.add(stem)
        stems[name] = stem
    return stems


def _comment(name: str) -> str:
    """A name inside a comment: quotes and asterisks, which could end or hide it, are written as codes."""
    return "".join(
        c if c.isalnum() or (" " <= c <= "~" and c not in '*"\\') else f"\\u{{{ord(c):x}}}"
        for c in name
    )


def _check_shape(
    kind: str,
    system: Mapping[str, Any],
    blocks: Mapping[str, Sequence[str]],
    quotient: Mapping[str, Any],
) -> None:
    members = [m for block in blocks.values() for m in block]
    if kind == "linear":
        for name in sorted(set(members) - system.keys()):
            raise MethodError(f"a row of the claim uses {name!r}, which is not in the system")
    elif len(members) != len(set(members)) or set(members) != system.keys():
        raise MethodError("the blocks of a claim must contain each variable exactly once")
    elif not all(blocks.values()):
        raise MethodError("a block of the claim is empty")
    if quotient.keys() != blocks.keys():
        raise MethodError("the quotient of a claim must have exactly one equation per block")
    for equations in (system, quotient):
        powers = (e for terms in equations.values() for _, factors in terms for _, e in factors)
        if (highest := max(powers, default=0)) > MAX_POWER:
            raise MethodError(f"a Coq file is written for powers up to {MAX_POWER}, not {highest}")
        used = {name for terms in equations.values() for _, factors in terms for name, _ in factors}
        for name in sorted(used - equations.keys()):
            raise MethodError(f"a claim uses {name!r}, which has no equation in it")


def _check_size(
    kind: str,
    system: Mapping[str, Sequence[Any]],
    blocks: Mapping[str, Sequence[str]],
    quotient: Mapping[str, Sequence[Any]],
) -> None:
    """Count the terms of each identity, multiplied out; a true claim has few more than the system."""
    identities = []
    for name, members in blocks.items():
        if kind == "backward":
            identities += [len(system[m]) + len(quotient[name]) for m in members]
            continue
        powers_of_sums = sum(
            prod(comb(len(blocks[a]) + e - 1, len(blocks[a]) - 1) for a, e in factors)
            for _, factors in quotient[name]
        )
        identities.append(sum(len(system[m]) for m in members) + powers_of_sums)
    for count, most, what in (
        (len(system), MAX_VARIABLES, "variables"),
        (sum(identities), MAX_TERMS, "terms after multiplying out"),
        (max(identities, default=0), MAX_IDENTITY, "terms in one identity after multiplying out"),
    ):
        if count > most:
            shown = count if count < 10**12 else "far more"
            raise MethodError(
                f"a Coq file is written for at most {most} {what}; this claim has {shown}"
            )
