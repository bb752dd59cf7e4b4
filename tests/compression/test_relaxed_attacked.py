"""Certified bounds of planted reductions against points that gradients look for, not only samples."""

from itertools import product

import numpy as np
import pytest
import torch

import symlump as sl
from symlump.network.activations.table import activation as find
from symlump.network.chain import Chain, Layer

TORCH = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "gelu": torch.nn.functional.gelu,
}


def planted(rng, activation, widths=(3, 5, 4, 2)):
    """A network, and one of twice its hidden units: near copies whose readers' weights add up; the maps."""
    small, large, maps = [], [], []
    old, share = np.arange(widths[0]), np.ones(widths[0])
    for n, (before, units) in enumerate(zip(widths, widths[1:], strict=False)):
        last = n == len(widths) - 2
        weight, bias = rng.normal(size=(units, before)), rng.normal(size=units) / 2
        rows = np.arange(units) if last else rng.permutation(np.tile(np.arange(units), 2))
        kind = {} if last else {"activation": find(activation)}
        small.append(Layer(weight, bias, **kind))
        wide = weight[rows][:, old] * share
        far = 0.0 if last else 0.02
        large.append(Layer(wide + far * rng.normal(size=wide.shape), bias[rows], **kind))
        maps.append(rows)
        share = rng.uniform(0.4, 0.6, rows.size)
        share /= np.bincount(rows, share)[rows]
        old = rows
    return sl.Network.from_layers(large), sl.Network.from_layers(small), maps[:-1]


def outputs(chain: Chain, x):
    for layer in chain.layers:
        x = x @ torch.from_numpy(layer.weight).T + torch.from_numpy(layer.bias)
        x = TORCH.get(layer.activation.name, lambda v: v)(x)
    return x


def attacked(one, two, low, high, rng, steps=40):
    """For each output the largest difference that projected ascent finds, and the largest on samples."""
    inputs, count = one.chain.layers[0].weight.shape[1], one.chain.layers[-1].weight.shape[0]
    starts = rng.uniform(low, high, (60, inputs))
    starts = torch.from_numpy(np.vstack([starts, list(product((low, high), repeat=inputs))]))
    far = (outputs(one.chain, starts) - outputs(two.chain, starts)).abs()
    found, seen = far.amax(0).numpy(), far[:60].amax(0).numpy()
    for output, sign in product(range(count), (-1.0, 1.0)):
        x, step = starts.clone(), (high - low) / 8
        for _ in range(steps):
            x.requires_grad_(True)
            far = sign * (outputs(one.chain, x) - outputs(two.chain, x))[:, output]
            found[output] = max(found[output], far.max().item())
            (slope,) = torch.autograd.grad(far.sum(), x)
            x = (x.detach() + step * slope.sign()).clamp(low, high)
            step *= 0.85
    return found, seen


@pytest.mark.parametrize("activation", TORCH)
@pytest.mark.parametrize("seed", range(3))
def test_no_point_that_gradients_find_leaves_the_bound(activation, seed):
    rng = np.random.default_rng(seed)
    large, small, maps = planted(rng, activation)
    explanation = sl.explain_reduction(large, small)
    assert [units.tolist() for units in explanation.unit_maps] == [m.tolist() for m in maps]
    low, high = [(-1.0, 1.0), (0.0, 0.5), (-0.3, 2.0)][seed]
    found, seen = attacked(large, small, low, high, rng)
    assert np.all(found >= seen) and np.any(found > seen)
    for splits in (
        0,
        31,
    ):  # one part; cut, where polynomials are tried and added up with their signs
        bound = explanation.bound((low, high), splits=splits)
        assert np.all(found <= bound.values + 1e-12)
    assert np.all(found > 0.02 * bound.values)  # so near that a term left out would show
    # What is certified of the reference, whose exact quotient the reduced network is, is 0 up to rounding.
    quotient = sl.explain_reduction(explanation.reference, small)
    assert quotient.exact
    found, _ = attacked(explanation.reference, small, low, high, rng, steps=10)
    assert found.max() < 1e-12
    assert np.all(found <= quotient.bound((low, high), splits=0).values + 1e-13)
