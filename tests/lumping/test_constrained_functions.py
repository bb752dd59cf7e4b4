"""Linear lumpings of systems with quotients and functions: the smallest, chains, what is conserved."""

import copy

import numpy as np
import pytest
import sympy
from elementary_systems import planted_linear, smallest_rows, symmetric_system
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError, MethodError
from symlump.lumping.linear.evaluated import jacobian_span
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.proof.check import check
from symlump.proof.closure import check_closure

x1, x2, x3, x4, n, t = sympy.symbols("x1:5 n t")


def kept(system, observables, **options):
    lumping = sl.lump(sl.ODE.from_sympy(system, **options), sl.Constrained(observables))
    assert lumping.exact and lumping.smallest, lumping.headline()
    return lumping


def echelon(lumping):
    rows = lumping.combinations.values()
    whole = [[row.get(name, 0) for name in lumping.ode.variables] for row in rows]
    return sympy.Matrix(whole).rref()[0]


def commutes(lumping, seed=0):
    state = np.random.default_rng(seed).uniform(0.5, 1.5, (len(lumping.ode), 3))
    left = lumping.aggregate(lumping.ode.rhs(state))
    right = lumping.quotient.rhs(lumping.aggregate(state))
    return left == pytest.approx(right, rel=1e-5, abs=1e-5)


def test_a_shared_denominator():
    total = 1 + x2 + 2 * x3
    lumping = kept({x1: x1 / total, x2: -x2 / total, x3: -x3 / total}, "x1")
    assert lumping.combinations == {"x1": {"x1": 1}, "y1": {"x2": 1, "x3": 2}}
    y = sympy.Symbol("y1")
    assert lumping.quotient.to_sympy() == {x1: x1 / (1 + y), y: -y / (1 + y)}
    assert lumping.headline() == (
        "3 → 2 variables by the smallest linear lumping that keeps x1, exact, proof checked"
    )


def test_the_square_holds_only_after_cancelling():
    """x/(x + y) + y/(x + y) = 1, and (x² − y²)/(x − y) = x + y."""
    total = x1 + x2
    system = {
        x1: x1 / total + x3,
        x2: x2 / total - x3,
        x3: (x1**2 - x2**2) / (x1 - x2) * x3,
    }
    lumping = kept(system, [x1 + x2])
    assert lumping.combinations == {"y1": {"x1": 1, "x2": 1}}
    assert lumping.quotient.to_sympy() == {sympy.Symbol("y1"): 1}
    whole = kept(system, x3)
    assert len(whole) == 2 and commutes(whole)


def test_a_denominator_that_is_zero_where_the_others_are():
    """The section where all but two variables are 0 has 1/0; another one is taken."""
    system = {x1: x1 * (1 / (x2 - x3) - 1 / (x2 - x3 + x4 - x4)) + 1 / (x2 + x3), x2: x1, x3: -x1}
    system |= {x4: x3 / (x3 * x4) - 1 / x4 + x4}
    lumping = kept(system, "x1")
    assert len(lumping) == 2 and commutes(lumping)
    difference = {x1: (x2 - x3) / (x2 * x2 - x2 * x3), x2: x2 * x3, x3: x3 * x3}
    assert commutes(kept(difference, "x1"))
    logs = {x1: x2 * (sympy.log(x3) - sympy.log(x3)) + sympy.log(x2) / x2, x2: x1, x3: x3}
    assert commutes(kept(logs, "x1"))


def test_functions_are_unknown_and_it_says_so():
    system = {x1: sympy.exp(x2 + 3 * x3), x2: x2 * sympy.exp(-t), x3: x3 * sympy.exp(-t)}
    lumping = kept(system, "x1", time=t)
    assert lumping.combinations == {"x1": {"x1": 1}, "y1": {"x2": 1, "x3": 3}}
    assert "keeps x1, with exp taken as unknown, exact" in lumping.headline()
    reason = lumping.certificate().check().reason
    assert reason.endswith("keeps the observables, with functions taken as unknown")
    # exp(x2)·exp(3·x3) is the same, and what makes it so is not used: all three variables are kept
    product = system | {x1: sympy.exp(x2, evaluate=False) * sympy.exp(3 * x3, evaluate=False)}
    product[x1] = sympy.Mul(sympy.exp(x2), sympy.exp(3 * x3), evaluate=False)
    assert len(kept(product, "x1", time=t)) == 3
    # sin is odd: that is used
    odd = {x1: sympy.sin(x2 - x3) + sympy.sin(x3 - x2) + x1, x2: x3, x3: x2}
    assert len(kept(odd, "x1")) == 1


def test_a_hill_function_with_a_symbolic_exponent():
    rate = (x2 + x3) ** n / (1 + (x2 + x3) ** n)
    lumping = kept({x1: rate - x1, x2: -x2, x3: -x3}, "x1", parameters=[n])
    assert [set(row) for row in lumping.combinations.values()] == [{"x1"}, {"x2", "x3"}, {"n"}]
    assert lumping.quotient.parameters == ("n",)


@pytest.mark.parametrize(("seed", "functions"), [(s, s % 3 == 0) for s in range(12)])
def test_the_definition_finds_the_same(seed, functions):
    system = symmetric_system(seed, functions)
    first, second, *_ = system
    observable = first + second if seed % 2 else first
    assert echelon(kept(system, observable)) == smallest_rows(system, observable)


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_planted(seed, functions):
    system, rows = planted_linear(seed, functions)
    ode = sl.ODE.from_sympy(system)
    lumping = sl.lump(ode, sl.Constrained([sympy.expand(rows[0])]))
    assert len(lumping) <= len(rows)
    assert lumping.exact and lumping.smallest
    assert commutes(lumping, seed)


def conserved_data(change=None):
    total = 1 + x2 + 2 * x3
    system = {x1: x1 * sympy.exp(x2 + 2 * x3), x2: -x2 / total, x3: -x3 / total, x4: x2}
    data = copy.deepcopy(kept(system, "x1").certificate().data)
    if change is not None:
        change(data["closure"])
    return data


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        (lambda c: c["steps"].pop(), "inconclusive", "has 1 vectors, the lumping 2 rows"),
        (lambda c: c["steps"].append([0, 1]), "inconclusive", "depends on those before it"),
        (lambda c: c["steps"].append([7, 0]), "rejected", "refers to vector 7"),
        (lambda c: c.update(start=[3]), "rejected", "the start is observable 3"),
        (lambda c: c.update(prime=2), "inconclusive", "depends|denominator is 0"),
        (lambda c: c["observables"][0][1][0].__setitem__(0, "2"), "rejected", "observable 0"),
    ],
)
def test_a_derivation_that_is_changed_proves_nothing(change, answer, words):
    assert check_closure(conserved_data()).accepted
    verdict = check_closure(conserved_data(change))
    assert verdict.answer == answer
    assert any(word in verdict.reason for word in words.split("|"))


def test_no_seed_and_no_point_proves_more_than_there_is():
    """A stranger who chooses seed, prime and steps cannot make a lumping with a spare row look smallest."""
    data = conserved_data()
    spare = [["1", [["x4", 1]]]]
    data["matrix"]["spare"] = spare
    data["quotient"]["spare"] = [["1", [["y1", 1]]]]
    data["system"]["x4"] = [["1", [["x2", 1]]], ["2", [["x3", 1]]]]
    data.pop("digest")
    assert check(data).accepted
    for prime in (101, 2**31 - 1):
        for seed in range(5):
            for parent in range(2):
                for point in range(4):
                    data["closure"]["prime"] = prime
                    data["closure"]["steps"] = [[0, seed], [parent, point]]
                    assert not check_closure(data).accepted


def test_parities_are_respected_by_the_derivation():
    """Where a stranger writes sin(−u) and sin(u) as two symbols, their derivatives still belong together."""
    one = [["1", [["x", 1]]], ["-1", [["y", 1]]]]
    other = [["-1", [["x", 1]]], ["1", [["y", 1]]]]
    for name, second in (("sin", "1"), ("cos", "-1"), ("power", None)):
        if second is None:
            unit = [["1", []]]
            functions = {"f": [name, [unit, [["1", [["y", 1]]]]]], "g": [name, [unit, one]]}
            second = "-1"
        else:
            functions = {"f": [name, [one]], "g": [name, [other]]}
        data = {
            "format": "symlump certificate",
            "version": 3,
            "kind": "linear",
            "system": {"x": [["1", [["f", 1]]], [second, [["g", 1]]]], "y": []},
            "functions": functions,
            "matrix": {"x": [["1", [["x", 1]]]]},
            "quotient": {"x": []},
            "closure": {
                "observables": [[[["1", [["x", 1]]]], [["1", [["x", 1]]]]]],
                "start": [0],
                "prime": 2**31 - 1,
                "steps": [],
            },
        }
        assert check(data).accepted and check_closure(data).accepted, name
        data["closure"]["steps"] = [[0, 0]]
        verdict = check_closure(data)
        assert verdict.answer == "inconclusive" and "depends" in verdict.reason, name


def test_what_never_changes():
    rate = x1 / (1 + x1)
    system = {x1: -rate, x2: rate / 2, x3: sympy.exp(-t) * x3, x4: -sympy.exp(-t) * x3 + rate}
    found = sl.conserved(sl.ODE.from_sympy(system, time=t))
    assert found.exact
    assert echelon(found) == sympy.Matrix([[1, 0, 1, 1], [0, 1, -sympy.S.Half, -sympy.S.Half]])
    assert not any(found.quotient.to_sympy().values())
    none = sl.conserved(sl.ODE.from_sympy({x1: 1 / x1, x2: n / x2}, parameters=[n]))
    assert len(none) == 0
    total = {x1: x1 / (x1 + x2) - 1, x2: x2 / (x1 + x2)}
    assert sl.conserved(sl.ODE.from_sympy(total)).combinations == {"y1": {"x1": 1, "x2": 1}}


def test_a_chain():
    total = 1 + x1 + 2 * x2
    system = {x1: -x1 / total + x3, x2: -x2 / total, x3: -x3 * x4, x4: -x4 * sympy.exp(x4)}
    chain = sl.hierarchy(sl.ODE.from_sympy(system))
    assert chain.dimensions == (1, 2, 3) and chain.maximal
    assert all(lumping.exact for lumping in chain)
    forms = [{"x4": 1}, {"x3": 1}, {"x1": 1, "x2": 2}]
    for number, lumping in enumerate(chain, start=1):
        assert all(lumping.express(form) is not None for form in forms[:number])
    turning = {x1: x2 / (1 + x3), x2: -x1 / (1 + x3), x3: x3}
    assert sl.hierarchy(sl.ODE.from_sympy(turning)).algebraic_dimensions == (1, 2)


def test_the_span_of_a_polynomial_jacobian_is_that_of_its_coefficient_matrices():
    def flat(family):
        matrix = sympy.zeros(family.count, family.size**2)
        for k, row, column, value in zip(*family.entries(), strict=True):
            matrix[int(k), int(row) * family.size + int(column)] = sympy.Rational(str(value))
        return matrix.rref()[0][: matrix.rank(), :]

    for system in (
        {x1: x1**2 * x2 / 3 + x2, x2: 5 * x1 * x2},
        {x1: x1 * x2 / 2 + x1, x2: x2 + x2**2 / 3 + x1 * x2 / 3},
    ):
        ode = sl.PolynomialODE.from_sympy(system)
        assert flat(jacobian_span(ode)) == flat(MatrixFamily.of_jacobian(ode))


def sticking_out(system, basis, state):
    """|B·J·(I − P)| by sympy's derivatives at a state."""
    variables = list(system)
    jacobian = sympy.Matrix([[f.diff(v) for v in variables] for f in system.values()])
    values = np.array(jacobian.subs(dict(zip(variables, state, strict=True))).evalf(), dtype=float)
    return np.linalg.norm(basis @ values @ (np.eye(len(variables)) - basis.T @ basis), 2)


def basis_of(lumping):
    return np.linalg.qr(lumping.matrix.toarray().T)[0].T


def test_the_table_of_tolerances():
    """By hand: over 1/d and −y/d² the gradient of x' is 3·(y: 1/d), 3·(z: −y/d²), and so on."""
    below = 1 + x2
    system = {x1: 3 * x2 / below - x1, x2: x3 * sympy.exp(-t) / 8 - x2, x3: -x3}
    ode = sl.ODE.from_sympy(system, time=t)
    # x1' = 3·x2/(1 + x2) has the slopes 3/(1 + x2) and −3·x2/(1 + x2)², both by x2: 3·√2 in the 2-norm
    steps = sl.Constrained("x1").plan(ode).steps()
    assert [(s.dimension, s.eps) for s in steps] == [
        (1, pytest.approx(3 * 2**0.5)),
        (2, pytest.approx(0.125)),
        (3, 0.0),
    ]
    assert steps[1].defects == {"x1": pytest.approx(0.125)}
    lumping = sl.lump(ode, sl.Constrained("x1", eps=0.125))
    assert lumping.headline() == (
        "3 → 2 variables by ε-linear lumping that keeps x1, ε = 0.125, defect 0.125"
    )
    assert lumping.quotient.to_sympy() == {x1: 3 * x2 / (1 + x2) - x1, x2: -x2}
    with pytest.raises(MethodError, match="only exact lumpings have certificates"):
        lumping.certificate()


def test_what_cancels_is_not_counted():
    """Coefficients over x1/d and x2/d stick out of the exact lumping, their sum does not."""
    total = x1 + x2
    system = {x1: x1 / total + x3, x2: x2 / total - x3, x3: -x3 + x4 / 50, x4: -x4}
    steps = sl.Constrained([x1 + x2, x3]).plan(sl.ODE.from_sympy(system)).steps()
    assert [(s.dimension, s.eps) for s in steps] == [(2, pytest.approx(0.02)), (3, 0.0)]


@pytest.mark.parametrize("functions", [False, True])
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([100, 1000, 10**6]))
def test_a_perturbed_lumping_is_found_within_a_tolerance(functions, seed, size):
    """No more rows than were planted, for a tolerance of the size of the change."""
    system, rows = planted_linear(seed, functions)
    noise = np.random.default_rng(seed)
    shares = [sympy.Rational(int(n), 8 * size) for n in noise.integers(1, 9, len(system))]
    turned = zip(system, system.values(), reversed(system), shares, strict=True)
    spoilt = {v: sympy.sympify(f) + share * other for v, f, other, share in turned}
    method = sl.Constrained([sympy.expand(rows[0])])
    planted = len(sl.lump(sl.ODE.from_sympy(system), method))
    plan = method.plan(sl.ODE.from_sympy(spoilt))
    defects = [point.defect for point in plan.path.points() if point.dimension <= planted]
    if not defects:  # a denominator is 0 where so little is kept
        return
    eps = 20 / size * max(1.0, plan.path.walk.scale)
    assert min(defects) <= eps
    found = plan.at(eps)
    assert len(found) <= planted and found.defect <= eps


@pytest.mark.parametrize(("seed", "functions"), [(s, s % 2 == 0) for s in range(10)])
def test_the_defect_bounds_what_sticks_out(seed, functions):
    """|B·J(x)·(I − P)| ≤ defect · |m(x)| for the monomials m of J, with the derivatives of sympy."""
    system = symmetric_system(seed, functions)
    ode = sl.ODE.from_sympy(system)
    observable = next(iter(system))
    if ode.generators is None:
        return
    state = np.random.default_rng(seed).uniform(0.4, 1.3, len(ode))
    numbers = dict(zip(system, state, strict=True))
    size = sum(
        abs(float(monomial.subs(numbers))) ** 2 for monomial in monomials_of_the_jacobian(ode)
    )
    plan = sl.Constrained(observable).plan(ode)
    for point in plan.path.points():
        assert sticking_out(system, point.basis, state) <= point.defect * size**0.5 + 1e-9
    fewest = next(plan.path.points())
    lumping = plan.at(max(fewest.defect, 1e-300))
    assert (
        np.linalg.norm(basis_of(lumping) @ (np.eye(len(ode)) - fewest.basis.T @ fewest.basis))
        < 1e-9
    )
    y = state[: len(lumping)]
    expected = lumping.aggregate(ode.rhs(lumping.lift(y)))
    assert lumping.quotient.rhs(y) == pytest.approx(expected, rel=1e-6, abs=1e-8, nan_ok=True)


def monomials_of_the_jacobian(ode):
    """Those in variables, functions and their derivatives, as sympy expressions."""
    from symlump.lumping.elementary.gradients import gradient_of

    found = {}
    for gradient in gradient_of(ode, np.arange(len(ode)), range(len(ode))).values():
        for p in gradient.values():
            found.update(dict.fromkeys(p))
    symbol = [sympy.Symbol(name) for name in ode.variables]
    slopes = {"exp'": sympy.exp, "sin'": sympy.cos, "tanh'": lambda u: 1 - sympy.tanh(u) ** 2}
    plain = {"inverse": lambda u: 1 / u, "exp": sympy.exp, "sin": sympy.sin, "tanh": sympy.tanh}
    for name, (u,) in zip(ode.table.functions, ode.table.arguments, strict=True):
        inside = sympy.Add(*(c * sympy.Mul(*(symbol[s] ** k for s, k in m)) for m, c in u.items()))
        symbol.append((slopes | plain)[name](inside))
    return [sympy.Mul(*(symbol[s] ** k for s, k in m)) for m in found]


def test_equations_that_are_not_needed_may_have_no_value():
    """1/x4 is 0 where x4 is, and nothing that is kept has x4' in it."""
    system = {x1: 3 * x2 / (1 + x2 + x3) - x1, x2: -x2, x3: -x3, x4: x3 / x4}
    ode = sl.ODE.from_sympy(system)
    lumping = sl.lump(ode, sl.Constrained("x1", eps=100))
    assert lumping.quotient.to_sympy() == {x1: -x1}
    exact = sl.lump(ode, sl.Constrained("x1", eps=1e-9))
    assert exact.defect == 0 and exact.quotient == sl.lump(ode, sl.Constrained("x1")).quotient


def test_a_space_without_values_is_passed_over():
    """With x alone, u − v is 0 at every L⁺·y, so the path begins with a row for it."""
    system = {x1: x2 / (x3 - x4) - x1, x2: -x2 / 8, x3: -x3 / 3, x4: x4 / 100}
    ode = sl.ODE.from_sympy(system)
    steps = sl.Constrained("x1").plan(ode).steps()
    assert [s.dimension for s in steps] == [2, 3, 4] and steps[0].eps == pytest.approx(1)
    lumping = sl.lump(ode, sl.Constrained("x1", eps=5))
    assert lumping.combinations == {"x1": {"x1": 1}, "y1": {"x3": 1, "x4": -1}}
    with pytest.raises(
        FailureError, match="2 variables, as with fewer a denominator is 0, more than"
    ):
        sl.lump(ode, sl.Constrained("x1", retain=0.25))
    assert len(sl.lump(ode, sl.Constrained("x1", retain=0.5))) == 2


def test_functions_of_time_alone_are_different_at_every_point():
    """t and exp(−t) are independent, so both y and z are needed, and neither first integral is one."""
    system = {x1: t * x2 + sympy.exp(-t) * x3, x2: x2, x3: 2 * x3}
    assert len(kept(system, "x1", time=t)) == 3
    lumping = kept(system | {x3: x3}, "x1", time=t)
    assert len(lumping) == 3
    same = {x1: t * x2 + t * x3, x2: x2 * sympy.exp(-t), x3: x3 * sympy.exp(-t)}
    assert len(kept(same, "x1", time=t)) == 2
    forced = sl.ODE.from_sympy({x1: t, x2: sympy.exp(-t), x3: 2 * t}, time=t)
    assert sl.conserved(forced).combinations == {"y1": {"x1": 2, "x3": -1}}
    assert sl.hierarchy(forced).dimensions == (1, 2)
    assert len(kept({x1: t, x2: sympy.exp(-t)}, "x1", time=t)) == 1
    constant = sl.ODE.from_sympy({x1: sympy.pi, x2: sympy.Integer(1), x3: 3 * sympy.pi})
    assert len(sl.conserved(constant)) == 1


@pytest.mark.parametrize(
    "rates",
    [
        "a' = {0}; b' = -{0}; c' = -c".format("(ln(a) + ln(1 - a))"),
        "a' = {0}; b' = -{0}; c' = -c".format("(ln(-a) + c*ln(2 + a))"),
        "a' = {0}; b' = -{0}; c' = -c".format("ln(a - 20)*ln(30 - a)"),
        "a' = {0}; b' = -{0}; c' = -c".format("(1/(a - b)*ln(a - b)*ln(2*a + b)*ln(5 - a))"),
        "a' = {0}; b' = -{0}; c' = -c".format("(a*(1 - a^2)^0.5)"),
    ],
)
def test_numbers_at_which_functions_have_values(rates):
    """On a + b the others stay as numbers, which are drawn from the domain of what they stand in."""
    ode = sl.ODE.from_text(rates)
    for lumping in (sl.conserved(ode), sl.lump(ode, sl.Constrained("a + b"))):
        assert lumping.certificate().check().accepted
        assert [str(e) for e in lumping.quotient.to_sympy().values()] == ["0"]
    both = sl.lump(ode, sl.Constrained(["a + b", "c"]))
    assert str(both.quotient).split("\n") == ["y1' = 0", "c'  = -c"]
