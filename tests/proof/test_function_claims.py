"""Claims about quotients and functions, written by hand: what is true, false, or not known."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.claims import claimed, steps_of, terms

from symlump.errors import FileFormatError, MethodError
from symlump.proof import check as checker
from symlump.proof import closure
from symlump.proof.certificate import Certificate
from symlump.proof.check import Unreadable, check


def equation(left, right, functions, kind="forward"):
    """x' = left, and the quotient claims x' = right; functions are the same on both sides."""
    return check(claimed(kind, {"x": left}, {"x": right}, functions, functions))


KINDS = pytest.mark.parametrize("kind", ["forward", "backward", "linear"])


TRUE = [
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
    ("e", "1", {"e": ("power", "x", "")}),
    ("e", "1", {"e": ("power", "", "")}),
    ("e", "1", {"i": ("inverse", "x"), "e": ("power", "x", "x*i - 1")}),
    ("e", "1", {"i": ("inverse", "x"), "e": ("exp", "x*i - 1")}),
    ("e", "", {"i": ("inverse", "x"), "e": ("log", "x*i")}),
    ("e", "1", {"i": ("inverse", "x"), "e": ("power", "x*i", "x")}),
    ("e", "-1*f", {"e": ("sin", "x"), "f": ("sin", "-x")}),
    ("e", "f", {"e": ("cos", "x"), "f": ("cos", "-x")}),
    ("e", "-1*f", {"i": ("inverse", "x"), "e": ("sin", "x"), "f": ("sin", "-1*x^2*i")}),
]  # fmt: skip

#: Powers with whole exponents are products.
WHOLE_POWERS = [
    ("e", "x^3", {"e": ("power", "x", "3")}),
    ("e", "1/32", {"e": ("power", "2", "-5")}),
    ("e", "i", {"i": ("inverse", "x"), "e": ("power", "x", "x*i - 2")}),
    ("e", "x", {"i": ("inverse", "x"), "e": ("power", "i", "-1")}),
    ("e", "x", {"i": ("inverse", "1 + x"), "e": ("power", "x", "x*i + i")}),
    ("e", "x^1000", {"e": ("power", "x", "1000")}),
]  # fmt: skip


@KINDS
@pytest.mark.parametrize(("left", "right", "functions"), TRUE + WHOLE_POWERS)
def test_what_is_true(left, right, functions, kind):
    assert equation(left, right, functions, kind).accepted


UNTRUE = [
    # of quotients everything is known
    ("i", "h", {"i": ("inverse", "x"), "h": ("inverse", "1 + x")}, "rejected"),
    ("x*i", "2", {"i": ("inverse", "x")}, "rejected"),
    ("i", "-1*h", {"i": ("inverse", "x"), "h": ("inverse", "x^2")}, "rejected"),
    # other functions may have properties that are not known here
    ("e", "f", {"e": ("g", "x"), "f": ("h", "x")}, "inconclusive"),
    ("e", "f", {"e": ("g", "x", "x"), "f": ("g", "x")}, "inconclusive"),
    ("e", "f", {"e": ("g", "x", "1"), "f": ("g", "1", "x")}, "inconclusive"),
    ("e", "f", {"e": ("exp", "x"), "f": ("exp", "-x")}, "inconclusive"),
    # but the time, and one transcendental function of variables beside it, obey no equation
    ("e", "f", {"e": ("sin", "x"), "f": ("sin", "-x")}, "rejected"),
    ("e", "-1*f", {"e": ("cos", "x"), "f": ("cos", "-x")}, "rejected"),
    ("e", "2*e", {"t": ("time",), "e": ("exp", "x*t")}, "rejected"),
    ("e", "t", {"t": ("time",), "e": ("exp", "x*t")}, "rejected"),
    ("i", "e", {"e": ("log", "x^2"), "i": ("inverse", "1 + e")}, "rejected"),
    ("e", "2*e", {"t": ("time", "x"), "e": ("exp", "t")}, "inconclusive"),
    ("e", "2*e", {"e": ("sqrt", "x")}, "inconclusive"),
    ("e", "2*e", {"i": ("inverse", "x"), "e": ("exp", "x*i")}, "inconclusive"),
    ("e", "2*e", {"f": ("exp", "x"), "e": ("exp", "f")}, "inconclusive"),
    ("e", "f", {"e": ("exp", "x"), "f": ("exp", "2*x")}, "inconclusive"),
    ("e", "f", {"e": ("cos", "x", "x"), "f": ("cos", "-x", "-x")}, "inconclusive"),
    ("e", "1", {"e": ("exp", "", "")}, "inconclusive"),
    ("e", "1", {"e": ("exp", "1")}, "inconclusive"),
    ("e", "", {"e": ("log", "")}, "inconclusive"),
    ("e", "", {"e": ("log", "1", "x")}, "inconclusive"),
    ("e", "1", {"e": ("power", "x", "1")}, "rejected"),
    ("e", "x^2", {"e": ("power", "x", "3")}, "rejected"),
    ("e", "x^1001", {"e": ("power", "x", "1001")}, "inconclusive"),
    ("e", "1", {"e": ("power", "x", "1/2")}, "inconclusive"),
    ("e", "1", {"e": ("power", "x", "", "")}, "inconclusive"),
    ("e", "1", {"e": ("power",)}, "inconclusive"),
    # be it in a denominator: sin² + cos² = 1
    ("i", "1", {"s": ("sin", "x"), "c": ("cos", "x"), "i": ("inverse", "s^2 + c^2")}, "inconclusive"),
    ("1", "i", {"s": ("sin", "x"), "c": ("cos", "x"), "i": ("inverse", "s^2 + c^2")}, "inconclusive"),
]  # fmt: skip


@KINDS
@pytest.mark.parametrize(("left", "right", "functions", "answer"), UNTRUE)
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
        {"e": ("power", "x", ""), "i": ("inverse", "1 - e")},
        {"e": ("power", "", "-1")},
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


@pytest.mark.parametrize("key", ["functions", "quotient_functions"])
def test_what_is_for_polynomials_says_so_whichever_side_has_functions(key):
    one, other = ({"x": "1"}, {"x": "f + x*f"})[:: -1 if key == "functions" else 1]
    data = claimed("forward", one, other, **{key: {"f": ("inverse", "1 + x")}})
    assert check(data).accepted
    with pytest.raises(MethodError, match="for polynomial systems; .* such as inverse"):
        Certificate(data).to_coq(lemmas=True)
    for wrong in ([], 3, {"f": []}):
        for ask in (Certificate.explain, Certificate.to_coq, lambda c: c.to_coq(lemmas=True)):
            with pytest.raises(FileFormatError, match=f"{key}"):
                ask(Certificate(data | {key: wrong}))
    assert Certificate(data).explain().holds


@KINDS
@pytest.mark.parametrize("functions", [None, {"f": ("exp", "x")}])
def test_a_quotient_has_one_equation_for_each_block_or_row(kind, functions):
    part = "row" if kind == "linear" else "block"
    data = claimed(kind, {"x": "", "y": ""}, {"x": "", "y": ""}, functions)
    assert check(data).accepted
    for quotient in ({"x": []}, {"x": [], "y": [], "z": []}, {"x": [], "z": []}, {}):
        verdict = check(data | {"quotient": quotient})
        assert verdict.answer == "rejected"
        assert verdict.reason == f"the quotient does not have exactly one equation per {part}"


def test_the_given_system_has_the_same_functions():
    data = claimed("forward", {}, {}, {"f": ("exp", "1")})
    same, other = {"f": ["exp", [terms("1")]]}, {"f": ["exp", [terms("2")]]}
    assert check(data, {"system": {}, "functions": same}).accepted
    for beside in (
        {"system": {"x": terms("x")}, "functions": same},
        {"system": {}, "functions": other},
        {"system": {"x": terms("x")}, "functions": other},
        {"system": {"x": terms("x")}, "functions": {}},
        {"x": terms("x")},
        {},
    ):
        verdict = check(data, beside)
        assert verdict.answer == "rejected" and "given" in verdict.reason, beside
    plain = claimed(
        "forward", {"system": "", "functions": "system"}, {"system": "", "functions": "system"}
    )
    assert check(plain, plain["system"]).accepted  # its variables have these names
    assert check(plain, {"system": plain["system"], "functions": {}}).accepted
    assert check(plain, {"system": plain["system"], "functions": same}).answer == "rejected"
    for beside, place in (
        ({"system": {}, "functions": []}, "the given system: functions: "),
        ({"system": {"x": 1}, "functions": {}}, 'the given system: system["x"]: '),
        ({"system": {}, "functions": {}, "more": {}}, 'the given system["system"]: '),
    ):
        with pytest.raises(Unreadable) as error:
            check(data, beside)
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


AT_ZERO = {"exp": 1, "cos": 1, "cosh": 1} | dict.fromkeys(
    ["sin", "tan", "sinh", "tanh", "asin", "atan", "asinh", "atanh", "abs", "sign"], 0
)
AT_ONE = {"log": 0, "acos": 0, "acosh": 0}
EVEN = ["cos", "cosh", "abs"]
ODD = ["sin", "tan", "sinh", "tanh", "asin", "atan", "asinh", "atanh", "sign"]


@pytest.mark.parametrize("name", [*AT_ZERO, *AT_ONE, "power", "g"])
def test_every_fact_and_no_other(name):
    """Values at 0 and 1, and parity: in the comparison, and in a record of values."""
    values = {(at, value): "inconclusive" for at in "01" for value in ("0", "1", "2", "-1")}
    if name in AT_ZERO:
        values["0", str(AT_ZERO[name])] = "accepted"
    if name in AT_ONE:
        values["1", str(AT_ONE[name])] = "accepted"
    if name == "power":
        values["1", "1"] = "accepted"
    for (at, value), answer in values.items():
        known = answer != "accepted" and "accepted" in [values[at, v] for v in ("0", "1")]
        found = equation("e", value, {"e": (name, at)}).answer
        assert found == ("rejected" if known else answer), (at, value)
    for sign, names in ((1, EVEN), (-1, ODD)):
        found = equation("e", f"{sign}*f", {"e": (name, "x"), "f": (name, "-x")}).answer
        known = name in checker._ALONE and name in (*EVEN, *ODD)  # so both are one symbol
        other = "rejected" if known else "inconclusive"
        assert found == ("accepted" if name in names else other)
    # Equal values stay together in a record; what is not known to be equal does not.
    pairs = [("e", "f", {"e": (name, "z"), "f": (name, "-z")}, name in EVEN)]
    pairs += [("e", "-1*f", {"e": (name, "z"), "f": (name, "-z")}, name in ODD)]
    pairs += [("e", str(v), {"e": (name, "0*z")}, AT_ZERO.get(name) == v) for v in (0, 1, 2)]
    pairs += [
        ("e", str(v), {"e": (name, "1")}, AT_ONE.get(name, 1 if name == "power" else None) == v)
        for v in (0, 1, 2)
    ]
    pairs += [("e", "1", {"e": (name, "1", "z")}, name == "power")]
    pairs += [("e", str(v), {"e": (name, "", "z")}, False) for v in (0, 1)]
    pairs += [("e", "1", {"e": (name, "z", "0*z")}, name == "power")]
    pairs += [("e", "z^3", {"e": (name, "z", "3")}, name == "power")]
    pairs += [("z*e", "1", {"e": (name, "z", "-1")}, name == "power")]
    pairs += [("e", "z^1001", {"e": (name, "z", "1001")}, False)]
    for left, right, functions, same in pairs:
        claim = checker.read_claim(
            claimed("backward", {"x": left, "y": right, "z": ""}, {}, functions, blocks={})
        )
        for seed in range(3):  # so that z is in either half of the field
            record = checker.Evaluations(2**31 - 1, seed, 1)
            found = checker.replay_evaluations(claim, {"x": 0, "y": 0, "z": 1}, record)
            assert (found["x"] == found["y"]) == same, (left, right, functions)


@pytest.mark.parametrize(("sign", "names"), [("-", EVEN), ("+", ODD)])
def test_derivatives_have_the_other_parity(sign, names):
    """f(u) ± f(−u) is 0, so nothing tells y, which it seems to contain, from k; wherever u is in the field."""
    for name in names:
        functions = {"e": (name, "y"), "f": (name, "-y")}
        system = {"x": f"e {sign} f", "y": "", "k": ""}
        claim = checker.read_claim(claimed("forward", system, {}, functions, blocks={}))
        other = {"x": f"e {'+' if sign == '-' else '-'} f", "y": "", "k": ""}
        wrong = checker.read_claim(claimed("forward", other, {}, functions, blocks={}))
        for seed in range(8):
            record = checker.Evaluations(10007, seed, 2)
            found = checker.replay_evaluations(claim, {"x": 0, "y": 1, "k": 1}, record)
            assert found["y"] == found["k"], (name, seed)
            found = checker.replay_evaluations(wrong, {"x": 0, "y": 1, "k": 1}, record)
            assert found["y"] != found["k"], (name, seed)


@pytest.mark.parametrize(
    ("left", "gradient"),
    [("f", "0*y + 0*k"), ("g", "y + k"), ("h - 3*i*y", "k - 2*i*y"), ("h", "y^3 + k^3")],
)
def test_derivatives_of_whole_powers(left, gradient):
    """Those of power(y, 3) are those of y^3: y and k are told apart by ∂x' where those differ."""
    parts = {"f": ("power", "y + k", "0"), "g": ("power", "y + k", "1"), "i": ("inverse", "2"),
             "h": ("power", "y", "3")}  # fmt: skip
    for equation in (left, gradient):
        data = claimed("forward", {"x": equation, "y": "", "k": ""}, {}, parts, blocks={})
        claim = checker.read_claim(data)
        found = checker.replay_evaluations(
            claim, {"x": 0, "y": 1, "k": 1}, checker.Evaluations(10007, 3, 2)
        )
        assert (found["y"] == found["k"]) == (left in ("f", "g")), equation


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 4])
def test_slopes_of_whole_powers_are_those_of_products(n):
    """n·u^(n−1), in the checker."""
    claim = checker.read_claim(
        claimed("forward", {"y": "f"}, {}, {"f": ("power", "y", str(n))}, blocks={})
    )
    prime = 10007
    point = checker._Point(claim, checker.Evaluations(prime, 0, 1))
    y = point.at["y"]
    assert point.at["f"] == pow(y, n, prime)
    assert point.slope("f", 0) == n * pow(y, n - 1, prime) % prime


def test_powers_are_evaluated_in_fields_that_tell_their_exponents_apart():
    """Modulo 7 both exponents are 2, but x^2 and x^9 differ there, which no function of (x, 2) could."""
    functions = {"e": ("power", "x", "2"), "f": ("power", "x", "9")}
    data = claimed("backward", {"x": "e", "y": "f"}, {"x": "e", "y": "f"}, functions, functions)
    data |= {"initial": [["x", "y"]], "evaluations": {"prime": 7, "seed": 0, "rounds": 1}}
    verdict = check(data)
    assert verdict.answer == "inconclusive" and "primes above 2000" in verdict.reason
    assert check(data | {"evaluations": {"prime": 2003, "seed": 0, "rounds": 1}}).coarsest


def test_a_prime_that_divides_a_denominator_shows_nothing():
    data = claimed("backward", {"x": "1/7*e", "y": "2*e"}, {}, {"e": ("exp", "x")}, blocks={})
    claim = checker.read_claim(data | {"initial": [["x", "y"]]})
    with pytest.raises(checker.Inconclusive, match="the prime 7 divides a denominator"):
        checker.replay_evaluations(claim, {"x": 0, "y": 0}, checker.Evaluations(7, 0, 1))
    found = checker.replay_evaluations(claim, {"x": 0, "y": 0}, checker.Evaluations(5, 0, 1))
    assert found["x"] != found["y"]


def test_a_denominator_that_is_0_at_the_point_settles_nothing():
    """Modulo 2 every variable is 1."""
    functions = {"f": ("inverse", "1 + x")}
    data = claimed("backward", {"x": "f"}, {"x": "f"}, functions, functions, initial=[["x"]])
    record = {"prime": 2, "seed": 0, "rounds": 1}
    verdict = check(data | {"evaluations": record})
    assert verdict.answer == "inconclusive" and "take another seed" in verdict.reason
    assert check(data | {"evaluations": record | {"prime": 10007}}).coarsest


def test_steps_of_multiplying_out():
    """Sizes of system, quotient, matrix and all functions; products; values; comparisons."""
    data = claimed(
        "linear",
        {"x": "2*e", "y": "y*i"},
        {"x": "2*f", "y": "1"},
        {"e": ("exp", "x^2"), "i": ("inverse", "y")},
        {"f": ("exp", "x^2")},
    )
    allowed = {}
    verdict, spent = steps_of(data, allowed)
    task = "multiplying out functions"
    size = (3 + 4) + (3 + 2) + (3 + 3) + (3 + 3 + 3)
    assert verdict.accepted and allowed[task] == 2_500_000 + 64 * size
    # The first product with a symbol is 1 + 8 + 1, one more for each factor that is there. A value at the point
    # is 2 for x^2 or y, a comparison the number of terms.
    e = (10 + 11) + 1 + 2 + 2  # x·x, is it 0, who is alike, noted
    i = 10 + 2
    f = (10 + 11) + 1 + 2 + (1 + 1)  # the last: compared with e
    x = 10 + 10 + (1 + 1)
    y = (10 + 11) + (1 + 1) + 10  # y·i − 1 is cleared of i
    assert spent[task] == e + i + f + x + y


def replayed(kind, system, functions, rounds):
    """Steps of a record of values, and those allowed beyond what any file may take."""
    record = {"prime": 2**31 - 1, "seed": 1, "rounds": rounds}
    data = claimed(
        kind, system, system, functions, functions, initial=[list(system)], evaluations=record
    )
    allowed, task = {}, "replaying the evaluations"
    _, spent = steps_of(data, allowed)
    return spent[task], allowed[task] - 2_500_000


def test_values_are_drawn_as_specified(monkeypatch):
    """Hashes of texts without spaces, in ASCII; of a block that of its first variable in the system's order."""
    text = rb'[5,"x","\u00e9"]'
    expected = int.from_bytes(hashlib.sha256(text).digest(), "big") % 100 + 1
    assert checker._residue(101, 5, "x", "é") == expected
    drawn, residue = [], checker._residue
    monkeypatch.setattr(checker, "_residue", lambda *parts: drawn.append(parts) or residue(*parts))
    data = claimed("backward", {"b": "e", "a": "e", "c": ""}, {}, {"e": ("exp", "3*a")}, blocks={})
    claim = checker.read_claim(data)
    initial = {"b": 0, "a": 0, "c": 0}
    checker.replay_evaluations(claim, initial, checker.Evaluations(101, 7, 9))
    assert drawn[:3] == [(101, 7, "x", "b"), (101, 7, "x", "a"), (101, 7, "x", "c")]
    blocks = [parts for parts in drawn if type(parts[2]) is int and len(parts) == 4]
    assert blocks == [(101, 7, 0, "b"), (101, 7, 1, "c")]
    value = residue(101, 7, 0, "b")
    assert (101, 7, "exp", 3 * value % 101) in drawn


def test_steps_of_a_record_of_values_of_equations():
    """1 + |m| a monomial; users of what moved; 8 a function, 4 a new value."""
    system, functions = {"x": "e", "y": "y + e", "z": ""}, {"e": ("exp", "x*y")}
    size = 2 * ((1 + 2) + (1 + 4) + 1 + (1 + 3))
    begin = 3 + (3 + 2 + 2) + (2 + 2 + 2)  # x*y in e; each monomial; each equation
    moves = (
        (3 + 1) + (3 + 1) + (2 + 1) + 8 + (2 + 2)
    )  # x in x*y, y in x*y and y, e in two equations
    assert replayed("backward", system, functions, 0)[0] == begin
    assert replayed("backward", system, functions, 1)[0] == begin + 4 * 3 + moves
    last = replayed("backward", system, functions, 9)
    assert last == (begin + 4 * 3 + moves + 4 * 2 + moves, 16 * size * size.bit_length())


def test_steps_of_a_record_of_derivatives():
    """1 + |m| a monomial at the point; 1 and 2 for each entry a gradient."""
    system, functions = {"x": "e + x^2", "y": "e"}, {"e": ("exp", "x + 2*y")}
    begin = (2 + 2) + (2 + 2) + 2 + (2 + 2)  # e's argument, both equations, the derivatives of e
    first = 4 * 2 + (1 + 4) + (1 + 2) + (1 + 4)
    assert replayed("forward", system, functions, 0)[0] == begin
    assert replayed("forward", system, functions, 1)[0] == begin + first
    assert replayed("forward", system, functions, 2)[0] == begin + first + 4 + (1 + 4) + (1 + 4)


def test_the_facts_hold_of_derivatives_too():
    """power(1, y, z) is 1, so nothing tells y from z."""
    evaluations = {"prime": 10007, "seed": 0, "rounds": 3}
    parts = {"initial": [["x"], ["y", "z"]], "evaluations": evaluations}
    system, small = {"x": "p", "y": "", "z": ""}, {"x": "1", "y": "", "z": ""}
    data = claimed("forward", system, small, {"p": ("power", "1", "y", "z")}, **parts)
    assert check(data).answer == "inconclusive" and "separate y and z" in check(data).reason
    data["functions"]["p"][0] = "g"
    data["quotient"], data["quotient_functions"] = data["system"], data["functions"]
    assert check(data).coarsest


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
    (tmp_path / "c.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    alone = subprocess.run(  # without -I, which would ignore what is said of encodings
        [sys.executable, "-S", checker.__file__, str(tmp_path / "c.json")],
        capture_output=True,
        env=ascii_only | {"PYTHONIOENCODING": "ascii"},
    )
    assert alone.returncode == 1 and alone.stdout.startswith(b"rejected: the blocks: \\xe9 ")
    assert alone.stdout.count(b"\n") == 1
    (tmp_path / "s.ode").write_text("begin ODE\n d(a\x1b[31m) = q\nend ODE")
    assert checker.main([str(tmp_path / "c.json"), str(tmp_path / "s.ode")]) == 3
    said = capsys.readouterr().out
    assert said.startswith("inconclusive: ") and "\x1b" not in said and said.count("\n") == 1

    def full(path):
        raise MemoryError

    monkeypatch.setattr(checker, "read_json", full)
    assert checker.main([str(tmp_path / "c.json")]) == 3
    assert "more memory than there is; raise the limit" in capsys.readouterr().out


# Records of values never separate what belongs together.


@st.composite
def polynomials(draw, symbols):
    """A few terms, with ``u`` to the power 1 at most; perhaps a constant that facts are about."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([[], [["1", []]], [["-1", []]]]))
    factor = st.tuples(st.sampled_from(symbols), st.integers(1, 2))
    monomial = st.lists(factor, max_size=2, unique_by=lambda f: f[0])
    found = draw(
        st.lists(st.tuples(st.sampled_from(["1", "-1", "2", "1/2"]), monomial), max_size=2)
    )
    return [[c, [[v, 1 if v == "u" else e] for v, e in m]] for c, m in found]


@st.composite
def over_u_and_z(draw):
    """Functions and two equations in symbols for them, in z and in a placeholder u."""
    functions, symbols = {}, ["u", "z"]
    for k in range(draw(st.integers(1, 4))):
        name = draw(
            st.sampled_from(["inverse", "exp", "sin", "cos", "power", "power", "abs", "log", "g"])
        )
        count = 1 if name == "inverse" else draw(st.integers(0 if name == "g" else 1, 3))
        functions[f"f{k}"] = [name, [draw(polynomials(symbols)) for _ in range(count)]]
        symbols.append(f"f{k}")
    return functions, [draw(polynomials(symbols)) for _ in range(3)]


def put(polynomial, image):
    """The polynomial with some symbols replaced by sums."""
    result = []
    for number, factors in polynomial:
        monomials = [[]]
        for name, power in factors:
            monomials = [[*m, [s, power]] for m in monomials for s in image.get(name, [name])]
        result += [[number, m] for m in monomials]
    return result


RECORDS = st.builds(
    checker.Evaluations,
    st.sampled_from([2, 3, 5, 101, 2003, 2**31 - 1]),
    st.integers(0, 99),
    st.just(9),
)


@settings(max_examples=100)
@given(over_u_and_z(), RECORDS)
def test_what_depends_on_a_sum_stays_together(drawn, record):
    """Functions of x + y: no derivative tells x from y, with whatever prime and point."""
    functions, equations = drawn
    image = {"u": ["x", "y"]}
    functions = {f: [name, [put(u, image) for u in us]] for f, (name, us) in functions.items()}
    system = dict(zip("xyz", (put(q, image) for q in equations), strict=True))
    data = claimed("forward", {}, {}) | {"functions": functions, "system": system}
    never_separated(data, record)


@settings(max_examples=100)
@given(over_u_and_z(), RECORDS, st.data())
def test_what_is_equal_where_x_is_y_stays_together(drawn, record, draw):
    """x' and y' are the same with x or y, wherever either may stand: equal values where x = y."""
    functions, (q, _, last) = drawn
    twins, system = {}, {"z": put(last, {"u": ["x"]} | {f: [f"{f}x"] for f in functions})}
    for own in "xy":
        for f, (name, us) in functions.items():
            image = {g: [g + own] for g in functions} | {"u": [draw.draw(st.sampled_from("xy"))]}
            twins[f + own] = [name, [put(u, image) for u in us]]
        image = {g: [g + own] for g in functions} | {"u": [draw.draw(st.sampled_from("xy"))]}
        system[own] = put(q, image)
    data = claimed("backward", {}, {}) | {"functions": twins, "system": system}
    never_separated(data, record)


def never_separated(data, record):
    data |= {"blocks": {name: [name] for name in data["system"]}, "initial": [list(data["system"])]}
    data |= {"quotient": dict.fromkeys(data["system"], [])}
    try:
        claim = checker.read_claim(data)
        found = checker.replay_evaluations(claim, dict.fromkeys(claim.system, 0), record)
    except checker.Inconclusive:  # a denominator is 0
        return
    assert found["x"] == found["y"]
