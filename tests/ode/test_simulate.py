import warnings

import numpy as np
import pytest
import sympy
from scipy.integrate import LSODA

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.errors import FailureError, InputError
from symlump.ode.simulate import jacobian, solver_warnings


def test_jacobian_agrees_with_differences():
    ode = multisite_phosphorylation(2)
    x = np.random.default_rng(0).uniform(0.5, 1.5, len(ode))
    exact = jacobian(ode, x).toarray()
    step = 1e-6
    for v in range(len(ode)):
        e = np.zeros(len(ode))
        e[v] = step
        assert exact[:, v] == pytest.approx(
            (ode.rhs(x + e) - ode.rhs(x - e)) / (2 * step), abs=1e-7
        )


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "DOP853"])
def test_lump_then_simulate_is_simulate_then_lump(method):
    ode = multisite_phosphorylation(2)
    start = np.zeros(len(ode))
    start[0], start[-2:] = 1.0, [0.4, 0.3]
    times = [0.0, 0.3, 1.0, 3.0]
    lumping = sl.lump(ode, sl.Forward())
    full = sl.simulate(ode, start, times, method)
    small = sl.simulate(lumping.quotient, lumping.aggregate(start), times, method)
    assert lumping.aggregate(full.states) == pytest.approx(small.states, abs=1e-8)
    assert small["E"] == pytest.approx(full["E"], abs=1e-8)
    backward = sl.lump(ode, sl.Backward(), [["E"], ["F"]])
    state = backward.lift(backward.aggregate(start))
    full = sl.simulate(ode, state, times, method)
    small = sl.simulate(backward.quotient, backward.aggregate(state), times, method)
    assert backward.lift(small.states) == pytest.approx(full.states, abs=1e-8)


def test_failures_are_said():
    x = sympy.Symbol("x")
    explosion = sl.PolynomialODE.from_sympy({x: x**2})
    with pytest.raises(FailureError, match="solver stopped"):
        sl.simulate(explosion, [1.0], [0, 2], "Radau")
    for times in ([0], [1, 0], [0, np.nan]):
        with pytest.raises(InputError, match="ascending"):
            sl.simulate(explosion, [1.0], times)
    with pytest.raises(InputError, match="1 finite entries"):
        sl.simulate(explosion, [1.0, 2.0], [0, 1])
    for times in ([0, 1], [0.3, 0.1 + 0.2]):
        with pytest.raises(InputError, match="'Euler' is not a method"):
            sl.simulate(explosion, [0.1], times, "Euler")
    with pytest.raises(InputError, match="'y' is not a variable"):
        sl.simulate(explosion, [0.1], [0, 1])["y"]


@pytest.mark.parametrize("method", ["LSODA", "DOP853"])
@pytest.mark.parametrize(
    ("equations", "initial", "pole"),
    [
        ("x' = x^2", [1.0], 1.0),
        ("x' = 1 + x^2", [0.0], np.pi / 2),
        ("x' = x^3; y' = -y", [1.0, 1.0], 0.5),
        ("x' = -1/x", [1.0], 0.5),
        ("x' = exp(x)", [1.0], np.exp(-1)),
    ],
)
def test_no_method_goes_on_for_ever_before_a_pole(equations, initial, pole, method):
    ode = sl.ODE.from_text(equations)
    for end in (pole + 1e-3, 3.0):
        with pytest.raises(FailureError, match=f"stopped at time {pole:g}: .*(step|overflow)"):
            sl.simulate(ode, initial, [0, pole / 2, end], method)
    before = sl.simulate(ode, initial, [0, 0.9 * pole], method)
    assert np.isfinite(before.states).all()


def test_what_lsoda_says_is_kept_and_other_warnings_pass():
    with pytest.warns(UserWarning, match="another") as passed, solver_warnings() as said:
        solver = LSODA(lambda _, x: -x, 1.0, [1.0], 1 + 2.0**-52)  # too short for it
        solver.step()
        warnings.warn("another", UserWarning, stacklevel=1)
    assert solver.status == "failed" and len(passed) == 1
    assert len(said) == 1 and said[0].startswith("Illegal input")


@pytest.mark.parametrize("method", ["LSODA", "BDF", "DOP853"])
def test_times_a_float_apart(method):
    x = sympy.Symbol("x")
    decay = sl.PolynomialODE.from_sympy({x: -x})
    for times in ([0.3, 0.1 + 0.2], [-0.1 - 0.2, -0.3], [0.3, 0.3 + 6 * 2.0**-54]):
        assert sl.simulate(decay, [1.0], times, method)["x"] == pytest.approx([1, 1], abs=1e-15)
    found = sl.simulate(decay, [1.0], [0, 0.3, 0.1 + 0.2], method)["x"]
    assert found == pytest.approx(np.exp([0, -0.3, -0.3]), abs=1e-8)


def test_graphs_know_the_blocks():
    a, b, c = sympy.symbols("a b c")
    ode = sl.PolynomialODE.from_sympy({a: -a + c, b: -b + c, c: a + b})
    lumping = sl.lump(ode, sl.Forward())
    assert dict(lumping.graph().nodes(data="block")) == {"a": "y1", "b": "y1", "c": "c"}
    quotient = lumping.quotient_graph()
    assert quotient.nodes["y1"]["members"] == ("a", "b")
    assert set(quotient.edges) == {("y1", "y1"), ("c", "y1"), ("y1", "c")}
