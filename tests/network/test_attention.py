"""Attention: read from what a model says, computed as torch does, merged exactly and within a tolerance."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from transformer import Gate, ViT, copied, vit

import symlump as sl
from symlump.errors import NetworkError
from symlump.network.nodes import Affine, Combine, Concatenate, Input
from symlump.network.step_nodes import Attention, Rearrange
from symlump.network.ties import find_ties
from symlump.network.torch_module import graph_module


def images(count=3):
    return torch.randn(count, 1, 8, 8, dtype=torch.float64)


def attentions(network):
    return [node for node in network.nodes if isinstance(node, Attention)]


def far(a, b, x):
    with torch.no_grad():
        return float((a(x) - b(x)).abs().max())


@st.composite
def heads(draw):
    """Attention with heads of any sizes, pairs that count several times, masks; and inputs of each part."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    count = draw(st.integers(1, 3))
    pairs, values = (
        np.repeat(np.arange(count), [draw(st.integers(1, 3)) for _ in range(count)])
        for _ in range(2)
    )
    tokens, others = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    masks = draw(st.sampled_from([0, 1, count]))
    times = rng.integers(1, 4, pairs.size) if draw(st.booleans()) else None
    node = Attention(
        "mixed", ("q", "k", "v"), pairs, values, float(rng.uniform(0.2, 2)), False,
        rng.normal(size=(masks, tokens, others)) if masks else None, times,
    )  # fmt: skip
    sizes = ((pairs.size, tokens), (pairs.size, others), (values.size, others))
    inputs = tuple(Input(name, (), size) for name, size in zip("qkv", sizes, strict=True))
    return sl.Network((*inputs, node), ("mixed",)), [rng.normal(size=(2, *size)) for size in sizes]


def by_hand(node, q, k, v):
    """One head after the other, one number after the other."""
    result = np.empty((len(q), node.heads.size, q.shape[2]))
    times = np.ones(node.pairs.size) if node.times is None else node.times
    for channel, head in enumerate(node.heads):
        own = node.pairs == head
        scores = node.scale * np.einsum("c,nct,ncs->nts", times[own], q[:, own], k[:, own])
        if node.mask is not None:
            scores = scores + node.mask[head if len(node.mask) > 1 else 0]
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        result[:, channel] = np.einsum("nts,ns->nt", shares, v[:, channel])
    return result


@given(heads())
@settings(max_examples=25)
def test_it_is_computed_head_by_head_and_written_so(case):
    network, x = case
    expected = by_hand(network.nodes[-1], *x)
    assert np.allclose(network(*x), expected)
    assert np.allclose(graph_module(network)(*map(torch.from_numpy, x)).detach(), expected)


def test_heads_that_do_not_fit_are_refused():
    given_ = tuple(Input(name, (), (2, 3)) for name in "qkv")
    for pairs, values in (([0, 0, 0], [0, 0]), ([0, 2], [0, 2]), ([1, 0], [0, 1])):
        node = Attention("a", ("q", "k", "v"), np.array(pairs), np.array(values), 1.0)
        with pytest.raises(NetworkError, match="a: queries, keys and values of shapes"):
            _ = sl.Network((*given_, node), ("a",)).shapes


def planted():
    """Every kind of copy: value rows of a head, a pair, a whole head, a unit of the dense part."""
    model = vit()
    qkv, width = model.blocks[0].attention.qkv, 16
    copied(qkv, [2 * width], [2 * width + 1])  # two values of the first head
    copied(qkv, [4, width + 4], [5, width + 5])  # two pairs of the second
    whole = np.concatenate([np.arange(8, 12) + k * width for k in range(3)])
    copied(qkv, whole, whole + 4)  # the last head is the third
    copied(model.blocks[1].mlp[0], [2], [3])
    return model


def test_planted_copies_are_restored_exactly():
    model = planted()
    result = sl.compress(model, sl.AFDE(eps=0), example=images())
    assert result.exact and result.eps == 0
    first, second = attentions(result.network)
    assert np.bincount(first.pairs).tolist() == [4, 3, 4]
    assert np.bincount(first.heads).tolist() == [3, 4, 4]
    assert first.times.tolist() == [1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert second.count == 4 and second.is_even and second.times is None
    units = {layer.name: layer.units for layer in result.network.layers}
    assert units["blocks.0.attention.qkv"] == 33  # 48 − 1 value, − 2 of the pair, − 12 of the head
    assert units["blocks.1.mlp.0"] == 23
    assert far(result.model, model, images()) < 1e-12
    again = sl.compress(result.network, sl.AFDE(eps=0))
    assert again.network.parameters == result.network.parameters  # it was the coarsest


def test_what_was_restored_goes_through_files(tmp_path):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    model, x = planted(), images()
    result = sl.compress(model.float(), sl.AFDE(eps=0), example=x.float())
    sl.write_onnx(result.network, tmp_path / "small.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})
    with torch.no_grad():
        assert np.abs(found - model(x.float()).numpy()).max() < 1e-5
    operators = {
        node.op_type for node in __import__("onnx").load(tmp_path / "small.onnx").graph.node
    }
    assert "LayerNormalization" in operators and "Sqrt" not in operators
    again = sl.read_onnx(tmp_path / "small.onnx")
    assert np.abs(again(x.numpy()) - found).max() < 1e-5
    # Heads of several sizes are written, and read, one by one.
    assert [node.count for node in attentions(again)] == [1, 1, 1, 4]


@pytest.mark.parametrize("phi", [functional.silu, functional.gelu])
def test_gates_merge_in_pairs(phi):
    model = vit(mlp=lambda: Gate(16, 12, phi))
    for layer in (model.blocks[0].mlp.up, model.blocks[0].mlp.gate):
        copied(layer, [1, 2], [5, 7])
    copied(model.blocks[1].mlp.up, [1], [3])  # one of the two alone is no copy
    result = sl.compress(model, sl.AFDE(eps=0), example=images())
    units = {layer.name: layer.units for layer in result.network.layers}
    assert result.exact
    assert units["blocks.0.mlp.up"] == units["blocks.0.mlp.gate"] == 10
    assert units["blocks.1.mlp.gate"] == 12
    assert far(result.model, model, images()) < 1e-12


def test_equal_values_of_different_heads_are_one_row():
    model = vit()
    copied(model.blocks[0].attention.qkv, [32], [36])
    result = sl.compress(model, sl.AFDE(eps=0), example=images())
    assert result.exact and far(result.model, model, images()) < 1e-12
    assert result.network.layers[1].units == 47  # and both heads read it
    assert attentions(result.network)[0].heads.size == 16


def test_a_tolerance_keeps_heads_of_one_size_and_beats_masks():
    model, x = vit(), images(200)
    spread = float(model(x).detach().var())
    errors = {}
    for name, method in {
        "afde": sl.AFDE(retain=0.7),
        "dependence": sl.Dependence(retain=0.7),
        "magnitude": sl.Magnitude(retain=0.7),
        "wanda": sl.Wanda(retain=0.7, inputs=x),
        "svd": sl.TruncatedSVD(retain=0.7),
    }.items():
        result = sl.compress(model, method, example=x[:1])
        assert result.retained <= 0.7
        with torch.no_grad():
            errors[name] = float(((result.model(x) - model(x)) ** 2).mean()) / spread
        if name == "afde":
            assert all(node.is_even for node in attentions(result.network))
            assert any(node.heads.size < 16 for node in attentions(result.network))
            assert result.lumpings[0].defect == result.defect > 0
    assert errors["afde"] < 0.5 * min(errors["magnitude"], errors["wanda"], errors["svd"])


def test_a_block_turns_no_value_and_picks_no_channels():
    result = sl.compress(vit(), sl.AFDE(retain=0.7), example=images())
    code = result.model.code
    assert "index_select" not in code
    assert code.count(".permute(") == 1  # of the patches
    assert not any(isinstance(node, Rearrange) for node in result.network.nodes)


class ByProducts(nn.Module):
    """Attention as it is written by hand, in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.register_buffer("later", torch.triu(torch.ones(5, 5), 1).bool())

    def forward(self, x):
        samples, tokens, width = x.shape
        q, k, v = (
            part.view(samples, tokens, 2, 4).transpose(1, 2) for part in self.qkv(x).split(8, 2)
        )
        first, last = (0.5, 1.0) if self.way == "scaled first" else (1.0, 2.0)
        scores = (q * first) @ k.transpose(-2, -1) / last
        if self.way == "filled":
            scores = scores.masked_fill(self.later, float("-inf"))
        if self.way == "where":
            scores = torch.where(self.later, torch.tensor(float("-inf")), scores)
        if self.way == "added":
            scores = scores + torch.zeros(5, 5).masked_fill(self.later, -torch.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2)
        return self.proj(mixed.reshape(samples, tokens, width))


@pytest.mark.parametrize("way", ["plain", "scaled first", "filled", "where", "added"])
def test_products_and_softmax_are_read_as_attention(way):
    torch.manual_seed(0)
    model = ByProducts(way).eval()
    network = sl.from_torch(model, torch.zeros(1, 5, 8))
    (node,) = attentions(network)
    assert node.count == 2 and (node.mask is None) == (way in ("plain", "scaled first"))
    assert not [n for n in network.nodes if getattr(n, "kind", "") == "matmul"]
    assert far(graph_module(network), model, torch.randn(4, 5, 8)) < 1e-5


@pytest.mark.parametrize(
    "model",
    [
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=True, activation="gelu"),
        nn.TransformerDecoderLayer(8, 2, 12, batch_first=True),
        nn.MultiheadAttention(8, 2, batch_first=True),
    ],
    ids=["encoder", "norm first", "decoder", "attention"],
)
def test_layers_of_torch_are_read(model):
    x = torch.randn(3, 5, 8)
    counts = {nn.MultiheadAttention: 3, nn.TransformerDecoderLayer: 2}
    given_ = (x,) * counts.get(type(model), 1)
    network = sl.from_torch(model.eval(), given_)
    assert len(attentions(network)) == (2 if isinstance(model, nn.TransformerDecoderLayer) else 1)
    with torch.no_grad():
        found, expected = graph_module(network)(*given_), model(*given_)
    for a, b in zip(found if isinstance(found, tuple) else [found],
                    expected if isinstance(expected, tuple) else [expected], strict=True):  # fmt: skip
        assert torch.allclose(a, b, atol=1e-5)


def test_a_model_that_asks_for_the_number_of_samples_is_read():
    network = sl.from_torch(vit(), images(1))
    assert [len(network.shapes[node.name]) for node in attentions(network)] == [2, 2]
    assert len(find_ties(network).axes) == 10  # four heads and one dense layer in each block
    assert isinstance(network.nodes[0], Input) and isinstance(network.nodes[1], Affine)
    assert issubclass(ViT, nn.Module)


def test_a_root_mean_square_is_one_normalisation_and_halves_of_heads_stay_channels():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 4)

        def forward(self, x):
            h = self.a(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)).unflatten(
                -1, (2, 4)
            )
            return self.b(torch.tanh(torch.cat([-h[..., 2:], h[..., :2]], -1)).flatten(-2))

    torch.manual_seed(0)
    model = Turned().double().eval()
    copied(model.a, [0, 2], [4, 6])  # each in the other head
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    network = sl.from_torch(model, x)
    kinds = [node.kind for node in network.nodes if hasattr(node, "kind")]
    assert kinds == ["normalise"]
    result = sl.compress(network, sl.AFDE(eps=0))
    assert result.exact and result.network.layers[0].units == 6
    assert np.allclose(result.network(x.numpy()), model(x).detach().numpy())


class Grouped(nn.Module):
    """Four heads of queries, of which two share keys and values."""

    def __init__(self, how):
        super().__init__()
        self.q, self.kv, self.o = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)
        self.how = how

    def forward(self, x):
        q = self.q(x).unflatten(-1, (4, 4)).transpose(1, 2)
        k, v = (p.unflatten(-1, (2, 4)).transpose(1, 2) for p in self.kv(x).chunk(2, -1))
        if self.how == "repeated":
            k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, dim=1)
        if self.how in COPIES:
            k, v = (COPIES[self.how](p).flatten(1, 2) for p in (k, v))
        grouped = self.how == "grouped"
        mixed = functional.scaled_dot_product_attention(q, k, v, enable_gqa=grouped)
        return x + self.o(mixed.transpose(1, 2).flatten(2))


COPIES = {
    "expanded": lambda p: p[:, :, None].expand(-1, -1, 2, -1, -1),
    "repeat": lambda p: p[:, :, None].repeat(1, 1, 2, 1, 1),
    "stacked": lambda p: torch.stack([p, p], dim=2),
}


@pytest.mark.parametrize("how", ["grouped", "repeated", *COPIES])
def test_queries_that_share_keys_and_values(how, tmp_path):
    """What is read computes the same; a whole group that is another one is merged with it, exactly."""
    torch.manual_seed(0)
    model, x = Grouped(how).double(), torch.randn(3, 5, 8, dtype=torch.float64)
    network = sl.from_torch(model, x)
    assert np.allclose(network(x.numpy()), model(x).detach().numpy(), atol=1e-12)
    assert far(graph_module(network), model, x) < 1e-12
    with torch.no_grad():
        for held in (model.q.weight, model.q.bias):
            held[8:] = held[:8]
        for held in (model.kv.weight, model.kv.bias):
            held[4:8], held[12:] = held[:4], held[8:12]
    small = sl.compress(model, sl.AFDE(eps=0), example=x)
    assert small.exact and far(small.model, model, x) < 1e-12
    assert [layer.weight.shape for layer in small.network.layers] == [(8, 8), (8, 8), (8, 8)]
    sl.write_onnx(small.network, tmp_path / "small.onnx")
    again = sl.read_onnx(tmp_path / "small.onnx")
    assert np.allclose(again(x.numpy()), model(x).detach().numpy(), atol=1e-12)
    if how == "grouped":
        return  # which torch does not export
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x[:1],), str(tmp_path / "net.onnx"), dynamo=False)
    of_file = sl.compress(sl.read_onnx(tmp_path / "net.onnx"), sl.AFDE(eps=0))
    assert of_file.exact and attentions(of_file.network)
    dense = [layer.units for layer in of_file.network.layers if layer.is_dense]
    assert dense == [8, 8, 8]


class Encoder(nn.Module):
    """An encoder layer as torch writes it, before its fast path that exporters cannot take."""

    def __init__(self, before, heads, batch_first=True):
        super().__init__()
        self.before = before
        self.attention = nn.MultiheadAttention(8, heads, batch_first=batch_first)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.one, self.two = nn.LayerNorm(8), nn.LayerNorm(8)

    def forward(self, x):
        y = self.one(x) if self.before else x
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x if self.before else self.one(x)
        found = x + self.down(torch.relu(self.up(self.two(x) if self.before else x)))
        return found if self.before else self.two(found)


def exported(model, x, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (x,), str(path), dynamo=False, input_names=["x"], **options)
    return path


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(("heads", "tokens"), [(1, 5), (2, 5), (2, 1), (8, 8)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_file_of_one_sample_is_read_for_any_number(before, heads, tokens, batch, tmp_path):
    """An axis of length 1 may be said to be anywhere: what reads it must not depend on where it is."""
    torch.manual_seed(0)
    layer = Encoder(before, heads)
    for model in (layer, nn.Sequential(layer, nn.Flatten(), nn.Linear(8 * tokens, 3))):
        path = exported(model, torch.randn(batch, tokens, 8), tmp_path / "net.onnx")
        x = torch.randn(3, tokens, 8)
        with torch.no_grad():
            assert np.allclose(sl.read_onnx(path)(x.numpy()), model(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_in_axis_1_is_refused_with_what_to_do(batch, tmp_path):
    model, x = Encoder(False, 2, batch_first=False), torch.randn(5, batch, 8)
    told = r"axis 0 for the samples \(in torch batch_first=True, and at export dynamic_axes="
    with pytest.raises(sl.errors.NetworkError, match=told):
        sl.read_onnx(exported(model, x, tmp_path / "net.onnx"))
    open_ = exported(model, x, tmp_path / "open.onnx", dynamic_axes={"x": {1: "batch"}})
    with pytest.raises(sl.errors.NetworkError, match=f"leaves axis 1 open.*{told}"):
        sl.read_onnx(open_)


class Rotary(nn.Module):
    """Queries and keys turned by the place of their token: each half meets the other."""

    def __init__(self, d=16, heads=2, tokens=5):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.up, self.down = nn.Linear(d, 32), nn.Linear(32, d)
        turns = 10.0 ** -torch.arange(0, d // heads, 2)
        angles = (torch.arange(tokens)[:, None] * turns).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turned(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x):
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(self.turned(q), self.turned(k), v)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(x)))


def test_halves_that_a_rotary_position_exchanges_stay_two():
    """The sum pairs a unit with its other half; that makes them no one unit, at no tolerance."""
    torch.manual_seed(0)
    model, x = Rotary().double().eval(), torch.randn(3, 5, 16, dtype=torch.float64)
    network = sl.from_torch(model, x)
    ties = find_ties(network)
    for name in ("q", "k"):
        assert np.unique(ties.units[name]).size == 16
    for method in (sl.AFDE(eps=0), sl.AFDE(eps=1e-9), sl.AFDE(retain=0.97), sl.AFDE(retain=0.6)):
        small = sl.compress(network, method)
        kept = {layer.name: layer.units for layer in small.network.layers}
        assert kept["q"] == kept["k"] == 16
        if method.eps is not None:
            assert small.retained == 1 and far(sl.to_torch(small.network), model, x) < 1e-12
    assert small.retained <= 0.6


def test_units_that_a_sum_meets_twice_stay_apart():
    """h read twice beside the two halves of another layer: these halves are tied to one, and are two."""
    rng = np.random.default_rng(0)
    network = sl.Network(
        (
            Input("x", (), (3,)),
            Affine("h", ("x",), rng.normal(size=(4, 3))),
            Affine("s", ("x",), rng.normal(size=(8, 3))),
            Concatenate("twice", ("h", "h")),
            Combine("sum", ("twice", "s"), "add"),
            Affine("out", ("sum",), rng.normal(size=(1, 8))),
        ),
        ("out",),
    )
    x = rng.normal(size=(20, 3))
    small = sl.compress(network, sl.AFDE(eps=1e-9))
    assert np.allclose(small.network(x), network(x), atol=1e-8)
    assert {layer.name: layer.units for layer in small.network.layers}["s"] == 8


def test_what_rotary_positions_exchange_is_one_selection():
    """cat(−b, a)∘sin is P·x times a table that holds the signs: no join, no further order, nothing negated."""
    torch.manual_seed(0)
    model, x = Rotary().double().eval(), torch.randn(3, 5, 16, dtype=torch.float64)
    network = sl.from_torch(model, x)
    kinds = [type(node).__name__ for node in network.nodes]
    assert kinds.count("Select") == 2 and "Concatenate" not in kinds
    assert not any(layer.is_scale for layer in network.layers)
    assert np.allclose(network(x.numpy()), model(x).detach().numpy(), atol=1e-12)
    assert far(graph_module(network), model, x) < 1e-12
