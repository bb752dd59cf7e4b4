"""Maximal chains of linear lumpings, and linear first integrals."""

import json
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import MethodError
from symlump.formats import Model
from symlump.lumping.linear import hierarchy as hierarchy_module
from symlump.lumping.linear.spaces import invariant, orthogonal
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.harmonic import equal_rows
from symlump.lumping.linear.spaces.invariant import left_kernel
from symlump.lumping.linear.splitting import meataxe
from symlump.lumping.linear.splitting.charpoly import (
    charpoly,
    charpoly_modulo,
    factors,
    roots_modulo,
)
from symlump.lumping.linear.splitting.commuting import _squarefree as squarefree
from symlump.lumping.linear.splitting.commuting import commuting
from symlump.ode.exact import ExactArray


def linear_ode(matrices):
    """A system whose Jacobian has the given matrices as coefficients of parameters, and their hidden rows."""
    size = len(matrices[0])
    x, k = sympy.symbols(f"x1:{size + 1}"), sympy.symbols(f"k1:{len(matrices) + 1}")
    right = sum(
        (k_ * sympy.Matrix(m) * sympy.Matrix(x) for k_, m in zip(k, matrices, strict=True)),
        sympy.zeros(size, 1),
    )
    return sl.PolynomialODE.from_sympy(dict(zip(x, right, strict=True)), k)


def family_of(matrices):
    """Matrices as a family: rows act from the left."""
    table = np.array(matrices, dtype=object)
    generators, rows, columns = np.nonzero(table)
    values = ExactArray.from_fractions(Fraction(v) for v in table[generators, rows, columns])
    return MatrixFamily.from_entries(
        *(a.astype(np.int64) for a in (generators, rows, columns)),
        values,
        len(table[0]),
        len(table),
    )


def steps(matrices):
    """Dimension, proof and pieces of the factors of a maximal chain under the matrices alone."""
    _, found = hierarchy_module._composition(family_of(matrices), 0)
    return [(f.dimension, f.irreducible, f.pieces) for f in found]


def hidden(matrices, change):
    change = sympy.Matrix(change)
    return [np.array(change * sympy.Matrix(m) * change.inv()).tolist() for m in matrices]


def unimodular(draw, size):
    lower = np.eye(size, dtype=int)
    upper = np.eye(size, dtype=int)
    for i in range(size):
        for j in range(i):
            lower[i, j], upper[j, i] = draw(st.integers(-2, 2)), draw(st.integers(-2, 2))
    return lower @ upper


TURN = [[0, -1], [1, 0]]
E12, E21 = [[0, 1], [0, 0]], [[0, 0], [1, 0]]
#: The quaternions i and j, acting on the quaternions.
QI = [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]]
QJ = [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]]


def twice(matrix):
    return np.kron(np.eye(2, dtype=int), np.array(matrix)).tolist()


def test_a_chain_with_an_irrational_step():
    x1, x2, x3, x4 = sympy.symbols("x1:5")
    ode = sl.PolynomialODE.from_sympy({x1: -x2, x2: x1, x3: -x4, x4: x3})
    found = sl.hierarchy(ode)
    assert found.dimensions == (2,) and found.algebraic_dimensions == (1, 2, 3)
    assert found.maximal and len(found) == 1
    assert found[0].exact and list(found)[0].combinations == {"x1": {"x1": 1}, "x2": {"x2": 1}}
    assert "with the roots of t^2 + 1 there are 2 steps of 1" in str(found)
    assert repr(found) == (
        "<Hierarchy: 4 variables, maximal chain of exact linear lumpings of dimensions 2; proofs checked>"
    )


def test_each_lumping_refines_the_one_before():
    x = sympy.symbols("x1:6")
    ode = sl.PolynomialODE.from_sympy(
        {
            x[0]: -x[0],
            x[1]: x[0] * x[2],
            x[2]: -x[1] + x[2],
            x[3]: x[1] + x[4] ** 2,
            x[4]: -x[4] + x[3],
        }
    )
    found = sl.hierarchy(ode)
    assert found.dimensions == (1, 3) and found.algebraic_dimensions == (1, 3)
    for small, large in zip(found.lumpings, found.lumpings[1:], strict=False):
        assert all(large.express(row) is not None for row in small.combinations.values())
    for lumping in found:
        assert lumping.exact and lumping.headline().endswith(
            "by linear lumping, exact, proof checked"
        )


@settings(max_examples=10)
@given(st.data())
def test_planted_blocks_are_found(data):
    """Irreducible blocks on the diagonal, anything below, hidden by a change of coordinates."""
    blocks = data.draw(
        st.lists(
            st.sampled_from([[[[1]], [[2]]], [E12, E21], [TURN, TURN]]), min_size=1, max_size=3
        )
    )
    size = sum(len(b[0]) for b in blocks)
    matrices = np.zeros((2, size, size), dtype=int)
    start = 0
    for block in blocks:
        end = start + len(block[0])
        for k in range(2):
            matrices[k, start:end, start:end] = block[k]
            for i in range(start, end):
                for j in range(start):
                    matrices[k, i, j] = data.draw(st.integers(-1, 1))
        start = end
    found = steps(hidden(matrices.tolist(), unimodular(data.draw, size)))
    assert sorted(d for d, _, _ in found) == sorted(len(b[0]) for b in blocks)
    assert all(proved for _, proved, _ in found)
    turns = sum(block[0] is TURN for block in blocks)
    assert sorted(p for _, _, p in found) == [1] * (len(blocks) - turns) + [2] * turns


@settings(max_examples=5)
@given(st.data())
def test_equal_factors_are_taken_apart(data):
    """Two copies of one irreducible space: no single coordinate shows them once they are hidden."""
    change = unimodular(data.draw, 4)
    assert steps(hidden([twice(E12), twice(E21)], change)) == [(2, True, 1)] * 2
    # Elements of this algebra have no rational eigenvalue; a commuting matrix decides.
    plane = [[[0, -1], [1, 0]], [[1, 2], [2, -1]]]
    assert steps(hidden([twice(m) for m in plane], change)) == [(2, True, 1)] * 2


def test_quaternions():
    assert steps([QI, QJ]) == [(4, True, 2)]
    # Two of them, mixed.
    change = np.eye(8, dtype=int) + np.triu(np.arange(64).reshape(8, 8) % 3 - 1, 1)
    assert steps(hidden([twice(QI), twice(QJ)], change.tolist())) == [(4, True, 2)] * 2


def test_a_split_quaternion_algebra_commutes_with_a_sum():
    """The matrices that commute with two copies of a plane are split: a zero divisor is found."""
    assert len(commuting(family_of([twice(E12), twice(E21)]))) == 4
    assert len(commuting(family_of([TURN]))) == 2
    assert len(commuting(family_of([E12, E21]))) == 1
    for matrix in commuting(family_of([QI, QJ])):
        for generator in (QI, QJ):
            other = np.array(generator, dtype=object)
            assert np.array_equal(matrix.dot(other), other.dot(matrix))


def test_one_matrix_with_an_irreducible_polynomial():
    companion = [[0, 0, 0, 2], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]  # t⁴ − t − 2 = (t + 1)(…)
    assert sorted(d for d, _, _ in steps([companion])) == [1, 3]
    companion[0][3] = 1
    assert steps([companion]) == [(4, True, 4)]


def test_where_nothing_is_decided_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(meataxe, "_MODULAR_TRIES", 0)
    monkeypatch.setattr(meataxe, "_RATIONAL_TRIES", 0)
    x, y = sympy.symbols("x y")
    found = sl.hierarchy(sl.PolynomialODE.from_sympy({x: y**2, y: x**2}))
    assert not found.maximal and found.algebraic_dimensions is None
    assert "between 0 and 2: not proved that nothing lies in between" in str(found)
    assert "maximal" not in found.headline()


def test_small_systems():
    x = sympy.Symbol("x")
    one = sl.hierarchy(sl.PolynomialODE.from_sympy({x: x**2}))
    assert one.dimensions == () and one.maximal
    assert str(one).endswith("of dimensions none but 0 and all variables")


def test_the_chain_of_a_system_with_parameters():
    found = sl.hierarchy(linear_ode([E12, E21]))
    assert (
        found.dimensions == (1, 2) and found.maximal
    )  # the parameters; then both variables at once


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_characteristic_polynomials(seed, size):
    generator = np.random.default_rng(seed)
    matrix = generator.integers(-50, 50, (size, size)) * (generator.random((size, size)) < 0.6)
    expected = [int(c) for c in sympy.Matrix(matrix).charpoly().all_coeffs()]
    assert charpoly(matrix.astype(object)) == expected
    assert charpoly_modulo(matrix, 10007) == [c % 10007 for c in expected]
    roots = roots_modulo(expected, 101)
    assert roots == [
        r for r in range(101) if np.polyval(np.array(expected, dtype=object), r) % 101 == 0
    ]
    product = sympy.prod(sympy.Poly(f, sympy.Symbol("t")) ** e for f, e in factors(expected))
    assert [int(c) for c in product.all_coeffs()] == expected


# First integrals.


@pytest.mark.parametrize("copies", [2, 3])
def test_one_matrix_whose_characteristic_polynomial_is_a_power(copies):
    """(t² − 2)^copies: the kernel of A² − 2 is everything, and steps of two are all there are."""
    size = 2 * copies
    turn = np.kron(np.eye(copies, dtype=int), [[0, 2], [1, 0]])
    change = np.triu(np.ones((size, size), dtype=int)) @ np.tril(np.ones((size, size), dtype=int))
    change[0, -1] += 1
    matrix = sympy.Matrix(change.tolist())
    hidden = matrix.inv() * sympy.Matrix(turn.tolist()) * matrix
    x = sympy.symbols(f"x0:{size}")
    ode = sl.ODE.from_sympy(dict(zip(x, hidden * sympy.Matrix(x), strict=True)))
    found = sl.hierarchy(ode)
    assert [factor.dimension for factor in found.factors] == [2] * copies and found.maximal
    assert all((factor.pieces, factor.field) == (2, (1, 0, -2)) for factor in found.factors)
    assert all(lumping.exact for lumping in found)


def test_michaelis_menten(shared):
    known = json.loads((shared / "models" / "parametric_known_answers.json").read_text())
    rates = ("k1", "km1", "k2", "km2")
    ode = sl.PolynomialODE.from_reactions(
        [
            ({"S": 1, "E": 1}, {"C": 1}, "k1"),
            ({"C": 1}, {"S": 1, "E": 1}, "km1"),
            ({"C": 1}, {"E": 1, "P": 1}, "k2"),
            ({"E": 1, "P": 1}, {"C": 1}, "km2"),
        ],
        parameters=rates,
    )
    found = sl.conserved(ode)
    assert found.exact
    integrals = [frozenset(i.split(" + ")) for i in known["michaelis_menten"]["first_integrals"]]
    assert {frozenset(row) for row in found.combinations.values()} == set(integrals)
    assert all(value == 1 for row in found.combinations.values() for value in row.values())


@st.composite
def networks(draw):
    names = "ABCDEF"[: draw(st.integers(2, 6))]
    complexes = st.dictionaries(st.sampled_from(names), st.integers(1, 2), min_size=1, max_size=2)
    rate = st.integers(1, 5) | st.fractions(Fraction(1, 9), 2, max_denominator=9)
    reaction = st.tuples(complexes, complexes, rate)
    return names, draw(st.lists(reaction, min_size=1, max_size=5))


@settings(max_examples=25)
@given(networks())
@example(("", []))
def test_first_integrals_of_a_network(case):
    """As many as sympy's kernel of the coefficients has dimensions, and constant along trajectories."""
    names, reactions = case
    ode = sl.PolynomialODE.from_reactions(reactions, names)
    found = sl.conserved(ode)
    dense = sympy.Matrix(len(ode), len(ode.monomials), lambda i, j: 0)
    for i, j, value in zip(ode.rows, ode.columns, ode.coefficients, strict=True):
        dense[int(i), int(j)] = sympy.Rational(value.numerator, value.denominator)
    assert len(found) == len(ode) - dense.rank()
    assert found.exact and not found.quotient.terms
    assert all(value.denominator == 1 for value in found.rows.values)
    state = np.linspace(0.1, 1, len(ode))
    assert np.allclose(found.aggregate(ode.rhs(state)), 0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 200]))
def test_kernels_of_means_and_of_other_equations(seed, few):
    """Means of others are merged, and sparse rows thinned; sympy's rank says how many dimensions are left."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 13, 2)
    table = np.zeros((height, width), dtype=np.int64)
    for k in range(width):
        chosen = random.permutation(height)[: random.integers(1, 5)]
        table[chosen, k] = random.integers(-3, 4, chosen.size)
        if random.random() < 0.6:
            table[chosen, k] = random.choice([-1, 1]) * random.integers(1, 4, chosen.size)
            table[chosen[0], k] -= table[chosen, k].sum()
    rows = [{k: int(v) for k, v in enumerate(row) if v} for row in table]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orthogonal, "_FEW", few)
        kernel = left_kernel(ExactMatrix.from_rows(rows, int(width)))
    dense = [[row.get(i, Fraction(0)) for i in range(height)] for row in kernel.rows()]
    assert len(dense) == height - sympy.Matrix(table.tolist()).rank()
    assert not np.any(np.array(dense, dtype=object).reshape(-1, height).dot(table))
    assert sympy.Matrix(dense).rank() == len(dense) if dense else True
    same = equal_rows(ExactMatrix.from_rows(rows, int(width)))
    for row in dense:
        assert all(v == row[np.flatnonzero(same == k)[0]] for k, v in zip(same, row, strict=True))


def test_first_integrals_of_large_chains_and_networks():
    """One for each closed class of a chain, and two for each enzyme of a ring of them."""
    random, classes, size = np.random.default_rng(0), 3, 700
    reactions = []
    for s in range(classes * size):
        for t in random.integers(0, size, 4).tolist():
            target = s // size * size + t
            reactions.append(({f"s{s}": 1}, {f"s{target}": 1}, int(random.integers(1, 9))))
        reactions.append(({f"s{s}": 1}, {f"s{s // size * size + (s + 1) % size}": 1}, 1))
    found = sl.conserved(sl.PolynomialODE.from_reactions(reactions))
    sums = [{f"s{s}" for s in range(k * size, (k + 1) * size)} for k in range(classes)]
    assert [set(row) for row in found.combinations.values()] == sums and found.exact
    assert {v for row in found.combinations.values() for v in row.values()} == {1}

    reactions, count = [], 300
    for i in range(count):
        j = (i + 1) % count
        reactions += [
            ({f"P{i}": 1, f"S{j}": 1}, {f"C{j}": 1}, 2),
            ({f"C{j}": 1}, {f"P{i}": 1, f"P{j}": 1}, 3),
            ({f"F{j}": 1, f"P{j}": 1}, {f"D{j}": 1}, 5),
            ({f"D{j}": 1}, {f"F{j}": 1, f"S{j}": 1}, 7),
        ]
    found = sl.conserved(sl.PolynomialODE.from_reactions(reactions))
    expected = [{f"F{i}", f"D{i}"} for i in range(count)]
    # All of a substrate: free, bound to its enzyme, bound as the enzyme of the next, bound to its phosphatase.
    expected += [{f"S{i}", f"P{i}", f"C{i}", f"C{(i + 1) % count}", f"D{i}"} for i in range(count)]
    assert sorted(map(sorted, found.combinations.values())) == sorted(map(sorted, expected))


def test_first_integrals_do_not_depend_on_the_prime(monkeypatch):
    x, y, z = sympy.symbols("x y z")
    ode = sl.PolynomialODE.from_sympy({x: 3 * y * z, y: -2 * y * z, z: 5 * x - 7 * y})
    expected = sl.conserved(ode)
    assert expected.combinations == {"y1": {"x": 2, "y": 3}}
    monkeypatch.setattr(invariant, "primes", lambda: iter([3, 5, 7, 11, 13, 17, 19, 23]))
    assert sl.conserved(ode).combinations == expected.combinations


@pytest.mark.parametrize(
    "verb",
    [sl.hierarchy, sl.conserved, lambda system: sl.lump(system, sl.Constrained("x"))],
    ids=["hierarchy", "conserved", "constrained"],
)
def test_a_model_is_no_system(verb):
    with pytest.raises(
        MethodError, match=r"takes a PolynomialODE or an ODE; got a Model.*sl\.read"
    ):
        verb(Model("m", sl.PolynomialODE.from_sympy({sympy.Symbol("x"): 1}), {}))


def test_no_first_integrals_and_nothing_but():
    x, y = sympy.symbols("x y")
    none = sl.conserved(sl.PolynomialODE.from_sympy({x: x, y: y**2}))
    assert len(none) == 0 and none.exact
    every = sl.conserved(sl.PolynomialODE.from_sympy({x: 0 * x, y: 0 * y}))
    assert every.combinations == {"x": {"x": 1}, "y": {"y": 1}}
    opposite = sl.conserved(sl.PolynomialODE.from_sympy({x: x, y: x}))
    assert opposite.combinations == {"y1": {"x": 1, "y": -1}}


@pytest.mark.parametrize("seed", range(3))
def test_seeds_do_not_change_the_dimensions(seed):
    x = sympy.symbols("x1:5")
    ode = sl.PolynomialODE.from_sympy({x[0]: x[1] + x[2], x[1]: x[0] ** 2, x[2]: x[3], x[3]: x[2]})
    found = sl.hierarchy(ode, seed=seed)
    assert found.maximal and sorted(f.dimension for f in found.factors) == [1, 1, 2]


def test_what_a_step_adds_is_written_without_two_signs():
    """w = −x + y + z has w' = w − w²."""
    ode = sl.PolynomialODE.from_text("x' = y^2; y' = y^2 - x + y + z; z' = -(y + z - x)^2")
    assert str(sl.hierarchy(ode)).splitlines()[1] == "1: adds -x + y + z"


@pytest.mark.parametrize("number", [10**400, 10**400 + 69])
def test_long_coefficients_are_not_factorized(number):
    """What the irrational numbers would bring is said in a polynomial with the same roots up to squares."""
    ode = sl.ODE.from_text(f"x' = -x + {number}*z; y' = -y + {number}*z; z' = x + y")
    chain = sl.hierarchy(ode)
    assert [len(lumping) for lumping in chain.lumpings] == [1]
    assert "nothing over the rationals" in str(chain)
    assert squarefree(4 * 10**401) == 10 and squarefree(-50) == -2
