"""The coarsest equivalence that refines an initial partition, by splitting blocks until none splits.

Order of work. The signature of a variable depends on the blocks of some others. The initial blocks
are therefore refined in the order of that dependence, one strongly connected component at a time:
whatever a component depends on is final when its turn comes. A feedforward system (the layers of a
network, a cascade) needs one pass; only true feedback is iterated.

Exact case. A signature is a tuple of polynomials. It is evaluated at a random point modulo a prime:
unequal values prove unequal polynomials, so no split is ever wrong. An unlucky draw can miss a split;
the final exact comparison of all signatures finds that out, and the work goes on with a new draw. So
the answer is always right, and only the running time is random (a Las Vegas algorithm).
"""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np

from symlump.errors import FailureError, InputError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.linkage import Linkage, group_rows
from symlump.lumping.partition import Partition
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

#: The Mersenne prime 2^31 − 1: products of residues fit in 64 bits.
PRIME = 2**31 - 1
_OTHER_PRIMES = (2147483629, 2147483587, 2147483579, 2147483563)
_MAX_DRAWS = 200

#: (block numbers of all variables, members) → a group number for each member.
Split = Callable[[IntArray, IntArray], IntArray]


def coarsest(
    ode: PolynomialODE,
    method: Equivalence,
    initial: Partition,
    prime: int = PRIME,
    seed: int = 0,
) -> tuple[Partition, int]:
    """The coarsest partition inside ``initial`` whose blocks ``method`` accepts.

    Parameters
    ----------
    prime : int
        Modulus of the evaluations, an odd prime below 2^31. A small one costs redraws, never
        correctness.
    seed : int
        Seed of the random points.

    Returns
    -------
    partition : Partition
    rounds : int
        How many times signatures were computed for some component.

    Raises
    ------
    FailureError
        If the exact check still fails after 200 draws (only conceivable with a tiny prime).
    """
    order = work_order(ode, method, initial)
    if method.is_exact:
        return _coarsest_exact(ode, method, initial, order, prime, seed)
    scale = _scales(ode, method, initial)
    labels, rounds = _refine(
        initial.labels,
        order,
        lambda current, members: _tolerant_groups(ode, method, scale, current, members),
    )
    return Partition(labels), rounds


def work_order(
    ode: PolynomialODE, method: Equivalence, initial: Partition
) -> list[tuple[IntArray, bool]]:
    """Variables to refine together, what they depend on first; and whether to iterate them.

    Blocks of one variable cannot split and are left out.
    """
    labels = initial.labels
    large = initial.sizes > 1
    dependent, needed = method.needs(ode)
    a, b = labels[dependent], labels[needed]
    both = large[a] & large[b]
    pairs = np.unique(a[both] * max(1, len(initial)) + b[both])
    graph = nx.DiGraph()
    graph.add_nodes_from(np.flatnonzero(large).tolist())
    width = max(1, len(initial))
    graph.add_edges_from((int(pair) // width, int(pair) % width) for pair in pairs)
    condensed = nx.condensation(graph)
    order: list[tuple[IntArray, bool]] = []
    # An arrow points at what is needed, so the reverse topological order has it first.
    for component in reversed(list(nx.topological_sort(condensed))):
        blocks = sorted(condensed.nodes[component]["members"])
        feedback = len(blocks) > 1 or graph.has_edge(blocks[0], blocks[0])
        members = np.sort(np.concatenate([initial.blocks[block] for block in blocks]))
        order.append((members, feedback))
    return order


def _refine(
    labels: IntArray, order: list[tuple[IntArray, bool]], split: Split
) -> tuple[IntArray, int]:
    """Split each component until nothing changes; one part of a split block keeps its number."""
    labels = labels.copy()
    following = int(labels.max(initial=-1)) + 1
    rounds = 0
    for members, feedback in order:
        while True:
            rounds += 1
            own = labels[members]
            pair, inverse = np.unique(
                np.stack([own, split(labels, members)], axis=1), axis=0, return_inverse=True
            )
            new = np.ones(pair.shape[0], dtype=bool)
            new[0] = False
            new[1:] = pair[1:, 0] == pair[:-1, 0]
            number = pair[:, 0].copy()
            number[new] = following + np.arange(int(new.sum()))
            following += int(new.sum())
            labels[members] = number[inverse.ravel()]
            if not feedback or not new.any():
                break
    return labels, rounds


def _coarsest_exact(
    ode: PolynomialODE,
    method: Equivalence,
    initial: Partition,
    order: list[tuple[IntArray, bool]],
    prime: int,
    seed: int,
) -> tuple[Partition, int]:
    generator = np.random.default_rng(seed)
    candidates = [prime, *_OTHER_PRIMES]
    labels, rounds = initial.labels, 0
    for _ in range(_MAX_DRAWS):
        try:
            evaluate = method.fingerprints(ode, candidates[0], generator)
        except InputError:  # this prime divides a denominator
            candidates.pop(0)
            if not candidates:
                raise
            continue

        def split(current: IntArray, members: IntArray) -> IntArray:
            return evaluate(current, members).astype(np.int64)  # noqa: B023 (used at once)

        labels, more = _refine(labels, order, split)
        rounds += more
        partition = Partition(labels)
        if method.signature(ode, partition.labels, None).agree(partition):
            return partition, rounds
    raise FailureError(
        f"no draw modulo {prime} separated all variables in {_MAX_DRAWS} attempts; use a larger prime"
    )


def _tolerant_groups(
    ode: PolynomialODE,
    method: Equivalence,
    scale: FloatArray,
    labels: IntArray,
    members: IntArray,
) -> IntArray:
    rows = method.signature(ode, labels, members).to_rows(members)
    rows.data /= np.repeat(scale[members], np.diff(rows.indptr))
    groups = np.zeros(members.size, dtype=np.int64)
    own = labels[members]
    for block in np.unique(own):
        inside = np.flatnonzero(own == block)
        if inside.size > 1:
            groups[inside] = group_rows(rows[inside], method.eps, Linkage(method.linkage))
    return groups


def _scales(ode: PolynomialODE, method: Equivalence, initial: Partition) -> FloatArray:
    """What distances are divided by, one number per variable."""
    if not method.relative:
        return np.ones(len(ode))
    everything = np.arange(len(ode), dtype=np.int64)
    terms = method.signature(ode, everything, None)
    rows = terms.to_rows(everything)
    norm = Linkage(method.linkage).norm
    sums = np.asarray((abs(rows) if norm == 1 else rows**2).sum(axis=1)).ravel()
    norms = sums if norm == 1 else np.sqrt(sums)
    means = np.bincount(initial.labels, weights=norms) / initial.sizes
    return np.where(means > 0, means, 1.0)[initial.labels]
