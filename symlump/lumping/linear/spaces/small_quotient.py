"""The quotient of a small system, term by term, where every row has a column of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from symlump.lumping.linear.spaces.small_terms import Factors, Row, Terms
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE


def own_columns(rows: Sequence[Row]) -> list[int] | None:
    """For each row a column in which no other row has an entry, with the smallest entry there."""
    owner: dict[int, int] = {}
    for i, row in enumerate(rows):
        for c in row:
            owner[c] = -1 if c in owner else i
    chosen = []
    for i, row in enumerate(rows):
        own = [(abs(value), c) for c, value in row.items() if owner[c] == i]
        if not own:
            return None
        chosen.append(min(own)[1])
    return chosen


def small_quotient(
    terms: Terms,
    rows: Sequence[Row],
    columns: Sequence[int],
    names: Sequence[str],
    ode: PolynomialODE,
) -> PolynomialODE:
    """The quotient, where row i alone has an entry in column ``columns[i]``: x = y_i / entry there, else 0."""
    label = {c: i for i, c in enumerate(columns)}
    entry = {c: rows[i][c] for c, i in label.items()}
    plain = all(value == 1 for value in entry.values())
    renamed: dict[int, tuple[Factors, int]] = {}
    for m, factors in enumerate(terms.monomials):
        if all(variable in label for variable, _ in factors):
            below = 1
            if not plain:
                for variable, power in factors:
                    below *= entry[variable] ** power
            renamed[m] = tuple(sorted((label[v], e) for v, e in factors)), below
    found: dict[tuple[int, Factors], tuple[int, int]] = {}
    for i, row in enumerate(rows):
        for m, value in terms.combine(row).items():
            if value and m in renamed:
                factors, below = renamed[m]
                found[i, factors] = value, below * terms.scale
    single = {ode.variables[next(iter(row))] for row in rows if len(row) == 1}
    parameters = [name for name in ode.parameters if name in single and name in names]
    return from_found(names, found, parameters)


def from_found(
    names: Sequence[str],
    found: Mapping[tuple[int, Factors], tuple[int, int]],
    parameters: Iterable[str] = (),
) -> PolynomialODE:
    """A system from ``{(equation, factors): (numerator, denominator)}``, without zeros."""
    # The order of a table of monomials: by length, then by variables, then by powers.
    table = sorted(
        {factors for _, factors in found},
        key=lambda factors: (len(factors), [v for v, _ in factors], [e for _, e in factors]),
    )
    place = {factors: k for k, factors in enumerate(table)}
    terms = sorted((i, place[factors], *value) for (i, factors), value in found.items())
    flat = [factor for factors in table for factor in factors]
    ends = np.cumsum([0, *map(len, table)]).astype(np.int64)
    loose = np.array(flat, dtype=np.int64).reshape(-1, 2)
    positions = np.array([term[:2] for term in terms], dtype=np.int64).reshape(-1, 2)
    return PolynomialODE(
        tuple(names),
        Monomials(ends, loose[:, 0].copy(), loose[:, 1].copy()),
        positions[:, 0].copy(),
        positions[:, 1].copy(),
        ExactArray.from_fractions(
            top if below == 1 else Fraction(top, below) for _, _, top, below in terms
        ),
        tuple(parameters),
    )
