"""The quotient of a linear lumping: g with L·q(x) = g(L·x).

As g(L·x) is known to be a function of L·x, one x per y is enough: a *section*, x_J = M·y and 0 elsewhere,
with J a set of columns on which L is invertible and M = (L_J)⁻¹. Only monomials in the x_J survive. Where
each row has a column of its own, M is diagonal and the quotient is read off; otherwise products of rows
of M are multiplied out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials, starts_of
from symlump.ode.polynomial import PolynomialODE

MOST_STEPS = 3_000_000

Form = dict[int, Fraction]
Powers = tuple[tuple[int, int], ...]
Number = TypeVar("Number", int, Fraction)


@dataclass(frozen=True, eq=False)
class Section:
    """A right inverse of a matrix: x = M·y on some columns, 0 on the others.

    Parameters
    ----------
    columns : ndarray of int64
        The columns J; as many as the matrix has rows.
    forms : list of dict
        For each of them its row of M: the value of that variable, as ``{row of L: coefficient}``.

    Examples
    --------
    >>> section = Section.of(ExactMatrix.from_rows([{0: 1, 1: 2}, {1: 4, 2: 3}], 3))
    >>> section.columns.tolist(), section.forms
    ([0, 2], [{0: Fraction(1, 1)}, {1: Fraction(1, 3)}])
    """

    columns: IntArray
    forms: list[Form]

    @classmethod
    def of(cls, matrix: ExactMatrix) -> Section:
        """Choose columns greedily: those with the fewest entries first, so that M is sparse."""
        counts = np.bincount(matrix.columns, minlength=matrix.width)
        order = np.argsort(counts, kind="stable")
        order = order[counts[order] > 0]
        by_column = matrix.transpose()
        # Gauss-Jordan elimination of (L_J^T | 1), one column of L after the other.
        reduced: dict[int, Form] = {}  # pivot row of L -> rest of the eliminated column
        made_of: dict[int, Form] = {}  # the same as a combination of columns of L
        for column in order.tolist():
            vector, origin = by_column.row(column), {column: Fraction(1)}
            for pivot in [p for p in vector if p in reduced]:
                factor = vector[pivot]
                _subtract(vector, factor, reduced[pivot])
                _subtract(origin, factor, made_of[pivot])
            if not vector:
                continue
            pivot = min(vector)
            scale = vector[pivot]
            vector = {r: v / scale for r, v in vector.items()}
            origin = {c: v / scale for c, v in origin.items()}
            for other, rest in reduced.items():
                if pivot in rest:
                    factor = rest[pivot]
                    _subtract(rest, factor, vector)
                    _subtract(made_of[other], factor, origin)
            reduced[pivot], made_of[pivot] = vector, origin
            if len(reduced) == matrix.shape[0]:
                break
        if len(reduced) < matrix.shape[0]:
            raise FailureError("the rows of a linear lumping must be linearly independent")
        forms: dict[int, Form] = {}
        for row, origin in made_of.items():  # L·origin = unit vector of the row
            for column, value in origin.items():
                forms.setdefault(column, {})[row] = value
        columns = sorted(forms)
        return cls(np.array(columns, dtype=np.int64), [forms[c] for c in columns])


def _subtract(target: Form, factor: Fraction, row: Form) -> None:
    for key, value in row.items():
        total = target.get(key, Fraction(0)) - factor * value
        if total:
            target[key] = total
        else:
            target.pop(key, None)


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
    indptr = starts_of(ode.rows, len(ode))
    coefficients = ExactMatrix(indptr, ode.columns, ode.coefficients, len(table))
    combined = matrix @ coefficients.take_columns(kept)
    monomials, expansion = _expanded(table.select(kept), place, section.forms)
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


def _expanded(
    table: Monomials, place: IntArray, forms: list[Form]
) -> tuple[Monomials, ExactMatrix]:
    """Every monomial as a polynomial in y: the monomials of y, and the coefficients."""
    simple = all(len(form) == 1 for form in forms)
    if simple and all(value == 1 for form in forms for value in form.values()):
        label = np.array([next(iter(form)) for form in forms], dtype=np.int64)
        monomials, position = Monomials.from_factors(
            table.owners, label[place[table.variables]], table.powers, len(table)
        )
        rows = np.arange(len(table), dtype=np.int64)
        ones = ExactArray.from_fractions([1] * len(table))
        return monomials, ExactMatrix.from_entries(
            rows, position, ones, (len(table), len(monomials))
        )
    owners: list[int] = []
    factors: list[tuple[int, int, int]] = []
    values: list[Fraction] = []
    steps = 0
    for m in range(len(table)):
        product: dict[Powers, Fraction] = {(): Fraction(1)}
        for variable, power in table.factors(m):
            form = forms[int(place[variable])]
            for _ in range(power):
                steps += len(product) * len(form)
                if steps > MOST_STEPS:
                    raise FailureError("the quotient in this basis takes too long to multiply out")
                product = times(product, form)
        for powers, value in product.items():
            factors += [(len(owners), v, e) for v, e in powers]
            owners.append(m)
            values.append(value)
    loose = np.array(factors, dtype=np.int64).reshape(-1, 3)
    monomials, position = Monomials.from_factors(loose[:, 0], loose[:, 1], loose[:, 2], len(owners))
    return monomials, ExactMatrix.from_entries(
        np.array(owners, dtype=np.int64),
        position,
        ExactArray.from_fractions(values),
        (len(table), len(monomials)),
    )


def times(product: Mapping[Powers, Number], form: Mapping[int, Number]) -> dict[Powers, Number]:
    """A polynomial times a linear form, multiplied out.

    Examples
    --------
    >>> times({((0, 1),): 2}, {0: 1, 3: 5})
    {((0, 2),): 2, ((0, 1), (3, 1)): 10}
    """
    if len(product) == 1 and () in product:
        return {((variable, 1),): product[()] * value for variable, value in form.items()}
    result: dict[Powers, Number] = {}
    for powers, left in product.items():
        for variable, right in form.items():
            raised = dict(powers)
            raised[variable] = raised.get(variable, 0) + 1
            key = tuple(sorted(raised.items()))
            result[key] = result.get(key, 0) + left * right
    if all(result.values()):
        return result
    return {powers: value for powers, value in result.items() if value}
