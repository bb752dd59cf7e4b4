"""Systems with variables replaced by others, or by 0, in arrays: functions of equal arguments become one.

A function of the new symbols is taken for another if its arguments have the same terms, exactly. 1/d is first
divided by the leading coefficient and by the common factors of d, f(−u) becomes ±f(u) where f is even or odd,
and f(u) a number where that is known, as exp(0) = 1. Then no two others are equal, but where arguments contain
denominators; there, values at two random points show that they differ. What is more involved (denominators
inside denominators, powers with another base or exponent) is left to :meth:`ODE.into`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.lumping.elementary.modular import ModularFunctions, ModularPolynomials
from symlump.lumping.elementary.polynomial_rows import (
    Involved,
    first_equal,
    leading_terms,
    replace_at,
    times_rows,
    without_common_factors,
)
from symlump.lumping.refinement.field import Residues, VanishingDenominator
from symlump.ode.exact import ExactArray, IntArray, prime_for
from symlump.ode.functions.generators import Batch, Generators
from symlump.ode.functions.known import FUNCTIONS, exact_value
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import Monomials, ranges
from symlump.ode.system import ODE

#: In place of a new symbol: what is 0, and what has none.
_ZERO, _NUMBER = -1, -2
_NOTHING = Fraction(0)


def relabel(
    ode: ODE, labels: IntArray, count: int, rows: IntArray | None = None
) -> tuple[Polynomials, Generators]:
    """Equations of a system with functions, variable i replaced by number ``labels[i]`` of ``count`` others.

    Parameters
    ----------
    labels : ndarray of int64
        −1 where a variable is replaced by 0.
    rows : ndarray of int64, optional
        Which equations; default: all.

    Returns
    -------
    equations : Polynomials
        One for each of ``rows``.
    generators : Generators
        The functions in them.

    Raises
    ------
    Involved
        If the image of a function is no number times one function.

    Examples
    --------
    >>> system = ODE.from_text("x' = y/(2 + x + y); y' = x/(4 + 3*x + y); z' = 1/(x + z)")
    >>> equations, functions = relabel(system, np.array([0, 0, 1]), 2)
    >>> equations.to_dict(0), len(functions)
    ({((0, 1), (2, 1)): Fraction(1, 2)}, 2)
    >>> functions.arguments_of(0)
    [{(): Fraction(1, 1), ((0, 1),): Fraction(1, 1)}]
    """
    assert ode.generators is not None
    generators, equations = ode.generators, Polynomials.of_system(ode)
    needed = np.ones(len(generators), dtype=bool)
    if rows is not None:
        equations = equations.select(rows)
        used = equations.monomials.variables - len(ode)
        needed = generators.needed(used[used >= 0])
    images = _NewSymbols(generators, labels, count)
    for inside, batches in generators.levels:
        if rows is not None:
            inside = inside[needed[generators.owners[inside]]]
        arguments = images.of(generators.arguments.select(inside))
        for batch in batches:
            members = batch.members[needed[batch.members]]
            if members.size:
                own = [generators.starts[members] + a for a in range(len(batch.arguments))]
                places = [np.searchsorted(inside, at) for at in own]
                images.add(batch, members, own, [arguments.among(at) for at in places])
    return images.finish(images.of(equations))


def without_zeros(equations: Polynomials, generators: Generators) -> Polynomials:
    """The equations with 0 for polynomials in symbols that are 0 as functions, as x/(x + y) + y/(x + y) − 1.

    A value other than 0 at a random point shows that one is not 0; the others are multiplied out.
    """
    if "inverse" not in generators.functions:
        return equations
    draw = np.random.default_rng(0)
    doubtful = np.diff(equations.indptr) > 1  # a monomial is not 0
    prime = prime_for(equations.coefficients, generators.arguments.coefficients)
    for _ in range(2):
        if not doubtful.any():
            return equations
        point = draw.integers(1, prime, generators.first, dtype=np.uint64)
        try:
            symbols = ModularFunctions(generators, prime).values(point)
        except VanishingDenominator:
            continue
        doubtful &= ModularPolynomials.of(equations, prime).values(symbols) == 0
    if not doubtful.any():
        return equations
    table = SymbolTable.of(generators)
    for row in np.flatnonzero(doubtful).tolist():
        doubtful[row] = table.is_zero(equations.to_dict(row))
    keep = ~doubtful[equations.rows]
    return Polynomials(
        equations.count,
        equations.monomials,
        equations.rows[keep],
        equations.columns[keep],
        equations.coefficients.take(keep),
    )


class _NewSymbols:
    """What becomes of every symbol: ``scale`` times a new symbol, if it has one, times further factors.

    New symbols are numbered so: the ``count`` variables; then one for each function k, used where k is the
    first with its arguments; then, from ``singles`` on, 1/s for each new symbol s.
    """

    def __init__(self, generators: Generators, labels: IntArray, count: int) -> None:
        self.generators, self.labels, self.count = generators, labels, count
        self.first, self.functions = generators.first, len(generators)
        self.singles = count + self.functions
        self.symbol = np.concatenate([labels, np.full(self.functions, _ZERO, dtype=np.int64)])
        ones = np.ones(self.symbol.size, dtype=np.int64)
        self.scale, self.scaled = ExactArray(ones, ones), np.zeros(ones.size, dtype=bool)
        self.begin, self.length = np.zeros_like(ones), np.zeros_like(ones)  # of further factors
        self.factor_symbols, self.factor_powers = labels[:0], labels[:0]
        self.level = np.full(2 * self.singles, -1, dtype=np.int64)
        self.place = np.arange(2 * self.singles)  # of 1/s: where it is first needed
        self.is_inverse = self.place >= self.singles
        self.constant = generators.arguments.constant
        self.found: list[tuple[str, IntArray, list[Polynomials]]] = []
        self._points: list[Residues] | None = None
        self._prime = 0

    def of(self, p: Polynomials) -> Polynomials:
        """Polynomials with the images of their symbols, terms collected."""
        table = p.monomials
        symbols = self.symbol[table.variables]
        whole = np.ones(len(table), dtype=bool)
        whole[table.owners[symbols == _ZERO]] = False
        keep = whole[p.columns]
        values = p.coefficients.take(keep)
        scale = self._scale_of(table)
        if scale is not None:
            values = values.times_each(scale.take(p.columns[keep]))
        alive = whole[table.owners] & (symbols != _NUMBER)
        factors = [table.owners[alive], symbols[alive], table.powers[alive]]
        more = np.flatnonzero(whole[table.owners] & (self.length[table.variables] > 0))
        if more.size:
            of = table.variables[more]
            at = ranges(self.begin[of], self.length[of])
            spread = [
                np.repeat(side, self.length[of])
                for side in (table.owners[more], table.powers[more])
            ]
            added = spread[0], self.factor_symbols[at], self.factor_powers[at] * spread[1]
            factors = [np.concatenate(pair) for pair in zip(factors, added, strict=True)]
        monomials, position = Monomials.from_factors(*self._cancelled(*factors), len(table))
        return Polynomials.collected(
            p.count, monomials, p.rows[keep], position[p.columns[keep]], values
        )

    def _scale_of(self, table: Monomials) -> ExactArray | None:
        """By what each monomial is multiplied; None where that is 1 for all."""
        at = np.flatnonzero(self.scaled[table.variables])
        if not at.size:
            return None
        ones = np.ones(len(table), dtype=np.int64)
        result, owners = ExactArray(ones, ones), table.owners[at]
        once = (owners[1:] != owners[:-1]).all() and (table.powers[at] == 1).all()
        if once:
            return replace_at(result, owners, self.scale.take(table.variables[at]))
        fresh = np.flatnonzero(np.diff(owners, prepend=-1))
        place = np.arange(at.size) - np.repeat(fresh, np.diff(np.append(fresh, at.size)))
        for k in range(int(place.max()) + 1):  # the k-th such factor of every monomial
            own, power = at[place == k], 0
            while own.size:
                power += 1
                changed = table.owners[own]
                factors = self.scale.take(table.variables[own])
                result = replace_at(result, changed, result.take(changed).times_each(factors))
                own = own[table.powers[own] > power]
        return result

    def _cancelled(
        self, owners: IntArray, symbols: IntArray, powers: IntArray
    ) -> tuple[IntArray, IntArray, IntArray]:
        """The factors of monomials, with s·(1/s) left out for single symbols s."""
        single = symbols >= self.singles
        if not single.any():
            return owners, symbols, powers
        symbols = np.where(single, symbols - self.singles, symbols)
        powers = np.where(single, -powers, powers)
        order = np.lexsort((symbols, owners))
        owners, symbols, powers = owners[order], symbols[order], powers[order]
        fresh = np.ones(owners.size, dtype=bool)
        fresh[1:] = (owners[1:] != owners[:-1]) | (symbols[1:] != symbols[:-1])
        powers = np.add.reduceat(powers, np.flatnonzero(fresh))
        owners, symbols = owners[fresh], symbols[fresh]
        return owners, np.where(powers < 0, self.singles + symbols, symbols), np.abs(powers)

    def add(
        self, batch: Batch, members: IntArray, rows: list[IntArray], arguments: list[Polynomials]
    ) -> None:
        """Find the images of some functions of a batch; their arguments have been rows, and became these."""
        name, symbols = batch.function, self.first + members
        level = np.zeros(members.size, dtype=np.int64)
        nested = False
        for own, p in zip(rows, arguments, strict=True):
            fixed = p.constant
            if p.monomials.variables.max(initial=0) >= self.count:
                row, symbol = p.occurrences()
                np.maximum.at(level, row, self.level[symbol] + 1)
                nested = nested or bool(self.is_inverse[symbol].any())
            if name == "power" and (fixed & ~self.constant[own]).any():
                raise Involved
        known = FUNCTIONS.get(name) if len(arguments) == 1 else None
        live = np.ones(members.size, dtype=bool)
        if name == "inverse":
            if nested:
                raise Involved
            arguments = [self._denominators(arguments[0], symbols)]
            live = np.diff(arguments[0].indptr) > 1
        elif known is not None:
            if known.parity:
                arguments = [self._turned(arguments[0], symbols, known.parity)]
            live[self._numbers(name, arguments[0], np.flatnonzero(fixed), symbols)] = False
        if not live.any():  # all of them are numbers, or products of what there is
            return
        own, place = members[live], np.flatnonzero(live)
        arguments, level = [p.among(place) for p in arguments], level[live]
        lower = bool((level != batch.level).any())
        if nested and lower:
            raise Involved
        ids, fresh = self._named(name, arguments, own, lower)
        if nested and self._distinct_values(name, [r[live] for r in rows]) < fresh.size:
            raise Involved
        new = ids[fresh]
        self.symbol[self.first + own] = ids
        self.level[new], self.is_inverse[new] = level[fresh], name == "inverse"
        self.found.append((name, new, [p.select(fresh) for p in arguments]))

    def _named(
        self, name: str, arguments: list[Polynomials], own: IntArray, lower: bool
    ) -> tuple[IntArray, IntArray]:
        """A new symbol for each function, the same for equal arguments, and where there are new ones."""
        # Where an inner function has gone, one found before may be like it.
        before = [(ids, u) for other, ids, u in self.found if lower and other == name]
        ids = np.concatenate([*(old for old, _ in before), self.count + own])
        if before:
            arguments = [
                Polynomials.stacked([*(u[a] for _, u in before), p])
                for a, p in enumerate(arguments)
            ]
        first, known = first_equal(arguments, ids.size), ids.size - own.size
        return ids[first[known:]], np.flatnonzero(first[known:] == np.arange(known, ids.size))

    def _multiplied(self, symbols: IntArray, factors: ExactArray) -> None:
        if self.scaled[symbols].any():
            factors = self.scale.take(symbols).times_each(factors)
        self.scaled[symbols] = True
        self.scale = replace_at(self.scale, symbols, factors)

    def _turned(self, p: Polynomials, symbols: IntArray, parity: int) -> Polynomials:
        """Arguments of an even or odd function with positive leading coefficients, the signs in the scale."""
        filled = np.flatnonzero(np.diff(p.indptr))
        part = p.among(filled)
        leading = part.coefficients.take(leading_terms(part))
        turned = filled[leading.numerators < 0]
        if not turned.size:
            return p
        signs = np.ones(p.count, dtype=np.int64)
        signs[turned] = -1
        if parity < 0:
            minus = -np.ones(turned.size, dtype=np.int64)
            self._multiplied(symbols[turned], ExactArray(minus, -minus))
        values = p.coefficients.times(signs[p.rows])
        return Polynomials(p.count, p.monomials, p.rows, p.columns, values)

    def _numbers(self, name: str, p: Polynomials, fixed: IntArray, symbols: IntArray) -> IntArray:
        """Where an argument is a number at which the value is known, as of exp(0)."""
        term = p.indptr[fixed]
        filled = p.indptr[fixed + 1] > term
        places = [fixed[~filled]]
        found = [(_NOTHING, places[0])] if places[0].size else []
        for place, t in zip(fixed[filled].tolist(), term[filled].tolist(), strict=True):
            found.append((p.coefficients[t], np.array([place])))
        known = [fixed[:0]]
        for u, at in found:
            if name == "log" and u <= 0:
                raise Involved
            value = exact_value(name, u)
            if value is not None:
                known.append(at)
                self.symbol[symbols[at]] = _NUMBER if value else _ZERO
                if value not in (0, 1):
                    self._multiplied(symbols[at], ExactArray.from_fractions([value] * at.size))
        return np.concatenate(known)

    def _denominators(self, p: Polynomials, symbols: IntArray) -> Polynomials:
        """Denominators as :class:`SymbolTable` has them: without common factors, leading coefficients 1.

        What they are divided by becomes scale and further factors of 1/d.
        """
        terms = np.diff(p.indptr)
        if not terms.all():
            raise Involved  # a denominator is 0
        leading = p.coefficients.take(leading_terms(p)).in_lowest_terms()
        assert leading.denominators is not None
        other = (leading.numerators != 1) | (leading.denominators != 1)
        if other.any():
            self._multiplied(symbols, leading.inverses())
            p = times_rows(p, leading.inverses())
        self.symbol[symbols] = _NUMBER
        p, row, shared, powers = without_common_factors(p, 2 * self.singles)
        if row.size:
            self.begin[symbols[row]] = self.factor_symbols.size + np.searchsorted(row, row)
            self.length[symbols] = np.bincount(row, minlength=symbols.size)
            self.factor_symbols = np.concatenate([self.factor_symbols, self.singles + shared])
            self.factor_powers = np.concatenate([self.factor_powers, powers])
            self.level[self.singles + shared] = self.level[shared] + 1
            hosts = self.count + symbols[row] - self.first
            np.minimum.at(self.place, self.singles + shared, hosts)
        return p

    def _distinct_values(self, name: str, rows: list[IntArray]) -> int:
        """How many functions have different arguments, at least: by their values at two random points.

        0 where an argument has the same at both and values at numbers are known: it may be one, as
        x/(x + y) + y/(x + y) is.
        """
        generators = self.generators
        if self._points is None:
            self._prime = prime_for(generators.arguments.coefficients)
            draw = np.random.default_rng(0)
            self._points = []
            for _ in range(2):
                point = draw.integers(1, self._prime, self.count + 1, dtype=np.uint64)
                point[-1] = 0
                try:
                    values = ModularFunctions(generators, self._prime).values(point[self.labels])
                except VanishingDenominator:
                    raise Involved from None
                self._points.append(values)
        prime = self._prime
        parts = [ModularPolynomials.of(generators.arguments.select(own), prime) for own in rows]
        seen = [part.values(symbols) for part in parts for symbols in self._points]
        known = FUNCTIONS.get(name)
        if name == "power" or (known is not None and known.exact):
            pairs = zip(rows, seen[::2], seen[1::2], strict=True)
            if any(((u == v) & ~self.constant[own]).any() for own, u, v in pairs):
                return 0
        if known is not None and known.parity:
            # f(u) and f(−u) are one function: (u, v) for (−u, −v), u < p/2
            low = seen[0] < prime - seen[0]
            seen = [np.where(low, u, (prime - u) % prime) for u in seen]
        order = np.lexsort(seen)
        differ = np.zeros(order.size - 1, dtype=bool)
        for u in seen:
            differ |= u[order[1:]] != u[order[:-1]]
        return 1 + int(differ.sum())

    def finish(self, equations: Polynomials) -> tuple[Polynomials, Generators]:
        """Equations and functions, with the functions numbered in their old order, arguments first."""
        singles = np.flatnonzero(self.level[self.singles :] >= 0)
        ones = np.ones_like(singles)
        inside, place = Monomials.from_factors(np.arange(singles.size), singles, ones, singles.size)
        exact = ExactArray(ones, ones)
        alone = Polynomials(singles.size, inside, np.arange(singles.size), place, exact)
        found = [*self.found, ("inverse", self.singles + singles, [alone])]
        ids = np.concatenate([own for _, own, _ in found])
        named = [name for name, own, _ in found for _ in range(own.size)]
        order = np.lexsort((ids, self.place[ids]))
        names = tuple(named[i] for i in order.tolist())
        number = np.arange(self.level.size)
        number[ids[order]] = self.count + np.arange(ids.size)
        parts = [(number[own] - self.count, a, p) for _, own, u in found for a, p in enumerate(u)]
        owner = np.concatenate([own for own, _, _ in parts])
        position = np.concatenate([np.full(own.size, a) for own, a, _ in parts])
        arguments = Polynomials.stacked([p for _, _, p in parts])
        arguments = arguments.select(np.lexsort((position, owner)))
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=ids.size))])
        generators = Generators(self.count, names, starts, arguments.renumbered(number))
        return equations.renumbered(number), generators
