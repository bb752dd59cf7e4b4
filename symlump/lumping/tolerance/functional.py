"""Tolerances where equations contain quotients and functions.

What is equal exactly is merged first, as functions. Of the quotient, coefficients are compared: of monomials
in variables and in functions of them, each different function a symbol (backward: where the variables of a
block are equal; forward: in the derivatives of block sums, by the chain rule). So terms are compared over equal
denominators, and 1/(1 + x) and 1/(2 + x) are as different as two variables.

*The nearest system.* Forward, every argument of a function and every block sum is projected onto the
polynomials in block sums, as in :mod:`symlump.lumping.tolerance.reference`, with functions as variables of
their own; the change of a block sum is shared equally by its equations. Backward, the equations of a block get
the mean of their coefficients on the blocks, and the change is shared by the monomials of the system that are
the same there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import prod

from symlump.errors import FailureError, InputError
from symlump.lumping.elementary import backward, forward
from symlump.lumping.equivalence import Equivalence, check_magnitudes
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.refine import coarsest
from symlump.lumping.tolerance.reference import multiplicity, square_norm
from symlump.lumping.tolerance.tolerant import TolerantRefinement
from symlump.ode.functions.algebra import Monomial, Polynomial, add_to, scale, symbol, total
from symlump.ode.functions.images import functions_of, image
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.machine import nearest_root
from symlump.ode.system import ODE

_MINUS = Fraction(-1)


@dataclass(frozen=True, eq=False)
class WithinTolerance:
    """A partition within a tolerance, of a system with functions.

    Parameters
    ----------
    ode : ODE
    direction : {"forward", "backward"}
    exact : Partition
        What is equal exactly.
    merged : ODE
        The quotient by it; ``ode`` itself where nothing is.
    near : Partition
        Of its variables.
    rounds : int
    """

    ode: ODE
    direction: str
    exact: Partition
    merged: ODE
    near: Partition
    rounds: int

    @property
    def partition(self) -> Partition:
        """Of the variables of the system."""
        return Partition(self.near.labels[self.exact.labels])

    @cached_property
    def _nearest(self) -> _Nearest:
        try:
            kind = NearestForward if self.direction == "forward" else _NearestBackward
            return kind(self.merged, self.near)
        except InputError as problem:
            raise FailureError(
                f"there is no system near this one that the partition lumps: {problem}; use a smaller ε"
            ) from None

    @property
    def defect(self) -> float:
        """How far the coefficients of ``merged``, in equations and arguments, move to the nearest system."""
        return nearest_root(self._nearest.square)

    def quotient(self, names: Sequence[str], parameters: Sequence[str]) -> ODE:
        """Of the nearest system.

        Raises
        ------
        FailureError
            If a denominator becomes 0.
        """
        nearest = self._nearest
        return ODE.from_table(
            names, nearest.quotient, nearest.small, parameters, self.ode.coefficients.is_float
        )

    def reference(self) -> ODE:
        """The nearest system that the partition lumps exactly to the quotient.

        Raises
        ------
        FailureError
            If a denominator becomes 0, or multiplying out takes too many steps.
        """
        ode, merged = self.ode, self.merged
        try:
            table = SymbolTable(len(merged))
            near = self._nearest.reference(table)
            if merged is not ode:
                moved = ODE.from_table(merged.variables, near, table, merged.parameters)
                table = SymbolTable(len(ode))
                near = self._lifted(moved, table)
        except InputError as problem:
            raise FailureError(f"the reference system cannot be written down: {problem}") from None
        return ODE.from_table(ode.variables, near, table, ode.parameters)

    def _lifted(self, moved: ODE, table: SymbolTable) -> list[Polynomial]:
        """The change of ``merged``, shared by the equations of what is equal exactly."""
        of: list[Polynomial] = [
            symbol(first) if self.direction == "backward" else total(map(symbol, members.tolist()))
            for first, members in zip(
                self.exact.representatives.tolist(), self.exact.blocks, strict=True
            )
        ]
        before, after = (system.into(table, of)[0] for system in (self.merged, moved))
        result, _ = self.ode.into(table)
        sizes = self.exact.sizes.tolist()
        for i, block in enumerate(self.exact.labels.tolist()):
            share = Fraction(1, sizes[block] if self.direction == "forward" else 1)
            add_to(result[i], after[block], share)
            add_to(result[i], before[block], -share)
        return result


class FunctionalRefinement:
    """A system with functions, its exact part merged, to be refined within any tolerance.

    Raises
    ------
    PartitionError
        If a denominator is always 0 where the variables of a block are equal (backward).
    """

    def __init__(self, ode: ODE, method: Equivalence, initial: Partition, seed: int = 0) -> None:
        check_magnitudes(ode)
        self.ode, self.direction = ode, method.direction
        self.exact, self.merged = exact_part(ode, method, initial, seed)
        first = self.exact.representatives
        inner = Partition(initial.labels[first])
        if method.scale is not None and len(method.scale) == len(ode):
            method = replace(method, scale=tuple(method.scale[i] for i in first.tolist()))
        method.check_defined(self.merged, inner.labels)
        self._refinement = TolerantRefinement(self.merged, method, inner)

    def at(self, eps: float) -> WithinTolerance:
        """The partition within a tolerance."""
        near, rounds = self._refinement.at(eps)
        return WithinTolerance(self.ode, self.direction, self.exact, self.merged, near, rounds)


def within_tolerance(ode: ODE, method: Equivalence, initial: Partition) -> WithinTolerance:
    """The partition that a method with a tolerance finds."""
    return FunctionalRefinement(ode, method, initial).at(method.eps)


def exact_part(
    ode: ODE, method: Equivalence, initial: Partition, seed: int = 0
) -> tuple[Partition, ODE]:
    """What is equal exactly, whatever the tolerance, and the quotient by it: ``ode`` where nothing is."""
    strict = replace(method, eps=0.0, retain=None, relative=False, scale=None)
    partition, _ = coarsest(ode, strict, initial, seed=seed)
    if len(partition) == len(ode):
        return partition, ode
    names = tuple(ode.variables[first] for first in partition.representatives.tolist())
    spread = forward if method.direction == "forward" else backward
    return partition, spread.quotient(ode, partition, names, ode.parameters)


def project(
    p: Polynomial, labels: Sequence[int], sizes: Sequence[int]
) -> tuple[Polynomial, Fraction]:
    """The nearest polynomial in the sums of blocks, as one in the blocks, and the squared distance to it.

    Parameters
    ----------
    labels : the block of each symbol
    sizes : how many members each block has

    Examples
    --------
    >>> near, square = project({((0, 1),): Fraction(1), ((1, 1),): Fraction(2)}, [0, 0], [2])
    >>> near, square
    ({((0, 1),): Fraction(3, 2)}, Fraction(1, 2))
    """
    weighted: Polynomial = {}
    square = Fraction(0)
    for monomial, value in p.items():
        powers: dict[int, int] = {}
        for s, k in monomial:
            powers[labels[s]] = powers.get(labels[s], 0) + k
        shape = tuple(sorted(powers.items()))
        add_to(weighted, {shape: value * multiplicity(shape, monomial)})
        square += value * value
    near: Polynomial = {}
    for shape, value in weighted.items():
        norm = prod(square_norm(sizes[b], k) for b, k in shape)
        near[shape] = value / norm
        square -= value * value / norm  # by Pythagoras
    return near, square


class _Nearest:
    """The nearest system that a partition lumps: its quotient in a table of blocks, and itself."""

    def __init__(self, ode: ODE, partition: Partition) -> None:
        self.ode, self.partition = ode, partition
        self.small = SymbolTable(len(partition))
        self.quotient: list[Polynomial] = []
        self.square = Fraction(0)

    def reference(self, table: SymbolTable) -> list[Polynomial]:
        """Its equations in a table of the variables."""
        raise NotImplementedError


class NearestForward(_Nearest):
    """By projecting every argument, ``arguments[k]`` of function k, and every block sum."""

    def __init__(self, ode: ODE, partition: Partition) -> None:
        super().__init__(ode, partition)
        count, functions = len(partition), ode.symbols - len(ode)
        labels = [*partition.labels.tolist(), *range(count, count + functions)]
        sizes = [*partition.sizes.tolist(), *[1] * functions]
        self._sums: list[Polynomial] = []
        for block in partition.blocks:
            whole = total(ode.equation(i) for i in block.tolist())
            near, change = project(whole, labels, sizes)
            self._sums.append(near)
            self.square += change / block.size
        self.arguments: list[list[Polynomial]] = []
        self._names: list[str] = []
        for name, arguments in functions_of(ode):
            found = [project(u, labels, sizes) for u in arguments]
            self._names.append(name)
            self.arguments.append([near for near, _ in found])
            self.square += sum((change for _, change in found), Fraction(0))
        of = self.symbols(self.small, list(map(symbol, range(count))))
        self.quotient = [image(p, of, self.small) for p in self._sums]

    def symbols(self, table: SymbolTable, of: list[Polynomial]) -> list[Polynomial]:
        """What block sums and projected functions are in a table, given what block sums are there."""
        for name, arguments in zip(self._names, self.arguments, strict=True):
            of.append(table.apply(name, [image(p, of, table) for p in arguments]))
        return of

    def reference(self, table: SymbolTable) -> list[Polynomial]:
        """Its equations: with the projected functions, and an equal share of what is left."""
        ode, count = self.ode, len(self.partition)
        sums = [total(map(symbol, block.tolist())) for block in self.partition.blocks]
        of = self.symbols(table, sums)
        own = [*map(symbol, range(len(ode))), *of[count:]]
        result = [image(ode.equation(i), own, table) for i in range(len(ode))]
        for block, p in zip(self.partition.blocks, self._sums, strict=True):
            gap = image(p, of, table)
            for i in block.tolist():
                add_to(gap, result[i], _MINUS)
            for i in block.tolist():
                add_to(result[i], gap, Fraction(1, block.size))
        return result


class _NearestBackward(_Nearest):
    def __init__(self, ode: ODE, partition: Partition) -> None:
        super().__init__(ode, partition)
        blocks = list(map(symbol, partition.labels.tolist()))
        self._equations, self._images = ode.into(self.small, blocks)
        self.quotient = []
        for block in partition.blocks:
            mean = total(self._equations[i] for i in block.tolist())
            self.quotient.append(scale(mean, Fraction(1, block.size)))
        for i, block in enumerate(partition.labels.tolist()):
            for monomial, gap in self._gap(i, block).items():
                self.square += gap * gap / max(1, len(self._same.get(monomial, ())))

    def _gap(self, i: int, block: int) -> Polynomial:
        return add_to(dict(self.quotient[block]), self._equations[i], _MINUS)

    @cached_property
    def _same(self) -> dict[Monomial, list[Monomial]]:
        """The monomials of the system that are one on the blocks, and nothing else."""
        found: dict[Monomial, list[Monomial]] = {}
        for m in range(len(self.ode.monomials)):
            monomial = tuple(self.ode.monomials.factors(m))
            there = image({monomial: Fraction(1)}, self._images, self.small)
            if len(there) == 1 and next(iter(there.values())) == 1:
                found.setdefault(next(iter(there)), []).append(monomial)
        return found

    def reference(self, table: SymbolTable) -> list[Polynomial]:
        result, of = self.ode.into(table)
        first = list(map(symbol, self.partition.representatives.tolist()))
        for s in range(self.small.count, self.small.count + len(self.small.functions)):
            u = [image(p, first, table) for p in self.small.arguments[s - self.small.count]]
            first.append(table.apply(self.small.functions[s - self.small.count], u))
        for i, block in enumerate(self.partition.labels.tolist()):
            for monomial, gap in self._gap(i, block).items():
                same = self._same.get(monomial, [])
                for other in same:
                    share = image({other: gap / len(same)}, of, table)
                    add_to(result[i], share)
                if not same:
                    add_to(result[i], image({monomial: gap}, first, table))
        return result
