"""The result of a reduction, and the verb that makes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import CertificateError, MethodError, PartitionError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.explain import Explanation, explain_apart, explain_together
from symlump.lumping.maximality import Split, splits
from symlump.lumping.partition import Partition
from symlump.lumping.reference import exact_quotient, nearest_quotient
from symlump.lumping.refine import coarsest
from symlump.ode.exact import FloatArray
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.printing import name_latex
from symlump.proof.certificate import Certificate, claim
from symlump.proof.check import Verdict, check

if TYPE_CHECKING:
    import networkx

#: Up to this many terms a result is checked as soon as anyone asks whether it is exact.
CHECKED_TERMS = 200_000


@dataclass(frozen=True, eq=False, repr=False)
class Lumping:
    """A partition of the variables of a system, with the quotient system it gives.

    Parameters
    ----------
    ode : PolynomialODE
        The original system.
    method : Forward or Backward
    initial : Partition
        What was allowed to merge.
    partition : Partition
    quotient : PolynomialODE
        One variable per block. Where the method has a tolerance, the quotient of the reference
        system: the nearest one that the partition lumps exactly.
    defect : float
        How far the coefficients of ``ode`` must move (2-norm) for the partition to be exact.
    rounds : int
        Rounds of refinement.
    """

    ode: PolynomialODE
    method: Equivalence
    initial: Partition
    partition: Partition
    quotient: PolynomialODE
    defect: float
    rounds: int

    @cached_property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """The blocks, by variable name, in the order of the quotient's variables."""
        return self.partition.named(self.ode.variables)

    def check(self) -> Verdict:
        """Have the independent checker verify partition and quotient, exactly.

        Cost: linear in the number of terms, in plain Python (about a second per 10⁵ terms).
        """
        return check(claim(self.method.direction, self.ode, self.blocks, self.quotient))

    @cached_property
    def splits(self) -> list[list[Split]]:
        """One distinguishing coefficient per split: why no coarser partition will do."""
        self._only_exact("a record of splits")
        return splits(self.ode, self.method, self.initial, self.partition)

    def certificate(self, maximality: bool = True) -> Certificate:
        """Everything that someone else needs to verify this lumping.

        Parameters
        ----------
        maximality : bool
            Also record why no coarser partition inside the initial one will do.

        Raises
        ------
        MethodError
            If the lumping has a tolerance: its quotient is that of a reference system.
        """
        self._only_exact("a certificate")
        names = self.ode.variables
        record = None
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

        Examples
        --------
        >>> import sympy
        >>> from symlump import Forward, PolynomialODE
        >>> x1, x2, x3 = sympy.symbols("x1:4")
        >>> ode = PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
        >>> print(lump(ode, Forward()).explain(x1, x3))
        x1 and x3 are apart since round 1: the derivatives by them of the sum of the equations of {x1, x2, x3}
        differ in the coefficient of 1, which is -2 for x1 and 0 for x3
        """
        self._only_exact("an explanation")
        i, j = self.ode.position(x), self.ode.position(y)
        if self.partition.labels[i] == self.partition.labels[j]:
            return explain_together(self.ode, self.method, self.partition.labels, i, j)
        return explain_apart(
            self.ode, self.method, self.initial.labels, self.partition.labels, self.splits, i, j
        )

    def _only_exact(self, what: str) -> None:
        if not self.method.is_exact:
            raise MethodError(
                f"{what} is made for exact lumpings; this one has a tolerance (eps={self.method.eps:g}), "
                "and the certificate of its reference system is not implemented yet"
            )

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
        if not verdict.accepted:
            raise CertificateError(f"the checker refused this lumping: {verdict.reason}")
        return verdict

    @property
    def exact(self) -> bool:
        """True if the independent checker accepted the lumping."""
        return self.verdict is not None

    def aggregate(self, x: npt.ArrayLike) -> FloatArray:
        """A state of the quotient from a state of the system.

        Forward: block sums. Backward: block means (members are equal where the quotient applies).

        Parameters
        ----------
        x : array_like, shape (variables,) or (variables, k)
        """
        state = self._state(x, len(self.ode), "the system")
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
        """
        state = self._state(y, len(self.partition), "the quotient")
        if self.method.direction == "forward":
            state = state / self.partition.sizes.reshape(-1, *(1,) * (state.ndim - 1))
        return state[self.partition.labels]

    def _state(self, x: npt.ArrayLike, n: int, of: str) -> FloatArray:
        state = np.asarray(x, dtype=np.float64)
        if state.ndim not in (1, 2) or state.shape[0] != n:
            raise PartitionError(f"a state of {of} has {n} entries; got shape {state.shape}")
        return state

    def graph(self) -> networkx.DiGraph:
        """The dependency graph of the system; each node has its block's name as attribute ``block``."""
        graph = self.ode.dependency_graph()
        for name, block in zip(self.quotient.variables, self.blocks, strict=True):
            for variable in block:
                graph.nodes[variable]["block"] = name
        return graph

    def quotient_graph(self) -> networkx.DiGraph:
        """The dependency graph of the quotient; each node has its members as attribute ``members``."""
        graph = self.quotient.dependency_graph()
        for name, block in zip(self.quotient.variables, self.blocks, strict=True):
            graph.nodes[name]["members"] = block
        return graph

    def headline(self) -> str:
        """One line: sizes, method, and what is known of the result."""
        sizes = f"{len(self.ode)} → {len(self.partition)} variables"
        kind = f"{self.method.direction} equivalence"
        if not self.method.is_exact:
            relative = " relative" if self.method.relative else ""
            return (
                f"{sizes} by{relative} ε-{kind}, ε = {self.method.eps:g} "
                f"({self.method.linkage}), defect δ = {self.defect:.4g}"
            )
        if self.exact:
            return f"{sizes} by {kind}, exact, proof checked"
        return f"{sizes} by {kind}, defect 0, proof not checked (large; call .check())"

    def _merged(self) -> list[tuple[str, tuple[str, ...]]]:
        """Name and members of the blocks of more than one variable."""
        named = zip(self.quotient.variables, self.blocks, strict=True)
        return [(name, block) for name, block in named if len(block) > 1]

    def to_text(self, max_blocks: int = 12, max_equations: int = 20) -> str:
        """Headline, blocks of more than one variable, and the quotient system."""
        join = " + " if self.method.direction == "forward" else " = "
        lines = [self.headline()]
        merged = self._merged()
        for name, block in merged[:max_blocks]:
            lines.append(f"{name} = " + _joined(block, join))
        if len(merged) > max_blocks:
            lines.append(f"… {len(merged) - max_blocks} more blocks")
        return "\n".join([*lines, self.quotient.to_text(max_equations=max_equations)])

    def to_latex(self, max_blocks: int = 12, max_equations: int = 20) -> str:
        """The same in LaTeX."""
        join = " + " if self.method.direction == "forward" else " = "
        merged = self._merged()
        rows = [
            f"{name_latex(name)} &= " + _joined(tuple(map(name_latex, block)), join, r"\cdots")
            for name, block in merged[:max_blocks]
        ]
        if len(merged) > max_blocks:
            rows.append(rf"&\;\;\vdots \quad (\text{{{len(merged) - max_blocks} more blocks}})")
        blocks = (
            "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}\\qquad " if rows else ""
        )
        return blocks + self.quotient.to_latex(max_equations=max_equations)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Lumping: {self.headline()}>"

    def _repr_latex_(self) -> str:
        body = self.to_latex()
        return (
            rf"$\displaystyle \begin{{gathered}} \text{{{self.headline()}}} \\[1ex] {body} "
            r"\end{gathered}$"
        )


def lump(
    ode: PolynomialODE,
    method: Equivalence,
    initial: Partition | Iterable[Iterable[Any]] | None = None,
    *,
    seed: int = 0,
) -> Lumping:
    """Reduce a system by the coarsest equivalence inside an initial partition.

    Parameters
    ----------
    ode : PolynomialODE
    method : Forward or Backward
        Which equivalence, with its tolerance.
    initial : Partition or blocks of names, optional
        What must never be merged: variables of different blocks stay apart, and variables that no
        block mentions form one more. Default: one block, symbolic parameters alone.
    seed : int
        Seed of the random evaluation points. It changes the work, never the result.

    Returns
    -------
    Lumping

    Raises
    ------
    PartitionError, VariableError
        If ``initial`` does not fit the system.
    MethodError
        If ``method`` is not a method object.

    Examples
    --------
    >>> import sympy
    >>> from symlump import Forward, PolynomialODE
    >>> x1, x2, x3 = sympy.symbols("x1:4")
    >>> ode = PolynomialODE.from_sympy({x1: -3*x1 + x3, x2: -3*x2 + x3, x3: x1 + x2 - 2*x3})
    >>> print(lump(ode, Forward()))
    3 → 2 variables by forward equivalence, exact, proof checked
    y1 = x1 + x2
    y1' = -3*y1 + 2*x3
    x3' = y1 - 2*x3
    """
    if not isinstance(method, Equivalence):  # a caller without a type checker
        raise MethodError(
            f"lump(ode, method) takes a method such as Forward() or Backward(eps=0.1); got {method!r}"
        )
    start = _initial_partition(ode, method, initial)
    partition, rounds = coarsest(ode, method, start, seed=seed)
    quotient_of = exact_quotient if method.is_exact else nearest_quotient
    terms = quotient_of(ode, method, partition)
    names = block_names(ode, partition)
    single = set(partition.labels[[ode.index[name] for name in ode.parameters]].tolist())
    quotient = PolynomialODE.from_terms(
        names,
        terms.rows,
        terms.columns,
        terms.coefficients,
        terms.monomials,
        parameters=[names[b] for b in sorted(single)],
    )
    return Lumping(ode, method, start, partition, quotient, terms.delta, rounds)


def _initial_partition(
    ode: PolynomialODE, method: Equivalence, initial: Partition | Iterable[Iterable[Any]] | None
) -> Partition:
    coarsest_allowed = Partition(ode.initial_labels(method.direction))
    if initial is None:
        return coarsest_allowed
    if not isinstance(initial, Partition):
        initial = Partition.from_names(ode, initial)
    if initial.labels.size != len(ode):
        raise PartitionError(
            f"the initial partition has {initial.labels.size} elements, the system {len(ode)} variables"
        )
    return initial.meet(coarsest_allowed)


def block_names(ode: PolynomialODE, partition: Partition) -> tuple[str, ...]:
    """A name for each block: its variable's for a block of one, else y1, y2, … (or Y1, …)."""
    large = [b for b, size in enumerate(partition.sizes) if size > 1]
    prefix = "y"
    while any(f"{prefix}{k}" in ode.index for k in range(1, len(large) + 1)):
        prefix = "Y" if prefix == "y" else prefix + "_"
    number = {block: k for k, block in enumerate(large, start=1)}
    return tuple(
        f"{prefix}{number[b]}" if b in number else ode.variables[first]
        for b, first in enumerate(partition.representatives.tolist())
    )


def _joined(names: tuple[str, ...], join: str, gap: str = "…", limit: int = 10) -> str:
    if len(names) <= limit:
        return join.join(names)
    return join.join([*names[: limit - 2], gap, names[-1]]) + f" ({len(names)})"
