"""The tolerances at which a closure partition changes, exactly.

The closure partition only grows coarser with ε, so it is a step function. Its last step is where the
initial partition becomes a fixpoint: the largest ε any of its blocks needs to be connected (the longest
edge of a shortest spanning tree). Just below, blocks fall apart at that edge; the largest fixpoint inside
what remains has a last step of its own, and so on down to 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np

from symlump.errors import MethodError
from symlump.lumping.equivalence import Equivalence, check_magnitudes, check_system
from symlump.lumping.forward import Forward
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.functional import exact_part
from symlump.memory import memory_errors
from symlump.ode.exact import IntArray
from symlump.ode.notation import count_text
from symlump.ode.system import ODE

#: Each step compares all pairs of a block in exact arithmetic.
MAX_VARIABLES = 300


@dataclass(frozen=True)
class Breakpoint:
    """From ``eps`` on, up to the next breakpoint, the closure partition is ``partition``.

    Parameters
    ----------
    eps : Fraction
        The tolerance from which on the partition holds.
    partition : Partition

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = -a; b' = -3/2*b")
    >>> print(sl.breakpoints(ode, sl.Forward())[1])
    ε ≥ 0.5: 1 block
    """

    eps: Fraction
    partition: Partition

    def __str__(self) -> str:
        return f"ε ≥ {float(self.eps):.6g}: {count_text(len(self.partition), 'block')}"


@memory_errors()
def breakpoints(
    ode: ODE,
    method: Equivalence,
    initial: Partition | Iterable[Iterable[Any]] | None = None,
) -> tuple[Breakpoint, ...]:
    """Find all tolerances at which the closure partition changes, ascending, as exact rationals.

    The first is 0, where the partition is that of the exact equivalence.

    Parameters
    ----------
    ode : ODE
    method : Forward() or Backward()
        Its ``eps`` plays no role; ``linkage`` is closure and distances are absolute.
    initial : as for :func:`symlump.lump`

    Returns
    -------
    tuple of Breakpoint

    Raises
    ------
    MethodError
        If the system has more than 300 variables, or the method has another linkage, a scale, or
        the substitution norm.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> a, b, c, u = sympy.symbols("a b c u")
    >>> ode = sl.PolynomialODE.from_sympy({a: 1*u, b: 2*u, c: 5*u, u: 0})
    >>> for step in breakpoints(ode, sl.Backward(), [["u"]]):
    ...     print(step)
    ε ≥ 0: 4 blocks
    ε ≥ 1: 3 blocks
    ε ≥ 3: 2 blocks
    """
    from symlump.lumping.plan import initial_partition

    check_system(ode, "breakpoints")
    if len(ode) > MAX_VARIABLES:
        raise MethodError(
            f"breakpoints compares all pairs exactly, for at most {MAX_VARIABLES} variables; this system has "
            f"{len(ode)}. sweep(ode, eps=[…]) takes any number"
        )
    substituted = isinstance(method, Forward) and method.erode
    if method.linkage != "closure" or method.relative or method.scale or substituted:
        raise MethodError(
            "breakpoints are those of linkage='closure' with absolute distances, as in "
            "breakpoints(ode, Forward())"
        )
    check_magnitudes(ode)
    start = initial_partition(ode, method, initial)
    labels, exact = start.labels, None
    if ode.generators is not None:
        exact, ode = exact_part(ode, method, start)
        labels = Partition(labels[exact.representatives]).labels
        method.check_defined(ode, labels)
    found: list[Breakpoint] = []
    while True:
        edges = _tree_edges(ode, method, labels)
        highest = max((gap for gap, _, _ in edges), default=Fraction(0))
        found.append(
            Breakpoint(highest, Partition(labels if exact is None else labels[exact.labels]))
        )
        if not highest:
            return tuple(reversed(found))
        labels = _below(ode, method, labels, edges, highest)


def _below(
    ode: ODE,
    method: Equivalence,
    labels: IntArray,
    edges: list[tuple[Fraction, int, int]],
    eps: Fraction,
) -> IntArray:
    """The largest fixpoint inside ``labels`` for all tolerances just below ``eps``."""
    while True:
        graph = nx.Graph()
        graph.add_nodes_from(range(len(ode)))
        graph.add_edges_from((i, j) for gap, i, j in edges if gap < eps)
        finer = np.empty(len(ode), dtype=np.int64)
        for number, component in enumerate(nx.connected_components(graph)):
            finer[list(component)] = number
        if len(Partition(finer)) == len(Partition(labels)):
            return labels
        labels = finer
        edges = _tree_edges(ode, method, labels)


def _tree_edges(ode: ODE, method: Equivalence, labels: IntArray) -> list[tuple[Fraction, int, int]]:
    """The edges of a shortest spanning tree of each block, with their exact distances."""
    owners, keys, sums = method.signature(ode, labels, None).collect()
    signature: list[dict[int, Fraction]] = [{} for _ in range(len(ode))]
    for owner, key, value in zip(owners.tolist(), keys.tolist(), sums, strict=True):
        signature[owner][key] = value
    graph = nx.Graph()
    for block in Partition(labels).blocks:
        for i, j in combinations(block.tolist(), 2):
            graph.add_edge(i, j, weight=_distance(signature[i], signature[j]))
    tree = nx.minimum_spanning_edges(graph, data=True)
    return [(data["weight"], i, j) for i, j, data in tree]


def _distance(a: dict[int, Fraction], b: dict[int, Fraction]) -> Fraction:
    zero = Fraction(0)
    return sum((abs(a.get(key, zero) - b.get(key, zero)) for key in a.keys() | b.keys()), zero)
