"""``symlump bench architectures``: every step, on a stand-in for timm; its own models take minutes each."""

import gc
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from symlump.bench.published.architectures import ArchitectureRow, table
from symlump.cli.main import main


@pytest.fixture(autouse=True, scope="module")
def _forget():
    """torch.export leaves millions of objects, through which each later collection of garbage would go."""
    yield
    gc.collect()
    gc.freeze()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        nn.init.zeros_(self.bn2.weight)  # as timm has it; it must not hide what was planted

    def forward(self, x):
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 8, 8)
        self.layer1 = nn.Sequential(Block(), Block())
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.layer1(torch.relu(self.conv1(x))).mean((2, 3)))


def test_a_model_goes_through_every_step(monkeypatch, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    timm = SimpleNamespace(create_model=lambda name: Small())
    monkeypatch.setitem(sys.modules, "timm", timm)
    assert main(["bench", "architectures", "resnet18", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "resnet18" and not row["reason"]
    assert row["planted"] == row["restored"] == 2
    assert max(row["exact"], row["difference"]) < 1e-5
    assert row["retained"] <= 0.5 and 0 <= row["error"] < 1 and row["time"] > 0
    assert "2 of 2" in table([ArchitectureRow(**row)])[0]


def test_what_is_missing_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert main(["bench", "architectures"]) == 2
    assert "needs timm" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace())
    assert main(["bench", "architectures", "vgg"]) == 2
    assert "'vgg' is none of them" in capsys.readouterr().err
