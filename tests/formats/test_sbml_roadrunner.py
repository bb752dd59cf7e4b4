"""Solutions of small SBML models beside libroadrunner's, where it is installed: pip install libroadrunner."""

import numpy as np
import pytest
from test_sbml_semantics import (
    COUNTED,
    A,
    compartment,
    model,
    parameter,
    reaction,
    read,
    rule,
    species,
    start,
)

import symlump as sl

roadrunner = pytest.importorskip("roadrunner")

LAW = ("*", "k", "c", "A", "B")
LOCAL = '<listOfLocalParameters><localParameter id="k" value="0.25"/></listOfLocalParameters>'
B = species("B", 'initialConcentration="2"')
K = parameter("k", 0.5)
MODELS = {
    "concentrations": model(compartment(attributes='size="2"'), A, B, K, reaction(LAW, ["A"], ["B"])),
    "amounts": model(species("A", units="true"), B, K, reaction(LAW, ["A", "A"], ["B"])),
    "boundary": model(A, species("B", held="true"), K, reaction(LAW, ["B"], ["A"])),
    "size": model(compartment(attributes=""), K, start("c", ("+", "k", 3)), A, B, reaction(LAW, ["A"])),
    "stoichiometry": model(species("X"), K, rule("n", ("*", "k", 3)), reaction("X", [], [COUNTED])),
    "rates": model(A, parameter("p", 2), rule("p", ("-", "A"), "rate"), reaction("p", [], ["A"])),
    "rules": model(A, B, K, rule("k", ("+", "q", 1)), parameter("q"), rule("q", "A"), reaction(LAW, ["A"])),
    "local": model(A, B, K, reaction(LAW, ["A"], ["B"], local=LOCAL)),
    "reactions": model(A, B, reaction("A", ["A"]), reaction(("*", 2, "r"), [], ["B"], name="s")),
    "conversion": model(A, B, K, reaction("A", ["A"], ["B"]), attributes='conversionFactor="k"'),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_solutions_agree(name):
    ours, times = read(MODELS[name]), np.linspace(0, 1, 5)
    ode = ours.ode
    values = sl.simulate(ode, [float(ours.initial_values[v]) for v in ode.variables], times)
    theirs = roadrunner.RoadRunner(MODELS[name])
    theirs.integrator.absolute_tolerance, theirs.integrator.relative_tolerance = 1e-13, 1e-10
    concentrations = {v for v in ode.variables if f'<species id="{v}"' in MODELS[name]}
    if name == "amounts":
        concentrations -= {"A"}
    chosen = [f"[{v}]" if v in concentrations else v for v in ode.variables]
    table = np.array(theirs.simulate(0, 1, 5, ["time", *chosen]))
    assert np.allclose(values.states.T, table[:, 1:], rtol=1e-7, atol=1e-9)
