"""How fast the exact engine is: finding blocks, comparing, the worst case, against sorts of as many numbers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.speed.rows import EngineRow, Rows, sort_seconds, time_call
from symlump.bench.speed.stored import Made, backward_system, chain_with_label, made_apart
from symlump.bench.speed.storm import against_storm, memory_against_storm, quotient_against_storm
from symlump.memory import peak_memory

if TYPE_CHECKING:
    from symlump.lumping.equivalence import Equivalence
    from symlump.lumping.partition import Partition
    from symlump.ode.exact import IntArray
    from symlump.ode.system import ODE


def find_blocks(ode: ODE, method: Equivalence, initial: Partition) -> IntArray:
    """Refine until nothing splits: all of the work but the exact comparison."""
    from symlump.lumping.refinement.refine import split_together
    from symlump.ode.exact import WORDS

    generator = np.random.default_rng(0)
    values = method.fingerprints(ode, WORDS, generator)
    return split_together(initial, values, np.arange(len(ode)), generator)[0]


def import_sparse() -> None:
    """Import what is imported on first use, so that no row contains it."""
    import_module("scipy.sparse")


def _against_sort(what: str, seconds: float, count: int, reach: float) -> EngineRow:
    yardstick = f"sort of {count} int64"
    return EngineRow(what, seconds, yardstick, seconds / sort_seconds(count), "×", reach)


def forward_found(sites: int) -> EngineRow:
    """Coarsest forward equivalence of multisite phosphorylation, found (before the exact check)."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.lumping.forward import Forward
    from symlump.lumping.partition import Partition

    ode = multisite_phosphorylation(sites)
    initial, found = Partition.single(len(ode)), []
    import_sparse()
    seconds = time_call(lambda: found.append(find_blocks(ode, Forward(), initial)))
    blocks = int(found[0].max()) + 1
    assert blocks == comb(sites + 3, 3) + 2
    reactions = 6 * sites * 4 ** (sites - 1)
    return _against_sort(
        f"forward, {len(ode)} variables, {reactions} reactions → {blocks} blocks, found",
        seconds,
        3 * reactions,
        2.5,
    )


def forward_proved(sites: int) -> EngineRow:
    """Forward lumping with the exact comparison of all signatures, and the quotient."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump

    ode = multisite_phosphorylation(sites)
    found: list[int] = []
    import_sparse()
    seconds = time_call(lambda: found.append(len(lump(ode, Forward()).partition)))
    assert found == [comb(sites + 3, 3) + 2]
    reactions = 6 * sites * 4 ** (sites - 1)
    return _against_sort(
        f"forward, {len(ode)} variables, {reactions} reactions, exact comparison and quotient",
        seconds,
        3 * reactions,
        4.0,
    )


def backward_found(variables: int) -> EngineRow:
    """Coarsest backward equivalence of a planted quadratic system, ten terms an equation."""
    from symlump.lumping.backward import Backward

    return _found("backward", "terms", backward_system, Backward(), variables, 2.0)


def backward_memory(variables: int) -> EngineRow:
    """The peak memory of a process that finds it; the system is made in another one."""
    row = backward_found(variables)
    what = row.what.replace(", found", ", found, peak memory")
    return EngineRow(what, row.seconds, "", peak_memory() / 1e9, "GB", 1.5)


def chain_found(states: int) -> EngineRow:
    """Coarsest forward equivalence of a planted Markov chain with 7.5 transitions a state, found."""
    from symlump.lumping.forward import Forward

    return _found("Markov chain", "transitions", chain_with_label, Forward(), states, 3.0)


def _found(
    what: str,
    counted: str,
    make: Callable[[int], Made],
    method: Equivalence,
    size: int,
    reach: float,
) -> EngineRow:
    from symlump.lumping.partition import Partition

    ode, planted, labels = made_apart(make, size)
    initial, found = Partition(labels), []
    import_sparse()
    seconds = time_call(lambda: found.append(find_blocks(ode, method, initial)))
    blocks = Partition(found[0])
    assert blocks == Partition(planted)
    # In a chain what leaves a state is one more term.
    terms = ode.terms - (size if counted == "transitions" else 0)
    return _against_sort(
        f"{what}, {size} variables, {terms} {counted} → {len(blocks)} blocks, found",
        seconds,
        terms,
        reach,
    )


def within_tolerance(variables: int) -> EngineRow:
    """A planted backward equivalence whose coefficients are each off by up to 10⁻⁴, closure at ε = 0.05."""
    from symlump.datasets.systems import planted_backward
    from symlump.lumping.backward import Backward
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition
    from symlump.lumping.tolerance.tolerant import TolerantRefinement
    from symlump.ode.exact import ExactArray

    ode, planted = planted_backward(variables, variables // 10, 100)
    noise = np.random.default_rng(1).uniform(-1e-4, 1e-4, ode.terms)
    blurred = replace(ode, coefficients=ExactArray.from_floats(ode.coefficients.to_float() + noise))
    found: list[Partition] = []
    seconds = time_call(
        lambda: found.append(
            TolerantRefinement(blurred, Backward(), Partition.single(len(ode))).at(0.05)[0]
        )
    )
    assert found == [Partition(planted)]
    return EngineRow(
        f"ε-backward, {variables} variables, {ode.terms} terms → {len(found[0])} blocks, found",
        seconds,
        "exact lumping of the system without noise",
        seconds / time_call(lambda: lump(ode, Backward())),
        "×",
        10.0,
    )


def chain_growth(length: int) -> EngineRow:
    """The worst case, a chain that splits one variable at a time: growth from n to 2n."""
    from symlump.datasets.systems import chain
    from symlump.lumping.backward import Backward
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.refine import coarsest

    def split(n: int) -> float:
        ode = chain(n)
        return time_call(lambda: coarsest(ode, Backward(), Partition.single(n)))

    short, long = split(length), split(2 * length)
    return EngineRow(
        f"chain of {2 * length}, {2 * length} rounds",
        long,
        f"chain of {length}",
        long / short,
        "×",
        2.1,
    )


def sympy_export(sites: int) -> EngineRow:
    """Turning a system into sympy expressions."""
    from symlump.datasets.systems import multisite_phosphorylation

    ode = multisite_phosphorylation(sites)
    seconds = time_call(ode.to_sympy)
    return EngineRow(
        f"to sympy, {ode.terms} terms",
        seconds,
        "",
        ode.terms / seconds,
        "terms/s",
        50_000,
        at_most=False,
    )


def importing(_: int) -> EngineRow:
    """``import symlump`` in a fresh interpreter, less the start of the interpreter."""

    def start(code: str) -> float:
        return min(
            time_call(
                lambda: subprocess.run([sys.executable, "-c", code], check=True), time.perf_counter
            )
            for _ in range(3)
        )

    seconds = start("import symlump") - start("pass")
    return EngineRow("import symlump", seconds, "", seconds, "s", 0.5)


#: Name, function, full size, quick size.
ROWS: Rows = {
    "forward": (forward_found, 9, 5),
    "forward-proved": (forward_proved, 9, 5),
    "backward": (backward_found, 1_000_000, 5_000),
    "backward-memory": (backward_memory, 1_000_000, 5_000),
    "markov": (chain_found, 400_000, 4_000),
    "storm-10000": (against_storm, 10_000, 1_000),
    "storm-100000": (against_storm, 100_000, 2_000),
    "storm-400000": (against_storm, 400_000, 4_000),
    "storm-quotient": (quotient_against_storm, 400_000, 4_000),
    "storm-memory-10000": (memory_against_storm, 10_000, 1_000),
    "storm-memory-100000": (memory_against_storm, 100_000, 2_000),
    "storm-memory": (memory_against_storm, 400_000, 4_000),
    "tolerance": (within_tolerance, 10_000, 500),
    "chain": (chain_growth, 100_000, 1_000),
    "sympy": (sympy_export, 6, 4),
    "import": (importing, 0, 0),
}
