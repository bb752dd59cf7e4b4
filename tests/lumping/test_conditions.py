"""Conditions on parameters: known answers, and agreement with the checker on numbers."""

import random
import re
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import InputError, MethodError, PartitionError, VariableError
from symlump.lumping.conditions import conditions
from symlump.lumping.tolerance.reference import exact_quotient
from symlump.proof.certificate import claim
from symlump.proof.check import check

k1, km1, k2, km2 = sympy.symbols("k1 km1 k2 km2")


def michaelis_menten():
    binding = [
        ({"S": 1, "E": 1}, {"C": 1}, "k1"),
        ({"C": 1}, {"S": 1, "E": 1}, "km1"),
        ({"C": 1}, {"E": 1, "P": 1}, "k2"),
        ({"E": 1, "P": 1}, {"C": 1}, "km2"),
    ]
    return sl.PolynomialODE.from_reactions(binding, parameters=["k1", "km1", "k2", "km2"])


@pytest.mark.parametrize(
    "blocks",
    [
        [["S", "P"], ["E"], ["C"]],
        [["S", "P"], ["E"], ["C"], ["k1"], ["km1"], ["k2"], ["km2"]],
        [["E"], ["C"]],  # what is not mentioned is one block: S and P, without the parameters
    ],
)
def test_michaelis_menten_with_products(blocks):
    ode = michaelis_menten()
    found = conditions(ode, blocks, sl.Forward())
    assert str(found) == "forward equivalence iff  k1 - km2 = 0"
    assert found.expressions == (k1 - km2,)
    assert set(found.blocks) == {("S", "P"), ("E",), ("C",)}
    assert conditions(ode, sl.Partition.from_names(ode, blocks), sl.Forward()) == found
    assert conditions(ode, blocks) == found
    assert not found.holds and not found.impossible
    assert found.substitute({k1: 3, "km2": 3}).holds
    assert found.substitute({k1: Fraction(1, 3), km2: 0.1}).impossible
    assert found.substitute({"k1": "km2"}).holds
    assert str(found.substitute({k1: 3})) == "forward equivalence iff  km2 - 3 = 0"
    assert "k_{1} - km_{2} &= 0" in found._repr_latex_()
    assert repr(found) == f"<Conditions: {found}>"


def test_michaelis_menten_backward():
    found = conditions(michaelis_menten(), [["S", "P"], ["E"], ["C"]], sl.Backward())
    assert set(found.expressions) == {k1 - km2, km1 - k2} or set(found.expressions) == {
        k1 - km2,
        k2 - km1,
    }


def of(equations, blocks, method, parameters=(k1, k2, km1)):
    ode = sl.PolynomialODE.from_sympy(equations, parameters=parameters)
    return conditions(ode, blocks, method)


x, y, z = sympy.symbols("x y z")


def test_what_holds_always_and_what_never():
    always = of({x: -k1 * x, y: -k1 * y}, [["x", "y"]], sl.Forward())
    assert always.holds and str(always) == "forward equivalence for all parameter values"
    never = of({x: (k1 + 1) * z, y: k1 * z, z: 0}, [["x", "y"]], sl.Backward())
    assert never.impossible and str(never) == "backward equivalence for no parameter values"
    assert "for no" in never._repr_latex_() and never.basis() == (1,) and always.basis() == ()
    assert of({x: -x, y: -2 * y}, [["x", "y"]], sl.Forward(), ()).impossible
    assert of({x: -x, y: -y}, [["x", "y"]], sl.Forward(), ()).holds


def test_conditions_are_reduced():
    """Scaled, repeated, dependent, squared and implied conditions are left out."""
    equations = {
        x: k1 * z + k1 * z**2 + k1**2 * k2 * z**3 + (k1 - k2) ** 2 * km1 * z**4 + 6 * km1 * z**5,
        y: k2 * z + 3 * k2 * z**2 - 2 * k1 * z**2 + k1 * k2**2 * z**3,
        z: 0,
    }
    found = of(equations, [["x", "y"], ["z"]], sl.Backward())
    assert found.expressions == (k1 - k2, km1)
    assert set(found.basis()) == {k1 - k2, km1}


def test_a_basis_finds_out_what_has_no_solution():
    found = of({x: (k1 * k2 - 1) * z + k1 * z**2, y: 0, z: 0}, [["x", "y"]], sl.Backward())
    assert not found.impossible and found.basis() == (1,)


def test_a_large_basis_is_not_begun():
    right = sum(c * k1**c * x**c for c in range(1, 3))
    right += sum(z**c * (sympy.Add(*(k1**c * k2**j for j in range(8))) + c) for c in range(1, 40))
    with pytest.raises(MethodError, match="200 terms"):
        of({x: right, y: 0, z: 0}, [["x", "y"], ["z"]], sl.Backward()).basis()


def test_what_is_refused():
    ode = michaelis_menten()
    for method in (sl.Forward(eps=0.1), "forward"):
        with pytest.raises(MethodError, match="without a tolerance"):
            conditions(ode, [["S", "P"]], method)
    with pytest.raises(VariableError, match="'W'"):
        conditions(ode, [["S", "W"]], sl.Forward())
    with pytest.raises(PartitionError, match="two blocks"):
        conditions(ode, [["S"], ["S"]], sl.Forward())
    found = conditions(ode, [["S", "P"], ["E"], ["C"]], sl.Forward())
    for values in ({"S": 1}, {"k1": "S"}):
        with pytest.raises(VariableError, match="'S' is not a parameter"):
            found.substitute(values)
    with pytest.raises(MethodError, match="not a polynomial"):
        found.substitute({"k1": sympy.Symbol("W")})


VARIABLES, PARAMETERS = sympy.symbols("x0:4"), sympy.symbols("p0:3")


@st.composite
def parametric(draw):
    """A system of four variables and three parameters, in which few different things occur."""
    power = st.integers(0, 2)
    term = st.builds(
        lambda c, p, k, e, v, d, w: c * p**k * PARAMETERS[0] ** e * v**d * w,
        st.sampled_from([-1, 1, 2, sympy.Rational(1, 3)]),
        st.sampled_from(PARAMETERS),
        power,
        st.integers(0, 1),
        st.sampled_from(VARIABLES),
        power,
        st.sampled_from([1, *VARIABLES]),
    )
    right = draw(st.lists(term, min_size=1, max_size=3))
    equations = {}
    for v in VARIABLES:  # permuted copies of one equation, and some terms of its own
        names = draw(st.permutations(VARIABLES))
        swap = dict(zip(VARIABLES, names, strict=True))
        own = draw(st.lists(term, max_size=1))
        equations[v] = sum(right).subs(swap, simultaneous=True) + sum(own)
    return equations, draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))


def accepted(equations, labels, method, values):
    """What the checker says of the system with numbers for parameters."""
    numbers = {v: right.subs(values) for v, right in equations.items()}
    ode = sl.PolynomialODE.from_sympy(numbers)
    partition = sl.Partition(labels)
    terms = exact_quotient(ode, method, partition)
    quotient = sl.PolynomialODE.from_terms(
        [f"b{i}" for i in range(len(partition))],
        terms.rows,
        terms.columns,
        terms.coefficients,
        terms.monomials,
    )
    blocks = partition.named(ode.variables)
    return check(claim(method.direction, ode, blocks, quotient)).accepted


@settings(max_examples=120)
@given(parametric(), st.sampled_from([sl.Forward(), sl.Backward()]), st.integers(0, 2**32))
def test_values_satisfy_the_conditions_iff_the_checker_accepts(system, method, seed):
    equations, labels = system
    ode = sl.PolynomialODE.from_sympy(equations, parameters=PARAMETERS)
    partition = sl.Partition([*labels, 7, 7, 7])
    found = conditions(ode, partition, method)
    draw = random.Random(seed)
    tries = [[draw.randint(-2, 2) for _ in PARAMETERS] for _ in range(4)]
    tries += [[0, 0, 0], [1, 1, 1], [Fraction(draw.randint(1, 99), 7) for _ in PARAMETERS]]
    for numbers in tries:
        values = dict(zip(PARAMETERS, numbers, strict=True))
        meets = found.substitute(values)
        assert meets.holds != meets.impossible
        assert meets.holds == accepted(equations, labels, method, values)
        assert meets.holds == all(e.subs(values) == 0 for e in found.expressions)


def test_quotients_agree_iff_their_numerators_do():
    a, x, y, V1, V2, K1, K2, k = sympy.symbols("a x y V1 V2 K1 K2 k")
    rates = {x: V1 * a / (K1 + a) - x, y: V2 * a / (K2 + a) - y, a: sympy.sin(a) / (1 + x + k * y)}
    ode = sl.ODE.from_sympy(rates, [V1, V2, K1, K2, k])
    backward = sl.conditions(ode, [["x", "y"], ["a"]], sl.Backward())
    assert set(backward.expressions) == {V1 - V2, K2 * V1 - K1 * V2}
    assert sl.conditions(ode, [["x", "y"], ["a"]]).expressions == (k - 1,)
    for values in (
        {V1: 1, V2: 1, K1: 3, K2: 3},
        {V1: 1, V2: 1, K1: 3, K2: 2},
        {V1: 0, V2: 0, K1: 1, K2: 2},
    ):
        at = {variable: rate.subs(values | {k: 1}) for variable, rate in rates.items()}
        found = sl.lump(sl.ODE.from_sympy(at), sl.Backward(), [["x", "y"], ["a"]])
        holds = all(e.subs(values) == 0 for e in backward.expressions)
        assert (len(found.partition) == 2) == holds


def test_parameters_inside_functions_make_conditions_that_suffice():
    """A function of parameters alone is a number; one of variables, too, is unknown, and is named."""
    names = ["k1", "k2", "K1", "K2", "n"]
    hill = sl.ODE.from_text("x' = -k1*x^n/(K1^n + x^n); y' = -k2*y^n/(K2^n + y^n)", names)
    k1, k2, big1, big2, n = sympy.symbols(" ".join(names))
    found = sl.conditions(hill, [["x", "y"]], sl.Backward())
    assert found.expressions == (k1 - k2, big2**n * k1 - big1**n * k2)
    assert found.unknown == ("x^n",)
    assert not found.holds and not found.impossible
    assert re.search(
        r"equivalence if  .*\(x\^n: taken as unknown, .* can be put into the system\)", str(found)
    )
    settled = found.substitute({"k2": "k1", "K2": "K1"})
    assert settled.holds and settled.unknown == ("x^n",)
    assert found.substitute({"n": 2, "K1": 3, "k2": "k1"}).expressions == (
        k1 * (big2 - 3) * (big2 + 3),
    )
    assert found.substitute({"n": 0}).expressions == (k1 - k2,)
    for values in ({k2: k1, big2: big1}, {k2: k1}, {big2: big1}, {n: 2, k2: k1, big2: -big1}):
        at = {v: e.subs(values) for v, e in hill.to_sympy().items() if v.name in "xy"}
        there = sl.ODE.from_sympy(at, [p for p in (k1, k2, big1, big2, n) if p not in values])
        merged = len(sl.lump(there, sl.Backward()).quotient) - len(there.parameters) == 1
        assert merged == all(e.subs(values) == 0 for e in found.expressions), values
    for method in (sl.Forward(), sl.Backward()):
        same = sl.ODE.from_text("x' = k1*exp(n*(x + y)); y' = k2*exp(n*(x + y))", ["k1", "k2", "n"])
        found = sl.conditions(same, [["x", "y"]], method)
        assert found.holds if method.direction == "forward" else found.expressions == (k1 - k2,)
    apart = sl.ODE.from_text("x' = x^k1; y' = y^k2", ["k1", "k2"])
    found = sl.conditions(apart, [["x", "y"]], sl.Backward())
    assert found.impossible and "no parameter values found" in str(found)
    assert found.unknown == (
        "x^k1",
        "x^k2",
    )  # that k1 = k2 would do is not claimed to be impossible
    numbers = sl.ODE.from_text("x' = k1*pi*x; y' = k2*exp(1)*y", ["k1", "k2"])
    found = sl.conditions(numbers, [["x", "y"]], sl.Backward())
    assert found.expressions == (sympy.pi * k1 - sympy.E * k2,) and not found.unknown
    assert found.substitute({"k1": 1, "k2": 1}).impossible


@pytest.mark.parametrize(
    ("text", "parameters", "method", "says"),
    [
        # Functions of parameters alone, where the forward signature has their derivatives, too.
        ("x' = exp(-k)*x; y' = exp(-j)*y", "kj", sl.Forward(), "iff  "),
        ("x' = ln(k)*x; y' = ln(j)*y", "kj", sl.Forward(), "iff"),
        ("x' = k^(1/2)*x; y' = j^(1/2)*y", "kj", sl.Forward(), "iff"),
        ("x' = k*a^n/(K^n + a^n) - x; y' = j*a^n/(J^n + a^n) - y; a' = 1/(1 + x + y)", "kjnKJ",
         sl.Forward(), "forward equivalence for all"),
        # Functions of variables that obey an equation: j = k would do as well.
        ("x' = k*sin(u)^2 + k*cos(u)^2; y' = j; u' = 1", "kj", sl.Backward(), "if  "),
        ("x' = k*x*(sin(u)^2 + cos(u)^2); y' = j*y; u' = 1", "kj", sl.Forward(), "if  "),
        ("x' = k*exp(u)*exp(u); y' = j*exp(2*u); u' = 1", "kj", sl.Backward(), "if  "),
        ("x' = k*u; y' = j*(u^(1/2))^2; u' = 1", "kj", sl.Backward(), "if  "),
        ("x' = k*abs(u); y' = j*abs(u); u' = 1", "kj", sl.Backward(), "if  -j + k = 0"),
        # A single exponential obeys none.
        ("x' = k*exp(u)/(1 + exp(u)); y' = j*exp(u)/(1 + exp(u)); u' = 1", "kj", sl.Backward(),
         "iff  -j + k = 0"),
    ],
)  # fmt: skip
def test_functions_say_whether_conditions_are_needed(text, parameters, method, says):
    ode = sl.ODE.from_text(text, parameters=list(parameters))
    assert says in str(sl.conditions(ode, [["x", "y"]], method))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("sin(pi)", "k"),
        ("cos(pi)", "k + 1"),
        ("ln(exp(1))", "k - 1"),
        ("mod(k, k)", "k"),
        ("mod(7, 4)", "k - 3"),
        ("abs(-pi)", "k - pi"),
        ("exp(abs(-pi))", "k - exp(pi)"),
        ("(k == k)", "k - 1"),
        ("(k != k)", "k"),
        ("not(k)", "k - Piecewise((1, Eq(k, 0)), (0, True))"),
        ("and(k, pi)", "k - Piecewise((1, Ne(k, 0)), (0, True))"),
        ("(k < 2)", "k - Piecewise((1, k < 2), (0, True))"),
        ("piecewise(1, pi, 2)", "k - 1"),
        ("piecewise(2, k == k, 1/k)", "k - 2"),
        ("exp(k) - exp(k) + tan(pi)", "k"),
        ("min(k, k)", None),
        ("exp(ln(k))", None),
    ],
)
def test_functions_of_parameters_that_sympy_evaluates(rate, expected):
    """sympy knows that sin(π) is 0: a function of parameters may be a number, another one, or a condition."""
    ode = sl.ODE.from_text(f"x' = {rate}*x + z; y' = k*y + z; z' = -z", parameters=["k"])
    for method in (sl.Forward(), sl.Backward()):
        found = sl.conditions(ode, [["x", "y"], ["z"]], method)
        wanted = () if expected is None else (sympy.sympify(expected),)
        assert len(found.expressions) == len(wanted)
        assert all(
            sympy.simplify(a - b) in (0, -2 * b)
            for a, b in zip(found.expressions, wanted, strict=True)
        )
        assert found.unknown == () and str(found) and found._repr_latex_()
        assert found.substitute({"k": 5}).holds == (expected is None)


@pytest.mark.parametrize("rate", ["mod(k, 0)", "ln(-pi)", "(-pi)^(1/2)", "1/sin(pi)", "asin(pi)"])
def test_functions_of_parameters_without_a_value_are_refused(rate):
    ode = sl.ODE.from_text(f"x' = {rate}*x; y' = k*y", parameters=["k"])
    with pytest.raises(InputError, match=r"value|denominator"):
        sl.conditions(ode, [["x", "y"]])


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_a_function_without_a_value_is_named(method):
    """Also where blocks stand for variables: in the merged system k has another number."""
    ode = sl.ODE.from_text("x' = ln(-abs(k))*x; y' = 3*y", parameters=["k"])
    with pytest.raises(MethodError, match=r"^ln\(-abs\(k\)\) has no real value"):
        sl.conditions(ode, [["x", "y"]], method)
