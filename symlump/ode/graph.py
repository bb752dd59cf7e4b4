"""The dependency graph of a system: which variables occur in which equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symlump.ode.distinct import distinct
from symlump.ode.exact import IntArray
from symlump.ode.monomials import ranges

if TYPE_CHECKING:
    import networkx as nx

    from symlump.ode.functions.generators import Generators
    from symlump.ode.system import ODE


def dependency_edges(ode: ODE) -> tuple[IntArray, IntArray]:
    """Distinct pairs (x, y) such that variable x occurs in the equation of variable y."""
    if ode.generators is not None:
        return _through_functions(ode, ode.generators)
    table = ode.monomials
    lengths = table.lengths[ode.columns]
    targets = np.repeat(ode.rows, lengths)
    starts = np.repeat(table.indptr[:-1][ode.columns] - (np.cumsum(lengths) - lengths), lengths)
    sources = table.variables[starts + np.arange(targets.size)]
    pairs = distinct(sources * len(ode) + targets)
    return pairs // max(1, len(ode)), pairs % max(1, len(ode))


def _through_functions(ode: ODE, generators: Generators) -> tuple[IntArray, IntArray]:
    """Distinct pairs, as above, where a variable may occur in a function, at any depth."""
    from scipy import sparse

    n = len(ode)
    table = ode.monomials
    lengths = table.lengths[ode.columns]
    rows = np.repeat(ode.rows, lengths)
    symbols = table.variables[ranges(table.indptr[:-1][ode.columns], lengths)]
    ones = np.ones(rows.size, dtype=np.int64)
    direct = sparse.coo_array((ones, (rows, symbols)), shape=(n, ode.symbols)).tocsr()
    found = (direct[:, :n] + direct[:, n:] @ generators.support).tocoo()
    order = np.lexsort((found.row, found.col))
    return found.col[order].astype(np.int64), found.row[order].astype(np.int64)


def dependency_graph(ode: ODE) -> nx.DiGraph:
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
