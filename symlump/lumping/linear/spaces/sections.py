"""A right inverse of integer rows, and polynomials in what it gives, multiplied out in integers.

A row with a column of its own gives that column; the few that have none are inverted together, on columns that
are nobody's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd, lcm

from symlump.errors import FailureError
from symlump.lumping.linear.spaces.small_terms import Factors, Row

MOST_STEPS = 3_000_000


def integer_section(rows: Sequence[Row]) -> tuple[dict[int, Row], int]:
    """The value of x in some columns, as ``{row: weight}`` over one denominator; it is 0 in all others.

    Examples
    --------
    >>> integer_section([{0: 1, 1: 2}, {1: 3, 2: 1}])
    ({0: {0: 1}, 2: {1: 1}}, 1)
    >>> integer_section([{0: 1, 1: 1}, {1: 1, 2: 1}, {0: 1, 2: 1}])
    ({0: {0: 1, 1: -1, 2: 1}, 1: {0: 1, 1: 1, 2: -1}, 2: {0: -1, 1: 1, 2: 1}}, 2)
    """
    owner: dict[int, int] = {}
    for i, row in enumerate(rows):
        for c in row:
            owner[c] = -1 if c in owner else i
    own: dict[int, int] = {}
    for c, i in owner.items():
        if i >= 0 and (i not in own or abs(rows[i][c]) < abs(rows[i][own[i]])):
            own[i] = c
    if len(own) == len(rows):
        below = lcm(*(rows[i][c] for i, c in own.items()))
        return {c: {i: below // rows[i][c]} for i, c in own.items()}, below
    inner = _inverse({i: rows[i] for i in range(len(rows)) if i not in own})
    solved = dict(inner)
    for i, column in own.items():
        # y_i = entry·x there + the rest of the row, which is known.
        known = [(value, *inner[c]) for c, value in rows[i].items() if c in inner]
        if not known:
            entry = rows[i][column]
            solved[column] = {i: 1 if entry > 0 else -1}, abs(entry)
            continue
        below = lcm(*(d for _, _, d in known))
        form = {i: below}
        for value, weights, d in known:
            for k, weight in weights.items():
                form[k] = form.get(k, 0) - value * weight * (below // d)
        solved[column] = _lowest(form, below * rows[i][column])
    below = lcm(*(d for _, d in solved.values()))
    return {
        c: {k: w * (below // d) for k, w in sorted(form.items())}
        for c, (form, d) in sorted(solved.items())
    }, below


def _lowest(form: Row, below: int) -> tuple[Row, int]:
    """A form over a positive denominator, in lowest terms."""
    divisor = gcd(below, *form.values())
    if below < 0:
        divisor = -divisor
    return {k: w // divisor for k, w in form.items() if w}, below // divisor


def _inverse(rows: Mapping[int, Row]) -> dict[int, tuple[Row, int]]:
    """Columns in which some rows are independent, and x there with Lx = y: forms over denominators.

    Raises
    ------
    FailureError
        If the rows are not independent.
    """
    counts: dict[int, int] = {}
    for row in rows.values():
        for c in row:
            counts[c] = counts.get(c, 0) + 1
    # Rows, with what they are combinations of beside them.
    reduced: dict[int, tuple[Row, Row]] = {}
    for i, row in rows.items():
        both = row, {i: 1}
        for column, other in reduced.items():
            both = _without(both, other, column)
        if not both[0]:
            raise FailureError("the rows of a linear lumping must be linearly independent")
        pivot = min(both[0], key=lambda c: (counts[c], abs(both[0][c]), c))
        for column, other in reduced.items():
            reduced[column] = _without(other, both, pivot)
        reduced[pivot] = both
    return {c: _lowest(origin, row[c]) for c, (row, origin) in reduced.items()}


def _without(line: tuple[Row, Row], other: tuple[Row, Row], column: int) -> tuple[Row, Row]:
    """A line with no entry in a column, by another one that has an entry there."""
    factor, lead = line[0].get(column, 0), other[0][column]
    if not factor:
        return line
    divisor = gcd(factor, lead)
    factor, lead = factor // divisor, lead // divisor
    row, origin = (
        {
            c: value
            for c in {**mine, **its}
            if (value := lead * mine.get(c, 0) - factor * its.get(c, 0))
        }
        for mine, its in zip(line, other, strict=True)
    )
    content = gcd(*row.values(), *origin.values())
    if content == 1:
        return row, origin
    return {c: v // content for c, v in row.items()}, {i: v // content for i, v in origin.items()}


def multiply_out(
    monomials: Sequence[Factors], forms: Mapping[int, Row]
) -> dict[int, list[tuple[Factors, int]]]:
    """Monomials that are not 0, multiplied out in the rows; each over the denominator to its degree."""
    steps = 0
    result = {}
    for m, factors in enumerate(monomials):
        if not all(variable in forms for variable, _ in factors):
            continue
        product: dict[Factors, int] = {(): 1}
        for variable, power in factors:
            for _ in range(power):
                steps += len(product) * len(forms[variable]) - 1
                if steps > MOST_STEPS:
                    raise FailureError("the quotient in this basis takes too long to multiply out")
                product = times(product, forms[variable])
        result[m] = list(product.items())
    return result


def times(product: Mapping[Factors, int], form: Row) -> dict[Factors, int]:
    """A polynomial times a linear form, multiplied out.

    Examples
    --------
    >>> times({((0, 1),): 2}, {0: 1, 3: 5})
    {((0, 2),): 2, ((0, 1), (3, 1)): 10}
    """
    if len(product) == 1 and () in product:
        return {((variable, 1),): product[()] * value for variable, value in form.items()}
    result: dict[Factors, int] = {}
    for powers, left in product.items():
        for variable, right in form.items():
            raised = dict(powers)
            raised[variable] = raised.get(variable, 0) + 1
            key = tuple(sorted(raised.items()))
            result[key] = result.get(key, 0) + left * right
    if all(result.values()):
        return result
    return {powers: value for powers, value in result.items() if value}
