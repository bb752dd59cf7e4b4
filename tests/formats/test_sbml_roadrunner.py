"""Small SBML models, one for each construct, beside what libroadrunner makes of them.

Its derivatives at random states and its solutions are in ``roadrunner.json``. Where it is installed
(``pip install libroadrunner``) the record is made again and compared, and what we write is simulated there;
``python tests/formats/test_sbml_roadrunner.py`` writes the record.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from test_sbml_semantics import (
    COUNTED,
    A,
    compartment,
    event,
    model,
    parameter,
    reaction,
    read,
    rule,
    species,
    start,
)

RECORD = Path(__file__).with_name("roadrunner.json")
TIMES = np.linspace(0, 4, 9)

LAW = ("*", "k", "c", "A", "B")
LOCAL = '<listOfLocalParameters><localParameter id="k" value="0.25"/></listOfLocalParameters>'
B = species("B", 'initialConcentration="2"')
K = parameter("k", 0.5)
TWO = compartment(attributes='size="2"')
FLAT = compartment(attributes='spatialDimensions="0"')
DECAY = reaction(("*", "k", "A"), ["A"])
HALF = '<speciesReference species="B" stoichiometry="0.5" constant="true"/>'
SQUARE = (
    '<functionDefinition id="f"><math xmlns="http://www.w3.org/1998/Math/MathML"><lambda><bvar><ci>x</ci></bvar>'
    "<apply><times/><ci>x</ci><ci>x</ci></apply></lambda></math></functionDefinition>"
)
TWICE = SQUARE.replace('"f"', '"g"').replace(
    "<times/><ci>x</ci>", "<plus/><apply><ci>f</ci><ci>x</ci></apply>"
)
OLD = """<sbml xmlns="http://www.sbml.org/sbml/level{0}" level="{1}" version="{2}"><model {3}="m">
<listOfCompartments><compartment {3}="c" {4}="2"/></listOfCompartments>
<listOfSpecies><{5} {3}="A" compartment="c" initialAmount="3"/><{5} {3}="B" compartment="c" initialAmount="0"/>
</listOfSpecies><listOfParameters><parameter {3}="k" value="0.5"/></listOfParameters>
<listOfReactions><reaction {3}="r"><listOfReactants><{6} {7}="A" stoichiometry="2"/></listOfReactants>
<listOfProducts><{6} {7}="B"/></listOfProducts><kineticLaw{8}</kineticLaw></reaction>
</listOfReactions></model></sbml>"""
MATH = '><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/><ci>k</ci><ci>A</ci></apply></math>'


def law(expression, *more):
    """A turns into B."""
    return model(A, B, K, *more, reaction(expression, ["A"], ["B"]))


def piecewise(value, condition, otherwise):
    """Value where a condition holds."""
    from test_sbml_semantics import inner

    return (
        f"<piecewise><piece>{inner(value)}{inner(condition)}</piece>"
        f"<otherwise>{inner(otherwise)}</otherwise></piecewise>"
    )


AT = ("<geq/>", "time", 1.3)
LOW = ("<lt/>", "A", 0.6)
MODELS = {
    "concentrations": model(TWO, A, B, K, reaction(LAW, ["A"], ["B"])),
    "amounts": model(species("A", units="true"), B, K, reaction(LAW, ["A", "A"], ["B"])),
    "amounts in a size": model(TWO, species("A", units="true"), B, K, reaction(LAW, ["A"], ["B"])),
    "no dimensions": model(FLAT, A, K, DECAY),
    "two sizes": model(TWO, compartment("d", 'size="5"'), A, species("B", where="d"), K,
                       reaction(("*", "k", "A"), ["A"], ["B"])),
    "boundary": model(A, species("B", held="true"), K, reaction(LAW, ["B"], ["A"])),
    "boundary by rule": model(A, species("B", held="true"), K, rule("B", ("-", "A"), "rate"),
                              reaction(LAW, ["B", "A"], [])),
    "size": model(compartment(attributes=""), K, start("c", ("+", "k", 3)), A, B, reaction(LAW, ["A"])),
    "stoichiometry": model(species("X"), K, rule("n", ("*", "k", 3)), reaction("X", [], [COUNTED])),
    "fractions": model(A, B, K, reaction(("*", "k", "A"), ["A"], [HALF])),
    "both sides": model(A, B, K, reaction(LAW, ["A", "B"], ["B", "B"])),
    "rates": model(A, parameter("p", 2), rule("p", ("-", "A"), "rate"), reaction("p", [], ["A"])),
    "rates of species": model(TWO, A, rule("A", ("-", "A"), "rate")),
    "rules": model(A, B, K, rule("k", ("+", "q", 1)), parameter("q"), rule("q", "A"), reaction(LAW, ["A"])),
    "rules of species": model(TWO, A, B, K, rule("B", ("*", 2, "A")), reaction(("*", "k", "B"), ["A"])),
    "initial": model(A, B, K, parameter("q"), start("q", ("/", "k", 4)), start("A", ("+", "q", "k")), DECAY),
    "growing": model(A, B, K, rule("c", "k", "rate"), reaction(LAW, ["A"], ["B"])),
    "breathing": model(A, K, rule("c", ("+", 2, ("<sin/>", "time"))), DECAY),
    "local": model(A, B, K, reaction(LAW, ["A"], ["B"], local=LOCAL)),
    "reactions": model(A, B, reaction("A", ["A"]), reaction(("*", 2, "r"), [], ["B"], name="s")),
    "conversion": model(A, B, K, reaction("A", ["A"], ["B"]), attributes='conversionFactor="k"'),
    "functions": model(A, B, K, reaction(("*", "k", ("g", "A")), ["A"], ["B"]), functions=[SQUARE, TWICE]),
    "time": model(A, K, reaction(("*", "k", "A", "time"), ["A"])),
    "avogadro": model(A, K, reaction(("/", ("*", "A", "avogadro"), 1e24), ["A"])),
    "michaelis": law(("/", ("*", "k", "A"), ("+", 0.3, "A"))),
    "hill": law(("/", ("*", "k", ("^", "A", 1.5)), ("+", 0.3, ("^", "A", 1.5)))),
    "symbolic power": law(("*", "k", ("^", "A", "n")), parameter("n", 2.5)),
    "exponentials": law(("*", "k", ("<exp/>", ("-", "A")), ("<ln/>", ("+", 1, "A")))),
    "waves": law(("*", "k", "A", ("+", 1, ("<cos/>", ("*", 3, "time"))))),
    "roots": law(("*", "k", ("<root/>", ("+", "A", "B")), ("<log/>", ("+", 2, "B")))),
    "hyperbolic": law(("*", "k", ("<tanh/>", "A"), ("<arctan/>", "B"))),
    "pieces of A": law(piecewise(("*", 2, "k", "A"), ("<gt/>", "A", 0.5), ("*", "k", "A"))),
    "pieces of both": law(piecewise("A", ("<and/>", ("<gt/>", "A", 0.1), ("<lt/>", "A", "B")), 0)),
    "level 1": OLD.format("1", 1, 2, "name", "volume", "species", "speciesReference", "species",
                          ' formula="k*A"/>').replace("/></kineticLaw>", "></kineticLaw>"),
    "level 2": OLD.format("2/version4", 2, 4, "id", "size", "species", "speciesReference", "species", MATH),
    "event": model(A, K, DECAY, event(AT, {"A": ("+", "A", 1)})),
    "event of a parameter": model(A, B, K, reaction(LAW, ["A"], ["B"]), event(LOW, {"k": 2})),
    "event of a size": model(A, B, K, reaction(LAW, ["A"], ["B"]), event(AT, {"c": 3})),
    "event with a delay": model(A, K, DECAY, event(AT, {"A": ("*", 2, "A")}, delay=0.9)),
    "event, late values": model(A, K, DECAY, event(AT, {"A": ("*", 2, "A")}, delay=0.9, late=True)),
    "events in order": model(A, K, DECAY, event(AT, {"A": ("*", 3, "A")}, priority=1, late=True),
                             event(AT, {"A": ("+", 5, "A")}, name="f", priority=2, late=True)),
    "event called off": model(A, K, DECAY, event(("<and/>", AT, ("<lt/>", "time", 2.1)), {"A": 3},
                                                 delay=1.2, persistent="false")),
    "event at the beginning": model(A, K, DECAY, event(("<lt/>", "A", 5), {"A": 2}, initial="false")),
    "event of a rule": model(A, K, parameter("v"), rule("v", ("*", 2, "A")), DECAY,
                             event(("<lt/>", "v", 1.2), {"A": ("+", "v", "A")})),
}  # fmt: skip


def selections(name, variables):
    """What libroadrunner calls our variables: concentrations stand in brackets."""
    text = MODELS[name]
    amounts = {"A"} if 'Units="true"' in text or 'Dimensions="0"' in text else set()
    species_ = {
        v for v in ("A", "B", "X") if f'species id="{v}"' in text or f'species name="{v}"' in text
    }
    return [
        v.removesuffix("_amount")
        if v.endswith("_amount") or v in amounts or v not in species_
        else f"[{v}]"
        for v in variables
    ]


def recorded(name, roadrunner):
    """Derivatives of libroadrunner at a random state, and its solution."""
    variables = read(MODELS[name], functions=True).ode.variables
    chosen = selections(name, variables)
    runner = roadrunner.RoadRunner(MODELS[name])
    solver = runner.integrator
    solver.absolute_tolerance, solver.relative_tolerance = 1e-13, 1e-11
    solver.maximum_time_step = 0.01
    solution = np.array([np.array(runner.simulate(0, 4, 9, chosen))])[0]
    runner = roadrunner.RoadRunner(MODELS[name])
    rng = np.random.default_rng(len(name))
    for one in chosen:
        runner.setValue(one, float(rng.uniform(0.5, 2)))
    state = [runner.getValue(one) for one in chosen]
    change = []
    for variable, one in zip(variables, chosen, strict=True):
        by_rule = f'rateRule variable="{variable}"' in MODELS[name]
        try:
            rate = runner.getValue(f"{one.strip('[]')}'")
        except RuntimeError:  # it does not say the rate of some species with rules
            change.append(None)
            continue
        if one.startswith("[") and not by_rule:  # its rates are those of amounts
            rate /= runner.getValue(
                "d" if f'id="{variable}" compartment="d"' in MODELS[name] else "c"
            )
        change.append(rate)
    return {
        "variables": list(variables),
        "state": state,
        "change": change,
        "solution": np.vectorize(lambda x: float(f"{x:.10g}"))(solution).tolist(),
    }


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_and_solutions_are_those_recorded(name):
    record = json.loads(RECORD.read_text())[name]
    ours = read(MODELS[name], functions=True)
    assert list(ours.ode.variables) == record["variables"]
    change = ours.ode.rhs(np.array(record["state"]))
    known = [k for k, rate in enumerate(record["change"]) if rate is not None]
    assert np.allclose(change[known], [record["change"][k] for k in known], rtol=1e-9, atol=1e-12)
    solution = ours.simulate(TIMES).states.T
    assert np.allclose(solution, record["solution"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_the_record_is_libroadrunners(name):
    roadrunner = pytest.importorskip("roadrunner")
    record, made = json.loads(RECORD.read_text())[name], recorded(name, roadrunner)
    for key in ("state", "change", "solution"):
        one, other = np.array(made[key], dtype=float), np.array(record[key], dtype=float)
        assert np.allclose(one, other, rtol=1e-7, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_simulates_there_like_the_original(name, tmp_path):
    roadrunner = pytest.importorskip("roadrunner")
    import symlump as sl

    ours = read(MODELS[name], functions=True)
    sl.write(ours, tmp_path / "again.xml")
    runner = roadrunner.RoadRunner(str(tmp_path / "again.xml"))
    runner.integrator.absolute_tolerance, runner.integrator.relative_tolerance = 1e-13, 1e-11
    runner.integrator.maximum_time_step = 0.01
    found = runner.simulate(0, 4, 9, [f"[{v}]" for v in ours.ode.variables])
    record = json.loads(RECORD.read_text())[name]
    assert np.allclose(np.array(found), record["solution"], rtol=1e-5, atol=1e-7)


if __name__ == "__main__":
    import roadrunner

    lines = [f"{json.dumps(name)}: {json.dumps(recorded(name, roadrunner))}" for name in MODELS]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
