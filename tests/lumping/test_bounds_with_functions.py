"""Certified errors of quotients of systems with quotients and functions."""

import random

import numpy as np
import pytest
import sympy
from elementary_systems import random_rate, symmetric_system
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.enclosures.arithmetics import arithmetic
from symlump.enclosures.elementary import ENCLOSED, enclose_derivative, reciprocals
from symlump.errors import FailureError, MethodError
from symlump.lumping.solutions.error_system import ErrorSystem, staying_nonnegative
from symlump.lumping.solutions.function_defect import function_defect, function_increment
from symlump.lumping.solutions.functional import FunctionMap, autonomous

x1, x2, x3, t = sympy.symbols("x1:4 t")
NAMES = ["float64", "flint", "mpmath"]
FUNCTIONS = {
    "exp": (np.exp, np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u, lambda u: -1 / u**2),
    "sin": (np.sin, np.cos, lambda u: -np.sin(u)),
    "cos": (np.cos, lambda u: -np.sin(u), lambda u: -np.cos(u)),
    "tan": (np.tan, lambda u: 1 / np.cos(u) ** 2, lambda u: 2 * np.tan(u) / np.cos(u) ** 2),
    "sinh": (np.sinh, np.cosh, np.sinh),
    "cosh": (np.cosh, np.sinh, np.cosh),
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2, lambda u: -2 * np.tanh(u) / np.cosh(u) ** 2),
}


def of(name):
    if name == "flint":
        pytest.importorskip("flint")
    return arithmetic(name)


@pytest.mark.parametrize("name", sorted(ENCLOSED))
@pytest.mark.parametrize("kind", ["flint", "mpmath"])
def test_functions_are_enclosed(name, kind):
    of(kind)
    low, high = np.array([0.3, 0.3, 1.1]), np.array([0.3, 0.7, 1.4])
    for order in range(3):
        below, above = enclose_derivative(name, order, low, high, kind)
        assert (below <= above).all() and np.isfinite([below, above]).all()
        points = np.linspace(low, high, 7)
        values = FUNCTIONS[name][order](points)
        room = 1e-14 * np.abs(values).max()
        assert (below - room <= values).all() and (values <= above + room).all()
        assert above[0] - below[0] < 1e-13 * max(1, abs(above[0]))  # a point stays one, nearly


def test_what_is_not_defined_is_infinite():
    one, two = np.array([-1.0, 0.0, np.inf]), np.array([1.0, 0.0, np.inf])
    assert np.isinf(reciprocals(one[:2], two[:2])).all()
    assert np.isinf(enclose_derivative("log", 0, one[:2], two[:2])).all()
    assert np.isinf(enclose_derivative("exp", 0, one[2:], two[2:])).all()
    assert np.isinf(enclose_derivative("tan", 0, np.array([1.0]), np.array([2.0]))).all()
    low, high = reciprocals(np.array([-4.0, 3.0]), np.array([-2.0, 3.0]))
    assert low[0] <= -0.5 and -0.25 <= high[0] < -0.24
    assert low[1] < 1 / 3 < high[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_a_map_and_its_slopes_are_enclosed(seed, name):
    system = {x1: x1 / (1 + x1 * x2) + sympy.exp(-x1 / (2 + x2)), x2: sympy.sin(x1 + x2) / (1 + x1)}
    system |= {x3: sympy.log(1 + x3) ** 2 * sympy.tanh(x1 * x3)}
    ode, m, draw = sl.ODE.from_sympy(system), of(name), np.random.default_rng(seed)
    box_map = FunctionMap(ode, 3, 3, m)
    start = draw.uniform(0.5, 1, 3)
    low, high = -draw.uniform(0, 0.1, 3), draw.uniform(0, 0.1, 3)
    whole = m.point(start) + m.between(low, high)
    below, above = m.lower(box_map.values(whole)), m.upper(box_map.values(whole))
    slopes = box_map.slopes(m.point(start), (low, high))
    assert (slopes[0] <= slopes[1]).all()
    for v in draw.uniform(low, high, (20, 3)):
        value = ode.rhs(start + v)
        assert (below <= value + 1e-12).all() and (value <= above + 1e-12).all()
        # Some matrix between the bounds maps v to the difference: so does an interval product.
        difference = value - ode.rhs(start)
        products = np.stack([slopes[0] * v, slopes[1] * v])
        assert (products.min(axis=0).sum(axis=1) <= difference + 1e-12).all()
        assert (difference <= products.max(axis=0).sum(axis=1) + 1e-12).all()
    narrow = box_map.slopes(m.point(start), (0 * low, 0 * high))
    assert narrow[0] == pytest.approx(ode.jacobian(start).toarray(), abs=1e-9)
    assert narrow[1] == pytest.approx(ode.jacobian(start).toarray(), abs=1e-9)


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_an_error_acts_by_terms_with_a_factor_of_it(seed, functions):
    """F(z, e) = f(z + e) − f(z), and every term has an e."""
    draw = random.Random(seed)
    f = sl.ODE.from_sympy(
        {v: random_rate(draw, (x1, x2, x3), functions) + 1 / (5 + x3) for v in (x1, x2)} | {x3: 1}
    )
    live = np.array([0, 1])
    change = function_increment(f, np.array([0, 0, 1]), live, ["a", "b"])
    for i in range(2):
        for monomial in change.equation(i):
            assert any(s in (2, 3) for s, _ in monomial)
    point = np.random.default_rng(seed).uniform(0.5, 1, 4)
    z = np.array([point[0], point[0], point[1]])
    moved = z + np.array([point[2], point[3], 0]) / 10
    expected = (f.rhs(moved) - f.rhs(z))[:2]
    state = np.concatenate([point[:2], point[2:] / 10])
    m = arithmetic("float64")
    try:
        values = FunctionMap(change, 4, 2, m).values(m.point(state)) if change.generators else None
    except Exception as problem:  # a denominator that is 0 near the point
        assert type(problem).__name__ == "Undefined"
        return
    if values is None:
        assert change.rhs(state)[:2] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    else:
        room = 1e-9 * (1 + np.abs(expected))
        assert (values.lower - room <= expected).all() and (expected <= values.upper + room).all()


@pytest.mark.parametrize("seed", range(6))
def test_defects_are_what_the_quotient_gets_wrong(seed):
    ode = sl.ODE.from_sympy(symmetric_system(seed, seed % 3 == 0))
    state = np.random.default_rng(seed).uniform(0.5, 1, len(ode))
    for method in (sl.Forward(eps=2), sl.Backward(eps=2), sl.Forward(), sl.Backward()):
        lumping = sl.lump(ode, method)
        d = function_defect(autonomous(lumping))
        if method.is_exact:
            assert not d.terms
        elif method.direction == "forward":
            expected = lumping.quotient.rhs(lumping.aggregate(state)) - lumping.aggregate(
                ode.rhs(state)
            )
            found = _values(d, state, len(expected))
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)
        else:
            small = lumping.aggregate(state)
            expected = ode.rhs(lumping.lift(small)) - lumping.lift(lumping.quotient.rhs(small))
            padded = np.concatenate([small, np.ones(len(ode) - len(small))])
            assert _values(d, padded, len(ode)) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def _values(d, state, count):
    if d.generators is None:
        return d.rhs(state)[:count]
    m = arithmetic("float64")
    return m.ball(FunctionMap(d, len(state), count, m).values(m.point(state)))[0]


BELOW = 1 + x1 + x2
RATES = {x1: -x1 / BELOW, x2: -sympy.Rational(51, 50) * x2 / BELOW}
BOX = {"x1": (0.9, 1.1), "x2": (0.9, 1.1)}


def test_a_bound_holds_and_is_near():
    ode = sl.ODE.from_sympy(RATES)
    forward = sl.lump(ode, sl.Forward(eps=0.1)).bound(1, BOX, steps=8, samples=20)
    backward = sl.lump(ode, sl.Backward(eps=0.1)).bound(1, BOX, steps=8, samples=20)
    for bound in (forward, backward):
        assert 1 <= bound.ratio < 2
        assert (bound.observed.largest <= bound.during.max(axis=0)).all()
        assert bound.value <= bound.formula


@pytest.mark.parametrize("name", NAMES[1:])
def test_three_arithmetics_agree(name):
    of(name)
    ode = sl.ODE.from_sympy({x1: -x1 / (1 + x1), x2: -x2 / (1 + x2) * (1 + sympy.Float(2) ** -7)})
    lumping = sl.lump(ode, sl.Backward(eps=0.1))
    values = [
        lumping.bound(0.25, {"x1": 1, "x2": 1}, steps=2, samples=0, arithmetic=kind).value
        for kind in ("float64", name)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_arguments_that_moved_are_compared_with_what_they_were():
    """1/(1 + x1 + 1.01·x2) beside 1/(1 + 1.005·(x1 + x2)): the difference is small, not the enclosures."""
    below = 1 + x1 + sympy.Rational(101, 100) * x2
    ode = sl.ODE.from_sympy({x1: -x1 / below, x2: -x2 / below})
    bound = sl.lump(ode, sl.Forward(eps=0.1)).bound(1, BOX, steps=8, samples=20)
    assert 1 <= bound.ratio < 3


def test_the_time_is_a_variable():
    """e' = exp(−t)/100 from 0: e = (1 − exp(−t))/100 for each of two that are pulled apart."""
    system = {
        x1: sympy.exp(-t) * sympy.Rational(101, 100),
        x2: sympy.exp(-t) * sympy.Rational(99, 100),
    }
    lumping = sl.lump(sl.ODE.from_sympy(system, time=t), sl.Backward(eps=0.1))
    bound = lumping.bound(2, {"x1": 0, "x2": 0}, steps=16, samples=4)
    exact = (1 - np.exp(-2)) / 100
    assert exact <= bound.value <= exact * 1.01
    assert bound.reach.shape == (1, 2) and bound.components == ("x1", "x2")
    assert bound.ratio >= 1


def test_what_is_lumped_exactly_has_no_error():
    rate = x3**2 / (1 + x3**2)
    system = {x1: rate - x1, x2: rate - x2, x3: 1 / BELOW - x3}
    for method in (sl.Forward(), sl.Backward()):
        box = dict.fromkeys(("x1", "x2", "x3"), (0.5, 0.6))
        bound = sl.lump(sl.ODE.from_sympy(system), method).bound(5, box, samples=0)
        assert bound.value == 0 and "the defect has no term" in str(bound)


def test_powers_with_letters_as_exponents():
    n = sympy.Symbol("n")
    rate = x3**n / (1 + x3**n)
    ode = sl.ODE.from_sympy(
        {x1: rate - x1, x2: rate * sympy.Rational(101, 100) - x2, x3: -x3}, parameters=[n]
    )
    lumping = sl.lump(ode, sl.Backward(eps=0.1), [["x1", "x2"], ["x3"]])
    box = {"x1": 0, "x2": 0, "x3": (0.5, 0.52), "n": (2, 2.1)}
    bound = lumping.bound(0.5, box, steps=4, samples=10)
    assert 1 <= bound.ratio < 2
    with pytest.raises(
        FailureError, match=r"beyond time 0 of 1: (log\(x3\)|1/x3) may have no value"
    ):
        lumping.bound(1, box | {"x3": (0, 0.5)}, steps=2)


def test_denominators_are_shown_to_stay_away_from_0_or_named():
    ode = sl.ODE.from_sympy({x1: -x1 / (x1 - x2 - 1), x2: -1.02 * x2 / (x1 - x2 - 1)})
    lumping = sl.lump(ode, sl.Backward(eps=0.1))
    with pytest.raises(
        FailureError, match=r"1/\(-1 \+ error of x1 - error of x2\) may have no value"
    ):
        lumping.bound(1, {"x1": (0, 2), "x2": (0, 2)}, spread=2.0, steps=2)
    falling = sl.ODE.from_sympy({x1: -1 / x1, x2: -1 / x2 - x2 / 100})
    with pytest.raises(FailureError, match=r"1/\(y1 \+ error of x\d\) may have no value there"):
        sl.lump(falling, sl.Backward(eps=1)).bound(1, {"x1": 1, "x2": 1}, steps=4)


def test_functions_without_enclosures_are_named():
    ode = sl.ODE.from_sympy({x1: -sympy.Abs(x1), x2: -sympy.floor(x2)})
    with pytest.raises(MethodError, match=r"a bound encloses quotients.*contains abs, floor"):
        sl.lump(ode, sl.Backward(eps=9)).bound(1, {"x1": 1, "x2": 1})


def test_signs_are_followed_through_functions():
    ode = sl.ODE.from_sympy(
        {x1: x2 / (1 + x1 + x2) + sympy.exp(-x1), x2: -x2 / (1 - x1), x3: 1 / (x1 - x2)}
    )
    assert staying_nonnegative(ode, np.array([True, True, True])).tolist() == [True, True, False]
    assert staying_nonnegative(ode, np.array([True, False, True])).tolist() == [False, False, False]


def test_what_an_error_does_not_reach_is_left_out():
    system = RATES | {x3: -x3 / (1 + x3)}
    lumping = sl.lump(sl.ODE.from_sympy(system), sl.Backward(eps=0.1), [["x1", "x2"], ["x3"]])
    start = np.ones(2, dtype=bool), np.zeros(3, dtype=bool)
    assert ErrorSystem.of(lumping, *start, arithmetic("float64")).live.tolist() == [0, 1]
