"""The reference system itself: the nearest system, term by term, that a partition lumps exactly.

:mod:`symlump.lumping.tolerance.reference` finds its quotient in closed form. Here the change is spread as the
projection says, in exact rationals: forward, equally over the equations of a block; backward, equally over the
monomials of a class. Monomials that were absent may appear.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations_with_replacement, product
from math import comb, prod

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.reference import multiplicity
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

MAX_TERMS = 500_000

_Factors = tuple[tuple[int, int], ...]
_Sums = dict[tuple[int, _Factors], Fraction]


def reference_system(
    ode: PolynomialODE, direction: str, partition: Partition, quotient: PolynomialODE
) -> PolynomialODE:
    """The nearest system to ``ode`` that ``partition`` lumps exactly to ``quotient``.

    Parameters
    ----------
    direction : {"forward", "backward"}
    quotient : PolynomialODE
        Its variables are the blocks in order.

    Raises
    ------
    FailureError
        If it would have more than 500 000 terms, because a monomial in large blocks stands for many.
    """
    labels = partition.labels
    classes = [_over_blocks(ode.monomials.factors(m), labels) for m in range(len(ode.monomials))]
    wanted = {
        (row, tuple(quotient.monomials.factors(column))): value
        for row, column, value in zip(
            quotient.rows.tolist(), quotient.columns.tolist(), quotient.coefficients, strict=True
        )
    }
    pairs = {(int(labels[r]), classes[c]) for r, c in zip(ode.rows, ode.columns, strict=True)}
    pairs |= wanted.keys()
    _check_size(pairs, partition)
    terms: dict[tuple[int, _Factors], Fraction] = {}
    sums: _Sums = {}
    for row, column, value in zip(
        ode.rows.tolist(), ode.columns.tolist(), ode.coefficients, strict=True
    ):
        factors = tuple(ode.monomials.factors(column))
        terms[row, factors] = value
        owner = (int(labels[row]), factors) if direction == "forward" else (row, classes[column])
        sums[owner] = sums.get(owner, Fraction(0)) + value
    blocks = [block.tolist() for block in partition.blocks]
    for block, shape in pairs:
        goal = wanted.get((block, shape), Fraction(0))
        if direction == "forward":
            changes = _forward_changes(goal, block, shape, blocks, sums)
        else:
            changes = _backward_changes(goal, block, shape, blocks, sums)
        for member, monomial, change in changes:
            terms[member, monomial] = terms.get((member, monomial), Fraction(0)) + change
    return _from_terms(ode, terms)


def _forward_changes(
    goal: Fraction, block: int, shape: _Factors, blocks: list[list[int]], sums: _Sums
) -> Iterator[tuple[int, _Factors, Fraction]]:
    """The sum over the block must have goal·μ_β at every monomial of the class."""
    for monomial in _monomials(shape, blocks):
        gap = goal * multiplicity(shape, monomial) - sums.get((block, monomial), Fraction(0))
        if gap:
            for member in blocks[block]:
                yield member, monomial, gap / len(blocks[block])


def _backward_changes(
    goal: Fraction, block: int, shape: _Factors, blocks: list[list[int]], sums: _Sums
) -> Iterator[tuple[int, _Factors, Fraction]]:
    """Each member's coefficients of the class must sum to goal."""
    monomials = list(_monomials(shape, blocks))
    for member in blocks[block]:
        gap = goal - sums.get((member, shape), Fraction(0))
        if gap:
            for monomial in monomials:
                yield member, monomial, gap / len(monomials)


def _over_blocks(factors: list[tuple[int, int]], labels: np.ndarray) -> _Factors:
    powers: dict[int, int] = {}
    for variable, power in factors:
        block = int(labels[variable])
        powers[block] = powers.get(block, 0) + power
    return tuple(sorted(powers.items()))


def _monomials(shape: _Factors, blocks: list[list[int]]) -> Iterator[_Factors]:
    """All monomials of a class: for each block every choice of as many members as its power says."""
    choices = [combinations_with_replacement(blocks[b], power) for b, power in shape]
    for choice in product(*choices):
        powers: dict[int, int] = {}
        for variable in (v for part in choice for v in part):
            powers[variable] = powers.get(variable, 0) + 1
        yield tuple(sorted(powers.items()))


def _check_size(pairs: set[tuple[int, _Factors]], partition: Partition) -> None:
    sizes = partition.sizes
    count = sum(
        int(sizes[block]) * prod(comb(int(sizes[b]) + e - 1, e) for b, e in shape)
        for block, shape in pairs
    )
    if count > MAX_TERMS:
        raise FailureError(
            f"the reference system may have {count} terms, more than {MAX_TERMS}: products of variables of "
            "large blocks spread over all pairs of members. Its quotient and δ are known without it"
        )


def _from_terms(ode: PolynomialODE, terms: dict[tuple[int, _Factors], Fraction]) -> PolynomialODE:
    owners = [t for t, (_, factors) in enumerate(terms) for _ in factors]
    loose = [factor for _, factors in terms for factor in factors]
    monomials, position = Monomials.from_factors(
        np.array(owners, dtype=np.int64),
        np.array([v for v, _ in loose], dtype=np.int64),
        np.array([e for _, e in loose], dtype=np.int64),
        len(terms),
    )
    rows = np.array([row for row, _ in terms], dtype=np.int64)
    values = ExactArray.from_fractions(terms.values())
    return PolynomialODE.from_terms(
        ode.variables, rows, position, values, monomials, ode.parameters
    )
