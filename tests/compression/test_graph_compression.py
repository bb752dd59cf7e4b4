"""A small residual network, trained on scikit-learn's digits, compressed as a graph."""

import copy
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_graph import planted_graphs, residual
from torch import nn

import symlump as sl
from symlump.compression.merging.coefficients import CoefficientMerging
from symlump.errors import NetworkError
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.nodes import Combine, Select


class Block(nn.Module):
    def __init__(self, before, inner, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.down = nn.Sequential()
        if stride > 1:
            self.down = nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.down(x))


class Digits(nn.Module):
    """Stem, two residual blocks, mean over the grid, dense head."""

    def __init__(self, stem=6, inner=8, stream=10):
        super().__init__()
        self.stem = nn.Conv2d(1, stem, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(stem)
        self.first = Block(stem, inner, stream, 2)
        self.second = Block(stream, inner, stream, 1)
        self.head = nn.Linear(stream, 10)

    def forward(self, x):
        h = F.relu(self.norm(self.stem(x)))
        return self.head(self.second(self.first(h)).mean((2, 3)))


@pytest.fixture(scope="module")
def digits():
    """Images and labels, for training and for testing."""
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    x = torch.tensor(images / 8 - 1, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(labels)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]


@pytest.fixture(scope="module")
def trained(digits):
    x, y, _, _ = digits
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Digits()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(8):
            for batch in torch.randperm(len(y)).split(64):
                optimizer.zero_grad()
                F.cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def graph(trained):
    return sl.from_torch(trained, torch.zeros(1, 1, 8, 8))


def accuracy(model, digits):
    with torch.no_grad():
        return float((model(digits[2]).argmax(1) == digits[3]).float().mean())


SPLITS = [(0.5, 0.5), (2.0, -1.0), (-1.0, 2.0), (0.0, 1.0)]


def widened(model, seed=0):
    """The same function with every hidden channel twice, in a hidden order.

    A weight that reads a channel is split between its two copies, exactly and each time differently.
    """
    random = np.random.default_rng(seed)

    def owner(units):
        return random.permutation(np.repeat(np.arange(units), 2))

    def widen(state, name, rows, columns):
        weight = state[f"{name}.weight"].numpy()
        wide = np.empty((rows.size, columns.size, *weight.shape[2:]), dtype=weight.dtype)
        for j in np.unique(columns):
            copies = np.flatnonzero(columns == j)
            for i, row in enumerate(rows):
                split = SPLITS[random.integers(4)] if copies.size == 2 else (1.0,)
                for copy_, share in zip(copies, split, strict=True):
                    wide[i, copy_] = share * weight[row, j]
        state[f"{name}.weight"] = torch.from_numpy(wide)
        if f"{name}.bias" in state:
            state[f"{name}.bias"] = state[f"{name}.bias"][rows]

    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stem, stream = owner(6), owner(10)
    inner = {block: owner(8) for block in ("first", "second")}
    widen(state, "stem", stem, np.arange(1))
    norms = {"norm": stem}
    for block, before in (("first", stem), ("second", stream)):
        widen(state, f"{block}.conv1", inner[block], before)
        widen(state, f"{block}.conv2", stream, inner[block])
        norms |= {f"{block}.bn1": inner[block], f"{block}.bn2": stream}
    widen(state, "first.down.0", stream, stem)
    widen(state, "head", np.arange(10), stream)
    for norm, owners in (norms | {"first.down.1": stream}).items():
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = state[f"{norm}.{part}"][owners]
    wide = Digits(12, 16, 20).to(next(model.parameters()).dtype)
    wide.load_state_dict(state)
    return wide.eval()


WIDTHS = {
    "stem": 6, "first.conv1": 8, "first.conv2": 10, "first.down.0": 10, "second.conv1": 8,
    "second.conv2": 10, "head": 10,
}  # fmt: skip


@pytest.mark.parametrize(("dtype", "accurate"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_planted_copies_are_removed_exactly(trained, digits, dtype, accurate):
    small = copy.deepcopy(trained).to(dtype)
    wide = widened(small)
    x = digits[2].to(dtype)
    assert torch.allclose(wide(x), small(x), atol=1e-3)
    result = sl.compress(wide, sl.AFDE(eps=0), example=x[:1])
    assert result.exact and "exact, proof checked" in result.headline()
    certificate = result.lumpings[0].certificate(maximality=False)
    assert certificate.check().accepted
    assert {layer.name: layer.units for layer in result.network.layers} == WIDTHS
    assert not any(isinstance(node, Select) for node in result.network.nodes)
    with torch.no_grad():
        expected, found = wide(x), result.model(x)
    assert torch.allclose(found, expected, atol=accurate * float(expected.abs().max()), rtol=0)
    for name, units in result.named_unit_maps.items():
        assert units.shape == ({"head": 10}.get(name, 2 * WIDTHS[name]),)
        assert set(units.tolist()) == set(range(WIDTHS[name]))


def test_multiples_of_channels_are_removed_exactly(trained, digits, tmp_path):
    """Copies of channels made up to 8 times as large: ReLU commutes with that, equality does not."""
    model = widened(trained)
    factors = torch.from_numpy(np.random.default_rng(1).choice([1.0, 2.0, 8.0], 16)).float()
    with torch.no_grad():
        for part in (model.second.bn1.weight, model.second.bn1.bias):
            part.mul_(factors)
        model.second.conv2.weight.div_(factors.reshape(1, -1, 1, 1))
        expected = model(digits[2])
    alone = sl.compress(model, sl.AFDE(eps=0), example=digits[2][:1])
    result = sl.compress(model, sl.Symmetric(), example=digits[2][:1])
    assert result.exact and all(proof.check().accepted for proof in result.reduction.certificates)
    assert {layer.name: layer.units for layer in result.network.layers} == WIDTHS
    assert 8 < {layer.name: layer.units for layer in alone.network.layers}["second.conv1"] <= 16
    slack = 1e-5 * float(expected.abs().max())
    with torch.no_grad():
        found = result.model(digits[2])
    assert torch.allclose(found, expected, atol=slack, rtol=0)
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    sl.write_onnx(result.network, tmp_path / "digits.onnx")
    session = runtime.InferenceSession(tmp_path / "digits.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": digits[2].numpy()})[0] == pytest.approx(found.numpy(), abs=slack)


def test_a_tolerance_shrinks_it_with_a_report(trained, digits):
    before = accuracy(trained, digits)
    assert before > 0.9
    result = sl.compress(trained, sl.AFDE(retain=0.9), example=digits[0][:1])
    assert result.retained <= 0.9
    count = sum(p.numel() for p in result.model.parameters())
    assert (
        count == result.retained_parameters == sum(row.retained_parameters for row in result.layers)
    )
    text = str(result)
    assert "first.conv1" in text and "δ" in text and "exact" not in text
    assert accuracy(result.model, digits) > before - 0.1
    sizes = [
        sl.compress(result.original, sl.AFDE(eps=eps)).retained_parameters
        for eps in (0.0, 0.05, 0.2, 1.0)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]


@pytest.mark.parametrize(
    ("linkage", "options"),
    [("variance", {"relative_to": "layer"}), ("closure", {"relative": False}), ("diameter", {})],
)
def test_every_unit_of_the_tolerance_reaches_the_size(graph, linkage, options):
    result = sl.compress(graph, sl.AFDE(retain=0.5, linkage=linkage, **options))
    assert result.retained <= 0.5
    again = sl.compress(graph, result.method)
    assert again.retained_parameters == result.retained_parameters


def test_the_tolerance_does_not_depend_on_the_scale_of_the_outputs(graph):
    head = graph.named["head"]
    head = replace(head, weight=head.weight * 1024, bias=head.bias * 1024)
    scaled = replace(graph, nodes=(*graph.nodes[:-1], head))
    one, other = (sl.compress(g, sl.AFDE(eps=0.1)) for g in (graph, scaled))
    for name, units in one.named_unit_maps.items():
        assert np.array_equal(units, other.named_unit_maps[name]), name


@settings(max_examples=20)
@given(
    pair=planted_graphs(),
    eps=st.floats(0.01, 3.0),
    linkage=st.sampled_from(["variance", "closure", "diameter"]),
)
def test_layer_by_layer_is_what_the_equation_says(pair, eps, linkage):
    """A second implementation: the general algorithm on the differential equation."""
    _, graph = pair
    merging = CoefficientMerging.of(graph, Linkage(linkage), relative=False, relative_to="layer")
    labels = merging.labels(eps)
    scale = np.ones(len(merging.ode))
    for node in graph.nodes:  # sums merge exactly or not at all
        if isinstance(node, Combine):
            scale[merging.ode.where(node.name)] = 1e-100
    expected = sl.lump(merging.ode, sl.Forward(eps, linkage, scale=tuple(scale)))
    assert Partition(labels) == expected.partition
    merged = merging.merge(labels)
    found = merged.lumping(merging.ode, sl.Forward(eps, linkage))
    assert found.defect == pytest.approx(expected.defect, rel=1e-9, abs=1e-12)
    assert found.quotient.variables == expected.quotient.variables
    x = np.random.default_rng(0).normal(size=(len(found.quotient), 3))
    assert found.quotient.rhs(x) == pytest.approx(expected.quotient.rhs(x), rel=1e-9, abs=1e-9)
    small = merged.network
    one, other = sl.decode(expected), small
    for a, b in zip(one.layers, other.layers, strict=True):
        assert a.weight == pytest.approx(b.weight, rel=1e-9, abs=1e-12)
        assert a.bias == pytest.approx(b.bias, rel=1e-9, abs=1e-12)


def test_a_tolerance_is_exact_for_its_reference_system():
    graph = residual(1, True)
    result = sl.compress(graph, sl.AFDE(retain=0.5, relative=False))
    (lumping,) = result.lumpings
    assert lumping.defect > 0 and result.defect == lumping.defect
    assert lumping.certificate().check().accepted


def test_round_trip_through_onnx(trained, digits, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    result = sl.compress(trained, sl.AFDE(retain=0.6), example=digits[0][:1])
    path = tmp_path / "digits.onnx"
    sl.write_onnx(result.network, path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": digits[2].numpy()})
    with torch.no_grad():
        expected = result.model(digits[2]).numpy()
    assert found == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))
    again = sl.compress(sl.read_onnx(path), sl.AFDE(eps=0))
    assert again.retained_parameters == result.retained_parameters


def test_state_dicts_and_fine_tuning(trained, digits):
    result = sl.compress(trained, sl.AFDE(eps=0.1), example=digits[0][:1])
    state = {name: tensor.clone() for name, tensor in result.model.state_dict().items()}
    optimizer = torch.optim.Adam(result.model.parameters(), 1e-3)
    x, y = digits[0][:256], digits[1][:256]
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(result.model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    torch.save(state, buffer := io.BytesIO())
    buffer.seek(0)
    result.model.load_state_dict(torch.load(buffer, weights_only=True))
    assert result.model(x).shape == (256, 10)


def test_methods_for_chains_say_so(graph):
    with pytest.raises(
        NetworkError,
        match=r"'exact'\) works on chains .* behind 'stem' .* up to rounding: Dependence\(eps=0\)",
    ):
        sl.compress(graph, sl.Dependence(inputs="exact"))
    with pytest.raises(NetworkError, match="on='state'. works on chains"):
        sl.compress(graph, sl.AFDE(eps=0.1, on="state"))
    with pytest.raises(NetworkError, match=r"takes a torch.nn.Module or .*; got a str"):
        sl.compress("net.onnx", sl.AFDE(eps=0.1))
