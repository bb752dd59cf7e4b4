"""Version 2 says the same in less; what is written can be read, and what cannot be read is not written."""

import copy
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from test_certificate import METHODS
from test_form import TRUE, at, paths, refusal, replaced
from test_linear_certificates import lumpings
from test_refine import systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import chain, multisite_phosphorylation
from symlump.errors import FailureError, FileFormatError
from symlump.proof import check as checker
from symlump.proof import closure
from symlump.proof.certificate import intern
from symlump.proof.check import Unreadable, check, spelled_out
from symlump.proof.closure import check_closure


def same(data):
    """Both versions, in memory and as files, are one certificate."""
    certificate = sl.Certificate(data)
    short = json.loads(certificate.to_json(version=2))
    before = copy.deepcopy(short)
    assert spelled_out(short) == json.loads(certificate.to_json(version=1))
    assert check(short) == check(data) and short == before
    assert sl.Certificate(short).data == sl.Certificate(data).data
    if "closure" in data:
        assert check_closure(short) == check_closure(data)
    assert len(set(map(json.dumps, short["values"]))) == len(short["values"])


@settings(max_examples=50)
@given(systems(), METHODS)
def test_both_versions_of_an_equivalence(system, method):
    same(sl.lump(to_ode(system), method).certificate().data)


@settings(max_examples=30)
@given(lumpings())
def test_both_versions_of_a_linear_lumping(lumping):
    same(lumping.certificate().data)


def test_the_longer_one_is_written_short(tmp_path, monkeypatch):
    certificate = sl.lump(multisite_phosphorylation(4), sl.Forward()).certificate()
    assert json.loads(certificate.to_json())["version"] == 1
    assert 1.8 * len(certificate.to_json(version=2)) < len(certificate.to_json())
    monkeypatch.setattr("symlump.proof.certificate._SPELLED", 1000)
    certificate.write(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["version"] == 2
    assert sl.Certificate.read(tmp_path / "c.json").data == certificate.data
    assert checker.main([str(tmp_path / "c.json")]) == 0
    assert main(["check", str(tmp_path / "c.json")]) == 0
    assert "258 variables" in sl.Certificate.read(tmp_path / "c.json").to_coq()


SHORT = {kind: json.loads(json.dumps(intern(data))) for kind, data in TRUE.items()}


def refused(data):
    """By every reader, in one sentence."""
    with pytest.raises(FileFormatError) as error:
        sl.Certificate(data)
    with pytest.raises(Unreadable) as again:
        spelled_out(data)
    assert str(error.value) == str(again.value) == refusal_of_check(data)
    return str(error.value)


def refusal_of_check(data):
    with pytest.raises(Unreadable) as error:
        check(data)
    return str(error.value)


@pytest.mark.parametrize("kind", SHORT)
def test_numbers_stand_for_values(kind):
    """At every place that holds a number: too large, negative, or no whole number."""
    data, count = SHORT[kind], 0
    for path in list(paths(data))[1:]:
        if path[0] not in ("version", "values") and type(at(data, path)) is int:
            for number in (len(data["values"]), -1, 10**30):
                assert f" {path[0]}: the number of one of the" in refused(
                    replaced(data, path, number)
                )
            for value in (True, None, 1.0, {}, [0], [[0]]):
                assert path[0] in refusal_of_check(replaced(data, path, value)), (path, value)
                count += 1
    assert count > 20


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "values[0]: text, a whole number or a monomial is due here, not null"),
        (True, "values[0]: text, a whole number or a monomial is due here, not true"),
        (1.0, "values[0]: text, a whole number or a monomial"),
        ({}, "values[0]: text, a whole number or a monomial is due here, not an empty object"),
        ([["x", 0]], "values[0][0][1]: a power"),
        ([[0, 1]], "values[0][0][0]: a name"),
        ([["x", 1], ["x", 1]], "values[0][1][0]: x occurs twice"),
        ([[["x", 1]]], "values[0][0]: [variable, power] is due"),
    ],
)
def test_values_are_texts_numbers_and_monomials(value, says):
    assert says in refused(replaced(SHORT["forward"], ("values", 0), value))


def test_there_are_values():
    assert " values: this key is missing" in refused(
        {k: v for k, v in SHORT["linear"].items() if k != "values"}
    )
    assert " values: a list is due here" in refused(SHORT["linear"] | {"values": {}})
    assert " values: a certificate of kind forward has no such key" in refusal(
        TRUE["forward"] | {"values": []}
    )
    for version in (True, 2.0, "2"):
        assert " version: a whole number from 0" in refusal(SHORT["linear"] | {"version": version})


def test_a_text_in_the_wrong_place_is_refused_there():
    """A number may stand for any value; the form of what it stands for is checked as ever."""
    data = SHORT["backward"]
    text = next(n for n, value in enumerate(data["values"]) if type(value) is str)
    monomial = next(n for n, value in enumerate(data["values"]) if type(value) is list)
    assert ' system["x2"][0][1]: a list of variables' in refusal_of_check(
        replaced(data, ("system", "x2", 0, 1), text)
    )
    assert ' system["x2"][0][0]: a rational' in refusal_of_check(
        replaced(data, ("system", "x2", 0, 0), monomial)
    )


def test_what_is_written_once_is_not_read_without_end(monkeypatch, tmp_path):
    """Long monomials in many places: a file that is short, and is refused before it is spelled out."""
    monkeypatch.setattr(checker, "MAX_ITEMS", 100_000)
    long = [[f"x{i}", 1] for i in range(1000)]
    bomb = {"format": "symlump certificate", "version": 2, "kind": "forward", "values": ["1", long]}
    bomb |= {"system": {"x0": [[0, 1]] * 1000}, "quotient": {}, "blocks": {}}
    start = time.process_time()
    assert "spelled out, it has more than 100000 terms and factors" in refused(bomb)
    (tmp_path / "bomb.json").write_text(json.dumps(bomb))
    assert checker.main([str(tmp_path / "bomb.json")]) == 2
    assert time.process_time() - start < 5
    fine = bomb | {"system": {"x0": [[0, 1]] * 90}}
    assert check(fine).answer == "rejected"  # x1 has no equation


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_written_is_what_is_read(version, tmp_path, monkeypatch):
    """At the bound on characters, and one below it; the same for terms and factors in version 2."""
    certificate = sl.lump(multisite_phosphorylation(2), sl.Forward()).certificate()
    text = certificate.to_json(version=version)
    (tmp_path / "c.json").write_text(text)
    monkeypatch.setattr(checker, "MAX_CHARACTERS", len(text))
    assert certificate.to_json(version=version) == text
    assert checker.main([str(tmp_path / "c.json")]) == 0
    monkeypatch.setattr(checker, "MAX_CHARACTERS", len(text) - 1)
    assert checker.main([str(tmp_path / "c.json")]) == 2
    with pytest.raises(FailureError, match=f"would have {len(text)} characters; the checker reads"):
        certificate.to_json(version=version)


def test_the_bound_on_items_is_the_same_for_writer_and_reader(monkeypatch):
    data = SHORT["linear"]
    certificate = sl.Certificate(data)
    lowest, highest = 0, 1000
    while highest - lowest > 1:
        monkeypatch.setattr(checker, "MAX_ITEMS", (lowest + highest) // 2)
        try:
            spelled_out(data)
            highest = checker.MAX_ITEMS
            assert certificate.to_json(version=2)
        except Unreadable:
            lowest = checker.MAX_ITEMS
            with pytest.raises(FailureError, match="more than the checker reads"):
                certificate.to_json(version=2)
    assert 20 < highest < 200


def test_a_power_beyond_the_bound_is_not_written():
    import sympy

    x = sympy.Symbol("x")
    for power in (checker.MAX_DEGREE, checker.MAX_DEGREE + 1):
        lumping = sl.lump(sl.PolynomialODE.from_sympy({x: x**power}), sl.Backward())
        if power <= checker.MAX_DEGREE:
            assert lumping.certificate().check().coarsest
        else:
            with pytest.raises(FailureError, match="more than a certificate may hold"):
                lumping.certificate()


class Counted(checker.Budget):
    """A budget that notes how far each task came below its bound: by how much the bound could be lower."""

    least: dict[str, int] = {}

    def spend(self, steps):
        super().spend(steps)
        self.least[self.task] = min(self.left, self.least.get(self.task, self.left))


def slack(certificate, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Counted, "least", {})
        patch.setattr(checker, "Budget", Counted)
        assert certificate.check().accepted
        return min(Counted.least.values())


LINEAR = "d(x) = y*y + 4*y*z + 4*z*z\n d(y) = 4*z - 2*x\n d(z) = x + y"


@pytest.mark.parametrize("kind", ["linear", "forward", "functions"])
def test_no_certificate_is_made_that_is_too_much_work_to_check(kind, monkeypatch, tmp_path, capsys):
    """At the bound on work, and one below it: the writer and the checker say the same."""
    text = (
        LINEAR if kind == "linear" else "d(x) = z - x*z*z\n d(y) = z - y*z*z\n d(z) = x*x*x*x + y"
    )
    text = text.replace("x*x*x*x", "1/(1 + x + y)") if kind == "functions" else text
    path, out = tmp_path / "m.ode", tmp_path / "c.json"
    path.write_text(
        f"begin model m\nbegin init\n x = 1 y z\nend init\nbegin ODE\n {text}\nend ODE\nend model\n"
    )

    def lumping():
        ode = sl.read(path).ode
        return sl.lump(ode, sl.Constrained(["x"]) if kind == "linear" else sl.Forward())

    linear = ["--method", "constrained", "--observable", "x"]
    how = linear if kind == "linear" else ["--method", "forward"]
    bound = checker.MAX_STEPS - slack(lumping().certificate(), monkeypatch)
    monkeypatch.setattr(checker, "MAX_STEPS", bound)
    assert lumping().certificate().check().accepted
    assert main(["lump", str(path), *how, "--certificate", str(out)]) == 0
    assert checker.main([str(out)]) == 0
    out.unlink()
    certificate = lumping().certificate()
    monkeypatch.setattr(checker, "MAX_STEPS", bound - 1)
    assert "takes too long" in certificate.check().reason
    with pytest.raises(
        FailureError,
        match=r"no certificate is written.*takes too long|no record shows.*takes too long",
    ):
        lumping().certificate()
    capsys.readouterr()
    assert main(["lump", str(path), *how, "--certificate", str(out)]) == 1
    assert "takes too long" in capsys.readouterr().err and not out.exists()


def test_a_derivation_that_is_too_much_work_is_not_claimed(monkeypatch, tmp_path, capsys):
    path, out = tmp_path / "m.ode", tmp_path / "c.json"
    path.write_text(
        f"begin model m\nbegin init\n x = 1 y z\nend init\nbegin ODE\n {LINEAR}\nend ODE\nend model\n"
    )
    monkeypatch.setattr(closure, "MAX_STEPS", 3)
    lumping = sl.lump(sl.read(path).ode, sl.Constrained(["x"]))
    assert lumping.exact and not lumping.smallest
    with pytest.raises(
        FailureError, match="takes too long; certificate.smallest=False. does not claim"
    ):
        lumping.certificate()
    lesser = lumping.certificate(smallest=False)
    assert lesser.check().accepted and "closure" not in lesser.data
    how = ["--method", "constrained", "--observable", "x", "--certificate", str(out)]
    assert main(["lump", str(path), *how]) == 0
    assert (
        "the certificate does not claim that the lumping is the smallest" in capsys.readouterr().out
    )
    assert main(["check", str(out)]) == 0
    monkeypatch.undo()
    assert main(["lump", str(path), *how]) == 0
    assert "does not claim" not in capsys.readouterr().out
    assert "closure" in json.loads(out.read_text())


def test_room_for_a_million_variables_and_five_million_terms():
    """What a term takes does not grow, but for the digits of its numbers."""
    ode = multisite_phosphorylation(5)
    text = sl.lump(ode, sl.Forward()).certificate().to_json(version=2)
    assert len(text) / ode.terms * 5_255_342 < checker.MAX_CHARACTERS  # nine sites
    text = sl.lump(chain(300), sl.Backward()).certificate().to_json(version=2)
    assert len(text) / 300 * 500_000 < checker.MAX_CHARACTERS


def test_the_bounds_are_those_of_the_specification():
    text = (Path(__file__).parents[2] / "docs" / "look-up" / "certificates.md").read_text()
    bounds = text[text.index("| bound | on |") :].splitlines()

    def line(value, what):
        spaced = f"{value:,}".replace(",", " ")
        return any(row.startswith(f"| {spaced} {what}".rstrip()) for row in bounds)

    assert line(checker.MAX_CHARACTERS, "characters | a file |")
    assert line(checker.MAX_ITEMS, "items | version 2")
    assert line(checker.MAX_DIGITS, "characters | a rational")
    assert line(checker.MAX_DEGREE, "| a power")
    assert line(checker.MAX_BITS, "bits")
    assert line(checker.MAX_STEPS, f"+ {checker.STEPS_PER_ITEM}·s steps | differentiating")
    assert line(checker.MAX_STEPS, f"+ {16 * checker.STEPS_PER_ITEM}·s steps | multiplying out")
    assert line(
        checker.MAX_STEPS, f"+ {4 * checker.STEPS_PER_ITEM}·s·log₂ s steps | replaying evaluations"
    )
    assert line(checker.MAX_STEPS, f"+ {checker.STEPS_PER_ITEM}·s·log₂ s steps | the replay")
    assert line(closure.MAX_STEPS, "steps | the replay of a closure")
    assert checker.MAX_PRIME == 2**40
