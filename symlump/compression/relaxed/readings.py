"""How a value stands on the reduced one, and the least change of what reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.compression.relaxed.selected import CONSTANT, UnitMap
from symlump.ode.exact import FloatArray, IntArray

Marks: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MapReading:
    """How channels of a value stand on channels of the reduced one: h = S·ĥ + q.

    Parameters
    ----------
    matrix : sparse matrix, shape (channels, reduced channels)
    offset : ndarray, shape (channels,)
    unread : ndarray of bool, shape (channels,)
    """

    matrix: sparse.csr_array
    offset: FloatArray
    unread: Marks


@dataclass(frozen=True, eq=False)
class Condition:
    """What (*) says of one layer, and what is missing.

    Parameters
    ----------
    rows : UnitMap
        Of the layer's units.
    weight : ndarray, shape (units, reduced inputs, offsets)
        R; rows of removed units are what they were, W·P.
    bias : ndarray, shape (units,)
        The same of the biases.
    size : ndarray, shape (units,)
        Sums of absolute values that R was computed from, the largest of each row.
    reading : MapReading or None
        None for layers with one kernel per unit.
    """

    rows: UnitMap
    weight: FloatArray
    bias: FloatArray
    size: FloatArray
    reading: MapReading | None

    @cached_property
    def distance(self) -> FloatArray:
        """For each unit the 2-norm of what is missing, of its row and its bias, which a constant unit keeps."""
        bias = np.where(self.rows.kind == CONSTANT, 0.0, self.bias)
        missing = (self.weight**2).sum(axis=(1, 2)) + bias**2
        return np.asarray(np.sqrt(missing))


def number_copies(keys: IntArray) -> IntArray:
    """For each entry how many of those before it are the same: a unit may be joined, or selected, twice.

    Examples
    --------
    >>> number_copies(np.array([4, 2, 4])).tolist()
    [0, 0, 1]
    """
    order = np.argsort(keys, kind="stable")
    place = np.arange(keys.size)
    starts = np.diff(keys[order], prepend=-1) != 0
    found = np.empty_like(place)
    found[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    return found


def least_change(
    weight: FloatArray, bias: FloatArray, users: int, reading: MapReading
) -> FloatArray:
    """The least ΔW and Δb with ΔW·P = R at each offset and ΔW·q + Δb = r, for each row R, r; the first of them.

    They are combinations of the constraints: ΔW_k = λ_k·Pᵀ + μ·qᵀ at the k-th of K offsets and Δb = μ. The
    columns of P are orthogonal (a unit stands on one other), so D = PᵀP is diagonal, and with v = Pᵀq

        λ_k = (R_k − μ·v)·D⁻¹,    μ = (r − Σ_k R_k·D⁻¹·v) / (1 + K·(‖q‖² − v·D⁻¹·v)).

    Where N layers share W and have each a bias of its own, there is a Δb for each, μ is the sum of them, r the
    sum of theirs, and N stands before both sums.

    Examples
    --------
    >>> both = MapReading(sparse.csr_array(np.ones((2, 1))), np.zeros(2), np.zeros(2, dtype=bool))
    >>> least_change(np.array([[[1.0]]]), np.zeros(1), 1, both).tolist()
    [[[0.5], [0.5]]]
    """
    matrix, q = reading.matrix, reading.offset
    units, reduced, offsets = weight.shape
    squares = np.asarray((matrix**2).sum(axis=0))
    inverse = 1 / np.where(squares > 0, squares, 1.0)
    v = matrix.T @ q
    rest = max(float(q @ q - (v * inverse) @ v), 0.0)
    taken = users * np.einsum("umk,m->u", weight, inverse * v)
    mu = (bias - taken) / (1 + users * offsets * rest)
    factors = (weight - mu[:, None, None] * v[None, :, None]) * inverse[None, :, None]
    flat = factors.transpose(0, 2, 1).reshape(units * offsets, reduced)
    change = (matrix @ flat.T).T.reshape(units, offsets, -1) + mu[:, None, None] * q
    return np.asarray(change.transpose(0, 2, 1))
