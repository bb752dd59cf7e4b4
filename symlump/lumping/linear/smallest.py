"""The smallest linear lumping that keeps given linear forms, exactly.

Small systems are closed in integers, others modulo a prime, or at random points where there are functions. The
method is :class:`symlump.lumping.linear.constrained.Constrained`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import FailureError
from symlump.lumping.linear.block_sums import SummedSystem
from symlump.lumping.linear.evaluated import smallest_evaluated
from symlump.lumping.linear.function_quotient import functional_quotient
from symlump.lumping.linear.linear_lumping import (
    Derivation,
    LinearLumping,
    names_of_rows,
    row_names,
)
from symlump.lumping.linear.nearly import DENSE, LARGE, NEAR, SOME, everything, order_of_recurrence
from symlump.lumping.linear.quotient import Section, linear_quotient
from symlump.lumping.linear.readable import readable, readable_rows
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.invariant import InvariantSpace, identity, smallest_invariant
from symlump.lumping.linear.spaces.merged import MergedTerms
from symlump.lumping.linear.spaces.small import MOST_TERMS, close_small
from symlump.lumping.linear.spaces.small_quotient import small_quotient
from symlump.lumping.linear.spaces.small_terms import Row, Terms
from symlump.ode.exact import ExactArray, prime_for
from symlump.ode.notation import cut_texts
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.linear.constrained import Constrained

#: A linear form: the coefficient of each variable in it.
Form = dict[str, Fraction]
#: A basis with more entries stays as it is.
_MOST_READ = 200_000


@dataclass(frozen=True, eq=False)
class Search:
    """For the smallest linear lumping of a system that keeps some forms.

    Parameters
    ----------
    ode : ODE
    forms : mapping of str to Form
    seed : int
    """

    ode: ODE
    forms: Mapping[str, Form]
    seed: int = 0

    @cached_property
    def sums(self) -> SummedSystem:
        """Where it is sought."""
        return SummedSystem.of(self.ode, self.forms, self.seed)

    @cached_property
    def start(self) -> ExactMatrix:
        """The forms as rows in the sums."""
        return self.sums.narrow(form_matrix(self.forms.values(), self.ode))

    @property
    def _also(self) -> tuple[ExactArray, ...]:
        """What has denominators beside the system in sums: steps are replayed in the variables."""
        return (self.ode.coefficients,) if self.sums.merged else ()

    @cached_property
    def _least(self) -> tuple[int, int]:
        """No lumping has fewer rows, as a prime shows; (0, 0) where that is not asked."""
        size = len(self.sums)
        if not isinstance(self.ode, PolynomialODE) or size < SOME:
            return 0, 0
        family = self.sums.jacobian
        if family.only_generator < 0:
            return 0, 0
        if size <= LARGE and DENSE * len(family.unfolded.columns) > size**2:
            return 0, 0
        return order_of_recurrence(family, self.start, self.seed, self._also)

    @property
    def at_least(self) -> int | None:
        """Where the sums of a large system are nearly the smallest lumping: the least number of rows."""
        least, size = self._least[0], len(self.sums)
        return least if size > LARGE and size <= NEAR * least else None

    @cached_property
    def space(self) -> InvariantSpace:
        """The smallest row space of a lumping that contains the forms, in the sums."""
        if not isinstance(self.ode, PolynomialODE):
            return smallest_evaluated(self.ode, self.start, self.seed)
        least, prime = self._least
        if least == len(self.sums) and self.start.shape[0] == 1:
            return everything(self.sums.jacobian, prime)
        return smallest_invariant(self.sums.jacobian, self.start, self.seed, self._also)


def lump_constrained(search: Search, method: Constrained) -> LinearLumping:
    """The smallest linear lumping that keeps some forms, exactly; ``lump(ode, Constrained(…))`` without ε.

    Parameters
    ----------
    search : Search
    method : Constrained
    """
    ode, forms = search.ode, search.forms
    if not isinstance(ode, PolynomialODE):
        return lump_functions(ode, forms, method, search.space)
    small = lump_small(ode, forms, method)
    if small is not None:
        return small
    sums, least = search.sums, search.at_least
    assert isinstance(sums.system, PolynomialODE)
    if least is not None:
        return lumping_in_sums(sums, identity(len(sums)), purpose(forms), method, at_least=least)
    found = search.space
    why = derivation(sums.system, forms, found)
    return lumping_in_sums(sums, found.basis, purpose(forms), method, why)


def lump_functions(
    ode: ODE, forms: Mapping[str, Form], method: Constrained, space: InvariantSpace
) -> LinearLumping:
    """The smallest linear lumping by its row space, where there are quotients and functions."""
    closure = space.closure
    steps = zip(closure.parents.tolist(), closure.generators.tolist(), strict=True)
    numbers = [
        ode.coefficients,
        # A prime divides neither side of these fractions: the derivation begins with the forms.
        ExactArray.from_fractions(
            w for f in forms.values() for v in f.values() if v for w in (v, 1 / v)
        ),
    ]
    if ode.generators is not None:
        numbers.append(ode.generators.arguments.coefficients)
    prime = prime_for(*numbers)
    why = Derivation(forms, tuple(closure.kept.tolist()), prime, points=tuple(steps))
    return exact_lumping(ode, space.basis, purpose(forms), method, why)


def lump_small(
    ode: PolynomialODE, forms: Mapping[str, Form], method: Constrained
) -> LinearLumping | None:
    """The smallest lumping in plain integers, where system, work and numbers are small; else None."""
    if ode.terms > MOST_TERMS:
        return None
    terms, index, names = Terms.of(ode), ode.index, ode.variables
    start, scales = [], []
    for form in forms.values():
        shared = lcm(*(value.denominator for value in form.values()))
        scales.append(shared)
        start.append({index[name]: int(value * shared) for name, value in form.items()})
    merged = MergedTerms.of(terms, start)
    closure = close_small(merged.terms, merged.start, len(merged.blocks))
    if closure is None or not all(shared % closure.prime for shared in scales):
        return None  # the derivation begins with the forms themselves, modulo the prime
    rows = closure.rows
    if len(rows) < len(merged.blocks):  # else they are the sums over blocks
        rows = readable_rows(rows, merged.sizes)
    try:
        matrix, quotient = _by_rows(ode, merged, rows)
    except FailureError:  # products of long combinations; in the echelon basis there are none
        matrix, quotient = _by_rows(ode, merged, closure.rows)
    steps = tuple(
        [
            (parent, tuple([(names[v], power) for v, power in factors]) if factors else ())
            for parent, factors in closure.steps
        ]
    )
    why = Derivation(forms, tuple(closure.kept), closure.prime, steps)
    return LinearLumping(ode, matrix, quotient, purpose(forms), method, why)


def _by_rows(
    ode: PolynomialODE, merged: MergedTerms, rows: list[Row]
) -> tuple[ExactMatrix, PolynomialODE]:
    """Rows in what a system was merged to: in its variables, and the quotient."""
    whole = merged.expanded(rows)
    matrix = ExactMatrix.from_integers(whole, len(ode))
    if len(rows) == len(ode):  # the variables themselves
        return matrix, ode
    single = [c if len(row) == 1 and row[c := next(iter(row))] == 1 else -1 for row in whole]
    names = names_of_rows(ode, single)
    parameters = [name for name in ode.parameters if name in names] if ode.parameters else []
    return matrix, small_quotient(merged.terms, rows, names, parameters)


def purpose(forms: Iterable[str]) -> str:
    """What a lumping is for, as it stands in its headline.

    Examples
    --------
    >>> purpose([" + ".join(f"x{i}" for i in range(20)), "x1"])
    'that keeps x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11 …, x1'
    """
    names = list(forms)
    shown = ", ".join(cut_texts(names)[:4])
    return f"that keeps {shown}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def form_matrix(forms: Iterable[Mapping[str, Fraction]], ode: ODE) -> ExactMatrix:
    """Linear forms as rows."""
    rows = [{ode.index[name]: value for name, value in form.items()} for form in forms]
    return ExactMatrix.from_rows(rows, len(ode))


def exact_lumping(
    ode: ODE,
    basis: ExactMatrix,
    purpose: str,
    method: Constrained | None = None,
    derivation: Derivation | None = None,
) -> LinearLumping:
    """The lumping by an invariant row space, in a readable basis.

    Parameters
    ----------
    basis : ExactMatrix
        The identity on some columns.
    """
    return lumping_in_sums(SummedSystem.single(ode), basis, purpose, method, derivation)


def lumping_in_sums(
    sums: SummedSystem,
    basis: ExactMatrix,
    purpose: str,
    method: Constrained | None = None,
    derivation: Derivation | None = None,
    at_least: int | None = None,
) -> LinearLumping:
    """The same by an invariant row space in sums."""
    sizes = sums.partition.sizes
    if sizes[basis.columns].sum() <= _MOST_READ:
        rows = readable(basis, sizes.tolist() if sums.merged else None)
    else:
        rows = _echelon(sums, basis)
    try:
        whole, quotient = _with_quotient(sums, rows)
    except FailureError:  # products of long combinations; in the echelon basis there are none
        whole, quotient = _with_quotient(sums, _echelon(sums, basis))
    return LinearLumping(sums.ode, whole, quotient, purpose, method, derivation, at_least=at_least)


def _echelon(sums: SummedSystem, basis: ExactMatrix) -> ExactMatrix:
    """The basis with coprime integers in each row, most of them positive."""
    return sums.narrow(sums.spread(basis).primitive())


def _with_quotient(sums: SummedSystem, rows: ExactMatrix) -> tuple[ExactMatrix, ODE]:
    """Rows in the variables, and the system that they obey."""
    ode, whole = sums.ode, sums.spread(rows)
    if len(rows.columns) == len(ode) == rows.shape[0]:  # the variables themselves
        return whole, ode
    names = row_names(ode, whole)
    if isinstance(sums.system, PolynomialODE):
        return whole, linear_quotient(sums.system, rows, Section.of(rows), names)
    return whole, functional_quotient(sums.system, rows, names)


def derivation(
    ode: PolynomialODE, forms: Mapping[str, Mapping[str, Fraction]], space: InvariantSpace
) -> Derivation:
    """The steps of the closure, with monomials in place of numbers."""
    closure, monomials, names = space.closure, ode.derivative.monomials, ode.variables
    factors = {
        k: tuple((names[v], power) for v, power in monomials.factors(k))
        for k in np.unique(closure.generators).tolist()
    }
    steps = zip(closure.parents.tolist(), closure.generators.tolist(), strict=True)
    return Derivation(
        forms,
        tuple(closure.kept.tolist()),
        closure.space.prime,
        tuple((parent, factors[k]) for parent, k in steps),
    )
