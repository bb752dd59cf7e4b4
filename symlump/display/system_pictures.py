"""Pictures of a lumped system: its matrix sorted by blocks, and its solutions beside the quotient's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.display.drawing import PALETTE, new_figure
from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.memory import memory_errors
from symlump.ode.monomials import ranges
from symlump.ode.notation import name_latex
from symlump.ode.simulate import simulate
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_VARIABLES = 2000
_LABELLED = 40
_CURVES = 8


@memory_errors()
def draw_blocks(lumping: Lumping) -> Figure:
    """Who acts on whom as a matrix, variables sorted by block, lines between blocks; the quotient's beside it.

    A cell in row i and column j says how often x_j occurs in the equation of x_i: the sum of the absolute
    coefficients of the terms that contain it, on a logarithmic scale of grey.

    Raises
    ------
    MethodError
        If the system has more than 2000 variables.
    """
    if len(lumping.ode) > _MAX_VARIABLES:
        raise MethodError(
            f"a matrix of {len(lumping.ode)} variables cannot be seen; draw at most {_MAX_VARIABLES}"
        )
    figure = new_figure(9.0, 4.6)
    left, right = figure.subplots(1, 2)
    order = np.concatenate(lumping.partition.blocks)
    edges = (np.cumsum(lumping.partition.sizes)[:-1] - 0.5).astype(np.float64)
    draw_matrix(left, lumping.ode, order, edges)
    draw_matrix(right, lumping.quotient, np.arange(len(lumping.quotient)), np.empty(0))
    left.set_title(f"{len(lumping.ode)} variables, sorted by block")
    right.set_title(f"{len(lumping.partition)} blocks")
    figure.suptitle(lumping.headline(), fontsize=11)
    return figure


def draw_matrix(
    axes: Any, ode: ODE, order: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]
) -> None:
    """Fill axes with the matrix of a system, variables in this order, lines at these edges."""
    n = len(ode)
    table, weight = ode.monomials, np.abs(ode.coefficients.to_float())
    lengths = table.lengths[ode.columns]
    at = ranges(table.indptr[:-1][ode.columns], lengths)
    matrix = np.zeros((n, ode.symbols))
    np.add.at(
        matrix, (np.repeat(ode.rows, lengths), table.variables[at]), np.repeat(weight, lengths)
    )
    if ode.generators is not None:  # a function counts for every variable in it
        matrix = matrix[:, :n] + matrix[:, n:] @ (ode.generators.support > 0).toarray()
    shown = matrix[np.ix_(order, order)]
    values = np.full(shown.shape, np.nan)
    live = shown > 0
    if live.any():
        logs = np.log10(shown[live])
        values[live] = 0.35 + 0.65 * (logs - logs.min()) / max(float(np.ptp(logs)), 1e-9)
    axes.imshow(values, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for edge in edges:
        axes.axhline(edge, color=PALETTE[5], linewidth=1.2)
        axes.axvline(edge, color=PALETTE[5], linewidth=1.2)
    if n <= _LABELLED:
        labels = [f"${name_latex(ode.variables[v])}$" for v in order.tolist()]
        axes.set_xticks(range(n), labels, rotation=90 if n > 12 else 0)
        axes.set_yticks(range(n), labels)
    else:
        axes.set_xticks([])
        axes.set_yticks([])


@memory_errors()
def draw_trajectories(
    lumping: Lumping,
    initial: npt.ArrayLike,
    times: npt.ArrayLike,
    bound: Any = None,
) -> Figure:
    """The system's solution, aggregated, and the quotient's, from the same initial state.

    Parameters
    ----------
    lumping : Lumping
    initial : array_like, shape (variables,)
        A state of the system.
    times : array_like, shape (times,)
    bound : array_like of float, shape (blocks,), or float, optional
        Bounds of the blocks' errors, such as ``lumping.bound(…)`` gives; drawn as bands around the quotient.

    Raises
    ------
    InputError, FailureError
        As :func:`symlump.simulate`.
    """
    at = np.asarray(times, dtype=np.float64)
    full = lumping.aggregate(simulate(lumping.ode, initial, at).states)
    small = simulate(lumping.quotient, lumping.aggregate(initial), at).states
    figure = new_figure(7.5, 4.6)
    axes = figure.subplots()
    spread = np.ptp(full, axis=1)
    shown = np.sort(np.argsort(-spread, kind="stable")[:_CURVES])
    widths = None if bound is None else np.broadcast_to(np.asarray(bound, float), (len(small),))
    for number, block in enumerate(shown.tolist()):
        colour = PALETTE[(4, 5, 2, 6, 0, 1, 7, 3)[number]]
        label = f"${name_latex(lumping.quotient.variables[block])}$"
        axes.plot(at, full[block], color=colour, linewidth=4.5, alpha=0.35)
        axes.plot(at, small[block], color=colour, linewidth=1.6, linestyle="--", label=label)
        if widths is not None:
            low, high = small[block] - widths[block], small[block] + widths[block]
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    band = "" if bound is None else "; shaded: the bound"
    axes.set_title(f"thick: the system, aggregated; dashed: the quotient{band}", fontsize=11)
    axes.set_xlabel("time")
    axes.legend(frameon=False, ncols=2)
    axes.grid(True, alpha=0.25)
    return figure
