"""Families of matrices on an invariant row space, and on what is left modulo it."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.residues import FIRST_PRIME
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.ode.exact import ExactArray, IntArray


def restrict(family: MatrixFamily, basis: ExactMatrix, pivots: IntArray) -> MatrixFamily:
    """The action on an invariant row space, in a basis that is the identity on its pivots."""
    product = basis @ family.unfolded
    place = np.full(family.size, -1, dtype=np.int64)
    place[pivots] = np.arange(pivots.size)
    columns = place[family.columns[product.columns]]
    kept = columns >= 0
    return simplify(
        MatrixFamily.from_entries(
            family.generators[product.columns][kept],
            product.owners[kept],
            columns[kept],
            product.values.take(kept),
            pivots.size,
            family.count,
        )
    )


def on_quotient(
    family: MatrixFamily, basis: ExactMatrix, pivots: IntArray
) -> tuple[MatrixFamily, IntArray]:
    """The action on all rows modulo an invariant row space, and the columns that are its coordinates."""
    rest = np.setdiff1d(np.arange(family.size), pivots)
    generators, rows, columns, values = family.entries()
    place = np.full(family.size, -1, dtype=np.int64)
    place[rest] = np.arange(rest.size)
    kept = place[rows] >= 0
    # One row for each pair (row of the matrix, matrix).
    flat = ExactMatrix.from_entries(
        place[rows[kept]] * family.count + generators[kept],
        columns[kept],
        values.take(kept),
        (rest.size * family.count, family.size),
    )
    # A row v is, modulo the space, v minus the combination of basis rows with its entries at the pivots,
    # where the basis is the identity: zero there, and v_rest − v_pivots·basis_rest elsewhere.
    reduced = flat.take_columns(rest) - flat.take_columns(pivots) @ basis.take_columns(rest)
    smaller = MatrixFamily.from_entries(
        reduced.owners % family.count,
        reduced.owners // family.count,
        reduced.columns,
        reduced.values,
        rest.size,
        family.count,
    )
    return simplify(smaller), rest


def simplify(family: MatrixFamily) -> MatrixFamily:
    """Linearly independent matrices of coprime integers that span the same algebra."""
    size = family.size
    generators, rows, columns, values = family.entries()
    flat = ExactMatrix.from_entries(
        generators, rows * size + columns, values, (family.count, size * size)
    ).primitive()
    # Sparse matrices first: of dependent ones those with the fewest entries are kept.
    order = np.argsort(np.diff(flat.indptr), kind="stable")
    flat = flat.take_rows(order[np.diff(flat.indptr)[order] > 0])
    used, place = np.unique(flat.columns, return_inverse=True)  # size² columns, few of them used
    narrow = ExactMatrix(flat.indptr, place.ravel().astype(np.int64), flat.values, used.size)
    kept = RowSpace(used.size, FIRST_PRIME).extend(narrow.residues(FIRST_PRIME))
    flat = flat.take_rows(kept)
    return MatrixFamily.from_entries(
        flat.owners, flat.columns // size, flat.columns % size, flat.values, size, kept.size
    )


def coordinate_blocks(family: MatrixFamily) -> list[IntArray]:
    """The coordinates in groups whose unions, from the first on, are invariant.

    Row e_i goes to e_j where some matrix has an entry (i, j): the groups are the strongly connected
    components of that graph, each after those it leads to.
    """
    _, rows, columns, _ = family.entries()
    ones = np.ones(rows.size, dtype=np.int64)
    graph = sparse.csr_array(
        sparse.coo_array((ones, (rows, columns)), shape=(family.size, family.size))
    )
    count, label = connected_components(graph, directed=True, connection="strong")
    order = nx.DiGraph()
    order.add_nodes_from(range(count))
    order.add_edges_from(zip(label[columns].tolist(), label[rows].tolist(), strict=True))
    order.remove_edges_from(list(nx.selfloop_edges(order)))
    first = {int(c): int(np.flatnonzero(label == c)[0]) for c in range(count)}
    return [
        np.flatnonzero(label == c).astype(np.int64)
        for c in nx.lexicographical_topological_sort(order, key=lambda c: first[c])
    ]


def on_coordinates(family: MatrixFamily, coordinates: IntArray) -> MatrixFamily:
    """The action on some coordinates, modulo those before them, where the groups are as above."""
    generators, rows, columns, values = family.entries()
    place = np.full(family.size, -1, dtype=np.int64)
    place[coordinates] = np.arange(coordinates.size)
    kept = (place[rows] >= 0) & (place[columns] >= 0)
    return simplify(
        MatrixFamily.from_entries(
            generators[kept],
            place[rows[kept]],
            place[columns[kept]],
            values.take(kept),
            coordinates.size,
            family.count,
        )
    )


def annihilator(basis: ExactMatrix, pivots: IntArray) -> tuple[ExactMatrix, IntArray]:
    """All rows that are orthogonal to a space given by a basis that is the identity on its pivots."""
    rest = np.setdiff1d(np.arange(basis.width), pivots)
    # With the basis (1 | B) the rows (−Bᵀ | 1) are orthogonal to it, and as many as are missing.
    across = basis.take_columns(rest).transpose()
    minus = across.values.times(np.full(len(across.values), -1, dtype=np.int64))
    columns = np.concatenate([rest, pivots[across.columns]])
    owners = np.concatenate([np.arange(rest.size), across.owners])
    ones = ExactArray.from_fractions([1] * rest.size)
    values = ExactArray.concatenate([ones, minus])
    return ExactMatrix.from_entries(owners, columns, values, (rest.size, basis.width)), rest
