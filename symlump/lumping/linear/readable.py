"""A basis of a row space that a person can read: sparse, small integers, no minus signs where possible.

The echelon basis is sparse already: each of its rows has minimal support. Where it has entries of both
signs, the rows that hang together are replaced by extreme rays of the cone of nonnegative vectors of
their span (these have minimal support, too), if the cone spans it. Where rows of disjoint supports span it,
these are the only extreme rays, so they are found. A few rows have all their rays enumerated in integers,
while there are some hundred of them; else linear programs find single ones, whose equations are solved
exactly: the cone spans the space iff for every functional, it or its negative is positive on some ray.
Where signs remain and numbers are large, a lattice reduction looks for smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from operator import mul

import numpy as np

from symlump.lumping.linear.lattice import shorter
from symlump.lumping.linear.rays import TooManyRaysError, extreme_rays
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.residues import FIRST_PRIME
from symlump.lumping.linear.spaces.small import ModularRows, lift_rows
from symlump.lumping.linear.spaces.small_terms import Row
from symlump.lumping.refinement.components import groups_apart
from symlump.ode.exact import FloatArray

#: Rows that hang together, and their distinct columns: above this the echelon basis stays.
_MOST_ROWS, _MOST_COLUMNS = 100, 2000
#: So many rows have their rays enumerated, where these are few; else there are linear programs.
_FEW = 40
#: So few have them enumerated whatever their numbers are.
_TINY = 4
#: Rows times bits of their largest entry: above this linear programs take longer than the lumping itself. No
#: three rows below it have an entry that is no float.
_MOST_BITS = 3000
#: More than a dozen rows of three entries on average stay if they have entries above this: they are as short
#: as rays would be, and come out of systems that are lumped in less time than a linear program takes.
_DOZEN, _SHORT, _LARGE = 12, 3, 2**16
#: Rays are solved for modulo these primes, the first for numbers of up to 60 bits.
_MODULI = (2**127 - 1, 2**521 - 1, 2**2203 - 1)
_TOLERANCE = 1e-9

Weights = tuple[int, ...]


def readable(basis: ExactMatrix, sizes: Sequence[int] | None = None) -> ExactMatrix:
    """An integer basis of the row space of an echelon basis, its rows sorted by their first variables.

    Parameters
    ----------
    basis : ExactMatrix
    sizes : list of int, optional
        How many variables each column stands for; default: one.

    Examples
    --------
    >>> from fractions import Fraction
    >>> one = Fraction(1)
    >>> echelon = ExactMatrix.from_rows([{0: one, 2: -one}, {1: one, 2: one, 3: one / 2}], 4)
    >>> [{c: int(v) for c, v in row.items()} for row in readable(echelon).rows()]
    [{0: 2, 1: 2, 3: 1}, {1: 2, 2: 2, 3: 1}]
    """
    return ExactMatrix.from_integers(readable_rows(integer_rows(basis), sizes), basis.width)


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
        for part in groups_apart(longer, list):
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


def nonnegative(rows: list[Row], sizes: Sequence[int] | None = None) -> list[Row] | None:
    """Extreme rays of the nonnegative vectors in the span of the rows, as many as there are rows.

    None where these do not span it, or where the rows are too many or too long for linear programs.
    """
    if len(rows) > _MOST_ROWS:
        return None
    largest = max(abs(value) for row in rows for value in row.values())
    if len(rows) > _DOZEN and largest > _LARGE and sum(map(len, rows)) <= _SHORT * len(rows):
        return None
    too_long = len(rows) * largest.bit_length() > _MOST_BITS
    if too_long and len(rows) > _TINY:
        return None
    columns = sorted({c for row in rows for c in row})
    directions: dict[Weights, int] = {}
    for c in columns:
        whole = [row.get(c, 0) for row in rows]
        divisor = gcd(*whole)
        direction = tuple(whole) if divisor == 1 else tuple([v // divisor for v in whole])
        directions.setdefault(direction, c)
    if len(directions) > _MOST_COLUMNS:
        return None
    # As each row has a column of its own, only nonnegative combinations of the rows with these signs can
    # be nonnegative: the cone starts as an orthant.
    own = _own_entries(rows, directions)
    turned = list(directions)
    if min(own) < 0:
        signs = [1 if value > 0 else -1 for value in own]
        rows = [{c: s * v for c, v in row.items()} for s, row in zip(signs, rows, strict=True)]
        turned = [tuple(map(mul, signs, direction)) for direction in directions]
    if any(max(direction) <= 0 for direction in turned):
        return None
    mixed = [direction for direction in turned if min(direction) < 0]
    if len(rows) <= _FEW:
        try:
            return _sparsest(rows, mixed, sizes)
        except TooManyRaysError:
            pass
    if too_long:
        return None
    return _by_programs(rows, mixed, [*map(abs, own)])


def _own_entries(rows: list[Row], directions: Mapping[Weights, int]) -> list[int]:
    """The entry of each row in a column in which no other has one."""
    own = [0] * len(rows)
    for direction, c in directions.items():
        if direction.count(0) == len(rows) - 1:
            i = next(i for i, value in enumerate(direction) if value)
            own[i] = rows[i][c]
    assert all(own)
    return own


def _sparsest(
    rows: list[Row], mixed: list[Weights], sizes: Sequence[int] | None
) -> list[Row] | None:
    """The sparsest independent rays, from all of them; None where they do not span the rows."""
    candidates = []
    for ray in extreme_rays(len(rows), mixed):
        row = _primitive(_combination(ray, rows), sizes)
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
        if space.add(_entries(ray)) is not None:
            chosen.append(dict(items))
            if len(chosen) == len(rows):
                return chosen
    return None


def _by_programs(rows: list[Row], mixed: list[Weights], own: list[int]) -> list[Row] | None:
    """Independent rays, one from each linear program; None where they do not span the rows.

    Unknowns are the entries of the ray in the columns that belong to one row each, so that coefficients are
    those of a reduced echelon form: of moderate size, however long the integers are.
    """
    table = np.array([[v / k for v, k in zip(a, own, strict=True)] for a in mixed])
    table /= np.abs(table).max(axis=1, keepdims=True)
    total = np.array([sum(row.values()) / k for row, k in zip(rows, own, strict=True)])
    if not _is_solid(table):
        return None
    size = len(rows)
    rays: list[list[int]] = []
    points: list[FloatArray] = []
    space = ModularRows(FIRST_PRIME)
    # Rows without a minus sign are extreme rays already.
    for i in [i for i, row in enumerate(rows) if min(row.values()) > 0]:
        rays.append([int(i == j) for j in range(size)])
        points.append(np.eye(size)[i])
        space.add({i: 1})
    for wanted in _objectives(size, points):
        if len(rays) == size:
            break
        point = _vertex(table, total, wanted)
        ray = None if point is None else _extreme_ray(mixed, table, point)
        if ray is not None and space.add(_entries(ray)) is not None:
            exact = [weight * k for weight, k in zip(ray, own, strict=True)]
            largest = max(exact)
            points.append(np.array([value / largest for value in exact]))
            rays.append(ray)
    return [_combination(ray, rows) for ray in rays] if len(rays) == size else None


def _objectives(size: int, found: list[FloatArray]) -> Iterator[FloatArray]:
    """What to maximize: each coordinate in turn, then functionals that vanish on what was found by then.

    Where the cone spans the space, one of two opposite ones has a ray on which it is positive.
    """
    basis = np.zeros((size, 0))

    def rest(wanted: FloatArray) -> FloatArray:
        nonlocal basis
        if len(found) > basis.shape[1]:
            basis = np.linalg.qr(np.array(found).T)[0]
        return np.asarray(wanted - basis @ (basis.T @ wanted))

    for unit in np.eye(size):
        if np.abs(rest(unit)).max() > _TOLERANCE:
            yield unit
    generator = np.random.default_rng(0)
    for _ in range(2 * size):
        wanted = rest(generator.standard_normal(size))
        yield wanted
        yield -wanted


def _is_solid(table: FloatArray) -> bool:
    """True if a cone has a vector on which all inequalities are strict, so that it spans the space."""
    from scipy.optimize import linprog

    size = table.shape[1]
    result = linprog(
        np.ones(size), A_ub=-table, b_ub=-np.ones(len(table)), bounds=[(1, None)] * size
    )
    return bool(result.status == 0)


def _vertex(table: FloatArray, total: FloatArray, wanted: FloatArray) -> FloatArray | None:
    """A vector of the cone {v ≥ 0, table @ v ≥ 0} and total @ v = 1 that maximizes a functional."""
    from scipy.optimize import linprog

    result = linprog(
        -wanted,
        A_ub=-table,
        b_ub=np.zeros(len(table)),
        A_eq=total[None, :] / np.abs(total).max(),
        b_eq=[1.0],
        method="highs-ds",
    )
    return np.asarray(result.x) if result.status == 0 else None


def _extreme_ray(mixed: list[Weights], table: FloatArray, point: FloatArray) -> list[int] | None:
    """Integer weights of the extreme ray near a point of the cone, by the inequalities that it fulfils best.

    None where they do not hold as equations on a vector of the cone.
    """
    support = np.flatnonzero(point > _TOLERANCE * point.max()).tolist()
    nearest = np.argsort(table @ point, kind="stable").tolist()
    for modulus in _MODULI:
        space = ModularRows(modulus)
        tight: list[Weights] = []
        for k in nearest:
            if len(tight) == len(support) - 1:
                break
            if space.add({i: v for i in support if (v := mixed[k][i])}) is not None:
                tight.append(mixed[k])
        if len(tight) < len(support) - 1:  # the point is no vertex
            return None
        # One column is left, on whose value all others depend.
        solution = space.reduced()
        (free,) = set(support) - solution.keys()
        vector = {i: -row[free] % modulus for i, row in solution.items() if free in row}
        lifted = lift_rows([{free: vector | {free: 1}}], [modulus])
        if lifted is None:
            continue
        weights = [lifted[0].get(i, 0) for i in range(len(point))]
        if not any(sum(map(mul, a, weights)) for a in tight):
            fine = min(weights) >= 0 and all(sum(map(mul, a, weights)) >= 0 for a in mixed)
            return weights if fine else None
    return None


def _entries(weights: Sequence[int]) -> Row:
    return {i: weight for i, weight in enumerate(weights) if weight}


def _combination(weights: Sequence[int], rows: list[Row]) -> Row:
    used = [(weight, row) for weight, row in zip(weights, rows, strict=True) if weight]
    if len(used) == 1:
        ((weight, row),) = used
        return {column: weight * value for column, value in row.items()}
    total: Row = {}
    for weight, row in used:
        for column, value in row.items():
            total[column] = total.get(column, 0) + weight * value
    return {column: value for column, value in total.items() if value}
