"""Verbs on systems at growing sizes, for :mod:`symlump.bench.speed.growth`: seconds and megabytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.speed.rows import Figures, Task, watch_task
from symlump.bench.speed.stored import Made, backward_system, chain_with_label
from symlump.lumping.backward import Backward
from symlump.lumping.forward import Forward

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping
    from symlump.ode.system import ODE


def network_integrals(enzymes: int) -> Figures:
    """What a ring of enzymes conserves, each made active by the one before: two sums an enzyme."""
    from symlump.lumping.linear.conserved import conserved
    from symlump.ode.polynomial import PolynomialODE

    reactions: list[tuple[dict[str, int], dict[str, int], int]] = []
    for i in range(enzymes):
        j = (i + 1) % enzymes
        reactions += [
            ({f"P{i}": 1, f"S{j}": 1}, {f"C{j}": 1}, 2),
            ({f"C{j}": 1}, {f"P{i}": 1, f"P{j}": 1}, 3),
            ({f"F{j}": 1, f"P{j}": 1}, {f"D{j}": 1}, 5),
            ({f"D{j}": 1}, {f"F{j}": 1, f"S{j}": 1}, 7),
        ]
    ode, found = PolynomialODE.from_reactions(reactions), []
    figures = watch_task(lambda: found.append(conserved(ode)), repeated=False)
    assert len(found[0].quotient) == 2 * enzymes
    return figures


def observable_kept(states: int, eps: float = 0.0) -> Figures:
    """The smallest linear lumping that keeps the sum of a block of a planted chain; or within a tolerance."""
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    ode, planted, labels = chain_with_label(states)
    keep = {ode.variables[i]: 1 for i in np.flatnonzero(labels)}
    found: list[int] = []
    figures = watch_task(
        lambda: found.append(len(lump(ode, Constrained([keep], eps=eps)))), repeated=False
    )
    blocks = len(set(planted.tolist()))
    assert blocks / 2 < found[0] < blocks if eps else found[0] == blocks
    return figures


def conditions_found(variables: int) -> Figures:
    """What the parameters of a cascade must fulfil for a partition, two parameters a variable."""
    from symlump.lumping.conditions import conditions

    ode, pairs, _ = _pairs(variables)
    return watch_task(lambda: conditions(ode, pairs), repeated=False)


def parameters_moved(variables: int) -> Figures:
    """The nearest parameters for which pairs of variables are equal."""
    from symlump.lumping.tolerance.parameters import nearest_parameters

    ode, pairs, values = _pairs(variables)
    found: list[Fraction] = []
    figures = watch_task(
        lambda: found.append(nearest_parameters(ode, pairs, Forward(), values).values["k0"]),
        repeated=False,
    )
    assert 2 * found[0] == values["k0"] + values["k1"]
    return figures


def _pairs(variables: int) -> tuple[ODE, list[list[str]], dict[str, int]]:
    from symlump.ode.system import ODE

    values = {f"k{i}": i % 7 + 1 for i in range(variables)}
    lines = [f"x{i}' = -k{i}*x{i}" for i in range(variables)]
    pairs = [[f"x{i}", f"x{i + 1}"] for i in range(0, variables, 2)]
    return ODE.from_text("; ".join(lines), parameters=list(values)), pairs, values


def tolerance_searched(variables: int) -> Figures:
    """The smallest tolerance at which half of the variables are left."""
    from symlump.tolerances.search import search

    ode = backward_system(variables)[0]
    return watch_task(lambda: search(ode, Backward(), retain=0.5), repeated=False)


def error_bounded(variables: int) -> Figures:
    """A certified bound of the error of a lumping within a tolerance, and what samples show."""
    from symlump.lumping.lump import lump

    ode = backward_system(variables)[0]
    lumping = lump(ode, Backward(eps=0.05))
    box = np.tile([0.0, 0.1], (variables, 1))
    return watch_task(lambda: lumping.bound(1e-3, box, samples=2), repeated=False)


def written_for_coq(states: int) -> Figures:
    """The certificate of a planted chain's lumping as a Coq file."""
    certificate = lump_chain(chain_with_label(states)).certificate()
    return watch_task(certificate.to_coq, repeated=False)


def graph_written(states: int) -> Figures:
    """A lumping's graph for Graphviz and for Mermaid."""
    from symlump.display.graph_text import to_dot, to_mermaid

    lumping = lump_chain(chain_with_label(states))
    return watch_task(lambda: (to_dot(lumping), to_mermaid(lumping)), repeated=False)


def store_written(states: int) -> Figures:
    """A chain into a folder of Parquet files."""
    from symlump.store.writing import write_store

    ode = chain_with_label(states)[0]
    with tempfile.TemporaryDirectory() as folder:
        return watch_task(lambda: write_store(Path(folder) / "store", ode), repeated=False)


def store_lumped(variables: int) -> Figures:
    """Backward equivalence of the quadratic system in such a folder, on disk."""
    from symlump.store.lump_store import lump_store
    from symlump.store.opening import read_store
    from symlump.store.writing import write_store

    ode, planted, _ = backward_system(variables)
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder) / "store", ode)
        store, found = read_store(Path(folder) / "store"), []
        figures = watch_task(
            lambda: found.append(lump_store(store, Backward(), initial="one", place="disk")),
            repeated=False,
        )
    assert found[0].blocks == len(set(planted.tolist()))
    return figures


def lump_chain(made: Made) -> Lumping:
    """Forward equivalence of a chain with labels."""
    from symlump.lumping.lump import lump
    from symlump.lumping.partition import Partition

    ode, _, labels = made
    return lump(ode, Forward(), Partition(labels))


def file_written(make: Callable[[int], Made], suffix: str, size: int) -> Figures:
    """A system as a file of some format."""
    from symlump.formats import write

    ode = make(size)[0]
    with tempfile.TemporaryDirectory() as folder:
        return watch_task(lambda: write(ode, Path(folder) / f"model{suffix}"), repeated=False)


def file_read(make: Callable[[int], Made], suffix: str, size: int) -> Figures:
    """The same, read again."""
    from symlump.formats import read, write

    ode = make(size)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        write(ode, path)
        found: list[int] = []
        figures = watch_task(lambda: found.append(len(read(path).ode)), repeated=False)
    assert found == [len(ode)]
    return figures


#: By name; all sizes are measured in one process.
SYSTEM_TASKS: Mapping[str, Task] = {
    "conserved-network": (network_integrals, 500, 50),
    "constrained": (observable_kept, 5_000, 200),
    "constrained-tolerance": (partial(observable_kept, eps=5), 500, 200),
    "search": (tolerance_searched, 1_000, 100),
    "error-bound": (error_bounded, 250, 50),
    "conditions": (conditions_found, 100, 20),
    "parameters": (parameters_moved, 100, 20),
    "coq": (written_for_coq, 500, 100),
    "graph": (graph_written, 200, 50),
    "store": (store_written, 5_000, 200),
    "store-lump": (store_lumped, 2_000, 200),
    "read-txt": (partial(file_read, backward_system, ".txt"), 500, 50),
    "read-equations": (partial(file_read, backward_system, ".ode"), 1_000, 50),
    "read-net": (partial(file_read, chain_with_label, ".net"), 1_000, 50),
    "write-txt": (partial(file_written, backward_system, ".txt"), 1_000, 50),
    "write-sbml": (partial(file_written, backward_system, ".xml"), 500, 50),
    "write-net": (partial(file_written, chain_with_label, ".net"), 1_000, 50),
    "write-tra": (partial(file_written, chain_with_label, ".tra"), 2_000, 50),
}
