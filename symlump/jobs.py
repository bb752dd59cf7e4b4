"""Many independent tasks: kept on disk, on one processor, on several, or on a cluster.

A task is a module-level function and a description of plain data. Its key is the digest of both; its result,
plain data too, is kept in a file of that name, so a run that was interrupted at any point goes on where it
was. Results are checked where they arrive, whoever made them, and again when they are read from disk, where one
that cannot be right counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symlump.errors import FailureError, MethodError, MissingExtraError
from symlump.files import make_folder, write_text

#: How often a task is given to a worker, if workers die of it.
ATTEMPTS = 3
#: Seconds to wait for a scheduler.
PATIENCE = 30
_GUARD = (
    "each process first runs the script that started it, so a script asks for processes below "
    "if __name__ == '__main__':"
)


@dataclass(frozen=True)
class Job:
    """One task.

    Parameters
    ----------
    function : callable
        Of a module, so that any process can import it; takes the description and ``extra``, returns what JSON
        can hold.
    description : dict
        Plain data that determine the result.
    extra : any
        What the function needs besides and the description already determines (the weights of a network whose
        training is described, say). It does not enter the key.

    Examples
    --------
    >>> job = Job(max, {"a": 1})
    >>> job.key == Job(max, {"a": 1}, extra="anything").key != Job(max, {"a": 2}).key
    True
    """

    function: Callable[..., Any]
    description: dict[str, Any]
    extra: Any = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Digest of function and description."""
        name = f"{self.function.__module__}.{self.function.__qualname__}"
        return digest([name, self.description])

    def run(self) -> Any:
        """The result, as JSON would give it back."""
        arguments = () if self.extra is None else (self.extra,)
        return json.loads(_canonical(self.function(self.description, *arguments)))


#: Called for each result that arrives; raises FailureError for one that cannot be right.
Check = Callable[[Job, Any], None]


def digest(data: Any) -> str:
    """SHA-256 of plain data, as 40 hexadecimal digits."""
    return hashlib.sha256(_canonical(data).encode()).hexdigest()[:40]


def file_digest(path: Path) -> str:
    """SHA-256 of what is in a file, so that the results of one that was changed meanwhile are not taken."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_jobs(
    jobs: Sequence[Job],
    cache: Path,
    workers: int = 1,
    scheduler: str | None = None,
    check: Check | None = None,
    step: Callable[[int, str], None] | None = None,
    lost: Callable[[Job], Any] | None = None,
) -> list[Any]:
    """The results of jobs, in their order; those on disk are not computed again.

    Parameters
    ----------
    jobs : sequence of Job
    cache : Path
        Folder for the results. Every one is written as soon as it is there.
    workers : int
        Processes on this machine; 1 computes in this one.
    scheduler : str, optional
        Address of a Dask scheduler (extra ``dask``), to compute on its workers instead.
    check : callable, optional
        Called with each job and its result; raises FailureError for one that cannot be right.
    step : callable, optional
        Called with the number of results so far and a remark.
    lost : callable, optional
        Gives the result of a job that keeps killing its workers, in place of an error.

    Raises
    ------
    FailureError
        If a result does not pass the check, or a task keeps killing its worker.
    MissingExtraError
        If a scheduler is named and ``distributed`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> run_jobs([Job(sorted, {"b": 1, "a": 2})], folder), len(list(folder.iterdir()))
    ([['a', 'b']], 1)
    """
    if workers < 1:
        raise MethodError(f"workers={workers}: give 1 or more")
    make_folder(cache)
    results: dict[str, Any] = {}
    for job in jobs:
        stored = _stored(job, cache)
        if stored is not None:
            with suppress(FailureError):  # one that cannot be right is computed again
                if check is not None:
                    check(job, stored)
                results[job.key] = stored
    missing = list({job.key: job for job in jobs if job.key not in results}.values())
    done = len(jobs) - len(missing)
    if step is not None:
        step(done, "from disk")
    if scheduler is not None:
        arriving = _on_cluster(missing, scheduler, lost)
    elif workers > 1:
        arriving = _in_processes(missing, workers, lost)
    else:
        arriving = ((job, job.run()) for job in missing)
    for job, result in arriving:
        if check is not None:
            check(job, result)
        write_text(cache / f"{job.key}.json", _record(job, result))
        results[job.key] = result
        done += 1
        if step is not None:
            step(done, "")
    return [results[job.key] for job in jobs]


def forget(cache: Path) -> None:
    """Remove the results of jobs from a folder, and the folder if nothing else is in it."""
    for path in cache.iterdir():
        # A process that is killed while it writes a result leaves a temporary file.
        if re.fullmatch(r"[0-9a-f]{40}\.json|\.symlump-[0-9a-f]{16}\.tmp", path.name):
            path.unlink()
    with suppress(OSError):  # something else is in it
        cache.rmdir()


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=True)


def _record(job: Job, result: Any) -> str:
    return _canonical({"description": job.description, "result": result, "digest": digest(result)})


def _stored(job: Job, cache: Path) -> Any:
    """The result on disk, or None where there is none or the file is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((cache / f"{job.key}.json").read_text(encoding="utf-8"))
        if digest(record["result"]) == record["digest"]:
            return record["result"]
    return None


def _in_processes(
    jobs: Sequence[Job], workers: int, lost: Callable[[Job], Any] | None
) -> Iterator[tuple[Job, Any]]:
    """One pool per process, so that a process which dies takes only its own task with it."""
    waiting = list(reversed(jobs))
    attempts = dict.fromkeys((job.key for job in jobs), 0)
    running: dict[Future[Any], tuple[Job, ProcessPoolExecutor]] = {}

    def start(pool: ProcessPoolExecutor) -> None:
        if waiting:
            job = waiting.pop()
            attempts[job.key] += 1
            running[pool.submit(job.run)] = job, pool
        else:
            pool.shutdown()

    try:
        for _ in range(min(workers, len(jobs))):
            start(_process())
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job, pool = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    pool.shutdown()
                    given_up = attempts[job.key] >= ATTEMPTS
                    if not given_up:
                        waiting.append(job)
                    elif lost is None:
                        raise FailureError(f"{_killed(job)}; {_GUARD}") from None
                    start(_process())
                    if given_up and lost is not None:
                        yield job, lost(job)
                    continue
                start(pool)
                yield job, result
    finally:
        for _, pool in running.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _process() -> ProcessPoolExecutor:
    """A pool of one process, which ends when this one does, however that is."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_and_end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()


def _on_cluster(
    jobs: Sequence[Job], scheduler: str, lost: Callable[[Job], Any] | None
) -> Iterator[tuple[Job, Any]]:
    """Workers that die lose their tasks to others; Dask gives up on a task after several deaths."""
    if not jobs:
        return
    with cluster_client(scheduler) as client:
        from distributed import KilledWorker, as_completed

        futures = {client.submit(job.run, key=job.key, pure=True): job for job in jobs}
        for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
            job = futures[future]
            try:
                result = future.result()
            except KilledWorker:
                if lost is None:
                    raise FailureError(_killed(job)) from None
                result = lost(job)
            future.release()
            yield job, result


@contextmanager
def cluster_client(scheduler: str) -> Iterator[Any]:
    """A client of a Dask scheduler.

    Raises
    ------
    MethodError
        If it is no address.
    FailureError
        If none answers there.
    MissingExtraError
        If ``distributed`` is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError(
            "a scheduler needs Dask: pip install 'symlump[dask]' (or: pip install distributed)"
        ) from None
    known = re.fullmatch(
        r"(?:[a-z]+://)?(?:\[[0-9a-fA-F:.%]+\]|[^\s/:\[\]]+):(\d{1,5})/?", scheduler
    )
    if not scheduler.startswith("inproc://") and (known is None or int(known[1]) > 65535):
        raise MethodError(
            f"scheduler {scheduler!r} is no address; write host and port, such as tcp://10.0.0.1:8786"
        )
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise FailureError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        yield client


def _killed(job: Job) -> str:
    return (
        f"the workers that computed {job.description} died each time; memory is the usual reason, so try "
        "fewer workers at a time"
    )
