"""How time and memory grow: n, 2n, 4n, 8n, and the exponent that fits best."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.bench.speed.growing_modules import MODULE_TASKS
from symlump.bench.speed.growing_networks import NETWORK_TASKS, network_of_weights
from symlump.bench.speed.growing_pictures import PICTURE_TASKS
from symlump.bench.speed.growing_systems import SYSTEM_TASKS, lump_chain
from symlump.bench.speed.readers import write_planted_chain, write_reactions
from symlump.bench.speed.rows import Task, apart, watch_task
from symlump.bench.speed.stored import Made, backward_system, chain_with_label, made_apart
from symlump.lumping.backward import Backward
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.forward import Forward

if TYPE_CHECKING:
    from symlump.ode.system import ODE


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
    """One task at four sizes, each twice the one before: each in a process of its own, or in a kept one."""
    function, full, small = TASKS[name]
    sizes = [(small if quick else full) * 2**k for k in range(4)]
    if name in _KEPT:
        found = _one_process().submit(_one_after_the_other, function, sizes).result()
    else:
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


@cache
def _one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def _one_after_the_other(
    function: Callable[[int], tuple[float, float]], sizes: Sequence[int]
) -> list[tuple[float, float]]:
    function(sizes[0])  # what is done once in a process
    return [function(size) for size in sizes]


def _lumped(make: Callable[[int], Made], method: Equivalence, size: int) -> tuple[float, float]:
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition

    ode, planted, labels = made_apart(make, size)
    initial, found = Partition(labels), []
    figures = watch_task(lambda: found.append(lump(ode, method, initial).partition))
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
    return watch_task(lambda: coarsest(ode, Backward(), initial), repeated=False)


def certificate_written(states: int) -> tuple[float, float]:
    """The certificate of a planted chain's lumping."""
    lumping = lump_chain(made_apart(chain_with_label, states))
    return watch_task(lambda: lumping.certificate().to_json(), repeated=False)


def certificate_checked(states: int) -> tuple[float, float]:
    """The same, checked: that it is a lumping, and the coarsest."""
    certificate, found = lump_chain(made_apart(chain_with_label, states)).certificate(), []
    figures = watch_task(lambda: found.append(certificate.check()), repeated=False)
    assert found[0].accepted and found[0].coarsest
    return figures


def pair_explained(states: int) -> tuple[float, float]:
    """Why two states of a planted chain are together, and why two are apart."""
    lumping = lump_chain(made_apart(chain_with_label, states))
    blocks = [block for block in lumping.blocks if len(block) > 1]
    (one, two, *_), (three, *_) = blocks[:2]

    def explain() -> None:
        lumping.explain(one, two)
        lumping.explain(one, three)

    return watch_task(explain, repeated=False)


def tolerance_lumped(variables: int) -> tuple[float, float]:
    """Backward equivalence within a tolerance, of a planted quadratic system of ten terms an equation."""
    return _lumped(backward_system, Backward(eps=0.05), variables)


def tolerances_swept(variables: int) -> tuple[float, float]:
    """Five tolerances for the same system."""
    from symlump.tolerances.sweep import sweep

    ode, _, _ = made_apart(backward_system, variables)
    return watch_task(lambda: sweep(ode, [0, 0.01, 0.02, 0.05, 0.1], Backward()), repeated=False)


def chain_simulated(states: int) -> tuple[float, float]:
    """A hundred times of a planted chain, from a single state."""
    from symlump.ode.simulate import simulate

    ode, _, _ = made_apart(chain_with_label, states)
    start = np.zeros(states)
    start[0] = 1.0
    times = np.linspace(0, 1e-3, 100)
    return watch_task(lambda: simulate(ode, start, times, method="RK45", rtol=1e-6), repeated=False)


def equations_written(variables: int) -> tuple[float, float]:
    """The quadratic system as an ``.ode`` file."""
    from symlump.formats import write

    ode, _, _ = made_apart(backward_system, variables)
    with tempfile.TemporaryDirectory() as folder:
        return watch_task(lambda: write(ode, Path(folder) / "model.ode"), repeated=False)


def network_encoded(weights: int) -> tuple[float, float]:
    """The terms of a network's differential equation: so many weights in three layers."""
    from symlump.network.encode import encode

    network = network_of_weights(weights)
    return watch_task(lambda: encode(network))


def network_compressed(weights: int) -> tuple[float, float]:
    """The same network by AFDE to 40 %."""
    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE

    network = network_of_weights(weights)
    compress(network_of_weights(300), AFDE(retain=0.4))  # what is done once in a process
    return watch_task(lambda: compress(network, AFDE(retain=0.4)), repeated=False)


def network_bounded(weights: int) -> tuple[float, float]:
    """A certified bound of what AFDE to 50 % changes, on a box."""
    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE

    method, found = AFDE(retain=0.5), []
    result = compress(network_of_weights(weights), method)
    compress(network_of_weights(300), method).bound((-1, 1))  # what is done once in a process
    figures = watch_task(lambda: found.append(result.bound((-1, 1))), repeated=False)
    assert (found[0].intervals > 0).all()
    return figures


def reduction_explained(weights: int) -> tuple[float, float]:
    """What AFDE to 50 % did to the network, read off the two networks."""
    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE
    from symlump.compression.relaxed.explain_reduction import explain_reduction

    network = network_of_weights(weights)
    small = compress(network, AFDE(retain=0.5)).network
    return watch_task(lambda: explain_reduction(network, small))


def integrals_found(states: int) -> tuple[float, float]:
    """The conserved sum of a planted chain, which is all that it conserves."""
    from symlump.lumping.linear.conserved import conserved

    ode, found = made_apart(chain_with_label, states)[0], []
    conserved(made_apart(chain_with_label, 20)[0])
    figures = watch_task(lambda: found.append(conserved(ode)), repeated=False)
    assert len(found[0].quotient) == 1
    return figures


def hierarchy_found(states: int) -> tuple[float, float]:
    """A maximal chain of linear lumpings of a planted chain of states."""
    from symlump.lumping.linear.hierarchy import hierarchy

    ode, found = made_apart(chain_with_label, states)[0], []
    hierarchy(made_apart(chain_with_label, 20)[0])
    figures = watch_task(lambda: found.append(hierarchy(ode)), repeated=False)
    assert found[0].dimensions[0] == 1  # their sum
    return figures


def family_found(paths: int) -> tuple[float, float]:
    """The smallest linear lumpings for all values of a parameter, the rate of every other of so many paths."""
    from symlump.lumping.linear.parametric import lump_family

    lump_family(_paths(2), "k", ["y"])
    ode, found = _paths(paths), []
    figures = watch_task(lambda: found.append(lump_family(ode, "k", ["y"])), repeated=False)
    assert found[0].dimension == 2 + (paths + 1) // 2 + (paths > 1)
    return figures


def _paths(count: int) -> ODE:
    from symlump.ode.system import ODE

    rates = ["k" if i % 2 else str(i + 2) for i in range(count)]
    between = [f"a{i}' = s - {rate}*a{i}" for i, rate in enumerate(rates)]
    arriving = " + ".join(f"{rate}*a{i}" for i, rate in enumerate(rates))
    return ODE.from_text("; ".join(["s' = -s", *between, f"y' = {arriving}"]), parameters=["k"])


def chain_read(states: int) -> tuple[float, float]:
    """A ``.tra`` file."""
    return _read(write_planted_chain, "chain.tra", states)


def reactions_read(count: int) -> tuple[float, float]:
    """An ``.ode`` file of reactions."""
    return _read(write_reactions, "model.ode", count)


def sbml_read(variables: int) -> tuple[float, float]:
    """The quadratic system as SBML."""
    return _read(_write_system, "model.xml", variables)


def _write_system(variables: int, path: Path) -> None:
    from symlump.formats import write

    write(backward_system(variables)[0], path)


def _read(write: Callable[[int, Path], None], name: str, size: int) -> tuple[float, float]:
    from symlump.formats import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        apart(write, size, path)
        return watch_task(lambda: read(path))


#: Those whose sizes are measured in one process.
_KEPT: Mapping[str, Task] = {**SYSTEM_TASKS, **NETWORK_TASKS, **MODULE_TASKS, **PICTURE_TASKS}

TASKS: Mapping[str, Task] = {
    "forward": (chain_lumped, 50_000, 1_000),
    "backward": (system_lumped, 50_000, 1_000),
    "chain": (worst_case, 12_500, 250),
    "certificate": (certificate_written, 5_000, 500),
    "check": (certificate_checked, 5_000, 500),
    "explain": (pair_explained, 10_000, 500),
    "tolerance": (tolerance_lumped, 2_500, 500),
    "sweep": (tolerances_swept, 1_000, 250),
    "simulate": (chain_simulated, 40_000, 500),
    "write": (equations_written, 5_000, 500),
    "tra": (chain_read, 50_000, 1_000),
    "reactions": (reactions_read, 50_000, 1_000),
    "sbml": (sbml_read, 1_000, 100),
    "conserved": (integrals_found, 5_000, 50),
    "hierarchy": (hierarchy_found, 10, 20),
    "family": (family_found, 8, 4),
    "encode": (network_encoded, 100_000, 3_000),
    "compress": (network_compressed, 500_000, 3_000),
    "bound": (network_bounded, 3_000, 600),
    "reduction": (reduction_explained, 500_000, 3_000),
    **_KEPT,
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
