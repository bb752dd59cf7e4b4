"""Where the nodes of a graph stand: by graphviz where it is installed, else by networkx."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

#: More blocks than this have no column each.
MAX_COLUMNS = 8
_SECONDS = 20
#: No two nodes are nearer than this share of the picture's width, if there is room for that.
APART = 0.16
_ROUNDS = 300


def block_columns(graph: nx.DiGraph, blocks: Sequence[Sequence[str]]) -> dict[str, Any]:
    """One column a block, neighbours near each other; for at most eight blocks.

    Parameters
    ----------
    graph : networkx.DiGraph
    blocks : sequence of sequence of str
        Every node in one of them.

    Returns
    -------
    dict of str to ndarray, shape (2,)
    """
    order = {name: k for k, name in enumerate(name for block in blocks for name in block)}
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


def places(graph: nx.DiGraph) -> dict[str, Any]:
    """Places of the nodes of any graph: graphviz's springs (neato), or without it a circle.

    Parameters
    ----------
    graph : networkx.DiGraph

    Returns
    -------
    dict of str to ndarray, shape (2,)
    """
    found = _by_graphviz(graph) if len(graph) > 2 else None
    if found is not None:
        return dict(zip(found, _spread(np.array(list(found.values()))), strict=True))
    angle = 2 * np.pi * np.arange(len(graph)) / max(1, len(graph)) + np.pi / 2
    return {v: np.array([np.cos(a), np.sin(a)]) for v, a in zip(graph, angle, strict=True)}


def _spread(points: Any) -> Any:
    """The points in the unit square, those that would hide one another pushed apart."""
    # Circles of this diameter cover at most 0.4 of the square, so there is room to move.
    apart = min(APART, 0.7 / np.sqrt(len(points)))
    rows, columns = np.triu_indices(len(points), 1)
    for _ in range(_ROUNDS):
        low, high = points.min(axis=0), points.max(axis=0)
        points = (points - low) / np.where(high > low, high - low, 1.0)
        way = points[rows] - points[columns]
        way[(way == 0).all(axis=1)] = 1e-9
        distance = np.linalg.norm(way, axis=1)
        short = np.maximum(0.0, apart - distance)
        if short.max() <= 0.05 * apart:
            break
        push = way * (0.5 * short / distance)[:, None]
        np.add.at(points, rows, push)
        np.subtract.at(points, columns, push)
    return points


def _by_graphviz(graph: nx.DiGraph) -> dict[str, Any] | None:
    """None where graphviz is missing or does not answer; nodes are numbered, so names stay data."""
    program = shutil.which("neato")
    if program is None:
        return None
    number = {v: k for k, v in enumerate(graph)}
    edges = {(min(number[a], number[b]), max(number[a], number[b])) for a, b in graph.edges}
    text = 'graph g { node [shape=circle, width=0.4, label=""]; overlap=scale; start=1;\n'
    text += "".join(f"{k};\n" for k in number.values())
    text += "".join(f"{a} -- {b};\n" for a, b in sorted(edges) if a != b) + "}"
    try:
        done = subprocess.run(
            [program, "-Tplain"], input=text, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("node ")]
    if done.returncode or len(rows) != len(graph):
        return None
    at = {int(row[1]): np.array([float(row[2]), float(row[3])]) for row in rows}
    return {v: at[k] for v, k in number.items()}
