"""All experiments by one command: what is done is kept, what fails is tried again, what lacks files is said."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from symlump.bench.every import ENTRIES, Entry, run_every
from symlump.cli.bench.command import EXPERIMENTS
from symlump.cli.bench.every import DESCRIPTION
from symlump.cli.main import build_parser, main
from symlump.errors import UsageError

LEARN = Path(__file__).resolve().parents[2] / "docs" / "learn"
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


#: What experiments compute in tasks that are kept; the last reads files of networks before.
WITH_TASKS = {"afde", "budgets", "channels", "pinn", "recurrent", "transformer"}


class Reached(Exception):
    """The first task."""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_whole_runs_know_all_that_they_name(entry, tmp_path, monkeypatch):
    """Methods, data sets and sizes are checked before the first task, not after hours."""
    command = entry.command or entry.name
    if command not in {*WITH_TASKS, "trained"}:
        pytest.skip("its options name nothing")
    digits, networks = tmp_path / "digits.npz", tmp_path / "networks"
    labels = np.arange(4000) % 10
    np.savez(digits, images=np.zeros((4000, 28, 28), np.uint8), labels=labels)
    networks.mkdir()
    for name in ("abalone.csv", "casp.csv", "hepc_hourly.csv.gz", "metro.csv.gz"):
        (tmp_path / name).write_bytes(b"")  # of which only the digest is asked
    for name in ("mnist-net_256x2", "mnist5x20_leaky_relu"):
        (networks / f"{name}.onnx").write_bytes(b"")
    places = {"data": str(tmp_path), "networks": str(networks), "digits": str(digits)}
    arguments = entry.arguments(False, places | {"output": str(tmp_path / "out")})
    options = build_parser().parse_args(["bench", command, *arguments])

    def reach(jobs, *_, **__):
        assert jobs
        raise Reached

    for module in ("afde", "convolutions.channels", "equal.measure", "physics_informed.experiment",
                   "recurrent.cells", "transformers.counting"):  # fmt: skip
        monkeypatch.setattr(f"symlump.bench.{module}.run_jobs", reach)
    if command == "trained":  # empty files are no networks, and are reported as such
        rows = options.run(options).data()
        assert rows and {row["method"] for row in rows} == {"(not read)"}, rows
    else:
        with pytest.raises(Reached):
            options.run(options)


def test_the_commands_of_the_pages_are_those_of_the_entries():
    """Every file of rows beside the pages is made by a command that a page shows, with the same options."""

    def asked(arguments):
        parsed = vars(build_parser().parse_args(arguments))
        kept = {k: v for k, v in parsed.items() if k not in ("run", *NOWHERE, "output", "rows")}
        if kept.get("methods"):
            names = {name.strip() for name in kept["methods"].split(";")}
            kept["methods"] = {name for name in names if "Torch-Pruning" not in name}
        return kept

    shown = []
    for page in sorted(LEARN.glob("*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", "")
        lines = re.findall(r"^(symlump bench .*)$|`(symlump bench [^`]*)`", text, re.MULTILINE)
        for line in map("".join, lines):
            try:
                shown.append(asked(shlex.split(line, comments=True)[1:]))
            except UsageError:
                continue  # an option alone, quoted in a sentence
    places = dict.fromkeys((*NOWHERE, "output"), "x")
    for entry in ENTRIES:
        if (LEARN / f"{entry.name}.csv").is_file():
            command = ["bench", entry.command or entry.name, *entry.arguments(False, places)]
            assert asked(command) in shown, entry.name


def test_help_names_the_further_tables():
    for entry in ENTRIES:
        if entry.command is not None:
            assert entry.name in DESCRIPTION


def test_every_file_of_rows_of_the_pages_comes_from_an_entry():
    writing = {entry.name for entry in ENTRIES if "--output" in entry.whole}
    assert {path.stem for path in LEARN.glob("*.csv")} <= writing


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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_killed_goes_on(tmp_path, how):
    """Killed within its second experiment, it does not run the first again."""
    asked = ["bench", "all", "--quick", "--only", "hmatrix,linear", "--output", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "symlump", *asked], stderr=subprocess.DEVNULL)
    state = tmp_path / "all.json"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait() in (-signal.SIGKILL, 128 + signal.SIGTERM)
    first = json.loads(state.read_text())["runs"]
    assert list(first) == ["hmatrix"] and not (tmp_path / "linear.txt").exists()
    assert main(asked) == 0
    runs = json.loads(state.read_text())["runs"]
    assert runs["hmatrix"] == first["hmatrix"] and runs["linear"]["state"] == "done"


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
