"""Which unknowns of linear equations must be equal, as each is a mean of others: the maximum principle.

Where an equation says that L_s is a mean of others with positive weights, as the equation of a state does for
what a Markov chain conserves, its largest value among some unknowns is also that of those it is a mean of. So
if all that can be reached from L_s ends in one closed group, L_s has the value of this group.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.partition import Partition
from symlump.ode.exact import ExactArray, IntArray


def equal_rows(matrix: ExactMatrix) -> IntArray:
    """Labels such that every L with L·matrix = 0 has equal entries where labels are equal, by first members.

    Equations are merged and looked at again while more than a tenth of the unknowns goes. In linear time; not
    all equal entries are found.

    Examples
    --------
    >>> from fractions import Fraction
    >>> walk = ExactMatrix.from_rows([{0: -3, 1: 1}, {0: 1, 1: -1}, {0: 2}, {2: 1}], 3)
    >>> equal_rows(walk).tolist()    # the second is the first, the first a mean of it and the third
    [0, 0, 0, 1]
    """
    labels = np.arange(matrix.shape[0], dtype=np.int64)
    while True:
        found = _means_of_one(matrix)
        count = int(found.max(initial=-1)) + 1
        labels = found[labels]
        if 10 * count >= 9 * matrix.shape[0]:
            return Partition(labels).labels
        matrix = ExactMatrix.from_entries(
            found[matrix.owners], matrix.columns, matrix.values, (count, matrix.width)
        )


def _means_of_one(matrix: ExactMatrix) -> IntArray:
    """Equal labels where all that an unknown is a mean of, step by step, ends in the same closed group."""
    size = matrix.shape[0]
    source, target = _means(matrix)
    ones = np.ones(source.size, dtype=np.int8)
    graph = sparse.csr_array((ones, (source, target)), shape=(size, size))
    _, group = connected_components(graph, directed=True, connection="strong")
    group = group.astype(np.int64)
    leaving = group[source] != group[target]
    ends = _only_end(group[source][leaving], group[target][leaving], int(group.max(initial=-1)) + 1)
    end = ends[group]
    # An unknown that reaches two ends is one of its own, also in a group with others.
    end[end < 0] = ends.size + np.flatnonzero(end < 0)
    # A group without an equation is a single unknown, so that ends are groups of equal ones.
    _, labels = np.unique(end, return_inverse=True)
    return labels.ravel().astype(np.int64)


def _means(matrix: ExactMatrix) -> tuple[IntArray, IntArray]:
    """Pairs (s, i) for all equations by which s is a mean, with positive weights, of some i."""
    columns, order = np.sort(matrix.columns), np.argsort(matrix.columns, kind="stable")
    owners, values = matrix.owners[order], matrix.values.take(order)
    sums = ExactArray.group_sum(values, columns, matrix.width)
    signs = np.sign(values.numerators).astype(np.int64)
    pairs = []
    for sign in (-1, 1):
        alone = np.bincount(columns[signs == sign], minlength=matrix.width) == 1
        alone &= ~sums.nonzero()
        head = np.zeros(matrix.width, dtype=np.int64)
        own = alone[columns] & (signs == sign)
        head[columns[own]] = owners[own]
        rest = alone[columns] & (signs == -sign)
        pairs.append((head[columns[rest]], owners[rest]))
    (a, b), (c, d) = pairs
    return np.concatenate([a, c]), np.concatenate([b, d])


def _only_end(source: IntArray, target: IntArray, count: int) -> IntArray:
    """For each node of a graph without cycles the one sink that can be reached from it; −1 for several."""
    onward = np.bincount(source, minlength=count)
    order = np.argsort(target, kind="stable")
    back = source[order].tolist()
    cuts = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=count))]).tolist()
    end = np.where(onward == 0, np.arange(count), -2).tolist()
    left, ready = onward.tolist(), np.flatnonzero(onward == 0).tolist()
    while ready:
        node = ready.pop()
        for before in back[cuts[node] : cuts[node + 1]]:
            end[before] = end[node] if end[before] in (-2, end[node]) else -1
            left[before] -= 1
            if not left[before]:
                ready.append(before)
    return np.array(end, dtype=np.int64)
