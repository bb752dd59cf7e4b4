"""A picture of a hierarchical matrix: its blocks and their ranks (extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symlump.compression.hierarchical.hmatrix import HMatrix
from symlump.display.drawing import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DENSE, _LOW = PALETTE[5], PALETTE[1]


def _tint(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white: 0 is white, 1 the colour itself."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def draw_hmatrix(matrix: HMatrix, title: str | None = None) -> Figure:
    """Draw the blocks of a matrix: dense blocks in full colour, low-rank blocks paler the less they store.

    Each block with enough room shows its rank. Rows and columns are in the order of the tree.

    Parameters
    ----------
    matrix : HMatrix
    title : str, optional

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> figure = draw_hmatrix(HMatrix.from_dense(np.eye(32), 1e-3, leaf_size=8))
    >>> len(figure.axes[0].patches)
    10
    """
    figure = new_figure(5.2, 5.6)
    from matplotlib.patches import Patch, Rectangle

    rows, columns = matrix.shape
    axes = figure.subplots()
    for block in matrix.blocks:
        high, wide = block.shape
        share = block.storage / (high * wide)
        colour = _tint(_DENSE, 1.0) if block.rank is None else _tint(_LOW, 0.1 + 0.9 * share)
        axes.add_patch(
            Rectangle(
                (block.columns.start, block.rows.start),
                wide,
                high,
                facecolor=colour,
                edgecolor="black",
                linewidth=0.4,
            )
        )
        # Points per number of rows, roughly: the axes are 4.7 inches high.
        size = min(high / rows, wide / columns) * 4.7 * 72
        if size >= 6 and block.rank is not None:
            axes.text(
                (block.columns.start + block.columns.stop) / 2,
                (block.rows.start + block.rows.stop) / 2,
                str(block.rank),
                ha="center",
                va="center",
                fontsize=min(14.0, 0.6 * size),
            )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal" if 0.25 <= rows / columns <= 4 else "auto")
    axes.set_xticks([0, columns])
    axes.set_yticks([0, rows])
    axes.set_title(
        title
        or f"{matrix.storage} of {rows * columns} numbers, error ≤ {matrix.relative_error:.2g}",
        fontsize=11,
    )
    axes.legend(
        handles=[
            Patch(facecolor=_DENSE, edgecolor="black", linewidth=0.4, label="dense"),
            Patch(
                facecolor=_tint(_LOW, 0.3),
                edgecolor="black",
                linewidth=0.4,
                label="low rank (number: its rank)",
            ),
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.04),
        ncols=2,
        frameon=False,
    )
    return figure
