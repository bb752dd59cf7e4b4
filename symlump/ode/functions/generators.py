"""The functions in a system's right-hand sides, in arrays: values, residues, derivatives.

Symbol ``first + k`` is function k of polynomials in symbols before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.functions.algebra import Polynomial, symbols_of
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import ranges

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class Batch:
    """Equal functions that can be evaluated together: they depend on lower levels only."""

    level: int
    function: str
    members: IntArray
    arguments: tuple[IntArray, ...]


@dataclass(frozen=True, eq=False)
class Generators:
    """Functions of the variables as symbols.

    Parameters
    ----------
    first : int
        The number of variables.
    functions : tuple of str
        Their names, of :data:`symlump.ode.functions.known.FUNCTIONS`.
    starts : ndarray of int64, shape (functions + 1,)
        The arguments of function k are the polynomials ``starts[k]`` … ``starts[k+1] − 1``.
    arguments : Polynomials
    """

    first: int
    functions: tuple[str, ...]
    starts: IntArray
    arguments: Polynomials

    @classmethod
    def of(
        cls, table: SymbolTable, used: Sequence[int], floats: bool = False
    ) -> tuple[Generators, dict[int, int]]:
        """What some symbols of a table need, and the new number of each symbol.

        Parameters
        ----------
        used : symbols in the order in which they are to be numbered
            (those in their arguments come before them).
        """

        def inside(s: int) -> list[int]:
            found = {t for u in table.arguments[s - table.count] for t in symbols_of(u)}
            return sorted(t for t in found if t >= table.count)

        order = _arguments_first(used, inside)
        number = {s: k for k, s in enumerate([*range(table.count), *order])}
        arguments = [u for s in order for u in table.arguments[s - table.count]]
        sizes = [len(table.arguments[s - table.count]) for s in order]
        generators = cls(
            table.count,
            tuple(table.functions[s - table.count] for s in order),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            Polynomials.of([renumber(u, number) for u in arguments], floats),
        )
        return generators, number

    def __len__(self) -> int:
        return len(self.functions)

    def arguments_of(self, k: int) -> list[Polynomial]:
        """The arguments of function k as dictionaries."""
        return [
            self.arguments.to_dict(row)
            for row in range(int(self.starts[k]), int(self.starts[k + 1]))
        ]

    @cached_property
    def owners(self) -> IntArray:
        """The function of each argument."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def chosen(self, used: Sequence[int]) -> tuple[Generators, IntArray]:
        """Some functions, each after those in its arguments, and the new number of each of their symbols."""
        outer, inner = self.inner
        inside: dict[int, list[int]] = {}
        for k, below in zip(outer.tolist(), inner.tolist(), strict=True):
            inside.setdefault(k, []).append(below)
        kept = _arguments_first(used, lambda k: inside.get(k, ()))
        order = np.array(kept, dtype=np.int64)
        number = np.full(self.first + len(self), -1, dtype=np.int64)
        number[: self.first] = np.arange(self.first)
        number[self.first + order] = self.first + np.arange(order.size)
        sizes = np.diff(self.starts)[order]
        arguments = self.arguments.select(ranges(self.starts[order], sizes)).renumbered(number)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        names = tuple(self.functions[k] for k in kept)
        return Generators(self.first, names, starts, arguments), number

    @cached_property
    def inner(self) -> tuple[IntArray, IntArray]:
        """Pairs (function, function in its arguments)."""
        if self.arguments.monomials.variables.max(initial=0) < self.first:  # as mostly
            return self.starts[:0], self.starts[:0]
        row, symbol = self.arguments.occurrences()
        inside = symbol >= self.first
        return self.owners[row[inside]], symbol[inside] - self.first

    def needed(self, used: IntArray) -> npt.NDArray[np.bool_]:
        """Which functions are needed to evaluate some: a mask."""
        needed = np.zeros(len(self), dtype=bool)
        needed[used] = True
        outer, inner = self.inner
        if outer.size:
            level = np.zeros(len(self), dtype=np.int64)
            for batch in self.batches:
                level[batch.members] = batch.level
            order = np.argsort(-level[outer], kind="stable")
            outer, inner = outer[order], inner[order]
            for start, end in _runs(level[outer]):
                needed[inner[start:end][needed[outer[start:end]]]] = True
        return needed

    @cached_property
    def batches(self) -> list[Batch]:
        """In the order in which they can be evaluated."""
        level = [0] * len(self)
        for k, below in zip(*(side.tolist() for side in self.inner), strict=True):
            # arguments come first, so their level is known
            level[k] = max(level[k], level[below] + 1)
        names = {name: number for number, name in enumerate(sorted(set(self.functions)))}
        sizes = np.diff(self.starts)
        kind = np.array(level, dtype=np.int64) * len(names)
        kind += np.array(list(map(names.__getitem__, self.functions)), dtype=np.int64)
        kind = kind * (sizes.max(initial=0) + 1) + sizes
        order = np.argsort(kind, kind="stable")
        cuts = np.flatnonzero(np.diff(kind[order], prepend=-1)).tolist()
        found = []
        for begin, end in pairwise([*cuts, order.size]):
            members, k = order[begin:end], int(order[begin])
            arguments = tuple(self.starts[members] + a for a in range(int(sizes[k])))
            found.append(Batch(level[k], self.functions[k], members, arguments))
        return found

    @cached_property
    def levels(self) -> list[tuple[IntArray, list[Batch]]]:
        """Batches that can be evaluated together, after those before them, and their arguments, ascending."""
        found = []
        for _, own in groupby(self.batches, key=lambda batch: batch.level):
            batches = list(own)
            rows = [rows for batch in batches for rows in batch.arguments]
            found.append((np.sort(np.concatenate(rows)) if rows else self.starts[:0], batches))
        return found

    @cached_property
    def parts(self) -> list[Polynomials]:
        """The arguments of each level."""
        return [self.arguments.select(rows) for rows, _ in self.levels]

    def values(self, x: FloatArray, time: float = 0.0) -> FloatArray:
        """Variables and functions at ``x`` of shape (variables, …), in float64."""
        symbols = np.zeros((self.first + len(self), *x.shape[1:]))
        symbols[: self.first] = x
        inside = np.zeros((self.arguments.count, *x.shape[1:]))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for (rows, batches), part in zip(self.levels, self.parts, strict=True):
                inside[rows] = part.matrix @ part.monomials.evaluate(symbols)
                for batch in batches:
                    at = self.first + batch.members
                    if batch.function == "time":
                        symbols[at] = time
                    elif batch.function in FUNCTIONS:
                        u = [inside[own] for own in batch.arguments]
                        symbols[at] = FUNCTIONS[batch.function].values(*u)
                    else:
                        symbols[at] = np.nan
        return symbols

    @cached_property
    def support(self) -> sparse.csr_array:
        """Which variables occur in each function, shape (functions, variables): positive where one does."""
        from scipy import sparse

        n = self.first
        row, symbol = self.arguments.occurrences()
        ones = np.ones(row.size, dtype=np.int64)
        shape = len(self), n + len(self)
        direct = sparse.coo_array((ones, (self.owners[row], symbol)), shape=shape).tocsr()
        result = sparse.csr_array((len(self), n), dtype=np.int64)
        for batch in self.batches:
            part = direct[batch.members]
            whole = part[:, :n] + part[:, n:] @ result
            whole.data[:] = 1
            result = result + place_rows(batch.members, len(self)) @ whole
        return sparse.csr_array(result)

    @cached_property
    def derivative(self) -> PartialDerivatives:
        """∂u_a/∂s for every argument, other symbols held."""
        return PartialDerivatives.of(self.arguments)


def _runs(values: IntArray) -> list[tuple[int, int]]:
    """Begin and end of every run of equal values."""
    cuts = np.flatnonzero(np.diff(values)) + 1
    bounds = [0, *cuts.tolist(), values.size]
    return list(zip(bounds, bounds[1:], strict=False))


def place_rows(rows: IntArray, count: int) -> sparse.csr_array:
    """The matrix that puts row i at ``rows[i]``."""
    from scipy import sparse

    ones, columns = np.ones(rows.size, dtype=np.int64), np.arange(rows.size)
    return sparse.csr_array((ones, (rows, columns)), shape=(count, rows.size))


def renumber(p: Polynomial, number: dict[int, int]) -> Polynomial:
    """The polynomial with other numbers for its symbols."""
    return {tuple(sorted((number[s], k) for s, k in m)): value for m, value in p.items()}


def _arguments_first(used: Sequence[int], inside: Callable[[int], Sequence[int]]) -> list[int]:
    """Some functions and all those inside them, each after those in its arguments."""
    order: dict[int, None] = {}
    stack = [(s, False) for s in reversed(used)]
    while stack:
        s, ready = stack.pop()
        if s in order:
            continue
        if ready:
            order[s] = None
            continue
        stack.append((s, True))
        stack += [(t, False) for t in reversed(inside(s)) if t not in order]
    return list(order)
