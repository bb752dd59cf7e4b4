"""Systems with variables replaced by others, or by 0, in arrays: functions of equal arguments become one.

A function of the new symbols is taken for another if its arguments have the same terms, exactly. That is all
there is to it where every function stays one: 1/d with a d of several terms, times a number, and f(u) with
an argument that is no number. Then no two others are equal, but where arguments contain denominators; there,
values at two random points show that they differ. What is more involved is left to :meth:`ODE.into`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from symlump.lumping.elementary.modular import ModularFunctions, ModularPolynomials, mixed
from symlump.lumping.refinement.field import Residues, VanishingDenominator
from symlump.ode.distinct import distinct
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.generators import Batch, Generators
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import Monomials, ranges
from symlump.ode.system import ODE

_PRIME = 2**31 - 1


class Involved(Exception):
    """A function becomes something else than a number times a function."""


def relabelled(
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
    >>> equations, functions = relabelled(system, np.array([0, 0, 1]), 2)
    >>> equations.to_dict(0), len(functions)
    ({((0, 1), (2, 1)): Fraction(1, 2)}, 2)
    >>> functions.arguments_of(0)
    [{(): Fraction(1, 1), ((0, 1),): Fraction(1, 1)}]
    """
    assert ode.generators is not None
    generators, equations = ode.generators, Polynomials.of_system(ode)
    everything = np.ones(len(generators), dtype=bool)
    if rows is None:
        needed, rows = everything, np.arange(len(ode))
    else:
        used = equations.select(rows).monomials.variables - len(ode)
        needed = generators.needed(used[used >= 0])
    images = _Images(generators, labels, count)
    for batch in generators.batches:
        members = batch.members[needed[batch.members]]
        if members.size:
            images.add(batch, members)
    return images.finished(images.of(equations, rows))


def without_zeros(equations: Polynomials, generators: Generators) -> Polynomials:
    """The same with 0 for polynomials in symbols that are 0 as functions, such as x/(x + y) + y/(x + y) − 1.

    A value other than 0 at a random point shows that one is not 0; the others are multiplied out.
    """
    if "inverse" not in generators.functions:
        return equations
    draw = np.random.default_rng(0)
    doubtful = np.diff(equations.indptr) > 0
    for _ in range(2):
        point = draw.integers(1, _PRIME, generators.first, dtype=np.uint64)
        try:
            symbols = ModularFunctions(generators, _PRIME).values(point)
        except VanishingDenominator:
            continue
        doubtful &= ModularPolynomials.of(equations, _PRIME).values(symbols) == 0
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


class _Images:
    """What becomes of every symbol: function k becomes ``scale`` times symbol count + k', k' the first such."""

    def __init__(self, generators: Generators, labels: IntArray, count: int) -> None:
        self.generators, self.labels, self.count = generators, labels, count
        self.first, self.functions = generators.first, len(generators)
        self.symbol = np.concatenate([labels, np.full(self.functions, -1, dtype=np.int64)])
        ones = np.ones(self.symbol.size, dtype=np.int64)
        self.scale, self.scaled = ExactArray(ones, ones), np.zeros(ones.size, dtype=bool)
        self.level = np.full(count + self.functions, -1, dtype=np.int64)
        self.is_inverse = np.zeros(self.level.size, dtype=bool)
        self.base = np.full(self.level.size, -1, dtype=np.int64)  # of 1/s: s
        self.inverse = np.full(self.level.size, -1, dtype=np.int64)  # of s: 1/s
        self.constant = np.ones(generators.arguments.count, dtype=bool)
        self.constant[generators.arguments.occurrences()[0]] = False
        self.found: list[tuple[IntArray, int, Polynomials]] = []
        self._points: list[Residues] | None = None

    def of(self, p: Polynomials, rows: IntArray) -> Polynomials:
        """Some polynomials with the images of their symbols, terms collected."""
        part = p.select(rows)
        table = part.monomials
        owners, symbols, powers = table.owners, self.symbol[table.variables], table.powers
        whole = np.ones(len(table), dtype=bool)
        whole[owners[symbols < 0]] = False
        keep, alive = whole[part.columns], whole[owners]
        values = part.coefficients.take(keep)
        scale = self._scale_of(table)
        if scale is not None:
            values = values.times_each(scale.take(part.columns[keep]))
        monomials, position = Monomials.from_factors(
            *self._cancelled(owners[alive], symbols[alive], powers[alive]), len(table)
        )
        return Polynomials.collected(
            rows.size, monomials, part.rows[keep], position[part.columns[keep]], values
        )

    def _scale_of(self, table: Monomials) -> ExactArray | None:
        """By what each monomial is multiplied; None where that is 1 for all."""
        at = np.flatnonzero(self.scaled[table.variables])
        if not at.size:
            return None
        ones = np.ones(len(table), dtype=np.int64)
        result, owners = ExactArray(ones, ones), table.owners[at]
        fresh = np.flatnonzero(np.diff(owners, prepend=-1))
        place = np.arange(at.size) - np.repeat(fresh, np.diff(np.append(fresh, at.size)))
        for k in range(int(place.max()) + 1):  # the k-th such factor of every monomial
            own, power = at[place == k], 0
            while own.size:
                power += 1
                changed = table.owners[own]
                factors = self.scale.take(table.variables[own])
                result = _replaced(result, changed, result.take(changed).times_each(factors))
                own = own[table.powers[own] > power]
        return result

    def _cancelled(
        self, owners: IntArray, symbols: IntArray, powers: IntArray
    ) -> tuple[IntArray, IntArray, IntArray]:
        """The factors of monomials, with s·(1/s) left out for single symbols s."""
        single = self.base[symbols] >= 0
        if not single.any():
            return owners, symbols, powers
        symbols = np.where(single, self.base[symbols], symbols)
        powers = np.where(single, -powers, powers)
        order = np.lexsort((symbols, owners))
        owners, symbols, powers = owners[order], symbols[order], powers[order]
        fresh = np.ones(owners.size, dtype=bool)
        fresh[1:] = (owners[1:] != owners[:-1]) | (symbols[1:] != symbols[:-1])
        powers = np.add.reduceat(powers, np.flatnonzero(fresh))
        owners, symbols = owners[fresh], symbols[fresh]
        return owners, np.where(powers < 0, self.inverse[symbols], symbols), np.abs(powers)

    def add(self, batch: Batch, members: IntArray) -> None:
        """Find the images of functions whose arguments have theirs."""
        rows = [self.generators.starts[members] + a for a in range(len(batch.arguments))]
        arguments = [self.of(self.generators.arguments, own) for own in rows]
        level = np.zeros(members.size, dtype=np.int64)
        nested = False
        for own, p in zip(rows, arguments, strict=True):
            row, symbol = p.occurrences()
            np.maximum.at(level, row, self.level[symbol] + 1)
            nested = nested or bool(self.is_inverse[symbol].any())
            still = np.ones(members.size, dtype=bool)
            still[row] = False
            if (still & ~self.constant[own]).any():
                raise Involved
        if (level != batch.level).any():  # an inner function has gone: others may be like it
            raise Involved
        function = FUNCTIONS.get(batch.function)
        parity = len(arguments) == 1 and function is not None and function.parity != 0
        if batch.function == "inverse":
            if nested:
                raise Involved
            arguments = [self._monic(arguments[0], members)]
        elif parity:
            p = arguments[0]
            if (p.coefficients.take(_leading(p)).numerators < 0).any():
                raise Involved
        first = _first_equal(arguments, members.size)
        chosen = distinct(first)
        if nested and self._distinct_values(rows, parity) < chosen.size:
            raise Involved
        self.symbol[self.first + members] = self.count + members[first]
        new = self.count + members[chosen]
        self.level[new] = batch.level
        for a, p in enumerate(arguments):
            self.found.append((members[chosen], a, p.select(chosen)))
        if batch.function == "inverse":
            self.is_inverse[new] = True
            alone = arguments[0].select(chosen)
            one = np.flatnonzero(np.diff(alone.indptr) == 1)
            inside = alone.monomials.variables[
                alone.monomials.indptr[alone.columns[alone.indptr[one]]]
            ]
            self.base[new[one]], self.inverse[inside] = inside, new[one]

    def _monic(self, p: Polynomials, members: IntArray) -> Polynomials:
        """Denominators divided by their leading coefficients, which go into the scale of 1/d.

        The form of :class:`SymbolTable`: 1/s of a single symbol, or a sum whose terms have no common factor.
        """
        terms = np.diff(p.indptr)
        if not terms.all():
            raise Involved  # a denominator is 0
        lengths, degrees = p.monomials.lengths[p.columns], p.monomials.degrees[p.columns]
        alone = terms[p.rows] == 1
        if (degrees[alone] != 1).any():
            raise Involved
        row = np.repeat(p.rows, lengths)
        factor = ranges(p.monomials.indptr[:-1][p.columns], lengths)
        has_constant = np.zeros(p.count, dtype=bool)
        has_constant[p.rows[lengths == 0]] = True
        may = ~has_constant[row] & (terms[row] > 1)
        pairs = np.sort(
            row[may] * (self.count + self.functions) + p.monomials.variables[factor[may]]
        )
        start = np.flatnonzero(np.diff(pairs, prepend=-1))
        often = np.diff(np.append(start, pairs.size))
        if (often == terms[pairs[start] // (self.count + self.functions)]).any():
            raise Involved  # a common factor
        leading = p.coefficients.take(_leading(p)).in_lowest_terms()
        assert leading.denominators is not None
        other = (leading.numerators != 1) | (leading.denominators != 1)
        if not other.any():
            return p
        symbols, factors = self.first + members, leading.inverses()
        self.scaled[symbols[other]] = True
        self.scale = _replaced(self.scale, symbols, factors)
        values = p.coefficients.times_each(factors.take(p.rows))
        if p.coefficients.is_float:
            values = values.as_floats()
        return Polynomials(p.count, p.monomials, p.rows, p.columns, values)

    def _distinct_values(self, rows: list[IntArray], parity: bool) -> int:
        """How many functions have different arguments, at least: by their values at two random points."""
        generators = self.generators
        if self._points is None:
            draw = np.random.default_rng(0)
            self._points = []
            for _ in range(2):
                point = draw.integers(1, _PRIME, self.count + 1, dtype=np.uint64)
                point[-1] = 0
                try:
                    values = ModularFunctions(generators, _PRIME).values(point[self.labels])
                except VanishingDenominator:
                    raise Involved from None
                self._points.append(values)
        parts = [ModularPolynomials.of(generators.arguments.select(own), _PRIME) for own in rows]
        seen = [part.values(symbols) for part in parts for symbols in self._points]
        if parity:  # f(u) and f(−u) are one function: (u, v) for (−u, −v), u < p/2
            low = seen[0] < _PRIME - seen[0]
            seen = [np.where(low, u, (_PRIME - u) % _PRIME) for u in seen]
        order = np.lexsort(seen)
        differ = np.zeros(order.size - 1, dtype=bool)
        for u in seen:
            differ |= u[order[1:]] != u[order[:-1]]
        return 1 + int(differ.sum())

    def finished(self, equations: Polynomials) -> tuple[Polynomials, Generators]:
        """Equations and functions, with the functions numbered in their old order."""
        kept = np.flatnonzero(self.level[self.count :] >= 0)
        number = np.arange(self.count + self.functions)
        number[self.count + kept] = self.count + np.arange(kept.size)
        old = self.generators
        sizes = np.diff(old.starts)[kept]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        places = [starts[np.searchsorted(kept, own)] + a for own, a, _ in self.found]
        arguments = Polynomials.stacked([p for _, _, p in self.found])
        place = np.concatenate([*places, starts[:0]])
        arguments = arguments.select(np.argsort(place))
        names = tuple(old.functions[k] for k in kept.tolist())
        generators = Generators(self.count, names, starts, arguments.renumbered(number))
        return equations.renumbered(number), generators


def _replaced(a: ExactArray, at: IntArray, values: ExactArray) -> ExactArray:
    """A copy with other numbers at some places."""
    numerators, denominators = a.numerators, np.asarray(a.denominators)
    if values.numerators.dtype == object:
        numerators, denominators = numerators.astype(object), denominators.astype(object)
    numerators, denominators = numerators.copy(), denominators.copy()
    numerators[at], denominators[at] = values.numerators, np.asarray(values.denominators)
    return ExactArray(numerators, denominators)


def _leading(p: Polynomials) -> IntArray:
    """The leading term of every polynomial (none is 0), in the order of :class:`SymbolTable`.

    That is by degree, and then the first factor in which two monomials differ: the smaller symbol, or
    of the same symbol the higher power.
    """
    table = p.monomials
    degrees = table.degrees[p.columns]
    top = np.maximum.reduceat(degrees, p.indptr[:-1])
    candidates = np.flatnonzero(degrees == top[p.rows])
    highest, depth = int(table.powers.max(initial=0)), 0
    while candidates.size > p.count:
        row = p.rows[candidates]
        # What has come to its end is alone in its row: two of one degree do not begin one another.
        at = np.minimum(table.indptr[p.columns[candidates]] + depth, table.variables.size - 1)
        key = (table.variables[at] + 1) * (highest + 1) - table.powers[at]
        start = np.flatnonzero(np.diff(row, prepend=-1))
        candidates = candidates[key == np.minimum.reduceat(key, start)[row]]
        depth += 1
    return candidates


def _first_equal(arguments: list[Polynomials], count: int) -> IntArray:
    """For each position the first at which all arguments are the same polynomials."""
    hashes = np.zeros(count, dtype=np.uint64)
    exact = [p.coefficients.in_lowest_terms() for p in arguments]
    for p, values in zip(arguments, exact, strict=True):
        term = mixed(mixed(p.columns.astype(np.uint64)) ^ _words(values.numerators))
        term = mixed(term ^ _words(np.asarray(values.denominators)))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(term)])  # modulo 2^64
        hashes = mixed(hashes) ^ mixed(sums[p.indptr[1:]] - sums[p.indptr[:-1]])
    order = np.argsort(hashes, kind="stable")
    fresh = np.ones(count, dtype=bool)
    fresh[1:] = hashes[order[1:]] != hashes[order[:-1]]
    first = np.empty(count, dtype=np.int64)
    first[order] = order[fresh][np.cumsum(fresh) - 1]
    for p, values in zip(arguments, exact, strict=True):  # equal hashes are no proof
        lengths = np.diff(p.indptr)
        if (lengths != lengths[first]).any():
            raise Involved
        there = ranges(p.indptr[:-1][first], lengths)
        same = (
            (p.columns == p.columns[there])
            & (values.numerators == values.numerators[there])
            & (values.denominators == np.asarray(values.denominators)[there])
        )
        if not same.all():
            raise Involved
    return first


def _words(numbers: npt.NDArray[np.generic]) -> Residues:
    """A 64-bit word for each integer."""
    if numbers.dtype == object:
        return np.array([hash(int(v)) % 2**64 for v in numbers.tolist()], dtype=np.uint64)
    return numbers.astype(np.int64).view(np.uint64)
