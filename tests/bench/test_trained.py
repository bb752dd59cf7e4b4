"""``symlump bench trained``, on a small network and a few images of noise."""

import json

import numpy as np
import pytest

import symlump as sl
from symlump.bench.published import trained
from symlump.cli.main import main
from symlump.errors import MethodError

pytest.importorskip("onnx")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "networks"
    folder.mkdir()
    for name, inputs in (("digits", 784), ("other", 5)):
        widths = [inputs, 12, 8, 10]
        weights = [
            rng.normal(size=(m, n)) / np.sqrt(n) for n, m in zip(widths, widths[1:], strict=False)
        ]
        net = sl.Network.dense(weights, [rng.normal(size=n) for n in widths[1:]], "relu")
        sl.write_onnx(net, folder / f"{name}.onnx")
    images = rng.integers(0, 256, size=(60, 28, 28)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=rng.integers(0, 10, 60))
    return str(folder), str(tmp_path / "images.npz")


def test_a_run_goes_on_where_it_was(files, tmp_path, monkeypatch):
    cache = tmp_path / "results"
    calls = []
    real = trained.compress
    monkeypatch.setattr(trained, "compress", lambda *a: calls.append(a) or real(*a))
    trained.measure(*files, ["digits"], ["AFDE"], cache)
    assert len(calls) == 4  # two shares, with data and without
    rows = trained.measure(*files, None, ["AFDE", "Wanda"], cache)
    assert len(calls) == 4 + 2 + 2
    assert rows == trained.measure(*files, None, ["AFDE", "Wanda"])
    of_digits = [row for row in rows if row.network == "digits"]
    assert len(of_digits) == 1 + 4 + 2 and all(row.error is None for row in of_digits)
    others = [row for row in rows if row.network == "other"]
    assert [row.data for row in others] == [False] * 3 and others[0].error == 0
    assert 0 < others[1].error < others[2].error


def test_rows_are_what_compress_gives(files):
    rows = trained.measure(*files, ["digits"], ["AFDE"])
    net = sl.read_onnx(files[0] + "/digits.onnx")
    with np.load(files[1]) as file:
        x, y = file["images"].reshape(60, -1) / 255, file["labels"]
    small = sl.compress(net, sl.AFDE(retain=0.5, inputs=x[:30])).network
    (row,) = (row for row in rows if row.data and row.share == 0.5)
    assert row.accuracy == (small(x[30:]).argmax(axis=1) == y[30:]).mean()


def test_what_is_not_there_is_named(files, capsys):
    with pytest.raises(MethodError, match="no network 'digit'; choose from digits, other"):
        trained.measure(*files, ["digit"])
    options = ["--networks", files[0], "--digits", files[1], "--only", "other", "--json"]
    assert main(["bench", "trained", *options, "--method", "afde"]) == 2
    assert "no method 'afde'; choose from AFDE" in capsys.readouterr().err
    assert main(["bench", "trained", *options, "--method", "magnitude"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["share"] for row in (rows)] == [
        1.0,
        0.5,
        0.3,
    ]
