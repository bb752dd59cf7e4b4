"""Channels that are multiples of one another, hidden in residual graphs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_graph import residual

import symlump as sl
from symlump.errors import MethodError
from symlump.network.activations.table import activation
from symlump.network.nodes import Affine, Apply, Flatten, Input, Pool
from symlump.network.step_nodes import ByPlace

READERS = {"stem": ["a", "s"], "a": ["b"], "c": ["d"]}


def multiplied(graph, factors, seed):
    """The same function with each unit of some layers multiplied, and divided where it is read."""
    random = np.random.default_rng(seed)
    nodes = {node.name: node for node in graph.nodes}
    for name, readers in READERS.items():
        layer = nodes[name]
        rho = random.choice(factors, size=layer.units)
        spread = rho.reshape(-1, *(1,) * (layer.weight.ndim - 1))
        nodes[name] = replace(layer, weight=layer.weight * spread, bias=layer.bias * rho)
        for reader in readers:
            after = nodes[reader]
            nodes[reader] = replace(after, weight=after.weight / spread.reshape(1, -1, 1, 1))
    return replace(graph, nodes=tuple(nodes.values()))


def sizes(graph):
    return {layer.name: layer.units for layer in graph.layers}


@settings(max_examples=12)
@given(
    seed=st.integers(0, 5_000),
    case=st.sampled_from(
        [("relu", [0.25, 1.0, 2.0, 8.0]), ("tanh", [-1.0, 1.0]), ("leaky_relu:0.25", [0.5, 4.0])]
    ),
)
def test_hidden_multiples_are_found(seed, case):
    phi, factors = case
    small, large = residual(seed, False, phi=phi), residual(seed, True, phi=phi)
    hidden = multiplied(large, np.array(factors), seed)
    x = np.random.default_rng(0).normal(size=(4, 2, 6, 6))
    expected = large(x)
    slack = 1e-11 * np.abs(expected).max()
    assert hidden(x) == pytest.approx(expected, abs=slack)
    result = sl.compress(hidden, sl.Symmetric())
    assert result.network(x) == pytest.approx(expected, abs=slack)
    found, wanted = sizes(result.network), sizes(small)
    assert all(found[name] <= wanted[name] for name in wanted)
    (certificate,) = result.certificates
    assert certificate.check().accepted


def test_without_symmetry_it_is_forward_equivalence():
    """gelu commutes with nothing."""
    graph = multiplied(residual(2, True, phi="gelu"), np.array([1.0, 2.0]), 2)
    plain = sl.compress(graph, sl.AFDE(eps=0))
    result = sl.compress(graph, sl.Symmetric())
    assert sizes(result.network) == sizes(plain.network) and not result.reduction.note
    for a, b in zip(result.network.layers, plain.network.layers, strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


def graph_of(phi, between, rows, after):
    kernel = ((1,), (0,), (1,))
    nodes = [
        Input("x", (), (1, 6)),
        Affine("a", ("x",), np.array(rows)[:, None, :], None, *kernel),
        Apply("phi", ("a",), activation(phi)),
        *between,
        Affine(
            "out",
            (between[-1].name if between else "phi",),
            np.array([after])[..., None],
            None,
            *kernel,
        ),
    ]
    return sl.Network(tuple(nodes), ("out",))


def pool(operation):
    return [Pool("pool", ("phi",), operation, (2,), (2,), (0,), (1,))]


@pytest.mark.parametrize(
    ("phi", "between", "factor", "units"),
    [
        ("relu", [], 3.0, 1),
        ("relu", [], -3.0, 2),
        ("relu", pool("maximum"), 3.0, 1),
        ("tanh", [], -1.0, 1),
        ("tanh", [], 3.0, 2),
        ("tanh", pool("average"), -1.0, 1),
        ("tanh", pool("maximum"), -1.0, 2),
        ("sigmoid", [], -1.0, 1),
        ("sigmoid", pool("average"), -1.0, 1),
        ("sigmoid", pool("maximum"), -1.0, 2),
        ("abs", [], -2.0, 1),
        ("polynomial:0,0,2", [], 3.0, 1),
        ("identity", [], -7.0, 1),
    ],
)
def test_what_commutes_with_what(phi, between, factor, units):
    row = np.array([1.0, 2.0])
    graph = graph_of(phi, between, [row, factor * row], [1.0, 0.3])
    result = sl.compress(graph, sl.Symmetric())
    assert result.network.named["a"].units == units
    assert result.certificates[0].check().accepted
    x = np.random.default_rng(0).normal(size=(5, 1, 6))
    assert result.network(x) == pytest.approx(graph(x), abs=1e-13)
    assert ("uses" in result.reduction.note) == (units == 1 and phi != "identity")


def test_factors_need_not_be_floats():
    """Rows 3 : 1 are read with 1/3 of the weight, as an exact rational, in the certificate."""
    graph = graph_of("relu", [], [[3.0, 6.0], [1.0, 2.0]], [1.0, 1.0])
    result = sl.compress(graph, sl.Symmetric())
    assert result.network.layers[1].weight.ravel().tolist() == [4 / 3]
    matrix = result.certificates[0].data["matrix"]
    assert ["1/3", [["h1_2", 1]]] in matrix["h1_1"]
    assert "proof not made" in sl.compress(graph, sl.Symmetric(proof=False)).reduction.note


@settings(max_examples=6)
@given(seed=st.integers(0, 5_000), phi=st.sampled_from(["relu", "tanh"]))
def test_near_multiples_are_found_within_a_tolerance(seed, phi):
    """Weights disturbed by a thousandth: nothing merges exactly, all that was hidden does nearly."""
    small, large = residual(seed, False, phi=phi), residual(seed, True, phi=phi)
    hidden = multiplied(large, np.array([0.5, 2.0] if phi == "relu" else [-1.0, 1.0]), seed)
    random = np.random.default_rng(seed)
    disturbed = hidden.with_layers(
        replace(k, weight=k.weight * (1 + 1e-4 * random.normal(size=k.weight.shape)))
        for k in hidden.layers
    )
    x = random.normal(size=(10, 2, 6, 6))
    result = sl.compress(disturbed, sl.Symmetric(eps=0.02))
    for name in ("a", "c"):  # the others make units of sums, which must be equal
        assert sizes(result.network)[name] <= sizes(small)[name]
    far = np.abs(result.network(x) - disturbed(x)).max()
    assert 0 <= far < 0.1 * np.abs(disturbed(x)).max()
    assert not result.exact and (result.defect > 0 or small.parameters == large.parameters)


def test_a_size_of_a_graph_and_what_is_refused():
    graph = residual(3, False, channels=6, width=8)
    result = sl.compress(graph, sl.Symmetric(retain=0.8))
    assert 0.5 < result.retained <= 0.8 and result.eps > 0
    with pytest.raises(MethodError, match="leave box out"):
        sl.compress(graph, sl.Symmetric(box=(-1, 1)))


@pytest.mark.parametrize("padding", [0, 1])
def test_constants_hold_where_nothing_is_padded(padding):
    """A channel without weights is φ(b): it goes into the next bias, but not where zeros surround it."""
    one = ((1,), (0,), (1,))
    rows = np.array([[[1.0]], [[0.0]], [[-1.0]]])
    reader = np.arange(9.0).reshape(1, 3, 3)
    graph = sl.Network(
        (
            Input("x", (), (1, 6)),
            Affine("a", ("x",), rows, np.array([0.5, 2.0, -0.5]), *one),
            Apply("phi", ("a",), activation("relu" if padding else "sigmoid")),
            Affine("b", ("phi",), reader, None, (1,), (padding,), (1,)),
            Flatten("flat", ("b",)),
            Affine("y", ("flat",), np.ones((1, 4 + 2 * padding))),
        ),
        ("y",),
    )
    result = sl.compress(graph, sl.Symmetric())
    assert result.network.named["a"].units == (3 if padding else 1)
    assert (result.network.named["b"].bias is None) == bool(padding)
    x = np.random.default_rng(0).normal(size=(9, 1, 6))
    assert result.network(x) == pytest.approx(graph(x), abs=1e-12)
    assert all(certificate.check().accepted for certificate in result.certificates)


def test_channels_that_nothing_reads_are_dropped():
    graph = graph_of("relu", [], [[3.0, 6.0], [1.0, 5.0], [2.0, 2.0]], [1.0, 0.0, 2.0])
    result = sl.compress(graph, sl.Symmetric())
    assert result.unit_maps[0].tolist() == [0, -1, 1] and result.exact
    assert result.network.layers[1].weight.ravel().tolist() == [1.0, 2.0]


def test_steps_that_pass_units_on_and_steps_that_mix():
    """A constant by place needs equal units; one that tells channels apart, and softmax, need every one."""
    grid = np.arange(5.0)[None]
    for constant, units in ((grid, 2), (np.vstack([grid, grid, 2 * grid]), 3)):
        between = [ByPlace("place", ("phi",), "add", constant)]
        graph = graph_of("relu", between, [[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]], [1.0, 0.5, 2.0])
        result = sl.compress(graph, sl.Symmetric())
        assert result.network.named["a"].units == units and result.exact
        x = np.random.default_rng(0).normal(size=(5, 1, 6))
        assert result.network(x) == pytest.approx(graph(x), abs=1e-12)


def test_nothing_but_constants_is_left():
    """All channels constant: one that computes nothing stays, and the bias has the value."""
    graph = graph_of("sigmoid", [], [[0.0, 0.0], [0.0, 0.0]], [3.0, 1.0])
    for method in (sl.Symmetric(), sl.Symmetric(eps=0.1)):
        result = sl.compress(graph, method)
        assert result.unit_maps[0].tolist() == [-1, -1]
        assert result.network.named["a"].units == 1
        assert result.network(np.ones((2, 1, 6))) == pytest.approx(np.full((2, 1, 5), 2.0))
