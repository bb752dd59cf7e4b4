"""Every method on networks of several kinds: the reduced network is the exact quotient of the reference."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import NetworkError
from symlump.network.chain import Layer
from tests.compression.test_relaxed import random_network
from tests.compression.test_relaxed_outputs import Residual, check, convolutions


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Linear(4, 10), nn.LayerNorm(10)
        self.b, self.c = nn.Linear(10, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.c(torch.tanh(self.b(self.norm(torch.tanh(self.a(x))))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.out(self.layer(self.into(x)))


class Squeezed(nn.Module):
    """One kernel for each channel, a gate for each, and a sum with what went before."""

    def __init__(self):
        super().__init__()
        self.stem, self.up, self.down = (
            nn.Conv2d(1, 8, 3, 1, 1),
            nn.Conv2d(8, 16, 1),
            nn.Conv2d(16, 8, 1),
        )
        self.each = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.narrow, self.wide, self.head = (
            nn.Conv2d(16, 4, 1),
            nn.Conv2d(4, 16, 1),
            nn.Linear(8, 3),
        )
        with torch.no_grad():  # some copies, so that branches merge in different ways
            for layer, rows in (
                (self.up, [0] * 9),
                (self.each, [1] * 5),
                (self.wide, [0, 0, 1, 1, 0]),
            ):
                layer.weight[: len(rows)] = layer.weight[rows]
                layer.bias[: len(rows)] = layer.bias[rows]

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        h = torch.tanh(self.each(torch.tanh(self.up(x))))
        gate = torch.sigmoid(self.wide(torch.relu(self.narrow(h.mean((2, 3), keepdim=True)))))
        return self.head((x + self.down(h * gate)).mean((2, 3)))


KINDS = {
    "gates": (Squeezed, (1, 6, 6)),
    "convolutions": (convolutions, (1, 8, 8)),
    "residual": (Residual, (1, 8, 8)),
    "norm": (Normed, (4,)),
    "transformer": (Transformer, (4, 3)),
}
METHODS = {
    "AFDE": lambda x: sl.AFDE(retain=0.6),
    "AFDE without refit": lambda x: sl.AFDE(retain=0.6, refit=False),
    "AFDE by coefficients": lambda x: sl.AFDE(retain=0.6, distance="coefficients"),
    "Symmetric": lambda x: sl.Symmetric(retain=0.6),
    "Dependence": lambda x: sl.Dependence(retain=0.6),
    "SVD": lambda x: sl.TruncatedSVD(retain=0.6),
    "Hierarchical": lambda x: sl.Hierarchical(retain=0.9),
    "Quantize": lambda x: sl.Quantize(bits=5),
    "Magnitude": lambda x: sl.Magnitude(0.6),
    "Wanda": lambda x: sl.Wanda(0.6, inputs=x),
    "SecondOrder": lambda x: sl.SecondOrder(0.6, inputs=x),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_on_every_kind(kind, method):
    if kind in ("gates", "residual") and method == "Hierarchical":
        pytest.skip("hardly a block of these networks can have a smaller rank at this size")
    make, shape = KINDS[kind]
    torch.manual_seed(0)
    network = sl.from_torch(make().eval(), torch.zeros(1, *shape))
    x = np.random.default_rng(0).uniform(-1, 1, (40, *shape))
    small = sl.compress(network, METHODS[method](x)).network
    explanation = sl.explain_reduction(network, small)
    assert explanation.defect > 0 and "Assumed: " in str(explanation)
    if kind in ("norm", "transformer"):
        assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-11
    else:
        check(explanation, x)
    if method in ("SVD", "Hierarchical", "Quantize", "Magnitude", "Wanda"):
        for units in explanation.unit_maps:  # they merge no units
            assert units.tolist() == list(range(units.size))


@pytest.mark.parametrize(
    "method", ["AFDE", "Dependence", "Quantize", "Magnitude", "Wanda", "SecondOrder"]
)
def test_hidden_units_in_another_order_are_found_again(method):
    rng = np.random.default_rng(5)
    network = random_network(rng, (6, 16, 12, 2), "tanh")
    x = rng.uniform(-1, 1, (60, 6))
    small = sl.compress(network, METHODS[method](x)).network
    layers, before = [], np.arange(6)
    orders = []
    for layer in small.chain.layers:
        own = rng.permutation(len(layer.weight)) if layer.activation.name != "identity" else None
        orders += [] if own is None else [own]
        rows = np.arange(len(layer.weight)) if own is None else own
        layers.append(Layer(layer.weight[rows][:, before], layer.bias[rows], layer.activation))
        before = rows if layer.groups is None else before
    moved = sl.Network.from_layers(layers)
    assert np.abs(moved(x) - small(x)).max() < 1e-12
    plain, explanation = (sl.explain_reduction(network, found) for found in (small, moved))
    assert explanation.defect == pytest.approx(plain.defect, rel=1e-9)
    for one, two, order in zip(plain.unit_maps, explanation.unit_maps, orders, strict=True):
        assert np.where(two < 0, -1, order[two]).tolist() == one.tolist()


def test_bounds_that_do_not_pass_through_a_step_say_so():
    torch.manual_seed(0)
    network = sl.from_torch(Normed().eval(), torch.zeros(1, 4))
    explanation = sl.explain_reduction(network, sl.compress(network, sl.Magnitude(0.6)).network)
    with pytest.raises(NetworkError, match="do not pass through"):
        explanation.bound((-1, 1))
