"""Values of equations in a prime field, and what changes where those of variables change.

All polynomials of a system, arguments of functions first and then the equations, stand over one table of
monomials. A change is followed from variables to monomials to polynomials, to the functions of these, and on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from symlump.lumping.elementary.modular import all_slopes, function_values
from symlump.lumping.equivalence import Fingerprints, slices
from symlump.lumping.refinement.field import (
    ModularMatrix,
    Residues,
    sums_by_key,
)
from symlump.ode.distinct import distinct, places_of
from symlump.ode.exact import ExactArray, IntArray, difference, reduce_modulo
from symlump.ode.functions.generators import Batch, Generators
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.monomials import Monomials, ranges, starts_of
from symlump.ode.system import ODE


class _Layers:
    """The polynomials of a system over one table of monomials, and its functions in batches."""

    def __init__(self, ode: ODE, prime: int) -> None:
        self.count, self.prime, self.generators = len(ode), prime, ode.generators
        self.polynomials = Polynomials.of_system(ode)
        self.arguments, self.functions = 0, 0
        self.batches: list[Batch] = []
        self.levels: list[tuple[IntArray, list[Batch]]] = []
        if self.generators is not None:
            self.polynomials = _beside(self.generators.arguments, self.polynomials)
            self.arguments, self.functions = self.generators.arguments.count, len(self.generators)
            self.batches, self.levels = self.generators.batches, self.generators.levels
        self.indptr, self.table = self.polynomials.indptr, self.polynomials.monomials
        self.coefficients = self.polynomials.coefficients.residues(prime)

    def matrix(self, rows: IntArray) -> tuple[ModularMatrix, IntArray]:
        """Some polynomials over the monomials that they use, and these."""
        at = slices(self.indptr, rows)
        used, place = places_of(self.polynomials.columns[at], len(self.table))
        indptr = np.concatenate([[0], np.cumsum(self.indptr[rows + 1] - self.indptr[rows])])
        return ModularMatrix.of(self.coefficients[at], place, indptr, used.size, self.prime), used

    def equations(self) -> tuple[ModularMatrix, IntArray]:
        """All equations over the monomials that they use, and these."""
        first = int(self.indptr[self.arguments])
        columns, indptr = self.polynomials.columns[first:], self.indptr[self.arguments :] - first
        used = np.arange(len(self.table))
        if self.arguments:
            used, columns = places_of(columns, used.size)
        coefficients = self.coefficients[first:]
        return ModularMatrix.of(coefficients, columns, indptr, used.size, self.prime), used

    def by_monomial(self) -> ModularMatrix:
        """Monomials × polynomials."""
        width = len(self.table)
        columns, prime = self.polynomials.columns, self.prime
        return ModularMatrix.of(self.coefficients, columns, self.indptr, width, prime).transpose()


def _beside(a: Polynomials, b: Polynomials) -> Polynomials:
    """The polynomials of two collections; monomials of both are in the table twice, which does no harm here."""
    first, second = a.monomials, b.monomials
    table = Monomials(
        np.concatenate([first.indptr, first.indptr[-1] + second.indptr[1:]]),
        np.concatenate([first.variables, second.variables]),
        np.concatenate([first.powers, second.powers]),
    )
    return Polynomials(
        a.count + b.count,
        table,
        np.concatenate([a.rows, a.count + b.rows]),
        np.concatenate([a.columns, len(first) + b.columns]),
        ExactArray.concatenate([a.coefficients, b.coefficients]),
    )


class Waiting:
    """Functions that have changed, to be taken batch by batch."""

    def __init__(self, batch_of: IntArray, sign: int) -> None:
        self._batch_of, self._sign = batch_of, sign
        self._heap: list[int] = []
        self._lists: dict[int, list[tuple[IntArray, Residues]]] = {}

    def add(self, functions: IntArray, changes: Residues) -> None:
        """Note changes of some functions."""
        number = self._batch_of[functions]
        for batch in distinct(number).tolist():
            if batch not in self._lists:
                self._lists[batch] = []
                heappush(self._heap, self._sign * batch)
            own = number == batch
            self._lists[batch].append((functions[own], changes[own]))

    def __iter__(self) -> Iterator[tuple[int, IntArray, Residues]]:
        while self._heap:
            batch = self._sign * heappop(self._heap)
            functions, changes = zip(*self._lists.pop(batch), strict=True)
            yield batch, np.concatenate(functions), np.concatenate(changes)


@dataclass(frozen=True, eq=False)
class _Part:
    """Polynomials that are evaluated together."""

    matrix: ModularMatrix
    used: IntArray
    table: Monomials


class ValueFingerprints(Fingerprints):
    """The equations where every variable has the weight of its block."""

    def __init__(self, ode: ODE, prime: int) -> None:
        self.prime, self._net = prime, _Layers(ode, prime)
        net = self._net
        self.symbols = np.zeros(net.count + net.functions, dtype=np.uint64)
        self.inside = np.zeros(net.arguments, dtype=np.uint64)
        self._monomials = np.zeros(len(net.table), dtype=np.uint64)
        self._live = np.ones(net.functions, dtype=bool)

    def evaluate(self, weights: Residues, members: IntArray) -> Residues:
        """The values of some variables from scratch."""
        net = self._net
        whole = members.size == net.count
        self.symbols[: net.count] = weights
        if not whole and net.generators is not None:
            used = self._part(net.arguments + members).table.variables - net.count
            self._live = net.generators.needed(used[used >= 0])
        else:
            self._live[:] = True
        for number, (rows, batches) in enumerate(net.levels):
            if not whole:
                assert net.generators is not None
                rows = rows[self._live[net.generators.owners[rows]]]
            part = self._parts[number] if whole else self._part(rows)
            self.inside[rows] = self._values(part)
            for batch in batches:
                functions = batch.members[self._live[batch.members]]
                if functions.size:
                    self._apply(batch, functions)
        if whole:
            return self._values(self._parts[-1])[members]
        return self._values(self._part(net.arguments + members))

    @cached_property
    def _parts(self) -> list[_Part]:
        """The arguments of each level, then the equations."""
        net = self._net
        return [*(self._part(rows) for rows, _ in net.levels), self._of(*net.equations())]

    def _part(self, rows: IntArray) -> _Part:
        return self._of(*self._net.matrix(rows))

    def _of(self, matrix: ModularMatrix, used: IntArray) -> _Part:
        table = self._net.table
        return _Part(matrix, used, table if used.size == len(table) else table.select(used))

    def _values(self, part: _Part) -> Residues:
        values = part.table.residues(self.symbols, self.prime)
        if part.table is self._net.table:
            self._monomials = values
        else:
            self._monomials[part.used] = values
        return part.matrix.dot(values)

    def _apply(self, batch: Batch, functions: IntArray) -> None:
        """Functions of their arguments."""
        net = self._net
        assert net.generators is not None
        u = [self.inside[net.generators.starts[functions] + a] for a in range(len(batch.arguments))]
        self.symbols[net.count + functions] = function_values(
            batch.function, u, functions.size, self.prime
        )

    def slopes(self) -> Residues:
        """∂f/∂u of all functions, by argument."""
        assert self._net.generators is not None
        return all_slopes(self._net.generators, self.inside, self.symbols, self.prime)

    @cached_property
    def _by_monomial(self) -> ModularMatrix:
        return self._net.by_monomial()

    @cached_property
    def _occurrences(self) -> tuple[IntArray, IntArray]:
        """The monomials that contain each symbol, in compressed rows."""
        table = self._net.table
        order = np.argsort(table.variables, kind="stable")
        indptr = starts_of(table.variables, self.symbols.size)
        return indptr, table.owners[order]

    def update(
        self, weights: Residues, changed: IntArray, before: Residues
    ) -> tuple[IntArray, Residues]:
        """What the new weights of a few variables change: the variables concerned, and by how much."""
        net = self._net
        self.symbols[changed] = weights[changed]
        rows, steps = self._moved(changed)
        if not net.functions:
            return rows, steps
        assert net.generators is not None
        found, waiting = [], Waiting(batch_numbers(net.generators), 1)
        while True:
            cut = int(np.searchsorted(rows, net.arguments))
            found.append((rows[cut:] - net.arguments, steps[cut:]))
            inner = rows[:cut]
            self.inside[inner] = reduce_modulo(self.inside[inner] + steps[:cut], self.prime)
            functions = net.generators.owners[inner]
            live = self._live[functions]
            waiting.add(functions[live], steps[:cut][live])
            following = next(iter(waiting), None)
            if following is None:
                break
            functions = distinct(following[1])
            self._apply(net.batches[following[0]], functions)
            rows, steps = self._moved(net.count + functions)
        return combine(found, self.prime)

    def _moved(self, symbols: IntArray) -> tuple[IntArray, Residues]:
        """Polynomials that contain symbols with new values, and by how much theirs change."""
        indptr, owners = self._occurrences
        monomial = distinct(owners[slices(indptr, symbols)])
        value = self._net.table.select(monomial).residues(self.symbols, self.prime)
        step = difference(value, self._monomials[monomial], self.prime)
        self._monomials[monomial] = value
        by_monomial = self._by_monomial.matrix
        # Slices first: converting whole arrays would make each small update cost O(terms).
        starts = by_monomial.indptr[monomial].astype(np.int64)
        lengths = by_monomial.indptr[monomial + 1].astype(np.int64) - starts
        at = ranges(starts, lengths)
        parts = reduce_modulo(by_monomial.data[at] * np.repeat(step, lengths), self.prime)
        return sums_by_key(by_monomial.indices[at].astype(np.int64), parts, self.prime)

    @cached_property
    def _reach(self) -> npt.NDArray[np.float64]:
        """How much depends on each symbol: occurrences, and what depends on functions of it."""
        net, (indptr, _) = self._net, self._occurrences
        reach = np.diff(indptr).astype(np.float64)
        if net.generators is not None:
            row, symbol = net.generators.arguments.occurrences()
            owner = net.generators.owners[row]
            batch = batch_numbers(net.generators)[owner]
            order = np.argsort(batch, kind="stable")
            ends = starts_of(batch, len(net.batches))
            for number in reversed(range(len(net.batches))):
                own = order[ends[number] : ends[number + 1]]
                np.add.at(reach, symbol[own], reach[net.count + owner[own]])
        return reach

    def update_cost(self, changed: IntArray) -> float:
        """Work of ``update`` as a share of that of ``evaluate`` for everything."""
        if changed.size > self._net.count // 4:
            return 1.0  # without looking at each: the table of occurrences may never be needed
        return float(self._reach[changed].sum()) / max(1, int(self._occurrences[0][-1]))


def batch_numbers(generators: Generators) -> IntArray:
    """The batch of every function."""
    result = np.empty(len(generators), dtype=np.int64)
    for number, batch in enumerate(generators.batches):
        result[batch.members] = number
    return result


def combine(found: list[tuple[IntArray, Residues]], prime: int) -> tuple[IntArray, Residues]:
    """Changes that were found in several steps, added up."""
    keys, values = zip(*found, strict=True)
    return sums_by_key(np.concatenate(keys), np.concatenate(values), prime)
