"""The steps of a proof that is walked through: as text, as LaTeX, and as a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symlump.ode.notation import escape_words
from symlump.proof.latex import display_formula, spell_out


@dataclass(frozen=True)
class Line:
    """A sentence, and the formula that goes with it: ``left = right``, as text and as LaTeX.

    Names alone have no LaTeX; they are shown as text everywhere.
    """

    words: str
    text: str = ""
    latex: str = ""


@dataclass(frozen=True, repr=False)
class Step:
    """One step of a proof: what it is about, its lines, and whether it holds.

    ``claims`` is False where nothing is claimed that could be false.
    """

    title: str
    lines: tuple[Line, ...]
    holds: bool
    claims: bool = True

    def __str__(self) -> str:
        rows = [self.title]
        for line in self.lines:
            rows.append(f"  {line.words}")
            rows += [f"    {row}" for row in line.text.splitlines()]
        return "\n".join([*rows, *(f"  {said}" for said in self._verdict)])

    __repr__ = __str__

    @property
    def _verdict(self) -> list[str]:
        if not self.claims:
            return []
        return ["This holds." if self.holds else "This does not hold."]

    def to_latex(self) -> str:
        """The step as LaTeX: paragraphs and displayed formulas, for a document that loads amsmath.

        pdfTeX knows Latin and Greek letters; for names in other scripts use XeLaTeX or LuaLaTeX.
        """
        parts = [rf"\paragraph{{{escape_words(self.title)}}}"]
        for line in self.lines:
            parts.append(escape_words(line.words))
            if line.latex:
                parts.append(display_formula(line.latex))
            elif line.text:
                parts.append(rf"\begin{{quote}}{escape_words(line.text)}\end{{quote}}")
        return spell_out("\n".join([*parts, *self._verdict]))

    def _repr_markdown_(self) -> str:
        parts = [f"**{_plain(self.title)}**"]
        for line in self.lines:
            parts.append(_plain(line.words))
            if line.latex:
                parts.append(f"$$ {line.latex} $$")
            elif line.text:
                parts.append("\n".join(f"> {_plain(row)}" for row in line.text.splitlines()))
        return "\n\n".join([*parts, *(f"*{said}*" for said in self._verdict)])


@dataclass(frozen=True, repr=False)
class ProofWalk:
    """A proof, step by step: iterate over it, print it, or let a notebook show it."""

    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        """True if every step does."""
        return all(step.holds for step in self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, at: int) -> Step:
        return self.steps[at]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.steps))

    __repr__ = __str__

    def to_latex(self) -> str:
        """All steps as LaTeX, as for one :class:`Step`."""
        return "\n\n".join(step.to_latex() for step in self.steps)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(step._repr_markdown_() for step in self.steps)


def _plain(text: str) -> str:
    """Text in which Markdown finds no formatting."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|$" else c for c in text)
