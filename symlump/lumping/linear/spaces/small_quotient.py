"""The quotient of a small system, term by term in integers.

As in :mod:`symlump.lumping.linear.quotient`, one x per y is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import gcd
from typing import Any

import numpy as np

from symlump.lumping.linear.spaces.sections import integer_section, multiply_out
from symlump.lumping.linear.spaces.small_terms import Factors, Row, Terms, combine, combine_some
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE


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
        return _Listed(names, parameters, _part, (terms, [next(iter(row)) for row in rows]))
    forms, below = integer_section(rows)
    if terms.matrix is not None:
        return _linear(terms, rows, forms, below, names, parameters)
    known = multiply_out(terms.monomials, forms)
    left = [[(m, value) for m, value in equation if m in known] for equation in terms.equations]
    found: list[dict[Factors, int]] = []
    for row in rows:
        equation: dict[Factors, int] = {}
        for m, value in combine(left, row).items():
            if value:
                for factors, weight in known[m]:
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
            (sum(e for _, e in factors) for p in known.values() for factors, _ in p), default=0
        )
    scales = [terms.scale * below**k for k in range(degree + 1)]  # by degree
    return _Listed(names, parameters, _arrays, (equations, table, scales))


def _linear(
    terms: Terms,
    rows: Sequence[Row],
    forms: dict[int, Row],
    below: int,
    names: Sequence[str],
    parameters: Sequence[str],
) -> PolynomialODE:
    """For a linear system: x as forms in y in the equations of rows, which are sums over variables."""
    # What each monomial is in y; the constant is number −1.
    inside = [forms.get(f[0][0], {}) if f else {-1: 1} for f in terms.monomials]
    left = [list(combine_some(equation, inside).items()) for equation in terms.equations]
    equations = [combine(left, row) for row in rows]
    scales = [terms.scale, terms.scale * below] if below != 1 else [terms.scale]
    return _Listed(names, parameters, _linear_arrays, (equations, scales))


def _linear_arrays(equations: Sequence[Row], scales: Sequence[int]) -> dict[str, Any]:
    kept = [sorted([item for item in equation.items() if item[1]]) for equation in equations]
    used = sorted({v for equation in kept for v, _ in equation})
    place = {v: k for k, v in enumerate(used)}
    listed = [[(place[v], value) for v, value in equation] for equation in kept]
    return _arrays(listed, [((v, 1),) if v >= 0 else () for v in used], scales)


def _part(terms: Terms, kept: Sequence[int]) -> dict[str, Any]:
    """The equations of some variables, ascending, in which there are no others."""
    equations = [terms.equations[v] for v in kept]
    used = sorted({m for equation in equations for m, _ in equation})
    place = {m: k for k, m in enumerate(used)}
    label = {v: i for i, v in enumerate(kept)}
    table = [tuple([(label[v], e) for v, e in terms.monomials[m]]) for m in used]
    equations = [[(place[m], value) for m, value in equation] for equation in equations]
    return _arrays(equations, table, [terms.scale])


class _Listed(PolynomialODE):
    """A system that is known, but not yet in arrays: these are made when one is read.

    From then on it is a system like any other.
    """

    def __init__(
        self,
        names: Sequence[str],
        parameters: Sequence[str],
        make: Callable[..., dict[str, Any]],
        given: tuple[Any, ...],
    ) -> None:
        self.__dict__.update(
            variables=tuple(names), parameters=tuple(parameters), made_by=(make, given)
        )

    def __getattr__(self, name: str) -> Any:
        if name not in ("monomials", "rows", "columns", "coefficients"):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        make, given = self.__dict__.pop("made_by")
        self.__dict__.update(make(*given))
        object.__setattr__(self, "__class__", PolynomialODE)
        return self.__dict__[name]


def _arrays(
    equations: Sequence[Sequence[tuple[int, int]]], table: Sequence[Factors], scales: Sequence[int]
) -> dict[str, Any]:
    """From a numerator for each monomial of each equation, and denominators by degree."""
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
    return {
        "monomials": Monomials(*(np.array(a, dtype=np.int64) for a in (ends, variables, powers))),
        "rows": np.array(owners, dtype=np.int64),
        "columns": np.array(columns, dtype=np.int64),
        "coefficients": coefficients,
    }
