"""Why two variables are together, or apart, where equations contain functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.elementary.gradients import differ, gradient_of
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.blocks import RefinableBlocks
from symlump.lumping.refinement.field import VanishingDenominator
from symlump.ode.exact import IntArray, prime_for
from symlump.ode.functions.algebra import Polynomial, symbol
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.functions.wording import UNKNOWN_SLOPES, has_unknown_slopes
from symlump.ode.notation import left_latex, left_text, name_latex
from symlump.ode.printing import equation_latex, equation_text
from symlump.ode.system import ODE

_MAX_TERMS = 8


def together(
    ode: ODE, direction: str, quotient: ODE, partition: Partition, x: int, y: int
) -> tuple[str, str]:
    """Text and LaTeX of the identities that x and y satisfy."""
    names = ode.variables
    own = int(partition.labels[x])
    if direction == "backward":
        right = equation_text(quotient, own, _MAX_TERMS), equation_latex(quotient, own, _MAX_TERMS)
        text = (
            f"{names[x]} and {names[y]} are together: on the blocks their equations are equal\n"
            f"  {' = '.join(left_text(names[v], ode.discrete) for v in (x, y))} = {right[0]}"
        )
        left = " = ".join(left_latex(name_latex(names[v]), ode.discrete) for v in (x, y))
        return text, f"{left} = {right[1]}"
    sources, targets = quotient.edges
    lines = [
        f"{names[x]} and {names[y]} are together: no sum of a block's equations changes when one of them "
        f"takes over from the other"
    ]
    latex: list[str] = []
    for block in sorted(set(targets[sources == own].tolist())):
        members = " + ".join(
            left_text(names[v], ode.discrete) for v in partition.blocks[block][:6].tolist()
        )
        more = " + …" if partition.blocks[block].size > 6 else ""
        lines.append(f"  {members}{more} = {equation_text(quotient, block, _MAX_TERMS)}")
        latex.append(
            left_latex(name_latex(quotient.variables[block]), ode.discrete)
            + " = "
            + equation_latex(quotient, block, _MAX_TERMS)
        )
    if not latex:
        lines.append("  no sum depends on either of them")
        latex.append(r"\text{no sum depends on either}")
    return "\n".join(lines), r"\begin{gathered} " + r" \\ ".join(latex) + r" \end{gathered}"


def apart(
    ode: ODE, method: Equivalence, initial: Partition, x: int, y: int
) -> tuple[int, str, str]:
    """Since which round x and y are apart, and the two functions that differ, as text and LaTeX."""
    number, labels = _last_together(ode, method, initial, x, y)
    names = ode.variables
    since = f"{names[x]} and {names[y]} are apart since round {number}"
    if method.direction == "backward":
        partition = Partition(labels)
        table = SymbolTable(len(partition))
        equations, _ = ode.into(table, [symbol(b) for b in partition.labels.tolist()])
        first = [names[v] for v in partition.representatives.tolist()]
        both = write_functions(first, table, equations[x], equations[y])
        what = "on the blocks their equations are"
        left = [left_latex(name_latex(names[v]), ode.discrete) for v in (x, y)]
    else:
        gradients = gradient_of(ode, labels, (x, y))
        a, b = gradients[x], gradients[y]
        target = next(
            t
            for t in sorted(a.keys() | b.keys())
            if differ(ode, {t: a.get(t, {})}, {t: b.get(t, {})})
        )
        both = write_functions(list(names), ode.table, a.get(target, {}), b.get(target, {}))
        members = [names[v] for v in np.flatnonzero(labels == target).tolist()]
        shown = ", ".join(members[:6]) + (", …" if len(members) > 6 else "")
        what = f"the derivatives by them of the sum of the equations of {{{shown}}} are"
        left = [rf"\partial f / \partial {name_latex(names[v])}" for v in (x, y)]
    (text_x, latex_x), (text_y, latex_y) = both
    text = f"{since}: {what}\n  {names[x]}: {text_x}\n  {names[y]}: {text_y}"
    if has_unknown_slopes(text_x + text_y):
        text += f"\n  (a {UNKNOWN_SLOPES})"
    return number, text, rf"{left[0]} = {latex_x} \ne {left[1]} = {latex_y}"


def _last_together(
    ode: ODE, method: Equivalence, initial: Partition, x: int, y: int
) -> tuple[int, IntArray]:
    """The round that separates two variables, and the blocks before it."""
    generator = np.random.default_rng(0)
    numbers = [] if ode.generators is None else [ode.generators.arguments.coefficients]
    prime = prime_for(ode.coefficients, *numbers)
    blocks, everything, number = RefinableBlocks(initial.labels), np.arange(len(ode)), 0
    for _ in range(len(ode) + 100):
        before = blocks.labels.copy()
        try:
            values = method.fingerprints(ode, prime, generator)
            of_block = generator.integers(1, prime, size=len(ode), dtype=np.uint64)
            found = values.evaluate(of_block[before], everything)
        except VanishingDenominator:
            continue
        if blocks.split(everything, found).size:
            number += 1
        if blocks.labels[x] != blocks.labels[y]:
            return number, before
    raise FailureError("random values did not separate these variables, which are apart")


def write_functions(
    names: Sequence[str], table: SymbolTable, *polynomials: Polynomial
) -> list[tuple[str, str]]:
    """Functions of variables as text and as LaTeX."""
    found = []
    for p in polynomials:
        system = ODE.from_table(names, [p, *[{}] * (len(names) - 1)], table)
        found.append((equation_text(system, 0, _MAX_TERMS), equation_latex(system, 0, _MAX_TERMS)))
    return found
