"""A proof in plain words, of systems with quotients and functions, which are compared over their denominators.

Why nothing coarser will do is replayed with formulas, round by round; the record in the certificate is values
modulo a prime, which show the same and are no reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from symlump.ode.functions.wording import (
    UNKNOWN_SLOPES,
    has_unknown_slopes,
    list_names,
    listed_functions,
)
from symlump.ode.notation import count_text, escape_words, name_latex
from symlump.proof.check import (
    FREE,
    Claim,
    Inconclusive,
    Polynomial,
    unknown_functions,
    where_defined,
)
from symlump.proof.closure import closure_verdict
from symlump.proof.formulas import TooLongError, facts
from symlump.proof.latex import list_latex
from symlump.proof.steps import Line, ProofWalk, Step
from symlump.proof.walk import Walker

if TYPE_CHECKING:
    import sympy

#: More terms than this are not multiplied out for reading.
MAX_TERMS = 300
_SHOWN = 12

Judged = dict[str, dict[str, "sympy.Expr"]]  # by variables: functions, by what they are


def walk(claim: Claim, blocks: Iterable[str] | None = None) -> ProofWalk:
    """Walk through the proof of a claim with functions; see :func:`symlump.proof.walk.walk`.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = -x/(1 + x + y); y' = -y/(1 + x + y)")
    >>> print(sl.lump(ode, sl.Forward()).certificate().explain(["y1"]))
    What is used
      Quotients are compared as functions, where no denominator is 0:
        x + y + 1
    <BLANKLINE>
    Block y1 = x + y
      The derivatives of the members add up to
        f = -x/(x + y + 1) - y/(x + y + 1)
      The quotient claims
        y1' = -y1/(y1 + 1)
      which is, with the sums put in for the blocks,
        g = -(x + y)/(x + y + 1)
      With the numerators multiplied out, f and g are the same.
      This holds.
    """
    return FunctionWalker(claim).walk(blocks)


class FunctionWalker(Walker):
    """Formulas of a claim in which symbols stand for functions."""

    max_terms = MAX_TERMS

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim)
        self.mentioned: set[sympy.Symbol] = set()  # names of long values in what is shown
        self.unknown = sorted(unknown_functions(claim.functions, claim.quotient_functions))
        self.taken = FREE if self.unknown else ""
        self.large = self.formulas.images(claim.functions, self.old)
        self.small = self.formulas.images(claim.quotient_functions, self.new)

    def walk(self, blocks: Iterable[str] | None) -> ProofWalk:
        """The walk; names of long values are said first."""
        steps = super().walk(blocks).steps
        said = []
        for name, value in reversed(self.formulas.values.items()):
            if name in self.mentioned:
                said.append((name.name, name_latex(name.name), value))
                self._text(value)  # mentions those before it
        if not said:
            return ProofWalk(steps)
        line = self._line("Names of values that are long:", *reversed(said))
        return ProofWalk((replace(steps[0], lines=(*steps[0].lines, line)), *steps[1:]))

    def _text(self, expression: sympy.Expr) -> str:
        self.mentioned |= expression.free_symbols & self.formulas.values.keys()
        return super()._text(self.formulas.shown(expression))

    def _latex(self, expression: sympy.Expr) -> str:
        self.names |= {name: name_latex(name.name) for name in self.formulas.values}
        return super()._latex(self.formulas.shown(expression))

    def _equation(self, name: str) -> sympy.Expr:
        return self._expression(self.claim.system[name], self.large)

    def _assumed(self) -> list[Step]:
        """Denominators are not 0, and of functions little is used."""
        claim, lines = self.claim, list[Line]()
        below = [
            self._expression(f.arguments[0], self.large)
            for f in claim.functions.values()
            if f.name == "inverse"
        ]
        varying = [d for d in dict.fromkeys(below) if not d.is_number]
        if varying:
            shown = varying[:_SHOWN]
            more = len(varying) > _SHOWN
            lines.append(
                Line(
                    "Quotients are compared as functions, where no denominator is 0:",
                    "\n".join([*map(self._text, shown), *(["…"] if more else [])]),
                    list_latex([*map(self._latex, shown), *([r"\ldots"] if more else [])]),
                )
            )
        if self.unknown:
            known = [fact for name in self.unknown for fact in facts(name)]
            said = f"Of {listed_functions(self.unknown)} nothing is used but that "
            said += "equal arguments give equal values"
            latex = r",\quad ".join(rf"\text{{{escape_words(fact)}}}" for fact in known)
            lines.append(Line(said + (", and" if known else "."), ", ".join(known), latex))
        doubts = []
        try:
            if where := where_defined(claim).removeprefix(", "):
                lines.append(Line(f"What follows is said {where}."))
        except Inconclusive as doubt:
            line = Line("At some state that is tried, no denominator is 0:", str(doubt))
            doubts.append(Step("Where it is defined", (line,), False))
        used = [Step("What is used", tuple(lines), True, claims=False)] if lines else []
        return used + doubts

    def _forward(self, name: str, members: Sequence[str]) -> Step:
        of = "next value" if self.claim.time else "derivative"
        adding = f"The {of}s of the members add up to" if len(members) > 1 else f"Its {of} is"
        total = self.sympy.Add(*map(self._equation, members))
        sums = {
            b: self.sympy.Add(*(self.old[m] for m in ms)) for b, ms in self.claim.blocks.items()
        }
        title = f"Block {name}" + ("" if len(members) == 1 else f" = {' + '.join(members)}")
        first = self._line(adding, ("f", "f", total))
        return self._square(title, (first,), name, total, sums, "the sums put in for the blocks")

    def _linear(self, name: str, members: Sequence[str]) -> Step:
        s, claim = self.sympy, self.claim
        rows = {row: self._expression(form, self.old) for row, form in claim.matrix.items()}
        total = s.Add(
            *(
                s.Rational(w.numerator, w.denominator) * self._equation(m)
                for ((m, _),), w in claim.matrix[name].items()
            )
        )
        of = "next value" if claim.time else "derivative"
        lines = (
            self._line("It is the combination", (name, name_latex(name), rows[name])),
            self._line(f"Its {of}, by the system, is", ("f", "f", total)),
        )
        return self._square(f"Row {name}", lines, name, total, rows, "the rows put in")

    def _square(
        self,
        title: str,
        lines: tuple[Line, ...],
        name: str,
        total: sympy.Expr,
        sums: Mapping[str, sympy.Expr],
        put: str,
    ) -> Step:
        """Both ways around the square, for one variable of the quotient."""
        quotient = self.claim.quotient[name]
        claimed = self._expression(quotient, self.small)
        at_sums = self.formulas.images(self.claim.quotient_functions, sums)
        expected = self._expression(quotient, at_sums)
        last, holds = self._same(total, expected)
        lines += (
            self._line("The quotient claims", (*self._left(name), claimed)),
            self._line(f"which is, with {put},", ("g", "g", expected)),
            last,
        )
        return Step(title, lines, holds)

    def _backward(self, name: str, members: Sequence[str]) -> Step:
        of = {m: self.new[b] for b, ms in self.claim.blocks.items() for m in ms}
        at_blocks = self.formulas.images(self.claim.functions, of)
        claimed = self._expression(self.claim.quotient[name], self.small)
        lines, holds = [self._line("The quotient claims", ("g", "g", claimed))], True
        for member in members:
            own = *self._left(member), self._equation(member)
            found = self._expression(self.claim.system[member], at_blocks)
            last, same = self._same(found, claimed)
            holds = holds and same
            lines += [
                self._line(f"The equation of {member} is", own),
                self._line("With every variable replaced by its block:", ("f", "f", found)),
                last,
            ]
        title = f"Block {name}" + ("" if len(members) == 1 else f": {' = '.join(members)}")
        return Step(title, tuple(lines), holds)

    def _same(self, f: sympy.Expr, g: sympy.Expr) -> tuple[Line, bool]:
        """Whether f and g are the same: as they stand, multiplied out, or over common denominators."""
        s = self.sympy
        if f == g:
            return Line("f and g are the same."), True
        if self._multiplied_out(f) == self._multiplied_out(g):
            return Line("With the numerators multiplied out, f and g are the same."), True
        (above_f, below_f), (above_g, below_g) = (s.fraction(s.together(e)) for e in (f, g))
        below = s.lcm(below_f, below_g)
        both = [
            self.formulas.expanded(s.cancel(below / b) * a)
            for a, b in ((above_f, below_f), (above_g, below_g))
        ]
        if not self.formulas.is_zero(f - g):
            rest = s.cancel(s.together(f - g))
            return self._line("They are not the same:", ("f - g", "f - g", rest)), False
        if below == 1:
            return self._line("Multiplied out, both are", ("f = g", "f = g", both[0])), True
        d = s.factor(below)
        text, latex = self._text(d), self._latex(d)
        left = f"({text})*f = ({text})*g", rf"\left({latex}\right) f = \left({latex}\right) g"
        words = "Multiplied by the denominators, both are the same:"
        return self._line(words, (*left, both[0])), True

    def _multiplied_out(self, f: sympy.Expr) -> sympy.Expr:
        """The sum with numerators multiplied out, and denominators as they are."""
        s, expanded = self.sympy, self.formulas.expanded
        return s.Add(*(expanded(term, deep=False) for term in s.Add.make_args(f)))

    def _best(self) -> list[Step]:
        claim = self.claim
        if claim.evaluations is not None and claim.initial is not None:
            return self._separated(claim.initial)
        return super()._best()  # with a record by monomials only the quotient has functions

    def _separated(self, initial: Sequence[Sequence[str]]) -> list[Step]:
        """Blocks split by functions that differ, until none does."""
        total = sum(map(len, self.claim.system.values()))
        many = f"{total} terms are more than are compared here."
        try:
            if total <= self.max_terms:
                return self._rounds(initial)
        except TooLongError:
            many = "What would be compared is longer than one can read."
        recorded = "The record in the certificate shows it, by values modulo a prime; the checkers replay it."
        line = Line(f"{many} {recorded}")
        return [Step("Nothing coarser will do", (line,), True, claims=False)]

    def _rounds(self, initial: Sequence[Sequence[str]]) -> list[Step]:
        claim, blocks, steps = self.claim, [list(block) for block in initial], list[Step]()
        while True:
            judged = self._rates(blocks) if claim.kind == "backward" else self._slopes(blocks)
            parts, lines = list[list[str]](), list[Line]()
            for block in blocks:
                groups = self._groups(block, judged)
                parts += groups
                if len(groups) > 1:
                    lines.append(self._differ(block, groups, judged))
            if not lines:
                return [*steps, self.left_together(blocks, len(steps), "such a function")]
            blocks = parts
            if any(has_unknown_slopes(line.text) for line in lines):
                lines.append(Line(f"(A {UNKNOWN_SLOPES}.)"))
            title = f"Round {len(steps) + 1}: what must be apart"
            steps.append(Step(title, tuple(lines), True))

    def _groups(self, block: Sequence[str], judged: Judged) -> list[list[str]]:
        """The parts of a block whose members are judged alike."""
        groups: list[list[str]] = []
        for name in block:
            for group in groups:
                if self._unlike(judged, name, group[0]) is None:
                    group.append(name)
                    break
            else:
                groups.append([name])
        return groups

    def _unlike(self, judged: Judged, a: str, b: str) -> str | None:
        """The first of their functions in which two variables differ."""
        for about in dict.fromkeys([*judged[a], *judged[b]]):
            difference = judged[a].get(about, 0) - judged[b].get(about, 0)
            if difference != 0 and not self.formulas.is_zero(difference):
                return about
        return None

    def _differ(
        self, block: Sequence[str], groups: Sequence[Sequence[str]], judged: Judged
    ) -> Line:
        about = self._unlike(judged, groups[0][0], groups[1][0])
        assert about is not None
        found = [(g, judged[g[0]].get(about, self.sympy.Integer(0))) for g in groups]
        rows = "\n".join(f"{', '.join(g)}: {self._text(e)}" for g, e in found)
        latex = r" \\ ".join(
            rf"{', '.join(map(name_latex, g))} &: {self._latex(e)}" for g, e in found
        )
        return Line(
            about.replace("{}", list_names(block)),
            rows,
            rf"\begin{{aligned}}{latex}\end{{aligned}}",
        )

    def _rates(self, blocks: Sequence[Sequence[str]]) -> Judged:
        """Backward: the equations, with every variable replaced by the first of its block."""
        of = {m: self.old[block[0]] for block in blocks for m in block}
        at_blocks = self.formulas.images(self.claim.functions, of)
        at_first = "where every variable is replaced by the first of its block:"
        about = f"The equations of {{}} differ{self.taken}, {at_first}"
        return {
            name: {about: self._expression(p, at_blocks)} for name, p in self.claim.system.items()
        }

    def _slopes(self, blocks: Sequence[Sequence[str]]) -> Judged:
        """Forward: the derivatives of the sums of equations over blocks, by the chain rule."""
        s, claim = self.sympy, self.claim
        held = {name: s.Dummy(name) for name in claim.functions} | self.old
        value = {held[name]: self.large[name] for name in claim.functions}
        slopes: dict[str, dict[str, sympy.Expr]] = {v: {v: s.Integer(1)} for v in claim.system}

        def add(found: dict[str, sympy.Expr], p: Polynomial, outer: sympy.Expr) -> None:
            expression = self._expression(p, held)
            for name in dict.fromkeys(v for m in p for v, _ in m):
                factor = outer * s.diff(expression, held[name]).subs(value, simultaneous=True)
                for variable, slope in slopes[name].items():
                    known = found.get(variable, 0)
                    found[variable] = self.formulas.readable(known + factor * slope)

        for name, function in claim.functions.items():
            arguments = [self._expression(p, self.large) for p in function.arguments]
            slopes[name] = {}
            for number, p in enumerate(function.arguments):
                add(slopes[name], p, self.formulas.slope(function.name, number, arguments))
        judged: Judged = {name: {} for name in claim.system}
        for block in blocks:
            of = "the equation" if len(block) == 1 else "the sum of the equations"
            found: dict[str, sympy.Expr] = {}
            for member in block:
                add(found, claim.system[member], s.Integer(1))
            for variable, slope in found.items():
                about = (
                    f"The derivatives, by {{}}, of {of} of {list_names(block)} differ{self.taken}:"
                )
                judged[variable][about] = slope
        return judged

    def _smallest(self) -> Step:
        """The derivation of a smallest lumping, which is numbers modulo a prime."""
        claim = self.claim
        closure = claim.closure
        assert closure is not None
        verdict = closure_verdict(claim)
        of = "next value" if claim.time else "derivative"
        words = (
            f"Whatever the functions are, the {of} of a row that must be there is a function of the rows, "
            f"so at every point its gradient is a combination of them{self.taken}. The record begins with "
            f"{count_text(len(closure.start), 'observable')} and takes "
            f"{count_text(len(closure.steps), 'such gradient')}, modulo {closure.prime}:"
        )
        if verdict.accepted:
            shown = (
                f"all of them are independent, and there are {count_text(len(claim.matrix), 'row')}"
            )
        else:
            shown = verdict.reason
        return Step("Nothing smaller will do", (Line(words, shown),), verdict.accepted)
