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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING, Any

from symlump.errors import (
    InputError,
    MethodError,
    NotPolynomialError,
    UnknownVariableError,
    VariableError,
)
from symlump.lumping.equivalence import LumpingMethod, check_system
from symlump.lumping.linear.irrational import field_of, refusal
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.smallest import Form
from symlump.ode.distinct import position_of
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE
from symlump.plan import check_exact_wish

if TYPE_CHECKING:
    from symlump.lumping.linear.plan import ConstrainedPlan
    from symlump.ode.functions.algebra import Polynomial


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
        if type(observables) is list or not _is_single(observables):
            given = tuple(observables)
        else:
            given = (observables,)
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
        """True if no tolerance is given."""
        return self.eps == 0 and self.retain is None

    def plan(self, subject: ODE, initial: object = None, *, seed: int = 0) -> ConstrainedPlan:
        """Analyse a system, once for all tolerances; see :class:`symlump.lumping.equivalence.LumpingMethod`.

        Parameters
        ----------
        subject : ODE
        initial : None
            Observables say what is kept, so there is no initial partition.
        seed : int

        Returns
        -------
        ConstrainedPlan

        Raises
        ------
        MethodError
            If there is an initial partition.

        Examples
        --------
        >>> plan = Constrained(["x"]).plan(ODE.from_text("x' = -x; y' = x - y"))
        >>> plan.size(0.0)
        1
        """
        from symlump.lumping.linear.plan import ConstrainedPlan

        if initial is not None:
            raise MethodError("Constrained takes no initial partition: it keeps its observables")
        check_system(subject, "lump")
        return ConstrainedPlan(subject, self, seed)

    def forms(self, ode: ODE) -> dict[str, Form]:
        """The observables as linear forms in the variables of a system, by the text that shows them.

        Parameters
        ----------
        ode : ODE

        Returns
        -------
        dict of str to Form

        Raises
        ------
        VariableError
            If a name is not a variable of the system.
        MethodError
            If an observable is not linear, or zero.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("x' = y; y' = -x")
        >>> {text: dict(form) for text, form in sl.Constrained(["x + 2*y"]).forms(ode).items()}
        {'x + 2*y': {'x': Fraction(1, 1), 'y': Fraction(2, 1)}}
        """
        forms: dict[str, Form] = {}
        for observable in self.observables:
            form = form_of(observable, ode)
            text = observable if isinstance(observable, str) else form_text(form)
            if not form:
                raise MethodError(f"the observable {text!r} is zero, so there is nothing to keep")
            if forms.get(text, form) != form:  # what is shown of long ones is the same
                text = form_text(form, whole=True)
            forms[text] = form
        return forms


def _is_single(observables: Any) -> bool:
    return isinstance(observables, str | Mapping) or not isinstance(observables, Iterable)


def form_of(observable: Any, ode: ODE) -> Form:
    """An observable as a linear form: what :class:`Constrained` takes.

    Examples
    --------
    >>> form_of("x - y", ODE.from_text("x' = y; y' = -x"))
    {'x': Fraction(1, 1), 'y': Fraction(-1, 1)}
    """
    if isinstance(observable, str) and observable in ode.index:
        return {observable: Fraction(1)}
    if isinstance(observable, Mapping):
        form: Form = {}
        for variable, value in observable.items():
            name = ode.variables[ode.position(variable)]
            form[name] = form.get(name, Fraction(0)) + _number(value, variable)
        return {name: value for name, value in form.items() if value}
    if is_expression(observable):
        polynomial = read_polynomial(observable, ode)
        if any(len(monomial) != 1 or monomial[0][1] != 1 for monomial in polynomial):
            raise MethodError(
                f"the observable {str(observable)!r} is not a linear form, a sum of multiples of variables"
            )
        return {ode.variables[monomial[0][0]]: value for monomial, value in polynomial.items()}
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
        field = field_of(value)
        where = "not a rational number" if field is None else f"in {field}, not a rational number"
        raise MethodError(f"the coefficient {value!r} of {variable} is {where}") from None


def is_expression(observable: Any) -> bool:
    """Whether an observable is text or a sympy expression: what :func:`read_polynomial` takes."""
    return isinstance(observable, str) or hasattr(observable, "as_coefficients_dict")


def read_polynomial(observable: Any, ode: ODE, further: Iterable[str] = ()) -> Polynomial:
    """An observable as a polynomial: text by the parser of the model files, or a sympy expression.

    Nothing is evaluated, and floats in an expression are the dyadic rationals that they denote.

    Parameters
    ----------
    observable : str or sympy expression
    ode : ODE
    further : iterable of str
        Names that may occur beside those of the variables, and are numbered after these.

    Examples
    --------
    >>> read_polynomial("x + 2*k*y", ODE.from_text("x' = y; y' = -x"), ["k"])
    {((0, 1),): Fraction(1, 1), ((1, 1), (2, 1)): Fraction(2, 1)}
    """
    from symlump.formats.expression import ORDINARY, ExpressionReader, Tokens
    from symlump.formats.polynomials import PolynomialArithmetic
    from symlump.formats.source import Source
    from symlump.ode.functions.algebra import symbol

    if not isinstance(observable, str):
        return _polynomial_of_sympy(observable, [*ode.variables, *further])
    text = observable
    source = Source("observable", text)
    names = {name: symbol(i) for i, name in enumerate([*ode.variables, *further])}
    tokens = Tokens(source, 0, len(text))
    try:
        polynomial = ExpressionReader(names, ORDINARY, PolynomialArithmetic(exact=True)).read(
            tokens
        )
        if tokens.kind != "end":
            raise tokens.error("the end of the observable")
    except InputError as problem:
        if not text.strip():
            raise VariableError(
                "an observable is empty: name a variable, or write a linear form such as '2*x + y'"
            ) from None
        said, kind = str(problem), VariableError
        found = re.search("the name '(.+)' is not defined$", said)
        missing = found[1] if found else None
        if missing == text:
            ode.position(text)  # says which names there are
        elif missing not in (None, "I"):
            try:
                ode.position(missing)
            except UnknownVariableError as unknown:
                said, kind = str(unknown), UnknownVariableError
        raise refusal(text, imaginary=missing == "I") or kind(
            f"the observable {text!r} cannot be read: {said}"
        ) from None
    return polynomial


def _polynomial_of_sympy(expression: Any, names: Sequence[str]) -> Polynomial:
    import sympy

    unused = sympy.Dummy("observable")
    symbols = sorted(expression.free_symbols, key=str)
    try:
        reader = PolynomialODE.from_sympy({unused: expression}, parameters=symbols)
    except NotPolynomialError as problem:
        raise refusal(expression) or MethodError(
            f"the observable {expression} is not a linear form: {problem}"
        ) from None
    index = {name: i for i, name in enumerate(names)}
    position = {v: position_of(name, index) for v, name in enumerate(reader.variables) if v}
    return {
        tuple(sorted((position[v], power) for v, power in monomial)): value
        for monomial, value in reader.equation(0).items()
    }


def form_text(form: Form, whole: bool = False) -> str:
    """A linear form as it stands in a headline, where what is long is cut; or the whole of it.

    Examples
    --------
    >>> form_text({"x": Fraction(1), "y": Fraction(-2)})
    'x - 2*y'
    >>> form = {"x": Fraction(123456789, 10**9)}
    >>> form_text(form), form_text(form, whole=True)
    ('0.123457…*x', '123456789/1000000000*x')
    """
    from symlump.ode.notation import signed_sum

    names = list(form)
    shown = names if whole else names[:6]
    terms = [(((i, 1),), form[name]) for i, name in enumerate(shown)]
    return signed_sum(terms, len(names), names, exactly=str if whole else None)
