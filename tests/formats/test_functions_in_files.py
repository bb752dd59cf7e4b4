"""Quotients and functions in text, ERODE files and SBML."""

from fractions import Fraction

import numpy as np
import pytest

import symlump as sl
from symlump.errors import FileFormatError, InputError, NotPolynomialError

ERODE = """begin model m
 begin parameters
  K = 2
  n = 3
 end parameters
 begin init
  a = 1
  b = 2
  c
 end init
 begin {kind}
{body}
 end {kind}
end model
"""


def erode(tmp_path, kind, body):
    path = tmp_path / "m.ode"
    path.write_text(ERODE.format(kind=kind, body=body))
    return path


def test_equations_as_text():
    ode = sl.ODE.from_text("x' = -k*x/(1 + x)   # decay\n y' = k*x/(1 + x) - exp(-t)*y;", ["k"])
    assert str(ode).splitlines() == [
        "x' = -x*k/(1 + x)",
        "y' = -y*exp(-t) + x*k/(1 + x)",
        "k' = 0",
    ]
    assert sl.ODE.from_text("dx/dt = y // falls\nd(y) = -x # back") == sl.ODE.from_text(
        "x' = y; y' = -x"
    )
    assert type(sl.ODE.from_text("x' = -x^2 + 2*x")) is sl.PolynomialODE
    assert sl.ODE.from_text("x' = -x^2; t' = 1").variables == ("x", "t")
    kept = sl.ODE.from_text("x' = x/((2 + x)*(3 + x)^2)")
    assert str(kept) == "x' = x/((2 + x)*(3 + x)^2)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x' = y", "'y' is not defined"),
        ("x == 1", "1:1: expected an equation"),
        (
            "x' = -k*x;\nk = 2",
            "2:1: k = … is not an equation.*parameters=.*a .txt file, read by sl.read",
        ),
        ("x' = 1; x(0) = 1", r"1:9: x\(0\) = … .* given to simulate.*a .txt file, read by sl.read"),
        ("dx/dt = 1; x' = 2", "two equations"),
        ("x'' = -x", "for x'' write x' = v"),
        ("x' = 1; x' = 2", "two equations"),
        ("x' = gamma(x)", "unknown function"),
        ("x' = tfun(x)", "tfun"),
        ("x' = 1/(x - x)", "division by zero"),
        ("x' = (1 + x", "never closed"),
        ("x' = 1 2", "the end of the equation"),
        ("x' = ((a+b)^900)^2", "'a' is not defined"),
    ],
)
def test_text_that_is_no_system_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        sl.ODE.from_text(text)


def test_rates_of_reactions(tmp_path):
    body = "  a -> c , arbitrary K*a/(K + a)\n  b -> c , 1/(1 + c)"
    model = sl.read(erode(tmp_path, "reactions", body))
    a, b, c = 1.5, 0.5, 2.0
    fast, slow = 2 * a / (2 + a), b / (1 + c)
    assert model.ode.rhs([a, b, c]) == pytest.approx([-fast, -slow, fast + slow])
    letters = sl.read(erode(tmp_path, "reactions", body), parameters="symbolic")
    assert letters.ode.parameters == ("K", "n")
    assert letters.ode.rhs([a, b, c, 2, 3])[:3] == pytest.approx([-fast, -slow, fast + slow])


def test_an_erode_file_is_read_back_as_it_was_written(tmp_path):
    body = """  d(a) = -a/((1 + a + b)*(2 + c)^2) + exp(-c/(1 + c))
  d(b) = -b/((1 + a + b)*(2 + c)^2) + exp(-c/(1 + c))
  d(c) = (a + b)^(1/2) - sin(c) + c^n/(K^n + c^n)"""
    model = sl.read(erode(tmp_path, "ODE", body))
    lumping = sl.lump(model.ode, sl.Forward())
    assert lumping.blocks == (("a", "b"), ("c",)) and lumping.exact
    small = model.quotient(lumping)
    assert small.initial_values == {"y1": Fraction(3), "c": Fraction(0)}
    for content in (model, small):
        sl.write(content, tmp_path / "again.ode")
        assert sl.read(tmp_path / "again.ode").ode == content.ode
    with pytest.raises(FileFormatError, match="a .tra file holds linear systems"):
        sl.write(small, tmp_path / "small.tra")


def test_constants_become_numbers(tmp_path):
    path = erode(tmp_path, "ODE", "  d(a) = -a/(b + a)\n  d(b) = 0\n  d(c) = 1/b")
    assert str(sl.read(path, constants="values").ode) == "a' = -a/(2 + a)\nc' = 1/2"


SBML = """<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
 <model id="m">
  <listOfCompartments><compartment id="c" size="1" constant="true"/></listOfCompartments>
  <listOfSpecies>{species}</listOfSpecies>
  <listOfParameters><parameter id="K" value="2" constant="true"/></listOfParameters>
  <listOfReactions>{reactions}</listOfReactions>
 </model>
</sbml>"""
SPECIES = (
    '<species id="{0}" compartment="c" initialConcentration="1" hasOnlySubstanceUnits="false" '
    'boundaryCondition="false" constant="false"/>'
)
REACTION = (
    '<reaction id="r{0}" reversible="false" fast="false"><listOfReactants><speciesReference '
    'species="{0}" stoichiometry="1" constant="true"/></listOfReactants><kineticLaw>'
    '<math xmlns="http://www.w3.org/1998/Math/MathML">{1}</math></kineticLaw></reaction>'
)


@pytest.mark.parametrize(
    ("law", "value"),
    [
        (
            "<apply><divide/><ci>{0}</ci><apply><plus/><ci>K</ci><ci>a</ci><ci>b</ci></apply></apply>",
            lambda x, a, b, t: x / (2 + a + b),
        ),
        (
            '<apply><times/><ci>{0}</ci><apply><exp/><csymbol encoding="text" definitionURL='
            '"http://www.sbml.org/sbml/symbols/time">t</csymbol></apply></apply>',
            lambda x, a, b, t: x * np.exp(t),
        ),
        (
            "<apply><times/><ci>{0}</ci><piecewise><piece><cn>3</cn><apply><lt/><apply><plus/>"
            "<ci>a</ci><ci>b</ci></apply><cn>2</cn></apply></piece><otherwise><cn>5</cn></otherwise>"
            "</piecewise></apply>",
            lambda x, a, b, t: x * (3 if a + b < 2 else 5),
        ),
        (
            "<apply><times/><ci>{0}</ci><apply><log/><apply><plus/><ci>a</ci><ci>b</ci></apply></apply>"
            "</apply>",
            lambda x, a, b, t: x * np.log10(a + b),
        ),
    ],
)
def test_laws_of_sbml(tmp_path, law, value):
    path = tmp_path / "m.xml"
    species = "".join(SPECIES.format(name) for name in "ab")
    reactions = "".join(REACTION.format(name, law.format(name)) for name in "ab")
    path.write_text(SBML.format(species=species, reactions=reactions))
    ode = sl.read(path).ode
    for a, b in ((0.3, 0.9), (1.5, 2.5)):
        expected = [-value(x, a, b, 0.7) for x in (a, b)]
        assert ode.rhs([a, b], time=0.7) == pytest.approx(expected, rel=1e-12)
    lumping = sl.lump(ode, sl.Forward())
    assert lumping.blocks == (("a", "b"),)
    assert lumping.certificate().check().coarsest


def test_what_is_not_known_is_refused_by_name(tmp_path):
    with pytest.raises(NotPolynomialError, match="tfun"):
        sl.read(erode(tmp_path, "ODE", "  d(a) = tfun(a)"))


def test_rational_models(shared):
    """Each of them reduces, with its proof."""
    for path in sorted((shared / "models" / "constrained" / "rational").glob("*.ode")):
        ode = sl.read(path).ode
        lumpings = [sl.lump(ode, method) for method in (sl.Forward(), sl.Backward())]
        assert min(len(lumping.partition) for lumping in lumpings) < len(ode), path.name
        assert all(lumping.certificate().check().coarsest for lumping in lumpings), path.name


def test_an_sbml_file_is_read_back_as_it_was_written(tmp_path):
    ode = sl.ODE.from_text("""a' = -a/((1 + a + b)*(2 + c)^2) + exp(-c/(1 + c)) - t*a/7
        b' = -b/((1 + a + b)*(2 + c)^2) + exp(-c/(1 + c)) - t*b/7
        c' = (a + b)^(1/2) - sin(c)^2 + c^n/(K^n + c^n) + abs(c) + max(c, 1)
        n' = 0; K' = 0""")
    start = {
        "a": Fraction(1),
        "b": Fraction(2),
        "c": Fraction(1, 3),
        "n": Fraction(2),
        "K": Fraction(4),
    }
    views = {"total": {"a": Fraction(2), "b": Fraction(2)}, "only a": {"a": Fraction(1, 3)}}
    model = sl.Model("m", ode, start, observables=views)
    small = model.quotient(sl.lump(ode, sl.Forward()))
    assert len(small.ode) == 4
    for content in (model, small):
        sl.write(content, tmp_path / "again.xml")
        again = sl.read(tmp_path / "again.xml")
        assert again.ode == content.ode and again.initial_values == content.initial_values
        assert list(again.observables.values()) == list(content.observables.values())
    assert 'version="2"' in (tmp_path / "again.xml").read_text()  # which has max


@pytest.mark.parametrize("kind", ["ode", "net", "xml", "txt"])
def test_large_powers_below_a_line_are_kept_and_those_above_it_refused_by_name(tmp_path, kind):
    """(1 + a)^1000 would have 1001 terms; 1/(1 + a)^1000 is the thousandth power of one symbol."""

    def read(top, below):
        rate = f"{top}/({below})" if below else top
        path = tmp_path / f"m.{kind}"
        if kind == "ode":
            return sl.read(erode(tmp_path, "ODE", f"  d(a) = {rate}"))
        if kind == "net":
            path.write_text(
                f"begin parameters\nend parameters\nbegin functions\n1 f() {rate}\nend functions\n"
                "begin species\n1 A() 1\nend species\nbegin reactions\n1 0 1 f\nend reactions\n"
                "begin groups\n1 a 1\nend groups\n"
            )
            return sl.read(path)
        if kind == "txt":
            path.write_text(f"a' = {rate}")
            return sl.read(path)
        one = "<cn>1</cn>"
        power = f"<apply><power/><apply><plus/>{one}<ci>a</ci></apply><cn>{{}}</cn></apply>"
        law = power.format(1000)
        if below:
            product = f"<cn>2</cn>{power.format(960)}{power.format(40)}"
            law = f"<apply><divide/>{one}<apply><times/>{product}</apply></apply>"
        reaction = REACTION.format("a", law).replace("listOfReactants", "listOfProducts")
        path.write_text(SBML.format(species=SPECIES.format("a"), reactions=reaction))
        return sl.read(path)

    model = read("1", "2*(1 + a)^960*(1 + a)^40")
    name = model.ode.variables[0]
    assert str(model.ode).splitlines()[0] == f"{name}' = 1/2/(1 + {name})^1000"
    assert float(model.ode.rhs([0.01] + [0] * (len(model.ode) - 1))[0]) == pytest.approx(
        0.5 * 1.01**-1000
    )
    written = tmp_path / f"again.{kind}"
    sl.write(model, written)
    assert str(sl.read(written).ode) == str(model.ode)
    assert sl.lump(model.ode, sl.Forward()).certificate().check().accepted
    with pytest.raises(InputError, match="multiplying this out takes more than 2000000 steps"):
        read("(1 + a)^1000", "")


def test_a_power_that_cancels_is_no_obstacle_and_one_inside_a_function_is_named():
    assert str(sl.ODE.from_text("x' = (1 + x)^1000 - (1 + x)^1000 + x")) == "x' = x"
    assert str(sl.ODE.from_text("x' = 1/(-(1 + x)^1000)")) == "x' = -1/(1 + x)^1000"
    for text in ("1/(1 + (1 + x)^1000)", "exp((1 + x)^1000)", "x*(1 + x)^1000"):
        with pytest.raises(
            InputError, match="the equation of 'x': multiplying this out takes more"
        ):
            sl.ODE.from_text(f"x' = {text}")
    with pytest.raises(InputError, match="a monomial has a degree above 1000"):
        sl.ODE.from_text("x' = x/(1 + x)^1000")


LEFT_OUT = [
    ("0*ln(x - y)", "ln(x - y)"),
    ("x/x", "1/x"),
    ("ln(x) - ln(x) + y", "ln(x)"),
    ("(y/x)^0", "1/x"),
    ("1/(1/x + 1/y)", "1/x, 1/y"),
    ("0*ln(tan(x))", "ln(tan(x))"),
]
ONE_RATE = """begin model m
begin init
x = 1
y = 2
end init
begin ODE
d(x) = {}
d(y) = 0
end ODE
end model"""
ONE_REACTION = """begin species
1 x 1
2 y 2
end species
begin functions
1 f() {}
2 unused() ln(y)
end functions
begin reactions
1 1 2 {}
end reactions
begin groups
1 x 1
2 y 2
end groups
"""


def notes_of(path, text):
    path.write_text(text)
    return [note for note in sl.read(path).notes if "cancel" in note]


@pytest.mark.parametrize(("rate", "lost"), LEFT_OUT)
def test_what_cancels_is_said(tmp_path, rate, lost):
    """The right-hand side has no value where ln(x − y) has none, and what is read has one there."""
    for name, text in (("m.txt", f"x' = {rate}; y' = 0"), ("m.ode", ONE_RATE.format(rate))):
        (note,) = notes_of(tmp_path / name, text)
        assert f": {lost}. The equations are taken to hold also where" in note
    with pytest.warns(UserWarning, match="left out, as"):
        sl.ODE.from_text(f"x' = {rate}; y' = 0")


def test_functions_that_no_reaction_calls_do_not_cancel(tmp_path):
    assert notes_of(tmp_path / "m.net", ONE_REACTION.format("x/(1 + y)", "f")) == []
    (note,) = notes_of(tmp_path / "n.net", ONE_REACTION.format("x/(1 + y)", "0*f*ln(x)"))
    assert "cancels: ln(x)." in note


@pytest.mark.parametrize(
    "rate",
    ["0*exp(x) + sin(y) - sin(y)", "log10(x) + 2^x - 2^x", "1/(1 + x)^1000", "0*ln(2)", "sec(x)"],
)
def test_what_has_a_value_everywhere_may_cancel(tmp_path, rate):
    (tmp_path / "m.txt").write_text(f"x' = {rate}; y' = 0")
    assert not [note for note in sl.read(tmp_path / "m.txt").notes if "cancel" in note]
    sl.ODE.from_text(f"x' = {rate}; y' = 0")
