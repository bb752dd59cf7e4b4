"""``symlump bench recurrent``, with hardly any training."""

import json

from symlump.cli.main import main


def test_every_cell_at_every_share(capsys):
    assert main(["bench", "recurrent", "--quick", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["cell"], row["units"]) for row in rows] == [
        (cell, units) for cell in ("RNN", "GRU", "LSTM") for units in (26, 22, 16)
    ]
    assert all(
        0 < row[key] < 10
        for row in rows
        for key in ("before", "refit", "steps", "sums", "magnitude")
    )
