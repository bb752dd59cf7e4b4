import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.bench.train import multilayer
from symlump.errors import FailureError, MethodError
from symlump.network.network import Network


def chain(seed, widths=(5, 16, 16, 3), activation="tanh", dtype="float64"):
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:], strict=False))
    return Network.dense(
        [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairs],
        [rng.normal(size=m) for _, m in pairs],
        activation,
        dtype=dtype,
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 4))
def test_planted_rank_is_found_and_loses_nothing(seed, rank):
    rng = np.random.default_rng(seed)
    factors = [rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 12)) for _ in range(2)]
    network = Network.dense([rng.normal(size=(12, 4)), *factors, rng.normal(size=(2, 12))])
    result = sl.compress(network, sl.TruncatedSVD(eps=1e-10))
    assert result.network.widths == (4, 12, rank, 12, rank, 12, 2)
    x = rng.normal(size=(50, 4))
    assert result.network(x) == pytest.approx(network(x), abs=1e-12)
    assert [layer.bias is None for layer in result.network.chain.layers] == [True] * 6


def test_truncation_is_the_best_of_its_rank_and_within_the_tolerance():
    network = chain(0, (20, 20, 20))
    result = sl.compress(network, sl.TruncatedSVD(rank=3))
    squares = 0.0
    for number, layer in enumerate(network.chain.layers):
        low, high = result.network.chain.layers[2 * number : 2 * number + 2]
        values = np.linalg.svd(layer.weight, compute_uv=False)
        error = np.linalg.norm(layer.weight - high.weight @ low.weight)
        assert error == pytest.approx(np.linalg.norm(values[3:]))
        assert low.activation.name == "identity" and np.array_equal(high.bias, layer.bias)
        squares += error**2
    assert result.defect == pytest.approx(np.sqrt(squares))
    weight = network.chain.layers[0].weight * 0.7 ** np.arange(20)
    norm, values = np.linalg.norm(weight), np.linalg.svd(weight, compute_uv=False)
    for tol in (0.1, 0.3, 0.9):
        small = sl.compress(Network.dense([weight]), sl.TruncatedSVD(eps=tol)).network
        product = small.chain.layers[1].weight @ small.chain.layers[0].weight
        rank = small.chain.layers[0].units
        assert np.linalg.norm(weight - product) <= tol * norm * (1 + 1e-12)
        assert np.linalg.norm(values[rank - 1 :]) > tol * norm


def test_layers_are_split_only_where_that_saves():
    network = chain(1)
    result = sl.compress(network, sl.TruncatedSVD(rank=16))
    assert result.network.widths == network.widths and result.defect == 0.0
    mixed = sl.compress(network, sl.TruncatedSVD(rank=3))  # 3·(5 + 16) < 80, 3·(16 + 3) > 48
    assert mixed.network.widths == (5, 3, 16, 3, 16, 3)
    assert [row.retained_parameters for row in mixed.layers] == [3 * 21 + 16, 3 * 32 + 16, 51]
    assert [row.blocks for row in mixed.layers] == [16, 16, 3]
    assert "truncated SVD" in str(mixed) and "exact" not in str(mixed)
    json.dumps(mixed.to_dict())


@settings(max_examples=15)
@given(seed=st.integers(0, 100), keep=st.floats(0.3, 1.0))
def test_keep_is_met_and_counted_truly(seed, keep):
    network = chain(seed)
    result = sl.compress(network, sl.TruncatedSVD(retain=keep))
    assert (
        result.retained_parameters == result.network.parameters <= keep * network.parameters + 1e-9
    )
    assert sum(row.retained_parameters for row in result.layers) == result.retained_parameters


def test_keep_spends_rank_where_it_has_effect():
    """A layer whose outputs hardly count loses rank before one whose outputs do."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(20, 20)) / 5 for _ in range(2)]
    # The second layer is steep, so the first one matters far more than its weights say.
    network = Network.dense(
        [weights[0], 50 * weights[1], rng.normal(size=(1, 20)) / 50], activation="identity"
    )
    small = sl.compress(network, sl.TruncatedSVD(retain=0.7)).network
    ranks = [layer.units for layer in small.chain.layers if layer.bias is None and layer.units < 20]
    effects = [np.linalg.norm(layer.weight) for layer in network.chain.layers]
    assert effects[1] > 10 * effects[0]
    scaled = Network.dense(
        [50 * weights[0], weights[1], rng.normal(size=(1, 20)) / 50], activation="identity"
    )
    other = sl.compress(scaled, sl.TruncatedSVD(retain=0.7)).network
    # The networks are the same function up to a scale, so the ranks are the same.
    assert [
        layer.units for layer in other.chain.layers if layer.bias is None and layer.units < 20
    ] == ranks


def test_truncated_torch_model():
    model = multilayer(4, (24, 24), 2)
    result = sl.compress(model, sl.TruncatedSVD(retain=0.6))
    x = torch.randn(10, 4)
    assert result.model(x).detach().numpy() == pytest.approx(result.network(x.numpy()), abs=1e-5)
    assert sum(p.numel() for p in result.model.parameters()) == result.retained_parameters


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), bits=st.integers(2, 12), steps=st.sampled_from(["row", "matrix"]))
def test_rounding_to_bits(seed, bits, steps):
    network = chain(seed)
    result = sl.compress(network, sl.Quantize(bits, steps))
    squares = 0.0
    for new, old in zip(result.network.chain.layers, network.chain.layers, strict=True):
        largest = np.abs(old.weight).max(axis=1 if steps == "row" else None, keepdims=True)
        step = largest / (2 ** (bits - 1) - 1)
        assert np.all(np.abs(new.weight - old.weight) <= step / 2 * (1 + 1e-9))
        multiples = new.weight / step
        assert multiples == pytest.approx(np.rint(multiples), abs=1e-6)
        assert np.abs(multiples).max() <= 2 ** (bits - 1) - 1 + 1e-6
        assert np.array_equal(new.bias, old.bias)
        squares += np.sum((new.weight - old.weight) ** 2)
    assert result.defect == pytest.approx(np.sqrt(squares))


def test_storage_is_counted_in_parameters_of_the_networks_precision():
    sizes = {}
    for dtype in ("float32", "float64"):
        result = sl.compress(chain(0, (5, 16, 3), dtype=dtype), sl.Quantize(8))
        sizes[dtype] = [row.retained_parameters for row in result.layers]
        assert result.retained_parameters == sum(sizes[dtype])
    # weights·8/32 rounded up, then a step and a bias for each row
    assert sizes["float32"] == [20 + 16 + 16, 12 + 3 + 3]
    assert sizes["float64"] == [10 + 16 + 16, 6 + 3 + 3]
    whole = sl.compress(chain(0, (5, 16, 3), dtype="float32"), sl.Quantize(8, "matrix"))
    assert [row.retained_parameters for row in whole.layers] == [20 + 1 + 16, 12 + 1 + 3]


def test_more_bits_are_closer_and_a_zero_row_stays():
    network = chain(2)
    errors = [sl.compress(network, sl.Quantize(bits)).defect for bits in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3
    zero = Network.dense([[[0.0, 0.0], [1e-320, 0.0], [1.0, 0.5]]])
    assert sl.compress(zero, sl.Quantize(4)).network.chain.layers[0].weight[0].tolist() == [
        0.0,
        0.0,
    ]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: sl.TruncatedSVD(), "exactly one of eps"),
        (lambda: sl.TruncatedSVD(eps=0.1, rank=2), "exactly one of eps"),
        (lambda: sl.TruncatedSVD(eps=-0.1), "eps=-0.1"),
        (lambda: sl.TruncatedSVD(rank=0), "rank=0: a rank"),
        (lambda: sl.TruncatedSVD(rank=2.5), "rank=2.5: a rank"),
        (lambda: sl.TruncatedSVD(retain=0), "retain=0"),
        (lambda: sl.Quantize(1), "bits=1"),
        (lambda: sl.Quantize(8.0), "bits=8.0"),
        (lambda: sl.Quantize(8, "column"), "'row' or 'matrix'"),
    ],
)
def test_bad_options(make, says):
    with pytest.raises(MethodError, match=says):
        make()


def test_what_cannot_be_reached():
    with pytest.raises(FailureError, match="smallest reachable size"):
        sl.compress(chain(0), sl.TruncatedSVD(retain=0.1))


@pytest.mark.parametrize("method", [sl.Magnitude, partial(sl.Wanda, inputs=np.ones((4, 5)))])
def test_no_more_than_all_parameters_go(method):
    network = chain(0)
    with pytest.raises(MethodError, match=r"eps=1\.5: for pruning it is the share .*, at most 1"):
        method(eps=1.5)
    with pytest.raises(MethodError, match=r"eps=1\.5"):
        sl.sweep(network, [0.5, 1.5], method=method(retain=0.5))
    all_gone = sl.compress(network, method(eps=1.0))
    assert all_gone.retained_parameters == sum(network.widths[1:])  # the biases
    x = np.random.default_rng(0).normal(size=(20, 5))
    found = sl.search(network, method(retain=0.5), max_loss=1e9, data=(x, network(x)))
    assert found.retained_parameters == all_gone.retained_parameters and found.method.eps < 1
    middle = sl.compress(network, method(retain=0.8))
    data = (x, network(x))
    close = sl.search(
        network, method(retain=0.5), max_loss=1.01 * middle.mean_squared_error(*data), data=data
    )
    assert all_gone.retained_parameters < close.retained_parameters <= middle.retained_parameters
