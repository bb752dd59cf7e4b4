"""The quotient of a small system, term by term in integers.

As in :mod:`symlump.lumping.linear.quotient`, one x per y is enough. A row with a column of its own gives
that column; the few that have none are inverted together, on columns that are nobody's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import gcd, lcm

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.linear.quotient import MOST_STEPS, times
from symlump.lumping.linear.spaces.small_terms import Factors, Row, Terms, combine
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE


def small_section(rows: Sequence[Row]) -> tuple[dict[int, Row], int]:
    """The value of x in some columns, as ``{row: weight}`` over one denominator; it is 0 in all others.

    Examples
    --------
    >>> small_section([{0: 1, 1: 2}, {1: 3, 2: 1}])
    ({0: {0: 1}, 2: {1: 1}}, 1)
    >>> small_section([{0: 1, 1: 1}, {1: 1, 2: 1}, {0: 1, 2: 1}])
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


def small_quotient(
    terms: Terms, rows: Sequence[Row], names: Sequence[str], parameters: Sequence[str]
) -> PolynomialODE:
    """The system that the rows obey.

    Raises
    ------
    FailureError
        If multiplying out takes more than three million steps.
    """
    if all(len(row) == 1 and 1 in row.values() for row in rows):
        return _part(terms, [next(iter(row)) for row in rows], names, parameters)
    forms, below = small_section(rows)
    expanded = _expanded(terms.monomials, forms)
    left = [[(m, value) for m, value in equation if m in expanded] for equation in terms.equations]
    found: list[dict[Factors, int]] = []
    for row in rows:
        equation: dict[Factors, int] = {}
        for m, value in combine(left, row).items():
            if value:
                for factors, weight in expanded[m]:
                    equation[factors] = equation.get(factors, 0) + value * weight
        found.append(equation)
    # The order of a table of monomials: by length, then by variables, then by powers.
    table = sorted(
        {factors for equation in found for factors, value in equation.items() if value},
        key=lambda factors: (len(factors), [v for v, _ in factors], [e for _, e in factors]),
    )
    place = {factors: k for k, factors in enumerate(table)}
    equations = [
        sorted([(place[factors], value) for factors, value in equation.items() if value])
        for equation in found
    ]
    degree = 0
    if below != 1:
        degree = max(
            (sum(e for _, e in factors) for p in expanded.values() for factors, _ in p), default=0
        )
    scales = [terms.scale * below**k for k in range(degree + 1)]  # by degree
    return _system(names, equations, table, scales, parameters)


def _part(
    terms: Terms, kept: Sequence[int], names: Sequence[str], parameters: Sequence[str]
) -> PolynomialODE:
    """The equations of some variables, ascending, in which there are no others."""
    equations = [terms.equations[v] for v in kept]
    used = sorted({m for equation in equations for m, _ in equation})
    place = {m: k for k, m in enumerate(used)}
    label = {v: i for i, v in enumerate(kept)}
    table = [tuple([(label[v], e) for v, e in terms.monomials[m]]) for m in used]
    equations = [[(place[m], value) for m, value in equation] for equation in equations]
    return _system(names, equations, table, [terms.scale], parameters)


def _expanded(
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


def _system(
    names: Sequence[str],
    equations: Sequence[Sequence[tuple[int, int]]],
    table: Sequence[Factors],
    scales: Sequence[int],
    parameters: Sequence[str],
) -> PolynomialODE:
    """A system from a numerator for each monomial of each equation, and denominators by degree."""
    columns = [k for equation in equations for k, _ in equation]
    values = [value for equation in equations for _, value in equation]
    if scales == [1]:
        coefficients = ExactArray.from_integers(values)
    else:
        by_degree = [sum(e for _, e in factors) if len(scales) > 1 else 0 for factors in table]
        below = [scales[degree] for degree in by_degree]
        shared = [gcd(value, below[k]) for k, value in zip(columns, values, strict=True)]
        coefficients = ExactArray.from_ratios(
            [(v // g, below[k] // g) for k, v, g in zip(columns, values, shared, strict=True)]
        )
    variables = [v for factors in table for v, _ in factors]
    powers = [e for factors in table for _, e in factors]
    ends = [0, *accumulate(map(len, table))]
    owners = [i for i, equation in enumerate(equations) for _ in equation]
    return PolynomialODE(
        tuple(names),
        Monomials(*(np.array(part, dtype=np.int64) for part in (ends, variables, powers))),
        np.array(owners, dtype=np.int64),
        np.array(columns, dtype=np.int64),
        coefficients,
        tuple(parameters),
    )
