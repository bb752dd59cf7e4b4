"""All the way down: a maximal chain of exact linear lumpings, with no observable given.

The row spaces of the linear lumpings of x' = q(x) are the spaces that every coefficient matrix J_k of the
Jacobian leaves invariant. A chain 0 ⊂ V_1 ⊂ V_2 ⊂ … of them is maximal over Q iff nothing fits between
two neighbours, that is, iff the matrices act irreducibly on V_{i+1}/V_i. By the theorem of Jordan and
Hölder the dimensions of these factors are the same for every maximal chain, up to their order.

References
----------
Demin, Demitraki, Pogudin, "Exact hierarchical reductions of dynamical models via linear transformations",
arXiv:2301.11653. There the chain is sought over the algebraic numbers; here over Q, and what the
algebraic numbers would add is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from html import escape

import numpy as np

from symlump.lumping.equivalence import check_system
from symlump.lumping.linear.evaluated import jacobian_span
from symlump.lumping.linear.linear_lumping import LinearLumping, linear_form_text
from symlump.lumping.linear.smallest import exact_lumping
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import smallest_invariant
from symlump.lumping.linear.spaces.residues import FIRST_PRIME
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.lumping.linear.splitting.charpoly import polynomial_text
from symlump.lumping.linear.splitting.commuting import Splitting, decide, splitting
from symlump.lumping.linear.splitting.meataxe import Irreducible, find_invariant
from symlump.lumping.linear.splitting.submodules import (
    coordinate_blocks,
    on_coordinates,
    on_quotient,
    restrict,
    simplify,
)
from symlump.lumping.lumping import CHECKED_TERMS
from symlump.memory import memory_errors
from symlump.ode.functions.wording import with_unknown
from symlump.ode.notation import count_text
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE


@dataclass(frozen=True)
class Factor:
    """A step of a chain: what lies between two neighbouring lumpings.

    Parameters
    ----------
    dimension : int
        How many rows the step adds.
    irreducible : bool
        True if it is proved that no linear lumping over Q lies in between.
    pieces : int or None
        Into how many steps of equal size it falls over the algebraic numbers; None where that was not computed.
    field : tuple of int
        For more than one piece: coefficients of a polynomial, from the highest power down, whose roots
        are needed.
    """

    dimension: int
    irreducible: bool
    pieces: int | None
    field: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Hierarchy:
    """A chain of exact linear lumpings, each refining the one before.

    Parameters
    ----------
    ode : ODE
    lumpings : tuple of LinearLumping
        Of ascending dimension; without the trivial ones of dimension 0 and of all variables.
    factors : tuple of Factor
        The steps from 0 to the first lumping, from each to the next, and from the last to all variables.

    Examples
    --------
    >>> import symlump as sl
    >>> chain = sl.hierarchy(sl.ODE.from_text("x' = -x; y' = x - y"))
    >>> chain.dimensions
    (1,)
    """

    ode: ODE
    lumpings: tuple[LinearLumping, ...]
    factors: tuple[Factor, ...]

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The number of rows of each lumping."""
        return tuple(len(lumping) for lumping in self.lumpings)

    @property
    def maximal(self) -> bool:
        """True if it is proved that no further lumping over Q fits in."""
        return all(factor.irreducible for factor in self.factors)

    @property
    def algebraic_dimensions(self) -> tuple[int, ...] | None:
        """The dimensions of a maximal chain over the algebraic numbers that refines this one.

        None where a step was too large to find out.
        """
        total, found = 0, []
        for factor in self.factors:
            if factor.pieces is None:
                return None
            for _ in range(factor.pieces):
                total += factor.dimension // factor.pieces
                found.append(total)
        return tuple(found[:-1])

    def __len__(self) -> int:
        return len(self.lumpings)

    def __iter__(self) -> Iterator[LinearLumping]:
        return iter(self.lumpings)

    def __getitem__(self, index: int) -> LinearLumping:
        return self.lumpings[index]

    def headline(self) -> str:
        """One line: sizes, and what is known about the chain.

        Returns
        -------
        str

        Examples
        --------
        >>> hierarchy(ODE.from_text("x' = -x; y' = x - y")).headline()
        '2 variables, maximal chain of exact linear lumpings of dimensions 1; proofs checked'
        """
        kind = "maximal chain" if self.maximal else "chain"
        shown = ", ".join(map(str, self.dimensions)) or "none but 0 and all variables"
        text = f"{count_text(len(self.ode), 'variable')}, {kind} of exact linear lumpings of dimensions {shown}"
        if self.maximal:
            text += with_unknown(self.ode)
        if not self.lumpings:
            return text
        if self.ode.terms * len(self) > CHECKED_TERMS:
            return f"{text}; proofs not checked (large; see .exact of each lumping)"
        if all(lumping.exact for lumping in self.lumpings):
            return f"{text}; proofs checked"
        return f"{text}; some proofs not checked, see .verdict of each lumping"

    def to_text(self, max_lines: int = 20) -> str:
        """Headline, the rows that each lumping adds to the previous one, and the irrational steps.

        Parameters
        ----------
        max_lines : int
            How many are shown.

        Returns
        -------
        str

        Examples
        --------
        >>> print(hierarchy(ODE.from_text("x' = -x; y' = x - y")).to_text())
        2 variables, maximal chain of exact linear lumpings of dimensions 1; proofs checked
        1: adds x
        """
        lines = [self.headline()]
        before: LinearLumping | None = None
        for lumping in self.lumpings[:max_lines]:
            added = [linear_form_text(row, self.ode.variables) for row in _added(lumping, before)]
            more = f", … {len(added) - 4} more" if len(added) > 4 else ""
            lines.append(f"{len(lumping)}: adds " + ", ".join(added[:4]) + more)
            before = lumping
        if len(self) > max_lines:
            lines.append(f"… {count_text(len(self) - max_lines, 'more lumping')}")
        total = 0
        for factor in self.factors:
            where = f"between {total} and {total + factor.dimension}"
            total += factor.dimension
            if not factor.irreducible:
                lines.append(f"{where}: not proved that nothing lies in between")
            elif factor.pieces is not None and factor.pieces > 1:
                field = polynomial_text(factor.field, "t")
                lines.append(
                    f"{where}: nothing over the rationals; with the roots of {field} "
                    f"there are {factor.pieces} steps of {factor.dimension // factor.pieces}"
                )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"

    def __repr__(self) -> str:
        return f"<Hierarchy: {self.headline()}>"


@memory_errors()
def hierarchy(ode: ODE, seed: int = 0) -> Hierarchy:
    """Find a maximal chain of exact linear lumpings over Q.

    Parameters
    ----------
    ode : ODE
        Up to some hundred variables: the search works with dense matrices of the strongly connected parts. With
        quotients and functions the chain is maximal with functions taken as unknown,
        and this is proved of a span of matrices that was read from random points; see
        :func:`symlump.lumping.linear.evaluated.jacobian_span`.
    seed : int
        Seed of the random matrices. It may change which of several maximal chains is found.

    Returns
    -------
    Hierarchy

    Examples
    --------
    >>> import sympy
    >>> x1, x2, x3, x4 = sympy.symbols("x1:5")
    >>> ode = PolynomialODE.from_sympy(
    ...     {x1: x3**2 + x1, x2: -x1 + x2 + x4**2, x3: x4 - 2*x3, x4: -x3 - 2*x4})
    >>> print(hierarchy(ode))
    4 variables, maximal chain of exact linear lumpings of dimensions 2, 3; proofs checked
    2: adds x3, x4
    3: adds x1
    between 0 and 2: nothing over the rationals; with the roots of t^2 + 1 there are 2 steps of 1
    """
    check_system(ode, "hierarchy")
    if not len(ode):
        return Hierarchy(ode, (), ())
    family = _family(ode, seed)
    chain, found = _composition(simplify(family), seed)
    lumpings = []
    for rows in chain[:-1]:
        space = smallest_invariant(family, rows.primitive(), seed)
        lumpings.append(exact_lumping(ode, space.basis, ""))
    return Hierarchy(ode, tuple(lumpings), tuple(found))


def _family(ode: ODE, seed: int) -> MatrixFamily:
    """Matrices whose invariant row spaces are those of the Jacobian."""
    if isinstance(ode, PolynomialODE):
        return MatrixFamily.of_jacobian(ode)
    return jacobian_span(ode, seed)


def _composition(family: MatrixFamily, seed: int) -> tuple[list[ExactMatrix], list[Factor]]:
    """Invariant spaces from the first above 0 up to everything, and what lies between them."""
    chain: list[ExactMatrix] = []
    found: list[Factor] = []
    done = np.empty(0, dtype=np.int64)
    blocks = coordinate_blocks(family)
    for block in blocks:
        part = family if len(blocks) == 1 else on_coordinates(family, block)
        for rows, factor in zip(*_connected(part, seed), strict=True):
            units = ExactMatrix.from_rows([{int(c): 1} for c in done], family.size)
            chain.append(ExactMatrix.stack([units, rows.spread(block, family.size)]))
            found.append(factor)
        done = np.concatenate([done, block])
    return chain, found


def _connected(family: MatrixFamily, seed: int) -> tuple[list[ExactMatrix], list[Factor]]:
    """The invariant spaces where every coordinate leads to every other."""
    size = family.size
    result = find_invariant(family, seed)
    factor = Factor(size, False, None)
    if isinstance(result, Irreducible):
        split = splitting(family, result)
        factor = Factor(size, True, *((None,) if split is None else (split.pieces, split.field)))
    elif result is None:
        decided = decide(family, seed)
        if isinstance(decided, Splitting):
            factor = Factor(size, True, decided.pieces, decided.field)
        else:
            result = decided
    if not isinstance(result, tuple):
        return [ExactMatrix.from_rows([{i: 1} for i in range(size)], size)], [factor]
    basis, pivots = result
    lower, below = _composition(restrict(family, basis, pivots), seed)
    quotient, rest = on_quotient(family, basis, pivots)
    upper, above = _composition(quotient, seed)
    chain = [rows @ basis for rows in lower]
    chain += [ExactMatrix.stack([basis, rows.spread(rest, size)]) for rows in upper]
    return chain, below + above


def _added(lumping: LinearLumping, before: LinearLumping | None) -> list[dict[int, Fraction]]:
    """Rows of a lumping that, with those of the one before it, span it."""
    space = RowSpace(len(lumping.ode), FIRST_PRIME)
    if before is not None:
        space.extend(before.rows.residues(FIRST_PRIME))
    fresh = space.extend(lumping.rows.residues(FIRST_PRIME))
    return [lumping.rows.row(int(i)) for i in fresh]
