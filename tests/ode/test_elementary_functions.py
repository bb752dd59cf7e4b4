"""Right-hand sides with quotients and functions: read, evaluated, differentiated, printed."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy
from elementary_systems import symmetric_system
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import InputError, NotPolynomialError, VariableError
from symlump.ode.functions.algebra import add_to, constant, symbol
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.symbols import SymbolTable

x, y, n, K, t = sympy.symbols("x y n K t")
RICH = {
    x: -x / (1 + x + y) + x**n / (K**n + x**n),
    y: -y / ((1 + x + y) * (2 + 3 * y) ** 2) + sympy.sin(x - y) * sympy.exp(-t) + 1 / x**2,
}


def rich():
    return sl.ODE.from_sympy(RICH, [n, K], time=t)


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), point=st.lists(st.floats(0.2, 2), min_size=5, max_size=5))
def test_values_and_derivatives_are_those_of_sympy(seed, point, functions):
    system = symmetric_system(seed, functions)
    ode = sl.ODE.from_sympy(system)
    state = np.array(point[: len(ode)])
    values = dict(zip(system, state, strict=True))
    exact = [sympy.sympify(e).subs(values) for e in system.values()]
    assume(all(value.is_finite for value in exact))  # a denominator may be 0 there
    expected = [float(value) for value in exact]
    assert ode.rhs(state) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    slopes = [[float(sympy.diff(e, v).subs(values)) for v in system] for e in system.values()]
    assert ode.jacobian(state).toarray() == pytest.approx(np.array(slopes), rel=1e-5, abs=1e-5)
    assert sl.ODE.from_sympy(ode.to_sympy()) == ode


def test_what_is_polynomial_stays_polynomial():
    assert type(sl.ODE.from_sympy({x: (x**2 - 1) + y, y: x * y})) is sl.PolynomialODE
    assert type(sl.ODE.from_sympy({x: x * y / x, y: sympy.exp(0 * x)})) is sl.PolynomialODE
    with pytest.raises(NotPolynomialError):
        sl.PolynomialODE.from_sympy({x: 1 / x})


def test_text_latex_and_time():
    ode = rich()
    assert str(ode).splitlines()[:2] == [
        "x' = -x/(1 + x + y) + x^n/(x^n + K^n)",
        "y' = 1/x^2 + exp(-t)*sin(x - y) - y/((1 + x + y)*(2 + 3*y)^2)",
    ]
    assert r"\frac{x}{1 + x + y}" in ode.to_latex()
    later = ode.rhs([0.5, 0.7, 2, 1.5], time=1.0) - ode.rhs([0.5, 0.7, 2, 1.5])
    assert later[1] == pytest.approx(np.sin(-0.2) * (np.exp(-1) - 1))
    assert ode.reordered(np.array([1, 0, 3, 2])).reordered(np.array([1, 0, 3, 2])) == ode
    many = ode.rhs(np.array([[0.5, 0.7, 2, 1.5], [0.6, 0.1, 3, 1.0]]).T)
    assert many[:, 0] == pytest.approx(ode.rhs([0.5, 0.7, 2, 1.5]))


@pytest.mark.parametrize(
    ("expression", "error", "words"),
    [
        (sympy.gamma(x), NotPolynomialError, "gamma"),
        (1 / (y - y + 0 * x + K - K), InputError, "zoo|division by zero|finite"),
        (sympy.Symbol("z") / x, VariableError, "z occurs"),
        (x ** sympy.Integer(5000) / (1 + x), InputError, "above 1000"),
    ],
)
def test_what_cannot_be_read_is_named(expression, error, words):
    with pytest.raises(error, match=words):
        sl.ODE.from_sympy({x: expression})


def test_denominators_have_one_form():
    table = SymbolTable(2)
    a, b = symbol(0), symbol(1)
    both = add_to(dict(a), b)
    assert table.inverse(both) == table.inverse(dict(reversed(both.items())))
    half = table.inverse(add_to(dict(both), both))
    assert half == {m: v / 2 for m, v in table.inverse(both).items()}
    assert table.multiply(a, table.inverse(a)) == constant(1)
    nested = table.inverse(add_to(constant(1), table.inverse(a)))  # 1/(1 + 1/a) = a/(1 + a)
    again = table.multiply(a, table.inverse(add_to(constant(1), a)))
    assert nested == again
    product = table.inverse(table.multiply(a, both))
    assert table.is_zero(add_to(table.multiply(product, a), table.inverse(both), Fraction(-1)))
    with pytest.raises(InputError, match="division by zero"):
        table.inverse(add_to(dict(both), both, Fraction(-1)))


def test_equal_arguments_give_one_symbol():
    table = SymbolTable(1)
    a = symbol(0)
    one_more = add_to(constant(1), a)
    u = table.multiply(a, table.inverse(one_more))  # a/(1 + a)
    v = add_to(constant(1), table.inverse(one_more), Fraction(-1))  # 1 - 1/(1 + a)
    assert u != v
    assert table.apply("exp", [u]) == table.apply("exp", [v])
    minus = {m: -value for m, value in a.items()}
    assert table.apply("sin", [minus]) == dict.fromkeys(table.apply("sin", [a]), -1)
    assert table.apply("cos", [minus]) == table.apply("cos", [a])
    assert table.apply("exp", [{}]) == constant(1)


@pytest.mark.parametrize("name", [f for f in FUNCTIONS if FUNCTIONS[f].slopes])
def test_derivatives_of_functions_are_their_differences(name):
    function = FUNCTIONS[name]
    arguments = [1.3, 0.7] if name == "power" else [1.3 if name == "acosh" else 0.4]
    table = SymbolTable(len(arguments))
    f = table.apply(name, [symbol(i) for i in range(len(arguments))])
    ode = sl.ODE.from_table(
        [f"x{i}" for i in range(len(arguments))], [f] + [{}] * (len(arguments) - 1), table
    )
    exact = ode.jacobian(arguments).toarray()[0]
    for i, value in enumerate(arguments):
        step = 1e-6
        up, down = list(arguments), list(arguments)
        up[i], down[i] = value + step, value - step
        slope = (function.values(*up) - function.values(*down)) / (2 * step)
        assert exact[i] == pytest.approx(slope, rel=1e-6)


def test_simulation_knows_the_time():
    driven = sl.ODE.from_sympy({x: sympy.exp(-t) - x}, time=t)
    states = sl.simulate(driven, [0], [0, 1, 2]).states[0]
    assert states == pytest.approx([0, np.exp(-1), 2 * np.exp(-2)], rel=1e-7)
    rough = sl.ODE.from_sympy({x: sympy.floor(t)}, time=t)
    assert sl.simulate(rough, [0], [0, 1, 2]).states[0][-1] == pytest.approx(1, rel=1e-3)


def test_conditions_in_text_and_in_latex():
    ode = sl.ODE.from_text("x' = piecewise(1, x < 2 && t > 1, x^n)*floor(x) + 2*(x <= 1)^2", ["n"])
    assert str(ode).splitlines()[0] == (
        "x' = 2*(x <= 1)^2 + piecewise(1, and(x < 2, t > 1), x^n)*floor(x)"
    )
    rows = r"1 & \text{if } x < 2 \wedge t > 1 \\ {x}^{n} & \text{otherwise}"
    cases = rf"\left(\begin{{cases}} {rows} \end{{cases}}\right)"
    assert cases + r"\,\left\lfloor x \right\rfloor" in ode.to_latex()
    time = sl.ODE.from_text("t' = time(); pi' = pi()")
    assert r"\operatorname{time}()" in time.to_latex() and r"\operatorname{pi}()" in time.to_latex()
    assert [str(e) for e in time.to_sympy().values()] == ["time()", "pi"]
    again = sl.ODE.from_sympy(time.to_sympy(), time=sympy.Symbol("time()"))
    assert again == time


@pytest.mark.parametrize(
    ("rate", "same"),
    [
        ("(k < 2)", True),
        ("2*(k < 2)", True),
        ("k*(k == 2) + (k > 1)", True),
        ("piecewise(1, k < 2, 3)", True),
        ("piecewise(k, k < 2, 3, k > 4)", True),
        ("piecewise(1, not(k), x)", False),  # sympy makes k = 0 of it
        ("xor(k, x < 1)", False),
        ("or(k - 3, 1 < x)*(k < x)", False),
    ],
)
def test_conditions_as_numbers_go_to_sympy_and_back(rate, same):
    ode = sl.ODE.from_text(f"x' = {rate} + x; y' = {rate}; k' = 0")
    again = sl.ODE.from_sympy(ode.to_sympy())
    assert not same or again == ode
    states = itertools.product([-1, 0, 1, 3, 5], [0, 1, 2], [0, 1, 2, 3, 5])
    for state in states:
        x = np.array(state, dtype=float)
        assert np.array_equal(ode.rhs(x), again.rhs(x), equal_nan=True)
