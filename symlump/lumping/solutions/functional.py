"""Maps with quotients and functions on boxes, and the error of a quotient as such a map.

Beside exp, sin, … there are their mean slopes (f(v) − f(u))/(v − u), which lie in f' of the interval between
u and v. With them, and with 1/v − 1/u = −(1/u)·(1/v)·(v − u), every term of F(z, e) = f(z + e) − f(z) has a
factor e, as for polynomials (:mod:`symlump.lumping.solutions.function_defect`). A power whose exponent is no
whole number is exp(exponent·log(base)), and the time is one more variable, with derivative 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from symlump.enclosures.arithmetics import Arithmetic, Enclosures
from symlump.enclosures.elementary import ENCLOSED, enclose_derivative, reciprocals
from symlump.errors import SubjectError
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.partition import Partition
from symlump.lumping.solutions.boxmap import (
    Bounds,
    BoxMap,
    PartialsOnBoxes,
    Undefined,
    monomials_on,
)
from symlump.ode.exact import FloatArray
from symlump.ode.functions.algebra import (
    Budget,
    Polynomial,
    constant,
    constant_of,
    scale,
    symbol,
    total,
)
from symlump.ode.functions.generators import Generators
from symlump.ode.functions.images import functions_of
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.functions.printing import symbol_text
from symlump.ode.functions.slopes import Slopes
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.solutions.aggregate import AnyLumping

#: Of two values the larger and the smaller one, by the sign with which half their distance counts.
_LARGEST = {"max": Fraction(1), "min": Fraction(-1)}
#: How the mean slope of a function is called; its arguments are the two ends.
MEAN = "mean slope of "


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """Polynomials in symbols, evaluated on boxes."""

    polynomials: Polynomials
    arithmetic: Arithmetic

    @cached_property
    def _coefficients(self) -> Enclosures:
        return self.arithmetic.exact(self.polynomials.coefficients)

    def values(self, symbols: Enclosures) -> Enclosures:
        p = self.polynomials
        parts = self._coefficients * monomials_on(p.monomials, symbols, self.arithmetic)[p.columns]
        return self.arithmetic.sums(parts, p.rows, p.count)


@dataclass(frozen=True, eq=False)
class FunctionMap(BoxMap):
    """A map with quotients and functions and its derivative, enclosed on boxes."""

    @cached_property
    def _equations(self) -> _Evaluated:
        return _Evaluated(Polynomials.of_system(self.terms), self.arithmetic)

    @property
    def _functions(self) -> Generators:
        assert self.terms.generators is not None
        return self.terms.generators

    @cached_property
    def _plain(self) -> _Functions:
        return _Functions(self._functions, self.arithmetic)

    @property
    def _slopes(self) -> Slopes:
        assert self.terms.slopes is not None
        return self.terms.slopes

    @cached_property
    def _with_slopes(self) -> _Functions:
        return _Functions(self._slopes.functions, self.arithmetic)

    @cached_property
    def _by_arguments(self) -> _Evaluated:
        return _Evaluated(self._slopes.polynomials, self.arithmetic)

    def values(self, box: Enclosures) -> Enclosures:
        """The map on a box of shape (inputs,); result of shape (outputs,)."""
        return self._equations.values(self._plain.symbols(box, self.terms))[: self.outputs]

    def approximate(self, x: FloatArray) -> FloatArray:
        """The map at a point, without any guarantee."""
        return self.arithmetic.ball(self.values(self.arithmetic.point(x)))[0]

    def slopes(self, start: Enclosures, box: Bounds) -> Bounds:
        """Bounds of all M with map(a + v) − map(a) = M·v, for a in ``start`` and v in the box.

        M = ∫₀¹ J(a + s·v) ds, of which both halves are enclosed by J on all that is between their ends.
        """
        m, (lower, upper) = self.arithmetic, box
        half = m.number(Fraction(1, 2))
        halved = m.between(lower, upper) * half
        low, high = m.lower(halved), m.upper(halved)
        near = m.between(np.minimum(low, 0.0), np.maximum(high, 0.0))
        far = m.between(np.minimum(low, lower), np.maximum(high, upper))
        first, second = (m.between(*self._jacobian(start + part)) for part in (near, far))
        mean = first * half + second * half
        return m.lower(mean), m.upper(mean)

    def _jacobian(self, box: Enclosures) -> Bounds:
        """∂/∂x on a box, by the chain rule; shape (outputs, inputs)."""
        m, n, count = self.arithmetic, len(self.terms), len(self._functions)
        symbols = self._with_slopes.symbols(box, self.terms)
        slopes = self._by_arguments.values(symbols)
        outer, inside = self._outer.at(symbols), self._inside.at(symbols)
        low, high = np.zeros((count, n)), np.zeros((count, n))
        for batch in self._functions.batches:
            own = batch.members
            for rows in batch.arguments:
                part = m.between(inside[0][rows], inside[1][rows])
                whole = part[:, :n] + part[:, n:] @ m.between(low, high)
                added = m.between(low[own], high[own]) + slopes[rows][:, None] * whole
                low[own], high[own] = m.lower(added), m.upper(added)
        through = m.between(outer[0][:, n:], outer[1][:, n:])
        whole = m.between(outer[0][:, :n], outer[1][:, :n]) + through @ m.between(low, high)
        part = slice(0, self.outputs), slice(0, self.inputs)
        return m.lower(whole)[part], m.upper(whole)[part]

    @cached_property
    def _outer(self) -> PartialsOnBoxes:
        shape = len(self.terms), self.terms.symbols
        return PartialsOnBoxes(self.terms.derivative, shape, self.arithmetic)

    @cached_property
    def _inside(self) -> PartialsOnBoxes:
        functions = self._functions
        shape = functions.arguments.count, self.terms.symbols
        return PartialsOnBoxes(functions.derivative, shape, self.arithmetic)


@dataclass(frozen=True, eq=False)
class _Functions:
    """Functions of variables, enclosed on boxes."""

    functions: Generators
    arithmetic: Arithmetic

    @cached_property
    def _parts(self) -> list[list[_Evaluated]]:
        """The arguments of each batch."""
        arguments = self.functions.arguments
        return [
            [_Evaluated(arguments.select(rows), self.arithmetic) for rows in batch.arguments]
            for batch in self.functions.batches
        ]

    def symbols(self, box: Enclosures, terms: ODE) -> Enclosures:
        """Variables and functions; variables without a place in the box are 0.

        Raises
        ------
        Undefined
            If a function has no enclosure there.
        """
        m, functions = self.arithmetic, self.functions
        count = functions.first + len(functions)
        low, high = np.zeros(count), np.zeros(count)
        size = m.lower(box).size
        low[:size], high[:size] = m.lower(box), m.upper(box)
        for batch, parts in zip(functions.batches, self._parts, strict=True):
            known = m.between(low, high)
            ends = [(m.lower(u), m.upper(u)) for u in (part.values(known) for part in parts)]
            below, above = _function(batch.function, ends, batch.members.size, m.functions)
            wrong = np.flatnonzero(~(np.isfinite(below) & np.isfinite(above)))
            if wrong.size:
                raise Undefined(_shown(terms, functions, int(batch.members[wrong[0]])))
            at = functions.first + batch.members
            low[at], high[at] = below, above
        return m.between(low, high)


def _shown(terms: ODE, functions: Generators, k: int) -> str:
    """A function as text; of a mean slope, the function."""
    system = replace(terms, generators=functions)
    text = symbol_text(system, functions.first + k)
    if not text.startswith(MEAN):
        return text
    name, _, arguments = text.removeprefix(MEAN).partition("(")
    return f"{_plain(name)}({arguments.split(', ')[0]})"


def _plain(name: str) -> str:
    """The name of a function whose derivative has this name."""
    return name.rstrip("12").rstrip("'")


def _function(
    name: str, ends: Sequence[Bounds], count: int, kind: str
) -> tuple[FloatArray, FloatArray]:
    """Ends of a function where its arguments are between theirs, in that kind of interval arithmetic."""
    if name == "pi":
        pi = np.full(count, np.pi)
        return np.nextafter(pi, 0.0), np.nextafter(pi, 4.0)
    if name == "inverse":
        return reciprocals(*ends[0])
    if not name.startswith(MEAN):
        return enclose_derivative(_plain(name), name.count("'"), *ends[0], kind)
    hull = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
    plain = _plain(name.removeprefix(MEAN))
    if plain == name.removeprefix(MEAN):
        return enclose_derivative(plain, 1, *hull, kind)
    low, high = enclose_derivative(plain, 2, *hull, kind)
    return np.nextafter(low / 2, -np.inf), np.nextafter(high / 2, np.inf)


def box_map(terms: ODE, inputs: int, outputs: int, arithmetic: Arithmetic) -> BoxMap:
    """A polynomial map, or one with functions."""
    kind = BoxMap if terms.generators is None else FunctionMap
    return kind(terms, inputs, outputs, arithmetic)


class _Table(SymbolTable):
    """Symbols without powers of their own, and without time: that is a variable."""

    clock: Polynomial | None = None

    def largest(self, arguments: Sequence[Polynomial], sign: Fraction) -> Polynomial:
        """max(p, q) = (p + q + |p − q|)/2, and min with −|p − q|; of several, one after another."""
        found = arguments[0]
        for other in arguments[1:]:
            apart = self.apply("abs", [total([found, scale(other, Fraction(-1))])])
            found = scale(total([found, other, scale(apart, sign)]), Fraction(1, 2))
        return found

    def power(
        self, base: Polynomial, exponent: Polynomial, budget: Budget | None = None
    ) -> Polynomial:
        e = constant_of(exponent)
        if (e is not None and e.denominator == 1) or constant_of(base) == 1:
            return super().power(base, exponent, budget)
        return self.apply("exp", [self.multiply(exponent, self.apply("log", [base]))])

    def apply(self, name: str, arguments: Sequence[Polynomial]) -> Polynomial:
        if name == "time" and self.clock is not None:
            return dict(self.clock)
        if name in _LARGEST:
            return self.largest(arguments, _LARGEST[name])
        return super().apply(name, arguments)


def autonomous(lumping: AnyLumping) -> AnyLumping:
    """The same lumping without the time: where that occurs there is one more variable, the last.

    Raises
    ------
    MethodError
        If a function occurs of which no enclosure is known.
    """
    systems = (lumping.ode, lumping.quotient)
    names = {f for s in systems if s.generators is not None for f in s.generators.functions}
    enclosed = ENCLOSED
    if lumping.ode.discrete:  # a step of a map takes slopes, and no derivative of them
        enclosed |= {"abs", *_LARGEST}
    unknown = sorted(names - enclosed - {"inverse", "power", "time", "pi"})
    if unknown:
        raise SubjectError(
            f"a bound encloses quotients, powers, the time and {', '.join(sorted(enclosed))}; this system "
            f"contains {', '.join(unknown)}. simulate(…) shows errors without certainty"
        )
    clock = "time" in names
    found = []
    for system in systems:
        variables = system.variables
        if clock:
            name = "t"
            while name in lumping.ode.index or name in lumping.quotient.index:
                name += "_"
            variables = (*variables, name)
        table = _Table(len(variables))
        if clock:
            table.clock = symbol(len(system))
        equations, _ = system.into(table)
        equations += [constant(1)] if clock else []
        found.append(ODE.from_table(variables, equations, table, system.parameters))
    ode, quotient = found
    if lumping.kind == "linear":
        rows = lumping.rows
        if clock:
            rows = ExactMatrix.from_rows([*rows.rows(), {len(lumping.ode): 1}], len(ode))
        return replace(lumping, ode=ode, quotient=quotient, rows=rows)
    partition, initial = lumping.partition, lumping.initial
    if clock:
        partition, initial = (
            Partition(np.append(p.labels, len(p))) for p in (lumping.partition, lumping.initial)
        )
    return replace(lumping, ode=ode, quotient=quotient, partition=partition, initial=initial)


def nonnegative_symbols(ode: ODE, variables: Sequence[bool]) -> list[bool]:
    """Which variables and functions are ≥ 0 where some variables are."""
    result = list(variables)
    for name, u in functions_of(ode):
        inside = bool(u) and all(
            value > 0 and all(result[s] or power % 2 == 0 for s, power in monomial)
            for monomial, value in u[0].items()
        )
        result.append(
            name in ("exp", "cosh", "pi") or (inside and name in ("inverse", "sinh", "tanh"))
        )
    return result
