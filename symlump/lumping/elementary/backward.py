"""Backward equivalence through functions: every variable replaced by its block's, functions followed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.errors import InputError, PartitionError
from symlump.lumping.elementary.modular import ModularFunctions, ModularPolynomials
from symlump.lumping.equivalence import Fingerprints, SignatureTerms
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.field import Residues
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import Monomial, symbol
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE


def signature(ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
    """Key: the monomial in the symbols of blocks, and of functions of them."""
    table = SymbolTable(int(labels.max(initial=-1)) + 1)
    equations, _ = ode.into(table, [symbol(block) for block in labels.tolist()])
    owners: list[int] = []
    keys: list[int] = []
    values: list[Fraction] = []
    known: dict[Monomial, int] = {}
    for member in range(len(ode)) if members is None else members.tolist():
        for monomial, value in equations[member].items():
            owners.append(member)
            keys.append(known.setdefault(monomial, len(known)))
            values.append(value)
    monomials = list(known)
    return SignatureTerms(
        np.array(owners, dtype=np.int64),
        np.array(keys, dtype=np.int64),
        ExactArray.from_fractions(values),
        lambda key: (None, monomials[key]),
        table,
    )


def check_defined(ode: ODE, labels: IntArray) -> None:
    """Refuse blocks on which a denominator is always 0.

    Raises
    ------
    PartitionError
        With that denominator.
    """
    table = SymbolTable(int(labels.max(initial=-1)) + 1)
    try:
        ode.into(table, [symbol(block) for block in labels.tolist()])
    except InputError as problem:
        raise PartitionError(
            f"{problem} where the variables of a block are equal. No coarsest backward equivalence need "
            "exist then: say with initial= which of them stay apart"
        ) from None


def fingerprints(ode: ODE, prime: int) -> Fingerprints:
    """The right-hand side at a random point that is constant on blocks."""
    return _ValueFingerprints(ode, prime)


class _ValueFingerprints(Fingerprints):
    """The right-hand side at the weights, which are the point."""

    def __init__(self, ode: ODE, prime: int) -> None:
        assert ode.generators is not None
        self._functions = ModularFunctions(ode.generators, prime)
        equations = Polynomials(len(ode), ode.monomials, ode.rows, ode.columns, ode.coefficients)
        self._equations = ModularPolynomials.of(equations, prime)
        self.prime = prime

    def evaluate(self, weights: Residues, members: IntArray) -> Residues:
        return self._equations.values(self._functions.values(weights))[members]

    def update(
        self, weights: Residues, changed: IntArray, before: Residues
    ) -> tuple[IntArray, Residues]:
        raise NotImplementedError("every evaluation is from scratch, see update_cost")

    def update_cost(self, changed: IntArray) -> float:
        return 1.0


def quotient(
    ode: ODE, partition: Partition, names: tuple[str, ...], parameters: tuple[str, ...]
) -> ODE:
    """The equation of each block's first member, with blocks in place of variables."""
    table = SymbolTable(len(partition))
    equations, _ = ode.into(table, [symbol(block) for block in partition.labels.tolist()])
    chosen = [equations[first] for first in partition.representatives.tolist()]
    chosen = [{} if table.is_zero(p) else p for p in chosen]
    return ODE.from_table(names, chosen, table, parameters, ode.coefficients.is_float)
