"""The table of an experiment: how its rows are printed, and how they are kept in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from symlump.bench.kept.rows import csv_of, rows_of
from symlump.files import write_text
from symlump.tables import table_text

Row = TypeVar("Row")


@dataclass(frozen=True)
class Origin:
    """Where a row comes from.

    Parameters
    ----------
    command : str
        What was typed.
    load : float or None
        Of the machine when the row was there, the mean of five minutes.
    """

    command: str
    load: float | None


@dataclass(frozen=True)
class KeptTable(Generic[Row]):
    """How the rows of one experiment are printed and kept.

    Parameters
    ----------
    name : str
        Of the experiment on the command line.
    row : type
        The dataclass of a row.
    header : tuple of str
    cells : callable
        A row as it is printed.
    key : tuple of str
        Fields that tell rows apart: a new row takes the place of the one that agrees in them.
    more : tuple of str
        Properties of a row that ``--json`` shows beside the fields.
    """

    name: str
    row: type[Row]
    header: tuple[str, ...]
    cells: Callable[[Row], Sequence[str]]
    key: tuple[str, ...]
    more: tuple[str, ...] = ()

    def text(self, rows: Sequence[Row]) -> str:
        """The table as it is printed."""
        return table_text(self.header, [self.cells(row) for row in rows])

    def data(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows for ``--json``."""
        return [asdict(row) | {name: getattr(row, name) for name in self.more} for row in rows]

    def path(self, folder: Path) -> Path:
        """Where the rows are kept."""
        return folder / f"{self.name}.csv"

    def kept(self, folder: Path) -> list[tuple[Origin, Row]]:
        """The rows in a folder, each with its origin.

        Raises
        ------
        FileFormatError
            If there is a file that has no rows of this experiment.
        """
        from symlump.datasets.fetch import read_text

        path = self.path(folder)
        if not path.exists():
            return []
        text, what = read_text(path), f"bench {self.name}, as {path} should have"
        origins, rows = rows_of(Origin, text, what), rows_of(self.row, text, what)
        return list(zip(origins, rows, strict=True))

    def keep(self, folder: Path, row: Row, origin: Origin) -> None:
        """Write one more row into the folder, in the place of the one with the same key, if there is one."""
        rows = self.kept(folder)
        places = [k for k, (_, old) in enumerate(rows) if self._key(old) == self._key(row)]
        if places:
            rows[places[0]] = origin, row
        else:
            rows.append((origin, row))
        left = csv_of(Origin, [origin for origin, _ in rows]).splitlines()
        right = csv_of(self.row, [row for _, row in rows]).splitlines()
        write_text(
            self.path(folder), "".join(f"{a},{b}\n" for a, b in zip(left, right, strict=True))
        )

    def _key(self, row: Row) -> tuple[object, ...]:
        return tuple(getattr(row, name) for name in self.key)
