"""Sweeps and searches over recurrent networks: layers, directions, ReLU; on the command line too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_planted import Tagger
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FailureError, MethodError


def model(kind: Any, layers: int = 2, both: bool = False, **options: Any) -> Tagger:
    torch.manual_seed(0)
    rnn = kind(1, 3, num_layers=layers, bidirectional=both, batch_first=True, **options)
    return Tagger(rnn, nn.Linear(3 + 3 * both, 2)).eval()


@pytest.mark.parametrize(
    ("kind", "options"),
    [(nn.RNN, {"nonlinearity": "relu", "layers": 1}), (nn.RNN, {"both": True})],
)
def test_sweeps(kind: Any, options: Any) -> None:
    whole = model(kind, **options)
    x = torch.randn(40, 5, 1)
    with torch.no_grad():
        y = whole(x).numpy()
    method = sl.AFDE(eps=0, inputs=x)
    table = sl.sweep(whole, [0, 1.0, 3.0], method, box=(-1, 1), horizon=3, data=(x, y))
    first, *_, last = table.rows
    assert first.bound == first.observed == first.loss == 0 and first.result.exact
    for row in table.rows:
        assert row.bound is None or row.observed <= row.bound
        assert row.parameters == sum(p.numel() for p in row.result.model.parameters())
    assert last.parameters < first.parameters and last.loss > 0
    assert "certified bound" in str(table) and "parameters" in str(table)
    half: Any = sl.search(whole, method, retain=0.5)
    assert half.retained <= 0.5
    close: Any = sl.search(whole, method, max_loss=last.loss / 2, data=(x, y))
    assert close.mean_squared_error(x, y) <= last.loss / 2


def test_the_largest_tolerance_within_a_bound() -> None:
    torch.manual_seed(1)
    whole = Tagger(nn.RNN(1, 4, batch_first=True), nn.Linear(4, 1)).eval()
    method = sl.AFDE(eps=0, refit=False)
    most = sl.compress(whole, sl.AFDE(retain=0.7, refit=False)).bound(2, (-1, 1)).value  # type: ignore[attr-defined]
    sure: Any = sl.search(whole, method, max_bound=1.001 * most, box=(-1, 1), horizon=2)
    assert 0 < sure.bound(2, (-1, 1)).value <= 1.001 * most and sure.retained < 1


def test_nothing_merged_is_the_model_itself() -> None:
    whole = model(nn.GRU)
    small: Any = sl.compress(whole, sl.AFDE(eps=1e-6))
    assert small.retained == 1.0 and small.defect == 0 and small.bound(2, (-1, 1)).value == 0
    for p, q in zip(whole.parameters(), small.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_what_sweeps_and_searches_need() -> None:
    whole = model(nn.GRU)
    with pytest.raises(MethodError, match="needs both a box of inputs and a horizon"):
        sl.sweep(whole, [0], box=(-1, 1))
    with pytest.raises(MethodError, match="a bound on a box over a horizon, a number of steps"):
        sl.search(whole, sl.AFDE(eps=0), max_bound=1.0, box=(-1, 1))
    with pytest.raises(MethodError, match="targets have shape"):
        sl.sweep(whole, [0], data=(torch.zeros(2, 3, 1), np.zeros(3)))
    with pytest.raises(MethodError, match="recurrent cells take AFDE"):
        sl.sweep(whole, [0], sl.Magnitude(retain=0.5))
    with pytest.raises(FailureError, match="not even"):
        x = torch.randn(4, 3, 1)
        sl.search(whole, sl.AFDE(eps=0), max_loss=0.0, data=(x, torch.ones(4, 2)))


def test_on_the_command_line(tmp_path: Any, capsys: Any) -> None:
    path, data = str(tmp_path / "net.pt"), tmp_path / "x.csv"
    data.write_text("1,2\n")
    torch.save(model(nn.GRU, 1).state_dict(), path)
    line = ["sweep", path, "--eps", "0,1", "--box", "-1", "1", "--horizon", "2", "--json"]
    assert main(line) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["eps"] for row in rows] == [0, 1] and rows[0]["bound"] == 0
    for more, said in (
        (["--box", "-1", "1"], "give both --box LOW HIGH, of the inputs, and --horizon"),
        (["--shape", "x=1"], "--shape is for ONNX networks"),
        (["--spread", "0.1"], "--spread belongs to systems"),
        (["--method", "magnitude"], "they take afde"),
        (["--data", str(data)], "--data is for networks without recurrence"),
    ):
        assert main(["sweep", path, *more]) == 2
        assert said in capsys.readouterr().err
