"""Rows of an experiment, objects with named fields, as a table of text and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from symlump.errors import FileFormatError

Row = TypeVar("Row")


def csv_of(kind: type[Row], rows: Sequence[Row]) -> str:
    """The rows as text, a column a field, floats with six digits; :func:`rows_of` reads them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns: Any = kind
    writer.writerow([column.name for column in fields(columns)])
    for row in rows:
        values: Any = row
        writer.writerow([_text(value) for value in asdict(values).values()])
    return text.getvalue()


def rows_of(kind: type[Row], text: str, what: str) -> list[Row]:
    """The rows of such a table.

    Parameters
    ----------
    kind : type
        A dataclass of numbers and texts, and of dicts of them; or None in place of a number.
    text : str
    what : str
        What is said to be wrong if it is none.

    Raises
    ------
    FileFormatError
        If it is none.

    Examples
    --------
    >>> from symlump.bench.kept.table import Origin
    >>> rows = [Origin("symlump bench start", 0.5), Origin("symlump bench start", None)]
    >>> rows_of(Origin, csv_of(Origin, rows), "a file") == rows
    True
    """
    hints = get_type_hints(kind)
    columns: Any = kind
    try:
        return [
            kind(**{c.name: _value(line[c.name], hints[c.name]) for c in fields(columns)})
            for line in csv.DictReader(io.StringIO(text))
        ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise FileFormatError(f"these are no rows of {what}: {error}") from None


def _text(value: Any) -> Any:
    match value:
        case None:
            return ""
        case float():
            return float(f"{value:.6g}")
        case dict():
            return json.dumps({key: _text(part) for key, part in value.items()})
    return value


def _value(text: str, kind: Any) -> Any:
    parts = get_args(kind)
    if NoneType in parts:
        if not text:
            return None
        (kind,) = (part for part in parts if part is not NoneType)
    if kind is bool:
        return {"True": True, "False": False}[text]
    return json.loads(text) if get_origin(kind) is dict else kind(text)
