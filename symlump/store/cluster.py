"""Rounds of refinement on a Dask cluster: the same sums as in one engine, by frames that are spread by key.

What :mod:`symlump.store.rounds` does in SQL is made of one operation. Values lie at keys (variables or
monomials), an edge leads from a key to a target with a coefficient, and a target gets the sum of coefficient
times value. A frame is spread over partitions by a hash of its key, so that edges and values of one key lie
in one partition; partial sums go to the partitions of their targets. Edges are spread once, and their
partitions and those of the blocks are Parquet files in a folder that all workers see: a worker that dies
loses the tasks it was at, and no state.

A block is called by 64 random bits that depend on its name before and on the sums of its members. That two
blocks get one name is unlikely, and neither that nor anything else that chance does is believed: what comes
back to the engine is split by the blocks there were, and compared exactly.
"""

from __future__ import annotations

import random
import shutil
from typing import Any

from symlump.errors import FailureError, MissingExtraError
from symlump.files import make_folder
from symlump.memory import size_text
from symlump.store.cluster_tasks import (
    ROWS,
    RoundValues,
    count_names,
    empty,
    empty_edges,
    keep,
    pieces_of,
    read_edges,
    read_piece,
    split_blocks,
    spread_blocks,
    through_factors,
    through_terms,
    write_part,
)
from symlump.store.engine import parquet
from symlump.store.working import Working, monomials_are_variables

#: Partitions for each thread of the cluster, at least.
_A_THREAD = 2
#: Bytes of memory of a worker: of a thread, of a term of the partition that it is at.
_A_WORKER, _A_TERM = 150 << 20, 300
#: Bytes on the shared disk, of a term and of a variable: edges, and blocks before and after a round.
_TERM_ON_DISK, _VARIABLE_ON_DISK = 20, 48


class ClusterRounds:
    """Refinement of the partition of an engine by the workers of a cluster.

    Parameters
    ----------
    work : Working
        The tables of a lumping; its folder must have the same name on every worker.
    client : distributed.Client
    parts : int, optional
        Of every table; default: two for each thread, and no more than a million terms in each, or than a worker
        has memory for.

    Raises
    ------
    MissingExtraError
        If Dask cannot make data frames here.
    FailureError
        If workers, or the folder that they share, have too little room, by an estimate.
    """

    def __init__(self, work: Working, client: Any, parts: int | None = None) -> None:
        self._work, self._client = work, client
        self._frames = _load_frames()
        threads = sum(client.nthreads().values())
        store = work.store
        largest = max(store.terms, store.factors, store.variables)
        self.parts = parts or max(2, _A_THREAD * threads, largest // _rows_of_a_part(client) + 1)
        need = _TERM_ON_DISK * (store.terms + store.factors) + _VARIABLE_ON_DISK * store.variables
        free = shutil.disk_usage(work.db.folder).free
        if need > free:
            raise FailureError(
                f"the partitions of {store.path} take about {size_text(need)} on the disk beside the output, "
                f"of which {size_text(free)} are free"
            )
        self._folder = make_folder(work.db.folder / "cluster")
        self._state = 0
        backward = work.direction == "backward"
        self._short = work.linear and monomials_are_variables(work.db, work.store)
        key, target = ("monomial", "row") if backward else ("row", "monomial")
        self._ends, self._prime = (key, target), work.prime
        self._terms = self._spread_edges("terms", key, target)
        if not self._short:
            key, target = ("variable", "monomial") if backward else ("monomial", "variable")
            self._factors = self._spread_edges("monomials", key, target)

    def refine(self, work: Working, blocks: int, seed: random.Random) -> tuple[int, int]:
        """Split the blocks of the engine's table ``v`` until their number stays, as the engine itself does.

        Parameters
        ----------
        work : Working
            The same lumping, perhaps with another prime.
        blocks : int
        seed : Random

        Returns
        -------
        blocks, rounds : int
        """
        if work.prime != self._prime:
            self._prime = work.prime
            self._terms = self._spread_edges("terms", *self._ends)
        self._load()
        rounds = 0
        while blocks < self._work.store.variables:
            rounds += 1
            before, blocks = blocks, self._round(seed)
            if blocks == before:
                break
        return self._unload(), rounds

    def _round(self, chance: random.Random) -> int:
        """One round; returns how many blocks there are."""
        seed = chance.getrandbits(63)
        now = self._folder / f"blocks{self._state}"
        after = make_folder(self._folder / f"blocks{self._state + 1}")
        residues = self._short or self._work.direction == "forward"
        values = RoundValues(str(now), seed, residues, self._prime)
        first = self._terms if residues else self._factors
        sums = self._frames.from_map(
            spread_blocks, range(self.parts), edges=first, values=values, meta=empty()
        )
        if not self._short:
            second = through_terms if self._work.direction == "backward" else through_factors
            edges = self._terms if self._work.direction == "backward" else self._factors
            sums = self._shuffled(sums, "target").map_partitions(
                second, edges=edges, seed=seed, prime=self._prime, meta=empty()
            )
        names = self._shuffled(sums, "target").map_partitions(
            split_blocks,
            now=str(now),
            after=str(after),
            seed=seed,
            prime=self._prime,
            meta=empty("block"),
        )
        counts = self._shuffled(names, "block").map_partitions(count_names, meta=empty("count"))
        found = self._computed(counts)
        for path in now.iterdir():
            path.unlink()
        self._state += 1
        return int(found["count"].sum())

    def _spread_edges(self, table: str, key: str, target: str) -> str:
        """The folder with the edges of a table of the store, spread by key."""
        folder = make_folder(self._folder / table)
        pieces = pieces_of(self._work.store.files(table))
        if not pieces:
            for number in range(self.parts):
                write_part(empty_edges(), str(folder), number)
            return str(folder)
        frame = self._frames.from_map(
            read_edges,
            pieces,
            key=key,
            target=target,
            scale=self._work.scale,
            prime=self._prime,
            meta=empty_edges(),
        )
        self._computed(
            self._shuffled(frame, "key").map_partitions(
                keep, folder=str(folder), by="key", meta=empty("count")
            )
        )
        return str(folder)

    def _load(self) -> None:
        """The partition of the engine, spread by variable."""
        self._state += 1
        folder = make_folder(self._folder / f"blocks{self._state}")
        whole = self._folder / f"all{self._state}.parquet"
        self._work.db.save(
            "select variable::bigint as variable, block::bigint as block from v", whole
        )
        frame = self._frames.from_map(
            read_piece, pieces_of([whole]), meta=empty("variable", "block")
        )
        self._computed(
            self._shuffled(frame, "variable").map_partitions(
                keep, folder=str(folder), by="variable", meta=empty("count")
            )
        )

    def _unload(self) -> int:
        """Give the partition back to the engine; returns the number of blocks."""
        db, ids = self._work.db, self._work.id_type
        files = sorted((self._folder / f"blocks{self._state}").glob("*.parquet"))
        db.table(
            "x",
            f"select n.variable, o.block as old, n.block as new from {parquet(files)} n "
            "join v o using (variable)",
        )
        db.table("g", "select old, new, min(variable) as first from x group by all")
        db.table(
            "v",
            f"select x.variable::{ids} as variable, g.first::{ids} as block from x join g using (old, new)",
        )
        db.drop("x")
        blocks = db.number("select count(*) from g")
        db.drop("g")
        return blocks

    def _shuffled(self, frame: Any, by: str) -> Any:
        # By tasks: what a dead worker held is made again, and nothing else; the other ways begin anew.
        return frame.shuffle(by, npartitions=self.parts, shuffle_method="tasks", ignore_index=True)

    def _computed(self, frame: Any) -> Any:
        from distributed import KilledWorker

        try:
            return self._client.compute(frame, sync=True)
        except KilledWorker:
            raise FailureError(
                "workers died of one task again and again; memory is the usual reason: give workers more, or "
                "take more of them"
            ) from None


def _rows_of_a_part(client: Any) -> int:
    """How many rows a thread of a worker has memory for: a million at most.

    Raises
    ------
    FailureError
        If that is too little to work with.
    """
    least = None
    for address, worker in client.scheduler_info()["workers"].items():
        limit = worker.get("memory_limit") or 0  # 0: there is none
        room = int(limit / worker["nthreads"] - _A_WORKER)
        if limit and (least is None or room < least[0]):
            least = room, address
    if least is None:
        return ROWS
    rows = least[0] // _A_TERM
    if rows < ROWS // 10:
        need = size_text(_A_WORKER + _A_TERM * ROWS // 10)
        raise FailureError(
            f"the worker {least[1]} has {size_text(max(0, least[0] + _A_WORKER))} of memory for each thread, "
            f"and {need} are needed: give workers more memory, or fewer threads"
        )
    return min(ROWS, rows)


def _load_frames() -> Any:
    try:
        import dask.dataframe
    except ImportError:
        raise MissingExtraError(
            "lumping on a cluster needs Dask's data frames: pip install 'symlump[dask,store]'"
        ) from None
    return dask.dataframe
