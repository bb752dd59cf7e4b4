"""The nearest system that a partition lumps exactly, and how far away it is.

The systems that a given partition lumps exactly form a linear space (each defining identity is linear
in the coefficients), so the nearest one is an orthogonal projection. It has a closed form, because
monomials fall into classes: under the partition, x^β belongs to the class α of its block degrees, and
different classes never mix.

Forward. f_B = Σ_{k∈B} q_k must be a polynomial in block sums, Σ_α g_{B,α}·y^α, and y^α expands into
the x^β of class α with multinomial factors μ_β. The classes are orthogonal, so
g_{B,α} = Σ_β c_{B,β}·μ_β / Σ_β μ_β², and the change of f_B is shared equally by its |B| equations.

Backward. The sums s_{i,α} of the coefficients of one class must be equal for all i in a block; the
nearest common value is their mean, and the change is shared equally by the N_α monomials of the class.

Where the coefficients are floats, the quotient's are rounded to float64: the reference system is then
the nearest one *with that quotient*, and the distance is measured to it.

References
----------
The reference model of approximate differential equivalence: arXiv:1807.06888. The closed forms for
polynomial systems are derived in the documentation, "The reference model".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import comb, factorial, frexp, prod, sqrt

import numpy as np

from symlump.lumping.equivalence import Equivalence
from symlump.lumping.partition import Partition
from symlump.ode.exact import AnyArray, ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True, eq=False)
class QuotientTerms:
    """Terms of a quotient system, and the distance of the reference system behind it.

    ``delta`` is the 2-norm of the smallest change of coefficients that makes the partition exact.
    """

    rows: IntArray
    columns: IntArray
    coefficients: ExactArray
    monomials: Monomials
    delta: float


def exact_quotient(ode: PolynomialODE, method: Equivalence, partition: Partition) -> QuotientTerms:
    """The quotient of an exact equivalence: coefficients are read off, nothing is averaged."""
    table, position = ode.monomials.relabel(partition.labels)
    rows, columns, values = method.quotient_terms(ode, partition)
    return QuotientTerms(rows, position[columns], values, table, 0.0)


def nearest_quotient(
    ode: PolynomialODE, method: Equivalence, partition: Partition
) -> QuotientTerms:
    """The quotient of the nearest system that ``partition`` lumps exactly.

    Raises
    ------
    MethodError
        Never for forward and backward equivalence.
    """
    table, class_of = ode.monomials.relabel(partition.labels)
    if method.direction == "forward":
        return _forward(ode, partition, table, class_of)
    return _backward(ode, partition, table, class_of)


def _forward(
    ode: PolynomialODE, partition: Partition, table: Monomials, class_of: IntArray
) -> QuotientTerms:
    sizes = partition.sizes
    width = max(1, len(ode.monomials))
    # f_B: add the equations of each block.
    key, group = np.unique(partition.labels[ode.rows] * width + ode.columns, return_inverse=True)
    sums = ode.coefficients.group_sum(group.ravel(), int(key.size))
    block, monomial = key // width, key % width
    factor = _multiplicities(ode.monomials, table, class_of)[monomial]
    squares = np.array(
        [
            prod(square_norm(int(sizes[b]), e) for b, e in table.factors(m))
            for m in range(len(table))
        ],
        dtype=object,
    )
    classes = max(1, len(table))
    class_key, entry = np.unique(block * classes + class_of[monomial], return_inverse=True)
    entry = entry.ravel()
    rows, columns = class_key // classes, class_key % classes
    values = _mean(sums, factor, entry, squares[columns], ode.coefficients.is_float)
    unit, g, c = _in_one_unit(values.to_float(), sums.to_float())
    mu = factor.astype(np.float64)
    inside = np.bincount(entry, weights=(c - g[entry] * mu) ** 2, minlength=class_key.size)
    absent = squares[columns].astype(np.float64) - np.bincount(
        entry, weights=mu**2, minlength=class_key.size
    )
    change = inside + g**2 * np.maximum(absent, 0.0)
    delta = unit * sqrt(float((change / sizes[rows]).sum()))
    return QuotientTerms(rows, columns, values, table, delta)


def _backward(
    ode: PolynomialODE, partition: Partition, table: Monomials, class_of: IntArray
) -> QuotientTerms:
    sizes = partition.sizes
    classes = max(1, len(table))
    key, group = np.unique(ode.rows * classes + class_of[ode.columns], return_inverse=True)
    sums = ode.coefficients.group_sum(group.ravel(), int(key.size))
    block, column = partition.labels[key // classes], key % classes
    class_key, entry = np.unique(block * classes + column, return_inverse=True)
    entry = entry.ravel()
    rows, columns = class_key // classes, class_key % classes
    ones = np.ones(key.size, dtype=np.int64)
    values = _mean(sums, ones, entry, sizes[rows].astype(object), ode.coefficients.is_float)
    unit, g, s = _in_one_unit(values.to_float(), sums.to_float())
    spread = np.bincount(entry, weights=(s - g[entry]) ** 2, minlength=class_key.size)
    absent = sizes[rows] - np.bincount(entry, minlength=class_key.size)
    monomials_in_class = np.array(
        [
            prod(comb(int(sizes[b]) + e - 1, e) for b, e in table.factors(m))
            for m in range(len(table))
        ],
        dtype=np.float64,
    )
    delta = unit * sqrt(float(((spread + absent * g**2) / monomials_in_class[columns]).sum()))
    return QuotientTerms(rows, columns, values, table, delta)


def _in_one_unit(one: FloatArray, other: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """A power of two, and the numbers divided by it, so that their squares are floats."""
    unit = 2.0 ** (frexp(max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0)))[1] - 1)
    return unit, one / unit, other / unit


def _mean(
    values: ExactArray, weights: IntArray, groups: IntArray, norms: AnyArray, rounded: bool
) -> ExactArray:
    """Σ weight·value / norm by group: exactly, or in float64 where the system is of floats."""
    count = int(norms.size)
    if rounded:
        total = np.bincount(groups, weights=values.to_float() * weights, minlength=count)
        return ExactArray.from_floats(total / norms.astype(np.float64))
    return values.times(weights).group_sum(groups, count).divided_by(norms)


def _multiplicities(monomials: Monomials, table: Monomials, class_of: IntArray) -> IntArray:
    """μ_β = Π_A α_A! / Π_i β_i!: how often x^β occurs when y^α is multiplied out."""
    result = np.ones(len(monomials), dtype=np.int64)
    merged = (monomials.lengths != table.lengths[class_of]) & (monomials.lengths > 0)
    for m in np.flatnonzero(merged).tolist():
        result[m] = multiplicity(table.factors(int(class_of[m])), monomials.factors(m))
    return result


def multiplicity(shape: Iterable[tuple[int, int]], monomial: Iterable[tuple[int, int]]) -> int:
    """μ_β = Π_A α_A! / Π_i β_i!, from block degrees α and exponents β.

    Examples
    --------
    >>> multiplicity([(0, 2)], [(3, 1), (4, 1)])   # (x3 + x4)² = … + 2·x3·x4 + …
    2
    """
    return prod(factorial(e) for _, e in shape) // prod(factorial(e) for _, e in monomial)


@cache
def square_norm(members: int, power: int) -> int:
    """Σ μ_β² over the monomials of degree ``power`` in ``members`` variables.

    It is (power!)² times the coefficient of t^power in (Σ_k t^k / k!²)^members.
    """
    if power == 1:
        return members
    step = [Fraction(1, factorial(k) ** 2) for k in range(power + 1)]
    series = [Fraction(1)] + [Fraction(0)] * power
    exponent, base = members, step
    while exponent:
        if exponent & 1:
            series = _truncated_product(series, base)
        base = _truncated_product(base, base)
        exponent >>= 1
    return int(series[power] * factorial(power) ** 2)


def _truncated_product(a: list[Fraction], b: list[Fraction]) -> list[Fraction]:
    return [sum((a[i] * b[k - i] for i in range(k + 1)), Fraction(0)) for k in range(len(a))]
