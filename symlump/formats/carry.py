"""What is known of the variables of a system, said of the blocks of a lumping; exactly."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from symlump.errors import SubjectError
from symlump.formats.numerals import fraction_text


def sums(values: Mapping[str, Fraction], block_of: Mapping[str, str]) -> dict[str, Fraction]:
    """The sum of the values over each block that has one.

    Examples
    --------
    >>> sums({"a": Fraction(1), "b": Fraction(2)}, {"a": "y", "b": "y", "c": "c"})
    {'y': Fraction(3, 1)}
    """
    result: dict[str, Fraction] = {}
    for name, value in values.items():
        block = block_of[name]
        result[block] = result[block] + value if block in result else value
    return result


def view_of_sums(
    view: Mapping[str, Fraction], block_of: Mapping[str, str], size: Mapping[str, int]
) -> dict[str, Fraction] | None:
    """A linear view in terms of block sums, or None if its coefficients differ inside a block."""
    inside: dict[str, list[Fraction]] = {}
    for name, value in view.items():
        inside.setdefault(block_of[name], []).append(value)
    for block, values in inside.items():
        if len(values) < size[block]:  # members that the view does not mention have coefficient 0
            values.append(Fraction(0))
        if any(value != values[0] for value in values):
            return None
    return {block: values[0] for block, values in inside.items()}


def common_values(
    values: Mapping[str, Fraction], block_of: Mapping[str, str]
) -> dict[str, Fraction]:
    """The value that all members of a block share.

    Raises
    ------
    MethodError
        If two members of a block have different values.
    """
    first: dict[str, str] = {}
    for name, block in block_of.items():
        other = first.setdefault(block, name)
        if values[name] != values[other]:
            one, two = (_short(fraction_text(values[variable])) for variable in (other, name))
            raise SubjectError(
                f"{other} and {name} are in one block of a backward lumping but start at {one} and "
                f"{two}, so its quotient would be wrong from this state; lump with "
                'initial="values" (on the command line: --initial values)'
            )
    return {block: values[name] for block, name in first.items()}


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
