"""Constrained lumping: the smallest linear lumping that keeps given observables.

y = L·x obeys a system of its own, y' = g(y), iff the row space of L is invariant under every coefficient
matrix of the Jacobian. Among the lumpings whose rows determine the observables there is a smallest one:
the closure of the observables under these matrices.

References
----------
Ovchinnikov, Pérez Verona, Pogudin, Tribastone, doi:10.1093/bioinformatics/btab010, arXiv:2004.11961 (exact);
Leguizamón-Robayo et al., arXiv:2411.14242 (approximate).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from numbers import Rational
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import (
    FailureError,
    InputError,
    MethodError,
    NotPolynomialError,
    VariableError,
)
from symlump.lumping.equivalence import LumpingMethod, check_system
from symlump.lumping.linear.evaluated import smallest_evaluated
from symlump.lumping.linear.function_quotient import functional_quotient
from symlump.lumping.linear.linear_lumping import Derivation, LinearLumping, row_names
from symlump.lumping.linear.nearly import nearly_everything
from symlump.lumping.linear.quotient import Section, linear_quotient
from symlump.lumping.linear.readable import integer_rows, readable, readable_rows
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import InvariantSpace, smallest_invariant
from symlump.lumping.linear.spaces.residues import FIRST_PRIME
from symlump.lumping.linear.spaces.small import MOST_TERMS, close_small
from symlump.lumping.linear.spaces.small_quotient import own_columns, small_quotient
from symlump.lumping.linear.spaces.small_terms import Terms
from symlump.lumping.lumping import Lumping
from symlump.ode.exact import ExactArray
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE
from symlump.plan import check_exact_wish

if TYPE_CHECKING:
    from symlump.lumping.linear.plan import ConstrainedPlan

Form = dict[str, Fraction]
#: A basis with more entries stays as it is.
_MOST_READ = 200_000


@dataclass(frozen=True)
class Constrained(LumpingMethod[LinearLumping]):
    """The smallest linear lumping that keeps some observables, exact (``eps=0``) or within a tolerance.

    Parameters
    ----------
    observables : name, expression, mapping, or an iterable of these
        What the quotient must still determine: names of variables; linear forms as text (``"2*x + y"``), as
        ``{name: coefficient}`` or as sympy expressions.
    eps : float
        Tolerance; 0 asks for the exact lumping. See :mod:`symlump.lumping.linear.approximate`.
    retain : float, optional
        Instead of ``eps``: the share of the variables to keep, in (0, 1]. The smallest ε that keeps no more is
        used.

    Raises
    ------
    MethodError
        If there is no observable, or the tolerance is no finite number from 0 on.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = sl.PolynomialODE.from_sympy({x1: (x2 + 2*x3)**2, x2: 4*x3 - 2*x1, x3: x1 + x2})
    >>> print(sl.lump(ode, Constrained(["x1"])))
    3 → 2 variables by the smallest linear lumping that keeps x1, exact, proof checked
    y1 = x2 + 2*x3
    x1' = y1^2
    y1' = 2*y1
    """

    observables: tuple[Any, ...]
    eps: float = 0.0
    retain: float | None = None

    def __init__(self, observables: Any, eps: float = 0.0, retain: float | None = None) -> None:
        check_exact_wish(self, eps, retain)
        single = isinstance(observables, str | Mapping) or not isinstance(observables, Iterable)
        given = (observables,) if single else tuple(observables)
        if not given:
            raise MethodError(
                'Constrained needs at least one observable, such as Constrained(["x1", "x2 + x3"]); for '
                "lumpings without one, see hierarchy(ode)"
            )
        object.__setattr__(self, "observables", given)
        object.__setattr__(self, "eps", eps)
        object.__setattr__(self, "retain", retain)

    @property
    def is_exact(self) -> bool:
        """True where no tolerance is asked for."""
        return self.eps == 0 and self.retain is None

    def plan(self, subject: ODE, initial: object = None, *, seed: int = 0) -> ConstrainedPlan:
        """See :class:`symlump.lumping.equivalence.LumpingMethod`.

        Raises
        ------
        MethodError
            If there is an initial partition.
        """
        from symlump.lumping.linear.plan import ConstrainedPlan

        if initial is not None:
            raise MethodError("Constrained takes no initial partition: it keeps its observables")
        check_system(subject, "lump")
        return ConstrainedPlan(subject, self, seed)

    def forms(self, ode: ODE) -> dict[str, Form]:
        """The observables as linear forms in the variables of a system, by the text that shows them.

        Raises
        ------
        VariableError
            If a name is not a variable of the system.
        MethodError
            If an observable is not linear, or zero.
        """
        forms: dict[str, Form] = {}
        for observable in self.observables:
            form = _form(observable, ode)
            text = observable if isinstance(observable, str) else _text(form)
            if not form:
                raise MethodError(f"the observable {text!r} is zero, so there is nothing to keep")
            forms[text] = form
        return forms


def lump_constrained(ode: ODE, method: Constrained, seed: int = 0) -> LinearLumping:
    """The smallest linear lumping that keeps the observables, exactly; ``lump(ode, Constrained(…))`` without ε.

    Raises
    ------
    VariableError, MethodError
        If an observable does not fit the system.
    """
    forms = method.forms(ode)
    if not isinstance(ode, PolynomialODE):
        return lump_functions(ode, forms, method, seed)
    small = lump_small(ode, forms, method)
    if small is not None:
        return small
    near = nearly_everything(ode, forms, seed)
    if near is not None:
        return partition_lumping(*near, purpose(forms), method)
    start = form_matrix(forms.values(), ode)
    space = smallest_invariant(MatrixFamily.of_jacobian(ode), start, seed)
    return exact_lumping(ode, space.basis, purpose(forms), method, derivation(ode, forms, space))


def lump_functions(
    ode: ODE, forms: Mapping[str, Form], method: Constrained, seed: int = 0
) -> LinearLumping:
    """The same where there are quotients and functions."""
    space = smallest_evaluated(ode, form_matrix(forms.values(), ode), seed)
    closure = space.closure
    steps = zip(closure.parents.tolist(), closure.generators.tolist(), strict=True)
    why = Derivation(forms, tuple(closure.kept.tolist()), FIRST_PRIME, points=tuple(steps))
    return exact_lumping(ode, space.basis, purpose(forms), method, why)


def lump_small(
    ode: PolynomialODE, forms: Mapping[str, Form], method: Constrained
) -> LinearLumping | None:
    """The same in plain integers, where system, work and numbers are small; else None."""
    if ode.terms > MOST_TERMS:
        return None
    terms, index, names = Terms.of(ode), ode.index, ode.variables
    start = []
    for form in forms.values():
        shared = lcm(*(value.denominator for value in form.values()))
        start.append({index[name]: int(value * shared) for name, value in form.items()})
    closure = close_small(terms, start)
    if closure is None:
        return None
    rows = readable_rows(closure.rows)
    matrix, columns = ExactMatrix.from_rows(rows, len(ode)), own_columns(rows)
    quotient = None
    if len(rows) == len(ode):  # then they are the variables
        quotient = ode
    elif columns is None:
        try:
            quotient = linear_quotient(ode, matrix, Section.of(matrix), row_names(ode, matrix))
        except FailureError:  # products of long combinations; in the echelon basis there are none
            matrix = ExactMatrix.from_rows(closure.rows, len(ode)).primitive()
            rows = integer_rows(matrix)
            columns = own_columns(rows)
    if quotient is None:
        assert columns is not None
        quotient = small_quotient(terms, rows, columns, row_names(ode, matrix), ode)
    steps = tuple(
        (parent, tuple((names[v], power) for v, power in factors))
        for parent, factors in closure.steps
    )
    why = Derivation(forms, tuple(closure.kept), closure.prime, steps)
    return LinearLumping(ode, matrix, quotient, purpose(forms), method, why)


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


def _form(observable: Any, ode: ODE) -> Form:
    if isinstance(observable, Mapping):
        form: Form = {}
        for variable, value in observable.items():
            name = ode.variables[ode.position(variable)]
            form[name] = form.get(name, Fraction(0)) + _number(value, variable)
        return {name: value for name, value in form.items() if value}
    if isinstance(observable, str):
        if observable in ode.index:
            return {observable: Fraction(1)}
        return _read(observable, ode)
    if hasattr(observable, "as_coefficients_dict"):
        return _form_of_sympy(observable, ode)
    raise MethodError(
        f"the observable {observable!r} is neither a name, a text such as '2*x + y', a mapping of names to "
        "coefficients, nor a sympy expression"
    )


def _number(value: Any, variable: Any) -> Fraction:
    """A coefficient, exactly: a float is the dyadic rational that it denotes."""
    try:
        if isinstance(value, Rational | float | str):
            return Fraction(value)
        return Fraction(int(value.p), int(value.q))  # sympy's rationals
    except (ValueError, OverflowError, AttributeError, ZeroDivisionError):
        raise MethodError(
            f"the coefficient {value!r} of {variable} is not a rational number"
        ) from None


def _form_of_sympy(expression: Any, ode: ODE) -> Form:
    import sympy

    unused = sympy.Dummy("observable")
    symbols = sorted(expression.free_symbols, key=str)
    try:
        reader = PolynomialODE.from_sympy({unused: expression}, parameters=symbols)
    except NotPolynomialError as problem:
        raise MethodError(f"the observable {expression} is not a linear form: {problem}") from None
    form: Form = {}
    for column, value in zip(reader.columns.tolist(), reader.coefficients, strict=True):
        factors = reader.monomials.factors(column)
        if len(factors) != 1 or factors[0][1] != 1:
            raise MethodError(f"the observable {expression} is not a linear form")
        form[ode.variables[ode.position(reader.variables[factors[0][0]])]] = value
    return form


def _read(text: str, ode: ODE) -> Form:
    """A linear form in text, by the parser of the model files; nothing is evaluated."""
    from symlump.formats.expression import ORDINARY, ExpressionReader, Tokens
    from symlump.formats.polynomials import PolynomialArithmetic
    from symlump.formats.source import Source
    from symlump.ode.functions.algebra import symbol

    source = Source("observable", text)
    names = {name: symbol(i) for i, name in enumerate(ode.variables)}
    tokens = Tokens(source, 0, len(text))
    try:
        polynomial = ExpressionReader(names, ORDINARY, PolynomialArithmetic()).read(tokens)
        if tokens.kind != "end":
            raise tokens.error("the end of the observable")
    except InputError as problem:
        if re.fullmatch(r"[^\s+*/^()-]+", text):
            ode.position(text)  # says which names there are
        raise VariableError(f"the observable {text!r} cannot be read: {problem}") from None
    if any(len(monomial) != 1 or monomial[0][1] != 1 for monomial in polynomial):
        raise MethodError(
            f"the observable {text!r} is not a linear form, a sum of multiples of variables"
        )
    return {ode.variables[monomial[0][0]]: value for monomial, value in polynomial.items()}


def _text(form: Form) -> str:
    from symlump.ode.notation import signed_sum

    names = list(form)
    terms = [(((i, 1),), form[name]) for i, name in enumerate(names[:6])]
    return signed_sum(terms, len(names), names)
