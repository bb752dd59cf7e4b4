"""Backward equivalence through functions: every variable replaced by its block's, functions followed."""

from __future__ import annotations

from functools import cache
from weakref import ReferenceType, ref

import numpy as np

from symlump.errors import PartitionError, UndefinedError
from symlump.lumping.elementary.polynomial_rows import Involved
from symlump.lumping.elementary.relabelling import relabel, without_zeros
from symlump.lumping.equivalence import SignatureTerms
from symlump.lumping.partition import Partition
from symlump.ode.exact import IntArray
from symlump.ode.functions.algebra import Polynomial, symbol
from symlump.ode.functions.domains import undefined_number
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.functions.undefined import STATES, without_value
from symlump.ode.system import ODE


class _Compared:
    """Equations on blocks as they were compared last, for the quotient that follows: it is a part of them."""

    def __init__(self) -> None:
        self._of: ReferenceType[ODE] | None = None
        self._found: tuple[IntArray, Polynomials, Generators] | None = None

    def keep(self, ode: ODE, labels: IntArray, p: Polynomials, generators: Generators) -> None:
        """Keep them until they are taken, others are kept, or the system is gone."""
        self._of, self._found = ref(ode, lambda of: self._drop(of)), (labels, p, generators)

    def take(self, ode: ODE, partition: Partition) -> tuple[Polynomials, Generators] | None:
        """The equations of the first members, if they are there."""
        found, same = self._found, self._of is not None and self._of() is ode
        if not same or found is None or not np.array_equal(found[0], partition.labels):
            return None
        self._of = self._found = None
        return found[1].select(partition.representatives), found[2]

    def _drop(self, of: ReferenceType[ODE]) -> None:
        if self._of is of:
            self._of = self._found = None


_COMPARED = _Compared()


def signature(ode: ODE, labels: IntArray, members: IntArray | None) -> SignatureTerms:
    """Key: the monomial in the symbols of blocks, and of functions of them."""
    count = int(labels.max(initial=-1)) + 1
    try:
        equations, generators = relabel(ode, labels, count, members)
    except Involved:
        table = SymbolTable(count)
        every = _on_blocks(ode, table, labels)
        chosen = every if members is None else [every[i] for i in members.tolist()]
        equations, known = Polynomials.of(chosen), lambda: table
    else:
        known = cache(lambda: SymbolTable.of(generators))
        if members is None:
            _COMPARED.keep(ode, labels, equations, generators)
    return SignatureTerms(
        equations.rows if members is None else members[equations.rows],
        equations.columns,
        equations.coefficients,
        lambda key: (None, tuple(equations.monomials.factors(key))),
        known,
    )


def check_defined(ode: ODE, labels: IntArray) -> None:
    """Raise if a denominator is always 0 on the blocks.

    Raises
    ------
    PartitionError
        With that denominator.
    """
    _on_blocks(ode, SymbolTable(int(labels.max(initial=-1)) + 1), labels)


def check_values(ode: ODE, labels: IntArray) -> None:
    """Raise if a function has no value on the blocks, at any of the states that are tried.

    Raises
    ------
    PartitionError
        With that function.
    """
    lost = without_value(ode, labels)
    if lost:
        raise PartitionError(
            f"{lost} has no value at any of {STATES} states that were tried, where the variables of a block "
            f"are equal, so they are not made one. {_APART}"
        )


def _on_blocks(ode: ODE, table: SymbolTable, labels: IntArray) -> list[Polynomial]:
    """The equations in the symbols of a table, whose variables are the blocks."""
    try:
        return ode.into(table, [symbol(block) for block in labels.tolist()])[0]
    except UndefinedError as problem:
        raise PartitionError(_NO_VALUE.format(problem)) from None


def quotient(
    ode: ODE, partition: Partition, names: tuple[str, ...], parameters: tuple[str, ...]
) -> ODE:
    """The equation of each block's first member, with blocks in place of variables.

    Raises
    ------
    PartitionError
        If something in it has no value, such as ln(0).
    """
    first = partition.representatives
    try:
        compared = _COMPARED.take(ode, partition)
        equations, generators = compared or relabel(ode, partition.labels, len(partition), first)
    except Involved:
        table = SymbolTable(len(partition))
        every = _on_blocks(ode, table, partition.labels)
        chosen = [every[i] for i in first.tolist()]
        chosen = [{} if table.is_zero(p) else p for p in chosen]
        found = ODE.from_table(names, chosen, table, parameters, ode.coefficients.is_float)
    else:
        rows = without_zeros(equations, generators)
        found = ODE.from_arrays(names, rows, generators, parameters)
    lost = undefined_number(found)
    if lost:
        raise PartitionError(_NO_VALUE.format(f"{lost} has no value"))
    return found


_APART = (
    "No coarsest backward equivalence need exist then: say which of them stay apart, with initial= (on the "
    "command line: --keep NAME)"
)
_NO_VALUE = (
    "{} where the variables of a block are equal, so the system has no value there and they cannot be a block. "
    + _APART
)
