"""Certified bounds of a quotient's error: against simulation, known answers, and another arithmetic."""

import math
import re
from fractions import Fraction
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.datasets.systems import polymerization
from symlump.errors import FailureError, InputError, MethodError, VariableError
from symlump.lumping.bounds import error_bound
from symlump.lumping.observed import observed_error

R = sympy.Rational
A, B, C, D, U, V, G, H = sympy.symbols("a b c d u v g h")


def tree(perturbation=Fraction(1, 50)):
    """Seven compartments in a binary tree; the rates of siblings differ a little."""
    perturbation = R(perturbation)
    x = sympy.symbols("x1:8")
    generator = np.random.default_rng(3)
    equations = {v: -v / 5 for v in x}
    for child in range(1, 7):
        parent = (child - 1) // 2
        down, up = (1 + perturbation * R(int(generator.integers(-100, 101)), 100) for _ in range(2))
        flow = down * x[parent] - up / 2 * x[child]
        equations[x[parent]] -= flow
        equations[x[child]] += flow
    return sl.PolynomialODE.from_sympy(equations)


def predators(perturbation=Fraction(1, 100)):
    """Two kinds of prey and two of predators, nearly the same."""
    perturbation = R(perturbation)
    return sl.PolynomialODE.from_sympy(
        {
            A: (1 + perturbation) * A * (1 - C - D),
            B: B * (1 - C - D),
            C: C * (A + B - 1),
            D: D * (A + B - 1 - 3 * perturbation),
        }
    )


def cascade(perturbation=Fraction(1, 50)):
    """Two tanh units c = tanh(a), d = tanh(b) with outputs g, h and their sum v, in state form."""
    perturbation = R(perturbation)
    first = -A + U + R(1, 2)
    second = -B + (1 + perturbation) * U + R(1, 2)
    return sl.PolynomialODE.from_sympy(
        {
            U: 0 * U,
            A: first,
            B: second,
            C: (1 - C**2) * first,
            D: (1 - D**2) * second,
            G: -G + C,
            H: -H + D,
            V: -V + G + (1 - perturbation) * H,
        }
    )


TREE_BLOCKS = [["x1"], ["x2", "x3"]]
CASES = {
    "tree, forward": (tree, sl.Forward, TREE_BLOCKS, 8, (0.8, 1.2)),
    "tree, backward": (tree, sl.Backward, TREE_BLOCKS, 8, (0.8, 1.2)),
    "polymerization, forward": (
        lambda: polymerization(Fraction(1, 20)),
        sl.Forward,
        [["A1", "A2"], ["A1p", "A2p"], ["A1pC2H2", "A2pC2H2"], ["H"], ["H2"]],
        1,
        (0.97, 1.03),
    ),
    "predators, forward": (predators, sl.Forward, [["a", "b"]], 3, (0.48, 0.52)),
    "predators, backward": (predators, sl.Backward, [["a", "b"]], 3, (0.48, 0.52)),
    "cascade, forward": (
        cascade,
        sl.Forward,
        [["u"], ["a"], ["b"], ["c"], ["d"], ["v"]],
        4,
        (0.0, 0.1),
    ),
    "cascade, backward": (
        cascade,
        sl.Backward,
        [["u"], ["v"], ["a", "b"], ["c", "d"]],
        4,
        (0.0, 0.1),
    ),
}


def case(name):
    system, method, initial, horizon, interval = CASES[name]
    ode = system()
    return sl.lump(ode, method(eps=2), initial), horizon, dict.fromkeys(ode.variables, interval)


@pytest.mark.parametrize("name", CASES)
def test_a_thousand_simulations_stay_below_at_all_times(name):
    lumping, horizon, box = case(name)
    assert 0 < len(lumping.partition) < len(lumping.ode)
    bound = error_bound(lumping, horizon, box, steps=64, samples=1000, seed=1)
    seen, slack = bound.observed, 1e-8
    assert seen.samples == 1000 and seen.times.size == 65
    # The k-th time ends one interval and begins the next, so both bounds hold there.
    assert (seen.errors[1:] <= bound.during + slack).all()
    assert (seen.errors[:-1] <= bound.during + slack).all()
    assert (seen.errors[-1] <= bound.at_end + slack).all()
    assert 0.999 <= bound.ratio < 5  # certain, and not idle
    assert bound.value <= bound.formula
    assert all(
        not ratio <= 0.999 for ratio in bound.ratios.values()
    )  # not a number where both are 0


@pytest.mark.parametrize("name", ["tree, forward", "predators, backward", "cascade, forward"])
@pytest.mark.parametrize("norm", ["1", "2", "max"])
def test_norms(name, norm):
    lumping, horizon, box = case(name)
    bound = error_bound(lumping, horizon / 2, box, steps=16, norm=norm, samples=50)
    assert 0.999 <= bound.ratio < 4
    components = np.array(list(bound.by_component.values()))
    order = {"1": 1, "2": 2, "max": np.inf}[norm]
    assert bound.value <= np.linalg.norm(components, order) * (1 + 1e-12)
    assert bound.value >= components.max()


@pytest.mark.parametrize("name", ["tree, forward", "predators, forward", "predators, backward"])
def test_trajectories_stay_in_the_box_that_is_reported(name):
    lumping, horizon, box = case(name)
    bound = error_bound(lumping, horizon, box, steps=64)
    system = lumping.ode if lumping.method.direction == "forward" else lumping.quotient
    low, high = (bound.reach[:, k] for k in range(2))
    interval = next(iter(box.values()))
    generator = np.random.default_rng(0)
    for _ in range(10):
        start = generator.uniform(*interval, size=len(system))
        states = sl.simulate(system, start, np.linspace(0, horizon, 33)).states
        assert (states >= low[:, None] - 1e-8).all() and (states <= high[:, None] + 1e-8).all()


def test_a_known_answer():
    """a' = −(1−δ)a, b' = −(1+δ)b from a = b = 1: y − a − b = 2e⁻ᵗ(1 − cosh δt)."""
    ode = sl.PolynomialODE.from_sympy({A: -R(9, 10) * A, B: -R(11, 10) * B})
    lumping = sl.lump(ode, sl.Forward(eps=0.5))
    bound = lumping.bound(3, {A: 1, B: 1}, steps=64)
    with mpmath.workdps(40):
        exact = [
            2 * mpmath.exp(-t) * (mpmath.cosh(t / 10) - 1)
            for t in map(mpmath.mpf, bound.times.tolist())
        ]
        # The box is a point, so the bounds are close to the truth; and never below it.
        assert all(
            held >= max(ends)
            for held, ends in zip(bound.during[:, 0], pairwise(exact), strict=True)
        )
        assert exact[-1] <= bound.at_end[0] <= exact[-1] * (1 + mpmath.mpf("1e-9"))
    largest = float(max(exact))
    assert bound.value == pytest.approx(largest, rel=0.01)
    assert bound.observed.largest[0] == pytest.approx(largest, rel=1e-5)


def test_the_bound_is_the_supremum_where_the_system_is_linear():
    lumping, horizon, box = case("tree, forward")
    bound = lumping.bound(horizon, box, steps=64, samples=200)
    assert max(bound.ratios.values()) < 1.1
    assert bound.formula > 5 * bound.value


@pytest.mark.parametrize("method", [sl.Forward, sl.Backward])
def test_exact_lumpings_have_no_error_at_all(method):
    lumping = sl.lump(tree(R(0)), method(), TREE_BLOCKS)
    assert lumping.exact and len(lumping.partition) == 3
    bound = lumping.bound(10, dict.fromkeys(lumping.ode.variables, (0, 100)), samples=20)
    assert bound.value == 0.0 and set(bound.by_component.values()) == {0.0}
    assert bound.formula == bound.defect == 0.0
    assert (
        "as long as the solutions exist" in bound.headline()
        and "≤ 0 in the max norm" in str(bound)
        and "the defect has no term" in str(bound)
    )
    assert bound.observed.largest.max() < 1e-6  # what the solver's rounding shows


def test_a_tolerance_that_merges_nothing_else_than_exact_blocks_costs_nothing():
    lumping = sl.lump(tree(R(0)), sl.Forward(eps=1e-6), TREE_BLOCKS)
    assert not lumping.method.is_exact
    assert lumping.bound(10, np.array([[0, 1]] * 7), samples=0).value == 0.0


@pytest.mark.parametrize("direction", [sl.Forward, sl.Backward])
def test_the_bound_goes_to_zero_with_the_perturbation(direction):
    values = []
    for perturbation in (R(1, 10**2), R(1, 10**4), R(1, 10**6)):
        lumping = sl.lump(predators(perturbation), direction(eps=0.5), [["a", "b"]])
        values.append(error_bound(lumping, 2, dict.fromkeys("abcd", (0.48, 0.52)), steps=16).value)
    assert values[0] / values[1] == pytest.approx(100, rel=0.3)
    assert values[1] / values[2] == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("name", ["tree, forward", "predators, backward", "cascade, backward"])
@pytest.mark.parametrize("other", ["flint", "mpmath"])
def test_three_arithmetics_agree(name, other):
    if other == "flint":
        pytest.importorskip("flint")
    lumping, _, box = case(name)
    ours = error_bound(lumping, 0.5, box, steps=2)
    theirs = error_bound(lumping, 0.5, box, steps=2, arithmetic=other)
    assert "flint arb" in str(theirs) or "mpmath iv" in str(theirs)
    # Products of wide balls are a little wider than those of intervals; in degree 2 there are none.
    close = 0.25 if name.startswith("cascade") and other == "flint" else 1e-6
    assert theirs.during == pytest.approx(ours.during, rel=close, abs=1e-12)
    assert theirs.value == pytest.approx(ours.value, rel=close)
    assert theirs.defect == pytest.approx(ours.defect, rel=close)
    assert theirs.logarithmic_norm == pytest.approx(ours.logarithmic_norm, abs=close)


def test_members_that_start_apart():
    lumping, horizon, box = case("tree, backward")
    equal = error_bound(lumping, horizon, box, steps=32)
    apart = error_bound(lumping, horizon, box, steps=32, spread=0.1, samples=400)
    assert equal.during[0].max() < 0.02 < 0.05 <= apart.during[0].max()
    assert 0.999 <= apart.ratio < 1.5
    assert (apart.observed.errors[1:] <= apart.during.max(axis=0) + 1e-8).all()
    anything = error_bound(lumping, horizon, box, steps=32, spread=math.inf, samples=100)
    assert anything.value > 2 * apart.value and anything.ratio >= 0.999


def test_pieces_of_the_box_are_sharper():
    lumping, _, _ = case("predators, forward")
    box = {A: (0.55, 0.65), B: (0.55, 0.65), C: (0.35, 0.45), D: (0.35, 0.45)}
    one = error_bound(lumping, 1.5, box, steps=4)
    several = error_bound(lumping, 1.5, box, steps=4, pieces=4, samples=200)
    assert several.pieces == 4 and several.value < 0.8 * one.value
    assert several.ratio >= 0.999


def test_pieces_of_the_box_reach_further():
    ode = sl.PolynomialODE.from_sympy({A: A**2, B: R(101, 100) * B**2})
    lumping, box = sl.lump(ode, sl.Backward(eps=0.1)), {A: (-1, 0.92), B: (-1, 0.92)}
    with pytest.raises(FailureError, match=r"beyond time 0.\d* of 1: .*pieces=4.*steps=32"):
        error_bound(lumping, 1, box, steps=8)
    bound = error_bound(lumping, 1, box, steps=8, pieces=2, samples=100)
    assert 0.999 <= bound.ratio < math.inf


def test_a_linear_system_is_not_divided():
    lumping, _, box = case("tree, forward")
    assert error_bound(lumping, 1, box, steps=4, pieces=5).pieces == 1


def test_nothing_is_claimed_beyond_a_blow_up():
    ode = sl.PolynomialODE.from_sympy({A: A**2, B: R(101, 100) * B**2})
    lumping = sl.lump(ode, sl.Backward(eps=0.1))
    before = error_bound(lumping, 0.8, {A: 1, B: 1}, steps=16, samples=1)
    assert 0.999 < before.ratio < 1.5
    with pytest.raises(
        FailureError, match=r"beyond time 0\.9\d* of 2: .* shorter horizon, a smaller box"
    ):
        error_bound(lumping, 2, {A: 1, B: 1}, steps=4)
    with pytest.raises(FailureError, match=r"the solver stopped at time 0\.99"):
        observed_error(lumping, 2.0, np.ones((2, 2)), samples=1)
    with pytest.raises(FailureError, match="the solver stopped at time 0: "):
        observed_error(lumping, 2.0, np.full((2, 2), 1e200), samples=1)  # its first step fails
    with pytest.raises(FailureError, match="at time 0: the initial state is beyond what floats"):
        observed_error(lumping, 2.0, np.full((2, 2), 1.7e308), samples=1)


def test_a_bound_stands_where_a_simulation_stops():
    ode = sl.PolynomialODE.from_sympy({A: A**2, B: B**2})
    bound = error_bound(sl.lump(ode, sl.Backward()), 2, {A: 1, B: 1}, samples=1)
    assert bound.value == 0 and bound.observed is None and bound.ratio is None
    assert re.search("nothing observed: in a simulation the solver stopped at time 1: ", str(bound))


def test_stiff_systems_get_shorter_steps():
    ode = sl.PolynomialODE.from_sympy({A: -200 * A, B: -201 * B, C: A + B - C})
    lumping = sl.lump(ode, sl.Forward(eps=2), [["a", "b"]])
    bound = lumping.bound(0.1, {A: (1, 2), B: (1, 2), C: 0}, steps=4)
    assert 0.999 < bound.ratio < 2


def test_a_search_over_tolerances():
    ode, box = tree(R(1, 10)), dict.fromkeys(tree().variables, (0.9, 1.1))
    found = {}
    for eps in (0.0, 0.02, 0.1, 0.5):
        lumping = sl.lump(ode, sl.Forward(eps=eps), TREE_BLOCKS)
        found[len(lumping.partition)] = error_bound(lumping, 2, box, steps=8).value
    assert found[7] == 0.0 and 3 in found
    assert sorted(found.values()) == [found[n] for n in sorted(found, reverse=True)]


systems = st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([sl.Forward, sl.Backward]))


@settings(max_examples=12)
@given(systems)
def test_planted_and_perturbed_systems(chosen):
    """A random quadratic system that is lumpable, disturbed a little, from a random box."""
    seed, method = chosen
    generator = np.random.default_rng(seed)
    x = sympy.symbols("x0:4")
    first, second = (x[0] + x[1], x[2] + x[3]) if method is sl.Forward else (x[0], x[2])
    equations = {}
    for block in range(2):
        c = [R(int(v), 8) for v in generator.integers(-8, 9, size=5)]
        shared = c[0] + c[1] * first + c[2] * second + c[3] * first * second + c[4] * first**2
        for member in (2 * block, 2 * block + 1):
            noise = [R(int(v), 400) for v in generator.integers(-8, 9, size=3)]
            other = noise[0] * x[0] + noise[1] * x[3] * x[member] + noise[2]
            equations[x[member]] = shared / 2 + other
    ode = sl.PolynomialODE.from_sympy(equations)
    lumping = sl.lump(ode, method(eps=1e6), [["x0", "x1"]])
    assert len(lumping.partition) == 2
    low = generator.uniform(-0.5, 0.5)
    box = np.array([[low, low + generator.uniform(0, 0.1)]] * 4)
    bound = error_bound(lumping, 0.5, box, steps=8, samples=64, seed=seed % 1000)
    seen = bound.observed.errors
    for k, row in enumerate(seen):
        held = bound.during[max(0, math.ceil(k / 8) - 1)]
        assert (row <= held + 1e-8).all()


def test_text_names_everything_that_it_rests_on():
    lumping, _, box = case("tree, backward")
    bound = lumping.bound(1, box, steps=8, samples=10, seed=5, norm="2")
    text = str(bound)
    assert text.startswith("certified: |x − U·y| ≤ ")
    for part in (
        "in the 2-norm for 0 ≤ t ≤ 1, from every initial state of the box",
        "float64 intervals, rounded outward; 8 steps, 1 piece",
        "observed, not certified: 10 simulated initial states, seed 5",
        "D = ",
        "Λ = ",
        "the formula D·(exp(Λ·t) − 1)/Λ would give",
    ):
        assert part in text
    shown = float(text.split("≤ ")[1].split()[0])
    assert bound.value <= shown <= bound.value * 1.001  # rounded up, never down
    assert bound["x4"] <= bound["y2"] == bound.by_block["y2"]
    assert "ErrorBound: certified" in repr(bound)
    assert bound.box.tolist() == [[0.8, 1.2]] * 7 and bound.horizon == 1.0
    with pytest.raises(MethodError, match="neither a block nor a component"):
        bound["nobody"]
    quiet = str(lumping.bound(1, box, steps=8, samples=0))
    assert "observed" not in quiet


def test_many_blocks_are_cut_short():
    lumping, _, box = case("tree, forward")
    assert "… 1 more block\n" in lumping.bound(1, box, steps=4, samples=0).to_text(max_blocks=2)


def test_progress_is_reported():
    lumping, _, box = case("tree, forward")
    calls = []
    error_bound(
        lumping, 1, box, steps=4, progress=lambda done, remark: calls.append((done, remark))
    )
    assert [done for done, _ in calls][-1] == 4 and calls[-1][1] == "t = 1"


def test_boxes_can_be_arrays_numbers_and_rationals():
    lumping, _, _ = case("tree, forward")
    names = lumping.ode.variables
    rows = [[0.5, 1.0]] * 6 + [[0.1, 0.1]]
    by_name = {name: (Fraction(1, 2), 1) for name in names[:6]} | {names[6]: 0.1}
    values = [error_bound(lumping, 1, b, steps=4).value for b in (rows, np.array(rows), by_name)]
    assert values[0] == values[1] == values[2]
    third = error_bound(lumping, 1, dict.fromkeys(names, Fraction(1, 3)), steps=4)
    assert Fraction(third.box[0, 0]) < Fraction(1, 3) < Fraction(third.box[0, 1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x1": None}, VariableError, "the box gives no range for x1;"),
        ({"nobody": (0, 1)}, VariableError, "'nobody' is not a variable"),
        ({sympy.Symbol("x1"): 1}, VariableError, "gives 'x1' twice"),
        ({"x1": (1, 0)}, InputError, r"range of 'x1' is \(low, high\).*got \(1, 0\)"),
        ({"x1": (0, math.inf)}, InputError, "finite numbers low ≤ high"),
        ({"x1": (math.nan, 1)}, InputError, "finite numbers"),
        ({"x1": (0, 1, 2)}, InputError, r"got \(0, 1, 2\)"),
        ({"x1": "wide"}, InputError, "got 'wide'"),
    ],
)
def test_bad_boxes(change, error, message):
    lumping, _, box = case("tree, forward")
    box = {key: value for key, value in (box | change).items() if value is not None}
    with pytest.raises(error, match=message):
        error_bound(lumping, 1, box)


@pytest.mark.parametrize("box", [5, [[0, 1]], np.zeros((7, 3)), None])
def test_bad_box_arrays(box):
    lumping, _, _ = case("tree, forward")
    with pytest.raises(InputError, match=r"a box of this system is .* shape \(7, 2\)"):
        error_bound(lumping, 1, box)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "finite and larger than 0"),
        ({"horizon": math.inf}, "finite and larger than 0"),
        ({"horizon": math.nan}, "finite and larger than 0"),
        ({"horizon": "1"}, "the horizon is a time"),
        ({"norm": "frobenius"}, "choose 'max', '1' or '2'"),
        ({"steps": 0}, "steps=0: give a whole number from 1"),
        ({"steps": 1.5}, "steps=1.5"),
        ({"pieces": -1}, "pieces=-1"),
        ({"samples": True}, "samples=True"),
        ({"arithmetic": "double"}, "choose 'float64'"),
        ({"spread": 0.1}, "a forward lumping holds for any initial state"),
        ({"spread": -1}, "spread=-1"),
    ],
)
def test_bad_options(options, message):
    lumping, _, box = case("tree, forward")
    with pytest.raises(MethodError, match=message):
        error_bound(lumping, **{"horizon": 1, "box": box} | options)


def test_a_backward_box_without_a_common_state():
    lumping, _, box = case("tree, backward")
    box["x2"] = (2, 3)
    with pytest.raises(
        InputError, match=r"no state of the box has members of the block x2, x3 .*spread="
    ):
        error_bound(lumping, 1, box)
    assert error_bound(lumping, 1, box, steps=4, spread=0.8).value >= 0.4


def test_a_stiff_system_ends_with_a_message(monkeypatch):
    """So many short steps take too long entry by entry: that is said, not waited for."""
    from symlump.enclosures.arithmetics import arithmetic

    ode = sl.PolynomialODE.from_sympy({A: -1000 * A, B: -1001 * B})
    lumping = sl.lump(ode, sl.Forward(eps=2))
    monkeypatch.setattr(type(arithmetic("mpmath")), "patience", 8)
    with pytest.raises(
        FailureError, match=r"8 steps were tried, .* stiff, .* with mpmath iv; take arithmetic="
    ):
        error_bound(lumping, 1, {A: 1, B: 1}, steps=1, arithmetic="mpmath")
