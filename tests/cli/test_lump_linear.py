"""``symlump lump --method constrained``, as a user meets it."""

import json
import os
import sys

import pytest

import symlump as sl
from symlump import formats
from symlump.cli.bench.linear import add_options as bench_options
from symlump.cli.main import main
from symlump.lumping import lumping as lumping_module
from symlump.lumping.linear import smallest
from symlump.proof import check as checker
from symlump.proof import closure

MODEL = """begin model m
begin init
x1 = 1 x2 = 2 x3 = 1/2 x4
end init
begin ODE
d(x1) = x2**2 + 4*x2*x3 + 4*x3**2
d(x2) = 4*x3 - 2*x1
d(x3) = x1 + x2
d(x4) = x1 - x4
end ODE
begin views
both = x2 + 2*x3
half = x2 + x3
product = x1*x2
end views
end model
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.ode"
    path.write_text(MODEL)
    return str(path)


def run(capsys, *arguments):
    code = main(["lump", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_report(capsys, model):
    code, out, _ = run(capsys, model, "--method", "constrained", "--observable", "x1")
    assert code == 0
    assert out.splitlines()[0].startswith("m.ode: 4 variables, 9 terms, lumped in ")
    assert out.splitlines()[1:] == [
        "4 → 2 variables by the smallest linear lumping that keeps x1, exact, proof checked",
        "y1 = x2 + 2*x3",
        "x1' = y1^2",
        "y1' = 2*y1",
    ]


@pytest.mark.parametrize("given", ["x1,x2+2*x3", "both,x1", "x1, both"])
def test_observables_are_variables_views_and_expressions(capsys, model, given):
    code, out, _ = run(capsys, model, "--method", "constrained", "--observable", given, "--json")
    report = json.loads(out)
    assert code == 0 and report["rows"] == 2
    assert report["exact"] and report["checked"] and report["smallest"]
    assert report["combinations"] == {"x1": {"x1": "1"}, "y1": {"x2": "1", "x3": "2"}}
    assert report["defects"] == {} and report["defect"] == 0


LONG = " + ".join(f"x{i}" for i in range(1, 31))


def write_model(tmp_path, *equations):
    """A file with these equations, of variables that start at 0."""
    path = tmp_path / "n.ode"
    names = " ".join(line.split("'")[0] for line in equations)
    lines = "\n".join(f"  d({line.replace(chr(39), ')', 1)}" for line in equations)
    path.write_text(
        f"begin model n\nbegin init\n {names}\nend init\nbegin ODE\n{lines}\nend ODE\nend model\n"
    )
    return str(path)


def test_json_says_how_few_rows_there_may_be(capsys, monkeypatch, tmp_path):
    """As the headline does, where a search stops early."""
    ring = [f"x{i}' = x{i % 30 + 1} - 2*x{i}" for i in range(1, 31)]
    path = write_model(tmp_path, *ring[:-1], "x30' = x1 + t - 2*x30", "t' = -2*t")
    asked = (path, "--method", "constrained", "--observable", "x1")
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert report["at_least"] is None and report["smallest"] and report["rows"] == 31
    monkeypatch.setattr(smallest, "LARGE", 10)
    monkeypatch.setattr(smallest, "SOME", 10)
    monkeypatch.setattr(smallest, "MOST_TERMS", -1)
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert report["at_least"] == report["rows"] == 31 and not report["smallest"]
    _, out, _ = run(capsys, *asked)
    assert "none has fewer than 31 rows" in out


def test_json_says_what_was_not_checked(capsys, model, monkeypatch):
    asked = (model, "--method", "constrained", "--observable", "x1")
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert report["not_checked"] is report["not_smallest"] is None and report["smallest"]
    monkeypatch.setattr(closure, "MAX_STEPS", 3)
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert report["exact"] and not report["smallest"]
    assert report["not_smallest"] == "replaying the derivation takes too long"
    monkeypatch.setattr(checker, "MAX_STEPS", -1000)
    _, out, _ = run(capsys, *asked, "--json")
    assert "takes too long" in json.loads(out)["not_checked"]
    monkeypatch.setattr(lumping_module, "CHECKED_TERMS", 0)
    for method in ("forward", "backward"):
        _, out, _ = run(capsys, model, "--method", method, "--json")
        said = json.loads(out)["not_checked"]
        _, out, _ = run(capsys, model, "--method", method)
        assert said and f"({said})" in out


def test_notes_on_unknown_functions_are_in_both(capsys, tmp_path):
    path = write_model(tmp_path, "x' = -exp(x + 2*y)", "y' = y", "z' = -z")
    for method in (["constrained", "--observable", "x"], ["forward", "--keep", "x"]):
        _, out, _ = run(capsys, path, "--method", *method, "--json")
        (note,) = json.loads(out)["notes"]
        assert "exp is taken as an unknown function" in note
        _, out, _ = run(capsys, path, "--method", *method)
        assert out.count(note) == 1


def test_defects_stand_by_the_names_of_views(capsys, tmp_path):
    """A label of many states is a view; its text as a form is cut."""
    (tmp_path / "c.tra").write_text("ctmc\n" + "".join(f"{k} {k + 1} {k + 2}\n" for k in range(20)))
    labels = "".join(f"{k} {'low' if k < 9 else 'high'}\n" for k in range(21))
    (tmp_path / "c.lab").write_text("#DECLARATION\nlow high\n#END\n" + labels)
    asked = [f"{tmp_path}/c.tra", "--labels", f"{tmp_path}/c.lab", "--method", "constrained"]
    asked += ["--observable", "low", "--observable", "S3,high", "--eps", "20"]
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert list(report["defects"]) == report["observables"] == ["low", "S3", "high"]
    ode = formats.read(f"{tmp_path}/c.tra").ode
    low, high = ({f"S{k}": 1 for k in part} for part in (range(9), range(9, 21)))
    found = sl.lump(ode, sl.Constrained([low, "S3", high], eps=20)).defects
    assert list(report["defects"].values()) == pytest.approx(list(found.values()))
    _, out, _ = run(capsys, *asked)
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("defect of")] == [
        f"defect of {name}" for name in ("low", "S3", "high")
    ]


@pytest.mark.parametrize("eps", ["0", "100"])
def test_long_observables_are_cut_in_a_headline(capsys, tmp_path, eps):
    path = write_model(tmp_path, *(f"x{i}' = -{i}*x{i}" for i in range(1, 31)))
    asked = (path, "--method", "constrained", "--eps", eps, "--observable", LONG)
    cut = "x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11 + x12 …"
    _, out, _ = run(capsys, *asked)
    assert f"that keeps {cut}, " in out and LONG not in out
    assert out.count(f"defect of {cut}: ") == (eps != "0")
    _, out, _ = run(capsys, *asked, "--json")
    report = json.loads(out)
    assert report["observables"] == [LONG] and list(report["defects"]) == [LONG] * (eps != "0")
    twice = [*asked, "--observable", LONG.replace("x30", "2*x30")]
    _, out, _ = run(capsys, *twice)
    assert f"that keeps {LONG}, {LONG.replace('x30', '2*x30')}, " in out  # they look the same


def test_the_reduced_model_and_its_certificate(capsys, model, tmp_path):
    small, certificate = str(tmp_path / "small.ode"), str(tmp_path / "c.json")
    code, out, _ = run(
        capsys,
        model,
        "--method",
        "constrained",
        "--observable",
        "both",
        "-o",
        small,
        "--certificate",
        certificate,
    )
    assert code == 0
    assert "views left out, as they are not linear combinations of the rows: half, product" in out
    reduced = formats.read(small)
    assert reduced.ode.variables == ("y1",) and str(reduced.ode) == "y1' = 2*y1"
    assert reduced.initial_values == {"y1": 3}
    assert reduced.observables == {"both": {"y1": 1}}
    assert main(["check", certificate]) == 0
    assert capsys.readouterr().out.startswith("accepted: linear lumping of 4 variables to 1")


def test_a_tolerance(capsys, model, tmp_path):
    small = str(tmp_path / "small.ode")
    code, out, _ = run(
        capsys, model, "--method", "constrained", "--observable", "x4", "--eps", "1.5", "-o", small
    )
    assert code == 0
    assert "by ε-linear lumping that keeps x4, ε = 1.5, defect 1\n" in out
    assert "defect of x4: 1\n" in out and "exact" not in out
    assert str(formats.read(small).ode) == "x4' = -x4"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "needs at least one --observable"),
        (["--observable", "nope"], "'nope' is not a variable"),
        (["--observable", "x1*x2"], "not a linear form"),
        (["--observable", "product"], "'product' is not a variable"),
        (["--observable", "x1", "--keep", "x1"], "--keep"),
        (["--observable", "x1", "--initial", "one"], "--initial"),
        (["--observable", "x1", "--linkage", "variance"], "--linkage"),
        (["--observable", "x1", "--relative"], "--relative"),
        (["--observable", "x1", "--erode"], "--erode"),
        (["--observable", "x1", "--partition"], "--partition"),
        (["--observable", "x1", "--eps", "-1"], "eps"),
        (["--observable", "x1", "--eps", "1", "--certificate", "c.json"], "tolerance"),
        (["--observable", "x1", "-o", "small.tex"], "unknown suffix"),
    ],
)
def test_what_does_not_fit(capsys, model, options, says):
    code, _, err = run(capsys, model, "--method", "constrained", *options)
    assert code == 2 and says in err


def test_observables_are_for_linear_lumpings(capsys, model):
    code, _, err = run(capsys, model, "--method", "forward", "--observable", "x1")
    assert code == 2 and "--observable needs --method constrained" in err


def test_the_benchmark_finds_what_it_should():
    import argparse

    from symlump.bench.linear.measure import multisite, multisite_with_constants

    row = multisite(3)
    assert row.what == "constrained, 72 variables → 12, file to quotient"
    assert len(sl.lump(multisite_with_constants(2), sl.Constrained(["E", "F"]))) == 12
    parser = argparse.ArgumentParser()
    bench_options(parser)
    assert parser.parse_args(["--quick"]).models is None
    from symlump.bench.linear.growth import growth

    rows = growth(quick=True)
    assert [row.rows for row in rows[:2]] == [3, 7] and all(row.checked for row in rows[:2])
    assert all(row.checked is None for row in rows[2:])


def test_a_file_is_measured_beside_its_forward_equivalence(capsys, model):
    assert main(["bench", "linear", "--forward", model, "x1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["beside_forward"]
    assert (row["variables"], row["terms"], row["rows"]) == (4, 9, 2)
    assert all(row[key] > 0 for key in ("reading", "lumping", "forward"))
    assert row["command"] > row["lumping"] and row["forward_command"] > row["forward"]
    assert main(["bench", "linear", "--forward", model, "x9"]) == 2
    assert "'x9' is not a variable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("observable", "says"),
    [
        ("x1 + x9", "'x9' is not a variable of this system; it has x1, x2"),
        ("k", "it has x1, x2; a parameter of the file is a variable with --parameters symbolic"),
        ("2*k + x1", "'k' is not a variable of this system"),
        ("", "'' has no names; give one, or several with commas between them"),
        ("I*x1 + x2", "coefficients in Q(i), and lumpings have rational ones"),
        ("x1 +", "expected a number, a name or '(', found the end"),
    ],
)
def test_what_is_no_observable_is_said(capsys, tmp_path, observable, says):
    path = tmp_path / "k.ode"
    path.write_text(
        "begin model m\nbegin parameters\nk = 2\nend parameters\nbegin init\nx1 x2\nend init\n"
        "begin ODE\nd(x1) = k*x2\nd(x2) = x1\nend ODE\nend model\n"
    )
    code, _, err = run(capsys, str(path), "--method", "constrained", "--observable", observable)
    assert code == 2 and says in err
    symbolic = [*("--method", "constrained"), *("--parameters", "symbolic"), *("--observable", "k")]
    assert run(capsys, str(path), *symbolic)[0] == 0
    if observable.strip():
        with pytest.raises(sl.errors.SymlumpError, match="is not|coefficients|expected"):
            sl.lump(sl.ODE.from_text("x1' = x2; x2' = x1"), sl.Constrained(observable))
    else:
        with pytest.raises(sl.errors.VariableError, match="an observable is empty"):
            sl.lump(sl.ODE.from_text("x1' = x2; x2' = x1"), sl.Constrained(observable))


def test_observables_of_a_family_stand_by_the_names_of_views(capsys, tmp_path):
    """The text of a view is cut after six variables."""
    names = [f"x{i}" for i in range(1, 10)]
    equations = "\n".join(
        f"d({a}) = k*{b}" for a, b in zip(names, [*names[1:], names[0]], strict=True)
    )
    file = tmp_path / "v.ode"
    file.write_text(
        f"begin model v\nbegin parameters\nk = 2\nend parameters\nbegin init\n{' '.join(names)}\nend init\n"
        f"begin ODE\n{equations}\nend ODE\nbegin views\nall = {' + '.join(names)}\nend views\nend model\n"
    )
    asked = ["family", str(file), "--parameter", "k", "--observable", "all, k*x2,all", "--json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["observables"] == ["all", "k*x2"]


def test_the_parameter_of_a_family_needs_no_value(capsys, tmp_path):
    path = tmp_path / "m.txt"
    asked = ["family", str(path), "--parameter", "k", "--observable", "x"]
    path.write_text("x' = -k*x + m*y; y' = -y")
    assert main(asked) == 2 and "without one: 'k', 'm'" in capsys.readouterr().err
    path.write_text("x' = -k*x + m*y; y' = -y; m = 2")
    assert main(asked) == 0 and "0 is put" not in capsys.readouterr().out
    path.write_text("x' = -k*x; y' = -y; k = 2")
    assert main([*asked[:3], "q", *asked[4:]]) == 2
    assert "symlump lump --method constrained" in capsys.readouterr().err


def test_without_clue_nothing_is_compared(capsys, monkeypatch):
    from symlump.bench.linear import clue

    monkeypatch.setattr(clue, "find_spec", lambda name: None)
    for more in ([], ["--json"], ["--growth", "--quick"]):
        assert main(["bench", "linear", "--compare", "x.ode", "S0", *more]) == 2
        out, err = capsys.readouterr()
        assert not out and "CLUE is not installed" in err
    with pytest.raises(sl.errors.MethodError, match="not installed"):
        clue.beside([("x.ode", "S0")])


def test_what_is_imported_for_a_comparison_leaves_no_file(tmp_path, monkeypatch):
    """CLUE opens a log where it is imported; this one stands in for it."""
    package = tmp_path / "packages" / "clue"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("open('clue.log', 'w').close()\n")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.chdir(here)
    from symlump.bench.linear.clue import beside

    known = sys.modules.pop("clue", None)
    try:
        assert beside([]) == []
        assert sys.modules["clue"].__file__ == str(package / "__init__.py")
    finally:
        sys.modules.pop("clue", None)
        if known is not None:
            sys.modules["clue"] = known
    assert not list(here.iterdir()) and os.getcwd() == str(here)
