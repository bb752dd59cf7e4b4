"""Methods on networks that are no chains: convolutions, a residual sum, a depthwise layer, a join."""

import numpy as np
import pytest
import torch
from test_merging import branched

import symlump as sl
from symlump.errors import MethodError
from symlump.plan import share_of

NET = branched(np.random.default_rng(3), "relu")
X = np.random.default_rng(0).normal(size=(40, 2, 6, 6))
Y = NET(X)


def error(result):
    return float(np.mean((result.network(X) - Y) ** 2) / Y.var())


@pytest.mark.parametrize(
    "method", [sl.Magnitude(0.6), sl.Magnitude(0.6, scope="layerwise"), sl.Wanda(0.6, X)]
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
