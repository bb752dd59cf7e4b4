"""A quotient by what is 0 for another reason than algebra is about nothing, and is not accepted."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from proof.claims import claimed

import symlump as sl
from symlump.errors import FailureError
from symlump.proof import check as checker
from symlump.proof.check import read_claim
from symlump.proof.closure import closure_verdict
from symlump.proof.coq.numbers import number_claim
from symlump.proof.defined import denominators

#: Of x and y; those of the second kind look like those of the first.
NOWHERE = (
    "sin(x)^2 + cos(x)^2 - 1",
    "exp(x)*exp(-x) - 1",
    "exp(x + y) - exp(x)*exp(y)",
    "sqrt(x)^2 - x",
    "cosh(x)^2 - sinh(x)^2 - 1",
    "ln(exp(x)) - x",
    "exp(ln(x)) - x",
    "tan(x)*cos(x) - sin(x)",
    "cos(2*x) + 2*sin(x)^2 - 1",
    "abs(x)^2 - x^2",
    "max(x, y) + min(x, y) - x - y",
    "sin(pi)",
    "x^(1/3)*x^(2/3) - x",
    "asinh(sinh(x)) - x",
    "1/(1 + exp(x)) + 1/(1 + exp(-x)) - 1",
)
SOMEWHERE = (
    "sin(x)^2 + cos(x)^2 - 2",
    "exp(x)*exp(x) - 1",
    "sqrt(x)^2 + x",
    "exp(x/1000) - 1",
    "acosh(x) - 5",
    "asin(x) + 5",
    "sqrt(x - 100)",
    "cos(pi)",
    "max(x, y) - min(x, y)",
    "sin(x)^2 + cos(y)^2 - 1",
)


def below(denominator):
    """A claim about x' = y·1/denominator, as it comes out of the reader."""
    with warnings.catch_warnings():  # of quotients that cancel
        warnings.simplefilter("ignore")
        ode = sl.ODE.from_text(f"x' = y/({denominator}); y' = x")
    return read_claim(sl.lump(ode, sl.Forward(), [["x"], ["y"]])._certificate(False).data)


@pytest.mark.parametrize("denominator", NOWHERE)
def test_what_is_zero_everywhere_is_not_accepted(denominator):
    claim = below(denominator)
    verdict = checker.verdict(lambda: checker._check(claim))
    assert verdict.answer == "inconclusive"
    assert "is 0 at every state that was tried" in verdict.reason
    assert denominators(claim)[0] in verdict.reason


@pytest.mark.parametrize("denominator", SOMEWHERE)
def test_what_is_not_zero_somewhere_is_accepted_without_a_note(denominator):
    claim = below(denominator)
    assert denominators(claim) == ("", "")
    verdict = checker.verdict(lambda: checker._check(claim))
    assert verdict.accepted and "not 0" not in verdict.reason


@pytest.mark.parametrize("kind", ["forward", "backward", "linear"])
def test_only_in_the_quotient(kind):
    """D·(1/D) is 1 for every D but 0: the system has values everywhere, its quotient has none."""
    zero = {"s": ("sin", "x"), "c": ("cos", "x"), "i": ("inverse", "s^2 + c^2 - 1")}
    data = claimed(kind, {"x": "x"}, {"x": "x + s^2*i + c^2*i - i - 1"}, None, zero)
    for ask in (sl.Certificate(data).check, sl.Certificate(data).check_verified):
        if ask.__name__ == "check_verified" and not shutil.which("ocamlopt"):
            continue
        verdict = ask()
        assert verdict.answer == "inconclusive" and "0 at every state" in verdict.reason
    proof = sl.Certificate(data).explain()
    assert not proof.holds and "0 at every state that was tried" in str(proof)
    false = {**zero, "i": ("inverse", "s^2 + c^2 - 2")}
    data = claimed(kind, {"x": "x"}, {"x": "x + s^2*i + c^2*i - 2*i - 1"}, None, false)
    assert sl.Certificate(data).check().accepted
    assert sl.Certificate(data).explain().holds


def test_where_no_state_has_a_value_the_answer_says_so():
    verdict = checker.verdict(lambda: checker._check(below("ln(-exp(x))")))
    assert verdict.accepted and verdict.reason.count("where ln(-exp(x)) is not 0") == 1


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward(), sl.Constrained(["x"])], ids=str)
def test_nothing_is_called_exact_there(method):
    ode = sl.ODE.from_text("x' = 1/(sin(x)^2 + cos(x)^2 - 1); y' = 1/(sin(y)^2 + cos(y)^2 - 1)")
    lumping = sl.lump(ode, method)
    assert not lumping.exact and "proof not checked" in str(lumping)
    with pytest.raises(FailureError, match="is 0 at every state that was tried"):
        lumping.certificate()


def test_one_file_alone_says_what_it_did_not_look_at(tmp_path):
    """``check.py`` without the file beside it."""
    shutil.copy(checker.__file__, tmp_path / "check.py")
    proof = sl.lump(sl.ODE.from_text("x' = 1/(1 + exp(x))"), sl.Forward()).certificate()
    proof.write(tmp_path / "c.json")
    command = [sys.executable, "check.py", "c.json"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def said():
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    assert "accepted" in said().stdout and "where no denominator is 0" in said().stdout
    shutil.copy(Path(checker.__file__).with_name("defined.py"), tmp_path)
    assert "accepted" in said().stdout and "no denominator" not in said().stdout


def test_weights_and_numbers_beyond_floats_are_no_error():
    large = f"1{'0' * 400}"
    data = claimed(
        "linear",
        {"x": "f"},
        {"r": f"{large}*f"},
        {"e": ("exp", "x"), "f": ("inverse", "e")},
        {"e": ("exp", f"1/{large}*r"), "f": ("inverse", "e")},
        matrix={"r": f"{large}*x"},
    )
    assert sl.Certificate(data).check().accepted


def test_constants_are_taken_as_unknown_and_the_time_is_not():
    """Nothing is known of π, not even that sin(π) = 0, so a coarser lumping may exist."""
    for factor, unknown in (("pi", True), ("t", False), ("exp(1)", True), ("2", False)):
        ode = sl.ODE.from_text(f"x' = {factor}*x/(1 + x + z); z' = x*t/(2 + z)")
        proof = sl.lump(ode, sl.Forward()).certificate()
        assert ("with functions taken as unknown" in proof.check().reason) == unknown, factor
        claim = number_claim(read_claim(proof.data))
        assert claim.symbols.unknown == unknown
        linear = sl.lump(ode, sl.Constrained(["x"])).certificate()
        said = closure_verdict(read_claim(linear.data)).reason
        assert ("taken as unknown" in said) == unknown, factor
        assert ("Of " in str(proof.explain()[0])) == unknown
        conserved = sl.conserved(ode)
        assert ("unknown" in str(conserved)) == unknown
