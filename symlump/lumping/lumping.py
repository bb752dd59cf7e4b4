"""The result of a reduction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from symlump.errors import CertificateError, FailureError, MethodError, PartitionError
from symlump.lumping.equivalence import Equivalence, polynomial_only
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.maximality import Split, splits
from symlump.lumping.rendering import lumping_latex, lumping_text, titled_latex
from symlump.ode.exact import FloatArray
from symlump.ode.functions.wording import taken_as_unknown, unknown_note
from symlump.ode.maps import in_time
from symlump.ode.system import ODE
from symlump.proof.certificate import Certificate, check_accepted, claim
from symlump.proof.check import STEPS_PER_ITEM, Verdict, check

if TYPE_CHECKING:
    import networkx

    from symlump.lumping.error_bound import ErrorBound
    from symlump.lumping.explain import Explanation
    from symlump.lumping.tolerance.functional import WithinTolerance

#: Up to this many terms a result is checked as soon as anyone asks whether it is exact.
CHECKED_TERMS = 200_000


@dataclass(frozen=True, eq=False, repr=False)
class Lumping:
    """A partition of the variables of a system, with the quotient system it gives.

    Parameters
    ----------
    ode : ODE
        The original system.
    method : Forward or Backward
    initial : Partition
        What was allowed to merge.
    partition : Partition
    quotient : ODE
        One variable per block. Where the method has a tolerance, the quotient of the reference
        system: the nearest one that the partition lumps exactly.
    defect : float
        How far the coefficients of ``ode`` must move (2-norm) for the partition to be exact.
    rounds : int
        Rounds of refinement.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
    >>> result = sl.lump(ode, sl.Forward())
    >>> print(result)
    3 → 2 variables by forward equivalence, exact, proof checked
    y1 = a + b
    y1' = -y1 + 2*c
    c'  = -y1
    >>> result.blocks, result.exact
    ((('a', 'b'), ('c',)), True)
    """

    #: What tells it from a :class:`symlump.LinearLumping`.
    kind: ClassVar[Literal["partition"]] = "partition"

    ode: ODE
    method: Equivalence
    initial: Partition
    partition: Partition
    quotient: ODE
    defect: float
    rounds: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "quotient", in_time(self.quotient, self.ode.discrete))

    @cached_property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """The blocks, by variable name, in the order of the quotient's variables."""
        return self.partition.named(self.ode.variables)

    def check(self) -> Verdict:
        """Have the independent checker verify partition and quotient, exactly.

        Cost: linear in the number of terms, in plain Python (about a second per 10⁵ terms).

        Returns
        -------
        Verdict

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).check().answer
        'accepted'
        """
        try:
            claimed = claim(self.method.direction, self.ode, self.blocks, self.quotient)
        except FailureError as error:
            return Verdict("inconclusive", str(error))
        return check(claimed)

    @cached_property
    def reference(self) -> ODE:
        """The nearest system that the partition lumps exactly; ``ode`` itself if it does.

        ``defect`` is its distance from ``ode`` in the 2-norm of the coefficients.

        Raises
        ------
        FailureError
            If it would have more than 500 000 terms.
        """
        if self.method.is_exact:
            return self.ode
        if self.ode.generators is not None:
            return in_time(self._near.reference(), self.ode.discrete)
        ode, quotient = (polynomial_only(s, "a tolerance") for s in (self.ode, self.quotient))
        from symlump.lumping.tolerance.reference_system import reference_system

        found = reference_system(ode, self.method.direction, self.partition, quotient)
        return in_time(found, self.ode.discrete)

    @cached_property
    def _near(self) -> WithinTolerance:
        """How a tolerance found the partition, where there are functions."""
        from symlump.lumping.tolerance.functional import within_tolerance

        return within_tolerance(self.ode, self.method, self.initial)

    @cached_property
    def splits(self) -> list[list[Split]]:
        """One distinguishing coefficient per split: why no coarser partition will do.

        Raises
        ------
        MethodError
            If the lumping has a tolerance, or the system contains functions (the certificate then holds
            values).
        """
        instead = "explain(x, y) says why two variables are apart, and certificate() proves it"
        ode = polynomial_only(self.ode, "a record of splits", instead)
        if not self.method.is_exact:
            raise MethodError(
                f"a record of splits proves an exact lumping the coarsest; this one has a tolerance "
                f"(eps={self.method.eps:g}), see reference and certificate()"
            )
        return splits(ode, self.method, self.initial, self.partition)

    def certificate(self, maximality: bool = True) -> Certificate:
        """A certificate with everything needed to verify this lumping.

        Parameters
        ----------
        maximality : bool
            Also record why no coarser partition inside the initial one will do.

        With a tolerance the certificate is that of :attr:`reference`, and its checker says so: the partition
        and the quotient are exact for the reference system, and nothing is claimed of the coarsest.

        Returns
        -------
        Certificate

        Raises
        ------
        FailureError
            If the lumping has a tolerance and its reference system is too large to write down, or if checking
            would exceed the checker's bounds (above 200 000 terms its work is only estimated).

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).certificate().check().coarsest
        True
        """
        certificate = self._certificate(maximality)
        lengths, terms = self.ode.monomials.lengths[self.ode.columns], self.ode.terms
        if terms > CHECKED_TERMS and int((lengths**2).sum()) <= 8 * STEPS_PER_ITEM * terms:
            return certificate
        verdict = self.verdict if self.method.is_exact else None
        return check_accepted(certificate, verdict or certificate.check())

    def _certificate(self, maximality: bool) -> Certificate:
        names = self.ode.variables
        record = None
        if not self.method.is_exact:
            return Certificate(
                claim(
                    self.method.direction,
                    self.reference,
                    self.blocks,
                    self.quotient,
                    tolerance=repr(self.method.eps),
                    initial=self.initial.named(names),
                )
            )
        if maximality and self.ode.generators is not None:
            claimed = claim(
                self.method.direction,
                self.ode,
                self.blocks,
                self.quotient,
                initial=self.initial.named(names),
            )
            from symlump.proof.evaluations import evaluations

            return Certificate(claimed | {"evaluations": evaluations(claimed)})
        if maximality:
            record = [
                [
                    [
                        names[split.member],
                        None if split.target is None else names[split.target],
                        [[names[v], power] for v, power in split.monomial],
                    ]
                    for split in records
                ]
                for records in self.splits
            ]
        return Certificate(
            claim(
                self.method.direction,
                self.ode,
                self.blocks,
                self.quotient,
                initial=self.initial.named(names),
                maximality=record,
            )
        )

    def explain(self, x: Any, y: Any) -> Explanation:
        """Why two variables are in one block (the identity) or not (the coefficient that differs).

        Parameters
        ----------
        x, y : name, symbol or index of a variable

        Returns
        -------
        Explanation

        Examples
        --------
        >>> import sympy
        >>> from symlump import Forward, PolynomialODE, lump
        >>> x1, x2, x3 = sympy.symbols("x1:4")
        >>> ode = PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
        >>> print(lump(ode, Forward()).explain(x1, x3))
        x1 and x3 are apart since round 1: the derivatives by them of the sum of the equations of {x1, x2, x3}
        differ in the coefficient of 1, which is -2 for x1 and 0 for x3
        """
        from symlump.lumping.explain import explain_apart, explain_together, explain_within

        i, j = self.ode.position(x), self.ode.position(y)
        if not self.method.is_exact and self.ode.generators is not None:
            return self._explain_within(i, j)
        if not self.method.is_exact:
            return explain_within(
                self.ode, self.method, self.initial.labels, self.partition.labels, i, j
            )
        if self.ode.generators is not None:
            return self._explain_functions(i, j)
        if self.partition.labels[i] == self.partition.labels[j]:
            return explain_together(self.ode, self.method, self.partition.labels, i, j)
        return explain_apart(self.ode, self.method, self.initial.labels, self.splits, i, j)

    def _explain_within(self, i: int, j: int) -> Explanation:
        """What is equal exactly first, then the distance of what is left."""
        from symlump.lumping.elementary.explain import together
        from symlump.lumping.explain import Explanation, explain_within

        found = self._near
        x, y = (int(found.exact.labels[v]) for v in (i, j))
        if x == y:
            said = together(self.ode, self.method.direction, found.merged, found.exact, i, j)
            return Explanation(True, None, *said)
        initial = self.initial.labels[found.exact.representatives]
        return explain_within(found.merged, self.method, initial, found.near.labels, x, y)

    def _explain_functions(self, i: int, j: int) -> Explanation:
        from symlump.lumping.elementary.explain import apart, together
        from symlump.lumping.explain import Explanation, explain_apart

        if self.partition.labels[i] == self.partition.labels[j]:
            said = together(self.ode, self.method.direction, self.quotient, self.partition, i, j)
            return Explanation(True, None, *said)
        if self.initial.labels[i] != self.initial.labels[j]:
            labels = self.initial.labels
            return explain_apart(self.ode, self.method, labels, [], i, j)
        return Explanation(False, *apart(self.ode, self.method, self.initial, i, j))

    @cached_property
    def verdict(self) -> Verdict | None:
        """The checker's answer; None for a tolerance, and for systems above 200 000 terms.

        Raises
        ------
        CertificateError
            If the checker refuses a result of the exact algorithm.
        """
        if not self.method.is_exact or self.ode.terms > CHECKED_TERMS:
            return None
        verdict = self.check()
        if verdict.answer == "rejected":
            raise CertificateError(f"the checker refused this lumping: {verdict.reason}")
        return verdict

    @property
    def exact(self) -> bool:
        """True if the independent checker accepted the lumping."""
        return self.verdict is not None and self.verdict.accepted

    def aggregate(self, x: npt.ArrayLike) -> FloatArray:
        """A state of the quotient from a state of the system.

        Forward: block sums. Backward: block means (members are equal where the quotient applies).

        Parameters
        ----------
        x : array_like, shape (variables,) or (variables, k)

        Returns
        -------
        ndarray, shape (blocks,) or (blocks, k)

        Raises
        ------
        PartitionError
            If the state has another shape.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).aggregate([1, 2, 5]).tolist()
        [3.0, 5.0]
        """
        state = check_state(x, len(self.ode), "the system")
        sums = np.zeros((len(self.partition), *state.shape[1:]))
        np.add.at(sums, self.partition.labels, state)
        if self.method.direction == "forward":
            return sums
        return sums / self.partition.sizes.reshape(-1, *(1,) * (state.ndim - 1))

    def lift(self, y: npt.ArrayLike) -> FloatArray:
        """A state of the system from a state of the quotient, with ``aggregate(lift(y)) == y``.

        Forward: each block's sum spread evenly over its members (the split inside a block is not
        determined by the quotient). Backward: each member gets its block's value.

        Parameters
        ----------
        y : array_like, shape (blocks,) or (blocks, k)

        Returns
        -------
        ndarray, shape (variables,) or (variables, k)

        Raises
        ------
        PartitionError
            If the state has another shape.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).lift([3, 5]).tolist()
        [1.5, 1.5, 5.0]
        """
        state = check_state(y, len(self.partition), "the quotient")
        if self.method.direction == "forward":
            state = state / self.partition.sizes.reshape(-1, *(1,) * (state.ndim - 1))
        return state[self.partition.labels]

    def bound(self, horizon: float, box: Any, *, samples: int = 100, **options: Any) -> ErrorBound:
        """A certified bound of the quotient's error until a horizon, beside the error that samples show.

        Parameters
        ----------
        horizon : float
        box : mapping or array_like, shape (variables, 2)
            The initial states: {variable: (low, high)} or {variable: value}, or rows (low, high).
        samples : int
            Initial states to be simulated; what they show is observed, not certified.
        **options
            Those of :func:`symlump.lumping.bounds.error_bound`: norm, steps, pieces, spread, arithmetic, seed.

        Returns
        -------
        ErrorBound

        Raises
        ------
        MethodError
            If the box does not fit the system.
        FailureError
            If no bound can be certified that far.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -a; b' = -1.1*b")
        >>> bound = sl.lump(ode, sl.Forward(eps=0.2)).bound(1.0, {"a": (1, 1), "b": (1, 1)})
        >>> bool(0 < bound.value < 0.1)
        True
        """
        from symlump.lumping.bounds import error_bound

        return error_bound(self, horizon, box, samples=samples, **options)

    def graph(self) -> networkx.DiGraph:
        """The dependency graph of the system; each node has its block's name as attribute ``block``.

        Returns
        -------
        networkx.DiGraph

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).graph().nodes["a"]["block"]
        'y1'
        """
        graph = self.ode.dependency_graph()
        for name, block in zip(self.quotient.variables, self.blocks, strict=True):
            for variable in block:
                graph.nodes[variable]["block"] = name
        return graph

    def quotient_graph(self) -> networkx.DiGraph:
        """The dependency graph of the quotient; each node has its members as attribute ``members``.

        Returns
        -------
        networkx.DiGraph

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).quotient_graph().nodes["y1"]["members"]
        ('a', 'b')
        """
        graph = self.quotient.dependency_graph()
        for name, block in zip(self.quotient.variables, self.blocks, strict=True):
            graph.nodes[name]["members"] = block
        return graph

    def headline(self) -> str:
        """One line: sizes, method, and what is known about the result.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
        >>> sl.lump(ode, sl.Forward()).headline()
        '3 → 2 variables by forward equivalence, exact, proof checked'
        """
        sizes = f"{len(self.ode)} → {len(self.partition)} variables"
        kind = f"{self.method.direction} equivalence"
        if not self.method.is_exact:
            relative, unit = " relative" if self.method.relative else "", self.method.unit
            return (
                f"{sizes} by{relative} ε-{kind}, ε = {self.method.eps:g} "
                f"({self.method.linkage}{', ' + unit if unit else ''}), defect δ = {self.defect:.4g}"
            )
        if self.exact:
            return f"{sizes} by {kind}, exact, proof checked"
        return f"{sizes} by {kind}, defect 0, proof not checked ({self.not_checked})"

    @property
    def not_checked(self) -> str | None:
        """Why the proof of an exact lumping was not checked; None where it was, and for a tolerance."""
        return None if self.exact or not self.method.is_exact else why_not_checked(self.verdict)

    @property
    def note(self) -> str | None:
        """That a coarser lumping could have been missed, where functions are taken as unknown."""
        # Where all that was allowed is merged, nothing coarser can be missed.
        split = len(self.partition) > len(self.initial)
        if not (split and self.method.is_exact and taken_as_unknown(self.ode)):
            return None
        return unknown_note(self.ode, "a coarser lumping")

    def to_text(self, max_blocks: int = 12, max_equations: int = 20) -> str:
        """Headline, blocks of more than one variable, and the quotient system.

        Parameters
        ----------
        max_blocks, max_equations : int
            How many are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("a' = -a + c; b' = -b + c; c' = -c"), sl.Forward())
        >>> print(small.to_text())
        3 → 2 variables by forward equivalence, exact, proof checked
        y1 = a + b
        y1' = -y1 + 2*c
        c'  = -c
        """
        return lumping_text(self, max_blocks, max_equations)

    def to_latex(self, max_blocks: int = 12, max_equations: int = 20) -> str:
        r"""The system beside its quotient in LaTeX, merged blocks in colour.

        Parameters
        ----------
        max_blocks, max_equations : int
            How many are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> import symlump as sl
        >>> small = sl.lump(sl.ODE.from_text("a' = -a; b' = -b"), sl.Forward())
        >>> r"\dot{y}_{1}" in small.to_latex()
        True
        """
        return lumping_latex(self, max_blocks, max_equations)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Lumping: {self.headline()}>"

    def _repr_latex_(self) -> str:
        return titled_latex(self.headline(), self.to_latex())


def why_not_checked(verdict: Verdict | None) -> str:
    """Why a proof was not checked, by the checker's answer; None where it was not asked."""
    return "large; call .check()" if verdict is None else verdict.reason


def check_state(x: npt.ArrayLike, n: int, of: str) -> FloatArray:
    """A state, or several as columns, of a system or a quotient with n variables.

    Raises
    ------
    PartitionError
        If it has another shape.
    """
    state = np.asarray(x, dtype=np.float64)
    if state.ndim not in (1, 2) or state.shape[0] != n:
        raise PartitionError(f"a state of {of} has {n} entries; got shape {state.shape}")
    return state
