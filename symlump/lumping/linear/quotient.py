"""The quotient of a linear lumping: g with L·q(x) = g(L·x).

As g(L·x) is known to be a function of L·x, one x per y is enough: a *section*, x_J = M·y and 0 elsewhere,
with J a set of columns on which L is invertible and M = (L_J)⁻¹. Only monomials in the x_J survive. Where
each row has a column of its own, M is diagonal and the quotient is read off; otherwise products of rows
of M are multiplied out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np

from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.sections import integer_section, multiply_out
from symlump.lumping.linear.spaces.small_terms import Row
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

Form = dict[int, Fraction]


@dataclass(frozen=True, eq=False)
class Section:
    """A right inverse of a matrix: x = M·y on some columns, 0 on the others.

    Parameters
    ----------
    columns : ndarray of int64
        The columns J; as many as the matrix has rows.
    weights : list of dict
        For each of them its row of M, the value of that variable, as ``{row of L: weight}``.
    below : int
        The denominator of all weights.

    Examples
    --------
    >>> section = Section.of(ExactMatrix.from_rows([{0: 1, 1: 2}, {1: 4, 2: 3}], 3))
    >>> section.columns.tolist(), section.forms
    ([0, 2], [{0: Fraction(1, 1)}, {1: Fraction(1, 3)}])
    """

    columns: IntArray
    weights: list[Row]
    below: int

    @classmethod
    def of(cls, matrix: ExactMatrix) -> Section:
        """Columns of their own first, so that M is sparse.

        Raises
        ------
        FailureError
            If the rows are not independent.
        """
        exact = matrix.values.as_integers()
        assert exact.denominators is not None
        columns, cuts = matrix.columns.tolist(), matrix.indptr.tolist()
        values, denominators = exact.numerators.tolist(), exact.denominators.tolist()
        rows, scales = [], []
        for a, b in zip(cuts, cuts[1:], strict=False):
            scale = lcm(*denominators[a:b])
            whole = [v * (scale // d) for v, d in zip(values[a:b], denominators[a:b], strict=True)]
            rows.append(dict(zip(columns[a:b], whole, strict=True)))
            scales.append(scale)
        found, below = integer_section(rows)
        chosen = sorted(found)
        weights = [{k: w * scales[k] for k, w in sorted(found[c].items())} for c in chosen]
        return cls(np.array(chosen, dtype=np.int64), weights, below)

    @cached_property
    def forms(self) -> list[Form]:
        """For each of the columns its row of M."""
        return [{k: Fraction(w, self.below) for k, w in row.items()} for row in self.weights]


def linear_quotient(
    ode: PolynomialODE, matrix: ExactMatrix, section: Section, names: Sequence[str]
) -> PolynomialODE:
    """The system that y = L·x obeys, if it obeys one.

    Raises
    ------
    FailureError
        If multiplying out takes more than three million steps.
    """
    table = ode.monomials
    place = np.full(len(ode), -1, dtype=np.int64)
    place[section.columns] = np.arange(section.columns.size)
    outside = np.bincount(table.owners, weights=place[table.variables] < 0, minlength=len(table))
    kept = np.flatnonzero(outside == 0)
    coefficients = ExactMatrix(ode.indptr, ode.columns, ode.coefficients, len(table))
    combined = matrix @ coefficients.take_columns(kept)
    monomials, expansion = _expansion(table.select(kept), place, section)
    terms = combined @ expansion
    single = {ode.variables[c] for c in matrix.columns[np.diff(matrix.indptr)[matrix.owners] == 1]}
    return PolynomialODE.from_terms(
        names,
        terms.owners,
        terms.columns,
        terms.values,
        monomials,
        [name for name in ode.parameters if name in single and name in names],
    )


def _expansion(
    table: Monomials, place: IntArray, section: Section
) -> tuple[Monomials, ExactMatrix]:
    """Every monomial as a polynomial in y: the monomials of y, and the coefficients."""
    if all(len(row) == 1 and section.below in row.values() for row in section.weights):
        label = np.array([next(iter(row)) for row in section.weights], dtype=np.int64)
        monomials, position = Monomials.from_factors(
            table.owners, label[place[table.variables]], table.powers, len(table)
        )
        rows = np.arange(len(table), dtype=np.int64)
        ones = ExactArray.from_fractions([1] * len(table))
        return monomials, ExactMatrix.from_entries(
            rows, position, ones, (len(table), len(monomials))
        )
    pairs = list(zip(place[table.variables].tolist(), table.powers.tolist(), strict=True))
    cuts = table.indptr.tolist()
    given = [tuple(pairs[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    owners: list[int] = []
    factors: list[tuple[int, int, int]] = []
    values: list[tuple[int, int]] = []
    below = [section.below**degree for degree in range(int(table.degrees.max(initial=0)) + 1)]
    for m, product in multiply_out(given, dict(enumerate(section.weights))).items():
        denominator = below[sum(power for _, power in given[m])]
        for powers, value in product:
            factors += [(len(owners), v, e) for v, e in powers]
            owners.append(m)
            shared = gcd(value, denominator)
            values.append((value // shared, denominator // shared))
    loose = np.array(factors, dtype=np.int64).reshape(-1, 3)
    monomials, position = Monomials.from_factors(loose[:, 0], loose[:, 1], loose[:, 2], len(owners))
    return monomials, ExactMatrix.from_entries(
        np.array(owners, dtype=np.int64),
        position,
        ExactArray.from_ratios(values),
        (len(table), len(monomials)),
    )
