"""Certified bounds of linear lumpings: against simulation, definitions in rationals, and bounds of blocks."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from elementary_systems import exact_rhs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import symlump as sl
from symlump.datasets.systems import h_tree
from symlump.enclosures.arithmetics import arithmetic
from symlump.errors import FailureError, MethodError
from symlump.lumping.bounds import error_bound
from symlump.lumping.linear.factored import FactoredODE
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.solutions import defect as defects
from symlump.lumping.solutions.aggregate import WeightedSums
from symlump.lumping.solutions.defect import defect
from symlump.lumping.solutions.error_system import ErrorSystem

R = sympy.Rational
X = sympy.symbols("x0:5")


def planted(seed, size=Fraction(1, 400)):
    """z = T·x with z0, z1 a system of their own, but for noise; linear for even seeds, else quadratic."""
    generator = np.random.default_rng(seed)

    def rational(most, below):
        return R(int(generator.integers(-most, most + 1)), below)

    t = sympy.Matrix(
        5, 5, lambda i, j: rational(2, 3) + (3 if i == j else 0)
    )  # diagonally dominant
    z = t * sympy.Matrix(X)

    def form(variables):
        linear = sum(rational(4, 8) * v for v in variables)
        if seed % 2 == 0:
            return linear
        return linear + sum(rational(2, 8) * v * variables[0] for v in variables) + rational(1, 4)

    of_z = [form(z[:2]) - z[k] for k in range(2)] + [form(z) - z[k] for k in range(2, 5)]
    of_x = t.inv() * sympy.Matrix(of_z)
    noise = [
        size * (rational(4, 1) * X[i] + rational(4, 1) * X[i - 1] * (seed % 2) + 1)
        for i in range(5)
    ]
    equations = {x: sympy.expand(p + more) for x, p, more in zip(X, of_x, noise, strict=True)}
    return sl.PolynomialODE.from_sympy(equations), [sympy.expand(z[0]), sympy.expand(z[1])]


def nearly(seed, size=Fraction(1, 400)):
    ode, kept = planted(seed, size)
    lumping = sl.lump(ode, sl.Constrained(kept, eps=1e6))
    assert len(lumping) == 2 and not lumping.is_exact and lumping.defect > 0
    return lumping


def simulated(lumping, start, horizon, times):
    """y − L·x from one state, by a solver of scipy with tight tolerances; L in rationals rounded once."""
    matrix = np.zeros(lumping.rows.shape)
    for i, row in enumerate(lumping.rows.rows()):
        for c, value in row.items():
            matrix[i, c] = float(value)
    paths = [
        solve_ivp(
            lambda _, s, ode=ode: ode.rhs(s),
            (0, horizon),
            begin,
            "DOP853",
            times,
            rtol=1e-12,
            atol=1e-13,
        ).y
        for ode, begin in ((lumping.ode, start), (lumping.quotient, matrix @ start))
    ]
    return paths[1] - matrix @ paths[0]


@pytest.mark.parametrize("seed", range(36))
def test_planted_systems_stay_below_the_bound(seed):
    lumping, horizon, steps = nearly(seed), 0.5, 8
    generator = np.random.default_rng(seed)
    low = generator.uniform(-0.3, 0.3, 5)
    box = np.column_stack([low, low + generator.uniform(0, 0.1, 5)])
    bound = lumping.bound(horizon, box, steps=steps, samples=0)
    times = np.linspace(0, horizon, 4 * steps + 1)
    largest = np.zeros((2, times.size))
    for k in range(4):
        share = generator.random(5)
        start = box[:, 0] + (share.round() if k % 2 else share) * (box[:, 1] - box[:, 0])
        largest = np.maximum(largest, np.abs(simulated(lumping, start, horizon, times)))
    for k in range(times.size):
        assert (largest[:, k] <= bound.during[min(k // 4, steps - 1)] + 1e-10).all()
    assert (largest[:, -1] <= bound.at_end + 1e-10).all()
    assert 1e-5 < bound.value < 3 * largest.max()  # certain, and not idle
    assert bound.value <= bound.formula


def test_the_bound_goes_to_zero_with_the_noise():
    box = np.array([[0.1, 0.2]] * 5)
    values = [
        nearly(3, Fraction(1, 10**k)).bound(0.5, box, steps=8, samples=0).value for k in (3, 5, 7)
    ]
    assert values[0] / values[1] == pytest.approx(100, rel=0.2)
    assert values[1] / values[2] == pytest.approx(100, rel=0.01)


def test_a_known_answer():
    """a' = −0.9·a, b' = −1.1·b and y = a + 2·b, whose quotient is y' = −1.06·y."""
    a, b = sympy.symbols("a b")
    ode = sl.PolynomialODE.from_sympy({a: -R(9, 10) * a, b: -R(11, 10) * b})
    lumping = sl.lump(ode, sl.Constrained([a + 2 * b], eps=1))
    bound = lumping.bound(3, {a: 1, b: 1}, steps=64, samples=20)
    with mpmath.workdps(40):
        rate = mpmath.mpf(float(lumping.quotient.coefficients[0]))
        assert rate == pytest.approx(-1.06)

        def truth(t):
            rates = (rate, mpmath.mpf("-0.9"), mpmath.mpf("-1.1"))
            parts = [mpmath.exp(r * mpmath.mpf(t)) for r in rates]
            return abs(3 * parts[0] - parts[1] - 2 * parts[2])

        for k, held in enumerate(bound.during[:, 0]):
            first, last = (truth(float(t)) for t in bound.times[k : k + 2])
            assert max(first, last) <= held
        assert bound.at_end[0] == pytest.approx(float(truth(3)), rel=1e-8)
        largest = float(max(truth(3 * k / 300) for k in range(301)))
    assert largest <= bound.value < 1.02 * largest
    assert bound.observed.largest[0] == pytest.approx(largest, rel=1e-3)
    assert bound["a + 2*b"] == bound["y1"] == bound.value


BLOCKS = [["x1"], ["x2", "x3"]]


@pytest.mark.parametrize("other", ["float64", "flint", "mpmath"])
def test_block_sums_as_rows_have_the_bound_of_the_blocks(other):
    if other == "flint":
        pytest.importorskip("flint")
    x1, x2, x3 = sympy.symbols("x1:4")
    equations = {
        x1: x2 + x3 - x1 * x2,
        x2: x1 / 2 - x2,
        x3: R(101, 200) * x1 - R(51, 50) * x3 + x3**2 / 9,
    }
    ode = sl.PolynomialODE.from_sympy(equations)
    blocks = sl.lump(ode, sl.Forward(eps=2), BLOCKS)
    assert len(blocks.partition) == 2
    rows = ExactMatrix.from_rows([{0: 1}, {1: 1, 2: 1}], 3)
    linear = LinearLumping(ode, rows, blocks.quotient)
    box = dict.fromkeys(ode.variables, (0.2, 0.3))
    options = {"steps": 8 if other == "float64" else 2, "arithmetic": other, "samples": 10}
    horizon = options["steps"] / 8
    ours, theirs = (
        linear.bound(horizon, box, **options),
        error_bound(blocks, horizon, box, **options),
    )
    assert ours.during == pytest.approx(theirs.during, rel=1e-8)
    assert ours.value == pytest.approx(theirs.value, rel=1e-8) and ours.value > 1e-3
    assert ours.defect == pytest.approx(theirs.defect, rel=1e-9)
    assert ours.logarithmic_norm == pytest.approx(theirs.logarithmic_norm, rel=1e-6)
    assert ours.observed.errors == pytest.approx(theirs.observed.errors)
    assert ours.components == theirs.components and ours.by_observable == {}


def test_three_arithmetics_agree():
    lumping, box = nearly(5), np.array([[0.1, 0.15]] * 5)
    ours = lumping.bound(0.25, box, steps=2, samples=0)
    for other in ("flint", "mpmath"):
        if other == "flint":
            pytest.importorskip("flint")
        theirs = lumping.bound(0.25, box, steps=2, samples=0, arithmetic=other)
        assert theirs.during == pytest.approx(ours.during, rel=1e-6)


def test_exact_lumpings_have_no_error_at_all():
    ode, kept = planted(7, Fraction(0))
    lumping = sl.lump(ode, sl.Constrained(kept))
    assert lumping.exact and len(lumping) == 2
    assert any(abs(value) > 1 for value in lumping.rows.values)
    bound = lumping.bound(1, np.array([[0, 5]] * 5), samples=0)
    assert bound.value == bound.defect == 0.0
    assert "the defect has no term" in str(bound)


fractions = st.fractions(-3, 3, max_denominator=9)


def applied(lumping, state):
    return [sum(w * state[c] for c, w in row.items()) for row in lumping.rows.rows()]


@settings(max_examples=15)
@given(seed=st.integers(0, 40), state=st.lists(fractions, min_size=5, max_size=5))
def test_the_defect_by_its_definition(seed, state):
    """It is that of the very quotient that is returned, whose coefficients are floats."""
    lumping = nearly(seed)
    found = exact_rhs(defect(lumping), state)
    ours = exact_rhs(lumping.quotient, applied(lumping, state))
    theirs = applied(lumping, exact_rhs(lumping.ode, state))
    assert found[:2] == [a - b for a, b in zip(ours, theirs, strict=True)]
    assert found[2:] == [0] * 3


@pytest.mark.parametrize("name", ["float64", "flint", "mpmath"])
@settings(max_examples=25)
@given(data=st.data())
def test_weighted_sums_hold_what_rationals_give(name, data):
    """Weights that are no floats, too: of every enclosure the true value is a member."""
    if name == "flint":
        pytest.importorskip("flint")
    m = arithmetic(name)
    weights = data.draw(
        st.lists(st.lists(fractions, min_size=3, max_size=3), min_size=1, max_size=2)
    )
    floats = st.floats(-4, 4, allow_subnormal=False)
    x = data.draw(st.lists(floats, min_size=3, max_size=3))
    sums = WeightedSums(ExactMatrix.from_rows([dict(enumerate(row)) for row in weights], 3), m)
    exact = [sum(w * Fraction(v) for w, v in zip(row, x, strict=True)) for row in weights]
    held = sums.enclose(m.point(np.array(x)))
    for value, low, high in zip(exact, m.lower(held), m.upper(held), strict=True):
        assert Fraction(low) <= value <= Fraction(high)
        assert high - low < 1e-12
    outer = np.array([data.draw(st.lists(floats, min_size=len(weights), max_size=len(weights)))])
    low, high = sums.compose((outer, outer))
    for c in range(3):
        value = sum(Fraction(v) * row[c] for v, row in zip(outer[0].tolist(), weights, strict=True))
        assert Fraction(low[0, c]) <= value <= Fraction(high[0, c])
        assert high[0, c] - low[0, c] < 1e-12


@pytest.mark.parametrize("name", ["float64", "mpmath"])
def test_a_weight_that_is_no_float_is_enclosed(name):
    """The nearest float in its place gives an interval that is rounded outward, and does not hold the value."""
    weight, x = Fraction(13210053769, 13196742912), 1.986512829338283
    m = arithmetic(name)
    near = m.point(np.array([float(weight)])) * m.point(np.array([x]))
    exact = weight * Fraction(x)
    assert not Fraction(m.lower(near)[0]) <= exact <= Fraction(m.upper(near)[0])
    held = WeightedSums(ExactMatrix.from_rows([{0: weight}], 1), m).enclose(m.point(np.array([x])))
    assert Fraction(m.lower(held)[0]) <= exact <= Fraction(m.upper(held)[0])


@pytest.mark.parametrize("name", ["float64", "mpmath"])
@settings(max_examples=10)
@given(
    seed=st.integers(0, 20),
    start=st.lists(fractions, min_size=7, max_size=7),
    moved=st.lists(fractions, min_size=7, max_size=7),
)
def test_the_error_system_by_its_definition(name, seed, start, moved):
    """Values and slopes of (x, e)' hold those in rationals: q(x), and g(L·x + e) − L·q(x)."""
    lumping, m = nearly(seed), arithmetic(name)
    system = ErrorSystem.of(lumping, np.zeros(5, dtype=bool), np.zeros(2, dtype=bool), m)
    assert system.live.tolist() == [0, 1]

    def rate(state):
        y = [a + b for a, b in zip(applied(lumping, state[:5]), state[5:], strict=True)]
        own = exact_rhs(lumping.ode, state[:5])
        ours = zip(exact_rhs(lumping.quotient, y), applied(lumping, own), strict=True)
        return own + [a - b for a, b in ours]

    # Floats, so that the points are the same ones for both.
    start, moved = ([Fraction(float(v)) for v in part] for part in (start, moved))
    point, move = (np.array([float(v) for v in part]) for part in (start, moved))
    held = system.values(m.point(point))
    for value, low, high in zip(rate(start), m.lower(held), m.upper(held), strict=True):
        assert Fraction(low) <= value <= Fraction(high)
    assert system.rate(point) == pytest.approx([float(v) for v in rate(start)], abs=1e-9)
    low, high = system.slopes(m.point(point), (move, move))
    after = rate([a + b for a, b in zip(start, moved, strict=True)])
    for i, (a, b) in enumerate(zip(rate(start), after, strict=True)):
        ends = [
            sorted((Fraction(low[i, j]) * v, Fraction(high[i, j]) * v)) for j, v in enumerate(moved)
        ]
        assert sum(e[0] for e in ends) <= b - a <= sum(e[1] for e in ends)


def test_what_is_kept_has_a_bound_of_its_own():
    ode = sl.ODE.from_text("x' = 3*y - x; y' = z/8 - y + w/30; z' = -z; w' = -2*w + x/9")
    lumping = sl.lump(ode, sl.Constrained(["x/3", "y", "x/3 - 2*y"], eps=0.3))
    first, second = ({"x": Fraction(1, 3)}, {"x": Fraction(1, 3), "y": Fraction(-2)})
    assert lumping.combinations == {"y1": first, "y2": second}  # what is kept is kept exactly
    bound = lumping.bound(1, dict.fromkeys("xyzw", (0, 0.5)), steps=8, samples=30)
    assert set(bound.by_observable) == {"x/3", "y", "x/3 - 2*y"}
    assert bound["x/3"] == bound["y1"] and bound["x/3 - 2*y"] == bound["y2"]
    halves = (bound.during / 2).sum(axis=1).max()  # y = (y1 − y2)/2
    assert halves <= bound["y"] <= halves * (1 + 1e-12)
    text = str(bound)
    assert text.splitlines()[1].startswith("row ") and "of x/3 - 2*y: " in text
    assert min(bound.ratios.values()) >= 0.999 and bound.ratio < 1.5


def test_functions_and_time():
    ode = sl.ODE.from_text("x' = -x + exp(-a - b)*sin(t)/(1 + a); a' = -a + b; b' = -1.01*b + a/50")
    lumping = sl.lump(ode, sl.Constrained(["x", "a + b"], eps=2))
    assert len(lumping) == 2 and not lumping.is_exact
    box = {"x": (0.9, 1.1), "a": (0.9, 1), "b": (0.9, 1)}
    bound = lumping.bound(1, box, steps=8, samples=60)
    assert (bound.observed.errors[1:] <= np.repeat(bound.during, 8, axis=0) + 1e-8).all()
    assert 0.999 <= bound.ratio < 3


def test_systems_with_a_denominator_that_nearly_agrees():
    ode = sl.ODE.from_text("E' = -E*(A + B)/(1 + A + B);  A' = -A;  B' = -1.03*B")
    bound = sl.lump(ode, sl.Constrained("E", eps=0.1)).bound(
        1, {"E": (0.9, 1.1), "A": (0.9, 1), "B": (0.9, 1)}, steps=8, samples=30
    )
    assert 0.999 <= bound.ratio < 1.1 and bound.value < 1e-3
    assert 0 < bound["E"] < 2 * bound.observed.largest[0]


def test_what_has_no_bound_is_said():
    lumping, box = nearly(1), np.array([[0, 1]] * 5)
    with pytest.raises(MethodError, match="a linear lumping holds for any initial state"):
        error_bound(lumping, 1, box, spread=0.1)
    step = sl.lump(sl.ODE.from_text("x+ = x/2 + y/9; y+ = y/3"), sl.Constrained("x", eps=1))
    with pytest.raises(MethodError, match=r"this system is a map; Forward\(eps=…\)"):
        step.bound(3, {"x": 1, "y": 1})
    steep = sl.lump(sl.ODE.from_text("x' = -x + abs(y)/9; y' = -y"), sl.Constrained("x", eps=1))
    with pytest.raises(MethodError, match="contains abs"):
        steep.bound(3, {"x": 1, "y": 1})
    factors = FactoredODE(lumping.quotient.variables, np.eye(2), lumping.quotient, np.eye(2))
    kept = LinearLumping(lumping.ode, lumping.rows, factors)
    with pytest.raises(FailureError, match=r"this one of 2 variables is kept .* a larger eps"):
        kept.bound(1, box)


def test_too_many_terms_are_said(monkeypatch):
    monkeypatch.setattr(defects, "MAX_TERMS", 10)
    with pytest.raises(
        FailureError, match="products of long rows multiply out; choose another eps"
    ):
        nearly(1).bound(1, np.array([[0, 1]] * 5), samples=0)


def test_sweeps_and_searches_certify_linear_lumpings():
    ode = h_tree(3, tolerance=0.01)
    box = dict.fromkeys(ode.variables, (0.0, 0.1))
    table = sl.sweep(ode, method=sl.Constrained("v1_1"), box=box, horizon=1.0)
    bounds = [row.bound for row in table.rows]
    assert bounds[0] == 0 and bounds == sorted(bounds) and bounds[1] < bounds[2]
    assert all(row.observed <= row.bound + 1e-9 for row in table.rows)
    found = table.largest(max_bound=bounds[1])
    assert len(found) == 2
    best = sl.search(ode, sl.Constrained("v1_1"), max_bound=bounds[1], box=box, horizon=1.0)
    assert len(best) == 2
    with pytest.raises(MethodError, match="both a box of initial states and a horizon"):
        sl.sweep(ode, method=sl.Constrained("v1_1"), box=box)
    with pytest.raises(MethodError, match="data belongs to networks"):
        sl.sweep(ode, method=sl.Constrained("v1_1"), data=([], []))
