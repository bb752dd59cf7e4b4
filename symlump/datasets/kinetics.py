"""Enzymatic networks of any size, with and without quotients, whose coarsest lumping is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from symlump.datasets.planted import PlantedBlocks
from symlump.errors import MethodError
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import Polynomial, add_to, constant, symbol, total
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE


def michaelis_menten(
    variables: int, blocks: int, direction: str, seed: int = 0
) -> tuple[ODE, IntArray]:
    """A random enzymatic network with a planted lumping, and its block numbers.

    *Forward*: the substrates of a block compete for three enzymes, each with its saturation constant; an
    enzyme turns x_i at the rate v·x_i/(K + Σ_block x) into a member of another block. Every block decays at
    a rate of its own. The denominators are shared.

    *Backward*: x_i' = Σ v·x_j/(K + x_k + x_l) − x_i with blocks of j, k, l that all members of a block have in
    common, and members drawn at random. Every variable has a denominator of its own.

    Parameters
    ----------
    variables, blocks : int
    direction : {"forward", "backward"}
    seed : int

    Raises
    ------
    MethodError
        If ``direction`` is something else, or there are more blocks than variables.

    Examples
    --------
    >>> from symlump import Backward, Forward, Partition, lump
    >>> ode, labels = michaelis_menten(40, 4, "forward")
    >>> lump(ode, Forward()).partition == Partition(labels)
    True
    >>> ode, labels = michaelis_menten(40, 4, "backward")
    >>> lump(ode, Backward()).partition == Partition(labels)
    True
    """
    if direction not in ("forward", "backward") or not 0 < blocks <= variables:
        raise MethodError(
            f"michaelis_menten({variables}, {blocks}, {direction!r}): it takes at least as many variables "
            "as blocks, and direction='forward' or 'backward'"
        )
    generator = np.random.default_rng(seed)
    planted = PlantedBlocks.drawn(generator, variables, blocks)
    table = SymbolTable(variables)
    plant = _competing if direction == "forward" else _copied
    equations = plant(generator, planted.labels, planted.members, table)
    return ODE.from_table([f"x{i}" for i in range(variables)], equations, table), planted.labels


def synchronous(variables: int, blocks: int, seed: int = 0) -> tuple[ODE, IntArray]:
    """The backward network of :func:`michaelis_menten` with oscillators' couplings, and its block numbers.

    To x_i' is added exp(x_i − x_j) + sin(x_k − x_i) with j in the block of x_i and k in another one: functions
    that become numbers, or change their sign, where the members of blocks are equal.

    Examples
    --------
    >>> from symlump import Backward, Partition, lump
    >>> ode, labels = synchronous(40, 4)
    >>> lump(ode, Backward()).partition == Partition(labels)
    True
    """
    generator = np.random.default_rng(seed)
    planted = PlantedBlocks.drawn(generator, variables, blocks)
    table = SymbolTable(variables)
    equations = _copied(generator, planted.labels, planted.members, table)
    partners = generator.integers(blocks, size=blocks)
    for i, block in enumerate(planted.labels.tolist()):
        for name, sign, other in (("exp", 1, block), ("sin", -1, int(partners[block]))):
            j = int(generator.choice(planted.members[other]))
            difference = add_to({((i, 1),): Fraction(sign)}, symbol(j), Fraction(-sign))
            add_to(equations[i], table.apply(name, [difference]))
    return ODE.from_table([f"x{i}" for i in range(variables)], equations, table), planted.labels


def mass_action(substrates: int, blocks: int, seed: int = 0) -> tuple[PolynomialODE, IntArray]:
    """The forward network of :func:`michaelis_menten` with enzymes as species, and its block numbers.

    The three enzymes z of a block turn x_i at the rate v·x_i·z into a member of another block, and decay.

    Examples
    --------
    >>> from symlump import Forward, Partition, lump
    >>> ode, labels = mass_action(40, 4)
    >>> len(ode), lump(ode, Forward()).partition == Partition(labels)
    (52, True)
    """
    generator = np.random.default_rng(seed)
    planted = PlantedBlocks.drawn(generator, substrates, blocks)
    labels = planted.labels
    enzymes = substrates + np.arange(3 * blocks)
    rates = generator.integers(1, 10, size=(blocks, 3))
    targets = generator.integers(0, blocks, size=(blocks, 3))
    source = np.repeat(np.arange(substrates), 3)
    enzyme = enzymes[3 * np.repeat(labels, 3) + np.tile(np.arange(3), substrates)]
    flow, into = rates[labels].ravel(), planted.members_of(targets[labels].ravel(), generator)
    count = substrates + enzymes.size
    monomials, position = Monomials.from_factors(
        np.concatenate([np.tile(np.arange(source.size), 2), source.size + np.arange(count)]),
        np.concatenate([source, enzyme, np.arange(count)]),
        np.ones(2 * source.size + count, dtype=np.int64),
        source.size + count,
    )
    decay = np.concatenate([(generator.permutation(blocks) + 1)[labels], enzymes])
    values = np.concatenate([-flow, flow, -decay])
    column = np.concatenate([np.tile(np.arange(source.size), 2), source.size + np.arange(count)])
    ode = PolynomialODE.from_terms(
        [f"x{i}" for i in range(substrates)] + [f"z{k}" for k in range(enzymes.size)],
        np.concatenate([source, into, np.arange(count)]),
        position[column],
        ExactArray(values, np.ones_like(values)),
        monomials,
    )
    return ode, np.concatenate([labels, blocks + np.arange(enzymes.size)])


def _competing(
    generator: np.random.Generator, labels: IntArray, members: list[list[int]], table: SymbolTable
) -> list[Polynomial]:
    decay = generator.permutation(len(members)) + 1
    equations: list[Polynomial] = [
        {((i, 1),): Fraction(-int(decay[block]))} for i, block in enumerate(labels.tolist())
    ]
    for block in members:
        for _ in range(3):
            saturation, rate = (int(v) for v in generator.integers(1, 10, size=2))
            target = members[int(generator.integers(len(members)))]
            inverse = table.inverse(total([constant(saturation), *map(symbol, block)]))
            for i in block:
                flow = table.multiply(symbol(i), inverse)
                add_to(equations[i], flow, Fraction(-rate))
                add_to(equations[int(generator.choice(target))], flow, Fraction(rate))
    return equations


def _copied(
    generator: np.random.Generator, labels: IntArray, members: list[list[int]], table: SymbolTable
) -> list[Polynomial]:
    count = len(members)
    partners = generator.integers(count, size=count)
    saturation = generator.integers(1, 10, size=count)

    def one_of(block: int) -> int:
        return int(generator.choice(members[block]))

    inverses = []
    for i, block in enumerate(labels.tolist()):
        below = [constant(int(saturation[block])), symbol(i), symbol(one_of(int(partners[block])))]
        inverses.append(table.inverse(total(below)))
    rates = [
        [tuple(int(v) for v in generator.integers((1, 0, 0), (10, count, count))) for _ in range(3)]
        for _ in range(count)
    ]
    equations = []
    for i, block in enumerate(labels.tolist()):
        equation: Polynomial = {((i, 1),): Fraction(-1)}
        for rate, substrate, enzyme in rates[block]:
            flow = table.multiply(symbol(one_of(substrate)), inverses[one_of(enzyme)])
            add_to(equation, flow, Fraction(rate))
        equations.append(equation)
    return equations
