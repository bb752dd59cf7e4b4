"""What a sweep over twenty tolerances costs, in compressions of one network and lumpings of one system."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE
from symlump.datasets.systems import h_tree
from symlump.lumping.backward import Backward
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.network.activations.table import activation
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Flatten, Input, Node
from symlump.tolerances.sweep import sweep

#: Half of the size: what one compression, or one lumping, is asked for.
_HALF = 0.5
_TOLERANCES = 20


@dataclass(frozen=True)
class TimedSweep:
    """One method on one subject.

    Parameters
    ----------
    subject, method : str
    spacing : str
        How the tolerances lie between 0 and the one that merges everything.
    one : float
        Seconds of the processor for one compression to half of the size.
    ratio : float
        Of the sweep's seconds to these.
    """

    subject: str
    method: str
    spacing: str
    one: float
    ratio: float


def measure(quick: bool = False, seed: int = 0) -> Iterator[TimedSweep]:
    """The rows, one after the other."""
    width, depth, channels, runs = (32, 5, 4, 1) if quick else (256, 8, 12, 3)
    generator = np.random.default_rng(seed)
    shapes = ((width, 4), (width, width), (1, width))
    weights = [generator.standard_normal(shape) / np.sqrt(shape[1]) for shape in shapes]
    biases = [generator.standard_normal(shape[0]) for shape in shapes]
    network, tree = Network.dense(weights, biases, "tanh"), h_tree(depth, 0.01)
    convolutions = _convolutions(channels, generator)
    samples = generator.standard_normal((3000, 4))
    for about, method in (
        ("AFDE, function", AFDE(retain=_HALF)),
        ("AFDE, function, sums", AFDE(retain=_HALF, refit=False)),
        ("AFDE, function, samples", AFDE(retain=_HALF, inputs=samples)),
        ("AFDE, function, one unit", AFDE(retain=_HALF, relative_to="output")),
        ("AFDE, coefficients", AFDE(retain=_HALF, distance="coefficients")),
    ):
        yield from _rows((f"4–{width}–{width}–1, tanh", about), network, method, compress, runs)
        if "samples" not in about:
            name = f"{channels}, {2 * channels}, {2 * channels} channels", about
            yield from _rows(name, convolutions, method, compress, runs)
    for equivalence in (Forward(retain=_HALF), Backward(retain=_HALF)):
        name = f"H-tree of {depth} levels", f"{equivalence.direction} equivalence"
        yield from _rows(name, tree, equivalence, lump, runs)


def _convolutions(channels: int, generator: np.random.Generator) -> Network:
    """Three convolutions of pictures of 16 × 16, and a dense layer."""
    nodes: list[Node] = [Input("x", (), (1, 16, 16))]
    for number, (given, made) in enumerate(
        ((1, channels), (channels, 2 * channels), (2 * channels, 2 * channels))
    ):
        weight = generator.standard_normal((made, given, 3, 3)) / np.sqrt(9 * given)
        bias = generator.standard_normal(made) / 10
        step = (1, 1) if number == 0 else (2, 2)
        layer = Affine(f"c{number}", (nodes[-1].name,), weight, bias, step, (1, 1), (1, 1))
        nodes += [layer, Apply(f"h{number}", (layer.name,), activation("relu"))]
    head = generator.standard_normal((10, 2 * channels * 16)) / np.sqrt(2 * channels * 16)
    nodes += [
        Flatten("flat", (nodes[-1].name,)),
        Affine("head", ("flat",), head, None),
    ]
    return Network(tuple(nodes), ("head",))


def _rows(
    names: tuple[str, str], subject: Any, method: Any, verb: Callable[[Any, Any], Any], runs: int
) -> Iterator[TimedSweep]:
    top = method.plan(subject).tolerances()[-1]
    one = _least(partial(verb, subject, method), runs)
    even = np.linspace(0, top, _TOLERANCES)
    logarithmic = np.append(0.0, np.geomspace(top / 1000, top, _TOLERANCES - 1))
    for spacing, tolerances in (("even", even), ("logarithmic", logarithmic)):
        taken = _least(partial(sweep, subject, tolerances, method), runs)
        yield TimedSweep(*names, spacing, one, taken / one)


def _least(work: Callable[[], Any], runs: int) -> float:
    """Seconds of the processor, the least of a few runs: the first has memory to ask for."""
    return min(_seconds(work) for _ in range(runs))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


#: What a sweep should cost at most, in compressions.
REACH = 2.0
HEADER = ("subject", "method", "20 tolerances", "one, s", "measured", "target", "reached")


def cells(row: TimedSweep) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.subject,
        row.method,
        row.spacing,
        f"{row.one:.3g}",
        f"{row.ratio:.2f} ×",
        f"≤ {REACH:g}",
        "yes" if row.ratio <= REACH else "no",
    )


TABLE = KeptTable("sweeps", TimedSweep, HEADER, cells, ("subject", "method", "spacing"))
