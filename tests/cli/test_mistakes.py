"""Typical mistakes on the command line, each with the one line that answers it."""

import io
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from test_lump_command import TREE
from torch import nn

from symlump.cli.main import COMMANDS, main
from symlump.cli.networks.data import read_data
from symlump.network.torch_io import from_torch

LUMP = ["lump", "tree.ode", "--method", "forward"]
NET = ["compress", "net.safetensors", "--activation", "tanh"]

#: What was typed, the exit code, and what the message must say.
MISTAKES = {
    # commands
    "a mistyped command": (["lmup", "tree.ode"], 2, "did you mean 'lump'?"),
    "no command": (
        ["tree.ode"],
        2,
        "is a file, and the first word is a command: symlump show tree",
    ),
    "an unknown command": (["simplify"], 2, "COMMAND: 'simplify' is unknown"),
    "a command for help": (["help", "lump"], 2, "did you mean symlump --help, or symlump COMMAND"),
    "a command for the version": (["version"], 2, "did you mean symlump --version?"),
    "an option before the command": (["--method", "forward"], 2, "options come after the command"),
    # options
    "a mistyped option": (
        ["lump", "tree.ode", "--metod", "forward"],
        2,
        "did you mean '--method'?",
    ),
    "a single minus sign": (
        ["lump", "tree.ode", "-method", "forward"],
        2,
        "did you mean '--method'?",
    ),
    "a letter for an option": (["-V"], 2, "did you mean '--version'?"),
    "a letter for three options": (
        ["explain", "tree.ode", "-l", "closure"],
        2,
        "did you mean '--labels' or '--linkage' or '--latex'?",
    ),
    "an option of another command": ([*LUMP, "--bits", "4"], 2, "it belongs to symlump compress;"),
    "an option of two other commands": ([*LUMP, "--coq"], 2, "belongs to symlump check, export;"),
    "an ambiguous abbreviation": ([*NET, "--max", "1"], 2, "--max-loss, --max-bound"),
    "an option without its value": (["lump", "tree.ode", "--method"], 2, "expected one argument"),
    "a value with a minus sign": (
        ["lump", "tree.ode", "--method=constrained", "--observable", "-x1"],
        2,
        "is written --observable=-x1",
    ),
    "a word too many": (
        [*LUMP, "forward"],
        2,
        "'forward' is one argument too many; see symlump lump",
    ),
    "a value for a switch": (
        ["export", "tree.ode", "--coq", "tree.v"],
        2,
        "--coq takes no value; 'tree.v' is one argument too many",
    ),
    "nothing said": (["lump"], 2, "FILE, --method"),
    "no size": (NET, 2, "--eps --retain"),
    "two sizes": ([*NET, "--eps", "0", "--retain", "0.5"], 2, "not allowed with argument"),
    # values
    "a mistyped method": (["lump", "tree.ode", "--method", "foward"], 2, "did you mean 'forward'?"),
    "a method in capitals": (["lump", "tree.ode", "--method", "FORWARD"], 2, "mean 'forward'?"),
    "the British spelling": ([*NET, "--bits", "4", "--method", "quantise"], 2, "'quantize'"),
    "a word for a number": ([*LUMP, "--eps", "small"], 2, "--eps: 'small' is not a number"),
    "a comma in a number": ([*LUMP, "--eps", "0,1"], 2, "--eps: '0,1' is not a number"),
    "a broken whole number": ([*NET, "--eps", "0", "--steps", "1.5"], 2, "is not a whole number"),
    "a negative tolerance": ([*LUMP, "--eps", "-1"], 2, "eps=-1.0"),
    "per cent for a share": ([*NET, "--retain", "40"], 2, "retain=40.0"),
    "a share with a sign": ([*NET, "--retain", "40%"], 2, "'40%' is not a number; write 0.4"),
    "a list that is none": (["sweep", "tree.ode", "--eps", "1;2"], 2, "not a list of numbers"),
    "a mistyped activation": (
        ["compress", "net.safetensors", "--activation", "thanh", "--eps", "0"],
        2,
        "did you mean 'tanh'?",
    ),
    "activations with commas": (
        ["compress", "net.safetensors", "--activation", "tanh,relu", "--eps", "0"],
        2,
        "separated by semicolons: tanh;relu",
    ),
    "no activation": (["compress", "net.safetensors", "--eps", "0"], 2, "add --activation"),
    "a mistyped format": ([*LUMP, "--format", "erod"], 2, "did you mean 'erode'? The formats are"),
    # names
    "a mistyped variable": (["explain", "tree.ode", "x1", "X2"], 2, "did you mean 'x2'?"),
    "two variables with a comma": (
        ["explain", "tree.ode", "x1,x2"],
        2,
        "symlump explain tree.ode x1 x2",
    ),
    "a mistyped view": ([*LUMP, "--keep", "totl"], 2, "did you mean 'total'?"),
    "a mistyped observable": (
        ["lump", "tree.ode", "--method=constrained", "--observable", "xx1"],
        2,
        "did you mean 'x1'?",
    ),
    # files
    "a mistyped file": (
        ["show", "treee.ode"],
        2,
        "treee.ode does not exist; did you mean 'tree.ode'?",
    ),
    "a file without its suffix": (["show", "tree"], 2, "did you mean 'tree.ode'?"),
    "an address": (["show", "https://example.org/tree.ode"], 2, "is an address; download the file"),
    "a name of two lines": (["show", "a\nb.ode"], 2, "a b.ode does not exist"),
    "a file in no folder": (["show", "models/tree.ode"], 2, "there is no folder models"),
    "a folder": (["show", "folder.ode"], 2, "Is a directory"),
    "an empty file": (["show", "empty.ode"], 2, "the file is empty"),
    "another kind of file": (["show", "notes.md"], 2, "unknown suffix '.md'"),
    "a network where a model is meant": (
        ["lump", "net.safetensors", "--method", "forward"],
        2,
        "is a network, and this takes model files; for networks there are symlump show",
    ),
    "a model where a network is meant": (["compress", "tree.ode", "--eps", "0"], 2, "torch file"),
    "a model where a certificate is meant": (["check", "tree.ode"], 2, "tree.ode"),
    "a network where a certificate is meant": (["check", "net.safetensors"], 2, "not UTF-8 text"),
    "a report as another kind of file": (
        ["report", "tree.ode", "-o", "tree.pdf"],
        2,
        "a report is a page, a file of .html",
    ),
    "an unknown suffix to write": ([*LUMP, "-o", "small.odee"], 2, "unknown suffix '.odee'"),
    "another picture": (
        [*LUMP, "--picture", "tree.jpg"],
        2,
        "a picture is a file of .png, .svg, .pdf",
    ),
    "the input as output": ([*LUMP, "-o", "tree.ode"], 2, "would overwrite the file that is read"),
    "a folder that is not there": ([*LUMP, "-o", "out/small.ode"], 1, "there is no folder"),
    # combinations
    "rows without observables": (["lump", "tree.ode", "--method=constrained"], 2, "--observable"),
    "observables of blocks": ([*LUMP, "--observable", "x1"], 2, "for this method use --keep"),
    "data that is no text": (
        [*NET, "--eps", "0", "--data", "net.safetensors"],
        2,
        "write a .csv file, or one array as .npy",
    ),
    "pruning by data without data": ([*NET, "--method", "wanda", "--retain", "0.5"], 2, "--data"),
    "an option of systems for a network": (
        ["sweep", "net.safetensors", "--activation", "tanh", "--horizon", "1"],
        2,
        "--horizon belongs to systems",
    ),
    "equations of a network without activation": (
        ["show", "net.safetensors", "--latex"],
        2,
        "add --activation",
    ),
    "an unknown shell": (["completion", "fish"], 2, "SHELL: 'fish' is unknown"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree.ode").write_text(TREE)
    (tmp_path / "empty.ode").write_text("")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "folder.ode").mkdir()
    torch.manual_seed(0)
    save_file(
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).state_dict(), "net.safetensors"
    )
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_answer_is_one_line_that_helps(folder, capsys, mistake):
    typed, code, says = MISTAKES[mistake]
    before = sorted(folder.iterdir())
    assert main(typed) == code
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("symlump: ") and error.count("\n") == 1
    assert says in error, error
    assert "argument " not in error.replace("argument too many", "").replace("with argument", "")
    assert sorted(folder.iterdir()) == before


WORDS = [
    *(
        "tree.ode",
        "net.safetensors",
        "notes.md",
        "nope.ode",
        "folder.ode",
        "a\nb",
        "\udc80",
        "",
        "/",
        "-",
    ),
    *(
        "--method",
        "forward",
        "backward",
        "constrained",
        "--eps",
        "0",
        "0.1",
        "nan",
        "-1",
        "1e400",
        "--",
    ),
    *(
        "--activation",
        "tanh",
        "relu",
        "--retain",
        "0.5",
        "--box",
        "--bits",
        "4",
        "--steps",
        "--linkage",
    ),
    *(
        "--keep",
        "total",
        "--observable",
        "x1 + x2",
        "x1",
        "x9",
        "--initial",
        "values",
        "--relative",
    ),
    *(
        "-o",
        "out.ode",
        "out.pt",
        "--csv",
        "t.csv",
        "--certificate",
        "--coq",
        "--json",
        "--latex",
        "-h",
    ),
    *(
        "--horizon",
        "--breakpoints",
        "--equations",
        "2",
        "--terms",
        "--force",
        "--format",
        "erode",
        "ε",
    ),
]
STARTS = [*([name] for name in COMMANDS if name not in ("demo", "bench")), LUMP, NET]
STARTS += [["explain", "tree.ode", "x1", "x2"], ["sweep", "tree.ode"], ["conserved", "tree.ode"]]


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(WORDS), max_size=3))
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_line_is_answered(folder, capsys, start, more):
    """Whatever is typed: an answer, or one line that says what is wrong, and no input is lost."""
    sys.stdin = io.TextIOWrapper(io.BytesIO(TREE.encode()))
    try:
        code = main([*start, *more])
    except SystemExit as ended:  # --help
        code = ended.code
    finally:
        sys.stdin = sys.__stdin__
    error = capsys.readouterr().err
    assert code in (0, 1, 2, 3)
    if code in (1, 2):
        assert error.startswith("symlump: ") and error.count("\n") == 1
    if "--force" not in more:
        assert (folder / "tree.ode").read_text() == TREE


def test_there_are_thirty():
    assert len(MISTAKES) >= 30


def test_what_is_no_mistake(folder, capsys):
    """Spaces around commas, abbreviations, values behind an equals sign, numbers with a minus sign."""
    assert main([*LUMP, "--keep", " total , x1 ", "--js"]) == 0
    assert '"keep": [\n    "total",\n    "x1"\n  ]' in capsys.readouterr().out
    rows = ["lump", "tree.ode", "--method=constrained", "--observable", "x1 , x2 + 2*x3,"]
    assert main(rows) == 0
    assert main(["sweep", "tree.ode", "--eps", "0 , 0.1, "]) == 0
    assert main([*NET, "--eps", "0", "--box", "-1", "1", "--layers", "0 , 2"]) == 0
    assert main(["lump", "tree.ode", "--method=constrained", "--observable=-x1"]) == 0
    assert capsys.readouterr().err == ""


def test_a_byte_order_mark_costs_no_row(folder):
    """Spreadsheets begin a file with one; the first row is no header for that."""
    network = from_torch(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))
    (folder / "data.csv").write_text("1,2\n3,4\n", encoding="utf-8-sig")
    assert read_data("data.csv", network).inputs.tolist() == [[1, 2], [3, 4]]


def test_comments_in_a_table_are_no_rows(folder):
    """Neither lines of their own, nor commas in those behind numbers, are columns."""
    network = from_torch(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))
    (folder / "data.csv").write_text("# samples\na,b\n1,2\n# the last\n3,4 # drawn, too\n")
    assert read_data("data.csv", network).inputs.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "command",
    [
        ["conserved"],
        ["hierarchy"],
        ["lump", "--method", "constrained", "--observable", "x"],
        ["lump", "--method", "backward", "--certificate", "c.json"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_a_failure_over_what_is_in_a_file_names_the_file(command, tmp_path, monkeypatch, capsys):
    """Numbers that no certificate holds, read without complaint: only later is anything wrong with them."""
    monkeypatch.chdir(tmp_path)
    number = "1" + "0" * 4500 + "1"
    Path("long.ode").write_text(
        "begin model m\nbegin init\n x = 1\n y = 2\n z = 1\nend init\nbegin ODE\n"
        f" d(x) = {number}*y - x\n d(y) = x - y\n d(z) = z*x - {number}*y*z\nend ODE\nend model\n"
    )
    verb, *options = command
    assert main([verb, "long.ode", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("symlump: long.ode: a coefficient is longer than 4000 digits")


def test_a_mistake_in_options_names_no_file(tmp_path, capsys):
    path = tmp_path / "m.ode"
    path.write_text(
        "begin model m\nbegin init\n x = 1\nend init\nbegin ODE\n d(x) = x\nend ODE\nend model\n"
    )
    assert main(["lump", str(path), "--method", "constrained"]) == 2
    assert "m.ode" not in capsys.readouterr().err
    # an unknown name is one that this file does not have, and it is named once
    assert main(["lump", str(path), "--method", "constrained", "--observable", "q"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"symlump: {path}: ") and error.count("m.ode") == 1
    assert "--parameters symbolic" in error
