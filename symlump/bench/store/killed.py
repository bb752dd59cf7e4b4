"""The same chain on a cluster of this machine's processes, one of which is killed in the middle."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symlump.bench.store.chain import PlantedChain
from symlump.bench.store.measure import compare_step, write_step
from symlump.errors import MissingExtraError
from symlump.lumping.forward import Forward
from symlump.store.engine import memory_bytes
from symlump.store.lump_store import lump_store
from symlump.store.opening import read_store


@dataclass(frozen=True)
class ClusterRow:
    """One size.

    Parameters
    ----------
    transitions, states, blocks : int
    planted : bool
        Whether the blocks found are the planted ones.
    workers : int
    killed : bool
        Whether one of them was killed while a round was made.
    tasks, again : int
        What the workers did, and how much of it because results were lost with the one that was killed.
    lump : float
        Seconds, with the quotient.
    rounds : int
    """

    transitions: int
    states: int
    blocks: int
    planted: bool
    workers: int
    killed: bool
    tasks: int
    again: int
    lump: float
    rounds: int


def measure_cluster(
    transitions: int, folder: Path, memory: int | str, workers: int = 2, seed: int = 0
) -> ClusterRow:
    """Lump a planted chain by the workers of a cluster, one of which is killed in the second round.

    Parameters
    ----------
    transitions : int
    folder : Path
        It is empty afterwards.
    memory : int or str
        What each worker, and the process that compares, may take.
    workers, seed : int

    Raises
    ------
    MissingExtraError
        If ``distributed`` is not installed.
    """
    try:
        from distributed import LocalCluster
    except ImportError:
        raise MissingExtraError("a cluster needs Dask: pip install 'symlump[dask]'") from None
    chain, size = PlantedChain(transitions // 10, seed), memory_bytes(memory)
    source, quotient = folder / "chain", folder / "quotient"
    try:
        write_step(str(source), str(chain.states), str(seed))
        store = read_store(source)
        with LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=size,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            local_directory=str(folder / "workers"),
        ) as cluster:
            cluster.wait_for_workers(workers)
            done = _counted(cluster.scheduler)
            end, killed = threading.Event(), threading.Event()
            killer = threading.Thread(target=_kill_one, args=(cluster, folder, end, killed))
            killer.start()
            try:
                start = time.perf_counter()
                address = cluster.scheduler_address
                found = lump_store(store, Forward(), quotient, memory=size, scheduler=address)
                seconds = time.perf_counter() - start
            finally:
                end.set()
                killer.join()
        same = compare_step(str(quotient), str(chain.states), str(seed))
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)
    return ClusterRow(
        chain.transitions,
        chain.states,
        found.blocks,
        same["planted"],
        workers,
        killed.is_set(),
        len(done),
        len(done) - len(set(done)),
        seconds,
        found.rounds,
    )


def _kill_one(cluster: Any, folder: Path, end: threading.Event, killed: threading.Event) -> None:
    """Kill a worker when the second round has begun."""
    process = next(iter(cluster.workers.values())).process.process
    while not end.wait(0.02):
        if any(folder.glob("*/cluster/blocks3/*.parquet")):
            os.kill(process.pid, signal.SIGKILL)
            killed.set()
            return


def _counted(scheduler: Any) -> list[Any]:
    """The keys of the tasks whose results a scheduler gets, as they come."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    keys: list[Any] = []

    class Tasks(SchedulerPlugin):
        def transition(self, key: Any, start: str, finish: str, *args: Any, **more: Any) -> None:
            if (start, finish) == ("processing", "memory"):
                keys.append(key)

    scheduler.add_plugin(Tasks(), name="tasks")
    return keys
