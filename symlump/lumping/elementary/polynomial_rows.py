"""Many polynomials at once, in arrays: leading terms, common factors, which of them are equal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from symlump.lumping.elementary.modular import mix
from symlump.lumping.refinement.field import Residues
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.monomials import Monomials, ranges


class Involved(Exception):
    """A function becomes something else than a number times functions."""


def times_rows(p: Polynomials, factors: ExactArray) -> Polynomials:
    """Each polynomial times a number that is not 0."""
    values = p.coefficients.times_each(factors.take(p.rows))
    if p.coefficients.is_float:
        values = values.as_floats()
    return Polynomials(p.count, p.monomials, p.rows, p.columns, values)


def replace_at(a: ExactArray, at: IntArray, values: ExactArray) -> ExactArray:
    """A copy with other numbers at some places."""
    numerators, denominators = a.numerators, np.asarray(a.denominators)
    if values.numerators.dtype == object:
        numerators, denominators = numerators.astype(object), denominators.astype(object)
    numerators, denominators = numerators.copy(), denominators.copy()
    numerators[at], denominators[at] = values.numerators, np.asarray(values.denominators)
    return ExactArray(numerators, denominators)


def leading_terms(p: Polynomials) -> IntArray:
    """The leading term of every polynomial (none is 0), in the order of :class:`SymbolTable`.

    That is by degree, and then the first factor in which two monomials differ: the smaller symbol, or
    of the same symbol the higher power.
    """
    table = p.monomials
    degrees = table.degrees[p.columns]
    top = np.maximum.reduceat(degrees, p.indptr[:-1])
    candidates = np.flatnonzero(degrees == top[p.rows])
    highest, depth = int(table.powers.max(initial=0)), 0
    while candidates.size > p.count:
        row = p.rows[candidates]
        # What has come to its end is alone in its row: two of one degree do not begin one another.
        at = np.minimum(table.indptr[p.columns[candidates]] + depth, table.variables.size - 1)
        key = (table.variables[at] + 1) * (highest + 1) - table.powers[at]
        start = np.flatnonzero(np.diff(row, prepend=-1))
        candidates = candidates[key == np.minimum.reduceat(key, start)[row]]
        depth += 1
    return candidates


def without_common_factors(
    p: Polynomials, width: int
) -> tuple[Polynomials, IntArray, IntArray, IntArray]:
    """Each polynomial divided by the symbols that are in all of its terms.

    Parameters
    ----------
    width : int
        More than the largest symbol.

    Returns
    -------
    polynomials : Polynomials
    row, symbol, power : ndarray of int64
        By what; sorted by row.

    Examples
    --------
    >>> p, *common = without_common_factors(Polynomials.of([{((0, 2),): 3, ((0, 1), (1, 1)): 1}]), 2)
    >>> p.to_dict(0), common
    ({((0, 1),): Fraction(3, 1), ((1, 1),): Fraction(1, 1)}, [array([0]), array([0]), array([1])])
    """
    table = p.monomials
    lengths = table.lengths[p.columns]
    factor = ranges(table.indptr[:-1][p.columns], lengths)
    term = np.repeat(np.arange(p.rows.size), lengths)
    symbol, powers = table.variables[factor], table.powers[factor]
    keys = p.rows[term] * width + symbol
    order = np.lexsort((powers, keys))
    start = np.flatnonzero(np.diff(keys[order], prepend=-1))
    often = np.diff(np.append(start, keys.size))
    start = start[often == np.diff(p.indptr)[keys[order][start] // width]]
    common, least = keys[order][start], powers[order][start]
    if not common.size:
        return p, common, common, least
    at = np.minimum(np.searchsorted(common, keys), common.size - 1)
    rest = powers - np.where(common[at] == keys, least[at], 0)
    monomials, position = Monomials.from_factors(term, symbol, rest, p.rows.size)
    divided = Polynomials.collected(p.count, monomials, p.rows, position, p.coefficients)
    return divided, common // width, common % width, least


def first_equal(arguments: list[Polynomials], count: int) -> IntArray:
    """For each position the first at which all arguments are the same polynomials."""
    hashes = np.zeros(count, dtype=np.uint64)
    exact = [p.coefficients.in_lowest_terms() for p in arguments]
    for p, values in zip(arguments, exact, strict=True):
        term = mix(mix(p.columns.astype(np.uint64)) ^ _words(values.numerators))
        term = mix(term ^ _words(np.asarray(values.denominators)))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(term)])  # modulo 2^64
        hashes = mix(hashes) ^ mix(sums[p.indptr[1:]] - sums[p.indptr[:-1]])
    order = np.argsort(hashes, kind="stable")
    fresh = np.ones(count, dtype=bool)
    fresh[1:] = hashes[order[1:]] != hashes[order[:-1]]
    first = np.empty(count, dtype=np.int64)
    first[order] = order[fresh][np.cumsum(fresh) - 1]
    for p, values in zip(arguments, exact, strict=True):  # equal hashes are no proof
        lengths = np.diff(p.indptr)
        if (lengths != lengths[first]).any():
            raise Involved
        there = ranges(p.indptr[:-1][first], lengths)
        same = (
            (p.columns == p.columns[there])
            & (values.numerators == values.numerators[there])
            & (values.denominators == np.asarray(values.denominators)[there])
        )
        if not same.all():
            raise Involved
    return first


def _words(numbers: npt.NDArray[np.generic]) -> Residues:
    """A 64-bit word for each integer."""
    if numbers.dtype == object:
        return np.array([hash(int(v)) % 2**64 for v in numbers.tolist()], dtype=np.uint64)
    return numbers.astype(np.int64).view(np.uint64)
