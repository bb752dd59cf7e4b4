"""What a quotient gets wrong, as exact polynomials: the defect, and how an error acts on itself.

All of them replace variables by sums of variables and multiply out, in exact rationals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations_with_replacement, product
from math import comb, factorial, prod
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.equivalence import polynomial_only
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

if TYPE_CHECKING:
    from symlump.lumping.solutions.aggregate import AnyLumping

#: Nothing is multiplied out to more terms than this.
MAX_TERMS = 2_000_000


@dataclass(frozen=True, eq=False)
class _Terms:
    """Loose terms, each with a monomial of its table; monomials may occur twice."""

    rows: IntArray
    columns: IntArray
    coefficients: ExactArray
    owners: IntArray
    variables: IntArray
    powers: IntArray
    monomials: int

    def negative(self) -> _Terms:
        """The terms with the other sign."""
        sign = np.full(len(self.coefficients), -1, dtype=np.int64)
        return replace(self, coefficients=self.coefficients.times(sign))


def _as_they_are(ode: PolynomialODE, rows: IntArray, term: IntArray) -> _Terms:
    """Some terms of a system, in other rows."""
    table = ode.monomials
    return _Terms(
        rows,
        ode.columns[term],
        ode.coefficients.take(term),
        table.owners,
        table.variables,
        table.powers,
        len(table),
    )


def _collected(names: Sequence[str], *parts: _Terms) -> PolynomialODE:
    """The sum, with equal terms added exactly."""
    counts = np.array([part.monomials for part in parts], dtype=np.int64)
    first = (np.cumsum(counts) - counts).tolist()
    monomials, position = Monomials.from_factors(
        np.concatenate([part.owners + at for part, at in zip(parts, first, strict=True)]),
        np.concatenate([part.variables for part in parts]),
        np.concatenate([part.powers for part in parts]),
        int(counts.sum()),
    )
    return PolynomialODE.from_terms(
        names,
        np.concatenate([part.rows for part in parts]),
        position[
            np.concatenate([part.columns + at for part, at in zip(parts, first, strict=True)])
        ],
        ExactArray.concatenate([part.coefficients for part in parts]),
        monomials,
    )


def _multiplied_out(
    ode: PolynomialODE,
    sums: Sequence[Sequence[int]],
    weights: Sequence[Mapping[int, Fraction]] | None = None,
) -> _Terms:
    """The right-hand side with variable v replaced by Σ of the variables ``sums[v]``.

    Parameters
    ----------
    weights : sequence of mapping, optional
        The weight of each of these variables; default: 1.

    Raises
    ------
    FailureError
        If that would give more than 2 000 000 terms.
    """
    table = ode.monomials
    shapes = [table.factors(k) for k in range(len(table))]
    counts = np.array(
        [prod(comb(len(sums[v]) + e - 1, e) for v, e in shape) for shape in shapes], dtype=object
    )
    total = int(counts[ode.columns].sum()) if ode.terms else 0
    if total > MAX_TERMS:
        why = "products of variables of large blocks multiply out; choose smaller blocks (a smaller eps)"
        if weights is not None:
            why = "products of long rows multiply out; choose another eps, as shorter or fewer rows have fewer"
        raise FailureError(
            f"the defect of this lumping may have {total} terms, more than {MAX_TERMS}: {why}"
        )
    lengths: list[int] = []
    variables: list[int] = []
    powers: list[int] = []
    multiplicities: list[Fraction | int] = []
    for shape in shapes:
        choices = [combinations_with_replacement(sums[v], e) for v, e in shape]
        for choice in product(*choices):
            multiplicity: Fraction | int = 1
            factors = Counter[int]()
            for (v, _), part in zip(shape, choice, strict=True):
                times = Counter(part)
                multiplicity *= factorial(len(part)) // prod(map(factorial, times.values()))
                if weights is not None:
                    multiplicity *= prod(
                        (weights[v][i] ** k for i, k in times.items()), start=Fraction(1)
                    )
                factors.update(times)
            lengths.append(len(factors))
            variables += factors.keys()
            powers += factors.values()
            multiplicities.append(multiplicity)
    expanded = counts.astype(np.int64)
    first = np.cumsum(expanded) - expanded
    repeat = expanded[ode.columns]
    term = np.repeat(np.arange(ode.terms), repeat)
    columns = first[ode.columns][term] + _counting(repeat)
    if weights is None:
        factor = np.array(multiplicities, dtype=np.int64)
        coefficients = ode.coefficients.take(term).times(factor[columns])
    else:
        exact = ExactArray.from_fractions(multiplicities)
        coefficients = ode.coefficients.take(term).times_each(exact.take(columns))
    return _Terms(
        ode.rows[term],
        columns,
        coefficients,
        np.repeat(np.arange(len(lengths)), np.array(lengths, dtype=np.int64)),
        np.array(variables, dtype=np.int64),
        np.array(powers, dtype=np.int64),
        len(lengths),
    )


def _counting(repeat: IntArray) -> IntArray:
    """0 … r−1 for each r, one after the other."""
    start = np.cumsum(repeat) - repeat
    return np.asarray(np.arange(int(repeat.sum())) - np.repeat(start, repeat))


def defect(lumping: AnyLumping) -> PolynomialODE:
    """Forward g(L·x) − L·q(x), backward q(U·y) − U·g(y): the derivative of the error where there is none yet.

    Exact; without a term iff the lumping is. Forward, equation B is that of block B, or of row B of a linear
    lumping, and the variables are x.
    Backward, the equations are those of x, and y_B is called by the B-th variable's name.

    Raises
    ------
    FailureError
        If it would have more than 2 000 000 terms.

    Examples
    --------
    >>> import sympy
    >>> from symlump import Backward, Forward, PolynomialODE, lump
    >>> a, b = sympy.symbols("a b")
    >>> ode = PolynomialODE.from_sympy({a: -2*a, b: -3*b})
    >>> print(defect(lump(ode, Forward(eps=1))))
    a' = -1/2*a + 1/2*b
    b' = 0
    >>> print(defect(lump(ode, Backward(eps=1))))
    a' = 1/2*a
    b' = -1/2*a
    """
    ode, g = (polynomial_only(system, "a bound") for system in (lumping.ode, lumping.quotient))
    if lumping.kind == "linear":
        return _of_rows(lumping.rows, ode, g)
    partition = lumping.partition
    labels = partition.labels
    if lumping.method.direction == "forward":
        blocks = [block.tolist() for block in partition.blocks]
        summed = _as_they_are(ode, labels[ode.rows], np.arange(ode.terms))
        return _collected(ode.variables, _multiplied_out(g, blocks), summed.negative())
    copies = partition.sizes[g.rows]
    members = np.argsort(labels, kind="stable")
    first = np.cumsum(partition.sizes) - partition.sizes
    term = np.repeat(np.arange(g.terms), copies)
    copied = _as_they_are(g, members[first[g.rows][term] + _counting(copies)], term)
    ours = _multiplied_out(ode, [[label] for label in labels.tolist()])
    return _collected(ode.variables, ours, copied.negative())


def _of_rows(rows: ExactMatrix, ode: PolynomialODE, g: PolynomialODE) -> PolynomialODE:
    """g(L·x) − L·q(x) for any rows L."""
    forms = rows.rows()
    table = ode.monomials
    summed = rows @ ExactMatrix(ode.indptr, ode.columns, ode.coefficients, len(table))
    ours = _Terms(
        summed.owners,
        summed.columns,
        summed.values,
        table.owners,
        table.variables,
        table.powers,
        len(table),
    )
    return _collected(
        ode.variables, _multiplied_out(g, [list(form) for form in forms], forms), ours.negative()
    )


def increment(f: PolynomialODE, source: IntArray, live: IntArray) -> PolynomialODE:
    """F(z, e) = f(z + e) − f(z), multiplied out, for the components of e that can differ from 0.

    Parameters
    ----------
    source : ndarray
        Which z belongs to each variable of f.
    live : ndarray
        The variables of f with a component of e, ascending; the equations of the result are theirs.

    Returns
    -------
    PolynomialODE
        Variables z0, z1, … and then e0, e1, …; every term has a factor e.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x = sympy.Symbol("x")
    >>> print(increment(PolynomialODE.from_sympy({x: 1 - x**2}), np.array([0]), np.array([0])))
    z0' = -e0^2 - 2*z0*e0
    e0' = 0
    """
    places = int(source.max(initial=-1)) + 1
    position = {v: places + k for k, v in enumerate(live.tolist())}
    sums = [[z] + ([position[v]] if v in position else []) for v, z in enumerate(source.tolist())]
    everything = _multiplied_out(f, sums)
    has_error = np.zeros(everything.monomials, dtype=bool)
    has_error[everything.owners[everything.variables >= places]] = True
    row = np.full(len(f), -1, dtype=np.int64)
    row[live] = np.arange(live.size)
    keep = has_error[everything.columns] & (row[everything.rows] >= 0)
    names = [f"z{k}" for k in range(places)] + [f"e{k}" for k in range(live.size)]
    kept = replace(
        everything,
        rows=row[everything.rows[keep]],
        columns=everything.columns[keep],
        coefficients=everything.coefficients.take(keep),
    )
    return _collected(names, kept)
