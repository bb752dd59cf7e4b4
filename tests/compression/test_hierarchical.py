"""Networks by hierarchical matrices: the guarantee layer by layer, and training in compressed form."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from symlump import Hierarchical, HLinear, HMatrix, Network, compress
from symlump.bench.hmatrix import kernel_matrix
from symlump.compression.hierarchical import hlinear
from symlump.compression.hierarchical.hlinear import (
    dense_model,
    rank_penalty,
    recompress_,
    replace_linear,
)
from symlump.compression.hierarchical.weighted_fit import WeightedFit
from symlump.errors import FailureError, MethodError
from symlump.network.precision import PRECISIONS


def smooth_network(width=48, seed=0):
    """Two smooth square layers between small ones."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 1, width)
    smooth = np.exp(-np.abs(grid[:, None] - grid) / 0.2)
    return Network.dense(
        [
            rng.standard_normal((width, 3)),
            smooth * rng.standard_normal((width, 1)),
            np.cos(3 * np.add.outer(grid, grid)),
            rng.standard_normal((2, width)),
        ],
        [rng.standard_normal(width), None, rng.standard_normal(width), None],
    )


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1e-6, 1e-2, 0.3]),
    st.sampled_from(["given", "similarity"]),
)
def test_every_layer_keeps_the_bound(seed, tol, order):
    network = smooth_network(24, seed)
    small = compress(network, Hierarchical(eps=tol, leaf_size=4, order=order))
    for old, new, matrix, row in zip(
        network.chain.layers,
        small.network.chain.layers,
        small.reduction.matrices,
        small.layers,
        strict=True,
    ):
        assert np.linalg.norm(old.weight - new.weight) <= tol * np.linalg.norm(old.weight)
        biases = 0 if old.bias is None else old.bias.size
        assert row.retained_parameters == matrix.storage + biases <= old.parameters
        assert old.bias is new.bias or np.array_equal(old.bias, new.bias)
    assert small.retained_parameters == sum(row.retained_parameters for row in small.layers)
    change = np.concatenate(
        [
            (a.weight - b.weight).ravel()
            for a, b in zip(network.chain.layers, small.network.chain.layers, strict=True)
        ]
    )
    assert np.linalg.norm(change) <= small.defect * (1 + 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-8])
def test_bounds_are_of_the_numbers_that_are_stored(tol, dtype):
    """Also where rounding the factors to the network's precision moves more than cutting them did."""
    grid, precision = np.linspace(0, 1, 64), PRECISIONS[dtype]
    weight = 100 / (1 + 30 * np.abs(np.subtract.outer(grid, grid)))  # not of the precision
    network = Network.dense([weight, np.ones((1, 64))], dtype=dtype)
    small = compress(network, Hierarchical(eps=tol, leaf_size=8))
    matrix = small.reduction.matrices[0]
    assert any(block.rank for block in matrix.blocks)
    for block in matrix.blocks:
        assert all(np.array_equal(precision.nearest(part, "p"), part) for part in block.parts)
        gap = network.layers[0].weight[block.rows, block.columns] - block.to_dense()
        assert np.linalg.norm(gap) <= block.error
    error = np.linalg.norm(network.layers[0].weight - matrix.to_dense())
    assert 0 < error <= matrix.error <= small.defect
    # No more than one matrix and the other, not rounded, are apart, and what rounding moved.
    before = HMatrix.from_dense(network.layers[0].weight, tol, leaf_size=8)
    moved = np.linalg.norm(before.to_dense() - matrix.to_dense())
    assert matrix.error <= (before.error + moved) * (1 + 1e-6)


@pytest.mark.parametrize("share", [0.8, 0.3])
@pytest.mark.parametrize("with_inputs", [False, True])
def test_a_share_is_kept_to(share, with_inputs):
    network = smooth_network(24)
    inputs = np.random.default_rng(1).standard_normal((200, 3)) if with_inputs else None
    small = compress(network, Hierarchical(retain=share, inputs=inputs))
    assert small.retained <= share
    assert small.eps < 1
    with pytest.raises(FailureError, match="smallest reachable"):
        compress(network, Hierarchical(retain=0.001, inputs=inputs))


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1e-4, 1e-2, 0.3]),
    st.sampled_from(["given", "similarity"]),
    st.booleans(),
)
def test_on_inputs_the_change_of_the_pre_activations_keeps_the_bound(seed, tol, order, bias):
    rng = np.random.default_rng(seed)
    width = 20
    network = Network.dense(
        [rng.standard_normal((width, 3)), rng.standard_normal((width, width)), np.ones((1, width))],
        [rng.standard_normal(width) if bias else None] * 2 + [None],
    )
    inputs = rng.standard_normal((300, 3))
    small = compress(network, Hierarchical(eps=tol, leaf_size=4, order=order, inputs=inputs))
    for old, new, arriving in zip(
        network.chain.layers,
        small.network.chain.layers,
        network.chain.activations(inputs)[:-1],
        strict=True,
    ):
        before, after = old.pre_activation(arriving), new.pre_activation(arriving)
        about = before - before.mean(axis=0) if old.bias is not None else before
        # The ridge adds at most a millionth of the variance to the yardstick.
        assert (
            np.linalg.norm(after - before) <= tol * np.linalg.norm(about) * (1 + 1e-4) + 1e-5 * tol
        )


def test_on_inputs_directions_that_never_occur_cost_nothing():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((500, 1)) * np.ones((1, 16))  # one direction only
    network = Network.dense([rng.standard_normal((16, 16))], [np.zeros(16)])
    small = compress(network, Hierarchical(eps=1e-2, inputs=inputs))
    assert small.reduction.matrices[0].ranks == (1,)
    assert np.allclose(small.network(inputs), network(inputs), rtol=0, atol=0.05)
    with pytest.raises(MethodError, match="samples"):
        compress(network, Hierarchical(eps=1e-2, inputs=np.ones((5, 2))))
    with pytest.raises(MethodError, match="negative eigenvalue"):
        WeightedFit.weighted(np.eye(4), -np.eye(4), 0.1, 2, "given")


def test_torch_in_torch_out():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 2)
    )
    for dtype, places in ((torch.float32, 5), (torch.float64, 12)):
        small = compress(copy.deepcopy(model).to(dtype), Hierarchical(eps=0.3))
        assert [type(m).__name__ for m in small.model] == [
            "HLinear",
            "Tanh",
            "HLinear",
            "Tanh",
            "HLinear",
        ]
        x = torch.randn(7, 3, dtype=dtype)
        expected = small.network(x.numpy())
        assert np.abs(small.model(x).detach().numpy() - expected).max() < 10.0**-places
        stored = sum(p.numel() for p in small.model.parameters())
        assert stored == small.retained_parameters < small.parameters
        dense = dense_model(small.model)
        assert all(not isinstance(m, HLinear) for m in dense.modules())
        assert torch.allclose(dense(x), small.model(x), atol=10.0**-places)


def layers():
    kernel = kernel_matrix(64) / 64
    rng = np.random.default_rng(0)
    return {
        "kernel": HMatrix.from_dense(kernel, 1e-2, leaf_size=8),
        "reordered": HMatrix.from_dense(
            kernel[rng.permutation(64)][:, rng.permutation(64)], 1e-2, 8, "similarity"
        ),
        "wide": HMatrix.from_dense(rng.standard_normal((5, 33)), 0.5, leaf_size=3),
        "zero": HMatrix.from_dense(np.zeros((6, 4)), 0.1),
    }


@pytest.mark.parametrize("name", ["kernel", "reordered", "wide", "zero"])
@pytest.mark.parametrize("per_group", [0, 10**12])
def test_both_ways_of_multiplying_agree_and_have_the_same_derivatives(name, per_group, monkeypatch):
    matrix = layers()[name]
    monkeypatch.setattr(hlinear, "_PER_GROUP", per_group)
    monkeypatch.setattr(hlinear, "_PER_ENTRY", 10**9 if per_group == 0 else 0)
    monkeypatch.setattr(hlinear, "_SAMPLES", 4)
    called = []
    plain = HLinear._by_groups
    monkeypatch.setattr(HLinear, "_by_groups", lambda self, x: called.append(1) or plain(self, x))
    layer = HLinear(matrix, torch.linspace(-1, 1, matrix.shape[0]))
    dense = layer.to_linear()
    assert np.allclose(dense.weight.detach().numpy(), matrix.to_dense(), atol=1e-14)
    x = torch.randn(2, 3, matrix.shape[1], dtype=torch.float64, requires_grad=True)
    y = layer(x)
    assert bool(called) == (per_group == 0 and name != "zero")
    assert torch.allclose(y, dense(x), atol=1e-12)
    # First and second derivatives by the inputs, as a residual needs them.
    first = [torch.autograd.grad(m(x).sin().sum(), x, create_graph=True)[0] for m in (layer, dense)]
    assert torch.allclose(*first, atol=1e-12)
    if name == "zero":
        return
    second = [torch.autograd.grad(g.square().sum(), x)[0] for g in first]
    assert torch.allclose(*second, atol=1e-11)


def test_gradients_of_the_blocks_by_finite_differences():
    layer = HLinear(HMatrix.from_dense(kernel_matrix(12), 0.1, leaf_size=3), torch.zeros(12))
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    x = torch.randn(3, 12, dtype=torch.float64)

    def outputs(*parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(outputs, values)


def test_training_goes_on_in_compressed_form():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    model = compress(model.double(), Hierarchical(retain=0.6, leaf_size=4)).model
    x = torch.rand(64, 2, dtype=torch.float64)
    y = torch.sin(4 * x[:, :1]) * x[:, 1:]
    stored = [sum(p.numel() for p in model.parameters())]
    losses = []
    for tol in (0.02, 0.1, 0.3):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(40):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            (loss + 1e-5 * rank_penalty(model)).backward()
            optimizer.step()
        losses.append(float(loss.detach()))
        before = [m.to_hmatrix().to_dense() for m in model if isinstance(m, HLinear)]
        recompress_(model, tol)
        after = [m.to_hmatrix().to_dense() for m in model if isinstance(m, HLinear)]
        for old, new in zip(before, after, strict=True):
            assert np.linalg.norm(old - new) <= tol * np.linalg.norm(old)
        stored.append(sum(p.numel() for p in model.parameters()))
    assert losses[-1] < 0.2 * float(y.square().mean())
    assert stored == sorted(stored, reverse=True)
    assert stored[-1] < stored[0]


def test_the_penalty_is_the_nuclear_norm_of_each_block():
    matrix = layers()["kernel"]
    layer = HLinear(matrix)
    expected = sum(np.linalg.norm(block.to_dense(), "nuc") for block in matrix.blocks)
    assert float(layer.rank_penalty().detach()) == pytest.approx(expected)
    with torch.no_grad():  # the same product with other factors costs more
        factor = next(p for p in layer.parts if p.shape[-1] < p.shape[-2])
        factor *= 2
        partner = next(p for p in layer.parts if p.shape[-1] > p.shape[-2])
        partner /= 2
    assert float(layer.rank_penalty().detach()) > expected
    with pytest.raises(MethodError, match="no HLinear"):
        rank_penalty(nn.Sequential(nn.Linear(2, 2)))


def test_layers_are_copied_saved_and_cast():
    layer = HLinear(layers()["reordered"], torch.ones(64))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(4, 64, dtype=torch.float64)
    assert torch.equal(twin(x), layer(x))
    single = copy.deepcopy(layer).to(torch.float32)
    assert torch.allclose(single(x.float()), layer(x).float(), atol=1e-4)
    assert np.array_equal(layer.to_hmatrix().to_dense(), layers()["reordered"].to_dense())
    assert repr(layer).startswith("HLinear(64 → 64, ")


def test_refusals():
    for options in ({}, {"eps": 0.1, "retain": 0.5}):
        with pytest.raises(MethodError, match="exactly one"):
            Hierarchical(**options)
    for options in (
        {"eps": -1.0},
        {"retain": 1.5},
        {"eps": 0.1, "leaf_size": 0},
        {"eps": 0.1, "order": "x"},
    ):
        with pytest.raises(MethodError):
            Hierarchical(**options)
    with pytest.raises(MethodError, match="1 matrices for a model of 2"):
        replace_linear(
            nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), [HMatrix.from_dense(np.eye(2), 0.0)]
        )


def test_no_size_is_larger_at_a_tolerance_of_one_than_below_it():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        net = Network.dense([rng.standard_normal((6, 3)), rng.standard_normal((2, 6))])
        plan = Hierarchical(eps=1.0, leaf_size=2).plan(net)
        sizes = [plan.size(eps) for eps in (0.9, 0.999, 1.0, 1.001)]
        assert sizes == sorted(sizes, reverse=True)
