"""Pictures with matplotlib (extra ``plot``): lumped systems and trade-off curves.

Colours are the Okabe–Ito set, distinguishable with all common colour deficiencies; blocks and methods
also differ in labels and markers, so the pictures read in greyscale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from symlump.errors import FileFormatError, MethodError, MissingExtraError
from symlump.files import is_stdout, replacing
from symlump.lumping.lumping import Lumping
from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.notation import name_latex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.ode.system import ODE

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
#: Suffixes of pictures.
PICTURES = (".png", ".svg", ".pdf")
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


def picture_format(path: str | Path) -> str:
    """The format of a picture, by the suffix of its file.

    Raises
    ------
    FileFormatError
        If there is no such format.

    Examples
    --------
    >>> picture_format("sweep.svg")
    'svg'
    """
    suffix = Path(path).suffix.lower()
    if is_stdout(path) and not suffix:
        return "png"
    if suffix not in PICTURES:
        raise FileFormatError(f"{path}: a picture is a file of {', '.join(PICTURES)}")
    return suffix[1:]


def save_picture(figure: Figure, path: str | Path) -> None:
    """Write a picture, whole or not at all; the same picture gives the same bytes.

    Raises
    ------
    FileFormatError
        If the suffix names no format.
    OutputError
        If the file cannot be written.
    """
    kind = picture_format(path)
    undated: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    from matplotlib import rc_context

    with replacing(path) as temporary, rc_context({"svg.hashsalt": "symlump"}):
        figure.savefig(temporary, format=kind, metadata=undated[kind])


def draw_lumping(lumping: Lumping) -> Figure:
    """The dependency graph with its blocks coloured, and the quotient's beside it."""
    return draw_graphs(
        lumping.ode.dependency_graph,
        lumping.quotient.dependency_graph,
        dict(zip(lumping.quotient.variables, lumping.blocks, strict=True)),
        lumping.headline(),
        _network_columns(lumping.ode),
    )


def draw_graphs(
    full: Callable[[], nx.DiGraph],
    small: Callable[[], nx.DiGraph],
    blocks: Mapping[str, Sequence[str]],
    title: str,
    columns: Mapping[str, int] | None = None,
) -> Figure:
    """A dependency graph with its blocks coloured, and the quotient's beside it.

    Parameters
    ----------
    full, small : callable
        Give the two graphs; only called if they can be seen.
    blocks : mapping
        The members of each variable of the quotient.
    title : str
    columns : mapping, optional
        The column of each variable, as for the layers of a network; default: found.
    """
    label = {name: b for b, block in enumerate(blocks.values()) for name in block}
    if len(label) > _MAX_NODES:
        raise MethodError(
            f"a graph of {len(label)} variables cannot be read; draw at most {_MAX_NODES}"
        )
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    colours = [PALETTE[b % len(PALETTE)] for b in range(len(blocks))]
    graph, quotient = full(), small()
    if columns is None:
        position = _layout(graph, list(blocks.values()))
    else:
        position = _in_columns(columns, [name for block in blocks.values() for name in block])
    _graph(left, graph, position, [colours[label[v]] for v in graph])
    centre = {name: np.mean([position[v] for v in block], axis=0) for name, block in blocks.items()}
    _graph(right, quotient, centre, [colours[list(blocks).index(v)] for v in quotient])
    left.set_title(_counted(len(label), "variable"))
    right.set_title(_counted(len(blocks), "block"))
    figure.suptitle(title, fontsize=11)
    return figure


def draw_system(ode: ODE) -> Figure:
    """The dependency graph of a system."""
    if len(ode) > _MAX_NODES:
        raise MethodError(
            f"a graph of {len(ode)} variables cannot be read; draw at most {_MAX_NODES}"
        )
    figure = new_figure(5.0, 4.2)
    graph = ode.dependency_graph()
    position = nx.circular_layout(graph)
    _graph(figure.subplots(), graph, position, ["#DDDDDD"] * len(graph))
    figure.suptitle(_counted(len(ode), "variable"), fontsize=11)
    return figure


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _layout(graph: nx.DiGraph, blocks: Sequence[Sequence[str]]) -> dict[str, Any]:
    """One column a block, neighbours near each other; many blocks on a circle instead."""
    order = {name: k for k, name in enumerate(name for block in blocks for name in block)}
    if len(blocks) > _MAX_COLUMNS:
        angle = 2 * np.pi * np.arange(len(order)) / len(order) + np.pi / 2
        return {v: np.array([np.cos(a), np.sin(a)]) for v, a in zip(order, angle, strict=True)}
    links = graph.to_undirected()
    quotient = nx.quotient_graph(links, [frozenset(block) for block in blocks])
    position: dict[str, Any] = {}
    for component in nx.connected_components(quotient):
        start = min(component, key=lambda block: (quotient.degree(block), order[min(block)]))
        for block in nx.bfs_tree(quotient, start):
            column = sum(first in position for first, *_ in blocks)
            height = {
                v: np.mean([position[w][1] for w in links[v] if w in position] or [0.0])
                for v in block
            }
            ranked = sorted(block, key=lambda v: (-height[v], order[v]))
            for rank, v in enumerate(ranked):
                position[v] = np.array([float(column), (len(ranked) - 1) / 2 - rank])
    return position


def _network_columns(ode: ODE) -> dict[str, int] | None:
    """For the encoding of a network a column for each layer and kind of variable; None for others."""
    if not isinstance(ode, NetworkODE):
        return None
    kinds = np.where(ode.kinds == "one", "input", ode.kinds).tolist()
    keys = list(zip(ode.depths.tolist(), kinds, strict=True))
    number = {key: n for n, key in enumerate(sorted(dict.fromkeys(keys), key=lambda key: key[0]))}
    return {name: number[key] for name, key in zip(ode.variables, keys, strict=True)}


def _in_columns(columns: Mapping[str, int], order: Sequence[str]) -> dict[str, Any]:
    """Given columns, centred, members of a block below one another."""
    members: dict[int, list[str]] = {}
    for name in order:
        members.setdefault(columns[name], []).append(name)
    tallest = max(map(len, members.values()))
    return {
        # Every other column is moved by a little, so that no arrow runs through a node of its row.
        name: np.array([float(column), (len(names) - 1) / 2 - rank + 0.15 * (column % 2)])
        * np.array([0.5 * tallest, 1.0])
        for column, names in members.items()
        for rank, name in enumerate(names)
    }


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
