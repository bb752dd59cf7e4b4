"""BioNetGen networks: blocks, symmetry factors, groups, functions."""

from fractions import Fraction as Q

import pytest

from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats.bionetgen import read_bionetgen, write_bionetgen
from symlump.formats.model import Model
from symlump.formats.source import Source
from symlump.ode.polynomial import PolynomialODE

FULL = """# Created by BioNetGen 2.9
setModelName("dimer")
substanceUnits("Number");
begin parameters
    1 kp  0.5  # Constant
    2 km  kp*2^2  # ConstantExpression
    3 A0  -2^2+104
end parameters
begin functions
    1 f() kp*Dimers
end functions
begin species
    1 A(b,t~0)          A0
    2 A(b!1,t~0).A(b!1,t~0)  0
    3 $Source()  1
end species
begin reactions
    1 1,1 2 0.5*kp #_R1
    2 2 1,1 km #_reverse__R1
    3 3 3,1 km
    4 0 1 2
    5 1 0 f
end reactions
begin groups
    1 Atot  1,2*2
    2 Dimers  2
    3 None
end groups
"""


def model(text, **options):
    return read_bionetgen(Source("m.net", text), **options)


def net(parameters="1 k 3", species="1 A 1\n2 B 0", reactions="", **blocks):
    parts = {"parameters": parameters, "species": species, "reactions": reactions, **blocks}
    return "".join(f"begin {name}\n{text}\nend {name}\n" for name, text in parts.items())


def test_a_full_network():
    read = model(FULL)
    a, dimer = "A(b,t~0)", "A(b!1,t~0).A(b!1,t~0)"
    assert read.name == "dimer"
    assert read.ode.variables == (a, dimer, "Source()")
    assert read.initial_values == {a: 100, dimer: 0, "Source()": 1}
    assert read.observables == {"Atot": {a: 1, dimer: 2}, "Dimers": {dimer: 1}, "None": {}}
    terms = {
        tuple(sorted(read.ode.monomials.factors(c))): v
        for r, c, v in zip(read.ode.rows, read.ode.columns, read.ode.coefficients, strict=True)
        if r == 0
    }
    assert terms == {
        (): 2,
        ((0, 2),): Q(-1, 2),
        ((1, 1),): 4,
        ((2, 1),): 2,
        ((0, 1), (1, 1)): Q(-1, 2),
    }
    assert not (read.ode.rows == 2).any()


def test_symbolic_parameters():
    read = model(net(parameters="1 k 3\n2 q k*2", reactions="1 1 2 q"), parameters="symbolic")
    assert read.ode.parameters == ("k", "q")
    assert read.initial_values["q"] == 6
    assert read.ode.monomials.factors(0) == [(0, 1), (3, 1)]


def test_groups_may_be_called_like_parameters():
    """In a reaction the parameter is meant, which a group cannot be."""
    named = {"parameters": "1 G 3", "groups": "1 G 1,2*2"}
    read = model(net(reactions="1 1 2 G", **named))
    assert str(read.ode) == "A' = -3*A\nB' = 3*A"
    assert read.observables == {"G": {"A": 1, "B": 2}}
    with pytest.raises(FileFormatError, match="'G' is a parameter and a group: it is not clear"):
        model(net(functions="1 f() G", reactions="1 1 2 f", **named))


def test_functions_of_constants_are_computed():
    read = model(net(parameters="1 k ln(10)/ln(10)\n2 q log10(100)*k", reactions="1 1 2 q*exp(0)"))
    assert str(read.ode) == "A' = -2*A\nB' = 2*A"
    assert read.notes == (
        "constants replaced by their values: 'k', 'q'",
        "ln(10) taken as 2.302585092994046, its float64 value",
    )
    read = model(net(reactions="1 1 2 1/k"), parameters="symbolic")
    assert read.ode.parameters == ("k", "inv_k") and read.initial_values["inv_k"] == Q(1, 3)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (net(reactions="1 1 2 z"), FileFormatError, "m.net:9:7: the name 'z' is not defined"),
        (net(reactions="1 3 2 k"), FileFormatError, "m.net:9:3: species number 3 is outside"),
        (net(reactions="1 1 2"), FileFormatError, "m.net:9:1: expected 'number reactants"),
        (net(reactions="1 1 2 k k"), FileFormatError, "expected an operator"),
        (net(reactions="1 1,2 2 MM k k"), NotPolynomialError, "not polynomial"),
        (net(reactions="1 1 2 0.5*Sat k k"), NotPolynomialError, "not polynomial"),
        (net(reactions="1 1 2 Hill k k k"), NotPolynomialError, "not polynomial"),
        (net(reactions="1 1 2 k TotalRate"), FileFormatError, "the rate law TotalRate (a total"),
        (net(reactions='1 1 2 FunctionProduct("f()","g()")'), FileFormatError, "FunctionProduct"),
        (net(reactions="1 1,,2 2 k"), FileFormatError, "expected species numbers"),
        (net(reactions="1 1 2 1/0"), NotPolynomialError, "division by zero"),
        (net(species="2 A 1"), FileFormatError, "species number 2 stands in place 1"),
        (net(species="1 A 1\n2 A 1"), FileFormatError, "'A' is defined twice"),
        (net(species="1 A"), FileFormatError, "expected 'number species amount'"),
        (net(parameters="1 k 1\n2 k 2"), FileFormatError, "'k' is defined twice"),
        (net(parameters="1 k time()"), NotPolynomialError, "the time occurs"),
        (net(reactions="1 1 2 exp(G)", groups="1 G 1"), NotPolynomialError, "function 'exp'"),
        (net(parameters="1 k ln(0)"), NotPolynomialError, "ln has no real value here"),
        (net(parameters="1 k log(2)"), NotPolynomialError, "write ln or log10"),
        (net(parameters="1 k"), FileFormatError, "expected a number"),
        (net(groups="1 G 1,3"), FileFormatError, "species number 3"),
        (net(groups="1 G 1e99999*2"), FileFormatError, "the exponent of a number is beyond"),
        (net(groups="1 G 1+2"), FileFormatError, "expected 'factor*species'"),
        (net(functions="1 f() 1/G", groups="1 G 1"), NotPolynomialError, "rational rate"),
        (net(functions="1 f(x) 2*x"), FileFormatError, "has arguments"),
        (net(wrong=""), FileFormatError, "unknown block 'wrong'"),
        (net() + net(), FileFormatError, "a second block"),
        ("begin species\n1 A 1", FileFormatError, "never closed"),
        ("begin species\nbegin groups", FileFormatError, "inside 'begin species'"),
        ("end species", FileFormatError, "without its 'begin'"),
        ("begin parameters\nend parameters", FileFormatError, "expected a block 'begin species'"),
        ("hello", FileFormatError, "m.net:1:1: expected 'begin' of a block"),
        (net(reactions="1 " + "1," * 2000 + "1 2 k"), FileFormatError, "more than 1000 species"),
        (net(reactions="1 1 2 k" + " " * 500_000 + "§"), FileFormatError, "unexpected character"),
    ],
)
def test_refusals(text, kind, message):
    with pytest.raises(kind) as caught:
        model(text)
    assert str(caught.value).startswith("m.net:")
    assert message in str(caught.value)


def test_writing_keeps_consumption_and_negative_rates():
    import sympy

    x, y, k = sympy.symbols("x y k")
    equations = {x: -x * y**2 / 3 + 2, y: -3 * x + y * k}
    ode = PolynomialODE.from_sympy(equations, parameters=[k])
    start = {"x": Q(1, 3), "y": Q(1, 8), "k": Q(2)}
    text = write_bionetgen(Model("m", ode, start, None, {"v": {"x": Q(1), "y": Q(2)}}))
    read = model(text, parameters="symbolic")
    assert read.ode == ode
    assert read.initial_values == start
    assert read.observables == {"v": {"x": 1, "y": 2}}


def test_names_that_cannot_be_written():
    ode = PolynomialODE.from_sympy({})
    assert "begin species" in write_bionetgen(Model("m", ode, {}))
    for name in ("a b", "#a", "$a", ""):
        bad = PolynomialODE((name,), ode.monomials, ode.rows, ode.columns, ode.coefficients)
        with pytest.raises(InputError, match="is not allowed in a .net file"):
            write_bionetgen(Model("m", bad, {name: Q(0)}))


LAWS = """begin parameters
1 k 17/10
2 K 23/10
3 h 3/2
4 L 9/10
end parameters
begin functions
1 f() k*gS^h/(K+exp(gS))
2 g() if(gS>2 && time()>=0,ln(gS),0)+min(gS,h)+_e
end functions
begin species
1 S() 3
2 E() 2
3 P() 1/2
end species
begin reactions
1 {}
end reactions
begin groups
1 gS 1
end groups
"""


@pytest.mark.parametrize(
    ("law", "change"),
    [  # what run_network (3.0) does to S, E and P in the first 10 µs, over that time
        ("1,2 3,2 MM k K", (-1.604777, 0, 1.604777)),
        ("1,2 3,2 2*MM k K", (-3.2095489, 0, 3.2095489)),
        ("1 3 Sat k K", (-0.9622633, 0, 0.9622633)),
        ("1,2 3,2 Sat k K", (-1.9245254, 0, 1.9245254)),
        ("1,2 3,2 0.5*Sat k K L", (-0.3318151, 0, 0.3318151)),
        ("2,1 3 Sat k K", (-2.3720759, -2.3720759, 2.3720759)),
        ("1,1 3 Sat k K L", (-1.4804036, 0, 0.7402018)),
        ("1 3 Hill k K h", (-1.0171774, 0, 1.0171774)),
        ("2,1 3 Hill k K h", (-2.2836603, -2.2836603, 2.2836603)),
        ("1,1 3 Hill k K h", (-6.1029717, 0, 3.0514859)),
        ("1 3 f", (-1.1838175, 0, 1.1838175)),
        ("0 3 g", (0, 0, 1.0986123 + 1.5 + 2.7182818)),
    ],
)
def test_functions_and_laws_with_names(law, change, tmp_path):
    import numpy as np

    import symlump as sl

    (tmp_path / "m.net").write_text(LAWS.format(law))
    for parameters in ("values", "symbolic"):
        read = sl.read(tmp_path / "m.net", parameters=parameters)
        start = [float(read.initial_values[name]) for name in read.ode.variables]
        assert np.allclose(read.ode.rhs(np.array(start))[:3], change, atol=1e-4)
        sl.write(read, tmp_path / "again.net")
        again = sl.read(tmp_path / "again.net", parameters=parameters)
        assert np.allclose(
            again.ode.rhs(np.array(start)), read.ode.rhs(np.array(start)), rtol=1e-12
        )
        assert len(again.ode) == len(read.ode)


def test_a_quotient_with_functions_is_written_and_read_back(tmp_path):
    import symlump as sl

    ode = sl.ODE.from_text("a' = -a/(1 + a + b) - c^2*a; b' = -b/(1 + a + b) - c^2*b;"
        "c' = exp(-c)*sign(c) + max(c, 0.1) - t")  # fmt: skip
    names = Model("m", ode, {"a": Q(1), "b": Q(2), "c": Q(1)})
    small = names.quotient(sl.lump(ode, sl.Forward()))
    assert small.ode.variables == ("y1", "c")
    sl.write(small, tmp_path / "m.net")
    again = sl.read(tmp_path / "m.net")
    x = [3.0, 0.5]
    assert again.ode.rhs(x, 2.0) == pytest.approx(small.ode.rhs(x, 2.0))
    with pytest.raises(FileFormatError, match="cannot hold the function floor"):
        sl.write(sl.ODE.from_text("a' = floor(a)"), tmp_path / "n.net")


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("1 3 MM k K", "expected Michaelis–Menten, with 2 constants and 2 reactants"),
        ("1 3 Sat k", "expected saturation"),
        ("1 3 Hill k K", "expected Hill, with 3 constants"),
        ("1 3 if(k,1)", "if with 2 arguments"),
    ],
)
def test_laws_that_are_not_complete(law, message, tmp_path):
    import symlump as sl

    (tmp_path / "m.net").write_text(LAWS.format(law))
    with pytest.raises(InputError, match=message):
        sl.read(tmp_path / "m.net")
