"""The same Markov chain by Storm, a probabilistic model checker, where its Python package is installed."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from symlump.bench.speed.rows import EngineRow, apart, median_time
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
    what, seconds = _lumped(states, "peak memory", quotient=False)
    ours = peak_memory() / 2**20
    theirs = apart(storm_alone, states)
    if theirs is None:
        return _alone(what, seconds, 2.0)
    return EngineRow(what, seconds, f"Storm, {theirs[1]:.0f} MB", ours / theirs[1], "×", 2.0)


def _in_seconds(states: int, what: str, quotient: bool) -> EngineRow:
    what, seconds = _lumped(states, what, quotient)
    theirs = apart(storm_alone, states)
    if theirs is None:
        return _alone(what, seconds, 1.0)
    return EngineRow(what, seconds, f"Storm, {theirs[0]:.3f} s", seconds / theirs[0], "×", 1.0)


def _alone(what: str, seconds: float, reach: float) -> EngineRow:
    return EngineRow(what, seconds, "stormpy is not installed", None, "×", reach)


def _lumped(states: int, what: str, quotient: bool) -> tuple[str, float]:
    """What the row is called, and our seconds."""
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition
    from symlump.lumping.refinement.refine import coarsest

    ode, planted, labels = made_apart(chain_with_label, states)
    initial = Partition(labels)
    found: list[Partition] = []
    if quotient:
        seconds = median_time(lambda: found.append(lump(ode, Forward(), initial).partition))
    else:
        seconds = median_time(lambda: found.append(coarsest(ode, Forward(), initial)[0]))
    assert set(found) == {Partition(planted)}
    return f"Markov chain, {states} states → {len(found[0])} blocks, {what}", seconds


def storm_alone(states: int) -> tuple[float, float] | None:
    """Seconds of Storm's strong bisimulation of the same chain, and megabytes of its process."""
    if find_spec("stormpy") is None:
        return None
    import stormpy
    from stormpy.transformations import perform_bisimulation

    with tempfile.TemporaryDirectory() as folder:
        chain, label = Path(folder) / "chain.tra", Path(folder) / "chain.lab"
        blocks = apart(write_for_storm, states, chain, label)
        model = stormpy.build_model_from_explicit(str(chain), str(label))
    asked = stormpy.parse_properties('P=? [ F "here" ]')
    sizes = []
    seconds = median_time(lambda: sizes.append(perform_bisimulation(model, asked).nr_states))
    assert set(sizes) == {blocks}
    return seconds, peak_memory() / 2**20


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
