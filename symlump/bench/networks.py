"""How fast wide networks are encoded and compressed: beside a copy of their weights, and their SVD."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from symlump.memory import peak_memory, resident_memory

if TYPE_CHECKING:
    from symlump.network.network import Network

_LAYERS = 3


@dataclass(frozen=True)
class WideRow:
    """One task on a network of three weight matrices n × n.

    Parameters
    ----------
    what : str
    width : int
        n.
    seconds : float
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
    yardstick: str
    ratio: float
    reach: float
    peak: float


def encoding(width: int) -> WideRow:
    """The terms of the differential equation, as arrays."""
    from symlump.network.encode import encode

    network = _network(width)
    weights = [layer.weight for layer in network.layers]
    copy = min(_seconds(lambda: [weight.copy() for weight in weights]) for _ in range(3))
    before = resident_memory() or peak_memory()
    seconds = min(_seconds(lambda: encode(network)) for _ in range(3))
    peak = (peak_memory() - before) / sum(weight.nbytes for weight in weights)
    return WideRow("encode", width, seconds, "one copy of the weights", seconds / copy, 20.0, peak)


def compressing(width: int, relative_to: str | None = None) -> WideRow:
    """AFDE to half of the parameters, in one unit of distances, or in the best of three."""
    import torch

    from symlump.compression.compress import compress
    from symlump.compression.merging.afde import AFDE

    network = _network(width)
    weights = [layer.weight for layer in network.layers]
    before = resident_memory() or peak_memory()
    method = AFDE(retain=0.5, relative_to=relative_to)
    seconds = _seconds(lambda: compress(network, method))
    peak = (peak_memory() - before) / sum(weight.nbytes for weight in weights)
    matrices = [torch.from_numpy(weight.astype(np.float32)) for weight in weights]
    svd = _seconds(lambda: [torch.linalg.svd(matrix) for matrix in matrices])
    what = f"AFDE, 50 %, {'three units' if relative_to is None else 'one unit'}"
    return WideRow(what, width, seconds, "torch.linalg.svd of them", seconds / svd, 1.0, peak)


def measure(width: int) -> list[WideRow]:
    """All rows, each in a process of its own."""
    rows = []
    for task in (encoding, partial(compressing, relative_to="output"), compressing):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            rows.append(pool.submit(task, width).result())
    return rows


def _network(width: int) -> Network:
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
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


HEADER = ("task", "width", "seconds", "measured", "target", "peak / weights", "yardstick")


def cells(row: WideRow) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.what,
        str(row.width),
        f"{row.seconds:.2f}",
        f"{row.ratio:.2f} ×",
        f"≤ {row.reach:g}",
        f"{row.peak:.1f}",
        row.yardstick,
    )
