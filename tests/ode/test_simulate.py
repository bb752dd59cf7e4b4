import pickle
import warnings

import numpy as np
import pytest
import sympy
from scipy.integrate import LSODA

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.errors import FailureError, InputError, SimulationError
from symlump.ode.course import solver_warnings
from symlump.ode.simulate import jacobian


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


@pytest.mark.parametrize("method", ["LSODA", "Radau", "RK45"])
@pytest.mark.parametrize(
    "equation", ["x' = -abs(x)^0.5*x/abs(x)", "x' = sign(1 - x)", "x' = 1 - 2*floor(x)"]
)
def test_work_is_bounded_where_a_right_hand_side_jumps(equation, method):
    """The solver jumps to and fro across the kink, ever more slowly, and would never end."""
    ode = sl.ODE.from_text(equation)
    with pytest.raises(
        SimulationError, match=r"stopped at time \d.*(jumps|less than spacing)"
    ) as e:
        sl.simulate(ode, [1.0 if "abs" in equation else 0.5], [0, 0.1, 5], method, max_steps=500)
    assert 0.1 < e.value.time < 5
    with pytest.raises(InputError, match="at least one step"):
        sl.simulate(ode, [1.0], [0, 1], method, max_steps=0)


def test_steps_are_counted_between_the_times_that_are_asked_for():
    ode = sl.ODE.from_text("x' = y; y' = -x")
    with pytest.raises(SimulationError, match="300 steps since time 0, .*larger max_steps"):
        sl.simulate(ode, [1.0, 0.0], [0, 60], max_steps=300)
    times = np.linspace(0, 60, 31)
    assert sl.simulate(ode, [1, 0], times, max_steps=300)["x"] == pytest.approx(
        np.cos(times), abs=1e-7
    )


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "DOP853"])
@pytest.mark.parametrize(
    ("equations", "initial", "time", "words"),
    [
        ("x' = -1; y' = ln(x)", [1, 0], 1, r"ln\(x\) has no real value where its argument is -"),
        ("x' = -x^0.5 - 1/10", [1], 1.52042, r"x\^\(1/2\) has no real value where its base is -"),
        (
            "x' = asin(x) + 1",
            [0],
            0.6736,
            r"asin\(x\) has no real value where its argument is 1\.0",
        ),
        ("x' = ln(x)", [0], 0, r"ln\(x\) is infinite where its argument is 0"),
        (
            "x' = 1/(x - y); y' = x",
            [1, 1],
            0,
            r"1/\(x - y\) is infinite where its denominator is 0",
        ),
        ("x' = exp(800*x)", [1], 0, r"exp\(800\*x\) is beyond what floats hold .* is 800"),
        ("x' = -1/x", [1], 0.5, "1/x is .*e.* there|less than spacing"),
    ],
)
def test_a_function_that_leaves_its_domain_is_named(equations, initial, time, words, method):
    ode = sl.ODE.from_text(equations)
    with pytest.raises(SimulationError, match=f"at time {time:g}.*{words}") as problem:
        sl.simulate(ode, initial, [0, 3], method)
    assert problem.value.time == pytest.approx(time, abs=1e-4)
    assert pickle.loads(pickle.dumps(problem.value)).time == problem.value.time


def test_a_map_that_leaves_the_domain_of_a_function_says_so():
    ode = sl.ODE.from_text("x+ = ln(x)")
    with pytest.raises(SimulationError, match=r"ln\(x\) has no real value .* -0\.366.*, at step 3"):
        sl.simulate(ode, [2.0], range(5))
    with pytest.raises(SimulationError, match="leaves every bound, at step 7"):
        sl.simulate(sl.ODE.from_text("x+ = x^3"), [2.0], range(12))
