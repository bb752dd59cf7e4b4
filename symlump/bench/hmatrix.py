"""How the storage of a hierarchical matrix grows: the kernel 1/|x − y| on a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from symlump.compression.hierarchical.hmatrix import HMatrix
from symlump.ode.exact import FloatArray
from symlump.tables import markdown_table, table_text


@dataclass(frozen=True)
class KernelRow:
    """One size.

    Parameters
    ----------
    points, blocks : int
    storage : int
        Stored numbers.
    dense_ratio, svd_ratio : float
        Numbers of the dense matrix, and of the smallest truncated SVD within the tolerance, by those.
    per_n_log_n : float
        Storage by n·log2 n: constant where storage grows so.
    error : float
        ‖W − Ŵ‖_F / ‖W‖_F, measured.
    bound : float
        The bound that was proven for it.
    build_ratio : float
        Time of one dense singular value decomposition by that of the compression.
    product_ratio : float
        Time of a dense matrix–vector product by that of the compressed one.
    """

    points: int
    blocks: int
    storage: int
    dense_ratio: float
    svd_ratio: float
    per_n_log_n: float
    error: float
    bound: float
    build_ratio: float
    product_ratio: float


def kernel_matrix(points: int) -> FloatArray:
    """1/max(|x_i − x_j|, h) for equidistant points in [0, 1] with h = 1/n.

    Examples
    --------
    >>> kernel_matrix(3).round(2).tolist()
    [[3.0, 2.0, 1.0], [2.0, 3.0, 2.0], [1.0, 2.0, 3.0]]
    """
    x = np.linspace(0, 1, points)
    return np.asarray(1 / np.maximum(np.abs(x[:, None] - x), 1 / points))


def measure(points: int, tol: float = 1e-3) -> KernelRow:
    """Compress the kernel matrix of so many points."""
    matrix = kernel_matrix(points)
    start = time.perf_counter()
    compressed = HMatrix.from_dense(matrix, tol)
    built = time.perf_counter()
    _, values, _ = np.linalg.svd(matrix)
    decomposed = time.perf_counter()
    tails = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])
    rank = int(np.count_nonzero(tails > tol * tails[0]))
    x = np.random.default_rng(0).standard_normal(points)
    _ = compressed @ x  # the first product arranges the stored numbers
    return KernelRow(
        points,
        len(compressed.blocks),
        compressed.storage,
        points**2 / compressed.storage,
        2 * points * rank / compressed.storage,
        compressed.storage / (points * log2(points)),
        float(np.linalg.norm(matrix - compressed.to_dense()) / np.linalg.norm(matrix)),
        compressed.relative_error,
        (decomposed - built) / (built - start),
        _seconds(lambda: matrix @ x) / _seconds(lambda: compressed @ x),
    )


def _seconds(action: Callable[[], object], repeats: int = 25) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


HEADER = (
    "points",
    "blocks",
    "numbers",
    "dense/this",
    "one SVD/this",
    "per n·log2 n",
    "error",
    "proven",
    "SVD time/build",
    "dense time/product",
)


def _cells(row: KernelRow) -> tuple[str, ...]:
    return (
        str(row.points),
        str(row.blocks),
        str(row.storage),
        f"{row.dense_ratio:.1f}",
        f"{row.svd_ratio:.1f}",
        f"{row.per_n_log_n:.2f}",
        f"{row.error:.2e}",
        f"{row.bound:.2e}",
        f"{row.build_ratio:.1f}",
        f"{row.product_ratio:.1f}",
    )


def text(rows: Sequence[KernelRow]) -> str:
    """An aligned table."""
    return table_text(HEADER, [_cells(row) for row in rows])


def markdown(rows: Sequence[KernelRow]) -> str:
    """The table in Markdown."""
    return markdown_table(HEADER, [_cells(row) for row in rows])
