"""``symlump bench forward``, on small networks."""

import json

from symlump.cli.main import main


def test_compressed_networks_have_the_shape_of_fresh_ones(capsys):
    assert main(["bench", "forward", "--quick", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["network"].split(",")[0] for row in rows] == [
        "dense",
        "tokens",
        "rotary attention",
        "residual",
        "residual",
    ]
    assert all(0 < row["kept"] <= 0.5 and row["ratio"] > 0 for row in rows)
