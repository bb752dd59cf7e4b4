"""The table of quotients against polynomials: planted lumpings, found, accepted, and of as many terms."""

import json

from symlump.bench import rational
from symlump.cli.main import main


def test_rows(monkeypatch, capsys):
    monkeypatch.setattr(rational, "sizes", lambda quick: [(d, 60) for d in rational._DIRECTIONS])
    assert main(["bench", "rational", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["direction"] for row in rows] == [*rational._DIRECTIONS]
    for row in rows:
        assert abs(row["terms"] - row["polynomial_terms"]) < 0.03 * row["terms"]
        assert (
            row["seconds"].keys() == row["polynomial_seconds"].keys() == {*rational.TASKS, "load"}
        )
        within = [row["seconds"][t] <= 3 * row["polynomial_seconds"][t] for t in rational.TASKS[2:]]
        assert row["reached"] == all(within)
    assert main(["bench", "rational"]) == 0
    out = capsys.readouterr().out
    assert "polynomial" in out and " ×)" in out and "/ json" in out


def test_what_is_measured():
    assert rational.sizes(False)[-1] == ("backward, synchronous", 15_000)
    assert max(count for _, count in rational.sizes(True)) <= 300
