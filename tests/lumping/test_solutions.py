"""Polynomials on boxes, and the steps that bounds of solutions are made of."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from elementary_systems import exact_rhs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import symlump as sl
from symlump.enclosures.arithmetics import arithmetic
from symlump.lumping.solutions.comparison import logarithmic_norms
from symlump.lumping.solutions.defect import defect, increment
from symlump.lumping.solutions.error_system import BoxMap, ErrorSystem, staying_nonnegative
from symlump.lumping.solutions.flow import Zonotope, action, exponential

ARITHMETICS = ("float64", "flint", "mpmath")


def nearly_lumpable(seed):
    """A cubic system with blocks {0, 1}, {2}, {3, 4}, and coefficients that differ a little."""
    generator = np.random.default_rng(seed)
    x = sympy.symbols("x0:5")
    total = [x[0] + x[1], x[2], x[3] + x[4]]

    def rational():
        return sympy.Rational(int(generator.integers(-40, 41)), 20)

    equations = {}
    for i, block in enumerate((0, 0, 1, 2, 2)):
        terms = [rational(), rational() * total[block], rational() * total[1] * total[2]]
        terms += [rational() * x[i] ** 3 / 5, rational() * x[(i + 1) % 5] * x[i] / 10]
        equations[x[i]] = sum(terms)
    return sl.PolynomialODE.from_sympy(equations)


@pytest.mark.parametrize("method", [sl.Forward, sl.Backward])
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    state=st.lists(st.fractions(-3, 3, max_denominator=9), min_size=5, max_size=5),
)
def test_defect_and_increment_by_their_definitions(method, seed, state):
    initial = [["x0", "x1"], ["x2"], ["x3", "x4"]]
    lumping = sl.lump(nearly_lumpable(seed), method(1e6), initial)
    labels, blocks = lumping.partition.labels.tolist(), len(lumping.partition)
    d = defect(lumping)
    if method is sl.Forward:
        total = [Fraction(0)] * blocks
        rates = [Fraction(0)] * blocks
        for label, value, rate in zip(labels, state, exact_rhs(lumping.ode, state), strict=True):
            total[label] += value
            rates[label] += rate
        expected = [g - r for g, r in zip(exact_rhs(lumping.quotient, total), rates, strict=True)]
        assert exact_rhs(d, state)[:blocks] == expected
        f, source = lumping.quotient, list(range(blocks))
    else:
        y = state[:blocks]
        g = exact_rhs(lumping.quotient, y)
        q = exact_rhs(lumping.ode, [y[label] for label in labels])
        expected = [a - g[label] for a, label in zip(q, labels, strict=True)]
        assert exact_rhs(d, [*y, *[Fraction(0)] * (5 - blocks)]) == expected
        f, source = lumping.ode, labels
    live = list(range(1, len(f)))
    change = increment(f, np.array(source), np.array(live))
    z = state[:blocks]
    error = [Fraction(k, 7) for k in range(len(live))]
    moved = [z[s] for s in source]
    before = exact_rhs(f, moved)
    for k, v in enumerate(live):
        moved[v] += error[k]
    after = exact_rhs(f, moved)
    assert exact_rhs(change, [*z, *error])[: len(live)] == [after[v] - before[v] for v in live]


@pytest.mark.parametrize("name", ARITHMETICS)
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_slopes_enclose_divided_differences(name, degree):
    x, y = sympy.symbols("x y")
    ode = sl.PolynomialODE.from_sympy(
        {x: sympy.Rational(1, 3) * x**degree - x * y ** (degree - 1) + 1, y: x - y**degree}
    )
    box_map = BoxMap(ode, 2, 2, arithmetic(name))
    generator = np.random.default_rng(degree)
    m = box_map.arithmetic
    start, low, high = np.array([0.7, -0.4]), np.array([-0.2, -0.1]), np.array([0.3, 0.2])
    below, above = box_map.slopes(m.point(start), (low, high))
    for _ in range(50):
        v = generator.uniform(low, high)
        change = ode.rhs(start + v) - ode.rhs(start)
        ends = np.array([below * v, above * v])
        assert (ends.min(axis=0).sum(axis=1) <= change + 1e-12).all()
        assert (ends.max(axis=0).sum(axis=1) >= change - 1e-12).all()
    values = box_map.values(m.between(start + low, start + high))
    inner = ode.rhs(generator.uniform(start + low, start + high, (99, 2)).T)
    assert (m.lower(values) <= inner.min(axis=1)).all() and (
        m.upper(values) >= inner.max(axis=1)
    ).all()


def test_what_stays_nonnegative():
    x, y, z = sympy.symbols("x y z")
    everything = np.ones(3, dtype=bool)
    reactions = sl.PolynomialODE.from_reactions(
        [({"A": 1, "B": 1}, {"C": 1}, 2), ({"C": 1}, {"A": 2}, 1)]
    )
    assert staying_nonnegative(reactions, everything).all()
    ode = sl.PolynomialODE.from_sympy({x: z**2 - x, y: x * z, z: -1 + z})
    assert staying_nonnegative(ode, everything).tolist() == [True, False, False]
    assert staying_nonnegative(ode, np.array([False, True, True])).tolist() == [False, False, False]


@pytest.mark.parametrize("name", ARITHMETICS)
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1.4))
def test_exponentials_enclose_those_of_many_digits(name, seed, size):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(4, 4))
    a *= size / np.abs(a).sum(axis=1).max()
    m = arithmetic(name)
    enclosed = exponential(m, a)
    with mpmath.workdps(40):
        exact = mpmath.expm(mpmath.matrix(a.tolist()), method="taylor")
        low, high = m.lower(enclosed), m.upper(enclosed)
        assert all(low[i, j] <= exact[i, j] <= high[i, j] for i in range(4) for j in range(4))
    assert (high - low).max() < 1e-13
    metzler = np.abs(a) - 2 * np.diag(np.diag(np.abs(a)))
    v = np.abs(generator.normal(size=(4, 1)))
    augmented = np.zeros((5, 5))
    augmented[:4, :4], augmented[:4, 4] = metzler, v[:, 0]
    whole = expm(augmented)
    assert action(m, metzler, v, 0) == pytest.approx(whole[:4, :4] @ v, rel=1e-12)
    assert action(m, metzler, v, 1)[:, 0] == pytest.approx(whole[:4, 4], rel=1e-12)


@pytest.mark.parametrize("name", ARITHMETICS)
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_logarithmic_norms_of_members_are_below(name, seed, width):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(3, 3))
    bound = logarithmic_norms(arithmetic(name), (a - width, a + width))
    for _ in range(5):
        member = a + width * generator.uniform(-1, 1, a.shape)
        for k, order in enumerate((1, 2, np.inf)):
            h = 1e-7
            quotient = (np.linalg.norm(np.eye(3) + h * member, order) - 1) / h
            assert quotient <= bound[k] + 1e-5
    if width == 0:
        assert bound[1] == pytest.approx(np.linalg.eigvalsh((a + a.T) / 2).max(), abs=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_a_reduced_zonotope_contains_the_old_one(seed, limit):
    generator = np.random.default_rng(seed)
    old = Zonotope(generator.normal(size=3), generator.normal(size=(3, 12)))
    new = old.reduced(limit)
    assert new.generators.shape[1] <= max(limit, 3)
    for _ in range(20):  # a support function in every direction decides containment
        direction = generator.normal(size=3)
        before = np.abs(direction @ old.generators).sum()
        assert before <= np.abs(direction @ new.generators).sum() + 1e-12
    assert (new.radius() <= old.radius() * (1 + 1e-12)).all()


def test_only_what_the_defect_reaches_is_followed():
    a, b, c, far = sympy.symbols("a b c far")
    ode = sl.PolynomialODE.from_sympy(
        {a: -a, b: -sympy.Rational(11, 10) * b, c: a + b - c, far: -far}
    )
    lumping = sl.lump(ode, sl.Forward(eps=1), [["a", "b"], ["c"], ["far"]])
    start = np.zeros(4, dtype=bool), np.zeros(3, dtype=bool)
    assert ErrorSystem.of(lumping, *start, arithmetic("float64")).live.tolist() == [0, 1]
