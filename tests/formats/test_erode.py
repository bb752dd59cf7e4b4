"""ERODE files: the grammar of sections, reactions, partitions and views."""

import random
import time
from fractions import Fraction as Q

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump import formats
from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats.erode import plain, read_erode
from symlump.formats.source import Source
from symlump.ode.substitute import substitute

FULL = """// a comment
begin model demo (first) //CHANGED
 begin parameters
  k1 = 1/2   k2 = 2*k1 // k2 = 1
  k3 = 1.0E-1
 end parameters
 begin init
  A = 10.0 ( "A // not a comment" )
  B
  C ( "sea (%)" )
  D = k1 + 1
 end init
 begin partition
  {A, B},
  {C}
 end partition
 begin reactions
  A + 2 B -> C , k1 [first]
  A + A -> B + A , k2*2
  2*C -> 3*D,k3
  C -> D , arbitrary k1*C*D^2 [r 4]
  /* D -> A , 1
     D -> B , 2 */
  D ->
    A , 2 +
        3
  A -> A + D , C
 end reactions
 begin views
  total = A + 2*B - D/2
  square = A^2
  ratio = A/B
  fixed = 3
 end views
 simulateODE(tEnd=100, viewPlot=VIEWS, file="a)b.csv")
end model
reduceFE(M0={A:1,B:2}, fileWhere="x" )
"""


def model(text, **options):
    return read_erode(Source("m.ode", text), **options)


def wrap(init="x = 1\ny = 2", parameters="", **sections):
    parts = {"parameters": parameters, "init": init, **sections}
    body = "".join(f"begin {name}\n{text}\nend {name}\n" for name, text in parts.items())
    return f"begin model m\n{body}end model\n"


def same(one, other):
    """The same text twice: equal systems."""
    return model(one).ode == model(other).ode


def test_a_full_model():
    read = model(FULL)
    assert read.name == "demo (first)"
    assert read.initial_values == {"A": 10, "B": 0, "C": 0, "D": Q(3, 2)}
    assert read.partition == (("A", "B"), ("C",), ("D",))
    assert read.observables == {"total": {"A": 1, "B": 2, "D": Q(-1, 2)}}
    assert read.other_views == {"square": "A^2", "ratio": "A/B", "fixed": "3"}
    assert same(
        FULL,
        wrap(
            "A B C D",
            ODE="""d(A) = -1/2*A*B^2 - 2*A^2 + 5*D
            d(B) = -A*B^2 + 2*A^2
            d(C) = 1/2*A*B^2 - 0.2*C^2 - 1/2*C*D^2
            d(D) = 0.3*C^2 + 1/2*C*D^2 - 5*D + A*C""",
        ),
    )


def test_mass_action_has_no_factorials_and_shares_its_monomial():
    ode = model(wrap("A B C", reactions="A + A + A -> B + C , 2")).ode
    assert str(ode) == "A' = -6*A^3\nB' = 2*A^3\nC' = 2*A^3"
    assert len(ode.monomials) == 1
    assert same(wrap("A B", reactions="3 A -> B , 1"), wrap("A B", reactions="A+2*A -> B , 1"))


def test_the_minus_trap_in_short_and_long_lines():
    for body in ("-x^2", "(-x^2)", "-x^2*1 + 0", "0*x + -x^2", "0 - (0 - 1)*x^2"):
        assert same(wrap(ODE=f"d(x) = {body}"), wrap(ODE="d(x) = x*x")), body
    for body in ("0 - x^2", "-x**2", "-1*x^2", "y - y - x^2", "-(x^2)", "-x*x", "0 + -x**2"):
        assert same(wrap(ODE=f"d(x) = {body}"), wrap(ODE="d(x) = (0-1)*x*x")), body


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ("1.0E-4*x + 2e+1*y", "(1/10000*x) + (20*y)"),
        ("x - -y", "(x) + (y)"),
        ("x + -2*y", "(x - 2*y)"),
        ("1/2*x*y*2/3", "((x*y)/3)"),
        ("k*x + k^2*y", "(3*x) + (9*y)"),
        ("x*x*y + x^2*y", "(2*y*x^2)"),
        ("0", "(0)"),
        ("0*x - x + x", "(0)"),
        ("x + \n y", "(x + y)"),
        ("x \n + y", "(x + y)"),
        ("x^0", "(1)"),
    ],
)
def test_short_and_long_ways_agree(flat, nested):
    first = model(wrap(parameters="k = 3", ODE=f"d(x) = {flat}\nd(y) = x"))
    assert first.ode == model(wrap(parameters="k = 3", ODE=f"d(x) = {nested}\nd(y) = x")).ode


def test_random_sums_agree_in_both_ways():
    rng = random.Random(5)
    atoms = ["x", "y", "k", "x^2", "y**3", "2", "0.5", "1/3", "x*y", "k*k"]
    for _ in range(200):
        text = ""
        for n in range(rng.randint(1, 5)):
            sign = rng.choice(["+", "-", "- -", "+ -"] if n else ["", "-", "+"])
            text += f" {sign} " + "*".join(rng.choices(atoms, k=rng.randint(1, 3)))
        texts = (
            f"d(x) = {text}",
            f"d(x) = (0) + {text.strip()}"
            if text.strip()[0] not in "+-"
            else f"d(x) = {text} + (0)",
        )
        assert same(*(wrap(parameters="k = 7", ODE=t) for t in texts)), text


def test_symbolic_parameters():
    text = wrap("A B", parameters="k = 2\nq = k/4\nfree", reactions="A -> B , q*free")
    symbolic = model(text, parameters="symbolic")
    assert symbolic.ode.variables == ("A", "B", "k", "q", "free")
    assert symbolic.ode.parameters == ("k", "q", "free")
    assert symbolic.initial_values == {"A": 0, "B": 0, "k": 2, "q": Q(1, 2), "free": 0}
    assert str(symbolic.ode).splitlines()[0].replace(" ", "") == "A'=-A*q*free"
    assert symbolic.notes == ("parameters without a value, for which 0 is put: 'free'",)
    with pytest.raises(FileFormatError, match="'free' has no value"):
        model(text)
    parts = wrap("A B C", parameters="k = 2", partition="{A}", ODE="d(A) = k*A")
    assert model(parts, parameters="symbolic").partition == (("A",), ("B", "C"), ("k",))


DIVIDED = wrap(
    "A = 1\nB = 2",
    parameters="k = 2\nm = 4\nn = 1/2",
    reactions="A -> B , k/m\nB -> A , arbitrary A*B*(k + 1)/(k*(m + k)) + B/m^2*m - B*n^(-k)",
)


def test_quotients_of_symbolic_parameters_are_new_ones():
    """Right values: those of the same file with numbers in place of the letters."""
    read = model(DIVIDED, parameters="symbolic")
    assert read.ode.parameters == ("k", "m", "n", "inv_m", "inv_k", "inv_k_m", "pow_k_n")
    new = {name: read.initial_values[name] for name in read.ode.parameters[3:]}
    assert new == {"inv_m": Q(1, 4), "inv_k": Q(1, 2), "inv_k_m": Q(1, 6), "pow_k_n": 4}
    assert read.notes == (
        "inv_m is a new symbolic parameter that stands for 1/m",
        "inv_k is a new symbolic parameter that stands for 1/k",
        "inv_k_m is a new symbolic parameter that stands for 1/(m + k)",
        "pow_k_n is a new symbolic parameter that stands for (n)^(-k)",
    )
    values = {name: read.initial_values[name] for name in read.ode.parameters}
    assert substitute(read.ode, values) == model(DIVIDED).ode


def test_what_is_divided_cancels():
    text = wrap("A B", parameters="k = 2\nm = 3", reactions="A -> B , m*(1/k)*k/m + k^2/(k*m)")
    read = model(text, parameters="symbolic")
    assert str(read.ode).split("\n")[0].split(" = ")[1] == "-A - A*k*inv_m"
    assert read.ode.parameters == ("k", "m", "inv_m")  # 1/k is nowhere left


@pytest.mark.parametrize(
    ("parameters", "rate"), [("k = 0", "1/k"), ("k", "1/k"), ("k = 1\nm = 1", "1/(k - m)")]
)
def test_no_division_by_a_parameter_that_is_zero(parameters, rate):
    text = wrap("A B", parameters=parameters, reactions=f"A -> B , {rate}")
    with pytest.raises(NotPolynomialError, match="division by zero"):
        model(text, parameters="symbolic")


@pytest.mark.parametrize("parameters", ["values", "symbolic"])
def test_rates_are_divided_by_constant_species(tmp_path, parameters):
    path = tmp_path / "m.ode"
    text = "A + T -> T + B , arbitrary 3*A/T + A/(T + k)"
    path.write_text(wrap("A = 1\nT = 4\nB", parameters="k = 2", reactions=text))
    read = formats.read(path, parameters=parameters, constants="values")
    assert read.dropped == {"T": 4}
    letters = {name: read.initial_values[name] for name in read.ode.parameters}
    assert str(substitute(read.ode, letters)) == "A' = -11/12*A\nB' = 11/12*A"
    kept = formats.read(path, parameters=parameters).ode
    assert kept.rhs([2.0, 4.0, 0.0, 2.0][: len(kept)])[0] == pytest.approx(-11 / 6)
    path.write_text(path.read_text().replace("T + B", "B"))  # now T moves
    moves = formats.read(path, parameters=parameters, constants="values").ode
    assert "T" in moves.variables and moves.generators is not None


def test_species_that_are_not_in_init_start_at_zero():
    text = wrap("A = 1", parameters="k = 2", reactions="A -> B + 2*C , k\nC -> A , arbitrary k*B^2")
    read = model(text)
    assert read.initial_values == {"A": 1, "B": 0, "C": 0}
    folded = "constants replaced by their values: 'k'"
    assert read.notes == (folded, "species that 'init' does not have start at 0: 'B', 'C'")
    whole = text.replace("A = 1", "A = 1\nB\nC")
    assert read.ode == model(whole).ode and model(whole).notes == (folded,)
    assert model(whole, parameters="symbolic").notes == ()


def test_constants_by_value(tmp_path):
    path = tmp_path / "m.ode"
    path.write_text(
        wrap(
            "A = 1\nkon = 2\nkoff = 1/3\nB",
            partition="{A, kon}, {koff}",
            reactions="A + kon + kon -> B + kon + kon, koff\nB -> A, 0.5",
            views="v = A + B\nw = A + kon",
        )
    )
    read = formats.read(path, constants="values")
    assert read.dropped == {"kon": 2, "koff": Q(1, 3)}
    assert read.initial_values == {"A": 1, "B": 0}
    assert str(read.ode) == "A' = -4/3*A + 1/2*B\nB' = 4/3*A - 1/2*B"
    assert read.partition == (("A",), ("B",))
    assert read.observables == {"v": {"A": 1, "B": 1}}
    assert read.other_views == {"w": "A + kon"}
    path.write_text(wrap("x = 1e-9999\ny", ODE="d(y) = x^9*y"))
    with pytest.raises(FileFormatError, match=r"m.ode: x\*\*9 at x.s value"):
        formats.read(path, constants="values")
    kept = formats.read(path)
    assert kept.dropped == {} and len(kept.ode) == 2


def test_empty_sections_windows_lines_and_unicode():
    empty = wrap("", partition="", reactions="", views="")
    assert len(model(empty).ode) == 0 and model(empty).partition is None
    text = "\ufeff" + FULL.replace("\n", "\r\n").replace("A", "Größe")
    read = read_erode(Source.of_bytes("m.ode", text.encode()))
    assert read.ode.variables[0] == "Größe"
    assert read.ode.terms == model(FULL).ode.terms
    bare = read_erode(Source.of_bytes("m.ode", FULL.replace("\n", "\r").encode()))
    assert bare.name.startswith("demo (first)") or bare.ode == model(FULL).ode


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (wrap(ODE="d(x) = z"), "10:8", "the name 'z' is not defined"),
        (wrap(ODE="d(z) = x"), "10:3", "the species 'z' is not defined"),
        (wrap(ODE="d(x) = x\nd(x) = y"), "11:3", "'x' has two equations"),
        (wrap(ODE="d(x) = x y"), "10:10", "expected an equation, 'd(x) = …', found 'y'"),
        (wrap(ODE="d(x) = 1/0"), "10:9", "division by zero"),
        (wrap(ODE="d(x) = y/x"), "10:9", "rational rate"),
        (wrap(ODE="d(x) = x^(0-1)"), "10:9", "negative exponent"),
        (wrap(ODE="d(x) = x^y"), "10:9", "symbolic exponent"),
        (wrap(ODE="d(x) = x^1000000000"), "10:9", "exponent above 1000"),
        (wrap(ODE="d(x) = min(x,y)"), "10:8", "the function 'min' is not polynomial"),
        (wrap(ODE="d(x) = 1\nx' = 2"), "11:1", "expected an equation"),
        (wrap("x x"), "6:3", "'x' is defined twice"),
        (wrap(parameters="x = 1"), "6:1", "already a parameter"),
        (wrap(parameters="k = x"), "3:5", "the name 'x' is not defined"),
        (wrap(parameters="k = a\na = 1"), "3:5", "the name 'a' is not defined"),
        (wrap("x = 1 +"), "7:1", "expected a number"),
        (wrap(partition="{x},{x}"), "10:6", "'x' is in two blocks"),
        (wrap(partition="{x} {y}"), "10:5", "expected ','"),
        (wrap(partition="{z}"), "10:2", "the species 'z' is not defined"),
        (wrap(partition="{}"), "10:2", "expected a species"),
        (wrap(partition="{x"), "11:1", "found the end of the section"),
        (wrap(reactions="x -> y"), "11:1", "expected ','"),
        (wrap(reactions="x y -> y , 1"), "10:3", "expected '->'"),
        (wrap(reactions="x -> z , z2"), "10:10", "the name 'z2' is not defined"),
        (wrap(reactions="x -> y , k"), "10:10", "the name 'k' is not defined"),
        (wrap(reactions="x -> y , 1 ["), "10:12", "'[' is never closed"),
        (wrap(reactions="0 x -> y , 1"), "10:1", "the multiplicity '0'"),
        (wrap(reactions="1.5 x -> y , 1"), "10:1", "the multiplicity '1.5'"),
        (wrap(reactions="1001 x -> y , 1"), "10:1", "the multiplicity '1001'"),
        (wrap(parameters="k = 1", reactions="k -> x , 1"), "10:1", "a parameter, not a species"),
        (wrap(reactions="x -> y , arbitrary x/(1+x)"), "10:21", "rational rate"),
        (wrap(views="v = x\nv = y"), "11:1", "the view 'v' is defined twice"),
        (wrap(views="v = q"), "10:5", "the name 'q' is not defined"),
        (wrap(alg="x = y"), "10:1", "algebraic equations"),
        (wrap(reactions="", ODE=""), "12:10", "either 'reactions' or 'ODE'"),
        (wrap(foo=""), "9:1", "unknown section 'foo'"),
        ("begin model m\nbegin init\nx\nend model", "4:1", "inside 'begin init'"),
        ("begin model m\nbegin init\nx", "2:1", "'begin init' is never closed"),
        ("begin model m\nend init\nend model", "2:1", "without 'begin init'"),
        ("begin model m\nbegin init\nend init", "1:1", "never closed by 'end model'"),
        ("begin model m\nbegin init\nend init\nbegin init\nend init", "4:1", "a second section"),
        ("begin model\nend model", "1:1", "expected the name of the model"),
        ("\n  hello", "2:3", "expected 'begin model', found 'hello'"),
        ("# decay\npar k=2\nx'=-k*x\ndone\n", "1:1", "this looks like a file of XPPAUT"),
        ("x'=-x\n@ total=20\ndone", "1:1", "this looks like a file of XPPAUT"),
        ("x'=-x\nx(0)=1", "1:1", "equations alone are format"),
        ("begin Boolean network b\nend Boolean network", "1:1", "a Boolean network of ERODE"),
        ("x1' = -x1", "1:1", "--format equations"),
        ("begin model m\n/* x\nend model", "2:1", "never closed by '*/'"),
        ("begin model m\nend model\nrun(a", "3:1", "the '(' of the command 'run'"),
        (wrap(ODE="d(x) = 1e99999*x"), "10:8", "the exponent of a number is beyond"),
        ("begin model m\nx = 3\nend model", "2:1", "expected a section or a command"),
        ("begin model m\nend model\nbegin init\nend init", "3:1", "after 'end model'"),
    ],
)
def test_errors_say_where(text, place, message):
    with pytest.raises(InputError) as caught:
        model(text)
    assert str(caught.value).startswith(f"m.ode:{place}: "), str(caught.value)
    assert message in str(caught.value)


def test_large_lines_in_bounded_time():
    start = time.process_time()
    nested = "(" * 10_000 + "x" + ")" * 10_000
    assert same(wrap(ODE=f"d(x) = {nested}"), wrap(ODE="d(x) = x"))
    many = " + ".join(["2*x*y"] * 200_000)
    assert same(wrap(ODE=f"d(x) = {many}"), wrap(ODE="d(x) = 400000*x*y"))
    with pytest.raises(InputError, match="degree above 1000"):
        model(wrap(reactions="x" + " + x" * 500_000 + " -> y , 1"))
    with pytest.raises(InputError):
        model(wrap(ODE="d(x) = " + "x*" * 500_000))
    with pytest.raises(InputError):
        model(wrap(ODE="d(x) = " + " " * 1_000_000 + "§"))
    with pytest.raises(InputError):
        model(wrap(reactions=" " * 1_000_000 + "§"))
    with pytest.raises(InputError):
        model(wrap("x" * 1_000_000 + " = ("))
    with pytest.raises(InputError):
        model(wrap(ODE="d(x) = " + "1" * 1_000_000 + "*x"))
    assert time.process_time() - start < 20


NAMES = st.sampled_from(["A", "B", "C", "k2"])
SIDES = st.lists(NAMES, max_size=3).map(" + ".join)
RATES = st.sampled_from(
    ["k", "m", "2", "1e+3", "k*m", "1/2", "k + m", "arbitrary A*k", "2 [label]"]
)
ENDS = st.sampled_from(["\n", "\n\n", "  ", "\n "])
JUNK = st.sampled_from(["->", ",", "+", "A", "k", "-> ,", "2", "* k", "\n+ m", "A B"])


@settings(max_examples=200, deadline=None)
@given(
    reactions=st.lists(
        st.tuples(SIDES, SIDES, RATES, st.sampled_from(["\n", "\n\n", "  ", "\n "])), max_size=12
    ),
    tight=st.booleans(),
    junk=st.none() | st.tuples(st.integers(0, 60), JUNK),
    chunk=st.sampled_from([1, 20, 1000]),
)
def test_reactions_at_once_are_read_as_one_by_one(reactions, tight, junk, chunk):
    body = "A -> B , k\nA -> B , m\nB -> C , 2\n"
    body += "".join(f"{left} -> {right} , {rate}{end}" for left, right, rate, end in reactions)
    if tight:
        body = body.replace(" -> ", "->").replace(" , ", ",").replace(" + ", "+")
    if junk is not None:
        body = body[: junk[0]] + junk[1] + body[junk[0] :]
    text = wrap("A = 1\nB\nC\nk2", parameters="k = 3\nm = 1/7", reactions=body)

    def outcome():
        try:
            return model(text).ode
        except InputError as problem:
            return str(problem)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "_CHUNK", chunk)
        at_once = outcome()
        patch.setattr(plain.FlatReader, "_many", lambda self, start, stop: start)
        assert outcome() == at_once
