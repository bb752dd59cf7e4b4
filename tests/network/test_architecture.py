"""Networks that are no chains in safetensors: their architecture rebuilds them with torch alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.cli.main import main
from symlump.errors import NetworkError
from symlump.network.saved.load import load
from symlump.network.saved.writing import write_network


def run(path: Path, *inputs: torch.Tensor) -> Any:
    """As the documentation says, without symlump."""
    return load(path)(*inputs)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.a(x))
        scores: torch.Tensor = self.head(functional.silu(x + self.norm(self.b(x))).mean((2, 3)))
        return scores


class Attentive(nn.Module):
    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.table, self.n1, self.n2 = nn.Embedding(11, d), nn.LayerNorm(d), nn.RMSNorm(d)
        self.attention = nn.MultiheadAttention(d, 2, batch_first=True)
        self.up, self.down, self.head = nn.Linear(d, 16), nn.Linear(16, d), nn.Linear(d, 3)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        x = self.table(t)
        y = self.n1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.down(functional.gelu(self.up(self.n2(x))))
        scores: torch.Tensor = self.head(x[:, 0])
        return scores


class Patches(nn.Module):
    """A normalisation that no layer takes up, then patches as tokens, clamped, and pictures again."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.cut = nn.BatchNorm2d(3), nn.Conv2d(3, 8, 2, stride=2)
        self.up, self.down, self.last = nn.Linear(8, 12), nn.Linear(12, 8), nn.Conv2d(8, 2, 1)
        self.norm.running_mean = torch.ones(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.cut(functional.relu(self.norm(x)))
        h = x.flatten(2).transpose(1, 2)
        h = h + self.down(self.up(h).clamp(-0.5, 0.75))
        scores: torch.Tensor = self.last(h.transpose(1, 2).reshape(x.shape))
        return scores


class Classed(nn.Module):
    """Patches as tokens, moved there in one step, with one for the class before them."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.token = nn.Conv2d(1, 8, 2, 2), nn.Parameter(torch.ones(1, 1, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.norm, self.head = nn.LocalResponseNorm(3), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.cut(x)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        scores: torch.Tensor = self.head(self.layer(x)[:, 0])
        return scores


CASES: dict[str, tuple[Any, torch.Tensor]] = {
    "residual, grouped": (Residual, torch.ones(2, 3, 6, 6)),
    "attention, norms, embedding": (Attentive, torch.arange(10).reshape(2, 5)),
    "patches, a class": (Classed, torch.ones(2, 1, 4, 4)),
    "patches, a scale": (Patches, torch.ones(2, 3, 6, 6)),
    "transposed, pooling": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Hardswish(), nn.ConvTranspose2d(4, 2, 3, stride=2), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(50, 3), nn.Softmax(-1),
        ),
        torch.ones(2, 1, 7, 7),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_torch_alone_rebuilds_what_was_written(name: str, tmp_path: Path) -> None:
    make, x = CASES[name]
    torch.manual_seed(0)
    model, path = make().eval(), tmp_path / "net.safetensors"
    if x.is_floating_point():
        x = torch.randn(x.shape)
    for network in (
        sl.from_torch(model, x),
        sl.compress(model, sl.AFDE(retain=0.8), example=x).network,
    ):
        write_network(path, network)
        with torch.no_grad():
            assert torch.allclose(run(path, x), sl.to_torch(network)(x), atol=1e-6)


def test_what_has_no_name_is_said_and_where_it_fits(tmp_path: Path) -> None:
    network = sl.from_torch(Residual().eval(), torch.zeros(1, 3, 6, 6))
    with pytest.raises(NetworkError, match=r"net\.pt: .*plain state dict.*\.safetensors"):
        write_network(tmp_path / "net.pt", network)
    odd = sl.from_torch(
        nn.Sequential(nn.Conv1d(1, 4, 3), nn.Hardshrink(), nn.Conv1d(4, 1, 1)).eval(),
        torch.zeros(1, 1, 5),
        leave_untouched=True,
    )
    with pytest.raises(NetworkError, match=r"hardshrink.* has no name.*\.pt2.*\.onnx"):
        write_network(tmp_path / "net.safetensors", odd)
    assert not list(tmp_path.iterdir())


def test_the_command_line_writes_graphs(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    network = sl.from_torch(Residual().eval(), torch.zeros(1, 3, 6, 6))
    sl.write_onnx(network, tmp_path / "net.onnx")
    small = tmp_path / "small.safetensors"
    assert main(["compress", str(tmp_path / "net.onnx"), "--retain", "0.8", "-o", str(small)]) == 0
    assert tuple(run(small, torch.ones(2, 3, 6, 6)).shape) == (2, 4)
    capsys.readouterr()
    assert (
        main(
            [
                "compress",
                str(tmp_path / "net.onnx"),
                "--retain",
                "0.8",
                "-o",
                str(tmp_path / "small.pt"),
            ]
        )
        == 2
    )
    assert ".safetensors" in capsys.readouterr().err
