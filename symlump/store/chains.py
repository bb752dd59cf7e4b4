"""A Markov chain from a ``.tra`` file to a store, of which some megabytes are in memory at once."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from pathlib import Path

from symlump.errors import FileFormatError, MethodError, SubjectError
from symlump.formats.chains.kind import Chain, Kind
from symlump.formats.chains.tra import Head, Transitions
from symlump.formats.source import file_size, read_pieces
from symlump.ode.notation import number_text
from symlump.store.engine import Engine, demand_disk, memory_bytes
from symlump.store.store import Store
from symlump.store.writing import StoreWriter, writing_store

_MOST_STATES = 2**40
_MOST_BITS = 60


def convert_chain(
    source: str | Path,
    path: str | Path,
    *,
    chain: Chain | None = None,
    memory: int | str = "1GB",
) -> tuple[Store, list[str]]:
    """Write a chain of a ``.tra`` file as a store, with notes on what is not read and what was assumed.

    Parameters
    ----------
    source : str or Path
        The file, of any size.
    path : str or Path
        A folder, which must not exist.
    chain : {"dtmc", "ctmc"}, optional
        Whether the numbers are probabilities or rates; by default the sums of the rows decide, as for
        :func:`symlump.read`.
    memory : int or str
        What writing may take.

    Raises
    ------
    FileFormatError
        If a line is no transition, a state is outside 1 … n, the number of transitions is not the announced
        one, or a number is negative and the matrix is no generator.
    MethodError
        If numbers are too long for a store.
    FailureError
        If the disk is too small, said before the work: it takes about as many bytes as the file has.
    """
    if chain not in (None, "dtmc", "ctmc"):
        raise MethodError(f"chain={chain!r} is neither 'dtmc' nor 'ctmc'")
    demand_disk(Path(path), file_size(source))
    with writing_store(Path(path), memory_bytes(memory)) as writer:
        db = writer.db
        db.run("create table raw (start bigint, stop bigint, p bigint, q bigint)")
        head, last, unread = _read(Path(source), db)
        states = last + 1 if head.states is None else head.states
        try:
            kind, note = _kind(db, head, states, chain or head.chain)
        except FileFormatError as problem:
            raise FileFormatError(f"{source}: {problem}") from None
        _write(writer, head, states, kind)
        notes = [text for text in (unread, note) if text]
        return writer.finish(Path(source).stem, kind == "dtmc", states), notes


def _read(path: Path, db: Engine) -> tuple[Head, int, str]:
    """Fill the table ``raw``; returns the head, the last state that occurs, and what is not read."""
    read = Transitions(read_pieces(path), _MOST_STATES)
    count, last = 0, -1
    for start, stop, values in read:
        if values.numerators.dtype == object:
            raise MethodError(
                f"{path}: a number has a numerator or denominator of 2^62 or more, which a store does not hold"
            )
        assert values.denominators is not None
        arrays = {"a": start, "b": stop, "c": values.numerators, "d": values.denominators}
        db.append("raw", "select a, b, c, d from chunk", arrays)
        count += start.size
        last = max(last, int(start.max(initial=-1)), int(stop.max(initial=-1)))
    read.demand(count)
    return read.head, last, read.note


def _kind(db: Engine, head: Head, states: int, chain: Chain | None) -> tuple[Kind, str]:
    """What the numbers are, by the rules for files in memory: :func:`symlump.formats.chains.kind.kind_of`."""
    value = "p::double / q"
    wrong = "p < 0 and start <> stop" if chain != "dtmc" else "p < 0"
    bad = next(db.rows(f"select start, stop, p, q from raw where {wrong} limit 1"), None)
    if bad is not None:
        raise FileFormatError(
            f"the number from S{bad[0] + head.first} to S{bad[1] + head.first} is negative, "
            f"{number_text(Fraction(bad[2], bad[3]))}; negative may only be the diagonal of a generator, of a "
            "chain in continuous time"
        )
    sums = f"select start, sum({value}) as total, sum(abs({value})) as size from raw group by start"
    if db.number("select count(*) from raw where p < 0"):
        off = db.number(f"select count(*) from ({sums}) where abs(total) * 10000 > size")
        if off:
            raise FileFormatError(
                f"the diagonal is negative, as in a generator, but {off} rows do not sum to 0"
            )
        return (
            ("ctmc", "")
            if chain
            else (
                "matrix",
                "the diagonal is negative: taken as the whole matrix, a generator with its outflow",
            )
        )
    given, off, moved = db.one(
        "select count(*), count(*) filter (abs(total - 1) * 10000 > 1), "
        f"count(*) filter (abs(total - 1) * 10000 > 1 and total <> 0) from ({sums})"
    )
    silent = states - given
    if chain is not None or not given:
        odd = f"taken as probabilities, though {off + silent} rows do not sum to 1"
        return chain or "matrix", odd if chain == "dtmc" and off + silent else ""
    if not off and not silent:
        return "dtmc", "all rows sum to 1: taken as probabilities, a chain in discrete time"
    if not moved and off + silent < states:
        return "ctmc", (
            "rows sum to 1, except of states without transitions: taken as rates, a chain in continuous time"
        )
    return "ctmc", "rows do not sum to 1: taken as rates, a chain in continuous time"


def _write(writer: StoreWriter, head: Head, states: int, kind: Kind) -> None:
    """The system x' = x·R of the table ``raw``; in continuous time what arrives has left somewhere."""
    db = writer.db
    every = f"range({states})"
    names = f"'S' || (range + {head.first})"
    writer.variables.query(
        f"select range as variable, {names} as name, false as parameter, 0 as numerator, 1 as denominator, "
        f"-1 as part from {every}",
        states,
    )
    writer.monomials.query(
        f"select range as monomial, range as variable, 1 as power from {every}", states
    )
    moves = "where start <> stop" if kind == "ctmc" else ""
    writer.terms.query(
        f"select stop as row, start as monomial, p as numerator, q as denominator from raw {moves}",
        db.number(f"select count(*) from raw {moves}"),
    )
    if kind != "ctmc":
        return
    scale = 1
    for (denominator,) in db.rows("select distinct q from raw"):
        scale = lcm(scale, denominator)
        if scale.bit_length() > _MOST_BITS:
            raise SubjectError("the rates have a common denominator of more than 60 bits")
    total = f"sum(p * ({scale}::hugeint // q))"
    db.table("gone", f"select start, -{total} as c from raw where start <> stop group by start")
    common = f"gcd(abs(c), {scale}::hugeint)"
    writer.terms.query(
        f"select start as row, start as monomial, c // {common} as numerator, "
        f"{scale}::hugeint // {common} as denominator from gone where c <> 0",
        db.number("select count(*) from gone where c <> 0"),
    )
    db.drop("gone", "raw")
