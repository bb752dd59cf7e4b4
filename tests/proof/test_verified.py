"""The checker extracted from Coq agrees with the one in Python."""

import copy
import os
import re
import resource
import shutil
import subprocess
import time
from fractions import Fraction

import pytest
import sympy
from elementary_systems import symmetric_system
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.claims import EXAMPLES, FUNCTION_EXAMPLES, claimed
from test_certificate import mutations
from test_function_claims import TRUE, UNTRUE, WHOLE_POWERS
from test_linear_certificates import lie_about, lumpings
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import chain
from symlump.errors import FailureError, FileFormatError, MissingProgramError
from symlump.proof.check import read_claim
from symlump.proof.coq import development, verified
from symlump.proof.coq.numbers import number_claim

needs_program = pytest.mark.skipif(
    shutil.which("coqc") is None or shutil.which("ocamlopt") is None,
    reason="coqc or ocamlopt is not installed, so there is no verified checker",
)
pytestmark = needs_program


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


ALL = EXAMPLES | FUNCTION_EXAMPLES


@pytest.mark.parametrize("equation", ["exp(x + y)", "cos(x + y)", "sqrt(x + y)", "1/(1 + x + y)"])
def test_what_python_refutes_is_rejected(equation):
    ode = sl.ODE.from_text(f"x' = {equation}; y' = {equation}")
    data = dict(sl.lump(ode, sl.Forward()).certificate().data)
    false = data | {
        "quotient": {name: [*terms, ["1", []]] for name, terms in data["quotient"].items()}
    }
    certificate = sl.Certificate(false)
    assert certificate.check_verified().answer == certificate.check().answer != "accepted"


@pytest.mark.parametrize("initial", [[["x", "y"]], [["x"], ["y"]]])
def test_a_record_by_monomials_beside_functions_is_not_dropped(initial):
    """Only the quotient has functions: nothing shows that x and y must be apart."""
    system, quotient, blocks = {"x": "x", "y": "y"}, {"a": "a", "b": "b"}, {"a": ["x"], "b": ["y"]}
    sine, record = {"s": ("sin", "a")}, {"initial": initial, "maximality": []}
    data = claimed("forward", system, quotient, quotient_functions=sine, blocks=blocks, **record)
    proof = sl.Certificate(data)
    assert proof.check_verified().answer == "inconclusive"
    assert proof.explain().holds == proof.check().accepted == (len(initial) == 2)
    with pytest.raises(FileFormatError, match="by monomials"):
        sl.Certificate(data | {"initial": [["x"], ["y"]]}).to_coq()


def test_a_denominator_that_vanishes_modulo_the_prime_is_no_refutation():
    below = {"f": ("inverse", f"{2**31 - 1}*x")}
    data = claimed("forward", {"x": "f"}, {"x": "f"}, below, below)
    assert sl.Certificate(data).check().accepted
    assert sl.Certificate(data).check_verified().answer == "inconclusive"
    false = claimed("forward", {"x": "f"}, {"x": "x"}, below, below)
    assert sl.Certificate(false).check_verified().answer == "rejected"


@pytest.mark.parametrize("name", ALL)
def test_both_accept_the_examples(name):
    data = ALL[name]().data
    best = any(key in data for key in ("maximality", "evaluations", "closure"))
    assert both(data) == [(True, best)] * 2


@pytest.mark.parametrize("kind", ["forward", "backward", "linear"])
def test_both_know_the_same_of_functions(kind):
    for claims, true in ((TRUE, True), (WHOLE_POWERS, True), (UNTRUE, False)):
        for left, right, functions, *_ in claims:
            data = claimed(kind, {"x": left}, {"x": right}, functions, functions)
            assert both(data) == [(true, False)] * 2, (left, right, functions)


BY_BASE = {"i": ("inverse", "x"), "e": ("power", "x", "-2")}


@pytest.mark.parametrize("kind", ["forward", "backward", "linear"])
def test_a_negative_whole_power_needs_a_quotient_by_its_base(kind):
    for right, functions, known in (
        ("i^2", BY_BASE, True),
        ("e", dict(reversed(BY_BASE.items())), True),
        ("i^2", dict(reversed(BY_BASE.items())), False),
        ("f^2", {"e": ("power", "x", "-2"), "f": ("power", "x", "-1")}, False),
    ):
        proof = sl.Certificate(claimed(kind, {"x": "e"}, {"x": right}, functions, functions))
        assert proof.check().accepted
        found = proof.check_verified()
        assert found.answer == ("accepted" if known else "inconclusive")
        assert known or "no quotient divides by" in found.reason


@pytest.mark.parametrize("n", [0, 1, 3, 1000, -1, -2])
def test_an_exponent_becomes_a_number_where_variables_are_equal(n):
    ode = sl.ODE.from_text(f"x' = z^(x - y + {n}); y' = z^{n}; z' = 2^(y - x + 3)*z/8 + 1")
    lumping = sl.lump(ode, sl.Backward())
    assert lumping.blocks == (("x", "y"), ("z",))
    assert both(lumping.certificate().data) == [(True, True)] * 2


def test_an_observable_that_the_rows_do_not_give_is_refused():
    data = copy.deepcopy(EXAMPLES["e5"]().data)
    (_, carried), *_ = data["closure"]["observables"]
    carried[0][0] = "2"
    certificate = sl.Certificate(data)
    assert certificate.check_verified().answer == certificate.check().answer == "rejected"


@pytest.mark.parametrize("member", ["e", "absent"])
def test_a_member_that_is_no_variable_is_refused(member):
    e = {"e": ("inverse", "1 + x")}
    blocks = {"b": ["x", member]}
    data = claimed("forward", {"x": "e", "y": "e"}, {"b": "2*e"}, e, e, blocks=blocks)
    certificate = sl.Certificate(data)
    assert certificate.check_verified().answer == certificate.check().answer == "rejected"


def test_gradients_through_whole_powers():
    """Exponents that are 3 and -2 wherever they have a value; the modulus of a small prime is not taken."""
    functions = {
        "i": ("inverse", "u"),
        "e": ("power", "u", "u*i + 2"),
        "f": ("power", "u", "u*i - 3"),
    }
    system = {"x": "e + f - y", "y": "e + f - x", "u": "-1*u"}
    quotient = {"b": "2*e + 2*f - b", "u": "-1*u"}
    blocks = {"b": ["x", "y"], "u": ["u"]}
    record = {"prime": 2**31 - 1, "seed": 0, "rounds": 2}
    data = claimed("forward", system, quotient, functions, functions, blocks=blocks)
    data |= {"initial": [["x", "y", "u"]], "evaluations": record}
    assert both(data) == [(True, True)] * 2
    observed = [[["1", [["x", 1]]], ["1", [["y", 1]]]], [["1", [["b", 1]]]]]
    closure = {"observables": [observed], "start": [0], "prime": 2**31 - 1, "steps": [[0, 1]]}
    matrix = {"b": "x + y", "u": "u"}
    data = claimed("linear", system, quotient, functions, functions, matrix=matrix, closure=closure)
    assert both(data) == [(True, True)] * 2
    data["closure"]["prime"] = 1999
    assert number_claim(read_claim(data)).symbols.modulus > 2000
    assert both(data) == [(False, False)] * 2
    assert "whose prime is too small" in sl.Certificate(data).check_verified().reason


def test_a_record_of_points_that_is_too_short_shows_nothing():
    """The points of Coq are others, and would have told the blocks apart."""
    data = copy.deepcopy(FUNCTION_EXAMPLES["hill, backward"]().data)
    data["evaluations"]["rounds"] = 0
    assert both(data) == [(False, False)] * 2


@pytest.mark.parametrize(
    "method", [sl.Forward(), sl.Backward(), sl.Constrained(["x + y"])], ids=str
)
def test_another_modulus_where_the_first_divides_a_denominator(method):
    ode = sl.ODE.from_text(
        "x' = -x/(1 + x + y)/2147483647 + exp(x + y); y' = -y/(1 + x + y)/2147483647 + exp(x + y)"
    )
    claim = number_claim(read_claim(sl.lump(ode, method).certificate().data))
    assert claim.symbols.modulus != 2**31 - 1
    assert both(sl.lump(ode, method).certificate().data) == [(True, True)] * 2


#: Where lines have equal slopes, and third and sixth differences of polynomials of low degree vanish.
ONLY_OF_POLYNOMIALS = (
    "a' = sqrt(x) + sqrt(y); x' = 0; y' = 0",
    "a' = x^w + y^w; w' = 1; x' = 0; y' = 0",
    "a' = exp(x + y + z) - exp(x + y) - exp(y + z) - exp(x + z) + exp(x) + exp(y) + exp(z); b' = 1; "
    "x' = x; y' = y; z' = z",
    "a' = sin(5*x) - 4*sin(4*x) + 5*sin(3*x) - 5*sin(x); b' = 0; x' = 1",
    "a' = x1 - 6*x2 + 15*x3 - 20*x4 + 15*x5 - 6*x6 + x7; b' = 0; c' = exp(c); "
    + "; ".join(f"x{i}' = {i}" for i in range(1, 8)),
)


@pytest.mark.parametrize(
    "method",
    [sl.Forward(), sl.Backward(), sl.Constrained(["a"])],
    ids=["forward", "backward", "linear"],
)
def test_points_tell_apart_what_polynomials_do_not(method):
    for text in ONLY_OF_POLYNOMIALS:
        assert (
            both(sl.lump(sl.ODE.from_text(text), method).certificate().data) == [(True, True)] * 2
        )


def test_what_is_beyond_the_bounds_is_not_given_to_coq():
    """To a power of 10 000 the checker in Coq would multiply for hours: it has no bounds."""
    hill = copy.deepcopy(FUNCTION_EXAMPLES["hill"]().data)
    del hill["digest"]
    term = next(
        t for p in hill["system"].values() for t in p if t[1] and t[1][0][0] in hill["functions"]
    )
    term[1][0][1] = 10_000
    found, expected = sl.Certificate(hill).check_verified(), sl.Certificate(hill).check()
    assert found == expected and found.answer == "inconclusive"


def test_a_map_is_no_differential_equation_for_both():
    ode = to_ode([{(0,): 1}, {(1,): 1}])
    proof = sl.lump(ode, sl.Forward()).certificate()
    for ask in (proof.check, proof.check_verified):
        assert ask(ode).accepted
        assert "what was given is a map" in ask(ode.as_map()).reason
    of_map = sl.lump(ode.as_map(), sl.Forward()).certificate()
    assert of_map.check_verified().reason.startswith("forward lumping of a map (2 variables, ")
    assert "map" not in proof.check_verified().reason


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()], ids=str)
def test_both_agree_on_mutants_with_functions(seed, method):
    system = symmetric_system(seed, functions=seed % 2 == 0)
    data = copy.deepcopy(sl.lump(sl.ODE.from_sympy(system), method).certificate().data)
    assert both(data) == [(True, True)] * 2
    del data["digest"]
    keys = ("functions", "quotient_functions")
    polynomials = [*data["system"].values(), *data["quotient"].values()]
    polynomials += [u for key in keys for _, us in data.get(key, {}).values() for u in us]
    for term in [term for polynomial in polynomials for term in polynomial]:
        before = term[0]
        term[0] = str(Fraction(before) + 1)
        python, coq = both(data)
        assert python == coq
        term[0] = before


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


def seconds(claim):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    answers = verified.ask(claim)
    assert answers["lumping"] and answers["inside"] and answers["coarsest"]
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()], ids=str)
def test_the_replay_does_not_look_at_what_stays(method):
    """A chain splits one by one, so a look at every variable in every round would take 16 times as long."""
    short, long = (
        number_claim(read_claim(sl.lump(chain(n), method).certificate().data)) for n in (2000, 8000)
    )
    assert seconds(long) < 10 * max(seconds(short), 0.02)


def test_numbers_do_not_grow_with_the_depth_of_a_derivation():
    """Rationals would have thousands of digits after 150 steps with coefficients that were floats."""
    x = sympy.symbols("x0:150")
    system = {v: sympy.Float(0.1 + i / 7) * x[i + 1] * x[0] for i, v in enumerate(x[:-1])}
    ode = sl.PolynomialODE.from_sympy(system | {x[-1]: 0})
    data = sl.lump(ode, sl.Constrained(["x0"])).certificate().data
    assert both(data) == [(True, True)] * 2
    del data["closure"]["steps"][-1]
    assert both(data) == [(False, False)] * 2


def many_steps(count):
    """A derivation whose steps add nothing, and whose length is the depth of a recursion."""
    x, r = [["1", [["x", 1]]]], [["1", [["r", 1]]]]
    closure = {"observables": [[x, r]], "start": [0], "prime": 101, "steps": [[0, []]] * count}
    return claimed("linear", {"x": "x"}, {"r": "r"}, matrix={"r": "x"}, closure=closure)


def test_deep_recursion_has_all_the_stack_there_may_be():
    """With the usual 8 MB the program would stop."""
    found = sl.Certificate(many_steps(120_000)).check_verified()
    assert (
        found.reason
        == "linear lumping (1 variable, 1 row) proved; not that it is the smallest that keeps the observables"
    )


def test_too_little_stack_is_said(monkeypatch):
    claim = number_claim(read_claim(many_steps(20_000)))
    verified.ask(claim)  # compiles it, with what that takes
    run = subprocess.run

    def with_little(command, **options):
        def limit():
            resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, 1 << 19))

        return run(command, preexec_fn=limit, **options)

    monkeypatch.setattr(subprocess, "run", with_little)
    with pytest.raises(FailureError, match="the verified checker ran out of stack"):
        verified.ask(claim)


def test_long_numbers_are_read_by_coq():
    """In decimals Coq takes seconds for one of them, and Python writes none of more than 4 300 digits."""
    long = f"{10**3000 + 7}"
    below = {"f": ("inverse", f"3/7 + {long}*x + 1/{10**3000 + 9}*x^2")}
    data = claimed("backward", {"x": "f"}, {"x": "f"}, below, below)
    text = sl.Certificate(data).to_coq()
    assert "0x" in text and max(map(len, re.findall(r"\b[0-9]+\b", text))) < 100
    assert sl.Certificate(data).check_verified(coqc=True).accepted


@pytest.mark.parametrize("given", ["cache", "./cache", ""])
def test_a_cache_that_is_no_absolute_path_is_ignored(given, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = development.make_cached("test", ["Extract.v"], [["coqc", "--version"]])
    assert made.parent == tmp_path / "home" / ".cache" / "symlump" and made.is_dir()
    assert not (tmp_path / "cache").exists()


ECHO = (["Extract.v"], [["coqc", "--version"]])


def test_what_was_made_of_old_sources_goes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home = tmp_path / "symlump"
    days = 24 * 3600
    now = time.time()
    ages = [("theory", 9, n * days) for n in range(1, 6)] + [("checker", 8, 9 * days)]
    for number, (name, digit, age) in enumerate(ages):
        folder = home / f"coq-{name}-{digit}{number:015x}"
        folder.mkdir(parents=True)
        os.utime(folder, (now - age, now - age))
    for name, age in (("coq-making-a", 2 * days), ("coq-making-b", 60), ("digits.csv", 99 * days)):
        (home / name).mkdir()
        os.utime(home / name, (now - age, now - age))
    made = development.make_cached("theory", *ECHO)
    left = {path.name for path in home.iterdir()}
    theories = {made.name, *(f"coq-theory-9{n:015x}" for n in range(2))}  # the last three
    assert left == theories | {"coq-checker-8000000000000005", "coq-making-b", "digits.csv"}
    used = home / "coq-theory-9000000000000001"
    os.utime(made, (now - 9 * days, now - 9 * days))
    assert development.make_cached("theory", *ECHO) == made  # used again, so it is young
    assert made.stat().st_mtime > used.stat().st_mtime


@pytest.mark.parametrize("harm", [os.remove, lambda path: path.write_bytes(b""), None])
def test_what_was_damaged_is_made_again(harm, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = development.make_cached("theory", *ECHO)
    copied = made / "Extract.v"
    if harm:
        harm(copied)
    copied.with_name("beside").write_text("left here by hand")
    assert development.make_cached("theory", *ECHO) == made
    assert copied.read_bytes() == (development.SOURCES / "Extract.v").read_bytes()
    assert sorted(path.name for path in made.iterdir()) == ["Extract.v", "sizes.json"]
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_without_a_place_there_is_no_verdict(monkeypatch, tmp_path, capsys):
    (tmp_path / "symlump").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    EXAMPLES["e2"]().write(tmp_path / "c.json")
    for asked in ("--verified", "--coq"):
        assert main(["check", str(tmp_path / "c.json"), asked]) == 2
        said = capsys.readouterr()
        assert "set XDG_CACHE_HOME" in said.err and not said.out
    with pytest.raises(MissingProgramError, match="could not be compiled in"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
        development.make_cached("theory", ["Extract.v"], [["coqc", "absent.v"]])
    assert not list((tmp_path / "new" / "symlump").iterdir())


def test_command_line(tmp_path, capsys):
    path = tmp_path / "c.json"
    EXAMPLES["e2"]().write(path)
    assert main(["check", str(path), "--verified"]) == 0
    assert "the coarsest inside the initial partition: proved" in capsys.readouterr().out
    assert main(["check", str(path), "--coq"]) == 0
    assert "the coarsest inside the initial partition: proved" in capsys.readouterr().out
    forged = sl.Certificate(EXAMPLES["e2"]().data | {"quotient": {"y1": [], "x3": []}})
    forged.write(path)
    assert main(["check", str(path), "--verified"]) == 1
    assert main(["check", str(path), "--coq"]) == 1
    short = sl.Certificate(EXAMPLES["e2"]().data | {"maximality": []})
    short.write(path)
    assert main(["check", str(path), "--verified"]) == 3
    assert main(["check", str(path), "--coq"]) == 3
    assert "proved; not that it is the coarsest" in capsys.readouterr().out
