"""The dependency graph of the report: SVG whose nodes the page's script colours."""

from __future__ import annotations

from html import escape

import networkx as nx
import numpy as np

from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.exact import FloatArray
from symlump.ode.system import ODE

_MAX_NODES = 400
_MAX_EDGES = 3000
_PALE = 600  # more arrows than this are drawn paler
_NAMED = 60


def graph_svg(ode: ODE) -> str:
    """Draw the dependency graph as SVG; the page's script colours its nodes.

    Parameters
    ----------
    ode : ODE

    Returns
    -------
    str
    """
    if len(ode) > _MAX_NODES:
        return (
            f"<p>A graph of {len(ode)} variables is too large to draw legibly; "
            "the blocks are listed below.</p>"
        )
    place = _layout(ode)
    sources, targets = ode.edges
    pairs = [(i, j) for i, j in zip(sources.tolist(), targets.tolist(), strict=True) if i != j]
    dropped = max(0, len(pairs) - _MAX_EDGES)
    if dropped:  # evenly, so that no part of the graph is left without its arrows
        pairs = [pairs[k] for k in np.linspace(0, len(pairs) - 1, _MAX_EDGES).astype(int)]
    width, height = 760, 420
    # Long names stand under small nodes, in the dense columns of a network beside them.
    columns = isinstance(ode, NetworkODE)
    x = 30 + place[:, 0] * (width - (110 if columns else 60))
    y = 30 + place[:, 1] * (height - 60)
    radius = 14 if len(ode) <= 24 else (9 if len(ode) <= _NAMED else 5)
    beside, below = (radius + 5, 4) if columns else (0, 4 if len(ode) <= 24 else radius + 12)
    start = ' class="beside"' if columns else ""
    lines = ""
    for i, j in pairs:
        # An arrow ends where its node begins; in a network all point from one column to the next.
        length = float(np.hypot(x[j] - x[i], y[j] - y[i]))
        short = 0.0 if columns or length == 0 else (radius + 2) / length
        end = x[j] - short * (x[j] - x[i]), y[j] - short * (y[j] - y[i])
        lines += f'<line x1="{x[i]:.1f}" y1="{y[i]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    nodes = "".join(
        f'<g class="node"><circle cx="{x[v]:.1f}" cy="{y[v]:.1f}" r="{radius}"><title>{escape(name)}</title>'
        f"</circle>"
        + (
            f'<text{start} x="{x[v] + beside:.1f}" y="{y[v] + below:.1f}">{escape(name)}</text>'
            if len(ode) <= _NAMED
            else ""
        )
        + "</g>"
        for v, name in enumerate(ode.variables)
    )
    note = (
        f"<p>{dropped} of {dropped + len(pairs)} arrows are not drawn, evenly spread over the graph.</p>"
        if dropped
        else ""
    )
    look = ("" if columns else " directed") + (" many" if len(pairs) > _PALE else "")
    return (
        f'<svg id="graph" viewBox="0 0 {width} {height}" role="img" aria-label="dependency graph, '
        f'blocks in colour"><defs id="patterns"></defs><defs>'
        f'<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<g class="edges{look}">{lines}</g>{nodes}</svg>{note}'
    )


def _layout(ode: ODE) -> FloatArray:
    """Places in the unit square: layers from left to right for a network, springs for a system."""
    if isinstance(ode, NetworkODE):
        layers = ode.depths.copy()
        layers[ode.kinds == "one"] = -1
        place = np.zeros((len(ode), 2))
        for layer in np.unique(layers):
            inside = np.flatnonzero(layers == layer)
            place[inside, 0] = layer
            place[inside, 1] = (np.arange(inside.size) + 0.5) / inside.size
        place[layers == -1] = (0, 1.0)
    else:
        return _side_by_side(ode)
    return _unit_square(place)


def _side_by_side(ode: ODE) -> FloatArray:
    """Each connected part by springs in a strip of its own; single variables in a row at the bottom."""
    graph = ode.dependency_graph().to_undirected()
    place = np.zeros((len(ode), 2))
    parts = sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    single = sorted(ode.index[name] for part in parts if len(part) == 1 for name in part)
    parts = [part for part in parts if len(part) > 1]
    if single:
        place[single, 0] = (np.arange(len(single)) + 0.5) / len(single)
        place[single, 1] = 1.0 if parts else 0.5
    # Room by the root of the size: small parts need names and distances too.
    edges = np.cumsum([0.0, *(len(part) ** 0.5 for part in parts)])
    for part, left, right in zip(parts, edges[:-1], edges[1:], strict=True):
        inside = graph.subgraph(sorted(part, key=ode.index.__getitem__))
        found = nx.spring_layout(
            inside,
            pos=nx.circular_layout(inside),
            seed=0,
            iterations=120,
            k=2.2 / len(part) ** 0.5,
        )
        at = [ode.index[name] for name in inside]
        local = _unit_square(np.array([found[name] for name in inside]))
        gap = 0.0 if len(parts) == 1 else 0.06 * (right - left)
        place[at, 0] = (left + gap + (right - left - 2 * gap) * local[:, 0]) / edges[-1]
        place[at, 1] = local[:, 1] * (0.85 if single else 1.0)
    return place


def _unit_square(place: FloatArray) -> FloatArray:
    low, high = place.min(axis=0), place.max(axis=0)
    return np.asarray((place - low) / np.where(high > low, high - low, 1.0), dtype=np.float64)
