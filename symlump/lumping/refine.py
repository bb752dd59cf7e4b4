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
import numpy.typing as npt
from scipy import sparse
from sympy import nextprime

from symlump.errors import FailureError, InputError, MethodError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.linkage import Linkage, group_rows
from symlump.lumping.partition import Partition
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

#: The Mersenne prime 2^31 − 1: products of residues fit in 64 bits.
PRIME = 2**31 - 1
_MAX_DRAWS = 200

#: (block numbers of all variables, members) → a group number for each member.
Split = Callable[[IntArray, IntArray], IntArray | npt.NDArray[np.uint64]]


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
        If the exact check still fails after 200 draws, each modulo another prime.
    """
    order = work_order(ode, method, initial)
    if method.is_exact:
        return _coarsest_exact(ode, method, initial, order, prime, seed)
    labels, rounds = _refine(initial.labels, order, _TolerantSplit(ode, method, initial))
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
                np.stack([own, split(labels, members).astype(np.int64)], axis=1),
                axis=0,
                return_inverse=True,
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
    labels, rounds = initial.labels, 0
    for _ in range(_MAX_DRAWS):
        try:
            evaluate = method.fingerprints(ode, prime, generator)
        except InputError:  # this prime divides a denominator
            prime = _another_prime(generator)
            continue
        labels, more = _refine(labels, order, evaluate)
        rounds += more
        partition = Partition(labels)
        if method.signature(ode, partition.labels, None).agree(partition):
            return partition, rounds
        prime = _another_prime(generator)  # it may divide the very coefficients that differ
    raise FailureError(
        f"{_MAX_DRAWS} draws did not separate all variables, which has no likely explanation; "
        "please report the system"
    )


def _another_prime(generator: np.random.Generator) -> int:
    return int(nextprime(int(generator.integers(2**30, 2**31 - 2**10))))


class _TolerantSplit:
    """Splits members by the linkage of their signatures, in units of their initial block."""

    def __init__(self, ode: PolynomialODE, method: Equivalence, initial: Partition) -> None:
        self._ode, self._method, self._initial = ode, method, initial
        if method.scale is not None and len(method.scale) != len(ode):
            raise MethodError(f"scale has {len(method.scale)} numbers for {len(ode)} variables")
        # 0 stands for "not known yet": a relative scale is fixed when its component's turn comes.
        self._scale = np.zeros(len(ode)) if method.relative else np.ones(len(ode))
        if method.scale is not None:
            self._scale = np.array(method.scale, dtype=np.float64)

    def __call__(self, labels: IntArray, members: IntArray) -> IntArray:
        linkage = Linkage(self._method.linkage)
        rows = self._method.signature(self._ode, labels, members).to_rows(members)
        if not self._scale[members].all():
            self._scale[members] = self._mean_norms(rows, members, linkage)
        rows.data /= np.repeat(self._scale[members], np.diff(rows.indptr))
        groups = np.zeros(members.size, dtype=np.int64)
        own = labels[members]
        for block in np.unique(own):
            inside = np.flatnonzero(own == block)
            if inside.size > 1:
                groups[inside] = group_rows(rows[inside], self._method.eps, linkage)
        return groups

    def _mean_norms(
        self, rows: sparse.csr_array, members: IntArray, linkage: Linkage
    ) -> FloatArray:
        sums = np.asarray((abs(rows) if linkage.norm == 1 else rows.power(2)).sum(axis=1)).ravel()
        norms = sums if linkage.norm == 1 else np.sqrt(sums)
        _, block = np.unique(self._initial.labels[members], return_inverse=True)
        means = np.bincount(block.ravel(), weights=norms) / np.bincount(block.ravel())
        return np.asarray(np.where(means > 0, means, 1.0)[block.ravel()])
