"""Every method on networks of several kinds: the reduced network is the exact quotient of the reference."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import NetworkError
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


KINDS = {
    "convolutions": (convolutions, (1, 8, 8)),
    "residual": (Residual, (1, 8, 8)),
    "norm": (Normed, (4,)),
    "transformer": (Transformer, (4, 3)),
}
METHODS = {
    "AFDE": lambda x: sl.AFDE(retain=0.6),
    "AFDE without refit": lambda x: sl.AFDE(retain=0.6, refit=False),
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
    if (kind, method) == ("residual", "Hierarchical"):
        pytest.skip("no block of that network can have a smaller rank at this size")
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


def test_bounds_that_do_not_pass_through_a_step_say_so():
    torch.manual_seed(0)
    network = sl.from_torch(Normed().eval(), torch.zeros(1, 4))
    explanation = sl.explain_reduction(network, sl.compress(network, sl.Magnitude(0.6)).network)
    with pytest.raises(NetworkError, match="do not pass through"):
        explanation.bound((-1, 1))
