"""A system in Parquet files: what is in the folder.

A folder holds ``store.json`` and three tables, each in any number of Parquet files.

============= ==================================================================
terms         row, monomial, numerator, denominator
monomials     monomial, variable, power; a monomial without a row here is 1
variables     variable, name, parameter, numerator, denominator (the initial value), part (the initial block)
============= ==================================================================

All numbers are 64-bit integers; variables, monomials and parts are counted from 0 (a part may be null, which is
one more), and terms with the same row and monomial are added. What a lumping writes has a fourth table,
``blocks``: variable, block.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import OutOfMemoryError, PartitionError
from symlump.memory import available_memory, size_text
from symlump.store.engine import memory_bytes, parquet, temporary_engine

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
#: What gives a column back as it is.
_READ = {
    "BIGINT": "xor({}, 0::bigint)",
    "BOOLEAN": "(xor({}::tinyint, 0::tinyint) = 1)",
    "VARCHAR": "decode(encode({}))",
}
#: Powers are summed with random numbers of 40 bits in 63.
MAX_POWER = 2**20
#: Numerators and denominators are smaller than this.
MAX_NUMBER = 2**62
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
        """The SQL expression that reads a table; an empty table if there are no files.

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
            # A stranger's file holds statistics, too, by which the engine would answer and leave rows out. It
            # knows none of what these expressions give, so every number is read.
            read = ", ".join(
                f"{_READ[kind].format(name)} as {name}" for name, kind in columns.items()
            )
            return f"(select {read} from {parquet(found)})"
        return f"(select {', '.join(f'null::{t} as {c}' for c, t in columns.items())} limit 0)"

    @property
    def memory_needed(self) -> int:
        """The approximate number of bytes that lumping it in memory takes."""
        return (
            _A_TERM * self.terms
            + _A_FACTOR * max(self.factors, self.monomials)
            + _A_VARIABLE * self.variables
            + (200 << 20)
        )

    @property
    def size(self) -> int:
        """Size of the store on disk, in bytes."""
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
        """The blocks of the lumping whose quotient this is; they must fit in memory.

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
            raise PartitionError(f"{self.path} is not a quotient: it has no blocks")
        with temporary_engine() as db:
            found = db.arrays(f"select block from {self.sql('blocks')} order by variable")
        return Partition(np.asarray(found["block"]))

    def head(self) -> dict[str, Any]:
        """What the store says of itself: the contents of its file ``store.json``.

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
