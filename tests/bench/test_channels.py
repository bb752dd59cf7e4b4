"""Networks with convolutions: merging keeps what structured pruning loses."""

import json

import pytest

from symlump.bench.compared.runs import errors_of
from symlump.cli.main import main

pytest.importorskip("sklearn")


@pytest.mark.filterwarnings("ignore")
def test_merging_with_images_loses_little(tmp_path, capsys):
    command = ["bench", "channels", "--quick", "--output", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["share"] for row in rows} == {0.5} and {row["dataset"] for row in rows} == {"VGG"}
    found = {row["method"]: row for row in rows}
    for row in rows:
        assert row["retained"] <= row["share"]
        if "images" in row["method"] and "Torch" not in row["method"]:
            assert row["mse"] < row["mse_base"] + 5
    assert found["AFDE"]["mse"] > found["AFDE, images"]["mse"]
    assert errors_of((tmp_path / "channels.csv").read_text())[1] == list(found)
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert main([*command, "--networks", "AlexNet"]) == 2
    assert "choose from VGG" in capsys.readouterr().err
