"""Many polynomials over one table of monomials, in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.ode.distinct import distinct, places_of
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import Polynomial
from symlump.ode.monomials import Monomials, ranges, starts_of

if TYPE_CHECKING:
    from scipy import sparse

    from symlump.ode.system import ODE

_NOTHING = ExactArray(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Polynomials:
    """Polynomial ``rows[t]`` contains ``coefficients[t]`` times monomial ``columns[t]``; sorted by row.

    Examples
    --------
    >>> two = Polynomials.of([{((0, 1),): Fraction(3)}, {(): Fraction(1), ((0, 2),): Fraction(1)}])
    >>> two.to_dict(1)
    {(): Fraction(1, 1), ((0, 2),): Fraction(1, 1)}
    >>> (two.matrix @ two.monomials.evaluate(np.array([2.0]))).tolist()
    [6.0, 5.0]
    """

    count: int
    monomials: Monomials
    rows: IntArray
    columns: IntArray
    coefficients: ExactArray

    @classmethod
    def of(cls, polynomials: Sequence[Polynomial], floats: bool = False) -> Polynomials:
        """Put dictionaries into arrays; with ``floats``, as floats where each coefficient is one."""
        row: list[int] = []
        owners: list[int] = []
        symbols: list[int] = []
        powers: list[int] = []
        values: list[Fraction] = []
        for number, p in enumerate(polynomials):
            for monomial, value in p.items():
                for s, k in monomial:
                    owners.append(len(row))
                    symbols.append(s)
                    powers.append(k)
                row.append(number)
                values.append(value)
        monomials, position = Monomials.from_factors(
            np.array(owners, dtype=np.int64),
            np.array(symbols, dtype=np.int64),
            np.array(powers, dtype=np.int64),
            len(row),
        )
        exact = ExactArray.from_fractions(values)
        if floats:
            exact = exact.as_floats()
        rows = np.array(row, dtype=np.int64)
        order = np.lexsort((position, rows))
        return cls(len(polynomials), monomials, rows[order], position[order], exact.take(order))

    @classmethod
    def of_system(cls, ode: ODE) -> Polynomials:
        """The right-hand sides of a system, in its symbols."""
        return cls(len(ode), ode.monomials, ode.rows, ode.columns, ode.coefficients)

    @classmethod
    def collected(
        cls,
        count: int,
        monomials: Monomials,
        rows: IntArray,
        columns: IntArray,
        coefficients: ExactArray,
    ) -> Polynomials:
        """Build from loose terms: equal ones are added exactly, zeros dropped."""
        width = max(1, len(monomials))
        keys = rows * width + columns
        keys, coefficients = coefficients.sorted_by(keys)
        keys, sums = coefficients.sums_by(keys)
        return cls(count, monomials, keys // width, keys % width, sums)

    @classmethod
    def stacked(cls, parts: Sequence[Polynomials]) -> Polynomials:
        """The polynomials of several such collections, one after the other."""
        tables = [part.monomials for part in parts]
        starts = np.cumsum([0, *map(len, tables)])
        empty = np.empty(0, dtype=np.int64)
        monomials, position = Monomials.from_factors(
            np.concatenate(
                [*(t.owners + at for t, at in zip(tables, starts, strict=False)), empty]
            ),
            np.concatenate([*(t.variables for t in tables), empty]),
            np.concatenate([*(t.powers for t in tables), empty]),
            int(starts[-1]),
        )
        before = np.cumsum([0, *(part.count for part in parts)])
        rows = np.concatenate([*(p.rows + at for p, at in zip(parts, before, strict=False)), empty])
        columns = [position[p.columns + at] for p, at in zip(parts, starts, strict=False)]
        exact = ExactArray.concatenate([p.coefficients for p in parts] or [_NOTHING])
        return cls.collected(
            int(before[-1]), monomials, rows, np.concatenate([*columns, empty]), exact
        )

    def renumbered(self, number: IntArray) -> Polynomials:
        """The polynomials in other symbols, different ones for different ones."""
        table = self.monomials
        occurs = np.zeros(number.size, dtype=bool)
        occurs[table.variables] = True
        image = number[occurs]
        if (image[1:] > image[:-1]).all():  # then monomials stay in their order
            renamed = Monomials(table.indptr, number[table.variables], table.powers)
            return Polynomials(self.count, renamed, self.rows, self.columns, self.coefficients)
        monomials, position = self.monomials.relabel(number)
        order = np.lexsort((position[self.columns], self.rows))
        return Polynomials(
            self.count,
            monomials,
            self.rows,
            position[self.columns][order],
            self.coefficients.take(order),
        )

    @cached_property
    def indptr(self) -> IntArray:
        """Where the terms of each polynomial begin."""
        return starts_of(self.rows, self.count)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The coefficients in float64, shape (polynomials, monomials)."""
        from scipy import sparse

        return sparse.csr_array(
            (self.coefficients.to_float(), self.columns, self.indptr),
            shape=(self.count, len(self.monomials)),
        )

    @property
    def terms(self) -> int:
        """Number of terms, over all polynomials."""
        return int(self.rows.shape[0])

    def select(self, rows: IntArray) -> Polynomials:
        """Some of the polynomials, with only the monomials that they need."""
        some = self.among(rows)
        used, columns = places_of(some.columns, len(self.monomials))
        if used.size == len(self.monomials):
            return some
        table = self.monomials.select(used)
        return Polynomials(rows.size, table, some.rows, columns, some.coefficients)

    def among(self, rows: IntArray) -> Polynomials:
        """Some of the polynomials, over the table of all."""
        if rows.size == self.count and (rows[1:] > rows[:-1]).all():
            return self
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        at = ranges(self.indptr[rows], lengths)
        return Polynomials(
            rows.size,
            self.monomials,
            np.repeat(np.arange(rows.size, dtype=np.int64), lengths),
            self.columns[at],
            self.coefficients.take(at),
        )

    def to_dict(self, row: int) -> Polynomial:
        """One of them as a dictionary."""
        first, last = int(self.indptr[row]), int(self.indptr[row + 1])
        return {
            tuple(self.monomials.factors(int(self.columns[t]))): self.coefficients[t]
            for t in range(first, last)
        }

    @property
    def constant(self) -> npt.NDArray[np.bool_]:
        """Which of them contain no symbol."""
        found = np.ones(self.count, dtype=bool)
        found[self.rows[self.monomials.lengths[self.columns] > 0]] = False
        return found

    def occurrences(self) -> tuple[IntArray, IntArray]:
        """Distinct pairs (polynomial, symbol in it)."""
        lengths = self.monomials.lengths[self.columns]
        row = np.repeat(self.rows, lengths)
        factor = ranges(self.monomials.indptr[:-1][self.columns], lengths)
        symbol = self.monomials.variables[factor]
        width = int(symbol.max(initial=0)) + 1
        pairs = distinct(row * width + symbol)
        return pairs // width, pairs % width
