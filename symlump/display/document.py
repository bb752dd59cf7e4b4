"""The equations behind a compression as a complete LaTeX document."""

from __future__ import annotations

from symlump.compression.compression import Compression
from symlump.lumping.lumping import Lumping
from symlump.ode.notation import left_latex, name_latex, words_latex
from symlump.ode.printing import equation_latex


def equations_document(compression: Compression, digits: int = 5) -> str:
    """A LaTeX article with the blocks and the complete quotient system of each lumping.

    Numbers are shortened to ``digits`` significant digits, marked by dots where something was cut.
    """
    parts = [
        r"\documentclass{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage{amsmath}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\setlength{\parindent}{0pt}\setlength{\parskip}{4pt}\allowdisplaybreaks",
        r"\begin{document}",
        r"\raggedright",
        rf"\section*{{{words_latex(compression.headline())}}}",
    ]
    for lumping in compression.lumpings:
        parts += _lumping(lumping, digits)
    return "\n".join([*parts, r"\end{document}", ""])


def _lumping(lumping: Lumping, digits: int) -> list[str]:
    join = " + " if lumping.method.direction == "forward" else " = "
    parts = [rf"\subsection*{{{words_latex(lumping.headline())}}}", r"\subsubsection*{Blocks}"]
    for name, block in zip(lumping.quotient.variables, lumping.blocks, strict=True):
        if len(block) > 1:
            parts.append(f"${name_latex(name)} = {join.join(map(name_latex, block))}$\n")
    parts.append(r"\subsubsection*{Quotient system}")
    for i, name in enumerate(lumping.quotient.variables):
        right = equation_latex(lumping.quotient, i, max_terms=10**6, digits=digits)
        left = left_latex(name_latex(name), lumping.quotient.discrete)
        parts.append(f"${left} = {right}$\n")
    return parts
