"""Pictures with matplotlib (extra ``plot``): lumped systems and trade-off curves.

Colours are the Okabe–Ito set, distinguishable with all common colour deficiencies; blocks and methods
also differ in labels and markers, so the pictures read in greyscale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from symlump.errors import MethodError, MissingExtraError
from symlump.lumping.lumping import Lumping
from symlump.ode.printing import name_latex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
_MARKERS = "osD^vP*X"
_MAX_NODES = 150
_MAX_COLUMNS = 8


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no display.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "pictures need matplotlib: pip install 'symlump[plot]' (or: pip install matplotlib)"
        ) from None

    class Picture(Figure):
        """A figure that notebooks show without any set-up."""

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    figure = Picture(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw(lumping: Lumping) -> Figure:
    """The dependency graph with its blocks coloured, and the quotient's beside it.

    An arrow x → y says that x occurs in the equation of y; a ring around a node, that it occurs in its
    own.

    Raises
    ------
    MethodError
        If the system has more than 150 variables; such a picture shows nothing.
    """
    if len(lumping.ode) > _MAX_NODES:
        raise MethodError(
            f"a graph of {len(lumping.ode)} variables cannot be read; draw at most {_MAX_NODES}"
        )
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    colours = [PALETTE[b % len(PALETTE)] for b in range(len(lumping.partition))]
    full, small = lumping.ode.dependency_graph(), lumping.quotient.dependency_graph()
    position = _layout(full, lumping)
    _graph(left, full, position, [colours[b] for b in lumping.partition.labels])
    centre = {
        name: np.mean([position[v] for v in block], axis=0)
        for name, block in zip(lumping.quotient.variables, lumping.blocks, strict=True)
    }
    _graph(right, small, centre, colours)
    left.set_title(f"{len(lumping.ode)} variables")
    right.set_title(f"{len(lumping.partition)} blocks")
    figure.suptitle(lumping.headline(), fontsize=11)
    return figure


def _layout(graph: nx.DiGraph, lumping: Lumping) -> dict[str, Any]:
    """One column a block, neighbours near each other; many blocks on a circle instead."""
    order = [name for block in lumping.blocks for name in block]
    if len(lumping.blocks) > _MAX_COLUMNS:
        angle = 2 * np.pi * np.arange(len(order)) / len(order) + np.pi / 2
        return {v: np.array([np.cos(a), np.sin(a)]) for v, a in zip(order, angle, strict=True)}
    links = graph.to_undirected()
    quotient = nx.quotient_graph(links, [frozenset(block) for block in lumping.blocks])
    position: dict[str, Any] = {}
    for component in nx.connected_components(quotient):
        start = min(component, key=lambda block: (quotient.degree(block), order.index(min(block))))
        for block in nx.bfs_tree(quotient, start):
            column = len(_placed(position, lumping))
            height = {
                v: np.mean([position[w][1] for w in links[v] if w in position] or [0.0])
                for v in block
            }
            ranked = sorted(block, key=lambda v: (-height[v], order.index(v)))
            for rank, v in enumerate(ranked):
                position[v] = np.array([float(column), (len(ranked) - 1) / 2 - rank])
    return position


def _placed(position: Mapping[str, Any], lumping: Lumping) -> list[tuple[str, ...]]:
    return [block for block in lumping.blocks if block[0] in position]


def _graph(axes: Any, graph: nx.DiGraph, position: Mapping[str, Any], colours: list[str]) -> None:
    size = 900 if len(graph) <= 20 else 250
    loops = {v for v in graph if graph.has_edge(v, v)}
    edges = [(a, b) for a, b in graph.edges if a != b]
    nx.draw_networkx_nodes(
        graph,
        position,
        ax=axes,
        node_color=colours,
        node_size=size,
        edgecolors=["black" if v in loops else "none" for v in graph],
        linewidths=2.0,
    )
    nx.draw_networkx_edges(
        graph,
        position,
        ax=axes,
        edgelist=edges,
        node_size=size,
        arrowsize=14,
        width=1.4,
        edge_color="#555555",
        connectionstyle="arc3,rad=0.12",
    )
    nx.draw_networkx_labels(
        graph,
        position,
        {v: f"${name_latex(v)}$" for v in graph},
        ax=axes,
        font_size=13 if len(graph) <= 20 else 7,
    )
    axes.set_axis_off()
    axes.margins(0.18)


def draw_tradeoff(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    base: float,
    title: str,
    ylabel: str = "mean squared error on test data",
) -> Figure:
    """Error against the share of retained parameters, one curve a method.

    Parameters
    ----------
    curves : mapping
        For each method, points (retained share, error).
    base : float
        Error of the uncompressed network, a dashed line.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        x, y = zip(*sorted(points), strict=True)
        axes.plot(
            [100 * v for v in x],
            y,
            label=name,
            color=(
                PALETTE[4],
                PALETTE[5],
                PALETTE[2],
                PALETTE[6],
                PALETTE[0],
                PALETTE[1],
                PALETTE[7],
                PALETTE[3],
            )[number % 8],
            marker=_MARKERS[number % len(_MARKERS)],
            linewidth=2.2 if number == 0 else 1.4,
            markersize=6,
        )
    axes.axhline(base, color="black", linestyle="--", linewidth=1, label="uncompressed")
    axes.set_yscale("log")
    axes.set_xlabel("retained parameters, %")
    axes.set_ylabel(ylabel)
    axes.set_title(title)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(frameon=False)
    return figure
