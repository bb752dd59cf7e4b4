"""Methods on networks that are no chains: convolutions, a residual sum, a depthwise layer, a join."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_graph import residual
from test_merging import branched

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.plan import share_of

NET = branched(np.random.default_rng(3), "relu")
X = np.random.default_rng(0).normal(size=(40, 2, 6, 6))
Y = NET(X)


def error(result):
    return float(np.mean((result.network(X) - Y) ** 2) / Y.var())


@pytest.mark.parametrize(
    "method",
    [
        sl.Magnitude(0.6),
        sl.Magnitude(0.6, scope="layerwise"),
        sl.Wanda(0.6, X),
        sl.SecondOrder(0.6, X),
    ],
)
def test_pruning_keeps_its_share(method):
    result = sl.compress(NET, method)
    counted = sum(
        int(np.count_nonzero(k.weight)) + (0 if k.bias is None else k.bias.size)
        for k in result.network.layers
    )
    assert counted == result.retained_parameters <= share_of(NET.parameters, 0.6)
    assert error(result) < 0.5


def test_wanda_weighs_a_channel_by_what_passes_through_it():
    silent = X.copy()
    silent[:, 1] = 0.0
    result = sl.compress(NET, sl.Wanda(0.5, silent))
    assert not result.network.named["a"].weight[:, 1].any()


def test_svd_splits_convolutions():
    exact = sl.compress(NET, sl.TruncatedSVD(rank=100))
    assert exact.network.parameters == NET.parameters and error(exact) < 1e-24
    small = sl.compress(NET, sl.TruncatedSVD(retain=0.7))
    assert small.retained_parameters == small.network.parameters <= 0.7 * NET.parameters
    assert error(small) < 0.8
    split = [k for k in small.network.layers if k.name.endswith(".right")]
    assert any(k.kernel == (3, 3) and k.padding == (1, 1) for k in split)
    assert [row.name for row in small.layers] == [k.name for k in NET.layers]
    # Eckart and Young: no matrix of that rank is nearer
    name = split[0].name.removesuffix(".right")
    first, second = split[0].weight, small.network.named[name].weight
    product = second.reshape(len(second), -1) @ first.reshape(len(first), -1)
    whole = NET.named[name].weight.reshape(len(second), -1)
    values = np.linalg.svd(whole, compute_uv=False)
    assert np.linalg.norm(whole - product) == pytest.approx(np.linalg.norm(values[len(first) :]))


@pytest.mark.parametrize("steps", ["row", "matrix"])
def test_rounding_to_bits(steps):
    errors = [error(sl.compress(NET, sl.Quantize(bits, steps))) for bits in (3, 6, 12)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-5


def test_steps_come_closer_on_any_network():
    plain, closer = (sl.compress(NET, sl.AFDE(retain=0.5, inputs=X, steps=s)) for s in (0, 20))
    assert error(closer) < 0.8 * error(plain)
    assert closer.lumpings[0].certificate().check().accepted


def test_inputs_as_people_have_them():
    """An array, flat rows, a tensor, a loader with targets: the same result."""
    tensor = torch.from_numpy(X)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(tensor, torch.zeros(len(X))), batch_size=16
    )
    results = [
        sl.compress(NET, sl.AFDE(retain=0.5, inputs=inputs))
        for inputs in (X, X.reshape(len(X), -1), tensor, loader)
    ]
    for other in results[1:]:
        for a, b in zip(results[0].network.layers, other.network.layers, strict=True):
            assert np.array_equal(a.weight, b.weight)
    assert error(results[0]) < error(sl.compress(NET, sl.AFDE(retain=0.5)))
    for wrong in (np.ones((3, 5)), np.ones((0, 2, 6, 6)), np.full((3, 2, 6, 6), np.nan)):
        with pytest.raises(MethodError, match="inputs=…"):
            sl.compress(NET, sl.AFDE(retain=0.5, inputs=wrong))


def test_it_says_what_was_compared_and_that_data_helps():
    result = sl.compress(NET, sl.AFDE(retain=0.5))
    assert "compares functions" in result.measure and "refitted" in result.measure
    assert "samples of your inputs help: AFDE(inputs=X)" in result.headline()
    assert "help" not in sl.compress(NET, sl.AFDE(retain=0.5, inputs=X)).headline()
    literature = sl.compress(NET, sl.AFDE(retain=0.5, distance="coefficients"))
    assert "compares coefficients" in literature.measure and "added up" in literature.measure


def test_no_layer_collapses():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(64, 3)), 0.01 * rng.normal(size=(64, 64)), rng.normal(size=(2, 64))]
    net = sl.Network.dense(weights, [np.zeros(64), np.full(64, 5.0), np.zeros(2)], "sigmoid")
    result = sl.compress(net, sl.AFDE(retain=0.15))
    assert min(layer.units for layer in result.network.hidden) >= 8
    least = sl.compress(net, sl.AFDE(retain=0.005))  # there is no other way to this size
    assert least.retained <= 0.005


def test_dependence_finds_what_was_planted_in_residual_sums():
    """Copies of channels in every branch, and a join: exactly as many channels as before."""
    for seed in (0, 1, 2):
        small, wide = (
            residual(seed, copies, phi="tanh", joined=seed == 2) for copies in (False, True)
        )
        x = np.random.default_rng(9).normal(size=(60, 2, 6, 6))
        result = sl.compress(wide, sl.Dependence(eps=1e-8, inputs=x))
        assert result.retained_parameters <= small.parameters < wide.parameters
        assert result.network(x) == pytest.approx(wide(x), abs=1e-6)


def test_dependence_uses_data_and_steps_on_any_network():
    plain = sl.compress(NET, sl.Dependence(retain=0.5))
    data = sl.compress(NET, sl.Dependence(retain=0.5, inputs=X))
    closer = sl.compress(NET, sl.Dependence(retain=0.5, inputs=X, steps=20))
    assert all(result.retained <= 0.5 for result in (plain, data, closer))
    assert error(closer) < 0.8 * error(data) < 0.05
    assert any((units == -1).any() for units in plain.unit_maps)
    inside = np.clip(X, -1, 1)
    far = np.abs(plain.network(inside) - NET(inside)).max(axis=0)
    assert (plain.bound((-1, 1)).values >= far).all()
    with pytest.raises(NetworkError, match=r"Dependence\(inputs='exact'\) works on chains"):
        sl.compress(NET, sl.Dependence(inputs="exact"))


def test_hierarchical_stores_the_dense_layers_of_any_network():
    """Of 9·144 + 3·9 numbers in dense layers those of blocks; convolutions stay, and the report names them."""
    grid = np.linspace(0, 1, 144)
    smooth = np.exp(-np.abs(np.linspace(0, 1, 9)[:, None] - grid))
    net = NET.with_layers([replace(NET.named["fc"], weight=smooth)])
    result = sl.compress(net, sl.Hierarchical(eps=1e-3))
    whole = {row.name: row for row in result.layers}
    assert whole["fc"].retained_parameters < 0.4 * whole["fc"].parameters
    assert all(whole[name].retained_parameters == whole[name].parameters for name in "abc")
    assert "left as they are: a, b, c, dw" in result.headline()
    assert sum(row.retained_parameters for row in result.layers) == result.retained_parameters
    far = np.linalg.norm(result.network.named["fc"].weight - smooth)
    assert 0 < far <= 1e-3 * np.linalg.norm(smooth)
    model = sl.compress(sl.to_torch(net), sl.Hierarchical(eps=1e-3), example=torch.from_numpy(X))
    assert sum(p.numel() for p in model.model.parameters()) == model.retained_parameters
    found = model.model(torch.from_numpy(X)).detach().numpy()
    assert found == pytest.approx(result.network(X), abs=1e-9)
    assert model.bound((-1, 1), splits=0).values.max() < np.inf
    convolutions = sl.Network(NET.nodes[:2], (NET.nodes[1].name,))
    with pytest.raises(NetworkError, match="stores dense layers .* has none"):
        sl.compress(convolutions, sl.Hierarchical(eps=0.1))
