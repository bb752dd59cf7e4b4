import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted_networks
from planted_graph import planted_graphs, residual

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.table import activation
from symlump.network.decode import unit_maps
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    Input,
    Node,
    Pool,
    Select,
)
from symlump.network.simplify import simplify
from symlump.network.step_nodes import Softmax
from symlump.network.ties import find_ties

rng = np.random.default_rng(0)


def reduced(graph, **options):
    lumping = sl.lump(sl.encode(graph), sl.Forward(**options))
    return lumping, sl.decode(lumping)


def inputs_of(graph, samples=5):
    generator = np.random.default_rng(1)
    return [generator.normal(size=(samples, *node.size)) for node in graph.inputs]


def assert_same_function(one, other, scale=1.0):
    x = inputs_of(one)
    expected = one(*x)
    assert other(*x) == pytest.approx(expected, abs=1e-11 * scale * np.abs(expected).max())


@settings(max_examples=15)
@given(pair=planted_graphs())
def test_hidden_copies_are_found(pair):
    small, large = pair
    assert_same_function(small, large)
    lumping, found = reduced(large)
    assert lumping.exact
    assert_same_function(small, found)
    assert found.parameters <= small.parameters
    sizes = {layer.name: layer.units for layer in small.layers}
    for layer in found.layers:
        assert layer.units <= sizes[layer.name]
    for units, layer in zip(unit_maps(lumping), found.hidden, strict=True):
        assert set(units.tolist()) == set(range(layer.units))


def test_a_certificate_of_a_convolutional_network_is_accepted():
    lumping, _ = reduced(residual(3, True))
    verdict = lumping.certificate().check()
    assert verdict.accepted and verdict.coarsest


def test_shared_partitions_need_no_selection():
    """Where the branches of a sum merge alike, the sum stays plain."""
    _, found = reduced(residual(5, True))
    assert not any(isinstance(node, Select) for node in found.nodes)


def test_branches_that_merge_differently_are_selected_from():
    graph = sl.Network(
        (
            Input("x", (), (2,)),
            Affine("a", ("x",), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])),
            Affine("b", ("x",), np.array([[3.0, 1.0], [2.0, 5.0], [2.0, 5.0]])),
            Combine("sum", ("a", "b"), "add"),
            Apply("phi", ("sum",), activation("tanh")),
            Affine("out", ("phi",), np.array([[1.0, 2.0, 3.0]])),
        ),
        ("out",),
    )
    lumping, found = reduced(graph)
    assert lumping.exact and [layer.units for layer in found.layers] == [2, 2, 1]
    picks = {n.name: n.index.tolist() for n in found.nodes if isinstance(n, Select)}
    assert picks == {"sum.branch1": [0, 0, 1], "sum.branch2": [0, 1, 1]}
    assert_same_function(graph, found)


def naive_blocks(graph, labels, names):
    """The condition in loops: equal biases, equal sums of weights into each block, offset by offset.

    Only for graphs of convolutions one after the other.
    """
    for before, name in zip(names, names[1:], strict=False):
        layer, block = graph.named[name], labels[name]
        source = labels[before]
        for i in range(layer.units):
            for j in range(i):
                if block[i] != block[j]:
                    continue
                if layer.bias[i] != layer.bias[j]:
                    return False
                for target in set(source):
                    inside = [k for k in range(len(source)) if source[k] == target]
                    for at in np.ndindex(*layer.kernel):
                        a, b = (sum(layer.weight[(u, k, *at)] for k in inside) for u in (i, j))
                        if a != b:
                            return False
    return True


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_blocks_agree_with_the_definition(seed):
    """Small integer weights, so that merges happen by chance; every coarsening by one merge must fail."""
    generator = np.random.default_rng(seed)
    geometry = ((1, 1), (1, 1), (1, 1))
    nodes = [Input("x", (), (1, 3, 3))]
    for name, (units, channels) in {"a": (3, 1), "b": (3, 3), "c": (1, 3)}.items():
        weight = generator.integers(0, 2, (units, channels, 1, 2)).astype(float)
        bias = generator.integers(0, 2, units).astype(float)
        nodes.append(Affine(name, (nodes[-1].name,), weight, bias, *geometry))
    graph = sl.Network(tuple(nodes), ("c",))
    lumping, _ = reduced(graph)
    names = ["x", "a", "b", "c"]
    labels = {"x": [0], "c": [0]} | {
        name: lumping.partition.labels[lumping.ode.where(name)].tolist() for name in ("a", "b")
    }
    assert naive_blocks(graph, labels, names)
    for name in ("a", "b"):
        for one in set(labels[name]):
            for other in set(labels[name]) - {one}:
                merged = [one if label == other else label for label in labels[name]]
                assert not naive_blocks(graph, labels | {name: merged}, names)


@settings(max_examples=15)
@given(pair=planted_networks())
def test_a_chain_as_a_graph_is_reduced_alike(pair):
    _, large = pair
    chain = sl.lump(sl.encode(large), sl.Forward())
    nodes = (*large.nodes, Combine("twice", (large.outputs[0],) * 2, "add"))
    graph, found = reduced(sl.Network(nodes, ("twice",)))
    assert found.chain is None and len(chain.partition) + large.layers[-1].units == len(
        graph.partition
    )
    small = sl.decode(chain)
    for a, b in zip(small.layers, found.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)
    x = np.random.default_rng(0).normal(size=(4, large.chain.inputs))
    assert found(x) == pytest.approx(2 * small(x), rel=1e-9, abs=1e-9)


def test_the_same_unit_read_in_two_ways_is_two_inputs():
    """w·h + v·φ(h) is not v·h + w·φ(h), though the sums of weights agree."""
    h = Affine("h", ("x",), np.array([[1.0]]))
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])
    graph = sl.Network(
        (
            Input("x", (), (1,)),
            h,
            Apply("phi", ("h",), activation("tanh")),
            Concatenate("both", ("h", "phi")),
            Affine("z", ("both",), rows),
            Apply("psi", ("z",), activation("tanh")),
            Affine("out", ("psi",), np.array([[1.0, 1.0, 1.0]])),
        ),
        ("out",),
    )
    lumping, found = reduced(graph)
    assert lumping.exact and found.named["z"].units == 2
    assert_same_function(graph, found)


def test_sums_along_different_routes_stay_apart():
    """h + φ(h) is not φ(h) + φ(h), though both are made of the same unit twice."""
    graph = sl.Network(
        (
            Input("x", (), (1,)),
            Affine("h", ("x",), np.array([[1.0]])),
            Apply("phi", ("h",), activation("tanh")),
            Concatenate("one", ("h", "phi", "phi")),
            Concatenate("other", ("phi", "phi", "h")),
            Combine("sum", ("one", "other"), "add"),
            Apply("psi", ("sum",), activation("relu")),
            Affine("out", ("psi",), np.array([[1.0, 5.0, 7.0]])),
        ),
        ("out",),
    )
    _, found = reduced(graph)
    assert found.shapes["sum"] == (2,)
    assert_same_function(graph, found)


def test_products_compare_their_factors():
    a, b = np.array([[1.0], [1.0], [2.0]]), np.array([[3.0], [3.0], [3.0]])
    graph = sl.Network(
        (
            Input("x", (), (1,)),
            Affine("a", ("x",), a),
            Affine("b", ("x",), b),
            Combine("gate", ("a", "b"), "multiply"),
            Affine("out", ("gate",), np.array([[1.0, 2.0, 4.0]])),
        ),
        ("out",),
    )
    _, found = reduced(graph)
    assert found.shapes["gate"] == (2,) and found.named["b"].units == 1
    assert_same_function(graph, found)


def test_depthwise_and_scales():
    kernel = rng.normal(size=(4, 1, 3, 3))
    kernel[1] = kernel[0]
    first = rng.normal(size=(4, 2, 1, 1))
    first[1] = first[0]
    one = ((1, 1), (0, 0), (1, 1))
    graph = sl.Network(
        (
            Input("x", (), (2, 4, 4)),
            Affine("a", ("x",), first, None, *one),
            Affine(
                "norm", ("a",), np.array([[2.0], [2.0], [3.0], [2.0]]), np.ones(4), depthwise=True
            ),
            Apply("phi", ("norm",), activation("relu")),
            Affine("d", ("phi",), kernel, None, *one, depthwise=True),
            Affine("m", ("d",), rng.normal(size=(8, 1, 1, 1)), None, *one, depthwise=True),
            Affine("out", ("m",), rng.normal(size=(1, 8, 2, 2)), None, *one),
        ),
        ("out",),
    )
    lumping, found = reduced(graph)
    assert lumping.exact
    units = {layer.name: layer.units for layer in found.layers}
    assert units == {"a": 3, "norm": 3, "d": 3, "m": 8, "out": 1}
    assert_same_function(graph, found)


def test_outputs_and_what_mixes_units_stay_whole():
    rows = np.array([[1.0], [1.0]])
    for last in (
        [Softmax("p", ("y",))],
        [Apply("p", ("y",), activation("tanh"))],
        [Concatenate("p", ("y", "y"))],
        [Select("p", ("y",), np.array([1, 1, 0]))],
    ):
        graph = sl.Network((Input("x", (), (1,)), Affine("y", ("x",), rows), *last), ("p",))
        _, found = reduced(graph)
        assert found.layers[0].units == 2
        assert_same_function(graph, found)


class Running(Node):
    """A sum along the channels: a node of a kind that nothing else knows."""

    def shape(self, *given):
        return given[0]


def test_units_stay_alone_before_a_node_that_is_not_known():
    net = sl.Network(
        (
            Input("x", (), (2,)),
            Affine("a", ("x",), np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]])),
            Running("sums", ("a",)),
            Affine("head", ("sums",), np.ones((1, 3))),
        ),
        ("head",),
    )
    assert find_ties(net).makers == ()
    lumping = sl.lump(sl.encode(net), sl.Forward())
    assert len(lumping.partition) == len(lumping.ode)
    small = sl.decode(lumping)
    assert small.shapes["sums"] == (3,) and small.named["sums"].inputs == ("a",)


def test_scales_are_folded_where_they_can_be():
    scale = Affine("bn", ("c",), np.array([[2.0], [3.0]]), np.array([1.0, 0.0]), depthwise=True)
    conv = Affine("c", ("x",), rng.normal(size=(2, 1, 3, 3)), None, (1, 1), (1, 1), (1, 1))
    after = Affine("d", ("bn",), rng.normal(size=(1, 2, 3, 3)), None, (1, 1), (0, 0), (1, 1))
    x = Input("x", (), (1, 5, 5))
    graph = sl.Network((x, conv, scale, after), ("d",))
    assert [layer.name for layer in simplify(graph).layers] == ["c", "d"]
    assert_same_function(graph, simplify(graph))
    read_twice = sl.Network((x, conv, scale, after), ("d", "c"))
    forward = simplify(read_twice)
    assert [layer.name for layer in forward.layers] == ["c", "d"]
    padded = Affine("d", ("bn",), after.weight, None, (1, 1), (1, 1), (1, 1))
    kept = simplify(sl.Network((x, conv, scale, padded), ("d", "c")))
    assert [layer.name for layer in kept.layers] == ["c", "bn", "d"]


def test_chains_are_recognised():
    x, w = Input("x", (), (2,)), np.ones((2, 2))
    phi = activation("tanh")
    chain = [x, Affine("a", ("x",), w), Apply("p", ("a",), phi), Affine("b", ("p",), w)]
    assert sl.Network(tuple(chain), ("b",)).chain.widths == (2, 2, 2)
    twice = [*chain, Apply("q", ("b",), phi), Apply("r", ("q",), phi)]
    assert sl.Network(tuple(twice), ("r",)).chain is None
    branch = [*chain, Combine("s", ("a", "b"), "add")]
    assert sl.Network(tuple(branch), ("s",)).chain is None


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([Affine("a", ("x",), np.ones((1, 3)))], r"a: a weight of shape \(1, 3\) reads 3 channels"),
        ([Affine("a", ("y",), np.ones((1, 2)))], "reads 'y', which does not come before"),
        ([Affine("x", ("x",), np.ones((1, 2)))], "two nodes are named 'x'"),
        ([Affine("a", ("x",), np.full((1, 2), np.nan))], r"a: weight\[0, 0\] is nan"),
        ([Affine("a", ("x",), np.ones((1, 2)), np.ones(2))], r"bias of shape \(2,\) for 1 units"),
        ([Pool("a", ("x",), "average", (2, 2), (1, 1), (0, 0), (1, 1))], "window of size"),
        ([Select("a", ("x",), np.array([2]))], "index of channels does not fit"),
        (
            [Affine("b", ("x",), np.ones((3, 2))), Combine("a", ("x", "b"), "add")],
            r"a: values of shapes \(2,\), \(3,\) cannot be added",
        ),
    ],
)
def test_bad_graphs(nodes, says):
    with pytest.raises(NetworkError, match=says):
        sl.Network((Input("x", (), (2,)), *nodes), ("a",))


def test_dense_layers_act_at_each_place():
    net = sl.Network((Input("x", (), (2, 2)), Affine("a", ("x",), np.array([[1.0, 10.0]]))), ("a",))
    assert net.chain is None and net([[[1.0, 2.0], [3.0, 4.0]]]).tolist() == [[[31.0, 42.0]]]


def test_values_that_are_too_large():
    with pytest.raises(NetworkError, match="larger than symlump handles"):
        sl.Network((Input("x", (), (2, 10**6, 10**6)), Flatten("a", ("x",))), ("a",))


def test_what_does_not_apply_to_graphs_says_so():
    graph = residual(0, False)
    with pytest.raises(NetworkError, match="works on chains of dense layers"):
        sl.encode(graph, "state")
    with pytest.raises(MethodError, match=r"reduced by Forward\(\)"):
        sl.decode(sl.lump(sl.encode(graph), sl.Backward()))
    with pytest.raises(NetworkError, match=r"shape \(samples, 2, 6, 6\); got \(1, 2\)"):
        graph([[1.0, 2.0]])
