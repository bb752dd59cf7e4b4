"""The tangent kernel against closed forms and a second implementation."""

import numpy as np
import pytest
import torch
from torch import nn

from symlump import Hierarchical, HLinear, HMatrix, Network, compress
from symlump.compression.hierarchical.tangent_kernel import tangent_kernel, tangent_kernel_change
from symlump.errors import MethodError


def by_loops(model, inputs):
    """One gradient after the other."""
    rows = []
    for point in torch.as_tensor(inputs, dtype=next(model.parameters()).dtype):
        for value in model(point[None])[0]:
            gradients = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
            rows.append(torch.cat([g.reshape(-1) for g in gradients]).detach().numpy())
    jacobian = np.stack(rows).astype(np.float64)
    return jacobian @ jacobian.T


def network(outputs=2, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, outputs)
    ).double()


@pytest.mark.parametrize("outputs", [1, 2])
def test_against_a_second_implementation(outputs):
    model, x = network(outputs), np.random.default_rng(0).standard_normal((5, 3))
    kernel = tangent_kernel(model, x)
    assert kernel.shape == (5 * outputs, 5 * outputs)
    assert np.allclose(kernel, by_loops(model, x), rtol=1e-12)
    assert np.linalg.eigvalsh(kernel)[0] > -1e-10 * np.trace(kernel)


def test_one_hidden_layer_in_closed_form():
    """f = v·tanh(w·x): Θ = Σ_i tanh z_i tanh z'_i + v_i²·φ'(z_i)·φ'(z'_i)·x·x'."""
    rng = np.random.default_rng(1)
    w, v, x = rng.standard_normal((4, 2)), rng.standard_normal((1, 4)), rng.standard_normal((6, 2))
    h = np.tanh(x @ w.T)
    slope = v * (1 - h**2)
    expected = h @ h.T + (slope @ slope.T) * (x @ x.T)
    assert np.allclose(tangent_kernel(Network.dense([w, v]), x), expected, rtol=1e-12)


def test_kernels_of_compressed_networks_are_compared_in_dense_coordinates():
    model, x = network(1), np.random.default_rng(0).standard_normal((6, 3))
    small = compress(model, Hierarchical(eps=0.2, leaf_size=3))
    assert any(isinstance(module, HLinear) for module in small.model)
    expected = by_loops(network_of(small.network), x)
    assert np.allclose(tangent_kernel(small.model, x), expected, rtol=1e-9)
    assert np.allclose(tangent_kernel(small.network, x), expected, rtol=1e-9)
    own = tangent_kernel(small.model, x, own_parameters=True)
    assert np.allclose(own, by_loops(small.model, x), rtol=1e-9)
    assert not np.allclose(own, expected, rtol=1e-2)
    change = tangent_kernel_change(model, small.model, x)
    before = by_loops(model, x)
    assert change.distortion == pytest.approx(
        np.linalg.norm(expected - before) / np.linalg.norm(before)
    )
    assert change.largest == pytest.approx((np.linalg.norm(before, 2), np.linalg.norm(expected, 2)))
    assert change.condition == pytest.approx((np.linalg.cond(before), np.linalg.cond(expected)))


def network_of(small):
    from symlump import to_torch

    return to_torch(small)


def test_a_tighter_tolerance_changes_the_kernel_less():
    model, x = network(1), np.random.default_rng(0).standard_normal((8, 3))
    changes = [
        tangent_kernel_change(model, compress(model, Hierarchical(eps=tol)).model, x).distortion
        for tol in (0.5, 0.05, 0.0)
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 1e-12 < changes[0]


def test_gradient_descent_follows_the_kernel():
    """One small step changes the outputs by −η·Θ·(f − y), to first order."""
    model, x = network(1), torch.randn(5, 3, dtype=torch.float64)
    y = torch.randn(5, 1, dtype=torch.float64)
    kernel = tangent_kernel(model, x.numpy())
    before = model(x).detach()
    (0.5 * (model(x) - y).square().sum()).backward()
    rate = 1e-7
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= rate * parameter.grad
    moved = (model(x).detach() - before).numpy()[:, 0] / rate
    assert np.allclose(moved, -kernel @ (before - y).numpy()[:, 0], rtol=1e-4, atol=1e-5)


def test_refusals():
    with pytest.raises(MethodError, match="shape"):
        tangent_kernel(network(), np.ones(3))
    with pytest.raises(MethodError, match="no trainable"):
        tangent_kernel(nn.Sequential(nn.Tanh()), np.ones((2, 3)))
    with pytest.raises(MethodError, match="outputs"):
        tangent_kernel_change(network(1), network(2), np.ones((2, 3)))
    layer = HLinear(HMatrix.from_dense(np.eye(3), 0.0))
    assert tangent_kernel(layer, np.eye(3)).shape == (9, 9)
