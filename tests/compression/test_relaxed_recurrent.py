"""Recurrent cells as relaxed lumpings: one map for all steps, planted and found; bounds over a horizon hold."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import symlump as sl
from symlump.compression.relaxed.recurrent_steps import two_steps
from symlump.errors import MethodError
from symlump.network.recurrent.reading import read_recurrent


class Model(nn.Module):
    def __init__(self, kind, width, layers=1):
        super().__init__()
        self.r = kind(3, width, num_layers=layers, batch_first=True)
        self.l = nn.Linear(width, 2)

    def forward(self, x):
        return self.l(self.r(x)[0])


def spread(big, small, units, shares):
    """Give the big cell the small one's units, each as often as it is named; −1 stands for one of its own."""
    gates = small.r.weight_ih_l0.shape[0] // small.l.weight.shape[1]
    own, count = units >= 0, len(units)
    for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0", "weight_hh_l0"):
        there = getattr(big.r, name).view(gates, count, -1)
        here = getattr(small.r, name).view(gates, small.l.weight.shape[1], -1)
        if name == "weight_hh_l0":
            there[:, own] = here[:, units[own]][:, :, units] * shares
        else:
            there[:, own] = here[:, units[own]]
    big.l.weight[:], big.l.bias[:] = small.l.weight[:, units] * shares, small.l.bias


KINDS = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_planted_copies_are_found_and_exact(kind, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    small, big = Model(KINDS[kind], 5), Model(KINDS[kind], 9)
    units = rng.permutation(np.concatenate([np.arange(5), rng.integers(5, size=4)]))
    shares = torch.tensor(1 / np.bincount(units)[units], dtype=torch.float32)
    with torch.no_grad():
        spread(big, small, torch.tensor(units), shares)
    explanation = sl.explain_reduction(big, small)
    assert explanation.named_unit_maps["r.l0"].tolist() == units.tolist()
    assert explanation.exact and explanation.relative_defect < 1e-6
    bound = explanation.bound_steps(4, (-1, 1))
    assert bound.value < 1e-3
    x = torch.rand(50, 4, 3) * 2 - 1
    far = (big.double()(x.double()) - small.double()(x.double())).abs().amax((0, 1))
    assert np.all(far.detach().numpy() <= bound.readers["l"] + 1e-12)  # torch rounds


@pytest.mark.parametrize("kind", KINDS)
def test_units_that_were_cut_are_named_and_the_bound_holds(kind):
    torch.manual_seed(0)
    small, big = Model(KINDS[kind], 5), Model(KINDS[kind], 8)
    units = np.array([3, -1, 0, 1, -1, 4, -1, 2])
    reads = torch.tensor(np.where(units < 0, 0.01, 1.0), dtype=torch.float32)
    with torch.no_grad():  # what else there is in the big model is hardly read
        spread(big, small, torch.tensor(units), reads)
    explanation = sl.explain_reduction(big, small)
    assert explanation.unit_maps[0].tolist() == units.tolist()
    assert explanation.layers[0].unread + explanation.layers[0].zero == 3
    assert f"{explanation.sizes[0]} → {explanation.sizes[1]} weights and biases" in str(explanation)
    assert explanation.sizes[0] == sum(p.numel() for p in big.parameters())
    bound = explanation.bound_steps(3, (-1, 1))
    x = torch.rand(200, 3, 3) * 2 - 1
    far = (big.double()(x.double()) - small.double()(x.double())).abs().amax((0, 1))
    far = far.detach().numpy()
    assert np.all(far > 0) and np.all(far <= bound.readers["l"])


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_are_those_of_the_model(kind):
    torch.manual_seed(0)
    model, x = Model(KINDS[kind], 4, layers=2), torch.randn(6, 2, 3)
    steps = two_steps(read_recurrent(model))
    found = steps.flat(x[:, 0].numpy(), x[:, 1].numpy())[:, :2]
    assert np.abs(found - model(x)[:, -1].detach().numpy()).max() < 1e-6


def test_what_afde_and_masks_do_to_cells_is_explained():
    torch.manual_seed(0)
    model = Model(nn.GRU, 8)
    merged = sl.compress(model, sl.AFDE(retain=0.6))
    explanation = sl.explain_reduction(model, merged.model)
    assert explanation.layers[0].blocks < 8 and explanation.defect > 0
    masked = Model(nn.GRU, 8)
    masked.load_state_dict(model.state_dict())
    with torch.no_grad():
        weight = masked.r.weight_hh_l0
        weight[weight.abs() < weight.abs().median()] = 0
        lost = (model.r.weight_hh_l0 - weight).norm().item()
    explanation = sl.explain_reduction(model, masked)
    assert explanation.unit_maps[0].tolist() == list(range(8))
    assert explanation.defect == pytest.approx(lost, rel=1e-6)
    assert explanation.layers[0].zeroed == int((weight == 0).sum())


def test_mistakes():
    gru, lstm = Model(nn.GRU, 4), Model(nn.LSTM, 3)
    with pytest.raises(MethodError, match="other cells"):
        sl.explain_reduction(gru, lstm)
    with pytest.raises(MethodError, match="the other has none"):
        sl.explain_reduction(gru, sl.Network.dense([[[1.0]]]))
    with pytest.raises(MethodError, match="give the larger network first"):
        sl.explain_reduction(Model(nn.GRU, 3), gru)
    with pytest.raises(MethodError, match="bound_steps"):
        sl.explain_reduction(gru, Model(nn.GRU, 3)).bound((-1, 1))


def masked(model):
    """What torch's own pruning sets to 0: the smallest weights of the cells, all together."""
    small = copy.deepcopy(model)
    names = [name for name, _ in small.r.named_parameters() if name.startswith("weight")]
    held = [(small.r, name) for name in names]
    prune.global_unstructured(held, prune.L1Unstructured, amount=0.4)
    for module, name in held:
        prune.remove(module, name)
    return small


def rounded(model):
    """All weights on a grid of 16 steps a row."""
    small = copy.deepcopy(model)
    with torch.no_grad():
        for weight in small.parameters():
            step = weight.abs().amax(-1, keepdim=True) / 8
            weight[:] = (weight / step).round() * step
    return small


def cut(model):
    """Units 1 and 4 of every cell are gone."""
    width, kept = model.l.weight.shape[1], [0, 2, 3, 5]
    small = Model(type(model.r), 4, model.r.num_layers)
    here = dict(model.r.named_parameters())
    with torch.no_grad():
        for name, there in small.r.named_parameters():
            array = here[name].unflatten(0, (-1, width))[:, kept].flatten(0, 1)
            there[:] = array[:, kept] if array.shape[-1] == width and array.ndim > 1 else array
        small.l.weight[:], small.l.bias[:] = model.l.weight[:, kept], model.l.bias
    return small


def afde(**more):
    return lambda model: sl.compress(model, sl.AFDE(**more)).model


X = np.random.default_rng(1).uniform(-1, 1, (30, 6, 3)).astype(np.float32)
#: Every way in which cells are reduced here (AFDE), and ways of other tools.
WAYS = {
    "AFDE": afde(retain=0.6),
    "AFDE by closure": afde(retain=0.6, linkage="closure"),
    "AFDE without refit": afde(retain=0.6, refit=False),
    "AFDE with data": afde(retain=0.6, inputs=X),
    "AFDE stepping": afde(retain=0.6, steps=5),
    "mask": masked,
    "rounding": rounded,
    "removed units": cut,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_reduce_cells(kind, way):
    torch.manual_seed(0)
    model = Model(KINDS[kind], 6, layers=2 if kind == "RNN" else 1)
    small = WAYS[way](model)
    explanation = sl.explain_reduction(model, small)
    x = X.astype(float)
    one, two = (net.flat(x[:, 0], x[:, 1]) for net in (explanation.reference, explanation.reduced))
    assert np.abs(one - two).max() < 1e-11
    if way in ("mask", "rounding"):
        assert all(units.tolist() == list(range(6)) for units in explanation.unit_maps)
        there = dict(small.named_parameters())
        lost = sum(((a - there[k]) ** 2).sum().item() for k, a in model.named_parameters())
        assert explanation.defect == pytest.approx(np.sqrt(lost), rel=1e-4)
        assert "weights set to 0" in str(explanation)  # by rounding, too
    if way == "removed units":
        for units in explanation.unit_maps:
            assert units.tolist() == [0, -1, 1, 2, -1, 3]
    bound = explanation.bound_steps(2, (-1, 1))
    x = torch.from_numpy(x)[:, :2]
    far = (model.double()(x) - small.double()(x)).abs().amax((0, 1)).detach().numpy()
    assert np.all(far > 0) and np.all(far <= bound.readers["l"])
