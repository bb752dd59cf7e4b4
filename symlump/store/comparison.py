"""The exact comparison: do all variables of a block have the same sums, over the rationals?

Two aggregations decide it. The first adds the terms of each variable and key, exactly. The second looks at each
block and key: the members agree if all of them have a sum there and the least is the greatest, or none has.
"""

from __future__ import annotations

from symlump.store.working import Working


def agree(work: Working) -> bool:
    """Make the table ``a`` (own, k, l, c), the sums that are not 0, and compare them.

    The key (k, l) of a linear system is a block and 0. Of others it is, backward, a monomial of blocks and 0,
    by the table ``m`` (item, key); and forward a block and a monomial of the derivative.
    """
    db, total = work.db, work.sum_type
    if work.linear:
        db.table(
            "a",
            f"select t.own, v.block as k, 0 as l, sum(t.c)::{total} as c from t join v "
            "on t.other = v.variable group by all having sum(t.c) <> 0",
        )
    elif work.direction == "backward":
        _mapped_monomials(work)
        db.table(
            "a",
            f"select t.row as own, m.key as k, 0 as l, sum(t.c)::{total} as c from t join m "
            "on t.monomial = m.item group by all having sum(t.c) <> 0",
        )
    else:
        _derivatives(work)
    db.table("z", "select block, count(*) as size from v group by block having count(*) > 1")
    apart = db.number(
        "select count(*) from (select z.size, count(*) as found, min(a.c) as low, max(a.c) as high "
        "from a join v on a.own = v.variable join z on v.block = z.block "
        "group by v.block, z.size, a.k, a.l) where found <> size or low <> high"
    )
    db.drop("z")
    return apart == 0


def _derivatives(work: Working) -> None:
    """The coefficients of ∂f_B/∂x_v: those of f_B (table ``fb``: block, monomial, c), times the power."""
    db, total = work.db, work.sum_type
    db.table(
        "fb",
        f"select v.block, t.monomial, sum(t.c)::{total} as c from t join v on t.row = v.variable "
        "group by all having sum(t.c) <> 0",
    )
    db.table("i", "select row_number() over () as item, * from f")
    canonical_keys(
        work,
        "select item from i",
        "select j.item, i.variable, i.power - (i.variable = j.variable)::bigint as power "
        "from i as j join i using (monomial) where i.power > 1 or i.variable <> j.variable",
    )
    db.table(
        "a",
        f"select i.variable as own, fb.block as k, m.key as l, sum(fb.c * i.power)::{total} as c "
        "from fb join i using (monomial) join m using (item) group by all having sum(fb.c * i.power) <> 0",
    )
    db.drop("i", "m")


def _mapped_monomials(work: Working) -> None:
    """Make the table ``m`` (item, key): monomials with one key are equal with blocks in place of variables."""
    canonical_keys(
        work,
        f"select range::{work.id_type} as item from range({work.store.monomials})",
        "select monomial as item, v.block as variable, sum(power)::bigint as power "
        "from f join v using (variable) group by all",
    )


def canonical_keys(work: Working, items: str, factors: str) -> None:
    """Make the table ``m`` (item, key), the key being the first item with the same factors.

    Parameters
    ----------
    work : Working
    items : str
        A query of the items.
    factors : str
        A query of item, variable, power; no variable twice in an item.

    Notes
    -----
    The factors of an item, in order, are a path from the root of a tree; place by place, a node is called by
    the first item on it. Joins and groups of fixed width spill to disk, which lists in the engine do not.
    """
    db = work.db
    db.table(
        "p",
        "select item, variable, power, row_number() over (partition by item order by variable) as place "
        f"from ({factors})",
    )
    db.table("k", f"select item, -1::bigint as node, 0 as length from ({items})")
    for place in range(1, db.number("select max(place) from p") + 1):
        db.table(
            "q",
            "select p.item, k.node, p.variable, p.power from p join k using (item) "
            f"where p.place = {place}",
        )
        db.table("h", "select node, variable, power, min(item) as first from q group by all")
        db.table("q", "select q.item, h.first from q join h using (node, variable, power)")
        db.table(
            "k",
            f"select k.item, coalesce(q.first, k.node) as node, if(q.first is null, k.length, {place}) "
            "as length from k left join q using (item)",
        )
    # An item that ends on a node and one that goes on from there have different lengths.
    db.table("h", "select node, length, min(item) as key from k group by all")
    db.table("m", "select k.item, h.key from k join h using (node, length)")
    db.drop("p", "k", "q", "h")
