"""A certificate's proof in plain words, one block at a time, with sympy doing the algebra.

For the classroom: what the checkers do with numbers is done here with formulas, so each step can be
followed by hand. It is a third way to check, and shares no code with the others but the reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from symlump.errors import MethodError
from symlump.ode.functions.wording import list_names
from symlump.ode.notation import left_latex, left_text, name_latex
from symlump.proof.check import Claim, Monomial, Polynomial
from symlump.proof.formulas import Formulas, check_shown
from symlump.proof.latex import WIDTH, break_sum, list_latex, write_latex
from symlump.proof.steps import Line, ProofWalk, Step

if TYPE_CHECKING:
    import sympy

#: More terms than this, of the equations that are walked through, are not for reading.
MAX_TERMS = 2_000


def walk(claim: Claim, blocks: Iterable[str] | None = None) -> ProofWalk:
    """Walk through the proof of a claim.

    Parameters
    ----------
    claim : Claim
        What :func:`symlump.proof.check.read_claim` reads; it may be false.
    blocks : iterable of str, optional
        Only these variables of the quotient.

    Raises
    ------
    MethodError
        If a block is not one of the quotient's, there is more to show than can be read, or the claim is so far
        from true that there is nothing to walk through: its blocks are no partition, for one.

    Examples
    --------
    >>> from symlump.proof.check import read_claim
    >>> x, y = [["-1", [["x", 1]]]], [["-1", [["y", 1]]]]
    >>> data = {"format": "symlump certificate", "version": 1, "kind": "forward", "system": {"x": x, "y": y},
    ...         "blocks": {"z": ["x", "y"]}, "quotient": {"z": [["-2", [["z", 1]]]]}}
    >>> print(walk(read_claim(data)))
    Block z = x + y
      The derivatives of the members add up to
        f = -x - y
      Its derivatives by x and y agree, so f depends on the sum x + y only:
        ∂f/∂x = -1
        ∂f/∂y = -1
      Put z for x and 0 for the other members; the quotient claims for z'
        f = -z, claimed: -2*z
      This does not hold.
    """
    return Walker(claim).walk(blocks)


class Walker:
    """Formulas of one claim; each name is one symbol, and so is each name of the quotient."""

    max_terms = MAX_TERMS
    #: What is said behind what was found of functions.
    taken = ""

    def __init__(self, claim: Claim) -> None:
        import sympy

        self.claim, self.sympy = claim, sympy
        self.formulas = Formulas([*claim.system, *claim.quotient])
        self.old = {name: sympy.Symbol(name or "?") for name in claim.system}
        self.new = {name: sympy.Symbol(name or "?") for name in claim.quotient}
        # A block may have the name of one of its members; while both occur, it is a dummy.
        self.fresh = {name: sympy.Dummy(name or "?") for name in claim.quotient}
        everything = {**self.old, **self.new}
        self.names = {symbol: name_latex(symbol.name) for symbol in everything.values()}

    def walk(self, blocks: Iterable[str] | None) -> ProofWalk:
        """All steps, or those of some blocks."""
        claim = self.claim
        parts = claim.matrix if claim.kind == "linear" else claim.blocks
        chosen = list(parts) if blocks is None else list(blocks)
        check_shown(claim)
        for name in chosen:
            if name not in parts or name not in claim.quotient:
                raise MethodError(
                    f"{name!r} is not one of the quotient's: {', '.join(parts)}"[:400]
                )
        members = {name: self._members(name) for name in chosen}
        terms = sum(len(claim.system[m]) for ms in members.values() for m in ms)
        if terms > self.max_terms:
            raise MethodError(
                f"{terms} terms are too many to read (at most {self.max_terms}); choose some blocks, "
                f"as in explain(blocks=[{chosen[0]!r}])"
            )
        one = {"forward": self._forward, "backward": self._backward, "linear": self._linear}[
            claim.kind
        ]
        steps = [*self._assumed(), *(one(name, members[name]) for name in chosen)]
        if blocks is None:
            steps += self._best() or self._inside()
        return ProofWalk(tuple(steps))

    def _assumed(self) -> list[Step]:
        """What is said before the first block."""
        return []

    def _best(self) -> list[Step]:
        """Why nothing coarser or smaller will do, where the claim says so."""
        claim = self.claim
        if claim.maximality is not None and claim.initial is not None:
            return self._coarsest(claim.initial)
        return [] if claim.closure is None else [self._smallest()]

    def _inside(self) -> list[Step]:
        """Whether no block leaves the initial partition; where a record is replayed, that shows it."""
        if self.claim.initial is None:
            return []
        of = {m: number for number, block in enumerate(self.claim.initial) for m in block}
        out = [b for b, ms in self.claim.blocks.items() if len({of[m] for m in ms}) > 1]
        says = f"These hold members of several: {', '.join(out)}" if out else "Each is inside one."
        lines = (Line("The blocks and those of the initial partition:", says),)
        return [Step("Inside the initial partition", lines, not out)]

    def _members(self, name: str) -> list[str]:
        if self.claim.kind == "linear":
            return [m for ((m, _),) in self.claim.matrix[name]]
        return self.claim.blocks[name]

    def _expression(
        self, polynomial: Polynomial, symbols: Mapping[str, sympy.Symbol]
    ) -> sympy.Expr:
        return self.formulas.polynomial(polynomial, symbols)

    def _line(self, words: str, *equations: tuple[str, str, sympy.Expr]) -> Line:
        """A line with formulas, given as the left side in text and in LaTeX, and the right side."""
        rows = [f"{text} = {self._text(right)}" for text, _, right in equations]
        aligned = [f"{left} &= {break_sum(self._latex(right))}" for _, left, right in equations]
        return Line(
            words, "\n".join(rows), r"\begin{aligned}" + r" \\ ".join(aligned) + r"\end{aligned}"
        )

    def _text(self, expression: sympy.Expr) -> str:
        return str(expression).replace("**", "^")

    def _latex(self, expression: sympy.Expr) -> str:
        return write_latex(expression, self.names)

    def _compared(self, words: str, left: str, found: sympy.Expr, name: str) -> tuple[Line, bool]:
        claimed = self._expression(self.claim.quotient[name], self.new)
        holds = self.sympy.expand(found - claimed) == 0
        shown = f"{left} = {self._text(found)}"
        shown += "" if holds else f", claimed: {self._text(claimed)}"
        latex = f"{left} = {self._latex(found)}"
        if not holds:
            latex += rf" \;\neq\; {self._latex(claimed)}"
        if len(latex) > WIDTH:
            sides = [
                f"= {self._latex(found)}",
                *([] if holds else [rf"\neq {self._latex(claimed)}"]),
            ]
            broken = r" \\ ".join(f"&{break_sum(side)}" for side in sides)
            latex = rf"\begin{{aligned}}{left} {broken}\end{{aligned}}"
        return Line(words, shown, latex), holds

    def _forward(self, name: str, members: Sequence[str]) -> Step:
        s = self.sympy
        total = s.expand(
            s.Add(*(self._expression(self.claim.system[m], self.old) for m in members))
        )
        of = "next value" if self.claim.time else "derivative"
        adding = f"The {of}s of the members add up to" if len(members) > 1 else f"Its {of} is"
        lines = [self._line(adding, ("f", "f", total))]
        holds = True
        for others in self.claim.blocks.values():
            if len(others) == 1 or not any(total.has(self.old[m]) for m in others):
                continue
            slopes = {m: s.expand(s.diff(total, self.old[m])) for m in others}
            equal = len(set(slopes.values())) == 1
            holds = holds and equal
            which = list_names(others)
            says = (
                f"Its derivatives by {which} agree, so f depends on the sum {' + '.join(others)} only:"
                if equal
                else f"Its derivatives by {which} differ, so f is not a function of the sum "
                f"{' + '.join(others)}:"
            )
            rows = [
                (f"∂f/∂{m}", rf"\partial f/\partial {name_latex(m)}", e) for m, e in slopes.items()
            ]
            lines.append(self._line(says, *rows))
        at_first = {}
        for block, (first, *rest) in self.claim.blocks.items():
            at_first[self.old[first]] = self.fresh[block]
            at_first |= {self.old[m]: s.Integer(0) for m in rest}
        back = {self.fresh[block]: self.new[block] for block in self.claim.blocks}
        found = s.expand(total.subs(at_first, simultaneous=True).subs(back, simultaneous=True))
        put = (
            "Put the blocks' names for their first members, and 0 for the others"
            if len(members) == 1
            else f"Put {name} for {members[0]} and 0 for the other members"
        )
        line, same = self._compared(
            f"{put}; the quotient claims for {self._left(name)[0]}", "f", found, name
        )
        title = f"Block {name}" + ("" if len(members) == 1 else f" = {' + '.join(members)}")
        return Step(title, (*lines, line), holds and same)

    def _left(self, name: str) -> tuple[str, str]:
        """The left-hand side of an equation, as text and as LaTeX."""
        return left_text(name, self.claim.time), left_latex(name_latex(name), self.claim.time)

    def _backward(self, name: str, members: Sequence[str]) -> Step:
        s, holds, lines = self.sympy, True, []
        of = {self.old[m]: self.fresh[b] for b, ms in self.claim.blocks.items() for m in ms}
        back = {self.fresh[b]: self.new[b] for b in self.claim.blocks}
        for member in members:
            equation = self._expression(self.claim.system[member], self.old)
            found = s.expand(equation.subs(of, simultaneous=True).subs(back, simultaneous=True))
            lines.append(
                self._line(
                    f"The equation of {member} is",
                    (*self._left(member), equation),
                )
            )
            line, same = self._compared(
                "With every variable replaced by its block, it must be the quotient's:",
                "f",
                found,
                name,
            )
            lines.append(line)
            holds = holds and same
        title = f"Block {name}" + ("" if len(members) == 1 else f": {' = '.join(members)}")
        return Step(title, tuple(lines), holds)

    def _linear(self, name: str, members: Sequence[str]) -> Step:
        s, claim = self.sympy, self.claim
        rows = {row: self._expression(form, self.old) for row, form in claim.matrix.items()}
        weights = {m: w for ((m, _),), w in claim.matrix[name].items()}
        found = s.expand(
            s.Add(
                *(
                    s.Rational(w.numerator, w.denominator)
                    * self._expression(claim.system[m], self.old)
                    for m, w in weights.items()
                )
            )
        )
        quotient = self._expression(claim.quotient[name], self.fresh)
        into = {self.fresh[row]: form for row, form in rows.items()}
        expected = s.expand(quotient.subs(into, simultaneous=True))
        back = {self.fresh[row]: self.new[row] for row in rows}
        holds = s.expand(found - expected) == 0
        claimed = quotient.subs(back, simultaneous=True)
        left, of = self._left(name), "next value" if claim.time else "derivative"
        lines = (
            self._line("It is the combination", (name, name_latex(name), rows[name])),
            self._line(f"Its {of}, by the system, is", (*left, found)),
            self._line("The quotient claims", (*left, claimed)),
            self._line("which is, with the rows put in and multiplied out,", (*left, expected)),
        )
        return Step(f"Row {name}", lines, holds)

    def _coarsest(self, initial: Sequence[Sequence[str]]) -> list[Step]:
        """The replay, round by round; each split shows one coefficient."""
        claim = self.claim
        label = {m: number for number, block in enumerate(initial) for m in block}
        steps = []
        for number, records in enumerate(claim.maximality or (), 1):
            lines: list[Line] = []
            values: dict[str, list[sympy.Expr]] = {m: [] for m in label}
            for member, target, monomial in records:
                block = [m for m in label if label[m] == label[member]]
                found = {m: self._coefficient(m, target, monomial, label) for m in block}
                for m, value in found.items():
                    values[m].append(value)
                lines.append(Line(*self._record(target, monomial, found)))
            numbers: dict[object, int] = {}
            label = {
                m: numbers.setdefault((old, tuple(values[m])), len(numbers))
                for m, old in label.items()
            }
            steps.append(Step(f"Round {number}: what must be apart", tuple(lines), True))
        reached = [[m for m in label if label[m] == n] for n in sorted(set(label.values()))]
        return [*steps, self.left_together(reached, len(steps), "such a coefficient")]

    def left_together(self, reached: Sequence[Sequence[str]], rounds: int, what: str) -> Step:
        """The last step: whether what the rounds leave together are the blocks."""
        same = {frozenset(b) for b in reached} == {frozenset(b) for b in self.claim.blocks.values()}
        says = "they are the blocks" if same else "the blocks are others"
        words = f"No equivalence inside the initial partition puts together what differs in {what}. After that,"
        if self.taken:
            words = f"{self.taken.lstrip(', ').capitalize()}, n{words[1:]}"
        if not rounds:
            words = "Nothing tells members of the initial partition apart:"
        shown = "; ".join(", ".join(b) for b in reached)
        last = Line(f"{words} these are left together; {says}:", shown)
        return Step("Nothing coarser will do", (last,), same)

    def _coefficient(
        self, member: str, target: str | None, monomial: Monomial, label: Mapping[str, int]
    ) -> sympy.Expr:
        s, system = self.sympy, self.claim.system
        if target is None:
            of = {self.old[v]: s.Symbol(f"b{n}") for v, n in label.items()}
            where = self._expression(system[member], self.old).subs(of, simultaneous=True)
            of_monomial = [(of[self.old[v]], e) for v, e in monomial]
        else:
            block = [m for m in label if label[m] == label[target]]
            total = s.Add(*(self._expression(system[m], self.old) for m in block))
            where = s.diff(total, self.old[member])
            of_monomial = [(self.old[v], e) for v, e in monomial]
        symbols = sorted({*where.free_symbols, *(v for v, _ in of_monomial)}, key=str)
        whole = s.Mul(*(v**e for v, e in of_monomial))
        if not symbols:
            return s.expand(where)
        return s.Poly(s.expand(where), *symbols).coeff_monomial(whole)

    def _record(
        self, target: str | None, monomial: Monomial, found: Mapping[str, sympy.Expr]
    ) -> tuple[str, str, str]:
        shown = "*".join(v if e == 1 else f"{v}^{e}" for v, e in monomial) or "1"
        what = (
            f"the equations, blocks put in, of {list_names(list(found))}"
            if target is None
            else f"the derivatives, by {list_names(list(found))}, of the sum over the block of {target}"
        )
        rows = ", ".join(f"{m}: {value}" for m, value in found.items())
        latex = list_latex([f"{name_latex(m)}: {self._latex(v)}" for m, v in found.items()])
        return f"The coefficients of {shown} in {what}:", rows, latex

    def _smallest(self) -> Step:
        """The derivation: rows that every lumping with these observables has among its combinations."""
        s, claim = self.sympy, self.claim
        closure = claim.closure
        assert closure is not None
        vectors, lines = [], []
        for number in closure.start:
            if number >= len(closure.observables):
                raise MethodError(f"the derivation starts with observable {number}: there is none")
            vectors.append(self._expression(closure.observables[number][0], self.old))
            lines.append(
                self._line(
                    "An observable must be kept:",
                    (f"v{len(vectors)}", f"v_{{{len(vectors)}}}", vectors[-1]),
                )
            )
        order = list(self.old.values())
        for parent, monomial in closure.steps:
            if parent >= len(vectors):
                raise MethodError(
                    f"a step of the derivation refers to row {parent}: there is none yet"
                )
            derivative = s.expand(
                s.Add(
                    *(
                        vectors[parent].coeff(self.old[v]) * self._expression(q, self.old)
                        for v, q in claim.system.items()
                    )
                )
            )
            whole = s.Mul(*(self.old[v] ** e for v, e in monomial))
            row = s.Add(
                *(s.Poly(s.diff(derivative, v), *order).coeff_monomial(whole) * v for v in order)
            )
            vectors.append(row)
            at, shown = (
                len(vectors),
                "*".join(v if e == 1 else f"{v}^{e}" for v, e in monomial) or "1",
            )
            lines.append(
                self._line(
                    f"v{parent + 1}' depends on rows only; so do the coefficients of {shown} in its gradient:",
                    (f"v{at}", f"v_{{{at}}}", row),
                )
            )
        rank = s.Matrix([[v.coeff(x) for x in order] for v in vectors]).rank() if vectors else 0
        count = len(claim.matrix)
        rows = {self.new[row]: self._expression(w, self.old) for row, w in claim.matrix.items()}
        kept = all(
            s.expand(
                self._expression(form, self.old)
                - self._expression(carried, self.new).subs(rows, simultaneous=True)
            )
            == 0
            for form, carried in closure.observables
        )
        if not kept:
            lines.append(Line("An observable is not the combination of rows that is claimed."))
        lines.append(
            Line(
                f"{rank} of these are independent, and the lumping has {count} rows: none has fewer."
            )
        )
        return Step("Nothing smaller will do", tuple(lines), kept and rank == count)
