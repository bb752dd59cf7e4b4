"""How the numbers of a weight are stored in fewer bits, without any loss: on a grid, and where they are not 0.

Numbers on a grid are whole numbers k with ``|k| < 2^(bits − 1)`` times a step, for the whole weight or for each
entry of one axis, rounded to the weight's precision. Bits stand in bytes with the lowest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from symlump.network.precision import Precision
from symlump.ode.exact import FloatArray, IntArray

Bytes: TypeAlias = npt.NDArray[np.uint8]
FEWEST, MOST = 2, 16
_ROWS, _NUMBERS = 4, 64  # that are looked at before all of them


@dataclass(frozen=True, eq=False)
class Grid:
    """A weight as whole numbers times steps.

    Parameters
    ----------
    bits : int
        Of a whole number, with its sign.
    codes : ndarray of int
    steps : ndarray
        Of as many axes, all of length 1 but at most one.
    """

    bits: int
    codes: IntArray
    steps: FloatArray

    def weight(self, precision: Precision) -> FloatArray:
        """The numbers that this stands for."""
        return precision.nearest(self.codes * self.steps, "weight")


def find_grid(weight: FloatArray, precision: Precision) -> Grid | None:
    """The grid with the fewest bits in all that gives exactly this weight; None if none saves any.

    The largest number of a row, or of all, is taken to have the largest code of its bits.

    Examples
    --------
    >>> from symlump.network.precision import PRECISIONS
    >>> grid = find_grid(np.array([[0.75, -0.25, 0.0], [5.0, 15.0, 10.0]]), PRECISIONS["float64"])
    >>> grid.bits, grid.codes.tolist(), grid.steps.tolist()
    (3, [[3, -1, 0], [1, 3, 2]], [[0.25], [5.0]])
    >>> find_grid(np.array([[1.0, 0.7, 0.123456]]), PRECISIONS["float64"]) is None
    True
    """
    found: list[tuple[int, Grid]] = []
    if not weight.size or weight.ndim < 2:
        return None
    for axis in (None, *range(min(2, weight.ndim))):
        count = 1 if axis is None else weight.shape[axis]
        rows = (weight if axis is None else np.moveaxis(weight, axis, 0)).reshape(count, -1)
        first = _sample(rows)
        for bits in range(FEWEST, min(MOST, precision.bits - 1) + 1):
            if _steps(first, bits, precision) is None:
                continue
            steps = _steps(rows, bits, precision)
            if steps is not None:
                spread = np.ones(weight.ndim, dtype=int)
                if axis is not None:
                    spread[axis] = count
                steps = steps.reshape(spread)
                codes, _ = _codes(weight, steps, bits, precision)
                size = weight.size * bits + count * precision.bits
                if size < weight.size * precision.bits:
                    found.append((size, Grid(bits, codes, steps)))
                break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _sample(rows: FloatArray) -> FloatArray:
    """Some numbers of some rows, the largest of each among them: most weights are on no grid."""
    few = rows[np.argsort(-np.abs(rows).max(axis=1), kind="stable")[:_ROWS]]
    largest = np.abs(few).argmax(axis=1)
    return np.asarray(np.column_stack([few[np.arange(len(few)), largest], few[:, :_NUMBERS]]))


def _steps(rows: FloatArray, bits: int, precision: Precision) -> FloatArray | None:
    """The step of each row whose multiples all its numbers are; None if a row has none."""
    largest, most = np.abs(rows).max(axis=1, keepdims=True), 2 ** (bits - 1) - 1
    found: FloatArray = np.zeros_like(largest)
    missing = np.ones(len(rows), dtype=bool)
    # A step that was rounded up makes the largest code one less where it has all the digits of a number.
    for code in (most, most - 1) if most * 2 * precision.unit > 0.5 and most > 1 else (most,):
        near = precision.nearest(largest / code, "step")
        for step in (near, precision.above(np.nextafter(near, np.inf)), precision.before(near)):
            new = missing & _codes(rows, step, bits, precision)[1].all(axis=1)
            found[new], missing = step[new], missing & ~new
            if not missing.any():
                return found
    return None


def _codes(
    rows: FloatArray, steps: FloatArray, bits: int, precision: Precision
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The multiple of its step that each number is, and whether it is one.

    A number was rounded after it was multiplied, so that where codes have as many digits as numbers of this
    precision, the nearest code can be off by 1.
    """
    most = 2 ** (bits - 1)
    near = np.clip(np.rint(rows / np.where(steps > 0, steps, 1.0)), -most, most)
    codes, fits = near.astype(np.int64), np.zeros(rows.shape, dtype=bool)
    for off in (0, -1, 1):
        products = np.clip((near + off) * steps, -precision.largest, precision.largest)
        new = ~fits & (precision.nearest(products, "weight") == rows)
        new &= np.abs(near + off) < most
        codes[new] = near[new].astype(np.int64) + off
        fits |= new
        if fits.all():
            break
    return codes, fits


def pack_bits(codes: IntArray, bits: int) -> Bytes:
    """Whole numbers, each as ``code + 2^(bits − 1)`` in so many bits, the lowest first.

    Examples
    --------
    >>> pack_bits(np.array([-1, 0, 1]), 2).tolist()
    [57]
    """
    shifted = (codes.ravel() + 2 ** (bits - 1)).astype("<u2")
    each = np.unpackbits(shifted.view(np.uint8).reshape(-1, 2), axis=1, bitorder="little")
    return np.packbits(each[:, :bits], bitorder="little")


def unpack_bits(packed: Bytes, bits: int, count: int) -> IntArray:
    """The whole numbers that :func:`pack_bits` packed.

    Examples
    --------
    >>> unpack_bits(np.array([57], dtype=np.uint8), 2, 3).tolist()
    [-1, 0, 1]
    """
    each = np.unpackbits(packed, count=bits * count, bitorder="little").reshape(count, bits)
    wide = np.packbits(each, axis=1, bitorder="little")
    whole = np.zeros((count, 2), dtype=np.uint8)
    whole[:, : wide.shape[1]] = wide
    return np.asarray(whole.view("<u2").ravel().astype(np.int64) - 2 ** (bits - 1))


def packed_size(bits: int, count: int) -> int:
    """Bytes of so many numbers of so many bits.

    Examples
    --------
    >>> packed_size(3, 5)
    2
    """
    return -(-bits * count // 8)


def multiply_out(parts: tuple[FloatArray, ...]) -> FloatArray:
    """A dense block as it is; of two factors the product, summed in one order on every machine.

    Also of a stack of blocks of one shape.

    Examples
    --------
    >>> multiply_out((np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]]))).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    if len(parts) == 1:
        return parts[0]
    left, right = parts
    product = np.zeros((*left.shape[:-1], right.shape[-1]))
    for k in range(left.shape[-1]):
        product += left[..., k, None] * right[..., k, None, :]
    return product


@dataclass(frozen=True, eq=False)
class BlockWeight:
    """A matrix stored block by block.

    Parameters
    ----------
    shape : tuple of int
    blocks : tuple
        Each with its first row, the row after its last, the same of columns, and its parts: the dense block, or
        two factors.
    rows, columns : ndarray of int, or None
        Row a of the blocks is row ``rows[a]`` of the matrix; None leaves them as they are.
    """

    shape: tuple[int, int]
    blocks: tuple[tuple[tuple[int, int, int, int], tuple[FloatArray, ...]], ...]
    rows: IntArray | None = None
    columns: IntArray | None = None

    def dense(self) -> FloatArray:
        """The matrix, multiplied out.

        Examples
        --------
        >>> block = (np.array([[1.0], [2.0]]), np.array([[3.0]]))
        >>> BlockWeight((2, 2), (((0, 2, 1, 2), block),)).dense().tolist()
        [[0.0, 3.0], [0.0, 6.0]]
        """
        tiled = np.zeros(self.shape)
        for (top, bottom, left, right), parts in self.blocks:
            tiled[top:bottom, left:right] = parts[0] if len(parts) == 1 else multiply_out(parts)
        if self.rows is None and self.columns is None:
            return tiled
        rows = np.arange(self.shape[0]) if self.rows is None else self.rows
        columns = np.arange(self.shape[1]) if self.columns is None else self.columns
        dense = np.empty(self.shape)
        dense[np.ix_(rows, columns)] = tiled
        return dense

    @property
    def numbers(self) -> FloatArray:
        """The numbers of all blocks, one after the other."""
        parts = [part.ravel() for _, block in self.blocks for part in block]
        return np.concatenate(parts) if parts else np.zeros(0)

    @classmethod
    def filled(
        cls,
        shape: tuple[int, int],
        places: list[tuple[int, int, int, int, int]],
        numbers: FloatArray,
        rows: IntArray | None,
        columns: IntArray | None,
    ) -> BlockWeight:
        """From the places of blocks, each with its rank (−1 if it is dense), and their numbers."""
        blocks, at = [], 0
        for top, bottom, left, right, rank in places:
            m, n = bottom - top, right - left
            parts = []
            for size in [(m, n)] if rank < 0 else [(m, rank), (rank, n)]:
                parts.append(numbers[at : at + prod(size)].reshape(size))
                at += prod(size)
            blocks.append(((top, bottom, left, right), tuple(parts)))
        return cls(shape, tuple(blocks), rows, columns)
