"""A certificate as a Coq file that holds data and one line of proof, which runs the verified checker.

The definitions (what a system, a lumping, the coarsest partition are), the checker and the proof that it is
right are in the folder ``theory``; :mod:`symlump.proof.coq.development` compiles them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from symlump.errors import FileFormatError
from symlump.ode.notation import count_text
from symlump.proof.check import Claim, Inconclusive
from symlump.proof.coq.numbers import (
    Factors,
    NumberedClaim,
    NumberedSymbols,
    Row,
    Terms,
    number_claim,
)

#: A longer list is written in pieces: Coq reads nested terms by recursion.
_PIECE = 200

#: What becomes of a state, by kind of lumping; and what ties values of the system to those of the quotient.
_AGGREGATED = {
    "forward": "total the_system (listed blocks)",
    "backward": "spread (listed blocks)",
    "linear": "combinations matrix",
}
_TIED = {
    "forward": "sums the_system (listed blocks) quotient",
    "backward": "copies the_system (listed blocks) quotient",
    "linear": "weighted matrix quotient",
}

#: Longer numbers are hexadecimal: of decimals Coq takes quadratic time to read, and Python writes 4 300 digits.
_DECIMAL_BITS = 256

#: Functions of which something is known, as ``theory/Functions.v`` calls them.
KNOWN_FUNCTIONS = {
    name: name.capitalize()
    for name in (
        *("inverse", "exp", "log", "power", "abs", "sign", "sin", "cos", "tan", "asin", "acos"),
        *("atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    )
}

_HEAD = """\
(* {what}
   Written by symlump. To check it, with FOLDER as symlump names it:
     coqc -Q FOLDER Symlump FILE.v

   Variables, blocks and rows are numbers. What the theorem at the end says is defined in {where},
   in terms of Algebra.v and Polynomial.v. *)

From Symlump Require Import Certificate.
"""


def script(claim: NumberedClaim, reference: bool = False) -> str:
    """The Coq file of a claim; ``coqc`` accepts it iff the verified checker does.

    Parameters
    ----------
    claim : NumberedClaim
    reference : bool
        Say that the system is a reference model.

    Examples
    --------
    >>> from symlump.proof.check import read_claim
    >>> x, y = [["-1", [["x", 1]]]], [["-1", [["y", 1]]]]
    >>> data = {"format": "symlump certificate", "version": 1, "kind": "forward", "system": {"x": x, "y": y},
    ...         "blocks": {"z": ["x", "y"]}, "quotient": {"z": [["-1", [["z", 1]]]]}}
    >>> text = script(number_claim(read_claim(data)))
    >>> print(text[text.index("Theorem"):].strip())
    Theorem accepted : forward_lumping the_system (listed blocks) quotient.
    Proof. apply forward_accepted. vm_compute. reflexivity. Qed.
    <BLANKLINE>
    Theorem solutions : forall (A : algebra) (D : Algebra.derivation A) (x : positive -> A),
      solves D the_system x -> solves D quotient (total the_system (listed blocks) x).
    Proof. apply forward_solutions, accepted. Qed.
    <BLANKLINE>
    Print Assumptions solutions.
    """
    return _Script(claim, reference).text()


def script_of(claim: Claim) -> str:
    """The Coq file of a claim that has names.

    Raises
    ------
    FileFormatError
        If the verified checker does not read the record of the claim.
    """
    try:
        numbered = number_claim(claim)
    except Inconclusive as reason:
        raise FileFormatError(f"the verified checker cannot decide this: {reason}") from None
    return script(numbered, reference=claim.tolerance != "0")


class _Script:
    """The lines of a file as they come to be; coefficients get a name when they are first used."""

    def __init__(self, claim: NumberedClaim, reference: bool) -> None:
        self.claim, self.reference = claim, reference
        self.lines: list[str] = []
        self.coefficients: dict[Fraction, str] = {}
        self.named: dict[str, str] = {}  # functions of which nothing is known

    def text(self) -> str:
        claim = self.claim
        part = "row" if claim.kind == "linear" else "block"
        large = count_text(len(claim.names), "variable")
        small = count_text(len(claim.quotient_names), part)
        what = f"A {claim.kind} lumping of {large} to {small}."
        if claim.time:
            what += " The system is a map: its equations say next values."
        if self.reference:
            what += " The system is a reference model."
        where = "Systems.v" if claim.symbols is None else "Functions.v and Systems.v"
        self.lines.append(_HEAD.format(what=what, where=where))
        self._names("The variables", claim.names)
        self._names(f"The {part}s", claim.quotient_names)
        count = max(len(claim.names), len(claim.quotient_names), self._derived(), self._followed())
        self.lines += [f"Definition x{n} := {n}%positive." for n in range(1, count + 1)]
        self._system("the_system", "q", claim.system)
        self._system("quotient", "g", claim.quotient)
        if claim.symbols is not None:
            self._symbols(claim.symbols)
        if claim.kind == "linear":
            self._linear()
        else:
            self._partitions()
        name = self._meaning()
        return "\n".join(self.lines) + f"\n\nPrint Assumptions {name}.\n"

    def _derived(self) -> int:
        """The highest number that a derivation uses."""
        found = self.claim.derivation
        if found is None:
            return 0
        steps = [parent for parent, _ in found.steps]
        return max([len(found.observables), *found.start, *steps], default=0)

    def _followed(self) -> int:
        """The highest number of a symbol, those of the system and of the quotient told apart."""
        claim = self.claim
        if claim.symbols is None:
            return 0
        found = claim.symbols.gradients
        vectors = (
            0 if found is None else max(len(found.start) + len(found.steps), len(found.observables))
        )
        return 1 + 2 * max(
            vectors,
            len(claim.names) + len(claim.symbols.system),
            len(claim.quotient_names) + len(claim.symbols.quotient),
        )

    def _symbols(self, symbols: NumberedSymbols) -> None:
        self._functions("functions", "f", symbols.system)
        self._functions("quotient_functions", "h", symbols.quotient)
        for name, hints in (("hints", symbols.hints), ("quotient_hints", symbols.quotient_hints)):
            items = []
            for number, (kind, exponent, what) in enumerate(hints, 1):
                words = [kind] if exponent is None else [kind, f"({exponent})%Z"]
                if isinstance(what, list):
                    words.append(f"{name}_{number}")
                    self._polynomial(words[-1], what)
                elif what is not None:
                    words.append(f"x{what}")
                items.append(f"({' '.join(words)})")
            self._nested(name, "list hint", "next", items)
        self.lines.append(f"Definition modulus := {symbols.modulus}%Z.")
        for name, points in (("points", symbols.points), ("rounds", symbols.rounds)):
            if points is not None:
                items = [f"{point}%positive" for point in points]
                self._nested(name, "list positive", "label_then", items)

    def _functions(
        self, name: str, stem: str, functions: Sequence[tuple[str, Sequence[Terms]]]
    ) -> None:
        named = self.named
        for function, _ in functions:
            if function not in KNOWN_FUNCTIONS and function not in named:
                named[function] = f"(Named {len(named) + 1})"
                self.lines.append(f"(* {named[function]} is {comment(function)}. *)")
        items = []
        for number, (function, arguments) in enumerate(functions, 1):
            stems = [f"{stem}{number}_{at}" for at in range(1, len(arguments) + 1)]
            for of_one, terms in zip(stems, arguments, strict=True):
                self._polynomial(of_one, terms)
            called = KNOWN_FUNCTIONS.get(function) or named[function]
            items.append(f"{called} [{'; '.join(stems)}]")
        self._nested(name, "symbols", "symbol", items)

    def _partitions(self) -> None:
        claim, kind = self.claim, self.claim.kind
        self._labels("blocks", claim.blocks)
        if claim.symbols is not None:
            self._partitions_with_functions(claim.symbols)
            return
        theorem, lumping = f"{kind}_accepted", f"{kind}_lumping the_system (listed blocks) quotient"
        if claim.initial is not None:
            self._labels("initial", claim.initial)
            theorem = f"{kind}_inside_accepted"
            statement = f"{lumping} /\\\n  inside the_system (listed blocks) (listed initial)"
            if claim.rounds is not None:
                self._rounds(claim.rounds)
                theorem = f"{kind}_coarsest_accepted with rounds"
                best = f"coarsest {kind}_equivalence the_system (listed initial) (listed blocks)"
                statement = f"{lumping} /\\\n  {best}"
        else:
            statement = lumping
        self._theorem(statement, theorem)

    def _partitions_with_functions(self, symbols: NumberedSymbols) -> None:
        claim, kind = self.claim, self.claim.kind
        given = ["hints", "quotient_hints", "modulus", "points"]
        statement = (
            f"{kind}_lumping_of the_system functions (listed blocks) quotient quotient_functions"
        )
        theorem = f"{kind}_accepted_of"
        if claim.initial is not None:
            self._labels("initial", claim.initial)
            if symbols.rounds is None:
                theorem = f"{kind}_inside_accepted_of"
                statement += " /\\\n  inside the_system (listed blocks) (listed initial)"
            else:
                theorem = f"{kind}_coarsest_accepted_of"
                given.append("rounds")
                statement += (
                    f" /\\\n  nothing_coarser {kind}_equivalence_of the_system functions"
                    " (listed initial) (listed blocks)"
                )
        arguments = " ".join(f"({name} := {name})" for name in given)
        self._theorem(statement, f"{theorem} with {arguments}")

    def _rounds(self, rounds: Sequence[Sequence[tuple[int, int, Factors]]]) -> None:
        forward = self.claim.kind == "forward"
        record = "positive * positive * monomial" if forward else "positive * monomial"
        for number, records in enumerate(rounds):
            items = [
                f"(x{m}, x{t}, {_monomial(k)})" if forward else f"(x{m}, {_monomial(k)})"
                for m, t, k in records
            ]
            self._nested(f"round_{number}", f"list ({record})", "next", items)
        names = [f"round_{number}" for number in range(len(rounds))]
        self._nested("rounds", f"list (list ({record}))", "next", names)

    def _linear(self) -> None:
        claim, found = self.claim, self.claim.derivation
        self._rows("matrix", "m", claim.matrix)
        if claim.symbols is not None:
            self._linear_with_functions(claim.symbols)
            return
        statement, theorem = "linear_lumping the_system matrix quotient", "linear_accepted"
        if found is not None:
            self._rows("observables", "o", found.observables)
            self._rows("carried", "k", found.carried)
            self._nested("start", "list positive", "label_then", [f"x{n}" for n in found.start])
            steps = []
            for number, (parent, monomials) in enumerate(found.steps):
                items = [_monomial(monomial) for monomial in monomials]
                self._nested(f"step_{number}", "list monomial", "next", items)
                steps.append(f"(x{parent}, step_{number})")
            self._nested("steps", "derivation_steps", "next", steps)
            statement += " /\\\n  smallest the_system observables matrix"
            arguments = f"observables carried start steps {found.modulus}%Z"
            theorem = f"(linear_smallest_accepted the_system matrix quotient {arguments})"
        self._theorem(statement, theorem)

    def _linear_with_functions(self, symbols: NumberedSymbols) -> None:
        statement = "linear_lumping_of the_system functions matrix quotient quotient_functions"
        theorem, given = "linear_accepted_of", ["hints", "quotient_hints", "modulus", "points"]
        found = symbols.gradients
        if found is not None:
            for name, stem, rows in (
                ("observables", "o", found.observables),
                ("carried", "k", found.carried),
            ):
                self._rows(name, stem, rows)
            self._nested("start", "list positive", "label_then", [f"x{n}" for n in found.start])
            steps = [f"(x{parent}, {seed}%positive)" for parent, seed in found.steps]
            self._nested("steps", "gradient_steps", "next", steps)
            statement += " /\\\n  nothing_smaller the_system functions observables matrix"
            theorem = "linear_smallest_accepted_of"
            given += ["carried", "start", "steps"]
        arguments = " ".join(f"({name} := {name})" for name in given)
        self._theorem(statement, f"{theorem} with {arguments}")

    def _theorem(self, statement: str, theorem: str) -> None:
        self.lines.append(
            f"\nTheorem accepted : {statement}.\nProof. apply {theorem}. vm_compute. reflexivity. Qed."
        )

    def _meaning(self) -> str:
        """What follows for solutions, or for the trajectories of a map; the name of the theorem."""
        claim, kind, backward = self.claim, self.claim.kind, self.claim.kind == "backward"
        name = "trajectories" if claim.time else "solutions"
        follows = "moves N" if claim.time else "solves D"
        given = ["(N : shift_operator A)" if claim.time else "(D : Algebra.derivation A)"]
        large, small, assumed = "x", f"({_AGGREGATED[kind]} x)", ""
        if claim.symbols is not None:
            given = ["(F : interpretation A)", *given, "(z w : positive -> A)"]
            large, small = "z", "w"
            defined = (
                "state_of F the_system functions z -> state_of F quotient quotient_functions w"
            )
            assumed = f"\n  {defined} ->\n  {_TIED[kind]} z w ->"
        elif backward:
            given.append("(y : positive -> A)")
            large, small = f"({_AGGREGATED[kind]} y)", "y"
        else:
            given.append("(x : positive -> A)")
        both = [f"{follows} the_system {large}", f"{follows} quotient {small}"]
        theorem = f"{kind}_{name}" + ("" if claim.symbols is None else "_of")
        proof = f"apply {theorem}, accepted."
        if kind == "linear":  # also that the rows are of variables
            rows = "apply rows_checked; vm_compute; reflexivity"
            proof = f"apply {theorem}; [apply accepted | {rows}]."
        self.lines.append(
            f"\nTheorem {name} : forall (A : algebra) {' '.join(given)},{assumed}\n"
            f"  {' -> '.join(reversed(both) if backward else both)}.\nProof. {proof} Qed."
        )
        return name

    def _names(self, what: str, names: Sequence[str]) -> None:
        shown = ", ".join(f"{n} = {comment(name)}" for n, name in enumerate(names, 1))
        self.lines.append(f"(* {what}: {shown}. *)")

    def _labels(self, name: str, labels: Sequence[int]) -> None:
        self._nested(name, "list positive", "label_then", [f"x{n}" for n in labels])

    def _rows(self, name: str, stem: str, rows: Sequence[Row]) -> None:
        for number, row in enumerate(rows, 1):
            items = [f"{self._coefficient(weight)} x{v}" for weight, v in row]
            self._nested(f"{stem}{number}", "row", "entry", items)
        names = [f"{stem}{number}" for number in range(1, len(rows) + 1)]
        self._nested(name, "list row", "next", names)

    def _system(self, name: str, stem: str, polynomials: Sequence[Terms]) -> None:
        for number, terms in enumerate(polynomials, 1):
            self._polynomial(f"{stem}{number}", terms)
        names = [f"{stem}{number}" for number in range(1, len(polynomials) + 1)]
        self._nested(name, "system", "equation_then", names)

    def _polynomial(self, name: str, terms: Terms) -> None:
        items = [f"{self._coefficient(value)} {_monomial(factors)}" for value, factors in terms]
        self._nested(name, "polynomial", "plus", items)

    def _coefficient(self, value: Fraction) -> str:
        name = self.coefficients.get(value)
        if name is None:
            name = self.coefficients[value] = f"c{len(self.coefficients) + 1}"
            shown = f"{_numeral(value.numerator)} # {_numeral(value.denominator)}"
            self.lines.append(f"Definition {name} := ({shown})%Q.")
        return name

    def _nested(self, name: str, kind: str, before: str, items: Sequence[str]) -> None:
        """A list, written in pieces from its end."""
        tail = "no_more"
        pieces = [items[at : at + _PIECE] for at in range(0, len(items), _PIECE)] or [[]]
        for at in range(len(pieces) - 1, -1, -1):
            whole = name if at == 0 else f"{name}_from_{at}"
            body = "".join(f"({before} {item} " for item in pieces[at])
            self.lines.append(
                f"Definition {whole} : {kind} := {body}{tail}{')' * len(pieces[at])}."
            )
            tail = whole


def _numeral(number: int) -> str:
    return str(number) if number.bit_length() <= _DECIMAL_BITS else hex(number)


def _monomial(factors: Iterable[tuple[int, int]]) -> str:
    text, count = "", 0
    for variable, power in factors:
        text += f"(times x{variable} " if power == 1 else f"(times_power x{variable} {power} "
        count += 1
    return f"{text}unit{')' * count}"


def comment(name: str) -> str:
    """A name inside a comment: quotes and asterisks, which could end or hide it, are written as codes."""
    return "".join(
        c if c.isalnum() or (" " <= c <= "~" and c not in '*"\\') else f"\\u{{{ord(c):x}}}"
        for c in name
    )
