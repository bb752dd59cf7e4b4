"""Torch modules of all kinds, read by tracing."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symlump as sl
from symlump.errors import NetworkError


class Module(nn.Module):
    """A module from its parts and a function, for short tests."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, *x):
        return self.function(self, *x)


def trained_looks(model):
    """Statistics and weights away from their special initial values."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            with torch.no_grad():
                module.weight.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(module.num_features, generator=generator))
    return model.eval()


def assert_reads(model, *shapes, kind=sl.Network, double=True):
    """Reading and writing gives the same function, on another number of samples than the example's."""
    torch.manual_seed(0)
    model = trained_looks(model.double() if double else model)
    dtype = torch.float64 if double else torch.float32
    example = tuple(torch.randn(2, *shape, dtype=dtype) for shape in shapes)
    read = sl.from_torch(model, example)
    assert isinstance(read, kind), read
    x = tuple(torch.randn(3, *shape, dtype=dtype) for shape in shapes)
    written = sl.to_torch(read).eval()
    with torch.no_grad():
        expected, found = model(*x), written(*x)
    for a, b in zip(
        *((y,) if isinstance(y, torch.Tensor) else y for y in (found, expected)), strict=True
    ):
        assert a.dtype == dtype and a.shape == b.shape
        assert torch.allclose(a, b, atol=1e-10 if double else 1e-4)
    return read


class Block(nn.Module):
    def __init__(self, before, after, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.act = nn.ReLU(inplace=True)
        self.down = nn.Identity()
        if stride > 1 or before != after:
            self.down = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        out = self.act(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.down(x)
        return F.relu(out)


def residual_network(blocks=2):
    body = [Block(1, 4), Block(4, 6, 2), *(Block(6, 6) for _ in range(blocks - 2))]
    return nn.Sequential(
        *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 3)
    )


def test_residual_network_keeps_its_names():
    model = residual_network(3)
    graph = assert_reads(model, (1, 8, 8))
    names = {layer.name for layer in graph.layers}
    assert {"0.conv1", "1.down.0", "2.conv2", "6"} == names & {
        "0.conv1",
        "1.down.0",
        "2.conv2",
        "6",
    }
    assert all("bn" not in name for name in names)  # folded
    written = sl.to_torch(graph)
    assert "1.down.0.weight" in written.state_dict() and "0.conv1.bias" in written.state_dict()
    written.load_state_dict(copy.deepcopy(written.state_dict()))


CONV = nn.Conv2d(2, 3, 3)
MODULES = {
    "functional": (
        Module(lambda m, x: F.relu(m.a(x)) @ m.w + 1, a=nn.Linear(4, 3), w=torch.ones(3, 2)),
        [(4,)],
        sl.Network,
    ),
    "standardised inputs": (
        Module(
            lambda m, x: m.b(torch.tanh(m.a((x - m.mean) / m.std))),
            a=nn.Linear(3, 4),
            b=nn.Linear(4, 2),
            mean=torch.tensor([1.0, 2.0, 3.0]),
            std=torch.tensor([1.0, 0.5, 2.0]),
        ),
        [(3,)],
        sl.Network,
    ),
    "batch norm after the activation": (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        [(3,)],
        sl.Network,
    ),
    "weight norm": (
        nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.SiLU(), nn.Linear(4, 2)
        ),
        [(3,)],
        sl.Network,
    ),
    "one output without its axis": (
        Module(
            lambda m, x: (m.b(F.gelu(m.a(x))) + x[:, :1]).squeeze(-1),
            a=nn.Linear(3, 4),
            b=nn.Linear(4, 1),
        ),
        [(3,)],
        sl.Network,
    ),
    "gate": (
        Module(
            lambda m, x: m.a(x) * torch.sigmoid(m.b(m.a(x).mean((2, 3)))).view(x.size(0), -1, 1, 1),
            a=nn.Conv2d(2, 3, 3, padding="same"),
            b=nn.Linear(3, 3),
        ),
        [(2, 5, 5)],
        sl.Network,
    ),
    "squeeze and excitation": (
        Module(
            lambda m, x: (
                x
                * m.b(F.relu(m.a(F.adaptive_avg_pool2d(x, 1).flatten(1))))[..., None, None]
                .sigmoid()
                .expand_as(x)
            ),
            a=nn.Linear(4, 2),
            b=nn.Linear(2, 4),
        ),
        [(4, 5, 5)],
        sl.Network,
    ),
    "dense blocks": (
        Module(
            lambda m, x: m.b(F.relu(m.n(torch.cat([x, m.a(x)], 1)))),
            a=nn.Conv2d(2, 3, 3, padding=1),
            n=nn.BatchNorm2d(5),
            b=nn.Conv2d(5, 2, 3, 2, 1),
        ),
        [(2, 6, 6)],
        sl.Network,
    ),
    "depthwise": (
        nn.Sequential(
            nn.Conv2d(2, 4, 1),
            nn.ReLU6(),
            nn.Conv2d(4, 8, 3, groups=4, dilation=2, padding=2),
            nn.BatchNorm2d(8),
            nn.Hardtanh(-2.0, 3.0),
            nn.Conv2d(8, 1, 1),
        ),
        [(2, 6, 6)],
        sl.Network,
    ),
    "pools": (
        Module(
            lambda m, x: (
                torch.cat(
                    [
                        F.max_pool2d(x, 3, 2, 1, ceil_mode=True).flatten(1),
                        F.avg_pool2d(x, (2, 3), count_include_pad=False, padding=1).flatten(1),
                        F.adaptive_max_pool2d(x, 2).flatten(1),
                        F.adaptive_avg_pool2d(x, (3, 2)).flatten(1),
                        x.mean((-1, -2), keepdim=True).reshape(x.shape[0], -1),
                    ],
                    1,
                )
                @ m.w
            ),
            w=torch.randn(2 * (16 + 8 + 4 + 6 + 1), 3),
        ),
        [(2, 6, 6)],
        sl.Network,
    ),
    "one dimension": (
        nn.Sequential(
            nn.Conv1d(2, 4, 3, 2, 1), nn.ELU(0.7), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(12, 2)
        ),
        [(2, 12)],
        sl.Network,
    ),
    "three dimensions": (
        nn.Sequential(nn.Conv3d(1, 2, 2), nn.AvgPool3d(2), nn.Flatten(), nn.Linear(2, 2)),
        [(1, 3, 3, 3)],
        sl.Network,
    ),
    "all activations": (
        Module(
            lambda m, x: sum(
                f(m.a(x))
                for f in (
                    torch.sin,
                    torch.cos,
                    torch.abs,
                    torch.exp,
                    F.softplus,
                    F.silu,
                    F.leaky_relu,
                    F.elu,
                    F.relu6,
                    F.hardtanh,
                    torch.square,
                    lambda z: z**3,
                    lambda z: -z / 2,
                    lambda z: z * torch.sigmoid(z),
                    lambda z: torch.clamp(z, min=0),
                    lambda z: 1 - z,
                )  # fmt: skip
            ),
            a=nn.Linear(3, 4),
        ),
        [(3,)],
        sl.Network,
    ),
    "parts": (
        Module(
            lambda m, x: torch.cat(
                [m.a(x).chunk(2, 1)[1], m.a(x).split([1, 3], 1)[0], x[:, 1:3]], 1
            ),
            a=nn.Linear(3, 4),
        ),
        [(3,)],
        sl.Network,
    ),
    "several inputs and outputs": (
        Module(
            lambda m, x, y: (m.a(x) + m.b(y), F.log_softmax(m.b(y), dim=1)),
            a=nn.Linear(3, 4),
            b=nn.Linear(2, 4),
        ),
        [(3,), (2,)],
        sl.Network,
    ),
    "a convolution alone": (CONV, [(2, 5, 5)], sl.Network),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    model, shapes, kind = MODULES[name]
    assert_reads(model, *shapes, kind=kind)


def test_float32_and_the_mode_are_kept():
    model = residual_network()
    assert_reads(model, (1, 8, 8), double=False)
    model.train()
    result = sl.compress(model, sl.AFDE(eps=0.05), example=torch.zeros(1, 1, 8, 8))
    assert model.training and model[0].bn1.training
    assert (
        result.model.training
        and result.model.get_submodule("0.conv1").weight.dtype == torch.float32
    )
    result.model(torch.randn(2, 1, 8, 8)).sum().backward()
    assert result.model.get_submodule("0.conv1").weight.grad is not None


def test_the_example_is_guessed_for_dense_modules():
    model = Module(lambda m, x: m.b(F.relu(m.a(x))) + x, a=nn.Linear(3, 4), b=nn.Linear(4, 3))
    assert sl.from_torch(model).inputs[0].size == (3,)
    with pytest.raises(NetworkError, match=r"give an input, as in compress\(.*example="):
        sl.from_torch(residual_network())
    backwards = Module(lambda m, x: m.b(m.a(x)) + 1, b=nn.Linear(4, 3), a=nn.Linear(3, 4))
    with pytest.raises(NetworkError, match="Give an input: example="):
        sl.from_torch(backwards)


def test_flattening_first_and_a_plain_number_last_come_back():
    images = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
    wrapped = Module(lambda m, x: m.inner(x).squeeze(1), inner=images)
    x = torch.randn(5, 1, 4, 4)
    for model, example in ((images, None), (wrapped, x)):
        result = sl.compress(model, sl.AFDE(eps=0), example=example)
        assert isinstance(result.network, sl.Network)
        assert torch.allclose(result.model(x), model(x), atol=1e-6)
        pruned = sl.compress(model, sl.Magnitude(0.8), example=example)
        assert pruned.model(x).shape == model(x).shape


class Lengths(nn.Module):
    """An operation that is not known, with a number for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.0, channels).reshape(-1, 1, 1))

    def forward(self, x):
        return torch.hypot(x, self.weight)


class Transformed(nn.Module):
    """A normalisation that symlump does not know, between layers that it does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = Lengths(6)
        self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        h = F.relu(self.norm(self.conv(x)))
        h = h.reshape(x.size(0), 2, 3, -1).transpose(1, 2).reshape(x.size(0), 6, -1)
        return self.head(h.mean(2))


def test_unknown_operations_are_named_with_their_place():
    with pytest.raises(
        NetworkError, match=r"norm.hypot: .* hypot in a Lengths at test_export.py:\d+ is not"
    ) as e:
        sl.from_torch(Transformed(), torch.zeros(2, 1, 4, 4))
    assert "leave_untouched=True" in str(e.value)
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Hardshrink()), nn.Linear(2, 2))
    with pytest.raises(NetworkError, match=r"1\.0: the operation hardshrink in a Hardshrink"):
        sl.compress(model, sl.AFDE(eps=0))
    softened = nn.Sequential(nn.Linear(2, 2), nn.Softplus(2.0, 1.0))
    with pytest.raises(NetworkError, match="Softplus.* is not known, or not with these options"):
        sl.from_torch(softened)


def test_wrong_options_of_known_operations_are_offered_to_be_left_untouched():
    model = nn.Sequential(nn.Linear(3, 4), nn.Softplus(2.0, 1.0), nn.Linear(4, 2)).double()
    with pytest.raises(NetworkError, match=r"1: Softplus\(beta=2.*leave_untouched=True"):
        sl.from_torch(model)
    x = torch.randn(5, 3, dtype=torch.float64)
    read = sl.from_torch(model, leave_untouched=True)
    assert len(read.untouched) == 1 and np.allclose(read(x.numpy()), model(x).detach())


def test_what_loses_the_samples_cannot_be_left_untouched():
    model = Module(
        lambda m, x: m.a(torch.flip(x.transpose(0, 1), (0,)).transpose(0, 1)), a=nn.Linear(3, 3)
    )
    with pytest.raises(
        NetworkError, match=r"operation flip in .*not one part for each sample, along axis 0"
    ):
        sl.from_torch(model, torch.ones(2, 3), leave_untouched=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).to(dtype)
    assert str(dtype) == f"torch.{sl.from_torch(model).dtype}"
    grid = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)).to(dtype)
    small = sl.compress(grid, sl.AFDE(eps=0), example=torch.zeros(1, 1, 4, 4, dtype=dtype)).model
    x = torch.rand(5, 1, 4, 4, dtype=dtype)
    assert small(x).dtype == dtype and torch.allclose(small(x), grid(x), atol=0.05)


@pytest.mark.filterwarnings("ignore:Complex modules")
def test_other_number_types_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).to(torch.complex64)
    with pytest.raises(NetworkError, match=r"of torch\.complex64; convert the model"):
        sl.from_torch(model)


def test_a_learned_slope_that_all_units_share():
    model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2)).double()
    assert sl.from_torch(model).chain.layers[0].activation.name == "leaky_relu:0.25"
    model[1] = nn.PReLU(4).double()
    assert sl.from_torch(model).chain.layers[0].activation.name == "leaky_relu:0.25"
    with torch.no_grad():
        model[1].weight[2] = 0.5
    x = torch.randn(20, 3, dtype=torch.float64)
    read = sl.from_torch(model)  # of each its own: in two parts, above 0 and below
    assert read.chain is None and np.allclose(read(x.numpy()), model(x).detach())


def test_unknown_operations_can_be_left_untouched():
    torch.manual_seed(0)
    model = Transformed().double().eval()
    with torch.no_grad():  # a copy behind, and one before, what is left untouched
        model.conv.weight[1], model.conv.bias[1] = model.conv.weight[0], model.conv.bias[0]
        first = model.head[0]
        first.weight[1], first.bias[1] = first.weight[0], first.bias[0]
    example = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    result = sl.compress(model, sl.AFDE(eps=0), example=example, leave_untouched=True)
    assert result.exact
    sizes = {layer.name: layer.units for layer in result.network.layers}
    assert sizes == {"conv": 6, "head.0": 7, "head.2": 2}
    assert result.retained_parameters == result.parameters - (6 + 1) - 2
    assert "norm.weight" in result.model.state_dict()
    x = torch.randn(7, 1, 4, 4, dtype=torch.float64)
    assert torch.allclose(result.model(x), model(x), atol=1e-12)
    assert "left untouched" in repr(result.network)


def loops(m, x):
    return m.a(x) if x.sum() > 0 else -m.a(x)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (loops, "cannot be traced by torch.export on an example of shape"),
        (lambda m, x: {"y": m.a(x), "n": 3}, "gives a dict|must be tensors"),
        (lambda m, x: m.a(x) + torch.rand_like(x), "draws random numbers"),
        (lambda m, x: m.a.weight, "outputs of a Module must be tensors that depend on its input"),
        (lambda m, x: m.a(x).half(), "the operation to"),
        (lambda m, x: m.a(x) + torch.arange(6.0).reshape(2, 3), "constant of shape"),
    ],
)
def test_what_cannot_be_read_says_why(function, says):
    with pytest.raises(NetworkError, match=says):
        sl.from_torch(Module(function, a=nn.Linear(3, 3)), torch.ones(2, 3))


def test_bad_examples():
    model = Module(lambda m, x: m.a(x) + x, a=nn.Linear(3, 3))
    for example in (torch.zeros(3), torch.zeros(0, 3), (1.0,), 3):
        with pytest.raises(NetworkError, match=r"example is a tensor of shape \(samples, …\)"):
            sl.from_torch(model, example)
    with pytest.raises(NetworkError, match="of torch.bool; .* as with .float"):
        sl.from_torch(model, torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(NetworkError, match="cannot be (run|traced)"):
        sl.from_torch(model, torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(NetworkError, match="cannot be traced .*example of shape .2, 5."):
        sl.from_torch(model, torch.zeros(2, 5))


def test_a_module_that_does_something_else_than_it_says():
    model = Module(lambda m, x: torch.tanh(m.a(x)) + x, a=nn.Linear(3, 3)).eval()
    calls = []

    def hook(module, inputs, output):
        calls.append(1)
        return output * len(calls)

    model.a.register_forward_hook(hook)
    with pytest.raises(NetworkError, match="does not give the module's values on the example"):
        sl.from_torch(model, torch.ones(2, 3))


def test_broken_weights_are_named():
    model = residual_network()
    with torch.no_grad():
        model[0].conv2.weight[1, 2, 0, 0] = float("inf")
    with pytest.raises(NetworkError, match=r"0\.conv2: weight\[1, 2, 0, 0\] is inf"):
        sl.from_torch(model, torch.zeros(1, 1, 8, 8))


def test_weights_are_read_in_float64():
    read = sl.from_torch(CONV, torch.zeros(1, 2, 5, 5, dtype=next(CONV.parameters()).dtype))
    assert read.layers[0].weight.dtype == np.float64
