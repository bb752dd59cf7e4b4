"""What is left out of a wide network's recipes is what could not have been the nearest."""

from itertools import product
from math import hypot, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symlump as sl
from symlump.compression.baselines.masked_fit import fit_masked
from symlump.compression.baselines.pruning import largest
from symlump.compression.merging.values import in_single
from symlump.compression.recipes import MERGINGS, Outlook, Recipe

WHOLE, TARGET = 10_000, 2_000
LARGER = (2_400, 3_000, 4_000, 6_000)


def every_recipe():
    merged = [Recipe(name, TARGET) for name in MERGINGS]
    pruned = [Recipe(pruning=name) for name in ("magnitude", "magnitude, layerwise")]
    return merged + pruned + [Recipe(*pair, "magnitude") for pair in product(MERGINGS, LARGER)]


def tried(recipes, by_merging, change, best=inf):
    """What is made, and the least change of it."""
    outlook, made = Outlook(WHOLE, TARGET, False, by_merging), []
    for recipe in outlook.order(recipes):
        if not outlook.is_farther(recipe, best):
            made.append(recipe)
            best = min(best, change(recipe))
            outlook.learn(recipe, change(recipe))
    return made, best


@given(
    power=st.floats(1.0, 2.0),
    cost=st.floats(1e-4, 2.0),
    fall=st.floats(0.3, 3.0),
    better=st.floats(0.5, 3.0),
    layerwise=st.floats(0.7, 3.0),
)
def test_the_nearest_is_made_where_costs_are_as_assumed(power, cost, fall, better, layerwise):
    """Planted: merging changes less at larger sizes, pruning adds a power of the share that goes."""
    bases = {"AFDE": 0.1 * better, "dependence": 0.1}

    def by_merging(name, size):
        return bases[name] * ((WHOLE - size) / (WHOLE - TARGET)) ** fall

    def change(recipe):
        merged = by_merging(recipe.merging, recipe.merged) if recipe.merging else 0.0
        gone = 1 - TARGET / (recipe.merged or WHOLE)
        added = cost * gone**power * (layerwise if "layer" in recipe.pruning else 1.0)
        return hypot(merged, added * bool(recipe.pruning))

    recipes = every_recipe()
    made, best = tried(recipes, by_merging, change)
    assert best == min(map(change, recipes))
    assert len(set(made)) == len(made)


def test_what_is_hopeless_is_neither_pruned_nor_merged():
    asked = []

    def by_merging(name, size):
        asked.append((name, size))
        return 0.1 * TARGET / size * (1.5 if name == "AFDE" else 1.0)

    def change(recipe):
        merged = by_merging(recipe.merging, recipe.merged) if recipe.merging else 0.0
        gone = 1 - TARGET / (recipe.merged or WHOLE)
        return hypot(merged, gone**2 * bool(recipe.pruning))

    made, _ = tried(every_recipe(), by_merging, change)
    pruned = [recipe for recipe in made if recipe.pruning]
    assert pruned == [Recipe("dependence", size, "magnitude") for size in (2_400, 3_000)]
    assert ("dependence", 6_000) not in asked
    assert all(size == TARGET for name, size in asked if name == "AFDE")


def test_merging_that_is_far_already_is_not_pruned():
    changes = {("dependence", TARGET): 0.3, ("AFDE", TARGET): 0.2, ("dependence", 2_400): 0.25}
    outlook = Outlook(WHOLE, TARGET, False, lambda *key: changes[key])
    outlook.learn(Recipe("dependence", TARGET), 0.3)
    outlook.learn(Recipe("AFDE", TARGET), 0.2)
    assert outlook.is_farther(Recipe("dependence", 2_400, "magnitude"), 0.2)
    assert not outlook.is_farther(Recipe("dependence", 2_400, "magnitude"), 0.26)
    assert not outlook.is_farther(Recipe("dependence", TARGET), 0.2)


def test_what_does_not_reach_the_size_may_reach_larger_ones():
    outlook = Outlook(WHOLE, TARGET, False, lambda *key: 0.05)
    outlook.learn(Recipe("dependence", TARGET), 0.1)
    assert not outlook.is_farther(Recipe("AFDE", 2_400, "magnitude"), 0.1)
    outlook.learn(Recipe("AFDE", TARGET), 0.121)
    assert outlook.is_farther(Recipe("AFDE", 2_400, "magnitude"), 0.1)


def test_rounding_foretells_nothing_of_smaller_shares():
    """Bits cost the same however little is pruned: only what a larger network must lose more by is known."""
    outlook = Outlook(WHOLE, TARGET, True, lambda *key: 0.0)
    outlook.learn(Recipe("dependence", 2_400, "magnitude", 4), 0.1)
    assert not outlook.is_farther(Recipe("dependence", 6_000, "magnitude", 4), 0.0701)
    assert outlook.is_farther(Recipe("dependence", 6_000, "magnitude", 4), 0.0699)
    assert not outlook.is_farther(Recipe("dependence", 6_000, "magnitude", 8), 0.0699)


def wide(activation, seed, inputs=6):
    rng = np.random.default_rng(seed)
    sizes = (inputs, 256, 64, 3)
    weights = [rng.standard_normal((b, a)) / a**0.5 for a, b in zip(sizes, sizes[1:], strict=False)]
    biases = [0.1 * rng.standard_normal(b) for b in sizes[1:]]
    return sl.Network.dense(weights, biases, activation=activation, dtype="float32")


@pytest.mark.parametrize("count", ["parameters", "bytes"])
@pytest.mark.parametrize(("activation", "share"), [("tanh", 0.3), ("relu", 0.6)])
def test_a_wide_network_is_as_near_as_if_all_were_tried(activation, share, count, monkeypatch):
    net = wide(activation, 3)
    quick = sl.compress(net, sl.Combined(retain=share, count=count))
    assert "being foreseen to be farther" in quick.reduction.note
    monkeypatch.setattr(Outlook, "is_farther", lambda self, recipe, best: False)
    slow = sl.compress(net, sl.Combined(retain=share, count=count))
    assert "foreseen" not in slow.reduction.note
    assert quick.eps <= 1.05 * slow.eps


def test_single_precision_fits_are_as_good():
    net = wide("tanh", 0)
    x = np.random.default_rng(1).standard_normal((1000, 6))
    pruned = sl.compress(net, sl.Magnitude(0.4)).network
    from dataclasses import replace

    double = replace(net, dtype="float64")
    assert in_single(net) and not in_single(double)
    single = fit_masked(net, pruned, [x])
    other = fit_masked(double, pruned, [x])
    errors = [float(np.mean((fitted(x) - net(x)) ** 2)) for fitted in (single, other)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)
    assert errors[1] < 0.5 * float(np.mean((pruned(x) - net(x)) ** 2))


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=30),
    count=st.integers(0, 30),
)
def test_the_largest_are_the_first_of_those_in_order(scores, count):
    count = min(count, len(scores))
    first = sorted(range(len(scores)), key=lambda n: -scores[n])[:count]
    mask = largest(np.array(scores), count)
    assert np.flatnonzero(mask).tolist() == sorted(first)
