"""Data with class numbers: the accuracy is shown wherever a loss would be."""

import csv
import json
import re

import numpy as np
import pytest

import symlump as sl
from symlump.cli.main import main
from symlump.compression.labels import accuracy
from symlump.display.report import Report
from symlump.errors import MethodError


@pytest.fixture(scope="module")
def classifier():
    """Three classes of points in the plane, by hidden units that occur twice; ten labels are wrong."""
    generator = np.random.default_rng(0)
    hidden = np.repeat(generator.normal(size=(6, 2)), 2, axis=0)
    hidden[::2] += 0.05 * generator.normal(size=(6, 2))
    network = sl.Network.dense([hidden, generator.normal(size=(3, 12))], [np.zeros(12), None])
    x = generator.normal(size=(200, 2))
    labels = network(x).argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % 3
    return network, x, labels


def test_rows_hold_the_share_told_right(classifier):
    network, x, labels = classifier
    table = sl.sweep(network, [0, 0.1, 2], data=(x, labels))
    for row in table.rows:
        by_hand = sum(
            a == b for a, b in zip(row.result.network(x).argmax(axis=1), labels, strict=True)
        )
        assert row.accuracy == by_hand / 200 and row.loss is None
    assert table.rows[0].accuracy == 0.95 > table.rows[-1].accuracy
    assert "accuracy" in str(table) and "95.00 %" in str(table) and "loss" not in str(table)
    rows = list(csv.DictReader(table.to_csv().splitlines()))
    assert [float(row["accuracy"]) for row in rows] == [row.accuracy for row in table.rows]
    labels_in_a_column = sl.sweep(network, [0], data=(x, labels[:, None]))
    assert labels_in_a_column.rows[0].accuracy == 0.95
    assert sl.sweep(network, [0], data=(x, network(x))).rows[0].accuracy is None


def test_the_report_has_accuracy_size_and_bound(classifier):
    network, x, labels = classifier
    report = Report.of(sl.sweep(network, [0, 0.1, 2], box=(-1, 1), data=(x, labels)), "classes")
    step, *_ = json.loads(re.search(r'id="data">(.*?)</script>', report.html, re.S)[1])["steps"]
    assert step["accuracy"] == "95.00 %" and step["size"] and step["bound"]
    assert step["error"] == pytest.approx(0.05) and "misclassified" in report.html


def test_a_picture_shows_what_is_told_wrong(classifier):
    network, x, labels = classifier
    pytest.importorskip("matplotlib")
    figure = sl.sweep(network, [0, 0.1, 2], data=(x, labels)).figure()
    assert "misclassified" in [text.get_text() for text in figure.axes[1].get_legend().get_texts()]


def test_a_certified_bound_is_not_rounded_down(classifier):
    table = sl.sweep(classifier[0], [0.1], box=(-1, 1))
    report = Report.of(table, "bound")
    shown = json.loads(re.search(r'id="data">(.*?)</script>', report.html, re.S)[1])["steps"][0][
        "bound"
    ]
    assert float(shown) >= table.rows[0].bound


def test_command_line(classifier, tmp_path, capsys):
    network, x, labels = classifier
    saved, data = tmp_path / "net.safetensors", tmp_path / "data.csv"
    sl.write_safetensors(network, saved)
    np.savetxt(data, np.column_stack([x, labels]), delimiter=",")
    arguments = [str(saved), "--data", str(data), "--json"]
    assert main(["compress", *arguments, "--eps", "0"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] == {"before": 0.95, "after": 0.95, "samples": 200}
    assert "mean_squared_error" not in report
    assert main(["compress", *arguments[:-1], "--eps", "0"]) == 0
    assert "accuracy on 200 samples: 95.00 % before, 95.00 % after" in capsys.readouterr().out
    assert main(["sweep", *arguments, "--eps", "0,2"]) == 0
    assert [row["loss"] for row in json.loads(capsys.readouterr().out)["rows"]] == [None, None]
    table = tmp_path / "table.csv"
    many = ["sweep", str(tmp_path), *arguments[1:-1], "--eps", "0,2", "--table", str(table)]
    assert main(many) == 0
    assert [row["accuracy"] for row in csv.DictReader(table.read_text().splitlines())][0] == "0.95"
    page = tmp_path / "page.html"
    assert main(["report", *arguments[:-1], "--eps", "0,2", "-o", str(page)]) == 0
    assert "95.00 %" in capsys.readouterr().out and "95.00 %" in page.read_text()
    np.savetxt(data, np.column_stack([x, labels + 1]), delimiter=",")
    assert main(["compress", *arguments, "--eps", "0"]) == 2
    assert "classes of this network, from 0 to 2" in capsys.readouterr().err


def test_what_is_no_class_number_is_refused(classifier):
    network, x, labels = classifier
    for given in (labels + 1, labels - 1, labels + 0.5, np.full(200, np.nan)):
        with pytest.raises(MethodError, match="from 0 to 2; else give 3 numbers a sample"):
            sl.sweep(network, [0], data=(x, given))
    with pytest.raises(MethodError, match="199 inputs and 200 class numbers"):
        accuracy(network, x[1:], labels)
    with pytest.raises(MethodError, match="one class number a sample"):
        accuracy(sl.Network.dense([[[1.0]]]), x[:, :1], labels)
    with pytest.raises(MethodError, match="accuracy"):
        sl.search(network, sl.AFDE(eps=0), max_loss=0.1, data=(x, labels))
