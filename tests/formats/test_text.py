"""Equations as text: from standard input, with values and definitions, and with mistakes."""

import io
import sys
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump import ODE
from symlump.cli.main import main
from symlump.errors import FileFormatError, InputError
from symlump.formats.source import Source
from symlump.formats.text import read_statements, write_statements
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.maps import in_time

MODEL = """
# two substrates of one enzyme
s1' = -v*s1;  ds2/dt = -v*s2   // another way to write it
d(p) = v*s - exp(-t)*p
s = s1 + s2
v = V/(K + s)
K = 1/2
s1(0) = 3*K
"""


def typed(text, *arguments, capsys=None, monkeypatch=None):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code = main(["lump", "-", "--method", "forward", *arguments])
    return code, capsys.readouterr()


def test_values_definitions_and_parameters():
    model = read_statements(Source("-", MODEL), functions=True)
    assert model.ode.variables == ("s1", "s2", "p", "V") and model.ode.parameters == ("V",)
    assert str(model.ode).splitlines()[0] == "s1' = -2*s1*V/(1 + 2*s1 + 2*s2)"
    assert model.initial_values == {"s1": Fraction(3, 2), "s2": 0, "p": 0, "V": 0}
    assert model.observables == {"s": {"s1": 1, "s2": 1}} and list(model.other_views) == ["v"]
    assert any("taken as parameters: 'V'" in note for note in model.notes)
    letters = read_statements(Source("-", MODEL), functions=True, parameters="symbolic")
    assert letters.ode.parameters == ("V", "K") and letters.initial_values["K"] == Fraction(1, 2)


def test_the_command_line_reads_them(capsys, monkeypatch):
    code, said = typed(MODEL, "-o", "-", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0 and "exact, proof checked" in said.err
    assert "taken as parameters: 'V'" in said.err
    again, smaller = typed(said.out, "-o", "-", capsys=capsys, monkeypatch=monkeypatch)
    assert again == 0 and smaller.out == said.out
    assert said.out.splitlines()[1:4] == [
        "y1' = -2*y1*V/(1 + 2*y1)",
        "p' = -p*exp(-t) + 2*y1*V/(1 + 2*y1)",
        "y1(0) = 3/2",
    ]
    code, said = typed("x+ = x/2 + y; y+ = y/2 + x", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0 and "y1⁺ = 3/2*y1" in said.out


def test_a_file_is_read_as_text_where_that_is_said(tmp_path):
    path = tmp_path / "m"
    for text in ("begin model m\n", "<sbml/>", "STATES 1"):
        path.write_text(text)
        with pytest.raises(InputError):
            sl.read(path)
    path.write_text("x' = -x\ny' = -y\n")
    assert len(sl.read(path, format="equations").ode) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x' = -x/(1 + x\ny' = y", r"-:1:9: '\(' is never closed"),
        ("x' = 2x", r"-:1:7: expected an operator such as \*.* found 'x'"),
        ("x' = x; x' = y", "-:1:9: 'x' has two equations"),
        ("x' = foo(x)", "-:1:6: unknown function 'foo'"),
        ("x' = log(x)", "'log' is not read; write ln or log10"),
        ("x = 3", "there is no equation, such as x' ="),
        ("x'' = -x", r"for x'' write x' = v; v' = …"),
        ("x[1]' = 2", r"-:1:1: expected an equation such as .* found \"x\[1\]' = 2\""),
        ("hello", r"no format begins with 'hello', and it is not an equation such as"),
        ("x' = 1; x = 2", r"'x' has an equation; write x\(0\) = …"),
        ("x' = 1; z(0) = 2", "'z' has no equation, but an initial value"),
        ("x' = v; v = w; w = v + x", "the definition of 'v' needs itself"),
        ("x' = 1; k = j; j = k", "the definition of 'k' needs itself"),
        ("x' = 1; y+ = 2", "a derivative.*the next value.*in one system"),
        ("x' = x/0", "division by zero"),
    ],
)
def test_a_mistake_is_named_with_its_place(text, message, capsys, monkeypatch):
    code, said = typed(text, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and not said.out
    with pytest.raises(FileFormatError, match=message):
        raise FileFormatError(said.err)


def test_a_value_called_t_is_no_time():
    model = read_statements(Source("-", "x' = -k*x; k = 2*t; t = 3"))
    assert str(model.ode) == "x' = -6*x" and "'k'" in model.notes[0]


def test_a_long_chain_of_definitions_is_read_at_once():
    chain = [f"v{k} = v{k + 1}" for k in range(2_000)]
    for lines in (chain, chain[::-1]):
        source = Source("-", "\n".join(["x' = v0", *lines, "v2000 = x"]))
        assert str(read_statements(source).ode) == "x' = x"


NAMES = [
    ("x", "y"),
    ("t", "pi"),
    ("time", "exp"),
    ("t", "time"),
    ("e", "E1"),
    ("d", "dx"),
    ("ln", "not"),
]
ATOMS = ["x", "y", "k", "t", "pi", "exp(1)", "ln(2)", "2^(1/2)", "3/7", "2", "x^2", "1/3*y"]
ONE = "exp ln sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh abs sign floor ceil factorial sqrt"
TWO = [
    "{} + {}",
    "{}*{}",
    "{} - {}",
    "({})/(1 + ({})^2)",
    "({})^({})",
    "min({}, {})",
    "max({}, {}, x)",
]
TWO += [
    "mod({}, {})",
    "if({} < {}, x, 1)",
    "piecewise(y, {} >= {}, x, y == k, 2)",
    "and({} > x, {} != 1)",
]
TWO += [
    "piecewise(1, {} <= {})",
    "not(or(x < {}, xor({} > 1, y < x)))",
    "log10({})*{}",
    "-({})*(-({}))",
]
TERMS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("{}({})".format, st.sampled_from(ONE.split()), inner),
        st.builds(lambda form, a, b: form.format(a, b), st.sampled_from(TWO), inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(TERMS, min_size=2, max_size=2), st.sampled_from(NAMES), st.booleans())
def test_what_is_printed_and_written_is_read_back(terms, names, discrete):
    """Whatever the functions, also where variables have the names of functions and of the time."""
    mark = "+" if discrete else "'"
    text = f"x{mark} = {terms[0]} + k*y^7\ny{mark} = {terms[1]}"
    try:
        ode = sl.ODE.from_text(text, ["k"])
    except InputError:  # such as ln(0)
        assume(False)
    table = SymbolTable(3)
    ode = in_time(ODE.from_table([*names, "k"], ode.into(table)[0], table, ["k"]), discrete)
    printed = ode.to_text(max_equations=9, max_terms=10**6, digits=17)
    if "…" not in printed:  # sums in arguments are cut where they are long
        assert sl.ODE.from_text(printed, ["k"]) == ode
        by_hand = "\n".join(line for line in printed.split("\n") if not line.startswith("k"))
        assert read_statements(Source("-", by_hand), functions=True).ode == ode
    values = {name: Fraction(1, 3) for name in names} | {"k": Fraction(0)}
    model = sl.Model(
        "m", ode, values, observables={"t": {names[0]: Fraction(2), names[1]: Fraction(1)}}
    )
    written = write_statements(model)
    back = read_statements(Source("-", written), functions=True)
    assert back.ode == ode and back.initial_values == values
    assert list(back.observables.values()) == list(model.observables.values())
