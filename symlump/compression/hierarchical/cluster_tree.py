"""Nested cuts of rows and columns, and an order of them that puts similar ones side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symlump.ode.exact import FloatArray, IntArray

#: Level, row cluster, column cluster: where a block is in the tree.
Place = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ClusterTree:
    """Cluster trees of rows and columns, level by level.

    Level 0 is the whole matrix. Each further level halves the row clusters, the column clusters, or
    both (the longer side first, so that blocks stay roughly square). Block (i, j) of level d has the
    rows ``rows[d][i] … rows[d][i + 1]``, and so for its columns.

    Parameters
    ----------
    rows, columns : tuple of ndarray of int
        The cuts of each level, from 0 to the number of rows (columns).

    Examples
    --------
    >>> tree = ClusterTree.bisect((8, 3), leaf_size=2)
    >>> [edges.tolist() for edges in tree.rows]
    [[0, 8], [0, 4, 8], [0, 2, 4, 6, 8]]
    >>> [edges.tolist() for edges in tree.columns]
    [[0, 3], [0, 3], [0, 1, 3]]
    """

    rows: tuple[IntArray, ...]
    columns: tuple[IntArray, ...]

    @classmethod
    def bisect(cls, shape: tuple[int, int], leaf_size: int) -> ClusterTree:
        """Halve until no cluster has more than ``leaf_size`` members."""
        rows, columns = [np.array([0, shape[0]])], [np.array([0, shape[1]])]
        while True:
            high, wide = (_largest(edges[-1]) for edges in (rows, columns))
            row_cut = _can_halve(rows[-1], leaf_size) and (
                2 * high > wide or not _can_halve(columns[-1], leaf_size)
            )
            column_cut = _can_halve(columns[-1], leaf_size) and (
                2 * wide > high or not _can_halve(rows[-1], leaf_size)
            )
            if not (row_cut or column_cut):
                return cls(tuple(rows), tuple(columns))
            rows.append(_halved(rows[-1]) if row_cut else rows[-1])
            columns.append(_halved(columns[-1]) if column_cut else columns[-1])

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.rows)

    @property
    def transposed(self) -> ClusterTree:
        """The tree of the transposed matrix."""
        return ClusterTree(self.columns, self.rows)

    def split(self, level: int) -> tuple[int, int]:
        """Into how many rows and columns of blocks a block of this level falls (1 or 2 each)."""
        return (
            (self.rows[level + 1].size - 1) // (self.rows[level].size - 1),
            (self.columns[level + 1].size - 1) // (self.columns[level].size - 1),
        )

    def window(self, place: Place) -> tuple[slice, slice]:
        """Rows and columns of a block."""
        level, i, j = place
        rows, columns = self._slices
        return rows[level][i], columns[level][j]

    def stacked(self, matrix: FloatArray, places: IntArray) -> FloatArray:
        """Some blocks of a matrix, of one level and of equal shape; their places are rows."""
        level, i, j = places.T
        rows, columns = self.window((int(level[0]), int(i[0]), int(j[0])))
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        tall, broad = np.diff(self.rows[level[0]]), np.diff(self.columns[level[0]])
        if (tall == high).all() and (broad == wide).all():
            grid = matrix.reshape(tall.size, high, broad.size, wide).swapaxes(1, 2)
            return np.asarray(grid[i, j])
        down = self.rows[level[0]][i, None, None] + np.arange(rows.stop - rows.start)[:, None]
        across = self.columns[level[0]][j, None, None] + np.arange(columns.stop - columns.start)
        return np.asarray(matrix[down, across])

    @cached_property
    def _slices(self) -> tuple[list[list[slice]], list[list[slice]]]:
        """Of each level the clusters of rows, and of columns."""
        rows, columns = (
            [list(map(slice, edges[:-1].tolist(), edges[1:].tolist())) for edges in side]
            for side in (self.rows, self.columns)
        )
        return rows, columns

    def finest(self, place: Place) -> tuple[slice, slice]:
        """Which blocks of the last level are inside a block: their rows and columns of the grid."""
        (rows, columns), last = self.window(place), self.depth - 1
        i, j = (
            slice(int(np.searchsorted(edges, part.start)), int(np.searchsorted(edges, part.stop)))
            for edges, part in ((self.rows[last], rows), (self.columns[last], columns))
        )
        return i, j


def similarity_order(matrix: FloatArray, leaf_size: int) -> tuple[IntArray, IntArray]:
    """Orders of rows and columns in which the halves of :class:`ClusterTree` are alike.

    Two rows are similar by the squared cosine of the angle between them, which ignores scale and
    sign as rank does. Every cluster is cut at the median of its Fiedler vector, the second
    eigenvector of the normalised similarity: the relaxed cut that severs least.

    References
    ----------
    Shi, Malik, "Normalized cuts and image segmentation", doi:10.1109/34.868688; Atkins, Boman,
    Hendrickson, "A spectral algorithm for seriation", doi:10.1137/S0097539795285771.

    Examples
    --------
    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))[[0, 3, 1, 4, 2, 5]]
    >>> rows, columns = similarity_order(blocks, leaf_size=3)
    >>> sorted(map(sorted, rows.reshape(2, 3).tolist()))
    [[0, 2, 4], [1, 3, 5]]
    """
    return _spectral_order(matrix, leaf_size), _spectral_order(matrix.T, leaf_size)


def _spectral_order(vectors: FloatArray, leaf_size: int) -> IntArray:
    # Times powers of two, so that no square overflows or vanishes; angles stay as they are.
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    vectors = np.ldexp(vectors, -np.frexp(largest)[1])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros(vectors.shape), where=length > 0)
    likeness = np.asarray((unit @ unit.T) ** 2)
    order = np.arange(len(vectors))
    edges = np.array([0, len(vectors)])
    while _can_halve(edges, leaf_size):
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            members = order[start:stop]
            value = _fiedler(likeness[np.ix_(members, members)])
            order[start:stop] = members[np.argsort(value, kind="stable")]
        edges = _halved(edges)
    return order


def _fiedler(likeness: FloatArray) -> FloatArray:
    """Second eigenvector of D^(-1/2)·S·D^(-1/2), as a value for each member."""
    from scipy.sparse.linalg import ArpackError, eigsh

    size = len(likeness)
    # An isolated member (a zero row) would divide by 0, and several components would make the vector
    # ambiguous: a faint link between all pairs cures both.
    linked = likeness + 1e-9 * max(float(likeness.max(initial=0.0)), 1.0) / size
    scale = 1 / np.sqrt(linked.sum(axis=1))
    operator = scale[:, None] * linked * scale
    if size > 200:
        try:
            values, vectors = eigsh(operator, 2, which="LA", v0=np.linspace(1.0, 2.0, size))
        except ArpackError:
            values, vectors = np.linalg.eigh(operator)
    else:
        values, vectors = np.linalg.eigh(operator)
    second = vectors[:, np.argsort(values)[-2]] * scale
    # The sign of an eigenvector is arbitrary; the same matrix must give the same order.
    return np.asarray(second * (1.0 if second[np.argmax(np.abs(second))] > 0 else -1.0))


def _largest(edges: IntArray) -> int:
    return int(np.diff(edges).max())


def _can_halve(edges: IntArray, leaf_size: int) -> bool:
    sizes = np.diff(edges)
    return bool(sizes.max() > leaf_size and sizes.min() >= 2)


def _halved(edges: IntArray) -> IntArray:
    middle = (edges[:-1] + edges[1:]) // 2
    return np.asarray(np.sort(np.concatenate([edges, middle])))
