"""Claims about quotients and functions, written by hand: what is true, false, or not known."""

import json

import pytest
from proof.claims import claimed, steps_of, terms

from symlump.proof import check as checker
from symlump.proof import closure
from symlump.proof.check import Unreadable, check


def equation(left, right, functions, kind="forward"):
    """x' = left, and the quotient claims x' = right; functions are the same on both sides."""
    return check(claimed(kind, {"x": left}, {"x": right}, functions, functions))


KINDS = pytest.mark.parametrize("kind", ["forward", "backward", "linear"])


@KINDS
@pytest.mark.parametrize(
    ("left", "right", "functions"),
    [
        ("x*i", "1", {"i": ("inverse", "x")}),
        ("i", "1/2*h", {"i": ("inverse", "2 + 2*x"), "h": ("inverse", "1 + x")}),
        ("i", "x", {"h": ("inverse", "x"), "i": ("inverse", "h")}),
        ("i", "1 + x^2*i", {"i": ("inverse", "1 - x^2")}),
        (
            "i - 1/2*g",
            "-1/2*h",
            {"i": ("inverse", "1 - x^2"), "g": ("inverse", "1 - x"), "h": ("inverse", "-1 - x")},
        ),
        ("3*i", "1", {"i": ("inverse", "3")}),
        # equal arguments, however they are written, and in whatever order they come
        ("e", "f", {"i": ("inverse", "x"), "e": ("g", "x^2*i"), "f": ("g", "x")}),
        ("f", "e", {"f": ("g", "x"), "i": ("inverse", "x"), "e": ("g", "x^2*i")}),
        ("e", "f", {"e": ("g", "x", "1"), "f": ("g", "x", "1")}),
        ("e", "f", {"e": ("g",), "f": ("g",)}),
        # facts
        ("e", "1", {"e": ("exp", "")}),
        ("e", "", {"e": ("sin", "")}),
        ("e", "", {"e": ("log", "1")}),
        ("e", "1", {"e": ("power", "1", "x")}),
        ("e", "1", {"i": ("inverse", "x"), "e": ("exp", "x*i - 1")}),
        ("e", "", {"i": ("inverse", "x"), "e": ("log", "x*i")}),
        ("e", "1", {"i": ("inverse", "x"), "e": ("power", "x*i", "x")}),
        ("e", "-1*f", {"e": ("sin", "x"), "f": ("sin", "-x")}),
        ("e", "f", {"e": ("cos", "x"), "f": ("cos", "-x")}),
        ("e", "-1*f", {"i": ("inverse", "x"), "e": ("sin", "x"), "f": ("sin", "-1*x^2*i")}),
    ],
)  # fmt: skip
def test_what_is_true(left, right, functions, kind):
    assert equation(left, right, functions, kind).accepted


@KINDS
@pytest.mark.parametrize(
    ("left", "right", "functions", "answer"),
    [
        # of quotients everything is known
        ("i", "h", {"i": ("inverse", "x"), "h": ("inverse", "1 + x")}, "rejected"),
        ("x*i", "2", {"i": ("inverse", "x")}, "rejected"),
        ("i", "-1*h", {"i": ("inverse", "x"), "h": ("inverse", "x^2")}, "rejected"),
        # other functions may have properties that are not known here
        ("e", "f", {"e": ("g", "x"), "f": ("h", "x")}, "inconclusive"),
        ("e", "f", {"e": ("g", "x", "x"), "f": ("g", "x")}, "inconclusive"),
        ("e", "f", {"e": ("g", "x", "1"), "f": ("g", "1", "x")}, "inconclusive"),
        ("e", "f", {"e": ("exp", "x"), "f": ("exp", "-x")}, "inconclusive"),
        ("e", "f", {"e": ("sin", "x"), "f": ("sin", "-x")}, "inconclusive"),
        ("e", "-1*f", {"e": ("cos", "x"), "f": ("cos", "-x")}, "inconclusive"),
        ("e", "f", {"e": ("cos", "x", "x"), "f": ("cos", "-x", "-x")}, "inconclusive"),
        ("e", "1", {"e": ("exp", "", "")}, "inconclusive"),
        ("e", "1", {"e": ("exp", "1")}, "inconclusive"),
        ("e", "", {"e": ("log", "")}, "inconclusive"),
        ("e", "", {"e": ("log", "1", "x")}, "inconclusive"),
        ("e", "1", {"e": ("power", "x", "1")}, "inconclusive"),
        ("e", "1", {"e": ("power",)}, "inconclusive"),
        # be it in a denominator: sin² + cos² = 1
        ("i", "1", {"s": ("sin", "x"), "c": ("cos", "x"), "i": ("inverse", "s^2 + c^2")}, "inconclusive"),
        ("1", "i", {"s": ("sin", "x"), "c": ("cos", "x"), "i": ("inverse", "s^2 + c^2")}, "inconclusive"),
    ],
)  # fmt: skip
def test_what_is_not(left, right, functions, answer, kind):
    verdict = equation(left, right, functions, kind)
    assert verdict.answer == answer
    assert verdict.reason.endswith(checker.FREE) == (answer == "inconclusive")


@KINDS
@pytest.mark.parametrize(
    "functions",
    [
        {"i": ("inverse", "")},
        {"i": ("inverse", "x - x")},
        {"h": ("inverse", "x"), "i": ("inverse", "x*h - 1")},
        {"h": ("inverse", "1 + x"), "i": ("inverse", "h + x*h - 1")},
        {"s": ("sin", "x"), "t": ("sin", "-x"), "i": ("inverse", "s + t")},
        {"e": ("exp", ""), "i": ("inverse", "1 - e")},
    ],
)
def test_a_denominator_that_vanishes_identically(functions, kind):
    for data in ({"functions": functions}, {"quotient_functions": functions}):
        verdict = check(claimed(kind, {"x": ""}, {"x": ""}, **data))
        assert verdict.answer == "rejected" and "a denominator is 0" in verdict.reason


def test_a_denominator_that_vanishes_on_the_blocks():
    """1/(x − y), with x = y."""
    data = claimed(
        "backward", {"x": "i", "y": "i"}, {"z": "i"}, {"i": ("inverse", "x - y")}, {"i": ("inverse", "z")}
    )  # fmt: skip
    verdict = check(data | {"blocks": {"z": ["x", "y"]}})
    assert verdict.answer == "rejected" and "a denominator is 0" in verdict.reason


def test_the_given_system_has_the_same_functions():
    data = claimed("forward", {}, {}, {"f": ("exp", "1")})
    same, other = {"f": ["exp", [terms("1")]]}, {"f": ["exp", [terms("2")]]}
    assert check(data, {"system": {}, "functions": same}).accepted
    for given in (
        {"system": {"x": terms("x")}, "functions": same},
        {"system": {}, "functions": other},
        {"system": {"x": terms("x")}, "functions": other},
        {"system": {"x": terms("x")}, "functions": {}},
        {"x": terms("x")},
        {},
    ):
        verdict = check(data, given)
        assert verdict.answer == "rejected" and "given" in verdict.reason, given
    plain = claimed(
        "forward", {"system": "", "functions": "system"}, {"system": "", "functions": "system"}
    )
    assert check(plain, plain["system"]).accepted  # its variables have these names
    assert check(plain, {"system": plain["system"], "functions": {}}).accepted
    assert check(plain, {"system": plain["system"], "functions": same}).answer == "rejected"
    for given, place in (
        ({"system": {}, "functions": []}, "the given system: functions: "),
        ({"system": {"x": 1}, "functions": {}}, 'the given system: system["x"]: '),
        ({"system": {}, "functions": {}, "more": {}}, 'the given system["system"]: '),
    ):
        with pytest.raises(Unreadable) as error:
            check(data, given)
        assert place in str(error.value)


def test_functions_are_there_or_the_key_is_not():
    """So nothing is read as a record of a system with functions that has none, or the other way round."""
    record = {"observables": [[terms("x"), terms("x")]], "start": [0], "prime": 101}
    data = claimed("linear", {"x": "x"}, {"x": "x"})
    for steps in ([], [[0, 5]]):
        with pytest.raises(Unreadable, match="functions: an object of functions is due here"):
            check(data | {"functions": {}, "closure": record | {"steps": steps}})
    with pytest.raises(Unreadable, match=r"closure.steps\[0\]\[1\]: a monomial is due"):
        check(data | {"closure": record | {"steps": [[0, 5]]}})
    assert check(data | {"quotient_functions": {}, "closure": record | {"steps": []}}).accepted


def test_few_points_of_a_derivation_are_remembered(monkeypatch):
    """Points that come again are computed again; the answer is the same."""
    made = []
    slopes = closure._Slopes
    monkeypatch.setattr(closure, "_Slopes", lambda *a: made.append(1) or slopes(*a))
    steps = [[0, 1], [0, 2], [0, 1], [0, 2]]
    record = {
        "observables": [[terms("x"), terms("x")]],
        "start": [0],
        "prime": 10007,
        "steps": steps,
    }
    functions = {"f": ("exp", "x + y")}
    data = claimed("linear", {"x": "f", "y": ""}, {"x": "f", "y": ""}, functions, functions)
    for kept, count in ((10**6, 2), (0, 4)):
        made.clear()
        monkeypatch.setattr(closure, "MAX_KEPT", kept)
        verdict = closure.check_closure(data | {"closure": record})
        assert "depends on those before" in verdict.reason and len(made) == count
    record["steps"] = steps[:1]
    assert closure.check_closure(data | {"closure": record}).coarsest


def test_rounds_end_when_nothing_splits():
    record = {"prime": 7, "seed": 0, "rounds": 2**53 - 1}
    f = {"f": ("exp", "1")}
    assert check(claimed("forward", {}, {}, f, initial=[], evaluations=record)).coarsest
    data = claimed("backward", {"x": "x", "y": "2*y"}, {"x": "x", "y": "2*y"}, f)
    assert check(data | {"initial": [["x", "y"]], "evaluations": record}).coarsest


@pytest.mark.parametrize("key", ["rounds", "seed"])
@pytest.mark.parametrize(
    "number", [2**53, 10**30, 10**5000, -1], ids=lambda n: n.bit_length() if type(n) is int else n
)
def test_whole_numbers_are_those_that_every_reader_of_json_reads(key, number):
    record = {"prime": 7, "seed": 0, "rounds": 0} | {key: number}
    with pytest.raises(Unreadable, match=f"evaluations.{key}: a whole number from 0 to 2"):
        check(claimed("forward", {}, {}, {"f": ("exp", "1")}, initial=[], evaluations=record))
    with pytest.raises(Unreadable, match="version: a whole number from 0 to 2"):
        check(claimed("forward", {}, {}) | {"version": number})


# Work is counted wherever a stranger could ask for much of it.


def test_powers_of_zero_are_counted():
    """Each of the terms goes through 10 000 products with nothing."""
    many = " + ".join(f"z^10000*y^{k}" for k in range(1, 21))
    data = claimed("linear", {"x": ""}, {"z": many, "y": ""}, matrix={"z": "", "y": ""})
    verdict, spent = steps_of(data)
    assert verdict.accepted and spent["multiplying out the quotient"] >= 20 * 10**4


def test_long_monomials_are_counted():
    """A product of long monomials takes as many steps as it has factors."""
    names = [f"x{i}" for i in range(1000)]
    data = claimed(
        "forward",
        dict.fromkeys(names, "") | {"x0": "i^100"},
        dict.fromkeys(names, ""),
        {"i": ("inverse", "1 + " + "*".join(names))},
        {"h": ("inverse", "1 + " + "*".join(names))},
    )
    data["quotient"]["x0"] = terms("h^99")
    verdict, spent = steps_of(data)
    assert verdict.answer == "rejected" and spent["multiplying out functions"] > 10**6


def test_many_functions_of_many_fractions_are_told_apart_in_time():
    """Only those of equal value at one point are compared."""
    n = 500
    functions = {"i": ("inverse", "x")} | {f"f{k}": ("exp", f"{k}*i") for k in range(1, n)}
    verdict, spent = steps_of(claimed("forward", {"x": ""}, {"x": ""}, functions))
    assert verdict.accepted and spent["multiplying out functions"] < 200 * n


def test_the_checker_alone_writes_any_name_to_any_terminal(tmp_path, capsys, monkeypatch):
    import subprocess
    import sys

    data = claimed("backward", {"é∂": ""}, {"é": ""}) | {"blocks": {"é": ["é"]}}
    (tmp_path / "c.json").write_text(json.dumps(data))
    alone = subprocess.run(
        [sys.executable, "-I", "-S", checker.__file__, str(tmp_path / "c.json")],
        capture_output=True, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert alone.returncode == 1 and alone.stdout.startswith(b"rejected: the blocks: ")
    assert alone.stdout.count(b"\n") == 1
    (tmp_path / "s.ode").write_text("begin ODE\n d(a\x1b[31m) = q\nend ODE")
    assert checker.main([str(tmp_path / "c.json"), str(tmp_path / "s.ode")]) == 3
    said = capsys.readouterr().out
    assert said.startswith("inconclusive: ") and "\x1b" not in said and said.count("\n") == 1

    def full(path):
        raise MemoryError

    monkeypatch.setattr(checker, "read_json", full)
    assert checker.main([str(tmp_path / "c.json")]) == 3
    assert "more memory than there is" in capsys.readouterr().out
