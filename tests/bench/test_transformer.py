"""The transformer that is trained here, at a reduced size."""

import symlump.bench.transformers.counting as counting
from symlump.bench.compared.tables import KINDS


def test_rows_of_a_short_training(monkeypatch, tmp_path):
    monkeypatch.setattr(counting, "_SAMPLES", 64)
    monkeypatch.setattr(counting, "_WIDTH", 16)
    methods = ("AFDE", "Wanda, data")
    rows = counting.measure(tmp_path, 2, (0.7,), steps=3, methods=methods)
    assert [(row["seed"], row["method"]) for row in rows] == [
        (seed, method) for seed in (0, 1) for method in methods
    ]
    for row in rows:
        assert 0 < row["retained"] <= 0.7 and 0 <= row["mse"] <= 100
    assert rows[0]["output"] < rows[1]["output"]
    assert rows[0]["mse_base"] == rows[1]["mse_base"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == 2 + 4
    assert counting.measure(tmp_path, 2, (0.7,), steps=3, methods=methods) == rows
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert "| (uncompressed) | " in KINDS["right"].make(rows, methods, {})


def test_the_network_is_that_which_was_trained(monkeypatch):
    """Weights survive being kept as plain data, to the last digit."""
    monkeypatch.setattr(counting, "_WIDTH", 16)
    model = counting.train(0, 2)
    x, y = counting.sequences(32, 5)
    kept = counting._trained({"seed": 0, "steps": 2})
    monkeypatch.setattr(counting, "_SAMPLES", 32)
    monkeypatch.setattr(counting, "sequences", lambda count, seed: (x, y))
    row = counting._row({"seed": 0, "steps": 2, "share": 0.9, "method": "magnitude"}, kept)
    assert row["mse_base"] == counting._wrong(model(x), y)
