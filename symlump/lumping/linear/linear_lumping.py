"""The result of a linear lumping: rows y = L·x that obey a system of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.errors import CertificateError, FailureError, MethodError
from symlump.lumping.linear.quotient import Section
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.lumping import CHECKED_TERMS, check_state, why_not_checked
from symlump.lumping.rendering import side_by_side, titled_latex
from symlump.ode.exact import FloatArray
from symlump.ode.functions.wording import taken_as_unknown, unknown_note, with_unknown
from symlump.ode.maps import in_time
from symlump.ode.notation import Term, count_text, name_latex, signed_sum
from symlump.ode.system import ODE
from symlump.proof.certificate import Certificate, check_accepted, linear_claim
from symlump.proof.check import Verdict, check
from symlump.proof.closure import check_closure

if TYPE_CHECKING:
    from symlump.lumping.error_bound import ErrorBound
    from symlump.lumping.linear.constrained import Constrained


@dataclass(frozen=True)
class Derivation:
    """Why no smaller linear lumping keeps the observables; see :mod:`symlump.proof.closure`.

    Parameters
    ----------
    observables : dict
        The linear forms to be kept, by the text that named them.
    start : tuple of int
        Which of them begin the derivation.
    prime : int
    steps : tuple of (parent, monomial)
        The vector number ``parent``, and factors (variable, power).
    points : tuple of (parent, point), optional
        For a system with functions, in place of ``steps``: the vector number ``parent``, and at which point.
    """

    observables: Mapping[str, Mapping[str, Fraction]]
    start: tuple[int, ...]
    prime: int
    steps: tuple[tuple[int, tuple[tuple[str, int], ...]], ...] = ()
    points: tuple[tuple[int, int], ...] = ()

    def record(self) -> dict[str, Any]:
        """What the checker replays, without the observables."""
        steps: list[Any] = [[parent, [list(f) for f in m]] for parent, m in self.steps]
        steps += [list(step) for step in self.points]
        return {"start": list(self.start), "prime": self.prime, "steps": steps}


@dataclass(frozen=True, eq=False, repr=False)
class LinearLumping:
    """Linear combinations y = L·x of the variables that satisfy L·q(x) = g(L·x), and y' = g(y).

    Parameters
    ----------
    ode : ODE
        The original system x' = q(x).
    rows : ExactMatrix, shape (m, n)
        L, of full row rank.
    quotient : ODE
        y' = g(y); one variable per row.
    purpose : str
        What the rows were found for, as it stands in the headline.
    method : Constrained, optional
        The method that asked for it.
    derivation : Derivation, optional
        For an exact lumping with observables: why it is the smallest.
    defects : dict, optional
        For a lumping with a tolerance: how far each observable is from closing, by its text.
    defect : float
        The largest singular value of what the rows' derivatives have outside the row space; 0 if exact.
    at_least : int, optional
        Where a search stopped early, as nearly everything is needed: no lumping that keeps the observables has
        fewer rows. See :mod:`symlump.lumping.linear.nearly`.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = 2*c - b; c' = -a - b")
    >>> print(sl.lump(ode, sl.Constrained(["c"])))
    3 → 2 variables by the smallest linear lumping that keeps c, exact, proof checked
    y1 = a + b
    y1' = -y1 + 3*c
    c'  = -y1

    References
    ----------
    Ovchinnikov, Pérez Verona, Pogudin, Tribastone, "CLUE: exact maximal reduction of kinetic models by
    constrained lumping of differential equations", doi:10.1093/bioinformatics/btab010, arXiv:2004.11961.
    """

    #: What tells it from a :class:`symlump.Lumping`.
    kind: ClassVar[Literal["linear"]] = "linear"

    ode: ODE
    rows: ExactMatrix
    quotient: ODE
    purpose: str = ""
    method: Constrained | None = None
    derivation: Derivation | None = None
    defects: Mapping[str, float] = field(default_factory=dict)
    defect: float = 0.0
    at_least: int | None = None

    def __post_init__(self) -> None:
        if self.quotient.discrete != self.ode.discrete:
            object.__setattr__(self, "quotient", in_time(self.quotient, self.ode.discrete))

    def __len__(self) -> int:
        return self.rows.shape[0]

    @property
    def eps(self) -> float:
        """The tolerance; 0 for an exact lumping."""
        return 0.0 if self.method is None else self.method.eps

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """L in float64, shape (m, n)."""
        return self.rows.to_float()

    @cached_property
    def combinations(self) -> dict[str, dict[str, Fraction]]:
        """Each row by the name of its quotient variable, exactly: ``{variable: coefficient}``."""
        names = self.ode.variables
        return {
            name: {names[c]: value for c, value in self.rows.row(i).items()}
            for i, name in enumerate(self.quotient.variables)
        }

    def express(self, form: Mapping[str, Fraction | int]) -> dict[str, Fraction] | None:
        """Express a linear form in the variables by the rows; None if this is not possible exactly.

        Parameters
        ----------
        form : mapping of str to number
            The coefficient of each variable.

        Returns
        -------
        dict of str to Fraction, or None

        Examples
        --------
        >>> import sympy, symlump as sl
        >>> a, b = sympy.symbols("a b")
        >>> lumping = sl.lump(sl.PolynomialODE.from_sympy({a: -a, b: -b}), sl.Constrained([a + b]))
        >>> lumping.express({"a": 2, "b": 2}), lumping.express({"a": 1})
        ({'y1': Fraction(2, 1)}, None)
        """
        rest = {self.ode.position(name): Fraction(value) for name, value in form.items() if value}
        weights: dict[int, Fraction] = {}
        columns = self._section.columns.tolist()
        for column, inverse in zip(columns, self._section.forms, strict=True):
            for row, value in inverse.items():
                if column in rest:
                    weights[row] = weights.get(row, Fraction(0)) + rest[column] * value
        total: dict[int, Fraction] = {}
        for row, weight in weights.items():
            for column, value in self.rows.row(row).items():
                total[column] = total.get(column, Fraction(0)) + weight * value
        if {c: v for c, v in total.items() if v} != rest:
            return None
        return {self.quotient.variables[r]: w for r, w in sorted(weights.items()) if w}

    @cached_property
    def _section(self) -> Section:
        return Section.of(self.rows)

    @property
    def is_exact(self) -> bool:
        """True if no tolerance was given."""
        return self.eps == 0

    def claim(self) -> dict[str, Any]:
        """The claim for the independent checker, with the record that shows the lumping to be the smallest.

        Returns
        -------
        dict

        Raises
        ------
        MethodError
            If the lumping has a tolerance.

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> small.claim()["kind"], "closure" in small.claim()
        ('linear', True)
        """
        if not self.is_exact:
            raise MethodError(
                f"only exact lumpings have certificates; this one has a tolerance (eps={self.eps:g})"
            )
        data = linear_claim(self.ode, self.combinations, self.quotient)
        if self.derivation is not None:
            data["closure"] = {
                "observables": [
                    [_terms(form), _terms(self.express(form) or {})]
                    for form in self.derivation.observables.values()
                ],
            } | self.derivation.record()
        return data

    def check(self) -> Verdict:
        """Have the independent checker verify L·q(x) = g(L·x), exactly.

        It multiplies the quotient out, so its cost grows with the products of the rows' lengths; past its
        bound it answers "inconclusive".

        Returns
        -------
        Verdict

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> print(small.check().answer)
        accepted
        """
        return check(self.claim())

    def certificate(self, smallest: bool = True) -> Certificate:
        """A certificate with everything needed to verify this lumping, and that it is the smallest.

        Parameters
        ----------
        smallest : bool
            Also the derivation that shows it to be the smallest, if there is one.

        Returns
        -------
        Certificate

        Raises
        ------
        MethodError
            If the lumping has a tolerance.
        FailureError
            If checking it would exceed the bounds of the checkers.

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> small.certificate().check().accepted
        True
        """
        claim = self.claim()
        verdict, closure = self.verdicts
        if closure is not None and not smallest:
            del claim["closure"]
        certificate = check_accepted(Certificate(claim), verdict)
        if "closure" in claim and closure is not None and not closure.accepted:
            raise FailureError(
                f"that this lumping is the smallest could not be checked: {closure.reason}; "
                "certificate(smallest=False) does not claim it"
            )
        return certificate

    @cached_property
    def verdicts(self) -> tuple[Verdict, Verdict | None]:
        """The checkers' answers, whatever the size: to the lumping, and to the derivation if there is one.

        Raises
        ------
        MethodError
            If the lumping has a tolerance.
        CertificateError
            If the checker refuses a result of the exact algorithm.
        """
        claim = self.claim()
        verdict = check(claim)
        if verdict.answer == "rejected":
            raise CertificateError(f"the checker refused this lumping: {verdict.reason}")
        return verdict, None if self.derivation is None else check_closure(claim)

    @property
    def _verdicts(self) -> tuple[Verdict | None, Verdict | None]:
        return self.verdicts if self.is_exact and self.ode.terms <= CHECKED_TERMS else (None, None)

    @property
    def verdict(self) -> Verdict | None:
        """The checker's answer; None for a tolerance, and for systems above 200 000 terms.

        Raises
        ------
        CertificateError
            If the checker refuses a result of the exact algorithm.
        """
        return self._verdicts[0]

    @property
    def exact(self) -> bool:
        """True if the independent checker accepted the lumping."""
        return self.verdict is not None and self.verdict.accepted

    @property
    def smallest(self) -> bool:
        """True if a replay of the derivation showed that no smaller lumping keeps the observables."""
        closure = self._verdicts[1]
        return self.exact and closure is not None and closure.accepted

    def aggregate(self, x: npt.ArrayLike) -> FloatArray:
        """The state y = L·x of the quotient.

        Parameters
        ----------
        x : array_like, shape (variables,) or (variables, k)

        Returns
        -------
        ndarray, shape (m,) or (m, k)

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> small.aggregate([2.0, 5.0]).tolist()
        [2.0]
        """
        return np.asarray(self.matrix @ check_state(x, len(self.ode), "the system"))

    def lift(self, y: npt.ArrayLike) -> FloatArray:
        """The shortest state x of the system with ``aggregate(x) == y``: x = Lᵀ(LLᵀ)⁻¹·y.

        Parameters
        ----------
        y : array_like, shape (rows,) or (rows, k)

        Returns
        -------
        ndarray, shape (variables,) or (variables, k)

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> small.lift([2.0]).round(6).tolist()
        [2.0, 0.0]
        """
        state = check_state(y, len(self), "the quotient")
        if not len(self):
            return np.zeros((len(self.ode), *state.shape[1:]))
        from scipy.sparse.linalg import spsolve

        weights = spsolve((self.matrix @ self.matrix.T).tocsc(), state)
        return np.asarray(self.matrix.T @ np.asarray(weights).reshape(state.shape))

    def bound(self, horizon: float, box: Any, *, samples: int = 100, **options: Any) -> ErrorBound:
        r"""A certified bound of \|y − L·x\| until a horizon, beside the error that samples show.

        It is about this very quotient, whose coefficients are taken for the rationals that they are.

        Parameters
        ----------
        horizon : float
        box : mapping or array_like, shape (variables, 2)
            The initial states x(0): {variable: (low, high)} or {variable: value}, or rows (low, high).
        samples : int
            Initial states to be simulated; what they show is observed, not certified.
        **options
            Those of :func:`symlump.lumping.bounds.error_bound`: norm, steps, pieces, arithmetic, seed.

        Returns
        -------
        ErrorBound
            A component for each row, by the name of its variable of the quotient; and ``by_observable``.

        Raises
        ------
        MethodError
            If the system is a map, or contains functions without enclosures, or the box does not fit it.
        FailureError
            If the quotient is kept in factors, or no bound can be certified that far.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("x' = 3*y - x; y' = z/8 - y; z' = -z")
        >>> lumping = sl.lump(ode, sl.Constrained("x", eps=0.2))
        >>> bound = lumping.bound(1, {"x": (0, 1), "y": (0, 1), "z": (0, 0.1)}, steps=16)
        >>> bool(bound.observed.largest.max() < bound["x"] == bound.value < 0.01)
        True
        """
        from symlump.lumping.bounds import error_bound

        return error_bound(self, horizon, box, samples=samples, **options)

    def headline(self) -> str:
        """One line: sizes, the request, and what is known about the result.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"])).headline()
        '2 → 1 variables by the smallest linear lumping that keeps x, exact, proof checked'
        """
        sizes = f"{len(self.ode)} → {len(self)} variables"
        if not self.is_exact:
            return f"{sizes} by ε-linear lumping {self.purpose}, ε = {self.eps:g}, defect {self.defect:.4g}"
        smallest = "the smallest " if self.smallest else ""
        kind = f"{sizes} by {smallest}linear lumping" + f" {self.purpose}".rstrip()
        if self.note is not None:
            kind += with_unknown(self.ode)
        if self.not_smallest is not None:
            kind += f" (not checked to be the smallest: {self.not_smallest})"
        if self.at_least is not None:
            kind += f" (nearly all is needed: none has fewer than {self.at_least} rows)"
        if self.exact:
            return f"{kind}, exact, proof checked"
        return f"{kind}, defect 0, proof not checked ({self.not_checked})"

    @property
    def not_checked(self) -> str | None:
        """Why the proof of an exact lumping was not checked; None where it was, and for a tolerance."""
        return None if self.exact or not self.is_exact else why_not_checked(self.verdict)

    @property
    def not_smallest(self) -> str | None:
        """Why the replay of the derivation does not show an exact lumping to be the smallest."""
        closure = self._verdicts[1]
        return closure.reason if self.exact and closure is not None and not closure else None

    @property
    def note(self) -> str | None:
        """That a smaller lumping could have been missed, where functions are taken as unknown."""
        found = self.derivation
        beyond = found is not None and bool(found.steps or found.points)
        if not (self.smallest and beyond and taken_as_unknown(self.ode)):
            return None
        return unknown_note(self.ode, "a smaller lumping")

    def _shown(self, most: int, latex: bool) -> list[str]:
        names = self.quotient.variables
        lengths = np.diff(self.rows.indptr).tolist()
        longer = [i for i, name in enumerate(names) if lengths[i] > 1 or name not in self.ode.index]
        lines = []
        for i in longer[:most]:
            text = linear_form_text(self.rows.row(i), self.ode.variables, latex)
            lines.append(f"{name_latex(names[i])} &= {text}" if latex else f"{names[i]} = {text}")
        if len(longer) > most:
            more = count_text(len(longer) - most, "more row")
            gap = rf"&\;\;\vdots \quad (\text{{{more}}})" if latex else f"… {more}"
            lines.append(gap)
        return lines

    def to_text(self, max_rows: int = 12, max_equations: int = 20) -> str:
        """Headline, rows of more than one variable, and the quotient system.

        Parameters
        ----------
        max_rows, max_equations : int
            How many are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("x' = y - z; y' = -y; z' = -z + x")
        >>> print(sl.lump(ode, sl.Constrained(["x"])).to_text())
        3 → 2 variables by the smallest linear lumping that keeps x, exact, proof checked
        y1 = y - z
        x'  = y1
        y1' = -x - y1
        """
        if not len(self):
            return f"{self.headline()}; there are none"
        lines = [self.headline(), *self._shown(max_rows, latex=False)]
        lines.append(self.quotient.to_text(max_equations=max_equations))
        if self.note is not None:
            lines.append(f"note: {self.note}")
        return "\n".join(lines)

    def to_latex(self, max_rows: int = 12, max_equations: int = 20) -> str:
        r"""The system (if it is small), the rows and the quotient, side by side.

        Parameters
        ----------
        max_rows, max_equations : int
            How many are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("x' = -x; y' = x - y"), sl.Constrained(["x"]))
        >>> r"\dot{x}" in small.to_latex()
        True
        """
        rows = self._shown(max_rows, latex=True)
        return side_by_side(self.ode, rows, self.quotient.to_latex(max_equations=max_equations))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<LinearLumping: {self.headline()}>"

    def _repr_latex_(self) -> str:
        return titled_latex(self.headline(), self.to_latex())


def row_names(ode: ODE, rows: ExactMatrix) -> tuple[str, ...]:
    """A name for each row: its variable's where it is one variable, else y1, y2, … (or Y1, …)."""
    cuts, columns = rows.indptr.tolist(), rows.columns.tolist()
    return names_of_rows(
        ode,
        [
            columns[start] if end == start + 1 and rows.values[start] == 1 else -1
            for start, end in zip(cuts, cuts[1:], strict=False)
        ],
    )


def names_of_rows(ode: ODE, single: Sequence[int]) -> tuple[str, ...]:
    """As :func:`row_names`, from the one variable that each row is, or −1."""
    variables, others = ode.variables, single.count(-1)
    if not others:
        return tuple([variables[c] for c in single])
    prefix = "y"
    while any(f"{prefix}{k}" in ode.index for k in range(1, others + 1)):
        prefix = "Y" if prefix == "y" else prefix + "_"
    numbers = iter(range(1, others + 1))
    return tuple([variables[c] if c >= 0 else f"{prefix}{next(numbers)}" for c in single])


def linear_form_text(
    form: Mapping[int, Fraction], names: Sequence[str], latex: bool = False, most: int = 10
) -> str:
    """A linear form by positions of variables, cut where it is long.

    Examples
    --------
    >>> linear_form_text({0: Fraction(1), 2: Fraction(-1, 2)}, ["x", "y", "z"])
    'x - 1/2*z'
    """
    terms: list[Term] = [(((c, 1),), value) for c, value in islice(form.items(), most)]
    return signed_sum(terms, len(form), names, latex=latex)


def _terms(form: Mapping[str, Fraction]) -> list[Any]:
    return [[str(value), [[name, 1]]] for name, value in form.items()]
