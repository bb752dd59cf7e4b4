"""The table of certificates is made of accepted ones."""

import json

from symlump.bench import proofs
from symlump.cli.main import main


def test_rows(monkeypatch, capsys):
    small = [("phosphorylation", 2), ("chain", 50)]
    monkeypatch.setattr(proofs, "systems", lambda quick: small)
    assert main(["bench", "proofs", "--json"]) == 0
    sites, chain = json.loads(capsys.readouterr().out)
    assert sites["system"] == "2 sites" and sites["variables"] == 18 and sites["terms"] == 102
    assert sites["blocks"] == 12 and chain["blocks"] == chain["records"] + 1 == 50
    for row in (sites, chain):
        assert row["coarsest"] and 5 < row["peak_megabytes"] < 200 and row["megabytes"] > 0
        assert row["seconds_to_check"] > 0 and row["seconds_to_load"] > 0
    assert main(["bench", "proofs"]) == 0
    out = capsys.readouterr().out
    assert "chain of 50" in out and "yes" in out and "/ json" in out


def test_what_is_measured():
    assert ("phosphorylation", 9) in proofs.systems(False) and ("chain", 100_000) in proofs.systems(
        False
    )
    assert set(proofs.systems(True)) - {("phosphorylation", 2), ("phosphorylation", 4)}
    assert max(size for _, size in proofs.systems(True)) <= 1000
