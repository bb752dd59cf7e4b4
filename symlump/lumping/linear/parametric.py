"""The smallest linear lumpings of a family: for almost all values of a parameter, and for each of the others.

The parameter t stands in the system, in the observables, or in both. Over Q(t) what the observables lead
to has a basis of d rows of coprime polynomials. Each is a combination of what was derived before, divided by
a content; that r·J_k lies in their span, for all of them and all k, is computed over Q(t). So no value needs
more than d rows, and fewer will do only where a content or a pivot of the echelon form is zero. These have
finitely many irreducible factors f over Q. For each the space is computed anew, modulo a prime first: where
there are d rows there, the roots of f need them, too.

References
----------
Ovchinnikov, Pérez Verona, Pogudin, Tribastone, doi:10.1093/bioinformatics/btab010 (the smallest lumping).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING, Any

from symlump.errors import MethodError, SubjectError
from symlump.lumping.equivalence import check_system
from symlump.lumping.linear.constrained import (
    Constrained,
    form_of,
    form_text,
    is_expression,
    read_polynomial,
)
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.smallest import Form
from symlump.lumping.linear.splitting.charpoly import MOST_SHOWN, polynomial_text
from symlump.lumping.linear.splitting.polynomial_matrices import (
    ParametricForm,
    PolynomialMatrices,
    close_rows,
    derive,
    is_most,
)
from symlump.lumping.lump import lump
from symlump.memory import memory_errors
from symlump.ode.notation import Term, count_text, cut_texts, signed_sum
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.substitute import substitute
from symlump.ode.system import ODE

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class SpecialValue:
    """Values of a parameter at which a smaller linear lumping will do.

    Parameters
    ----------
    polynomial : tuple of int
        Irreducible over Q, from the highest power down: its roots are the values.
    dimension : int
        Rows of the smallest lumping there.
    lumping : LinearLumping or None
        None where the roots are irrational, as its rows lie in their field; and where all observables are zero.
    """

    polynomial: tuple[int, ...]
    dimension: int
    lumping: LinearLumping | None

    @property
    def value(self) -> Fraction | None:
        """The value, if it is rational."""
        if len(self.polynomial) > 2:
            return None
        return Fraction(-self.polynomial[1], self.polynomial[0])

    def to_text(self, parameter: str) -> str:
        """The value and what there is.

        Examples
        --------
        >>> SpecialValue((1, 0, -2), 3, None).to_text("k")
        'k^2 - 2 = 0: 3 rows, with coefficients in the field of a root, not written down'
        """
        if self.value is not None:
            at = f"{parameter} = {self.value}"
            return f"{at}: {self.lumping or 'all observables are zero'}"
        degree = len(self.polynomial) - 1
        f = polynomial_text(self.polynomial, parameter, exactly=str)
        at = f"{f} = 0" if degree <= MOST_SHOWN else f"{parameter} a root of {f}"
        where = "with coefficients in the field of a root, not written down"
        return f"{at}: {count_text(self.dimension, 'row')}, {where}"


@dataclass(frozen=True, repr=False)
class LumpingFamily:
    """The smallest linear lumpings that keep some observables, one for each value of a parameter.

    Parameters
    ----------
    ode : ODE
    parameter : str
    observables : dict of str to mapping
        By their texts: the coefficients of the powers of the parameter, for each variable.
    combinations : tuple of dict of str to sympy expression
        Rows for all values but the special ones, and but those at which these rows depend on each
        other: at such a value there are as many others, which `at` finds.
    special : tuple of SpecialValue
        All values with fewer rows, the rational ones first and ascending.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = -x; y' = -2*y; z' = x*y")
    >>> family = sl.lump_family(ode, "k", ["x + k*y"])
    >>> family.dimension, [special.value for special in family.special]
    (2, [Fraction(0, 1)])
    """

    ode: ODE
    parameter: str
    observables: dict[str, ParametricForm]
    combinations: tuple[dict[str, sympy.Expr], ...]
    special: tuple[SpecialValue, ...]

    @property
    def dimension(self) -> int:
        """Rows of the smallest lumping at all values but the special ones."""
        return len(self.combinations)

    def at(self, value: Any) -> LinearLumping:
        """The smallest lumping at a rational value, proved as every constrained lumping is.

        Parameters
        ----------
        value : int, Fraction, str or float
            A float is the dyadic rational that it denotes.

        Returns
        -------
        LinearLumping

        Raises
        ------
        MethodError
            If it is not rational, or all observables are zero there.

        Examples
        --------
        >>> family = lump_family(ODE.from_text("x' = -x; y' = -2*y"), "k", ["x + k*y"])
        >>> family.at("1/2").headline()
        '2 → 2 variables by the smallest linear lumping that keeps x + 1/2*y, exact, proof checked'
        """
        try:
            exact = Fraction(value)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            raise MethodError(f"{self.parameter} = {value!r} is no rational number") from None
        lumping = _lump_at(self.ode, self.parameter, self.observables, exact)
        if lumping is None:
            raise MethodError(f"all observables are zero at {self.parameter} = {exact}")
        return lumping

    def headline(self) -> str:
        """One line.

        Returns
        -------
        str

        Examples
        --------
        >>> lump_family(ODE.from_text("x' = -x; y' = -2*y"), "k", ["x + k*y"]).headline()
        'smallest linear lumpings that keep x + k*y: 2 rows, fewer at 1 value of k'
        """
        kept = ", ".join(cut_texts(self.observables))
        text = f"smallest linear lumpings that keep {kept}: {count_text(self.dimension, 'row')}, fewer at "
        count = sum(len(special.polynomial) - 1 for special in self.special)
        return f"{text}{count_text(count, 'value') if count else 'no value'} of {self.parameter}"

    def to_text(self) -> str:
        """Headline, the rows for all other values, and the lumping at each special one.

        Returns
        -------
        str

        Examples
        --------
        >>> print(lump_family(ODE.from_text("x' = -x; y' = -2*y"), "k", ["x + k*y"]).to_text())
        smallest linear lumpings that keep x + k*y: 2 rows, fewer at 1 value of k
        else: x, y
        k = 0: 2 → 1 variables by the smallest linear lumping that keeps x, exact, proof checked
        x' = -x
        """
        rows = ", ".join(_row_text(row) for row in self.combinations)
        special = (special.to_text(self.parameter) for special in self.special)
        return "\n".join([self.headline(), f"else: {rows}", *special])

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"

    def __repr__(self) -> str:
        return f"<LumpingFamily: {self.headline()}>"


@memory_errors()
def lump_family(ode: ODE, parameter: str, observables: Any, seed: int = 0) -> LumpingFamily:
    """Find the smallest linear lumping that keeps some observables, for every value of one parameter.

    Parameters
    ----------
    ode : ODE
        Polynomial, of up to some dozen variables. Further parameters are variables with derivative 0.
    parameter : str
        One of the system's parameters, or a further name that stands in the observables only.
    observables : name, expression, mapping, or an iterable of these
        As in :class:`symlump.lumping.linear.constrained.Constrained`; in text and in sympy expressions
        coefficients may be polynomials in the parameter, as in ``"x + k*y"``.
    seed : int
        Seed of computations modulo primes. The result does not depend on it.

    Returns
    -------
    LumpingFamily

    Raises
    ------
    MethodError
        If the parameter has an equation, or nothing depends on it; if the system has quotients or functions;
        if there is no observable, or one is not linear in the variables.

    Examples
    --------
    >>> ode = ODE.from_text("s' = -s; a' = s - k*a; b' = s - 2*b; y' = k*a + 2*b", parameters=["k"])
    >>> print(lump_family(ode, "k", ["y"]))
    smallest linear lumpings that keep y: 4 rows, fewer at 3 values of k
    else: s, a, b, y
    k = 0: 4 → 3 variables by the smallest linear lumping that keeps y, exact, proof checked
    s' = -s
    b' = s - 2*b
    y' = 2*b
    k = 2/3: 4 → 3 variables by the smallest linear lumping that keeps y, exact, proof checked
    y1 = 3*s + a
    y2 = a + 3*b
    y1' = -2/3*y1
    y2' = 4/3*y1 - 2*y2
    y'  = 2/3*y2
    k = 2: 4 → 3 variables by the smallest linear lumping that keeps y, exact, proof checked
    y1 = a + b
    s'  = -s
    y1' = 2*s - 2*y1
    y'  = 2*y1
    """
    check_system(ode, "lump_family")
    if not isinstance(ode, PolynomialODE):
        raise SubjectError(
            "lump_family takes polynomial systems; with quotients and functions put values of the "
            "parameter into the system, and use lump(ode, Constrained(observables)), or symlump lump"
        )
    if parameter in ode.index and parameter not in ode.parameters:
        raise SubjectError(
            f"{parameter} is a variable of the system; declare it with parameters=[{parameter!r}], or leave "
            "its equation out of the file"
        )
    forms = _read_forms(ode, parameter, Constrained(observables).observables)
    matrices = PolynomialMatrices(ode, parameter, forms)
    if not matrices.depends:
        raise SubjectError(
            f"neither the system nor an observable depends on {parameter}: its one smallest lumping is that of "
            "lump(ode, Constrained(observables)), or symlump lump --method constrained"
        )
    generic = derive(matrices)
    special, most = [], len(generic.basis)
    for f in generic.factors:
        if is_most(matrices, f, most, seed):
            continue
        lumping = None
        if len(f) == 2:
            lumping = _lump_at(ode, parameter, forms, Fraction(-f[1], f[0]))
            dimension = 0 if lumping is None else len(lumping)
        else:
            dimension = len(close_rows(matrices, f).rows)
        if dimension < most:
            special.append(SpecialValue(tuple(f), dimension, lumping))
    special.sort(key=lambda s: (s.value is None, s.value or 0, s.polynomial))
    return LumpingFamily(ode, parameter, forms, matrices.named(generic.basis), tuple(special))


def _read_forms(ode: ODE, parameter: str, observables: Iterable[Any]) -> dict[str, ParametricForm]:
    """Observables by their texts."""
    further = [] if parameter in ode.index else [parameter]
    names = [*ode.variables, *further]
    found: dict[str, ParametricForm] = {}
    for observable in observables:
        form: ParametricForm = {}
        if is_expression(observable) and observable not in ode.index:
            text = str(observable)
            for monomial, value in read_polynomial(observable, ode, further).items():
                powers = {names[v]: e for v, e in monomial}
                power = powers.pop(parameter, 0)
                if list(powers.values()) != [1]:
                    raise MethodError(
                        f"the observable {text!r} is not a linear form in the variables"
                    )
                form.setdefault(next(iter(powers)), {})[power] = value
        else:
            plain = form_of(observable, ode)
            text = observable if isinstance(observable, str) else form_text(plain)
            form = {name: {0: value} for name, value in plain.items()}
            if parameter in form:
                raise MethodError(f"the observable {text!r} is not a linear form in the variables")
        if not form:
            raise MethodError(f"the observable {text!r} is zero, so there is nothing to keep")
        if found.get(text, form) != form:  # what is shown of long ones is the same
            text = _whole_text(form, parameter)
        found[text] = form
    return found


def _whole_text(form: ParametricForm, parameter: str) -> str:
    """The whole of a form, with nothing cut.

    Examples
    --------
    >>> _whole_text({"x": {0: Fraction(1), 1: Fraction(-2, 3)}}, "k")
    'x - 2/3*x*k'
    """
    terms: list[Term] = [
        (((i, 1), (len(form), power)) if power else ((i, 1),), value)
        for i, powers in enumerate(form.values())
        for power, value in powers.items()
    ]
    return signed_sum(terms, len(terms), [*form, parameter], exactly=str)


def _lump_at(
    ode: ODE, parameter: str, forms: dict[str, ParametricForm], value: Fraction
) -> LinearLumping | None:
    """The smallest lumping at a value; None where all observables are zero."""
    there: list[Form] = []
    for form in forms.values():
        numbers = {
            name: sum((c * value**e for e, c in powers.items()), Fraction(0))
            for name, powers in form.items()
        }
        there.append({name: number for name, number in numbers.items() if number})
    there = [form for form in there if form]
    if not there:
        return None
    if parameter in ode.index:
        ode = substitute(ode, {parameter: value})
    return lump(ode, Constrained(there))


def _row_text(row: dict[str, sympy.Expr]) -> str:
    """A row as it is shown.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> _row_text({"x": sympy.Integer(1), "y": -k, "z": k**2 - 1})
    'x - k*y + (k^2 - 1)*z'
    """
    text = ""
    for name, value in row.items():
        plain = f"({_plain(value)})" if value.is_Add else _plain(value)
        sign, plain = ("-", plain[1:]) if plain.startswith("-") else ("+", plain)
        term = name if plain == "1" else f"{plain}*{name}"
        text += f" {sign} {term}" if text else f"{sign if sign == '-' else ''}{term}"
    return text


def _plain(value: Any) -> str:
    return str(value).replace("**", "^")
