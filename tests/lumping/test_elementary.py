"""Forward and backward equivalence of systems with quotients and functions."""

import numpy as np
import pytest
import sympy
from elementary_systems import (
    backward_equal,
    coarsest,
    forward_equal,
    planted_backward,
    planted_forward,
    symmetric_system,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import MethodError, PartitionError
from symlump.lumping.elementary import backward as elementary
from symlump.proof.check import FREE

x1, x2, x3, x4, a, b, n, t = sympy.symbols("x1:5 a b n t")


def lumped(system, method, initial=None, **options):
    lumping = sl.lump(sl.ODE.from_sympy(system, **options), method, initial)
    verdict = lumping.certificate().check()
    assert verdict.accepted and verdict.coarsest, verdict
    return lumping


def test_a_shared_denominator():
    """Example R1."""
    system = {x1: -x1 / (1 + x1 + x2), x2: -x2 / (1 + x1 + x2)}
    y = sympy.Symbol("y1")
    assert lumped(system, sl.Forward()).quotient.to_sympy() == {y: -y / (1 + y)}
    assert lumped(system, sl.Backward()).blocks == (("x1", "x2"),)


def test_denominators_of_their_own():
    """Example R2."""
    system = {x1: 1 / (1 + x1**2) + x2, x2: 1 / (1 + x2**2) + x1}
    y = sympy.Symbol("y1")
    assert len(lumped(system, sl.Forward()).partition) == 2
    assert lumped(system, sl.Backward()).quotient.to_sympy() == {y: 1 / (1 + y**2) + y}


def test_equal_functions_in_other_words():
    """x/(x+y) + y/(x+y) is 1; 1/(x² − y²) is what the product of two denominators gives."""
    total = x1 + x2
    system = {
        x1: x1 / total + x3,
        x2: x2 / total - x3,
        x3: 1 / (sympy.expand(total * (total + 1))) - 1 / (total + 1),
    }
    forward = lumped(system, sl.Forward())
    assert forward.blocks == (("x1", "x2"), ("x3",))
    small = forward.quotient.to_sympy()
    y = sympy.Symbol("y1")
    assert small[y] == 1
    assert sympy.simplify(small[x3] - (1 / (y * (y + 1)) - 1 / (y + 1))) == 0
    same = {x1: 1 / (x3 + 1) + 1 / (x4 + 1), x2: (x3 + x4 + 2) / sympy.expand((x3 + 1) * (x4 + 1))}
    same |= {x3: -x3, x4: -2 * x4}
    assert lumped(same, sl.Backward()).blocks[0] == ("x1", "x2")


@pytest.mark.parametrize(("seed", "functions"), [(s, s % 3 == 0) for s in range(6)])
def test_the_definition_finds_the_same(seed, functions):
    system = symmetric_system(seed, functions)
    for method, equal in ((sl.Forward(), forward_equal), (sl.Backward(), backward_equal)):
        found = lumped(system, method).partition.labels.tolist()
        assert found == coarsest(system, equal, [0] * len(system))


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_planted_forward(seed, functions):
    system, blocks, _ = planted_forward(seed, functions)
    lumping = lumped(system, sl.Forward())
    planted = sl.Partition.from_names(lumping.ode, [[str(v) for v in block] for block in blocks])
    assert planted <= lumping.partition
    state = np.random.default_rng(seed).uniform(0.2, 2, (len(system), 3))
    left = lumping.aggregate(lumping.ode.rhs(state))
    assert left == pytest.approx(lumping.quotient.rhs(lumping.aggregate(state)), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_planted_backward(seed, functions):
    system, blocks = planted_backward(seed, functions)
    lumping = lumped(system, sl.Backward())
    planted = sl.Partition.from_names(lumping.ode, [[str(v) for v in block] for block in blocks])
    assert planted <= lumping.partition
    state = np.random.default_rng(seed).uniform(0.2, 2, (len(lumping.partition), 3))
    left = lumping.ode.rhs(lumping.lift(state))
    assert left == pytest.approx(lumping.lift(lumping.quotient.rhs(state)), rel=1e-5, abs=1e-5)


def test_a_denominator_that_is_always_zero_is_refused_by_name():
    system = {x1: 1 / (x1 - x2), x2: 1 / (x1 - x2), x3: x1 + x2}
    with pytest.raises(PartitionError, match=r"1/\(x1 - x2\).*initial="):
        sl.lump(sl.ODE.from_sympy(system), sl.Backward())
    lumping = lumped(system, sl.Backward(), [["x1"], ["x2", "x3"]])
    assert len(lumping.partition) == 3


def test_nothing_is_assumed_of_functions():
    """Not exp(a)·exp(b) = exp(a + b), and not sin² + cos² = 1: such lumpings may be missed, never made up."""
    squares = sympy.sin(x3) ** 2 + sympy.cos(x3) ** 2
    system = {x1: -x1 * squares, x2: -x2, x3: sympy.S.One}
    assert len(lumped(system, sl.Forward()).partition) == 3
    verdict = sl.lump(sl.ODE.from_sympy(system), sl.Forward()).certificate().check()
    assert "with functions taken as unknown" in verdict.reason
    hidden = {x1: sympy.exp(x1) * sympy.exp(x2 * 2), x2: sympy.exp(x1), x3: sympy.exp(x1 + x2 * 2)}
    assert lumped(hidden, sl.Backward()).blocks


def test_a_jump_is_no_constant():
    """atan(u) + atan(1/u) has derivative 0, yet differs on both sides of u = 0."""
    u = x1 - x2
    system = {x1: sympy.atan(u) + sympy.atan(1 / u), x2: sympy.S.Zero}
    assert len(lumped(system, sl.Forward()).partition) == 2


def test_piecewise_is_opaque_and_its_parts_are_compared():
    low = sympy.Piecewise((x3, x1 + x2 < 1), (2 * x3, True))
    system = {x1: -x1 * low, x2: -x2 * low, x3: -x3}
    forward = lumped(system, sl.Forward())
    assert forward.blocks == (("x1", "x2"), ("x3",))
    state = np.array([[0.2, 0.9], [0.3, 0.8], [1.0, 1.0]])
    left = forward.aggregate(forward.ode.rhs(state))
    assert left == pytest.approx(forward.quotient.rhs(forward.aggregate(state)))
    single = {x1: -x1 * sympy.Piecewise((1, x1 < 1), (2, True)), x2: -x2}
    assert len(lumped(single, sl.Forward()).partition) == 2


def test_hill_functions_with_a_symbolic_exponent():
    rate = x3**n / (1 + x3**n)
    system = {x1: rate - x1, x2: rate - x2, x3: -x3 * (x1 + x2) / (1 + x1 + x2)}
    lumping = lumped(system, sl.Forward(), parameters=[n])
    assert lumping.blocks == (("x1", "x2"), ("x3",), ("n",))
    assert lumping.quotient.parameters == ("n",)


def test_facts_are_known_where_values_are_drawn():
    """sin(0) = 0 where variables are equal; sin(x − y) and sin(y − x) are opposite."""
    coupled = {x1: x3 + sympy.sin(x2 - x1), x2: x3 + sympy.sin(x1 - x2), x3: -x3}
    assert lumped(coupled, sl.Backward()).blocks == (("x1", "x2"), ("x3",))
    odd = {x1: sympy.sin(x3 - x4), x2: -sympy.sin(x4 - x3), x3: x4**2, x4: -x3}
    assert lumped(odd, sl.Backward()).blocks[0] == ("x1", "x2")
    even = {x1: sympy.cos(x3 - x4) * x1, x2: sympy.exp(x1 - x2) * x2, x3: x1, x4: x1 + 0 * x3}
    assert lumped(even, sl.Backward()).blocks == (("x1", "x2", "x3", "x4"),)


@pytest.mark.parametrize(
    ("text", "quotient"),
    [
        ("x' = 2^(x - y); y' = 1", "y1' = 1"),
        ("x' = z^(x - y); y' = 1; z' = z", "y1' = 1\nz'  = z"),
        ("x' = z^(1 + x - y); y' = z; z' = -1", "y1' = z\nz'  = -1"),
        ("x' = 2^(3 + x - y)*x; y' = 8*y", "y1' = 8*y1"),
        ("x' = z^(x - y - 2); y' = 1/z^2; z' = 1", "y1' = 1/z^2\nz'  = 1"),
        ("x' = z^(x/(x + y) + y/(x + y)); y' = z; z' = 1", "y1' = z\nz'  = 1"),
        ("x' = exp(x/(y + z) + z/(x + z) - 1); y' = 1; z' = z", "y1' = 1\nz'  = z"),
        ("x' = sin(x/(y + z) + z/(x + z) - 1); y' = 0; z' = z", "y1' = 0\nz'  = z"),
        ("x' = z^(x/(y + z) + z/(x + z)); y' = z; z' = -1", "y1' = z\nz'  = -1"),
        ("x' = (x/(y + z) + z/(x + z))^z; y' = 1; z' = z", "y1' = 1\nz'  = z"),
        ("x' = z^(2000 + x - y); y' = z^(2000 + y - x); z' = 1", "y1' = z^(2000)\nz'  = 1"),
    ],
)
def test_powers_whose_exponents_become_whole_numbers(text, quotient):
    """u^n is a product to the finder, to its random values and to the checker alike."""
    lumping = sl.lump(sl.ODE.from_text(text), sl.Backward())
    assert str(lumping.quotient) == quotient and lumping.blocks[0] == ("x", "y")
    assert lumping.certificate().check().coarsest and "proof checked" in str(lumping)


@pytest.mark.parametrize(
    "text", ["x' = z^(x - y); y' = 2; z' = 1", "x' = z^(x - y + 1); y' = 1; z' = 1"]
)
def test_powers_that_become_other_numbers_are_told_apart(text):
    lumping = sl.lump(sl.ODE.from_text(text), sl.Backward(), [["x", "y"], ["z"]])
    assert len(lumping.partition) == 3 and lumping.certificate().check().coarsest


def test_sums_in_exponents():
    """x/(x + y) + y/(x + y) is 1, so the quotient has z and z^2 and no powers."""
    text = "x' = z^(x/(x + y) + y/(x + y)); y' = z^(2*x/(x + y) + 2*y/(x + y)); z' = 0"
    lumping = sl.lump(sl.ODE.from_text(text), sl.Forward())
    assert str(lumping.quotient) == "y1' = z + z^2\nz'  = 0"
    assert lumping.certificate().check().coarsest and "proof checked" in str(lumping)


def test_explanations():
    system = {x1: x1 / (x1 + x2), x2: x2 / (x1 + x2), x3: sympy.exp(-t) * sympy.sin(x1 + x2)}
    forward = lumped(system, sl.Forward(), time=t)
    assert "x3' = exp(-t)*sin(y1)" in str(forward.explain(x1, x2))
    assert "since round 1" in str(forward.explain(x1, x3))
    backward = lumped(system, sl.Backward(), time=t)
    assert "x1' = x2' = 1/2" in str(backward.explain(x1, x2))
    assert "x3: exp(-t)*sin(2*x1)" in str(backward.explain(x1, x3))
    kept = lumped(system, sl.Forward(), [["x1"], ["x2", "x3"]], time=t)
    assert "initial partition" in str(kept.explain(x1, x2))


def test_what_is_defined_for_polynomials_only_says_so():
    ode = sl.ODE.from_sympy({x1: -x1 / (1 + x1 + x2), x2: -x2 / (1 + x1 + x2)})
    with pytest.raises(MethodError, match=r"polynomial.*1/\(1 \+ x1 \+ x2\)"):
        sl.lump(ode, sl.Forward()).splits  # noqa: B018


NOTE = "taken as unknown functions, so a coarser lumping that uses more of them may exist"


def test_a_coarser_lumping_may_be_missed_only_where_something_is_kept_apart():
    squares = sl.ODE.from_text("x1' = -x1*(sin(u)^2 + cos(u)^2); x2' = -x2; u' = 1")
    found = sl.lump(squares, sl.Forward())
    assert str(found).endswith(NOTE) and found.certificate().check().reason.endswith(FREE)
    apart = sl.lump(squares, sl.Forward(), [["x1"], ["x2"], ["u"]])  # nothing was to be merged
    assert NOTE not in str(apart) and apart.certificate().check().reason.endswith("partition")
    time_only = sl.lump(sl.ODE.from_text("x' = t - x/(1 + x); y' = t - y"), sl.Backward())
    assert len(time_only.partition) == 2 and "note" not in str(time_only)
    assert time_only.certificate().check().reason.endswith("initial partition")
    kept = sl.lump(squares, sl.Constrained("u"))  # the observable is all that is needed
    assert "unknown" not in str(kept) and "unknown" not in kept.certificate().check().reason
    assert "unknown" not in str(sl.lump(squares, sl.Forward(eps=0.1)))


def test_derivatives_of_powers_are_written_as_such():
    ode = sl.ODE.from_text("x' = (x + y)^(n*x); y' = x^n/(1 + y)", parameters=["n"])
    said = sl.lump(ode, sl.Forward()).explain("x", "y")
    assert "D1((x + y)^(x*n)) + n*D2((x + y)^(x*n)) + D1(x^n)/(1 + y)" in said.text
    assert "taken as one more unknown function" in said.text and "'" not in said.latex
    assert r"\operatorname{D}_1\left({x}^{n}\right)" in said.latex


def test_a_chain_and_first_integrals_say_what_is_taken_as_unknown():
    ode = sl.ODE.from_text("x' = exp(z); y' = -exp(z); z' = -z")
    said = "with exp taken as unknown"
    assert said in sl.conserved(ode).headline() and said in sl.hierarchy(ode).headline()


@pytest.mark.parametrize(
    "rate", ["(x1 - x2)/(x1 - x2)", "x2/(x1 - x2) - x1/(x1 - x2)", "(x1 - x2)^(-1/2)"]
)
def test_blocks_on_which_a_denominator_vanishes_are_refused(rate):
    """0/0 has no value, whatever its limits are: no trajectory lies where x1 = x2."""
    ode = sl.ODE.from_text(f"x1' = {rate}; x2' = {rate}")
    with pytest.raises(
        PartitionError, match="division by zero: .* no value there .* with initial="
    ):
        sl.lump(ode, sl.Backward())
    apart = sl.lump(ode, sl.Backward(), [["x1"], ["x2"]])
    assert len(apart.quotient) == 2 and apart.certificate()


@pytest.mark.parametrize(
    ("rate", "lost"),
    [("ln(x1 - x2)", "not positive: ln"), ("x1*asin(2 + x1 - x2)", r"asin\(2\) has no value")],
)
def test_blocks_on_which_a_function_has_no_value_are_refused(rate, lost):
    ode = sl.ODE.from_text(f"x1' = {rate}; x2' = {rate.replace('x1*', 'x2*')}")
    with pytest.raises(PartitionError, match=f"{lost}.* where .* with initial="):
        sl.lump(ode, sl.Backward())
    assert len(sl.lump(ode, sl.Backward(), [["x1"], ["x2"]]).quotient) == 2
    large = sl.ODE.from_text("x1' = exp(1000 + x1 - x2); x2' = exp(1000 + x2 - x1)")
    assert len(sl.lump(large, sl.Backward()).quotient) == 1  # a number, if beyond floats


@pytest.mark.parametrize(
    ("rate", "lost"),
    [
        ("1/(max(x, y) - x)", "1/(x - max(x, y))"),
        ("1/floor(abs(x - y)/2 + 1/2)", "1/floor(1/2 + 1/2*abs(x - y))"),
        ("1/(exp(x)*exp(-y) - 1)", "1/(-1 + exp(x)*exp(-y))"),
        ("mod(x, x - y)", "mod(x, x - y)"),
        ("factorial(x - y - 1)", "factorial(-1 + x - y)"),
        ("piecewise(x, x > y, y, y > x)", "piecewise(x, x > y, y, y > x)"),
        ("ln(cos(x - y) - abs(sin(x) + 3))", ""),  # nowhere defined, with or without blocks
        ("1/floor(abs(x - y)/2 + 3/2)", ""),
        ("piecewise(1/(max(x, y) - x), x != y, 0)", ""),  # what is not chosen needs no value
        ("sqrt(1/1000 - x^2 - (x - y)^2)", ""),
    ],
)
@pytest.mark.parametrize("eps", [0, 0.1])
def test_blocks_on_which_no_state_with_a_value_is_found_are_refused(rate, lost, eps):
    ode = sl.ODE.from_text(f"x' = {rate}; y' = {rate}; z' = x + y - z")
    blocks = [["x", "y"], ["z"]]
    if lost:
        with pytest.raises(PartitionError) as error:
            sl.lump(ode, sl.Backward(eps=eps), blocks)
        assert str(error.value).startswith(f"{lost} has no value at any of 64 states")
        blocks = [["x"], ["y"], ["z"]]
    assert len(sl.lump(ode, sl.Backward(eps=eps), blocks).partition) == len(blocks)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_a_quotient_is_the_same_with_and_without_what_was_compared_before(seed):
    ode = sl.ODE.from_sympy(planted_backward(seed, True)[0])
    found = sl.lump(ode, sl.Backward())
    names = found.quotient.variables
    again = elementary.quotient(ode, found.partition, names, ())
    assert str(again) == str(found.quotient)
    assert sl.Backward().agrees(ode, found.partition)
    apart = elementary.quotient(ode, sl.Partition.discrete(len(ode)), ode.variables, ())
    assert apart == ode  # what was compared is of another partition
