"""How time and memory grow: n, 2n, 4n, 8n, and the exponent that fits best."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.bench.speed.readers import write_planted_chain, write_reactions
from symlump.bench.speed.rows import apart, median_time, time_call
from symlump.bench.speed.stored import Made, backward_system, chain_with_label, made_apart
from symlump.lumping.backward import Backward
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.forward import Forward
from symlump.memory import peak_memory


@dataclass(frozen=True)
class GrowthRow:
    """One task at one size.

    Parameters
    ----------
    task : str
    size : int
    seconds : float
        Of the processor.
    megabytes : float
        Of memory at its peak, less what the process had before the task.
    time_exponent, memory_exponent : float or None
        Of the straight line through the logarithms of all sizes up to this one, from the third on.
    """

    task: str
    size: int
    seconds: float
    megabytes: float
    time_exponent: float | None
    memory_exponent: float | None


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the straight line through logarithms.

    Examples
    --------
    >>> round(exponent([1, 2, 4], [5, 20, 80]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def measure(name: str, quick: bool = False) -> list[GrowthRow]:
    """One task at four sizes, each twice the one before, each in a process of its own."""
    function, full, small = TASKS[name]
    sizes = [(small if quick else full) * 2**k for k in range(4)]
    found = [apart(function, size) for size in sizes]
    rows = []
    for k, (size, (seconds, megabytes)) in enumerate(zip(sizes, found, strict=True), start=1):
        times, peaks = zip(*found[:k], strict=True)
        rows.append(
            GrowthRow(
                name,
                size,
                seconds,
                megabytes,
                exponent(sizes[:k], times) if k > 2 else None,
                exponent(sizes[:k], peaks) if k > 2 else None,
            )
        )
    return rows


def _watched(task: Callable[[], object], repeated: bool = True) -> tuple[float, float]:
    """Seconds of a task, and megabytes of memory that it adds to what was taken before, at least one."""
    before = peak_memory()
    seconds = median_time(task) if repeated else time_call(task)
    return seconds, max(1.0, (peak_memory() - before) / 2**20)


def _lumped(make: Callable[[int], Made], method: Equivalence, size: int) -> tuple[float, float]:
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition

    ode, planted, labels = made_apart(make, size)
    initial, found = Partition(labels), []
    figures = _watched(lambda: found.append(lump(ode, method, initial).partition))
    assert set(found) == {Partition(planted)}
    return figures


def chain_lumped(states: int) -> tuple[float, float]:
    """A planted Markov chain, forward, with the exact comparison and the quotient."""
    return _lumped(chain_with_label, Forward(), states)


def system_lumped(variables: int) -> tuple[float, float]:
    """A planted quadratic system, backward, likewise."""
    return _lumped(backward_system, Backward(), variables)


def worst_case(length: int) -> tuple[float, float]:
    """A chain that splits one variable at a time, backward, found and compared."""
    from symlump.datasets.systems import chain
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.refine import coarsest

    ode, initial = chain(length), Partition.single(length)
    return _watched(lambda: coarsest(ode, Backward(), initial), repeated=False)


def chain_read(states: int) -> tuple[float, float]:
    """A ``.tra`` file."""
    return _read(write_planted_chain, "chain.tra", states)


def reactions_read(count: int) -> tuple[float, float]:
    """An ``.ode`` file of reactions."""
    return _read(write_reactions, "model.ode", count)


def _read(write: Callable[[int, Path], None], name: str, size: int) -> tuple[float, float]:
    from symlump.formats import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        apart(write, size, path)
        return _watched(lambda: read(path))


#: Name, function, full size, quick size: those of the smallest of four.
TASKS: Mapping[str, tuple[Callable[[int], tuple[float, float]], int, int]] = {
    "forward": (chain_lumped, 50_000, 1_000),
    "backward": (system_lumped, 50_000, 1_000),
    "chain": (worst_case, 12_500, 250),
    "tra": (chain_read, 50_000, 1_000),
    "reactions": (reactions_read, 50_000, 1_000),
}

HEADER = ("task", "size", "seconds", "time ~ n^", "MB", "memory ~ n^")


def cells(row: GrowthRow) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.task,
        str(row.size),
        f"{row.seconds:.3g}",
        "" if row.time_exponent is None else f"{row.time_exponent:.2f}",
        f"{row.megabytes:.0f}",
        "" if row.memory_exponent is None else f"{row.memory_exponent:.2f}",
    )


TABLE = KeptTable("growth", GrowthRow, HEADER, cells, ("task", "size"))
