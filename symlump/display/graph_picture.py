"""Dependency graphs, blocks in colour; where nodes would be too many, the matrix or a graph of the blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from symlump.colours import PLAIN_FILL, Look, block_numbers
from symlump.display.drawing import new_figure
from symlump.display.layout import MAX_COLUMNS, block_columns, places
from symlump.display.matrix_picture import draw_matrix, draw_sorted
from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.notation import count_text, name_latex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.ode.system import ODE

#: Beyond, the nodes of a graph hide one another.
MAX_NODES = 150
#: Arrowheads among more lines are seen by nobody, and take seconds.
_MAX_ARROWS = 600
_LARGE, _SMALL = 900, 250
_LONG_NAME = 6


def draw_lumping(lumping: Lumping) -> Figure:
    """The dependency graph with its blocks coloured, and the quotient's beside it.

    Above 150 variables the system is drawn as its matrix, sorted by block, and the quotient as a graph whose
    nodes say how many variables they stand for; above 150 blocks the quotient as a matrix, too.

    Parameters
    ----------
    lumping : Lumping

    Returns
    -------
    matplotlib.figure.Figure
    """
    blocks = dict(zip(lumping.quotient.variables, lumping.blocks, strict=True))
    if len(lumping.ode) <= MAX_NODES:
        return draw_graphs(
            lumping.ode.dependency_graph,
            lumping.quotient.dependency_graph,
            blocks,
            lumping.headline(),
            _network_columns(lumping.ode),
        )
    figure = new_figure(9.0, 4.8)
    left, right = figure.subplots(1, 2)
    draw_sorted(left, lumping)
    if len(blocks) <= MAX_NODES:
        _quotient(right, lumping, blocks)
    else:
        draw_matrix(right, lumping.quotient, np.arange(len(blocks)))
    right.set_title(count_text(len(blocks), "block"))
    figure.suptitle(lumping.headline(), fontsize=11)
    figure.supxlabel(
        f"more than {MAX_NODES} nodes are too many to draw legibly: the dependences are shown as a matrix",
        fontsize=9,
    )
    return figure


def _quotient(axes: Any, lumping: Lumping, blocks: Mapping[str, Sequence[str]]) -> None:
    """The quotient's graph; below each name how many variables it stands for."""
    graph = lumping.quotient.dependency_graph()
    looks = _looks(blocks)
    position = places(graph)
    _graph(axes, graph, position, looks)
    sizes = {name: f"×{len(block)}" for name, block in blocks.items() if len(block) > 1}
    for name, text in sizes.items():
        below = {"textcoords": "offset points", "ha": "center", "fontsize": 7}
        _outline(axes.annotate(text, position[name], (0, -15), **below))


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
        Give the two graphs; only called if they can be drawn.
    blocks : mapping
        The members of each variable of the quotient.
    title : str
    columns : mapping, optional
        The column of each variable, as for the layers of a network; default: found.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MethodError
        If there are more than 150 variables.
    """
    owner = {name: b for b, block in blocks.items() for name in block}
    if len(owner) > MAX_NODES:
        raise MethodError(
            f"a graph of {len(owner)} variables is too large to draw legibly (at most {MAX_NODES}); "
            "draw the lumping itself, which falls back to a matrix"
        )
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    looks = _looks(blocks)
    graph, quotient = full(), small()
    if columns is None and len(blocks) > MAX_COLUMNS:
        # Blocks surround one another here: nodes at their centres would hide one another.
        position, centre = places(graph), places(quotient)
    else:
        if columns is None:
            position = block_columns(graph, list(blocks.values()))
        else:
            position = _in_columns(columns, [name for block in blocks.values() for name in block])
        centre = {b: np.mean([position[v] for v in block], axis=0) for b, block in blocks.items()}
    _graph(left, graph, position, {v: looks[b] for v, b in owner.items()})
    _graph(right, quotient, centre, looks)
    left.set_title(count_text(len(owner), "variable"))
    right.set_title(count_text(len(blocks), "block"))
    figure.suptitle(title, fontsize=11)
    return figure


def _looks(blocks: Mapping[str, Sequence[str]]) -> dict[str, Look | None]:
    """The look of each merged block; None for a variable that stays alone."""
    numbers = block_numbers([len(block) for block in blocks.values()])
    return {
        name: Look.of(number) if len(block) > 1 else None
        for (name, block), number in zip(blocks.items(), numbers, strict=True)
    }


def draw_system(ode: ODE) -> Figure:
    """The dependency graph of a system; above 150 variables its matrix.

    Parameters
    ----------
    ode : ODE

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(5.0, 4.4)
    axes = figure.subplots()
    if len(ode) > MAX_NODES:
        draw_matrix(axes, ode, np.arange(len(ode)))
        figure.supxlabel(f"more than {MAX_NODES} nodes: the dependences as a matrix", fontsize=9)
    else:
        graph = ode.dependency_graph()
        columns = _network_columns(ode)
        position = places(graph) if columns is None else _in_columns(columns, ode.variables)
        _graph(axes, graph, position, dict.fromkeys(graph))
    figure.suptitle(count_text(len(ode), "variable"), fontsize=11)
    return figure


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


def _graph(
    axes: Any, graph: nx.DiGraph, position: Mapping[str, Any], looks: Mapping[str, Look | None]
) -> None:
    """Nodes in the look of their block, with a ring where a variable acts on itself."""
    size = _LARGE if len(graph) <= 20 else _SMALL
    groups: dict[Look | None, list[str]] = {}
    for v in graph:
        groups.setdefault(looks[v], []).append(v)
    for look, members in groups.items():
        drawn = nx.draw_networkx_nodes(
            graph,
            position,
            members,
            ax=axes,
            node_color=PLAIN_FILL if look is None else look.fill,
            node_size=size,
            edgecolors=["black" if graph.has_edge(v, v) else "#888888" for v in members],
            linewidths=[2.0 if graph.has_edge(v, v) else 0.6 for v in members],
        )
        if look is not None and look.hatch:
            drawn.set_hatch(look.hatch)
    edges = [(a, b) for a, b in graph.edges if a != b]
    style: dict[str, Any] = {"width": 1.4 if size == _LARGE else 0.8, "edge_color": "#555555"}
    if len(edges) <= _MAX_ARROWS:
        style |= {"node_size": size, "arrowsize": 14 if size == _LARGE else 8}
        style |= {"connectionstyle": "arc3,rad=0.12"}
    else:
        style["arrows"] = False
        axes.text(
            0.5, -0.02, f"{len(edges)} lines, without their arrowheads", transform=axes.transAxes,
            ha="center", va="top", fontsize=8,
        )  # fmt: skip
    nx.draw_networkx_edges(graph, position, ax=axes, edgelist=edges, **style)
    hatched = any(look is not None and look.hatch for look in groups)
    for v in graph:
        longest = 13 if len(v) <= _LONG_NAME else 9
        text = axes.text(
            *position[v],
            f"${name_latex(v)}$",
            fontsize=longest if size == _LARGE else 7,
            ha="center",
            va="center",
        )
        if hatched or len(v) > _LONG_NAME:
            _outline(text)
    axes.set_axis_off()
    axes.margins(0.18 if size == _LARGE else 0.06)


def _outline(text: Any) -> None:
    """Letters that stay legible over a hatch or an arrow."""
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
