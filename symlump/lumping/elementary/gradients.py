"""Exact derivatives of block sums through functions, term by term, for the few variables that need them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from symlump.ode.exact import IntArray
from symlump.ode.functions.algebra import (
    Polynomial,
    add_to,
    derivative,
    multiply_monomials,
    symbols_of,
)
from symlump.ode.monomials import starts_of
from symlump.ode.system import ODE

_MINUS = Fraction(-1)
#: For each target block with a derivative other than 0, that derivative.
BlockGradient = dict[int, Polynomial]


class Gradients:
    """∂f_B/∂x_i for blocks B and single variables, as polynomials in the symbols of a system."""

    def __init__(self, ode: ODE, labels: IntArray) -> None:
        assert ode.generators is not None
        self._ode, self._generators, self._labels = ode, ode.generators, labels
        self._first = len(ode)
        table = ode.monomials
        order = np.argsort(table.variables, kind="stable")
        self._owners = table.owners[order]
        self._of_symbol = starts_of(table.variables, ode.symbols)
        self._by_column = np.argsort(ode.columns, kind="stable")
        self._of_column = starts_of(ode.columns, len(table))
        self._support = ode.generators.support.tocsc()

    def by(self, variable: int) -> BlockGradient:
        """The derivatives of all block sums by one variable."""
        result: BlockGradient = {}
        self._add(result, variable, None)
        for k, slope in self._inner(variable).items():
            self._add(result, self._first + k, slope)
        return {target: p for target, p in result.items() if p}

    def _add(self, result: BlockGradient, by: int, factor: Polynomial | None) -> None:
        """Add ∂f_B/∂s times a factor for every block."""
        ode = self._ode
        for monomial in np.unique(
            self._owners[int(self._of_symbol[by]) : int(self._of_symbol[by + 1])]
        ).tolist():
            factors = tuple(ode.monomials.factors(monomial))
            terms = self._by_column[
                int(self._of_column[monomial]) : int(self._of_column[monomial + 1])
            ]
            for t in terms.tolist():
                lowered = derivative({factors: ode.coefficients[t]}, by)
                target = result.setdefault(int(self._labels[ode.rows[t]]), {})
                add_to(target, lowered if factor is None else _product(lowered, factor))

    def _inner(self, variable: int) -> dict[int, Polynomial]:
        """dg/dx of each function that x occurs in."""
        generators = self._generators
        support = self._support
        members = np.sort(support.indices[support.indptr[variable] : support.indptr[variable + 1]])
        found: dict[int, Polynomial] = {}
        for k in members.tolist():  # arguments come before the functions of them
            whole: Polynomial = {}
            for a, u in enumerate(generators.arguments_of(k)):
                inside = derivative(u, variable)
                for s in symbols_of(u):
                    if s >= self._first and s - self._first in found:
                        add_to(inside, _product(derivative(u, s), found[s - self._first]))
                if inside:
                    add_to(whole, _product(inside, self._ode.table.free_slope(self._first + k, a)))
            if whole:
                found[k] = whole
        return found


def differ(ode: ODE, a: BlockGradient, b: BlockGradient) -> bool:
    """True if two gradients are different functions."""
    return any(
        not ode.table.is_zero(add_to(dict(a.get(target, {})), b.get(target, {}), _MINUS))
        for target in a.keys() | b.keys()
    )


def gradient_of(ode: ODE, labels: IntArray, members: Iterable[int]) -> dict[int, BlockGradient]:
    """The gradients of several variables."""
    gradients = Gradients(ode, labels)
    return {member: gradients.by(member) for member in members}


def _product(p: Polynomial, q: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for a, x in p.items():
        for b, y in q.items():
            add_to(result, {multiply_monomials(a, b): x * y})
    return result
