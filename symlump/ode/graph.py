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


_CHUNK = 1 << 16  # terms at a time
_FLAGS = 1 << 22  # pairs that are marked in a table


def dependency_edges(ode: ODE) -> tuple[IntArray, IntArray]:
    """Distinct pairs (x, y) such that variable x occurs in the equation of variable y."""
    if ode.generators is not None:
        return _through_functions(ode, ode.generators)
    sources, targets = _occurrences(ode, slice(None))
    return _unpacked(distinct(sources * len(ode) + targets), len(ode))


def block_edges(ode: ODE, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct pairs of blocks (A, B) such that a variable of A occurs in the equation of one of B.

    Parameters
    ----------
    ode : ODE
    labels : ndarray of int, shape (variables,)
        The block of each variable.

    Examples
    --------
    >>> from symlump import PolynomialODE
    >>> ode = PolynomialODE.from_text("x' = y; y' = x + z; z' = z")
    >>> [ends.tolist() for ends in block_edges(ode, np.array([0, 0, 1]))]
    [[0, 1, 1], [0, 0, 1]]
    """
    count = int(labels.max(initial=-1)) + 1
    if ode.generators is not None or count**2 > _FLAGS:
        sources, targets = ode.edges
        return _unpacked(distinct(labels[sources] * count + labels[targets]), count)
    found = np.zeros(count**2, dtype=bool)
    for begin in range(0, ode.terms, _CHUNK):
        sources, targets = _occurrences(ode, slice(begin, begin + _CHUNK))
        pairs = labels[sources]
        pairs *= count
        pairs += labels[targets]
        found[pairs] = True
    return _unpacked(np.flatnonzero(found), count)


def _occurrences(ode: ODE, terms: slice) -> tuple[IntArray, IntArray]:
    """Pairs (x, y) such that variable x occurs in one of some terms, which is of the equation of y."""
    table, rows, columns = ode.monomials, ode.rows[terms], ode.columns[terms]
    if table.univariate:
        return table.variables[columns], rows
    starts, lengths = table.indptr[columns], table.lengths[columns]
    return table.variables[ranges(starts, lengths)], np.repeat(rows, lengths)


def _unpacked(pairs: IntArray, width: int) -> tuple[IntArray, IntArray]:
    return pairs // max(1, width), pairs % max(1, width)


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
