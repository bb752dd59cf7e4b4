"""``symlump lump`` and ``symlump show``, as a user meets them."""

import json
from fractions import Fraction as Q

import pytest

import symlump as sl
from symlump import formats
from symlump.cli.main import main
from symlump.datasets.systems import h_tree
from symlump.lumping import lumping as lumping_module

TREE = """begin model tree
begin parameters
k = 3
end parameters
begin init
x1 = 1/2 x2 = 1/2 x3 x4 = 1
end init
begin partition
{x4}
end partition
begin ODE
d(x1) = -k*x1 + x3
d(x2) = -k*x2 + x3
d(x3) = x1 + x2 - x3
d(x4) = x1 + x2 - x4
end ODE
begin views
total = x1 + x2
first = x1
product = x1*x2
end views
end model
"""

NETWORK = """begin species
1 A(b,c) 1
2 A(b!1,c) 1
3 C() 0
end species
begin reactions
1 1 3 1
2 2 3 1
end reactions
"""


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree.ode"
    path.write_text(TREE)
    return path


def test_text(capsys, tree):
    code, out, err = run(capsys, "lump", tree, "--method", "forward")
    assert code == 0 and err == ""
    first, *rest = out.splitlines()
    assert first.startswith("tree.ode: 4 variables, 10 terms, lumped from 2 initial blocks in ")
    model = formats.read(tree)
    expected = sl.lump(model.ode, sl.Forward(), model.initial_partition())
    noted = ["while reading:", "  constants replaced by their values: 'k'"]
    assert "\n".join(rest) == "\n".join([*noted, str(expected)])
    assert "4 → 3 variables by forward equivalence, exact, proof checked" in out
    assert "y1 = x1 + x2" in out


def test_text_with_all_blocks_and_an_output(capsys, tree, tmp_path):
    small = tmp_path / "small.ode"
    code, out, _ = run(capsys, "lump", tree, "--method", "forward", "--partition", "-o", small)
    assert code == 0
    assert "blocks:\n  {x1, x2}\n  {x3}\n  {x4}\n" in out
    assert f"3 variables, 6 terms written to {small}" in out
    assert (
        "views left out, as they are not linear combinations of the blocks: first, product" in out
    )


def test_json(capsys, tree, tmp_path):
    small = tmp_path / "small.ode"
    code, out, err = run(
        capsys, "lump", tree, "--method", "backward", "--initial", "values", "--json", "-o", small
    )
    assert code == 0 and err == ""
    report = json.loads(out)
    assert report.pop("seconds") > 0 and report.pop("rounds") >= 1
    assert report == {
        "file": str(tree),
        "method": "backward",
        "initial": "values",
        "keep": [],
        "parameters": "values",
        "constants": "keep",
        "eps": 0.0,
        "linkage": "closure",
        "relative": False,
        "variables": 4,
        "terms": 10,
        "initial_blocks": 3,
        "blocks": 3,
        "quotient_terms": 6,
        "exact": True,
        "checked": True,
        "not_checked": None,
        "defect": 0.0,
        "partition": [["x1", "x2"], ["x3"], ["x4"]],
        "output": str(small),
        "notes": ["constants replaced by their values: 'k'"],
        "views_left_out": ["product"],
    }


def test_the_output_reads_back_as_the_quotient(capsys, tree, tmp_path):
    for method, equivalence in (("forward", sl.Forward()), ("backward", sl.Backward())):
        small = tmp_path / f"{method}.ode"
        arguments = ["--method", method, "--initial", "values", "--parameters", "symbolic"]
        code, _, _ = run(capsys, "lump", tree, *arguments, "-o", small)
        assert code == 0
        model = formats.read(tree, parameters="symbolic")
        expected = model.quotient(
            sl.lump(model.ode, equivalence, model.initial_partition("values"))
        )
        again = formats.read(small, parameters="symbolic")
        assert again.ode == expected.ode and again.ode.parameters == ("k",)
        assert again.initial_values == expected.initial_values
        assert again.observables == expected.observables and "total" in again.observables
    assert again.initial_values == {"y1": Q(1, 2), "x3": 0, "x4": 1, "k": 3}


def test_other_formats(capsys, tmp_path):
    path, small = tmp_path / "a.txt", tmp_path / "small.net"
    path.write_text(NETWORK)
    arguments = ["lump", path, "--format", "bionetgen", "--method", "forward", "--json"]
    code, out, _ = run(capsys, *arguments, "-o", small)
    assert code == 0 and json.loads(out)["blocks"] == len(formats.read(small).ode) == 1
    # A comma inside a name's parentheses does not separate names.
    for keep in (["--keep", "A(b,c),C()"], ["--keep", "A(b,c)", "--keep", "C()"]):
        code, out, _ = run(capsys, *arguments, *keep)
        report = json.loads(out)
        assert code == 0 and report["keep"] == ["A(b,c)", "C()"]
        assert report["partition"] == [["A(b,c)"], ["A(b!1,c)"], ["C()"]]


def test_keep(capsys, tree):
    arguments = ["lump", tree, "--method", "forward", "--initial", "one", "--json"]
    _, out, _ = run(capsys, *arguments)
    assert json.loads(out)["partition"] == [["x1", "x2"], ["x3"], ["x4"]]
    _, out, _ = run(capsys, *arguments, "--keep", "x3,first")
    assert json.loads(out)["partition"] == [["x1"], ["x2"], ["x3"], ["x4"]]


def test_constants_as_values(capsys, tmp_path):
    path = tmp_path / "m.ode"
    path.write_text(TREE.replace("-k*x1", "-c*x1").replace("x4 = 1", "x4 = 1 c = 3"))
    arguments = ["lump", path, "--method", "forward", "--json"]
    _, out, _ = run(capsys, *arguments)
    assert json.loads(out)["blocks"] == json.loads(out)["variables"] == 5
    _, out, _ = run(capsys, *arguments, "--constants", "values")
    assert json.loads(out)["blocks"] == 3 and json.loads(out)["variables"] == 4


def test_tolerance(capsys, tree):
    tree.write_text(TREE.replace("-k*x2", "-3.001*x2"))
    arguments = ["lump", tree, "--method", "backward", "--json"]
    _, out, _ = run(capsys, *arguments)
    report = json.loads(out)
    assert report["blocks"] == 4 and report["exact"] and report["defect"] == 0
    _, out, _ = run(capsys, *arguments, "--eps", "0.01", "--linkage", "diameter", "--relative")
    report = json.loads(out)
    assert report["blocks"] == 3 and report["defect"] > 0
    assert report["exact"] is False and report["checked"] is False
    assert (report["eps"], report["linkage"], report["relative"]) == (0.01, "diameter", True)
    _, out, _ = run(capsys, *arguments[:-1], "--eps", "0.01")
    assert "ε-backward equivalence, ε = 0.01 (closure), defect δ = " in out


def test_a_large_system_is_said_not_to_be_checked(capsys, tree, monkeypatch):
    monkeypatch.setattr(lumping_module, "CHECKED_TERMS", 5)
    monkeypatch.setattr("symlump.cli.lump_command._LISTED", 3)
    arguments = ["lump", tree, "--method", "forward"]
    _, out, _ = run(capsys, *arguments, "--json")
    report = json.loads(out)
    assert report["exact"] is None and report["checked"] is False and "partition" not in report
    _, out, _ = run(capsys, *arguments, "--json", "--partition")
    assert json.loads(out)["partition"] == [["x1", "x2"], ["x3"], ["x4"]]
    _, out, _ = run(capsys, *arguments)
    assert "exact," not in out and "proof not checked" in out


BAD = {
    "missing": (None, [], "nothing.ode does not exist"),
    "folder": (None, [], "--format says how a file is read; "),
    "empty": ("", [], "m.ode:1:1: the file is empty"),
    "syntax": (TREE.replace("d(x3) =", "d(x3) +"), [], "m.ode:14:7: expected '=', found '+'"),
    "function": (
        TREE.replace("x1 + x2 - x3", "wonder(x1)"),
        [],
        "m.ode:14:9: unknown function 'wonder'",
    ),
    "unknown suffix": (TREE, ["-o", "{folder}/out.tex"], "unknown suffix '.tex'"),
    "no folder": (TREE, ["-o", "{folder}/no/out.ode"], "there is no folder"),
    "certificate in no folder": (
        TREE,
        ["--certificate", "{folder}/no/c.json"],
        "there is no folder",
    ),
    "certificate is a folder": (TREE, ["--certificate", "{folder}"], "is a folder"),
    "digest of nothing": (TREE, ["--by-digest"], "add --certificate"),
    "format": (TREE, ["--format", "latex"], "unknown format 'latex'; the formats are erode"),
    "wrong format": (TREE, ["--format", "mrmc"], "m.ode:1:1: expected 'STATES n'"),
    "keep": (TREE, ["--keep", "x1,x9"], "'x9' is neither a variable nor an observable"),
    "keep nothing": (TREE, ["--keep", ""], "'' has no names"),
    "keep product": (TREE, ["--keep", "product"], "not a linear combination"),
    "eps": (TREE, ["--eps", "-1"], "eps=-1.0"),
    "eps nan": (TREE, ["--eps", "nan"], "eps=nan"),
    "eps infinite": (TREE, ["--eps", "inf"], "eps=inf"),
    "different values": (
        TREE.replace("x2 = 1/2", "x2 = 2"),
        ["--method", "backward"],
        "x1 and x2 are in one block of a backward lumping but start at 1/2 and 2",
    ),
    "unwritable": (TREE, ["-o", "{folder}/out.tra", "--parameters", "symbolic"], ".tra file"),
}


#: What is no fault of the input has exit code 1.
UNWRITABLE = ("there is no folder", "is a folder")


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_is_one_clear_message(capsys, tmp_path, case, as_json):
    text, arguments, says = BAD[case]
    path, output = tmp_path / "m.ode", tmp_path / "out.ode"
    if text is None:
        path = tmp_path / "nothing.ode" if case == "missing" else tmp_path
        arguments = [*arguments, "--format", "erode"]
    else:
        path.write_text(text)
    output.write_text("precious")
    before = sorted(p.name for p in tmp_path.iterdir())
    arguments = [a.format(folder=tmp_path) for a in arguments]
    arguments = ["--method", "forward", "-o", output, *arguments]
    code, out, err = run(capsys, "lump", path, *arguments, *(["--json"] if as_json else []))
    assert code == (1 if says in UNWRITABLE else 2) and out == ""
    assert err.startswith("symlump: ") and err.count("\n") == 1 and says in err
    assert output.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_different_initial_values_only_matter_for_the_output(capsys, tree, tmp_path):
    tree.write_text(TREE.replace("x2 = 1/2", "x2 = 2"))
    small = tmp_path / "small.ode"
    code, out, _ = run(capsys, "lump", tree, "--method", "backward")
    assert code == 0 and "4 → 3 variables" in out
    code, _, err = run(capsys, "lump", tree, "--method", "backward", "-o", small)
    assert code == 2 and "--initial values" in err and not small.exists()
    code, _, _ = run(
        capsys, "lump", tree, "--method", "backward", "--initial", "values", "-o", small
    )
    assert code == 0 and len(formats.read(small).ode) == 4


def test_show(capsys, tree):
    code, out, err = run(capsys, "show", tree, "--equations", "2", "--parameters", "symbolic")
    assert code == 0 and err == ""
    assert out == (
        "tree.ode: model tree\n"
        "5 variables, 1 of them a symbolic parameter, 10 terms, 6 monomials, degree 2\n"
        "initial partition: 3 blocks\n  {x4}\n  {x1, x2, x3}\n  {k}\n"
        "initial values: 4 different\n"
        "observables: 2\n  total = x1 + x2\n  first = x1\n"
        "other views: 1\n  product = x1*x2\n"
        "\n"
        "x1' = x3 - x1*k\n"
        "x2' = x3 - x2*k\n"
        "… 3 more equations\n"
    )


def test_show_json_and_latex(capsys, tree):
    code, out, _ = run(capsys, "show", tree, "--equations", "1", "--json")
    assert code == 0
    assert json.loads(out) == {
        "file": str(tree),
        "name": "tree",
        "variables": 4,
        "parameters": [],
        "terms": 10,
        "monomials": 4,
        "degree": 1,
        "partition": [["x4"], ["x1", "x2", "x3"]],
        "observables": {"total": {"x1": "1", "x2": "1"}, "first": {"x1": "1"}},
        "other_views": {"product": "x1*x2"},
        "dropped": {},
        "events": [],
        "notes": ["constants replaced by their values: 'k'"],
        "equations": [{"variable": "x1", "initial_value": "1/2", "derivative": "-3*x1 + x3"}],
    }
    code, out, _ = run(capsys, "show", tree, "--latex")
    assert code == 0 and out.startswith("\\begin{aligned}\n\\dot{x}_{1} &= -3")
    code, out, _ = run(capsys, "show", tree, "--equations", "0")
    assert code == 0 and "x1'" not in out


CTMC = "STATES 3\nTRANSITIONS 3\n1 2 2\n1 3 1/2\n2 3 3\n"


def test_what_was_done_while_reading_is_said(capsys, tmp_path):
    path = tmp_path / "c.tra"
    path.write_text(CTMC)
    note = "  rows sum to 0 … 3: taken as rates, a chain in continuous time; "
    note += 'if they are not, say chain="dtmc" (on the command line: --chain dtmc)\n'
    code, out, _ = run(capsys, "show", path)
    assert code == 0 and f"while reading:\n{note}" in out and "S1' = -5/2*S1" in out
    code, out, _ = run(capsys, "show", path, "--chain", "ctmc")
    assert code == 0 and "while reading" not in out and "S1' = -5/2*S1" in out
    code, out, _ = run(capsys, "lump", path, "--method", "forward")
    assert code == 0 and f"while reading:\n{note}" in out
    code, out, _ = run(capsys, "lump", path, "--method", "forward", "--json")
    assert code == 0 and json.loads(out)["notes"] == [note.strip()]
    code, out, _ = run(capsys, "lump", path, "--method", "constrained", "--observable", "S3")
    assert code == 0 and note in out
    code, out, _ = run(capsys, "show", path, "--chain", "dtmc", "--equations", "1")
    assert code == 0 and "S1⁺ = 0" in out
    assert "though some rows do not sum to 1: S1 (2.5), S2 (3), S3 (0)\n" in out
    other = tmp_path / "m.ode"
    other.write_text(TREE)
    code, _, err = run(capsys, "show", other, "--chain", "dtmc")
    assert code == 2 and "is for Markov chains (.tra)" in err


def test_show_stays_short(capsys, tmp_path):
    path = tmp_path / "chain.tra"
    lines = [f"{i} {i % 3000 + 1} 1" for i in range(1, 3001)]
    path.write_text("\n".join(["STATES 3000", "TRANSITIONS 3000", *lines]) + "\n")
    code, out, _ = run(capsys, "show", path)
    assert code == 0 and len(out) < 1000 and "initial partition: none in the file" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--equations", "-1"], "--equations -1"),
        (["--terms", "0"], "--terms 0"),
        (["--latex", "--json"], "give one of them"),
        (["--format", "mrmc"], "tree.ode:1:1"),
    ],
)
def test_show_bad_input(capsys, tree, arguments, says):
    code, out, err = run(capsys, "show", tree, *arguments)
    assert code == 2 and out == "" and err.count("\n") == 1 and says in err


@pytest.mark.parametrize("command", ["lump", "show"])
def test_help_teaches(capsys, command):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out and f"symlump {command} tree.ode" in out
    code, out, _ = run(capsys)
    assert code == 0 and "symlump lump MODEL.ode --method forward" in out


def test_lump_needs_a_method(capsys, tree):
    assert main(["lump", str(tree)]) == 2 and "--method" in capsys.readouterr().err


def test_a_share_instead_of_a_tolerance(capsys, tmp_path):
    path = tmp_path / "tree.ode"
    sl.write(h_tree(4, 0.01), path)
    command = ["lump", str(path), "--initial", "one", "--json"]
    assert main([*command, "--method", "backward", "--retain", "0.3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["blocks"] == 4 and 0 < report["eps"] < 1e-3
    linear = ["lump", str(path), "--method", "constrained", "--observable", "v1_1", "--json"]
    assert main([*linear, "--retain", "0.15"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 2 and report["eps"] == report["defect"] > 0
    assert main([*command, "--method", "backward", "--retain", "0.3", "--eps", "0.1"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
    assert main([*command, "--method", "forward", "--retain", "0.01"]) == 1
    assert "smallest reachable size" in capsys.readouterr().err
