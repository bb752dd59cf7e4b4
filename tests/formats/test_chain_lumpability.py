"""Lumpings of Markov chains against all partitions of their states, by the definitions of the literature.

Ordinary lumpability is strong bisimulation, exact lumpability its backward counterpart (Kemeny and Snell,
Finite Markov Chains; Buchholz, doi:10.2307/3215235).
"""

import random
from fractions import Fraction as Q

import pytest

import symlump as sl
from symlump.formats.chains import read_tra
from symlump.formats.source import Source


def partitions(states):
    """All of them."""
    if not states:
        yield []
        return
    first, *rest = states
    for blocks in partitions(rest):
        yield [[first], *blocks]
        for k in range(len(blocks)):
            yield [*blocks[:k], [first, *blocks[k]], *blocks[k + 1 :]]


def ordinary(matrix, blocks, kind):
    """From all states of a block the same goes into each block; of rates, into each other block."""
    return all(
        len({sum(matrix[i][k] for k in into) for i in block}) == 1
        for block in blocks
        for into in blocks
        if kind == "dtmc" or into is not block
    )


def exact(matrix, blocks, kind):
    """Into all states of a block the same comes from each block; of rates, what leaves taken off."""
    loss = [sum(row) - row[k] if kind == "ctmc" else 0 for k, row in enumerate(matrix)]
    own = [matrix[k][k] if kind == "dtmc" else -loss[k] for k in range(len(matrix))]
    return all(
        len({sum(own[k] if i == k else matrix[i][k] for i in source) for k in block}) == 1
        for block in blocks
        for source in blocks
    )


def coarsest(matrix, kind, lumpable, signature):
    """The one of which all others are refinements."""
    found = [
        {frozenset(block) for block in blocks}
        for blocks in partitions(list(range(len(matrix))))
        if all(len({signature[i] for i in block}) == 1 for block in blocks)
        and lumpable(matrix, blocks, kind)
    ]
    best = min(found, key=len)
    assert all(any(block <= other for other in best) for blocks in found for block in blocks)
    return best


def random_chain(draw, kind):
    """Few different numbers, so that many states are alike."""
    n = draw.randint(3, 5)
    if kind == "ctmc":
        return [[draw.choice([0, 0, 1, 2]) if i != j else 0 for j in range(n)] for i in range(n)]
    rows = []
    for _ in range(n):
        row = [Q(0)] * n
        for _ in range(2):
            row[draw.randrange(n)] += Q(1, 2)
        rows.append(row)
    return rows


def written(matrix):
    entries = [(i, j, p) for i, row in enumerate(matrix) for j, p in enumerate(row) if p]
    lines = "".join(f"{i} {j} {p}\n" for i, j, p in entries)
    return f"{len(matrix)} {len(entries)}\n{lines}"


@pytest.mark.parametrize("kind", ["dtmc", "ctmc"])
@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_equivalences_of_chains_are_lumpabilities(kind, method):
    draw, smaller = random.Random(kind), 0
    lumpable = ordinary if method.direction == "forward" else exact
    for _ in range(150):
        matrix = random_chain(draw, kind)
        states = range(len(matrix))
        marked = [k for k in states if draw.random() < 0.2]
        earned = [draw.choice([0, 0, 0, 0, 3]) for _ in states]
        labels = '0="goal"\n' + "".join(f"{k}: 0\n" for k in marked)
        paid = [(k, r) for k, r in enumerate(earned) if r]
        rewards = f"{len(matrix)} {len(paid)}\n" + "".join(f"{k} {r}\n" for k, r in paid)
        read = read_tra(
            Source("c.tra", written(matrix)),
            chain=kind,
            labels=Source("c.lab", labels) if marked else None,
            rewards=[Source("cost.srew", rewards)] if paid else [],
        )
        initial = read.initial_partition(observables=["cost"] if paid else [])
        lumping = sl.lump(read.ode, method, initial)
        signature = [(k in marked, earned[k]) for k in states]
        found = {frozenset(int(name[1:]) for name in block) for block in lumping.blocks}
        assert found == coarsest(matrix, kind, lumpable, signature)
        assert lumping.exact and lumping.certificate().check().coarsest
        smaller += len(found) < len(matrix)
        if method.direction == "forward":
            small = read.quotient(lumping)
            assert {*small.observables} >= ({"goal"} if marked else set()) | (
                {"cost"} if paid else set()
            )
    assert smaller > 5


def test_the_map_of_a_chain_in_discrete_time_is_the_chain():
    matrix = [[0, Q(1, 2), Q(1, 2), 0], [0, 0, 0, 1], [0, 0, 0, 1], [Q(1, 2), 0, 0, Q(1, 2)]]
    read = read_tra(Source("c.tra", written(matrix)), chain="dtmc")
    lumping = sl.lump(read.ode, sl.Forward(), [["S0"], ["S1", "S2"], ["S3"]])
    assert lumping.blocks == (("S0",), ("S1", "S2"), ("S3",))
    after = sl.simulate(lumping.quotient, [1, 0, 0], [0, 1, 2, 3])
    assert after.states.T.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0.5]]
