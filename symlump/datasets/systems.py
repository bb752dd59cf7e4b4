"""Polynomial systems of any size whose coarsest lumping is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.datasets.planted import PlantedBlocks
from symlump.errors import MethodError
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.reactions import FlowArrays, Reaction

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
    return PolynomialODE.from_flows(flows, [f"S{i}" for i in range(states)] + ["E", "F"])


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
    planted = PlantedBlocks.drawn(generator, variables, blocks)
    labels = planted.labels
    pairs = generator.integers(0, blocks, size=(blocks, terms_per_equation, 2))
    values = generator.integers(1, 6, size=(blocks, terms_per_equation))
    values[generator.random(values.shape) < 0.5] *= -1
    rows = np.repeat(np.arange(variables), terms_per_equation)
    members = planted.members_of(pairs[labels].reshape(-1, 2), generator)
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


#: Resistance and capacitance of the branches of an H-tree, level by level. Only the products R·C matter, save
#: that level 2 draws its current from the capacitor of level 1.
_RESISTANCE = (3.19, 6.37, 12.75, 25.50, 50.0, 100.0, 50.0, 100.0)
_CAPACITANCE = (0.28, 0.30, 0.13, 0.14, 0.07, 0.07, 0.14, 0.14)
_SOURCE = 2.0


def h_tree(depth: int, tolerance: float = 0.0, seed: int = 0) -> PolynomialODE:
    """An H-tree clock distribution circuit: a binary tree of resistors and capacitors.

    With v_{k,i} the voltage (V) at node i of level k, a_{k,i} = 1/(R_{k,i}·C_{k,i}) and
    b_i = 1/(R_{2,i}·C_{1,1}),

    v_{1,1}' = a_{1,1}·(2 − v_{1,1}) − b_1·(v_{1,1} − v_{2,1}) − b_2·(v_{1,1} − v_{2,2}),
    v_{k,i}' = a_{k,i}·(v_{k−1,⌈i/2⌉} − v_{k,i}).

    Nodes of one level behave alike where the components are equal: 2^N − 1 variables, N blocks by backward
    equivalence, and by forward equivalence too. Every R and C deviates by up to ``tolerance`` per cent; at
    0.01 an ε-backward equivalence with ε = 6·10⁻⁴ still finds the N levels.

    Parameters
    ----------
    depth : int
        N, 1 to 8.
    tolerance : float
        In per cent; deviations are uniform.
    seed : int
        Of the deviations.

    Raises
    ------
    MethodError
        If a number is out of range.

    References
    ----------
    Cardelli, Tribastone, Tschaikowski, Vandin, "Guaranteed error bounds on approximate model abstractions
    through reachability analysis", doi:10.1007/978-3-319-99154-2_7, arXiv:1807.06888. The values of R and C
    give the rates 1/(R·C) of the models published with it.

    Examples
    --------
    >>> from symlump import Backward, lump
    >>> len(h_tree(5)), len(lump(h_tree(5), Backward()).partition)
    (31, 5)
    >>> len(lump(h_tree(5, tolerance=0.01), Backward(eps=6e-4)).partition)
    5
    """
    if not 1 <= depth <= len(_RESISTANCE):
        raise MethodError(f"depth={depth}: an H-tree has 1 to {len(_RESISTANCE)} levels")
    if not 0 <= tolerance < 100:
        raise MethodError(f"tolerance={tolerance}: a deviation in per cent, 0 or larger, below 100")
    generator = np.random.default_rng(seed)
    sizes = [2**level for level in range(depth)]
    width = tolerance / 100

    def deviating(values: tuple[float, ...]) -> list[FloatArray]:
        return [
            v * (1 + generator.uniform(-width, width, n))
            for v, n in zip(values, sizes, strict=False)
        ]

    resistance, capacitance = deviating(_RESISTANCE), deviating(_CAPACITANCE)
    names = [[f"v{k}_{i + 1}" for i in range(n)] for k, n in enumerate(sizes, start=1)]
    flows: list[Reaction] = []

    def pull(name: str, toward: str | None, rate: float, level: float = 1.0) -> None:
        """Add rate·(toward − name) to the equation of name; a constant level where toward is None."""
        flows.append(({name: 1}, {}, rate))
        flows.append(
            ({toward: 1}, {toward: 1, name: 1}, rate) if toward else ({}, {name: 1}, rate * level)
        )

    for k in range(depth):
        for i, name in enumerate(names[k]):
            rate = float(1 / (resistance[k][i] * capacitance[k][i]))
            pull(name, names[k - 1][i // 2] if k else None, rate, _SOURCE)
    if depth > 1:
        for i, name in enumerate(names[1]):
            pull(names[0][0], name, float(1 / (resistance[1][i] * capacitance[0][0])))
    return PolynomialODE.from_reactions(flows, [name for level in names for name in level])


def complex_formation(
    rates: tuple[Fraction | int, Fraction | int, Fraction | int, Fraction | int] = (1, 2, 3, 4),
) -> PolynomialODE:
    """A protein A, unphosphorylated or phosphorylated, that binds B: the running example of the field.

    A_u ⇌ A_p (rates r1, r2), A_u + B ⇌ A_uB and A_p + B ⇌ A_pB (both r3, r4). Binding does not depend on
    phosphorylation, so the coarsest forward equivalence is {A_u, A_p}, {B}, {A_uB, A_pB}.

    References
    ----------
    Cardelli, Tribastone, Tschaikowski, Vandin, doi:10.1007/978-3-662-49674-9_6 (efficient syntax-driven
    lumping of differential equations).

    Examples
    --------
    >>> from symlump import Forward, lump
    >>> lump(complex_formation(), Forward()).blocks
    (('A_u', 'A_p'), ('B',), ('A_uB', 'A_pB'))
    """
    r1, r2, r3, r4 = rates
    reactions: list[Reaction] = [({"A_u": 1}, {"A_p": 1}, r1), ({"A_p": 1}, {"A_u": 1}, r2)]
    for protein in ("A_u", "A_p"):
        reactions.append(({protein: 1, "B": 1}, {protein + "B": 1}, r3))
        reactions.append(({protein + "B": 1}, {protein: 1, "B": 1}, r4))
    return PolynomialODE.from_reactions(reactions, ("A_u", "A_p", "B", "A_uB", "A_pB"))


def polymerization(perturbation: Fraction | float = Fraction(1, 100)) -> PolynomialODE:
    """Growth of aromatic molecules: A loses a hydrogen, adds acetylene C2H2, and is A again, longer.

    With i = 1, 2, j the other one, and p for the radical: A_i + H ⇌ A_ip + H2 (rates 1 and 1/10),
    A_ip + C2H2 ⇌ A_ipC2H2 (2 and 1/5), A_ipC2H2 + C2H2 → A_j + H (3), and A_1 flows in at rate 10. The forward
    rates differ by ``perturbation`` between i = 1 (lower by half of it) and i = 2 (higher); without it the two
    kinds of molecule may be added up.

    References
    ----------
    Frenklach, doi:10.1039/b110045a (the mechanism); Cardelli, Squillace, Tribastone, Tschaikowski, Vandin,
    doi:10.1016/j.jlamp.2023.100876 (approximate differential equivalence of systems perturbed like this).

    Examples
    --------
    >>> from symlump import Forward, lump
    >>> len(polymerization()), len(lump(polymerization(), Forward()).partition)
    (9, 9)
    >>> [block for block in lump(polymerization(0), Forward()).blocks if len(block) > 1]
    [('A1', 'A2'), ('A1p', 'A2p'), ('A1pC2H2', 'A2pC2H2')]
    """
    half = Fraction(perturbation) / 2
    reactions: list[Reaction] = [({}, {"A1": 1}, 10)]
    for i, j, change in ((1, 2, -half), (2, 1, half)):
        a, radical, bound, longer = f"A{i}", f"A{i}p", f"A{i}pC2H2", f"A{j}"
        reactions += [
            ({a: 1, "H": 1}, {radical: 1, "H2": 1}, 1 + change),
            ({radical: 1, "H2": 1}, {a: 1, "H": 1}, Fraction(1, 10)),
            ({radical: 1, "C2H2": 1}, {bound: 1}, 2 + change),
            ({bound: 1}, {radical: 1, "C2H2": 1}, Fraction(1, 5)),
            ({bound: 1, "C2H2": 1}, {longer: 1, "H": 1}, 3 + change),
        ]
    order = ("A1", "A2", "A1p", "A2p", "H", "H2", "C2H2", "A1pC2H2", "A2pC2H2")
    return PolynomialODE.from_reactions(reactions, order)
