"""Grouped convolutions: units merge within groups, and the smaller network has as many groups again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.network.rewrite import reducible
from symlump.network.written.grouped import families

METHODS: dict[str, Any] = {
    "afde": sl.AFDE(retain=0.6),
    "afde, sums": sl.AFDE(retain=0.6, refit=False),
    "symmetric": sl.Symmetric(eps=0),
    "dependence": sl.Dependence(retain=0.6),
    "magnitude": sl.Magnitude(retain=0.6),
    "svd": sl.TruncatedSVD(retain=0.6),
}


class Block(nn.Module):
    """A bottleneck with a grouped convolution, as in ResNeXt."""

    def __init__(self, groups: int = 4, inside: int = 24, shuffled: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.narrow, self.norm1 = nn.Conv2d(8, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.wide = nn.Conv2d(inside, inside, 3, padding=1, groups=groups, bias=False)
        self.norm2, self.back = nn.BatchNorm2d(inside), nn.Conv2d(inside, 8, 1)
        self.head, self.shuffled = nn.Linear(8, 3), shuffled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.norm1(self.narrow(x)))
        if self.shuffled:  # as in ShuffleNet
            n, c, h, w = y.shape
            y = y.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = torch.relu(self.norm2(self.wide(y)))
        scores: torch.Tensor = self.head(torch.relu(x + self.back(y)).mean((2, 3)))
        return scores


def block(seed: int = 0, **options: Any) -> Block:
    torch.manual_seed(seed)
    model = Block(**options).eval()
    for norm in (model.norm1, model.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return model


X = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def planted() -> Block:
    """In each of 4 groups units 3, 4, 5 are copies of 0, 1, 2, on both sides of the grouped convolution."""
    model = block()
    with torch.no_grad():
        for name in (
            "narrow.weight",
            "norm1.weight",
            "norm1.bias",
            "wide.weight",
            "norm2.weight",
            "norm2.bias",
        ):
            rows = model.get_parameter(name).view(4, 6, -1)
            rows[:, 3:] = rows[:, :3]
        for norm in (model.norm1, model.norm2):
            for held in (norm.running_mean, norm.running_var):
                held.view(4, 6)[:, 3:] = held.view(4, 6)[:, :3]
    return model


def error(model: nn.Module, small: nn.Module) -> float:
    with torch.no_grad():
        return float((model(X) - small(X)).abs().max())


def test_planted_copies_are_merged_exactly() -> None:
    model = planted()
    result = sl.compress(model, sl.AFDE(eps=0), example=X)
    assert result.exact
    assert error(model, result.model) < 1e-6
    wide: Any = result.model.wide
    assert (wide.groups, tuple(wide.weight.shape)) == (4, (12, 3, 3, 3))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_reduces_them_and_what_is_written_is_what_is_meant(
    name: str, tmp_path: Path
) -> None:
    ort = pytest.importorskip("onnxruntime")
    model = block()
    result = sl.compress(model, METHODS[name], example=X)
    expected = result.network(X.double().numpy())
    with torch.no_grad():
        assert np.allclose(result.model(X).numpy(), expected, atol=1e-5)
    sl.write_onnx(result.network, tmp_path / "net.onnx")
    session = ort.InferenceSession(str(tmp_path / "net.onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    assert np.allclose(found, expected, atol=1e-5)
    again = sl.read_onnx(tmp_path / "net.onnx", shape={session.get_inputs()[0].name: (1, 3, 6, 6)})
    assert np.allclose(again(X.double().numpy()), expected, atol=1e-5)


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_smaller_convolution_has_as_many_groups_of_one_size(shuffled: bool) -> None:
    model = block(shuffled=shuffled)
    network = sl.from_torch(model, X)
    assert reducible(network) == network.parameters and list(families(network)) == ["wide"]
    result = sl.compress(model, sl.AFDE(retain=0.5), example=X)
    wide: Any = result.model.wide
    assert wide.groups == 4 and wide.out_channels < 24 and wide.in_channels < 24
    assert not any("wide.group" in name for name in result.model.state_dict())


@pytest.mark.parametrize("method", [sl.AFDE(retain=0.6), sl.Hierarchical(eps=0.3)])
def test_bounds_speak_of_the_weights_that_the_model_holds(method: Any) -> None:
    model, x = block(inside=8), X[..., :4, :4] / 50  # within the box
    result = sl.compress(model, method, example=x)

    def seen() -> float:
        with torch.no_grad():
            return float((model(x) - result.model(x)).abs().max())

    before = result.bound((-0.1, 0.1), splits=0).computed.max()
    assert seen() <= before
    with torch.no_grad():
        result.model.wide.weight.mul_(3)
    after = result.bound((-0.1, 0.1), splits=0).computed.max()
    assert after > before and before < seen() <= after


def test_groups_along_one_axis_and_with_other_numbers_of_units() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 6, 3, padding=1),
        nn.Tanh(),
        nn.Conv1d(6, 8, 3, groups=2, stride=2),
        nn.Tanh(),
        nn.Conv1d(8, 2, 2),
    )
    x = torch.randn(2, 4, 9)
    result = sl.compress(model, sl.AFDE(retain=0.6), example=x)
    with torch.no_grad():
        assert np.allclose(result.model(x), result.network(x.double().numpy()), atol=1e-5)
    assert [m.groups for m in result.model.modules() if isinstance(m, nn.Conv1d)] == [1, 2, 1]
