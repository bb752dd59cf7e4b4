import subprocess
import sys
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import InputError, NotPolynomialError, VariableError
from symlump.ode.functions.polynomials import Polynomials
from symlump.ode.notation import number_text

x, y, k = sympy.symbols("x y k")


def systems(max_variables=4):
    """Random small systems as {Symbol: Expr}."""

    @st.composite
    def build(draw):
        n = draw(st.integers(1, max_variables))
        symbols = sympy.symbols(f"x1:{n + 1}")
        coefficient = st.fractions(min_value=-5, max_value=5, max_denominator=7)
        system = {}
        for symbol in symbols:
            terms = draw(
                st.lists(
                    st.tuples(coefficient, st.lists(st.integers(0, n - 1), max_size=3)), max_size=4
                )
            )
            system[symbol] = sympy.Add(
                *(
                    sympy.Rational(c.numerator, c.denominator)
                    * sympy.Mul(*(symbols[v] for v in factors))
                    for c, factors in terms
                )
            )
        return system

    return build()


@given(systems())
def test_sympy_round_trip(system):
    ode = sl.PolynomialODE.from_sympy(system)
    assert ode.to_sympy() == {s: sympy.expand(e) for s, e in system.items()}
    assert sl.PolynomialODE.from_sympy(ode.to_sympy()) == ode


@given(systems(), st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_right_hand_side_agrees_with_sympy(system, point):
    ode = sl.PolynomialODE.from_sympy(system)
    state = np.array(point[: len(ode)])
    values = dict(zip(system, map(sympy.Float, state), strict=True))
    expected = [float(sympy.sympify(e).subs(values)) for e in system.values()]
    assert ode.rhs(state) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    both = ode.rhs(np.stack([state, 2 * state], axis=1))
    assert both[:, 0] == pytest.approx(ode.rhs(state))
    assert both[:, 1] == pytest.approx(ode.rhs(2 * state))


@given(systems())
def test_derivative_agrees_with_sympy(system):
    ode = sl.PolynomialODE.from_sympy(system)
    symbols = list(system)
    d = ode.derivative
    found = {}
    for v, e, m, c in zip(d.variables, d.equations, d.columns, d.coefficients, strict=True):
        term = sympy.Mul(*(symbols[w] ** p for w, p in d.monomials.factors(int(m))))
        key = (int(e), int(v))
        found[key] = found.get(key, 0) + sympy.Rational(c.numerator, c.denominator) * term
    for i, expression in enumerate(system.values()):
        for j, symbol in enumerate(symbols):
            assert sympy.expand(found.get((i, j), 0) - sympy.diff(expression, symbol)) == 0


def test_floats_are_kept_exactly():
    ode = sl.PolynomialODE.from_sympy({x: 0.1 * x})
    assert ode.coefficients[0] == Fraction(0.1) != Fraction(1, 10)
    assert ode.coefficients.is_float
    assert str(ode) == "x' = 0.1*x"


def test_parameters():
    ode = sl.PolynomialODE.from_sympy({x: -k * x, y: k * x}, parameters=[k])
    assert ode.variables == ("x", "y", "k") and ode.parameters == ("k",)
    assert ode.initial_labels("forward").tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("equations", "error", "says"),
    [
        ({x: sympy.sin(x)}, NotPolynomialError, "sin(x)"),
        ({x: 1 / x}, NotPolynomialError, "1/x"),
        ({x: x**k}, NotPolynomialError, "x**k"),
        ({x: sympy.sqrt(2) * x}, NotPolynomialError, "sqrt(2)"),
        ({x: sympy.I * x}, NotPolynomialError, "I"),
        ({x: k * x}, VariableError, "parameters=[k]"),
        ({x: "__import__('os').getcwd()"}, InputError, "never evaluates text"),
        ({x: float("nan")}, InputError, "nan"),
        ({x: float("inf")}, InputError, ""),
        ({x: x, sympy.Symbol("x", positive=True): x}, VariableError, "declared twice"),
        ({x + 1: x}, VariableError, "sympy Symbol"),
    ],
)
def test_bad_equations(equations, error, says):
    with pytest.raises(error) as caught:
        sl.PolynomialODE.from_sympy(equations)
    assert says in str(caught.value)


def test_bad_state():
    ode = sl.PolynomialODE.from_sympy({x: -x})
    with pytest.raises(VariableError, match="1 entries"):
        ode.rhs([1.0, 2.0])


def test_dependency_graph():
    graph = sl.PolynomialODE.from_sympy({x: x * y, y: sympy.Integer(2)}).dependency_graph()
    assert isinstance(graph, nx.DiGraph)
    assert set(graph.edges) == {("x", "x"), ("y", "x")}


def test_large_systems_print_in_bounded_size():
    n = 3000
    symbols = sympy.symbols(f"x1:{n + 1}")
    ode = sl.PolynomialODE.from_sympy(
        {symbols[0]: sympy.Add(*symbols)} | {s: -s for s in symbols[1:]}
    )
    text, latex = str(ode), ode._repr_latex_()
    assert len(text) < 2000 and "2980 more equations" in text and "more)" in text
    assert len(latex) < 5000 and "more equations" in latex
    assert text.splitlines()[-1] == "x3000' = -x3000"


@given(st.fractions())
def test_numbers_are_shown_truly(value):
    shown = number_text(value)
    if not shown.endswith("…"):
        assert Fraction(shown) == value or Fraction(float(shown)) == value


def test_the_package_reads_equations():
    code = 'import symlump as sl; print(sl.ode("x\' = -k*x/(1 + x); y\' = x", ["k"]))'
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == str(sl.ODE.from_text("x' = -k*x/(1 + x); y' = x", ["k"])) + "\n"


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_renumbered_and_selected_polynomials_are_the_same_ones(seed, increasing):
    """In dictionaries; monomials stay in the one order that the table of each such collection has."""
    draw = np.random.default_rng(seed)
    wanted = [
        {
            tuple(
                (int(s), int(draw.integers(1, 3))) for s in np.flatnonzero(draw.random(5) < 0.4)
            ): c
            for c in map(Fraction, range(1, 1 + int(draw.integers(0, 4))))
        }
        for _ in range(6)
    ]
    polynomials = Polynomials.of(wanted)
    rows = draw.permutation(6)[: int(draw.integers(1, 7))]
    number = draw.permutation(9)[:5]
    number = np.sort(number) if increasing else number
    found = polynomials.select(rows).renumbered(number)
    renamed = [
        {tuple(sorted((int(number[s]), k) for s, k in m)): c for m, c in wanted[row].items()}
        for row in rows.tolist()
    ]
    assert [found.to_dict(i) for i in range(rows.size)] == renamed
    again = Polynomials.of(renamed)
    assert again.monomials.variables.tolist() == found.monomials.variables.tolist()
    assert again.columns.tolist() == found.columns.tolist()
    assert found.constant.tolist() == [all(not m for m in p) for p in renamed]
