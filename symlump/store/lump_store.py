"""The verb that reduces a system on disk: in memory where it fits, and else on disk."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from symlump.errors import FailureError, MethodError
from symlump.files import check_new_folder, check_outside, check_writable
from symlump.jobs import cluster_client
from symlump.memory import available_memory, size_text
from symlump.store.certificate import check_certificate, write_certificate
from symlump.store.cluster import ClusterRounds
from symlump.store.comparison import agree
from symlump.store.engine import (
    LEAST_MEMORY,
    Engine,
    engine,
    memory_bytes,
    place_to_work,
    temporary_engine,
)
from symlump.store.quotient import write_quotient
from symlump.store.rounds import refine
from symlump.store.store import Store
from symlump.store.working import PRIME, Working, demand_initial_values, prepare, start_blocks
from symlump.store.writing import StoreWriter, writing_store

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.equivalence import Equivalence
    from symlump.lumping.lumping import Lumping
    from symlump.ode.system import ODE

Initial = Literal["one", "file", "values"]
#: Bytes on disk, at most at once: of a term, a factor, a variable.
_A_TERM, _A_FACTOR, _A_VARIABLE = 100, 160, 200
_MAX_DRAWS = 20


@dataclass(frozen=True)
class Estimate:
    """What lumping a store takes, before it begins.

    Parameters
    ----------
    memory : int
        Bytes that it would take in memory.
    disk : int
        Bytes that it would take on disk beside the store, for as long as it works.
    limit : int
        Bytes of memory that there are.
    free : int
        Bytes that the disk has free.
    """

    memory: int
    disk: int
    limit: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether memory suffices."""
        return self.memory <= self.limit

    def __str__(self) -> str:
        return (
            f"in memory about {size_text(self.memory)} of {size_text(self.limit)}, "
            f"on disk about {size_text(self.disk)} of {size_text(self.free)} free"
        )


def estimate(
    store: Store, memory: int | str | None = None, beside: str | Path | None = None
) -> Estimate:
    """What lumping a store takes, and what there is.

    Parameters
    ----------
    store : Store
    memory : int or str, optional
        Bytes, or text such as ``2GB``; default: what is free.
    beside : str or Path, optional
        The folder whose disk is used, beside it; default: the store.
    """
    limit = max(LEAST_MEMORY, available_memory()) if memory is None else memory_bytes(memory)
    disk = (
        _A_TERM * store.terms
        + _A_FACTOR * store.factors * (store.factors > store.monomials)
        + _A_VARIABLE * store.variables
        + (16 << 20)
    )
    where = place_to_work(store.path) if beside is None else Path(beside).resolve().parent
    free = shutil.disk_usage(where).free
    return Estimate(store.memory_needed, disk, limit, free)


@dataclass(frozen=True)
class StoreLumping:
    """What lumping a store gave: the number of blocks, the quotient if asked for, and how it was checked.

    Parameters
    ----------
    store : Store
    method : Forward or Backward
    blocks : int
        How many.
    rounds : int
        Rounds of refinement.
    place : {"in memory", "on disk", "on a cluster"}
    checked : bool
        Whether the independent checker accepted it: it is asked in memory, and of a certificate.
    quotient : Store or None
        The reduced system, which holds the partition; None where no output was asked for.
    seconds : float
    certificate : str
        What the checker said of the certificate, or why it was not asked; empty where none was written.

    Examples
    --------
    >>> import tempfile, symlump as sl
    >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x; y' = -y"))
    >>> found = sl.lump_store(store, sl.Forward())
    >>> found.blocks, found.place
    (1, 'in memory')
    """

    store: Store
    method: Equivalence
    blocks: int
    rounds: int
    place: str
    checked: bool
    quotient: Store | None
    seconds: float
    certificate: str = ""

    def headline(self) -> str:
        """One line: sizes, method, and what is known about the result.

        Returns
        -------
        str

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x; y' = -y"))
        >>> sl.lump_store(store, sl.Forward()).headline()
        '2 → 1 variables by forward equivalence, in memory: exact, proof checked'
        """
        known = (
            "exact, proof checked"
            if self.checked
            else "compared exactly; not checked independently"
        )
        return (
            f"{self.store.variables} → {self.blocks} variables by {self.method.direction} equivalence, "
            f"{self.place}: {known}"
        )

    def __str__(self) -> str:
        return self.headline()


def lump_store(
    store: Store,
    method: Equivalence,
    output: str | Path | None = None,
    *,
    initial: Initial = "file",
    keep: Sequence[str] = (),
    memory: int | str | None = None,
    place: Literal["auto", "memory", "disk"] = "auto",
    scheduler: str | None = None,
    certificate: str | Path | None = None,
    seed: int = 0,
) -> StoreLumping:
    """Reduce a system on disk by the coarsest equivalence inside its initial partition.

    Parameters
    ----------
    store : Store
    method : Forward or Backward
        Without a tolerance.
    output : str or Path, optional
        A folder for the quotient, itself a store; it holds the partition, too.
    initial : {"file", "one", "values"}
        What may merge: what has one part in the store (everything, if it has none); everything; what has equal
        initial values. Parameters stay alone.
    keep : sequence of str
        Variables that stay alone.
    memory : int or str, optional
        The memory that may be taken: bytes, or text such as ``2GB``; default: what is free.
    place : {"auto", "memory", "disk"}
        Where to work; by itself in memory, if the estimate is that the system fits.
    scheduler : str, optional
        Address of a Dask scheduler (extra ``dask``), on whose workers the rounds are made; they must see the
        store, and the folder beside the output, under the same names. Comparison and quotient are made here.
    certificate : str or Path, optional
        A file for the certificate, with an output. On disk it is written in one pass, without a record why
        nothing coarser will do, and the checker is asked if it and the memory suffice for it.
    seed : int
        It changes the work, never the result.

    Returns
    -------
    StoreLumping

    Raises
    ------
    MethodError
        If the method has a tolerance, an option is none of these, or something would be written into the store.
    FailureError
        If the disk is too small (said before the work), or sums of coefficients are too large for the engine.
    OutOfMemoryError
        If the memory limit does not suffice.

    Notes
    -----
    Each round costs a join and an aggregation of all terms; there are as many as the partition needs to spread
    through the system. A long cascade, where every round splits off one variable, is better lumped in memory.
    The final comparison is exact, over the rationals, so chance only costs time.

    Examples
    --------
    >>> import tempfile, symlump as sl
    >>> ode = sl.ODE.from_text("a' = -3*a + c; b' = -3*b + c; c' = a + b - 2*c")
    >>> folder = Path(tempfile.mkdtemp())
    >>> store = sl.write_store(folder / "s", ode)
    >>> print(sl.lump_store(store, sl.Forward(), folder / "q", place="disk"))
    3 → 2 variables by forward equivalence, on disk: compared exactly; not checked independently
    """
    from symlump.lumping.equivalence import Equivalence

    if not isinstance(store, Store):
        raise MethodError(
            f"lump_store takes a Store, of read_store or write_store; got {type(store).__name__}. Systems in "
            "memory go to lump"
        )
    if not isinstance(method, Equivalence) or not method.is_exact:
        raise MethodError(
            f"lump_store takes Forward() or Backward() without a tolerance; got {method!r}"
        )
    if place not in ("auto", "memory", "disk"):
        raise MethodError(f"place={place!r} is unknown; choose 'auto', 'memory' or 'disk'")
    if scheduler is not None and place == "memory":
        raise MethodError("a scheduler runs the rounds on a cluster; leave out place='memory'")
    if certificate is not None and output is None:
        raise MethodError("a certificate names the quotient; give it an output, too")
    check_outside(store.path, {"the output": output, "the certificate": certificate})
    if output is not None:
        check_new_folder(output)
    if certificate is not None:
        check_writable(certificate)
    start = time.perf_counter()
    sizes = estimate(store, memory, output)
    if place == "memory" or (place == "auto" and sizes.fits and scheduler is None):
        found = _in_memory(store, method, output, initial, keep, certificate, seed)
        where = "in memory"
    else:
        if sizes.disk > sizes.free:
            raise FailureError(f"{store.path} does not fit: {sizes}")
        found = _on_disk(
            *(store, method, output, initial, keep, sizes.limit, scheduler, certificate, seed)
        )
        where = "on disk" if scheduler is None else "on a cluster"
    blocks, rounds, checked, quotient, said = found
    seconds = time.perf_counter() - start
    return StoreLumping(store, method, blocks, rounds, where, checked, quotient, seconds, said)


Found = tuple[int, int, bool, Store | None, str]


def _on_disk(
    store: Store,
    method: Equivalence,
    output: str | Path | None,
    initial: Initial,
    keep: Sequence[str],
    memory: int,
    scheduler: str | None,
    certificate: str | Path | None,
    seed: int,
) -> Found:
    chance = random.Random(seed)
    with _place_to_work(store, output, memory) as (db, writer), ExitStack() as stack:
        work = prepare(db, store, method.direction)
        blocks = start_blocks(work, initial, keep)
        if certificate is not None:
            db.table("v0", "select * from v")
        split: Callable[[Working, int, random.Random], tuple[int, int]] = refine
        if scheduler is not None:
            split = ClusterRounds(work, stack.enter_context(cluster_client(scheduler))).refine
        rounds = 0
        prime, before, failed = PRIME, blocks, 0
        while True:
            blocks, more = split(replace(work, prime=prime), blocks, chance)
            rounds += more
            if agree(work):
                break
            # Sums may differ by a multiple of the prime: the next draw has another one.
            prime = _another_prime(chance)
            before, failed = blocks, 0 if blocks > before else failed + 1
            if failed < _MAX_DRAWS:
                continue
            raise FailureError(
                f"{_MAX_DRAWS} draws did not separate all variables, which has no likely explanation; please "
                "report the system"
            )
        if writer is None:
            return blocks, rounds, False, None, ""
        monomials = write_quotient(work, writer)
        quotient = writer.finish(store.name, store.discrete, monomials)
        if certificate is not None:
            write_certificate(work, replace(quotient, path=writer.folder), certificate)
    if certificate is None:
        return blocks, rounds, False, quotient, ""
    accepted, said = check_certificate(certificate, memory)
    return blocks, rounds, accepted, quotient, said


def _another_prime(chance: random.Random) -> int:
    from sympy import nextprime  # slow to import, and hardly ever needed

    return int(nextprime(chance.randrange(2**30, 2**31 - 2**10)))


@contextmanager
def _place_to_work(
    store: Store, output: str | Path | None, memory: int
) -> Iterator[tuple[Engine, StoreWriter | None]]:
    """An engine beside what will be written, or where a store is read."""
    if output is None:
        with engine(place_to_work(store.path), memory) as db:
            yield db, None
    else:
        with writing_store(Path(output), memory) as writer:
            yield writer.db, writer


def _in_memory(
    store: Store,
    method: Equivalence,
    output: str | Path | None,
    initial: Initial,
    keep: Sequence[str],
    certificate: str | Path | None,
    seed: int,
) -> Found:
    from symlump.lumping.lump import lump
    from symlump.store.loading import load_model

    if initial == "values":
        with temporary_engine() as db:
            demand_initial_values(db, store)
    model = load_model(store)
    lumping = lump(model.ode, method, model.initial_partition(initial, observables=keep), seed=seed)
    quotient = None
    if output is not None:
        with writing_store(Path(output), LEAST_MEMORY) as writer:
            count = writer.add_system(_reduced(model, lumping, store))
            labels = {"variable": np.arange(len(model.ode)), "block": lumping.partition.labels}
            writer.add_blocks("select * from chunk", labels)
            quotient = writer.finish(store.name, store.discrete, count)
    if certificate is None:
        return len(lumping.partition), lumping.rounds, lumping.exact, quotient, ""
    lumping.certificate().write(certificate)
    accepted, said = check_certificate(certificate, available_memory())
    return len(lumping.partition), lumping.rounds, lumping.exact or accepted, quotient, said


def _reduced(model: Model, lumping: Lumping, store: Store) -> Model | ODE:
    """The quotient with initial values, where all are known and members of a block share them as they must."""
    with temporary_engine() as db:
        unknown = db.number(
            f"select count(*) from {store.sql('variables')} where denominator is null"
        )
    if unknown:
        return lumping.quotient
    try:
        return replace(model.quotient(lumping), partition=None)
    except MethodError:  # members of a block start at different values
        return lumping.quotient
