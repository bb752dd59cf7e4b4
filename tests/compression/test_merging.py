"""AFDE's distance by outputs and the refit after merging."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy

import symlump as sl
from symlump.compression.merging.merge import Merging, merge_units
from symlump.compression.merging.values import SampledValues
from symlump.compression.merging.ward import cut, merge_tree
from symlump.compression.moments import Normal
from symlump.errors import FailureError, MethodError
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.nodes import Affine, Apply, Combine, Concatenate, Flatten, Input, Pool, Select
from symlump.network.ties import find_ties, group_alike, regroup
from symlump.plan import share_of, smallest_tolerance


def network(seed=0, widths=(4, 12, 10, 2), activation="tanh", bias=True):
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:], strict=False))
    return sl.Network.dense(
        [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairs],
        [rng.normal(size=m) if bias else None for _, m in pairs],
        activation,
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), members=st.integers(2, 25))
def test_weighted_ward_is_ward_of_repeated_rows(seed, members):
    """A row of weight 3 stands for three equal rows; scipy's Ward is the second implementation."""
    rng = np.random.default_rng(seed)
    rows, weights = rng.normal(size=(members, 3)), rng.integers(1, 4, size=members)
    tree = merge_tree(rows, weights.astype(float), Linkage.VARIANCE)
    repeated = hierarchy.linkage(np.repeat(rows, weights, axis=0), "ward")
    heights = repeated[repeated[:, 2] > 1e-9, 2]
    assert tree[:, 2] == pytest.approx(heights)
    eps = float(np.median(heights)) * (1 + 1e-9)
    mine = np.repeat(cut(tree, eps), weights)
    theirs = hierarchy.fcluster(repeated, eps, "distance")
    pairs = set(zip(mine.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(mine)) == len(set(theirs))


@pytest.mark.parametrize("linkage", list(Linkage))
def test_trees_are_monotone_whatever_the_weights(linkage):
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 1, size=40) * (rng.random(40) > 0.2)
    tree = merge_tree(rng.normal(size=(40, 5)), weights, linkage)
    assert (np.diff(tree[:, 2]) >= 0).all() and hierarchy.is_valid_linkage(tree)
    assert len(set(cut(tree, tree[-1, 2]))) == 1


def test_large_matrices_take_the_product_route_and_agree():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 1000))
    rows[40:] = rows[:40] * (1 + 1e-9)  # near pairs, for which the product alone would cancel
    tree = merge_tree(rows, np.ones(80), Linkage.VARIANCE)
    assert tree[:, 2] == pytest.approx(hierarchy.linkage(rows, "ward")[:, 2], rel=1e-5)
    assert (tree[:40, 2] < 1e-6).all() and tree[40, 2] > 1


@settings(max_examples=15)
@given(
    seed=st.integers(0, 500),
    activation=st.sampled_from(["tanh", "relu", "sigmoid", "polynomial:0,1,0.5"]),
    retain=st.floats(0.2, 1.0),
    bias=st.booleans(),
    refit=st.booleans(),
)
def test_the_network_is_that_of_the_equations(seed, activation, retain, bias, refit):
    """encode → lump → decode = merge: the lumping that is handed out describes the very weights."""
    full = network(seed, activation=sl.network.activations.table.activation(activation), bias=bias)
    result = sl.compress(full, sl.AFDE(retain=retain, refit=refit))
    budget = share_of(full.parameters, retain)
    assert result.retained_parameters == result.network.parameters <= budget
    again = sl.decode(result.lumpings[0])
    for mine, theirs in zip(result.network.chain.layers, again.chain.layers, strict=True):
        assert np.array_equal(mine.weight, theirs.weight)
        assert (mine.bias is None) == (theirs.bias is None)
        assert mine.bias is None or np.array_equal(mine.bias, theirs.bias)


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 500),
    activation=st.sampled_from(["tanh", "relu", "polynomial:0,1,0.5"]),
    retain=st.floats(0.2, 0.8),
    options=st.sampled_from(
        [{}, {"refit": False}, {"distance": "coefficients"}, {"on": "both"}, {"on": "state"}]
    ),
)
def test_a_size_is_had_in_the_better_unit(seed, activation, retain, options):
    """What is kept gives the outputs as well as the better of the two, on the inputs that were stated."""
    full = network(seed, activation=sl.network.activations.table.activation(activation))
    x = np.random.default_rng(seed).normal(size=(300, 4))

    def found(relative_to, **more):
        method = sl.AFDE(retain=retain, relative_to=relative_to, **{**options, **more})
        if method.uses_inputs:
            method = replace(method, inputs=x)
        try:
            result = sl.compress(full, method)
        except FailureError:
            return (np.inf, "")
        assert result.retained_parameters <= share_of(full.parameters, retain)
        again = sl.compress(full, result.method)  # what was decided is in the method
        assert again.headline() == result.headline() and again.measure == result.measure
        return float(np.mean((result.network(x) - full(x)) ** 2)), result.measure

    method = sl.AFDE(retain=retain, **options)
    of_functions = {"distance": method.compared, "refit": method.refits}
    decided = {} if method.on == "state" else of_functions
    units = ["output", "layer"]
    if method.compared == "function" and method.on == "influence":
        units.insert(1, "parameters")
    alone = [found(unit, **decided) for unit in units]
    least, unit = min(alone, key=lambda pair: pair[0])
    assert found(None) == (pytest.approx(least, rel=1e-9), unit)


def test_any_unit_can_be_the_best_one():
    found = {
        sl.compress(network(seed, widths, "relu"), sl.AFDE(retain=0.5)).method.relative_to
        for widths in ((4, 12, 10, 2), (60, 12, 12, 10, 2))
        for seed in range(8)
    }
    assert found == {"output", "parameters", "layer"}


def test_steps_begin_where_the_better_unit_ends():
    full, x = network(3, widths=(3, 10, 8, 2)), np.random.default_rng(0).normal(size=(200, 3))
    closed, fitted = (
        sl.compress(full, sl.AFDE(retain=0.4, inputs=x, steps=steps)) for steps in (0, 10)
    )
    assert closed.measure == fitted.measure
    before, after = (np.mean((r.network(x) - full(x)) ** 2) for r in (closed, fitted))
    assert after < before
    assert all(
        np.array_equal(a, b) for a, b in zip(closed.unit_maps, fitted.unit_maps, strict=True)
    )


def test_the_unit_of_the_layer_has_mean_square_one():
    """Values twice as large in one layer leave that unit as it is; a second way to write its definition."""
    full = network(1, activation="relu")
    weight = full.layers[0].weight
    double = full.with_layers(
        [replace(full.layers[0], weight=2 * weight, bias=2 * full.layers[0].bias), *full.layers[1:]]
    )
    x = np.random.default_rng(0).normal(size=(500, 4))
    trees = []
    for net in (full, double):
        (merging,) = Merging.of(net, x, Linkage.CLOSURE, ("layer",))
        trees.append(merging.trees[0])
        h = net.layers[0].weight @ x.T + net.layers[0].bias[:, None]
        h = np.maximum(h, 0)
        near = min(np.mean((h[i] - h[j]) ** 2) for i in range(len(h)) for j in range(i)) / np.mean(
            h**2
        )
        assert trees[-1][0, 2] == pytest.approx(near**0.5)
    assert trees[0][:, 2] == pytest.approx(trees[1][:, 2])


def test_the_certificate_of_a_refitted_network_is_accepted():
    result = sl.compress(network(widths=(3, 6, 5, 1)), sl.AFDE(retain=0.5))
    lumping = result.lumpings[0]
    assert lumping.certificate().check().accepted
    difference = dict.fromkeys([], 0)
    for ode, sign in ((lumping.reference, 1), (lumping.ode, -1)):
        for row, column, value in zip(ode.rows, ode.columns, ode.coefficients, strict=True):
            key = (int(row), tuple(ode.monomials.factors(int(column))))
            difference[key] = difference.get(key, 0) + sign * value
    assert result.defect == pytest.approx(float(sum(v * v for v in difference.values())) ** 0.5)
    assert result.defect > 0


def test_a_planted_dependence_is_found_by_the_refit_only():
    """Two groups of units that are multiples of two functions: sums are wrong, the fit is exact."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2, 4))
    scales = rng.uniform(0.9, 1.1, size=10)
    weight = scales[:, None] * rows[np.arange(10) % 2]
    full = sl.Network.dense(
        [weight, rng.normal(size=(3, 10))], [None, np.zeros(3)], activation="relu"
    )
    ties = find_ties(full)
    groups = group_alike(ties, {"layers.0": np.arange(10) % 2})
    x = rng.normal(size=(50, 4))
    values = SampledValues((rng.normal(size=(200, 4)),))
    fitted = merge_units(full, ties, groups, np.ones(ties.count), values).network
    summed = merge_units(full, ties, groups, np.ones(ties.count), None).network
    assert np.abs(fitted(x) - full(x)).max() < 1e-4 < np.abs(summed(x) - full(x)).max()


@settings(max_examples=10)
@given(seed=st.integers(0, 100))
def test_duplicates_merge_first_and_cost_nothing(seed):
    full = network(seed)
    layer, following = full.chain.layers[0], full.chain.layers[1]
    copies = np.append(np.arange(12), [0, 5, 5])
    layers = (
        sl.Layer(layer.weight[copies], layer.bias[copies], layer.activation),
        sl.Layer(following.weight[:, copies] / 2, following.bias, following.activation),
        full.chain.layers[2],
    )
    twin = sl.Network(layers)
    result = sl.compress(twin, sl.AFDE(eps=1e-6))
    assert result.network.chain.layers[0].units == 12
    x = np.random.default_rng(seed).normal(size=(20, 4))
    assert result.network(x) == pytest.approx(twin(x), abs=1e-6)
    exact = sl.compress(twin, sl.AFDE(retain=0.9))
    assert exact.eps == 0 and exact.exact


def test_units_without_effect_go_first_and_do_not_disturb():
    """A unit of outgoing weight 0 merges at height 0, and counts nothing in the mean."""
    full = network(widths=(4, 8, 2))
    outgoing = full.chain.layers[1].weight.copy()
    outgoing[:, 3] = 0.0
    silent = sl.Network((full.chain.layers[0], sl.Layer(outgoing, full.chain.layers[1].bias)))
    result = sl.compress(silent, sl.AFDE(eps=1e-12, refit=False))
    assert result.network.chain.layers[0].units == 7
    x = np.random.default_rng(0).normal(size=(20, 4))
    assert result.network(x) == pytest.approx(silent(x), abs=1e-12)


def test_the_tolerance_is_an_estimate_of_the_change_of_the_outputs():
    full = network(widths=(4, 30, 30, 2))
    (merging,) = Merging.of(full, Normal(), Linkage.VARIANCE)
    x = np.random.default_rng(5).normal(size=(4000, 4))
    y = full(x)
    spread = np.sqrt(np.mean(np.sum((y - y.mean(axis=0)) ** 2, axis=1)))
    for count in (1, 3, 6):
        labels = {
            axis: cut(tree, float(tree[count - 1, 2])) for axis, tree in enumerate(merging.trees)
        }
        expected = np.sqrt(sum(np.sum(tree[:count, 2] ** 2) for tree in merging.trees) / 2)
        gap = merging.merge(regroup(merging.ties, labels), refit=False).network(x) - y
        change = np.sqrt(np.mean(np.sum(gap**2, axis=1))) / spread
        assert expected / 4 < change < 4 * expected


@pytest.mark.parametrize("linkage", ["variance", "closure", "diameter"])
def test_retain_finds_the_smallest_tolerance(linkage):
    full = network(widths=(4, 20, 20, 2))
    result = sl.compress(full, sl.AFDE(retain=0.4, linkage=linkage))
    less = sl.compress(full, result.method.within(result.eps * (1 - 1e-9)))
    assert result.retained_parameters <= 0.4 * full.parameters < less.retained_parameters


def test_stated_inputs_change_the_choice():
    full = network(widths=(2, 12, 1))
    narrow = Normal(None, [[1.0, 0.0], [0.0, 1e-8]])  # the second input does not vary
    result = sl.compress(full, sl.AFDE(retain=0.5, inputs=narrow))
    x = np.random.default_rng(0).normal(size=(100, 2)) * [1.0, 1e-4]
    other = sl.compress(full, sl.AFDE(retain=0.5))
    gaps = [np.mean((r.network(x) - full(x)) ** 2) for r in (result, other)]
    assert gaps[0] < gaps[1]


def test_refusals():
    with pytest.raises(MethodError, match="a distribution, Normal"):
        sl.AFDE(eps=0.1, inputs="normal")
    with pytest.raises(MethodError, match=r"arrays of shape \(samples, 4\); got \(3, 2\)"):
        sl.compress(network(), sl.AFDE(eps=0.1, inputs=np.ones((3, 2))))
    with pytest.raises(MethodError, match="the network has 4 inputs"):
        sl.compress(network(), sl.AFDE(eps=0.1, inputs=Normal([0.0])))
    (merging,) = Merging.of(network(), Normal(), Linkage.VARIANCE)
    with pytest.raises(FailureError, match="smallest reachable size is 11 parameters"):
        merging.tolerance(10)
    with pytest.raises(FailureError, match="smallest reachable size is 8 parameters"):
        merging.tolerance(7, 8)  # what else reaches less is said
    with pytest.raises(FailureError, match="smallest reachable size is 5 parameters"):
        smallest_tolerance(lambda eps: 9 if eps else 5, 4)


def test_lumping_of_counts_the_defect_of_every_layer():
    full = network(widths=(3, 4, 4, 2))
    ties = find_ties(full)
    groups = regroup(ties, {0: np.array([0, 1, 0, 2])})
    small = merge_units(full, ties, groups, np.ones(ties.count), None)
    lumping = small.lumping(sl.encode(full), sl.Forward(0.5))
    nearest = sl.lump(
        sl.encode(full),
        sl.Forward(1e9),
        [
            ["h1_1", "h1_3"],
            *([name] for name in sl.encode(full).variables if name not in ("h1_1", "h1_3")),
        ],
    )
    assert lumping.defect == pytest.approx(nearest.defect)
    assert lumping.quotient.terms == nearest.quotient.terms


def test_overflow_is_refused():
    steep = sl.Network.dense(
        [np.full((3, 2), 1e60), np.full((2, 3), 1e60), np.ones((1, 2))],
        activation=sl.network.activations.table.activation("polynomial:0,0,0,0,1"),
    )
    with pytest.raises(MethodError, match="overflow on inputs as in Normal"):
        sl.compress(steep, sl.AFDE(eps=0.1))


@pytest.mark.parametrize("on", ["influence", "both", "state"])
@pytest.mark.parametrize("first", [1.0, 1.6e308])
@pytest.mark.filterwarnings("error")
def test_merged_weights_beyond_floats_are_no_fault_of_training(on, first):
    """1.6e308 twice is more than a float holds: said of the sum, where merged units are read as one."""
    layers = [[[first, 1.0]] * 2, [[1.6e308, 1.6e308]]]
    net = sl.Network.dense(layers, activation="relu")
    if on == "state":  # sums of units are formed by the network itself
        assert sl.compress(net, sl.AFDE(eps=0, on=on)).exact
        return
    with pytest.raises(
        FailureError, match="layers.1: a weight of the smaller network, a sum of weights"
    ):
        sl.compress(net, sl.AFDE(eps=0, on=on))


@pytest.mark.parametrize("activation", ["tanh", "relu", "polynomial:0,1,0.2"])
def test_steps_come_closer_without_data_and_keep_the_proof(activation):
    full = network(3, (3, 14, 12, 2), activation)
    plain = sl.compress(full, sl.AFDE(retain=0.4))
    closer = sl.compress(full, sl.AFDE(retain=0.4, steps=30))
    assert [layer.units for layer in closer.network.chain.layers] == [
        layer.units for layer in plain.network.chain.layers
    ]
    x = np.random.default_rng(9).normal(size=(4000, 3))  # not the samples that were fitted
    before, after = (np.mean((r.network(x) - full(x)) ** 2) for r in (plain, closer))
    assert after < 0.8 * before
    # still the quotient of a reference system, in forward equivalence
    (lumping,) = closer.lumpings
    assert lumping.certificate().check().accepted
    decoded = sl.decode(lumping)
    assert np.allclose(decoded(x[:50]), closer.network(x[:50]), rtol=1e-9, atol=1e-9)


def test_steps_never_make_it_worse_and_are_for_refits():
    full = network(1)
    exact = sl.compress(full, sl.AFDE(eps=0, steps=5))
    assert exact.network is exact.original or exact.retained == 1.0
    for options in ({"on": "state"}, {"on": "both"}, {"refit": False}):
        with pytest.raises(MethodError, match="steps continues from the refit"):
            sl.AFDE(retain=0.5, steps=5, **options)
    with pytest.raises(MethodError, match="whole number"):
        sl.AFDE(retain=0.5, steps=-1)


def on_a_grid(net):
    """The same function by convolutions of width 1 on a grid of one point: no chain any more."""
    nodes = [Input("x", (), (net.chain.inputs, 1))]
    for number, layer in enumerate(net.chain.layers):
        before = nodes[-1].name
        geometry = ((1,), (0,), (1,))
        nodes.append(
            Affine(f"l{number}", (before,), layer.weight[:, :, None], layer.bias, *geometry)
        )
        if layer.activation.name != "identity":
            nodes.append(Apply(f"a{number}", (f"l{number}",), layer.activation))
    nodes.append(Flatten("flat", (nodes[-1].name,)))
    return sl.Network(tuple(nodes), ("flat",))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    depth=st.integers(1, 3),
    phi=st.sampled_from(["tanh", "relu", "sigmoid", "gelu"]),
    retain=st.floats(0.3, 0.9),
    options=st.sampled_from(
        [
            {},
            {"refit": False},
            {"linkage": "closure"},
            {"distance": "coefficients"},
            {"relative_to": "layer"},
            {"relative_to": "parameters"},
            {"relative": False, "refit": False},
        ]
    ),
)
def test_chain_and_graph_of_one_network_are_reduced_alike(seed, depth, phi, retain, options):
    """Same blocks, same weights."""
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(2, 20, depth + 2)]
    pairs = list(zip(widths, widths[1:], strict=False))
    net = sl.Network.dense(
        [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairs],
        [0.3 * rng.normal(size=m) for _, m in pairs],
        phi,
    )
    graph = on_a_grid(net)
    assert graph.chain is None
    try:
        one = sl.compress(net, sl.AFDE(retain=retain, **options))
    except FailureError:
        with pytest.raises(FailureError):
            sl.compress(graph, sl.AFDE(retain=retain, **options))
        return
    other = sl.compress(graph, sl.AFDE(retain=retain, **options))
    for a, b in zip(one.unit_maps, other.unit_maps, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(one.network.layers, other.network.layers, strict=True):
        assert a.weight == pytest.approx(b.weight[:, :, 0], rel=1e-7, abs=1e-9)
        assert a.bias == pytest.approx(b.bias, rel=1e-7, abs=1e-9)
    assert one.defect == pytest.approx(other.defect, rel=1e-7)


def branched(rng, phi):
    """Convolutions, a residual sum, a join, pooling, flattening, a depthwise layer; channels of two kinds."""
    one = ((1, 1), (1, 1), (1, 1))

    def conv(name, x, units, channels):
        weight = rng.normal(size=(units, channels, 3, 3)) / np.sqrt(9 * channels)
        return Affine(name, (x,), weight, 0.2 * rng.normal(size=units), *one)

    act = sl.network.activations.table.activation(phi)
    depthwise = Affine(
        "dw", ("c.phi",), rng.normal(size=(8, 1, 3, 3)) / 3, np.zeros(8), *one, depthwise=True
    )
    nodes = (
        Input("x", (), (2, 6, 6)),
        conv("a", "x", 8, 2),
        Apply("a.phi", ("a",), act),
        conv("b", "a.phi", 8, 8),
        Combine("sum", ("a.phi", "b"), "add"),
        Apply("sum.phi", ("sum",), act),
        conv("c", "sum.phi", 8, 8),
        Apply("c.phi", ("c",), act),
        depthwise,
        Concatenate("join", ("sum.phi", "dw")),
        Pool("pool", ("join",), "average", (2, 2), (2, 2), (0, 0), (1, 1)),
        Flatten("flat", ("pool",)),
        Affine("fc", ("flat",), rng.normal(size=(9, 144)) / 12, 0.1 * rng.normal(size=9)),
        Apply("fc.phi", ("fc",), act),
        Affine("head", ("fc.phi",), rng.normal(size=(3, 9)) / 3, None),
    )
    return sl.Network(nodes, ("head",))


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 1000),
    phi=st.sampled_from(["relu", "tanh"]),
    bias=st.booleans(),
    shares=st.permutations([0.02, 0.1, 0.2, 0.4, 0.7, 1.0]),
)
def test_what_fits_share_changes_none_of_them(seed, phi, bias, shares):
    """Tolerances asked in any order, each fit with what earlier ones left, and from scratch."""
    for net in (
        network(seed, (4, 12, 10, 9, 2), phi, bias),
        branched(np.random.default_rng(seed), phi),
    ):
        (x,) = (node.drawn(np.random.default_rng(1), 64) for node in net.inputs)
        (merging,) = Merging.of(net, x, Linkage.VARIANCE)
        top = max(float(tree[-1, 2]) for tree in merging.trees)
        for share in shares:
            groups = merging.groups(share * top)
            shared = merging.merge(groups, True).written
            alone = merge_units(net, merging.ties, groups, merging.effects, merging.values).written
            for a, b in zip(shared.layers, alone.layers, strict=True):
                assert np.allclose(a.weight, b.weight, rtol=1e-5, atol=1e-6)
                assert a.bias is None or np.allclose(a.bias, b.bias, rtol=1e-5, atol=1e-6)
        assert merging.memory.groups


@settings(max_examples=4)
@given(seed=st.integers(0, 1000), phi=st.sampled_from(["relu", "tanh"]), refit=st.booleans())
def test_merging_of_a_branched_network(seed, phi, refit):
    """Copies merge without a trace, sizes are as counted, what is handed out describes the weights."""
    net = branched(np.random.default_rng(seed), phi)
    named, layers = net.named, {}
    copies = {"c": [0, 0, 2, 3, 4, 4, 6, 7], "fc": [0, 1, 1, 3, 4, 5, 6, 7, 7]}
    for name in ("c", "dw", "fc"):
        own = copies.get(name, copies["c"])
        layers[name] = replace(
            named[name], weight=named[name].weight[own], bias=named[name].bias[own]
        )
    twin = net.with_layers(layers.values())
    exact = sl.compress(twin, sl.AFDE(eps=1e-9, refit=refit, inputs=sl.Normal()))
    assert [layer.units for layer in exact.network.layers] == [8, 8, 6, 6, 7, 3]
    x = np.random.default_rng(1).normal(size=(5, 2, 6, 6))
    assert exact.network(x) == pytest.approx(twin(x), abs=1e-5)
    result = sl.compress(net, sl.AFDE(retain=0.5, refit=refit))
    assert result.retained_parameters == result.network.parameters <= 0.5 * net.parameters
    assert not any(isinstance(node, Select) for node in result.network.nodes)
    units = {layer.name: layer.units for layer in result.network.layers}
    assert units["a"] == units["b"] and units["c"] == units["dw"]
    again = sl.decode(result.lumpings[0])
    for a, b in zip(result.network.layers, again.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    assert result.lumpings[0].certificate().check().accepted


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), place=st.floats(0, 1))
def test_a_price_for_each_parameter_spends_least_for_a_size(seed, place):
    """No other numbers of units hold as few parameters and cost less: all of them are tried."""
    widths = (int(np.random.default_rng(seed).integers(1, 40)), 7, 6, 5, 2)
    net = network(seed, widths)
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    priced = merging.price()
    heights = np.concatenate([tree[:, 2] for tree in priced.trees])
    groups = priced.groups(float(np.quantile(heights, place)))
    counts = [np.unique(groups[units]).size for units in merging.ties.axes]
    shares = merging.ties.shares(net)

    def cost(counts):
        gone = [len(tree) + 1 - n for tree, n in zip(merging.trees, counts, strict=True)]
        return sum(
            float((tree[:k, 2] ** 2).sum()) for tree, k in zip(merging.trees, gone, strict=True)
        )

    def size(counts):
        return sum(share * n for share, n in zip(shares, counts, strict=True))

    others = product(*(range(1, units.size + 1) for units in merging.ties.axes))
    assert all(
        cost(other) >= cost(counts) * (1 - 1e-9)
        for other in others
        if size(other) <= size(counts) * (1 + 1e-12)
    )
