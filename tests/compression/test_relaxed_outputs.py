"""What other tools return, and what merges and prunes at once: planted unit maps are found, bounds hold."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.compression.relaxed.quotient import Quotient
from symlump.compression.relaxed.selected import STAYS, UNREAD, UnitMap
from symlump.network.chain import Layer
from tests.compression.test_relaxed import random_network, split


def pruned(network, rng, share):
    """The network with the smallest weights of each layer set to zero."""
    return sl.Network.from_layers(
        Layer(
            np.where(np.abs(k.weight) > np.quantile(np.abs(k.weight), share), k.weight, 0),
            k.bias,
            k.activation,
        )
        for k in network.chain.layers
    )


def check(explanation, x, box=(-1.0, 1.0)):
    """The reference gives the reduced network's outputs, and no difference leaves the bound."""
    large, small = explanation.original, explanation.reduced
    x = np.clip(x, *box)
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-11
    far = np.abs(large.flat(x) - small.flat(x)).max(axis=0)
    assert np.all(far <= explanation.bound(box, splits=0).values.ravel() + 1e-12)


def defect_of(explanation, maps):
    """δ with other maps: of equal units, and of units that nothing reads where these are −1."""
    quotient = explanation.quotient
    one = [np.ones(len(units)) for units in maps]
    chosen = [
        UnitMap(units, np.where(units < 0, UNREAD, STAYS), a, a, 0 * a)
        for units, a in zip(maps, one, strict=True)
    ]
    numbered = dict(zip(quotient.maps, chosen, strict=True))
    return Quotient(quotient.original, quotient.reduced, numbered).defect


def merged_and_pruned(seed, activation):
    """Copies are merged, weak units removed, and of what is left weights are set to zero; the planted maps."""
    rng = np.random.default_rng(seed)
    small = random_network(rng, (4, 8, 6, 2), activation)
    large, maps = split(small, rng, 2)
    # One more unit in each hidden layer, which little reads; the reduced network has none for it.
    layers, read = [], 0
    for number, layer in enumerate(large.chain.layers):
        weight, bias = layer.weight, layer.bias
        if read:
            weight = np.column_stack([weight, 0.02 * rng.normal(size=len(weight))])
        read = number < 2
        if read:
            weight = np.vstack([weight, rng.normal(size=weight.shape[1])])
            bias = np.append(bias, rng.normal())
        layers.append(Layer(weight, bias, layer.activation))
    large = sl.Network.from_layers(layers)
    explanation = sl.explain_reduction(large, pruned(small, rng, 0.2))
    return explanation, [np.append(units, -1) for units in maps], rng


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("seed", range(20))
def test_what_merges_and_prunes_at_once_is_told_apart(seed, activation):
    """The planted map, or one whose δ is smaller."""
    explanation, planted, rng = merged_and_pruned(seed, activation)
    least = defect_of(explanation, planted)
    assert explanation.defect <= least * (1 + 1e-12)
    for found, units in zip(explanation.unit_maps, planted, strict=True):
        # Another map is found only where its δ is smaller.
        assert np.array_equal(found, units) or explanation.defect < least * (1 - 1e-12)
    assert any(layer.merged for layer in explanation.layers)
    assert all(layer.zeroed for layer in explanation.layers[:2])
    assert not explanation.exact
    check(explanation, rng.normal(size=(40, 4)))


@pytest.mark.parametrize(
    ("activation", "seed"), [("relu", 233), ("relu", 2174), ("tanh", 1101), ("tanh", 3421)]
)
def test_units_that_stand_alone_change_places(activation, seed):
    """The nearest unit for each of the reduced network, all different, are not always the planted ones."""
    explanation, planted, _ = merged_and_pruned(seed, activation)
    for found, units in zip(explanation.unit_maps, planted, strict=True):
        assert np.array_equal(found, units)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_merging_then_pruning_and_rounding_is_explained(activation):
    rng = np.random.default_rng(3)
    network = random_network(rng, (6, 16, 12, 2), activation)
    merged = sl.compress(network, sl.AFDE(retain=0.6, refit=False))
    for method in (
        sl.Magnitude(0.6),
        sl.Quantize(bits=5),
        sl.SecondOrder(0.6, inputs=rng.normal(size=(80, 6))),
    ):
        both = sl.compress(merged.network, method).network
        explanation = sl.explain_reduction(network, both)
        alone = sl.explain_reduction(network, merged.network)
        found, merging = (np.concatenate(e.unit_maps) for e in (explanation, alone))
        assert (found == merging).mean() > 0.9 and np.all((found == merging) | (found == -1))
        assert any(layer.merged for layer in explanation.layers)
        check(explanation, rng.normal(size=(40, 6)))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after)
        self.c2, self.n2 = nn.Conv2d(after, after, 3, 1, 1), nn.BatchNorm2d(after)
        self.down = nn.Conv2d(before, after, 1, stride)
        for norm in (self.n1, self.n2):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(0, 0.3)

    def forward(self, x):
        h = functional.relu(self.n1(self.c1(x)))
        return functional.relu(self.n2(self.c2(h)) + self.down(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = (
            nn.Conv2d(1, 8, 3, 1, 1),
            Block(8, 12, 2),
            nn.Linear(12, 4),
        )

    def forward(self, x):
        return self.head(self.block(functional.relu(self.stem(x))).mean((2, 3)))


def dense(phi):
    return nn.Sequential(nn.Linear(6, 20), phi(), nn.Linear(20, 16), phi(), nn.Linear(16, 3))


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(48, 10), nn.ReLU(), nn.Linear(10, 3),
    )  # fmt: skip


MODELS = {
    "tanh": (lambda: dense(nn.Tanh), (6,)),
    "relu": (lambda: dense(nn.ReLU), (6,)),
    "convolutions": (convolutions, (1, 8, 8)),
    "residual": (Residual, (1, 8, 8)),
}


def without(model, kept):
    """A residual network with some channels of the stem, inside its block, and behind it, as if cut by hand."""
    small = copy.deepcopy(model)
    stem, inner, after = kept
    block = small.block

    def cut(layer, rows, columns=None):
        with torch.no_grad():
            weight = layer.weight[rows] if columns is None else layer.weight[rows][:, columns]
            layer.weight = nn.Parameter(weight.clone())
            if layer.bias is not None:
                layer.bias = nn.Parameter(layer.bias[rows].clone())
        for name in ("running_mean", "running_var"):
            if hasattr(layer, name):
                setattr(layer, name, getattr(layer, name)[rows].clone())

    cut(small.stem, stem)
    for layer, rows, columns in (
        (block.c1, inner, stem), (block.n1, inner, None), (block.c2, after, inner),
        (block.n2, after, None), (block.down, after, stem),
    ):  # fmt: skip
        cut(layer, rows, columns)
    cut(small.head, torch.arange(4), after)
    for layer in (small.stem, block.c1, block.c2, block.down):
        layer.out_channels, layer.in_channels = layer.weight.shape[:2]
    small.head.in_features = len(after)
    return small


@pytest.mark.parametrize("seed", range(3))
def test_channels_that_were_cut_are_named(seed):
    """What a tool for structured pruning does, by hand: the map is known."""
    torch.manual_seed(seed)
    model = Residual().eval()
    kept = [torch.randperm(n)[: n - n // 3].sort().values for n in (8, 12, 12)]
    small, x = without(model, kept), torch.randn(5, 1, 8, 8)
    explanation = sl.explain_reduction(model, small, example=x)
    found = dict(
        zip(
            (layer.name for layer in explanation.quotient.original.hidden),
            explanation.unit_maps,
            strict=True,
        )
    )
    for name, own in (
        ("stem", kept[0]),
        ("block.c1", kept[1]),
        ("block.c2", kept[2]),
        ("block.down", kept[2]),
    ):
        planted = np.full(len(found[name]), -1)
        planted[own.numpy()] = np.arange(len(own))
        assert found[name].tolist() == planted.tolist(), name
    assert all(layer.exact == layer.units - layer.removed for layer in explanation.layers)
    check(explanation, x.double().numpy())


CRITERIA = {
    "L1": ("GroupMagnitudeImportance", {"p": 1}),
    "L2": ("GroupMagnitudeImportance", {"p": 2}),
    "median": ("FPGMImportance", {}),
    "random": ("RandomImportance", {}),
    "Taylor": ("GroupTaylorImportance", {}),
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", MODELS)
def test_what_torch_pruning_removed_is_found(name, criterion):
    pruning = pytest.importorskip("torch_pruning")
    make, shape = MODELS[name]
    torch.manual_seed(1)
    model, x = make().eval(), torch.randn(5, *shape)
    small = copy.deepcopy(model)
    dense_layers = [layer for layer in small.modules() if isinstance(layer, nn.Linear)]
    kind, options = CRITERIA[criterion]
    pruner = pruning.pruner.BasePruner(
        small, x, importance=getattr(pruning.importance, kind)(**options), pruning_ratio=0.4,
        ignored_layers=[dense_layers[-1]],
    )  # fmt: skip
    if criterion == "Taylor":
        small(x).pow(2).sum().backward()
    names, gone = {id(module): place for place, module in small.named_modules()}, {}
    for group in pruner.step(interactive=True):
        for dependency, rows in group:
            own = id(dependency.target.module) in names
            if own and dependency.handler.__name__.endswith("out_channels"):
                gone.setdefault(id(dependency.target.module), (dependency.target.module, set()))[
                    1
                ].update(rows)
        group.prune()
    small.eval()
    explanation = sl.explain_reduction(model, small, example=x)
    removed = {names[key]: rows for key, (_, rows) in gone.items()}
    hidden = explanation.quotient.original.hidden
    for layer, found in zip(hidden, explanation.unit_maps, strict=True):
        if layer.name in removed:  # chains of dense layers have names of their own
            assert set(np.flatnonzero(found < 0).tolist()) == removed[layer.name], layer.name
    if name in ("tanh", "relu"):
        wanted = [sorted(removed[place]) for place in sorted(removed, key=int)]
        assert [np.flatnonzero(found < 0).tolist() for found in explanation.unit_maps] == wanted
    assert all(layer.exact == layer.units - layer.removed for layer in explanation.layers)
    assert not any(layer.constant for layer in explanation.layers)  # no bias took one up
    assert " removed " in str(explanation) and "Assumed: " in str(explanation)
    check(explanation, x.double().numpy())
