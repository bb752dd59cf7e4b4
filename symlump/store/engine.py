"""The embedded engine: DuckDB in a folder of its own, under a memory limit, beyond which it spills to disk."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from symlump.errors import (
    FailureError,
    InputError,
    MethodError,
    MissingExtraError,
    OutOfMemoryError,
    OutputError,
    first_line,
)
from symlump.memory import available_memory, give_back_blocks, memory_limit, size_text

Columns = Mapping[str, npt.NDArray[Any]]
Answer = TypeVar("Answer")

#: What Python, numpy and the engine's own code take beside what the engine counts.
_BESIDE = 200 << 20
#: The share of the rest that the engine may take: what it counts is not all that it asks the system for.
_SHARE = 0.5
#: Below this the engine cannot sort or join at all.
LEAST_MEMORY = 350 << 20
#: Each thread has buffers of its own.
_A_THREAD = 160 << 20
#: Letters of what the engine says, which may name a file.
_LONGEST = 1000
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def memory_bytes(given: int | str) -> int:
    """A size in bytes, as a number or as text such as ``2GB`` (10⁹ bytes each) or ``2GiB`` (2³⁰).

    Raises
    ------
    MethodError
        If it is something else, or less than 350 MiB, which the engine needs.

    Examples
    --------
    >>> memory_bytes("2GB"), memory_bytes("1.5 GiB"), memory_bytes(10**9)
    (2000000000, 1610612736, 1000000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(i?)B?\s*", str(given), re.IGNORECASE)
    if found is None or (found[3] and not found[2]):
        raise MethodError(f"memory {given!r}: give a size such as 2GB, 800MB or 1.5GiB")
    unit = found[2].upper()
    size = int(float(found[1]) * (_BINARY[unit] if found[3] else _UNITS[unit]))
    if size < LEAST_MEMORY:
        raise MethodError(
            f"memory {given}: the engine needs {size_text(LEAST_MEMORY)} or more to sort on disk"
        )
    return size


def engine_limit(memory: int) -> int:
    """The bytes that an engine is told it may take, of those that a process may take in all.

    Examples
    --------
    >>> engine_limit(2 * 10**9) <= 10**9
    True
    """
    allowed = memory_limit()
    return int((min(memory, memory if allowed is None else allowed) - _BESIDE) * _SHARE)


class Engine:
    """A database in a temporary folder; tables are made, replaced and asked in SQL.

    The engine works in a thread of its own, so that signals reach Python while it does: the main thread
    waits, and what a handler raises there interrupts the query. In the main thread the engine looks for
    signals itself, but then waits for its other threads without telling them to stop.
    """

    def __init__(self, connection: Any, folder: Path, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        self.folder = folder

    def _wait(self, connection: Any, work: Callable[[], Answer]) -> Answer:
        """What the work of a connection returns; any exception here ends the work first."""
        stopped = Event()

        def begin() -> Answer:
            if stopped.is_set():
                raise CancelledError
            return work()

        future: Future[Answer] | None = None
        try:
            future = self._thread.submit(begin)
            while wait([future], timeout=1).not_done:  # on Windows no signal ends a wait
                pass
        finally:
            if future is None or not future.done():
                stopped.set()
                # What was raised may have come while the work was handed over, and then nothing here knows of
                # it. The thread takes one thing after the other, so that work has ended where the next has.
                last = self._thread.submit(lambda: None)
                while not last.done():
                    connection.interrupt()  # again and again: a query that only begins forgets it
                    wait([last], timeout=0.05)
        with engine_errors():
            return future.result()

    def run(self, sql: str) -> None:
        """Carry out a statement."""
        self._wait(self._connection, lambda: self._connection.execute(sql))

    def table(self, name: str, sql: str) -> None:
        """Make a table of what a query returns, or replace it."""
        self.run(f"create or replace table {name} as {sql}")

    def drop(self, *names: str) -> None:
        """Remove tables; the space is used again."""
        for name in names:
            self.run(f"drop table if exists {name}")

    def one(self, sql: str) -> tuple[Any, ...]:
        """The first row of the answer."""
        found: tuple[Any, ...] = self._wait(
            self._connection, lambda: self._connection.execute(sql).fetchone()
        )
        return found

    def number(self, sql: str) -> int:
        """The one number of the answer; 0 where it is null."""
        return int(self.one(sql)[0] or 0)

    def rows(self, sql: str, at_once: int = 10_000) -> Iterator[tuple[Any, ...]]:
        """The rows of the answer, some at a time."""
        cursor = self._connection.cursor()
        self._wait(cursor, lambda: cursor.execute(sql))
        while found := self._wait(cursor, lambda: cursor.fetchmany(at_once)):
            yield from found

    def arrays(self, sql: str) -> dict[str, npt.NDArray[Any]]:
        """The columns of the answer, which fits in memory."""
        found: dict[str, npt.NDArray[Any]] = self._wait(
            self._connection, lambda: self._connection.execute(sql).fetchnumpy()
        )
        return found

    def save(self, sql: str, path: Path, chunk: Columns | None = None) -> None:
        """Write what a query returns as a Parquet file; it may call arrays ``chunk``."""
        with self._with_chunk(chunk):
            self.run(f"copy ({sql}) to {quote_text(path)} (format parquet, compression zstd)")

    def append(self, table: str, sql: str, chunk: Columns) -> None:
        """Add what a query returns to a table; it may call arrays ``chunk``."""
        with self._with_chunk(chunk):
            self.run(f"insert into {table} {sql}")

    @contextmanager
    def _with_chunk(self, chunk: Columns | None) -> Iterator[None]:
        if chunk is None:
            yield
            return
        arrays = {name: np.ascontiguousarray(array) for name, array in chunk.items()}
        with engine_errors():
            self._connection.register("chunk", arrays)
        try:
            yield
        finally:
            self._connection.unregister("chunk")


@contextmanager
def engine(beside: Path, memory: int, threads: int | None = None) -> Iterator[Engine]:
    """An engine whose files are in a temporary folder in ``beside``, removed at the end.

    Parameters
    ----------
    beside : Path
        A folder that exists.
    memory : int
        Bytes that this process may take in all.
    threads : int, optional
        Default: one a processor, and no more than the memory allows.

    Raises
    ------
    MissingExtraError
        If DuckDB is not installed.
    OutputError
        If no folder can be made there.
    """
    duckdb = load_engine()
    limit = engine_limit(memory)
    if memory_limit() is not None:
        give_back_blocks()
    most = max(1, limit // _A_THREAD)
    threads = min(threads or os.cpu_count() or 1, most)
    folder = beside / f".symlump-{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"cannot make a folder in {beside}: {error.strerror}") from None
    try:
        with engine_errors():
            connection = duckdb.connect(
                str(folder / "work.db"),
                config={
                    "memory_limit": f"{limit}B",
                    "threads": threads,
                    "temp_directory": str(folder / "spilled"),
                    "preserve_insertion_order": False,
                    # Nothing is fetched from anywhere.
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        try:
            with ThreadPoolExecutor(1, "engine") as thread:
                db = Engine(connection, folder, thread)
                db.run("set enable_progress_bar = false")
                db.run("set enable_external_file_cache = false")
                yield db
        finally:
            # On a full disk it cannot write its last words, which nobody reads.
            with suppress(duckdb.Error):
                connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place_to_work(store: Path) -> Path:
    """The folder for what is needed while a store is read: beside it, or where temporary files are.

    Examples
    --------
    >>> place_to_work(Path(tempfile.gettempdir()) / "store") == Path(tempfile.gettempdir()).resolve()
    True
    """
    beside = store.resolve().parent
    return beside if os.access(beside, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def demand_disk(path: Path, need: int) -> None:
    """Refuse to write a folder, before the work, for which the disk has not enough room by an estimate.

    Raises
    ------
    FailureError
        If so.
    """
    try:
        free = shutil.disk_usage(path.resolve().parent).free
    except OSError:  # there is no such folder, which writing will say
        return
    if need > free:
        raise FailureError(
            f"{path} does not fit: to write it takes about {size_text(need)} on disk, of which "
            f"{size_text(free)} are free"
        )


@contextmanager
def temporary_engine() -> Iterator[Engine]:
    """An engine for what fits in memory anyway; it leaves no trace beside a store."""
    with (
        tempfile.TemporaryDirectory() as folder,
        engine(Path(folder), max(LEAST_MEMORY, available_memory())) as db,
    ):
        yield db


def load_engine() -> Any:
    """The module ``duckdb``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError(
            "systems on disk need DuckDB: pip install 'symlump[store]'"
        ) from None
    return duckdb


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn what the engine says into errors of symlump."""
    duckdb = load_engine()
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        said = first_line(error, _LONGEST)
        full = "temp" in said and "directory" in said
        if full:
            raise FailureError(f"the disk is too small for the working files: {said}") from None
        raise OutOfMemoryError(f"the memory limit does not suffice: {said}") from None
    except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
        raise FailureError(
            f"a sum or a coefficient of the quotient is too large for the engine: {first_line(error, _LONGEST)}"
        ) from None
    except duckdb.InvalidInputException as error:
        raise InputError(first_line(error, _LONGEST)) from None
    except UnicodeDecodeError:
        raise InputError("a name in a file is not valid UTF-8") from None
    except duckdb.Error as error:
        said = first_line(error, _LONGEST)
        # The reader of Parquet has no class for damaged files.
        if type(error) is duckdb.Error or "not read enough bytes" in said:
            raise InputError(f"a file is damaged: {said}") from None
        raise FailureError(f"the engine cannot read or write: {said}") from None


def quote_text(path: Path | str) -> str:
    """A path as a text in SQL.

    Examples
    --------
    >>> quote_text("it's")
    "'it''s'"
    """
    return "'" + str(path).replace("'", "''") + "'"


def parquet(files: Iterable[Path]) -> str:
    """What reads Parquet files in SQL: their names as they are, none a pattern.

    Examples
    --------
    >>> parquet([Path("a[1].parquet")])
    "read_parquet(['a[[]1].parquet'], hive_partitioning = false)"
    """
    names = (quote_text(re.sub(r"([*?\[])", r"[\1]", str(path))) for path in files)
    return f"read_parquet([{', '.join(names)}], hive_partitioning = false)"
