"""The same Markov chain by Storm, a probabilistic model checker, where its Python package is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from symlump.bench.speed.rows import EngineRow, apart, median_time, median_times
from symlump.bench.speed.stored import chain_with_label, made_apart
from symlump.files import write_text
from symlump.memory import peak_memory
from symlump.ode.exact import IntArray
from symlump.ode.polynomial import PolynomialODE


def against_storm(states: int) -> EngineRow:
    """The coarsest lumping of a planted chain, with the exact comparison, against strong bisimulation."""
    return _in_seconds(states, "exact comparison", quotient=False)


def quotient_against_storm(states: int) -> EngineRow:
    """The same with the quotient, which Storm makes in any case."""
    return _in_seconds(states, "exact comparison and quotient", quotient=True)


def memory_against_storm(states: int) -> EngineRow:
    """The peak memory of a process that does this, against that of Storm's."""
    task, what = _ours(states, quotient=False)
    seconds = median_time(task)
    ours, what = peak_memory() / 2**20, f"{what}, peak memory"
    theirs = apart(storm_alone, states)
    if theirs is None:
        return _alone(what, seconds, 2.0)
    return EngineRow(what, seconds, f"Storm, {theirs:.0f} MB", ours / theirs, "×", 2.0)


def _in_seconds(states: int, compared: str, quotient: bool) -> EngineRow:
    """Both in one process, by turns."""
    ours, what = _ours(states, quotient)
    what = f"{what}, {compared}"
    peak = round(peak_memory() / 2**20)  # before Storm
    with tempfile.TemporaryDirectory() as folder:
        theirs = _theirs(states, Path(folder))
        if theirs is None:
            return replace(_alone(what, median_time(ours), 1.0), peak_mb=peak)
        seconds, yardstick = median_times(ours, theirs)
    named = f"Storm, {yardstick:.4f} s"
    return EngineRow(what, seconds, named, seconds / yardstick, "×", 1.0, peak_mb=peak)


def _alone(what: str, seconds: float, reach: float) -> EngineRow:
    return EngineRow(what, seconds, "stormpy is not installed", None, "×", reach)


def _ours(states: int, quotient: bool) -> tuple[Callable[[], object], str]:
    """Our lumping of the chain, once compared with the planted one, and what the row is called."""
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.refine import coarsest

    ode, blocks, labels = made_apart(chain_with_label, states)
    initial, planted = Partition(labels), Partition(blocks)

    def task() -> Partition:
        if quotient:
            return lump(ode, Forward(), initial).partition
        return coarsest(ode, Forward(), initial)[0]

    assert task() == planted
    return task, f"Markov chain, {states} states → {len(planted)} blocks"


def _theirs(states: int, folder: Path) -> Callable[[], object] | None:
    """Storm's strong bisimulation of the same chain; None where Storm is not installed."""
    if find_spec("stormpy") is None:
        return None
    import stormpy
    from stormpy.transformations import perform_bisimulation

    chain, label = folder / "chain.tra", folder / "chain.lab"
    blocks = apart(write_for_storm, states, chain, label)
    model = stormpy.build_model_from_explicit(str(chain), str(label))
    asked = stormpy.parse_properties('P=? [ F "here" ]')

    assert perform_bisimulation(model, asked).nr_states == blocks
    return lambda: perform_bisimulation(model, asked)


def storm_alone(states: int) -> float | None:
    """Megabytes of a process in which Storm does this."""
    with tempfile.TemporaryDirectory() as folder:
        task = _theirs(states, Path(folder))
        if task is None:
            return None
        median_time(task)
    return peak_memory() / 2**20


def write_for_storm(states: int, chain: Path, label: Path) -> int:
    """Write a planted chain as explicit files; the number of its blocks.

    Storm compares the rates into a state's own block, too, which a lumping of a chain in continuous time may
    leave open. Rates of states to themselves, which change nothing, make them equal.
    """
    ode, planted, labels = chain_with_label(states)
    start, stop, rate = transitions(ode)
    away = np.bincount(start, rate, states).astype(np.int64)
    most = np.zeros(states, dtype=np.int64)
    np.maximum.at(most, planted, away)
    loop = most[planted] - away
    own = np.flatnonzero(loop)
    write_chain(
        chain,
        np.concatenate([start, own]),
        np.concatenate([stop, own]),
        np.concatenate([rate, loop[own]]),
    )
    marked = np.flatnonzero(labels == labels[0]).tolist()
    lines = [f"{k} {'init ' if k == 0 else ''}here" for k in marked]
    write_text(label, "\n".join(["#DECLARATION", "init here", "#END", *lines, ""]))
    return int(planted.max()) + 1


def transitions(ode: PolynomialODE) -> tuple[IntArray, IntArray, IntArray]:
    """Where transitions of a chain with whole rates start and stop, and their rates."""
    start, stop = ode.monomials.variables[ode.columns], ode.rows
    between = start != stop
    return start[between], stop[between], ode.coefficients.numerators[between]


def write_chain(path: Path, start: IntArray, stop: IntArray, rate: IntArray) -> None:
    """Write transitions as Storm reads them, in the order of their states."""
    order = np.lexsort((stop, start))
    columns = (part[order].tolist() for part in (start, stop, rate))
    lines = [f"{i} {j} {value}" for i, j, value in zip(*columns, strict=True)]
    write_text(path, "\n".join(["ctmc", *lines, ""]))
