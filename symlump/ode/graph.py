"""The dependency graph of a system: who acts on whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.distinct import distinct
from symlump.ode.exact import IntArray

if TYPE_CHECKING:
    import networkx as nx

    from symlump.ode.polynomial import PolynomialODE


def dependency_edges(ode: PolynomialODE) -> tuple[IntArray, IntArray]:
    """Distinct pairs (x, y) such that variable x occurs in the equation of variable y."""
    table = ode.monomials
    lengths = table.lengths[ode.columns]
    targets = np.repeat(ode.rows, lengths)
    starts = np.repeat(table.indptr[:-1][ode.columns] - (np.cumsum(lengths) - lengths), lengths)
    sources = table.variables[starts + np.arange(targets.size)]
    pairs = distinct(sources * len(ode) + targets)
    return pairs // max(1, len(ode)), pairs % max(1, len(ode))


def dependency_graph(ode: PolynomialODE) -> nx.DiGraph:
    """The directed graph with an arrow x → y wherever x occurs in the equation of y.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x, y = sympy.symbols("x y")
    >>> sorted(PolynomialODE.from_sympy({x: -x, y: x}).dependency_graph().edges)
    [('x', 'x'), ('x', 'y')]
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(ode.variables)
    sources, targets = ode.edges
    names = ode.variables
    graph.add_edges_from(
        (names[i], names[j]) for i, j in zip(sources.tolist(), targets.tolist(), strict=True)
    )
    return graph
