"""The quotient of a lumping on disk, as a store: the equations of the first variables of blocks."""

from __future__ import annotations

from symlump.store.comparison import canonical_keys
from symlump.store.engine import Engine
from symlump.store.store import Store
from symlump.store.working import Working, common_denominator
from symlump.store.writing import StoreWriter


def write_quotient(work: Working, writer: StoreWriter) -> int:
    """Write the quotient, and the block of each variable; returns the number of its monomials.

    Forward, the equation of a block is the sum of its members', with all but the first variables of blocks set
    to 0; backward, it is that of the first variable, with blocks in place of variables. Blocks are numbered in
    the order of their first variables and called as in memory. Needs the tables of an exact comparison that
    succeeded.
    """
    db = work.db
    db.table(
        "b",
        "select block, row_number() over (order by block) - 1 as number, count(*) as size "
        "from v group by block",
    )
    blocks = db.number("select count(*) from b")
    monomials = _write_terms(work, writer, blocks)
    _write_variables(work, writer, blocks)
    writer.add_blocks("select v.variable, b.number as block from v join b using (block)")
    return monomials


def _write_terms(work: Working, writer: StoreWriter, blocks: int) -> int:
    """Write terms and monomials; returns how many monomials there are."""
    db = work.db
    if work.linear:
        # The table a has (own, block): own is an equation backward, and the variable forward.
        row, column = ("k", "o") if work.direction == "forward" else ("o", "k")
        db.table(
            "y",
            f"select {row}.number as row, {column}.number as monomial, a.c from a "
            "join b o on a.own = o.block join b k on a.k = k.block",
        )
        writer.monomials.query(
            f"select range as monomial, range as variable, 1 as power from range({blocks})", blocks
        )
        _write_coefficients(work, writer)
        return blocks
    if work.direction == "backward":
        terms = "select a.own as block, a.k as key, a.c from a join b on a.own = b.block"
    else:
        first = (
            "select monomial from f join v using (variable) group by monomial "
            "having bool_and(variable = block) union all "
            f"select range::{work.id_type} from range({work.store.monomials}) "
            "where range not in (select monomial from f)"
        )
        canonical_keys(
            work,
            f"select monomial as item from ({first})",
            f"select f.monomial as item, f.variable, f.power from f semi join ({first}) using (monomial)",
        )
        terms = (
            "select fb.block, m.key, sum(fb.c) as c from fb join m on fb.monomial = m.item group by all "
            "having sum(fb.c) <> 0"
        )
    db.table("u", terms)
    db.table(
        "n",
        "select key, row_number() over (order by key) - 1 as number from (select distinct key from u)",
    )
    db.table(
        "y",
        "select b.number as row, n.number as monomial, u.c from u join b using (block) join n using (key)",
    )
    db.table(
        "w",
        "select n.number as monomial, b.number as variable, sum(f.power)::bigint as power "
        "from n join f on n.key = f.monomial join v using (variable) join b on v.block = b.block group by all",
    )
    writer.monomials.query("select * from w", db.number("select count(*) from w"))
    _write_coefficients(work, writer)
    return db.number("select count(*) from n")


def _write_coefficients(work: Working, writer: StoreWriter) -> None:
    """Write the terms of the table ``y``, in lowest terms."""
    common = f"gcd(abs(c)::hugeint, {work.scale}::hugeint)"
    writer.terms.query(
        f"select row, monomial, c // {common} as numerator, {work.scale}::hugeint // {common} as denominator "
        "from y order by row, monomial",
        work.db.number("select count(*) from y"),
    )


def _write_variables(work: Working, writer: StoreWriter, blocks: int) -> None:
    """Write names and initial values: the sum of a block forward, what its members share backward."""
    db, table = work.db, work.store.sql("variables")
    prefix = _prefix(db, work.store)
    top, bottom = "null", "null"
    if work.direction == "backward":
        above, below = (f"{x} // gcd(numerator, denominator)" for x in ("numerator", "denominator"))
        same = f"count(numerator) = count(*) and min({above}) = max({above}) and min({below}) = max({below})"
        top, bottom = f"if({same}, min({above}), null)", f"if({same}, min({below}), null)"
    else:
        scale = common_denominator(db, work.store, "variables", "initial values")
        total = f"sum(numerator * ({scale}::hugeint // denominator))"
        whole = "count(numerator) = count(*)"
        common = f"gcd(abs({total}), {scale}::hugeint)"
        top = f"if({whole}, {total} // {common}, null)"
        bottom = f"if({whole}, {scale}::hugeint // {common}, null)"
    db.table(
        "r",
        f"select b.number as variable, b.size, min_by(q.name, q.variable) as name, "
        f"bool_or(q.parameter) as parameter, coalesce({top}, 0) as numerator, "
        f"coalesce({bottom}, 0) as denominator from {table} q join v using (variable) "
        "join b using (block) group by b.number, b.size",
    )
    writer.variables.query(
        f"select variable, if(size = 1, name, '{prefix}' || "
        "sum((size > 1)::bigint) over (order by variable rows unbounded preceding)) as name, "
        "parameter, numerator, denominator, -1 as part from r order by variable",
        blocks,
    )


def _prefix(db: Engine, store: Store) -> str:
    """y, or what is no name of the system with a number behind it."""
    merged = db.number("select count(*) from b where size > 1")
    prefix = "y"
    while db.number(
        f"select count(*) from {store.sql('variables')} where starts_with(name, '{prefix}') and "
        f"regexp_full_match(substr(name, {len(prefix) + 1}), '[1-9][0-9]{{0,14}}') and "
        f"try_cast(substr(name, {len(prefix) + 1}) as bigint) <= {merged}"
    ):
        prefix = "Y" if prefix == "y" else prefix + "_"
    return prefix
