"""The functions in a system's right-hand sides, in arrays: values, residues, derivatives.

Symbol ``first + k`` is function k of polynomials in symbols before it. Beside those that the system contains
(``live``) stand those that only their derivatives need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.derivative import PartialDerivatives
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.functions.algebra import Polynomial, symbols_of
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class Batch:
    """Equal functions that can be evaluated together: they depend on earlier batches only."""

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
    live : int
        How many of them the system contains.
    starts : ndarray of int64, shape (functions + 1,)
        The arguments of function k are the polynomials ``starts[k]`` … ``starts[k+1] − 1``.
    arguments : Polynomials
    slopes : Polynomials
        One for each argument of a live function: the derivative by it.
    """

    first: int
    functions: tuple[str, ...]
    live: int
    starts: IntArray
    arguments: Polynomials
    slopes: Polynomials

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
        number = {s: s for s in range(table.count)}
        order = _with_arguments(table, used, number)
        live = len(order)
        slopes = [slope for s in order for slope in table.derivatives(s)]
        needed = sorted({s for slope in slopes for s in symbols_of(slope)} - number.keys())
        order += _with_arguments(table, needed, number)
        arguments = [u for s in order for u in table.arguments[s - table.count]]
        sizes = [len(table.arguments[s - table.count]) for s in order]
        generators = cls(
            table.count,
            tuple(table.functions[s - table.count] for s in order),
            live,
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            Polynomials.of([renumbered(u, number) for u in arguments], floats),
            Polynomials.of([renumbered(u, number) for u in slopes], floats),
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
    def batches(self) -> list[Batch]:
        """In the order in which they can be evaluated."""
        level = np.zeros(len(self), dtype=np.int64)
        owner = np.repeat(np.arange(len(self)), np.diff(self.starts))
        row, symbol = self.arguments.occurrences()
        inner = symbol >= self.first
        for k, below in zip(
            owner[row[inner]].tolist(), (symbol[inner] - self.first).tolist(), strict=True
        ):  # arguments come first, so their level is known
            level[k] = max(level[k], level[below] + 1)
        groups: dict[tuple[int, str, int], list[int]] = {}
        for k, name in enumerate(self.functions):
            arity = int(self.starts[k + 1] - self.starts[k])
            groups.setdefault((int(level[k]), name, arity), []).append(k)
        return [
            Batch(
                name,
                np.array(members),
                tuple(self.starts[np.array(members)] + a for a in range(arity)),
            )
            for (_, name, arity), members in sorted(groups.items())
        ]

    @cached_property
    def _parts(self) -> list[list[Polynomials]]:
        """The arguments of each batch, by position."""
        return [[self.arguments.select(rows) for rows in batch.arguments] for batch in self.batches]

    @property
    def smooth(self) -> bool:
        """True where every function, and every derivative, can be evaluated."""
        return all(name in FUNCTIONS for name in self.functions)

    def values(self, x: FloatArray, time: float = 0.0) -> FloatArray:
        """Variables and functions at ``x`` of shape (variables, …), in float64."""
        symbols = np.zeros((self.first + len(self), *x.shape[1:]))
        symbols[: self.first] = x
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for batch, parts in zip(self.batches, self._parts, strict=True):
                at = self.first + batch.members
                if batch.function == "time":
                    symbols[at] = time
                elif batch.function in FUNCTIONS:
                    u = [part.matrix @ part.monomials.evaluate(symbols) for part in parts]
                    symbols[at] = FUNCTIONS[batch.function].values(*u)
                else:
                    symbols[at] = np.nan
        return symbols

    def total_derivatives(self, symbols: FloatArray) -> sparse.csr_array:
        """dg/dx of the live functions at given values of the symbols, shape (live, variables)."""
        from scipy import sparse

        n, live = self.first, self.live
        slope = self.slopes.matrix @ self.slopes.monomials.evaluate(symbols)
        d = self.derivative
        entries = d.coefficients.to_float() * d.monomials.evaluate(symbols)[d.columns]
        inside = sparse.coo_array(
            (entries, (d.equations, d.variables)), shape=(self.arguments.count, n + len(self))
        ).tocsr()
        result = sparse.csr_array((live, n))
        for batch in self.batches:
            own = batch.members[batch.members < live]
            if not own.size:
                continue
            for rows in batch.arguments:
                mine = rows[: own.size]
                part = inside[mine]
                whole = part[:, :n] + part[:, n : n + live] @ result
                result = result + _placed(own, live) @ sparse.diags_array(slope[mine]) @ whole
        return sparse.csr_array(result)

    def chained(self, by_symbol: sparse.csr_array, symbols: FloatArray) -> sparse.csr_array:
        """Derivatives by variables from those by all symbols, at given values of the symbols."""
        n, live = self.first, self.live
        inner = self.total_derivatives(symbols)
        return by_symbol[:, :n] + by_symbol[:, n : n + live] @ inner

    @cached_property
    def support(self) -> sparse.csr_array:
        """Which variables occur in each live function, shape (live, variables): positive where one does."""
        from scipy import sparse

        n, live = self.first, self.live
        row, symbol = self.arguments.occurrences()
        owner = np.repeat(np.arange(len(self)), np.diff(self.starts))[row]
        ones = np.ones(row.size, dtype=np.int64)
        direct = sparse.coo_array((ones, (owner, symbol)), shape=(len(self), n + len(self))).tocsr()
        result = sparse.csr_array((live, n), dtype=np.int64)
        for batch in self.batches:
            own = batch.members[batch.members < live]
            part = direct[own]
            whole = part[:, :n] + part[:, n : n + live] @ result
            whole.data[:] = 1
            result = result + _placed(own, live) @ whole
        return sparse.csr_array(result)

    @cached_property
    def derivative(self) -> PartialDerivatives:
        """∂u_a/∂s for every argument, other symbols held."""
        return PartialDerivatives.of(self.arguments)


def _placed(rows: IntArray, count: int) -> sparse.csr_array:
    """The matrix that puts row i at ``rows[i]``."""
    from scipy import sparse

    ones, columns = np.ones(rows.size, dtype=np.int64), np.arange(rows.size)
    return sparse.csr_array((ones, (rows, columns)), shape=(count, rows.size))


def renumbered(p: Polynomial, number: dict[int, int]) -> Polynomial:
    """The polynomial with other numbers for its symbols."""
    return {tuple(sorted((number[s], k) for s, k in m)): value for m, value in p.items()}


def _with_arguments(table: SymbolTable, used: Sequence[int], number: dict[int, int]) -> list[int]:
    """The functions among ``used``, each after those in its arguments; ``number`` is extended."""
    order: list[int] = []
    stack = [(s, False) for s in reversed(used)]
    while stack:
        s, ready = stack.pop()
        if s in number:
            continue
        if ready:
            number[s] = len(number)
            order.append(s)
            continue
        stack.append((s, True))
        inside = {t for u in table.arguments[s - table.count] for t in symbols_of(u)}
        stack += [(t, False) for t in sorted(inside, reverse=True) if t not in number]
    return order
