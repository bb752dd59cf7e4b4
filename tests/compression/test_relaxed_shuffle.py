"""Channels that are shuffled and cut in two, as in ShuffleNet: values that hold part of a layer's units."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.compression.relaxed.parts import find_parts
from symlump.errors import MethodError

#: Of the shuffled channels a0 b0 a1 b1 a2 b2 a3 b3 the first half passes, the second is convolved.
UNITS = 4


class Shuffled(nn.Module):
    """Two branches of as many channels, shuffled, cut in two, and joined again."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, UNITS, 3, padding=1), nn.Conv2d(2, UNITS, 3, padding=1)
        self.c = nn.Conv2d(UNITS, UNITS, 3, padding=1)
        self.d = nn.Conv2d(2 * UNITS, 2 * UNITS, 3, padding=1, groups=2 * UNITS)
        self.e, self.last = nn.Conv2d(2 * UNITS, 6, 1), nn.Linear(6, 3)

    def forward(self, x):
        x = functional.relu(torch.cat([self.a(x), self.b(x)], 1))
        count, channels, *grid = x.shape
        x = x.view(count, 2, channels // 2, *grid).transpose(1, 2).reshape(count, channels, *grid)
        kept, read = x.chunk(2, dim=1)
        x = torch.cat([kept, functional.relu(self.c(read))], 1)
        # What is read twice needs each channel here, and one of each block there.
        return self.last(
            functional.relu(self.d(x).mean((2, 3)) @ self._square + self.e(x).mean((2, 3)))
        )

    @property
    def _square(self):
        return torch.ones(2 * UNITS, 6, dtype=self.last.weight.dtype) / 8


def planted(seed, pairs):
    """A model where units of the first layers are others again, with the sample that it is read with."""
    torch.manual_seed(seed)
    model = Shuffled().double().eval()
    with torch.no_grad():
        for name, unit, other in pairs:
            layer = getattr(model, name)
            layer.weight[unit], layer.bias[unit] = layer.weight[other], layer.bias[other]
    return model, torch.randn(4, 2, 5, 5).double()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("pairs", "maps"),
    [
        ([("a", 1, 0)], {"a": [0, 0, 1, 2], "b": [0, 1, 2, 3]}),  # in the half that passes
        ([("b", 3, 2)], {"a": [0, 1, 2, 3], "b": [0, 1, 2, 2]}),  # in the one that is read
        ([("a", 3, 0)], {"a": [0, 1, 2, 0], "b": [0, 1, 2, 3]}),  # one in each
        ([("a", 3, 0), ("a", 1, 0), ("b", 2, 1)], {"a": [0, 0, 1, 0], "b": [0, 1, 1, 2]}),
    ],
)
def test_planted_copies_are_found_across_the_cut(seed, pairs, maps):
    model, x = planted(seed, pairs)
    network = sl.from_torch(model, x[:1])
    small = sl.compress(network, sl.AFDE(eps=0)).network
    np.testing.assert_allclose(small.flat(x.numpy()), model(x).detach().numpy(), atol=1e-13)
    explanation = sl.explain_reduction(network, small)
    found = explanation.named_unit_maps
    assert {name: found[name].tolist() for name in maps} == maps
    assert explanation.exact
    reference = explanation.reference.flat(x.numpy())
    np.testing.assert_allclose(reference, small.flat(x.numpy()), atol=1e-13)


@pytest.mark.parametrize("grid", [5, 1])
@pytest.mark.parametrize("method", [sl.AFDE, sl.Symmetric, sl.Dependence])
def test_any_reduction_is_the_quotient_of_its_reference(method, grid):
    """Also where pictures have become so small that nothing but channels is left."""
    model, x = planted(0, [])
    x = x[..., :grid, :grid]
    network = sl.from_torch(model, x[:1])
    small = sl.compress(network, method(retain=0.75)).network
    explanation = sl.explain_reduction(network, small)
    wanted = small.flat(x.numpy())
    np.testing.assert_allclose(explanation.reference.flat(x.numpy()), wanted, atol=1e-12)


def test_parts_that_no_map_can_obey_are_refused():
    """Every unit of the value must be stood on, by one that is there."""
    nobody = np.full(2, -1)
    none = find_parts(np.array([[True, False]]), np.array([[False]]), nobody)
    some = find_parts(np.array([[True, False]]), np.array([[True]]), nobody)
    both = find_parts(np.array([[True, False], [False, True]]), np.ones((2, 1), bool), nobody)
    assert none is not None and none.allowed.tolist() == [[False], [True]]
    assert some is not None and some.slots.tolist() == [0]
    assert both is not None and both.slots.tolist() == [0, 0]
    assert find_parts(np.ones((1, 2), bool), np.array([[False]]), nobody) is None
    told = np.array([0, -1])
    assert find_parts(np.array([[True, False]]), np.array([[False]]), told) is None


class Twice(Shuffled):
    """With a channel of the first branch twice in what is read, and one of the second in neither half."""

    def forward(self, x):
        x = functional.relu(torch.cat([self.a(x), self.b(x)], 1))
        kept, read = (
            torch.index_select(x, 1, torch.tensor(k)) for k in ([0, 4, 1, 5], [2, 6, 3, 3])
        )
        x = torch.cat([kept, functional.relu(self.c(read))], 1)
        return self.last(
            functional.relu(self.d(x).mean((2, 3)) @ self._square + self.e(x).mean((2, 3)))
        )


def test_halves_of_other_units_are_no_lumping():
    model, x = planted(0, [])
    network = sl.from_torch(model, x[:1])
    with pytest.raises(MethodError, match="join or select their units differently"):
        sl.explain_reduction(network, sl.from_torch(Twice().double().eval(), x[:1]))


class Gated(Shuffled):
    """The first layer's units in one half meet a gate, those in the other do not."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 2 * UNITS, 3, padding=1)
        self.squeeze, self.excite = nn.Conv2d(2 * UNITS, 3, 1), nn.Conv2d(3, 2 * UNITS, 1)

    def forward(self, x):
        kept, read = functional.relu(self.first(x)).chunk(2, dim=1)
        x = self.d(torch.cat([kept, functional.relu(self.c(read))], 1))
        gate = self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return self.last(functional.relu(self.e(x * torch.sigmoid(gate)).mean((2, 3))))


@pytest.mark.parametrize("method", [sl.AFDE, sl.Symmetric, sl.Dependence])
def test_a_gate_on_half_of_the_units(method):
    torch.manual_seed(0)
    model, x = Gated().double().eval(), torch.randn(4, 2, 5, 5).double()
    network = sl.from_torch(model, x[:1])
    small = sl.compress(network, method(retain=0.75)).network
    explanation = sl.explain_reduction(network, small)
    wanted = small.flat(x.numpy())
    np.testing.assert_allclose(explanation.reference.flat(x.numpy()), wanted, atol=1e-12)
    itself = sl.explain_reduction(network, network)
    assert itself.exact and itself.named_unit_maps["first"].tolist() == [*range(2 * UNITS)]
