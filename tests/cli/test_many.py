"""``symlump lump`` of many models: one table, errors included, that survives interruptions."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from symlump.cli import lump_command
from symlump.cli.main import main
from symlump.cli.many import _digest
from symlump.jobs import digest


def chain(n):
    """x1 → x2 → … → xn twice over, so that half of the variables are left."""
    rows = ["d(a1) = -a1", "d(b1) = -b1"]
    rows += [f"d({v}{k}) = {v}{k - 1} - {v}{k}" for k in range(2, n + 1) for v in "ab"]
    return "begin model m\nbegin init\n" + "".join(
        f"{v}{k} = 1\n" for k in range(1, n + 1) for v in "ab"
    ) + "end init\nbegin ODE\n" + "\n".join(rows) + "\nend ODE\nend model\n"  # fmt: skip


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for n in range(2, 10):
        (folder / f"m{n}.ode").write_text(chain(n))
    (folder / "m5.ode").write_text("begin model m\nbegin ODE\nd(x) = -x +* y\nend ODE\nend model\n")
    (folder / "m7.ode").write_bytes(b"\xff\xfe\x00")
    (folder / "notes.txt").write_text("no model")
    return folder


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def checked(rows):
    assert [row["file"].rpartition("/")[2] for row in rows] == [f"m{n}.ode" for n in range(2, 10)]
    for n, row in zip(range(2, 10), rows, strict=True):
        if n in (5, 7):
            assert row["error"] and not row["blocks"]
        else:
            assert (row["variables"], row["blocks"]) == (str(2 * n), str(n))
            assert row["exact"] == "True" and not row["error"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_makes_one_table(tmp_path, models, capsys, jobs):
    table = tmp_path / "out.csv"
    given = ["lump", str(models), "--method", "backward", "--table", str(table), "--jobs", jobs]
    assert main(given) == 1  # two rows are errors
    said = capsys.readouterr().out
    assert "8 files, 2 of them with an error" in said and "m5.ode" in said
    checked(read(table))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["models", "out.csv"]
    assert main(["lump", *map(str, sorted(models.glob("m[234].ode"))), *given[2:], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == 3 and report["failed"] == 0 and report["rows"][2]["blocks"] == 4


def test_nothing_else_is_removed(tmp_path, models):
    table, parts = tmp_path / "out.csv", tmp_path / "out.csv.parts"
    parts.mkdir()
    (parts / "notes.json").write_text("{}")
    (parts / ".symlump-0123456789abcdef.tmp").write_text("a write that was killed")
    given = ["lump", str(models / "m2.ode"), "--method", "backward", "--table", str(table)]
    assert main(given) == 0 and [p.name for p in parts.iterdir()] == ["notes.json"]


def test_an_interrupted_table_goes_on(tmp_path, models, monkeypatch):
    """Killed half-way, nothing is lost but the file it was at, and nothing that is there is computed again."""
    table, parts = tmp_path / "out.csv", tmp_path / "out.csv.parts"
    given = ["lump", str(models), "--method", "backward", "--table", str(table)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "symlump", *given], stdout=subprocess.DEVNULL, env=environment
    )
    while not (parts.is_dir() and len(list(parts.iterdir())) >= 2) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = []
    for path in parts.glob("*.json"):
        description = json.loads(path.read_text())["description"]  # whole, whenever it was killed
        done.append(description["file"].rpartition("/")[2])
    assert done or table.exists()  # on a quick machine all may be done by then
    (models / "m9.ode").write_text(chain(9).replace("a9 = 1", "a9 = 1.0"))  # changed meanwhile
    computed = []
    run = lump_command.run

    def counted(options):
        if options.table is None:
            computed.append(options.file.rpartition("/")[2])
        return run(options)

    monkeypatch.setattr(lump_command, "run", counted)
    monkeypatch.setattr("symlump.cli.many.import_module", lambda name: lump_command)
    assert main([*given, "--json"]) == 1
    checked(read(table))
    assert sorted(computed) == [
        f"m{n}.ode" for n in range(2, 10) if n == 9 or f"m{n}.ode" not in done
    ]


WRONG = [
    {"blocks": 5},
    {"blocks": "x"},
    {"quotient_terms": -4},
    {"exact": "true"},
    {"exact": 1},
    {"terms": True},
    {"defect": -0.5},
    {"file": "other"},
    {"error": 3},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_right_is_not_taken_from_disk(tmp_path, models, monkeypatch, wrong):
    table, parts = tmp_path / "out.csv", tmp_path / "out.csv.parts"
    given = ["lump", str(models / "m2.ode"), "--method", "backward", "--table", str(table)]
    with monkeypatch.context() as patch:
        patch.setattr("symlump.cli.many.forget", lambda parts: None)
        assert main(given) == 0
    path = next(parts.iterdir())
    record = json.loads(path.read_text())
    record["result"][0] |= wrong
    path.write_text(json.dumps(record | {"digest": digest(record["result"])}))
    right = read(table)
    assert main(given) == 0  # computed again
    assert [row | {"seconds": ""} for row in read(table)] == [
        row | {"seconds": ""} for row in right
    ]
    assert right[0]["blocks"] == "2" and right[0]["error"] == ""


def test_what_is_missing_is_a_row(tmp_path, models, capsys):
    (models / "dir.ode").mkdir()
    (models / "link.ode").symlink_to(models / "nothing")
    given = ["lump", str(models), str(models / "nosuch.ode"), "--method", "backward"]
    assert main([*given, "--table", "-"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    errors = {row["file"].rpartition("/")[2] for row in rows if row["error"]}
    assert errors == {"m5.ode", "m7.ode", "dir.ode", "link.ode", "nosuch.ode"}
    assert len(rows) == 11 and not any("internal" in row["error"] for row in rows)


def test_a_table_to_standard_output_leaves_nothing(models, monkeypatch, capsys):
    monkeypatch.chdir(models)
    monkeypatch.setattr("symlump.cli.many.write_text", lambda path, text: 1 / 0)
    before = sorted(models.iterdir())
    with pytest.raises(ZeroDivisionError):
        main(["lump", "m2.ode", "--method", "backward", "--table", "-"])
    assert sorted(models.iterdir()) == before


def test_a_folder_of_sweeps(tmp_path, models, capsys):
    table = tmp_path / "out.csv"
    given = ["sweep", str(models), "--method", "backward", "--eps", "0,0.5", "--table", str(table)]
    assert main(given) == 1
    rows = read(table)
    assert len(rows) == 6 * 2 + 2  # two tolerances of each; two files are broken
    assert [row["eps"] for row in rows if "m4" in row["file"]] == ["0.0", "0.5"]
    assert rows[0]["blocks"] == "2" and "backward" in rows[0]["subject"]
    assert main([*given, "--csv", "x.csv"]) == 2
    assert "--csv is for one file" in capsys.readouterr().err


def test_a_folder_of_networks(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    folder, table = tmp_path / "networks", tmp_path / "out.csv"
    folder.mkdir()
    for n in (3, 4):
        torch.manual_seed(n)
        layers = [torch.nn.Linear(2, n), torch.nn.Tanh(), torch.nn.Linear(n, 1)]
        torch.save(torch.nn.Sequential(*layers).state_dict(), folder / f"net{n}.pt")
    (folder / "broken.pt").write_bytes(b"PK")
    given = ["compress", str(folder), "--activation", "tanh", "--eps", "0", "--table", str(table)]
    assert main(given) == 1
    rows = read(table)
    assert [row["parameters"] for row in rows] == ["", "13", "17"]
    assert [bool(row["error"]) for row in rows] == [True, False, False]
    assert main(["compress", *map(str, sorted(folder.iterdir())), *given[2:6]]) == 2
    assert "several files make one table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "several files make one table: add --table"),
        (["--table", "t.csv", "-o", "small.ode"], "--output is for one file"),
        (["--table", "t.csv", "--jobs", "0"], "give 1 or more"),
        (["-", "--table", "t.csv"], "standard input cannot"),
        (["--table", "t.csv", "--method", "constrained"], "needs at least one --observable"),
        (["--table", "t.csv", "--observable", "x"], "needs --method constrained"),
        (["--table", "t.csv", "--linkage", "variance"], "add --eps or --retain"),
        (["--table", "t.csv", "--scheduler", "abc"], "'abc' is no address"),
        (["--table", "t.csv", "--scheduler", "tcp://a:99999"], "is no address"),
    ],
)
def test_mistakes(models, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(models)
    method = [] if "--method" in arguments else ["--method", "backward"]
    assert main(["lump", "m2.ode", "m3.ode", *arguments, *method]) == 2
    assert says in capsys.readouterr().err
    assert not (models / "t.csv").exists()


def test_a_folder_without_models(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    given = ["lump", str(tmp_path / "empty"), "--method", "backward"]
    assert main([*given, "--table", str(tmp_path / "t.csv")]) == 2
    assert "has no file that ends in .ode" in capsys.readouterr().err
    assert main([*given, "--jobs", "2"]) == 2
    assert "--jobs is for many files" in capsys.readouterr().err


def test_systems_on_disk_have_rows_too(tmp_path, models, capsys):
    """A store counts as a file, by itself and in a folder; one that has changed is done again."""
    pytest.importorskip("duckdb", reason="systems on disk need DuckDB, of the extra store")
    for n in (3, 4):
        assert main(["convert", str(models / f"m{n}.ode"), str(models / f"s{n}")]) == 0
    alone = models / "s3"
    table = tmp_path / "out.csv"
    assert main(["lump", str(alone), "--method", "backward", "--table", str(table)]) == 0
    (row,) = read(table)
    assert (row["file"], row["variables"], row["blocks"]) == (str(alone), "6", "3")
    assert main(["lump", str(models), "--method", "backward", "--table", str(table)]) == 1
    rows = {row["file"].rpartition("/")[2]: row["blocks"] for row in read(table)}
    assert (rows["m4.ode"], rows["s3"], rows["s4"], len(rows)) == ("4", "3", "4", 10)
    before = _digest(alone)
    (models / "s4" / "store.json").rename(alone / "store.json")
    assert _digest(alone) != before
    capsys.readouterr()
    assert main(["lump", str(alone), "--method", "backward", "--table", str(table)]) == 1
    assert "are announced" in read(table)[0]["error"]
