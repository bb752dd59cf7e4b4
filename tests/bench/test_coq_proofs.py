"""The table of proofs by Coq is made of proved ones, and reads lists of models."""

import json
import shutil

import pytest

from symlump.bench import coq_proofs
from symlump.cli.main import main

MODELS = [
    {"file": "a.ode", "kind": "forward", "initial": "one block", "variables": 2, "blocks": 1},
    {
        "file": "a.ode",
        "kind": "constrained",
        "observables": "x + y; y",
        "variables": 2,
        "blocks": 2,
    },
    {"file": "b.ode", "kind": "constrained", "observables": "x", "variables": 2, "blocks": 2},
    {"file": "c.ode", "kind": "constrained", "observables": "x", "variables": 1, "blocks": 1},
    {"file": "a.ode", "kind": "eps-BDE", "initial": "one block", "variables": 2, "blocks": 1},
    {"file": "a.ode", "kind": "forward", "initial": "one block", "variables": 6000, "blocks": 1},
]

MODEL = """begin model a
begin init
x = 1
y = 1
end init
begin ODE
d(x) = -x
d(y) = -y
end ODE
end model
"""


@pytest.fixture
def models(tmp_path):
    (tmp_path / "a.ode").write_text(MODEL)
    # A parameter without a value is a variable; and a system may have no terms.
    (tmp_path / "b.ode").write_text(
        "begin model b\nbegin parameters\nk\nend parameters\nbegin init\nx = 1\nend init\n"
        "begin ODE\nd(x) = -k*x\nend ODE\nend model\n"
    )
    (tmp_path / "c.ode").write_text(
        "begin model c\nbegin init\nx = 1\nend init\nbegin ODE\nd(x) = 0\nend ODE\nend model\n"
    )
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"models": MODELS}))
    return path


@pytest.mark.skipif(
    shutil.which("coqc") is None or shutil.which("ocamlopt") is None,
    reason="coqc or ocamlopt is not installed",
)
def test_rows(models, monkeypatch, capsys):
    assert main(["bench", "proofs", "--coq", "--models", str(models)]) == 0
    out = capsys.readouterr().out
    assert "4 of 4 proved" in out and "4 of 4 with the known number of blocks" in out
    assert out.count("refused") == 4 and "ACCEPTED" not in out
    case = coq_proofs.cases(quick=True)[0]
    monkeypatch.setattr(coq_proofs, "cases", lambda quick: [case])
    assert main(["bench", "proofs", "--coq", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    (row,) = data["rows"]
    assert row["variables"] == 18 and row["blocks"] == 12 and row["proved"] and data["growth"] == {}
    assert row["seconds_coqc"] > row["seconds_beyond_loading"] >= 0 and row["false_refused"]


def test_growth_is_printed_for_every_checker(monkeypatch, capsys):
    sizes = ((100, 1.0, 0.0, 0.2), (10_000, 100.0, 1.0, 2.0))
    rows = [
        coq_proofs.CoqRow(
            *("chain", "chain", "backward", 10, terms, 10, None, 0.1),
            *(0.5 + coqc, coqc, program, python, True, True),
        )
        for terms, coqc, program, python in sizes
    ]
    cases = coq_proofs.cases(quick=True)[:2]
    monkeypatch.setattr(coq_proofs, "cases", lambda quick: cases)
    monkeypatch.setattr(coq_proofs, "seconds_to_load", lambda: 0.5)
    monkeypatch.setattr(coq_proofs, "measure", lambda case, loading: rows[cases.index(case)])
    assert main(["bench", "proofs", "--coq"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["chain,", "backward", "1.00", "-", "0.50"]


@pytest.mark.parametrize(
    ("system", "blocks", "best"),
    [("E1", 2, True), ("E2", 2, True), ("E3", 2, True), ("E5", 2, True), ("E6", 4, False)]
    + [("E7 influence", 6, True), ("E7 state", 9, True)],
)
def test_worked_examples(system, blocks, best):
    (case,) = [case for case in coq_proofs.cases(quick=True) if case.system.startswith(system)]
    lumping = case.reduced()
    verdict = lumping.certificate().check()
    assert verdict.accepted and verdict.coarsest == best
    assert len(lumping.quotient) == blocks


def test_what_is_measured(models):
    small, large = coq_proofs.cases(True), coq_proofs.cases(False)
    assert {(c.family, c.method) for c in small} == {(c.family, c.method) for c in large}
    assert {c.system for c in large} >= {"phosphorylation 6", "chain 4000"}
    assert [c.known for c in coq_proofs.model_cases(models)] == [1, 2, 2, 1]


@pytest.mark.parametrize("text", ["[]", "{", '{"models": [{"kind": "forward"}]}'])
def test_what_is_no_list_of_models(tmp_path, text, capsys):
    path = tmp_path / "models.json"
    path.write_text(text)
    assert main(["bench", "proofs", "--coq", "--models", str(path)]) == 2
    assert "is not a list of models" in capsys.readouterr().err
    assert main(["bench", "proofs", "--models", str(path)]) == 2
    assert "goes with --coq" in capsys.readouterr().err
