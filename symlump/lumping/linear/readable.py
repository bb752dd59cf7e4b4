"""A basis of a row space that a person can read: sparse, small integers, no minus signs where possible.

The echelon basis is sparse already: each of its rows has minimal support. Where it has entries of both
signs, the rows that hang together are replaced by extreme rays of the cone of nonnegative vectors of
their span (these have minimal support, too), if the cone spans it. Where rows of disjoint supports span it,
these are the only extreme rays, so they are found. A few rows have all their rays enumerated in integers;
for more, linear programs find single ones: the cone spans the space iff it holds a vector that is positive
wherever the space is not zero. Everything that floats suggest is verified exactly. Where signs remain and
numbers are large, a lattice reduction looks for smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd, lcm
from operator import mul

import numpy as np
from scipy import sparse

from symlump.lumping.linear.lattice import shorter
from symlump.lumping.linear.rays import TooManyRaysError, extreme_rays
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.invariant import read_fractions
from symlump.lumping.linear.spaces.residues import FIRST_PRIME, centre
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.lumping.linear.spaces.small import ModularRows
from symlump.lumping.linear.spaces.small_terms import Row
from symlump.ode.exact import AnyArray, FloatArray

#: Rows that hang together, and their distinct columns: above this the echelon basis stays.
_MOST_ROWS, _MOST_COLUMNS = 100, 2000
#: So many rows have their rays enumerated; for more there are linear programs.
_FEW = 40
#: Many rows with larger entries are not looked through: nobody reads them.
_READABLE = 2**16


def readable(basis: ExactMatrix) -> ExactMatrix:
    """An integer basis of the row space of an echelon basis, its rows sorted by their first variables.

    Examples
    --------
    >>> from fractions import Fraction
    >>> one = Fraction(1)
    >>> echelon = ExactMatrix.from_rows([{0: one, 2: -one}, {1: one, 2: one, 3: one / 2}], 4)
    >>> [{c: int(v) for c, v in row.items()} for row in readable(echelon).rows()]
    [{0: 2, 1: 2, 3: 1}, {1: 2, 2: 2, 3: 1}]
    """
    return ExactMatrix.from_integers(readable_rows(integer_rows(basis)), basis.width)


def integer_rows(basis: ExactMatrix) -> list[Row]:
    """The rows as coprime integers."""
    exact = basis.primitive()
    columns, values = exact.columns.tolist(), exact.values.numerators.tolist()
    cuts = exact.indptr.tolist()
    return [
        dict(zip(columns[a:b], values[a:b], strict=True))
        for a, b in zip(cuts, cuts[1:], strict=False)
    ]


def readable_rows(rows: list[Row], sizes: Sequence[int] | None = None) -> list[Row]:
    """Readable rows from rows of coprime integers, each with a column in which no other row has an entry.

    Parameters
    ----------
    rows : list of dict
    sizes : list of int, optional
        How many variables each column stands for; default: one.
    """
    result = [row for row in rows if len(row) == 1]
    longer = [row for row in rows if len(row) > 1]
    if any(min(row.values()) < 0 for row in longer):
        for part in _components(longer):
            if len(part) > 1 and any(min(row.values()) < 0 for row in part):
                part = nonnegative(part, sizes) or shorter(part)
            result += part
    else:
        result += longer
    result = [_primitive(row, sizes) for row in result]
    result.sort(key=lambda row: (list(row), list(row.values())))
    return result


def _primitive(row: Row, sizes: Sequence[int] | None) -> Row:
    """Coprime integers, most of them positive, in ascending columns."""
    if len(row) == 1:
        return dict.fromkeys(row, 1)
    divisor = gcd(*row.values())
    if min(row.values()) < 0:
        size = dict.fromkeys(row, 1) if sizes is None else {c: sizes[c] for c in row}
        balance = sum(size[c] if value > 0 else -size[c] for c, value in row.items())
        if balance < 0 or (balance == 0 and row[min(row)] < 0):
            divisor = -divisor
    if divisor == 1:
        return {c: row[c] for c in sorted(row)}
    return {c: row[c] // divisor for c in sorted(row)}


def _components(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows, in groups that share no column."""
    group_of = list(range(len(rows)))
    first: dict[int, int] = {}

    def root(i: int) -> int:
        while group_of[i] != i:
            group_of[i] = i = group_of[group_of[i]]
        return i

    for i, row in enumerate(rows):
        for c in row:
            group_of[root(first.setdefault(c, i))] = root(i)
    groups: dict[int, list[Row]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(root(i), []).append(row)
    yield from groups.values()


def nonnegative(rows: list[Row], sizes: Sequence[int] | None = None) -> list[Row] | None:
    """Extreme rays of the nonnegative vectors in the span of the rows, as many as there are rows.

    None where these do not span it, or where the rows are too many for linear programs.
    """
    largest = max(abs(value) for row in rows for value in row.values())
    if len(rows) > _MOST_ROWS or (len(rows) > 4 and largest > _READABLE):
        return None
    columns = sorted({c for row in rows for c in row})
    directions: dict[tuple[int, ...], int] = {}
    for c in columns:
        whole = [row.get(c, 0) for row in rows]
        divisor = gcd(*whole)
        direction = tuple(whole) if divisor == 1 else tuple([v // divisor for v in whole])
        directions.setdefault(direction, c)
    if len(directions) > _MOST_COLUMNS:
        return None
    if len(rows) <= _FEW:
        signs = _signs(list(directions), len(rows))
        if signs is not None:
            try:
                return _sparsest(rows, signs, list(directions), sizes)
            except TooManyRaysError:
                pass
    exact = np.array(list(directions), dtype=object)
    if np.abs(exact).max() > 2**40:
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
        residue = centre(
            np.mod(np.array([ray], dtype=object), FIRST_PRIME).astype(np.int64), FIRST_PRIME
        )
        if not found.extend(sparse.csr_array(residue)).size:
            continue
        rays.append(_combination(ray, rows))
        if len(rays) == len(rows):
            return rays
    return None


def _signs(directions: list[tuple[int, ...]], size: int) -> list[int] | None:
    """The sign of each row in a column of its own; None where one has no such column."""
    signs = [0] * size
    for direction in directions:
        if direction.count(0) == size - 1:
            i = next(i for i, value in enumerate(direction) if value)
            signs[i] = direction[i]
    return signs if all(signs) else None


def _sparsest(
    rows: list[Row],
    signs: list[int],
    directions: list[tuple[int, ...]],
    sizes: Sequence[int] | None,
) -> list[Row] | None:
    """The sparsest independent rays, from all of them; None where they do not span the rows.

    As each row has a column of its own, only nonnegative combinations of the rows with these signs can
    be nonnegative: the cone starts as an orthant.
    """
    turned = directions
    if min(signs) < 0:
        turned = [tuple(map(mul, signs, direction)) for direction in directions]
    if any(max(direction) <= 0 for direction in turned):
        return None
    mixed = [direction for direction in turned if min(direction) < 0]
    candidates = []
    for ray in extreme_rays(len(rows), mixed):
        weights = [*map(mul, signs, ray)]
        row = _primitive(_combination(weights, rows), sizes)
        size, total = len(row), sum(row.values())
        if sizes is not None:
            size = sum(sizes[c] for c in row)
            total = sum(sizes[c] * value for c, value in row.items())
        candidates.append((size, total, list(row.items()), ray))
    if len(candidates) < len(rows):
        return None
    chosen: list[Row] = []
    space = ModularRows(FIRST_PRIME)
    for _, _, items, ray in sorted(candidates):
        if space.add({i: weight for i, weight in enumerate(ray) if weight}) is not None:
            chosen.append(dict(items))
            if len(chosen) == len(rows):
                return chosen
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
        sparse.csr_array(centre(np.mod(exact[zero], FIRST_PRIME).astype(np.int64), FIRST_PRIME))
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
    used = [(weight, row) for weight, row in zip(weights, rows, strict=True) if weight]
    if len(used) == 1:
        ((weight, row),) = used
        return {column: weight * value for column, value in row.items()}
    total: Row = {}
    for weight, row in used:
        for column, value in row.items():
            total[column] = total.get(column, 0) + weight * value
    return {column: value for column, value in total.items() if value}
