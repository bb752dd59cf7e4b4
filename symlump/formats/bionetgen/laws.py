"""The rate laws of BioNetGen that have names, as expressions in constants and reactants."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from symlump.formats.flat import Call, Expression

_TWO, _FOUR = Fraction(2), Fraction(4)


def law_of(name: str, constants: Sequence[str], reactants: Sequence[str]) -> Expression | None:
    """The rate of a law, which contains the reactants; None if it has other constants or reactants.

    Examples
    --------
    >>> from symlump.formats.flat import text
    >>> text(law_of("Sat", ["k", "K"], ["S", "E"]))
    'k*S*E/(K + S)'
    >>> text(law_of("Hill", ["k", "K", "h"], ["S"]))
    'k*S^h/(K^h + S^h)'
    >>> text(law_of("MM", ["k", "K"], ["S", "E"]))
    'k*(S - K - E + sqrt((S - K - E)^2 + 4*K*S))/2*E/(K + (S - K - E + sqrt((S - K - E)^2 + 4*K*S))/2)'
    """
    if not reactants or not constants:
        return None
    speed, *rest = constants
    first, *others = reactants
    if name == "Sat" and 1 <= len(rest) <= len(reactants):
        sums = [Call("+", (k, x)) for k, x in zip(rest, reactants, strict=False)]
        return Call("/", (_product([speed, *reactants]), _product(sums)))
    if name == "Hill" and len(rest) == 2:
        half, power = rest
        raised = Call("^", (first, power))
        below = Call("+", (Call("^", (half, power)), raised))
        return Call("/", (_product([speed, raised, *others]), below))
    if name == "MM" and len(rest) == 1 and len(others) == 1:
        (half,), (enzyme,) = rest, others
        left = Call("-", (Call("-", (first, half)), enzyme))
        inside = Call("+", (Call("^", (left, _TWO)), _product([_FOUR, half, first])))
        free = Call("/", (Call("+", (left, Call("sqrt", (inside,)))), _TWO))
        return Call("/", (_product([speed, free, enzyme]), Call("+", (half, free))))
    return None


def _product(factors: Sequence[Expression]) -> Expression:
    return factors[0] if len(factors) == 1 else Call("*", tuple(factors))
