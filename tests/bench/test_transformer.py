"""The transformer that is trained here, at a reduced size."""

import symlump.bench.transformers.counting as counting


def test_rows_of_a_short_training(monkeypatch):
    few = {name: counting.METHODS[name] for name in ("AFDE", "Wanda, data")}
    monkeypatch.setattr(counting, "METHODS", few)
    monkeypatch.setattr(counting, "_SAMPLES", 64)
    monkeypatch.setattr(counting, "_WIDTH", 16)
    rows = list(counting.measure([0], (0.7,), steps=3))
    assert [row.method for row in rows] == ["", "AFDE", "Wanda, data"]
    assert rows[0].error == 0 < rows[1].error < rows[2].error
    assert all(0 < row.retained <= 0.7 for row in rows[1:])
    lines = counting.table(rows)
    assert [line[0] for line in lines] == ["(as trained)", "AFDE", "Wanda, data"]
