"""The data structure under the exact engine, and the arithmetic it stands on."""

from math import comb, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.datasets.systems import chain, multisite_phosphorylation, planted_backward
from symlump.lumping.refinement.blocks import RefinableBlocks
from symlump.lumping.refinement.field import ModularMatrix, draw, inverses, sums_by_key
from symlump.lumping.refinement.refine import PRIME
from symlump.ode.exact import WORDS

ELEMENTS = 12
steps = st.lists(
    st.dictionaries(st.integers(0, ELEMENTS - 1), st.integers(0, 2), min_size=1), max_size=6
)


@given(st.lists(st.integers(0, 2), min_size=ELEMENTS, max_size=ELEMENTS), steps)
def test_splitting_agrees_with_the_definition(labels, splits):
    start = sl.Partition(labels)
    blocks = RefinableBlocks(start.labels)
    expected = start
    for values in splits:
        before = blocks.labels.copy()
        keys = list(values.items())
        changed = blocks.split(
            np.array([k for k, _ in keys]), np.array([v for _, v in keys], dtype=np.uint64)
        )
        expected = sl.Partition(
            [100 * expected.labels[i] + values.get(i, 99) for i in range(ELEMENTS)]
        )
        assert sl.Partition(blocks.labels) == expected
        assert blocks.count == len(expected)
        assert set(np.flatnonzero(before != blocks.labels)) == set(changed.tolist())
        for block in set(before.tolist()):  # the largest part keeps the number
            parts = np.bincount(blocks.labels[before == block])
            assert parts[block] == parts.max()


@given(st.integers(0, 2**32), st.sampled_from([3, 5, 101, 2**30 + 3, PRIME, WORDS]))
def test_modular_products_are_exact(seed, prime):
    rng = np.random.default_rng(seed)
    rows, columns, count = 5, 7, 40
    data = rng.integers(0, prime, count, dtype=np.uint64)
    where = np.sort(rng.integers(0, rows, count))
    indptr = np.searchsorted(where, np.arange(rows + 1))
    column = rng.integers(0, columns, count)
    matrix = ModularMatrix.of(data, column, indptr, columns, prime)
    x = rng.integers(0, prime, columns, dtype=np.uint64)
    expected = [0] * rows
    for r, c, v in zip(where, column, data, strict=True):
        expected[r] = (expected[r] + int(v) * int(x[c])) % prime
    assert matrix.dot(x).tolist() == expected
    y = rng.integers(0, prime, rows, dtype=np.uint64)
    back = matrix.transpose().dot(y)
    turned = ModularMatrix.of_columns(data, column, indptr, columns, prime)
    assert turned.dot(y).tolist() == back.tolist()
    assert sum(int(a) * b for a, b in zip(y, expected, strict=True)) % prime == (
        sum(int(a) * int(b) for a, b in zip(back, x, strict=True)) % prime
    )


@pytest.mark.parametrize("length", [2**15 + 5, 2**20 + 5])
def test_long_rows_do_not_overflow(length):
    data = np.full(length, PRIME - 1, dtype=np.uint64)
    zeros, one = np.zeros(length, dtype=np.int64), np.array([PRIME - 1], dtype=np.uint64)
    matrix = ModularMatrix.of(data, zeros, np.array([0, length]), 1, PRIME)
    assert matrix.dot(one).tolist() == [length % PRIME]
    turned = ModularMatrix.of_columns(data, zeros, np.arange(length + 1), 1, PRIME)
    assert turned.dot(np.full(length, PRIME - 1, dtype=np.uint64)).tolist() == [length % PRIME]


@pytest.mark.parametrize("prime", [101, PRIME, WORDS])
def test_products_of_large_matrices(prime):
    """Those that scipy multiplies."""
    rng, (rows, columns, count) = np.random.default_rng(0), (300, 200, 30_000)
    data = rng.integers(0, prime, count, dtype=np.uint64)
    row, column = np.sort(rng.integers(0, rows, count)), rng.integers(0, columns, count)
    indptr = np.searchsorted(row, np.arange(rows + 1))
    matrix = ModularMatrix.of(data, column, indptr, columns, prime)
    turned = ModularMatrix.of_columns(data, column, indptr, columns, prime)
    dense = np.zeros((rows, columns), dtype=object)
    np.add.at(dense, (row, column), data.astype(object))
    x, y = (rng.integers(0, prime, n, dtype=np.uint64) for n in (columns, rows))
    assert matrix.dot(x).tolist() == (dense @ x.astype(object) % prime).tolist()
    back = (y.astype(object) @ dense % prime).tolist()
    assert turned.dot(y).tolist() == matrix.transpose().dot(y).tolist() == back
    some = np.array([3, 0, 3])
    assert turned.rows(some).dot(y).tolist() == [back[k] for k in some]


def test_words():
    odd = draw(np.random.default_rng(0), WORDS, 1000)
    assert (odd * inverses(odd, WORDS) == 1).all() and np.unique(odd).size == 1000


@pytest.mark.parametrize("wide", [20, 31, 64])
def test_large_blocks_are_split_by_all_that_fits(wide):
    """Values of many bits are cut where they are sorted with labels and positions."""
    rng = np.random.default_rng(wide)
    labels = np.sort(rng.integers(0, 50, 5000))
    values = rng.integers(0, 2**wide, 300, dtype=np.uint64)[rng.integers(0, 300, labels.size)]
    for some in (slice(None), slice(None, None, 3), slice(None, 400)):
        touched = np.arange(labels.size)[some]
        blocks = RefinableBlocks(labels)
        changed = blocks.split(touched, values[some])
        key = np.full(labels.size, 2**64, dtype=object)
        key[touched] = values[some]
        numbers: dict[tuple[int, int], int] = {}
        pairs = zip(labels.tolist(), key.tolist(), strict=True)
        expected = sl.Partition([numbers.setdefault(pair, len(numbers)) for pair in pairs])
        assert sl.Partition(blocks.labels) == expected
        assert set(changed.tolist()) == set(np.flatnonzero(labels != blocks.labels).tolist())


def test_small_helpers():
    values = np.array([1, 2, PRIME - 1, 12345], dtype=np.uint64)
    assert (values * inverses(values, PRIME) % np.uint64(PRIME)).tolist() == [1] * 4
    keys, sums = sums_by_key(
        np.array([4, 1, 4]), np.array([1, 2, PRIME - 1], dtype=np.uint64), PRIME
    )
    assert keys.tolist() == [1, 4] and sums.tolist() == [2, 0]
    assert sums_by_key(np.array([], dtype=int), np.array([], dtype=np.uint64), PRIME)[0].size == 0


@pytest.mark.parametrize("sites", range(1, 7))
def test_multisite_phosphorylation(sites):
    """E4: 4^n + 2 species, 6n·4^(n−1) reactions, C(n+3, 3) + 2 blocks."""
    ode = multisite_phosphorylation(sites)
    result = sl.lump(ode, sl.Forward())
    assert len(ode) == 4**sites + 2
    assert len(result.partition) == comb(sites + 3, 3) + 2
    assert result.exact
    conditions = {tuple(sorted(np.base_repr(i, 4).zfill(sites))) for i in range(4**sites)}
    by_condition = {
        tuple(sorted(np.base_repr(i, 4).zfill(sites))): int(result.partition.labels[i])
        for i in range(4**sites)
    }
    assert len(set(by_condition.values())) == len(conditions) == comb(sites + 3, 3)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_planted_backward_lumping_comes_back(seed):
    ode, labels = planted_backward(120, 12, 8, seed)
    assert sl.lump(ode, sl.Backward()).partition == sl.Partition(labels)


def test_a_chain_renumbers_little(monkeypatch):
    """The worst case: n splits, and no variable renumbered more than log₂ n times."""
    n, renumbered = 512, []
    split = RefinableBlocks.split

    def counting(self, touched, values):
        changed = split(self, touched, values)
        renumbered.append(changed.size)
        return changed

    monkeypatch.setattr(RefinableBlocks, "split", counting)
    result = sl.lump(chain(n), sl.Backward())
    assert len(result.partition) == n
    assert sum(renumbered) <= n * log2(n)
    assert n <= result.rounds <= n + 5
