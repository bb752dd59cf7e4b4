"""Any reduction as a relaxed lumping: planted maps are found, and what is said of them is true."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.table import activation
from symlump.network.chain import Layer
from symlump.network.nodes import Affine, Combine, Input

ACTIVATIONS = ("tanh", "relu", "sigmoid", "gelu")


def random_network(rng, widths=(3, 9, 7, 2), activation="tanh"):
    pairs = list(zip(widths, widths[1:], strict=False))
    return sl.Network.dense(
        [rng.normal(size=(b, a)) for a, b in pairs],
        [rng.normal(size=b) for _, b in pairs],
        activation,
    )


def split(network, rng, copies, factors=None):
    """The network with each hidden unit copied, the copies' outgoing weights adding up; and the maps."""
    layers, maps, before = [], [], None
    for number, layer in enumerate(network.chain.layers):
        weight, bias = layer.weight, layer.bias
        if before is not None:
            units, shares, s = before
            weight = weight[:, units] * shares / s
        if number < len(network.chain.layers) - 1:
            counts = rng.integers(1, copies + 1, size=layer.units)
            units = rng.permutation(np.repeat(np.arange(layer.units), counts))
            shares = rng.uniform(0.5, 2, size=units.size)
            sums = np.bincount(units, shares)
            a = np.ones(units.size) if factors is None else factors(rng, units.size)
            _, first = np.unique(units, return_index=True)
            a[first] = 1.0
            weight, bias = a[:, None] * weight[units], a * bias[units]
            before, _ = (units, shares / sums[units], a), maps.append(units)
        layers.append(Layer(weight, bias, layer.activation))
    return sl.Network.from_layers(layers), maps


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), activation=st.sampled_from(ACTIVATIONS))
def test_planted_copies_are_found_and_exact(seed, activation):
    rng = np.random.default_rng(seed)
    small = random_network(rng, activation=activation)
    large, maps = split(small, rng, 3)
    explanation = sl.explain_reduction(large, small)
    assert [units.tolist() for units in explanation.unit_maps] == [units.tolist() for units in maps]
    assert explanation.exact
    assert explanation.defect < 1e-12
    assert not any(layer.removed for layer in explanation.layers)


@pytest.mark.parametrize(
    ("activation", "factors"),
    [
        ("relu", lambda rng, n: rng.uniform(0.2, 5, n)),
        ("tanh", lambda rng, n: rng.choice([-1.0, 1.0], n)),
    ],
)
def test_units_equal_up_to_what_the_activation_allows_are_found(activation, factors):
    rng = np.random.default_rng(4)
    small = random_network(rng, activation=activation)
    large, maps = split(small, rng, 3, factors)
    x = rng.normal(size=(20, 3))
    assert np.allclose(large(x), small(x))
    explanation = sl.explain_reduction(large, small)
    assert [units.tolist() for units in explanation.unit_maps] == [units.tolist() for units in maps]
    assert explanation.exact


def test_units_of_a_sigmoid_merge_with_their_complement():
    large = sl.Network.dense([[[1.0], [-1.0]], [[2.0, 3.0]]], [[0.5, -0.5], [1.0]], "sigmoid")
    small = sl.Network.dense([[[1.0]], [[-1.0]]], [[0.5], [4.0]], "sigmoid")  # 3·(1 − h)
    explanation = sl.explain_reduction(large, small)
    assert explanation.exact
    assert explanation.unit_maps[0].tolist() == [0, 0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), activation=st.sampled_from(ACTIVATIONS))
def test_removed_units_are_told_from_merged_ones(seed, activation):
    rng = np.random.default_rng(seed)
    network = random_network(rng, (3, 10, 2), activation)
    one, two = network.chain.layers
    kept = np.sort(rng.choice(10, 6, replace=False))
    small = sl.Network.from_layers(
        (
            Layer(one.weight[kept], one.bias[kept], one.activation),
            Layer(two.weight[:, kept], two.bias),
        )
    )
    explanation = sl.explain_reduction(network, small)
    expected = np.full(10, -1)
    expected[kept] = np.arange(6)
    assert explanation.unit_maps[0].tolist() == expected.tolist()
    assert explanation.layers[0].exact == 6
    gone = np.delete(np.arange(10), kept)
    columns = np.linalg.norm(two.weight[:, gone])
    assert explanation.defect <= columns * (1 + 1e-12)  # taking the columns as 0 is one explanation


def methods(inputs):
    return (
        sl.AFDE(retain=0.5),
        sl.AFDE(retain=0.5, refit=False),
        sl.AFDE(retain=0.5, distance="coefficients"),
        sl.AFDE(retain=0.6, on="state"),
        sl.Symmetric(retain=0.6),
        sl.Dependence(retain=0.5),
        sl.Magnitude(retain=0.5),
        sl.Wanda(retain=0.5, inputs=inputs),
        sl.SecondOrder(retain=0.5, inputs=inputs),
        sl.TruncatedSVD(retain=0.6),
        sl.Quantize(bits=4),
        sl.Hierarchical(retain=0.8),
    )


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_every_method_is_the_exact_quotient_of_the_reference(activation):
    rng = np.random.default_rng(1)
    network = random_network(rng, (4, 12, 10, 2), activation)
    x = rng.normal(size=(50, 4))
    for method in methods(x):
        result = sl.compress(network, method)
        explanation = sl.explain_reduction(network, result.network)
        far = np.abs(explanation.reference(x) - result.network(x)).max()
        assert far < 1e-11 * max(1.0, np.abs(result.network(x)).max()), method
        assert explanation.reference.widths == explanation.quotient.original.widths
        moved = [
            np.linalg.norm(a.weight - b.weight) ** 2 + np.linalg.norm(a.bias - b.bias) ** 2
            for a, b in zip(
                explanation.reference.layers, explanation.quotient.original.layers, strict=True
            )
        ]
        assert np.isclose(explanation.defect, np.sqrt(sum(moved))), method
        difference = np.abs(network(x) - result.network(x)).max(axis=0)
        low, high = x.min(), x.max()
        assert np.all(difference <= explanation.bound((low, high), splits=0).values)


def test_a_constant_unit_may_read_constant_ones():
    rng = np.random.default_rng(0)
    net = random_network(rng, (3, 6, 6, 2))
    first, second, third = (layer.weight.copy() for layer in net.layers)
    biases = [layer.bias.copy() for layer in net.layers]
    first[0] = 0.0  # tanh(b₀), which the first unit of the next layer reads, and nothing that moves
    second[0] = [2.0, 0, 0, 0, 0, 0]
    net = sl.Network.dense([first, second, third], biases)
    values = np.tanh(biases[0][0]), np.tanh(biases[1][0] + 2 * np.tanh(biases[0][0]))
    small = sl.Network.dense(
        [first[1:], second[1:, 1:], third[:, 1:]],
        [
            biases[0][1:],
            biases[1][1:] + second[1:, 0] * values[0],
            biases[2] + third[:, 0] * values[1],
        ],
    )
    explanation = sl.explain_reduction(net, small)
    x = rng.normal(size=(50, 3))
    assert np.abs(net(x) - small(x)).max() < 1e-14
    assert np.abs(explanation.reference(x) - small(x)).max() < 1e-14
    assert explanation.defect < 1e-14 and explanation.unit_maps[1].tolist() == [-1, 0, 1, 2, 3, 4]
    # The same with a little that moves: it is taken as nothing.
    second[0, 3] = 1e-3
    explanation = sl.explain_reduction(sl.Network.dense([first, second, third], biases), small)
    assert np.abs(explanation.reference(x) - small(x)).max() < 1e-14
    assert explanation.defect == pytest.approx(1e-3)


def test_masks_are_the_nearest_system_of_their_sparsity():
    rng = np.random.default_rng(2)
    network = random_network(rng, (4, 12, 10, 2))
    result = sl.compress(network, sl.Magnitude(retain=0.5))
    explanation = sl.explain_reduction(network, result.network)
    assert [units.tolist() for units in explanation.unit_maps] == [
        list(range(12)),
        list(range(10)),
    ]
    assert np.isclose(explanation.defect, result.defect)
    zeros = [int((layer.weight == 0).sum()) for layer in result.network.layers]
    assert [layer.zeroed for layer in explanation.layers] == zeros
    assert f"{sum(zeros)} of them 0" in explanation.headline()


def test_any_other_map_has_a_larger_defect_than_the_planted_one():
    rng = np.random.default_rng(5)
    small = random_network(rng, (3, 5, 1))
    large, _ = split(small, rng, 2)
    noisy = sl.Network.from_layers(
        Layer(k.weight + 0.01 * rng.normal(size=k.weight.shape), k.bias, k.activation)
        for k in large.chain.layers
    )
    found = sl.explain_reduction(noisy, small)
    planted = np.sqrt(
        sum(
            np.linalg.norm(a.weight - b.weight) ** 2
            for a, b in zip(noisy.layers, large.layers, strict=True)
        )
    )
    assert 0 < found.defect <= planted
    assert not found.exact


class Residual(nn.Module):
    """A convolution, a branch that is added, one kernel per channel, and a dense end."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 12, 3, padding=1)
        self.c = nn.Conv2d(12, 8, 3, padding=1)
        self.d = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.e = nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.a(x)))
        h = torch.relu(h + self.c(torch.relu(self.b(h))))
        return self.e(self.pool(torch.relu(self.d(h))).flatten(1))


@pytest.mark.parametrize(
    "method",
    [
        sl.AFDE(retain=0.5),
        sl.Dependence(retain=0.5),
        sl.TruncatedSVD(retain=0.6),
        sl.Magnitude(retain=0.5),
    ],
)
def test_convolutions_and_sums(method):
    torch.manual_seed(0)
    model, example = Residual().eval(), torch.zeros(1, 1, 6, 6)
    network = sl.from_torch(model, example)
    small = sl.compress(network, method).network
    explanation = sl.explain_reduction(network, small)
    x = np.random.default_rng(0).normal(size=(5, 1, 6, 6))
    assert np.abs(explanation.reference(x) - small(x)).max() < 1e-12
    assert explanation.reference.widths == network.widths


def test_what_another_tool_removed_is_named():
    pruning = pytest.importorskip("torch_pruning")
    torch.manual_seed(1)
    model, example = Residual().eval(), torch.randn(1, 1, 6, 6)
    small = copy.deepcopy(model)
    pruning.pruner.BasePruner(
        small,
        example,
        importance=pruning.importance.RandomImportance(),
        pruning_ratio=0.5,
        ignored_layers=[small.e],
    ).step()
    explanation = sl.explain_reduction(model, small, example=example)
    rows = {layer.name: layer for layer in explanation.layers}
    assert (rows["b"].alone, rows["b"].exact, rows["b"].removed) == (6, 6, 6)
    assert (rows["d"].alone, rows["d"].exact, rows["d"].removed) == (4, 4, 4)
    for name, units in zip("abcd", explanation.unit_maps, strict=True):
        kept = np.flatnonzero(units >= 0)
        there, here = getattr(model, name).bias.detach(), getattr(small, name).bias.detach()
        assert torch.equal(there[kept], here[units[kept]])


def test_networks_that_are_not_comparable_are_refused():
    rng = np.random.default_rng(0)
    small, large = random_network(rng, (3, 4, 2)), random_network(rng, (3, 6, 2))
    with pytest.raises(MethodError, match="give the larger network first"):
        sl.explain_reduction(small, large)
    with pytest.raises(MethodError, match="activation"):
        sl.explain_reduction(large, random_network(rng, (3, 4, 2), "relu"))
    with pytest.raises(MethodError, match="steps"):
        sl.explain_reduction(large, random_network(rng, (3, 4, 4, 2)))
    with pytest.raises(MethodError, match="Input size"):
        sl.explain_reduction(large, random_network(rng, (4, 4, 2)))
    with pytest.raises(MethodError, match="torch modules"):
        sl.explain_reduction(large, "small.onnx")


def test_a_zero_added_to_other_values_is_not_taken_as_zero():
    """What is added to a unit that all channels share stays, so the unit is not the zero unit."""
    rng = np.random.default_rng(3)

    def network(weight, last):
        return sl.Network(
            (
                Input("x", (), (2,)),
                Affine("one", ("x",), np.array([[1.0, 2.0]])),
                Affine("h", ("x",), weight),
                Combine("sum", ("h", "one"), "add"),
                Affine("y", ("sum",), last),
            ),
            ("y",),
        )

    weight, last = rng.normal(size=(5, 2)), rng.normal(size=(1, 5))
    weight[4] *= 1e-3
    explanation = sl.explain_reduction(network(weight, last), network(weight[:4], last[:, :4]))
    x = rng.normal(size=(5, 2))
    assert np.allclose(explanation.reference(x), explanation.reduced(x))
    assert explanation.layers[1].zero == 0


@pytest.mark.parametrize(
    ("row", "bias", "column"), [((0, 0), 0.0, 3), ((3, 4), 0.5, 0), ((0, 0), 2.0, 3)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_removed_without_loss_is_exact(row, bias, column, dtype):
    last = np.array([[2, column, 1], [1, -column, 0.3]])
    small = sl.Network.dense(
        [[[1, 2], [3, -1]], last[:, [0, 2]]],
        biases=[[0.1, 0], last[:, 1] * np.tanh(bias if not any(row) else 0)],
        dtype=dtype,
    )
    for far in (0, 1e-3):
        rows, columns = [[1, 2], np.array(row) + far, [3, -1]], last + far * np.eye(2, 3, 1)
        net = sl.Network.dense([rows, columns], biases=[[0.1, bias, 0], [0, 0]], dtype=dtype)
        explanation = sl.explain_reduction(net, small)
        layer = explanation.layers[0]
        assert layer.removed == 1 and layer.idle == (far == 0)
        assert explanation.exact == (far == 0) == ("both compute the same" in str(explanation))
        assert ("ε" in str(layer)) == (far > 0)


def test_the_report_of_another_network_says_so_and_one_of_many_layers_stays_short():
    rng = np.random.default_rng(0)
    large, other = random_network(rng, (3, 8, 8, 2)), random_network(rng, (3, 6, 6, 2))
    explanation = sl.explain_reduction(large, other)
    assert "hardly a reduction" in str(explanation) and explanation.relative_defect > 0.5
    x = rng.normal(size=(200, 3))  # a fit alone can do that: the report must not say "trained"
    fitted = sl.explain_reduction(large, sl.compress(large, sl.SecondOrder(0.5, inputs=x)).network)
    assert fitted.relative_defect > 0.5
    assert "took up much of what went (a fit, low rank)" in str(fitted)
    assert "hardly a reduction" not in str(sl.explain_reduction(large, large))
    deep = random_network(rng, (3, *20 * [4], 2))
    result = sl.compress(deep, sl.Magnitude(0.9)).network
    text = str(sl.explain_reduction(deep, result)).splitlines()
    assert len(text) <= 24 and "and 9 layers with smaller ε" in "\n".join(text)
    assert "weights set to 0 do not matter" in "\n".join(text)


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_constant_is_said_only_where_a_bias_took_it_up(taken, seed):
    """A unit that hardly moves is dropped: with what it gives in the biases behind, or with nothing."""
    rng = np.random.default_rng(seed)
    first, bias = rng.normal(size=(6, 3)), rng.normal(size=6)
    first[2], bias[2] = 1e-3 * first[2], 1.0
    second, behind = rng.normal(size=(4, 6)), rng.normal(size=4)
    rest = np.delete(np.arange(6), 2)
    shift = behind + second[:, 2] * np.tanh(1.0) * taken
    one, two = (
        sl.Network.from_layers((Layer(a, b, activation("tanh")), Layer(c, d)))
        for a, b, c, d in (
            (first, bias, second, behind),
            (first[rest], bias[rest], second[:, rest], shift),
        )
    )
    explanation = sl.explain_reduction(one, two)
    assert explanation.unit_maps[0].tolist() == [0, 1, -1, 2, 3, 4]
    row = explanation.layers[0]
    assert (row.constant, row.zero + row.unread) == ((1, 0) if taken else (0, 1))
    assert ("never change" in str(explanation)) == taken
    wanted = (
        np.linalg.norm(first[2])
        if taken
        else min(np.hypot(np.linalg.norm(first[2]), 1.0), np.linalg.norm(second[:, 2]))
    )
    assert explanation.defect == pytest.approx(wanted)


class Tied(torch.nn.Module):
    """A decoder with the weights of its encoder."""

    def __init__(self, units):
        super().__init__()
        self.into, self.shift = torch.nn.Linear(4, units), torch.nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return torch.nn.functional.linear(
            torch.tanh(self.into(x)), self.into.weight.t(), self.shift
        )


def test_transposed_weights_count_once():
    torch.manual_seed(0)
    large, small, kept = Tied(6), Tied(4), [0, 2, 3, 5]
    with torch.no_grad():
        small.into.weight[:], small.into.bias[:] = large.into.weight[kept], large.into.bias[kept]
    explanation = sl.explain_reduction(large, small, example=torch.zeros(1, 4))
    assert explanation.sizes == tuple(
        sum(p.numel() for p in m.parameters()) for m in (large, small)
    )
    assert explanation.unit_maps[0].tolist() == [0, -1, 1, 2, -1, 3]
    assert "Weights of linear are those of into, transposed" in str(explanation)
    assert str(explanation).startswith("34 → 24 weights and biases")
    network = sl.from_torch(large, torch.zeros(1, 4))
    assert network.parameters == 34 and network.held == (30, 4)
    with pytest.raises(NetworkError, match="use one weight"):  # as where the module is given
        sl.compress(network, sl.Symmetric(retain=0.7))
    with torch.no_grad():  # equal now, but not one: two arrays
        apart = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4))
        apart[2].weight[:] = apart[0].weight.T
    equal = sl.from_torch(apart)
    assert equal.parameters == 58 == sl.compress(equal, sl.AFDE(eps=0)).parameters
    assert sl.explain_reduction(equal, equal).sizes == (58, 58)
