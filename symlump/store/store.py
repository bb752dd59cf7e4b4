"""A system in Parquet files: what is in the folder, and the checks before any of it is believed.

A folder holds ``store.json`` and three tables, each in any number of Parquet files.

============= ==================================================================
terms         row, monomial, numerator, denominator
monomials     monomial, variable, power; a monomial without a row here is 1
variables     variable, name, parameter, numerator, denominator (the initial value), part (the initial block)
============= ==================================================================

All numbers are 64-bit integers, variables and monomials are counted from 0, and terms with the same row and
monomial are added. What a lumping writes has a fourth table, ``blocks``: variable, block.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import FileFormatError, InputError, OutOfMemoryError, PartitionError
from symlump.memory import available_memory, size_text
from symlump.store.engine import Engine, engine, memory_bytes, parquet, temporary_engine

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.partition import Partition

HEAD = "store.json"
VERSION = 1
#: The tables, and the types of their columns.
TABLES = {
    "terms": dict.fromkeys(("row", "monomial", "numerator", "denominator"), "BIGINT"),
    "monomials": dict.fromkeys(("monomial", "variable", "power"), "BIGINT"),
    "variables": {
        "variable": "BIGINT",
        "name": "VARCHAR",
        "parameter": "BOOLEAN",
        "numerator": "BIGINT",
        "denominator": "BIGINT",
        "part": "BIGINT",
    },
}
BLOCKS = {"variable": "BIGINT", "block": "BIGINT"}
#: Powers are summed with random numbers of 40 bits in 63.
MAX_POWER = 2**20
#: Numerators and denominators are smaller than this.
MAX_NUMBER = 2**62
_MAX_HEAD = 1 << 20
_MOST = 2**40
#: Bytes in memory: of a term with its share of the engine's arrays, of a factor, of a variable with its name.
_A_TERM, _A_FACTOR, _A_VARIABLE = 530, 120, 900


@dataclass(frozen=True)
class Store:
    """A system x' = q(x), or x⁺ = q(x), in Parquet files.

    Parameters
    ----------
    path : Path
        The folder.
    name : str
    discrete : bool
        Whether it is a map.
    variables, monomials, factors, terms : int
        How many there are; factors are the rows of the table of monomials.

    Examples
    --------
    >>> import tempfile, symlump as sl
    >>> ode = sl.ODE.from_text("x' = -2*x + y; y' = x/3 - y")
    >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "small", ode)
    >>> store.variables, store.terms, store.model().ode == ode
    (2, 4, True)
    """

    path: Path
    name: str
    discrete: bool
    variables: int
    monomials: int
    factors: int
    terms: int

    def files(self, table: str) -> list[Path]:
        """The Parquet files of a table, in order.

        Parameters
        ----------
        table : str
            "terms", "monomials", "variables" or "blocks".

        Returns
        -------
        list of Path

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x"))
        >>> [path.suffix for path in store.files("terms")]
        ['.parquet']
        """
        return sorted((self.path / table).glob("*.parquet"))

    def sql(self, table: str) -> str:
        """What reads a table in SQL; an empty table where there are no files.

        Parameters
        ----------
        table : str
            "terms", "monomials", "variables" or "blocks".

        Returns
        -------
        str
            An expression for the clause ``from``.

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x"))
        >>> store.sql("blocks")
        '(select null::BIGINT as variable, null::BIGINT as block limit 0)'
        """
        columns = BLOCKS if table == "blocks" else TABLES[table]
        found = self.files(table)
        if found:
            return parquet(found)
        return f"(select {', '.join(f'null::{t} as {c}' for c, t in columns.items())} limit 0)"

    @property
    def memory_needed(self) -> int:
        """Bytes that lumping it in memory takes, about."""
        return (
            _A_TERM * self.terms
            + _A_FACTOR * max(self.factors, self.monomials)
            + _A_VARIABLE * self.variables
            + (200 << 20)
        )

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def model(self, memory: int | str | None = None) -> Model:
        """The whole system in memory, with its initial values and its initial partition.

        Parameters
        ----------
        memory : int or str, optional
            Bytes, or text such as ``2GB``; default: what is free.

        Returns
        -------
        Model

        Raises
        ------
        OutOfMemoryError
            If it needs more than that.

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x/2"))
        >>> print(store.model().ode)
        x' = -1/2*x
        """
        from symlump.store.loading import load_model

        free = available_memory() if memory is None else memory_bytes(memory)
        if self.memory_needed > free:
            raise OutOfMemoryError(
                f"{self.path} needs about {size_text(self.memory_needed)} in memory, and there are "
                f"{size_text(free)}: lump_store works on disk"
            )
        return load_model(self)

    def partition(self) -> Partition:
        """The blocks of the lumping that this is the quotient of, which must fit in memory.

        Returns
        -------
        Partition

        Raises
        ------
        PartitionError
            If it is none.

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> folder = Path(tempfile.mkdtemp())
        >>> store = sl.write_store(folder / "s", sl.ODE.from_text("x' = -x; y' = -y"))
        >>> sl.lump_store(store, sl.Forward(), folder / "q").quotient.partition()
        {0, 1}; 1
        """
        from symlump.lumping.partition import Partition

        if not self.files("blocks"):
            raise PartitionError(f"{self.path} is no quotient: it holds no blocks")
        with temporary_engine() as db:
            found = db.arrays(f"select block from {self.sql('blocks')} order by variable")
        return Partition(np.asarray(found["block"]))

    def head(self) -> dict[str, Any]:
        """What ``store.json`` says.

        Returns
        -------
        dict

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> store = sl.write_store(Path(tempfile.mkdtemp()) / "s", sl.ODE.from_text("x' = -x"), name="decay")
        >>> store.head()["name"]
        'decay'
        """
        counts = {k: v for k, v in asdict(self).items() if k not in ("path", "discrete")}
        return {
            "format": "symlump store",
            "version": VERSION,
            "kind": "map" if self.discrete else "ode",
            **counts,
        }

    def __str__(self) -> str:
        kind = "map" if self.discrete else "ODE"
        return (
            f"{self.path}: {kind} of {self.variables} variables, {self.terms} terms, "
            f"{self.monomials} monomials, {size_text(self.size)} on disk"
        )


def read_store(path: str | Path, memory: int | str = "1GB") -> Store:
    """Open a system on disk, after a look at every row of it.

    Parameters
    ----------
    path : str or Path
        The folder.
    memory : int or str
        What the look may take: bytes, or text such as ``2GB``.

    Returns
    -------
    Store

    Raises
    ------
    FileFormatError
        If a file is missing or is none of these; if a column has another type, a number is out of its range, or
        there are more or fewer rows than announced.
    MissingExtraError
        If DuckDB is not installed.

    Examples
    --------
    >>> import tempfile, symlump as sl
    >>> path = Path(tempfile.mkdtemp()) / "s"
    >>> _ = sl.write_store(path, sl.ODE.from_text("x' = -x; y' = x"))
    >>> read_store(path).variables
    2
    """
    store = _read_head(Path(path))
    with engine(store.path.resolve().parent, memory_bytes(memory)) as db:
        try:
            check_store(store, db)
        except InputError as problem:
            raise FileFormatError(f"{store.path}: {problem}") from None
    return store


def is_store(path: str | Path) -> bool:
    """Whether a folder has the head of a store.

    Examples
    --------
    >>> is_store("no such folder")
    False
    """
    return (Path(path) / HEAD).is_file()


def _read_head(path: Path) -> Store:
    try:
        with open(path / HEAD, "rb") as file:
            data = file.read(_MAX_HEAD + 1)
    except OSError as error:
        raise FileFormatError(
            f"{path} is no store: {HEAD} cannot be read: {error.strerror}"
        ) from None
    try:
        head = json.loads(data) if len(data) <= _MAX_HEAD else None
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != "symlump store":
        raise FileFormatError(f"{path} is no store: {HEAD} does not say so")
    if head.get("version") != VERSION:
        raise FileFormatError(
            f"{path}: version {head.get('version')!r} of the format is unknown; known is {VERSION}"
        )
    if head.get("kind") not in ("ode", "map") or not isinstance(head.get("name"), str):
        raise FileFormatError(f'{path}: {HEAD} needs a "kind", ode or map, and a "name"')
    counts = {}
    for key in ("variables", "monomials", "factors", "terms"):
        value = head.get(key)
        if type(value) is not int or not 0 <= value < _MOST:
            raise FileFormatError(
                f"{path}: {HEAD}: {key!r} is a whole number from 0 to {_MOST - 1}; found {value!r}"
            )
        counts[key] = value
    return Store(path, head["name"], head["kind"] == "map", **counts)


def check_store(store: Store, db: Engine) -> None:
    """Look at every row.

    Raises
    ------
    FileFormatError
        As :func:`read_store`.
    """
    counts = {"terms": store.terms, "monomials": store.factors, "variables": store.variables}
    for table, columns in TABLES.items():
        if not (store.path / table).is_dir():
            raise FileFormatError(f"there is no folder {table}")
        _check_types(store, db, table, columns)
        found = db.number(f"select count(*) from {store.sql(table)}")
        if found != counts[table]:
            raise FileFormatError(f"{table} has {found} rows, and {counts[table]} are announced")
    numbers = {"numerator": (1 - MAX_NUMBER, MAX_NUMBER), "denominator": (1, MAX_NUMBER)}
    rows = {"row": (0, store.variables), "monomial": (0, store.monomials)}
    _check_ranges(store, db, "terms", rows | numbers)
    factors = {"variable": (0, store.variables), "monomial": (0, store.monomials)}
    _check_ranges(store, db, "monomials", factors | {"power": (1, MAX_POWER)})
    _check_ranges(store, db, "variables", {"variable": (0, store.variables)})
    _check_variables(store, db)


def _check_types(store: Store, db: Engine, table: str, columns: dict[str, str]) -> None:
    found = {name: kind for name, kind, *_ in db.rows(f"describe select * from {store.sql(table)}")}
    for name, kind in columns.items():
        if found.get(name) != kind:
            raise FileFormatError(
                f"{table} needs a column {name} of type {kind}; "
                + (f"its type is {found[name]}" if name in found else "there is none")
            )


def _check_ranges(store: Store, db: Engine, table: str, ranges: dict[str, tuple[int, int]]) -> None:
    """No column has a gap, and numbers are in their range: one pass."""
    asked = [f"count(*) - count({c}), min({c}), max({c})" for c in ranges]
    found = db.one(f"select {', '.join(asked)} from {store.sql(table)}")
    for k, (column, (low, end)) in enumerate(ranges.items()):
        absent, least, most = found[3 * k : 3 * k + 3]
        if absent:
            raise FileFormatError(f"{table}: {absent} rows have no {column}")
        if least is None:
            continue
        if least < low:
            raise FileFormatError(f"{table}: a {column} is {least}, and {low} is the least")
        if most >= end:
            raise FileFormatError(f"{table}: a {column} is {most}, and {end - 1} is the last")


def _check_variables(store: Store, db: Engine) -> None:
    """Each variable once, under a name of its own; initial values are fractions or unknown."""
    table = store.sql("variables")
    for column, what in (("variable", "number"), ("name", "name")):
        if db.number(f"select count(distinct {column}) from {table}") != store.variables:
            raise FileFormatError(
                f"variables: two have one {what}, or one has none, in the column {column}"
            )
    bad = db.number(
        f"select count(*) from {table} where name = '' or parameter is null or denominator < 1 "
        "or (numerator is null) <> (denominator is null)"
    )
    if bad:
        raise FileFormatError(
            f"variables: {bad} rows have an empty name, no parameter (true or false), or an initial value "
            "that is no fraction"
        )
    moved = db.number(
        f"select count(*) from {store.sql('terms')} where row in "
        f"(select variable from {table} where parameter)"
    )
    if moved:
        raise FileFormatError(
            f"{moved} terms are in the equation of a parameter; those are constant"
        )
