"""Writing a store: from a system in memory, or from chunks, of which no more than a few are held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import FileFormatError, InputError, MethodError, SubjectError
from symlump.files import replacing_folder, write_text
from symlump.formats.model import Model
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.printing import symbol_text
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE
from symlump.store.engine import Columns, Engine, demand_disk, engine, memory_bytes
from symlump.store.opening import check_store, clean_name
from symlump.store.store import BLOCKS, HEAD, TABLES, Store

#: Rows that are held before they are written.
_AT_ONCE = 1 << 19
_NAMES_AT_ONCE = 100_000
#: Bytes on disk of a term with its monomial, and of a variable, at most.
_A_TERM, _A_VARIABLE = 64, 128
#: What arrays have where nothing is known: a denominator, and a part.
_UNKNOWN = {
    "numerator": "if(denominator = 0, null, numerator)",
    "denominator": "nullif(denominator, 0)",
    "part": "nullif(part, -1)",
}

Chunk = Sequence[npt.ArrayLike]


class TableWriter:
    """Rows of a table, in Parquet files of half a million rows or more."""

    def __init__(self, folder: Path, table: str, db: Engine) -> None:
        self._folder, self._db, self.columns = folder / table, db, TABLES[table]
        self._folder.mkdir()
        known = _UNKNOWN if table == "variables" else {}
        self._chosen = ", ".join(
            f"({known.get(name, name)})::{kind} as {name}" for name, kind in self.columns.items()
        )
        self._held: list[list[npt.NDArray[Any]]] = []
        self._size = self._files = self.count = 0

    def add(self, columns: Sequence[npt.NDArray[Any]]) -> None:
        """Rows, as one array a column."""
        for first in range(0, len(columns[0]), _AT_ONCE):
            piece = [column[first : first + _AT_ONCE] for column in columns]
            self._held.append(piece)
            self._size += len(piece[0])
            if self._size >= _AT_ONCE:
                self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._size:
            whole = map(np.concatenate, zip(*self._held, strict=True))
            chunk = dict(zip(self.columns, whole, strict=True))
            self._db.save(f"select {self._chosen} from chunk", self._next(), chunk)
            self.count += self._size
        self._held, self._size = [], 0

    def query(self, sql: str, count: int) -> None:
        """The rows that a query returns, of which there are so many."""
        self._db.save(f"select {self._chosen} from ({sql})", self._next())
        self.count += count

    def _next(self) -> Path:
        self._files += 1
        return self._folder / f"{self._files:06d}.parquet"


class StoreWriter:
    """The tables of a store that is being written."""

    def __init__(self, folder: Path, db: Engine, target: Path) -> None:
        self.folder, self.db, self._target = folder, db, target
        self.terms, self.monomials, self.variables = (
            TableWriter(folder, table, db) for table in ("terms", "monomials", "variables")
        )

    def finish(self, name: str, discrete: bool, monomials: int) -> Store:
        """Write the head; what was written is looked at as if it were a stranger's.

        Raises
        ------
        FileFormatError
            As :func:`symlump.store.opening.check_store`.
        """
        for table in (self.terms, self.monomials, self.variables):
            table.flush()
        counts = (self.variables.count, monomials, self.monomials.count, self.terms.count)
        store = Store(self.folder, clean_name(name), discrete, *counts)
        try:
            check_store(store, self.db)
        except FileFormatError as problem:
            raise FileFormatError(f"{self._target}: {problem}") from None
        write_text(self.folder / HEAD, json.dumps(store.head(), indent=1) + "\n")
        return replace(store, path=self._target)

    def add_system(self, system: Model | ODE) -> int:
        """Write what is in memory; returns the number of its monomials.

        Raises
        ------
        MethodError
            As :func:`write_store`.
        """
        return _add_system(self, system)

    def add_terms(self, rows: IntArray, monomials: IntArray, coefficients: ExactArray) -> None:
        """Write terms.

        Raises
        ------
        MethodError
            If a numerator or denominator has more than 62 bits.
        """
        values = coefficients.as_integers().in_lowest_terms()
        assert values.denominators is not None
        self.terms.add([rows, monomials, _small(values.numerators), _small(values.denominators)])

    def add_blocks(self, sql: str, chunk: Columns | None = None) -> None:
        """Write the blocks of a quotient: a query of variable and block."""
        (self.folder / "blocks").mkdir()
        chosen = ", ".join(f"{name}::{kind} as {name}" for name, kind in BLOCKS.items())
        path = self.folder / "blocks" / "000001.parquet"
        self.db.save(f"select {chosen} from ({sql}) order by variable", path, chunk)


@contextmanager
def writing_store(path: Path, memory: int) -> Iterator[StoreWriter]:
    """What writes a store, whole or not at all.

    Raises
    ------
    OutputError
        If there is something of this name.
    """
    with replacing_folder(path) as folder, engine(folder.parent, memory) as db:
        yield StoreWriter(folder, db, path)


def write_store(
    path: str | Path,
    system: Model | ODE | Iterable[Chunk],
    variables: int | Iterable[str] | None = None,
    monomials: Iterable[Chunk] | None = None,
    *,
    parts: Iterable[npt.ArrayLike] | None = None,
    discrete: bool = False,
    name: str = "",
    memory: int | str = "1GB",
) -> Store:
    """Write a system to a folder of Parquet files, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The folder, which must not exist.
    system : Model, PolynomialODE, or iterable of chunks
        A chunk of terms is a tuple of integer arrays: rows, monomials, numerators and, unless they are all 1,
        denominators. Terms may come in any order; those of the same row and monomial are added.
    variables : int or iterable of str
        With chunks: the names; a number n stands for x1 … xn.
    monomials : iterable of chunks, optional
        With chunks: tuples of arrays monomial, variable, power. Default: monomial v is the variable v, so the
        system is linear.
    parts : iterable of arrays, optional
        With chunks: numbers from 0 on, one a variable in order; variables of different numbers stay apart.
    discrete : bool
        With chunks: whether it is a map.
    name : str
    memory : int or str
        What writing may take: bytes, or text such as ``2GB``.

    Returns
    -------
    Store

    Raises
    ------
    FileFormatError
        If a number is out of its range: see :mod:`symlump.store.store`.
    MethodError
        If the system contains functions or events, or a numerator or denominator of 2⁶² or more.
    OutputError
        If there is something of this name, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> chunks = [([0, 1], [1, 0], [2, 3]), ([1], [1], [-1], [2])]
    >>> store = write_store(Path(tempfile.mkdtemp()) / "s", chunks, variables=["a", "b"])
    >>> print(store.model().ode)
    a' = 2*b
    b' = 3*a - 1/2*b
    """
    if isinstance(system, Model | ODE):
        ode = _polynomial(system)
        demand_disk(Path(path), _A_TERM * ode.terms + _A_VARIABLE * len(ode))
    with writing_store(Path(path), memory_bytes(memory)) as writer:
        if isinstance(system, Model | ODE):
            if variables is not None or monomials is not None or parts is not None or discrete:
                raise MethodError(
                    "variables, monomials, parts and discrete describe chunks; a system has its own"
                )
            count = writer.add_system(system)
            discrete = (system.ode if isinstance(system, Model) else system).discrete
            name = name or (system.name if isinstance(system, Model) else "")
        else:
            if variables is None:
                raise MethodError("chunks of terms need variables=, their names or how many")
            count = _add_chunks(writer, system, variables, monomials, parts)
        return writer.finish(name, discrete, count)


def _add_system(writer: StoreWriter, system: Model | ODE) -> int:
    """Write a system in memory; returns the number of its monomials."""
    ode = _polynomial(system)
    table = ode.monomials
    starts = [system.initial_values[v] for v in ode.variables] if isinstance(system, Model) else []
    tops = np.array([x.numerator for x in starts] or [0] * len(ode), dtype=object)
    bottoms = np.array([x.denominator for x in starts] or [0] * len(ode), dtype=object)
    parts = np.full(len(ode), -1)
    if isinstance(system, Model) and system.partition is not None:
        for k, block in enumerate(system.partition):
            parts[[ode.index[v] for v in block]] = k
    constant = np.zeros(len(ode), dtype=bool)
    constant[[ode.index[v] for v in ode.parameters]] = True
    if len(ode):
        writer.variables.add(
            [
                np.arange(len(ode)),
                np.array(ode.variables, dtype=object),
                constant,
                _small(tops),
                _small(bottoms),
                parts,
            ]
        )
    writer.monomials.add([table.owners, table.variables, table.powers])
    writer.add_terms(ode.rows, ode.columns, ode.coefficients)
    return len(table)


def _polynomial(system: Model | ODE) -> PolynomialODE:
    """The system of a model, if a store can hold it."""
    if isinstance(system, Model) and system.events:
        raise SubjectError(
            f"the model has events ({system.events[0].name}, …), which a store does not hold"
        )
    ode = system.ode if isinstance(system, Model) else system
    if not isinstance(ode, PolynomialODE):
        raise SubjectError(
            f"a store holds polynomials; this system contains {symbol_text(ode, len(ode))}"
        )
    return ode


def _small(numbers: npt.NDArray[Any]) -> IntArray:
    """Integers of 64 bits."""
    large = [int(x) for x in numbers if abs(x) >= 2**62] if numbers.dtype == object else []
    if large:
        raise SubjectError(
            f"a store holds numerators and denominators below 2^62; this system has one of "
            f"{max(large, key=abs).bit_length()} bits"
        )
    return numbers.astype(np.int64)


def _add_chunks(
    writer: StoreWriter,
    terms: Iterable[Chunk],
    variables: int | Iterable[str],
    monomials: Iterable[Chunk] | None,
    parts: Iterable[npt.ArrayLike] | None,
) -> int:
    """Write a system in chunks; returns the number of its monomials."""
    _add_variables(writer.variables, variables, parts)
    writer.variables.flush()
    count, last = writer.variables.count, -1
    for chunk in terms:
        arrays = [_whole(a, "terms") for a in chunk]
        if len(arrays) == 3:
            arrays.append(np.ones_like(arrays[2]))
        last = max(last, int(arrays[1].max(initial=-1))) if len(arrays) == 4 else last
        _add(writer.terms, arrays, "rows, monomials, numerators and perhaps denominators")
    if monomials is None:
        writer.monomials.query(
            f"select range as monomial, range as variable, 1 as power from range({count})", count
        )
        return count
    for chunk in monomials:
        arrays = [_whole(a, "monomials") for a in chunk]
        last = max(last, int(arrays[0].max(initial=-1))) if arrays else last
        _add(writer.monomials, arrays, "monomial, variable, power")
    return last + 1


def _add(table: TableWriter, arrays: list[IntArray], what: str) -> None:
    if len(arrays) != len(table.columns) or len({a.size for a in arrays}) != 1:
        raise InputError(f"a chunk is a tuple of arrays of one length: {what}")
    table.add(arrays)


def _whole(given: npt.ArrayLike, what: str) -> IntArray:
    array = np.asarray(given)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.dtype == np.uint64:
        raise InputError(
            f"a chunk of {what} holds arrays of integers of up to 64 bits; got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array.astype(np.int64, copy=False)


def _add_variables(
    table: TableWriter, variables: int | Iterable[str], parts: Iterable[npt.ArrayLike] | None
) -> None:
    """Names, made or given, each with its part; nothing is known of initial values."""
    numbers = iter(() if parts is None else (_whole(a, "parts") for a in parts))
    held: IntArray = np.zeros(0, dtype=np.int64)
    done = 0
    for batch in _names(variables):
        size = len(batch)
        while parts is not None and held.size < size:
            more = next(numbers, None)
            if more is None:
                raise InputError(f"there are more variables than parts, {done + held.size}")
            if (more < 0).any():
                raise InputError(f"parts are counted from 0; there is {more.min()}")
            held = np.concatenate([held, more])
        own = np.full(size, -1) if parts is None else held[:size]
        held = held[size:]
        unknown = np.zeros(size, dtype=np.int64)
        names = np.array(batch, dtype=object)
        table.add([np.arange(done, done + size), names, unknown != 0, unknown, unknown, own])
        done += size
    if held.size or next(numbers, None) is not None:
        raise InputError(f"there are more parts than variables, {done}")


def _names(variables: int | Iterable[str]) -> Iterator[list[str]]:
    if isinstance(variables, int):
        source: Iterator[str] = (f"x{k}" for k in range(1, variables + 1))
    else:
        source = iter(variables)
    while batch := list(islice(source, _NAMES_AT_ONCE)):
        yield batch
