"""Tolerances where there are quotients and functions: partitions, the nearest system, its certificate."""

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from elementary_systems import planted_backward, planted_forward, symmetric_system
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError, PartitionError
from symlump.lumping.tolerance.functional import project

x1, x2, x3, x4, t = sympy.symbols("x1:5 t")
FORWARD, BACKWARD = sl.Forward(), sl.Backward()


def within(ode, method, initial=None):
    """A lumping whose reference system is lumped exactly, in floats and by the checker."""
    lumping = sl.lump(ode, method, initial)
    verdict = lumping.certificate().check()
    assert verdict.accepted and "which is a reference model" in verdict.reason
    state = np.random.default_rng(0).uniform(0.5, 1.5, (len(ode), 3))
    if method.direction == "backward":
        state = lumping.lift(lumping.aggregate(state))
    moved = lumping.aggregate(lumping.reference.rhs(state))
    small = lumping.quotient.rhs(lumping.aggregate(state))
    assert moved == pytest.approx(small, rel=1e-6, abs=1e-6)
    return lumping


def test_coefficients_over_one_denominator():
    below = 1 + x1 + x2
    ode = sl.ODE.from_sympy({x1: -x1 / below, x2: -sympy.Rational(11, 10) * x2 / below})
    assert len(sl.lump(ode, sl.Forward(eps=0.09)).partition) == 2
    lumping = within(ode, sl.Forward(eps=0.11))
    y = sympy.Symbol("y1")
    assert lumping.quotient.to_sympy() == {y: -sympy.Rational(21, 20) * y / (1 + y)}
    # The change is 1/20 in two coefficients of the sum, and half of it in each of the two equations.
    assert lumping.defect == pytest.approx(0.05)
    assert sympy.cancel(lumping.reference.to_sympy()[x1] - (x2 - 41 * x1) / 40 / below) == 0


def test_arguments_move_to_the_nearest_function_of_the_sum():
    rate = 1 / (1 + x1 + sympy.Rational(11, 10) * x2)
    ode = sl.ODE.from_sympy({x1: -x1 * rate, x2: -x2 * rate})
    lumping = within(ode, sl.Forward(eps=0.25))
    y = sympy.Symbol("y1")
    assert sympy.cancel(lumping.quotient.to_sympy()[y] + y / (1 + sympy.Rational(21, 20) * y)) == 0
    assert lumping.defect > 0


def test_backward_means():
    ode = sl.ODE.from_sympy(
        {x1: x3 / (1 + x1), x2: 2 * x3 / (1 + x2), x3: -x3 * sympy.sin(x1 - x2)}, time=t
    )
    lumping = within(ode, sl.Backward(eps=1), [["x3"]])
    assert lumping.blocks == (("x1", "x2"), ("x3",))
    y = sympy.Symbol("y1")
    assert lumping.quotient.to_sympy()[y] == sympy.Rational(3, 2) * x3 / (1 + y)
    assert lumping.defect == pytest.approx(0.5)  # ½ in each equation, shared by two monomials
    assert "together: the 1-norm distance" in str(lumping.explain(x1, x2))
    assert "differ most in the coefficient of x3/(1 + x1): 1 for x1, 2 for x2" in str(
        lumping.explain(x1, x2)
    )


@pytest.mark.parametrize(("seed", "functions"), [(s, s % 3 == 0) for s in range(8)])
def test_a_small_tolerance_gives_what_is_exact(seed, functions):
    ode = sl.ODE.from_sympy(symmetric_system(seed, functions))
    for method in (FORWARD, BACKWARD):
        exact = sl.lump(ode, method)
        near = within(ode, replace(method, eps=1e-9))
        assert near.partition == exact.partition and near.defect == 0
        assert near.quotient.rhs(np.ones(len(near.partition))) == pytest.approx(
            exact.quotient.rhs(np.ones(len(near.partition)))
        )


@pytest.mark.parametrize("kind", [FORWARD, BACKWARD], ids=lambda m: m.direction)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_planted_and_disturbed(kind, seed):
    """Every coefficient of a planted system moves a little, and the tolerance finds the blocks again."""
    plant = planted_forward if kind == FORWARD else planted_backward
    system, blocks, *_ = plant(seed)
    draw = random.Random(seed)
    moved = {}
    for variable, rate in system.items():
        terms = sympy.Add.make_args(sympy.sympify(rate))
        moved[variable] = sum(
            term * (1 + sympy.Rational(draw.randint(-9, 9), 10**4)) for term in terms
        )
    ode = sl.ODE.from_sympy(moved)
    initial = [[str(v) for v in block] for block in blocks]
    lumping = within(ode, replace(kind, eps=1.0), initial)
    assert len(lumping.partition) <= len(ode)
    if kind == BACKWARD:
        assert len(lumping.partition) == len(blocks)
        assert lumping.defect < 0.5


@pytest.mark.parametrize("seed", range(6))
def test_beside_a_function_a_polynomial_system_is_treated_as_one(seed):
    draw = np.random.default_rng(seed)
    variables = (x1, x2, x3)
    system = {
        v: sum(
            (int(draw.integers(-2, 3)) + sympy.Rational(int(draw.integers(0, 2)), 10)) * m
            for m in (x1, x2, x3, x1 * x2, x1**2, x2 * x3)
        )
        for v in variables
    }
    apart = [["x4"]]
    alone = sl.PolynomialODE.from_sympy(system | {x4: x4})
    beside = sl.ODE.from_sympy(system | {x4: 1 / x4})
    for method in (sl.Forward(eps=3), sl.Backward(eps=2)):
        expected, found = sl.lump(alone, method, apart), within(beside, method, apart)
        assert found.partition == expected.partition
        state = np.linspace(0.5, 2, len(found.partition))
        own = [i for i, name in enumerate(found.quotient.variables) if name != "x4"]
        assert found.quotient.rhs(state)[own] == pytest.approx(expected.quotient.rhs(state)[own])
        if method.direction == "forward":
            assert found.defect == pytest.approx(expected.defect)
        else:  # monomials that the system does not have take no share
            assert found.defect >= expected.defect - 1e-12
    steps = sl.breakpoints(beside, FORWARD, apart)
    assert [s.eps for s in steps] == [s.eps for s in sl.breakpoints(alone, FORWARD, apart)]


def test_breakpoints_start_with_what_is_exact():
    total = x1 + x2
    ode = sl.ODE.from_sympy({x1: x1 / total + x3, x2: x2 / total, x3: 2 - x3, x4: -x4})
    steps = sl.breakpoints(ode, BACKWARD)
    assert steps[0].eps == 0 and steps[0].partition == sl.lump(ode, BACKWARD).partition
    for step in steps[1:]:
        assert step.partition == sl.lump(ode, sl.Backward(eps=float(step.eps))).partition
        below = sl.lump(ode, sl.Backward(eps=float(step.eps) * (1 - 1e-9))).partition
        assert below != step.partition
    table = sl.sweep(ode, [0, float(steps[-1].eps)], BACKWARD)
    assert [row.blocks for row in table.rows] == [len(steps[0].partition), len(steps[-1].partition)]


def test_what_is_equal_exactly_stays_so_with_the_reference():
    """The quotient of what is equal only after cancelling is what moves."""
    total = x1 + x2
    w, v = sympy.symbols("w v")
    system = {x1: x1 / total, x2: x2 / total + (w - v) / 10, w: 3 * w / 2, v: 7 * v / 5}
    lumping = within(sl.ODE.from_sympy(system), sl.Forward(eps=0.3), [["x1", "x2"], ["w", "v"]])
    assert lumping.blocks == (("x1", "x2"), ("w", "v"))
    backward = {x1: x1 / (x1 + x2), x2: x3 / (2 * x3), x3: x3, x4: sympy.Rational(11, 10) * x4}
    found = within(sl.ODE.from_sympy(backward), sl.Backward(eps=0.2))
    assert found.blocks == (("x1", "x2"), ("x3", "x4"))


def test_a_denominator_that_becomes_zero_is_named():
    ode = sl.ODE.from_sympy({x1: 1 / (x1 - x2), x2: sympy.Rational(1, 10) / (x1 - x2)})
    with pytest.raises(PartitionError, match=r"1/\(x1 - x2\).*initial="):
        sl.lump(ode, sl.Backward(eps=2))
    with pytest.raises(FailureError, match="use a smaller ε"):
        sl.lump(ode, sl.Forward(eps=100))


def test_scale_and_linkage_are_options_as_for_polynomials():
    below = 1 + x1 + x2
    ode = sl.ODE.from_sympy({x1: -x1 / below, x2: -2 * x2 / below, x3: x1, x4: x2})
    apart = [["x1", "x2"], ["x3"], ["x4"]]
    for options, size in (({"scale": (10.0,) * 4}, 3), ({"scale": (1.0,) * 4}, 4)):
        assert len(sl.lump(ode, sl.Forward(eps=0.5, **options), apart).partition) == size
    for linkage in ("closure", "diameter", "variance"):
        assert len(sl.lump(ode, sl.Forward(eps=9, linkage=linkage), apart).partition) == 3
    assert len(sl.lump(ode, sl.Backward(eps=5, relative=True), apart).partition) == 3


def test_the_projection_is_orthogonal():
    """Against least squares in floats, over all monomials that the expansion has."""
    a, b, c = sympy.symbols("a b c")
    p = {((0, 2),): 3, ((0, 1), (1, 1)): 1, ((2, 1),): 5, ((0, 1), (2, 1)): 2}
    near, square = project({m: Fraction(v) for m, v in p.items()}, [0, 0, 1], [2, 1])
    x, y = a + b, c
    basis = [sympy.expand(e) for e in (x**2, x * y, y)]
    monomials = sorted({m for e in basis for m in sympy.Add.make_args(e)}, key=str)
    monomials = sorted({m / m.as_coeff_Mul()[0] for m in monomials}, key=str)
    target = 3 * a**2 + a * b + 5 * c + 2 * a * c

    def coefficient(expression, monomial):
        return float(sympy.Poly(expression, a, b, c).coeff_monomial(monomial))

    columns = np.array([[coefficient(e, m) for e in basis] for m in monomials])
    wanted = np.array([coefficient(target, m) for m in monomials])
    best, rest, *_ = np.linalg.lstsq(columns, wanted, rcond=None)
    found = [float(near[m]) for m in (((0, 2),), ((0, 1), (1, 1)), ((1, 1),))]
    assert found == pytest.approx(best) and float(square) == pytest.approx(rest[0])


def test_a_defect_whose_square_is_no_float():
    ode = sl.ODE.from_text("x' = -1e200/(1 + x); y' = -2e200/(1 + y)")
    found = sl.lump(ode, sl.Backward(eps=1e200))
    plain = sl.lump(sl.ODE.from_text("x' = -1/(1 + x); y' = -2/(1 + y)"), sl.Backward(eps=1))
    assert found.partition == plain.partition and plain.defect > 0
    assert found.defect == pytest.approx(1e200 * plain.defect)
