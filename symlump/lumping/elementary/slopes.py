"""Gradients of weighted sums of equations in a prime field, and what changes where the weights change."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.lumping.elementary.values import ValueFingerprints, Waiting, batch_numbers, combine
from symlump.lumping.equivalence import Fingerprints, slices
from symlump.lumping.refinement.field import (
    ModularMatrix,
    Residues,
    VanishingDenominator,
    draw,
    inverses,
    sums_by_key,
)
from symlump.ode.distinct import distinct
from symlump.ode.exact import IntArray, difference, reduce_modulo
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.monomials import Monomials, ranges, starts_of
from symlump.ode.system import ODE


class GradientFingerprints(Fingerprints):
    """The gradient at a point of Σ_k w_k·q_k, with the weights of blocks.

    It is D·(Cᵀ·w): C are the coefficients, and D holds power·monomial/s for each factor s. Derivatives by
    functions are passed on by the chain rule, batch by batch.
    """

    def __init__(self, ode: ODE, prime: int, generator: np.random.Generator) -> None:
        self.prime, self._count = prime, len(ode)
        if ode.generators is None and ode.monomials.linear:  # derivatives are the same everywhere
            symbols = np.ones(len(ode), dtype=np.uint64)
        else:
            symbols = draw(generator, prime, len(ode))
        self._chain: _ChainRule | None = None
        if ode.generators is not None:
            values = ValueFingerprints(ode, prime)
            values.evaluate(symbols, np.arange(len(ode)))
            symbols = values.symbols
            if not symbols.all():  # by chance: monomials are divided by their factors
                raise VanishingDenominator("a symbol is 0 at this point")
            self._chain = _ChainRule(ode.generators, values)
        self._table, self._columns = ode.monomials, ode.columns
        self._indptr = ode.indptr
        self._coefficients = ode.coefficients.residues(prime)
        self._symbols = symbols
        terms = self._columns, self._indptr, len(self._table)
        #: Monomials × equations: the coefficients.
        self._by_monomial = ModularMatrix.of_columns(self._coefficients, *terms, prime)
        self._ode = ode

    @cached_property
    def _slopes(self) -> Residues:
        """What each factor of a monomial is multiplied by where the monomial is differentiated by it."""
        if self._table.linear:
            return np.ones(len(self._table), dtype=np.uint64)
        inverse = inverses(self._symbols, self.prime)
        return factor_slopes(self._table, self._symbols, inverse, self.prime)

    @cached_property
    def _gradient(self) -> ModularMatrix:
        """Symbols × monomials: the slopes."""
        factors = self._table.variables, self._table.indptr, self._symbols.size
        return ModularMatrix.of_columns(self._slopes, *factors, self.prime)

    def evaluate(self, weights: Residues, members: IntArray) -> Residues:
        """The values of some variables from scratch."""
        # Of more than half, gathering rows would take longer than what it saves.
        whole = 2 * members.size > self._count
        if whole:
            direct = self._whole(self._by_monomial.dot(weights))
        if self._chain is None:
            if whole:
                return direct if members.size == direct.size else direct[members]
            return self._direct(weights, members)
        above = None if whole else self._chain.containing(members)
        if not whole:
            assert above is not None
            direct = np.zeros(self._count + self._chain.count, dtype=np.uint64)
            symbols = np.concatenate([members, self._count + np.flatnonzero(above)])
            direct[symbols] = self._direct(weights, symbols)
        return self._chain.pass_on(direct, members, above)

    def _whole(self, by_monomial: Residues) -> Residues:
        """The derivatives by all symbols, from those by monomials."""
        table, count = self._table, self._symbols.size
        if not table.linear:
            return self._gradient.dot(by_monomial)
        if table.identity and len(table) == count:
            return by_monomial
        found = np.zeros(count, dtype=np.uint64)
        found[table.variables] = by_monomial
        return found

    def _direct(self, weights: Residues, symbols: IntArray) -> Residues:
        """The derivatives by some symbols, the others held."""
        gradient = self._gradient.rows(symbols)
        used = distinct(gradient.matrix.indices)
        values = np.zeros(len(self._table), dtype=np.uint64)
        values[used] = self._by_monomial.rows(used).dot(weights)
        return gradient.dot(values)

    def update(
        self, weights: Residues, changed: IntArray, before: Residues
    ) -> tuple[IntArray, Residues]:
        """What the new weights of a few variables change: the variables concerned, and by how much."""
        prime, table = self.prime, self._table
        step = difference(weights[changed], before, prime)
        lengths = self._indptr[changed + 1] - self._indptr[changed]
        at = slices(self._indptr, changed)
        monomial, by = sums_by_key(
            self._columns[at],
            reduce_modulo(self._coefficients[at] * np.repeat(step, lengths), prime),
            prime,
        )
        factor = slices(table.indptr, monomial)
        spread = np.repeat(by, table.lengths[monomial])
        found = sums_by_key(
            table.variables[factor], reduce_modulo(self._slopes[factor] * spread, prime), prime
        )
        return found if self._chain is None else self._chain.follow(*found)

    def update_cost(self, changed: IntArray) -> float:
        """Work of ``update`` as a share of that of ``evaluate`` for everything."""
        if self._chain is None:
            terms = int((self._indptr[changed + 1] - self._indptr[changed]).sum())
            return terms / max(1, self._columns.size)
        if changed.size > self._count // 4:
            return 1.0
        return float(self._reach[changed].sum()) / (self._columns.size + self._chain.size)

    @cached_property
    def _reach(self) -> npt.NDArray[np.float64]:
        """How much an equation weighs: its terms, and those of functions in it."""
        assert self._chain is not None
        reach = np.diff(self._indptr).astype(np.float64)
        row, symbol = Polynomials.of_system(self._ode).occurrences()
        inner = symbol >= self._count
        weights = self._chain.weights()[symbol[inner] - self._count]
        return reach + np.bincount(row[inner], weights=weights, minlength=self._count)


class _ChainRule:
    """∂f/∂s of all functions by the symbols in their arguments, at a point: the chain rule."""

    def __init__(self, generators: Generators, values: ValueFingerprints) -> None:
        p, u = np.uint64(values.prime), generators.arguments
        self.prime, self.first, self.count = values.prime, generators.first, len(generators)
        self._batches, self._batch_of = generators.batches, batch_numbers(generators)
        symbols, table = values.symbols, u.monomials
        slopes = factor_slopes(table, symbols, inverses(symbols, values.prime), values.prime)
        outside = u.coefficients.residues(values.prime) * values.slopes()[u.rows] % p
        lengths = table.lengths[u.columns]
        factor = ranges(table.indptr[:-1][u.columns], lengths)
        self._values = np.repeat(outside, lengths) * slopes[factor] % p
        self._symbols = table.variables[factor]
        function = np.repeat(generators.owners[u.rows], lengths)
        self._indptr = starts_of(function, self.count)
        self._function = function
        order = np.argsort(self._symbols, kind="stable")
        indptr = starts_of(self._symbols, symbols.size)
        self._by_symbol = ModularMatrix.of(
            self._values[order], function[order], indptr, self.count, self.prime
        )

    @property
    def size(self) -> int:
        """Number of derivatives."""
        return int(self._symbols.size)

    @cached_property
    def _rows(self) -> list[ModularMatrix]:
        """The functions of the functions of each batch."""
        return [self._by_symbol.rows(self.first + batch.members) for batch in self._batches]

    def containing(self, members: IntArray) -> npt.NDArray[np.bool_]:
        """The functions that contain some variables, at any depth: a mask."""
        found = np.zeros(self.count, dtype=bool)
        symbols = members
        while symbols.size:
            functions = distinct(self._by_symbol.rows(symbols).matrix.indices).astype(np.int64)
            functions = functions[~found[functions]]
            found[functions] = True
            symbols = self.first + functions
        return found

    def pass_on(
        self, direct: Residues, members: IntArray, above: npt.NDArray[np.bool_] | None
    ) -> Residues:
        """Derivatives by some variables, from those with functions held (where not all, of ``above``)."""
        p, total = np.uint64(self.prime), direct[self.first :].copy()
        for number in reversed(range(len(self._batches))):
            own = self._batches[number].members
            if above is None:
                rows = self._rows[number]
            elif (own := own[above[own]]).size:
                rows = self._by_symbol.rows(self.first + own)
            else:
                continue
            if rows.matrix.data.size:
                total[own] = (total[own] + rows.dot(total)) % p
        inner = (self._by_symbol.rows(members)).dot(total)
        return (direct[members] + inner) % p

    def follow(self, symbols: IntArray, changes: Residues) -> tuple[IntArray, Residues]:
        """What changes of derivatives by symbols mean for the variables."""
        p, found, waiting = np.uint64(self.prime), [], Waiting(self._batch_of, -1)
        while True:
            cut = int(np.searchsorted(symbols, self.first))
            found.append((symbols[:cut], changes[:cut]))
            waiting.add(symbols[cut:] - self.first, changes[cut:])
            following = next(iter(waiting), None)
            if following is None:
                return combine(found, self.prime)
            functions, steps = sums_by_key(following[1], following[2], self.prime)
            lengths = self._indptr[functions + 1] - self._indptr[functions]
            at = slices(self._indptr, functions)
            spread = np.repeat(steps, lengths) * self._values[at] % p
            symbols, changes = sums_by_key(self._symbols[at], spread, self.prime)

    def weights(self) -> npt.NDArray[np.float64]:
        """How much is passed on from each function, at any depth."""
        result = np.diff(self._indptr).astype(np.float64)
        inner = np.flatnonzero(self._symbols >= self.first)
        batch = self._batch_of[self._function[inner]]
        inner = inner[np.argsort(batch, kind="stable")]
        bounds = starts_of(batch, len(self._batches))
        for start, end in zip(bounds, bounds[1:], strict=False):
            own = inner[start:end]
            np.add.at(result, self._function[own], result[self._symbols[own] - self.first])
        return result


def factor_slopes(table: Monomials, symbols: Residues, inverse: Residues, prime: int) -> Residues:
    """∂m/∂s for every factor s of every monomial m, at a point without zeros; ``inverse`` holds 1/s."""
    slopes = table.residues(symbols, prime)[table.owners]
    slopes = reduce_modulo(slopes * inverse[table.variables], prime)
    return reduce_modulo(slopes * reduce_modulo(table.powers.astype(np.uint64), prime), prime)
