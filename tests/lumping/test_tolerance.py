"""Linkages, monotone tolerance, and the reference system."""

import numpy as np
import pytest
import slow_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from test_refine import systems, to_ode

import symlump as sl
from symlump.errors import MethodError
from symlump.lumping.linkage import Linkage, group_rows
from symlump.lumping.reference import nearest_quotient

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
    import sympy

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
