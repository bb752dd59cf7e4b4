"""Every public verb takes a system with quotients and functions, or refuses it by name."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import sympy

import symlump as sl
from symlump.cli.main import main
from symlump.display.mathml import system_mathml
from symlump.errors import SymlumpError
from symlump.formats import Model

MICHAELIS_MENTEN = """
    s1' = -V*s1/(K + s1 + s2);  s2' = -V*s2/(K + s1 + s2)
    p' = V*(s1 + s2)/(K + s1 + s2) - p*exp(-t)
"""
APART = [["s1", "s2"], ["p"]]
BOX = {"s1": (1, 1.1), "s2": (1, 1.1), "p": 0, "V": 1, "K": 2}


def system():
    return sl.ODE.from_text(MICHAELIS_MENTEN, parameters=["V", "K"])


def lumped(method=None):
    return sl.lump(system(), method or sl.Forward(), APART)


def model():
    return Model("mm", system(), dict.fromkeys(system().variables, 1))


def written():
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.net"
        sl.write(model(), path)
        return path.read_text("utf-8")


def refused(words):
    return lambda ask: _refused(ask, words)


def _refused(ask, words):
    with pytest.raises(SymlumpError, match=words):
        ask()


X = sympy.Symbol("x")
NETWORK = "Network|network|torch"
#: What each verb does with the system: what to ask, and what the answer must hold, or the words of a refusal.
VERBS = {
    "anneal": (lambda: sl.anneal(system(), sl.AFDE(eps=0.1), "steps"), refused(NETWORK)),
    "anneal_seeds": (
        lambda: sl.anneal_seeds(system(), None, [sl.AFDE(eps=0.1)], [0], "seeds"),
        refused(NETWORK),
    ),
    "bound_difference": (lambda: sl.bound_difference(system(), system(), (0, 1)), refused(NETWORK)),
    "breakpoints": (lambda: sl.breakpoints(system(), sl.Forward(), APART), "ε ≥ 0: 4 blocks"),
    "compress": (lambda: sl.compress(system(), sl.AFDE(eps=0.1)), refused(NETWORK)),
    "conditions": (lambda: sl.conditions(system(), APART), "for all parameter values"),
    "conserved": (lambda: sl.conserved(system()), "0 variables by linear lumping"),
    "decode": (lambda: sl.decode(lumped()), refused(r"encode\(network\)")),
    "draw": (lambda: [sl.draw(x) for x in drawn()], "Figure"),
    "draw_blocks": (lambda: sl.draw_blocks(lumped()), "Picture|Figure"),
    "draw_refinement": (lambda: sl.draw_refinement(lumped()), refused(r"explain\(x, y\) says")),
    "draw_trajectories": (
        lambda: sl.draw_trajectories(lumped(), [1, 1, 0, 1, 2], [0, 1, 2]),
        "Picture|Figure",
    ),
    "encode": (lambda: sl.encode(system()), refused(r"got ODE.*lump\(ode, Forward\(\)\)")),
    "from_torch": (lambda: sl.from_torch(system()), refused("torch")),
    "hierarchy": (lambda: sl.hierarchy(system()), "maximal chain .* proofs checked"),
    "lump": (lambda: [lumped(m) for m in METHODS], "exact, proof checked"),
    "lump_family": (
        lambda: sl.lump_family(system(), "V", ["s1"]),
        refused("takes polynomial systems; with quotients and functions"),
    ),
    "lump_store": (
        lambda: sl.lump_store(system(), sl.Forward()),
        refused("takes a Store.*got ODE. Systems in memory go to lump"),
    ),
    "nearest_parameters": (
        lambda: sl.nearest_parameters(system(), APART, sl.Forward(), {"V": 1, "K": 2}).system,
        r"s1' = -s1/\(2 \+ s1 \+ s2\)",
    ),
    "reachable": (lambda: sl.reachable(system(), (0, 1)), refused(NETWORK)),
    "read": (lambda: sl.read, "function read"),  # in tests/formats
    "read_store": (lambda: sl.read_store("model.ode"), refused("model.ode is not a store")),
    "read_recurrent_onnx": (lambda: sl.read_recurrent_onnx("model.ode"), refused("onnx|model.ode")),
    "read_safetensors": (
        lambda: sl.read_safetensors("model.ode"),
        refused("model.ode does not exist"),
    ),
    "read_module": (lambda: sl.read_module("model.ode"), refused("model.ode")),
    "read_onnx": (lambda: sl.read_onnx("model.ode"), refused("onnx|model.ode")),
    "search": (lambda: sl.search(system(), sl.Forward(), retain=0.9), "ε-forward|forward"),
    "simulate": (lambda: sl.simulate(system(), [1, 1, 0, 1, 2], [0, 1]).states.T, "0.766"),
    "surrogate": (lambda: sl.surrogate(system(), 0, 1), refused("activation|ODE")),
    "sweep": (
        lambda: sl.sweep(system(), [0, 0.1], initial=APART, box=BOX, horizon=0.1),
        "ε-forward equivalence",
    ),
    "to_dot": (lambda: sl.to_dot(lumped()), "digraph"),
    "to_mermaid": (lambda: sl.to_mermaid(lumped()), "flowchart"),
    "to_torch": (lambda: sl.to_torch(system()), refused("takes a Network.*; got ODE")),
    "with_surrogates": (lambda: sl.with_surrogates(system(), (0, 1)), refused(NETWORK)),
    "write": (lambda: written(), "Sat|s1/|begin functions"),
    "explain_reduction": (
        lambda: sl.explain_reduction(system(), system()),
        refused("takes two networks or torch modules; got a ODE"),
    ),
    "write_program": (
        lambda: sl.write_program(system(), "a.pt2"),
        refused("takes a Network.*; got ODE"),
    ),
    "write_safetensors": (
        lambda: sl.write_safetensors(system(), "a.safetensors"),
        refused("takes a Network.*; got ODE"),
    ),
    "write_store": (
        lambda: sl.write_store("s", system()),
        refused("a store holds polynomials; this system contains 1/"),
    ),
    "write_onnx": (
        lambda: sl.write_onnx(system(), "a.onnx"),
        refused("takes a Network.*; got ODE"),
    ),
}
METHODS = [sl.Forward(), sl.Backward(), sl.Forward(eps=0.1), sl.Backward(eps=0.1)]


def drawn():
    return [
        system(),
        lumped(),
        lumped(sl.Forward(eps=0.5)),
        sl.lump(system(), sl.Constrained("p")),
        sl.lump(system(), sl.Constrained("p", eps=1)),
        sl.sweep(system(), [0.1, 1], sl.Constrained("p")),
        sl.hierarchy(system()),
        sl.sweep(system(), [0, 0.1]),
        sl.conditions(system(), APART),
        sl.simulate(system(), [1, 1, 0, 1, 2], [0, 1]),
    ]


def test_no_verb_is_left_out():
    verbs = {name for name in sl.__all__ if name[0].islower()}
    assert verbs == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ask, answer = VERBS[verb]
    if callable(answer):
        answer(ask)
        return
    found = ask()
    shown = [*map(str, found)] if isinstance(found, list | tuple) else [str(found)]
    assert re.search(answer, "\n".join(shown) + "\n".join(type(f).__name__ for f in [found])), shown


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: sl.lump(system(), sl.Forward(eps=0.1, erode=True)), r"Forward\(eps\) without it"),
        (lambda: lumped().splits, r"explain\(x, y\).*certificate\(\)"),
        (lambda: lumped().certificate().to_coq(lemmas=True), "lemmas .* functions"),
        (lambda: sl.PolynomialODE.from_sympy({X: 1 / X}), r"1/x"),
    ],
)
def test_what_is_refused_says_what_else_there_is(ask, words):
    _refused(ask, words)


def test_conditions_name_the_functions_in_which_parameters_stand():
    ode = sl.ODE.from_text("x' = exp(k*x); y' = exp(m*y)", parameters=["k", "m"])
    found = sl.conditions(ode, [["x", "y"]])
    assert len(found.unknown) == 2 and "can be put into the system" in str(found)


@pytest.mark.parametrize(
    "method", [*METHODS, sl.Constrained("p"), sl.Constrained("p", eps=1.0)], ids=str
)
def test_what_a_result_offers(method):
    initial = None if isinstance(method, sl.Constrained) else APART
    result = sl.lump(system(), method, initial)
    state = np.array([1.0, 2.0, 0.5, 1.0, 2.0])
    small = result.aggregate(state)
    assert result.aggregate(result.lift(small)) == pytest.approx(small)
    assert "\\dot" in result._repr_latex_() and str(result) and repr(result)
    if method.is_exact:
        assert result.certificate().check().coarsest
    if initial:
        assert result.graph() and result.quotient_graph()
        assert str(result.explain("s1", "s2")) and str(result.explain("s1", "p"))
        bound = result.bound(0.1, BOX, steps=2, samples=2)
        assert bound.value >= bound.observed.largest.max() - 1e-9
    assert result.quotient.to_sympy() and len(model().quotient(result).ode) == len(small)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("show FILE", "5 variables|4 variables|3 variables"),
        ("lump FILE --method forward", "exact, proof checked"),
        ("lump FILE --method backward --eps 0.1", "ε-backward"),
        ("lump FILE --method constrained --observable p", "linear lumping that keeps p"),
        ("conserved FILE", "conserved quantit"),
        ("hierarchy FILE", "chain of exact linear lumpings"),
        ("explain FILE s1 s2", "s1 and s2"),
        ("sweep FILE --eps 0,0.1", "ε-forward"),
        ("sweep FILE --breakpoints", "forward"),
        ("report FILE --eps 0,0.1 -o report.html", "report.html"),
    ],
)
def test_the_command_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = MICHAELIS_MENTEN.replace("*exp(-t)", "*exp(-p)")
    ode = sl.ODE.from_text(text.replace("V", "3").replace("K", "2"))
    sl.write(Model("mm", ode, dict.fromkeys(ode.variables, 1)), "mm.ode")
    assert main([a.replace("FILE", "mm.ode") for a in arguments.split()]) == 0
    captured = capsys.readouterr()
    assert re.search(words, captured.out + captured.err)


def test_a_report_sets_functions_as_mathematics():
    ode = sl.ODE.from_text(
        "x' = -x*exp(-t)/((2 + x)^2*(1 + y)) + y^n; y' = floor(x)", parameters=["n"]
    )
    text = system_mathml(ode)
    below = (
        "<mfrac><mrow><mi>x</mi><mi>exp</mi><mo>(</mo><mo>−</mo><mi>t</mi><mo>)</mo></mrow><mrow>"
    )
    assert below in text and "<msup><mrow><mrow><mo>(</mo><mn>2</mn><mo>+</mo><mi>x</mi>" in text
    assert "<msup><mrow><mo>(</mo><mi>y</mi><mo>)</mo></mrow><mrow><mi>n</mi></mrow></msup>" in text
    assert "<mi>floor</mi><mo>(</mo><mi>x</mi><mo>)</mo>" in text
    deep = "x"
    for _ in range(12):
        deep = f"1/(1 + exp({deep}))"
    assert "<mo>…</mo>" in system_mathml(sl.ODE.from_text(f"x' = {deep}"))
