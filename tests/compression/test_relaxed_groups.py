"""Grouped convolutions, depthwise ones, and weights that several layers share, as relaxed lumpings."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.errors import MethodError
from symlump.network.nodes import Affine
from tests.compression.test_relaxed_outputs import check


class Groups(nn.Module):
    """A convolution, one in groups, one kernel per channel, a sum with what these read, a dense end."""

    def __init__(self, width=8, inner=12, groups=4):
        super().__init__()
        self.a = nn.Conv2d(1, width, 3, padding=1)
        self.b = nn.Conv2d(width, inner, 3, padding=1, groups=groups)
        self.c = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.d = nn.Conv2d(inner, inner, 1)
        self.e = nn.Linear(inner, 3)

    def forward(self, x):
        h = functional.relu(self.b(functional.relu(self.a(x))))
        h = functional.relu(h + self.d(functional.relu(self.c(h))))
        return self.e(h.mean((2, 3)))


def narrower(model, kept, inner, groups):
    """The model with some channels of each group, cut by hand."""
    small = Groups(kept.size, inner.size, groups)
    width = model.b.weight.shape[1]  # that a group reads
    with torch.no_grad():
        small.a.weight[:], small.a.bias[:] = model.a.weight[kept], model.a.bias[kept]
        for row, old in enumerate(inner):
            group = old // (len(model.b.weight) // groups)
            columns = [k - group * width for k in kept if k // width == group]
            small.b.weight[row], small.b.bias[row] = model.b.weight[old][columns], model.b.bias[old]
        small.c.weight[:], small.c.bias[:] = model.c.weight[inner], model.c.bias[inner]
        small.d.weight[:], small.d.bias[:] = model.d.weight[inner][:, inner], model.d.bias[inner]
        small.e.weight[:], small.e.bias[:] = model.e.weight[:, inner], model.e.bias
    return small


@pytest.mark.parametrize("seed", range(3))
def test_channels_cut_inside_groups_are_named(seed):
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Groups().eval()
    kept = np.concatenate([[2 * g + rng.integers(2)] for g in range(4)])
    inner = np.concatenate([np.sort(3 * g + rng.permutation(3)[:2]) for g in range(4)])
    small, x = narrower(model, kept, inner, 4), torch.randn(5, 1, 6, 6)
    explanation = sl.explain_reduction(model, small, example=x)
    found = dict(zip((k.name for k in explanation.layers), explanation.layers, strict=True))
    assert (found["a"].units, found["a"].blocks, found["a"].removed) == (8, 4, 4)
    assert (found["b"].units, found["b"].blocks, found["b"].removed) == (12, 8, 4)
    assert found["c"].exact == found["d"].exact == found["b"].exact == 8
    maps = explanation.named_unit_maps
    assert np.flatnonzero(maps["a"] >= 0).tolist() == kept.tolist()
    for name in "bcd":
        assert np.flatnonzero(maps[name] >= 0).tolist() == inner.tolist()
    check(explanation, x.double().numpy())


def test_copies_inside_groups_merge():
    """Channel 2k + 1 is channel 2k again, and the grouped convolution reads the sum of their weights."""
    torch.manual_seed(1)
    small = Groups(4, 8, 4).eval()
    model, x = Groups(8, 8, 4).eval(), torch.randn(5, 1, 6, 6)
    with torch.no_grad():
        for name in ("c", "d", "e"):
            getattr(model, name).load_state_dict(getattr(small, name).state_dict())
        model.b.bias[:] = small.b.bias
        for k in range(4):
            share = 0.2 + 0.2 * k
            model.a.weight[2 * k : 2 * k + 2], model.a.bias[2 * k : 2 * k + 2] = (
                small.a.weight[k], small.a.bias[k],
            )  # fmt: skip
            rows = slice(2 * k, 2 * k + 2)
            model.b.weight[rows, 0] = share * small.b.weight[rows, 0]
            model.b.weight[rows, 1] = (1 - share) * small.b.weight[rows, 0]
    explanation = sl.explain_reduction(model, small, example=x)
    assert explanation.exact
    assert explanation.named_unit_maps["a"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    check(explanation, x.double().numpy())


def mobile(width=16):
    def step(before, after):
        return [
            nn.Conv2d(before, before, 3, padding=1, groups=before), nn.ReLU(),
            nn.Conv2d(before, after, 1), nn.ReLU(),
        ]  # fmt: skip

    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), *step(width, width), *step(width, width),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3),
    )  # fmt: skip


@pytest.mark.parametrize("criterion", ["L2", "random"])
@pytest.mark.parametrize("make", [Groups, mobile])
def test_what_torch_pruning_removed_of_grouped_networks(make, criterion):
    pruning = pytest.importorskip("torch_pruning")
    torch.manual_seed(2)
    model, x = make().eval(), torch.randn(5, 1, 6, 6)
    small = copy.deepcopy(model)
    last = [layer for layer in small.modules() if isinstance(layer, nn.Linear)][-1]
    importance = {
        "L2": pruning.importance.GroupMagnitudeImportance(p=2),
        "random": pruning.importance.RandomImportance(),
    }[criterion]
    pruning.pruner.BasePruner(
        small, x, importance=importance, pruning_ratio=0.4, ignored_layers=[last]
    ).step()
    explanation = sl.explain_reduction(model, small, example=x)
    check(explanation, x.double().numpy())
    there, here = dict(model.named_modules()), dict(small.named_modules())
    for name, units in explanation.named_unit_maps.items():
        kept = np.flatnonzero(units >= 0)
        assert torch.equal(there[name].bias[kept], here[name].bias[units[kept]]), name
    assert all(layer.exact == layer.units - layer.removed for layer in explanation.layers)


class Again(nn.Module):
    """One layer that is called twice."""

    def __init__(self, width=8, phi=torch.tanh):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, width), nn.Linear(width, width), nn.Linear(width, 2)
        self.phi = phi

    def forward(self, x):
        h = self.phi(self.a(x))
        return self.c(self.phi(self.b(self.phi(self.b(h)))))


def cut(model, kept):
    small = Again(len(kept), model.phi)
    with torch.no_grad():
        small.a.weight[:], small.a.bias[:] = model.a.weight[kept], model.a.bias[kept]
        small.b.weight[:], small.b.bias[:] = model.b.weight[kept][:, kept], model.b.bias[kept]
        small.c.weight[:], small.c.bias[:] = model.c.weight[:, kept], model.c.bias
    return small


@pytest.mark.parametrize("phi", [torch.tanh, torch.sigmoid])
def test_shared_weights_have_one_map_and_count_once(phi):
    torch.manual_seed(0)
    model, kept = Again(phi=phi).eval(), [1, 2, 4, 5, 7]
    small, x = cut(model, kept), torch.randn(5, 3)
    explanation = sl.explain_reduction(model, small, example=x)
    expected = np.full(8, -1)
    expected[kept] = np.arange(5)
    for units in explanation.unit_maps:
        assert units.tolist() == expected.tolist()
    assert explanation.reference.sharing and "shared" not in str(explanation)
    check(explanation, x.double().numpy())
    # What is no longer read: columns of b, counted once, and of c.
    gone = [0, 3, 6]
    rows = [np.linalg.norm(m.weight.detach().numpy()[:, gone]) for m in (model.c,)]
    rows.append(np.linalg.norm(model.b.weight.detach().numpy()[kept][:, gone]))
    assert explanation.defect == pytest.approx(np.linalg.norm(rows))


def test_weights_that_are_no_longer_shared_are_said_to_be_so():
    torch.manual_seed(0)
    model, x = Again().eval(), torch.randn(5, 3)
    network = sl.from_torch(model, x)
    layers = [
        Affine(k.name, k.inputs, k.weight * (1 + 0.01 * n), k.bias, k.stride, k.padding, k.dilation)
        for n, k in enumerate(network.layers)
    ]
    explanation = sl.explain_reduction(network, network.with_layers(layers))
    assert "no longer shared" in str(explanation)
    check(explanation, x.double().numpy())


def test_a_layer_with_other_groups_is_refused():
    with pytest.raises(MethodError, match="not one computation"):
        sl.explain_reduction(Groups(groups=4), Groups(groups=2), example=torch.zeros(1, 1, 6, 6))


@pytest.mark.parametrize("seed", range(3))
def test_copies_in_several_groups_merge(seed):
    """Two copies of a channel, read by different groups, are one that both read."""
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Groups().eval()
    copies = np.arange(8)
    copies[rng.choice([2, 3])] = rng.choice([0, 1])
    copies[rng.choice([6, 7])] = rng.choice([4, 5])
    with torch.no_grad():
        model.a.weight[:], model.a.bias[:] = model.a.weight[copies], model.a.bias[copies]
    network = sl.from_torch(model, torch.zeros(1, 1, 6, 6))
    small = sl.compress(network, sl.Symmetric(eps=0)).network
    explanation = sl.explain_reduction(network, small)
    _, expected = np.unique(copies, return_inverse=True)
    assert explanation.named_unit_maps["a"].tolist() == expected.tolist()
    assert explanation.exact and explanation.layers[0].blocks == 6
    assert explanation.layers[0].merged == 4
    check(explanation, np.random.default_rng(0).uniform(-1, 1, (20, 1, 6, 6)))


@pytest.mark.parametrize(
    "method",
    [sl.Symmetric(retain=0.5), sl.AFDE(retain=0.6, distance="coefficients"), sl.Dependence(0.6)],
    ids=["Symmetric", "AFDE by coefficients", "Dependence"],
)
def test_groups_that_keep_other_numbers_of_units(method):
    torch.manual_seed(0)
    network = sl.from_torch(Groups().eval(), torch.zeros(1, 1, 6, 6))
    with_copies = [
        replace(k, weight=k.weight[[0, 0, 2]]) if k.name == "b.group1" else k
        for k in network.layers
    ]
    network = network.with_layers(with_copies)
    small = sl.compress(network, method).network
    explanation = sl.explain_reduction(network, small)
    assert sum(layer.units - layer.blocks for layer in explanation.layers) > 0
    check(explanation, np.random.default_rng(0).uniform(-1, 1, (20, 1, 6, 6)))


def test_kernels_of_channels_that_became_one_are_a_convolution():
    """A layer with a kernel per channel reads one channel where all of them merged."""
    torch.manual_seed(0)
    end = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)]
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), *end)
    small = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 4, 3), *end)
    with torch.no_grad():
        small[2].load_state_dict(model[2].state_dict())
        model[0].weight[:], model[0].bias[:] = small[0].weight, small[0].bias
    x = torch.randn(3, 1, 7, 7)
    explanation = sl.explain_reduction(model.eval(), small.eval(), example=x)
    assert explanation.exact
    assert [units.tolist() for units in explanation.unit_maps] == [[0, 0, 0, 0], [0, 1, 2, 3]]
    check(explanation, x.double().numpy())
