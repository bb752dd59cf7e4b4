"""Linear lumpings within a tolerance: one path of row spaces, on which every ε finds its place.

Let B be an orthonormal basis of a row space V and P = BᵀB. The *defect* of V is the largest singular
value of the matrix with the rows b·J_k·(I − P), over all b in B and all coefficient matrices J_k of the
Jacobian. It does not depend on the choice of B, and it is 0 iff V is invariant. For every unit vector r
of V, the coefficients of the gradient of r·q are within the defect of V, in the 2-norm over all of them.

The path starts with the span of the observables and adds, one at a time, the unit vector that the defect
is about: the right singular vector of the largest singular value (all of them where several are equal).
It ends in the smallest exact lumping, which is computed over Q, so the dimension at ε = 0 is not a matter
of rounding. The lumping within ε is the first space on the path whose defect is at most ε. The path does
not depend on ε. Hence a larger ε never gives a larger dimension, and one walk gives the table for all ε.

Where the exact lumping has more than 150 rows, directions within a fifth of the largest are added together.

The quotient is g(y) = L·q(L⁺·y), with the pseudo-inverse L⁺; above two million terms it is not multiplied out.

With quotients and functions J is a polynomial in variables, functions and their derivatives (that of 1/d is
−1/d², any other a symbol of its own), and the J_k are its coefficients. Then Σ_k b·J_k·x^k can be in the exact
lumping V* for every x where the single b·J_k are not: x/(x + y) + y/(x + y) is 1. What they have outside V*
adds up to 0, so only their projections on V* count. The last space of the path is V* again, with defect 0.
A space with a denominator that is 0 at every L⁺·y has no quotient, and is passed over.

References
----------
Leguizamón-Robayo, Jiménez-Pastor, Tribastone, Tschaikowski, Vandin, "Approximate constrained lumping of
chemical reaction networks", arXiv:2411.14242. There a vector is added where its distance to the space
exceeds ε, in the order in which vectors appear, so the result depends on that order and a larger ε can
give a larger dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from symlump.lumping.equivalence import check_magnitudes
from symlump.lumping.linear.block_sums import SummedSystem
from symlump.lumping.linear.factored import FactoredODE
from symlump.lumping.linear.function_quotient import nearby_quotient
from symlump.lumping.linear.linear_lumping import LinearLumping, row_names
from symlump.lumping.linear.smallest import Search, exact_lumping, purpose
from symlump.lumping.linear.spaces.coefficients import has_values, with_equations
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.walk import LARGE, walk_of
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.linear.constrained import Constrained

_MOST_TERMS = 2_000_000
#: Singular values this small beside the largest coefficient reach nothing new.
_REACHED = 1e-9
#: What this much is not seen as: a difference from an integer, a coefficient beside the largest.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ToleranceStep:
    """One line of the table: from ``eps`` on (up to the line before), this is the lumping.

    Parameters
    ----------
    eps : float
        The smallest tolerance that gives this dimension; equal to ``defect``.
    dimension : int
    defect : float
        Largest singular value of what the rows' derivatives have outside the row space.
    defects : dict
        The same for each observable alone: of the part of the row space that it reaches inside it.
    """

    eps: float
    dimension: int
    defect: float
    defects: Mapping[str, float]


def lumping_at(path: Path, method: Constrained) -> LinearLumping:
    """The first lumping on the path whose defect is at most ε.

    Raises
    ------
    FailureError
        If the exact lumping has more than 150 rows, and those within ε more than 10⁸ numbers; or
        functions in the quotient take too long to multiply out.
    """
    point = path.at(method.eps)
    if not point.defect and not isinstance(path.ode, PolynomialODE):
        exact = exact_lumping(path.ode, path.walk.exact.basis, purpose(path.forms), method)
        return replace(exact, defects=_Defects(point))
    make = _plain_rows if point.dimension > LARGE else _rows
    narrow = make(path, point.basis)
    rows = path.sums.spread(narrow)
    quotient = _quotient(path.sums, narrow, row_names(path.ode, rows), method.eps)
    return LinearLumping(
        path.ode,
        rows,
        quotient,
        purpose(path.forms),
        method,
        defects=_Defects(point),
        defect=point.defect,
    )


class _Defects(Mapping[str, float]):
    """The defects of what each observable reaches, found when one is read."""

    def __init__(self, point: Point) -> None:
        self._point = point

    @cached_property
    def _found(self) -> dict[str, float]:
        return self._point.observable_defects()

    def __getitem__(self, name: str) -> float:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._point.path.names)

    def __len__(self) -> int:
        return len(self._point.path.names)

    def __repr__(self) -> str:
        return repr(self._found)

    def __reduce__(self) -> tuple[type, tuple[dict[str, float]]]:
        return dict, (self._found,)


@dataclass(frozen=True, eq=False)
class Point:
    """A space on the path."""

    path: Path
    dimension: int
    defect: float

    @cached_property
    def basis(self) -> FloatArray:
        """An orthonormal basis of the space."""
        walk = self.path.walk
        return walk.basis(self.dimension) if self.defect else walk.whole

    def observable_defects(self) -> dict[str, float]:
        """The defect of the part of the space that each observable reaches inside it.

        In large spaces that of the whole, which is at least as large.
        """
        names = self.path.names
        if len(names) == 1 or self.dimension > LARGE or not self.defect:
            # Each added row is in an image of what one reaches.
            return dict.fromkeys(names, self.defect)
        starts = self.path.start @ self.basis.T
        return {
            name: self._defect_from(row / np.linalg.norm(row))
            for name, row in zip(names, starts, strict=True)
        }

    def _defect_from(self, row: FloatArray) -> float:
        """The defect of what a unit vector, in coordinates of the basis, reaches inside the space."""
        walk, basis = self.path.walk, self.basis
        reached = np.zeros((0, self.dimension))
        newest = row[None, :]
        images: list[sparse.csr_array] = []
        while len(newest):
            reached = np.vstack([reached, newest])
            if len(reached) == self.dimension:
                return self.defect
            fresh = sparse.vstack([walk.images(v @ basis) for v in newest], format="csr")
            images.append(fresh)
            inside = fresh @ basis.T
            rest = np.linalg.qr(inside - inside @ reached.T @ reached, mode="r")
            _, size, directions = np.linalg.svd(rest, full_matrices=False)
            newest = directions[size > _REACHED * walk.scale]
        return walk.norm_outside(sparse.vstack(images, format="csr"), basis)


class Path:
    """The row spaces from the observables to the smallest exact lumping.

    Spaces, and the observables in ``start``, are in orthonormal sums of variables; those in ``exact_start`` are
    in sums as they are. Distances are those in the variables.
    """

    def __init__(self, search: Search) -> None:
        check_magnitudes(search.ode)
        self.ode, self.forms, self.names = search.ode, search.forms, tuple(search.forms)
        self.sums = search.sums
        self.exact_start = replace(search.start, values=search.start.values.as_floats())
        self.start = self.exact_start.to_float().toarray() * self.sums.lengths
        exact = search.space
        if self.sums.merged:
            basis = exact.basis.to_float() * self.sums.lengths
            exact = replace(exact, basis=_of_floats(basis.tocsr()))
        self.walk = walk_of(self.sums.family(), self.start, exact)
        self._found: list[tuple[int, float]] = []

    def points(self) -> Iterator[Point]:
        """The spaces in order; the last is exact and has defect 0. What was found once is kept."""
        place = 0
        while True:
            if place == len(self._found):
                step = self.walk.advance()
                if step is None:
                    return
                self._found.append(step)
            point = Point(self, *self._found[place])
            if not point.defect or self.ode.generators is None or has_values(self.ode, point.basis):
                yield point
            place += 1

    def at(self, eps: float) -> Point:
        """The first space whose defect is at most ε."""
        enough = eps * (1 + 1e-12)  # a tolerance that is a defect of the table counts as reached
        return next(point for point in self.points() if point.defect <= enough)


def _rows(path: Path, basis: FloatArray) -> ExactMatrix:
    """The independent observables as they are, then sparse rows: the identity on some columns; in the sums."""
    from scipy.linalg import qr

    _, triangle, order = qr(path.start.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    chosen = np.sort(order[: int(np.sum(size > 1e-10 * size.max()))])
    lengths = path.sums.lengths
    kept = path.start[chosen] / lengths
    rest = basis - (basis / lengths)[:, _pivots(kept)] @ _reduced(kept) * lengths  # 0 on the pivots
    rest = qr(rest.T, mode="economic", pivoting=True)[0].T[: len(basis) - len(kept)]
    rest = _reduced(rest / lengths) if len(rest) else rest
    whole = np.rint(rest)
    rest = np.where(np.abs(rest - whole) < _ROUNDING, whole, rest)
    return ExactMatrix.stack([path.exact_start.take_rows(chosen), _of_floats(rest)])


def _plain_rows(path: Path, basis: FloatArray) -> ExactMatrix:
    """The independent observables as they are, then orthonormal rows orthogonal to them; in the sums."""
    from scipy.linalg import qr

    rank = path.walk.start_rank
    chosen = np.sort(qr(path.start.T, mode="r", pivoting=True)[1][:rank])
    inside = np.linalg.qr((path.start[chosen] @ basis.T).T, mode="complete")[0]
    rest = _of_floats(inside[:, rank:].T @ basis / path.sums.lengths)
    return ExactMatrix.stack([path.exact_start.take_rows(chosen), rest])


def _of_floats(rows: FloatArray) -> ExactMatrix:
    found = sparse.csr_array(rows)
    found.sort_indices()
    return ExactMatrix(
        found.indptr.astype(np.int64),
        found.indices.astype(np.int64),
        ExactArray.from_floats(found.data),
        found.shape[1],
    )


def _pivots(rows: FloatArray) -> IntArray:
    """Columns on which the rows are well away from dependent, in ascending order."""
    from scipy.linalg import qr

    return np.sort(qr(rows, mode="r", pivoting=True)[1][: len(rows)]).astype(np.int64)


def _reduced(rows: FloatArray) -> FloatArray:
    """The basis of the same space that is the identity on its pivots."""
    return np.asarray(np.linalg.solve(rows[:, _pivots(rows)], rows))


def _quotient(sums: SummedSystem, rows: ExactMatrix, names: tuple[str, ...], eps: float) -> ODE:
    """g(y) = L·q(L⁺·y), multiplied out in float64, one degree after the other, where that is not too long.

    In the sums L⁺ says what is added up of x = L⁺·y.
    """
    dense = rows.to_float().toarray()
    size = len(dense)
    wide = dense * sums.lengths
    # The rows are independent.
    inverse = np.linalg.solve(wide @ wide.T, wide).T * sums.lengths[:, None]
    ode = with_equations(sums.system, np.unique(rows.columns))
    if not isinstance(ode, PolynomialODE):
        return nearby_quotient(ode, rows, inverse, names, eps)
    table = ode.monomials
    if size ** (int(table.degrees.max(initial=0)) + 1) > _MOST_TERMS:
        return FactoredODE(names, dense, ode, inverse)
    combined = np.asarray((dense @ ode.matrix).T)
    used = np.append(inverse.any(axis=1), True)  # the last stands for no factor
    parts: list[tuple[IntArray, FloatArray]] = []
    for degree in np.unique(table.degrees).tolist():
        total = np.zeros((size, size**degree))
        chosen = np.flatnonzero(table.degrees == degree)
        powers = table.select(chosen)
        factors = np.repeat(powers.variables, powers.powers).reshape(chosen.size, degree)
        live = used[factors].all(axis=1)
        order = np.lexsort(factors[live].T[::-1]) if degree else np.arange(chosen.size)
        factors, chosen = factors[live][order], chosen[live][order]
        step = max(1, _MOST_TERMS // size**degree)
        for begin in range(0, chosen.size, step):
            part = slice(begin, begin + step)
            total += _multiplied_out(combined[chosen[part]], factors[part], inverse)
        index = (
            np.array(np.unravel_index(np.arange(size**degree), (size,) * degree))
            if degree
            else np.zeros((0, 1))
        )
        sorted_index = np.sort(index.T.astype(np.int64), axis=1)
        parts.append((sorted_index, total))
    return _collected(parts, names)


def _multiplied_out(values: FloatArray, factors: IntArray, inverse: FloatArray) -> FloatArray:
    """Σ values_m · Π_f (inverse_f·y) over monomials m with factors f, sorted, by products of as many y.

    Monomials with the same factors but for the last are added before the next is multiplied out.
    """
    size = values.shape[1]
    while factors.shape[1] > 1:
        last = inverse[factors[:, -1]]
        values = (values[:, :, None] * last[:, None, :]).reshape(len(values), -1)
        factors = factors[:, :-1]
        starts = np.flatnonzero(np.append(True, (factors[1:] != factors[:-1]).any(axis=1)))
        values, factors = np.add.reduceat(values, starts, axis=0), factors[starts]
    if not factors.shape[1]:
        return np.asarray(values.sum(axis=0)[:, None])
    total = inverse[factors[:, 0]].T @ values
    return np.asarray(total.reshape(size, size, -1).transpose(1, 0, 2).reshape(size, -1))


def _collected(parts: list[tuple[IntArray, FloatArray]], names: tuple[str, ...]) -> PolynomialODE:
    largest = max((float(np.abs(total).max(initial=0.0)) for _, total in parts), default=0.0)
    count = sum(len(index) for index, _ in parts)
    owners, variables, first = [], [], 0
    for index, _ in parts:
        owners.append(np.repeat(np.arange(first, first + len(index)), index.shape[1]))
        variables.append(index.ravel())
        first += len(index)
    every = np.concatenate([np.empty(0, dtype=np.int64), *variables])
    monomials, position = Monomials.from_factors(
        np.concatenate([np.empty(0, dtype=np.int64), *owners]), every, np.ones_like(every), count
    )
    summed = np.zeros((len(names), len(monomials)))
    if parts:
        np.add.at(summed.T, position, np.hstack([total for _, total in parts]).T)
    summed[np.abs(summed) < _ROUNDING * largest] = 0.0
    rows, columns = np.nonzero(summed)
    return PolynomialODE.from_terms(
        names,
        rows.astype(np.int64),
        columns.astype(np.int64),
        ExactArray.from_floats(summed[rows, columns]),
        monomials,
    )
