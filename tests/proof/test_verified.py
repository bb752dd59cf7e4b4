"""The checker extracted from Coq agrees with the one in Python."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.claims import EXAMPLES
from test_certificate import mutations
from test_linear_certificates import lie_about, lumpings
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FileFormatError

pytestmark = pytest.mark.skipif(
    shutil.which("coqc") is None or shutil.which("ocamlopt") is None,
    reason="coqc or ocamlopt is not installed, so there is no verified checker",
)


def both(data):
    """Whether each checker accepts, and calls the lumping the coarsest or smallest."""
    answers = []
    for ask in (sl.Certificate.check, sl.Certificate.check_verified):
        try:
            verdict = ask(sl.Certificate(data))
        except FileFormatError:
            answers.append("unreadable")
        else:
            answers.append((verdict.accepted, verdict.coarsest))
    return answers


@pytest.mark.parametrize("name", EXAMPLES)
def test_both_accept_the_examples(name):
    data = EXAMPLES[name]().data
    best = "maximality" in data or "closure" in data
    assert both(data) == [(True, best)] * 2


@settings(max_examples=60)
@given(
    st.one_of(systems(max_variables=5), planted_forward().map(lambda p: p[0])),
    st.sampled_from([sl.Forward(), sl.Backward()]),
    st.data(),
)
def test_both_agree_on_mutants_of_partitions(system, method, data):
    certificate = sl.lump(to_ode(system), method).certificate().data
    mutated = data.draw(mutations(certificate))
    if data.draw(st.booleans()):
        mutated.pop("digest", None)
    python, coq = both(mutated)
    assert python == coq


@settings(max_examples=60)
@given(lumpings(), st.data())
def test_both_agree_on_mutants_of_linear_lumpings(lumping, data):
    python, coq = both(lie_about(lumping.certificate().data, data.draw))
    assert python == coq


def test_command_line(tmp_path, capsys):
    path = tmp_path / "c.json"
    EXAMPLES["e2"]().write(path)
    assert main(["check", str(path), "--verified"]) == 0
    assert "the coarsest: proved" in capsys.readouterr().out
    assert main(["check", str(path), "--coq"]) == 0
    assert "the coarsest: proved" in capsys.readouterr().out
    forged = sl.Certificate(EXAMPLES["e2"]().data | {"quotient": {"y1": [], "x3": []}})
    forged.write(path)
    assert main(["check", str(path), "--verified"]) == 1
    assert main(["check", str(path), "--coq"]) == 1
    short = sl.Certificate(EXAMPLES["e2"]().data | {"maximality": []})
    short.write(path)
    assert main(["check", str(path), "--verified"]) == 3
    assert main(["check", str(path), "--coq"]) == 3
    assert "proved; not that it is the coarsest" in capsys.readouterr().out
