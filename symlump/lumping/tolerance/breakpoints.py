"""The tolerances at which a closure partition changes, exactly.

The closure partition only grows coarser with ε, so it is a step function. Its last step is where the
initial partition becomes a fixpoint: the largest ε any of its blocks needs to be connected (the longest
edge of a shortest spanning tree). Just below, blocks fall apart at that edge; the largest fixpoint inside
what remains has a last step of its own, and so on down to 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import lcm
from typing import Any

import networkx as nx
import numpy as np

from symlump.errors import MethodError, SubjectError
from symlump.lumping.equivalence import Equivalence, check_magnitudes, check_system
from symlump.lumping.forward import Forward
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.functional import exact_part
from symlump.memory import memory_errors
from symlump.ode.exact import IntArray
from symlump.ode.notation import count_text
from symlump.ode.system import ODE

#: All pairs of a block are compared in exact arithmetic, at each step at which their signatures change.
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
        raise SubjectError(
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
    trees = _Trees(ode, method, labels)
    while True:
        highest = max((gap for gap, _, _ in trees.edges), default=Fraction(0))
        own = trees.labels if exact is None else trees.labels[exact.labels]
        found.append(Breakpoint(highest, Partition(own)))
        if not highest:
            return tuple(reversed(found))
        trees = _below(trees, highest)


class _Trees:
    """The edges of a shortest spanning tree of each block, with their exact distances.

    Parameters
    ----------
    ode : ODE
    method : Equivalence
    labels : ndarray of int, shape (variables,)
        The block of each variable.
    before : _Trees, optional
        Those of a coarser partition that fell apart into these blocks where edges are long. Of a block whose
        members have the signatures they had, but for the names of keys, what is left of the tree is the tree.
    """

    def __init__(
        self, ode: ODE, method: Equivalence, labels: IntArray, before: _Trees | None = None
    ) -> None:
        self.ode, self.method, self.labels = ode, method, labels
        owners, keys, sums = method.signature(ode, labels, None).collect()
        ratios = [value.as_integer_ratio() for value in sums]
        self._entries = list(zip(owners.tolist(), keys.tolist(), ratios, strict=True))
        self.edges: list[tuple[Fraction, int, int]] = []
        stale = set(labels.tolist())
        if before is not None:
            old, new = before._columns(labels), self._columns(labels)
            stale = {block for block in stale if old.get(block) != new.get(block)}
            own = labels.tolist()
            self.edges += [e for e in before.edges if own[e[1]] == own[e[2]] not in stale]
        self.edges += self._shortest(stale)

    def _columns(self, labels: IntArray) -> dict[int, list[tuple[Any, ...]]]:
        """For each block the values under each key, with their owners; which keys, is left open."""
        block, columns = labels.tolist(), defaultdict(list)
        for owner, key, value in self._entries:
            columns[block[owner], key].append((owner, value))
        found = defaultdict(list)
        for (number, _), column in columns.items():
            found[number].append(tuple(column))
        return {number: sorted(own) for number, own in found.items()}

    def _shortest(self, chosen: set[int]) -> list[tuple[Fraction, int, int]]:
        """The edges of shortest spanning trees of some blocks, all of whose pairs are compared."""
        common = lcm(*(below for _, _, (_, below) in self._entries))
        signature: list[dict[int, int]] = [{} for _ in range(len(self.ode))]
        for owner, key, (above, below) in self._entries:
            signature[owner][key] = above * (common // below)
        graph = nx.Graph()
        for block in Partition(self.labels).blocks:
            if self.labels[block[0]] in chosen:
                for i, j in combinations(block.tolist(), 2):
                    graph.add_edge(i, j, weight=_distance(signature[i], signature[j]))
        tree = nx.minimum_spanning_edges(graph, data=True)
        return [(Fraction(data["weight"], common), i, j) for i, j, data in tree]


def _below(trees: _Trees, eps: Fraction) -> _Trees:
    """The trees of the largest fixpoint inside these blocks for all tolerances just below ``eps``."""
    while True:
        graph = nx.Graph()
        graph.add_nodes_from(range(trees.labels.size))
        graph.add_edges_from((i, j) for gap, i, j in trees.edges if gap < eps)
        finer = np.empty(trees.labels.size, dtype=np.int64)
        for number, component in enumerate(nx.connected_components(graph)):
            finer[list(component)] = number
        if len(Partition(finer)) == len(Partition(trees.labels)):
            return trees
        trees = _Trees(trees.ode, trees.method, finer, trees)


def _distance(a: dict[int, int], b: dict[int, int]) -> int:
    return sum(abs(a.get(key, 0) - b.get(key, 0)) for key in a.keys() | b.keys())
