"""Linkages, monotone tolerance, and the reference system."""

import numpy as np
import pytest
import slow_reference as reference
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.cluster.hierarchy import complete, fcluster, ward
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist
from test_refine import systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import h_tree
from symlump.errors import FailureError, MethodError
from symlump.lumping.tolerance.grouping import group_rows
from symlump.lumping.tolerance.linkage import Linkage
from symlump.lumping.tolerance.reference import nearest_quotient
from symlump.lumping.tolerance.substitution import substitution_distances

matrices = st.integers(2, 7).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-8, 8).map(lambda v: v / 8), min_size=3, max_size=3),
        min_size=n,
        max_size=n,
    )
)


@given(matrices, st.integers(0, 12).map(lambda v: v / 8))
def test_closure_is_connected_components(rows, eps):
    a = np.array(rows)
    labels = group_rows(sparse.csr_array(a), eps, Linkage.CLOSURE)
    near = np.abs(a[:, None] - a[None]).sum(-1) <= eps
    reach = np.linalg.matrix_power(near.astype(float), len(a)) > 0
    assert np.array_equal(labels[:, None] == labels[None], reach)


@given(matrices, st.integers(0, 12).map(lambda v: v / 8))
def test_diameter_never_exceeds_the_tolerance(rows, eps):
    a = np.array(rows)
    labels = group_rows(sparse.csr_array(a), eps, Linkage.DIAMETER)
    apart = np.abs(a[:, None] - a[None]).sum(-1)
    assert apart[labels[:, None] == labels[None]].max() <= eps * (1 + 1e-9)


@given(matrices, st.integers(0, 12).map(lambda v: v / 8))
def test_variance_merges_two_rows_iff_within_eps(rows, eps):
    a = np.array(rows[:2])
    labels = group_rows(sparse.csr_array(a), eps, Linkage.VARIANCE)
    assert (labels[0] == labels[1]) == (np.linalg.norm(a[0] - a[1]) <= eps * (1 + 1e-9))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@settings(max_examples=150)
@given(system=systems(), eps=st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_closure_blocks_from_the_definition(direction, system, eps):
    """The largest partition in which each block is connected by pairs within eps."""
    method = (sl.Forward if direction == "forward" else sl.Backward)(eps)
    signature = {"forward": reference.forward_signature, "backward": reference.backward_signature}[
        direction
    ]
    labels = [0] * len(system)
    while True:
        finer = list(range(len(system)))
        for i in range(len(system)):
            for j in range(i):
                if labels[i] == labels[j] and (
                    reference.distance(system, signature, labels, i, j) <= eps
                ):
                    old, new = finer[i], finer[j]
                    finer = [new if v == old else v for v in finer]
        finer = reference.canonical(finer)
        if finer == labels:
            break
        labels = finer
    assert sl.lump(to_ode(system), method).partition.labels.tolist() == labels


@pytest.mark.parametrize("method", [sl.Forward, sl.Backward])
@settings(max_examples=100)
@given(system=systems())
def test_a_larger_tolerance_never_splits_more(method, system):
    ode = to_ode(system)
    partitions = [sl.lump(ode, method(eps)).partition for eps in (0, 0.3, 1.0, 2.5, 1e9)]
    for finer, coarser in zip(partitions, partitions[1:], strict=False):
        assert finer <= coarser
    assert partitions[-1] == sl.Partition.single(len(ode))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@settings(max_examples=60)
@given(system=systems(max_variables=3), labels=st.lists(st.integers(0, 1), min_size=3, max_size=3))
def test_reference_system_is_the_least_squares_projection(direction, system, labels):
    """Against a dense least-squares solution over all monomials up to the degree that occurs."""
    from itertools import combinations_with_replacement

    n = len(system)
    partition = sl.Partition(labels[:n])
    ode = to_ode(system)
    degree = max((len(m) for p in system for m in p), default=0)
    monomials = [m for d in range(degree + 1) for m in combinations_with_replacement(range(n), d)]
    position = {m: i for i, m in enumerate(monomials)}
    c = np.zeros((n, len(monomials)))
    for i, p in enumerate(system):
        for m, v in p.items():
            c[i, position[m]] = float(v)
    signature = {"forward": reference.forward_signature, "backward": reference.backward_signature}[
        direction
    ]
    # Constraints: one row per identity, found by evaluating the signature on unit systems.
    constraints = {}
    for i in range(n):
        for m in monomials:
            unit = [{} for _ in range(n)]
            unit[i] = {m: 1}
            for a in range(n):
                for key, value in signature(unit, partition.labels.tolist(), a).items():
                    for b in range(n):
                        if a != b and partition.labels[a] == partition.labels[b]:
                            row = constraints.setdefault(
                                (min(a, b), max(a, b), key), np.zeros_like(c)
                            )
                            row[i, position[m]] += float(value) * (1 if a < b else -1)
    method = sl.Forward(1.0) if direction == "forward" else sl.Backward(1.0)
    quotient = nearest_quotient(ode, method, partition)
    if not constraints:
        assert quotient.delta == 0
        return
    a = np.array([row.ravel() for row in constraints.values()])
    change = np.linalg.pinv(a) @ (a @ c.ravel())
    assert quotient.delta == pytest.approx(np.linalg.norm(change), abs=1e-9)
    nearest = (c.ravel() - change).reshape(c.shape)
    small = sl.PolynomialODE.from_terms(
        [f"b{i}" for i in range(len(partition))],
        quotient.rows,
        quotient.columns,
        quotient.coefficients,
        quotient.monomials,
    )
    point = np.random.default_rng(0).uniform(-1, 1, n)
    if direction == "backward":
        point = point[partition.representatives][partition.labels]
    values = nearest @ np.array([np.prod([point[v] for v in m]) for m in monomials])
    if direction == "forward":
        sums = np.bincount(partition.labels, weights=point)
        assert np.bincount(partition.labels, weights=values) == pytest.approx(
            small.rhs(sums), abs=1e-9
        )
    else:
        assert values == pytest.approx(
            small.rhs(point[partition.representatives])[partition.labels], abs=1e-9
        )


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_relative_does_not_depend_on_the_scale(factor):
    a, b, c, u = sympy.symbols("a b c u")
    ode = sl.PolynomialODE.from_sympy(
        {a: factor * u, b: 1.05 * factor * u, c: 1.5 * factor * u, u: 0 * u}
    )
    initial = [["u"]]
    assert len(sl.lump(ode, sl.Backward(0.1, relative=True), initial).partition) == 3


@pytest.mark.parametrize("eps", [-1, -1e-9, float("nan"), float("inf"), "0.1", True])
def test_bad_tolerances(eps):
    with pytest.raises(MethodError, match="finite number, 0 or larger"):
        sl.Forward(eps)


def test_bad_linkage():
    with pytest.raises(MethodError, match="'single' is unknown; choose 'closure'"):
        sl.Backward(0.1, "single")


METHODS = [sl.Forward, sl.Backward]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("linkage", ["closure", "diameter", "variance"])
@settings(max_examples=60, deadline=None)
@given(
    system=systems(),
    eps=st.sampled_from([0.3, 1.0, 2.0, 2.5]),
    relative=st.booleans(),
    data=st.data(),
)
def test_order_of_variables_changes_nothing(method, linkage, system, eps, relative, data):
    """Coefficients are few and simple here, so ties between merges are everywhere."""
    ode = to_ode(system)
    order = np.array(data.draw(st.permutations(range(len(ode)))))
    options = method(eps, linkage, relative)
    blocks = sl.lump(ode, options).blocks
    shuffled = sl.lump(ode.reordered(order), options).blocks
    assert {frozenset(block) for block in blocks} == {frozenset(block) for block in shuffled}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["closure", "diameter", "variance"]))
def test_order_changes_nothing_where_sums_round(seed, linkage):
    generator = np.random.default_rng(seed)
    rows = np.round(generator.uniform(0, 1, (9, 5)), 1)  # tenths are no binary fractions
    names = [f"x{i}" for i in range(9)] + [f"u{j}" for j in range(5)]
    symbols = dict(zip(names, sympy.symbols(names), strict=True))
    equations = {
        symbols[f"x{i}"]: sum(float(w) * symbols[f"u{j}"] for j, w in enumerate(row))
        for i, row in enumerate(rows)
    } | {symbols[f"u{j}"]: 0 for j in range(5)}
    ode = sl.PolynomialODE.from_sympy(equations)
    initial = [[f"u{j}"] for j in range(5)]
    results = set()
    for _ in range(3):
        shuffled = ode.reordered(generator.permutation(len(ode)))
        blocks = sl.lump(shuffled, sl.Backward(0.7, linkage), initial).blocks
        results.add(frozenset(map(frozenset, blocks)))
    assert len(results) == 1


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(system=systems(), eps=st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_diameter_holds_inside_every_block_of_a_system(method, system, eps):
    lumping = sl.lump(to_ode(system), method(eps, "diameter"))
    signature = {"forward": reference.forward_signature, "backward": reference.backward_signature}[
        method.direction
    ]
    labels = lumping.partition.labels.tolist()
    for block in lumping.partition.blocks:
        for i in block.tolist():
            for j in block.tolist():
                assert reference.distance(system, signature, labels, i, j) <= eps * (1 + 1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("linkage", ["closure", "diameter", "variance"])
@settings(max_examples=40, deadline=None)
@given(system=systems())
def test_the_ends_of_the_tolerance(method, linkage, system):
    """Tiny ε: the exact partition. Huge ε: the initial one."""
    ode = to_ode(system)
    assert sl.lump(ode, method(1e-9, linkage)).partition == sl.lump(ode, method()).partition
    assert sl.lump(ode, method(1e9, linkage)).partition == sl.Partition.single(len(ode))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0.02, 0.1, 0.4, 2.0]))
def test_pruning_leaves_out_no_pair(seed, scatter, eps):
    """Enough rows for projections and trees, against all pairs."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0, 1, (scatter, 3))
    rows = centres[generator.integers(0, scatter, 300)] + generator.normal(0, 0.02, (300, 3))
    labels = group_rows(sparse.csr_array(rows), eps, Linkage.CLOSURE)
    near = np.abs(rows[:, None] - rows[None]).sum(-1) <= eps
    _, expected = connected_components(sparse.csr_array(near), directed=False)
    assert sl.Partition(labels) == sl.Partition(expected)
    diameter = group_rows(sparse.csr_array(rows), eps, Linkage.DIAMETER)
    whole = fcluster(complete(pdist(rows, "cityblock")), eps, "distance")
    assert sl.Partition(diameter) == sl.Partition(whole)
    variance = group_rows(sparse.csr_array(rows), eps, Linkage.VARIANCE)
    assert sl.Partition(variance) == sl.Partition(fcluster(ward(rows), eps, "distance"))


@settings(max_examples=60, deadline=None)
@given(system=systems(max_variables=4), labels=st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_the_substitution_norm_by_substitution(system, labels):
    """Against sympy: substitute, expand, add the absolute coefficients."""
    ode, n = to_ode(system), len(system)
    labels = np.array(labels[:n])
    symbols, s = [sympy.Symbol(name) for name in ode.variables], sympy.Symbol("s")
    right = [ode.to_sympy()[symbol] for symbol in symbols]
    found = substitution_distances(ode, labels, np.arange(n))
    for i in range(n):
        for j in range(i + 1, n):
            total = 0
            both = symbols[i] + symbols[j]
            for block in set(labels.tolist()):
                f = sum(right[k] for k in range(n) if labels[k] == block)
                if f == 0:
                    continue
                g = f.subs({symbols[i]: s * both, symbols[j]: (1 - s) * both}, simultaneous=True)
                total += sum(map(abs, sympy.Poly(f - g, *symbols, s).coeffs()))
            assert found[i, j] == pytest.approx(float(total))


def test_the_substitution_norm_has_no_means():
    for options in ({"linkage": "variance"}, {"relative": True}):
        with pytest.raises(MethodError, match="erode=True is the published distance"):
            sl.Forward(0.1, erode=True, **options)


@pytest.mark.parametrize("depth", range(2, 9))
def test_circuits_with_tolerances(depth):
    """Components that deviate by 0.01 %: one block a level, and not at a smaller ε."""
    circuit = h_tree(depth, 0.01, seed=depth)
    assert len(circuit) == 2**depth - 1
    lumping = sl.lump(circuit, sl.Backward(6e-4))
    assert [len(block) for block in lumping.blocks] == [2**level for level in range(depth)]
    assert len(sl.lump(circuit, sl.Backward(1e-12)).partition) == len(circuit)
    assert len(sl.lump(circuit, sl.Backward()).partition) == len(circuit)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(system=systems(max_variables=6))
def test_breakpoints_are_where_the_partition_changes(method, system):
    ode = to_ode(system)
    steps = sl.breakpoints(ode, method())
    assert steps[0].eps == 0 and steps[0].partition == sl.lump(ode, method()).partition
    assert len(steps[-1].partition) == 1
    for step, following in zip(steps, steps[1:], strict=False):
        assert step.eps < following.eps and step.partition <= following.partition
        middle = float(step.eps + following.eps) / 2
        assert sl.lump(ode, method(middle)).partition == step.partition
        assert sl.lump(ode, method(float(following.eps))).partition == following.partition


def test_breakpoints_refuse_what_they_do_not_mean():
    ode = to_ode([{(0,): 1}])
    for other in (
        sl.Forward(linkage="variance"),
        sl.Forward(relative=True),
        sl.Forward(erode=True),
    ):
        with pytest.raises(MethodError, match="breakpoints are those of"):
            sl.breakpoints(ode, other)
    with pytest.raises(MethodError, match="for at most 300 variables"):
        sl.breakpoints(to_ode([{(0,): 1}] * 301), sl.Forward())


def test_explanations_within_a_tolerance():
    a, b, c, u = sympy.symbols("a b c u")
    decimal = sympy.Rational
    ode = sl.PolynomialODE.from_sympy({a: u, b: decimal("1.04") * u, c: decimal("1.5") * u, u: 0})
    lumping = sl.lump(ode, sl.Backward(0.1), [["u"]])
    together, apart = lumping.explain("a", "b"), lumping.explain("a", "c")
    assert together.together and "is 0.04,\nε = 0.1" in str(together)
    assert not apart.together and "is 0.5,\nε = 0.1" in str(apart)
    assert "coefficient of u: 1 for a, 3/2 for c" in str(apart)
    assert "initial partition keeps them apart" in str(lumping.explain("a", "u"))


@pytest.mark.parametrize("kind", [sl.Forward, sl.Backward])
@pytest.mark.parametrize("linkage", ["closure", "diameter", "variance"])
@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6),
    eps=st.lists(st.floats(0, 3), min_size=1, max_size=3),
    share=st.floats(0.3, 1.0),
)
def test_plans_give_what_lump_gives_and_reach_what_is_asked(kind, linkage, seed, eps, share):
    generator = np.random.default_rng(seed)
    names = sympy.symbols("x1:8")
    rates = generator.integers(-3, 4, (7, 7)) + 0.1 * generator.integers(0, 3, (7, 7))
    equations = (sympy.Matrix(rates) * sympy.Matrix(names)).tolist()
    ode = sl.PolynomialODE.from_sympy({x: f for x, (f,) in zip(names, equations, strict=True)})
    method = kind(linkage=linkage)
    plan = method.plan(ode)
    assert plan.whole == 7
    for value in (0.0, *eps, eps[0]):
        lumping = sl.lump(ode, kind(eps=value, linkage=linkage))
        assert plan.size(value) == len(lumping.partition)
        again = plan.at(value)
        assert again.partition == lumping.partition and again.method == lumping.method
        assert str(again.quotient) == str(lumping.quotient) and again.defect == lumping.defect
    if linkage == "closure":
        sizes = [plan.size(value) for value in sorted(eps)]
        assert sizes == sorted(sizes, reverse=True)
    target, found = int(share * 7), plan.tolerance(int(share * 7))
    assert plan.size(found) <= target
    if found > 1e-9:
        assert plan.size(found * (1 - 3e-6)) > target
    reached = sl.lump(ode, kind(retain=share, linkage=linkage))
    assert len(reached.partition) <= share * 7 * (1 + 1e-9) and reached.method.retain is None
    assert sl.lump(ode, reached.method).partition == reached.partition


def test_a_share_or_a_tolerance():
    ode = h_tree(4, tolerance=0.01)
    lumping = sl.lump(ode, sl.Backward(retain=0.3))
    assert len(lumping.partition) == 4 and 0 < lumping.method.eps < 1e-3
    assert sl.lump(ode, sl.Forward(retain=1.0)).method == sl.Forward()
    with pytest.raises(FailureError, match="smallest reachable size is 1 variable, more than"):
        sl.lump(ode, sl.Backward(retain=0.01))
    with pytest.raises(MethodError, match="Backward takes exactly one of eps"):
        sl.Backward(0.1, retain=0.3)
    with pytest.raises(MethodError, match="retain=2"):
        sl.Constrained("v1_1", retain=2)
    with pytest.raises(MethodError, match="Constrained takes exactly one of eps"):
        sl.Constrained("v1_1", 0.1, retain=0.3)


def test_constrained_plans_walk_their_path_once():
    ode = h_tree(4, tolerance=0.01)
    plan = sl.Constrained("v1_1").plan(ode)
    for eps in (0.0, 1e-6, 1e-3, 1.0):
        lumping = sl.lump(ode, sl.Constrained("v1_1", eps))
        assert plan.size(eps) == len(lumping) == len(plan.at(eps))
        assert str(plan.at(eps).quotient) == str(lumping.quotient)
    for target in (3, 2, 1):
        found = plan.tolerance(target)
        assert plan.size(found) == target == len(plan.reach(target))
        assert plan.size(found * (1 - 1e-9)) > target or target == 3
    assert len(sl.lump(ode, sl.Constrained("v1_1", retain=0.2))) == 3
    with pytest.raises(FailureError, match="1 variable, those that must be kept"):
        sl.lump(ode, sl.Constrained("v1_1", retain=0.05))


def test_defects_of_large_and_small_coefficients():
    """The defect of c·system is c times the defect, where squares of coefficients are no floats."""
    text = "x' = -{0}*x + {0}*y^2; y' = -1.5{1}*y; z' = {0}*x*z - 1.25{1}*z"
    plain = sl.ODE.from_text(text.format("1", ""))
    for exponent in (-200, -150, 150, 200):
        scaled = sl.ODE.from_text(text.format(f"1e{exponent}", f"e{exponent}"))
        for method in (sl.Forward, sl.Backward):
            for eps in (0.1, 1.0):
                one = sl.lump(plain, method(eps=eps))
                other = sl.lump(scaled, method(eps=eps * 10.0**exponent))
                assert one.partition == other.partition
                assert other.defect == pytest.approx(one.defect * 10.0**exponent, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "x' = {0}*x + z; y' = 2*{0}*y + z; z' = x - y",
        "x' = {0}*x/(1 + z); y' = 3*x/(1 + z); z' = x + y",
        "x' = exp({0}*x); y' = exp(y); z' = x + y",
        "x' = x/(1 + {0}*z); y' = y/(1 + z); z' = x + y",
    ],
)
@pytest.mark.parametrize("number", ["10^302", "10^400", "(1/10^400)", "10^5000"])
def test_a_tolerance_refuses_coefficients_that_floats_do_not_hold(text, number, tmp_path, capsys):
    (tmp_path / "m.txt").write_text(text.format(number))
    ode = sl.read(tmp_path / "m.txt").ode
    for method in (
        *(kind(eps=0.1, linkage=how) for kind in (sl.Forward, sl.Backward) for how in Linkage),
        sl.Forward(eps=0.1, relative=True),
        sl.Backward(retain=0.5),
        sl.Constrained("z", eps=0.1),
        sl.Constrained("z", retain=0.7),
    ):
        with pytest.raises(
            MethodError, match=r"about 10\^-?\d+; a tolerance compares .* as floats"
        ):
            sl.lump(ode, method)
    with pytest.raises(MethodError, match="as floats"):
        sl.breakpoints(ode, sl.Forward())
    for verb in (["explain", "x", "y", "--eps", "0.1"], ["sweep"], ["sweep", "--breakpoints"]):
        assert main([verb[0], str(tmp_path / "m.txt"), *verb[1:]]) == 2
        assert "as floats" in capsys.readouterr().err
    exact = sl.lump(ode, sl.Forward())
    assert len(exact.quotient) == 3 and "nan" not in str(exact)


def test_coefficients_that_floats_hold_are_compared():
    ode = sl.ODE.from_text("x' = 10^140*x; y' = 10^140*y + x/10^140; z' = x*y/10^140")
    assert np.isfinite(sl.lump(ode, sl.Forward(eps=1e-130)).defect)
    ode = sl.ODE.from_text("x' = 3*10^200*x; y' = 7*10^200*y")
    found = sl.lump(ode, sl.Forward(eps=1, linkage="variance")).explain("x", "y")
    assert "is 7.61577e+200" in str(found)  # (3, 7)·10^200 in two coefficients
