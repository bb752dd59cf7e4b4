"""Bounds must hold, at every layer and for any pair of networks, and must be good."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import hide, random_network

import symlump as sl
from symlump.enclosures.boxes import as_box
from symlump.enclosures.interval import Interval
from symlump.errors import FailureError, MethodError
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.network.bounds.difference import bound_difference, evaluation_error, reachable
from symlump.network.bounds.pairing import alone, side_by_side
from symlump.network.bounds.relaxation import adapt, ranges
from symlump.network.bounds.unrolled import unroll

EVERY = (*ACTIVATIONS, "leaky_relu:0.3", "elu:0.5", "polynomial:0.25,1,-0.5,0.1")


def trained(name, inputs=5, width=16, outputs=2, seed=0, steps=200):
    """A network fitted to a smooth function, by a few steps of gradient descent in numpy."""
    import torch

    from symlump.bench.train import multilayer
    from symlump.network.torch_io import from_torch

    model = multilayer(inputs, (width, width), outputs, name, seed).double()
    x = torch.rand(512, inputs, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1
    y = torch.stack([torch.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2], x[:, 3] ** 2 - x[:, 4]], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y[:, :outputs]).backward()
        optimizer.step()
    return from_torch(model)


def scaled(network, factor):
    """The network with all weights times a number."""
    return sl.Network(
        tuple(replace(layer, weight=factor * layer.weight) for layer in network.chain.layers)
    )


def gradient(network, x, output):
    """∂output/∂x, row by row."""
    values = network.chain.activations(x)
    g = np.zeros_like(values[-1])
    g[:, output] = 1.0
    for layer, h in zip(reversed(network.chain.layers), reversed(values[:-1]), strict=True):
        if layer.groups is not None:
            g = g[:, layer.groups]
        g = (g * layer.activation.slope(layer.pre_activation(h))) @ layer.weight
    return g


def worst_seen(f, g, low, high, samples, seed=0, climb=30):
    """The largest |f − g| over uniform inputs, corners, and ascents along the gradient."""
    rng = np.random.default_rng(seed)
    low, high = np.broadcast_to(low, f.chain.inputs), np.broadcast_to(high, f.chain.inputs)
    corners = np.array(list(product((0, 1), repeat=min(f.chain.inputs, 10))), dtype=float)
    if f.chain.inputs > 10:
        corners = rng.integers(0, 2, (1024, f.chain.inputs)).astype(float)
    worst = np.zeros(f.chain.outputs)
    best = []
    for start in range(0, samples, 100_000):
        x = rng.uniform(low, high, (min(100_000, samples - start), f.chain.inputs))
        if not start:
            x = np.concatenate([x, low + corners * (high - low)])
        gap = f(x) - g(x)
        worst = np.maximum(worst, np.abs(gap).max(axis=0))
        best.append(x[np.argpartition(-np.abs(gap[:, 0]), 5)[:5]])
    for output in range(f.chain.outputs):
        x = np.concatenate(best)
        for step in range(climb):
            gap = (f(x) - g(x))[:, output]
            worst[output] = max(worst[output], np.abs(gap).max())
            up = (gradient(f, x, output) - gradient(g, x, output)) * np.sign(gap)[:, None]
            x = np.clip(x + np.sign(up) * (high - low) / (step + 3), low, high)
    return worst


def assert_holds(bound, seen):
    assert (seen <= bound.values + bound.rounding).all()
    assert (seen <= bound.intervals + bound.rounding).all()
    assert bound.relaxation is None or (seen <= bound.relaxation + bound.rounding).all()


@pytest.mark.parametrize("name", [*ACTIVATIONS, "polynomial:0.25,1,-0.5,0.1"])
def test_no_violation_in_a_million_samples(name):
    rng = np.random.default_rng(len(name))
    f = scaled(random_network(rng, [3, 6, 6, 2], name), 0.5)
    data = rng.uniform(-1, 1, (200, 3))
    methods = [sl.AFDE(retain=0.6), sl.Magnitude(0.7), sl.Wanda(0.7, data)]
    for number, method in enumerate(methods):
        small = sl.compress(f, method)
        bound = small.bound((-0.5, 0.5), splits=40)
        samples = 1_000_000 if number == len(name) % 3 else 20_000
        assert_holds(bound, worst_seen(f, small.network, -0.5, 0.5, samples))


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_trained_networks_at_several_sizes(name):
    f = trained(name)
    data = np.random.default_rng(0).uniform(-1, 1, (300, 5))
    ratios = []
    for method in (
        sl.AFDE(eps=0.1), sl.AFDE(eps=0.3), sl.AFDE(retain=0.4), sl.Magnitude(0.5), sl.Wanda(0.5, data)
    ):  # fmt: skip
        small = sl.compress(f, method)
        bound = small.bound((-1, 1), splits=100)
        seen = worst_seen(f, small.network, -1.0, 1.0, 30_000)
        assert_holds(bound, seen)
        ratios.append(np.median(bound.values / seen))
    assert np.median(ratios) < 10


@pytest.mark.parametrize(
    "method",
    [
        sl.Symmetric(retain=0.5), sl.Dependence(retain=0.5), sl.TruncatedSVD(rank=2), sl.Quantize(bits=6),
        sl.AFDE(retain=0.5, on="state"), sl.AFDE(retain=0.5, on="both"), sl.AFDE(retain=0.5, refit=False),
    ],
    ids=repr,
)  # fmt: skip
def test_every_method_of_reduction(method):
    """Scales, removed units, further layers, sums over groups: whatever the relation, the bound holds."""
    f = random_network(np.random.default_rng(1), [3, 10, 9, 2], "tanh")
    small = sl.compress(f, method)
    bound = small.bound((-1, 1), splits=30)
    seen = worst_seen(f, small.network, -1.0, 1.0, 20_000)
    assert_holds(bound, seen)
    assert bound.largest < 0.7 * bound.intervals.max()


@st.composite
def pairs_of_networks(draw):
    """Two networks of any shapes with equal inputs and outputs, sometimes similar; and a box."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, outputs = draw(st.sampled_from([1, 2, 3, 10, 14])), draw(st.integers(1, 2))

    def layers(depth, scale):
        width, found = inputs, []
        for number in range(depth + 1):
            units = draw(st.integers(1, 5)) if number < depth else outputs
            name = draw(st.sampled_from(EVERY)) if number < depth else "identity"
            if number == depth and draw(st.booleans()):
                name = "sigmoid"
            weight = rng.normal(size=(units, width)) * scale
            bias = rng.normal(size=units) if draw(st.booleans()) else None
            groups = None
            if number < depth and units > 1 and draw(st.booleans()):
                groups = np.concatenate([[0, 1], rng.integers(0, 2, units - 2)])
            found.append(sl.Layer(weight, bias, activation(name), groups))
            width = found[-1].outputs
        return sl.Network(tuple(found))

    f = layers(draw(st.integers(0, 3)), draw(st.sampled_from([0.3, 1.0])))
    if draw(st.booleans()):
        g = layers(draw(st.integers(0, 3)), 0.5)
    else:
        noise = draw(st.sampled_from([0.0, 1e-9, 0.1]))
        g = sl.Network(
            tuple(
                sl.Layer(
                    layer.weight + noise * rng.normal(size=layer.weight.shape),
                    layer.bias, layer.activation, layer.groups,
                )
                for layer in f.chain.layers
            )
        )  # fmt: skip
    centre, half = rng.normal(size=inputs), draw(st.sampled_from([0.0, 1e-6, 0.2, 1.0]))
    return f, g, Interval(centre - half, centre + half)


@given(pairs_of_networks(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_pair_of_networks(case, relax):
    f, g, box = case
    low, high = box.lower, box.upper
    try:
        bound = bound_difference(f, g, (low, high), splits=5 if relax else 0)
    except FailureError:
        return  # exp of something large
    x = np.random.default_rng(0).uniform(low, high, (1000, f.chain.inputs))
    assert_holds(bound, np.abs(f(x) - g(x)).max(axis=0))


@given(pairs_of_networks(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_range_on_the_way_holds(case, relax):
    f, g, box = case
    x = np.random.default_rng(1).uniform(box.lower, box.upper, (300, f.chain.inputs))
    stages = side_by_side(unroll(f), unroll(g), box)
    try:
        found = ranges(stages, box[None, :], relax=relax)
    except FailureError:
        return
    h = other = x
    for stage, now in zip(stages, found, strict=True):
        z = h @ stage.original.affine.weight.T + stage.original.affine.bias
        v = other @ stage.reduced.affine.weight.T + stage.reduced.affine.bias
        h, other = stage.original.activation(z), stage.reduced.activation(v)
        pairs = stage.pairs
        dz = z - pairs.before * v[:, pairs.partner]
        dh = h - pairs.after * other[:, pairs.partner] - pairs.offset
        for values, within in (
            (z, now.original), (v, now.reduced), (dz, now.difference),
            (h, now.original_output), (other, now.reduced_output), (dh, now.output_difference),
        ):  # fmt: skip
            slack = 1e-9 * (1 + np.abs(values).max())  # floats on this side
            assert (values >= within.lower[0] - slack).all()
            assert (values <= within.upper[0] + slack).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["relu", "polynomial:0.5,1,-0.25", "tanh"]))
@settings(max_examples=15, deadline=None)
def test_exact_lumpings_are_bounded_at_rounding_level(seed, name):
    rng = np.random.default_rng(seed)
    original = random_network(rng, [3, 4, 3, 2], name)
    large = hide(original, rng)
    small = sl.compress(large, sl.AFDE(eps=0))
    bound = small.bound((-1, 1), splits=20)
    assert small.exact
    assert 0 < bound.largest < 1e-11


def in_fractions(network, x):
    """The outputs as exact rationals, for relu."""
    h = [Fraction(float(v)) for v in x]
    for layer in network.chain.layers:
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias
        z = [
            Fraction(float(b)) + sum(Fraction(float(w)) * v for w, v in zip(row, h, strict=True))
            for row, b in zip(layer.weight, bias, strict=True)
        ]
        h = [max(v, Fraction(0)) if layer.activation.name == "relu" else v for v in z]
    return h


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 2.0**-52, 2.0**-45]))
@settings(max_examples=15, deadline=None)
def test_rounding_is_accounted_for(seed, noise):
    """At the scale of rounding errors, in exact arithmetic; and the float64 outputs stay close to it."""
    rng = np.random.default_rng(seed)
    f = random_network(rng, [3, 5, 4, 2], "relu")
    g = sl.Network(
        tuple(
            sl.Layer(
                layer.weight * (1 + noise * rng.normal(size=layer.weight.shape)),
                layer.bias, layer.activation,
            )
            for layer in f.chain.layers
        )
    )  # fmt: skip
    bound = bound_difference(f, g, (-1, 1), splits=0)
    error = evaluation_error(f, as_box((-1, 1), 3))
    for x in rng.uniform(-1, 1, (20, 3)):
        exact, other = in_fractions(f, x), in_fractions(g, x)
        for k in range(2):
            assert abs(exact[k] - other[k]) <= Fraction(float(bound.values[k]))
            assert abs(exact[k] - Fraction(float(f(x[None])[0, k]))) <= Fraction(float(error[k]))


def test_reachable_intervals_hold_and_are_better_than_plain_ones():
    f = trained("tanh")
    found = reachable(f, (-1, 1))
    x = np.random.default_rng(0).uniform(-1, 1, (20_000, 5))
    plain = ranges(alone(unroll(f)), as_box((-1, 1), 5)[None, :], relax=False)
    for layer, h, reach, other in zip(
        f.chain.layers, f.chain.activations(x), found, plain, strict=False
    ):
        z = layer.pre_activation(h)
        assert ((reach[:, 0] <= z) & (z <= reach[:, 1])).all()
        width = other.reduced.upper[0] - other.reduced.lower[0]
        assert (reach[:, 1] - reach[:, 0] <= (1 + 1e-12) * width).all()
    width, other = found[1][:, 1] - found[1][:, 0], plain[1].reduced
    assert np.median(width / (other.upper[0] - other.lower[0])) < 0.9


def test_each_ingredient_makes_it_smaller():
    f = trained("relu")
    small = sl.compress(f, sl.AFDE(retain=0.5))
    none, one, many = (small.bound((-1, 1), splits=s) for s in (0, 10, 100))
    assert none.intervals.max() > 3 * none.largest > 3 * one.largest > 3 * many.largest
    blind = bound_difference(f, small.network, (-1, 1), splits=0)
    assert none.largest <= blind.largest * 1.05  # the unit map helps, or at least does no harm
    parts = [small.bound(np.array([[low, low + 1]] + [[-1, 1]] * 4), splits=0) for low in (-1, 0)]
    assert max(p.largest for p in parts) <= none.largest


def test_symmetric_partners_are_found():
    """A unit of opposite sign, or a multiple, stands for another exactly."""
    w = np.array([[1.0, 2.0], [-1.0, -2.0]])
    odd = sl.Network.dense([w, [[0.5, 0.25]]], activation="tanh")
    one = sl.Network.dense([w[:1], [[0.25]]], activation="tanh")
    assert bound_difference(odd, one, (-2, 2)).largest < 1e-14
    scaled = sl.Network.dense([[[1.0, 2.0], [3.0, 6.0]], [[1.0, 1.0]]], activation="relu")
    one = sl.Network.dense([w[:1], [[4.0]]], activation="relu")
    assert bound_difference(scaled, one, (-2, 2)).largest < 1e-13
    shifted = sl.Network.dense([w, [[0.5, 0.25]]], activation="sigmoid")
    one = sl.Network.dense([w[:1], [[0.25]]], [None, [0.25]], activation="sigmoid")
    assert bound_difference(shifted, one, (-2, 2)).largest < 1e-14


def test_the_report_says_what_was_done():
    f = sl.Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
    bound = sl.compress(f, sl.AFDE(eps=0.5)).bound((-1, 1), splits=3)
    text = str(bound)
    assert "certified" in text and "4 parts" in text and "\n" not in text
    assert bound.methods == ("linear relaxation",) and bound.boxes == 4
    data = bound.to_dict()
    assert data["largest"] == max(data["bound"]) == bound.largest
    assert data["box"] == [[-1.0, 1.0], [-1.0, 1.0]]
    printed = float(text.split("≤ ")[1].split(" ")[0])
    assert bound.largest <= printed <= 1.001 * bound.largest


def test_wide_networks_get_intervals_unless_asked(monkeypatch):
    monkeypatch.setattr("symlump.network.bounds.difference._MOST_FLOPS", 10.0)
    f = random_network(np.random.default_rng(0), [2, 6, 6, 1], "tanh")
    small = sl.compress(f, sl.Magnitude(0.8))
    quick = small.bound((-1, 1))
    assert quick.relaxation is None and "wide" in str(quick) and quick.methods == ("interval",)
    asked = small.bound((-1, 1), splits=0)
    assert asked.relaxation is not None and asked.largest < quick.largest


@pytest.mark.parametrize(
    "box",
    [
        (1, -1),
        (0, np.nan),
        3,
        "box",
        (0, [1, 2, 3]),
        np.zeros((3, 2, 1)),
        [[0, 1], [0, 1]],
        (0, np.inf),
    ],
)
def test_bad_boxes_are_refused(box):
    f = sl.Network.dense([[[1.0, 2.0]], [[1.0]]])
    with pytest.raises(MethodError, match="box|two pairs"):
        reachable(f, box)


def test_bad_arguments_are_refused():
    f = sl.Network.dense([[[1.0, 2.0]], [[1.0]]])
    with pytest.raises(MethodError, match="splits=-1"):
        bound_difference(f, f, (0, 1), splits=-1)
    with pytest.raises(MethodError, match="2 and 1 inputs"):
        bound_difference(f, sl.Network.dense([[[1.0]], [[1.0]]]), (0, 1))
    with pytest.raises(MethodError, match=r"symlump\.Network"):
        bound_difference(f, "f", (0, 1))
    with pytest.raises(FailureError, match="overflow"):
        reachable(sl.Network.dense([[[1e200]], [[1e200]]], activation="identity"), (-1, 1))
    with pytest.raises(FailureError, match="overflow"):
        bound_difference(*[sl.Network.dense([[[800.0]], [[1.0]]], activation="exp")] * 2, (-1, 1))


@pytest.mark.parametrize("box", [(1e200, 1e200), (-1e200, 1e200), (1e306, 1e306)])
def test_where_relaxation_overflows_intervals_count(box):
    f = sl.Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]], activation="tanh")
    g = sl.Network.dense([[[1.0, 2.0]], [[0.75]]], activation="tanh")
    bound = bound_difference(f, g, box, splits=1)
    assert bound.largest <= 1.5 * (1 + 1e-12)  # the sum of the weights behind
    assert bound_difference(f, f, box, splits=0).largest <= 1.5 * (1 + 1e-12)


@pytest.mark.parametrize("activation", ["silu", "gelu", "softplus", "elu", "tanh"])
@pytest.mark.parametrize("weight", [-1e200, 1e200, -1e300])
def test_very_large_weights_have_a_bound(activation, weight):
    """f(x) = φ(w·x) + φ(x), and with 1.001·w: at an end they differ by |w|/1000, or not at all."""
    nets = [
        sl.Network.dense([[[w], [1.0]], [[1.0, 1.0]]], activation=activation)
        for w in (weight, 1.001 * weight)
    ]
    bound = bound_difference(*nets, (-1, 1)).largest
    if activation == "tanh":
        assert bound <= 2 + 1e-9
    else:
        assert 0.001 * abs(weight) <= bound * (1 + 1e-9) <= 0.02 * abs(weight)


def test_weights_that_are_all_zero_raise_no_warning():
    f = sl.Network.dense([np.zeros((2, 2)), np.zeros((1, 2))], [[1.0, 1.0], [0.5]])
    g = sl.Network.dense([np.zeros((2, 2)), np.zeros((1, 2))], [[1.0, 1.0], [0.75]])
    assert bound_difference(f, g, (-1, 1), splits=2).largest == pytest.approx(0.25)
    large = sl.Network.dense([np.full((2, 2), 1e200), np.full((1, 2), 1e200)], activation="tanh")
    assert bound_difference(large, large, (-1e-9, 1e-9), splits=2).largest <= 4.001e200


def test_attacks_on_many_models_find_no_violation():
    """A hundredth of `symlump bench bounds --models 1000`: every activation, three formats."""
    from symlump.bench.bounds.chains import attack

    found = attack(12, samples=200, climb=4)
    assert found.bounds == 36 and not found.violations and not found.computed, found


@pytest.mark.parametrize("width", [24, 64])
def test_never_looser_than_crown(width):
    """In one part, and so when the box is cut; nor below what samples show."""
    from symlump.bench.bounds.crown import crown

    rng = np.random.default_rng(width)
    sizes = [8, width, width, 2]
    shapes = zip(sizes, sizes[1:], strict=False)
    weights = [rng.normal(size=(after, before)) / np.sqrt(before) for before, after in shapes]
    f = sl.Network.dense(weights, activation="tanh")
    small = sl.compress(f, sl.AFDE(retain=0.5))
    whole, cut = (small.bound((-1, 1), splits=splits).values for splits in (0, 20))
    assert (whole <= crown(f, small.network)).all() and (cut <= whole).all()
    x = rng.uniform(-1, 1, (20_000, 8))
    assert (np.abs(f(x) - small.network(x)).max(axis=0) <= cut).all()


def test_crown_in_numpy_is_that_of_auto_lirpa():
    """Their lines for tanh differ a little."""
    pytest.importorskip("auto_LiRPA", reason="from a clone on PYTHONPATH")
    from symlump.bench.bounds.crown import crown
    from symlump.bench.bounds.lirpa import prepare

    rng = np.random.default_rng(0)
    f, g = (
        sl.Network.dense(
            [rng.normal(size=size) for size in ((w, 3), (w, w), (2, w))], activation="tanh"
        )
        for w in (6, 4)
    )
    assert prepare(f, g)() == pytest.approx(crown(f, g), rel=0.02)


def test_rows_beside_auto_lirpa():
    from symlump.bench.bounds.crown import HEADER, CrownRow, cells
    from symlump.bench.bounds.lirpa import can_import, prepare

    row = CrownRow(64, 1.0, 4.0, 3.0, 0.1, 1.0, 0.03, 0.01, 1.1, 50.0)
    by = {
        times: dict(
            zip(
                HEADER,
                cells(replace(row, lirpa=4.1, lirpa_seconds=0.03 / times, lirpa_made=0.5)),
                strict=True,
            )
        )
        for times in (2.9, 3.1)
    }
    assert [by[times]["≤ 3 ×"] for times in (2.9, 3.1)] == ["yes", "no"]
    assert by[2.9]["time / it"] == "2.9 ×" and by[2.9]["to make it, s"] == "0.5"
    assert dict(zip(HEADER, cells(row), strict=True))["≤ 3 ×"] == "–"
    if not can_import():
        with pytest.raises(MethodError, match="put a clone of it on PYTHONPATH"):
            prepare(*(sl.Network.dense([[[1.0]]]) for _ in "fg"))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_products_of_three_inputs_and_partners_given_up(seed):
    """Every stage as it was adapted holds; so do cuts of it."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(["tanh", "sigmoid", "gelu", "relu", "sin"]))
    sizes = [int(rng.integers(1, 6)), *rng.integers(3, 9, int(rng.integers(1, 4))), 2]
    f = scaled(random_network(rng, sizes, name), float(rng.choice([0.5, 1.0, 2.0])))
    g = sl.compress(f, sl.AFDE(eps=float(rng.choice([0.1, 0.3, 0.6])))).network
    box = as_box((-1, 1), sizes[0])
    stages, found = adapt(side_by_side(unroll(f), unroll(g), box), box[None, :])
    x = rng.uniform(-1, 1, (2000, sizes[0]))
    h = other = x
    for stage, now in zip(stages, found, strict=True):
        z = h @ stage.original.affine.weight.T + stage.original.affine.bias
        v = other @ stage.reduced.affine.weight.T + stage.reduced.affine.bias
        h, other = stage.original.activation(z), stage.reduced.activation(v)
        dz = z - stage.pairs.before * v[:, stage.pairs.partner]
        for values, within in ((z, now.original), (v, now.reduced), (dz, now.difference)):
            slack = 1e-9 * (1 + np.abs(values).max())
            assert (values >= within.lower[0] - slack).all()
            assert (values <= within.upper[0] + slack).all()
    bound = bound_difference(f, g, (-1, 1), splits=9)
    assert (np.abs(f(x) - g(x)).max(axis=0) <= bound.values + bound.rounding).all()
    assert (bound.relaxation <= found[-1].output_difference.magnitude[0]).all()


def test_lines_of_the_yardstick_hold():
    """CROWN's lines lie below and above tanh, and one of them is a chord or touches."""
    from symlump.bench.bounds.crown import _tanh_lines

    rng = np.random.default_rng(0)
    low = np.concatenate([rng.uniform(-4, 4, 1000), [-1.0, 0.0, 0.5]])
    high = np.concatenate([low[:1000] + rng.exponential(1.0, 1000), [1.0, 0.0, 0.5]])
    points = low + np.linspace(0, 1, 201)[:, None] * (high - low)
    slope_below, below, slope_above, above = _tanh_lines(low, high)
    gap_below = np.tanh(points) - (slope_below * points + below)
    gap_above = slope_above * points + above - np.tanh(points)
    assert min(gap_below.min(), gap_above.min()) > -1e-12
    assert max(gap_below.min(axis=0).max(), gap_above.min(axis=0).max()) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_relu_on_a_box_whose_width_is_no_float(seed):
    """The ends are floats, their difference is not: there is a bound, and it holds at the corners."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    small = sl.compress(model, sl.AFDE(retain=0.6))
    bound = small.bound((-1e308, 1e308))

    def exact(network, x):
        for number, layer in enumerate(network.chain.layers):
            x = [
                sum((Fraction(w) * v for w, v in zip(row, x, strict=True)), Fraction(b))
                for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            ]
            if number == 0:
                x = [max(v, Fraction(0)) for v in x]
        return x

    held = small.reduction.held_by(small.model)
    for corner in product([Fraction(-1e308), Fraction(1e308)], repeat=3):
        for a, b, most in zip(
            exact(small.original, corner), exact(held, corner), bound.values, strict=True
        ):
            assert abs(a - b) <= Fraction(float(most))
    net = small.original
    assert np.isfinite(sl.bound_difference(net, net, (-1e308, 1e308)).values).all()
