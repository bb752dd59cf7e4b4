"""Rounds of refinement as relational operations.

Whether two variables belong together depends on sums of coefficients, one sum for each key: backward, a key
is a monomial with blocks in place of variables; forward, a block with a monomial of the derivative. A random
number for each key, joined to the terms, makes one number of all sums of a variable: different numbers prove
different sums, and equal ones make equal sums likely. The number of a key is a hash of random numbers of its
parts, so no table of keys is needed: of a monomial it is that of Σ power·r(block), and of m/x_v of the sum of m
less r(v).

Two such numbers are made at once, modulo a prime of 31 bits. What chance does not separate the exact comparison
finds, and another prime separates it.
"""

from __future__ import annotations

import random

from symlump.store.working import PRIME, Working


def refine(work: Working, blocks: int, seed: random.Random) -> tuple[int, int]:
    """Split blocks until their number stays; returns it, and the number of rounds."""
    rounds = 0
    if work.direction == "forward" and not work.linear:
        _derivative_keys(work, seed)
    while blocks < work.store.variables:
        rounds += 1
        _values(work, seed)
        before, blocks = blocks, _split(work)
        if blocks == before:
            break
    return blocks, rounds


def _hash(what: str, seed: random.Random) -> str:
    """64 random bits of a number; other bits for every call. Hashed twice, for one hash only xors seeds in."""
    return f"hash(xor(hash({what}), {seed.getrandbits(64)}::ubigint))"


def _residues(bits: str) -> str:
    """Two residues a, b of 64 random bits."""
    return f"({bits} & {PRIME})::integer as a, ({bits} >> 33)::integer as b"


def _part(what: str, seed: random.Random) -> str:
    """A random number of 40 bits, of which 2^20 times 2^3 still fit in 64."""
    return f"({_hash(what, seed)} >> 24)::bigint"


def _sums(prime: int, by: str, value: str = "", a: str = "w.a", b: str = "w.b") -> str:
    """Two sums of products, modulo the prime, from 0 on."""
    total = "sum(({0} * {1}) % {p})::bigint"
    first, second = (total.format(value, x, p=prime) for x in (a, b))
    return (
        f"{by}, (({first} % {prime}) + {prime}) % {prime} as a, "
        f"(({second} % {prime}) + {prime}) % {prime} as b"
    )


def _values(work: Working, seed: random.Random) -> None:
    """Make the table ``s`` (variable, a, b); variables without terms are not in it."""
    db = work.db
    of_block = _hash("block", seed)
    weights = (
        f"(select variable as id, {_residues('h')} from (select variable, {of_block} as h from v))"
    )
    if work.linear:
        db.table(
            "s",
            f"select {_sums(work.prime, 'own as variable', work.residue)} from t join {weights} w "
            "on t.other = w.id group by own",
        )
    elif work.direction == "backward":
        draws = _part("block", seed)
        key = _hash("sum(power * r)::bigint", seed)
        none = _hash("0::bigint", seed)  # of the monomial 1
        db.table(
            "e",
            f"select monomial as id, {_residues('h')} from (select monomial, {key} as h from f join "
            f"(select variable, {draws} as r from v) using (variable) group by monomial)",
        )
        one = db.one(f"select {_residues(none)}")
        a, b = f"coalesce(w.a, {one[0]})", f"coalesce(w.b, {one[1]})"
        db.table(
            "s",
            f"select {_sums(work.prime, 'row as variable', work.residue, a, b)} from t left join e w "
            "on t.monomial = w.id group by row",
        )
    else:
        # The derivative of Σ weight(block of k)·q_k by x_v is Σ power·W_m·m/x_v over the monomials m.
        db.table(
            "e",
            f"select {_sums(work.prime, 'monomial as id', work.residue)} from t join {weights} w "
            "on t.row = w.id group by monomial",
        )
        sums = _sums(work.prime, "variable", "1::bigint", "(d.a * w.a)", "(d.b * w.b)")
        db.table("s", f"select {sums} from d join e w on d.monomial = w.id group by variable")


def _derivative_keys(work: Working, seed: random.Random) -> None:
    """Make the table ``d`` (monomial, variable, a, b): power times the random numbers of m/x_v."""
    draws = _part("variable", seed)
    bits = _hash("whole - r", seed)
    work.db.table(
        "d",
        f"select monomial, variable, (power * (h & {PRIME})::bigint) % {work.prime} as a, "
        f"(power * (h >> 33)::bigint) % {work.prime} as b from (select monomial, variable, power, "
        f"{bits} as h from (select *, (sum(power * r) over (partition by monomial))::bigint as whole from "
        f"(select *, {draws} as r from f)))",
    )


def _split(work: Working) -> int:
    """Give variables of one block and one value a block of their own; returns the number of blocks."""
    db = work.db
    db.table(
        "x",
        "select v.variable, v.block, coalesce(s.a, 0)::integer as a, coalesce(s.b, 0)::integer as b "
        "from v left join s using (variable)",
    )
    db.drop("s", "e")
    db.table("g", "select block, a, b, min(variable) as first from x group by all")
    db.table(
        "v",
        "select x.variable, g.first as block from x join g on "
        "x.block = g.block and x.a = g.a and x.b = g.b",
    )
    blocks = db.number("select count(*) from g")
    db.drop("x", "g")
    return blocks
