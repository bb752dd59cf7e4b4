"""How fast the exact engine is: every figure beside a yardstick measured in the same process.

Times of a shared machine wander; a ratio to a sort of about as many numbers as there are terms holds. Seconds
are those of the processor.
Each row runs in a process of its own, so its peak memory is its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import comb
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from symlump.memory import peak_memory


@dataclass(frozen=True)
class EngineRow:
    """One line of the table.

    ``ratio`` is seconds over the yardstick's seconds, or a rate where ``unit`` says so; ``reach`` is the
    target, and ``at_most`` says on which side of it is good.
    """

    what: str
    seconds: float
    yardstick: str
    ratio: float
    unit: str
    reach: float
    at_most: bool
    peak_mb: int = 0

    @property
    def reached(self) -> bool:
        """True if the target is met."""
        return self.ratio <= self.reach if self.at_most else self.ratio >= self.reach


def _timed(function: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    function()
    return clock() - start


def _sort_seconds(count: int) -> float:
    """The yardstick: the median of three sorts of random 64-bit integers.

    The stable sort: the other one takes a tenth of that on processors with AVX-512, and as long on others.
    """
    numbers = np.random.default_rng(0).integers(0, 2**62, size=count)
    return float(np.median([_timed(lambda: np.sort(numbers, kind="stable")) for _ in range(3)]))


def forward_found(sites: int) -> EngineRow:
    """Coarsest forward equivalence of multisite phosphorylation, found (before the exact check)."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.lumping.forward import Forward
    from symlump.lumping.refinement.blocks import RefinableBlocks
    from symlump.lumping.refinement.refine import PRIME, refine_component

    ode = multisite_phosphorylation(sites)
    generator = np.random.default_rng(0)
    blocks = RefinableBlocks(np.zeros(len(ode), dtype=np.int64))

    def find() -> None:
        values = Forward().fingerprints(ode, PRIME, generator)
        refine_component(blocks, values, np.arange(len(ode)), True, generator)

    seconds = _timed(find)
    assert blocks.count == comb(sites + 3, 3) + 2
    reactions = 6 * sites * 4 ** (sites - 1)
    return EngineRow(
        f"forward, {len(ode)} variables, {reactions} reactions → {blocks.count} blocks, found",
        seconds,
        f"sort of {3 * reactions} int64",
        seconds / _sort_seconds(3 * reactions),
        "×",
        2.5,
        True,
    )


def forward_proved(sites: int) -> EngineRow:
    """Forward lumping with the exact comparison of all signatures, and the quotient."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump

    ode = multisite_phosphorylation(sites)
    found: list[int] = []
    seconds = _timed(lambda: found.append(len(lump(ode, Forward()).partition)))
    assert found == [comb(sites + 3, 3) + 2]
    reactions = 6 * sites * 4 ** (sites - 1)
    return EngineRow(
        "the same, with exact comparison and quotient",
        seconds,
        f"sort of {3 * reactions} int64",
        seconds / _sort_seconds(3 * reactions),
        "×",
        15.0,
        True,
    )


def backward_found(variables: int) -> EngineRow:
    """Coarsest backward equivalence of a planted quadratic system, ten terms an equation."""
    from symlump.datasets.systems import planted_backward
    from symlump.lumping.backward import Backward
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.blocks import RefinableBlocks
    from symlump.lumping.refinement.refine import PRIME, refine_component

    ode, planted = planted_backward(variables, variables // 10, 10)
    generator = np.random.default_rng(0)
    blocks = RefinableBlocks(np.zeros(len(ode), dtype=np.int64))

    def find() -> None:
        values = Backward().fingerprints(ode, PRIME, generator)
        refine_component(blocks, values, np.arange(len(ode)), True, generator)

    seconds = _timed(find)
    assert Partition(blocks.labels) == Partition(planted)
    return EngineRow(
        f"backward, {variables} variables, {ode.terms} terms → {blocks.count} blocks, found",
        seconds,
        f"sort of {10 * variables} int64",
        seconds / _sort_seconds(10 * variables),
        "×",
        3.0,
        True,
    )


def chain_found(states: int) -> EngineRow:
    """Coarsest forward equivalence of a planted Markov chain with 7.5 transitions a state, found."""
    from symlump.datasets.chains import planted_chain
    from symlump.lumping.forward import Forward
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.blocks import RefinableBlocks
    from symlump.lumping.refinement.refine import PRIME, refine_component

    ode, planted, label = planted_chain(states, states // 10)
    generator = np.random.default_rng(0)
    blocks = RefinableBlocks(label)

    def find() -> None:
        values = Forward().fingerprints(ode, PRIME, generator)
        refine_component(blocks, values, np.arange(len(ode)), True, generator)

    seconds = _timed(find)
    assert Partition(blocks.labels) == Partition(planted)
    transitions = ode.terms - states
    return EngineRow(
        f"Markov chain, {states} states, {transitions} transitions → {blocks.count} blocks, found",
        seconds,
        f"sort of {transitions} int64",
        seconds / _sort_seconds(transitions),
        "×",
        3.0,
        True,
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
    seconds = _timed(
        lambda: found.append(
            TolerantRefinement(blurred, Backward(), Partition.single(len(ode))).at(0.05)[0]
        )
    )
    assert found == [Partition(planted)]
    return EngineRow(
        f"ε-backward, {variables} variables, {ode.terms} terms → {len(found[0])} blocks, found",
        seconds,
        "exact lumping of the system without noise",
        seconds / _timed(lambda: lump(ode, Backward())),
        "×",
        10.0,
        True,
    )


def chain_growth(length: int) -> EngineRow:
    """The worst case, a chain that splits one variable at a time: growth from n to 2n."""
    from symlump.datasets.systems import chain
    from symlump.lumping.backward import Backward
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.refine import coarsest

    def split(n: int) -> float:
        ode = chain(n)
        return _timed(lambda: coarsest(ode, Backward(), Partition.single(n)))

    short, long = split(length), split(2 * length)
    return EngineRow(
        f"chain of {2 * length}, {2 * length} rounds",
        long,
        f"chain of {length}",
        long / short,
        "×",
        2.3,
        True,
    )


def reading(sites: int) -> EngineRow:
    """Reading an ERODE file that this package wrote."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.formats import read, write

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ode"
        write(multisite_phosphorylation(sites), path)
        size = path.stat().st_size / 1e6
        read(path)
        seconds = _timed(lambda: read(path))
    return EngineRow(
        f"reading .ode, {size:.1f} MB", seconds, "", size / seconds, "MB/s", 3.0, False
    )


def sympy_export(sites: int) -> EngineRow:
    """Turning a system into sympy expressions."""
    from symlump.datasets.systems import multisite_phosphorylation

    ode = multisite_phosphorylation(sites)
    seconds = _timed(ode.to_sympy)
    return EngineRow(
        f"to sympy, {ode.terms} terms", seconds, "", ode.terms / seconds, "terms/s", 50_000, False
    )


def importing(_: int) -> EngineRow:
    """``import symlump`` in a fresh interpreter, less the start of the interpreter."""

    def start(code: str) -> float:
        return min(
            _timed(
                lambda: subprocess.run([sys.executable, "-c", code], check=True), time.perf_counter
            )
            for _ in range(3)
        )

    seconds = start("import symlump") - start("pass")
    return EngineRow("import symlump", seconds, "", seconds, "s", 0.5, True)


#: Name, function, full size, quick size.
ROWS: dict[str, tuple[Callable[[int], EngineRow], int, int]] = {
    "forward": (forward_found, 9, 5),
    "forward-proved": (forward_proved, 9, 5),
    "backward": (backward_found, 1_000_000, 5_000),
    "markov": (chain_found, 400_000, 4_000),
    "tolerance": (within_tolerance, 10_000, 500),
    "chain": (chain_growth, 100_000, 1_000),
    "reading": (reading, 6, 4),
    "sympy": (sympy_export, 6, 4),
    "import": (importing, 0, 0),
}


def measure(name: str, quick: bool = False) -> EngineRow:
    """Run one row in a fresh process, with its peak memory."""
    function, full, small = ROWS[name]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(with_peak, function, small if quick else full).result()


def with_peak(function: Callable[..., EngineRow], *arguments: object) -> EngineRow:
    """The row with the peak memory of this process."""
    row = function(*arguments)
    return replace(row, peak_mb=round(peak_memory() / 2**20))
