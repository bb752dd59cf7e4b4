"""``symlump bench trained``, on a small network and a few images of noise."""

import json

import numpy as np
import pytest

import symlump as sl
from symlump.bench.kept.rows import rows_of
from symlump.bench.published import trained
from symlump.bench.published.trained import TrainedRow
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


def test_shares_calibration_and_the_file_of_rows(files, tmp_path, capsys):
    out = tmp_path / "out"
    options = [
        "--networks",
        files[0],
        "--digits",
        files[1],
        "--only",
        "digits",
        "--output",
        str(out),
    ]
    options += [
        "--calibration",
        "20",
        "--method",
        "combined, bytes",
        "--method",
        "magnitude, refit",
    ]
    options += ["--shares", "0.5,0.125"]
    assert main(["bench", "trained", *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    rows = rows_of(TrainedRow, (out / "trained.csv").read_text(encoding="utf-8"), "a file")
    assert [row.method for row in rows] == [row["method"] for row in shown]
    of_bytes = [row for row in rows if row.method == "combined, bytes"]
    assert [(row.share, row.data) for row in of_bytes] == [
        (share, data) for share in (0.5, 0.125) for data in (False, True)
    ]
    net = sl.read_onnx(files[0] + "/digits.onnx")
    with np.load(files[1]) as file:
        x = file["images"].reshape(60, -1) / 255
    small = sl.compress(net, sl.Combined(retain=0.125, count="bytes", inputs=x[:20]))
    path = tmp_path / "small.safetensors"
    small.write(path, packed=True)
    (row,) = (row for row in of_bytes if row.data and row.share == 0.125)
    assert row.packed == path.stat().st_size and row.how == small.reduction.note.split(";")[0]
    assert row.retained == pytest.approx(small.retained, rel=1e-5)
    (tmp_path / "page.md").write_text(
        "<!-- table trained.csv trained -->\n<!-- end -->\n<!-- table trained.csv packed -->\n<!-- end -->\n"
    )
    assert main(["bench", "pages", str(tmp_path / "page.md"), "--rows", str(out)]) == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    refitted = sl.compress(net, sl.Magnitude(0.5, refit=True, inputs=x[:20])).network
    with np.load(files[1]) as file:
        right = 100 * (refitted(x[30:]).argmax(axis=1) == file["labels"][30:]).mean()
    line = next(line for line in page.splitlines() if "| magnitude, refit |" in line)
    assert line.split(" | ")[2].strip("* |") == f"{right:.2f}"
    assert f"| 12.5 % | digits | combined, bytes, data | {100 * row.accuracy:.2f} |" in page
    for wrong, said in (("0", "give 1 to 30"), ("31", "give 1 to 30")):
        assert main(["bench", "trained", *options, "--calibration", wrong]) == 2
        assert said in capsys.readouterr().err
