"""Markov chains of any size whose coarsest lumping is known."""

from __future__ import annotations

import numpy as np

from symlump.datasets.planted import PlantedBlocks
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials, ranges
from symlump.ode.polynomial import PolynomialODE


def planted_chain(
    states: int, blocks: int, seed: int = 0
) -> tuple[PolynomialODE, IntArray, IntArray]:
    """A random continuous-time Markov chain with a planted lumping: the chain, its blocks, and a label.

    Every block gets 5 to 10 transitions to blocks, with rates from 1 to 9; each of its states gets them to
    members drawn at random. Probability is conserved, so that all states together are one block, too, unless
    something tells states apart: here a label on those of one block.

    Examples
    --------
    >>> from symlump import Forward, Partition, lump
    >>> ode, planted, label = planted_chain(300, 30)
    >>> lump(ode, Forward(), Partition(label)).partition == Partition(planted)
    True
    >>> len(lump(ode, Forward()).partition)
    1
    """
    generator = np.random.default_rng(seed)
    planted = PlantedBlocks.drawn(generator, states, blocks)
    labels = planted.labels
    counts = generator.integers(5, 11, size=blocks)
    targets = generator.integers(0, blocks, size=int(counts.sum()))
    rates = generator.integers(1, 10, size=targets.size)
    at = ranges((np.cumsum(counts) - counts)[labels], counts[labels])
    source, rate = np.repeat(np.arange(states), counts[labels]), rates[at]
    into = planted.members_of(targets[at], generator)
    every = np.arange(states)
    monomials, position = Monomials.from_factors(every, every, np.ones_like(every), states)
    values = np.concatenate([rate, -rate])
    ode = PolynomialODE.from_terms(
        [f"s{i}" for i in range(states)],
        np.concatenate([into, source]),
        position[np.concatenate([source, source])],
        ExactArray(values, np.ones_like(values)),
        monomials,
    )
    return ode, labels, (labels == labels[0]).astype(np.int64)
