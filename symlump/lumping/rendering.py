"""A lumping as text and as LaTeX: the system beside its quotient, merged blocks in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symlump.colours import ink_name
from symlump.ode.notation import count_text, name_latex, words_latex
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping

#: A system of more variables or terms is not set beside its quotient.
_BESIDE = 12
_BESIDE_TERMS = 60


def lumping_text(lumping: Lumping, max_blocks: int, max_equations: int) -> str:
    """Headline, blocks of more than one variable, and the quotient system."""
    join = " + " if lumping.method.direction == "forward" else " = "
    lines = [lumping.headline()]
    merged = merged_blocks(lumping)
    for name, block in merged[:max_blocks]:
        lines.append(f"{name} = " + _joined(block, join))
    if len(merged) > max_blocks:
        lines.append(f"… {count_text(len(merged) - max_blocks, 'more block')}")
    lines.append(lumping.quotient.to_text(max_equations=max_equations))
    if lumping.note is not None:
        lines.append(f"note: {lumping.note}")
    return "\n".join(lines)


def lumping_latex(lumping: Lumping, max_blocks: int, max_equations: int) -> str:
    """The system (if it is small), the blocks and the quotient, side by side."""
    join = " + " if lumping.method.direction == "forward" else " = "
    old, new = _coloured_names(lumping)
    merged = [(b, block) for b, block in enumerate(lumping.partition.blocks) if len(block) > 1]
    rows = [
        f"{new[b]} &= " + _joined(tuple(old[v] for v in block.tolist()), join, r"\cdots")
        for b, block in merged[:max_blocks]
    ]
    if len(merged) > max_blocks:
        left = count_text(len(merged) - max_blocks, "more block")
        rows.append(rf"&\;\;\vdots \quad (\text{{{left}}})")
    quotient = lumping.quotient.to_latex(max_equations=max_equations, written=new)
    return side_by_side(lumping.ode, rows, quotient, old)


def side_by_side(
    ode: ODE, rows: Sequence[str], quotient: str, written: Sequence[str] | None = None
) -> str:
    """LaTeX of a system (if it is small), of what is lumped, and of the quotient."""
    parts = []
    if len(ode) <= _BESIDE and ode.terms <= _BESIDE_TERMS:
        parts.append(ode.to_latex(written=written))
    if rows:
        parts.append("\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}")
    return r" \qquad ".join([*parts, quotient])


def titled_latex(headline: str, body: str) -> str:
    r"""A formula under a headline, as notebooks show it.

    Examples
    --------
    >>> print(titled_latex("2 → 1 variables", r"\dot{x} = x"))
    $\displaystyle \begin{gathered} \text{2 $\to$ 1 variables} \\[1ex] \dot{x} = x \end{gathered}$
    """
    title = words_latex(headline)
    return rf"$\displaystyle \begin{{gathered}} \text{{{title}}} \\[1ex] {body} \end{{gathered}}$"


def merged_blocks(lumping: Lumping) -> list[tuple[str, tuple[str, ...]]]:
    """Name and members of the blocks of more than one variable."""
    named = zip(lumping.quotient.variables, lumping.blocks, strict=True)
    return [(name, block) for name, block in named if len(block) > 1]


def _coloured_names(lumping: Lumping) -> tuple[list[str], list[str]]:
    """LaTeX of the variables of the system and of its quotient; merged blocks in colour."""
    number = 0
    old = [name_latex(name) for name in lumping.ode.variables]
    new = [name_latex(name) for name in lumping.quotient.variables]
    for b, block in enumerate(lumping.partition.blocks):
        if len(block) < 2:
            continue
        colour = ink_name(number)
        number += 1
        if colour is None:  # the number in its name tells it apart
            continue
        new[b] = _coloured(new[b], colour)
        for v in block.tolist():
            old[v] = _coloured(old[v], colour)
    return old, new


def _coloured(latex: str, colour: str) -> str:
    return rf"{{\color{{{colour}}}{{{latex}}}}}"


def _joined(names: tuple[str, ...], join: str, gap: str = "…", limit: int = 10) -> str:
    if len(names) <= limit:
        return join.join(names)
    return join.join([*names[: limit - 2], gap, names[-1]]) + f" ({len(names)})"
