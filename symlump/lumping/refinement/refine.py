"""The coarsest equivalence that refines an initial partition, by splitting blocks until none splits.

Order of work. The signature of a variable depends on the blocks of some others. The initial blocks
are therefore refined in the order of that dependence, one strongly connected component at a time:
whatever a component depends on is final when its turn comes. A feedforward system (the layers of a
network, a cascade) needs one pass; only true feedback is iterated.

A signature is a tuple of polynomials. It is evaluated at a random point, modulo 2^64 or a prime:
unequal values prove unequal polynomials, so no split is ever wrong. An unlucky draw can miss a split;
the final exact comparison of all signatures finds that out, and the work goes on with a new draw. So
the answer is always right, and only the running time is random (a Las Vegas algorithm).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from symlump.errors import FailureError, InputError
from symlump.lumping.equivalence import Equivalence, Fingerprints
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.blocks import RefinableBlocks
from symlump.lumping.refinement.components import strong_components
from symlump.lumping.refinement.field import VanishingDenominator, draw
from symlump.ode.exact import PRIMES, WORDS, IntArray, reduce_modulo
from symlump.ode.system import ODE

#: The Mersenne prime 2^31 − 1.
PRIME = PRIMES[0]
_MAX_DRAWS = 200
#: An update costs more per term than an evaluation from scratch.
_WORTH_UPDATING = 0.1
_MAX_COMPONENTS = 256
#: A round that mixes words should have so many times the blocks; so few others are waited for.
_MUCH, _SLOW_ROUNDS = 1.25, 2
#: So few are hardly any.
_HARDLY = 1.01
#: More rounds than that would need more blocks than any memory has.
_ROUNDS = 200


def coarsest(
    ode: ODE,
    method: Equivalence,
    initial: Partition,
    prime: int | None = None,
    seed: int = 0,
) -> tuple[Partition, int]:
    """The coarsest partition inside ``initial`` whose blocks ``method`` accepts.

    Parameters
    ----------
    prime : int, optional
        Modulus of the first evaluations, an odd prime below 2^31. A small one costs redraws, never
        correctness. By default 2^64 where coefficients are narrow, or 2^31 − 1.
    seed : int
        Seed of the random points.

    Returns
    -------
    partition : Partition
    rounds : int
        How many times values were computed, from scratch or in part.

    Raises
    ------
    PartitionError
        If a denominator is 0 wherever the members of each block are equal (backward).
    FailureError
        If the exact check still fails after 200 draws; after those of words each is modulo another prime.

    Notes
    -----
    Exact case: O(terms) for each evaluation from scratch, of which there are few; after that only what a
    split touches is computed again, and the largest part of a split block keeps its random value, so each
    variable changes its value O(log n) times and the whole is O(terms · log n) even where blocks split one
    by one.
    """
    generator = np.random.default_rng(seed)
    order = work_order(ode, method, initial, most=_MAX_COMPONENTS)
    labels, rounds = initial.labels, 0
    together = len(order) == 1 and order[0][1]
    # After the words another modulus each time: it may divide the very coefficients that differ.
    for modulus in islice(_moduli(ode, prime, generator), _MAX_DRAWS):
        try:
            values = method.fingerprints(ode, modulus, generator)
        except InputError:  # it divides a denominator, or coefficients are too wide
            continue
        try:
            if modulus == WORDS and together and not rounds:
                labels, rounds = split_together(initial, values, order[0][0], generator, hasty=True)
            else:
                blocks = RefinableBlocks(labels)
                labels = blocks.labels  # it keeps them up to date
                for members, feedback in order:
                    rounds += refine_component(blocks, values, members, feedback, generator)
        except VanishingDenominator:  # by chance, or because it is 0 wherever the blocks are equal
            method.check_defined(ode, labels)
            continue
        del values  # the comparison needs the memory
        partition = Partition(labels)
        if method.agrees(ode, partition):
            return partition, rounds
    raise FailureError(
        f"{_MAX_DRAWS} draws did not separate all variables, which has no likely explanation; "
        "please report the system"
    )


def _moduli(ode: ODE, prime: int | None, generator: np.random.Generator) -> Iterator[int]:
    """What to compute modulo: of functions only the field's values are known."""
    if prime is None and ode.generators is None:
        # Blocks that are split together are split in haste the first time.
        yield from (WORDS, WORDS)
    yield PRIME if prime is None else prime
    while True:
        yield _another_prime(generator)


def split_together(
    initial: Partition,
    values: Fingerprints,
    members: IntArray,
    generator: np.random.Generator,
    hasty: bool = False,
) -> tuple[IntArray, int]:
    """Split the blocks of some variables by words until nothing splits: their numbers, and the rounds."""
    labels, done, rounds = mix_rounds(initial, values, members, generator, hasty)
    if done:
        return labels, rounds
    blocks = RefinableBlocks(labels)
    return blocks.labels, rounds + refine_component(blocks, values, members, True, generator)


def mix_rounds(
    initial: Partition,
    values: Fingerprints,
    members: IntArray,
    generator: np.random.Generator,
    hasty: bool = False,
) -> tuple[IntArray, bool, int]:
    """Split blocks by words that mix a variable's own with the value at them, while that splits much.

    A variable has a word, and gets a new one of it and its value at all words. Words are the same where
    variables are equivalent, so no block is split that should not be; where different words become the same by
    chance, the comparison finds that out. No list of blocks is kept, which would take longer than the values.

    In haste, when rounds that split much are followed by one that splits hardly anything, it is taken for the
    last one: mostly the next one would split nothing. The comparison, which takes as long as several rounds,
    finds out where it would. Numbers of blocks that grow by ever less do not end like that.

    Returns
    -------
    labels : ndarray of int
        Numbers of blocks, which refine the initial ones.
    done : bool
        True if the last round split nothing, or in haste hardly anything.
    rounds : int

    Examples
    --------
    >>> from symlump import Forward
    >>> ode = ODE.from_text("a' = -a; b' = -b; c' = -2*c")
    >>> everything, generator = Partition.single(3), np.random.default_rng(0)
    >>> values = Forward().fingerprints(ode, WORDS, generator)
    >>> labels, done, _ = mix_rounds(everything, values, np.arange(3), generator)
    >>> Partition(labels), done
    ({0, 1}, {2}; 2, True)
    """
    word = draw(generator, WORDS, len(initial))[initial.labels]
    which = slice(None) if members.size == word.size else members
    count, rounds, slow, done = len(initial), 0, 0, False
    factors = draw(generator, WORDS, 2 * _ROUNDS).reshape(_ROUNDS, 2)
    while not done and slow < _SLOW_ROUNDS:
        first, second = factors[rounds]
        rounds += 1
        own = word[which] * first
        own += values.evaluate(word, members)
        own *= second
        own ^= own >> np.uint64(32)  # what differs above, differs below, too
        own |= np.uint64(1)
        if members.size == word.size:
            word = own
        else:
            word[members] = own
        ordered = np.sort(word)
        now = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
        done = now == count or (hasty and not slow and now < _HARDLY * count)
        slow += now < _MUCH * count
        count = now
    width = word.size.bit_length()  # sorted as one number with their positions
    ordered = (word >> np.uint64(width + 1)).view(np.int64)
    ordered <<= width
    ordered |= np.arange(word.size)
    ordered.sort()
    order = ordered & ((1 << width) - 1)
    ordered >>= width
    fresh = ordered[1:] != ordered[:-1]
    if 1 + np.count_nonzero(fresh) < count:  # without their last bits some words are the same
        order = np.argsort(word)
        fresh = np.diff(word[order]) != 0
    labels = np.zeros(word.size, dtype=np.int64)
    labels[order[1:]] = np.cumsum(fresh)
    of_block = np.empty(count, dtype=np.int64)
    of_block[labels] = initial.labels
    if (of_block[labels] != initial.labels).any():  # words became the same by chance
        return initial.labels, False, rounds
    return labels, done, rounds


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
        of_block[:] = draw(generator, prime, n)
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
            value[touched] = reduce_modulo(value[touched] + step[live], prime)
            changed = blocks.split(touched, value[touched])


def work_order(
    ode: ODE, method: Equivalence, initial: Partition, most: int | None = None
) -> list[tuple[IntArray, bool]]:
    """Variables to refine together, what they depend on first; and whether to iterate them.

    Blocks of one variable cannot split and are left out. With ``most``, neighbours in the order are put
    together where there are more components than that; iterating such a group is as correct.
    """
    large = initial.sizes > 1
    everything = np.flatnonzero(large[initial.labels])
    # Of two blocks the order would save one evaluation, which takes less than finding out.
    few = 1 if most is None else 2
    if large.sum() <= few or (most is not None and large.sum() > 100 * most):
        return [(everything, True)] if everything.size else []
    dependent, needed = method.needs(ode, initial.labels)
    both = large[dependent] & large[needed]
    arrows: dict[int, list[int]] = {block: [] for block in np.flatnonzero(large).tolist()}
    for a, b in zip(dependent[both].tolist(), needed[both].tolist(), strict=True):
        arrows[a].append(b)
    order: list[tuple[IntArray, bool]] = []
    for members in strong_components(arrows):  # an arrow points at what is needed
        feedback = len(members) > 1 or members[0] in arrows[members[0]]
        order.append((np.sort(np.concatenate([initial.blocks[b] for b in members])), feedback))
    if most is None or len(order) <= most:
        return order
    step = -(-len(order) // most)
    return [
        (np.sort(np.concatenate([members for members, _ in order[i : i + step]])), True)
        for i in range(0, len(order), step)
    ]


def _another_prime(generator: np.random.Generator) -> int:
    from sympy import nextprime

    return int(nextprime(int(generator.integers(2**30, 2**31 - 2**10))))
