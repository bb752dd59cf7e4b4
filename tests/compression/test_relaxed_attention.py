"""Transformers as relaxed lumpings: values of heads and dense units that merged or went, and planted ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.errors import MethodError, NetworkError
from symlump.network.step_nodes import Attention, Regrid


class Block(nn.Module):
    """Attention and a dense part, each beside a way around it; heads may have fewer values than pairs."""

    def __init__(self, width=8, heads=2, values=4, units=12):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k = nn.Linear(width, width), nn.Linear(width, width)
        self.v, self.o = nn.Linear(width, heads * values), nn.Linear(heads * values, width)
        self.up, self.down = nn.Linear(width, units), nn.Linear(units, width)

    def forward(self, x):
        h = self.first(x)
        q, k, v = (
            f(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        return x + self.down(torch.nn.functional.gelu(self.up(self.second(x))))


class Model(nn.Module):
    def __init__(self, **sizes):
        super().__init__()
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)
        self.blocks = nn.Sequential(Block(**sizes), Block(**sizes))

    def forward(self, x):
        return self.out(self.blocks(self.into(x)))


def spread(before, after, old, rng, far):
    """Layers with copies of the units: rows again, columns in shares that add up; the first of each most."""
    share = rng.uniform(0.3, 1.0, old.size)
    share /= np.bincount(old, share)[old]
    with torch.no_grad():
        rows, bias = before[0].weight[old], before[0].bias[old]
        before[1].weight[:] = rows + far * torch.randn(rows.shape)
        before[1].bias[:] = bias
        after[1].weight[:] = after[0].weight[:, old] * torch.from_numpy(share).float()
        after[1].bias[:] = after[0].bias


def planted(seed, far=0.0):
    """A transformer whose blocks have copies of values inside heads, and of dense units; the maps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    small, large = Model(values=2, units=6).eval(), Model(values=4, units=12).eval()
    maps = {}
    for name, module in small.named_modules():
        if isinstance(module, nn.LayerNorm) or name.split(".")[-1] in ("q", "k", "into", "out"):
            large.get_submodule(name).load_state_dict(module.state_dict())
    for n, (one, two) in enumerate(zip(small.blocks, large.blocks, strict=True)):
        inside = [rng.permutation([0, 0, 1, 1]), 2 + rng.permutation([0, 1, 1, 1])]
        values, units = np.concatenate(inside), rng.permutation(np.r_[0:6, 0:6])
        spread((one.v, two.v), (one.o, two.o), values, rng, far)
        spread((one.up, two.up), (one.down, two.down), units, rng, far)
        maps |= {f"blocks.{n}.v": values, f"blocks.{n}.up": units}
    return large, small, maps


@pytest.mark.parametrize("far", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(4))
def test_planted_copies_of_values_and_units_are_found(seed, far):
    large, small, maps = planted(seed, far)
    x = torch.randn(5, 4, 3)
    explanation = sl.explain_reduction(large, small, example=x)
    for name, units in explanation.named_unit_maps.items():
        assert units.tolist() == maps.get(name, np.arange(units.size)).tolist(), name
    assert explanation.exact == (far == 0)
    if far == 0:
        assert torch.allclose(large(x), small(x), atol=1e-5)
    x = x.double().numpy()
    assert np.abs(explanation.reference.flat(x) - explanation.reduced.flat(x)).max() < 1e-11
    rows = {row.name: row for row in explanation.layers}
    assert (rows["blocks.0.v"].units, rows["blocks.0.v"].blocks) == (8, 4)
    assert rows["blocks.0.v"].merged == 7 and rows["blocks.0.up"].merged == 12
    assert "do not pass through blocks.0.first" in str(explanation) or explanation.exact
    with pytest.raises(NetworkError, match=r"blocks\.0\.first"):
        explanation.bound((-1, 1))


def test_the_command_gives_the_map_and_says_why_no_bound(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    large, small, _ = planted(0, 0.02)
    for name, model in (("net.onnx", large), ("small.onnx", small)):
        sl.write_onnx(sl.from_torch(model, torch.zeros(1, 4, 3)), name)
    command = ["explain", "net.onnx", "small.onnx"]
    assert main(command) == 0
    report = capsys.readouterr().out
    assert "8 → 4 units: 1 kept, 7 merged into 3" in report
    assert "is not certified: bounds do not pass through blocks.0.first; compare" in report
    assert main([*command, "--box", "-1", "1"]) == 1  # the map all the same
    assert capsys.readouterr().out == report
    assert main([*command, "--box", "-1", "1", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["bound"] is None and "blocks.0.first" in data["refused"] and data["unit_maps"]


class Heads(nn.Module):
    """Attention beside a way around it, with nothing that mixes channels."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        h = torch.tanh(self.into(x))
        q, k, v = (f(h).unflatten(-1, (2, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(h + self.o(mixed.transpose(1, 2).flatten(2)))


PAIR, HEAD = [0, 1, 2, 2, 4, 5, 6, 7], [0, 1, 2, 3, 0, 1, 2, 3]
#: Which rows are copies of which, and the maps that say so.
COPIES = {
    "a pair": ({"q": PAIR, "k": PAIR}, {name: [0, 1, 2, 2, 3, 4, 5, 6] for name in "qk"}),
    "a head": (dict.fromkeys("qkv", HEAD), dict.fromkeys("qkv", HEAD)),
    "scores of a head": (dict.fromkeys("qk", HEAD), dict.fromkeys("qk", HEAD)),
    "values of two heads": ({"v": [0, 1, 2, 3, 4, 1, 6, 7]}, {"v": [0, 1, 2, 3, 4, 1, 5, 6]}),
    "what a sum adds": ({"o": [0, 1, 2, 0, 4, 5, 1, 7]}, {"o": [0, 1, 2, 0, 3, 4, 1, 5]}),
}


@pytest.mark.parametrize("what", COPIES)
def test_planted_pairs_heads_and_branches_that_merged_are_found(what):
    torch.manual_seed(0)
    model = Heads().eval()
    copies, maps = COPIES[what]
    with torch.no_grad():
        for name, rows in copies.items():
            layer = model.get_submodule(name)
            layer.weight[:], layer.bias[:] = layer.weight[rows], layer.bias[rows]
    network = sl.from_torch(model, torch.zeros(1, 4, 3))
    merged = sl.compress(network, sl.AFDE(eps=0)).network
    assert merged.parameters < network.parameters
    x = np.random.default_rng(0).uniform(-1, 1, (20, 4, 3))
    explanation = sl.explain_reduction(network, merged)
    assert explanation.exact, str(explanation)
    for name, units in explanation.named_unit_maps.items():
        assert units.tolist() == maps.get(name, list(range(8))), name
    # What merged and was pruned after that stands on the same.
    pruned = sl.compress(merged, sl.Magnitude(0.9)).network
    explanation = sl.explain_reduction(network, pruned)
    for name, units in explanation.named_unit_maps.items():
        assert units.tolist() == maps.get(name, list(range(8))), name
    assert not explanation.exact
    assert np.abs(explanation.reference.flat(x) - pruned.flat(x)).max() < 1e-11


def cut(network, pairs, values, scale=None):
    """The network with these pairs and values of its heads alone."""
    nodes = []
    for node in network.nodes:
        if node.name in ("q", "k"):
            node = replace(node, weight=node.weight[pairs], bias=node.bias[pairs])
        if node.name == "v":
            node = replace(node, weight=node.weight[values], bias=node.bias[values])
        if node.name == "o":
            node = replace(node, weight=node.weight[:, values])
        if isinstance(node, Attention):
            left = {"pairs": node.pairs[pairs], "heads": node.heads[values]}
            heads = {key: np.unique(own, return_inverse=True)[1] for key, own in left.items()}
            heads = {key: np.sort(own.ravel()) for key, own in heads.items()}
            node = replace(node, **heads, scale=scale or node.scale)
        nodes.append(node)
    return replace(network, nodes=tuple(nodes))


@pytest.mark.parametrize("seed", range(4))
def test_pairs_that_were_removed_are_named(seed):
    """Where a query or a key was nearly 0 and its pair is gone, just that is said, whatever else went."""
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), Heads().eval()
    pairs = np.concatenate([4 * h + np.sort(rng.permutation(4)[:2]) for h in (0, 1)])
    values = np.concatenate([4 * h + np.sort(rng.permutation(4)[:3]) for h in (0, 1)])
    gone = np.setdiff1d(np.arange(8), pairs)
    zero = {"q": gone[:2], "k": gone[2:]}
    with torch.no_grad():
        for name, rows in zero.items():
            model.get_submodule(name).weight[rows] *= 1e-4
            model.get_submodule(name).bias[rows] *= 1e-4
    network = sl.from_torch(model, torch.zeros(1, 4, 3))
    small = cut(network, pairs, values)
    explanation = sl.explain_reduction(network, small)
    for name, kept in (("q", pairs), ("k", pairs), ("v", values)):
        units = np.full(8, -1)
        units[kept] = np.arange(kept.size)
        assert explanation.named_unit_maps[name].tolist() == units.tolist()
    rows = {row.name: row for row in explanation.layers}
    for name in "qk":
        assert (rows[name].zero, rows[name].unread, rows[name].exact) == (2, 2, 4)
        assert 0 < rows[name].eps < 1e-3
    lost = [np.linalg.norm(k.weight[zero[k.name]]) for k in network.layers if k.name in zero]
    lost += [np.linalg.norm(k.bias[zero[k.name]]) for k in network.layers if k.name in zero]
    (out,) = (k.weight for k in network.layers if k.name == "o")
    lost.append(np.linalg.norm(np.delete(out, values, axis=1)))
    assert explanation.defect == pytest.approx(np.linalg.norm(lost))
    x = rng.uniform(-1, 1, (20, 4, 3))
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-12


@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("left", [0, 1])
def test_a_head_that_was_removed_whole_is_said_to_be_removed(left, idle):
    """Its values are 0 in the reference; queries and keys that no other head reads may be what they are."""
    torch.manual_seed(left)
    model, kept = Heads().eval(), np.arange(4 * left, 4 * left + 4)
    gone = np.setdiff1d(np.arange(8), kept)
    if idle:
        with torch.no_grad():
            model.v.weight[gone], model.v.bias[gone] = 0.0, 0.0
    network = sl.from_torch(model, torch.zeros(1, 4, 3))
    small = cut(network, kept, kept)
    explanation = sl.explain_reduction(network, small)
    units = np.full(8, -1)
    units[kept] = np.arange(4)
    for name in "qkv":
        assert explanation.named_unit_maps[name].tolist() == units.tolist()
    rows = {row.name: row for row in explanation.layers}
    assert (rows["v"].zero, rows["q"].unread, rows["k"].unread) == (4, 4, 4)
    assert explanation.exact == idle
    assert "merged" not in str(explanation)
    (v,) = (layer for layer in network.layers if layer.name == "v")
    assert explanation.defect == pytest.approx(
        np.hypot(np.linalg.norm(v.weight[gone]), np.linalg.norm(v.bias[gone]))
    )
    x = np.random.default_rng(0).uniform(-1, 1, (20, 4, 3))
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-12


def test_a_factor_of_scores_that_changed_is_counted_with_the_queries():
    torch.manual_seed(0)
    network = sl.from_torch(Heads().eval(), torch.zeros(1, 4, 3))
    small = cut(network, np.array([0, 1, 2, 5, 6, 7]), np.arange(8), 1 / np.sqrt(3))
    explanation = sl.explain_reduction(network, small)
    assert "scores by another factor" in str(explanation)
    x = np.random.default_rng(0).uniform(-1, 1, (20, 4, 3))
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-12
    rows = {row.name: row for row in explanation.layers}
    assert rows["q"].exact == 0 and rows["k"].exact == 6
    whole = cut(network, np.arange(8), np.arange(8), 1.0)  # √4 = 2 times as much as before
    explanation = sl.explain_reduction(network, whole)
    (query,) = (layer for layer in network.layers if layer.name == "q")
    assert explanation.defect == pytest.approx(
        np.hypot(*map(np.linalg.norm, (query.weight, query.bias)))
    )


def test_pairs_of_heads_in_another_order_are_refused_by_name():
    torch.manual_seed(0)
    network = sl.from_torch(Heads().eval(), torch.zeros(1, 4, 3))
    order = np.r_[4:8, 0:4]
    small = cut(network, order, order)
    small = cut(small, np.r_[0:3, 4:8], np.arange(8))
    with pytest.raises(
        MethodError, match=r"adds up \[4, 4\] products .* network \[3, 4\]; .* order"
    ):
        sl.explain_reduction(network, small)


def test_a_normalisation_of_fewer_channels_is_refused_by_name():
    large, small = Model(), Model()
    for model in (large, small):
        model.blocks = nn.Sequential(Block())
    small.into, small.out, small.blocks = nn.Linear(3, 6), nn.Linear(6, 2), Block(width=6, values=3)
    with pytest.raises(
        MethodError, match=r"first.* normalises 8 channels .* 6 in the reduced"
    ) as error:
        sl.explain_reduction(large, small, example=torch.zeros(1, 4, 3))
    assert "array" not in str(error.value)


@pytest.mark.parametrize("method", [sl.Symmetric(retain=0.5), sl.AFDE(retain=0.4)])
def test_branches_of_sums_that_merged_in_other_ways(method):
    """A sum gives copies of a branch to its channels, whether or not these merged, too."""
    torch.manual_seed(2)
    network = sl.from_torch(Heads().eval(), torch.zeros(1, 4, 3))
    small = sl.compress(network, method).network
    explanation = sl.explain_reduction(network, small)
    x = np.random.default_rng(0).uniform(-1, 1, (20, 4, 3))
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-11
    rows = {row.name: row for row in explanation.layers}
    assert any(row.merged for row in rows.values())
    for name, layer in ((layer.name, layer) for layer in small.layers):
        assert rows[name].blocks == layer.units


class Patches(Heads):
    """The same between places of a picture: queries, keys and values are laid out anew before they meet."""

    def __init__(self):
        super().__init__()
        self.into = nn.Conv2d(1, 8, 2, 2)

    def forward(self, x):
        h = torch.tanh(self.into(x)).flatten(2).transpose(1, 2)
        q, k, v = (f(h).unflatten(-1, (2, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out((h + self.o(mixed.transpose(1, 2).flatten(2))).mean(1))


def test_pairs_of_patches_that_merged_or_went_are_found():
    torch.manual_seed(0)
    model = Patches().eval()
    with torch.no_grad():
        for layer in (model.q, model.k):
            layer.weight[:], layer.bias[:] = layer.weight[PAIR], layer.bias[PAIR]
    network = sl.from_torch(model, torch.zeros(1, 1, 4, 4))
    assert any(isinstance(node, Regrid) for node in network.nodes)
    x = np.random.default_rng(0).uniform(-1, 1, (20, 1, 4, 4))
    merged = sl.explain_reduction(network, sl.compress(network, sl.AFDE(eps=0)).network)
    assert merged.exact and merged.named_unit_maps["q"].tolist() == [0, 1, 2, 2, 3, 4, 5, 6]
    kept = np.array([0, 1, 3, 4, 5, 7])
    small = cut(network, kept, np.arange(8), 1 / np.sqrt(3))
    explanation = sl.explain_reduction(network, small)
    assert "scores by another factor" in str(explanation)
    for name in "qk":
        assert np.flatnonzero(explanation.named_unit_maps[name] < 0).size == 2
        assert explanation.named_unit_maps[name][[6]].tolist() == [-1]
    assert np.abs(explanation.reference.flat(x) - small.flat(x)).max() < 1e-12
