"""Opening a system on disk: the checks before any of it is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from symlump.errors import FileFormatError, InputError
from symlump.store.engine import Engine, engine, memory_bytes, parquet, place_to_work
from symlump.store.store import BLOCKS, HEAD, MAX_NUMBER, MAX_POWER, TABLES, VERSION, Store

_MAX_HEAD = 1 << 20
_MAX_NAME = 1000
_MOST = 2**40


def read_store(path: str | Path, memory: int | str = "1GB") -> Store:
    """Open a system on disk, after checking every row.

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
    store = read_head(Path(path))
    with engine(place_to_work(store.path), memory_bytes(memory)) as db:
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


def read_head(path: Path) -> Store:
    """What ``store.json`` says of a system; none of its rows is looked at.

    Raises
    ------
    FileFormatError
        If it is not there, or cannot be right.
    """
    try:
        with open(path / HEAD, "rb") as file:
            data = file.read(_MAX_HEAD + 1)
    except OSError as error:
        raise FileFormatError(
            f"{path} is not a store: {HEAD} cannot be read: {error.strerror}"
        ) from None
    try:
        head = json.loads(data, object_pairs_hook=_once) if len(data) <= _MAX_HEAD else None
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != "symlump store":
        raise FileFormatError(f"{path} is not a store: {HEAD} is not the head of one")
    if head.get("version") != VERSION:
        raise FileFormatError(
            f"{path}: version {head.get('version')!r} of the format is unknown; "
            f"this symlump reads version {VERSION}"
        )
    if head.get("kind") not in ("ode", "map") or not _is_name(head.get("name")):
        raise FileFormatError(
            f'{path}: {HEAD} needs a "kind", ode or map, and a "name", of up to {_MAX_NAME} characters without '
            "control characters"
        )
    counts = {}
    for key in ("variables", "monomials", "factors", "terms"):
        value = head.get(key)
        if type(value) is not int or not 0 <= value < _MOST:
            raise FileFormatError(
                f"{path}: {HEAD}: {key!r} is a whole number from 0 to {_MOST - 1}; found {value!r}"
            )
        counts[key] = value
    if counts["monomials"] > counts["factors"] + counts["terms"] + 1:
        raise FileFormatError(
            f"{path}: {HEAD} announces {counts['monomials']} monomials, and {counts['factors']} factors and "
            f"{counts['terms']} terms; monomials are counted from 0 without large gaps"
        )
    return Store(path, head["name"], head["kind"] == "map", **counts)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, no key of which is there twice: readers differ in which one they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _is_name(name: Any) -> bool:
    """Whether it is a text that can be shown on one line, and be written in UTF-8."""
    return isinstance(name, str) and name == clean_name(name)


def clean_name(name: str) -> str:
    """The name of a system without what a head may not hold.

    Examples
    --------
    >>> clean_name("two\\nlines")
    'two lines'
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", " ", name[:_MAX_NAME])


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
    if (store.path / "blocks").is_dir():
        _check_types(store, db, "blocks", BLOCKS)
        _check_blocks(store, db)
    factors = {"variable": (0, store.variables), "monomial": (0, store.monomials)}
    _check_ranges(store, db, "monomials", factors | {"power": (1, MAX_POWER)})
    _check_ranges(store, db, "variables", {"variable": (0, store.variables)})
    _check_variables(store, db)


def _check_blocks(store: Store, db: Engine) -> None:
    """Of a quotient: each variable of the larger system is in one block, and each block is a variable here."""
    table = store.sql("blocks")
    rows, members, used = db.one(
        f"select count(*), count(distinct variable), count(distinct block) from {table}"
    )
    _check_ranges(store, db, "blocks", {"variable": (0, rows), "block": (0, store.variables)})
    if members != rows:
        raise FileFormatError("blocks: a variable is in two blocks")
    if used != store.variables:
        raise FileFormatError(
            f"blocks: {used} of the {store.variables} variables of the quotient are blocks"
        )


def _check_types(store: Store, db: Engine, table: str, columns: dict[str, str]) -> None:
    """Each file has the columns: of several together the engine would look at the first, and convert others."""
    for path in store.files(table):
        rows = db.rows(f"describe select * from {parquet([path])}")
        found = {name: kind for name, kind, *_ in rows}
        for name, kind in columns.items():
            if found.get(name) != kind:
                raise FileFormatError(
                    f"{table} needs a column {name} of type {kind}; in {path.name} "
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
    faults = {
        "name = '' or parameter is null or denominator < 1 or (numerator is null) <> (denominator is null) "
        f"or abs(numerator::hugeint) >= {MAX_NUMBER} or denominator >= {MAX_NUMBER}": (
            "rows have an empty name, no parameter (true or false), or an initial value that is no fraction of "
            "numbers below 2^62"
        ),
        r"regexp_matches(name, '[\p{Cc}\p{Zl}\p{Zp}]')": "names hold control characters or ends of lines",
        "part < 0": "rows have a negative part; the first is 0",
    }
    counts = ", ".join(f"count(*) filter (where {fault})" for fault in faults)
    for count, said in zip(db.one(f"select {counts} from {table}"), faults.values(), strict=True):
        if count:
            raise FileFormatError(f"variables: {count} {said}")
    moved = db.number(
        f"select count(*) from {store.sql('terms')} where row in "
        f"(select variable from {table} where parameter)"
    )
    if moved:
        raise FileFormatError(
            f"{moved} terms are in the equation of a parameter; those are constant"
        )
