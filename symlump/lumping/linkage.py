"""Which variables of one block stay together within a tolerance: three linkages.

Each row of a matrix is the signature of one variable (the coefficients that an exact equivalence
requires to be equal). The rows are split into groups:

``closure``
    connected components of "1-norm distance at most ε": the definition of approximate differential
    equivalence (arXiv:1807.06888). Two rows of one group can be (size − 1)·ε apart.
``diameter``
    complete linkage: every two rows of a group are within ε in the 1-norm.
``variance``
    Ward's linkage: merge while the height √(2|A||B|/(|A|+|B|))·‖mean_A − mean_B‖₂ is at most ε, so
    that two single rows merge iff their 2-norm distance is at most ε.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from symlump.errors import MethodError
from symlump.ode.exact import FloatArray, IntArray

#: Distances are float64 sums; a pair at ε itself must not fall out by their rounding.
ROUNDING_SLACK = 1e-12


class Linkage(StrEnum):
    """How a tolerance groups variables."""

    CLOSURE = "closure"
    DIAMETER = "diameter"
    VARIANCE = "variance"

    @classmethod
    def named(cls, name: Any) -> Linkage:
        """The linkage of that name.

        Raises
        ------
        MethodError
            If there is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise MethodError(
                f"linkage {name!r} is unknown; choose " + ", ".join(repr(str(m)) for m in cls)
            ) from None

    @property
    def norm(self) -> int:
        """The norm in which this linkage measures distance."""
        return 2 if self is Linkage.VARIANCE else 1


def group_rows(rows: sparse.csr_array, eps: float, linkage: Linkage) -> IntArray:
    """Group numbers of the rows.

    Parameters
    ----------
    rows : csr_array, shape (members, keys)
    eps : float
        Tolerance, at least 0.

    Returns
    -------
    ndarray of int64, shape (members,)

    Examples
    --------
    >>> rows = sparse.csr_array([[1.00, 2.00], [1.04, 1.97], [1.50, 2.00]])
    >>> [len(set(group_rows(rows, 0.495, Linkage(name)).tolist()))
    ...  for name in ("closure", "diameter", "variance")]
    [1, 2, 2]

    Notes
    -----
    Rows are first cut where sorted projections leave a gap wider than ε, which no chain can cross;
    what remains costs the square of the largest piece.
    """
    limit = eps * (1 + ROUNDING_SLACK)
    count = int(rows.shape[0])
    labels = np.zeros(count, dtype=np.int64)
    next_label = 0
    for piece in _gap_pieces(rows, limit, linkage):
        inner = _group_piece(_dense(rows[piece]), limit, linkage)
        labels[piece] = inner + next_label
        next_label += int(inner.max(initial=0)) + 1
    return labels


def _gap_pieces(rows: sparse.csr_array, limit: float, linkage: Linkage) -> list[IntArray]:
    """Cut where two consecutive projections differ by more than any distance ≤ ε could explain.

    |⟨s, a − b⟩| ≤ ‖a − b‖₁ for signs s. Ward merges groups whose means are within ε of each other
    in the 2-norm only up to a factor, so it is cut by nothing here and stays whole.
    """
    everything = np.arange(rows.shape[0])
    if linkage is Linkage.VARIANCE or rows.shape[0] < 3:
        return [everything]
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(rows.shape[1], 4))
    projections = np.asarray(rows @ signs)
    pieces = [everything]
    for projection in projections.T:
        finer: list[IntArray] = []
        for piece in pieces:
            order = piece[np.argsort(projection[piece], kind="stable")]
            gaps = np.flatnonzero(np.diff(projection[order]) > limit * (1 + 1e-9))
            finer.extend(np.split(order, gaps + 1))
        pieces = finer
    return pieces


def _dense(rows: sparse.csr_array) -> FloatArray:
    """The rows without columns that are zero in all of them."""
    used, column = np.unique(rows.indices, return_inverse=True)
    dense = np.zeros((rows.shape[0], used.size))
    owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    np.add.at(dense, (owner, column.ravel()), rows.data)
    return dense


def _group_piece(dense: FloatArray, limit: float, linkage: Linkage) -> IntArray:
    count = dense.shape[0]
    if count == 1 or dense.shape[1] == 0:
        return np.zeros(count, dtype=np.int64)
    if linkage is Linkage.CLOSURE:
        near = squareform(pdist(dense, "cityblock") <= limit)
        return np.asarray(
            connected_components(sparse.csr_array(near), directed=False)[1], dtype=np.int64
        )
    if linkage is Linkage.DIAMETER:
        tree = hierarchy.linkage(pdist(dense, "cityblock"), "complete")
    else:
        tree = hierarchy.linkage(_euclidean(dense), "ward")
    return np.asarray(hierarchy.fcluster(tree, limit, "distance"), dtype=np.int64) - 1


def _euclidean(dense: FloatArray) -> FloatArray:
    """Condensed 2-norm distances by one matrix product, near pairs recomputed directly.

    ‖a − b‖² = ‖a‖² + ‖b‖² − 2⟨a, b⟩ cancels for near pairs, where direct differences do not.
    """
    if dense.shape[0] * dense.shape[1] < 1 << 16:
        return np.asarray(pdist(dense))
    squares = np.einsum("ij,ij->i", dense, dense)
    i, j = np.triu_indices(dense.shape[0], 1)
    gram = dense @ dense.T
    distance = squares[i] + squares[j] - 2 * gram[i, j]
    near = np.flatnonzero(distance < 1e-6 * (squares[i] + squares[j]))
    np.maximum(distance, 0, out=distance)
    for start in range(0, near.size, 4096):
        part = near[start : start + 4096]
        difference = dense[i[part]] - dense[j[part]]
        distance[part] = np.einsum("ij,ij->i", difference, difference)
    return np.asarray(np.sqrt(distance))
