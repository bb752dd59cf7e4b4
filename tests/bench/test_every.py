"""All experiments by one command: what is done is kept, what fails is tried again, what lacks files is said."""

import json
from pathlib import Path

import pytest

from symlump.bench.every import ENTRIES, Entry, run_every
from symlump.cli.bench.command import EXPERIMENTS
from symlump.cli.bench.every import DESCRIPTION
from symlump.cli.main import main

NOWHERE = {"data": None, "networks": None, "digits": None}
FEW = (
    Entry("hmatrix"),
    Entry("published", ("--networks", "{networks}")),
    Entry("linear", ("--models", "{data}")),
)


def test_entries_are_experiments_with_options_that_parse():
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    places = dict.fromkeys(("data", "networks", "digits", "output"), "x")
    import argparse

    for entry in ENTRIES:
        for quick in (True, False):
            if quick and entry.quick is None:
                continue
            parser = argparse.ArgumentParser()
            known[entry.command or entry.name].options(parser)
            parser.parse_args(entry.arguments(quick, places))


def test_help_names_the_further_tables():
    for entry in ENTRIES:
        if entry.command is not None:
            assert entry.name in DESCRIPTION


def test_every_file_of_rows_of_the_pages_comes_from_an_entry():
    learn = Path(__file__).resolve().parents[2] / "docs" / "learn"
    writing = {entry.name for entry in ENTRIES if "--output" in entry.whole}
    assert {path.stem for path in learn.glob("*.csv")} <= writing


def test_what_is_no_part_of_a_first_impression(tmp_path):
    long = Entry("options", None, command="hmatrix")
    assert run_every(tmp_path, True, NOWHERE, entries=[long]) == []
    (run,) = run_every(tmp_path, True, NOWHERE, only=["options"], entries=[long])
    assert (run.state, run.remark) == ("left out", "no part of --quick")
    short = Entry("kernels", command="hmatrix")
    (run,) = run_every(tmp_path, True, NOWHERE, entries=[short])
    assert run.state == "done" and "points" in (tmp_path / "kernels.txt").read_text()


def test_it_resumes(tmp_path):
    missing = str(tmp_path / "missing")
    runs = run_every(tmp_path, True, {**NOWHERE, "networks": missing}, entries=FEW)
    assert [run.state for run in runs] == ["done", "failed", "left out"]
    assert missing in runs[1].remark and runs[2].remark == "needs --data"
    text = (tmp_path / "hmatrix.txt").read_text()
    assert "points" in text and not (tmp_path / "published.txt").exists()
    again = run_every(tmp_path, True, {**NOWHERE, "networks": missing}, entries=FEW)
    assert again[0] == runs[0]  # to the second: it was not run again
    assert again[1].state == "failed" and again[1].seconds != runs[1].seconds
    (tmp_path / "hmatrix.txt").unlink()
    (new,) = run_every(tmp_path, True, NOWHERE, only=["hmatrix"], entries=FEW)
    assert new.state == "done" and new.seconds != runs[0].seconds
    (tmp_path / "all.json").write_text("[]")
    (new,) = run_every(tmp_path, True, NOWHERE, only=["hmatrix"], entries=FEW)
    assert new.state == "done" and json.loads((tmp_path / "all.json").read_text())["runs"]


def test_on_the_command_line(tmp_path, capsys):
    asked = [
        "bench",
        "all",
        "--quick",
        "--only",
        "hmatrix,published",
        "--output",
        str(tmp_path / "o"),
    ]
    assert main([*asked, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["done", "left out"]
    assert main(["bench", "all", "--only", "hmatriks"]) == 2
    assert "hmatrix" in capsys.readouterr().err


@pytest.mark.parametrize("code", [1])
def test_a_failure_is_the_exit_code(tmp_path, capsys, code):
    asked = ["bench", "all", "--quick", "--only", "published", "--output", str(tmp_path)]
    assert main([*asked, "--networks", str(tmp_path / "missing")]) == code
    assert "failed" in capsys.readouterr().out


def test_the_total_stands_at_the_end(tmp_path, capsys):
    asked = ["bench", "all", "--quick", "--only", "hmatrix,linear", "--output", str(tmp_path)]
    assert main(asked) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["experiment", "state", "seconds"]
    known = json.loads((tmp_path / "all.json").read_text())["runs"].values()
    last = lines[-1].split()
    assert last == [
        "all",
        *(f"{sum(run[k] for run in known):.0f}" for k in ("seconds", "processor")),
    ]
    assert all(0 < run["processor"] < 2 * run["seconds"] for run in known)
