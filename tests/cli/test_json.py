"""``--json`` of every command, against the page that documents its keys."""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_lump_command import NETWORK, TREE
from torch import nn

from symlump.cli.answer import json_text
from symlump.cli.main import COMMANDS, build_parser, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "look-up" / "json.md"
ENZYME = """begin model enzyme
begin init
S = 10 E = 1 C P
end init
begin reactions
S + E -> C, 2
C -> S + E, 1
C -> E + P, 3
end reactions
end model
"""
MODEL = ["--method", "forward", "-o", "small.ode", "--certificate", "c.json"]
NET = ["net.safetensors", "--activation", "tanh"]
CALLS = {
    "lump, forward and backward": ["lump", "tree.ode", *MODEL],
    "lump, of a folder": [
        *("lump", "tree", "--method", "backward", "-o", "small", "--certificate", "d.json")
    ],
    "lump, sweep and compress, with --table": [
        *("lump", "tree.ode", "enzyme.ode", "--method", "backward", "--table", "t.csv")
    ],
    "convert": ["convert", "tree.ode", "tree2"],
    "lump, constrained": ["lump", "tree.ode", "--observable", "x1", *MODEL, "--method=constrained"],
    "show, of a model": ["show", "tree.ode"],
    "show, of a network": ["show", "net.safetensors"],
    "compress": [
        *("compress", *NET, "--eps", "0", "--box", "-1", "1", "--data", "data.csv"),
        *("-o", "small.pt", "--equations", "e.tex", "--certificates", "proofs"),
    ],
    "sweep": ["sweep", "tree.ode", "--eps", "0", "--horizon", "1"],
    "report": ["report", "tree.ode", "--eps", "0"],
    "conserved": ["conserved", "enzyme.ode"],
    "hierarchy": ["hierarchy", "tree.ode"],
    "family": ["family", "tree.ode", "--parameter", "k", "--observable", "x1 + k*x2"],
    "explain": ["explain", "tree.ode", "x1", "x2"],
    "explain, of two networks": [
        *(
            "explain",
            "net.safetensors",
            "net.safetensors",
            "--activation",
            "tanh",
            "--box",
            "-1",
            "1",
        )
    ],
    "check": ["check", "c.json"],
    "export": ["export", "c.json", "--coq", "-o", "c.v"],
    "loader": ["loader", "-o", "load.py"],
    "completion": ["completion", "bash"],
}
#: What some need beside symlump.
NEEDED = {"completion": "shtab", "lump, of a folder": "duckdb", "convert": "duckdb"}
#: What the calls above do not ask for.
NOT_ASKED = {
    "compress": {"written_in_full", "accuracy", "bytes", "normalizations", "epsilons"},
}
#: What asks for these.
ASKING = [
    ["compress", *NET, "--method", "magnitude", "--retain", "0.9", "-o", "few.safetensors"],
    ["compress", *NET, "--retain", "0.9", "-o", "few.safetensors", "--packed", "--force"],
    ["compress", "norm.safetensors", "--activation", "tanh", "--eps", "0", "--data", "class.csv"],
]


def documented():
    """The keys of each section of the page: those of the object, and those named in the values."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## symlump ")[1:]:
        title, _, body = section.partition("\n")
        rows = re.findall(r"^\| (`.*?) \| (.*) \|$", body, re.MULTILINE)
        keys = {
            key: set(re.findall(r"`(\w+)`", text)) for first, text in rows for key in names(first)
        }
        found[title] = keys
    return found


def names(text):
    return re.findall(r"`(\w+)`", text)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tree.ode").write_text(TREE)
    Path("enzyme.ode").write_text(ENZYME)
    torch.manual_seed(0)
    save_file(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).state_dict(), NET[0])
    Path("data.csv").write_text("1,2,3\n4,5,6\n")
    main(["lump", "tree.ode", *MODEL])
    main(["convert", "tree.ode", "tree"])


def test_the_page_names_the_keys_of_other_calls(folder, capsys):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))
    save_file(model.state_dict(), "norm.safetensors")
    Path("class.csv").write_text("1,2,0\n4,5,1\n")
    found = set()
    for call in ASKING:
        capsys.readouterr()
        assert main([*call, "--json"]) == 0
        found |= set(json.loads(capsys.readouterr().out))
    assert NOT_ASKED["compress"] <= found <= set(documented()["compress"])


@pytest.mark.parametrize("section", CALLS)
def test_the_page_names_all_keys(folder, capsys, section):
    if section in NEEDED:
        pytest.importorskip(NEEDED[section])
    capsys.readouterr()
    assert main([*CALLS[section], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    keys = documented()[section]
    assert set(report) == set(keys) - NOT_ASKED.get(section, set())
    for key in (
        "rows",
        "layers",
        "equations",
        "nodes",
        "quantities",
        "levels",
        "difference",
        "bound",
    ):
        inside = report.get(key)
        inside = inside[0] if isinstance(inside, list) else inside
        if isinstance(inside, dict):
            assert set(inside) == (keys[key] - {"sweep"} or documented()["sweep"]["rows"]), key


def test_what_is_conserved(folder, capsys):
    """S + C + P = 10 and E + C = 1; the tree has no such sum, and that is an answer."""
    capsys.readouterr()
    assert main(["conserved", "enzyme.ode"]) == 0
    out = capsys.readouterr().out
    assert "2 conserved quantities, exact, proof checked" in out
    assert "  S + C + P = 10\n" in out and "  E + C = 1\n" in out
    assert main(["conserved", "tree.ode"]) == 0
    assert capsys.readouterr().out.endswith("\n0 conserved quantities, exact, proof checked\n")


def test_what_may_be_conserved_beside_is_said(tmp_path, capsys):
    """x + y + z never changes, as sin² + cos² = 1; that nothing was found is no proof of the contrary."""
    path = tmp_path / "m.txt"
    path.write_text("x' = sin(u)^2\ny' = cos(u)^2\nz' = -1\nu' = u^2\n")
    found = "0 conserved quantities, with cos and sin taken as unknown, exact, proof checked\n"
    note = "cos and sin are taken as unknown functions, so {} that uses more of them may exist"
    assert main(["conserved", str(path)]) == 0
    assert capsys.readouterr().out.endswith(
        f"\n{found}note: {note.format('a conserved quantity')}\n"
    )
    assert main(["conserved", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [note.format("a conserved quantity")]
    assert main(["hierarchy", str(path)]) == 0
    assert "with cos and sin taken as unknown" in capsys.readouterr().out
    assert main(["hierarchy", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [
        note.format("a longer chain of lumpings")
    ]
    with pytest.raises(SystemExit):
        main(["conserved", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Find all" not in said and "taken as unknown, more may exist" in said


def test_steps_of_a_hierarchy_that_fall_apart_over_other_numbers(tmp_path, capsys):
    """A turn: over the rationals nothing lies between 0 and 2, as the text says."""
    path = tmp_path / "turn.ode"
    path.write_text(
        "begin model turn\nbegin init\nx y z\nend init\nbegin ODE\nd(x) = y\nd(y) = -x\n"
        "d(z) = x - z\nend ODE\nend model\n"
    )
    assert main(["hierarchy", str(path)]) == 0
    assert "with the roots of t^2 + 1 there are 2 steps of 1" in capsys.readouterr().out
    assert main(["hierarchy", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dimensions"] == [2] and report["algebraic_dimensions"] == [1, 2]
    turn, last = report["factors"]
    assert turn == {"dimension": 2, "irreducible": True, "pieces": 2, "field": [1, 0, 1]}
    assert last["dimension"] == last["pieces"] == 1


def test_levels_of_a_hierarchy(folder, capsys):
    capsys.readouterr()
    assert main(["hierarchy", "tree.ode", "--picture", "chain.svg"]) == 0
    out = capsys.readouterr().out
    assert "maximal chain of exact linear lumpings of dimensions" in out
    assert "<svg" in Path("chain.svg").read_text()


def test_standard_input(folder, capsys, monkeypatch):
    """The format is that of the first line, or of --format; a certificate comes through a pipe too."""
    for text, arguments in (
        (TREE, []),
        ("// a comment\n" + TREE, ["--format", "erode"]),
        (CHAIN, ["--chain", "ctmc"]),
        (NETWORK, []),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["lump", "-", "--method", "forward", *arguments]) == 0
        assert capsys.readouterr().out.startswith("-: ")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"what is this?")))
    assert main(["show", "-"]) == 2
    assert (
        "it is not an equation such as x' = -k*x/(1 + x); give its format: erode"
        in capsys.readouterr().err
    )
    pipe = "{0} lump tree.ode --method forward --certificate - | {0} check -"
    done = subprocess.run(
        ["sh", "-c", pipe.format(f"{sys.executable} -m symlump")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0 and done.stdout.startswith("accepted: ")


CHAIN = "STATES 3\nTRANSITIONS 2\n1 2 1\n2 3 1\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_for_every_shell(capsys, shell):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "--observable" in out and "backward" in out and "conserved" in out


def test_the_script_completes(tmp_path, capsys):
    pytest.importorskip("shtab")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    assert main(["completion", "bash"]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    script = """
    source completion
    COMP_WORDS=(symlump lump tree.ode --meth); COMP_CWORD=3
    _shtab_symlump; echo "${COMPREPLY[@]}"
    COMP_WORDS=(symlump lump tree.ode --method ""); COMP_CWORD=4
    _shtab_symlump; echo "${COMPREPLY[@]}"
    COMP_WORDS=(symlump co); COMP_CWORD=1
    _shtab_symlump; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run([bash, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "--method",
        "forward backward constrained",
        "compress convert conserved completion",
    ], done


def test_a_saved_network_is_shown(folder, capsys):
    capsys.readouterr()
    assert main(["show", *NET]) == 0
    out = capsys.readouterr().out
    assert "2–3–1, tanh, 13 parameters" in out and "influence form:" in out
    assert main(["show", NET[0]]) == 0
    out = capsys.readouterr().out
    assert "<Network: 2–3–1, 13 parameters>" in out and "give them with --activation" in out
    assert "influence form:" not in out


@pytest.mark.parametrize(
    "call", ["show tree.ode", "lump tree.ode --method backward", "sweep tree.ode --eps 0"]
)
def test_pictures_of_every_kind(folder, call):
    starts = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        found = []
        for name in ("a" + suffix, "b" + suffix):
            assert main([*call.split(), "--picture", name]) == 0
            found.append(Path(name).read_bytes())
        assert found[0].startswith(start) and found[0] == found[1]


def test_every_command_has_json_and_a_section(capsys):
    sections = {title.partition(",")[0] for title in documented()}
    assert sections == set(COMMANDS) - {"bench"}
    parser = build_parser()
    for name, command in parser.commands.items():
        for part in command.filled().commands.values() or [command]:
            assert "--json" in part.filled()._option_string_actions, (name, part.prog)


def test_the_demonstration_is_documented():
    from symlump.bench.demo import DemoRow

    assert set(DemoRow.__annotations__) == documented()["demo"]["rows"]


def test_numbers_that_json_does_not_have():
    found = json.loads(json_text({"a": [float("inf"), float("nan")], "b": (1.5, None)}, "utf-8"))
    assert found == {"a": [None, None], "b": [1.5, None]}


def test_files_are_declared():
    """Every argument that names a file is known as one that is read or written."""
    for command in build_parser().commands.values():
        for part in command.filled().commands.values() or [command]:
            known = {*(part.get_default("reads") or ()), *(part.get_default("writes") or ())}
            for action in part._actions:
                name = action.metavar if isinstance(action.metavar, str) else ""
                if re.match(r"FILE|MODEL|CERT", name) and not isinstance(
                    action, argparse._SubParsersAction
                ):
                    assert action.dest in known, (part.prog, action.dest)


def test_what_events_set_is_conserved_between_them(tmp_path, capsys):
    path = tmp_path / "m.xml"
    path.write_text(
        """<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfParameters><parameter id="A" value="2" constant="false"/><parameter id="k" value="1" constant="false"/>
<parameter id="B" value="1" constant="false"/></listOfParameters>
<listOfRules><rateRule variable="A"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/><ci>k</ci>
<ci>B</ci></apply></math></rateRule><rateRule variable="B"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply>
<minus/><apply><times/><ci>k</ci><ci>B</ci></apply></apply></math></rateRule></listOfRules>
<listOfEvents><event id="e" useValuesFromTriggerTime="true"><trigger initialValue="true" persistent="true">
<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><gt/><ci>A</ci><cn>2.5</cn></apply></math></trigger>
<listOfEventAssignments><eventAssignment variable="k"><math xmlns="http://www.w3.org/1998/Math/MathML"><cn>3</cn>
</math></eventAssignment></listOfEventAssignments></event></listOfEvents></model></sbml>"""
    )
    assert main(["conserved", str(path)]) == 0
    out = capsys.readouterr().out
    assert "  k = 1, until an event sets it" in out and "  A + B = 3\n" in out
    assert main(["conserved", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["quantities"]
    assert sorted((q["value"], q["between_events"]) for q in found) == [("1", True), ("3", False)]
