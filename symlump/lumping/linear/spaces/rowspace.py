"""Sparse row spaces over a prime field, by a basis that is the identity on its pivot columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.lumping.linear.spaces.residues import centre, clean, multiply
from symlump.ode.exact import IntArray

_MOST = 64  # vectors that are added at once


class RowSpace:
    """A row space modulo a prime that grows.

    Examples
    --------
    >>> space = RowSpace(3, 7)
    >>> _ = space.extend(sparse.csr_array(np.array([[2, 4, 0], [0, 0, 3], [1, 2, 1]])))
    >>> space.basis.toarray().tolist(), space.pivots.tolist()
    ([[1, 2, 0], [0, 0, 1]], [0, 2])
    """

    def __init__(self, width: int, prime: int) -> None:
        self.prime = prime
        self.basis = sparse.csr_array((0, width), dtype=np.int64)
        self.pivots: IntArray = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.pivots.size)

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.basis.shape[1])

    def reduce(self, rows: sparse.csr_array) -> sparse.csr_array:
        """The rows modulo V: zero on the pivots."""
        if not len(self):
            return rows
        return clean(rows - multiply(rows[:, self.pivots], self.basis, self.prime), self.prime)

    def extend(
        self, rows: sparse.csr_array, allowed: npt.NDArray[np.bool_] | None = None
    ) -> IntArray:
        """Add rows, few at a time; returns which of them were independent of the rest.

        Each takes the first column that is not zero as its pivot, among the allowed ones.
        """
        kept = [
            start + self._extend(rows[start : start + _MOST], allowed)
            for start in range(0, rows.shape[0], _MOST)
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *kept])

    def _extend(self, rows: sparse.csr_array, allowed: npt.NDArray[np.bool_] | None) -> IntArray:
        rows, prime = self.reduce(rows), self.prime
        support = np.unique(rows.indices).astype(np.int64)
        dense = rows[:, support].toarray()
        usable = np.ones(support.size, dtype=bool) if allowed is None else allowed[support]
        kept: list[int] = []
        pivots: list[int] = []
        for i in range(dense.shape[0]):
            live = np.flatnonzero((dense[i] != 0) & usable)
            if not live.size:
                continue
            pivot = int(live[0])
            dense[i] = centre(dense[i] * pow(int(dense[i, pivot]), -1, prime), prime)
            others = np.flatnonzero(dense[:, pivot])
            others = others[others != i]
            dense[others] = centre(
                dense[others] - centre(dense[others, pivot][:, None] * dense[i], prime), prime
            )
            kept.append(i)
            pivots.append(pivot)
        if not kept:
            return np.empty(0, dtype=np.int64)
        fresh = sparse.csr_array(dense[kept])
        fresh = sparse.csr_array(
            (fresh.data, support[fresh.indices], fresh.indptr), shape=(len(kept), self.width)
        )
        chosen = support[pivots]
        if len(self):
            change = multiply(self.basis[:, chosen], fresh, prime)
            self.basis = clean(sparse.vstack([self.basis - change, fresh]), prime)
        else:
            self.basis = fresh
        self.pivots = np.concatenate([self.pivots, chosen])
        return np.array(kept, dtype=np.int64)

    def sort(self) -> None:
        """Put the basis in the order of its pivots."""
        order = np.argsort(self.pivots)
        self.basis, self.pivots = self.basis[order], self.pivots[order]
        self.basis.sort_indices()
