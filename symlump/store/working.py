"""What a lumping on disk works on: integer terms in small types, and the initial blocks.

All coefficients are multiplied by their least common denominator, which changes no equality of sums; from then
on everything is arithmetic with integers, in rounds modulo a prime and exact in the comparison. A block is
called by its first variable, so that equal partitions have equal tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Literal

from symlump.errors import FailureError, MethodError, SubjectError, VariableError
from symlump.formats.source import quote
from symlump.store.engine import Engine, quote_text
from symlump.store.store import Store
from symlump.suggest import did_you_mean

#: The Mersenne prime 2^31 − 1, modulo which the first rounds are; it also takes 31 of random bits.
PRIME = 2**31 - 1
#: Sums of this many bits are exact in the engine's widest integers.
_WIDEST = 126
_MACHINE = 62
_NO_LIMIT = "in memory there is no such limit: lump(store.model().ode, …)"


@dataclass(frozen=True)
class Working:
    """The tables of one lumping in an engine.

    ``t`` (own, other, c) has the terms of a linear system: backward, own is the equation and other the variable
    in it, and forward the other way round, for then both ask whether sums of c over blocks of ``other`` agree.
    Of any other system ``t`` is (row, monomial, c), and ``f`` (monomial, variable, power) has the factors.
    ``v`` (variable, block) is the partition.

    Parameters
    ----------
    db : Engine
    store : Store
    direction : {"forward", "backward"}
    linear : bool
        Whether each monomial is one variable.
    scale : int
        The common denominator.
    type, sum_type : str
        The types of coefficients, and of exact sums of them.
    id_type : str
        The type of variables and monomials.
    prime : int
        Modulo which rounds are; less than 2^31.
    """

    db: Engine
    store: Store
    direction: str
    linear: bool
    scale: int
    type: str
    sum_type: str
    id_type: str
    prime: int = PRIME

    @property
    def residue(self) -> str:
        """A coefficient in SQL, so small that its product with a residue fits in 64 bits."""
        return "t.c::bigint" if self.type == "integer" else f"(t.c % {self.prime})::bigint"


def prepare(db: Engine, store: Store, direction: str) -> Working:
    """Make the tables of a store, all but the partition.

    Raises
    ------
    FailureError
        If the coefficients have a common denominator too large for the engine's integers.
    """
    terms, factors = store.sql("terms"), store.sql("monomials")
    scale = common_denominator(db, store, "terms", "coefficients")
    widest = db.number(
        f"select max(abs(numerator)::hugeint * ({scale}::hugeint // denominator)) from {terms}"
    )
    power = db.number(f"select max(power) from {factors}")
    bound = widest * max(1, store.terms) * max(1, power)
    if bound.bit_length() > _WIDEST:
        raise _too_wide(store, bound.bit_length())
    kind = "integer" if widest < PRIME else "bigint" if widest < 2**_MACHINE else "hugeint"
    ids = "integer" if max(store.variables, store.monomials) < 2**31 else "bigint"
    single, all_one = db.one(
        f"select count(distinct monomial), coalesce(bool_and(power = 1), true) from {factors}"
    )
    linear = single == store.factors == store.monomials and all_one
    work = Working(
        db,
        store,
        direction,
        linear,
        scale,
        kind,
        "bigint" if bound.bit_length() <= _MACHINE else "hugeint",
        ids,
    )
    value = f"(numerator * ({scale}::hugeint // denominator))::{kind} as c"
    if scale == 1:
        value = f"numerator::{kind} as c"
    if not linear:
        db.table(
            "t",
            f"select row::{ids} as row, monomial::{ids} as monomial, {value} from {terms} "
            "where numerator <> 0",
        )
        db.table(
            "f",
            f"select monomial::{ids} as monomial, variable::{ids} as variable, "
            f"sum(power)::bigint as power from {factors} group by all",
        )
        return work
    same = monomials_are_variables(db, store)
    variable = "monomial" if same else "variable"
    joined = "" if same else f"join (select monomial, variable from {factors}) using (monomial)"
    own, other = (variable, "row") if direction == "forward" else ("row", variable)
    db.table(
        "t",
        f"select {own}::{ids} as own, {other}::{ids} as other, {value} from {terms} {joined} "
        "where numerator <> 0",
    )
    return work


def monomials_are_variables(db: Engine, store: Store) -> bool:
    """Whether monomial v of a linear system is variable v."""
    table = store.sql("monomials")
    return db.number(f"select count(*) from {table} where monomial <> variable") == 0


def common_denominator(db: Engine, store: Store, table: str, what: str) -> int:
    """The least common denominator of a table.

    Raises
    ------
    FailureError
        If it is so large that products with it do not fit into the engine's integers.
    """
    scale, source = 1, store.sql(table)
    for (denominator,) in db.rows(
        f"select distinct denominator from {source} where denominator > 0"
    ):
        scale = lcm(scale, denominator)
        if scale.bit_length() > 64:
            raise FailureError(
                f"{store.path}: the common denominator of the {what} has {scale.bit_length()} bits or "
                f"more, and the engine works with up to 64; {_NO_LIMIT}"
            )
    return scale


def _too_wide(store: Store, bits: int) -> FailureError:
    return FailureError(
        f"{store.path}: over a common denominator the coefficients may have sums of {bits} bits, and the "
        f"engine adds exactly up to {_WIDEST}; {_NO_LIMIT}"
    )


def start_blocks(
    work: Working, initial: Literal["one", "file", "values"], keep: Sequence[str]
) -> int:
    """Make the table ``v`` of what may merge; returns the number of blocks.

    Parameters
    ----------
    work : Working
    initial : {"one", "file", "values"}
        Everything; what has one part; what has equal initial values.
    keep : sequence of str
        Variables that stay alone, as parameters do.

    Raises
    ------
    MethodError
        If ``initial`` is none of these, or initial values are not known.
    VariableError
        If a name is unknown.
    """
    db, table, ids = work.db, work.store.sql("variables"), work.id_type
    keys = {
        "one": "0",
        "file": "part",
        "values": "numerator // gcd(numerator, denominator), denominator // gcd(numerator, denominator)",
    }
    if initial not in keys:
        raise MethodError(f"initial={initial!r} is unknown; choose 'one', 'file' or 'values'")
    if initial == "values":
        demand_initial_values(db, work.store)
    names = ", ".join(quote_text(name) for name in keep) or "null"
    known = {name for (name,) in db.rows(f"select name from {table} where name in ({names})")}
    for name in keep:
        if name not in known:
            some = [n for (n,) in db.rows(f"select name from {table} order by variable limit 1000")]
            raise VariableError(
                f"{quote(name)} is no variable of {work.store.path}"
                f"{did_you_mean(name, some, 'the first are ')}{', '.join(some[:8])}"
            )
    alone = f"if(parameter or name in ({names}), variable, null)"
    group = (
        f"{keys[initial]}, {alone}" if keep else f"{keys[initial]}, if(parameter, variable, null)"
    )
    db.table(
        "v",
        f"select variable::{ids} as variable, "
        f"(min(variable) over (partition by {group}))::{ids} as block from {table}",
    )
    return db.number("select count(*) from v where variable = block")


def demand_initial_values(db: Engine, store: Store) -> None:
    """Refuse to compare initial values that are not known.

    Raises
    ------
    MethodError
        If there are any.
    """
    if db.number(
        f"select count(*) from {store.sql('variables')} where denominator is null and not parameter"
    ):
        raise SubjectError(
            f"{store.path} does not know the initial values of all variables, which initial='values' compares "
            "and a model file as output holds; a folder as output with another initial partition needs none"
        )
