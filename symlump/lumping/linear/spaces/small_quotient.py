"""The quotient of a small system, term by term in integers.

As in :mod:`symlump.lumping.linear.quotient`, one x per y is enough. A row with a column of its own gives
that column; the few that have none are inverted together, on columns that are nobody's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.linear.quotient import MOST_STEPS, Section, times
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.small_terms import Factors, Row, Terms
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
    others = [i for i in range(len(rows)) if i not in own]
    inner = Section.of(ExactMatrix.from_rows([rows[i] for i in others], max(owner) + 1))
    forms = {
        c: {others[k]: value for k, value in form.items()}
        for c, form in zip(inner.columns.tolist(), inner.forms, strict=True)
    }
    solved = {}
    for i, column in own.items():
        # y_i = entry·x there + the rest of the row, which is known.
        form = {i: Fraction(1)}
        for c, value in rows[i].items():
            for k, weight in forms.get(c, {}).items():
                form[k] = form.get(k, Fraction(0)) - value * weight
        solved[column] = {k: w / rows[i][column] for k, w in form.items() if w}
    forms |= solved
    below = lcm(*(w.denominator for form in forms.values() for w in form.values()))
    return {c: {k: int(w * below) for k, w in form.items()} for c, form in forms.items()}, below


def small_quotient(
    terms: Terms, rows: Sequence[Row], names: Sequence[str], ode: PolynomialODE
) -> PolynomialODE:
    """The system that the rows obey.

    Raises
    ------
    FailureError
        If multiplying out takes more than three million steps.
    """
    forms, below = small_section(rows)
    expanded = _expanded(terms.monomials, forms)
    found: dict[tuple[int, Factors], int] = {}
    for i, row in enumerate(rows):
        for m, value in terms.combine(row).items():
            if value and m in expanded:
                for factors, weight in expanded[m]:
                    key = i, factors
                    found[key] = found.get(key, 0) + value * weight
    single = {ode.variables[next(iter(row))] for row in rows if len(row) == 1}
    parameters = [name for name in ode.parameters if name in single and name in names]
    degree = 0
    if below != 1:
        degree = max((sum(e for _, e in factors) for _, factors in found), default=0)
    scales = [terms.scale * below**k for k in range(degree + 1)]  # by degree
    return _system(names, {key: value for key, value in found.items() if value}, scales, parameters)


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
    found: Mapping[tuple[int, Factors], int],
    scales: Sequence[int],
    parameters: Iterable[str],
) -> PolynomialODE:
    """A system from ``{(equation, factors): numerator}`` without zeros, and denominators by degree."""
    # The order of a table of monomials: by length, then by variables, then by powers.
    table = sorted(
        {factors for _, factors in found},
        key=lambda factors: (len(factors), [v for v, _ in factors], [e for _, e in factors]),
    )
    place = {factors: k for k, factors in enumerate(table)}
    degrees = [sum(e for _, e in factors) if len(scales) > 1 else 0 for factors in table]
    terms = sorted((i, place[factors], value) for (i, factors), value in found.items())
    if scales == [1]:
        coefficients = ExactArray.from_integers([value for _, _, value in terms])
    else:
        coefficients = ExactArray.from_fractions(
            Fraction(value, scales[degrees[k]]) for _, k, value in terms
        )
    flat = [factor for factors in table for factor in factors]
    ends = np.cumsum([0, *map(len, table)]).astype(np.int64)
    loose = np.array(flat, dtype=np.int64).reshape(-1, 2)
    positions = np.array([term[:2] for term in terms], dtype=np.int64).reshape(-1, 2)
    return PolynomialODE(
        tuple(names),
        Monomials(ends, loose[:, 0].copy(), loose[:, 1].copy()),
        positions[:, 0].copy(),
        positions[:, 1].copy(),
        coefficients,
        tuple(parameters),
    )
