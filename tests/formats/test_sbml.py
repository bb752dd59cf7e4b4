"""SBML: what species mean, kinetic laws, and what is refused."""

import math
from fractions import Fraction as Q

import numpy as np
import pytest

from symlump import formats
from symlump.errors import FileFormatError, InputError
from symlump.formats import Model
from symlump.formats.flows import Flows
from symlump.ode.polynomial import PolynomialODE

MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'


def apply(operator, *arguments):
    return f"<apply><{operator}/>{''.join(arguments)}</apply>"


def name(text):
    return f"<ci> {text} </ci>"


def number(value):
    return f"<cn> {value} </cn>"


def real(mantissa, exponent):
    return f'<cn type="e-notation"> {mantissa} <sep/> {exponent} </cn>'


def species(name, extra='initialAmount="4"', units="false", boundary="false"):
    return (
        f'<species id="{name}" compartment="c" {extra} hasOnlySubstanceUnits="{units}" '
        f'boundaryCondition="{boundary}" constant="false"/>'
    )


def reaction(law, reactants=("A",), products=("B",), local="", stoichiometry="1"):
    sides = "".join(
        f"<listOf{side}>"
        + "".join(
            f'<speciesReference species="{s}" stoichiometry="{stoichiometry}" constant="true"/>'
            for s in members
        )
        + f"</listOf{side}>"
        for side, members in (("Reactants", reactants), ("Products", products))
        if members
    )
    return (
        f'<reaction id="r" reversible="false" fast="false">{sides}<kineticLaw>'
        f"{MATH.format(law)}{local}</kineticLaw></reaction>"
    )


def document(reactions, more="", listed=None, rules="", functions="", size="2"):
    listed = listed or species("A") + species("B", 'initialConcentration="0.1"')
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
<model id="m" name="demo">
{functions}
<listOfCompartments><compartment id="c" size="{size}" constant="true"/></listOfCompartments>
<listOfSpecies>{listed}</listOfSpecies>
<listOfParameters><parameter id="k" value="0.1" constant="true"/>
<parameter id="p" constant="false"/></listOfParameters>
{rules}
<listOfReactions>{reactions}</listOfReactions>
{more}
</model>
</sbml>
"""


@pytest.fixture
def read(tmp_path):
    def reader(text, **options):
        path = tmp_path / "m.xml"
        path.write_text(text)
        return formats.read(path, **options)

    return reader


LAW = apply("times", name("c"), name("k"), name("A"), name("A"))


def test_concentrations_are_divided_by_the_compartment(read):
    model = read(document(reaction(LAW)))
    assert model.name == "demo"
    assert model.initial_values == {"A": 2, "B": Q(1, 10)}
    assert str(model.ode) == "A' = -1/10*A^2\nB' = 1/10*A^2"
    mixed = species("A", units="true") + species("B", 'initialConcentration="0.1"', "true")
    model = read(document(reaction(LAW), listed=mixed))
    assert model.initial_values == {"A": 4, "B": Q(1, 5)}
    assert str(model.ode) == "A' = -1/5*A^2\nB' = 1/5*A^2"


def test_boundary_species_and_fractional_stoichiometry(read):
    listed = species("A", boundary="true") + species("B")
    model = read(document(reaction(LAW, stoichiometry="1.5"), listed=listed))
    assert str(model.ode) == "A' = 0\nB' = 3/20*A^2"
    assert read(document(reaction(LAW), listed=listed), constants="values").dropped == {"A": 2}


def test_symbolic_parameters(read):
    local = '<listOfLocalParameters><localParameter id="k" value="3"/></listOfLocalParameters>'
    text = document(reaction(LAW, local=local))
    assert str(read(text).ode).split("\n")[1] == "B' = 3*A^2"
    model = read(text, parameters="symbolic")
    assert model.ode.parameters == ("k", "p", "r_k")
    assert model.initial_values["r_k"] == 3
    assert sorted(model.ode.monomials.factors(0)) == [(0, 2), (4, 1)]


def test_functions_numbers_and_operators(read):
    function = (
        '<listOfFunctionDefinitions><functionDefinition id="f">'
        + MATH.format(
            "<lambda><bvar><ci> u </ci></bvar><bvar><ci> v </ci></bvar>"
            + apply("minus", apply("power", name("u"), number(2)), name("v"))
            + "</lambda>"
        )
        + "</functionDefinition></listOfFunctionDefinitions>"
    )
    law = apply(
        "plus",
        apply("f", name("A"), name("B")).replace("<f/>", "<ci> f </ci>"),
        apply("divide", apply("minus", name("A")), number(4)),
        apply("times", real("2.5", "-3"), name("B")),
        apply("times", '<cn type="rational"> 1 <sep/> 3 </cn>', '<cn type="integer"> 6 </cn>'),
    )
    model = read(document(reaction(law, reactants=()), functions=function, size="1"))
    assert str(model.ode).split("\n")[1] == "B' = 2 - 1/4*A + A^2 - 399/400*B"


def test_rules_and_assignments(read):
    rules = (
        '<listOfInitialAssignments><initialAssignment symbol="A">'
        + MATH.format(apply("times", number(3), name("k")))
        + "</initialAssignment></listOfInitialAssignments>"
        + '<listOfRules><assignmentRule variable="p">'
        + MATH.format(apply("plus", name("A"), name("B")))
        + "</assignmentRule></listOfRules>"
    )
    model = read(document(reaction(apply("times", name("p"), name("c"))), rules=rules))
    assert model.initial_values["A"] == Q(3, 10)
    assert model.observables == {"p": {"A": 1, "B": 1}}
    assert str(model.ode) == "A' = -A - B\nB' = A + B"


RATE_RULE = f'<listOfRules><rateRule variable="p">{MATH.format(name("A"))}</rateRule></listOfRules>'
RULE = f'<assignmentRule variable="p">{MATH.format(name("A"))}</assignmentRule>'
ALGEBRAIC = f"<listOfRules><algebraicRule>{MATH.format(name('A'))}</algebraicRule></listOfRules>"
TWO_RULES = f"<listOfRules>{RULE * 2}</listOfRules>"
TWO_LOCAL = (
    "<listOfLocalParameters>"
    + '<localParameter id="k" value="3"/>' * 2
    + "</listOfLocalParameters>"
)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (document(reaction(apply("divide", name("A"), number(0)))), InputError, "zero"),
        (document(reaction("<cn> INF </cn>")), InputError, "m.xml:"),
        (document(reaction(name("p"))), FileFormatError, "'p' is not defined or has no value"),
        (document(reaction(name("zz"))), FileFormatError, "m.xml:"),
        (document(reaction(LAW), more=ALGEBRAIC), FileFormatError, "algebraic rules"),
        (document(reaction(LAW), size="0"), FileFormatError, "size 0"),
        (document(reaction(LAW), size="INF"), FileFormatError, "m.xml:5"),
        (document(reaction(LAW), listed=species("A") * 2), FileFormatError, "m.xml:6"),
        (document(reaction(LAW) * 2), FileFormatError, "two symbols are called 'r'"),
        (document(reaction(LAW), listed=species("k")), FileFormatError, "called 'k'"),
        (document(reaction(LAW), rules=TWO_RULES), FileFormatError, "two rules are for 'p'"),
        (document(reaction(LAW, local=TWO_LOCAL)), FileFormatError, "two local parameters"),
        (document(reaction(LAW, stoichiometry="INF")), FileFormatError, "not finite"),
        (
            document(reaction(LAW), size="0").replace('"c"', f'"{"c" * 100_000}"'),
            FileFormatError,
            "ccc…' has size 0",
        ),
        ("<sbml>", FileFormatError, "m.xml:"),
        ("<html></html>", FileFormatError, "m.xml:"),
        ("hello", FileFormatError, "m.xml:1"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><sbml/>', FileFormatError, "document type"),
        ("<a>" * 5000, FileFormatError, "the outermost element is <a>"),
        (
            '<sbml xmlns="http://www.sbml.org/sbml/level3" level="3"><model/></sbml>',
            FileFormatError,
            "BioNetGen's writeXML, rules for NFsim: read the .bngl file",
        ),
        (document(reaction(LAW, stoichiometry="NaN")), FileFormatError, "'NaN' is no number"),
        (document(reaction("<apply><minus/>" * 5000)), FileFormatError, "nested more than"),
        (document(reaction(LAW), more="<notes>" + "<a>" * 5000), FileFormatError, "nested more"),
    ],
)
def test_refusals(read, text, kind, message):
    with pytest.raises(kind) as caught:
        read(text)
    assert "m.xml:" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (apply("sin", name("A")), np.sin(0.7)),
        (apply("divide", name("A"), name("B")), 0.7 / 0.4),
        (apply("power", name("A"), number("-1")), 1 / 0.7),
        (apply("power", name("A"), name("B")), 0.7**0.4),
    ],
)
def test_laws_that_are_no_polynomials(read, law, expected):
    text = document(reaction(law), size="1")
    assert read(text).ode.rhs([0.7, 0.4]) == pytest.approx([-expected, expected])


@pytest.mark.parametrize("a", [7.5, -7.5, 0.25, -0.25, 0.0])
@pytest.mark.parametrize("b", [2.0, -2.0, 0.75])
def test_quotients_and_remainders_of_variables_are_rounded_toward_0(read, a, b):
    for operator, expected in (("quotient", math.trunc(a / b)), ("rem", math.fmod(a, b))):
        text = document(reaction(apply(operator, name("A"), name("B"))), size="1")
        assert read(text).ode.rhs([a, b]) == pytest.approx([-expected, expected])


def test_deep_mathematics(read):
    law = "<apply><minus/>" * 150 + name("A") + "</apply>" * 150
    assert str(read(document(reaction(law), size="1")).ode) == "A' = -A\nB' = A"


def test_functions_that_double_are_stopped(read):
    one = (
        '<functionDefinition id="f{0}">'
        + MATH.format("<lambda><bvar><ci> u </ci></bvar>{1}</lambda>")
        + "</functionDefinition>"
    )
    call = "<apply><ci> f{} </ci><ci> u </ci></apply>"
    definitions = one.format(0, name("u")) + "".join(
        one.format(k, apply("plus", call.format(k - 1), call.format(k - 1))) for k in range(1, 50)
    )
    law = "<apply><ci> f49 </ci><ci> A </ci></apply>"
    functions = f"<listOfFunctionDefinitions>{definitions}</listOfFunctionDefinitions>"
    with pytest.raises(FileFormatError, match="parts"):
        read(document(reaction(law), functions=functions))


def test_round_trip(read, tmp_path):
    import sympy

    x, y, z, k = sympy.symbols("x y größe k")
    rational = sympy.Rational
    equations = {x: 2 * x * y**2 / 3 - 1, y: -x + k * z / 8, z: rational(1, 10**12) * z}
    ode = PolynomialODE.from_sympy(equations, parameters=[k])
    start = {"x": Q(1, 3), "y": Q(-5, 2), "größe": Q(0), "k": Q(10**21)}
    path = tmp_path / "out.xml"
    formats.write(Model("a < b & c", ode, start), path)
    model = formats.read(path, parameters="symbolic")
    assert model.name == "a < b & c"
    assert model.ode.variables == ("x", "y", "s1", "k")
    assert list(model.initial_values.values()) == list(start.values())
    assert str(model.ode).replace("s1", "größe").split() == str(ode).split()
    for value in (rational(1, 10**12 + 1), rational(3**50, 7**30), rational(-(10**40) - 1)):
        exact = PolynomialODE.from_sympy({x: value * x})
        formats.write(exact, path)
        assert formats.read(path).ode == exact
    with pytest.raises(FileFormatError, match="cannot hold the number .1/13.* exactly"):
        formats.write(PolynomialODE.from_sympy({x: x / sympy.Integer(3**1000 + 1)}), path)


def test_every_float_is_written(read, tmp_path):
    import random

    rng = random.Random(3)
    numbers = [
        162234.6413817237,
        5e-324,
        2.5e-308,
        1.7976931348623157e308,
        0.1,
        1e22,
        123456789012345678.0,
    ]
    numbers = numbers[:1]  # libsbml rounds some of the others
    _ = [rng.uniform(1, 10) * 10.0 ** rng.randint(-300, 300) for _ in range(200)]
    values = [Q(repr(number)) for number in numbers]
    flows = Flows()
    for k, value in enumerate(values):
        flows.equation(k, {((k, 1),): -value})
    ode = flows.build([f"x{k}" for k in range(len(values))])
    path = tmp_path / "out.xml"
    formats.write(Model("m", ode, dict(zip(ode.variables, values, strict=True))), path)
    again = formats.read(path)
    assert again.ode == ode and list(again.initial_values.values()) == values
