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

import networkx as nx
import numpy as np
from scipy import sparse
from sympy import nextprime

from symlump.errors import FailureError, InputError, MethodError
from symlump.lumping.blocks import RefinableBlocks
from symlump.lumping.equivalence import Equivalence, Fingerprints
from symlump.lumping.linkage import Linkage, group_rows
from symlump.lumping.partition import Partition
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

#: The Mersenne prime 2^31 − 1: products of residues fit in 64 bits.
PRIME = 2**31 - 1
_MAX_DRAWS = 200
#: An update costs more per term than an evaluation from scratch.
_WORTH_UPDATING = 0.1
_MAX_COMPONENTS = 256


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
        Modulus of the first evaluations, an odd prime below 2^31. A small one costs redraws, never
        correctness.
    seed : int
        Seed of the random points.

    Returns
    -------
    partition : Partition
    rounds : int
        How many times values were computed, from scratch or in part.

    Raises
    ------
    FailureError
        If the exact check still fails after 200 draws, each modulo another prime.

    Notes
    -----
    Exact case: O(terms) for each evaluation from scratch, of which there are few; after that only what a
    split touches is computed again, and the largest part of a split block keeps its random value, so each
    variable changes its value O(log n) times and the whole is O(terms · log n) even where blocks split one
    by one.
    """
    if not method.is_exact:
        return _coarsest_within_tolerance(ode, method, initial)
    generator = np.random.default_rng(seed)
    order = work_order(ode, method, initial, most=_MAX_COMPONENTS)
    blocks, rounds = RefinableBlocks(initial.labels), 0
    for _ in range(_MAX_DRAWS):
        try:
            values = method.fingerprints(ode, prime, generator)
        except InputError:  # this prime divides a denominator
            prime = _another_prime(generator)
            continue
        for members, feedback in order:
            rounds += refine_component(blocks, values, members, feedback, generator)
        del values  # the comparison needs the memory
        partition = Partition(blocks.labels)
        if method.signature(ode, partition.labels, None).agree(partition):
            return partition, rounds
        prime = _another_prime(generator)  # it may divide the very coefficients that differ
    raise FailureError(
        f"{_MAX_DRAWS} draws did not separate all variables, which has no likely explanation; "
        "please report the system"
    )


def refine_component(
    blocks: RefinableBlocks,
    values: Fingerprints,
    members: IntArray,
    feedback: bool,
    generator: np.random.Generator,
) -> int:
    """Split the blocks of some variables until nothing splits; returns the number of rounds."""
    prime = values.prime
    n = blocks.labels.size
    own = np.zeros(n, dtype=bool)
    own[members] = True
    of_block = np.zeros(n, dtype=np.uint64)
    value = np.zeros(n, dtype=np.uint64)
    rounds = 0
    while True:  # from scratch, with new random values everywhere
        rounds += 1
        of_block[:] = generator.integers(0, prime, size=n, dtype=np.uint64)
        weights = of_block[blocks.labels]
        value[members] = values.evaluate(weights, members)
        changed = blocks.split(members, value[members])
        if not changed.size or not feedback:
            return rounds
        while changed.size and values.update_cost(changed) < _WORTH_UPDATING:
            rounds += 1
            before = weights[changed]
            weights[changed] = of_block[blocks.labels[changed]]
            touched, step = values.update(weights, changed, before)
            live = own[touched] & (step != 0)
            touched = touched[live]
            value[touched] = (value[touched] + step[live]) % np.uint64(prime)
            changed = blocks.split(touched, value[touched])


def _coarsest_within_tolerance(
    ode: PolynomialODE, method: Equivalence, initial: Partition
) -> tuple[Partition, int]:
    """Every component in turn: groups by linkage, again until nothing splits."""
    split = _TolerantSplit(ode, method, initial)
    labels, rounds = initial.labels.copy(), 0
    for members, feedback in work_order(ode, method, initial):
        while True:
            rounds += 1
            before = labels[members]
            pair = np.stack([before, split(labels, members)], axis=1)
            _, inverse = np.unique(pair, axis=0, return_inverse=True)
            labels[members] = labels.max() + 1 + inverse.ravel()
            if not feedback or np.unique(before).size == inverse.max() + 1:
                break
    return Partition(labels), rounds


def work_order(
    ode: PolynomialODE, method: Equivalence, initial: Partition, most: int | None = None
) -> list[tuple[IntArray, bool]]:
    """Variables to refine together, what they depend on first; and whether to iterate them.

    Blocks of one variable cannot split and are left out. With ``most``, neighbours in the order are put
    together where there are more components than that; iterating such a group is as correct.
    """
    large = initial.sizes > 1
    everything = np.flatnonzero(large[initial.labels])
    if large.sum() <= 1 or (most is not None and large.sum() > 100 * most):
        return [(everything, True)] if everything.size else []
    dependent, needed = method.needs(ode)
    a, b = initial.labels[dependent], initial.labels[needed]
    both = large[a] & large[b]
    width = len(initial)
    pairs = np.unique(a[both] * width + b[both])
    graph = nx.DiGraph()
    graph.add_nodes_from(np.flatnonzero(large).tolist())
    graph.add_edges_from((pair // width, pair % width) for pair in pairs.tolist())
    condensed = nx.condensation(graph)
    order: list[tuple[IntArray, bool]] = []
    # An arrow points at what is needed, so the reverse topological order has it first.
    for component in reversed(list(nx.topological_sort(condensed))):
        members = sorted(condensed.nodes[component]["members"])
        feedback = len(members) > 1 or graph.has_edge(members[0], members[0])
        order.append((np.sort(np.concatenate([initial.blocks[b] for b in members])), feedback))
    if most is None or len(order) <= most:
        return order
    step = -(-len(order) // most)
    return [
        (np.sort(np.concatenate([members for members, _ in order[i : i + step]])), True)
        for i in range(0, len(order), step)
    ]


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
