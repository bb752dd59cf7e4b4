"""Networks with convolutions: merging keeps what structured pruning loses."""

import json

import pytest

from symlump.cli.main import main

pytest.importorskip("sklearn")


@pytest.mark.filterwarnings("ignore")
def test_merging_with_images_loses_little(capsys):
    assert main(["bench", "channels", "--quick", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["retain"] for row in rows} == {0.5, 0.3}
    for row in rows:
        assert row["retained"] <= row["retain"]
        if (row["method"], row["data"]) == ("AFDE", "images"):
            assert row["accuracy"] > row["original"] - 0.05
