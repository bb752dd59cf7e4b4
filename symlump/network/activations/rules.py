"""How an activation enters a polynomial differential equation, and piecewise linear activations.

Letters stand for the variables of one unit: z its pre-activation, a and b functions of z that have a
differential equation of their own, s, t, … switches that tell the piece z is on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

from symlump.enclosures.functions import Functions

#: A polynomial: coefficient of each product of variables, written as letters: {"": 1, "aa": -1} is 1 − a².
Letters = dict[str, Fraction | float]


@dataclass(frozen=True, eq=False)
class Rule:
    """How h = φ(z) enters a polynomial differential equation exactly: h' = −h + output.

    Parameters
    ----------
    output : dict
        A polynomial in z, the auxiliaries and the switches that equals φ(z).
    auxiliaries : dict
        For each further variable its value at z = 0 and the polynomial p with a' = p·z'; it then stays
        equal to a function of z.
    switches : dict
        For each constant that is 1 while low < z ≤ high, and 0 elsewhere, the pair (low, high). The
        rule holds as long as z stays on its piece, which at the forward pass it does.

    Examples
    --------
    >>> print(Rule({"a": 1}, {"a": (0.0, {"": 1, "aa": -1})}, {}))
    h' = -h + a; a' = (1 - a^2)*z', a = 0 at z = 0
    """

    output: Letters
    auxiliaries: dict[str, tuple[float, Letters]]
    switches: dict[str, tuple[float, float]]

    def __str__(self) -> str:
        lines = ["h' = -h " + _text(self.output)]
        for letter, (value, derivative) in self.auxiliaries.items():
            slope = _text(derivative).removeprefix("+ ")
            slope = "-" + slope[2:] if slope[0] == "-" else slope
            lines.append(f"{letter}' = ({slope})*z', {letter} = {value:.6g} at z = 0")
        for letter, (low, high) in self.switches.items():
            lines.append(f"{letter} = 1 for {low:g} < z <= {high:g}, else 0")
        return "; ".join(lines)


@dataclass(frozen=True)
class Pieces:
    """A continuous piecewise linear function: a line (slope, intercept) between consecutive kinks."""

    kinks: tuple[float, ...]
    lines: tuple[tuple[float, float], ...]

    def formula(self, m: Functions, z: Any) -> Any:
        """The value in any arithmetic."""
        result = _line(z, self.lines[0])
        for kink, line in zip(self.kinks, self.lines[1:], strict=True):
            result = m.where(z > kink, _line(z, line), result)
        return result

    def slope(self, m: Functions, z: Any) -> Any:
        """The slope; at a kink that of the piece to the left."""
        result: Any = self.lines[0][0]
        for kink, (slope, _) in zip(self.kinks, self.lines[1:], strict=True):
            result = m.where(z > kink, slope, result)
        return result

    def rule(self) -> Rule:
        """One switch for each piece that is not zero; no kink, no switch."""
        if not self.kinks:
            return Rule({"z": self.lines[0][0], "": self.lines[0][1]}, {}, {})
        ends = (-inf, *self.kinks, inf)
        output: Letters = {}
        switches: dict[str, tuple[float, float]] = {}
        for piece, (slope, intercept) in enumerate(self.lines):
            if slope or intercept:
                letter = "stvw"[len(switches)]
                switches[letter] = ends[piece], ends[piece + 1]
                output[letter + "z"], output[letter] = slope, intercept
        return Rule(output, {}, switches)


def _text(polynomial: Letters) -> str:
    terms = []
    for letters, c in polynomial.items():
        powers = [x if k == 1 else f"{x}^{k}" for x, k in sorted(Counter(letters).items())]
        size = [] if abs(c) == 1 and powers else [f"{abs(float(c)):g}"]
        if c:
            terms.append(("- " if c < 0 else "+ ") + "*".join(size + powers))
    return " ".join(terms) or "+ 0"


def _line(z: Any, line: tuple[float, float]) -> Any:
    slope, intercept = line
    if slope == 0:
        return intercept
    scaled = z if slope == 1 else slope * z
    return scaled if intercept == 0 else scaled + intercept
