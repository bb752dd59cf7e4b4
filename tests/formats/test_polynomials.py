"""New constants: a system with letters in place of quotients is the system with numbers, at their values."""

from fractions import Fraction as Q

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump.errors import FileFormatError, NotPolynomialError
from symlump.formats.erode import read_erode
from symlump.formats.flat import Call, evaluate
from symlump.formats.polynomials import PolynomialArithmetic
from symlump.formats.source import Source
from symlump.ode.substitute import substitute

CONSTANTS = st.recursive(
    st.sampled_from(["k", "m", "q", "2", "3", "1/2"]),
    lambda inner: (
        st.builds(
            lambda a, operator, b: f"({a}){operator}({b})", inner, st.sampled_from("++*/-"), inner
        )
        | st.builds("({})^{}".format, inner, st.sampled_from(["2", "(-1)", "(-2)", "0"]))
    ),
    max_leaves=6,
)
TERMS = st.builds(
    "({})*{}/({})".format, CONSTANTS, st.sampled_from(["x", "y", "x*y", "1"]), CONSTANTS
)


@settings(max_examples=150, deadline=None)
@given(terms=st.lists(TERMS, min_size=1, max_size=4), values=st.tuples(*[st.integers(1, 5)] * 3))
def test_letters_have_the_values_of_what_they_stand_for(terms, values):
    k, m, q = values
    text = (
        (
            f"begin model m begin parameters k = {k} m = {m} q = {q} end parameters "
            f"begin init x = 1 y = 2 end init begin ODE d(x) = {' + '.join(terms)} d(y) = x end ODE end model"
        )
        .replace(" begin", "\nbegin")
        .replace(" end", "\nend")
    )
    try:
        numbers = read_erode(Source("m.ode", text))
    except NotPolynomialError as problem:
        assert "division by zero" in str(problem)
        return
    try:
        letters = read_erode(Source("m.ode", text), parameters="symbolic")
    except NotPolynomialError as problem:  # 0/(k - k) as well as 1/(k - m) where k = m
        assert "division by zero" in str(problem)
        return
    assert not set(letters.ode.variables[2:]) - set(letters.ode.parameters)
    at = {name: letters.initial_values[name] for name in letters.ode.parameters}
    assert substitute(letters.ode, at) == numbers.ode


def test_functions_of_constants_are_made_once():
    arithmetic = PolynomialArithmetic(["x", "k", "m"], {1: Q(4), 2: Q(1)})
    values = {name: {((i, 1),): Q(1)} for i, name in enumerate("xkm")}
    root = Call("sqrt", (Call("+", ("k", "m")),))
    twice = evaluate(Call("+", (root, Call("*", (root, "x")))), values, arithmetic)
    assert twice == {((3, 1),): 1, ((0, 1), (3, 1)): 1}
    assert [(new.name, new.text) for new in arithmetic.new] == [("sqrt_k_m", "sqrt(k + m)")]
    power = evaluate(Call("^", ("m", "k")), values, arithmetic)
    assert power == {((4, 1),): 1} and arithmetic.constants[4] == 1
    with pytest.raises(NotPolynomialError, match="symbolic exponent"):
        evaluate(Call("^", ("x", "k")), values, arithmetic)
    with pytest.raises(FileFormatError, match="'z' is not defined"):
        evaluate(Call("^", ("z", "k")), values, arithmetic)


def test_names_of_new_constants_are_free():
    arithmetic = PolynomialArithmetic(["x", "k", "inv_k"], {1: Q(4), 2: Q(1)})
    values = {"x": {((0, 1),): Q(1)}, "k": {((1, 1),): Q(1)}, "i": {((2, 1),): Q(1)}}
    evaluate(Call("/", ("x", "k")), values, arithmetic)
    evaluate(Call("/", ("x", "i")), values, arithmetic)
    assert arithmetic.names[3:] == ["inv_k_2", "inv_inv_k"]
