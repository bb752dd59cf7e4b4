"""Ranks over paired runs: places, ties, sizes that are not reached, and intervals."""

import numpy as np
import pytest

from symlump.bench.compared.ranks import mean_interval, mean_ranks, ranks_table, seeds_again


def rows(errors, share=0.5):
    """Errors by data set and seed: a list of dicts for each."""
    return [
        {"dataset": name, "seed": seed, "method": method, "share": share, "mse": error}
        for name, runs in errors.items()
        for seed, run in enumerate(runs)
        for method, error in run.items()
    ]


def test_places_are_averaged_and_what_fails_is_last():
    table = rows(
        {
            "one": [{"a": 1.0, "b": 2.0, "c": None}, {"a": 2.0, "b": 1.0, "c": 3.0}],
            "two": [{"a": 1.0, "b": 1.0, "c": 0.5}, {"a": 1.0, "b": 2.0, "c": 3.0}],
        }
    )
    found = mean_ranks(table, ["a", "b", "c"], 0.5)
    # By hand: a is 1, 2 and 2½, 1; b is 2, 1 and 2½, 2; c is 3, 3 and 1, 3.
    assert [found[m].mean for m in "abc"] == pytest.approx([1.625, 1.875, 2.5])
    assert [found[m].first for m in "abc"] == [0.5, 0.25, 0.25]
    for rank in found.values():
        assert 1 <= rank.low <= rank.mean <= rank.high <= 3


def test_where_no_method_reaches_a_size_none_is_first():
    table = rows({"one": [{"a": None, "b": None}, {"a": 1.0, "b": 1.0}]})
    for rank in mean_ranks(table, ["a", "b"], 0.5).values():
        assert rank.mean == 1.5 and rank.first == 0.5


def test_intervals_cover_the_truth():
    """Two methods that are equally good: the interval of nearly every sample holds 1½."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        errors = {
            str(d): [dict(zip("ab", rng.random(2), strict=True)) for _ in range(5)]
            for d in range(8)
        }
        rank = mean_ranks(rows(errors), ["a", "b"], 0.5)["a"]
        covered += rank.low <= 1.5 <= rank.high
    assert covered >= 52


def test_the_interval_of_a_mean():
    # Of two sets drawn twice the mean is 0, ½ or 1, in a quarter, a half and a quarter of the draws.
    assert mean_interval([np.array([0.0]), np.array([1.0])]) == (0.0, 1.0)
    # One set: what its seeds drawn again give, so the percentiles of these.
    values = np.random.default_rng(1).permutation(4000) / 4000
    assert mean_interval([values]) == pytest.approx((0.025, 0.975), abs=0.02)
    # Sets of different lengths are drawn alike.
    low, high = mean_interval([np.zeros(1), np.ones(999)])
    assert (low, high) == (0.0, 1.0)


def test_intervals_of_means_cover_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        found = rng.normal(size=(8, 5))
        again = [own[seeds_again(5)].mean(axis=1) for own in found]
        low, high = mean_interval(again)
        covered += low <= 0 <= high
    assert covered >= 52


def test_the_best_of_each_size_is_bold():
    table = rows({"one": [{"a": 1.0, "b": 2.0}]}, 0.5) + rows({"one": [{"a": 3.0, "b": 2.0}]}, 0.1)
    assert ranks_table(table, ["a", "b"]).splitlines() == [
        "| method | 50% | 10% |",
        "|---|---|---|",
        "| a | **1.0 (1.0–1.0), 100 %** | 2.0 (2.0–2.0), 0 % |",
        "| b | 2.0 (2.0–2.0), 0 % | **1.0 (1.0–1.0), 100 %** |",
    ]
