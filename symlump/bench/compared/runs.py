"""Errors of paired runs as text: a line for each network and size, a column for each method."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from symlump.errors import FileFormatError

Row = dict[str, Any]

#: The last of the columns that tell runs apart; what follows are methods.
_LAST = "share"
#: Beside the methods: the network before.
WHOLE = "uncompressed"


def errors_csv(rows: Sequence[Row], keys: Sequence[str], what: str = "mse") -> str:
    """Errors, a line for each run, a column for each method.

    Parameters
    ----------
    rows : sequence of dict
        With ``method``, and the error; ``mse_base``, where there is one, is that of the network before.
    keys : sequence of str
        What tells runs apart, such as the data set; ``seed`` and ``share`` come after them.
    what : str
        The column of errors.

    Returns
    -------
    str
        What :func:`errors_of` reads; nothing where a method does not reach a size. Six digits of each error.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    if any("mse_base" in row for row in rows):
        methods.insert(0, WHOLE)
    lines: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in rows:
        line = lines.setdefault(tuple(row[key] for key in (*keys, "seed", _LAST)), {})
        for name, value in ((row["method"], row[what]), (WHOLE, row.get("mse_base"))):
            if value is not None:
                line[name] = f"{value:.6g}"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, "seed", _LAST, *methods])
    for key, line in lines.items():
        writer.writerow([*key, *(line.get(name, "") for name in methods)])
    return text.getvalue()


def errors_of(text: str, source: object = "the text") -> tuple[list[Row], list[str]]:
    """The rows of such a table, and its methods without the network before, which is ``mse_base``.

    Raises
    ------
    FileFormatError
        If it is none; it names the source, the line and the column.

    Examples
    --------
    >>> row = {"activation": "tanh", "dataset": "d", "seed": 0, "share": 0.5}
    >>> row |= {"method": "AFDE", "mse": 2.0, "mse_base": 1.5}
    >>> errors_of(errors_csv([row], ["activation", "dataset"])) == ([row], ["AFDE"])
    True
    """
    reader = csv.DictReader(io.StringIO(text))
    names = list(reader.fieldnames or ())
    missing = [name for name in ("seed", _LAST) if name not in names]
    if missing:
        raise FileFormatError(f"{source} has no errors of paired runs: no column {missing[0]!r}")
    keys = names[: names.index(_LAST) + 1]
    methods = [name for name in names[len(keys) :] if name != WHOLE]
    rows: list[Row] = []

    def number(line: dict[str, str], name: str, kind: type[int] | type[float] = float) -> float:
        try:
            return kind(line[name])
        except (TypeError, ValueError):
            place = f"{source}, line {reader.line_num}, column {name!r}"
            raise FileFormatError(f"{place}: {line[name]!r} is no number") from None

    try:
        for line in reader:
            paired: Row = {key: line[key] for key in keys}
            paired |= {"seed": number(line, "seed", int), _LAST: number(line, _LAST)}
            if WHOLE in names:
                paired["mse_base"] = number(line, WHOLE)
            for name in methods:
                mse = None if line[name] == "" else number(line, name)
                rows.append({**paired, "method": name, "mse": mse})
    except csv.Error as error:
        raise FileFormatError(f"{source}, line {reader.line_num}: {error}") from None
    if not rows:
        raise FileFormatError(f"{source} has no errors of paired runs: there are no rows")
    return rows, methods


def reached_in(rows: Sequence[Row]) -> list[str]:
    """The methods that have a result in some run.

    Examples
    --------
    >>> reached_in([{"method": "a", "mse": None}, {"method": "b", "mse": 1.0}])
    ['b']
    """
    return list(dict.fromkeys(row["method"] for row in rows if row["mse"] is not None))


def groups_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows that are compared with each other, under a title: all but data set, seed and size agree.

    Examples
    --------
    >>> rows = [{"activation": a, "dataset": "d", "seed": 0, "share": 0.5} for a in ("tanh", "relu")]
    >>> [title for title, _ in groups_of(rows)]
    ['tanh', 'relu']
    """
    own = {"dataset", "seed", _LAST, "method", "mse", "mse_base"}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        title = ", ".join(str(value) for key, value in row.items() if key not in own)
        groups.setdefault(title, []).append(row)
    return list(groups.items())
