"""Write, lump, compare, sort: each in a process of its own under one limit of memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symlump.bench.store.chain import PlantedChain
from symlump.errors import FailureError
from symlump.memory import peak_memory
from symlump.store.engine import engine, memory_bytes
from symlump.store.opening import read_head, read_store
from symlump.store.writing import write_store

#: The ratio to reach.
REACH = 6.0


@dataclass(frozen=True)
class StoreRow:
    """One size.

    Parameters
    ----------
    transitions, states, blocks : int
    planted : bool
        Whether the blocks found are the planted ones.
    store_bytes, disk_bytes : int
        Of the system; at most beside it, while it was lumped.
    write, read, lump, sort : float
        Seconds: writing the store, looking through it, lumping it with its quotient written, one sort of
        its terms.
    peak : int
        The most memory that lumping took, as resident bytes.
    limit : int
        The limit, as RLIMIT_DATA.
    rounds : int
    """

    transitions: int
    states: int
    blocks: int
    planted: bool
    store_bytes: int
    disk_bytes: int
    write: float
    read: float
    lump: float
    sort: float
    peak: int
    limit: int
    rounds: int

    @property
    def ratio(self) -> float:
        """Lumping against one external sort."""
        return self.lump / self.sort

    @property
    def reached(self) -> bool:
        """Whether blocks are right and the ratio is reached."""
        return self.planted and self.ratio <= REACH


def measure(transitions: int, folder: Path, memory: int | str, seed: int = 0) -> StoreRow:
    """Measure one size in a folder, which is empty afterwards.

    Raises
    ------
    FailureError
        If a step fails.
    """
    chain = PlantedChain(transitions // 10, seed)
    limit = memory_bytes(memory)
    source, quotient = folder / "chain", folder / "quotient"
    try:
        write = run_step("write", [str(source), str(chain.states), str(seed)], limit)
        lump = run_step("lump", [str(source), str(quotient), str(limit)], limit, watched=folder)
        sort = run_step("sort", [str(source), str(limit)], limit)
        same = run_step("compare", [str(quotient), str(chain.states), str(seed)], limit)
    finally:
        for path in (source, quotient):
            shutil.rmtree(path, ignore_errors=True)
    return StoreRow(
        chain.transitions,
        chain.states,
        lump["blocks"],
        same["planted"],
        write["bytes"],
        lump["disk"],
        write["seconds"],
        lump["read"],
        lump["seconds"],
        sort["seconds"],
        lump["peak"],
        limit,
        lump["rounds"],
    )


def run_step(
    name: str,
    arguments: Sequence[str],
    limit: int,
    watched: Path | None = None,
    module: str = "symlump.bench.store.measure",
) -> dict[str, Any]:
    """Run a step of a module in a process that may take ``limit`` bytes of data; what it says.

    Raises
    ------
    FailureError
        With the last line that the process said, if it failed.
    """

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    disk, done = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(watched, disk, done))
    if watched is not None:
        before = _size(watched)
        watcher.start()
    try:
        run = subprocess.run(
            [sys.executable, "-m", module, name, *arguments],
            preexec_fn=limited,
            capture_output=True,
            text=True,
        )
    finally:
        done.set()
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        # An allocator that is refused memory says so first, and much else after that.
        last = next((line for line in lines if "memory allocation" in line), lines[-1])
        raise FailureError(f"the step {name!r} under a limit of {limit} bytes failed: {last}")
    said: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    if watched is not None:
        watcher.join()
        said["disk"] = disk[0] - before
    return said


def _watch(folder: Path | None, most: list[int], done: threading.Event) -> None:
    while folder is not None and not done.wait(0.5):
        most[0] = max(most[0], _size(folder))


def _size(folder: Path) -> int:
    """Bytes on disk of what is in a folder."""
    total = 0
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.stat(os.path.join(root, file)).st_blocks * 512
            except OSError:  # it was temporary
                continue
    return total


def write_step(path: str, states: str, seed: str) -> dict[str, Any]:
    """Write the chain."""
    chain = PlantedChain(int(states), int(seed))
    start = time.perf_counter()
    store = write_store(path, chain.terms(), chain.states, parts=chain.parts(), name="planted")
    return {"seconds": time.perf_counter() - start, "bytes": store.size}


def lump_step(path: str, output: str, memory: str) -> dict[str, Any]:
    """Lump it on disk."""
    from symlump.lumping.forward import Forward
    from symlump.store.lump_store import lump_store

    start = time.perf_counter()
    store = read_store(path)
    read = time.perf_counter() - start
    found = lump_store(store, Forward(), output, memory=int(memory), place="disk")
    return {
        "seconds": found.seconds,
        "read": read,
        "blocks": found.blocks,
        "rounds": found.rounds,
        "peak": peak_memory(),
    }


def sort_step(path: str, memory: str) -> dict[str, Any]:
    """Sort the terms by row and monomial, by the same engine under the same limit, into a table."""
    store = read_head(Path(path))
    with engine(store.path.parent, int(memory)) as db:
        start = time.perf_counter()
        db.table("sorted", f"select * from {store.sql('terms')} order by row, monomial")
        return {"seconds": time.perf_counter() - start}


def compare_step(path: str, states: str, seed: str) -> dict[str, Any]:
    """Whether the blocks are the planted ones: each is inside one of those, and there are as many."""
    chain = PlantedChain(int(states), int(seed))
    quotient = read_store(path)
    pairs = set()
    with engine(Path(path).parent, memory_bytes("1GB")) as db:
        order = f"select block from {quotient.sql('blocks')} order by variable"
        found = db.arrays(order)["block"]
    for first in range(0, chain.states, 1_000_000):
        places = np.arange(first, min(chain.states, first + 1_000_000))
        both = np.unique(found[places] * chain.blocks + chain.block_of(places))
        pairs.update(both.tolist())
    return {
        "planted": len(found) == chain.states and len(pairs) == chain.blocks == quotient.variables
    }


if __name__ == "__main__":
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "write": write_step,
        "lump": lump_step,
        "sort": sort_step,
        "compare": compare_step,
    }
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:])))
