"""Layers as people write them: read from torch, written as torch and as ONNX, with copies found again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import symlump as sl

onnx = pytest.importorskip("onnx")


class Module(nn.Module):
    """A forward pass from a function, with modules and parameters by name."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *x):
        return self.function(self, *x)


def parameter(*shape):
    return nn.Parameter(torch.randn(*shape))


def attention(m, x):
    b, n, c = x.shape
    q, k, v = m.qkv(x).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return m.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


def plain_attention(m, x):
    b, n, c = x.shape
    q, k, v = (t.view(b, n, 2, -1).transpose(1, 2) for t in m.qkv(x).chunk(3, -1))
    weights = (q @ k.transpose(-2, -1) / 2**0.5).softmax(-1)
    return m.out((weights @ v).transpose(1, 2).reshape(b, n, c))


IMAGE, TOKENS, ROW = (4, 6, 6), (5, 4), (6,)
CASES = {
    "channels last": (
        lambda m, x: m.b(F.relu(m.a(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).flatten(1)),
        {"a": nn.Conv2d(4, 5, 3), "b": nn.Linear(80, 3)},
        (6, 6, 4),
    ),
    "tokens": (
        lambda m, x: m.b(F.gelu(m.a(x))) + x,
        {"a": nn.Linear(4, 7), "b": nn.Linear(7, 4)},
        TOKENS,
    ),
    "norms": (
        lambda m, x: m.c(m.r(m.b(m.n(m.a(x))))),
        {"a": nn.Linear(4, 6), "n": nn.LayerNorm(6), "b": nn.Linear(6, 4), "r": nn.RMSNorm(4),
         "c": nn.Linear(4, 2)},
        TOKENS,
    ),
    "root mean squares written out": (
        lambda m, x: m.b(m.w * (m.a(x) * torch.rsqrt(m.a(x).pow(2).mean(-1, keepdim=True) + 1e-6))),
        {"a": nn.Linear(4, 6), "w": parameter(6), "b": nn.Linear(6, 2)},
        TOKENS,
    ),
    "halves of heads turned": (
        lambda m, x: m.b(torch.cat([-(h := m.a(x).unflatten(-1, (2, 4)))[..., 2:], h[..., :2]], -1)
                         .flatten(-2)),
        {"a": nn.Linear(4, 8), "b": nn.Linear(8, 2)},
        TOKENS,
    ),
    "norms of images": (
        lambda m, x: m.b(m.i(m.g(m.a(x)))),
        {"a": nn.Conv2d(4, 6, 3), "g": nn.GroupNorm(2, 6), "i": nn.InstanceNorm2d(6, affine=True),
         "b": nn.Conv2d(6, 2, 1)},
        IMAGE,
    ),
    "grouped, transposed": (
        lambda m, x: m.b(F.relu(m.a(x))),
        {"a": nn.Conv2d(4, 6, 3, groups=2),
         "b": nn.ConvTranspose2d(6, 2, 3, stride=2, padding=1, output_padding=1)},
        IMAGE,
    ),
    "shuffled pixels": (
        lambda m, x: m.b(F.pixel_shuffle(F.relu(m.a(x)), 2)),
        {"a": nn.Conv2d(4, 8, 3), "b": nn.Conv2d(2, 1, 1)},
        IMAGE,
    ),
    "transposed, each channel": (
        lambda m, x: m.b(F.relu(m.a(x))),
        {"a": nn.ConvTranspose2d(4, 8, 3, stride=2, groups=4), "b": nn.ConvTranspose2d(8, 2, 2, 2)},
        IMAGE,
    ),
    "transposed, in groups": (
        lambda m, x: m.b(F.relu(m.a(x))),
        {"a": nn.ConvTranspose2d(4, 6, 3, 2, groups=2), "b": nn.Conv2d(6, 2, 1)},
        IMAGE,
    ),
    "dense, then an image": (
        lambda m, x: m.b(m.a(x).view(-1, 3, 2, 2)),
        {"a": nn.Linear(6, 12), "b": nn.Conv2d(3, 2, 1)},
        ROW,
    ),
    "patches with a class token": (
        lambda m, x: m.b(torch.cat([m.t.expand(x.shape[0], -1, -1),
                                    m.a(x).flatten(2).transpose(1, 2)], 1).add(m.p)[:, 0]),
        {"a": nn.Conv2d(4, 3, 2, 2), "t": parameter(1, 1, 3), "p": parameter(1, 10, 3),
         "b": nn.Linear(3, 2)},
        IMAGE,
    ),
    "attention": (attention, {"qkv": nn.Linear(4, 12), "out": nn.Linear(4, 4)}, TOKENS),
    "attention written out": (
        plain_attention, {"qkv": nn.Linear(4, 12), "out": nn.Linear(4, 4)}, TOKENS,
    ),
    "reductions": (
        lambda m, x: torch.cat([x.mean((2, 3)), x.sum(1).mean(-1), x.amax((1, 3)),
                                x[:, :, 0].max(1).values], 1) @ m.w,
        {"w": parameter(22, 2)},
        IMAGE,
    ),
    "parts": (
        lambda m, x: torch.concat([m.a(x)[:, 1::2], m.a(x)[:, :, 2:].amax(2, True)
                                   .expand(-1, -1, 4)[:, :1]], 1),
        {"a": nn.Linear(4, 4)},
        TOKENS,
    ),
    "functions": (
        lambda m, x: sum(f(x) for f in (
            F.hardswish, F.hardsigmoid, F.mish, F.selu, F.celu, F.softsign, F.logsigmoid, torch.erf,
            F.softshrink, lambda z: F.celu(z, 0.5), lambda z: F.glu(torch.cat([z, m.a(z)], -1)),
            lambda z: z.clamp(-0.5, 0.5), lambda z: z.clamp(min=0.25), lambda z: z.clamp_max(0.5),
            lambda z: torch.maximum(z, m.a(z)), lambda z: torch.minimum(z, m.a(z)),
            lambda z: F.gelu(z, approximate="tanh"), lambda z: z / (1 + z * z),
            lambda z: torch.rsqrt(1 + z.square()))),
        {"a": nn.Linear(6, 6)},
        ROW,
    ),
    "resizing and padding": (
        lambda m, x: m.a(F.pad(F.interpolate(x, scale_factor=2), (1, 0, 2, 0))).add(
            F.interpolate(m.b(x), size=(13, 14), mode="bilinear")[:, :, :-1, :-3]),
        {"a": nn.Conv2d(4, 2, 3), "b": nn.Conv2d(4, 2, 1)},
        IMAGE,
    ),
    "softmax along the grid": (
        lambda m, x: (m.a(x).flatten(2).softmax(-1) * m.b(x).flatten(2)).sum(-1),
        {"a": nn.Conv2d(4, 3, 1), "b": nn.Conv2d(4, 3, 1)},
        IMAGE,
    ),
    "a shuffle of channels": (
        lambda m, x: m.b(m.a(x).view(-1, 2, 3, 6, 6).transpose(1, 2).reshape(-1, 6, 6, 6)),
        {"a": nn.Conv2d(4, 6, 1), "b": nn.Conv2d(6, 2, 1)},
        IMAGE,
    ),
}  # fmt: skip


def run(path, x):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]


@pytest.mark.parametrize("name", CASES)
def test_layers_are_read_and_written(name, tmp_path):
    function, parts, shape = CASES[name]
    torch.manual_seed(0)
    model = Module(function, **parts).eval()
    network = sl.from_torch(model, torch.zeros(2, *shape))
    x = torch.randn(3, *shape)
    with torch.no_grad():
        expected = model(x).numpy()
        assert np.allclose(network(x.numpy()), expected, atol=1e-5)
        assert np.allclose(sl.to_torch(network)(x), expected, atol=1e-5)
    sl.write_onnx(network, tmp_path / "net.onnx")
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
    assert np.allclose(run(tmp_path / "net.onnx", x.numpy()), expected, atol=1e-4)
    again = sl.read_onnx(tmp_path / "net.onnx")
    assert np.allclose(again(x.numpy()), expected, atol=1e-4)


def test_several_inputs_and_outputs_by_name():
    model = Module(
        lambda m, x, i: {"sum": m.a(x) + m.e(i), "top": (m.a(x).argmax(-1), x[:, 0])},
        a=nn.Linear(3, 4), e=nn.Embedding(7, 4),
    )  # fmt: skip
    x, i = torch.randn(5, 3), torch.randint(7, (5,))
    network = sl.from_torch(model, (x, i))
    found = sl.to_torch(network)(x, i.float())
    with torch.no_grad():
        wanted = model(x, i)
        for a, b in zip(found, (wanted["sum"], *wanted["top"]), strict=True):
            assert torch.allclose(a, b.float())
    drawn = network.inputs[1].drawn(np.random.default_rng(0), 100)
    assert network.inputs[1].values == 7 and set(drawn.ravel()) == set(range(7))


class Block(nn.Module):
    """A block of a vision transformer or, gated, of a language model: norms, attention, hidden units."""

    def __init__(self, width, hidden, heads, phi, gated):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gate = nn.Linear(width, hidden) if gated else None
        self.heads, self.phi = heads, phi

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = (
            t.view(b, n, self.heads, -1).transpose(1, 2)
            for t in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        x = x + self.out(mixed)
        h = self.norm2(x)
        hidden = self.phi(self.up(h)) if self.gate is None else F.silu(self.gate(h)) * self.up(h)
        return x + self.down(hidden)


SPLITS = torch.tensor([[0.5, 0.5], [2.0, -1.0], [0.0, 1.0], [-1.0, 2.0]], dtype=torch.float64)


def planted(block, seed):
    """The same block with hidden units that occur twice, their outgoing weights split exactly."""
    random = np.random.default_rng(seed)
    hidden = block.up.out_features
    owner = np.repeat(np.arange(hidden), random.integers(1, 3, hidden))
    random.shuffle(owner)
    wide = Block(block.up.in_features, owner.size, block.heads, block.phi, block.gate is not None)
    wide = wide.to(torch.float64)
    state = block.state_dict()
    for name in ("up.weight", "up.bias", "gate.weight", "gate.bias"):
        if name in state:
            state[name] = state[name][owner]
    down = torch.zeros(block.down.out_features, owner.size, dtype=torch.float64)
    for j in range(hidden):
        copies = np.flatnonzero(owner == j)
        for i in range(len(down)):
            shares = [1.0] if copies.size == 1 else SPLITS[random.integers(len(SPLITS))]
            for copy, share in zip(copies, shares, strict=True):
                down[i, copy] = float(share) * state["down.weight"][i, j]
    wide.load_state_dict(state | {"down.weight": down})
    return wide


@settings(max_examples=5)
@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.sampled_from([F.gelu, F.relu, F.hardswish, F.mish, F.silu]),
    st.booleans(),
)
def test_hidden_units_of_transformers_are_found_again(seed, hidden, phi, gated):
    torch.manual_seed(seed)
    block = Block(4, hidden, 2, phi, gated).to(torch.float64)
    wide = planted(block, seed)
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    small = sl.compress(wide, sl.AFDE(eps=0), example=x)
    assert small.exact
    assert small.retained_parameters == sl.from_torch(block, x).parameters
    with torch.no_grad():
        assert torch.allclose(small.model(x), block(x)) and torch.allclose(wide(x), block(x))
