"""Polynomial systems of any size whose coarsest lumping is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.reactions import FlowArrays

_RATES = tuple(Fraction(r) for r in ("7/10", "3", "5", "7/10", "3", "51/10"))


def multisite_phosphorylation(sites: int, rates: tuple[Fraction, ...] = _RATES) -> PolynomialODE:
    """A protein with independent sites, each free, phosphorylated, or held by one of two enzymes.

    At every site: U + E → UE, UE → U + E, UE → P + E, P + F → PF, PF → P + F, PF → U + F, with the same six
    rates. 4^n + 2 species, 6n·4^(n−1) reactions; the coarsest forward equivalence has C(n+3, 3) + 2 blocks,
    because only the numbers of sites in each condition matter.

    Parameters
    ----------
    sites : int
        n, 1 to 12.
    rates : six rationals

    References
    ----------
    Sneddon, Faeder, Emonet, doi:10.1038/nmeth.1546 (multisite phosphorylation as a benchmark);
    Cardelli, Tribastone, Tschaikowski, Vandin, doi:10.1073/pnas.1702697114 (its forward equivalence).

    Examples
    --------
    >>> from symlump import Forward, lump
    >>> ode = multisite_phosphorylation(2)
    >>> len(ode), len(lump(ode, Forward()).partition)
    (18, 12)
    """
    free, phosphorylated, with_e, with_f = range(4)
    steps = (  # (condition before, after, enzyme taken: −1 or released: +1, which)
        (free, with_e, -1, 0),
        (with_e, free, 1, 0),
        (with_e, phosphorylated, 1, 0),
        (phosphorylated, with_f, -1, 1),
        (with_f, phosphorylated, 1, 1),
        (with_f, free, 1, 1),
    )
    states = 4**sites
    everything = np.arange(states, dtype=np.int32)
    before, after, taken, enzyme, kind = [], [], [], [], []
    for site in range(sites):
        digit = (everything >> (2 * site)) & 3
        for number, (old, new, taking, which) in enumerate(steps):
            here = everything[digit == old]
            before.append(here)
            after.append(here + ((new - old) << (2 * site)))
            taken.append(np.full(here.size, taking, dtype=np.int8))
            enzyme.append(np.full(here.size, states + which, dtype=np.int32))
            kind.append(np.full(here.size, number, dtype=np.int8))
    source, target, change, partner, rate = map(
        np.concatenate, (before, after, taken, enzyme, kind)
    )
    del before, after, taken, enzyme
    flow = np.arange(source.size, dtype=np.int32)
    binding = np.flatnonzero(change < 0).astype(np.int32)
    one = np.ones(source.size, dtype=np.int8)
    flows = FlowArrays(
        ExactArray.from_fractions(rates).take(rate),
        np.concatenate([flow, binding]),
        np.concatenate([source, partner[binding]]),
        np.ones(source.size + binding.size, dtype=np.int8),
        np.concatenate([flow, flow, flow]),
        np.concatenate([source, target, partner]),
        np.concatenate([-one, one, change]),
    )
    return flows.to_ode([f"S{i}" for i in range(states)] + ["E", "F"])


def planted_backward(
    variables: int, blocks: int, terms_per_equation: int, seed: int = 0
) -> tuple[PolynomialODE, IntArray]:
    """A random quadratic system whose coarsest backward equivalence is planted, and its block numbers.

    Each block gets a random polynomial in blocks; each variable gets that polynomial with every block
    replaced by a randomly chosen member. Coefficients are small and most monomials occur once, so nothing
    merges but what was planted (with many terms and blocks; the caller may check).

    Examples
    --------
    >>> from symlump import Backward, Partition, lump
    >>> ode, labels = planted_backward(60, 6, 10)
    >>> lump(ode, Backward()).partition == Partition(labels)
    True
    """
    generator = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.arange(blocks), generator.integers(0, blocks, size=variables - blocks)]
    )
    generator.shuffle(labels)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels, minlength=blocks)
    starts = np.cumsum(sizes) - sizes
    pairs = generator.integers(0, blocks, size=(blocks, terms_per_equation, 2))
    values = generator.integers(1, 6, size=(blocks, terms_per_equation))
    values[generator.random(values.shape) < 0.5] *= -1
    rows = np.repeat(np.arange(variables), terms_per_equation)
    chosen = pairs[labels].reshape(-1, 2)
    members = order[
        starts[chosen] + (generator.random(chosen.shape) * sizes[chosen]).astype(np.int64)
    ]
    monomials, position = Monomials.from_factors(
        np.repeat(np.arange(rows.size), 2),
        members.ravel(),
        np.ones(members.size, dtype=np.int64),
        rows.size,
    )
    integers = values[labels].ravel()
    coefficients = ExactArray(integers, np.ones_like(integers))
    names = [f"x{i}" for i in range(variables)]
    return PolynomialODE.from_terms(names, rows, position, coefficients, monomials), labels


def chain(length: int) -> PolynomialODE:
    """x1' = 1, x_i' = x_{i−1}: backward equivalence splits it one variable at a time.

    Examples
    --------
    >>> print(chain(3))
    x1' = 1
    x2' = x1
    x3' = x2
    """
    position = np.arange(length)
    one = np.ones(length, dtype=np.int64)
    monomials, column = Monomials.from_factors(
        position[1:], position[:-1], np.ones(length - 1, dtype=np.int64), length
    )
    names = [f"x{i}" for i in range(1, length + 1)]
    return PolynomialODE.from_terms(names, position, column, ExactArray(one, one), monomials)
