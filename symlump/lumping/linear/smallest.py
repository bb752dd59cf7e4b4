"""The smallest linear lumping that keeps given linear forms, exactly.

Small systems are closed in integers, others modulo a prime, or at random points where there are functions. The
method is :class:`symlump.lumping.linear.constrained.Constrained`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from symlump.errors import (
    FailureError,
)
from symlump.lumping.linear.evaluated import smallest_evaluated
from symlump.lumping.linear.function_quotient import functional_quotient
from symlump.lumping.linear.linear_lumping import (
    Derivation,
    LinearLumping,
    names_of_rows,
    row_names,
)
from symlump.lumping.linear.nearly import nearly_everything
from symlump.lumping.linear.quotient import Section, linear_quotient
from symlump.lumping.linear.readable import readable, readable_rows
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import InvariantSpace, smallest_invariant
from symlump.lumping.linear.spaces.merged import MergedTerms
from symlump.lumping.linear.spaces.small import MOST_TERMS, close_small
from symlump.lumping.linear.spaces.small_quotient import small_quotient
from symlump.lumping.linear.spaces.small_terms import Row, Terms
from symlump.lumping.lumping import Lumping
from symlump.ode.exact import ExactArray, prime_for
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.linear.constrained import Constrained

#: A linear form: the coefficient of each variable in it.
Form = dict[str, Fraction]
#: A basis with more entries stays as it is.
_MOST_READ = 200_000


def invariant_space(ode: ODE, forms: Mapping[str, Form], seed: int = 0) -> InvariantSpace:
    """The smallest row space of a lumping that contains some forms."""
    start = form_matrix(forms.values(), ode)
    if isinstance(ode, PolynomialODE):
        return smallest_invariant(MatrixFamily.of_jacobian(ode), start, seed)
    return smallest_evaluated(ode, start, seed)


def lump_constrained(
    ode: ODE,
    forms: Mapping[str, Form],
    method: Constrained,
    seed: int,
    space: Callable[[], InvariantSpace],
) -> LinearLumping:
    """The smallest linear lumping that keeps some forms, exactly; ``lump(ode, Constrained(…))`` without ε.

    Parameters
    ----------
    ode : ODE
    forms : mapping of str to Form
    method : Constrained
    seed : int
    space : callable
        Gives their :func:`invariant_space`, where nothing shorter leads to the lumping.
    """
    if not isinstance(ode, PolynomialODE):
        return lump_functions(ode, forms, method, space())
    small = lump_small(ode, forms, method)
    if small is not None:
        return small
    near = nearly_everything(ode, forms, seed)
    if near is not None:
        return partition_lumping(*near, purpose(forms), method)
    found = space()
    return exact_lumping(ode, found.basis, purpose(forms), method, derivation(ode, forms, found))


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


def partition_lumping(
    lumping: Lumping, least: int, purpose: str, method: Constrained
) -> LinearLumping:
    """A forward equivalence as a linear lumping, where none has fewer than ``least`` rows."""
    ode, quotient = lumping.ode, lumping.quotient
    assert isinstance(ode, PolynomialODE) and isinstance(quotient, PolynomialODE)
    labels, size = lumping.partition.labels, len(ode)
    ones = np.ones(size, dtype=np.int64)
    columns = np.arange(size, dtype=np.int64)
    rows = ExactMatrix.from_entries(labels, columns, ExactArray(ones, ones), (len(quotient), size))
    return LinearLumping(ode, rows, quotient, purpose, method, at_least=least)


def purpose(forms: Iterable[str]) -> str:
    """What a lumping is for, as it stands in its headline."""
    names = list(forms)
    shown = ", ".join(names[:4])
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
    rows = readable(basis) if len(basis.columns) <= _MOST_READ else basis.primitive()
    if len(rows.columns) == len(ode) == rows.shape[0]:  # the variables themselves
        return LinearLumping(ode, rows, ode, purpose, method, derivation)
    try:
        quotient = _quotient(ode, rows)
    except FailureError:  # products of long combinations; in the echelon basis there are none
        rows = basis.primitive()
        quotient = _quotient(ode, rows)
    return LinearLumping(ode, rows, quotient, purpose, method, derivation)


def _quotient(ode: ODE, rows: ExactMatrix) -> ODE:
    names = row_names(ode, rows)
    if isinstance(ode, PolynomialODE):
        return linear_quotient(ode, rows, Section.of(rows), names)
    return functional_quotient(ode, rows, names)


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
