"""A basis of a row space that a person can read: sparse, integer, without minus signs where possible.

The echelon basis is sparse already: each of its rows has minimal support. Where it has entries of both
signs, the rows that hang together are replaced by extreme rays of the cone of nonnegative vectors of
their span (these have minimal support, too), if the cone spans it: that is so iff it holds a vector that
is positive wherever the span is not zero, which one linear program decides. Everything that floats
suggest is verified exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from symlump.lumping.linear.exact_matrix import ExactMatrix
from symlump.lumping.linear.invariant import read_fractions
from symlump.lumping.linear.residues import FIRST_PRIME, signed
from symlump.lumping.linear.rowspace import RowSpace
from symlump.ode.exact import AnyArray, FloatArray

#: Rows that hang together, and their distinct columns: above this the echelon basis stays.
_MOST_ROWS, _MOST_COLUMNS = 100, 2000

Row = dict[int, Fraction]


def readable(basis: ExactMatrix) -> ExactMatrix:
    """An integer basis of the row space of an echelon basis, its rows sorted by their first variables.

    Examples
    --------
    >>> one = Fraction(1)
    >>> echelon = ExactMatrix.from_rows([{0: one, 2: -one}, {1: one, 2: one, 3: one / 2}], 4)
    >>> [{c: int(v) for c, v in row.items()} for row in readable(echelon).rows()]
    [{0: 2, 1: 2, 3: 1}, {1: 2, 2: 2, 3: 1}]
    """
    rows = basis.rows()
    result: list[Row] = []
    for members in _components(basis):
        part = [rows[i] for i in members]
        if len(part) > 1 and any(value < 0 for row in part for value in row.values()):
            part = nonnegative(part) or part
        result += part
    result.sort(key=lambda row: (sorted(row), [row[c] for c in sorted(row)]))
    return ExactMatrix.from_rows(result, basis.width).primitive()


def _components(basis: ExactMatrix) -> Iterator[list[int]]:
    """The rows, in groups that share no column."""
    count, width = basis.shape
    ones = np.ones(basis.columns.size, dtype=np.int64)
    graph = sparse.coo_array(
        (ones, (basis.owners, count + basis.columns)), shape=(count + width, count + width)
    )
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[:count], kind="stable")
    cuts = np.flatnonzero(np.diff(label[:count][order])) + 1
    for group in np.split(order, cuts):
        if group.size:
            yield group.tolist()


def nonnegative(rows: list[Row]) -> list[Row] | None:
    """Extreme rays of the nonnegative vectors in the span of the rows, as many as there are rows.

    None where these do not span it, or where the rows are too many for linear programs.
    """
    columns = sorted({c for row in rows for c in row})
    directions: dict[tuple[int, ...], int] = {}
    for c in columns:
        column = [row.get(c, Fraction(0)) for row in rows]
        shared = lcm(*(v.denominator for v in column))
        whole = [int(v * shared) for v in column]
        divisor = gcd(*whole)
        directions.setdefault(tuple(v // divisor for v in whole), c)
    exact = np.array(list(directions), dtype=object)
    if len(rows) > _MOST_ROWS or len(directions) > _MOST_COLUMNS or np.abs(exact).max() > 2**40:
        return None
    table = exact.astype(np.float64)
    if _positive(table) is None:
        return None
    # Rows without a minus sign are extreme rays already.
    fine = [i for i, row in enumerate(rows) if all(value > 0 for value in row.values())]
    rays = [rows[i] for i in fine]
    found = RowSpace(len(rows), FIRST_PRIME)
    found.extend(sparse.csr_array(np.eye(len(rows), dtype=np.int64)[fine]))
    for wanted in _objectives(table, found):
        ray = _extreme_ray(exact, table, wanted)
        if ray is None:
            continue
        residue = signed(
            np.mod(np.array([ray], dtype=object), FIRST_PRIME).astype(np.int64), FIRST_PRIME
        )
        if not found.extend(sparse.csr_array(residue)).size:
            continue
        rays.append(_combination(ray, rows))
        if len(rays) == len(rows):
            return rays
    return None


def _objectives(table: FloatArray, found: RowSpace) -> Iterator[FloatArray]:
    """What to maximize: each coordinate in turn, then functionals that vanish on what was found."""
    yield from table
    generator = np.random.default_rng(0)
    for _ in range(4 * table.shape[1]):
        basis = found.basis.toarray().astype(np.float64)
        # Small integers modulo p are themselves; others only make the objective another random one.
        direction = generator.standard_normal(table.shape[1])
        yield direction - np.linalg.pinv(basis) @ (basis @ direction)


def _positive(table: FloatArray) -> FloatArray | None:
    """Weights of a combination that is at least 1 in every column, if there is one."""
    from scipy.optimize import linprog

    free = [(None, None)] * table.shape[1]
    result = linprog(table.sum(axis=0), A_ub=-table, b_ub=-np.ones(len(table)), bounds=free)
    return np.asarray(result.x) if result.status == 0 else None


def _extreme_ray(exact: AnyArray, table: FloatArray, wanted: FloatArray) -> list[int] | None:
    """Integer weights of a nonnegative combination that maximizes a functional: a vertex."""
    from scipy.optimize import linprog

    total = table.sum(axis=0)
    result = linprog(
        -wanted,
        A_ub=-table,
        b_ub=np.zeros(len(table)),
        A_eq=total[None, :],
        b_eq=[1.0],
        bounds=[(None, None)] * table.shape[1],
        method="highs-ds",
    )
    if result.status != 0:
        return None
    values = table @ result.x
    zero = np.flatnonzero(values < 1e-9 * values.max())
    space = RowSpace(table.shape[1], FIRST_PRIME)
    space.extend(
        sparse.csr_array(signed(np.mod(exact[zero], FIRST_PRIME).astype(np.int64), FIRST_PRIME))
    )
    if len(space) != space.width - 1:
        return None
    vector = np.zeros(space.width, dtype=np.int64)
    free = np.setdiff1d(np.arange(space.width), space.pivots)
    vector[free] = 1
    vector[space.pivots] = -space.basis[:, free].toarray().ravel()
    fractions = read_fractions([[int(v) % FIRST_PRIME] for v in vector], [FIRST_PRIME])
    if fractions is None:
        return None
    shared = lcm(*(f.denominator for f in fractions))
    weights = [f.numerator * (shared // f.denominator) for f in fractions]
    products = exact.dot(np.array(weights, dtype=object)).tolist()
    if max(products) <= 0:
        weights, products = [-w for w in weights], [-v for v in products]
    return weights if min(products) >= 0 else None


def _combination(weights: list[int], rows: list[Row]) -> Row:
    total: Row = {}
    for weight, row in zip(weights, rows, strict=True):
        if weight:
            for column, value in row.items():
                total[column] = total.get(column, Fraction(0)) + weight * value
    return {column: value for column, value in total.items() if value}
