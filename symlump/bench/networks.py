"""How fast wide networks are encoded and compressed: beside a copy of their weights, and their SVD."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.bench.speed.rows import apart, time_call
from symlump.memory import peak_memory, resident_memory

if TYPE_CHECKING:
    from symlump.compression.reduction import CompressionMethod
    from symlump.network.network import Network

_LAYERS = 3
#: The widths that are measured where none is asked for, and that the targets are meant for.
WIDTHS = (256, 512, 1024, 2048)
#: Up to which widths dependence and hierarchical matrices are measured.
_DEPENDENCE = 1024


@dataclass(frozen=True)
class WideRow:
    """One task on a network of three weight matrices n × n.

    Parameters
    ----------
    what : str
    width : int
        n.
    seconds : float
        Of the processor, the least of a few runs.
    spread : float
        The most of them by the least.
    yardstick : str
    ratio : float
        Seconds by those of the yardstick, in the same process.
    reach : float
        The target.
    peak : float
        Memory of the process at its peak beyond that before the task, by the float64 weights.
    """

    what: str
    width: int
    seconds: float
    spread: float
    yardstick: str
    ratio: float
    reach: float
    peak: float

    @property
    def judged(self) -> bool:
        """Whether the target is meant for this width."""
        return self.width in WIDTHS

    @property
    def reached(self) -> bool | None:
        """True if the target is met; None at widths that no target is meant for.

        Examples
        --------
        >>> [WideRow("a", n, 1.0, 1.0, "b", 3.0, 2.0, 1.0).reached for n in (256, 128)]
        [False, None]
        """
        return self.ratio <= self.reach if self.judged else None

    @property
    def peak_mb(self) -> float:
        """That memory in MB."""
        return self.peak * _LAYERS * self.width**2 * 8 / 2**20


def encoding(width: int) -> WideRow:
    """The terms of the differential equation, as arrays."""
    from symlump.network.encode import encode

    network = random_network(width)
    weights = [layer.weight for layer in network.layers]
    encode(random_network(16))  # what is done once in a process
    before = resident_memory() or peak_memory()
    taken, copies = [_seconds(lambda: encode(network))], []
    peak = (peak_memory() - before) / sum(weight.nbytes for weight in weights)
    for _ in range(9):  # by turns: both have memory to ask for
        copies.append(_seconds(lambda: [weight.copy() for weight in weights]))
        taken.append(_seconds(lambda: encode(network)))
    return _row("encode", width, taken, "one copy of the weights", min(copies), 20.0, peak)


def merging(width: int, retain: float, relative_to: str | None = None) -> WideRow:
    """AFDE to a share of the parameters, in one unit of distances, or in the best of three."""
    from symlump.compression.merging.afde import AFDE

    units = "three units" if relative_to is None else "one unit"
    method = AFDE(retain=retain, relative_to=relative_to)
    return _compressing(width, f"AFDE, {100 * retain:g} %, {units}", method, 1.5)


def eliminating(width: int, retain: float) -> WideRow:
    """Dependence to a share of the parameters."""
    from symlump.compression.dependences.dependence import Dependence

    return _compressing(width, f"Dependence, {100 * retain:g} %", Dependence(retain=retain), 5.0)


def dividing(width: int) -> WideRow:
    """Hierarchical within a tenth; of random weights hardly any block has a low rank, which has to be found."""
    from symlump.compression.hierarchical.method import Hierarchical

    return _compressing(width, "Hierarchical, ε = 0.1", Hierarchical(eps=0.1), 5.0)


def _compressing(width: int, what: str, method: CompressionMethod, reach: float) -> WideRow:
    import torch

    from symlump.compression.compress import compress

    network = random_network(width)
    weights = [layer.weight for layer in network.layers]
    compress(random_network(16), method)  # what is done once in a process
    before = resident_memory() or peak_memory()
    taken = [_seconds(lambda: compress(network, method))]
    peak = (peak_memory() - before) / sum(weight.nbytes for weight in weights)
    matrices = [torch.from_numpy(weight.astype(np.float32)) for weight in weights]
    svd = []
    for _ in range(2 if width > 1024 else 5 if width > 256 else 15):  # by turns
        svd.append(_seconds(lambda: [torch.linalg.svd(matrix) for matrix in matrices]))
        taken.append(_seconds(lambda: compress(network, method)))
    return _row(what, width, taken, "torch.linalg.svd of them", min(svd), reach, peak)


def tasks(widths: Sequence[int], retain: float) -> list[Callable[[], WideRow]]:
    """What is measured; not what takes many minutes.

    Examples
    --------
    >>> len(tasks([256], 0.4)), len(tasks([2048], 0.4))
    (5, 3)
    """
    found: list[Callable[[], WideRow]] = []
    for width in widths:
        found += [
            partial(encoding, width),
            partial(merging, width, retain, relative_to="output"),
            partial(merging, width, retain),
        ]
        if width <= _DEPENDENCE:
            found += [partial(eliminating, width, retain), partial(dividing, width)]
    return found


def measure(chosen: Sequence[Callable[[], WideRow]]) -> Iterator[WideRow]:
    """All rows, one after the other, each in a process of its own."""
    for task in chosen:
        yield apart(task)


def _row(
    what: str,
    width: int,
    taken: list[float],
    yardstick: str,
    other: float,
    reach: float,
    peak: float,
) -> WideRow:
    least = min(taken)
    spread = max(taken) / least
    return WideRow(what, width, least, spread, yardstick, least / other, reach, peak)


def random_network(width: int) -> Network:
    """Three weight matrices, float32, tanh."""
    from symlump.network.network import Network

    rng = np.random.default_rng(0)
    return Network.dense(
        [
            (rng.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
            for _ in range(_LAYERS)
        ],
        [np.zeros(width)] * _LAYERS,
        "tanh",
        dtype="float32",
    )


def _seconds(task: Callable[[], object]) -> float:
    return max(time_call(task), 1e-9)


HEADER = (
    "task",
    "width",
    "seconds",
    "max/min",
    "measured",
    "target",
    "reached",
    "peak / weights",
    "peak, MB",
    "yardstick",
)


def cells(row: WideRow) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.what,
        str(row.width),
        f"{row.seconds:.3g}",
        f"{row.spread:.2f}",
        f"{row.ratio:.2f} ×",
        f"≤ {row.reach:g}" if row.judged else "–",
        {True: "yes", False: "no", None: "–"}[row.reached],
        f"{row.peak:.1f}",
        f"{row.peak_mb:.0f}",
        row.yardstick,
    )


TABLE = KeptTable("networks", WideRow, HEADER, cells, ("what", "width"), ("reached", "peak_mb"))
