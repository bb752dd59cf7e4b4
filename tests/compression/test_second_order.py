"""Pruning by second order, against all masks there are, and against what its scores say."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.baselines.second_order import _eliminate, _factors
from symlump.errors import MethodError


def loss(x, weight, kept):
    """The least squared error of a row with these weights only, by another solver."""
    wanted = x @ weight
    if not len(kept):
        return float(wanted @ wanted)
    part = x[:, list(kept)]
    found = np.linalg.lstsq(part, wanted, rcond=None)[0]
    return float(np.sum((part @ found - wanted) ** 2))


def best_mask(x, weight, count):
    return min(combinations(range(len(weight)), count), key=lambda kept: loss(x, weight, kept))


def correlated(seed, width=8, samples=300):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, width)) @ rng.normal(size=(width, width)), rng.normal(
        size=width
    )


def kept_by(method, weight):
    small = sl.compress(sl.Network.dense([weight[None]]), method).network
    return tuple(np.flatnonzero(small.layers[0].weight[0]))


def test_where_inputs_are_orthogonal_it_is_the_best_of_all_masks():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = np.linalg.qr(rng.normal(size=(40, 7)))[0] * rng.uniform(0.5, 3, size=7)
        weight = rng.normal(size=7)
        assert kept_by(sl.SecondOrder(retain=3 / 7, inputs=x), weight) == best_mask(x, weight, 3)


def least_of_layer(x, weights, count):
    """The least error of all masks of a layer: of each row the best of each size, and how to share a count."""
    width = weights.shape[1]
    best = np.zeros(1)  # by how many weights are used
    for weight in weights:
        row = [loss(x, weight, best_mask(x, weight, k)) for k in range(width + 1)]
        joined = np.full(len(best) + width, np.inf)
        for k, error in enumerate(row):
            joined[k : k + len(best)] = np.minimum(joined[k : k + len(best)], best + error)
        best = joined
    return best[count]


def test_of_all_masks_it_comes_nearer_the_best_than_wanda_and_magnitude():
    """With the same refit for all three, where inputs are correlated."""
    ratios = {name: [] for name in ("second", "wanda", "magnitude")}
    for seed in range(12):
        x, _ = correlated(seed, width=7, samples=100)
        weights = np.random.default_rng(seed).normal(size=(10, 7))
        net, least = sl.Network.dense([weights]), least_of_layer(x, weights, 40)
        for name, method in (
            ("second", sl.SecondOrder(retain=4 / 7, inputs=x)),
            ("wanda", sl.Wanda(4 / 7, x, refit=True)),
            ("magnitude", sl.Magnitude(4 / 7, refit=True, inputs=x)),
        ):
            small = sl.compress(net, method).network.layers[0].weight
            assert np.count_nonzero(small) == 40
            found = sum(loss(x, w, np.flatnonzero(s)) for w, s in zip(weights, small, strict=True))
            assert found >= least * (1 - 1e-9)
            ratios[name].append(found / least)
    middle = {name: float(np.median(found)) for name, found in ratios.items()}
    assert middle["second"] < 0.7 * min(middle["wanda"], middle["magnitude"]), middle
    assert middle["second"] < 2.2, middle


def test_weights_are_those_of_least_squares_on_the_mask():
    x, weight = correlated(1)
    small = sl.compress(sl.Network.dense([weight[None]]), sl.SecondOrder(retain=0.5, inputs=x))
    kept = np.flatnonzero(small.network.layers[0].weight[0])
    error = float(np.sum((x @ small.network.layers[0].weight[0] - x @ weight) ** 2))
    assert len(kept) == 4 and error <= loss(x, weight, kept) * (1 + 1e-3) + 1e-9


@pytest.mark.parametrize("biased", [False, True])
def test_a_score_is_what_the_error_grows_by(biased):
    """If that weight goes, and the weights of later columns, and the bias, are the best then."""
    x, weight = correlated(2)
    x = x + 5 * biased
    net = sl.Network.dense([weight[None]], [np.zeros(1)] if biased else None)
    (factor,) = _factors(net.layers[0], [x], [[0]])
    about = x - x.mean(axis=0) * biased
    gram = about.T @ about
    damping = 1e-2 * np.trace(gram) / 8
    moments = gram + damping * np.eye(8)
    for column in range(8):
        later = np.arange(column + 1, 8)
        change = np.zeros(8)
        change[column] = -weight[column]
        if later.size:  # the minimum of dᵀ·H·d over what later columns can do
            change[later] = np.linalg.solve(
                moments[np.ix_(later, later)], moments[later, column] * weight[column]
            )
        wanted = change @ moments @ change
        assert (weight[column] / factor[column, column]) ** 2 == pytest.approx(wanted, rel=1e-8)
    # Taking out one column does that change.
    rows = weight[None].copy()
    mask, _ = _eliminate(rows, factor, 7)
    (gone,) = np.flatnonzero(~mask[0])
    change = rows[0] - weight
    rest = np.arange(gone + 1, 8)
    assert change[gone] == pytest.approx(-weight[gone])
    assert moments[rest] @ change == pytest.approx(
        np.zeros(rest.size), abs=1e-8 * np.abs(moments).max()
    )


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, groups=6)
        self.c, self.d = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        h = torch.tanh(self.b(torch.tanh(self.a(x)))).mean((2, 3))
        return self.d(torch.tanh(self.c(torch.tanh(self.c(h)))))


def test_convolutions_depthwise_ones_and_shared_weights():
    torch.manual_seed(0)
    model, x = Images().eval(), torch.randn(60, 2, 6, 6)
    errors = {}
    for share in (0.9, 0.5):
        small = sl.compress(model, sl.SecondOrder(retain=share, inputs=x), example=x[:1])
        assert small.retained_parameters <= share * small.parameters
        nonzero = sum(int((p != 0).sum()) for p in small.model.parameters())
        assert nonzero <= small.retained_parameters
        with torch.no_grad():
            errors[share] = float((small.model(x) - model(x)).square().mean() / model(x).var())
    assert errors[0.9] < errors[0.5] < 1 and errors[0.9] < 0.02, errors


def test_it_needs_data_and_says_what_overflows():
    with pytest.raises(MethodError, match=r"SecondOrder\(0.4, inputs=X\)"):
        sl.SecondOrder(0.4)
    net = sl.Network.dense([np.ones((3, 2))])
    with np.errstate(all="ignore"), pytest.raises(MethodError, match="overflows"):
        sl.compress(net, sl.SecondOrder(0.5, inputs=np.full((4, 2), 1e200)))
