"""The certificate of a lumping on disk, written in one pass; only one equation is in memory at a time.

It claims what the exact comparison has found, the partition inside the initial one and the quotient, in the
format that :mod:`symlump.proof.check` reads. Why nothing coarser will do is not recorded: that needs the
history of every split.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from math import gcd
from pathlib import Path
from typing import Any, TextIO

from symlump.errors import CertificateError
from symlump.files import replacing
from symlump.memory import size_text
from symlump.proof.check import MAX_CHARACTERS
from symlump.store.engine import Engine
from symlump.store.store import Store
from symlump.store.working import Working

#: Bytes that the checker takes in memory for each character of a file, about.
_A_CHARACTER = 25


def write_certificate(work: Working, quotient: Store, path: str | Path) -> None:
    """Write the certificate of the partition in the table ``v``, inside that of the table ``v0``.

    Parameters
    ----------
    work : Working
    quotient : Store
        The reduced system, in the same order of blocks.
    path : str or Path
        Written whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    db, store = work.db, work.store
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        head = {"format": "symlump certificate", "version": 1, "kind": work.direction}
        head |= {"tolerance": "0"} | ({"time": "discrete"} if store.discrete else {})
        file.write(json.dumps(head)[:-1])
        file.write(',\n"system": {')
        _write_items(file, _equations(db, store))
        file.write('},\n"quotient": {')
        _write_items(file, _equations(db, quotient))
        file.write('},\n"blocks": {')
        _write_items(file, _blocks(db, store, quotient))
        file.write('},\n"initial": [')
        names = store.sql("variables")
        members = db.rows(
            f"select v0.block, q.name from v0 join {names} q using (variable) order by v0.block, variable"
        )
        for k, (_, rows) in enumerate(groupby(members, lambda row: row[0])):
            file.write((",\n" if k else "\n") + json.dumps([name for _, name in rows]))
        file.write("]}\n")


def check_certificate(path: str | Path, memory: int) -> tuple[bool, str]:
    """Have the checker read a certificate, if it is small enough; whether it accepted, and what to say.

    Raises
    ------
    CertificateError
        If the checker refuses it.
    """
    from symlump.proof.certificate import Certificate

    size = Path(path).stat().st_size
    if size > MAX_CHARACTERS:
        return (
            False,
            f"not checked: the checker reads {size_text(MAX_CHARACTERS)}, it has {size_text(size)}",
        )
    if _A_CHARACTER * size > memory:
        need = size_text(_A_CHARACTER * size)
        return False, f"not checked: that takes about {need} of memory; symlump check does it"
    verdict = Certificate.read(path).check()
    if verdict.answer == "rejected":
        raise CertificateError(f"the checker refused this lumping: {verdict.reason}")
    return verdict.accepted, f"{verdict.answer}: {verdict.reason}"


def _write_items(file: TextIO, items: Iterator[tuple[str, Any]]) -> None:
    for k, (name, value) in enumerate(items):
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        file.write((",\n" if k else "\n") + json.dumps(name, ensure_ascii=False) + ": " + text)


def _equations(db: Engine, store: Store) -> Iterator[tuple[str, list[Any]]]:
    """Each variable with its terms; of a map a parameter is its own next value."""
    variables, terms, factors = (store.sql(t) for t in ("variables", "terms", "monomials"))
    rows = db.rows(
        "select x.variable, x.name, x.parameter, t.id, t.numerator, t.denominator, y.name, f.power "
        f"from {variables} x left join (select *, row_number() over () as id from {terms} "
        "where numerator <> 0) t on t.row = x.variable left join "
        f"(select monomial, variable, sum(power)::bigint as power from {factors} group by all) f "
        f"on f.monomial = t.monomial left join {variables} y on y.variable = f.variable "
        "order by x.variable, t.id, f.variable"
    )
    for (_, name, parameter), equation in groupby(rows, lambda row: row[:3]):
        found: list[Any] = [["1", [[name, 1]]]] if parameter and store.discrete else []
        for (number, above, below), term in groupby(equation, lambda row: row[3:6]):
            if number is not None:
                monomial = [[factor, power] for *_, factor, power in term if factor is not None]
                found.append([_ratio(above, below), monomial])
        yield name, found


def _ratio(above: int, below: int) -> str:
    common = gcd(above, below)
    return str(above // common) if below == common else f"{above // common}/{below // common}"


def _blocks(db: Engine, store: Store, quotient: Store) -> Iterator[tuple[str, list[str]]]:
    """The name of each block with its members, the first variable first."""
    rows = db.rows(
        f"select n.variable, n.name, q.name from v join b using (block) join {store.sql('variables')} q "
        f"on q.variable = v.variable join {quotient.sql('variables')} n on n.variable = b.number "
        "order by n.variable, v.variable"
    )
    for (_, name), members in groupby(rows, lambda row: row[:2]):
        yield name, [member for *_, member in members]
