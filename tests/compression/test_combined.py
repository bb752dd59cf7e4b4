"""What is returned for a size is the best of what was tried, on inputs that nothing was fitted on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc
from torch import nn

import symlump as sl
from symlump.compression.baselines.quantize import stored_numbers
from symlump.compression.combined import _nearest, _room
from symlump.compression.recipes import Recipe
from symlump.errors import FailureError, MethodError
from symlump.plan import share_of
from symlump.progress import _SAID


def trained_like(seed, sizes=(4, 16, 12, 3)):
    """Random weights whose units are noisy copies of few, as training makes them."""
    rng = np.random.default_rng(seed)
    weights = []
    for before, units in zip(sizes, sizes[1:], strict=False):
        few = rng.standard_normal((max(2, units // 3), before))
        rows = few[rng.integers(len(few), size=units)] if units > 3 else few[:units]
        rows = rows if len(rows) == units else rng.standard_normal((units, before))
        weights.append((rows + 0.1 * rng.standard_normal((units, before))) / np.sqrt(before))
    return sl.Network.dense(
        weights, [0.1 * rng.standard_normal(n) for n in sizes[1:]], dtype="float32"
    )


def change(net, small, x):
    return np.sqrt(np.mean((net(x) - small(x)) ** 2, axis=0).sum() / np.var(net(x), axis=0).sum())


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.8, 0.5, 0.25]))
def test_it_is_ahead_of_each_method_alone(seed, share):
    net = trained_like(seed)
    x = np.random.default_rng(seed).standard_normal((20_000, 4))
    best = sl.compress(net, sl.Combined(retain=share))
    assert best.retained <= share
    assert best.eps == pytest.approx(change(net, best.network, x), rel=0.15)
    for method in (
        sl.AFDE(retain=share),
        sl.Dependence(retain=share),
        sl.Magnitude(share, refit=True),
        sl.Magnitude(share, "layerwise", refit=True),
    ):
        other = sl.compress(net, method)
        assert change(net, best.network, x) <= 1.1 * change(net, other.network, x)


def test_samples_that_decide_are_not_fitted_on():
    """A hundred samples in eighty dimensions: what fits their noise would look perfect on them."""
    rng = np.random.default_rng(0)
    net = sl.Network.dense([rng.standard_normal(s) / 8 for s in [(60, 80), (60, 60), (2, 60)]])
    x = rng.standard_normal((100, 80))
    result = sl.compress(net, sl.Combined(retain=0.8, inputs=x))
    fresh = rng.standard_normal((5000, 80))
    assert result.eps > 0.7 * change(net, result.network, fresh)
    alone = sl.compress(net, sl.Magnitude(0.8, refit=True, inputs=x)).network
    assert change(net, alone, x) < 0.4 * change(net, alone, fresh)


def test_samples_may_come_in_an_order():
    """Every fourth point of a Sobol sequence lies in a corner; fits on the others are far off there."""
    x = qmc.scale(qmc.Sobol(2, seed=0).random_base2(7), (-3, -3), (3, 3))
    assert np.ptp(x[3::4], axis=0).max() < 0.5 * np.ptp(x, axis=0).min()
    rng = np.random.default_rng(1)
    net = sl.Network.dense([rng.standard_normal(s) for s in [(32, 2), (32, 32), (1, 32)]])
    ordered, mixed = (
        sl.compress(net, sl.Combined(retain=0.3, inputs=samples)).eps
        for samples in (x, rng.permutation(x))
    )
    assert ordered < 2 * mixed


def test_a_tolerance_is_kept_on_new_inputs():
    net = trained_like(3)
    plan = sl.Combined(eps=0.1).plan(net)
    x = np.random.default_rng(7).standard_normal((20_000, 4))
    sizes = []
    for eps in (0.0, 0.01, 0.1, 0.3):
        found = plan.at(eps)
        assert change(net, found.network, x) <= 1.15 * eps + 1e-6
        assert found.retained_parameters == plan.size(eps)
        sizes.append(plan.size(eps))
    reached = plan.reach(100)
    assert reached.retained_parameters <= 100 and plan.size(plan.tolerance(100)) <= 100
    assert net.parameters >= sizes[0] > sizes[-1] and sizes == sorted(sizes, reverse=True)


def test_copies_are_merged_exactly_with_their_proof():
    rng = np.random.default_rng(1)
    row = rng.standard_normal((4, 3))
    net = sl.Network.dense([np.repeat(row, 3, axis=0), rng.standard_normal((2, 12))])
    for method in (sl.Combined(eps=0), sl.Combined(retain=0.5)):
        result = sl.compress(net, method)
        assert result.exact and [layer.units for layer in result.network.hidden] == [4]


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_bytes_hold_what_is_counted(share):
    net = trained_like(5, (4, 40, 30, 3))
    result = sl.compress(net, sl.Combined(retain=share, count="bytes"))
    assert result.retained <= share
    x = np.random.default_rng(2).standard_normal((5000, 4))
    alone = sl.compress(net, sl.Quantize(retain=share)).network
    assert change(net, result.network, x) <= 1.05 * change(net, alone, x)


@given(
    seed=st.integers(0, 99),
    bits=st.sampled_from([4, 6, 8, 32]),
    share=st.floats(0.1, 0.9),
)
def test_pruned_weights_fit_the_room(seed, bits, share):
    net = trained_like(seed)
    target = int(share * net.parameters)
    try:
        size = _room(net, bits, 32, target)
    except (FailureError, MethodError):
        return
    try:
        pruned = sl.Magnitude(size / net.parameters).apply(net).network
    except MethodError:
        return  # biases alone are more
    total = sum(stored_numbers(pruned, bits, "row" if bits < 32 else "", "marked"))
    assert total <= target
    # Counted again, layer by layer: bits of weights, a bit a place, a step a row, the biases.
    by_hand = sum(
        -(-(int((n.weight != 0).sum()) * bits + n.weight.size) // 32)
        + n.units * (bits < 32)
        + n.bias.size
        for n in pruned.layers
    )
    assert total == by_hand


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6 * 16, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.last((x + torch.relu(self.inner(x))).flatten(1))


def test_a_module_comes_back_as_a_module():
    torch.manual_seed(0)
    model = Residual()
    x = torch.randn(200, 1, 4, 4)
    result = sl.compress(model, sl.Combined(retain=0.5, inputs=x), example=x[:2])
    assert isinstance(result.model, nn.Module) and result.retained <= 0.5
    assert np.allclose(result.model(x).detach(), result.network(x.numpy()), atol=1e-4)
    assert "the best of" in result.reduction.note


def test_what_cannot_be_reached_is_said():
    net = trained_like(0)
    with pytest.raises(FailureError, match="nothing of at most 2 parameters"):
        sl.Combined(retain=0.5).plan(net).reach(2)
    with pytest.raises(MethodError, match="choose 'parameters' or 'bytes'"):
        sl.Combined(retain=0.5, count="weights")
    with pytest.raises(MethodError, match="exactly one of"):
        sl.Combined()


@pytest.mark.parametrize("count", ["parameters", "bytes"])
def test_of_a_size_out_of_reach_one_within_is_named(count):
    """One unit in each layer: 4 + 1 + 3 weights, and 1 + 1 + 3 biases."""
    plan = sl.Combined(retain=0.5, count=count).plan(trained_like(0))
    steps = "merging" if count == "bytes" else "merging or pruning"
    with pytest.raises(FailureError, match=rf"1 parameter was found \({steps} alone reaches 13\)"):
        plan.reach(1)
    assert plan.reach(13).retained_parameters <= 13


@pytest.mark.parametrize("wish", [{"retain": 0.5}, {"eps": 0.1}, {"eps": 0}])
@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (np.zeros((100, 7)), "samples, 4"),
        (np.full((100, 4), np.nan), "not finite"),
        (np.zeros((0, 4)), "at least one sample"),
        (sl.Normal(np.zeros(7)), "the network has 4 inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_named(wish, inputs, why):
    """And are not taken for a size that nothing reaches, or a network that nothing makes smaller."""
    with pytest.raises(MethodError, match=why):
        sl.compress(trained_like(0), sl.Combined(**wish, inputs=inputs))


@pytest.mark.parametrize("wish", [{"retain": 0.5}, {"eps": 0.1}])
def test_numbers_that_overflow_are_named(wish):
    rng = np.random.default_rng(0)
    weights = [1e140 * rng.standard_normal(s) for s in [(6, 4), (6, 6), (2, 6)]]
    net = sl.Network.dense(weights, activation="relu")
    with pytest.raises(MethodError, match="overflow"):
        sl.compress(net, sl.Combined(**wish))


def test_what_was_fitted_on_is_said():
    x = np.random.default_rng(0).standard_normal((64, 4))
    net = trained_like(0)
    for samples, words in ((x, "were not fitted on"), (x[:63], "were fitted on, since there are")):
        result = sl.Combined(retain=0.5, inputs=samples).plan(net).retain(0.5)
        assert words in result.measure


def test_no_change_that_was_seen_is_no_defect_of_zero():
    """Outputs that never move: nothing is lost on any input, yet the weights were changed."""
    rng = np.random.default_rng(0)
    first, bias = rng.standard_normal((8, 3)), rng.standard_normal(8)
    net = sl.Network.dense([first, np.zeros((2, 8))], [bias, np.ones(2)])
    result = sl.compress(net, sl.Combined(retain=0.5))
    assert result.eps == 0 and not result.exact and result.defect > 0
    assert f"defect δ = {result.defect:.4g}" in str(result) and "defect 0" not in str(result)


def test_one_sample_counts_as_off_by_the_spread_at_most():
    line = sl.Network.dense([[[1.0], [-1.0]], [[1.0, -1.0]]], activation="relu")
    less = sl.Network.dense([[[1.0], [-1.0]], [[0.6, -0.6]]], activation="relu")
    bent = sl.Network.dense(
        [[[1.0], [-1.0], [1.0]], [[1.0, -1.0, 1000.0]]],
        [[0.0, 0.0, -2.8], None],
        activation="relu",
    )
    x = np.random.default_rng(0).standard_normal((4000, 1))
    plan = sl.Combined(retain=0.5, inputs=x).plan(line)
    (seen,) = plan._samples[1]
    far = (seen > 2.8).mean()
    assert 0 < far < 0.01
    changes, cut = zip(*(plan._change(net, plan._outputs) for net in (less, bent)), strict=True)
    assert changes == pytest.approx([change(line, net, seen) for net in (less, bent)])
    assert changes[0] < 0.5 < 1 < changes[1]
    assert cut == pytest.approx((0.4, far**0.5), rel=0.1)


def test_where_another_is_clearly_nearer_to_most_samples_they_decide():
    near, far = Recipe("AFDE", 10), Recipe("dependence", 10)
    assert _nearest([(0.4, 0.4, near), (0.45, 0.37, far)], few=True) == (0.4, near)
    assert _nearest([(0.4, 0.4, near), (0.45, 0.35, far)], few=True) == (0.45, far)
    assert _nearest([(0.4, 0.4, near), (0.45, 0.1, far)], few=False) == (0.4, near)
    assert _nearest([(0.6, 0.6, near), (0.7, 0.3, far)], few=True) == (0.7, far)
    assert _nearest([(0.6, 0.6, near), (0.7, 0.3, far)], few=False) == (0.6, near)
    assert _nearest([(1e-16, 1e-16, near), (0.0, 0.0, far)], few=True) == (1e-16, near)


def test_methods_that_are_not_for_a_network_are_named():
    """One layer has no units that merge; with samples all that prunes is tried."""
    net = sl.Network.dense([np.random.default_rng(0).standard_normal((5, 16))], [np.ones(5)])
    for more, count in (
        ({}, 2),
        ({"inputs": np.random.default_rng(1).standard_normal((200, 16))}, 4),
    ):
        note = sl.compress(net, sl.Combined(retain=0.5, **more)).reduction.note
        assert (
            f"the best of {count} that were tried; not for this network or size: AFDE / dependence"
            in note
        )


def test_a_spinner_says_what_is_being_tried():
    said = []
    token = _SAID.set(said.append)
    sl.compress(trained_like(0), sl.Combined(retain=0.5))
    _SAID.reset(token)
    size = share_of(trained_like(0).parameters, 0.5)
    assert said[0] == f"AFDE (1 of {len(said)}), to {size}" and "then magnitude" in said[-1]


def test_recipes_read_in_words():
    assert str(Recipe("AFDE", 10, "magnitude", 4)) == "AFDE, then magnitude, then 4 bits"
    assert str(Recipe(bits=-1)) == "fewer bits"


def test_second_order_is_tried_where_there_are_samples():
    net, x = trained_like(0), np.random.default_rng(0).standard_normal((200, 4))
    target = net.parameters // 2
    plan = sl.Combined(retain=0.5, inputs=x).plan(net)
    (recipe,) = (r for r in plan._recipes(target) if r.pruning == "second order")
    made = plan._made(recipe, target, deciding=False).network
    alone = sl.SecondOrder(target / net.parameters, inputs=x).apply(net).network
    for one, other in zip(made.layers, alone.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)
    without = sl.Combined(retain=0.5).plan(net)
    assert all(r.pruning not in ("Wanda", "second order") for r in without._recipes(target))
