"""``symlump bench recurrent``, with hardly any training."""

import json

from symlump.bench.compared.runs import errors_of
from symlump.cli.main import main


def test_every_cell_at_every_share(tmp_path, capsys):
    command = ["bench", "recurrent", "--quick", "--output", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    methods = ["AFDE, refit", "AFDE, steps", "AFDE, sums", "magnitude"]
    assert [(row["dataset"], row["units"], row["method"]) for row in rows] == [
        (cell, units, method)
        for cell in ("RNN", "GRU", "LSTM")
        for units in (26, 22, 16)
        for method in methods
    ]
    assert all(0 < row[key] < 10 for row in rows for key in ("mse", "mse_base"))
    files = sorted((tmp_path / "results").iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 3 and errors_of((tmp_path / "recurrent.csv").read_text())[1] == methods
    assert main([*command, "--cells", "GRU"]) == 0
    assert "| AFDE, steps | " in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in files] == before  # nothing was done again
    assert main([*command, "--cells", "CNN"]) == 2
    assert "choose from RNN, GRU, LSTM" in capsys.readouterr().err
    assert main([*command, "--seeds", "0"]) == 2
    assert "--seeds 0: give 1 or more" in capsys.readouterr().err
