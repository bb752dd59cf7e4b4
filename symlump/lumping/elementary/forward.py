"""Forward equivalence through functions: signatures, their values at random points, the quotient.

∂f_B/∂x_i is a polynomial in symbols by the chain rule. The derivative of a function other than 1/d is one
more free symbol, so that f_B is found to depend on sums only where it would do so whatever the function is:
with exp(x1 + x2), not with exp(x1)·exp(x2). (With the true derivative an equality could hold on parts of the
domain only, as for atan(u) + atan(1/u).) Two derivatives are rarely multiplied out: where x_i and x_j have
the same derivatives of f_B *and* of every function's arguments, symbols held, they are forward equivalent.
Only members that differ there are compared as the functions they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from symlump.errors import FailureError, InputError
from symlump.lumping.elementary.gradients import differ, gradient_of
from symlump.lumping.elementary.polynomial_rows import Involved
from symlump.lumping.elementary.relabelling import relabel, without_zeros
from symlump.lumping.equivalence import SignatureTerms
from symlump.lumping.partition import Partition
from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import Monomial, Polynomial, total
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE


def signature(ode: ODE, labels: IntArray, members: IntArray) -> SignatureTerms:
    """Key (B, monomial in symbols): its coefficient in ∂f_B/∂x_i."""
    owners: list[int] = []
    keys: list[int] = []
    values: list[Fraction] = []
    known: dict[tuple[int, Monomial], int] = {}
    for member, gradient in gradient_of(ode, labels, members.tolist()).items():
        for target, p in gradient.items():
            for monomial, value in p.items():
                owners.append(member)
                keys.append(known.setdefault((target, monomial), len(known)))
                values.append(value)
    described = list(known)
    return SignatureTerms(
        np.array(owners, dtype=np.int64),
        np.array(keys, dtype=np.int64),
        ExactArray.from_fractions(values),
        described.__getitem__,
        lambda: ode.table,
    )


def agrees(ode: ODE, partition: Partition) -> bool:
    """True if a partition is a forward equivalence."""
    doubtful = _different_symbol_by_symbol(ode, partition)
    if not doubtful.size:
        return True
    first = partition.representatives[partition.labels[doubtful]]
    wanted = np.unique(np.concatenate([doubtful, first]))
    gradients = gradient_of(ode, partition.labels, wanted.tolist())
    return not any(
        differ(ode, gradients[i], gradients[j])
        for i, j in zip(doubtful.tolist(), first.tolist(), strict=True)
    )


def _different_symbol_by_symbol(ode: ODE, partition: Partition) -> IntArray:
    """Members whose derivatives, symbols held, are not those of the first of their block."""
    generators = ode.generators
    assert generators is not None
    n = len(ode)
    d, e = PartialDerivatives.loose(ode), PartialDerivatives.loose(generators.arguments)
    outer, inner = d.variables < n, e.variables < n
    width = max(1, len(d.monomials))
    keys = partition.labels[d.equations[outer]] * width + d.columns[outer]
    start = (len(partition) + 1) * width
    inner_keys = start + e.equations[inner] * max(1, len(e.monomials)) + e.columns[inner]
    terms = SignatureTerms(
        np.concatenate([d.variables[outer], e.variables[inner]]),
        np.concatenate([keys, inner_keys]),
        ExactArray.concatenate([d.coefficients.take(outer), e.coefficients.take(inner)]),
        lambda key: (key, ()),
    )
    return terms.disagreeing(partition)


def quotient(
    ode: ODE, partition: Partition, names: tuple[str, ...], parameters: tuple[str, ...]
) -> ODE:
    """f_B where each block's sum is spread over its members: all on the first, if no denominator is 0 there.

    Raises
    ------
    FailureError
        If a denominator is 0 for every spread that was tried.
    """
    labels = np.full(len(ode), -1, dtype=np.int64)
    labels[partition.representatives] = np.arange(len(partition))
    try:
        equations, generators = relabel(ode, labels, len(partition))
    except Involved:
        return _quotient_by_shares(ode, partition, names, parameters)
    sums = Polynomials.collected(
        len(partition),
        equations.monomials,
        partition.labels[equations.rows],
        equations.columns,
        equations.coefficients,
    )
    return ODE.from_arrays(names, without_zeros(sums, generators), generators, parameters)


def _quotient_by_shares(
    ode: ODE, partition: Partition, names: tuple[str, ...], parameters: tuple[str, ...]
) -> ODE:
    problem: Exception | None = None
    for shares in _spreads(partition):
        table = SymbolTable(len(partition))
        images: list[Polynomial] = [
            {((block, 1),): share} if share else {}
            for block, share in zip(partition.labels.tolist(), shares, strict=True)
        ]
        try:
            equations, _ = ode.into(table, images)
        except InputError as error:
            problem = error
            continue
        sums: list[Polynomial] = [
            total(equations[member] for member in block.tolist()) for block in partition.blocks
        ]
        sums = [{} if table.is_zero(p) else p for p in sums]
        return ODE.from_table(names, sums, table, parameters, ode.coefficients.is_float)
    raise FailureError(f"the quotient cannot be written down: {problem}")


def _spreads(partition: Partition) -> Iterator[list[Fraction]]:
    """Shares of each block's sum for its members, which add up to 1."""
    count = partition.labels.size
    first = np.zeros(count, dtype=np.int64)
    first[partition.representatives] = 1
    place = np.zeros(count, dtype=np.int64)
    for block in partition.blocks:
        place[block] = np.arange(1, block.size + 1)
    for weights in (first, np.ones(count, dtype=np.int64), place, place**2 + 1):
        sums = np.bincount(partition.labels, weights=weights).astype(np.int64)
        yield [
            Fraction(int(w), int(s)) for w, s in zip(weights, sums[partition.labels], strict=True)
        ]
