"""Walking through a proof: a true certificate holds in every step, a false one fails where it is false."""

import copy
import json
import shutil
import subprocess

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.claims import EXAMPLES, FUNCTION_EXAMPLES, certificate, claimed
from test_certificate import mutations
from test_function_claims import TRUE, UNTRUE
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import multisite_phosphorylation
from symlump.errors import FileFormatError, MethodError


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("e4", "high powers")])
def test_every_step_of_a_true_proof_holds(name):
    proof = EXAMPLES[name]()
    walk = proof.explain()
    assert walk.holds
    count = len(proof.data.get("matrix", proof.data.get("blocks")))
    partition = "initial" in proof.data
    best = len(proof.data["maximality"]) + 1 if "maximality" in proof.data else partition
    assert len(walk) == count + ("closure" in proof.data) + best


def test_the_words_of_e2():
    walk = EXAMPLES["e2"]().explain()
    assert str(walk[0]).splitlines() == [
        "Block y1 = x1 + x2",
        "  The derivatives of the members add up to",
        "    f = -x1*x3 - x2*x3",
        "  Its derivatives by x1 and x2 agree, so f depends on the sum x1 + x2 only:",
        "    ∂f/∂x1 = -x3",
        "    ∂f/∂x2 = -x3",
        "  Put y1 for x1 and 0 for the other members; the quotient claims for y1'",
        "    f = -x3*y1",
        "  This holds.",
    ]
    assert r"\partial f/\partial x_{1} &= - x_{3}" in walk.to_latex()
    assert "$$ f = - x_{3} y_{1} $$" in walk._repr_markdown_()


def test_a_false_quotient_fails_in_its_block_only():
    data = copy.deepcopy(EXAMPLES["e3"]().data)
    data["quotient"]["x3"][0][0] = "5"
    walk = sl.Certificate(data).explain()
    assert [step.holds for step in walk] == [True, False, True, True]
    assert "claimed: " in str(walk[1]) and r"\neq" in walk[1].to_latex()


def test_a_record_that_falls_short_is_seen():
    data = EXAMPLES["e1"]().data | {"maximality": []}
    walk = sl.Certificate(data).explain()
    assert not walk.holds and "the blocks are others" in str(walk[-1])


def same(name, weight="1"):
    return [[weight, [[name, 1]]]]


def test_blocks_outside_the_initial_partition_are_seen():
    data = {"format": "symlump certificate", "version": 1, "kind": "forward", "blocks": {"z": ["x", "y"]},
            "system": {"x": same("x"), "y": same("y")}, "quotient": {"z": same("z")}}  # fmt: skip
    for initial, inside in (([["x"], ["y"]], False), ([["y", "x"]], True)):
        proof = sl.Certificate(data | {"initial": initial})
        assert proof.explain().holds == proof.check().accepted == inside
        assert proof.explain()[-1].title == "Inside the initial partition"


@pytest.mark.parametrize("row", ["r", "y"])
def test_observables_are_compared_with_the_rows(row):
    data = {"format": "symlump certificate", "version": 1, "kind": "linear", "matrix": {row: same("y")},
            "system": {"x": same("x"), "y": same("y", "2")}, "quotient": {row: same(row, "2")}}  # fmt: skip
    for kept, true in (("x", False), ("y", True)):
        derivation = {
            "observables": [[same(kept), same(row)]],
            "start": [0],
            "prime": 101,
            "steps": [],
        }
        proof = sl.Certificate(data | {"closure": derivation})
        assert proof.explain().holds == proof.check().accepted == true


@pytest.mark.parametrize("name", ["", "x\n  This holds.", "\x1b[2J"])
def test_names_that_could_forge_a_line_are_not_shown(name):
    data = {"format": "symlump certificate", "version": 1, "kind": "forward", "blocks": {"z": [name]},
            "system": {name: same(name)}, "quotient": {"z": same("z")}}  # fmt: skip
    with pytest.raises(MethodError, match="cannot be written in a formula") as caught:
        sl.Certificate(data).explain()
    assert str(caught.value).isprintable()


@settings(max_examples=40)
@given(
    st.one_of(systems(max_variables=4), planted_forward().map(lambda p: p[0])),
    st.sampled_from([sl.Forward(), sl.Backward()]),
    st.data(),
)
def test_sympy_and_the_checker_agree(system, method, data):
    mutated = data.draw(mutations(sl.lump(to_ode(system), method).certificate().data))
    mutated.pop("digest", None)
    try:
        verdict = sl.Certificate(mutated).check()
        holds = sl.Certificate(mutated).explain().holds
    except FileFormatError:
        return
    except MethodError:  # a partition that is none has no proof to walk through
        assert not verdict.accepted
        return
    assert holds == verdict.accepted


def test_some_blocks_of_a_large_system():
    proof = certificate(multisite_phosphorylation(5), sl.Forward())
    name = next(iter(proof.data["blocks"]))
    assert len(proof.explain(blocks=[name])) == 1
    with pytest.raises(MethodError, match="too many to read"):
        proof.explain()
    with pytest.raises(MethodError, match="not one of the quotient's"):
        proof.explain(blocks=["nobody"])
    with pytest.raises(FileFormatError, match="only the digest"):
        proof.without_system().explain()


def test_names_are_no_formatting():
    a, b = sympy.Symbol("A(b!1,c~P)"), sympy.Symbol("50%_$x")
    walk = certificate({a: -a, b: -b}, sl.Forward()).explain()
    assert walk.holds and r"50\%\_\$x" in walk.to_latex() and r"\$x" in walk._repr_markdown_()


@pytest.mark.parametrize("name", FUNCTION_EXAMPLES)
def test_every_step_with_functions_holds(name):
    proof = FUNCTION_EXAMPLES[name]()
    walk = proof.explain()
    assert walk.holds and walk[0].title == "What is used"
    assert "This holds" not in str(walk[0]) and "This holds" not in walk[0].to_latex()
    count = len(proof.data.get("matrix", proof.data.get("blocks")))
    best = "evaluations" in proof.data
    assert len(walk) >= 1 + count + best
    assert (walk[-1].title == "Nothing coarser will do") == best
    for name in list(proof.data["quotient"])[:1]:
        assert [step.title.split()[1].rstrip(":") for step in proof.explain([name])][1:] == [name]
    assert "{" not in str(walk)  # every sentence is filled in


def test_the_words_of_the_cascade():
    walk = FUNCTION_EXAMPLES["cascade"]().explain(["y1"])
    assert str(walk[1]).splitlines() == [
        "Block y1 = s1 + s2",
        "  The derivatives of the members add up to",
        "    f = -3*s1/(s1 + s2 + 2) - 3*s2/(s1 + s2 + 2)",
        "  The quotient claims",
        "    y1' = -3*y1/(y1 + 2)",
        "  which is, with the sums put in for the blocks,",
        "    g = -3*(s1 + s2)/(s1 + s2 + 2)",
        "  With the numerators multiplied out, f and g are the same.",
        "  This holds.",
    ]


def test_the_rounds_of_the_pendulums():
    walk = FUNCTION_EXAMPLES["pendulums"]().explain()
    assert str(walk[-2]).splitlines() == [
        "Round 1: what must be apart",
        "  The equations of a1, w1, a2 and w2 differ, with functions taken as unknown, "
        "where every variable is replaced by the first of its block:",
        "    a1, a2: a1",
        "    w1, w2: -a1/10 - sin(a1) + cos(2*t)",
        "  This holds.",
    ]
    assert "sin(-u) = -sin(u)" in str(walk[0]) and r"\sin" in walk[-2].to_latex()


def test_derivatives_of_unknown_functions():
    walk = FUNCTION_EXAMPLES["hill"]().explain()
    assert "D1(a^n)/(K^n + a^n)" in str(walk[-2])
    assert "is taken as one more unknown function" in str(walk[-2])


@pytest.mark.parametrize("kind", ["forward", "backward", "linear"])
def test_what_is_known_of_functions(kind):
    for claims, true in ((TRUE, True), (UNTRUE, False)):
        for left, right, functions, *_ in claims:
            data = claimed(kind, {"x": left}, {"x": right}, functions, functions)
            assert sl.Certificate(data).explain().holds == true, (left, right, functions)


def test_a_false_claim_with_functions_fails_in_its_block_only():
    data = copy.deepcopy(FUNCTION_EXAMPLES["cascade"]().data)
    data["quotient"]["y1"][0][0] = "-2"
    del data["digest"]
    walk = sl.Certificate(data).explain()
    assert [step.holds for step in walk] == [True, False, True, True, True]
    assert "They are not the same:\n    f - g = " in str(walk[1])


def test_a_partition_that_is_not_the_coarsest_is_seen():
    data = copy.deepcopy(FUNCTION_EXAMPLES["cascade"]().data)
    data["initial"] = [list(data["system"])]
    walk = sl.Certificate(data).explain()
    assert not walk.holds and "the blocks are others" in str(walk[-1])


def test_a_smallest_linear_lumping_with_functions():
    ode = sl.ODE.from_text("x' = -exp(-t)*x/(1 + y); y' = exp(-t)*x/(1 + y); z' = x")
    proof = sl.lump(ode, sl.Constrained("x")).certificate()
    walk = proof.explain()
    assert walk.holds and "all of them are independent, and there are 2 rows" in str(walk[-1])
    assert "a combination of them, with functions taken as unknown. The record" in str(walk[-1])
    data = copy.deepcopy(proof.data)
    data["closure"]["steps"] = []
    assert "vectors, the lumping 2 rows" in str(sl.Certificate(data).explain()[-1])


def nested(depth, last="exp"):
    """x' = f(… exp(exp(x) + exp(x)²) …), which is twice as long at each depth when written out."""
    inner = [f"f{i} + f{i}^2" for i in range(1, depth)]
    names = ["exp"] * (depth - 1) + [last]
    functions = {
        f"f{i}": (name, u) for i, (name, u) in enumerate(zip(names, ["x", *inner], strict=True), 1)
    }
    equation = {"x": f"f{depth}"}
    return claimed("backward", equation, equation, functions, functions, blocks={"x": ["x"]})


def test_what_is_nested_is_written_once():
    short, long = (sl.Certificate(nested(depth)).explain() for depth in (20, 40))
    assert short.holds and long.holds
    assert len(str(long)) < 2.5 * len(str(short))
    assert len(long.to_latex()) < 2.5 * len(short.to_latex())
    names = [line for line in str(long[0]).splitlines() if line.startswith("    u")]
    assert [name.split()[0] for name in names] == [f"u{i}" for i in range(1, len(names) + 1)]
    assert r"u_{1} &= \operatorname{exp}" in long.to_latex()


def test_long_values_are_equal_where_their_names_are():
    data = nested(20)
    data["quotient_functions"] = nested(20, "tanh")["quotient_functions"]
    assert not sl.Certificate(data).explain().holds
    ode = sl.ODE.from_text(
        "u1' = exp(exp(exp(exp(exp(u1 + x) + x*u1) + u1^2 + x) + x^2) + x*u1^2); x' = 1"
    )
    walk = sl.lump(ode, sl.Forward()).certificate().explain()
    assert walk.holds and "    v1 = exp(" in str(walk[0])  # a name that no variable has


def test_what_is_too_long_is_refused_at_once():
    deep = "x"
    for _ in range(7):
        deep = f"({deep})/(1 + {deep})"
    ode = sl.ODE.from_text(f"x' = {deep}; y' = {deep.replace('x', 'y')}")
    with pytest.raises(MethodError, match="longer than one can read"):
        sl.lump(ode, sl.Backward()).certificate().explain()


def test_the_command_line_prints_it(tmp_path, capsys):
    path = tmp_path / "c.json"
    proof = FUNCTION_EXAMPLES["cascade"]()
    proof.write(path)
    assert main(["check", str(path), "--explain"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(str(proof.explain())) and "\n\naccepted: forward" in shown
    assert main(["check", str(path), "--explain", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proof"] == str(proof.explain())
    proof.without_system().write(path)
    assert main(["check", str(path), "--explain"]) == 2
    assert "with functions holds its system" in capsys.readouterr().err


def test_a_denominator_of_zero_is_no_reading():
    data = claimed("forward", {"x": ""}, {"x": ""}, {"i": ("inverse", "x - x")})
    with pytest.raises(MethodError, match="a denominator is 0"):
        sl.Certificate(data).explain()


def test_names_without_a_formula_are_shown_everywhere():
    last = EXAMPLES["e2"]().explain()[-1]
    for shown in (str(last), last.to_latex(), last._repr_markdown_()):
        assert "x1, x2; x3" in shown and "they are the blocks" in shown


ODD_NAMES = [
    "α",
    "x'",
    "a^b",
    "a_b_c",
    "{",
    "}",
    "\\",
    "#",
    "%",
    "~",
    "é",
    "x²",
    "ϕ1",
    "a b",
    "<x>",
    "&",
    "$",
]


def of_odd_names(kind):
    """A claim about variables whose names mean something to TeX, or nothing."""
    rates = {name: [["-1", [[name, 1]]]] for name in ODD_NAMES}
    parts = {"blocks": {"ρ%": ODD_NAMES}}
    if kind == "linear":
        parts = {"matrix": {"ρ%": [["1", [[name, 1]]] for name in ODD_NAMES]}}
    data = {"format": "symlump certificate", "version": 1, "kind": kind, "system": rates}
    return sl.Certificate(data | parts | {"quotient": {"ρ%": [["-1", [["ρ%", 1]]]]}})


def with_an_odd_function():
    def applied(symbol, variable):
        return {symbol: ["ƒ_%é{", [[["1", [[variable, 1]]]]]]}

    data = {
        **{"format": "symlump certificate", "version": 3, "kind": "backward"},
        "system": {"x": [["1", [["f", 2]]]], "y": [["1", [["g", 2]]]]},
        "functions": applied("f", "x") | applied("g", "y"),
        "blocks": {"z": ["x", "y"]},
        "quotient": {"z": [["1", [["h", 2]]]]},
        "quotient_functions": applied("h", "z"),
    }
    return sl.Certificate(data)


@pytest.mark.parametrize("name", ["powerful", "power", "powers"])
def test_only_a_power_is_shown_as_one(name):
    f = {"f": (name, "x", "x")}
    walk = sl.Certificate(claimed("backward", {"x": "f"}, {"x": "f"}, f, f)).explain()
    assert ("x' = x^x" in str(walk)) == (name == "power")
    assert (f"x' = {name}(x, x)" in str(walk)) == (name != "power")


def test_a_function_of_any_name_is_walked_through():
    walk = with_an_odd_function().explain()
    assert walk.holds and r"\text{ƒ\_\%é\{}^{2}{\left(z \right)}" in walk[1].to_latex()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_tex_takes_every_proof(tmp_path):
    """One document of all examples, and of names that mean something to TeX."""
    proofs = [make() for make in (EXAMPLES | FUNCTION_EXAMPLES).values()]
    proofs += [of_odd_names(kind) for kind in ("forward", "backward", "linear")]
    wrong = copy.deepcopy(EXAMPLES["e2"]().data) | {"quotient": {"y1": [], "x3": []}}
    proofs += [sl.Certificate(wrong)]
    proofs.append(with_an_odd_function())
    body = "\n".join(proof.explain().to_latex() for proof in proofs)
    source = (
        "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n%s\n\\end{document}\n"
    )
    (tmp_path / "proofs.tex").write_text(source % body, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "proofs.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "proofs.log").read_text(errors="replace")
    assert "Missing character" not in log and "Overfull \\vbox" not in log


def test_functions_obey_no_identities_that_the_proof_does_not_use():
    proof = sl.lump(sl.ODE.from_text("x' = sqrt(x)*sqrt(x); y' = y"), sl.Backward()).certificate()
    text = str(proof.explain())
    assert "x: (sqrt(x))^2\n    y: x" in text and "x' = (sqrt(x))^2" in text
    assert "x and y differ, with functions taken as unknown, where" in text
    assert "With functions taken as unknown, no equivalence inside the initial partition" in text
    plain = sl.lump(sl.ODE.from_text("x' = x/(1 + x); y' = y"), sl.Backward()).certificate()
    assert "taken as unknown" not in str(plain.explain())
