"""Bounds of recurrent models speak of the weights that the model holds now."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.enclosures.elementary import enclose_derivative


class Readout(nn.Module):
    """A cell and a dense layer on its last state."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.last = cell, nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.cell(x)[0][:, -1])


def test_what_is_changed_or_rounded_afterwards_is_in_the_bound():
    torch.manual_seed(0)
    model = Readout(nn.RNN(2, 4, batch_first=True))
    result = sl.compress(model, sl.AFDE(eps=0))
    assert result.bound(3, (-1, 1))["y1"] == 0
    x = torch.rand(200, 3, 2, dtype=torch.float64) * 2 - 1
    whole = model.double()(x)
    small = result.model.bfloat16()
    bound = result.bound(3, (-1, 1))["y1"]
    seen = (whole - small.double()(x)).abs().max().item()
    assert 1e-4 < seen <= bound < 1
    with torch.no_grad():
        small.last.bias.add_(10)
    assert 10 < result.bound(3, (-1, 1))["y1"] < 11


def test_the_field_of_a_neural_ode_too():
    torch.manual_seed(0)
    field = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    ode = sl.NeuralODE(field, initial=[["h1"], ["h2"]])
    result = sl.compress(ode, sl.AFDE(eps=0))
    assert result.bound(0.25, [(-1, 1)] * 2).value == 0
    with torch.no_grad():
        list(result.model.parameters())[-1].add_(1e-3)
    assert 2e-4 < result.bound(0.25, [(-1, 1)] * 2).value < 1e-3


def test_models_made_in_inference_mode_can_be_trained():
    with torch.inference_mode():
        cell = sl.compress(nn.LSTM(2, 4), sl.AFDE(eps=0.1)).model
        field = sl.compress(
            sl.NeuralODE(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))), sl.AFDE(eps=0)
        ).model
    cell(torch.randn(3, 1, 2))[0].sum().backward()
    assert not any(p.is_inference() for p in field.parameters())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_cells_as_they_are_made_have_a_bound_over_several_steps(kind):
    torch.manual_seed(0)
    result = sl.compress(kind(2, 4), sl.AFDE(retain=0.6))
    assert np.isfinite(result.bound(5, (-1, 1)).value)


@pytest.mark.parametrize("kind", ["flint", "mpmath"])
def test_tanh_on_wide_intervals(kind):
    low, high = np.array([-28.3, 1.0, -0.5]), np.array([205.0, 2.0, 0.25])
    values = [np.tanh(np.linspace(*ends, 1001)) for ends in zip(low, high, strict=True)]
    of_order = (lambda t: t, lambda t: 1 - t**2, lambda t: -2 * t * (1 - t**2))
    for order, f in enumerate(of_order):
        below, above = enclose_derivative("tanh", order, low, high, kind)
        least, most = (np.array([find(f(t)) for t in values]) for find in (np.min, np.max))
        assert np.all(below <= least + 1e-15)
        assert np.all(most - 1e-15 <= above)
        if order < 2:
            assert np.allclose(below, least, atol=0.006)
            assert np.allclose(above, most, atol=0.006)
