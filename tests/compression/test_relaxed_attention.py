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
from symlump.network.step_nodes import Attention


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


def test_a_pair_that_was_removed_is_refused_by_name():
    torch.manual_seed(0)
    network = sl.from_torch(Heads().eval(), torch.zeros(1, 4, 3))
    nodes = []
    for node in network.nodes:
        if node.name in ("q", "k"):
            node = replace(node, weight=node.weight[1:], bias=node.bias[1:])
        if isinstance(node, Attention):
            node = replace(node, pairs=node.pairs[1:])
        nodes.append(node)
    with pytest.raises(MethodError, match=r"adds up \[4, 4\] products .* network \[3, 4\]"):
        sl.explain_reduction(network, replace(network, nodes=tuple(nodes)))


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
