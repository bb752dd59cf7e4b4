"""The dependences of a system as a matrix, variables sorted by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.colours import Look, block_numbers
from symlump.display.drawing import new_figure
from symlump.lumping.lumping import Lumping
from symlump.memory import memory_errors
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.monomials import ranges
from symlump.ode.notation import count_text, name_latex
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: More cells than this a side are not told apart; then a cell stands for several variables.
_MAX_CELLS = 600
_LABELLED = 40
#: Lines between more blocks would cover the matrix.
_MAX_LINES = 25


@memory_errors()
def draw_blocks(lumping: Lumping) -> Figure:
    """Draw the dependences as a matrix sorted by block, beside that of the quotient.

    A cell in row i and column j says how much x_j occurs in the equation of x_i: the sum of the absolute
    coefficients of the terms that contain it, on a logarithmic scale of grey. Bars at the left have the
    colours of merged blocks. In a system of more than 600 variables a cell stands for several, and says so.

    Parameters
    ----------
    lumping : Lumping

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
    >>> figure = draw_blocks(sl.lump(ode, sl.Forward()))
    >>> [axes.get_title() for axes in figure.axes]
    ['3 variables, sorted by block', '2 blocks']
    """
    figure = new_figure(9.0, 4.6)
    left, right = figure.subplots(1, 2)
    draw_sorted(left, lumping)
    draw_matrix(right, lumping.quotient, np.arange(len(lumping.quotient)))
    right.set_title(count_text(len(lumping.partition), "block"))
    figure.suptitle(lumping.headline(), fontsize=11)
    return figure


def draw_sorted(axes: Any, lumping: Lumping) -> None:
    """Fill axes with the matrix of a lumped system, sorted by block, with lines between blocks.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    lumping : Lumping
    """
    sizes = lumping.partition.sizes
    order, ends = np.concatenate(lumping.partition.blocks), np.cumsum(sizes)
    cell = draw_matrix(axes, lumping.ode, order)
    title = f"{count_text(len(lumping.ode), 'variable')}, sorted by block"
    if cell > 1:
        title += f"\n(a cell is {cell} × {cell} variables)"
    axes.set_title(title)
    if len(sizes) <= _MAX_LINES:
        for end in ends[:-1].tolist():
            axes.axhline(end / cell - 0.5, color="#B0305C", linewidth=0.8)
            axes.axvline(end / cell - 0.5, color="#B0305C", linewidth=0.8)
    width = 0.03 * len(order) / cell
    for end, size, number in zip(
        ends.tolist(), sizes.tolist(), block_numbers(sizes.tolist()), strict=True
    ):
        if size > 1:
            look, top = Look.of(number), (end - size) / cell - 0.5
            corner = (-0.5 - width, top)
            axes.add_patch(_bar(corner, width, size / cell, look))
    axes.set_xlim(-0.5 - width, len(order) / cell - 0.5)


def _bar(corner: tuple[float, float], width: float, height: float, look: Look) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, facecolor=look.fill, hatch=look.hatch, linewidth=0)


def draw_matrix(axes: Any, ode: ODE, order: IntArray) -> int:
    """Fill axes with the matrix of a system.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    ode : ODE
    order : ndarray of int, shape (variables,)
        The variables, in the order of the rows.

    Returns
    -------
    int
        How many variables a side of a cell stands for.
    """
    n = len(ode)
    cell = -(-n // _MAX_CELLS)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n) // cell
    side = -(-n // cell)
    shown = np.zeros((side, side))
    rows, columns, weight = _entries(ode)
    np.add.at(shown, (place[rows], place[columns]), weight)
    values = np.full(shown.shape, np.nan)
    live = shown > 0
    if live.any():
        logs = np.log10(shown[live])
        values[live] = 0.35 + 0.65 * (logs - logs.min()) / max(float(np.ptp(logs)), 1e-9)
    axes.imshow(values, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    # Cells are squares; the plain layout does not know beforehand, and cuts long names below them.
    axes.figure.set_layout_engine("compressed")
    if n <= _LABELLED:
        labels = [f"${name_latex(ode.variables[v])}$" for v in order.tolist()]
        axes.set_xticks(range(n), labels, rotation=90 if n > 12 else 0)
        axes.set_yticks(range(n), labels)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    return cell


def _entries(ode: ODE) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, variable and absolute coefficient of every factor of every term."""
    table, weight = ode.monomials, np.abs(ode.coefficients.to_float())
    lengths = table.lengths[ode.columns]
    at = ranges(table.indptr[:-1][ode.columns], lengths)
    rows, symbols = np.repeat(ode.rows, lengths), table.variables[at]
    weight = np.asarray(np.repeat(weight, lengths), dtype=np.float64)
    if ode.generators is None:
        return rows, symbols, weight
    # A function counts for all variables in it.
    n, support = len(ode), ode.generators.support.tocsr()
    plain = symbols < n
    inner = symbols[~plain] - n
    inside = np.diff(support.indptr)[inner]
    members = support.indices[ranges(support.indptr[:-1][inner], inside)]
    return (
        np.concatenate([rows[plain], np.repeat(rows[~plain], inside)]),
        np.concatenate([symbols[plain], members]).astype(np.int64),
        np.concatenate([weight[plain], np.repeat(weight[~plain], inside)]),
    )
