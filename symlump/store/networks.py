"""A reaction network or equations from a file to a store, of which some megabytes are in memory at once.

Names, initial values and what else stands around the reactions are held in memory; their terms never are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from symlump.formats import read_in_pieces
from symlump.formats.model import Model
from symlump.formats.source import file_size
from symlump.ode.exact import IntArray
from symlump.ode.reactions import FlowArrays
from symlump.store.engine import demand_disk, memory_bytes
from symlump.store.store import Store
from symlump.store.writing import StoreWriter, writing_store


def convert_network(
    source: str | Path,
    path: str | Path,
    *,
    parameters: Literal["values", "symbolic"] = "values",
    format: str | None = None,
    memory: int | str = "1GB",
) -> tuple[Store, Model]:
    """Write the system of an ERODE or BioNetGen file as a store; returns it, and what else the file says.

    Parameters
    ----------
    source : str or Path
        The file, with as many reactions or equations as the disk holds.
    path : str or Path
        A folder, which must not exist.
    parameters : {"values", "symbolic"}
        As for :func:`symlump.read`.
    format : str, optional
        "erode" or "bionetgen"; by default the suffix says it.
    memory : int or str
        What writing may take.

    Returns
    -------
    Store
    Model
        Everything but the equations, which are 0 in it.

    Raises
    ------
    NotInPiecesError
        If the file has to be read as a whole: another format, a quotient of constants, a section that does
        not begin and end on lines of its own.
    FileFormatError, NotPolynomialError
        As :func:`symlump.read`.
    MethodError
        If numbers are too long for a store.
    FailureError
        If the disk is too small, said before the work.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "m.net"
    >>> _ = file.write_text('''begin species
    ...   1 A 10
    ...   2 B 0
    ... end species
    ... begin reactions
    ...   1 1 2 3
    ... end reactions
    ... ''')
    >>> store, _ = convert_network(file, file.parent / "store")
    >>> print(store.model().ode)
    A' = -3*A
    B' = 3*A
    """
    demand_disk(Path(path), file_size(source))
    with writing_store(Path(path), memory_bytes(memory)) as writer:
        flows = _FlowWriter(writer)
        model = read_in_pieces(source, flows.add, parameters=parameters, format=format)
        count = len(model.ode)
        writer.monomials.query(
            f"select range as monomial, range as variable, 1 as power from range({count})", count
        )
        writer.add_system(model)
        return writer.finish(model.name, False, max(count, flows.monomials)), model


class _FlowWriter:
    """Writes the terms of flows. Monomial v is the variable v; others have a number for each piece."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self.monomials = 0

    def add(self, flows: FlowArrays, variables: int) -> None:
        """Write the terms of some flows of a system of so many variables."""
        self.monomials = max(self.monomials, variables)
        keys, rates, table = flows.terms()
        keys, rates = rates.sums_by(keys)
        width = max(1, len(table))
        rows, columns = keys // width, keys % width
        sizes = np.diff(table.indptr)
        single = sizes == 1
        single[single] = table.powers[table.indptr[:-1][single]] == 1
        used = np.zeros(len(table), dtype=bool)
        used[columns] = True
        others = used & ~single
        numbers: IntArray = np.zeros(len(table), dtype=np.int64)
        numbers[single] = table.variables[table.indptr[:-1][single]]
        numbers[others] = self.monomials + np.arange(int(others.sum()))
        self.monomials += int(others.sum())
        chosen = others[table.owners]
        self._writer.monomials.add(
            [numbers[table.owners[chosen]], table.variables[chosen], table.powers[chosen]]
        )
        self._writer.add_terms(rows, numbers[columns], rates)
